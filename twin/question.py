"""Which words of a text ask: is it a question, which sentences, which clauses. Russian and English, by form alone.

Knows cues and sentences; what a question is worth is depth.py's business.
"""
from __future__ import annotations

import re
import tomllib
from dataclasses import dataclass
from functools import lru_cache
from importlib.resources import files
from typing import Any

from twin.cues import cue, plain
from twin.text import own_spans, sentences

Span = tuple[int, int]  # code points, end exclusive

_GREETING = re.compile(
    r"^(?:(?:hi|hello|hey|ok|okay|so|well|and|but|please|now|then|thanks|quick question|question|привет|здравствуйте|"
    r"добрый день|скажи(?:те)?|пожалуйста|а|и|ну|но|так|вот|теперь|кстати|слушай(?:те)?|вопрос|короче|ладно|хорошо)"
    r"(?: (?:everyone|all|there|всем|все))?(?:[ ,.!:-]+|$))+")
_AUX = "(?:do|does|did|is|are|was|were|can|could|should|shall|would|will|has|have|had|am|may|might|must|to)"
_ENGLISH = (
    rf"(?:how|why|what|when|where|who|which|whose) (?:\w+ )?{_AUX}\b|how (?:many|much|long|often|come|far|about)\b|"
    r"what(?:'s| if| about| kind| time| happen\w+| came| really)\b|why not\b|"
    r"(?:can|could|would|will) (?:you|someone|anyone|we|i)\b|has anyone\b|is (?:it|there)\b|"
    r"(?:explain|describe|tell me|show me|help me|give me|compare|define|list|discuss|evaluate|analy[sz]e|"
    r"summari[sz]e|suggest|recommend|propose|advise|outline|clarify|design|translate|calculate|identify|assess|judge|"
    r"justify|formulate|devise|trace|predict|sketch|draw up|give (?:us|the)|report (?:the|on|what|how)|solve|"
    r"illustrate|demonstrate|account for|investigate|critique|appraise|distinguish|contrast|write (?:an?|the)|argue|"
    r"remind me|examine|state the|name (?:the|one|two|three|some|an?)|develop an?|compose an?|prove that)\b|"
    r"i (?:wonder|want to (?:know|understand)|would like to know|need to know)\b|any (?:ideas|tips)\b")
_RUSSIAN = (
    r"(?:почему|зачем|отчего|сколько|куда|откуда|где|кто-нибудь|во сколько|насколько|что такое|что будет|что,? если|"
    r"а если|что лучше|что делать|что нужно|что значит|чем (?:лучше|отлича\w*)|в чем (?:разниц|смысл|причин|"
    r"отлич)\w*|"
    r"из чего|за счет чего|каким образом|есть ли|(?!вряд |едва |то )[\w-]+ ли)\b(?!-)|"
    r"как (?:[\w-]+ ){0,2}?[\w-]+(?:ть|ти|чь|ться|тись)\b|как (?:работа|устро|называ|действу)\w*|"
    r"как(?:ой|ая|ое|ие|ого|им|ую|ими|их) (?:\w+ ){0,2}?(?:лучше|должн|выбрать|нужн|бывают)\w*|"
    r"(?:подскаж|объясн|поясн|опиш|расскаж|покаж|помог|посовету|сравн|оцен|проанализир|перечисл|предлож|назов|"
    r"спроектиру|разбер|перевед|посчита|уточн|да|исследу|вычисл|обсуд|найд|докаж|укаж|предскаж|напомн)(?:и|ите|й|йте)\b|"
    r"(?:составь|проследи|изложи|реши|набросай|разработай|придумай|обоснуй|сопоставь|сформулируй)(?:те)?\b|"
    r"(?:хочу|хотел[аи]? бы) (?:понять|узнать|спросить)\b|интересно,? (?:как|почему|что|есть)\b")
_START = re.compile(f"(?:{_ENGLISH}|{_RUSSIAN})")
_STATES = re.compile(  # begins as a question does, and states
    r"(?:when|where|what|who|which) (?:i|we|you|he|she|it|they|(?:my|our|his|her|their|the) \w+) "
    r"(?:am|is|are|was|were|have|has|had|did|do|does|been)\b|"
    r"which (?:is|was|are|were) (?:why|how|what|because|also|not)\b|"
    r"(?:design|list|trace|judge|outline|contrast|report|state|name) "
    r"(?:is|was|matters?|means?|makes?|beats?|comes?|takes?)\b|"
    r"(?:propose|discuss|argue|solve|explain|define) or \w+\W*$|дай(?:те)? бог\b")
