"""The bounds hold: nothing is called better that is not, nothing is missed that plainly is, and twice is the same."""
from __future__ import annotations

import math

import numpy as np
import pytest
from numpy.typing import NDArray

from twin.errors import UsageError
from twin.proof import statistics
from twin.proof.foreseen import DELTA

TALKS, EACH, NULLS = 16, 5, 1000
Floats = NDArray[np.float64]


def gains(shape: str, seed: int, *, talks: int = TALKS, mean: float = 0.0) -> Floats:
    """(NULLS, talks, EACH): skewed gains with the true mean, those of one conversation alike, spread .34."""
    rng = np.random.default_rng(seed)
    size = (NULLS, talks, EACH)
    own = {"normal": lambda: rng.normal(0, 1, size), "few losses": lambda: 1 - rng.exponential(1, size),
           "few gains": lambda: rng.exponential(1, size) - 1,
           "rare disasters": lambda: -(rng.lognormal(0, 1, size) - math.exp(0.5)) / 2.16}[shape]()
    return np.asarray(mean + 0.34 * (math.sqrt(0.9) * own + math.sqrt(0.1) * rng.normal(0, 1, (NULLS, talks, 1))))


def accepted(found: Floats, level: float = 0.99) -> NDArray[np.bool_]:
    """S3 by the rule: a bound above 0 and a mean of at least DELTA."""
    counts = np.full(found.shape[:2], float(EACH))
    means, lows, _ = statistics.bounds(found.sum(axis=2), counts, level=level, draws=1000)
    return np.asarray((lows > 0) & (means >= DELTA))


@pytest.mark.parametrize("shape", ["normal", "few losses", "few gains", "rare disasters"])
def test_what_is_no_better_is_accepted_in_at_most_3_of_100(shape: str) -> None:
    """1,000 changes without any true gain, each on a selection part and a proof set of 80 texts in 16 conversations."""
    let_on = gains(shape, 1).mean(axis=(1, 2)) >= 0
    assert (accepted(gains(shape, 2)) & let_on).mean() <= 0.03
    assert accepted(gains(shape, 2)).mean() <= 0.03  # even without the selection part


@pytest.mark.parametrize("level", [0.95, 0.99])
def test_routes_that_change_by_chance_are_accepted_in_at_most_3_of_100(level: float) -> None:
    """Each of 16 conversations gains or loses a message with one chance in five each; a selection part before it."""
    rng = np.random.default_rng(6)
    nets = rng.choice([-1, 0, 1], p=[0.2, 0.6, 0.2], size=(NULLS, 2, TALKS))
    let_on = [proof for select, proof in nets.tolist() if sum(select) >= 0]
    assert sum(statistics.signs(proof) < 1 - level for proof in let_on) / NULLS <= 0.03


def test_better_on_a_small_batch_would_accept_half_of_them() -> None:
    assert 0.4 < (gains("normal", 3)[:, :3].mean(axis=(1, 2)) > 0).mean() < 0.6


def test_a_gain_as_large_as_its_spread_is_seen_almost_always() -> None:
    assert accepted(gains("few losses", 4, mean=0.34)).mean() > 0.95


def test_messages_of_one_conversation_are_no_independent_ones() -> None:
    rng = np.random.default_rng(0)
    talks = np.repeat(np.arange(12), 10)
    values = (0.05 + rng.normal(0, 0.1, 12)[talks]).tolist()
    together = statistics.bootstrap_t(values, talks.tolist())
    apart = statistics.bootstrap_t(values, list(range(120)))

    assert together.mean == pytest.approx(apart.mean)
    assert together.error > 2 * apart.error
    assert together.low < apart.low


def test_items_that_weigh_nothing_add_conversations_and_no_mean() -> None:
    gain, where = [0.2, 0.4, 0.3], ["a", "b", "c"]
    alone = statistics.bootstrap_t(gain, where)
    among = statistics.bootstrap_t([*gain, 0, 0], [*where, "d", "e"], [1, 1, 1, 0, 0])

    assert among.mean == pytest.approx(alone.mean) == pytest.approx(0.3)


