"""Proof by bits: does the second map foresee what the person said and kept better than the first one?

The gain is the mean, over the texts that the change touches, of bits a token saved; its bound resamples all
conversations that were looked at, in which the others weigh nothing. Where enough kept answers are touched they alone
are what counts, since a role's words are to serve its answers; the person's next messages must then not get worse.
"""
from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from statistics import fmean, stdev
from typing import Any

from twin.answer import drain
from twin.evidence import Said
from twin.proof import statistics
from twin.proof.case import (
    PROVE,
    Case,
    Ruling,
    accepted_unless_worse,
    other_bits,
    other_length,
    other_routes,
    rejected,
    talks,
    unproven,
)
from twin.proof.controls import NGram, placebo
from twin.proof.metrics import Bits, Pair, Under, pairs, tongue, touched, unlearned
from twin.proof.words import said
from twin.proposals import Gain, Sample
from twin.types import Engine, Sampling, Token

DELTA = 0.05                   # bits a token that a change must gain where it acts
ITEMS, CONVERSATIONS = 60, 12  # texts of the proof set to look at, and their conversations
# Of them such that the change touches. 2,500 nulls each of normal, exponential and lognormal gains with tails to the
# bad side, a tenth to a quarter of 72 to 96 texts in 12 or 16 conversations touched: the bound at 99 % accepts .006 to
# .037, with S2 before it .003 to .021. Asking for 12 in 6 instead accepts as many.
TOUCHED, TOUCHED_IN = 8, 5     # more conversations where a bound at the level could not be told from so few: `fewest`
SCREEN, SELECT = 12, 24        # texts of the training and the selection part that are scored at most, the newest
SCORED = 120                   # of the proof set, of those that it touches
SPREAD = 0.34                  # of a paired gain, where too few were seen to tell: measured once (thinking.md 2c)
CONTROLS, ANSWER = 24, 32      # texts under the controls, tokens of the three answers shown


@dataclass(frozen=True)
class _Part:
    """Texts of a part: those looked at, and those of them that count: the change touches them."""

    looked: Sequence[Said] = field(repr=False)
    touched: Sequence[Said] = field(repr=False)

    @property
    def figures(self) -> dict[str, int]:
        return {"n": len(self.looked), "clusters": talks(self.looked), "touched": len(self.touched),
                "where": talks(self.touched)}

    def enough(self, level: float) -> bool:
        return (len(self.looked) >= ITEMS and talks(self.looked) >= CONVERSATIONS and len(self.touched) >= TOUCHED
                and talks(self.touched) >= fewest(talks(self.looked), level))


def fewest(among: int, level: float) -> int:
    """Of so many conversations, how many the change must touch for a bound at this level: a resample that draws none
    of them, or one alone, tells nothing of their spread, and counts against the change. 7 of 16 at 99 %."""
    def blind(k: int) -> float:
        none, one = ((among - k) / among) ** among, ((among - k + 1) / among) ** among
        return none + k * (one - none)

    return next((k for k in range(TOUCHED_IN, among) if blind(k) < 1 - level), max(among, TOUCHED_IN))


def by_bits(case: Case, bits: Bits) -> Ruling:
    """The ruling on a change that shows in bits."""
    train, select, proof = parts = _parts(case, bits.engine)
    if not any(part.touched for part in parts):
        return unproven("S0", "untouched", ITEMS)
    screen = [pair.gain for pair in pairs(bits, case.before, case.after, train.touched[-SCREEN:])]
    if len(screen) >= SCREEN // 2 and _clearly_below(screen):
        return rejected("S1", "worse first", n=len(screen), value=fmean(screen))
    chosen = [pair.gain for pair in pairs(bits, case.before, case.after, select.touched[-SELECT:])]
    if chosen and fmean(chosen) < 0:
        return rejected("S2", "worse selected", n=len(chosen), value=fmean(chosen))
    if proof.enough(case.level):
        return _proven(case, bits, proof)
    seen = [*screen, *chosen]
    gain = Gain("bits", fmean(seen), math.nan, case.level, len(seen),
                talks([*train.touched[-SCREEN:], *select.touched[-SELECT:]])) if seen else None
    return unproven("S2", "few texts", _missing(case, parts, seen), gain, items=ITEMS, talks=CONVERSATIONS,
                    least=TOUCHED, fewest=_fewest(case, proof), **proof.figures)


