"""What a person did with an answer: praised or blamed it, asked again, wrote it themselves. Knows the table.

A signal belongs to a stored turn and leaves with it."""
from __future__ import annotations

import json
import sqlite3
from collections.abc import Collection
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Literal, get_args

from twin.archive.file import File
from twin.archive.ready import cleaned, utf8
from twin.archive.traces import Sieve, redacted
from twin.errors import UsageError

SignalKind = Literal["thumb", "regenerated", "edited"]
_LAST_COUNTS = ("thumb", "edited")
_OF_NO_TURN = "NOT EXISTS (SELECT 1 FROM turns t WHERE t.id = turn)"


@dataclass(frozen=True)
class Signal:
    """`body` of a 'thumb' is 1 or -1, of 'regenerated' the id of the turn that was asked instead ('': not known), of
    'edited' the answer as the person would have it."""

    turn: str
    kind: SignalKind
    body: int | str = field(repr=False)
    made: datetime


class Signals(File):
    """The part of the archive that keeps what people did with answers."""

    def signal(self, turn: str, kind: SignalKind, body: int | str) -> Signal:
        """Note a signal. A thumb or an edit takes the place of the turn's last one. UsageError for no such turn or
        kind, and for a body that is none of this kind."""
        body = _checked(kind, body)
        with self._writing("signal") as db:
            _of_turn(db, turn)
            if kind == "regenerated" and body:
                _of_turn(db, str(body))
            if kind in _LAST_COUNTS:
                db.execute("DELETE FROM signals WHERE turn = ? AND kind = ?", (turn, kind))
            made = datetime.now(UTC)
            db.execute("INSERT INTO signals (turn, kind, body, made) VALUES (?, ?, ?, ?)",
                       (turn, kind, _json(body), made.isoformat()))
            return Signal(turn, kind, body, made)

    def signals(self, turns: Collection[str] | None = None) -> list[Signal]:
        """What was noted (of some turns), oldest first."""
        with self._reading() as db:
            return [Signal(turn, kind, json.loads(body), datetime.fromisoformat(made)) for turn, kind, body, made in
                    db.execute("SELECT turn, kind, body, made FROM signals WHERE ?1 IS NULL "
                               "OR turn IN (SELECT value FROM json_each(?1)) ORDER BY number",
                               (None if turns is None else json.dumps([*turns]),))]


def _checked(kind: str, body: int | str) -> int | str:
    if kind not in get_args(SignalKind):
        raise UsageError(f"There is no signal {kind!r}.", f"Use one of: {', '.join(get_args(SignalKind))}.")
    if kind == "thumb":
        if body not in (1, -1) or not isinstance(body, int):
            raise UsageError("A thumb is up or down.", "Give 1 or -1.")
        return int(body)
    if not isinstance(body, str) or (kind == "edited" and not body.strip()):
        raise UsageError(f"What was {kind} is a text.", "Give the answer as you would have it."
                         if kind == "edited" else "Give the id of the turn that was asked instead, or ''.")
    return cleaned(body, "text") or ""


def _of_turn(db: sqlite3.Connection, turn: str) -> None:
    if db.execute("SELECT 1 FROM turns WHERE id = ?", (turn,)).fetchone() is None:
        raise UsageError(f"There is no turn {turn!r}.", "Ask first; only what was answered here can be judged.")


def _json(body: int | str) -> str:
    return utf8(json.dumps(body, ensure_ascii=False))


# ---- forgetting ------------------------------------------------------------------------------------------------------

def texts(db: sqlite3.Connection, *, gone: bool = False) -> list[str]:
    """Every answer that the person wrote themselves; `gone`: those of turns that are no more, until `follow`."""
    where = _OF_NO_TURN if gone else f"NOT {_OF_NO_TURN}"
    return [json.loads(body) for (body,) in db.execute(
        f"SELECT body FROM signals WHERE kind = 'edited' AND {where}")]  # noqa: S608 - constants


def follow(db: sqlite3.Connection, runs: Sieve) -> None:
    """Signals of turns that went go with them, and words that went with a message leave the others."""
    db.execute(f"DELETE FROM signals WHERE {_OF_NO_TURN}")  # noqa: S608 - constants
    db.execute("UPDATE signals SET body = '\"\"' WHERE kind = 'regenerated' AND NOT EXISTS "
               "(SELECT 1 FROM turns t WHERE t.id = json_extract(body, '$'))")
    for number, body in db.execute("SELECT number, body FROM signals WHERE kind = 'edited'").fetchall():
        text = json.loads(body)
        if (clean := redacted(text, runs)) != text:
            db.execute("UPDATE signals SET body = ? WHERE number = ?", (_json(clean), number))
