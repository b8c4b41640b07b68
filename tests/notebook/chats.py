"""What the tests of the chat share: scripted cores, and a chat as a person sees it."""
from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import ipywidgets as widgets

from tests.notebook.on_screen import Page, inside
from twin.engine.scripted import ScriptedEngine
from twin.notebook.chat import Chat
from twin.types import Conversation, Message, Piece, Prompt, Sampling, never

NOTE = Conversation("c1", (
    Message("m1", "user", "Барометр на крыше врёт на два гектопаскаля, сравни его с аэродромным."),
    Message("m2", "user", "I want the rooftop barometer compared with the airfield every morning."),
))
CLAIMS = {"critic": "You keep your own seeds.", "mentor": "You keep your own seeds.", "scribe": "You buy 3 packets."}


class Paced(ScriptedEngine):
    """Words in a rhythm, `rest` seconds between two; after the third it waits to be stopped when `waits`."""

    def __init__(self, answers: list[str], *, rest: float = 0.0, waits: bool = False) -> None:
        super().__init__(answers)
        self.rest, self.waits = rest, waits
        self.waiting = threading.Event()

    def stream(self, prompt: Prompt, sampling: Sampling, *, schema: Mapping[str, Any] | None = None,
               cancel: Callable[[], bool] = never) -> Iterator[Piece]:
        for number, piece in enumerate(super().stream(prompt, sampling, schema=schema, cancel=cancel)):
            time.sleep(self.rest)
            yield piece
            patience = time.monotonic() + 60
            if number == 2:
                self.waiting.set()
            while self.waits and number == 2 and not cancel() and time.monotonic() < patience:
                time.sleep(0.01)


def spoken(asked: Prompt) -> str:
    """Each role by its name; in a council a claim, of whoever is not in CLAIMS that it is unknown."""
    if "JSON" not in "".join(segment.text for segment in asked.tail):
        return f"{asked.role} says so."
    return json.dumps({"evidence": [], "claim": CLAIMS.get(asked.role, "Unknown."), "prediction": "",
                       "falsifier": "", "unit": ""})


def pages(chat: Chat) -> list[str]:
    """The HTML of the chat, in the order of the screen."""
    return [each.value for each in inside(chat.view) if isinstance(each, widgets.HTML)]


def seen(chat: Chat) -> str:
    """What a person reads in the chat, folded things too."""
    return "\n".join(Page(page).text for page in pages(chat))


def buttons(chat: Chat, name: str) -> list[Any]:
    """All buttons of this name, or of this tooltip where they are an icon, in the order of the screen."""
    return [each for each in inside(chat.view) if isinstance(each, widgets.Button)
            and name in (each.description, each.description or each.tooltip)]


def button(chat: Chat, name: str) -> Any:
    """The last one: below the newest answer."""
    return buttons(chat, name)[-1]


def pick(chat: Chat, kind: type[Any]) -> Any:
    """The first widget of a kind."""
    return next(each for each in inside(chat.view) if isinstance(each, kind))


def chooser(chat: Chat, prompt: str) -> Any:
    """The last dropdown that is called so, or whose first choice reads so."""
    return [each for each in inside(chat.view) if isinstance(each, widgets.Dropdown)
            and prompt in (each.description, each.options[0][0])][-1]


def type_in(chat: Chat, text: str, *, enter: bool = False) -> None:
    """Write a question, and send it by the button, or by Enter as the browser tells of it."""
    field = pick(chat, widgets.Text)
    if enter:
        field._handle_custom_msg({"event": "submit"}, [])
    field.value = text
    if not enter:
        button(chat, "Send").click()
