"""The audit of the archive: what happened to proposals and to the role map, line by line, only ever added to.

See `hash_chain` for what a line is and what a look at all of them can find."""
from __future__ import annotations

from typing import Any

from twin.archive import hash_chain
from twin.archive.file import File
from twin.archive.hash_chain import Entry as Entry
from twin.archive.hash_chain import Verified as Verified
from twin.archive.hash_chain import add as add


class Audits(File):
    """The part of the archive that keeps the audit."""

    def audit_add(self, kind: str, **ids: Any) -> Entry:
        """Add a line in a transaction of its own; `add` does it inside another one. UsageError for what could be
        text."""
        with self._writing("audit") as db:
            return hash_chain.add(db, kind, **ids)

    def audit(self) -> list[Entry]:
        """All lines, oldest first."""
        with self._reading() as db:
            return list(hash_chain.entries(db))

    def audit_verify(self) -> Verified:
        """Whether every line is what it was, and none is missing, put in between, or moved."""
        noted = hash_chain.in_file(self.home.root)  # first: a writer commits its line before it notes it there
        with self._reading() as db:
            return hash_chain.verify(db, noted)
