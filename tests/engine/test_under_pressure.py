"""Too few cells, answers dropped at any moment, engines closed under their callers: what is told stays right or is an
error by name. Most of these were found by a reader who let random callers loose on the engine."""
from __future__ import annotations

import gc
import random
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from tests import tiny
from tests.engine.cold import GREEDY, asked, cold_logits, distance, logits, opened, said
from twin.engine.snapshots import Snapshots
from twin.errors import ContextFull, ModelError, TwinError
from twin.types import Adapter, Piece, Prompt


def drained(stream: Any) -> Piece | TwinError:
    """The last piece of an answer, or the error it ended with."""
    try:
        return list(stream)[-1]
    except TwinError as error:
        return error


@pytest.mark.parametrize("seed", range(6))
def test_whatever_is_asked_in_whatever_order_the_logits_are_those_of_a_cold_context(
        tiny_core: Path, lora: Adapter, alora: Adapter, tmp_path: Path, seed: int) -> None:
    """Streams of all kinds opened, pulled a little, closed and dropped, beside scores, idle reading and snapshots, with
    hardly any room: an error of the context is allowed, a wrong number is not."""
    choice = random.Random(seed)  # noqa: S311 - the same order each time
    adapters: list[tuple[Adapter, ...]] = [(), (lora,), (alora,), (replace(lora, scale=0.5),)]
    open_streams: list[Any] = []

    def some() -> Prompt:
        return replace(asked(f"Answer as the critic {choice.randrange(3)}."), adapters=choice.choice(adapters))

    settings = {"n_ctx": 512, "n_seq": choice.choice([6, 12]), "snapshots": Snapshots(tmp_path / "shelf")}
    with opened(tiny_core, **settings) as engine, opened(tiny_core) as cold:
        for _ in range(40):
            match choice.randrange(7):
                case 0:
                    open_streams.append(engine.stream(some(), GREEDY))
                case 1:
                    prompts = [some() for _ in range(4)]
                    open_streams += engine.stream_many(prompts, [GREEDY] * 4)
                case 2 if open_streams:
                    with_errors(partial(next, choice.choice(open_streams), None))
                case 3 if open_streams:
                    left = open_streams.pop(choice.randrange(len(open_streams)))
                    if choice.random() < 0.5:
                        left.close()
                    del left
                case 4:
                    with_errors(lambda: engine.prepare(some(), keep=choice.random() < 0.5))
                case 5 if open_streams:
                    drained(open_streams.pop())
                case _:
                    prompt = some()
                    told = with_errors(lambda prompt=prompt: logits(engine, prompt))
                    assert told is None or distance(told, cold_logits(cold, prompt)) < 2e-3
        open_streams.clear()
        gc.collect()
        engine.sweep()
        assert not any(lane.busy for lane in engine.lanes.lanes)
        assert distance(logits(engine, asked()), cold_logits(cold, asked())) < 2e-3


def with_errors(call: Any) -> Any:
    """What a call gives; None where the context was too full for it."""
    try:
        return call()
    except ContextFull:
        return None


def test_a_batch_for_which_the_cells_do_not_last_fails_whole_and_harms_nobody_else(attention_core: Path,
                                                                                   tmp_path: Path) -> None:
    """Once every second answer of such a batch went on, decoded nothing, and took the others' cells along."""
    lora = Adapter(str(tiny.adapter(tmp_path / "lora.gguf", attention_core)))
    alone = replace(asked("Answer as the mentor."), adapters=(lora,))
    long = replace(GREEDY, max_tokens=60)
    with opened(attention_core, n_ctx=1024) as cold:
        expected = said(cold, alone, long)[0]
    with opened(attention_core, n_ctx=512) as engine:
        other = engine.stream(alone, long)
        first = next(other)
        ends = [drained(stream) for stream in engine.stream_many([asked(f"As {n}.") for n in range(4)], [long] * 4)]
        last = drained(other)

        assert first.text
        assert all(isinstance(end, Piece | ContextFull) for end in ends)
        assert isinstance(last, ContextFull) or (last.written and list(last.written.ids) == expected)
        assert not any(lane.busy for lane in engine.lanes.lanes)


def test_a_lane_that_could_not_be_read_to_its_end_is_given_back(attention_core: Path, tmp_path: Path,
                                                                monkeypatch: pytest.MonkeyPatch) -> None:
    acts = Adapter(str(tiny.adapter(tmp_path / "a.gguf", attention_core, kind="alora", invocation=list(b"critic"))))
    with opened(attention_core) as engine:
        prompt = replace(asked("Answer as the critic."), adapters=(acts,))
        said(engine, asked())
        read = engine.lanes.read

        def fails(lane: Any, *rest: Any) -> bool:
            if lane.key is None:
                raise ContextFull("No cells.", "Wait.")
            return read(lane, *rest)

        monkeypatch.setattr(engine.lanes, "read", fails)
        assert isinstance(drained(engine.stream(prompt, GREEDY)), ContextFull)
        assert not any(lane.busy for lane in engine.lanes.lanes)


@pytest.mark.parametrize("call", ["tokenize", "choose", "score", "prepare", "stream", "half"])
def test_a_closed_engine_says_so(attention_core: Path, call: str) -> None:
    """A notebook closes its twin while a thread still reads: freed memory must not be touched."""
    with opened(attention_core) as engine:
        half = engine.stream(asked(), GREEDY)
        next(half)
    calls: dict[str, Any] = {
        "tokenize": lambda: engine.tokenize("word"), "choose": lambda: engine.choose(asked(), ["a", "b"]),
        "score": lambda: engine.score(asked(), "word"), "prepare": lambda: engine.prepare(asked()),
        "stream": lambda: list(engine.stream(asked(), GREEDY)), "half": lambda: list(half)}
    with pytest.raises(ModelError, match="closed"):
        calls[call]()


def test_a_context_smaller_than_its_sequences_is_no_abort(tmp_path: Path) -> None:
    """llama.cpp asserts on it, and a file may say that it was trained for three tokens."""
    with opened(tiny.core(tmp_path / "short.gguf", n_ctx_train=3)) as engine:
        assert engine.n_ctx == 3
        assert isinstance(drained(engine.stream(asked(), GREEDY)), ModelError)


def test_answers_in_a_reference_cycle_are_closed_between_steps(attention_core: Path) -> None:
    """The collector may come in the middle of a step."""
    with opened(attention_core) as engine:
        for _ in range(5):
            stream = engine.stream(asked(), GREEDY)
            next(stream)
            cycle: list[Any] = [stream]
            cycle.append(cycle)
            del stream, cycle
        expected = said(engine, asked())[0]
        gc.collect()
        assert said(engine, asked())[0] == expected
        assert not any(lane.busy for lane in engine.lanes.lanes)
