"""Proposals, proofs, windows and genomes come back exactly as they were kept, and two never win at once."""
from __future__ import annotations

import json
import math
import sqlite3
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone
from itertools import pairwise
from pathlib import Path
from typing import Any, get_args

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.archive.test_audit import together
from twin import operations
from twin.archive import Archive, Verified, database, proposals
from twin.archive.proposals import WINDOW
from twin.archive.tombstones import keyed
from twin.errors import UsageError
from twin.home import Home
from twin.proposals import Gain, Proof, Proposal, Sample, State

THEN = datetime(2026, 5, 4, 3, 2, 1, 7, tzinfo=timezone(timedelta(hours=3)))
BOTH = {"en": "Bread", "ru": "Хлеб"}
SECTIONS = {"en": {"stance": "You bake.", "do": "Weigh the flour."}, "ru": {"stance": "Ты печёшь."}}
EXAMPLES = ["Почему тесто не поднялось?", "How wet is a rye dough?", "Сколько соли на килограмм муки?"]
OPERATIONS: list[dict[str, Any]] = [
    {"op": "add_routing_example", "role": "mentor", "text": "Почему корка лопнула?"},
    {"op": "remove_routing_example", "role": "mentor", "text": "Why is the crust pale?"},
    {"op": "relabel_routing_example", "role": "mentor", "to": "critic", "text": "Why is the crust pale?"},
    {"op": "edit_prompt_section", "role": "mentor", "language": "ru", "section": "do", "text": "Сначала взвесь муку."},
    {"op": "add_prompt_rule", "role": "mentor", "language": "en", "section": "do", "text": "Weigh the flour first."},
    {"op": "remove_prompt_rule", "role": "mentor", "language": "en", "section": "do", "text": "Weigh the flour."},
    {"op": "set_sampling", "role": "mentor", "field": "temperature", "value": 0.3},
    {"op": "set_adapter", "role": "mentor", "sha256": "a" * 64, "scale": 0.5, "kind": "lora"},
    {"op": "narrow_memory_scope", "role": "mentor", "tags": ["bread"]},
    {"op": "widen_memory_scope", "role": "mentor", "tags": ["хлеб"]},
    {"op": "add_role", "id": "baker", "title": BOTH, "purpose": BOTH, "sections": SECTIONS, "examples": EXAMPLES},
    {"op": "split_role", "role": "mentor", "id": "baker", "title": BOTH, "purpose": BOTH, "sections": SECTIONS,
     "examples": EXAMPLES},
    {"op": "merge_roles", "role": "mentor", "into": "critic"}, {"op": "retire_role", "role": "mentor"},
    {"op": "set_placement", "role": "mentor", "n_ctx": 2048},
    {"op": "set_council_policy", "members": ["mentor", "critic"], "max_n": 2, "depth": 5, "entropy": None,
     "on": "policy"},
    {"op": "open_hypothesis", "claim": "Sixteen roles route better than eight."},
]


@pytest.fixture
def archive(tmp_path: Path) -> Archive:
    return Archive(Home(tmp_path / "home"))


def proposal(number: int = 0, base: str = "b" * 64, **more: Any) -> Proposal:
    made = more.pop("made", THEN)
    return Proposal(operations.parse(OPERATIONS[number]), base, more.pop("origin", "miner:M1"), made, **more)


def proof(of: Proposal, **more: Any) -> Proof:
    return Proof(**{"proposal": of.hash, "base": of.base, "evaluator": "e" * 64, "scorer": {"gguf": "c" * 64},
                    "verdict": "unproven", "stage": "S2", "reason": {"en": "Too little.", "ru": "Слишком мало."},
                    "made": THEN, **more})


def test_an_empty_home_has_no_proposals_and_stays_empty(archive: Archive) -> None:
    assert (archive.proposals(), archive.genomes("r"), archive.genome_runs(), archive.window("w")) == ([], [], [], 0)
    with pytest.raises(UsageError, match=r"no proposal 'p-12345678'.*twin reflect"):
        archive.proposal("p-12345678")
    assert not archive.home.root.exists()


def test_the_sample_here_has_every_operation() -> None:
    assert [one["op"] for one in OPERATIONS] == [*operations.OPERATIONS]


def test_a_proposal_of_every_operation_comes_back_exactly(archive: Archive) -> None:
    made = [proposal(number, origin="core", evidence=("1", "c/m1"), predicted={"router": 0.02},
                     why={"en": "Seen 4 times.", "ru": "Замечено 4 раза."}) for number in range(len(OPERATIONS))]
    for one in made:
        archive.save_proposal(one)
    kept = archive.proposals()

    assert [one.proposal for one in kept] == made
    assert [(one.proposal.hash, one.proposal.id) for one in kept] == [(one.hash, one.id) for one in made]
    assert [one.number for one in kept] == list(range(1, len(made) + 1))
    assert {type(one.proposal.evidence) for one in kept} == {tuple}
    assert archive.proposal(made[3].id) == kept[3]


