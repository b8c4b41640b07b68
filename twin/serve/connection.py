"""Connection: uvicorn's HTTP connection with the patience it lacks: for headers that drip, bodies nobody reads any
more, answers that nobody takes, and connections beyond a number.
"""
from __future__ import annotations

import asyncio
import json
from typing import Any

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol

from twin.serve.guard import PATIENCE_S
from twin.serve.refusal import Refused, busy

MOST = 256        # connections at once; as many more are told so in peace, those after them in passing
STALLED_S = 60.0  # for a caller that does not take what is written
LINGER_S = 1.0    # for one that was refused while it still wrote: closed at once, it would see no answer but a reset


class Connection(H11Protocol):
    """One connection. `most`: of all that are let in."""

    def __init__(self, *args: Any, most: int = MOST, patience_s: float = PATIENCE_S, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._most, self._patience_s = most, patience_s
        self._timer: asyncio.TimerHandle | None = None
        self._stalled: asyncio.TimerHandle | None = None
        self._ended = False

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as uvicorn's
        super().connection_made(transport)
        if len(self.connections) > 2 * self._most:
            self._end(busy(), linger=False)
        elif sum(not getattr(one, "_ended", False) for one in self.connections) > self._most:
            self._end(busy())
        else:
            self._watch()

    def connection_lost(self, exc: Exception | None) -> None:
        for timer in (self._timer, self._stalled):
            if timer is not None:
                timer.cancel()
        self._timer = self._stalled = None
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        if not self._ended and not self.transport.is_closing():
            super().data_received(data)
            self._watch()

    def on_response_complete(self) -> None:
        super().on_response_complete()
        self._watch()

    def send_400_response(self, msg: str) -> None:
        """What is no HTTP, in the form of all errors."""
        self._end(Refused(400, msg, code="invalid_http"))

    def shutdown(self) -> None:
        if self._ended:
            self.transport.abort()
        else:
            super().shutdown()

    def pause_writing(self) -> None:
        super().pause_writing()
        self._stalled = self.loop.call_later(STALLED_S, self.transport.abort)

    def resume_writing(self) -> None:
        super().resume_writing()
        if self._stalled is not None:
            self._stalled.cancel()
            self._stalled = None

    def _watch(self) -> None:
        """Time runs while a request's headers are not whole, and while what is left of an answered one comes."""
        unread = self.conn.our_state is h11.DONE and self.conn.their_state is h11.SEND_BODY
        if self._ended:
            return
        if self.transport.is_closing() or not (self.conn.their_state is h11.IDLE or unread):
            if self._timer is not None:
                self._timer.cancel()
                self._timer = None
        elif self._timer is None:
            self._timer = self.loop.call_later(self._patience_s, self._too_slow, unread)

    def _too_slow(self, unread: bool) -> None:
        self._timer = None
        if unread:
            self.transport.abort()
        else:
            self._end(Refused(408, f"The request did not come within {self._patience_s:g} seconds.", code="timeout"))

    def _end(self, refused: Refused, *, linger: bool = True) -> None:
        """Write a refusal by hand, since there is no request that h11 could answer, and close; once the caller did, if
        it is to `linger`."""
        if self._ended or self.transport.is_closing():
            return
        self._ended = True
        self._unset_keepalive_if_required()
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self.cycle is not None and not self.cycle.response_complete:
            self.cycle.disconnected = True
            self.cycle.message_event.set()
        data = json.dumps(refused.body).encode()
        head = [f"HTTP/1.1 {refused.status} {refused.code}", "content-type: application/json",
                f"content-length: {len(data)}", "connection: close",
                *(f"{name}: {value}" for name, value in refused.headers.items())]
        self.transport.write("\r\n".join([*head, "", ""]).encode("ascii") + data)
        if linger:
            self.transport.write_eof()
            self._timer = self.loop.call_later(LINGER_S, self.transport.abort)
        else:
            self.transport.close()
