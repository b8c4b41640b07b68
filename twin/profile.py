"""Messages -> Profile: the depth of the person's questions, and claims by facets and topics, with verbatim quotes.

By rules alone it needs no model; sentences a core pointed at (`Point`) raise or add claims. Knows nothing of stores,
files or models. Pasted, quoted and reported speech is no evidence; nothing is claimed from one conversation; what
speaks against a claim, and what shows no more often than with other people, lowers its confidence.
"""
from __future__ import annotations

import re
import tomllib
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Set
from dataclasses import dataclass, field, replace
from functools import lru_cache
from importlib.resources import files
from typing import Any

from twin import text as texts
from twin.claims import Gone, free_claims, settle
from twin.comparison import compare, ordinary, people
from twin.cues import plain
from twin.depth import is_question, locate
from twin.errors import UsageError
from twin.facets import Facet as Facet
from twin.facets import facets as facets
from twin.facets import read
from twin.own_word import own_word
from twin.person import Accepted, Claim, Decision, DepthOf, Evidence, FreeClaim, Profile
from twin.position import foreign
from twin.question import asks
from twin.stated import stated
from twin.topics import Subject, subjects
from twin.types import Message, digest

Key = tuple[str, str]  # conversation id, message id

CONFIRMED = "confirmed"   # flag of messages whose words the person confirmed from a portrait
FEW, SKETCH = 20, 100     # own messages: fewer than FEW is no ground for a portrait, fewer than SKETCH a sketch
MAX_QUOTES, MAX_COUNTER = 5, 3
SHORTEST, LONGEST = 12, 300  # characters of a sentence that can be a quote: "Why?" shows nothing, a page is no quote
ACCEPT = 0.5              # a point below this the core itself does not believe
RULE_CAP, CORE_CAP, COMMON_CAP, ORDINARY_CAP = 0.8, 0.95, 0.6, 0.3
DOMAINS, DOMAIN_TALKS = 6, 3  # claims about topics at most; conversations each must come back in


@dataclass(frozen=True)
class Point:
    """A sentence, text[start:end] of a message, in which the core saw a facet, and how sure it was (0..1)."""

    conversation: str
    message: str
    start: int
    end: int
    facet: str
    probability: float


def _evidence(conversation: str, message: Message, start: int, end: int) -> Evidence:
    return Evidence(message.text[start:end], conversation, message.id, start, end, message.time)


# ---- from messages to claims ---------------------------------------------------------------------------------------

def build(messages: Iterable[tuple[str, Message]], *, points: Iterable[Point] = (), free: Iterable[FreeClaim] = (),
          accepted: Iterable[Accepted] = (), decisions: Iterable[Decision] = (), language: str | None = None,
          read_by_core: int = 0, forgotten: Gone = lambda _: ()) -> Profile:
    """Profile of the person from (conversation id, message) pairs and the sentences a core pointed at.

    `free` are claims in a core's own words, `accepted` those from outside that the person took, `decisions` what they
    said about claims. `language` ('ru' or 'en') is that of most own messages when not given; `read_by_core` counts own
    messages a core has read; `forgotten` tells which ids of claims are. What showed in one conversation only is left
    out and counted in the notes, and so are points that no longer fit a sentence. Raises UsageError for another
    language or a probability outside 0..1.
    """
    if language not in (None, "ru", "en"):
        raise UsageError(f"There is no profile in {language!r}.", "Use 'ru' or 'en'.")
    everything = {(conversation, message.id): message for conversation, message in messages}
    own = {key: message for key, message in everything.items() if message.own}
    spoken = Counter(texts.language(message.text) for message in own.values())
    language = language or ("ru" if spoken["ru"] > spoken["en"] else "en")
    rules = by_rule(own)
    by_core, lost = _by_core(own, points)
    claims = [_claim(facet, rules, by_core[key], len(own), language)
              for key, facet in facets().items() if rules.found[key] or by_core[key]]
    alone = sum(claim.talks < 2 for claim in claims)
    about = subjects((conversation, message) for (conversation, _), message in own.items())
    claims = [*(claim for claim in claims if claim.talks > 1), *_domains(about, len(own), language),
              *stated([(conversation, message) for (conversation, _), message in own.items()], language),
              *free_claims(free, own, language), *_taken(accepted, own, language)]
    confirmed = {key for key, message in own.items() if CONFIRMED in message.flags}
    profile = Profile(tuple(_told(claim, confirmed) for claim in _ordered(settle(claims, decisions, forgotten))),
                      tuple(replace(one, evidence=_whence(one.evidence, confirmed)) for one in questions(own)),
                      len(everything), len(own), len({conversation for conversation, _ in everything}), read_by_core,
                      language, topics=tuple(one.topic for one in about), months=_months(own.values()))
    return replace(profile, notes=tuple(_notes(profile, spoken, own, alone, lost)))


