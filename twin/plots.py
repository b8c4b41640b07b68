"""Pictures: of a profile (questions by level, depth over time, facets), and trees. The only room of matplotlib.

Figures are made by the object interface alone: no pyplot, no window, no global state. Every number carries its n.
"""
from __future__ import annotations

import io
import textwrap
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from twin import position
from twin import timeline as over_time
from twin.comparison import wilson
from twin.person import Claim, Profile
from twin.text import one_line

if TYPE_CHECKING:
    from matplotlib.figure import Figure as Figure

_WORDS: Mapping[str, Mapping[str, str]] = {
    "en": {
        "levels": "Questions at each level; different questions: {n}", "questions": "questions", "level": "level",
        "recent": "recent", "other": "earlier or undated",
        "head": "level {level} (95 % interval {low}-{high}; questions: {n})",
        "time": "Depth of questions by month; questions with a date: {n}", "mean": "mean level, 95 % interval",
        "lives": "When each claim showed; the larger the dot, the more messages",
        "facets": "How often each facet shows; own messages: {n}",
        "plain_rate": "% of your own messages, 95 % interval",
        "rate": "% of your sentences (of your questions where it is a way of asking), 95 % interval",
        "more": "n={n}; low end above {more} of {of} others", "n": "n={n}",
        "none": "Nothing to draw yet; own messages: {n}, questions: {questions}, claims: {claims}",
        "cut": " (the first {shown} of {all})",
    },
    "ru": {
        "levels": "Вопросы по уровням; разных вопросов: {n}", "questions": "вопросов", "level": "уровень",
        "recent": "последние", "other": "ранние или без даты",
        "head": "уровень {level} (интервал 95 %: {low}-{high}; вопросов: {n})",
        "time": "Глубина вопросов по месяцам; вопросов с датой: {n}", "mean": "средний уровень, интервал 95 %",
        "lives": "Когда было видно каждое утверждение; чем больше точка, тем больше сообщений",
        "facets": "Как часто видна каждая грань; твоих сообщений: {n}",
        "plain_rate": "% твоих сообщений, интервал 95 %",
        "rate": "% твоих предложений (вопросов, если грань о том, как спрашивают), интервал 95 %",
        "more": "n={n}; нижняя граница выше, чем у {more} из {of}", "n": "n={n}",
        "none": "Рисовать пока нечего; твоих сообщений: {n}, вопросов: {questions}, утверждений: {claims}",
        "cut": " (первые {shown} из {all})",
    },
}
_BLUE, _LIGHT, _GREY, _RED = "#2a78b5", "#a9cbe6", "#777777", "#b5502a"  # told apart in grey, and by the colour-blind
_MOST = 15       # claims in one picture
_LABELLED = 24   # months that can each carry a number
_LABEL = 44      # characters of a line of a label
_TOLD = 80       # nodes of a tree that are told beside it
_NUMBERED = 120  # nodes of a tree that can each carry a number
_MARKS = ("o", "s", "v", "x", "D", "P")  # of kinds of nodes, for those who do not see the colours


def levels(profile: Profile) -> Figure:
    """How many questions at each level, the recent ones darker, and the headline's level with its interval."""
    words = _WORDS[profile.language]
    head = position.headline(profile)
    if head is None:
        return _nothing(profile)
    before, _ = position.split(profile)
    rows = position.table(profile)
    figure, axes = _figure(7.5, 4.2, words["levels"].format(n=sum(row.n for row in rows)))
    axes.axhspan(head.low, head.high, color=_RED, alpha=0.12, linewidth=0, zorder=0)
    axes.axhline(head.level, color=_RED, linewidth=1.5, linestyle="--", zorder=0,
                 label=words["head"].format(level=_short(head.level), low=_short(head.low), high=_short(head.high),
                                            n=head.n))
    places = [row.level for row in rows]
    recent = [row.recent if before else row.n for row in rows]
    axes.barh(places, recent, color=_BLUE, height=0.62, label=words["recent"] if before else None)
    if before:
        axes.barh(places, [row.n - row.recent for row in rows], left=recent, color=_LIGHT, height=0.62,
                  label=words["other"])
    for row in rows:
        axes.annotate(words["n"].format(n=row.n), (row.n, row.level), (5, 0), textcoords="offset points", va="center",
                      fontsize=9, bbox={"facecolor": "white", "edgecolor": "none", "pad": 1})
    axes.set_yticks(places)
    axes.set_ylim(0.4, 7.6)
    axes.set_xlim(0, max(row.n for row in rows) * 1.15)
    axes.set_xlabel(words["questions"])
    axes.set_ylabel(words["level"])
    _whole_numbers(axes.xaxis)
    figure.legend(*axes.get_legend_handles_labels(), loc="outside lower center", ncols=3, frameon=False, fontsize=9)
    return figure


