"""Flat and deep ways to ask: a question made flat, pairs of both, and a flat question asked the person's own way.

By rules alone: the frames of lift.toml that stand for the person's ways to ask, filled with what the question names,
each result rated by twin.depth and dropped when it is no deeper. They are frames, not new thoughts: questions that name
things the person never asked about all get the same ones. A core writes freer ones, under the same checks. What rules
cannot see (whether the made question is worth asking) is left to the person: a lifted question is a proposal, never
evidence.
"""
from __future__ import annotations

import json
import re
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from importlib.resources import files
from typing import Literal

from twin import text
from twin.cues import plain
from twin.depth import RULES, rate
from twin.errors import UsageError
from twin.facets import facets
from twin.person import Claim, Depth, DepthOf, Evidence, Profile
from twin.phrases import Thing, actions, content, infinitive, things
from twin.prompt import plain as prompted
from twin.question import is_question
from twin.russian import forms
from twin.types import Engine, Sampling

FLAT = 2   # a flat question is no deeper than this step of the ladder
DEEP = 3   # from here on a question has a frame that a flat one lacks
MOST = 3   # lifted questions by rule
SHOTS = 4  # pairs a core is shown


@dataclass(frozen=True, repr=False)
class Contrast:
    """The question nobody in particular would ask, and the one the person asked."""

    flat: str
    own: Evidence

    def __repr__(self) -> str:
        return f"Contrast({self.own!r})"


@dataclass(frozen=True, repr=False)
class Lift:
    """A flat question asked the person's way. `lifted`, `depth_after` and, by rule, `because` go together: `because`
    names the own question each one follows; from a core, those it was shown as examples."""

    flat: str
    lifted: tuple[str, ...]
    depth_before: Depth
    depth_after: tuple[Depth, ...]
    because: tuple[Evidence, ...]
    origin: Literal["rule", "core"] = "rule"

    def __repr__(self) -> str:
        return f"Lift({self.depth_before.step} -> {[depth.step for depth in self.depth_after]}, {self.origin})"


# ---- making a question flat --------------------------------------------------------------------------------------

def flatten(question: str, language: str) -> str:
    """A flat paraphrase: what the question does, or names, asked at level 1 or 2; '' where nothing sure can be made.

    `language` is 'ru' or 'en'. Always shares a word with the question; the actions come first ("How do I run the
    core?"), then the things ("What is the core?").
    """
    for flat in _flat(question, language):
        flat = flat[:1].upper() + flat[1:]
        if set(content(flat)) & set(content(question)) and rate(flat).step <= FLAT:
            return flat
    return ""


_SOMEONE = {"masc": "Кто такой", "femn": "Кто такая", "plur": "Кто такие"}


def _flat(question: str, language: str) -> Iterator[str]:
    for action, _ in actions(question, language):
        yield f"Как {action}?" if language == "ru" else f"How do I {action}?"
    for thing in things(question, language):
        if language != "ru":
            yield f"What {'are' if thing.plural else 'is'} {thing.text}?"
        elif named := thing.cased("nomn"):
            yield f"{_SOMEONE.get(thing.person, 'Что такое')} {named}?"


def contrast(profile: Profile, claim: Claim) -> Contrast | None:
    """The deepest question among the claim's quotes beside its flat paraphrase, None where there is no such pair: the
    claim is of no facet of asking, no quote asks, or none is deeper than a flat one that is about the same.

    What the person asks too is no contrast; of a message with several questions the profile knows the deepest, so that
    one beside it can be missed. The profile's rating of a question goes before a new one.
    """
    facet = facets().get(claim.facet)
    if facet is None or facet.unit != "question":
        return None
    known = {(q.evidence.conversation, q.evidence.message, q.evidence.start): q.depth for q in profile.questions}
    asked = [(known.get((one.conversation, one.message, one.start)) or rate(one.quote), one)
             for one in claim.evidence if is_question(one.quote)]
    for depth, own in sorted(asked, key=lambda pair: -pair[0].level):
        flat = flatten(own.quote, _language(own.quote))
        if flat and _about_it(flat, own.quote) and rate(flat).level < depth.level and not _asked_too(flat, profile):
            return Contrast(flat, own)
    return None


_ACTION = re.compile(r"(?:How do I|Как (?P<verb>[а-яё-]+))\b")
_WHO = re.compile(r"\b(?:who|whom|whose|кто|кого|кому|кем|чей|чья|чьё|чьи)\b(?!-)", re.IGNORECASE)
_PEOPLE = re.compile(r"\b(?:люди|кто-нибудь|кто-то|другие|все)\b")
_ANYTHING = re.compile(r"(?:What (?:is|are)|Что такое) (?!(?:the )?(?:same|other|next|one|two|three|four|five|\d+)\b|"
                       r"(?:эт|сам|друг|тот|та|те|дв[ае]|тр[ои]|четыре|пять)\w* )")


