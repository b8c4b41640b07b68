"""What is judged, what a ruling says, and what holds for every metric: nothing else may get worse."""
from __future__ import annotations

import math
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field, replace
from statistics import fmean
from typing import Any, Protocol

from twin.evidence import Evidence
from twin.proof.metrics import Bits, Under, choices, header_tokens, pairs, touched, unlearned
from twin.proof.words import said
from twin.proposals import Gain, Sample, Verdict

ROUTER, BITS, TOKENS = -0.01, -0.02, -0.20  # how much worse everything else may get: share right, bits a token, share
PROVE = 300  # texts of the proof set that are scored at most, the newest


@dataclass(frozen=True)
class Case:
    """What is judged: an operation's metric and level, the two maps, the parts of the evidence, the core that scores
    (None: there is none). `same`: what labels mean after the change; see `metrics.choices`."""

    metric: str
    level: float
    before: Under
    after: Under
    train: Evidence
    select: Evidence
    proof: Evidence
    bits: Bits | None = None
    same: Mapping[str, Collection[str]] = field(default_factory=dict)


@dataclass(frozen=True)
class Ruling:
    """What `Proof` says of a case; `reason` by language. `unchecked`: metrics that could not be looked at."""

    verdict: Verdict
    stage: str
    reason: Mapping[str, str]
    gain: Gain | None = None
    others: tuple[Gain, ...] = ()
    controls: Mapping[str, float] = field(default_factory=dict)
    needed: int = 0
    samples: tuple[Sample, ...] = field(default=(), repr=False)
    cost: Mapping[str, float] = field(default_factory=dict)


class InTalk(Protocol):
    """What belongs to a conversation."""

    @property
    def conversation(self) -> str: ...


def talks(items: Iterable[InTalk]) -> int:
    """How many conversations these are of."""
    return len({one.conversation for one in items})


def unproven(stage: str, name: str, needed: float = 0, gain: Gain | None = None, **figures: Any) -> Ruling:
    """Not enough to tell; `needed`: about how many more messages of the person it takes."""
    more = max(0, math.ceil(needed))
    return Ruling("unproven", stage, said(name, more, **figures), gain, needed=more)


def rejected(stage: str, name: str, gain: Gain | None = None, **figures: Any) -> Ruling:
    """Not better."""
    return Ruling("rejected", stage, said(name, **figures), gain)


def accepted_unless_worse(made: Ruling, name: str, unchecked: tuple[str, ...] = (), **figures: Any) -> Ruling:
    """The yes, unless one of the other metrics is worse by more than its margin."""
    margins = {"router": ROUTER, "header tokens": TOKENS}
    worse = tuple(one.metric for one in made.others if one.value < margins.get(one.metric, BITS) - 1e-9)
    if worse:
        return replace(made, verdict="rejected", reason=said("others", 0, unchecked, names=worse))
    return replace(made, verdict="accepted", reason=said(name, 0, unchecked, **figures))


# ---- everything else -------------------------------------------------------------------------------------------------

def other_routes(case: Case) -> list[Gain]:
    """Share of the labelled messages of the proof set that go right, gained; none where nothing is labelled."""
    found = choices(case.before, case.after, case.proof.labelled, case.same)
    if not found:
        return []
    return [Gain("router", fmean(one.gain for one in found), math.nan, case.level, len(found),
                 talks(one.item for one in found))]


def other_bits(case: Case) -> list[Gain]:
    """Bits a token gained on the person's next messages, and on kept answers: each the mean over all texts of the proof
    set, as the map acts on them; none without a core."""
    if case.bits is None:
        return []
    gains = []
    looked = unlearned(case.proof.said, case.before.role_map, case.after.role_map)[-PROVE:]
    for kind in ("next", "kept"):
        items = [one for one in looked if one.kind == kind]
        acted = touched(case.bits.engine, case.before, case.after, items)
        if acted:
            found = pairs(case.bits, case.before, case.after, acted)
            gains.append(Gain(f"bits of {kind}", sum(one.gain for one in found) / len(items), math.nan, case.level,
                              len(items), talks(items)))
    return gains


def other_length(case: Case) -> Gain:
    """The share by which the headers got shorter, weighed by how often the proof set's messages meet them."""
    count = (lambda one: len(case.bits.engine.tokenize(one))) if case.bits else len
    looked = case.proof.said
    before, after = (header_tokens(under, looked, count) for under in (case.before, case.after))
    return Gain("header tokens", (before - after) / max(before, 1.0), math.nan, case.level, len(looked), talks(looked))
