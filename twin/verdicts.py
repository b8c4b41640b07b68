"""Is what a portrait says of the person borne out by the person's own words? Supported, contradicted, or no evidence.

"No evidence" is the honest default. By rules: the words themselves stand in an own message; the person stated the
fact or preference, or its denial; the sentence says of the person, in words the rules know to the last one, that they
have the habit of a facet with quotes, or lack it; an own first-person sentence says the same, or its opposite. A core
finds more: it judges pairs of sentence and nearest own words after solved examples, above a bar it earns on others (the
pattern of reader.py). Praise is supported by nothing. Knows sentences, not portraits.
"""
from __future__ import annotations

import re
import tomllib
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, MutableMapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property, lru_cache
from importlib.resources import files
from typing import Any, Literal

import numpy as np

from twin import text as texts
from twin.comparison import ordinary
from twin.cues import cue, plain
from twin.facets import facets
from twin.person import Claim, Evidence, Profile
from twin.phrases import content
from twin.position import split, table
from twin.profile import ORDINARY_CAP, Rules, by_rule
from twin.prompt import plain as prompted
from twin.question import asks
from twin.russian import forms
from twin.stated import Statement, statement_of
from twin.types import Embedder, Engine, Message

Kind = Literal["supported", "contradicted", "no evidence"]
NONE: Kind = "no evidence"
QUOTES = 3         # shown for one verdict
CONFIRMED = "confirmed"  # flag of messages the person confirmed as their words
STRONG = 0.5       # confidence of a facet from which a sentence that denies it is contradicted
OFTEN = 0.2        # share of own sentences (or questions) from which "always" is borne out and "rarely" contradicted
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


