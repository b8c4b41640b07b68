"""Intake: one import into the archive, message by message: new, updated, unchanged, skipped or failed, all counted.

Knows the tables of database.py and nothing of file formats: importers hand over what they found.
"""
from __future__ import annotations

import json
import re
import sqlite3
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Protocol

from twin import text as texts
from twin.archive.database import with_foreign
from twin.archive.order import Order
from twin.archive.ready import Ready, cleaned, distinct, readable, utf8
from twin.archive.tombstones import UNIQUE_ID, Tombstones
from twin.types import Conversation, ImportReport, Repair, to_plain

Key = tuple[str, str]
"""(conversation id, message id)."""



_MADE = re.compile(r"[a-z]+-[0-9a-f]{32}(?:-\d+)?$")  # an id that an importer made of content, none of a provider


_NAMED_BY_FILE = ("markdown",)  # kinds whose conversations are named by a path
_COMPARED, _SHARED = 50_000, 0.2  # characters of two notes, and the share of their words that makes them one


class Found(Protocol):
    """What an importer hands over: a conversation, or why there is none, and what it left out by reason."""

    @property
    def file(self) -> str: ...
    @property
    def conversation(self) -> Conversation | None: ...
    @property
    def skipped(self) -> Mapping[str, int]: ...
    @property
    def failure(self) -> str | None: ...
    @property
    def repair(self) -> Repair | None: ...


@dataclass
class _Tally:
    """What became of the messages of one file."""

    outcomes: Counter[str] = field(default_factory=Counter)
    skipped: Counter[str] = field(default_factory=Counter)
    roles: Counter[str] = field(default_factory=Counter)
    own: int = 0
    conversations: set[str] = field(default_factory=set)
    repairs: dict[Repair, None] = field(default_factory=dict)
    failures: list[str] = field(default_factory=list)
    seen: int = 0

    def __iadd__(self, other: _Tally) -> _Tally:
        for mine, theirs in ((self.outcomes, other.outcomes), (self.skipped, other.skipped), (self.roles, other.roles)):
            mine.update(theirs)
        self.own += other.own
        self.conversations |= other.conversations
        self.repairs |= other.repairs
        self.failures += other.failures
        self.seen += other.seen
        return self

    def fail(self, reason: str, messages: int = 1) -> None:
        self.outcomes["failed"] += messages
        self.failures.append(reason)

    def report(self, files: Iterable[str], dry_run: bool = False) -> ImportReport:
        count = self.outcomes
        return ImportReport(
            seen=self.seen, imported=count["imported"], updated=count["updated"], unchanged=count["unchanged"],
            skipped=dict(sorted(self.skipped.items())), failed=count["failed"], conversations=len(self.conversations),
            roles=dict(sorted(self.roles.items())), own=self.own, files=tuple(files), repairs=tuple(self.repairs),
            failures=tuple(self.failures), dry_run=dry_run)


