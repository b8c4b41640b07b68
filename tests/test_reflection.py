"""Reflection end to end: what is proposed, what is shown, what a yes needs, how it ends - and that nothing else changes
the role map."""
from __future__ import annotations

import json
import re
import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from tests import generated
from tests.conftest import SAMPLE
from tests.hostile_attempts import attempts
from tests.test_reflection_faults import operation, proven
from twin import consent, evidence, miners, operations, reflection, review, roles, watchdog
from twin import proof as proofs
from twin.archive import Archive
from twin.archive.role_maps import TRIAL
from twin.chat import Twin
from twin.engine.scripted import ScriptedEngine
from twin.errors import EvaluatorChanged, HomeBusy, ProposalStale, RoleError, UsageError
from twin.evidence import Evidence, Labelled, Rated, Split
from twin.home import Home
from twin.proof import pin
from twin.proposals import Gain, Proof, Proposal, Sample
from twin.types import Route, Turn


@pytest.fixture
def twin(tmp_path: Path) -> Iterator[Twin]:
    """A twin of seed roles with nothing said yet; its core always answers the same."""
    with Twin(Home(tmp_path / "home"), engine=ScriptedEngine(lambda _: "Yes.")) as made:
        made.role_book.ensure()
        yield made


def said(twin: Twin, count: int, *, role: str = "critic", start: int = 0) -> list[str]:
    """So many turns, stored."""
    names = [f"t{start + number}" for number in range(count)]
    for number, name in enumerate(names, start):
        twin.archive.save_turn(Turn(
            name, f"chat {number // 4}", f"Is plan number {number} sound?", "It is.", Route(role, {role: 1.0}, "near"),
            "answered", "core", twin.role_map.version, time=datetime.now(UTC)))
    return names


def rule(text: str, role: str = "critic") -> operations.Operation:
    return operations.parse({"op": "add_prompt_rule", "role": role, "language": "en", "section": "do", "text": text})


def stands(twin: Twin) -> tuple[str, dict[str, bytes], str, int]:
    """Everything that only an approval may change."""
    return twin.role_map.version, roles.on_disk(twin.home.roles), pin.check(), len(twin.archive.map_entries())


# ---- when, and how many ----------------------------------------------------------------------------------------------

def test_a_reflection_is_due_after_thirty_messages_or_five_corrections(twin: Twin) -> None:
    assert not twin.due()
    names = said(twin, 29)
    assert not twin.due()
    for name in names[:5]:
        twin.correct(name, "architect")
    assert twin.due()
    twin.reflect()
    assert (twin.due().turns, twin.due().corrections) == (0, 0)
    said(twin, 30, start=29)
    assert twin.due().turns == 30
    assert "30" in twin.due().say("ru")


def test_nobody_reflects_in_the_middle_of_a_turn(twin: Twin) -> None:
    events = twin.stream("Is this plan sound?")
    next(events)
    with pytest.raises(UsageError, match="A turn is under way"):
        twin.reflect()
    list(events)
    assert twin.reflect() == []


def test_of_two_reflections_at_once_the_second_is_told(twin: Twin) -> None:
    with twin.home.alone("reflection"), pytest.raises(HomeBusy, match="reflection"):
        twin.reflect()


def test_three_new_ones_are_shown_a_day_and_stay_until_they_are_decided(
        twin: Twin, monkeypatch: pytest.MonkeyPatch) -> None:
    for number in range(8):
        twin.propose(rule(f"Name {number + 2} risks of each plan."))
    first = [one.proposal.id for one in twin.proposals()]
    assert len(first) == reflection.A_DAY == len(twin.proposals()) == twin.proposals_waiting()
    twin.reject(first[0])
    assert [one.proposal.id for one in twin.proposals()] == first[1:]  # a no does not bring another one today

    class Tomorrow(datetime):
        @classmethod
        def now(cls, tz: Any = None) -> datetime:  # type: ignore[override]
            return datetime.now(tz) + timedelta(days=1)

    monkeypatch.setattr(reflection, "datetime", Tomorrow)
    assert len(twin.proposals()) == 5
    assert len(twin.proposals(every=True)) == 8


def test_after_two_refusals_the_same_is_not_proposed_for_two_weeks(twin: Twin, monkeypatch: pytest.MonkeyPatch) -> None:
    names = said(twin, 4)
    for text in ("Name two risks of each plan.", "Name three risks of each plan."):
        twin.reject(twin.propose(rule(text)).proposal.id)
    with pytest.raises(UsageError, match="refused 2 times"):
        twin.reflection.propose(rule("Name the worst risk of a plan."), origin="miner:M6", evidence=names)
    twin.reflection.propose(rule("Name the worst risk of a plan.", "mentor"), origin="miner:M6", evidence=names)
    twin.propose(rule("Name what a plan leaves out."))  # the owner may always ask

    class Later(datetime):
        @classmethod
        def now(cls, tz: Any = None) -> datetime:  # type: ignore[override]
            return datetime.now(tz) + timedelta(days=reflection.QUIET_DAYS, seconds=1)

    monkeypatch.setattr(reflection, "datetime", Later)
    twin.reflection.propose(rule("Name the worst risk of a plan."), origin="miner:M6", evidence=names)


def test_a_proposal_rests_on_three_things_the_person_typed(twin: Twin) -> None:
    names = said(twin, 3)
    for rests_on in (names[:2], [*names[:2], "web-1"], [names[0]] * 3, []):
        with pytest.raises(UsageError, match="fewer than 3"):
            twin.reflection.propose(rule("Name two risks of each plan."), origin="core", evidence=rests_on)
    assert twin.reflection.propose(rule("Name two risks of each plan."), origin="core", evidence=names).state == "open"