def test_what_is_asked_twice_is_kept_once_and_stays_as_it_stands(archive: Archive) -> None:
    first = archive.save_proposal(proposal(), note="seen")
    archive.set_state(first.proposal.id, "declined")
    again = archive.save_proposal(proposal(origin="owner", made=datetime.now(UTC)))
    other = archive.save_proposal(proposal(base="c" * 64))

    assert (again.proposal, again.state, again.note) == (first.proposal, "declined", "seen")
    assert [one.number for one in archive.proposals()] == [first.number, other.number]


def test_a_proposal_is_found_by_the_beginning_of_its_id_or_hash(archive: Archive) -> None:
    made = [archive.save_proposal(proposal(number)) for number in range(17)]
    one = made[5].proposal
    for name in (one.id, one.id[:10], one.hash, one.hash[:12]):
        assert archive.proposal(name).proposal == one
    for name in ("p", one.id[:9], one.hash[:7]):
        with pytest.raises(UsageError, match=r"too short.*8 signs"):
            archive.proposal(name)
    for name in ("", "p-", "p-zzzzzzzz", "p-" + one.id):
        with pytest.raises(UsageError, match=f"no proposal .*{made[-1].proposal.id}"):
            archive.proposal(name)


def test_steps_are_kept_with_their_time_and_note(archive: Archive) -> None:
    began = datetime.now(UTC)
    name = archive.save_proposal(proposal(), note="made at night").proposal.id
    archive.set_state(name, "unproven", note="12 turns more")
    archive.set_state(name, "on trial", expected=("unproven", "open"))
    kept = archive.proposal(name)

    assert [(step.state, step.note) for step in kept.history] == [
        ("open", "made at night"), ("unproven", "12 turns more"), ("on trial", "")]
    assert (kept.state, kept.note, kept.changed) == ("on trial", "12 turns more", kept.history[-1].made)
    assert began <= kept.history[0].made
    assert all(one.made <= two.made for one, two in pairwise(kept.history))
    assert archive.proposals("on trial") == [kept]
    assert archive.proposals("open") == []


def test_who_comes_late_is_told_and_changes_nothing(archive: Archive) -> None:
    name = archive.save_proposal(proposal(), "accepted").proposal.id
    archive.set_state(name, "applied", expected="accepted")
    before, lines = archive.proposal(name), archive.audit()
    with pytest.raises(UsageError, match="'applied' meanwhile, not 'accepted' or 'open'"):
        archive.set_state(name, "declined", expected=["accepted", "open"], note="too late")
    with pytest.raises(UsageError, match="no proposal 'p-x'"):
        archive.set_state("p-x", "declined")
    state: Any = "fine"
    with pytest.raises(UsageError, match="cannot be 'fine'"):
        archive.set_state(name, state)

    assert (archive.proposal(name), archive.audit()) == (before, lines)


def test_every_step_is_a_line_of_the_audit_without_a_word_of_it(archive: Archive) -> None:
    made = proposal(why={"en": "Secret reasons."})
    name = archive.save_proposal(made, note="secret note").proposal.id
    shown = proof(made, samples=(Sample("secret text", "1.5", "1.25"),))
    archive.add_proof(shown)
    archive.set_state(name, "rolled back", note="secret regret")
    archive.save_proposal(made)

    with archive._reading() as db:
        one, base, proved = (keyed(db, name) for name in (made.id, made.base, shown.hash))
    assert [(line.kind, dict(line.ids)) for line in archive.audit()] == [
        ("proposed", {"proposal": one, "base": base, "op": "add_routing_example", "origin": "miner:M1",
                      "state": "open"}),
        ("proof", {"proposal": one, "proof": proved, "evaluator": "e" * 64, "base": base,
                   "verdict": "unproven", "use": 0}),
        ("state", {"proposal": one, "before": "open", "after": "rolled_back"})]
    assert archive.audited(made.id) == archive.audit()
    assert archive.audited("p-0000000000") == []
    assert archive.audit_verify() == Verified(True, 3)


def test_a_step_inside_another_transaction_stands_or_falls_with_it(archive: Archive) -> None:
    name = archive.save_proposal(proposal(), "accepted").proposal.id
    with pytest.raises(ZeroDivisionError), archive._writing("test") as db:
        proposals.set_state(db, name, "applied", expected="accepted")
        raise ZeroDivisionError
    assert (archive.proposal(name).state, len(archive.proposal(name).history), len(archive.audit())) == (
        "accepted", 1, 1)


