"""Ranking: candidates scored by words, by letters and by meaning, and helped by the messages beside them.

Measured by tests/bench/recall.py, which prints the parts one by one.
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

# Words and letters are shares of the query's information and count by their square: a few words in common are chance,
# half of them are not. Meaning is a cosine.
_WORDS = _LETTERS = 4.0
_BESIDE = (0.5, 0.3)  # what the words of the message beside a passage, and of the one after that, add to its own
_PULL = (0.7, 0.5)  # how far a message draws its neighbours towards its own score
_IN_TIME = 1.0  # what being from the time that was asked for is worth: as much as a third of the words and letters


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
    meaning: NDArray[np.float64] | None  # (passages, 2): cosine, NaN without a vector, and nearness; None: no vectors

    def best(self, query: Query, terms: Terms, k: int, when: When | None = None) -> list[Hit]:
        """The k best messages; those that nothing speaks for are left out."""
        counts, lexical = self._lexical(query, terms)
        in_time = np.array([when is not None and time is not None and when.covers(time) for time in self.times], bool)
        own = lexical + _IN_TIME * in_time
        most = _WORDS + _LETTERS
        if self.meaning is not None:
            own, most = own + np.maximum(self.meaning[:, 1], 0), most + 1
        # A maximum over passages beats a mean: one good paragraph makes a long message worth showing.
        of = self.places >> WINDOWS
        order = np.lexsort((-own, of))
        messages, first = np.unique(of[order], return_index=True)
        passage = order[first]
        alone, score = _beside(messages, own[passage], np.maximum.reduceat(lexical, first))
        hits = []
        for at in np.argsort(-score, kind="stable")[:k]:
            row = int(passage[at])
            if score[at] > 0:
                cosine = float("nan") if self.meaning is None else float(self.meaning[row, 0])
                matched = tuple(term.word for number, term in enumerate(query.terms)
                                if counts[row, number] and term.weight == 1)
                hits.append(Hit(row, min(math.sqrt(score[at] / most), 1.0), matched,
                                None if math.isnan(cosine) else cosine, bool(score[at] > alone[at]), bool(in_time[row])))
        return hits

    def _lexical(self, query: Query, terms: Terms) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
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
        return counts, _WORDS * by_words ** 2 + _LETTERS * by_letters ** 2


def _beside(messages: NDArray[np.int64], own: NDArray[np.float64],
            lexical: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Scores of messages with their neighbours' words, and with what better neighbours lift them to, never above
    those: what answers a question often stands beside what repeats its words."""
    def neighbours(values: NDArray[np.float64], step: int) -> NDArray[np.float64]:
        at = np.minimum(np.searchsorted(messages, messages + step), len(messages) - 1)
        return np.where(messages[at] == messages + step, values[at], 0.0)

    added = np.zeros(len(messages))
    for distance, part in enumerate(_BESIDE, 1):
        for step in (-distance, distance):
            np.maximum(added, part * neighbours(lexical, step), out=added)
    alone = own + added
    lifted = alone.copy()
    for distance, pull in enumerate(_PULL, 1):
        for step in (-distance, distance):
            near = neighbours(alone, step)
            np.maximum(lifted, np.where(near > alone, (1 - pull) * alone + pull * near, 0.0), out=lifted)
    return alone, lifted
