"""Panels, what they share: found by name, one at a time, in both languages, and nothing private in a repr."""
from __future__ import annotations

import ast
import re
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.notebook.on_screen import button, kinds, names, opened, pages, press, seen, until, whole
from twin.chat import Twin
from twin.errors import UsageError
from twin.notebook import panels
from twin.notebook.panels import NAMES, panel
from twin.notebook.panels.frame import Panel
from twin.notebook.panels.pieces import changed, curve
from twin.types import Conversation, Message

ROOM = Path(panels.__file__).parent
PANELS = [name for name in NAMES if name != "chat"]
SAID = ("Why does my barometer drift by two hectopascals?", "I want the rooftop barometer compared every morning.",
        "How do I shape the whole of it?", "Я всегда сначала проверяю датчик, потом пишу программу.")
TALKS = [Conversation(f"c{day}", tuple(Message(f"m{at}", "user", text) for at, text in enumerate(SAID)))
         for day in range(3)]


@pytest.fixture
def twin(own_home: Path) -> Iterator[Twin]:
    """A twin who was told a few things."""
    with opened(own_home) as made:
        made.add(TALKS)
        yield made


# ---- found by name -------------------------------------------------------------------------------------------------

@pytest.mark.parametrize("name", PANELS)
def test_each_panel_opens_by_its_name_and_shows_itself(twin: Twin, name: str) -> None:
    made = panel(twin, name)
    bundle = made._repr_mimebundle_()
    assert made.name == name
    assert "application/vnd.jupyter.widget-view+json" in bundle
    assert made.title()[0] in seen(made.view)
    whole(made.view)


@pytest.mark.parametrize("name", PANELS)
def test_where_there_are_no_widgets_a_panel_names_methods_that_exist_and_no_words(twin: Twin, name: str) -> None:
    made = panel(twin, name)
    told = made._repr_mimebundle_()["text/plain"]
    assert made.does
    assert all(callable(getattr(made, each)) and f".{each}()" in told for each in made.does)
    assert not re.search("barometer|датчик|m0|c0", told)
    assert len(told) < 160


def test_an_unknown_panel_is_refused_with_those_there_are(twin: Twin) -> None:
    with pytest.raises(UsageError, match=r"no panel 'wizard'.*start, import, profile"):
        panel(twin, "wizard")


def test_a_step_that_is_none_is_refused_with_those_there_are(twin: Twin) -> None:
    with pytest.raises(UsageError, match="core, import, profile, ask"):
        twin.panel("start").open("zz")


def test_without_a_name_all_are_there_to_choose_from_and_one_is_open_at_a_time(twin: Twin) -> None:
    shelf = panel(twin)
    assert repr(shelf).splitlines() == [f"twin.panel({name!r})" for name in NAMES]
    assert len(names(shelf.view)) == len(NAMES)
    press(shelf, "Roles")
    until(lambda: shelf.opened is not None)
    assert shelf.opened.name == "roles"
    first = shelf.opened.view
    press(shelf, "Evolution")
    until(lambda: shelf.opened.name == "evolution")
    assert first not in kinds(shelf.view, type(first))
    assert [one.button_style for one in kinds(shelf.view, type(button(shelf.view, "Roles")))][:8].count("primary") == 1


# ---- one thing at a time -------------------------------------------------------------------------------------------

def test_a_panel_that_is_opened_while_the_twin_is_at_work_is_drawn_when_that_is_over(twin: Twin) -> None:
    made: Any = None
    with panel(twin, "import").gate.alone():
        made = panel(twin, "roles")
        assert "at work" in seen(made.view)
        with pytest.raises(UsageError, match="still at work"):
            made.refresh()
    until(lambda: made.role and "at work" not in seen(made.view))


def test_a_click_while_the_twin_is_at_work_is_told_so(twin: Twin) -> None:
    made = panel(twin, "proposals")
    with made.gate.alone():
        button(made.view, "Look for changes now").click()
        until(lambda: "still at work" in seen(made.view))
    press(made, "Look for changes now")
    assert "still at work" not in seen(made.view)


def test_what_has_no_cancel_is_left_by_its_progress_and_the_panel_says_so(twin: Twin) -> None:
    made = panel(twin, "evolution")
    reached = []

    def job() -> None:
        with made.working("long") as busy:
            told = made.stoppable(busy)
            told("one", 1, 3)
            reached.append("one")
            made.gate.stop()
            told("two", 2, 3)
            reached.append("two")

    job()
    assert reached == ["one"]
    assert "Stopped." in seen(made.view)
    assert made.busy.view.layout.display == "none"
    with made.gate.alone():
        pass


# ---- both languages ------------------------------------------------------------------------------------------------

def literals(source: str) -> Iterator[tuple[str, bool]]:
    """Every sentence that is given to words(...) or words.count(...), and whether it is counted."""
    def is_words(node: ast.expr) -> bool:
        return (isinstance(node, ast.Name) and node.id == "words") or (
            isinstance(node, ast.Attribute) and node.attr == "words")

    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Call) and is_words(node.func):
            yield ast.literal_eval(node.args[0]), False
        elif isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr == "count" \
                and is_words(node.func.value):
            yield ast.literal_eval(node.args[2]), True


def test_every_sentence_of_the_panels_stands_in_the_russian_table_with_its_holes() -> None:
    table = tomllib.loads((ROOM.parent / "russian.toml").read_text("utf-8"))["words"]
    said = {one for file in ROOM.glob("*.py") for one in literals(file.read_text("utf-8"))}
    assert len(said) > 150
    for english, counted in said:
        forms = table[english] if counted else [table[english]]
        assert len(forms) == (3 if counted else 1)
        assert all(set(re.findall(r"\{\w+\}", form)) == set(re.findall(r"\{\w+\}", english)) for form in forms)


@pytest.mark.parametrize("name", PANELS)
def test_a_russian_screen_holds_no_english_sentence_of_the_panels(own_home: Path, name: str) -> None:
    with opened(own_home, language="ru") as twin:
        twin.add(TALKS)
        made = panel(twin, name)
        until(lambda: made.body.children and not made.gate.locked())
        shown = seen(made.view)
    own = [one for one, _ in {one for file in ROOM.glob("*.py") for one in literals(file.read_text("utf-8"))}
           if len(one) > 3 and "{" not in one]
    assert [one for one in own if re.search(rf"(?<!\w){re.escape(one)}(?!\w)", shown)] == []
    assert re.search("[а-яё]", shown)


# ---- pieces --------------------------------------------------------------------------------------------------------

def test_a_change_is_struck_out_and_underlined_and_nothing_else_of_it_is_markup() -> None:
    made = changed(["critic: do: [-<b>old</b>-] {+new+} <i>"])
    assert made.count("<del") == made.count("<ins") == 1
    assert "<b>" not in made and "<i>" not in made and "&lt;b&gt;old" in made


def test_a_curve_has_its_last_value_and_stays_small() -> None:
    made = curve([(step, 5 - step / 1000) for step in range(3000)], until=3000, label="<loss>")
    assert "2.001" in made and "5.000" in made
    assert len(made) < 8000
    assert "<loss>" not in made
    assert curve([(0, 1.0)], until=10, label="x") == ""
    assert "polyline" in curve([(0, 1.0), (1, 1.0)], until=10, label="flat")


def test_the_frame_is_what_all_panels_stand_in(twin: Twin) -> None:
    made = [panel(twin, name) for name in PANELS]
    assert all(isinstance(one, Panel) for one in made)
    assert all(len([page for page in pages(one.view) if page.text]) for one in made)
