"""Gate: one twin does one thing at a time. The chat, every panel and the cells of one twin share its gate.

Here are all threads of this room: `behind` for what a click asks, `soon` for what waits until a hand rests, `idle` for
what nobody asked for, which gives way at once and is over before the twin closes.
"""
from __future__ import annotations

import signal
import threading
import weakref
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext, suppress
from typing import TYPE_CHECKING, Any

from twin.errors import TwinError, UsageError

if TYPE_CHECKING:
    from twin.chat import Twin

GIVES_WAY_S = 5.0  # an idle step is shorter; one that is not goes on beside the question, under the engine's lock
DRAWS_S = 30.0     # the profile of a hundred thousand messages is built in seconds
RESTS_S = 0.6      # after the last move of a slider
_GATES: weakref.WeakKeyDictionary[Twin, Gate] = weakref.WeakKeyDictionary()
_MAKING = threading.Lock()


class Gate:
    """Who is at work for a twin, and how they are asked to stop."""

    def __init__(self) -> None:
        self._free = threading.Lock()
        self._stop = threading.Event()
        self._closed = self._brief = False
        self._owner: threading.Thread | None = None
        self._idle: threading.Thread | None = None
        self._timers: dict[str, threading.Timer] = {}

    @contextmanager
    def alone(self, *, stoppable: bool = False, brief: bool = False) -> Iterator[None]:
        """Nobody else meanwhile; UsageError where somebody is at work already. Idle work gives way first, and a `brief`
        job, by which a face only draws, is waited for: nobody asked for it.

        `stoppable`: the job asks `stopping`, so that an interrupt of the cell (its stop button) is a `stop` that lets
        it end in good order; the next one raises KeyboardInterrupt as always.
        """
        if not self._free.acquire(blocking=False) and not (self._brief and self._free.acquire(timeout=DRAWS_S)):
            raise UsageError("The twin is still at work.", "Wait until it is done, or stop it.")
        try:
            self._owner, self._brief = threading.current_thread(), brief
            self._closed = False  # whoever uses a closed twin opens it again
            self._stop.clear()
            self._rest(GIVES_WAY_S)
            with self._interrupts() if stoppable else nullcontext():
                yield
        finally:
            self._owner, self._brief = None, False
            self._free.release()

    def locked(self) -> bool:
        """Whether somebody is at work, idle work not counted."""
        return self._free.locked()

    def stop(self) -> None:
        """Ask who is at work to stop."""
        self._stop.set()

    def stopping(self) -> bool:
        """The cancel function of who is at work."""
        return self._stop.is_set() or self._closed

    def behind(self, job: Callable[[], object], failed: Callable[[TwinError], None]) -> threading.Thread:
        """Do a job in a thread; a TwinError goes to `failed`. The job enters `alone` itself."""
        def work() -> None:
            try:
                job()
            except TwinError as error:
                failed(error)

        return _started(threading.Thread(target=work, name="twin-behind", daemon=True))

    def soon(self, name: str, job: Callable[[], object], failed: Callable[[TwinError], None], *,
             seconds: float = RESTS_S) -> None:
        """Do a job when nobody asked for one of this name for so many seconds; only the last one is done."""
        def due() -> None:
            self._timers.pop(name, None)
            with suppress(TwinError):
                self.behind(job, failed).join()

        self.hold(name)
        timer = threading.Timer(seconds, due)
        timer.daemon = True
        if not self._closed:
            self._timers[name] = timer
            timer.start()

    def hold(self, name: str) -> bool:
        """Forget the job of this name that waits; whether there was one."""
        waiting = self._timers.pop(name, None)
        if waiting:
            waiting.cancel()
        return waiting is not None

    def idle(self, twin: Twin, conversation: str, changed: Callable[[], None]) -> None:
        """Between turns: what the answer left unread is read, and the twin reflects when that is due; `changed` is
        called where it did. Ends when somebody enters, or the twin closes."""
        def stop() -> bool:
            return self.locked() or self._closed

        def work() -> None:
            with suppress(TwinError):  # the same work, and its fault if it has one, comes with the next question
                twin.settle(conversation=conversation, cancel=stop)
                if not stop() and twin.idle(cancel=stop) and not self._closed:
                    changed()

        if not stop() and not (self._idle and self._idle.is_alive()):
            self._idle = _started(threading.Thread(target=work, name="twin-idle", daemon=True))

    def close(self) -> None:
        """Everybody stops; returns when idle work is over and, if they can, whoever was at work has left."""
        self._closed = True
        for name in list(self._timers):
            self.hold(name)
        self._rest(None)
        if self._owner is not threading.current_thread() and self._free.acquire(timeout=GIVES_WAY_S):
            self._free.release()

    def _rest(self, patience: float | None) -> None:
        thread = self._idle
        if thread and thread is not threading.current_thread():
            thread.join(patience)

    @contextmanager
    def _interrupts(self) -> Iterator[None]:
        """The first interrupt is a stop; the second is what it always was."""
        if threading.current_thread() is not threading.main_thread():
            yield
            return

        def first(*_: Any) -> None:
            self.stop()
            signal.signal(signal.SIGINT, before)

        before = signal.signal(signal.SIGINT, first)
        try:
            yield
        finally:
            signal.signal(signal.SIGINT, before)


def gate(twin: Twin) -> Gate:
    """The one gate of a twin; it closes when the twin does."""
    with _MAKING:
        made = _GATES.get(twin)
        if made is None:
            made = _GATES[twin] = Gate()
            twin.at_close(made.close)  # idle work must be over before the core is freed, whoever closes the twin
        return made


def _started(thread: threading.Thread) -> threading.Thread:
    thread.start()
    return thread
