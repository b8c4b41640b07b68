"""ScriptedEngine: plays written answers through the same door as a real core. For tests, examples and faces.

Counts like an engine (one token a word), refuses like one (PromptTooLong), stops like one. Knows no language.
"""
from __future__ import annotations

import json
import math
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Literal

import numpy as np

from twin.engine import asked_together, refuse_cold
from twin.errors import PromptTooLong, UsageError
from twin.prompt import family_of
from twin.types import Family, Piece, Prompt, Sampling, Score, Segment, Usage, Written, never

_WORDS = re.compile(r"\s*\S+|\s+$")


class ScriptedEngine:
    """Answers come from `answers`, a list played in turn or a function of the prompt; `prompts` records what was asked.

    Raises UsageError when the script is at its end: an engine that was asked too often is a finding, not silence.
    """

    def __init__(self, answers: Sequence[str] | Callable[[Prompt], str], *, n_ctx: int = 8192,
                 family: str | Family = "chatml") -> None:
        self._answers = answers
        self.id = "scripted"
        self.family = family_of(family)
        self.notes: tuple[str, ...] = ()
        self.n_ctx, self.parameters = n_ctx, 0
        self.prompts: list[Prompt] = []
        self._prepared: set[tuple[Segment, ...]] = set()

    def __repr__(self) -> str:
        return f"ScriptedEngine({len(self.prompts)} prompts so far)"

    def tokenize(self, text: str, *, special: bool = False) -> list[int]:  # noqa: ARG002 - one vocabulary for both
        """One id a word, stable within a process run."""
        return [hash(word) & 0x7FFFFFFF for word in _WORDS.findall(text)]

    def _next(self, prompt: Prompt) -> str:
        self.prompts.append(prompt)
        if callable(self._answers):
            return self._answers(prompt)
        if len(self.prompts) > len(self._answers):
            raise UsageError(f"The script has {len(self._answers)} answers and was asked for one more.",
                             "Give ScriptedEngine more answers.")
        return self._answers[len(self.prompts) - 1]

    def stream(self, prompt: Prompt, sampling: Sampling, *, schema: Mapping[str, Any] | None = None,
               cancel: Callable[[], bool] = never) -> Iterator[Piece]:
        """Play the next answer word by word. With a schema the answer must at least be JSON."""
        n = len(self.tokenize(prompt.text))
        if n + sampling.max_tokens > self.n_ctx:
            raise PromptTooLong(f"The prompt has {n} tokens; the context holds {self.n_ctx}.", "Ask something shorter.")
        answer = self._next(prompt)
        if schema is not None:
            try:
                json.loads(answer)
            except ValueError as error:
                raise UsageError("A scripted answer to a schema is not JSON.", "Mend the script.") from error
        finish: Literal["stop", "length", "cancelled"] = "stop"
        made = 0
        for word in _WORDS.findall(answer):
            if cancel():
                finish = "cancelled"
                break
            if made == sampling.max_tokens:
                finish = "length"
                break
            made += 1
            yield Piece(word)
        ids = tuple(self.tokenize(answer)[:made])
        yield Piece("", finish, Usage(prompt_tokens=n, header=self._header(prompt), generated=made, finish=finish),
                    Written(self.id, ids) if ids else None)

    def stream_many(self, prompts: Sequence[Prompt], samplings: Sequence[Sampling], *,
                    schemas: Sequence[Mapping[str, Any] | None] = (),
                    cancel: Callable[[], bool] = never) -> list[Iterator[Piece]]:
        """One stream a prompt; a written list is played in the order in which they are first pulled."""
        return [self.stream(prompt, sampling, schema=schema, cancel=cancel)
                for prompt, sampling, schema in asked_together(prompts, samplings, schemas)]

    def score(self, prompt: Prompt, continuation: str, *, temperature: float = 1.0) -> Score:
        """One bit for each word the prompt already holds, eight for any other: a script foresees only repetition. At
        another temperature as if it chose between that word and one other: what is unlikely costs more when it is cold.
        """
        refuse_cold(temperature)
        words = _WORDS.findall(continuation)
        if not words:
            raise UsageError("An empty text has no bits.", "Score a text of at least one character.")
        known = set(prompt.text.split())
        return Score(tuple(_tempered(1.0 if word.strip() in known else 8.0, temperature) for word in words),
                     len(continuation))

    def prepare(self, prompt: Prompt, *, keep: bool = False,  # noqa: ARG002 - nothing to keep or to stop
                cancel: Callable[[], bool] = never) -> int:  # noqa: ARG002
        """A script needs no reading; what a core would read is counted once."""
        new = prompt.prefix not in self._prepared
        self._prepared.add(prompt.prefix)
        return sum(len(self.tokenize(segment.text)) for segment in prompt.prefix) if new else 0

    def _header(self, prompt: Prompt) -> int:
        return sum(len(self.tokenize(segment.text)) for segment in prompt.tail if segment.part == "role")

    def choose(self, prompt: Prompt, options: Sequence[str]) -> list[float]:
        """Certain of the option that the next answer names; equal odds when it names none."""
        answer = self._next(prompt)
        hit = [float(option == answer) for option in options]
        return hit if any(hit) else [1 / len(options)] * len(options)

    def close(self) -> None:
        """Nothing to free."""


def _tempered(bits: float, temperature: float) -> float:
    """Bits of one of two words at a temperature, from those at 1."""
    if temperature == 1.0:
        return bits
    odds = (math.log2(1 - 2.0**-bits) + bits) / temperature  # of the other word, in powers of two
    return float(np.logaddexp2(0.0, odds))
