"""What a proof looks at, gathered from the archive, and the cut into what miners may see and what they may not.

Only the person's own word counts: what they typed, whom they said a message was for, which answers they kept. An
imported assistant's words stay context; what is pasted, quoted or forwarded is left out. The cut is by conversation and
time: the newest fifth is the proof set, the fifth before selects, the rest is for whoever makes proposals.
"""
from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Literal, TypeVar

from twin import text as texts
from twin.archive import Archive, typed_in
from twin.errors import UsageError
from twin.training.examples import before, own_text
from twin.types import Turn, to_plain

if TYPE_CHECKING:
    from collections.abc import Collection

SHARE = 0.2    # of the conversations: the newest are the proof set, as many before them the selection set
SERVES = 10    # proposals that a proof window serves; then it is for training
LONGEST = 600  # characters of a text that are scored: one long diary entry is no fifty messages
CONTEXT = 400  # characters of what was said before it, the last ones


@dataclass(frozen=True)
class Labelled:
    """Whom a message was for: a role, or 'none'. By a correction of the person, or because they kept the answer that
    role gave ('kept'): corrections alone would be a set in which every route was wrong."""

    conversation: str
    time: datetime | None
    turn: str
    text: str = field(repr=False)
    label: str
    kind: Literal["correction", "kept"] = "correction"


@dataclass(frozen=True)
class Said:
    """A text a map should foresee, after its context. 'next': the person's own next message; 'kept': an answer they
    thumbed up, or as they edited it, after its question.

    `role` gave the answer; where it is None, who would have answered is up to the router, by `asked`: the person's own
    message before this one. To route by the text itself would tell the map what it is to foresee.
    """

    conversation: str
    time: datetime | None
    key: str
    context: str = field(repr=False)
    text: str = field(repr=False)
    language: str
    kind: Literal["next", "kept"] = "next"
    role: str | None = None
    asked: str = field(default="", repr=False)


@dataclass(frozen=True)
class Rated:
    """A thumb on an answer, and the version of the map that gave it."""

    conversation: str
    time: datetime | None
    turn: str
    role: str
    good: bool
    role_map: str = ""


One = TypeVar("One", Labelled, Said, Rated)


@dataclass(frozen=True)
class Evidence:
    """Everything a map can be judged by. Conversations of the twin are named as the archive does ('twin:CHAT'), lines
    by their trunk: what shares a beginning is one conversation."""

    labelled: tuple[Labelled, ...] = field(default=(), repr=False)
    said: tuple[Said, ...] = field(default=(), repr=False)
    rated: tuple[Rated, ...] = field(default=(), repr=False)
    trunks: Mapping[str, str] = field(default_factory=dict, repr=False)
    """By line: the conversation it belongs to."""

    def __repr__(self) -> str:
        return f"Evidence({len(self.labelled)} labelled, {len(self.said)} said, {len(self.rated)} rated)"

    def of(self, conversations: Collection[str]) -> Evidence:
        """The part that is of these conversations."""
        def some(kind: Iterable[One]) -> tuple[One, ...]:
            return tuple(one for one in kind if one.conversation in conversations)

        return Evidence(some(self.labelled), some(self.said), some(self.rated), self.trunks)

    @property
    def items(self) -> tuple[Labelled | Said | Rated, ...]:
        """Everything, one kind after the other."""
        return (*self.said, *self.labelled, *self.rated)

    def conversations(self) -> list[str]:
        """In order of their first time; those without time first, as they came."""
        first: dict[str, float] = {}
        for one in self.items:
            when = one.time.timestamp() if one.time else math.inf
            first[one.conversation] = min(when, first.get(one.conversation, math.inf))
        return sorted(first, key=lambda name: -math.inf if math.isinf(first[name]) else first[name])


@dataclass(frozen=True)
class Split:
    """The parts, and the proof window: its name, which holds where it begins, and how many proposals it has served."""

    train: Evidence
    select: Evidence
    proof: Evidence
    window: str
    used: int = 0

    def __repr__(self) -> str:
        return f"Split({self.train!r}, {self.select!r}, {self.proof!r}, {self.window}, used {self.used} times)"

    def may_see(self, conversation: str) -> bool:
        """Whether makers of proposals may look at this conversation, named as the archive does or by its chat or line;
        no to what is selected or proven by."""
        return not {_trunk(name, self.train.trunks) for name in (conversation, typed_in(conversation))} & self._closed

    @property
    def _closed(self) -> set[str]:
        return {one.conversation for part in (self.select, self.proof) for one in part.items}


