"""Markdown of an answer as HTML that is safe to put into the page.

What a core writes is data: HTML in it is text, a link is its words and its address as text, a picture is its address,
so that nothing is fetched and nothing opens. Headings are bold lines: an answer is no chapter of the notebook.
"""
from __future__ import annotations

import html
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from twin.notebook.html import STILL, Html, plain

if TYPE_CHECKING:
    from markdown_it import MarkdownIt
    from markdown_it.token import Token

_LOOK = ("overflow-wrap:anywhere;unicode-bidi:isolate;line-height:1.5;"
         "overflow-x:auto")  # a table or a line of code that is too wide scrolls by itself
_CODE = "background:rgba(128,128,128,.13);border-radius:4px"


def markdown(text: str, style: str = "") -> Html:
    """An answer, as far as it is written."""
    return Html(f'<div dir="auto" class="{STILL}" style="{_LOOK};{style}">{_parser().render(plain(text))}</div>')


@lru_cache(maxsize=1)
def _parser() -> MarkdownIt:
    from markdown_it import MarkdownIt  # here: only where an answer is drawn
    from markdown_it.renderer import RendererHTML

    made = MarkdownIt("commonmark", {"html": False, "breaks": True}).enable(["table", "strikethrough"])
    drawn: Any = RendererHTML()
    for rule, draw in {"link_open": _nothing, "link_close": _address, "image": _picture, "heading_open": _heading,
                       "heading_close": _heading_end, "fence": _code, "code_block": _code}.items():
        drawn.rules[rule] = draw
    made.renderer = drawn
    return made


def _nothing(*_: Any) -> str:
    return ""


def _address(tokens: Sequence[Token], place: int, *_: Any) -> str:
    """Where a link leads, behind its words; nothing where those say it already."""
    depth, words = 0, list[str]()
    for token in reversed(tokens[:place]):
        depth += (token.type == "link_close") - (token.type == "link_open")
        if depth < 0:
            target = str(token.attrGet("href") or "")
            said = "".join(reversed(words))
            return "" if not target or said in (target, target.removeprefix("mailto:")) else f" ({html.escape(target)})"
        words.append(token.content)
    return ""


def _picture(tokens: Sequence[Token], place: int, *_: Any) -> str:
    return html.escape(f"{tokens[place].content} ({tokens[place].attrGet('src') or ''})".strip())


def _heading(tokens: Sequence[Token], place: int, *_: Any) -> str:
    return f'<p style="font-weight:600;font-size:{112 if tokens[place].tag in ("h1", "h2") else 104}%">'


def _heading_end(*_: Any) -> str:
    return "</p>\n"


def _code(tokens: Sequence[Token], place: int, _options: Mapping[str, Any], _env: Mapping[str, Any]) -> str:
    return (f'<pre style="{_CODE};padding:.5em;overflow-x:auto"><code style="background:none">'
            f"{html.escape(tokens[place].content)}</code></pre>\n")
