"""LoRA in and out of a base: which modules learn, and their matrices under the names and in the order of GGUF.

y = W x + (alpha / r) B A x, with A (r, in) random and B (out, r) zero at first (Hu et al. 2021). The matrices are
float32 whatever the base is in. Knows no text, no loop and no file.
"""
from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from twin.errors import CannotDo, UsageError
from twin.training.base import GGUF_OF, IN_LAYER, Base, causal, turned

Array: TypeAlias = NDArray[np.float32]
Matrices: TypeAlias = Mapping[str, tuple[Array, Array]]
"""Name of a weight -> (A (r, in), B (out, r))."""


@dataclass(frozen=True)
class Shape:
    """What an adapter is: `kind` alora acts on the role's tail, lora on everything. `targets`: q k v o gate up down.

    The defaults are measured (tests/bench/alora.py, SmolLM2, equal training time): all targets foresee held-out words
    best, 1.652 bits a character; o,gate,up,down 1.657, q,k,v,o 1.714, q,v 1.774; the best plain adapter 1.717.
    alpha: the strength is alpha / rank, with `rslora` alpha / sqrt(rank) (Kalajdzievski 2023).
    Raises UsageError for what cannot be.
    """

    kind: Literal["alora", "lora"] = "alora"
    rank: int = 8
    alpha: float = 16
    targets: tuple[str, ...] = ("q", "k", "v", "o", "gate", "up", "down")
    rslora: bool = False
    dropout: float = 0

    def __post_init__(self) -> None:
        if unknown := [word for word in self.targets if word not in GGUF_OF]:
            raise UsageError(f"{unknown[0]!r} is no part of a layer that can learn.",
                             f"Choose from {' '.join(GGUF_OF)}. Embeddings and the output layer stay as they are: "
                             "where a core ties them, llama.cpp would take the matrices of one for the other.")
        if not self.targets or len(set(self.targets)) != len(self.targets):
            raise UsageError(f"The targets {self.targets} name nothing, or one thing twice.",
                             f"Choose from {' '.join(GGUF_OF)}.")
        if self.kind not in ("alora", "lora"):
            raise UsageError(f"There is no adapter of kind {self.kind!r}.", "Choose alora or lora.")
        if self.rank < 1 or not 0 < self.alpha < math.inf or not 0 <= self.dropout < 1:
            raise UsageError(f"An adapter of rank {self.rank}, alpha {self.alpha} and dropout {self.dropout} cannot "
                             "be trained.", "Give a rank of at least 1, alpha over 0, dropout from 0 to below 1.")

    @property
    def gguf_alpha(self) -> float:
        """alpha as GGUF carries it: llama.cpp always divides by the rank."""
        return self.alpha * self.rank ** 0.5 if self.rslora else self.alpha


def put_in(base: Base, shape: Shape, seed: int) -> Any:
    """A PEFT model over the base, its adapter on, trainable and float32; the same seed gives the same A. The base's
    own modules are wrapped in place: `take_out` gives it back."""
    import peft  # deferred with torch
    import torch

    modules = [IN_LAYER[GGUF_OF[word]].rpartition(".")[2] for word in shape.targets]
    settings: dict[str, Any] = {"r": shape.rank, "lora_alpha": shape.alpha, "lora_dropout": shape.dropout,
                                "use_rslora": shape.rslora, "target_modules": modules, "task_type": "CAUSAL_LM"}
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return peft.get_peft_model(base.model, peft.LoraConfig(**settings), autocast_adapter_dtype=True)


def take_out(model: Any) -> None:
    """Undo `put_in`: the base of the model is as it was."""
    model.unload()


# ---- matrices ------------------------------------------------------------------------------------------------------

def matrices(model: Any) -> dict[str, tuple[Array, Array]]:
    """The adapter under GGUF's names (`blk.0.attn_q.weight`), rows of B in llama.cpp's order, float32 copies.

    Raises CannotDo for a PEFT model that holds more than such matrices.
    """
    found = {}
    for name, (a, b) in torch_matrices(model).items():
        rows = _rows(model, name, len(b))
        found[gguf_name(name)] = (a, b if rows is None else b[np.argsort(rows)])
    return found


