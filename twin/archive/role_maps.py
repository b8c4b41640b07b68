"""The history of the role map: every set of files it ever was, and the log of which was active when.

Equal bytes are stored once. The last entry of the log is the active map. What a role file is matters here only where
words in it are forgotten: it has to read as the same role but for them.
"""
from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from hashlib import sha256
from itertools import count, pairwise
from pathlib import Path
from typing import Any, Literal

from pydantic import ValidationError

from twin import roles
from twin.archive import hash_chain, proposals
from twin.archive.file import File
from twin.archive.tombstones import keyed
from twin.archive.traces import MARK, Sieve, redacted
from twin.change import Change
from twin.errors import RoleError, UsageError
from twin.proposals import State
from twin.roles import COUNCIL, CouncilPolicy, Role, seed_files

MapAuthor = Literal["owner", "proposal"]
TRIAL = "reflection.trial"  # setting: the change of the map that is tried, see consent.py
_KEYED = ("proposal", "before", "after", "proof")  # of a line of the audit: ids and hashes of what may be forgotten
_WORDS = ("title", "purpose", "sections", "examples", "memory")  # of a role: where the person's words stand
_UNFINISHED = "roles.unfinished"  # setting: the hash of the map whose files are being put into the folder
_ENTRY = ("SELECT l.number, m.version, m.hash, p.version, l.author, l.note, l.made FROM role_map_log l "
          "JOIN role_maps m ON m.number = l.map LEFT JOIN role_maps p ON p.number = l.parent ")


@dataclass(frozen=True)
class MapEntry:
    """One line of the log: from `made` (UTC) on, the map with this hash (of its bytes) and version (of its content) was
    active. `parent` is the version that was active before, None for the first."""

    number: int
    version: str
    hash: str
    parent: str | None
    author: MapAuthor
    note: str
    made: datetime


def bytes_hash(files: Mapping[str, bytes]) -> str:
    """sha256 over the names and bytes of files, in order of the names, each with its length before it."""
    made = sha256()
    for name, data in sorted(files.items()):
        for part in (name.encode(), data):
            made.update(len(part).to_bytes(8, "big") + part)
    return made.hexdigest()


