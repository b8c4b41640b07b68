"""Which core answers: what there is, what is here, what suits this machine; fetched and chosen from a face."""
from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from twin.catalog import Catalog, Model
from twin.machine import memory_bytes, nvidia_cards

Fit = Literal["fits", "tight", "too large"]
TIGHT = 0.6  # of the memory: beyond it a browser beside the core is in the way


@dataclass(frozen=True)
class Choice:
    """A model of the catalogue as somebody chooses it. `in_use`: it answers, or would at the next question."""

    model: Model
    present: bool
    recommended: bool
    in_use: bool
    fit: Fit

    @property
    def name(self) -> str:
        """Its name in the catalogue."""
        return self.model.name


def choices(catalog: Catalog, chosen: str | None) -> list[Choice]:
    """The cores of the catalogue, the recommended one first, then what is here, then by size. `chosen` is the name or
    path that was asked for; None leaves it to `Catalog.best_core`."""
    memory, cards = memory_bytes(), nvidia_cards()
    wanted = catalog.recommend(memory, cards).model.name
    used = _named(catalog, chosen) if chosen else catalog.best_core()
    on_cards = 0.9 * sum(card.memory_bytes for card in cards)  # as `catalog.choose` counts
    made = [Choice(entry.model, entry.present, entry.model.name == wanted, entry.model.name == used,
                   _fit(entry.model, memory, on_cards))
            for entry in catalog.list() if entry.model.kind == "core"]
    return sorted(made, key=lambda one: (not one.recommended, not one.present, one.model.params))


def _named(catalog: Catalog, chosen: str) -> str:
    """The name in the catalogue of what was asked for by its path; else as it was asked for."""
    known = catalog.by_path(Path(chosen).expanduser())
    return known.name if known else chosen


def _fit(model: Model, memory: int, on_cards: float) -> Fit:
    needed = model.memory_gb * 1e9
    return "fits" if needed <= max(TIGHT * memory, on_cards) else "tight" if needed <= memory else "too large"
