"""Plain question -> level 1..7 by what it is built of: how likely it is to reach each level above 1, from one weighted
sum a level over the same features in Russian and English.

Features are cue lists (depth.toml), concepts and forms (scorecard.toml), in the question and, apart, in the thought it
continues; never length, never a topic. The weights (scorecard_weights.toml) are fitted on labelled questions by
tests/bench/depth.py. A level is the highest row that fits, which one weighted sum of all features cannot say (a linear
fit was within one on .83 of unseen questions, these six logistic ones on .91).
"""
from __future__ import annotations

import math
import re
import tomllib
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from importlib.resources import files
from typing import Any

from twin.question import defines, has, task, wants_fact, wants_name
from twin.subquestions import content, runs
from twin.text import stem


@dataclass(frozen=True)
class Scored:
    """A level 1..7 (a float, the expectation) and the variance of the whole level around it."""

    level: float
    variance: float


_LISTS = ("joint", "influence", "whole", "shape", "govern", "through", "actors", "resource", "trade", "condition",
          "procedure", "attach", "compare", "mechanism", "reality", "outcome", "verify", "define", "steer", "by_way",
          "say", "onward", "routing", "arrange", "remake", "rules", "pick", "what_if", "shall", "reshape", "form",
          "number", "among", "thinking", "assess", "tell", "apply", "invent")
_PAIRS = tuple(pair.split() for pair in (
    "reflex change", "reflex remake", "embed change", "whole shape", "whole arrange", "suppose trade",
    "influence suppose", "actors govern", "outcome past", "remake rules"))
_WH = re.compile(r"\b(?:how|what|which|who|why|как|что|кто|какой|чем|кому|чему)\b")
_AND = re.compile(r"\b(?:and|и)\b")
_STOPS = re.compile(r"[.;:]")
_RUSSIAN = re.compile(r"[а-я]")
_TOKEN = re.compile(r"[\w'-]+")


def score(question: str, thought: str = "", *, given: bool = False) -> Scored:
    """The level of a plain question, with the plain thought it continues; `given` where what there is to do with was
    stated before it. Deterministic."""
    start, weighed = weights()
    sums = list(start)
    for name, value in features(question, thought, given=given).items():
        for n, weight in enumerate(weighed.get(name, ())):
            sums[n] += weight * value
    reached = [1 / (1 + math.exp(-max(-30.0, min(30.0, one)))) for one in sums]
    return Scored(1 + sum(reached), sum(one * (1 - one) for one in reached))


def features(question: str, thought: str = "", *, given: bool = False) -> dict[str, float]:
    """Name -> value of what is there, 1 or a small count; what is absent is left out."""
    scope = f"{thought} {question}".strip()
    found = {name: 1.0 for name, form in _table()["form"].items() if form.search(scope)}
    found |= {name: 1.0 for name in _LISTS if has(scope, name)}
    found |= {f"{one} {other}": 1.0 for one, other in _PAIRS if one in found and other in found}
    for concept, times in _concepts(scope).items():
        found[f"u {concept}"] = 1.0
        if times > 1:
            found[f"u+ {concept}"] = 1.0
    parts = parts_named(scope)
    found |= {f"parts {n}": 1.0 for n in (2, 3, 4) if parts >= n}
    found |= {"and": min(3.0, len(_AND.findall(scope))), "commas": min(4.0, scope.count(",")),
              "wh": min(3.0, len(_WH.findall(scope))), "marks": min(4.0, len(_STOPS.findall(scope))),
              "again": min(2.0, _again(scope))}
    return {name: value for name, value in (found | _asking(question, thought, given)).items() if value}


def _asking(question: str, thought: str, given: bool) -> dict[str, float]:
    """What the asking words are, and what stands in the thought before them."""
    found = {"name": float(wants_name(question)), "plain": float(wants_fact(question)),
             "defines": float(defines(question)), "given": float(given),
             "russian": float(_RUSSIAN.search(question) is not None)}
    found |= {f"task {one}": 1.0 for one in [task(question)] if one}
    found |= {f"later {one}": 1.0 for one in [task(question, later=True)] if one}
    if thought:
        found |= {"before": 1.0} | {f"before {concept}": 1.0 for concept in _concepts(thought)}
    return found


def parts_named(scope: str) -> int:
    """Distinct runs of content words: the parts named."""
    return len({tuple(map(stem, scope[a:b].split())) for a, b in runs(scope)})


def _again(scope: str) -> int:
    """Content words that come back, by their first letters: 'a method that finds the fault in the method'."""
    stems = Counter(word[:5] if len(word) > 5 else word[:4] for word in _TOKEN.findall(scope)
                    if len(word) >= 4 and content(word))
    return sum(times - 1 for times in stems.values())


# ---- concepts ------------------------------------------------------------------------------------------------------

@lru_cache(maxsize=1)
def _table() -> dict[str, Any]:
    table = tomllib.loads((files("twin") / "scorecard.toml").read_text(encoding="utf-8"))
    return {"concept": table["concept"], "form": {name: re.compile(form) for name, form in table["form"].items()}}


@lru_cache(maxsize=1)
def weights() -> tuple[tuple[float, ...], Mapping[str, tuple[float, ...]]]:
    """(start, name -> weight) for reaching levels 2..7."""
    table = tomllib.loads((files("twin") / "scorecard_weights.toml").read_text(encoding="utf-8"))
    return tuple(table["start"]), {name: tuple(row) for name, row in table["weight"].items()}


@lru_cache(maxsize=2)
def _phrases(tongue: str) -> dict[str, re.Pattern[str]]:
    """The entries of each concept that reach over a word or hang on the beginning."""
    return {name: re.compile("|".join(f"{'' if one[0] == '^' else _EDGE}(?:{one})(?!\\w)" for one in more))
            for name, both in _table()["concept"].items() if (more := [one for one in both[tongue] if _long(one)])}


@lru_cache(maxsize=2)
def _words(tongue: str) -> dict[str, re.Pattern[str]]:
    """The entries of one word, which are matched against each word: words come back, so that is fast."""
    return {name: re.compile("|".join(one for one in both[tongue] if not _long(one)) or "(?!)")
            for name, both in _table()["concept"].items()}


_EDGE = r"\b"


def _long(entry: str) -> bool:
    return entry[0] == "^" or re.search(r"[^\w|()?:*+\[\]\\{},'-]|\{|\(\?[!<=]|\\b|\[\^", entry) is not None


@lru_cache(maxsize=65536)
def _of_word(word: str) -> tuple[str, ...]:
    """The concepts of one word, of a hyphenated one also those of its parts."""
    forms = [word, *word.split("-")] if "-" in word else [word]
    tongue = "ru" if _RUSSIAN.search(word) else "en"
    return tuple(name for name, form in _words(tongue).items() if any(map(form.fullmatch, forms)))


@lru_cache(maxsize=512)
def _concepts(scope: str) -> Counter[str]:
    """Concept -> how often."""
    found = Counter(name for word in _TOKEN.findall(scope) for name in _of_word(word))
    for tongue in ("en", "ru") if _RUSSIAN.search(scope) else ("en",):
        for name, form in _phrases(tongue).items():
            found[name] += sum(1 for _ in form.finditer(scope))
    return +found