class MapLog:
    """The log inside one transaction, for a writer that also touches the files the map stands in."""

    def __init__(self, db: sqlite3.Connection) -> None:
        self._db = db

    def active(self) -> MapEntry | None:
        """The last entry."""
        return _last(self._db)

    def begin(self, files: Mapping[str, bytes], version: str, kept: Mapping[str, bytes] | None = None) -> None:
        """Commit what was logged by now, and that these files (UTF-8) are on their way into the folder: until `add` or
        `end` nothing that stands there is an edit, and the active map is the one in force. `kept`: what is remembered
        of them, where that is not all."""
        self._keep(files, version, kept)
        self._db.execute("INSERT OR REPLACE INTO settings VALUES (?, ?)", (_UNFINISHED, bytes_hash(files)))
        self._db.execute("COMMIT")
        self._db.execute("BEGIN IMMEDIATE")

    def unfinished(self) -> dict[str, bytes] | None:
        """The files that a writer left half-way; None where none did."""
        found = _setting(self._db)
        return None if found is None else _files(self._db, found) or {}

    def end(self) -> None:
        """The folder holds the active map again."""
        self._db.execute("DELETE FROM settings WHERE key = ?", (_UNFINISHED,))

    def add(self, files: Mapping[str, bytes], version: str, author: MapAuthor, note: str = "") -> MapEntry:
        """Make these files (UTF-8) the active map; returns its entry. The active map once more is no new entry."""
        self.end()
        name, before = bytes_hash(files), self.active()
        if before is not None and before.hash == name:
            return before
        self._keep(files, version)
        self._db.execute(
            "INSERT INTO role_map_log (map, parent, author, note, made) VALUES ("
            "(SELECT number FROM role_maps WHERE hash = ?), (SELECT number FROM role_maps WHERE hash = ?), ?, ?, ?)",
            (name, before.hash if before else None, author, note, datetime.now(UTC).isoformat()))
        made = self.active()
        assert made is not None  # noqa: S101 - it was added just now
        return made

    def files(self, entry: MapEntry) -> dict[str, bytes]:
        """The files of an entry, as they are remembered."""
        return _files(self._db, entry.hash) or {}

    def rename(self, entry: MapEntry) -> None:
        """Let nothing in the name of an entry's map tell what it held before."""
        _rename(self._db, entry.hash)

    def by_hand(self, name: str) -> bool:
        """Whether the person wrote this file of the active map: what the twin puts into the folder has a note."""
        entries, active = _entries(self._db), self.active()
        now = self.files(active).get(name) if active else None
        return next((not one.note for one in entries if self.files(one).get(name) == now), True)

    def trial_forgotten(self) -> tuple[str, MapEntry, MapEntry] | None:
        """The proposal on trial where its words were forgotten, the entry before it and the one that put it there."""
        row = self._db.execute("SELECT value FROM settings WHERE key = ?", (TRIAL,)).fetchone()
        trial = json.loads(row[0]) if row else {"proposal": "", "version": ""}
        name = trial["proposal"]
        if not name or self._db.execute("SELECT 1 FROM proposals WHERE id = ?", (name,)).fetchone():
            return None
        found = tried(_entries(self._db), trial["version"])
        return found and (name, *found)

    def decide(self, proposal: str, state: State, *, expected: State | Collection[State],
               note: str | None = None) -> None:
        """Set what became of a proposal, in this transaction; UsageError where it is in another state than expected."""
        proposals.set_state(self._db, proposal, state, expected=expected, note=note)

    def audit(self, **ids: Any) -> None:
        """Add a line about the map to the audit, in this transaction; ids and hashes only, those of proposals and maps
        under the home's key."""
        hash_chain.add(self._db, "map", **{name: keyed(self._db, value) if name in _KEYED else value
                                           for name, value in ids.items() if value != ""})

    def set(self, key: str, value: str | None) -> None:
        """Store a setting in this transaction, or take it away."""
        if value is None:
            self._db.execute("DELETE FROM settings WHERE key = ?", (key,))
        else:
            self._db.execute("INSERT OR REPLACE INTO settings VALUES (?, ?)", (key, value))

    def _keep(self, files: Mapping[str, bytes], version: str, kept: Mapping[str, bytes] | None = None) -> None:
        held = files if kept is None else kept
        written = json.dumps({key: held[key].decode("utf-8") for key in sorted(held)}, ensure_ascii=False)
        self._db.execute("INSERT OR IGNORE INTO role_maps (hash, version, files) VALUES (?, ?, ?)",
                         (bytes_hash(files), version, written))


class Maps(File):
    """The part of the archive that keeps role maps."""

    @contextmanager
    def map_log(self, wait_s: float = 2.0) -> Iterator[MapLog]:
        """The log for writing, under the home's lock; raises what a writer of the archive raises."""
        with self._writing("role map", wait_s) as db:
            yield MapLog(db)

    def map_unfinished(self) -> bool:
        """Whether somebody is putting another map into the folder now, or was when the power went."""
        with self._reading() as db:
            return _setting(db) is not None

    def active_map(self) -> MapEntry | None:
        """The active map's entry; None before the first."""
        with self._reading() as db:
            return _last(db)

    def map_entries(self) -> list[MapEntry]:
        """The whole log, the newest last."""
        with self._reading() as db:
            return _entries(db)

    def map_entry(self, which: str) -> MapEntry:
        """The newest entry of this number, or whose version or hash begins so. UsageError for none, and for several
        maps that are not the same in content."""
        entries = self.map_entries()
        found = [one for one in entries if str(one.number) == which.removeprefix("#")] or [
            one for one in entries if which and (one.version.startswith(which) or one.hash.startswith(which))]
        if len({one.version for one in found}) != 1:
            shown = [f"#{one.number} {one.version[:12]}" for one in (found or entries)[-5:]]
            what = "Several role maps begin with" if found else "No role map has the number, or begins with,"
            raise UsageError(f"{what} {which!r}.", f"Name one of: {', '.join(shown)}."
                             if shown else "There is no history yet.")
        return found[-1]

    def map_files(self, entry: MapEntry) -> dict[str, bytes]:
        """The files of an entry, by name, byte for byte."""
        with self._reading() as db:
            found = _files(db, entry.hash)
        if found is None:
            raise UsageError(f"The archive holds no role map {entry.hash[:12]}.", "Take an entry of its log.")
        return found


