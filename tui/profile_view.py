"""The parts of a profile as the terminal shows them: where the questions stand, the levels, time, topics, one claim.

All sentences come from the report, in its language; here they are only laid out.
"""
from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from textual.content import Content

from twin.report.content import ClaimPart
from twin.report.content import Content as Report
from twin.text import one_line, printable
from twin.verification import Change, Difference, Kept
from twin.words import Words

from .quotes import authority

_BAR = 24  # columns of the longest bar
_TINTS = {"now": "bold $text-primary", "edge": "$text-warning", "yes": "$text-success", "was": "", "no": "$text-muted",
          "outgrown": "$text-muted"}


@dataclass(frozen=True, repr=False)
class Part:
    """A row of the screen: a title, what stands behind it, and the claim it is, if it is one. `decided`: what the
    person did with that."""

    title: str
    about: Content
    claim: ClaimPart | None = None
    confidence: float = 0.0
    decided: str = ""


def parts(said: Report) -> list[Part]:
    """Everything of a report but its claims, which `claim` shows."""
    words = said.words
    made: list[tuple[str, list[Content | str]]] = [
        (words["standing"], [*said.standing, "", said.size, "", said.rule, "", *_deepest(said)]),
        (words["table"], [*_table(said), Content(""), muted(said.table_rule)] if said.rows else []),
        (words["others"], list(said.others)),
        (words["time"], [*_months(said), Content(""), *said.changes]),
        (words["topics"], [*_topics(said)]),
        (words["conclusion"], [*said.conclusion, "", Content.styled(words["notes"], "bold"), *said.notes, said.more])]
    return [Part(title, joined(lines)) for title, lines in made if any(map(str, lines))]


def joined(lines: Iterable[Content | str]) -> Content:
    """One below the other."""
    return Content("\n").join(Content(printable(one)) if isinstance(one, str) else one for one in lines)


def muted(said: str) -> Content:
    """In the colour of what need not be read."""
    return Content.styled(printable(said), "$text-muted")


def _deepest(said: Report) -> Iterator[Content | str]:
    if said.deepest:
        yield Content.styled(said.words["deepest"], "bold")
    for level, quote, why in said.deepest:
        yield Content.assemble((f"[{level}] ", "bold $text-primary"), printable(quote))
        yield muted(f"    {why}")


def _table(said: Report) -> Iterator[Content]:
    most = max(1, *said.levels.values()) if said.levels else 1
    names = {said.words[name]: tint for name, tint in _TINTS.items()}
    for row in said.rows:
        count = said.levels.get(int(row["level"]), 0)
        bar = "█" * round(_BAR * count / most) or ("▏" if count else "")
        yield Content.assemble((f"{row['level']}  ", "bold"), (f"{row['you']}", names.get(row["you"], "")),
                               f"  {bar} {row['count']}" if count else "",
                               (f"  {row['when']}" if row["when"] else "", "$text-muted"))
        yield muted(f"   {row['asked']}")
        if row["yours"]:
            yield Content(f"   {printable(row['yours'])}")


def _months(said: Report) -> Iterator[Content]:
    if said.months:
        yield muted(f"{said.words['month']}; n; {said.words['mean']}; {said.words['deep']}")
    for month, n, mean, deep in said.months:
        level = float(mean.split()[0])
        yield Content.assemble((f"{month} ", "bold"), f"{n:>4}  ", ("█" * round(_BAR * (level - 1) / 6) or "▏",
                                                                    "$primary"), f" {mean}  {deep}")


def _topics(said: Report) -> Iterator[Content]:
    for name, talks, messages, when in said.topics:
        yield Content.assemble((one_line(name), "bold"), (
            f"  {said.words['talks'].lower()}: {talks}" + (
                f", {said.words['messages'].lower()}: {messages}" if messages else "") + (f", {when}" if when else ""),
            "$text-muted"))


# ---- claims ----------------------------------------------------------------------------------------------------------

def claim(one: ClaimPart, said: Report) -> Content:
    """A claim with what it rests on."""
    lines: list[Content | str] = [Content.styled(printable(one.text), "bold"), *map(muted, one.lines), ""]
    if one.contrast:
        lines += [one.contrast, muted(said.words["flat"]), ""]
    lines += [Content.assemble(("▌ ", "$primary"), printable(quote)) for quote in one.quotes]
    if one.counter:
        lines += ["", Content.styled(said.words["against"], "$text-warning"),
                  *(Content.assemble(("▌ ", "$warning"), printable(quote)) for quote in one.counter)]
    lines += [Content.styled(printable(line), "$text-warning") for line in (one.conflict, one.same) if line]
    return joined([*lines, "", muted(one.id)])


def claim_row(part: Part) -> Content:
    """A claim on one line: its number, how sure, what the person decided, its words."""
    assert part.claim is not None  # noqa: S101 - for the type checker
    marks = "".join(sign for name, sign in (("approve", "✓"), ("pin", "★"), ("edit", "✎")) if name in part.decided)
    return Content.assemble((f"{part.claim.number:>3} ", "$text-muted"), f"{part.confidence:.2f} ",
                            (f"{marks:<2} ", "$text-success"), one_line(part.claim.text))


# ---- versions --------------------------------------------------------------------------------------------------------

def difference(found: Difference, words: Words) -> Content:
    """What is different between two versions."""
    if found.same:
        return Content(words("Nothing is different from the version before."))
    lines: list[Content | str] = []
    for title, some in ((words("New"), found.came), (words("Gone"), found.went)):
        lines += _section(title, [f"{one_line(one.text)}  {one.confidence:.2f}" for one in some])
    for title, moved in ((words("More certain"), found.rose), (words("Less certain"), found.fell)):
        lines += _section(title, [_moved(one) for one in moved])
    lines += _section(words("Another standing"), [_standing(one, words) for one in found.authority])
    lines += _section(words("Questions by depth"), [
        f"{month or words('undated')}: " + ", ".join(words("level {n}: {more}", n=level, more=f"{count:+d}")
                                                    for level, count in counts.items())
        for month, counts in found.levels.items()])
    return joined(lines)


def _section(title: str, lines: list[str]) -> list[Content | str]:
    return [Content.styled(title, "bold"), *(f"  {one}" for one in lines), ""] if lines else []


def _moved(one: Change) -> str:
    return f"{one_line(one.after.text)}  {one.before.confidence:.2f} -> {one.after.confidence:.2f}"


def _standing(one: Change, words: Words) -> str:
    return f"{one_line(one.after.text)}: {_whose(one.before, words)} -> {_whose(one.after, words)}"


def _whose(one: Kept, words: Words) -> str:
    return authority(one.authority, words)
