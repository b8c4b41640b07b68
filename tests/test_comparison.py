"""Beside other people: numbers only, a few of them, and a person who does as the others do is not called special."""
from __future__ import annotations

import tomllib
from importlib.resources import files

import pytest
from hypothesis import given
from hypothesis import strategies as st

from twin.comparison import ENOUGH, QUESTIONS, compare, deeper_than, everyone, ordinary, people, wilson
from twin.facets import facets
from twin.person import Comparison


def test_the_reference_set_names_exactly_the_facets_of_the_catalogue() -> None:
    """Else: DATA=... python -m tests.bench.reference"""
    assert [list(one.shown) for one in everyone()] == [list(facets())] * len(everyone())


def test_the_reference_set_holds_numbers_and_no_words_of_anyone() -> None:
    table = tomllib.loads((files("twin") / "reference.toml").read_text(encoding="utf-8"))
    assert list(table) == [f"r{n}" for n in range(1, len(table) + 1)]
    for one in table.values():
        words = {key: value for key, value in one.items() if isinstance(value, str)}
        assert words.keys() == {"language", "kind"}
        assert words["language"] in ("en", "ru")
        assert words["kind"] in ("chat", "dialogue", "diary")
        assert all(isinstance(count, int) and 0 <= count <= one["sentences"] for count in one["shown"].values())
        assert 0 < one["questions"] <= one["sentences"]
        assert 1 <= one["depth"] <= 7


def test_no_facet_shows_in_more_questions_than_a_reference_person_asks() -> None:
    for one in everyone():
        assert all(0 <= one.rate(facet) <= 1 for facet in facets())


def test_one_is_compared_with_people_of_ones_language_where_there_are_enough() -> None:
    english, russian = people("en"), people("ru")
    assert len(english) >= ENOUGH
    assert {one.language for one in english} == {"en"}
    assert len([one for one in everyone() if one.language == "ru"]) < ENOUGH
    assert russian == everyone()
    assert compare("asks_why", 1, 10, "en").language == "en"
    assert compare("asks_why", 1, 10, "ru").language == "und"


@pytest.mark.parametrize("facet", facets())
def test_more_often_counts_the_people_whose_rate_is_below_the_interval(facet: str) -> None:
    never, always = compare(facet, 0, 1000, "en"), compare(facet, 1000, 1000, "en")
    assert (never.more_than, never.rate) == (0, 0.0)
    assert (always.more_than, always.of, always.rate) == (len(people("en")), len(people("en")), 1.0)
    one = people("en")[0]
    itself = compare(facet, one.shown[facet], one.questions if facets()[facet].unit == "question" else one.sentences,
                     "en")
    assert itself.more_than == sum(other.rate(facet) < itself.low for other in people("en"))
    assert itself.more_than < itself.of, "nobody is beyond themselves"


def test_more_often_survives_chance() -> None:
    """One sentence of six is a sixth, and may be a fiftieth."""
    few, many = compare("tells_experience", 1, 6, "en"), compare("tells_experience", 100, 600, "en")
    assert few.rate == many.rate
    assert few.more_than < many.more_than == sum(one.rate("tells_experience") < many.low for one in people("en"))


def test_most_reference_people_are_ordinary_in_a_facet_that_everyone_shows() -> None:
    """The middle of the set must not be told that it stands out."""
    found = [compare("hedges", one.shown["hedges"], one.sentences, "en") for one in people("en")]
    assert sum(map(ordinary, found)) >= len(found) // 2


def test_only_less_than_half_is_ordinary() -> None:
    assert ordinary(Comparison(0.1, 0.0, 0.2, 4, 9))
    assert not ordinary(Comparison(0.1, 0.0, 0.2, 5, 10))
    assert not ordinary(None)


def test_wilson_gives_the_published_intervals() -> None:
    """Newcombe 1998, Statistics in Medicine 17, table I, method 3."""
    for shown, units, low, high in ((81, 263, 0.2553, 0.3662), (15, 148, 0.0624, 0.1605), (0, 20, 0.0, 0.1611),
                                    (1, 29, 0.0061, 0.1718)):
        assert list(wilson(shown, units)) == pytest.approx([low, high], abs=5e-5)
    assert wilson(0, 0) == (0.0, 1.0)


@given(st.integers(1, 500).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n))))
def test_the_interval_holds_the_rate_and_narrows_with_more(counts: tuple[int, int]) -> None:
    shown, units = counts
    low, high = wilson(shown, units)
    wider, narrower = high - low, wilson(4 * shown, 4 * units)
    assert 0 <= low <= shown / units <= high <= 1
    assert narrower[1] - narrower[0] < wider


def test_depth_is_compared_too_with_its_interval() -> None:
    deep, flat = deeper_than([7.0] * 40, "en"), deeper_than([1.0] * 40, "ru")
    assert deep and (deep.mean, deep.more_than, deep.of) == (7.0, len(people("en")), len(people("en")))
    assert flat and (flat.mean, flat.more_than, flat.of) == (1.0, 0, len(everyone()))
    assert deep.low < deep.mean and deep.n == 40


def test_so_few_or_so_different_questions_are_deeper_than_nobody() -> None:
    assert deeper_than([7.0] * (QUESTIONS - 1), "en") is None
    others = max(one.depth for one in people("en"))
    wide = [1.0] * 14 + [7.0] * 6  # mean 2.8, of which half a level and more is chance
    found = deeper_than(wide, "en")
    assert found and found.low < found.mean - 0.5
    assert found.more_than == sum(one.depth < found.low for one in people("en"))
    assert others < 7
