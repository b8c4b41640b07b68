"""What one does with an answer in the notebook chat: whom it was for, lines, councils, thumbs, own versions, trials."""
from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import ipywidgets as widgets
import pytest

from tests.notebook.chats import (
    Paced,
    button,
    buttons,
    chooser,
    pages,
    pick,
    seen,
    spoken,
    type_in,
)
from tests.notebook.on_screen import HOSTILE, Page, inside, until
from tests.test_reflection_faults import operation, proven
from twin import roles
from twin.archive import Archive
from twin.chat import Twin
from twin.engine.scripted import ScriptedEngine
from twin.errors import TwinError, UsageError
from twin.home import Home
from twin.notebook.chat import Chat
from twin.notebook.telling import Telling
from twin.proposals import Proposal
from twin.reflecting import IDLE_S
from twin.reflection import TURNS, Due, Reflection
from twin.role_book import RoleBook
from twin.text import clean, printable
from twin.types import Conversation, Message, Opinion, Prompt, Verdict
from twin.watchdog import Alarm
from twin.words import Words

TAGS = {"div", "span", "details", "summary", "p", "br", "strong", "code"}
ATTRIBUTES = {"dir", "class", "style"}


def weighing(verdict: Verdict) -> str:
    """A verdict as a chat draws it."""
    return Telling(Words("twin.notebook", "en"), {"critic": "Critic", "scribe": "Scribe"}).weighing(verdict)


# ---- whom it was for, lines, councils -------------------------------------------------------------------------------

@pytest.mark.parametrize("question", ["How warm is it?", "Сколько градусов?"])
def test_one_choice_below_an_answer_tells_the_router_whom_it_was_for(make: Callable[..., Chat], question: str) -> None:
    chat = make("a", "b")
    first, _ = chat.send(question), chat.send("Something else entirely")
    buttons(chat, "What to do with this answer")[0].click()
    offer = next(each for each in inside(chat.view) if isinstance(each, widgets.Dropdown)
                 and each.options[0][0] == "This was for …")
    assert [value for _, value in offer.options] == ["", *chat.twin.role_map.ids, "none"]
    offer.value = "critic"
    until(lambda: "Learned: it was for Critic." in seen(chat))
    assert [(said.turn, said.label) for said in chat.twin.archive.corrections()] == [(first.id, "critic")]
    assert seen(chat).index("Learned") < seen(chat).index("Something else")


def test_correct_without_clicking_takes_the_last_turn_and_nobody(make: Callable[..., Chat]) -> None:
    chat = make("a")
    with pytest.raises(UsageError, match="Nothing was answered"):
        chat.correct("critic")
    turn = chat.send("How warm is it?")
    assert chat.correct("none").turn == turn.id
    assert "it was for nobody" in seen(chat)
    with pytest.raises(UsageError, match="wizard"):
        chat.correct("wizard")
    assert [said.label for said in chat.twin.archive.corrections()] == ["none"]


def test_a_correction_while_the_twin_answers_is_told_to_wait(make: Callable[..., Chat]) -> None:
    engine = Paced(["one", "one two three four"], waits=True)
    chat = make(engine=engine)
    chat.send("How warm is it?")
    offer = chooser(chat, "This was for …")
    type_in(chat, "Count")
    until(engine.waiting.is_set)
    offer.value = "critic"
    until(lambda: "still at work" in seen(chat))
    chat.stop()
    until(lambda: not chat.gate.locked())
    assert chat.twin.archive.corrections() == []


def test_a_fork_asks_again_on_a_line_of_its_own_and_the_chat_goes_on_there(make: Callable[..., Chat]) -> None:
    chat = make(engine=ScriptedEngine(spoken))
    lines = chooser(chat, "Line")
    assert lines.layout.display == "none"
    first = chat.send("When do I sow peas?", role="scribe")
    again = chat.fork("critic")
    assert (again.question, again.answer) == ("When do I sow peas?", "critic says so.")
    assert again.conversation != first.conversation
    assert [label for label, _ in lines.options] == ["trunk", "critic"]
    assert (lines.label, lines.layout.display) == ("critic", "")
    assert "line critic" in seen(chat)
    assert chat.send("And beans?").answer == "critic says so."
    chat.line("trunk")
    assert chat.send("And leeks?", role="mentor").conversation == first.conversation
    assert len(chat.twin.lines.history(again.conversation)) == 2


