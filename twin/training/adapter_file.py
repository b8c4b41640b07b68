"""An adapter as a file: GGUF for llama.cpp, a PEFT folder for everybody else. Written whole or not at all.

GGUF form: llama.cpp's src/llama-adapter.cpp. It reads the rank from each matrix, one alpha for all, and multiplies by
scale * alpha / rank; alpha 0 would mean "no division", so it is refused. Knows no model and no loop.
"""
from __future__ import annotations

import hashlib
import io
import json
import math
import re
from array import array
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from twin import gguf_file
from twin.errors import CannotDo, ModelBroken, UsageError
from twin.gguf_file import F16, F32, Tensor, Value
from twin.home import write_atomically
from twin.training.base import ARCHITECTURES, GGUF_OF, IN_LAYER, raw
from twin.training.lora import Array, Matrices, Shape

OURS = ("general.type", "general.architecture", "adapter.type", "adapter.lora.alpha",
        "adapter.alora.invocation_tokens")


@dataclass(frozen=True)
class AdapterFile:
    """What a GGUF adapter holds. `alpha` as GGUF has it (see `Shape.gguf_alpha`); `invocation`: () for a plain LoRA."""

    arch: str
    alpha: float
    rank: int
    matrices: Matrices = field(repr=False)
    invocation: tuple[int, ...] = ()
    description: Mapping[str, str] = field(default_factory=dict, repr=False)


def write_gguf(path: Path, *, arch: str, alpha: float, rank: int, matrices: Matrices,
               invocation: Sequence[int] = (), description: Mapping[str, str] | None = None) -> str:
    """Write `matrices` (GGUF names, see `lora.matrices`) for cores of `arch`; returns the sha256 of the file.

    alpha: as GGUF has it. invocation: token ids from which it acts. description: `name` is general.name, a key with a
    dot is itself. The same input gives the same bytes. Raises CannotDo, UsageError, HomeFull; nothing is half-written.
    """
    described = {key if "." in key else f"general.{key}": text for key, text in sorted((description or {}).items())}
    if taken := sorted(set(OURS) & set(described)):
        raise UsageError(f"{taken[0]} is not for a description to say.", "Leave it out.")
    if arch not in ARCHITECTURES:
        raise CannotDo(f"Adapters for {arch!r} cannot be written here.", f"Families: {', '.join(ARCHITECTURES)}.")
    if not (np.isfinite(alpha) and alpha > 0):
        raise CannotDo(f"An alpha of {alpha} cannot be carried: llama.cpp takes 0 for none.", "Give one over 0.")
    values: dict[str, Value] = {"general.type": "adapter", "general.architecture": arch, **described,
                                "adapter.type": "lora", "adapter.lora.alpha": float(alpha)}
    if invocation:
        values["adapter.alora.invocation_tokens"] = array("I", invocation)
    content = io.BytesIO()
    gguf_file.write(content, values, _tensors(matrices, rank))
    write_atomically(path, content.getvalue())
    return hashlib.sha256(content.getvalue()).hexdigest()


def _tensors(matrices: Matrices, rank: int) -> list[Tensor]:
    """A and B of each weight, by layer and name; refuses what llama.cpp would refuse later or misread."""
    tensors = []
    for name in sorted(matrices, key=_place):
        a, b = (np.ascontiguousarray(part, "<f4") for part in matrices[name])
        if a.ndim != 2 or b.ndim != 2 or a.shape[0] != b.shape[1]:
            raise UsageError(f"A {a.shape} and B {b.shape} of {name} do not go together.", "A is (r, in), B (out, r).")
        if len(a) != rank:
            raise UsageError(f"{name} has rank {len(a)}; the adapter was said to have {rank}.", "Give it one rank.")
        if not (np.isfinite(a).all() and np.isfinite(b).all()):
            raise CannotDo(f"{name} holds numbers that are not finite: the training has diverged.",
                           "Train again with a lower rate; the last good checkpoint is kept.")
        tensors += [Tensor(f"{name}.lora_{word}", F32, part.shape[::-1], part.tobytes())
                    for word, part in (("a", a), ("b", b))]
    if not tensors:
        raise UsageError("There is no adapter: no module was trained.", f"Choose from {' '.join(GGUF_OF)}.")
    return tensors


