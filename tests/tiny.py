"""Tiny random GGUF files, made in milliseconds: cores, adapters, control vectors and an embedder of well under 1 MB.

Every file is F32 (a core's matrices F16 on request) and seeded: one seed, one file, byte for byte. The text a core
writes is nonsense, but printable, and its logits are spread like a real model's, so that what the engine does with them
can be told apart. Shapes and keys are those llama.cpp's loader asks for (its src/models/*.cpp). Knows nothing of the
engine under test.
"""
from __future__ import annotations

import string
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import gguf
import numpy as np

Tensor = np.ndarray[Any, np.dtype[np.float32]]
Shapes = Mapping[str, tuple[int, int]]  # weight name -> (out, in)

ENDOFTEXT, IM_START, IM_END = 256, 257, 258  # token ids below 256 are the bytes themselves
CYRILLIC = "абвгдежзийклмнопрстуфхцчшщъыьэюяё"


class _File:
    """One GGUF file in the making: metadata through `writer`, random tensors by name and shape (numpy order)."""

    def __init__(self, path: Path, arch: str, seed: int, *, half: bool = False) -> None:
        self.path, self.arch, self.rng, self.half = path, arch, np.random.default_rng(seed), half
        self.writer = gguf.GGUFWriter(path, arch)

    def set(self, **values: int | float | bool | str | list[int]) -> None:
        """Metadata under the architecture's prefix; a double underscore in a name stands for the dot."""
        add = {bool: self.writer.add_bool, int: self.writer.add_uint32, float: self.writer.add_float32,
               str: self.writer.add_string, list: self.writer.add_array}
        for name, value in values.items():
            add[type(value)](f"{self.arch}.{name.replace('__', '.')}", value)  # type: ignore[operator]

    def weight(self, name: str, *shape: int, gain: float = 1.0) -> None:
        """A matrix (..., out, in) of which unit inputs come out with the standard deviation `gain`."""
        self.tensor(name, self.rng.standard_normal(shape, np.float32) * np.float32(gain / shape[-1] ** 0.5))

    def near(self, name: str, *shape: int, mean: float = 0.0, spread: float = 0.1) -> None:
        """A norm, a bias or another vector: `mean` with a little noise."""
        self.tensor(name, self.rng.normal(mean, spread, shape).astype(np.float32))

    def tensor(self, name: str, values: Tensor) -> None:
        self.writer.add_tensor(name, values.astype(np.float16) if self.half and values.ndim > 1 else values)

    def close(self) -> Path:
        self.writer.write_header_to_file()
        self.writer.write_kv_data_to_file()
        self.writer.write_tensors_to_file()
        self.writer.close()
        return self.path


