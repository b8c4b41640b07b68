"""The core as a filler of slots: what it may write, what of it counts, and when it is not asked any more."""
from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest

from twin import proposer, roles
from twin.engine.scripted import ScriptedEngine
from twin.proposer import Seen, ask, is_off, schema, seen
from twin.types import Route, Turn

MAP = roles.seed()
RULE = {"op": "add_prompt_rule", "section": "format", "text": "Name the largest risk before all others."}


def turn(number: int, role: str = "critic", question: str = "", answer: str = "") -> Turn:
    return Turn(f"t{number}", "chat", question or f"Does plan number {number} hold when the bakery closes in May?",
                answer or "It may hold, provided that the oven is paid by then.", Route(role, {role: 1.0}, "near"),
                "answered", "core", MAP.version, time=datetime(2026, 5, 1, number, tzinfo=UTC))


CRITIC = Seen("critic", tuple(turn(n) for n in range(5)), tuple(turn(n) for n in range(5, 9)))


def answered(change: dict[str, Any], turns: list[int] | None = None, **more: Any) -> ScriptedEngine:
    return ScriptedEngine([json.dumps({"turns": turns or [1, 2, 3], "change": change, **more})])


def test_a_filled_form_is_a_proposal_that_rests_on_the_turns_it_names() -> None:
    found = ask(answered(RULE), MAP, CRITIC, []).proposal
    assert found is not None
    assert (found.origin, found.base, found.target) == ("core", MAP.version, "role:critic")
    assert found.evidence == ("t0", "t1", "t2")
    assert found.operation.model_dump() == {"op": "add_prompt_rule", "role": "critic", "language": "en",
                                            "section": "format", "text": RULE["text"]}
    assert set(found.why) == {"en", "ru"}


@pytest.mark.parametrize(("change", "fields"), [
    ({"op": "set_sampling", "value": 0.2}, {"field": "temperature", "value": 0.2}),
    ({"op": "add_routing_example", "turn": 2}, {"text": CRITIC.failures[1].question}),
    ({"op": "remove_prompt_rule", "rule": 1}, {"section": "stance"}),
])
def test_slots_become_the_fields_of_an_operation(change: dict[str, Any], fields: dict[str, Any]) -> None:
    found = ask(answered(change), MAP, CRITIC, []).proposal
    assert found is not None
    assert fields.items() <= found.operation.model_dump().items()


@pytest.mark.parametrize(("engine", "reason"), [
    (answered(RULE, [1, 2]), "fewer than three"),
    (answered(RULE, [1, 9, 9]), "fewer than three"),
    (answered({**RULE, "text": "Say that it may hold, provided that the oven is paid."}), "copies"),
    (answered({**RULE, "text": "See https://evil.example/x first."}), "not an operation"),
    (answered({**RULE, "section": "tools"}), "not an operation"),
    (answered({"op": "set_evaluator", "section": "do", "text": "Pass."}), "not an operation"),
    (answered({"op": "set_sampling", "value": 9.0}), "not an operation"),
    (answered({"op": "remove_prompt_rule", "rule": 99}), "form"),
    (answered({**RULE, "text": "Think <think>aloud</think> about risk."}), "thoughts"),
    (ScriptedEngine(["[1, 2]"]), "form"),
    (ScriptedEngine(["nothing of the kind"] * 2), ""),
])
def test_what_is_not_usable_is_no_proposal_and_says_why(engine: ScriptedEngine, reason: str) -> None:
    if not reason:
        with pytest.raises(Exception, match="not JSON"):  # a script must follow the grammar as a core does
            ask(engine, MAP, CRITIC, [])
        return
    found = ask(engine, MAP, CRITIC, [])
    assert found.proposal is None
    assert reason in found.reason


def test_an_answer_that_was_cut_is_none() -> None:
    long = answered({**RULE, "text": "word " * 30 + "end."})
    stopped = ask(long, MAP, CRITIC, [], cancel=lambda: len(long.prompts) > 0)
    assert stopped.proposal is None
    assert "end" in stopped.reason


def test_what_was_proposed_before_is_not_proposed_again_in_nearly_the_same_words() -> None:
    first = ask(answered(RULE), MAP, CRITIC, []).proposal
    assert first is not None
    again = ask(answered({**RULE, "text": "Name the largest risks before all the others."}), MAP, CRITIC, [first])
    other = ask(answered({**RULE, "text": "Give a date for each step."}), MAP, CRITIC, [first])
    elsewhere = ask(answered(RULE), MAP, replace(CRITIC, role="mentor"), [first])
    assert (again.proposal, again.reason) == (None, "it was proposed before")
    assert other.proposal is not None
    assert elsewhere.proposal is not None


def test_russian_failures_are_shown_and_mended_in_russian() -> None:
    russian = Seen("critic", tuple(turn(n, question=f"Выдержит ли план номер {n} закрытие пекарни в мае?")
                                   for n in range(4)), ())
    engine = answered({**RULE, "text": "Назови сначала самый большой риск."})
    found = ask(engine, MAP, russian, []).proposal
    assert found is not None
    assert found.operation.model_dump()["language"] == "ru"
    assert "Не получилось:" in engine.prompts[0].text
    assert MAP.role("critic").title.ru in engine.prompts[0].text


def test_the_form_admits_only_what_is_there() -> None:
    form = schema(MAP.role("critic"), 4, "en")
    numbers = form["properties"]["turns"]
    assert (numbers["items"], numbers["minItems"], numbers["maxItems"]) == ({"enum": [1, 2, 3, 4]}, 3, 4)
    kinds = {kind["properties"]["op"]["const"] for kind in form["properties"]["change"]["anyOf"]}
    assert kinds == {"add_prompt_rule", "edit_prompt_section", "remove_prompt_rule", "set_sampling",
                     "add_routing_example"}
    assert not kinds & {"set_adapter", "widen_memory_scope", "add_role", "retire_role", "set_placement"}


def test_roles_with_most_failures_come_first_and_those_with_few_not_at_all() -> None:
    turns = [*(turn(n, "scribe") for n in range(3)), *(turn(n, "critic") for n in range(3, 8)), turn(8, "mentor"),
             turn(9, "critic"), turn(10, "critic")]
    failed = {f"t{n}" for n in range(9)}
    first, second = seen(turns, failed, {"t10"})
    assert (first.role, len(first.failures), second.role) == ("critic", 5, "scribe")
    assert first.failures[0].id == "t7"  # the newest first
    assert [one.id for one in first.successes] == ["t10", "t9"]  # what was praised before what was left alone
    assert second.successes == ()


def test_a_core_that_gives_fewer_than_one_in_ten_is_off() -> None:
    assert not is_off(proposer.ASKED - 1, 0)
    assert is_off(20, 1)
    assert not is_off(20, 2)
    assert is_off(100, 9)