_MARK = re.compile(r"\?+(?=[\s\"'»”)\]!?*_]|$)")  # a question mark inside an address asks nothing

_RESUME = re.compile(  # the story ends here and the question begins
    r"(?:\bany(?:way|how)|\bmy question(?: is)?|\bin short|\bthe question is|\bкороче(?: говоря)?|\bв общем|"
    r"\bтак вот|"
    r"\bвопрос (?:такой|вот в чем|в том)|\bсобственно|\bподскажите(?:,? пожалуйста)?)[ ,:-]+")
_OPEN = re.compile(  # a clause that asks, or the condition that belongs to it
    rf"(?:^|[,;:(-] ?)(?:but |and |so |а |и |но |то )?(?:{_START.pattern}|if\b|если\b|when\b)|"
    r": (?:in |at |to |в |на |по |с |к |о )?"
    r"(?:which|what|who|where|how|why|что|чем|как|как(?:ой|ая|ое|ую|им|ом|ие)|где|кто|кому)\b")
_BACK = re.compile(
    r"\b(?:this|that|these|those|them|they|it|its|such|then|both|the two|how\?|"
    r"это|этим|этого|этому|этой|этот|эти|их|ими|им|его|ее|ей|нее|ней|них|он|она|оно|они|такое|такой|такую|такие|"
    r"тогда|оба|обе|все это)\b")
_SUPPOSED = re.compile(
    r"(?:so |and |but |now |well,? |а |и |но |ну,? )?(?:suppose|supposing|imagine|assume|say,? |let's say|"
    r"picture|what if|if |"
    r"допустим|предположим|представ|вообрази|положим|скажем|пусть |что,? если|если )")
_WISHED = re.compile(
    r"\b(?:(?:i|we)(?:'d| would) like|(?:i|we) (?:don't )?want|i wish|wants? (?:its|their|an?|to)|must|should|"
    r"хочу|хотим|хочет|хотела?|хочется|надо|нужно|должн\w*)\b")
_GIVEN = re.compile(  # says what there is to do with, or what is not there
    r"\b(?:(?:i|we)(?:'ve| have)(?: only)?(?: got)?|all (?:i|we)(?:'ve| have)|there(?:'s| is| are) (?:no|only)|"
    r"only|without|"
    r"no (?!one\b|longer\b)\w+|forbids?|doesn't allow|can't|won't|alone|broken|"
    r"у (?:меня|нас)|есть только|только|нет|без|запреща\w*|не разреша\w*|нельзя|один|одна|осталось|сломан\w*|"
    r"травмирован\w*)\b")
PLAIN_FACT = re.compile(  # wants a name, a number, a place or a first step, whatever was told before
    r"\b(?:called|the name of|phone|address|what (?:time|day|year|month|size|colou?r|page)|begin with|first of all|"
    r"which \w+ (?:is|was) (?:it|that)|"
    r"(?:which|what) (?:day|year|month|size|floor|page|bus|street|city|country) |does one (?:even )?begin|"
    r"(?:do|should|could|can) (?:i|we) (?:even )?(?:start|begin)|buy first|"
    r"называ(?:ет|ют)\w*|зовут|телефон|адрес|в какой (?:день|час|год)|как(?:ого|ой|ом) (?:числ|день|год|час|"
    r"месяц|номер)\w*|"
    r"начать|начинают|начинать|первым делом|во сколько)\b|"
    r"^(?:\w+ )?(?:how (?:much|many|old|far|long)|where|when|где|куда|когда|сколько)\b|^как(?:ая|ой|ое|ие) [\w-]+\?$")
_STORY = 12    # a longer run of words before the asking clause is a story; a shorter one may be its condition
_CONTEXT = 40  # a longer sentence before it is not what a question points back to
_NEAR = 4      # sentences before a question that may belong to it
_ELLIPTIC = re.compile(  # leans on what stands before it
    r"\W*(?:and |so |но |и |а )?(?:(?:how|why|would|will)\b(?: [\w'-]+){0,3}|(?:как|почему)\b(?: [\w-]+)?|"
    r"[\w'-]+(?: [\w'-]+)?)\W*$")


@dataclass(frozen=True)
class Asked:
    """A sentence that asks (code points): where it begins and ends, where the thought it continues begins, and where
    what there is to do with is stated (both `start` where nothing before it belongs to it)."""

    start: int
    end: int
    continued: int
    given: int


def is_question(text: str) -> bool:
    """True for a text that asks: a question mark in the writer's own words, or an interrogative or request start."""
    return any(asks(text[a + b:a + c]) for a, d in own_spans(text) for b, c in sentences(text[a:d]))


