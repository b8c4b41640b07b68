"""A proof runs in a process of its own that knows no home, leaves nothing behind and says the same each time."""
from __future__ import annotations

import json
import os
import stat
import subprocess
import sys
import threading
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tests import tiny
from tests.proof.scene import BAKING, BEGAN, OFFICE, a_map, answers, evidence, files, labels
from twin import errors, operations, proof
from twin.engine.scripted import ScriptedEngine
from twin.errors import EvaluatorChanged, ModelError
from twin.evidence import Split, split
from twin.proof import Core, pin, prove
from twin.proposals import Proof, Proposal
from twin.roles import RoleMap

WRONG = a_map(baking=(*BAKING, OFFICE[0]), office=OFFICE[1:])
RIGHT = operations.parse({"op": "relabel_routing_example", "role": "baker", "to": "clerk", "text": OFFICE[0]})


def parts(talks: int = 40) -> Split:
    """Whom messages were for, in so many conversations: all like the example that stands in the wrong place."""
    like = tuple(f"{OFFICE[0][:-1]} number {number}?" for number in range(7))
    return split(evidence(answers(0, talks, each=1), labels(0, talks, like, "clerk")))


def proposal(role_map: RoleMap = WRONG, operation: operations.Operation = RIGHT) -> Proposal:
    return Proposal(operation, role_map.version, "miner:M1", BEGAN)


def tried(asked: Proposal, before: RoleMap, after: RoleMap | None = None, **rest: Any) -> Proof:
    made = after or operations.apply(asked.operation, before)
    return prove(asked, files(before), files(made), rest.pop("split", None) or parts(), embedder=False,
                 **{"corrections": (), **rest})


