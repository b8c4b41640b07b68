"""The notebook chat: a real Twin with a scripted core, the widgets' own state, clicks as the browser reports them."""
from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import ipywidgets as widgets
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.test_reflection_faults import operation, proven
from twin import roles
from twin.archive import Archive
from twin.catalog import Catalog
from twin.chat import Twin
from twin.engine.scripted import ScriptedEngine
from twin.errors import ModelMissing, TwinError, UsageError
from twin.home import Home
from twin.proposals import Proposal
from twin.reflecting import IDLE_S
from twin.reflection import TURNS, Due, Reflection
from twin.role_book import RoleBook
from twin.text import clean, printable
from twin.types import Conversation, Message, Opinion, Piece, Prompt, Sampling, Verdict, never
from twin.watchdog import Alarm
from twin.widget import REDRAW_S, Chat
from twin.widget_text import escaped, weighing

NOTE = Conversation("c1", (
    Message("m1", "user", "Барометр на крыше врёт на два гектопаскаля, сравни его с аэродромным."),
    Message("m2", "user", "I want the rooftop barometer compared with the airfield every morning."),
))


class Paced(ScriptedEngine):
    """Words in a rhythm, `rest` seconds between two; forever slow after the third when `waits`."""

    def __init__(self, answers: list[str], *, rest: float = 0.0, waits: bool = False) -> None:
        super().__init__(answers)
        self.rest, self.waits = rest, waits
        self.waiting = threading.Event()

    def stream(self, prompt: Prompt, sampling: Sampling, *, schema: Mapping[str, Any] | None = None,
               cancel: Callable[[], bool] = never) -> Iterator[Piece]:
        for number, piece in enumerate(super().stream(prompt, sampling, schema=schema, cancel=cancel)):
            time.sleep(self.rest)
            yield piece
            patience = time.monotonic() + 20
            if number == 2:
                self.waiting.set()
            while self.waits and number == 2 and not cancel() and time.monotonic() < patience:
                time.sleep(0.01)


@pytest.fixture
def make(own_home: Path) -> Iterator[Callable[..., Chat]]:
    """Chats on a twin of their own home, closed at the end."""
    opened: list[Twin] = []

    def chat(*answers: str, engine: ScriptedEngine | None = None) -> Chat:
        core = engine or ScriptedEngine(answers)
        opened.append(Twin(Home(own_home), engine=core, catalog=Catalog(own_home / "no models")))
        return Chat(opened[-1])

    yield chat
    for twin in opened:
        twin.close()


CLAIMS = {"critic": "You keep your own seeds.", "mentor": "You keep your own seeds.", "scribe": "You buy 3 packets."}


def spoken(asked: Prompt) -> str:
    """Each role by its name; in a council a claim, of whoever is not in CLAIMS that it is unknown."""
    if "JSON" not in "".join(segment.text for segment in asked.tail):
        return f"{asked.role} says so."
    return json.dumps({"evidence": [], "claim": CLAIMS.get(asked.role, "Unknown."), "prediction": "",
                       "falsifier": "", "unit": ""})


def inside(view: Any) -> Iterator[Any]:
    """A widget and all below it."""
    yield view
    for child in getattr(view, "children", ()):
        yield from inside(child)


def pages(chat: Chat) -> list[str]:
    """The HTML of the transcript, in the order of the screen."""
    return [each.value for each in inside(chat.view) if isinstance(each, widgets.HTML)]


class Page(HTMLParser):
    """Text and elements of a page, read as a browser reads them."""

    def __init__(self, source: str) -> None:
        super().__init__(convert_charrefs=True)
        self.text = ""
        self.tags: list[tuple[str, list[tuple[str, str | None]]]] = []
        self.feed(source)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, attrs))

    def handle_data(self, data: str) -> None:
        self.text += data


def seen(chat: Chat) -> str:
    """What a person reads in the transcript."""
    return "\n".join(Page(page).text for page in pages(chat))


def button(chat: Chat, name: str) -> Any:
    return next(each for each in inside(chat.view) if isinstance(each, widgets.Button) and each.description == name)


