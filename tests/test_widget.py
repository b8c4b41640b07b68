"""The notebook chat: a real Twin with a scripted core, the widgets' own state, clicks as the browser reports them."""
from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Mapping
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import ipywidgets as widgets
import pytest
from hypothesis import given
from hypothesis import strategies as st

from twin.catalog import Catalog
from twin.chat import Twin
from twin.engine.scripted import ScriptedEngine
from twin.errors import ModelMissing, TwinError, UsageError
from twin.home import Home
from twin.text import clean, printable
from twin.types import Conversation, Message, Piece, Prompt, Sampling, never
from twin.widget import REDRAW_S, Chat, _text

NOTE = Conversation("c1", (
    Message("m1", "user", "Барометр на крыше врёт на два гектопаскаля, сравни его с аэродромным."),
    Message("m2", "user", "I want the rooftop barometer compared with the airfield every morning."),
))


class Paced(ScriptedEngine):
    """Words in a rhythm, `rest` seconds between two; forever slow after the third when `waits`."""

    def __init__(self, answers: list[str], *, rest: float = 0.0, waits: bool = False) -> None:
        super().__init__(answers)
        self.rest, self.waits = rest, waits

    def stream(self, prompt: Prompt, sampling: Sampling, *, schema: Mapping[str, Any] | None = None,
               cancel: Callable[[], bool] = never) -> Iterator[Piece]:
        for number, piece in enumerate(super().stream(prompt, sampling, schema=schema, cancel=cancel)):
            time.sleep(self.rest)
            yield piece
            patience = time.monotonic() + 20
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
    chat = make(engine=Paced(["one two three four five", "later"], waits=True))
    pick(chat, widgets.Textarea).value = "Count"
    button(chat, "Send").click()
    until(lambda: "one" in seen(chat))
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


@given(st.text(max_size=200), st.sampled_from(["", "opacity:.6"]))
def test_any_text_becomes_one_div_with_exactly_that_text(text: str, style: str) -> None:
    page = Page(_text(text, style))
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
