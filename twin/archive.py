"""Archive: what must not be lost, in one SQLite file (WAL, synchronous=FULL): conversations, turns, what a core read.

Knows nothing of file formats, models or faces. A connection lives as long as one call: threads share nothing, and an
idle home holds one plain file that can be copied as it is.
"""
from __future__ import annotations

import errno
import json
import sqlite3
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from itertools import chain
from pathlib import Path
from typing import Any, Protocol, get_args

from twin.errors import HomeBusy, HomeError, HomeFull, HomeTooNew, UsageError
from twin.home import Home, full_disk_is_named
from twin.profile import Point
from twin.text import clean
from twin.types import (
    Conversation,
    Example,
    ImportReport,
    Message,
    Progress,
    Recalled,
    Repair,
    Route,
    Speaker,
    Turn,
    Usage,
    digest,
    to_plain,
)

Key = tuple[str, str]
"""(conversation id, message id)."""

BATCH = 500      # messages in one commit: a commit waits for the disk, 1-20 ms
UNIQUE_ID = 16   # characters from which a message id is taken as unique in the world (a UUID has 36, "m1" is anyone's)

# MIGRATIONS[n] brings a file from user_version n to n + 1. Forward only; what stands here is never edited.
MIGRATIONS: tuple[str, ...] = ("""
CREATE TABLE conversations (number INTEGER PRIMARY KEY, id TEXT NOT NULL UNIQUE, title TEXT, source TEXT);
CREATE TABLE messages (
  conversation TEXT NOT NULL REFERENCES conversations (id), id TEXT NOT NULL, position INTEGER NOT NULL,
  role TEXT NOT NULL, text TEXT NOT NULL, author TEXT, time TEXT, own INTEGER NOT NULL, flags TEXT NOT NULL,
  raw BLOB, source TEXT, content_hash TEXT NOT NULL, PRIMARY KEY (conversation, id));
CREATE INDEX messages_in_order ON messages (conversation, position);
CREATE INDEX messages_by_id ON messages (id);
CREATE TABLE revisions (
  conversation TEXT NOT NULL, id TEXT NOT NULL, role TEXT NOT NULL, text TEXT NOT NULL, author TEXT, time TEXT,
  own INTEGER NOT NULL, flags TEXT NOT NULL, raw BLOB, content_hash TEXT NOT NULL, replaced TEXT NOT NULL,
  copy INTEGER NOT NULL, FOREIGN KEY (conversation, id) REFERENCES messages (conversation, id));
CREATE INDEX revisions_of ON revisions (conversation, id);
CREATE TABLE sources (
  file TEXT NOT NULL, sha256 TEXT NOT NULL, imported TEXT NOT NULL, report TEXT NOT NULL, PRIMARY KEY (file, sha256));
CREATE TABLE turns (
  number INTEGER PRIMARY KEY, id TEXT NOT NULL UNIQUE, conversation TEXT NOT NULL, question TEXT NOT NULL,
  answer TEXT NOT NULL, route TEXT NOT NULL, status TEXT NOT NULL, model TEXT NOT NULL, role_map TEXT NOT NULL,
  memories TEXT NOT NULL, cited TEXT NOT NULL, dropped TEXT NOT NULL, thinking TEXT NOT NULL, usage TEXT NOT NULL,
  time TEXT);
CREATE INDEX turns_in_order ON turns (conversation, number);
CREATE TABLE points (
  model TEXT NOT NULL, conversation TEXT NOT NULL, message TEXT NOT NULL, "start" INTEGER NOT NULL,
  "end" INTEGER NOT NULL, facet TEXT NOT NULL, probability REAL NOT NULL,
  PRIMARY KEY (model, conversation, message, "start", "end", facet),
  FOREIGN KEY (conversation, message) REFERENCES messages (conversation, id));
CREATE TABLE core_reads (
  model TEXT NOT NULL, conversation TEXT NOT NULL, message TEXT NOT NULL, PRIMARY KEY (model, conversation, message),
  FOREIGN KEY (conversation, message) REFERENCES messages (conversation, id));
CREATE TABLE settings (key TEXT PRIMARY KEY, value TEXT NOT NULL);
""",)

