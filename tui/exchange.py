"""Exchange: a question and what comes of it, drawn event by event.

What a person, a core or a role file wrote is data: it reaches the screen as plain `Content` or as Markdown without
HTML, never as Textual markup, and without control characters.
"""
from __future__ import annotations

import time
from functools import partial

from markdown_it import MarkdownIt
from textual.app import ComposeResult
from textual.containers import Vertical
from textual.content import Content
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

from . import council


class Note(Static):
    """A few lines of the program's own, or an error with its next step."""

    def __init__(self, text: str, *, error: bool = False) -> None:
        super().__init__(Content(printable(text)), classes="error" if error else "")


class Exchange(Vertical):
    """A question and everything that comes of it, in the order in which it is read."""

    def __init__(self, question: str) -> None:
        super().__init__()
        self.question = question
        self.route: Route | None = None
        self.memories: list[Recalled] = []
        self.heard: list[Hypothesis] = []
        self.turn: Turn | None = None
        self._stream: MarkdownStream | None = None
        self._thought = ""
        self._since = time.monotonic()

    def compose(self) -> ComposeResult:
        yield Static(Content(printable(self.question)), classes="question")
        yield Static(classes="route")
        with Collapsible(title="hypotheses", collapsed=False, classes="heard"):
            yield Static(classes="claims")
        yield Static(classes="weighed")
        with Collapsible(title="thinking", collapsed=True, classes="thoughts"):
            yield Static(classes="thought")
        yield Static("…", classes="waiting")
        yield Markdown(classes="answer", open_links=False,
                       parser_factory=partial(MarkdownIt, "gfm-like", {"html": False, "linkify": False}))
        yield Vertical(classes="after")

    def on_mount(self) -> None:
        for hidden in (".heard", ".weighed", ".thoughts"):
            self.query_one(hidden).display = False
        self._clock = self.set_interval(1.0, self._tick)

    def _tick(self) -> None:
        waiting = ("thinking" if self._thought else "hearing the council" if self.heard
                   else "reading" if self.route else "starting")
        self.query_one(".waiting", Static).update(Content(f"{waiting} … {time.monotonic() - self._since:.0f} s"))

    async def take(self, event: Event) -> None:
        """Draw one event of the turn."""
        match event:
            case Routed(route):
                self.route = route
                self.query_one(".route", Static).update(badge(route))
            case Recalled():
                self.memories.append(event)
                await self._after(Static(memory_line(len(self.memories), event), classes="memory"))
            case Hypothesis():
                self._hear(event)
            case Weighed(verdict):
                self._weigh(verdict)
            case Thinking(text):
                self._think(text)
            case Token(text):
                await self._write(text)
            case Answered(turn) | Interrupted(turn):
                await self._end(turn)
            case Failed(error):
                await self._rest()
                await self._after(Note(str(error), error=True))

    async def _after(self, line: Static) -> None:
        self.add_class("-noted")
        await self.query_one(".after").mount(line)

    async def _remark(self, text: str) -> None:
        await self._after(Static(Content(one_line(text)), classes="remark"))

    def _hear(self, said: Hypothesis) -> None:
        self.heard.append(said)
        if self.route:
            self.query_one(".route", Static).update(badge(self.route, "council"))
        self.query_one(".heard").display = True
        self.query_one(".claims", Static).update(council.claims(self.heard))

    def _weigh(self, verdict: Verdict) -> None:
        """The opinions stand for the hypotheses now, which are folded away."""
        folded = self.query_one(".heard", Collapsible)
        folded.title, folded.collapsed = f"hypotheses: {len(verdict.hypotheses)}", True
        weighed = self.query_one(".weighed", Static)
        weighed.display = True
        weighed.update(council.weighing(verdict))

    def _think(self, text: str) -> None:
        self._thought += printable(text)
        self.query_one(".thoughts").display = True
        self.query_one(".thought", Static).update(Content(self._thought))

    async def _write(self, text: str) -> None:
        if self._stream is None:
            self._quiet()
            self._stream = Markdown.get_stream(self.query_one(Markdown))
        await self._stream.write(printable(text))

    def _quiet(self) -> None:
        self._clock.stop()
        self.query_one(".waiting").display = False

    async def _rest(self) -> None:
        """Nothing more will be written."""
        self._quiet()
        if self._stream is not None:
            await self._stream.stop()
            self._stream = None

    async def _end(self, turn: Turn) -> None:
        await self._rest()
        self.turn = turn
        if turn.verdict and turn.verdict.opinions:
            self._weigh(turn.verdict)  # with all its tokens and seconds, and the control where one was asked
        for number, line in enumerate(self.query(".memory"), 1):
            line.set_class(number in turn.cited, "cited")
        for dropped in turn.dropped:
            await self._remark(f"left out, the context is full: {dropped}")
        if turn.usage.finish == "length":
            await self._remark(f"cut at {turn.usage.generated} tokens; the role allows no more")
        if turn.status == "interrupted":
            await self._remark("stopped; what was written is kept")
        elif not turn.answer:
            await self._remark("The core ended without a word. Ask again, or in other words.")


def badge(route: Route, who: str = "") -> Content:
    """The role (or `who` answers instead), how sure the router is of it, and the reason in words."""
    return Content.assemble((f" {printable(who or route.role)} ", "bold $text-primary on $primary-muted"),
                            f" {printable(f'{route.role} {route.sure}' if who else route.sure)}  ",
                            one_line(route.reason))


def memory_line(number: int, memory: Recalled) -> Content:
    """[1] day, words."""
    day = f"{memory.time:%Y-%m-%d}  " if memory.time else ""
    return Content.assemble((f"[{number}] ", "bold"), f"{day}{one_line(memory.text)}")


def why(exchange: Exchange) -> str:
    """Everything that produced an answer, in plain lines."""
    route = exchange.route
    if route is None:
        return "The last question failed before it had a role."
    lines = [f"{route.role}: {route.reason}", ""]
    by_share = sorted(route.probabilities.items(), key=lambda item: -item[1])
    lines += [f"  {share:4.0%}  {role}" for role, share in by_share]
    lines += [f"  nearest: “{one_line(near.text)}” ({near.role}, {near.similarity:.2f})" for near in route.nearest]
    lines += ["", "Memories it saw:" if exchange.memories else "It saw no memories."]
    for number, memory in enumerate(exchange.memories, 1):
        day = f"{memory.time:%Y-%m-%d}, " if memory.time else ""
        lines.append(f"[{number}] {day}{one_line(memory.text)}\n    {one_line(memory.why)}; "
                     f"message {', '.join(memory.message_ids)}")
    if exchange.turn:
        lines += council.told(exchange.turn.verdict) if exchange.turn.verdict else []
        lines += [f"Left out, the context is full: {one_line(dropped)}" for dropped in exchange.turn.dropped]
        lines.append(f"Core {exchange.turn.model}, role map {exchange.turn.role_map[:8]}")
    return "\n".join(lines)
