"""Base: the GGUF that one runs, as a torch model with frozen weights; what it needs is told before it is loaded.

The configuration comes from the file's own header and the numbers are dequantised one tensor at a time into an empty
model: nothing is downloaded, no tokenizer is loaded (ids come from the core's vocabulary), and the peak is the model
itself plus one tensor. transformers' own reader (`gguf_file=`) needs twice that and ignores what some files say
(`rope_freqs`, Qwen3's head size). Knows no text, no adapter and no loop.
"""
from __future__ import annotations

import math
import os
import re
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np

from twin import gguf_file, home
from twin.errors import CannotDo, ModelBroken, ModelError, ModelMissing, UsageError

INSTALL = "pip install 'twin[train]'"
ARCHITECTURES = ("llama", "qwen2", "qwen3")  # dense decoders; each verified against llama.cpp by logits
Dtype = Literal["auto", "float32", "bfloat16"]

# GGUF tensor <-> module of transformers, as llama.cpp's converter names them (gguf-py, tensor_mapping.py).
WHOLE = {"token_embd": "model.embed_tokens", "output_norm": "model.norm", "output": "lm_head"}
IN_LAYER = {"attn_norm": "input_layernorm", "ffn_norm": "post_attention_layernorm", "attn_q": "self_attn.q_proj",
            "attn_k": "self_attn.k_proj", "attn_v": "self_attn.v_proj", "attn_output": "self_attn.o_proj",
            "attn_q_norm": "self_attn.q_norm", "attn_k_norm": "self_attn.k_norm", "ffn_gate": "mlp.gate_proj",
            "ffn_up": "mlp.up_proj", "ffn_down": "mlp.down_proj"}
GGUF_OF = {"q": "attn_q", "k": "attn_k", "v": "attn_v", "o": "attn_output", "gate": "ffn_gate", "up": "ffn_up",
           "down": "ffn_down"}


@dataclass(frozen=True)
class Base:
    """A core as torch sees it. `model`: a causal LM of transformers, every parameter frozen, in `dtype` on `device`."""

    model: Any = field(repr=False)
    arch: str
    sha256: str
    path: Path
    dtype: str
    device: str
    licence: str

    @classmethod
    def load(cls, path: Path, *, dtype: Dtype = "auto", device: str = "auto") -> Base:
        """Read a GGUF into memory. 'auto' is CUDA where torch sees it, and bfloat16 where the processor computes in it.

        Raises ModelMissing (no torch, no file), CannotDo (an architecture not verified here), ModelBroken, and
        ModelError where the memory does not hold it.
        """
        torch = needs_torch()
        path = Path(path)
        if not path.is_file():
            raise ModelMissing(f"There is no model file at {path}.", "Fetch one with `twin models pull NAME`.")
        header = gguf_file.header(path)
        settings = _settings(path, header)
        device = device_for(torch, device)
        dtype = dtype_for(torch, dtype, device)
        with memory_is_named({"dtype": dtype}):
            model = _empty(torch, str(header.values["general.architecture"]), settings, getattr(torch, dtype))
            _fill(torch, model, path, header, getattr(torch, dtype), device)
        return cls(model, str(header.values["general.architecture"]), home.sha256_of(path), path, dtype, device,
                   str(header.values.get("general.license", "")))


def needs_torch() -> Any:
    """The torch module, with all that training needs beside it. Raises ModelMissing with the line that installs it."""
    os.environ.setdefault("GOMP_SPINCOUNT", "1000")  # as engine.library: threads that wait must not starve each other
    # By default 1,024 primitives stay, each with its buffers, one for each shape of a batch: 60 steps of SmolLM2 held
    # 4.9 GB at the peak, and 3.9 with 16, as fast.
    os.environ.setdefault("ONEDNN_PRIMITIVE_CACHE_CAPACITY", "16")
    try:
        # torch first: without it transformers loads all the same, and stays without it while this process lives.
        import torch  # isort: skip
        import gguf  # noqa: F401 - looked for now, so that one message names what is missing
        import peft  # noqa: F401
        import safetensors  # noqa: F401
        import transformers
    except (ImportError, OSError) as error:
        raise ModelMissing(f"Training needs {getattr(error, 'name', None) or 'torch'}, which is not installed "
                           f"({error}).", f"Install it: {INSTALL}") from error
    chatter: Any = transformers.utils.logging
    chatter.set_verbosity_error()
    # What its authors plan for later versions is no news for the person at the terminal.
    warnings.filterwarnings("ignore", category=FutureWarning, module=r"(transformers|peft|torch)\b")
    return torch


