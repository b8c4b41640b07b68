"""The command line of proposals: what is listed, shown, proven, approved, tried, taken back, and audited."""
from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from tests import generated
from tests.test_evolution import idle
from tests.test_evolution import search as searched
from tests.test_reflection_faults import consent_of, operation, proven
from twin import cli_reflect, operations, roles
from twin.chat import Twin
from twin.cli import main
from twin.engine.scripted import ScriptedEngine
from twin.errors import ModelError
from twin.genome import Ended
from twin.home import Home
from twin.lineage import Lineage
from twin.proposals import Proposal

RULE = operations.parse({"op": "add_prompt_rule", "role": "critic", "language": "en", "section": "do",
                         "text": "Name two risks."})


@pytest.fixture
def home(tmp_path: Path) -> Path:
    consent_of(tmp_path / "home").book.ensure()
    return tmp_path / "home"


def made(home: Path, verdict: str, op: operations.Operation = RULE) -> Proposal:
    return proven(consent_of(home), op, verdict)


def run(*words: str, home: Path) -> Result:
    return CliRunner().invoke(main, [*words, "--home", str(home)])


def document(*words: str, home: Path, status: int = 0) -> Any:
    done = run(*words, "--json", home=home)
    assert done.exit_code == status, done.output
    return json.loads(done.stdout)


def test_an_empty_home_has_nothing_and_says_what_to_do(tmp_path: Path) -> None:
    done = run("proposals", "list", home=tmp_path)
    assert done.exit_code == 0
    assert "twin reflect" in done.stderr
    assert document("proposals", "list", home=tmp_path) == {"proposals": [], "trial": None, "alarms": []}
    assert document("audit", "verify", home=tmp_path)["ok"]
    assert run("reflect", "--due", home=tmp_path).exit_code == 1
    assert document("reflect", "--due", home=tmp_path, status=1)["due"] is False
    found = document("reflect", home=tmp_path)
    assert (found["proposals"], found["stopped"]) == ([], False)


def test_a_proposal_is_listed_in_one_sentence_and_shown_whole_in_both_languages(home: Path) -> None:
    proposal = made(home, "accepted")
    listed = run("proposals", "list", home=home).stdout
    assert f"{proposal.id}  proven" in listed
    assert "доказано" in run("proposals", "list", "--language", "ru", home=home).stdout
    shown = run("proposals", "show", proposal.id[:10], home=home).stdout
    assert "{+Name two risks.+}" in shown
    assert "Что изменится" in run("proposals", "show", proposal.id, "--language", "ru", home=home).stdout
    found = document("proposals", "show", proposal.id, home=home)
    assert found["proof"]["verdict"] == "accepted"
    assert (found["hash"], found["base"], found["risk"]) == (proposal.hash, proposal.base, "low")
    assert set(found["text"]) == {"en", "ru"}
    assert document("proposals", "list", "--all", home=home)["proposals"][0]["says"]["ru"] == proposal.say("ru")


def test_approve_and_rollback_say_what_changed_and_bring_the_bytes_back(home: Path) -> None:
    before = roles.on_disk(home / "roles")
    proposal = made(home, "accepted")
    done = run("proposals", "approve", proposal.id, home=home)
    assert done.exit_code == 0
    assert "critic: do (en): reworded" in done.stdout
    assert "twin proposals rollback" in done.stderr
    back = document("proposals", "rollback", home=home)
    assert "reworded" in back["changes"][0]
    assert roles.on_disk(home / "roles") == before
    assert run("audit", "verify", home=home).stdout.startswith("The audit is whole")


def test_what_is_not_proven_is_refused_with_the_command_that_goes_on(home: Path) -> None:
    proposal = made(home, "unproven")
    refused = run("proposals", "approve", proposal.id, home=home)
    assert refused.exit_code == 2
    assert f"twin proposals try {proposal.id}" in refused.stderr
    tried = document("proposals", "try", proposal.id, "--turns", "9", home=home)
    assert (tried["trial"]["proposal"], tried["trial"]["turns"]) == (proposal.id, 9)
    assert "on trial until" in run("proposals", "list", home=home).stderr
    assert "на пробе" in run("proposals", "show", proposal.id, "--language", "ru", home=home).stdout
    assert document("proposals", "rollback", home=home)["trial"] is None


def test_high_risk_and_stale_ones_say_what_they_need(home: Path) -> None:
    merge = made(home, "accepted", operation("one file less"))
    assert "--high-risk" in run("proposals", "approve", merge.id, home=home).stderr
    first = made(home, "accepted")
    assert run("proposals", "approve", first.id, home=home).exit_code == 0
    stale = run("proposals", "approve", merge.id, "--high-risk", home=home)
    assert stale.exit_code == 2
    assert f"twin proposals prove {merge.id}" in stale.stderr


def test_a_proof_that_does_not_speak_for_it_ends_with_status_one(home: Path) -> None:
    proposal = made(home, "rejected", operation("two files"))
    done = document("proposals", "prove", proposal.id, home=home, status=1)
    assert (done["state"], done["proof"]["verdict"]) == ("unproven", "unproven")


def test_reject_is_noted_with_its_reason(home: Path) -> None:
    proposal = made(home, "accepted")
    assert run("proposals", "reject", proposal.id, "--note", "not me", home=home).exit_code == 0
    stored = consent_of(home).archive.proposal(proposal.id)
    assert (stored.state, stored.note) == ("declined", "not me")
    assert run("proposals", "reject", proposal.id, home=home).exit_code == 2
    assert run("proposals", "reject", "all", home=home).exit_code == 2  # one at a time, there is no bulk


