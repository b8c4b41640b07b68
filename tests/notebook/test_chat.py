"""The notebook chat: a real Twin with a scripted core, the widgets' own state, clicks as the browser reports them."""
from __future__ import annotations

import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import ipywidgets as widgets
import pytest

from tests.notebook.chats import NOTE, Paced, button, buttons, chooser, pages, pick, seen, spoken, type_in
from tests.notebook.on_screen import Page, inside, until
from twin.catalog import Catalog
from twin.chat import Twin
from twin.engine.scripted import ScriptedEngine
from twin.errors import ModelMissing, TwinError, UsageError
from twin.home import Home
from twin.notebook.chat import Chat
from twin.notebook.log import DRAWN
from twin.notebook.pace import REDRAW_S

# ---- a turn -----------------------------------------------------------------------------------------------------

def test_send_draws_question_role_reason_answer_and_returns_the_turn(make: Callable[..., Chat]) -> None:
    chat = make("Сравните с эталоном.")
    turn = chat.send("Почему мой барометр врёт?")
    assert turn.answer == "Сравните с эталоном."
    assert chat.turns == [turn]
    shown = seen(chat)
    assert "Почему мой барометр врёт?" in shown
    assert f"{chat.telling.title(turn.route.role)} {chat.telling.sure(turn.route)} · why" in shown
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
    assert turn.memories and turn.cited == (1,)
    page = next(each for each in pages(chat) if "<details" in each and "[1]" in each)
    assert "<details open" not in page
    inner = Page(page).text
    assert "[1]" in inner and "(used)" in inner and ", 1 used" in inner
    assert all(memory.text in inner and memory.message_ids[0] in inner for memory in turn.memories)


def test_markdown_of_an_answer_is_drawn(make: Callable[..., Chat]) -> None:
    chat = make("**Compare** them:\n\n- daily\n- `hPa`")
    chat.send("How?")
    assert "<strong>Compare</strong>" in "".join(pages(chat)) and "<code>hPa</code>" in "".join(pages(chat))


def test_the_role_picker_names_the_role_and_auto_lets_the_router_choose(make: Callable[..., Chat]) -> None:
    chat = make("a", "b", "c")
    picker = chooser(chat, "Role")
    assert [value for _, value in picker.options] == ["auto", *chat.twin.role_map.ids]
    assert not chat.send("How warm is it?").route.asked
    picker.value = "critic"
    assert chat.send("How warm is it?").route.role == "critic"
    assert chat.send("How warm is it?", role="scribe").route.role == "scribe"
    assert "Critic You asked for Critic." in seen(chat)


@pytest.mark.parametrize("enter", [True, False])
def test_what_was_typed_is_asked_by_enter_and_by_the_button(make: Callable[..., Chat], enter: bool) -> None:
    chat = make("Прочитано.")
    type_in(chat, "Что там с весами?", enter=enter)
    until(lambda: chat.turns and not chat.gate.locked())
    assert chat.turns[0].question == "Что там с весами?"
    assert pick(chat, widgets.Text).value == ""
    button(chat, "Send").click()
    until(lambda: not [one for one in threading.enumerate() if one.name == "twin-behind"])
    assert len(chat.turns) == 1, "an empty field asks nothing"


def test_enter_asks_what_the_browser_had_told_before(make: Callable[..., Chat]) -> None:
    """Where nothing was typed since the field was left, no text comes after the key."""
    chat = make("Yes.")
    field = pick(chat, widgets.Text)
    field.value = "Typed, left, and taken up again?"
    assert not chat.turns, "leaving the field sends nothing"
    field._handle_custom_msg({"event": "submit"}, [])
    until(lambda: chat.turns)
    assert chat.turns[0].question == "Typed, left, and taken up again?"


def test_several_lines_are_asked_as_several_lines(make: Callable[..., Chat]) -> None:
    chat = make("Read.")
    pick(chat, widgets.Text).value = "One"
    toggle = next(each for each in inside(chat.view)
                  if isinstance(each, widgets.ToggleButton) and each.tooltip == "Several lines")
    toggle.value = True
    field = pick(chat, widgets.Textarea)
    assert field.value == "One", "what was typed goes along"
    field.value = "One\ntwo"
    button(chat, "Send").click()
    until(lambda: chat.turns)
    assert chat.turns[0].question == "One\ntwo"


def test_stop_keeps_what_was_written_and_frees_the_chat(make: Callable[..., Chat]) -> None:
    engine = Paced(["one two three four five", "later"], waits=True)
    chat = make(engine=engine)
    type_in(chat, "Count")
    until(engine.waiting.is_set)
    assert button(chat, "Send").disabled and not button(chat, "Stop").disabled
    with pytest.raises(UsageError, match="still at work"):
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
    drawn: list[object] = []

    def watch(change: Any) -> None:
        for each in inside(change.new[-1]):
            if isinstance(each, widgets.HTML):
                each.observe(lambda it: drawn.append(it.owner) if "word0" in it.new else None, "value")

    chat._log._inner.observe(watch, "children")
    start = time.monotonic()
    chat.send("Speak")
    seconds = time.monotonic() - start
    assert len(set(map(id, drawn))) == 1
    assert 2 <= len(drawn) <= seconds / REDRAW_S + 2 <= seconds * 10 + 2
    assert answer in seen(chat), "the last state always arrives"


