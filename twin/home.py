"""Home: the folder in which one twin lives, its lock, and files written whole or not at all.

Knows where things are, not what is in them.
"""
from __future__ import annotations

import errno
import hashlib
import json
import os
import socket
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from functools import lru_cache
from itertools import count
from pathlib import Path
from threading import Lock

import platformdirs
from filelock import FileLock, Timeout

from twin.errors import HomeBusy, HomeError, HomeFull


def cache_dir() -> Path:
    """The user's cache directory of twin: models, downloads. `TWIN_CACHE` moves it."""
    return Path(os.environ.get("TWIN_CACHE") or platformdirs.user_cache_path("twin"))


def expanded(path: str) -> Path:
    """A path as people write one, with ~ for a home folder. HomeError for that of nobody."""
    try:
        return Path(path).expanduser()
    except RuntimeError as error:
        raise HomeError(f"{path} leads to the home folder of nobody.", "Name another place.") from error


_passed = count(1)


def fault(_name: str) -> None:
    """A place at which a crash must do no harm; the name is for the reader. `TWIN_FAULT_AT=n` ends the process at the
    n-th one it passes, as `kill -9` would (exit status 70): tests go through all of them."""
    at = os.environ.get("TWIN_FAULT_AT")
    if at and next(_passed) == int(at):
        os._exit(70)


@contextmanager
def full_disk_is_named(where: Path) -> Iterator[None]:
    """Translate 'no space left' of any kind of write into HomeFull."""
    try:
        yield
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
            raise HomeFull(f"No space is left on the device that holds {where}.",
                           "Nothing was half-written: free some space and do the same again.") from error
        raise


def write_atomically(path: Path, content: str | bytes, *, mode: int = 0o600, durable: bool = True) -> None:
    """Write a whole file beside the old one, flush it to the disk, then move it into place.

    `durable=False` leaves the flush to the system: for what can be made again and is checked when it is read.
    """
    data = content.encode("utf-8") if isinstance(content, str) else content
    try:
        _write(path, data, mode, durable)
    except OSError as error:
        raise HomeError(f"{path} cannot be written ({error.strerror}).", "Name another place.") from error


def _write(path: Path, data: bytes, mode: int, durable: bool) -> None:
    with full_disk_is_named(path.parent):
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
        try:
            with os.fdopen(handle, "wb") as file:
                file.write(data)
                if durable:
                    file.flush()
                    os.fsync(file.fileno())
            Path(name).chmod(mode)
            fault("written beside")
            Path(name).replace(path)
        except BaseException:
            Path(name).unlink(missing_ok=True)
            raise


