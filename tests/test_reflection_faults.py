"""Changes of the role map under faults: killed at every step it is the old map or the new one, and of two at once one
wins."""
from __future__ import annotations

import json
import os
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from twin import operations, roles
from twin.archive import Archive, role_maps
from twin.archive.proposals import WINDOW
from twin.consent import Consent
from twin.errors import HomeBusy, UsageError
from twin.home import Home
from twin.proof import pin
from twin.proposals import Proof, Proposal
from twin.role_book import RoleBook
from twin.types import Conversation, Message

ROOT = Path(__file__).parent.parent
OPERATIONS: dict[str, dict[str, Any]] = {
    "two files": {"op": "relabel_routing_example", "role": "critic", "to": "architect"},
    "one file less": {"op": "merge_roles", "role": "scribe", "into": "empiricist"},
    "one file more": {
        "op": "add_role", "id": "cook", "title": {"en": "Cook"}, "purpose": {"en": "What to eat."},
        "sections": {"en": {"stance": "You cook with what is there."}},
        "examples": ["what shall we eat tonight", "is this soup salty", "how long does rice take"]}}


def consent_of(place: Path | Home) -> Consent:
    home = place if isinstance(place, Home) else Home(place)
    archive = Archive(home)
    return Consent(home, archive, RoleBook(home, archive))


def operation(name: str) -> operations.Operation:
    data = OPERATIONS[name]
    if data["op"] == "relabel_routing_example":
        data = {**data, "text": roles.seed().role("critic").examples[0]}
    return operations.parse(data)


def proven(consent: Consent, op: operations.Operation, verdict: str = "accepted") -> Proposal:
    """A proposal for the map in force, with a proof that says so."""
    made = Proposal(op, consent.book.ensure().version, "owner", datetime.now(UTC))
    consent.archive.save_proposal(made)
    consent.archive.add_proof(Proof(made.hash, made.base, pin.check(), {}, verdict, "S3",  # type: ignore[arg-type]
                                    {"en": verdict, "ru": verdict}, datetime.now(UTC)))
    consent.archive.set_state(made.id, verdict)  # type: ignore[arg-type]
    return made


# ---- what is killed; runs in processes of its own, see `crashed` -------------------------------------------------

def _approve(consent: Consent, name: str) -> None:
    consent.approve(name, high_risk=True)


def _try(consent: Consent, name: str) -> None:
    consent.attempt(name)


def _take_back(consent: Consent, name: str) -> None:
    consent.rollback(name)


def _end(consent: Consent, _: str) -> None:
    assert consent.tick(datetime.now(UTC) + timedelta(days=99)) is not None


def _clean(consent: Consent, _: str) -> None:
    role_maps.clean(consent.archive, consent.home.roles)


def _open(consent: Consent, _: str) -> None:
    consent.book.current()


ACTIONS: dict[str, Callable[[Consent, str], None]] = {
    "approve": _approve, "try": _try, "take back": _take_back, "end": _end, "open": _open,
    "clean": _clean}

_EACH_FAULT = """
import os, shutil, sys, traceback
from itertools import count
from pathlib import Path
from tests.test_reflection_faults import ACTIONS, consent_of
from twin import home as places
base, folder, action, name = Path(sys.argv[1]), Path(sys.argv[2]), ACTIONS[sys.argv[3]], sys.argv[4]
for n in count(1):
    copy = folder / str(n)
    shutil.copytree(base, copy)
    child = os.fork()
    if not child:
        os.environ["TWIN_FAULT_AT"], places._passed = str(n), count(1)
        try:
            action(consent_of(copy), name)
        except BaseException:
            traceback.print_exc()
            os._exit(1)
        os._exit(0)
    code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    if code != 70:
        sys.exit(code)
"""
_AT_ONCE = """
import os, sys, time
from pathlib import Path
from tests.test_reflection_faults import consent_of
from twin.errors import HomeBusy, ProposalStale, UsageError
home, start = Path(sys.argv[1]), time.monotonic() + 0.2
consents = [consent_of(home) for _ in sys.argv[2:]]
children = []
for consent, name in zip(consents, sys.argv[2:]):
    if not (child := os.fork()):
        time.sleep(max(0.0, start - time.monotonic()))
        try:
            consent.approve(name, high_risk=True)
        except ProposalStale:
            os._exit(3)
        except (HomeBusy, UsageError):
            os._exit(4)
        os._exit(0)
    children.append(child)
print([os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) for child in children])
"""


