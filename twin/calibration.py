"""What labelled questions teach a council: features of an opinion, their gates, a conditional logit.

A feature carries weight only where it tells right opinions from wrong ones of the same question, in that language;
else it is off, with its figure. "None of these" is an alternative of every question. Members on one core err together,
so agreement counts in effective votes. Sources of formulas stand at their functions. Knows no engine; numpy only.
"""
from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import combinations
from typing import Any

import numpy as np
from numpy.typing import NDArray

from twin import text as texts
from twin.conditional_logit import Choices, Floats, temperature
from twin.errors import UsageError
from twin.hypotheses import read
from twin.types import Hypothesis, Recalled

Track = Mapping[str, tuple[float, float]]  # role -> (hits, misses); older ones may count less than 1

RHO = 0.44       # until measured: what makes 9 judges of one panel carry the 2 votes that were reported of them
JOINT = 30       # questions that two roles must both have answered before their correlation is believed
AUROC, LOW = 0.6, 0.5  # a gate: above the first, with the lower 95 % bound above the second
QUESTIONS = 10   # with a right and a wrong opinion; with fewer a gate stays shut
DRAWS = 50       # bootstrap fits kept for intervals
RIDGE = 2.0      # pull to the prior, in questions
MISMATCH = 0.5   # taken off the cover for numbers no cited passage has, and for the opposite polarity
REACH = 3.0      # standard deviations beyond which a feature counts no more: nothing was measured there
NONE, LENGTH = "none", "length"
_FIRST_NONE = -0.5  # utility of "none of these" before anything is measured


@dataclass(frozen=True)
class Case:
    """One cluster of a question, and all that its features may look at."""

    said: tuple[Hypothesis, ...]
    question: str = field(repr=False)
    memories: tuple[Recalled, ...] = field(repr=False)
    rho: float
    track: Track

    @property
    def held_by(self) -> tuple[str, ...]:
        """The roles that said so, each once, in order."""
        return tuple(dict.fromkeys(one.role for one in self.said))


@dataclass(frozen=True)
class Feature:
    """A figure of a case. `prior`: its weight, and the (centre, scale) it is read with, before anything is measured.
    A nuisance is fitted, so that others need not stand for it, and left out of predictions; it has no gate."""

    name: str
    of: Callable[[Case], float]
    prior: tuple[float, float, float]
    nuisance: bool = False


@dataclass(frozen=True)
class Outcome:
    """A labelled question: what was said, how it clusters, and which of the clusters are right."""

    question: str = field(repr=False)
    hypotheses: tuple[Hypothesis, ...] = field(repr=False)
    clusters: tuple[tuple[int, ...], ...]
    right: tuple[bool, ...]
    memories: tuple[Recalled, ...] = field(default=(), repr=False)
    id: str = ""

    @property
    def by_role(self) -> dict[str, bool]:
        """Whether each role was right; its first answer counts."""
        found: dict[str, bool] = {}
        for place, i in sorted(((c, i) for c, group in enumerate(self.clusters) for i in group), key=lambda ci: ci[1]):
            found.setdefault(self.hypotheses[i].role, self.right[place])
        return found


@dataclass(frozen=True)
class Gate:
    """What labelled questions say of a feature: AUROC within a question (mean over `questions`), its lower bound."""

    auroc: float
    low: float
    questions: int

    @property
    def passed(self) -> bool:
        """Whether the feature may carry weight."""
        return self.auroc > AUROC and self.low > LOW and self.questions >= QUESTIONS

    def __str__(self) -> str:
        return f"AUROC {self.auroc:.2f}, from {self.low:.2f}, n = {self.questions}"


@dataclass(frozen=True)
class Calibration:
    """Weights fitted on `n` labelled questions of one core and role map; n = 0 is the prior.

    `beta` by feature, 'none' for the alternative; `draws` are bootstrap fits in the order of `names`. `rho` is the
    error correlation of roles, measured where `joint` is not 0. `track` is how often each role was right.
    """

    n: int = 0
    core: str = ""
    role_map: str = ""
    beta: Mapping[str, float] = field(default_factory=dict)
    centre: Mapping[str, float] = field(default_factory=dict)
    scale: Mapping[str, float] = field(default_factory=dict)
    temperature: float = 1.0
    rho: float = RHO
    joint: int = 0
    gates: Mapping[str, Mapping[str, Gate]] = field(default_factory=dict)
    draws: tuple[tuple[float, ...], ...] = field(default=(), repr=False)
    track: Track = field(default_factory=dict)

    @classmethod
    def of(cls, plain: Mapping[str, Any]) -> Calibration:
        """Back from `types.to_plain`."""
        return cls(**{**plain, "draws": tuple(map(tuple, plain["draws"])),
                      "track": {role: (hits, misses) for role, (hits, misses) in plain["track"].items()},
                      "gates": {language: {name: Gate(**gate) for name, gate in gates.items()}
                                for language, gates in plain["gates"].items()}})


