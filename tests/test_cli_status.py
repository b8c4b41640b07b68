"""`twin status` and `twin agents` as a person uses them, and the file by which a running twin is seen."""
from __future__ import annotations

import json
import os
import stat
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from tests import tiny
from tests.test_cli import document, run
from twin import status
from twin.agents import Agent, load, save
from twin.chat import Twin
from twin.engine.scripted import ScriptedEngine
from twin.home import Home
from twin.status import Part, Publisher
from twin.types import Answered, to_plain


@pytest.fixture(scope="module")
def embedder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny.embedder(tmp_path_factory.mktemp("status") / "embedder.gguf")


def test_agents_are_set_listed_and_dropped(tmp_path: Path, embedder: Path) -> None:
    home = tmp_path / "home"
    made = document("agents", "set", "embedder", embedder, "--device", "CUDA1", home=home)
    assert [(one["kind"], one["model"], one["device"]) for one in made] == [("embedder", str(embedder), "CUDA1")]
    second = "http://127.0.0.1:9/v1#some"
    assert run("agents", "set", "second", second, "--role", "critic", home=home).returncode == 0

    assert load(Home(home)) == (Agent("embedder", str(embedder), device="CUDA1"),
                                Agent("second", second, roles=("critic",)))
    listed = run("agents", home=home).stdout
    assert "on CUDA1, a process of its own" in listed
    assert "speaks critic" in listed
    assert [one["kind"] for one in document("agents", "drop", "embedder", home=home)] == ["second"]


def test_what_cannot_be_an_agent_is_refused_and_changes_nothing(tmp_path: Path, embedder: Path) -> None:
    home = tmp_path / "home"
    save(Home(home), [Agent("embedder", str(embedder))])
    before = (home / "agents.toml").read_bytes()
    for words in (("set", "second", "minilm"), ("set", "gardener", "smollm2-135m"), ("drop", "second"),
                  ("set", "scorer", "no-such-core"), ("set", "scorer", str(tmp_path / "gone.gguf"))):
        assert run("agents", *words, home=home).returncode == 2

    assert (home / "agents.toml").read_bytes() == before


def test_status_shows_devices_core_and_agents_and_check_asks_each(tmp_path: Path, embedder: Path) -> None:
    home = tmp_path / "home"
    save(Home(home), [Agent("embedder", str(embedder)), Agent("second", str(tmp_path / "gone.gguf"))])
    shown = document("status", home=home)
    assert shown["running"] == []
    assert any(one["kind"] == "cpu" and one["total_bytes"] > 0 for one in shown["here"]["devices"])
    assert [one["kind"] for one in shown["here"]["parts"]] == ["core", "embedder", "second"]
    assert [one["state"] for one in shown["here"]["parts"][:2]] == ["idle", "idle"]

    checked = run("status", "--check", home=home)
    assert checked.returncode == 1
    assert "embedder   up" in checked.stdout
    assert "gone.gguf" in checked.stdout


def test_a_running_twin_is_seen_from_another_process_and_leaves_nothing(tmp_path: Path) -> None:
    home = tmp_path / "home"
    with Twin.open(home, engine=ScriptedEngine(lambda _: "A secret answer.")) as twin:
        turns = [event.turn for event in twin.stream("A secret question?") if isinstance(event, Answered)]
        file = home / "run" / f"status-{os.getpid()}.json"
        assert stat.S_IMODE(file.stat().st_mode) == 0o600
        assert stat.S_IMODE(file.parent.stat().st_mode) == 0o700
        assert "secret" not in file.read_text()
        until = time.monotonic() + 10  # the figures of the answer come within a second
        while status.running(twin.home)[0].parts[0].calls != len(turns):
            assert time.monotonic() < until
            time.sleep(0.05)
        (seen,) = document("status", home=home)["running"]
        assert (seen["pid"], seen["parts"][0]["model"], seen["parts"][0]["calls"]) == (os.getpid(), "scripted", 1)
        assert f"process {os.getpid()}" in run("status", home=home).stdout

    assert not (home / "run").exists()


def test_the_file_is_written_at_most_once_a_second_and_at_last_the_newest(tmp_path: Path) -> None:
    now, made = [0.0], list[int]()

    def told() -> status.Status:
        made.append(len(made))
        return status.of((Part("core", f"core {len(made)}"),))

    publisher = Publisher(Home(tmp_path), clock=lambda: now[0])
    for step in range(30):
        now[0] = step / 10
        publisher.publish(told)
    assert len(made) == 3
    publisher.close()
    assert not (tmp_path / "run").exists()


def test_files_of_the_dead_are_removed_and_damaged_ones_left_out(tmp_path: Path) -> None:
    child = subprocess.Popen([sys.executable, "-c", ""])
    child.wait()
    folder = tmp_path / "run"
    folder.mkdir()
    good: dict[str, Any] = to_plain(status.of((Part("core", "some"),)))
    (folder / f"status-{child.pid}.json").write_text(json.dumps(good))
    strays = {f"status-{name}.json" for name in ("nobody", "9" * 20, "\u00b2", "\u0663", "007", "4294967295")}
    for stray in strays:
        (folder / stray).write_text("{}")
    own = folder / f"status-{os.getpid()}.json"
    for damaged in ("", "[]", "{", json.dumps({**good, "parts": [{"kind": 3}]}), json.dumps({**good, "parts": [{}]}),
                    "[" * 100_000, json.dumps({**good, "parts": [{"kind": "a", "model": "b", "queue": "c"}]})):
        own.write_text(damaged)
        assert status.running(Home(tmp_path)) == []
    own.write_text(json.dumps(good))

    assert [one.parts for one in status.running(Home(tmp_path))] == [(Part("core", "some"),)]
    assert {path.name for path in folder.iterdir()} == {own.name, *strays}, "what is not ours stays"
