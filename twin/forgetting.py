"""Forgetting: a source, a conversation, a message, a turn or a claim leaves archive, memory and files, provably.

Role files that the twin wrote lose the words, and a trial of them ends; one that the person wrote is theirs to edit.

The archive goes first, in one transaction that leaves a mark; whatever dies after it is finished by `finish`, at the
next call. Knows what archive and memory offer, and the files of the home; no format of any of them.
"""
from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from importlib.resources import files as package_files
from itertools import chain
from pathlib import Path
from typing import Literal, Protocol

from twin import text as texts
from twin.archive import Archive, Derived, Key, role_maps, typed_in
from twin.archive.derived import PART
from twin.archive.selection import Meaning, Selection
from twin.archive.traces import Sieve, sample, sieve
from twin.claims import free_claims, free_id
from twin.cues import plain
from twin.errors import HomeError
from twin.facets import facets, shown
from twin.home import Home, sha256_of
from twin.person import FreeClaim
from twin.profile import ACCEPT, LONGEST, SHORTEST, Point
from twin.types import Message, Progress, Turn

_CLOCK_S = 0.05  # the clock of a file system may lag behind that of the process: 4 ms on Linux


class Memory(Protocol):
    """What is needed of the memory."""

    def forget(self, keys: Collection[Key]) -> int:
        """Remove messages from every version and index; returns how many passages went."""
        ...

    def contents(self) -> Iterator[tuple[str, str]]:
        """(where, text) of every column and term in every version that is left."""
        ...


@dataclass(frozen=True)
class Check:
    """One place that was searched, how much of it, and how many different runs of the forgotten text stood there
    before and after. `files`: where they stand still."""

    where: str
    searched: int
    unit: Literal["bytes", "texts", "files"]
    before: int
    after: int
    files: tuple[str, ...] = ()


@dataclass(frozen=True)
class Forgotten:
    """What became of a forgetting: what went, what stays outside, and the proof.

    `also`: other sources that had brought some of these messages -> how many; `claims`: those that lost their last
    evidence; `carried_away`: exports outside the home that were changed or moved since, so that they are the person's
    to remove; `adapters`: stale now. `runs`: runs of 12 characters that were searched, a sample; those that stand in
    what remains are none.
    """

    target: str
    kind: Meaning
    messages: int
    conversations: int
    passages: int
    turns: int
    tombstones: int
    also: Mapping[str, int] = field(default_factory=dict)
    claims: tuple[str, ...] = ()
    removed: tuple[str, ...] = ()
    carried_away: tuple[str, ...] = ()
    adapters: tuple[str, ...] = ()
    runs: int = 0
    proof: tuple[Check, ...] = ()

    @property
    def clean(self) -> bool:
        """Nothing was found after, by a scanner that did find it before."""
        found = any(check.before for check in self.proof)
        return all(check.after == 0 for check in self.proof) and (found or not self.runs or self.kind == "claim")


@dataclass(frozen=True)
class Cleaned:
    """What `finish` removed outside the archive."""

    passages: int = 0
    removed: tuple[str, ...] = ()
    carried_away: tuple[str, ...] = ()


def forget(home: Home, archive: Archive, memory: Memory, target: str, *, progress: Progress | None = None) -> Forgotten:
    """Forget what `target` names: a source or a file of one, a kind of export, a conversation, a message, a turn, a
    claim.

    Raises UsageError when it names nothing or several things, HomeBusy while another process holds the home or reads
    the archive (then the rest is done by the next call).
    """
    finish(home, archive, memory, progress=progress)
    chosen = archive.select(target)
    named = _named_so(archive, chosen.name) if chosen.kind == "claim" else ()
    runs = _runs(archive, chosen, named)
    _tell(progress, "looking for its traces", 0)
    before = _scan(home, memory, runs)
    touched = _facets_of(archive, chosen.keys)
    stale = {adapter.path for adapter in archive.stale_adapters()}
    whole = {conversation for conversation, _ in chosen.keys} if chosen.kind == "conversation" else ()
    role_maps.log_edits(archive, home.roles)
    _tell(progress, "forgetting", 1)
    gone = archive.forget(chosen.keys, conversations=whole, facets=named, turns=chosen.turns)
    pending = archive.pending()
    done = finish(home, archive, memory, progress=progress) or Cleaned()
    _tell(progress, "looking for its traces", 5)
    after = _scan(home, memory, runs)
    _excuse(after, archive)
    proof = _compared(before, after)
    if pending and chosen.keys:
        proof += (_ages(home, pending.since.timestamp()),)
    lost = named or tuple(sorted({*_lost(archive, touched), *gone.claims}))
    _tell(progress, "forgotten", 6)
    return Forgotten(
        target, chosen.kind, gone.messages, gone.conversations, done.passages, gone.turns, gone.tombstones,
        also=chosen.also, claims=lost, removed=done.removed, carried_away=done.carried_away,
        adapters=tuple(str(one.path) for one in archive.stale_adapters() if one.path not in stale),
        runs=len(runs), proof=proof)


