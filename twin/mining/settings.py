"""Miners of numbers: M7 sampling by what was asked for again, M9 placement by measured speed, M10 the council."""
from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from itertools import combinations
from math import exp, lgamma
from statistics import median

from twin.mining.finding import LEAST, Finding, because, newest, operation
from twin.mining.seen import Seen, SeenTurn
from twin.roles import Role, RoleMap

NEAR = 0.16      # temperatures so close count as one
TRIED = 4        # answers at a temperature from which it is judged
BETTER, UNTRIED = 0.8, 0.95  # probability with which another temperature must be better than the one in force, and than
                             # one that was hardly tried
FAR = 0.25       # a change by less is no change
SLOW = 0.6       # speed of a role, by that of the others, from which on it is slow
CUT = 0.3        # share of the questions for which the context was too small
_TEMPERATURE = {"en": "temperature", "ru": "температуре"}
COUNCILS, ECHO = 8, 0.8  # councils held, share in which one member says what another says


def mine(seen: Seen, role_map: RoleMap) -> Iterator[Finding]:
    """M7, M9, M10."""
    for role in role_map.roles:
        yield from _sampling(seen, role)
        yield from _placement(seen, role, role_map)
    yield from _council(seen, role_map)


# ---- M7 ----------------------------------------------------------------------------------------------------------

def _sampling(seen: Seen, role: Role) -> Iterator[Finding]:
    """M7: the temperature that was tried with the fewest bad answers, where it is surely better than the one in force.

    One that was hardly ever tried is judged by the nearest that was, if that lies on its side of the best.
    """
    turns = [turn for turn in seen.by(role.id) if turn.temperature is not None and turn.label in (None, role.id)]
    tried = _tried(turns)
    if len(tried) < 2:
        return
    now = role.sampling.temperature
    best = min(tried, key=lambda one: (_rate(tried[one]), abs(one - now)))
    near = min(tried, key=lambda one: abs(one - now))
    beyond = abs(near - now) <= NEAR or (near - best) * (now - near) > 0
    if near == best and abs(now - best) > 2 * NEAR:  # nobody tried it: the worst of the others says what that costs
        near = max(tried, key=lambda one: _rate(tried[one]))
        beyond = True
    sure = _surely(tried[near], tried[best])
    if abs(best - now) < FAR or not beyond or sure < (BETTER if abs(near - now) <= NEAR else UNTRIED):
        return
    here, there = tried[near], tried[best]
    saved = (_rate(here) - _rate(there)) * len(turns)
    asked = operation("set_sampling", role=role.id, field="temperature", value=best)
    if asked:
        yield Finding("M7", saved * sure, asked, newest([turn for turn in here if turn.bad] or here), because(
            "sampling", field=_TEMPERATURE, value=best, role=role.id, n=len(there), gain=_bad(there), now=near,
            m=len(here), other=_bad(here)), "bits", _rate(here) - _rate(there))


def _tried(turns: Sequence[SeenTurn]) -> dict[float, list[SeenTurn]]:
    """By temperature: the answers at about that, where there are enough."""
    by = defaultdict(list)
    for turn in turns:
        by[turn.temperature].append(turn)
    found = {}
    for at in by:
        if at is not None:
            about = [turn for other, some in by.items() if other is not None and abs(other - at) < NEAR / 2
                     for turn in some]
            if len(about) >= TRIED:
                found[at] = about
    return found


def _bad(turns: Sequence[SeenTurn]) -> int:
    return sum(turn.bad for turn in turns)


def _rate(turns: Sequence[SeenTurn]) -> float:
    """Share of bad answers, Laplace's rule."""
    return (_bad(turns) + 1) / (len(turns) + 2)


def _surely(worse: Sequence[SeenTurn], better: Sequence[SeenTurn]) -> float:
    """P(the second has fewer bad answers), of two beta posteriors with flat priors, as a finite sum (Miller 2015)."""
    a, b = _bad(worse) + 1, len(worse) - _bad(worse) + 1
    c, d = _bad(better) + 1, len(better) - _bad(better) + 1
    return sum(exp(_beta(c + i, b + d) - _beta(1 + i, b) - _beta(c, d)) / (b + i) for i in range(a))


def _beta(x: int, y: int) -> float:
    """The logarithm of the beta function."""
    return lgamma(x) + lgamma(y) - lgamma(x + y)


# ---- M9 ----------------------------------------------------------------------------------------------------------

def _placement(seen: Seen, role: Role, role_map: RoleMap) -> Iterator[Finding]:
    """M9: a role that is placed otherwise than the rest and slower, or whose context is too small."""
    turns = [turn for turn in seen.by(role.id) if not turn.together]
    own = [turn.speed for turn in turns if turn.speed]
    others = [turn.speed for turn in seen.turns if turn.role != role.id and turn.speed and not turn.together]
    layers = role.placement.n_gpu_layers
    usual = Counter(one.placement.n_gpu_layers for one in role_map.roles if one is not role).most_common(1)
    if min(len(own), len(others)) >= TRIED and median(own) < SLOW * median(others) and layers is not None and usual:
        wanted = usual[0][0]
        asked = operation("set_placement", role=role.id, n_gpu_layers=-1 if wanted is None else wanted)
        if asked:
            yield Finding("M9", 2.0, asked, newest(turns), because("slow", role=role.id, n=len(own), gain=median(own),
                          other=median(others)), "placement", median(others) - median(own))
    cut = [turn for turn in turns if turn.dropped]
    room = role.placement.n_ctx
    if room is not None and len(cut) >= max(LEAST, CUT * len(turns)):
        asked = operation("set_placement", role=role.id, n_ctx=2 * room)
        if asked:
            yield Finding("M9", 2.0, asked, newest(cut), because(
                "cut", role=role.id, n=len(turns), gain=len(cut), m=room), "placement", 0.0)


# ---- M10 ---------------------------------------------------------------------------------------------------------

def _council(seen: Seen, role_map: RoleMap) -> Iterator[Finding]:
    """M10: two members that say the same again and again are one vote: the one that stood alone less often goes."""
    held = [turn for turn in seen.turns if turn.together]
    policy = role_map.council
    sitting = policy.members or role_map.ids
    for one, other in combinations(sitting, 2):
        both = [turn for turn in held if {one, other} <= {name for group in turn.together for name in group}]
        same = [turn for turn in both if any({one, other} <= set(group) for group in turn.together)]
        if len(both) < COUNCILS or len(same) < ECHO * len(both) or len(sitting) < 3:
            continue
        goes = min(one, other, key=lambda name: (_alone(held, name), name))
        stays = other if goes == one else one
        asked = operation("set_council_policy", members=tuple(name for name in sitting if name != goes),
                          max_n=policy.max_n, depth=policy.depth, entropy=policy.entropy, on=policy.on)
        if asked:
            yield Finding("M10", 2.0 * len(same) / len(both), asked, newest(same),
                          because("council", n=len(both), gain=len(same), role=goes, to=stays), "council", 0.0)


def _alone(held: Sequence[SeenTurn], name: str) -> int:
    return sum((name,) in turn.together for turn in held)
