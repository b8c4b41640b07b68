"""Question -> depth 1..7 with the signals that gave it: rules over cue lists (depth.toml), Russian and English alike.

The ladder is the owner's: 1 install it ... 4 make two parts work together ... 7 a system designs itself. It reads how
a question is built, never its topic or length: only the clauses that ask count, not the story around them.
Knows nothing of messages, stores or models. What rules cannot see (irony, whether two nouns are one thing) stays so.
"""
from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping
from functools import lru_cache
from importlib.resources import files

from twin.cues import cue
from twin.errors import UsageError
from twin.person import Depth, SubQuestion
from twin.question import asked, clauses
from twin.question import is_question as is_question
from twin.text import language, stem

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


def rate(text: str) -> Depth:
    """Depth 1..7 of a question (or thesis). Deterministic; raises UsageError for a text without own words."""
    return locate(text)[0]


def locate(text: str) -> tuple[Depth, int, int]:
    """Depth of a text and the span (code points) of the words that gave it: its deepest question.

    Several questions in one text make one depth, the deepest, and count in signal Q. A text that asks nothing is a
    thesis: its sentences are read the same way, with a wider spread. Raises UsageError where no own words are left.
    """
    questions, statements = asked(text)
    if not questions and not statements:
        raise UsageError("There are no words to rate.", "Give a question in words, outside of quoted lines and code.")
    count = len({end for _, end in questions})
    rated = [(_rate(text[start:end], count), start, end) for start, end in questions or statements]
    return max(rated, key=lambda one: one[0].level)  # the first of equal ones


_LONGEST = 1500  # characters of one sentence: what is longer is a paste without full stops, and costs time


def _rate(sentence: str, questions: int) -> Depth:
    """Depth of one sentence in a text with so many questions (0: a thesis)."""
    scope = clauses(sentence)[:_LONGEST]
    signals = _signals(scope, questions)
    rule = _rule(scope, signals)
    level, english, russian = RULES[rule]
    words = russian if language(sentence) == "ru" else english
    # "fact" is also where unknown wording lands, and the ladder was written for questions: less sure of both
    sure = questions and rule != "fact"
    spread = 0.5 if sure else 1.0
    low, high = max(1.0, level - spread), min(7.0, level + spread)
    return Depth(float(level), low, high, signals, words, SubQuestion(sentence), thesis=not questions)


# ---- cue lists -----------------------------------------------------------------------------------------------------

@lru_cache(maxsize=1)
def _lists() -> dict[str, dict[str, list[str]]]:
    table: dict[str, dict[str, list[str]]] = tomllib.loads((files("twin") / "depth.toml").read_text(encoding="utf-8"))
    return table


@lru_cache(maxsize=64)
def _pattern(*names: str) -> re.Pattern[str]:
    """Both languages in one pattern: people mix them in one sentence."""
    return re.compile("|".join(cue(phrase) for name in names for cues in _lists()[name].values() for phrase in cues))


@lru_cache(maxsize=512)
def _has(scope: str, *names: str) -> bool:
    return _pattern(*names).search(scope) is not None


@lru_cache(maxsize=1)
def _separators() -> tuple[re.Pattern[str], frozenset[str]]:
    """What stands between parts and is none: words that join, form and steer, numbers, and function words."""
    names = ("joint", "influence", "shape", "govern", "attach", "reality", "verify", "condition", "compare", "remake",
             "trade", "whole")
    simple = [phrase for name in names for tongue in _lists()[name].values() for phrase in tongue
              if " .. " not in phrase and not phrase.startswith("re:")]
    words = frozenset(word for tongue in _lists()["function"].values() for line in tongue for word in line.split())
    return re.compile("|".join(map(cue, simple)) + "|" + _pattern("number").pattern), words


# ---- signals -------------------------------------------------------------------------------------------------------

_INNER = re.compile(r"(?:, | and | и )(?:how|why|what|which|whether|как|почему|зачем|что|чем|[\w-]+ ли)\b")
_LEADING_IF = re.compile(r"(?:and |so |а |и |но )?(?:if|если)\b.*?\b(?:how|what|will|would|как|что|то)\b")
_NEXT_CLAUSE = re.compile(r"[?;]|,? (?:when|if|while|когда|если|при) ")


