"""Lines of thinking on a real archive, with a scripted core: what they share, what they set, what becomes of them."""
from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from twin.chat import Twin
from twin.engine.scripted import ScriptedEngine
from twin.errors import UsageError
from twin.types import Answered, Prompt, Routed, Token


def answered(asked: Prompt) -> str:
    return f"{asked.role} says that much"


@pytest.fixture
def twin(tmp_path: Path) -> Iterator[Twin]:
    with Twin.open(tmp_path / "home", engine=ScriptedEngine(answered)) as opened:
        opened.ask("When do I sow peas?", role="scribe")
        opened.ask("How deep do they go?", role="scribe")
        yield opened


def prompts(twin: Twin) -> list[Prompt]:
    found: list[Prompt] = twin.engine.prompts  # type: ignore[attr-defined]
    return found


def test_a_fork_asks_the_same_question_again_after_what_stood_before_it(twin: Twin) -> None:
    line, asked = twin.fork(role="critic")
    again = twin.ask(asked.question, conversation=line.id)

    assert asked.question == "How deep do they go?"
    assert again.answer == "critic says that much"
    assert [turn.question for turn in twin.lines.history(line.id)] == ["When do I sow peas?", "How deep do they go?"]
    assert prompts(twin)[-1].text.count("How deep do they go?") == 1


def test_a_fork_after_a_turn_goes_on_from_its_answer(twin: Twin) -> None:
    first = twin.archive.turns()[0]
    line, _ = twin.fork(first, after=True)
    twin.ask("And in a cold spring?", conversation=line.id)

    assert [turn.question for turn in twin.lines.history(line.id)] == ["When do I sow peas?", "And in a cold spring?"]
    assert "How deep" not in prompts(twin)[-1].text


def test_the_trunk_does_not_see_its_lines(twin: Twin) -> None:
    line, asked = twin.fork(role="critic")
    twin.ask(asked.question, conversation=line.id)

    assert [turn.route.role for turn in twin.lines.history(twin.conversation)] == ["scribe", "scribe"]


def test_a_line_of_a_line_shares_what_led_to_it(twin: Twin) -> None:
    line, _ = twin.fork(after=True)
    here = twin.ask("And carrots?", conversation=line.id)
    deeper, _ = twin.fork(here, role="mentor")
    twin.ask("And carrots?", conversation=deeper.id)

    assert [turn.route.role for turn in twin.lines.history(deeper.id)][-1] == "mentor"
    assert len(twin.lines.history(deeper.id)) == 3
    assert [one.id for one in twin.lines.all(deeper.id)] == [twin.conversation, line.id, deeper.id]


def test_a_line_sets_instruction_and_sampling(twin: Twin) -> None:
    line, asked = twin.fork(instruction="Answer with one number.", sampling={"max_tokens": 2})
    again = twin.ask(asked.question, conversation=line.id)

    assert prompts(twin)[-1].tail[1].text.endswith("Answer with one number.")
    assert again.usage.finish == "length"
    assert again.usage.generated == 2


@pytest.mark.parametrize("sampling", [{"heat": 1.0}, {"temperature": 9.0}, {"max_tokens": 0}])
def test_sampling_that_cannot_be_is_refused_before_a_line_is_made(twin: Twin, sampling: dict[str, float]) -> None:
    with pytest.raises(UsageError):
        twin.fork(sampling=sampling)
    assert twin.lines.all() == []


def test_an_unknown_role_or_turn_makes_no_line(twin: Twin) -> None:
    with pytest.raises(UsageError, match="wizard"):
        twin.fork(role="wizard")
    with pytest.raises(UsageError, match="No turn begins"):
        twin.fork("nowhere")
    assert twin.lines.all() == []


def test_lines_run_side_by_side_over_one_prefix(twin: Twin) -> None:
    one, asked = twin.fork(role="critic", name="hard")
    two, _ = twin.fork(role="mentor", name="kind")
    events = list(twin.side_by_side(asked.question, ["hard", "kind"]))
    both = prompts(twin)[-2:]

    assert {line for line, _ in events} == {one.id, two.id}
    assert [line for line, event in events if isinstance(event, Token)][:2] == [one.id, two.id]
    assert both[0].prefix == both[1].prefix
    assert {event.turn.route.role for _, event in events if isinstance(event, Answered)} == {"critic", "mentor"}
    assert all(len(twin.archive.turns(line)) == 1 for line in (one.id, two.id))


