"""Shape: what a core's file says that decides about memory and speed - layers, heads, experts, windows, bytes.

Read from the GGUF's own header, all pieces of a split file; of a core that is not here yet, made from what is known of
its architecture (shapes.toml) and the size of its file. Knows no device and no engine.
"""
from __future__ import annotations

import math
import re
import tomllib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from importlib.resources import files
from pathlib import Path
from typing import Any

from twin.errors import ModelBroken, ModelMissing
from twin.gguf_file import Place, header

# ggml.h, ggml-common.h: enum ggml_type -> numbers in a block, bytes of a block
BLOCKS = {0: (1, 4), 1: (1, 2), 2: (32, 18), 3: (32, 20), 6: (32, 22), 7: (32, 24), 8: (32, 34), 9: (32, 36),
          10: (256, 84), 11: (256, 110), 12: (256, 144), 13: (256, 176), 14: (256, 210), 15: (256, 292), 16: (256, 66),
          17: (256, 74), 18: (256, 98), 19: (256, 50), 20: (32, 18), 21: (256, 110), 22: (256, 82), 23: (256, 136),
          24: (1, 1), 25: (1, 2), 26: (1, 4), 27: (1, 8), 28: (1, 8), 29: (256, 56), 30: (1, 2), 34: (256, 54),
          35: (256, 66), 39: (32, 17)}
# Architectures whose sliding windows llama.cpp knows by name: every n-th layer sees all (src/models/*.cpp).
_EVERY = {"gemma2": 2, "gemma3": 6, "gemma3n": 5, "gpt-oss": 2, "cohere2": 4, "llama4": 4, "olmo2": 4}
_PIECE = re.compile(r"-(\d{5})-of-(\d{5})(?=\.gguf$)")


@dataclass(frozen=True)
class Layer:
    """One layer. `bytes` of its weights, of which `active` are read for one token; `heads` of its queries; numbers that
    keys and values take a token (0 where it is recurrent); `window`: tokens it looks back, 0 for all; `state`: bytes
    that a sequence takes whatever its length."""

    bytes: int
    active: int
    heads: int
    k_width: int
    v_width: int
    window: int = 0
    state: int = 0


@dataclass(frozen=True)
class Shape:
    """A core in numbers. `n_ff`: numbers a token has inside the widest feed-forward layer, all experts that it uses
    together; `input_bytes`, `output_bytes`: embedding and output layer, the same tensor where they are `tied`;
    `parameters` and `active` (those one token is multiplied with; neither counts the embedding's look-up). `exact`:
    read from a header."""

    name: str
    architecture: str
    layers: tuple[Layer, ...]
    n_embd: int
    q_width: int
    n_vocab: int
    n_ctx: int
    n_ff: int
    n_expert: int
    n_used: int
    input_bytes: int
    output_bytes: int
    tied: bool
    parameters: int
    active: int
    exact: bool = True

    @property
    def bytes(self) -> int:
        """All weights in memory once."""
        return sum(layer.bytes for layer in self.layers) + self.output_bytes + (0 if self.tied else self.input_bytes)

    @property
    def active_bytes(self) -> int:
        """Weights that are read for one token."""
        return sum(layer.active for layer in self.layers) + self.output_bytes

    @property
    def recurrent(self) -> bool:
        """Whether some layers keep a state instead of keys and values."""
        return any(layer.state for layer in self.layers)


def read(path: Path) -> Shape:
    """The shape of a GGUF core. Raises ModelMissing for a file or piece that is not there, ModelBroken for what is no
    core, OSError."""
    pieces = [header(piece) for piece in _pieces(path)]
    values = dict(pieces[0].values)
    try:
        return _shape(path.stem, values, [place for piece in pieces for place in piece.tensors])
    except (KeyError, TypeError, ValueError, IndexError, ZeroDivisionError, AttributeError) as error:
        raise ModelBroken(f"{path.name} does not say what shape its core has ({error}).",
                          "Name a GGUF of a core that writes text.") from error


def _pieces(path: Path) -> list[Path]:
    if not path.is_file():
        raise ModelMissing(f"There is no model file at {path}.", "Give the path of a GGUF.")
    found = _PIECE.search(path.name)
    if not found:
        return [path]
    pieces = [path.with_name(_PIECE.sub(f"-{n:05}-of-{found[2]}", path.name)) for n in range(1, int(found[2]) + 1)]
    for piece in pieces:
        if not piece.is_file():
            raise ModelMissing(f"The piece {piece.name} of a split model is missing.", "Fetch all of its pieces.")
    return pieces


