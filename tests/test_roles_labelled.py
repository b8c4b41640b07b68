"""The labelled set that the router is measured on, and the messages it learns to abstain from, keep their promises."""
from __future__ import annotations

import tomllib
from collections import Counter
from pathlib import Path

import pytest

import twin.roles
import twin.text
from twin.roles import Role

LABELLED: dict[str, dict[str, list[str]]] = tomllib.loads(
    (Path(twin.roles.__file__).parent / "seed" / "labelled.toml").read_text("utf-8"))
COLD: dict[str, list[str]] = tomllib.loads(
    (Path(twin.roles.__file__).parent / "seed" / "none.toml").read_text("utf-8"))
SEED = twin.roles.seed()
LANGUAGES = ("en", "ru")


def folded(shelf: dict[str, list[str]]) -> list[str]:
    return [twin.text.one_line(text).casefold() for language in LANGUAGES for text in shelf[language]]


ALL = [text for shelf in LABELLED.values() for text in folded(shelf)]


def test_every_seed_role_has_its_messages_and_so_has_none() -> None:
    assert sorted(LABELLED) == sorted([*SEED.ids, "none"])
    assert all(sorted(shelf) == sorted(LANGUAGES) for shelf in [*LABELLED.values(), COLD])


@pytest.mark.parametrize("role", [*SEED.ids, "none"])
def test_each_role_has_as_many_messages_in_both_languages_and_an_even_number(role: str) -> None:
    english, russian = (len(LABELLED[role][language]) for language in LANGUAGES)
    assert english == russian >= (30 if role == "none" else 22)
    assert english % 2 == 0, "the halves for tuning and for the report are of one size"


def test_the_router_learns_abstaining_from_as_many_messages_in_both_languages() -> None:
    assert [len(COLD[language]) for language in LANGUAGES] == [40, 40]


def test_no_message_stands_twice() -> None:
    assert [text for text, count in Counter([*ALL, *folded(COLD)]).items() if count > 1] == []


def test_no_measured_message_is_one_the_router_learns_from() -> None:
    learned = {twin.text.one_line(text).casefold() for role in SEED.roles for text in role.examples}
    assert learned, "the seed roles have examples"
    assert learned.isdisjoint(ALL)
    assert learned.isdisjoint(folded(COLD))


@pytest.mark.parametrize("language", LANGUAGES)
def test_messages_are_in_the_language_of_their_list(language: str) -> None:
    texts = [text for shelf in [*LABELLED.values(), COLD] for text in shelf[language]]
    wrong = [text for text in texts if twin.text.language(text) not in (language, "und")]
    assert len(wrong) <= 1, wrong  # a Russian asks for a translation of an English sentence
    assert sum(twin.text.language(text) == language for text in texts) >= 0.98 * len(texts)


@pytest.mark.parametrize("role", SEED.roles, ids=SEED.ids)
def test_at_most_a_quarter_of_the_messages_lean_on_a_word_of_their_roles_purpose(role: Role) -> None:
    """Such a word stands in the role's title or purpose and in at most two messages that are not the role's."""
    for language in LANGUAGES:
        others = Counter(stem for name, shelf in LABELLED.items() if name != role.id
                         for text in shelf[language] for stem in set(twin.text.stems(text)))
        purpose = f"{getattr(role.title, language)} {getattr(role.purpose, language)}"
        leaned = {stem for stem in twin.text.stems(purpose) if others[stem] <= 2}
        told = [text for text in LABELLED[role.id][language] if leaned & set(twin.text.stems(text))]
        assert len(told) <= len(LABELLED[role.id][language]) / 4, (leaned, told)