def _parts(case: Case, engine: Engine) -> tuple[_Part, _Part, _Part]:
    """The parts of the evidence. What counts is decided by how many there are, before anything is scored."""
    looked = [unlearned(part.said, case.before.role_map, case.after.role_map)[-PROVE:]
              for part in (case.train, case.select, case.proof)]
    acted = [touched(engine, case.before, case.after, items)[-SCORED:] for items in looked]
    kept = [[item for item in items if item.kind == "kept"] for items in acted]
    if len(kept[-1]) >= TOUCHED and talks(kept[-1]) >= TOUCHED_IN:
        acted = kept
    train, select, proof = (_Part(*one) for one in zip(looked, acted, strict=True))
    return train, select, proof


def _proven(case: Case, bits: Bits, proof: _Part) -> Ruling:
    """S3: the proof set is opened."""
    found = pairs(bits, case.before, case.after, proof.touched)
    bound = bound_of(found, proof.looked, case.level)
    controls = _controls(case, bits, found)
    figures: dict[str, Any] = {**proof.figures, "value": bound.mean, "low": bound.low, "level": case.level}
    made = Ruling("rejected", "S3", {}, Gain("bits", bound.mean, bound.low, case.level, len(proof.looked),
                                             talks(proof.looked)),
                  (*other_bits(case), *other_routes(case), other_length(case)), controls,
                  samples=_answers(case, bits.engine, found), cost={"touched": len(found), "touched in": talks(
                      proof.touched), "characters a token": _letters(found)})
    if bound.mean <= 0:
        return replace(made, reason=said("no gain", **figures))
    if bound.mean < DELTA and bound.mean + 2 * bound.error < DELTA:
        return replace(made, reason=said("small", delta=DELTA, **figures))
    if not (bound.low > 0 and bound.mean >= DELTA):
        more = statistics.needed(bound.error * math.sqrt(len(found)), max(bound.mean, DELTA), case.level) - len(found)
        needed = max(1, math.ceil(more * len(proof.looked) / len(found)))
        reason = said("unsure" if math.isfinite(bound.low) else "unbounded", needed, **figures)
        return replace(made, verdict="unproven", reason=reason, needed=needed)
    if controls.get("placebo", math.inf) <= controls["after"]:
        return replace(made, reason=said("placebo", placebo=controls["placebo"], after=controls["after"]))
    return accepted_unless_worse(case, made, "accepted bits", **figures)


def bound_of(found: Sequence[Pair], looked: Sequence[Said], level: float) -> statistics.Bound:
    """The mean gain over touched texts and its lower bound over all conversations looked at; a bound that cannot be
    told is NaN."""
    gains = [*(pair.gain for pair in found), *(0.0 for _ in looked)]
    weights = [*(1.0 for _ in found), *(0.0 for _ in looked)]
    where = [*(pair.item.conversation for pair in found), *(item.conversation for item in looked)]
    bound = statistics.bootstrap_t(gains, where, weights, level=level)
    return bound if math.isfinite(bound.low) else bound._replace(low=math.nan)


def _fewest(case: Case, proof: _Part) -> int:
    return fewest(max(talks(proof.looked), CONVERSATIONS), case.level)


