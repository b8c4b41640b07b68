"""What every widget of this room is made of: a face of one twin, buttons, lines of text, folds, errors, progress."""
from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, TypeAlias

import ipywidgets as widgets

from twin import words
from twin.errors import TwinError
from twin.notebook.gate import gate
from twin.notebook.html import BAD, FAINT, Html, bar, escaped, joined
from twin.notebook.pace import Pace as Pace
from twin.words import Words

if TYPE_CHECKING:
    from twin.chat import Twin

ROOM = "twin.notebook"
Drawn: TypeAlias = widgets.Widget | Sequence[widgets.Widget]


class Face:
    """What a cell shows of one twin. `view` is the widget; where a notebook has none it shows the repr, which tells a
    method that does the same and nothing that anybody wrote."""

    view: widgets.Widget

    def __init__(self, twin: Twin) -> None:
        self.twin, self.gate = twin, gate(twin)
        self.words = Words(ROOM, twin.language)

    def _repr_mimebundle_(self, **kwargs: Any) -> dict[str, Any]:
        """The widget for notebooks that can show it, the repr for all others."""
        bundle: dict[str, Any] = self.view._repr_mimebundle_(**kwargs)
        return {**bundle, "text/plain": repr(self)}  # that of ipywidgets would spell out the values

    def said(self, error: Exception) -> str:
        """An error in the person's language."""
        return words.error(error, self.words.language) if isinstance(error, TwinError) else str(error)

    def sentence(self, english: str) -> str:
        """What a lower room says, in the person's language."""
        return words.sentence(english, self.words.language)


class Busy:
    """A line with a bar and a stop button while something long is done; not there otherwise.

    Calling it is a `Progress` of twin.types. One trait is set an update, a few times a second.
    """

    def __init__(self, face: Face) -> None:
        self._face = face
        self._line = widgets.HTML(layout=widgets.Layout(flex="1 1 auto"))
        self._stop = button(face.words("Stop"), face.gate.stop, icon="stop")
        self.view = widgets.HBox([self._line, self._stop], layout=widgets.Layout(display="none", width="100%"))
        self._pace = Pace(lambda value: setattr(self._line, "value", value))

    def __call__(self, stage: str, done: int, total: int | None) -> None:
        self._pace(lambda: self._drawn(stage, done, total))

    @contextmanager
    def shown(self, stage: str = "") -> Iterator[Busy]:
        """The line is there until the job is over, whatever its end."""
        self._pace.last(self._drawn(stage, 0, None))
        self.view.layout.display = ""
        try:
            yield self
        finally:
            self.view.layout.display = "none"

    def _drawn(self, stage: str, done: int, total: int | None) -> Html:
        count = f" {done:,} / {total:,}" if total else f" {done:,}" if done else ""
        said = escaped(f"{self._face.sentence(stage)}{count} …", FAINT)
        return joined([said, bar(done / total)]) if total else said


def button(label: str, do: Callable[[], object] | None = None, *, icon: str = "", tooltip: str = "",
           primary: bool = False) -> widgets.Button:
    """A button as wide as its label; `do` is called by a click."""
    made = widgets.Button(description=label, icon=icon, tooltip=tooltip or label, layout=widgets.Layout(width="auto"),
                          button_style="primary" if primary else "")
    if do is not None:
        made.on_click(lambda _: do())
    return made


def line(text: str = "", style: str = "") -> widgets.HTML:
    """A block of plain text from anywhere."""
    return widgets.HTML(escaped(text, style) if text else "")


def markup(inner: Html) -> widgets.HTML:
    """Markup that html.py or markdown.py made."""
    return widgets.HTML(inner)


def failure(text: str) -> Html:
    """How an error looks, wherever it is drawn."""
    return escaped(text, BAD)


def foldable(title: str, content: Drawn | Callable[[], Drawn], *, opened: bool = False) -> widgets.Accordion:
    """Widgets under a title, folded. Given as a function they are made when somebody opens it for the first time."""
    inner = widgets.VBox()
    fold = widgets.Accordion([inner], selected_index=None, titles=(title,))

    def fill(_: Any = None) -> None:
        if fold.selected_index is not None and not inner.children:
            found = content() if callable(content) else content
            inner.children = (found,) if isinstance(found, widgets.Widget) else tuple(found)

    if callable(content):
        fold.observe(fill, "selected_index")
    else:
        inner.children = (content,) if isinstance(content, widgets.Widget) else tuple(content)
    if opened:
        fold.selected_index = 0
        fill()
    return fold


def row(children: Iterable[widgets.Widget]) -> widgets.HBox:
    """Side by side, and on as many lines as the width needs."""
    return widgets.HBox(tuple(children), layout=widgets.Layout(flex_flow="row wrap"))


def gone(*trees: widgets.Widget) -> None:
    """Close widgets and all below them: each one that stays open is an object in the browser."""
    for tree in trees:
        gone(*getattr(tree, "children", ()))
        for part in (getattr(tree, "layout", None), getattr(tree, "style", None), tree):
            if isinstance(part, widgets.Widget):
                part.close()
