"""Log: the exchanges of a conversation and the program's own lines. Of a long conversation a window is drawn; what lies
before and behind it comes when one scrolls there, and what is far goes, so that scrolling never grows slow."""
from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, cast

from textual.app import ComposeResult
from textual.containers import VerticalScroll
from textual.content import Content
from textual.geometry import Size
from textual.layout import DockArrangeResult
from textual.scrollbar import ScrollBar
from textual.widget import Widget
from textual.widgets import Static

from .exchange import Exchange, Note

if TYPE_CHECKING:
    from twin.types import Turn

    from .app import TwinApp

DRAWN = 10  # exchanges at first, and at each step further: some 20 widgets each
MOST = 40   # that are drawn at once


class More(Static):
    """How much lies before or behind what is drawn; a click brings the next of it."""

    ALLOW_SELECT = False

    def __init__(self, bring: Callable[[], object]) -> None:
        super().__init__(classes="more")
        self._bring = bring

    def show(self, text: str) -> None:
        """Say how much; '' is nothing."""
        self.update(Content(text))
        self.display = bool(text)

    def on_click(self) -> None:
        self._bring()


class Log(VerticalScroll, can_focus=False):
    """A window on the exchanges. `turns` are those of the conversation that are stored; [first, last) are drawn."""

    def __init__(self) -> None:
        super().__init__(id="log")
        self._turns: list[Turn] = []
        self._first = self._last = 0
        self._held: tuple[Widget, int] | None = None  # the top of this one stays so many rows below the window's
        self._moving = False
        self._before = More(lambda: self.call_later(self.earlier))
        self._behind = More(lambda: self.call_later(self.later))

    def compose(self) -> ComposeResult:
        yield self._before
        yield self._behind

    def on_mount(self) -> None:
        self._count()
        self.anchor()

    @property
    def exchanges(self) -> list[Exchange]:
        """Those that are drawn, in order."""
        return [child for child in self.children if isinstance(child, Exchange)]

    # ---- what is written -----------------------------------------------------------------------------------------

    async def ask(self, question: str) -> Exchange:
        """A question at the end, ready for the events of its turn."""
        await self.end()
        exchange = Exchange(question)
        await self.mount(exchange, before=self._behind)
        self.anchor()
        await self._prune(top=True)
        return exchange

    def answered(self, turn: Turn) -> None:
        """The exchange at the end has its turn: it counts among the others now."""
        self._turns.append(turn)
        self._last = len(self._turns)

    def say(self, text: str, *, error: bool = False) -> None:
        """Lines of the program's own at the end."""
        self.mount(Note(text, error=error), before=self._behind)
        self.anchor()

    async def add(self, widget: Widget) -> None:
        """Something else at the end."""
        await self.mount(widget, before=self._behind)
        self.anchor()

    async def show(self, turns: Sequence[Turn]) -> None:
        """Another conversation, from its end."""
        self._turns = list(turns)
        self._held = None
        self._last = len(self._turns)
        self._first = max(0, self._last - DRAWN)
        with self.app.batch_update():
            await self.remove_children([child for child in self.children if not isinstance(child, More)])
            if self._turns:
                await self.mount_all(self._drawn(self._first, self._last), before=self._behind)
            self._count()
        self.anchor()

    async def redraw(self) -> None:
        """The same anew, in another language; the program's own lines go."""
        if not any(exchange.turn is None for exchange in self.exchanges):
            await self.show(self._turns)

    # ---- moving the window ---------------------------------------------------------------------------------------

    async def earlier(self) -> None:
        """Draw what comes before."""
        if self._first and not self._moving and (top := self._top()):
            self._moving = True
            self._hold(top)
            begin = max(0, self._first - DRAWN)
            await self.mount_all(self._drawn(begin, self._first), after=self._before)
            self._first = begin
            await self._prune(top=False)
            self._moving = False

    async def later(self) -> None:
        """Draw what comes after."""
        if self._last < len(self._turns) and not self._moving and (top := self._top()):
            self._moving = True
            self._hold(top)
            end = min(len(self._turns), self._last + DRAWN)
            await self.mount_all(self._drawn(self._last, end), before=self._behind)
            self._last = end
            await self._prune(top=True)
            self._moving = False

    async def end(self) -> None:
        """To the newest."""
        if self._last < len(self._turns):
            await self.show(self._turns)
        self.anchor()

    def page(self, by: int) -> None:
        """Up (-1) or down (1) by what is seen of it."""
        if by < 0 and self.scroll_y <= 0 and self._first:
            self.call_later(self.earlier)
        elif by > 0 and self.scroll_y >= self.max_scroll_y and self._last < len(self._turns):
            self.call_later(self.later)
        elif by < 0:
            self.scroll_page_up(animate=False)
        else:
            self.scroll_page_down(animate=False)

    def watch_scroll_y(self, old: float, new: float) -> None:
        super().watch_scroll_y(old, new)
        if not self.is_mounted or self._moving or old == new:
            return
        if new <= 0 < old and self._first:
            self.call_later(self.earlier)
        elif new >= self.max_scroll_y > old and self._last < len(self._turns):
            self.call_later(self.later)

    def release_anchor(self) -> None:
        """Whoever scrolls is held no more."""
        if not self._moving:
            self._held = None
        super().release_anchor()

    def arrange(self, size: Size, optimal: bool = False) -> DockArrangeResult:
        """What is read stays where it is while more is drawn above it."""
        arranged = super().arrange(size, optimal)
        if self._held and not optimal:
            held, gap = self._held
            place = next((one.region.y for one in arranged.placements if one.widget is held), None)
            if place is not None:
                y = max(0, min(place - gap, arranged.total_region.bottom - size.height))
                self.set_reactive(Widget.scroll_y, float(y))
                self.set_reactive(Widget.scroll_target_y, float(y))
                self.vertical_scrollbar.set_reactive(ScrollBar.position, float(y))
        return arranged

    def _hold(self, widget: Widget) -> None:
        super().release_anchor()
        self._held = widget, widget.virtual_region.y - round(self.scroll_y)

    def _top(self) -> Exchange | None:
        """The first exchange that is in sight."""
        seen = [one for one in self.exchanges if one.virtual_region.bottom > self.scroll_y]
        return seen[0] if seen else next(iter(self.exchanges), None)

    def _drawn(self, first: int, last: int) -> list[Exchange]:
        return [Exchange(turn.question, turn) for turn in self._turns[first:last]]

    async def _prune(self, *, top: bool) -> None:
        """Take away what is far, with the lines between; never what is still being written."""
        exchanges = self.exchanges
        spare = len(exchanges) - MOST
        if spare > 0:
            children = list(self.children)
            if top:
                far = children[1:children.index(exchanges[spare])]
                self._first += sum(isinstance(one, Exchange) and one.turn is not None for one in far)
            else:
                far = children[children.index(exchanges[-spare]):-1]
                if any(isinstance(one, Exchange) and one.turn is None for one in far):
                    return
                self._last -= sum(isinstance(one, Exchange) for one in far)
            await self.remove_children(far)
        self._count()

    def _count(self) -> None:
        words, before, behind = cast("TwinApp", self.app).words, self._first, len(self._turns) - self._last
        self._before.show(words.count(before, "↑ {n} earlier", "↑ {n} earlier") if before else "")
        self._behind.show(words.count(behind, "↓ {n} later", "↓ {n} later") if behind else "")
