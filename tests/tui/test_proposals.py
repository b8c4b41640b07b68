"""The screen of proposals: what waits, everything a decision needs, and each thing that can be said to it."""
from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest
from textual.widgets import Input

from tests.test_reflection_faults import operation
from tests.tui.conftest import LANGUAGES, SIZES, Make, name_of, screen, snapshot, until
from tests.tui.scenes import HOSTILE, NARROW, about, at, click, plain, press, rows, said
from twin import operations
from twin import proof as proofs
from twin.chat import Twin
from twin.errors import EvaluatorChanged
from twin.proof import pin
from twin.proposals import Gain, Proof, Proposal, Sample
from twin.tui.app import TwinApp
from twin.tui.dialogs import OneLine, Sure
from twin.tui.proposals import Proposals
from twin.types import Progress
from twin.watchdog import Alarm

DAY = datetime(2026, 1, 2, tzinfo=UTC)
RULE = {"op": "add_prompt_rule", "role": "critic", "language": "en", "section": "do", "text": "Name two risks."}
SAMPLES = (Sample("Is this plan sound?", "mentor", "critic"), Sample("And the next one?", "scribe", "critic"))


def proposed(twin: Twin, op: operations.Operation | None = None, verdict: str = "", **more: Any) -> Proposal:
    """A proposal for the map in force, with a proof that says so where a verdict is given."""
    made = Proposal(op or operations.parse(RULE), twin.role_book.ensure().version, "owner", DAY, why={
        "en": "You edited four answers so.", "ru": "Вы так исправили четыре ответа."})
    twin.archive.save_proposal(made)
    if verdict:
        twin.archive.add_proof(proof_of(made, verdict, **more))
        twin.archive.set_state(made.id, verdict)  # type: ignore[arg-type]
    return made


def proof_of(made: Proposal, verdict: str, **more: Any) -> Proof:
    return Proof(**{
        "proposal": made.hash, "base": made.base, "evaluator": pin.check(), "scorer": {}, "verdict": verdict,
        "stage": "S3", "reason": {"en": f"It is {verdict}.", "ru": f"Итог: {verdict}."}, "made": DAY,
        "gain": Gain("router", 0.12, 0.04, 0.99, 80, 16),
        "others": (Gain("bits", -0.02, float("nan"), 0.99, 40, 9),), "samples": SAMPLES,
        "cost": {"header before": 100.0, "header after": 104.0}, **more})


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("size", SIZES)
async def test_proposals_look_like_this(make: Make, size: tuple[int, int], language: str) -> None:
    app = make(language=language)
    async with app.run_test(size=size) as pilot:
        await at(pilot, "proposals")
        snapshot(app, name_of("proposals-none", size, language))
        proposed(app.twin, verdict="accepted")
        proposed(app.twin, operation("one file more"))
        await press(pilot, "x", "x")
        snapshot(app, name_of("proposals", size, language))


async def test_a_review_has_all_a_decision_needs(make: Make) -> None:
    app = make()
    made = proposed(app.twin, verdict="accepted")
    async with app.run_test(size=NARROW) as pilot:
        await at(pilot, "proposals")
        told = " ".join(about(app).split())
        for word in (made.id, "You edited four answers so.", "Name two risks.", "It is accepted.", "+0.120", "+0.040",
                     "What got worse:", "-0.020", "tokens of instructions before 100", "Is this plan sound?", "mentor",
                     "after"):
            assert word in told
        assert "proven" in rows(app)[0]


async def test_before_and_after_stand_side_by_side_where_there_is_room(make: Make) -> None:
    app = make()
    proposed(app.twin, verdict="accepted")
    async with app.run_test(size=(140, 50)) as pilot:
        await at(pilot, "proposals")
        assert any("mentor" in row and "│ critic" in row for row in about(app).split("\n"))
        await pilot.resize_terminal(60, 40)
        await until(pilot, lambda: "before: mentor" in about(app))


async def test_approve_asks_once_and_takes_force_and_can_be_taken_back(make: Make) -> None:
    app = make()
    made = proposed(app.twin, verdict="accepted")
    before = app.twin.role_map.version
    async with app.run_test(size=NARROW) as pilot:
        await at(pilot, "proposals")
        await press(pilot, "a")
        assert isinstance(app.screen, Sure) and "{+Name" in screen(app)
        await press(pilot, "escape")
        assert app.twin.role_map.version == before
        await press(pilot, "a", "enter")
        assert app.twin.archive.proposal(made.id).state == "applied" and "in force" in said(app)
        assert app.twin.role_map.version != before
        await press(pilot, "x")
        await press(pilot, "b", "enter")
        assert app.twin.role_map.version == before and "as they were" in said(app)
        assert "taken back" in rows(app)[0]


async def test_what_is_of_high_risk_is_asked_about_twice_and_enter_is_no(make: Make) -> None:
    app = make()
    made = proposed(app.twin, operation("one file more"), verdict="accepted")
    async with app.run_test(size=NARROW) as pilot:
        await at(pilot, "proposals")
        assert rows(app)[0].startswith("!")
        await press(pilot, "a", "enter")
        assert isinstance(app.screen, Proposals), "enter at once is no"
        await press(pilot, "a", "y")
        assert isinstance(app.screen, Sure) and "high risk" in screen(app)
        await press(pilot, "n")
        assert app.twin.archive.proposal(made.id).state == "accepted"
        await press(pilot, "a", "y", "y")
        assert app.twin.archive.proposal(made.id).state == "applied" and "cook" in app.twin.role_map.ids


