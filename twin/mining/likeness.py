"""How alike texts are, and what a linear model over examples makes of messages: the router's way, without an embedder.

The sums a miner needs: what each example does to each message, exactly, without fitting anew.
"""
from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from twin.examples import NOISE, pieces_of, stems_of
from twin.linear import Floats, Linear
from twin.types import never

BLOCK = 4096  # features that are multiplied at a time: 40 MB for 2,500 texts
Singles = NDArray[np.float32]


class Stopped(Exception):
    """There is no more time."""


def among(texts: Sequence[str], stop: Callable[[], bool] = never) -> Singles:
    """(n, n): how alike the texts are, 0..1. Raises Stopped, asked between blocks."""
    found = _cosines([stems_of(text) for text in texts], stop)
    found += _cosines([pieces_of(text) for text in texts], stop)
    found /= 2
    return found


def _cosines(rows: Sequence[Sequence[str]], stop: Callable[[], bool]) -> Singles:
    """(n, n): as `linear.Lexicon.among`, a block of features at a time, so that memory does not grow with the words.
    What stands in one row alone makes it longer and like no other."""
    n, held = len(rows), [Counter(row) for row in rows]
    among_all = Counter(name for row in held for name in row)
    idf = {name: math.log(1 + n / count) for name, count in among_all.items()}
    weights = [{name: (1 + math.log(count)) * idf[name] for name, count in row.items()} for row in held]
    norms = [max(math.sqrt(sum(weight * weight for weight in row.values())), 1e-9) for row in weights]
    column = {name: place for place, name in enumerate(name for name, count in among_all.items() if count > 1)}
    entries = np.array([(i, column[name], weight / norm)
                        for i, (row, norm) in enumerate(zip(weights, norms, strict=True))
                        for name, weight in row.items() if name in column]).reshape(-1, 3)
    entries = entries[np.argsort(entries[:, 1], kind="stable")]
    found = np.zeros((n, n), dtype=np.float32)
    for start in range(0, len(column), BLOCK):
        if stop():
            raise Stopped
        some = entries[slice(*np.searchsorted(entries[:, 1], (start, start + BLOCK)))]
        block = np.zeros((n, min(BLOCK, len(column) - start)), dtype=np.float32)
        block[some[:, 0].astype(int), some[:, 1].astype(int) - start] = some[:, 2]
        found += block @ block.T
    np.fill_diagonal(found, [1.0 if row else 0.0 for row in rows])
    return found


class Sorting:
    """Messages sorted to labels by examples. `kernel` (n + m, n + m) over n examples and m messages, `column` (n,) the
    examples' labels as numbers below `labels`, `wanted` (m,) those of the messages."""

    def __init__(self, kernel: Singles, column: Sequence[int], wanted: Sequence[int], labels: int) -> None:
        self.n, self.labels = len(column), labels
        self.column, self.wanted = np.array(column, dtype=int), np.array(wanted, dtype=int)
        inside = kernel[:self.n, :self.n].astype(np.float64)
        self.near = kernel[self.n:, :self.n].astype(np.float64)    # (m, n) likeness of messages to examples
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


def clusters(kernel: Singles, least: float, stop: Callable[[], bool] = never) -> list[list[int]]:
    """Agglomerative, average linkage: groups that are on average at least `least` alike; largest first. Raises Stopped,
    asked between merges. Who is nearest to each is kept, so that a merge costs a few rows and not all pairs."""
    groups = {i: [i] for i in range(len(kernel))}
    alike = kernel.astype(np.float32)
    np.fill_diagonal(alike, -1)
    nearest = alike.argmax(axis=1) if len(groups) > 1 else np.zeros(len(groups), dtype=int)
    most = alike[np.arange(len(groups)), nearest]
    while len(groups) > 1:
        if stop():
            raise Stopped
        a = int(most.argmax())
        b = int(nearest[a])
        if most[a] < least:
            break
        one, other = len(groups[a]), len(groups[b])
        alike[a] = alike[:, a] = (one * alike[a] + other * alike[b]) / (one + other)
        alike[b] = alike[:, b] = alike[a, a] = -1
        groups[a] += groups.pop(b)
        stale = np.flatnonzero((nearest == a) | (nearest == b) | (alike[:, a] > most))
        stale = np.union1d(stale, [a, b])
        nearest[stale] = alike[stale].argmax(axis=1)
        most[stale] = alike[stale, nearest[stale]]
    return sorted((sorted(group) for group in groups.values()), key=lambda group: (-len(group), group))


def silhouette(kernel: Singles, group: Sequence[int], rest: Sequence[int]) -> float:
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