def _taken(accepted: Iterable[Accepted], own: Own, language: str) -> Iterator[Claim]:
    """Claims from outside: each stands on the message in which the person took it."""
    for one in accepted:
        message = own.get((one.conversation, one.message))
        if message is None:
            continue
        at = message.text.find(one.quote) if one.quote else -1
        for start, end in [(at, at + len(one.quote))] if at >= 0 else texts.own_spans(message.text)[:1]:
            text = facets()[one.claim].text.get(language, one.text) if one.claim in facets() else one.text
            yield Claim(one.claim, text, "said", CORE_CAP, (_evidence(one.conversation, message, start, end),),
                        "person", one.kind, messages=1, talks=1, first=message.time, last=message.time)


def _ordered(claims: Iterable[Claim]) -> list[Claim]:
    """By the parts of the report, inside a part as settled; what repeats the words of another stands last of all."""
    said: set[str] = set()
    parts: dict[bool, list[Claim]] = {False: [], True: []}
    for claim in sorted(claims, key=lambda claim: claim.part):
        words = texts.one_line(claim.text)
        parts[words in said].append(claim)
        said.add(words)
    return parts[False] + parts[True]


def _months(messages: Iterable[Message]) -> dict[str, int]:
    return dict(sorted(Counter(f"{message.time:%Y-%m}" for message in messages if message.time).items()))


def _whence(evidence: Evidence, confirmed: Set[Key]) -> Evidence:
    return replace(evidence, confirmed=True) if (evidence.conversation, evidence.message) in confirmed else evidence


def _told(claim: Claim, confirmed: Set[Key]) -> Claim:
    if not confirmed:
        return claim
    return replace(claim, evidence=tuple(_whence(one, confirmed) for one in claim.evidence),
                   counter=tuple(_whence(one, confirmed) for one in claim.counter))


Own = Mapping[Key, Message]
Sentences = dict[str, tuple[Evidence, float]]  # the sentence in plain form -> where it stands, weight 0..1
Found = dict[str, Sentences]  # by facet


@dataclass
class Rules:
    """What word rules see in messages: sentences by the facet they show or speak against, and which were looked at.

    One sentence counts once, however often it was sent or copied. `asking` are those that ask.
    """

    found: Found = field(default_factory=lambda: defaultdict(dict))
    against: Found = field(default_factory=lambda: defaultdict(dict))
    sentences: set[str] = field(default_factory=set)
    asking: set[str] = field(default_factory=set)

    def rate(self, facet: Facet) -> tuple[int, int]:
        """(how many units show the facet, how many there are): sentences, or questions for a facet of asking."""
        if facet.unit == "question":
            return len(self.found[facet.id].keys() & self.asking), len(self.asking)
        return len(self.found[facet.id]), len(self.sentences)