def _any(*names: str) -> str:
    return "|".join(cues(name).pattern for name in names)


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
        self._language = "ru" if language == "ru" else "en"
        self._says: Mapping[str, str] = lists()["reasons"][self._language]
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
            self._vectors = np.asarray(embedder.embed([one.quote for one in self._sentences[-EMBEDDED:]]), float)

    # ---- sentences -----------------------------------------------------------------------------------------------

    def sentence(self, said: str) -> Judged:
        """A sentence of the portrait."""
        scope = plain(said)
        if cues("offer").search(scope):
            return self._no("offer")
        shown = self._facet(scope)
        sure = shown if shown and shown.verdict != NONE else None
        found = self._stated(said) or sure or self._words(said) or shown
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
        return Judged("contradicted", (evidence,), self._says["denied"]) if denied else self._found(evidence)

    def level(self, level: int, says: str, words: str) -> Judged:
        """A table row with a typical question that says of asking at a level 'yes', 'no', 'was', 'outgrown' or ''."""
        asked = [q.evidence for q in self.profile.questions if q.depth.step == level]
        own = self.find(words)
        if says in ("was", "outgrown"):
            return self._past(level, says)
        if own and says != "no":
            return self._found(own)
        if len(asked) >= HABIT and says:
            kind: Kind = "contradicted" if says == "no" else "supported"
            reason = self._says["unlevel" if says == "no" else "level"].format(level=level, n=len(asked))
            return Judged(kind, tuple(asked[:QUOTES]), reason)
        return Judged(NONE, (), self._says["nolevel"].format(level=level, n=len(asked)))

    def _past(self, level: int, says: str) -> Judged:
        """A level said to be left behind, against the profile's own table: that tells earlier from now."""
        before, recent = split(self.profile)
        here, there = ([q.evidence for q in some if q.depth.step == level] for some in (recent, before))
        status = next((row.status for row in table(self.profile) if row.level == level), "no")
        reason = self._says["past" if before else "undated"].format(level=level, n=len(there), recent=len(here))
        if status == "outgrown" or (status == says == "was" and len(there) >= HABIT):
            return Judged("supported", tuple(there[:QUOTES]), reason)
        if before and status in ("yes", "now", "edge") and len(here) >= HABIT:
            return Judged("contradicted", tuple(here[:QUOTES]), reason)
        return Judged(NONE, (), reason)

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
        where = own.conversation, own.message
        flags = next((message.flags for talk, message in self.messages if (talk, message.id) == where), ())
        return Judged("supported", (own,), self._says["confirmed" if CONFIRMED in flags else "found"])

    def _no(self, reason: str) -> Judged:
        return Judged(NONE, (), self._says[reason])

    # ---- rules ---------------------------------------------------------------------------------------------------

    def _facet(self, scope: str) -> Judged | None:
        """What the first facet that supports or contradicts says, else why the first one named does neither; None where
        the sentence ascribes no habit to the person in words the rules know."""
        found: list[Judged] = []
        for facet, pattern in _described().items():
            hit, claim = pattern.search(scope), self.profile.claim(facet)
            if hit and claim and len(claim.evidence) >= HABIT and (habit := _habit(scope, hit)):
                found.append(self._shows(claim, habit))
        return next((one for one in found if one.verdict != NONE), found[0] if found else None)

    def _shows(self, claim: Claim, habit: str) -> Judged:
        """Supported needs a facet that tells the person from others, contradicted a STRONG one, neither with more
        against it than for it; "always" and "rarely" are about how often."""
        denied, facet = habit in ("not", "rarely"), facets()[claim.facet]
        what = facet.text[self._language]
        capped = claim.confidence <= ORDINARY_CAP or (ordinary(claim.comparison) and claim.authority != "approved")
        if habit in ("always", "rarely"):
            n, of = self._rules.rate(facet)
            if n < OFTEN * max(1, of):
                return Judged(NONE, (), self._says["rate"].format(what=what, n=n, of=of, unit=self._says[facet.unit]))
        if capped or (denied and claim.confidence < STRONG) or len(claim.counter) > len(claim.evidence):
            return Judged(NONE, (), self._says["weak"].format(what=what))
        kind: Kind = "contradicted" if denied else "supported"
        return Judged(kind, claim.evidence[:QUOTES], self._says["counter" if denied else "facet"].format(what=what))

    @cached_property
    def _rules(self) -> Rules:
        return by_rule({(conversation, message.id): message for conversation, message in self.messages})

    def _stated(self, said: str) -> Judged | None:
        """A fact or preference the person stated: the same supports, its denial contradicts. What they said both ways
        decides nothing."""
        one = _second_person(said, self._sentences[0]) if self._sentences else None
        for claim in self.profile.claims:
            own = statement_of(claim) if one else None
            if one is None or own is None or not _comparable(one, own) or (
                    claim.authority == "inferred" or claim.conflicts or claim.decided == "edit"):
                continue
            if one.affirmed != own.affirmed:
                return Judged("contradicted", claim.evidence[:QUOTES], self._says["opposite"])
            if not _JOINED.search(plain(said)) or set(content(said)) <= set(content(claim.evidence[0].quote)):
                return Judged("supported", claim.evidence[:QUOTES], self._says["words"])
        return None

    def _words(self, said: str) -> Judged | None:
        """An own first-person statement with the same naming words and numbers: the same, or its opposite. What was
        taken back or said both ways does not count, nor what the portrait makes more or less frequent."""
        mine, numbers = _keys(said), set(re.findall(r"\d+", said))
        if len(mine) < 2 or not _addressed().search(plain(said)) or cues("self").search(plain(said)):
            return None
        void = {one for claim in self.profile.claims if claim.kind in ("fact", "preference")
                for one in (*claim.counter, *(claim.evidence if claim.conflicts else ()))}
        for own in self._near(said):
            theirs = _keys(own.quote)
            shared = len(mine & theirs)
            close = shared >= 2 and shared >= COVER * len(mine) and shared >= COVER * len(theirs)
            if not close or asks(own.quote) or not _first_person(own.quote) or own in void or (
                    set(re.findall(r"\d+", own.quote)) != numbers or _frequency(said) != _frequency(own.quote)):
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
            near = [int(place) - len(likeness) for place in np.argsort(-likeness)[:JUDGED]] + near
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
        kind: Kind = "supported" if best[1] == "supports" else "contradicted"
        return Judged(kind, (best[2],), self._says[f"core_{kind}"].format(p=best[0]))

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
_JOINED = re.compile(r"[,;:()]| - | (?:and|but|because|as|и|но|а|потому) ")
_BEGINS = r"(?:^|[,;:.!?] | - |(?<= )(?:and|but|и|а|но) )"
_HABITUAL = {"always", "habit", "health"}  # slots of what one does: "you never eat meat", "I don't eat meat"


