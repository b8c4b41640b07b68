"""What the answers of a council bench amount to: figures of a results file of tests/bench/council.py, without a model.

N < 8 is subsampled from the 8 draws without replacement (all subsets, at most SUBSETS of them, the same places for both
ways). A tie between clusters counts as the mean over them, a shuffling of weights as the mean over all. Brier is of the
answer's weight against its rightness: its share of the votes, the weight of the opinion, or for a single answer how
often that voice was right on the other questions. Intervals (95 %) are bootstrapped over questions, paired.

"council" always gives its heaviest opinion. "council that may refuse" is what the program answers: where "none of
these" weighs more it says so, which is right only where nothing is known. Equal N is not equal tokens, so the
verdict sets the largest council that costs no more tokens (`equal`) against 8 samples of the best voice. All seeds draw
from the same stories: the figures are about questions of this kind.
"""
from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from math import isnan
from random import Random
from statistics import mean
from typing import Any

import numpy as np

from twin import hypotheses, probe, weighing
from twin.probe import ProbeQuestion
from twin.types import Hypothesis

SIZES, SUBSETS, RESAMPLES, MEMBERS = (1, 2, 4, 8), 50, 5000, 8
TEST, OTHERS, TIMED = 1, 2, 3  # seeds of the questions; the shipped probe has 0
METHODS = {"best": "best voice", "greedy": "best voice, likeliest answer", "routed": "routed role",
           "sampled": "best voice sampled N times", "any_sampled": "  any of these right",
           "uniform": "council, uniform vote", "council": "council", "shipped": "council that may refuse",
           "shuffled": "council, weights shuffled",
           "any": "  any of these right"}

Line = dict[str, Any]


def asked_of(meta: Line) -> list[list[ProbeQuestion]]:
    """The questions of a results file: others, test, timed."""
    return [[one for one in probe.questions(2 * n, seed) if one.language in meta["languages"]][:n]
            for n, seed in ((meta["others"], OTHERS), (meta["test"], TEST), (meta["timed"], TIMED))]


@dataclass(frozen=True)
class Heard:
    """A draw as the council takes it: `said` is None when it could not be used, which is wrong and holds no weight."""

    voice: str
    said: Hypothesis | None
    right: bool
    tokens: int


def heard(question: ProbeQuestion, draws: Iterable[Line]) -> list[Heard]:
    """Draws parsed and judged."""
    made = []
    for one in draws:
        try:
            said = hypotheses.parse(one["raw"], role=one["voice"], memories=len(question.memories),
                                    finish=one["finish"], brief=True)
        except hypotheses.Unusable:
            said = None
        made.append(Heard(one["voice"], said, said is not None and probe.right(question, said.text), one["tokens"]))
    return made


def part_of(lines: Sequence[Line], part: int) -> list[tuple[ProbeQuestion, Line]]:
    """The lines of a part (0 others, 1 test, 2 timed) with their questions, in the order of the questions."""
    name = ("others", "test", "timed")[part]
    known = {one["question"]: one for one in lines[1:] if one["part"] == name}
    return [(one, known[one.id]) for one in asked_of(lines[0])[part] if one.id in known]


def accuracies(lines: Sequence[Line]) -> dict[str, float]:
    """Share of right answers of each voice on the other questions."""
    marks: dict[str, list[bool]] = {}
    for question, line in part_of(lines, 0):
        for one in heard(question, line["council"]):
            marks.setdefault(one.voice, []).append(one.right)
    return {voice: mean(some) for voice, some in marks.items()}


def best_of(lines: Sequence[Line]) -> str:
    """The voice that was right most often on the other questions."""
    rates = accuracies(lines)
    return max(rates, key=lambda voice: rates[voice])


Scored = dict[str, tuple[float, float, float]]  # method -> right, Brier, tokens: means over subsets of one question


