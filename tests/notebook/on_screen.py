"""Panels as a person meets them, without a browser: the widgets' own state, clicks as the browser reports them."""
from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from html.parser import HTMLParser
from pathlib import Path
from time import monotonic
from typing import Any

import ipywidgets as widgets

from twin.catalog import Catalog
from twin.chat import Twin
from twin.engine.scripted import ScriptedEngine
from twin.home import Home
from twin.notebook.gate import gate
from twin.types import Engine

TAGS = {"div", "span", "details", "summary", "table", "thead", "tbody", "tr", "th", "td", "ul", "li", "del", "ins", "p",
        "strong", "svg", "title", "line", "polyline", "circle", "text"}
"""All elements that the room itself writes."""
ATTRIBUTES = {"dir", "class", "style", "viewbox", "role", "x", "y", "x1", "x2", "y1", "y2", "cx", "cy", "r", "fill",
              "fill-opacity", "font-size", "points", "stroke", "stroke-opacity", "stroke-width", "stroke-linejoin"}
HOSTILE = ["<script>alert(1)</script>", "<img src=x onerror=alert(1)>", "</div><iframe src=javascript:alert(1)>",
           "\"><svg/onload=alert(1)>", "[click](javascript:alert(1)) https://evil.example", "\u202egnp.exe\x1b[31m",
           "{hole} {0} {", "[-<b>-] {+<i>+}"]


class Page(HTMLParser):
    """Text and elements of a page, read as a browser reads them."""

    def __init__(self, source: str) -> None:
        super().__init__(convert_charrefs=True)
        self.text = ""
        self.tags: set[str] = set()
        self.attributes: set[str] = set()
        self.feed(source)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.attributes |= {name for name, _ in attrs}

    def handle_data(self, data: str) -> None:
        self.text += data


def opened(home: Path, engine: Engine | None = None, language: str = "en") -> Twin:
    """A twin without models of its own, its faces in this language."""
    twin = Twin(Home(home), engine=engine or ScriptedEngine(lambda _: "Yes."), catalog=Catalog(home / "no models"))
    twin.language = language
    return twin


def inside(view: Any) -> Iterator[Any]:
    """A widget and all below it."""
    yield view
    for child in getattr(view, "children", ()):
        yield from inside(child)


def pages(view: Any) -> list[Page]:
    """The HTML that is on the screen."""
    return [Page(one.value) for one in inside(view) if isinstance(one, widgets.HTML)]


def seen(view: Any) -> str:
    """What a person reads: texts, and what stands on buttons and beside fields."""
    told = [Page(one.value).text if isinstance(one, widgets.HTML) else getattr(one, "description", "")
            for one in inside(view)]
    titles = [title for one in inside(view) for title in getattr(one, "titles", ())]
    return "\n".join(filter(None, [*told, *titles]))


def kinds(view: Any, kind: type[Any]) -> list[Any]:
    """All widgets of a kind, in the order of the screen."""
    return [one for one in inside(view) if isinstance(one, kind)]


def button(view: Any, name: str) -> Any:
    """The first button of this name, or of this tooltip where it is an icon."""
    return next(one for one in kinds(view, widgets.Button)
                if name in (one.description, one.description or one.tooltip))


def names(view: Any) -> list[str]:
    """What stands on the buttons."""
    return [one.description or one.tooltip for one in kinds(view, widgets.Button)]


def press(panel: Any, name: str) -> None:
    """Click, and wait until what that began is over."""
    before = set(threading.enumerate())
    button(panel.view, name).click()
    settled(panel, before)


def settled(panel: Any, before: set[threading.Thread]) -> None:
    """Wait for the threads that were begun since, and for whoever is at work."""
    until(lambda: not gate(panel.twin).locked()
          and not [one for one in set(threading.enumerate()) - before if one.name == "twin-behind"])


def until(condition: Callable[[], object]) -> None:
    """Wait for it, with the patience that a busy machine needs."""
    patience, pause = monotonic() + 300, threading.Event()
    while not condition():
        assert monotonic() < patience, "it did not come within 300 s"
        pause.wait(0.01)


def whole(view: Any) -> None:
    """Nothing on the screen is markup that the room did not write."""
    for page in pages(view):
        assert page.tags <= TAGS
        assert page.attributes <= ATTRIBUTES
        assert not {letter for letter in page.text if letter in "\x1b\u202e"}