_MESSAGE = "id, role, text, author, time, own, flags, raw"


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


class Archive:
    """The archive of one home. Reading an empty home says empty and leaves nothing on the disk.

    Every method may raise HomeError (damaged or unreadable), HomeTooNew, HomeBusy and, when writing, HomeFull.
    """

    def __init__(self, home: Home) -> None:
        self.home = home

    def __repr__(self) -> str:
        return f"Archive({str(self.home.archive)!r})"

    # ---- what was said -----------------------------------------------------------------------------------------

    def add(self, found: Iterable[Found | Conversation], *, dry_run: bool = False,
            hashes: Mapping[str, str] | None = None,
            progress: Progress | None = None) -> tuple[ImportReport, list[Key]]:
        """Store conversations; returns the report and the keys of messages that are new or have a new text.

        Same key and content: unchanged. Same key, other content: updated, the old one goes to `revisions`; only when
        both come from the same kind of source, for the same chat read from two formats differs in trifles. A commit
        holds whole conversations, so a kill loses at most the last BATCH messages and the same import goes on from
        there. `hashes` gives the sha256 of files by name. `dry_run` works on a copy in memory: it costs as much
        memory as the archive has bytes, and gives the same report by construction.
        """
        items = iter(found)
        first = next(items, None)  # an importer that raises at once leaves no lock and no file behind
        if first is None:
            return ImportReport(dry_run=dry_run), []
        with self._copy() if dry_run else self._writing("import") as db:
            run, waiting = _Import(db), 0
            for item in chain((first,), items):
                waiting += run.take(item)
                if waiting >= BATCH:
                    db.execute("COMMIT")
                    db.execute("BEGIN IMMEDIATE")
                    waiting = 0
                    if progress:
                        progress("messages stored", run.seen, None)
            run.save_sources(hashes or {})
        if progress:
            progress("messages stored", run.seen, run.seen)
        return run.report(dry_run), list(run.changed)

    def messages(self, *, own: bool | None = None) -> Iterator[tuple[str, Message]]:
        """(conversation id, message) in the order of conversations and within them; `own` keeps one side."""
        with self._reading() as db:
            # CROSS JOIN fixes the outer loop, so the index gives the order and nothing is sorted in memory.
            yield from ((row[0], _message(row[1:])) for row in db.execute(
                f"SELECT c.id, {', '.join('m.' + name for name in _MESSAGE.split(', '))} "  # noqa: S608 - constants
                "FROM conversations c CROSS JOIN messages m ON m.conversation = c.id "
                "WHERE ?1 IS NULL OR m.own = ?1 ORDER BY c.number, m.position", (own,)))

    def conversation(self, id: str) -> Conversation:  # noqa: A002 - the noun's own field
        """One conversation with its messages in order. Raises UsageError when there is none of this id."""
        with self._reading() as db:
            row = db.execute("SELECT id, title, source FROM conversations WHERE id = ?", (id,)).fetchone()
            if row is None:
                raise UsageError(f"The archive holds no conversation {id!r}.", "Take an id from Archive.conversations().")
            return _conversation(db, *row)

    def conversations(self) -> Iterator[Conversation]:
        """All conversations in the order in which they first came."""
        with self._reading() as db:
            for row in db.execute("SELECT id, title, source FROM conversations ORDER BY number"):
                yield _conversation(db, *row)

    def revisions(self, conversation: str, message: str) -> list[Message]:
        """Earlier contents of a message, oldest first."""
        with self._reading() as db:
            rows = db.execute(f"SELECT {_MESSAGE} FROM revisions WHERE conversation = ? AND id = ? "  # noqa: S608
                              "ORDER BY rowid", (conversation, message))
            return [_message(row) for row in rows]

    def sources(self) -> list[dict[str, Any]]:
        """Files that were imported: {file, sha256 ('' when not given), imported (ISO UTC), report}."""
        with self._reading() as db:
            return [{"file": file, "sha256": sha256, "imported": when, "report": json.loads(report)} for
                    file, sha256, when, report in db.execute("SELECT * FROM sources ORDER BY imported, file, sha256")]

    def counts(self) -> dict[str, int]:
        """How many conversations, messages, own messages and turns there are."""
        with self._reading() as db:
            row = db.execute("SELECT (SELECT count(*) FROM conversations), (SELECT count(*) FROM messages), "
                             "(SELECT count(*) FROM messages WHERE own), (SELECT count(*) FROM turns)").fetchone()
            return dict(zip(("conversations", "messages", "own_messages", "turns"), row, strict=True))

    # ---- turns -------------------------------------------------------------------------------------------------

    def save_turn(self, turn: Turn) -> None:
        """Store a turn whole; one with the same id is the same turn, in its newest state."""
        plain = to_plain(turn)
        columns = ("id", "conversation", "question", "answer", "route", "status", "model", "role_map", "memories",
                   "cited", "dropped", "thinking", "usage", "time")
        values = [_utf8(plain[name] if isinstance(plain[name], str | None) else json.dumps(plain[name], ensure_ascii=False))
                  for name in columns]
        with self._writing("turn") as db:
            db.execute(f"INSERT INTO turns ({', '.join(columns)}) VALUES ({', '.join('?' * len(columns))}) "  # noqa: S608
                       f"ON CONFLICT (id) DO UPDATE SET {', '.join(f'{name} = excluded.{name}' for name in columns[1:])}",
                       values)

    def turns(self, conversation: str | None = None, limit: int | None = None) -> list[Turn]:
        """Stored turns, oldest first; with `limit` the newest so many of them."""
        with self._reading() as db:
            rows = db.execute(
                "SELECT id, conversation, question, answer, route, status, model, role_map, memories, cited, dropped, "
                "thinking, usage, time FROM turns WHERE ?1 IS NULL OR conversation = ?1 ORDER BY number DESC LIMIT ?2",
                (conversation, -1 if limit is None else max(limit, 0)))
            return [_turn(row) for row in rows][::-1]

    # ---- what a core read --------------------------------------------------------------------------------------

    def save_points(self, model: str, points: Iterable[Point], read_keys: Iterable[Key]) -> None:
        """Store what a core pointed at and which messages it has read, together; read again, a message's points are
        replaced. Raises UsageError when a message is not in the archive."""
        keys = list(read_keys)
        with self._writing("points of the core") as db:
            try:
                db.executemany("DELETE FROM points WHERE model = ? AND conversation = ? AND message = ?",
                               [(model, *key) for key in keys])
                db.executemany("INSERT OR IGNORE INTO core_reads VALUES (?, ?, ?)", [(model, *key) for key in keys])
                db.executemany("INSERT OR REPLACE INTO points VALUES (?, ?, ?, ?, ?, ?, ?)", [
                    (model, p.conversation, p.message, p.start, p.end, p.facet, p.probability) for p in points])
                db.execute("COMMIT")  # foreign keys are checked by now, so that the error below is theirs
            except sqlite3.IntegrityError as error:
                raise UsageError(f"{model} read a message that the archive does not hold ({error}).",
                                 "Import it first, then read again.") from error

    def points(self, model: str | None = None) -> list[Point]:
        """Sentences that cores pointed at; where several did, the highest probability counts."""
        with self._reading() as db:
            rows = db.execute(
                'SELECT conversation, message, "start", "end", facet, max(probability) FROM points '
                'WHERE ?1 IS NULL OR model = ?1 GROUP BY conversation, message, "start", "end", facet '
                'ORDER BY conversation, message, "start", "end", facet', (model,))
            return [Point(*row) for row in rows]

    def read_keys(self, model: str | None = None) -> set[Key]:
        """Keys of the messages a core has read in their present text; of any core when none is named."""
        with self._reading() as db:
            return set(db.execute("SELECT DISTINCT conversation, message FROM core_reads WHERE ?1 IS NULL OR model = ?1",
                                  (model,)))

    def read_by_core(self) -> int:
        """How many messages any core has read."""
        return len(self.read_keys())

    # ---- settings ----------------------------------------------------------------------------------------------

    def setting(self, key: str) -> str | None:
        """A stored setting, None when it was never set."""
        with self._reading() as db:
            row = db.execute("SELECT value FROM settings WHERE key = ?", (key,)).fetchone()
            return None if row is None else str(row[0])

    def set_setting(self, key: str, value: str) -> None:
        """Store a setting."""
        with self._writing(f"setting {key}") as db:
            db.execute("INSERT OR REPLACE INTO settings VALUES (?, ?)", (key, _utf8(value)))

    # ---- the file ----------------------------------------------------------------------------------------------

    @contextmanager
    def _reading(self) -> Iterator[sqlite3.Connection]:
        path = self.home.archive
        with _named(path):
            if not path.exists() or path.stat().st_size == 0:
                with closing(_memory()) as db:
                    for script in MIGRATIONS:
                        db.executescript(script)
                    yield db
                return
            with closing(_connect(path)) as db:
                if _version(db, path) < len(MIGRATIONS):
                    with self.home.writing("migration of the archive"):
                        _migrate(db, path)
                db.execute("PRAGMA query_only = ON")
                yield db

    @contextmanager
    def _writing(self, what: str) -> Iterator[sqlite3.Connection]:
        """A transaction under the home's lock: committed at the end, rolled back by anything that is raised."""
        path = self.home.archive
        with self.home.writing(what), _named(path):
            with full_disk_is_named(path.parent):
                path.touch(mode=0o600)  # SQLite gives its -wal and -shm the mode of the file
            with closing(_connect(path)) as db:
                _migrate(db, path)
                db.execute("BEGIN IMMEDIATE")
                try:
                    yield db
                    if db.in_transaction:
                        db.execute("COMMIT")
                finally:
                    if db.in_transaction:
                        db.rollback()

    @contextmanager
    def _copy(self) -> Iterator[sqlite3.Connection]:
        with self._reading() as source, closing(_memory()) as copy:
            source.backup(copy)
            copy.execute("BEGIN IMMEDIATE")
            yield copy


