"""Question -> depth 1..7 with the signals that gave it: rules over cue lists (depth.toml), Russian and English alike.

The ladder is the owner's: 1 install it ... 4 make two parts work together ... 7 a system designs itself. It reads how a
question is built, never its topic or length: only the clauses that ask count, not the story around them.
Knows nothing of messages, stores or models. What rules cannot see (irony, whether two nouns are one thing) stays unseen.
"""
from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping
from functools import lru_cache
from importlib.resources import files

from twin.errors import UsageError
from twin.text import language, own_spans, sentences, stem
from twin.types import Depth

SIGNALS: Mapping[str, str] = {
    "Q": "sub-questions", "N": "nesting", "M": "parts named", "X": "links between parts", "C": "counterfactual",
    "S": "scope of a whole", "R": "self-reference", "E": "empirical demand", "A": "analogy or definition",
}

# key -> (level, in English, in Russian); `_rule` says when each fires.
RULES: Mapping[str, tuple[int, str, str]] = {
    "self": (7, "something designs, judges or changes itself", "нечто проектирует, оценивает или меняет само себя"),
    "govern": (6, "directs a whole through its parts", "направляет целое через его части"),
    "effects": (6, "follows a change, or the shape of a whole, through two links or more",
                "прослеживает изменение или устройство целого через две связи и больше"),
    "nested": (6, "nests three conditions around linked parts", "вкладывает три условия вокруг связанных частей"),
    "shape": (5, "asks for the shape of a whole", "спрашивает об устройстве целого"),
    "trade": (5, "what if, over parts with resources or a trade-off", "«что если» о частях, с ресурсами или выбором"),
    "thinking": (5, "takes the asker's own thinking as the object", "берёт предметом собственное мышление"),
    "joint": (4, "makes two or more parts work together", "заставляет две части или больше работать вместе"),
    "empirical": (4, "asks how something really went", "спрашивает, как было на самом деле"),
    "compare": (3, "compares or judges", "сравнивает или оценивает"),
    "mechanism": (3, "asks why, or how one thing works", "спрашивает, почему или как что-то устроено"),
    "attach": (3, "attaches or extends one part", "присоединяет или расширяет одну часть"),
    "form": (3, "gives form to one part", "придаёт форму одной части"),
    "define": (3, "says what a thing is by another thing", "говорит, что есть вещь, через другую вещь"),
    "condition": (2, "a procedure under a condition or resource", "способ сделать при условии или с ресурсом"),
    "fact": (1, "one fact or the first step", "один факт или первый шаг"),
}


# ---- the small language of cues, shared with facets.toml -----------------------------------------------------------

def plain(text: str) -> str:
    """What cues are matched against: lower case, ё as е, one kind of hyphen and space, no quotes or Markdown marks."""
    text = text.casefold().replace("ё", "е").replace("‑", "-").replace("’", "'")
    text = re.sub(r"[*_`#«»“”„\"\u00ad\u200b-\u200d\ufeff]+", " ", re.sub(r"\s*[–—]\s*", " - ", text))
    return re.sub(r"\s+", " ", text).replace(" ,", ",").replace(" ?", "?").strip()


def cue(phrase: str) -> str:
    """One cue as a regular expression: `*` ends a stem, ` .. ` skips up to 60 characters inside the sentence,
    `re:` starts a raw expression."""
    if phrase.startswith("re:"):
        return phrase[3:]
    words = " ".join(re.escape(word).replace(r"\*", r"\w*") for word in phrase.split())
    return r"\b" + words.replace(r" \.\. ", r"\b[^.?!]{0,60}?\b") + r"(?!\w)"


@lru_cache(maxsize=1)
def _lexicon() -> dict[str, list[str]]:
    """Cue lists of depth.toml by name, both languages in one: people mix them in one sentence."""
    table = tomllib.loads((files("twin") / "depth.toml").read_text(encoding="utf-8"))
    return {name: [*lists["en"], *lists["ru"]] for name, lists in table.items()}


@lru_cache(maxsize=64)
def _pattern(*names: str) -> re.Pattern[str]:
    return re.compile("|".join(cue(phrase) for name in names for phrase in _lexicon()[name]))


