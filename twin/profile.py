"""Messages -> Profile: the depth of the person's questions, and claims by facets, each with verbatim quotes.

By rules alone it needs no model; sentences a core pointed at (`Point`) raise or add claims. Knows nothing of stores,
files or models. Pasted, quoted and reported speech is no evidence, and few messages are said to prove little.
"""
from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

from twin import text as texts
from twin.cues import plain
from twin.depth import is_question, locate
from twin.errors import UsageError
from twin.facets import Facet as Facet
from twin.facets import facets as facets
from twin.facets import shown
from twin.person import Claim, Decision, DepthOf, Evidence, FreeClaim, Profile
from twin.types import Message

Key = tuple[str, str]  # conversation id, message id

FEW, SKETCH = 20, 100     # own messages: fewer than FEW is no ground for a portrait, fewer than SKETCH a sketch
MAX_QUOTES = 5
SHORTEST, LONGEST = 12, 300  # characters of a sentence that can be a quote: "Why?" shows nothing, a page is no quote
ACCEPT = 0.5              # a point below this the core itself does not believe
RULE_CAP, CORE_CAP, COMMON_CAP, ALONE_CAP = 0.8, 0.95, 0.6, 0.25


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
          decisions: Iterable[Decision] = (), language: str | None = None, read_by_core: int = 0) -> Profile:
    """Profile of the person from (conversation id, message) pairs and the sentences a core pointed at.

    `language` ('ru' or 'en') is that of most own messages when not given; `read_by_core` counts own messages a core
    has read. Points that no longer fit a sentence are left out and counted in the notes. Raises UsageError for another
    language or a probability outside 0..1.
    """
    if language not in (None, "ru", "en"):
        raise UsageError(f"There is no profile in {language!r}.", "Use 'ru' or 'en'.")
    everything = {(conversation, message.id): message for conversation, message in messages}
    own = {key: message for key, message in everything.items() if message.own}
    spoken = Counter(texts.language(message.text) for message in own.values())
    language = language or ("ru" if spoken["ru"] > spoken["en"] else "en")
    by_rule = _by_rule(own)
    by_core, lost = _by_core(own, points)
    claims = [_claim(facet, by_rule[key], by_core[key], len(own), language)
              for key, facet in facets().items() if by_rule[key] or by_core[key]]
    del free, decisions
    claims.sort(key=lambda claim: (-claim.confidence, claim.facet))
    profile = Profile(tuple(claims), tuple(_questions(own)), len(everything), len(own),
                      len({conversation for conversation, _ in everything}), read_by_core, language)
    return replace(profile, notes=tuple(_notes(profile, spoken, own, lost)))


Own = Mapping[Key, Message]
Sentences = dict[str, tuple[Evidence, float]]  # the sentence in plain form -> where it stands, weight 0..1
Found = dict[str, Sentences]  # by facet


def _by_rule(own: Own) -> Found:
    """Sentences by the facet they show. One sentence counts once, however often it was sent or copied."""
    found: Found = defaultdict(dict)
    for (conversation, _), message in own.items():
        words = message.text
        for start, end in texts.own_sentences(words):
            if SHORTEST <= end - start <= LONGEST:
                for key in shown(words[start:end]):
                    found[key].setdefault(plain(words[start:end]), (_evidence(conversation, message, start, end), 1.0))
    return found


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


def _claim(facet: Facet, rule: Sentences, core: Sentences, own: int, language: str) -> Claim:
    """Rules alone reach RULE_CAP, a core alone counts 0.8 of that, both together up to CORE_CAP; a facet that fits most
    people stays under COMMON_CAP, and one seen in a single conversation under ALONE_CAP."""
    by_rule, by_core = min(RULE_CAP, _strength(rule.values(), own)), _strength(core.values(), own)
    confidence = 1 - (1 - by_rule) * (1 - 0.6 * by_core) if rule else 0.8 * by_core
    confidence = min(confidence, CORE_CAP if core else RULE_CAP, COMMON_CAP if facet.common else 1.0)
    everything = [evidence for evidence, _ in [*core.values(), *rule.values()]]
    if len({evidence.conversation for evidence in everything}) < 2:
        confidence = min(confidence, ALONE_CAP)
    origin = "rule+core" if rule and core else "core" if core else "rule"
    return Claim(facet.id, facet.text[language], "inferred", round(confidence, 3), _quotes(core, rule), origin)


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


def _questions(own: Own) -> Iterable[DepthOf]:
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