def test_a_long_chat_stays_light_and_gives_back_what_it_put_away(make: Callable[..., Chat]) -> None:
    chat = make(engine=ScriptedEngine(lambda asked: f"answer {len(asked.text)}"))
    chat.send("question 0 begins")
    one = len(list(inside(chat._log.view)))
    for number in range(1, 3 * DRAWN):
        chat.send(f"question {number} begins")
        assert len(list(inside(chat._log.view))) < DRAWN * one
    assert "question 0 begins" not in seen(chat) and f"question {3 * DRAWN - 1} begins" in seen(chat)
    assert len(chat.turns) == 3 * DRAWN
    for left in (DRAWN, 0):
        pressed = next(each for each in inside(chat._log.view)
                       if isinstance(each, widgets.Button) and "earlier" in each.description)
        assert pressed.description == f"{left + DRAWN} earlier exchanges"
        pressed.click()
    shown = seen(chat)
    places = [shown.index(f"question {number} begins") for number in range(3 * DRAWN)]
    assert places == sorted(places)


def test_what_is_put_away_is_closed_in_the_browser_too(make: Callable[..., Chat]) -> None:
    chat = make(engine=ScriptedEngine(lambda _: "yes"))
    chat.send("question")
    first = list(inside(chat._log.drawn[0].view))
    for _ in range(DRAWN):
        chat.send("question")
    assert all(each.comm is None for each in first)


# ---- conversations ------------------------------------------------------------------------------------------------

def test_a_conversation_can_be_left_and_taken_up_again(make: Callable[..., Chat]) -> None:
    engine = ScriptedEngine(["in April", "beans too", "leeks"])
    chat = make(engine=engine)
    first = chat.send("When do I sow peas?")
    button(chat, "Begin a new conversation").click() if buttons(chat, "Begin a new conversation") else chat.new()
    until(lambda: not chat.turns and not chat.gate.locked())
    assert "in April" not in seen(chat)
    assert chat.send("And beans?").conversation != first.conversation
    picker = chooser(chat, "Conversation")
    assert [("peas" in label, value) for label, value in picker.options][-1] == (True, first.conversation)
    picker.value = first.conversation
    until(lambda: chat.turns == [first] and not chat.gate.locked())
    assert "in April" in seen(chat) and "beans too" not in seen(chat)
    assert chat.send("And leeks?").conversation == first.conversation
    assert "in April" in engine.prompts[-1].text


def test_what_was_asked_before_the_chat_was_opened_stands_in_it(make: Callable[..., Chat]) -> None:
    chat = make("in April", "in May")
    turn = chat.twin.ask("When do I sow peas?")
    again = Chat(chat.twin)
    assert again.turns == [turn] and "in April" in seen(again)
    assert button(again, "Good")
    assert again.send("Really?").conversation == turn.conversation


def test_a_conversation_that_is_no_more_is_said_and_the_picker_stays_where_one_is(make: Callable[..., Chat]) -> None:
    chat = make("a", "b")
    gone = chat.send("How warm is it?")
    chat.new()
    here = chat.send("How cold is it?")
    chat.twin.forget(f"twin:{gone.conversation}/{gone.id}")
    picker = chooser(chat, "Conversation")
    picker.value = gone.conversation
    until(lambda: "There is no line" in seen(chat))
    until(lambda: picker.value == here.conversation)
    assert chat.turns == [here]


def test_two_faces_of_one_twin_wait_for_each_other(make: Callable[..., Chat]) -> None:
    engine = Paced(["one two three four"], waits=True)
    chat = make(engine=engine)
    other = Chat(chat.twin)
    type_in(chat, "Count")
    until(engine.waiting.is_set)
    with pytest.raises(UsageError, match="still at work"):
        other.send("Me too")
    type_in(other, "Me too")
    until(lambda: "still at work" in seen(other))
    assert pick(other, widgets.Text).value == "Me too", "it is not lost"
    chat.stop()
    until(lambda: not chat.gate.locked())


# ---- what can go wrong ------------------------------------------------------------------------------------------

def test_an_error_is_drawn_with_its_next_step_and_raised_by_send(own_home: Path) -> None:
    with Twin(Home(own_home), catalog=Catalog(own_home / "no models")) as twin:
        chat = Chat(twin)
        with pytest.raises(ModelMissing):
            chat.send("Anyone there?")
        assert "No core is on this machine yet." in seen(chat) and "twin models pull" in seen(chat)
        assert not button(chat, "Send").disabled


def test_an_error_after_a_click_is_drawn_once_and_the_next_question_works(
        make: Callable[..., Chat], recwarn: pytest.WarningsRecorder) -> None:
    chat = make()
    type_in(chat, "Hello")
    until(lambda: "Give ScriptedEngine more answers." in seen(chat) and not chat.gate.locked())
    assert seen(chat).count("Give ScriptedEngine more answers.") == 1
    assert not chat.turns
    with pytest.raises(TwinError):
        chat.send("Again")
    assert not [each for each in recwarn if "thread" in str(each.message).lower()], "no thread died of it"


def test_a_core_that_says_nothing_is_named(make: Callable[..., Chat]) -> None:
    chat = make("")
    chat.send("Silence?")
    assert "ended without a word" in seen(chat)


def test_a_broken_hand_edit_of_a_role_is_said(make: Callable[..., Chat]) -> None:
    chat = make("a", "b")
    chat.send("How warm is it?")
    (chat.twin.home.roles / "critic.md").write_text("---\nid: [\n---\n", "utf-8")
    chat.send("And now?")
    assert "critic.md" in seen(chat) and "the roles before that edit stay active" in seen(chat)


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


def test_the_chat_speaks_the_language_of_the_twin(make: Callable[..., Chat]) -> None:
    chat = make(engine=ScriptedEngine(spoken), language="ru")
    chat.council("Какие семена купить?")
    labels = {getattr(each, "description", "") for each in inside(chat.view)}
    assert {"Отправить", "Стоп", "Роль", "Совет", "Беседа", "Хорошо"} <= labels
    assert "токенов" in seen(chat) and "гипотез" in seen(chat)
