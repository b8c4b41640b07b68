"""Files of a folder or a zip, one at a time. A zip is never unpacked to disk, and never trusted about its sizes.

Links, absolute names and names that climb are refused; what really comes out is counted, over nested zips too.
"""
from __future__ import annotations

import io
import lzma
import os
import re
import stat
import struct
import zipfile
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path, PurePosixPath
from typing import IO

from twin.errors import BrokenFile, InputError
from twin.importers.encoding import is_binary
from twin.importers.found import Found

MAX_MEMBERS = 50_000
MAX_BYTES = 2 * 1024**3      # of everything that is read out of one zip, and of one bare file
MAX_RATIO = 200              # deflate of honest JSON gives 5-40; a bomb 1,000
RATIO_COUNTS_FROM = 16 * 1024**2
_CHUNK = 1024**2
_HEAD = 4096
_HIDDEN = (".", "__MACOSX")
_UNPACKED = "Unpack it with the program you trust and import the folder."
_UNSAFE = re.compile(r"^[/\\]|^[A-Za-z]:|(?:^|[/\\])\.\.(?:[/\\]|$)|\x00")
_BROKEN = (zipfile.BadZipFile, zlib.error, lzma.LZMAError, EOFError, NotImplementedError, RuntimeError, OSError,
           ValueError)


@dataclass(frozen=True)
class Entry:
    """One file: `name` is relative to what was imported, `label` is for people; `read` gives its bytes."""

    name: str
    label: str
    read: Callable[[], bytes]


def is_zip(head: bytes) -> bool:
    """True for the first bytes of a zip, an empty one included."""
    return head.startswith((b"PK\x03\x04", b"PK\x05\x06"))


def head_of(path: Path) -> bytes:
    """The first bytes of a file; InputError when it cannot be opened."""
    try:
        with path.open("rb") as file:
            return file.read(_HEAD)
    except OSError as error:
        raise InputError(f"{path.name} cannot be read ({error.strerror}).", "Check the name and its rights.") from error


def bytes_of(path: Path) -> bytes:
    """A whole bare file; InputError when it cannot be read or is larger than anything an export writes."""
    try:
        if path.stat().st_size > MAX_BYTES:
            raise InputError(f"{path.name} is larger than {MAX_BYTES // 1024**2} MiB.", "Split it first.")
        return path.read_bytes()
    except OSError as error:
        raise InputError(f"{path.name} cannot be read ({error.strerror}).", "Check the name and its rights.") from error


def folder(root: Path) -> Iterator[Entry | Found]:
    """Files below a folder in the order of their names, zips opened; hidden ones (.obsidian, .trash) left out."""
    unreadable: list[OSError] = []
    for top, folders, files in os.walk(root, onerror=unreadable.append):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        for file in sorted(files):
            path = Path(top) / file
            name = path.relative_to(root).as_posix()
            if file.startswith("."):
                continue
            if path.is_symlink() or not path.is_file():  # opening a pipe would wait for ever
                yield Found(name, skipped={"link" if path.is_symlink() else "no regular file": 1})
                continue
            try:
                if is_zip(head_of(path)):
                    yield from zipped(path, prefix=f"{name}/")
                else:
                    yield Entry(name, name, partial(bytes_of, path))
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
    """Bytes that came out of one zip, nested ones included."""

    def __init__(self, name: str, packed: int) -> None:
        self.name = name
        self.most = min(MAX_BYTES, max(RATIO_COUNTS_FROM, packed * MAX_RATIO))
        self.spent = 0

    def spend(self, count: int) -> None:
        self.spent += count
        if self.spent > self.most:
            raise BrokenFile(f"{self.name} unpacks to more than {self.most // 1024**2} MiB, as a zip bomb does.",
                             _UNPACKED)


def _members(file: IO[bytes], label: str, prefix: str, budget: _Budget, *, nested: bool) -> Iterator[Entry | Found]:
    try:
        _check_directory(file, label)
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
    """One member; a zip inside is opened in memory, one level deep. A broken member does not stop the others."""
    try:
        head = _unpacked(archive, info, where, budget, _HEAD)
        if not is_zip(head):
            # Pictures and sound are most of an export: their first bytes are enough.
            yield (Found(where, skipped={"unknown format": 1}) if is_binary(head)
                   else Entry(name, where, lambda: _unpacked(archive, info, where, budget)))
        elif nested:
            yield Found(where, skipped={"zip in a zip in a zip": 1})
        else:
            inner = io.BytesIO(_unpacked(archive, info, where, budget))
            yield from _members(inner, where, f"{name}/", budget, nested=True)
    except BrokenFile as error:
        if budget.spent > budget.most:
            raise
        yield Found(where, failure=str(error))


def _unpacked(archive: zipfile.ZipFile, info: zipfile.ZipInfo, where: str, budget: _Budget, most: int = -1) -> bytes:
    """The bytes of a member (the first `most`), counted as they come."""
    parts: list[bytes] = []
    try:
        with archive.open(info) as stream:
            while part := stream.read(_CHUNK if most < 0 else most):
                budget.spend(len(part))
                parts.append(part)
                if most >= 0:
                    break
    except _BROKEN as error:
        what = "is encrypted" if info.flag_bits & 1 else f"cannot be unpacked ({error})"
        raise BrokenFile(f"{where} {what}.", _UNPACKED) from error
    return b"".join(parts)


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


def _check_directory(file: IO[bytes], label: str) -> None:
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
