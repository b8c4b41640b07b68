"""How well twin.depth reads depth, beside question length: `DATA=... python -m tests.bench.depth [fresh] [bloom]`;
`... fit` writes the weights of twin/scorecard.py.

Anchors and fresh need no data: twin pairs rated 1..7 by the printed rubric (tests/depth_anchors.toml), `anchors` tuned
on, `fresh` never. With DATA (the folder of outside sets; their words never enter the repository) also 120 pairs of real
questions ranked blind, the even half tuned on, and bloom-dev.csv. Brackets hold bootstrap 95 % intervals.
"""
from __future__ import annotations

import csv
import functools
import hashlib
import itertools
import json
import os
import random
import sys
import time
import tomllib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np

from twin import scorecard
from twin.depth import rate, readings
from twin.errors import UsageError
from twin.person import Depth
from twin.scorecard import features

HERE = Path(__file__).parent
LANGUAGES = ("en", "ru")
DRAWS = 1000
Row = dict[str, Any]
Measure = Callable[[str], float]


def interval(rows: Sequence[Any], figure: Callable[[Sequence[Any]], float]) -> str:
    """'.912 [.880, .941]': the figure of the rows and its bootstrap 95 % interval over rows (Efron 1979)."""
    draw = random.Random(0)  # noqa: S311 - a bootstrap, no secret
    again = sorted(figure(draw.choices(rows, k=len(rows))) for _ in range(DRAWS))
    return f"{figure(rows):.3f} [{again[int(0.025 * DRAWS)]:.3f}, {again[int(0.975 * DRAWS) - 1]:.3f}]"


def level(text: str) -> float:
    """The level, or 1 where a text has no own words."""
    try:
        return rate(text).level
    except UsageError:
        return 1.0


def step(text: str) -> int:
    """The whole level."""
    return rate(text).step


# ---- anchors -------------------------------------------------------------------------------------------------------

def anchors(name: str) -> list[Row]:
    """Twin pairs: {'en': text, 'ru': text, 'level': {'en': int, 'ru': int}}."""
    table: dict[str, list[Row]] = tomllib.loads((HERE.parent / "depth_anchors.toml").read_text(encoding="utf-8"))
    return table[name]


def by_length(rows: Sequence[Row]) -> dict[str, int]:
    """The dumb baseline, made generous: both languages apart, the true levels dealt out in order of length."""
    dealt: dict[str, int] = {}
    for language in LANGUAGES:
        order = sorted((row[language] for row in rows),
                       key=lambda text: (len(text), hashlib.sha256(text.encode()).digest()))
        dealt |= dict(zip(order, sorted(row["level"][language] for row in rows), strict=True))
    return dealt


def agreement(found: Sequence[tuple[int, int, int, int]]) -> dict[str, float]:
    """Of (found en, found ru, true en, true ru): exact and within one by language, twins within one of each other."""
    en, ru, en_true, ru_true = np.array(found).T
    return {"en exact": float(np.mean(en == en_true)), "en within one": float(np.mean(abs(en - en_true) <= 1)),
            "ru exact": float(np.mean(ru == ru_true)), "ru within one": float(np.mean(abs(ru - ru_true) <= 1)),
            "within one": float(np.mean(np.r_[abs(en - en_true) <= 1, abs(ru - ru_true) <= 1])),
            "twins within one": float(np.mean(abs(en - ru) <= 1))}


def found_of(rows: Sequence[Row], measure: Callable[[str], int]) -> list[tuple[int, int, int, int]]:
    """(found en, found ru, true en, true ru) of every pair."""
    return [(measure(row["en"]), measure(row["ru"]), row["level"]["en"], row["level"]["ru"]) for row in rows]


def tell_anchors(name: str) -> None:
    """Print the agreement of one set of anchors."""
    rows = anchors(name)
    ours, length = found_of(rows, step), found_of(rows, by_length(rows).__getitem__)
    print(f"{name}: {len(rows)} pairs")
    for figure in agreement(ours):
        print(f"  {figure:17} {interval(ours, lambda some, f=figure: agreement(some)[f])}"  # type: ignore[misc]
              f"   length {agreement(length)[figure]:.3f}")


