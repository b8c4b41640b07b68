"""Many roles on one context: what is shared gives what a context of one's own would give, and nothing is read twice.

On F32 cores every path is within 1e-3 of a cold context. On quantised ones a cold context differs from another cold
one that reads in other batches, so there the bound is: same batches 1e-3, other batches 1.5 times what cold differs
from cold by in the same run.
"""
from __future__ import annotations

import gc
import random
import threading
from dataclasses import replace
from pathlib import Path
from typing import Any

import psutil
import pytest

from tests.engine.cold import GREEDY, HISTORY, asked, cold_logits, distance, logits, opened, said
from twin.engine.lanes import Row
from twin.engine.llama import LlamaEngine
from twin.errors import ContextFull, PromptTooLong
from twin.placement import Placement
from twin.prompt import plain
from twin.types import Adapter, Prompt, Sampling, Segment, Written

CLOSE = 1e-3


def fresh(path: Path, prompt: Prompt, sampling: Sampling = GREEDY) -> list[int]:
    """Token ids of an answer of an engine that has read nothing else."""
    with opened(path) as engine:
        return said(engine, prompt, sampling)[0]


def with_answer(prompt: Prompt, ids: tuple[int, ...], core: str, question: str) -> Prompt:
    """The next prompt of the same role: all that was read, the answer as it was written, a question, no header."""
    answer = Segment("", "history", written=Written(core, ids))
    rest = plain("chatml", [("user", question)])
    past = tuple(replace(segment, part="history") for segment in prompt.prefix + prompt.tail)
    return replace(rest, prefix=(*past, answer, Segment("<|im_end|>\n", "end", special=True), *rest.prefix))


# ---- the same answers ----------------------------------------------------------------------------------------------

def test_a_role_answers_after_others_as_it_does_alone(tiny_core: Path, lora: Adapter, alora: Adapter) -> None:
    """A, B, A at temperature 0 is fresh A token for token, whatever B is."""
    first, second = asked("Answer as the critic."), asked("Answer as the mentor.")
    kinds = [first, second, replace(first, adapters=(lora,)), replace(second, adapters=(alora,)),
             replace(first, adapters=(replace(lora, scale=0.5),))]
    alone = [fresh(tiny_core, prompt) for prompt in kinds]

    with opened(tiny_core) as engine:
        told = [[said(engine, prompt)[0] for prompt in (one, other, one)] for one in kinds for other in kinds]

    expected = [[one, other, one] for one in alone for other in alone]
    assert told == expected
    assert len({tuple(one) for one in alone}) == len(kinds), "the roles differ, or this would prove nothing"


def test_every_path_gives_the_logits_of_a_cold_context(tiny_core: Path, lora: Adapter, alora: Adapter) -> None:
    prompts = [asked(), asked("Answer as the mentor."), replace(asked(), adapters=(lora,)),
               replace(asked(), adapters=(alora,))]
    with opened(tiny_core) as cold, opened(tiny_core) as engine:
        for prompt in [*prompts, *reversed(prompts)]:
            assert distance(logits(engine, prompt), cold_logits(cold, prompt)) < CLOSE


def test_a_conversation_goes_on_from_what_was_written(tiny_core: Path) -> None:
    """The answer's own token ids continue its cache; spelled anew they could be other tokens."""
    with opened(tiny_core) as engine, opened(tiny_core) as cold:
        prompt = asked()
        for question in ("And peas?", "And in August?", "Why?"):
            ids, _ = said(engine, prompt)
            prompt = with_answer(prompt, tuple(ids), engine.id, question)
            plan = engine.plan(prompt, 1)
            _, again = said(engine, prompt)
            assert again.usage is not None
            # Past the last token of the answer, which was drawn and not read, only the new message is read.
            assert again.usage.reused == len(plan.prefix) - len(engine.tokenize(
                f"<|im_end|>\n<|im_start|>user\n{question}<|im_end|>\n", special=True)) - 1
            assert distance(logits(engine, prompt), cold_logits(cold, prompt)) < CLOSE


