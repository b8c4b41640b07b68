"""Intake: one import into the archive, message by message: new, updated, unchanged, skipped or failed, all counted.

Knows the tables of database.py and nothing of file formats: importers hand over what they found.
"""
from __future__ import annotations

import json
import sqlite3
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Protocol, get_args

from twin.text import clean
from twin.types import Conversation, ImportReport, Message, Repair, Speaker, digest, to_plain

Key = tuple[str, str]
"""(conversation id, message id)."""

UNIQUE_ID = 16  # characters from which a message id is taken as unique in the world (a UUID has 36, "m1" is anyone's)


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
    """One run of `add`: where it writes, what it has met, what became of it."""

    def __init__(self, db: sqlite3.Connection) -> None:
        self.db = db
        self.changed: dict[Key, None] = {}
        self._met: set[Key] = set()
        self._tallies: dict[str, _Tally] = {}

    @property
    def seen(self) -> int:
        """Messages seen so far."""
        return sum(tally.seen for tally in self._tallies.values())

    def report(self, dry_run: bool = False) -> ImportReport:
        """The report over all files."""
        total = _Tally()
        for tally in self._tallies.values():
            total += tally
        return total.report((file for file in self._tallies if file), dry_run)

    def take(self, item: Found | Conversation) -> int:
        """Store one item whole or not at all; returns how many messages it had."""
        if isinstance(item, Conversation):
            return self._take("", item)
        file = utf8(item.file)
        tally = self._tallies.setdefault(file, _Tally())
        tally.skipped.update({reason: count for reason, count in item.skipped.items() if count})
        tally.seen += sum(item.skipped.values())
        if item.repair:
            tally.repairs[item.repair] = None
        if item.failure is not None:
            tally.seen += 1
            tally.fail(item.failure if item.failure.startswith(item.file) else f"{item.file}: {item.failure}")
        return self._take(file, item.conversation) if item.conversation else 0

    def _take(self, file: str, conversation: Conversation) -> int:
        tally = self._tallies.setdefault(file, _Tally())
        where = f"{file}: conversation {conversation.id!r}" if file else f"conversation {conversation.id!r}"
        count = len(conversation.messages)
        tally.seen += count
        part, changed = _Tally(), list[Key]()
        self.db.execute("SAVEPOINT one")
        try:
            self._store(conversation, where, part, changed)
        except (sqlite3.IntegrityError, sqlite3.DataError, ValueError, TypeError, OverflowError) as error:
            self.db.execute("ROLLBACK TO one")
            tally.fail(f"{where}: {error}", max(count, 1))
            tally.seen += count == 0  # a conversation without messages that fails is one failed item
        else:
            tally += part
            self.changed.update(dict.fromkeys(changed))
        self.db.execute("RELEASE one")
        return count

    def _store(self, conversation: Conversation, where: str, tally: _Tally, changed: list[Key]) -> None:
        source = _clean(conversation.source, "source")
        messages = _distinct(_readable(conversation.messages, where, tally))
        named = _clean(conversation.id, "id")
        if not named:
            raise ValueError("it has no id")
        if not messages:
            return
        key = self._identity(named, messages)
        title = _clean(conversation.title, "title")
        self.db.execute("INSERT OR IGNORE INTO conversations (id, title, source) VALUES (?, ?, ?)",
                        (key, title, source))
        if title:
            self.db.execute("UPDATE conversations SET title = ?1 WHERE id = ?2 AND title IS NOT ?1 "
                            "AND (title IS NULL OR source IS ?3)", (title, key, source))
        stored = {row[0]: row[1:] for row in self.db.execute(
            "SELECT id, content_hash, source FROM messages WHERE conversation = ? ORDER BY position", (key,))}
        place = self._places(key, list(stored), [message.id for message in messages])
        for message in messages:
            outcome = self._put(key, message, place[message.id], stored.get(message.id), source)
            tally.outcomes[outcome] += 1
            tally.roles[message.role] += 1
            tally.own += bool(message.own)
            stored.setdefault(message.id, (_content_hash(message), source))
            if outcome != "unchanged":
                changed.append((key, message.id))
        tally.conversations.add(key)

    def _identity(self, conversation: str, messages: Sequence[Message]) -> str:
        """The stored conversation this one is. A note without front matter meets the export of the same chat, and a
        note that has grown its older self, by a message id that cannot be a coincidence; the alias is remembered."""
        row = self.db.execute("SELECT id FROM conversations WHERE id = ?1 UNION ALL "
                              "SELECT conversation FROM aliases WHERE id = ?1", (conversation,)).fetchone()
        if row:
            return str(row[0])
        for message in messages:
            if len(message.id) >= UNIQUE_ID:
                row = self.db.execute("SELECT conversation FROM messages WHERE id = ? ORDER BY rowid LIMIT 1",
                                      (message.id,)).fetchone()
                if row:
                    self.db.execute("INSERT INTO aliases VALUES (?, ?)", (conversation, row[0]))
                    return str(row[0])
        return conversation

    def _places(self, conversation: str, stored: list[str], incoming: list[str]) -> dict[str, int]:
        """Position of every message; those that are stored already are moved where new ones come between them."""
        place = {message: position for position, message in enumerate(_merged(stored, incoming))}
        moved = [(place[old], conversation, old) for position, old in enumerate(stored) if place[old] != position]
        self.db.executemany("UPDATE messages SET position = ? WHERE conversation = ? AND id = ?", moved)
        return place

    def _put(self, conversation: str, message: Message, position: int, stored: tuple[str, str | None] | None,
             source: str | None) -> str:
        """Insert, revise or leave one message; returns what became of it."""
        key, hash_ = (conversation, message.id), _content_hash(message)
        values = (message.role, message.text, message.author, message.time and message.time.isoformat(), message.own,
                  json.dumps(message.flags, ensure_ascii=False), message.raw, source, hash_)
        again = key in self._met
        self._met.add(key)
        if stored is None:
            self.db.execute("INSERT INTO messages VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
                            (*key, position, *values))
            return "imported"
        if stored[0] == hash_ or stored[1] != source or self._is_known_copy(key, hash_):
            return "unchanged"
        self.db.execute(
            "INSERT INTO revisions SELECT conversation, id, role, text, author, time, own, flags, raw, content_hash, "
            "?, ? FROM messages WHERE conversation = ? AND id = ?", (_now(), again, *key))
        self.db.execute(
            "UPDATE messages SET role = ?, text = ?, author = ?, time = ?, own = ?, flags = ?, raw = ?, source = ?, "
            "content_hash = ? WHERE conversation = ? AND id = ?", (*values, *key))
        for table in ("points", "core_reads"):  # offsets into the old text would quote something else
            self.db.execute(f"DELETE FROM {table} WHERE conversation = ? AND message = ?", key)  # noqa: S608 - constants
        return "updated"

    def _is_known_copy(self, key: Key, hash_: str) -> bool:
        """Two versions of one message in one folder (a note and its old copy) would replace each other at every
        import; the one that lost when both first came stays in the revisions."""
        found = self.db.execute("SELECT 1 FROM revisions WHERE conversation = ? AND id = ? AND content_hash = ? "
                                "AND copy", (*key, hash_)).fetchone()
        return found is not None

    def save_sources(self, hashes: Mapping[str, str]) -> None:
        """Write down which files came, with what result; the same file again replaces its line."""
        for file, tally in self._tallies.items():
            if file:
                report = json.dumps(to_plain(tally.report((file,))), ensure_ascii=False)
                self.db.execute("INSERT OR REPLACE INTO sources VALUES (?, ?, ?, ?)",
                                (file, hashes.get(file, ""), _now(), utf8(report)))


