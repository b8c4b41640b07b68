"""How alike texts are, and what a linear model over examples makes of messages: the router's way, without an embedder.

The sums a miner needs: what each example does to each message, exactly, without fitting anew.
"""
from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import numpy as np

from twin import text as plain
from twin.linear import Floats, Lexicon, Linear

NOISE = 0.15  # ridge, as in twin.examples


def stems(text: str) -> list[str]:
    """Stems, pairs of neighbouring ones, and the first one marked."""
    found = ["^", *plain.stems(text)]
    return found[1:] + [f"{left} {right}" for left, right in pairwise(found)]


def pieces(text: str) -> list[str]:
    """Character 3- to 5-grams inside words."""
    padded = [f" {word} " for word in plain.words(text)]
    return [word[i:i + n] for word in padded for n in (3, 4, 5) for i in range(len(word) - n + 1)]


def among(texts: Sequence[str]) -> Floats:
    """(n, n): how alike the texts are, 0..1."""
    if not texts:
        return np.zeros((0, 0))
    return (Lexicon([stems(text) for text in texts]).among() + Lexicon([pieces(text) for text in texts]).among()) / 2


class Sorting:
    """Messages sorted to labels by examples. `kernel` (n + m, n + m) over n examples and m messages, `column` (n,) the
    examples' labels as numbers below `labels`, `wanted` (m,) those of the messages."""

    def __init__(self, kernel: Floats, column: Sequence[int], wanted: Sequence[int], labels: int) -> None:
        self.n, self.labels = len(column), labels
        self.column, self.wanted = np.array(column, dtype=int), np.array(wanted, dtype=int)
        inside = kernel[:self.n, :self.n]
        self.near = kernel[self.n:, :self.n]                       # (m, n) likeness of messages to examples
        self.linear = Linear.fit(inside, np.eye(labels)[self.column], NOISE)
        self.scores = self.linear.scores(self.near)                # (m, labels)
        self.pull = self.near @ self.linear.inverse                # (m, n) what a unit of an example's target adds

    @property
    def right(self) -> int:
        """How many messages go where they should."""
        return int((self.scores.argmax(axis=1) == self.wanted).sum())

    def moved(self, example: int, to: int) -> int:
        """How many more messages go right when one example has another label."""
        changed = self.scores.copy()
        changed[:, to] += self.pull[:, example]
        changed[:, self.column[example]] -= self.pull[:, example]
        return int((changed.argmax(axis=1) == self.wanted).sum()) - self.right


def clusters(kernel: Floats, least: float) -> list[list[int]]:
    """Agglomerative, average linkage: groups that are on average at least `least` alike; largest first."""
    groups = [[i] for i in range(len(kernel))]
    alike = kernel.astype(np.float64).copy()
    np.fill_diagonal(alike, -1)
    while len(groups) > 1:
        a, b = (int(place) for place in np.unravel_index(int(alike.argmax()), alike.shape))
        if alike[a, b] < least:
            break
        a, b = min(a, b), max(a, b)
        one, other = len(groups[a]), len(groups[b])
        alike[a] = alike[:, a] = (one * alike[a] + other * alike[b]) / (one + other)
        alike[a, a] = -1
        alike = np.delete(np.delete(alike, b, 0), b, 1)
        groups[a] += groups.pop(b)
    return sorted((sorted(group) for group in groups), key=lambda group: (-len(group), group))


def silhouette(kernel: Floats, group: Sequence[int], rest: Sequence[int]) -> float:
    """Mean silhouette (Rousseeuw 1987) of a group against the rest, with 1 - likeness as the distance; -1..1."""
    if len(group) < 2 or not rest:
        return 0.0
    far = 1 - kernel
    inside = far[np.ix_(group, group)].sum(axis=1) / (len(group) - 1)
    outside = far[np.ix_(group, rest)].mean(axis=1)
    return float(((outside - inside) / np.maximum(np.maximum(inside, outside), 1e-9)).mean())


def auc(scores: Floats, positive: Floats) -> float:
    """Share of the pairs of a positive and another in which the positive has the higher score; ties count half."""
    yes, no = scores[positive > 0], scores[positive <= 0]
    return float(((yes[:, None] > no).sum() + 0.5 * (yes[:, None] == no).sum()) / max(len(yes) * len(no), 1))
