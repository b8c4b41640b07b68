"""Question -> depth 1..7 with the signals that gave it: rules over cue lists (depth.toml), Russian and English alike.

The ladder is the owner's: 1 install it ... 4 make two parts work together ... 7 a system designs itself. It reads how
a question is built, never its topic or length: only the clauses that ask count, not the story around them. A rule gives
the rung; a scorecard over the same cues gives the place on it, and the rung where no rule knows the wording.
Knows nothing of messages, stores or models. What rules cannot see (irony, whether two nouns are one thing) stays so.
"""
from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache

from twin.cues import cue, plain
from twin.errors import UsageError
from twin.person import Depth
from twin.question import FIRST_STEP, asked, clauses, defines, has, lists, pattern, task, wants_fact, wants_name
from twin.question import is_question as is_question
from twin.subquestions import runs, tree
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
    "judge": (5, "judges something as a whole", "судит о чём-то в целом"),
    "thinking": (5, "takes the asker's own thinking as the object", "берёт предметом собственное мышление"),
    "joint": (4, "makes two or more parts work together", "заставляет две части или больше работать вместе"),
    "empirical": (4, "asks how something really went", "спрашивает, как было на самом деле"),
    "compare": (3, "compares or judges", "сравнивает или оценивает"),
    "mechanism": (3, "asks why, or how one thing works", "спрашивает, почему или как что-то устроено"),
    "attach": (3, "attaches or extends one part", "присоединяет или расширяет одну часть"),
    "form": (3, "gives form to one part", "придаёт форму одной части"),
    "define": (3, "says what a thing is by another thing", "говорит, что есть вещь, через другую вещь"),
    "condition": (2, "a procedure under a condition or resource", "способ сделать при условии или с ресурсом"),
    "built": (0, "no rule knows the wording: read by what it is built of",
              "слов этого вопроса правила не знают: прочитан по тому, из чего построен"),
    "fact": (1, "one fact or the first step", "один факт или первый шаг"),
}


def rate(text: str) -> Depth:
    """Depth 1..7 of a question (or thesis), a float. Deterministic; raises UsageError for a text without own words."""
    return locate(text)[0]


def locate(text: str) -> tuple[Depth, int, int]:
    """Depth of a text and the span (code points) of the words that gave it: its deepest question.

    Several questions in one text make one depth, the deepest, and count in signal Q. A text that asks nothing is a
    thesis: its sentences are read the same way, with a wider spread. Raises UsageError where no own words are left.
    """
    readings, count = _all_readings(text)
    if not readings:
        raise UsageError("There are no words to rate.", "Give a question in words, outside of quoted lines and code.")
    level, rule, signals, spread, one = max(
        (_rate(one, count) for one in readings), key=lambda found: (round(found[0]), found[4].continued, found[0]))
    _, english, russian = RULES[rule]
    words = russian if language(text[one.start:one.end]) == "ru" else english
    low, high = max(1.0, level - spread), min(7.0, level + spread)
    return (Depth(level, low, high, signals, words, tree(text[one.start:one.end]), thesis=not count),
            one.start, one.end)


_LONGEST = 1500  # characters of one question: what is longer is a paste without full stops, and costs time


@dataclass(frozen=True)
class _Reading:
    """A plain text to rate, where it stands, whether what there is to do with was stated before it, and whether it is
    read with the thought it continues."""

    scope: str
    start: int
    end: int
    given: bool = False
    continued: bool = False


def _all_readings(text: str) -> tuple[list[_Reading], int]:
    """Every way to read a text, and how many questions it asks: each question by itself, and with the thought it
    continues; the sentences of a text that asks nothing."""
    questions, statements = asked(text)
    found = []
    for one in questions:
        given = one.given < one.start
        found.append(_Reading(clauses(text[one.start:one.end])[:_LONGEST], one.start, one.end, given))
        if one.continued < one.start:
            thought = plain(text[one.continued:one.end])[:_LONGEST]
            found.append(_Reading(thought, one.continued, one.end, given, continued=True))
    return found or [_Reading(clauses(text[a:b])[:_LONGEST], a, b) for a, b in statements], len(questions)


