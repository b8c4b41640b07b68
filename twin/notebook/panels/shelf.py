"""Shelf: all panels to choose from; the chosen one opens below."""
from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, ClassVar

import ipywidgets as widgets

from twin.errors import TwinError
from twin.notebook.base import Face, button, failure, gone, row
from twin.notebook.panels import NAMES, panel
from twin.words import Words

if TYPE_CHECKING:
    from twin.chat import Twin


def titles(words: Words) -> dict[str, str]:
    """What each panel is called on its button."""
    return {"start": words("First steps"), "import": words("Import"), "profile": words("Profile"),
            "roles": words("Roles"), "proposals": words("Proposals"), "training": words("Training"),
            "evolution": words("Evolution"), "chat": words("Chat")}


class Shelf(Face):
    """`twin.panel()`: the list of panels, and the one that was opened."""

    names: ClassVar[tuple[str, ...]] = NAMES

    def __init__(self, twin: Twin) -> None:
        super().__init__(twin)
        self.opened: Face | None = None
        self._below = widgets.VBox()
        named = titles(self.words)
        self._buttons = {name: button(named[name], partial(self._clicked, name)) for name in NAMES}
        self.view = widgets.VBox([row(self._buttons.values()), self._below])

    def __repr__(self) -> str:
        return "\n".join(f"twin.panel({name!r})" for name in NAMES)

    def open(self, name: str) -> Face:
        """Show a panel; the one before it is closed."""
        made: Face = panel(self.twin, name)
        before, self.opened = self._below.children, made
        self._below.children = (made.view,)
        for each, shown in self._buttons.items():
            shown.button_style = "primary" if each == name else ""
        gone(*before)
        return made

    def _clicked(self, name: str) -> None:
        self.gate.behind(lambda: self.open(name), self._failed)

    def _failed(self, error: TwinError) -> None:
        self._below.children = (widgets.HTML(failure(self.said(error))),)
