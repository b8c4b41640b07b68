"""A version of the profile as it was kept, checked against the messages it quotes, and compared with another version.

Pure: knows the nouns and the text, no store. A kept quote is a mark (where it stands and the hash of its words), so
that a version holds no second copy of what the person wrote; its words come from the messages, or they do not.
"""
from __future__ import annotations

import json
import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Literal

from twin import text as texts
from twin.person import Authority, Claim, ClaimKind, DepthOf, Evidence, Profile
from twin.types import Message, digest

RISEN = 0.05  # confidence that is another one: less than this a few new messages do to every claim
UNDATED = ""  # the month of what has no time

Fault = Literal["changed", "moved", "gone", "not own", "one talk"]
Levels = Mapping[str, Mapping[int, int]]
"""Month ('2025-06', '' undated) -> depth 1..7 -> questions."""


@dataclass(frozen=True)
class Mark:
    """Where a quote stands (text[start:end] in code points) and the sha256 of its UTF-8; not its words."""

    conversation: str
    message: str
    start: int
    end: int
    hash: str
    time: datetime | None = None

    def stands_in(self, text: str) -> bool:
        """Whether the words that were quoted still stand there."""
        return digest(text[self.start:self.end]) == self.hash


@dataclass(frozen=True)
class Kept:
    """A claim as a version keeps it: `quotes` for it and `counter` quotes against it. `months`: '2025-06' -> messages
    that showed it."""

    id: str
    kind: ClaimKind
    text: str = field(repr=False)
    authority: Authority
    confidence: float
    origin: str
    quotes: tuple[Mark, ...]
    months: Mapping[str, int] = field(default_factory=dict)
    counter: tuple[Mark, ...] = ()


@dataclass(frozen=True)
class Asked:
    """A question that the report shows: its depth 1..7 and where it stands."""

    level: int
    mark: Mark


@dataclass(frozen=True)
class Snapshot:
    """One version of the profile. `version`: 12 hex digits of the hash over claims, levels and the questions shown; it
    stays the name of the version when something is forgotten from it. `made` (UTC): when it was last seen."""

    version: str
    made: datetime
    language: str
    own_messages: int
    read_by_core: int
    claims: tuple[Kept, ...]
    levels: Levels = field(default_factory=dict)
    questions: tuple[Asked, ...] = ()

    @property
    def keys(self) -> set[tuple[str, str]]:
        """(conversation id, message id) of every mark."""
        return {(mark.conversation, mark.message) for _, _, mark in _marks(self)}

    def claim(self, name: str) -> Kept | None:
        """The kept claim of this id, or None."""
        return next((claim for claim in self.claims if claim.id == name), None)


def snapshot(profile: Profile, made: datetime, shown: Iterable[DepthOf] = ()) -> Snapshot:
    """What is kept of a profile and of the questions its report has `shown`: all of them would be a megabyte a version.
    Equal profiles have equal versions, whenever they were made."""
    claims = tuple(map(_kept, profile.claims))
    levels: dict[str, Counter[int]] = defaultdict(Counter)
    for question in profile.questions:
        levels[_month(question.evidence.time)][question.depth.step] += 1
    ordered = {month: dict(sorted(levels[month].items())) for month in sorted(levels)}
    asked = tuple(dict.fromkeys(Asked(question.depth.step, _mark(question.evidence)) for question in shown))
    return Snapshot(_version(claims, ordered, asked), made.astimezone(UTC), profile.language, profile.own_messages,
                    profile.read_by_core, claims, ordered, asked)


def _kept(claim: Claim) -> Kept:
    return Kept(claim.id, claim.kind, claim.text, claim.authority, claim.confidence, claim.origin,
                tuple(map(_mark, claim.evidence)), dict(sorted(claim.months.items())),
                tuple(map(_mark, claim.counter)))


def _mark(quote: Evidence) -> Mark:
    return Mark(quote.conversation, quote.message, quote.start, quote.end, quote.hash, quote.time)


def _month(time: datetime | None) -> str:
    return UNDATED if time is None else f"{time:%Y-%m}"


def _version(claims: Iterable[Kept], levels: Levels, asked: Iterable[Asked]) -> str:
    def place(mark: Mark) -> list[str | int]:
        return [mark.conversation, mark.message, mark.start, mark.end, mark.hash]

    said = [[one.id, one.kind, one.text, one.authority, one.confidence, one.origin, one.months,
             [*map(place, one.quotes)], [*map(place, one.counter)]] for one in claims]
    return digest(json.dumps([said, levels, [[one.level, place(one.mark)] for one in asked]], sort_keys=True))[:12]


