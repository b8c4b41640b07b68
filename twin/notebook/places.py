"""Places: which conversation, and which of its lines of thinking, the next question belongs to."""
from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import ipywidgets as widgets

from twin.lines import TRUNK
from twin.notebook.base import Face, row
from twin.text import one_line

if TYPE_CHECKING:
    from twin.archive import Talk

LISTED = 200  # conversations: more is no list any more
_TITLE = 48   # characters


class Places:
    """Two pickers. `open` and `moved` are called with an id when the person chooses, not when the program does."""

    def __init__(self, face: Face, open_: Callable[[str], object], moved: Callable[[str], object]) -> None:
        self._face, self._open, self._moved = face, open_, moved
        self._quiet = False
        self._talks = widgets.Dropdown(description=face.words("Conversation"), style={"description_width": "initial"},
                                       layout=widgets.Layout(width="32em"))
        self._lines = widgets.Dropdown(description=face.words("Line"), style={"description_width": "initial"},
                                       layout=widgets.Layout(width="auto", display="none"))
        self._talks.observe(lambda change: self._chosen(change, self._open), "value")
        self._lines.observe(lambda change: self._chosen(change, self._moved), "value")
        self.view = row([self._talks, self._lines])

    @property
    def here(self) -> str:
        """The chat or line that the next question belongs to."""
        return str(self._lines.value)

    @property
    def line(self) -> str:
        """What the line is called; '' on a trunk."""
        return "" if self._lines.label in (None, TRUNK, self._face.words("trunk")) else str(self._lines.label)

    def show(self, conversation: str) -> None:
        """Stand for this conversation or line, and list what there is."""
        lines = self._face.twin.lines.all(conversation)
        kept = [one for one in lines if one.state != "dropped" or one.id == conversation]
        top = lines[0].id if lines and not lines[0].parent else conversation
        talks = self._face.twin.talks(LISTED)
        listed = [(self._titled(one), one.id) for one in talks]
        if top not in {one.id for one in talks}:
            listed.insert(0, (self._face.words("New conversation"), top))
        self._set(self._talks, listed, top)
        self._set(self._lines, [(self._face.words("trunk") if one.title == TRUNK else one.title, one.id)
                                for one in kept] or [(self._face.words("trunk"), conversation)], conversation)
        self._lines.layout.display = "" if len(kept) > 1 else "none"

    def _titled(self, talk: Talk) -> str:
        day = f"{talk.last:%Y-%m-%d}  " if talk.last else ""
        title = one_line(talk.title)
        short = title if len(title) <= _TITLE else f"{title[:_TITLE].rstrip()} …"
        return f"{day}{short} ({talk.turns})"

    def _set(self, picker: widgets.Dropdown, options: list[tuple[str, str]], value: str) -> None:
        """What the program sets is no choice of the person's."""
        self._quiet = True
        try:
            if list(picker.options) != options:
                picker.options = options
            picker.value = value
        finally:
            self._quiet = False

    def _chosen(self, change: Any, do: Callable[[str], object]) -> None:
        if change.new and not self._quiet:
            do(str(change.new))
