"""The loop learns what it says it learns, in batches as one by one, and can be stopped, killed and gone on with."""
from __future__ import annotations

import itertools
import math
import random
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Literal

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from transformers.cache_utils import DynamicLayer

from tests import tiny
from twin.errors import ModelError, UsageError
from twin.training import batches, checkpoint, lora, steps
from twin.training.base import Base
from twin.training.lora import Shape
from twin.training.steps import Run, Settings, Step
from twin.training.tokens import Encoded
from twin.types import never

QUICK = Settings(steps=12, rate=1e-2, batch=4, evaluate_every=4, checkpoint_every=5, threads=1)
HEADER = (tiny.IM_START, *b"a\n")


def encoded(prefix: bytes, answer: bytes) -> Encoded:
    tail = (*HEADER, *answer, tiny.IM_END)
    return Encoded(tuple(prefix), tail, (False,) * len(HEADER) + (True,) * (len(answer) + 1), len(answer))


def samples(n: int, seed: int = 0) -> list[Encoded]:
    """Answers of two kinds after prefixes of different lengths with one beginning."""
    chance = random.Random(seed)  # noqa: S311
    return [encoded(b"be brief. " + bytes(chance.choices(range(97, 123), k=chance.randint(1, 14))),
                    chance.choice([b"yes it is", b"no", b"perhaps it is so"])) for _ in range(n)]


@pytest.fixture(autouse=True)
def one_thread() -> None:
    torch.set_num_threads(1)