@pytest.fixture
def folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where temporary folders are made."""
    monkeypatch.setattr(proof.tempfile, "tempdir", str(tmp_path))
    return tmp_path


def test_an_example_put_right_is_proven_and_nothing_is_left_behind(folders: Path) -> None:
    asked = proposal()
    found = tried(asked, WRONG)

    assert (found.verdict, found.stage) == ("accepted", "S3"), found.reason
    assert (found.proposal, found.base, found.evaluator) == (asked.hash, WRONG.version, pin.pinned())
    assert found.window == parts().window and found.use == 1
    assert found.scorer == {"embedder": "none", "core": "none"}
    assert found.cost["seconds"] > 0
    assert list(folders.iterdir()) == []


def test_two_proofs_give_equal_figures() -> None:
    one, other = (replace(tried(proposal(), WRONG), made=BEGAN, cost={}) for _ in range(2))
    assert one == other


def test_the_job_names_no_home_lies_in_a_private_folder_and_is_gone_once_read(
        folders: Path, monkeypatch: pytest.MonkeyPatch, own_home: Path) -> None:
    seen: dict[str, Any] = {}
    real = proof._wait

    def wait(folder: Path, *rest: Any) -> str:
        seen["mode"], seen["job"] = stat.S_IMODE(folder.stat().st_mode), (folder / "job.json").read_text("utf-8")
        seen["file"] = stat.S_IMODE((folder / "job.json").stat().st_mode)
        how = real(folder, *rest)
        seen["after"] = {one.name for one in folder.iterdir()}
        return how

    monkeypatch.setattr(proof, "_wait", wait)
    tried(proposal(), WRONG)

    assert (seen["mode"], seen["file"]) == (0o700, 0o600)
    assert str(own_home) not in seen["job"] and "twin:talk" not in seen["job"]
    assert "job.json" not in seen["after"]
    assert json.loads(seen["job"])["before"].keys() == files(WRONG).keys()


def test_a_map_that_is_not_what_the_operation_makes_is_rejected_at_once() -> None:
    found = tried(proposal(), WRONG, a_map(form="Something else."))
    assert (found.verdict, found.stage) == ("rejected", "S0")


def test_a_map_that_cannot_be_read_is_rejected_with_the_reason() -> None:
    found = prove(proposal(), files(WRONG), {"baker.md": b"no role at all"}, parts(), embedder=False)
    assert (found.verdict, found.stage) == ("rejected", "S0")
    assert "baker.md" in found.reason["en"]


def test_a_window_is_used_only_where_it_was_opened() -> None:
    """40 labelled conversations are 8 of proof; of 5 only one is."""
    few = tried(proposal(), WRONG, split=replace(parts(5), used=3))
    assert (few.verdict, few.stage, few.use) == ("unproven", "S2", 3)
    assert few.needed > 0


def test_what_is_corrected_already_gains_nothing_more() -> None:
    """The router knows the corrections of the training part: here they say all that the example would."""
    assert tried(proposal(), WRONG, corrections=None).verdict != "accepted"


def test_the_same_operation_has_to_be_surer_at_each_look() -> None:
    """8 conversations, all one way: p = 1/256 is below 5 % and 2.5 %, and above .05 / 16."""
    found = [tried(proposal(), WRONG, looks=looks) for looks in (0, 1, 4)]
    assert [one.verdict for one in found] == ["accepted", "accepted", "unproven"]
    assert [one.gain.level for one in found if one.gain] == pytest.approx([0.95, 0.975, 0.996875])


def test_changed_sources_prove_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pin, "pinned", lambda: "0" * 64)
    with pytest.raises(EvaluatorChanged, match="pinned"):
        tried(proposal(), WRONG)


def test_sources_that_change_meanwhile_prove_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    real = proof._run
    monkeypatch.setattr(proof, "_run", lambda *given: {**real(*given), "evaluator": "another"})
    with pytest.raises(EvaluatorChanged, match="while it worked"):
        tried(proposal(), WRONG)


@pytest.mark.parametrize("rest", [{"timeout_s": 0.0}, {"cancel": lambda: True}])
def test_a_proof_that_is_late_or_stopped_is_killed_and_cleared_away(folders: Path, rest: dict[str, Any],
                                                                    monkeypatch: pytest.MonkeyPatch) -> None:
    children: list[subprocess.Popen[bytes]] = []
    real = proof._end
    monkeypatch.setattr(proof, "_end", lambda child: (children.append(child), real(child)))
    with pytest.raises(ModelError, match=r"longer than 0 s|was stopped"):
        tried(proposal(), WRONG, **rest)

    assert children[0].returncode is not None
    assert list(folders.iterdir()) == []


def test_a_child_whose_parent_is_gone_ends_and_clears_its_folder(tmp_path: Path) -> None:
    """Its input ends with the parent; what it would read next never comes."""
    folder = tmp_path / "job"
    folder.mkdir()
    os.mkfifo(folder / "job.json")
    child = subprocess.Popen([sys.executable, "-m", "twin.proof.child", str(folder / "job.json"),
                              str(folder / "out.json")], stdin=subprocess.PIPE)
    assert child.stdin
    child.stdin.close()
    assert child.wait(60) == 1
    assert not folder.exists()


def test_a_child_opens_no_connection() -> None:
    script = ("import pathlib, socket, twin.proof.child as child; child._alone(pathlib.Path('nowhere'))\n"
              "try: socket.create_connection(('127.0.0.1', 9), 1)\n"
              "except OSError as error: print(error)")
    with subprocess.Popen([sys.executable, "-c", script], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                          text=True) as child:
        assert child.stdout
        assert "connects to nothing" in child.stdout.read()


def test_an_error_of_the_child_arrives_as_what_it_is(tmp_path: Path) -> None:
    asked = proposal(a_map(), operations.parse({"op": "edit_prompt_section", "role": "baker", "language": "en",
                                                "section": "format", "text": "Short."}))
    with pytest.raises(errors.ModelMissing, match="no model file"):
        tried(asked, a_map(), core=Core(tmp_path / "none.gguf"))


def test_bits_are_proven_by_a_core_in_the_child_twice_the_same(tmp_path: Path) -> None:
    """A tiny random core foresees nothing: what matters is that it is asked, controlled, and steady."""
    core = Core(tiny.core(tmp_path / "core.gguf", "qwen2", n_ctx_train=4096), family="chatml", n_ctx=4096, threads=1)
    asked = proposal(a_map(), operations.parse({"op": "edit_prompt_section", "role": "baker", "language": "en",
                                                "section": "format", "text": "warm crisp golden slow"}))
    said = replace(split(evidence(answers(0, 60, each=1))), train=evidence(), select=evidence())  # nothing is screened
    one, other = (tried(asked, a_map(), split=said, core=core, constitution="Brief.") for _ in range(2))

    assert one.gain and one.gain.metric == "bits" and one.cost["scorer tokens"] > 0
    assert one.scorer["core"].startswith("core@") and one.scorer["threads"] == "1"
    assert (one.gain, one.controls, one.samples, one.verdict) == (other.gain, other.controls, other.samples,
                                                                  other.verdict)


def test_a_core_is_known_by_the_file_an_engine_runs() -> None:
    assert Core.of(ScriptedEngine([])) is None and Core.of(None) is None


def test_proofs_beside_each_other_do_not_meet() -> None:
    found: list[Proof] = []
    threads = [threading.Thread(target=lambda: found.append(tried(proposal(), WRONG))) for _ in range(2)]
    began = time.monotonic()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert [one.verdict for one in found] == ["accepted"] * 2, time.monotonic() - began
