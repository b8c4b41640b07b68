"""Cell: an answer that streams into the cell that asked for it, and turns that show themselves.

One output, replaced a few times a second, as HTML of our own making and as plain text: it looks the same in every
notebook, is saved with it, and needs no widgets. TWIN_NOTEBOOK_REDACT=1 keeps all words out of the output.
"""
from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from twin.errors import TwinError
from twin.notebook.gate import gate
from twin.notebook.html import FAINT, Html, escaped, joined, plain
from twin.notebook.markdown import markdown
from twin.notebook.pace import Pace
from twin.notebook.telling import Telling, state, telling
from twin.text import one_line
from twin.types import (
    Answered,
    Event,
    Failed,
    Hypothesis,
    Interrupted,
    Routed,
    Thinking,
    Token,
    Turn,
    Verdict,
    Weighed,
)
from twin.words import Words, preferred

if TYPE_CHECKING:
    from twin.chat import Twin

REDACT = "TWIN_NOTEBOOK_REDACT"
Bundle = dict[str, str]
Asking = Callable[[Callable[[], bool]], Iterator[Event]]


@dataclass
class _Execution:
    """One run of a cell: what it has streamed already."""

    id: str = ""
    turns: set[str] = field(default_factory=set)


_LAST = _Execution()


def here() -> bool:
    """Whether this is a cell that runs in a notebook: not a click, not a thread, not a terminal."""
    return bool(_execution()) and threading.current_thread() is threading.main_thread()


def ask(twin: Twin, question: str, begin: Asking) -> Turn:
    """Draw a turn into this cell as it comes and return it. Raises the error of a turn that failed.

    `begin` begins it with a cancel function: the notebook's stop button ends the answer, and what was written is kept.
    UsageError while the twin is at work elsewhere.
    """
    register()
    door = gate(twin)
    with door.alone(stoppable=True):
        begun = _begun()
        drawn = _Drawn(twin, question if begun.turns else "")
        for event in begin(door.stopping):
            drawn.take(event)
            if isinstance(event, Failed):
                raise event.error
            if isinstance(event, Answered | Interrupted):
                begun.turns.add(event.turn.id)
                return event.turn
    raise TwinError("The turn ended without an answer.", "Ask again.")


def spoken(events: Iterator[Event], write: Callable[[str], object]) -> Turn:
    """Write an answer as plain text while it comes, for where a cell is a line of a terminal; returns the turn."""
    wrote = False
    for event in events:
        if isinstance(event, Token):
            write(plain(event.text))
            wrote = True
        if isinstance(event, Failed):
            raise event.error
        if isinstance(event, Answered | Interrupted):
            write("\n" if wrote else f"{plain(event.turn.answer)}\n")
            _begun().turns.add(event.turn.id)
            return event.turn
    raise TwinError("The turn ended without an answer.", "Ask again.")


def register() -> None:
    """Turns show themselves from now on: their answer, or nothing where this very cell has streamed it."""
    shell = _shell()
    if shell is not None and shell.display_formatter is not None:
        shell.display_formatter.ipython_display_formatter.for_type(Turn, show)


def show(turn: Turn) -> None:
    """Display a turn, unless this cell shows it already."""
    from IPython.display import display

    if turn.id not in _begun().turns:
        display(bundle(turn), raw=True)


def bundle(turn: Turn) -> Bundle:
    """A turn as an output of a cell, by MIME type."""
    told = Telling(Words("twin.notebook", preferred()))
    html = joined([told.head(turn.route, council=turn.verdict is not None), told.answer(turn), told.foot(turn)])
    return _output(told, html, told.told(turn), turn.answer)


def _output(told: Telling, html: Html, text: str, answer: str) -> Bundle:
    if not os.environ.get(REDACT):
        return {"text/html": html, "text/plain": plain(text)}
    said = told.words.count(len(answer.split()), "An answer of {n} word, which {name} keeps out of this notebook.",
                            "An answer of {n} words, which {name} keeps out of this notebook.", name=f"{REDACT}=1")
    return {"text/html": escaped(said, FAINT), "text/plain": said}


class _Drawn:
    """One output that grows."""

    def __init__(self, twin: Twin, question: str) -> None:
        from IPython.display import display

        self._twin, self._told = twin, telling(twin)
        self._asked = escaped(one_line(question), "font-weight:600;margin-top:.6em") if question else Html("")
        self._head = self._said = ""
        self._heard: list[Hypothesis] = []
        self._verdict: Verdict | None = None
        self._stage = self._told.words("reading")
        self._shown = display(self._now(), raw=True, display_id=True)
        self._pace = Pace(lambda made: self._shown.update(made, raw=True))

    def take(self, event: Event) -> None:
        """Draw one event of the turn."""
        match event:
            case Routed(route):
                self._head = self._told.head(route)
                self._pace.last(self._now())
            case Hypothesis():
                self._heard.append(event)
                self._pace(self._now)
            case Weighed(verdict):
                self._verdict = verdict
                self._pace(self._now)
            case Thinking() if not self._said:
                self._stage = self._told.words("thinking")
                self._pace(self._now)
            case Token(text):
                self._said += text
                self._pace(self._now)
            case Answered(turn) | Interrupted(turn):
                self._pace.last(self._ended(turn))
            case Failed():
                self._stage = self._told.words("no answer came of it")
                self._pace.last(self._now())

    def _now(self) -> Bundle:
        weighed = (self._told.weighing(self._verdict) if self._verdict and self._verdict.opinions
                   else self._told.claims(self._heard))
        body = markdown(self._said) if self._said else self._told.waiting(self._stage)
        return _output(self._told, joined([self._asked, Html(self._head), weighed, body]),
                       self._said or f"{self._stage} …", self._said)

    def _ended(self, turn: Turn) -> Bundle:
        council = turn.verdict is not None
        html = joined([self._asked, self._told.head(turn.route, council=council), self._told.answer(turn),
                       self._told.foot(turn, state(self._twin, self._told.words.language))])
        return _output(self._told, html, f"{self._told.who(turn.route, council=council)}\n{self._told.told(turn)}",
                       turn.answer)


def _shell() -> Any:
    """The shell of this process, None where there is none."""
    from IPython.core.getipython import get_ipython

    return get_ipython()


def _execution() -> str:
    """Which run of a cell this is; '' where none runs in a notebook."""
    kernel = getattr(_shell(), "kernel", None)
    if kernel is None:
        return ""
    header = (kernel.get_parent("shell") or {}).get("header", {})
    return str(header.get("msg_id", "")) if header.get("msg_type") == "execute_request" else ""


def _begun() -> _Execution:
    """This run of a cell; in a terminal, the line that was typed last."""
    global _LAST
    shell = _shell()
    now = _execution() or f"line {getattr(shell, 'execution_count', '')}"
    if now != _LAST.id:
        _LAST = _Execution(now)
    return _LAST