@lru_cache(maxsize=1)
def _verbs() -> re.Pattern[str]:
    """Words that join, form and steer: they stand between parts and are none."""
    names = ("joint", "influence", "shape", "govern", "attach", "reality", "verify", "condition", "compare", "remake", "trade",
             "whole")
    simple = [p for name in names for p in _lexicon()[name] if " .. " not in p and not p.startswith("re:")]
    return re.compile("|".join(map(cue, simple)))


# ---- is it a question? ---------------------------------------------------------------------------------------------

_GREETING = re.compile(
    r"^(?:(?:hi|hello|hey|ok|okay|so|well|and|but|please|now|then|thanks|quick question|question|привет|здравствуйте|"
    r"добрый день|скажи(?:те)?|пожалуйста|а|и|ну|но|так|вот|теперь|кстати|слушай(?:те)?|вопрос|короче|ладно|хорошо)"
    r"(?: (?:everyone|all|there|всем|все))?(?:[ ,.!:-]+|$))+")
_AUX = "(?:do|does|did|is|are|was|were|can|could|should|shall|would|will|has|have|had|am|may|might|must|to)"
_ENGLISH = (rf"(?:how|why|what|when|where|who|which|whose) (?:\w+ )?{_AUX}\b|"
            r"how (?:many|much|long|often|come|far|about)\b|what(?:'s| if| about| kind| time| happen\w+| came| really)\b|why not\b|"
            r"(?:can|could|would|will) (?:you|someone|anyone|we|i)\b|has anyone\b|is (?:it|there)\b|"
            r"(?:explain|describe|tell me|show me|help me|give me|compare|define|list|discuss|evaluate|analy[sz]e|summari[sz]e|"
            r"suggest|recommend|propose|advise|outline|clarify|design|translate|calculate|identify|assess|judge|justify|"
            r"formulate|devise)\b|i (?:wonder|want to (?:know|understand)|would like to know|need to know)\b|any (?:ideas|tips)\b")
_RUSSIAN = (r"(?:почему|зачем|отчего|сколько|куда|откуда|где|кто-нибудь|во сколько|насколько|что такое|что будет|что,? если|"
            r"а если|что лучше|что делать|что нужно|что значит|чем (?:лучше|отлича\w*)|в чем (?:разниц|смысл|причин|отлич)\w*|"
            r"из чего|за счет чего|каким образом|есть ли|[\w-]+ ли)\b|"
            r"как (?:[\w-]+ ){0,2}?[\w-]+(?:ть|ти|чь|ться|тись)\b|как (?:работа|устро|называ|действу)\w*|"
            r"как(?:ой|ая|ое|ие|ого|им|ую|ими|их) (?:\w+ ){0,2}?(?:лучше|должн|выбрать|нужн|бывают)\w*|"
            r"(?:подскаж|объясн|поясн|опиш|расскаж|покаж|помог|посовету|сравн|оцен|проанализир|перечисл|предлож|назов|"
            r"спроектиру|разбер|перевед|посчита|уточн|да)(?:и|ите|й|йте)\b|"
            r"(?:хочу|хотел[аи]? бы) (?:понять|узнать|спросить)\b|интересно,? (?:как|почему|что|есть)\b")
_START = re.compile(f"(?:{_ENGLISH}|{_RUSSIAN})")
_MARK = re.compile(r"\?+(?=[\s\"'»”)\]!?*_]|$)")  # a question mark inside an address asks nothing


def is_question(text: str) -> bool:
    """True for a text that asks: a question mark in the writer's own words, or an interrogative or request start."""
    return any(_asks(text[a + b:a + c]) for a, d in own_spans(text) for b, c in sentences(text[a:d]))


def _asks(sentence: str) -> bool:
    return bool(_MARK.search(sentence) or _START.match(_GREETING.sub("", plain(sentence).lstrip("-•>. "))))


# ---- which words are the question? ---------------------------------------------------------------------------------

_RESUME = re.compile(  # the story ends here and the question begins
    r"(?:\bany(?:way|how)|\bmy question(?: is)?|\bin short|\bthe question is|\bкороче(?: говоря)?|\bв общем|\bтак вот|"
    r"\bвопрос (?:такой|вот в чем|в том)|\bсобственно|\bподскажите(?:,? пожалуйста)?)[ ,:-]+")
