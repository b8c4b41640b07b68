"""Buffers: bytes that a core takes on each device - weights, keys and values, scratch space. Pure arithmetic.

Follows what llama.cpp reserves (llama-context.cpp, llama-kv-cache.cpp, ggml-alloc.c), found by comparing with what it
reports for shapes of Qwen3 0.6B to 32B, 30B-A3B, Gemma 3 and SmolLM2 (tests/test_buffers.py). Knows no speed.
"""
from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

from twin.shape import Layer, Shape

Kv = Literal["f16", "q8_0", "q4_0", "f32"]
PROCESSOR = -1       # as a device: this machine's memory
COPIES = 4           # of inputs, where several devices read several batches (ggml-backend.cpp: GGML_SCHED_MAX_COPIES)
_PADDING = 256       # cells of a cache come in multiples of it
PER_32 = {"f16": 64, "f32": 128, "q8_0": 34, "q4_0": 18}  # bytes of 32 numbers


@dataclass(frozen=True)
class Context:
    """What a context is made with. `n_ctx`: tokens of all prefixes and answers together; `n_ubatch`: tokens computed at
    once; `n_seq`: prefixes and answers alive at once; `windows`: layers with a sliding window keep no more than it
    (False: all tokens, as the engine does: a cut or a copy still needs what a window forgets)."""

    n_ctx: int
    n_ubatch: int = 128
    n_seq: int = 40
    kv: Kv = "f16"
    flash: bool = False
    windows: bool = False


@dataclass(frozen=True)
class Load:
    """Bytes on one device."""

    weights: int = 0
    kv: int = 0
    compute: int = 0

    @property
    def total(self) -> int:
        """All of it."""
        return self.weights + self.kv + self.compute


def cells(layer: Layer, context: Context) -> int:
    """Tokens that a layer's cache has room for."""
    wanted = context.n_ctx
    if layer.window and context.windows:
        wanted = min(wanted, layer.window * context.n_seq + context.n_ubatch)
    return wanted + -wanted % _PADDING


def kv_bytes(layer: Layer, context: Context) -> int:
    """Bytes of one layer's keys and values, or of its recurrent states."""
    if layer.state:
        return layer.state * context.n_seq
    return (layer.k_width + layer.v_width) * PER_32[context.kv] * cells(layer, context) // 32


def kv(shape: Shape, context: Context) -> int:
    """Bytes of all keys and values of a context."""
    return sum(kv_bytes(layer, context) for layer in shape.layers)


def spread(n_layer: int, split: Sequence[float], n_gpu_layers: int = -1) -> tuple[int, ...]:
    """The device of each layer and, last, of the output layer, by llama.cpp's rule (llama-model.cpp: load_tensors): the
    last `n_gpu_layers` of n_layer + 1 go to the devices, in parts as `split` says; what is left stays on PROCESSOR."""
    active = n_layer + 1 if n_gpu_layers < 0 else min(n_gpu_layers, n_layer + 1)
    total, upto = sum(split), 0.0
    ends = []
    for part in split:
        upto += part
        ends.append(upto / total)
    first = n_layer + 1 - active

    def device(layer: int) -> int:
        if layer < first:
            return PROCESSOR
        return next((i for i, end in enumerate(ends) if end > (layer - first) / active), len(ends) - 1)

    return tuple(device(layer) for layer in range(n_layer + 1))


def loads(shape: Shape, context: Context, where: Sequence[int]) -> dict[int, Load]:
    """Bytes on each device, by its number in `where` (see `spread`), and always on PROCESSOR, which holds the embedding
    and the logits of what is being written."""
    used = sorted({*where} - {PROCESSOR})
    copies = COPIES if len(used) > 1 and PROCESSOR not in where else 1
    found = {}
    for device in (PROCESSOR, *used):
        layers = [layer for layer, place in zip(shape.layers, where, strict=False) if place == device]
        writes = where[-1] == device
        weights = sum(layer.bytes for layer in layers) + (shape.output_bytes if writes else 0)
        if device == PROCESSOR and not (writes and shape.tied):
            weights += shape.input_bytes
        kept = sum(kv_bytes(layer, context) for layer in layers)
        found[device] = Load(weights, kept, _compute(shape, context, layers, writes, copies, alone=not used))
    processor = found[PROCESSOR]
    logits = 4 * context.n_seq * shape.n_vocab
    return {**found, PROCESSOR: replace(processor, compute=processor.compute + logits)}


def _compute(shape: Shape, context: Context, layers: Sequence[Layer], writes: bool, copies: int, *, alone: bool) -> int:
    """Scratch space: the most of what attention, feed-forward and output layers hold at once. `alone`: no other device
    computes, so that inputs are freed when they were used."""
    batch = min(context.n_ubatch, context.n_ctx)
    tokens = -(-batch // min(context.n_seq, batch)) * min(context.n_seq, batch)  # as many from each sequence
    number = 2 if context.flash else 4
    caches = {layer.window if context.windows else bool(layer.window): cells(layer, context)
              for layer in shape.layers if layer.k_width}
    mask = tokens * number * sum(caches.values())
    hidden = 4 * tokens * shape.n_embd
    if not layers and not writes:
        return copies * mask + 3 * hidden
    attention = max((_attention(shape, context, layer, tokens) for layer in layers), default=0)
    feed = 4 * tokens * ((2 + shape.n_used) * shape.n_embd + 4 * shape.n_ff) if layers else 0
    output = 4 * batch * (shape.n_vocab + shape.n_embd) + (hidden if alone else 0) if writes else 0
    if copies > 1:  # inputs of four batches stay
        return copies * (mask + hidden) + max(attention + hidden, feed, output)
    return max(mask + attention, mask + feed, output)


def _attention(shape: Shape, context: Context, layer: Layer, tokens: int) -> int:
    """What one layer's attention holds: the stream, queries, keys, values, and without flash attention a score for each
    token, cell and head."""
    if layer.state:
        return 4 * tokens * (3 * shape.n_embd + 4 * shape.q_width)
    inputs = 4 * tokens * (3 * shape.n_embd + 2 * shape.q_width + layer.k_width + layer.v_width)
    return inputs + (0 if context.flash else 4 * tokens * cells(layer, context) * layer.heads)
