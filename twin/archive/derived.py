"""What was made from the person's messages and lies in files: exports, snapshots, caches, adapters. A small registry,
so that what is forgotten goes there too. Knows no format of any of them."""
from __future__ import annotations

import sqlite3
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal, get_args

from twin.errors import UsageError

PART = ".twin-export-"  # how the folder is called in which an export is being made, beside its place
DerivedKind = Literal["export", "snapshot", "cache", "adapter"]


@dataclass(frozen=True)
class Derived:
    """One registered file: `sha256` as it was written ('' when not given, two with a space between while it is written
    over), `whole`: made from everything there was. `stale`: made from what was forgotten since; an adapter then must
    not load, every other file is deleted. A folder is registered beside its files, to go when it is empty."""

    kind: DerivedKind
    path: Path
    sha256: str
    made: datetime
    whole: bool
    stale: bool


class Registry:
    """The registry in an open archive. Paths inside the home are kept relative to it: a home can be moved. A path is
    what its row says, and may lead anywhere: who deletes looks where."""

    def __init__(self, db: sqlite3.Connection, root: Path) -> None:
        self.db = db
        self.root = root

    def add(self, kind: DerivedKind, path: Path, sha256: str, keys: Iterable[tuple[str, str]] | None) -> None:
        """Note a file, or note it anew. Keys the archive does not hold are left out; None: made from everything."""
        if kind not in get_args(DerivedKind):
            raise UsageError(f"There is no kind {kind!r} of derived files.", f"Use {', '.join(get_args(DerivedKind))}.")
        path = (self.root / path).resolve() if ".." in path.parts else path
        self.drop(path, kind)
        made = self.db.execute("INSERT INTO derived (kind, path, sha256, made, whole, stale) VALUES (?, ?, ?, ?, ?, 0)",
                               (kind, self._stored(path), sha256, datetime.now(UTC).isoformat(timespec="seconds"),
                                keys is None))
        self.db.executemany("INSERT OR IGNORE INTO derived_from SELECT c.number, m.id, ? FROM conversations c "
                            "JOIN messages m ON m.conversation = c.id WHERE c.id = ? AND m.id = ?",
                            ((made.lastrowid, *key) for key in keys or ()))

    def all(self, kind: str | None = None) -> list[Derived]:
        """What is registered, oldest first."""
        return [Derived(found, self.root / path, sha256, datetime.fromisoformat(made), bool(whole), bool(stale))
                for found, path, sha256, made, whole, stale in self.db.execute(
                    "SELECT kind, path, sha256, made, whole, stale FROM derived WHERE ?1 IS NULL OR kind = ?1 "
                    "ORDER BY number", (kind,))]

    def drop(self, path: Path, kind: str) -> None:
        """Take a file from the registry."""
        where = (kind, self._stored(path))
        self.db.execute("DELETE FROM derived_from WHERE derived IN (SELECT number FROM derived WHERE kind = ? "
                        "AND path = ?)", where)
        self.db.execute("DELETE FROM derived WHERE kind = ? AND path = ?", where)

    def allow(self, adapter: str) -> int:
        """Let stale adapters of this path or sha256 load again; returns how many there were."""
        return self.db.execute("UPDATE derived SET stale = 0 WHERE kind = 'adapter' AND stale "
                               "AND (sha256 = ? OR path = ?)", (adapter, self._stored(Path(adapter)))).rowcount

    def mark(self, *, claims: bool) -> None:
        """Mark as stale what was made from the messages in the table `gone`; with `claims` every file that may state
        a claim: adapters are trained on messages."""
        self.db.execute("UPDATE derived SET stale = 1 WHERE whole AND EXISTS (SELECT 1 FROM gone) OR number IN ("
                        "SELECT d.derived FROM gone g JOIN derived_from d ON d.conversation = g.number "
                        "AND d.message = g.id)")
        if claims:
            self.db.execute("UPDATE derived SET stale = 1 WHERE kind != 'adapter'")
        self.db.execute("DELETE FROM derived_from WHERE (conversation, message) IN (SELECT number, id FROM gone)")

    def _stored(self, path: Path) -> str:
        path = self.root / path
        return str(path.relative_to(self.root)) if path.is_relative_to(self.root) else str(path)
