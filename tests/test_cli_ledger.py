"""`twin ledger` as a person types it: one document with --json, two sentences for an error."""
from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from twin.cli_ledger import ledger
from twin.ledger import starters

ADD = ("add", "Тёплая опара быстрее", "--metric", "hours", "--down", "--threshold", "6", "--unit", "h")


def run(*words: str | Path, home: Path) -> Result:
    done = CliRunner().invoke(ledger, list(map(str, words)), env={"TWIN_HOME": str(home)})
    assert done.exception is None or isinstance(done.exception, SystemExit)
    return done


def document(*words: str | Path, home: Path) -> Any:
    done = run(*words, "--json", home=home)
    assert done.exit_code == 0, done.stderr
    return json.loads(done.stdout)


def test_the_bare_verb_is_one_array_of_rows_and_writes_nothing(tmp_path: Path) -> None:
    found = document(home=tmp_path)

    assert [one["id"] for one in found] == list(starters())
    assert {one["verdict"] for one in found} == {"open", "reported"}
    assert all({"claim", "claims", "prediction", "plan", "measurements", "measured", "frozen"} <= set(one)
               for one in found)
    assert not list(tmp_path.iterdir())


def test_the_list_speaks_both_languages(tmp_path: Path) -> None:
    english, russian = run(home=tmp_path).stdout, run("--language", "ru", home=tmp_path).stdout

    assert "A council of 16 roles answers better than one of 4." in english
    assert "Совет из 16 ролей отвечает лучше, чем совет из 4." in russian
    assert document("--language", "ru", home=tmp_path)[2]["claim"].startswith("Совет")


def test_a_hypothesis_is_entered_measured_and_shown(tmp_path: Path) -> None:
    made = document(*ADD, "--plan", "a clock", "--n", "20", "--by", "baker=0.8", "--against", "critic=0.6",
                    home=tmp_path)
    assert (made["id"], made["verdict"], made["added"], made["intact"]) == ("h-0001", "open", True, True)
    assert made["credits"] == [{"role": "baker", "weight": 0.8, "side": "for"},
                               {"role": "critic", "weight": 0.6, "side": "against"}]
    told = run("measure", "h-0001", "--value", "-5.5", "--low", "-6.5", "--high", "5.9", "--n", "3", home=tmp_path)
    found = document("show", "h-0001", home=tmp_path)

    assert "supported" in told.stdout
    assert "The plan was to measure 20, this is 3" in told.stderr
    assert (found["verdict"], found["measured"]["verdict"], found["measured"]["value"]) == (
        "supported", "supported", -5.5)
    assert found["measured"]["environment"].startswith("twin ")
    assert len(found["measured"]["hash"]) == 64
    assert document(home=tmp_path)[-1] == found
    shown = run("show", "h-0001", home=tmp_path).stdout
    for piece in ("Тёплая опара быстрее", "at most 6 h", "-5.5 (-6.5 to 5.9), n = 3", "baker for, 0.8", "a clock"):
        assert piece in shown


def test_a_changed_prediction_is_refused_and_the_same_one_is_known(tmp_path: Path) -> None:
    document(*ADD, "--id", "warm", home=tmp_path)
    done = run(*ADD[:-3], "5", "--id", "warm", "--json", home=tmp_path)

    assert done.exit_code == 2
    assert "frozen" in json.loads(done.stdout)["what"]
    assert document(*ADD, home=tmp_path)["added"] is False
    assert "It was there already." in run(*ADD, home=tmp_path).stderr


def test_options_before_the_verb_hold_for_the_verb(tmp_path: Path) -> None:
    other = tmp_path / "other"
    done = run("--home", other, "--json", *ADD, home=tmp_path / "unused")

    assert json.loads(done.stdout)["id"] == "h-0001"
    assert document("--home", other, home=tmp_path / "unused")[-1]["id"] == "h-0001"
    assert not (tmp_path / "unused").exists()


def test_a_report_is_one_array_and_again_it_adds_nothing(tmp_path: Path) -> None:
    thread = tmp_path / "thread.txt"
    thread.write_text("I ran Qwen3-8B Q4_K_M and got 33.6 t/s.\n\nУ меня Qwen3-8B выдал 21 т/с.\n", "utf-8")
    first, again = (document("report", thread, home=tmp_path / "home") for _ in range(2))

    assert [(one["verdict"], one["added"]) for one in first] == [("reported", True)] * 2
    assert [one["added"] for one in again] == [False, False]
    assert first[0]["reports"][0]["quote"] == first[0]["claim"] == "I ran Qwen3-8B Q4_K_M and got 33.6 t/s."
    assert first[0]["reports"][0]["readings"] == [
        {"metric": "speed", "unit": "tok/s", "numbers": [33.6], "value": 33.6}]
    assert len(document(home=tmp_path / "home")) == len(starters()) + 2
    assert "0 new, 2 known" in run("report", thread, home=tmp_path / "home").stderr


def test_nothing_found_is_said_and_is_an_empty_list(tmp_path: Path) -> None:
    thread = tmp_path / "thread.txt"
    thread.write_text("The dough is fine.\n", "utf-8")
    done = run("report", thread, home=tmp_path / "home")

    assert (done.exit_code, "reports no result" in done.stdout) == (0, True)
    assert document("report", thread, home=tmp_path / "home") == []
    assert not (tmp_path / "home").exists()


def test_a_quote_cannot_draw_on_the_terminal(tmp_path: Path) -> None:
    thread = tmp_path / "thread\x1b[31m.txt"
    thread.write_text("I got 33 t/s with Qwen3 \x1b[2J\u202e and more.\n", "utf-8")
    told = run("report", thread, home=tmp_path).stdout + run(home=tmp_path).stdout + run(
        "show", "h-0001", home=tmp_path).stdout

    assert "33 t/s" in told
    assert not {"\x1b", "\u202e"} & set(told)
    assert "\x1b[2J" in document("show", "h-0001", home=tmp_path)["claim"]


@pytest.mark.parametrize("words", [
    ["show", "nothing"], ["measure", "nothing", "--value", "1", "--low", "1", "--high", "1", "--n", "1"],
    ["measure", "roles-16-against-4", "--value", "1"],
    ["measure", "roles-16-against-4", "--value", "9", "--low", "1", "--high", "2", "--n", "9"],
    ["measure", "roles-16-against-4", "--value", "nan", "--low", "nan", "--high", "nan", "--n", "9"],
    ["add", "x", "--metric", "m"], ["add", "x", "--threshold", "1", "--up"], ["add", " "],
    ["add", "x", "--by", "critic"], ["add", "x", "--by", "critic=2"], ["add", "x", "--by", "=0.5"],
    ["add", "x", "--id", "No Slug"],
    ["report", "no such file.txt"], ["nonsense"]])
def test_bad_use_is_said_with_status_2_and_keeps_nothing(words: list[str], tmp_path: Path) -> None:
    done = run(*words, home=tmp_path)

    assert (done.exit_code, done.stdout) == (2, "")
    assert done.stderr.strip()
    assert not list(tmp_path.iterdir())


def test_reading_a_thread_says_how_far_it_is(tmp_path: Path) -> None:
    thread = tmp_path / "thread.txt"
    thread.write_text("The dough is fine.\n" * 9, "utf-8")

    assert "characters" in run("report", thread, home=tmp_path / "home").stderr
