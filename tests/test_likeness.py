"""Whose words are these: two measures, each nearer to the person whose profile it is given."""
from __future__ import annotations

import math
from typing import Any

import pytest

from twin.errors import UsageError
from twin.likeness import bits, interval, manner, surprise

SHOUTS = [f"LOOK AT THIS!!! {word} is so GREAT!!!" for word in ("soup", "bread", "rain", "music", "paint", "snow")]
ASKS = [f"why does the {word} break when we move it, and what follows from that?"
        for word in ("pump", "door", "clock", "lamp", "shelf", "wheel")]
RUSSIAN = [f"Почему {word} так скрипит, если его не трогать?" for word in ("пол", "стул", "шкаф", "кран", "забор")]


def test_the_manner_of_a_person_expects_their_words_more_than_another_s() -> None:
    people = [manner(SHOUTS[:4]), manner(ASKS[:4]), manner(RUSSIAN[:4])]
    for held, mine in ((SHOUTS[4:], 0), (ASKS[4:], 1), (RUSSIAN[4:], 2)):
        mean = [sum(surprise(who, people, held)) / len(held) for who in people]
        assert min(range(3), key=mean.__getitem__) == mine


def test_one_person_alone_is_no_surprise() -> None:
    alone = manner(ASKS)
    assert surprise(alone, [alone], ASKS) == pytest.approx([0.0] * len(ASKS))


def test_a_manner_shows_no_words() -> None:
    assert "pump" not in repr(manner(ASKS))


def test_nobody_s_manner_is_a_number_too() -> None:
    people = [manner([]), manner(ASKS)]
    assert all(map(math.isfinite, surprise(people[0], people, ["", "?", "👩\u200d💻", ASKS[0]])))


def test_a_real_core_foresees_words_that_the_profile_quotes(smollm: Any) -> None:
    about = "The person says: the old tram bell rings twice before the bridge."
    other = "The person says: quarterly invoices are due on the fifteenth."
    said = ["the old tram bell rings twice before the bridge"]
    assert bits(smollm, about, said)[0] < 0.5 * bits(smollm, other, said)[0]


def test_an_empty_message_has_no_bits(smollm: Any) -> None:
    with pytest.raises(UsageError):
        bits(smollm, "Somebody.", [""])


def test_the_interval_holds_the_mean_and_shrinks_with_more() -> None:
    few, many = interval([0.0, 1.0] * 4), interval([0.0, 1.0] * 400)
    assert few[1] <= few[0] == 0.5 <= few[2]
    assert many[2] - many[1] < few[2] - few[1]
    assert all(map(math.isnan, interval([])))
