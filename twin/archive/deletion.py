"""Deletion: messages and all that rests on them leave the archive in one transaction, tombstones stay. Knows the
tables; what lies in files and in memory is forgetting.py's business."""
from __future__ import annotations

import sqlite3
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import chain
from pathlib import Path

from twin.archive import (
    corrections,
    ledger,
    lines,
    proposals,
    redaction,
    role_maps,
    signals,
    typed,
    withdrawal,
)
from twin.archive.derived import Registry
from twin.archive.tombstones import Tombstones
from twin.archive.traces import MARK, Sieve, redacted, runs_of

Key = tuple[str, str]

PENDING = "forgetting.pending"  # setting: since when; until then memory and files may still hold what is gone
DIGEST = "profile.digest"       # setting of the chat: the profile in a few lines
_TURNS = 1000                   # looked at together
_GONE = "(conversation, id) IN (SELECT conversation, id FROM gone)"
# NOT IN over two columns looks through the whole table for each row, for the sake of NULLs: minutes for 50,000.
_STAYS = "NOT EXISTS (SELECT 1 FROM gone g WHERE g.conversation = m.conversation AND g.id = m.id)"
_GONE_ID = f"""
SELECT 1 FROM gone_turns WHERE id = ?1 UNION ALL
SELECT 1 FROM gone WHERE conversation || '/' || id = ?1
OR id = ?1 AND NOT EXISTS (SELECT 1 FROM messages m WHERE m.id = ?1 AND {_STAYS})"""  # noqa: S608 - constants
_TEXTS = """
SELECT {what} FROM messages m WHERE {where} UNION ALL SELECT {what} FROM revisions m WHERE {where}"""
_BESIDE = "role || text || coalesce(author, '') || coalesce(time, '')"  # so they lie in a page, with nothing between
_RAWS = """
SELECT raw FROM messages m WHERE raw IS NOT NULL AND {where} UNION ALL
SELECT raw FROM revisions m WHERE raw IS NOT NULL AND {where}"""


@dataclass(frozen=True)
class Deleted:
    """What left the archive: messages, conversations that were emptied, turns that were changed or went, how many
    tombstones are new; and claims in the person's words of which nothing is left."""

    messages: int
    conversations: int
    turns: int
    tombstones: int
    claims: tuple[str, ...] = ()


def forget(db: sqlite3.Connection, root: Path, keys: Iterable[Key], conversations: Iterable[str],
           facets: Collection[str], turns_too: Iterable[str]) -> Deleted:
    """Delete within the open transaction; unknown keys are left out, whole conversations get a tombstone too.
    `facets`: ids of claims; `turns_too`: ids of turns, besides those whose questions are among the messages."""
    tombstones = Tombstones(db)
    before = db.execute("SELECT count(*) FROM forgotten").fetchone()[0]
    whole = _gone(db, keys, conversations, turns_too)
    turns, claims = 0, set[str]()
    if _any(db):
        whole -= typed.among(db, whole)
        turns = _turns(db)
        claims = withdrawal.withdraw(db, lambda texts: _shared(db, runs_of(texts))[1])
    Registry(db, root).mark(claims=bool(facets))
    counted = _delete(db, tombstones, whole)
    for facet in facets:
        tombstones.add_claim(facet)
        db.execute("DELETE FROM points WHERE facet = ?", (facet,))
        withdrawal.forget_claim(db, facet)
    db.execute("DELETE FROM settings WHERE key = ?", (DIGEST,))
    db.execute("INSERT OR IGNORE INTO settings VALUES (?, ?)", (PENDING, datetime.now(UTC).isoformat()))
    new = db.execute("SELECT count(*) FROM forgotten").fetchone()[0] - before
    db.execute("DROP TABLE gone")
    db.execute("DROP TABLE gone_turns")
    return Deleted(*counted, turns, new, tuple(sorted(claims)))


@dataclass(frozen=True)
class Pending:
    """A forgetting that is not finished: when it began, and the messages that may still stand in memory and files."""

    since: datetime
    keys: tuple[Key, ...]


def pending(db: sqlite3.Connection) -> Pending | None:
    """The mark that `forget` left; several forgettings are one."""
    row = db.execute("SELECT value FROM settings WHERE key = ?", (PENDING,)).fetchone()
    if row is None:
        return None
    keys = db.execute("SELECT DISTINCT conversation, message FROM pending")
    return Pending(datetime.fromisoformat(row[0]), tuple(keys))


def end(db: sqlite3.Connection) -> None:
    """Take the mark away, and with it the ids."""
    db.execute("DELETE FROM pending")
    db.execute("DELETE FROM settings WHERE key = ?", (PENDING,))


