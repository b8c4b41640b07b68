"""The life of claims: a core's own statements become claims, equal ones merge, later facts replace earlier ones,
contrary ones are asked about, and what the person decides holds. Pure functions.

Choices. A fact that is said anew with another value (place, work, workplace, age), or taken back, replaces the earlier
one, whose quotes stay as `counter`; without dates, and for preferences always, both are kept and name each other. An
approved or edited claim wins over what was said before the decision; what is said after it is asked about again.
"""
from __future__ import annotations

import math
import re
from collections import Counter, defaultdict
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from functools import cache, reduce
from itertools import combinations

from twin.cues import plain
from twin.errors import UsageError
from twin.person import Claim, Decision, Evidence, FreeClaim
from twin.stated import Statement, content, single, statement_of, statements
from twin.text import language as language_of
from twin.text import own_sentences, stems
from twin.types import Message, digest

Key = tuple[str, str]  # conversation id, message id
Place = tuple[str, str, int, int]  # ... and a span, code points
Gone = Callable[[Iterable[str]], Collection[str]]  # those of these ids that are forgotten
Alive = Mapping[str, "tuple[Claim, _Will]"]

ALIKE = 0.7       # common stems by all stems: from here two texts say the same
SAME_PLACE = 0.25  # ... where both rest on one and the same sentence, which may still say two things
BELIEVED = 0.5    # a statement below this the core itself does not believe
CAP = 0.95
_SAID = ("fact", "preference")
_WORDED = ("fact.", "preference.", "free.")  # a facet of the catalogue equals itself only
_DENIES = re.compile(r"\b(?:not|no|never|without|cannot|\w+n't|не|нет|никогда|без)\b")
_NUMBER = re.compile(r"\d+")


# ---- what is alike -------------------------------------------------------------------------------------------------

@dataclass(frozen=True, repr=False)
class _Sense:
    """What of a text is compared: its stems, whether it denies, its numbers."""

    stems: frozenset[str]
    denies: bool
    numbers: tuple[str, ...]

    def alike(self, other: _Sense, least: float = ALIKE) -> bool:
        return (self.denies == other.denies and self.numbers == other.numbers
                and _overlap(self.stems, other.stems) >= least)


def _sense(text: str) -> _Sense:
    denials = len(_DENIES.findall(plain(text)))
    return _Sense(content(text), denials % 2 == 1, tuple(sorted(_NUMBER.findall(text))))


def _overlap(one: frozenset[str], other: frozenset[str]) -> float:
    return len(one & other) / max(1, len(one | other))


def _place(evidence: Evidence) -> Place:
    return evidence.conversation, evidence.message, evidence.start, evidence.end


def _groups(count: int, pairs: Iterable[tuple[int, int]]) -> list[list[int]]:
    """Connected components of 0..count-1, each sorted: what is alike through a third belongs together, in any order."""
    parent = list(range(count))

    def root(one: int) -> int:
        while parent[one] != one:
            parent[one] = one = parent[parent[one]]
        return one

    for one, other in pairs:
        parent[root(one)] = root(other)
    found: dict[int, list[int]] = defaultdict(list)
    for one in range(count):
        found[root(one)].append(one)
    return list(found.values())


def _near(senses: Sequence[_Sense], places: Sequence[frozenset[Place]]) -> Iterator[tuple[int, int]]:
    """Pairs that may be alike: they share a sentence, or one of their rarest stems. Two sets with ALIKE of their stems
    in common share one among the n - ceil(ALIKE n) + 1 rarest of each (prefix filtering, Chaudhuri et al. 2006)."""
    often = Counter(stem for sense in senses for stem in sense.stems)
    rooms: dict[object, list[int]] = defaultdict(list)
    for number, (sense, place) in enumerate(zip(senses, places, strict=True)):
        n = len(sense.stems)
        rarest = sorted(sense.stems, key=lambda stem: (often[stem], stem))[:n - math.ceil(ALIKE * n) + 1]
        for key in (*rarest, *place):
            rooms[key].append(number)
    yield from {pair for numbers in rooms.values() for pair in combinations(numbers, 2)}


