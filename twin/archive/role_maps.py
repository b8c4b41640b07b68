"""The history of the role map: every set of files it ever was, and the log of which was active when.

Knows bytes and order, not what a role is. Equal bytes are stored once. The last entry of the log is the active map.
"""
from __future__ import annotations

import json
import sqlite3
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from hashlib import sha256
from typing import Any, Literal

from twin.archive import hash_chain, proposals
from twin.archive.file import File
from twin.archive.traces import MARK, Sieve, redacted
from twin.errors import UsageError
from twin.proposals import State
from twin.roles import seed_files

MapAuthor = Literal["owner", "proposal"]
TRIAL = "reflection.trial"  # setting: the change of the map that is tried, see consent.py
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

    def begin(self, files: Mapping[str, bytes], version: str) -> None:
        """Commit what was logged by now, and that these files (UTF-8) are on their way into the folder: until `add` or
        `end` nothing that stands there is an edit, and the active map is the one in force."""
        self._keep(files, version)
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

    def decide(self, proposal: str, state: State, *, expected: State | Collection[State]) -> None:
        """Set what became of a proposal, in this transaction; UsageError where it is in another state than expected."""
        proposals.set_state(self._db, proposal, state, expected=expected)

    def audit(self, **ids: Any) -> None:
        """Add a line about the map to the audit, in this transaction; ids and hashes only."""
        hash_chain.add(self._db, "map", **{name: value for name, value in ids.items() if value != ""})

    def set(self, key: str, value: str | None) -> None:
        """Store a setting in this transaction, or take it away."""
        if value is None:
            self._db.execute("DELETE FROM settings WHERE key = ?", (key,))
        else:
            self._db.execute("INSERT OR REPLACE INTO settings VALUES (?, ?)", (key, value))

    def _keep(self, files: Mapping[str, bytes], version: str) -> None:
        kept = json.dumps({key: files[key].decode("utf-8") for key in sorted(files)}, ensure_ascii=False)
        self._db.execute("INSERT OR IGNORE INTO role_maps (hash, version, files) VALUES (?, ?, ?)",
                         (bytes_hash(files), version, kept))


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
            return [_entry(row) for row in db.execute(_ENTRY + "ORDER BY l.number")]

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


def _setting(db: sqlite3.Connection) -> str | None:
    row = db.execute("SELECT value FROM settings WHERE key = ?", (_UNFINISHED,)).fetchone()
    return None if row is None else str(row[0])


def _files(db: sqlite3.Connection, name: str) -> dict[str, bytes] | None:
    row = db.execute("SELECT files FROM role_maps WHERE hash = ?", (name,)).fetchone()
    return None if row is None else {file: text.encode("utf-8") for file, text in json.loads(row[0]).items()}


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
    """Words that went with a message leave old versions too: such a one no longer comes back byte for byte. The files
    in the folder are the person's to edit."""
    for number, files in db.execute("SELECT number, files FROM role_maps").fetchall():
        read = json.loads(files)
        clean = {name: text if text.encode("utf-8") == seed_files().get(name) else _without(text, runs)
                 for name, text in read.items()}
        if clean != read:
            db.execute("UPDATE role_maps SET files = ? WHERE number = ?",
                       (json.dumps(clean, ensure_ascii=False), number))


def _without(text: str, runs: Sieve) -> str:
    """A role file that still reads: the mark of what is gone is no YAML list, and differs where examples must."""
    first, *rest = redacted(text, runs).split(MARK)
    return first + "".join(f"(forgotten {number}){part}" for number, part in enumerate(rest, 1))