# ---- gathering ---------------------------------------------------------------------------------------------------

def gather(archive: Archive) -> Evidence:
    """All there is, in order of time; what has none first, in order of the archive."""
    trunks = _trunks(archive)
    turns = {turn.id: turn for turn in archive.turns()}
    liked, edits, rated = _signals(archive, turns, trunks)
    corrected = {one.turn: one for one in archive.corrections()}
    labelled = [Labelled(_of(turns[one.turn], trunks), turns[one.turn].time, one.turn, one.text, one.label)
                for one in corrected.values() if one.turn in turns]
    labelled += [Labelled(_of(turn, trunks), turn.time, turn.id, turn.question, turn.route.role, "kept")
                 for turn in liked if turn.id not in corrected and turn.verdict is None]
    said = [*_next(archive, turns, trunks), *_kept(liked, edits, turns, trunks)]
    return Evidence(_in_time(labelled), _in_time(said), _in_time(rated), trunks)


def _in_time(items: Iterable[One]) -> tuple[One, ...]:
    return tuple(sorted(items, key=_when))


def _when(item: Labelled | Said | Rated) -> float:
    return item.time.timestamp() if item.time else -math.inf


def _next(archive: Archive, turns: Mapping[str, Turn], trunks: Mapping[str, str]) -> Iterator[Said]:
    """Own messages after what was said before them; what stands twice in a conversation (a turn asked again on another
    line) is one."""
    messages = list(archive.messages())
    said_before = before(messages) | _answered(messages, turns)
    asked: dict[str, str] = {}
    seen: set[tuple[str, str]] = set()
    for conversation, message in messages:
        answer = own_text(message.text) if message.own else ""
        if not answer:
            continue
        name = _trunk(conversation, trunks)
        if (name, answer) not in seen and sum(any(map(str.isalpha, word)) for word in answer.split()) > 1:
            seen.add((name, answer))
            yield Said(name, message.time, message.id, said_before.get((conversation, message.id), "")[-CONTEXT:],
                       answer[:LONGEST], texts.language(answer), asked=asked.get(conversation, ""))
        asked[conversation] = answer


def _answered(messages: Iterable[tuple[str, Any]], turns: Mapping[str, Turn]) -> dict[tuple[str, str], str]:
    """Before what was typed to the twin stands its own last answer, which is no message."""
    found: dict[tuple[str, str], str] = {}
    last: dict[str, str] = {}
    for conversation, message in messages:
        if message.source == "twin":
            found[conversation, message.id] = last.get(conversation, "")
            last[conversation] = turns[message.id].answer if message.id in turns else ""
    return found


def _kept(liked: Iterable[Turn], edits: Mapping[str, str], turns: Mapping[str, Turn],
          trunks: Mapping[str, str]) -> Iterator[Said]:
    """Answers as the person kept them. An edited one counts in its edited form, thumb or not."""
    kept = {turn.id: turn.answer for turn in liked} | {name: said for name, said in edits.items() if name in turns}
    for name, answer in kept.items():
        turn = turns[name]
        if answer.strip() and turn.verdict is None:
            yield Said(_of(turn, trunks), turn.time, name, turn.question[-CONTEXT:], answer.strip()[:LONGEST],
                       texts.language(answer), "kept", turn.route.role, turn.question)


def _signals(archive: Archive, turns: Mapping[str, Turn],
             trunks: Mapping[str, str]) -> tuple[list[Turn], dict[str, str], list[Rated]]:
    """(answers thumbed up, edited forms by turn, ratings); the last thumb on an answer counts."""
    thumbs: dict[str, tuple[bool, datetime]] = {}
    edits: dict[str, str] = {}
    for signal in archive.signals():
        if signal.kind == "thumb":
            thumbs[signal.turn] = (signal.body == 1, signal.made)
        elif signal.kind == "edited":
            edits[signal.turn] = texts.clean(str(signal.body))
    there = {name: thumb for name, thumb in thumbs.items() if name in turns}
    rated = [Rated(_of(turns[name], trunks), when, name, turns[name].route.role, good, turns[name].role_map)
             for name, (good, when) in there.items()]
    return [turns[name] for name, (good, _) in there.items() if good], edits, rated


