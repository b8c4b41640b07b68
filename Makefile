# Works from a clean clone with only git, make, Python 3.11, gcc, g++ and cmake.
PYTHON ?= python3
VENV   ?= .venv
BIN    := $(VENV)/bin
READY  := $(VENV)/.ready
TWIN   := $(BIN)/twin
SERVER ?= $(VENV)/llama.cpp/bin/llama-server

# RPC lets tests split a core over several devices on a machine without a GPU.
# Another backend: make setup CMAKE_ARGS="-DGGML_RPC=ON -DGGML_CUDA=on"
export CMAKE_ARGS ?= -DGGML_RPC=ON
export PIP_DISABLE_PIP_VERSION_CHECK = 1

.PHONY: help setup cores qwen demo check test test-qwen test-server test-browser fuzz bench bench-qwen llama-server chat lab clean

help:            ## this list
	@sed -n 's/^\([a-z-]*\):.*## /\1\t/p' Makefile | expand -t 14

setup: $(READY)  ## the virtual environment, llama.cpp compiled into it (about 6 minutes on 2 cores)

$(READY): pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install -q -c constraints.txt -e '.[dev]'
	touch $@

cores: setup     ## the small core and the embedder of the tests (about 200 MB, once)
	$(TWIN) models pull smollm2-135m minilm

qwen: setup
	$(TWIN) models pull qwen2.5-coder-1.5b minilm

demo: qwen       ## the main job on the shipped sample, in a fresh home, on the real Qwen core
	bash .ci/demo

check: setup     ## lint and types
	$(BIN)/ruff check .
	$(BIN)/mypy

test: check cores ## everything but the big core and what takes long, offline: real LanceDB, real SmolLM2, real kernel
	gcc -shared -fPIC -O1 -o $(VENV)/airplane.so tests/airplane.c -ldl
	LD_PRELOAD=$(CURDIR)/$(VENV)/airplane.so $(BIN)/pytest -n 2 --dist loadfile

test-qwen: qwen cores ## what needs the 1.1 GB core, the demo among it, and what takes long on the small one
	$(BIN)/pytest -m "qwen or slow" --timeout 1800

test-server: cores $(SERVER) ## a core behind llama.cpp's own server, built from the sources of our engine (a quarter of an hour)
	$(BIN)/pytest -m llama_server

test-browser: cores ## all notebooks in a kernel, and JupyterLab as a person uses it; needs the system's chromium
	$(BIN)/pytest -m "(browser or notebook) and not qwen"

fuzz: cores      ## the property tests with many more examples, and 10,000 damaged model files
	TWIN_FUZZ=2000 $(BIN)/pytest -m "hypothesis and not (qwen or slow or llama_server or browser or notebook)" --timeout 1800
	TWIN_FUZZ=2000 $(BIN)/pytest tests/engine/test_trial.py -k damaged --timeout 1800

# Run these alone: on 2 cores any other program falsifies them.
bench: cores     ## imports, recall, profile, engine, conversations: measured beside the obvious alternative
	$(BIN)/python -m tests.bench.scale
	$(BIN)/python -m tests.bench.recall_speed
	$(BIN)/python -m tests.bench.profile_speed
	$(if $(DATA),DATA=$(DATA) )$(BIN)/python -m tests.bench.depth
	$(if $(DATA),DATA=$(DATA) $(BIN)/python -m tests.bench.individuation $(MODEL))
	$(if $(DATA),DATA=$(DATA) $(BIN)/python -m tests.bench.router)
	$(BIN)/python tests/bench/engine.py $(MODEL)
	$(BIN)/python -m tests.bench.firmware_tokens $(MODEL)
	$(if $(DATA),DATA=$(DATA) $(BIN)/python -m tests.bench.firmware_prompt $(MODEL))
	$(BIN)/python -m tests.bench.conversations $(MODEL) $(if $(wildcard $(SERVER)),--server $(SERVER))
	$(if $(DATA),$(BIN)/python tests/bench/recall.py $(DATA),@echo "recall: make bench DATA=folder of the public sets named in tests/bench/recall.py")

bench-qwen: qwen ## the same on the big core, and whether roles guide as well when they come last, and councils (three hours)
	$(MAKE) bench MODEL=qwen2.5-coder-1.5b
	$(BIN)/python -m tests.bench.claims
	$(BIN)/python tests/bench/layout.py
	$(BIN)/python -m tests.bench.two_cores
	$(BIN)/python -m tests.bench.council run
	$(BIN)/python -m tests.bench.council cost

llama-server: $(SERVER) ## llama.cpp's own server, from the sources of our engine: what conversations are compared with

$(SERVER): $(READY)
	rm -rf $(VENV)/llama.cpp.src && mkdir -p $(VENV)/llama.cpp.src
	$(BIN)/pip download -q --no-deps --no-binary llama-cpp-python -c constraints.txt -d $(VENV)/llama.cpp.src llama-cpp-python
	tar -xzf $(VENV)/llama.cpp.src/*.tar.gz -C $(VENV)/llama.cpp.src --strip-components 1
	cmake -S $(VENV)/llama.cpp.src/vendor/llama.cpp -B $(VENV)/llama.cpp -DCMAKE_BUILD_TYPE=Release \
		-DLLAMA_OPENSSL=OFF -DLLAMA_BUILD_UI=OFF -DLLAMA_USE_PREBUILT_UI=OFF -DLLAMA_BUILD_TESTS=OFF \
		-DLLAMA_BUILD_EXAMPLES=OFF
	cmake --build $(VENV)/llama.cpp --target llama-server -j $$(getconf _NPROCESSORS_ONLN)

chat: setup      ## the terminal chat
	$(TWIN) chat

lab: setup       ## JupyterLab on the notebooks
	$(BIN)/jupyter lab notebooks/01_meet_your_twin.ipynb

clean:
	rm -rf $(VENV) .demo-home build *.egg-info