def pick(chat: Chat, kind: type[Any]) -> Any:
    return next(each for each in inside(chat.view) if isinstance(each, kind))


def chooser(chat: Chat, prompt: str) -> Any:
    """The last dropdown that is called so, or whose first choice reads so."""
    return [each for each in inside(chat.view) if isinstance(each, widgets.Dropdown)
            and prompt in (each.description, each.options[0] if isinstance(each.options[0], str)
                           else each.options[0][0])][-1]


def until(condition: Callable[[], object]) -> None:
    patience = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < patience, "it did not come within 20 s"
        time.sleep(0.01)


# ---- a turn -----------------------------------------------------------------------------------------------------

def test_send_draws_question_reason_answer_and_returns_the_turn(make: Callable[..., Chat]) -> None:
    chat = make("Сравните с эталоном.")
    turn = chat.send("Почему мой барометр врёт?")
    assert turn.answer == "Сравните с эталоном."
    assert chat.turns == [turn]
    shown = seen(chat)
    assert "Почему мой барометр врёт?" in shown
    assert turn.route.reason in shown
    assert "Сравните с эталоном." in shown
    assert chat.twin.archive.turns()[0].answer == turn.answer


def test_turns_follow_each_other_in_one_conversation(make: Callable[..., Chat]) -> None:
    chat = make("one", "two")
    assert chat.send("first").conversation == chat.send("second").conversation
    shown = seen(chat)
    assert shown.index("first") < shown.index("one") < shown.index("second") < shown.index("two")


def test_memories_stand_folded_below_the_answer_with_their_messages(make: Callable[..., Chat]) -> None:
    chat = make("As you wrote [1].")
    chat.twin.add([NOTE])
    turn = chat.send("Compare the rooftop barometer with the airfield")
    assert turn.memories
    folded = pick(chat, widgets.Accordion)
    assert folded.selected_index is None
    inner = "\n".join(Page(each.value).text for each in inside(folded) if isinstance(each, widgets.HTML))
    assert "[1]" in inner and "(used)" in inner
    assert all(memory.text in inner and memory.message_ids[0] in inner for memory in turn.memories)


def test_the_role_picker_names_the_role_and_auto_lets_the_router_choose(make: Callable[..., Chat]) -> None:
    chat = make("a", "b", "c")
    picker = pick(chat, widgets.Dropdown)
    assert picker.options == ("auto", *chat.twin.role_map.ids)
    assert not chat.send("How warm is it?").route.asked
    picker.value = "critic"
    assert chat.send("How warm is it?").route.role == "critic"
    assert chat.send("How warm is it?", role="scribe").route.role == "scribe"


def test_clicking_send_asks_what_was_typed_and_empties_the_field(make: Callable[..., Chat]) -> None:
    chat = make("Прочитано.")
    field = pick(chat, widgets.Textarea)
    field.value = "Что там\nс весами?"
    button(chat, "Send").click()
    until(lambda: chat.turns)
    assert chat.turns[0].question == "Что там\nс весами?"
    assert field.value == ""
    button(chat, "Send").click()
    assert threading.active_count() < 50 and len(chat.turns) == 1, "an empty field asks nothing"


def test_stop_keeps_what_was_written_and_frees_the_chat(make: Callable[..., Chat]) -> None:
    engine = Paced(["one two three four five", "later"], waits=True)
    chat = make(engine=engine)
    pick(chat, widgets.Textarea).value = "Count"
    button(chat, "Send").click()
    until(engine.waiting.is_set)
    assert button(chat, "Send").disabled and not button(chat, "Stop").disabled
    with pytest.raises(UsageError, match="still answering"):
        chat.send("Impatient")
    button(chat, "Stop").click()
    until(lambda: not button(chat, "Send").disabled)
    assert chat.turns[0].status == "interrupted"
    assert chat.turns[0].answer == "one two three"
    assert "one two three" in seen(chat) and "four" not in seen(chat) and "stopped" in seen(chat)
    assert chat.send("Go on").answer == "later"


