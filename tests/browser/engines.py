"""Engines for a kernel under test: a script at the pace of a core, so that somebody can watch it write."""
from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from twin.engine.scripted import ScriptedEngine
from twin.types import Piece, Prompt, Sampling, never

A_WORD_S = 0.05  # 20 words a second: a small core on two processor cores


class Paced(ScriptedEngine):
    """A ScriptedEngine that takes its time for each word."""

    def __init__(self, answers: Sequence[str] | Callable[[Prompt], str], *, a_word_s: float = A_WORD_S) -> None:
        super().__init__(answers, n_ctx=65536)
        self._a_word_s = a_word_s

    def stream(self, prompt: Prompt, sampling: Sampling, *, schema: Mapping[str, Any] | None = None,
               cancel: Callable[[], bool] = never) -> Iterator[Piece]:
        for piece in super().stream(prompt, sampling, schema=schema, cancel=cancel):
            time.sleep(self._a_word_s)
            yield piece


def numbered(words: int) -> str:
    """An answer of so many different words: w0 w1 w2 ..."""
    return " ".join(f"w{number}" for number in range(words))
