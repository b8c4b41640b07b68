"""Pieces of a panel's page, beyond those of the whole room: remarks, quotes, marks of what changed, figures, a curve.

What they are given is text from anywhere: html.py escapes it, and the only tags here are those of this file. Colours
are the page's own with less weight, so that they are readable on a light and on a dark theme.
"""
from __future__ import annotations

import html
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Literal

from twin.notebook.html import ACCENT, FAINT, STILL, Html, block, escaped, joined, piece, plain
from twin.text import one_line

Tone = Literal["good", "bad", "now", "quiet"]
_TONES: Mapping[Tone, str] = {"good": "var(--jp-success-color1,#2e9e5b)", "bad": "var(--jp-error-color1,#d9534f)",
                              "now": ACCENT, "quiet": "rgba(128,128,128,.9)"}
_CHANGED = re.compile(r"\[-(.*?)-\]|\{\+(.*?)\+\}", re.DOTALL)
_WIDE, _HIGH, _MARGIN = 560, 110, 56  # of a curve, in its own units
_POINTS = 300  # of a curve that are drawn


def title(text: str) -> Html:
    """The name of a part."""
    return escaped(text, "font-weight:600;margin:.4em 0 .1em 0")


def faint(text: str) -> Html:
    """A block that stands back."""
    return escaped(text, FAINT)


def mark(text: str, tone: Tone = "quiet") -> Html:
    """A word in a frame of its own colour."""
    return piece(text, f"border:1px solid {_TONES[tone]};border-radius:.7em;padding:0 .55em;font-size:85%;"
                       "white-space:nowrap")


def note(text: str, tone: Tone = "quiet") -> Html:
    """A remark beside a coloured edge."""
    return escaped(text, f"border-left:3px solid {_TONES[tone]};padding-left:.7em;margin:.25em 0")


def quote(text: str, about: str = "") -> Html:
    """Words of the person, and where they are from."""
    said = escaped(text, "border-left:2px solid rgba(128,128,128,.5);padding-left:.7em")
    return block(joined([said, block(faint(about), "padding-left:.7em")] if about else [said]), "margin:.3em 0")


def bullets(texts: Iterable[str]) -> Html:
    """Texts as a list, a line each."""
    rows = "".join(f'<li style="margin:.1em 0">{piece(one_line(text))}</li>' for text in texts)
    return Html(f'<ul style="margin:.2em 0 .2em 1.2em;padding:0;line-height:1.45">{rows}</ul>' if rows else "")


def number(text: str, tone: Tone | Literal[""] = "") -> Html:
    """A figure in a column of figures."""
    colour = f";color:{_TONES[tone]}" if tone else ""
    return Html(f'<div style="text-align:right;font-variant-numeric:tabular-nums;white-space:nowrap{colour}">'
                f"{html.escape(plain(text))}</div>")


def grid(head: Sequence[str], rows: Iterable[Sequence[str | Html]], *, ready: Iterable[int] = ()) -> Html:
    """A table whose columns are as wide as their words need; columns in `ready` (from 0) hold markup. Nothing for no
    rows."""
    done, line = frozenset(ready), "border-bottom:1px solid rgba(128,128,128,.25)"
    cell = f"padding:.3em 1em .3em 0;text-align:left;vertical-align:top;{line}"
    top = "".join(f'<th style="{cell};{FAINT};white-space:nowrap">{html.escape(plain(name))}</th>' for name in head)
    body = "".join("<tr>" + "".join(f'<td style="{cell}">{one if place in done else _bare(one)}</td>'
                                    for place, one in enumerate(row)) + "</tr>" for row in rows)
    return Html('<div style="overflow-x:auto"><table style="border-collapse:collapse;line-height:1.4;margin:.2em 0">'
                f"<thead><tr>{top}</tr></thead><tbody>{body}</tbody></table></div>" if body else "")


def _bare(text: str) -> str:
    """A text in a cell. A word is broken only where it must be: a cell that may break anywhere is a letter wide."""
    return (f'<span dir="auto" class="{STILL}" style="unicode-bidi:isolate;overflow-wrap:break-word">'
            f"{html.escape(plain(text))}</span>")


def still(text: str) -> Html:
    """A short text in a cell that is never broken: a span of time, a name."""
    return piece(text, "white-space:nowrap")


def changed(changes: Iterable[str]) -> Html:
    """Lines of `role_changes`: what went struck out, what came underlined."""
    return joined(Html(f'<div dir="auto" style="line-height:1.5;overflow-wrap:anywhere">'
                       f"{_CHANGED.sub(_one, html.escape(plain(line)))}</div>") for line in changes)


def _one(found: re.Match[str]) -> str:
    gone, came = found[1], found[2]
    return (f'<del style="color:{_TONES["bad"]}">{gone}</del>' if gone is not None else
            f'<ins style="color:{_TONES["good"]}">{came}</ins>')


def curve(points: Sequence[tuple[float, float]], *, until: float, label: str) -> Html:
    """A curve through (x, y) for x from 0 to `until`, its highest and its last value written beside it; nothing for
    fewer than two points."""
    if len(points) < 2:
        return Html("")
    points = [*points[:-1][::max(1, len(points) // _POINTS)], points[-1]]
    low, high = min(y for _, y in points), max(y for _, y in points)
    across, up = (_WIDE - _MARGIN - 6) / max(until, 1e-9), (_HIGH - 24) / max(high - low, 1e-9)
    drawn = [(4 + across * x, 12 + up * (high - y)) for x, y in points]
    x, y = drawn[-1]
    told = "" if points[-1][1] == high else _told(_WIDE - _MARGIN + 6, 16, high, .55)
    return Html(
        f'<svg viewBox="0 0 {_WIDE} {_HIGH}" role="img" style="width:100%;max-width:{_WIDE}px;display:block">'
        f"<title>{html.escape(plain(label))}</title>"
        f'<line x1="4" x2="{_WIDE - _MARGIN}" y1="{_HIGH - 6}" y2="{_HIGH - 6}" stroke="currentColor" '
        f'stroke-opacity=".3"></line>'
        f'<polyline points="{" ".join(f"{a:.1f},{b:.1f}" for a, b in drawn)}" fill="none" style="stroke:{ACCENT}" '
        f'stroke-width="1.8" stroke-linejoin="round"></polyline>'
        f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3" style="fill:{ACCENT}"></circle>'
        f"{_told(x + 7, y + 4, points[-1][1], 1)}{told}</svg>")


def _told(x: float, y: float, value: float, weight: float) -> str:
    return (f'<text x="{x:.1f}" y="{y:.1f}" font-size="12" fill="currentColor" fill-opacity="{weight}">'
            f"{value:.3f}</text>")
