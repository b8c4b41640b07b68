"""The magics, in a real shell without a kernel."""
from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from IPython.core.interactiveshell import InteractiveShell

from tests.notebook.on_screen import opened
from twin.chat import Twin
from twin.engine.scripted import ScriptedEngine
from twin.types import Conversation, Message, Turn

Run = Callable[..., str]


@pytest.fixture
def shell(own_home: Path) -> Iterator[InteractiveShell]:
    InteractiveShell.clear_instance()
    made = InteractiveShell.instance()
    made.history_manager.enabled = False
    made.run_line_magic("load_ext", "twin")
    yield made
    for twin in [one for one in made.user_ns.values() if isinstance(one, Twin)]:
        twin.close()
    made.run_line_magic("unload_ext", "twin")
    InteractiveShell.clear_instance()


@pytest.fixture
def twin(shell: InteractiveShell, own_home: Path) -> Twin:
    made = opened(own_home, ScriptedEngine(lambda asked: f"{asked.role} says so."))
    shell.user_ns["twin"] = made
    return made


@pytest.fixture
def run(shell: InteractiveShell, capsys: pytest.CaptureFixture[str]) -> Run:
    """Run a cell; what it wrote, errors too."""
    def cell(source: str, *, fails: bool = False) -> str:
        result = shell.run_cell(source)
        assert (result.error_in_exec is not None) == fails
        told = capsys.readouterr()
        return told.out + told.err

    return cell


def test_a_cell_is_a_message_and_the_answer_comes_once(run: Run, twin: Twin) -> None:
    told = run("%%twin critic\nWhen do I\nsow peas?")
    assert told.count("critic says so.") == 1
    assert [turn.question for turn in twin.archive.turns()] == ["When do I\nsow peas?"]


def test_a_turn_shows_itself_when_it_is_looked_at_later(run: Run, shell: InteractiveShell, twin: Twin) -> None:
    run("%%twin critic\nPeas?")
    assert isinstance(shell.user_ns["_"], Turn)
    assert run("_.answer, _") .count("critic says so.") == 1
    assert run("turn = twin.ask('Beans?', 'mentor')") == ""
    assert "mentor says so." in run("turn")


def test_the_chosen_role_answers_from_then_on(run: Run, twin: Twin) -> None:
    assert "role: critic" in run("%twin role critic")
    assert "critic says so." in run("%%twin\nPeas?")
    assert "* critic  Critic" in run("%twin role")
    run("%twin role auto")
    run("%%twin\nHow warm is it?")
    assert not twin.archive.turns()[-1].route.asked


def test_without_words_it_says_how_things_are_and_what_is_next(run: Run, twin: Twin, own_home: Path) -> None:
    told = run("%twin")
    assert f"home: {own_home}" in told and "0 messages of yours" in told and "Next: `%twin import PATH`" in told
    note = own_home.parent / "my notes" / "note one.md"
    note.parent.mkdir()
    note.write_text("I want the rooftop barometer compared every morning.", "utf-8")
    assert "1 message came in" in run(f"%twin import '{note}'")
    assert "1 message of yours" in run("%twin")
    assert "Next: ask" in run("%twin")


def test_the_language_is_switched_and_kept(run: Run, twin: Twin) -> None:
    assert "язык: ru" in run("%twin language ru")
    assert "дом: " in run("%twin") and twin.language == "ru"
    assert "language: en" in run("%twin language en")
    assert "There is no language 'eo'" in run("%twin language eo", fails=True)


def test_an_error_is_two_sentences_without_a_traceback(run: Run, twin: Twin) -> None:
    told = run("%twin role wizard", fails=True)
    assert "wizard" in told and "Traceback" not in told and "line " not in told and len(told.splitlines()) <= 2
    assert "There is no `%twin dance`. `%twin help` lists what there is." in run("%twin dance", fails=True)
    assert "The question is empty." in run("%%twin\n  ", fails=True)


