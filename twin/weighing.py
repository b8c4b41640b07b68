"""The opinions of a council and their weights, with "none of these" as an alternative.

Without labelled questions the weights are a prior: an order, no probabilities. Knows no engine.
"""
from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from twin.calibration import FEATURES, NAMES, REACH, Track, measure, spoken
from twin.calibration import Calibration as Calibration
from twin.calibration import Feature as Feature
from twin.calibration import Gate as Gate
from twin.calibration import Outcome as Outcome
from twin.calibration import effective_votes as effective_votes
from twin.calibration import fit as fit
from twin.calibration import prior as prior
from twin.conditional_logit import softmax, with_none
from twin.hypotheses import similarity
from twin.types import Hypothesis, Opinion, Recalled


class Weighing(NamedTuple):
    """Opinions, heaviest first; the weight of "none of these", all summing to 1; effective votes; `order[i]` is the
    place in `clusters` of opinion i."""

    opinions: tuple[Opinion, ...]
    none: float
    votes: float
    order: tuple[int, ...]


def weigh(hypotheses: Sequence[Hypothesis], clusters: Sequence[Sequence[int]], *, question: str,
          memories: Sequence[Recalled] = (), calibration: Calibration | None = None,
          track: Track | None = None) -> Weighing:
    """Weigh the clusters of what was heard. `track`, role -> (hits, misses), adds to that of the calibration."""
    known = calibration or prior()
    if not clusters:
        return Weighing((), 1.0, 0.0, ())
    raw = measure(hypotheses, clusters, question, memories, known.rho, _sum(known.track, track or {}))
    off = _off(known, spoken(question))
    z = np.zeros(raw.shape)
    for f, feature in enumerate(FEATURES):
        if not feature.nuisance and feature.name not in off:
            z[:, f] = np.clip((raw[:, f] - known.centre[feature.name]) / known.scale[feature.name], -REACH, REACH)
    rows, beta = with_none(z), np.array([known.beta[name] for name in NAMES])
    weights = softmax(rows @ beta / known.temperature)
    drawn = [softmax(rows @ np.array(draw) / known.temperature) for draw in known.draws]
    opinions = []
    for c, group in enumerate(clusters):
        said = [hypotheses[i] for i in group]
        parts = {feature.name: round(float(z[c, f] * beta[f] / known.temperature), 4)
                 for f, feature in enumerate(FEATURES) if not feature.nuisance and feature.name not in off}
        opinions.append(Opinion(said[medoid(said)].text, float(weights[c]), tuple(sorted({one.role for one in said})),
                                _interval(float(weights[c]), [one[c] for one in drawn]), parts, off))
    # Where no feature carries weight on this core all weigh the same: then heads are counted.
    order = sorted(range(len(clusters)), key=lambda c: (-round(opinions[c].weight, 9), -len(clusters[c]),
                                                        opinions[c].text))
    votes = effective_votes(len({one.role for one in hypotheses}), known.rho)
    return Weighing(tuple(opinions[c] for c in order), float(weights[-1]), votes, tuple(order))


def _sum(one: Track, other: Track) -> Track:
    def both(role: str) -> tuple[float, float]:
        (hits, misses), (more_hits, more_misses) = one.get(role, (0, 0)), other.get(role, (0, 0))
        return hits + more_hits, misses + more_misses

    return {role: both(role) for role in {*one, *other}}


def _off(known: Calibration, language: str) -> dict[str, str]:
    """Features that carry no weight in this language, each with the figure that says why."""
    if not known.n:
        return {}
    gates = known.gates.get(language, {})
    return {feature.name: str(gates[feature.name]) if feature.name in gates else f"not measured ({language})"
            for feature in FEATURES
            if not feature.nuisance and not (feature.name in gates and gates[feature.name].passed)}


def _interval(weight: float, drawn: Sequence[float]) -> tuple[float, float] | None:
    if not drawn:
        return None
    low, high = np.quantile(drawn, (0.025, 0.975))
    return float(min(low, weight)), float(max(high, weight))


def medoid(hypotheses: Sequence[Hypothesis], weights: Sequence[float] | None = None,
           among: Sequence[int] | None = None) -> int:
    """The place of the hypothesis (of those `among`) most like all, by weight; of equals the shortest, in any order."""
    shares = weights or [1.0] * len(hypotheses)
    places = range(len(hypotheses)) if among is None else among
    likeness = {i: round(sum(share * similarity(hypotheses[i].text, other.text)
                             for share, other in zip(shares, hypotheses, strict=True)), 9) for i in places}
    return min(places, key=lambda i: (-likeness[i], len(hypotheses[i].text), hypotheses[i].text))