# ---- proofs ----------------------------------------------------------------------------------------------------------

NUMBERS = st.floats(allow_nan=False)
WORDS = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)
NAMED = st.dictionaries(WORDS, NUMBERS, max_size=3)
GAINS = st.builds(Gain, WORDS, NUMBERS, NUMBERS, NUMBERS, st.integers(0, 9**12), st.integers(0, 9**12))
TIMES = st.datetimes(timezones=st.sampled_from([UTC, timezone(timedelta(hours=-9, minutes=-30))]))
PROOFS = st.builds(
    proof, st.just(proposal()), scorer=st.dictionaries(WORDS, WORDS, max_size=3), made=TIMES,
    verdict=st.sampled_from(["accepted", "rejected", "unproven"]), stage=WORDS, others=st.lists(GAINS).map(tuple),
    reason=st.dictionaries(WORDS, WORDS, max_size=3), gain=st.none() | GAINS, controls=NAMED, window=WORDS, cost=NAMED,
    use=st.integers(0, 10), needed=st.integers(0, 9**9),
    samples=st.lists(st.builds(Sample, WORDS, WORDS, WORDS), max_size=3).map(tuple))


def test_a_proof_of_any_content_comes_back_exactly(archive: Archive) -> None:
    made = archive.save_proposal(proposal()).proposal
    given_: list[Proof] = []

    @settings(max_examples=40, suppress_health_check=[HealthCheck.too_slow])
    @given(PROOFS)
    def keep(one: Proof) -> None:
        proposals.add_proof(db, one)
        given_.append(one)

    with archive._writing("test") as db:  # one transaction: each commit waits for the disk
        keep()
    kept = archive.proposal(made.id).proofs

    assert len(given_) >= 40
    assert list(kept) == given_
    assert [one.hash for one in kept] == [one.hash for one in given_]


def test_a_bound_that_is_unknown_stays_unknown(archive: Archive) -> None:
    made = archive.save_proposal(proposal()).proposal
    shown = proof(made, gain=Gain("router", 0.1, math.nan, 0.95, 3, 1))
    archive.add_proof(shown)
    kept, = archive.proposal(made.id).proofs

    assert kept.gain is not None
    assert math.isnan(kept.gain.low)
    assert kept.hash == shown.hash


def test_a_proof_its_verdict_and_the_use_of_its_window_are_one_step(archive: Archive) -> None:
    one, other = (archive.save_proposal(proposal(number)).proposal for number in range(2))
    archive.keep_proof(proof(one, stage="S3", window="w", verdict="accepted"), expected=("open",))
    archive.set_state(other.id, "declined")  # while it was being proven
    archive.keep_proof(proof(other, stage="S2", window="w", verdict="rejected"), expected=("open",))

    assert [(each.state, len(each.proofs)) for each in archive.proposals()] == [("accepted", 1), ("declined", 1)]
    assert archive.window("w") == 1
    for _ in range(1, WINDOW):
        archive.use_window("w")
    with pytest.raises(UsageError, match="served 10"):
        archive.keep_proof(proof(one, stage="S3", window="w", verdict="rejected"), expected=("accepted",))
    assert (archive.proposal(one.id).state, len(archive.proposal(one.id).proofs)) == ("accepted", 1)


def test_what_the_person_said_of_a_proposal_stands_in_no_repr(archive: Archive) -> None:
    archive.save_proposal(proposal(), note="Secret reasons.")
    assert "Secret" not in repr(archive.proposal(proposal().id))


def test_proofs_stand_with_their_proposal_oldest_first(archive: Archive) -> None:
    one, other = (archive.save_proposal(proposal(number)).proposal for number in range(2))
    for verdict, of in (("unproven", one), ("rejected", other), ("accepted", one)):
        archive.add_proof(proof(of, verdict=verdict))

    assert [each.verdict for each in archive.proposal(one.id).proofs] == ["unproven", "accepted"]
    assert [len(each.proofs) for each in archive.proposals()] == [2, 1]


def test_a_proof_of_nothing_is_refused(archive: Archive) -> None:
    with pytest.raises(UsageError, match="no proposal with the hash"):
        archive.add_proof(proof(proposal()))
    assert archive.audit() == []


def test_a_proposal_that_the_schema_no_longer_takes_hides_no_other(archive: Archive) -> None:
    old, new = (archive.save_proposal(proposal(number)).proposal for number in range(2))
    with closing(sqlite3.connect(archive.home.archive)) as db:
        db.execute("UPDATE proposals SET body = replace(body, 'add_routing_example', 'set_route_threshold')")
        db.commit()

    assert [one.proposal for one in archive.proposals()] == [new]
    with pytest.raises(UsageError, match="not an operation"):
        archive.proposal(old.id)