def tried(entries: Sequence[MapEntry], version: str) -> tuple[MapEntry, MapEntry] | None:
    """The newest entry by a proposal that made this version the map, with the one before it."""
    return next(((before, one) for before, one in list(pairwise(entries))[::-1]
                 if one.author == "proposal" and one.version == version), None)


def _setting(db: sqlite3.Connection) -> str | None:
    row = db.execute("SELECT value FROM settings WHERE key = ?", (_UNFINISHED,)).fetchone()
    return None if row is None else str(row[0])


def _files(db: sqlite3.Connection, name: str) -> dict[str, bytes] | None:
    row = db.execute("SELECT files FROM role_maps WHERE hash = ?", (name,)).fetchone()
    return None if row is None else {file: text.encode("utf-8") for file, text in json.loads(row[0]).items()}


def _entries(db: sqlite3.Connection) -> list[MapEntry]:
    return [_entry(row) for row in db.execute(_ENTRY + "ORDER BY l.number")]


def _last(db: sqlite3.Connection) -> MapEntry | None:
    row = db.execute(_ENTRY + "ORDER BY l.number DESC LIMIT 1").fetchone()
    return None if row is None else _entry(row)


def _entry(row: tuple[int, str, str, str | None, MapAuthor, str, str]) -> MapEntry:
    number, version, name, parent, author, note, made = row
    return MapEntry(number, version, name, parent, author, note, datetime.fromisoformat(made))


def texts(db: sqlite3.Connection) -> list[str]:
    """What the person wrote into role files, in any version; what ships is nobody's secret."""
    return [text for (files,) in db.execute("SELECT files FROM role_maps")
            for name, text in json.loads(files).items() if text.encode("utf-8") != seed_files().get(name)]


def follow(db: sqlite3.Connection, runs: Sieve) -> None:
    """Words that went with a message leave every version: such a one no longer comes back byte for byte, nor has it the
    name that its words made. The map in force keeps its own until `clean` has seen to the folder."""
    active = _last(db)
    for number, files, name in db.execute("SELECT number, files, hash FROM role_maps").fetchall():
        read = json.loads(files)
        clean = {name: text if text.encode("utf-8") == seed_files().get(name) else _without(name, text, runs)
                 for name, text in read.items()}
        if clean != read:
            db.execute("UPDATE role_maps SET files = ? WHERE number = ?",
                       (json.dumps(clean, ensure_ascii=False), number))
            if active is not None and name != active.hash:
                _rename(db, name)


def _rename(db: sqlite3.Connection, name: str) -> None:
    """Hash and version of a map without some of its words: who guesses them does not find them confirmed."""
    version, = db.execute("SELECT version FROM role_maps WHERE hash = ?", (name,)).fetchone()
    db.execute("UPDATE role_maps SET hash = ?, version = ? WHERE hash = ?", (keyed(db, name), keyed(db, version), name))
    db.execute("UPDATE turns SET role_map = ? WHERE role_map = ?", (keyed(db, version), version))


