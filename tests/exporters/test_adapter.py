"""An adapter on its way out: llama.cpp and peft load what was exported, and a stranger learns from it how to use it."""
from __future__ import annotations

import json
import re
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

from tests import tiny
from tests.engine.cold import asked, distance, logits
from tests.exporters.material import material
from tests.training.parity import by_llama, by_torch, ids, opened
from twin import roles
from twin.adapters import Adapters, Kept
from twin.engine.llama import LlamaEngine
from twin.errors import ModelBroken, UsageError
from twin.exporters import FORMATS, Exported, Material
from twin.home import Home, sha256_of
from twin.roles import RoleAdapter, RoleMap
from twin.training import adapter_file
from twin.training.base import Base
from twin.training.lora import Shape
from twin.types import Adapter

BASE = "ab" * 32
FACTS: dict[str, Any] = {"base": BASE, "base_name": "small", "role": "critic", "licence": "Apache-2.0", "samples": 40,
                         "steps": 12, "before": 2.5, "after": 2.25}


def random_adapter(path: Path, shapes: tuple[str, tiny.Shapes], **others: Any) -> Path:
    """A LoRA of random numbers, written by our own writer."""
    arch, known = shapes
    chance = np.random.default_rng(0)
    matrices = {name: (chance.standard_normal((2, width), np.float32) / np.float32(width ** 0.5),
                       chance.standard_normal((out, 2), np.float32)) for name, (out, width) in known.items()}
    adapter_file.write_gguf(path, arch=arch, alpha=2.0, rank=2, matrices=matrices, **others)
    return path


def kept(tmp_path: Path, *, peft: bool = True, invocation: tuple[int, ...] = (), **facts: Any) -> Kept:
    """An adapter in a home, of a core with one layer."""
    gguf = random_adapter(tmp_path / "made.gguf", tiny.attention("qwen2", 1, 32, 32, 16), invocation=invocation)
    folder = tmp_path / "made"
    folder.mkdir(exist_ok=True)
    for name in ("adapter_config.json", "adapter_model.safetensors"):
        (folder / name).write_bytes(b"{}")
    return Adapters(Home(tmp_path / "home")).keep(gguf, folder if peft else None, **{**FACTS, **facts})


def core_with(*adapters: Kept, role: str | None = None, language: str = "en", **others: Any) -> Material:
    return replace(material(language=language), adapters={one.role: one for one in adapters}, role=role, **others)


def written(exported: Exported, folder: Path) -> Path:
    for name, content in exported.files.items():
        place = folder / name
        place.parent.mkdir(parents=True, exist_ok=True)
        if isinstance(content, Path):
            shutil.copyfile(content, place)
        else:
            place.write_bytes(content.encode() if isinstance(content, str) else content)
    return folder


# ---- real readers --------------------------------------------------------------------------------------------------

def test_llama_cpp_loads_what_was_exported_and_it_speaks(smollm: LlamaEngine, tmp_path: Path) -> None:
    gguf = random_adapter(tmp_path / "made.gguf", tiny.SMOLLM2_135M)
    one = Adapters(Home(tmp_path / "home")).keep(gguf, None, **{**FACTS, "base": smollm.sha256})
    folder = written(FORMATS["adapter"](core_with(one)), tmp_path / "out")
    prompt = asked("Be brief.", [("user", "When do I sow?")])
    alone = logits(smollm, prompt)
    speaks = Adapter(str(folder / "critic.gguf"))
    with_it = logits(smollm, replace(prompt, adapters=(speaks,)))
    smollm.unload(speaks)
    smollm.forget()

    assert sha256_of(folder / "critic.gguf") == one.sha256
    assert distance(with_it, alone) > 0.5


def test_peft_loads_the_folder_and_says_what_llama_cpp_says(tmp_path: Path) -> None:
    import peft

    core = tiny.core(tmp_path / "core.gguf", "qwen2", n_embd=64)
    shapes = tiny.attention("qwen2", 2, 64, 64, 32)
    gguf = random_adapter(tmp_path / "a.gguf", shapes)
    theirs = {re.sub(r"blk\.(\d)\.attn_(\w)\.weight", r"model.layers.\1.self_attn.\2_proj", name): pair
              for name, pair in adapter_file.read_gguf(gguf).matrices.items()}
    adapter_file.write_peft(tmp_path / "peft", base_name="core", matrices=theirs,
                            shape=Shape("lora", rank=2, alpha=2, targets=("q", "v")))
    one = Adapters(Home(tmp_path / "home")).keep(gguf, tmp_path / "peft",
                                                 **{**FACTS, "base": sha256_of(core), "kind": "lora"})
    folder = written(FORMATS["adapter"](core_with(one)), tmp_path / "out")
    base = Base.load(core, dtype="float32").model
    with opened(core) as engine:
        prompt = ids(engine)
        alone = by_torch(base, prompt)
        told = by_torch(peft.PeftModel.from_pretrained(base, str(folder / "peft")).eval(), prompt)
        assert distance(told, by_llama(engine, Adapter(str(folder / "critic.gguf")))) < 2e-3
    assert distance(told, alone) > 0.1


# ---- what goes along -----------------------------------------------------------------------------------------------

