"""A program in a pseudo-terminal of 120x40 that is read as fast as it writes, and when letters stood on its screen."""
from __future__ import annotations

import fcntl
import os
import pty
import re
import select
import struct
import subprocess
import termios
import time
from collections.abc import Callable, Sequence
from types import TracebackType

ROWS, COLUMNS = 40, 120
PATIENCE_S, QUIET_S = 600.0, 1.0
_ESCAPES = re.compile(rb"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)|P[^\x1b]*\x1b\\|[()][A-Z0-9]|"
                      rb"[=>78cM])")
_LETTERS = 12  # so many letters are words, no echo and no box
_BLINK = 800   # bytes: a cursor that blinks is no work


class Terminal:
    """Starts the program; a context manager that ends it."""

    def __init__(self, program: Sequence[str]) -> None:
        self._master, slave = pty.openpty()
        fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", ROWS, COLUMNS, 0, 0))
        self._began = time.perf_counter()
        environment = {**os.environ, "TERM": "xterm-256color", "COLORTERM": "truecolor"}
        self._child = subprocess.Popen(program, stdin=slave, stdout=slave, stderr=slave, start_new_session=True,
                                       env=environment)
        os.close(slave)
        self._told, self._last = b"", self._began

    def __enter__(self) -> Terminal:
        return self

    def __exit__(self, *_: type[BaseException] | BaseException | TracebackType | None) -> None:
        self._child.kill()
        self._child.wait()
        os.close(self._master)

    @property
    def age(self) -> float:
        """Seconds since the start."""
        return time.perf_counter() - self._began

    @property
    def ended(self) -> bool:
        """Whether the program is over."""
        return self._child.poll() is not None

    def painted(self) -> bool:
        """Whether letters stand on its screen."""
        return sum(map(str.isalpha, _ESCAPES.sub(b" ", self._told).decode("utf-8", "replace"))) >= _LETTERS

    def quiet(self) -> bool:
        """Whether it has written next to nothing for a second."""
        return time.perf_counter() - self._last > QUIET_S

    def rest(self) -> None:
        """Read until it is quiet."""
        self._last = time.perf_counter()
        self.until(self.quiet)

    def write(self, keys: str) -> None:
        """Press keys."""
        os.write(self._master, keys.encode("utf-8"))
        self._last = time.perf_counter()

    def until(self, condition: Callable[[], bool]) -> None:
        """Read what it writes until this is so."""
        end = time.perf_counter() + PATIENCE_S
        while not condition():
            if time.perf_counter() > end:
                raise TimeoutError(f"not within {PATIENCE_S:.0f} s; it wrote {self._told[-2000:]!r}")
            ready, _, _ = select.select([self._master], [], [], 0.005)
            if not ready:
                continue
            try:
                told = os.read(self._master, 1 << 16)
            except OSError:  # it has closed its side
                self._child.wait()
                continue
            self._told = (self._told + told)[-200_000:]
            if len(told) > _BLINK:
                self._last = time.perf_counter()
