# Works from a clean clone with only git, make, Python 3.11, gcc, g++ and cmake.
PYTHON ?= python3
VENV   ?= .venv
BIN    := $(VENV)/bin
READY  := $(VENV)/.ready
TWIN   := $(BIN)/twin

# RPC lets tests split a core over several devices on a machine without a GPU.
# Another backend: make setup CMAKE_ARGS="-DGGML_RPC=ON -DGGML_CUDA=on"
export CMAKE_ARGS ?= -DGGML_RPC=ON
export PIP_DISABLE_PIP_VERSION_CHECK = 1

.PHONY: help setup cores qwen demo check test test-qwen fuzz bench chat lab clean

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

test: check cores ## everything but the big core, offline: real LanceDB, real SmolLM2, real kernel
	gcc -shared -fPIC -O1 -o $(VENV)/airplane.so tests/airplane.c -ldl
	LD_PRELOAD=$(CURDIR)/$(VENV)/airplane.so $(BIN)/pytest

test-qwen: qwen cores ## what needs the 1.1 GB core, the demo among it
	$(BIN)/pytest -m qwen

fuzz: setup      ## the property tests, many more examples
	TWIN_FUZZ=2000 $(BIN)/pytest -m "hypothesis and not qwen" --timeout 1800

bench: cores     ## recall, engine: measured beside the obvious alternative
	$(BIN)/python tests/bench/engine.py
	$(if $(DATA),$(BIN)/python tests/bench/recall.py $(DATA),@echo "recall: make bench DATA=folder of the public sets named in tests/bench/recall.py")

chat: setup      ## the terminal chat
	$(TWIN) chat

lab: setup       ## JupyterLab on the notebooks
	$(BIN)/jupyter lab notebooks/01_meet_your_twin.ipynb

clean:
	rm -rf $(VENV) .demo-home build *.egg-info
