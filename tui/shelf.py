"""Shelf: a screen with a list of things and what is to be said of the chosen one, beside each other where there is room
and below each other where there is not."""
from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar, Generic, TypeVar

from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Container, VerticalScroll
from textual.content import Content
from textual.events import Click, MouseDown
from textual.widgets import OptionList, Static
from textual.widgets.option_list import Option

from .gauge import Gauged

T = TypeVar("T")
BREAKPOINTS = [(0, "-narrow"), (110, "-wide")]  # columns from which the two stand beside each other
# Where the letter of a key lies on a Russian keyboard: who writes Russian need not change the layout to say no.
_RUSSIAN = dict(zip("qwertyuiopasdfghjklzxcvbnm", "йцукенгшщзфывапролдячсмить", strict=True))


def both(letter: str) -> str:
    """The key of a letter, on both keyboards."""
    return f"{letter},{_RUSSIAN[letter]}"


class Rows(OptionList, inherit_bindings=False):
    """Things to choose from. A click chooses one; another click on it opens it. Enter is left to the screen, whose foot
    line says what it does."""

    BINDINGS: ClassVar[list[BindingType]] = [one for one in OptionList.BINDINGS
                                             if isinstance(one, Binding) and one.key != "enter"]

    async def _on_click(self, event: Click) -> None:
        event.prevent_default()  # the list's own opens at once
        there = event.style.meta.get("option")
        if there is None:
            return
        if there == self.highlighted and not self._fresh:
            self.action_select()
        self.highlighted = there

    async def on_mouse_down(self, _: MouseDown) -> None:
        self._fresh = not self.has_focus

    _fresh = False  # the click that brings the focus here opens nothing


class Shelf(Gauged, Generic[T]):
    """A list on the left or above, and of the chosen thing what `about` says.

    A subclass gives `row` and `about`, and fills the list by `fill`. `chosen` is the thing the keys are about.
    """

    BINDINGS: ClassVar[list[BindingType]] = [Binding("enter", "open", "Open", show=False),
                                             Binding("space", "more", "Read on", show=False)]
    HORIZONTAL_BREAKPOINTS: ClassVar[list[tuple[int, str]]] = BREAKPOINTS  # type: ignore[misc]
    DEFAULT_CSS = """
    Shelf > .body { padding: 0 2; }
    Shelf .above { height: auto; max-height: 6; color: $text-muted; margin-bottom: 1; }
    Shelf .shelf { height: 1fr; }
    Shelf .shelf > Rows {
        height: auto; max-height: 45%; border: none; padding: 0; background: transparent; text-wrap: nowrap;
        text-overflow: ellipsis; scrollbar-size-vertical: 1;
    }
    Shelf .shelf > .detail {
        height: 1fr; padding: 0 1; border-top: solid $foreground 20%; scrollbar-size-vertical: 1;
    }
    Shelf .detail > Static { height: auto; }
    Shelf.-bare .shelf > .detail { border: none; padding: 0; }
    Shelf.-wide .shelf { layout: horizontal; }
    Shelf.-wide .shelf > Rows { width: 2fr; height: 1fr; max-height: 100%; margin-right: 1; }
    Shelf.-wide .shelf > .detail { width: 3fr; border-top: none; border-left: solid $foreground 20%; }
    """

    def __init__(self) -> None:
        super().__init__()
        self.things: list[T] = []

    def body(self) -> ComposeResult:
        yield from self.above()
        with Container(classes="shelf"):
            yield Rows(markup=False)
            with VerticalScroll(classes="detail"):
                yield Static(classes="about")

    def above(self) -> ComposeResult:
        """What stands over the list."""
        yield Static(classes="above")

    def row(self, thing: T) -> Content:
        """A thing on one line."""
        raise NotImplementedError

    def about(self, thing: T) -> Content:
        """All of it."""
        raise NotImplementedError

    def nothing(self) -> str:
        """What is said where the list is empty, with what to do next."""
        return ""

    def redraw(self) -> None:
        super().redraw()
        self.fill(self.things)

    # ---- for subclasses ----------------------------------------------------------------------------------------

    @property
    def chosen(self) -> T | None:
        """The thing under the cursor."""
        rows = self.query(Rows)  # none before the screen is drawn
        at = rows.first().highlighted if rows else None
        return self.things[at] if at is not None and at < len(self.things) else None

    def fill(self, things: Sequence[T], at: int | None = None) -> None:
        """Show these, the cursor where it was, or at that place."""
        rows = self.query_one(Rows)
        at = (rows.highlighted or 0) if at is None else at
        self.things = list(things)
        rows.set_options(Option(self.row(one)) for one in self.things)
        rows.display = bool(self.things)
        self.set_class(not self.things, "-bare")
        if self.things:
            rows.highlighted = min(at, len(self.things) - 1)
            if self.focused is None:
                rows.focus()
        self.draw()
        self.refresh_bindings()

    def note(self, text: Content | str) -> None:
        """Say something over the list; '' takes it away."""
        line = self.query_one(".above", Static)
        line.display = bool(text)
        line.update(Content(text) if isinstance(text, str) else text)

    def draw(self) -> None:
        """What is said of the chosen one, anew."""
        one = self.chosen
        about = self.query_one(".about", Static)
        about.update(Content(self.nothing()) if one is None else self.about(one))
        self.query_one(".detail", VerticalScroll).scroll_home(animate=False)

    @on(OptionList.OptionHighlighted)
    def _moved(self, event: OptionList.OptionHighlighted) -> None:
        event.stop()
        self.draw()
        self.refresh_bindings()

    @on(OptionList.OptionSelected)
    def _opened(self, event: OptionList.OptionSelected) -> None:
        event.stop()
        self.open()

    def action_open(self) -> None:
        """Enter."""
        self.open()

    def action_more(self) -> None:
        """The next page of what is said of the chosen one, from its end back to its beginning."""
        detail = self.query_one(".detail", VerticalScroll)
        if detail.scroll_y >= detail.max_scroll_y:
            detail.scroll_home(animate=False)
        else:
            detail.scroll_page_down(animate=False)

    def open(self) -> None:
        """Enter on a row, or a click on the chosen one."""
