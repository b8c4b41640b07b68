"""Profile -> what changed: depth of questions by month with intervals, and facets that appear, fade or stay.

Months with few questions get wide intervals, and a change that chance explains is called none. Knows nothing of how it
is shown.
"""
from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from twin.comparison import wilson
from twin.person import Claim, Profile

Trend = Literal["appearing", "fading", "steady", "unclear"]

DEEP = 5         # the level from which a question counts as deep
FREEDOM = 4      # degrees of freedom below which the spread of questions is not known
READING = 0.5    # levels: no question is read more exactly than this
STATED = ("fact", "preference")  # kinds that are said once and hold; how often they show means nothing
FEWEST = 6       # messages of a facet: with fewer, no order of them is beyond chance (2 * 0.5 ** 6 = .03)
CHANCE = 0.05
_Z = 1.959964


@dataclass(frozen=True)
class Month:
    """A month ('2025-06'): n questions, mean level with its 95 % interval, and the share of deep ones (level 5 and
    above) with its own."""

    month: str
    n: int
    mean: float
    low: float
    high: float
    deep: float
    deep_low: float
    deep_high: float


@dataclass(frozen=True)
class FacetLife:
    """When a claim showed: messages in the earlier and in the later half of the time, each beside the questions asked
    then, and what that says."""

    claim: str
    trend: Trend
    early: int
    early_of: int
    late: int
    late_of: int
    first: str
    last: str


def months(profile: Profile) -> tuple[Month, ...]:
    """Depth by month of UTC, oldest first; only months in which something was asked, only questions with a date.

    The interval of a mean is Student's, over the spread inside months pooled over all of them (a month of two equal
    questions is not known exactly); from 1 to 7 where fewer than four degrees of freedom show that spread.
    """
    levels: dict[str, list[float]] = defaultdict(list)
    for question in profile.questions:
        if question.evidence.time:
            levels[f"{question.evidence.time:%Y-%m}"].append(question.depth.level)
    reach = _reach(list(levels.values()))
    return tuple(_month(month, levels[month], reach) for month in sorted(levels))


def _reach(groups: Sequence[Sequence[float]]) -> float:
    """Half the interval of a single question; infinite where too few questions show how much they differ."""
    freedom = sum(map(len, groups)) - len(groups)
    if freedom < FREEDOM:
        return math.inf
    spread = sum((level - sum(group) / len(group)) ** 2 for group in groups for level in group) / freedom
    return student(freedom) * max(READING, math.sqrt(spread))


def _month(month: str, levels: Sequence[float], reach: float) -> Month:
    n = len(levels)
    mean, half = sum(levels) / n, reach / math.sqrt(n)
    deep = sum(level > DEEP - 0.5 for level in levels)
    return Month(month, n, mean, max(1.0, mean - half), min(7.0, mean + half), deep / n, *wilson(deep, n))


def student(freedom: int) -> float:
    """The 97.5 % quantile of Student's t, by the Cornish-Fisher expansion (Abramowitz & Stegun 26.7.5); within .01
    from four degrees of freedom on."""
    z = _Z
    return (z + (z**3 + z) / (4 * freedom) + (5 * z**5 + 16 * z**3 + 3 * z) / (96 * freedom**2)
            + (3 * z**7 + 19 * z**5 + 17 * z**3 - 15 * z) / (384 * freedom**3))


def binomial(n: int, share: float) -> list[float]:
    """The chances of 0..n hits; `share` inside (0, 1). By logarithms: ten thousand messages overflow a product."""
    hit, miss = math.log(share), math.log1p(-share)
    return [math.exp(log_choose(n, k) + k * hit + (n - k) * miss) for k in range(n + 1)]


def log_choose(n: int, k: int) -> float:
    """Logarithm of the binomial coefficient, for 0 <= k <= n."""
    return math.lgamma(n + 1) - math.lgamma(k + 1) - math.lgamma(n - k + 1)


# ---- facets --------------------------------------------------------------------------------------------------------

def facet_life(profile: Profile) -> tuple[FacetLife, ...]:
    """Each dated claim but stated ones, in the profile's order: the earlier half of the time against the later.

    The halves hold about as many of the questions each. Two rates are compared by the exact binomial test given their
    sum, two-sided: appearing or fading below p = .05, steady otherwise, unclear under six messages or in one month.
    The measure is questions, not messages, because that is what a profile keeps by month.
    """
    asked = Counter(f"{q.evidence.time:%Y-%m}" for q in profile.questions if q.evidence.time)
    return tuple(_life(claim, asked, _half(asked)) for claim in profile.claims
                 if claim.months and claim.kind not in STATED)


def _half(asked: Mapping[str, int]) -> str:
    """The last month of the earlier half: the split that is most even."""
    names, total, so_far, best = sorted(asked), sum(asked.values()), 0, (math.inf, "")
    for name in names[:-1]:
        so_far += asked[name]
        best = min(best, (abs(2 * so_far - total), name))
    return best[1]


def _life(claim: Claim, asked: Mapping[str, int], half: str) -> FacetLife:
    early, early_of = (sum(n for month, n in some.items() if month <= half) for some in (claim.months, asked))
    late, late_of = sum(claim.months.values()) - early, sum(asked.values()) - early_of
    shown = sorted(month for month, n in claim.months.items() if n)
    trend: Trend = "unclear"
    if half and early + late >= FEWEST:
        expected = late_of / (early_of + late_of)
        changed = _two_sided(late, early + late, expected) < CHANCE
        trend = "steady" if not changed else "appearing" if late > expected * (early + late) else "fading"
    return FacetLife(claim.id, trend, early, early_of, late, late_of, shown[0] if shown else "",
                     shown[-1] if shown else "")


def _two_sided(hits: int, of: int, share: float) -> float:
    """Exact binomial test: twice the smaller tail, at most 1."""
    chances = binomial(of, share)
    return min(1.0, 2 * min(sum(chances[:hits + 1]), sum(chances[hits:])))
