"""The panels of what the twin would change: proposals looked for, proven, decided, taken back; a lineage."""
from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import ipywidgets as widgets
import pytest

from tests.notebook.on_screen import HOSTILE, Page, button, kinds, names, opened, press, seen, until, whole
from tests.test_evolution import idle
from tests.test_evolution import search as searched
from tests.test_lineage import hostile as hostile_run
from tests.test_reflection import rule, said
from tests.test_reflection_faults import consent_of, operation, proven
from twin import operations, roles
from twin.chat import Twin
from twin.errors import UsageError
from twin.lineage import Lineage
from twin.notebook.panels import panel
from twin.proof import pin
from twin.proposals import Gain, Proof, Proposal, Sample
from twin.reflection import Due, Reflection
from twin.watchdog import Alarm

RULE = rule("Name two risks of each plan.")


@pytest.fixture
def twin(own_home: Path) -> Iterator[Twin]:
    with opened(own_home) as made:
        made.role_book.ensure()
        yield made


def measured(twin: Twin, op: operations.Operation, verdict: str = "accepted", **how: Any) -> Proposal:
    """A proposal that is shown, with a proof of everything a proof can hold."""
    made = Proposal(op, twin.role_map.version, "miner:M6", datetime.now(UTC), ("a", "b", "c"),
                    why={"en": "seen 9 times", "ru": "видно 9 раз"})
    twin.archive.save_proposal(made)
    twin.archive.add_proof(Proof(**{
        "proposal": made.hash, "base": made.base, "evaluator": pin.check(), "scorer": {}, "verdict": verdict,
        "stage": "S3", "reason": {"en": f"It is {verdict}.", "ru": f"Вердикт: {verdict}."},
        "made": datetime.now(UTC), "gain": Gain("router", .125, .04, .99, 40, 12),
        "others": (Gain("feedback", -.03, -.05, .99, 9, 3),), "needed": 0,
        "samples": tuple(Sample(f"message {n}", "critic", "architect") for n in range(5)),
        "cost": {"header before": 90, "header after": 97, "seconds": 12.0}, **how}))
    twin.archive.set_state(made.id, verdict)  # type: ignore[arg-type]
    twin.reflection.shown()
    return made


# ---- what is shown ---------------------------------------------------------------------------------------------------

def test_nothing_to_decide_says_when_there_will_be(twin: Twin) -> None:
    shown = panel(twin, "proposals")
    assert "Nothing waits for you. New: 0 messages (of 30)" in seen(shown.view)


def test_a_review_has_the_sentence_the_change_the_gain_what_got_worse_and_three_items(twin: Twin) -> None:
    made = measured(twin, RULE)
    shown = panel(twin, "proposals")
    text = seen(shown.view)
    assert shown.shown.id == made.id, "the first that waits is open"
    assert made.say("en") in text and "seen 9 times" in text and "Name two risks" in text
    assert "It is accepted." in text
    assert "right routes" in text and "+0.125" in text and "+0.040 with 99 % certainty" in text
    assert "40 items, 12 conversations" in text
    assert "good ratings" in text and "-0.030" in text
    assert text.count("message ") >= 3 and "message 3" not in text.split("All numbers")[0]
    assert "Cost: 90 → 97 tokens of instructions. The proof took 12 s." in text
    assert [one for one in kinds(shown.view, widgets.Button) if one.button_style == "primary"] == [
        button(shown.view, "Approve")]
    side = [Page(one.value) for one in kinds(shown.view, widgets.HTML) if "message 0" in one.value]
    assert "th" in side[0].tags


def test_another_one_is_opened_by_a_click_and_what_is_decided_is_listed_on_request(twin: Twin) -> None:
    first, second = measured(twin, RULE), measured(twin, rule("Say what a plan leaves out."))
    twin.reject(second.id)
    shown = panel(twin, "proposals")
    assert second.say() not in seen(shown.view)
    kinds(shown.view, widgets.Checkbox)[1].value = True
    until(lambda: "declined" in seen(shown.view) and not shown.gate.locked())
    shown.open(second.id)
    assert shown.shown.id == second.id
    assert "Approve" not in names(shown.view) and "Reject" not in names(shown.view)
    assert shown.open(first.id).state == "accepted"


# ---- decisions -------------------------------------------------------------------------------------------------------

