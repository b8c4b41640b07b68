"""Status: what runs of a twin and how it does, as values, and as a file by which another process sees it.

A twin that answers writes `run/status-PID.json` in its home, at most once a second, and removes it when it closes. No
word of a person is in it. Knows no engine and no agents; who has them fills it.
"""
from __future__ import annotations

import json
import os
import re
import sys
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, fields, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from twin import machine
from twin.errors import TwinError
from twin.home import Home, write_atomically
from twin.placement import Device
from twin.types import to_plain

EVERY_S = 1.0
MOST_BYTES = 262_144
MOST_PARTS = 32
_FILE = re.compile(r"status-([1-9][0-9]{0,9})\.json")
_LARGEST_PID = 2**31 - 1  # of a C int


@dataclass(frozen=True)
class Part:
    """A model that a twin uses. kind: 'core', or a kind of agent. device: where its layers lie, in words; where:
    'here', 'worker 4711' (a process), or the URL of a server. state: idle (not loaded yet), starting, up, down.
    Seconds, bytes and tokens (an embedder: texts) a second; 0 for what is not known."""

    kind: str
    model: str
    device: str = ""
    where: str = "here"
    state: str = "idle"
    memory_bytes: int = 0
    tokens_per_s: float = 0.0
    texts_per_s: float = 0.0
    queue: int = 0
    calls: int = 0
    restarts: int = 0
    next_try_s: float = 0.0
    last_error: str = ""
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Status:
    """A twin: the process it runs in (0: none runs), its models, and the devices that are alive for it."""

    pid: int
    program: str
    time: str
    parts: tuple[Part, ...]
    devices: tuple[Device, ...] = ()

    def __str__(self) -> str:
        return "\n".join(lines(self))

    def _repr_markdown_(self) -> str:
        return "\n".join(f"    {line}" for line in lines(self))


def of(parts: tuple[Part, ...], devices: tuple[Device, ...] = (), *, pid: int | None = None) -> Status:
    """The status of this process."""
    return Status(os.getpid() if pid is None else pid, Path(sys.argv[0] or "python").name,
                  datetime.now(UTC).isoformat(timespec="seconds"), parts, devices)


def lines(status: Status) -> list[str]:
    """The same as lines of text: devices, then parts, then what is wrong with them."""
    said = [f"{one.name:8} {one.kind:5} {_gib(one.free_bytes)} free of {_gib(one.total_bytes)}  {one.description}"
            + (f" at {one.server}" if one.server else "") for one in status.devices]
    for one in status.parts:
        speed = f"{one.tokens_per_s:.1f} tokens/s" if one.tokens_per_s else \
            f"{one.texts_per_s:.1f} texts/s" if one.texts_per_s else "-"
        memory = _gib(one.memory_bytes) if one.memory_bytes else "-"
        place = ", ".join(filter(None, (one.device, one.where))) or "not loaded"
        said.append(f"{one.kind:10} {one.state:8} {one.model}  {place}; memory {memory}, {speed}, {one.queue} waiting, "
                    f"{one.restarts} restarts")
        if one.last_error:
            due = f" (next try in {one.next_try_s:.0f} s)" if one.next_try_s else ""
            said.append(f"{'':10} last error: {one.last_error}{due}")
        said += [f"{'':10} {note}" for note in one.notes]
    return said


def _gib(size: int) -> str:
    return f"{size / 2**30:.1f} GiB"


# ---- the file --------------------------------------------------------------------------------------------------------

class Publisher:
    """Writes the status of this process into the home of its twin, so that `twin status` elsewhere shows it."""

    def __init__(self, home: Home, clock: Callable[[], float] = time.monotonic) -> None:
        self._folder, self._clock = home.root / "run", clock
        self._path = self._folder / f"status-{os.getpid()}.json"
        self._lock = threading.Lock()
        self._last: float | None = None
        self._later: threading.Timer | None = None

    def publish(self, made: Callable[[], Status]) -> None:
        """Write it, or once a second is over since the last time. A disk that is full is no matter of a turn."""
        with self._lock:
            left = 0.0 if self._last is None else EVERY_S - (self._clock() - self._last)
            if left <= 0:
                self._write(made)
            elif self._later is None:
                self._later = threading.Timer(left, self._publish_late, (made,))
                self._later.daemon = True
                self._later.start()

    def _publish_late(self, made: Callable[[], Status]) -> None:
        with self._lock:
            if self._later is not None:  # else it was closed meanwhile
                self._later = None
                self._write(made)

    def _write(self, made: Callable[[], Status]) -> None:
        self._last = self._clock()
        with suppress(TwinError, OSError):
            self._folder.mkdir(mode=0o700, exist_ok=True)
            write_atomically(self._path, json.dumps(to_plain(made()), ensure_ascii=False), durable=False)

    def close(self) -> None:
        """Remove the file; a folder without others goes too."""
        with self._lock:
            if self._later is not None:
                self._later.cancel()
                self._later = None
            if self._last is not None:
                self._last = None
                with suppress(OSError):
                    self._path.unlink(missing_ok=True)
                    self._folder.rmdir()


def running(home: Home) -> list[Status]:
    """What runs of the twin in a home, in processes of this machine. Files of those that ended are removed; what cannot
    be read, and what has another name, is left as it is."""
    found = []
    for path in sorted((home.root / "run").glob("status-*.json")):
        named = _FILE.fullmatch(path.name)
        if named is None or int(named[1]) > _LARGEST_PID:
            continue
        pid = int(named[1])
        if not machine.runs(pid):
            with suppress(OSError):
                path.unlink(missing_ok=True)
            continue
        with suppress(OSError, ValueError, TypeError, AttributeError, KeyError, RecursionError):
            if path.stat().st_size <= MOST_BYTES:
                found.append(replace(_read(json.loads(path.read_text("utf-8"))), pid=pid))
    return found


def _read(told: Any) -> Status:
    """A status from its file. Raises ValueError, TypeError or KeyError for anything else."""
    parts = []
    for one in told["parts"][:MOST_PARTS]:
        values: dict[str, Any] = {}
        for field in fields(Part):
            if field.name in one:
                value = one[field.name]
                wanted: dict[str, Any] = {"str": str, "int": int, "float": (int, float), "tuple[str, ...]": list}
                if not isinstance(value, wanted[str(field.type)]):
                    raise TypeError(field.name)
                values[field.name] = tuple(str(item) for item in value) if isinstance(value, list) else value
        parts.append(Part(**values))
    return Status(0, str(told["program"]), str(told["time"]), tuple(parts))
