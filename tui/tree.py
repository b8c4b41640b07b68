"""Lines of thinking as the terminal shows them: the tree of a conversation, and what its lines came to."""
from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from textual.app import ComposeResult
from textual.containers import Vertical
from textual.content import Content
from textual.widgets import Static

from twin.lines import Compared, Line, nested
from twin.text import one_line, printable
from twin.types import Answered, Event, Interrupted, Routed, Thinking, Token, Turn, Weighed

if TYPE_CHECKING:
    from twin.chat import Twin

COLUMN = 40  # columns an answer needs beside others


def find(twin: Twin, conversation: str, name: str) -> Line:
    """A line by its id, name, title, or number in `tree`; first among those of this conversation, of several titles
    the newest. UsageError when there is none."""
    lines = twin.lines.all(conversation)
    for line in reversed(lines):
        if name.casefold() in (line.id, line.name.casefold() or None, line.title.casefold()):
            return line
    if name.isdecimal() and 0 < int(name) <= len(lines):
        return lines[int(name) - 1]
    return twin.lines.get(name)


def tree(twin: Twin, conversation: str, *, dropped: bool = False) -> str:
    """The lines of a conversation, numbered, each under the one it leaves; the one we are on has a star."""
    lines = twin.lines.all(conversation)
    depths = {line.id: depth for depth, line in nested(lines)}
    rows = [_row(number, line, depths[line.id], twin.archive.turns(line.id), line.id == conversation)
            for number, line in enumerate(lines, 1)
            if dropped or line.state != "dropped" or line.id == conversation]
    if hidden := len(lines) - len(rows):
        rows.append(f"{hidden} dropped; /lines all lists them too")
    return "\n".join(rows)


def _row(number: int, line: Line, depth: int, turns: Sequence[Turn], here: bool) -> str:
    state = f" [{line.state}]" if line.state != "open" else ""
    last = f": {one_line(turns[-1].question)[:60]}" if turns else ""
    return f"{'*' if here else ' '} {number:2} {'  ' * depth}{line.title}{state}, {len(turns)} asked{last}"


def replay(turn: Turn) -> Iterator[Event]:
    """A stored turn as the events that would draw it."""
    yield Routed(turn.route)
    yield from turn.memories
    if turn.verdict:
        yield from turn.verdict.hypotheses
        yield Weighed(turn.verdict)
    if turn.thinking:
        yield Thinking(turn.thinking)
    if turn.answer:
        yield Token(turn.answer)
    yield Interrupted(turn) if turn.status == "interrupted" else Answered(turn)


class Comparison(Vertical):
    """The last answers of some lines: side by side where there is room, else below each other."""

    def __init__(self, compared: Sequence[Compared], width: int) -> None:
        super().__init__(classes="-wide" if width >= COLUMN * len(compared) else "")
        self.compared = compared

    def compose(self) -> ComposeResult:
        for number, one in enumerate(self.compared):
            yield Static(_column(one, first=not number))


def _column(one: Compared, *, first: bool) -> Content:
    if one.turn is None:
        return Content.assemble((printable(one.line.title), "bold"), "\nnothing was asked on it yet")
    shared = "" if first else f", {one.shared:.0%} of the words as in the first"
    return Content.assemble(
        (printable(one.line.title), "bold"),
        (f"\n{printable(one.turn.who)}, {one.turn.usage.generated:,} tokens{shared}\n{one_line(one.turn.question)}\n\n",
         "$text-muted"), printable(one.turn.answer))
