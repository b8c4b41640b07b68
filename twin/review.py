"""Review: one proposal as a decision needs it - what would change, in words; what its proof found, in numbers; what got
worse; what it costs; three items before and after. Says it in Russian and English. Decides nothing.
"""
from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Literal

from twin import operations
from twin.archive.proposals import WINDOW
from twin.errors import RoleError, UsageError
from twin.proposals import Gain, Proof, Sample, State
from twin.role_changes import changes
from twin.text import one_line

if TYPE_CHECKING:
    from twin.consent import Trial
    from twin.reflection import Reflection

SAMPLES = 3
SHOWN = 240  # characters of an item, and of what a map makes of it
_STATES: dict[str, dict[State, str]] = {
    "en": {"open": "not proven yet", "accepted": "proven", "rejected": "rejected by its proof", "unproven": "unproven",
           "declined": "declined", "on trial": "on trial", "applied": "in force", "rolled back": "taken back",
           "stale": "for an earlier map"},
    "ru": {"open": "ещё не проверено", "accepted": "доказано", "rejected": "отвергнуто проверкой",
           "unproven": "не доказано", "declined": "отклонено", "on trial": "на пробе", "applied": "действует",
           "rolled back": "возвращено", "stale": "для прежней карты"}}
_NAMES = {
    "en": {"router": "right routes", "bits": "bits a token saved", "bits of next": "bits a token saved, your messages",
           "bits of kept": "bits a token saved, answers you kept", "feedback": "good ratings",
           "header tokens": "tokens of the instructions saved (share)", "before": "the map before",
           "after": "the map after", "most common": "always the commonest role", "default": "no instructions",
           "placebo": "neutral text as long", "n-gram": "order-3 cache model", "probability": "probability of better",
           "changed conversations": "conversations it changes", "rerouted": "share that goes to another role",
           "p": "probability by chance", "header before": "tokens of instructions before", "header after": "after",
           "scorer tokens": "tokens scored", "drift": "difference when scored again", "seconds": "seconds",
           "touched": "texts it changes", "touched in": "conversations", "characters a token": "letters a token"},
    "ru": {"router": "верные маршруты", "bits": "сэкономлено бит на токен",
           "bits of next": "сэкономлено бит на токен ваших сообщений",
           "bits of kept": "сэкономлено бит на токен оставленных ответов", "feedback": "хорошие оценки",
           "header tokens": "сэкономлено токенов инструкций (доля)", "before": "карта до", "after": "карта после",
           "most common": "всегда самая частая роль", "default": "без инструкций",
           "placebo": "нейтральный текст той же длины", "n-gram": "модель букв порядка 3",
           "probability": "вероятность, что лучше",
           "changed conversations": "изменившихся разговоров", "rerouted": "доля ушедших к другой роли",
           "p": "вероятность случайности", "characters a token": "букв на токен",
           "header before": "токенов инструкций до", "header after": "после", "scorer tokens": "токенов оценщика",
           "drift": "расхождение при повторе", "seconds": "секунд", "touched": "затронуто текстов",
           "touched in": "разговоров"}}
_ORIGINS = {"en": {"owner": "you", "core": "the core", "evolution": "a search among maps", "watchdog": "the watchdog",
                   "miner": "rule"},
            "ru": {"owner": "вы", "core": "ядро", "evolution": "поиск среди карт", "watchdog": "наблюдение",
                   "miner": "правило"}}
