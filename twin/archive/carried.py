"""Claims that came from outside and wait for the person: what they say, and what the person said of them.

Knows the tables. A claim that was accepted names the own message it rests on, and goes with it; one that was refused
keeps its id and loses its words, so that it is not asked about again.
"""
from __future__ import annotations

import sqlite3
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Literal

from twin.archive.file import File
from twin.archive.ready import utf8
from twin.archive.tombstones import Tombstones
from twin.errors import UsageError
from twin.person import Accepted, Carried

State = Literal["waiting", "accepted", "refused"]
_COLUMNS = "number, claim, kind, text, language, quote, origin, state, made"


@dataclass(frozen=True)
class Waiting:
    """A claim from outside, by number, and what became of it."""

    number: int
    claim: Carried
    state: State
    made: datetime = field(compare=False)


class CarriedClaims(File):
    """The part of the archive that keeps claims from outside."""

    def queue(self, claims: Iterable[Carried], known: Iterable[str] = ()) -> tuple[list[int], int]:
        """Put claims before the person: the numbers of those that are new, and how many were not, since they are
        `known`, wait already, were answered or forgotten."""
        held, new, old = set(known), list[int](), 0
        with self._writing("claims that wait") as db:
            for one in claims:
                gone = one.claim in held or Tombstones(db, few=True).claims([one.claim])
                done = None if gone else db.execute(
                    "INSERT OR IGNORE INTO carried (claim, kind, text, language, quote, origin, state, made) "
                    "VALUES (?, ?, ?, ?, ?, ?, 'waiting', ?)",
                    (one.claim, one.kind, utf8(one.text), one.language, utf8(one.quote), utf8(one.origin),
                     datetime.now(UTC).isoformat(timespec="seconds")))
                if done is not None and done.rowcount and done.lastrowid is not None:
                    new.append(done.lastrowid)
                else:
                    old += 1
        return new, old

    def carried(self, state: State | None = "waiting") -> list[Waiting]:
        """Those in this state (None: all), oldest first."""
        with self._reading() as db:
            return [_waiting(row) for row in db.execute(
                f"SELECT {_COLUMNS} FROM carried WHERE ?1 IS NULL OR state = ?1 ORDER BY number", (state,))]  # noqa: S608 - a constant

    def answer_carried(self, number: int, message: tuple[str, str] | None) -> None:
        """Note that a waiting claim was accepted, and the own (conversation, message) it rests on, or refused (None).
        UsageError where none waits under this number."""
        with self._writing("answer to a claim") as db:
            done = db.execute("UPDATE carried SET state = 'accepted', conversation = ?, message = ? "
                              "WHERE number = ? AND state = 'waiting'", (*message, number)) if message else db.execute(
                "UPDATE carried SET state = 'refused', text = '', quote = '' WHERE number = ? AND state = 'waiting'",
                (number,))
            if not done.rowcount:
                raise UsageError(f"No claim waits under the number {number}.", "See `twin claims` for those that do.")

    def accepted(self) -> list[Accepted]:
        """What the person said yes to."""
        with self._reading() as db:
            return [Accepted(*row) for row in db.execute(
                "SELECT claim, kind, text, language, conversation, message, quote FROM carried "
                "WHERE state = 'accepted'")]


def texts(db: sqlite3.Connection) -> list[tuple[int, str]]:
    """(number, text) of everything that is written here."""
    return [(number, text) for number, *both in db.execute("SELECT number, text, quote FROM carried")
            for text in both if text]


def _waiting(row: tuple[int, str, str, str, str, str, str, State, str]) -> Waiting:
    number, claim, kind, text, language, quote, origin, state, made = row
    return Waiting(number, Carried(claim, kind, text, language, quote, origin),  # type: ignore[arg-type]
                   state, datetime.fromisoformat(made))
