"""Means and ratios with 95 % bootstrap intervals: of independent values, or of samples that come in conversations.

Messages of one conversation are alike, so whole conversations are drawn, not messages (cluster bootstrap, Davison and
Hinkley 1997, section 3.8). Two conditions on the same samples are compared by their differences, in the same draws.
"""
from __future__ import annotations

import math
from collections.abc import Hashable, Iterable, Sequence
from typing import NamedTuple, Protocol

import numpy as np

from twin.errors import UsageError

DRAWS, SEED = 2000, 0
_Z = 1.959964  # 97.5 % point of the normal distribution


class Estimate(NamedTuple):
    """A figure and its 95 % interval. NaN: nothing to count; NaN bounds alone: one conversation tells no spread."""

    value: float
    low: float = math.nan
    high: float = math.nan

    def __str__(self) -> str:
        if math.isnan(self.value):
            return "nan"
        return f"{self.value:.3f}" + ("" if math.isnan(self.low) else f" [{self.low:.3f}, {self.high:.3f}]")


def interval(values: Sequence[float], *, draws: int = DRAWS, seed: int = SEED) -> Estimate:
    """Mean of independent values and its 95 % bootstrap interval (percentiles); NaN for none."""
    if not values:
        return Estimate(math.nan)
    data = np.asarray(values, float)
    means = data[np.random.default_rng(seed).integers(0, len(data), (draws, len(data)))].mean(axis=1)
    low, high = np.percentile(means, (2.5, 97.5))
    return Estimate(float(data.mean()), float(low), float(high))


def pooled(values: Sequence[float], clusters: Sequence[Hashable], weights: Sequence[float] | None = None, *,
           draws: int = DRAWS, seed: int = SEED) -> Estimate:
    """sum(values) / sum(weights) over samples (their mean without weights), drawn by cluster: bits and characters give
    bits a character. NaN for no samples, or no weight at all.

    The percentiles are those of the expanded percentile interval (Hesterberg 2015, "What teachers should know about
    the bootstrap"): for few clusters plain ones are too narrow, like a normal interval where Student's t belongs.
    Raises UsageError for lists of different lengths.
    """
    bottom = np.ones(len(values)) if weights is None else np.asarray(weights, float)
    if not len(values) == len(clusters) == len(bottom):
        raise UsageError(f"{len(values)} values, {len(clusters)} clusters and {len(bottom)} weights do not belong "
                         "together.", "Measure all conditions on the same samples, to the end.")
    if not len(values) or bottom.sum() == 0:
        return Estimate(math.nan)
    place = {one: number for number, one in enumerate(dict.fromkeys(clusters))}
    at = [place[one] for one in clusters]
    above = np.bincount(at, np.asarray(values, float), len(place))
    below = np.bincount(at, bottom, len(place))
    value = float(above.sum() / below.sum())
    if len(place) < 2:
        return Estimate(value)
    drawn = np.random.default_rng(seed).multinomial(len(place), np.full(len(place), 1 / len(place)), draws)
    weight = drawn @ below
    ratios = (drawn @ above)[weight > 0] / weight[weight > 0]
    tail = _tail(len(place))
    low, high = np.percentile(ratios, (100 * tail, 100 * (1 - tail)))
    return Estimate(value, float(low), float(high))


def paired(a: Sequence[float], b: Sequence[float], clusters: Sequence[Hashable],
           weights: Sequence[float] | None = None, *, draws: int = DRAWS, seed: int = SEED) -> Estimate:
    """a - b on the same samples: the difference of their `pooled` figures, with the interval of the difference. Raises
    UsageError for lists of different lengths."""
    if len(a) != len(b):
        raise UsageError(f"{len(a)} and {len(b)} samples cannot be compared one by one.",
                         "Measure both conditions on the same samples, to the end.")
    return pooled([one - other for one, other in zip(a, b, strict=True)], clusters, weights, draws=draws, seed=seed)


class Said(Protocol):
    """What has a conversation, and a time (None where it is not known)."""

    @property
    def conversation(self) -> str: ...

    @property
    def time(self) -> object: ...


def clusters(samples: Iterable[Said]) -> list[str]:
    """What each sample belongs to: its conversation, else its day, else itself alone."""
    return [one.conversation or (str(one.time)[:10] if one.time else f"sample {number}")
            for number, one in enumerate(samples)]


def _tail(n: int) -> float:
    """The percentile (0..1) whose place under the normal curve is that of Student's t with n - 1 degrees of freedom on
    the unbiased deviation; t from z by its series (Abramowitz and Stegun 26.7.5, two terms)."""
    free = n - 1
    t = _Z + (_Z**3 + _Z) / (4 * free) + (5 * _Z**5 + 16 * _Z**3 + 3 * _Z) / (96 * free**2)
    return 0.5 * (1 - math.erf(math.sqrt(n / free) * t / math.sqrt(2)))
