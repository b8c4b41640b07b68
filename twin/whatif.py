"""What if: a change that is only measured, never applied - "16 roles", "8 experts", "temperature 0.3 for critic", or an
operation as JSON - with a row in the ledger whose prediction stands before anything is measured.

What a machine can tell in a minute is measured (tokens, seconds, cells, bits, routes); what it cannot is named, with
what it would take. Engine, proof and texts come in by argument; the map and its history are not even at hand.
"""
from __future__ import annotations

import html
import math
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
_DECIDED = {"accepted": 1.0, "rejected": -1.0}  # what a proof's verdict is in the ledger; unproven decides nothing

_WORDS: Mapping[str, Mapping[str, str]] = {
    "en": {
        "predicted": "Predicted: {claim}",
        "roles": "A council of {n} reads at most {ratio:g} times the tokens of one of {now}.",
        "experts": "With the number of active experts at {n}, not the core's own, your own words are foreseen better.",
        "operation": "This change is worth it on data it was not made from: {said}",
        "no accuracy": "Whether the answers are better: that takes about 300 questions with known answers, asked of "
                       "both councils (the ledger's entry roles-16-against-4 says how).",
        "votes": "Roles of one core are not independent; worth in votes: {votes:.1f} for {n}, {before:.1f} for {now} "
                 "(reckoned with a correlation of 0.44, not measured here).",
        "no engine": "All of it: no core is loaded.",
        "no reopen": "All of it: the core cannot be loaded here with another number of experts.",
        "no texts": "Whether it foresees your words better: there are none of yours to score yet.",
        "no proof": "All of it: there is no proof at hand.",
        "no metric": "This kind of change shows only in use ({metric}): try it for some turns.",
        "unproven": "Whether it is worth it: {reason}", "proof": "Proof: {reason}", "failed": "All of it: {reason}",
        "never": "Only measured; the role map is as it was.", "measured": "Measured here:", "cannot": "Not measured:",
        "row": "Ledger: {id}, {verdict}."},
    "ru": {
        "predicted": "Предсказано: {claim}",
        "roles": "При числе ролей {n} совет читает токенов не больше {ratio:g} на каждый токен совета, где ролей "
                 "{now}.",
        "experts": "Если активных экспертов {n}, а не столько, с каким числом обучено ядро, ваши слова предвидятся "
                   "лучше.",
        "operation": "Это изменение окупается на данных, из которых оно не сделано: {said}",
        "no accuracy": "Станут ли ответы лучше: для этого нужно около 300 вопросов с известными ответами, заданных "
                       "обоим советам (как - сказано в записи roles-16-against-4).",
        "votes": "Роли одного ядра не независимы; цена в голосах: {votes:.1f} за {n}, {before:.1f} за {now} "
                 "(посчитано при корреляции 0.44, здесь не измерено).",
        "no engine": "Всё: ядро не загружено.",
        "no reopen": "Всё: загрузить здесь ядро с другим числом экспертов нечем.",
        "no texts": "Лучше ли предвидятся ваши слова: их пока нет.",
        "no proof": "Всё: доказывать здесь нечем.",
        "no metric": "Такое изменение видно только в деле ({metric}): попробуйте его на нескольких ходах.",
        "unproven": "Окупается ли оно: {reason}", "proof": "Проверка: {reason}", "failed": "Всё: {reason}",
        "never": "Только измерено; карта ролей осталась прежней.", "measured": "Измерено здесь:",
        "cannot": "Не измерено:", "row": "Журнал гипотез: {id}, {verdict}."}}
_VERDICTS: Mapping[str, str] = {
    "open": "не решено", "supported": "подтверждено", "refuted": "опровергнуто", "inconclusive": "неясно",
    "not_measurable": "измерить нечем", "reported": "сообщают другие"}


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
    """What came of it: figures, what could not be measured (by language), the ledger's row, an operation's proof;
    `stopped`: before all was measured."""

    asked: Asked
    entry: Entry
    figures: tuple[Figure, ...] = ()
    cannot: tuple[Mapping[str, str], ...] = ()
    proof: Proof | None = None
    stopped: bool = False

    def say(self, language: str = "en") -> str:
        """All of it in words."""
        words = _WORDS[language]
        lines = [words["predicted"].format(claim=self.entry.say(language)), words["never"]]
        for head, some in (("measured", [*self._decided(language), *(one.say(language) for one in self.figures)]),
                           ("cannot", [one[language] for one in self.cannot])):
            lines += [words[head], *(f"- {one}" for one in some)] if some else []
        verdict = _VERDICTS[self.entry.verdict] if language == "ru" else self.entry.verdict.replace("_", " ")
        return "\n".join([*lines, words["row"].format(id=self.entry.id, verdict=verdict)])

    def _decided(self, language: str) -> list[str]:
        """What the proof found, where it found anything."""
        decided = self.proof is not None and self.proof.verdict in _DECIDED
        return [_WORDS[language]["proof"].format(reason=self.proof.reason[language])] if decided and self.proof else []

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
    return _operation(asked, means, cancel)