def finish(home: Home, archive: Archive, memory: Memory, *, progress: Progress | None = None) -> Cleaned | None:
    """Do what a forgetting leaves to be done after its transaction; each step can be done twice. None: nothing was
    pending, which costs a millisecond to learn."""
    pending = archive.pending()
    if pending is None:
        return None
    _tell(progress, "forgetting: archive", 2)
    role_maps.clean(archive, home.roles)
    copies = archive.compact()
    _tell(progress, "forgetting: memory", 3)
    with home.writing("forgetting"):
        passages = memory.forget(pending.keys) if pending.keys else 0
    _tell(progress, "forgetting: files", 4)
    with home.writing("forgetting"):
        removed, carried = _remove(home, archive.derived())
    archive.drop_derived(one for one in archive.derived() if one.stale and one.kind != "adapter")
    archive.end_forgetting()
    return Cleaned(passages, tuple(_label(home, path) for path in (*copies, *removed)), tuple(map(str, carried)))


def _tell(progress: Progress | None, stage: str, done: int) -> None:
    if progress:
        progress(stage, done, 6)


# ---- files -----------------------------------------------------------------------------------------------------------

def _remove(home: Home, derived: Iterable[Derived]) -> tuple[list[Path], list[Path]]:
    """Delete what was made of it: registered files, exports nobody registered, all snapshots, whose tokens tell the
    text but not whose it is, and trainings under way, whose weights do; and folders of exports that are empty then.
    Outside the home, wherever links lead, only a file that is still what was registered, and what an export that was
    killed left under its own name. Returns what was removed, and what lies outside and is no longer ours to delete."""
    removed, carried, kept, folders = _told_apart(home, derived)
    for folder in (home.exports, home.snapshots, home.training):
        removed += [path for path in _files(folder) if path not in kept and path not in removed]
    for path in removed:
        try:
            path.unlink(missing_ok=True)
        except OSError as error:
            raise HomeError(f"{path} cannot be removed ({error.strerror}).",
                            "Remove it by hand, then do the same again.") from error
    for folder in folders:
        _prune(folder, itself=folder != home.exports)
    return removed, carried


def _told_apart(home: Home, derived: Iterable[Derived]) -> tuple[list[Path], list[Path], set[Path], list[Path]]:
    """Of registered files: those to remove, those outside that are not ours any more, those that stay; and the folders
    that go when they are empty."""
    removed, carried, kept, folders = list[Path](), list[Path](), set[Path](), [home.exports]
    root = home.root.resolve()
    for one in derived:
        if one.kind == "adapter":
            continue
        if not one.stale:
            kept.add(one.path)
        elif one.path.is_dir() and not one.path.is_symlink():
            folders.append(one.path)
            if one.path.name.startswith(PART):
                removed += _files(one.path)
        elif not one.sha256 and not one.path.exists():
            continue
        elif not one.path.resolve().is_relative_to(root) and _sha256(one.path) not in one.sha256.split():
            carried.append(one.path)
        elif one.path.exists():
            removed.append(one.path)
    return removed, carried, kept, folders


def _prune(folder: Path, *, itself: bool) -> None:
    """Remove the empty folders below, and the folder where it is one; links are no folders."""
    inside = [Path(root, name) for root, names, _ in os.walk(folder) for name in names]
    for empty in [*reversed(inside), *([folder] if itself else [])]:
        with suppress(OSError):  # it holds something
            empty.rmdir()


