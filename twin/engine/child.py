"""Child: a process that makes one object of ours and answers requests about it, over its two pipes.

`Child` is the parent's end, `serve` what the process runs. The child answers one request at a time, so the pipe is
never ahead of the caller. Requests are numbered: a reply nobody waits for any more (Ctrl-C) is skipped, and "cancel"
names the request it means. All that a child prints goes to a file, whose last line says why it died. A child that was
asked to beats: however long it works, it says every `beat_s` that it is there. Knows no llama.cpp.
"""
from __future__ import annotations

import contextlib
import os
import pickle
import queue
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, BinaryIO

from twin.errors import ModelError
from twin.types import Piece

POLL_S = 0.05  # how often `cancel` is asked while the child works
CLOSE_S = 5.0
_CHILD = "import sys; sys.path[:] = sys.argv[2:]; from twin.engine.child import serve; serve(float(sys.argv[1]))"
SHOWN = ("id", "family", "n_ctx", "parameters", "dim")  # attributes of what was made, as far as it has them


class Gone(Exception):
    """The child does not read or answer any more."""


class Raised:
    """An error on its way from the child."""

    def __init__(self, error: Exception) -> None:
        self.error = error


class Child:
    """The process, its pipes, and the thread that reads its replies. `beat_s`: how often it says that it is there."""

    def __init__(self, beat_s: float = 0.0) -> None:
        self.dropped: deque[int] = deque()
        self.heard: float | None = None  # when the last beat came, by time.monotonic; None before the first one
        self._n = 0
        self._replies: queue.SimpleQueue[tuple[int, Any, tuple[str, ...]] | None] = queue.SimpleQueue()
        self._printed = tempfile.TemporaryFile()  # noqa: SIM115 - lives as long as the child
        self._process = subprocess.Popen(  # noqa: S603 - our own code
            [sys.executable, "-c", _CHILD, str(beat_s), *sys.path], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
            stderr=self._printed, env={**os.environ, "GGML_NO_BACKTRACE": "1"})  # a debugger would be started for it
        threading.Thread(target=self._read, daemon=True, name="twin-isolated").start()

    def _read(self) -> None:
        assert self._process.stdout is not None  # noqa: S101 - it is a pipe
        with contextlib.suppress(EOFError, OSError, ValueError, pickle.UnpicklingError):
            while True:
                reply = pickle.load(self._process.stdout)  # noqa: S301 - from our own child
                self.heard = time.monotonic()
                if reply[0]:  # a beat has no number
                    self._replies.put(reply)
        self._replies.put(None)

    def _send(self, message: Any) -> None:
        assert self._process.stdin is not None  # noqa: S101 - it is a pipe
        data = pickle.dumps(message)
        try:
            self._process.stdin.write(data)
            self._process.stdin.flush()
        except (OSError, ValueError) as error:  # ValueError: closed by another thread
            raise Gone from error

    def ask(self, cancel: Callable[[], bool], request: tuple[Any, ...]) -> tuple[Any, tuple[str, ...]]:
        """Send a request and wait for its reply and the engine's notes. Raises Gone when the child has died."""
        self._n += 1
        told = False
        try:
            if cancel():
                told = True
                self._send(("cancel", self._n))
            dropped = [self.dropped.popleft() for _ in range(len(self.dropped))]
            self._send((self._n, dropped, request))
            while True:
                if not told and cancel():
                    told = True
                    self._send(("cancel", self._n))
                with contextlib.suppress(queue.Empty):
                    reply = self._replies.get(timeout=POLL_S)
                    if reply is None:
                        raise Gone
                    if reply[0] == self._n:
                        return reply[1:]
        except BaseException:  # the caller leaves (Ctrl-C): let the child leave what it does as well
            with contextlib.suppress(Gone):
                self._send(("cancel", self._n))
            raise

    @property
    def pid(self) -> int:
        """Of the process."""
        return self._process.pid

    @property
    def runs(self) -> bool:
        """Whether the process has not ended yet."""
        return self._process.poll() is None

    def kill(self) -> None:
        """End the process now, whatever it does; who waits for its reply gets Gone."""
        self._process.kill()

    def end(self) -> str:
        """End the process, wait for it, and say how it ended. A child that has lost its input ends by itself."""
        with contextlib.suppress(OSError):
            if self._process.stdin is not None:
                self._process.stdin.close()
        try:
            status = self._process.wait(CLOSE_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            status = self._process.wait()
        if self._printed.closed:
            return f"exit {status}"
        self._printed.seek(0)
        lines = self._printed.read().decode("utf-8", "replace").split("\n")
        self._printed.close()
        said = next((line.strip() for line in reversed(lines) if line.strip()), "it said nothing")
        how = signal.Signals(-status).name if status < 0 else f"exit {status}"
        return f"{how}: {Path(said).name}"  # ggml begins with the path of its source file


# ---- inside the child ------------------------------------------------------------------------------------------

def serve(beat_s: float = 0.0) -> None:
    """What the child runs: answer requests from stdin on stdout until stdin ends. Prints go where errors go."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches both; the parent decides what it means
    with contextlib.suppress(ImportError):
        import resource  # POSIX only; an abort would first write all the weights into a core dump

        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    source, sink = os.fdopen(os.dup(0), "rb"), os.fdopen(os.dup(1), "wb")
    null = os.open(os.devnull, os.O_RDONLY)
    os.dup2(null, 0)
    os.dup2(2, 1)
    _Server(source, sink, beat_s).run()


class _Server:
    """The engine of this process and the answers it is writing. One thread reads requests, one carries them out."""

    def __init__(self, source: BinaryIO, sink: BinaryIO, beat_s: float) -> None:
        self._source, self._sink = source, sink
        self._requests: queue.SimpleQueue[tuple[int, list[int], tuple[Any, ...]]] = queue.SimpleQueue()
        self._engine: Any = None
        self._streams: dict[int, Iterator[Piece]] = {}
        self._now = self._cancelled = 0  # numbers of requests
        self._writing = threading.Lock()
        threading.Thread(target=self._read, daemon=True).start()
        if beat_s:
            threading.Thread(target=self._beat, args=(beat_s,), daemon=True).start()

    def _beat(self, beat_s: float) -> None:
        """Say again and again that this process runs: llama.cpp and onnxruntime leave the interpreter to others."""
        with contextlib.suppress(OSError, ValueError):
            while True:
                self._write(pickle.dumps((0, None, ())))
                time.sleep(beat_s)

    def _write(self, data: bytes) -> None:
        with self._writing:
            self._sink.write(data)
            self._sink.flush()

    def _read(self) -> None:
        """Requests into the queue, "cancel" past it. Without a parent there is nothing left to do, not even to free."""
        with contextlib.suppress(EOFError, OSError, pickle.UnpicklingError):
            while True:
                message = pickle.load(self._source)  # noqa: S301 - from our own parent
                if message[0] == "cancel":
                    self._cancelled = message[1]
                else:
                    self._requests.put(message)
        os._exit(0)

    def _cancel(self) -> bool:
        return self._now <= self._cancelled

    def run(self) -> None:
        """Carry out requests until the process is ended."""
        while True:
            self._now, dropped, request = self._requests.get()
            reply: Any
            try:
                for key in dropped:
                    self._drop(key)
                reply = self._do(*request)
            except Exception as error:
                reply = Raised(error)
            notes = tuple(getattr(self._engine, "notes", ()))
            try:
                data = pickle.dumps((self._now, reply, notes))
            except Exception as error:  # whatever cannot be pickled, its words can
                said = reply.error if isinstance(reply, Raised) else error
                data = pickle.dumps((self._now, Raised(ModelError(f"{type(said).__name__}: {said}")), notes))
            self._write(data)

    def _do(self, what: str, *rest: Any) -> Any:
        if what == "make":
            factory, args, kwargs = rest[0]
            made = self._engine = factory(*args, **kwargs)
            return {name: getattr(made, name) for name in SHOWN if hasattr(made, name)}
        if what == "open":
            method, keys, args, kwargs = rest
            opened = getattr(self._engine, method)(*args, **kwargs, cancel=self._cancel)
            self._streams.update(zip(keys, opened if method == "stream_many" else [opened], strict=True))
            return None
        if what == "next":
            return next(self._streams[rest[0]], None)
        if what == "prepare":
            return self._engine.prepare(rest[0], keep=rest[1], cancel=self._cancel)
        if what == "within":
            return rest[0](self._engine, *rest[1])
        method, args, kwargs = rest
        return getattr(self._engine, method)(*args, **kwargs)

    def _drop(self, key: int) -> None:
        """Close an answer that nobody wants any more, or that has ended."""
        stream: Any = self._streams.pop(key, None)
        if hasattr(stream, "close"):
            stream.close()
