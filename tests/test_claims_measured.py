"""How right the claims are on the labelled set, by rules and by the real core (tests/bench/claims.py prints it all)."""
from __future__ import annotations

from tests.bench import claims

LABELS = claims.labels()


def found(message: str, what: str, start: int = 0, end: int = 5) -> claims.Found:
    return claims.Found(message, what, start, end)


def test_the_judge_counts_as_its_module_says() -> None:
    some = [claims.Label("a-01", "en", "I bake.", "fact", 0, 7, frozenset({"polite"})), claims.Label("b-02", "en", "x")]
    tally = claims.judge([found("a-01", "fact"), found("a-01", "polite"), found("a-01", "asks_why"),
                          found("b-02", "fact"), found("b-02", "fact", 1, 2)], some)
    misplaced = claims.judge([found("a-01", "fact", 8, 9)], some)
    lenient = claims.judge([found("a-01", "asks_why")], some, lenient=True)

    assert (tally.hits, tally.false, tally.true) == ([1, 0], [1, 1], [1, 0])
    assert (misplaced.hits, misplaced.false) == ([0, 0], [1, 0])
    assert (lenient.precision, lenient.recall) == (1.0, 1.0)


def test_facets_that_no_label_names_are_counted_apart() -> None:
    tally = claims.judge([found("a-01", "a facet of later")], [claims.Label("a-01", "en", "I bake.", "fact", 0, 7)])

    assert (sum(tally.false), tally.unjudged) == (0, 1)


def test_stated_facts_and_preferences_fall_into_no_trap() -> None:
    assert sum(claims.judge(claims.by_stated(LABELS), LABELS).false) == 0
