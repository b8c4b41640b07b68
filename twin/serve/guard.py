"""Guard: who is let in at all. Looks at the host and the origin a request names, its token and the size of its body.

A page in a browser on this machine can send requests here: under a name of its own that leads to 127.0.0.1 (DNS
rebinding: the Host header shows it), or from its own origin (the Origin header shows it). Neither is let in, and no
answer ever carries a CORS header.
"""
from __future__ import annotations

import asyncio
import hmac
import ipaddress
import logging
import traceback
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from starlette.requests import Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from twin.serve.refusal import Refused, failed

_LOG = logging.getLogger("twin.serve")
BODY = 4 << 20       # bytes: a context of 32,000 tokens is 200 kB
PATIENCE_S = 10.0    # for the headers of a request, and again for its body
HEALTH = "/health"


@dataclass(frozen=True)
class Door:
    """Where the server listens and what it asks for. `remote`: it may be called by the address of any machine."""

    host: str
    port: int
    token: str = field(repr=False)
    remote: bool = False
    body: int = BODY
    patience_s: float = PATIENCE_S

    def known(self, authority: str) -> bool:
        """Whether a Host header names this server: a loopback name or the host it was given, and its port. To a remote
        one any address may lead; a rebound name is no address."""
        name, port = _split(authority)
        if port != self.port:
            return False
        return loopback(name) or (self.remote and (name == self.host.strip("[]").lower() or _address(name)))


def loopback(name: str) -> bool:
    """Whether a name is this machine's for itself."""
    if name == "localhost":
        return True
    try:
        return ipaddress.ip_address(name).is_loopback
    except ValueError:
        return False


class Guard:
    """An application with a door before it. Whatever the application raises becomes a 500 without words."""

    def __init__(self, app: ASGIApp, door: Door) -> None:
        self.app, self.door = app, door

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return
        started = False

        async def noted(message: Message) -> None:
            nonlocal started
            started = started or message["type"] == "http.response.start"
            await send(message)

        try:
            refused = self._refusal(Request(scope))
            await (refused.response if refused else self.app)(scope, receive, noted)
        except Exception as error:  # the last one to see it: a trace may hold what somebody wrote
            told(error)
            if not started:
                await failed().response(scope, receive, send)

    def _refusal(self, request: Request) -> Refused | None:
        headers, door = request.headers, self.door
        if not door.known(headers.get("host", "")):
            return Refused(421, "The Host header does not name this server. Call it by the address it listens at.",
                           code="wrong_host")
        if any(not _own_origin(one) for one in headers.getlist("origin")):
            return Refused(403, "Pages of other origins are not served.", code="wrong_origin")
        if request.scope["path"] == HEALTH:
            return None
        kind, _, given = headers.get("authorization", "").partition(" ")
        right = hmac.compare_digest(given.strip().encode("utf-8", "replace"), door.token.encode())
        if kind.lower() == "bearer" and right:
            return None
        return Refused(401, "The token is missing or wrong. Send it as `Authorization: Bearer TOKEN`; the server said "
                       "at its start in which file it stands.", code="invalid_api_key",
                       headers={"WWW-Authenticate": "Bearer"})


async def body(receive: Receive, declared: str | None, door: Door) -> bytes:
    """The whole body of a request, within the door's size and time. What comes beyond is not kept: the connection
    drops it for as long as it has patience, so that the caller reads the refusal."""
    too_big = Refused(413, f"The body is larger than {door.body} bytes.", code="body_too_large")
    if declared and declared.isdecimal() and int(declared) > door.body:
        raise too_big
    found = bytearray()
    try:
        async with asyncio.timeout(door.patience_s):
            while True:
                message = await receive()
                if message["type"] == "http.disconnect":
                    raise Gone
                found += message.get("body", b"")
                if len(found) > door.body:
                    raise too_big
                if not message.get("more_body"):
                    return bytes(found)
    except TimeoutError:
        raise Refused(408, f"The body did not come within {door.patience_s:g} seconds.", code="timeout",
                      headers={"Connection": "close"}) from None


class Gone(Exception):
    """The caller has left."""


def told(error: BaseException) -> None:
    """Say on standard error what kind of fault it was and where; neither its words nor its trace."""
    last = traceback.extract_tb(error.__traceback__)[-1:]
    where = f" at {last[0].filename.rpartition('twin/')[2]}:{last[0].lineno}" if last else ""
    _LOG.error("twin serve: %s%s", type(error).__name__, where)


def _split(authority: str) -> tuple[str, int]:
    """Name and port of a Host header; a name that cannot be one is ''."""
    try:
        parts = urlsplit(f"//{authority}")
        if parts.username is not None or parts.path or parts.query or parts.fragment:
            return "", 0
        return (parts.hostname or "").lower(), parts.port or 80
    except ValueError:
        return "", 0


def _address(name: str) -> bool:
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True


def _own_origin(origin: str) -> bool:
    try:
        parts = urlsplit(origin)
        return parts.scheme in ("http", "https") and loopback((parts.hostname or "").lower())
    except ValueError:
        return False