def torch_matrices(model: Any) -> dict[str, tuple[Array, Array]]:
    """The adapter under the names of transformers (`model.layers.0.self_attn.q_proj`), for a PEFT folder."""
    _refuse(model)
    return {name: (_array(module.lora_A), _array(module.lora_B)) for name, module in _layers(model)}


def load_into(model: Any, matrices: Matrices) -> None:
    """Put matrices with GGUF's names back, the reverse of `matrices`. Raises UsageError when they do not fit."""
    import torch

    layers = {gguf_name(name): (name, module) for name, module in _layers(model)}
    if odd := sorted(layers.keys() ^ matrices.keys()):
        raise UsageError(f"{odd[0]} is in only one of the adapter and the model.", "Take the targets it was made with.")
    with torch.no_grad():
        for key, (a, b) in matrices.items():
            name, module = layers[key]
            rows = _rows(model, name, len(b))
            for part, values in ((module.lora_A, a), (module.lora_B, b if rows is None else b[rows])):
                weight = part["default"].weight
                if tuple(weight.shape) != values.shape:
                    raise UsageError(f"{key} is {values.shape} in the adapter and {tuple(weight.shape)} in the model.",
                                     "Take the rank and the core it was made with.")
                weight.copy_(torch.from_numpy(np.ascontiguousarray(values)))


def gguf_name(module: str) -> str:
    """`model.layers.0.self_attn.q_proj` -> `blk.0.attn_q.weight`. Raises CannotDo where GGUF has no such adapter."""
    found = re.fullmatch(r"model\.layers\.(\d+)\.(.+)", module)
    word = next((word for word in GGUF_OF.values() if found and IN_LAYER[word] == found.group(2)), None)
    if not found or not word:
        raise CannotDo(f"The adapter changes {module}, which a GGUF adapter is not written for here.",
                       f"Train {' '.join(GGUF_OF)} only.")
    return f"blk.{found.group(1)}.{word}.weight"


def _layers(model: Any) -> list[tuple[str, Any]]:
    return [(name, module) for name, module in causal(model).named_modules() if hasattr(module, "lora_A")]


def _array(part: Any) -> Array:
    return np.array(part["default"].weight.detach().float().cpu().numpy(), np.float32)


def _rows(model: Any, name: str, rows: int) -> NDArray[np.intp] | None:
    """Where llama.cpp has the rows of this module; None where it leaves them in place."""
    config = causal(model).config
    if config.model_type != "llama":
        return None
    heads = {"q_proj": config.num_attention_heads, "k_proj": config.num_key_value_heads}
    word = name.rpartition(".")[2]
    return turned(rows, heads[word]) if word in heads else None


PLAIN = {"r", "lora_alpha", "lora_dropout", "target_modules", "exclude_modules", "layers_to_transform",
         "layers_pattern", "use_rslora", "init_lora_weights", "alora_invocation_tokens", "task_type", "inference_mode",
         "auto_mapping", "base_model_name_or_path", "revision", "peft_version", "runtime_config", "peft_type"}
UNCHANGED = (True, False, "gaussian", "orthogonal")  # ways to begin that leave the base's weights alone


def _refuse(model: Any) -> None:
    """CannotDo for a module that GGUF has no adapter of, and for whatever is not in two matrices a module and one
    alpha: everything but PLAIN must be as peft has it by default (no DoRA, no biases, no modules_to_save, no ranks)."""
    import peft

    for name, _ in _layers(model):
        gguf_name(name)
    config: Any = model.peft_config["default"]
    plain: Any = peft.LoraConfig()
    default = plain.to_dict() if config.peft_type == "LORA" else {}
    more = [key for key, value in config.to_dict().items()
            if key not in PLAIN and value != default.get(key) and (value or default.get(key))]
    if config.peft_type != "LORA":
        more = [f"the method {config.peft_type}"]
    elif config.init_lora_weights not in UNCHANGED:
        more.append(f"init_lora_weights={config.init_lora_weights!r}, which changes the base")
    if more:
        raise CannotDo(f"The adapter uses {more[0]}, which a GGUF adapter cannot carry.",
                       "Train a plain LoRA: two matrices a module and one alpha.")
