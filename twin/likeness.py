"""How well a profile fits what a person writes: bits a character under its prompt, and the statistics of their manner.

Two measures that know nothing of each other. Neither says that an answer is good, only whose it is like. Lower is
nearer in both.
"""
from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from twin import text as texts
from twin.depth import rate
from twin.facets import shown
from twin.prompt import plain
from twin.question import is_question
from twin.types import Engine

_ASKED = "Write the next message of this person, as they would write it."


def bits(engine: Engine, about: str, messages: Sequence[str]) -> list[float]:
    """Bits a character of each message, as the next thing the person of this profile (`about`) writes.

    The core reads the profile once; the messages share it. Raises UsageError for an empty message.
    """
    prompt = plain(engine.family, [("system", about), ("user", _ASKED)])
    return [engine.score(prompt, message).bits_per_character for message in messages]


# ---- manner ---------------------------------------------------------------------------------------------------------

_MARKS: Mapping[str, re.Pattern[str]] = {name: re.compile(pattern) for name, pattern in {
    "begins small": r"\A[^\w]*[a-zа-яё]", "no full stop": r"[^.!?…)\]:]\s*\Z", "exclaims": "!", "comma": ",",
    "dots": r"\.\.\.|…", "brackets": r"\(", "smiles": r"[:;]-?[)(DPp]|\^\^|[\U0001f300-\U0001faff]|\)\)",
    "number": r"\d", "quotes": "[\"“«„`]", "dash": r"\s[-–—]\s|--", "capitals": r"\b[A-ZА-ЯЁ]{2,}\b",
    "small i": r"\bi\b(?!\.)", "apostrophe": r"\w['’]\w", "addresses": r"\A\S+[:,] ", "line break": "\n",
    "link": r"https?://"}.items()}
_LENGTHS = (1, 3, 6, 11, 21, 41)  # words at which a longer kind of message begins
_WORDS = 60                       # commonest words of a person that count as habits


@dataclass(frozen=True, repr=False)
class Manner:
    """How someone writes, counted over `n` messages: how many show each mark, facet, depth, and habitual word."""

    n: int
    counts: Mapping[str, int]

    def __repr__(self) -> str:
        return f"Manner({self.n} messages)"


def manner(messages: Iterable[str]) -> Manner:
    """The manner of a person, from messages of their own."""
    found = [_traits(message) for message in messages]
    return Manner(len(found), Counter(trait for traits in found for trait in traits))


def surprise(who: Manner, others: Sequence[Manner], messages: Sequence[str]) -> list[float]:
    """Bits by which each message is less expected of `who` than of everybody together: the negative log2 odds of a
    naive Bayes model over traits (present or not, add-half smoothing). `others` are all people, `who` among them."""
    everybody = sum(one.n for one in others)
    pooled = Counter({"": 0})
    for one in others:
        pooled.update(one.counts)
    habits = {name for one in others for name in _habits(one)}
    names = [name for name in pooled if name and (not name.startswith("word ") or name in habits)]
    mine = np.array([(who.counts.get(name, 0) + 0.5) / (who.n + 1) for name in names])
    all_ = np.array([(pooled[name] + 0.5) / (everybody + 1) for name in names])
    present, absent = np.log2(mine / all_), np.log2((1 - mine) / (1 - all_))
    place = {name: column for column, name in enumerate(names)}
    rest = float(absent.sum())
    totals = []
    for message in messages:
        columns = [place[name] for name in _traits(message) if name in place]
        totals.append(-(rest + float((present[columns] - absent[columns]).sum())))
    return totals


def _habits(one: Manner) -> list[str]:
    words = [(count, name) for name, count in one.counts.items() if name.startswith("word ")]
    return [name for _, name in sorted(words, reverse=True)[:_WORDS]]


def _traits(message: str) -> set[str]:
    words = texts.words(message)
    traits = {name for name, pattern in _MARKS.items() if pattern.search(message)}
    traits.add(f"length {sum(len(words) >= least for least in _LENGTHS)}")
    traits |= {f"word {word}" for word in words}
    traits |= {f"facet {key}" for start, end in texts.own_sentences(message) for key in shown(message[start:end])}
    if is_question(message):
        traits |= {"asks", f"depth {rate(message).step}"}
    return traits


def interval(values: Sequence[float], *, draws: int = 2000, seed: int = 0) -> tuple[float, float, float]:
    """Mean of the values and its 95 % bootstrap interval (percentiles); NaN for none."""
    if not values:
        return math.nan, math.nan, math.nan
    data = np.asarray(values, float)
    means = data[np.random.default_rng(seed).integers(0, len(data), (draws, len(data)))].mean(axis=1)
    low, high = np.percentile(means, (2.5, 97.5))
    return float(data.mean()), float(low), float(high)
