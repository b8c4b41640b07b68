"""How a council is drawn: claims as they come, opinions with their weights, and what became of each in plain lines."""
from __future__ import annotations

from collections.abc import Mapping, Sequence

from textual.content import Content

from twin.text import one_line, printable
from twin.types import Hypothesis, Verdict
from twin.verdict_text import Row, remarks, rows, sources, weight
from twin.words import Words, sentence

_BAR = 10  # columns of a weight of 1


def claims(heard: Sequence[Hypothesis], titles: Mapping[str, str]) -> Content:
    """What each role said so far, a line each."""
    return Content("\n").join(
        Content.assemble((printable(titles.get(one.role, one.role)), "bold"), f": {one_line(one.text)}",
                         (sources(one), "$text-muted"))
        for one in heard)


def weighing(verdict: Verdict, words: Words, titles: Mapping[str, str]) -> Content:
    """Opinions, heaviest first, "none of these", and what the numbers are worth."""
    lines = [_weighed(row, words, titles) for row in rows(verdict)]
    lines += [Content.assemble((one_line(sentence(remark, words.language)), "$text-muted"))
              for remark in remarks(verdict)]
    return Content("\n").join(lines)


def told(verdict: Verdict, words: Words, titles: Mapping[str, str]) -> list[str]:
    """Every hypothesis with what it predicts and would be refuted by, and what gave the opinions their weights."""
    how = {"medoid": words("the hypothesis nearest to all that were heard"),
           "synthesis": words("a synthesis of what was heard"), "none": words("that none of these deserves trust")}
    lines = ["", words("A council; the answer is {how}.", how=how[verdict.how])]
    for one in verdict.hypotheses:
        role = titles.get(one.role, one.role)
        lines.append(f"{role} ({weight(one.weight, verdict)}): {one_line(one.text)}{sources(one)}")
        lines += [f"    {name}: {one_line(said)}" for name, said in
                  ((words("predicts"), one.prediction), (words("refuted by"), one.falsifier)) if said]
    for opinion in verdict.opinions:
        features = ", ".join(f"{name} {value:+.2f}" for name, value in opinion.features.items())
        who = ", ".join(titles.get(role, role) for role in opinion.held_by)
        lines.append("  " + words("{weight} of {who}: {features}", weight=weight(opinion.weight, verdict), who=who,
                                  features=features or words("no features")))
    return lines


def _weighed(row: Row, words: Words, titles: Mapping[str, str]) -> Content:
    bar = "█" * round(_BAR * row.value)
    what = f": {one_line(row.what)}" if row.what else ""
    return Content.assemble((f"{bar:·<{_BAR}} ", "$primary"), f"{row.weight:>4}  ",
                            (printable(_who(row.who, words, titles)), "bold"), what)


def _who(said: str, words: Words, titles: Mapping[str, str]) -> str:
    """Who holds an opinion: roles by their titles, whether they dissent, or that it is none of these."""
    if said == "none of these":
        return words("none of these")
    return ", ".join(words("dissent") if one == "dissent" else titles.get(one, one) for one in said.split(", "))