# ---- a core's own statements ---------------------------------------------------------------------------------------

def free_claims(free: Iterable[FreeClaim], own: Mapping[Key, Message], language: str) -> list[Claim]:
    """Claims 'free.<8 hex>' from what a core stated, the surest first; those alike are one, in `language` if it can be.

    Spans that are no sentence of an own message (any more) are left out. A fact or preference stands on one sentence
    (authority 'said'); all else needs two conversations ('inferred'). Raises UsageError for a probability outside 0..1.
    """
    sentences = cache(lambda key: own_sentences(own[key].text))
    kept: list[tuple[FreeClaim, tuple[Evidence, ...]]] = []
    for one in sorted(free, key=lambda one: (one.language != language, -one.probability, len(one.text), one.text)):
        if not 0.0 <= one.probability <= 1.0:
            raise UsageError(f"A statement carries probability {one.probability}.", "It must lie between 0 and 1.")
        evidence = tuple(_evidence(one, own, sentences))
        if one.probability >= BELIEVED and evidence and content(one.text):
            kept.append((one, evidence))
    senses = [_sense(one.text) for one, _ in kept]
    places = [frozenset(map(_place, evidence)) for _, evidence in kept]

    def same(a: int, b: int) -> bool:
        shared = places[a] == places[b]
        return kept[a][0].kind == kept[b][0].kind and (
            (shared and len(places[a]) > 1) or senses[a].alike(senses[b], SAME_PLACE if shared else ALIKE))

    groups = _groups(len(kept), (pair for pair in _near(senses, places) if same(*pair)))
    claims = [claim for group in groups for claim in _stands([kept[number] for number in group])]
    return sorted(claims, key=_order)


def _evidence(one: FreeClaim, own: Mapping[Key, Message],
              sentences: Callable[[Key], list[tuple[int, int]]]) -> Iterator[Evidence]:
    for conversation, name, start, end in dict.fromkeys(one.spans):
        message = own.get((conversation, name))
        if message and message.own and (start, end) in sentences((conversation, name)):
            yield Evidence(message.text[start:end], conversation, name, start, end, message.time)


def _stands(group: Sequence[tuple[FreeClaim, tuple[Evidence, ...]]]) -> Iterator[Claim]:
    """One claim of statements that are alike, the first of which gives the words; none when too little carries it.

    Confidence with amount a (conversations + a quarter for each further message) and the core's p: said
    p (1 - .4 * 2^(1 - a)), inferred .8 (1 - 2^(-a p / 3)), as for facets by a core alone. Priors, not calibrated.
    """
    one = group[0][0]
    evidence = tuple({_place(each): each for _, found in group for each in found}.values())
    messages = {(each.conversation, each.message): each.time for each in evidence}
    talks = len({conversation for conversation, _ in messages})
    if talks < 2 and one.kind not in _SAID:
        return
    amount, sure = talks + 0.25 * (len(messages) - talks), max(each.probability for each, _ in group)
    confidence = sure * (1 - 0.4 * 2 ** (1 - amount)) if one.kind in _SAID else 0.8 * (1 - 2 ** (-amount * sure / 3))
    times = sorted(time for time in messages.values() if time is not None)
    yield Claim(free_id(one.kind, one.text), one.text, "said" if one.kind in _SAID else "inferred",
                round(min(CAP, confidence), 3), evidence, "core", one.kind, messages=len(messages), talks=talks,
                first=times[0] if times else None, last=times[-1] if times else None,
                months=dict(sorted(Counter(f"{time:%Y-%m}" for time in times).items())))


def free_id(kind: str, text: str) -> str:
    """'free.' and 8 hex of the kind and the sorted stems: word order and inflection change nothing."""
    return "free." + digest(" ".join((kind, *sorted(stems(text)))))[:8]


# ---- merging -------------------------------------------------------------------------------------------------------

def _order(claim: Claim) -> tuple[bool, float, int, str]:
    return "pin" not in claim.decided, -claim.confidence, -claim.talks, claim.facet


