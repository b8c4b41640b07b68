"""Addresses of servers, the sockets to them, and how long they ask one to wait. Knows no requests and no answers."""
from __future__ import annotations

import contextlib
import ipaddress
import re
import socket
import time
from email.utils import parsedate_to_datetime
from typing import Any
from urllib.parse import urlsplit

from twin.errors import UsageError


def connected(event: str, info: dict[str, Any]) -> socket.socket | None:
    """The socket of a connection that httpx tells of as made, which over https is another one than before."""
    if event not in ("connection.connect_tcp.complete", "connection.start_tls.complete"):
        return None
    made = info["return_value"].get_extra_info("socket")
    return made if isinstance(made, socket.socket) else None


def shut(made: socket.socket) -> None:
    """Cut a connection; it may be cut already."""
    with contextlib.suppress(OSError):
        made.shutdown(socket.SHUT_RDWR)  # wakes the thread that reads it


def address(url: str) -> tuple[str, str, str]:
    """(address up to /v1, host:port, what follows #). Raises UsageError, which does not repeat it."""
    try:
        parts = urlsplit(url.strip())
        good = parts.scheme in ("http", "https") and parts.hostname and parts.port != 0 and not parts.query
    except ValueError:
        good = False
    if not good:
        raise UsageError("That is no address of a server.", "Write it as http://localhost:8080/v1.")
    if parts.username is not None or parts.password is not None:
        raise UsageError("An address must not hold a key.", "Put the key into the environment and leave it out here.")
    path = parts.path.rstrip("/") or "/v1"
    return f"{parts.scheme}://{parts.netloc}{path}", parts.netloc, parts.fragment


def loopback(url: str) -> bool:
    """Whether an address is of this machine."""
    host = urlsplit(url).hostname or ""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def retry_after(value: str, otherwise: float) -> float:
    """Seconds of a Retry-After header (RFC 9110, 10.2.3), a number or a date."""
    if re.fullmatch(r"\d{1,9}", value.strip()):
        return float(value)
    try:
        return max(0.0, parsedate_to_datetime(value).timestamp() - time.time())
    except (TypeError, ValueError, OverflowError):
        return otherwise
