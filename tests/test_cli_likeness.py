"""Likeness, from Python and the shell: own against another's, a gate that says no, and what was never learned."""
from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from tests.test_apprentice import FEW, MINE, THEIRS, Core, core, play, talk  # noqa: F401 - fixtures
from twin import cli
from twin.chat import Twin
from twin.engine.scripted import ScriptedEngine
from twin.errors import ModelError, StaleAdapter, UsageError
from twin.home import Home
from twin.lessons import hash_of_key
from twin.likeness import general
from twin.types import Conversation, Message, Prompt, Score


class Knows(Core):
    """A core that foresees words better under the adapter of whoever says them: 1 bit against 12. `owner`: how the path
    of an adapter tells whose it is; `dear`: bits that one more word of general text costs under it."""

    owner: str = ""
    dear: float = 0.0

    def score(self, prompt: Prompt, continuation: str) -> Score:
        self.prompts.append(prompt)
        words = continuation.split()
        known = () if not prompt.adapters else MINE if self.owner in prompt.adapters[0].path else THEIRS
        strange = self.dear if prompt.adapters and not {*MINE, *THEIRS} & set(words) else 0.0
        return Score(tuple(1.0 if word in known else 12.0 + strange for word in words), len(continuation))


@pytest.fixture
def twin(tmp_path: Path, core: Path) -> Iterator[Twin]:  # noqa: F811
    with Twin(Home(tmp_path / "home"), engine=Knows(core)) as opened:
        opened.add(talk(MINE, 46))
        yield opened


@pytest.fixture
def other(tmp_path: Path) -> Path:
    """Another person's home."""
    with Twin(Home(tmp_path / "other"), engine=ScriptedEngine([])) as theirs:
        theirs.add(talk(THEIRS, 40, seed=1))
    return tmp_path / "other"


def trained(twin: Twin) -> str:
    kept = twin.train("critic", **FEW)
    twin.engine.owner = kept.sha256  # type: ignore[attr-defined]
    return kept.sha256


def test_what_beats_another_persons_adapter_is_let_on(twin: Twin, other: Path,
                                                      play: list[dict[str, Any]]) -> None:  # noqa: F811
    sha256 = trained(twin)
    found = twin.likeness("critic", other=other, quick=True)
    again = twin.likeness("critic", other=other, quick=True)
    [kept] = twin.adapters()
    adapter = twin.role_map.role("critic").adapter

    assert found.gate is not None
    assert found.gate.on, str(found.gate)
    assert (found.on, found.adapter, found.missing) == (True, sha256, ())
    assert adapter is not None
    assert adapter.sha256 == sha256
    assert (kept.on, kept.reason) == (True, str(found.gate))
    assert json.loads(found.path.read_text("utf-8"))["rows"] == kept.likeness["rows"]
    assert {"base", "generic persona", "profile prompt", "+ recall", "own adapter", "another's adapter",
            "own adapter on another's words"} <= set(found.table.cells)
    assert len(play) == 2, "the control is trained once"
    assert play[1]["plan"].shape == play[0]["plan"].shape
    assert play[1]["plan"].settings == play[0]["plan"].settings
    assert len(play[1]["plan"].learn) <= len(play[0]["plan"].learn)
    assert again.gate == found.gate
    assert twin.adapters() == [kept], "another person's adapter is no role's"


def test_it_is_measured_on_what_it_never_saw_and_told_nothing_newer(twin: Twin, other: Path,
                                                                    play: list[dict[str, Any]]) -> None:  # noqa: F811
    trained(twin)
    seen = set(twin.adapters()[0].facts["learned"])
    twin.add([Conversation("new", tuple(
        Message(f"n{number}", "user", f"{MINE[number % 12]} was new {number} times and {number * 7} more")
        for number in range(30)))])
    own = twin.likening._split(list(twin.archive.messages()), twin.adapters()[0])
    before = len(twin.engine.prompts)  # type: ignore[attr-defined]
    twin.likeness("critic", quick=True)
    asked = twin.engine.prompts[before:]  # type: ignore[attr-defined]
    held = {sample.answer for sample in own.held if "was new" not in sample.answer}  # those stand before each other

    assert {hash_of_key(sample.key) for sample in own.learn if sample.key} == seen
    assert not {hash_of_key(sample.key) for sample in own.held if sample.key} & seen
    assert any("was new" in sample.answer for sample in own.held)
    assert held
    assert not any(answer in prompt.text for prompt in asked for answer in held)


@pytest.mark.parametrize(("dear", "failed"), [(0.0, ("own", "bar")), (9.0, ("own", "bar", "general"))])
def test_without_another_person_the_gate_says_no_and_what_is_missing(
        twin: Twin, play: list[dict[str, Any]], dear: float, failed: tuple[str, ...]) -> None:  # noqa: F811
    trained(twin)
    twin.engine.dear = dear  # type: ignore[attr-defined]
    found = twin.likeness("critic", quick=True)

    assert found.gate is not None
    assert (found.gate.on, found.gate.failed, found.on) == (False, failed, False)
    assert "--other" in found.missing[0]
    assert "2,400 words" in found.missing[0]
    assert twin.role_map.role("critic").adapter is None
    assert twin.adapters()[0].on is False
    with pytest.raises(UsageError, match="not measured against another person's adapter"):
        twin.switch("critic")