def widest(text: str) -> str:
    """The plain words the scorecard is fitted on: the deepest reading by the rules, the longest of equal ones."""
    readings, count = _all_readings(text)
    return max(readings, key=lambda one: (RULES[_ruled(one, count)[0]][0], len(one.scope))).scope


def _ruled(one: _Reading, questions: int) -> tuple[str, dict[str, int]]:
    """(rule, signals) of one reading in a text with so many questions (0: a thesis)."""
    signals = _signals(one.scope, questions)
    rule = _rule(one.scope, signals)
    if rule == "fact" and one.given and has(one.scope, "procedure") and not FIRST_STEP.search(one.scope):
        rule = "condition"
    return rule, signals


def _rate(one: _Reading, questions: int) -> tuple[float, str, dict[str, int], float, _Reading]:
    """(level, rule, signals, half of the interval, the reading)."""
    rule, signals = _ruled(one, questions)
    far = signals["M"] >= 2 and not _settles(one.scope)
    rule, level = _settled(rule, score(one.scope) + _lean(one.scope, rule), far)
    # "fact" is also where unknown wording lands, and the ladder was written for questions: less sure of both
    return level, rule, signals, 0.5 if questions and rule not in ("fact", "built") else 1.0, one


# ---- the scorecard -------------------------------------------------------------------------------------------------

_SCORED = ("joint", "influence", "whole", "shape", "govern", "through", "actors", "resource", "trade", "condition",
           "procedure", "attach", "compare", "mechanism", "reality", "outcome", "verify", "define", "steer", "by_way",
           "say", "onward", "routing", "arrange", "remake", "rules", "pick", "what_if", "shall", "reshape", "form",
           "number", "among", "thinking", "assess", "tell", "apply", "invent")
_PAIRED = ("reflex change", "reflex remake", "embed change", "whole shape", "whole arrange", "suppose trade",
           "influence suppose", "actors govern", "outcome past", "remake rules")
_WH = re.compile(r"\b(?:how|what|which|who|why|как|что|кто|какой|чем|кому|чему)\b")


@lru_cache(maxsize=1)
def _forms() -> dict[str, re.Pattern[str]]:
    return {name: re.compile(form) for name, form in lists()["score"]["form"].items()}


def features(scope: str) -> dict[str, float]:
    """What a plain question is built of: forms and cue lists (0 or 1), their pairs, and small counts. No length."""
    found = {name: float(form.search(scope) is not None) for name, form in _forms().items()}
    found |= {name: float(has(scope, name)) for name in _SCORED}
    found |= {pair: found[pair.split()[0]] * found[pair.split()[1]] for pair in _PAIRED}
    parts = _parts(scope)
    found |= {f"parts {n}": float(parts >= n) for n in (2, 3, 4)}
    return found | {"and": min(3.0, len(re.findall(r"\b(?:and|и)\b", scope))), "commas": min(4.0, scope.count(",")),
                    "wh": min(3.0, len(_WH.findall(scope))), "marks": min(4.0, len(re.findall(r"[.;:]", scope)))}


def score(scope: str) -> float:
    """The level by the scorecard alone, about 1..7: a weighted sum of the features (weights: [score] in depth.toml)."""
    weights = lists()["score"]["weight"]
    return float(weights["start"] + sum(weights[name] * value for name, value in features(scope).items() if value))


def _lean(scope: str, rule: str) -> float:
    """What makes a question lean over its rung: a verdict; in a counterfactual, parts given roles, and what pays."""
    if rule not in ("trade", "effects"):
        return 1.2 * (rule == "judge")
    return 2.0 * (rule == "trade" and has(scope, "actors")) + 0.4 * _weights(scope)


def _settles(scope: str) -> bool:
    """True where a low rung is known to be right: a task, a fact wanted, what animals do for a living."""
    return task(scope) is not None or wants_fact(scope) or has(scope, "living")


_FAR, _FARTHER = 1.6, 2.2  # above rungs 1 and 2, above 3: 1.0 to 2.0 did alike on questions that nothing was tuned on


