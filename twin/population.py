"""Scores of many genomes on the same items: who is best at what, who is dominated, who is kept. Arithmetic only.

A score is a number an item, higher is better. Front by instance: GEPA (arXiv 2507.19457), algorithm 2.
"""
from __future__ import annotations

from random import Random

import numpy as np
from numpy.typing import NDArray

Scores = NDArray[np.float64]  # (genomes, items)
Flags = NDArray[np.bool_]


def best_at(scores: Scores) -> Flags:
    """(genomes, items): whether nobody is better than a genome on an item."""
    return np.asarray(scores == scores.max(axis=0))


def dominated_by(scores: Scores) -> list[int | None]:
    """For each genome the place of another that is nowhere worse and somewhere better, or the first with the very same
    scores; None for those of the Pareto front."""
    found: list[int | None] = []
    for place, row in enumerate(scores):
        covers = (scores >= row).all(axis=1)
        better = covers & (scores > row).any(axis=1)
        same = (scores[:place] == row).all(axis=1)
        if better.any():  # the best of them: it is on the front itself
            found.append(int(np.where(better, scores.mean(axis=1), -np.inf).argmax()))
        else:
            found.append(int(same.argmax()) if same.any() else None)
    return found


def wins(scores: Scores) -> NDArray[np.float64]:
    """How much each genome wins, (genomes,): an item is one win, shared by those of the front that are best at it. An
    item that all do equally well tells them apart as little as it should."""
    front = np.array([other is None for other in dominated_by(scores)])
    best = best_at(scores) & front[:, None]
    found: NDArray[np.float64] = (best / np.maximum(best.sum(axis=0), 1)).sum(axis=1)
    return found


def living(scores: Scores, most: int) -> list[int]:
    """Places of the genomes that live: those on the front, at most `most`, by wins, mean, age."""
    won, means = wins(scores), scores.mean(axis=1)
    order = sorted(np.flatnonzero(won > 0).tolist(), key=lambda place: (-won[place], -means[place], place))
    return order[:most]


def draw(scores: Scores, places: list[int], rng: Random) -> int:
    """One of the places, by its wins."""
    won = wins(scores)
    return rng.choices(places, [float(won[place]) for place in places])[0]


def champion(scores: Scores, costs: list[float]) -> int:
    """The best by mean; of equals the cheapest, then the eldest."""
    means = scores.mean(axis=1).round(12)
    return min(range(len(means)), key=lambda place: (-means[place], costs[place], place))
