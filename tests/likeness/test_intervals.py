"""Intervals over conversations: they hold the truth about as often as they say, and nothing is wide that is certain."""
from __future__ import annotations

import math
from datetime import UTC, datetime

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from twin.errors import UsageError
from twin.likeness import Estimate, clusters, interval, paired, pooled
from twin.training.samples import Sample

FIGURES = st.lists(st.tuples(st.floats(-100, 100), st.integers(1, 50), st.integers(0, 6)), min_size=1, max_size=40)


def test_the_interval_holds_the_mean_and_shrinks_with_more() -> None:
    few, many = interval([0.0, 1.0] * 4), interval([0.0, 1.0] * 400)
    assert few[1] <= few[0] == 0.5 <= few[2]
    assert many[2] - many[1] < few[2] - few[1]
    assert all(map(math.isnan, interval([])))


@pytest.mark.parametrize("talks", [6, 12, 40])
def test_the_interval_over_conversations_holds_the_truth_about_19_times_in_20(talks: int) -> None:
    """Messages of one conversation are alike here (its own mean, as wide as the noise): drawn one by one they would
    claim a certainty that is not there."""
    rng = np.random.default_rng(7)
    held = naive = 0
    for _ in range(200):
        sizes = rng.integers(3, 30, talks)
        where = np.repeat(np.arange(talks), sizes)
        values = 2.0 + rng.normal(0, 1, talks)[where] + rng.normal(0, 1, len(where))
        _, low, high = pooled(values.tolist(), where.tolist(), draws=400)
        held += low <= 2.0 <= high
        _, low, high = interval(values.tolist(), draws=100)
        naive += low <= 2.0 <= high

    assert 0.88 <= held / 200 <= 0.99
    assert naive / 200 < 0.75


@given(FIGURES)
def test_a_condition_is_no_better_than_itself_and_that_is_certain(rows: list[tuple[float, int, int]]) -> None:
    bits, characters, where = zip(*rows, strict=True)
    value, low, high = paired(bits, bits, where, characters)

    assert value == 0
    assert len(set(where)) == 1 or (low, high) == (0, 0)


@given(FIGURES, st.floats(-5, 5))
def test_a_constant_advantage_in_every_sample_is_certain(rows: list[tuple[float, int, int]], gain: float) -> None:
    bits, characters, where = zip(*rows, strict=True)
    better = [one - gain * n for one, n in zip(bits, characters, strict=True)]
    found = paired(bits, better, where, characters)

    assert found.value == pytest.approx(gain, abs=1e-6)
    assert len(set(where)) == 1 or found[1:] == pytest.approx((gain, gain), abs=1e-6)


@given(FIGURES)
def test_a_pooled_figure_is_sum_over_sum_within_its_interval(rows: list[tuple[float, int, int]]) -> None:
    bits, characters, where = zip(*rows, strict=True)
    found = pooled(bits, where, characters)

    assert found.value == pytest.approx(sum(bits) / sum(characters), abs=1e-9)
    assert math.isnan(found.low) if len(set(where)) == 1 else found.low <= found.high
    assert found == pooled(bits, where, characters)


def test_one_conversation_has_a_figure_but_no_interval() -> None:
    found = pooled([1.0, 2.0], ["day"] * 2)

    assert found.value == 1.5
    assert math.isnan(found.low)
    assert str(found) == "1.500"


def test_nothing_is_no_figure() -> None:
    assert math.isnan(pooled([], []).value)
    assert math.isnan(pooled([1.0], ["a"], [0]).value)
    assert str(Estimate(math.nan)) == "nan"


def test_samples_that_do_not_match_are_refused() -> None:
    with pytest.raises(UsageError, match="one by one"):
        paired([1.0], [1.0, 2.0], ["a"])
    with pytest.raises(UsageError, match="belong together"):
        pooled([1.0, 2.0], ["a"])


def test_where_there_are_no_conversations_days_are_drawn() -> None:
    day = datetime(2024, 5, 6, 9, tzinfo=UTC)
    samples = [Sample("", "a", conversation="talk"), Sample("", "b", time=day),
               Sample("", "c", time=day.replace(hour=20)), Sample("", "d"),
               Sample("", "e")]

    assert clusters(samples) == ["talk", "2024-05-06", "2024-05-06", "sample 3", "sample 4"]
