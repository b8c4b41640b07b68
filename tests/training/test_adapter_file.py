"""An adapter as a file: read alike by llama.cpp, by the format's own reader and by peft; whole or not there at all."""
from __future__ import annotations

import errno
import os
from pathlib import Path
from typing import Any

import gguf
import numpy as np
import pytest

from tests import tiny
from tests.engine.cold import asked, distance
from tests.training.parity import MORE, by_torch, ids, opened, stir, tail_by_torch
from twin.errors import CannotDo, HomeFull, ModelBroken, TwinError, UsageError
from twin.home import sha256_of
from twin.training import adapter_file, lora
from twin.training.base import GGUF_OF, Base
from twin.training.lora import Matrices, Shape
from twin.types import Adapter

INVOCATION = [tiny.IM_START, *b"assistant\n"]


def some(rank: int = 2, layers: int = 2) -> dict[str, tuple[Any, Any]]:
    chance = np.random.default_rng(0)
    return {f"blk.{layer}.attn_{word}.weight": (chance.standard_normal((rank, 32), np.float32),
                                                chance.standard_normal((32, rank), np.float32))
            for layer in range(layers) for word in ("v", "q")}


def write(path: Path, matrices: Matrices | None = None, **settings: Any) -> str:
    return adapter_file.write_gguf(path, **{"arch": "qwen2", "alpha": 4.0, "rank": 2,
                                            "matrices": some() if matrices is None else matrices, **settings})


def test_the_formats_own_reader_finds_what_was_written(tmp_path: Path) -> None:
    path = tmp_path / "a.gguf"
    write(path, invocation=INVOCATION, description={"name": "Critic", "twin.role": "критик", "license": "apache-2.0"})
    reader = gguf.GGUFReader(path)
    told = {key: field.contents() for key, field in reader.fields.items() if not key.startswith("GGUF.")}
    assert told == {"general.type": "adapter", "general.architecture": "qwen2", "general.name": "Critic",
                    "general.license": "apache-2.0", "twin.role": "критик", "adapter.type": "lora",
                    "adapter.lora.alpha": 4.0, "adapter.alora.invocation_tokens": INVOCATION}
    assert reader.fields["adapter.alora.invocation_tokens"].types[1] is gguf.GGUFValueType.UINT32
    names = [tensor.name for tensor in reader.tensors]
    assert names[:2] == ["blk.0.attn_q.weight.lora_a", "blk.0.attn_q.weight.lora_b"] and len(names) == 8
    for tensor in reader.tensors:
        pair = some()[tensor.name.rpartition(".")[0]]
        assert np.array_equal(tensor.data, pair["ab".index(tensor.name[-1])])


def test_one_adapter_is_one_file_and_its_sha256_is_told(tmp_path: Path) -> None:
    """Adapters are known by their content: the same training gives the same name."""
    other = dict(reversed(some().items()))
    first = write(tmp_path / "1.gguf", description={"name": "x", "author": "y"})
    again = write(tmp_path / "2.gguf", other, description={"author": "y", "name": "x"})
    assert first == again == sha256_of(tmp_path / "1.gguf") == sha256_of(tmp_path / "2.gguf")
    assert write(tmp_path / "3.gguf", alpha=5.0) != first


def test_what_is_written_is_read_back(tmp_path: Path) -> None:
    write(tmp_path / "a.gguf", invocation=INVOCATION, description={"name": "Critic", "twin.role": "критик"})
    found = adapter_file.read_gguf(tmp_path / "a.gguf")
    assert (found.arch, found.alpha, found.rank, found.invocation) == ("qwen2", 4.0, 2, tuple(INVOCATION))
    assert found.description == {"general.name": "Critic", "twin.role": "критик"}
    assert found.matrices.keys() == some().keys()
    for name, pair in some().items():
        assert all(np.array_equal(one, other) for one, other in zip(found.matrices[name], pair, strict=True))
    described = dict(found.description)
    write(tmp_path / "b.gguf", found.matrices, invocation=found.invocation, description=described)
    assert (tmp_path / "a.gguf").read_bytes() == (tmp_path / "b.gguf").read_bytes()


def test_llama_cpp_hears_the_invocation(tmp_path: Path) -> None:
    core = tiny.core(tmp_path / "core.gguf", "qwen2")
    model = stir(lora.put_in(Base.load(core), Shape(), 0))
    with opened(core) as engine:
        for invocation in ((), INVOCATION):
            path = tmp_path / f"{len(invocation)}.gguf"
            adapter_file.write_gguf(path, arch="qwen2", alpha=16, rank=8, matrices=lora.matrices(model),
                                    invocation=invocation)
            loaded = engine.weights.adapter(Adapter(str(path)))
            assert (loaded.kind, list(loaded.invocation)) == ("alora" if invocation else "lora", list(invocation))