def timeline(profile: Profile) -> Figure:
    """Mean depth by month with intervals and n, and below it the months in which each claim showed."""
    words = _WORDS[profile.language]
    months = over_time.months(profile) if position.headline(profile) else ()
    dated = [claim for claim in profile.claims if any(claim.months.values()) and claim.kind not in over_time.STATED]
    if not months and not dated:
        return _nothing(profile)
    claims = dated[:_MOST]
    names = [f"{_label(claim.text)}  {words['n'].format(n=sum(claim.months.values()))}" for claim in claims]
    figure, (above, below) = _two(9.5, 3.0, 0.7 + 0.42 * len(claims), shown=(bool(months), bool(claims)))
    seen = sorted({month.month for month in months} | {month for claim in claims for month in claim.months})
    if above is not None:
        _depth_by_month(above, months, words)
        above.set_title(words["time"].format(n=sum(month.n for month in months)), fontsize=11, loc="left")
    if below is not None:
        _lives(below, claims, names)
        cut = words["cut"].format(shown=len(claims), all=len(dated)) if len(claims) < len(dated) else ""
        below.set_title("\n".join(textwrap.wrap(words["lives"] + cut, 66)), fontsize=11, loc="left")
    _month_axis(below if below is not None else above, seen)
    return figure


def facets(profile: Profile) -> Figure:
    """Dot plot: how often each facet shows, with its interval, n, and how many people of the reference set lie below
    that interval. Where the profile compares nothing, rates are those of own messages, intervals Wilson's."""
    words = _WORDS[profile.language]
    compared = [claim for claim in profile.claims if claim.comparison]
    counted = compared or [claim for claim in profile.claims if claim.messages and claim.kind not in over_time.STATED]
    if not counted or not profile.own_messages:
        return _nothing(profile)
    claims = counted[:_MOST]
    rates = [_rate(claim, profile.own_messages) for claim in claims]
    cut = words["cut"].format(shown=len(claims), all=len(counted)) if len(claims) < len(counted) else ""
    figure, axes = _figure(9.5, 1.3 + 0.48 * len(claims), words["facets"].format(n=profile.own_messages) + cut)
    places = range(len(claims))
    for place, (rate, low, high) in zip(places, rates, strict=True):
        axes.plot([low, high], [place, place], color=_BLUE, linewidth=2, solid_capstyle="round")
        axes.plot([rate], [place], "o", color=_BLUE, markersize=6)
    right = max(high for _, _, high in rates)
    for place, claim in zip(places, claims, strict=True):
        axes.annotate(_beside(claim, words), (1.01, place), xycoords=("axes fraction", "data"), va="center", fontsize=8)
    axes.set_yticks(places, [_label(claim.text) for claim in claims], fontsize=8)
    axes.set_ylim(len(claims) - 0.4, -0.6)
    axes.set_xlim(0, right * 1.05)
    axes.set_xlabel(words["rate" if compared else "plain_rate"])
    axes.grid(axis="x", color="#dddddd", linewidth=0.6)
    return figure


@dataclass(frozen=True)
class Node:
    """A node of a tree: its number, those of its parents (which stand before it), its height, the place of its kind
    among the kinds, a line that tells of it. `strong`: its way from the root is drawn thicker."""

    number: int
    parents: tuple[int, ...]
    height: float
    kind: int
    told: str = field(default="", repr=False)
    strong: bool = False


