"""Text compression gains from one's own words, nothing from what says nothing of the person."""
from __future__ import annotations

import math
import random

import pytest

from twin.likeness import compression_gain as gain
from twin.likeness.compression import BLOCKS, _blocks

LATIN = [c + v for c in "bdfgklmnprst" for v in "aeiou"]
CYRILLIC = [c + v for c in "бвгдзклмнпрст" for v in "аеиоу"]


def person(seed: int, n: int, syllables: list[str]) -> list[str]:
    """Messages of a person with 150 words of their own, some said often."""
    dice = random.Random(seed)  # noqa: S311 - a sample
    words = ["".join(dice.choices(syllables, k=3)) for _ in range(150)]
    return [" ".join(dice.choices(words, weights=range(150, 0, -1), k=8)) for _ in range(n)]


@pytest.mark.parametrize("syllables", [LATIN, CYRILLIC])
def test_own_words_save_bits_on_later_words_of_the_same_person(syllables: list[str]) -> None:
    mine, theirs = person(1, 300, syllables), person(2, 300, syllables)
    found = gain(mine[:200], [theirs[:200]], mine[200:], block=1000)

    assert found.low > 0.2
    assert gain(theirs[:200], [mine[:200]], mine[200:], block=1000).value == pytest.approx(-found.value)


def test_no_person_is_their_own_other() -> None:
    mine = person(1, 100, LATIN)

    assert gain(mine[:60], [mine[:60]], mine[60:]).value == 0


def test_who_has_said_more_has_no_advantage() -> None:
    """The newest bytes count, as many of one as of the other."""
    mine, theirs = person(1, 300, LATIN), person(2, 300, LATIN)
    long = person(3, 500, LATIN) + mine[:100]
    size = len("\n".join(mine[:100]).encode())
    short = ["\n".join(theirs).encode()[-size:].decode()]

    assert gain(long, [short], mine[100:]) == pytest.approx(gain(mine[:100], [short], mine[100:]), nan_ok=True)


def test_where_nobody_else_wrote_or_nothing_is_held_out_there_is_no_gain_to_tell() -> None:
    mine = person(1, 30, LATIN)

    assert all(math.isnan(gain(*given).value) for given in (
        (mine, [], mine), (mine, [[]], mine), ([], [mine], mine), (mine, [mine], []), (mine, [mine], ["", " "])))


def test_it_tells_how_far_it_is_and_stops_when_told() -> None:
    mine, told = person(1, 100, LATIN), list[int]()
    found = gain(mine, [mine], mine, block=500, progress=lambda _, done, __: told.append(done),
                 cancel=lambda: len(told) == 2)

    assert told == [1, 2]
    assert math.isnan(found.value)


def test_blocks_are_whole_messages_and_not_too_many() -> None:
    held = person(1, 400, LATIN)
    every = _blocks(held[:40], 400)

    assert "\n".join(every) == "\n".join(held[:40])
    assert all(300 <= len(one) <= 460 for one in every)
    assert len(_blocks(held, 100)) == BLOCKS
    assert _blocks(["x" * 50, "y"], 10) == ["x" * 50, "y"]
    assert _blocks([], 10) == []