_WORDS = {
    "en": {"by": "Asked for by {origin}, {day}", "why": "Why: {why}", "evidence": "rests on {n} things you typed",
           "risk": "High risk: look at it twice.", "diff": "What changes:", "nothing": "  nothing in the map",
           "proof": "Proof: {verdict}", "gain": "  {name}: {value:+.3f}, at least {low:+.3f} with {level} "
           "certainty; {n} items in {clusters} conversations", "value": "  {name}: {value:+.3f}; {n} items in "
           "{clusters} conversations", "no value": "  {name}: nothing to compare with; {n} items in {clusters} "
           "conversations", "worse": "What got worse:",
           "no worse": "What got worse: nothing that was measured.", "needed": "  about {n} more turns are needed",
           "controls": "Beside it: {controls}", "samples": "Before and after:", "cost": "Cost: {cost}",
           "window": "Proof data {window}, use {use} of {of}.", "none": "Not proven yet: twin proposals prove {id}",
           "stale": "It was made for another map than the one in force; proving it makes it again for that one.",
           "broken": "It does not fit the map in force: {what}", "state": "State: {state}"},
    "ru": {"by": "Кто предложил: {origin}, {day}", "why": "Почему: {why}", "evidence": "основано на ваших словах: {n}",
           "risk": "Высокий риск: посмотрите дважды.", "diff": "Что изменится:", "nothing": "  в карте ничего",
           "proof": "Проверка: {verdict}",
           "gain": "  {name}: {value:+.3f}, не меньше {low:+.3f} с уверенностью {level}; примеров {n}, "
           "разговоров {clusters}", "value": "  {name}: {value:+.3f}; примеров {n}, разговоров {clusters}",
           "no value": "  {name}: сравнить не с чем; примеров {n}, разговоров {clusters}", "worse": "Что стало хуже:",
           "no worse": "Что стало хуже: из измеренного ничего.", "needed": "  нужно ещё около {n} сообщений",
           "controls": "Для сравнения: {controls}", "samples": "До и после:", "cost": "Цена: {cost}",
           "window": "Данные проверки {window}, использование {use} из {of}.",
           "none": "Ещё не проверено: twin proposals prove {id}",
           "stale": "Сделано не для той карты, что действует; проверка сделает его заново для неё.",
           "broken": "К действующей карте не подходит: {what}", "state": "Состояние: {state}"}}


@dataclass(frozen=True)
class Review:
    """`says` and `diff` by language; `worse`: what lost in the proof; `base`: the map it was made for, `fits` whether
    that is in force; `broken`: why it cannot be applied to it. `str` is the English text."""

    id: str
    hash: str
    base: str
    op: str
    target: str
    origin: str
    risk: Literal["low", "high"]
    state: State
    made: datetime
    evidence: tuple[str, ...]
    says: dict[str, str] = field(repr=False)
    why: dict[str, str] = field(repr=False)
    diff: dict[str, tuple[str, ...]] = field(repr=False)
    fits: bool = True
    broken: str = ""
    proof: Proof | None = None
    trial: Trial | None = None

    @property
    def worse(self) -> tuple[Gain, ...]:
        """What lost in the proof, the most first."""
        return tuple(sorted((one for one in (self.proof.others if self.proof else ()) if one.value < 0),
                            key=lambda one: one.value))

    @property
    def samples(self) -> tuple[Sample, ...]:
        """Three items before and after."""
        return self.proof.samples[:SAMPLES] if self.proof else ()

    def text(self, language: str = "en") -> str:
        """All of it, line by line."""
        spoken = "ru" if language == "ru" else "en"
        return "\n".join([*self._about(spoken), *(self._proven(spoken) if self.proof else [
            _WORDS[spoken]["none"].format(id=self.id)] if self.state == "open" else [])])

    def __str__(self) -> str:
        return self.text()

    def _about(self, spoken: str) -> Iterator[str]:
        words = _WORDS[spoken]
        yield f"{self.id}  {self.says[spoken]}"
        yield words["state"].format(state=_STATES[spoken][self.state])
        if self.trial is not None:
            yield self.trial.say(spoken)
        about = words["by"].format(origin=_origin(self.origin, spoken), day=f"{self.made:%Y-%m-%d}")
        yield f"{about}; {words['evidence'].format(n=len(self.evidence))}." if self.evidence else f"{about}."
        if why := self.why.get(spoken):
            yield words["why"].format(why=why)
        if self.risk == "high":
            yield words["risk"]
        if self.broken:
            yield words["broken"].format(what=self.broken)
        elif not self.fits and self.state in ("open", "accepted", "unproven", "rejected", "stale"):
            yield words["stale"]
        yield words["diff"]
        yield from (f"  {line}" for line in self.diff[spoken])
        if not self.diff[spoken]:
            yield words["nothing"]

    def _proven(self, spoken: str) -> Iterator[str]:
        assert self.proof is not None  # noqa: S101 - for the type checker
        words, proof = _WORDS[spoken], self.proof
        yield words["proof"].format(verdict=proof.reason.get(spoken, proof.verdict))
        if proof.gain is not None:
            yield _gain(proof.gain, spoken)
        if proof.needed:
            yield words["needed"].format(n=proof.needed)
        yield words["worse"] if self.worse else words["no worse"]
        yield from (_gain(one, spoken) for one in self.worse)
        if proof.controls:
            yield words["controls"].format(controls=_figures(proof.controls, spoken))
        if self.samples:
            yield words["samples"]
            for one in self.samples:
                about, before, after = (_short(said) for said in (one.about, one.before, one.after))
                yield f"  {about}\n    {before} -> {after}"
        if proof.cost:
            yield words["cost"].format(cost=_figures(proof.cost, spoken))
        if proof.window:
            yield words["window"].format(window=proof.window, use=proof.use, of=WINDOW)