def test_another_with_few_words_is_no_fair_comparison(twin: Twin, tmp_path: Path,
                                                      play: list[dict[str, Any]]) -> None:  # noqa: F811
    twin.add(talk(MINE[::-1], 46, seed=2))
    with Twin(Home(tmp_path / "brief"), engine=ScriptedEngine([])) as theirs:
        theirs.add(talk(THEIRS, 25, seed=1))
    trained(twin)
    found = twin.likeness("critic", other=tmp_path / "brief", quick=True)

    assert found.gate is not None
    assert (found.gate.on, found.gate.failed, found.on) == (False, ("own",), False)
    assert "does not count" in " ".join(found.missing)


@pytest.mark.parametrize("role", ["critic", ""])
def test_what_was_taken_back_is_not_measured_however_it_is_named(
        twin: Twin, role: str, play: list[dict[str, Any]]) -> None:  # noqa: F811
    trained(twin)
    twin.forget(f"{MINE[0]}3/m1")
    with pytest.raises(StaleAdapter):
        twin.likeness(role, quick=True)


def test_the_whole_table_has_questions_style_and_copies(twin: Twin, other: Path,
                                                        play: list[dict[str, Any]]) -> None:  # noqa: F811
    trained(twin)
    found = twin.likeness("critic", other=other, held=24)
    row = found.table.cells["own adapter"]

    assert set(found.table.columns) >= {"bits/char", "saved", "general", "copied", "own style", "Delta own - other"}
    assert any(name.startswith("next question of ") for name in row)
    assert all(row[name] is not None for name in row)


def test_without_an_adapter_the_prompts_are_compared(twin: Twin) -> None:
    found = twin.likeness(quick=True)

    assert found.gate is None
    assert list(found.table.cells) == ["base", "generic persona", "profile prompt", "+ recall"]
    assert twin.likeness(quick=True).path.name == "profile.json"


def test_a_stopped_measurement_says_nothing_of_the_adapter(twin: Twin, play: list[dict[str, Any]]) -> None:  # noqa: F811
    trained(twin)
    asked: list[int] = []
    found = twin.likeness("critic", quick=True, cancel=lambda: len(asked) > 40 or bool(asked.append(1)))

    assert found.gate is None
    assert "Stopped" in " ".join(found.missing)
    assert twin.adapters()[0].on is None


def test_a_control_that_was_stopped_is_not_kept(twin: Twin, other: Path, play: list[dict[str, Any]]) -> None:  # noqa: F811
    trained(twin)
    with pytest.raises(UsageError, match="goes on there"):
        twin.likeness("critic", other=other, quick=True, cancel=lambda: len(play) == 2)
    assert twin.apprentice.adapters.all(controls=True) == twin.adapters()
    assert play[1]["folder"].is_dir()


def test_whose_words_cannot_be_compared_is_said(twin: Twin, tmp_path: Path, core: Path,  # noqa: F811
                                                play: list[dict[str, Any]]) -> None:  # noqa: F811
    with pytest.raises(UsageError, match="twin train critic"):
        twin.likeness("critic", quick=True)
    with pytest.raises(UsageError, match="wizard"):
        twin.likeness("wizard")
    trained(twin)
    with pytest.raises(UsageError, match="nothing at"):
        twin.likeness("critic", other=tmp_path / "nowhere")
    with pytest.raises(UsageError, match="your own"):
        twin.likeness("critic", other=twin.home.root)
    with Twin(Home(tmp_path / "few"), engine=ScriptedEngine([])) as few:
        few.add(talk(THEIRS, 2))
    with pytest.raises(UsageError, match="Too few words of the other person: 1,000"):
        twin.likeness("critic", other=tmp_path / "few")
    twin.engine.id = "another@" + "f" * 16
    with pytest.raises(ModelError, match="not on the core that runs"):
        twin.likeness("critic", quick=True)
    assert len(play) == 1
    twin.forget(f"{MINE[0]}3/m1")
    with pytest.raises(StaleAdapter, match="twin train critic"):
        twin.likeness("critic")


def test_the_command_line_prints_table_verdict_and_what_to_do(twin: Twin, other: Path, core: Path,  # noqa: F811
                                                              play: list[dict[str, Any]],  # noqa: F811
                                                              monkeypatch: pytest.MonkeyPatch) -> None:
    sha256 = trained(twin)

    def opened(cls: type[Twin], home: Path, **_: Any) -> Twin:
        made = Twin(Home(home), engine=Knows(core))
        made.engine.owner = sha256  # type: ignore[attr-defined]
        return made

    monkeypatch.setattr(Twin, "open", classmethod(opened))
    root = str(twin.home.root)
    alone = CliRunner().invoke(cli.main, ["likeness", "critic", "--quick", "--home", root])
    assert alone.exit_code == 1, alone.output
    assert "own adapter" in alone.stdout
    assert "Off: it was not measured against another" in alone.stdout
    assert "twin adapter on critic --anyway" in alone.stderr
    both = CliRunner().invoke(cli.main, ["likeness", "critic", "--quick", "--other", str(other), "--json", "--home",
                                         root])
    told = json.loads(both.stdout)
    assert both.exit_code == 0, both.output
    assert (told["on"], told["gate"]["on"], told["adapter"]) == (True, True, sha256)
    assert told["table"]["rows"]["own adapter"]["saved"]["value"] > 0
    listed = CliRunner().invoke(cli.main, ["adapter", "list", "--home", root])
    assert "Measured: On: it foresees these words better" in listed.stdout
    assert "on (critic)" in listed.stdout


def test_general_text_is_there_in_both_languages() -> None:
    assert {sample.conversation.split()[1] for sample in general()} == {"en", "ru"}
