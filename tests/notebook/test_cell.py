"""An answer streams into the cell that asked: what is displayed, how often, and what is kept out of it."""
from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.notebook.chats import NOTE, Paced, spoken
from tests.notebook.on_screen import HOSTILE, Page
from tests.notebook.test_chat_answers import ATTRIBUTES, TAGS
from tests.notebook.test_markdown import MARKS
from tests.notebook.test_markdown import TAGS as MARKDOWN
from twin.catalog import Catalog
from twin.chat import Twin
from twin.engine.scripted import ScriptedEngine
from twin.errors import UsageError
from twin.home import Home
from twin.notebook import cell
from twin.notebook.gate import gate
from twin.notebook.pace import REDRAW_S
from twin.types import Recalled, Route, Turn


class Screen:
    """The outputs of one cell after another: the last state of each, and when each was set."""

    def __init__(self) -> None:
        self.outputs: list[dict[str, str]] = []
        self.times: list[float] = []
        self.execution = "1"

    def display(self, made: dict[str, str], *, raw: bool, display_id: bool = False) -> Screen:
        assert raw and display_id in (True, False)
        self.outputs.append(made)
        self.times.append(time.monotonic())
        return self

    def update(self, made: dict[str, str], *, raw: bool) -> None:
        assert raw
        self.outputs[-1] = made
        self.times.append(time.monotonic())

    def text(self) -> str:
        return "\n".join(Page(one["text/html"]).text for one in self.outputs)


@pytest.fixture
def screen(monkeypatch: pytest.MonkeyPatch) -> Screen:
    made = Screen()
    monkeypatch.setattr("IPython.display.display", made.display)
    monkeypatch.setattr(cell, "_execution", lambda: made.execution)
    monkeypatch.delenv(cell.REDACT, raising=False)
    return made


@pytest.fixture
def opened(own_home: Path) -> Iterator[Callable[..., Twin]]:
    twins: list[Twin] = []

    def made(*answers: str, engine: ScriptedEngine | None = None, language: str = "en") -> Twin:
        core = engine or ScriptedEngine(answers)
        twins.append(Twin(Home(own_home), engine=core, catalog=Catalog(own_home / "no models")))
        twins[-1].language = language
        return twins[-1]

    yield made
    for twin in twins:
        twin.close()


def ask(twin: Twin, question: str, role: str | None = None, **how: Any) -> Turn:
    return cell.ask(twin, question, lambda cancel: twin.stream(question, role, cancel=cancel, **how))


def test_an_answer_is_one_output_with_role_reason_answer_memories_and_cost(
        opened: Callable[..., Twin], screen: Screen) -> None:
    twin = opened("As **you** wrote [1].")
    twin.add([NOTE])
    turn = ask(twin, "Compare the rooftop barometer with the airfield", "critic")
    assert len(screen.outputs) == 1
    html, text = screen.outputs[0]["text/html"], screen.text()
    assert "Critic You asked for Critic." in text and turn.route.reason in text
    assert "<strong>you</strong>" in html and "(used)" in text and turn.memories[0].text in text
    assert "tokens read" in text and "<details" in html and "<details open" not in html
    assert screen.outputs[0]["text/plain"].splitlines() == ["Critic, asked for", "As **you** wrote [1]."]


def test_updates_come_at_most_ten_times_a_second_and_the_last_state_always(
        opened: Callable[..., Twin], screen: Screen) -> None:
    answer = " ".join(f"word{number}" for number in range(150))
    ask(opened(engine=Paced([answer], rest=0.005)), "Speak")
    seconds = screen.times[-1] - screen.times[0]
    assert 4 <= len(screen.times) <= seconds / REDRAW_S + 4 <= seconds * 10 + 4
    assert answer in screen.text()


def test_a_turn_shows_itself_but_not_twice(opened: Callable[..., Twin], screen: Screen) -> None:
    twin = opened("one", "two")
    turn = ask(twin, "First")
    cell.show(turn)
    assert len(screen.outputs) == 1, "this cell has streamed it"
    screen.execution = "2"
    cell.show(turn)
    assert len(screen.outputs) == 2 and "one" in Page(screen.outputs[1]["text/html"]).text
    cell.show(turn)
    assert len(screen.outputs) == 3, "who shows it twice means it"


def test_of_several_answers_in_one_cell_each_after_the_first_says_what_was_asked(
        opened: Callable[..., Twin], screen: Screen) -> None:
    twin = opened("one", "two")
    ask(twin, "First question")
    ask(twin, "Second question")
    assert "First question" not in screen.text() and "Second question" in screen.text()


