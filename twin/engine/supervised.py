"""Supervised: an engine or an embedder that may die, watched: what dies is named, and started again in the background.

A call finds it up, or fails at once with DeviceLost, which says when the next try is: whoever asks never waits for what
is dead. Only the first start is waited for, as one waits for a core to load. A death, a worker that falls silent and a
call over its deadline are one: its process is ended, and another one starts after 1, 2, 4 ... 60 s. What runs in this
process or behind a URL cannot be ended from here; it is put aside in the same way. Knows no twin and no roles.
"""
from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from typing import Any, Literal

from twin import machine
from twin.engine.child import Child
from twin.engine.isolated import IsolatedEmbedder, IsolatedEngine
from twin.errors import (
    CannotDo,
    ContextFull,
    DeviceLost,
    ModelError,
    ModelMissing,
    PromptTooLong,
    StaleAdapter,
    TwinError,
)
from twin.types import Family, Piece, Prompt, Sampling, Score, never

State = Literal["idle", "starting", "up", "down"]

BEAT_S = 1.0       # how often a worker says that it is there
SILENT_S = 5.0     # without a word: it hangs
START_S = 120.0    # until its first word, and for all that it loads
JOIN_S = 5.0       # that `close` waits for threads: one that hangs in a foreign call ends with the process
DEADLINE_S = 600.0  # of one request: the first token of a long prompt takes minutes on a processor
LONGEST_S = 60.0   # between two starts
STEADY_S = 60.0    # up for so long: the next death counts as the first one
TICK_S = 0.1       # how often the watcher looks while something is under way
# What says something of the request and nothing of who was asked.
_SOUND = (CannotDo, ContextFull, ModelMissing, PromptTooLong, StaleAdapter)


@dataclass(frozen=True)
class Health:
    """How it does. `next_try_s`: seconds until it is started again (0: no start is due); `calls` that ended; `queue`:
    calls under way or waiting; tokens_per_s: of the last answer (0: none yet, or an embedder, for which texts_per_s is
    that of the last call); memory_bytes and pid of its process, 0 where it has none of its own."""

    state: State
    restarts: int = 0
    last_error: str = ""
    next_try_s: float = 0.0
    calls: int = 0
    tokens_per_s: float = 0.0
    texts_per_s: float = 0.0
    queue: int = 0
    memory_bytes: int = 0
    pid: int = 0