# ---- windows and genomes ---------------------------------------------------------------------------------------------

def test_a_window_serves_ten_proposals_and_no_more(archive: Archive) -> None:
    assert [archive.use_window("w1") for _ in range(WINDOW)] == list(range(1, WINDOW + 1))
    with pytest.raises(UsageError, match=r"served 10 proposals.*new conversations"):
        archive.use_window("w1")
    assert (archive.window("w1"), archive.use_window("w2"), archive.window("w2")) == (WINDOW, 1, 1)


def test_genomes_come_back_by_step_and_one_is_replaced_in_its_place(archive: Archive) -> None:
    rows = [{"version": f"v{step}", "step": step, "parents": ["v0"] * bool(step), "steps": OPERATIONS[:step],
             "scores": [0.25, -1.5], "tokens": 7, "screened": False} for step in (0, 2, 1)]
    for row in rows:
        archive.save_genome("night", row)
    archive.save_genome("day", rows[0])
    archive.save_genome("night", {**rows[2], "verdict": "rejected", "why": "хуже"})

    assert archive.genomes("night") == [rows[0], {**rows[2], "verdict": "rejected", "why": "хуже"}, rows[1]]
    assert archive.genomes("day") == rows[:1]
    assert archive.genome_runs() == ["day", "night"]


# ---- several processes -----------------------------------------------------------------------------------------------

RACE = """
import json, sys
from twin.archive import Archive
from twin.errors import UsageError
from twin.home import Home
from tests.archive.test_proposals import proposal, proof
archive, made = Archive(Home(sys.argv[1])), proposal()
print("ready", flush=True)
sys.stdin.readline()
won, uses = [], []
for number in range(4):
    try:
        archive.set_state(made.id, "applied", expected="accepted")
        archive.set_state(made.id, "accepted", expected="applied")
        won.append(number)
    except UsageError:
        pass
    try:
        uses.append(archive.use_window("w"))
    except UsageError:
        pass
    archive.save_proposal(proposal(number))
try:
    archive.set_state(made.id, "declined", expected="accepted")
    last = True
except UsageError:
    last = False
archive.add_proof(proof(made))
print(json.dumps({"won": won, "uses": uses, "last": last}))
"""


def test_of_processes_that_decide_at_once_each_step_has_one_winner(archive: Archive) -> None:
    """Windows count each use once, steps follow from the step before, nothing is kept twice, nothing is lost."""
    archive.save_proposal(proposal(), "accepted")
    said = [json.loads(one) for one in together(RACE, archive.home.root, 3)]
    kept = archive.proposal(proposal().id)

    assert sorted(use for one in said for use in one["uses"]) == list(range(1, WINDOW + 1))
    assert [one["last"] for one in said].count(True) == 1
    assert kept.state == "declined"
    assert len(kept.history) == 2 + 2 * sum(len(one["won"]) for one in said)
    assert {(one.state, two.state) for one, two in pairwise(kept.history)} <= {
        ("accepted", "applied"), ("applied", "accepted"), ("accepted", "declined")}
    assert len(kept.proofs) == 3
    assert len(archive.proposals()) == 4
    assert archive.audit_verify() == Verified(True, len(archive.audit()))
    assert len(archive.audit()) == 4 + len(kept.history) - 1 + 3


# ---- older archives --------------------------------------------------------------------------------------------------

def test_an_archive_of_the_sixth_version_is_read_with_nothing_kept(archive: Archive) -> None:
    archive.home.create()
    with closing(sqlite3.connect(archive.home.archive)) as db:
        database._functions(db)
        for script in database.MIGRATIONS[:6]:
            db.executescript(script)
        db.execute("PRAGMA user_version = 6")
        db.execute("INSERT INTO settings VALUES ('me', 'Аня')")
        db.commit()

    assert (archive.proposals(), archive.signals(), archive.genome_runs(), archive.audit()) == ([], [], [], [])
    assert archive.audit_verify() == Verified(True, 0)
    assert archive.setting("me") == "Аня"
    assert archive.save_proposal(proposal()).number == 1
    assert archive.home.root.joinpath("archive.sqlite.v6.bak").is_file()


def test_every_state_can_be_kept(archive: Archive) -> None:
    name = archive.save_proposal(proposal()).proposal.id
    for state in get_args(State):
        archive.set_state(name, state)
    assert [step.state for step in archive.proposal(name).history] == ["open", *get_args(State)]
    assert replace(archive.proposal(name), history=()).state == get_args(State)[-1]