def test_a_long_answer_updates_one_trait_at_most_ten_times_a_second(make: Callable[..., Chat]) -> None:
    """Each update is a message to the browser with the whole text; a fast core would drown it."""
    answer = " ".join(f"word{number}" for number in range(120))
    chat = make(engine=Paced([answer], rest=0.005))
    drawn: list[float] = []

    def watch(change: Any) -> None:
        for each in inside(change.new[-1]):
            if isinstance(each, widgets.HTML):
                each.observe(lambda it: drawn.append(time.monotonic()) if "word0" in it.new else None, "value")

    chat._log.observe(watch, "children")
    start = time.monotonic()
    chat.send("Speak")
    seconds = time.monotonic() - start
    assert 2 <= len(drawn) <= seconds / REDRAW_S + 2 <= seconds * 10 + 2
    assert answer in seen(chat), "the last state always arrives"


# ---- whom it was for, lines, councils -------------------------------------------------------------------------------

@pytest.mark.parametrize("question", ["How warm is it?", "Сколько градусов?"])
def test_one_choice_below_an_answer_tells_the_router_whom_it_was_for(make: Callable[..., Chat], question: str) -> None:
    chat = make("a", "b")
    first, _ = chat.send(question), chat.send("Something else entirely")
    offers = [each for each in inside(chat.view) if isinstance(each, widgets.Dropdown)]
    assert [label for label, _ in offers[0].options] == ["This was for …", *chat.twin.role_map.ids, "nobody"]
    offers[0].value = "critic"
    assert [(said.turn, said.label) for said in chat.twin.archive.corrections()] == [(first.id, "critic")]
    assert "Learned: it was for critic." in seen(chat)
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
    pick(chat, widgets.Textarea).value = "Count"
    button(chat, "Send").click()
    until(engine.waiting.is_set)
    chooser(chat, "This was for …").value = "critic"
    assert "still answering" in seen(chat)
    button(chat, "Stop").click()
    until(lambda: not button(chat, "Send").disabled)
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
    assert "line critic · critic" in seen(chat)
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


@pytest.mark.parametrize(("question", "names", "said"), [
    ("How warm is it?", ("Good", "Bad"), "Noted: "), ("Сколько градусов?", ("Хорошо", "Плохо"), "Отмечено: ")])
def test_a_click_below_an_answer_says_whether_it_was_good(
        make: Callable[..., Chat], question: str, names: tuple[str, str], said: str) -> None:
    chat = make("a", "b")
    first, _ = chat.send(question), chat.send("Something else entirely")
    for thumb, name in zip((1, -1), names, strict=True):
        button(chat, name).click()
        assert [(one.turn, one.kind, one.body) for one in chat.twin.archive.signals()] == [(first.id, "thumb", thumb)]
    assert said in seen(chat) and seen(chat).index(said) < seen(chat).index("Something else")


def test_again_asks_the_same_in_the_same_role_without_the_answer_before(make: Callable[..., Chat]) -> None:
    engine = ScriptedEngine(["in April", "in March", "beans", "in May"])
    chat = make(engine=engine)
    first = chat.send("When do I sow peas?", role="scribe")
    chat._role.value = "critic"
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
    assert [one.answer for one in chat.twin.archive.turns(chat._where.value)] == ["in April"]


def test_the_own_version_of_an_answer_is_written_below_it_and_the_answer_stays(make: Callable[..., Chat]) -> None:
    hostile = "<b>Dear</b> Sir"
    chat = make(hostile)
    turn = chat.send("Напиши на аэродром")
    button(chat, "Правка").click()
    field = next(each for each in inside(chat.view) if isinstance(each, widgets.Textarea) and each.value == hostile)
    button(chat, "OK").click()
    assert "says the same as the answer" in seen(chat) and chat.twin.archive.signals() == []
    field.value = "Привет, <i>аэродром</i>"
    button(chat, "OK").click()
    assert [(one.turn, one.kind, one.body) for one in chat.twin.archive.signals()] == [
        (turn.id, "edited", "Привет, <i>аэродром</i>")]
    assert "Ваш вариант сохранён" in seen(chat)
    assert chat.twin.archive.turns() == [turn]
    assert {tag for page in pages(chat) for tag, _ in Page(page).tags} == {"div"}
    button(chat, "Правка").click()
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