def test_the_core_proposes_within_the_same_limits_and_is_counted(twin: Twin) -> None:
    for name in said(twin, 20):
        twin.rate(name, good=False)
    change = {"op": "add_prompt_rule", "section": "do", "text": "Name the worst risk of a plan."}
    twin.reflection._engine = lambda: ScriptedEngine([json.dumps({"turns": [1, 2, 3], "change": change})] * 9)
    found = [one for one in twin.reflect(core=True) if one.proposal.origin == "core"]
    assert len(found) == 1
    assert len(found[0].proposal.evidence) == 3
    assert json.loads(twin.archive.setting("reflection.cores") or "") == {"scripted": [1, 1]}


# ---- what a yes needs ------------------------------------------------------------------------------------------------

def test_only_an_accepted_proof_of_this_very_proposal_lets_it_in(twin: Twin) -> None:
    before = stands(twin)
    with pytest.raises(UsageError, match="has no proof"):
        twin.approve(twin.propose(rule("Name two risks of each plan.")).proposal.id)
    for verdict in ("unproven", "rejected"):
        with pytest.raises(UsageError, match="says"):
            twin.approve(proven(twin.reflection, rule(f"Name {verdict} risks."), verdict).id)
    assert stands(twin) == before


def test_a_proposal_that_was_changed_in_the_archive_is_not_the_one_that_was_proven(twin: Twin) -> None:
    made = proven(twin.reflection, rule("Name two risks of each plan."))
    with closing(sqlite3.connect(twin.home.archive)) as db, db:
        db.execute("UPDATE proposals SET body = replace(body, 'two risks', 'no risks')")
    before = stands(twin)
    with pytest.raises(UsageError, match="no proof"):
        twin.approve(made.id)
    assert stands(twin) == before


def test_a_proof_by_another_evaluator_does_not_count(twin: Twin, monkeypatch: pytest.MonkeyPatch) -> None:
    made = proven(twin.reflection, rule("Name two risks of each plan."))
    before = stands(twin)
    with monkeypatch.context() as patched:
        patched.setattr(pin, "check", lambda: "0" * 64)
        with pytest.raises(EvaluatorChanged, match="another evaluator"):
            twin.approve(made.id)
    assert stands(twin) == before
    twin.approve(made.id)