def _roles(asked: Asked, role_map: RoleMap, means: Means, progress: Progress, cancel: Callable[[], bool]) -> WhatIf:
    n, now = asked.n, min(role_map.council.max_n, len(role_map.roles))
    if n == now:
        raise UsageError(f"A council has that many roles as it is: {now}.", "Ask about another number.")
    claim = _both("roles", n=n, now=now, ratio=round(n / now, 3))
    told = [_both("votes", n=n, now=now, votes=effective_votes(n), before=effective_votes(now)), _both("no accuracy")]
    predicted = Prediction(f"prompt tokens computed, a council of {n} against one of {now}", "down", n / now, "times")
    entry = _entered(means, claim, predicted, "one question after a conversation, cold, in turns", f"roles: {n}")
    if means.engine is None:
        return WhatIf(asked, entry, (), (_both("no engine"), *told))
    try:
        figures = roles_against(means.engine, role_map, n, now, progress, cancel)
    except TwinError as error:
        return WhatIf(asked, entry, (), (_both("failed", reason=str(error)), *told), stopped=cancel())
    return WhatIf(asked, _measured(means, entry, figures[0]), figures, tuple(told))


def _experts(asked: Asked, means: Means, progress: Progress, cancel: Callable[[], bool]) -> WhatIf:
    predicted = Prediction(f"bits a character of own words, active experts {asked.n} against the core's own number",
                           "down", 0.0, "bits")
    entry = _entered(means, _both("experts", n=asked.n), predicted, "Engine.score of the same own words, both ways",
                     f"experts: {asked.n}")
    lacks = "no engine" if means.engine is None else "no reopen" if means.reopen is None else ""
    if lacks or not means.texts:
        return WhatIf(asked, entry, (), (_both(lacks or "no texts"),))
    assert means.engine is not None and means.reopen is not None  # noqa: S101 - looked at above
    reopen = means.reopen
    try:
        figures = experts_against(means.engine, lambda: reopen(asked.n), means.texts, progress, cancel)
    except TwinError as error:
        return WhatIf(asked, entry, (), (_both("failed", reason=str(error)),), stopped=cancel())
    return WhatIf(asked, _measured(means, entry, figures[0]), figures)


def _operation(asked: Asked, means: Means, cancel: Callable[[], bool]) -> WhatIf:
    operation = asked.operation
    assert operation is not None  # noqa: S101 - of this kind
    metric = operations.metric(operation)
    claim = {language: _WORDS[language]["operation"].format(said=operations.say(operation, language))
             for language in ("en", "ru")}
    # Of the verdict, not of the gain: what gains for sure is rejected where something else gets worse.
    entry = _entered(means, claim, Prediction(f"verdict of the proof on {metric}: 1 accepted, -1 rejected", "up", 0.0),
                     "a proof on conversations it was not made from", f"{operation.op} {operations.target(operation)}")
    if metric not in ("router", "bits"):
        return WhatIf(asked, entry, (), (_both("no metric", metric=metric),))
    if means.prove is None:
        return WhatIf(asked, entry, (), (_both("no proof"),))
    try:
        proof = means.prove(operation)
    except TwinError as error:
        return WhatIf(asked, entry, (), (_both("failed", reason=str(error)),), stopped=cancel())
    figures = tuple(Figure(one.metric, one.value, one.low, math.nan, one.n, one.level)
                    for one in (proof.gain, *proof.others) if one is not None and one.n)
    if (value := _DECIDED.get(proof.verdict)) is not None:
        found = "; ".join([proof.stage, f"evaluator {proof.evaluator[:12]}", *(one.say() for one in figures)])
        return WhatIf(asked, _measured(means, entry, Figure("verdict", value, value, value, 1), found), figures, (),
                      proof)
    reason = {language: _WORDS[language]["unproven"].format(reason=proof.reason[language]) for language in ("en", "ru")}
    return WhatIf(asked, entry, figures, (reason,), proof)


def _entered(means: Means, claim: Mapping[str, str], prediction: Prediction, command: str, source: str) -> Entry:
    """The row, frozen before anything is measured; asked again it is the same row."""
    return means.ledger.add(claim, prediction, Plan(f"twin whatif: {command}"), source=f"what if: {source}")[0]


def _measured(means: Means, entry: Entry, figure: Figure, note: str = "") -> Entry:
    where = "; ".join(part for part in (means.environment, note) if part)
    return means.ledger.measure(entry.id, Measurement(figure.value, figure.low, figure.high, figure.n, where))


def _both(name: str, **parts: object) -> dict[str, str]:
    return {language: _WORDS[language][name].format(**parts) for language in ("en", "ru")}