# ---- features ----------------------------------------------------------------------------------------------------

def effective_votes(n: float, rho: float = RHO) -> float:
    """Independent votes that n correlated ones are worth: n / (1 + (n - 1) rho), the design effect of Kish (1965)."""
    return n / (1 + (n - 1) * rho) if n else 0.0


def _evidence(case: Case) -> float:
    """IDF-weighted cover of the claims by the passages they cite, beyond the words of the question; -1..1."""
    told = [_tokens(memory.text) for memory in case.memories]
    asked = _tokens(case.question)

    def weight(token: str) -> float:
        return 1 + math.log((len(told) + 1) / (1 + sum(token in one for one in told)))

    def cover(one: Hypothesis) -> float:
        cited = [n - 1 for n in one.evidence if n <= len(told)]
        if not cited:
            return 0.0
        mine, shown = _tokens(one.text), frozenset[str]().union(*(told[i] for i in cited))
        new = mine - asked or mine
        counted = sum(map(weight, new & shown)) / (sum(map(weight, new)) or 1.0)
        figures = {token for token in mine - asked if token.startswith("#")}
        wrong = len(figures - shown) / len(figures) if figures else 0.0
        return counted - MISMATCH * wrong - MISMATCH * _denied(one.text, [case.memories[i].text for i in cited])

    return sum(map(cover, case.said)) / len(case.said)


def _tokens(said: str) -> frozenset[str]:
    """Stems of naming words, and numbers as "#7"."""
    seen = read(said)
    return seen.stems | {f"#{number:g}" for number in seen.numbers}


def _denied(claim: str, passages: Sequence[str]) -> bool:
    """Whether the cited sentence nearest to a claim has the other polarity."""
    sentences = [read(one[a:b]) for one in passages for a, b in texts.sentences(one)]
    mine = read(claim)
    nearest = max(sentences, key=lambda one: len(one.stems & mine.stems), default=mine)
    return bool(nearest.stems & mine.stems) and nearest.negative != mine.negative


def _agreement(case: Case) -> float:
    return effective_votes(len(case.held_by), case.rho)


def _track(case: Case) -> float:
    """Mean over the holders of the mean of Beta(1 + hits, 1 + misses)."""
    records = [case.track.get(role, (0, 0)) for role in case.held_by]
    return sum((1 + hits) / (2 + hits + misses) for hits, misses in records) / len(records)


def _length(case: Case) -> float:
    return math.log(sum(len(one.text) for one in case.said) / len(case.said) or 1.0)


FEATURES = (Feature("evidence", _evidence, (1.0, 0.0, 0.3)), Feature("agreement", _agreement, (0.7, 1.0, 0.5)),
            Feature("track", _track, (0.5, 0.5, 0.2)), Feature(LENGTH, _length, (0.0, 3.5, 1.0), nuisance=True))
NAMES = (*(feature.name for feature in FEATURES), NONE)  # the columns of what is fitted


def prior() -> Calibration:
    """What stands before anything was measured on this core: an order, not probabilities."""
    named = {feature.name: feature.prior for feature in FEATURES}
    return Calibration(beta={name: beta for name, (beta, _, _) in named.items()} | {NONE: _FIRST_NONE},
                       centre={name: centre for name, (_, centre, _) in named.items()},
                       scale={name: scale for name, (_, _, scale) in named.items()})


def measure(hypotheses: Sequence[Hypothesis], clusters: Sequence[Sequence[int]], question: str,
            memories: Sequence[Recalled], rho: float, track: Track) -> Floats:
    """The raw features: a row for each cluster, a column for each of FEATURES."""
    cases = [Case(tuple(hypotheses[i] for i in group), question, tuple(memories), rho, track) for group in clusters]
    return np.array([[feature.of(case) for feature in FEATURES] for case in cases]).reshape(-1, len(FEATURES))


def spoken(question: str) -> str:
    """The language whose gates count for a question: 'ru' or 'en'."""
    return "ru" if texts.language(question) == "ru" else "en"