# ---- pairs of real questions ---------------------------------------------------------------------------------------

def pairs(data: Path) -> list[tuple[str, str]]:
    """(deeper, shallower) of every pair, found by reference; raises ValueError where a hash does not agree."""
    persona, locomo = (json.loads((data / f"{name}-dev.json").read_text(encoding="utf-8"))
                       for name in ("persona", "locomo"))
    said = {(n, turn["dia_id"]): turn["text"] for n, one in enumerate(locomo)
            for session in one["conversation"].values() if isinstance(session, list) for turn in session}

    def find(at: Row) -> str:
        key = at["key"]
        if at["set"] == "persona":
            text = persona["chat"][key[0]][key[1]]["text"]
        elif at["set"] == "diary":
            text = persona["diary_ru"][key[0]]["text"][key[1]:key[2]]
        else:
            text = said[key[0], key[1]][key[2]:key[3]]
        if hashlib.sha256(text.encode()).hexdigest()[:12] != at["sha"]:
            raise ValueError(f"{at} is another text now")
        return str(text)

    table = json.loads((HERE / "depth_pairs.json").read_text(encoding="utf-8"))["pairs"]
    return [(find(row[row["deeper"]]), find(row["ab".replace(row["deeper"], "")])) for row in table]


def order_kept(rows: Sequence[tuple[str, str]], measure: Measure) -> list[float]:
    """1 where the deeper one measures more, 0 where less, 0.5 for a tie."""
    return [float(np.sign(measure(deeper) - measure(shallower)) + 1) / 2 for deeper, shallower in rows]


def tell_pairs(data: Path) -> None:
    """Print the share of pairs in their blind order, the tuned half and the other apart."""
    rows = pairs(data)
    for name, some in (("even, tuned on", rows[::2]), ("odd, held out", rows[1::2]), ("all", rows)):
        ours, length = order_kept(some, level), order_kept(some, len)
        print(f"pairs, {name:14} n={len(some):3}  {interval(ours, np.mean)}   length {interval(length, np.mean)}")


# ---- bloom ---------------------------------------------------------------------------------------------------------

def spearman(one: Sequence[float], other: Sequence[float]) -> float:
    """Rank correlation with mean ranks for ties (Spearman 1904)."""
    return float(np.corrcoef(ranks(one), ranks(other))[0, 1])


def ranks(values: Sequence[float]) -> np.ndarray[Any, np.dtype[np.float64]]:
    """Ranks from 0, ties at their mean."""
    _, inverse, counts = np.unique(np.asarray(values, float), return_inverse=True, return_counts=True)
    means: np.ndarray[Any, np.dtype[np.float64]] = np.cumsum(counts) - (counts + 1) / 2
    return means[inverse]


def tell_bloom(data: Path) -> None:
    """Print Spearman with the level of Bloom's taxonomy in its original order; never tuned on."""
    with (data / "bloom-dev.csv").open(encoding="utf-8", newline="") as file:
        rows = [(row["question"], int(row["bloom_level"])) for row in csv.DictReader(file)]
    measured = [(level(text), float(len(text)), float(true)) for text, true in rows]
    ours, length = (interval(measured, lambda some, n=n: spearman([m[n] for m in some], [m[2] for m in some]))  # type: ignore[misc]
                    for n in (0, 1))
    print(f"bloom n={len(rows)}: {ours}   length {length}")


# ---- the scorecard's weights ---------------------------------------------------------------------------------------

LEVELS = range(2, 8)
Numbers = np.ndarray[Any, np.dtype[np.float64]]


@dataclass(frozen=True)
class Label:
    """A question, its level, its weight, and the pair it belongs to: twins are never on two sides of a split."""

    text: str
    level: float
    weight: float
    pair: str


