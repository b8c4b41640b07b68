"""Chats on a twin of their own home."""
from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from twin.catalog import Catalog
from twin.chat import Twin
from twin.engine.scripted import ScriptedEngine
from twin.home import Home
from twin.notebook.chat import Chat


@pytest.fixture
def make(own_home: Path) -> Iterator[Callable[..., Chat]]:
    """Makes chats; their twins are closed at the end."""
    opened: list[Twin] = []

    def chat(*answers: str, engine: ScriptedEngine | None = None, language: str = "en") -> Chat:
        core = engine or ScriptedEngine(answers)
        opened.append(Twin(Home(own_home), engine=core, catalog=Catalog(own_home / "no models")))
        opened[-1].language = language
        return Chat(opened[-1])

    yield chat
    for twin in opened:
        twin.close()
