"""The SQLite file below the archive: its tables, its versions, its errors in our words. Knows no message, no turn.

What is deleted is overwritten (secure_delete), and `compact` leaves nothing of it in free pages or in the WAL.
"""
from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from twin import text as texts
from twin.errors import HomeBusy, HomeError, HomeFull, HomeTooNew
from twin.home import full_disk_is_named

# MIGRATIONS[n] brings a file from user_version n to n + 1. Forward only; what stands here is never edited, and the
# functions it calls (`_functions`) are never removed.
MIGRATIONS: tuple[str, ...] = ("""
CREATE TABLE conversations (number INTEGER PRIMARY KEY, id TEXT NOT NULL UNIQUE, title TEXT, source TEXT);
CREATE TABLE aliases (id TEXT PRIMARY KEY, conversation TEXT NOT NULL REFERENCES conversations (id));
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
""", """
ALTER TABLE turns ADD COLUMN header TEXT NOT NULL DEFAULT '';
ALTER TABLE turns ADD COLUMN adapted TEXT NOT NULL DEFAULT 'false';
ALTER TABLE turns ADD COLUMN written TEXT;
""", """
ALTER TABLE messages ADD COLUMN lang TEXT NOT NULL DEFAULT 'und';
UPDATE messages SET lang = twin_language(text);
UPDATE messages SET flags = twin_flags(flags, text) WHERE own;
CREATE TABLE files (
  number INTEGER PRIMARY KEY, root TEXT NOT NULL, file TEXT NOT NULL, kind TEXT NOT NULL, sha256 TEXT NOT NULL,
  imported TEXT NOT NULL, report TEXT NOT NULL, UNIQUE (root, file, kind));
INSERT OR REPLACE INTO files (root, file, kind, sha256, imported, report)
  SELECT '', file, '', sha256, imported, json_remove(report, '$.files', '$.repairs', '$.failures')
  FROM sources ORDER BY imported;
DROP TABLE sources;
CREATE TABLE origins (
  conversation INTEGER NOT NULL, message TEXT NOT NULL, file INTEGER NOT NULL,
  PRIMARY KEY (conversation, message, file)) WITHOUT ROWID;
CREATE TABLE forgotten (hash BLOB PRIMARY KEY, kind TEXT NOT NULL, of BLOB, made TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE pending (conversation TEXT NOT NULL, message TEXT NOT NULL);
CREATE TABLE derived (
  number INTEGER PRIMARY KEY, kind TEXT NOT NULL, path TEXT NOT NULL, sha256 TEXT NOT NULL, made TEXT NOT NULL,
  whole INTEGER NOT NULL, stale INTEGER NOT NULL, UNIQUE (kind, path));
CREATE TABLE derived_from (
  conversation INTEGER NOT NULL, message TEXT NOT NULL, derived INTEGER NOT NULL,
  PRIMARY KEY (conversation, message, derived)) WITHOUT ROWID;
CREATE INDEX points_of ON points (conversation, message);
CREATE INDEX core_reads_of ON core_reads (conversation, message);
CREATE INDEX aliases_of ON aliases (conversation);
""", """
CREATE TABLE unindexed (number INTEGER PRIMARY KEY AUTOINCREMENT, conversation TEXT NOT NULL, message TEXT NOT NULL);
INSERT INTO unindexed (conversation, message) SELECT conversation, id FROM messages
  WHERE EXISTS (SELECT 1 FROM settings WHERE key = 'memory.indexed' AND value = 'no');
DELETE FROM settings WHERE key = 'memory.indexed';
""", """
CREATE TABLE snapshots (
  number INTEGER PRIMARY KEY, version TEXT NOT NULL UNIQUE, made TEXT NOT NULL, language TEXT NOT NULL,
  own_messages INTEGER NOT NULL, read_by_core INTEGER NOT NULL, levels TEXT NOT NULL);
CREATE TABLE kept (
  snapshot INTEGER NOT NULL REFERENCES snapshots (number), claim TEXT NOT NULL, place INTEGER NOT NULL,
  kind TEXT NOT NULL, text TEXT NOT NULL, authority TEXT NOT NULL, confidence REAL NOT NULL, origin TEXT NOT NULL,
  months TEXT NOT NULL, PRIMARY KEY (snapshot, claim)) WITHOUT ROWID;
CREATE TABLE marks (
  snapshot INTEGER NOT NULL, claim TEXT NOT NULL, place INTEGER NOT NULL, side TEXT NOT NULL,
  conversation TEXT NOT NULL, message TEXT NOT NULL, "start" INTEGER NOT NULL, "end" INTEGER NOT NULL,
  hash BLOB NOT NULL, time TEXT, PRIMARY KEY (snapshot, claim, side, place),
  FOREIGN KEY (snapshot, claim) REFERENCES kept (snapshot, claim) ON DELETE CASCADE) WITHOUT ROWID;
CREATE TABLE asked (
  snapshot INTEGER NOT NULL REFERENCES snapshots (number), place INTEGER NOT NULL, level INTEGER NOT NULL,
  conversation TEXT NOT NULL, message TEXT NOT NULL, "start" INTEGER NOT NULL, "end" INTEGER NOT NULL,
  hash BLOB NOT NULL, time TEXT, PRIMARY KEY (snapshot, place)) WITHOUT ROWID;
CREATE TABLE decisions (
  number INTEGER PRIMARY KEY, claim TEXT NOT NULL, action TEXT NOT NULL, text TEXT NOT NULL, time TEXT NOT NULL);
CREATE TABLE free_claims (
  number INTEGER PRIMARY KEY, model TEXT NOT NULL, claim TEXT NOT NULL, kind TEXT NOT NULL, text TEXT NOT NULL,
  language TEXT NOT NULL, probability REAL NOT NULL);
CREATE TABLE free_spans (
  free INTEGER NOT NULL REFERENCES free_claims (number) ON DELETE CASCADE, place INTEGER NOT NULL,
  conversation TEXT NOT NULL, message TEXT NOT NULL, "start" INTEGER NOT NULL, "end" INTEGER NOT NULL,
  PRIMARY KEY (free, place),
  FOREIGN KEY (conversation, message) REFERENCES messages (conversation, id)) WITHOUT ROWID;
CREATE INDEX free_spans_of ON free_spans (conversation, message);
CREATE TABLE free_reads (
  model TEXT NOT NULL, conversation TEXT NOT NULL, message TEXT NOT NULL, PRIMARY KEY (model, conversation, message),
  FOREIGN KEY (conversation, message) REFERENCES messages (conversation, id));
CREATE INDEX free_reads_of ON free_reads (conversation, message);
CREATE TABLE failures (
  number INTEGER PRIMARY KEY AUTOINCREMENT, model TEXT NOT NULL, kind TEXT NOT NULL, keys TEXT NOT NULL,
  raw TEXT NOT NULL, time TEXT NOT NULL);
""", """
ALTER TABLE turns ADD COLUMN verdict TEXT;
CREATE TABLE role_maps (
  number INTEGER PRIMARY KEY, hash TEXT NOT NULL UNIQUE, version TEXT NOT NULL, files TEXT NOT NULL);
CREATE TABLE role_map_log (
  number INTEGER PRIMARY KEY AUTOINCREMENT, map INTEGER NOT NULL REFERENCES role_maps (number),
  parent INTEGER REFERENCES role_maps (number), author TEXT NOT NULL, note TEXT NOT NULL, made TEXT NOT NULL);
CREATE TABLE corrections (
  number INTEGER PRIMARY KEY AUTOINCREMENT, turn TEXT NOT NULL, text TEXT NOT NULL, label TEXT NOT NULL,
  made TEXT NOT NULL);
CREATE TABLE lines (
  id TEXT PRIMARY KEY, parent TEXT NOT NULL, turn TEXT NOT NULL, name TEXT NOT NULL, state TEXT NOT NULL,
  settings TEXT NOT NULL, made TEXT NOT NULL);
CREATE TABLE ledger (
  number INTEGER PRIMARY KEY AUTOINCREMENT, id TEXT NOT NULL UNIQUE, frozen TEXT NOT NULL, body TEXT NOT NULL,
  made TEXT NOT NULL);
CREATE TABLE ledger_events (
  number INTEGER PRIMARY KEY AUTOINCREMENT, entry TEXT NOT NULL REFERENCES ledger (id), kind TEXT NOT NULL,
  body TEXT NOT NULL, made TEXT NOT NULL);
CREATE INDEX ledger_events_of ON ledger_events (entry);
CREATE TABLE probes (
  core TEXT NOT NULL, role_map TEXT NOT NULL, question TEXT NOT NULL, body TEXT NOT NULL, made TEXT NOT NULL,
  PRIMARY KEY (core, role_map, question));
""", """
CREATE TABLE signals (
  number INTEGER PRIMARY KEY AUTOINCREMENT, turn TEXT NOT NULL, kind TEXT NOT NULL, body TEXT NOT NULL,
  made TEXT NOT NULL);
CREATE INDEX signals_of ON signals (turn);
CREATE TABLE proposals (
  number INTEGER PRIMARY KEY AUTOINCREMENT, id TEXT NOT NULL UNIQUE, hash TEXT NOT NULL UNIQUE, state TEXT NOT NULL,
  note TEXT NOT NULL, body TEXT NOT NULL);
CREATE TABLE proposal_states (
  number INTEGER PRIMARY KEY AUTOINCREMENT, proposal TEXT NOT NULL REFERENCES proposals (id) ON DELETE CASCADE,
  state TEXT NOT NULL, note TEXT NOT NULL, made TEXT NOT NULL);
CREATE INDEX proposal_states_of ON proposal_states (proposal);
CREATE TABLE proofs (
  number INTEGER PRIMARY KEY AUTOINCREMENT, proposal TEXT NOT NULL REFERENCES proposals (id) ON DELETE CASCADE,
  body TEXT NOT NULL);
CREATE INDEX proofs_of ON proofs (proposal);
CREATE TABLE proof_windows (id TEXT PRIMARY KEY, uses INTEGER NOT NULL);
CREATE TABLE genomes (
  run TEXT NOT NULL, step INTEGER NOT NULL, body TEXT NOT NULL, made TEXT NOT NULL, PRIMARY KEY (run, step));
CREATE TABLE audit (
  number INTEGER PRIMARY KEY, kind TEXT NOT NULL, body TEXT NOT NULL, prev TEXT NOT NULL, hash TEXT NOT NULL,
  made TEXT NOT NULL);
CREATE TRIGGER audit_is_not_changed BEFORE UPDATE ON audit
  BEGIN SELECT RAISE(ABORT, 'the audit is only added to'); END;
CREATE TRIGGER audit_is_not_deleted BEFORE DELETE ON audit
  BEGIN SELECT RAISE(ABORT, 'the audit is only added to'); END;
CREATE TRIGGER audit_goes_on BEFORE INSERT ON audit
  WHEN NEW.number IS NOT (SELECT coalesce(max(number), 0) + 1 FROM audit)
    OR NEW.prev IS NOT coalesce((SELECT hash FROM audit ORDER BY number DESC LIMIT 1), '')
  BEGIN SELECT RAISE(ABORT, 'the audit is only added to'); END;
""", """
CREATE TABLE cores (
  number INTEGER PRIMARY KEY AUTOINCREMENT, id TEXT NOT NULL UNIQUE, name TEXT NOT NULL, made TEXT NOT NULL,
  body TEXT NOT NULL);
CREATE TABLE carried (
  number INTEGER PRIMARY KEY AUTOINCREMENT, claim TEXT NOT NULL UNIQUE, kind TEXT NOT NULL, text TEXT NOT NULL,
  language TEXT NOT NULL, quote TEXT NOT NULL, origin TEXT NOT NULL, state TEXT NOT NULL,
  conversation TEXT NOT NULL DEFAULT '', message TEXT NOT NULL DEFAULT '', made TEXT NOT NULL);
""")