def test_clicking_fork_asks_again_and_offers_itself_anew(make: Callable[..., Chat]) -> None:
    chat = make(engine=ScriptedEngine(spoken))
    picker = chooser(chat, "Role")
    picker.value = "scribe"
    chat.send("When do I sow peas?")
    offer = chooser(chat, "Fork as …")
    offer.value = "critic"
    until(lambda: len(chat.turns) == 2 and not button(chat, "Send").disabled)
    assert chat.turns[1].answer == "critic says so."
    assert offer.value == ""
    assert picker.value == "auto", "the line has a role of its own"


def test_a_fork_that_cannot_be_made_says_why_below_the_answer(make: Callable[..., Chat]) -> None:
    chat = make(engine=ScriptedEngine(spoken))
    turn = chat.send("When do I sow peas?")
    offer = chooser(chat, "Fork as …")
    chat.twin.forget(f"twin:{turn.conversation}/{turn.id}")
    offer.value = "critic"
    until(lambda: "No turn begins with" in seen(chat))
    assert len(chat.turns) == 1


@pytest.mark.parametrize(("language", "names", "said"), [
    ("en", ("Good", "Bad"), "Noted: "), ("ru", ("Хорошо", "Плохо"), "Отмечено: ")])
def test_a_click_below_an_answer_says_whether_it_was_good(
        make: Callable[..., Chat], language: str, names: tuple[str, str], said: str) -> None:
    chat = make("a", "b", language=language)
    first = chat.send("How warm is it?" if language == "en" else "Сколько градусов?")
    for thumb, name in zip((1, -1), names, strict=True):
        button(chat, name).click()
        until(lambda thumb=thumb: [(one.turn, one.kind, one.body) for one in chat.twin.archive.signals()]
              == [(first.id, "thumb", thumb)] and not chat.gate.locked())
    until(lambda: said in seen(chat))


def test_again_asks_the_same_in_the_same_role_without_the_answer_before(make: Callable[..., Chat]) -> None:
    engine = ScriptedEngine(["in April", "in March", "beans", "in May"])
    chat = make(engine=engine)
    first = chat.send("When do I sow peas?", role="scribe")
    chooser(chat, "Role").value = "critic"
    button(chat, "Again").click()
    until(lambda: len(chat.turns) == 2 and not button(chat, "Send").disabled)
    turn = chat.turns[-1]
    assert (turn.question, turn.answer, turn.route.role) == ("When do I sow peas?", "in March", "scribe")
    assert "in April" not in engine.prompts[-1].text
    assert turn.conversation != first.conversation
    assert [(one.turn, one.kind) for one in chat.twin.archive.signals()] == [(first.id, "regenerated")]
    assert "Asked again on a new line of thinking" in seen(chat)
    assert chat.send("And beans?").route.role == "critic", "the role picked on the screen is not lost"
    assert chat.again(first).answer == "in May"
    chat.line("trunk")
    assert [one.answer for one in chat.twin.archive.turns(chooser(chat, "Line").value)] == ["in April"]


def test_the_own_version_of_an_answer_is_written_below_it_and_the_answer_stays(make: Callable[..., Chat]) -> None:
    hostile = "<b>Dear</b> Sir"
    chat = make(hostile, "b")
    turn = chat.send("Write to the airfield")
    button(chat, "Edit").click()
    field = next(each for each in inside(chat.view) if isinstance(each, widgets.Textarea) and each.value == hostile)
    button(chat, "Keep").click()
    until(lambda: "says the same as the answer" in seen(chat) and not chat.gate.locked())
    assert chat.twin.archive.signals() == []
    field.value = "Hello, <i>airfield</i>"
    button(chat, "Keep").click()
    until(lambda: "Your version is kept" in seen(chat))
    assert [(one.turn, one.kind, one.body) for one in chat.twin.archive.signals()] == [
        (turn.id, "edited", "Hello, <i>airfield</i>")]
    assert chat.twin.archive.turns() == [turn]
    assert {tag for page in pages(chat) for tag in Page(page).tags} <= TAGS
    until(lambda: not chat.gate.locked())
    chat.send("Next")
    assert field in list(inside(chat.view)), "what is being written is not put away"
    buttons(chat, "Edit")[0].click()
    assert field not in list(inside(chat.view)), "the same button puts the field away"


def test_what_one_makes_of_an_answer_needs_no_click_but_an_answer(make: Callable[..., Chat]) -> None:
    chat = make("a")
    for job in (lambda: chat.rate(True), lambda: chat.edit("b"), chat.again):
        with pytest.raises(UsageError, match="Nothing was answered"):
            job()
    chat.send("How warm is it?")
    chat.rate(False)
    chat.edit("b")
    assert [one.kind for one in chat.twin.archive.signals()] == ["thumb", "edited"]