def _sha256(path: Path) -> str:
    try:
        return sha256_of(path)
    except OSError:
        return ""


def _files(folder: Path) -> Iterator[Path]:
    """Every file below, hidden and half-written ones too; links lead elsewhere."""
    for root, _, names in os.walk(folder):
        yield from (path for name in sorted(names) if not (path := Path(root, name)).is_symlink())


def _label(home: Home, path: Path) -> str:
    return path.relative_to(home.root).as_posix() if path.is_relative_to(home.root) else str(path)


# ---- claims ----------------------------------------------------------------------------------------------------------

Talks = dict[str, dict[object, str]]  # by facet: sentence (or point) -> the conversation it stands in


def _shown(messages: Iterable[tuple[str, Message]], talks: Talks) -> Iterator[str]:
    """Add what own messages show by their words, facet by facet: what profile.build counts as evidence."""
    for conversation, message in messages:
        words = message.text
        for start, end in texts.own_sentences(words):
            if SHORTEST <= end - start <= LONGEST:
                for facet in shown(words[start:end]):
                    talks[facet].setdefault(plain(words[start:end]), conversation)
                    yield facet


def _pointed(points: Iterable[Point], talks: Talks) -> None:
    for point in points:
        if point.probability >= ACCEPT:
            talks[point.facet][point.conversation, point.message, point.start] = point.conversation


def _facets_of(archive: Archive, keys: Collection[Key]) -> Talks:
    """Facets that the messages are evidence for, by their words or because a core pointed at them."""
    wanted, talks = set(keys), defaultdict[str, dict[object, str]](dict)
    for _ in _shown(archive.messages(own=True, keys=keys), talks):
        pass
    _pointed((point for point in archive.points() if (point.conversation, point.message) in wanted), talks)
    forgotten = archive.forgotten_claims(talks)
    return {facet: found for facet, found in talks.items() if facet not in forgotten}


def _lost(archive: Archive, touched: Talks) -> set[str]:
    """Those of the facets that what remains no longer shows in two conversations, as a claim must; with what is gone it
    did. A lost one costs a look at every message."""
    talks = defaultdict[str, dict[object, str]](dict)

    def stands(facet: str, more: dict[object, str] | None = None) -> bool:
        return len({*({**talks[facet], **(more or {})}).values()}) > 1

    _pointed(archive.points(), talks)
    left = {facet for facet in touched if not stands(facet)}
    for facet in _shown(archive.messages(own=True), talks) if left else ():
        if facet in left and stands(facet):
            left.discard(facet)
            if not left:
                break
    return {facet for facet in left if stands(facet, touched[facet])}


def _named_so(archive: Archive, claim: str) -> tuple[str, ...]:
    """A claim, and for one in a core's words all that a profile merges with it: they would stand in for it."""
    every = archive.free() if claim.startswith("free.") else []
    keys = {span[:2] for one in every for span in one.spans}
    own = {(conversation, message.id): message for conversation, message in archive.messages(own=True, keys=keys)}

    def claims(*some: FreeClaim) -> int:
        # A fact takes one sentence only, so each that has one is a claim, and two that are one say the same.
        return len(free_claims([replace(one, kind="fact", probability=1.0) for one in some], own, some[0].language))

    alone = [one for one in every if claims(one)]
    same = {free_id(other.kind, other.text) for one in alone if free_id(one.kind, one.text) == claim for other in alone
            if other.kind == one.kind and claims(one, other) == 1}
    return (claim, *sorted(same - {claim}))


# ---- the proof -------------------------------------------------------------------------------------------------------

