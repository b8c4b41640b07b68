"""Proof by the person's word: does the second map send messages where they said, are its answers liked more?

Right and wrong are told from the labels of the proof set, which the router has not learned. The test is exact, and its
unit is the conversation. Ratings can only be compared where both maps were in use: after a trial.
"""
from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import replace
from statistics import fmean, pstdev
from typing import Any

from twin.evidence import Evidence, Rated
from twin.proof import statistics
from twin.proof.case import (
    Case,
    Ruling,
    accepted_unless_worse,
    other_bits,
    other_length,
    other_routes,
    rejected,
    talks,
    unchecked,
    unproven,
)
from twin.proof.metrics import Choice, choices, rerouted
from twin.proof.words import said
from twin.proposals import Gain, Sample

RATINGS, RATED_IN = 10, 5  # ratings under each of the two maps, and their conversations
SHOWN = 3


def by_routes(case: Case) -> Ruling:
    """The ruling on a change that shows in where messages go. There is no S1: the router knows the training part."""
    train, select, proof = (choices(case.before, case.after, part.labelled, case.same)
                            for part in (case.train, case.select, case.proof))
    won, lost = _counts(select)
    if lost > won:
        return rejected("S2", "worse routes", n=len(select), won=won, lost=lost)
    least, there = statistics.least_signs(case.level), talks(one.item for one in proof)
    if there < least:
        gain = _gain(case, select) if select else None
        return unproven("S2", "few labels", (least - there) * _apart(case, (train, select, proof)), gain, least=least,
                        clusters=there)
    moved = talks(one.item for one in proof if one.moved)  # counted without a look at what is right
    if moved < least:
        return unproven("S2", "few changes", (least - moved) * _per_change(case, select, proof),
                        _gain(case, select) if select else None, changed=moved, least=least)
    return _proven(case, select, proof)


def _proven(case: Case, select: Sequence[Choice], proof: Sequence[Choice]) -> Ruling:
    """S3: the proof set is opened."""
    nets = [net for net in _nets(proof).values() if net]
    won, lost = _counts(proof)
    p, least = statistics.signs(nets), statistics.least_signs(case.level)
    figures = {"won": won, "lost": lost, "p": p, "clusters": talks(one.item for one in proof), "n": len(proof)}
    made = Ruling("rejected", "S3", {}, _gain(case, proof), (*other_bits(case), other_length(case)),
                  _controls(case, proof), samples=_shown(proof), cost={
                      "p": p, "changed conversations": len(nets),
                      "rerouted": rerouted(case.before, case.after, [one.text for one in case.proof.said
                                                                     if one.kind == "next"])})
    left_out = unchecked(case, made.others)
    if nets and sum(nets) <= 0:
        return replace(made, reason=said("no routes", 0, left_out, **figures))
    if p < 1 - case.level:
        return accepted_unless_worse(case, made, "accepted router", **figures)
    per_change = _per_change(case, select, proof)
    if len(nets) < least:
        needed = max(1, math.ceil((least - len(nets)) * per_change))
        reason = said("few changes", needed, left_out, changed=len(nets), least=least)
    else:
        more = statistics.needed(pstdev(nets), fmean(nets), case.level) - len(nets)
        needed = max(1, math.ceil(more * per_change))
        reason = said("unsure routes", needed, left_out, **figures)
    return replace(made, verdict="unproven", reason=reason, needed=needed)


def _counts(found: Sequence[Choice]) -> tuple[int, int]:
    """(right now and not before, right before and no more)"""
    counts = Counter(one.gain for one in found)
    return counts[1], counts[-1]


def _nets(found: Sequence[Choice]) -> dict[str, int]:
    """By conversation: how many more are right."""
    nets: defaultdict[str, int] = defaultdict(int)
    for one in found:
        nets[one.item.conversation] += one.gain
    return nets


def _gain(case: Case, found: Sequence[Choice]) -> Gain:
    bound = statistics.bootstrap_t([one.gain for one in found], [one.item.conversation for one in found],
                                   level=case.level)
    return Gain("router", bound.mean, bound.low, case.level, len(found), talks(one.item for one in found))


