"""Wire of a remote server: one address, its key, requests with retries, and answers that stream as server-sent events.

Knows HTTP and what statuses mean; knows no prompts and no tokens. httpx is imported only here. Proxies and other
settings of the environment are not taken: the address a person named is the one that is called.
"""
from __future__ import annotations

import contextlib
import json
import os
import queue
import re
import socket
import threading
import time
import weakref
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from twin.engine.remote_address import address, connected, loopback, retry_after, shut
from twin.engine.remote_events import ALIVE, DONE, events
from twin.errors import DeviceLost, ModelError, ModelMissing, PromptTooLong, TwinError, UsageError
from twin.types import never

if TYPE_CHECKING:
    import httpx

KEY_ENV = "TWIN_REMOTE_KEY"  # where the key is, unless told otherwise
POLL_S = 0.05               # how often `cancel` is asked while the server works
TRIES = 4                   # of a request that no server has begun to answer
BACKOFF_S, PATIENCE_S = 0.25, 30.0   # the first wait between two of them, doubled each time; the longest
_PATIENT = 2                # an answer that only says it is alive may take so many times as long as a silent one
_LISTED = 20                # models that an error names
_LARGEST = 64 << 20         # bytes of a whole answer
_AHEAD = 256                # events that may wait to be pulled: a slow reader slows the server down
_TOO_LONG = re.compile(r"context|too long|too many tokens|maximum.{0,40}tokens|exceed.{0,60}(?:tokens|length)", re.I)
_KEY = re.compile(r"[\x21-\x7e]+")


@dataclass(frozen=True)
class Timeouts:
    """Seconds until a server is reached, until it begins to answer, between two signs of life of an answer, and for the
    rest of a whole one. What needs no model (a GET) has `look_s` to begin and as long again to end."""

    connect_s: float = 5.0
    first_s: float = 300.0
    between_s: float = 60.0
    whole_s: float = 300.0
    look_s: float = 5.0


@dataclass(frozen=True)
class Reply:
    """A whole answer: its status and its document, None where that is no JSON."""

    status: int
    document: Any

    @property
    def ok(self) -> bool:
        """Whether it is what was asked for."""
        return self.status == 200 and self.document is not None


