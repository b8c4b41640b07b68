"""A real OpenAI-compatible server on loopback: llama_cpp.server over SmolLM2, in a process of its own."""
from __future__ import annotations

import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.conftest import core_path

N_CTX = 256  # logits of all of them are kept, 0.2 MB a token, and gone through whenever some are told
MODEL = "smollm2"

# llama_cpp.server, ended with its parent: whatever becomes of the tests, no server stays.
_SERVER = """
import os, sys, threading
threading.Thread(target=lambda: (sys.stdin.read(), os._exit(0)), daemon=True).start()
from llama_cpp.server.__main__ import main
sys.exit(main())
"""


@contextmanager
def serving(path: Path, *, n_ctx: int = N_CTX, chat: str = "chatml") -> Iterator[str]:
    """A server of `path` meanwhile; its address, .../v1."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    # One thread: two that wait for each other at every layer, beside other tests, took 12 s for the first two tokens.
    process = subprocess.Popen(
        [sys.executable, "-c", _SERVER, "--model", str(path), "--model_alias", MODEL, "--host", "127.0.0.1", "--port",
         str(port), "--n_ctx", str(n_ctx), "--n_batch", "128", "--n_threads", "1", "--n_threads_batch", "1",
         "--logits_all", "True", "--chat_format", chat,
         "--interrupt_requests", "False", "--verbose", "False"],
        stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        _wait(process, port)
        yield f"http://127.0.0.1:{port}/v1"
    finally:
        process.kill()
        process.communicate()


def _wait(process: subprocess.Popen[bytes], port: int, timeout_s: float = 60.0) -> None:
    until = time.monotonic() + timeout_s
    while True:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/v1/models", timeout=5):
                return
        except OSError:
            if process.poll() is not None or time.monotonic() > until:
                pytest.fail(f"llama_cpp.server does not serve (exit {process.poll()}); `pip install "
                            "'llama-cpp-python[server]'` brings what it needs.")
            time.sleep(0.1)


@pytest.fixture(scope="session")
def smollm_server() -> Iterator[str]:
    """The address of the real SmolLM2 behind llama_cpp.server."""
    with serving(core_path("smollm2-135m")) as url:
        yield url
