"""The notebooks, executed in a real kernel from top to bottom, as somebody does who opens them for the first time."""
from __future__ import annotations

import hashlib
import re
import sys
from pathlib import Path
from typing import Any

import nbformat
import pytest
from nbclient import NotebookClient
from nbconvert import HTMLExporter

NOTEBOOKS = Path(__file__).parent.parent / "notebooks"
FIRST = NOTEBOOKS / "01_meet_your_twin.ipynb"


@pytest.fixture(autouse=True)
def kernel_of_these_tests(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The kernel runs on this Python and keeps its history and settings out of the person's folders."""
    monkeypatch.setenv("IPYTHONDIR", str(tmp_path / "ipython"))
    monkeypatch.setenv("JUPYTER_DATA_DIR", str(tmp_path / "jupyter"))
    monkeypatch.setenv("JUPYTER_RUNTIME_DIR", str(tmp_path / "runtime"))
    monkeypatch.setenv("PYDEVD_DISABLE_FILE_VALIDATION", "1")
    monkeypatch.setenv("PYTHONDONTWRITEBYTECODE", "1")


def run(notebook: Any, folder: Path) -> str:
    """Execute all cells in place; returns everything they printed. A cell that raises fails the test."""
    client = NotebookClient(notebook, timeout=400, kernel_name="python3", resources={"metadata": {"path": str(folder)}},
                            store_widget_state=True)
    client.execute()
    return "".join(str(output.get("text", "")) for cell in notebook.cells for output in cell.get("outputs", ()))


def fingerprint(folder: Path) -> dict[str, str]:
    """Path and sha256 of every file below a folder."""
    return {str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
            for path in sorted(folder.rglob("*")) if path.is_file()}


def shown_widgets(notebook: Any) -> list[str]:
    """Values of the HTML widgets as the browser would have them after the last message from the kernel."""
    state = notebook.metadata["widgets"]["application/vnd.jupyter.widget-state+json"]["state"]
    return [each["state"].get("value", "") for each in state.values() if each["model_name"] == "HTMLModel"]


@pytest.mark.timeout(600)  # 35 s on two free cores; llama.cpp spins, so beside another core it took 180 s
def test_the_first_notebook_runs_top_to_bottom_on_a_fresh_home_and_the_small_core(
        monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TWIN_MODEL", "smollm2-135m")
    before = fingerprint(NOTEBOOKS)
    notebook = nbformat.read(FIRST, as_version=4)
    printed = run(notebook, NOTEBOOKS)
    assert "error" not in {output["output_type"] for cell in notebook.cells for output in cell.get("outputs", ())}
    assert "models pull" not in printed, "the core is here, so every question was answered"
    assert " 0 failed" in printed and "had been read as" in printed, "the damaged note was mended"
    assert re.search("7  a system that designs itself +[1-9]", printed), "some question is of the deepest level"
    assert re.search("^2025-[01][0-9]  .*[▁▂▃▄]", printed, re.MULTILINE)
    assert "remembers:" in printed
    assert any("Which of my habits would you keep?" in page for page in shown_widgets(notebook))
    assert fingerprint(NOTEBOOKS) == before, "nothing was written beside the notebook"


def test_the_first_notebook_runs_without_any_core_and_names_the_command_that_fetches_one(
        tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TWIN_CACHE", str(tmp_path / "empty cache"))
    printed = run(nbformat.read(FIRST, as_version=4), NOTEBOOKS)
    assert printed.count("Fetch one with `twin models pull") >= 3


def test_the_second_notebook_shows_the_report_its_pictures_and_the_evidence(
        tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TWIN_CACHE", str(tmp_path / "empty cache"))
    notebook = nbformat.read(NOTEBOOKS / "02_how_you_think.ipynb", as_version=4)
    printed = run(notebook, NOTEBOOKS)
    shown = [output["data"] for cell in notebook.cells for output in cell.get("outputs", ()) if "data" in output]
    assert sum("image/svg+xml" in data for data in shown) == 3
    assert sum("text/markdown" in data for data in shown) == 2, "the report and the difference"
    assert "every quote" in printed or "stand" in printed
    assert "no evidence" in printed and "supported" in printed
    assert "greenhouse design itself" in printed


@pytest.mark.parametrize("path", sorted(NOTEBOOKS.glob("*.ipynb")), ids=lambda path: path.stem)
def test_a_stored_notebook_is_valid_short_and_holds_no_output(path: Path) -> None:
    """Saved outputs carry what a person wrote."""
    notebook = nbformat.read(path, as_version=4)
    nbformat.validate(notebook)
    assert notebook.metadata.kernelspec.name == "python3"
    assert "widgets" not in notebook.metadata
    for cell in notebook.cells:
        assert len(cell.source.splitlines()) <= 16, "a cell fits the eye"
        if cell.cell_type == "code":
            assert cell.outputs == [] and cell.execution_count is None
            assert sys.prefix not in cell.source


def test_what_a_thread_writes_into_the_chat_reaches_the_browser(tmp_path: Path) -> None:
    """A click runs the turn in a thread of the kernel; its updates must arrive as those of a cell do."""
    cells = [
        "from twin.chat import Twin\nfrom twin.engine.scripted import ScriptedEngine\n"
        f"twin = Twin.open({str(tmp_path / 'home')!r}, engine=ScriptedEngine(['Сначала <b>эталон</b>.']))\n"
        "chat = twin.chat()\nchat",
        "field, row = chat.view.children[1:]\nfield.value = 'Почему весы врут?'\nrow.children[0].click()\n"
        # in the same cell: nbclient, unlike a browser, drops what arrives under the name of an earlier cell
        "import time\nend = time.monotonic() + 90\n"
        "while row.children[0].disabled or not chat.turns:\n    assert time.monotonic() < end\n    time.sleep(0.05)",
    ]
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(cell) for cell in cells])
    run(notebook, tmp_path)
    bundle = notebook.cells[0].outputs[0]["data"]
    assert "application/vnd.jupyter.widget-view+json" in bundle
    assert bundle["text/plain"].startswith("Chat(0 turns")
    pages = shown_widgets(notebook)
    assert any("Почему весы врут?" in page for page in pages)
    assert any("Сначала &lt;b&gt;эталон&lt;/b&gt;." in page for page in pages)
    assert not any(cell.outputs for cell in notebook.cells[1:]), "nothing is printed by a thread"
    page, _ = HTMLExporter().from_notebook_node(notebook)
    assert "application/vnd.jupyter.widget-view+json" in page and "<b>эталон" not in page
