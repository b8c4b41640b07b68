"""A core's opinion of a question's depth: one more feature beside the rules, and only from a core that earned it.

The core reads the rubric and the question and says one digit; its probabilities give an expected level. Small cores
favour the row that stands last, so the rubric is read in both orders. Tried on questions of known depth
(depth_core.toml): unless the opinion brings the rules nearer to those levels, it stays off for this core and language.
Measured on Qwen2.5-Coder-1.5B: it says 4.1 to 5.2 to everything, correlates with the levels at .74 (Russian .47, 14
questions), and would spoil the rules (mean error .24 -> .41, .16 -> .29): its gate stays shut.
It never replaces a rule: the level moves by less than half a rung. Knows engines and depths; no messages.
"""
from __future__ import annotations

import tomllib
from collections.abc import MutableMapping
from dataclasses import replace
from functools import lru_cache
from importlib.resources import files

import numpy as np
from numpy.typing import NDArray

from twin.depth import rate
from twin.person import Depth
from twin.prompt import plain
from twin.text import language
from twin.types import Engine

DIGITS = ("1", "2", "3", "4", "5", "6", "7")
WEIGHT = 0.25  # of the distance to the core's level that the level moves; a starting prior
MOST = 0.45    # levels it moves at most: less than half a rung
GAIN = 0.02    # levels of mean absolute error that the core must save on the known questions; a starting prior
OFF, ON = 0.0, 1.0

RUBRIC = {
    "en": ("wants one fact, or the very first step", "wants a procedure under a stated condition or resource",
           "attaches, extends or compares one part, or asks why or how one thing works",
           "makes two or more parts work together, or asks how something really went",
           "asks for the shape of a whole, or a what-if over parts with resources or a trade-off",
           "directs a whole through roles, routes and weights, or follows a change through two or more linked effects",
           "is about a thing that designs, judges or changes itself"),
    "ru": ("хочет один факт или первый шаг", "хочет способ при названном условии или ресурсе",
           "присоединяет, расширяет или сравнивает одну часть либо спрашивает, почему или как что-то устроено",
           "заставляет две части или больше работать вместе либо спрашивает, как было на самом деле",
           "спрашивает об устройстве целого либо «что если» о частях с ресурсами или выбором",
           "направляет целое через роли, маршруты и веса либо прослеживает изменение через две связи и больше",
           "о том, что проектирует, оценивает или меняет само себя"),
}
_TASK = {"en": ("How deep is the question by how it is built? The question ...", "Answer with one digit, 1 to 7."),
         "ru": ("Насколько глубок вопрос по тому, как он построен? Вопрос ...", "Ответь одной цифрой от 1 до 7.")}


class CoreRater:
    """Adjusts depths by a core's opinion. `gate` keeps what the core earned, for the caller to store beside the core:
    'depth.en' -> 1 or 0 (on, off), 'depth.en.at' and 'depth.en.slope' -> the line from its opinion to the level."""

    def __init__(self, engine: Engine, gate: MutableMapping[str, float]) -> None:
        self._engine = engine
        self._gate = gate

    def __repr__(self) -> str:
        return f"CoreRater({self._engine.id})"

    def adjust(self, text: str, depth: Depth) -> Depth:
        """The depth with the core's opinion in it; as it was where this core has no say in the text's language.

        The level moves a quarter of the way, less than half a rung; the interval grows narrower where both agree
        within a level, and reaches towards the core's level where they do not.
        """
        tongue = "ru" if language(text) == "ru" else "en"
        key = f"depth.{tongue}"
        if key not in self._gate:
            self._try(tongue)
        if self._gate[key] == OFF:
            return depth
        core = self._gate[f"{key}.at"] + self._gate[f"{key}.slope"] * self.opinion(text)
        core = min(7.0, max(1.0, core))
        level = _moved(depth.level, core)
        if abs(core - depth.level) <= 1:
            low, high = level - 0.8 * (depth.level - depth.low), level + 0.8 * (depth.high - depth.level)
        else:
            low, high = min(depth.low, max(core, depth.low - 1)), max(depth.high, min(core, depth.high + 1))
        return replace(depth, level=level, low=max(1.0, min(low, level)), high=min(7.0, max(high, level)))

    def counts(self, text: str) -> bool:
        """Whether this core has a say in the text's language; False while it was not tried."""
        return self._gate.get(f"depth.{'ru' if language(text) == 'ru' else 'en'}", OFF) == ON

    def opinion(self, text: str) -> float:
        """The core's expected digit, 1..7, over both orders of the rubric. Raises PromptTooLong like the engine."""
        tongue = "ru" if language(text) == "ru" else "en"
        task, answer = _TASK[tongue]
        rows = [f"{digit}: {row}" for digit, row in zip(DIGITS, RUBRIC[tongue], strict=True)]
        odds = np.zeros(len(DIGITS))
        for order in (rows, rows[::-1]):
            said = [("system", "\n".join([task, *order, answer])), ("user", text)]
            odds += np.asarray(self._engine.choose(plain(self._engine.family, said), list(DIGITS)), float) / 2
        return float(odds @ np.arange(1, 8))

    def _try(self, tongue: str) -> None:
        """Ask the core about the known questions of a language, and open or close its gate."""
        known = _known()[tongue]
        levels = np.array([level for level, _ in known], float)
        rules = np.array([rate(text).level for _, text in known])
        opinions = np.array([self.opinion(text) for _, text in known])
        at, slope = _line(opinions, levels)
        gain = float(np.mean(abs(rules - levels)) - np.mean(abs(_mixed(rules, opinions, levels) - levels)))
        key = f"depth.{tongue}"
        self._gate.update({key: ON if gain >= GAIN and slope > 0 else OFF, f"{key}.at": at, f"{key}.slope": slope,
                       f"{key}.gain": gain})


def _moved(level: float, core: float) -> float:
    return level + min(MOST, max(-MOST, WEIGHT * (core - level)))


def _mixed(rules: NDArray[np.float64], opinions: NDArray[np.float64],
           levels: NDArray[np.float64]) -> NDArray[np.float64]:
    """The rules' levels with the core's opinion in them; the line for each question is drawn without it."""
    mixed = []
    for n in range(len(levels)):
        others = np.arange(len(levels)) != n
        at, slope = _line(opinions[others], levels[others])
        mixed.append(_moved(rules[n], min(7.0, max(1.0, at + slope * opinions[n]))))
    return np.array(mixed)


def _line(opinions: NDArray[np.float64], levels: NDArray[np.float64]) -> tuple[float, float]:
    """Intercept and slope of the least-squares line from opinion to level; no slope where the opinion is always one."""
    spread = opinions - opinions.mean()
    if float(spread @ spread) < 1e-6:
        return float(levels.mean()), 0.0
    slope = float(spread @ (levels - levels.mean()) / (spread @ spread))
    return float(levels.mean() - slope * opinions.mean()), slope


@lru_cache(maxsize=1)
def _known() -> dict[str, list[tuple[int, str]]]:
    """Language -> (level, question) of depth_core.toml."""
    table = tomllib.loads((files("twin") / "depth_core.toml").read_text(encoding="utf-8"))
    return {tongue: [(int(level), text) for level, texts in rows.items() for text in texts]
            for tongue, rows in table.items()}
