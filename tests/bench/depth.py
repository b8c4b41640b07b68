"""How well twin.depth reads depth, beside question length: `DATA=... python -m tests.bench.depth`.

Anchors and fresh need no data: twin pairs rated 1..7 by the printed rubric (tests/depth_anchors.toml), `anchors` tuned
on, `fresh` never. With DATA (the folder of outside sets; their words never enter the repository) also 120 pairs of real
questions ranked blind, the even half tuned on, and bloom-dev.csv. Brackets hold bootstrap 95 % intervals.
"""
from __future__ import annotations

import csv
import hashlib
import json
import os
import random
import sys
import time
import tomllib
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from twin.depth import features, rate, widest
from twin.errors import UsageError

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

def labelled() -> list[tuple[str, int]]:
    """(question, level) of everything that may be tuned on: neither depth_heldout nor the fresh anchors."""
    load = {name: tomllib.loads((HERE.parent / f"{name}.toml").read_text(encoding="utf-8"))
            for name in ("depth_labels", "sample_depths", "depth_more")}
    rows = [(row["text"], row["level"]) for row in load["depth_labels"]["question"]]
    rows += [(row["question"], row["level"]) for row in load["sample_depths"]["questions"]]
    rows += [(row[language], row["level"]) for row in load["depth_more"]["pairs"] for language in LANGUAGES]
    return rows + [(row[language], row["level"][language]) for row in anchors("anchors") for language in LANGUAGES]


def fit(ridge: float = 10.0) -> None:
    """Print [score.weight] of twin/depth.toml: ridge regression of the level on the features, stretched to the spread
    of the levels."""
    rows = labelled()
    built = [features(widest(text)) for text, _ in rows]
    names = list(built[0])
    x, y = np.array([[one[name] for name in names] for one in built]), np.array([true for _, true in rows], float)
    centred = x - x.mean(0)
    weights = np.linalg.solve(centred.T @ centred + ridge * np.eye(len(names)), centred.T @ (y - y.mean()))
    weights *= y.std() / (centred @ weights).std()
    print(f"start = {y.mean() - x.mean(0) @ weights:.2f}")
    for name, weight in zip(names, weights, strict=True):
        print(f'"{name}" = {weight:.2f}')


def main() -> None:
    """Print everything that can be measured here, or with `fit` the weights of the scorecard."""
    if sys.argv[1:] == ["fit"]:
        fit()
        return
    for name in ("anchors", "fresh"):
        tell_anchors(name)
    texts = [row[language] for name in ("anchors", "fresh") for row in anchors(name) for language in LANGUAGES]
    rate(texts[0])  # compiles the cue lists
    start = time.process_time()
    for text in texts:
        rate(text + " ")
    print(f"{1000 * (time.process_time() - start) / len(texts):.2f} ms a question, {len(texts)} questions")
    if "DATA" in os.environ:
        tell_pairs(Path(os.environ["DATA"]))
        tell_bloom(Path(os.environ["DATA"]))


if __name__ == "__main__":
    main()
