"""The notebooks as they are stored: nothing of a run in them, short cells, one leads to the next."""
from __future__ import annotations

import ast
import re
import sys
from itertools import pairwise
from pathlib import Path

import nbformat
import pytest

from tests.notebooks.kernel import NOTEBOOKS

PATHS = sorted(NOTEBOOKS.glob("*.ipynb"))


@pytest.mark.parametrize("path", PATHS, ids=lambda path: path.stem)
def test_a_stored_notebook_is_valid_short_and_holds_no_output(path: Path) -> None:
    """Saved outputs carry what a person wrote."""
    notebook = nbformat.read(path, as_version=4)
    nbformat.validate(notebook)
    assert notebook.metadata.kernelspec.name == "python3"
    assert "widgets" not in notebook.metadata
    for cell in notebook.cells:
        assert len(cell.source.splitlines()) <= 16, "a cell fits the eye"
        assert max(map(len, cell.source.splitlines())) <= 120 or cell.cell_type == "markdown"
        if cell.cell_type == "code":
            assert cell.outputs == [] and cell.execution_count is None
            assert sys.prefix not in cell.source
            if not cell.source.startswith("%"):
                ast.parse(cell.source)


@pytest.mark.parametrize("path", PATHS, ids=lambda path: path.stem)
def test_a_notebook_tells_a_story_between_its_cells(path: Path) -> None:
    cells = nbformat.read(path, as_version=4).cells
    assert cells[0].cell_type == "markdown" and cells[0].source.startswith("# ")
    code = [cell for cell in cells if cell.cell_type == "code"]
    assert len(cells) - len(code) >= len(code) / 2
    assert re.search(r"plots\.|plt\.|\.plot\(|twin\.panel|lineage", "".join(cell.source for cell in code)), "with pictures"


def test_they_are_numbered_and_each_leads_to_the_next() -> None:
    assert [path.name[:2] for path in PATHS] == [f"{number:02}" for number in range(1, len(PATHS) + 1)]
    for path, after in pairwise(PATHS):
        links = re.findall(r"\]\((\d\d_\w+\.ipynb)\)", path.read_text("utf-8"))
        assert links == [after.name]


def test_the_readme_tells_of_every_notebook() -> None:
    told = (NOTEBOOKS / "README.md").read_text("utf-8")
    assert [path.name for path in PATHS if f"`{path.name}`" not in told] == []
