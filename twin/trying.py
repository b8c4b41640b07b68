"""Trying a core two ways: a council of N roles against one of M, so many active experts against the core's own number.

Everything is asked cold and in turns, so that what one way has read is no help to the other.
"""
from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from statistics import mean, stdev

import numpy as np
from numpy.typing import NDArray

from twin import prompt, roles
from twin.errors import UsageError
from twin.evidence import Said
from twin.proof.statistics import bootstrap_t
from twin.roles import RoleMap
from twin.types import Engine, Progress, Sampling

REPEATS = 3
WORDS, WRITTEN = 400, 16  # words of the conversation before the question; tokens of each answer
TEXTS = 60                # own texts that are scored
_T = {2: 12.706, 3: 4.303, 4: 3.182, 5: 2.776}  # two-sided 95 % of Student's t, by n
_NAMES: Mapping[str, Mapping[str, str]] = {
    "en": {"read": "prompt tokens computed, times as many", "held": "cells of the cache held, times as many",
           "seconds": "seconds until all have answered, times as many",
           "first": "seconds until the first word, times as many",
           "bits": "bits a character of your own words, difference (fewer is better)",
           "speed": "seconds to read them, times as many", "router": "right routes, gain",
           "interval": "95 % interval {low:.3f} to {high:.3f}, n={n}", "n": "n={n}, too few for an interval",
           "bound": "at least {low:.3f} with {level:.0%} certainty, n={n}"},
    "ru": {"read": "вычислено токенов промпта, раз", "held": "занято ячеек кэша, раз",
           "seconds": "секунд, пока ответят все, раз", "first": "секунд до первого слова, раз",
           "bits": "бит на символ ваших слов, разница (меньше - лучше)", "speed": "секунд на их чтение, раз",
           "router": "верных маршрутов, выигрыш",
           "interval": "интервал 95 %: от {low:.3f} до {high:.3f}, n={n}", "n": "n={n}, для интервала мало",
           "bound": "не меньше {low:.3f} с уверенностью {level:.0%}, n={n}"}}


@dataclass(frozen=True)
class Figure:
    """What was measured, with its 95 % interval (NaN where there is too little); with a `level` only `low` is known: a
    one-sided bound at that level."""

    name: str
    value: float
    low: float
    high: float
    n: int
    level: float = 0.0

    def say(self, language: str = "en") -> str:
        """In words."""
        words = _NAMES[language]
        bound = "n" if math.isnan(self.low) else "bound" if self.level else "n" if math.isnan(self.high) else "interval"
        told = words[bound].format(low=self.low, high=self.high, n=self.n, level=self.level)
        return f"{words.get(self.name, self.name)}: {self.value:.3f} ({told})"


def roles_against(engine: Engine, role_map: RoleMap, n: int, now: int, progress: Progress,
                  cancel: Callable[[], bool], *, repeats: int = REPEATS, words: int = WORDS) -> tuple[Figure, ...]:
    """What N roles cost over M (`now`) on one question after so many words: ratios of tokens computed, cells, seconds.
    Where there are fewer roles they come again, numbered. Raises what the engine raises, UsageError where stopped."""
    counted: dict[str, list[float]] = {"read": [], "held": [], "seconds": [], "first": []}
    for number in range(repeats):
        both = []
        for place, size in enumerate((n, now) if number % 2 else (now, n)):
            if cancel():
                raise UsageError("The measurement was stopped.", "Ask again; nothing was changed.")
            progress("what if", 2 * number + place, 2 * repeats)
            both.append(_council(engine, role_map, size, f"{number} {size}", words))
        many, few = both if number % 2 else both[::-1]
        for name, ratios in counted.items():
            ratios.append(many[name] / max(few[name], 1e-9))
    return tuple(interval(name, ratios) for name, ratios in counted.items())


def _council(engine: Engine, role_map: RoleMap, size: int, salt: str, words: int) -> dict[str, float]:
    said = " ".join(f"Day {i}: the {('first', 'second', 'third')[i % 3]} row got {i * 7 % 31} litres."
                    for i in range(min(words, engine.n_ctx // 8) // 8))
    question = f"Log {salt}. {said} What should be done next?"
    many = role_map.roles
    headers = [f"You are number {i}.\n{roles.header(many[i % len(many)], 'en')}" for i in range(size)]
    asked = [prompt.plain(engine.family, [("user", question)], header) for header in headers]
    began = time.perf_counter()
    streams = engine.stream_many(asked, [Sampling(max_tokens=WRITTEN, seed=i) for i in range(size)])
    usages = [usage for stream in streams if (usage := list(stream)[-1].usage)]
    took = time.perf_counter() - began
    read = sum(one.prompt_tokens - one.reused for one in usages)
    return {"read": read, "held": read + sum(one.generated for one in usages), "seconds": took,
            "first": min((one.first_token_s for one in usages), default=took)}


def experts_against(engine: Engine, reopen: Callable[[], Engine], texts: Sequence[Said], progress: Progress,
                    cancel: Callable[[], bool]) -> tuple[Figure, ...]:
    """Own texts scored by the core as it is and reopened: difference in bits a character (below 0: better reopened),
    and how many times the seconds. Raises what `reopen` and the engine raise, UsageError where it was stopped."""
    chosen = texts[-TEXTS:]
    before, before_s = _bits(engine, chosen, progress, cancel)
    with closing(reopen()) as other:
        after, after_s = _bits(other, chosen, progress, cancel)
    differences = np.subtract(after, before)
    names = [one.conversation for one in chosen]
    return (_over(differences, names), Figure("speed", after_s / max(before_s, 1e-9), math.nan, math.nan, 1))


def _bits(engine: Engine, texts: Sequence[Said], progress: Progress,
          cancel: Callable[[], bool]) -> tuple[list[float], float]:
    found, began = [], time.perf_counter()
    for place, one in enumerate(texts):
        if cancel():
            raise UsageError("The measurement was stopped.", "Ask again; nothing was changed.")
        progress("what if", place, len(texts))
        asked = prompt.example(engine.family, context=one.context, answer="")
        found.append(engine.score(asked, one.text).bits_per_character)
    return found, time.perf_counter() - began


def _over(values: NDArray[np.float64], clusters: Sequence[str]) -> Figure:
    low = bootstrap_t(values.tolist(), clusters, level=0.975)
    high = bootstrap_t((-values).tolist(), clusters, level=0.975)
    return Figure("bits", low.mean, low.low, -high.low, len(values))


def interval(name: str, ratios: Sequence[float]) -> Figure:
    """Mean of a few ratios with the 95 % interval of Student's t; where all are equal that is what they are."""
    spread = stdev(ratios) if len(ratios) > 1 else math.nan
    half = 0.0 if spread == 0 else _T.get(len(ratios), math.nan) * spread / math.sqrt(len(ratios))
    return Figure(name, mean(ratios), mean(ratios) - half, mean(ratios) + half, len(ratios))
