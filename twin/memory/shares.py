"""Shares: how much of a query's information stands in each passage, by words and by letters; 0..1, arrays over
passages. Knows no store.

BM25 (Robertson et al. 1994) over its bound, the BM25 of an endless passage of all that was asked for: so queries of
any length compare. Letters find other forms of a word (кошка, кошек), typing errors and parts of compounds.
"""
from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import TYPE_CHECKING

import numpy as np

from twin.memory.query import Query

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

_K1, _B = 1.2, 0.35  # b is below the usual .75 because no passage is longer than 900 characters: .01 on LoCoMo
_BLANK = np.uint64(32)
_BASE = np.uint64(1_000_003)  # of a polynomial hash in 64 bits
_MIX = np.uint64(0x9E3779B97F4A7C15), np.uint64(0xC2B2AE3D27D4EB4F)  # odd; one for runs of 3, one for runs of 4
_HIGH = np.uint64(48)  # multiplying mixes the high bits best


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
    """How often each run of 3 or 4 letters stands in each text (texts, grams)."""
    whole = "\0".join(f" {text} " for text in texts)
    codes = _plain()[np.minimum(np.frombuffer(whole.encode("utf-32-le", "replace"), np.uint32), 0xFFFF)]
    codes = codes[np.r_[True, (codes[1:] != _BLANK) | (codes[:-1] != _BLANK)]]
    ends = np.flatnonzero(codes == 0)
    asked = np.array([_hashes(np.array([ord(letter) for letter in gram], np.uint64))[len(gram) - 3][0]
                      for gram in grams], np.uint64)
    order = np.argsort(asked)
    asked = asked[order]
    maybe = np.zeros(1 << 16, bool)  # most runs are ruled out by 16 bits of their hash
    maybe[asked >> _HIGH] = True
    counts = np.zeros(len(texts) * len(grams))
    for hashes in _hashes(codes):
        some = np.flatnonzero(maybe[hashes >> _HIGH])
        at = np.minimum(np.searchsorted(asked, hashes[some]), len(grams) - 1)
        hit = asked[at] == hashes[some]
        of = np.searchsorted(ends, some[hit])
        counts += np.bincount(of * len(grams) + order[at[hit]], minlength=len(counts))
    return counts.reshape(len(texts), len(grams))


def shares(counts: Floats, weights: Floats, lengths: Floats, mean: float) -> Floats:
    """BM25 of (passages, things asked for) with the weights of the things, over its bound."""
    norm = _K1 * (1 - _B + _B * lengths / max(mean, 1.0))
    bound = weights.sum()
    found: Floats = (counts / (counts + norm[:, None])) @ weights / (bound if bound > 0 else 1.0)
    return found


@cache
def _plain() -> NDArray[np.uint64]:
    """Code point -> that of its small letter, ё as е, or of a blank where it is in no word (as `text.words` has it);
    beyond the first plane all are one. A table, because a regular expression takes 2 ms for 300 passages."""
    letters = (chr(code) for code in range(1, 0x10000))
    plain = [ord({"ё": "е"}.get(low := letter.lower()[0], low)) if letter.isalnum() else 32 for letter in letters]
    return np.array([0, *plain], np.uint64)


def _hashes(codes: NDArray[np.uint64]) -> tuple[NDArray[np.uint64], NDArray[np.uint64]]:
    """Hashes of every run of 3 codes, and of every run of 4."""
    size = max(len(codes) - 2, 0)
    three = (codes[:size] * _BASE + codes[1:size + 1]) * _BASE + codes[2:size + 2]  # overflow is meant
    return three * _MIX[0], (three[:-1] * _BASE + codes[3:]) * _MIX[1]