def _about_it(flat: str, question: str) -> bool:
    """Whether the flat question asks what the other is about: what it does, or the only thing it names (of several, a
    rule cannot tell which); no person, no thing that was only counted or pointed at, and nothing that somebody else
    does: in "what do sensors show" the form does not tell who shows what."""
    if _WHO.search(question):
        return False
    if done := _ACTION.match(flat):
        return not done["verb"] or not _of_another(done["verb"], question.casefold())
    return _ANYTHING.match(flat) is not None and len(things(question, _language(question))) == 1


def _of_another(verb: str, question: str) -> bool:
    """Whether a Russian verb stands there in the third person or the past, of no people."""
    said = [form for word in re.findall(r"[а-яё-]+", question) for form in forms(word)[:1]]
    return not _PEOPLE.search(question) and any(form.normal == verb and form.tags & {"3per", "past"} for form in said)


def _asked_too(flat: str, profile: Profile) -> bool:
    """Whether the person asks this: word for word, or a question as flat about the same."""
    quotes = [one.quote for claim in profile.claims for one in claim.evidence]
    said = {plain(quote[a:b]) for quote in [*quotes, *(q.evidence.quote for q in profile.questions)]
            for a, b in text.sentences(quote)}
    about = set(content(flat))
    return plain(flat) in said or any(set(content(q.evidence.quote)) == about for q in profile.questions
                                      if q.depth.step <= FLAT)


def _language(said: str) -> str:
    return "ru" if text.language(said) == "ru" else "en"


# ---- lifting -----------------------------------------------------------------------------------------------------

def lift(flat: str, profile: Profile, engine: Engine | None = None) -> Lift:
    """How this person would have asked `flat`, in its language.

    By rule it fills fixed frames: up to three, of the ways this person asks deeper than this, first those of own
    questions that share a content word with it, then the commonest. With an engine one question of its own, kept only
    when it is a single question in the same language, names the same things, is no shallower than the shallowest own
    question it was shown, and no copy of one; else the rule's. Raises UsageError for a text without words, where no own
    question goes deeper, and where it names nothing.
    """
    before, language = rate(flat), _language(flat)
    deep = [own for own in profile.questions if own.depth.step >= DEEP and own.depth.level > before.level]
    if not deep:
        raise UsageError(f"None of your {len(profile.questions)} questions goes deeper than this one, so there is no "
                         "deeper way of yours to ask it in.",
                         "Import more of what you wrote, or ask a simpler question.")
    made = _by_core(engine, flat, language, before, deep) if engine else None
    return made or _by_rule(flat, language, before, deep)


def _by_rule(flat: str, language: str, before: Depth, deep: Sequence[DepthOf]) -> Lift:
    lifted: list[tuple[str, Depth, Evidence]] = []
    for way, own in _ways(deep, frozenset(content(flat))):
        question = _framed(flat, language, way)
        if question is None:
            continue
        after = rate(question)
        copied = plain(question) in {plain(one.evidence.quote) for one in deep}
        if after.level > before.level and not copied:
            lifted.append((question, after, own.evidence))
    if not lifted:
        raise UsageError("This question names nothing that a rule could ask about more deeply.",
                         'Name the thing or the action: "How do I run the core?"')
    questions, depths, because = zip(*lifted[:MOST], strict=True)
    return Lift(flat, questions, before, depths, because)


def _ways(deep: Sequence[DepthOf], named: frozenset[str]) -> list[tuple[str, DepthOf]]:
    """Ways of asking that the own questions show: first those used for what is named here (stems of content words),
    then the commonest, the deeper of equals; and for each the own question that shows it best: one that shares a word,
    the deepest, the latest."""
    near = {id(own): len(named & set(content(own.evidence.quote))) for own in deep}
    by_way: dict[str, list[DepthOf]] = {}
    for own in deep:
        by_way.setdefault(_way(own), []).append(own)
    order = sorted(_frames().keys() & by_way.keys(), key=lambda way: (
        -max(near[id(own)] for own in by_way[way]), -len(by_way[way]), -RULES[way][0], way))
    return [(way, max(by_way[way], key=lambda own: (near[id(own)], own.depth.level, str(own.evidence.time or ""))))
            for way in order]


