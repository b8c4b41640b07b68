"""Panel: the frame that all panels stand in - a title, what is done just now with its stop button, a line that tells.

A click does in a thread what a method of the same name does in a cell. All go through the gate of the twin: one thing
at a time, and whoever comes second is told so.
"""
from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, ClassVar

import ipywidgets as widgets

from twin.errors import TwinError
from twin.notebook.base import Busy, Face, button, failure, gone, line, row
from twin.notebook.html import Html, block, joined, piece
from twin.notebook.panels.pieces import Tone, note
from twin.types import Progress

if TYPE_CHECKING:
    from twin.chat import Twin


WAITS_S = 0.3  # between two looks whether the twin is free


class StoppedError(Exception):
    """The person stopped what was done; what has no cancel function is left by way of its progress."""


class Panel(Face):
    """A panel of one twin; the last line of a cell shows it. `does` names the methods that do what its buttons do.

    A subclass makes its widgets in `build` and shows what is so now in `draw`, which never runs while another job does.
    """

    name: ClassVar[str] = ""
    does: ClassVar[tuple[str, ...]] = ()

    def __init__(self, twin: Twin) -> None:
        super().__init__(twin)
        self.busy = Busy(self)
        self.body = widgets.VBox(layout=widgets.Layout(width="100%"))
        self._status = line()
        again = button("", lambda: self.click(self.refresh), icon="refresh", tooltip=self.words("Look again"))
        head = widgets.HTML(self._head(), layout=widgets.Layout(flex="1 1 auto"))
        self.view = widgets.VBox(
            [widgets.HBox([head, again], layout=widgets.Layout(width="100%", align_items="center")),
             self.busy.view, self._status, self.body],
            layout=widgets.Layout(max_width="60em", padding="6px 10px", border="1px solid rgba(128,128,128,.3)"))
        self.build()
        self._first()

    def __repr__(self) -> str:
        return f"{type(self).__name__}({', '.join(f'.{name}()' for name in self.does)})"

    def title(self) -> tuple[str, str]:
        """What it is called, and what it is for."""
        raise NotImplementedError

    def build(self) -> None:
        """Make what stays from one drawing to the next."""

    def draw(self) -> None:
        """Show what is so now."""
        raise NotImplementedError

    def refresh(self) -> None:
        """Look again. UsageError while the twin is at work."""
        with self.gate.alone(brief=True):
            self.draw()

    def _first(self) -> None:
        """Draw for the first time: now, or as soon as who is at work is done."""
        try:
            if not self.gate.locked():
                self.tell("")
                self.refresh()
                return
        except TwinError as error:
            if not self.gate.locked():
                self.failed(error)
                return
        self.tell(self.words("The twin is at work; this is drawn when it is done."))
        self.gate.soon(f"first {id(self)}", self._first, self.failed, seconds=WAITS_S)

    # ---- what a job does -----------------------------------------------------------------------------------------

    def click(self, job: Callable[[], object]) -> None:
        """Do in a thread what a click asks; its error is drawn."""
        self.tell("")
        self.gate.behind(job, self.failed)

    @contextmanager
    def working(self, stage: str = "") -> Iterator[Busy]:
        """Nobody else is at work, and what is done stands in a line with a stop button. What was stopped by way of its
        progress is told, and no error."""
        with self.gate.alone(stoppable=True):
            try:
                with self.busy.shown(stage) as busy:
                    yield busy
            except StoppedError:
                self.tell(self.words("Stopped. What was done by then is kept; the same goes on from there."))

    def stoppable(self, progress: Progress) -> Progress:
        """A progress that ends the job when the person asks for that."""
        def told(stage: str, done: int, total: int | None) -> None:
            progress(stage, done, total)
            if self.gate.stopping():
                raise StoppedError

        return told

    def tell(self, text: str, tone: Tone = "now", *more: Html) -> None:
        """A line below the title, and what belongs to it; '' takes it away."""
        self._status.value = joined([note(text, tone), *more]) if text else ""

    def failed(self, error: TwinError) -> None:
        """An error, in the person's language."""
        self._status.value = failure(self.said(error))

    # ---- how it looks --------------------------------------------------------------------------------------------

    def _head(self) -> Html:
        name, about = self.title()
        return block(joined([piece(name, "font-size:115%;font-weight:600"), Html("&ensp;"),
                             piece(about, "opacity:.65;font-size:88%")]), "line-height:1.4;padding:.1em 0")

    def small(self, icon: str, tooltip: str, job: Callable[[], object]) -> widgets.Button:
        """A button that is an icon."""
        made = button("", lambda: self.click(job), icon=icon, tooltip=tooltip)
        made.layout.width = "2.6em"
        return made

    def act(self, label: str, job: Callable[[], object], *, icon: str = "", primary: bool = False) -> widgets.Button:
        """A button that does a job of this panel."""
        return button(label, lambda: self.click(job), icon=icon, primary=primary)


def put(box: widgets.Box, children: Iterable[widgets.Widget]) -> None:
    """Show these instead of what stands in a box, which is closed where it does not stay."""
    new = tuple(children)
    old = [one for one in box.children if one not in new]
    box.children = new
    gone(*old)


def between(left: widgets.Widget, right: Iterable[widgets.Widget]) -> widgets.HBox:
    """Something wide, and small things at the right edge."""
    left.layout.flex = "1 1 20em"
    return widgets.HBox([left, row(right)], layout=widgets.Layout(
        width="100%", flex_flow="row wrap", justify_content="space-between", align_items="flex-start"))


def page(*parts: Html) -> widgets.HTML:
    """Pieces as one widget as wide as there is room."""
    return widgets.HTML(block(joined(parts), "line-height:1.45"), layout=widgets.Layout(width="auto"))
