"""Exchange: a question and what comes of it, drawn event by event, or at once from a turn that is stored.

What a person, a core or a role file wrote is data: it reaches the screen as plain `Content` or as Markdown without
HTML, never as Textual markup, and without control characters. Only the parts that a turn has become widgets.
"""
from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from functools import partial
from typing import TYPE_CHECKING, cast

from markdown_it import MarkdownIt
from textual.app import ComposeResult
from textual.containers import Vertical
from textual.content import Content
from textual.style import Style
from textual.timer import Timer
from textual.widget import Widget
from textual.widgets import Collapsible, Markdown, Static
from textual.widgets.markdown import MarkdownStream

from twin.text import one_line, printable
from twin.types import (
    Answered,
    Event,
    Failed,
    Hypothesis,
    Interrupted,
    Recalled,
    Route,
    Routed,
    Thinking,
    Token,
    Turn,
    Verdict,
    Weighed,
)
from twin.words import Words, error, sentence

if TYPE_CHECKING:
    from .app import TwinApp

_ORDER = ("question", "route", "heard", "weighed", "thoughts", "waiting", "answer", "after", "marks")


class Note(Static):
    """A few lines of the program's own, or an error with its next step."""

    def __init__(self, text: str, *, error: bool = False) -> None:
        super().__init__(Content(printable(text)), classes="error" if error else "")


class Answer(Markdown):
    """What a core wrote: Markdown without HTML, whose links are not followed."""

    def __init__(self, text: str | None = None) -> None:
        super().__init__(text, classes="answer", open_links=False,
                         parser_factory=partial(MarkdownIt, "gfm-like", {"html": False, "linkify": False}))


class Exchange(Vertical):
    """A question and everything that comes of it, in the order in which it is read."""

    def __init__(self, question: str, turn: Turn | None = None) -> None:
        """With a stored `turn` it is drawn whole."""
        super().__init__()
        self.question = question
        self.turn = turn
        self.route: Route | None = turn.route if turn else None
        self.memories: list[Recalled] = list(turn.memories) if turn else []
        self.heard: list[Hypothesis] = list(turn.verdict.hypotheses) if turn and turn.verdict else []
        self._stream: MarkdownStream | None = None
        self._thought = ""
        self._since = time.monotonic()
        self._clock: Timer | None = None

    @property
    def words(self) -> Words:
        """The sentences of the terminal in the person's language."""
        return cast("TwinApp", self.app).words

    def compose(self) -> ComposeResult:
        yield Static(Content(printable(self.question)), classes="question")
        if self.turn is None:
            yield Static("…", classes="waiting")
        else:
            yield from self._whole(self.turn)

    def on_mount(self) -> None:
        if self.turn is None:
            self._clock = self.set_interval(1.0, self._tick)

    def _tick(self) -> None:
        words = self.words
        what = (words("thinking") if self._thought else words("hearing the council") if self.heard
                else words("reading") if self.route else words("starting"))
        for waiting in self._there("waiting"):
            cast(Static, waiting).update(Content(f"{what} … {time.monotonic() - self._since:.0f} s"))

    # ---- one that is stored ------------------------------------------------------------------------------------

    def _whole(self, turn: Turn) -> Iterator[Widget]:
        yield Static(self._badge(), classes="route")
        if turn.verdict:
            yield self._claims(folded=True)
            if turn.verdict.opinions:
                yield Static(self._weighing(turn.verdict), classes="weighed")
        if turn.thinking:
            yield self._thoughts(printable(turn.thinking))
        if turn.answer:
            yield Answer(printable(turn.answer))
        if after := self._after():
            yield Static(after, classes="after")
        yield self._marks()

    # ---- one that is written -------------------------------------------------------------------------------------

    async def take(self, events: Iterable[Event]) -> None:
        """Draw events of the turn."""
        for event in events:
            match event:
                case Routed(route):
                    self.route = route
                    await self._put("route", Static(self._badge(), classes="route"))
                case Recalled():
                    self.memories.append(event)
                case Hypothesis():
                    await self._hear(event)
                case Weighed(verdict):
                    await self._weigh(verdict)
                case Thinking(text):
                    await self._think(text)
                case Token(text):
                    await self._write(text)
                case Answered(turn) | Interrupted(turn):
                    await self._end(turn)
                case Failed(raised):
                    await self._rest()
                    await self._put("after", Note(_said(raised, self.words.language), error=True))

    def _there(self, part: str) -> list[Widget]:
        return [child for child in self.children if child.has_class(part)]

    async def _put(self, part: str, widget: Widget) -> None:
        """Put a part where it belongs; one that is there already is replaced."""
        for there in self._there(part):
            await there.remove()
        widget.add_class(part)
        behind = _ORDER[_ORDER.index(part) + 1:]
        await self.mount(widget, before=next((child for child in self.children
                                              if any(child.has_class(name) for name in behind)), None))

    async def _hear(self, said: Hypothesis) -> None:
        self.heard.append(said)
        if len(self.heard) == 1:
            await self._put("route", Static(self._badge(), classes="route"))
            await self._put("heard", self._claims(folded=False))
        else:
            from . import council

            self.query_one(".claims", Static).update(council.claims(self.heard, self._titles()))

    async def _weigh(self, verdict: Verdict) -> None:
        """The opinions stand for the hypotheses now, which are folded away."""
        for folded in self.query(".heard").results(Collapsible):
            folded.title = self.words("hypotheses: {n}", n=len(verdict.hypotheses))
            folded.collapsed = True
        await self._put("weighed", Static(self._weighing(verdict)))

    async def _think(self, text: str) -> None:
        self._thought += printable(text)
        if self._there("thoughts"):
            self.query_one(".thought", Static).update(Content(self._thought))
        else:
            await self._put("thoughts", self._thoughts(self._thought))

    async def _write(self, text: str) -> None:
        if self._stream is None:
            await self._quiet()
            answer = Answer()
            await self._put("answer", answer)
            self._stream = Markdown.get_stream(answer)
        await self._stream.write(printable(text))

    async def _quiet(self) -> None:
        if self._clock is not None:
            self._clock.stop()
        for waiting in self._there("waiting"):
            await waiting.remove()

    async def _rest(self) -> None:
        """Nothing more will be written."""
        await self._quiet()
        if self._stream is not None:
            await self._stream.stop()
            self._stream = None

    async def _end(self, turn: Turn) -> None:
        await self._rest()
        self.turn = turn
        if turn.verdict and turn.verdict.opinions:
            await self._weigh(turn.verdict)  # with all its tokens and seconds, and the control where one was asked
        if after := self._after():
            await self._put("after", Static(after))
        await self._put("marks", self._marks())

    # ---- the parts -----------------------------------------------------------------------------------------------

    def _titles(self) -> dict[str, str]:
        return cast("TwinApp", self.app).chat.titles

    def _badge(self) -> Content:
        if self.route is None:
            return Content()
        return badge(self.route, self.words, self._titles(), council=bool(self.heard))

    def _claims(self, *, folded: bool) -> Collapsible:
        from . import council

        title = self.words("hypotheses: {n}", n=len(self.heard)) if folded else self.words("hypotheses")
        return Collapsible(Static(council.claims(self.heard, self._titles()), classes="claims"),
                           title=title, collapsed=folded, classes="heard")

    def _weighing(self, verdict: Verdict) -> Content:
        from . import council

        return council.weighing(verdict, self.words, self._titles())

    def _thoughts(self, text: str) -> Collapsible:
        return Collapsible(Static(Content(text), classes="thought"), title=self.words("thinking"), collapsed=True,
                           classes="thoughts")

    def _after(self) -> Content | None:
        """Memories, cited ones in full colour, and remarks, a line each."""
        if self.turn is None:
            return None
        lines = [memory_line(number, memory, cited=number in self.turn.cited)
                 for number, memory in enumerate(self.memories, 1)]
        lines += [Content(one_line(text)).stylize("italic") for text in remarks(self.turn, self.words)]
        return Content("\n").join(lines) if lines else None

    def _marks(self) -> Static:
        """What one can click on."""
        words = self.words
        offered = [(words("copy"), "copy"), (words("good"), "good"), (words("bad"), "bad"), (words("again"), "again"),
                   (words("edit"), "edit"), (words("why"), "why")]
        offered += [(words("evidence"), "evidence")] if self.memories else []
        marks = Static(Content("  ").join(
            Content(text).stylize(Style.from_meta({"@click": f"screen.marked('{name}')"})) for text, name in offered),
            classes="marks")
        marks.can_focus = False
        marks.ALLOW_SELECT = False  # type: ignore[misc]  # of this one
        return marks


