"""Cores that were formed: what each is made of, by id, and their names. Knows the table; holds no words of messages."""
from __future__ import annotations

import json
import sqlite3
from datetime import UTC, datetime
from hashlib import sha256

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
            return [_core(row) for row in db.execute("SELECT name, made, body FROM cores ORDER BY number")]

    def core(self, which: str) -> Firmware:
        """The core of this name (the newest of several), or whose id begins so. UsageError for none and for several."""
        known = self.cores()
        named = [one for one in known if one.name == which][-1:]
        found = named or [one for one in known if which and one.id.startswith(which)]
        if len(found) == 1:
            return found[0]
        listed = ", ".join(f"{one.id} ({one.name})" for one in (found or known)[-6:])
        what = f"{len(found)} cores begin with {which!r}." if found else f"No core is called {which!r}."
        raise UsageError(what, f"Name one of: {listed}." if listed else "Form one with `twin form`.")

    def own_words(self) -> tuple[str, int]:
        """sha256 over the hashes of all own messages, and how many there are: what recall and packs rest on."""
        with self._reading() as db:
            hashes = [row[0] for row in db.execute("SELECT content_hash FROM messages WHERE own "
                                                   "ORDER BY conversation, id")]
        return sha256("".join(hashes).encode()).hexdigest(), len(hashes)


def _core(row: sqlite3.Row | tuple[str, str, str]) -> Firmware:
    name, made, body = row
    return Firmware.of(name, datetime.fromisoformat(made), json.loads(body))