_CHECK = "Check that the folder is yours and writable, or name another home with --home or TWIN_HOME."


def in_memory(source: sqlite3.Connection | None = None) -> sqlite3.Connection:
    """A database that leaves nothing on the disk: empty, or a copy of another one."""
    db = sqlite3.connect(":memory:", isolation_level=None, check_same_thread=False)
    if source is None:
        _functions(db)
        for script in MIGRATIONS:
            db.executescript(script)
    else:
        source.backup(db)
    return db


def is_empty(path: Path) -> bool:
    """Whether there is nothing to read yet: no file, or one that was made and never written."""
    with _allowed(path):
        return not path.exists() or path.stat().st_size == 0


def create(path: Path) -> None:
    """Make the file for its owner only; SQLite gives its -wal and -shm the same mode."""
    with _allowed(path), full_disk_is_named(path.parent):
        path.touch(mode=0o600)


@contextmanager
def _allowed(path: Path) -> Iterator[None]:
    try:
        yield
    except PermissionError as error:
        raise HomeError(f"{path} cannot be used ({error.strerror}).", _CHECK) from error


def connect(path: Path) -> sqlite3.Connection:
    """A connection without implicit transactions. mode=rw: a file that vanished is an error, not a new archive."""
    db = sqlite3.connect(f"{path.as_uri()}?mode=rw", uri=True, timeout=2.0, isolation_level=None,
                         check_same_thread=False)
    try:
        db.execute("PRAGMA synchronous = FULL")
        db.execute("PRAGMA foreign_keys = ON")
        db.execute("PRAGMA secure_delete = ON")
    except sqlite3.Error:
        db.close()
        raise
    return db