def badge(route: Route, words: Words, titles: dict[str, str], *, council: bool = False) -> Content:
    """The role (or the council, which answers instead), how sure the router is of it, and the reason in words."""
    title = titles.get(route.role, route.role)
    sure = sureness(route, words)
    return Content.assemble(
        (f" {printable(words('council') if council else title)} ", "bold $text-primary on $primary-muted"),
        f" {printable(f'{title} {sure}' if council else sure)}  ", one_line(route.reason))


def sureness(route: Route, words: Words) -> str:
    """How a role was chosen, in a word: asked for, by default, or its probability."""
    return (words("asked for") if route.asked else words("by default") if route.abstained
            else f"{route.probability:.0%}")


def memory_line(number: int, memory: Recalled, *, cited: bool) -> Content:
    """[1] day, words."""
    day = f"{memory.time:%Y-%m-%d}  " if memory.time else ""
    line = Content.assemble((f"[{number}] ", "bold"), f"{day}{one_line(memory.text)}")
    return line.stylize("$text") if cited else line


def remarks(turn: Turn, words: Words) -> Iterator[str]:
    """What is to be said of an answer beside it."""
    for dropped in turn.dropped:
        yield words("left out, the context is full: {what}", what=sentence(dropped, words.language))
    if turn.usage.finish == "length":
        yield words("cut at {n} tokens; the role allows no more", n=turn.usage.generated)
    if turn.status == "interrupted":
        yield words("stopped; what was written is kept")
    elif not turn.answer:
        yield words("The core ended without a word. Ask again, or in other words.")


def _said(raised: Exception, language: str) -> str:
    from twin.errors import TwinError

    return error(raised, language) if isinstance(raised, TwinError) else str(raised)
