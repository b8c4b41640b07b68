"""Signals: what a person did with an answer, kept with the turn and gone with it."""
from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from twin.archive import Archive, Signal
from twin.errors import UsageError
from twin.home import Home
from twin.types import Route, Turn


@pytest.fixture
def archive(tmp_path: Path) -> Archive:
    """Two turns."""
    archive = Archive(Home(tmp_path / "home"))
    for name in ("1", "2"):
        archive.save_turn(Turn(name, "chat", f"Why does dough {name} rise?", "Yeast makes gas.",
                               Route("mentor", {"mentor": 1.0}, "asked"), "answered", "core", "map"))
    return archive


def noted(archive: Archive) -> list[tuple[str, str, int | str]]:
    return [(one.turn, one.kind, one.body) for one in archive.signals()]


def test_an_empty_home_has_no_signals_and_stays_empty(tmp_path: Path) -> None:
    assert Archive(Home(tmp_path / "none")).signals() == []
    assert not (tmp_path / "none").exists()


def test_signals_come_back_as_they_were_said_oldest_first(archive: Archive) -> None:
    said = [archive.signal("2", "thumb", 1), archive.signal("1", "regenerated", "2"),
            archive.signal("1", "edited", "Дрожжи дают газ.\nТесто растёт.")]

    assert archive.signals() == said
    assert [type(one) for one in said] == [Signal] * 3
    assert archive.signals(["2"]) == said[:1]
    assert archive.signals([]) == []


def test_the_last_thumb_and_the_last_edit_of_a_turn_count(archive: Archive) -> None:
    archive.signal("1", "thumb", 1)
    archive.signal("1", "edited", "one")
    archive.signal("2", "thumb", 1)
    archive.signal("1", "thumb", -1)
    archive.signal("1", "edited", "two")

    assert noted(archive) == [("2", "thumb", 1), ("1", "thumb", -1), ("1", "edited", "two")]


def test_a_turn_may_be_asked_again_more_than_once_also_before_it_is_known_by_which(archive: Archive) -> None:
    archive.signal("1", "regenerated", "")
    archive.signal("1", "regenerated", "2")

    assert noted(archive) == [("1", "regenerated", ""), ("1", "regenerated", "2")]


@pytest.mark.parametrize(("turn", "kind", "body", "what"), [
    ("3", "thumb", 1, "There is no turn '3'"), ("1", "regenerated", "3", "There is no turn '3'"),
    ("1", "thumb", 0, "up or down"), ("1", "thumb", "1", "up or down"), ("1", "thumb", 1.0, "up or down"),
    ("1", "edited", 1, "a text"), ("1", "edited", " \n", "a text"), ("1", "regenerated", 2, "a text"),
    ("1", "liked", 1, "no signal 'liked'")])
def test_what_cannot_be_is_refused_and_leaves_nothing(archive: Archive, turn: str, kind: Any, body: Any,
                                                      what: str) -> None:
    with pytest.raises(UsageError, match=what):
        archive.signal(turn, kind, body)
    assert archive.signals() == []


def test_an_edit_is_stored_like_any_text_of_the_person(archive: Archive) -> None:
    """NFC, so that offsets count the same everywhere, and nothing that SQLite could not hold."""
    archive.signal("1", "edited", "Пои\u0306дём \ud83d")

    assert archive.signals()[0].body == "Пойдём \ufffd"


def test_words_of_the_person_stand_in_no_repr(archive: Archive) -> None:
    assert "Дрожжи" not in repr(archive.signal("1", "edited", "Дрожжи"))
