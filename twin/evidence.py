"""What a proof looks at, gathered from the archive, and the cut into what miners may see and what they may not.

Only the person's own word counts: what they typed, whom they said a message was for, which answers they kept. An
imported assistant's words stay context; what is pasted, quoted or forwarded is left out. The cut is by conversation and
time: the newest fifth is the proof set, the fifth before selects, the rest is for whoever makes proposals. Once miners
looked or a proof was made, the cut is pinned: what could be seen by then proves nothing any more.
"""
from __future__ import annotations

import json
import math
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from functools import cached_property
from typing import TYPE_CHECKING, Any, Literal, TypeVar

from twin import text as texts
from twin.archive import Archive, typed_in
from twin.archive.proposals import WINDOW
from twin.training.examples import before, own_text
from twin.types import Message, Turn, to_plain

if TYPE_CHECKING:
    from collections.abc import Collection

SHARE = 0.2    # of the conversations: the newest are the proof set, as many before them the selection set
SERVES = WINDOW  # proposals that a proof window serves; then it is for training
MOST = 0.5     # of the conversations: a window that holds more is over, for nothing is left to learn from
LONGEST = 600  # characters of a text that are scored: one long diary entry is no fifty messages
CONTEXT = 400  # characters of what was said before it, the last ones
_CUT = "evidence.cut"  # setting


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
    """A thumb on an answer, whose it was ('council': of several roles), and the version of the map that gave it."""

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
    began: Mapping[str, float] = field(default_factory=dict, repr=False)
    """By conversation: when its first message was written (s); those of unknown time are not there."""
    holds: Mapping[str, Collection[str]] = field(default_factory=dict, repr=False)
    """By conversation: the ids of all that was said in it."""

    def __repr__(self) -> str:
        return f"Evidence({len(self.labelled)} labelled, {len(self.said)} said, {len(self.rated)} rated)"

    def of(self, conversations: Collection[str]) -> Evidence:
        """The part that is of these conversations."""
        def some(kind: Iterable[One]) -> tuple[One, ...]:
            return tuple(one for one in kind if one.conversation in conversations)

        return replace(self, labelled=some(self.labelled), said=some(self.said), rated=some(self.rated))

    @property
    def items(self) -> tuple[Labelled | Said | Rated, ...]:
        """Everything, one kind after the other."""
        return (*self.said, *self.labelled, *self.rated)

    @property
    def begun(self) -> dict[str, float]:
        """When each conversation began (s), in that order; those of unknown time first, as they came, at -inf."""
        first = dict.fromkeys((one.conversation for one in self.items), math.inf)
        for one in self.items:
            if one.time:
                first[one.conversation] = min(one.time.timestamp(), first[one.conversation])
        times = {name: self.began.get(name, -math.inf if math.isinf(when) else when) for name, when in first.items()}
        return dict(sorted(times.items(), key=lambda one: one[1]))

    def conversations(self) -> list[str]:
        """In the order in which they began."""
        return list(self.begun)


@dataclass(frozen=True)
class Cut:
    """Where selection and proof begin: times (s) at which conversations began."""

    select: float
    proof: float

    @property
    def window(self) -> str:
        """The name of the proof window: where it begins, in UTC."""
        return f"t{datetime.fromtimestamp(self.proof, UTC):%Y%m%dT%H%M%S.%f}" if math.isfinite(self.proof) else ""


NOWHERE = Cut(math.inf, math.inf)


@dataclass(frozen=True)
class Split:
    """The parts; the proof window, '' where nothing is proof, and how many proposals it has served; the cut."""

    train: Evidence
    select: Evidence
    proof: Evidence
    window: str
    used: int = 0
    cut: Cut = NOWHERE

    def __repr__(self) -> str:
        return f"Split({self.train!r}, {self.select!r}, {self.proof!r}, {self.window}, used {self.used} times)"

    def may_see(self, conversation: str) -> bool:
        """Whether makers of proposals may look at this conversation, named as the archive does or by its chat or line;
        no to what is selected or proven by, or will be once something in it counts."""
        names = {_trunk(name, self.train.trunks) for name in (conversation, typed_in(conversation))}
        return not names & self._closed and all(
            self.train.began.get(name, -math.inf) < self.cut.select for name in names)

    @cached_property
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
    return Evidence(_in_time(labelled), _in_time(said), _in_time(rated), trunks, *_talks(archive, turns, trunks))


def _talks(archive: Archive, turns: Mapping[str, Turn],
           trunks: Mapping[str, str]) -> tuple[dict[str, float], dict[str, set[str]]]:
    """(when each conversation began, ids of what was said in it), of all that is there, whoever said it."""
    began, holds = dict[str, float](), defaultdict[str, set[str]](set)
    said: list[tuple[str, Message | Turn]] = [*archive.messages(), *((_of(one, trunks), one) for one in turns.values())]
    for conversation, one in said:
        name = _trunk(conversation, trunks)
        holds[name].add(one.id)
        if one.time:
            began[name] = min(one.time.timestamp(), began.get(name, math.inf))
    return began, dict(holds)


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
    rated = [Rated(_of(turns[name], trunks), when, name, "council" if turns[name].verdict else turns[name].route.role,
                   good, turns[name].role_map) for name, (good, when) in there.items()]
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

