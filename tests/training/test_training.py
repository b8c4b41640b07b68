"""From samples to an adapter that llama.cpp runs: told before, gone on with after a kill, refused with the reason."""
from __future__ import annotations

import errno
import gc
import json
import math
import multiprocessing
import random
import shutil
import stat
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

import pytest
import torch

from tests import tiny
from tests.training.test_steps import QUICK, after, samples
from twin import prompt, training
from twin.engine.llama import LlamaEngine
from twin.errors import CannotDo, HomeFull, ModelError, TwinError, UsageError
from twin.training import adapter_file, batches, checkpoint, cost, lora, tokens
from twin.training.base import Base
from twin.training.lora import Shape
from twin.training.steps import Settings
from twin.types import Adapter, Prompt, to_plain

SHAPE = Shape(targets=("q", "v", "o"), rank=4)
EXACT = replace(QUICK, dtype="float32", device="cpu")


@pytest.fixture(autouse=True)
def one_thread() -> None:
    torch.set_num_threads(1)


@pytest.fixture(scope="module")
def core(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny.core(tmp_path_factory.mktemp("core") / "qwen2.gguf")


def planned(core: Path, settings: Settings = EXACT, *, shape: Shape = SHAPE, learn: Any = None,
            held: Any = None) -> training.Plan:
    return training.plan(core, learn or samples(18, 1), held or samples(6, 2), shape=shape, settings=settings)


@pytest.fixture(scope="module")
def whole(core: Path, tmp_path_factory: pytest.TempPathFactory) -> training.Trained:
    """A run that nothing interrupted."""
    torch.set_num_threads(1)
    return training.train(planned(core), tmp_path_factory.mktemp("whole"))


def files(folder: Path) -> set[str]:
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}


# ---- what comes of it --------------------------------------------------------------------------------------------

def test_what_was_trained_says_how_and_is_its_owners_alone(core: Path, whole: training.Trained) -> None:
    said, place = whole.manifest, whole.adapter.parent

    assert (whole.steps, whole.useful) == (12, True) and whole.after < whole.before
    assert [step for step, _ in whole.curve] == [0, 4, 8, 12]
    assert (said["samples"], said["held"], said["seed"], said["kind"]) == (18, 6, 0, "alora")
    assert said["base"] == Base.load(core).sha256 and set(said["versions"]) == {"torch", "transformers", "peft"}
    assert said == checkpoint.manifest(place)
    assert said["files"]["adapter.gguf"] == whole.sha256
    assert files(place) == {"adapter.gguf", "peft/adapter_config.json", "peft/adapter_model.safetensors",
                            "manifest.json"}
    assert {stat.S_IMODE(path.stat().st_mode) for path in (place, *place.rglob("*"))} == {0o600, 0o700}
    assert stat.S_IMODE(whole.adapter.stat().st_mode) == 0o600
    assert 50e6 < whole.peak_bytes < 100e9


def test_the_same_seed_gives_the_same_bytes_and_another_one_others(core: Path, whole: training.Trained,
                                                                   tmp_path: Path) -> None:
    again = training.train(planned(core), tmp_path / "again")
    other = training.train(planned(core, replace(EXACT, seed=1)), tmp_path / "other")

    assert again.adapter.read_bytes() == whole.adapter.read_bytes()
    assert again.curve == whole.curve and other.sha256 != whole.sha256