@lru_cache(maxsize=1)
def _addressed() -> re.Pattern[str]:
    """The person as the subject of a clause: "you ..", not "your teacher .."."""
    return re.compile(f"{_BEGINS}(?:(?:{_any('lead', 'often')}),? )*(?:{_any('subject')})")


@lru_cache(maxsize=1)
def _ascribes() -> re.Pattern[str]:
    """... and from there to the end nothing but words that are known to leave the habit theirs, or to deny it."""
    step = _any("does", "often", "seldom", "denial", "concord")
    return re.compile(f"(?P<said>{_addressed().pattern}(?:[ ,]+(?:{step}))*)[ ,]*$")


def _habit(scope: str, hit: re.Match[str]) -> str:
    """What a sentence says of the habit named by the hit: the person 'does' it, 'always', 'rarely' or does 'not'; ''
    where the subject may be another, where a condition limits it, or where any word on the way is unknown."""
    before, after = (" ".join(cues("both").sub(" ", part).split()) for part in (_up_to(scope, hit), scope[hit.end():]))
    if cues("limits").search(f"{before} | {after}") or cues("seldom").search(after):
        return ""
    if cues("instead").search(before) and re.search(rf"(?:^|[,;] )(?:{_any('instead')})$", before):
        return "not" if _addressed().search(after.lstrip(" ,")) else ""
    ascribed = _ascribes().search(before[-160:])
    if ascribed is None:
        return ""
    after = _CLAUSE.split(after)[0]
    said = ascribed["said"] + ("" if cues("negation").match(hit.group()) else f" {hit.group()}")
    often = cues("often").search(f"{said} | {after}") is not None
    denials = len(cues("denial").findall(cues("concord").sub(" ", said))) or len(cues("concord").findall(said))
    if denials or cues("seldom").search(said):
        kind = "rarely" if cues("seldom").search(said) else "not"
        return "" if often or denials > 1 else kind  # "not always", "do not avoid"
    return "" if cues("negation").search(after) else "always" if often else "does"


def _frequency(said: str) -> tuple[bool, ...]:
    return tuple(cues(name).search(plain(said)) is not None for name in ("often", "seldom", "limits"))


def _second_person(said: str, own: Evidence) -> Statement | None:
    """The one statement a sentence makes of the person it addresses, read as a core's claims are."""
    scope = " ".join(cues("both").sub(" ", plain(said)).split())
    if not cues("speaker").search(scope) or asks(said) or any(cues(one).search(scope) for one in ("self", "limits")):
        return None
    you: Mapping[str, str] = lists()["second"]
    scope = re.sub(rf"\b(?:{'|'.join(you)})\b", lambda found: you[found.group()], scope)
    return statement_of(Claim("free.portrait", scope, "said", 1.0, (own,), kind="fact"))


def _comparable(said: Statement, own: Statement) -> bool:
    """Whether own says the same or its denial: the narrower entails the wider (but for how often, and since when);
    denied, the wider the narrower."""
    slots = {said.slot, own.slot}
    if len(slots) > 1 and (not slots <= _HABITUAL or (said.slot == "always" and said.affirmed and own.affirmed)):
        return False
    when, since = (set(texts.stems(lists()["when"][name])) for name in ("words", "since"))
    mine, theirs = set(said.value), set(own.value)
    if theirs & since and not any(map(str.isdecimal, mine)):  # "I don't eat meat since 2009"
        theirs = {one for one in theirs - since if not one.isdecimal()}
    wide, narrow = (mine, theirs) if own.affirmed else (theirs, mine)
    return wide <= narrow and narrow - wide <= when


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