def texts_of(db: sqlite3.Connection, keys: Iterable[Key], *, rest: bool) -> Iterator[str]:
    """Everything that is stored of these messages (`rest`: of all others): their texts, earlier ones, and the bytes
    they came as."""
    db.execute("PRAGMA query_only = OFF")  # a temporary table counts as a write
    _gone(db, keys, ())
    yield from _remaining(db) if rest else _forgotten(db)
    raws = _RAWS.format(where=_STAYS if rest else _GONE)
    yield from (bytes(row[0]).decode("utf-8", "replace") for row in db.execute(raws))


def _gone(db: sqlite3.Connection, keys: Iterable[Key], conversations: Iterable[str],
          turns: Iterable[str] = ()) -> set[str]:
    """The messages that go, as the table `gone`, and turns with their questions as `gone_turns`; returns the ids of the
    conversations that go whole."""
    db.execute("CREATE TEMP TABLE gone_turns (id TEXT PRIMARY KEY, question TEXT)")
    db.executemany("INSERT INTO gone_turns SELECT id, question FROM turns WHERE id = ?", [(name,) for name in turns])
    db.execute("CREATE TEMP TABLE gone (conversation TEXT, id TEXT, number INTEGER, PRIMARY KEY (conversation, id))")
    add = ("INSERT OR IGNORE INTO gone SELECT m.conversation, m.id, c.number FROM messages m "
           "JOIN conversations c ON c.id = m.conversation WHERE c.id = ?")
    db.executemany(f"{add} AND m.id = ?", keys)
    whole = set()
    for name in conversations:
        row = db.execute("SELECT conversation FROM aliases WHERE id = ?", (name,)).fetchone()
        whole.add(str(row[0]) if row else name)
    db.executemany(add, [(name,) for name in whole])
    return whole


def _any(db: sqlite3.Connection) -> bool:
    return db.execute("SELECT id FROM gone UNION ALL SELECT id FROM gone_turns LIMIT 1").fetchone() is not None


def _forgotten(db: sqlite3.Connection) -> Iterator[str]:
    """Texts that go. Of turns the question only: what a core says in an answer it says in others too."""
    return (row[0] for row in db.execute(
        _TEXTS.format(what="text", where=_GONE) + " UNION ALL SELECT question FROM gone_turns"))  # noqa: S608


def _remaining(db: sqlite3.Connection) -> Iterator[str]:
    """Texts that stay, as their pages show them: "at 7 pm" before a year is a run of 12 characters too."""
    return (row[0] for row in db.execute(_TEXTS.format(what=_BESIDE, where=_STAYS)))


# ---- rows ----------------------------------------------------------------------------------------------------------

def _delete(db: sqlite3.Connection, tombstones: Tombstones, whole: Collection[str]) -> tuple[int, int]:
    """Delete the messages of `gone` with all that refers to them; returns how many messages and conversations."""
    touched = [row[0] for row in db.execute("SELECT DISTINCT conversation FROM gone ORDER BY conversation")]
    files = {row[0] for row in db.execute("SELECT DISTINCT file FROM origins WHERE (conversation, message) IN "
                                          "(SELECT number, id FROM gone)")}
    db.execute("INSERT INTO pending SELECT conversation, id FROM gone")
    for table, names in (("points", "conversation, message"), ("core_reads", "conversation, message"),
                         ("revisions", "conversation, id"), ("messages", "conversation, id")):
        messages = db.execute(f"DELETE FROM {table} WHERE ({names}) IN (SELECT conversation, id FROM gone)").rowcount  # noqa: S608 - constants
    db.execute("DELETE FROM origins WHERE (conversation, message) IN (SELECT number, id FROM gone)")
    db.execute("DELETE FROM unindexed WHERE (conversation, message) IN (SELECT conversation, id FROM gone)")
    emptied = 0
    for conversation in touched:
        ids = [row[0] for row in db.execute("SELECT id FROM gone WHERE conversation = ?", (conversation,))]
        aliases = [row[0] for row in db.execute("SELECT id FROM aliases WHERE conversation = ?", (conversation,))]
        tombstones.add(conversation, ids, aliases=aliases, whole=conversation in whole)
        if db.execute("SELECT 1 FROM messages WHERE conversation = ? LIMIT 1", (conversation,)).fetchone() is None:
            db.execute("DELETE FROM aliases WHERE conversation = ?", (conversation,))
            db.execute("DELETE FROM conversations WHERE id = ?", (conversation,))
            emptied += 1
    _drop_empty(db, files)
    return messages, emptied


def _drop_empty(db: sqlite3.Connection, files: set[int]) -> None:
    """Lines of files that showed nothing but what is gone: their names can say much. With the last of a source all of
    them go; those an older version noted when no message without an origin is left."""
    still = {row[0] for row in db.execute("SELECT DISTINCT file FROM origins")} if files else set()
    root_of = dict(db.execute("SELECT number, root FROM files"))
    empty = files - still
    db.executemany("DELETE FROM files WHERE number = ?", [(number,) for number in empty])
    roots = {root_of[number] for number in empty} - {root_of[number] for number in still}
    db.executemany("DELETE FROM files WHERE root = ?", [(root,) for root in roots])
    if "" in root_of.values():
        db.execute("DELETE FROM files WHERE root = '' AND NOT EXISTS (SELECT 1 FROM messages m JOIN conversations c "
                   "ON c.id = m.conversation WHERE NOT EXISTS (SELECT 1 FROM origins o WHERE o.conversation = c.number "
                   "AND o.message = m.id))")


