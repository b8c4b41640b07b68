"""A linear classifier with exact leave-one-out, and the calibration of its confidence: numpy only, closed forms.

Least squares on one-of-C targets in the space of a kernel (regularised least squares classification, Rifkin 2002). With
ten examples of each of 77 intents it is as right as multinomial logistic regression on the same kernel (0.851 and 0.852
on rows of the training file that were not drawn). What each example would be called if it had never been seen comes
free of charge, so everything else is chosen and calibrated by that.
"""
from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

_PRIOR = 1.0  # of each kind, right and wrong, pretended to have been seen: Platt's smoothing for few examples


@dataclass(frozen=True, eq=False)
class Linear:
    """Fitted: `inverse` (n, n) of kernel + noise, `weights` (n, C), `base` (C,): the scores of what is like nothing."""

    inverse: Floats
    weights: Floats
    base: Floats
    targets: Floats

    @classmethod
    def fit(cls, kernel: Floats, targets: Floats, noise: float) -> Linear:
        """`kernel` (n, n) positive semidefinite with ones on its diagonal, `targets` (n, C) of 0 and 1."""
        base = targets.mean(axis=0) if len(targets) else np.zeros(targets.shape[1])
        inverse: Floats = np.linalg.inv(kernel + noise * np.eye(len(kernel))).astype(np.float64)
        return cls(inverse, inverse @ (targets - base), base, targets)

    def scores(self, kernel: Floats) -> Floats:
        """(m, n) likeness to the examples -> (m, C), about 1 for the class and 0 for the others."""
        return np.asarray(kernel @ self.weights + self.base)

    def left_out(self) -> Floats:
        """(n, C): the score of each example by all the others (exact; the mean target is kept)."""
        return np.asarray(self.targets - self.weights / np.diag(self.inverse)[:, None])


def softmax(scores: Floats) -> Floats:
    """Rows that sum to 1."""
    grown = np.exp(scores - scores.max(axis=1, keepdims=True))
    return np.asarray(grown / grown.sum(axis=1, keepdims=True))


def sharpness(scores: Floats, targets: Floats) -> float:
    """The factor b for which softmax(b * scores) gives the true classes the greatest likelihood; rows must be left out
    ones, or it comes out too sure."""
    tried = np.geomspace(2, 60, 24)
    right = [float(np.log((softmax(b * scores) * targets).sum(axis=1) + 1e-9).mean()) for b in tried]
    return float(tried[int(np.argmax(right))])


@dataclass(frozen=True)
class Confidence:
    """Probability of being right, from one number: a logistic curve (Platt 1999)."""

    slope: float = 4.0
    middle: float = 0.8

    @classmethod
    def fit(cls, evidence: Floats, right: NDArray[np.bool_]) -> Confidence:
        """By Newton's method, of (n,) numbers and whether each was right. With too little of either kind the smoothed
        targets keep the curve away from 0 and 1; a curve that would fall is made flat."""
        spread = float(evidence.std()) or 1.0
        x = np.stack([(evidence - evidence.mean()) / spread, np.ones(len(evidence))], axis=1)
        yes, no = float(right.sum()), float((~right).sum())
        wanted = np.where(right, (yes + _PRIOR) / (yes + 2 * _PRIOR), _PRIOR / (no + 2 * _PRIOR))
        line = np.zeros(2)
        for _ in range(30):
            share = 1 / (1 + np.exp(-x @ line))
            bend = (x * (share * (1 - share))[:, None]).T @ x + 1e-3 * np.eye(2)
            line = line - np.clip(np.linalg.solve(bend, x.T @ (share - wanted) + 1e-3 * line), -2, 2)
        slope = max(float(line[0]), 1e-3) / spread
        return cls(slope, float(evidence.mean()) - float(line[1]) / slope)

    def of(self, evidence: float) -> float:
        """0..1."""
        return float(1 / (1 + np.exp(-np.clip(self.slope * (evidence - self.middle), -50, 50))))


def spread_around(top: int, sure: float, shares: Floats) -> Floats:
    """`shares` (C,) with `sure` for the class `top` and the rest in proportion; the top stays the top: where another
    would pass it, all are drawn toward equal. Sums to 1."""
    if len(shares) == 1:
        return np.ones(1)
    rest = shares.copy()
    rest[top] = 0
    total = float(rest.sum())
    rest = rest / total if total > 0 else np.where(np.arange(len(shares)) == top, 0, 1 / (len(shares) - 1))
    most = float(rest.max())
    sure = max(sure, most / (1 + most))
    rest = rest * (1 - sure)
    rest[top] = sure
    return np.asarray(rest / rest.sum())


class Lexicon:
    """TF-IDF cosine over one kind of feature; counts enter as 1 + log."""

    def __init__(self, rows: Sequence[Sequence[str]]) -> None:
        self.column = {name: i for i, name in enumerate(dict.fromkeys(name for row in rows for name in row))}
        weighted = np.zeros((len(rows), len(self.column)), dtype=np.float32, order="F")
        for i, row in enumerate(rows):
            for name, count in Counter(row).items():
                weighted[i, self.column[name]] = 1 + math.log(count)
        self.idf = np.log(1 + len(rows) / np.maximum((weighted > 0).sum(axis=0), 1))
        weighted *= self.idf
        weighted /= np.maximum(np.linalg.norm(weighted, axis=1, keepdims=True), 1e-9)
        self.weighted = weighted

    def among(self) -> Floats:
        """(n, n): cosine of each row with each."""
        return np.asarray(self.weighted @ self.weighted.T, dtype=np.float64)

    def cosines(self, features: Sequence[str]) -> Floats:
        """(n,): cosine of a text's features with each row; features that no row holds do not count."""
        counted = {self.column[name]: count for name, count in Counter(features).items() if name in self.column}
        if not counted:
            return np.zeros(len(self.weighted))
        at = np.array(list(counted))
        asked = (1 + np.log(np.array(list(counted.values())))) * self.idf[at]
        return np.asarray(self.weighted[:, at] @ asked / np.linalg.norm(asked), dtype=np.float64)
