"""Tombstones: what was forgotten and must not come back, as keyed hashes. Knows ids only, and cannot give them back.

A hash is HMAC-sha256 with a random key of this home, so that nobody can try ids against it without the archive file.
"""
from __future__ import annotations

import hmac
import secrets
import sqlite3
from collections import Counter
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime

UNIQUE_ID = 16  # characters from which a message id is taken as unique in the world (a UUID has 36, "m1" is anyone's)

_KEY = "forgotten.key"  # setting: 32 random bytes in hex


def _key(db: sqlite3.Connection) -> bytes:
    row = db.execute("SELECT value FROM settings WHERE key = ?", (_KEY,)).fetchone()
    return bytes.fromhex(row[0]) if row else b""


def keyed(db: sqlite3.Connection, name: str) -> str:
    """What stands for an id or a hash where it outlives its text, in the audit: a guess of the text cannot be tried
    against it without the archive file."""
    return Tombstones(db, few=True).keyed(name)


class Tombstones:
    """The tombstones of one archive, read once: 100,000 take 20 MB. Empty ones cost an import nothing. With `few` to
    ask about they are looked up one by one.

    Kinds: 'message' (of a conversation), 'id' (a message id that is unique by itself; `of` its conversation),
    'conversation' (whole), 'alias' (another name; `of` the conversation), 'claim' (a facet).
    """

    def __init__(self, db: sqlite3.Connection, *, few: bool = False) -> None:
        self.db = db
        self._few = few
        self._key = _key(db)
        self._held: dict[bytes, tuple[str, bytes | None]] = {} if few else {
            hash_: (kind, of) for hash_, kind, of in db.execute("SELECT hash, kind, of FROM forgotten")}

    def __bool__(self) -> bool:
        return bool(self._held) or (self._few and self.db.execute("SELECT 1 FROM forgotten").fetchone() is not None)

    def counts(self) -> dict[str, int]:
        """How many messages, whole conversations and claims are forgotten."""
        kinds = Counter(row[0] for row in self.db.execute("SELECT kind FROM forgotten"))
        return {name: kinds[name.removesuffix("s")] for name in ("messages", "conversations", "claims")}

    # ---- asking ------------------------------------------------------------------------------------------------

    def whole(self, conversation: str, messages: Iterable[str]) -> bool:
        """Whether all of a conversation is forgotten, under this name or another one. Known by a message id that is
        unique, it is known by its name from now on."""
        if not self:
            return False
        name = self._conversation(conversation)
        for of in {name, *self._known_by(messages)}:
            if self._kind(of) == "conversation":
                if of != name:
                    self._put([(name, "alias", of)])
                return True
        return False

    def left(self, conversation: str, names: Iterable[str], messages: Sequence[str]) -> set[str]:
        """The ids of a conversation's messages that are not forgotten; `names` are other names it has."""
        if not self:
            return set(messages)
        of = {self._conversation(name) for name in (conversation, *names)} | self._known_by(messages)
        return {message for message in messages
                if self._kind(self._id(message)) != "id"
                and not any(self._kind(self._hash(one, message)) for one in of)}

    def claims(self, facets: Iterable[str]) -> frozenset[str]:
        """Those of these claims that are forgotten."""
        return frozenset(facet for facet in facets if self._kind(self._hash(b"claim", facet))) if self else frozenset()

    # ---- writing -----------------------------------------------------------------------------------------------

    def add(self, conversation: str, messages: Iterable[str], *, aliases: Iterable[str] = (),
            whole: bool = False) -> None:
        """Forget messages of a conversation; `whole` with all that may yet come of it. `aliases` are its other names:
        give them when it leaves the archive, which knows them until then."""
        of = self._conversation(conversation)
        rows: list[tuple[bytes, str, bytes | None]] = []
        for message in messages:
            rows.append((self._hash(of, message), "message", None))
            if len(message) >= UNIQUE_ID:
                rows.append((self._id(message), "id", of))
        others = {self._hash(b"conversation", alias) for alias in (conversation, *aliases)} - {of}
        rows += [(other, "alias", of) for other in sorted(others)]
        if whole:
            rows.append((of, "conversation", None))
        self._put(rows)

    def add_claim(self, facet: str) -> None:
        """Forget a claim, by its id."""
        self._put([(self._hash(b"claim", facet), "claim", None)])

    def _put(self, rows: list[tuple[bytes, str, bytes | None]]) -> None:
        made = datetime.now(UTC).isoformat(timespec="seconds")
        new = [(*row, made) for row in dict.fromkeys(rows) if not self._kind(row[0])]
        self.db.executemany("INSERT OR IGNORE INTO forgotten VALUES (?, ?, ?, ?)", new)
        self._held.update((hash_, (kind, of)) for hash_, kind, of, _ in new)

    def keyed(self, name: str) -> str:
        """See the function of this name."""
        return self._hash(b"audit", name).hex()

    # ---- hashes ------------------------------------------------------------------------------------------------

    def _conversation(self, name: str) -> bytes:
        hash_ = self._hash(b"conversation", name)
        kind, of = self._get(hash_)
        return of if kind == "alias" and of else hash_

    def _known_by(self, messages: Iterable[str]) -> set[bytes]:
        """Forgotten conversations whose messages these are, by ids that cannot be a coincidence."""
        found = (self._get(self._id(message))[1] for message in messages if len(message) >= UNIQUE_ID)
        return {of for of in found if of}

    def _id(self, message: str) -> bytes:
        return self._hash(b"id", message)

    def _kind(self, hash_: bytes) -> str:
        return self._get(hash_)[0]

    def _get(self, hash_: bytes) -> tuple[str, bytes | None]:
        found = self._held.get(hash_)
        if found is None and self._few:
            found = self.db.execute("SELECT kind, of FROM forgotten WHERE hash = ?", (hash_,)).fetchone()
        return found or ("", None)

    def _hash(self, of: bytes, name: str) -> bytes:
        self._key = self._key or _key(self.db)  # another of these may have made it
        if not self._key:
            self._key = secrets.token_bytes(32)
            self.db.execute("INSERT INTO settings VALUES (?, ?)", (_KEY, self._key.hex()))
        return hmac.digest(self._key, of + b"\0" + name.encode("utf-8", "surrogatepass"), "sha256")
