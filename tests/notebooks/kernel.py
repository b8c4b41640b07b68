"""A notebook of the repository, executed in a real kernel from top to bottom, and what it then shows."""
from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import nbformat
from nbclient import NotebookClient

NOTEBOOKS = Path(__file__).parent.parent.parent / "notebooks"
CELL_S = 1500  # for one cell, on a machine where others compute too
_WIDGETS = "application/vnd.jupyter.widget-state+json"


@dataclass(frozen=True)
class Ran:
    """A notebook that has run."""

    notebook: Any

    @property
    def outputs(self) -> list[Any]:
        """All outputs, in order."""
        return [output for cell in self.notebook.cells for output in cell.get("outputs", ())]

    @property
    def printed(self) -> str:
        """Everything that was printed."""
        return "".join(str(output.get("text", "")) for output in self.outputs)

    @property
    def errors(self) -> list[str]:
        """What went wrong in cells that may."""
        return [f"{one['ename']}: {one['evalue']}" for one in self.outputs if one["output_type"] == "error"]

    def shown(self, kind: str) -> list[str]:
        """What was displayed as this kind of data, in order."""
        return [str(output["data"][kind]) for output in self.outputs if kind in output.get("data", {})]

    @property
    def pictures(self) -> int:
        """How many outputs are pictures, and how many pages hold one."""
        drawn = [one for one in self.outputs if {"image/png", "image/svg+xml"} & set(one.get("data", {}))]
        return len(drawn)

    @property
    def widgets(self) -> list[str]:
        """The HTML of all widgets, as a browser would have it after the last message from the kernel."""
        state = self.notebook.metadata.get("widgets", {}).get(_WIDGETS, {"state": {}})["state"]
        return [each["state"].get("value", "") for each in state.values() if each["model_name"] == "HTMLModel"]


def run(stem: str) -> Ran:
    """Execute a notebook by the beginning of its name. A cell that raises fails, unless its tag says that it may."""
    path, = NOTEBOOKS.glob(f"{stem}_*.ipynb")
    notebook = nbformat.read(path, as_version=4)
    NotebookClient(notebook, timeout=CELL_S, kernel_name="python3", store_widget_state=True,
                   resources={"metadata": {"path": str(NOTEBOOKS)}}).execute()
    return Ran(notebook)


def fingerprint() -> dict[str, str]:
    """Path and sha256 of every file beside the notebooks."""
    return {str(path.relative_to(NOTEBOOKS)): hashlib.sha256(path.read_bytes()).hexdigest()
            for path in sorted(NOTEBOOKS.rglob("*")) if path.is_file()}
