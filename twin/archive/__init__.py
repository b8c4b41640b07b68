"""Archive: what must not be lost, in one SQLite file (WAL, synchronous=FULL): conversations, turns, what a core read,
what is kept of the profile, the roles, the ledger, and the lines a conversation took.

Knows nothing of file formats, models or faces. A connection lives as long as one call: threads share nothing, and an
idle home holds one plain file that can be copied as it is.
"""
from __future__ import annotations

import json
import sqlite3
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import closing
from itertools import chain
from os import PathLike
from pathlib import Path
from typing import Any

from twin.archive import database, deletion, rows, selection, typed
from twin.archive.audit import Audits, Entry, Verified
from twin.archive.carried import CarriedClaims, Waiting
from twin.archive.claims import Claims, Failure
from twin.archive.cores import Cores
from twin.archive.corrections import NOBODY, NOBODYS_NAMES, Correction, Corrections
from twin.archive.deletion import Deleted
from twin.archive.derived import Derived, DerivedKind, Registry
from twin.archive.intake import Found, Intake, Key
from twin.archive.ledger import Ledgers
from twin.archive.lines import Lines
from twin.archive.probes import Probes
from twin.archive.proposals import Proposals, Stored
from twin.archive.ready import utf8
from twin.archive.role_maps import Maps
from twin.archive.selection import Selection
from twin.archive.signals import Signal, SignalKind, Signals
from twin.archive.sources import Source, files, sources
from twin.archive.talks import Talk
from twin.archive.tombstones import Tombstones
from twin.archive.typed import conversation_of as typed_in
from twin.errors import UsageError
from twin.profile import Point
from twin.types import Conversation, ImportReport, Message, Progress, Turn

__all__ = ["NOBODY", "NOBODYS_NAMES", "Archive", "Correction", "Deleted", "Derived", "DerivedKind", "Entry", "Failure",
           "Key", "Selection", "Signal", "SignalKind", "Source", "Stored", "Talk", "Verified",
           "Waiting", "typed_in"]

BATCH = 500  # messages in one commit: a commit waits for the disk, 1-20 ms


