"""The command line of training: what is shown before, while and after, in colours or brackets; adapters on and off."""
from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click
import pytest
from click.testing import CliRunner, Result

from tests.test_apprentice import MINE, Core, core, play, talk  # noqa: F401 - fixtures
from twin import cli, cli_train
from twin.chat import Twin
from twin.errors import ModelMissing
from twin.home import Home
from twin.training import Step, base
from twin.types import Conversation, Message

Run = Callable[..., Result]


@pytest.fixture
def run(tmp_path: Path, core: Path, monkeypatch: pytest.MonkeyPatch) -> Run:  # noqa: F811
    """The command line on one home of 276 own messages, without a real core."""
    place = Home(tmp_path / "home")

    def opened(cls: type[Twin], home: Path, **_: Any) -> Twin:
        return Twin(Home(home), engine=Core(core))

    monkeypatch.setattr(Twin, "open", classmethod(opened))
    with Twin.open(place.root) as twin:
        twin.add(talk(MINE, 46))
        twin.role_book.ensure()

    def call(*words: str, colour: bool = False) -> Result:
        return CliRunner().invoke(cli.main, [*words, "--home", str(place.root)], color=colour)

    return call


def document(done: Result) -> Any:
    assert done.exit_code == 0, done.output
    return json.loads(done.stdout)


def test_the_cost_is_told_and_nothing_is_learned(run: Run, play: list[dict[str, Any]]) -> None:  # noqa: F811
    done = run("train", "critic", "--dry-run", "--steps", "7", "--rank", "4", "--targets", "q, v")
    told = document(run("train", "critic", "--dry-run", "--json", "--batch", "2"))

    assert "2,112 words in 192 samples to learn; 28 later ones" in done.stdout
    assert "alora, rank 4, on q v; at most 7 steps" in done.stdout
    assert (told["words"], told["samples"], told["settings"]["batch"]) == (2112, 192, 2)
    assert play == []


def test_samples_are_shown_in_brackets_in_a_pipe(run: Run, play: list[dict[str, Any]]) -> None:  # noqa: F811
    done = run("train", "critic", "--show", "3")
    shown = document(run("train", "critic", "--show", "2", "--json"))

    assert done.stdout.count("-- ") == 3
    assert "[[почему " in done.stdout or "[[the " in done.stdout
    assert "\x1b" not in done.stdout
    assert [any(piece["learned"] for piece in one) for one in shown] == [True, True]
    assert play == []


def test_samples_are_coloured_on_a_terminal_and_nothing_in_them_reaches_it(
        run: Run, play: list[dict[str, Any]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch,  # noqa: F811
        capsys: pytest.CaptureFixture[str]) -> None:
    odd = "it is \x1b[31mred number {}\x07 and\u202e more"
    with Twin.open(tmp_path / "home") as twin:
        twin.add([Conversation(f"odd{day}", (Message("m", "user", odd.format(day)),)) for day in range(40)])
        lesson = twin.lesson("critic")
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True, raising=False)
    cli_train._draw_samples(lesson, 400, False)
    text = capsys.readouterr().out

    assert click.style("X", fg="green", bold=True).split("X")[0] in text
    assert "red number" in text
    assert not {"\x1b[31m", "\x07", "\u202e"} & {text[at:at + size] for size in (1, 5) for at in range(len(text))}


def test_a_training_says_what_it_does_and_what_comes_next(run: Run, play: list[dict[str, Any]]) -> None:  # noqa: F811
    done = run("train", "critic", "--steps", "2", "--fresh")
    assert done.exit_code == 0, done.output
    assert "held-out words: 5.000 -> 4.500 bits a character (+0.500 saved)" in done.stdout
    assert "step 2 of 2  loss 3.00  held out 4.500 bits a character █▅▁  60 s left at most" in done.stderr
    assert "twin likeness critic" in done.stderr
    assert play[0]["fresh"]
    assert document(run("train", "critic", "--json"))["role"] == "critic"


def test_adapters_are_listed_with_verdict_and_reason_and_switched(run: Run, play: list[dict[str, Any]],  # noqa: F811
                                                                  tmp_path: Path) -> None:
    assert "twin train ROLE" in run("adapter", "list").stderr
    assert run("adapter", "on", "critic").exit_code == 2
    sha256 = document(run("train", "critic", "--json"))["sha256"]
    assert "twin likeness critic" in run("adapter", "list").stdout
    refused = run("adapter", "on", "critic")
    assert refused.exit_code == 2
    assert "--anyway" in refused.stderr
    done = run("adapter", "on", "critic", sha256[:9], "--anyway")
    assert done.stdout == f"critic: adapter: set: sha256 {sha256}, scale 1.0, kind alora\n"
    assert "on (critic)" in run("adapter", "list").stdout
    assert document(run("adapter", "list", "--json"))[0]["acting"] == ["critic"]
    with Twin.open(tmp_path / "home") as twin:
        twin.apprentice.adapters.judge(twin.adapters()[0], on=False, reason="Off: no better.", likeness={})
    assert "stays off: Off: no better." in run("adapter", "list").stdout
    assert document(run("adapter", "off", "critic", "--json"))["changes"] == [
        f"critic: adapter: removed: sha256 {sha256}, scale 1.0, kind alora"]
    assert "as it was" in run("adapter", "off", "critic").stderr
    assert run("adapter", "on", "critic", "ffff").exit_code == 2
    assert document(run("roles", "history", "--json"))[0]["note"] == "adapter of critic off"


def test_what_cannot_be_is_refused_in_two_sentences(run: Run, play: list[dict[str, Any]],  # noqa: F811
                                                    monkeypatch: pytest.MonkeyPatch) -> None:
    assert "wizard" in run("train", "wizard").stderr
    assert "'x'" in run("train", "critic", "--targets", "x").stderr
    assert run("train", "critic", "--steps", "0").exit_code == 2

    def missing() -> None:
        raise ModelMissing("Training needs torch, which is not installed.", "Install it: pip install 'twin[train]'")

    monkeypatch.setattr(base, "needs_torch", missing)
    done = run("train", "critic", "--json")
    assert done.exit_code == 2
    assert json.loads(done.stdout)["next_step"] == "Install it: pip install 'twin[train]'"


def test_a_curve_is_a_line_of_text() -> None:
    assert cli_train.sparkline([3.0, 2.0, 1.0]) == "█▅▁"
    assert cli_train.sparkline([]) == ""
    assert cli_train.sparkline([2.0]) == "▁"
    assert len(cli_train.sparkline([float(value) for value in range(100)])) <= 24


def test_steps_overwrite_one_line_on_a_terminal(monkeypatch: pytest.MonkeyPatch,
                                                capsys: pytest.CaptureFixture[str]) -> None:
    curve = cli_train.Curve(3)
    monkeypatch.setattr(cli_train.sys.stderr, "isatty", lambda: True, raising=False)
    curve(Step(0, None, 5.0, 0.1))
    curve(Step(1, 2.0, None, 0.1, 90.0))
    said = capsys.readouterr().err

    assert said.count("\r") == 2
    assert "\n" not in said
    assert "loss 2.00  held out 5.000" in said


@pytest.mark.parametrize(("seconds", "said"), [(12.0, "12 s"), (300.0, "5 min"), (9000.0, "2.5 h")])
def test_durations_are_said_shortly(seconds: float, said: str) -> None:
    assert cli_train.duration(seconds) == said
