"""What the notebook chat writes into the page, as HTML.

`widgets.HTML` puts its value into the page as it is, so every text that a person, a core or a file wrote goes through
`escaped`, which escapes all of it; the only tags on the page are the ones in this file.
"""
from __future__ import annotations

import html
from collections.abc import Iterable

from twin.text import clean, one_line, printable
from twin.types import Hypothesis, Recalled, Route, Verdict
from twin.verdict_text import remarks, rows, sources


def escaped(text: str, style: str = "") -> str:
    """HTML of a text from outside: all of it escaped, lines kept, its direction of writing shut in."""
    return (f'<div dir="auto" style="white-space:pre-wrap;overflow-wrap:anywhere;unicode-bidi:isolate;line-height:1.5;'
            f'{style}">{html.escape(printable(clean(text)))}</div>')


def why(route: Route) -> str:
    """Which role, how sure, and the reason."""
    return f"{route.role} · {route.sure} · {route.reason}"


def memory(number: int, memory: Recalled, cited: bool) -> str:
    """What it says and where it is from; not HTML yet."""
    day = f"{memory.time:%Y-%m-%d} " if memory.time else ""
    origin = f"{memory.why}; message {', '.join(memory.message_ids)}"
    return f"[{number}] {day}{'(used) ' if cited else ''}{memory.text}\n{origin}"


def claims(heard: Iterable[Hypothesis]) -> str:
    """What each role said, with the numbers of the memories it leans on."""
    return "".join(escaped(f"{one.role}: {one.text}{sources(one)}",
                         "opacity:.85;font-size:90%") for one in heard)


def weighing(verdict: Verdict) -> str:
    """Opinions, heaviest first, each under a bar, and what the numbers are worth."""
    drawn = (f'<div style="height:3px;width:{100 * row.value:.0f}%;background:#4a90d9"></div>'
             + escaped(f"{row.weight} {row.who}{f': {row.what}' if row.what else ''}") for row in rows(verdict))
    return "".join(drawn) + escaped("\n".join(map(one_line, remarks(verdict))), "opacity:.6;font-size:85%")