def by_rule(own: Own) -> Rules:
    """Read own messages by the cues of the catalogue."""
    rules = Rules()
    for (conversation, _), message in own.items():
        meant: dict[tuple[int, int], bool] | None = None  # sentences that are the person's own word -> supposed
        for start, end in texts.own_sentences(message.text):
            said = message.text[start:end]
            if not SHORTEST <= end - start <= LONGEST or (key := plain(said)) in rules.sentences:
                continue
            rules.sentences.add(key)
            if asks(said):
                rules.asking.add(key)
            for facets_met, side in zip(read(said), (rules.found, rules.against), strict=True):
                if facets_met and meant is None:
                    meant = {(one.start, one.end): one.supposed for one in own_word(conversation, message)}
                for facet in facets_met:
                    if _may_show(facets()[facet], meant, (start, end)):
                        side[facet][key] = _evidence(conversation, message, start, end), 1.0
    return rules


def _may_show(facet: Facet, meant: Mapping[tuple[int, int], bool] | None, span: tuple[int, int]) -> bool:
    """Whether a sentence can show a facet: one's own word; in a supposed case only how it asks."""
    supposed = (meant or {}).get(span)
    return supposed is False or (supposed is True and facet.unit == "question")


def _by_core(own: Own, points: Iterable[Point]) -> tuple[Found, int]:
    """The same for the sentences a core pointed at, weighted by how sure it was; and how many no longer fit."""
    found: Found = defaultdict(dict)
    lost = 0
    for point in points:
        if not 0.0 <= point.probability <= 1.0:
            raise UsageError(f"A point carries probability {point.probability}.", "It must lie between 0 and 1.")
        message = own.get((point.conversation, point.message))
        words = message.text if message else ""
        if message is None or point.facet not in facets() or (point.start, point.end) not in texts.own_sentences(words):
            lost += 1
        elif point.probability >= ACCEPT:
            sentence = plain(words[point.start:point.end])
            known = found[point.facet].get(sentence)
            if known is None or known[1] < point.probability:
                evidence = _evidence(point.conversation, message, point.start, point.end)
                found[point.facet][sentence] = evidence, point.probability
    return found, lost


# ---- how sure ------------------------------------------------------------------------------------------------------

def _strength(found: Iterable[tuple[Evidence, float]], own: int) -> float:
    """1 - 2^(-e/3) of the evidence e, less where it is a rare thing.

    e = conversations + a quarter for each further message: what is said again within one talk adds little, and each
    further piece adds less than the one before. Below one own message in twenty the strength falls, at most by 0.3 of
    itself. A prior, not calibrated on people: 2 conversations .37, 3 .50, 6 .75.
    """
    weights: dict[Key, float] = {}
    for evidence, weight in found:
        key = (evidence.conversation, evidence.message)
        weights[key] = max(weight, weights.get(key, 0.0))
    best: dict[str, float] = {}
    for (conversation, _), weight in weights.items():
        best[conversation] = max(weight, best.get(conversation, 0.0))
    talks = sum(best.values())
    amount = talks + 0.25 * (sum(weights.values()) - talks)
    share = len(weights) / max(1, own)
    return (1 - 2 ** (-amount / 3)) * (0.7 + 0.3 * min(1.0, share / 0.05))


def _claim(facet: Facet, rules: Rules, core: Sentences, own: int, language: str) -> Claim:
    """Rules alone reach RULE_CAP, a core alone counts 0.8 of that, both together up to CORE_CAP. Then the share of what
    speaks for it among all that speaks for or against it counts. A facet that fits most people stays under COMMON_CAP,
    one that rules do not see clearly more often than with half of the reference people under ORDINARY_CAP."""
    rule, against = rules.found[facet.id], rules.against[facet.id]
    by_rule, by_core = min(RULE_CAP, _strength(rule.values(), own)), _strength(core.values(), own)
    confidence = 1 - (1 - by_rule) * (1 - 0.6 * by_core) if rule else 0.8 * by_core
    confidence = min(confidence, CORE_CAP if core else RULE_CAP)
    everything = {**rule, **core}
    counter = {sentence: found for sentence, found in against.items() if sentence not in everything}
    confidence *= len(everything) / (len(everything) + len(counter))
    beside = compare(facet.id, *rules.rate(facet), language) if rule and facet.compared else None
    confidence = min(confidence, COMMON_CAP if facet.common else 1.0, ORDINARY_CAP if ordinary(beside) else 1.0)
    origin = "rule+core" if rule and core else "core" if core else "rule"
    return Claim(facet.id, facet.text[language], "inferred", round(confidence, 3), _quotes(core, rule), origin,
                 facet.kind, _quotes({}, counter)[:MAX_COUNTER], comparison=beside,
                 **_shown([evidence for evidence, _ in everything.values()]))