# ---- fitting -----------------------------------------------------------------------------------------------------

def fit(outcomes: Sequence[Outcome], *, core: str = "", role_map: str = "", seed: int = 0) -> Calibration:
    """Gates, weights, temperature and error correlation from labelled questions. A question nobody answered teaches
    nothing and is not counted. A role's track leaves out the question it is used for. Raises UsageError for none."""
    outcomes = [one for one in outcomes if one.clusters]
    if not outcomes:
        raise UsageError("No labelled question was answered.", "Run the probe on this core first.")
    rng = np.random.default_rng(seed)
    answers = [one.by_role for one in outcomes]
    rho, joint = error_correlation(answers)
    track = {role: _record(answers, role) for role in sorted({role for one in answers for role in one})}
    raw = [measure(one.hypotheses, one.clusters, one.question, one.memories, rho, _without(track, mine))
           for one, mine in zip(outcomes, answers, strict=True)]
    rows = np.concatenate(raw)
    centre, spread = rows.mean(axis=0), rows.std(axis=0)
    scale = np.where(spread > 1e-9, spread, 1.0)
    z = [np.clip((one - centre) / scale, -REACH, REACH) for one in raw]
    right = [np.array(one.right) for one in outcomes]
    tongues = [spoken(one.question) for one in outcomes]
    gates = {tongue: {feature.name: _gate([(some[:, f], good) for some, good, of in zip(z, right, tongues, strict=True)
                                           if of == tongue], rng)
                      for f, feature in enumerate(FEATURES) if not feature.nuisance} for tongue in sorted(set(tongues))}
    used = {tongue: np.array([feature.nuisance or gates[tongue][feature.name].passed for feature in FEATURES])
            for tongue in gates}
    first = np.array([*(feature.prior[0] for feature in FEATURES), _FIRST_NONE])
    asked = Choices.of([some * used[tongue] for some, tongue in zip(z, tongues, strict=True)], right, first, RIDGE)
    beta = asked.solve() * np.append(np.any(list(used.values()), axis=0), True)
    draws = [asked.some(rng.integers(0, len(outcomes), len(outcomes))).solve() for _ in range(DRAWS)]
    names = [feature.name for feature in FEATURES]
    return Calibration(len(outcomes), core, role_map, dict(zip(NAMES, beta.tolist(), strict=True)),
                       dict(zip(names, centre.tolist(), strict=True)), dict(zip(names, scale.tolist(), strict=True)),
                       temperature(asked, rng), rho, joint, gates, tuple(tuple(draw.tolist()) for draw in draws),
                       track)


def error_correlation(answers: Sequence[Mapping[str, bool]]) -> tuple[float, int]:
    """(rho, questions behind it): the mean over pairs of roles of the phi coefficient of their errors, within 0..1.

    Pairs with fewer than JOINT common questions, or one that never or always errs, say nothing; (RHO, 0) if none does.
    """
    found, joint = [], 0
    for one, other in combinations(sorted({role for each in answers for role in each}), 2):
        both = np.array([(each[one], each[other]) for each in answers if one in each and other in each], dtype=float)
        if len(both) >= JOINT and both.std(axis=0).min() > 0:
            found.append(float(np.corrcoef(both.T)[0, 1]))
            joint = max(joint, len(both))
    return (min(max(sum(found) / len(found), 0.0), 1.0), joint) if found else (RHO, 0)


def _record(answers: Sequence[Mapping[str, bool]], role: str) -> tuple[int, int]:
    mine = [one[role] for one in answers if role in one]
    return sum(mine), len(mine) - sum(mine)


def _without(track: Track, answer: Mapping[str, bool]) -> Track:
    return {role: (hits - answer.get(role, False), misses - (not answer.get(role, True)))
            for role, (hits, misses) in track.items()}


def _gate(columns: Sequence[tuple[Floats, NDArray[np.bool_]]], rng: np.random.Generator) -> Gate:
    """AUROC (Mann-Whitney, ties count half) within each question that has a right and a wrong opinion."""
    each = []
    for values, right in columns:
        if right.any() and not right.all():
            gaps = values[right][:, None] - values[~right][None, :]
            each.append(float((gaps > 1e-9).mean() + (np.abs(gaps) <= 1e-9).mean() / 2))
    if not each:
        return Gate(0.5, 0.0, 0)
    means = rng.choice(each, (1000, len(each))).mean(axis=1)
    return Gate(float(np.mean(each)), float(np.quantile(means, 0.025)), len(each))
