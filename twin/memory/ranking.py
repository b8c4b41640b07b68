"""Ranking: hits by words and by meaning, fused, and spread to the messages beside them."""
from __future__ import annotations

import math
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Any

import numpy as np

from twin.memory.lance import columns
from twin.memory.passages import WINDOWS
from twin.text import clean, stem, words

if TYPE_CHECKING:
    from numpy.typing import NDArray

# Measured by tests/bench/recall.py, and beside it on the same public sets: message recall at 10 on LoCoMo (English,
# three dialogues) / hit at 10 on PrefEval (English) / hit at 5 on first-person facts (Russian).
#   words only (BM25)                    .55 / .17 / .82        meaning only (MiniLM)      .43 / .44 / .67
#   words only, without function words   .61 / .19 / .82        ranks fused (RRF)          .56 / .35 / .83
#   z-scores, half and half              .64 / .34 / .90        shares fused, 3 to 1       .63 / .43 / .90
#   words only, hits spread              .71 / .19 / .82        shares, hits spread        .75 / .43 / .90  <- this file
# Shares beat z-scores where a question has few words in common with anything: a z-score makes its best chance match
# look as strong as a real one. MiniLM was trained on English and still lifts Russian, and weights of 1 to 3 make no
# difference there, so both languages share one. 95 % intervals: +-.03 (LoCoMo, 540 questions), +-.04, +-.02.
_WORDS_TO_MEANING = 3.0
_PULL = (0.7, 0.5)  # how far a hit draws the message next to it, and the one after that, towards its own score
_K1 = 1.2  # Lance's BM25 has k1 = 1.2, b = 0.75 and idf = ln(1 + (N - n + 0.5) / (n + 0.5)); checked to 6 digits
_MOST_STEMS = 16  # one index look-up each, 3 ms at 10,000 passages

# Function words say nothing about what a question is after. Without them LoCoMo gains .06 (words only) and Russian .04
# (fused). A question made of nothing else keeps them.
_FUNCTION_WORDS = frozenset(map(stem, words("""
    a an the i you he she it we they me my your his her its our us them their is am are was were be been being do does
    did have has had will would can could should may might to of in on at for from with by about and or but not no what
    when where who whom which whose why how that this these those there as if so
    я ты он она оно мы вы они меня тебя его ее нас вас их мне тебе ему ей нам вам им мой моя мое мои твой твоя твое
    твои наш ваш свой а но и или не ни что кто где куда когда как какой какая какое какие зачем почему сколько чей чем
    кем кого чего кому чему в во на с со к ко у о об от до по за из для бы же ли это этот эта эти то тот та те быть
    есть был была было были""")))


def wanted_stems(query: str) -> dict[str, str]:
    """Stems to look for, each with its word as the query has it: function words only where there is nothing else."""
    found = {stem(word): word for word in reversed(words(clean(query)))}
    content = {s: w for s, w in found.items() if s not in _FUNCTION_WORDS} or found
    # Of a pasted page the longest words are looked up: long words are rare ones (Zipf's law of abbreviation).
    longest = sorted(content, key=len, reverse=True)[:_MOST_STEMS]
    return {s: content[s] for s in reversed(content) if s in longest}


@dataclass(frozen=True)
class Hit:
    place: int
    score: float
    matched: tuple[str, ...]
    meaning: float | None
    lifted: bool
    embedder: bool

    def why(self, wanted: Mapping[str, str], time: datetime | None) -> str:
        """Words in common, nearness in meaning, whether a neighbour brought it, and the date."""
        common = ", ".join(wanted[s] for s in self.matched)
        if self.meaning is not None:
            meaning = f"meaning {self.meaning:.2f}"
        else:
            meaning = "by words only: no vector yet" if self.embedder else "by words only: no embedder"
        return "; ".join(filter(None, (
            f"words: {common}" if common else "no word in common", meaning,
            "next to a message that matches better" if self.lifted else "", f"{time:%Y-%m-%d}" if time else "")))