# ---- one import ------------------------------------------------------------------------------------------------

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


class _Import:
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
        file = _utf8(item.file)
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
        except (sqlite3.IntegrityError, sqlite3.DataError, sqlite3.InterfaceError, ValueError, TypeError) as error:
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
        own_id = _clean(conversation.id, "id")
        if not own_id:
            raise ValueError("it has no id")
        if not messages:
            return
        id = self._identity(own_id, messages)  # noqa: A001 - the noun's own field
        title = _clean(conversation.title, "title")
        self.db.execute("INSERT OR IGNORE INTO conversations (id, title, source) VALUES (?, ?, ?)", (id, title, source))
        if title:
            self.db.execute("UPDATE conversations SET title = ?1 WHERE id = ?2 AND title IS NOT ?1 "
                            "AND (title IS NULL OR source IS ?3)", (title, id, source))
        stored = {row[0]: row[1:] for row in self.db.execute(
            "SELECT id, content_hash, source FROM messages WHERE conversation = ? ORDER BY position", (id,))}
        place = self._places(id, list(stored), [message.id for message in messages])
        for message in messages:
            outcome = self._put(id, message, place[message.id], stored.get(message.id), source)
            tally.outcomes[outcome] += 1
            tally.roles[message.role] += 1
            tally.own += bool(message.own)
            stored.setdefault(message.id, (_content_hash(message), source))
            if outcome != "unchanged":
                changed.append((id, message.id))
        tally.conversations.add(id)

    def _identity(self, id: str, messages: Sequence[Message]) -> str:  # noqa: A002 - the noun's own field
        """The stored conversation this one is. A note without front matter meets the export of the same chat, and a
        note that has grown its older self, by a message id that cannot be a coincidence."""
        if self.db.execute("SELECT 1 FROM conversations WHERE id = ?", (id,)).fetchone():
            return id
        for message in messages:
            if len(message.id) >= UNIQUE_ID:
                row = self.db.execute("SELECT conversation FROM messages WHERE id = ? ORDER BY rowid LIMIT 1",
                                      (message.id,)).fetchone()
                if row:
                    return str(row[0])
        return id

    def _places(self, conversation: str, stored: list[str], incoming: list[str]) -> dict[str, int]:
        """Position of every message; those that are stored already are moved where new ones come between them."""
        place = {id: position for position, id in enumerate(_merged(stored, incoming))}
        moved = [(place[id], conversation, id) for position, id in enumerate(stored) if place[id] != position]
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
            self.db.execute("INSERT INTO messages VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)", (*key, position, *values))
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
        return self.db.execute("SELECT 1 FROM revisions WHERE conversation = ? AND id = ? AND content_hash = ? AND copy",
                               (*key, hash_)).fetchone() is not None

    def save_sources(self, hashes: Mapping[str, str]) -> None:
        """Write down which files came, with what result; the same file again replaces its line."""
        for file, tally in self._tallies.items():
            if file:
                report = json.dumps(to_plain(tally.report((file,))), ensure_ascii=False)
                self.db.execute("INSERT OR REPLACE INTO sources VALUES (?, ?, ?, ?)",
                                (file, hashes.get(file, ""), _now(), _utf8(report)))


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
    id, text = _clean(message.id, "id"), _clean(message.text, "text") or ""  # noqa: A001 - the noun's own field
    if not id:
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
    return replace(message, id=id, text=text, author=_clean(message.author, "author"), time=time, flags=flags, raw=raw,
                   own=bool(message.own))


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
    known, anchor = set(stored), ""
    after: dict[str, dict[str, None]] = {}  # ids are never empty: "" stands for the beginning
    for id in incoming:  # noqa: A001 - the noun's own field
        if id in known:
            anchor = id
        else:
            after.setdefault(anchor, {})[id] = None
    head = after.pop("", {})
    first = next((id for id in incoming if id in known), None)
    order: list[str] = []
    for id in stored:  # noqa: A001 - the noun's own field
        order += (*(head if id == first else ()), id, *after.get(id, ()))
    return order if first is not None else [*order, *head]


