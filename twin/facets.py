"""The closed catalogue of facets (facets.toml) and what one sentence of a person shows of it, by cues alone.

Knows sentences, not messages; what several of them prove is profile.py's business.
"""
from __future__ import annotations

import re
import tomllib
from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from importlib.resources import files
from typing import Literal

from twin.cues import any_of, cue, plain
from twin.person import ClaimKind
from twin.text import language

Sentences = Mapping[str, tuple[str, ...]]  # by language


@dataclass(frozen=True)
class Facet:
    """One thing a message can show about a person.

    `definition` finishes "the writer ..."; `text` is the claim, by language; `common` facets fit most people.
    `counter` holds cues of the plain opposite ({} where there is none); `unit` is what its rate is counted over, if it
    can be `compared` with people who write to no assistant.
    """

    id: str
    kind: ClaimKind
    text: Mapping[str, str]
    definition: str
    cues: Sentences = field(repr=False)
    supports: Sentences = field(repr=False)
    rejects: Sentences = field(repr=False)
    common: bool = False
    counter: Sentences = field(default_factory=dict, repr=False)
    unit: Literal["sentence", "question"] = "sentence"
    compared: bool = True


@lru_cache(maxsize=1)
def facets() -> Mapping[str, Facet]:
    """The catalogue of facets.toml by id, in its order."""
    table = tomllib.loads((files("twin") / "facets.toml").read_text(encoding="utf-8"))

    def sentences(one: Mapping[str, Mapping[str, list[str]]], name: str) -> dict[str, tuple[str, ...]]:
        return {language: tuple(found) for language, found in one.get(name, {}).items()}

    return {key: Facet(key, one["kind"], one["text"], one["definition"], sentences(one, "cues"),
                       sentences(one, "supports"), sentences(one, "rejects"), one["common"],
                       sentences(one, "counter"), one.get("unit", "sentence"), one.get("compared", True))
            for key, one in table.items()}


# ---- cues -----------------------------------------------------------------------------------------------------------

_REPORTED = re.compile(  # someone else's words inside the person's sentence
    r"\b(?:he|she|they|someone|everyone|people|(?:my|our|the) \w+) "
    r"(?:said|says|say|told|tells|claims?|thinks?|wrote|writes)\b|"
    r"\baccording to\b|\bпо словам\b|"
    r"(?<!я )\b(?:говорит|говорят|сказал[аи]?|утвержда[ею]т|считает|считают|пишет|пишут|написал[аи]?)\b ?[,:]")
_QUOTED = re.compile(r"^\s*[—–-]?\s*[\"«“„].*[\"»”][.!?]*\s*$", re.DOTALL)
_HEAD = 4  # letters of a word that tell whether a cue can be met at all; of 1-5, the fastest on 2,000 sentences

Cue = tuple[str, re.Pattern[str]]  # the facet, its expression


@dataclass(frozen=True)
class _Cues:
    """Cues of one language: raw expressions, joined by facet, are tried on every sentence, phrases only where the
    beginning of their longest word stands (an expression of all 600 phrases takes ten times as long)."""

    raw: tuple[Cue, ...]
    phrases: Mapping[str, tuple[Cue, ...]]

    def met(self, scope: str, heads: set[str]) -> set[str]:
        found = {facet for facet, pattern in self.raw if pattern.search(scope)}
        for head in heads & self.phrases.keys():
            found.update(facet for facet, pattern in self.phrases[head] if facet not in found and pattern.search(scope))
        return found


@lru_cache(maxsize=4)
def _cues(tongue: str, side: Literal["cues", "counter"]) -> _Cues:
    raw: dict[str, list[str]] = defaultdict(list)
    phrases: dict[str, dict[str, list[str]]] = defaultdict(lambda: defaultdict(list))
    for key, one in facets().items():
        for phrase in getattr(one, side).get(tongue, ()):
            if phrase.startswith("re:"):
                raw[key].append(phrase)
            else:
                head = max(re.findall(r"\w{4,}|\w+\b(?!\*)", phrase), key=len)[:_HEAD]
                phrases[head][key].append(cue(phrase))
    return _Cues(tuple((key, pattern) for key, some in raw.items() for pattern in _patterns(some)),
                 {head: tuple((key, re.compile("|".join(some))) for key, some in by_facet.items())
                  for head, by_facet in phrases.items()})


def _patterns(raw: list[str]) -> Iterator[re.Pattern[str]]:
    """One pattern of all raw expressions; those that count their groups stay apart."""
    counting = [one for one in raw if re.search(r"\\[1-9]", one)]
    yield from (re.compile(cue(one)) for one in counting)
    yield any_of(one for one in raw if one not in counting)


def read(sentence: str) -> tuple[list[str], list[str]]:
    """Ids of the facets whose cues a sentence of the person meets, and of those it speaks against; none for quoted or
    reported speech. What speaks against a facet does not show it."""
    scope = plain(sentence)
    if _QUOTED.match(sentence) or _REPORTED.search(scope):
        return [], []
    tongue = "ru" if language(sentence) == "ru" else "en"
    heads = {word[:_HEAD] for word in re.findall(r"\w+", scope)}
    against = _cues(tongue, "counter").met(scope, heads)
    found = _cues(tongue, "cues").met(scope, heads) - against
    return [key for key in facets() if key in found], [key for key in facets() if key in against]


def shown(sentence: str) -> list[str]:
    """Ids of the facets whose cues a sentence of the person meets; none for quoted or reported speech."""
    return read(sentence)[0]
