"""IsolatedEngine: an engine in a child process, so that a device that dies takes the child down and not the twin.

ggml aborts the whole process when an RPC worker or a card dies under it. Here that is DeviceLost, and the next call
starts a new child, which looks anew at what is alive. Knows pipes and processes; knows no llama.cpp.

The child answers one request at a time, so the pipe is never ahead of the caller: a piece is made when it is pulled,
as in process. Requests are numbered: a reply nobody waits for any more (Ctrl-C) is skipped, and "cancel" names the
request it means. All that a child prints goes to a file, whose last line says why it died.
"""
from __future__ import annotations

import contextlib
import itertools
import os
import pickle
import queue
import signal
import subprocess
import sys
import tempfile
import threading
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, BinaryIO

from twin.engine import devices
from twin.errors import DeviceLost, ModelBroken, ModelError, TwinError
from twin.types import Engine, Family, Piece, Prompt, Sampling, Score, never

POLL_S = 0.05  # how often `cancel` is asked while the child works
CLOSE_S = 5.0
_CHILD = "import sys; sys.path[:] = sys.argv[1:]; from twin.engine.isolated import serve; serve()"


class IsolatedEngine:
    """The engine that `factory(*args, **kwargs)` makes, in a process of its own; see types.Engine.

    factory: LlamaEngine when None; it, its arguments and all nouns are pickled. Errors arrive as they were raised;
    every call can also raise DeviceLost (the child died; ask again) and, while a new child loads, what the factory
    raises. Answers that were being written when a child died are lost.
    """

    id: str
    family: Family
    n_ctx: int
    parameters: int

    def __init__(self, *args: Any, factory: Callable[..., Engine] | None = None, **kwargs: Any) -> None:
        if factory is None:
            from twin.engine.llama import LlamaEngine  # deferred: a factory of one's own needs none of it

            factory = LlamaEngine
        self._make = (factory, args, kwargs)
        self._servers: tuple[str, ...] = getattr(kwargs.get("placement"), "servers", ())
        self._lock = threading.Lock()  # one request at a time; a second thread waits
        self._child: _Child | None = None
        self._closed = False
        self._notes: tuple[str, ...] = ()
        self._lost: tuple[str, ...] = ()
        with self._lock:
            self._alive(never)

    def __repr__(self) -> str:
        return f"IsolatedEngine({self.id}, n_ctx={self.n_ctx})"

    @property
    def notes(self) -> tuple[str, ...]:
        """The engine's own notes, and one for each child that was lost."""
        return (*self._notes, *self._lost)

    def tokenize(self, text: str, *, special: bool = False) -> list[int]:
        """Token ids of a text, see types.Engine."""
        return list(self._call("tokenize", text, special=special))

    def stream(self, prompt: Prompt, sampling: Sampling, *, schema: Mapping[str, Any] | None = None,
               cancel: Callable[[], bool] = never) -> Iterator[Piece]:
        """Continue a prompt; `cancel` is asked here, between pieces and every POLL_S while the child works."""
        return self._open("stream", 1, cancel, prompt, sampling, schema=schema)[0]

    def stream_many(self, prompts: Sequence[Prompt], samplings: Sequence[Sampling], *,
                    schemas: Sequence[Mapping[str, Any] | None] = (),
                    cancel: Callable[[], bool] = never) -> list[Iterator[Piece]]:
        """Several continuations at once, see types.Engine."""
        return self._open("stream_many", len(prompts), cancel, tuple(prompts), tuple(samplings), schemas=tuple(schemas))

    def score(self, prompt: Prompt, continuation: str, *, temperature: float = 1.0) -> Score:
        """Bits of a text as the continuation of the prompt."""
        scored: Score = self._call("score", prompt, continuation, temperature=temperature)
        return scored

    def prepare(self, prompt: Prompt, *, keep: bool = False, cancel: Callable[[], bool] = never) -> int:
        """Read what the prompt shares; `cancel` is asked every POLL_S, and before a child is started for it."""
        if self._child is None and cancel():
            return 0
        return int(self._ask(cancel, "prepare", prompt, keep))

    def choose(self, prompt: Prompt, options: Sequence[str]) -> list[float]:
        """Probabilities of the options as the next text."""
        return list(self._call("choose", prompt, tuple(options)))

    def within(self, function: Callable[..., Any], *args: Any) -> Any:
        """What `function(engine, *args)` gives in the child. All of it is pickled, a function by its name."""
        return self._ask(never, "within", function, args)

    def close(self) -> None:
        """End the child and wait for it; a second call does nothing."""
        with self._lock:
            self._closed = True
            if self._child is not None:
                self._child.end()
                self._child = None

    # ---- the child ---------------------------------------------------------------------------------------------

    def _call(self, method: str, *args: Any, **kwargs: Any) -> Any:
        return self._ask(never, "call", method, args, kwargs)

    def _open(self, method: str, count: int, cancel: Callable[[], bool], *args: Any,
              **kwargs: Any) -> list[Iterator[Piece]]:
        with self._lock:
            child = self._alive(cancel)
            streams: list[Iterator[Piece]] = [_Pieces(self, child, cancel) for _ in range(count)]
            keys = [stream.key for stream in streams if isinstance(stream, _Pieces)]
            self._exchange(child, cancel, "open", method, keys, args, kwargs)
        return streams

    def _ask(self, cancel: Callable[[], bool], *request: Any, child: _Child | None = None) -> Any:
        with self._lock:
            if child is not None and child is not self._child and not self._closed:
                raise DeviceLost("The process that wrote this answer has ended.", "Ask again.")
            return self._exchange(self._alive(cancel), cancel, *request)

    def _alive(self, cancel: Callable[[], bool]) -> _Child:
        """The child, started now if there is none."""
        if self._closed:
            raise ModelError("The engine is closed.", "Open the twin again.")
        if self._child is None:
            self._child = _Child()
            try:
                self.id, self.family, self.n_ctx, self.parameters = self._exchange(
                    self._child, cancel, "make", self._make)
            except BaseException:
                if self._child is not None:
                    self._child.end()
                    self._child = None
                raise
        return self._child

    def _exchange(self, child: _Child, cancel: Callable[[], bool], *request: Any) -> Any:
        try:
            reply, notes = child.ask(cancel, request)
        except _Gone as error:
            self._child = None
            raise self._death(child, loading=request[0] == "make") from error
        self._notes = notes
        if isinstance(reply, _Raised):
            raise reply.error
        return reply

    def _death(self, child: _Child, *, loading: bool) -> TwinError:
        """What a dead child means, in words: the workers that do not answer, the last line it printed."""
        how = child.end()
        silent = [server for server in self._servers if not devices.answers(server)]
        if loading and not silent:
            return ModelBroken(f"The core cannot be loaded: its process ended ({how}).",
                               "Choose a smaller core or a shorter context, or free memory.")
        who = f"The worker {', '.join(silent)} does not answer any more" if silent else "A device failed"
        self._lost = (*self._lost, f"{who}; the core was loaded anew on what is left.")
        return DeviceLost(f"{who}; the process of the core ended ({how}).",
                          "Ask again: the core is then loaded on what is left.")


