"""What every engine promises (types.Engine), asked of the scripted one and of a real SmolLM2 through llama.cpp."""
from __future__ import annotations

import json
from typing import Any

import pytest

from twin.engine.scripted import ScriptedEngine
from twin.errors import PromptTooLong, UsageError
from twin.prompt import plain
from twin.types import Engine, Prompt, Sampling

GREEDY = Sampling(temperature=0.0, max_tokens=24)
SCHEMA = {"type": "object", "properties": {"colour": {"enum": ["red", "green"]}}, "required": ["colour"]}


@pytest.fixture(params=["scripted", "smollm2"])
def engine(request: pytest.FixtureRequest) -> Any:
    if request.param == "scripted":
        return ScriptedEngine(lambda prompt: '{"colour": "red"}' if "colour" in prompt.text else "The sky is blue.")
    return request.getfixturevalue("smollm")


def asked(question: str, last: str = "Answer briefly.") -> Prompt:
    return plain("chatml", [("user", question)], last)


def test_an_engine_enters_by_the_protocol(engine: Engine) -> None:
    assert isinstance(engine, Engine)
    assert engine.id
    assert engine.n_ctx > 0


def test_a_stream_ends_with_one_finish_and_its_usage(engine: Engine) -> None:
    pieces = list(engine.stream(asked("What colour has the sky?", "Be brief."), GREEDY))

    assert [piece.finish for piece in pieces[:-1]] == [None] * (len(pieces) - 1)
    assert pieces[-1].finish in ("stop", "length")
    assert pieces[-1].usage is not None
    assert pieces[-1].usage.generated > 0
    assert "".join(piece.text for piece in pieces).strip()


def test_max_tokens_is_a_limit_that_is_named(engine: Engine) -> None:
    last = list(engine.stream(asked("Tell a long story."), Sampling(temperature=0.0, max_tokens=3)))[-1]

    assert last.finish == "length"
    assert last.usage is not None
    assert last.usage.generated == 3


def test_cancel_stops_between_tokens_and_keeps_what_was_written(engine: Engine) -> None:
    seen: list[str] = []
    for piece in engine.stream(asked("Tell a long story."), GREEDY, cancel=lambda: len(seen) >= 2):
        if piece.finish:
            assert piece.finish == "cancelled"
        else:
            seen.append(piece.text)

    assert len(seen) == 2


def test_cancel_before_reading_gives_nothing_but_the_finish(engine: Engine) -> None:
    pieces = list(engine.stream(asked("Hello?"), GREEDY, cancel=lambda: True))

    assert [(piece.text, piece.finish) for piece in pieces] == [("", "cancelled")]


def test_a_schema_forces_json(engine: Engine) -> None:
    text = "".join(piece.text for piece in engine.stream(asked("Choose a colour."), GREEDY, schema=SCHEMA))

    assert json.loads(text)["colour"] in ("red", "green")


def test_a_prompt_over_the_context_is_refused_by_name(engine: Engine) -> None:
    with pytest.raises(PromptTooLong, match="context"):
        list(engine.stream(asked("word " * 9000), GREEDY))


def test_choices_are_probabilities(engine: Engine) -> None:
    odds = engine.choose(asked("Is water wet?"), ["Yes", "No"])

    assert sum(odds) == pytest.approx(1.0)
    assert all(0.0 <= p <= 1.0 for p in odds)


def test_the_same_text_gives_the_same_tokens(engine: Engine) -> None:
    assert engine.tokenize("one two") == engine.tokenize("one two")


def test_a_script_that_ends_says_so() -> None:
    engine = ScriptedEngine(["only one"])
    list(engine.stream(asked("first"), GREEDY))

    with pytest.raises(UsageError, match="one more"):
        list(engine.stream(asked("second"), GREEDY))
