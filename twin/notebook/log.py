"""Log: the exchanges of a chat, the newest drawn, those before behind "n earlier".

Each widget is an object in the browser, and a notebook with thousands of them crawls; so what is not in sight is kept
as its turn and drawn again when somebody asks for it.
"""
from __future__ import annotations

from collections.abc import Callable, Sequence

import ipywidgets as widgets

from twin.notebook.base import button, gone
from twin.notebook.exchange import Exchange
from twin.types import Turn
from twin.words import Words

DRAWN = 12  # exchanges that are drawn at once, and so many more with each click


class Log:
    """`past` draws a turn that is over."""

    def __init__(self, words: Words, past: Callable[[Turn], Exchange]) -> None:
        self._words, self._past = words, past
        self._earlier: list[Turn] = []
        self._drawn: list[Exchange] = []
        self._more = button("", self.more, icon="chevron-up")
        self._more.layout.align_self = "center"
        self._top = widgets.VBox()
        self._inner = widgets.VBox()
        inner = widgets.VBox([self._top, self._inner], layout=widgets.Layout(flex="0 0 auto", width="100%"))
        # column-reverse keeps the newest line in sight while the answer grows, without JavaScript
        self.view = widgets.Box([inner], layout=widgets.Layout(
            display="flex", flex_flow="column-reverse", max_height="36em", overflow="auto", width="100%"))

    @property
    def drawn(self) -> Sequence[Exchange]:
        """What is drawn, the newest last."""
        return tuple(self._drawn)

    def of(self, turn: Turn) -> Exchange | None:
        """Where a turn is drawn."""
        return next((one for one in reversed(self._drawn) if one.turn and one.turn.id == turn.id), None)

    def add(self, exchange: Exchange) -> None:
        """A new exchange at the end; the oldest goes behind the button where there are too many."""
        if self._drawn:
            self._drawn[-1].rest()
        self._drawn.append(exchange)
        old, self._drawn = self._drawn[:-DRAWN], self._drawn[-DRAWN:]
        self._earlier += [one.turn for one in old if one.turn]
        self._show()
        gone(*(one.view for one in old))

    def show(self, turns: Sequence[Turn]) -> None:
        """These turns instead of all that stands here."""
        old, self._drawn, self._earlier = self._drawn, [], list(turns)
        self._take()
        if self._drawn:
            self._drawn[-1].open()
        self._show()
        gone(*(one.view for one in old))

    def more(self) -> None:
        """Draw some of those before."""
        self._take()
        self._show()

    def _take(self) -> None:
        found, self._earlier = self._earlier[-DRAWN:], self._earlier[:-DRAWN]
        self._drawn[:0] = [self._past(turn) for turn in found]

    def _show(self) -> None:
        count = len(self._earlier)
        self._more.description = self._words.count(count, "{n} earlier exchange", "{n} earlier exchanges")
        self._top.children = (self._more,) if count else ()
        self._inner.children = tuple(one.view for one in self._drawn)