def split(evidence: Evidence, cut: Cut | None = None, used: int = 0) -> Split:
    """The parts by a cut; without one the newest SHARE of the conversations are proof, as many before them selection.
    Conversations without a time are training."""
    cut = cut or _fresh(evidence)
    begun = evidence.begun
    held, late = ({name for name, when in begun.items() if when >= start} for start in (cut.proof, cut.select))
    train, select, proof = (evidence.of(names) for names in (begun.keys() - held - late, late - held, held))
    return Split(train, select, proof, cut.window, used, cut) if held else Split(train, select, proof, "", 0, cut)


def parts(archive: Archive) -> Split:
    """The cut of an archive: the fresh one, or what follows from the pinned one, whose starts only move forward. A
    window that served nothing yet moves along with the fresh cut; one in use stays, and grows; one that has served
    SERVES proposals, or holds more than MOST of all conversations, is over: proof is what was begun after its last use.
    """
    evidence = gather(archive)
    cut = _moved(archive, evidence)
    return split(evidence, cut, archive.window(cut.window))


def pin(archive: Archive, split: Split) -> None:
    """Keep the cut: what is training by it never becomes anything else. To be called before miners look, and when a
    proof opened the proof set. Nothing is pinned where nothing is proof; what miners may see then, of an archive whose
    window is over, stays theirs."""
    old, cut = _pinned(archive), split.cut
    if not split.window:
        if old is None:
            return
        cut = replace(cut, proof=old.proof)
    if old:
        cut = Cut(max(old.select, cut.select), max(old.proof, cut.proof))
    if cut != old and math.isfinite(max(cut.select, cut.proof)):
        told = {name: datetime.fromtimestamp(when, UTC).isoformat() for name, when in vars(cut).items()}
        archive.set_setting(_CUT, json.dumps(told))


def without(split: Split, keys: Collection[str]) -> Split:
    """The same, less every conversation of selection and proof in which a turn or message of these ids stands: what a
    proposal was made from does not prove it."""
    wanted = set(keys)
    known = {name for name, ids in split.train.holds.items() if not wanted.isdisjoint(ids)}

    def rest(part: Evidence) -> Evidence:
        of = {one.conversation for one in part.items if _key(one) in wanted}
        return part.of(part.begun.keys() - known - of)

    return replace(split, select=rest(split.select), proof=rest(split.proof))


def _fresh(evidence: Evidence) -> Cut:
    """The newest SHARE of the conversations proves, as many before them select; what began at the same time stays
    together, on the older side. NOWHERE where that leaves nothing to prove by."""
    times = list(evidence.begun.values())

    def start(place: int) -> float:
        return next((when for when in times[place:] if when > times[place - 1]), math.inf)

    size = round(SHARE * len(times))
    cut = Cut(start(len(times) - 2 * size), start(len(times) - size)) if size else NOWHERE
    return cut if math.isfinite(cut.proof) else NOWHERE


def _moved(archive: Archive, evidence: Evidence) -> Cut:
    fresh, old = _fresh(evidence), _pinned(archive)
    if old is None:
        return fresh
    used, begun = archive.window(old.window), evidence.begun.values()
    if 0 < used < SERVES and sum(when >= old.proof for when in begun) <= MOST * len(begun):
        return old
    if fresh == NOWHERE:
        fresh = old
    new = Cut(max(old.select, fresh.select), max(old.proof, fresh.proof, _closed(archive, old.window)))
    return Cut(new.select, math.inf) if archive.window(new.window) >= SERVES else new


def _closed(archive: Archive, window: str) -> float:
    """When the last proof that opened this window was made, by the order of its uses and not by the clock, which may
    have been wrong; -inf where there is none."""
    proofs = [proof for stored in archive.proposals() for proof in stored.proofs
              if proof.stage == "S3" and proof.window == window]
    return max(proofs, key=lambda proof: proof.use).made.timestamp() if proofs else -math.inf


def _pinned(archive: Archive) -> Cut | None:
    kept = archive.setting(_CUT)
    told = {name: datetime.fromisoformat(when).timestamp() for name, when in json.loads(kept or "{}").items()}
    return Cut(told["select"], told["proof"]) if told else None


# ---- as plain data -----------------------------------------------------------------------------------------------

def plain(split: Split) -> dict[str, Any]:
    """The parts as JSON holds them, by name: conversations, messages and turns are told apart by numbers, the same in
    all parts, so that no id leaves the home."""
    talks, ids = dict[str, str](), dict[str, str]()

    def row(one: Labelled | Said | Rated) -> dict[str, Any]:
        return {**to_plain(one), "key" if isinstance(one, Said) else "turn": ids.setdefault(_key(one), f"m{len(ids)}"),
                "conversation": talks.setdefault(one.conversation, f"c{len(talks)}")}

    return {name: {kind: [row(one) for one in getattr(part, kind)] for kind in ("labelled", "said", "rated")}
            for name, part in (("train", split.train), ("select", split.select), ("proof", split.proof))}


def read(data: Mapping[str, Any]) -> Evidence:
    """A part that `plain` wrote."""
    def made(kind: Any, rows: Iterable[Mapping[str, Any]]) -> tuple[Any, ...]:
        return tuple(kind(**{**row, "time": row["time"] and datetime.fromisoformat(row["time"])}) for row in rows)

    return Evidence(made(Labelled, data["labelled"]), made(Said, data["said"]), made(Rated, data["rated"]))


def _key(one: Labelled | Said | Rated) -> str:
    return one.key if isinstance(one, Said) else one.turn
