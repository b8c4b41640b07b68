"""Snapshots: what a core has read, on disk, so that the first token of a day need not wait for the reading.

One file a run of tokens, named by the hash of its whole key: core, settings of its context, adapters with scales,
tokens. A file whose content is not what its name and header say is refused and removed. The files hold what the
person wrote, as token ids and states: they are for the owner alone (0600).
"""
from __future__ import annotations

import json
import os
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from typing import Any

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

    def save(self, context: str, tokens: Sequence[int], state: bytes | bytearray, *,
             forget_over: int | None = None) -> Path | None:
        """Keep the state of a run of tokens under a context's description; None when it exceeds the budget alone.

        Snapshots of its own beginnings that are longer than `forget_over` tokens go: the conversation has grown past
        them.
        """
        ids = np.asarray(tokens, dtype=np.int32).tobytes()
        path = self.folder / _name(context, ids)
        head = json.dumps({"context": context, "tokens": len(tokens), "hash": _hash(ids, state)})
        size = len(_MAGIC) + 4 + len(head) + len(ids) + len(state)
        if size > self.budget_bytes:
            return None
        self._make_room(size, but=path)
        write_atomically(path, b"".join((_MAGIC, len(head).to_bytes(4, "little"), head.encode(), ids, state)),
                         durable=False)
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


def _name(context: str, ids: bytes) -> str:
    return sha256(context.encode() + b"\0" + ids).hexdigest()[:40] + _SUFFIX


def _hash(ids: bytes, state: bytes | bytearray) -> str:
    made = sha256(ids)  # most of what loading takes: 11 ms for 11.5 MB, blake2b 20 ms (a processor with SHA extensions)
    made.update(state)
    return made.hexdigest()


def _head(path: Path) -> tuple[dict[str, Any], NDArray[np.int32], int] | None:
    """Header, token ids and the offset of the state; None for a file that is not one of ours or was cut."""
    try:
        with path.open("rb") as file:
            if file.read(len(_MAGIC)) != _MAGIC:
                return None
            head = json.loads(file.read(min(int.from_bytes(file.read(4), "little"), 1 << 16)))
            match head:
                case {"context": str(context), "tokens": int(tokens), "hash": str(_)}:
                    if not 0 <= 4 * tokens <= os.fstat(file.fileno()).st_size:
                        return None
                case _:
                    return None
            ids = np.frombuffer(file.read(4 * tokens), dtype=np.int32)
            if len(ids) != tokens or path.name != _name(context, ids.tobytes()):
                return None
            return head, ids, file.tell()
    except (OSError, ValueError, RecursionError):
        return None
