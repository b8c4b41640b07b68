"""A council member's typed answer: its form, its faults, and which answers say the same.

The grammar admits only numbers of memories that exist. Two answers are one opinion when they hold the same numbers
(digits or words, Russian or English), say it with the same polarity, hold no opposites, and are worded closely; "I
cannot know" is an opinion of its own in whatever words. Knows no roles, no weights, no engine.
"""
from __future__ import annotations

import json
import re
import tomllib
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import lru_cache
from importlib.resources import files
from typing import Any

from twin import text as texts
from twin.cues import any_of, cue, plain
from twin.errors import DeviceLost, ModelError
from twin.numerals import split
from twin.phrases import content
from twin.types import Embedder, Hypothesis

CLAIM = 240   # characters of a claim
BRIEF = 48    # of a brief one: with its evidence about 32 tokens, in Russian as well
DETAIL = 160  # of a prediction or a falsifier
UNIT = 16
CLOSE = 0.6   # share of naming words that two claims must have in common to be worded alike
NEAR = 0.8    # cosine from which a fifth of the words is enough (English only: the default embedder knows no Russian)
SOME = 0.2

_SAID = {"claim": CLAIM, "prediction": DETAIL, "falsifier": DETAIL, "unit": UNIT}


class Unusable(ModelError):
    """What a member wrote cannot be used. `raw` is its answer as it came."""

    def __init__(self, what: str, raw: str, next_step: str = "The council goes on without this member.") -> None:
        super().__init__(what, next_step)
        self.raw = raw


class Truncated(Unusable):
    """The answer did not end within its tokens."""


class InvalidOutput(Unusable):
    """The answer is not what the grammar should force."""


class NoClaims(Unusable):
    """The answer has the form, and says nothing; or no member of a council gave one."""


# ---- the form ----------------------------------------------------------------------------------------------------

def schema(memories: int, *, brief: bool = False) -> dict[str, Any]:
    """JSON schema of a hypothesis: evidence (numbers 1..`memories`), claim, prediction, falsifier, unit; `brief`: the
    first two. Evidence comes first: the core points before it writes. No quotes or line breaks inside a text."""
    evidence: dict[str, Any] = {"const": []}
    if memories:
        evidence = {"type": "array", "items": {"enum": list(range(1, memories + 1))}, "maxItems": min(memories, 3)}
    properties = {"evidence": evidence, "claim": {"type": "string", "pattern": _BARE} if brief else _string(CLAIM)}
    if not brief:
        properties |= {"prediction": _string(DETAIL), "falsifier": _string(DETAIL),
                       "unit": {"type": "string", "pattern": f'^[^"\\\\\\n\\t]{{0,{UNIT}}}$'}}
    return {"type": "object", "additionalProperties": False, "required": list(properties), "properties": properties}


# A brief claim: words, or a calculation of one or two steps, each with one sign and its result. Left free, Qwen 1.5B
# stops before the result, guesses it, or repeats "12*5-37=" until its tokens end.
_STEP = "[0-9]{1,4} ?[-+*/] ?[0-9]{1,4} ?= ?-?[0-9]{1,5}"
_BARE = rf'^([^"=*+\\\n\t ][^"=*+\\\n\t]{{0,{BRIEF - 1}}}|{_STEP}(, {_STEP})?)$'


def _string(longest: int) -> dict[str, Any]:
    return {"type": "string", "pattern": f'^[^"\\\\\\n\\t ][^"\\\\\\n\\t]{{0,{longest - 1}}}$'}


