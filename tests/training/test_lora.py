"""An adapter in torch and the same one in llama.cpp: equal logits for each family; what GGUF cannot carry is said."""
from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests import tiny
from tests.conftest import core_path
from tests.engine.cold import distance
from tests.training.parity import by_llama, by_torch, cut, ids, opened, stir, tail_by_torch
from twin.errors import CannotDo, UsageError
from twin.training import adapter_file, lora
from twin.training.base import GGUF_OF, Base
from twin.training.lora import Shape
from twin.types import Adapter

EVERYTHING = tuple(GGUF_OF)
KINDS: list[dict[str, Any]] = [
    {"arch": "llama", "n_head_kv": 4}, {"arch": "llama", "n_head_kv": 2, "tied": True},
    {"arch": "qwen2"}, {"arch": "qwen3", "head_size": 32},
]


def written(path: Path, model: Any, shape: Shape, arch: str, **more: Any) -> Adapter:
    adapter_file.write_gguf(path, arch=arch, alpha=shape.gguf_alpha, rank=shape.rank, matrices=lora.matrices(model),
                            **more)
    return Adapter(str(path))


@pytest.mark.parametrize("half", [False, True], ids=["f32", "f16"])
@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: "-".join(map(str, kind.values())))
def test_the_same_adapter_gives_the_same_logits_in_torch_and_in_llama_cpp(tmp_path: Path, kind: dict[str, Any],
                                                                          half: bool) -> None:
    """All seven targets, at two scales. Largest difference measured: 4e-5 over F32 cores; over F16 ones 0.03 (0.075
    tied), as much as without the adapter, for llama.cpp rounds what meets F16 weights. The adapter changes 13 to 34."""
    core = tiny.core(tmp_path / "core.gguf", n_embd=64, half=half, **kind)
    base = Base.load(core, dtype="float32")
    shape = Shape("lora", rank=4, alpha=8, targets=EVERYTHING)
    with opened(core) as engine:
        prompt = ids(engine)
        plain, reference = by_torch(base.model, prompt), by_llama(engine)
        allowed = 1e-2 * np.ptp(reference) if half else 1e-3
        assert distance(plain, reference) < allowed
        model = stir(lora.put_in(base, shape, seed=0))
        adapter = written(tmp_path / "a.gguf", model, shape, base.arch)
        for scale in (0.5, 1.0):
            for _, module in lora._layers(model):
                module.set_scale("default", scale)
            told = by_torch(model, prompt)
            assert distance(told, by_llama(engine, Adapter(adapter.path, scale))) < allowed
            assert distance(told, plain) > 20 * allowed


def test_rslora_is_carried_by_its_alpha(tmp_path: Path) -> None:
    core = tiny.core(tmp_path / "core.gguf", "qwen2", n_embd=64)
    base = Base.load(core, dtype="float32")
    shape = Shape("lora", rank=9, alpha=6, rslora=True)
    model = stir(lora.put_in(base, shape, seed=0), 0.1)
    with opened(core) as engine:
        told = by_llama(engine, written(tmp_path / "a.gguf", model, shape, "qwen2"))
        assert distance(by_torch(model, ids(engine)), told) < 1e-3
        assert distance(by_llama(engine), told) > 1


def test_an_activated_adapter_reads_its_tail_over_the_bases_prefix_as_it_was_trained(tmp_path: Path) -> None:
    """Torch reads the prefix with the adapter off; the engine shares it with everybody: the same numbers, and others
    than when the adapter reads everything."""
    core = tiny.core(tmp_path / "core.gguf", "llama", n_embd=64)
    base = Base.load(core, dtype="float32")
    shape = Shape("alora", rank=4)
    model = stir(lora.put_in(base, shape, seed=0))
    with opened(core) as engine:
        adapter = written(tmp_path / "a.gguf", model, shape, "llama")
        prefix, tail = cut(engine)
        told = by_llama(engine, Adapter(adapter.path, kind="alora"))
        assert distance(tail_by_torch(model, prefix, tail), told) < 1e-3
        assert distance(by_torch(model, prefix + tail), told) > 0.1