def _signals(scope: str, questions: int) -> dict[str, int]:
    """All nine, 0..3. `questions` counts the asking sentences of the whole text."""
    counts = {match.group() for match in _pattern("number").finditer(scope)}
    whole = 2 if _shaped(scope) or _governed(scope) else int(_has(scope, "whole"))
    values = {
        "Q": max(0, questions - 1) + len(_INNER.findall(scope)),
        "N": sum(_has(scope, name) for name in ("if", "when", "so_that", "therefore")) + int(len(counts) > 1),
        "M": _parts(scope),
        "X": _links(scope),
        "C": 2 if _has(scope, "what_if") else int(_LEADING_IF.match(scope) is not None),
        "S": whole + _weights(scope),
        "R": _self_reference(scope),
        "E": _empirical(scope),
        "A": 2 * _has(scope, "define"),
    }
    return {name: min(3, value) for name, value in values.items()}


def _parts(scope: str) -> int:
    """Distinct runs of content words; without a tagger, a run of words is the nearest thing to a named part."""
    between, function = _separators()
    runs: set[tuple[str, ...]] = set()
    run: list[str] = []
    for token in [*re.findall(r"[\w'-]+|[^\w\s]", between.sub("|", scope)), "|"]:
        if token[0].isalpha() and len(token) > 1 and token not in function:
            run.append(stem(token))
        elif run:
            runs.add(tuple(run))
            run = []
    return len(runs)


def _links(scope: str) -> int:
    """Joined pairs: one for a word of joining, one for each thing an influence reaches, two for a chain of effects."""
    influences = list(_pattern("influence").finditer(scope))
    links = int(_has(scope, "joint")) - int(_has(scope, "contrast") and not influences)
    if influences:
        reached = _NEXT_CLAUSE.split(scope[influences[0].end():])[0]
        links += max(len(influences), 1 + len(re.findall(r" (?:and|и) ", reached)))
    return max(0, links) + 2 * _has(scope, "chain")


def _weights(scope: str) -> int:
    """How many of quantity, resource and trade-off are named."""
    return sum(_has(scope, name) for name in ("number", "resource", "trade"))


def _empirical(scope: str) -> int:
    strong = _has(scope, "outcome") + (_has(scope, "reality") and _has(scope, "past")) + _has(scope, "verify")
    return 1 + strong if strong else int(_has(scope, "reality", "measure"))


_REACH = 80  # characters from the verb that gives form to the whole it forms


def _shaped(scope: str) -> bool:
    """A verb of giving form before a word for a whole ('design .. curriculum'), or what form the whole should take."""
    wholes = [match.start() for match in _pattern("whole").finditer(scope)]
    formed = any(0 < whole - verb.start() <= _REACH for verb in _pattern("shape").finditer(scope) for whole in wholes)
    return formed or _has(scope, "reshape") or (bool(wholes) and _has(scope, "shall"))


_LIST = re.compile(r"[\w-]+, (?:[\w-]+ ){1,3}(?:and|и) [\w-]+")


def _governed(scope: str) -> bool:
    """A verb of steering with what it steers by: 'through A and B', voices and weights, or a list under a whole.

    Everyday verbs (manage, lead, управлять) need more than a list: one manages salt, sugar and fat without governing.
    """
    if not _has(scope, "govern"):
        return False
    among = _pattern("among").search(scope)
    several = among is not None and ("," in among.group() or _has(scope, "whole"))
    listed = _LIST.search(scope) is not None and not _has(scope, "manage")
    return _has(scope, "actors") or (_parts(scope) >= 2 and (_has(scope, "through") or several or listed))


# ---- self-reference ------------------------------------------------------------------------------------------------

