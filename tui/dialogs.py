"""What is asked in between: yes or no, a line of text."""
from __future__ import annotations

from typing import ClassVar

from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, Vertical, VerticalScroll
from textual.content import Content
from textual.screen import ModalScreen
from textual.widgets import Button, Input, Static

from twin.text import one_line, printable

_BOX = """
    {0} {{ align: center middle; }}
    {0} > Vertical {{
        width: 76; max-width: 95%; height: auto; max-height: 90%; padding: 1 2; background: $surface;
        border: round $primary;
    }}
    {0} .title {{ height: auto; text-style: bold; margin-bottom: 1; }}
    {0} VerticalScroll {{ height: auto; max-height: 60vh; margin-bottom: 1; }}
    {0} VerticalScroll > Static {{ height: auto; }}
    {0} Horizontal {{ height: 1; }}
    {0} Button {{ margin-right: 2; min-width: 0; }}
    {0} Input {{ margin-bottom: 1; }}
"""


class Field(Input):
    """One line to write in. What is pasted or set there never brings a control character to the screen."""

    def validate_value(self, value: str) -> str:
        """The text as it can be shown."""
        return printable(value)


class Sure(ModalScreen[bool]):
    """Yes or no, about something that is spelled out. Esc is no."""

    BINDINGS: ClassVar[list[BindingType]] = [Binding("escape", "answer(False)", "Back", show=False),
                                             Binding("y,н,д", "answer(True)", show=False),
                                             Binding("n,т", "answer(False)", show=False),
                                             Binding("left,right", "other", show=False)]
    DEFAULT_CSS = _BOX.format("Sure")

    def __init__(self, title: str, about: Content | str, yes: str, no: str, *, danger: bool = False) -> None:
        """`yes` and `no` are what stands on the two buttons. With `danger` Enter at once is no."""
        super().__init__()
        self._title, self._about, self._says = title, about, (yes, no)
        self._danger = danger

    def compose(self) -> ComposeResult:
        yes, no = self._says
        with Vertical():
            yield Static(Content(one_line(self._title)), classes="title")
            with VerticalScroll(can_focus=False):
                yield Static(Content(printable(self._about)) if isinstance(self._about, str) else self._about)
            with Horizontal():
                yield Button(Content(yes), id="yes", variant="error" if self._danger else "primary", compact=True)
                yield Button(Content(no), id="no", compact=True)

    def on_mount(self) -> None:
        self.query_one("#no" if self._danger else "#yes").focus()

    def action_answer(self, yes: bool) -> None:
        self.dismiss(yes)

    def action_other(self) -> None:
        self.focus_next(Button)

    @on(Button.Pressed)
    def _pressed(self, event: Button.Pressed) -> None:
        event.stop()
        self.dismiss(event.button.id == "yes")


class OneLine(ModalScreen[str | None]):
    """A line of text. Enter gives it, Esc nothing."""

    BINDINGS: ClassVar[list[BindingType]] = [Binding("escape", "dismiss", "Back", show=False)]
    DEFAULT_CSS = _BOX.format("OneLine")

    def __init__(self, title: str, about: str = "", text: str = "", *, hint: str = "") -> None:
        """`about` tells what is asked for, `hint` stands in the empty field."""
        super().__init__()
        self._title, self._about, self._text, self._hint = title, about, text, hint

    def compose(self) -> ComposeResult:
        with Vertical():
            yield Static(Content(one_line(self._title)), classes="title")
            yield Field(self._text, placeholder=self._hint)
            yield Static(Content(printable(self._about)))

    @on(Input.Submitted)
    def _given(self, event: Input.Submitted) -> None:
        event.stop()
        self.dismiss(event.value)
