"""Archive: what must not be lost, in one SQLite file (WAL, synchronous=FULL): conversations, turns, what a core read.

Knows nothing of file formats, models or faces. A connection lives as long as one call: threads share nothing, and an
idle home holds one plain file that can be copied as it is.
"""
from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from datetime import datetime
from itertools import chain
from typing import Any

from twin.archive import database
from twin.archive.intake import Found, Intake, Key, utf8
from twin.errors import UsageError
from twin.home import Home
from twin.profile import Point
from twin.types import (
    Conversation,
    Example,
    ImportReport,
    Message,
    Progress,
    Recalled,
    Route,
    Turn,
    Usage,
    Written,
    to_plain,
)

BATCH = 500  # messages in one commit: a commit waits for the disk, 1-20 ms

_MESSAGE = "id, role, text, author, time, own, flags, raw"
_TURN = ("id", "conversation", "question", "answer", "route", "status", "model", "role_map", "memories", "cited",
         "dropped", "thinking", "usage", "time", "header", "adapted", "written")


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
            run, waiting = Intake(db), 0
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

    def conversation(self, conversation: str) -> Conversation:
        """One conversation with its messages in order. Raises UsageError when there is none of this id."""
        with self._reading() as db:
            row = db.execute("SELECT id, title, source FROM conversations WHERE id = ?", (conversation,)).fetchone()
            if row is None:
                raise UsageError(f"The archive holds no conversation {conversation!r}.",
                                 "Take an id from Archive.conversations().")
            return _conversation(db, row)

    def conversations(self) -> Iterator[Conversation]:
        """All conversations in the order in which they first came."""
        with self._reading() as db:
            for row in db.execute("SELECT id, title, source FROM conversations ORDER BY number"):
                yield _conversation(db, row)

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

    def save_turn(self, turn: Turn, *, wait_s: float = 2.0) -> None:
        """Store a turn whole, after at most `wait_s` for another writer; one with the same id is replaced."""
        plain = [value if isinstance(value, str | None) else json.dumps(value, ensure_ascii=False)
                 for value in map(to_plain(turn).get, _TURN)]
        with self._writing("turn", wait_s) as db:
            db.execute(f"INSERT INTO turns ({', '.join(_TURN)}) VALUES ({', '.join('?' * len(_TURN))}) "  # noqa: S608
                       f"ON CONFLICT (id) DO UPDATE SET {', '.join(f'{name} = excluded.{name}' for name in _TURN[1:])}",
                       [value and utf8(value) for value in plain])

    def turns(self, conversation: str | None = None, limit: int | None = None) -> list[Turn]:
        """Stored turns, oldest first; with `limit` the newest so many of them."""
        with self._reading() as db:
            rows = db.execute(
                f"SELECT {', '.join(_TURN)} FROM turns WHERE ?1 IS NULL OR conversation = ?1 "  # noqa: S608 - constants
                "ORDER BY number DESC LIMIT ?2",
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
            return set(db.execute("SELECT DISTINCT conversation, message FROM core_reads "
                                  "WHERE ?1 IS NULL OR model = ?1", (model,)))

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
            db.execute("INSERT OR REPLACE INTO settings VALUES (?, ?)", (key, utf8(value)))

    # ---- the file ----------------------------------------------------------------------------------------------

    @contextmanager
    def _reading(self) -> Iterator[sqlite3.Connection]:
        path = self.home.archive
        with database.named(path):
            if database.is_empty(path):
                with closing(database.in_memory()) as db:
                    yield db
                return
            with closing(database.connect(path)) as db:
                if database.version_of(db, path) < len(database.MIGRATIONS):
                    with self.home.writing("migration of the archive"):
                        database.migrate(db, path)
                db.execute("PRAGMA query_only = ON")
                yield db

    @contextmanager
    def _writing(self, what: str, wait_s: float = 2.0) -> Iterator[sqlite3.Connection]:
        """A transaction under the home's lock: committed at the end, rolled back by anything that is raised."""
        path = self.home.archive
        with self.home.writing(what, wait_s=wait_s), database.named(path):
            database.create(path)
            with closing(database.connect(path)) as db:
                database.migrate(db, path)
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
        with self._reading() as source, closing(database.in_memory(source)) as copy:
            copy.execute("BEGIN IMMEDIATE")
            yield copy


def _message(row: Sequence[Any]) -> Message:
    name, role, text, author, time, own, flags, raw = row
    return Message(name, role, text, author, _time(time), bool(own), tuple(json.loads(flags)), raw)


def _conversation(db: sqlite3.Connection, row: Sequence[Any]) -> Conversation:
    name, title, source = row
    rows = db.execute(f"SELECT {_MESSAGE} FROM messages WHERE conversation = ? ORDER BY position", (name,))  # noqa: S608
    return Conversation(name, tuple(_message(row) for row in rows), title, source)


def _turn(row: Sequence[Any]) -> Turn:
    """JSON back to the nouns; the columns that hold it are the ones that are not plain strings in Turn."""
    columns = dict(zip(_TURN, row, strict=True))
    for name in ("route", "memories", "cited", "dropped", "usage", "adapted", "written"):
        columns[name] = json.loads(columns[name] or "null")
    route, memories, written = columns["route"], columns["memories"], columns["written"]
    return Turn(**{
        **columns, "cited": tuple(columns["cited"]), "dropped": tuple(columns["dropped"]),
        "route": Route(**{**route, "nearest": tuple(Example(**example) for example in route["nearest"])}),
        "memories": tuple(Recalled(**{**one, "message_ids": tuple(one["message_ids"]), "time": _time(one["time"])})
                          for one in memories),
        "usage": Usage(**columns["usage"]), "time": _time(columns["time"]),
        "written": written and Written(written["core"], tuple(written["ids"]))})


def _time(iso: str | None) -> datetime | None:
    return None if iso is None else datetime.fromisoformat(iso)