def _shape(name: str, values: Mapping[str, Any], tensors: Sequence[Place]) -> Shape:
    arch = str(values["general.architecture"])

    def value(key: str, default: Any = None) -> Any:
        found = values.get(f"{arch}.{key}", default)
        if found is None:
            raise KeyError(f"{arch}.{key}")
        return found

    n_layer, n_embd = int(value("block_count")), int(value("embedding_length"))
    heads = _each(value("attention.head_count"), n_layer)
    kv_heads = _each(value("attention.head_count_kv", heads), n_layer)
    k_size = int(value("attention.key_length", n_embd // max(heads)))
    v_size = int(value("attention.value_length", n_embd // max(heads)))
    n_expert, n_used = int(value("expert_count", 0)), int(value("expert_used_count", 0))
    windows, states = _windows(arch, n_layer, value), _states(n_layer, value)
    weights = [_Sum() for _ in range(n_layer)]
    rest = {"token_embd": _Sum(), "output": _Sum()}
    for tensor in tensors:
        inside = re.match(r"blk\.(\d+)\.", tensor.name)
        if inside:
            if int(inside[1]) < n_layer:  # layers behind the last one predict further tokens and are not loaded
                share = n_used / n_expert if "_exps" in tensor.name and n_expert else 1.0
                weights[int(inside[1])].add(tensor, share)
        else:
            rest["token_embd" if tensor.name.startswith("token_embd") else "output"].add(tensor, 1.0)
    tied = not any(tensor.name == "output.weight" for tensor in tensors)
    embedding, output = rest["token_embd"], rest["output"]
    vocabulary = next(tensor.shape[1] for tensor in tensors if tensor.name == "token_embd.weight")
    widths = [(0, 0) if states[i] else (kv_heads[i] * k_size, kv_heads[i] * v_size) for i in range(n_layer)]
    layers = tuple(Layer(one.bytes, round(one.active_bytes), heads[i], *widths[i], windows[i], states[i])
                   for i, one in enumerate(weights))
    inner = _most(value("feed_forward_length", 0))
    if n_expert:
        inner = n_used * _most(value("expert_feed_forward_length", inner))
    return Shape(name, arch, layers, n_embd, max(heads) * k_size, int(vocabulary), int(value("context_length")), inner,
                 n_expert, n_used, embedding.bytes, output.bytes + (embedding.bytes if tied else 0), tied,
                 sum(one.n for one in weights) + output.n + embedding.n,
                 round(sum(one.active for one in weights)) + (embedding.n if tied else output.n))


class _Sum:
    """Numbers and bytes of tensors, and those of them that a token uses."""

    def __init__(self) -> None:
        self.n = self.bytes = 0
        self.active = self.active_bytes = 0.0

    def add(self, tensor: Place, share: float) -> None:
        block, size = BLOCKS[tensor.type]
        n = math.prod(tensor.shape)
        self.n += n
        self.bytes += n // block * size
        self.active += n * share
        self.active_bytes += n // block * size * share


def _each(value: Any, n: int) -> list[int]:
    """One number a layer: a header gives one for all, or an array."""
    if isinstance(value, (int, float)):
        return [int(value)] * n
    return [int(one) for one in value][:n]


def _most(value: Any) -> int:
    return int(value) if isinstance(value, (int, float)) else max((int(one) for one in value), default=0)


def _windows(arch: str, n_layer: int, value: Any) -> list[int]:
    """Tokens each layer looks back; 0 for all."""
    window = int(value("attention.sliding_window", 0))
    pattern = value("attention.sliding_window_pattern", _EVERY.get(arch, 0))
    if not window or not pattern:
        return [0] * n_layer
    if isinstance(pattern, int):
        return [0 if (layer + 1) % pattern == 0 else window for layer in range(n_layer)]
    return [window if slides else 0 for slides in _each(pattern, n_layer)]


def _states(n_layer: int, value: Any) -> list[int]:
    """Bytes of the recurrent state of each layer, in f32 (llama-hparams.cpp: n_embd_r and n_embd_s)."""
    every, inner = int(value("full_attention_interval", 0)), int(value("ssm.inner_size", 0))
    if not inner:
        return [0] * n_layer
    size, groups, kernel = int(value("ssm.state_size")), int(value("ssm.group_count", 0)), int(value("ssm.conv_kernel"))
    state = 4 * ((kernel - 1) * (inner + 2 * groups * size) + size * inner)
    return [0 if every and (layer + 1) % every == 0 else state for layer in range(n_layer)]


# ---- cores that are not here ---------------------------------------------------------------------------------------

@lru_cache(maxsize=1)
def _known() -> dict[str, dict[str, Any]]:
    return tomllib.loads(files("twin").joinpath("shapes.toml").read_text("utf-8"))


def known() -> Iterable[str]:
    """Names of the catalogue's cores whose shape is known without their files."""
    return _known().keys()


def of_known(name: str, bytes: int) -> Shape:
    """The shape of a core of the catalogue that is not here, its file of so many bytes shared out evenly over the
    layers: embedding and output layer in Q8_0 in a file of some 8 bits a weight, else in Q4_K and Q6_K, as Q4_K_M files
    have them. ModelMissing for one of which nothing is known."""
    if name not in _known():
        raise ModelMissing(f"The shape of {name} is not known here, and its file is not on this machine.",
                           f"Fetch it with `twin models pull {name}`, or name one of {', '.join(_known())}.")
    one = _known()[name]
    n, n_vocab, head, n_layer = one["n_embd"], one["n_vocab"], one["head"], one["n_layer"]
    words = n * n_vocab
    eight = 8 * bytes > 7.5 * one["n_embd"] * one["n_layer"] * (2 * head * (one["n_head"] + one["n_head_kv"])
                                                             + 3 * max(one.get("n_expert", 0), 1) * one["n_ff"])
    output = words // 32 * 34 if eight else words // 256 * 210
    embedding = output if one["tied"] or eight else words // 256 * 144
    each = (bytes - one.get("words_bytes", 6_000_000) - output - (0 if one["tied"] else embedding)) // n_layer
    attention = n * head * (2 * one["n_head"] + 2 * one["n_head_kv"])
    n_expert, n_used = one.get("n_expert", 0), one.get("n_used", 0)
    feed = 3 * n * one["n_ff"]
    whole, active = attention + feed * max(n_expert, 1), attention + feed * max(n_used, 1)
    width = one["n_head_kv"] * head
    layer = Layer(each, round(each * active / whole), one["n_head"], width, width)
    return Shape(name, "qwen3moe" if n_expert else "qwen", (layer,) * n_layer, n, one["n_head"] * head, n_vocab,
                 one["n_ctx"], one["n_ff"] * max(n_used, 1), n_expert, n_used, embedding, output, one["tied"],
                 n_layer * whole + words * (1 if one["tied"] else 2), n_layer * active + words, exact=False)

