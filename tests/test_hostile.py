"""Attempts to get at the map, the evaluator or the machine through an operation: refused, or no more than one text in
one place. That nothing is applied without a yes is shown elsewhere, with these same attempts."""
from __future__ import annotations

import pytest

from tests.hostile_attempts import Attempt, attempts, sequence_of_roles, texts
from twin import operations, roles
from twin.change import Change
from twin.errors import UsageError
from twin.operation_schema import ROLES
from twin.operation_text import refusal
from twin.roles import RoleMap

ALL = attempts()
SEED = roles.seed()


def done(attempt: Attempt) -> RoleMap:
    return operations.apply(operations.parse(attempt.data), SEED)


def test_there_are_two_hundred_attempts_in_both_languages_and_each_is_another() -> None:
    assert len(ALL) >= 200
    assert len({attempt.name for attempt in ALL}) == len(ALL)
    assert sum("(ru)" in attempt.name for attempt in ALL) >= 20


def refusal_of(attempt: Attempt) -> UsageError | None:
    """The error of an attempt, None where it is taken; any other error is a failure of its own."""
    try:
        done(attempt)
    except UsageError as error:
        return error
    return None


def test_every_attempt_is_refused_with_a_reason_and_the_map_stays() -> None:
    before = roles.to_files(SEED)
    said = {attempt.name: refusal_of(attempt) for attempt in ALL if not attempt.bounded}
    assert [name for name, error in said.items() if error is None] == []
    assert [name for name, error in said.items()
            if error and not (error.next_step and len(error.what) < 400 and error.what.isprintable())] == []
    assert roles.to_files(SEED) == before and roles.seed() == SEED


@pytest.mark.parametrize("attempt", [one for one in ALL if one.bounded], ids=lambda one: one.name[:60])
def test_what_no_filter_knows_is_one_text_in_one_role_and_can_be_taken_back(attempt: Attempt) -> None:
    before, after = roles.to_files(SEED), roles.to_files(done(attempt))
    change = Change.of(before, after)
    assert list(change.files) == [f"{attempt.data['role']}.md"]
    role, was = roles.from_files(after).role(attempt.data["role"]), SEED.role(attempt.data["role"])
    changed = {name for name in type(role).model_fields if getattr(role, name) != getattr(was, name)}
    assert changed <= {"examples"} or changed <= {"sections"}
    assert change.inverse().onto(after) == before


def test_the_filter_itself_refuses_each_text_whatever_the_operation() -> None:
    assert [text for text in texts() if refusal(text) is None] == []


def test_words_of_an_attempt_do_not_stand_in_the_refusal() -> None:
    """A refusal is logged and shown: it must not carry what it refuses."""
    told = []
    for attempt in ALL:
        text = attempt.data.get("text") if isinstance(attempt.data, dict) else None
        error = refusal_of(attempt)
        if error and isinstance(text, str) and text.strip() and text in str(error):
            told.append(attempt.name)
    assert told == []


def test_of_ten_thousand_roles_as_many_come_in_as_a_map_can_hold() -> None:
    role_map = SEED
    refused = 0
    for data in sequence_of_roles():
        try:
            role_map = operations.apply(operations.parse(data), role_map)
        except UsageError as error:
            refused += 1
            assert f"{ROLES} roles" in error.what
            if refused == 100:  # the rest is as they are
                break
    assert len(role_map.roles) == ROLES


def test_merging_in_a_circle_ends_with_the_role_that_is_left() -> None:
    one = operations.parse({"op": "merge_roles", "role": "mentor", "into": "critic"})
    other = operations.parse({"op": "merge_roles", "role": "critic", "into": "mentor"})
    once = operations.apply(one, SEED)
    with pytest.raises(UsageError, match="mentor"):
        operations.apply(other, once)


def test_an_operation_made_past_its_checks_is_checked_when_it_is_applied() -> None:
    made = operations.SetSampling.model_construct(op="set_sampling", role="mentor", field="temperature", value=50.0)
    copied = operations.parse({"op": "retire_role", "role": "mentor"}).model_copy(update={"role": "../mentor"})
    for op in (made, copied):
        with pytest.raises(UsageError):
            operations.apply(op, SEED)


def test_an_operation_of_a_new_kind_is_none_of_the_known_ones() -> None:
    class EditEvaluator(operations.RetireRole):
        """A subclass is not in the schema."""

    with pytest.raises(UsageError, match="none of the known"):
        operations.apply(EditEvaluator(role="mentor"), SEED)