class Intake:
    """One run of `add`: where it writes, what it has met, what became of it. `root`: what the person named."""

    def __init__(self, db: sqlite3.Connection, root: str = "", tombstones: Tombstones | None = None) -> None:
        self.db = db
        self.root = utf8(root)
        self.changed: dict[Key, None] = {}
        self._met: set[Key] = set()
        self._tallies: dict[tuple[str, str], _Tally] = {}  # by file and kind
        self._files: dict[tuple[str, str], int] = {}
        self._noted: set[str] = set()  # sources of which something is stored
        self._tombstones = Tombstones(db) if tombstones is None else tombstones
        self._order = Order(db)

    @property
    def seen(self) -> int:
        """Messages seen so far."""
        return sum(tally.seen for tally in self._tallies.values())

    def report(self, dry_run: bool = False) -> ImportReport:
        """The report over all files."""
        total = _Tally()
        for tally in self._tallies.values():
            total += tally
        return total.report(dict.fromkeys(file for file, _ in self._tallies if file), dry_run)

    def take(self, item: Found | Conversation) -> int:
        """Store one item whole or not at all; returns how many messages it had."""
        if isinstance(item, Conversation):
            return self._take("", item)
        file, kind = utf8(item.file), _kind(item.conversation)
        tally = self._tallies.setdefault((file, kind), _Tally())
        tally.skipped.update({reason: count for reason, count in item.skipped.items() if count})
        tally.seen += sum(item.skipped.values())
        if item.repair:
            tally.repairs[item.repair] = None
        if item.failure is not None:
            tally.seen += 1
            tally.fail(item.failure if item.failure.startswith(item.file) else f"{item.file}: {item.failure}")
        return self._take(file, item.conversation) if item.conversation else 0

    def _take(self, file: str, conversation: Conversation) -> int:
        tally = self._tallies.setdefault((file, _kind(conversation)), _Tally())
        where = f"{file}: conversation {conversation.id!r}" if file else f"conversation {conversation.id!r}"
        count = len(conversation.messages)
        tally.seen += count
        part, changed = _Tally(), list[Key]()
        self.db.execute("SAVEPOINT one")
        try:
            self._store(conversation, file, where, part, changed)
        except (sqlite3.IntegrityError, sqlite3.DataError, ValueError, TypeError, OverflowError) as error:
            self.db.execute("ROLLBACK TO one")
            self._files.clear()  # the line of the file may have been part of it
            tally.fail(f"{where}: {error}", max(count, 1))
            tally.seen += count == 0  # a conversation without messages that fails is one failed item
        else:
            tally += part
            self.changed.update(dict.fromkeys(changed))
            self.db.executemany("INSERT INTO unindexed (conversation, message) VALUES (?, ?)", changed)
        self.db.execute("RELEASE one")
        return count

    def _store(self, conversation: Conversation, file: str, where: str, tally: _Tally, changed: list[Key]) -> None:
        source = cleaned(conversation.source, "source")
        ready = _counted(conversation, where, tally)
        named = cleaned(conversation.id, "id")
        if not named:
            raise ValueError("it has no id")
        key = self._identity(named, [message.id for message, _ in ready], source)
        if source in _NAMED_BY_FILE:
            key = self._note(key, ready)
        ready = self._not_forgotten(key, named, ready, tally)
        if not ready:
            return
        number, is_new = self._conversation(key, cleaned(conversation.title, "title"), source)
        names = [message.id for message, _ in ready]
        stored = {} if is_new else self._stored(key, names)
        times = [message.time for message, _ in ready if message.time]
        span = (min(times).isoformat(), max(times).isoformat()) if times else None
        place = self._order.places(key, {name: row[2] for name, row in stored.items()}, names, span)
        for one in ready:
            name = one.message.id
            outcome = self._put(key, one, place.get(name, 0), stored.get(name), source)
            tally.outcomes[outcome] += 1
            tally.roles[one.message.role] += 1
            tally.own += bool(one.message.own)
            stored.setdefault(name, (one.hash, source, 0))
            if outcome != "unchanged":
                changed.append((key, name))
        tally.conversations.add(key)
        self._order.ended(key, names[-1])
        if root := self.root or file:
            self._noted.add(root)
            origin = self._file(file, _kind(conversation))
            self.db.executemany("INSERT OR IGNORE INTO origins VALUES (?, ?, ?)",
                                [(number, name, origin) for name in names])

    def _not_forgotten(self, key: str, named: str, ready: list[Ready], tally: _Tally) -> list[Ready]:
        if not self._tombstones:
            return ready
        names = [message.id for message, _ in ready]
        left = set() if self._tombstones.whole(named, names) else self._tombstones.left(key, (named,), names)
        kept = [one for one in ready if one.message.id in left]
        if len(kept) < len(ready):
            tally.skipped["forgotten"] += len(ready) - len(kept)
        return kept

    def _note(self, name: str, ready: Sequence[Ready]) -> str:
        """The stored note of this name that shares words with this one; else a name of its own: two vaults may each
        have a README, and neither is the other's new text."""
        said = set(texts.words(" ".join(message.text for message, _ in ready)[:_COMPARED]))
        key, number = name, 1
        while True:
            stored = self.db.execute("SELECT text, content_hash FROM messages WHERE conversation = ?",
                                     (key,)).fetchall()
            known = set(texts.words(" ".join(text for text, _ in stored)[:_COMPARED]))
            if (not stored or {hash_ for _, hash_ in stored} & {one.hash for one in ready}
                    or len(said & known) >= _SHARED * min(len(said), len(known))):
                return key
            number += 1
            key = f"{name}~{number}"

    def _both_given(self, conversation: str, stored: str, source: str | None) -> bool:
        kind = self.db.execute("SELECT source FROM conversations WHERE id = ?", (stored,)).fetchone()[0]
        return source is not None and source == kind and not (_MADE.match(conversation) or _MADE.match(stored))

    def _identity(self, conversation: str, messages: Sequence[str], source: str | None) -> str:
        """The stored conversation this one is. A note without front matter meets the export of the same chat, and a
        note that has grown its older self, by a message id that cannot be a coincidence; the alias is remembered.
        Two ids that one provider gave are two chats: one that was branched off takes messages of the first along."""
        row = self.db.execute("SELECT id FROM conversations WHERE id = ?1 UNION ALL "
                              "SELECT conversation FROM aliases WHERE id = ?1", (conversation,)).fetchone()
        if row:
            return str(row[0])
        known = dict(self.db.execute(
            "SELECT id, conversation FROM messages WHERE id IN (SELECT value FROM json_each(?)) ORDER BY rowid DESC",
            (json.dumps([message for message in messages if len(message) >= UNIQUE_ID]),)))
        for message in messages:
            if message in known and not self._both_given(conversation, known[message], source):
                self.db.execute("INSERT INTO aliases VALUES (?, ?)", (conversation, known[message]))
                return str(known[message])
        return conversation

    def _conversation(self, key: str, title: str | None, source: str | None) -> tuple[int, bool]:
        """The number of a conversation, and whether it was made now. A missing title is filled in; another one comes
        from the same kind of source only."""
        made = self.db.execute("INSERT OR IGNORE INTO conversations (id, title, source) VALUES (?, ?, ?)",
                               (key, title, source))
        if made.rowcount == 1:
            return int(made.lastrowid or 0), True
        if title:
            self.db.execute("UPDATE conversations SET title = ?1 WHERE id = ?2 AND title IS NOT ?1 "
                            "AND (title IS NULL OR source IS ?3)", (title, key, source))
        return int(self.db.execute("SELECT number FROM conversations WHERE id = ?", (key,)).fetchone()[0]), False

    def _stored(self, conversation: str, messages: Sequence[str]) -> dict[str, tuple[str, str | None, int]]:
        """Those of the messages that are stored: id -> content hash, kind of source, position."""
        return {row[0]: row[1:] for row in self.db.execute(
            "SELECT id, content_hash, source, position FROM messages WHERE conversation = ? "
            "AND id IN (SELECT value FROM json_each(?))", (conversation, json.dumps(messages)))}

    def _put(self, conversation: str, ready: Ready, position: int, stored: tuple[str, str | None, int] | None,
             source: str | None) -> str:
        """Insert, revise or leave one message; returns what became of it."""
        message, hash_ = ready
        key = conversation, message.id
        again = key in self._met
        self._met.add(key)
        if stored is not None and (stored[0] == hash_ or stored[1] != source or self._is_known_copy(key, hash_)):
            return "unchanged"
        flags = with_foreign(message.flags, message.text) if message.own else message.flags
        values = (message.role, message.text, message.author, message.time and message.time.isoformat(), message.own,
                  json.dumps(flags, ensure_ascii=False) if flags else "[]", message.raw, source, hash_,
                  texts.language(message.text))
        if stored is None:
            self.db.execute("INSERT INTO messages VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
                            (*key, position, *values))
            return "imported"
        self.db.execute(
            "INSERT INTO revisions SELECT conversation, id, role, text, author, time, own, flags, raw, content_hash, "
            "?, ? FROM messages WHERE conversation = ? AND id = ?", (_now(), again, *key))
        self.db.execute(
            "UPDATE messages SET role = ?, text = ?, author = ?, time = ?, own = ?, flags = ?, raw = ?, source = ?, "
            "content_hash = ?, lang = ? WHERE conversation = ? AND id = ?", (*values, *key))
        for table in ("points", "core_reads", "free_reads"):  # offsets into the old text would quote something else
            self.db.execute(f"DELETE FROM {table} WHERE conversation = ? AND message = ?", key)  # noqa: S608 - constants
        self.db.execute("DELETE FROM free_claims WHERE number IN (SELECT free FROM free_spans WHERE conversation = ? "
                        "AND message = ?)", key)
        return "updated"

    def _is_known_copy(self, key: Key, hash_: str) -> bool:
        """Two versions of one message in one folder (a note and its old copy) would replace each other at every
        import; the one that lost when both first came stays in the revisions."""
        found = self.db.execute("SELECT 1 FROM revisions WHERE conversation = ? AND id = ? AND content_hash = ? "
                                "AND copy", (*key, hash_)).fetchone()
        return found is not None

    def _file(self, file: str, kind: str) -> int:
        """The line of a file and kind under what the person named."""
        if (file, kind) not in self._files:
            made = self.db.execute("INSERT INTO files (root, file, kind, sha256, imported, report) VALUES "
                                   "(?, ?, ?, '', ?, '{}') ON CONFLICT DO UPDATE SET imported = excluded.imported "
                                   "RETURNING number", (self.root or file, file, kind, _now())).fetchone()
            self._files[file, kind] = int(made[0])
        return self._files[file, kind]

    def save_sources(self, hashes: Mapping[str, str]) -> None:
        """Write down which files came, with what result; the same file again replaces its line. Counts only: a repair
        and a failure show what was written. A source of which nothing is stored leaves no line, nor does a file of
        which all is forgotten."""
        for (file, kind), tally in self._tallies.items():
            if (self.root or file) not in self._noted or (tally.skipped["forgotten"] and not tally.outcomes):
                continue
            report = {key: value for key, value in to_plain(tally.report((file,))).items()
                      if key not in ("files", "repairs", "failures")}
            number, plain = self._file(file, kind), utf8(json.dumps(report, ensure_ascii=False))
            self.db.execute("UPDATE files SET sha256 = ?, report = ? WHERE number = ?",
                            (hashes.get(file, ""), plain, number))
            self.db.execute("DELETE FROM files WHERE root = '' AND file = ?", (file,))  # noted by an older version


def _kind(conversation: Conversation | None) -> str:
    source = conversation.source if conversation else None
    return cleaned(source, "source") or "" if isinstance(source, str) else ""


def _counted(conversation: Conversation, where: str, tally: _Tally) -> list[Ready]:
    """Messages as they are stored; empty ones are counted as skipped, impossible ones as failed."""
    kept = []
    for ready in readable(conversation.messages):
        if isinstance(ready, Ready):
            kept.append(ready)
        elif ready is None:
            tally.skipped["empty"] += 1  # also when a text is stored already: nothing is ever blanked
        else:
            tally.fail(f"{where}, {ready}")
    return distinct(kept)


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")
