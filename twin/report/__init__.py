"""Profile -> a report in its own language: plain text, Markdown, one HTML page, or values for machines.

It shows and claims nothing of its own. What a person wrote is data in every form: never markup, never a link.
"""
from __future__ import annotations

from typing import Any

from twin import position, timeline
from twin.person import Profile
from twin.report.content import asks, conclusion, content, levels
from twin.report.text import render as render
from twin.types import to_plain

__all__ = ["conclusion", "html", "markdown", "numbers", "render"]


def markdown(profile: Profile) -> str:
    """The profile as Markdown (CommonMark with tables), without pictures."""
    from twin.report.page import as_markdown  # here: jinja2 loads only when wanted

    return as_markdown(content(profile))


def html(profile: Profile, *, plots: bool = True) -> str:
    """The profile as one HTML page that loads nothing from anywhere; `plots` draws its pictures into it as SVG."""
    from twin.report.page import as_page  # here: jinja2, markdown_it and matplotlib load only when wanted

    pictures = {}
    if plots:
        from twin import plots as drawn

        pictures = {"standing": drawn.svg(drawn.levels(profile)), "claims": drawn.svg(drawn.facets(profile)),
                    "time": drawn.svg(drawn.timeline(profile))}
    return as_page(content(profile), pictures)


def numbers(profile: Profile) -> dict[str, Any]:
    """What the report adds to the profile, for machines: headline, table, months, facets over time, conclusion, what
    is asked of the person, and how much rests on words they confirmed from a portrait. Levels count equal questions
    once."""
    return {"headline": to_plain(position.headline(profile)), "levels": to_plain(levels(profile)),
            "table": to_plain(position.table(profile)), "table_rule": position.table_rule(profile.language),
            "months": to_plain(timeline.months(profile)), "facets_over_time": to_plain(timeline.facet_life(profile)),
            "conclusion": list(conclusion(profile)), "asks": list(asks(profile)),
            "confirmed_from_a_portrait": {"questions": sum(one.evidence.confirmed for one in profile.questions),
                                          "claims": sum(claim.confirmed > 0 for claim in profile.claims)}}
