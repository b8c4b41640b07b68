"""A proposal as a decision needs it: the review's own lines, and three items before and after, side by side where there
is room."""
from __future__ import annotations

import textwrap
from collections.abc import Iterator
from dataclasses import dataclass, replace

from rich.cells import set_cell_size
from textual.content import Content

from twin.archive import Stored
from twin.proposals import State
from twin.review import Review, state
from twin.text import one_line, printable
from twin.watchdog import Alarm
from twin.words import Words

SIDES = 56  # columns from which before and after stand beside each other
LONG = 600  # characters of an item, and of what a map makes of it
_TINTS: dict[State, str] = {"open": "", "accepted": "$text-success", "rejected": "$text-error",
                            "unproven": "$text-warning", "declined": "$text-muted", "on trial": "$text-primary",
                            "applied": "$text-primary", "rolled back": "$text-muted", "stale": "$text-muted"}


@dataclass(frozen=True)
class Entry:
    """A proposal and its review."""

    stored: Stored
    review: Review


def row(one: Entry, words: Words) -> Content:
    """A proposal on one line: its state, what it would change."""
    named = one.stored.state
    return Content.assemble(("! " if one.review.risk == "high" else "  ", "$text-warning"),
                            (f"{state(named, words.language):<22} ", _TINTS[named]),
                            one_line(one.review.says[words.language]))


def about(one: Entry, words: Words, width: int) -> Content:
    """All that a decision needs, for so many columns."""
    review, proof = one.review, one.review.proof
    told = replace(review, proof=replace(proof, samples=())) if proof else review
    lines = told.text(words.language).split("\n")
    unproven = proof is None and review.state == "open"
    if unproven:  # the review's last line names the command of the shell
        lines = lines[:-1]
    made = [Content.styled(printable(lines[0]), "bold"), *(_line(line) for line in lines[1:])]
    if unproven:
        made += [Content(""), Content.styled(words("Not proven yet: p measures it on conversations it was not made "
                                                   "from."), "$text-primary")]
    if one.stored.note:
        made.append(Content(words("Your note: {note}", note=one_line(one.stored.note))))
    return Content("\n").join([*made, *_samples(review, words, width)])


def _line(said: str) -> Content:
    shown = printable(said)
    return Content(shown) if shown.startswith("  ") else Content.assemble((shown, "$text-muted"))


def _samples(review: Review, words: Words, width: int) -> Iterator[Content]:
    if not review.samples:
        return
    yield Content("")
    before, after = words("before"), words("after")
    beside = width >= SIDES
    if beside:
        yield Content.styled(_beside([before], [after], width)[0], "bold")
    for one in review.samples:
        about, was, now = (_short(said) for said in (one.about, one.before, one.after))
        yield Content("")
        yield Content.styled(f"“{about}”", "italic $text-muted")
        if beside:
            half = (width - 3) // 2
            yield from map(Content, _beside(textwrap.wrap(was, half), textwrap.wrap(now, half), width))
        else:
            yield Content.assemble((f"{before}: ", "bold"), was)
            yield Content.assemble((f"{after}: ", "bold"), now)


def _short(said: str) -> str:
    flat = one_line(said)
    return flat if len(flat) <= LONG else f"{flat[:LONG - 1]}…"


def _beside(left: list[str], right: list[str], width: int) -> list[str]:
    """Two columns of lines."""
    half = (width - 3) // 2
    rows = max(len(left), len(right))
    pad = [[*some, *[""] * (rows - len(some))] for some in (left, right)]
    return [f"{set_cell_size(one, half)} │ {set_cell_size(other, half).rstrip()}".rstrip()
            for one, other in zip(*pad, strict=True)]


def alarm(one: Alarm, words: Words) -> str:
    """A change in force that does worse than its proof let expect, and how it is taken back here."""
    if one.metric == "router":
        return words("{id}: over {n} messages the share of right routes changed by {live}; its proof promised at least "
                     "{low}. b takes it back.", id=one.proposal, n=one.n, live=f"{one.live:+.0%}",
                     low=f"{one.low:+.0%}")
    return words("{id}: {live} of {n} ratings are good, {low} were before. b takes it back.", id=one.proposal, n=one.n,
                 live=f"{one.live:.0%}", low=f"{one.low:.0%}")
