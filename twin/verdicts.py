"""Is what a portrait says of the person borne out by the person's own words? Supported, contradicted, or no evidence.

"No evidence" is the honest default. By rules: the words themselves stand in an own message; a facet the sentence names
has a claim with quotes; an own first-person sentence says the same, or the same with the negation turned. With a core
more can be found: it judges pairs of sentence and nearest own words after solved examples, above a bar it earns on
others (the pattern of reader.py). Praise is supported by nothing. Knows sentences, not portraits.
"""
from __future__ import annotations

import re
import tomllib
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, MutableMapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from importlib.resources import files
from typing import Any, Literal

import numpy as np

from twin import text as texts
from twin.cues import cue, plain
from twin.facets import facets
from twin.person import Evidence, Profile
from twin.phrases import content
from twin.prompt import plain as prompted
from twin.question import asks
from twin.russian import forms
from twin.types import Embedder, Engine, Message

Kind = Literal["supported", "contradicted", "no evidence"]
NONE: Kind = "no evidence"
QUOTES = 3         # shown for one verdict
CONFIRMED = "confirmed"  # flag of messages the person confirmed as their words
HABIT = 2          # own questions at a level, or quotes of a facet, before "you ask so" is borne out
NEAREST = 20       # own sentences looked at for one sentence of the portrait
COVER = 0.75       # share of the naming words two sentences must share, both ways, to say the same
EMBEDDED = 2000    # latest own sentences that are embedded: a bound on time
JUDGED = 2         # nearest own sentences a core judges
GAP, OFF = 0.1, 2.0  # as in reader.py: least distance of Yes to right and wrong examples; a bar nothing reaches


@dataclass(frozen=True, repr=False)
class Judged:
    """A verdict on one sentence, the quotes it rests on, and the reason in words."""

    verdict: Kind
    quotes: tuple[Evidence, ...]
    reason: str

    def __repr__(self) -> str:
        return f"Judged({self.verdict}, {len(self.quotes)} quotes)"


@lru_cache(maxsize=1)
def lists() -> Mapping[str, Any]:
    """portrait.toml as it is."""
    return tomllib.loads((files("twin") / "portrait.toml").read_text(encoding="utf-8"))


@lru_cache(maxsize=64)
def cues(name: str) -> re.Pattern[str]:
    """A cue list of portrait.toml as one pattern over plain text."""
    return re.compile("|".join(map(cue, lists()["cues"][name])))


@lru_cache(maxsize=1)
def _described() -> Mapping[str, re.Pattern[str]]:
    return {facet: re.compile("|".join(map(cue, said))) for facet, said in lists()["describes"].items()
            if facet in facets()}


