"""What is kept about the person: versions of the profile, decisions, a core's own claims and where it failed.

Knows the tables. A version keeps marks, never quotes: the words stand in the messages only. What is saved late (a
profile built while another process forgot) is checked against what the archive holds then.
"""
from __future__ import annotations

import json
import sqlite3
from collections.abc import Collection, Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import get_args

from twin.archive import withdrawal
from twin.archive.file import File
from twin.archive.ready import utf8
from twin.archive.tombstones import Tombstones
from twin.archive.withdrawal import rests_on_words
from twin.claims import free_id
from twin.errors import UsageError
from twin.person import Action, Decision, FreeClaim
from twin.verification import Asked, Kept, Mark, Snapshot

Key = tuple[str, str]
FAILURES = 100  # are kept, the newest


@dataclass(frozen=True)
class Failure:
    """Where a core's reading gave nothing that could be used: `kind` (NoClaims, InvalidOutput, Truncated, NotPassed, as
    in twin.free_claims), the messages it read and what it wrote, as it came."""

    model: str
    kind: str
    keys: tuple[Key, ...]
    raw: str = field(repr=False)
    time: datetime


class Claims(File):
    """The part of the archive that keeps what is known about the person."""

    # ---- versions of the profile -------------------------------------------------------------------------------

    def save_snapshot(self, snapshot: Snapshot) -> None:
        """Keep a version of the profile; of one that is kept already only `made` moves. What rests on messages that
        the archive does not hold, and forgotten claims, are left out."""
        with self._writing("version of the profile") as db:
            made = snapshot.made.astimezone(UTC).isoformat()
            if db.execute("UPDATE snapshots SET made = max(made, ?) WHERE version = ?",
                          (made, snapshot.version)).rowcount:
                return
            number = db.execute(
                "INSERT INTO snapshots (version, made, language, own_messages, read_by_core, levels) "
                "VALUES (?, ?, ?, ?, ?, ?)",
                (snapshot.version, made, snapshot.language, snapshot.own_messages, snapshot.read_by_core,
                 json.dumps(snapshot.levels))).lastrowid
            forgotten = Tombstones(db, few=True).claims(claim.id for claim in snapshot.claims)
            for place, claim in enumerate(snapshot.claims):
                marks = [mark for mark in claim.quotes if _holds(db, (mark.conversation, mark.message))]
                against = [mark for mark in claim.counter if _holds(db, (mark.conversation, mark.message))]
                fewer = len(marks) < len(claim.quotes)
                if claim.id in forgotten or (fewer and (not marks or rests_on_words(claim.id, claim.authority))):
                    continue
                db.execute("INSERT INTO kept VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)", (
                    number, claim.id, place, claim.kind, utf8(claim.text), claim.authority, claim.confidence,
                    claim.origin, json.dumps(claim.months)))
                for side, some in (("for", marks), ("against", against)):
                    db.executemany("INSERT INTO marks VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)", [
                        (number, claim.id, at, side, *_columns(mark)) for at, mark in enumerate(some)])
            db.executemany("INSERT INTO asked VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)", [
                (number, at, one.level, *_columns(one.mark)) for at, one in enumerate(snapshot.questions)
                if _holds(db, (one.mark.conversation, one.mark.message))])

    def snapshots(self, limit: int | None = None) -> list[Snapshot]:
        """Versions of the profile, the newest last; with `limit` the newest so many of them."""
        with self._reading() as db:
            found = db.execute("SELECT * FROM snapshots ORDER BY made DESC, number DESC LIMIT ?",
                               (-1 if limit is None else max(limit, 0),))
            return [_snapshot(db, row) for row in found][::-1]

    def snapshot(self, version: str) -> Snapshot:
        """The version of this name, or of a name that begins so. UsageError when there is none, or several."""
        with self._reading() as db:
            rows = db.execute("SELECT * FROM snapshots WHERE substr(version, 1, length(?1)) = ?1 ORDER BY made, number",
                              (version,)).fetchall()
            if len(rows) != 1:
                known = ", ".join(row[1] for row in rows) or ", ".join(row[0] for row in db.execute(
                    "SELECT version FROM snapshots ORDER BY made DESC, number DESC LIMIT 5"))
                raise UsageError(f"{'Several versions begin' if rows else 'No version of the profile begins'} "
                                 f"with {version!r}.", f"Name one of: {known}." if known else "Build a profile first.")
            return _snapshot(db, rows[0])

    # ---- decisions ---------------------------------------------------------------------------------------------

    def save_decision(self, decision: Decision) -> None:
        """Keep what the person decided, after what they decided before. UsageError for an action there is not, and
        for a claim that is forgotten."""
        if decision.action not in get_args(Action):
            raise UsageError(f"There is no decision {decision.action!r}.", f"Known: {', '.join(get_args(Action))}.")
        with self._writing("decision") as db:
            if Tombstones(db, few=True).claims([decision.claim]):
                raise UsageError(f"The claim {decision.claim} was forgotten.", "It does not come back.")
            db.execute("INSERT INTO decisions (claim, action, text, time) VALUES (?, ?, ?, ?)", (
                decision.claim, decision.action, utf8(decision.text), (decision.time or _now()).isoformat()))

    def decisions(self) -> list[Decision]:
        """All decisions, the oldest first."""
        with self._reading() as db:
            return [Decision(claim, action, text, datetime.fromisoformat(time)) for claim, action, text, time in
                    db.execute("SELECT claim, action, text, time FROM decisions ORDER BY number")]

    # ---- claims in a core's own words --------------------------------------------------------------------------

    def save_free(self, model: str, claims: Iterable[FreeClaim], read_keys: Iterable[Key]) -> None:
        """Store a core's own claims and which messages it has read for them, together. Read again, a message's claims
        are replaced; forgotten ones are left out. Raises UsageError when a message is not in the archive."""
        keys = list(read_keys)
        with self._writing("claims of the core") as db:
            named = [(free_id(claim.kind, claim.text), claim) for claim in claims]
            forgotten = Tombstones(db, few=True).claims(name for name, _ in named)
            try:
                db.executemany("DELETE FROM free_claims WHERE model = ? AND number IN (SELECT free FROM free_spans "
                               "WHERE conversation = ? AND message = ?)", [(model, *key) for key in keys])
                db.executemany("INSERT OR IGNORE INTO free_reads VALUES (?, ?, ?)", [(model, *key) for key in keys])
                for name, claim in named:
                    if name not in forgotten:
                        _put_free(db, model, name, claim)
                db.execute("COMMIT")  # foreign keys are checked by now, so that the error below is theirs
            except sqlite3.IntegrityError as error:
                raise UsageError(f"{model} read a message that the archive does not hold ({error}).",
                                 "Import it first, then read again.") from error

    def free(self, model: str | None = None) -> list[FreeClaim]:
        """Claims in cores' own words (of one core), in the order in which they were made."""
        with self._reading() as db:
            found = db.execute("SELECT number, kind, text, language, probability FROM free_claims "
                               "WHERE ?1 IS NULL OR model = ?1 ORDER BY number", (model,)).fetchall()
            return [FreeClaim(kind, text, language, tuple(db.execute(
                'SELECT conversation, message, "start", "end" FROM free_spans WHERE free = ? ORDER BY place',
                (number,))), probability) for number, kind, text, language, probability in found]

    def free_read_keys(self, model: str | None = None) -> set[Key]:
        """Keys of the messages a core (any, when none is named) has read for claims of its own, in their present
        text."""
        with self._reading() as db:
            return set(db.execute("SELECT DISTINCT conversation, message FROM free_reads "
                                  "WHERE ?1 IS NULL OR model = ?1", (model,)))

    def claim_texts(self, claims: Collection[str], *, rest: bool = False) -> list[str]:
        """Every text that is kept of these claims (`rest`: of all others): in versions of the profile, in decisions,
        as a core wrote it."""
        with self._reading() as db:
            return withdrawal.texts_of(db, claims, rest=rest)

    # ---- where it failed ---------------------------------------------------------------------------------------

    def save_failure(self, model: str, kind: str, keys: Iterable[Key], raw: str) -> None:
        """Keep a failure of extraction with what the core wrote, the newest FAILURES of them; one that read what the
        archive no longer holds is not kept."""
        keys = list(keys)
        with self._writing("failure of the core") as db:
            if all(_holds(db, key) for key in keys):
                db.execute("INSERT INTO failures (model, kind, keys, raw, time) VALUES (?, ?, ?, ?, ?)",
                           (model, kind, json.dumps(keys, ensure_ascii=False), utf8(raw), _now().isoformat()))
                db.execute("DELETE FROM failures WHERE number NOT IN "
                           "(SELECT number FROM failures ORDER BY number DESC LIMIT ?)", (FAILURES,))

    def failures(self) -> list[Failure]:
        """Failures of extraction, the oldest first."""
        with self._reading() as db:
            return [Failure(model, kind, tuple((conversation, message) for conversation, message in json.loads(keys)),
                            raw, datetime.fromisoformat(time)) for model, kind, keys, raw, time in
                    db.execute("SELECT model, kind, keys, raw, time FROM failures ORDER BY number")]


