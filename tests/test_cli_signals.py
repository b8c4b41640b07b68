"""`twin rate` as a person types it."""
from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from twin.archive import Archive
from twin.cli_signals import rate
from twin.home import Home
from twin.types import Route, Turn


@pytest.fixture
def archive(tmp_path: Path) -> Archive:
    archive = Archive(Home(tmp_path / "home"))
    for name in ("aa-1", "ab-2"):
        archive.save_turn(Turn(name, "chat", f"Почему тесто {name} поднимается?", "Дрожжи дают газ.",
                               Route("mentor", {"mentor": 1.0}, "asked"), "answered", "core", "map"))
    return archive


def run(archive: Archive, *words: str) -> Result:
    return CliRunner().invoke(rate, [*words, "--home", str(archive.home.root)])


def thumbs(archive: Archive) -> list[tuple[str, int | str]]:
    return [(one.turn, one.body) for one in archive.signals()]


def test_an_answer_is_rated_by_the_beginning_of_its_id_or_as_the_last_one(archive: Archive) -> None:
    said = run(archive, "aa", "down")
    assert said.exit_code == 0, said.output
    assert "down: Почему тесто aa-1 поднимается?" in said.stdout
    shown = json.loads(run(archive, "last", "up", "--json").stdout)

    assert (shown["turn"], shown["kind"], shown["body"]) == ("ab-2", "thumb", 1)
    assert thumbs(archive) == [("aa-1", -1), ("ab-2", 1)]
    run(archive, "ab-2", "down")
    assert thumbs(archive) == [("aa-1", -1), ("ab-2", -1)]


@pytest.mark.parametrize(("words", "what"), [
    (("a", "up"), "Several turns begin with 'a'"), (("zz", "up"), "No turn begins with 'zz'"),
    (("aa", "sideways"), "'sideways' is not one of"), (("aa",), "Missing argument")])
def test_what_cannot_be_rated_is_named(archive: Archive, words: tuple[str, ...], what: str) -> None:
    said = run(archive, *words)
    assert said.exit_code == 2
    assert what in said.output
    assert archive.signals() == []


def test_in_an_empty_home_it_says_to_ask_first(tmp_path: Path) -> None:
    said = CliRunner().invoke(rate, ["last", "up", "--home", str(tmp_path)])
    assert said.exit_code == 2
    assert "Nothing was asked yet. Ask first: `twin ask`." in said.stderr