def python(script: str, *words: str | Path) -> str:
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), *filter(None, sys.path)])}
    done = subprocess.run([sys.executable, "-c", script, *map(str, words)], cwd=ROOT, capture_output=True, text=True,
                          env=environment, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def crashed(base: Home, folder: Path, action: str, name: str) -> list[Home]:
    """Copies of a home in which an action was killed at its 1st, 2nd ... fault point; in the last it ended."""
    folder.mkdir()
    python(_EACH_FAULT, base.root, folder, action, name)
    return [Home(copy) for copy in sorted(folder.iterdir(), key=lambda path: int(path.name))]


def stands(home: Home) -> tuple[str, str]:
    """(version in force, state of its one proposal) after the next open, with everything that must agree."""
    consent = consent_of(home)
    version = consent.book.current().version
    active = consent.archive.active_map()
    assert active is not None
    assert active.version == version
    assert roles.on_disk(home.roles) == consent.archive.map_files(active)
    assert not consent.archive.map_unfinished()
    assert [path.name for path in home.roles.glob(".*")] == []
    assert consent.archive.audit_verify().ok
    (stored,) = consent.archive.proposals()
    return version, stored.state


@pytest.fixture
def base(tmp_path: Path) -> Home:
    return Home(tmp_path / "base")


# ---- killed ----------------------------------------------------------------------------------------------------------

@pytest.mark.parametrize("name", OPERATIONS)
def test_killed_at_any_step_of_an_approval_it_is_the_old_map_or_the_new_one(
        base: Home, tmp_path: Path, name: str) -> None:
    consent = consent_of(base)
    made = proven(consent, operation(name))
    before = consent.book.current()
    after = operations.apply(made.operation, before).version

    *killed, whole = crashed(base, tmp_path / "copies", "approve", made.id)
    found = [stands(home) for home in killed]

    assert len(killed) >= 8
    assert set(found) == {(before.version, "accepted"), (after, "applied")}
    assert found == sorted(found, key=lambda one: one[1] == "applied")  # one commit, before it old, after it new
    assert stands(whole) == (after, "applied")
    old = next(home for home, one in zip(killed[::-1], found[::-1], strict=True) if one[1] == "accepted")
    consent_of(old).approve(made.id, high_risk=True)  # what was killed can be done again
    assert stands(old) == (after, "applied")


def test_killed_while_a_trial_begins_or_ends_by_itself_nothing_is_half_way(base: Home, tmp_path: Path) -> None:
    consent = consent_of(base)
    made = proven(consent, operation("two files"), "unproven")
    before = consent.book.current().version
    after = operations.apply(made.operation, consent.book.current()).version

    *killed, begun = crashed(base, tmp_path / "began", "try", made.id)
    for home in killed:
        one = stands(home)
        assert one in {(before, "unproven"), (after, "on trial")}
        assert (consent_of(home).trial() is not None) == (one[1] == "on trial")

    *killed, ended = crashed(begun, tmp_path / "ended", "end", made.id)
    for home in killed:
        one = stands(home)
        assert one in {(after, "on trial"), (before, "unproven")}
        assert (consent_of(home).trial() is not None) == (one[1] == "on trial")
    assert stands(ended) == (before, "unproven")
    assert roles.on_disk(ended.roles) == roles.on_disk(base.roles)


def test_killed_while_it_is_taken_back_the_bytes_are_those_of_before_or_after(base: Home, tmp_path: Path) -> None:
    consent = consent_of(base)
    made = proven(consent, operation("one file less"))
    old = roles.on_disk(base.roles)
    consent.approve(made.id, high_risk=True)
    new = roles.on_disk(base.roles)

    *killed, whole = crashed(base, tmp_path / "copies", "take back", made.id)
    for home in killed:
        _, state = stands(home)
        assert roles.on_disk(home.roles) == (old if state == "rolled back" else new)
    assert (stands(whole)[1], roles.on_disk(whole.roles)) == ("rolled back", old)


def test_killed_while_it_is_mended_it_is_mended_by_the_next(base: Home, tmp_path: Path) -> None:
    consent = consent_of(base)
    made = proven(consent, operation("one file more"))
    before = consent.book.current().version
    half = next(home for home in crashed(base, tmp_path / "copies", "approve", made.id)
                if consent_of(home).archive.map_unfinished() and roles.on_disk(home.roles) != roles.on_disk(base.roles))

    *killed, whole = crashed(half, tmp_path / "mended", "open", "")

    assert killed
    assert {stands(home) for home in (*killed, whole)} == {(before, "accepted")}


def test_a_hand_edit_between_the_crash_and_the_next_question_is_not_lost(base: Home, tmp_path: Path) -> None:
    consent = consent_of(base)
    made = proven(consent, operation("two files"))
    half = next(home for home in crashed(base, tmp_path / "copies", "approve", made.id)
                if consent_of(home).archive.map_unfinished() and roles.on_disk(home.roles) != roles.on_disk(base.roles))
    mine = half.roles / "mentor.md"  # a file that the change does not touch
    mine.write_bytes(mine.read_bytes() + b"\n<!-- mine -->\n")
    theirs = half.roles / "architect.md"
    theirs.write_bytes(theirs.read_bytes() + b"\n<!-- mine too -->\n")

    book = consent_of(half).book
    book.current()

    assert b"mine" in roles.on_disk(half.roles)["mentor.md"]
    assert roles.on_disk(half.roles)["architect.md"] == roles.on_disk(base.roles)["architect.md"]
    assert b"mine too" in (half.roles / "architect.md.old").read_bytes()


@pytest.mark.parametrize("opened", [False, True])
def test_killed_while_forgetting_ends_a_trial_the_next_call_ends_it(base: Home, tmp_path: Path, opened: bool) -> None:
    secret = "My brother Anton owes the casino nine thousand euros."  # noqa: S105 - a sentence
    consent = consent_of(base)
    asked = operations.parse({"op": "add_routing_example", "role": "mentor", "text": secret})
    made = proven(consent, asked, "unproven")
    before = roles.on_disk(base.roles)
    consent.attempt(made.id)
    consent.archive.add([Conversation("c", (Message("m", "user", secret),))])
    consent.archive.forget([("c", "m")])

    *killed, whole = crashed(base, tmp_path / "copies", "clean", "")

    assert killed
    for home in (*killed, whole):
        again = consent_of(home)
        if opened:  # somebody asks before the forgetting is finished
            again.book.current()
        role_maps.clean(again.archive, home.roles)
        assert again.trial() is None
        assert roles.on_disk(home.roles) == before
        assert again.book.current().version == made.base
        assert again.archive.audit_verify().ok


# ---- two at once -----------------------------------------------------------------------------------------------------

def test_of_two_approvals_at_once_one_wins_and_the_other_is_told(base: Home) -> None:
    consent = consent_of(base)
    version = consent.book.ensure().version
    names = [proven(consent, operation(name)).id for name in ("two files", "one file less")]

    codes = json.loads(python(_AT_ONCE, base.root, *names))

    assert sorted(codes) in ([0, 3], [0, 4])
    won = consent_of(base)
    states = {one.proposal.id: one.state for one in won.archive.proposals()}
    assert sorted(states.values()) == ["accepted", "applied"]
    assert states[names[codes.index(0)]] == "applied"
    assert won.book.current().version != version
    assert roles.on_disk(base.roles) == won.archive.map_files(won.archive.active_map())  # type: ignore[arg-type]
    with pytest.raises(UsageError, match="was made for the map"):
        won.approve(names[1 - codes.index(0)], high_risk=True)


def test_the_same_approval_twice_at_once_is_done_once(base: Home) -> None:
    consent = consent_of(base)
    name = proven(consent, operation("two files")).id

    codes = json.loads(python(_AT_ONCE, base.root, name, name))

    assert codes.count(0) == 1
    assert [entry.author for entry in consent.archive.map_entries()] == ["owner", "proposal"]


def test_long_work_of_one_kind_is_done_by_one_at_a_time(base: Home) -> None:
    with base.alone("reflection"):
        with pytest.raises(HomeBusy, match="reflection"), base.alone("reflection"):
            pass
        with base.alone("proof"), base.writing("something else"):  # who only writes does not wait
            pass
    with base.alone("reflection"):
        pass


# ---- what a person leaves lying in the folder, and what somebody writes past the program ---------------------------

@pytest.mark.parametrize("action", ["end", "take back"])
def test_a_file_that_is_no_role_keeps_no_trial_in_force(base: Home, action: str) -> None:
    consent = consent_of(base)
    made = proven(consent, operation("two files"), verdict="unproven")
    old = roles.on_disk(base.roles)
    consent.attempt(made.id)
    (base.roles / "notes.md").write_text("my own notes\n", "utf-8")

    ACTIONS[action](consent, made.id)

    assert consent.trial() is None
    assert roles.on_disk(base.roles) == old
    assert (base.roles / "notes.md.old").read_text("utf-8") == "my own notes\n", "set aside, not lost"


def test_a_verdict_written_past_the_audit_puts_nothing_into_force(base: Home) -> None:
    consent = consent_of(base)
    made = proven(consent, operation("two files"), verdict="rejected")
    with closing(sqlite3.connect(base.archive)) as db, db:
        db.execute("UPDATE proposals SET state = 'accepted'")
        db.execute("UPDATE proofs SET body = replace(body, '\"rejected\"', '\"accepted\"')")
    before = roles.on_disk(base.roles)

    with pytest.raises(UsageError, match="audit knows nothing"):
        consent.approve(made.id, high_risk=True)
    assert roles.on_disk(base.roles) == before


def test_an_audit_that_was_emptied_is_not_whole_while_there_are_proposals(base: Home) -> None:
    consent = consent_of(base)
    proven(consent, operation("two files"))
    with closing(sqlite3.connect(base.archive)) as db, db:
        for (trigger,) in db.execute("SELECT name FROM sqlite_master WHERE type = 'trigger'").fetchall():
            db.execute(f"DROP TRIGGER {trigger}")
        db.execute("DELETE FROM audit")
        db.execute("DELETE FROM settings WHERE key LIKE 'audit%'")
    for head in base.root.glob("audit*"):
        head.unlink()

    assert not consent.archive.audit_verify().ok


@pytest.mark.parametrize("body", ["{", "null", "[]", "{}"])
def test_a_proposal_that_cannot_be_read_stops_no_other(base: Home, body: str) -> None:
    consent = consent_of(base)
    broken = proven(consent, operation("two files"))
    whole = proven(consent, operation("one file more"))
    with closing(sqlite3.connect(base.archive)) as db, db:
        db.execute("UPDATE proposals SET body = ? WHERE id = ?", (body, broken.id))

    assert [one.proposal.id for one in consent.archive.proposals()] == [whole.id]
    with pytest.raises(UsageError, match="cannot be read"):
        consent.archive.proposal(broken.id)


def test_proofs_by_ratings_use_up_no_window(base: Home) -> None:
    consent = consent_of(base)
    proven(consent, operation("two files"))
    one = consent.archive.proposals()[0].proofs[0]
    for _ in range(WINDOW + 2):
        consent.archive.keep_proof(replace(one, stage="S3", window=""), expected=())