def _without(name: str, text: str, runs: Sieve) -> str:
    """A role file that reads as the same role but for its words: with a mark where each trace was, and where that would
    touch a number, a name or the form itself, the role written anew."""
    numbers = count(1)

    def marked(said: str) -> str:  # the mark of what is gone is no YAML list, and differs where examples must
        first, *rest = redacted(said, runs).split(MARK)
        return first + "".join(f"(forgotten {next(numbers)}){part}" for part in rest)

    made = marked(text)
    if made == text:
        return text
    try:
        old = _read(name, text)
    except RoleError:  # it never was one
        return made
    with suppress(RoleError):
        if _bones(_read(name, made)) == _bones(old):
            return made
    numbers = count(1)
    with suppress(ValidationError):
        return _anew(old, marked)
    return made


def _read(name: str, text: str) -> Role | CouncilPolicy:
    return roles.parse_council(text) if name == COUNCIL else roles.parse_role(text, name)


def _bones(one: Role | CouncilPolicy) -> Any:
    """What it is but for its words."""
    if isinstance(one, CouncilPolicy):
        return one.content
    filled = [key for part in (one.sections.en, one.sections.ru) for key in roles.SECTIONS if getattr(part, key)]
    return {**one.content, **dict.fromkeys(_WORDS), "examples": len(one.examples), "sections": filled}


def _anew(old: Role | CouncilPolicy, marked: Callable[[str], str]) -> str:
    """The file in its canonical form, without comments."""
    if isinstance(old, CouncilPolicy):
        return CouncilPolicy.model_validate(old.content).to_yaml()
    content = old.content
    return Role.model_validate({**content, **{key: _marked(content[key], marked) for key in _WORDS}}).to_markdown()


def _marked(value: Any, marked: Callable[[str], str]) -> Any:
    if isinstance(value, dict):
        return {key: _marked(one, marked) for key, one in value.items()}
    if isinstance(value, list):
        return [_marked(one, marked) for one in value]
    return marked(value) if isinstance(value, str) else value


# ---- the folder ------------------------------------------------------------------------------------------------------

def log_edits(maps: Maps, folder: Path) -> None:
    """Let the log know the folder as it is, before something is forgotten: it tells then which words of it went."""
    active = maps.active_map()
    if active is None or maps.map_unfinished():
        return
    with suppress(RoleError):  # a broken file is no map: it stays as it is, and the proof of forgetting names it
        there = roles.on_disk(folder)
        if there and bytes_hash(there) != active.hash:
            version = roles.from_files(there).version
            with maps.map_log() as log:
                log.add(there, version, "owner")


def clean(maps: Maps, folder: Path) -> None:
    """After something was forgotten: files of the map in force that the twin wrote stand in the folder as the log has
    them now, and a trial whose proposal was forgotten is over. A file that the person wrote is theirs to edit. Nothing
    happens where the folder is not as the log last saw it; a second time changes nothing."""
    if maps.active_map() is None:
        return
    with suppress(RoleError), maps.map_log() as log:
        disk, active, ended = roles.on_disk(folder), log.active(), log.trial_forgotten()
        if active is None:
            return
        known, half = log.files(active), log.unfinished()
        there = disk if half is None else known | {name: data for name, data in disk.items() if data != half.get(name)}
        if bytes_hash(there) != active.hash and there != known:
            return
        hand = {name for name, data in there.items() if known.get(name, data) != data and log.by_hand(name)}
        files, did = there | {name: data for name, data in known.items() if name not in hand}, "left"
        if ended is not None:
            with suppress(UsageError):  # edited since: it stays as the person left it
                files, did = _change(log, *ended[1:]).inverse().onto(files), "rolled_back"
        if files != disk or half is not None:
            version = roles.from_files(files).version
            log.begin(files, version, {name: known[name] if name in hand else data for name, data in files.items()})
            roles.put(files, folder)
            log.add(files, version, "owner", "what was forgotten left it")
            log.rename(active)
        if ended is not None:
            log.audit(did=did, proposal=ended[0])
            log.set(TRIAL, None)


def _change(log: MapLog, before: MapEntry, after: MapEntry) -> Change:
    return Change.of(log.files(before), log.files(after))
