"""Search: the few hundred passages that a query may mean, and what is known of each. Knows Lance, no messages.

Words and meaning are asked for side by side, some dozens of each; then the rows of these and of what stands
beside the best of them are fetched, and everything else is exact.
"""
from __future__ import annotations

from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from twin.memory.lance import both, rows_at, within
from twin.memory.passages import WINDOWS
from twin.memory.query import Query
from twin.memory.ranking import Candidates
from twin.memory.terms import Terms
from twin.types import Scope
from twin.when import When

if TYPE_CHECKING:
    from numpy.typing import NDArray

_EACH = 48  # passages that each way of asking brings, or 3 for each that is wanted; 40 do no worse on LoCoMo
_WIDENED = 16  # best passages whose neighbours are looked at too, or one for each that is wanted
_STEPS = (-2, -1, 1, 2)
_SHOWN = ("place", "conversation", "message", "role", "author", "time", "text", "stems")


@dataclass(frozen=True)
class Near:
    """Where to look for meaning: the vectors of an embedder, and the query's vector less a part of their centre (what
    all texts of a person have in common says nothing)."""

    table: Any
    vector: NDArray[np.float32]

    def best(self, condition: str, limit: int) -> dict[int, float]:
        """Places of the nearest passages, with their nearness: the cosine, less what is common."""
        found = self.table.search(self.vector, vector_column_name="vector").distance_type("dot")
        rows = (found.where(condition) if condition else found).select(["place", "_distance"]).limit(limit).to_arrow()
        return dict(zip(rows["place"].to_pylist(), (1 - rows["_distance"].to_numpy()).tolist(), strict=True))

    def of(self, places: list[int]) -> dict[int, float]:
        """The nearness of those of the places that have a vector."""
        if not places:
            return {}
        rows = rows_at(self.table, places, ("place", "vector"))
        numbers = rows["vector"].combine_chunks().flatten().to_numpy(zero_copy_only=False)
        near = numbers.reshape(-1, len(self.vector)) @ self.vector
        return dict(zip(rows["place"].to_pylist(), near.tolist(), strict=True))


def search(table: Any, query: Query, terms: Terms, near: Near | None, scope: Scope, k: int,
           when: When | None) -> tuple[Any, Candidates] | None:
    """The rows of the candidates as an Arrow table, and their columns; None where there are none."""
    condition, limit = within(scope), max(_EACH, 3 * k)
    conditions = [condition]
    if when is not None:  # what was said then competes by itself too
        conditions.append(both(condition, within(Scope(since=when.since, until=when.until))))
    with ThreadPoolExecutor(1) as beside:
        meant = beside.submit(_merged, near.best, conditions, limit) if near else None
        said = _merged(lambda where, most: _by_words(table, query, terms, where, most), conditions, limit)
        if when is not None and near is None:
            said = dict.fromkeys(_any(table, conditions[-1], limit), 0.0) | said
        known = meant.result() if meant else {}
        scored = {place: 8 * said.get(place, 0.0) ** 2 + known.get(place, 0.0) for place in said.keys() | known.keys()}
        if not scored:
            return None
        places = _widened(scored, max(_WIDENED, k))
        rest = beside.submit(near.of, [place for place in places if place not in known]) if near else None
        rows = rows_at(table, places, _SHOWN, condition).sort_by("place")
        known |= rest.result() if rest else {}
    stored = rows["place"].to_numpy()
    stems, texts, authors, times = (rows[name].to_pylist() for name in ("stems", "text", "author", "time"))
    meaning = np.array([known.get(place, np.nan) for place in stored.tolist()]) if near else None
    return (rows, Candidates(stored, stems, texts, authors, times, meaning)) if len(stored) else None


def _merged(ask: Callable[[str, int], dict[int, float]], conditions: list[str], limit: int) -> dict[int, float]:
    found: dict[int, float] = {}
    for condition in conditions:
        found |= ask(condition, limit)
    return found


def _by_words(table: Any, query: Query, terms: Terms, condition: str, limit: int) -> dict[int, float]:
    """Places of passages that share a word of weight, each with its share of the query's information, roughly."""
    from lancedb.query import MatchQuery

    stems = [stem for term in query.wanted for stem in term.stems]
    found = table.search(MatchQuery(" ".join(stems), "stems"), query_type="fts")
    rows = (found.where(condition) if condition else found).select(["place", "_score"]).limit(limit).to_arrow()
    bound = 2.2 * sum(terms.idf(term.stems) for term in query.wanted)  # Lance's BM25 has k1 = 1.2, b = .75
    return dict(zip(rows["place"].to_pylist(), (rows["_score"].to_numpy() / max(bound, 1e-9)).tolist(), strict=True))


def _any(table: Any, condition: str, limit: int) -> Iterable[int]:
    """Places that meet a condition, whatever they say."""
    found: list[int] = table.search().where(condition).select(["place"]).limit(limit).to_arrow()["place"].to_pylist()
    return found


def _widened(scored: dict[int, float], best: int) -> list[int]:
    """All places, and the first passages of the messages beside the best ones."""
    top = sorted(scored, key=scored.__getitem__, reverse=True)[:best]
    beside = {((place >> WINDOWS) + step) << WINDOWS for place in top for step in _STEPS}
    return sorted(beside | scored.keys())