def _now() -> datetime:
    return datetime.now(UTC)


def _holds(db: sqlite3.Connection, key: Key) -> bool:
    return db.execute("SELECT 1 FROM messages WHERE conversation = ? AND id = ?", key).fetchone() is not None


def _put_free(db: sqlite3.Connection, model: str, name: str, claim: FreeClaim) -> None:
    number = db.execute(
        "INSERT INTO free_claims (model, claim, kind, text, language, probability) VALUES (?, ?, ?, ?, ?, ?)",
        (model, name, claim.kind, utf8(claim.text), claim.language, claim.probability)).lastrowid
    db.executemany("INSERT INTO free_spans VALUES (?, ?, ?, ?, ?, ?)",
                   [(number, place, *span) for place, span in enumerate(claim.spans)])


_MARK = 'conversation, message, "start", "end", hash, time'


def _columns(mark: Mark) -> tuple[str, str, int, int, bytes, str | None]:
    return (mark.conversation, mark.message, mark.start, mark.end, bytes.fromhex(mark.hash),
            mark.time.isoformat() if mark.time else None)


def _mark(conversation: str, message: str, start: int, end: int, hash_: bytes, time: str | None) -> Mark:
    return Mark(conversation, message, start, end, hash_.hex(), datetime.fromisoformat(time) if time else None)


