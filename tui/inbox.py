"""Inbox: the events of a turn on their way from the thread that drains them to the screen, in batches: a repaint for
every token would cost more than the token."""
from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable
from threading import Lock
from time import monotonic
from typing import TYPE_CHECKING

from twin.types import Event, Thinking, Token

if TYPE_CHECKING:
    from .app import TwinApp

BATCH_S = 0.05  # what a person sees as at once; a fast core writes dozens of tokens in it


class Inbox:
    """Of one turn. `take` gets the events in their order, on the app's thread."""

    def __init__(self, app: TwinApp, take: Callable[[list[Event]], Awaitable[None]]) -> None:
        self._app, self._take = app, take
        self._lock = Lock()
        self._events: list[Event] = []
        self._called = False
        self._emptied = 0.0

    def put(self, event: Event) -> None:
        """From any thread; the first after a pause goes on at once."""
        with self._lock:
            self._events.append(event)
            called, self._called = self._called, True
        if not called:
            self._app.call_later(self._soon)

    async def _soon(self) -> None:
        left = BATCH_S - (monotonic() - self._emptied)
        if left > 0:
            self._app.set_timer(left, self.empty)
        else:
            await self.empty()

    async def empty(self) -> None:
        """Hand on what is there."""
        with self._lock:
            events, self._events = self._events, []
            self._called = False
        if events:
            await self._take(list(merged(events)))
        self._emptied = monotonic()


def merged(events: Iterable[Event]) -> Iterable[Event]:
    """The same with runs of words as one event each."""
    run: list[Token] | list[Thinking] = []
    for event in events:
        if run and type(event) is not type(run[0]):
            yield _joined(run)
            run = []
        if isinstance(event, Token | Thinking):
            run.append(event)  # type: ignore[arg-type]  # of one kind, as the line above sees to
        else:
            yield event
    if run:
        yield _joined(run)


def _joined(run: list[Token] | list[Thinking]) -> Event:
    return type(run[0])("".join(one.text for one in run))