def version_of(db: sqlite3.Connection, path: Path) -> int:
    """The schema version of a file; HomeTooNew when it is newer than this code."""
    version = int(db.execute("PRAGMA user_version").fetchone()[0])
    if version > len(MIGRATIONS):
        raise HomeTooNew(f"{path} has schema version {version}; this twin knows versions up to {len(MIGRATIONS)}.",
                         "Update twin, or name another home with --home or TWIN_HOME.")
    return version


def migrate(db: sqlite3.Connection, path: Path) -> None:
    """Bring the file to the newest version, one transaction a step, after a copy archive.sqlite.v<N>.bak of the whole.

    The caller holds the home's lock. A new file needs no copy.
    """
    version = version_of(db, path)
    if version == len(MIGRATIONS):
        return
    if db.execute("SELECT 1 FROM sqlite_master LIMIT 1").fetchone():
        _back_up(db, path.with_name(f"{path.name}.v{version}.bak"))
    db.execute("PRAGMA journal_mode = WAL")
    _functions(db)
    for number, script in enumerate(MIGRATIONS[version:], version + 1):
        try:
            db.executescript(f"BEGIN IMMEDIATE; {script}; PRAGMA user_version = {number}; COMMIT;")
        finally:
            if db.in_transaction:
                db.rollback()


