"""Lines of thinking: a conversation is a tree, and each line in it a chat of its own that shares what came before.

A line leaves its parent after one turn and may set what is otherwise routed: the role, an instruction on top, the
sampling, a council. Nothing is copied: its history is the parent's up to there and its own turns after, so that lines
that run side by side share one prefix. Knows the archive; knows no core.
"""
from __future__ import annotations

import uuid
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from datetime import UTC, datetime
from typing import Any, Literal

from pydantic import ValidationError

from twin.archive import Archive
from twin.errors import UsageError
from twin.roles import RoleSampling
from twin.types import Sampling, Turn

State = Literal["open", "kept", "dropped"]
TRUNK = "trunk"  # the title of what a conversation begins as


@dataclass(frozen=True)
class Settings:
    """What a line sets: a role instead of the routed one, one more instruction, sampling, whether a council answers.

    Raises UsageError for sampling that no role may ask for.
    """

    role: str | None = None
    instruction: str = field(default="", repr=False)
    sampling: Mapping[str, Any] = field(default_factory=dict)
    council: bool = False

    def __post_init__(self) -> None:
        try:
            RoleSampling(**self.sampling)
        except ValidationError as error:
            first = error.errors(include_url=False)[0]
            raise UsageError(f"The sampling cannot be {'.'.join(map(str, first['loc']))}: {first['msg']}.",
                             f"Known: {', '.join(one.name for one in fields(Sampling))}.") from error


@dataclass(frozen=True)
class Line:
    """A chat `id` that leaves `parent` after `turn` ('' leaves it at the beginning, or is the trunk)."""

    id: str
    parent: str = ""
    turn: str = ""
    name: str = ""
    state: State = "open"
    settings: Settings = Settings()
    made: datetime | None = None

    @property
    def title(self) -> str:
        """Its name, or what tells it apart."""
        council = "council" if self.settings.council else ""
        return self.name or (council or self.settings.role or self.id[:8] if self.parent else TRUNK)


@dataclass(frozen=True)
class Compared:
    """The last turn of a line and, word by word, the share of its answer that the first line says too."""

    line: Line
    turn: Turn | None
    shared: float


