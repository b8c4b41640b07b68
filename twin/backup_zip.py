"""A backup's zip, read without trust: its names, its sizes and its sums are checked before and while it is unpacked.

Knows the manifest and where files of a home may lie; nothing of what is in them.
"""
from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import stat
import struct
import unicodedata
import zipfile
import zlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import IO, Any

from twin.archive import copying
from twin.errors import BrokenFile, HomeFull, HomeTooNew, InputError
from twin.importers import containers
from twin.types import Progress

FORMAT, VERSION, MANIFEST = "twin-backup", 1, "manifest.json"
# The memory, vectors, what cores have read and trainings under way are made anew; exports are copies; a server's token
# is a secret of its machine.
ARCHIVE = "archive.sqlite"
FILES = (ARCHIVE, "audit.head", "constitution.md", "agents.toml", "plan.toml")
FOLDERS = ("roles", "adapters", "likeness", "bench")
CHUNK = 1024**2
_ODD = re.compile(r"[\\:\x00-\x1f\x7f\ud800-\udfff]|^\.|^$|^.{251}")
_CORE = re.compile(r"[0-9a-f]{0,64}")
_MOST_MANIFEST = 16 * 1024**2
_BROKEN = (zipfile.BadZipFile, zlib.error, struct.error, EOFError, NotImplementedError, RuntimeError, OSError,
           ValueError, KeyError, OverflowError)


@dataclass(frozen=True)
class Manifest:
    """What a backup says of itself. `files`: name -> size, sha256."""

    made: datetime
    core: str
    files: Mapping[str, tuple[int, str]] = field(repr=False)

    @property
    def content(self) -> int:
        """Bytes of all files."""
        return sum(size for size, _ in self.files.values())


def belongs(name: str) -> bool:
    """Whether a file of this name is part of a backup: no hidden one, none that leads anywhere else on any system."""
    first, *rest = name.split("/")
    return (first in (FOLDERS if rest else FILES)) and not any(map(_ODD.search, rest))


def unpack(source: Path, folder: Path, progress: Progress | None) -> Manifest:
    """Write every file of a backup below an empty folder, for its owner only. Raises InputError for what cannot be
    read, BrokenFile for what is no backup or not as it was made, HomeTooNew, HomeFull."""
    with _readable(source) as file, _zip(file, source.name) as packed:
        known = _manifest(packed, source.name)
        if known.content > shutil.disk_usage(folder).free:
            raise HomeFull(f"No space is left on the device that holds {folder.parent}.",
                           "Free some space and do the same again.")
        _unpack(packed, known, folder, source.name, progress)
    return known


def _readable(source: Path) -> IO[bytes]:
    try:
        return source.open("rb")
    except OSError as error:
        raise InputError(f"{source} cannot be read ({error.strerror}).", "Check the name and its rights.") from error


def _broken(label: str, why: object) -> BrokenFile:
    return BrokenFile(f"{label} is damaged, or no backup of a twin ({why}).", "Choose another copy of it.")


def _read_or_broken(read: Callable[[], Any], label: str) -> Any:
    """What `read` gives; whatever a zip makes it raise is a BrokenFile."""
    try:
        return read()
    except _BROKEN as error:
        raise _broken(label, error) from error


def _zip(file: IO[bytes], label: str) -> zipfile.ZipFile:
    """The zip, when its list of members is one that a backup can have: no names twice (not on any system), plain files,
    no more bytes than deflate makes of honest ones."""
    def opened() -> zipfile.ZipFile:
        containers.check_directory(file, label)
        return zipfile.ZipFile(file)

    packed: zipfile.ZipFile = _read_or_broken(opened, label)
    members = packed.infolist()
    size = file.seek(0, os.SEEK_END)
    most = min(containers.MAX_BYTES, max(containers.RATIO_COUNTS_FROM, size * containers.MAX_RATIO))
    names = {unicodedata.normalize("NFC", one.filename).casefold() for one in members}
    if MANIFEST not in names:
        raise _broken(label, "it has no manifest")
    if len(names) < len(members):
        raise _broken(label, "a name stands there twice")
    if sum(one.file_size for one in members) > most:
        raise _broken(label, "it unpacks to more than any home")
    for one in members:
        if (stat.S_IFMT(one.external_attr >> 16) not in (0, stat.S_IFREG) or one.flag_bits & 1
                or one.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)):
            raise _broken(label, "it holds what is no plain file")
    return packed


def _manifest(packed: zipfile.ZipFile, label: str) -> Manifest:
    """What the backup says of itself, when it lists exactly what is there and may be there."""
    if packed.getinfo(MANIFEST).file_size > _MOST_MANIFEST:
        raise _broken(label, "its manifest is too large")
    plain = _read_or_broken(lambda: json.loads(packed.read(MANIFEST)), label)
    if not isinstance(plain, dict) or plain.get("format") != FORMAT:
        raise _broken(label, "its manifest is that of something else")
    if not (isinstance(plain.get("version"), int) and isinstance(plain.get("schema"), int)):
        raise _broken(label, "it tells no version")
    if plain["version"] > VERSION or plain["schema"] > copying.SCHEMA:
        raise HomeTooNew(f"{label} was made by a newer twin.", "Update twin, then do the same again.")
    try:
        known = Manifest(datetime.fromisoformat(plain["made"]), str(plain["core"]),
                          {str(one["name"]): (int(one["size"]), str(one["sha256"])) for one in plain["files"]})
    except (KeyError, TypeError, ValueError, OverflowError) as error:
        raise _broken(label, f"its manifest cannot be read: {error}") from error
    if not _CORE.fullmatch(known.core):
        raise _broken(label, "it names no core")
    sizes = {one.filename: one.file_size for one in packed.infolist() if one.filename != MANIFEST}
    if {name: size for name, (size, _) in known.files.items()} != sizes or ARCHIVE not in sizes:
        raise _broken(label, "its manifest lists other files")
    if not all(map(belongs, sizes)):
        raise _broken(label, "it holds files that are none of a home")
    return known


def _unpack(packed: zipfile.ZipFile, known: Manifest, folder: Path, label: str, progress: Progress | None) -> None:
    """Write every file of the manifest below a folder, checked as it comes."""
    done = 0
    for name, (size, sha256) in known.files.items():
        place, hashed, count = folder / name, hashlib.sha256(), 0
        place.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        with os.fdopen(os.open(place, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600), "wb") as file:
            for chunk in _chunks(packed, name, label):
                count += len(chunk)
                if count > size:
                    break
                file.write(chunk)
                hashed.update(chunk)
                if progress:
                    progress("restore", done + count, known.content)
            file.flush()
            os.fsync(file.fileno())
        if count != size or hashed.hexdigest() != sha256:
            raise _broken(label, f"{name} is not what was saved")
        done += size


def _chunks(packed: zipfile.ZipFile, name: str, label: str) -> Iterator[bytes]:
    with _read_or_broken(lambda: packed.open(name), label) as content:
        read = partial(content.read, CHUNK)
        while chunk := _read_or_broken(read, label):
            yield chunk
