"""Real OpenAI-compatible servers on loopback, each in a process of its own: llama_cpp.server, llama.cpp's llama-server
(which `make llama-server` builds)."""
from __future__ import annotations

import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator, Sequence
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
    """llama_cpp.server of `path` meanwhile; its address, .../v1."""
    # One thread: two that wait for each other at every layer, beside other tests, took 12 s for the first two tokens.
    command = [sys.executable, "-c", _SERVER, "--model", str(path), "--model_alias", MODEL, "--n_ctx", str(n_ctx),
               "--n_batch", "128", "--n_threads", "1", "--n_threads_batch", "1", "--logits_all", "True",
               "--chat_format", chat, "--interrupt_requests", "False", "--verbose", "False"]
    with _started(command, "`pip install 'llama-cpp-python[server]'` brings what it needs") as url:
        yield url


@contextmanager
def llama_serving(path: Path, *, n_ctx: int = 2048, loras: Sequence[Path] = ()) -> Iterator[str]:
    """llama-server of `path` meanwhile, with adapters that are at hand and not applied; its address, .../v1."""
    command = [str(Path(sys.prefix) / "llama.cpp" / "bin" / "llama-server"), "--model", str(path), "--alias", MODEL,
               "--ctx-size", str(n_ctx), "--parallel", "1", "--threads", "2", "--flash-attn", "off",
               *(word for lora in loras for word in ("--lora", str(lora))), "--lora-init-without-apply"]
    with _started(command, "`make llama-server` builds it") as url:
        yield url


@contextmanager
def _started(command: list[str], otherwise: str) -> Iterator[str]:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    try:
        process = subprocess.Popen([*command, "--host", "127.0.0.1", "--port", str(port)], stdin=subprocess.PIPE,
                                   stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    except OSError as error:
        pytest.fail(f"{error}; {otherwise}.")
    try:
        _wait(process, port, otherwise)
        yield f"http://127.0.0.1:{port}/v1"
    finally:
        process.kill()
        process.communicate()


def _wait(process: subprocess.Popen[bytes], port: int, otherwise: str, timeout_s: float = 60.0) -> None:
    until = time.monotonic() + timeout_s
    while True:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/v1/models", timeout=5):
                return
        except OSError:
            if process.poll() is not None or time.monotonic() > until:
                pytest.fail(f"The server does not serve (exit {process.poll()}); {otherwise}.")
            time.sleep(0.1)


@pytest.fixture(scope="session")
def smollm_server() -> Iterator[str]:
    """The address of the real SmolLM2 behind llama_cpp.server."""
    with serving(core_path("smollm2-135m")) as url:
        yield url


@pytest.fixture(scope="session")
def smollm_llama_server() -> Iterator[str]:
    """The address of the real SmolLM2 behind llama-server."""
    with llama_serving(core_path("smollm2-135m")) as url:
        yield url