def test_approve_puts_into_force_says_how_and_is_taken_back_byte_for_byte(twin: Twin) -> None:
    before = roles.on_disk(twin.home.roles)
    made = measured(twin, RULE)
    shown = panel(twin, "proposals")
    press(shown, "Approve")
    assert twin.archive.proposal(made.id).state == "applied"
    assert "is in force." in seen(shown.view) and "Name two risks of each plan." in seen(shown._status)
    assert "in force" in seen(shown.view)
    press(shown, "Take it back")
    assert roles.on_disk(twin.home.roles) == before
    assert twin.archive.proposal(made.id).state == "rolled back"


def test_high_risk_takes_a_second_click(twin: Twin) -> None:
    made = measured(twin, operation("one file less"))
    shown = panel(twin, "proposals")
    assert "High risk" in seen(shown.view)
    press(shown, "Approve")
    assert twin.archive.proposal(made.id).state == "accepted"
    asked = button(shown.view, "High risk: approve it by a second click")
    assert asked.button_style == "danger"
    press(shown, asked.description)
    assert twin.archive.proposal(made.id).state == "applied"
    assert "scribe" not in twin.role_map.ids


def test_high_risk_that_was_looked_at_once_asks_again_after_another_review(twin: Twin) -> None:
    made = measured(twin, operation("one file less"))
    other = measured(twin, RULE)
    shown = panel(twin, "proposals")
    shown.open(made.id)
    press(shown, "Approve")
    shown.open(other.id)
    shown.open(made.id)
    assert "Approve" in names(shown.view)
    with pytest.raises(UsageError, match="high risk"):
        shown.approve(made.id)


def test_an_unproven_one_is_tried_for_a_while_and_the_trial_is_ended(twin: Twin) -> None:
    made = measured(twin, RULE, "unproven", needed=120)
    shown = panel(twin, "proposals")
    assert "About 120 more messages are needed to tell." in seen(shown.view)
    assert "Approve" not in names(shown.view)
    press(shown, "Try it for 50 messages")
    assert twin.trial().proposal == made.id  # type: ignore[union-attr]
    assert f"{made.id} is on trial until" in seen(shown.view)
    press(shown, "End the trial")
    assert twin.trial() is None
    shown.attempt(proven(consent_of(twin.home), operation("two files"), "unproven").id, turns=3)
    assert twin.trial().turns == 3  # type: ignore[union-attr]


def test_no_is_noted_with_its_reason(twin: Twin) -> None:
    made = measured(twin, RULE)
    shown = panel(twin, "proposals")
    next(one for one in kinds(shown.view, widgets.Text)).value = "<b>not me</b>"
    press(shown, "Reject")
    kept = twin.archive.proposal(made.id)
    assert (kept.state, kept.note) == ("declined", "<b>not me</b>")
    assert "Noted: no." in seen(shown.view)
    whole(shown.view)


def test_what_is_open_is_proven_by_the_primary_button(twin: Twin) -> None:
    """A real proof, on so little that it says what is missing."""
    for number, name in enumerate(said(twin, 12)):
        twin.correct(name, ("critic", "architect")[number % 2])
    made = twin.propose(rule("Name two risks of each plan.")).proposal
    shown = panel(twin, "proposals")
    assert button(shown.view, "Prove it").button_style == "primary"
    press(shown, "Prove it")
    assert twin.archive.proposal(made.id).proofs
    assert "What the proof found" in seen(shown.view)
    assert shown.shown.proof is not None


def test_a_proposal_for_an_earlier_map_says_so_and_is_only_proven(twin: Twin) -> None:
    made = measured(twin, RULE)
    twin.save_role(twin.draft_role("scribe", None))
    shown = panel(twin, "proposals")
    shown.open(made.id)
    assert "It was made for an earlier map" in seen(shown.view)
    assert "Approve" not in names(shown.view) and "Prove it" in names(shown.view)