_OPEN = re.compile(rf"(?:^|[,;:(-] ?)(?:but |and |so |а |и |но |то )?(?:{_START.pattern}|if\b|если\b|when\b)")
_BACK = re.compile(r"\b(?:this|that|these|those|them|it|its|это|этим|этого|этому|этой|этот|эти|их|ими|такое|тогда)\b")
_STORY = 12    # a longer run of words before the asking clause is a story; a shorter one may be its condition
_CONTEXT = 40  # a longer previous sentence is not what "this" points back to


def _scope(sentence: str) -> str:
    """The plain clauses that ask, without a long story before them."""
    text = plain(sentence)
    for match in _RESUME.finditer(text):
        if _START.match(text, match.end()):
            return text[match.end():]
    opening = _OPEN.search(text)
    if opening is None or text[:opening.start()].count(" ") <= _STORY or _BACK.search(text, opening.end()):
        return text
    return text[opening.start():].lstrip(",;:(- ")


def _asked(text: str) -> tuple[list[tuple[int, int]], list[tuple[int, int]]]:
    """Spans of the sentences that ask (also together with the sentence 'this' points back to), and of all others."""
    asked: list[tuple[int, int]] = []
    said: list[tuple[int, int]] = []
    for left, right in own_spans(text):
        before: int | None = None
        for a, b in sentences(text[left:right]):
            start, end = left + a, left + b
            sentence = text[start:end]
            if _asks(sentence):
                if before is not None and _BACK.search(plain(sentence)[:80]):
                    asked.append((before, end))
                asked.append((start, end))
            elif any(map(str.isalpha, sentence)):
                said.append((start, end))
            before = start if sentence.count(" ") <= _CONTEXT else None
    return asked, said


# ---- signals -------------------------------------------------------------------------------------------------------

def _has(scope: str, *names: str) -> bool:
    return _pattern(*names).search(scope) is not None


def _count(scope: str, *names: str) -> int:
    return len({match.group() for match in _pattern(*names).finditer(scope)})


@lru_cache(maxsize=1)
def _separators() -> frozenset[str]:
    return frozenset(word for line in _lexicon()["function"] for word in line.split())


def _parts(scope: str) -> int:
    """Distinct runs of content words between words that join, steer or only hold the sentence together."""
    bare = _pattern("number").sub("|", _verbs().sub("|", scope))
    chunks: set[tuple[str, ...]] = set()
    run: list[str] = []
    for token in [*re.findall(r"[\w'-]+|[^\w\s]", bare), "|"]:
        if token[0].isalpha() and len(token) > 1 and token not in _separators():
            run.append(stem(token))
        elif run:
            chunks.add(tuple(run))
            run = []
    return len(chunks)


def _links(scope: str) -> int:
    """Joined pairs: one for a word of joining, one for each thing that an influence reaches (the effect, 'and' the next)."""
    links = int(_has(scope, "joint")) - int(_has(scope, "contrast") and not _has(scope, "influence"))
    influence = _pattern("influence").search(scope)
    if influence is not None:
        reached = re.split(r"[?;]|,? (?:when|if|while|когда|если|при) ", scope[influence.end():])[0]
        links += 1 + len(re.findall(r" (?:and|и) ", reached))
    return max(0, links)


_LATER = re.compile(r"\b(?:how|what|will|would|как|что|то)\b")


def _what_if(scope: str) -> int:
    """2 for a change that is only thought of ('what if'), 1 for a condition put before its question."""
    if _has(scope, "what_if"):
        return 2
    leading = re.match(r"(?:and |so |а |и |но )?(?:if|если)\b", scope)
    return int(leading is not None and _LATER.search(scope, leading.end()) is not None)


_THIRD = re.compile(r"\b(?:способн\w*|мо(?:жет|гут|гла|гло|гли|г)|сможет|умеет|умеющ\w*|чтобы|должн?\w*|учится)\b")
_FIRST = re.compile(r"\b(?:я|мне|меня|мной|мы|нам|нас|хочу|стоит ли|нужно ли|надо ли|пора)\b")
_BARE = re.compile(r"\bкак (?:же |правильно |лучше |можно |быстро |самому |самой )*$")