class Judge:
    """Judges sentences about one person. `bars` keeps what a core earned, for the next portrait."""

    def __init__(self, own: Iterable[tuple[str, Message]], profile: Profile, language: str, *,
                 engine: Engine | None = None, embedder: Embedder | None = None,
                 bars: MutableMapping[str, float] | None = None) -> None:
        self.messages = [(conversation, message) for conversation, message in own if message.own]
        self.profile = profile
        self.engine = engine
        self._says: Mapping[str, str] = lists()["reasons"]["ru" if language == "ru" else "en"]
        self._language = "ru" if language == "ru" else "en"
        self._bars = {} if bars is None else bars
        self._sentences = [Evidence(message.text[a:b], conversation, message.id, a, b, message.time)
                           for conversation, message in self.messages for a, b in texts.own_sentences(message.text)]
        self._by_stem: dict[str, list[int]] = defaultdict(list)
        for place, one in enumerate(self._sentences):
            for stem in set(content(one.quote)):
                self._by_stem[stem].append(place)
        self._embedder = embedder
        self._vectors = None
        if embedder and self._sentences:
            recent = [one.quote for one in self._sentences[-EMBEDDED:]]
            self._vectors = np.asarray(embedder.embed(recent), float)

    # ---- sentences -----------------------------------------------------------------------------------------------

    def sentence(self, said: str) -> Judged:
        """A sentence of the portrait."""
        scope = plain(said)
        if cues("offer").search(scope):
            return self._no("offer")
        found = self._facet(scope) or self._words(said)
        if cues("praise").search(scope):
            if found and found.verdict == "supported":
                what = found.reason.partition(": ")[2] or found.quotes[0].quote
                return replace(found, verdict=NONE, reason=self._says["partly"].format(what=what.rstrip(".")))
            return found or self._no("praise")
        return found or self._core(said) or self._no("lead" if said.endswith(":") else "none")

    def quotation(self, words: str, *, denied: bool = False) -> Judged:
        """Words the portrait says the person used, or (`denied`) does not use."""
        evidence = self.find(words)
        if evidence is None:
            return self._no("none" if denied else "mouth")
        if denied:
            return Judged("contradicted", (evidence,), self._says["denied"])
        return self._found(evidence)

    def level(self, level: int, mark: str, words: str) -> Judged:
        """A table row that says whether the person asks at a level, with a typical question."""
        asked = [q.evidence for q in self.profile.questions if q.depth.step == level]
        quotes = tuple(asked[:QUOTES])
        no = cues("no").search(plain(mark)) is not None
        yes = cues("yes").search(plain(mark)) is not None and not no
        own = self.find(words)
        if own and not no:
            return self._found(own)
        if len(asked) >= HABIT and (yes or no):
            kind: Kind = "contradicted" if no else "supported"
            return Judged(kind, quotes, self._says["unlevel" if no else "level"].format(level=level, n=len(asked)))
        return Judged(NONE, (), self._says["nolevel"].format(level=level, n=len(asked)))

    def find(self, words: str) -> Evidence | None:
        """Where these words stand in the person's own messages, whatever marks are between them."""
        said = re.findall(r"\w+", words.replace("ё", "е").replace("Ё", "Е"))
        if len(said) < 2:
            return None
        pattern = re.compile(r"\W{1,6}".join(re.sub("[еЕ]", "[еёЕЁ]", re.escape(one)) for one in said) + r"\b[?!.…]*",
                             re.IGNORECASE)
        for conversation, message in self.messages:
            for left, right in texts.own_spans(message.text) if pattern.search(message.text) else ():
                hit = pattern.search(message.text, left, right)
                if hit:
                    return Evidence(hit.group(), conversation, message.id, hit.start(), hit.end(), message.time)
        return None

    def _found(self, own: Evidence) -> Judged:
        """The words stand in an own message: written by the person, or confirmed as theirs from a portrait."""
        flags = next((message.flags for conversation, message in self.messages
                      if (conversation, message.id) == (own.conversation, own.message)), ())
        return Judged("supported", (own,), self._says["confirmed" if CONFIRMED in flags else "found"])

    def _no(self, reason: str) -> Judged:
        return Judged(NONE, (), self._says[reason])

    # ---- rules ---------------------------------------------------------------------------------------------------

    def _facet(self, scope: str) -> Judged | None:
        """A facet the sentence names, with enough quotes; contradicted where it is denied, or where more quotes speak
        against the facet than for it."""
        if not cues("speaker").search(scope):
            return None
        for facet, pattern in _described().items():
            hit, claim = pattern.search(scope), self.profile.claim(facet)
            if hit is None or claim is None or len(claim.evidence) < HABIT:
                continue
            against = denies(_up_to(scope, hit)) is not None
            text = facets()[facet].text[self._language]
            if against:
                return Judged("contradicted", claim.evidence[:QUOTES], self._says["counter"].format(what=text))
            if len(claim.counter) <= len(claim.evidence):
                return Judged("supported", claim.evidence[:QUOTES], self._says["facet"].format(what=text))
        return None

    def _words(self, said: str) -> Judged | None:
        """An own first-person statement with the same naming words and numbers: the same, or its opposite."""
        mine, numbers = _keys(said), set(re.findall(r"\d+", said))
        if len(mine) < 2 or not cues("speaker").search(plain(said)):
            return None
        for own in self._near(said):
            theirs = _keys(own.quote)
            shared = len(mine & theirs)
            close = shared >= 2 and shared >= COVER * len(mine) and shared >= COVER * len(theirs)
            if not close or asks(own.quote) or not _first_person(own.quote):
                continue
            if set(re.findall(r"\d+", own.quote)) != numbers:
                continue
            same = _negative(said) == _negative(own.quote)
            return Judged("supported" if same else "contradicted", (own,), self._says["words" if same else "opposite"])
        return None

    def _near(self, said: str) -> list[Evidence]:
        """Own sentences that share most words with this one; with an embedder also the nearest in meaning."""
        shared = Counter(place for stem in set(content(said)) for place in self._by_stem.get(stem, ()))
        near = [place for place, _ in shared.most_common(NEAREST)]
        if self._embedder and self._vectors is not None:
            likeness = self._vectors @ np.asarray(self._embedder.embed([said])[0], float)
            first = len(self._sentences) - len(self._vectors)
            near = [first + int(place) for place in np.argsort(-likeness)[:JUDGED]] + near
        return [self._sentences[place] for place in dict.fromkeys(near)]

    # ---- a core --------------------------------------------------------------------------------------------------

    def _core(self, said: str) -> Judged | None:
        """What a core finds in the nearest own words; it is asked only about sentences that speak of the person."""
        if self.engine is None or not cues("speaker").search(plain(said)):
            return None
        best: tuple[float, str, Evidence] | None = None
        for own in self._near(said)[:JUDGED]:
            for relation in ("supports", "contradicts"):
                bar = self._bar(self.engine, relation)
                p = _yes(self.engine, relation, said, own.quote, self._language) if bar < OFF else 0.0
                if bar <= p and (best is None or p > best[0]):
                    best = p, relation, own
        if best is None:
            return None
        p, relation, own = best
        kind: Kind = "supported" if relation == "supports" else "contradicted"
        return Judged(kind, (own,), self._says[f"core_{kind}"].format(p=p))

    def _bar(self, engine: Engine, relation: str) -> float:
        """Least probability of Yes that counts, earned on the shipped examples of this language; OFF if the core
        cannot tell them apart."""
        key = f"portrait.{relation}.{self._language}"
        if key not in self._bars:
            odds: dict[str, list[float]] = {"Yes": [], "No": []}
            for claim, own, right in lists()["judged"][relation][self._language]:
                odds[right].append(_yes(engine, relation, claim, own, self._language))
            high, low = (sum(odds[name]) / len(odds[name]) for name in ("Yes", "No"))
            self._bars[key] = (high + low) / 2 if high - low >= GAP else OFF
        return self._bars[key]