def parse(raw: str, *, role: str, memories: int, finish: str = "stop", brief: bool = False) -> Hypothesis:
    """The hypothesis in an answer. Raises Truncated, InvalidOutput or NoClaims; numbers of memories that do not exist
    make it invalid, whatever wrote it."""
    try:
        made = json.loads(raw, strict=False)
        if not isinstance(made, dict) or set(made) != set(schema(memories, brief=brief)["properties"]):
            raise ValueError("other fields than asked for")
        said = {name: texts.one_line(_text(made, name)) for name in _SAID if name in made}
        longest = _SAID | ({"claim": BRIEF} if brief else {})
        if long := next((name for name, value in said.items() if len(value) > longest[name]), ""):
            raise ValueError(f"a {long} of more than {longest[long]} characters")
        evidence = _evidence(made["evidence"], memories)
    except ValueError as error:
        if finish == "length":
            raise Truncated("The answer did not end within its tokens.", raw) from error
        reason = "no JSON" if isinstance(error, json.JSONDecodeError) else str(error)
        raise InvalidOutput(f"The answer has not the form asked for: {reason}.", raw) from error
    if len(made["claim"]) == longest["claim"] and made["claim"][-1] not in ".!?…":
        raise Truncated("The claim was cut at its last letter.", raw)
    if said["claim"].endswith("?") or not any(letter.isalnum() for letter in said["claim"]):
        raise NoClaims("The answer claims nothing.", raw)
    return Hypothesis(role, said["claim"], said.get("prediction", ""), said.get("falsifier", ""), said.get("unit", ""),
                      evidence)


def _text(made: Mapping[str, Any], name: str) -> str:
    if not isinstance(made[name], str):
        raise ValueError(f"{name} is no text")
    return texts.clean(made[name])


def _evidence(numbers: Any, memories: int) -> tuple[int, ...]:
    if not isinstance(numbers, list) or any(isinstance(n, bool) or not isinstance(n, int) for n in numbers):
        raise ValueError("evidence is no list of numbers")
    if any(not 1 <= n <= memories for n in numbers):
        raise ValueError("a number that no memory has")
    return tuple(sorted(set(numbers)))


# ---- which say the same ------------------------------------------------------------------------------------------

def cluster(hypotheses: Sequence[Hypothesis], embedder: Embedder | None = None, *,
            question: str = "") -> list[list[int]]:
    """Places of hypotheses that say the same, each in one group; the groups do not depend on the order.

    Complete linkage, richest wording first: a hypothesis joins the group it is most like if it is close to each of its
    members, so "7" cannot tie "7 apples" to "7 pears". Words of the question tell answers to it apart no better than
    chance, so "Clara" is "Clara keeps the key" where it was asked who keeps the key.
    """
    asked = read(question).stems if question else frozenset()
    vectors: list[list[float]] = []
    if embedder and len(hypotheses) > 1:
        with suppress(DeviceLost):  # an embedder that is down: words tell them apart
            vectors = embedder.embed([one.text for one in hypotheses])
    order = sorted(range(len(hypotheses)), key=lambda i: (-len(read(hypotheses[i].text).stems), hypotheses[i].text))
    groups: list[list[int]] = []
    for i in order:
        best, most = None, -1.0
        for group in groups:
            likeness = [similarity(hypotheses[i].text, hypotheses[j].text, asked) for j in group]
            close = all((here >= CLOSE or _means(hypotheses, vectors, i, j, here))
                        and not _swapped(hypotheses[i].text, hypotheses[j].text)
                        for here, j in zip(likeness, group, strict=True))
            if close and sum(likeness) / len(group) > most:
                best, most = group, sum(likeness) / len(group)
        if best is None:
            groups.append([i])
        else:
            best.append(i)
    return sorted(sorted(group) for group in groups)


def similarity(one: str, other: str, asked: frozenset[str] = frozenset()) -> float:
    """Likeness of two claims, 0..1: shared naming words of all (Jaccard), but those `asked` if each has others. 0 for
    other numbers, polarity or opposites; 1 where only one of the two says more than the number they share, or both say
    that it cannot be known."""
    a, b = read(one), read(other)
    if (a.numbers, a.abstains) != (b.numbers, b.abstains):
        return 0.0
    if a.abstains:
        return 1.0
    if a.negative != b.negative or any(_across(pair, plain(one), plain(other)) for pair in _opposites()):
        return 0.0
    if a.stems == b.stems or (a.numbers and (a.stems <= b.stems or b.stems <= a.stems)):
        return 1.0
    mine, theirs = a.stems - asked, b.stems - asked
    if not (mine and theirs):
        mine, theirs = a.stems, b.stems
    return len(mine & theirs) / len(mine | theirs)


def negative(text: str) -> bool:
    """Whether a claim denies something; "not only" and the like deny nothing."""
    table = _cues("polarity")
    return table["negative"].search(table["both"].sub(" ", plain(text))) is not None