def _either(name: str, tongue: str) -> str:
    table = tomllib.loads((files("twin") / "depth.toml").read_text(encoding="utf-8"))
    return "(?:" + "|".join(map(cue, table[name][tongue])) + ")"


@lru_cache(maxsize=1)
def _reflexive() -> tuple[re.Pattern[str], re.Pattern[str]]:
    """English and Russian: a verb of designing, judging or changing whose object is the thing itself."""
    english, rules, russian, own = (_either(n, t) for n, t in (
        ("remake", "en"), ("rules", "en"), ("remake", "ru"), ("rules", "ru")))
    making = r"\b(?:build|creat|construct|develop|train|teach|invent|plan|organi|manag|repair|fix|replac|renew|extend|understand)\w*"
    return (
        re.compile(
            rf"{english} itself\b|(?!{making}){english} its own\b|\b(?:its|their) own (?:[\w-]+ )?{rules}|"
            r"\b(?:redesign|rewrit|govern|judg|design)\w* themselves\b|"
            rf"{english} (?:[\w-]+ ){{1,3}}for itself\b|\bits way of\b[^.?!]{{0,60}}?{english} it\b|"
            r"\bself[- ](?:improv|design|modif|organi[sz]ing|evolv|rewrit|correcting|train|programm|govern|referen)\w*"),
        re.compile(
            rf"(?P<verb>{russian})(?: \w+)? (?:сам\w* )?себя\b|(?:сам\w* )?себя (?:\w+ )?(?P<after>{russian})|"
            rf"(?P<own>{russian})(?: \w+)? собственн\w+|\bсам(?:а|о|и|ому|ой|им)? (?P<self>{russian})(?: и \w+)? сво\w+|"
            rf"\bсам\w* {russian} себе\b|\bсобственн\w+ {own}|\b(?:ее|его|их|свой) (?:способ|порядок|устройство)\b[^.?!]{{0,60}}? и {russian}|"
            r"\bсамо(?:обуча|улучша|проектир|модифиц|совершенств|переписыва|программир|развива|организующ|исправля)\w*"))


def _self_reference(scope: str) -> int:
    """2 or more where a thing is the object of its own design; 1 where the asker's thinking or self is the object.

    Russian 'себя' also means the asker ('как изменить себя'), so a bare infinitive counts only with a third party.
    """
    english, russian = _reflexive()
    found = len(english.findall(scope))
    for match in russian.finditer(scope):
        verb = next((group for group in match.groups() if group), "")
        infinitive = re.search(r"(?:ть|ти|чь)(?:ся)?$", verb) is not None
        if verb and (_FIRST.search(scope) or (infinitive and _BARE.search(scope[:match.start()]))
                     or (infinitive and not _THIRD.search(scope[:match.end()]) and not scope.startswith("как "))):
            continue
        found += 1
    return min(3, 1 + found) if found else int(_has(scope, "thinking"))


_REACH = 80  # characters from the verb that gives form to the whole it forms


def _shaped(scope: str) -> bool:
    """A verb of giving form before a word for a whole ('design .. curriculum'), or what form the whole should take."""
    wholes = [match.start() for match in _pattern("whole").finditer(scope)]
    formed = any(0 < whole - verb.start() <= _REACH for verb in _pattern("shape").finditer(scope) for whole in wholes)
    return formed or (bool(wholes) and _has(scope, "shall"))


_LOOSE = re.compile(r"\b(?:manage|lead|guide|rule|assign|вести|управля\w*|поруч\w*|раздать)\b")  # everyday verbs: need "through"


def _governed(scope: str) -> bool:
    """A word of steering with several parts to steer through: 'through A and B', weighed voices, or a whole among parts."""
    if not _has(scope, "govern"):
        return False
    among = _pattern("among").search(scope)
    several = among is not None and ("," in among.group() or _has(scope, "whole"))
    listed = re.search(r"[\w-]+, (?:[\w-]+ ){1,3}(?:and|и) [\w-]+", scope) is not None and not _LOOSE.search(scope)
    return _has(scope, "through", "actors") or several or listed