@pytest.mark.parametrize(("settings", "named"), [
    ({"alpha": 0.0}, "alpha of 0"), ({"alpha": float("nan")}, "alpha of nan"), ({"arch": "qwen35"}, "qwen35"),
    ({"rank": 3}, "rank 2.*3"), ({"matrices": {}}, "no module"),
    ({"matrices": {"token_embd.weight": some()["blk.0.attn_q.weight"]}}, "token_embd"),
    ({"matrices": {"output.weight": some()["blk.0.attn_q.weight"]}}, "output"),
    ({"matrices": {"blk.0.attn_norm.weight": some()["blk.0.attn_q.weight"]}}, "attn_norm"),
    ({"matrices": {"blk.0.attn_q.weight": (np.ones((2, 8)), np.ones((2, 8)))}}, "go together"),
    ({"matrices": {"blk.0.attn_q.weight": (np.full((2, 8), np.inf), np.ones((8, 2)))}}, "diverged"),
    ({"description": {"adapter.type": "x"}}, "adapter.type"), ({"description": {"architecture": "x"}}, "architecture"),
])
def test_what_cannot_be_carried_is_refused_before_anything_is_written(tmp_path: Path, settings: dict[str, Any],
                                                                      named: str) -> None:
    with pytest.raises((CannotDo, UsageError), match=named):
        write(tmp_path / "a.gguf", **settings)
    assert not [*tmp_path.glob("*gguf*")]


def test_a_full_disk_leaves_the_old_adapter_and_nothing_else(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder, old = tmp_path / "peft", write(tmp_path / "a.gguf")
    adapter_file.write_peft(folder, base_name="b", shape=Shape(), matrices={})

    def full(_file: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(HomeFull):
        write(tmp_path / "a.gguf", alpha=9.0)
    with pytest.raises(HomeFull):
        adapter_file.write_peft(folder, base_name="b", shape=Shape(), matrices={})
    assert sha256_of(tmp_path / "a.gguf") == old
    assert [path.name for path in folder.iterdir()] == ["adapter_model.safetensors"], "no adapter without its settings"


def test_a_damaged_file_is_refused_by_name_wherever_it_ends_or_changes(tmp_path: Path) -> None:
    path, cut = tmp_path / "a.gguf", tmp_path / "cut.gguf"
    write(path, some(layers=1), invocation=INVOCATION)
    whole = path.read_bytes()
    for length in range(0, len(whole) - 32, 40):
        cut.write_bytes(whole[:length])
        with pytest.raises(ModelBroken, match=r"cut\.gguf"):
            adapter_file.read_gguf(cut)
    chance = np.random.default_rng(0)
    for _ in range(300):
        broken = bytearray(whole)
        broken[chance.integers(600)] = chance.integers(256)
        cut.write_bytes(broken)
        try:
            adapter_file.read_gguf(cut)
        except TwinError as error:
            assert "cut.gguf" in error.what
    for other in (tiny.core(tmp_path / "core.gguf"), tiny.control_vector(tmp_path / "vector.gguf")):
        with pytest.raises(ModelBroken, match="no LoRA"):
            adapter_file.read_gguf(other)


@pytest.mark.parametrize("rslora", [False, True])
def test_peft_loads_the_folder_and_says_the_same(tmp_path: Path, rslora: bool) -> None:
    import peft

    core = tiny.core(tmp_path / "core.gguf", "llama", n_embd=64)
    shape = Shape("lora", rank=4, alpha=6, targets=tuple(GGUF_OF), rslora=rslora)
    model = stir(lora.put_in(Base.load(core, dtype="float32"), shape, 0))
    adapter_file.write_peft(tmp_path / "peft", base_name="someone/core", shape=shape,
                            matrices=lora.torch_matrices(model))
    loaded = peft.PeftModel.from_pretrained(Base.load(core, dtype="float32").model, str(tmp_path / "peft"))
    prompt = b"When do I sow beans?"
    assert distance(by_torch(model, prompt), by_torch(loaded.eval(), prompt)) == 0.0
    assert loaded.peft_config["default"].base_model_name_or_path == "someone/core"
    assert str(tmp_path) not in (tmp_path / "peft" / "adapter_config.json").read_text("utf-8")


def test_peft_activates_it_from_the_invocation_on_as_the_engine_does(tmp_path: Path) -> None:
    """A compiled role: everything before the opening of the answer is the base's."""
    import peft
    import torch

    core = tiny.core(tmp_path / "core.gguf", "qwen2", n_embd=64)
    shape = Shape("alora", rank=4)
    model = stir(lora.put_in(Base.load(core, dtype="float32"), shape, 0))
    with opened(core) as engine:
        prompt = ids(engine)
        ending = engine.tokenize(asked().tail[-1].text, special=True)
    start = len(prompt) - len(ending)
    adapter_file.write_peft(tmp_path / "peft", base_name="core", shape=shape, invocation=ending,
                            matrices=lora.torch_matrices(model))
    loaded = peft.PeftModel.from_pretrained(Base.load(core, dtype="float32").model, str(tmp_path / "peft")).eval()
    with torch.no_grad():
        told = loaded(input_ids=torch.tensor([[*prompt, *MORE]])).logits[0, len(prompt) - 1:].numpy()
    assert distance(told, tail_by_torch(model, prompt[:start], prompt[start:])) < 1e-4
    assert distance(told, by_torch(model, prompt)) > 0.1
