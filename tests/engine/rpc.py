"""RPC workers on loopback: real devices to split a core over, and to lose, on a machine without a card.

Each worker is a process that serves this machine's processor. It ends with the test process.
"""
from __future__ import annotations

import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from twin.engine import devices

_WORKER = """
import ctypes, os, sys, threading
from twin.engine import library
threading.Thread(target=lambda: (sys.stdin.read(), os._exit(0)), daemon=True).start()
ggml = rpc = library.ggml()
ggml.ggml_backend_dev_by_type.restype = ctypes.c_void_p
serve = rpc.ggml_backend_rpc_start_server
serve.argtypes = [ctypes.c_char_p, ctypes.c_char_p, ctypes.c_size_t, ctypes.c_size_t, ctypes.c_void_p]
serve(sys.argv[1].encode(), None, 1, 1, (ctypes.c_void_p * 1)(ggml.ggml_backend_dev_by_type(0)))
"""


@dataclass
class Worker:
    """One worker process; `server` is where it listens, as host:port."""

    server: str
    process: subprocess.Popen[bytes]

    def kill(self) -> None:
        """Lose this device, as a machine that is switched off."""
        self.process.kill()
        self.process.communicate()


def start() -> Worker:
    """A worker on a free port, not yet listening."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        server = f"127.0.0.1:{probe.getsockname()[1]}"
    return Worker(server, subprocess.Popen([sys.executable, "-c", _WORKER, server], stdin=subprocess.PIPE,
                                           stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL))


def wait(worker: Worker, timeout_s: float = 60.0) -> None:
    """Return when the worker serves. Fails when it has ended or does not begin."""
    until = time.monotonic() + timeout_s
    while not devices.answers(worker.server, hello=True):
        if worker.process.poll() is not None or time.monotonic() > until:
            pytest.fail(f"The worker {worker.server} does not serve (exit {worker.process.poll()}); "
                        "llama.cpp must be built with GGML_RPC=ON, as `make setup` does.")
        time.sleep(0.05)


@pytest.fixture
def workers() -> Iterator[list[Worker]]:
    """Two workers that serve."""
    started = [start(), start()]
    try:
        for worker in started:
            wait(worker)
        yield started
    finally:
        for worker in started:
            worker.kill()


@pytest.fixture
def four(workers: list[Worker]) -> Iterator[list[Worker]]:
    """Four of them."""
    more = [start(), start()]
    try:
        for worker in more:
            wait(worker)
        yield [*workers, *more]
    finally:
        for worker in more:
            worker.kill()