def tree(nodes: Sequence[Node], kinds: Sequence[tuple[str, str]], title: str, axis: str, across: str,
         more: str) -> Figure:
    """A tree, its nodes from left to right in their order, with one line of text for each beside it; `kinds`: (name,
    colour) with their number in the legend; `more`: a text with {n} for those that are not told."""
    told = nodes[:_TOLD]
    figure = _new(figsize=(13.5, max(4.5, 1.6 + 0.165 * len(told))), layout="constrained", facecolor="white")
    figure.suptitle(title, fontsize=11)
    axes, beside = figure.subplots(1, 2, width_ratios=(6, 7))
    _plain(axes)
    _branches(axes, nodes)
    for kind, (name, colour) in enumerate(kinds):
        some = [node for node in nodes if node.kind == kind]
        if some:
            axes.scatter([node.number for node in some], [node.height for node in some], s=26, color=colour, zorder=3,
                         marker=_MARKS[kind % len(_MARKS)], label=f"{name}: {len(some)}")
    if len(nodes) <= _NUMBERED:
        for node in nodes:
            axes.annotate(str(node.number), (node.number, node.height), (2, 4), textcoords="offset points", fontsize=6,
                          color=_GREY)
    axes.axhline(nodes[0].height, color=_GREY, linewidth=0.6, linestyle=":", zorder=0)
    axes.set_xlabel(across)
    axes.set_ylabel(axis)
    _whole_numbers(axes.xaxis)
    beside.set_axis_off()
    lines = [_safe(one_line(f"{node.number}  {node.told}")) for node in told]
    lines += [more.format(n=len(nodes) - len(told))] if len(told) < len(nodes) else []
    for row, (node, line) in enumerate(zip([*told, nodes[-1]], lines, strict=False)):
        colour = kinds[node.kind][1] if row < len(told) else _GREY
        beside.text(0, 1 - (row + 0.5) / len(lines), textwrap.shorten(line, 118, placeholder=" …"), fontsize=6.5,
                    color=colour, va="center", transform=beside.transAxes)
    figure.legend(*axes.get_legend_handles_labels(), loc="outside lower center", ncols=3, frameon=False, fontsize=8)
    return figure


def stacked(rows: Sequence[tuple[str, Sequence[float], float]], kinds: Sequence[str], title: str, axis: str) -> Figure:
    """Horizontal bars of stacked parts (label, parts, limit), a thin line where each one's limit lies; a row without
    parts is a heading. `kinds` names the parts."""
    colours, hatches = (_BLUE, _LIGHT, _GREY, _RED), ("", "", "//", "..")
    figure, axes = _figure(9.5, 1.4 + 0.3 * len(rows), title)
    for place, (_, parts, limit) in enumerate(rows):
        left = 0.0
        for kind, part in enumerate(parts):
            axes.barh(place, part, left=left, height=0.62, color=colours[kind % 4], hatch=hatches[kind % 4],
                      edgecolor="white", linewidth=0)
            left += part
        if parts:
            axes.plot([limit, limit], [place - 0.4, place + 0.4], color="black", linewidth=1.5)
    axes.set_yticks(range(len(rows)), [_safe(label) for label, _, _ in rows], fontsize=8)
    axes.invert_yaxis()
    axes.set_xlabel(axis)
    shown = [axes.barh([], [], color=colours[kind % 4], hatch=hatches[kind % 4], label=name)
             for kind, name in enumerate(kinds)]
    figure.legend(handles=shown, loc="outside lower center", ncols=4, frameon=False, fontsize=9)
    return figure


def _branches(axes: Any, nodes: Sequence[Node]) -> None:
    """Lines from parents to children; the second parent's is dashed."""
    by = {node.number: node for node in nodes}
    for node in nodes:
        for place, parent in enumerate(by[number] for number in node.parents if number in by):
            thick = node.strong and parent.strong
            axes.plot([parent.number, node.number], [parent.height, node.height], color=_BLUE if thick else "#bbbbbb",
                      linewidth=1.6 if thick else 0.6, linestyle="--" if place else "-", zorder=2 if thick else 1)


def png(figure: Figure) -> bytes:
    """The figure as PNG."""
    out = io.BytesIO()
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Glyph", UserWarning)
        figure.savefig(out, format="png", dpi=120)
    return out.getvalue()


def svg(figure: Figure) -> bytes:
    """The figure as SVG; equal figures give equal bytes. Letters are outlines, so no font is needed to see them."""
    from matplotlib import rc_context

    out = io.BytesIO()
    with rc_context({"svg.hashsalt": "twin"}), warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Glyph", UserWarning)  # a letter DejaVu Sans lacks is drawn as a box
        figure.savefig(out, format="svg", metadata={"Date": None})
    return out.getvalue()


# ---- the parts -----------------------------------------------------------------------------------------------------

def _depth_by_month(axes: Any, months: Sequence[over_time.Month], words: Mapping[str, str]) -> None:
    places = [_place(month.month) for month in months]
    means = [month.mean for month in months]
    reach = [[month.mean - month.low for month in months], [month.high - month.mean for month in months]]
    axes.errorbar(places, means, yerr=reach, fmt="o", color=_BLUE, ecolor=_LIGHT, elinewidth=2.5, markersize=5)
    if len(months) <= _LABELLED:
        for place, month in zip(places, months, strict=True):
            axes.annotate(words["n"].format(n=month.n), (place, 7.15), ha="center", va="bottom", fontsize=7,
                          color=_GREY)
    axes.set_ylim(0.7, 7.9)
    axes.set_yticks(range(1, 8))
    axes.set_ylabel(words["mean"], fontsize=9)
    axes.grid(axis="y", color="#dddddd", linewidth=0.6)