def _yes(engine: Engine, relation: str, said: str, own: str, language: str) -> float:
    """Probability of Yes. The solved examples are those of the other language: the bar is measured on this one's."""
    asked = {"supports": "show that the statement is true", "contradicts": "show that the statement is false"}[relation]
    shots = [("system", f"Do the person's own words {asked}? Answer Yes or No.")]
    for claim, words, right in lists()["judged"][relation]["en" if language == "ru" else "ru"]:
        shots += [("user", _pair(claim, words)), ("assistant", right)]
    return engine.choose(prompted(engine.family, [*shots, ("user", _pair(said, own))]), ["Yes", "No"])[0]


def _pair(said: str, own: str) -> str:
    return f"Statement about the person: {said}\nThe person's own words: {' '.join(own.split())}"


# ---- words -------------------------------------------------------------------------------------------------------

_ASKED = r"(?:что|почему|зачем|как|чтобы|кто|где|why|how|what|whether|that|who|where)\b"
_CLAUSE = re.compile(r"[,;:.!?]| - | но | а | but ")


def _up_to(scope: str, hit: re.Match[str]) -> str:
    """What leads to the hit in its sentence; the comma in "ты не спрашиваешь, почему" ends no clause."""
    before = scope[:hit.start()].rstrip()
    return before.rstrip(",") if re.match(_ASKED, hit.group()) else before


def denies(scope: str) -> re.Match[str] | None:
    """A negation in the last clause of plain text, unless it is 'not only' or the like."""
    clause = _CLAUSE.split(scope.rstrip(" :-"))[-1]
    return cues("negation").search(cues("both").sub(" ", clause))


def _negative(said: str) -> bool:
    return cues("negation").search(cues("both").sub(" ", plain(said))) is not None


def _keys(said: str) -> frozenset[str]:
    """Naming words in their dictionary form: "любишь" and "люблю" are one."""
    words = [word for word in texts.words(said) if not cues("empty").fullmatch(word)]
    lemmas: Sequence[str] = [forms(word)[0].normal.replace("ё", "е") if re.search("[а-я]", word) else word
                             for word in words if content(word)]
    return frozenset(texts.stem(word) for word in lemmas)


def _first_person(own: str) -> bool:
    """The person speaks of themselves: a pronoun, or a Russian verb in the first person."""
    return cues("self").search(plain(own)) is not None or any(
        "1per" in forms(word)[0].tags for word in texts.words(own) if re.search("[а-я]", word))