def _settled(rule: str, scored: float, far: bool) -> tuple[str, float]:
    """(rule, level): the rule's rung and by the scorecard a place on it, less than half a level off. Where the
    scorecard sees far more than a rule of the lower rungs, no rule knows the wording, and it settles the rung too."""
    rung = RULES[rule][0]
    if rung <= 3 and far and scored - rung >= (_FAR if rung < 3 else _FARTHER):
        rule, rung = "built", min(7, round(scored))
    return rule, min(7.0, max(1.0, rung + max(-0.45, min(0.5, 0.25 * (scored - rung)))))



# ---- signals -------------------------------------------------------------------------------------------------------

_INNER = re.compile(r"(?:, | and | и )(?:how|why|what|which|whether|как|почему|зачем|что|чем|[\w-]+ ли)\b")
_CHANGED = re.compile(r"\b(?:change|shift|rise|fall|cut|increase|drop) (?:in|of|to)\b|\b(?:смен|перемен|изменени|"
                      r"сокращени|увеличени)\w+ "
                      r"[^?]{0,60}\b(?:отзов|скаж|отраз|повли|влия)|^(?:and |so |а |и |но )?(?:if|"
                      r"если)\b.*?\b(?:how|what|will|would|как|что|то)\b")
_UNREAL = re.compile(r"^(?:and |so |but )?if (?:i|we|they|you|the|my|our|a|an|all|every\w*)\b[^?]*\b(?:would|"
                     r"could)\b|"
                     r"^(?:а |и |но )?если (?:[\w-]+ ){0,2}[\w-]{3,}(?:ть|ти|чь)\b[^?]*, [^?]*(?:чем|что|"
                     r"как) (?!мне|лучше)")
_NEXT_CLAUSE = re.compile(r"[?;]|,? (?:when|if|while|когда|если|при) ")


def _signals(scope: str, questions: int) -> dict[str, int]:
    """All nine, 0..3. `questions` counts the asking sentences of the whole text."""
    counts = {match.group() for match in pattern("number").finditer(scope)}
    whole = 2 if _shaped(scope) or _governed(scope) else int(has(scope, "whole"))
    values = {
        "Q": max(0, questions - 1) + len(_INNER.findall(scope)),
        "N": sum(has(scope, name) for name in ("if", "when", "so_that", "therefore")) + int(len(counts) > 1),
        "M": _parts(scope),
        "X": _links(scope),
        "C": 2 if has(scope, "what_if") or _UNREAL.search(scope) else int(_CHANGED.search(scope) is not None),
        "S": whole + _weights(scope),
        "R": _self_reference(scope),
        "E": _empirical(scope),
        "A": 2 * has(scope, "define"),
    }
    return {name: min(3, value) for name, value in values.items()}


def _parts(scope: str) -> int:
    """Distinct runs of content words: the parts named."""
    return len({tuple(map(stem, scope[a:b].split())) for a, b in runs(scope)})


def _links(scope: str) -> int:
    """Joined pairs: one for a word of joining, one for each thing an influence reaches, two for a chain of effects."""
    influences = list(pattern("influence").finditer(scope)) if has(scope, "influence") else []
    links = int(has(scope, "joint")) - int(has(scope, "contrast") and not influences)
    if influences:
        reached = _NEXT_CLAUSE.split(scope[influences[0].end():])[0]
        links += max(len(influences), 1 + len(re.findall(r" (?:and|и) ", reached)))
    return max(0, links) + 2 * (has(scope, "chain") or _followed(scope))


_PIECES = re.compile(r"[,;.:?!]+ ?| - | (?:and|и|а) (?=[\w'-]+ [\w'-]+)")


def _followed(scope: str) -> bool:
    """A supposition with three consequences told, and a question where they lead."""
    opening = pattern("what_if", "if").search(scope)
    if opening is None:
        return False
    told = [piece for piece in _PIECES.split(scope[opening.end():]) if piece.count(" ") >= 1]
    return len(told) >= 4 and has(scope, "onward")


