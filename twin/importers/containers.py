"""Files of a folder or a zip, one at a time, as streams. A zip is never trusted about its names and sizes.

Links, absolute names and names that climb are refused; what really comes out is counted, over nested zips too. Nothing
is unpacked to a named file; a zip inside a zip above 64 MiB passes through a temporary file without a name.
"""
from __future__ import annotations

import io
import lzma
import os
import re
import stat
import struct
import tempfile
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from pathlib import Path, PurePosixPath
from typing import IO, Any

from twin.errors import BrokenFile, InputError
from twin.importers.encoding import is_binary
from twin.importers.found import Found

MAX_MEMBERS = 50_000
MAX_BYTES = 32 * 1024**3     # of everything that is read out of one zip
MAX_WHOLE = 64 * 1024**2     # of one file that is read whole: notes, chats as text
MAX_RATIO = 200              # deflate of honest JSON gives 5-40; a bomb 1,000
RATIO_COUNTS_FROM = 16 * 1024**2
_CHUNK = 1024**2
_BUFFER = 64 * 1024
_IN_MEMORY = 64 * 1024**2
_HEAD = 4096
_HIDDEN = (".", "__MACOSX")
_UNPACKED = "Unpack it with the program you trust and import the folder."
_UNSAFE = re.compile(r"^[/\\]|^[A-Za-z]:|(?:^|[/\\])\.\.(?:[/\\]|$)|\x00")
_BROKEN = (zipfile.BadZipFile, zlib.error, lzma.LZMAError, EOFError, NotImplementedError, RuntimeError, OSError,
           ValueError)


@dataclass(frozen=True)
class Entry:
    """One file: `name` is relative to what was imported, `label` is for people; `open` gives its bytes anew."""

    name: str
    label: str
    open: Callable[[], IO[bytes]]
    modified: datetime | None = None

    def head(self) -> bytes:
        """The first 4 KiB."""
        with self.open() as stream:
            return stream.read(_HEAD)

    def read(self) -> bytes:
        """The whole file; InputError when it is larger than any note or chat in text is."""
        with self.open() as stream:
            data = stream.read(MAX_WHOLE + 1)
        if len(data) > MAX_WHOLE:
            raise InputError(f"{self.label} is a text of more than {MAX_WHOLE // 1024**2} MiB.", "Split it first.")
        return data


def is_zip(head: bytes) -> bool:
    """True for the first bytes of a zip, an empty one included."""
    return head.startswith((b"PK\x03\x04", b"PK\x05\x06"))


def bare(path: Path, name: str | None = None) -> Entry:
    """A file of the disk; InputError when it cannot be opened."""
    try:
        modified = datetime.fromtimestamp(path.stat().st_mtime, UTC)
    except (OSError, OverflowError, ValueError):
        modified = None
    return Entry(name or path.name, name or path.name, partial(_opened, path), modified)


def _opened(path: Path) -> IO[bytes]:
    try:
        return path.open("rb")
    except OSError as error:
        raise InputError(f"{path.name} cannot be read ({error.strerror}).", "Check the name and its rights.") from error


def folder(root: Path) -> Iterator[Entry | Found]:
    """Files below a folder in the order of their names, zips opened; hidden ones (.obsidian, .trash) left out."""
    unreadable: list[OSError] = []
    for top, folders, files in os.walk(root, onerror=unreadable.append):  # which does not go into links
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        for linked in filter(Path.is_symlink, (Path(top) / name for name in folders)):
            yield Found(linked.relative_to(root).as_posix(), skipped={"link": 1})
        for file in sorted(files):
            path = Path(top) / file
            name = path.relative_to(root).as_posix()
            if file.startswith("."):
                continue
            if path.is_symlink() or not path.is_file():  # opening a pipe would wait for ever
                yield Found(name, skipped={"link" if path.is_symlink() else "no regular file": 1})
                continue
            try:
                entry = bare(path, name)
                if is_zip(entry.head()):
                    yield from zipped(path, prefix=f"{name}/")
                else:
                    yield entry
            except InputError as error:
                yield Found(name, failure=str(error))
    for missed in unreadable:
        where = Path(str(missed.filename)).relative_to(root).as_posix()
        yield Found(where, failure=f"{where} cannot be read ({missed.strerror}). Check its rights.")


def zipped(path: Path, prefix: str = "") -> Iterator[Entry | Found]:
    """Files of a zip. Raises BrokenFile for what is no zip or unpacks to more than it may."""
    try:
        with path.open("rb") as file:
            budget = _Budget(path.name, os.fstat(file.fileno()).st_size)
            yield from _members(file, path.name, prefix, budget, nested=False)
    except OSError as error:
        raise BrokenFile(f"{path.name} cannot be read ({error.strerror}).",
                         "Check the disk, or copy it again.") from error


class _Budget:
    """Bytes that came out of one zip, nested ones included; a second pass over the same member costs nothing."""

    def __init__(self, name: str, packed: int) -> None:
        self.name = name
        self.most = min(MAX_BYTES, max(RATIO_COUNTS_FROM, packed * MAX_RATIO))
        self.spent = 0
        self._read: dict[str, int] = {}

    def spend(self, member: str, position: int) -> None:
        """Count what was read of a member, up to this position of its content."""
        known = self._read.get(member, 0)
        if position > known:
            self._read[member] = position
            self.spent += position - known
        if self.spent > self.most:
            raise BrokenFile(f"{self.name} unpacks to more than {self.most // 1024**2} MiB, as a zip bomb does.",
                             _UNPACKED)