def proposed(own_home: Path) -> tuple[Reflection, Proposal]:
    """A proposal that its proof found too little data for, in the home of the chat."""
    home = Home(own_home)
    archive = Archive(home)
    reflection = Reflection(home, archive, RoleBook(home, archive), lambda: ScriptedEngine([]))
    made = proven(reflection, operation("two files"), "unproven")
    reflection.shown()
    return reflection, made


def test_what_waits_and_alarms_stand_above_the_chat_in_the_persons_language(
        make: Callable[..., Chat], own_home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert seen(make("Девять.")).strip() == ""
    _, made = proposed(own_home)
    monkeypatch.setattr(Twin, "watch", lambda _: [Alarm("<i>p-1</i>", "feedback", 0.2, 0.8, 12)])
    chat = make("Девять.")
    assert "Proposals that wait for you: 1. See `twin proposals list`." in seen(chat)
    assert "<i>p-1</i>: 20% of 12 ratings are good" in seen(chat)
    assert {tag for page in pages(chat) for tag, _ in Page(page).tags} == {"div"}
    chat.send("Сколько градусов?")
    assert "Предложений ждут вас: 1." in seen(make()) and made.id not in seen(chat)


def test_one_button_ends_a_trial_and_goes(make: Callable[..., Chat], own_home: Path) -> None:
    reflection, made = proposed(own_home)
    before = roles.on_disk(own_home / "roles")
    reflection.attempt(made.id)
    chat = make()
    assert f"{made.id} is on trial until" in seen(chat) and "Take it back: End the trial." in seen(chat)
    pressed = button(chat, "End the trial")
    pressed.click()
    until(lambda: f"{made.id} is taken back" in seen(chat))
    assert roles.on_disk(own_home / "roles") == before
    assert pressed not in list(inside(chat.view))
    with pytest.raises(UsageError, match="Nothing is on trial"):
        chat.rollback()


def test_the_button_of_a_trial_speaks_russian_after_a_russian_question(
        make: Callable[..., Chat], own_home: Path) -> None:
    make("Девять.").send("Сколько градусов?")
    reflection, made = proposed(own_home)
    reflection.attempt(made.id)
    chat = make()
    assert f"{made.id} на пробе" in seen(chat)
    button(chat, "Закончить пробу").click()
    until(lambda: f"{made.id} возвращено" in seen(chat))


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


def test_the_toggle_beside_send_calls_a_council_whose_weights_are_drawn(make: Callable[..., Chat]) -> None:
    chat = make(engine=ScriptedEngine(spoken))
    toggle = pick(chat, widgets.ToggleButton)
    toggle.value = True
    turn = chat.send("Which tomato seeds do I buy?")
    assert turn.verdict is not None
    shown = seen(chat)
    assert all(f"{one.role}: {one.text}" in shown for one in turn.verdict.hypotheses)
    assert all(f"{one.weight:.2f} " in shown for one in turn.verdict.opinions)
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
    assert "70% [50%, 80%] critic: Peas." in calibrated and "20% dissent, scribe: Beans." in calibrated
    assert "uncalibrated" not in calibrated
    assert "%" not in prior and "0.70 [0.50, 0.80] critic" in prior


def test_a_broken_hand_edit_of_a_role_is_said(make: Callable[..., Chat]) -> None:
    chat = make("a", "b")
    chat.send("How warm is it?")
    (chat.twin.home.roles / "critic.md").write_text("---\nid: [\n---\n", "utf-8")
    chat.send("And now?")
    assert "critic.md" in seen(chat) and "the roles before that edit stay active" in seen(chat)


# ---- what can go wrong ------------------------------------------------------------------------------------------

def test_an_error_is_drawn_with_its_next_step_and_raised_by_send(own_home: Path) -> None:
    with Twin(Home(own_home), catalog=Catalog(own_home / "no models")) as twin:
        chat = Chat(twin)
        with pytest.raises(ModelMissing):
            chat.send("Anyone there?")
        assert "No core is on this machine yet." in seen(chat) and "twin models pull" in seen(chat)
        assert not button(chat, "Send").disabled


def test_an_error_after_a_click_is_drawn_and_the_next_question_works(
        make: Callable[..., Chat], recwarn: pytest.WarningsRecorder) -> None:
    chat = make()
    pick(chat, widgets.Textarea).value = "Hello"
    button(chat, "Send").click()
    until(lambda: "Give ScriptedEngine more answers." in seen(chat) and not button(chat, "Send").disabled)
    assert not chat.turns
    with pytest.raises(TwinError):
        chat.send("Again")
    assert not [each for each in recwarn if "thread" in str(each.message).lower()], "no thread died of it"


def test_a_core_that_says_nothing_is_named(make: Callable[..., Chat]) -> None:
    chat = make("")
    chat.send("Silence?")
    assert "ended without a word" in seen(chat)


# ---- text from outside is data ------------------------------------------------------------------------------------

HOSTILE = ["<script>alert(1)</script>", "<img src=x onerror=alert(1)>", "</div><iframe src=javascript:alert(1)>",
           "\"><svg/onload=alert(1)>", "&lt;b&gt; & &amp;", "<!--", "]]><x>", "<style>*{display:none}</style>"]


@pytest.mark.parametrize("text", HOSTILE)
def test_hostile_text_makes_no_element_and_stays_readable(make: Callable[..., Chat], text: str) -> None:
    """From the person, from memories, from the core and from an error: `HTML` is innerHTML of a trusted page."""
    chat = make(f"Well: {text}")
    chat.twin.add([Conversation("h", (Message("h1", "user", f"quick barometer note {text}"),))])
    chat.send(f"that quick barometer note {text}")
    with pytest.raises(TwinError):
        chat.send(text)  # the script is at its end
    parsed = [Page(page) for page in pages(chat)]
    assert {tag for page in parsed for tag, _ in page.tags} == {"div"}
    assert {name for page in parsed for _, attrs in page.tags for name, _ in attrs} == {"dir", "style"}
    everything = "\n".join(page.text for page in parsed)
    assert f"Well: {text}" in everything
    assert everything.count(text) >= 4, "question, answer, memory and the second question"


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
    parsed = [*map(Page, pages(chat)), remarks]
    assert {tag for page in parsed for tag, _ in page.tags} == {"div"}
    assert {name for page in parsed for _, attrs in page.tags for name, _ in attrs} == {"dir", "style"}
    assert all(one.text in seen(chat) for one in turn.verdict.hypotheses)
    assert f"line {text} · critic" in seen(chat)
    assert f"to be measured: {text}" in remarks.text and f"scribe gave nothing that can be used: {text}" in remarks.text


@given(st.text(max_size=200), st.sampled_from(["", "opacity:.6"]))
def test_any_text_becomes_one_div_with_exactly_that_text(text: str, style: str) -> None:
    page = Page(escaped(text, style))
    assert [tag for tag, _ in page.tags] == ["div"]
    assert page.text == printable(clean(text))


# ---- in a notebook --------------------------------------------------------------------------------------------------

def test_the_repr_is_short_and_tells_nothing_of_what_was_said(make: Callable[..., Chat]) -> None:
    """Saved notebooks and tracebacks carry reprs."""
    chat = make("a private answer")
    chat.send("a private question")
    bundle = chat._repr_mimebundle_()
    assert set(bundle) == {"text/plain", "application/vnd.jupyter.widget-view+json"}
    for shown in (repr(chat), bundle["text/plain"]):
        assert "private" not in shown and len(shown) < 100
    assert "1 turns" in repr(chat)
    assert bundle["application/vnd.jupyter.widget-view+json"]["model_id"] == chat.view.model_id


def test_twin_chat_is_this_widget(make: Callable[..., Chat]) -> None:
    assert isinstance(make().twin.chat(), Chat)