class Supervised:
    """What `factory(*args, **kwargs)` makes, watched; its subclasses are an engine and an embedder.

    name: what it is called in errors. apart: in a worker process (all is pickled), else in this one, where the factory
    may have a `cut` that ends what it is making. start_s: how long a first start is waited for; later ones, for which
    nobody waits, have START_S at least. clock: seconds, by which the waits between starts are counted. Nothing starts
    before the first call, or `start`.
    """

    _isolated: Callable[..., Any]

    def __init__(self, name: str, factory: Callable[..., Any], args: Sequence[Any] = (),
                 kwargs: Mapping[str, Any] | None = None, *, apart: bool = True, silent_s: float = SILENT_S,
                 start_s: float = START_S, deadline_s: float = DEADLINE_S,
                 clock: Callable[[], float] = time.monotonic) -> None:
        self.name, self.apart = name, apart
        self._how = factory, tuple(args), dict(kwargs or {})
        self._silent_s, self._start_s, self._deadline_s, self._clock = silent_s, start_s, deadline_s, clock
        self._changed = threading.Condition()
        self._state: State = "idle"
        self._made: Any = None
        self._child: Child | None = None
        self._killed = self._error = ""  # why the watcher ended the child; what went wrong last
        self._known: dict[str, Any] = {}
        self._starter: threading.Thread | None = None
        self._watcher: threading.Thread | None = None
        self._closed = False
        self._starts = self._failures = self._calls = self._queue = 0
        self._next_try = self._up_since = 0.0
        self._began = self._moved = 0.0  # by time.monotonic: the start under way; when a request last began or ended
        self._tokens_per_s = self._texts_per_s = 0.0

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.name}, {self._state})"

    @property
    def notes(self) -> tuple[str, ...]:
        """What differs from what was asked for, and that it is down."""
        made, health = self._made, self.health
        own = tuple(getattr(made, "notes", ())) if made is not None else ()
        return own if health.state != "down" else (self._refusal().what,)

    @property
    def health(self) -> Health:
        """How it does now."""
        with self._changed:
            child = self._child
            return Health(self._state, max(self._starts - 1, 0), self._error,
                          max(self._next_try - self._clock(), 0.0) if self._state == "down" else 0.0, self._calls,
                          self._tokens_per_s, self._texts_per_s, self._queue,
                          machine.resident_bytes(child.pid) if child and child.runs else 0, child.pid if child else 0)

    def start(self) -> None:
        """Start it in the background, where it was not started yet."""
        with self._changed:
            if self._state == "idle" and not self._closed:
                self._begin()

    def usable(self) -> bool:
        """Whether a call would be tried: waits for a first start, never for what is down."""
        with suppress(DeviceLost):
            self._ready()
            return True
        return False

    def close(self) -> None:
        """End it and wait for it, JOIN_S at most; a second call does nothing, other calls raise ModelError."""
        with self._changed:
            self._closed = True
            made, self._made, child = self._made, None, self._child
            self._changed.notify_all()
        self._cut(child)
        end = time.monotonic() + JOIN_S
        for thread in (self._starter, self._watcher):
            if thread is not None and thread is not threading.current_thread():
                thread.join(max(end - time.monotonic(), 0.0))
        if made is not None:
            made.close()
        self._child = None

    # ---- calls ---------------------------------------------------------------------------------------------------

    def _ready(self) -> Any:
        """What was made. Raises DeviceLost at once where it is down, ModelError after `close`."""
        with self._changed:
            if self._state == "idle" and not self._closed:
                self._begin()
            while self._state == "starting" and self._starts == 1 and not self._closed:
                self._changed.wait(TICK_S)  # in slices: a signal is heard, and the watcher ends what takes too long
            if self._closed:
                raise ModelError(f"The agent {self.name} is closed.", "Open the twin again.")
            if self._state == "down" and self._clock() >= self._next_try:
                self._begin()  # what never came up is not tried again unasked
            if self._made is None:
                raise self._refusal()
            return self._made

    def _refusal(self) -> DeviceLost:
        wait = max(self._next_try - self._clock(), 0.0)
        when = f"is tried again in {wait:.0f} s" if self._state == "down" and wait else "is being started again"
        return DeviceLost(f"The agent {self.name} is down and {when}: {self._error}",
                          "The twin goes on without it; `twin status` tells more.")

    @contextmanager
    def _calling(self, made: Any = None) -> Iterator[Any]:
        """A call on what was made, or on what made the answer that goes on. Raises DeviceLost when it dies under it."""
        made = self._ready() if made is None else made
        with self._changed:
            self._queue += 1
            if self._queue == 1:
                self._moved = time.monotonic()
        try:
            yield made
        except ModelError as error:
            with self._changed:
                stands = self._made is made or self._closed
            if isinstance(error, _SOUND) or (self.apart and stands and not isinstance(error, DeviceLost)):
                raise
            raise self._fallen(made, error) from error
        finally:
            with self._changed:
                self._queue -= 1
                self._moved = time.monotonic()

    def _call(self, method: str, *args: Any, **kwargs: Any) -> Any:
        with self._calling() as made:
            done = getattr(made, method)(*args, **kwargs)
        self._calls += 1
        return done

    def _shown(self, name: str) -> Any:
        """An attribute of what was made: once it was up it is known, also while it is down."""
        if name not in self._known:
            self._known[name] = getattr(self._ready(), name)
        return self._known[name]

    # ---- starting, and what ends -----------------------------------------------------------------------------------

    def _begin(self) -> None:
        """Start it in a thread. The caller holds the lock."""
        self._state, self._killed, self._child = "starting", "", None
        self._starts += 1
        self._began = time.monotonic()
        self._starter = threading.Thread(target=self._start, args=(self._starts,), daemon=True,
                                         name=f"twin-start-{self.name}")
        self._starter.start()
        if self._watcher is None:
            self._watcher = threading.Thread(target=self._watch, daemon=True, name=f"twin-watch-{self.name}")
            self._watcher.start()
        self._changed.notify_all()

    def _start(self, number: int) -> None:
        factory, args, kwargs = self._how
        made, error = None, ""
        try:
            made = self._isolated(*args, factory=factory, again=False, beat_s=BEAT_S, **kwargs,
                                  started=partial(self._has, number)) if self.apart else factory(*args, **kwargs)
            self._known.update({name: getattr(made, name) for name in self._names if hasattr(made, name)})
        except TwinError as raised:
            error = self._killed or raised.what
        except Exception as raised:  # whatever a foreign factory raises: by its kind, its words may be anybody's
            error = f"{type(raised).__name__}."
        with self._changed:
            if self._awaits(number) and made is None:
                self._down(error)
            elif self._awaits(number):
                self._made, self._state, self._up_since = made, "up", self._clock()
                made = None
            self._changed.notify_all()
        if made is not None:  # closed meanwhile, or given up
            made.close()

    _names: tuple[str, ...] = ()

    def _awaits(self, number: int) -> bool:
        return number == self._starts and self._state == "starting" and not self._closed

    def _has(self, number: int, child: Child) -> None:
        with self._changed:
            if self._awaits(number):
                self._child = child
            else:
                child.kill()

    def _cut(self, child: Child | None) -> None:
        """End what is there of a start: its process, or its connections."""
        for end in (getattr(child, "kill", None), getattr(self._how[0], "cut", None)):
            if end is not None:
                end()

    def _down(self, error: str) -> None:
        """The caller holds the lock."""
        if self._state == "up" and self._clock() - self._up_since >= STEADY_S:
            self._failures = 0
        self._state, self._made, self._error = "down", None, error
        self._next_try = self._clock() + min(2.0 ** self._failures, LONGEST_S)
        self._failures = min(self._failures + 1, 16)
        self._changed.notify_all()

    def _fallen(self, made: Any, error: ModelError | None = None) -> DeviceLost:
        """Put aside what died, by whoever notices first, and say so."""
        with self._changed:
            first = self._made is made and self._state == "up"
            if first:
                ended = getattr(made, "ended", "")
                self._down(self._killed or (f"Its process ended ({ended})." if ended else error.what if error
                                            else "Its process ended."))
            refusal = self._refusal()
        if first:
            made.close()
        return refusal

    # ---- the watcher -----------------------------------------------------------------------------------------------

    def _watch(self) -> None:
        while True:
            with self._changed:
                if self._closed:
                    return
                self._look(time.monotonic())
                made = self._made if self._state == "up" and self._child and not self._child.runs else None
            if made is not None:
                self._fallen(made)
            with self._changed:
                busy = self._queue or self._state in ("starting", "down")
                if not self._closed:
                    self._changed.wait(TICK_S if busy else BEAT_S)

    def _look(self, now: float) -> None:
        """End what hangs, start what is due. The caller holds the lock."""
        child = self._child
        limit = self._start_s if self._starts == 1 else max(self._start_s, START_S)
        if self._state == "down" and self._known and self._clock() >= self._next_try:
            self._begin()
        elif self._state == "starting" and now - self._began > limit:
            self._down(f"It did not start within {limit:g} s.")
            self._cut(child)
        elif child is None or not child.runs or self._killed:
            return
        elif child.heard is not None and now - child.heard > self._silent_s:
            self._killed = f"It did not answer for {self._silent_s:g} s."
        elif self._queue and now - self._moved > self._deadline_s:
            self._killed = f"A call took longer than {self._deadline_s:g} s."
        if self._killed and child is not None:
            child.kill()


