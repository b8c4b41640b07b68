"""Snapshots: what a core has read, on disk, so that the first token of a day need not wait for the reading.

One file a run of tokens, named by the hash of its whole key: core, settings of its context, adapters with scales,
tokens. A file whose content is not what its name and header say is refused and removed. The files hold what the
person wrote, as token ids and states: they are for the owner alone (0600).
"""
from __future__ import annotations

import json
import mmap
import os
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from twin.home import write_atomically

_MAGIC = b"twin-kv1"
_SUFFIX = ".kv"


@dataclass(frozen=True)
class Found:
    """A snapshot that fits: its file and the tokens it holds."""

    path: Path
    tokens: list[int] = field(repr=False)


@dataclass(frozen=True)
class Packed:
    """A snapshot as it was found in a file: the context's description, the tokens, their state, where in the file that
    begins, and the sha256 of the whole file."""

    context: str
    tokens: list[int] = field(repr=False)
    state: memoryview = field(repr=False)
    offset: int
    sha256: str


class Snapshots:
    """A folder of snapshots, bounded in bytes; the longest unused go first."""

    def __init__(self, folder: Path, budget_bytes: int = 1 << 30) -> None:
        self.folder = folder
        self.budget_bytes = budget_bytes

    def __repr__(self) -> str:
        return f"Snapshots({len(self.files())} files)"

    def files(self) -> list[Path]:
        """The snapshots, longest unused first."""
        times: list[tuple[int, Path]] = []
        for path in self.folder.glob(f"*{_SUFFIX}"):
            with suppress(FileNotFoundError):  # another process made room
                times.append((path.stat().st_mtime_ns, path))
        return [path for _, path in sorted(times)]

    def save(self, context: str, tokens: Sequence[int], state: bytes | bytearray | memoryview, *,
             forget_over: int | None = None) -> Path | None:
        """Keep the state of a run of tokens under a context's description; None when it exceeds the budget alone.

        Snapshots of its own beginnings that are longer than `forget_over` tokens go: the conversation has grown past
        them.
        """
        content = pack(context, tokens, state)
        path = self.folder / _name(context, _ids(tokens))
        if len(content) > self.budget_bytes:
            return None
        self._make_room(len(content), but=path)
        write_atomically(path, content, durable=False)
        if forget_over is not None:
            while older := self.best(context, tokens[:-1], longer_than=forget_over):
                older.path.unlink(missing_ok=True)
        return path

    def best(self, context: str, tokens: Sequence[int], *, longer_than: int = 0) -> Found | None:
        """The longest snapshot of this context whose tokens are the beginning of these and more than `longer_than`."""
        best: Found | None = None
        wanted = np.asarray(tokens, dtype=np.int32)
        for path in self.files():
            held = _head(path)
            if held is None or held[0]["context"] != context or held[0]["tokens"] <= longer_than:
                continue
            ids = held[1]
            if len(ids) <= len(wanted) and np.array_equal(ids, wanted[:len(ids)]):
                best, longer_than = Found(path, [int(one) for one in ids]), len(ids)
        return best

    def load(self, found: Found) -> bytearray | None:
        """The state of a snapshot; None, and the file is removed, when its bytes are not those that were saved."""
        held = _head(found.path)
        if held is None:
            found.path.unlink(missing_ok=True)
            return None
        head, ids, offset = held
        try:
            with found.path.open("rb") as file:
                state = bytearray(os.fstat(file.fileno()).st_size - offset)
                file.seek(offset)
                file.readinto(state)
            os.utime(found.path)  # used now
        except OSError:  # another process made room
            return None
        if _hash(ids.tobytes(), state) != head["hash"]:
            found.path.unlink(missing_ok=True)
            return None
        return state

    def clear(self) -> int:
        """Remove all snapshots; returns how many there were."""
        files = self.files()
        for path in files:
            path.unlink(missing_ok=True)
        return len(files)

    def _make_room(self, size: int, *, but: Path) -> None:
        kept = [path for path in self.files() if path != but]
        held = sum(path.stat().st_size for path in kept)
        for path in kept:
            if held + size <= self.budget_bytes:
                return
            held -= path.stat().st_size
            path.unlink(missing_ok=True)


def key_text(settings: Mapping[str, str], weights: object) -> str:
    """A context's description: how its core was opened (`LlamaEngine.settings`), and which weights read."""
    return f"{' '.join(settings.values())} {weights}"


def pack(context: str, tokens: Sequence[int], state: bytes | bytearray | memoryview) -> bytes:
    """The content of a snapshot's file: a mark of 8 bytes, the length of the header (4 bytes, little-endian), the
    header as JSON, the tokens as int32, and the state as llama.cpp gave it."""
    ids = _ids(tokens)
    head = json.dumps({"context": context, "tokens": len(tokens), "hash": _hash(ids, state)}).encode()
    return b"".join((_MAGIC, len(head).to_bytes(4, "little"), head, ids, state))


def unpack(path: Path) -> Packed | None:
    """What such a file holds, whatever it is called; None for one that is none. The sha256 is for the caller to compare
    with what he expects: it covers every byte, the header's own hash is not looked at. Raises OSError.

    The state is a map of the file: 45 MB were hashed in 33 ms so, in 130 ms when they were read into memory first.
    """
    with path.open("rb") as file:
        try:
            held = _parse(file, os.fstat(file.fileno()).st_size)
            if held is None:
                return None
            data = memoryview(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_COPY))
        except (ValueError, RecursionError):
            return None
    head, ids, offset = held
    return Packed(head["context"], ids.tolist(), data[offset:], offset, sha256(data).hexdigest())


def _name(context: str, ids: bytes) -> str:
    return sha256(context.encode() + b"\0" + ids).hexdigest()[:40] + _SUFFIX


def _ids(tokens: Sequence[int]) -> bytes:
    return np.asarray(tokens, dtype=np.int32).tobytes()


def _hash(ids: bytes, state: bytes | bytearray | memoryview) -> str:
    made = sha256(ids)  # most of what loading takes: 11 ms for 11.5 MB, blake2b 20 ms (a processor with SHA extensions)
    made.update(state)
    return made.hexdigest()


def _head(path: Path) -> tuple[dict[str, Any], NDArray[np.int32], int] | None:
    """Header, token ids and the offset of the state; None for a file that is not one of ours or was cut."""
    try:
        with path.open("rb") as file:
            held = _parse(file, os.fstat(file.fileno()).st_size)
    except (OSError, ValueError, RecursionError):
        return None
    return held if held and path.name == _name(held[0]["context"], held[1].tobytes()) else None


def _parse(file: BinaryIO, size: int) -> tuple[dict[str, Any], NDArray[np.int32], int] | None:
    if file.read(len(_MAGIC)) != _MAGIC:
        return None
    head = json.loads(file.read(min(int.from_bytes(file.read(4), "little"), 1 << 16)))
    match head:
        case {"context": str(), "tokens": int(tokens), "hash": str()}:
            if not 0 <= 4 * tokens <= size:
                return None
        case _:
            return None
    ids = np.frombuffer(file.read(4 * tokens), dtype=np.int32)
    return (head, ids, file.tell()) if len(ids) == tokens else None