@dataclass
class Hits:
    """Scores of all passages a query may find, as arrays over `places` (sorted, unique)."""

    places: NDArray[np.int64]
    total: int
    lexical: NDArray[np.float64]
    meaning: NDArray[np.float64]  # NaN where there is no vector
    matched: dict[str, NDArray[np.bool_]] = field(default_factory=dict)
    embedder: bool = False

    @classmethod
    def of(cls, table: Any, own: bool | None, exclude: Collection[str]) -> Hits:
        """All passages that pass the filters. Ids are compared as values and never become part of an SQL text."""
        import pyarrow as pa
        from pyarrow import compute

        rows = columns(table, "place", "own", "conversation")
        total = rows.num_rows
        if own is not None:
            rows = rows.filter(compute.equal(rows["own"], own))
        if exclude:
            left_out = pa.array(sorted(exclude), pa.string())
            rows = rows.filter(compute.invert(compute.is_in(rows["conversation"], left_out)))
        places = np.unique(rows["place"].to_numpy())
        return cls(places, total, np.zeros(len(places)), np.full(len(places), np.nan))

    def _at(self, found: Any, column: str) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
        """Where found rows stand in `places`, and their scores; those that did not pass the filters fall away."""
        places, scores = found["place"].to_numpy(), found[column].to_numpy().astype(np.float64)
        at = np.searchsorted(self.places, places)
        at[at == len(self.places)] = 0
        known = self.places[at] == places if len(self.places) else np.zeros(len(places), dtype=bool)
        return at[known], scores[known]

    def by_words(self, table: Any, wanted: Iterable[str]) -> None:
        """Share of the query's information: BM25 over its bound, the sum of idf x (k1 + 1) over the query's stems.

        Each stem is asked for by itself: that gives its document frequency, which the bound needs also for stems that
        nothing contains, and the words for `why`. The sum is the BM25 of all of them together.
        """
        from lancedb.query import MatchQuery

        bound = 0.0
        for asked in wanted:
            found = table.search(MatchQuery(asked, "stems"), query_type="fts")
            found = found.select(["place", "_score"]).limit(max(self.total, 1)).to_arrow()
            bound += (_K1 + 1) * math.log(1 + (self.total - found.num_rows + 0.5) / (found.num_rows + 0.5))
            at, scores = self._at(found, "_score")
            self.lexical[at] += scores
            self.matched[asked] = np.zeros(len(self.places), dtype=bool)
            self.matched[asked][at] = True
        self.lexical = np.minimum(self.lexical / bound, 1.0)

    def by_meaning(self, table: Any, vector: Sequence[float], embedder: str) -> None:
        """Cosine of the query's vector with every vector of the same embedder (exact: 30 ms at 10,000 passages)."""
        from pyarrow import compute

        found = table.search(vector, vector_column_name="vector").distance_type("dot")
        found = found.select(["place", "embedder", "_distance"]).limit(max(self.total, 1)).to_arrow()
        at, distance = self._at(found.filter(compute.equal(found["embedder"], embedder)), "_distance")
        self.meaning[at] = 1 - distance
        self.embedder = True

    def best(self, k: int) -> list[Hit]:
        """The k best messages, each by its best passage; messages that nothing speaks for are left out."""
        score = self.lexical
        if self.embedder:
            near = np.maximum(np.nan_to_num(self.meaning), 0)
            score = (_WORDS_TO_MEANING * score + near) / (_WORDS_TO_MEANING + 1)
        # A maximum over passages beats a mean: one good paragraph makes a long message worth showing.
        order = np.lexsort((-score, self.places >> WINDOWS))
        messages, first = np.unique((self.places >> WINDOWS)[order], return_index=True)
        passage = order[first]
        alone = score[passage]
        lifted = alone.copy()
        for step, pull in enumerate(_PULL, 1):
            for beside in (messages - step, messages + step):
                at = np.minimum(np.searchsorted(messages, beside), len(messages) - 1)
                pulled = np.where(messages[at] == beside, (1 - pull) * alone + pull * alone[at], 0)
                np.maximum(lifted, pulled, out=lifted)
        top = np.argsort(-lifted, kind="stable")[:k]
        return [self._hit(int(passage[i]), float(lifted[i]), bool(lifted[i] > alone[i])) for i in top if lifted[i] > 0]

    def _hit(self, at: int, score: float, lifted: bool) -> Hit:
        return Hit(int(self.places[at]), score, tuple(s for s, where in self.matched.items() if where[at]),
                    None if np.isnan(self.meaning[at]) else float(self.meaning[at]), lifted, self.embedder)
