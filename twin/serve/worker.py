"""Worker: one thread in which a twin does what programs ask of it, one thing at a time, while others wait their turn.

Knows no protocol. What is asked for by somebody who is gone is stopped, or not begun.
"""
from __future__ import annotations

import asyncio
import threading
from collections import deque
from collections.abc import AsyncGenerator, Callable, Iterator
from contextlib import aclosing, contextmanager, suppress
from typing import Any, TypeVar

T = TypeVar("T")
Work = Callable[[Callable[[], bool]], Iterator[T]]
"""Gets what tells whether to stop, and gives what it makes piece by piece."""

_ITEM, _END, _ERROR = range(3)


class Full(Exception):
    """As many wait as may."""


class Closing(Exception):
    """The worker ends; nothing more is done."""


class _Job:
    """What is to be done, and where what it makes goes."""

    def __init__(self, work: Work[Any]) -> None:
        self.work = work
        self.stopped = threading.Event()
        self.made: asyncio.Queue[tuple[int, Any]] = asyncio.Queue()
        self._loop = asyncio.get_running_loop()

    def put(self, kind: int, value: Any = None) -> None:
        with suppress(RuntimeError):  # the loop is closed: nobody reads any more
            self._loop.call_soon_threadsafe(self.made.put_nowait, (kind, value))

    def do(self, closing: Callable[[], bool]) -> None:
        """To its end, or until it is stopped."""
        try:
            if not self.stopped.is_set():
                for item in self.work(self.stopped.is_set):
                    if not self.stopped.is_set():
                        self.put(_ITEM, item)
            self.put(*((_ERROR, Closing()) if closing() else (_END,)))
        except BaseException as error:  # whatever it is, who asked has to be told
            self.put(_ERROR, error)


class Worker:
    """One does, `waiting` at most wait; for who comes then `place` raises Full."""

    def __init__(self, waiting: int = 64) -> None:
        self._most, self._taken = waiting + 1, 0
        self._jobs: deque[_Job] = deque()
        self._now: _Job | None = None
        self._closing = False
        self._ready = threading.Condition()
        self._thread = threading.Thread(target=self._run, name="twin-worker", daemon=True)
        self._thread.start()

    @contextmanager
    def place(self) -> Iterator[None]:
        """A place among those who wait, to be held from before anything is read of a request until it is answered."""
        if self._closing:
            raise Closing
        if self._taken >= self._most:
            raise Full
        self._taken += 1
        try:
            yield
        finally:
            self._taken -= 1

    async def stream(self, work: Work[T]) -> AsyncGenerator[T, None]:
        """What the work makes, as it comes. Closing the iterator stops the work."""
        job = _Job(work)
        with self._ready:
            if self._closing:
                raise Closing
            self._jobs.append(job)
            self._ready.notify()
        try:
            while True:
                kind, value = await job.made.get()
                if kind == _ERROR:
                    raise value
                if kind == _END:
                    return
                yield value
        finally:
            job.stopped.set()
            with self._ready, suppress(ValueError):
                self._jobs.remove(job)

    async def run(self, work: Callable[[], T]) -> T:
        """The result of one call."""
        async with aclosing(self.stream(lambda _: iter((work(),)))) as made:
            async for result in made:
                return result
        raise Closing

    def stop(self) -> None:
        """Take nothing more, and stop what is done now: an answer ends within a token."""
        with self._ready:
            self._closing = True
            for job in (*self._jobs, *([self._now] if self._now else ())):
                job.stopped.set()
            self._ready.notify()

    def close(self) -> None:
        """`stop`, and wait for it."""
        self.stop()
        self._thread.join()

    def _run(self) -> None:
        while True:
            with self._ready:
                self._now = None
                while not self._jobs and not self._closing:
                    self._ready.wait()
                if not self._jobs:
                    return
                self._now = self._jobs.popleft()
            self._now.do(lambda: self._closing)