def test_a_council_says_what_each_of_its_members_says_alone(tiny_core: Path, lora: Adapter, alora: Adapter) -> None:
    adapters: tuple[tuple[Adapter, ...], ...] = ((), (lora,), (alora,))
    prompts = [replace(asked(f"Answer as number {n}."), adapters=adapters[n % 3]) for n in range(9)]
    samplings = [replace(GREEDY, max_tokens=6 + n) for n in range(9)]
    alone = [fresh(tiny_core, prompt, sampling) for prompt, sampling in zip(prompts, samplings, strict=True)]

    with opened(tiny_core) as engine:
        streams = engine.stream_many(prompts, samplings)
        together = [list(stream)[-1] for stream in streams]

    assert [list(last.written.ids) if last.written else [] for last in together] == alone


def test_a_score_is_that_of_a_cold_context(tiny_core: Path, alora: Adapter) -> None:
    text = "Sow them in May, <|im_end|> not before. " * 12  # longer than a batch
    with opened(tiny_core) as warm, opened(tiny_core) as cold:
        for prompt in (asked(), replace(asked(), adapters=(alora,))):
            said(warm, prompt)
            said(warm, asked("Answer as the mentor."))
            one, other = warm.score(prompt, text), cold.score(prompt, text)
            cold.lanes.forget()
            assert one.bits == pytest.approx(other.bits, abs=CLOSE)
            assert len(one.bits) == len(warm.tokenize(text))
            assert one.bits_per_character == pytest.approx(sum(one.bits) / len(text))


def test_scored_bits_are_those_of_the_words_that_are_drawn(attention_core: Path) -> None:
    """2 ** -bits is the probability `choose` gives, and what greedy decoding draws has the fewest bits."""
    with opened(attention_core) as engine:
        odds = engine.choose(asked(), ["a", "b"])
        bits = [engine.score(asked(), option).bits[0] for option in ("a", "b")]
        drawn = said(engine, asked())[0][0]

        assert odds[0] / odds[1] == pytest.approx(2 ** (bits[1] - bits[0]), rel=1e-3)
        assert engine.score(asked(), chr(drawn)).bits[0] <= min(bits)


def test_kv_of_another_adapter_flips_tokens_and_is_never_reused(tiny_core: Path, lora: Adapter) -> None:
    """The failure that this cache key is for: what a common prefix match does when it does not look at the adapter."""
    prompt = asked()
    with opened(tiny_core) as engine:
        right = cold_logits(engine, prompt)
        plan = engine.plan(replace(prompt, adapters=(lora,)), 1)
        lane = engine.lanes._new(plan.then)
        engine.lanes.read(lane, plan.prefix, plan.then)  # read with the adapter ...
        engine.lanes.read(lane, plan.tail[:-1], ())  # ... and continued without it
        engine.lanes.decode([Row(lane, plan.tail[-1], wanted=True)], ())
        naive = engine.logits(0).copy()
        engine.lanes.drop(lane)

        assert distance(naive, right) > 0.1
        said(engine, replace(prompt, adapters=(lora,)))
        assert distance(logits(engine, prompt), right) < CLOSE
        assert said(engine, prompt)[0] == fresh(tiny_core, prompt)


def test_other_batches_differ_on_a_quantised_core_no_more_than_cold_from_cold(
        smollm: LlamaEngine, capsys: pytest.CaptureFixture[str]) -> None:
    quantised(smollm, capsys)


@pytest.mark.qwen
def test_other_batches_differ_on_qwen_no_more_than_cold_from_cold(capsys: pytest.CaptureFixture[str]) -> None:
    from tests.conftest import core_path

    with opened(core_path("qwen2.5-coder-1.5b"), placement=Placement()) as engine:
        quantised(engine, capsys)


