"""An answer as events: thoughts told from words by the prompt that was really asked, and what it rests on."""
from __future__ import annotations

import pytest

from twin import prompt
from twin.answer import cited, drain, opens_thoughts
from twin.engine.scripted import ScriptedEngine
from twin.types import Event, Family, Piece, Prompt, Recalled, Sampling, Segment, Thinking, Token

# What a core of the family writes after its opening in each mode, when it thinks and when it need not.
THOUGHT = "<think>\nПочему?\n</think>\n\nВ мае."
INSIDE = "Почему?\n</think>\n\nВ мае."


def asked(family: str | Family, mode: prompt.Mode) -> Prompt:
    return prompt.plain(family, [("user", "Когда сеять?")], "Brief.", thinking=mode)


def heard(written: str, rendered: Prompt, family: str = "chatml") -> tuple[list[Event], tuple[str, str, Piece]]:
    """The events and the value of a drained engine that was opened as one family and asked in the form of another."""
    events: list[Event] = []
    steps = drain(rendered, ScriptedEngine([written], family=family).stream(rendered, Sampling()))
    while True:
        try:
            events.append(next(steps))
        except StopIteration as done:
            return events, done.value


@pytest.mark.parametrize(("family", "mode", "written", "thoughts"), [
    ("qwen3", "auto", "В мае.", ""), ("qwen3", "off", "В мае.", ""), ("qwen3", "on", THOUGHT, "Почему?"),
    ("qwen3.5", "on", INSIDE, "Почему?"), ("qwen3-thinking", "auto", THOUGHT, "Почему?"),
    ("qwen3-thinking", "off", "В мае.", ""), ("qwen3.5-thinking", "auto", INSIDE, "Почему?"),
    ("qwen3.5-thinking", "off", "В мае.", ""), ("chatml", "on", "В мае.", "")])
@pytest.mark.parametrize("engine", ["chatml", "qwen3.5-thinking"])
def test_the_prompt_tells_where_an_answer_begins_not_the_family_of_the_engine(
        family: str, mode: prompt.Mode, written: str, thoughts: str, engine: str) -> None:
    events, (answer, thinking, _) = heard(written, asked(family, mode), engine)

    assert (answer, thinking) == ("В мае.", thoughts)
    assert "".join(event.text for event in events if isinstance(event, Token)).strip() == "В мае."
    assert "".join(event.text for event in events if isinstance(event, Thinking)).strip() == thoughts


def test_thoughts_that_never_end_are_no_answer() -> None:
    _, (answer, thinking, last) = heard("Почему? Потому", asked("qwen3.5-thinking", "on"))

    assert (answer, thinking, last.finish) == ("", "Почему? Потому", "stop")


@pytest.mark.parametrize(("family", "mode", "written"), [
    ("qwen3", "on", "<think>\n\n</think>\n\nВ мае."), ("qwen3-thinking", "auto", "<think>\n\n</think>\n\nВ мае."),
    ("qwen3.5-thinking", "auto", "\n</think>\n\nВ мае.")])
def test_an_empty_block_is_not_kept_twice(family: str, mode: prompt.Mode, written: str) -> None:
    """History opens the block for an answer without thoughts: bytes as they were read, without the ids that hold it."""
    rendered = asked(family, mode)
    _, (answer, thinking, last) = heard(written, rendered)
    past = prompt.plain(family, [("user", "Когда сеять?"), ("system", "Brief."), ("assistant", answer)]).prefix

    assert (answer, thinking, last.written) == ("В мае.", "", None)
    assert "".join(segment.text for segment in past) == rendered.text + written + "<|im_end|>\n"


@pytest.mark.parametrize("written", ["В мае.", THOUGHT])
def test_the_ids_of_an_answer_stay_with_it(written: str) -> None:
    _, (_, _, last) = heard(written, asked("qwen3-thinking", "auto"))

    assert last.written is not None


def test_words_that_look_like_an_opening_open_nothing() -> None:
    rendered = Prompt((), (Segment("What is <think>", "question"),))

    assert not opens_thoughts(rendered)
    assert not opens_thoughts(Prompt((), ()))
    assert opens_thoughts(asked("qwen3.5-thinking", "auto"))


def test_an_answer_rests_on_what_it_names_and_on_what_it_takes_up() -> None:
    memories = [Recalled((f"m{n}",), told, 0.9, "") for n, told in enumerate(
        ("I sow tomatoes in boxes", "Рассаду томатов я закаляю на балконе", "I run on Sundays"))]

    assert cited("Sow them early [3], not [7].", "When?", memories) == (3,)
    assert cited("Закаляй рассаду на балконе.", "Что делать?", memories) == (2,)
    assert cited("Закаляй рассаду на балконе.", "Закалять рассаду на балконе?", memories) == ()