@pytest.mark.parametrize("arch", ["qwen2", "llama"])
@pytest.mark.parametrize("kind", ["alora", "lora"])
def test_llama_cpp_foresees_with_the_adapter_what_the_loop_says_it_does(tmp_path: Path, arch: str,
                                                                       kind: Literal["alora", "lora"]) -> None:
    """The same bits for each held-out answer: a prefix read without it, and the tail with it, here and there."""
    path = tiny.core(tmp_path / "core.gguf", arch, n_embd=64)
    words = [("where are you?", "yes it is so"), ("", "perhaps not"), ("а что у тебя нового?", "да, ничего"),
             ("tell me", "it is so")]
    with closing(LlamaEngine(path, n_ctx=1024, n_threads=1, trusted=True)) as engine:
        def ask(context: str, answer: str, adapters: tuple[Adapter, ...] = ()) -> Prompt:
            return prompt.example(engine.family, context=context, answer=answer, header="Be brief.", adapters=adapters,
                                  constitution="One person.")

        some = [tokens.encode(ask(*pair), engine.tokenize) for pair in words]
        shape = Shape(kind=kind, rank=4)
        trained = training.train(planned(path, replace(EXACT, rate=3e-2), shape=shape, learn=some * 4, held=some),
                                 tmp_path / "run")
        acting = (Adapter(str(trained.adapter), kind=kind),)
        scores = [engine.score(ask(context, "", acting), answer) for context, answer in words]
        alone = [engine.score(ask(context, ""), answer) for context, answer in words]
    model = lora.put_in(Base.load(path, dtype="float32", device="cpu"), shape, seed=9)
    lora.load_into(model, adapter_file.read_gguf(trained.adapter).matrices)
    unended = [replace(one, learned=(*one.learned[:-1], False)) for one in some]  # `score` leaves out the end
    losses = batches.Losses(model, kind, unended)

    for score, one in zip(scores, unended, strict=True):
        with torch.no_grad():
            nats, _ = losses([one])
        assert float(nats) / math.log(2) == pytest.approx(sum(score.bits), rel=2e-3)
    assert sum(sum(score.bits) for score in scores) < 0.8 * sum(sum(score.bits) for score in alone)


def test_an_adapter_that_foresees_nothing_better_is_marked_useless(core: Path, tmp_path: Path) -> None:
    learn, held = samples(8, 1), [replace(one, tail=(*one.tail[:-2], 7, one.tail[-1])) for one in samples(3, 2)]
    trained = training.train(planned(core, replace(EXACT, rate=0.5, patience=1), learn=learn, held=held), tmp_path)

    assert not trained.useful and trained.after == trained.before and trained.manifest["best_step"] == 0
    assert trained.manifest["useful"] is False and "of no use" in trained.manifest["note"]
    read = adapter_file.read_gguf(trained.adapter)
    assert all(not b.any() for _, b in read.matrices.values())


def test_invocation_tokens_and_a_description_are_carried(core: Path, tmp_path: Path) -> None:
    trained = training.train(planned(core), tmp_path, invocation=[tiny.IM_START], description={"name": "mine"})
    read = adapter_file.read_gguf(trained.adapter)

    assert (read.invocation, read.description) == ((tiny.IM_START,), {"general.name": "mine"})


# ---- stopped, killed, refused ------------------------------------------------------------------------------------

def test_stopped_it_keeps_the_best_so_far_and_goes_on_to_the_same_bytes(core: Path, whole: training.Trained,
                                                                       tmp_path: Path) -> None:
    seen: list[int] = []
    part = training.train(planned(core), tmp_path, watch=lambda step: seen.append(step.step), cancel=after(9))
    rest = training.train(planned(core), tmp_path, watch=lambda step: seen.append(step.step))

    assert 4 <= part.steps < 12 and part.after == min(bits for _, bits in part.curve)
    assert seen == list(range(13))
    assert (rest.sha256, rest.curve) == (whole.sha256, whole.curve) and part.sha256 != whole.sha256
    assert rest.adapter == part.adapter and checkpoint.manifest(rest.adapter.parent) == rest.manifest
    assert rest.seconds > part.seconds


def test_stopped_before_its_first_step_there_is_no_adapter(core: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="nothing was learned"):
        training.train(planned(core), tmp_path, cancel=lambda: True)

    assert files(tmp_path) == set()