def state(name: State, language: str = "en") -> str:
    """What became of a proposal, in words."""
    return _STATES["ru" if language == "ru" else "en"][name]


def of(reflection: Reflection, name: str) -> Review:
    """The review of a proposal, as things stand now."""
    reflection.settle()
    stored = reflection.archive.proposal(name)
    proposal, now, trial = stored.proposal, reflection.book.current(), reflection.trial()
    in_force = stored.state in ("applied", "on trial")
    diff: dict[str, tuple[str, ...]] = {"en": (), "ru": ()}
    broken = ""
    try:
        before = reflection.base_of(stored) if in_force else now
        after = operations.apply(proposal.operation, before, adapters=reflection.registered())
        diff = {spoken: tuple(changes(before, after, spoken)) for spoken in diff}
    except (UsageError, RoleError) as error:
        broken = error.what if stored.state in ("open", "accepted", "unproven", "rejected", "stale") else ""
    return Review(
        proposal.id, proposal.hash, proposal.base, proposal.operation.op, proposal.target, proposal.origin,
        operations.risk(proposal.operation), stored.state, proposal.made, proposal.evidence,
        {spoken: proposal.say(spoken) for spoken in diff}, dict(proposal.why), diff,
        in_force or proposal.base == now.version, broken, stored.proofs[-1] if stored.proofs else None,
        trial if trial is not None and trial.proposal == proposal.id else None)


def _gain(one: Gain, spoken: str) -> str:
    form = "no value" if math.isnan(one.value) else "value" if not math.isfinite(one.low) else "gain"
    return _WORDS[spoken][form].format(name=_NAMES[spoken].get(one.metric, one.metric), value=one.value, low=one.low,
                                       level=f"{100 * one.level:.6g}%", n=one.n, clusters=one.clusters)


def _short(said: str) -> str:
    """On one line: no message may look like a line of the review."""
    flat = one_line(said)
    return flat if len(flat) <= SHOWN else f"{flat[:SHOWN - 1]}…"


def _figures(figures: Mapping[str, float], spoken: str) -> str:
    return ", ".join(f"{_NAMES[spoken].get(name, name)} {value:.3g}" for name, value in figures.items()
                     if math.isfinite(value))


def _origin(name: str, spoken: str) -> str:
    kind, _, which = name.partition(":")
    return f"{_ORIGINS[spoken].get(kind, kind)} {which}".rstrip()
