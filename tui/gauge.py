"""What takes minutes and can be stopped: a bar over the line of progress, and a stop for work that has none of its own.

Downloads and imports ask nobody whether to go on, but they tell how far they are; between two words they can be ended
as Ctrl-C ends them: what is stored stays, and the same again goes on from there.
"""
from __future__ import annotations

from textual.app import ComposeResult
from textual.widgets import ProgressBar

from twin.errors import TwinError
from twin.types import Progress

from .background import Cancel
from .fullscreen import FullScreen


class Stopped(TwinError):
    """The person said stop."""


def ending(progress: Progress, cancel: Cancel) -> Progress:
    """The same progress, which raises Stopped once the job is to end."""
    def told(stage: str, done: int, total: int | None) -> None:
        if cancel():
            raise Stopped("Stopped; what was done by then is kept.", "The same again goes on from there.")
        progress(stage, done, total)

    return told


class Gauged(FullScreen):
    """A screen whose jobs have a bar."""

    DEFAULT_CSS = """
    Gauged > #gauge { height: 1; width: 100%; padding: 0 2; display: none; }
    Gauged > #gauge.-there { display: block; }
    Gauged #gauge Bar { width: 1fr; }
    """

    def compose(self) -> ComposeResult:
        for widget in super().compose():
            if widget.id == "said":
                yield ProgressBar(id="gauge")
            yield widget

    def tell(self, text: str, *, error: bool = False) -> None:
        super().tell(text, error=error)
        if not self.working:
            self.query_one("#gauge").remove_class("-there")

    def fail(self, error: TwinError) -> None:
        if isinstance(error, Stopped):
            self.tell(self.words("Stopped; what was done by then is kept. The same again goes on from there."))
        else:
            super().fail(error)

    def _told(self, stage: str, done: int, total: int | None) -> None:
        super()._told(stage, done, total)
        if self.is_attached and self.working:
            bar = self.query_one(ProgressBar)
            bar.update(total=total, progress=done)
            bar.set_class(bool(total), "-there")

    @property
    def working(self) -> bool:
        """Whether a job of this screen is under way."""
        return self._mine