def _trunks(archive: Archive) -> dict[str, str]:
    parents = {row[0]: row[1] for row in archive.lines()}
    found = {}
    for line in parents:
        trunk = line
        while trunk in parents:
            trunk = parents[trunk]
        found[line] = typed_in(trunk)
    return found


def _trunk(conversation: str, trunks: Mapping[str, str]) -> str:
    """The conversation that a line, or the name the archive gives it, belongs to; else the same name."""
    return trunks.get(conversation.removeprefix(typed_in("")), conversation)


def _of(turn: Turn, trunks: Mapping[str, str]) -> str:
    return trunks.get(turn.conversation, typed_in(turn.conversation))


# ---- the cut -----------------------------------------------------------------------------------------------------

def split(evidence: Evidence, *, window: str = "", used: int = 0, last: datetime | None = None) -> Split:
    """The parts. A window that was opened stays where it begins, and grows by what is said from then on, until it has
    served SERVES proposals; after that only conversations begun after its `last` proof are proof, and what it held is
    for training. `window` '' opens one: the newest SHARE of the conversations."""
    order = evidence.conversations()
    begun = _begun(evidence)
    cut = len(order) - round(SHARE * len(order))
    if window and used >= SERVES:
        when = last.timestamp() if last else math.inf
        cut = next((place for place, name in enumerate(order) if begun[name] > when), len(order))
        window, used = "", 0
    elif window:
        cut = _place(window, order, begun)
    name = window or _name(order, cut, begun, last)
    first = max(0, cut - round(SHARE * len(order)))
    train, select, proof = (evidence.of(set(order[start:end]))
                            for start, end in ((0, first), (first, cut), (cut, len(order))))
    return Split(train, select, proof, name, used)


def parts(archive: Archive) -> Split:
    """The cut of an archive, with the window that its stored proofs have opened."""
    proofs = [proof for stored in archive.proposals() for proof in stored.proofs if proof.window]
    if not proofs:
        return split(gather(archive))
    newest = max(proofs, key=lambda proof: proof.made)
    return split(gather(archive), window=newest.window, used=archive.window(newest.window), last=newest.made)


def _begun(evidence: Evidence) -> dict[str, float]:
    """When each conversation began; -inf where no time is known."""
    found: dict[str, float] = {}
    for one in evidence.items:
        if one.time:
            found[one.conversation] = min(found.get(one.conversation, math.inf), one.time.timestamp())
    return {name: found.get(name, -math.inf) for name in evidence.conversations()}


def _name(order: list[str], cut: int, begun: Mapping[str, float], last: datetime | None) -> str:
    """Where a window begins: the time of its first conversation, in UTC, or its place where it has none."""
    if cut < len(order) and math.isinf(begun[order[cut]]):
        return f"n{cut}"
    if cut < len(order):
        return f"t{datetime.fromtimestamp(begun[order[cut]], UTC):%Y%m%dT%H%M%S.%f}"
    return f"t{last.astimezone(UTC):%Y%m%dT%H%M%S.%f}" if last else f"n{cut}"


def _place(window: str, order: list[str], begun: Mapping[str, float]) -> int:
    """The first conversation of a window. Raises UsageError for a name that is none."""
    try:
        if window.startswith("n"):
            return min(int(window[1:]), len(order))
        start = datetime.strptime(window, "t%Y%m%dT%H%M%S.%f").replace(tzinfo=UTC).timestamp()
    except ValueError as error:
        raise UsageError(f"{window!r} names no proof window.", "Leave it out, and a window is opened.") from error
    return next((place for place, name in enumerate(order) if begun[name] >= start), len(order))


# ---- as plain data -----------------------------------------------------------------------------------------------

def plain(evidence: Evidence) -> dict[str, Any]:
    """As JSON holds it, without the trunks: conversations are told apart, not named, so that no id leaves the home."""
    names = {name: f"c{number}" for number, name in enumerate(evidence.conversations())}
    return {kind: [{**to_plain(one), "conversation": names[one.conversation]} for one in getattr(evidence, kind)]
            for kind in ("labelled", "said", "rated")}


def read(data: Mapping[str, Any]) -> Evidence:
    """What `plain` wrote."""
    def made(kind: Any, rows: Iterable[Mapping[str, Any]]) -> tuple[Any, ...]:
        return tuple(kind(**{**row, "time": row["time"] and datetime.fromisoformat(row["time"])}) for row in rows)

    return Evidence(made(Labelled, data["labelled"]), made(Said, data["said"]), made(Rated, data["rated"]))
