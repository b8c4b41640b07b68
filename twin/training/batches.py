"""Batches: which samples are read together, and how many nats their learned tokens cost the model.

An activated adapter acts from the tail on. So the prefix is read with the adapter off and without gradient, what all
samples begin with once for the whole run, the rest of each alone and kept as far as KEPT goes: nothing of it changes
while the adapter learns. The tail follows with the adapter on. That is how the engine uses it, and the cheaper way to
train it. A plain one reads everything with the adapter on and gradient through all of it.
Knows no steps, files or optimiser.
"""
from __future__ import annotations

import inspect
import random
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Literal

from twin.errors import ModelError, UsageError
from twin.training.base import backbone, head

if TYPE_CHECKING:
    from twin.training.tokens import Encoded

# Shuffled samples are sorted by length in pools of so many batches: little padding, and still new mixtures each time.
_POOL = 8
# Bytes of keys and values of prefixes that are kept from one epoch to the next. SmolLM2 and Qwen2.5 1.5B need 23 and
# 28 KB a token in bfloat16.
KEPT = 1 << 30


def order(samples: Sequence[Encoded], batch: int, seed: int, epoch: int) -> list[list[int]]:
    """Places of all samples in batches, ceil(n / batch) of them: a function of its arguments alone, so that a run that
    goes on needs no memory of what it has drawn."""
    chance = random.Random(f"{seed} {epoch}")  # noqa: S311  # reproducible, not secret
    shuffled = list(range(len(samples)))
    chance.shuffle(shuffled)
    batches: list[list[int]] = []
    for start in range(0, len(shuffled), batch * _POOL):
        pool = sorted(shuffled[start:start + batch * _POOL], key=lambda place: _lengths(samples[place]))
        batches += [pool[first:first + batch] for first in range(0, len(pool), batch)]
    chance.shuffle(batches)
    return batches


def by_length(samples: Sequence[Encoded], batch: int) -> list[list[Encoded]]:
    """All samples in batches of similar length, always the same ones: for those that are only measured."""
    ordered = sorted(samples, key=_lengths)
    return [ordered[first:first + batch] for first in range(0, len(ordered), batch)]


def beginning(samples: Sequence[Encoded]) -> tuple[int, ...]:
    """Tokens that all prefixes begin with."""
    first, last = (some(sample.prefix for sample in samples) for some in (min, max))
    return first[:next((place for place, (a, b) in enumerate(zip(first, last, strict=False)) if a != b), len(first))]


def _lengths(sample: Encoded) -> tuple[int, int]:
    return len(sample.tail), len(sample.prefix)


Layers = list[tuple[Any, Any]]
"""Keys and values of each layer."""