def device_for(torch: Any, wanted: str) -> str:
    """The device to train on: 'auto' is CUDA where torch sees it. Raises UsageError for CUDA where it does not."""
    if wanted == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    if wanted.startswith("cuda") and not torch.cuda.is_available():
        raise UsageError("torch sees no CUDA device on this machine.", "Train on the processor: --device cpu.")
    return wanted


def dtype_for(torch: Any, wanted: str, device: str) -> Literal["float32", "bfloat16"]:
    """bfloat16 halves the memory; where nothing computes in it, it costs more time than float32. Raises UsageError."""
    if wanted in ("float32", "bfloat16"):
        return wanted  # type: ignore[return-value]
    if wanted != "auto":
        raise UsageError(f"There is no dtype {wanted!r} to train in.", "Choose auto, float32 or bfloat16.")
    if device.startswith("cuda"):
        return "bfloat16" if torch.cuda.is_bf16_supported(including_emulation=False) else "float32"
    able = torch.cpu.get_capabilities()
    return "bfloat16" if able.get("avx512_bf16") or able.get("amx_bf16") else "float32"


# ---- what it will need ---------------------------------------------------------------------------------------------

RUNTIME = 480 << 20  # bytes of torch, transformers and peft with nothing loaded, and a step's buffers (Linux, CPU)


def memory_needed(path: Path, *, dtype: Dtype = "auto", device: str = "auto", batch: int = 8, tokens: int = 512,
                  learned: int | None = None, rank: int = 8, targets: Sequence[str] = tuple(GGUF_OF)) -> int:
    """Bytes that training will hold at its peak, from the header alone: on CUDA most of them are the card's.

    tokens: of one sample, as far as gradients go through it. learned: positions of a batch whose logits are made, all
    by default. An estimate from above: 1.0 to 1.15 times the measured peak (SmolLM2, Qwen 1.5B). Raises as `load`.
    """
    torch = needs_torch()
    header = gguf_file.header(path)
    settings = _settings(path, header)
    size = 2 if dtype_for(torch, dtype, device_for(torch, device)) == "bfloat16" else 4
    shapes = {place.name: place.shape for place in header.tensors}
    weights = size * sum(math.prod(shape) for shape in shapes.values())
    loading = 4 * max(math.prod(shape) for shape in shapes.values())  # one tensor as float32 beside the rest
    names = {f"{GGUF_OF[word]}.weight" for word in targets}
    trained = sum(rank * sum(shape) for name, shape in shapes.items() if name.split(".", 2)[-1] in names)
    hidden, ff = settings["hidden_size"], settings["intermediate_size"]
    # What a layer keeps of a token for the way back, counted through torch's saved tensors on SmolLM2: the three of the
    # MLP, about 30 * hidden for norms (in float32), rotation and attention, and float32 copies for adapters of the MLP.
    kept = 3 * size * ff + 30 * hidden + (8 * hidden + 4 * ff if {"gate", "up", "down"} & set(targets) else 0)
    read = batch * tokens
    logits = (read if learned is None else learned) * settings["vocab_size"] * (12 + size)
    training = int(1.5 * read * kept * settings["num_hidden_layers"]) + logits  # 1.5: freed, but not given back
    adapter = 5 * 4 * trained  # its values, gradient, two moments, the best so far
    return int(RUNTIME + weights + max(loading, training) + adapter)


# ---- the header ----------------------------------------------------------------------------------------------------