def _statement(claim: Claim) -> Statement | None:
    return None if "edit" in claim.decided and claim.facet.startswith("free.") else statement_of(claim)


def _reworded(claim: Claim, sense: _Sense) -> frozenset[Statement]:
    """What the quotes of a core's fact or preference state, and it in words that no rule reads: "Your home is York"."""
    spoken = [each.quote for each in claim.evidence if claim.facet.startswith("free.") and claim.kind in _SAID]
    return frozenset(one for words in spoken for one in statements(words, "ru" if language_of(words) == "ru" else "en")
                     if one.affirmed != sense.denies
                     and ({stem for stem in one.value if len(stem) > 2} or {*one.value}) <= sense.stems)  # not "in"


def _merged(claims: Sequence[Claim]) -> list[tuple[Claim, frozenset[str]]]:
    """One claim for those that say the same, with the ids it may be decided by. The rules' wording and id before a
    core's. Counts are those of the quotes together, or the largest of the parts: never added, as parts may overlap."""
    said = [_statement(claim) for claim in claims]
    senses = [_sense(claim.text) for claim in claims]
    means = [frozenset({one}) if one else _reworded(claim, sense)
             for claim, one, sense in zip(claims, said, senses, strict=True)]
    places = [frozenset(map(_place, claim.evidence)) for claim in claims]

    def same(a: int, b: int) -> bool:
        one, other = claims[a], claims[b]
        if one.facet == other.facet:
            return True
        if not all(x.facet.startswith(_WORDED) and "edit" not in x.decided for x in (one, other)):
            return False
        if (mine := said[a]) and (theirs := said[b]):
            return _restated(mine, theirs)
        if one.kind != other.kind and not {one.kind, other.kind} <= set(_SAID):
            return False
        meant = (said[a] or said[b]) and means[a] & means[b]
        return bool(meant) or senses[a].alike(senses[b], SAME_PLACE if places[a] == places[b] else ALIKE)

    names = [{claim.facet, one.id if one else claim.facet} for claim, one in zip(claims, said, strict=True)]
    by_name: dict[str, list[int]] = defaultdict(list)
    for number, known in enumerate(names):
        for name in {*known, *(one.id for one in means[number])}:
            by_name[name].append(number)
    near = {*_near(senses, places), *(pair for one in by_name.values() for pair in combinations(one, 2))}
    groups = _groups(len(claims), (pair for pair in near if same(*pair)))
    return [(_union([claims[number] for number in group]), frozenset().union(*(names[number] for number in group)))
            for group in groups]


def _restated(one: Statement, other: Statement) -> bool:
    exact = single(one.slot) or one.slot == "prefers"
    return one == other or (one.slot == other.slot and one.affirmed == other.affirmed and not exact
                            and _overlap(frozenset(one.value), frozenset(other.value)) >= ALIKE)


def _union(group: Sequence[Claim]) -> Claim:
    ranked = sorted(group, key=lambda one: (one.facet.startswith("free."), -one.confidence, -one.messages, one.facet,
                                            one.text, tuple(map(_place, one.evidence))))
    best = ranked[0]
    others = sorted((each for one in ranked[1:] for each in one.evidence), key=_place)
    evidence = tuple({_place(each): each for each in (*best.evidence, *others)}.values())
    times = [time for one in group for time in (one.first, one.last) if time is not None]
    origins = {part for one in group for part in one.origin.split("+")}
    spoken = min((one.authority for one in group), key=("approved", "said", "inferred").index)
    return replace(
        best, evidence=evidence, counter=_counter(*(one.counter for one in group)), conflicts=(),
        origin="rule+core" if {"rule", "core"} <= origins else best.origin, authority=spoken,
        messages=max(*(one.messages for one in group), len({(each.conversation, each.message) for each in evidence})),
        talks=max(*(one.talks for one in group), len({each.conversation for each in evidence})),
        first=min(times, default=None), last=max(times, default=None),
        months={month: max(one.months.get(month, 0) for one in group)
                for month in sorted({month for one in group for month in one.months})},
        comparison=next((one.comparison for one in ranked if one.comparison), None))


