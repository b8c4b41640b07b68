"""No screen of the notebook is half translated: the table holds what the room says, in Russian, and nothing else."""
from __future__ import annotations

import ast
import re
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

import twin.notebook
from twin.words import Words

ROOM = Path(twin.notebook.__file__).parent
TABLE: dict[str, str | list[str]] = tomllib.loads((ROOM / "russian.toml").read_text("utf-8"))["words"]
FILES = sorted(ROOM.rglob("*.py"))
_HOLE = re.compile(r"\{(\w*)\}")


def literals(node: ast.expr) -> Iterator[str]:
    """The texts that an argument can be."""
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        yield node.value
    elif isinstance(node, ast.IfExp):
        yield from (*literals(node.body), *literals(node.orelse))


def name(node: ast.expr) -> str:
    return node.id if isinstance(node, ast.Name) else node.attr if isinstance(node, ast.Attribute) else ""


def said(path: Path) -> Iterator[tuple[str, bool]]:
    """What a file says through words(...), Words(...)(...) and words.count(...), and whether it is counted."""
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if not isinstance(node, ast.Call) or not node.args:
            continue
        call = node.func
        if name(call) == "words" or (isinstance(call, ast.Call) and name(call.func) == "Words"):
            yield from ((one, False) for one in literals(node.args[0]))
        elif name(call) == "count" and isinstance(call, ast.Attribute) and name(call.value) == "words":
            yield from ((one, True) for one in literals(node.args[2]))


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOM)))
def test_everything_a_file_says_has_its_russian(path: Path) -> None:
    for english, counted in said(path):
        found = TABLE[english]
        forms = found if isinstance(found, list) else [found]
        assert isinstance(found, list) == counted and len(forms) == (3 if counted else 1), english
        for form in forms:
            assert sorted(_HOLE.findall(form)) == sorted(_HOLE.findall(english)), english
            assert re.search("[а-яё]", form) or not re.search("[a-z]{3}", _HOLE.sub("", form)), english


def test_a_number_takes_its_form() -> None:
    words = Words("twin.notebook", "ru")
    assert [words.count(n, "{n} memory", "{n} memories") for n in (1, 3, 11, 1500)] == [
        "1 воспоминание", "3 воспоминания", "11 воспоминаний", "1 500 воспоминаний"]