def test_the_manifest_tells_a_stranger_all_it_takes(tmp_path: Path) -> None:
    one = kept(tmp_path, invocation=(1, 520, 9531))
    some = core_with(one, constitution="Plain words.")
    exported = FORMATS["adapter"](some)
    told = json.loads(str(exported.files["manifest.json"]))
    critic = some.role_map.role("critic")
    assert told["core"]["id"] == some.firmware.id and told["core"]["level"] == "private"
    assert told["use"] == {
        "file": "critic.gguf", "base": "small.gguf", "role": "critic", "system": "Plain words.", "scale": 1.0,
        "header": {"en": roles.header(critic, "en"), "ru": roles.header(critic, "ru")},
        "invocation": {"count": 3, "ids": [1, 520, 9531]}}
    assert one.manifest.items() <= told.items()
    assert list(exported.files) == ["README.md", "critic.gguf", "manifest.json", "peft/adapter_config.json",
                                    "peft/adapter_model.safetensors", "peft/README.md"]
    assert not [name for name, content in exported.files.items() if str(tmp_path) in str(content)
                and not isinstance(content, Path)], "where it lay is nobody's business"


def test_an_adapter_that_carries_the_header_says_to_write_none(tmp_path: Path) -> None:
    one = kept(tmp_path, compiled=True)
    speaks = RoleAdapter(sha256=one.sha256, compiled=True, scale=0.75)
    some = core_with(one)
    some = replace(some, role_map=RoleMap(tuple(
        role.model_copy(update={"adapter": speaks}) if role.id == "critic" else role for role in some.role_map.roles)))
    use = json.loads(str(FORMATS["adapter"](some).files["manifest.json"]))["use"]
    assert (use["header"], use["scale"]) == ({"en": "", "ru": ""}, 0.75)


@pytest.mark.parametrize("language", ["en", "ru"])
def test_the_card_names_core_licence_figures_and_how_to_use_it(tmp_path: Path, language: str) -> None:
    one = replace(kept(tmp_path), on=False, reason="Off: what it costs on general text was not measured.")
    some = core_with(one, language=language)
    exported = FORMATS["adapter"](some)
    text = exported.text
    _, front, body = text.split("---\n", 2)
    assert yaml.safe_load(front) == {"license": "apache-2.0", "library_name": "peft", "base_model": "small",
                                     "tags": ["twin", "alora", "gguf"]}
    for part in (BASE, one.sha256, "2.500", "2.250", "--lora critic.gguf", "FROM ./small.gguf", "ADAPTER ./critic.gguf",
                 'from_pretrained(core, "peft")', "manifest.json", some.firmware.id,
                 "was not measured" if language == "en" else "не измерено"):
        assert part in body, part
    assert ("на слов" in body or "знак" in body) == (language == "ru")
    assert text.rstrip().endswith("-->")


def test_what_a_manifest_says_is_data_in_the_card(tmp_path: Path) -> None:
    bad = 'x\n---\n```\n<!-- {{ 7 * 7 }} --> "; import os #'
    text = FORMATS["adapter"](core_with(kept(tmp_path, base_name=bad, licence=bad))).text
    _, front, body = text.split("---\n", 2)
    assert yaml.safe_load(front)["license"] == "other"
    assert body.count("\n```") == 6 and body.count("\n<!--") == 1 and " 49 " not in body
    assert "CORE.gguf" in body


def test_without_the_folder_for_peft_the_gguf_goes_alone_with_a_word_about_it(tmp_path: Path) -> None:
    exported = FORMATS["adapter"](core_with(kept(tmp_path, peft=False)))
    assert list(exported.files) == ["README.md", "critic.gguf", "manifest.json"]
    assert "PEFT" in " ".join(exported.notes) and "PeftModel" not in exported.text


# ---- which one -----------------------------------------------------------------------------------------------------

def test_the_role_is_the_one_that_is_named_or_the_only_one(tmp_path: Path) -> None:
    one = kept(tmp_path)
    other = replace(one, role="mentor")
    assert "mentor.gguf" in FORMATS["adapter"](core_with(one, other, role="mentor")).files
    assert "critic.gguf" in FORMATS["adapter"](core_with(one)).files
    with pytest.raises(UsageError, match=r"2 roles have an adapter.*critic, mentor"):
        FORMATS["adapter"](core_with(one, other))
    with pytest.raises(UsageError, match=r"speaks for scribe.*critic, mentor"):
        FORMATS["adapter"](core_with(one, other, role="scribe"))
    with pytest.raises(UsageError, match="twin train"):
        FORMATS["adapter"](core_with())


def test_what_may_not_leave_does_not(tmp_path: Path) -> None:
    one = kept(tmp_path)
    with pytest.raises(UsageError, match="public"):
        FORMATS["adapter"](core_with(one, level="public"))
    with pytest.raises(UsageError, match="another person's words"):
        FORMATS["adapter"](core_with(replace(one, control_of=BASE)))
    one.path.write_bytes(one.path.read_bytes()[:-1] + b"?")
    with pytest.raises(ModelBroken, match="damaged"):
        FORMATS["adapter"](core_with(one))
