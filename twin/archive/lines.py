"""Lines of thinking as rows: where each leaves its parent, its name and state, what is set on it. Knows the table."""
from __future__ import annotations

import json
import sqlite3
from datetime import UTC, datetime
from typing import Any

from twin.archive.file import File
from twin.archive.ready import utf8
from twin.archive.talks import Talk, talks
from twin.archive.traces import Sieve, redacted

Row = tuple[str, str, str, str, str, dict[str, Any], datetime]
"""id, parent, turn after which it leaves ('' at the beginning), name, state, settings, made."""


class Lines(File):
    """The part of the archive that keeps the tree of a conversation: a line is a chat with a parent."""

    def save_line(self, row: Row) -> None:
        """Store a line; one with the same id is replaced."""
        name, parent, turn, title, state, settings, made = row
        with self._writing("line of thinking") as db:
            db.execute("INSERT OR REPLACE INTO lines VALUES (?, ?, ?, ?, ?, ?, ?)", (
                name, parent, turn, utf8(title), state, utf8(json.dumps(settings, ensure_ascii=False)),
                made.astimezone(UTC).isoformat()))

    def delete_line(self, name: str) -> bool:
        """Delete a line on which nothing was asked and which no other leaves; whether it was one."""
        with self._writing("line of thinking") as db:
            return db.execute(
                "DELETE FROM lines WHERE id = ?1 AND NOT EXISTS (SELECT 1 FROM turns WHERE conversation = ?1) "
                "AND NOT EXISTS (SELECT 1 FROM lines WHERE parent = ?1)", (name,)).rowcount > 0

    def talks(self, limit: int) -> list[Talk]:
        """The conversations with the twin, the newest first."""
        with self._reading() as db:
            return talks(db, limit)

    def lines(self) -> list[Row]:
        """All lines, oldest first."""
        with self._reading() as db:
            return [(*row[:5], json.loads(row[5]), datetime.fromisoformat(row[6]))
                    for row in db.execute("SELECT * FROM lines ORDER BY made, id")]


def texts(db: sqlite3.Connection) -> list[str]:
    """What the person wrote of their lines: names and instructions."""
    return [text for title, settings in db.execute("SELECT name, settings FROM lines")
            for text in (title, *json.loads(settings).values()) if isinstance(text, str)]


def follow(db: sqlite3.Connection, runs: Sieve) -> None:
    """Words that went with a message leave the names and instructions of lines too."""
    for name, title, settings in db.execute("SELECT id, name, settings FROM lines").fetchall():
        read = json.loads(settings)
        clean = {key: redacted(value, runs) if isinstance(value, str) else value for key, value in read.items()}
        if (clean, redacted(title, runs)) != (read, title):
            db.execute("UPDATE lines SET name = ?, settings = ? WHERE id = ?",
                       (redacted(title, runs), json.dumps(clean, ensure_ascii=False), name))