def _readable(messages: Iterable[Message], where: str, tally: _Tally) -> list[Message]:
    """Messages as they are stored; empty ones are counted as skipped, impossible ones as failed."""
    kept = []
    for number, message in enumerate(messages, 1):
        try:
            stored = _storable(message)
        except (AttributeError, TypeError, ValueError, OverflowError) as error:
            tally.fail(f"{where}, message {number}: {error}")
            continue
        if stored.text.strip():
            kept.append(stored)
        else:
            tally.skipped["empty"] += 1  # also when a text is stored already: nothing is ever blanked
    return kept


def _storable(message: Message) -> Message:
    """Check the values; clean the texts, keep the original bytes where that changed them, bring the time to UTC."""
    if not isinstance(message.text, str):
        raise TypeError(f"its text is of type {type(message.text).__name__}")
    if message.role not in get_args(Speaker):
        raise ValueError(f"its role is {message.role!r}")
    name, text = _clean(message.id, "id"), _clean(message.text, "text") or ""
    if not name:
        raise ValueError("it has no id")
    if not isinstance(message.raw, bytes | None):
        raise TypeError(f"its raw is of type {type(message.raw).__name__}")
    raw = message.raw
    if raw is None and text != message.text:
        raw = message.text.encode("utf-8", "surrogatepass")
    flags = tuple(_clean(flag, "flag") or "" for flag in message.flags)
    if message.time is not None and message.time.tzinfo is None and "local_time" not in flags:
        flags += ("local_time",)  # a time without a zone is taken as this machine's, and says so
    time = message.time and message.time.astimezone(UTC)
    return replace(message, id=name, text=text, author=_clean(message.author, "author"), time=time,
                   own=bool(message.own), flags=flags, raw=raw)