def _content_hash(message: Message) -> str:
    """What makes a message another one: who said what, and in which standing. Not the time and the author's name:
    a note read in another time zone, a contact that was renamed, say nothing new."""
    return digest(json.dumps([message.role, message.own, message.flags, message.text], ensure_ascii=False))


# ---- rows to nouns ---------------------------------------------------------------------------------------------

def _message(row: Sequence[Any]) -> Message:
    id, role, text, author, time, own, flags, raw = row  # noqa: A001 - the noun's own field
    return Message(id, role, text, author, _time(time), bool(own), tuple(json.loads(flags)), raw)


def _conversation(db: sqlite3.Connection, id: str, title: str | None, source: str | None) -> Conversation:  # noqa: A002
    rows = db.execute(f"SELECT {_MESSAGE} FROM messages WHERE conversation = ? ORDER BY position", (id,))  # noqa: S608
    return Conversation(id, tuple(_message(row) for row in rows), title, source)


def _turn(row: Sequence[Any]) -> Turn:
    id, conversation, question, answer, route, status, model, role_map, memories, cited, dropped, thinking, usage, time = row  # noqa: A001, E501 - one row
    plain = json.loads(route)
    return Turn(
        id=id, conversation=conversation, question=question, answer=answer, status=status, model=model,
        role_map=role_map, cited=tuple(json.loads(cited)), dropped=tuple(json.loads(dropped)), thinking=thinking,
        route=Route(**{**plain, "nearest": tuple(Example(**example) for example in plain["nearest"])}),
        memories=tuple(Recalled(**{**memory, "message_ids": tuple(memory["message_ids"]), "time": _time(memory["time"])})
                       for memory in json.loads(memories)),
        usage=Usage(**json.loads(usage)), time=_time(time))


