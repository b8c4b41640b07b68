"""HTML that this room writes into the page.

`widgets.HTML` and a cell's output put it into the page as it is. So every text that a person, a core or a file wrote
goes through `escaped`, `cell` or markdown.py, which escape all of it; `Html` marks what has been through.
"""
from __future__ import annotations

import html
from collections.abc import Iterable, Sequence
from typing import NewType

from twin.text import clean, printable

Html = NewType("Html", str)
"""Markup that is safe to put into the page."""

ACCENT = "var(--jp-brand-color1,#4a90d9)"
FAINT, SMALL = "opacity:.65;font-size:88%", "font-size:88%"
BAD = "border-left:3px solid var(--jp-error-color1,#d9534f);padding-left:.6em"
STILL = "tex2jax_ignore mathjax_ignore"  # no formula is set in text from outside: formulas can hold links


def plain(text: str) -> str:
    """A text as it may be shown: no control characters, nothing that turns the direction of what follows."""
    return printable(clean(text))


def escaped(text: str, style: str = "") -> Html:
    """A text from outside as one block: all of it escaped, lines kept, its direction of writing shut in."""
    return Html(f'<div dir="auto" class="{STILL}" style="white-space:pre-wrap;overflow-wrap:anywhere;'
                f'unicode-bidi:isolate;line-height:1.5;{style}">{html.escape(plain(text))}</div>')


def piece(text: str, style: str = "") -> Html:
    """A text from outside inside a line."""
    return Html(f'<span dir="auto" class="{STILL}" style="unicode-bidi:isolate;overflow-wrap:anywhere;{style}">'
                f'{html.escape(plain(text))}</span>')


def joined(parts: Iterable[Html]) -> Html:
    """One after the other."""
    return Html("".join(parts))


def block(inner: Html, style: str = "") -> Html:
    """A block around markup."""
    return Html(f'<div style="{style}">{inner}</div>')


def badge(text: str) -> Html:
    """A name on a coloured ground."""
    return piece(text, f"background:{ACCENT};color:#fff;border-radius:.7em;padding:.05em .6em;font-weight:600")


def bar(share: float, style: str = "") -> Html:
    """A line as long as a share (0..1) of the width."""
    wide = max(0.0, min(1.0, share)) * 100
    return Html(f'<div style="height:4px;border-radius:2px;background:rgba(128,128,128,.25);{style}">'
                f'<div style="height:4px;border-radius:2px;width:{wide:.0f}%;background:{ACCENT}"></div></div>')


def folded(title: str, inner: Html, *, opened: bool = False) -> Html:
    """Markup that a click on its title unfolds, without the kernel."""
    return unfolding(piece(title), inner, opened=opened)


def unfolding(title: Html, inner: Html, *, opened: bool = False) -> Html:
    """The same under a title of markup."""
    return Html(f'<details{" open" if opened else ""} style="margin:.3em 0;line-height:1.5">'
                f'<summary style="cursor:pointer">{title}</summary>'
                f'<div style="padding:.3em 0 .3em 1em">{inner}</div></details>')


def table(head: Sequence[str], rows: Iterable[Sequence[str | Html]], *, ready: Iterable[int] = ()) -> Html:
    """A table of texts from outside; columns in `ready` (from 0) hold markup."""
    done = frozenset(ready)
    style = "padding:.2em .8em .2em 0;text-align:left;vertical-align:top"
    top = "".join(f'<th style="{style}">{piece(name)}</th>' for name in head)
    drawn = "".join("<tr>" + "".join(f'<td style="{style}">{one if place in done else piece(one)}</td>'
                                     for place, one in enumerate(row)) + "</tr>" for row in rows)
    return Html(f'<table style="border-collapse:collapse;font-size:92%"><thead><tr>{top}</tr></thead>'
                f"<tbody>{drawn}</tbody></table>")
