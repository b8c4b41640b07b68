"""Whose words are these: measures that know nothing of each other, each nearer to the person it knows."""
from __future__ import annotations

import math
import random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from twin.errors import UsageError
from twin.likeness import attribute, bits, delta, hits, manner, pieces, profiles, surprise, usage

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


# ---- n-grams and Delta ----------------------------------------------------------------------------------------------

PEOPLE = {"shouts": SHOUTS[:4], "asks": ASKS[:4], "russian": RUSSIAN[:4]}


def test_held_out_words_are_attributed_to_who_wrote_them() -> None:
    known = profiles(PEOPLE)
    for person, held in enumerate((SHOUTS[4:], ASKS[4:], RUSSIAN[4:])):
        assert hits(attribute(known, held), person) == [1.0] * len(held)


def test_a_longer_corpus_makes_nobody_likelier() -> None:
    """Smoothing favours who has said more; so everybody is known by equally many characters, the newest."""
    shout, ask, held = SHOUTS[0], ASKS[0][:len(SHOUTS[0])], [SHOUTS[4], ASKS[4]]
    once = attribute(profiles({"a": [shout], "b": [ask]}), held)

    assert (attribute(profiles({"a": [*ASKS, *SHOUTS, shout], "b": [ask]}), held) == once).all()


def test_a_text_without_characters_is_nobody_s() -> None:
    distances = attribute(profiles(PEOPLE), ["", " \n"])

    assert (distances == 0).all()
    assert hits(distances, 0) == pytest.approx([1 / 3] * 2)
    assert attribute(profiles(PEOPLE), []).shape == (0, 3)


def test_delta_tells_the_words_of_people_apart() -> None:
    rng = random.Random(0)  # noqa: S311 - a sample
    lists = {"a": "the and but so we go on then", "b": "the and yet thus i went off when",
             "в": "и но я мы же бы вот так"}

    def said(name: str) -> str:
        return " ".join(rng.choices(lists[name].split(), k=400))

    known = usage({name: [said(name) for _ in range(4)] for name in lists})
    distances = delta(known, [said(name) for name in lists])

    assert list(distances.argmin(axis=1)) == [0, 1, 2]
    assert delta(known, [""]).shape == (1, 3)


@pytest.mark.parametrize("people", [{}, {"alone": ASKS}, {"one": ASKS, "silent": []}, {"one": ASKS, "dots": ["", ""]}])
def test_attribution_needs_two_people_with_words(people: dict[str, list[str]]) -> None:
    for make in (profiles, usage):
        with pytest.raises(UsageError, match="two people"):
            make(people)


@given(st.lists(st.text(max_size=40), max_size=20), st.integers(1, 60))
def test_pieces_keep_the_order_and_lose_less_than_one_piece(messages: list[str], size: int) -> None:
    found = pieces(messages, size)
    whole = "\n".join(messages)

    assert all(len(one) >= size for one in found)
    assert whole.startswith("\n".join(found))
    assert len(whole) - len("\n".join(found)) <= size


def test_no_profile_shows_words() -> None:
    assert "pump" not in repr(profiles(PEOPLE)) + repr(usage(PEOPLE))