def test_looking_for_changes_opens_the_first_of_what_was_found(twin: Twin, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[dict[str, Any]] = []

    def reflect(self: Twin, budget: float, **how: Any) -> list[Any]:
        asked.append({"budget": budget, "core": how["core"]})
        how["progress"]("miners", 0, None)
        measured(self, RULE)
        return self.proposals()

    monkeypatch.setattr(Twin, "reflect", reflect)
    shown = panel(twin, "proposals")
    kinds(shown.view, widgets.Checkbox)[0].value = True
    press(shown, "Look for changes now")
    assert asked == [{"budget": 60.0, "core": True}]
    assert "1 proposal waits for you." in seen(shown.view)
    assert shown.shown is not None
    assert shown.reflect(5.0)


def test_an_alarm_stands_above_with_the_way_back(twin: Twin, monkeypatch: pytest.MonkeyPatch) -> None:
    made = proven(consent_of(twin.home), RULE)
    twin.approve(made.id)
    monkeypatch.setattr(Twin, "watch", lambda _: [Alarm(made.id, "feedback", .2, .8, 12)])
    shown = panel(twin, "proposals")
    assert "20% of 12 ratings are good" in seen(shown.view)
    press(shown, "Take it back")
    assert twin.archive.proposal(made.id).state == "rolled back"


def test_in_russian_the_whole_review_is_russian(twin: Twin, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Reflection, "due", lambda _: Due(3, 1))
    twin.language = "ru"
    made = measured(twin, RULE)
    shown = panel(twin, "proposals")
    text = seen(shown.view)
    assert made.say("ru") in text and "видно 9 раз" in text and "доказано" in text
    assert "верные маршруты" in text and "40 примеров, 12 бесед" in text
    assert "Принять" in names(shown.view) and "Отклонить" in names(shown.view)
    shown.reject(made.id)
    assert "Ничто не ждёт вас. Нового: сообщений 3" in seen(shown.view)


@pytest.mark.parametrize("text", HOSTILE)
def test_hostile_proposals_make_no_element(twin: Twin, text: str) -> None:
    made = measured(twin, RULE, reason={"en": text, "ru": text}, samples=(Sample(text, text, text),))
    shown = panel(twin, "proposals")
    shown.open(made.id)
    whole(shown.view)
    shown.approve(made.id)
    whole(shown.view)


# ---- evolution -------------------------------------------------------------------------------------------------------

def run(**how: Any) -> Lineage:
    return Lineage(replace(searched(1200, moves=idle), **{"ended": "budget", **how}))


def test_a_search_is_drawn_as_picture_and_table_and_says_why_nothing_came_of_it(
        twin: Twin, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[Any] = []

    def evolve(_: Twin, budget: int, **how: Any) -> tuple[Lineage, None]:
        asked.append((budget, how["seed"], how["way"]))
        return run(), None

    monkeypatch.setattr(Twin, "evolve", evolve)
    shown = panel(twin, "evolution")
    press(shown, "Search")
    assert asked == [(200_000, 0, "random")]
    text = seen(shown.view)
    assert "the budget is used up" in text and "no map that was tried is better" in text
    assert "the map as it was" in text
    assert bytes(kinds(shown.view, widgets.Image)[0].value).startswith(b"<?xml")
    whole(shown.view)
    assert shown.evolve(5000, seed=3, way="greedy") is shown.lineage
    assert asked[1] == (5000, 3, "greedy")


def test_what_a_search_proposes_is_one_click_away(twin: Twin, monkeypatch: pytest.MonkeyPatch) -> None:
    made = measured(twin, RULE)
    stored = twin.archive.proposal(made.id)
    monkeypatch.setattr(Twin, "evolve", lambda *_, **__: (run(), stored))
    shown = panel(twin, "evolution")
    shown.evolve()
    assert f"It proposes: {made.say()}" in seen(shown.view)
    press(shown, "Look at the proposal")
    until(lambda: "Approve" in names(shown.view))
    assert kinds(shown.view, widgets.Image), "the lineage stays"


def test_a_search_without_data_says_what_is_missing(twin: Twin) -> None:
    shown = panel(twin, "evolution")
    press(shown, "Search")
    assert "labelled" in seen(shown.view)
    assert shown.lineage is None


def test_a_hostile_lineage_makes_no_element_and_speaks_russian(twin: Twin, monkeypatch: pytest.MonkeyPatch) -> None:
    twin.language = "ru"
    monkeypatch.setattr(Twin, "evolve", lambda *_, **__: (Lineage(hostile_run()), None))
    monkeypatch.setattr(Twin, "why_nothing", lambda *_: {"en": "nothing", "ru": "<b>ничего</b>"})
    shown = panel(twin, "evolution")
    shown.evolve()
    whole(shown.view)
    assert "<b>ничего</b>" in seen(shown.view) and "выигрыш" in seen(shown.view)
    assert "is a < b & c, or $x_1$" in seen(shown.view)