class Archive(Audits, CarriedClaims, Claims, Cores, Corrections, Ledgers, Lines, Maps, Probes, Proposals, Signals):
    """The archive of one home. Reading an empty home says empty and leaves nothing on the disk.

    Every method may raise HomeError (damaged or unreadable), HomeTooNew, HomeBusy and, when writing, HomeFull.
    """

    def __repr__(self) -> str:
        return f"Archive({str(self.home.archive)!r})"

    # ---- what was said -----------------------------------------------------------------------------------------

    def add(self, found: Iterable[Found | Conversation], *, root: str = "", dry_run: bool = False,
            hashes: Mapping[str, str] | None = None,
            progress: Progress | None = None) -> tuple[ImportReport, list[Key]]:
        """Store conversations; returns the report and the keys of messages that are new or have a new text.

        Same key and content: unchanged. Same key, other content: updated, the old one goes to `revisions`; only when
        both come from the same kind of source, for the same chat read from two formats differs in trifles. A commit
        holds whole conversations, so a kill loses at most the last BATCH messages and the same import goes on from
        there. `root` is what the person named (a file, zip or folder): the source these messages stand under; without
        it each file is one. `hashes` gives the sha256 of files by name. What was forgotten stays out, counted as
        skipped["forgotten"]. `dry_run` works on a copy in memory: it costs as much
        memory as the archive has bytes, and gives the same report by construction.
        """
        items = iter(found)
        first = next(items, None)  # an importer that raises at once leaves no lock and no file behind
        if first is None:
            return ImportReport(dry_run=dry_run), []
        with self._copy() if dry_run else self._writing("import") as db:
            run, waiting = Intake(db, root), 0
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

    def messages(self, *, own: bool | None = None,
                 keys: Collection[Key] | None = None) -> Iterator[tuple[str, Message]]:
        """(conversation id, message) in the order of conversations and within them; `own` keeps one side, `keys` only
        these messages (10 us each; unknown ones are left out)."""
        with self._reading() as db:
            if keys is None:
                # CROSS JOIN fixes the outer loop, so the index gives the order and nothing is sorted in memory.
                yield from ((row[0], rows.message(row[1:])) for row in db.execute(
                    f"SELECT c.id, {rows.MESSAGE}, m.source "  # noqa: S608 - constants
                    "FROM conversations c CROSS JOIN messages m ON m.conversation = c.id "
                    "WHERE ?1 IS NULL OR m.own = ?1 ORDER BY c.number, m.position", (own,)))
                return
            places = (db.execute(
                "SELECT c.number, m.position, m.rowid FROM messages m JOIN conversations c ON c.id = m.conversation "
                "WHERE m.conversation = ?2 AND m.id = ?3 AND (?1 IS NULL OR m.own = ?1)", (own, *key)).fetchone()
                for key in set(keys))
            for *_, place in sorted(filter(None, places)):
                row = db.execute(f"SELECT m.conversation, {rows.MESSAGE}, m.source FROM messages m "  # noqa: S608
                                 "WHERE m.rowid = ?", (place,)).fetchone()
                yield row[0], rows.message(row[1:])

    def unindexed(self, *, without: Collection[str] = ()) -> tuple[int, int]:
        """How many changes (but those of some conversations) the memory has not seen yet, and a mark up to which to
        take them."""
        with self._reading() as db:
            count, mark = db.execute("SELECT count(*), coalesce(max(number), 0) FROM unindexed WHERE conversation "
                                     "NOT IN (SELECT value FROM json_each(?))", (json.dumps([*without]),)).fetchone()
            return int(count), int(mark)

    def waiting(self, mark: int) -> Iterator[tuple[str, Message]]:
        """(conversation id, message) of what the memory has not seen up to a mark, in the order of `messages`."""
        with self._reading() as db:
            yield from ((row[0], rows.message(row[1:])) for row in db.execute(
                f"SELECT DISTINCT c.id, {rows.MESSAGE}, m.source FROM (SELECT DISTINCT conversation, message "  # noqa: S608
                "FROM unindexed WHERE number <= ?) u JOIN conversations c ON c.id = u.conversation "
                "JOIN messages m ON m.conversation = u.conversation AND m.id = u.message ORDER BY c.number, m.position",
                (mark,)))

    def seen(self, mark: int) -> None:
        """The memory has what waited up to this mark."""
        with self._writing("index of new messages") as db:
            db.execute("DELETE FROM unindexed WHERE number <= ?", (mark,))

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
            found = db.execute(f"SELECT {rows.MESSAGE}, NULL FROM revisions m WHERE m.conversation = ? "  # noqa: S608
                               "AND m.id = ? ORDER BY m.rowid", (conversation, message))
            return [rows.message(row) for row in found]

    def sources(self) -> list[Source]:
        """What the person imported, one line a source, oldest first."""
        with self._reading() as db:
            return sources(db)

    def files(self, root: str | None = None) -> list[dict[str, Any]]:
        """Files that came (of one source): {root ('': noted by an older version), file, kind, sha256 ('' when not
        given), imported (ISO UTC), report (counts)}."""
        with self._reading() as db:
            return files(db, root)

    def counts(self) -> dict[str, int]:
        """How many conversations, messages, own messages and turns there are."""
        with self._reading() as db:
            row = db.execute("SELECT (SELECT count(*) FROM conversations), (SELECT count(*) FROM messages), "
                             "(SELECT count(*) FROM messages WHERE own), (SELECT count(*) FROM turns)").fetchone()
            return dict(zip(("conversations", "messages", "own_messages", "turns"), row, strict=True))

    # ---- turns -------------------------------------------------------------------------------------------------

    def save_turn(self, turn: Turn, *, own: bool = True, wait_s: float = 2.0) -> None:
        """Store a turn whole, after at most `wait_s` for another writer; one with the same id is replaced.

        What the person types to the twin is their own word: in the same transaction the question becomes an own message
        (id and time of the turn) of the conversation `typed_in(turn.conversation)`, kind of source 'twin'. Not with
        own=False, when they switched that off. A turn that was forgotten meanwhile stays out."""
        with self._writing("turn", wait_s) as db:
            typed.save(db, turn, own=own)

    def turns(self, conversation: str | None = None, limit: int | None = None) -> list[Turn]:
        """Stored turns, oldest first; with `limit` the newest so many of them."""
        with self._reading() as db:
            found = db.execute(
                f"SELECT {', '.join(rows.TURN)} FROM turns WHERE ?1 IS NULL OR conversation = ?1 "  # noqa: S608 - constants
                "ORDER BY number DESC LIMIT ?2",
                (conversation, -1 if limit is None else max(limit, 0)))
            return [rows.turn(row) for row in found][::-1]

    def last_turn(self) -> int:
        """A mark of the last turn there is, whatever its time says; 0 where there is none."""
        with self._reading() as db:
            return int(db.execute("SELECT coalesce(max(number), 0) FROM turns").fetchone()[0])

    def turns_since(self, mark: int) -> int:
        """How many turns came after a mark."""
        with self._reading() as db:
            return int(db.execute("SELECT count(*) FROM turns WHERE number > ?", (mark,)).fetchone()[0])

    # ---- what a core read --------------------------------------------------------------------------------------

    def save_points(self, model: str, points: Iterable[Point], read_keys: Iterable[Key]) -> None:
        """Store what a core pointed at and which messages it has read, together; read again, a message's points are
        replaced. Points at a forgotten claim are left out. Raises UsageError when a message is not in the archive."""
        keys, points = list(read_keys), list(points)
        with self._writing("points of the core") as db:
            forgotten = Tombstones(db).claims({point.facet for point in points})
            try:
                db.executemany("DELETE FROM points WHERE model = ? AND conversation = ? AND message = ?",
                               [(model, *key) for key in keys])
                db.executemany("INSERT OR IGNORE INTO core_reads VALUES (?, ?, ?)", [(model, *key) for key in keys])
                db.executemany("INSERT OR REPLACE INTO points VALUES (?, ?, ?, ?, ?, ?, ?)", [
                    (model, p.conversation, p.message, p.start, p.end, p.facet, p.probability)
                    for p in points if p.facet not in forgotten])
                db.execute("COMMIT")  # foreign keys are checked by now, so that the error below is theirs
            except sqlite3.IntegrityError as error:
                raise UsageError(f"{model} read a message that the archive does not hold ({error}).",
                                 "Import it first, then read again.") from error

    def points(self, model: str | None = None) -> list[Point]:
        """Sentences that cores pointed at; where several did, the highest probability counts."""
        with self._reading() as db:
            found = db.execute(
                'SELECT conversation, message, "start", "end", facet, max(probability) FROM points '
                'WHERE ?1 IS NULL OR model = ?1 GROUP BY conversation, message, "start", "end", facet '
                'ORDER BY conversation, message, "start", "end", facet', (model,))
            return [Point(*row) for row in found]

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

    # ---- what is forgotten, and what was made of it ------------------------------------------------------------

    def select(self, target: str) -> Selection:
        """What a name means: a source, a file, a kind, a conversation, a message (CONVERSATION/MESSAGE), a turn, a
        claim. UsageError when it means nothing, with what is near, or several things, with how to say which."""
        with self._reading() as db:
            return selection.select(db, target)

    def texts(self, keys: Collection[Key], *, rest: bool = False) -> Iterator[str]:
        """All texts the archive holds of these messages (`rest`: of all others): as they stand, as they stood, and as
        their bytes came."""
        with self._reading() as db:
            yield from deletion.texts_of(db, keys, rest=rest)

    def forget(self, keys: Collection[Key] = (), *, conversations: Collection[str] = (),
               facets: Collection[str] = (), turns: Collection[str] = ()) -> Deleted:
        """Delete messages, whole conversations and claims with all that rests on them; they cannot come back. And
        turns, which no import brings.

        One transaction, which leaves the mark `pending`: what lies in memory and in files is still to be removed, and
        `compact` to be called. twin.forgetting does all of it; use that.
        """
        with self._writing("forgetting") as db:
            return deletion.forget(db, self.home.root, keys, conversations, facets, turns)

    def pending(self) -> deletion.Pending | None:
        """The forgetting that is not finished: since when, and whose traces are still to be removed elsewhere."""
        with self._reading() as db:
            return deletion.pending(db)

    def end_forgetting(self) -> None:
        """Nothing is left to be removed elsewhere: take the mark away."""
        with self._writing("forgetting") as db:
            deletion.end(db)

    def compact(self) -> list[Path]:
        """Write the file anew, without what was deleted; copies by older versions go (returned). HomeBusy while another
        process reads."""
        path = self.home.archive
        with self.home.writing("forgetting"), database.named(path):
            if not database.is_empty(path):
                with closing(database.connect(path)) as db:
                    database.migrate(db, path)
                    database.compact(db, path)
            gone = database.backups(path)
            for copy in gone:
                copy.unlink(missing_ok=True)
        return gone

    def forgotten(self) -> dict[str, int]:
        """How many messages, whole conversations and claims are forgotten."""
        with self._reading() as db:
            return Tombstones(db).counts()

    def forgotten_claims(self, facets: Iterable[str]) -> frozenset[str]:
        """Those of these facets that are forgotten: a profile leaves them out."""
        with self._reading() as db:
            return Tombstones(db).claims(facets)

    def register(self, kind: DerivedKind, path: str | PathLike[str], *, sha256: str = "",
                 keys: Iterable[Key] | None = None) -> None:
        """Note a file that was made from these messages (None: from everything), so that it is forgotten with them."""
        with self._writing("registry") as db:
            Registry(db, self.home.root).add(kind, Path(path), sha256, keys)

    def derived(self, kind: DerivedKind | None = None) -> list[Derived]:
        """What was registered, oldest first."""
        with self._reading() as db:
            return Registry(db, self.home.root).all(kind)

    def drop_derived(self, files: Iterable[Derived]) -> None:
        """Take files that are no more from the registry."""
        with self._writing("registry") as db:
            for file in files:
                Registry(db, self.home.root).drop(file.path, file.kind)

    def stale_adapters(self) -> list[Derived]:
        """Adapters trained on what was forgotten since: they must not load, by path and by sha256."""
        return [adapter for adapter in self.derived("adapter") if adapter.stale]

    def allow_adapter(self, adapter: str | PathLike[str]) -> int:
        """Let a stale adapter, named by path or sha256, load again; returns how many there were."""
        with self._writing("registry") as db:
            return Registry(db, self.home.root).allow(str(adapter))


def _conversation(db: sqlite3.Connection, row: Sequence[Any]) -> Conversation:
    name, title, source = row
    found = db.execute(f"SELECT {rows.MESSAGE}, m.source FROM messages m WHERE m.conversation = ? "  # noqa: S608 - constants
                       "ORDER BY m.position", (name,))
    return Conversation(name, tuple(map(rows.message, found)), title, source)