def test_a_changed_audit_is_found_with_status_one(home: Path) -> None:
    made(home, "accepted")
    with closing(sqlite3.connect(home / "archive.sqlite")) as db, db:
        for (name,) in db.execute("SELECT name FROM sqlite_master WHERE type = 'trigger'").fetchall():
            db.execute(f"DROP TRIGGER {name}")
        db.execute("UPDATE audit SET body = replace(body, 'accepted', 'rejected')")
    done = run("audit", "verify", "--language", "ru", home=home)
    assert done.exit_code == 1
    assert "журнала" in done.stdout


def test_evolve_and_whatif_say_what_they_lack(home: Path) -> None:
    evolve = run("evolve", "--budget", "1000", home=home)
    assert evolve.exit_code == 2
    assert "labelled" in evolve.stderr
    assert run("whatif", "make it better", home=home).exit_code == 2
    found = document("whatif", '{"op": "retire_role", "role": "scribe"}', home=home)
    assert set(found["text"]) == {"en", "ru"}
    assert "scribe" in consent_of(home).book.current().ids


# ---- what is stopped, and what cannot be done at the end -------------------------------------------------------------

def stopped(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ctrl-C was pressed as soon as it could be."""
    @contextmanager
    def pressed() -> Iterator[Callable[[], bool]]:
        yield lambda: True

    monkeypatch.setattr(cli_reflect, "stoppable", pressed)


def lineage(ended: Ended, **parts: Any) -> Lineage:
    return Lineage(replace(searched(1200, **parts), ended=ended))


@pytest.mark.parametrize(("ended", "status", "english", "russian"), [
    ("cancelled", 130, "it was stopped; the same command goes on", "поиск остановлен; та же команда продолжит"),
    ("budget", 0, "the budget is used up", "бюджет израсходован"),
    ("no better", 0, "0 maps in a row were no better", "карт подряд, которые не лучше лучшей: 0")])
def test_evolve_says_how_it_ended_and_why_nothing_is_proposed(
        home: Path, monkeypatch: pytest.MonkeyPatch, ended: Ended, status: int, english: str, russian: str) -> None:
    monkeypatch.setattr(Twin, "evolve", lambda *_, **__: (lineage(ended, moves=idle), None))
    done = run("evolve", home=home)
    assert done.exit_code == status
    assert english in done.stdout and "no map that was tried is better" in done.stderr
    spoken = run("evolve", "--language", "ru", home=home)
    assert russian in spoken.stdout and "ни одна испробованная карта не лучше" in spoken.stderr
    found = document("evolve", home=home, status=status)
    assert found["ended"] == ended and set(found["nothing"]) == {"en", "ru"}


def test_a_picture_of_the_wrong_kind_is_refused_before_the_search(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Twin, "evolve", lambda *_, **__: pytest.fail("searched"))
    done = run("evolve", "--picture", str(home / "tree.jpg"), home=home)
    assert done.exit_code == 2
    assert "tree.jpg is no picture" in done.stderr


def test_a_search_that_is_stopped_is_kept_and_ends_with_status_130(tmp_path: Path,
                                                                   monkeypatch: pytest.MonkeyPatch) -> None:
    place = Home(tmp_path / "lived")
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(generated, "CORRECTS", 1.0)
        generated.build(place, conversations=15)
    stopped(monkeypatch)
    found = document("evolve", home=place.root, status=130)
    assert (found["ended"], len(found["lines"]), found["proposal"]) == ("cancelled", 1, None)


def test_a_stopped_what_if_ends_with_status_130(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    stopped(monkeypatch)
    monkeypatch.setattr(Twin, "engine", ScriptedEngine(lambda _: "yes"))
    done = run("whatif", "2 roles", home=home)
    assert done.exit_code == 130
    assert "Not measured:\n- All of it: The measurement was stopped." in done.stdout
    assert "Stopped" in done.stderr
    assert document("whatif", "2 roles", home=home, status=130)["stopped"] is True


def test_a_stopped_reflection_or_proof_says_so_and_ends_with_status_130(
        home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    proposal = made(home, "accepted")
    stopped(monkeypatch)
    done = run("reflect", "--prove", home=home)
    assert done.exit_code == 130
    assert "Stopped; what was found by then is kept." in done.stderr
    assert proposal.id in done.stdout
    assert document("reflect", home=home, status=130)["stopped"] is True
    proof = run("proposals", "prove", proposal.id, home=home)
    assert proof.exit_code == 130
    assert "The proof was stopped." in proof.stderr


def test_what_one_proof_lacks_keeps_no_proposal_back(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: Any, **__: Any) -> None:
        raise ModelError("The process of the proof ended without a word (SIGKILL).", "Prove again.")

    with Twin.open(home) as twin:
        proposal = twin.propose(operation("two files")).proposal
    monkeypatch.setattr(Twin, "prove", broken)
    done = run("reflect", "--prove", home=home)
    assert done.exit_code == ModelError("", "").exit_status
    assert proposal.id in done.stdout and "SIGKILL" in done.stderr


def test_a_core_that_is_not_there_is_said_before_anything_is_looked_for(
        home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Twin, "reflect", lambda *_, **__: pytest.fail("looked"))
    done = run("reflect", "--core", "--model", str(home / "none.gguf"), home=home)
    assert done.exit_code not in (0, 1)
    assert "none.gguf" in done.stderr