@pytest.fixture(scope="module", params=["qwen2", "llama"])
def core(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny.core(tmp_path_factory.mktemp("core") / f"{request.param}.gguf", request.param)


@pytest.fixture(scope="module")
def qwen(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny.core(tmp_path_factory.mktemp("core") / "qwen2.gguf")


def model_of(core: Path, kind: Literal["alora", "lora"] = "alora", *, acting: bool = False, **how: Any) -> Any:
    """The core with an adapter in it; `acting`: with one that has learned something already."""
    model = lora.put_in(Base.load(core, dtype="float32", device="cpu"), Shape(kind=kind, **how), 0)
    if acting:
        chance = torch.Generator().manual_seed(1)
        for name, weight in model.named_parameters():
            if "lora_B" in name:
                weight.data = torch.randn(weight.shape, generator=chance) * 0.1
    return model


def run_of(core: Path, folder: Path, settings: Settings = QUICK, *, kind: Literal["alora", "lora"] = "alora",
           learn: Sequence[Encoded] = (), held: Sequence[Encoded] = (), **rest: Any) -> Run:
    rest.setdefault("identity", {"rate": settings.rate})
    dropout = rest.pop("dropout", 0.0)
    return Run(model_of(core, kind, dropout=dropout), Shape(kind=kind, dropout=dropout), learn or samples(18, 1),
               held or samples(6, 2), settings, folder, **rest)


def weights(run: Run) -> dict[str, Any]:
    return {name: weight.detach().clone() for name, weight in run.model.named_parameters() if weight.requires_grad}


def same(one: dict[str, Any], other: dict[str, Any]) -> bool:
    return one.keys() == other.keys() and all(torch.equal(one[name], other[name]) for name in one)


def after(asked: int) -> Callable[[], bool]:
    """Cancels once it was asked so often."""
    count = itertools.count()
    return lambda: next(count) >= asked


# ---- batches -----------------------------------------------------------------------------------------------------

@pytest.mark.parametrize("kind", ["alora", "lora"])
def test_a_batch_of_different_lengths_costs_what_its_samples_cost_alone(core: Path, kind: Any) -> None:
    some = [*samples(5), encoded(b"be brief. ", b"x"), encoded(b"be brief. " + b"long " * 9, b"y" * 30)]
    model = model_of(core, kind, acting=True)
    losses = batches.Losses(model, kind, some)
    nats, tokens = losses(some)
    nats.backward()
    together = [weight.grad.clone() for weight in model.parameters() if weight.requires_grad]
    model.zero_grad()
    alone = [losses([one]) for one in some]
    sum(cost for cost, _ in alone).backward()
    apart = [weight.grad for weight in model.parameters() if weight.requires_grad]

    assert tokens == sum(count for _, count in alone) == sum(sum(one.learned) for one in some)
    assert float(nats.detach()) == pytest.approx(sum(float(cost.detach()) for cost, _ in alone), rel=1e-6)
    for one, other in zip(together, apart, strict=True):
        assert torch.allclose(one, other, atol=1e-4 * float(other.abs().max()) + 1e-7)


def test_a_plain_adapter_costs_what_transformers_says(core: Path) -> None:
    model, one = model_of(core, "lora", acting=True), samples(1)[0]
    ids = torch.tensor([[*one.prefix, *one.tail]])
    labels = torch.tensor([[*[-100] * len(one.prefix), *(token if yes else -100 for token, yes in zip(
        one.tail, one.learned, strict=True))]])
    nats, tokens = batches.Losses(model, "lora", [one])([one])

    assert float(nats.detach() / tokens) == pytest.approx(float(model(input_ids=ids, labels=labels).loss.detach()))


def test_an_activated_adapter_reads_the_prefix_with_the_adapter_off(core: Path) -> None:
    """By hand: the prefix with peft's own switch, the tail over its cache, all logits."""
    model, one = model_of(core, acting=True), samples(1)[0]
    with torch.no_grad():
        with model.disable_adapter():
            cache = model(torch.tensor([one.prefix]), use_cache=True).past_key_values
        logits = model(torch.tensor([one.tail]), past_key_values=cache).logits[0].log_softmax(-1)
    expected = -sum(float(logits[place - 1, token]) for place, (token, yes) in enumerate(
        zip(one.tail, one.learned, strict=True)) if yes)
    shared, _ = batches.Losses(model, "alora", [one])([one])
    whole, _ = batches.Losses(model, "lora", [one])([one])

    assert float(shared.detach()) == pytest.approx(expected, rel=1e-5)
    assert abs(float(whole.detach()) - expected) > 0.1


@pytest.mark.parametrize("room", [batches.KEPT, 0])
def test_the_vocabulary_is_projected_where_something_is_learned_and_prefixes_are_read_once_as_far_as_there_is_room(
        qwen: Path, monkeypatch: pytest.MonkeyPatch, room: int) -> None:
    monkeypatch.setattr(batches, "KEPT", room)
    model, some = model_of(qwen), samples(4)
    losses = batches.Losses(model, "alora", some)
    projected: list[int] = []
    read: list[int] = []
    losses.head.register_forward_hook(lambda _module, given, _out: projected.append(given[0].numel() // 32))
    losses.backbone.embed_tokens.register_forward_hook(lambda _module, given, _out: read.append(given[0].numel()))
    first, second = (float(losses(some)[0].detach()) for _ in range(2))
    common = len(b"be brief. ")
    rests = [len(one.prefix) - common for one in some]
    tails = 4 * max(len(one.tail) for one in some)

    assert len(losses.common) == common
    assert projected == [sum(sum(one.learned) for one in some)] * 2
    assert read == [common, *rests, tails, *([] if room else rests), tails]
    assert first == second


def test_gradient_checkpointing_is_refused_because_it_drops_the_prefix(qwen: Path) -> None:
    model, some = model_of(qwen), samples(2)
    model.gradient_checkpointing_enable()
    model.train()

    with pytest.raises(ModelError, match="With gradient checkpointing"):
        batches.Losses(model, "alora", some)(some)


def test_a_core_that_keeps_less_than_it_has_read_is_refused(qwen: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    model, some, real = model_of(qwen), samples(2), DynamicLayer.update

    def forgetful(self: Any, keys: Any, values: Any, *rest: Any, **more: Any) -> Any:
        read = real(self, keys, values, *rest, **more)
        self.keys, self.values = (kept[:, :, -4:] for kept in read)
        return read

    monkeypatch.setattr(DynamicLayer, "update", forgetful)
    with pytest.raises(ModelError, match="kept 4 of 10 tokens"):
        batches.Losses(model, "alora", some)(some)


def test_a_sample_that_cannot_be_learned_this_way_is_refused(qwen: Path) -> None:
    model = model_of(qwen)
    for kind, odd in (("alora", Encoded((1,), (2, 3), (True, True), 1)), ("lora", Encoded((), (2, 3), (True, True), 1)),
                      ("alora", Encoded((1,), (2, 3), (False, False), 1))):
        with pytest.raises(UsageError, match="Encode samples"):
            batches.Losses(model, kind, [odd])  # type: ignore[arg-type]
    assert batches.Losses(model, "lora", [Encoded((1,), (2, 3), (True, True), 1)]).common == ()


@given(st.lists(st.integers(1, 40), min_size=1, max_size=90), st.integers(1, 9), st.integers(0, 3))
def test_an_epoch_is_every_sample_once_and_follows_from_seed_and_number(lengths: list[int], batch: int,
                                                                        epoch: int) -> None:
    some = [encoded(b"a", b"b" * length) for length in lengths]
    made = batches.order(some, batch, 7, epoch)

    assert sorted(itertools.chain(*made)) == list(range(len(some)))
    assert len(made) == math.ceil(len(some) / batch)
    assert made == batches.order(some, batch, 7, epoch)


def test_each_epoch_is_another_order_and_batches_hold_similar_lengths() -> None:
    chance = random.Random(0)  # noqa: S311
    some = [encoded(b"a", b"b" * chance.randint(1, 60)) for _ in range(64)]
    epochs = [batches.order(some, 8, 0, epoch) for epoch in range(3)]

    assert len({str(epoch) for epoch in (*epochs, batches.order(some, 8, 1, 0))}) == 4
    padded = sum(len(group) * max(len(some[place].tail) for place in group) for group in epochs[0])
    assert padded < 1.15 * sum(len(one.tail) for one in some)


# ---- steps -------------------------------------------------------------------------------------------------------

def test_the_rate_rises_for_a_twentieth_and_falls_to_a_tenth() -> None:
    settings = Settings(steps=200, rate=1.0)
    rates = [steps.rate_at(step, settings) for step in range(200)]

    assert rates[:10] == pytest.approx([n / 10 for n in range(1, 11)])
    assert rates[10] == pytest.approx(1.0) and rates[105] == pytest.approx(0.55)
    assert rates[10:] == sorted(rates[10:], reverse=True) and rates[-1] == pytest.approx(0.1, abs=0.001)
    assert 0 < steps.rate_at(0, Settings(steps=1, rate=1.0)) <= 1.0


@pytest.mark.parametrize("kind", ["alora", "lora"])
def test_held_out_words_are_foreseen_better_and_only_the_adapter_has_learned(core: Path, tmp_path: Path,
                                                                            kind: Any) -> None:
    run = run_of(core, tmp_path, kind=kind)
    frozen = {name: weight.clone() for name, weight in run.model.named_parameters() if not weight.requires_grad}
    seen = list(run)

    assert [step.step for step in seen] == list(range(13))
    assert [step.step for step in seen if step.held_bits is not None] == [0, 4, 8, 12]
    assert seen[0].loss is None and all(step.loss and step.loss > 0 for step in seen[1:])
    assert run.best[1] < 0.8 * run.before
    assert all(torch.equal(weight, frozen[name]) for name, weight in run.model.named_parameters() if name in frozen)
    assert {weight.dtype for weight in weights(run).values()} == {torch.float32}


def test_bits_a_character_are_those_of_the_learned_tokens_over_the_characters(qwen: Path, tmp_path: Path) -> None:
    run, held = run_of(qwen, tmp_path), samples(6, 2)
    nats = sum(float(batches.Losses(model_of(qwen), "alora", [one])([one])[0].detach()) for one in held)
    first = next(iter(run))

    assert first.held_bits == pytest.approx(nats / math.log(2) / sum(one.characters for one in held))


def test_time_left_is_told_from_the_second_step_on_and_ends_at_nothing(qwen: Path, tmp_path: Path) -> None:
    seen = list(run_of(qwen, tmp_path))

    assert [step.left is None for step in seen[:3]] == [True, True, False]
    assert seen[2].left is not None and seen[2].left > 0 and seen[-1].left == 0


def test_the_best_weights_are_kept_not_the_last(qwen: Path, tmp_path: Path) -> None:
    """What is learned is the opposite of what is held out: every step makes it worse."""
    learn, held = [encoded(b"q", b"aaaaaaaa")] * 8, [encoded(b"q", b"zzzzzzzz")] * 2
    settings = Settings(steps=40, rate=3e-2, batch=4, evaluate_every=2, patience=2, threads=1)
    run = run_of(qwen, tmp_path, settings, learn=learn, held=held)
    untouched = weights(run)
    seen = list(run)

    assert run.best == (0, run.before)
    assert seen[-1].step == 4 and run.finished  # patience: two looks without a new best
    assert not same(weights(run), untouched)
    assert run.keep_best() == 0 and same(weights(run), untouched)


def test_a_rate_that_is_too_high_is_named_and_its_weights_are_not_saved(qwen: Path, tmp_path: Path) -> None:
    run = run_of(qwen, tmp_path, Settings(steps=20, rate=1e30, batch=4, evaluate_every=0, checkpoint_every=0))
    with pytest.raises(ModelError, match=r"3 steps in a row.* Lower --rate \(1e\+30 now\)"):
        list(run)

    assert run.skipped == 3
    assert checkpoint.last(tmp_path) is None
    run.keep_best()
    assert all(bool(weight.isfinite().all()) for weight in weights(run).values())


def test_one_batch_without_a_finite_loss_is_skipped(qwen: Path, tmp_path: Path,
                                                    monkeypatch: pytest.MonkeyPatch) -> None:
    run = run_of(qwen, tmp_path)
    real, calls = run._losses, itertools.count()

    def odd(batch: Sequence[Encoded]) -> tuple[Any, int]:
        nats, tokens = real(batch)
        return (nats * math.nan if torch.is_grad_enabled() and next(calls) == 1 else nats), tokens

    monkeypatch.setattr(run, "_losses", odd)
    before: list[dict[str, Any]] = []
    seen: list[Step] = []
    for step in run:
        before.append(weights(run))
        seen.append(step)

    assert [step.step for step in seen if step.loss is None] == [0, 2]
    assert same(before[1], before[2]) and not same(before[2], before[3])
    assert run.skipped == 1 and run.best[1] < run.before


def test_too_long_samples_are_left_out_and_none_left_is_an_error(qwen: Path, tmp_path: Path) -> None:
    long = encoded(b"be brief. ", b"y" * 200)
    run = run_of(qwen, tmp_path, Settings(max_tokens=60), learn=[*samples(3), long], held=[long, *samples(2)])

    assert (len(run.learn), len(run.held)) == (3, 2)
    with pytest.raises(UsageError, match="learn from fits 60 tokens"):
        run_of(qwen, tmp_path, Settings(max_tokens=60), learn=[long])
    with pytest.raises(UsageError, match="measure by fits 60 tokens"):
        run_of(qwen, tmp_path, Settings(max_tokens=60), held=[long])


def test_held_out_samples_are_the_same_few_spread_evenly() -> None:
    held = [encoded(b"a", b"b" * n) for n in range(1, 21)]
    _, measured = steps.chosen(held, held, Settings(evaluate_on=6))

    assert [one.characters for one in measured] == [1, 5, 9, 13, 17]


@pytest.mark.parametrize("wrong", [{"steps": 0}, {"batch": 0}, {"rate": 0.0}, {"rate": math.nan}, {"rate": math.inf},
                                   {"patience": 0}, {"threads": -1}, {"evaluate_every": -1}])
def test_settings_that_cannot_be_trained_with_are_refused_by_name(wrong: dict[str, Any]) -> None:
    with pytest.raises(UsageError, match=f"--{next(iter(wrong)).replace('_', '-')} "):
        Settings(**wrong)


# ---- stopped, and gone on with -----------------------------------------------------------------------------------

@pytest.mark.parametrize("dropout", [0.0, 0.3])
def test_gone_on_with_is_bit_for_bit_an_uninterrupted_run(core: Path, tmp_path: Path, dropout: float) -> None:
    whole = run_of(core, tmp_path / "whole", dropout=dropout)
    list(whole)
    for stop in (1, 4, 3, 4):
        part = run_of(core, tmp_path / "parts", dropout=dropout, cancel=after(stop))
        list(part)
        assert not part.finished
    parts = run_of(core, tmp_path / "parts", dropout=dropout)
    rest = list(parts)

    assert rest[0].step > 3 and rest[-1].step == 12
    assert same(weights(whole), weights(parts)) and whole.curve == parts.curve
    assert parts.keep_best() == whole.keep_best() and same(weights(whole), weights(parts))
    assert parts.seconds > sum(step.seconds for step in rest)


def test_stopped_at_any_moment_it_keeps_the_best_so_far(qwen: Path, tmp_path: Path) -> None:
    whole = run_of(qwen, tmp_path / "whole")
    list(whole)
    for asked in (0, 1, 2, 3, 5, 7, 8, 9, 14):
        run = run_of(qwen, tmp_path / str(asked), cancel=after(asked))
        list(run)
        assert run.curve == whole.curve[:len(run.curve)]
        if run.curve:
            assert run.keep_best() == run.best[0]
        saved = checkpoint.last(tmp_path / str(asked))
        assert (saved.step if saved else 0) == run.step


def test_whoever_leaves_the_iteration_can_go_on_from_there(qwen: Path, tmp_path: Path) -> None:
    for step in run_of(qwen, tmp_path):
        if step.step == 7:
            break

    assert next(iter(run_of(qwen, tmp_path))).step == 8


def test_a_finished_run_does_nothing_more(qwen: Path, tmp_path: Path) -> None:
    first = run_of(qwen, tmp_path)
    list(first)
    again = run_of(qwen, tmp_path)

    assert list(again) == [] and again.finished
    first.keep_best()
    again.keep_best()
    assert same(weights(first), weights(again))


def test_another_runs_checkpoint_is_refused_with_the_reason_or_replaced(qwen: Path, tmp_path: Path) -> None:
    list(run_of(qwen, tmp_path, cancel=after(6), identity={"base": "a" * 64, "rate": 0.01, "seed": 0}))
    other = {"base": "b" * 64, "rate": 0.02, "seed": 0}
    with pytest.raises(UsageError, match=r"base aaaaaaaaaaaa there, bbbbbbbbbbbb here; rate 0.01 there, 0.02 here\. .*"
                                         "--fresh"):
        run_of(qwen, tmp_path, identity=other)
    fresh = run_of(qwen, tmp_path, identity=other, fresh=True)

    assert fresh.step == 0 and checkpoint.last(tmp_path) is None


def test_torch_is_left_as_it_was(qwen: Path, tmp_path: Path) -> None:
    torch.set_default_dtype(torch.float64)
    torch.set_num_threads(2)
    torch.manual_seed(5)
    try:
        expected = torch.get_rng_state()
        with torch.no_grad():
            for _ in run_of(qwen, tmp_path, dropout=0.2):
                state = torch.get_default_dtype(), torch.get_num_threads(), torch.is_grad_enabled()
                assert state == (torch.float64, 2, False)
                assert torch.equal(torch.get_rng_state(), expected)
    finally:
        torch.set_default_dtype(torch.float32)


def test_progress_tells_of_steps_and_of_looks_at_held_out_words(qwen: Path, tmp_path: Path) -> None:
    told: list[tuple[str, int, int | None]] = []
    list(run_of(qwen, tmp_path, progress=lambda *what: told.append(what)))

    assert [what for what in told if what[0] == "training"] == [("training", n, 12) for n in range(1, 13)]
    assert told[:2] == [("held-out words", 0, 2), ("held-out words", 1, 2)]
    assert never() is False
