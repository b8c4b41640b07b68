"""GGUF files that are all header: the shapes of real cores with a hole where the weights would be.

The file system keeps no byte of the hole, so a core of 20 GB is a few MB on disk; llama.cpp loads it without
allocating (`no_alloc`) and reports what it would have taken. Types follow llama.cpp's Q4_K_M recipe.
"""
from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import gguf
import numpy as np

Q4, Q6, F32 = gguf.GGMLQuantizationType.Q4_K, gguf.GGMLQuantizationType.Q6_K, gguf.GGMLQuantizationType.F32


@dataclass(frozen=True)
class Hole:
    """A shape; `window` and `every`: of a core whose layers look back so far, but each `every`-th sees all."""

    arch: str
    n_layer: int
    n_embd: int
    n_head: int
    n_head_kv: int
    head: int
    n_ff: int
    tied: bool = False
    n_expert: int = 0
    n_used: int = 0
    n_vocab: int = 151936
    n_ctx: int = 40960
    window: int = 0


QWEN3 = {
    "0.6B": Hole("qwen3", 28, 1024, 16, 8, 128, 3072, tied=True),
    "1.7B": Hole("qwen3", 28, 2048, 16, 8, 128, 6144, tied=True),
    "4B": Hole("qwen3", 36, 2560, 32, 8, 128, 9728, tied=True),
    "8B": Hole("qwen3", 36, 4096, 32, 8, 128, 12288),
    "14B": Hole("qwen3", 40, 5120, 40, 8, 128, 17408),
    "32B": Hole("qwen3", 64, 5120, 64, 8, 128, 25600),
    "30B-A3B": Hole("qwen3moe", 48, 2048, 32, 4, 128, 768, n_expert=128, n_used=8, n_ctx=262144),
}
GEMMA3 = Hole("gemma3", 34, 2560, 8, 4, 256, 10240, tied=True, n_vocab=262144, n_ctx=131072, window=1024)


def write(path: Path, hole: Hole) -> Path:
    """The file; as long as the real one would be."""
    writer = gguf.GGUFWriter(path, hole.arch)
    key = f"{hole.arch}."
    for name, value in {"context_length": hole.n_ctx, "embedding_length": hole.n_embd, "block_count": hole.n_layer,
                        "feed_forward_length": hole.n_ff, "attention.head_count": hole.n_head,
                        "attention.head_count_kv": hole.n_head_kv, "attention.key_length": hole.head,
                        "attention.value_length": hole.head, "rope.dimension_count": hole.head}.items():
        writer.add_uint32(key + name, value)
    writer.add_float32(key + "attention.layer_norm_rms_epsilon", 1e-6)
    writer.add_float32(key + "rope.freq_base", 1e6)
    if hole.n_expert:
        writer.add_uint32(key + "expert_count", hole.n_expert)
        writer.add_uint32(key + "expert_used_count", hole.n_used)
        writer.add_uint32(key + "expert_feed_forward_length", hole.n_ff)
    if hole.window:
        writer.add_uint32(key + "attention.sliding_window", hole.window)
    _vocabulary(writer, hole.n_vocab)
    for name, shape, kind in tensors(hole):
        writer.add_tensor_info(name, shape[::-1], np.dtype(np.float32), _bytes(shape, kind), kind)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_ti_data_to_file()
    writer.close()
    with path.open("r+b") as file:
        end = path.stat().st_size
        os.truncate(file.fileno(), end + -end % 32 + sum(_padded(_bytes(shape, kind))
                                                        for _, shape, kind in tensors(hole)))
    return path


def weights(hole: Hole) -> int:
    """Bytes of all tensors."""
    return sum(_bytes(shape, kind) for _, shape, kind in tensors(hole))


def tensors(hole: Hole) -> Iterator[tuple[str, tuple[int, ...], gguf.GGMLQuantizationType]]:
    """(name, shape with the row's length first, type) of each tensor."""
    n, q, kv = hole.n_embd, hole.n_head * hole.head, hole.n_head_kv * hole.head
    yield "token_embd.weight", (n, hole.n_vocab), Q6 if hole.tied else Q4
    for layer in range(hole.n_layer):
        block, more = f"blk.{layer}.", _more_bits(layer, hole.n_layer)
        yield block + "attn_norm.weight", (n,), F32
        yield block + "attn_q.weight", (n, q), Q4
        yield block + "attn_k.weight", (n, kv), Q4
        yield block + "attn_v.weight", (n, kv), Q6 if more else Q4
        yield block + "attn_output.weight", (q, n), Q4
        yield block + "attn_q_norm.weight", (hole.head,), F32
        yield block + "attn_k_norm.weight", (hole.head,), F32
        yield block + "ffn_norm.weight", (n,), F32
        if hole.arch == "gemma3":
            yield block + "post_attention_norm.weight", (n,), F32
            yield block + "post_ffw_norm.weight", (n,), F32
        suffix, experts = (("_exps.weight", (hole.n_expert,)) if hole.n_expert else (".weight", ()))
        if hole.n_expert:
            yield block + "ffn_gate_inp.weight", (n, hole.n_expert), F32
        yield block + "ffn_gate" + suffix, (n, hole.n_ff, *experts), Q4
        yield block + "ffn_up" + suffix, (n, hole.n_ff, *experts), Q4
        yield block + "ffn_down" + suffix, (hole.n_ff, n, *experts), Q6 if more else Q4
    yield "output_norm.weight", (n,), F32
    if not hole.tied:
        yield "output.weight", (n, hole.n_vocab), Q6


def _more_bits(layer: int, n: int) -> bool:
    return layer < n // 8 or layer >= 7 * n // 8 or (layer - n // 8) % 3 == 2


def _bytes(shape: tuple[int, ...], kind: gguf.GGMLQuantizationType) -> int:
    block, size = gguf.GGML_QUANT_SIZES[kind]
    return int(np.prod(shape)) // block * size


def _padded(size: int) -> int:
    return size + -size % 32


@lru_cache(maxsize=2)
def _words(n: int) -> tuple[list[str], list[int]]:
    plain = [chr(c) for c in (*range(33, 127), *range(161, 173), *range(174, 256))]
    plain += [chr(256 + i) for i in range(256 - len(plain))]
    words = [*plain, "<|endoftext|>", "<|im_start|>", "<|im_end|>"]
    return [*words, *(f"w{i}" for i in range(n - len(words)))], [1] * 256 + [3] * 3 + [1] * (n - 259)


def _vocabulary(writer: gguf.GGUFWriter, n: int) -> None:
    words, kinds = _words(n)
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("qwen2")
    writer.add_token_list(words)
    writer.add_token_types(kinds)
    writer.add_token_merges([f"{words[0]} {words[0]}"])
    writer.add_bos_token_id(256)
    writer.add_eos_token_id(258)