def _marks(snapshot: Snapshot) -> Iterator[tuple[str, str, Mark]]:
    """(name, text, mark) of everything that is quoted: the id and text of a claim, or 'question 5' and ''."""
    for claim in snapshot.claims:
        yield from ((claim.id, claim.text, mark) for mark in (*claim.quotes, *claim.counter))
    yield from ((f"question {one.level}", "", one.mark) for one in snapshot.questions)


# ---- do the quotes still stand --------------------------------------------------------------------------------------

@dataclass(frozen=True)
class Broken:
    """A quote (or a rule) that no longer holds: of which claim (or 'question' and its level, for one that the report
    shows), in which message ('' for a rule), what happened.

    fault: changed (other words stand there), moved (the quote stands elsewhere in that message), gone (no such
    message), not own (the person's words no longer), one talk (inferred from a single conversation).
    """

    claim: str
    text: str = field(repr=False)
    conversation: str
    message: str
    fault: Fault
    happened: str


@dataclass(frozen=True)
class Verification:
    """What a check of every quote found: how many `quotes`, for and against so many `claims` and of `questions`."""

    quotes: int
    claims: int
    broken: tuple[Broken, ...] = ()
    language: str = "en"
    questions: int = 0

    @property
    def ok(self) -> bool:
        """Whether every quote and every claim stands as it was kept."""
        return not self.broken

    def __str__(self) -> str:
        says = _SAYS[self.language]
        head = says["checked"].format(quotes=self.quotes, claims=self.claims, questions=self.questions)
        return "\n".join([f"{head} {says['stands'] if self.ok else says['broken'].format(n=len(self.broken))}",
                          *(f"- {one.claim}: {one.happened}" for one in self.broken)])


def verify(snapshot: Snapshot, messages: Iterable[tuple[str, Message]]) -> Verification:
    """Check every quote, for and against every kept claim and of the questions shown, against (conversation id,
    message) pairs, in whatever order: the message is there and the person's own, the words have the kept hash and lie
    in the writer's own words. And every claim against the rule that what is inferred comes from two conversations or
    more. The archive gives the pairs, all or those of `Snapshot.keys`."""
    wanted, marks = snapshot.keys, [*_marks(snapshot)]
    there = {(conversation, message.id): message for conversation, message in messages
             if (conversation, message.id) in wanted}
    says, broken = _SAYS[snapshot.language], list[Broken]()
    for name, text, mark in marks:
        if fault := _fault(mark, there.get((mark.conversation, mark.message))):
            broken.append(Broken(name, text, mark.conversation, mark.message, fault, says[fault]))
    for claim in snapshot.claims:
        if claim.authority == "inferred" and len({mark.conversation for mark in claim.quotes}) < 2:
            broken.append(Broken(claim.id, claim.text, "", "", "one talk", says["one talk"]))
    return Verification(len(marks), len(snapshot.claims), tuple(broken), snapshot.language, len(snapshot.questions))


def _fault(mark: Mark, message: Message | None) -> Fault | None:
    if message is None:
        return "gone"
    words, length = message.text, mark.end - mark.start
    if not mark.stands_in(words):
        # Every place is tried: 1 us each, and only where something is broken.
        stands = any(digest(words[at:at + length]) == mark.hash for at in range(len(words) - length + 1))
        return "moved" if stands else "changed"
    inside = any(start <= mark.start and mark.end <= end for start, end in texts.own_spans(words))
    return None if message.own and inside else "not own"


# ---- what is different ----------------------------------------------------------------------------------------------

@dataclass(frozen=True)
class Change:
    """A claim that stands in both versions, as it was and as it is."""

    before: Kept
    after: Kept


@dataclass(frozen=True)
class Difference:
    """What is different from one version to a later one. `levels`: month -> depth -> questions more (or fewer)."""

    before: Snapshot
    after: Snapshot
    came: tuple[Kept, ...] = ()
    went: tuple[Kept, ...] = ()
    rose: tuple[Change, ...] = ()
    fell: tuple[Change, ...] = ()
    authority: tuple[Change, ...] = ()
    levels: Levels = field(default_factory=dict)

    @property
    def same(self) -> bool:
        """Whether the claims and the questions are the same."""
        return not (self.came or self.went or self.rose or self.fell or self.authority or self.levels)

    def __str__(self) -> str:
        return "\n".join(_lines(self, self.after.language, markdown=False))

    def markdown(self, language: str | None = None) -> str:
        """The difference for eyes, in 'en' or 'ru' (default: the language of the later version)."""
        return "\n".join(_lines(self, language or self.after.language, markdown=True))

    def _repr_markdown_(self) -> str:
        return self.markdown()


