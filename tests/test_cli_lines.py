"""Routing, forks and councils as a person types them: real process, real stores, a tiny core that writes nonsense."""
from __future__ import annotations

from pathlib import Path

import pytest

from tests import tiny
from tests.test_cli import document, run


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
