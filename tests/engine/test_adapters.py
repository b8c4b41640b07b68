"""Adapters over one base: loaded when first used, switched by scale, kept while files move, freed without the base."""
from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from tests import tiny
from tests.engine.cold import GREEDY, asked, cold_logits, distance, logits, opened, said
from twin.errors import ModelBroken, ModelMissing, UsageError
from twin.types import Adapter


def adapter(folder: Path, base: Path, seed: int = 1, **how: object) -> Adapter:
    return Adapter(str(tiny.adapter(folder / f"{seed}.gguf", base, seed=seed, **how)))  # type: ignore[arg-type]


def test_a_scale_changes_without_reloading(tiny_core: Path, lora: Adapter) -> None:
    with opened(tiny_core) as engine:
        scales = (0.0, 0.25, 1.0)
        told = [logits(engine, replace(asked(), adapters=(replace(lora, scale=scale),))) for scale in scales]

        assert len(engine.weights.loaded) == 1
        assert distance(told[0], logits(engine, asked())) == 0.0
        assert distance(told[0], told[1]) < distance(told[0], told[2])


def test_a_loaded_adapter_survives_its_file_being_renamed(tiny_core: Path, lora: Adapter, tmp_path: Path) -> None:
    with opened(tiny_core) as engine:
        prompt = replace(asked(), adapters=(lora,))
        before = said(engine, prompt)[0]
        moved = Path(lora.path).rename(tmp_path / "moved.gguf")

        assert said(engine, prompt)[0] == before
        assert said(engine, replace(prompt, adapters=(replace(lora, path=str(moved)),)))[0] == before
        assert len(engine.weights.loaded) == 1, "the same content is the same adapter"


def test_another_file_at_the_same_place_is_another_adapter(tiny_core: Path, lora: Adapter) -> None:
    """Trained anew in place: what was read with the old one must not be taken for the new one's."""
    with opened(tiny_core) as engine:
        prompt = replace(asked(), adapters=(lora,))
        old = logits(engine, prompt)
        tiny.adapter(Path(lora.path), tiny_core, seed=9)
        new = logits(engine, prompt)
        assert distance(old, new) > 1e-2
    with opened(tiny_core) as other:
        assert distance(new, cold_logits(other, prompt)) < 1e-3


def test_unloading_frees_the_adapter_and_keeps_the_base(tiny_core: Path, lora: Adapter) -> None:
    with opened(tiny_core) as engine:
        prompt = replace(asked(), adapters=(lora,))
        said(engine, asked())
        expected = said(engine, prompt)[0]
        engine.unload(lora)

        assert engine.weights.loaded == ()
        assert said(engine, asked())[1].usage.reused == len(engine.plan(asked(), 1).prefix)
        again, last = said(engine, prompt)
        assert (again, last.usage.reused) == (expected, 0)


def test_an_adapter_is_not_unloaded_under_an_answer(tiny_core: Path, lora: Adapter) -> None:
    with opened(tiny_core) as engine:
        stream = engine.stream(replace(asked(), adapters=(lora,)), GREEDY)
        next(stream)
        with pytest.raises(UsageError, match="being written"):
            engine.unload(lora)
        assert list(stream)[-1].finish == "length"


def test_an_activated_lora_acts_from_its_invocation_on(tiny_core: Path, tmp_path: Path) -> None:
    """All before is shared with everybody; where its words are missing it cannot act, and that is said."""
    acts = adapter(tmp_path, tiny_core, 4, kind="alora", invocation=list(b"critic"))
    with opened(tiny_core) as engine:
        prompt = replace(asked("Answer as the critic."), adapters=(acts,))
        plan = engine.plan(prompt, 1)

        assert (plan.first, [name for name, _ in plan.then]) == ((), list(engine.weights.loaded))
        assert bytes(token for token in plan.tail[:6]) == b"critic"
        assert plan.head
        with pytest.raises(UsageError, match="invocation"):
            engine.plan(replace(asked("Answer as the mentor."), adapters=(acts,)), 1)


def test_an_activated_lora_without_an_invocation_takes_the_whole_tail(tiny_core: Path, lora: Adapter) -> None:
    """The way adapters are trained here: the prefix by the base weights, the tail with the adapter."""
    with opened(tiny_core) as engine:
        prompt = replace(asked(), adapters=(replace(lora, kind="alora"),))
        plan = engine.plan(prompt, 1)
        assert (plan.first, plan.head) == ((), [])
        assert distance(logits(engine, prompt), cold_logits(engine, prompt)) < 1e-3
        assert distance(logits(engine, prompt), logits(engine, replace(prompt, adapters=(lora,)))) > 1e-3


def test_two_adapters_and_a_control_vector_act_together(attention_core: Path, tmp_path: Path) -> None:
    one, two = adapter(tmp_path, attention_core, 1), adapter(tmp_path, attention_core, 2)
    steer = Adapter(str(tiny.control_vector(tmp_path / "steer.gguf", n_embd=64, strength=0.5)), 0.8)
    with opened(attention_core) as engine:
        told = [logits(engine, replace(asked(), adapters=chosen))
                for chosen in ((), (one,), (two,), (one, two), (steer,), (one, steer))]
        for n, other in enumerate(told):
            assert min(distance(other, rest) for m, rest in enumerate(told) if m != n) > 1e-3
        swapped = logits(engine, replace(asked(), adapters=(two, one)))
        assert distance(swapped, told[3]) == 0.0, "the order in which they are named does not count"
        assert distance(logits(engine, asked()), cold_logits(engine, asked())) < 1e-3


def test_an_adapter_of_another_core_is_refused_with_the_loaders_reason(attention_core: Path, tmp_path: Path) -> None:
    other = tiny.core(tmp_path / "other.gguf", "llama")
    with opened(attention_core) as engine:
        with pytest.raises(ModelBroken, match=r"1\.gguf cannot be"):
            said(engine, replace(asked(), adapters=(adapter(tmp_path, other),)))
        with pytest.raises(ModelMissing, match="no adapter"):
            said(engine, replace(asked(), adapters=(Adapter(str(tmp_path / "none.gguf")),)))
        broken = tmp_path / "broken.gguf"
        broken.write_bytes(Path(adapter(tmp_path, attention_core, 5).path).read_bytes()[:900])
        with pytest.raises(ModelBroken, match=r"broken\.gguf"):
            said(engine, replace(asked(), adapters=(Adapter(str(broken)),)))
        assert said(engine, asked())[1].finish == "length", "the base goes on"