def abstains(text: str) -> bool:
    """Whether a claim says that the answer cannot be known, and names no number."""
    return read(text).abstains


_OPERAND = r"\(?\d[\d.,]*\)?\s*(?:[^\W\d_]{2,}\s+){0,2}%?\s*\)?\s*"  # "12", "12 loaves ", "(5"
_CALCULATION = re.compile(rf"(?:{_OPERAND}[-+*/×·:−xх]\s*)+{_OPERAND}=")
_UNITS = re.compile(r"\d\s?(%|[°$€£₽]|[^\W\d_]{1,2}\b)")
_NO_UNIT = "a i is in of on at to by as an or и в с к о у я а на по из за до от не"


@dataclass(frozen=True)
class Reading:
    """A claim as it is compared: its numbers, whether it denies, whether it says that nothing is known, the stems of
    its naming words, and those of them that have a capital."""

    numbers: frozenset[float]
    negative: bool
    abstains: bool
    stems: frozenset[str]
    names: frozenset[str]


@lru_cache(maxsize=4096)
def read(claim: str) -> Reading:
    """A claim as it is compared. A calculation counts by its result: "3 + 4 = 7", or "3*4=12, 12-5=7", is 7."""
    steps = list(_CALCULATION.finditer(claim))
    if steps:
        claim = f"{claim[:steps[0].start()]} {claim[steps[-1].end():]}"
    found, rest = split(claim)
    words = set(rest) - set(_table()["filler"]["words"].split())
    named = {stem for word in words for stem in content(word)}
    bare = {word for word in words if not word[0].isdigit()}
    return Reading(found, negative(claim), not found and _cues("abstention")["cues"].search(plain(claim)) is not None,
                    frozenset(named | _units(claim) or bare),
                    frozenset(stem for word in re.findall(r"\b[A-ZА-ЯЁ]\w+", claim) for stem in content(word)))


def _units(claim: str) -> set[str]:
    """Short units after digits, which are no naming words elsewhere: "7 m", "5 г", "40 %"."""
    return {unit for unit in _UNITS.findall(plain(claim).replace("percent", "%").replace("процент", "%"))
            if unit not in _NO_UNIT.split()}


def _means(hypotheses: Sequence[Hypothesis], vectors: Sequence[Sequence[float]], i: int, j: int, shared: float) -> bool:
    """Whether the embedder finds two English claims alike that share some words."""
    return bool(vectors) and shared >= SOME and all(texts.language(hypotheses[k].text) == "en" for k in (i, j)) and (
        sum(a * b for a, b in zip(vectors[i], vectors[j], strict=True)) >= NEAR)


def _swapped(one: str, other: str) -> bool:
    """Whether a claim has one word in the place of another ("red" for "blue", "Monday" for "the last day"), or another
    name: mostly another answer, however much the rest is alike. That it may be a synonym costs a join."""
    a, b = read(one), read(other)
    mine, theirs = a.stems - b.stems, b.stems - a.stems
    return not a.abstains and (min(len(mine), len(theirs)) == 1 or bool(mine & a.names and theirs & b.names))


def _across(pair: tuple[re.Pattern[str], re.Pattern[str]], one: str, other: str) -> bool:
    """Whether one claim holds one word of a pair of opposites alone, and the other claim the other alone."""
    here, there = ([side.search(claim) is not None for side in pair] for claim in (one, other))
    return sum(here) == sum(there) == 1 and here != there


@lru_cache(maxsize=1)
def _table() -> Mapping[str, Any]:
    return tomllib.loads((files("twin") / "hypotheses.toml").read_text(encoding="utf-8"))


@lru_cache(maxsize=2)
def _cues(section: str) -> Mapping[str, re.Pattern[str]]:
    return {name: any_of(cues) for name, cues in _table()[section].items() if name != "opposites"}


@lru_cache(maxsize=1)
def _opposites() -> tuple[tuple[re.Pattern[str], re.Pattern[str]], ...]:
    pairs = (pair.split() for pair in _table()["polarity"]["opposites"])
    return tuple((re.compile(cue(left)), re.compile(cue(right))) for left, right in pairs)