class Judge:
    """Scores the test questions of a results file: everything that is drawn, for any N."""

    def __init__(self, lines: Sequence[Line]) -> None:
        self.rates, self.best = accuracies(lines), best_of(lines)
        self.test = [(question, line, heard(question, line["council"]), heard(question, line["sampled"]),
                      heard(question, line["greedy"])) for question, line in part_of(lines, 1)]
        self.others = [grouped(question, heard(question, line["council"])) for question, line in part_of(lines, 0)]
        known = any(one.clusters for one in self.others)
        self.calibration = weighing.fit(self.others) if known else weighing.prior()

    def scores(self, n: int) -> list[Scored]:
        """For each test question."""
        subsets = list(combinations(range(MEMBERS), n))
        if len(subsets) > SUBSETS:
            subsets = Random(n).sample(subsets, SUBSETS)  # noqa: S311 - the same again is the point
        return [self._question(question, line["routed"], council_, sampled, greedy[0], subsets)
                for question, line, council_, sampled, greedy in self.test]

    def _question(self, question: ProbeQuestion, routed: str, members: list[Heard], sampled: list[Heard],
                  greedy: Heard, subsets: Sequence[Sequence[int]]) -> Scored:
        scored = {"best": _mean(self._single(one) for one in sampled), "greedy": self._single(greedy),
                  "routed": self._single(next(one for one in members if one.voice == routed))}
        rows: dict[str, list[tuple[float, float, float]]] = {}
        for places in subsets:
            some, others = [members[i] for i in places], [sampled[i] for i in places]
            for name, of in (("any", some), ("any_sampled", others)):
                rows.setdefault(name, []).append((any(one.right for one in of), 0.0, _tokens(of)))
            case = grouped(question, some)
            rows.setdefault("sampled", []).append((*vote(grouped(question, others), len(others)), _tokens(others)))
            rows.setdefault("uniform", []).append((*vote(case, len(some)), _tokens(some)))
            for name, row in self._weighed(case, not question.answer).items():
                rows.setdefault(name, []).append((*row, _tokens(some)))
        return scored | {name: _mean(some) for name, some in rows.items()}

    def _single(self, one: Heard) -> tuple[float, float, float]:
        return one.right, (self.rates[one.voice] - one.right) ** 2, one.tokens

    def _weighed(self, case: weighing.Outcome, unknown: bool) -> dict[str, tuple[float, float]]:
        """(right, Brier) of the heaviest opinion, of the answer that may be "none of these" (right where the answer is
        `unknown`), and the mean over all permutations of the weights."""
        if not case.clusters:
            return {"council": (0.0, 0.0), "shuffled": (0.0, 0.0), "shipped": (float(unknown), float(not unknown))}
        made = weighing.weigh(case.hypotheses, case.clusters, question=case.question, memories=case.memories,
                              calibration=self.calibration)
        top, rights = made.opinions[0].weight, [case.right[i] for i in made.order]
        refused = made.none > top
        weight, right = (made.none, float(unknown)) if refused else (top, float(rights[0]))
        return {"council": (rights[0], (top - rights[0]) ** 2), "shipped": (right, (weight - right) ** 2),
                "shuffled": (mean(rights), mean((top - right) ** 2 for right in rights))}


def grouped(question: ProbeQuestion, some: Iterable[Heard]) -> weighing.Outcome:
    """What could be used, in groups that say the same, judged."""
    return probe.outcome(question, [one.said for one in some if one.said])


def vote(case: weighing.Outcome, votes: int) -> tuple[float, float]:
    """(right, Brier) of the largest group, the weight being its share of the votes; the mean over equally large."""
    most = max(map(len, case.clusters), default=0)
    first = [right for group, right in zip(case.clusters, case.right, strict=True) if len(group) == most]
    share = most / votes
    return (mean(first), mean((share - right) ** 2 for right in first)) if first else (0.0, 0.0)


def _tokens(some: Iterable[Heard]) -> float:
    return sum(one.tokens for one in some)


def _mean(rows: Iterable[tuple[float, float, float]]) -> tuple[float, float, float]:
    right, brier, tokens = (float(mean(column)) for column in zip(*rows, strict=True))
    return right, brier, tokens


def correlation(marks: Mapping[str, Sequence[bool]]) -> float:
    """Mean error correlation (phi) of pairs of voices that both err and are right; nan when there is no such pair."""
    table = [np.array(some, float) for some in marks.values() if 0 < sum(some) < len(some)]
    pairs = [float(np.corrcoef(one, other)[0, 1]) for one, other in combinations(table, 2)]
    return mean(pairs) if pairs else float("nan")


