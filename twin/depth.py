"""Question -> depth 1..7 with the signals that gave it: rules over cue lists (depth.toml), Russian and English alike.

The ladder is the owner's: 1 install it ... 4 make two parts work together ... 7 a system designs itself. It reads how
a question is built, never its topic or length: only the clauses that ask count, not the story around them. A rule gives
the rung; a scorecard over the same cues gives the place on it, and the rung where no rule knows the wording.
Knows nothing of messages, stores or models. What rules cannot see (irony, whether two nouns are one thing) stays so.
"""
from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache

from twin.cues import cue, plain
from twin.errors import UsageError
from twin.person import Depth
from twin.question import FIRST_STEP, asked, clauses, defines, has, lists, pattern, task, wants_name
from twin.question import is_question as is_question
from twin.scorecard import Scored, parts_named, score
from twin.subquestions import tree
from twin.text import language

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
    thesis: it is read the same way, with a wider spread. Raises UsageError where no own words are left.
    """
    found = readings(text)
    if not found:
        raise UsageError("There are no words to rate.", "Give a question in words, outside of quoted lines and code.")
    rated = [(_rate(one), one) for one in found]
    (level, rule, signals, spread), one = max(rated, key=lambda both: (round(both[0][0]), both[0][0]))
    _, english, russian = RULES[rule]
    own = text[one.start:one.end]
    low, high = max(1.0, level - spread), min(7.0, level + spread)
    return (Depth(level, low, high, signals, russian if language(own) == "ru" else english, tree(own),
                  thesis=not one.asked), one.start, one.end)


_LONGEST = 1500  # characters of one question: what is longer is a paste without full stops, and costs time


@dataclass(frozen=True)
class Reading:
    """A plain question, the plain thought it continues, whether what there is to do with was stated before it, how many
    questions its text asks (0: a thesis), and where it stands."""

    question: str
    thought: str
    given: bool
    asked: int
    start: int
    end: int


def readings(text: str) -> list[Reading]:
    """Every question of a text, with the thought it continues; the sentences of a text that asks nothing."""
    questions, statements = asked(text)
    found = [Reading(clauses(text[one.start:one.end])[:_LONGEST], plain(text[one.continued:one.start])[-_LONGEST:],
                     one.given < one.start, len(questions), one.continued, one.end) for one in questions]
    if found or not statements:
        return found
    return [Reading(clauses(text[a:b])[:_LONGEST], "", False, 0, a, b) for a, b in statements]


def scored(one: Reading) -> Scored:
    """A reading by the scorecard alone."""
    return score(one.question, one.thought, given=one.given)


# On 1260 questions that neither rules nor scorecard had seen: mean error of the rung alone .13 to .41 for
# these rules, of the scorecard .22 to .43; for every other rule the scorecard is nearer.
_SURE = frozenset({"self", "govern", "effects", "empirical", "attach", "thinking"})
_NEAR = 0.45              # how far the scorecard moves a level from the rung of such a rule
_BEYOND = 1.6             # above it the scorecard sees a deeper row than the rule does
_PULL, _MOST = 0.5, 0.3   # any other draws half of the way to its rung, no more than this; "fact" not, where all
                          # unknown wording lands
_MOST_TOLD = 0.9          # a task in the imperative says by its verb what it wants, a word for a whole its shape
_PLAIN = 3.3              # a procedure with one part and no condition, where the scorecard does not see far more
_WIDTH, _WIDER = 0.75, 0.9  # the interval: a base, and what the scorecard's own doubt adds


def _rate(one: Reading) -> tuple[float, str, dict[str, int], float]:
    """(level, rule, signals, half of the interval): the rung of a rule that is exact where it fires, the scorecard's
    place on it; elsewhere the scorecard's level, drawn a little to the rung."""
    found = scored(one)
    rule, signals = max((_ruled(scope, one) for scope in {one.question, f"{one.thought} {one.question}".strip()}),
                        key=lambda both: (RULES[both[0]][0], both[0]))
    off = found.level - RULES[rule][0]
    sure = (rule in _SURE and off < _BEYOND) or (rule == "fact" and _known(one, found.level))
    if sure:
        level = RULES[rule][0] + max(-_NEAR, min(_NEAR, off))
    else:
        told = rule == "shape" or task(one.question) or task(one.question, later=True)
        most = _MOST_TOLD if told else 0.0 if rule in ("fact", "define") else _MOST
        level = found.level - max(-most, min(most, _PULL * off))
    level = min(4.0 if _of_asker(one.question, signals) else 7.0, max(1.0, level + _lean(one.question, rule, signals)))
    if abs(RULES[rule][0] - level) > 1.0:
        rule = "built"
    spread = _WIDTH + _WIDER * math.sqrt(found.variance) * (0.5 if sure else 1.0)
    return level, rule, signals, spread + 0.3 * (not one.asked)


def _known(one: Reading, level: float) -> bool:
    """True where the lowest rung is known to be right: a definition, a first step, a procedure and nothing else."""
    if defines(one.question) or FIRST_STEP.search(one.question):
        return True
    alone = not one.given and not one.thought and "," not in one.question and parts_named(one.question) <= 1
    return level < _PLAIN and alone and has(one.question, "procedure")


_HIMSELF = re.compile(r"^как (?:\w+ )?[\w-]+(?:ть|ти|чь) (?:сам\w+ )?себя\b[^,;:]*$")


def _of_asker(scope: str, signals: Mapping[str, int]) -> bool:
    """True where 'itself' means the asker or an animal, which are no systems that design themselves."""
    return signals["R"] < 2 and (has(scope, "living") or _HIMSELF.match(scope) is not None)


def _lean(scope: str, rule: str, signals: Mapping[str, int]) -> float:
    """What makes a question lean over its rung: in a counterfactual, parts given roles; a change and two effects."""
    if rule == "trade":
        return 0.5 * has(scope, "actors") + 0.1 * _weights(scope)
    return 0.2 * (RULES[rule][0] == 6 and signals["C"] >= 1 and signals["X"] >= 2)


def _ruled(scope: str, one: Reading) -> tuple[str, dict[str, int]]:
    """(rule, signals) of plain words."""
    signals = _signals(scope, one.asked)
    rule = _rule(scope, signals)
    if rule == "fact" and one.given and has(scope, "procedure") and not FIRST_STEP.search(scope):
        rule = "condition"
    return rule, signals


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
        "M": parts_named(scope),
        "X": _links(scope),
        "C": 2 if has(scope, "what_if") or _UNREAL.search(scope) else int(_CHANGED.search(scope) is not None),
        "S": whole + _weights(scope),
        "R": _self_reference(scope),
        "E": _empirical(scope),
        "A": 2 * has(scope, "define"),
    }
    return {name: min(3, value) for name, value in values.items()}


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
    return has(scope, "actors") or (parts_named(scope) >= 2 and (has(scope, "through") or several or listed))


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
