"""Lines of thinking as the terminal shows them: the tree of a conversation, and what its lines came to."""
from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from textual.app import ComposeResult
from textual.containers import Vertical
from textual.content import Content
from textual.widgets import Static

from twin.lines import TRUNK, Compared, Line, nested
from twin.text import one_line, printable
from twin.types import Turn
from twin.words import Words

from . import names
from .names import titled as titled

if TYPE_CHECKING:
    from twin.chat import Twin

COLUMN = 40  # columns an answer needs beside others


def find(twin: Twin, conversation: str, name: str) -> Line:
    """A line by its id, name, title, or number in `tree`; first among those of this conversation, of several titles
    the newest. UsageError when there is none."""
    lines = twin.lines.all(conversation)
    name = TRUNK if name.casefold() == names.TRUNK_RU else name
    for line in reversed(lines):
        if name.casefold() in (line.id, line.name.casefold() or None, line.title.casefold()):
            return line
    if name.isdecimal() and 0 < int(name) <= len(lines):
        return lines[int(name) - 1]
    return twin.lines.get(name)


def tree(twin: Twin, conversation: str, words: Words, *, dropped: bool = False) -> str:
    """The lines of a conversation, numbered, each under the one it leaves; the one we are on has a star."""
    lines = twin.lines.all(conversation)
    depths = {line.id: depth for depth, line in nested(lines)}
    rows = [_row(number, line, depths[line.id], twin.archive.turns(line.id), words, here=line.id == conversation)
            for number, line in enumerate(lines, 1)
            if dropped or line.state != "dropped" or line.id == conversation]
    if hidden := len(lines) - len(rows):
        rows.append(words("{n} dropped; {lines} lists them too", n=hidden,
                          lines=f"/{names.called('lines', words.language)} {words('all')}"))
    return "\n".join(rows)


def _row(number: int, line: Line, depth: int, turns: Sequence[Turn], words: Words, *, here: bool) -> str:
    state = (f" [{words('kept')}]" if line.state == "kept" else f" [{words('dropped')}]" if line.state == "dropped"
             else "")
    last = f": {one_line(turns[-1].question)[:60]}" if turns else ""
    asked = words("{n} asked", n=len(turns))
    return f"{'*' if here else ' '} {number:2} {'  ' * depth}{titled(line, words)}{state}, {asked}{last}"


class Comparison(Vertical):
    """The last answers of some lines: side by side where there is room, else below each other."""

    def __init__(self, compared: Sequence[Compared], width: int, words: Words) -> None:
        super().__init__(classes="-wide" if width >= COLUMN * len(compared) else "")
        self.compared, self.words = compared, words

    def compose(self) -> ComposeResult:
        for number, one in enumerate(self.compared):
            yield Static(_column(one, self.words, first=not number))


def _column(one: Compared, words: Words, *, first: bool) -> Content:
    if one.turn is None:
        nothing = words("nothing was asked on it yet")
        return Content.assemble((printable(titled(one.line, words)), "bold"), f"\n{nothing}")
    shared = "" if first else ", " + words("{share} of the words as in the first", share=f"{one.shared:.0%}")
    tokens = words.count(one.turn.usage.generated, "{n} token", "{n} tokens")
    return Content.assemble(
        (printable(titled(one.line, words)), "bold"),
        (f"\n{printable(one.turn.who)}, {tokens}{shared}\n{one_line(one.turn.question)}\n\n", "$text-muted"),
        printable(one.turn.answer))