def diff(before: Snapshot, after: Snapshot) -> Difference:
    """Claims that came, went, rose or fell in confidence by RISEN or more, or have another authority; and questions by
    month and depth, later less earlier. A claim is known by its id."""
    old, new = ({claim.id: claim for claim in one.claims} for one in (before, after))
    both = [Change(old[name], claim) for name, claim in new.items() if name in old]
    moved = [(round(one.after.confidence - one.before.confidence, 6), one) for one in both]
    levels: dict[str, dict[int, int]] = {}
    for month in sorted({*before.levels, *after.levels}):
        then, now = before.levels.get(month, {}), after.levels.get(month, {})
        if more := {level: count for level in sorted({*then, *now})
                    if (count := now.get(level, 0) - then.get(level, 0))}:
            levels[month] = more
    return Difference(
        before, after,
        came=tuple(claim for name, claim in new.items() if name not in old),
        went=tuple(claim for name, claim in old.items() if name not in new),
        rose=tuple(one for by, one in moved if by >= RISEN),
        fell=tuple(one for by, one in moved if by <= -RISEN),
        authority=tuple(one for one in both if one.before.authority != one.after.authority), levels=levels)


_SAYS: Mapping[str, Mapping[str, str]] = {
    "en": {
        "changed": "other words stand there now",
        "moved": "the quote stands elsewhere in that message now",
        "gone": "the message is gone",
        "not own": "these are no longer your own words",
        "one talk": "it is inferred from a single conversation; it takes two",
        "checked": "{quotes} quotes checked (claims: {claims}, questions: {questions}):",
        "stands": "all stand as they were kept.", "broken": "{n} do not stand.",
        "title": "From {before} ({then}) to {after} ({now})",
        "counts": "Claims: {0} -> {1}. Own messages: {2} -> {3}. Read by a core: {4} -> {5}.",
        "came": "New", "went": "Gone", "rose": "More certain", "fell": "Less certain", "authority": "Another standing",
        "levels": "Questions by depth", "level": "level {level}: {count:+d}", "undated": "undated",
        "same": "Nothing is different.",
        "said": "said", "inferred": "inferred", "approved": "approved",
    },
    "ru": {
        "changed": "теперь там стоят другие слова",
        "moved": "теперь цитата стоит в другом месте этого сообщения",
        "gone": "сообщения больше нет",
        "not own": "это больше не твои собственные слова",
        "one talk": "выведено из одной беседы, а нужно две",
        "checked": "Проверено цитат: {quotes} (утверждений: {claims}, вопросов: {questions});",
        "stands": "всё стоит так, как сохранено.", "broken": "не сходится: {n}.",
        "title": "От {before} ({then}) к {after} ({now})",
        "counts": "Утверждений: {0} -> {1}. Своих сообщений: {2} -> {3}. Прочитано моделью: {4} -> {5}.",
        "came": "Новое", "went": "Ушло", "rose": "Увереннее", "fell": "Менее уверенно", "authority": "Другой вес слова",
        "levels": "Вопросы по глубине", "level": "уровень {level}: {count:+d}", "undated": "без даты",
        "same": "Ничего не изменилось.",
        "said": "сказано", "inferred": "выведено", "approved": "подтверждено",
    },
}


def _lines(difference: Difference, language: str, *, markdown: bool) -> Iterable[str]:
    says, before, after = _SAYS[language], difference.before, difference.after
    yield ("## " if markdown else "") + says["title"].format(
        before=before.version, then=f"{before.made:%Y-%m-%d}", after=after.version, now=f"{after.made:%Y-%m-%d}")
    counts = zip(*((len(one.claims), one.own_messages, one.read_by_core) for one in (before, after)), strict=True)
    yield says["counts"].format(*(count for pair in counts for count in pair))
    if difference.same:
        yield says["same"]
    for name, found in _sections(difference, says, markdown=markdown).items():
        if found:
            yield f"\n### {says[name]}\n" if markdown else f"{says[name]}:"
            yield from (f"- {line}" for line in found)


def _sections(difference: Difference, says: Mapping[str, str], *, markdown: bool) -> Mapping[str, list[str]]:
    def shown(claim: Kept) -> str:
        line = texts.one_line(claim.text)
        return re.sub(r"([\\`*_\[\]<>#|~$])", r"\\\1", line) if markdown else line

    def whole(claim: Kept) -> str:
        return f"{shown(claim)} ({says[claim.authority]}, {claim.confidence:.2f})"

    def moved(one: Change) -> str:
        return f"{shown(one.after)}: {one.before.confidence:.2f} -> {one.after.confidence:.2f}"

    return {
        "came": [whole(claim) for claim in difference.came], "went": [whole(claim) for claim in difference.went],
        "rose": [moved(one) for one in difference.rose], "fell": [moved(one) for one in difference.fell],
        "authority": [f"{shown(one.after)}: {says[one.before.authority]} -> {says[one.after.authority]}"
                      for one in difference.authority],
        "levels": [f"{month or says['undated']}: " + ", ".join(
            says["level"].format(level=level, count=count) for level, count in counts.items())
            for month, counts in difference.levels.items()]}
