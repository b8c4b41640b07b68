"""Profile -> where the person's questions stand on the ladder of depth: a headline, and a table of the seven levels.

Everything follows printed rules over counts. A position names a kind of question, never the worth of a person.
Knows nothing of how it is shown.
"""
from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from twin.cues import plain
from twin.person import DepthOf, Profile
from twin.text import language as spoken
from twin.timeline import binomial, log_choose

Status = Literal["no", "was", "outgrown", "yes", "now", "edge"]

LEAST = 5        # recent questions; and as many before them, or earlier and now cannot be told apart
SHARE = 0.25     # one recent question in four carries the headline
TAIL = 0.025     # each side of a 95 % interval
CHANCE = 0.05    # a fall this likely by chance is no fall
READ = 2 / 3     # share of the questions that must be in Russian or English: the rules read no other language
READABLE = range(15, 161)  # characters of a question that can stand in a table

POSITIONS: Mapping[str, tuple[str, ...]] = {
    "en": ("operator", "framework builder", "architect", "constructor"),
    "ru": ("оператор", "сборщик каркасов", "архитектор", "конструктор"),
}
_UP_TO = (2.5, 4.5, 6.5)  # whole levels 1-2, then 3-4, 5-6, and 7, rounded as a depth is

TYPICAL: Mapping[str, tuple[str, ...]] = {  # of levels 1..7: the owner's ladder, without its topic
    "en": ("How do I install it?", "How do I run it on the one machine I have?", "How do I attach one more part?",
           "How do I make two parts work together?", "How do I shape the whole?",
           "How do I direct the whole through its parts?", "How does a system come to design itself?"),
    "ru": ("Как это установить?", "Как запустить это на одной машине, которая есть?", "Как подключить ещё одну часть?",
           "Как сделать, чтобы две части работали вместе?", "Как устроить целое?",
           "Как направлять целое через его части?", "Как сделать, чтобы система проектировала саму себя?"),
}
_RULE = {  # with a no-break space before each per cent mark
    "en": "The level is the deepest that at least a quarter of {which} reaches; 1-2 {0}, 3-4 {1}, 5-6 {2}, 7 {3}. "
          "Its 95\u00a0% interval comes from order statistics over the intervals of the single questions; equal "
          "questions count once.",
    "ru": "Уровень - самый глубокий, до которого доходит хотя бы четверть {which}; 1-2 {0}, 3-4 {1}, 5-6 {2}, 7 {3}. "
          "Интервал 95\u00a0% - по порядковым статистикам над интервалами отдельных вопросов; равные вопросы "
          "считаются один раз.",
}
_WHICH = {
    "en": ("your recent questions ({n}: the last third of those with a date, at least 5)",
           "all your questions ({n}, with a date {dated}: too few to tell earlier from now)"),
    "ru": ("последних вопросов ({n}: последняя треть тех, что с датой, не меньше 5)",
           "всех вопросов ({n}, с датой {dated}: слишком мало, чтобы отличить «раньше» от «сейчас»)"),
}
_TABLE_RULE = {
    "en": "Rule: no = never asked; now = the level of the position (from 5 questions on); edge = the deepest level of "
          "the recent questions, if above it; outgrown = below it and clearly rarer than before (Fisher's exact test, "
          "one-sided, p < 0.05); yes = among the recent questions; was = asked before, not recently, which can be "
          "chance.",
    "ru": "Правило: нет = такого вопроса не было; сейчас = уровень позиции (от 5 вопросов); граница = самый глубокий "
          "уровень последних вопросов, если он выше; пройден = ниже него и заметно реже, чем раньше (точный тест "
          "Фишера, односторонний, p < 0.05); да = есть среди последних; был = раньше был, среди последних нет, и это "
          "может быть случайностью.",
}


@dataclass(frozen=True)
class Headline:
    """The position in the profile's language, its level 1..7 with a 95 % interval, the printed rule, the number of
    questions it stands on, the level that half of them reach, the other positions the interval allows, and how many of
    the questions the person confirmed from a portrait."""

    position: str
    level: float
    low: float
    high: float
    rule: str
    n: int
    half: float
    also: tuple[str, ...] = ()
    confirmed: int = 0

    @property
    def step(self) -> int:
        """The whole level of the ladder, 1..7."""
        return min(7, max(1, math.ceil(self.level - 0.5)))


@dataclass(frozen=True)
class LevelRow:
    """One level: its status, how many questions (of them recent), when first and last, one of the person's own, and
    the typical question of the ladder."""

    level: int
    status: Status
    n: int
    recent: int
    first: datetime | None
    last: datetime | None
    example: DepthOf | None
    typical: str


def split(profile: Profile) -> tuple[tuple[DepthOf, ...], tuple[DepthOf, ...]]:
    """(before, recent) questions: recent are the last third of those with a date, at least five. Where that leaves
    fewer than five before them, before is empty and recent is every question, dated or not. Equal ones count once."""
    asked = distinct(profile.questions)
    dated = sorted((q for q in asked if q.evidence.time), key=_when)
    cut = len(dated) - max(LEAST, math.ceil(len(dated) / 3))
    if cut < LEAST:
        return (), asked
    return tuple(dated[:cut]), tuple(dated[cut:])


def deepest(profile: Profile) -> list[DepthOf]:
    """Three questions of the highest levels; of equal ones the shorter, which hides less behind words."""
    return sorted(distinct(profile.questions), key=lambda q: (-q.depth.level, len(q.evidence.quote)))[:3]