def test_rows_left_in_torchs_order_would_be_noticed(tmp_path: Path) -> None:
    """The permutation of q and k in the llama family, with fewer heads for k than for q."""
    core = tiny.core(tmp_path / "core.gguf", "llama", n_embd=64, n_head=4, n_head_kv=2)
    base = Base.load(core, dtype="float32")
    shape = Shape("lora", rank=4, targets=("q", "k"))
    model = stir(lora.put_in(base, shape, seed=0))
    wrong = {lora.gguf_name(name): pair for name, pair in lora.torch_matrices(model).items()}
    right = lora.matrices(model)
    with opened(core) as engine:
        told = by_torch(model, ids(engine))
        for part in ("attn_q", "attn_k"):
            mixed = {name: wrong[name] if part in name else right[name] for name in right}
            path = tmp_path / f"{part}.gguf"
            adapter_file.write_gguf(path, arch="llama", alpha=shape.alpha, rank=4, matrices=mixed)
            assert distance(told, by_llama(engine, Adapter(str(path)))) > 0.1


def test_a_real_core_differs_with_the_adapter_no_more_than_without(tmp_path: Path) -> None:
    """SmolLM2, Q4_1: llama.cpp rounds activations to 8 bits, so torch and llama.cpp differ on the base already.
    Measured, largest and mean over 37 positions: base 1.45 and 0.14, with an adapter 0.87 and 0.13; the spread is 2.8.
    An adapter that changes far more adds nothing to that."""
    core = core_path("smollm2-135m")
    base = Base.load(core, dtype="float32")
    shape = Shape("lora", targets=EVERYTHING)
    with opened(core) as engine:
        prompt = ids(engine)
        plain, reference = by_torch(base.model, prompt), by_llama(engine)
        model = stir(lora.put_in(base, shape, seed=0), 0.1)
        adapted = by_torch(model, prompt)
        apart = distance(adapted, by_llama(engine, written(tmp_path / "a.gguf", model, shape, "llama")))
    usual = distance(plain, reference)
    assert usual < 2.5
    assert apart < 1.5 * usual
    assert distance(adapted, plain) > 2 * usual
    assert np.abs(adapted - plain).mean() > 5 * np.abs(plain - reference).mean()


def test_one_seed_gives_one_adapter_and_leaves_the_rest_of_torch_alone(tmp_path: Path) -> None:
    import torch

    core = tiny.core(tmp_path / "core.gguf", "qwen2")
    torch.manual_seed(7)
    expected = torch.rand(3)
    torch.manual_seed(7)
    made = [lora.matrices(lora.put_in(Base.load(core), Shape(), seed)) for seed in (1, 1, 2)]
    assert torch.equal(torch.rand(3), expected)
    for name, (a, b) in made[0].items():
        assert np.array_equal(a, made[1][name][0])
        assert not np.array_equal(a, made[2][name][0])
        assert not b.any()


def test_only_the_adapter_learns_in_float32_over_a_bfloat16_base_and_goes_without_a_trace(tmp_path: Path) -> None:
    """The loop: a prefix read with the adapter off and kept, a tail with it on; the gradient reaches every B."""
    import torch

    base = Base.load(tiny.core(tmp_path / "core.gguf", "qwen3", head_size=16), dtype="bfloat16")
    tokens = list(b"When do I sow beans?")
    before = by_torch(base.model, tokens)
    model = lora.put_in(base, Shape(targets=EVERYTHING), 0)
    learning = {name: weight for name, weight in model.named_parameters() if weight.requires_grad}
    assert all("lora_" in name and weight.dtype is torch.float32 for name, weight in learning.items())
    assert len(learning) == 2 * 7 * 2
    assert distance(by_torch(model, tokens), before) == 0.0, "B is zero at first"
    with model.disable_adapter(), torch.no_grad():
        cache = model(torch.tensor([tokens[:9]]), use_cache=True).past_key_values
    assert cache.get_seq_length() == 9
    model(torch.tensor([tokens[9:]]), past_key_values=cache).logits.float().square().sum().backward()
    assert all(weight.grad.abs().max() > 0 for name, weight in learning.items() if "lora_B" in name)
    assert all(weight.grad is None for name, weight in model.named_parameters() if name not in learning)
    stir(model)
    assert distance(by_torch(model, tokens), before) > 0.1
    lora.take_out(model)
    assert distance(by_torch(base.model, tokens), before) == 0.0
    assert not [name for name, _ in base.model.named_parameters() if "lora" in name]


