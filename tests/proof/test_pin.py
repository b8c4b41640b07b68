"""The evaluator is what was pinned, or nothing is proven."""
from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from twin.errors import EvaluatorChanged
from twin.operations import OPERATIONS
from twin.proof import pin


def test_the_pinned_hash_is_that_of_the_sources() -> None:
    """Red after a change of the evaluator: look at what changed, then run `python -m twin.proof.pin`."""
    assert pin.check() == pin.pinned() == pin.current()


@pytest.fixture
def copy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "twin" / "proof"
    shutil.copytree(pin.FOLDER, folder, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(pin.FOLDER.parent / "evidence.py", folder.parent)
    monkeypatch.setattr(pin, "FOLDER", folder)
    monkeypatch.setattr(pin, "PINNED", folder / "pinned.toml")
    return folder


@pytest.mark.parametrize("change", ["judge.py", "statistics.py", "../evidence.py", "new.py", "pinned.toml"])
def test_any_other_source_is_refused(copy: Path, change: str) -> None:
    pin.check()
    with (copy / change).open("a") as file:
        file.write('\nsha256 = "0"\n' if change.endswith(".toml") else "\nDELTA = 0\n")

    with pytest.raises((EvaluatorChanged, ValueError)):
        pin.check()


def test_it_can_be_pinned_anew(copy: Path) -> None:
    (copy / "judge.py").write_text("# another one\n")
    pin.main()
    pin.check()


def test_no_operation_can_name_the_evaluator_or_what_it_judges_by() -> None:
    fields = {name for kind in OPERATIONS.values() for name in kind.model_fields}
    assert fields.isdisjoint({"evaluator", "level", "delta", "margin", "window", "split", "metric", "path", "file"})