class Link:
    """A server at `url`, http(s)://host:port/v1, called with the key of the variable `key_env` if that is set.

    `clear_key`: let the key travel over plain http to another machine. `transport`: an httpx transport, in place of
    the network. Raises UsageError for an address or a key that cannot be used.
    """

    def __init__(self, url: str, *, key_env: str, timeouts: Timeouts, transport: Any = None,
                 clear_key: bool = False) -> None:
        self.timeouts, self.key_env = timeouts, key_env
        self.base, self.where, self.fragment = address(url)
        self.root = re.sub(r"/v\d+$", "", self.base)
        self._key = os.environ.get(key_env, "").strip()
        if self._key and not _KEY.fullmatch(self._key):
            raise UsageError(f"{key_env} holds no key.", "Give it the key alone: letters, digits and signs.")
        if self._key and not clear_key and self.base.startswith("http:") and not loopback(self.base):
            raise UsageError(f"The key would travel to {self.where} in the clear.",
                             f"Use https, or unset {key_env}.")
        import httpx  # deferred: the room of the network loads only when a person named an address

        self._httpx = httpx
        headers = {"Authorization": f"Bearer {self._key}"} if self._key else {}
        secure = self.base.startswith("https:")  # certificates take 50 ms to read
        waits = httpx.Timeout(timeouts.first_s, connect=timeouts.connect_s, pool=None)

        def client(**limits: Any) -> httpx.Client:
            return httpx.Client(headers=headers, timeout=waits, transport=transport, verify=secure, trust_env=False,
                                follow_redirects=False, limits=httpx.Limits(**limits))

        self._short = client()
        self._long = client(max_keepalive_connections=0)  # a stream has a connection of its own, which can be cut
        self._streams: weakref.WeakSet[Stream] = weakref.WeakSet()
        self._sockets: weakref.WeakSet[socket.socket] = weakref.WeakSet()  # of whole answers
        self.closed = False

    def __repr__(self) -> str:
        return f"Link({self.where})"

    def close(self) -> None:
        """Cut what streams and free the connections; a second call does nothing."""
        self.closed = True
        for stream in list(self._streams):
            stream.close()
        self._cut()
        self._short.close()
        self._long.close()

    # ---- whole answers -------------------------------------------------------------------------------------------

    def ask(self, path: str, body: Any = None, *, root: bool = False, cancel: Callable[[], bool] = never) -> Reply:
        """GET `path`, or POST a body to it. Raises DeviceLost when nobody answers, or not to the end in time,
        ModelError for a broken answer; what a status means is for the caller."""
        times = self.timeouts
        first, rest = (times.look_s, times.look_s) if body is None else (times.first_s, times.whole_s)
        waits = self._httpx.Timeout(first, connect=times.connect_s, pool=None)
        request = self._request(self._short, path, body, root, timeout=waits, extensions={"trace": self._trace})
        response = self._sent(self._short, request, lambda seconds: _slept(seconds, lambda: self.closed or cancel()),
                              first, first + times.connect_s)
        try:
            return self._whole(response, rest)
        finally:
            response.close()

    def _trace(self, event: str, info: dict[str, Any]) -> None:
        if made := connected(event, info):
            self._sockets.add(made)

    def _cut(self) -> None:
        """Wake whoever reads a whole answer."""
        for made in list(self._sockets):
            shut(made)

    def must(self, path: str, body: Any = None, *, model: str = "", known: Iterable[str] = (),
             cancel: Callable[[], bool] = never) -> dict[str, Any]:
        """As `ask`; anything but an object under status 200 is raised by its name."""
        reply = self.ask(path, body, cancel=cancel)
        if reply.status != 200:
            raise self.refusal(reply, model=model, known=known)
        if not isinstance(reply.document, dict):
            raise self.broken()
        return reply.document

    def _request(self, client: httpx.Client, path: str, body: Any, root: bool, **more: Any) -> httpx.Request:
        if self.closed:
            raise ModelError("The engine is closed.", "Open the twin again.")
        url = (self.root if root else self.base) + path
        if body is None:
            return client.build_request("GET", url, **more)
        return client.build_request("POST", url, content=json.dumps(body), **more,
                                    headers={"Content-Type": "application/json"})

    def _sent(self, client: httpx.Client, request: httpx.Request, wait: Callable[[float], bool], first_s: float,
              within_s: float | None = None) -> httpx.Response:
        """The beginning of an answer. Tried again only where no answer had begun: not reached, or busy (429, 503).
        `wait` returns whether to go on. first_s: until a first byte; within_s: until the last header."""
        httpx, pause = self._httpx, BACKOFF_S
        for left in reversed(range(TRIES)):
            late = threading.Event()
            try:
                with self._timed(within_s, late):
                    response = client.send(request, stream=True)
            except (httpx.ConnectError, httpx.ConnectTimeout) as error:
                if not left or not wait(pause):
                    raise DeviceLost(f"Nobody answers at {self.where}.",
                                     "Start the server, or name another address.") from error
            except httpx.TimeoutException as error:
                raise self.silent(first_s) from error
            except (httpx.HTTPError, RuntimeError, OSError) as error:  # RuntimeError: the client was closed meanwhile
                raise (self.slow(within_s or 0.0) if late.is_set() else self.lost()) from error
            else:
                if response.status_code not in (429, 503) or not left:
                    return response
                again = retry_after(response.headers.get("retry-after", ""), pause)
                if again > PATIENCE_S or not wait(again):
                    return response
                response.close()
            pause *= 2
        raise AssertionError("unreachable")

    @contextlib.contextmanager
    def _timed(self, seconds: float | None, late: threading.Event) -> Iterator[None]:
        """A server may send a header a second for ever: then its connection is cut, and `late` says so."""
        def cut() -> None:
            late.set()
            self._cut()

        timer = threading.Timer(seconds or 0.0, cut)
        timer.daemon = True
        if seconds is not None:
            timer.start()
        try:
            yield
        finally:
            timer.cancel()

    def _whole(self, response: httpx.Response, within_s: float) -> Reply:
        data, end = bytearray(), time.monotonic() + within_s
        try:
            for part in response.iter_bytes():
                data += part
                if len(data) > _LARGEST:
                    raise self.broken()
                if time.monotonic() > end:
                    raise self.slow(within_s)
        except self._httpx.TimeoutException as error:
            raise self.silent(within_s) from error
        except (self._httpx.HTTPError, RuntimeError, OSError) as error:
            raise self.lost() from error
        try:
            return Reply(response.status_code, json.loads(data))
        except (ValueError, RecursionError):
            return Reply(response.status_code, None)

    # ---- what went wrong -----------------------------------------------------------------------------------------

    def refusal(self, reply: Reply, *, model: str = "", known: Iterable[str] = ()) -> TwinError:
        """What a status other than 200 means, in words; those of the server are cut, and without the key."""
        status, said = reply.status, self._said(reply.document)
        if status in (401, 403):
            if not self.key_env:
                return UsageError(f"{self.where} wants a key.", "Name its variable: `URL#name?key=VARIABLE`.")
            return UsageError(f"{self.where} refuses the key.", f"Put the right one into {self.key_env}.")
        if status in (429, 503):
            return ModelError(f"{self.where} is busy.", "Ask again later.")
        if status == 404 and model:
            return ModelMissing(f"{self.where} has no model {self.clean(model)!r}.",
                                f"Choose one of: {self.listed(known)}.")
        if 300 <= status < 400:
            return ModelError(f"{self.where} sends callers to another address.", "Name that address, if you trust it.")
        if status in (400, 413, 422, 500) and _TOO_LONG.search(said):
            return PromptTooLong(f"The prompt is longer than the context of {self.where}.", "Ask something shorter.")
        return ModelError(f"{self.where} answered {status}: {said!r}.", "Look into the log of that server.")

    def lost(self) -> DeviceLost:
        """The connection ended before the answer did."""
        return DeviceLost(f"The connection to {self.where} was lost before the answer was complete.", "Ask again.")

    def silent(self, seconds: float) -> DeviceLost:
        """Nothing came for too long."""
        return DeviceLost(f"{self.where} was silent for {seconds:g} seconds.",
                          "Ask again, or look whether the server still runs.")

    def slow(self, seconds: float) -> DeviceLost:
        """It sends, and never ends."""
        return DeviceLost(f"{self.where} did not complete its answer within {seconds:g} seconds.",
                          "Ask again, or look whether the server still runs.")

    def broken(self) -> ModelError:
        """What came is no answer of this protocol."""
        return ModelError(f"{self.where} answered something that is no answer.",
                          "Name the address of an OpenAI-compatible server, such as http://localhost:8080/v1.")

    def _said(self, document: Any) -> str:
        """The message of an error: a server may repeat what it was sent."""
        found = document.get("error", document) if isinstance(document, dict) else document
        if isinstance(found, dict):
            found = found.get("message", found.get("detail", ""))
        return self.clean(found if isinstance(found, str) else "")

    def clean(self, text: str) -> str:
        """What a server says, as it may be shown: without the key, printable, at most 200 characters."""
        if self._key:
            text = text.replace(self._key, "...")
        return "".join(letter if letter.isprintable() else " " for letter in text)[:200]

    def listed(self, names: Iterable[str]) -> str:
        """Names of its models for an error, the first ones."""
        return ", ".join(self.clean(name) for name in [*names][:_LISTED]) or "none"

    # ---- streams -------------------------------------------------------------------------------------------------

    def stream(self, path: str, body: Any, *, model: str = "", known: Iterable[str] = ()) -> Stream:
        """An answer as it comes; it is asked for now."""
        made = Stream(self, path, body, model, tuple(known))
        self._streams.add(made)
        return made


