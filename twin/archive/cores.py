"""Cores that were formed: what each is made of, by id, and their names. Knows the table; holds no words of messages."""
from __future__ import annotations

import json
import sqlite3
from collections.abc import Collection, Container
from datetime import UTC, datetime
from hashlib import sha256
from typing import Any

from twin.archive.file import File
from twin.errors import UsageError
from twin.firmware import Firmware


class Cores(File):
    """The part of the archive that keeps formed cores."""

    def save_core(self, core: Firmware) -> None:
        """Keep a core; one that is kept already gets the new name."""
        with self._writing("core") as db:
            db.execute("INSERT INTO cores (id, name, made, body) VALUES (?, ?, ?, ?) "
                       "ON CONFLICT (id) DO UPDATE SET name = excluded.name",
                       (core.id, core.name, core.made.astimezone(UTC).isoformat(),
                        json.dumps(core.body, ensure_ascii=True)))

    def cores(self) -> list[Firmware]:
        """All of them, the oldest first."""
        with self._reading() as db:
            return [_core(row) for row in db.execute("SELECT id, name, made, body FROM cores ORDER BY number")]

    def core(self, which: str) -> Firmware:
        """The core of this id or name (the newest of several), or whose id begins so. UsageError for none and for
        several."""
        known, which = self.cores(), " ".join(which.split())
        named = [one for one in known if one.name == which][-1:]
        found = [one for one in known if one.id == which] or named or [
            one for one in known if which and one.id.startswith(which)]
        if len(found) == 1:
            return found[0]
        listed = ", ".join(f"{one.id} ({one.name})" for one in (found or known)[-6:])
        what = f"{len(found)} cores begin with {which!r}." if found else f"No core is called {which!r}."
        raise UsageError(what, f"Name one of: {listed}." if listed else "Form one with `twin form`.")

    def drop_core(self, which: str) -> Firmware:
        """Take a core back; what it was made of stays. UsageError as `core`."""
        gone = self.core(which)
        with self._writing("core") as db:
            db.execute("DELETE FROM cores WHERE id = ?", (gone.id,))
        return gone

    def own_words(self) -> tuple[str, int]:
        """sha256 over the hashes of all own messages, and how many there are: what recall and packs rest on."""
        with self._reading() as db:
            hashes = [row[0] for row in db.execute("SELECT content_hash FROM messages WHERE own "
                                                   "ORDER BY conversation, id")]
        return sha256("".join(hashes).encode()).hexdigest(), len(hashes)


def texts(db: sqlite3.Connection) -> list[str]:
    """Names and constitutions: what a person wrote here."""
    return [text for name, body in db.execute("SELECT name, body FROM cores")
            for text in (name, json.loads(body)["constitution"]) if text]


def withdraw(db: sqlite3.Connection, went: Collection[str], traces: Container[Any]) -> None:
    """What names claims that went, and names and constitutions that are a trace of what went, leave all cores."""
    for number, name, stored in db.execute("SELECT number, name, body FROM cores").fetchall():
        body = json.loads(stored)
        body["pinned"] = [one for one in body["pinned"] if one not in went]
        body["conflicts"] = {one: left for one, of in body["conflicts"].items() if one not in went
                             and (left := [other for other in of if other not in went])}
        body["constitution"] = "" if body["constitution"] in traces else body["constitution"]
        db.execute("UPDATE cores SET name = ?, body = ? WHERE number = ?",
                   ("" if name in traces else name, json.dumps(body, ensure_ascii=True), number))


def _core(row: sqlite3.Row | tuple[str, str, str, str]) -> Firmware:
    id_, name, made, body = row
    return Firmware.of(id_, name, datetime.fromisoformat(made), json.loads(body))
