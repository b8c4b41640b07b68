"""The archive's file as a whole: a consistent copy of it, and what a file from elsewhere must be to become one.

A file that was copied is trusted in its rows, which the person can see, and in nothing that acts by itself: no trigger,
no view, no row that names a file to be deleted or written outside the home."""
from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

from twin.archive import database
from twin.archive.file import File
from twin.errors import BrokenFile, HomeBusy, HomeError, HomeFull, HomeTooNew
from twin.home import Home, full_disk_is_named

SCHEMA = len(database.MIGRATIONS)  # the version of the schema that this code writes
_OBJECTS = ("SELECT type, name, iif(type IN ('trigger', 'view'), sql, '') FROM sqlite_master "
            "WHERE name NOT LIKE 'sqlite%'")
_CLIMBING = r"SELECT 1 FROM role_maps, json_each(files) WHERE key GLOB '*[/\]*' OR key LIKE '.%'"
_OTHER = "Choose another backup."


def ready(home: Home) -> bool:
    """Whether the home has an archive; one of an older version is brought to this one."""
    if database.is_empty(home.archive):
        return False
    with File(home)._reading():
        return True


def copy(home: Home, target: Path) -> None:
    """Write a copy as of one moment, whoever writes meanwhile; for its owner only. What was there is replaced."""
    with File(home)._reading() as db, full_disk_is_named(target.parent):
        target.unlink(missing_ok=True)
        target.touch(mode=0o600)
        with closing(sqlite3.connect(target)) as copied:
            db.backup(copied)


def check(path: Path) -> None:
    """Raise HomeError for a file that is damaged, HomeTooNew."""
    with database.named(path), closing(database.connect(path)) as db:
        database.version_of(db, path)
        db.execute("PRAGMA trusted_schema = OFF")
        if (found := db.execute("PRAGMA quick_check(1)").fetchone()[0]) != "ok":
            raise sqlite3.DatabaseError(found)


def adopt(home: Home) -> None:
    """Make the file that lies in a home its archive: check it, bring it to this version, and list everything for the
    memory, which has seen none of it. The files it lists as made from it are struck out, but for adapters, which only
    must not load: none of them came along, and a forgetting deletes what is listed. BrokenFile for what is damaged, no
    archive of a twin, or names role files outside their folder; HomeTooNew."""
    path, known = home.archive, _known()
    try:
        with database.named(path), closing(database.connect(path)) as db:
            acting = {one for one in db.execute(_OBJECTS) if one[0] in ("trigger", "view")}
            if not database.version_of(db, path) or not acting <= known:
                raise BrokenFile(f"{path.name} is not an archive of a twin.", _OTHER)
        check(path)
        with File(home)._writing("restore") as db:
            db.execute("DELETE FROM derived WHERE kind != 'adapter'")
            db.execute("DELETE FROM derived_from WHERE derived NOT IN (SELECT number FROM derived)")
            db.execute("DELETE FROM unindexed")
            db.execute("INSERT INTO unindexed (conversation, message) SELECT c.id, m.id FROM conversations c "
                       "CROSS JOIN messages m ON m.conversation = c.id ORDER BY c.number, m.position")
            if set(db.execute(_OBJECTS)) != known or db.execute(_CLIMBING).fetchone():
                raise BrokenFile(f"{path.name} is not an archive of a twin.", _OTHER)
    except (HomeTooNew, HomeFull, HomeBusy):
        raise
    except HomeError as error:
        raise BrokenFile(f"{path.name} is damaged ({error.__cause__}).", _OTHER) from error
    for older in database.backups(path):
        older.unlink(missing_ok=True)


def _known() -> set[tuple[str, str, str]]:
    """Everything an archive of this version is made of."""
    with closing(database.in_memory()) as db:
        return set(db.execute(_OBJECTS))