class Stream:
    """One answer on its way. A thread reads it, so that whoever pulls can ask `cancel`, keep time and leave."""

    def __init__(self, link: Link, path: str, body: Any, model: str, known: tuple[str, ...]) -> None:
        self._link, self._model, self._known = link, model, known
        self._events: queue.Queue[Any] = queue.Queue(_AHEAD)
        self._left = threading.Event()
        self._socket: socket.socket | None = None
        self._heard, self._limit = time.monotonic(), link.timeouts.connect_s * TRIES + link.timeouts.first_s
        self._said = self._heard  # when more than a sign of life came, or was last waited for
        request = link._request(link._long, path, body, False, extensions={"trace": self._trace})
        self.thread = threading.Thread(target=self._read, args=(request,), daemon=True, name="twin-remote")
        self.thread.start()

    def take(self, cancel: Callable[[], bool]) -> Any:
        """The next event: an object, DONE, or None when it was cancelled. Raises what went wrong, DeviceLost when the
        server ended without a word, is silent for too long, or says for too long nothing but that it is alive."""
        while True:
            if cancel():
                self.close()
                return None
            try:
                event = self._events.get(timeout=POLL_S)
            except queue.Empty:
                if time.monotonic() - self._heard > self._limit:
                    self.close()
                    raise self._link.silent(self._limit) from None
                continue
            self._heard = time.monotonic()
            if isinstance(event, BaseException):
                raise event
            if event is not ALIVE:
                self._limit, self._said = self._link.timeouts.between_s, self._heard
                return event
            if self._heard - self._said > _PATIENT * self._limit:
                self.close()
                raise self._link.slow(_PATIENT * self._limit)

    def close(self) -> None:
        """Leave: the connection is cut, whether anything came over it or not. A second call does nothing."""
        self._left.set()
        if self._socket is not None:
            shut(self._socket)

    def _trace(self, event: str, info: dict[str, Any]) -> None:
        """httpx tells of the connection as soon as there is one: long before headers come, it can be cut."""
        if made := connected(event, info):
            self._socket = made
            if self._left.is_set():
                self.close()

    def _read(self, request: httpx.Request) -> None:
        link = self._link
        try:
            response = link._sent(link._long, request, lambda seconds: not self._left.wait(seconds),
                                  link.timeouts.first_s)
            with contextlib.closing(response):
                if response.status_code != 200:
                    reply = link._whole(response, link.timeouts.whole_s)
                    raise link.refusal(reply, model=self._model, known=self._known)
                if not response.headers.get("content-type", "").startswith("text/event-stream"):
                    raise link.broken()
                for event in events(response.iter_bytes()):
                    self._put(self._checked(event))
                    if event is DONE or self._left.is_set():
                        return
            self._put(link.lost())
        except TwinError as error:
            self._put(error)
        except Exception as error:
            bad = isinstance(error, (ValueError, RecursionError))
            self._put(link.broken() if bad else link.lost())

    def _checked(self, event: Any) -> Any:
        if event in (ALIVE, DONE):
            return event
        if not isinstance(event, dict):
            raise self._link.broken()
        if event.get("error") or event.get("object") == "error":
            inner = event["error"] if isinstance(event.get("error"), dict) else event
            code = inner.get("code", 500)
            raise self._link.refusal(Reply(code if isinstance(code, int) else 500, event), model=self._model,
                                     known=self._known)
        return event

    def _put(self, event: Any) -> None:
        while not self._left.is_set():
            with contextlib.suppress(queue.Full):
                self._events.put(event, timeout=POLL_S)
                return


def _slept(seconds: float, cancel: Callable[[], bool]) -> bool:
    """Wait; False once it is cancelled."""
    until = time.monotonic() + seconds
    while not cancel():
        if (left := until - time.monotonic()) <= 0:
            return True
        time.sleep(min(POLL_S, left))
    return False
