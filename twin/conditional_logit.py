"""Conditional logit: which of a question's alternatives is right, with "none of these" among them.

McFadden (1974), with an L2 pull to a prior and a temperature. Alternatives are rows of standardised features; "none of
these" has a column of its own and zeros elsewhere. Knows nothing of what the features mean; numpy only.
"""
from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

FOLDS = 5


def with_none(z: Floats) -> Floats:
    """Rows of clusters and, last, that of "none of these": only its own column is not 0."""
    wide = np.zeros((len(z) + 1, z.shape[1] + 1))
    wide[:-1, :-1], wide[-1, -1] = z, 1.0
    return wide


def softmax(utilities: Floats) -> Floats:
    """Shares along the last axis."""
    powers = np.exp(utilities - utilities.max(axis=-1, keepdims=True))
    return np.asarray(powers / powers.sum(axis=-1, keepdims=True), dtype=np.float64)


@dataclass(frozen=True)
class Choices:
    """Labelled questions as arrays: `x` (questions, alternatives, features + 1), and which alternatives are there, and
    right. `first` is the prior of the weights, of length features + 1; `ridge` its pull, in questions."""

    x: Floats
    there: NDArray[np.bool_]
    right: NDArray[np.bool_]
    first: Floats
    ridge: float

    @classmethod
    def of(cls, z: Sequence[Floats], right: Sequence[NDArray[np.bool_]], first: Floats, ridge: float) -> Choices:
        """From the features (alternatives, features) of each question; where nothing is right, "none of these" is."""
        most = max(map(len, z)) + 1
        x = np.zeros((len(z), most, len(first)))
        there, good = np.zeros((len(z), most), bool), np.zeros((len(z), most), bool)
        for q, (some, hits) in enumerate(zip(z, right, strict=True)):
            n = len(some) + 1
            x[q, :n], there[q, :n], good[q, :n] = with_none(some), True, [*hits, not hits.any()]
        return cls(x, there, good, first, ridge)

    def some(self, places: NDArray[np.int64]) -> Choices:
        """The questions at these places, repeated ones repeated."""
        return replace(self, x=self.x[places], there=self.there[places], right=self.right[places])

    def loss(self, beta: Floats) -> float:
        """Negative log-likelihood of the right alternatives (McFadden 1974; of several right ones their sum)."""
        p = softmax(np.where(self.there, self.x @ beta, -np.inf))
        return -float(np.log(np.maximum((p * self.right).sum(axis=1), 1e-300)).sum())

    def solve(self) -> Floats:
        """The penalised maximum of the likelihood, by Newton steps halved until they gain."""
        beta = self.first.copy()

        def cost(at: Floats) -> float:
            return self.loss(at) + self.ridge / 2 * float(((at - self.first) ** 2).sum())

        for _ in range(30):
            utilities = self.x @ beta
            p = softmax(np.where(self.there, utilities, -np.inf))
            hit = softmax(np.where(self.right, utilities, -np.inf))
            mean = np.einsum("qa,qad->qd", p, self.x)
            slope = (mean - np.einsum("qa,qad->qd", hit, self.x)).sum(axis=0) + self.ridge * (beta - self.first)
            curve = np.einsum("qa,qad,qae->de", p, self.x, self.x) - mean.T @ mean + self.ridge * np.eye(len(beta))
            step = np.linalg.solve(curve, slope)
            before, share = cost(beta), 1.0
            while share > 1e-3 and cost(beta - share * step) > before:
                share /= 2
            beta = beta - share * step
            if np.abs(step).max() < 1e-7 or share <= 1e-3:
                break
        return beta


def temperature(asked: Choices, rng: np.random.Generator) -> float:
    """What utilities are divided by: least loss on questions held out of the fit, FOLDS times (Guo et al. 2017)."""
    n = len(asked.x)
    if n < 2 * FOLDS:
        return 1.0
    fold = rng.permutation(n) % FOLDS
    held = [(asked.some(np.flatnonzero(fold == k)), asked.some(np.flatnonzero(fold != k)).solve())
            for k in range(FOLDS)]
    grid = np.geomspace(0.5, 4.0, 25)
    return float(min(grid, key=lambda t: sum(some.loss(beta / t) for some, beta in held)))
