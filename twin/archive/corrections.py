"""Whom a message was for, as the person said: labels for the router. Knows the table.

A label belongs to a stored turn, so it is about something the person typed; it leaves with the turn."""
from __future__ import annotations

import sqlite3
from dataclasses import dataclass, field
from datetime import UTC, datetime

from twin.archive.file import File
from twin.errors import UsageError

NOBODY = "none"  # the label of what no role should claim
NOBODYS_NAMES = {NOBODY, "nobody", "никто", "никому"}  # what a person may call it


@dataclass(frozen=True)
class Correction:
    """This turn's message was for this role (NOBODY: for none)."""

    turn: str
    text: str = field(repr=False)
    label: str
    made: datetime


class Corrections(File):
    """The part of the archive that keeps what the person said of the router's choices."""

    def correct(self, turn: str, label: str) -> Correction:
        """Note whom the question of a turn was for; said again, the last word counts. UsageError for no such turn."""
        with self._writing("correction") as db:
            row = db.execute("SELECT id, question FROM turns WHERE id = ?", (turn,)).fetchone()
            if row is None:
                raise UsageError(f"There is no turn {turn!r}.", "Ask first; only what was asked here can be corrected.")
            made = datetime.now(UTC)
            db.execute("DELETE FROM corrections WHERE turn = ?", (turn,))
            db.execute("INSERT INTO corrections (turn, text, label, made) VALUES (?, ?, ?, ?)",
                       (*row, label, made.isoformat()))
            return Correction(row[0], row[1], label, made)

    def corrections(self) -> list[Correction]:
        """What was said, oldest first."""
        with self._reading() as db:
            return [Correction(turn, text, label, datetime.fromisoformat(made)) for turn, text, label, made in
                    db.execute("SELECT turn, text, label, made FROM corrections ORDER BY number")]


def follow(db: sqlite3.Connection) -> None:
    """Corrections of turns that went or say something else now follow them."""
    db.execute("DELETE FROM corrections WHERE NOT EXISTS (SELECT 1 FROM turns t WHERE t.id = turn)")
    db.execute("UPDATE corrections SET text = (SELECT question FROM turns t WHERE t.id = turn)")