class _Pieces(Iterator[Piece]):
    """One answer in the child. Whoever drops it half-way says so with the next request, from whatever thread."""

    _keys = itertools.count(1)

    def __init__(self, engine: IsolatedEngine, child: _Child, cancel: Callable[[], bool]) -> None:
        self.key = next(self._keys)
        self._engine, self._child, self._cancel = engine, child, cancel
        self._done = False

    def __next__(self) -> Piece:
        if self._done:
            raise StopIteration
        try:
            piece: Piece | None = self._engine._ask(self._cancel, "next", self.key, child=self._child)
        except BaseException:
            self.close()
            raise
        if piece is None:
            self.close()
            raise StopIteration
        return piece

    def close(self) -> None:
        """End this answer. No request is sent: a garbage collector may call this while one is under way."""
        if not self._done:
            self._done = True
            self._child.dropped.append(self.key)

    def __del__(self) -> None:
        self.close()


class _Gone(Exception):
    """The child does not read or answer any more."""


class _Raised:
    """An error on its way from the child."""

    def __init__(self, error: Exception) -> None:
        self.error = error


class _Child:
    """The process, its pipes, and the thread that reads its replies."""

    def __init__(self) -> None:
        self.dropped: deque[int] = deque()
        self._n = 0
        self._replies: queue.SimpleQueue[tuple[int, Any, tuple[str, ...]] | None] = queue.SimpleQueue()
        self._printed = tempfile.TemporaryFile()  # noqa: SIM115 - lives as long as the child
        self._process = subprocess.Popen(  # noqa: S603 - our own code
            [sys.executable, "-c", _CHILD, *sys.path], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
            stderr=self._printed, env={**os.environ, "GGML_NO_BACKTRACE": "1"})  # a debugger would be started for it
        threading.Thread(target=self._read, daemon=True, name="twin-isolated").start()

    def _read(self) -> None:
        assert self._process.stdout is not None  # noqa: S101 - it is a pipe
        with contextlib.suppress(EOFError, OSError, ValueError, pickle.UnpicklingError):
            while True:
                self._replies.put(pickle.load(self._process.stdout))  # noqa: S301 - from our own child
        self._replies.put(None)

    def _send(self, message: Any) -> None:
        assert self._process.stdin is not None  # noqa: S101 - it is a pipe
        data = pickle.dumps(message)
        try:
            self._process.stdin.write(data)
            self._process.stdin.flush()
        except OSError as error:
            raise _Gone from error

    def ask(self, cancel: Callable[[], bool], request: tuple[Any, ...]) -> tuple[Any, tuple[str, ...]]:
        """Send a request and wait for its reply and the engine's notes. Raises _Gone when the child has died."""
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
                        raise _Gone
                    if reply[0] == self._n:
                        return reply[1:]
        except BaseException:  # the caller leaves (Ctrl-C): let the child leave what it does as well
            with contextlib.suppress(_Gone):
                self._send(("cancel", self._n))
            raise

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