def _snapshot(db: sqlite3.Connection, row: tuple[int, str, str, str, int, int, str]) -> Snapshot:
    number, version, made, language, own, read, levels = row
    marks: dict[tuple[str, str], list[Mark]] = {}
    for claim, side, *rest in db.execute(
            f"SELECT claim, side, {_MARK} FROM marks WHERE snapshot = ? ORDER BY claim, side, place", (number,)):  # noqa: S608
        marks.setdefault((claim, side), []).append(_mark(*rest))
    asked = tuple(Asked(level, _mark(*rest)) for level, *rest in db.execute(
        f"SELECT level, {_MARK} FROM asked WHERE snapshot = ? ORDER BY place", (number,)))  # noqa: S608 - constants
    kept = tuple(
        Kept(claim, kind, text, authority, confidence, origin, tuple(marks.get((claim, "for"), ())),
             json.loads(months), tuple(marks.get((claim, "against"), ())))
        for claim, kind, text, authority, confidence, origin, months in db.execute(
            "SELECT claim, kind, text, authority, confidence, origin, months FROM kept WHERE snapshot = ? "
            "ORDER BY place", (number,)))
    return Snapshot(version, datetime.fromisoformat(made), language, own, read, kept, {
        month: {int(level): count for level, count in counts.items()}
        for month, counts in json.loads(levels).items()}, asked)
