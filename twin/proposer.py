"""The core fills slots: one role, what went wrong with it and what went well, and a small menu of changes.

The core chooses and writes at most one section; the grammar admits nothing else, code checks the rest: that it ended by
itself, copies no five words in a row from what was said (that would learn the conversation by heart, and carry it out
of it), says something that was not proposed before, and fits the map. Whether it is any good is for the proof. A core
that gives fewer usable changes than one in ten is not asked any more. Knows no store and no proof.
"""
from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from math import sqrt
from typing import Any

from twin import operations, text
from twin.errors import ContextFull, PromptTooLong, UsageError
from twin.operation_schema import RULE, SECTION
from twin.operations import Operation
from twin.prompt import plain as prompt_of
from twin.proposals import Proposal
from twin.role_file import SECTIONS
from twin.roles import Role, RoleMap
from twin.training.samples import runs
from twin.types import Engine, Sampling, Turn, never

SHOWN = 5          # failures, and as many successes
FEWEST = 3         # failures that a proposal rests on
RUN = 5            # words in a row that count as copied
ALIKE = 0.95       # cosine of words from which a text says what was proposed before
ASKED, VALID = 20, 0.10  # a core that was asked so often and gave fewer usable ones than this is off
TOKENS = 320
TEMPERATURES = (0.2, 0.4, 0.6, 0.8, 1.0)
_CUT = 240         # characters shown of a message or an answer
_WORDS = {
    "en": ("You improve the instructions of an assistant's role. You see its instructions and numbered exchanges. "
           "Choose one small change that would have helped, in your own words; repeat nothing of the exchanges.",
           "The role: {title}. Its purpose: {purpose}\nIts instructions:\n{rules}", "Went wrong:", "Went well:",
           "Person: {q}\nAnswer: {a}", "Give the numbers of what went wrong for the same reason, and the change."),
    "ru": ("Ты улучшаешь инструкции роли помощника. Перед тобой её инструкции и обмены репликами с номерами. Выбери "
           "одно небольшое изменение, которое помогло бы, своими словами; ничего из реплик не повторяй.",
           "Роль: {title}. Её назначение: {purpose}\nЕё инструкции:\n{rules}", "Не получилось:", "Получилось:",
           "Человек: {q}\nОтвет: {a}", "Назови номера того, что не получилось по одной причине, и изменение."),
}
_WHY = {"en": "The core saw the same reason in {n} answers that were not liked.",
        "ru": "Ядро увидело одну причину в ответах, которые не понравились (их {n})."}


@dataclass(frozen=True)
class Seen:
    """What there is of one role: turns that were blamed, asked again, rewritten or meant for another role, and turns
    that were praised or left alone; the newest first."""

    role: str
    failures: tuple[Turn, ...] = field(repr=False)
    successes: tuple[Turn, ...] = field(repr=False)


@dataclass(frozen=True)
class Asked:
    """One question to the core: a proposal, or why what it wrote is none."""

    proposal: Proposal | None
    reason: str = ""


def seen(turns: Iterable[Turn], failed: Collection[str], praised: Collection[str]) -> list[Seen]:
    """Roles with enough failures, those with most of them first. `failed` and `praised`: ids of turns."""
    by_role: dict[str, tuple[list[Turn], list[Turn]]] = {}
    for turn in turns:
        if turn.verdict is None and turn.status == "answered":
            bad, good = by_role.setdefault(turn.route.role, ([], []))
            (bad if turn.id in failed else good).append(turn)
    found = [Seen(role, tuple(bad[::-1]), tuple(sorted(good, key=lambda turn: turn.id in praised)[::-1]))
             for role, (bad, good) in by_role.items() if len(bad) >= FEWEST]
    return sorted(found, key=lambda one: (-len(one.failures), one.role))


def is_off(asked: int, valid: int) -> bool:
    """Whether a core has shown that it cannot do this."""
    return asked >= ASKED and valid < VALID * asked


def ask(engine: Engine, role_map: RoleMap, one: Seen, past: Sequence[Proposal], *, seed: int = 0,
        cancel: Callable[[], bool] = never) -> Asked:
    """Let the core propose one change of one role. `past`: what was proposed before."""
    role = role_map.role(one.role)
    bad, good = one.failures[:SHOWN], one.successes[:SHOWN]
    language = _language(bad)
    asked = prompt_of(engine.family, _messages(role, bad, good, language))
    sampling = Sampling(temperature=0.7, max_tokens=TOKENS, seed=seed)
    try:
        pieces = list(engine.stream(asked, sampling, schema=schema(role, len(bad), language), cancel=cancel))
    except (PromptTooLong, ContextFull) as error:
        return Asked(None, error.what)
    written, finish = "".join(piece.text for piece in pieces), pieces[-1].finish
    if finish != "stop":
        return Asked(None, "it did not come to its end")
    try:
        operation, turns = _read(written, role, bad, language)
        _own_words(operation, [*bad, *good])
        operations.apply(operation, role_map)
    except UsageError as error:
        return Asked(None, error.what)
    made = Proposal(operation, role_map.version, "core", datetime.now(UTC), tuple(turn.id for turn in turns),
                    why={spoken: words.format(n=len(turns)) for spoken, words in _WHY.items()})
    if any(_says_the_same(operation, other.operation) for other in past):
        return Asked(None, "it was proposed before")
    return Asked(made)