def serve() -> None:
    """What the child runs: answer requests from stdin on stdout until stdin ends. Prints go where errors go."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches both; the parent decides what it means
    with contextlib.suppress(ImportError):
        import resource  # POSIX only; an abort would first write all the weights into a core dump

        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    source, sink = os.fdopen(os.dup(0), "rb"), os.fdopen(os.dup(1), "wb")
    null = os.open(os.devnull, os.O_RDONLY)
    os.dup2(null, 0)
    os.dup2(2, 1)
    _Server(source, sink).run()


class _Server:
    """The engine of this process and the answers it is writing. One thread reads requests, one carries them out."""

    def __init__(self, source: BinaryIO, sink: BinaryIO) -> None:
        self._source, self._sink = source, sink
        self._requests: queue.SimpleQueue[tuple[int, list[int], tuple[Any, ...]]] = queue.SimpleQueue()
        self._engine: Any = None
        self._streams: dict[int, Iterator[Piece]] = {}
        self._now = self._cancelled = 0  # numbers of requests
        threading.Thread(target=self._read, daemon=True).start()

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
                reply = _Raised(error)
            notes = tuple(getattr(self._engine, "notes", ()))
            try:
                data = pickle.dumps((self._now, reply, notes))
            except Exception as error:  # whatever cannot be pickled, its words can
                said = reply.error if isinstance(reply, _Raised) else error
                data = pickle.dumps((self._now, _Raised(ModelError(f"{type(said).__name__}: {said}")), notes))
            self._sink.write(data)
            self._sink.flush()

    def _do(self, what: str, *rest: Any) -> Any:
        if what == "make":
            factory, args, kwargs = rest[0]
            engine = self._engine = factory(*args, **kwargs)
            return engine.id, engine.family, engine.n_ctx, engine.parameters
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