def asks(sentence: str) -> bool:
    """The same for one sentence."""
    if _MARK.search(sentence):
        return True
    said = _GREETING.sub("", plain(sentence).lstrip("-•>. "))
    return _START.match(said) is not None and not _STATES.match(said)


def asked(text: str) -> tuple[list[Asked], list[Span]]:
    """The own sentences that ask, and the spans of all others."""
    questions: list[Asked] = []
    statements: list[Span] = []
    for left, right in own_spans(text):
        before: list[Span] = []  # the sentences of this run of own words so far
        for a, b in sentences(text[left:right]):
            start, end = left + a, left + b
            sentence = text[start:end]
            if asks(sentence):
                questions.append(_in_context(text, before, start, end))
            elif any(map(str.isalpha, sentence)):
                statements.append((start, end))
            before.append((start, end))
    return questions, statements


def _in_context(text: str, before: list[Span], start: int, end: int) -> Asked:
    """Where the question really begins: at a supposition or a wish before it, or at what it points back to."""
    near: list[Span] = []
    for span in reversed(before[-_NEAR:]):
        if text.count(" ", *span) > _CONTEXT or "\n\n" in text[span[1]:start]:
            break
        near.insert(0, span)
    question = plain(text[start:end])
    if not near or PLAIN_FACT.search(question):
        return Asked(start, end, start, start)
    said = [plain(text[a:b]) for a, b in near]
    opening = next((n for n, words in enumerate(said) if _SUPPOSED.match(words)), None)
    points = _BACK.search(question[:80]) is not None or _ELLIPTIC.match(question) is not None
    if opening is None and points:
        wished = next((n for n, words in enumerate(said) if _WISHED.search(words)), len(near) - 1)
        opening = min(wished, len(near) - 1)
    continued = start if opening is None else near[opening][0]
    given = next((span[0] for span, words in zip(near, said, strict=True) if _GIVEN.search(words)), start)
    return Asked(start, end, continued, given)


def clauses(sentence: str) -> str:
    """The plain clauses of a sentence that ask, without a long story before them: length must not look like depth."""
    text = plain(sentence)
    for match in _RESUME.finditer(text):
        if _START.match(text, match.end()):
            return text[match.end():]
    opening = _OPEN.search(text)
    if opening is None or text[:opening.start()].count(" ") <= _STORY or _BACK.search(text, opening.end()):
        return text
    return text[opening.start():].lstrip(",;:(- ")


# ---- what a question wants, by its first words ---------------------------------------------------------------------

_DEFINITION = re.compile(r"^(?:so |and |а |и )?(?:what is|what's|what are|define|что такое|кто так\w+|что значит)"
                         r"(?: (?:a|an|the))?(?: [\w'-]+){1,3}\W*$")
FIRST_STEP = re.compile(r"\b(?:where do i (?:start|begin)|what do i need first|с чего (?:мне |нам |лучше )?начать)\b")
_FACT = re.compile(  # asks who, when, where, how many: a name, a place, a number
    r"^(?:\w+ )?(?:(?:tell|show|remind|ask) (?:me|us),? |does any\w+ know |подскажите,? |скажите,? |кто знает,? )?"
    r"(?:who|whom|when|where|how (?:many|much|old|far|tall|long)|what (?:time|year|day|colou?r|size)|"
    r"which \w+ (?:is|was)|"
    r"кто|когда|где|куда|откуда|сколько|во сколько|в каком (?:году|месяце|городе)|какого (?:числа|цвета|размера))\b"
    r"(?! (?:should|ought|would)\b)")
_NAMED = re.compile(
    r"^(?:[\w-]+,? ){0,2}(?:(?:which|what) \w+ (?:do|does|did|is|was|are|were)|(?:the )?(?:number|name) of|"
    r"(?:can|could) "
    r"(?:you|some\w+|any\w+) tell (?:me )?(?:the|what|who|where|when|which|how (?:many|much))|what is the [\w-]+ of|"
    r"как\w* (?:[\w-]+ ){0,3}?(?:называ|пиш|зовут|звали)\w*|каки[ем] \w+ (?:называ|пиш)\w*)")
_CLAUSE = re.compile(r"[,;:.] (?:and |then |и |затем )?|\b(?:and|и) (?:then |затем )?")
_POLITE = ("(?:(?:please|briefly|now|critically|then|(?:can|could|will|would) you|how (?:would|could|might|can) you|"
           "i (?:want|would like) you to|you (?:have|need) to|try to|(?:your|the) task is to|пожалуйста,?|кратко|"
           "критически|можешь|можете|не могли бы вы|как бы (?:ты|вы)|попробуй(?:те)?) ){0,2}")
