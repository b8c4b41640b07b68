"""The closed catalogue of facets (facets.toml) and what one sentence of a person shows of it, by cues alone.

Knows sentences, not messages; what several of them prove is profile.py's business.
"""
from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from importlib.resources import files

from twin.cues import cue, plain
from twin.text import language


@dataclass(frozen=True)
class Facet:
    """One thing a message can show about a person. `definition` finishes "the writer ..."; `text` is the claim, by
    language; `common` facets fit most people."""

    id: str
    kind: str
    text: Mapping[str, str]
    definition: str
    cues: Mapping[str, tuple[str, ...]] = field(repr=False)
    supports: Mapping[str, tuple[str, ...]] = field(repr=False)
    rejects: Mapping[str, tuple[str, ...]] = field(repr=False)
    common: bool = False


@lru_cache(maxsize=1)
def facets() -> Mapping[str, Facet]:
    """The catalogue of facets.toml by id, in its order."""
    table = tomllib.loads((files("twin") / "facets.toml").read_text(encoding="utf-8"))

    def sentences(one: Mapping[str, Mapping[str, list[str]]], name: str) -> dict[str, tuple[str, ...]]:
        return {language: tuple(found) for language, found in one[name].items()}

    return {key: Facet(key, one["kind"], one["text"], one["definition"], sentences(one, "cues"),
                       sentences(one, "supports"), sentences(one, "rejects"), one["common"])
            for key, one in table.items()}


_REPORTED = re.compile(  # someone else's words inside the person's sentence
    r"\b(?:he|she|they|someone|everyone|people|(?:my|our|the) \w+) "
    r"(?:said|says|say|told|tells|claims?|thinks?|wrote|writes)\b|"
    r"\baccording to\b|\bпо словам\b|"
    r"(?<!я )\b(?:говорит|говорят|сказал[аи]?|утвержда[ею]т|считает|считают|пишет|пишут|написал[аи]?)\b ?[,:]")
_QUOTED = re.compile(r"^\s*[—–-]?\s*[\"«“„].*[\"»”][.!?]*\s*$", re.DOTALL)


@lru_cache(maxsize=2)
def _patterns(tongue: str) -> tuple[tuple[str, re.Pattern[str]], ...]:
    return tuple((key, re.compile("|".join(map(cue, one.cues[tongue])))) for key, one in facets().items())


def shown(sentence: str) -> list[str]:
    """Ids of the facets whose cues a sentence of the person meets; none for quoted or reported speech."""
    scope = plain(sentence)
    if _QUOTED.match(sentence) or _REPORTED.search(scope):
        return []
    tongue = "ru" if language(sentence) == "ru" else "en"
    return [key for key, pattern in _patterns(tongue) if pattern.search(scope)]
