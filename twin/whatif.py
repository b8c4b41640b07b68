"""What if: a change that is only measured, never applied - "16 roles", "8 experts", "temperature 0.3 for critic", or an
operation as JSON - with a row in the ledger whose prediction stands before anything is measured.

What a machine can tell in a minute is measured (tokens, seconds, cells, bits, routes); what it cannot is named, with
what it would take. Engine, proof and texts come in by argument; the map and its history are not even at hand.
"""
from __future__ import annotations

import html
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

from twin import operations
from twin.calibration import effective_votes
from twin.errors import TwinError, UsageError
from twin.evidence import Said
from twin.ledger import Entry, Ledger, Measurement, Plan, Prediction
from twin.operations import Operation
from twin.proposals import Proof
from twin.roles import RoleMap
from twin.trying import Figure, experts_against, roles_against
from twin.types import Engine, Progress, never

Kind = Literal["roles", "experts", "operation"]
MOST = 64  # roles or experts that are asked about
_ROLES = re.compile(r"(\d{1,6})\s+(?:roles?|рол(?:ь|и|ей))")
_EXPERTS = re.compile(r"(\d{1,6})\s+(?:(?:active|активн\w+)\s+)?(?:experts?|эксперт\w*)")
_TEMPERATURE = re.compile(r"(?:temperature|температур[аыу])\s+(\d(?:[.,]\d+)?)\s+(?:for|of|для|у)\s+(?:роли\s+)?(.+)")
_HIGH_MIRRORED = "upper end mirrored from the one-sided lower bound"

_WORDS: Mapping[str, Mapping[str, str]] = {
    "en": {
        "roles": "A council of {n} roles reads at most {ratio:g} times the tokens of one of {now}.",
        "experts": "{n} active experts instead of the core's own number foresee your own words better.",
        "operation": "This change is worth it on data it was not made from: {said}",
        "no accuracy": "Whether the answers are better: that takes about 300 questions with known answers, asked of "
                       "both councils (the ledger's entry roles-16-against-4 says how).",
        "votes": "Roles of one core are not independent: {n} count as {votes:.1f} votes, {now} as {before:.1f} "
                 "(reckoned with a correlation of .44, not measured here).",
        "no engine": "Nothing of it: no core is loaded.",
        "no reopen": "Nothing of it: the core cannot be loaded here with another number of experts.",
        "no texts": "Whether it foresees your words better: there are none of yours to score yet.",
        "no proof": "Nothing of it: there is no proof at hand.",
        "no metric": "This kind of change shows only in use ({metric}): try it for some turns.",
        "little": "Whether it is worth it: {reason}", "failed": "Not measured: {reason}",
        "never": "Only measured; the role map is as it was.", "measured": "Measured here:", "cannot": "Not measured:",
        "row": "Ledger: {id}, {verdict}."},
    "ru": {
        "roles": "Совет из {n} ролей читает не больше чем в {ratio:g} раза больше токенов, чем совет из {now}.",
        "experts": "{n} активных экспертов вместо того числа, с которым обучено ядро, лучше предвидят ваши слова.",
        "operation": "Это изменение окупается на данных, из которых оно не сделано: {said}",
        "no accuracy": "Станут ли ответы лучше: для этого нужно около 300 вопросов с известными ответами, заданных "
                       "обоим советам (как - сказано в записи roles-16-against-4).",
        "votes": "Роли одного ядра не независимы: {n} стоят {votes:.1f} голоса, {now} - {before:.1f} (посчитано при "
                 "корреляции 0,44, здесь не измерено).",
        "no engine": "Ничего: ядро не загружено.",
        "no reopen": "Ничего: загрузить здесь ядро с другим числом экспертов нечем.",
        "no texts": "Лучше ли предвидятся ваши слова: их пока нет.",
        "no proof": "Ничего: доказывать здесь нечем.",
        "no metric": "Такое изменение видно только в деле ({metric}): попробуйте его на нескольких ходах.",
        "little": "Окупается ли оно: {reason}", "failed": "Не измерено: {reason}",
        "never": "Только измерено; карта ролей осталась прежней.", "measured": "Измерено здесь:",
        "cannot": "Не измерено:", "row": "Реестр: {id}, {verdict}."}}


