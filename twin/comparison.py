"""How often a facet shows, beside other people: rates with their intervals against reference.toml, numbers only.

The unit is the own sentence, or the own question where a facet is one of asking (Facet.unit): a rate by the message
would say how long the messages are, and one over all sentences how often the person asks at all. Equal sentences count
once. Sentences differ in length too, between a help channel and a diary by half; that much these rates cannot tell.
The reference people are few, and none of them writes to an assistant.

"More often than n of m" counts those below the lower end of the person's own 95 % interval, so that it is not chance
on the person's side; how sure the rates of the others are is not counted in.
"""
from __future__ import annotations

import math
import tomllib
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from functools import lru_cache
from importlib.resources import files

from twin.facets import facets
from twin.person import Comparison

ENOUGH = 5  # people of one language to be compared with them alone
_Z = 1.96   # 95 %
QUESTIONS = 20  # different ones, from which their mean depth is compared
_T = 2.093  # Student's 97.5 % quantile for so many; for more it is a little less, and the interval a little too wide
_READING = 0.5  # levels: no question is read more exactly, and equal readings are not known exactly


@dataclass(frozen=True)
class Reference:
    """One person of the reference set: how many different own sentences and questions they wrote, in how many of them
    each facet showed by rule, and the mean depth of their questions. `kind` says in words what they wrote."""

    name: str
    language: str
    kind: str
    sentences: int
    questions: int
    depth: float
    shown: Mapping[str, int]

    def rate(self, facet: str) -> float:
        """Share of this person's units that show the facet."""
        units = self.questions if facets()[facet].unit == "question" else self.sentences
        return self.shown[facet] / max(1, units)


@lru_cache(maxsize=1)
def everyone() -> tuple[Reference, ...]:
    """The reference set of reference.toml (made by tests/bench/reference.py)."""
    table = tomllib.loads((files("twin") / "reference.toml").read_text(encoding="utf-8"))
    return tuple(Reference(name, **one) for name, one in table.items())


def people(language: str) -> tuple[Reference, ...]:
    """Those who write this language, where there are ENOUGH of them; else all."""
    same = tuple(one for one in everyone() if one.language == language)
    return same if len(same) >= ENOUGH else everyone()


def compare(facet: str, shown: int, units: int, language: str) -> Comparison:
    """The rate shown / units of a facet with its Wilson 95 % interval, and how many reference people lie below that.

    `units` are own sentences or questions, by the facet. The language of the result is that of the reference people,
    'und' where they are of several.
    """
    others = people(language)
    low, high = wilson(shown, units)
    rate = shown / max(1, units)
    spoken = {one.language for one in others}
    return Comparison(round(rate, 5), round(low, 5), round(high, 5), sum(one.rate(facet) < low for one in others),
                      len(others), spoken.pop() if len(spoken) == 1 else "und")


@dataclass(frozen=True)
class Deeper:
    """Mean depth of `n` questions with its 95 % interval, and how many `of` so many people lie below that interval."""

    mean: float
    low: float
    high: float
    n: int
    more_than: int
    of: int


def deeper_than(levels: Collection[float], language: str) -> Deeper | None:
    """Depths of different questions beside the mean depths of the reference people; None for fewer than QUESTIONS."""
    n = len(levels)
    if n < QUESTIONS:
        return None
    others, mean = people(language), sum(levels) / n
    spread = math.sqrt(sum((level - mean) ** 2 for level in levels) / (n - 1))
    half = _T * max(_READING, spread) / math.sqrt(n)
    low, high = max(1.0, mean - half), min(7.0, mean + half)
    return Deeper(mean, low, high, n, sum(one.depth < low for one in others), len(others))


def ordinary(comparison: Comparison | None) -> bool:
    """True where a facet shows clearly more often than with fewer than half of the reference people: it tells nobody
    apart, or there is too little to say so."""
    return comparison is not None and 2 * comparison.more_than < comparison.of


def wilson(shown: int, units: int) -> tuple[float, float]:
    """95 % interval of a share (Wilson 1927): (0, 1) of nothing."""
    if units <= 0:
        return 0.0, 1.0
    share, z2 = shown / units, _Z * _Z / units
    middle = (share + z2 / 2) / (1 + z2)
    half = _Z / (1 + z2) * math.sqrt(share * (1 - share) / units + z2 / units / 4)
    return max(0.0, min(share, middle - half)), min(1.0, max(share, middle + half))  # rounding: the share lies inside
