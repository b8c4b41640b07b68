"""What is judged, what a ruling says, and what holds for every metric: nothing else may get worse."""
from __future__ import annotations

import math
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from statistics import fmean
from typing import Any, Protocol

from twin.evidence import Evidence
from twin.proof.metrics import Bits, Under, choices, header_lengths, pairs, unlearned
from twin.proof.statistics import bootstrap_t
from twin.proof.words import said
from twin.proposals import Gain, Sample, Verdict

ROUTER, BITS, TOKENS = -0.01, -0.02, -0.20  # how much worse everything else may get: share right, bits a token, share
OTHERS = 0.95  # level of their bounds
FEW = 5      # conversations below which a metric was not measured
PROVE = 300  # texts of the proof set that are scored at most, the newest


@dataclass(frozen=True)
class Case:
    """What is judged: an operation's metric and level, the two maps, the parts of the evidence, the core that scores
    (None: there is none). `same`: what labels mean after the change; see `metrics.choices`. `target`: what the
    operation changes, 'role:NAME' or another name."""

    metric: str
    level: float
    before: Under
    after: Under
    train: Evidence
    select: Evidence
    proof: Evidence
    bits: Bits | None = None
    same: Mapping[str, Collection[str]] = field(default_factory=dict)
    target: str = ""


@dataclass(frozen=True)
class Ruling:
    """What `Proof` says of a case; `reason` by language."""

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


def accepted_unless_worse(case: Case, made: Ruling, name: str, **figures: Any) -> Ruling:
    """The yes, unless one of the other metrics is worse by more than its margin; it says which were not measured."""
    margins = {"router": ROUTER, "header tokens": TOKENS}
    worse = tuple(one.metric for one in made.others if one.value < margins.get(one.metric, BITS) - 1e-9)
    left_out = unchecked(case, made.others)
    if worse:
        return replace(made, verdict="rejected", reason=said("others", 0, left_out, names=worse))
    return replace(made, verdict="accepted", reason=said(name, 0, left_out, **figures))


def unchecked(case: Case, others: Iterable[Gain]) -> tuple[str, ...]:
    """The other metrics of which too few conversations tell, or none. What the instructions cost is always known."""
    seen = {one.metric: one.clusters for one in others}
    wanted = ("bits of next", "bits of kept") if case.bits else ("bits",)
    return tuple(one for one in (*(() if case.metric == "router" else ("router",)), *wanted)
                 if seen.get(one, 0) < FEW)


# ---- everything else -------------------------------------------------------------------------------------------------

def other_routes(case: Case) -> list[Gain]:
    """Share of the labelled messages of the proof set that go right, gained; none where nothing is labelled."""
    found = choices(case.before, case.after, case.proof.labelled, case.same)
    return [_other("router", [one.gain for one in found], [one.item for one in found])] if found else []


def other_bits(case: Case) -> list[Gain]:
    """Bits a token gained on the person's next messages, and on kept answers: each the mean over all texts of the proof
    set, as the map acts on them; none without a core."""
    if case.bits is None:
        return []
    gains = []
    looked = unlearned(case.proof.said, case.before.role_map, case.after.role_map)[-PROVE:]
    for kind in ("next", "kept"):
        items = [one for one in looked if one.kind == kind]
        if items:
            found = pairs(case.bits, case.before, case.after, items)
            gains.append(_other(f"bits of {kind}", [one.gain for one in found], items))
    return gains


def other_length(case: Case) -> Gain:
    """The share by which the headers got shorter, weighed by how often the proof set's messages meet them."""
    count = (lambda one: len(case.bits.engine.tokenize(one))) if case.bits else len
    looked = case.proof.said
    before, after = (header_lengths(under, looked, count) for under in (case.before, case.after))
    if looked:
        return _other("header tokens", [old - new for old, new in zip(before, after, strict=True)], looked, before)
    return Gain("header tokens", 1 - fmean(after) / max(fmean(before), 1.0), math.nan, OTHERS, 0, 0)


def _other(metric: str, gains: Sequence[float], items: Sequence[InTalk],
           weights: Sequence[float] | None = None) -> Gain:
    """The mean gain with its one-sided bound; none (NaN) for too few conversations."""
    bound = bootstrap_t(gains, [one.conversation for one in items], weights, level=OTHERS)
    low = bound.low if talks(items) >= FEW else math.nan
    return Gain(metric, bound.mean, low, OTHERS, len(items), talks(items))