@pytest.mark.parametrize("arch", ["llama", "qwen2"])
def test_matrices_go_back_to_where_they_came_from(tmp_path: Path, arch: str) -> None:
    core = tiny.core(tmp_path / "core.gguf", arch)
    model = stir(lora.put_in(Base.load(core), Shape(targets=EVERYTHING), 0))
    taken = lora.matrices(model)
    other = lora.put_in(Base.load(core), Shape(targets=EVERYTHING), 5)
    lora.load_into(other, taken)
    for name, (a, b) in lora.matrices(other).items():
        assert np.array_equal(a, taken[name][0]) and np.array_equal(b, taken[name][1])
    assert distance(by_torch(model, b"Hello"), by_torch(other, b"Hello")) == 0.0
    assert sorted(taken)[0] == "blk.0.attn_k.weight" and taken["blk.0.attn_k.weight"][1].shape == (16, 8)
    with pytest.raises(UsageError, match="attn_v"):
        lora.load_into(other, {name: pair for name, pair in taken.items() if "blk.1.attn_v" not in name})
    with pytest.raises(UsageError, match="rank"):
        lora.load_into(lora.put_in(Base.load(core), Shape(rank=4, targets=EVERYTHING), 0), taken)


@pytest.mark.parametrize(("settings", "named"), [
    ({"use_dora": True}, "use_dora"), ({"bias": "lora_only"}, "bias"), ({"modules_to_save": ["lm_head"]}, "modules_to"),
    ({"rank_pattern": {"v_proj": 2}}, "rank_pattern"), ({"alpha_pattern": {"v_proj": 2}}, "alpha_pattern"),
    ({"init_lora_weights": "pissa"}, "pissa"), ({"target_modules": ["q_proj", "lm_head"]}, "lm_head"),
    ({"target_modules": ["embed_tokens"]}, "embed_tokens"), ({"lora_bias": True}, "lora_bias"),
    ({"trainable_token_indices": [1]}, "trainable_token"), ({"layer_replication": [(0, 2), (0, 2)]}, "layer_repl"),
])
def test_what_gguf_cannot_carry_is_refused_by_its_name(tmp_path: Path, settings: dict[str, Any], named: str) -> None:
    """Such a model may come from elsewhere; exported without it, it would be another adapter."""
    import peft

    base = Base.load(tiny.core(tmp_path / "core.gguf", "qwen2"), dtype="float32")
    config = peft.LoraConfig(**{"target_modules": ["q_proj", "v_proj"], "task_type": "CAUSAL_LM", **settings})
    with pytest.raises(CannotDo, match=named):
        lora.matrices(peft.get_peft_model(base.model, config))


def test_another_method_is_refused_by_its_name(tmp_path: Path) -> None:
    import peft

    base = Base.load(tiny.core(tmp_path / "core.gguf", "qwen2"))
    with pytest.raises(CannotDo, match="IA3"):
        lora.matrices(peft.get_peft_model(base.model, peft.IA3Config(target_modules=["k_proj"], feedforward_modules=[],
                                                                     task_type="CAUSAL_LM")))


@pytest.mark.parametrize(("settings", "named"), [
    ({"targets": ("q", "embed")}, "embed.*ties"), ({"targets": ()}, "nothing"), ({"targets": ("q", "q")}, "twice"),
    ({"rank": 0}, "rank 0"), ({"alpha": 0}, "alpha 0"), ({"dropout": 1.0}, "dropout"),
    ({"kind": "dora"}, "alora or lora"),
])
def test_a_shape_that_cannot_be_is_refused(settings: dict[str, Any], named: str) -> None:
    with pytest.raises(UsageError, match=named):
        Shape(**settings)
