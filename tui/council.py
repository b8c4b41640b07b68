"""How a council is drawn: claims as they come, opinions with their weights, and what became of each in plain lines.

Weights have a % sign only where they are calibrated on this core.
"""
from __future__ import annotations

from collections.abc import Iterator, Sequence

from textual.content import Content

from twin.text import one_line, printable
from twin.types import Hypothesis, Opinion, Verdict

_BAR = 10  # columns of a weight of 1


def claims(heard: Sequence[Hypothesis]) -> Content:
    """What each role said so far, a line each."""
    return Content("\n").join(
        Content.assemble((printable(one.role), "bold"), f": {one_line(one.text)}", (_sources(one), "$text-muted"))
        for one in heard)


def weighing(verdict: Verdict) -> Content:
    """Opinions, heaviest first, "none of these", and what the numbers are worth."""
    lines = [_opinion(place, one, verdict) for place, one in enumerate(verdict.opinions)]
    lines.append(_weighed(verdict.none, verdict, "none of these"))
    lines += [Content.assemble((one_line(remark), "$text-muted")) for remark in _remarks(verdict)]
    return Content("\n").join(lines)


def told(verdict: Verdict) -> list[str]:
    """Every hypothesis with what it predicts and would be refuted by, and what gave the opinions their weights."""
    lines = ["", f"A council; the answer is {_HOW[verdict.how]}."]
    for one in verdict.hypotheses:
        lines.append(f"{one.role} ({weight(one.weight, verdict)}): {one_line(one.text)}{_sources(one)}")
        lines += [f"    {name}: {one_line(said)}" for name, said in
                  (("predicts", one.prediction), ("refuted by", one.falsifier)) if said]
    for opinion in verdict.opinions:
        features = ", ".join(f"{name} {value:+.2f}" for name, value in opinion.features.items())
        who = ", ".join(opinion.held_by)
        lines.append(f"  {weight(opinion.weight, verdict)} of {who}: {features or 'no features'}")
    off = verdict.opinions[0].off if verdict.opinions else {}
    return lines + [f"  {name} carries no weight: {one_line(reason)}" for name, reason in off.items()]


_HOW = {"medoid": "the hypothesis nearest to all that were heard", "synthesis": "a synthesis of what was heard",
        "none": "that none of these deserves trust"}


def weight(value: float, verdict: Verdict) -> str:
    """A weight; a percentage only where it was calibrated."""
    return f"{value:.0%}" if verdict.calibrated else f"{value:.2f}"


def _opinion(place: int, opinion: Opinion, verdict: Verdict) -> Content:
    interval = ""
    if opinion.interval:
        low, high = (weight(end, verdict) for end in opinion.interval)
        interval = f" [{low}, {high}]"
    dissent = "dissent, " if place in verdict.dissent else ""
    return _weighed(opinion.weight, verdict, f"{dissent}{', '.join(opinion.held_by)}", f": {opinion.text}", interval)


def _weighed(value: float, verdict: Verdict, who: str, what: str = "", interval: str = "") -> Content:
    bar = "█" * round(_BAR * value)
    return Content.assemble((f"{bar:·<{_BAR}} ", "$primary"), f"{weight(value, verdict):>4}{interval}  ",
                            (printable(who), "bold"), one_line(what))


def _remarks(verdict: Verdict) -> Iterator[str]:
    yield (f"{len(verdict.hypotheses)} hypotheses count as {verdict.votes:.1f} independent votes; "
           f"{verdict.tokens:,} tokens, {verdict.seconds:.1f} s")
    if not verdict.calibrated:
        yield "weights are an uncalibrated prior; `twin council --probe` calibrates them on this core"
    yield from (f"{role} gave nothing that can be used: {reason}" for role, reason in verdict.failed.items())
    yield from (f"to be measured: {missing}" for missing in verdict.missing)
    if alone := verdict.control:
        yield f"one role instead, {alone.role} ({alone.samples} samples, {alone.tokens:,} tokens): {alone.answer}"


def _sources(one: Hypothesis) -> str:
    return "".join(f" [{number}]" for number in one.evidence)