def _missing(case: Case, parts: Sequence[_Part], seen: Sequence[float]) -> float:
    """Messages until the proof set meets its floors and has the power to see the gain (80 %). What is said from now on
    is all proof: the window stays open."""
    proof = parts[-1]
    looked, acted, acted_in = (sum(len(part.looked) for part in parts), sum(len(part.touched) for part in parts),
                               sum(talks(part.touched) for part in parts))
    spread = stdev(seen) if len(seen) >= 5 else SPREAD
    wanted = statistics.needed(spread, max(fmean(seen) if seen else 0.0, DELTA), case.level)
    per_talk = looked / max(sum(talks(part.looked) for part in parts), 1)
    return max(ITEMS - len(proof.looked), (CONVERSATIONS - talks(proof.looked)) * per_talk,
               (max(TOUCHED, wanted) - len(proof.touched)) * looked / max(acted, 1),
               (_fewest(case, proof) - talks(proof.touched)) * looked / max(acted_in, 1))


def _clearly_below(gains: Sequence[float]) -> bool:
    """Whether the mean is below 0 by more than 1.75 standard errors: one-sided 95 % with 15 degrees of freedom."""
    return fmean(gains) + 1.75 * stdev(gains) / math.sqrt(len(gains)) < 0


def _letters(found: Sequence[Pair]) -> float:
    """Characters a token: bits a token by it are bits a character."""
    return sum(pair.after.characters for pair in found) / max(sum(len(pair.after.bits) for pair in found), 1)


# ---- beside the gain -------------------------------------------------------------------------------------------------

def _controls(case: Case, bits: Bits, found: Sequence[Pair]) -> dict[str, float]:
    """Mean bits a token of the same texts under both maps, the default prompt (no header, no adapter), where the header
    changed neutral sentences as long as it, and an n-gram model of what was said before (over the core's tokens)."""
    some = sorted(found[-CONTROLS:], key=lambda pair: pair.item.context)  # the newest; neighbours share a prefix
    model = NGram(item.text for part in (case.train, case.select) for item in part.said)
    totals: defaultdict[str, float] = defaultdict(float)
    headers = [[_header(under, bits.engine, pair.item) for under in (case.before, case.after)] for pair in some]
    reworded = any(old != new for old, new in headers)
    for pair, (old, new) in zip(some, headers, strict=True):
        totals["before"] += pair.before.bits_per_token
        totals["after"] += pair.after.bits_per_token
        totals["default"] += bits(case.after.asked(bits.engine, pair.item, header="", bare=True)).bits_per_token
        totals["n-gram"] += model.bits(pair.item.text) / max(len(pair.after.bits), 1)
        if old != new:
            neutral = placebo(new, tongue(pair.item), lambda one: len(bits.engine.tokenize(one)))
            totals["placebo"] += bits(case.after.asked(bits.engine, pair.item, header=neutral)).bits_per_token
        elif reworded:
            totals["placebo"] += pair.before.bits_per_token  # nothing here to stand in for
    return {name: total / len(some) for name, total in totals.items()}


def _header(under: Under, engine: Engine, item: Said) -> str:
    tail = under.asked(engine, item).prompt.tail
    return "".join(part.text for part in tail if part.part == "role" and not part.special)


def _answers(case: Case, engine: Engine, found: Sequence[Pair]) -> tuple[Sample, ...]:
    """What both maps answer to what stood before the texts that gain most, least and in between; drawn as the role
    draws, from a fixed seed, so that each run shows the same."""
    order = sorted((pair for pair in found if pair.item.context), key=lambda pair: (pair.gain, pair.item.key))
    picked = [order[place] for place in sorted({len(order) - 1, 0, len(order) // 2})] if order else []
    return tuple(Sample(pair.item.context, _answer(case.before, engine, pair.item),
                        _answer(case.after, engine, pair.item)) for pair in picked)


def _answer(under: Under, engine: Engine, item: Said) -> str:
    sampling = replace(Sampling(**under.role(item).sampling.__dict__), max_tokens=ANSWER, seed=0)
    asked = under.asked(engine, item)
    pieces = engine.stream(asked.prompt, sampling)
    return "".join(event.text for event in drain(asked.prompt, pieces) if isinstance(event, Token)).strip()
