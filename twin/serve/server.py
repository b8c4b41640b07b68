"""Server: one twin behind one socket of this machine, from bind to the last answer.

Logs nothing of what is asked; says at its start where it listens and in which file the token stands.
"""
from __future__ import annotations

import asyncio
import os
import secrets
import signal
import socket
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any, cast

import uvicorn

from twin.chat import Twin
from twin.errors import InputError, UsageError
from twin.exporters import Level
from twin.home import Home, write_atomically
from twin.serve.connection import MOST, Connection
from twin.serve.guard import BODY, PATIENCE_S, Door, loopback
from twin.serve.openai_api import application
from twin.serve.worker import Worker

PORT, WAITING = 8765, 64
TOKEN = "TWIN_SERVE_TOKEN"  # noqa: S105 - the name of a variable
_ANOTHER = "Remove it; another one is made at the next start."
_LEAST = 16  # characters of a token
_ENDS_S = 5  # for answers under way, once the server is told to end


def token(home: Home) -> tuple[str, Path | None]:
    """The token callers send, and the file it stands in (None: the environment gave it); made at the first start.
    Raises InputError for a file that others can read or that holds none."""
    given = os.environ.get(TOKEN)
    if given is not None:
        if not _good(given):
            raise UsageError(f"{TOKEN} holds no token.", f"Give it {_LEAST} or more letters and digits, or unset it.")
        return given, None
    file = home.root / "serve.token"
    if not file.exists():
        home.create()
        write_atomically(file, secrets.token_urlsafe(32) + "\n")
    try:
        if os.name == "posix" and file.stat().st_mode & 0o077:
            raise InputError(f"{file} can be read by others.", _ANOTHER)
        found = file.read_text("ascii").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{file} cannot be read ({error}).", _ANOTHER) from error
    if not _good(found):
        raise InputError(f"{file} holds no token.", _ANOTHER)
    return found, file


def _good(found: str) -> bool:
    return len(found) >= _LEAST and found.isascii() and found.isprintable() and " " not in found


def bound(host: str, port: int, *, remote: bool = False) -> socket.socket:
    """A socket that listens at host and port (0: any free one). Raises UsageError for a host that is not this machine's
    loopback, unless `remote`, and for a port that is taken."""
    name = host.strip("[]").lower()
    if not loopback(name) and not remote:
        raise UsageError(f"{host} can be reached from other machines.",
                         "Leave --host out, or add --allow-remote if other machines are to call your twin.")
    name = "127.0.0.1" if name == "localhost" else name
    family = socket.AF_INET6 if ":" in name else socket.AF_INET
    made = socket.socket(family, socket.SOCK_STREAM)
    try:
        if os.name == "posix":  # elsewhere it would let two servers have one port
            made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        made.bind((name, port))
    except (OSError, OverflowError) as error:
        made.close()
        reason = getattr(error, "strerror", None) or error
        raise UsageError(f"Nobody can listen at {host}, port {port} ({reason}).", "Choose another --port.") from error
    return made


class Serving:
    """A server that listens already. `run` serves until `stop`; the twin stays its owner's to close."""

    def __init__(self, twin: Twin, key: str, *, host: str = "127.0.0.1", port: int = PORT, level: Level = "private",
                 remote: bool = False, waiting: int = WAITING, body: int = BODY, patience_s: float = PATIENCE_S,
                 most: int | None = None) -> None:
        self._socket = bound(host, port, remote=remote)
        self.port: int = self._socket.getsockname()[1]
        self.url = f"http://{f'[{host}]' if ':' in host and host[0] != '[' else host}:{self.port}"
        self.worker = Worker(waiting)
        door = Door(host, self.port, key, remote, body, patience_s)
        connection = partial(Connection, most=most or _connections(), patience_s=patience_s)
        self._server = _Server(uvicorn.Config(
            application(twin, self.worker, door, level), http=cast(Any, connection), ws="none", lifespan="off",
            loop="asyncio", log_config=None, log_level="critical", access_log=False, server_header=False,
            proxy_headers=False, timeout_graceful_shutdown=_ENDS_S))

    def run(self) -> None:
        """Serve, in this thread, until `stop`."""
        try:
            asyncio.run(self._server.serve(sockets=[self._socket]))
        finally:
            self._socket.close()
            self.worker.close()

    @property
    def started(self) -> bool:
        """Whether callers are let in."""
        return self._server.started

    def stop(self) -> None:
        """End: nobody new is let in, answers under way end within a token. From any thread, or a signal."""
        self._server.should_exit = True
        self.worker.stop()

    @contextmanager
    def until_signal(self) -> Iterator[None]:
        """SIGINT and SIGTERM stop it meanwhile."""
        before = {number: signal.signal(number, lambda *_: self.stop()) for number in (signal.SIGINT, signal.SIGTERM)}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)


class _Server(uvicorn.Server):
    """uvicorn's own handlers would raise the signal once more at the end, before the core is free."""

    @contextmanager
    def capture_signals(self) -> Any:
        yield


def _connections() -> int:
    """How many callers are let in; as many more are refused, and half of the files this process may open are for other
    things."""
    if sys.platform == "win32":
        return MOST
    import resource

    return max(8, min(MOST, resource.getrlimit(resource.RLIMIT_NOFILE)[0] // 4))