# ---- turns ---------------------------------------------------------------------------------------------------------

def _turns(db: sqlite3.Connection) -> int:
    """Delete the turns whose questions go, and take the text of `gone` out of the others; returns how many turns went
    or were changed."""
    before = db.execute("SELECT count(*) FROM turns").fetchone()[0]
    answers = typed.answers(db)
    chats = typed.forget(db)
    changed = int(before - db.execute("SELECT count(*) FROM turns").fetchone()[0] + _redact(db, chats))
    corrections.follow(db)
    edits = signals.texts(db, gone=True)
    for kept in (lines, ledger, role_maps):
        kept.follow(db, _traces(db, kept.texts(db), edits))
    # Proofs quote answers.
    proposals.follow(db, _traces(db, proposals.texts(db), [*answers, *edits]),
                     lambda name: db.execute(_GONE_ID, (name,)).fetchone() is not None)
    signals.follow(db, _traces(db, signals.texts(db), edits))
    return changed


def _traces(db: sqlite3.Connection, texts: list[str], said: list[str]) -> Sieve:
    """Runs of some texts that stand in what goes and in nothing that stays. `said` goes too: answers of turns that
    went, or how the person would have had them; what other turns say as well is no trace of these."""
    here = runs_of(texts)
    answered = here.within(said)
    return _shared(db, here)[1].plus(answered.without(answered.within(chain(_said(db), _remaining(db)))))


def _said(db: sqlite3.Connection) -> Iterator[str]:
    """What the turns that stay say."""
    for row in db.execute("SELECT question, answer, thinking FROM turns"):
        yield from row
    yield from signals.texts(db)


def _redact(db: sqlite3.Connection, recalled: set[str]) -> int:
    """Take the text of `gone` out of turns and titles, before it is deleted; returns how many turns were changed.

    In chats that recalled it (`recalled`: or where it was typed) every run goes; elsewhere the runs that stand in no
    message that remains: what is said there too is not a trace, and "I would like to" in a question is nobody's secret.
    """
    def gone(conversation: str, message: str) -> bool:
        return db.execute("SELECT 1 FROM gone WHERE conversation = ? AND id = ?",
                          (conversation, message)).fetchone() is not None

    names = ", ".join(redaction.COLUMNS)
    changed: dict[int, redaction.Columns] = {}
    for number, chat, memories in db.execute("SELECT number, conversation, memories FROM turns"):
        shown = redaction.decoded({"memories": memories})["memories"]
        if any(gone(one["conversation"], message) for one in shown for message in one["message_ids"]):
            recalled.add(chat)
            changed[number] = {}
    rows = db.execute(f"SELECT number, conversation, {names} FROM turns ORDER BY number")  # noqa: S608 - constants
    while batch := rows.fetchmany(_TURNS):
        turns = {number: (chat, redaction.decoded(dict(zip(redaction.COLUMNS, rest, strict=True))))
                 for number, chat, *rest in batch}
        here = runs_of(text for _, turn in turns.values() for text in redaction.strings(turn))
        every, secret = _shared(db, here)
        for number, (chat, turn) in turns.items():
            clean = redaction.without_memories(turn, gone)[0] if number in changed else turn
            clean = redaction.without_runs(clean, every if chat in recalled else secret)
            if clean is not turn:
                changed[number] = redaction.encoded(clean)
    db.executemany(f"UPDATE turns SET {', '.join(f'{name} = :{name}' for name in redaction.COLUMNS)} "  # noqa: S608
                   "WHERE number = :number", [{**turn, "number": number} for number, turn in changed.items()])
    _redact_titles(db)
    return len(changed)


def _redact_titles(db: sqlite3.Connection) -> None:
    rows = db.execute("SELECT id, title FROM conversations WHERE title IS NOT NULL")
    while batch := rows.fetchmany(10 * _TURNS):
        _, secret = _shared(db, runs_of(title for _, title in batch))
        clean = [(redacted(title, secret), name, title) for name, title in batch]
        db.executemany("UPDATE conversations SET title = nullif(?, ?) WHERE id = ?",
                       [(now, MARK, name) for now, name, title in clean if now != title])


def _shared(db: sqlite3.Connection, here: Sieve) -> tuple[Sieve, Sieve]:
    """Those of the runs that stand in what goes, and of these the ones that stand in nothing that stays."""
    every = here.within(_forgotten(db))
    return every, every.without(every.within(_remaining(db)))
