"""What every engine promises (types.Engine): the scripted one, tiny random F32 cores of each kind of memory, one in a
process of its own, a real SmolLM2, the same behind an OpenAI-compatible server (as completions and as chat), and Qwen
with `make test-qwen`. What such a server lacks is the CannotDo that `lacking` names."""
from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace
from typing import Any

import pytest

from tests import tiny
from tests.conftest import core_path
from tests.engine.openai_server import MODEL, N_CTX, smollm_llama_server, smollm_server  # noqa: F401 - fixtures
from twin.engine.isolated import IsolatedEngine
from twin.engine.llama import LlamaEngine
from twin.engine.remote import RemoteEngine
from twin.engine.scripted import ScriptedEngine
from twin.errors import CannotDo, PromptTooLong, UsageError
from twin.prompt import plain
from twin.types import Engine, Prompt, Sampling, Segment

GREEDY = Sampling(temperature=0.0, max_tokens=24)
SCHEMA = {"type": "object", "properties": {"colour": {"enum": ["red", "green"]}}, "required": ["colour"]}


@pytest.fixture(scope="module", params=["scripted", "qwen2", "qwen3moe", "qwen35", "isolated", "smollm2",
                                        "remote", "remote chat",
                                        pytest.param("llama-server", marks=pytest.mark.llama_server),
                                        pytest.param("qwen", marks=pytest.mark.qwen)])
def engine(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    if request.param == "scripted":
        yield ScriptedEngine(lambda prompt: '{"colour": "red"}' if "colour" in prompt.text else "The sky is blue.")
        return
    if request.param == "smollm2":
        yield request.getfixturevalue("smollm")
        return
    made: Any
    if request.param == "llama-server":  # it tells its form and its context
        made = RemoteEngine(request.getfixturevalue("smollm_llama_server"))
    elif request.param.startswith("remote"):
        url, family = request.getfixturevalue("smollm_server"), "chatml" if request.param == "remote" else None
        made = RemoteEngine(url, MODEL, family=family, n_ctx=N_CTX)
    elif request.param == "qwen":
        made = LlamaEngine(core_path("qwen2.5-coder-1.5b"), n_ctx=2048, trusted=True)
    else:
        arch = "qwen2" if request.param == "isolated" else request.param
        path = tiny.core(tmp_path_factory.mktemp("core") / "core.gguf", arch, n_ctx_train=4096)
        kind = IsolatedEngine if request.param == "isolated" else LlamaEngine
        made = kind(path, n_ctx=4096, trusted=True)
    yield made
    made.close()


def asked(question: str, last: str = "Answer briefly.") -> Prompt:
    return plain("chatml", [("user", question)], last)


def lacking(engine: Engine, *needs: str) -> AbstractContextManager[object]:
    """Nothing for an engine that has all it needs; where a server lacks one of them, its CannotDo is awaited, and only
    there. `temperature`: no server tells probabilities at another one than 1."""
    if not isinstance(engine, RemoteEngine) or all(getattr(engine.capabilities, need, False) for need in needs):
        return nullcontext()
    return pytest.raises(CannotDo)


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


def test_several_are_answered_at_once_each_in_a_stream_of_its_own(engine: Engine) -> None:
    prompts = [asked(f"Question {n}?", "Be brief.") for n in range(3)]
    samplings = [replace(GREEDY, max_tokens=n + 1) for n in range(3)]
    streams = engine.stream_many(prompts, samplings)
    lasts = [list(stream)[-1] for stream in reversed(streams)][::-1]

    assert all(last.finish in ("stop", "length") and last.usage for last in lasts)
    assert all(last.usage.generated <= n + 1 for n, last in enumerate(lasts) if last.usage)


def test_as_many_samplings_as_prompts_are_needed(engine: Engine) -> None:
    with pytest.raises(UsageError, match="sampling"):
        engine.stream_many([asked("One?"), asked("Two?")], [GREEDY])
    with pytest.raises(UsageError, match="schema"):
        engine.stream_many([asked("One?"), asked("Two?")], [GREEDY] * 2, schemas=[None])


def test_one_that_is_closed_leaves_the_others_alone(engine: Engine) -> None:
    first, second = engine.stream_many([asked("One?"), asked("Two?")], [GREEDY] * 2)
    next(first)
    first.close()  # type: ignore[attr-defined]

    assert list(second)[-1].finish in ("stop", "length")


def test_a_text_has_bits_and_an_empty_one_is_refused(engine: Engine) -> None:
    with lacking(engine, "prompt_logprobs"):
        score = engine.score(asked("What colour has the sky?"), "It is blue.")

        assert score.characters == 11
        assert all(bit >= 0 for bit in score.bits)
        assert score.bits_per_character == pytest.approx(sum(score.bits) / 11)
    with pytest.raises(UsageError, match="empty"):
        engine.score(asked("What?"), "")


def test_a_text_is_scored_at_the_temperature_it_was_drawn_at(engine: Engine) -> None:
    """At 1 as ever; the hotter, the more tokens are alike; the colder, the more an unlikely one costs; at 0 none has
    bits."""
    prompt, said = asked("What colour has the sky?"), "It is blue."
    with lacking(engine, "prompt_logprobs", "temperature"):
        hot, cold = (engine.score(prompt, said, temperature=value).bits for value in (1e6, 0.2))
        plain_bits = engine.score(prompt, said).bits

        assert engine.score(prompt, said, temperature=1.0).bits == plain_bits
        assert max(hot) - min(hot) < 0.01
        assert max(cold) > max(plain_bits)
    for value in (0.0, -1.0, float("nan")):
        with pytest.raises(UsageError, match="temperature"):
            engine.score(prompt, said, temperature=value)


def test_what_is_prepared_is_read_once(engine: Engine) -> None:
    prompt = asked("A question that nobody else asks?")

    chat = isinstance(engine, RemoteEngine) and engine.capabilities.way == "chat"  # a prefix of messages is none

    assert (engine.prepare(prompt) == 0) is chat
    assert engine.prepare(prompt) == 0


def test_an_answer_is_continued_by_the_ids_it_was_written_with(engine: Engine) -> None:
    """Spelling a text anew may give other ids; the engine that wrote it takes its own."""
    prompt = asked("What colour has the sky?")
    pieces = list(engine.stream(prompt, GREEDY))
    written, text = pieces[-1].written, "".join(piece.text for piece in pieces)
    by_text = isinstance(engine, RemoteEngine) and engine.capabilities.way != "ids"  # said in its notes
    assert (written is None) is by_text
    assert written is None or written.core == engine.id
    answer = Segment(text, "history", written=written)
    onward = replace(asked("And at night?"), prefix=(*prompt.prefix, *prompt.tail, answer, *asked("And?").prefix))
    last = list(engine.stream(onward, GREEDY))[-1]

    assert last.finish in ("stop", "length")


def test_the_same_text_gives_the_same_tokens(engine: Engine) -> None:
    assert engine.tokenize("one two") == engine.tokenize("one two")


def test_a_script_that_ends_says_so() -> None:
    engine = ScriptedEngine(["only one"])
    list(engine.stream(asked("first"), GREEDY))

    with pytest.raises(UsageError, match="one more"):
        list(engine.stream(asked("second"), GREEDY))
