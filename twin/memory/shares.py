"""Shares: how much of a query's information stands in each passage, by words and by letters; 0..1, arrays over
passages. Knows no store.

BM25 (Robertson et al. 1994) over its bound, the BM25 of an endless passage of all that was asked for: so queries of
any length compare. Letters find other forms of a word (кошка, кошек), typing errors and parts of compounds.
"""
from __future__ import annotations

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from twin.memory.query import Query

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

_K1, _B = 1.2, 0.25  # b is below the usual .75 because no passage is longer than 900 characters: .02 on LoCoMo
_NOT_A_WORD = re.compile(r"[^\w\0]+|_+")
_BASE = np.uint64(1_000_003)  # of a polynomial hash in 64 bits


def frequencies(stems: Sequence[str], query: Query) -> tuple[Floats, Floats]:
    """How often each term stands in each passage (passages, terms), and how many stems a passage has."""
    column = {stem: number for number, term in enumerate(query.terms) for stem in term.stems}
    counts, lengths = np.zeros((len(stems), len(query.terms))), np.zeros(len(stems))
    for row, text in enumerate(stems):
        found = text.split()
        lengths[row] = len(found)
        for stem in found:
            if (at := column.get(stem)) is not None:
                counts[row, at] += 1
    return counts, lengths


def gram_frequencies(texts: Sequence[str], grams: Sequence[str]) -> Floats:
    """How often each run of letters stands in each text (texts, grams)."""
    whole = "\0".join(f" {text} " for text in texts).casefold().replace("ё", "е")
    codes = np.frombuffer(_NOT_A_WORD.sub(" ", whole).encode("utf-32-le", "replace"), np.uint32).astype(np.uint64)
    text_of = np.cumsum(codes == 0)
    asked = np.array([_hash(np.array([ord(letter) for letter in gram], np.uint64), len(gram))[0] for gram in grams],
                     np.uint64)
    order = np.argsort(asked)
    counts = np.zeros(len(texts) * len(grams))
    for size in sorted({len(gram) for gram in grams}):
        hashes = _hash(codes, size)
        at = np.minimum(np.searchsorted(asked, hashes, sorter=order), len(grams) - 1)
        hit = np.flatnonzero(asked[order[at]] == hashes)
        counts += np.bincount(text_of[hit] * len(grams) + order[at[hit]], minlength=len(counts))
    return counts.reshape(len(texts), len(grams))


def shares(counts: Floats, weights: Floats, lengths: Floats, mean: float) -> Floats:
    """BM25 of (passages, things asked for) with the weights of the things, over its bound."""
    norm = _K1 * (1 - _B + _B * lengths / max(mean, 1.0))
    bound = weights.sum()
    found: Floats = (counts / (counts + norm[:, None])) @ weights / (bound if bound > 0 else 1.0)
    return found


def _hash(codes: NDArray[np.uint64], size: int) -> NDArray[np.uint64]:
    """Of every run of `size` codes; overflow is what makes it a hash."""
    found = np.full(max(len(codes) - size + 1, 0), size, np.uint64)
    for offset in range(size):
        found = found * _BASE + codes[offset:offset + len(found)]
    return found
