"""The generated person: what is claimed of it is true, so that what is measured on it means something."""
from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from tests import generated
from tests.generated import Truth
from twin import roles
from twin import text as plain
from twin.archive import Archive
from twin.home import Home
from twin.role_book import RoleBook
from twin.router import NONE


@pytest.fixture(scope="module")
def truth() -> Truth:
    return generated.live(seed=0)


def test_four_hundred_messages_in_eighty_conversations_over_months_in_both_languages(truth: Truth) -> None:
    assert len(truth.turns) == 400
    assert len({turn.conversation for turn in truth.turns}) == 80
    times = [turn.time for turn in truth.turns if turn.time]
    assert times == sorted(times)
    assert (times[-1] - times[0]).days > 120
    languages = Counter(plain.language(turn.question) for turn in truth.turns)
    assert min(languages["en"], languages["ru"]) > 100
    assert len({turn.question for turn in truth.turns}) > 350


def test_a_router_generalises_to_it_but_not_trivially(truth: Truth) -> None:
    right = sum(turn.route.abstained if truth.labels[turn.id] == NONE else turn.route.role == truth.labels[turn.id]
                for turn in truth.turns)
    assert 0.6 < right / len(truth.turns) < 0.9


def test_each_role_is_meant_often_enough_to_be_judged(truth: Truth) -> None:
    counted = Counter(truth.labels.values())
    assert all(counted[name] >= 20 for name in truth.person.sound.ids), counted
    assert counted[NONE] >= 10


def test_what_the_person_corrects_is_true_but_for_slips(truth: Truth) -> None:
    said = [(body, truth.labels[turn]) for turn, some in truth.said.items() for kind, body in some
            if kind == "correction"]
    assert len(said) > 60
    assert sum(one == other for one, other in said) > 0.9 * len(said)


def test_answers_far_from_the_kept_temperature_are_asked_for_again(truth: Truth) -> None:
    asked: dict[bool, list[bool]] = {True: [], False: []}
    for turn in truth.turns:
        label = truth.labels[turn.id]
        if label == turn.route.role:
            far = abs(truth.temperatures[turn.id] - truth.person.temperatures[label]) > 0.25
            asked[far].append(any(kind == "regenerated" for kind, _ in truth.said[turn.id]))
    assert min(map(len, asked.values())) > 30
    assert sum(asked[True]) / len(asked[True]) > 3 * sum(asked[False]) / len(asked[False])


def test_kept_answers_are_in_the_style_of_the_person(truth: Truth) -> None:
    edits = [body for some in truth.said.values() for kind, body in some if kind == "edited"]
    assert truth.person.style == "list"
    assert len(edits) > 30
    assert all(line.startswith("- ") for body in edits for line in str(body).split("\n"))


def test_on_the_map_that_serves_best_nothing_is_edited() -> None:
    sound = generated.person(1).sound
    lived = generated.live(seed=1, conversations=20, role_map=sound)
    assert not [kind for some in lived.said.values() for kind, _ in some if kind == "edited"]
    assert lived.maps[-1] == sound


def test_the_same_seed_makes_the_same_person_and_another_one_another() -> None:
    one, again, other = (generated.live(seed=seed, conversations=4) for seed in (3, 3, 4))
    assert one == again
    assert [turn.question for turn in one.turns] != [turn.question for turn in other.turns]


def test_a_home_holds_what_was_said_and_the_map_in_force(tmp_path: Path) -> None:
    home = Home(tmp_path / "of-a-person")
    made = generated.build(home, seed=3, conversations=10)
    archive = Archive(home)
    assert [turn.id for turn in archive.turns()] == [turn.id for turn in made.turns]
    assert {(one.turn, one.label) for one in archive.corrections()} == {
        (turn, body) for turn, some in made.said.items() for kind, body in some if kind == "correction"}
    assert Counter(one.kind for one in archive.signals()) == Counter(
        kind for some in made.said.values() for kind, _ in some if kind != "correction")
    assert {message.id for _, message in archive.messages(own=True)} == {turn.id for turn in made.turns}
    assert RoleBook(home, archive).current() == roles.seed()
    assert len({entry.version for entry in archive.map_entries()}) > 3, "temperatures were tried"