def test_the_toggle_beside_send_calls_a_council_whose_weights_are_bars(make: Callable[..., Chat]) -> None:
    chat = make(engine=ScriptedEngine(spoken))
    toggle = next(each for each in inside(chat.view)
                  if isinstance(each, widgets.ToggleButton) and each.description == "Council")
    toggle.value = True
    turn = chat.send("Which tomato seeds do I buy?")
    assert turn.verdict is not None
    shown = seen(chat)
    assert all(f"{chat.telling.title(one.role)}: {one.text}" in shown for one in turn.verdict.hypotheses)
    assert all(f"{one.weight:.2f} " in shown for one in turn.verdict.opinions)
    assert all(f"width:{100 * one.weight:.0f}%" in "".join(pages(chat)) for one in turn.verdict.opinions)
    assert f"{turn.verdict.none:.2f} none of these" in shown
    assert shown.count("dissent, ") == len(turn.verdict.dissent)
    assert f"count as {turn.verdict.votes:.1f} independent votes" in shown and "uncalibrated" in shown
    toggle.value = False
    assert chat.send("And leeks?").verdict is None


def test_a_council_without_clicking_takes_members_and_a_control(make: Callable[..., Chat]) -> None:
    chat = make(engine=ScriptedEngine(spoken))
    turn = chat.council("Which tomato seeds do I buy?", ["critic", "scribe"], control=True)
    assert turn.verdict is not None and turn.verdict.control is not None
    assert [one.role for one in turn.verdict.hypotheses] == ["critic", "scribe"]
    assert f"one role instead, {turn.verdict.control.role}" in seen(chat)
    assert chat.fork("council").verdict is not None


def test_only_calibrated_weights_are_percentages() -> None:
    opinions = (Opinion("Peas.", .7, ("critic",), (.5, .8)), Opinion("Beans.", .2, ("scribe",)))
    calibrated = Page(weighing(Verdict((), opinions, .1, 1.5, calibrated=200, dissent=(1,)))).text
    prior = Page(weighing(Verdict((), opinions, .1, 1.5))).text
    assert "70% [50%, 80%] Critic: Peas." in calibrated and "20% dissent, Scribe: Beans." in calibrated
    assert "uncalibrated" not in calibrated
    assert "%" not in prior and "0.70 [0.50, 0.80] Critic" in prior


# ---- an adapter ------------------------------------------------------------------------------------------------------

def voiced(home: Path) -> None:
    """The critic speaks through an adapter."""
    text = roles.seed_files()["critic.md"].decode()
    head, _, rest = text.partition("\n---\n")
    (home / "roles").mkdir(parents=True, exist_ok=True)
    for name, content in roles.seed_files().items():
        (home / "roles" / name).write_bytes(content)
    adapter = "adapter:\n  path: some.gguf\n  scale: 0.8"
    (home / "roles" / "critic.md").write_text(f"{head}\n{adapter}\n---\n{rest}", "utf-8")


def test_the_scale_of_an_adapter_has_a_slider_where_the_role_has_one(make: Callable[..., Chat], own_home: Path) -> None:
    voiced(own_home)
    chat = make()
    slider, picker = pick(chat, widgets.FloatSlider), chooser(chat, "Role")
    assert slider.layout.display == "none"
    picker.value = "critic"
    assert (slider.layout.display, slider.value) == ("", 0.8)
    for move in (0.9, 1.1, 1.25):
        slider.value = move
    until(lambda: chat.twin.role_map.role("critic").adapter.scale == 1.25)
    assert len(chat.twin.role_book.history()) == 2, "one version for three moves"
    picker.value = "scribe"
    assert slider.layout.display == "none"
    until(lambda: not chat.gate.locked())
    chat.tune(0.5, "critic")
    assert chat.twin.role_map.role("critic").adapter.scale == 0.5
    with pytest.raises(UsageError, match="no adapter"):
        chat.tune(0.5, "scribe")


# ---- proposals -------------------------------------------------------------------------------------------------------

def proposed(own_home: Path) -> tuple[Reflection, Proposal]:
    """A proposal that its proof found too little data for, in the home of the chat."""
    home = Home(own_home)
    archive = Archive(home)
    reflection = Reflection(home, archive, RoleBook(home, archive), lambda: ScriptedEngine([]))
    made = proven(reflection, operation("two files"), "unproven")
    reflection.shown()
    return reflection, made


