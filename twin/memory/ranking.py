"""Ranking: candidates scored by words, by letters and by meaning, and helped by the messages beside them.

Measured by tests/bench/recall.py, with MiniLM (trained on English): recall at 10 and first day right on LoCoMo, hit at
10 on PrefEval, hit at 1 on Russian first-person facts. 95 % intervals: +-.03, +-.04, +-.04, +-.01.
    BM25 over stems .55 .57 .17 .72     without words  .74 .68 .45 .82    without neighbours .69 .70 .45 .83
    MiniLM alone    .43 .38 .44 .64     without letters .74 .69 .45 .80   without times      .75 .66 .45 .83
    all of it       .78 .71 .45 .83     without meaning .75 .71 .21 .83
"""
from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

import numpy as np

from twin.memory.passages import WINDOWS
from twin.memory.query import Query
from twin.memory.shares import frequencies, gram_frequencies, shares
from twin.memory.terms import Terms
from twin.text import stems
from twin.when import When

if TYPE_CHECKING:
    from numpy.typing import NDArray


@dataclass(frozen=True)
class Weights:
    """What each kind of evidence is worth. Words and letters are shares of the query's information and count by their
    square: a few words in common are chance, half of them are not. Meaning is a cosine.

    `beside`: how much of its words the message next to a passage, and the one after that, lend it, and how far a
    message draws its neighbours towards its own score. `in_time`: what being from the time asked for is worth.
    """

    words: float = 4.0
    letters: float = 4.0
    meaning: float = 1.0
    beside: tuple[float, ...] = (0.5, 0.3)
    in_time: float = 0.5


@dataclass(frozen=True)
class Hit:
    """A message by its best passage, which stands at `row` of the candidates. `score` is 0..1."""

    row: int
    score: float
    matched: tuple[str, ...]
    meaning: float | None
    lifted: bool
    in_time: bool

    def why(self, row: Mapping[str, Any], no_meaning: str) -> str:
        """Words in common, nearness in meaning, neighbours, person and time."""
        author, time = row["author"], row["time"]
        named = author and {*stems(author)} & {stem for word in self.matched for stem in stems(word)}
        return "; ".join(filter(None, (
            f"words: {', '.join(self.matched)}" if self.matched else "no word in common",
            no_meaning if self.meaning is None else f"meaning {self.meaning:.2f}",
            f"person: {author}" if named else "",
            "next to a message that matches better" if self.lifted else "",
            "from the time asked for" if self.in_time else "", f"{time:%Y-%m-%d}" if time else "")))


@dataclass(frozen=True)
class Candidates:
    """Passages to choose from, as columns of equal length sorted by place."""

    places: NDArray[np.int64]
    stems: Sequence[str]
    texts: Sequence[str]
    authors: Sequence[str | None]
    times: Sequence[datetime | None]
    meaning: NDArray[np.float64] | None  # nearness, NaN where there is no vector yet; None where there are none at all

    def best(self, query: Query, terms: Terms, k: int, when: When | None = None,
             weights: Weights = Weights()) -> list[Hit]:
        """The k best messages; those that nothing speaks for are left out."""
        counts, lexical = self._lexical(query, terms, weights)
        in_time = np.array([when is not None and time is not None and when.covers(time) for time in self.times], bool)
        own, most = lexical + weights.in_time * in_time, weights.words + weights.letters
        if self.meaning is not None:
            own, most = own + weights.meaning * np.maximum(np.nan_to_num(self.meaning), 0), most + weights.meaning
        # A maximum over passages beats a mean: one good paragraph makes a long message worth showing.
        of = self.places >> WINDOWS
        order = np.lexsort((-own, of))
        messages, first = np.unique(of[order], return_index=True)
        passage = order[first]
        alone, score = _beside(messages, own[passage], np.maximum.reduceat(lexical, first), weights.beside)
        top = [at for at in np.argsort(-score, kind="stable")[:k] if score[at] > 0]
        return [Hit(int(passage[at]), min(math.sqrt(score[at] / most), 1.0),
                    tuple(term.word for term, count in zip(query.terms, counts[passage[at]], strict=True)
                          if count and term.weight == 1),
                    self._near(passage[at]), bool(score[at] > alone[at]), bool(in_time[passage[at]])) for at in top]

    def _near(self, row: int) -> float | None:
        return None if self.meaning is None or math.isnan(self.meaning[row]) else float(self.meaning[row])

    def _lexical(self, query: Query, terms: Terms,
                 worth: Weights) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """How often each term stands in each passage, and what its words and letters are worth."""
        information = {term.word: terms.idf(term.stems) for term in query.terms}
        counts, lengths = frequencies(self.stems, query)
        weights = np.array([term.weight * information[term.word] for term in query.terms])
        by_words = shares(counts, weights, lengths, terms.length)
        grams = query.grams(lambda term: information[term.word])
        named = [f"{author} {text}" if author else text
                 for author, text in zip(self.authors, self.texts, strict=True)]
        runs = gram_frequencies(named, list(grams))
        by_letters = shares(runs, np.array(list(grams.values())), lengths, terms.length)
        return counts, worth.words * by_words ** 2 + worth.letters * by_letters ** 2


def _beside(messages: NDArray[np.int64], own: NDArray[np.float64], lexical: NDArray[np.float64],
            parts: Sequence[float]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Scores of messages with their neighbours' words, and with what better neighbours lift them to, never above
    those: what answers a question often stands beside what repeats its words."""
    def neighbours(values: NDArray[np.float64], step: int) -> NDArray[np.float64]:
        at = np.minimum(np.searchsorted(messages, messages + step), len(messages) - 1)
        return np.where(messages[at] == messages + step, values[at], 0.0)

    added = np.zeros(len(messages))
    for distance, part in enumerate(parts, 1):
        for step in (-distance, distance):
            np.maximum(added, part * neighbours(lexical, step), out=added)
    alone = own + added
    lifted = alone.copy()
    for distance, pull in enumerate(parts, 1):
        for step in (-distance, distance):
            near = neighbours(alone, step)
            np.maximum(lifted, np.where(near > alone, (1 - pull) * alone + pull * near, 0.0), out=lifted)
    return alone, lifted