class Lines:
    """The lines of all conversations in one archive."""

    def __init__(self, archive: Archive) -> None:
        self.archive = archive

    def all(self, conversation: str | None = None) -> list[Line]:
        """The lines, oldest first; with `conversation` those of its tree, itself first. Dropped ones too."""
        lines = [Line(*row[:4], row[4], _settings(row[5]), row[6]) for row in self.archive.lines()]  # type: ignore[arg-type]  # states are written here
        if conversation is None:
            return lines
        parents = {line.id: line.parent for line in lines}
        root = _root(conversation, parents)
        trunk = [] if root in parents else [Line(root)]
        return trunk + [line for line in lines if _root(line.id, parents) == root]

    def trunks(self) -> list[str]:
        """The ids of all conversations that are no line, in the order of their first turns."""
        lines = self.all()
        parents = {line.id: line.parent for line in lines}
        begun = [*(turn.conversation for turn in self.archive.turns()), *parents]
        return list(dict.fromkeys(_root(chat, parents) for chat in begun))

    def get(self, name: str) -> Line:
        """The line with this id, name or beginning of an id; the trunk of a conversation by its id or the beginning of
        it. The newest of several with one name. UsageError when there is none, and for a beginning of several ids."""
        lines = self.all()
        for line in reversed(lines):
            if name and name in (line.id, line.name):
                return line
        if name and self.archive.turns(name, limit=1):
            return Line(name)
        found = [line for line in (*lines, *map(Line, self.trunks())) if name and line.id.startswith(name)]
        if len(found) == 1:
            return found[0]
        raise UsageError(f"{'Several lines begin with' if found else 'There is no line'} {name!r}.",
                         "`twin lines` lists them.")

    def of(self, conversation: str) -> Line:
        """The line a chat is; a trunk, with nothing set on it, where it is none."""
        return next((line for line in self.all() if line.id == conversation), Line(conversation))

    def history(self, conversation: str) -> list[Turn]:
        """The turns that lead to the end of a chat, those of its parents first, oldest first."""
        line = self.of(conversation)
        return [*(self._until(line.parent, line) if line.parent else ()), *self.archive.turns(conversation)]

    def _until(self, parent: str, line: Line) -> list[Turn]:
        """The parent's turns up to where a line leaves. A turn that was forgotten leaves those older than the line."""
        turns = self.history(parent)
        ids = [turn.id for turn in turns]
        if line.turn in ids:
            return turns[:ids.index(line.turn) + 1]
        if not line.turn:
            return []
        return [turn for turn in turns if turn.time and line.made and turn.time < line.made]

    def fork(self, turn: str, settings: Settings, *, after: bool = False, name: str = "") -> tuple[Line, Turn]:
        """A new line at a turn, and that turn: it leaves before it, so that its question is asked again, or `after` it.

        `turn` is an id or its beginning; '' is the last turn of all. UsageError for a turn that is not there, or a name
        that is taken.
        """
        asked = self.turn(turn)
        if name and any(name in (line.name, line.id) for line in self.all()):
            raise UsageError(f"A line is called {name!r} already.", "Choose another name.")
        leaves = asked.id
        if not after:
            before = self.history(asked.conversation)
            place = [one.id for one in before].index(asked.id)
            leaves = before[place - 1].id if place else ""
        line = Line(str(uuid.uuid4()), asked.conversation, leaves, name, "open", settings, datetime.now(UTC))
        self._save(line)
        return line, asked

    def change(self, name: str, *, state: State | None = None, title: str | None = None) -> Line:
        """Keep, drop, open again or name a line; nothing of it is deleted. UsageError for the trunk."""
        line = self.get(name)
        if not line.parent:
            raise UsageError("The trunk of a conversation is no line of its own.", "Name one of `twin lines`.")
        if title and any(title == other.name and other.id != line.id for other in self.all()):
            raise UsageError(f"A line is called {title!r} already.", "Choose another name.")
        line = replace(line, state=state or line.state, name=line.name if title is None else title)
        self._save(line)
        return line

    def take_back(self, line: Line) -> bool:
        """Delete a line on which nothing was asked; whether it was one, else it stays."""
        return self.archive.delete_line(line.id)

    def compare(self, names: Sequence[str]) -> list[Compared]:
        """Lines side by side: what each came to, and how much of it the first one says too (Dice over words)."""
        lines = [self.get(name) for name in names]
        last = [next(reversed(self.archive.turns(line.id, limit=1)), None) for line in lines]
        first = _words(last[0]) if last else []
        return [Compared(line, turn, _dice(first, _words(turn))) for line, turn in zip(lines, last, strict=True)]

    def turn(self, name: str = "") -> Turn:
        """The turn with this id or beginning of one; the last of all without it. UsageError when there is none."""
        if not name:
            if turns := self.archive.turns(limit=1):
                return turns[0]
            raise UsageError("Nothing was asked yet.", "Ask first: `twin ask`.")
        found = [turn for turn in self.archive.turns() if turn.id.startswith(name)]
        if len(found) != 1:
            raise UsageError(f"{'No turn begins' if not found else 'Several turns begin'} with {name!r}.",
                             "Give the whole id of a turn; `twin lines` shows them.")
        return found[0]

    def _save(self, line: Line) -> None:
        plain = {"role": line.settings.role, "instruction": line.settings.instruction,
                 "sampling": dict(line.settings.sampling), "council": line.settings.council}
        self.archive.save_line((line.id, line.parent, line.turn, line.name, line.state, plain,
                                line.made or datetime.now(UTC)))


def nested(lines: Sequence[Line], parent: str = "", depth: int = 0) -> Iterator[tuple[int, Line]]:
    """The lines of a conversation, each under the one it leaves, with its depth: 0 for the trunk."""
    for line in lines:
        if line.parent == parent:
            yield depth, line
            yield from nested(lines, line.id, depth + 1)


def _settings(stored: Mapping[str, Any]) -> Settings:
    return Settings(**stored)


def _root(conversation: str, parents: Mapping[str, str]) -> str:
    while conversation in parents:
        conversation = parents[conversation]
    return conversation


def _words(turn: Turn | None) -> list[str]:
    return (turn.answer if turn else "").casefold().split()


def _dice(one: Sequence[str], other: Sequence[str]) -> float:
    """2 x shared words (with their counts) / all words; 0 for two empty answers."""
    rest, shared = list(other), 0
    for word in one:
        if word in rest:
            rest.remove(word)
            shared += 1
    return 2 * shared / max(len(one) + len(other), 1)
