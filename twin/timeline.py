"""Profile -> what changed: depth of questions by month with intervals, and facets that appear, fade or stay.

Months with few questions get wide intervals, and a change that chance explains is called none. Knows nothing of how it
is shown.
"""
from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from twin.comparison import wilson
from twin.person import STATED as STATED
from twin.person import Claim, Profile

Trend = Literal["appearing", "fading", "steady", "unclear"]

DEEP = 5         # the level from which a question counts as deep
FREEDOM = 4      # degrees of freedom below which the spread of questions is not known
READING = 0.5    # levels: no question is read more exactly than this
FEWEST = 6       # messages of a claim: with fewer, no order of them is beyond chance (2 * 0.5 ** 6 = .03)
CHANCE = 0.05    # share of changes that may be chance among those named (Benjamini and Hochberg)
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
    """When a claim showed: messages in the earlier and in the later half of the time, each beside all own messages of
    that half, and what that says."""

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

    The halves hold about as many own messages each. In each, the messages that show the claim are counted beside all of
    them (`Profile.months`), and the shares compared by Fisher's exact test, two-sided. Among all claims tested no more
    than one change in twenty is to be chance (Benjamini and Hochberg 1995): beyond that it is appearing or fading,
    else steady; unclear under six messages, in one month, or where the profile does not say how much was written.
    """
    half = _half(profile.months)
    lives = [_life(claim, profile.months, half) for claim in profile.claims
             if claim.months and claim.kind not in STATED]
    chances = [_two_sided(life) for life in lives if life.trend != "unclear"]
    bar = _beyond(chances)
    return tuple(replace(life, trend=_changed(life)) if life.trend != "unclear" and _two_sided(life) <= bar else life
                 for life in lives)


def _half(written: Mapping[str, int]) -> str:
    """The last month of the earlier half: the split that is most even; '' for fewer than two months."""
    names, total, so_far, best = sorted(written), sum(written.values()), 0, (math.inf, "")
    for name in names[:-1]:
        so_far += written[name]
        best = min(best, (abs(2 * so_far - total), name))
    return best[1]


def _life(claim: Claim, written: Mapping[str, int], half: str) -> FacetLife:
    """Counts alone: steady where they can be tested."""
    early, early_of = (sum(n for month, n in some.items() if month <= half) for some in (claim.months, written))
    late, late_of = sum(claim.months.values()) - early, sum(written.values()) - early_of
    shown = sorted(month for month, n in claim.months.items() if n)
    testable = half and early + late >= FEWEST and early <= early_of and late <= late_of
    return FacetLife(claim.id, "steady" if testable else "unclear", early, early_of, late, late_of,
                     shown[0] if shown else "", shown[-1] if shown else "")


def _changed(life: FacetLife) -> Trend:
    return "appearing" if life.late * life.early_of > life.early * life.late_of else "fading"


def _two_sided(life: FacetLife) -> float:
    """Fisher's exact test: twice the smaller tail of the late messages, were all that show it drawn from one urn."""
    hits, every = life.early + life.late, log_choose(life.early_of + life.late_of, life.early + life.late)
    least, most = max(0, hits - life.early_of), min(hits, life.late_of)
    chances = [math.exp(log_choose(life.late_of, k) + log_choose(life.early_of, hits - k) - every)
               for k in range(least, most + 1)]
    place = life.late - least
    return min(1.0, 2 * min(sum(chances[:place + 1]), sum(chances[place:])))


def _beyond(chances: Sequence[float]) -> float:
    """The largest p of m tests that holds: the k-th smallest, at most CHANCE * k / m; -1 where none does."""
    ordered = sorted(chances)
    return max((p for k, p in enumerate(ordered, 1) if p <= CHANCE * k / len(ordered)), default=-1.0)