def _members(file: IO[bytes], label: str, prefix: str, budget: _Budget, *, nested: bool) -> Iterator[Entry | Found]:
    try:
        check_directory(file, label)
        archive = zipfile.ZipFile(file)
    except _BROKEN as error:
        raise BrokenFile(f"{label} is a broken zip: {error}.",
                         "The download may have been cut off: get it again.") from error
    known: set[str] = set()
    with archive:
        for info in sorted(archive.infolist(), key=lambda info: info.filename):
            name = _name(info)
            where = f"{label}/{name}"
            refused = _refused(info, name, known)
            known.add(name)
            if refused:
                yield Found(where, skipped={refused: 1})
            elif not info.is_dir() and not any(part.startswith(_HIDDEN) for part in PurePosixPath(name).parts):
                yield from _member(archive, info, f"{prefix}{name}", where, budget, nested)


def _member(archive: zipfile.ZipFile, info: zipfile.ZipInfo, name: str, where: str, budget: _Budget,
            nested: bool) -> Iterator[Entry | Found]:
    """One member; a zip inside is opened too, one level deep. A broken member does not stop the others."""
    entry = Entry(name, where, partial(_stream, archive, info, where, budget), _modified(info))
    try:
        head = entry.head()
        if not is_zip(head):
            # Pictures and sound are most of an export: their first bytes are enough.
            yield Found(where, skipped={"unknown format": 1}) if is_binary(head) else entry
        elif nested:
            yield Found(where, skipped={"zip in a zip in a zip": 1})
        else:
            with tempfile.SpooledTemporaryFile(_IN_MEMORY) as inner:
                with entry.open() as stream:
                    while part := stream.read(_CHUNK):
                        inner.write(part)
                yield from _members(inner, where, f"{name}/", budget, nested=True)
    except BrokenFile as error:
        if budget.spent > budget.most:
            raise
        yield Found(where, failure=str(error))


class _Member(io.RawIOBase):
    """The bytes of a member, counted as they come; what zipfile raises is a BrokenFile."""

    def __init__(self, archive: zipfile.ZipFile, info: zipfile.ZipInfo, where: str, budget: _Budget) -> None:
        super().__init__()
        self._info, self._where, self._budget, self._position = info, where, budget, 0
        with self._translated():
            self._file = archive.open(info)

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        with self._translated():
            part = self._file.read(len(buffer))
        self._position += len(part)
        self._budget.spend(self._where, self._position)
        buffer[:len(part)] = part
        return len(part)

    def close(self) -> None:
        if not self.closed and hasattr(self, "_file"):
            self._file.close()
        super().close()

    @contextmanager
    def _translated(self) -> Iterator[None]:
        try:
            yield
        except _BROKEN as error:
            what = "is encrypted" if self._info.flag_bits & 1 else f"cannot be unpacked ({error})"
            raise BrokenFile(f"{self._where} {what}.", _UNPACKED) from error


def _stream(archive: zipfile.ZipFile, info: zipfile.ZipInfo, where: str, budget: _Budget) -> IO[bytes]:
    return io.BufferedReader(_Member(archive, info, where, budget), _BUFFER)


def _modified(info: zipfile.ZipInfo) -> datetime | None:
    try:
        return datetime(*info.date_time).astimezone(UTC)
    except (ValueError, OverflowError, OSError):
        return None


def _refused(info: zipfile.ZipInfo, name: str, known: set[str]) -> str | None:
    if _UNSAFE.search(name):
        return "unsafe name"
    if stat.S_ISLNK(info.external_attr >> 16):
        return "link"
    return "duplicate name" if name in known else None


def _name(info: zipfile.ZipInfo) -> str:
    """The name of a member; without the UTF-8 mark, macOS still writes UTF-8 and Russian Windows CP866."""
    if info.flag_bits & 0x800 or info.filename.isascii():
        return info.filename
    raw = info.filename.encode("cp437", "replace")
    try:
        return raw.decode("utf-8")
    except UnicodeDecodeError:
        return raw.decode("cp866")


def check_directory(file: IO[bytes], label: str) -> None:
    """Refuse a central directory of more members than any export has, before zipfile builds an object for each."""
    size = file.seek(0, os.SEEK_END)
    tail_start = max(0, size - 65_557 - 76)  # the longest comment, the record (22), and the zip64 records before it
    file.seek(tail_start)
    tail = file.read()
    at = tail.rfind(b"PK\x05\x06")
    if at >= 0 and len(tail) >= at + 22:
        members, directory = struct.unpack("<HI", tail[at + 10:at + 16])
        wide = tail.rfind(b"PK\x06\x06", 0, at)
        if wide >= 0 and len(tail) >= wide + 48:
            members, directory = struct.unpack("<QQ", tail[wide + 32:wide + 48])
        # A record is 46 bytes and a name, here 250 at most on average; the count itself may lie.
        if members > MAX_MEMBERS or directory > MAX_MEMBERS * 300:
            raise BrokenFile(f"{label} claims {members} members, more than {MAX_MEMBERS}.", _UNPACKED)
    file.seek(0)
