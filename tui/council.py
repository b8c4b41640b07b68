"""How a council is drawn: claims as they come, opinions with their weights, and what became of each in plain lines."""
from __future__ import annotations

from collections.abc import Sequence

from textual.content import Content

from twin.text import one_line, printable
from twin.types import Hypothesis, Verdict
from twin.verdict_text import Row, remarks, rows, sources, weight

_BAR = 10  # columns of a weight of 1


def claims(heard: Sequence[Hypothesis]) -> Content:
    """What each role said so far, a line each."""
    return Content("\n").join(
        Content.assemble((printable(one.role), "bold"), f": {one_line(one.text)}", (sources(one), "$text-muted"))
        for one in heard)


def weighing(verdict: Verdict) -> Content:
    """Opinions, heaviest first, "none of these", and what the numbers are worth."""
    lines = [_weighed(row) for row in rows(verdict)]
    lines += [Content.assemble((one_line(remark), "$text-muted")) for remark in remarks(verdict)]
    return Content("\n").join(lines)


def told(verdict: Verdict) -> list[str]:
    """Every hypothesis with what it predicts and would be refuted by, and what gave the opinions their weights."""
    lines = ["", f"A council; the answer is {_HOW[verdict.how]}."]
    for one in verdict.hypotheses:
        lines.append(f"{one.role} ({weight(one.weight, verdict)}): {one_line(one.text)}{sources(one)}")
        lines += [f"    {name}: {one_line(said)}" for name, said in
                  (("predicts", one.prediction), ("refuted by", one.falsifier)) if said]
    for opinion in verdict.opinions:
        features = ", ".join(f"{name} {value:+.2f}" for name, value in opinion.features.items())
        who = ", ".join(opinion.held_by)
        lines.append(f"  {weight(opinion.weight, verdict)} of {who}: {features or 'no features'}")
    return lines


_HOW = {"medoid": "the hypothesis nearest to all that were heard", "synthesis": "a synthesis of what was heard",
        "none": "that none of these deserves trust"}


def _weighed(row: Row) -> Content:
    bar = "█" * round(_BAR * row.value)
    what = f": {one_line(row.what)}" if row.what else ""
    return Content.assemble((f"{bar:·<{_BAR}} ", "$primary"), f"{row.weight:>4}  ", (printable(row.who), "bold"), what)
