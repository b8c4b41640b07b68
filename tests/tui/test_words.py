"""No screen of the terminal is half translated: every sentence it says stands in its table, and nothing else does."""
from __future__ import annotations

import ast
import string
from collections.abc import Iterator
from pathlib import Path

import twin.tui
from twin.words import table

ROOM = Path(twin.tui.__file__).parent


def literals(node: ast.expr) -> Iterator[str]:
    """Every text an argument can be: one of several where it is chosen by a condition."""
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        yield node.value
    elif isinstance(node, ast.IfExp):
        yield from literals(node.body)
        yield from literals(node.orelse)


def called(node: ast.Call) -> str:
    function = node.func
    if isinstance(function, ast.Attribute):
        return function.attr
    return function.id if isinstance(function, ast.Name) else ""


def said(path: Path) -> Iterator[tuple[str, bool]]:
    """Each sentence that a file gives to `words`, to `words.count` (with its plural) or to a shown Binding."""
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if not isinstance(node, ast.Call):
            continue
        name = called(node)
        on = node.func.value if isinstance(node.func, ast.Attribute) else None
        of_words = (isinstance(on, ast.Name) and on.id in ("words", "_words")) or \
            (isinstance(on, ast.Attribute) and on.attr in ("words", "_words"))
        if name in ("words", "_words"):
            yield from ((text, False) for text in literals(node.args[0]))
        elif name == "count" and of_words:
            yield from ((text, True) for text in literals(node.args[2]))
        elif name == "Binding" and len(node.args) > 2:
            hidden = any(one.arg == "show" and isinstance(one.value, ast.Constant) and one.value.value is False
                         for one in node.keywords)
            named = any(one.arg == "id" for one in node.keywords)
            if not hidden or named:
                yield from ((text, False) for text in literals(node.args[2]))


def sentences() -> dict[str, bool]:
    return {text: plural for path in sorted(ROOM.glob("*.py")) for text, plural in said(path)}


def test_every_sentence_has_a_russian_one() -> None:
    assert sorted(sentences().keys() - table("twin.tui").keys()) == []


def test_the_table_holds_nothing_that_nobody_says() -> None:
    assert sorted(table("twin.tui").keys() - sentences().keys()) == []


def test_plurals_have_three_forms_and_holes_are_the_same() -> None:
    found, russian = sentences(), table("twin.tui")
    for english, plural in found.items():
        forms = russian.get(english, "")
        assert isinstance(forms, list) is plural, english
        for form in forms if isinstance(forms, list) else [forms]:
            assert holes(form) == holes(english), english
        assert not plural or len(forms) == 3, english


def holes(text: str) -> set[str | None]:
    return {name for _, name, _, _ in string.Formatter().parse(text) if name is not None}
