"""What the person types to the twin: a turn, and its question as an own message of theirs. Knows the tables."""
from __future__ import annotations

import sqlite3

from twin.archive import redaction, rows
from twin.archive.intake import Intake
from twin.archive.ready import utf8
from twin.archive.tombstones import Tombstones
from twin.archive.traces import runs_of
from twin.types import Conversation, Message, Turn

SOURCE = "twin"  # the kind of source
_PREFIX = "twin:"
_TYPED = f"substr(g.conversation, 1, {len(_PREFIX)}) = '{_PREFIX}'"


def conversation_of(chat: str) -> str:
    """The id under which the archive keeps what was typed in a chat (`Turn.conversation`)."""
    return f"{_PREFIX}{chat}"


def save(db: sqlite3.Connection, turn: Turn, *, own: bool) -> None:
    """Store a turn within the open transaction and, where what is typed is `own` words, its question as a message."""
    tombstones = Tombstones(db, few=True)
    chat = conversation_of(turn.conversation)
    if not tombstones.left(chat, (), [turn.id]):
        return  # forgotten while it was written: neither comes back
    values = _still_known(tombstones, rows.columns(turn))
    again = ", ".join(f"{name} = excluded.{name}" for name in rows.TURN[1:])
    db.execute(f"INSERT INTO turns ({', '.join(values)}) VALUES ({', '.join('?' * len(values))}) "  # noqa: S608 - constants
               f"ON CONFLICT (id) DO UPDATE SET {again}", [value and utf8(value) for value in values.values()])
    if own:
        question = Message(turn.id, "user", turn.question, time=turn.time)
        Intake(db, tombstones=tombstones).take(Conversation(chat, (question,), source=SOURCE))


def _still_known(tombstones: Tombstones, columns: dict[str, str | None]) -> dict[str, str | None]:
    """A turn as it is stored. What it recalled may have been forgotten while the answer was written."""
    if not tombstones:
        return columns
    shown = redaction.decoded({name: columns[name] for name in redaction.COLUMNS})
    clean, texts = redaction.without_memories(
        shown, lambda conversation, message: not tombstones.left(conversation, (), [message]))
    if texts:
        columns |= redaction.encoded(redaction.without_runs(clean, runs_of(texts)))
    return columns


def forget(db: sqlite3.Connection) -> set[str]:
    """Delete the turns whose questions are in the table `gone`; returns their chats, where answers may repeat them."""
    return {row[0] for row in db.execute(
        f"DELETE FROM turns WHERE id IN (SELECT g.id FROM gone g WHERE {_TYPED}) RETURNING conversation")}  # noqa: S608


def among(db: sqlite3.Connection, conversations: set[str]) -> set[str]:
    """Those of the conversations that were typed here. No import can bring them back, and a chat that is forgotten
    may be gone on with: they get no tombstone as a whole."""
    return {name for name in conversations if db.execute(
        "SELECT 1 FROM conversations WHERE id = ? AND source = ?", (name, SOURCE)).fetchone()}