def labelled() -> list[Label]:
    """Everything that may be tuned on: neither depth_heldout nor the fresh anchors. What the rules were tuned on counts
    half: cue lists know its wording better than anybody's next question."""
    load = {name: tomllib.loads((HERE.parent / f"{name}.toml").read_text(encoding="utf-8"))
            for name in ("depth_labels", "sample_depths", "depth_more", "depth_extra")}
    rows = [Label(row["text"], row["level"], 0.5, f"label {n}")
            for n, row in enumerate(load["depth_labels"]["question"])]
    rows += [Label(row["question"], row["level"], 0.5, f"sample {n}")
             for n, row in enumerate(load["sample_depths"]["questions"])]
    rows += [Label(row[tongue], row["level"][tongue], 0.5, f"anchor {n}")
             for n, row in enumerate(anchors("anchors")) for tongue in LANGUAGES]
    for name, weight in (("depth_more", 0.5), ("depth_extra", 1.0)):
        rows += [Label(row[tongue], row["level"], weight, f"{name} {n}")
                 for n, row in enumerate(load[name]["pairs"]) for tongue in LANGUAGES]
    rows += [Label(row[tongue], row["level"], 1.0, f"own {n}")
             for n, row in enumerate(load["depth_extra"]["own"]) for tongue in LANGUAGES]
    return rows + [Label(row["text"], row["level"], 1.0, f"chat {n}")
                   for n, row in enumerate(load["depth_extra"]["chat"])]


@dataclass(frozen=True)
class Design:
    """The features of every reading of the labelled questions: `x` (readings, names), centred on `mean`; `of` gives the
    label of each reading, `penalty` the ridge of each name."""

    labels: Sequence[Label]
    names: Sequence[str]
    x: Numbers
    mean: Numbers
    of: np.ndarray[Any, np.dtype[np.int64]]
    penalty: Numbers


def design(labels: Sequence[Label], fewest: int = 4) -> Design:
    """Features that at least so many pairs have; what a question continues is penalised three times as much."""
    built = [(n, features(one.question, one.thought, given=one.given))
             for n, label in enumerate(labels) for one in readings(label.text)]
    pairs_of: dict[str, set[str]] = {}
    for n, found in built:
        for name in found:
            pairs_of.setdefault(name, set()).add(labels[n].pair)
    names = sorted(name for name, some in pairs_of.items() if len(some) >= fewest)
    x = np.array([[found.get(name, 0.0) for name in names] for _, found in built])
    return Design(labels, names, x - x.mean(0), x.mean(0), np.array([n for n, _ in built]),
                  np.array([3.0 if name.startswith("before") else 1.0 for name in names]))


def logistic(x: Numbers, target: Numbers, weight: Numbers, penalty: Numbers) -> Numbers:
    """(1 + names,) start and weights of a ridge logistic regression, by Newton's method; targets may lie between."""
    x, penalty = np.c_[np.ones(len(x)), x], np.r_[1e-6, penalty]
    found = np.zeros(x.shape[1])
    for _ in range(15):
        p = 1 / (1 + np.exp(-np.clip(x @ found, -30, 30)))
        bend = (x * (weight * p * (1 - p) + 1e-9)[:, None]).T @ x + np.diag(penalty)
        step = np.linalg.solve(bend, x.T @ (weight * (target - p)) - penalty * found)
        found += step
        if abs(step).max() < 1e-3:
            break
    return found


def cumulative(data: Design, train: np.ndarray[Any, np.dtype[np.bool_]]) -> Numbers:
    """(6, 1 + names) starts and weights, fitted on the labels of `train`, for centred features. The deepest
    reading of a text has its label: the last one to begin with, then the one that the fit finds deepest."""
    level, weight = (np.array([getattr(one, name) for one in data.labels]) for name in ("level", "weight"))
    deepest = {n: at for at, n in enumerate(data.of)}
    for _ in range(2):
        rows = np.array([deepest[n] for n in np.flatnonzero(train)])
        y, w = level[data.of[rows]], weight[data.of[rows]]
        fitted = np.array([logistic(data.x[rows], np.clip(y - k + 1, 0, 1), w, data.penalty) for k in LEVELS])
        reached = 1 / (1 + np.exp(-np.clip(data.x @ fitted[:, 1:].T + fitted[:, 0], -30, 30)))
        found = 1 + reached.sum(1)
        for at, n in enumerate(data.of):
            if found[at] > found[deepest[n]]:
                deepest[n] = at
    return fitted


