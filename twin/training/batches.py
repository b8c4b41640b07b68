"""Batches: which samples are read together, and how many nats their learned tokens cost the model.

An activated adapter acts from the tail on. So the prefix is read with the adapter off and without gradient, what all
samples begin with once for the whole run; the tail follows with the adapter on. That is how the engine uses it, and the
cheaper way to train it. A plain one reads everything with the adapter on and gradient through all of it.
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
        self._read: list[tuple[Any, Any]] | None = None
        # Renamed in transformers 5.24; the old name is refused from 5.40 on.
        self._cache_name = ("cache" if "cache" in inspect.signature(type(self.backbone).forward).parameters
                            else "past_key_values")

    def __call__(self, batch: Sequence[Encoded]) -> tuple[Any, int]:
        """Nats of all learned tokens of a batch (a scalar tensor, float32), and how many tokens that are."""
        import torch

        before = [0 if self.shared else len(sample.prefix) for sample in batch]  # where a tail begins in what is read
        hidden = self._tails(batch) if self.shared else self._hidden(
            self._padded([(*sample.prefix, *sample.tail) for sample in batch]))
        learned = [(row, start + place, token) for row, (sample, start) in enumerate(zip(batch, before, strict=True))
                   for place, (token, yes) in enumerate(zip(sample.tail, sample.learned, strict=True)) if yes]
        rows, places, tokens = torch.tensor(learned, device=hidden.device).unbind(1)
        # The vocabulary's projection is the dearest matrix of a small core: only where something is learned.
        logits = self.head(hidden[rows, places - 1]).float()
        return torch.nn.functional.cross_entropy(logits, tokens, reduction="sum"), len(learned)

    def _tails(self, batch: Sequence[Encoded]) -> Any:
        """Hidden states of the tails. What pads the prefixes stands between them and the tails: masked, and not counted
        in the positions."""
        import torch

        if any(getattr(module, "gradient_checkpointing", False) for module in self.backbone.modules()):
            raise ModelError("With gradient checkpointing a core drops what it has read, and its tails would learn "
                             "without their prefix.", "Switch it off, or train a plain adapter: --kind lora.")
        start = len(self.common)
        rests = [sample.prefix[start:] for sample in batch]
        with torch.no_grad(), self._adapter_off():
            cache = self._opened(len(batch))
            if any(rests):
                self._hidden(self._padded(rests), cache)  # padded on the right: nothing before a pad sees it
        width = max(map(len, rests))
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

    def _opened(self, rows: int) -> Any:
        """A cache that holds the common beginning, for so many rows."""
        import torch
        from transformers import DynamicCache

        if self._read is None:
            cache = DynamicCache()
            if self.common:
                self._hidden(torch.tensor([self.common], device=self.device), cache)
            self._must_hold(cache, len(self.common))
            layers: list[Any] = cache.layers
            self._read = [(layer.keys, layer.values) for layer in layers]
        cache = DynamicCache()
        for place, (keys, values) in enumerate(self._read):
            cache.update(keys.expand(rows, -1, -1, -1), values.expand(rows, -1, -1, -1), place)
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
