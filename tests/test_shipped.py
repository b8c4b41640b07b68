"""Vectors of the shipped examples: made once, checked against the embedder, and of nothing that a person wrote."""
from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from twin import roles
from twin.errors import DeviceLost
from twin.router import Router, shipped_texts
from twin.shipped import Shipped

SHIPS = ("How do I plan?", "Что дальше?", "Name three risks.")


class Counting:
    """Unit vectors by the letters of a text, turned by `turn`; counts what it is asked."""

    id, dim = "counting", 8

    def __init__(self, turn: int = 0) -> None:
        self.turn, self.asked = turn, list[str]()

    def embed(self, texts: Sequence[str]) -> list[list[float]]:
        self.asked += texts
        rows = []
        for text in texts:
            row = np.full(8, .1)
            for letter in text:
                row[(ord(letter) + self.turn) % 8] += 1
            rows.append((row / np.linalg.norm(row)).tolist())
        return rows


def reads(folder: Path, embedder: Counting) -> Shipped:
    return Shipped(embedder, lambda: SHIPS, folder)


def test_what_ships_is_embedded_once_on_a_machine(tmp_path: Path) -> None:
    first, second = Counting(), Counting()
    made = reads(tmp_path, first).embed([*SHIPS, "my own words"])
    again = reads(tmp_path, second).embed([*SHIPS, "my own words"])

    assert np.allclose(made, again, atol=1e-6)
    assert np.allclose(made, Counting().embed([*SHIPS, "my own words"]), atol=1e-6)
    assert first.asked == [*SHIPS, "my own words"]
    assert second.asked == [SHIPS[0], "my own words"], "one is made again, to see that it is the same embedder"


def test_what_a_person_wrote_leaves_nothing_in_the_file(tmp_path: Path) -> None:
    reads(tmp_path, Counting()).embed(SHIPS)
    before = {path: path.read_bytes() for path in tmp_path.iterdir()}
    reads(tmp_path, Counting()).embed(["my own words", "and others", *SHIPS[:2]])

    assert {path: path.read_bytes() for path in tmp_path.iterdir()} == before
    assert len(before) == 1 and {path.stat().st_mode & 0o777 for path in before} == {0o600}


def test_another_embedder_of_the_same_name_makes_the_file_anew(tmp_path: Path) -> None:
    reads(tmp_path, Counting()).embed(SHIPS)
    turned = Counting(turn=3)

    assert np.allclose(reads(tmp_path, turned).embed(SHIPS), Counting(turn=3).embed(SHIPS), atol=1e-6)
    after = Counting(turn=3)
    reads(tmp_path, after).embed(SHIPS)
    assert after.asked == [SHIPS[0]]


def test_a_file_is_not_believed_before_something_of_it_was_compared(tmp_path: Path) -> None:
    reads(tmp_path, Counting()).embed(SHIPS)
    turned = reads(tmp_path, Counting(turn=3))
    turned.embed(["a message"])

    assert np.allclose(turned.embed(SHIPS), Counting(turn=3).embed(SHIPS), atol=1e-6)


@pytest.mark.parametrize("damage", [b"", b"\0" * 7, b"\0" * 32, b"\0" * 400])
def test_a_damaged_file_costs_the_time_only(damage: bytes, tmp_path: Path) -> None:
    reads(tmp_path, Counting()).embed(SHIPS)
    file, = tmp_path.iterdir()
    sound = file.read_bytes()
    for data in (damage, sound[:-1], sound[:40] + b"\xff" + sound[41:]):
        file.write_bytes(data)
        embedder = Counting()
        assert np.allclose(reads(tmp_path, embedder).embed(SHIPS), Counting().embed(SHIPS), atol=1e-6)
        assert embedder.asked == list(SHIPS) and file.read_bytes() == sound


def test_where_nothing_can_be_written_it_embeds(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")

    assert np.allclose(reads(tmp_path / "file", Counting()).embed(SHIPS), Counting().embed(SHIPS), atol=1e-6)


def test_a_lone_message_is_never_asked_after(tmp_path: Path) -> None:
    def never() -> tuple[str, ...]:
        raise AssertionError

    Shipped(Counting(), never, tmp_path).embed(["What next?"])


def test_a_few_own_examples_among_what_ships_cost_nothing_but_themselves(tmp_path: Path) -> None:
    reads(tmp_path, Counting()).embed(SHIPS)

    def never() -> tuple[str, ...]:
        raise AssertionError

    embedder = Counting()
    Shipped(embedder, never, tmp_path).embed([*SHIPS, "my own words"])
    assert embedder.asked == [SHIPS[0], "my own words"]


@pytest.mark.parametrize("message", ["How should I split this system into parts?", "Проверь мою гипотезу на ошибки"])
def test_all_that_the_seed_roles_are_routed_by_ships(message: str, tmp_path: Path) -> None:
    first, second = Counting(), Counting()
    for embedder in (first, second):
        Router(roles.seed(), Shipped(embedder, shipped_texts, tmp_path)).route(message)

    assert len(first.asked) > 200
    assert len(second.asked) <= 2, "one to compare, and the message"


def test_an_embedder_is_asked_nothing_before_it_is_needed_and_one_that_is_down_is_asked_again(tmp_path: Path) -> None:
    class Down(Counting):
        up = False

        @property
        def dim(self) -> int:  # type: ignore[override]
            if not self.up:
                raise DeviceLost("It is down.", "Wait.")
            return 8

    embedder = Down()
    kept = reads(tmp_path, embedder)
    with pytest.raises(DeviceLost):
        kept.embed(SHIPS)
    embedder.up = True

    assert np.allclose(kept.embed(SHIPS), Counting().embed(SHIPS), atol=1e-6)
    assert (kept.id, kept.dim) == ("counting", 8)
