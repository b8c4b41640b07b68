"""Speed: tokens a second that a core can be expected to read and write on given devices, with an error bar.

A roofline (Williams et al. 2009): writing one token reads the active weights and the keys and values once, reading many
multiplies them. How near a device comes to its data sheet is a range. A measurement of one core does not narrow it for
the next: SmolLM2 in Q4_1 came to a quarter of what matrix products do here, Qwen 1.5B in Q4_K_M to nine tenths.
"""
from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from twin.buffers import PER_32, Context
from twin.cards import Card, Range
from twin.shape import Shape

# Shares of bandwidth and arithmetic that llama.cpp reaches. Cards: from reports of others, not measured here.
# Processor: of numpy's reading and of f32 matrix products, see tests/bench/plan_speed.py.
_CARD_READS, _CARD_COMPUTES = Range(0.4, 0.65, 0.9), Range(0.15, 0.35, 0.6)
_CPU_READS, _CPU_COMPUTES = Range(0.3, 0.6, 1.1), Range(0.25, 0.6, 1.3)
_CARD_LAYER_S = Range(50e-6, 25e-6, 10e-6)   # starting a layer's kernels
_CPU_LAYER_S = Range(150e-6, 60e-6, 20e-6)   # threads that meet at each operation
_HOP_S, _REMOTE_HOP_S = 30e-6, 400e-6        # handing a token's state to the next device, and to another process
_ROWS_S = Range(40e-6, 15e-6, 5e-6)          # handing a product's input and output to each further card, rows split
_PRODUCTS = 7                                # of a layer: queries, keys, values, output, gate, up, down
_EXPERTS = 0.6                               # of the bandwidth is reached where weights lie apart, expert by expert


@dataclass(frozen=True)
class Speed:
    """Tokens a second: `prefill` of reading a long prompt, `decode` of one answer at `at` tokens of context, `council`
    of all members' answers together."""

    prefill: Range
    decode: Range
    council: Range
    at: int


def expect(shape: Shape, context: Context, cards: Sequence[Card], where: Sequence[int], *, at: int = 2048,
           members: int = 4, rows: bool = False) -> Speed:
    """What can be expected of a core whose layers lie as `where` says (numbers of `cards`, -1 for the last processor
    among them; see buffers.spread); `rows`: each layer lies on all of them in parts."""
    decode = _range(lambda end: _token_s(shape, context, cards, where, at, rows, end))
    prefill = _range(lambda end: _read_s(shape, cards, where, rows, end))
    together = _range(lambda end: _token_s(shape, context, cards, where, at, rows, end, members))
    return Speed(prefill, decode, together.times(members), at)


def _range(seconds: Callable[[str], float]) -> Range:
    """The range of a rate, from the seconds at each of its ends."""
    low, value, high = (1 / seconds(end) for end in ("low", "value", "high"))
    return Range(min(low, value), value, max(value, high))


def _kv_token(shape: Shape, context: Context, layer: int, at: int) -> float:
    one = shape.layers[layer]
    seen = min(at, one.window) if one.window else at
    return (one.k_width + one.v_width) * PER_32[context.kv] / 32 * seen + one.state


def _token_s(shape: Shape, context: Context, cards: Sequence[Card], where: Sequence[int], at: int, rows: bool,
             end: str, members: int = 1) -> float:
    """Seconds of one step: the weights read once, keys and values for each member, arithmetic for each member."""
    seconds, before = 0.0, None
    share = 1 / len(cards) if rows else 1.0
    for i, place in enumerate(where):
        card = cards[place]
        last = i == len(shape.layers)
        weights = shape.output_bytes if last else shape.layers[i].active
        mixed = _EXPERTS if shape.n_expert and not last else 1.0
        if shape.n_expert and not last and members > 1:  # members wake different experts
            weights = min(shape.layers[i].bytes, weights * members)
        cache = 0.0 if last else members * _kv_token(shape, context, i, at)
        bandwidth, flops = _reaches(card, end)
        cached = cache * len(cards) if rows else cache  # the cache lies on the first card alone
        seconds += share * max((weights / mixed + cached) / bandwidth, 2 * members * _parameters(shape, i) / flops)
        seconds += 0.0 if last else getattr(_CPU_LAYER_S if _is_processor(card) else _CARD_LAYER_S, end)
        seconds += _PRODUCTS * (len(cards) - 1) * getattr(_ROWS_S, end) if rows and not last else 0.0
        if before is not None and place != before:
            seconds += _REMOTE_HOP_S if card.server else _HOP_S
        before = place
    return seconds


def _is_processor(card: Card) -> bool:
    return card.processor or bool(card.server)


def _reaches(card: Card, end: str) -> tuple[float, float]:
    """Bytes and operations a second that a device comes to, at this end of the range."""
    reads, computes = (_CPU_READS, _CPU_COMPUTES) if _is_processor(card) else (_CARD_READS, _CARD_COMPUTES)
    return getattr(card.bandwidth, end) * getattr(reads, end), getattr(card.flops, end) * getattr(computes, end)


def _parameters(shape: Shape, layer: int) -> float:
    """Numbers a token is multiplied with in a layer, or in the output layer, which is the last one."""
    output = shape.n_embd * shape.n_vocab
    return output if layer == len(shape.layers) else (shape.active - output) / len(shape.layers)


def _read_s(shape: Shape, cards: Sequence[Card], where: Sequence[int], rows: bool, end: str) -> float:
    """Seconds a token of a long prompt takes. Devices in a row read several batches at once: how far that fills them is
    part of the error bar. The output layer is computed for the last token alone."""
    seconds: dict[int, float] = {}
    for i, place in enumerate(where[:-1]):
        seconds[place] = seconds.get(place, 0.0) + 2 * _parameters(shape, i) / _reaches(cards[place], end)[1]
    total = sum(seconds.values())
    if rows and seconds:  # sums of whole batches travel between the devices at every layer
        return total / {"low": 1.0, "value": 0.7 + 0.3 * len(cards), "high": float(len(cards))}[end]
    at_once = {"low": total, "value": 0.5 * (total + max(seconds.values())), "high": max(seconds.values())}
    return at_once[end]
