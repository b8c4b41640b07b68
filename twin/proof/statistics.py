"""Is it better? Bounds and tests over conversations, not messages: what one conversation holds is alike.

`bootstrap_t`: a one-sided lower bound of a mean that holds for skewed gains and few conversations, where percentiles
accept too much (Efron and Tibshirani 1993, 12.5; conversations resampled whole, Davison and Hinkley 1997, 3.8).
`signs`: the exact test for right and wrong (McNemar's where each conversation holds one change). `better`: ratings.
Every figure is the same each time it is asked.
"""
from __future__ import annotations

import math
from collections.abc import Hashable, Iterable, Sequence
from statistics import NormalDist
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from twin.errors import UsageError

Floats = NDArray[np.float64]

DRAWS, SEED = 5000, 0
GRID = 4001  # points of a share between 0 and 1
POWER = 0.8


class Bound(NamedTuple):
    """A mean, its one-sided lower bound and its standard error over conversations; NaN where nothing can be told."""

    mean: float
    low: float
    error: float


def sums(values: Sequence[float], clusters: Sequence[Hashable],
         weights: Sequence[float] | None = None) -> tuple[Floats, Floats]:
    """Sums of values and of weights (of ones) by cluster, in the order in which they first come: (clusters,) each."""
    bottom = np.ones(len(values)) if weights is None else np.asarray(weights, float)
    if not len(values) == len(clusters) == len(bottom):
        raise UsageError(f"{len(values)} values, {len(clusters)} clusters and {len(bottom)} weights do not belong "
                         "together.", "Measure both maps on the same items, to the end.")
    place = {one: number for number, one in enumerate(dict.fromkeys(clusters))}
    at = [place[one] for one in clusters]
    found = [np.bincount(at, weight, len(place)).astype(float) for weight in (np.asarray(values, float), bottom)]
    return found[0], found[1]


def bootstrap_t(values: Sequence[float], clusters: Sequence[Hashable], weights: Sequence[float] | None = None, *,
                level: float = 0.99, draws: int = DRAWS, seed: int = SEED) -> Bound:
    """The mean sum(values) / sum(weights) with its lower bound at `level`, conversations resampled. Items that were
    looked at and show nothing take part with the weight 0. NaN for no weight at all, a NaN bound for one cluster."""
    above, below = sums(values, clusters, weights)
    if not below.sum() > 0:
        return Bound(math.nan, math.nan, math.nan)
    means, lows, errors = bounds(above[None], below[None], level=level, draws=draws, seed=seed)
    return Bound(float(means[0]), float(lows[0]), float(errors[0]))


def bounds(above: Floats, below: Floats, *, level: float = 0.99, draws: int = DRAWS,
           seed: int = SEED) -> tuple[Floats, Floats, Floats]:
    """Means, lower bounds and standard errors (m,) of m sets of sums by cluster: above, below (m, clusters).

    t* = (mean* - mean) / error* over resamples, the error by linearisation of the ratio; the bound is mean - error
    times the quantile of t* at `level`. A resample without spread tells nothing of t and counts as beyond any bound on
    the side that makes the bound lower. Where all clusters say the same the bound is the mean. A level that so many
    draws cannot tell gets more.
    """
    draws = max(draws, math.ceil(2 / (1 - level)))
    m, size = above.shape
    means = above.sum(axis=1) / below.sum(axis=1)
    if size < 2:
        return means, np.full(m, np.nan), np.full(m, np.nan)
    apart = (above - means[:, None] * below).T  # from the mean: else the squares would cancel to noise
    _, errors = _ratio(apart, below.T, np.ones((1, size)))
    drawn = np.random.default_rng(seed).multinomial(size, np.full(size, 1 / size), draws).astype(float)
    again, spread = _ratio(apart, below.T, drawn)
    with np.errstate(divide="ignore", invalid="ignore"):
        t = np.where(spread > 1e-12, again / spread, np.inf)
    quantile = np.sort(np.where(np.isnan(t), np.inf, t), axis=0)[min(math.ceil(level * (draws + 1)), draws) - 1]
    with np.errstate(invalid="ignore"):
        lows = np.where(errors[0] > 1e-12, means - errors[0] * quantile, means)
    return means, lows, errors[0]


def _ratio(above: Floats, below: Floats, drawn: Floats) -> tuple[Floats, Floats]:
    """Ratios of sums and their standard errors (draws, m), of sums (clusters, m) drawn so often (draws, clusters)."""
    size = above.shape[0]
    bottom = drawn @ below
    with np.errstate(divide="ignore", invalid="ignore"):
        ratio = drawn @ above / bottom
        squares = drawn @ above**2 - 2 * ratio * (drawn @ (above * below)) + ratio**2 * (drawn @ below**2)
        error = np.sqrt(np.maximum(squares, 0) * size / max(size - 1, 1)) / bottom
    return ratio, error


def signs(gains: Iterable[int]) -> float:
    """One-sided exact p of net gains a conversation (right now less right before), by flipping each one's sign: the
    share of all ways in which the sum is at least as large. With gains of 1 and -1 it is McNemar's exact test."""
    found = [gain for gain in gains if gain]
    sizes = [abs(gain) for gain in found]
    total = sum(sizes)
    ways = np.zeros(2 * total + 1)
    ways[total] = 1.0
    for size in sizes:
        ways = (np.roll(ways, size) + np.roll(ways, -size)) / 2  # never leaves the ends: |sum| <= total
    return float(min(1.0, ways[total + sum(found):].sum()))


def least_signs(level: float) -> int:
    """How many conversations must differ, all one way, for p below 1 - level: 7 at 99 %, 5 at 95 %."""
    return math.floor(-math.log2(1 - level)) + 1


def better(good: float, bad: float, good_before: float, bad_before: float) -> float:
    """P(the share of good ratings is higher now than before), each share Beta(1 + good, 1 + bad); 0..1. Counts may be
    fractions."""
    x = (np.arange(GRID) + 0.5) / GRID
    now, before = _beta(x, good, bad), _beta(x, good_before, bad_before)
    below = np.cumsum(before) - before / 2
    return float((now * below).sum())


def rise(good: float, bad: float, good_before: float, bad_before: float, level: float = 0.99) -> float:
    """The lower bound at `level` of how much higher the share of good ratings is now, by the same shares."""
    rng = np.random.default_rng(SEED)
    draws = max(4 * DRAWS, math.ceil(20 / (1 - level)))
    now, before = rng.beta(1 + good, 1 + bad, draws), rng.beta(1 + good_before, 1 + bad_before, draws)
    return float(np.quantile(now - before, 1 - level))


def _beta(x: Floats, good: float, bad: float) -> Floats:
    logs = good * np.log(x) + bad * np.log1p(-x)
    shares = np.exp(logs - logs.max())
    return np.asarray(shares / shares.sum(), dtype=np.float64)


def needed(sd: float, delta: float, level: float = 0.99) -> int:
    """Items for 80 % power to see a mean of `delta` at this level where single ones spread by `sd`: the squared sum of
    both normal quantiles (10.0 at 99 %, 6.2 at 95 %) times (sd / delta)^2. Raises UsageError for a delta that is not
    above 0 and a level that is not between 0 and 1."""
    if not (delta > 0 and 0 < level < 1):
        raise UsageError(f"How many items show a gain of {delta:g} at {level:g} cannot be said.",
                         "Give a gain above 0 and a level between 0 and 1.")
    normal = NormalDist()
    return max(1, math.ceil(((normal.inv_cdf(level) + normal.inv_cdf(POWER)) * sd / delta) ** 2))
