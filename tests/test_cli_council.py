"""The command line of councils: the probe says how far it came, failures are events too."""
from __future__ import annotations

import json
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from tests.test_probe import truth
from twin import probe
from twin.chat import Twin
from twin.cli import main
from twin.engine.scripted import ScriptedEngine
from twin.types import Prompt

SOME = probe.questions(12)


@pytest.fixture
def stop_at(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """A twin with a scripted core and a probe of 12 questions; Ctrl-C is pressed at the n-th prompt when it holds n."""
    stops: list[int] = []
    known = {one.text: one for one in SOME}

    def answer(asked: Prompt) -> str:
        if stops and len(engine.prompts) >= stops[0]:
            stops.clear()
            signal.raise_signal(signal.SIGINT)
        question = next((one for key, one in known.items() if key in asked.text), None)
        claim = truth(question) if question and asked.role != "critic" else "12"
        more = {"prediction": "", "falsifier": "", "unit": ""} if question is None else {}
        return json.dumps({"evidence": [], "claim": claim, **more}, ensure_ascii=False)

    engine = ScriptedEngine(answer)

    @contextmanager
    def opened(_: Path | None, __: str | None = None) -> Iterator[Twin]:
        with Twin.open(tmp_path / "home", engine=engine) as twin:
            yield twin

    for module in ("cli", "cli_council"):
        monkeypatch.setattr(f"twin.{module}.opened", opened)
    monkeypatch.setattr(probe, "questions", lambda: SOME)
    return stops


def run(*words: str) -> Result:
    return CliRunner().invoke(main, ["council", *words])


def test_a_probe_is_one_document_when_it_is_stopped_and_when_it_is_done(stop_at: list[int]) -> None:
    stop_at.append(25)  # of six roles each: in the fifth question
    stopped = run("--probe", "--json")
    found = json.loads(stopped.stdout)
    assert stopped.exit_code == 130
    assert found == {"finished": False, "answered": 4, "questions": 12, "calibration": None}
    assert "Stopped after 4 of 12 questions" in stopped.stderr and "same command" in stopped.stderr
    done = run("--probe", "--json")
    assert done.exit_code == 0, (done.stderr, done.exception)
    found = json.loads(done.stdout)
    assert (found["finished"], found["answered"], found["questions"]) == (True, 12, 12)
    made = found["calibration"]
    assert made["n"] == 12 and set(made["gates"]) == {"en", "ru"}
    assert set(made["gates"]["en"]["evidence"]) == {"auroc", "low", "questions", "passed"}
    assert made["roles"]["mentor"] == {"right": 12, "answered": 12, "accuracy": 1}
    assert made["roles"]["critic"]["accuracy"] < 1


def test_off_a_terminal_a_probe_says_where_it_is_every_ten_questions(stop_at: list[int]) -> None:
    assert not stop_at
    done = run("--probe")
    assert [line for line in done.stderr.splitlines() if " of 12" in line and "probe" in line] == [
        f"questions of the probe: {n} of 12" for n in (0, 10, 12)]
    assert "mentor: right on 12 of 12" in done.stderr
    assert done.stdout == ""


def test_a_question_after_the_probe_is_one_document_with_both(stop_at: list[int]) -> None:
    assert not stop_at
    found = json.loads(run("How deep do peas go?", "--probe", "--json").stdout)
    assert found["question"] == "How deep do peas go?" and found["verdict"]["hypotheses"]
    assert found["probe"]["finished"] is True


@pytest.mark.parametrize("members", [" , ", "", ","])
def test_members_that_name_nobody_are_no_default_council(stop_at: list[int], members: str) -> None:
    assert not stop_at
    done = run("How deep?", "--members", members)
    assert done.exit_code == 2
    assert "names no role" in done.stderr


@pytest.mark.parametrize("words", [("--members", "wizard"), ("--line", "nope"), ("--members", " ,")])
def test_events_end_with_what_failed(stop_at: list[int], words: tuple[str, ...]) -> None:
    assert not stop_at
    done = run("How deep?", "--events", *words)
    last = json.loads(done.stdout.splitlines()[-1])
    assert done.exit_code == 2
    assert (last["event"], last["error"]) == ("Failed", "UsageError")
    assert last["what"] and last["next_step"]