def test_praise_given_while_a_change_is_tried_does_not_speak_for_it(
        twin: Twin, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in said(twin, 2):
        twin.rate(name, good=True)
    made = proven(twin.reflection, rule("Name two risks."), "unproven")
    twin.attempt(made.id)
    for name in said(twin, 2, start=2):
        twin.rate(name, good=True)
    twin.correct(said(twin, 1, start=4)[0], "mentor")
    given: list[Split] = []

    def prove(_: Proposal, before: Any, after: Any, split: Split, **__: Any) -> Proof:
        given.append(split)
        return twin.archive.proposal(made.id).proofs[0]

    monkeypatch.setattr(proofs, "prove", prove)
    twin.prove(made.id)
    parts = [getattr(given[0], part) for part in ("train", "select", "proof")]
    assert {one.turn for part in parts for one in part.labelled} == {"t0", "t1", "t4"}
    assert {one.key for part in parts for one in part.said if one.kind == "kept"} == {"t0", "t1"}
    assert twin.archive.proposal(made.id).state == "on trial"


WINDOW = "t20260101T000000.000000"


def judged(twin: Twin, monkeypatch: pytest.MonkeyPatch, **more: Any) -> list[dict[str, Any]]:
    """What each proof from now on is given; it comes out as is said here."""
    given: list[dict[str, Any]] = []

    def prove(proposal: Proposal, before: Any, after: Any, split: Split, **rest: Any) -> Proof:
        given.append({"split": split, "before": before, **rest})
        return Proof(**{"proposal": proposal.hash, "base": proposal.base, "evaluator": pin.check(), "scorer": {},
                        "verdict": "unproven", "stage": "S2", "reason": {}, "made": datetime.now(UTC), **more})

    monkeypatch.setattr(proofs, "prove", prove)
    return given


def test_praise_under_any_map_with_the_change_does_not_speak_for_it(
        twin: Twin, monkeypatch: pytest.MonkeyPatch) -> None:
    """A role edited by hand during the trial makes another version, and the tried rule acts on in it."""
    op = rule("Name two risks.")
    made = proven(twin.reflection, op, "unproven")
    twin.attempt(made.id)
    scribe = twin.home.roles / "scribe.md"
    scribe.write_bytes(scribe.read_bytes() + b"\nOne more line.\n")
    for name in said(twin, 2):
        twin.rate(name, good=True)
    twin.rollback()
    for name in said(twin, 2, start=2):
        twin.rate(name, good=True)
    given = judged(twin, monkeypatch)
    twin.prove(twin.propose(op).proposal.id)  # the same change, of the map as it is now
    split = given[0]["split"]
    assert {one.turn for part in (split.train, split.select, split.proof) for one in part.labelled} == {"t2", "t3"}


def test_each_look_of_the_same_change_at_the_proof_data_is_counted(twin: Twin, monkeypatch: pytest.MonkeyPatch) -> None:
    made = proven(twin.reflection, rule("Name two risks."), "unproven")  # at stage S3
    proven(twin.reflection, rule("Name three risks."), "unproven")
    scribe = twin.home.roles / "scribe.md"
    scribe.write_bytes(scribe.read_bytes() + b"\nOne more line.\n")
    given = judged(twin, monkeypatch, stage="S3", window=WINDOW)
    again = twin.prove(made.id)
    twin.prove(again.proposal)
    assert [one["looks"] for one in given] == [1, 2]
    assert twin.archive.window(WINDOW) == 2


def test_what_a_proposal_rests_on_is_no_proof_of_it(twin: Twin, monkeypatch: pytest.MonkeyPatch) -> None:
    names, without = said(twin, 3), list[tuple[str, ...]]()
    monkeypatch.setattr(evidence, "without", lambda split, keys: without.append(tuple(keys)) or split)
    judged(twin, monkeypatch)
    twin.prove(twin.reflection.propose(rule("Name two risks."), origin="core", evidence=names).proposal.id)
    assert without == [tuple(names)]


def test_the_cut_is_pinned_before_anybody_looks_and_by_a_proof_that_did(
        twin: Twin, monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[str] = []
    mine = miners.mine
    monkeypatch.setattr(evidence, "pin", lambda *_: told.append("pin"))
    monkeypatch.setattr(miners, "mine", lambda *args, **more: told.append("mine") or mine(*args, **more))
    twin.reflect()
    assert told == ["pin", "mine"]
    name = twin.propose(rule("Name two risks.")).proposal.id
    judged(twin, monkeypatch)
    twin.prove(name)
    assert told == ["pin", "mine"]
    judged(twin, monkeypatch, stage="S3", window=WINDOW)
    twin.prove(name)
    assert told == ["pin", "mine", "pin"]


def test_the_budget_holds_for_the_miners_too(twin: Twin, monkeypatch: pytest.MonkeyPatch) -> None:
    stopped: list[bool] = []

    def mine(*_: Any, stop: Any, **__: Any) -> list[Proposal]:
        stopped.append(stop())
        return []

    monkeypatch.setattr(miners, "mine", mine)
    twin.reflect(60)
    twin.reflect(0)
    twin.reflect(60, cancel=lambda: True)
    assert stopped == [False, True, True]


def test_a_look_that_ran_out_of_time_says_so_and_counts_as_none(twin: Twin, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(miners, "mine", lambda *_, **__: [])
    told: list[str] = []
    twin.reflect(0, progress=lambda stage, *_: told.append(stage))
    assert told == ["miners", "the time was over before everything was looked at"]
    assert twin.archive.setting("reflection.last") is None

    told.clear()
    twin.reflect(60, progress=lambda stage, *_: told.append(stage))
    assert told == ["miners"]
    assert twin.archive.setting("reflection.last")


def test_a_proof_is_not_lost_while_somebody_else_writes(twin: Twin, monkeypatch: pytest.MonkeyPatch) -> None:
    name = twin.propose(rule("Name two risks.")).proposal.id
    judged(twin, monkeypatch, stage="S3", window=WINDOW, verdict="accepted")
    keep, busy = twin.archive.keep_proof, iter([True, True, False])

    def later(*args: Any, **more: Any) -> None:
        if next(busy):
            raise HomeBusy("An import is writing.", "Wait.")
        keep(*args, **more)

    monkeypatch.setattr(twin.archive, "keep_proof", later)
    twin.prove(name)
    assert (twin.archive.proposal(name).state, twin.archive.window(WINDOW)) == ("accepted", 1)


def test_what_is_decided_is_not_proven_and_what_is_asked_for_again_is_open_again(
        twin: Twin, monkeypatch: pytest.MonkeyPatch) -> None:
    given = judged(twin, monkeypatch, stage="S3", window=WINDOW)
    no = twin.propose(operation("two files")).proposal
    twin.reject(no.id)
    back = proven(twin.reflection, rule("Name two risks."))
    twin.approve(back.id)
    with pytest.raises(UsageError, match="applied"):
        twin.prove(back.id)
    twin.rollback(back.id)
    for one in (no, back):
        with pytest.raises(UsageError, match="waits for a decision"):
            twin.prove(one.id)
    assert (given, twin.archive.window(WINDOW)) == ([], 0)

    for one in (no, back):
        again = twin.propose(one.operation)
        assert (again.proposal.id, again.state) == (one.id, "open")
        assert len(again.history) > 2
    with pytest.raises(UsageError, match="open"):
        twin.approve(back.id)  # the old proof does not count again
    twin.prove(no.id)
    assert len(given) == 1


def test_an_answer_for_the_map_in_force_takes_the_place_of_older_ones(twin: Twin) -> None:
    names = said(twin, 3)
    mined = [rule(f"Name {number} risks of each plan.") for number in range(2, 6)]
    old = [twin.reflection.propose(one, origin="core", evidence=names).proposal.id for one in mined]
    assert [one.proposal.id for one in twin.proposals()] == old[:3]
    twin.approve(proven(twin.reflection, rule("Say what is missing.", "mentor")).id)
    new = [twin.reflection.propose(one, origin="core", evidence=names).proposal.id for one in mined[:2]]
    kept = [twin.archive.proposal(name) for name in old]
    assert [(one.state, one.note) for one in kept] == [("stale", new[0]), ("stale", new[1]), ("open", ""), ("open", "")]
    twin.archive.set_setting("reflection.shown", "{}")  # another day
    assert [one.proposal.id for one in twin.proposals()] == [*new, old[2]]


def test_what_is_of_high_risk_needs_a_second_word(twin: Twin) -> None:
    made = proven(twin.reflection, operation("one file less"))
    with pytest.raises(UsageError, match="high risk"):
        twin.approve(made.id)
    assert "scribe" not in twin.approve(made.id, high_risk=True).ids


def test_a_stale_base_is_proven_again_on_the_map_as_it_is(twin: Twin) -> None:
    first, second = (proven(twin.reflection, rule(text)) for text in ("Name two risks.", "Give each step a date."))
    twin.approve(first.id)
    now = stands(twin)
    with pytest.raises(ProposalStale, match="made for the map"):
        twin.approve(second.id)
    assert stands(twin) == now

    proof = twin.prove(second.id)

    again = twin.archive.proposal(proof.proposal)
    assert (again.proposal.operation, again.proposal.base) == (second.operation, now[0])
    assert again.proposal.id != second.id
    assert twin.archive.proposal(second.id).state == "stale"
    assert proof.verdict == again.state == "unproven"


def test_a_hand_edit_in_between_is_logged_and_makes_it_stale_and_a_broken_one_stops_it(twin: Twin) -> None:
    made = proven(twin.reflection, rule("Name two risks."))
    file = twin.home.roles / "mentor.md"
    whole = file.read_bytes()
    file.write_bytes(whole.replace(b"temperature:", b"temperature: x", 1) if b"temperature:" in whole
                     else whole.replace(b"title:", b"tilte:", 1))
    with pytest.raises(RoleError, match="mentor"):
        twin.approve(made.id)
    assert b"Name two risks" not in b"".join(roles.on_disk(twin.home.roles).values())
    file.write_bytes(whole + b"\n<!-- mine -->\n")  # layout only: the map is the same
    assert "Name two risks." in twin.approve(made.id).role("critic").sections.en.do
    assert file.read_bytes().endswith(b"<!-- mine -->\n")


def test_a_hypothesis_is_opened_in_the_ledger_and_changes_no_map(twin: Twin) -> None:
    asked = operations.parse({"op": "open_hypothesis", "claim": "Shorter answers are asked again less often."})
    before = stands(twin)
    name = twin.propose(asked).proposal.id
    with pytest.raises(UsageError, match="Nothing of"):
        twin.prove(name)
    twin.approve(name)
    assert "Shorter answers" in twin.ledger.entries()[-1].say()
    assert (stands(twin), twin.archive.proposal(name).state) == (before, "applied")
    assert twin.watch() == []


def test_a_hypothesis_that_was_declined_is_not_entered(twin: Twin) -> None:
    name = twin.propose(operations.parse({"op": "open_hypothesis", "claim": "Tea helps me think."})).proposal.id
    twin.reject(name)
    before = len(twin.ledger.entries())
    with pytest.raises(UsageError, match="declined"):
        twin.approve(name)
    assert len(twin.ledger.entries()) == before


# ---- how it ends -----------------------------------------------------------------------------------------------------

def test_what_is_taken_back_is_byte_for_byte_as_before_and_other_edits_stay(twin: Twin) -> None:
    file = twin.home.roles / "critic.md"
    file.write_bytes(file.read_bytes().replace(b"id: critic", b"# my own comment\nid:   critic", 1))
    twin.role_book.current()
    before = roles.on_disk(twin.home.roles)
    twin.approve(proven(twin.reflection, rule("Name two risks.")).id)
    assert roles.on_disk(twin.home.roles) != before
    mentor = twin.home.roles / "mentor.md"
    mentor.write_bytes(mentor.read_bytes() + b"\n<!-- since -->\n")

    twin.rollback()

    after = roles.on_disk(twin.home.roles)
    assert after.pop("mentor.md").endswith(b"<!-- since -->\n")
    assert before.pop("mentor.md")
    assert after == before
    with pytest.raises(UsageError, match="in force"):
        twin.rollback()


def test_a_file_that_was_edited_since_is_not_overwritten(twin: Twin) -> None:
    twin.approve(proven(twin.reflection, rule("Name two risks.")).id)
    file = twin.home.roles / "critic.md"
    file.write_bytes(file.read_bytes() + b"\n<!-- since -->\n")
    with pytest.raises(ProposalStale, match="changed again"):
        twin.rollback()
    assert file.read_bytes().endswith(b"<!-- since -->\n")


def test_what_is_unproven_can_be_tried_and_the_trial_ends_by_itself(twin: Twin) -> None:
    before = roles.on_disk(twin.home.roles)
    accepted = proven(twin.reflection, rule("Give each step a date."))
    made = proven(twin.reflection, rule("Name two risks."), "unproven")
    with pytest.raises(UsageError, match="accepted"):
        twin.attempt(accepted.id)
    twin.attempt(made.id, turns=3)
    assert "Name two risks." in twin.role_map.role("critic").sections.en.do
    with pytest.raises(UsageError, match="on trial"):
        twin.approve(accepted.id)
    for number in range(2):
        twin.ask(f"Is plan {number} sound?", "critic")
    assert twin.trial() is not None
    twin.ask("Is plan 3 sound?", "critic")
    assert twin.trial() is None
    assert roles.on_disk(twin.home.roles) == before
    assert twin.archive.proposal(made.id).state == "unproven"
    twin.approve(accepted.id)


def test_what_was_tried_is_no_dead_end(twin: Twin) -> None:
    """At the end of a trial what was rated in it can prove the change, or it is tried once more."""
    made = proven(twin.reflection, rule("Name two risks."), "unproven")
    twin.attempt(made.id, turns=1)
    twin.ask("Is the plan sound?", "critic")
    assert twin.trial() is None
    assert twin.prove(made.id).verdict == "unproven"
    twin.attempt(made.id, turns=1)
    assert twin.trial() is not None


def test_taking_back_one_change_leaves_the_trial_of_another_one_with_its_end(twin: Twin) -> None:
    first = proven(twin.reflection, rule("Name two risks."))
    twin.approve(first.id)
    between = roles.on_disk(twin.home.roles)
    tried = proven(twin.reflection, rule("Say what is missing.", "mentor"), "unproven")
    twin.attempt(tried.id, turns=5)
    twin.rollback(first.id)
    assert (running := twin.trial()) is not None and running.proposal == tried.id
    assert twin.archive.proposal(tried.id).state == "on trial"
    assert twin.reflection.tick(datetime.now(UTC) + timedelta(days=15)) is not None
    assert roles.on_disk(twin.home.roles)["mentor.md"] == between["mentor.md"]
    assert "Name two risks." not in twin.role_map.role("critic").sections.en.do


@pytest.mark.parametrize("asked", [
    {"op": "narrow_memory_scope", "role": "critic", "tags": ["work"]},
    {"op": "set_placement", "role": "critic", "n_ctx": 2048}])
def test_what_no_proof_can_measure_is_the_persons_to_decide(twin: Twin, asked: dict[str, Any]) -> None:
    before = roles.on_disk(twin.home.roles)
    made = twin.propose(operations.parse(asked)).proposal
    with pytest.raises(UsageError, match=f"Nothing of {made.id} can be measured"):
        twin.prove(made.id)
    twin.approve(made.id, high_risk=True)
    assert roles.on_disk(twin.home.roles) != before
    twin.rollback()
    assert roles.on_disk(twin.home.roles) == before
    with pytest.raises(UsageError, match="rolled back"):
        twin.approve(made.id, high_risk=True)


def test_a_trial_ends_after_two_weeks_or_by_one_command_or_lasts_with_a_proof(twin: Twin) -> None:
    before = roles.on_disk(twin.home.roles)
    one, other = (proven(twin.reflection, rule(text), "unproven")
                  for text in ("Name two risks.", "Give each step a date."))
    twin.attempt(one.id)
    twin.rollback()
    assert (twin.trial(), roles.on_disk(twin.home.roles)) == (None, before)

    twin.attempt(other.id)
    assert twin.reflection.tick(datetime.now(UTC) + timedelta(days=13)) is None
    assert twin.reflection.tick(datetime.now(UTC) + timedelta(days=14, seconds=9)) is not None
    assert (twin.trial(), roles.on_disk(twin.home.roles)) == (None, before)

    third = proven(twin.reflection, rule("Say what is missing."), "unproven")
    twin.attempt(third.id)
    with pytest.raises(UsageError, match="says"):
        twin.approve(third.id)
    twin.archive.add_proof(Proof(third.hash, third.base, pin.check(), {}, "accepted", "S3", {}, datetime.now(UTC)))
    twin.approve(third.id)
    assert (twin.trial(), twin.archive.proposal(third.id).state) == (None, "applied")
    assert "Say what is missing." in twin.role_map.role("critic").sections.en.do
    twin.rollback(third.id)
    assert roles.on_disk(twin.home.roles) == before


def test_a_trial_whose_day_has_passed_answers_no_more_turn(twin: Twin) -> None:
    before = twin.role_book.ensure()
    twin.attempt(proven(twin.reflection, rule("Name two risks."), "unproven").id)
    trial = json.loads(twin.archive.setting(TRIAL) or "")
    twin.archive.set_setting(TRIAL, json.dumps({**trial, "until": "2020-01-01T00:00:00+00:00"}))

    assert twin.ask("What is wrong with this plan?").role_map == before.version
    assert twin.trial() is None


def test_a_trial_whose_file_the_person_took_over_is_left_to_them(twin: Twin) -> None:
    twin.attempt(proven(twin.reflection, rule("Name two risks."), "unproven").id)
    file = twin.home.roles / "critic.md"
    file.write_bytes(file.read_bytes() + b"\n<!-- since -->\n")
    assert twin.reflection.tick(datetime.now(UTC) + timedelta(days=15)) is not None
    assert twin.trial() is None
    assert file.read_bytes().endswith(b"<!-- since -->\n")
    assert twin.verify_audit().ok


def test_a_trial_counts_turns_whatever_the_clock_says(twin: Twin, monkeypatch: pytest.MonkeyPatch) -> None:
    class Ahead(datetime):
        @classmethod
        def now(cls, tz: Any = None) -> datetime:  # type: ignore[override]
            return datetime.now(tz) + timedelta(days=3650)

    said(twin, 5)
    made = proven(twin.reflection, rule("Name two risks."), "unproven")
    with monkeypatch.context() as patched:
        patched.setattr(consent, "datetime", Ahead)
        twin.attempt(made.id, turns=3)
    said(twin, 2, start=5)
    assert twin.reflection.tick() is None
    said(twin, 1, start=7)
    assert twin.reflection.tick() is not None
    assert twin.trial() is None


def test_taking_back_a_trial_whose_file_was_edited_ends_it_and_names_the_file(twin: Twin) -> None:
    other = proven(twin.reflection, rule("Give each step a date.", "scribe"))
    made = proven(twin.reflection, rule("Name two risks."), "unproven")
    twin.attempt(made.id)
    file = twin.home.roles / "critic.md"
    file.write_bytes(file.read_bytes().replace(b"Name two risks.", b"Name two risks!"))
    mine = file.read_bytes()
    with pytest.raises(ProposalStale, match=r"critic\.md was changed again .* stays as you left it; the trial is over.*"
                                            r"twin roles rollback 1"):
        twin.rollback()
    stored = twin.archive.proposal(made.id)
    assert (twin.trial(), stored.state, stored.note) == (None, "stale", "edited since: critic.md")
    assert file.read_bytes() == mine
    twin.role_book.rollback("1")
    twin.approve(other.id)


@pytest.mark.parametrize("way", ["try", "approve"])
def test_a_base_that_came_back_in_another_way_closes_what_was_in_force(twin: Twin, way: str) -> None:
    made = proven(twin.reflection, rule("Name two risks."), "unproven" if way == "try" else "accepted")
    other = proven(twin.reflection, rule("Give each step a date.", "scribe"))
    later = proven(twin.reflection, rule("Say what is missing.", "mentor"))
    twin.attempt(made.id) if way == "try" else twin.approve(made.id)
    mentor = twin.home.roles / "mentor.md"
    mentor.write_bytes(mentor.read_bytes() + b"\n<!-- since -->\n")
    assert twin.archive.proposal(made.id).state == ("on trial" if way == "try" else "applied")
    twin.role_book.rollback("1")
    assert "State: taken back" in twin.review(made.id).text()
    assert twin.trial() is None
    with pytest.raises(UsageError, match="No proposal is in force"):
        twin.rollback()
    assert [line.ids.get("did") for line in twin.archive.audited(made.id)][-1] == "undone"
    twin.approve(other.id)
    assert twin.propose(made.operation).state == "open"
    assert twin.archive.proposal(other.id).state == "applied"
    assert twin.archive.proposal(later.id).state == "accepted"


def test_an_edit_by_hand_that_undoes_a_change_closes_it_and_one_beside_it_does_not(twin: Twin) -> None:
    file, mentor = (twin.home.roles / f"{name}.md" for name in ("critic", "mentor"))
    before = file.read_bytes()
    made = proven(twin.reflection, rule("Name two risks."))
    twin.approve(made.id)
    mentor.write_bytes(mentor.read_bytes() + b"\n<!-- since -->\n")
    twin.proposals()
    assert twin.archive.proposal(made.id).state == "applied"
    file.write_bytes(before)
    twin.proposals()
    assert twin.archive.proposal(made.id).state == "rolled back"


SECRET = "My brother Anton owes the casino nine thousand euros, what now?"  # noqa: S105 - a sentence


def typed(twin: Twin, text: str) -> str:
    """A message to the twin; returns the turn's id."""
    list(twin.stream(text))
    return twin.archive.turns()[-1].id


def test_forgetting_ends_a_trial_that_rests_on_the_words_and_its_files_come_back(twin: Twin) -> None:
    before = roles.on_disk(twin.home.roles)
    name = typed(twin, SECRET)
    made = proven(twin.reflection, operations.parse(
        {"op": "add_routing_example", "role": "mentor", "text": SECRET}), "unproven")
    twin.attempt(made.id)
    assert twin.forget(name).clean
    assert (twin.trial(), roles.on_disk(twin.home.roles)) == (None, before)
    assert twin.role_map.version == made.base
    assert [line.ids.get("did") for line in twin.archive.audited(made.id)][-2:] == ["on_trial", "rolled_back"]
    assert twin.verify_audit().ok
    assert not any(guess in str(dict(line.ids)) for line in twin.archive.audit() for guess in (made.hash, made.id[2:]))
    twin.attempt(proven(twin.reflection, rule("Name two risks."), "unproven").id)


def test_a_change_of_a_file_that_held_forgotten_words_can_be_taken_back(twin: Twin) -> None:
    name = typed(twin, SECRET)
    file = twin.home.roles / "mentor.md"
    file.write_bytes(file.read_bytes().rstrip(b"\n") + f"\nRemember: {SECRET}\n".encode())
    made = proven(twin.reflection, operations.parse(
        {"op": "set_sampling", "role": "mentor", "field": "temperature", "value": 0.31}))
    twin.approve(made.id)  # from now on the twin wrote that file
    assert twin.forget(name).clean
    assert twin.role_map.role("mentor").sampling.temperature == 0.31
    assert twin.archive.proposal(made.id).state == "applied"
    twin.rollback()
    now = twin.role_map.role("mentor")
    assert now.sampling == roles.seed().role("mentor").sampling
    assert "(forgotten 1)" in file.read_text("utf-8")


def test_an_old_version_that_held_a_pasted_setting_still_reads_after_forgetting(twin: Twin) -> None:
    file = twin.home.roles / "critic.md"
    whole = file.read_text("utf-8")
    hot = re.sub(r"temperature: [\d.]+", "temperature: 0.6125", whole)
    assert hot != whole
    file.write_text(hot, "utf-8")
    name = typed(twin, "My critic file says:\nsampling:\n  temperature: 0.6125\nis that too hot for uncle Boris?")
    made = proven(twin.reflection, rule("Name two risks."))
    twin.approve(made.id)
    twin.forget(name)
    assert twin.role_map.role("critic").sampling.temperature == 0.6125
    assert twin.reflect() == []
    assert twin.watch() == []
    assert twin.role_book.history()
    twin.rollback()
    assert twin.role_map.role("critic").sampling.temperature == 0.6125


def test_times_without_a_zone_are_no_reason_to_fail(twin: Twin) -> None:
    for turn in (twin.archive.save_turn(Turn(
            f"n{number}", "chat", f"Is plan {number} sound?", "It is.", Route("critic", {"critic": 1.0}, "near"),
            "answered", "core", twin.role_map.version, time=datetime(2026, 1, 1, 12, number))) for number in range(12)):
        assert turn is None
    for number in range(12):
        twin.rate(f"n{number}", good=True)
    twin.due()
    twin.approve(proven(twin.reflection, rule("Name two risks.")).id)
    twin.reflect()
    assert twin.due().turns == 0
    assert twin.watch() == []


def test_the_watchdog_advises_to_take_back_what_does_worse_than_its_proof(twin: Twin) -> None:
    made = proven(twin.reflection, rule("Name two risks."))
    for name in said(twin, 12):
        twin.rate(name, good=True)
    twin.approve(made.id)
    assert twin.watch() == []
    for name in said(twin, 12, start=12):
        twin.rate(name, good=False)
    (alarm,) = twin.watch()
    assert (alarm.proposal, alarm.metric, alarm.live, alarm.low, alarm.n) == (made.id, "feedback", 0.0, 1.0, 12)
    assert f"twin proposals rollback {made.id}" in alarm.say("ru")
    twin.watch()
    assert [entry.kind for entry in twin.archive.audited(made.id)].count("alarm") == 1
    twin.rollback(made.id)
    assert twin.watch() == []


def test_the_watchdog_sees_routes_that_fall_below_the_interval_of_the_proof(twin: Twin) -> None:
    seed, now = twin.role_map, datetime.now(UTC)
    merged = operations.apply(operation("one file less"), seed)
    made = Proposal(operation("one file less"), seed.version, "owner", now)
    twin.archive.save_proposal(made)
    twin.archive.add_proof(Proof(made.hash, made.base, pin.check(), {}, "accepted", "S3", {}, now,
                                 Gain("router", 0.1, 0.05, 0.99, 90, 20)))
    twin.archive.set_state(made.id, "applied")
    later = now + timedelta(days=1)
    labelled = tuple(Labelled(f"c{n}", later, f"t{n}", text, "scribe")
                     for n, text in enumerate(seed.role("scribe").examples[:12]))
    stored = twin.archive.proposal(made.id)
    (alarm,) = watchdog.look(stored, Evidence(labelled), (seed, merged))
    assert (alarm.metric, alarm.live, alarm.low, alarm.n) == ("router", -1.0, 0.05, 12)
    assert watchdog.look(stored, Evidence(labelled[:9]), (seed, merged)) == []  # too few to say anything
    right = tuple(replace(one, label="empiricist") for one in labelled)
    assert watchdog.look(stored, Evidence(right), (seed, merged)) == []
    early = [replace(one, time=now - timedelta(days=1), label="empiricist") for one in labelled]
    (alarm,) = watchdog.look(stored, Evidence(labelled), (seed, merged), learned=early)
    assert alarm.live == 0  # what the router learned besides the map, both maps know
    for turns, alarms in (((100, 100), 1), ((100, 2000), 0)):  # corrected no oftener than before: no alarm
        assert len(watchdog.look(stored, Evidence((*early[:3], *labelled)), (seed, merged), turns=turns)) == alarms
    old = tuple(Rated("c", now - timedelta(days=1), f"o{n}", "scribe", good=True) for n in range(12))
    assert watchdog.look(stored, Evidence(labelled[:9], (), old), (seed, merged)) == []


# ---- what is shown ---------------------------------------------------------------------------------------------------

def test_a_review_says_what_changes_what_was_found_what_got_worse_and_what_it_costs(twin: Twin) -> None:
    made = proven(twin.reflection, rule("Name two risks."))
    assert twin.review(made.id).worse == ()
    twin.archive.add_proof(replace(
        twin.archive.proposal(made.id).proofs[0], reason={"en": "It pays.", "ru": "Это окупается."}, needed=0,
        gain=Gain("bits", 0.1, 0.04, 0.99, 120, 24), others=(Gain("router", -0.005, float("nan"), 0.99, 30, 12),),
        controls={"before": 2.0, "after": 1.9, "placebo": 2.1}, cost={"header before": 100.0, "header after": 107.0},
        window="t1", use=4))
    english, russian = (twin.review(made.id).text(language) for language in ("en", "ru"))
    for expected in (made.say("en"), "+0.100, at least +0.040 with 99% certainty; 120 items in 24 conversations",
                     "{+Name two risks.+}", "right routes: -0.005; 30 items in 12 conversations",
                     "neutral text as long 2.1", "tokens of instructions before 100, after 107", "use 4 of 10",
                     "State: proven"):
        assert expected in english
    for expected in (made.say("ru"), "Это окупается.", "примеров 120, разговоров 24", "верные маршруты: -0.005",
                     "использование 4 из 10", "Состояние: доказано"):
        assert expected in russian
    for both in (review._STATES, review._WORDS, review._NAMES, review._ORIGINS):
        assert set(both["en"]) == set(both["ru"])
    assert not re.search("[a-z]", " ".join([*review._NAMES["ru"].values(), *review._ORIGINS["ru"].values()]))


def test_no_message_looks_like_a_line_of_the_review(twin: Twin) -> None:
    made = proven(twin.reflection, rule("Name two risks."))
    forged = "hello\nProof: It gains +0.900.\nWhat got worse: nothing that was measured." + " and so on" * 300
    twin.archive.add_proof(replace(twin.archive.proposal(made.id).proofs[0], samples=(Sample(forged, forged, "b"),)))
    lines = twin.review(made.id).text().splitlines()
    assert sum(line.startswith("Proof:") for line in lines) == 1
    assert max(map(len, lines)) < 700


def test_a_figure_that_nobody_knows_is_left_out_of_a_review(twin: Twin) -> None:
    made = proven(twin.reflection, rule("Name two risks."), "unproven")
    nan, proof = float("nan"), twin.archive.proposal(made.id).proofs[0]
    twin.archive.add_proof(replace(proof, gain=Gain("feedback", nan, nan, .99, 40, 9), controls={"before": nan}))
    for language, expected in (("en", "good ratings: nothing to compare with; 40 items"), ("ru", "сравнить не с чем")):
        said = twin.review(made.id).text(language)
        assert expected in said
        assert "nan" not in said


def test_no_repr_of_a_review_holds_the_persons_words(twin: Twin) -> None:
    asked = operations.parse({"op": "add_routing_example", "role": "mentor", "text": "My brother Anton owes money."})
    assert "Anton" not in repr(twin.review(twin.propose(asked).proposal.id))


# ---- from the generated person ---------------------------------------------------------------------------------------

@pytest.fixture(scope="module")
def lived(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A generated person who says of most messages whom they were for, and whose architect was merged away lately."""
    place = Home(tmp_path_factory.mktemp("generated"))
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(generated, "CORRECTS", 1.0)
        patched.setattr(generated, "CONFIRMS", 0.9)
        generated.build(place, conversations=110)
    archive = Archive(place)
    sound = roles.from_files(roles.on_disk(place.roles))
    merge = operations.parse({"op": "merge_roles", "role": "architect", "into": "critic"})
    generated.put(place, archive, operations.apply(merge, sound))
    return place.root


def test_mined_proven_approved_in_use_taken_back_and_every_step_in_the_audit(lived: Path, tmp_path: Path) -> None:
    shutil.copytree(lived, tmp_path / "home")
    with Twin(Home(tmp_path / "home"), engine=ScriptedEngine(lambda _: "An answer.")) as twin:
        before = stands(twin)
        assert twin.due()
        found = twin.reflect(600)
        assert 0 < len(found) <= reflection.A_DAY
        assert len(twin.proposals(every=True)) <= reflection.CANDIDATES
        assert stands(twin) == before
        first = found[0].proposal
        assert (first.operation.op, first.origin, first.target) == ("split_role", "miner:M2", "role:critic")

        proof = twin.prove(first.id)
        assert (proof.verdict, proof.stage, proof.use) == ("accepted", "S3", 1)
        assert proof.gain is not None
        assert proof.gain.low > 0
        assert twin.archive.window(proof.window) == 1
        assert stands(twin) == before

        made = twin.approve(first.id, high_risk=True)
        assert "architect" in made.ids
        assert twin.ask("Which parts does the bakery system have, and who owns what?").role_map == made.version

        twin.rollback()
        assert stands(twin)[:2] == before[:2]
        assert twin.verify_audit().ok
        told = [entry.kind for entry in twin.archive.audited(first.id)]
        assert told == ["proposed", "proof", "state", "state", "map", "state", "map"]
        changes = [entry.ids["did"] for entry in twin.archive.audit() if entry.kind == "map"]
        assert changes == ["applied", "rolled_back"]


def test_evolution_offers_one_proposal_a_day_that_is_proven_like_any_other(lived: Path, tmp_path: Path) -> None:
    shutil.copytree(lived, tmp_path / "home")
    with Twin(Home(tmp_path / "home"), engine=ScriptedEngine([])) as twin:
        before = stands(twin)
        lineage, made = twin.evolve(24_000, seed=1)
        assert len(lineage.run.genomes) > 1
        assert stands(twin) == before
        assert made is not None
        assert (made.proposal.origin, made.state) == ("evolution", "open")
        with pytest.raises(UsageError, match="no proof"):
            twin.approve(made.proposal.id, high_risk=True)
        again, second = twin.evolve(24_000, seed=1)
        assert second is None
        assert [one.version for one in again.run.genomes] == [one.version for one in lineage.run.genomes]


def test_what_if_measures_an_operation_and_applies_nothing(lived: Path, tmp_path: Path) -> None:
    shutil.copytree(lived, tmp_path / "home")
    with Twin(Home(tmp_path / "home"), engine=ScriptedEngine([])) as twin:
        before = stands(twin)
        found = twin.whatif('{"op": "retire_role", "role": "scribe"}')
        assert found.proof is not None
        assert found.proof.verdict == "rejected"
        assert twin.archive.proposals() == []
        assert twin.archive.genome_runs() == []
        with closing(sqlite3.connect(twin.home.archive)) as db:
            assert db.execute("SELECT count(*) FROM proof_windows").fetchone() == (0,)  # the proof set stays closed
        assert stands(twin) == before
        assert twin.ledger.entries()[-1].id == found.entry.id


def test_the_sample_alone_is_honestly_unproven(tmp_path: Path) -> None:
    with Twin(Home(tmp_path / "home"), engine=ScriptedEngine([])) as twin:
        twin.import_path(SAMPLE, me=["Masha", "Маша"], embed=False)
        assert twin.reflect() == []
        for asked in (rule("Name two risks of each plan."), operation("two files")):
            proof = twin.prove(twin.propose(asked).proposal.id)
            assert proof.verdict == "unproven"
            assert proof.stage != "S3"
            with pytest.raises(UsageError, match="says"):
                twin.approve(f"p-{proof.proposal[:10]}")


# ---- hostile ---------------------------------------------------------------------------------------------------------

def test_no_hostile_attempt_changes_map_evaluator_or_audit_without_an_approval(twin: Twin) -> None:
    names = said(twin, 3)
    before = stands(twin)
    kept = 0
    for one in attempts():
        try:
            asked = operations.parse(one.data)
            stored = twin.reflection.propose(asked, origin="core", evidence=names)
        except UsageError:
            continue
        assert one.bounded, one.name
        kept += 1
        assert stored.state == "open"
        for way in (lambda name: twin.approve(name, high_risk=True), twin.attempt, twin.rollback):
            with pytest.raises(UsageError):
                way(stored.proposal.id)
    assert stands(twin) == before
    assert kept == len(twin.archive.proposals())
    assert twin.verify_audit().ok
    assert [entry.kind for entry in twin.archive.audit()] == ["proposed"] * kept


@pytest.mark.parametrize("low", [float("-inf"), float("nan")])
def test_a_gain_without_a_lower_bound_is_told_as_a_value_alone(low: float) -> None:
    """Where resampling hits conversations that do not differ, the bound is minus infinity."""
    said = review._gain(Gain("routes", 0.25, low, 0.99, 12, 4), "en")
    assert "+0.250" in said and "inf" not in said and "nan" not in said