def weighed(data: Design, fitted: Numbers) -> tuple[tuple[float, ...], dict[str, tuple[float, ...]]]:
    """What twin.scorecard.weights gives, of a fit."""
    start = fitted[:, 0] - fitted[:, 1:] @ data.mean
    return tuple(start), {name: tuple(fitted[:, 1 + n]) for n, name in enumerate(data.names)}


def fit() -> None:
    """Write twin/scorecard_weights.toml: for each level from 2 the logistic regression of reaching it (cumulative
    logits without proportional odds: Agresti 2010), ridge 1."""
    data = design(labelled())
    start, weights = weighed(data, cumulative(data, np.ones(len(data.labels), bool)))
    lines = ["# Written by `python -m tests.bench.depth fit`: log odds of reaching levels 2, 3, 4, 5, 6 and 7.",
             f"start = [{', '.join(f'{one:.3f}' for one in start)}]", "", "[weight]"]
    lines += [f'"{name}" = [{", ".join(f"{one:.2f}" for one in row)}]' for name, row in weights.items()]
    (Path(scorecard.__file__).parent / "scorecard_weights.toml").write_text("\n".join(lines) + "\n", encoding="utf-8")


def tell_unseen(folds: int = 5) -> None:
    """Print how near a level comes to labelled pairs that the scorecard was not fitted on, fold by fold, how often the
    interval holds the label, and how far the level goes with length among questions of one level."""
    labels = labelled()
    data = design(labels)
    fold = np.array([int(hashlib.sha256(one.pair.encode()).hexdigest(), 16) % folds for one in labels])
    found: dict[int, Depth] = {}
    for n in range(folds):
        with mock.patch.object(scorecard, "weights", functools.partial(weighed, data, cumulative(data, fold != n))):
            found |= {int(at): rate(labels[at].text) for at in np.flatnonzero(fold == n)}
    for name in ("depth_extra", "chat", "own", "depth_more"):
        rows = [(depth, labels[at]) for at, depth in sorted(found.items()) if labels[at].pair.startswith(name)]
        level, true = np.array([one.level for one, _ in rows]), np.array([label.level for _, label in rows])
        near = [abs(one.step - label.level) <= 1 if label.level % 1 == 0 else abs(one.level - label.level) <= 1
                for one, label in rows]
        twins = [abs(one.step - other.step) <= 1 for (one, label), (other, same) in itertools.pairwise(rows)
                 if label.pair == same.pair]
        held = [one.low <= label.level <= one.high for one, label in rows]
        length = np.array([len(label.text) for _, label in rows])
        within = [spearman(level[true == k].tolist(), length[true == k].tolist())
                  for k in range(1, 8) if (true == k).sum() > 5]
        print(f"unseen {name:12} n={len(rows):4} within one {np.mean(near):.3f} twins {np.mean(twins or [True]):.3f} "
              f"mean error {abs(level - true).mean():.2f} Spearman {spearman(level.tolist(), true.tolist()):.3f} "
              f"interval holds {np.mean(held):.3f} (width {np.mean([one.high - one.low for one, _ in rows]):.2f}); "
              f"with length inside a level {np.mean(within):+.2f}")


def main() -> None:
    """Print what can be measured here; what must not be tuned on (`fresh`, `bloom`) when asked."""
    if sys.argv[1:] == ["fit"]:
        fit()
        return
    for name in ("anchors", "fresh") if "fresh" in sys.argv else ("anchors",):
        tell_anchors(name)
    texts = [row[language] for name in ("anchors", "fresh") for row in anchors(name) for language in LANGUAGES]
    rate(texts[0])  # compiles the cue lists
    start = time.process_time()
    for text in texts:
        rate(text + " ")
    print(f"{1000 * (time.process_time() - start) / len(texts):.2f} ms a question, {len(texts)} questions")
    tell_unseen()
    if "DATA" in os.environ:
        tell_pairs(Path(os.environ["DATA"]))
        if "bloom" in sys.argv:
            tell_bloom(Path(os.environ["DATA"]))


if __name__ == "__main__":
    main()