def test_help_lists_every_verb(run: Run, twin: Twin) -> None:
    from twin.notebook.magics import _VERBS

    told = run("%twin help")
    assert [verb for verb in _VERBS if f"%twin {verb} " not in told] == []
    assert "%%twin [role]" in told


def test_models_are_listed_and_one_that_is_not_here_is_refused(run: Run, twin: Twin) -> None:
    told = run("%twin model")
    assert all(one.name in told for one in twin.cores()) and "not here" in told
    absent = twin.cores()[0].name
    assert "twin models pull" in run(f"%twin model {absent}", fails=True)


def test_another_home_is_opened_under_the_same_name(
        run: Run, shell: InteractiveShell, twin: Twin, tmp_path: Path) -> None:
    other = tmp_path / "other home"
    assert f"home: {other}" in run(f"%twin home {other}")
    assert shell.user_ns["twin"].home.root == other
    assert twin.language == "en", "the one before was somebody else's to close"
    twin.close()


def test_a_notebook_without_a_twin_gets_one(run: Run, shell: InteractiveShell, own_home: Path) -> None:
    assert f"home: {own_home}" in run("%twin")
    assert isinstance(shell.user_ns["twin"], Twin)


def test_a_name_that_is_taken_is_left_alone(run: Run, shell: InteractiveShell, own_home: Path) -> None:
    import twin as package

    shell.user_ns["twin"] = package
    assert f"home: {own_home}" in run("%twin")
    assert shell.user_ns["twin"] is package


def test_profile_proposals_export_and_panels_are_what_the_twin_gives(
        run: Run, shell: InteractiveShell, twin: Twin, monkeypatch: pytest.MonkeyPatch) -> None:
    assert "Nothing waits for you" in run("%twin proposals")
    assert "Import what you wrote" in run("%twin export", fails=True)
    twin.add([Conversation("c", (Message("m", "user", "First I measure, then I decide which of the two it is."),))])
    written = Path(run("%twin export").strip().removeprefix("written: "))
    assert written.is_file()
    run("%twin profile")
    assert type(shell.user_ns["_"]).__name__ == "Profile"
    asked: list[Any] = []
    monkeypatch.setattr(Twin, "panel", lambda _, name: asked.append(name))
    run("%twin panel profile")
    assert asked == ["profile"]


@pytest.mark.parametrize("said", ["'abc", '"a b', "~nobody-of-that-name/x", "''", '""', "' '"])
def test_quotes_that_hold_no_path_are_an_error_of_two_sentences(run: Run, twin: Twin, said: str) -> None:
    told = run(f"%twin import {said}", fails=True)
    assert "Traceback" not in told and "ValueError" not in told
    assert twin.sources() == []


def test_the_twin_is_formed_and_carried_away_in_any_form(run: Run, twin: Twin, own_home: Path) -> None:
    twin.add([Conversation("c", (Message("m", "user", "First I measure, then I decide which of the two it is."),))])
    core = twin.form("winter")

    assert core.id in run("%twin form spring")
    assert "card.png" not in run("%twin export ?")
    assert "character card" in run("%twin export ?")
    run(f"%twin export plain public '{own_home.parent}/mine.txt'")
    assert "level=public" in (own_home.parent / "mine.txt").read_text("utf-8")
    assert [one.name for one in twin.formed()] == ["spring"]


def test_claims_from_outside_are_listed_accepted_and_refused(run: Run, twin: Twin) -> None:
    one, two = twin.propose_claim("Decides by a prototype."), twin.propose_claim("Distrusts round numbers.")

    assert "Distrusts round numbers." in run("%twin claims")
    assert "1 claim waits" in run(f"%twin claims accept {one}")
    assert "0 claims wait" in run(f"%twin claims refuse {two}")
    assert "is no answer" in run("%twin claims maybe", fails=True)
    assert [found.state for found in twin.archive.carried(None)] == ["accepted", "refused"]