_THIRD = re.compile(r"\b(?:способн\w*|мо(?:жет|гут|гла|гло|гли|г)|сможет|умеет|умеющ\w*|чтобы|должн?\w*|учится)\b")
_FIRST = re.compile(r"\b(?:я|мне|меня|мной|мы|нам|нас|хочу|стоит ли|нужно ли|надо ли)\b")
_BARE = re.compile(r"\bкак (?:же |правильно |лучше |можно |быстро |самому |самой )*$")
_INFINITIVE = re.compile(r"(?:ть|ти|чь)(?:ся)?$")


@lru_cache(maxsize=2)
def _reflexive(tongue: str) -> re.Pattern[str]:
    """Verbs of designing, judging or changing whose object is the thing itself: list `self`, words filled in."""
    fill = {name: "(?:" + "|".join(map(cue, _lists()[name][tongue])) + ")" for name in ("remake", "rules")}
    return re.compile("|".join(cue(p).replace("REMAKE", fill["remake"]).replace("RULES", fill["rules"])
                               for p in _lists()["self"][tongue]))


def _self_reference(scope: str) -> int:
    """2 or more where a thing is the object of its own design; 1 where the asker's own thinking is the object."""
    found = sum(1 for _ in _reflexive("en").finditer(scope))
    found += sum(_third_party(scope, match) for match in _reflexive("ru").finditer(scope))
    return 1 + found if found else int(_has(scope, "thinking"))


def _third_party(scope: str, match: re.Match[str]) -> bool:
    """Russian 'себя' also means the asker ('как изменить себя'): an infinitive counts only with a third party."""
    verb = next((group for group in match.groups() if group), "")
    if not _INFINITIVE.search(verb):
        return True
    before = scope[:match.end()]
    asker = _FIRST.search(before) or _BARE.search(scope[:match.start()])
    return not asker and (_THIRD.search(before) is not None or scope.startswith("как "))


# ---- the ladder ----------------------------------------------------------------------------------------------------

_DEFINITION = re.compile(r"^(?:so |and |а |и )?(?:what is|what's|what are|define|что такое|кто так\w+|что значит)"
                         r"(?: (?:a|an|the))?(?: [\w'-]+){1,3}\W*$")
_FIRST_STEP = re.compile(r"\b(?:where do i (?:start|begin)|what do i need first|с чего (?:мне |нам |лучше )?начать)\b")
_SEVERAL = re.compile(r"\b(?:two|three|both|several|all (?:my|the)|две|два|двух|три|трех|обе|оба|несколько|все)\b")


def _rule(scope: str, s: Mapping[str, int]) -> str:
    """The highest rule that is met; keys of RULES."""
    if _DEFINITION.match(scope) and not _has(scope, "compare", "joint"):
        return "fact"
    parts, shaped = s["M"] >= 2, _shaped(scope)
    ladder = (
        ("self", s["R"] >= 2),
        ("govern", _governed(scope)),
        ("effects", s["X"] >= 2 and (s["C"] >= 1 or shaped or _has(scope, "govern"))),
        ("nested", parts and s["N"] >= 3 and s["X"] >= 1),
        ("shape", shaped),
        ("trade", parts and _traded(scope, s)),
        ("thinking", s["R"] == 1),
        ("joint", s["X"] >= 1 and (parts or _SEVERAL.search(scope) is not None)),
        ("empirical", s["E"] >= 2),
        ("compare", _has(scope, "compare", "contrast")),
        ("mechanism", s["C"] == 2 or _has(scope, "mechanism")),
        ("attach", _has(scope, "attach")),
        ("form", _has(scope, "form")),
        ("define", s["A"] >= 1),
        ("condition", _conditional(scope, s)),
    )
    return next((key for key, fires in ladder if fires), "fact")


def _traded(scope: str, s: Mapping[str, int]) -> bool:
    """A change thought of over parts, paid for in something."""
    weights = _weights(scope)
    paid = weights >= 2 or (s["M"] >= 3 and _has(scope, "resource"))
    return (s["C"] >= 2 and paid) or (s["C"] >= 1 and s["X"] >= 1 and weights >= 1)


def _conditional(scope: str, s: Mapping[str, int]) -> bool:
    practical = s["C"] >= 1 or _has(scope, "procedure")
    return practical and not _FIRST_STEP.search(scope) and _has(scope, "number", "condition", "if", "when")