def _place(name: str) -> tuple[int, str]:
    found = re.fullmatch(r"blk\.(\d+)\.(\w+)\.weight", name)
    if not found or found.group(2) not in GGUF_OF.values():
        raise CannotDo(f"{name} is not carried by the adapters written here.", f"Train {' '.join(GGUF_OF)} only.")
    return int(found.group(1)), found.group(2)


def read_gguf(path: Path) -> AdapterFile:
    """An adapter back from its file, F32 or F16. Raises ModelBroken for what is no LoRA of this form, OSError."""
    head = gguf_file.header(path)
    told = head.values
    if told.get("general.type") != "adapter" or told.get("adapter.type") != "lora":
        raise ModelBroken(f"{path.name} is no LoRA adapter.", "Name one that `twin train` has written.")
    try:
        parts = {place.name: _numbers(path, place) for place in head.tensors}
        names = {name.rpartition(".")[0] for name in parts}
        matrices = {name: (parts.pop(f"{name}.lora_a"), parts.pop(f"{name}.lora_b"))
                    for name in sorted(names, key=_place)}
        ranks = {len(a) for a, _ in matrices.values()} | {b.shape[1] for _, b in matrices.values()}
        rank, = ranks
        return AdapterFile(str(told["general.architecture"]), float(told["adapter.lora.alpha"]), rank, matrices,
                           tuple(told.get("adapter.alora.invocation_tokens", ())),
                           {key: value for key, value in told.items() if key not in OURS and isinstance(value, str)})
    except (KeyError, IndexError, ValueError, TypeError, CannotDo) as error:
        raise ModelBroken(f"{path.name} is damaged, or not of the form written here ({error!r}).",
                          "Train it anew.") from error


def _numbers(path: Path, place: gguf_file.Place) -> Array:
    kind = np.dtype({F32: "<f4", F16: "<f2"}[place.type])
    data = raw(path, place, math.prod(place.shape) * kind.itemsize)
    return data.view(kind).reshape(place.shape[::-1]).astype(np.float32)


def write_peft(folder: Path, *, base_name: str, shape: Shape, matrices: Matrices,
               invocation: Sequence[int] = ()) -> None:
    """Write `matrices` (names of transformers, see `lora.torch_matrices`) as peft's `from_pretrained` reads them.

    base_name: what the base is called on a hub; PEFT keeps it, and does not check it. With `invocation` peft itself
    activates it from there on; an alora without one acts on whatever peft's user runs it over. The configuration is
    written last: without it there is no adapter. Raises HomeFull, HomeError.
    """
    from safetensors.numpy import save  # deferred with torch

    config = {"peft_type": "LORA", "task_type": "CAUSAL_LM", "base_model_name_or_path": base_name, "r": shape.rank,
              "lora_alpha": shape.alpha, "lora_dropout": shape.dropout, "use_rslora": shape.rslora, "bias": "none",
              "target_modules": [IN_LAYER[GGUF_OF[word]].rpartition(".")[2] for word in shape.targets],
              "inference_mode": True, **({"alora_invocation_tokens": list(invocation)} if invocation else {})}
    (folder / "adapter_config.json").unlink(missing_ok=True)
    weights = {f"base_model.model.{name}.lora_{word}.weight": np.ascontiguousarray(part, np.float32)
               for name, pair in matrices.items() for word, part in zip("AB", pair, strict=True)}
    write_atomically(folder / "adapter_model.safetensors", save(weights, metadata={"format": "pt"}))
    write_atomically(folder / "adapter_config.json", json.dumps(config, indent=2, sort_keys=True) + "\n")