def test_a_line_with_a_council_runs_beside_one_without(twin: Twin) -> None:
    twin.engine._answers = lambda asked: (  # type: ignore[attr-defined]
        '{"evidence": [], "claim": "Five centimetres.", "prediction": "", "falsifier": "", "unit": ""}'
        if "JSON" in asked.tail[1].text else "Not so deep.")
    one, asked = twin.fork(council=True)
    two, _ = twin.fork(role="critic")
    turns = {line: event.turn for line, event in twin.side_by_side(asked.question, [one.id, two.id])
             if isinstance(event, Answered)}

    assert turns[one.id].verdict is not None
    assert turns[two.id].verdict is None


def test_compared_lines_tell_how_much_they_share(twin: Twin) -> None:
    line, asked = twin.fork(role="critic", name="hard")
    twin.ask(asked.question, conversation=line.id)
    trunk, hard = twin.lines.compare([twin.conversation, "hard"])

    assert trunk.shared == 1
    assert hard.shared == pytest.approx(3 / 4)
    assert hard.turn is not None
    assert hard.turn.answer == "critic says that much"


def test_lines_are_named_kept_and_dropped_and_nothing_is_deleted(twin: Twin) -> None:
    line, asked = twin.fork(role="critic")
    twin.ask(asked.question, conversation=line.id)
    twin.lines.change(line.id[:8], title="hard")
    dropped = twin.lines.change("hard", state="dropped")

    assert (dropped.name, dropped.state) == ("hard", "dropped")
    assert twin.lines.get("hard").settings.role == "critic"
    assert len(twin.archive.turns(line.id)) == 1
    with pytest.raises(UsageError, match="called 'hard'"):
        twin.fork(name="hard")
    with pytest.raises(UsageError, match="trunk"):
        twin.lines.change(twin.conversation, state="dropped")


def test_a_line_outlives_a_turn_that_was_forgotten_before_it(twin: Twin) -> None:
    first, second = twin.archive.turns()
    line, _ = twin.fork(after=True)
    twin.ask("And carrots?", conversation=line.id)
    twin.forget(f"twin:{second.conversation}/{second.id}")

    assert [turn.question for turn in twin.lines.history(line.id)] == [first.question, "And carrots?"]


def test_words_that_are_forgotten_leave_the_instruction_of_a_line(twin: Twin) -> None:
    twin.ask("My neighbour Olga waters everything at four in the morning, why?")
    last = twin.archive.turns()[-1]
    line, _ = twin.fork(instruction="Think of my neighbour Olga waters everything at four.", name="olga")
    twin.forget(f"twin:{last.conversation}/{last.id}")

    assert "Olga" not in twin.lines.get(line.id).settings.instruction


def test_what_was_asked_on_a_sibling_is_no_memory(twin: Twin) -> None:
    line, asked = twin.fork(role="critic")
    twin.ask("How deep do they go, the peas?", conversation=line.id)
    turn = twin.ask(asked.question, conversation=line.id)

    assert turn.memories == ()
    assert isinstance(next(iter(twin.stream("x y z", conversation=line.id))), Routed)


def test_a_conversation_is_found_by_the_beginning_of_its_id_too(twin: Twin) -> None:
    line, _ = twin.fork(role="critic")
    assert twin.lines.get(twin.conversation[:8]).id == twin.conversation
    assert twin.lines.get(line.id[:8]).id == line.id
    assert twin.lines.trunks() == [twin.conversation]
    other = twin.conversation[:8] + "-other"
    twin.ask("And carrots?", conversation=other)
    with pytest.raises(UsageError, match="Several lines begin"):
        twin.lines.get(twin.conversation[:8])
    assert twin.lines.get(other).id == other
    for nothing in ("", "nothing"):
        with pytest.raises(UsageError, match="no line"):
            twin.lines.get(nothing)


def test_a_line_is_taken_back_only_while_nothing_stands_on_it(twin: Twin) -> None:
    line, asked = twin.fork(role="critic", name="hard")
    assert twin.lines.take_back(line)
    line, asked = twin.fork(role="critic", name="hard")
    below, _ = twin.lines.fork(asked.id, line.settings), asked
    twin.ask(asked.question, conversation=line.id)
    assert not twin.lines.take_back(line)
    assert [one.name for one in twin.lines.all()] == ["hard", ""]
    assert twin.lines.take_back(below[0])