@dataclass(frozen=True)
class Asked:
    """What is asked: so many roles or experts, or an operation."""

    kind: Kind
    n: int = 0
    operation: Operation | None = None


@dataclass(frozen=True)
class Means:
    """What it can be measured with; what is None cannot be. `prove` runs a proof without opening a window; `reopen`
    loads the same core with so many active experts; `texts` are the person's words that are scored."""

    ledger: Ledger
    engine: Engine | None = None
    prove: Callable[[Operation], Proof] | None = None
    reopen: Callable[[int], Engine] | None = None
    texts: Sequence[Said] = field(default=(), repr=False)
    environment: str = ""


@dataclass(frozen=True)
class WhatIf:
    """What came of it: figures, what could not be measured (by language), the ledger's row, an operation's proof."""

    asked: Asked
    entry: Entry
    figures: tuple[Figure, ...] = ()
    cannot: tuple[Mapping[str, str], ...] = ()
    proof: Proof | None = None

    def say(self, language: str = "en") -> str:
        """All of it in words."""
        words = _WORDS[language]
        lines = [self.entry.say(language), words["never"]]
        lines += [words["measured"], *(f"- {one.say(language)}" for one in self.figures)] if self.figures else []
        lines += [words["cannot"], *(f"- {one[language]}" for one in self.cannot)] if self.cannot else []
        return "\n".join([*lines, words["row"].format(id=self.entry.id, verdict=self.entry.verdict)])

    def __str__(self) -> str:
        return self.say()

    def _repr_html_(self) -> str:
        return f"<pre style='white-space:pre-wrap'>{html.escape(self.say())}</pre>"


# ---- what is asked -----------------------------------------------------------------------------------------------

def read(text: str, role_map: RoleMap) -> Asked:
    """"16 roles", "8 experts", "temperature 0.3 for critic", in English or Russian (a role by id or title), or an
    operation as JSON. Raises UsageError for anything else, for what cannot be and for what would change nothing."""
    said = " ".join(text.split())
    if said.startswith("{"):
        return _of_operation(operations.parse(text), role_map)
    plain = said.casefold().rstrip(".?! ")
    for kind, pattern in (("roles", _ROLES), ("experts", _EXPERTS)):
        if found := pattern.fullmatch(plain):
            return _counted("roles" if kind == "roles" else "experts", int(found[1]))
    if found := _TEMPERATURE.fullmatch(plain):
        value = float(found[1].replace(",", "."))
        return _of_operation(operations.parse({"op": "set_sampling", "role": _role(found[2], role_map),
                                               "field": "temperature", "value": value}), role_map)
    raise UsageError("That is no what-if that can be measured.",
                     'Ask "16 roles", "8 experts", "temperature 0.3 for critic", or give an operation as JSON.')


def _counted(kind: Kind, n: int) -> Asked:
    if not 1 <= n <= MOST:
        raise UsageError(f"{n} {kind} are not tried here.", f"Ask about 1 to {MOST}.")
    return Asked(kind, n)


def _of_operation(operation: Operation, role_map: RoleMap) -> Asked:
    if operation.op != "set_adapter":  # which adapters are registered is the proof's to know
        operations.apply(operation, role_map)
    return Asked("operation", 0, operation)


def _role(said: str, role_map: RoleMap) -> str:
    for role in role_map.roles:
        if said in (role.id, role.title.en.casefold(), role.title.ru.casefold()):
            return role.id
    return role_map.role(said).id  # says which there are


# ---- what comes of it --------------------------------------------------------------------------------------------

def what_if(asked: Asked, role_map: RoleMap, means: Means, *, progress: Progress | None = None,
            cancel: Callable[[], bool] = never) -> WhatIf:
    """Enter the prediction, measure what can be measured, enter that. Raises what the ledger raises; a measurement that
    fails is told among what could not be measured."""
    if asked.kind == "roles":
        return _roles(asked, role_map, means, progress or (lambda *_: None), cancel)
    if asked.kind == "experts":
        return _experts(asked, means, progress or (lambda *_: None), cancel)
    return _operation(asked, means)