def _runs(archive: Archive, chosen: Selection, claims: Collection[str]) -> Sieve:
    """Runs of the text that stand in nothing that remains, nor in what ships with the twin. A claim is told by words of
    the catalogue or of messages, an answer in a core's own or as the person would have had it: where another turn says
    them they are no trace of it."""
    keys, gone, left = chosen.keys, list[Turn](), list[Turn]()
    own, others = _edits(archive, chosen)
    for turn in archive.turns() if claims or chosen.turns or own else ():
        (gone if turn.id in {*chosen.turns} else left).append(turn)
    catalogue = [text for claim in claims if claim in facets() for text in facets()[claim].text.values()]
    said = [*catalogue, *archive.claim_texts(claims), *archive.texts(keys), *(turn.question for turn in gone)]
    seeds = [path.read_text("utf-8") for path in package_files("twin").joinpath("seed").iterdir() if path.is_file()]
    rest = archive.claim_texts(claims, rest=True) if claims else []
    turns = [*others, *(part for turn in left for part in (
        turn.question, turn.answer, turn.thinking, *(memory.text for memory in turn.memories)))]
    runs, answers = sample(said), sample([*own, *(turn.answer for turn in gone)])
    runs = runs.plus(answers.without(answers.within(turns)))
    return runs.without(runs.within(chain(seeds, rest, turns if claims else (), archive.texts(keys, rest=True))))


def _edits(archive: Archive, chosen: Selection) -> tuple[list[str], list[str]]:
    """Answers as the person would have them: of the turns that go, and of the others."""
    typed = {message for conversation, message in chosen.keys if conversation.startswith(typed_in(""))}
    going = {*chosen.turns, *typed}
    edits = [one for one in archive.signals() if one.kind == "edited"]
    return ([str(one.body) for one in edits if one.turn in going],
            [str(one.body) for one in edits if one.turn not in going])


@dataclass
class _Place:
    """What was searched in one place, and the runs that stood there, by file."""

    unit: Literal["bytes", "texts"]
    searched: int = 0
    found: dict[str, set[int]] = field(default_factory=dict)

    @property
    def runs(self) -> set[int]:
        return set().union(*self.found.values())


def _scan(home: Home, memory: Memory, runs: Sieve) -> dict[str, _Place]:
    """Search every file of the home as it lies on the disk, by the first part of its name, and memory decoded."""
    places: dict[str, _Place] = {}
    for path in _files(home.root):
        try:
            hits, size = runs.within_file(path), path.stat().st_size
        except FileNotFoundError:  # another process finished with it
            continue
        except OSError as error:
            raise HomeError(f"{path} cannot be searched ({error.strerror}).",
                            "Make it readable, or move it.") from error
        label = _label(home, path)
        place = places.setdefault(label.split("/")[0], _Place("bytes"))
        place.searched += size
        if len(hits):
            place.found[label] = set(hits.hashes.tolist())
    if home.memory.is_dir():
        decoded = places["memory, decoded"] = _Place("texts")

        def counted() -> Iterator[str]:
            for _, text in memory.contents():
                decoded.searched += 1
                yield text

        if len(hits := runs.within(counted())):
            decoded.found["memory"] = set(hits.hashes.tolist())
    return places


def _excuse(places: Mapping[str, _Place], archive: Archive) -> None:
    """Take from the memory's places the runs that the stems of what remains spell: "tests. First" is "tests first"
    there. Stems cost 0.2 ms a message, so they are only made where something was found."""
    in_memory = [place for where, place in places.items() if where.startswith("memory") and place.found]
    left = sorted(set().union(*(place.runs for place in in_memory)))
    if left:
        said = (" ".join(texts.stems(f"{message.author or ''} {message.text}")) for _, message in archive.messages())
        excused = set(sieve(left).within(said).hashes.tolist())
        for place in in_memory:
            place.found = {label: rest for label, runs in place.found.items() if (rest := runs - excused)}


def _compared(before: Mapping[str, _Place], after: Mapping[str, _Place]) -> tuple[Check, ...]:
    """What was found before and after, place by place; how much was searched is what is there now."""
    return tuple(Check(where, now.searched, now.unit, len(then.runs), len(now.runs), tuple(now.found))
                 for where in sorted({*before, *after})
                 for then, now in [(before.get(where, _Place("bytes")), after.get(where, _Place("bytes")))])


def _ages(home: Home, since: float) -> Check:
    """Files of the memory from before the forgetting: none of them may hold what it held then."""
    every = list(_files(home.memory))
    old = [path for path in every if path.stat().st_mtime < since - _CLOCK_S]
    return Check("memory, files older than this", len(every), "files", 0, len(old),
                 tuple(_label(home, path) for path in old))