def _domains(about: Iterable[Subject], own: int, language: str) -> list[Claim]:
    """Topics that come back in DOMAIN_TALKS conversations or more, as claims; their ids say no word."""
    claims = []
    for one in about:
        sentences: Sentences = {plain(evidence.quote): (evidence, 1.0) for evidence in one.evidence}
        counts = _shown([evidence for evidence, _ in sentences.values()])
        if counts["talks"] >= DOMAIN_TALKS:
            confidence = min(RULE_CAP, _strength(sentences.values(), own))
            claims.append(Claim(f"domain.{digest(one.key)[:12]}", _says(language)["domain"].format(name=one.topic.name),
                                "inferred", round(confidence, 3), _quotes({}, sentences), kind="domain", **counts))
    return claims[:DOMAINS]


def _shown(evidence: Iterable[Evidence]) -> dict[str, Any]:
    """In how many messages and conversations all of this stands, and when: fields of a Claim."""
    where = {(one.conversation, one.message): one.time for one in evidence}
    times = sorted((time for time in where.values() if time), key=lambda time: time.timestamp())
    return {"messages": len(where), "talks": len({conversation for conversation, _ in where}),
            "first": times[0] if times else None, "last": times[-1] if times else None,
            "months": dict(sorted(Counter(f"{time:%Y-%m}" for time in times).items()))}


def _quotes(core: Sentences, rule: Sentences) -> tuple[Evidence, ...]:
    """At most five: one from each conversation first; those a core agreed on before others, then the shortest clear."""
    pool = {sentence: evidence for sentence, (evidence, _) in [*rule.items(), *core.items()]}
    order = sorted(pool, key=lambda s: (s not in core, len(s) < 25, len(s), s))
    turn: Counter[str] = Counter()
    ranked: list[tuple[int, int, Evidence]] = []
    for place, sentence in enumerate(order):
        evidence = pool[sentence]
        ranked.append((turn[evidence.conversation], place, evidence))
        turn[evidence.conversation] += 1
    return tuple(evidence for _, _, evidence in sorted(ranked, key=lambda one: one[:2])[:MAX_QUOTES])


def questions(own: Own) -> Iterable[DepthOf]:
    """One DepthOf for each own message that asks: its deepest question; further ones count in signal Q.

    Standing instructions ask nothing of themselves; the same words sent again in one conversation count once.
    """
    seen: set[tuple[str, str]] = set()
    for (conversation, _), message in own.items():
        words = message.text
        if "custom_instructions" in message.flags or (conversation, words) in seen or not is_question(words):
            continue
        seen.add((conversation, words))
        depth, start, end = locate(words)
        yield DepthOf(_evidence(conversation, message, start, end), depth)


# ---- what it proves, in words --------------------------------------------------------------------------------------

@lru_cache(maxsize=1)
def _texts() -> Mapping[str, Mapping[str, Any]]:
    return tomllib.loads((files("twin") / "notes.toml").read_text(encoding="utf-8"))


def _says(language: str) -> Mapping[str, str]:
    return _texts()[language]