class Losses:
    """Costs of batches under a model with an adapter. `everything` is all the run will read: their common beginning is
    read once. Raises UsageError for a sample of which nothing can be learned this way."""

    def __init__(self, model: Any, kind: Literal["alora", "lora"], everything: Sequence[Encoded]) -> None:
        self.model, self.shared = model, kind == "alora"
        self.backbone, self.head = backbone(model), head(model)
        self.device = next(model.parameters()).device
        first = 1 if self.shared else 0
        if any(not sample.prefix or not any(sample.learned) or any(sample.learned[:first]) for sample in everything):
            raise UsageError("A sample has no prefix, nothing to learn, or is to learn the first token of its tail, "
                             "which nothing read with the adapter on comes before.",
                             "Encode samples with twin.training.tokens.encode.")
        self.common = beginning(everything) if self.shared else ()
        self._read: Layers | None = None
        self._prefixes: dict[tuple[int, ...], Layers] = {}
        self._room = KEPT
        # Renamed in transformers 5.24; the old name is refused from 5.40 on.
        self._cache_name = ("cache" if "cache" in inspect.signature(type(self.backbone).forward).parameters
                            else "past_key_values")

    def __call__(self, batch: Sequence[Encoded]) -> tuple[Any, int]:
        """Nats of all learned tokens of a batch (a scalar tensor, float32), and how many tokens that are."""
        import torch

        logits, tokens, _ = self._learned(batch)
        return torch.nn.functional.cross_entropy(logits, tokens, reduction="sum"), len(tokens)

    def each(self, batch: Sequence[Encoded]) -> Any:
        """Nats of the learned tokens of each sample of a batch: (samples,), float32."""
        import torch

        logits, tokens, rows = self._learned(batch)
        nats = torch.nn.functional.cross_entropy(logits, tokens, reduction="none")
        return torch.zeros(len(batch), device=nats.device).index_add(0, rows, nats)

    def _learned(self, batch: Sequence[Encoded]) -> tuple[Any, Any, Any]:
        """Logits (learned, vocabulary) before each learned token, these tokens, and the sample each is of."""
        import torch

        before = [0 if self.shared else len(sample.prefix) for sample in batch]  # where a tail begins in what is read
        hidden = self._tails(batch) if self.shared else self._hidden(
            self._padded([(*sample.prefix, *sample.tail) for sample in batch]))
        learned = [(row, start + place, token) for row, (sample, start) in enumerate(zip(batch, before, strict=True))
                   for place, (token, yes) in enumerate(zip(sample.tail, sample.learned, strict=True)) if yes]
        rows, places, tokens = torch.tensor(learned, device=hidden.device).unbind(1)
        # The vocabulary's projection is the dearest matrix of a small core: only where something is learned.
        return self.head(hidden[rows, places - 1]).float(), tokens, rows

    def _tails(self, batch: Sequence[Encoded]) -> Any:
        """Hidden states of the tails. What pads the prefixes stands between them and the tails: masked, and not counted
        in the positions."""
        import torch

        if any(getattr(module, "gradient_checkpointing", False) for module in self.backbone.modules()):
            raise ModelError("With gradient checkpointing a core drops what it has read, and its tails would learn "
                             "without their prefix.", "Switch it off, or train a plain adapter: --kind lora.")
        start = len(self.common)
        rests = [sample.prefix[start:] for sample in batch]
        width = max(map(len, rests))
        with torch.no_grad(), self._adapter_off():
            cache = self._joined(self.prefixes(rests), width)
        self._must_hold(cache, start + width)
        tails = self._padded([sample.tail for sample in batch])
        ends = torch.tensor([[len(rest)] for rest in rests], device=tails.device)
        places = torch.arange(width, device=tails.device)[None, :] < ends
        seen = torch.cat([torch.ones(len(batch), start, dtype=torch.long, device=tails.device), places.long(),
                          torch.ones_like(tails)], dim=1)
        positions = start + ends + torch.arange(tails.shape[1], device=tails.device)[None, :]
        hidden = self._hidden(tails, cache, attention_mask=seen, position_ids=positions)
        self._must_hold(cache, start + width + tails.shape[1])
        return hidden

    def _beginning(self) -> Layers:
        """Keys and values of the common beginning; of none where samples have none in common."""
        if self._read is None:
            self._read = self._layers((), [self.common])[0] if self.common else []
        return self._read

    def prefixes(self, rests: Sequence[tuple[int, ...]]) -> list[Layers]:
        """Keys and values of what follows the beginning in each prefix. A processor reads each alone, so that a run
        that goes on reads the same bits; a card reads what is missing at once: one by one it waits (SmolLM2 on an H200:
        .5 s a step)."""
        missing = [rest for rest in dict.fromkeys(rests) if rest and rest not in self._prefixes]
        groups = [missing] if self.device.type == "cuda" and missing else [[rest] for rest in missing]
        read: dict[tuple[int, ...], Layers] = {(): []}
        for group in groups:
            read |= zip(group, self._layers(self._beginning(), group), strict=True)
        for rest in missing:
            size = sum(one.numel() * one.element_size() for pair in read[rest] for one in pair)
            if size <= self._room:
                self._room -= size
                self._prefixes[rest] = read[rest]
        return [read[rest] if rest in read else self._prefixes[rest] for rest in rests]

    def _layers(self, before: Layers | tuple[()], rows: Sequence[tuple[int, ...]]) -> list[Layers]:
        """Of each row, keys and values (1, heads, its tokens, width) in each layer, read after `before`."""
        from transformers import DynamicCache

        cache, start = DynamicCache(), 0
        for place, (keys, values) in enumerate(before):
            cache.update(keys.expand(len(rows), -1, -1, -1), values.expand(len(rows), -1, -1, -1), place)
            start = keys.shape[-2]
        tokens = self._padded(rows)
        self._hidden(tokens, cache)
        self._must_hold(cache, start + tokens.shape[1])
        layers: list[Any] = cache.layers
        return [[(layer.keys[number:number + 1, :, start:start + len(row)].clone(),
                  layer.values[number:number + 1, :, start:start + len(row)].clone()) for layer in layers]
                for number, row in enumerate(rows)]

    def _joined(self, rests: Sequence[Layers], width: int) -> Any:
        """A cache with a row for each prefix: the beginning, what follows it, and zeros up to `width`."""
        import torch
        from transformers import DynamicCache

        cache, shared = DynamicCache(), self._beginning()
        for place in range(max(len(shared), *map(len, rests))):
            joined = []
            for which in (0, 1):
                rows = [torch.nn.functional.pad(rest[place][which], (0, 0, 0, width - rest[place][which].shape[-2]))
                        if rest else None for rest in rests]
                like = next((row for row in rows if row is not None), None)
                parts = [shared[place][which].expand(len(rests), -1, -1, -1)] if shared else []
                if like is not None:
                    parts.append(torch.cat([torch.zeros_like(like) if row is None else row for row in rows]))
                joined.append(torch.cat(parts, dim=-2))
            cache.update(joined[0], joined[1], place)
        return cache

    def _hidden(self, tokens: Any, cache: Any = None, **rest: Any) -> Any:
        """Last hidden states (batch, tokens, width) of what follows the cache, which grows by it."""
        held = {} if cache is None else {self._cache_name: cache}
        return self.backbone(input_ids=tokens, use_cache=cache is not None, **held, **rest).last_hidden_state

    def _padded(self, rows: Sequence[Sequence[int]]) -> Any:
        """Token ids (rows, longest), zeros on the right: what stands there is read by nobody."""
        import torch

        width = max(map(len, rows))
        return torch.tensor([[*row, *[0] * (width - len(row))] for row in rows], device=self.device)

    def _must_hold(self, cache: Any, tokens: int) -> None:
        """A cache that silently keeps less (a sliding window does) would let tails learn without their prefix."""
        if cache.get_seq_length() != tokens:
            raise ModelError(f"The core kept {cache.get_seq_length()} of {tokens} tokens it had read.",
                             "Train a plain adapter: --kind lora.")

    @contextmanager
    def _adapter_off(self) -> Iterator[None]:
        """As peft's `disable_adapter`, which also walks over all parameters for a report each time."""
        self.model.base_model.disable_adapter_layers()
        try:
            yield
        finally:
            self.model.base_model.enable_adapter_layers()
