"""The archive's file as reads and transactions: opened for one call, under the home's lock where something is written.

Knows no table, but that the head of the audit is noted in a file after each commit."""
from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager

from twin.archive import database, hash_chain
from twin.home import Home


class File:
    """The file of one home. A connection lives as long as one call, so an idle home holds one plain file."""

    def __init__(self, home: Home) -> None:
        self.home = home

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
                    hash_chain.keep(db, self.home.root)
                finally:
                    if db.in_transaction:
                        db.rollback()

    @contextmanager
    def _copy(self) -> Iterator[sqlite3.Connection]:
        with self._reading() as source, closing(database.in_memory(source)) as copy:
            copy.execute("BEGIN IMMEDIATE")
            yield copy