# ---- what the core reads and may write ---------------------------------------------------------------------------

def schema(role: Role, failures: int, language: str) -> dict[str, Any]:
    """JSON schema of an answer: numbers of failures, and one of five kinds of change."""
    sections = {"enum": list(SECTIONS)}
    kinds: list[dict[str, Any]] = [
        {"op": {"const": "add_prompt_rule"}, "section": sections, "text": _line(RULE)},
        {"op": {"const": "edit_prompt_section"}, "section": sections, "text": _line(SECTION)},
        {"op": {"const": "set_sampling"}, "value": {"enum": list(TEMPERATURES)}},
        {"op": {"const": "add_routing_example"}, "turn": {"enum": list(range(1, failures + 1))}}]
    if rules := _rules(role, language):
        kinds.append({"op": {"const": "remove_prompt_rule"}, "rule": {"enum": list(range(1, len(rules) + 1))}})
    numbers = {"type": "array", "items": {"enum": list(range(1, failures + 1))}, "minItems": FEWEST,
               "maxItems": failures}
    return _object({"turns": numbers, "change": {"anyOf": [_object(kind) for kind in kinds]}})


def _object(properties: dict[str, Any]) -> dict[str, Any]:
    return {"type": "object", "additionalProperties": False, "required": list(properties), "properties": properties}


def _line(longest: int) -> dict[str, Any]:
    return {"type": "string", "pattern": f'^[^"\\\\\\n\\t ][^"\\\\\\n\\t]{{0,{longest - 1}}}$'}


def _messages(role: Role, bad: Sequence[Turn], good: Sequence[Turn], language: str) -> list[tuple[str, str]]:
    system, about, wrong, well, exchange, order = _WORDS[language]
    rules = "\n".join(f"{number}. {rule}" for number, (_, rule) in enumerate(_rules(role, language), 1))
    told = [about.format(title=role.title.of(language), purpose=role.purpose.of(language), rules=rules)]
    for heading, turns in ((wrong, bad), (well, good)):
        if turns:
            told += [heading, *(f"{number}. " + exchange.format(q=turn.question[:_CUT], a=turn.answer[:_CUT])
                                for number, turn in enumerate(turns, 1))]
    return [("system", system), ("user", "\n\n".join([*told, order]))]


def _rules(role: Role, language: str) -> list[tuple[str, str]]:
    """(section, sentence) of a role's instructions in a language."""
    part = getattr(role.sections, language)
    return [(name, said[start:end]) for name in SECTIONS if (said := getattr(part, name))
            for start, end in text.sentences(said)]


def _language(turns: Sequence[Turn]) -> str:
    russian = sum(text.language(turn.question) == "ru" for turn in turns)
    return "ru" if 2 * russian > len(turns) else "en"


# ---- what counts of it ---------------------------------------------------------------------------------------------

def _read(written: str, role: Role, bad: Sequence[Turn], language: str) -> tuple[Operation, list[Turn]]:
    """The operation and the failures it rests on. Raises UsageError for what is not usable."""
    if "<think" in written or "</think" in written:
        raise UsageError("There are thoughts in it.")
    try:
        made = json.loads(written)
        numbers, change = sorted(set(made["turns"])), dict(made["change"])
        turns = [bad[number - 1] for number in numbers if 1 <= number <= len(bad)]
        slots: dict[str, Any] = {"op": change.pop("op"), "role": role.id, **_slots(change, role, bad, language)}
    except (ValueError, TypeError, KeyError, IndexError, AttributeError) as error:
        raise UsageError("It has not the form asked for.") from error
    if len(turns) < FEWEST:
        raise UsageError("It rests on fewer than three messages.")
    return operations.parse(slots), turns


def _slots(change: Mapping[str, Any], role: Role, bad: Sequence[Turn], language: str) -> dict[str, Any]:
    """The fields of an operation from the slots of an answer."""
    if "rule" in change:
        section, rule = _rules(role, language)[change["rule"] - 1]
        return {"language": language, "section": section, "text": rule}
    if "turn" in change:
        return {"text": bad[change["turn"] - 1].question}
    if "value" in change:
        return {"field": "temperature", "value": float(change["value"])}
    return {"language": language, "section": change["section"], "text": change["text"]}


def _own_words(operation: Operation, turns: Sequence[Turn]) -> None:
    """Raise where a text that the core wrote repeats what was said."""
    if operation.op not in ("add_prompt_rule", "edit_prompt_section"):
        return
    written = runs(_said(operation), RUN)
    if any(written & runs(said, RUN) for turn in turns for said in (turn.question, turn.answer)):
        raise UsageError("It copies words of the conversation.")


def _says_the_same(one: Operation, other: Operation) -> bool:
    """Whether two operations would do the same: of one kind to one target, and of texts that say the same in the same
    words."""
    if one.op != other.op or operations.target(one) != operations.target(other):
        return False
    if one == other:
        return True
    left, right = (Counter(text.stems(_said(each))) for each in (one, other))
    both = sum(left[word] * right[word] for word in left)
    return both > ALIKE * sqrt(sum(n * n for n in left.values()) * sum(n * n for n in right.values())) and both > 0


def _said(operation: Operation) -> str:
    return str(getattr(operation, "text", ""))