def _weights(scope: str) -> int:
    """How many of quantity, resource and trade-off are named."""
    return sum(has(scope, name) for name in ("number", "resource", "trade"))


def _empirical(scope: str) -> int:
    strong = has(scope, "outcome") + (has(scope, "reality") and has(scope, "past")) + has(scope, "verify")
    return 1 + strong if strong else int(has(scope, "reality", "measure"))


_REACH = 80  # characters from the verb that gives form to the whole it forms


def _shaped(scope: str) -> bool:
    """A verb of giving form before a word for a whole ('design .. curriculum'), a whole that is to be arranged, or
    what form the whole should take."""
    wholes = [match.start() for match in pattern("whole").finditer(scope)]
    if has(scope, "reshape") or has(scope, "wanted"):
        return True
    if not wholes:
        return False
    if (has(scope, "outline") and "." not in scope) or has(scope, "shall"):
        return True
    formed = any(0 < whole - verb.start() <= _REACH for verb in pattern("shape").finditer(scope) for whole in wholes)
    ordered = any(0 < abs(whole - verb.start()) <= 2 * _REACH for verb in pattern("arrange").finditer(scope)
                  for whole in wholes)
    return formed or ordered


_EACH = re.compile(r"\b(?:each|every|all|кажд\w+|все|всех|всем)\b")
_LISTED = re.compile(r"[\w-]+, (?:[\w'-]+ ){0,4}?[\w-]+,? (?:and|и) [\w-]+")
_LIST = re.compile(r"[\w-]+, (?:[\w-]+ ){1,3}(?:and|и) [\w-]+")


def _governed(scope: str) -> bool:
    """A verb of steering with what it steers by: 'through A and B', voices and weights, or a list under a whole.

    Everyday verbs (manage, lead, управлять) need more than a list: one manages salt, sugar and fat without governing.
    """
    if has(scope, "steer") and has(scope, "by_way"):
        return True
    each = has(scope, "whole", "actors") or _EACH.search(scope) is not None
    if (has(scope, "say") and (each or len(_LISTED.findall(scope)) > 0)) or (each and has(scope, "routing")):
        return True
    if not has(scope, "govern"):
        return False
    among = pattern("among").search(scope)
    several = among is not None and ("," in among.group() or has(scope, "whole"))
    listed = _LIST.search(scope) is not None and not has(scope, "manage")
    return has(scope, "actors") or (_parts(scope) >= 2 and (has(scope, "through") or several or listed))


# ---- self-reference ------------------------------------------------------------------------------------------------

_THIRD = re.compile(r"\b(?:способн\w*|мо(?:жет|гут|гла|гло|гли|г)|сможет|умеет|умеющ\w*|чтобы|должн?\w*|учится)\b")
_FIRST = re.compile(r"\b(?:я|мне|меня|мной|мы|нам|нас|хочу|стоит ли|нужно ли|надо ли)\b")
_BARE = re.compile(r"\bкак (?:же |правильно |лучше |можно |быстро |самому |самой )*$")
_INFINITIVE = re.compile(r"(?:ть|ти|чь)(?:ся)?$")


@lru_cache(maxsize=2)
def _reflexive(tongue: str) -> re.Pattern[str]:
    """Verbs of designing, judging or changing whose object is the thing itself: list `self`, words filled in."""
    forms = "|".join(map(cue, lists()["self"][tongue]))
    for name in ("remake", "rules", "pick"):
        forms = forms.replace(name.upper(), "(?:" + "|".join(map(cue, lists()[name][tongue])) + ")")
    return re.compile(forms)


def _self_reference(scope: str) -> int:
    """2 or more where a thing is the object of its own design; 1 where the asker's own thinking is the object."""
    found = sum(1 for _ in _reflexive("en").finditer(scope))
    found += 0 if scope.isascii() else sum(_third_party(scope, match) for match in _reflexive("ru").finditer(scope))
    return 1 + found if found else int(has(scope, "thinking"))