def _notes(profile: Profile, spoken: Counter[str], own: Own, alone: int, lost: int) -> Iterable[str]:
    says, n = _says(profile.language), profile.own_messages
    if n == 0:
        yield says["none"]
        return
    size = "one" if n == 1 else "few" if n < FEW else "sketch" if n < SKETCH else ""
    if size:
        yield says[size].format(n=n, few=FEW, sketch=SKETCH)
    if n > 1 and len({conversation for conversation, _ in own}) == 1:
        yield says["talk"]
    if alone:
        yield says["alone"].format(n=alone)
    yield from _claim_notes(profile, says)
    yield says["read"].format(n=profile.read_by_core, own=n) if profile.read_by_core else says["unread"]
    if profile.questions:
        yield says["depth"]
    if min(spoken["ru"], spoken["en"]) >= max(1, n // 10):
        yield says["mixed"].format(ru=spoken["ru"], en=spoken["en"])
    yield from _origin_notes(profile, own, says)
    undated = sum(message.time is None for message in own.values())
    if undated:
        yield says["undated"].format(n=undated, own=n)
    if lost:
        yield says["lost"].format(n=lost)


def _origin_notes(profile: Profile, own: Own, says: Mapping[str, str]) -> Iterable[str]:
    """Words that were confirmed, and words in a language that no rule reads."""
    asked = sum(one.evidence.confirmed for one in profile.questions)
    claims = sum(claim.confirmed > 0 for claim in profile.claims)
    if asked or claims:
        yield says["confirmed"].format(questions=asked, claims=claims)
    unread = sum(foreign(message.text) for message in own.values())
    if unread:
        yield says["foreign"].format(n=unread, own=len(own))


def _claim_notes(profile: Profile, says: Mapping[str, str]) -> Iterable[str]:
    inferred = [facets()[claim.facet] for claim in profile.claims if claim.facet in facets()]
    if not inferred:
        yield says["noclaims"]
    if any(facet.common for facet in inferred):
        yield says["common"]
    if any(claim.comparison for claim in profile.claims):
        kinds = Counter(one.kind for one in people(profile.language))
        who = ", ".join(_texts()["who"][profile.language][kind].format(n=n) for kind, n in kinds.items())
        yield says["compared"].format(n=kinds.total(), who=who)
    for key, count in (("ordinary", sum(ordinary(claim.comparison) for claim in profile.claims)),
                       ("counter", sum(bool(claim.counter) for claim in profile.claims))):
        if count:
            yield says[key].format(n=count, cap=ORDINARY_CAP)


# ---- what a core should read ---------------------------------------------------------------------------------------

_DECIDES = re.compile(r"\b(?:i (?:decided|chose|choose|want|think|prefer)|i'll|let's|we should|because|решил\w*|"
                      r"выбра\w+|выбираю|остановл\w+|давай\w*|надо|хочу|думаю|считаю|предпочитаю|потому что)\b")
_SELF = re.compile(r"\b(?:i|me|my|mine|myself|я|мне|меня|мной|мой|моя|мое|мои|моего|моей|моих|себя|себе)\b")


def candidates(messages: Iterable[tuple[str, Message]], limit: int) -> list[tuple[str, Message]]:
    """Up to `limit` own messages, those that can show most first: questions, decisions, self-reference, length.

    Each further message of one conversation counts a little less, so that the budget spreads. Equal texts are read
    once. Raises UsageError for a negative limit.
    """
    if limit < 0:
        raise UsageError(f"{limit} messages cannot be read.", "Give a number from 0.")
    scored: dict[str, tuple[float, int, str, Message]] = {}
    for place, (conversation, message) in enumerate(messages):
        words = message.text if message.own else ""
        scope = plain(" ".join(words[a:b] for a, b in texts.own_sentences(words)))
        if len(scope) >= SHORTEST and scope not in scored:
            score = (2.0 * is_question(words) + bool(_DECIDES.search(scope)) + bool(_SELF.search(scope))
                     + min(len(scope), 400) / 400)
            scored[scope] = score, place, conversation, message
    turn: Counter[str] = Counter()
    ranked: list[tuple[float, int, str, Message]] = []
    for score, place, conversation, message in sorted(scored.values(), key=lambda one: (-one[0], one[1])):
        ranked.append((0.25 * turn[conversation] - score, place, conversation, message))
        turn[conversation] += 1
    return [(conversation, message) for _, _, conversation, message in sorted(ranked, key=lambda one: one[:2])[:limit]]
