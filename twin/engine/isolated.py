"""Isolated: an engine or an embedder in a child process, so that a device that dies takes that down and not the twin.

ggml aborts the whole process when an RPC worker or a card dies under it. Here that is DeviceLost, and the next call
starts a new child, which looks anew at what is alive. Knows pipes and processes; knows no llama.cpp.

The child answers one request at a time, so the pipe is never ahead of the caller: a piece is made when it is pulled,
as in process.
"""
from __future__ import annotations

import itertools
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from twin.engine import devices
from twin.engine.child import Child, Gone, Raised
from twin.errors import DeviceLost, ModelBroken, ModelError, TwinError
from twin.types import Embedder, Engine, Family, Piece, Prompt, Sampling, Score, never


class Isolated:
    """What `factory(*args, **kwargs)` makes, in a process of its own: an engine (IsolatedEngine) or an embedder
    (IsolatedEmbedder), with its plain attributes (child.SHOWN).

    The factory, its arguments and all nouns are pickled. Errors arrive as they were raised; every call can also raise
    DeviceLost (the child died; ask again) and, while a new child loads, what the factory raises. `again=False`: a child
    that died is not followed by another one. `beat_s`: how often the child says that it is there (0: never). `started`:
    called with each child before it loads.
    """

    def __init__(self, *args: Any, factory: Callable[..., Any], again: bool = True, beat_s: float = 0.0,
                 started: Callable[[Child], None] | None = None, **kwargs: Any) -> None:
        self._make = (factory, args, kwargs)
        self._servers: tuple[str, ...] = tuple(
            kwargs.get("servers") or getattr(kwargs.get("placement"), "servers", None) or ())
        self._lock = threading.Lock()  # one request at a time; a second thread waits
        self._child: Child | None = None
        self._again, self._beat_s, self._started = again, beat_s, started
        self._closed = False
        self._notes: tuple[str, ...] = ()
        self._lost: tuple[str, ...] = ()
        self.ended = ""  # how the last child that died ended
        with self._lock:
            self._alive(never)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({getattr(self, 'id', 'not made')})"

    @property
    def notes(self) -> tuple[str, ...]:
        """The engine's own notes, and one for each child that was lost."""
        return (*self._notes, *self._lost)

    @property
    def pid(self) -> int | None:
        """Of the child; None where there is none."""
        child = self._child
        return child.pid if child else None

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

    def _ask(self, cancel: Callable[[], bool], *request: Any, child: Child | None = None) -> Any:
        with self._lock:
            if child is not None and child is not self._child and not self._closed:
                raise DeviceLost("The process that wrote this answer has ended.", "Ask again.")
            return self._exchange(self._alive(cancel), cancel, *request)

    def _alive(self, cancel: Callable[[], bool]) -> Child:
        """The child, started now if there is none."""
        if self._closed:
            raise ModelError("The engine is closed.", "Open the twin again.")
        if self._child is None:
            if self.ended and not self._again:
                raise DeviceLost(f"The process has ended ({self.ended}).", "Ask again.")
            self._child = Child(self._beat_s)
            if self._started:
                self._started(self._child)
            try:
                vars(self).update(self._exchange(self._child, cancel, "make", self._make))
            except BaseException:
                if self._child is not None:
                    self._child.end()
                    self._child = None
                raise
        return self._child

    def _exchange(self, child: Child, cancel: Callable[[], bool], *request: Any) -> Any:
        try:
            reply, notes = child.ask(cancel, request)
        except Gone as error:
            self._child = None
            raise self._death(child, loading=request[0] == "make") from error
        self._notes = notes
        if isinstance(reply, Raised):
            raise reply.error
        return reply

    def _death(self, child: Child, *, loading: bool) -> TwinError:
        """What a dead child means, in words: the workers that do not answer, the last line it printed."""
        how = self.ended = child.end()
        silent = [server for server in self._servers if not devices.answers(server)]
        if loading and not silent:
            return ModelBroken(f"The core cannot be loaded: its process ended ({how}).",
                               "Choose a smaller core or a shorter context, or free memory.")
        who = f"The worker {', '.join(silent)} does not answer any more" if silent else "A device failed"
        self._lost = (*self._lost, f"{who}; the core was loaded anew on what is left.")
        return DeviceLost(f"{who}; the process of the core ended ({how}).",
                          "Ask again: the core is then loaded on what is left.")


class IsolatedEngine(Isolated):
    """The engine that `factory(*args, **kwargs)` makes (LlamaEngine when None), in a process of its own; see
    types.Engine. Answers that were being written when a child died are lost."""

    id: str
    family: Family
    n_ctx: int
    parameters: int

    def __init__(self, *args: Any, factory: Callable[..., Engine] | None = None, **kwargs: Any) -> None:
        if factory is None:
            from twin.engine.llama import LlamaEngine  # deferred: a factory of one's own needs none of it

            factory = LlamaEngine
        super().__init__(*args, factory=factory, **kwargs)

    def __repr__(self) -> str:
        return f"IsolatedEngine({self.id}, n_ctx={self.n_ctx})"

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

    def _open(self, method: str, count: int, cancel: Callable[[], bool], *args: Any,
              **kwargs: Any) -> list[Iterator[Piece]]:
        with self._lock:
            child = self._alive(cancel)
            streams: list[Iterator[Piece]] = [_Pieces(self, child, cancel) for _ in range(count)]
            keys = [stream.key for stream in streams if isinstance(stream, _Pieces)]
            self._exchange(child, cancel, "open", method, keys, args, kwargs)
        return streams


class _Pieces(Iterator[Piece]):
    """One answer in the child. Whoever drops it half-way says so with the next request, from whatever thread."""

    _keys = itertools.count(1)

    def __init__(self, engine: IsolatedEngine, child: Child, cancel: Callable[[], bool]) -> None:
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


class IsolatedEmbedder(Isolated):
    """The embedder that `factory(*args, **kwargs)` makes, in a process of its own; see types.Embedder."""

    id: str
    dim: int

    def embed(self, texts: Sequence[str]) -> list[list[float]]:
        """One unit vector for each text."""
        vectors: list[list[float]] = self._ask(never, "within", _embedded, (tuple(texts), False))
        return vectors

    def embed_query(self, texts: Sequence[str]) -> list[list[float]]:
        """As `embed`, for questions; for an embedder that reads both alike the same."""
        vectors: list[list[float]] = self._ask(never, "within", _embedded, (tuple(texts), True))
        return vectors


def _embedded(embedder: Embedder, texts: Sequence[str], query: bool) -> list[list[float]]:
    """In the child: vectors of texts, or of questions where the embedder tells them apart."""
    embed: Callable[[Sequence[str]], list[list[float]]] = embedder.embed
    if query:
        embed = getattr(embedder, "embed_query", embed)
    return embed(texts)