def _per_change(case: Case, select: Sequence[Choice], proof: Sequence[Choice]) -> float:
    """How many messages there are to one more conversation in which the route of a labelled message changes; the
    training part does not tell, for the router knows it."""
    changed = sum(talks(one.item for one in part if one.moved) for part in (select, proof))
    return _messages(case.select, case.proof) / max(changed, 1)


def _apart(case: Case, parts: Sequence[Sequence[Choice]]) -> float:
    """How many messages of the person there are to one more conversation in which a message is labelled."""
    labelled = sum(talks(one.item for one in part) for part in parts)
    return _messages(case.train, case.select, case.proof) / max(labelled, 1)


def _messages(*parts: Evidence) -> int:
    return max(1, sum(one.kind == "next" for part in parts for one in part.said))


def _controls(case: Case, found: Sequence[Choice]) -> dict[str, float]:
    """Shares right: by both maps, and by always saying what the person said most often before."""
    known = Counter(one.label for part in (case.train, case.select) for one in part.labelled)
    usual = known.most_common(1)[0][0] if known else ""
    return {"before": fmean(one.right[0] for one in found), "after": fmean(one.right[1] for one in found),
            "most common": fmean(one.item.label == usual for one in found)}


def _shown(found: Sequence[Choice]) -> tuple[Sample, ...]:
    """Messages that go elsewhere: first those that went wrong, then those that went right."""
    moved = sorted((one for one in found if one.routes[0] != one.routes[1]), key=lambda one: (one.gain, one.item.turn))
    worst, best = moved[:1], moved[1:][::-1]
    return tuple(Sample(one.item.text, *one.routes) for one in (*best[:SHOWN - len(worst)], *worst))


# ---- ratings ---------------------------------------------------------------------------------------------------------

def by_ratings(case: Case) -> Ruling | None:
    """The ruling on a change that was tried, by the ratings of whom it changes; None where none were given since. A
    conversation counts once, by its share of good ratings: a mood is no ten opinions."""
    before, after = (_rated(case, under.role_map.version) for under in (case.before, case.after))
    if not after:
        return None
    then, now = _shares(before), _shares(after)
    controls = {name: fmean(shares) for name, shares in (("before", then), ("after", now)) if shares}
    missing = sum(max(RATINGS - len(rated), RATED_IN - talks(rated), 0) for rated in (before, after))
    if missing:
        made = unproven("S0", "few ratings", missing, n=len(after), before=len(before), least=RATINGS, talks=RATED_IN)
        return replace(made, controls=controls)
    counts = sum(now), len(now) - sum(now), sum(then), len(then) - sum(then)
    value, n, clusters = statistics.better(*counts), len(before) + len(after), talks([*before, *after])
    gain = Gain("feedback", fmean(now) - fmean(then), statistics.rise(*counts, case.level), case.level, n, clusters)
    figures: dict[str, Any] = {"value": value, "n": n, "clusters": clusters, "level": case.level}
    others = (*other_bits(case), *other_routes(case), other_length(case))
    made = Ruling("rejected", "S3", said("unsure ratings", **figures), gain, others, {**controls, "probability": value})
    if value >= case.level:
        return accepted_unless_worse(case, made, "accepted feedback", **figures)
    return made if value < 0.5 else replace(made, verdict="unproven", needed=n,
                                            reason=said("unsure ratings", n, **figures))


def _rated(case: Case, version: str) -> list[Rated]:
    """Ratings of whom the operation changes, under a version of the map, in all parts: a rating is given once and
    proves one change."""
    parts: tuple[Evidence, ...] = (case.train, case.select, case.proof)
    whose = case.target.removeprefix("role:")
    return list({one.turn: one for part in parts for one in part.rated
                 if one.role_map == version and whose in ("", one.role)}.values())


def _shares(rated: Sequence[Rated]) -> list[float]:
    """By conversation: the share of good ratings."""
    found: defaultdict[str, list[bool]] = defaultdict(list)
    for one in rated:
        found[one.conversation].append(one.good)
    return [fmean(some) for some in found.values()]