def core(path: Path, arch: str = "qwen2", seed: int = 0, *, n_layer: int = 2, n_embd: int = 32, n_head: int = 4,
         n_head_kv: int = 2, n_ff: int = 64, n_ctx_train: int = 2048, n_expert: int = 4, template: str | None = None,
         ends: bool = False, half: bool = False, tied: bool = False, head_size: int | None = None) -> Path:
    """A decoder of the family `arch`: qwen2, llama, qwen3, qwen3moe (`n_expert`, two of them used), or qwen35, where
    every second layer is attention and the others recurrent (`n_layer` at least 2: llama.cpp aborts the process on a
    hybrid without attention). With `ends` most greedy answers end by themselves, after 0-60 tokens and rarely later;
    without it none writes `<|im_end|>`. `half`: matrices in F16, norms and biases in F32, as converters write them.
    `tied`: the output layer is the embedding. `head_size`: n_embd / n_head unless given, as Qwen3's is."""
    file = _File(path, arch, seed, half=half)
    file.set(context_length=n_ctx_train, embedding_length=n_embd, block_count=n_layer, feed_forward_length=n_ff,
             attention__head_count=n_head, attention__head_count_kv=n_head_kv,
             attention__layer_norm_rms_epsilon=1e-6, rope__freq_base=10000.0)
    head = head_size or n_embd // n_head
    if head_size:
        file.set(attention__key_length=head, attention__value_length=head)
    if arch == "qwen3moe":
        file.set(expert_count=n_expert, expert_used_count=2, expert_feed_forward_length=n_ff)
    if arch == "qwen35":
        file.set(attention__key_length=head, attention__value_length=head, rope__dimension_count=head,
                 rope__dimension_sections=[head // 2 - head // 4, head // 4, 0, 0], full_attention_interval=2,
                 ssm__conv_kernel=4, ssm__state_size=head, ssm__group_count=1, ssm__time_step_rank=2,
                 ssm__inner_size=2 * head)
    _byte_tokens(file.writer, template)
    file.weight("token_embd.weight", 260, n_embd, gain=n_embd ** 0.5)
    for layer in range(n_layer):
        block = f"blk.{layer}."
        file.near(f"{block}attn_norm.weight", n_embd, mean=1.0)
        if arch == "qwen35" and (layer + 1) % 2:
            _recurrent(file, block, n_embd, head)
        else:
            _attention(file, block, n_embd, head * n_head, head * n_head_kv, head)
        _feed_forward(file, block, n_embd, n_ff, n_expert)
    file.near("output_norm.weight", n_embd, mean=1.0)
    if not tied:
        file.tensor("output.weight", _output(file.rng, n_embd, ends))
    return file.close()


def _attention(file: _File, block: str, n_embd: int, n_q: int, n_kv: int, head: int) -> None:
    gated = 2 if file.arch == "qwen35" else 1  # a query and its gate in one matrix
    file.weight(f"{block}attn_q.weight", n_q * gated, n_embd, gain=2.0)  # sharp attention: far tokens count
    file.weight(f"{block}attn_k.weight", n_kv, n_embd, gain=2.0)
    file.weight(f"{block}attn_v.weight", n_kv, n_embd)
    file.weight(f"{block}attn_output.weight", n_embd, n_q, gain=2.0)
    if file.arch == "qwen2":
        for name, width in (("q", n_q), ("k", n_kv), ("v", n_kv)):
            file.near(f"{block}attn_{name}.bias", width)
    if file.arch.startswith("qwen3"):
        file.near(f"{block}attn_q_norm.weight", head, mean=2.0)
        file.near(f"{block}attn_k_norm.weight", head, mean=2.0)


def _recurrent(file: _File, block: str, n_embd: int, state: int) -> None:
    """A gated delta net with one key head and two value heads of `state` numbers; it forgets slowly (ssm_a < 0)."""
    inner, mixed = 2 * state, 4 * state
    file.weight(f"{block}attn_qkv.weight", mixed, n_embd, gain=2.0)
    file.weight(f"{block}attn_gate.weight", inner, n_embd)
    file.weight(f"{block}ssm_conv1d.weight", mixed, 4, gain=2.0)
    file.weight(f"{block}ssm_beta.weight", 2, n_embd)
    file.weight(f"{block}ssm_alpha.weight", 2, n_embd)
    file.near(f"{block}ssm_dt.bias", 2)
    file.near(f"{block}ssm_a", 2, mean=-0.1, spread=0.01)
    file.near(f"{block}ssm_norm.weight", state, mean=1.0)
    file.weight(f"{block}ssm_out.weight", n_embd, inner, gain=2.0)


def _feed_forward(file: _File, block: str, n_embd: int, n_ff: int, n_expert: int) -> None:
    norm = "post_attention_norm" if file.arch == "qwen35" else "ffn_norm"
    file.near(f"{block}{norm}.weight", n_embd, mean=1.0)
    experts: tuple[int, ...] = ()
    if file.arch == "qwen3moe":
        file.weight(f"{block}ffn_gate_inp.weight", n_expert, n_embd)
        experts = (n_expert,)
    suffix = "_exps.weight" if experts else ".weight"
    file.weight(f"{block}ffn_gate{suffix}", *experts, n_ff, n_embd)
    file.weight(f"{block}ffn_up{suffix}", *experts, n_ff, n_embd)
    file.weight(f"{block}ffn_down{suffix}", *experts, n_embd, n_ff, gain=2.0)


def _output(rng: np.random.Generator, n_embd: int, ends: bool) -> Tensor:
    """Logits of printable characters spread with a standard deviation of 4, all other tokens' stay near 0: greedy text
    is ASCII, so that tests can compare strings."""
    spread = np.full(260, 0.4, np.float32)
    spread[[ord(letter) for letter in string.ascii_letters + string.digits + " .,"]] = 4.0
    spread[IM_END] = 6.0 if ends else 0.4
    return (rng.standard_normal((260, n_embd), np.float32) * spread[:, None] / np.float32(n_embd ** 0.5))


def _byte_tokens(writer: gguf.GGUFWriter, template: str | None) -> None:
    """Byte-level BPE of 260 tokens: id = byte, then three control tokens, then NUL NUL (a loader wants one merge)."""
    plain = {*range(33, 127), *range(161, 173), *range(174, 256)}  # GPT-2 spells the other bytes as U+0100 and on
    spare = iter(range(256, 512))
    letters = [chr(byte) if byte in plain else chr(next(spare)) for byte in range(256)]
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("qwen2")
    writer.add_token_list([*letters, "<|endoftext|>", "<|im_start|>", "<|im_end|>", letters[0] * 2])
    writer.add_token_types([gguf.TokenType.NORMAL] * 256 + [gguf.TokenType.CONTROL] * 3 + [gguf.TokenType.NORMAL])
    writer.add_token_merges([f"{letters[0]} {letters[0]}"])
    writer.add_bos_token_id(ENDOFTEXT)
    writer.add_eos_token_id(IM_END)
    writer.add_eot_token_id(IM_END)
    writer.add_pad_token_id(ENDOFTEXT)
    writer.add_add_bos_token(False)
    if template is not None:
        writer.add_chat_template(template)


def weights(base: Path) -> tuple[str, Shapes]:
    """A file's architecture and the (out, in) of its matrices. Slow (seconds) where the vocabulary is large."""
    reader = gguf.GGUFReader(base)
    arch = str(reader.fields["general.architecture"].contents())
    return arch, {tensor.name: (int(tensor.shape[1]), int(tensor.shape[0]))
                  for tensor in reader.tensors if len(tensor.shape) == 2}


def attention(arch: str, n_layer: int, n_embd: int, n_q: int, n_v: int) -> tuple[str, Shapes]:
    """What `weights` finds of attn_q and attn_v in a plain decoder, without reading it."""
    return arch, {f"blk.{layer}.attn_{name}.weight": (width, n_embd)
                  for layer in range(n_layer) for name, width in (("q", n_q), ("v", n_v))}


SMOLLM2_135M = attention("llama", 30, 576, 576, 192)
QWEN25_CODER_1_5B = attention("qwen2", 28, 1536, 1536, 256)


def adapter(path: Path, base: Path | tuple[str, Shapes], kind: str = "lora", rank: int = 4, alpha: float | None = None,
            seed: int = 0, invocation: list[int] | None = None, strength: float = 2.0,
            targets: Iterable[str] = ("attn_q", "attn_v", "attn_qkv")) -> Path:
    """A random LoRA for `base`, a file or its shapes; `kind` lora, or alora with its `invocation` tokens (by default
    `<|im_start|>`). At alpha = rank (the default) it changes each target's output by about `strength` on unit inputs,
    whatever the rank; scale and alpha multiply that. Enough to change greedy text at scale 1; on a real core 2.0 leaves
    no sense in it (measured: SmolLM2, Qwen2.5-Coder-1.5B), 0.6 other words."""
    arch, shapes = weights(base) if isinstance(base, Path) else base
    file = _File(path, arch, seed)
    file.writer.add_type("adapter")
    file.writer.add_string("adapter.type", "lora")
    file.writer.add_float32("adapter.lora.alpha", rank if alpha is None else alpha)
    if kind == "alora":
        file.writer.add_key_value("adapter.alora.invocation_tokens", invocation or [IM_START],
                                  gguf.GGUFValueType.ARRAY, gguf.GGUFValueType.UINT32)
    chosen = {f"{target}.weight" for target in targets}
    for name, (out, width) in sorted(shapes.items()):
        if name.split(".", 2)[-1] in chosen:
            file.weight(f"{name}.lora_a", rank, width)
            file.weight(f"{name}.lora_b", out, rank, gain=strength)
    return file.close()


def control_vector(path: Path, arch: str = "qwen2", n_embd: int = 32, n_layer: int = 2, seed: int = 0,
                   strength: float = 1.0) -> Path:
    """A random direction of length `strength` * sqrt(n_embd) for each layer but the first, as llama.cpp's cvector
    generator names them."""
    file = _File(path, "controlvector", seed)
    file.set(model_hint=arch, layer_count=n_layer - 1)
    for layer in range(1, n_layer):
        file.near(f"direction.{layer}", n_embd, spread=strength)
    return file.close()


def embedder(path: Path, seed: int = 0, *, n_layer: int = 2, n_embd: int = 32, n_head: int = 4, n_ff: int = 64,
             n_ctx_train: int = 256) -> Path:
    """A BERT with mean pooling over word pieces that are single letters (Latin, Cyrillic), digits and punctuation."""
    file = _File(path, "bert", seed)
    file.set(context_length=n_ctx_train, embedding_length=n_embd, block_count=n_layer, feed_forward_length=n_ff,
             attention__head_count=n_head, attention__layer_norm_epsilon=1e-12, attention__causal=False,
             pooling_type=int(gguf.PoolingType.MEAN))
    n_vocab = _word_pieces(file.writer)
    file.weight("token_embd.weight", n_vocab, n_embd, gain=n_embd ** 0.5)
    file.near("token_types.weight", 2, n_embd)
    file.near("position_embd.weight", n_ctx_train, n_embd, spread=0.5)
    _layer_norm(file, "token_embd_norm", n_embd)
    for layer in range(n_layer):
        block = f"blk.{layer}."
        for name, out, width in (("attn_q", n_embd, n_embd), ("attn_k", n_embd, n_embd), ("attn_v", n_embd, n_embd),
                                 ("attn_output", n_embd, n_embd), ("ffn_up", n_ff, n_embd), ("ffn_down", n_embd, n_ff)):
            file.weight(f"{block}{name}.weight", out, width)
            file.near(f"{block}{name}.bias", out)
        _layer_norm(file, f"{block}attn_output_norm", n_embd)
        _layer_norm(file, f"{block}layer_output_norm", n_embd)
    return file.close()


def _layer_norm(file: _File, name: str, width: int) -> None:
    file.near(f"{name}.weight", width, mean=1.0)
    file.near(f"{name}.bias", width)


def _word_pieces(writer: gguf.GGUFWriter) -> int:
    """The size of a WordPiece vocabulary. In GGUF a piece that begins a word has a U+2581, one that goes on (`##a`) is
    bare: the reverse of vocab.txt."""
    pieces = string.ascii_lowercase + CYRILLIC + string.digits
    tokens = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    words = [f"\u2581{piece}" for piece in pieces + string.punctuation] + list(pieces)
    writer.add_tokenizer_model("bert")
    writer.add_tokenizer_pre("default")
    writer.add_token_list(tokens + words)
    writer.add_token_types([gguf.TokenType.CONTROL] * len(tokens) + [gguf.TokenType.NORMAL] * len(words))
    writer.add_token_type_count(2)
    for add, name in ((writer.add_pad_token_id, "[PAD]"), (writer.add_unk_token_id, "[UNK]"),
                      (writer.add_bos_token_id, "[CLS]"), (writer.add_sep_token_id, "[SEP]"),
                      (writer.add_mask_token_id, "[MASK]")):
        add(tokens.index(name))
    return len(tokens) + len(words)