def test_twice_is_the_same_and_where_nothing_varies_the_bound_is_the_mean() -> None:
    values, where = [0.1, 0.5, -0.2, 0.3], ["a", "b", "a", "c"]
    assert statistics.bootstrap_t(values, where) == statistics.bootstrap_t(values, where)
    assert statistics.bootstrap_t([0.2] * 8, list("abcdabcd")) == pytest.approx((0.2, 0.2, 0.0))


def test_one_conversation_has_no_bound_and_no_items_have_no_mean() -> None:
    assert math.isnan(statistics.bootstrap_t([0.2, 0.3], ["a", "a"]).low)
    assert all(map(math.isnan, statistics.bootstrap_t([], [])))
    with pytest.raises(UsageError, match="do not belong"):
        statistics.bootstrap_t([1.0], [])


@pytest.mark.parametrize(("right", "wrong"), [(7, 0), (5, 0), (9, 3), (4, 4), (0, 6)])
def test_signs_of_single_changes_are_mcnemars_exact_test(right: int, wrong: int) -> None:
    n = right + wrong
    tail = sum(math.comb(n, k) for k in range(right, n + 1)) / 2**n
    assert statistics.signs([1] * right + [-1] * wrong + [0] * 5) == pytest.approx(tail)


def test_three_changes_in_one_conversation_are_one_chance() -> None:
    assert statistics.signs([3]) == pytest.approx(0.5)
    assert statistics.signs([3, -1, 1]) == pytest.approx(3 / 8)  # of the sums of +-3 +-1 +-1, 5, 3 and 3 reach 3
    assert statistics.signs([]) == 1.0


def test_seven_all_one_way_are_needed_at_99_and_five_at_95() -> None:
    for level, least in ((0.99, 7), (0.95, 5)):
        assert statistics.least_signs(level) == least
        assert statistics.signs([1] * least) < 1 - level <= statistics.signs([1] * (least - 1))


def test_ratings_are_compared_by_their_shares_of_good_ones() -> None:
    rng = np.random.default_rng(5)
    drawn = (rng.beta(19, 5, 200_000) > rng.beta(11, 11, 200_000)).mean()

    assert statistics.better(18, 4, 10, 10) == pytest.approx(drawn, abs=0.005)
    assert statistics.better(3, 3, 3, 3) == pytest.approx(0.5, abs=1e-6)
    assert statistics.better(0, 9, 9, 0) < 0.001
    assert statistics.better(4, 1, 1, 4) < statistics.better(4.5, 0.5, 1, 4) < statistics.better(5, 0, 1, 4)


def test_the_bound_of_a_rise_is_above_0_where_it_is_as_probable_as_the_level() -> None:
    for counts in ((7.5, 0.5, 3.0, 5.0), (5.0, 0.0, 1.0, 4.0), (4.0, 4.0, 4.0, 4.0)):
        low = statistics.rise(*counts, 0.95)
        assert (low > 0) == (statistics.better(*counts) > 0.95) and low == statistics.rise(*counts, 0.95)
        assert statistics.rise(*counts, 0.99) < low


def test_a_stricter_level_gets_the_draws_it_needs() -> None:
    values, where = [0.1, 0.5, 0.2, 0.3, 0.25, 0.4, 0.35, 0.15] * 3, list(range(24))
    lows = [statistics.bootstrap_t(values, where, level=1 - 0.01 / 2**looks).low for looks in range(9)]
    assert lows == sorted(lows, reverse=True) and lows[8] < lows[5] < lows[0]


def test_how_many_it_takes_is_as_in_the_design() -> None:
    assert [statistics.needed(0.34, delta) for delta in (0.1, 0.05)] == [117, 465]
    assert [statistics.needed(0.34, delta, 0.95) for delta in (0.1, 0.05)] == [72, 286]
    assert statistics.needed(0.34, 0.1, 0.995) == 136  # (2.576 + .842)^2 = 11.68 times 11.56
    with pytest.raises(UsageError, match="cannot be said"):
        statistics.needed(0.34, 0.0)