def test_a_council_shows_claims_weights_and_the_answer(opened: Callable[..., Twin], screen: Screen) -> None:
    turn = ask(opened(engine=ScriptedEngine(spoken)), "Which tomato seeds do I buy?", council=True)
    assert turn.verdict is not None
    text = screen.text()
    assert "Council" in text and f"{turn.verdict.none:.2f} none of these" in text
    assert all(one.text in text for one in turn.verdict.hypotheses) and turn.answer in text


def test_a_failure_is_raised_and_no_waiting_line_stays(opened: Callable[..., Twin], screen: Screen) -> None:
    twin = opened()
    with pytest.raises(UsageError, match="one more"):
        ask(twin, "Anyone there?")
    assert "no answer came of it" in screen.text() and "reading" not in screen.text()
    assert not gate(twin).locked()


def test_a_cell_waits_for_nobody_who_is_at_work(opened: Callable[..., Twin], screen: Screen) -> None:
    twin = opened("one")
    with gate(twin).alone(), pytest.raises(UsageError, match="still at work"):
        ask(twin, "Me too")
    assert not screen.outputs


def test_what_was_stopped_is_kept_and_said(opened: Callable[..., Twin], screen: Screen) -> None:
    engine = Paced(["one two three four five"], waits=True)
    twin = opened(engine=engine)
    stop = threading.Thread(target=lambda: (engine.waiting.wait(60), gate(twin).stop()))
    stop.start()
    turn = ask(twin, "Count")
    stop.join()
    assert (turn.status, turn.answer) == ("interrupted", "one two three")
    assert "stopped; what was written is kept" in screen.text()
    assert twin.archive.turns() == [turn]


def test_with_redaction_no_output_holds_a_word_of_it(
        opened: Callable[..., Twin], screen: Screen, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(cell.REDACT, "1")
    seen: list[str] = []
    monkeypatch.setattr(Screen, "update", lambda _, made, **__: seen.extend(made.values()))
    twin = opened("a secret answer about barometers")
    twin.add([NOTE])
    turn = ask(twin, "Compare the secret rooftop barometer with the airfield")
    screen.execution = "2"
    cell.show(turn)
    seen += [value for one in screen.outputs for value in one.values()]
    assert "An answer of 5 words" in seen[-1] and f"{cell.REDACT}=1" in seen[-1]
    assert not [one for one in seen if "secret" in one or "barometer" in one or "rooftop" in one]
    assert str(turn) == "a secret answer about barometers"


def test_in_russian_the_output_is_russian(opened: Callable[..., Twin], screen: Screen) -> None:
    ask(opened("Девять.", language="ru"), "Сколько?", "critic")
    assert screen.outputs[0]["text/plain"].startswith("Критик, по вашему выбору")
    assert "прочитано токенов" in screen.text()


@pytest.mark.parametrize("text", HOSTILE)
def test_hostile_text_makes_no_element(opened: Callable[..., Twin], screen: Screen, text: str) -> None:
    twin = opened(f"{text} and {text}", "two")
    ask(twin, text)
    ask(twin, text)
    for one in screen.outputs:
        page = Page(one["text/html"])
        assert page.tags <= TAGS | MARKDOWN and page.attributes <= ATTRIBUTES
        assert not {letter for letter in one["text/plain"] if letter in "\x1b\u202e"}


@given(st.one_of(st.text(max_size=200), MARKS.map("".join)))
def test_whatever_was_said_a_stored_turn_shows_itself_safely(text: str) -> None:
    turn = Turn("t", "c", text, text, Route(text, {text: 1.0}, text), "answered", text, "m", cited=(1,),
                dropped=(text,), memories=(Recalled((text,), text, 1.0, text),), thinking=text)
    page = Page(cell.bundle(turn)["text/html"])
    assert page.tags <= TAGS | MARKDOWN and page.attributes <= ATTRIBUTES | {"start"}


def test_in_a_terminal_an_answer_is_written_as_it_comes(opened: Callable[..., Twin]) -> None:
    written: list[str] = []
    turn = cell.spoken(opened("one two\x1b[31m three").stream("Count"), written.append)
    assert "".join(written) == "one two\ufffd[31m three\n" and len(written) > 3
    assert turn.status == "answered"


def test_outside_a_notebook_a_cell_is_nowhere() -> None:
    assert not cell.here()