class SupervisedEmbedder(Supervised):
    """An embedder, watched; see types.Embedder."""

    _isolated = IsolatedEmbedder
    _names = ("id", "dim")  # the protocol wants plain attributes; they are known once it was up
    id: str = property(lambda self: self._shown("id"))  # type: ignore[assignment]
    dim: int = property(lambda self: self._shown("dim"))  # type: ignore[assignment]

    def embed(self, texts: Sequence[str]) -> list[list[float]]:
        """One unit vector for each text. Raises DeviceLost at once where it is down."""
        return self._timed("embed", texts)

    def embed_query(self, texts: Sequence[str]) -> list[list[float]]:
        """As `embed`, for questions; the same where they are read alike."""
        return self._timed("embed_query", texts)

    def _timed(self, method: str, texts: Sequence[str]) -> list[list[float]]:
        began = time.perf_counter()
        if not hasattr(self._ready(), method):
            method = "embed"
        vectors: list[list[float]] = self._call(method, texts)
        self._texts_per_s = len(texts) / max(time.perf_counter() - began, 1e-6)
        return vectors


class SupervisedEngine(Supervised):
    """An engine, watched; see types.Engine. Every method raises DeviceLost at once where it is down, and when it dies
    under the call; answers that were being written are then lost."""

    _isolated = IsolatedEngine
    _names = ("id", "family", "n_ctx", "parameters")
    id: str = property(lambda self: self._shown("id"))  # type: ignore[assignment]
    family: Family = property(lambda self: self._shown("family"))  # type: ignore[assignment]
    n_ctx: int = property(lambda self: self._shown("n_ctx"))  # type: ignore[assignment]
    parameters: int = property(lambda self: self._shown("parameters"))  # type: ignore[assignment]

    def tokenize(self, text: str, *, special: bool = False) -> list[int]:
        """Token ids of a text."""
        return list(self._call("tokenize", text, special=special))

    def stream(self, prompt: Prompt, sampling: Sampling, *, schema: Mapping[str, Any] | None = None,
               cancel: Callable[[], bool] = never) -> Iterator[Piece]:
        """Continue a prompt."""
        with self._calling() as made:
            return _Answer(self, made, made.stream(prompt, sampling, schema=schema, cancel=cancel))

    def stream_many(self, prompts: Sequence[Prompt], samplings: Sequence[Sampling], *,
                    schemas: Sequence[Mapping[str, Any] | None] = (),
                    cancel: Callable[[], bool] = never) -> list[Iterator[Piece]]:
        """Several continuations at once."""
        with self._calling() as made:
            return [_Answer(self, made, stream) for stream in made.stream_many(prompts, samplings, schemas=schemas,
                                                                              cancel=cancel)]

    def score(self, prompt: Prompt, continuation: str, *, temperature: float = 1.0) -> Score:
        """Bits of a text as the continuation of the prompt."""
        scored: Score = self._call("score", prompt, continuation, temperature=temperature)
        return scored

    def prepare(self, prompt: Prompt, *, keep: bool = False, cancel: Callable[[], bool] = never) -> int:
        """Read what the prompt shares."""
        return int(self._call("prepare", prompt, keep=keep, cancel=cancel))

    def choose(self, prompt: Prompt, options: Sequence[str]) -> list[float]:
        """Probabilities of the options as the next text."""
        return list(self._call("choose", prompt, options))


class _Answer(Iterator[Piece]):
    """One answer that is being written: each piece is a call on what began it."""

    def __init__(self, engine: SupervisedEngine, made: Any, pieces: Iterator[Piece]) -> None:
        self._engine, self._made, self._pieces = engine, made, pieces

    def __next__(self) -> Piece:
        with self._engine._calling(self._made):
            piece = next(self._pieces, None)
        if piece is None:
            raise StopIteration
        if piece.finish is not None:
            self._engine._calls += 1
            if (used := piece.usage) and used.generated and used.total_s > used.first_token_s:
                self._engine._tokens_per_s = used.generated / (used.total_s - used.first_token_s)
        return piece

    def close(self) -> None:
        """End it half-way."""
        if close := getattr(self._pieces, "close", None):
            close()