def headline(profile: Profile) -> Headline | None:
    """The position the recent questions show; None without questions, and where they are not `legible`.

    The level is their upper quartile. The interval is the distribution-free one for a quantile (order statistics,
    binomial), taken over the lower and upper ends of the single readings, so that it holds the error of reading too;
    where there are too few questions for a bound (fewer than 13 above, 3 below) it is the end of the ladder. It takes
    the questions as independent; those of one conversation are not quite.
    """
    _, recent = split(profile)
    if not recent or not (legible(profile.questions) and legible(recent)):
        return None
    n = len(recent)
    below, above = _bounds(n)
    ladder = sorted(q.depth.level for q in recent)
    level, half = ladder[n - math.ceil(n * SHARE)], ladder[n - math.ceil(n / 2)]
    low = sorted(q.depth.low for q in recent)[below - 1] if below else 1.0
    high = sorted(q.depth.high for q in recent)[above - 1] if above <= n else 7.0
    names = POSITIONS[profile.language]
    place = _place(level)
    lowest = sum(low >= bound for bound in _UP_TO)  # an interval that only touches a bound does not reach beyond it
    also = tuple(name for at, name in enumerate(names) if lowest <= at <= _place(high) and at != place)
    return Headline(names[place], level, min(low, level), max(high, level), _rule(profile), n, half, also,
                    sum(q.evidence.confirmed for q in recent))


def legible(questions: Sequence[DepthOf]) -> bool:
    """Whether at least two thirds of them are in Russian or English, as far as words tell: each by itself, and all
    together, as a short one in another language can pass for English."""
    quotes = [q.evidence.quote for q in questions]
    return not foreign(" ".join(quotes)) and sum(not foreign(one) for one in quotes) >= READ * len(quotes)


def foreign(text: str) -> bool:
    """Whether a text has letters and is in neither language."""
    return spoken(text) == "und" and any(map(str.isalpha, text))


def distinct(questions: Sequence[DepthOf]) -> tuple[DepthOf, ...]:
    """Equal questions once, wherever they were asked: the latest of them."""
    latest: dict[str, DepthOf] = {}
    for one in questions:
        key = plain(one.evidence.quote)
        if key not in latest or _when(one) > _when(latest[key]):
            latest[key] = one
    return tuple(latest.values())


def _bounds(n: int) -> tuple[int, int]:
    """Ranks (from 1) of the order statistics around the upper quartile of n; 0 and n + 1 stand for none."""
    chances = binomial(n, 1 - SHARE)
    below, total = 0, 0.0
    while total + chances[below] <= TAIL:
        total += chances[below]
        below += 1
    above, total = n + 1, 0.0
    while total + chances[above - 1] <= TAIL:
        total += chances[above - 1]
        above -= 1
    return below, above


def _place(level: float) -> int:
    return sum(level > bound for bound in _UP_TO)


def _rule(profile: Profile) -> str:
    before, recent = split(profile)
    dated = sum(q.evidence.time is not None for q in distinct(profile.questions))
    which = _WHICH[profile.language][not before].format(n=len(recent), dated=dated)
    return _RULE[profile.language].format(*POSITIONS[profile.language], which=which)


def table(profile: Profile) -> tuple[LevelRow, ...]:
    """The seven levels, 1 first, by the rule of `table_rule`; equal questions count once. Without dates no level is
    `was` or `outgrown`."""
    before, recent = split(profile)
    head = headline(profile)
    now = head.step if head and head.n >= LEAST else 0  # 0: too few questions to say
    asked = distinct(profile.questions)
    return tuple(_row(level, profile.language, asked, before, recent, now) for level in range(1, 8))


def table_rule(language: str) -> str:
    """The rule of the table, in words."""
    return _TABLE_RULE[language]


def _row(level: int, language: str, asked: Sequence[DepthOf], before: Sequence[DepthOf], recent: Sequence[DepthOf],
         now: int) -> LevelRow:
    here = [q for q in asked if q.depth.step == level]
    dated = sorted((q for q in here if q.evidence.time), key=_when)
    late = sum(q.depth.step == level for q in recent)
    status = _status(level, before, recent, now) if here else "no"
    return LevelRow(level, status, len(here), late, dated[0].evidence.time if dated else None,
                    dated[-1].evidence.time if dated else None, _example(here), TYPICAL[language][level - 1])


def _status(level: int, before: Sequence[DepthOf], recent: Sequence[DepthOf], now: int) -> Status:
    earlier, late = (sum(q.depth.step == level for q in some) for some in (before, recent))
    if level == now:
        return "now"
    if level > now > 0 and level == max(q.depth.step for q in recent):
        return "edge"
    if level < now and _fell(earlier, len(before), late, len(recent)):
        return "outgrown"
    return "yes" if late else "was"


def _fell(earlier: int, before: int, late: int, recent: int) -> bool:
    """Fisher's exact test, one-sided: so few late ones by chance, were all drawn from one urn."""
    every = log_choose(before + recent, earlier + late)
    least = max(0, earlier + late - before)
    fewer = sum(math.exp(log_choose(recent, k) + log_choose(before, earlier + late - k) - every)
                for k in range(least, late + 1))
    return fewer < CHANCE


def _example(questions: Sequence[DepthOf]) -> DepthOf | None:
    """The latest one that asks and is short enough to read; else the shortest."""
    fit = [q for q in questions if len(q.evidence.quote) in READABLE and not q.depth.thesis]
    if fit:
        return max(fit, key=_when)
    return min(questions, key=lambda q: len(q.evidence.quote), default=None)


def _when(question: DepthOf) -> float:
    return question.evidence.time.timestamp() if question.evidence.time else -math.inf