_TASKS = tuple((rule, re.compile(rf"{_POLITE}(?:{verbs})\b")) for rule, verbs in (
    ("fact", "define|list|name|state|identify|mention|recall|label|match|"
             "перечисл\\w+|назов\\w+|укаж\\w+|дайте определение"),
    ("condition", "calculate|compute|solve|determine|use|apply|demonstrate|convert|show|find|draw|implement|"
                  "вычисл\\w+|рассчита\\w+|реши\\w*|определите|примени\\w*|покажи\\w*|найди\\w*"),
    ("mechanism", "explain|analy[sz]e|examine|investigate|illustrate|interpret|derive|prove|trace|infer|"
                  "объясни\\w*|поясни\\w*|проанализируй\\w*|исследуй\\w*|докажи\\w*|выведи\\w*"),
    ("compare", "compare|contrast|differentiate|distinguish|discriminate|classify|categori[sz]e|"
                "сравни\\w*|сопостав\\w*|противопостав\\w*|различи\\w*|разгранич\\w*|классифициру\\w*"),
    ("shape", "design|develop|devise|compose|formulate|propose|construct|plan|organi[sz]e|invent|create|"
              "generate|write an? (?:[\\w-]+ )?(?:story|poem|essay|play|speech|script|proposal|program)|"
              "спроектируй\\w*|разработай\\w*|составь\\w*|предложи\\w*|придумай\\w*|спланируй\\w*|сочини\\w*"),
    ("judge", "evaluate|judge|assess|critique|critici[sz]e|justify|appraise|defend|argue|debate|"
              "recommend|conclude|support your|give your opinion|decide whether|"
              "оцени\\w*|обоснуй\\w*|рассуди\\w*|раскритикуй\\w*")))


def task(scope: str, *, later: bool = False) -> str | None:
    """The rule (a key of depth.RULES) of a task in the imperative, by its verb: 'list ...', 'justify ...'; of the
    deepest task in a later clause: 'name two laws and justify ...'."""
    if not later:
        return next((rule for rule, verbs in _TASKS if verbs.match(scope)), None)
    starts = [match.end() for match in _CLAUSE.finditer(scope)]
    return next((rule for rule, verbs in reversed(_TASKS) if any(verbs.match(scope, at) for at in starts)), None)


def defines(scope: str) -> bool:
    """True for 'what is a ...' of a few words."""
    return _DEFINITION.match(scope) is not None


def wants_name(scope: str) -> bool:
    """True where a name, a place or a number is wanted."""
    return bool(_FACT.match(scope) or _NAMED.match(scope) or task(scope) == "fact")


def wants_fact(scope: str) -> bool:
    """The same, or a first step: nothing else in the question can deepen that."""
    return wants_name(scope) or bool(FIRST_STEP.search(scope) or PLAIN_FACT.search(scope))


# ---- the cue lists of depth.toml ------------------------------------------------------------------------------------

@lru_cache(maxsize=1)
def lists() -> dict[str, dict[str, Any]]:
    """Name -> language -> phrases, as depth.toml has them, and the scorecard under 'score'."""
    table: dict[str, dict[str, Any]] = tomllib.loads((files("twin") / "depth.toml").read_text(encoding="utf-8"))
    return table


@lru_cache(maxsize=64)
def pattern(*names: str) -> re.Pattern[str]:
    """Both languages in one pattern: people mix them in one sentence."""
    phrases = [phrase for name in names for cues in lists()[name].values() for phrase in cues]
    return re.compile("|".join(cue(phrase) for phrase in phrases))


@lru_cache(maxsize=64)
def _groups(*names: str) -> tuple[re.Pattern[str], ...]:
    """The same as patterns that begin alike: `re` tries a branch that cannot begin at a word for nothing, and one
    expression without a word boundary makes it do so at every letter (2 times slower, measured)."""
    groups: dict[str, list[str]] = {}
    for phrase in (phrase for name in names for cues in lists()[name].values() for phrase in cues):
        form = cue(phrase)
        groups.setdefault(form[:2] if form[:2] in (r"\b", "^(") else form, []).append(form)
    return tuple(re.compile("|".join(forms)) for forms in groups.values())


@lru_cache(maxsize=16384)
def has(scope: str, *names: str) -> bool:
    """True where a plain text holds a cue of one of the lists."""
    return any(form.search(scope) for form in _groups(*names))