def _way(own: DepthOf) -> str:
    """The key of the frame a question stands for: that of a followed change where it has one ("if .., how does ..
    affect"), else of the rule that gave its depth; of a depth that came from elsewhere, what the rules say."""
    signals = own.depth.signals
    if signals.get("C", 0) and signals.get("X", 0) and signals.get("R", 0) < 2:
        return "nested" if signals.get("N", 0) >= 3 else "effects"
    names = {words: key for key, (_, *both) in RULES.items() for words in both}
    return names.get(own.depth.rule) or names.get(rate(own.evidence.quote).rule, "")


# ---- frames ------------------------------------------------------------------------------------------------------

@lru_cache(maxsize=1)
def _frames() -> Mapping[str, Mapping[str, str]]:
    frames: Mapping[str, Mapping[str, str]] = tomllib.loads(
        (files("twin") / "lift.toml").read_text(encoding="utf-8"))["frames"]
    return frames


_CHOICE = re.compile(r"\[([^|\]]*)\|([^|\]]*)\]")


def _framed(flat: str, language: str, way: str) -> str | None:
    """The frame of a way filled with what the flat question does or names; None where it does not fit."""
    frame = _frames()[way]
    do = infinitive(flat, language) or next((action for action, _ in actions(flat, language)), "")
    if do:
        return frame[f"{language}_do"].format(do=do)
    named = things(flat, language)
    return _with_thing(frame[f"{language}_thing"], named[0]) if named else None


def _with_thing(frame: str, thing: Thing) -> str | None:
    """Fill in the thing in the case the frame asks for. "a council" becomes "the council": it is spoken of by now."""
    case = re.search(r"{(\w+)}", frame)
    said = thing.cased(case.group(1)) if case else None
    if said is None or case is None:
        return None
    if thing.language == "en":
        said = re.sub(r"^an? ", "the ", said)
    frame = _CHOICE.sub(lambda found: found.group(2 if thing.plural else 1), frame)
    return frame.replace(case.group(), said)


# ---- by a core ---------------------------------------------------------------------------------------------------

_SCHEMA = {"type": "object", "properties": {"question": {"type": "string", "minLength": 12, "maxLength": 300}},
           "required": ["question"], "additionalProperties": False}
_TASK = {
    "en": "Ask the user's question again the way this person asks: about the same things, but as deep as the person's "
          "own questions in the examples. One question, in English, as JSON.",
    "ru": "Задай вопрос пользователя так, как спрашивает этот человек: о том же самом, но так же глубоко, как его "
          "собственные вопросы в примерах. Один вопрос, по-русски, в JSON.",
}


def _by_core(engine: Engine, flat: str, language: str, before: Depth, deep: Sequence[DepthOf]) -> Lift | None:
    """One question of a core, shown pairs (flat paraphrase -> own question); None when it fails a check."""
    shots = _pairs(deep, language)
    if not shots:
        return None
    said = [("system", _TASK[language])]
    for plainer, own in shots:
        said += [("user", plainer), ("assistant", json.dumps({"question": own.quote}, ensure_ascii=False))]
    pieces = engine.stream(prompted(engine.family, [*said, ("user", flat)]),
                           Sampling(temperature=0.0, max_tokens=160), schema=_SCHEMA)
    question = _read("".join(piece.text for piece in pieces))
    copied = any(plain(question) == plain(own.evidence.quote) for own in deep)
    if copied or not _same_subject(flat, question, language):
        return None
    after = rate(question)
    if after.step < min(rate(own.quote).step for _, own in shots) or after.level <= before.level:
        return None
    return Lift(flat, (question,), before, (after,), tuple(own for _, own in shots), "core")


def _pairs(deep: Sequence[DepthOf], language: str) -> list[tuple[str, Evidence]]:
    """Own questions with their flat paraphrase: those in the language of the question, the deepest first."""
    pairs = []
    for own in sorted(deep, key=lambda own: -own.depth.level):
        quote = own.evidence.quote
        flat = flatten(quote, language) if _language(quote) == language and len(quote) <= 300 else ""
        if flat and plain(flat) != plain(quote):
            pairs.append((flat, own.evidence))
    return pairs[:SHOTS][::-1]  # the deepest last, nearest to the question


def _read(answer: str) -> str:
    """The question in the answer, '' where the JSON was cut off."""
    try:
        return " ".join(str(json.loads(answer)["question"]).split())
    except (ValueError, KeyError, TypeError):
        return ""


def _same_subject(flat: str, question: str, language: str) -> bool:
    """One question, in this language, that names what the flat one names; all its words where no thing is found."""
    if not question.endswith("?") or question.count("?") != 1 or _language(question) != language:
        return False
    known = [*things(flat, language), *(thing for _, thing in actions(flat, language))]
    named = {stem for thing in known for stem in content(thing.head)} or set(content(flat))
    return bool(named) and named <= set(content(question))
