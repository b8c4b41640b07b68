"""A council's verdict in words, the same in every face: weights with a % sign only where they are calibrated.

Plain text that models and people wrote; a face escapes it and draws it.
"""
from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from twin.types import Hypothesis, Verdict

# tests/bench/results: 60 questions, a council of 7 against 8 samples (.98 of the tokens), gain -.072 [-.179, +.040].
MEASURED = ("measured on Qwen2.5-Coder-1.5B: a council was right no more often than one voice sampled to as many "
            "tokens (0.36 against 0.43 of 60 questions), so councils are off unless you ask; --control shows both")


@dataclass(frozen=True)
class Row:
    """One line of the verdict: its weight as a number and in words, who holds it, what it says."""

    value: float
    weight: str
    who: str
    what: str = ""


def sources(one: Hypothesis) -> str:
    """The numbers of the memories a hypothesis rests on, as they stand behind its words."""
    return "".join(f" [{number}]" for number in one.evidence)


def weight(value: float, verdict: Verdict) -> str:
    """A weight; a percentage only where it was calibrated on this core."""
    return f"{value:.0%}" if verdict.calibrated else f"{value:.2f}"


def rows(verdict: Verdict) -> list[Row]:
    """Opinions, heaviest first, then "none of these"."""
    made = []
    for place, opinion in enumerate(verdict.opinions):
        interval = ""
        if opinion.interval:
            low, high = (weight(end, verdict) for end in opinion.interval)
            interval = f" [{low}, {high}]"
        dissent = "dissent, " if place in verdict.dissent else ""
        made.append(Row(opinion.weight, f"{weight(opinion.weight, verdict)}{interval}",
                        f"{dissent}{', '.join(opinion.held_by)}", opinion.text))
    return [*made, Row(verdict.none, weight(verdict.none, verdict), "none of these")]


def remarks(verdict: Verdict) -> Iterator[str]:
    """What the numbers are worth, who failed, what would decide, and what the control said."""
    yield (f"{len(verdict.hypotheses)} hypotheses count as {verdict.votes:.1f} independent votes; "
           f"{verdict.tokens:,} tokens, {verdict.seconds:.1f} s")
    if not verdict.calibrated:
        yield "weights are an uncalibrated prior; `twin council --probe` calibrates them on this core with these roles"
    else:
        yield (f"weights are calibrated on {verdict.calibrated} short questions with known answers, asked of all "
               "roles; how well they hold for other questions was not measured")
    yield MEASURED
    yield from (f"{name} carries no weight: {why}"
                for name, why in (verdict.opinions[0].off if verdict.opinions else {}).items())
    yield from (f"{role} gave nothing that can be used: {why}" for role, why in verdict.failed.items())
    yield from (f"to be measured: {missing}" for missing in verdict.missing)
    if alone := verdict.control:
        yield (f"one role instead, {alone.role} ({alone.samples} samples, {alone.tokens:,} tokens, "
               f"{alone.seconds:.1f} s): {alone.answer}")
