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
PREFIX = "twin:"
_TYPED = f"substr(g.conversation, 1, {len(PREFIX)}) = '{PREFIX}'"
_GOING = f"id IN (SELECT g.id FROM gone g WHERE {_TYPED} UNION SELECT id FROM gone_turns)"  # noqa: S608 - constants
_NO_WORD = (f"NOT EXISTS (SELECT 1 FROM messages m WHERE m.conversation = '{PREFIX}' || t.conversation "  # noqa: S608
            "AND m.id = t.id)")
_TURNS = {  # by what is named
    "kind": f"SELECT id FROM turns WHERE ?1 = '{SOURCE}' ORDER BY number",  # noqa: S608 - constants
    "conversation": f"SELECT id FROM turns t WHERE ?1 = '{PREFIX}' || conversation AND {_NO_WORD} ORDER BY number",  # noqa: S608
    "turn": f"SELECT id FROM turns t WHERE ?1 IN (id, '{PREFIX}' || conversation || '/' || id) AND {_NO_WORD}",  # noqa: S608
}


def conversation_of(chat: str) -> str:
    """The id under which the archive keeps what was typed in a chat (`Turn.conversation`)."""
    return f"{PREFIX}{chat}"


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


def turns_of(db: sqlite3.Connection, name: str, meaning: str) -> tuple[str, ...]:
    """Ids of the turns that a name means as a 'kind' (all of them), a 'conversation' or a 'turn' (those whose question
    is no own message), oldest first."""
    return tuple(row[0] for row in db.execute(_TURNS[meaning], (name,))) if meaning in _TURNS else ()


def chats(db: sqlite3.Connection) -> list[str]:
    """The ids of all chats."""
    return [row[0] for row in db.execute("SELECT DISTINCT conversation FROM turns")]


def answers(db: sqlite3.Connection) -> list[str]:
    """The answers of the turns that `forget` will delete."""
    return [row[0] for row in db.execute(f"SELECT answer FROM turns WHERE {_GOING}")]  # noqa: S608 - constants


def forget(db: sqlite3.Connection) -> set[str]:
    """Delete the turns whose questions are in the table `gone` and those of `gone_turns`; returns their chats, where
    answers may repeat them."""
    return {row[0] for row in db.execute(f"DELETE FROM turns WHERE {_GOING} RETURNING conversation")}  # noqa: S608


def among(db: sqlite3.Connection, conversations: set[str]) -> set[str]:
    """Those of the conversations that were typed here. No import can bring them back, and a chat that is forgotten
    may be gone on with: they get no tombstone as a whole."""
    return {name for name in conversations if db.execute(
        "SELECT 1 FROM conversations WHERE id = ? AND source = ?", (name, SOURCE)).fetchone()}
