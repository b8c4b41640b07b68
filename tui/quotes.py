"""Quotes: what a claim rests on, every quote where it stands, with what was said before and after it."""
from __future__ import annotations

from textual.app import ComposeResult
from textual.containers import VerticalScroll
from textual.content import Content
from textual.widgets import Static

from twin.self_profile import Shown, Why
from twin.text import one_line, printable
from twin.types import Message
from twin.words import Words

from .fullscreen import FullScreen

AROUND = 300     # characters of the message before and behind the quote
NEIGHBOUR = 200  # of the messages before and after


class Quotes(FullScreen):
    """The quotes of one claim."""

    DEFAULT_CSS = """
    Quotes VerticalScroll > Static { height: auto; }
    """

    def __init__(self, claim: str) -> None:
        """`claim`: its id."""
        super().__init__()
        self.claim = claim

    def heading(self) -> str:
        return self.words("What this rests on")

    def body(self) -> ComposeResult:
        with VerticalScroll():
            yield Static(id="quotes")

    def on_mount(self) -> None:
        self.query_one(VerticalScroll).focus()
        self.run_job(lambda *_: self.twin.why(self.claim), self._done)

    def _done(self, found: Why) -> None:
        self.query_one("#quotes", Static).update(told(found, self.words))


def told(found: Why, words: Words) -> Content:
    """A claim, and each quote in its context."""
    one = found.claim
    parts = [Content.assemble((printable(one.text), "bold")),
             Content.styled(words("confidence {n}, {authority}", n=f"{one.confidence:.2f}",
                                  authority=authority(one.authority, words)), "$text-muted")]
    for shown in found.shown:
        parts += [Content(""), *_shown(shown, words)]
    return Content("\n").join(parts)


def authority(name: str, words: Words) -> str:
    """Whose word a claim is."""
    return {"said": words("your own word"), "inferred": words("inferred"), "approved": words("approved by you")}.get(
        name, name)


def _shown(shown: Shown, words: Words) -> list[Content]:
    day = f"{shown.mark.time:%Y-%m-%d}  " if shown.mark.time else ""
    place = Content.styled(f"{day}{one_line(shown.mark.conversation)}", "$text-muted")
    if shown.message is None or not shown.quote:
        return [place, Content.styled(words("The quote no longer stands there; `twin verify` says what happened."),
                                      "$text-warning")]
    text, start, end = shown.message.text, shown.mark.start, shown.mark.end
    said = Content.assemble(
        (_tail(text[:start], AROUND), "$text-muted"), (printable(text[start:end]), "bold $text-primary"),
        (_head(text[end:], AROUND), "$text-muted"))
    return [place, *_neighbour(shown.before, words), Content.assemble(("▌ ", "$primary"), said),
            *_neighbour(shown.after, words)]


def _neighbour(message: Message | None, words: Words) -> list[Content]:
    if message is None:
        return []
    return [Content.styled(f"  {who(message, words)}: {_head(one_line(message.text), NEIGHBOUR)}", "$text-muted")]


def who(message: Message, words: Words) -> str:
    """Who said it: the person, an assistant, or somebody by name."""
    if message.own:
        return words("you")
    if message.author:
        return one_line(message.author)[:40]
    return {"user": words("somebody"), "assistant": words("assistant"), "system": words("system"),
            "tool": words("tool"), "other": words("somebody")}[message.role]


def _head(text: str, limit: int) -> str:
    """The beginning of a text."""
    return printable(text[:limit]) + "…" * (len(text) > limit)


def _tail(text: str, limit: int) -> str:
    """The end of it."""
    return "…" * (len(text) > limit) + printable(text[-limit:])
