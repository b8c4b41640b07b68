"""A real server on a loopback port, in a thread of the test's process, over a twin whose core is a script."""
from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.notebook.chats import spoken
from twin.catalog import Catalog
from twin.chat import Twin
from twin.engine.scripted import ScriptedEngine
from twin.home import Home
from twin.serve.server import Serving
from twin.types import Conversation, Message, Piece, Prompt, Sampling, never

KEY = "a-token-of-forty-letters-for-these-tests"
QUESTION = "How often does the kiln drift?"
OWN = [Conversation(f"talk-{number}", (
    Message(f"a{number}", "user", said, author="me"), Message(f"b{number}", "assistant", "I see.")), source="chatgpt")
    for number, said in enumerate((
        "I always measure the kiln temperature twice before I trust it, because one thermocouple lies. My sister "
        "Galina Petrovna helps me with the kiln, her phone is +7 912 345-67-89.",
        "First I want to measure, then I decide: how often does the kiln drift, and what would prove me wrong?",
        "I live in Novosibirsk with my wife Alsu Karimova. I prefer tea to coffee.",
        "Я сначала измеряю температуру печи, потом решаю. Почему термопара врёт и как это проверить?"))]


class Letters:
    """An embedder of three numbers: how many of each letter."""

    id, dim = "letters", 3

    def embed(self, texts: Sequence[str]) -> list[list[float]]:
        return [[float(text.count(letter)) for letter in "abc"] for text in texts]


class Core(ScriptedEngine):
    """Says what its role is, or what it is told to. `slow`: seconds a word; `told` counts the words that were asked
    for; `cancelled` is set once an answer was stopped."""

    def __init__(self) -> None:
        super().__init__(lambda asked: self.says or spoken(asked))
        self.says, self.slow = "", 0.0
        self.told, self.cancelled = 0, threading.Event()

    def stream(self, prompt: Prompt, sampling: Sampling, *, schema: Mapping[str, Any] | None = None,
               cancel: Callable[[], bool] = never) -> Iterator[Piece]:
        for piece in super().stream(prompt, sampling, schema=schema, cancel=cancel):
            self.told += 1
            if piece.finish == "cancelled":
                self.cancelled.set()
            yield piece
            time.sleep(self.slow)


def made(place: Path, core: Any = None) -> Twin:
    """Somebody with a kiln."""
    twin = Twin(Home(place / "home"), engine=core or Core(), catalog=Catalog(place / "no models"))
    twin.add(OWN)
    return twin


@contextmanager
def serving(twin: Twin, **how: Any) -> Iterator[Serving]:
    """A server that runs meanwhile."""
    server = Serving(twin, KEY, port=0, **how)
    failures = list[BaseException]()

    def run() -> None:
        try:
            server.run()
        except BaseException as error:
            failures.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    patience = time.monotonic() + 30
    while not server.started and time.monotonic() < patience:
        time.sleep(0.01)
    try:
        yield server
    finally:
        server.stop()
        thread.join(30)
        assert not thread.is_alive() and failures == []


def asking(server: Serving, **headers: str) -> httpx.Client:
    """A client with the token; without the certificates it would read for 50 ms."""
    return httpx.Client(base_url=server.url, headers={"Authorization": f"Bearer {KEY}"} | headers, timeout=30,
                        verify=False)  # noqa: S501 - nothing here is https


def chat(question: str = QUESTION, **how: Any) -> dict[str, Any]:
    """A body of a request."""
    return {"model": "critic", "messages": [{"role": "user", "content": question}]} | how


def answers(server: Serving) -> bool:
    """Whether the next request works."""
    with asking(server) as client:
        told = client.post("/v1/chat/completions", json=chat())
    return told.status_code == 200 and told.json()["choices"][0]["message"]["content"] != ""


def until(met: Callable[[], bool], seconds: float = 10.0) -> bool:
    """Wait for it."""
    patience = time.monotonic() + seconds
    while not met() and time.monotonic() < patience:
        time.sleep(0.02)
    return met()


def files() -> int:
    """How many files and sockets this process holds open."""
    return len(os.listdir("/proc/self/fd"))  # noqa: PTH208 - names alone


@pytest.fixture(scope="module")
def twin(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Twin]:
    """One for all tests of a file: servers store nothing."""
    one = made(tmp_path_factory.mktemp("served"))
    one.embedder = Letters()
    yield one
    one.embedder = None
    one.close()


@pytest.fixture
def core(twin: Twin) -> Iterator[Core]:
    """The twin's core, as it was before."""
    assert isinstance(twin.engine, Core)
    yield twin.engine
    twin.engine.says, twin.engine.slow = "", 0.0
    twin.engine.cancelled.clear()