def _empirical(scope: str) -> int:
    past = _has(scope, "reality") and _has(scope, "past")
    strong = int(_has(scope, "outcome")) + int(past) + int(_has(scope, "verify"))
    return min(3, 1 + strong) if strong else int(_has(scope, "reality", "measure"))


def _signals(scope: str, questions: int) -> dict[str, int]:
    """All nine, 0..3. `questions` counts the asking sentences of the whole text."""
    inner = len(re.findall(r"(?:, | and | и )(?:how|why|what|which|whether|как|почему|зачем|что|чем|[\w-]+ ли)\b", scope))
    weights = int(_has(scope, "number")) + int(_has(scope, "resource")) + int(_has(scope, "trade"))
    whole = 2 if _shaped(scope) or _governed(scope) else int(_has(scope, "whole"))
    nesting = sum(_has(scope, name) for name in ("if", "when", "so_that", "therefore")) + int(_count(scope, "number") > 1)
    raw = {
        "Q": max(0, questions - 1) + inner, "N": nesting, "M": _parts(scope), "X": _links(scope), "C": _what_if(scope),
        "S": whole + weights, "R": _self_reference(scope), "E": _empirical(scope), "A": 2 * int(_has(scope, "define")),
    }
    return {name: min(3, value) for name, value in raw.items()}


# ---- the ladder ----------------------------------------------------------------------------------------------------

_DEFINITION = re.compile(r"^(?:so |and |а |и )?(?:what is|what's|what are|define|что такое|кто так\w+|что значит)(?: (?:a|an|the))?(?: [\w'-]+){1,3}\W*$")


def _rule(scope: str, s: Mapping[str, int]) -> str:
    """The highest rule that is met; keys of RULES."""
    if _DEFINITION.match(scope) and not _has(scope, "compare", "joint"):
        return "fact"
    parts, weights = s["M"] >= 2, sum(_has(scope, name) for name in ("number", "resource", "trade"))
    ladder = (
        ("self", s["R"] >= 2),
        ("govern", parts and _governed(scope)),
        ("effects", s["X"] >= 2 and (s["C"] >= 1 or _shaped(scope))),
        ("nested", parts and s["N"] >= 3 and s["X"] >= 1),
        ("shape", _shaped(scope)),
        ("trade", parts and ((s["C"] >= 2 and weights >= 2) or (s["C"] >= 1 and s["X"] >= 1 and weights >= 1))),
        ("thinking", s["R"] == 1),
        ("joint", parts and s["X"] >= 1),
        ("empirical", s["E"] >= 2),
        ("compare", _has(scope, "compare", "contrast")),
        ("mechanism", s["C"] == 2 or _has(scope, "mechanism")),
        ("attach", _has(scope, "attach")),
        ("form", _has(scope, "form")),
        ("define", s["A"] >= 1),
        ("condition", (s["C"] >= 1 or _has(scope, "procedure")) and _has(scope, "number", "condition", "if", "when")),
    )
    return next((key for key, fires in ladder if fires), "fact")


def locate(text: str) -> tuple[Depth, int, int]:
    """Depth of a text and the span (code points) of the words that gave it: its deepest question.

    Several questions in one text make one depth, the deepest, and count in signal Q. A text that asks nothing is a
    thesis: its sentences are read the same way, with a wider spread. Raises UsageError where no own words are left.
    """
    asked, said = _asked(text)
    if not asked and not said:
        raise UsageError("There are no words to rate.", "Give a question in words, outside of quoted lines and code.")
    questions = len({end for _, end in asked})
    best: tuple[int, Depth, int, int] | None = None
    for start, end in asked or said:
        scope = _scope(text[start:end])
        signals = _signals(scope, questions)
        level, english, russian = RULES[_rule(scope, signals)]
        if best is None or level > best[0]:
            words = russian if language(text[start:end]) == "ru" else english
            best = level, Depth(level, signals, words, thesis=not asked, spread=0.5 if asked else 1.0), start, end
    assert best is not None  # noqa: S101 - asked or said is not empty
    return best[1:]


def depth(text: str) -> Depth:
    """Depth 1..7 of a question (or thesis). Deterministic; raises UsageError for a text without own words."""
    return locate(text)[0]