def _counter(*parts: Iterable[Evidence]) -> tuple[Evidence, ...]:
    return tuple(sorted({_place(each): each for part in parts for each in part}.values(), key=_place))


# ---- settling ------------------------------------------------------------------------------------------------------

@dataclass(frozen=True, repr=False)
class _Will:
    """What the person's decisions on one claim come to, and when they last spoke."""

    gone: bool = False
    approved: bool = False
    pinned: bool = False
    text: str = ""
    time: datetime | None = None

    @staticmethod
    def of(claim: Claim) -> _Will:
        """What a claim that was settled before brings along."""
        return _Will(False, claim.authority == "approved", "pin" in claim.decided,
                     claim.text if "edit" in claim.decided else "")

    @property
    def any(self) -> bool:
        return self.approved or self.pinned or bool(self.text)

    def after(self, decision: Decision) -> _Will:
        if decision.action == "reject":
            return _Will(gone=True, time=decision.time)
        if decision.action == "pin":
            return replace(self, gone=False, pinned=True)
        if decision.action not in ("approve", "edit"):
            raise UsageError(f"A claim cannot be {decision.action!r}.", "Use approve, reject, pin, edit or undo.")
        text = decision.text if decision.action == "edit" else self.text
        return replace(self, gone=False, approved=True, text=text, time=decision.time)

    def on(self, claim: Claim) -> Claim:
        done = "edit" * bool(self.text) + "+" * bool(self.text and self.pinned) + "pin" * self.pinned
        if self.approved:
            claim = replace(claim, authority="approved", confidence=1.0, text=self.text or claim.text)
        return replace(claim, decided=done or "approve" * self.approved)


def settle(claims: Iterable[Claim], decisions: Iterable[Decision], forgotten: Gone = lambda _: ()) -> tuple[Claim, ...]:
    """What stands: merged, the outdated and the rejected gone, contrary claims marked; the pinned first, then by
    confidence. The order of `claims` changes nothing. `claims` are as found; settling settled ones again with the same
    decisions changes nothing either, unless one claim was decided under several ids, of which it kept one.

    The decisions are all that were ever made; they run in order of time, undated ones first, as given. A decision holds
    for its id, for all that says the same, and for statements of a core that are worded like its `text`: give the
    claim's text at that time, as a core words it anew under another id (an edit's text is the person's own and names
    nothing). What is `forgotten`, under any of its ids, neither stands nor replaces, contradicts or counts against.
    Raises UsageError for an unknown action or an edit without words.
    """
    raw = sorted(claims, key=lambda one: (one.facet, one.text, tuple(map(_place, one.evidence))))
    merged = _merged(raw)
    lost = forgotten({name for _, names in merged for name in names})
    merged = [(claim, names) for claim, names in merged if names.isdisjoint(lost)]
    wills = _wills(merged, decisions)
    alive = {claim.facet: (claim, will) for (claim, _), will in zip(merged, wills, strict=True) if not will.gone}
    pairs = _contrary([claim for claim, _ in alive.values()])
    counters: dict[str, list[Evidence]] = defaultdict(list)
    gone = _replaced(alive, pairs, counters)
    gone, open_pairs = _resolved(alive, [pair for pair in pairs if gone.isdisjoint(pair)], counters, gone)
    marks: dict[str, set[str]] = defaultdict(set)
    for one, other in open_pairs:
        if not gone & {one, other}:
            marks[one].add(other)
            marks[other].add(one)
    standing = (will.on(replace(claim, conflicts=tuple(sorted(marks[name])),
                                counter=_counter(claim.counter, counters[name])))
                for name, (claim, will) in alive.items() if name not in gone)
    return tuple(sorted(standing, key=_order))