def interval(differences: Sequence[float]) -> tuple[float, float, float]:
    """(mean, low, high) of paired differences: 95 % over resampled questions."""
    values = np.array(differences)
    drawn = values[np.random.default_rng(1).integers(len(values), size=(RESAMPLES, len(values)))].mean(axis=1)
    low, high = np.percentile(drawn, [2.5, 97.5])
    return float(values.mean()), float(low), float(high)


def figures(lines: Sequence[Line]) -> Line:
    """All figures of a results file, as JSON can hold them."""
    judge = Judge(lines)
    by_n = {n: judge.scores(n) for n in SIZES}
    kinds = [question.kind for question, *_ in judge.test]
    languages = [question.language for question, *_ in judge.test]
    table = {n: {name: dict(zip(("accuracy", "brier", "tokens"), _mean(row[name] for row in rows), strict=True))
                 for name in METHODS} for n, rows in by_n.items()}
    gains = {n: {other: interval([row["council"][0] - row[other][0] for row in rows])
                 for other in ("sampled", "shuffled", "uniform", "best", "greedy", "routed")}
             for n, rows in by_n.items()}
    parts = {f"{part}": {name: mean(row[name][0] for row, here in zip(by_n[MEMBERS], marks, strict=True)
                                    if here == part) for name in METHODS}
             for marks in (kinds, languages) for part in sorted(set(marks))}
    fit = judge.calibration
    return {"made": lines[0], "questions": len(judge.test), "others": len(judge.others), "best": judge.best,
            "alone": judge.rates, "table": table, "gain": gains, "parts": parts, "rho": _rhos(lines, judge),
            "calibration": {"n": fit.n, "rho": fit.rho, "beta": dict(fit.beta), "gates": {
                language: {name: str(gate) for name, gate in gates.items()} for language, gates in fit.gates.items()}},
            "unusable": mean(one.said is None for *_, some, more, _ in judge.test for one in [*some, *more]),
            "seconds": {way: {n: _mean((one["seconds"][way][str(n)]["seconds"], one["seconds"][way][str(n)]["read"],
                                        one["seconds"][way][str(n)]["tokens"]) for _, one in part_of(lines, 2))
                              for n in SIZES} for way in ("council", "sampled")} if part_of(lines, 2) else {},
            **_equal(judge, by_n[MEMBERS])}


def _equal(judge: Judge, most: Sequence[Scored]) -> Line:
    """The verdict at equal tokens: the largest council that costs no more than all samples, its tokens over theirs, the
    gain, and whether that puts councils on."""
    budget = mean(row["sampled"][2] for row in most)
    rows, n = most, MEMBERS
    while n > 1 and mean(row["council"][2] for row in rows) > budget:
        n -= 1
        rows = judge.scores(n)
    gain = interval([row["council"][0] - other["sampled"][0] for row, other in zip(rows, most, strict=True)])
    tokens = mean(row["council"][2] for row in rows) / budget
    return {"equal": {"n": n, "tokens": tokens, "gain": gain}, "on": gain[1] > 0}


def _rhos(lines: Sequence[Line], judge: Judge) -> dict[str, tuple[float, float, int]]:
    """(rho, effective votes, voices): of the council on all questions, by part of them, and of the samples."""
    council = [(question, heard(question, line["council"])) for part in (0, 1)
               for question, line in part_of(lines, part)]
    samples = [(question, sampled) for question, _, _, sampled, _ in judge.test]
    groups = {"council": council} | {
        f"council, {part}": [row for row in council if part in (row[0].kind, row[0].language)]
        for part in sorted({one.kind for one, _ in council} | {one.language for one, _ in council})}
    groups["the best voice's samples"] = samples
    found = {name: correlation({str(place): [here[place].right for _, here in rows] for place in range(MEMBERS)})
             for name, rows in groups.items()}
    return {name: (rho, weighing.effective_votes(MEMBERS, max(rho, 0.0)), MEMBERS) for name, rho in found.items()
            if not isnan(rho)}
