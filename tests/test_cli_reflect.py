"""The command line of proposals: what is listed, shown, proven, approved, tried, taken back, and audited."""
from __future__ import annotations

import json
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from tests.test_reflection_faults import consent_of, operation, proven
from twin import operations, roles
from twin.cli import main
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
    assert document("reflect", home=tmp_path)["proposals"] == []


def test_a_proposal_is_listed_in_one_sentence_and_shown_whole_in_both_languages(home: Path) -> None:
    proposal = made(home, "accepted")
    listed = run("proposals", "list", home=home).stdout
    assert f"{proposal.id}  proven" in listed
    assert "доказано" in run("proposals", "list", "--language", "ru", home=home).stdout
    shown = run("proposals", "show", proposal.id[:6], home=home).stdout
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