def _time(iso: str | None) -> datetime | None:
    return None if iso is None else datetime.fromisoformat(iso)


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")


def _utf8(text: str | None) -> Any:
    """A text SQLite accepts: lone surrogates as U+FFFD, otherwise untouched (in JSON, NFC could join `\\n` and an accent)."""
    return text and text.encode("utf-8", "surrogatepass").decode("utf-8", "replace")


def _clean(text: str | None, what: str) -> str | None:
    """text.clean, and NUL as U+FFFD: C code below (llama.cpp, SQL functions) would end the text there."""
    if text is None:
        return None
    if not isinstance(text, str):
        raise TypeError(f"its {what} is of type {type(text).__name__}")
    return clean(text).replace("\0", "\ufffd")


# ---- the file --------------------------------------------------------------------------------------------------

def _memory() -> sqlite3.Connection:
    return sqlite3.connect(":memory:", isolation_level=None, check_same_thread=False)


def _connect(path: Path) -> sqlite3.Connection:
    """A connection without implicit transactions. mode=rw: a file that vanished is an error, not a new archive."""
    db = sqlite3.connect(f"{path.as_uri()}?mode=rw", uri=True, timeout=2.0, isolation_level=None, check_same_thread=False)
    try:
        db.execute("PRAGMA synchronous = FULL")
        db.execute("PRAGMA foreign_keys = ON")
    except sqlite3.Error:
        db.close()
        raise
    return db