def _settings(path: Path, header: gguf_file.Header) -> dict[str, Any]:
    """Arguments of the configuration class. Raises CannotDo for what this would compute otherwise than llama.cpp."""
    values = header.values
    arch = str(values.get("general.architecture", ""))
    if arch not in ARCHITECTURES:
        raise CannotDo(f"{path.name} is of the architecture {arch or 'unknown'!r}, which cannot be trained here.",
                       f"Adapters are trained for dense cores of the families {', '.join(ARCHITECTURES)}.")
    shapes = {place.name: place.shape for place in header.tensors}

    def told(key: str, default: Any = None) -> Any:
        found = values.get(f"{arch}.{key}", default)
        if found is None:
            raise ModelBroken(f"{path.name} does not say its {arch}.{key}.", "Fetch it again.")
        return found

    try:
        hidden, heads = int(told("embedding_length")), int(told("attention.head_count"))
        head_dim = int(told("attention.key_length", hidden // heads))
        scaling = str(told("rope.scaling.type", "none"))
        settings = {
            "hidden_size": hidden, "num_attention_heads": heads, "head_dim": head_dim,
            "num_key_value_heads": int(told("attention.head_count_kv", heads)),
            "intermediate_size": int(told("feed_forward_length")), "num_hidden_layers": int(told("block_count")),
            "rms_norm_eps": float(told("attention.layer_norm_rms_epsilon")),
            "max_position_embeddings": int(told("context_length")), "vocab_size": shapes["token_embd.weight"][1],
            "tie_word_embeddings": "output.weight" not in shapes,
            "rope_parameters": {"rope_type": "default", "rope_theta": float(told("rope.freq_base", 10000.0))},
            "pad_token_id": None, "bos_token_id": None, "eos_token_id": None,
        }
        layers = {name.split(".")[1] for name in shapes if name.startswith("blk.")}
        if len(layers) != settings["num_hidden_layers"] or head_dim < 2 or head_dim % 2:
            raise ValueError(f"{len(layers)} layers, heads of {head_dim}")
        settings["_stretched"] = float(told("rope.scaling.factor", 1.0)) if scaling == "linear" else 1.0
    except (KeyError, IndexError, TypeError, ValueError, ZeroDivisionError) as error:
        raise ModelBroken(f"The header of {path.name} makes no sense ({error!r}).", "Fetch it again.") from error
    # What llama.cpp would do with these is not what the modules of transformers do.
    strange = [name for name in shapes if _module(name) is None and name != "rope_freqs.weight"]
    if scaling not in ("none", "linear") or int(told("rope.dimension_count", head_dim)) != head_dim:
        strange.append(f"rope.scaling.type {scaling}, rope.dimension_count {told('rope.dimension_count', head_dim)}")
    strange += [key for key in ("attention.scale", "logit_scale", "residual_scale", "embedding_scale")
                if f"{arch}.{key}" in values]
    if strange:
        raise _strange(path, strange[0], arch)
    return settings


def _strange(path: Path, what: str, arch: str) -> CannotDo:
    return CannotDo(f"{path.name} has {what}, which a plain {arch} has not; it cannot be trained here.",
                    f"Adapters are trained for dense cores of the families {', '.join(ARCHITECTURES)}.")


def _module(tensor: str) -> str | None:
    """The parameter of transformers that a tensor fills; None where there is none."""
    if found := re.fullmatch(r"blk\.(\d+)\.(\w+)\.(weight|bias)", tensor):
        layer, name, part = found.groups()
        return f"model.layers.{layer}.{IN_LAYER[name]}.{part}" if name in IN_LAYER else None
    name, _, part = tensor.rpartition(".")
    return f"{WHOLE[name]}.{part}" if name in WHOLE and part == "weight" else None


# ---- the weights ---------------------------------------------------------------------------------------------------

def _empty(torch: Any, arch: str, settings: dict[str, Any], dtype: Any) -> Any:
    """The model without memory for its weights; only its rotary frequencies are there."""
    import transformers  # deferred: seconds

    stretched = settings.pop("_stretched")
    config = transformers.AutoConfig.for_model(arch, **settings)
    made_from: Any = transformers.AutoModelForCausalLM
    with torch.device("meta"):
        model = made_from.from_config(config, dtype=dtype, attn_implementation="sdpa")
    model.model.rotary_emb = type(model.model.rotary_emb)(config)  # computed, not loaded: it must not stay on "meta"
    model.model.rotary_emb.inv_freq /= stretched
    return model


def _fill(torch: Any, model: Any, path: Path, header: gguf_file.Header, dtype: Any, device: str) -> None:
    """Dequantise tensor after tensor into the model. The heads of llama's q and k go back to the order of
    transformers: llama.cpp's converter interleaves the two halves of each head (LlamaModel.permute)."""
    wanted = dict(model.named_parameters())
    heads = {"q": model.config.num_attention_heads, "k": model.config.num_key_value_heads}
    for place in header.tensors:
        values = _numbers(path, place)
        if place.name == "rope_freqs.weight":  # Llama 3.1: each frequency has a divisor of its own
            _must_fit(path, place, model.model.rotary_emb.inv_freq)
            model.model.rotary_emb.inv_freq /= torch.from_numpy(values)
            continue
        name = str(_module(place.name))
        if name not in wanted:
            raise _strange(path, place.name, model.config.model_type)
        _must_fit(path, place, wanted[name])
        if model.config.model_type == "llama" and (found := re.search(r"attn_([qk])\.weight$", place.name)):
            values = values[turned(len(values), heads[found.group(1)])]
        owner, _, part = name.rpartition(".")
        data = torch.from_numpy(np.ascontiguousarray(values)).to(device=device, dtype=dtype)
        setattr(model.get_submodule(owner), part, torch.nn.Parameter(data, requires_grad=False))
    model.tie_weights()
    if missing := [name for name, parameter in model.named_parameters() if parameter.is_meta]:
        raise ModelBroken(f"{path.name} lacks {missing[0]}.", "Fetch it again.")
    model.to(device).eval()
    model.requires_grad_(False)


def _must_fit(path: Path, place: gguf_file.Place, parameter: Any) -> None:
    if tuple(parameter.shape) != place.shape[::-1]:
        raise ModelBroken(f"{path.name} has a {place.name} of shape {place.shape[::-1]}, which does not fit the rest.",
                          "Fetch it again.")


def _numbers(path: Path, place: gguf_file.Place) -> np.ndarray[Any, np.dtype[np.float32]]:
    """One tensor as float32, in numpy's order of dimensions."""
    import gguf  # deferred: the formats of ggml's quantised blocks

    try:
        kind = gguf.GGMLQuantizationType(place.type)
        block, size = gguf.GGML_QUANT_SIZES[kind]
        rows = place.shape[:0:-1]
        width = place.shape[0] // block * size
        values = gguf.dequantize(raw(path, place, math.prod(rows) * width).reshape(*rows, width), kind)
    except (ValueError, NotImplementedError) as error:
        raise ModelBroken(f"{place.name} of {path.name} cannot be read ({error}).", "Fetch it again.") from error
    return np.asarray(values, np.float32)


def raw(path: Path, place: gguf_file.Place, size: int) -> np.ndarray[Any, np.dtype[np.uint8]]:
    """The bytes of one tensor. ValueError where the file ends before; a damaged shape asks for any amount."""
    if place.offset + size > path.stat().st_size:
        raise ValueError("the file ends before its data do")
    return np.fromfile(path, np.uint8, size, offset=place.offset)


def turned(rows: int, heads: int) -> np.ndarray[Any, np.dtype[np.intp]]:
    """For each row of a q or k projection in transformers' order, its row in llama.cpp's: (rows,). A head's first half
    lies there in its even rows, its second half in the odd ones."""
    return np.arange(rows).reshape(heads, rows // heads // 2, 2).swapaxes(1, 2).reshape(rows)


# ---- for the loop --------------------------------------------------------------------------------------------------

def causal(model: Any) -> Any:
    """The causal LM inside a PEFT model, or itself."""
    return model.get_base_model() if hasattr(model, "get_base_model") else model


def backbone(model: Any) -> Any:
    """Everything up to the last norm: ids (and a cache) in, `last_hidden_state` (batch, tokens, hidden) out."""
    return causal(model).model


def head(model: Any) -> Any:
    """Hidden states (..., hidden) in, logits (..., vocabulary) out: to be called on learned positions only."""
    return causal(model).lm_head


@contextmanager
def memory_is_named(settings: Mapping[str, object]) -> Iterator[None]:
    """Translate any way of running out of memory into ModelError that names the settings to lower."""
    try:
        yield
    except (MemoryError, RuntimeError) as error:
        signs = ("out of memory", "not enough memory", "can't allocate memory", "alloc_cpu")
        if not isinstance(error, MemoryError) and not any(sign in str(error) for sign in signs):
            raise
        told = ", ".join(f"{name} {value}" for name, value in settings.items())
        raise ModelError(f"The memory does not hold this training ({told}).",
                         "Lower --batch first, then --max-tokens or --rank, or take --dtype bfloat16.") from error