def test_what_waits_and_alarms_stand_above_the_chat(
        make: Callable[..., Chat], own_home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert seen(make("Nine.")).strip() == ""
    _, made = proposed(own_home)
    monkeypatch.setattr(Twin, "watch", lambda _: [Alarm("<i>p-1</i>", "feedback", 0.2, 0.8, 12)])
    chat = make("Nine.")
    assert "Proposals that wait for you: 1." in seen(chat)
    assert "<i>p-1</i>: 20% of 12 ratings are good" in seen(chat)
    assert {tag for page in pages(chat) for tag in Page(page).tags} == {"div"}
    assert made.id not in seen(chat)


def test_one_button_ends_a_trial_and_goes(make: Callable[..., Chat], own_home: Path) -> None:
    reflection, made = proposed(own_home)
    before = roles.on_disk(own_home / "roles")
    reflection.attempt(made.id)
    chat = make()
    assert f"{made.id} is on trial until" in seen(chat) and "Take it back: End the trial." in seen(chat)
    pressed = button(chat, "End the trial")
    pressed.click()
    until(lambda: f"{made.id} is taken back" in seen(chat) and not chat.gate.locked())
    assert roles.on_disk(own_home / "roles") == before
    assert pressed not in list(inside(chat.view))
    with pytest.raises(UsageError, match="Nothing is on trial"):
        chat.rollback()


def test_when_it_is_due_the_twin_reflects_after_a_turn_and_says_what_is_new(
        make: Callable[..., Chat], own_home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[float] = []

    def reflect(self: Reflection, budget: float, *, cancel: Callable[[], bool]) -> None:
        assert not self._busy() and not cancel()
        proposed(own_home)
        asked.append(budget)

    monkeypatch.setattr(Reflection, "reflect", reflect)
    monkeypatch.setattr(Reflection, "due", lambda _: Due(TURNS, 0))
    chat = make("a")
    chat.send("How warm is it?")
    until(lambda: "Proposals that wait for you: 1." in seen(chat))
    assert asked == [IDLE_S]


def test_a_fault_of_what_nobody_asked_for_is_logged_by_its_kind_alone(
        make: Callable[..., Chat], monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    def broken(*_: Any, **__: Any) -> None:
        raise UsageError("the secret word is barometer", "Say it again.")

    caplog.set_level("INFO", "twin.reflecting")
    monkeypatch.setattr(Reflection, "due", lambda _: Due(TURNS, 0))
    monkeypatch.setattr(Reflection, "reflect", broken)
    twin = make().twin
    assert not twin.idle(cancel=lambda: True) and not caplog.records, "the person is asking by now"
    assert not twin.idle()
    assert [one.getMessage() for one in caplog.records] == ["no reflection at idle: UsageError"]
    for _ in twin._turn(iter("ab")):
        assert not twin.idle()
    assert len(caplog.records) == 1, "never in the middle of a turn"


# ---- text from outside is data ------------------------------------------------------------------------------------

def safe(parsed: list[Page]) -> None:
    assert {tag for page in parsed for tag in page.tags} <= TAGS
    assert {name for page in parsed for name in page.attributes} <= ATTRIBUTES


@pytest.mark.parametrize("text", HOSTILE)
def test_hostile_text_makes_no_element_and_stays_readable(make: Callable[..., Chat], text: str) -> None:
    """From the person, from memories, from the core and from an error: `HTML` is innerHTML of a trusted page."""
    chat = make(f"Well: `{text}`")
    chat.twin.add([Conversation("h", (Message("h1", "user", f"quick barometer note {text}"),))])
    chat.send(f"that quick barometer note {text}")
    with pytest.raises(TwinError):
        chat.send(text)  # the script is at its end
    parsed = [Page(page) for page in pages(chat)]
    safe(parsed)
    everything = "\n".join(page.text for page in parsed)
    shown = printable(clean(text))
    assert f"Well: {shown}" in everything
    assert everything.count(shown) >= 4, "question, answer, memory and the second question"


@pytest.mark.parametrize("text", HOSTILE)
def test_hostile_claims_make_no_element(make: Callable[..., Chat], text: str) -> None:
    def said(asked: Prompt) -> str:
        return json.dumps({"evidence": [], "claim": f"{asked.role} {text}", "prediction": f"then {text}",
                           "falsifier": "", "unit": ""})

    chat = make(engine=ScriptedEngine(said))
    turn = chat.council("Well?")
    chat.fork("critic", name=text)
    assert turn.verdict is not None
    remarks = Page(weighing(replace(turn.verdict, missing=(text,), failed={"scribe": text})))
    safe([*map(Page, pages(chat)), remarks])
    assert all(printable(clean(one.text)) in seen(chat) for one in turn.verdict.hypotheses)
    assert f"line {printable(clean(text))}" in seen(chat)
    assert f"to be measured: {printable(clean(text))}" in remarks.text
