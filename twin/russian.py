"""Russian word forms, by the OpenCorpora dictionary (pymorphy3), loaded at the first word. No sentences."""
from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Any


@dataclass(frozen=True)
class Form:
    """One reading of a word: its dictionary form, how likely it is (0..1), and its grammemes as OpenCorpora names them
    (NOUN, VERB, INFN, nomn, plur, Name, Surn, Patr, Geox, Orgn, ...)."""

    normal: str
    likely: float
    tags: frozenset[str]


@lru_cache(maxsize=1)
def _analyzer() -> Any:
    import pymorphy3  # here: the dictionary takes 0.2 s and 15 MB

    return pymorphy3.MorphAnalyzer(lang="ru")


@lru_cache(maxsize=16384)
def forms(word: str) -> tuple[Form, ...]:
    """Readings of a word, the likeliest first. Words that are in no dictionary are read by their endings."""
    return tuple(Form(str(p.normal_form), float(p.score), frozenset(str(p.tag).replace(" ", ",").split(",")))
                 for p in _analyzer().parse(word))


@lru_cache(maxsize=16384)
def inflected(word: str, *grammemes: str) -> str | None:
    """The word in another form ('nomn', 'INFN', ...): of its likeliest reading that has one; None when none has."""
    found = (reading.inflect(set(grammemes)) for reading in _analyzer().parse(word))
    return next((str(one.word) for one in found if one), None)