def _lives(axes: Any, claims: Sequence[Claim], names: Sequence[str]) -> None:
    most = max(n for claim in claims for n in claim.months.values())
    for row, claim in enumerate(claims):
        months = sorted(month for month, n in claim.months.items() if n)
        places = [_place(month) for month in months]
        axes.plot([places[0], places[-1]], [row, row], color=_LIGHT, linewidth=1.5, zorder=1)
        axes.scatter(places, [row] * len(places), s=[12 + 60 * claim.months[month] / most for month in months],
                     color=_BLUE, zorder=2)
    axes.set_yticks(range(len(claims)), names, fontsize=8)
    axes.set_ylim(len(claims) - 0.4, -0.6)


def _month_axis(axes: Any, seen: Sequence[str]) -> None:
    """At most a dozen names of months, whole ones only."""
    first, last = _place(seen[0]), _place(seen[-1])
    step = max(1, -(-(last - first + 1) // 12))
    places = range(first, last + 1, step)
    axes.set_xticks(places, [f"{(place - 1) // 12}-{(place - 1) % 12 + 1:02}" for place in places], rotation=30,
                    ha="right", fontsize=8)
    axes.set_xlim(first - 0.6, last + 0.6)


def _place(month: str) -> int:
    """'2025-06' as a number of months."""
    year, _, number = month.partition("-")
    return 12 * int(year) + int(number)


def _rate(claim: Claim, own: int) -> tuple[float, float, float]:
    """Rate and its interval in percent."""
    if claim.comparison:
        rate, low, high = claim.comparison.rate, claim.comparison.low, claim.comparison.high
    else:
        rate, (low, high) = claim.messages / own, wilson(claim.messages, own)
    return 100 * rate, 100 * low, 100 * high


def _beside(claim: Claim, words: Mapping[str, str]) -> str:
    if claim.comparison:
        return words["more"].format(n=claim.messages, more=claim.comparison.more_than, of=claim.comparison.of)
    return words["n"].format(n=claim.messages)


def _label(text: str) -> str:
    lines = textwrap.wrap(one_line(text), _LABEL)
    return _safe("\n".join([lines[0], lines[1] + " …"] if len(lines) > 2 else lines))


def _safe(text: str) -> str:
    """Words, not a formula."""
    return text.replace("$", r"\$")


def _short(number: float) -> str:
    return f"{number:.1f}".removesuffix(".0")


# ---- the frame -----------------------------------------------------------------------------------------------------

def _new(**options: Any) -> Figure:
    """A figure that shows itself in a notebook; without pyplot nothing else would draw it there."""
    from matplotlib.figure import Figure

    figure = Figure(**options)
    figure._repr_svg_ = lambda: svg(figure).decode("utf-8")  # type: ignore[attr-defined]
    return figure


def _figure(width: float, height: float, title: str) -> tuple[Figure, Any]:
    figure = _new(figsize=(width, height), layout="constrained", facecolor="white")
    axes = figure.add_subplot()
    _plain(axes)
    figure.suptitle(title, fontsize=11)
    return figure, axes


def _two(width: float, upper: float, lower: float, *, shown: tuple[bool, bool]) -> tuple[Figure, tuple[Any, Any]]:
    """One figure with both panels over a common axis of months, or only that of which there is something to show."""
    heights = [height for height, there in zip((upper, lower), shown, strict=True) if there]
    figure = _new(figsize=(width, 0.6 + sum(heights)), layout="constrained", facecolor="white")
    drawn = iter(figure.subplots(len(heights), 1, sharex=True, squeeze=False, height_ratios=heights)[:, 0])
    panels = tuple(next(drawn) if there else None for there in shown)
    for axes in panels:
        if axes is not None:
            _plain(axes)
    return figure, (panels[0], panels[1])


def _plain(axes: Any) -> None:
    axes.spines[["top", "right"]].set_visible(False)


def _whole_numbers(axis: Any) -> None:
    from matplotlib.ticker import MaxNLocator

    axis.set_major_locator(MaxNLocator(integer=True))


def _nothing(profile: Profile) -> Figure:
    figure = _new(figsize=(7.5, 1.2), facecolor="white")
    words = _WORDS[profile.language]["none"].format(n=profile.own_messages, questions=len(profile.questions),
                                                    claims=len(profile.claims))
    figure.text(0.5, 0.5, "\n".join(textwrap.wrap(words, 70)), ha="center", va="center", fontsize=11)
    return figure