async def test_a_note_goes_with_a_no(make: Make) -> None:
    app = make()
    made = proposed(app.twin)
    async with app.run_test(size=NARROW) as pilot:
        await at(pilot, "proposals")
        await press(pilot, "r", "escape")
        assert app.twin.archive.proposal(made.id).state == "open", "esc leaves it"
        await press(pilot, "r")
        assert isinstance(app.screen, OneLine)
        app.screen.query_one(Input).value = "not like this"
        await press(pilot, "enter")
        stored = app.twin.archive.proposal(made.id)
        assert (stored.state, stored.note) == ("declined", "not like this")
        assert not rows(app)
        await press(pilot, "x")
        assert "not like this" in about(app)


async def test_what_is_unproven_can_be_tried_and_the_trial_is_told_and_ended(make: Make) -> None:
    app = make()
    made = proposed(app.twin, verdict="unproven")
    before = app.twin.role_map.version
    async with app.run_test(size=NARROW) as pilot:
        await at(pilot, "proposals")
        assert "Approve" not in screen(app), "what is not proven cannot be approved"
        await press(pilot, "t")
        app.screen.query_one(Input).value = "many"
        await press(pilot, "enter")
        assert "1 to 500" in said(app)
        await press(pilot, "t")
        app.screen.query_one(Input).value = "20"
        await press(pilot, "enter")
        trial = app.twin.trial()
        assert trial is not None and trial.turns == 20 and trial.proposal == made.id
        assert "on trial until" in " ".join(screen(app).split())
        await press(pilot, "x", "b", "enter")
        assert app.twin.trial() is None and app.twin.role_map.version == before


async def test_proving_says_that_it_goes_on_and_what_came_out(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    app = make()
    made = proposed(app.twin)

    def prove(proposal: Proposal, *_: Any, cancel: Callable[[], bool], **__: Any) -> Proof:
        assert not cancel()
        return proof_of(proposal, "rejected", stage="S2")

    monkeypatch.setattr(proofs, "prove", prove)
    async with app.run_test(size=NARROW) as pilot:
        await at(pilot, "proposals")
        assert "p measures it" in about(app) and "twin proposals" not in about(app)
        await press(pilot, "p")
        assert "It is rejected." in said(app)
        assert app.twin.archive.proposal(made.id).state == "rejected"


async def test_a_proof_can_be_stopped(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    app = make()
    made = proposed(app.twin)

    def prove(proposal: Proposal, *_: Any, cancel: Callable[[], bool], **__: Any) -> Proof:
        while not cancel():
            pass
        raise EvaluatorChanged("It was stopped.", "Prove it again.")

    monkeypatch.setattr(proofs, "prove", prove)
    async with app.run_test(size=NARROW) as pilot:
        await at(pilot, "proposals")
        await pilot.press("p")
        await until(pilot, lambda: app.background.busy)
        await press(pilot, "escape")
        assert isinstance(app.screen, Proposals) and "Prove it again." in said(app)
        assert app.twin.archive.proposal(made.id).state == "open"


async def test_reflecting_now_shows_what_is_new(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    app, asked = make(), list[bool]()

    def reflect(self: Twin, budget: float, *, core: bool, progress: Progress, cancel: Callable[[], bool]) -> Any:
        asked.append(core)
        progress("miners", 0, None)
        proposed(self)
        return self.proposals()

    monkeypatch.setattr(Twin, "reflect", reflect)
    async with app.run_test(size=NARROW) as pilot:
        await at(pilot, "proposals")
        await click(pilot, "Look for more")
        assert "1 new proposal." in said(app) and len(rows(app)) == 1
        await press(pilot, "l")
        assert asked == [False, True] and "Nothing new." in said(app)


async def test_without_a_core_it_cannot_propose_and_says_so(make: Make) -> None:
    app = make(core=False)
    async with app.run_test(size=NARROW) as pilot:
        await at(pilot, "proposals")
        await press(pilot, "l")
        assert "/cores" in said(app)


async def test_an_alarm_is_told_with_the_key_that_takes_it_back(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Twin, "watch", lambda _: [Alarm("p-0123456789", "router", -0.1, 0.05, 12),
                                                  Alarm("p-0123456789", "feedback", 0.4, 0.8, 12)])
    app = make()
    async with app.run_test(size=NARROW) as pilot:
        await at(pilot, "proposals")
        shown = " ".join(screen(app).split())
        assert "-10%" in shown and "40% of 12 ratings" in shown and "b takes it back" in shown


async def test_what_proposals_say_is_data(make: Make) -> None:
    app = make()
    hostile = "[/] [$error]x [@click=app.quit]y[/] [bold]z"
    op = operations.parse(RULE | {"text": hostile})
    made = proposed(app.twin, op, verdict="accepted", samples=(Sample(HOSTILE, HOSTILE, HOSTILE),),
                    reason={"en": HOSTILE})
    app.twin.archive.save_proposal(replace(made, why={"en": HOSTILE}))
    async with app.run_test(size=NARROW) as pilot:
        await at(pilot, "proposals")
        assert plain(app)
        await press(pilot, "tab", "pagedown", "pagedown")
        assert plain(app)
        await press(pilot, "a")
        assert plain(app) and "click=app.quit" in screen(app)
        await press(pilot, "escape", "r")
        app.screen.query_one(Input).value = HOSTILE
        await press(pilot, "enter", "x")
        assert plain(app)


async def test_it_says_what_it_is_about_in_both_languages(make: Make) -> None:
    app: TwinApp = make(language="ru")
    proposed(app.twin, verdict="unproven")
    async with app.run_test(size=NARROW) as pilot:
        await at(pilot, "proposals")
        assert "не доказано" in rows(app)[0] and "Вы так исправили четыре ответа." in about(app)