@pytest.fixture(scope="module")
def begun(core: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run that was stopped after five steps. To be copied."""
    torch.set_num_threads(1)
    folder = tmp_path_factory.mktemp("begun")
    training.train(planned(core), folder, cancel=after(5))
    return folder


@pytest.mark.parametrize(("other", "reason"), [
    ({"settings": replace(EXACT, rate=2e-2)}, "rate 0.01 there, 0.02 here"),
    ({"shape": replace(SHAPE, rank=2)}, "rank 4 there, 2 here"),
    ({"learn": samples(18, 5)}, "data "), ({"held": samples(6, 5)}, "data "),
])
def test_a_checkpoint_of_something_else_is_refused_with_the_reason(core: Path, begun: Path, tmp_path: Path,
                                                                   other: dict[str, Any], reason: str) -> None:
    run = shutil.copytree(begun, tmp_path / "run")
    with pytest.raises(UsageError, match=reason):
        training.train(planned(core, **other), run)

    assert training.train(planned(core, **other), run, fresh=True, cancel=after(3)).steps < 4


def test_a_checkpoint_of_another_base_is_refused(begun: Path, tmp_path: Path) -> None:
    shutil.copytree(begun, tmp_path / "run")
    with pytest.raises(UsageError, match=r"something else: base \w+ there, \w+ here\."):
        training.train(planned(tiny.core(tmp_path / "other.gguf", seed=3)), tmp_path / "run")


def test_how_often_it_saves_may_change_when_it_goes_on(core: Path, whole: training.Trained, tmp_path: Path) -> None:
    training.train(planned(core), tmp_path, cancel=after(9))
    done = training.train(planned(core, replace(EXACT, checkpoint_every=3)), tmp_path)

    assert done.sha256 == whole.sha256


def test_a_disk_that_fills_up_while_the_adapter_is_written_leaves_none_and_the_run_is_not_lost(
        core: Path, whole: training.Trained, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_rest: Any, **_more: Any) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(adapter_file, "write_peft", full)
        with pytest.raises(HomeFull, match="free some space"):
            training.train(planned(core), tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["step-00000012"]

    steps: list[Any] = []
    assert training.train(planned(core), tmp_path, watch=steps.append).sha256 == whole.sha256
    assert steps == []


@pytest.fixture
def killed(core: Path) -> Iterator[Callable[[Path, float], None]]:
    """Trains in a child that is killed so many seconds after its first step. Forked: importing torch takes seconds."""
    context = multiprocessing.get_context("fork")
    often = replace(EXACT, steps=60, evaluate_every=4, patience=99, checkpoint_every=1)

    def run(folder: Path, wait: float) -> None:
        begun = context.Event()
        child = context.Process(target=lambda: training.train(planned(core, often), folder,
                                                              watch=lambda _step: begun.set()))
        child.start()
        assert begun.wait(60)
        time.sleep(wait)
        child.kill()
        child.join()

    yield run


@pytest.mark.slow
def test_killed_at_any_moment_nothing_broken_can_be_loaded_and_it_goes_on_to_the_same_bytes(
        core: Path, tmp_path: Path, killed: Callable[[Path, float], None]) -> None:
    chance, done = random.Random(4), []  # noqa: S311
    (tmp_path / "killed").mkdir()
    for _ in range(5):
        killed(tmp_path / "killed", chance.uniform(0.0, 0.3))
        saved = checkpoint.last(tmp_path / "killed")
        done.append(saved.step if saved else 0)
        for place in (tmp_path / "killed").iterdir():
            if not place.name.startswith("."):
                assert checkpoint.manifest(place) is not None
    often = planned(core, replace(EXACT, steps=60, evaluate_every=4, patience=99, checkpoint_every=1))
    seen: list[int] = []
    rest = training.train(often, tmp_path / "killed", watch=lambda step: seen.append(step.step))
    alone = training.train(often, tmp_path / "alone")

    assert done == sorted(done) and done[-1] > 0
    assert seen == [] or done[-1] <= seen[0] <= done[-1] + 1
    assert (rest.sha256, rest.curve) == (alone.sha256, alone.curve)
    assert {path.name for path in (tmp_path / "killed").iterdir()} == {"step-00000060", "adapter"}


# ---- told before -------------------------------------------------------------------------------------------------

def test_a_plan_loads_nothing_and_grows_with_what_is_asked(core: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Base, "load", lambda *_rest, **_more: pytest.fail("loaded"))
    monkeypatch.setattr(cost, "_speed", lambda *_rest: 1e9)
    first = planned(core)

    assert planned(core, replace(EXACT, steps=120)).seconds > 8 * first.seconds > 0
    assert planned(core, replace(EXACT, batch=8)).seconds_a_step > 1.5 * first.seconds_a_step
    assert planned(core, shape=replace(SHAPE, kind="lora")).memory_bytes > first.memory_bytes > 0
    assert planned(core, shape=replace(SHAPE, rank=40)).disk_bytes > first.disk_bytes > 0
    assert planned(core, shape=replace(SHAPE, kind="lora")).seconds > first.seconds


def test_a_plan_is_told_in_words_and_carries_no_sample(core: Path) -> None:
    told = planned(core)

    assert "for all 12 steps" in str(told) and "GB of memory" in str(told) and "MB on the disk" in str(told)
    assert to_plain(told)["task"] == "Task(qwen2.gguf, 18 to learn, 6 to measure by)"
    assert len(json.dumps(to_plain(told))) < 500


def test_more_memory_than_there_is_is_refused_before_anything_is_loaded(core: Path, tmp_path: Path,
                                                                       monkeypatch: pytest.MonkeyPatch) -> None:
    ready = planned(core)
    monkeypatch.setattr(Base, "load", lambda *_rest, **_more: pytest.fail("loaded"))
    names = r"--batch \(4 now\), then --max-tokens \(512\) or --rank \(4\).*--dtype bfloat16"
    monkeypatch.setattr(cost, "free_bytes", lambda _device: 1_000_000)
    with pytest.raises(ModelError, match=names):
        training.train(ready, tmp_path)
    monkeypatch.setattr("twin.machine.memory_bytes", lambda: 1_000_000)
    with pytest.raises(ModelError, match=names):
        planned(core)


def test_less_room_than_it_needs_is_refused_before_anything_is_loaded(core: Path, tmp_path: Path,
                                                                     monkeypatch: pytest.MonkeyPatch) -> None:
    ready = planned(core)
    monkeypatch.setattr(Base, "load", lambda *_rest, **_more: pytest.fail("loaded"))
    monkeypatch.setattr("shutil.disk_usage", lambda _place: type("Usage", (), {"free": 1000})())

    with pytest.raises(HomeFull, match="lower --rank"):
        training.train(ready, tmp_path / "a" / "b")
    with pytest.raises(HomeFull, match="Free some space"):
        training.plan(core, samples(4), samples(2), shape=SHAPE, settings=EXACT, folder=tmp_path)


def test_the_memory_of_the_model_is_free_again(core: Path, tmp_path: Path) -> None:
    def alive() -> int:
        gc.collect()
        return sum(issubclass(type(one), torch.nn.Module) for one in gc.get_objects())

    before = alive()
    training.train(planned(core), tmp_path)

    assert alive() <= before


def test_memory_that_runs_out_all_the_same_is_named(core: Path, tmp_path: Path,
                                                    monkeypatch: pytest.MonkeyPatch) -> None:
    def out(*_rest: Any, **_more: Any) -> None:
        raise RuntimeError("CUDA out of memory. Tried to allocate 2 GiB")

    monkeypatch.setattr(batches.Losses, "__call__", out)
    with pytest.raises(ModelError, match="Lower --batch"):
        training.train(planned(core), tmp_path)


def test_a_core_that_cannot_be_trained_is_refused_when_it_is_planned(tmp_path: Path) -> None:
    with pytest.raises(CannotDo, match="qwen3moe"):
        planned(tiny.core(tmp_path / "moe.gguf", "qwen3moe", n_embd=64))


def test_nothing_to_learn_is_refused_when_it_is_planned(core: Path) -> None:
    for learn, held in (([], samples(2)), (samples(2), [])):
        with pytest.raises(TwinError, match="fits 512 tokens"):
            training.plan(core, learn, held, shape=SHAPE, settings=EXACT)


def test_free_memory_is_less_than_all_and_more_than_nothing() -> None:
    from twin import machine

    assert 0 < cost.free_bytes("cpu") <= machine.memory_bytes()


def test_importing_the_room_loads_nothing_heavy() -> None:
    script = ("import sys, twin.training, twin.training.steps, twin.training.checkpoint\n"
              "print([name for name in ('torch', 'transformers', 'peft', 'safetensors') if name in sys.modules])")
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)

    assert done.stdout == "[]\n"