def with_foreign(flags: tuple[str, ...], text: str) -> tuple[str, ...]:
    """Flags of an own message, and what parts of its text are not the writer's own."""
    return (*flags, *(kind for kind in texts.foreign_kinds(text) if kind not in flags))


def _functions(db: sqlite3.Connection) -> None:
    """What the migrations call."""
    def flags(stored: str, text: str) -> str:
        return json.dumps(with_foreign(tuple(json.loads(stored)), text), ensure_ascii=False)

    db.create_function("twin_language", 1, texts.language, deterministic=True)
    db.create_function("twin_flags", 2, flags, deterministic=True)


def compact(db: sqlite3.Connection, path: Path) -> None:
    """Write the file anew, so that free pages, page ends and the WAL hold nothing that was deleted, whichever version
    deleted it. Needs room for the file once more. Raises HomeBusy while another program reads it."""
    db.execute("VACUUM")
    if db.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()[0]:
        raise HomeBusy(f"{path} is being read, so what was deleted still stands in its log.",
                       "Let the other twin finish, then do the same again.")


def backups(path: Path) -> list[Path]:
    """Copies that migrations made."""
    return sorted(path.parent.glob(f"{path.name}.v*.bak*"))


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
def named(path: Path) -> Iterator[None]:
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
        raise HomeError(f"{path} cannot be used ({error}).", _CHECK) from error