def quantised(engine: LlamaEngine, capsys: pytest.CaptureFixture[str]) -> None:
    """Same batches: exact. Other batches: within 1.5 times the difference that batches make without any sharing."""
    history = [("system", "You help with gardens. " * 20), *HISTORY[1:]]
    prompts = [plain("chatml", history, last) for last in ("Answer as the critic.", "Name one step.", "Be brief.")]
    cold = [cold_logits(engine, prompt) for prompt in prompts]
    length = len(engine.plan(prompts[0], 1).prefix)
    cuts: list[Any] = [[length // 2, length], [length, length + 9], [*range(3, length, 41), length + 5], [length - 7]]
    shifted = [[cold_logits(engine, prompt, cut) for cut in [*cuts, [engine.plan(prompt, 1).length - 1]]]
               for prompt in prompts]
    between = max(distance(one, other) for one, others in zip(cold, shifted, strict=True) for other in others)

    engine.lanes.forget()
    same = max(distance(logits(engine, prompt), one) for prompt, one in zip(prompts, cold, strict=True))
    grown = []
    for prompt, one in zip(prompts, cold, strict=True):  # the prefix is read in two goes, as a conversation does
        engine.lanes.forget()
        engine.prepare(replace(prompt, prefix=prompt.prefix[:4]))
        grown.append(distance(logits(engine, prompt), one))
    with capsys.disabled():
        print(f"\n{engine.id}: logits, cold against cold {between:.4f}, "  # noqa: T201 - the bound is of this run
              f"same batches {same:.6f}, other batches {max(grown):.4f}")

    assert same < CLOSE
    assert max(grown) <= max(1.5 * between, CLOSE)


# ---- nothing twice -------------------------------------------------------------------------------------------------

def test_a_council_reads_the_prefix_once_and_each_tail_once(tiny_core: Path) -> None:
    prompts = [asked(f"Answer as number {n}.") for n in range(8)]
    with opened(tiny_core) as engine:
        plans = [engine.plan(prompt, 1) for prompt in prompts]
        lasts = [list(stream)[-1] for stream in engine.stream_many(prompts, [replace(GREEDY, max_tokens=1)] * 8)]

        assert engine.lanes.read_tokens == len(plans[0].prefix) + sum(len(plan.tail) for plan in plans)
        assert [last.usage.reused for last in lasts if last.usage] == [0] + [len(plans[0].prefix)] * 7


def test_an_answer_by_an_adapter_is_read_again_once_and_in_idle_time_when_there_is_any(tiny_core: Path,
                                                                                      alora: Adapter) -> None:
    for idle in (False, True):
        with opened(tiny_core) as engine:
            prompt = asked()
            ids, _ = said(engine, replace(prompt, adapters=(alora,)))
            later = with_answer(replace(prompt, tail=()), tuple(ids), engine.id, "And peas?")
            if idle:
                past = tuple(segment for segment in later.prefix if segment.part != "errand")
                assert engine.prepare(replace(later, prefix=past)) >= len(ids)
            last = said(engine, later)[1]

            assert last.usage is not None
            assert last.usage.reread == (0 if idle else len(ids))


def test_a_plain_lora_keeps_its_own_prefix_warm(tiny_core: Path, lora: Adapter) -> None:
    with opened(tiny_core) as engine:
        with_lora = replace(asked(), adapters=(lora,))
        reused = [said(engine, prompt)[1].usage.reused for prompt in (with_lora, asked(), with_lora, asked())]

        assert reused == [0, 0, *[len(engine.plan(asked(), 1).prefix)] * 2]


def test_a_plain_lora_role_forgets_its_header_and_keeps_its_history(attention_core: Path, tmp_path: Path) -> None:
    """Its header is no part of the history, so its lane is cut where the two part, and holds each token once."""
    from tests import tiny

    lora = Adapter(str(tiny.adapter(tmp_path / "lora.gguf", attention_core)))
    with opened(attention_core) as engine, opened(attention_core) as cold:
        ids, _ = said(engine, replace(asked(), adapters=(lora,)))
        later = replace(with_answer(replace(asked(), tail=asked("").tail), tuple(ids), engine.id, "And peas?"),
                        adapters=(lora,), tail=asked().tail)
        last = said(engine, later)[1]

        assert last.usage is not None
        # Header and answer both open with <|im_start|>, so one token more is common.
        assert last.usage.reused == len(engine.plan(asked(), 1).prefix) + 1
        assert len([lane for lane in engine.lanes.lanes if lane.key]) == 1
        assert distance(logits(engine, later), cold_logits(cold, later)) < CLOSE


def test_more_cells_than_the_longest_prompt_keep_more_roles_warm(attention_core: Path, tmp_path: Path) -> None:
    from tests import tiny

    roles = [replace(asked(), adapters=(Adapter(str(tiny.adapter(tmp_path / f"{n}.gguf", attention_core, seed=n))),))
             for n in range(5)]
    kept = []
    for cells in (None, 4096):
        with opened(attention_core, n_ctx=512, cells=cells) as engine:
            assert engine.n_ctx == 512
            for _ in range(2):
                reused = [said(engine, role)[1].usage for role in roles]
            kept.append(sum(usage.reused > 0 for usage in reused if usage))

    assert kept[0] < kept[1] == 5


def test_warm_prefixes_stay_within_their_share_and_the_longest_unused_goes_first(attention_core: Path,
                                                                                 tmp_path: Path) -> None:
    from tests import tiny

    roles = [replace(asked(), adapters=(Adapter(str(tiny.adapter(tmp_path / f"{n}.gguf", attention_core, seed=n))),))
             for n in range(4)]
    with opened(attention_core, n_ctx=1024, warm=0.5) as engine:
        length = len(engine.plan(asked(), 1).prefix)
        room = 512 // (length + 60)
        for role in roles:
            said(engine, role)
        warm = {lane.key for lane in engine.lanes.lanes if lane.key}

        assert sum(len(lane.tokens) for lane in engine.lanes.lanes if lane.key) <= 512
        assert 1 <= room <= len(warm) < 4
        assert said(engine, roles[3])[1].usage.reused == length
        assert said(engine, roles[0])[1].usage.reused == 0


def test_a_constitution_is_shared_by_conversations_even_where_nothing_can_be_cut(hybrid_core: Path) -> None:
    """A recurrent state can only go on: so a lane is left where the next conversation begins."""
    def first(question: str) -> Prompt:
        made = asked("", [("system", HISTORY[0][1]), ("user", question)])
        head = tuple(replace(segment, part="constitution") for segment in made.prefix[:3])
        return replace(made, prefix=(*head, *made.prefix[3:]))

    with opened(hybrid_core) as engine:
        for question in ("When do I sow beans?", "How deep?", "What of snails?"):
            last = said(engine, first(question))[1]
        assert last.usage is not None
        assert last.usage.reused == sum(len(engine._ids(segment)) for segment in first("").prefix[:3])


# ---- room ----------------------------------------------------------------------------------------------------------

def test_more_answers_than_sequences_or_cells_are_written_in_turns(tiny_core: Path) -> None:
    prompts = [asked(f"Answer as number {n}.") for n in range(12)]
    alone = [fresh(tiny_core, prompt) for prompt in prompts]
    for settings in ({"n_seq": 5}, {"n_ctx": len(HISTORY[0][1]) + 250}):
        with opened(tiny_core, **settings) as engine:
            streams = engine.stream_many(prompts, [GREEDY] * 12)
            told = [list(stream)[-1] for stream in streams]
        assert [list(last.written.ids) if last.written else [] for last in told] == alone


def test_a_context_that_is_full_of_open_answers_says_so_and_recovers(attention_core: Path) -> None:
    with opened(attention_core, n_seq=3) as engine:
        held = [engine.stream(asked(f"Answer as number {n}."), GREEDY) for n in range(2)]
        first = [next(stream) for stream in held]
        with pytest.raises(ContextFull, match="in use"):
            next(engine.stream(asked("One more."), GREEDY))
        for stream in held:
            list(stream)
        assert all(piece.text for piece in first)
        assert said(engine, asked("One more."))[0] == fresh(attention_core, asked("One more."))


def test_one_that_is_too_long_fails_alone(tiny_core: Path) -> None:
    with opened(tiny_core) as engine:
        good, bad = engine.stream_many([asked(), asked("word " * 900)], [GREEDY] * 2)
        assert list(good)[-1].finish == "length"
        with pytest.raises(PromptTooLong):
            list(bad)


def test_old_lanes_make_room_for_new_conversations(tiny_core: Path) -> None:
    """Cells are found by giving up what was not used for longest; nobody sees an error."""
    with opened(tiny_core, n_ctx=512) as engine:
        for n in range(12):
            prompt = asked("Brief.", [("system", f"Number {n}. " * 12), ("user", "What now?")])
            assert said(engine, prompt)[1].finish == "length"


# ---- several at once, stopped and left ------------------------------------------------------------------------------

def test_answers_can_be_written_side_by_side_by_one_thread_and_by_many(tiny_core: Path, lora: Adapter) -> None:
    prompts = [asked(), replace(asked(), adapters=(lora,)), asked("Answer as the mentor.")]
    alone = [fresh(tiny_core, prompt) for prompt in prompts]
    with opened(tiny_core) as engine:
        streams = [engine.stream(prompt, GREEDY) for prompt in prompts]
        lasts: list[Any] = [None] * 3
        while streams:
            for n, stream in list(enumerate(streams)):
                lasts[n] = next(stream, None) or lasts[n]
            if all(last and last.finish for last in lasts):
                break
        assert [list(last.written.ids) for last in lasts] == alone

        told: list[list[int]] = [[] for _ in prompts]
        threads = [threading.Thread(target=lambda n=n: told.__setitem__(n, said(engine, prompts[n])[0]))
                   for n in range(3)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert told == alone


def test_an_answer_that_is_left_gives_its_lane_back(attention_core: Path) -> None:
    with opened(attention_core) as engine:
        stream = engine.stream(asked(), GREEDY)
        next(stream)
        assert [lane.busy for lane in engine.lanes.lanes].count(True) == 1
        del stream
        gc.collect()
        engine.sweep()
        assert not any(lane.busy for lane in engine.lanes.lanes)


def test_two_hundred_cancels_leak_nothing(tiny_core: Path, lora: Adapter, alora: Adapter) -> None:
    """Cancelled while reading, while writing, closed, or dropped: sequences come back and memory stays flat."""
    choice = random.Random(7)  # noqa: S311 - the same cancels each time
    adapters: list[tuple[Adapter, ...]] = [(), (lora,), (alora,)]
    with opened(tiny_core) as engine:
        expected = said(engine, asked())[0]
        process, sizes = psutil.Process(), []
        for n in range(200):
            asks, limit = [0], choice.randrange(14)

            def cancel(asks: list[int] = asks, limit: int = limit) -> bool:
                asks[0] += 1
                return asks[0] > limit

            prompt = replace(asked(f"Answer as number {choice.randrange(9)}."), adapters=choice.choice(adapters))
            stream = engine.stream(prompt, replace(GREEDY, temperature=1.0, seed=n), cancel=cancel)
            for _, piece in zip(range(choice.randrange(14)), stream, strict=False):
                assert piece.finish in (None, "cancelled", "length", "stop")
            if choice.random() < 0.5:
                stream.close()
            sizes.append(process.memory_info().rss)
        del stream
        gc.collect()
        engine.sweep()

        assert not any(lane.busy for lane in engine.lanes.lanes)
        assert len(engine.lanes._seqs) + len(engine.lanes.lanes) == (40 if engine.lanes.can_cut else 20)
        assert max(sizes[150:]) - max(sizes[30:60]) < 8 << 20
        assert said(engine, asked())[0] == expected


def test_each_answer_of_a_batch_has_its_own_sampling_and_grammar(tiny_core: Path) -> None:
    schema = {"type": "object", "properties": {"colour": {"enum": ["red", "green"]}}, "required": ["colour"]}
    with opened(tiny_core) as engine:
        hot = Sampling(temperature=1.2, seed=3, max_tokens=30)
        streams = engine.stream_many([asked()] * 3, [hot, replace(GREEDY, max_tokens=60), hot],
                                     schemas=[None, schema, None])
        texts = ["".join(piece.text for piece in stream) for stream in streams]

    assert texts[0] == texts[2]
    assert texts[1].replace(" ", "").replace("\n", "").startswith('{"colour":"')


def test_an_answer_with_a_control_token_in_it_is_not_continued_by_ids(attention_core: Path,
                                                                      monkeypatch: pytest.MonkeyPatch) -> None:
    """A core that writes `<|im_start|>` must not open a speaker in its own history."""
    with opened(attention_core) as engine:
        monkeypatch.setattr(engine.weights, "is_control", lambda _: True)
        assert list(engine.stream(asked(), GREEDY))[-1].written is None
