"""The verdict: accepted, rejected, or unproven with how much more it takes. Stages by thinking.md 2c.

S0: the change itself. S1: a screen on texts of the training part. S2: the selection part. S3: the proof set, opened
only for what came so far. Accepted is what gains for sure (a one-sided bound or an exact test over conversations) and
enough, while nothing else is worse. Too little data is never a yes.
"""
from __future__ import annotations

from dataclasses import replace
from statistics import fmean

from twin.evidence import Said
from twin.proof.case import Case as Case
from twin.proof.case import Ruling as Ruling
from twin.proof.case import unproven
from twin.proof.foreseen import by_bits
from twin.proof.metrics import header_lengths
from twin.proof.routes import by_ratings, by_routes

LEVEL, LEVEL_OF_EXAMPLES = 0.99, 0.95  # of the bound; an example is small, and as easily taken back
LOOKS = 8  # that are paid for in full: after that a look costs 1/256 of the first, or no bootstrap could tell
_EXAMPLES = ("add_routing_example", "remove_routing_example", "relabel_routing_example")


def level_of(op: str, looks: int = 0) -> float:
    """The level at which an operation, by name, has to be proven, after so many looks at proof sets for it: what is
    left to chance is halved each time, so that all looks together leave twice as much (alpha spending)."""
    level = LEVEL_OF_EXAMPLES if op in _EXAMPLES else LEVEL
    return 1 - (1 - level) * 0.5 ** min(looks, LOOKS)


def judge(case: Case) -> Ruling:
    """The ruling on a case, with what the map costs. Raises what the core raises."""
    made = _ruled(case)
    count = (lambda one: len(case.bits.engine.tokenize(one))) if case.bits else len
    looked: list[Said] = [*case.proof.said]
    cost = {f"header {name}": fmean(header_lengths(under, looked, count))
            for name, under in (("before", case.before), ("after", case.after))}
    cost["scorer tokens"] = float(case.bits.tokens if case.bits else 0)
    return replace(made, cost={**made.cost, **cost})


def _ruled(case: Case) -> Ruling:
    if case.metric == "router":
        return by_routes(case)
    if case.metric == "bits":
        return by_bits(case, case.bits) if case.bits else unproven("S0", "no core")
    return by_ratings(case) or unproven("S0", "no measure")
