"""The ledger of hypotheses as rows: each entry as it was frozen, and what happened to it since.

Knows the two tables, not what an entry means: bodies are JSON of twin.ledger. Entries and events are only ever added.
"""
from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from twin.archive.file import File
from twin.archive.ready import utf8
from twin.archive.traces import Sieve, redacted_in, strings
from twin.errors import UsageError


@dataclass(frozen=True)
class NewRow:
    """An entry to be kept: its id ('' for the next free h-0001), the hash it is frozen under, its body."""

    id: str
    frozen: str
    body: Mapping[str, Any] = field(repr=False)


@dataclass(frozen=True)
class Event:
    """What happened to an entry: its kind ('measured', 'credit'), a body, and when."""

    kind: str
    body: Mapping[str, Any] = field(repr=False)
    made: datetime


@dataclass(frozen=True)
class Row(NewRow):
    """A kept entry with its events, the oldest first."""

    made: datetime
    events: tuple[Event, ...] = ()


class Ledgers(File):
    """The part of the archive that keeps the ledger of hypotheses."""

    def ledger_rows(self) -> list[Row]:
        """All kept entries, in the order in which they came."""
        with self._reading() as db:
            events: dict[str, list[Event]] = {}
            for entry, kind, body, made in db.execute(
                    "SELECT entry, kind, body, made FROM ledger_events ORDER BY number"):
                events.setdefault(entry, []).append(Event(kind, json.loads(body), datetime.fromisoformat(made)))
            return [Row(name, frozen, json.loads(body), datetime.fromisoformat(made), tuple(events.get(name, ())))
                    for name, frozen, body, made in db.execute(
                        "SELECT id, frozen, body, made FROM ledger ORDER BY number")]

    def add_ledger(self, rows: Iterable[NewRow], made: datetime | None = None) -> list[tuple[str, bool]]:
        """Keep entries, all or none of them; gives each one's id and whether it is new.

        What is kept under the same hash already is not new. UsageError where an id is taken by an entry with another
        hash: what is frozen does not change.
        """
        with self._writing("ledger of hypotheses") as db:
            return [_put(db, row, made) for row in rows]

    def add_ledger_event(self, row: NewRow, kind: str, body: Mapping[str, Any], *, unless: str = "",
                         made: datetime | None = None) -> None:
        """Note what happened to an entry, which is kept now where it was not before (a starter row). UsageError where
        an event of kind `unless` came first."""
        with self._writing("ledger of hypotheses") as db:
            _put(db, row, made)
            if db.execute("SELECT 1 FROM ledger_events WHERE entry = ? AND kind = ?", (row.id, unless)).fetchone():
                raise UsageError(f"{row.id} is {unless} already.", "This has to stand before: open a new entry for it.")
            db.execute("INSERT INTO ledger_events (entry, kind, body, made) VALUES (?, ?, ?, ?)",
                       (row.id, kind, _json(body), _time(made)))


def _put(db: sqlite3.Connection, row: NewRow, made: datetime | None) -> tuple[str, bool]:
    name, column = (row.id, "id") if row.id else (row.frozen, "frozen")
    kept = db.execute(f"SELECT id, frozen FROM ledger WHERE {column} = ?", (name,)).fetchone()  # noqa: S608 - constants
    if kept is not None:
        if kept[1] != row.frozen:
            raise frozen(row.id)
        return kept[0], False
    name = row.id or "h-{:04d}".format(1 + db.execute(
        "SELECT coalesce(max(CAST(substr(id, 3) AS INTEGER)), 0) FROM ledger WHERE id GLOB 'h-[0-9]*'").fetchone()[0])
    db.execute("INSERT INTO ledger (id, frozen, body, made) VALUES (?, ?, ?, ?)",
               (name, row.frozen, _json(row.body), _time(made)))
    return name, True


def frozen(name: str) -> UsageError:
    """The error of whoever would change what is frozen."""
    return UsageError(f"{name} is frozen: its claim, prediction and plan do not change any more.",
                      "Another prediction is a new entry: add it under another id, or without one.")


def texts(db: sqlite3.Connection) -> list[str]:
    """Every text the ledger keeps."""
    return [text for table in ("ledger", "ledger_events")
            for (body,) in db.execute(f"SELECT body FROM {table}") for text in strings(json.loads(body))]  # noqa: S608


def follow(db: sqlite3.Connection, runs: Sieve) -> None:
    """Words that went with a message leave the ledger too; an entry that held some no longer matches its hash."""
    for table in ("ledger", "ledger_events"):
        for number, body in db.execute(f"SELECT number, body FROM {table}").fetchall():  # noqa: S608 - constants
            read = json.loads(body)
            clean = redacted_in(read, runs)
            if clean != read:
                db.execute(f"UPDATE {table} SET body = ? WHERE number = ?", (_json(clean), number))  # noqa: S608


def _json(body: Mapping[str, Any]) -> str:
    return utf8(json.dumps(body, ensure_ascii=False))


def _time(made: datetime | None) -> str:
    return (made or datetime.now(UTC)).astimezone(UTC).isoformat()
