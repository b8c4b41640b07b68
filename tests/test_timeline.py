"""What changed: months with few questions get wide intervals, and a change that chance explains is called none."""
from __future__ import annotations

import itertools
import math
import random
from collections.abc import Sequence
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from twin.person import Claim, Depth, DepthOf, Evidence, Profile, SubQuestion
from twin.timeline import binomial, facet_life, months, student

NUMBERS = itertools.count()


def asked(level: float, month: str | None, number: int = 0, text: str = "") -> DepthOf:
    """A question of its own unless it is given."""
    text = text or f"Why does the old pump number {next(NUMBERS)} stop?"
    time = datetime.fromisoformat(f"{month}-10T12:00:00+00:00") if month else None
    evidence = Evidence(text, f"talk{number}", f"m{number}", 0, len(text), time)
    depth = Depth(level, max(1, level - 0.5), min(7, level + 0.5), {}, "a rule", SubQuestion(text))
    return DepthOf(evidence, depth)


def profile(questions: Sequence[DepthOf] = (), claims: Sequence[Claim] = (), language: str = "en",
            written: dict[str, int] | None = None) -> Profile:
    return Profile(tuple(claims), tuple(questions), 400, 200, 40, language=language, months=written or {})


def claim(by_month: dict[str, int], facet: str = "asks_why") -> Claim:
    return Claim(facet, "You ask for reasons.", "inferred", 0.5, (asked(3, "2025-01").evidence,), months=by_month)


def test_months_are_in_order_and_count_only_what_has_a_date() -> None:
    found = months(profile([asked(3, "2025-02"), asked(5, "2025-01"), asked(7, None), asked(1, "2025-02")]))

    assert [(month.month, month.n, month.mean, month.deep) for month in found] == [
        ("2025-01", 1, 5, 1.0), ("2025-02", 2, 2, 0.0)]


def test_an_interval_holds_its_mean_stays_on_the_ladder_and_narrows_with_more_questions() -> None:
    few = [asked(level, "2025-01") for level in (2, 4, 6)]
    many = [asked(level, "2025-02") for level in (2, 4, 6) * 12]
    small, large = months(profile(few + many))

    assert small.low < small.mean < small.high and small.high - small.low > 3 * (large.high - large.low)
    assert small.low >= 1 and small.high <= 7


def test_so_few_questions_that_their_spread_is_unknown_give_the_whole_ladder() -> None:
    (month,) = months(profile([asked(4, "2025-01"), asked(4, "2025-01")]))

    assert (month.low, month.high) == (1, 7)


def test_equal_questions_are_not_known_exactly() -> None:
    (month,) = months(profile([asked(4, "2025-01")] * 9))

    assert month.high - month.low > 0.3


@pytest.mark.parametrize(("freedom", "quantile"), [(4, 2.776), (5, 2.571), (10, 2.228), (30, 2.042), (1000, 1.962)])
def test_students_quantiles_are_those_of_the_tables(freedom: int, quantile: float) -> None:
    assert student(freedom) == pytest.approx(quantile, abs=0.01)


@given(st.integers(1, 5000), st.floats(0.01, 0.99))
def test_chances_add_up_to_one(n: int, share: float) -> None:
    assert sum(binomial(n, share)) == pytest.approx(1, abs=1e-6)
    assert math.isclose(binomial(3, 0.25)[1], 3 * 0.25 * 0.75**2)


EVEN = {f"2025-{month:02}": 25 for month in range(1, 9)}  # own messages


@pytest.mark.parametrize(("by_month", "trend"), [
    ({"2025-01": 1, "2025-06": 5, "2025-07": 6}, "appearing"),
    ({"2025-01": 6, "2025-02": 5, "2025-08": 1}, "fading"),
    ({"2025-01": 4, "2025-04": 3, "2025-06": 4, "2025-08": 3}, "steady"),
    ({"2025-07": 5}, "unclear"),
    ({"2025-02": 4, "2025-03": 2, "2025-06": 8, "2025-07": 1}, "steady"),
])
def test_a_facet_appears_or_fades_only_beyond_chance(by_month: dict[str, int], trend: str) -> None:
    (life,) = facet_life(profile((), [claim(by_month)], written=EVEN))

    assert (life.trend, life.early_of, life.late_of) == (trend, 100, 100)
    assert life.early + life.late == sum(by_month.values())
    assert (life.first, life.last) == (min(by_month), max(by_month))


def test_a_facet_that_grows_with_what_is_written_does_not_appear() -> None:
    """Twelve messages late, one early, when nearly all was written late: the person wrote more, not otherwise."""
    (life,) = facet_life(profile((), [claim({"2025-01": 1, "2025-02": 12})], written={"2025-01": 8, "2025-02": 100}))

    assert life.trend == "steady"


def test_a_claim_that_shows_in_statements_is_measured_by_messages_and_not_by_questions() -> None:
    """Polite 10 times of 100 and 50 of 500: the same manner, though questions stayed as many."""
    questions = [asked(3, month, n) for n in range(40) for month in ("2025-01", "2025-02")]
    made = profile(questions, [claim({"2025-01": 10, "2025-02": 50}, "polite")],
                   written={"2025-01": 100, "2025-02": 500})

    assert [(life.trend, life.early_of, life.late_of) for life in facet_life(made)] == [("steady", 100, 500)]


def test_one_claim_of_many_that_looks_new_by_chance_is_not_called_new() -> None:
    """p = .04 is a change alone, and none among twenty that did not change."""
    lucky, calm = claim({"2025-01": 3, "2025-08": 12}), {"2025-01": 10, "2025-08": 10}
    (alone,) = facet_life(profile((), [lucky], written=EVEN))
    among = facet_life(profile((), [lucky, *(claim(calm, f"free.{n}") for n in range(20))], written=EVEN))

    assert alone.trend == "appearing"
    assert {life.trend for life in among} == {"steady"}


def test_among_many_claims_the_share_of_false_changes_is_held() -> None:
    """Claims whose messages fall on either half by chance: a profile of thirty names a change one time in twenty."""
    dice = random.Random(3)  # noqa: S311 - no secret
    wrong = 0
    for _ in range(60):
        late = [sum(dice.random() < 0.5 for _ in range(30)) for _ in range(30)]
        claims = [claim({"2025-01": 30 - n, "2025-08": n}, f"free.{place}") for place, n in enumerate(late)]
        wrong += any(life.trend != "steady" for life in facet_life(profile((), claims, written=EVEN)))
    assert wrong <= 0.1 * 60


def test_one_month_shows_no_change_and_a_claim_without_months_has_no_life() -> None:
    made = profile((), [claim({"2025-01": 9}), claim({})], written={"2025-01": 90})

    assert [life.trend for life in facet_life(made)] == ["unclear"]
    assert [life.trend for life in facet_life(profile((), [claim({"2025-01": 9, "2025-02": 9})]))] == ["unclear"]


def test_ten_thousand_questions_take_no_time() -> None:
    questions = [asked(1 + n % 7, f"20{10 + n % 16}-{1 + n % 12:02}") for n in range(10_000)]
    written = {f"20{10 + n % 16}-{1 + n % 12:02}": 5000 for n in range(10_000)}
    began = datetime.now(UTC)
    made = profile(questions, [claim({"2010-01": 4000, "2025-04": 4000})], written=written)
    assert len(months(made)) == 48
    assert [life.trend for life in facet_life(made)] == ["steady"]
    assert (datetime.now(UTC) - began).total_seconds() < 5