def alone(claim: Claim) -> bool:
    """True for a claim whose quotes all come from one conversation."""
    return len({evidence.conversation for evidence in claim.evidence}) < 2


# ---- what it proves, in words --------------------------------------------------------------------------------------

_SAYS = {
    "en": {
        "none": "There is no message of your own here, so nothing is said about you.",
        "one": "One message of your own proves next to nothing: read this as a first glance, no portrait.",
        "few": "{n} own messages are too few for a portrait (fewer than {few}): every claim may be chance.",
        "sketch": "{n} own messages give a sketch (fewer than {sketch}); more will change it.",
        "talk": "All of it comes from one conversation: what belongs to you and what to that day cannot be told apart.",
        "alone": "{n} of {of} claims rest on a single conversation; their confidence is held at {cap:.2f} or below.",
        "common": "Claims marked 'fits many' would fit most people who write; they say little about you alone.",
        "unread": "No core has read these messages: the claims come from word rules, which miss what has no cue.",
        "read": "A core has read {n} of {own} own messages; the others were read by word rules only.",
        "depth": "Depth is read by rules from how a question is built; unusual wording is mostly rated too low.",
        "mixed": "{ru} messages are in Russian, {en} in English; each language has rules of its own.",
        "undated": "{n} of {own} own messages carry no date.",
        "lost": "{n} sentences a core pointed at no longer stand in your messages as they did; they were left out.",
        "noclaims": "No facet of the catalogue has a cue in your messages; that is not the same as having none.",
    },
    "ru": {
        "none": "Здесь нет ни одного твоего сообщения, поэтому о тебе ничего не сказано.",
        "one": "Одно своё сообщение почти ничего не доказывает: это первый взгляд, а не портрет.",
        "few": "Своих сообщений {n}: для портрета мало (меньше {few}), любое утверждение может быть случайностью.",
        "sketch": "Своих сообщений {n}: это набросок (меньше {sketch}), новые его изменят.",
        "talk": "Всё взято из одной беседы: что здесь твоё, а что от того дня, различить нельзя.",
        "alone": "Утверждений, которые держатся на одной беседе: {n} из {of}; их уверенность не выше {cap:.2f}.",
        "common": "Утверждения с пометкой «подходит многим» подошли бы большинству; именно о тебе они говорят мало.",
        "unread": "Модель эти сообщения не читала: утверждения выведены по словам, а слова показывают не всё.",
        "read": "Модель прочла {n} из {own} своих сообщений; остальные прочитаны только по словам.",
        "depth": "Глубина определена по правилам, по тому, как построен вопрос; непривычные слова чаще занижают её.",
        "mixed": "Сообщений по-русски: {ru}, по-английски: {en}; у каждого языка свои правила.",
        "undated": "Без даты: {n} из {own} своих сообщений.",
        "lost": "Предложений, на которые указала модель, но которых в сообщениях больше нет: {n}; они не учтены.",
        "noclaims": "Ни у одной грани из каталога нет признака в сообщениях; это не значит, что граней нет.",
    },
}


def _notes(profile: Profile, spoken: Counter[str], own: Own, lost: int) -> Iterable[str]:
    says, n = _SAYS[profile.language], profile.own_messages
    if n == 0:
        yield says["none"]
        return
    size = "one" if n == 1 else "few" if n < FEW else "sketch" if n < SKETCH else ""
    if size:
        yield says[size].format(n=n, few=FEW, sketch=SKETCH)
    if n > 1 and len({conversation for conversation, _ in own}) == 1:
        yield says["talk"]
    yield from _claim_notes(profile, says)
    yield says["read"].format(n=profile.read_by_core, own=n) if profile.read_by_core else says["unread"]
    if profile.questions:
        yield says["depth"]
    if min(spoken["ru"], spoken["en"]) >= max(1, n // 10):
        yield says["mixed"].format(ru=spoken["ru"], en=spoken["en"])
    undated = sum(message.time is None for message in own.values())
    if undated:
        yield says["undated"].format(n=undated, own=n)
    if lost:
        yield says["lost"].format(n=lost)


def _claim_notes(profile: Profile, says: Mapping[str, str]) -> Iterable[str]:
    weak = sum(alone(claim) for claim in profile.claims)
    if not profile.claims:
        yield says["noclaims"]
    if weak:
        yield says["alone"].format(n=weak, of=len(profile.claims), cap=ALONE_CAP)
    if any(facets()[claim.facet].common for claim in profile.claims):
        yield says["common"]


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
