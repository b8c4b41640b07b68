"""Routing, forks and councils as a person types them: real process, real stores, a tiny core that writes nonsense."""
from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests import tiny
from tests.test_cli import document, run
from twin.chat import Twin
from twin.engine.scripted import ScriptedEngine


@pytest.fixture(scope="module")
def core(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny.core(tmp_path_factory.mktemp("core") / "core.gguf", n_ctx_train=8192)


def test_a_route_tells_probabilities_that_sum_to_one_and_needs_no_core(tmp_path: Path) -> None:
    found = document("route", "What is the weakest assumption of my plan?", home=tmp_path)
    told = run("route", "В чём слабое место моего плана?", home=tmp_path)

    assert found["role"] == "critic"
    assert not found["abstained"]
    assert sum(found["probabilities"].values()) == pytest.approx(1)
    assert len(found["nearest"]) == 3
    assert told.stdout.startswith("* critic")


def test_a_turn_is_corrected_forked_compared_kept_and_dropped(core: Path, tmp_path: Path) -> None:
    home = tmp_path / "home"
    short = ("--set", "max_tokens=8", "--model", core)
    first = document("ask", "Please moo like a walrus about my ledger", "--role", "scribe", "--model", core, home=home)
    corrected = document("correct", "empiricist", home=home)
    forked = document("fork", "--role", "critic", "--name", "hard", *short, home=home)
    onward = document("fork", first["id"][:8], "--ask", "And then?", "--name", "on", *short, home=home)
    lines = document("lines", home=home)
    compared = document("lines", "compare", first["conversation"], "hard", home=home)
    dropped = document("lines", "drop", "hard", home=home)

    assert corrected["now"] == "empiricist"
    assert forked["turn"]["question"] == first["question"]
    assert (forked["turn"]["route"]["role"], forked["turn"]["usage"]["generated"] <= 8) == ("critic", True)
    assert onward["turn"]["question"] == "And then?"
    assert [line["name"] for line in lines] == ["", "hard", "on"]
    assert [one["line"]["name"] for one in compared] == ["", "hard"]
    assert dropped["state"] == "dropped"


@pytest.mark.parametrize("words", [("fork", "--set", "heat=1"), ("fork", "--set", "temperature=hot"), ("fork", "nope"),
                                   ("lines", "keep", "nope"), ("correct", "critic"), ("council", ""),
                                   ("ask", "x", "--line", "nope")])
def test_what_cannot_be_done_is_said_with_what_to_do_next(words: tuple[str, ...], tmp_path: Path) -> None:
    done = run(*words, home=tmp_path)

    assert done.returncode == 2
    assert done.stderr.startswith("twin: ")
    assert "Traceback" not in done.stderr


def test_a_shown_prompt_names_its_parts_and_asks_nothing(core: Path, tmp_path: Path) -> None:
    home = tmp_path / "home"
    shown = document("ask", "How deep do peas go?", "--role", "critic", "--show-prompt", "--model", core, home=home)
    drawn = run("ask", "How deep do peas go?", "--show-prompt", "--model", core, home=home)

    assert {"constitution", "question", "role"} <= {part["kind"] for part in shown["parts"]}
    assert sum(shown["totals"].values()) == shown["budget"]
    assert "How deep do peas go?" in drawn.stdout
    assert "\x1b[" not in drawn.stdout, "no colours where nobody sees them"
    assert document("lines", home=home) == []


def test_a_fork_that_cannot_be_asked_leaves_no_line_and_no_taken_name(core: Path, tmp_path: Path) -> None:
    home = tmp_path / "home"
    short = ("--set", "max_tokens=4", "--model", core)
    document("ask", "How deep do peas go?", "--role", "scribe", "--model", core, home=home)
    for empty in ("", "   "):
        done = run("fork", "--ask", empty, "--name", "hard", *short, home=home)
        assert (done.returncode, "question is empty" in done.stderr) == (2, True)
    gone = run("fork", "--name", "hard", "--model", tmp_path / "none.gguf", home=home)
    assert (gone.returncode, "taken back" in gone.stderr) == (2, True)
    assert [line["name"] for line in document("lines", "--all", home=home)] == [""]
    assert document("fork", "--name", "hard", *short, home=home)["line"]["name"] == "hard"


def test_lines_are_drawn_under_the_line_they_leave_and_dropped_ones_with_all_only(tmp_path: Path) -> None:
    home = tmp_path / "home"
    with Twin.open(home, engine=ScriptedEngine(lambda _: "So much.")) as twin:
        first = twin.ask("How deep do peas go?")
        one, _ = twin.fork(name="one")
        here = twin.ask("And carrots?", conversation=one.id)
        twin.fork(first, name="two")
        twin.fork(here, name="deep")
    shown = [line for line in run("lines", home=home).stdout.splitlines() if ": " not in line]
    assert [(len(line) - len(line.lstrip()), line.split()[1]) for line in shown] == [
        (0, "trunk"), (2, "one"), (4, "deep"), (2, "two")]
    document("lines", "drop", "two", home=home)
    left = run("lines", home=home)
    assert "two" not in left.stdout and "1 dropped; --all" in left.stderr
    assert [line["name"] for line in document("lines", home=home)] == ["", "one", "deep"]
    everything = document("lines", "--all", home=home)
    assert [(line["name"], line["state"]) for line in everything][-1] == ("two", "dropped")
    compared = document("lines", "compare", first.conversation[:8], "one", home=home)
    assert compared[0]["line"]["id"] == first.conversation


def test_options_before_the_verb_of_lines_hold_for_the_verb(tmp_path: Path) -> None:
    home, unused = tmp_path / "home", tmp_path / "unused"
    with Twin.open(home, engine=ScriptedEngine(lambda _: "So much.")) as twin:
        twin.ask("How deep do peas go?")
        line, _ = twin.fork(name="one")
    for words in (("keep", "one"), ("drop", "one"), ("name", "one", "uno"), ("compare", "uno")):
        done = run("lines", "--home", home, "--json", *words, home=unused)
        assert done.returncode == 0, done.stderr
        assert line.id in done.stdout and json.loads(done.stdout)
    assert not unused.exists()


@pytest.mark.parametrize("nobody", ["none", "nobody", "никто"])
def test_nobody_is_called_by_any_of_its_names(nobody: str, tmp_path: Path) -> None:
    home = tmp_path / "home"
    with Twin.open(home, engine=ScriptedEngine(lambda _: "So much.")) as twin:
        twin.ask("Please moo like a walrus about my ledger")
    assert document("correct", nobody, home=home)["label"] == "none"
    assert run("correct", nobody, home=home).stdout.startswith("nobody: ")