class Home:
    """Paths of one twin. `Home()` is `TWIN_HOME` or the platform's data directory; nothing is made until `create`."""

    def __init__(self, root: str | os.PathLike[str] | None = None) -> None:
        chosen = root or os.environ.get("TWIN_HOME") or platformdirs.user_data_path("twin")
        self.root = Path(chosen).expanduser().absolute()

    def __repr__(self) -> str:
        return f"Home({str(self.root)!r})"

    @property
    def archive(self) -> Path:
        """The SQLite file that holds what must not be lost."""
        return self.root / "archive.sqlite"

    @property
    def memory(self) -> Path:
        """LanceDB's folder; rebuildable from the archive."""
        return self.root / "memory"

    @property
    def roles(self) -> Path:
        """One Markdown file a role, editable by hand."""
        return self.root / "roles"

    @property
    def exports(self) -> Path:
        """Where exports go when no other place is named."""
        return self.root / "exports"

    @property
    def adapters(self) -> Path:
        """LoRA and control vector files of the roles."""
        return self.root / "adapters"

    @property
    def training(self) -> Path:
        """Trainings that are under way; can be thrown away, and is when something is forgotten."""
        return self.root / "training"

    def adapter(self, name: str | None, sha256: str | None = None) -> Path:
        """Where an adapter lies: an absolute path as it stands, else in the home or its `adapters`; without a name, the
        file there with this sha256. A path that does not exist when there is none, or when name and sha256 disagree."""
        none = self.adapters / f"{sha256 or name}.gguf"
        if name:
            places = [Path(name)] if Path(name).is_absolute() else [self.root / name, self.adapters / name]
            found = next((place for place in places if place.is_file()), places[-1])
            return none if sha256 and found.is_file() and sha256_of(found) != sha256 else found
        return next((file for file in sorted(self.adapters.glob("*.gguf")) if sha256_of(file) == sha256), none)

    @property
    def snapshots(self) -> Path:
        """What cores have read, to be taken up again; can be thrown away."""
        return self.root / "snapshots"

    def create(self) -> Home:
        """Make the folder, for its owner only (0700)."""
        try:
            with full_disk_is_named(self.root):
                new = not self.root.exists()
                self.root.mkdir(parents=True, exist_ok=True, mode=0o700)
                # Someone else's full folder is not ours to close, whatever --home says.
                if new or self.archive.exists() or not any(self.root.iterdir()):
                    self.root.chmod(0o700)
        except OSError as error:
            raise HomeError(f"{self.root} cannot be used as a home ({error.strerror}).",
                            "Name another folder with --home or TWIN_HOME.") from error
        return self

    @contextmanager
    def writing(self, what: str, *, wait_s: float = 2.0) -> Iterator[None]:
        """Hold the one writer lock, for as long as one write takes; HomeBusy says who has it otherwise."""
        with self._held("writer", what, wait_s), _private():
            yield

    @contextmanager
    def alone(self, what: str, *, wait_s: float = 0.0) -> Iterator[None]:
        """Hold the lock of one kind of long work, a plain word, so that nobody else does it at the same time; who only
        writes does not wait for it. HomeBusy says who is at it."""
        with self._held(what, what, wait_s):
            yield

    @contextmanager
    def _held(self, name: str, what: str, wait_s: float) -> Iterator[None]:
        self.create()
        note = self.root / f".{name}.json"
        lock = FileLock(self.root / f".{name}.lock", timeout=wait_s, mode=0o600, poll_interval=0.01)
        try:
            lock.acquire()
        except Timeout as error:
            said = "is being written by" if name == "writer" else f"is in use for {what} by"
            raise HomeBusy(f"{self.root} {said} {_holder(note)}.",
                           "Wait for it to finish or close it, then do the same again.") from error
        try:
            who = {"pid": os.getpid(), "host": socket.gethostname(), "doing": what,
                   "program": Path(sys.argv[0] or "python").name, "since": f"{datetime.now(UTC):%Y-%m-%d %H:%M:%S} UTC"}
            write_atomically(note, json.dumps(who))
            yield
        finally:
            note.unlink(missing_ok=True)
            lock.release()


_masks: list[int] = []
_masking = Lock()


@contextmanager
def _private() -> Iterator[None]:
    """New files are their owner's alone, also those of libraries that ask for no mode. The mask is the process's, so
    the first of several threads sets it and the last one puts it back."""
    with _masking:
        _masks.append(os.umask(0o077))
    try:
        yield
    finally:
        with _masking:
            before = _masks.pop()
            if not _masks:
                os.umask(before)


def _holder(note: Path) -> str:
    """Who holds the lock, in words; the note may be missing for the moment between lock and note."""
    try:
        who = json.loads(note.read_text("utf-8"))
        return f"process {who['pid']} on {who['host']} ({who['program']}: {who['doing']}, since {who['since']})"
    except (OSError, ValueError, KeyError):
        return "another process"


def sha256_of(path: Path) -> str:
    """sha256 of a file in hex, remembered while its size, time and inode stay."""
    seen = path.stat()
    return _hashed(path, seen.st_size, seen.st_mtime_ns, seen.st_ino)


@lru_cache(maxsize=64)
def _hashed(path: Path, *_identity: int) -> str:
    with path.open("rb") as content:
        return hashlib.file_digest(content, "sha256").hexdigest()