def _distinct(messages: Sequence[Message]) -> list[Message]:
    """Give different messages under one id the ids x, x#2, x#3 in their order, so that none is lost."""
    taken = {message.id for message in messages}
    names: dict[str, dict[str, str]] = {}  # id -> content hash -> id in the archive
    result = []
    for message in messages:
        known, hash_ = names.setdefault(message.id, {}), _content_hash(message)
        if hash_ not in known:
            name = f"{message.id}#{len(known) + 1}" if known else message.id
            while known and name in taken:
                name += "#"
            known[hash_] = name
        result.append(replace(message, id=known[hash_]))
    return result


def _merged(stored: Sequence[str], incoming: Sequence[str]) -> list[str]:
    """One order of both: what is stored keeps its order, what is new follows the neighbour it came after."""
    known, anchor, first = set(stored), "", ""
    after: dict[str, dict[str, None]] = {}  # ids are never empty: "" stands for the beginning
    for name in incoming:
        if name in known:
            anchor, first = name, first or name
        else:
            after.setdefault(anchor, {})[name] = None
    head = after.pop("", {})
    order: list[str] = []
    for name in stored:
        order += (*(head if name == first else ()), name, *after.get(name, ()))
    return order if first else [*order, *head]


def _content_hash(message: Message) -> str:
    """What makes a message another one: who said what, and in which standing. Not the time and the author's name:
    a note read in another time zone, a contact that was renamed, say nothing new."""
    return digest(json.dumps([message.role, message.own, message.flags, message.text], ensure_ascii=False))


def _clean(value: str | None, what: str) -> str | None:
    """text.clean, and NUL as U+FFFD: C code below (llama.cpp, SQL functions) would end the text there."""
    if value is None:
        return None
    if not isinstance(value, str):
        raise TypeError(f"its {what} is of type {type(value).__name__}")
    return clean(value).replace("\0", "\ufffd")


def utf8(value: str) -> str:
    """A text SQLite accepts: lone surrogates as U+FFFD, otherwise untouched. For JSON, where NFC could join the n of
    a newline's escape with an accent."""
    return value.encode("utf-8", "surrogatepass").decode("utf-8", "replace")


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")