def _wills(merged: Sequence[tuple[Claim, frozenset[str]]], decisions: Iterable[Decision]) -> list[_Will]:
    """What was decided on each claim."""
    names = {name: (number,) for number, (_, known) in enumerate(merged) for name in known}
    meant: dict[str, set[int]] = {}
    senses = [(number, _sense(claim.text)) for number, (claim, _) in enumerate(merged)
              if claim.facet.startswith("free.") and "edit" not in claim.decided]
    stacks: list[list[Decision]] = [[] for _ in merged]
    for one in sorted(decisions, key=lambda one: one.time.timestamp() if one.time else -math.inf):
        if one.action == "edit" and not one.text.strip():
            raise UsageError("An edit needs words.", "Give the text the claim should have, or reject it.")
        targets = meant.setdefault(one.claim, set(names.get(one.claim, ())))
        if one.text and one.action != "edit":
            words = _sense(one.text)
            targets.update(number for number, sense in senses if sense.alike(words))
        for stack in (stacks[number] for number in targets):
            if one.action != "undo":
                stack.append(one)
            elif stack:
                stack.pop()
    return [reduce(_Will.after, stack, _Will.of(claim)) for (claim, _), stack in zip(merged, stacks, strict=True)]


def _contrary(claims: Sequence[Claim]) -> list[tuple[str, str]]:
    """Pairs of ids that cannot both hold: a statement and its denial, two values where one can be, a preference turned
    round. A value that only adds to another ("Leeds", "Leeds, Yorkshire") is not contrary to it."""
    rooms: dict[str, list[tuple[str, Statement]]] = defaultdict(list)
    for claim in claims:
        if (one := _statement(claim)) is not None:
            rooms[one.slot].append((claim.facet, one))
    return [(a, b) for room in rooms.values() for (a, one), (b, other) in combinations(room, 2) if _against(one, other)]


def _against(one: Statement, other: Statement) -> bool:
    mine, theirs = set(one.value), set(other.value)
    if one.affirmed != other.affirmed:
        return len(mine & theirs) >= ALIKE * len(mine | theirs)
    if one.slot == "prefers":
        return mine == theirs and one.value != other.value
    return single(one.slot) and one.affirmed and not mine <= theirs and not theirs <= mine


def _later(one: datetime | None, other: datetime | None) -> bool:
    return one is not None and other is not None and one.timestamp() > other.timestamp()


def _replaced(alive: Alive, pairs: Sequence[tuple[str, str]], counters: dict[str, list[Evidence]]) -> set[str]:
    """Ids of facts that a later one replaces; what the person decided on is not replaced."""
    replaced: set[str] = set()
    for pair in pairs:
        for old, new in (pair, pair[::-1]):
            (claim, will), (newer, _) = alive[old], alive[new]
            if claim.kind == newer.kind == "fact" and not will.any and _later(newer.last, claim.last):
                replaced.add(old)
                counters[new].extend(claim.evidence)
    return replaced


def _resolved(alive: Alive, pairs: Sequence[tuple[str, str]], counters: dict[str, list[Evidence]],
              gone: set[str]) -> tuple[set[str], list[tuple[str, str]]]:
    """Conflicts the person has decided: the other goes and stays as counter-evidence, unless it is decided on as well
    (then it stays, unmarked). The rest stays open."""
    gone, still = set(gone), []
    for pair in pairs:
        winners = [(win, lose) for win, lose in (pair, pair[::-1])
                   if (mine := alive[win][1]).approved and not _later(alive[lose][0].last, mine.time)]
        if not winners:
            still.append(pair)
        for win, lose in winners:
            counters[win].extend(alive[lose][0].evidence)
            if not alive[lose][1].any:
                gone.add(lose)
    return gone, still


# ---- asking the person ---------------------------------------------------------------------------------------------

_ASKS = {"en": "“{a}” [{x}] and “{b}” [{y}] do not go together: which of the two holds for you now?",
         "ru": "«{a}» [{x}] и «{b}» [{y}] не сходятся: что из двух верно для тебя сейчас?"}


def questions(claims: Iterable[Claim], language: str) -> list[str]:
    """One question to the person for each conflict, in 'ru' or 'en', naming both ids; in the order of the claims."""
    known = {claim.facet: claim for claim in claims}
    pairs = dict.fromkeys(tuple(sorted((name, other))) for name, claim in known.items()
                          for other in claim.conflicts if other in known)
    return [_ASKS[language].format(a=known[x].text, x=x, b=known[y].text, y=y) for x, y in pairs]
