"""Status: the line below the composer. Where one is, who answers, the core, what to press; or, while one types a slash
and letters, the commands that may be meant."""
from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from textual.content import Content
from textual.widgets import Static

from twin.text import printable

from . import names
from .background import number
from .exchange import sureness
from .names import titled

if TYPE_CHECKING:
    from .chat import ChatScreen

_HINTS = 8  # commands that are named at once


class Status(Static):
    """One line."""

    ALLOW_SELECT = False

    def draw(self, chat: ChatScreen, text: str) -> None:
        """What is so now; `text` stands in the composer."""
        typing = text.startswith("/") and (len(text) == 1 or text[1:].isalpha())
        self.update(Content(printable(" · ".join(_hints(chat, text) if typing else _parts(chat)))))


def _hints(chat: ChatScreen, text: str) -> list[str]:
    found = names.beginning(text, chat.words.language)
    shown = [f"/{name}" for name in found[:_HINTS]]
    return [*shown, "…"] if len(found) > _HINTS else shown or [chat.words("There is no such command.")]


def _parts(chat: ChatScreen) -> list[str]:
    words, face = chat.words, chat.face
    if not chat.ready:
        return [words("opening …"), *([words("your question waits")] if chat.waiting else [])]
    line = [words("line {name}", name=titled(chat.line, words))] if chat.line else []
    parts = [*line, _who(chat), *_of_the_core(chat)]
    if not face.background.busy:
        return [*parts, words("{key} help", key=face.key_of("help"))]
    parts += [chat.doing] if chat.doing else []
    return [*parts, words("stopping …") if face.background.stopping else words("{key} stops", key=face.key_of("stop"))]


def _who(chat: ChatScreen) -> str:
    words, who, route = chat.words, chat.answers(), chat.last.route if chat.last else None
    name = words("auto") if who == "auto" else words("council") if who == "council" else chat.titles.get(who, who)
    if route and not route.asked:
        name += f" → {chat.titles.get(route.role, route.role)} {sureness(route, words)}"
    return name


def _of_the_core(chat: ChatScreen) -> Iterator[str]:
    words, turn = chat.words, chat.last.turn if chat.last else None
    if chat.core:
        yield chat.core
    if turn:
        read = words("{n} read, ", n=number(words, turn.usage.prompt_tokens)) if turn.usage.prompt_tokens else ""
        yield read + words("{n} written", n=number(words, turn.usage.generated))