def _roles(asked: Asked, role_map: RoleMap, means: Means, progress: Progress, cancel: Callable[[], bool]) -> WhatIf:
    n, now = asked.n, min(role_map.council.max_n, len(role_map.roles))
    if n == now:
        raise UsageError(f"A council has {now} roles as it is.", "Ask about another number.")
    claim = _both("roles", n=n, now=now, ratio=round(n / now, 3))
    told = [_both("votes", n=n, now=now, votes=effective_votes(n), before=effective_votes(now)), _both("no accuracy")]
    predicted = Prediction(f"prompt tokens computed, {n} roles against {now}", "down", n / now, "times")
    entry = _entered(means, claim, predicted, "one question after a conversation, cold, in turns", f"{n} roles")
    if means.engine is None:
        return WhatIf(asked, entry, (), (_both("no engine"), *told))
    try:
        figures = roles_against(means.engine, role_map, n, now, progress, cancel)
    except TwinError as error:
        return WhatIf(asked, entry, (), (_both("failed", reason=str(error)), *told))
    return WhatIf(asked, _measured(means, entry, figures[0]), figures, tuple(told))


def _experts(asked: Asked, means: Means, progress: Progress, cancel: Callable[[], bool]) -> WhatIf:
    predicted = Prediction(f"bits a character of own words, {asked.n} experts against the core's own number", "down",
                           0.0, "bits")
    entry = _entered(means, _both("experts", n=asked.n), predicted, "Engine.score of the same own words, both ways",
                     f"{asked.n} experts")
    lacks = "no engine" if means.engine is None else "no reopen" if means.reopen is None else ""
    if lacks or not means.texts:
        return WhatIf(asked, entry, (), (_both(lacks or "no texts"),))
    assert means.engine is not None and means.reopen is not None  # noqa: S101 - looked at above
    reopen = means.reopen
    try:
        figures = experts_against(means.engine, lambda: reopen(asked.n), means.texts, progress, cancel)
    except TwinError as error:
        return WhatIf(asked, entry, (), (_both("failed", reason=str(error)),))
    return WhatIf(asked, _measured(means, entry, figures[0]), figures)


def _operation(asked: Asked, means: Means) -> WhatIf:
    operation = asked.operation
    assert operation is not None  # noqa: S101 - of this kind
    metric = operations.metric(operation)
    claim = {language: _WORDS[language]["operation"].format(said=operations.say(operation, language))
             for language in ("en", "ru")}
    entry = _entered(means, claim, Prediction(f"{metric}: gain a paired item", "up", 0.0, ""),
                     "a proof on conversations it was not made from", f"{operation.op} {operations.target(operation)}")
    if metric not in ("router", "bits"):
        return WhatIf(asked, entry, (), (_both("no metric", metric=metric),))
    if means.prove is None:
        return WhatIf(asked, entry, (), (_both("no proof"),))
    proof = means.prove(operation)
    figures = tuple(Figure(one.metric, one.value, one.low, 2 * one.value - one.low, one.n)
                    for one in (proof.gain, *proof.others) if one is not None and one.n)
    reason = {language: _WORDS[language]["little"].format(reason=proof.reason[language]) for language in ("en", "ru")}
    if proof.gain is None or not figures or figures[0].low != figures[0].low:
        return WhatIf(asked, entry, figures, (reason,), proof)
    entry = _measured(means, entry, figures[0], _HIGH_MIRRORED)
    return WhatIf(asked, entry, figures, (reason,) if proof.verdict == "unproven" else (), proof)


def _entered(means: Means, claim: Mapping[str, str], prediction: Prediction, command: str, source: str) -> Entry:
    """The row, frozen before anything is measured; asked again it is the same row."""
    return means.ledger.add(claim, prediction, Plan(f"twin whatif: {command}"), source=f"what if: {source}")[0]


def _measured(means: Means, entry: Entry, figure: Figure, note: str = "") -> Entry:
    where = "; ".join(part for part in (means.environment, note) if part)
    return means.ledger.measure(entry.id, Measurement(figure.value, figure.low, figure.high, figure.n, where))


def _both(name: str, **parts: object) -> dict[str, str]:
    return {language: _WORDS[language][name].format(**parts) for language in ("en", "ru")}