def _version(db: sqlite3.Connection, path: Path) -> int:
    version = int(db.execute("PRAGMA user_version").fetchone()[0])
    if version > len(MIGRATIONS):
        raise HomeTooNew(f"{path} has schema version {version}; this twin knows versions up to {len(MIGRATIONS)}.",
                         "Update twin, or name another home with --home or TWIN_HOME.")
    return version


def _migrate(db: sqlite3.Connection, path: Path) -> None:
    """Bring the file to the newest version, one transaction a step, after a copy archive.sqlite.v<N>.bak of the whole.

    The caller holds the home's lock. A new file needs no copy.
    """
    version = _version(db, path)
    if version == len(MIGRATIONS):
        return
    if db.execute("SELECT 1 FROM sqlite_master LIMIT 1").fetchone():
        _back_up(db, path.with_name(f"{path.name}.v{version}.bak"))
    db.execute("PRAGMA journal_mode = WAL")
    for number, script in enumerate(MIGRATIONS[version:], version + 1):
        try:
            db.executescript(f"BEGIN IMMEDIATE; {script}; PRAGMA user_version = {number}; COMMIT;")
        finally:
            if db.in_transaction:
                db.rollback()


def _back_up(db: sqlite3.Connection, target: Path) -> None:
    part = target.with_name(f"{target.name}.part")
    with full_disk_is_named(target.parent):
        part.unlink(missing_ok=True)
        part.touch(mode=0o600)
        with closing(sqlite3.connect(part)) as copy:
            db.backup(copy)
        part.replace(target)


# SQLite's own result codes; an extended code holds the primary one in its low byte.
_FULL = {sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR_WRITE, sqlite3.SQLITE_IOERR_FSYNC, sqlite3.SQLITE_IOERR_SHMSIZE,
         sqlite3.SQLITE_IOERR_TRUNCATE}


@contextmanager
def _named(path: Path) -> Iterator[None]:
    """Translate SQLite's errors; whatever transaction was open is rolled back by then."""
    try:
        yield
    except sqlite3.Error as error:
        code = getattr(error, "sqlite_errorcode", None) or 0
        if code in _FULL:
            raise HomeFull(f"The device that holds {path} takes no more data ({error}).",
                           "Nothing was half-written: free some space and do the same again.") from error
        if code & 0xFF in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED):
            raise HomeBusy(f"{path} is held by a program that is not a twin ({error}).",
                           "Close it (a database browser, a backup), then do the same again.") from error
        if code & 0xFF in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB):
            raise HomeError(f"{path} is damaged ({error}).",
                            "Keep the file aside; put back a backup or import your exports into a new home.") from error
        raise HomeError(f"{path} cannot be used ({error}).",
                        "Check that the folder is yours and writable, or name another home with --home.") from error
    except OSError as error:
        if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
            raise HomeError(f"{path} cannot be used ({error.strerror}).",
                            "Check that the folder is yours and writable, or name another home with --home.") from error
        raise