def _third_party(scope: str, match: re.Match[str]) -> bool:
    """Russian 'себя' also means the asker ('как изменить себя'): an infinitive counts only with a third party."""
    before = scope[:match.end()]
    if match.group().startswith("сам"):  # 'сам' is the asker where nobody else was named since
        return _FIRST.search(scope[:match.start()].rpartition("чтобы")[2]) is None
    verb = next((group for group in match.groups() if group), "")
    if not _INFINITIVE.search(verb):
        return True
    asker = _FIRST.search(before) or _BARE.search(scope[:match.start()])
    return not asker and (_THIRD.search(before) is not None or scope.startswith("как "))


# ---- the ladder ----------------------------------------------------------------------------------------------------

_ALONE = re.compile(r"\b(?:or|или|versus|vs|between|между)\b")
_SEVERAL = re.compile(r"\b(?:two|three|both|several|all (?:my|the)|две|два|двух|три|трех|обе|оба|несколько|все)\b")


def _rule(scope: str, s: Mapping[str, int]) -> str:
    """The highest rule that is met; keys of RULES."""
    if defines(scope) and not has(scope, "compare", "joint"):
        return "fact"
    named = not s["C"] and wants_name(scope)
    parts, shaped = s["M"] >= 2, _shaped(scope) and not named
    ladder = (
        ("self", s["R"] >= 2),
        ("govern", _governed(scope)),
        ("effects", (s["X"] >= 2 and (s["C"] >= 1 or shaped or has(scope, "govern"))) or _followed(scope)),
        ("nested", parts and s["N"] >= 3 and s["X"] >= 1),
        ("shape", shaped),
        ("trade", parts and _traded(scope, s)),
        ("judge", has(scope, "assess") and not _ALONE.search(scope)),
        ("thinking", s["R"] == 1),
        ("joint", s["X"] >= 1 and not named and (parts or _SEVERAL.search(scope) is not None)),
        ("empirical", s["E"] >= 2),
        ("compare", has(scope, "compare", "contrast")),
        ("mechanism", s["C"] == 2 or has(scope, "mechanism")),
        ("attach", not named and has(scope, "attach")),
        ("form", not named and has(scope, "form")),
        ("define", s["A"] >= 1),
        ("condition", _conditional(scope, s)),
    )
    found = next((key for key, fires in ladder if fires), "fact")
    if RULES[found][0] < 6:
        found = _by_task(task(scope), scope, parts) or found
    later = _by_task(task(scope, later=True), scope, parts) or found
    return max(found, later, key=lambda rule: RULES[rule][0])


def _by_task(rule: str | None, scope: str, parts: bool) -> str | None:
    """The rule of a task in the imperative; a thing made that is no whole is given form, no shape."""
    if rule == "shape" and not (parts or has(scope, "whole")):
        return "form"
    return None if rule == "judge" and _ALONE.search(scope) else rule


_BOTH = re.compile(r"\b(?:and|и) ")
_GENERIC = re.compile(r"\bwhat (?:happens|will happen)\b|\bчто (?:будет|происходит|случится|станет)\b")


def _traded(scope: str, s: Mapping[str, int]) -> bool:
    """A change thought of over parts, paid for in something."""
    weights = _weights(scope)
    paid = weights >= 2 or (s["M"] >= 3 and has(scope, "resource"))
    if s["C"] >= 2 and (weights >= 1 or s["M"] >= 3 or _BOTH.search(scope)) and not _GENERIC.search(scope):
        return True
    return (s["C"] >= 2 and paid) or (s["C"] >= 1 and s["X"] >= 1 and weights >= 1)


_IF_SO = re.compile(r"\bif (?:i|you|we|it|that|the)\b[^?]*,? ?\b(?:do|does|is|are|will|can|would) (?:it|that|you|"
                    r"they|we|i|the)\b|"
                    r"\bесли\b[^?]*, ?то\b")


def _conditional(scope: str, s: Mapping[str, int]) -> bool:
    practical = s["C"] >= 1 or has(scope, "procedure")
    if has(scope, "apply") or _IF_SO.search(scope):
        return True
    return practical and not FIRST_STEP.search(scope) and has(scope, "number", "condition", "if", "when")
