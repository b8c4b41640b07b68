"""RoleBook: the role map as its folder holds it now, with its history; a hand edit is a version, a broken one is not.

The folder is the person's to edit; the archive remembers every map that was valid, byte for byte. A map is put into the
folder between two commits: one that says so, one that makes it the map. What is left half-way is put back by whoever
opens the home next. Knows nothing of prompts, routing or faces.
"""
from __future__ import annotations

import re
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from twin import roles
from twin.archive.role_maps import MapAuthor, MapEntry, MapLog, Maps, bytes_hash
from twin.errors import HomeBusy, HomeError, ProposalStale, RoleError, TwinError
from twin.home import Home, fault
from twin.role_changes import changes
from twin.roles import COUNCIL, Files, RoleMap

_WAITS_S = 0.2  # a question does not wait for an import; what it saw is logged at the next one
_LAYOUT = {"en": "layout and comments only", "ru": "только вид и комментарии"}


@dataclass(frozen=True)
class Step:
    """One entry of the history. `changes`: what became different from the map before it, in words."""

    number: int
    version: str
    parent: str | None
    author: MapAuthor
    made: datetime
    note: str
    changes: tuple[str, ...]


class RoleBook:
    """The role map of one home. `refusal` says why the folder is not the map, after `current`; `aside` what the last
    `rollback` or `apply` renamed, old name -> new name, since no history holds it."""

    def __init__(self, home: Home, archive: Maps) -> None:
        self.home, self.archive = home, archive
        self.refusal: RoleError | None = None
        self.aside: dict[str, str] = {}
        self._seen: tuple[Files, RoleMap] | None = None  # what the folder held, and the map it made

    def __repr__(self) -> str:
        return f"RoleBook({str(self.home.roles)!r})"

    # ---- now ---------------------------------------------------------------------------------------------------

    def current(self) -> RoleMap:
        """The map as its folder holds it now; the seed where it holds no role yet, and nothing is written.

        An edit becomes an entry of the log by 'owner'. A broken one does not: the map that was active stays, and
        `refusal` holds the error. Raises it where no map was active yet.
        """
        there = roles.on_disk(self.home.roles)
        if self._seen is not None and self._seen[0] == there:
            return self._seen[1]
        if self.archive.map_unfinished():
            return self._mended()
        try:
            read = roles.from_files(there if _has_roles(there) else roles.seed_files() | there)
        except RoleError as error:
            read = self._still_active(error)
            self._seen, self.refusal = (there, read), error
            return read
        self.refusal = None
        if not _has_roles(there):
            return read
        try:
            with self.archive.map_log(_WAITS_S) as log:
                # Under the lock once more: another process may have been writing the folder.
                same = roles.on_disk(self.home.roles) == there
                if same:
                    log.add(there, read.version, "owner")
        except HomeBusy:  # not seen then: the next call tries again
            return read
        if not same:
            return self.current()
        self._seen = there, read
        return read

    def ensure(self, wait_s: float = 2.0) -> RoleMap:
        """`current`, with the seed's files put down first where the folder holds no role; waits so long for another
        writer, then HomeBusy."""
        if not _has_roles(roles.on_disk(self.home.roles)):
            with self.archive.map_log(wait_s) as log:
                there = roles.on_disk(self.home.roles)
                if not _has_roles(there):
                    files = roles.seed_files() | there
                    made = roles.from_files(files)
                    self._write(log, files, made, "owner", "seed roles")
        return self.current()

    def apply(self, role_map: RoleMap, author: MapAuthor, note: str = "", *, expected: str | None = None,
              also: Callable[[MapLog], None] | None = None) -> RoleMap:
        """Make this the map, in the folder and in the log. An edit that was not logged yet is logged before it.

        `expected`: the version that is to be in force by then; where it is not, or the folder holds what cannot be
        read, nothing changes and ProposalStale or the RoleError is raised. `also` writes what has to stand in the
        archive if and only if this map does.
        """
        return self._put(roles.to_files(role_map), author, note, expected, also)

    # ---- then --------------------------------------------------------------------------------------------------

    def history(self, language: str = "en", limit: int | None = None) -> list[Step]:
        """The log, the newest first, with what changed in words ('en' or 'ru')."""
        entries = self.archive.map_entries()
        pairs = list(zip([None, *entries], entries, strict=False))[::-1]
        return [Step(one.number, one.version, one.parent, one.author, one.made, one.note,
                     self._between(before, one, language)) for before, one in pairs[:limit]]

    def map_of(self, which: str) -> RoleMap:
        """The map of an entry: its number, or the beginning of its version or hash. UsageError for none or several."""
        return self._map(self.archive.map_entry(which))

    def diff(self, before: str | None = None, after: str | None = None, language: str = "en") -> list[str]:
        """What is different between two maps, in words; by default between the last two, or one and the current."""
        now = self.current()
        if before is None:
            entries = self.archive.map_entries()
            return list(self._between(entries[-2], entries[-1], language)) if len(entries) > 1 else []
        return changes(self.map_of(before), now if after is None else self.map_of(after), language)

    def rollback(self, which: str) -> RoleMap:
        """Write the files of an earlier map back, byte for byte, and log that.

        What the folder held is logged first; a file that is refused, which no log can hold, is renamed to NAME.old.
        """
        entry = self.archive.map_entry(which)
        return self._put(self.archive.map_files(entry), "owner", f"rollback to #{entry.number}")

    def put(self, files: Files, author: MapAuthor, note: str = "", *, expected: str | None = None,
            also: Callable[[MapLog], None] | None = None) -> RoleMap:
        """`apply` for files as they are to stand, byte for byte."""
        return self._put(files, author, note, expected, also)

    def _put(self, files: Files, author: MapAuthor, note: str, expected: str | None = None,
             also: Callable[[MapLog], None] | None = None) -> RoleMap:
        made = roles.from_files(files)
        self.aside = {}
        try:
            with self.archive.map_log() as log:
                self._mend(log)
                if expected is None:
                    self._keep_edit(log)
                else:
                    self._still(log, expected)
                self._write(log, files, made, author, note)
                if also is not None:
                    also(log)
                fault("all but committed")
        except TwinError:
            with suppress(TwinError):
                self.current()  # puts back what was there
            raise
        fault("committed")
        self._seen, self.refusal = (files, made), None
        return made

    def _write(self, log: MapLog, files: Files, made: RoleMap, author: MapAuthor, note: str) -> None:
        fault("nothing written")
        log.begin(files, made.version)
        fault("begun")
        roles.put(files, self.home.roles)
        fault("in the folder")
        log.add(files, made.version, author, note)

    def _still(self, log: MapLog, expected: str) -> None:
        """Raise unless the folder holds the map that is expected; an edit that was not logged yet is logged."""
        there = roles.on_disk(self.home.roles)
        found = roles.from_files(there if _has_roles(there) else roles.seed_files() | there).version
        if found != expected:
            raise ProposalStale(f"The role map is no longer {expected[:12]} but {found[:12]}; nothing was changed.",
                                "See `twin roles diff` for what changed, and prove it again on the map as it is now.")
        if _has_roles(there):
            log.add(there, found, "owner")

    def _mended(self) -> RoleMap:
        """The map in force while another one is on its way into the folder, which is put back where nobody is at it."""
        try:
            with self.archive.map_log(_WAITS_S) as log:
                self._mend(log)
        except HomeError:  # somebody is at it, or the disk is full: the archive knows what holds
            active = self.archive.active_map()
            return roles.seed() if active is None else self._map(active)
        return self.current()

    def _mend(self, log: MapLog) -> None:
        """Put the active map back where one was left half-way into the folder. Other files were edited since: they stay
        where the two maps do not differ, and are set aside where they do."""
        target, active, folder = log.unfinished(), log.active(), self.home.roles
        if target is None:
            return
        base = self.archive.map_files(active) if active else {}
        for name, data in roles.on_disk(folder).items():
            if data not in (base.get(name), target.get(name)):
                if base.get(name) == target.get(name):
                    base[name] = data
                else:
                    self.aside[name] = roles.set_aside(folder / name).name
            elif name not in base:
                (folder / name).unlink()
        for file in folder.glob(".*") if folder.exists() else ():
            if _is_part(file, {*base, *target}):
                file.unlink()
        fault("half mended")
        roles.put(base, folder)
        log.end()

    def _keep_edit(self, log: MapLog) -> None:
        """Log what the folder holds, or where that is refused set aside what the active map has not."""
        there, active = roles.on_disk(self.home.roles), log.active()
        if not _has_roles(there) or (active is not None and bytes_hash(there) == active.hash):
            return
        try:
            log.add(there, roles.from_files(there).version, "owner")
        except RoleError:
            known = self.archive.map_files(active) if active else {}
            for name, data in there.items():
                if known.get(name) != data:
                    self.aside[name] = roles.set_aside(self.home.roles / name).name

    def _still_active(self, error: RoleError) -> RoleMap:
        active = self.archive.active_map()
        if active is None:
            raise error
        return self._map(active)

    def _map(self, entry: MapEntry) -> RoleMap:
        return roles.from_files(self.archive.map_files(entry))

    def _between(self, before: MapEntry | None, after: MapEntry, language: str) -> tuple[str, ...]:
        if before is None:
            return ()
        return tuple(changes(self._map(before), self._map(after), language)) or (_LAYOUT[language],)


def _is_part(file: Path, names: set[str]) -> bool:
    """Whether this is one of the names' files, written beside its place and never moved there."""
    part = re.fullmatch(r"\.(.+)\.[a-z0-9_]{8}", file.name)
    return part is not None and part[1] in names


def _has_roles(files: Files) -> bool:
    return bool(files.keys() - {COUNCIL})
