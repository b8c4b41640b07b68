"""Who: which of the people in an import is the person. Asked once; the answer is kept."""
from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, Vertical
from textual.content import Content
from textual.screen import ModalScreen
from textual.widgets import Button, OptionList, Static
from textual.widgets.option_list import Option

from twin.text import one_line
from twin.words import Words

SHOWN = 60  # people of one kind of source, those who wrote most


class Who(ModalScreen[tuple[str, ...] | None]):
    """The names that are the person's; () when none is; None when nobody was told."""

    BINDINGS: ClassVar[list[BindingType]] = [Binding("escape", "dismiss", "Back", show=False),
                                             Binding("space", "mark", show=False)]
    DEFAULT_CSS = """
    Who { align: center middle; }
    Who > Vertical {
        width: 76; max-width: 95%; height: auto; max-height: 90%; padding: 1 2; background: $surface;
        border: round $primary;
    }
    Who .title { text-style: bold; }
    Who Static { height: auto; margin-bottom: 1; }
    Who OptionList, Who OptionList:focus {
        height: auto; max-height: 10; border: none; padding: 0; background: transparent;
    }
    Who Horizontal { height: 1; margin-top: 1; }
    Who Button { margin-right: 2; min-width: 0; }
    """

    def __init__(self, people: Mapping[str, Mapping[str, int]], words: Words) -> None:
        """`people`: kind of source -> author -> messages, as WhoIsMe tells them."""
        super().__init__()
        self._words = words
        self.listed = listed(people)
        self._marked: set[int] = set()

    def compose(self) -> ComposeResult:
        words = self._words
        with Vertical():
            yield Static(Content(words("Who of these is you?")), classes="title")
            yield Static(Content(words("These chats do not say it. Mark every name that is yours; the answer is kept. "
                                       "space or a click marks, tab goes to the buttons.")))
            yield OptionList(*(Option(self._row(number)) for number in range(len(self.listed))), markup=False)
            with Horizontal():
                yield Button(Content(words("That is me")), id="me", variant="primary", compact=True)
                yield Button(Content(words("None of them is me")), id="none", compact=True)
                yield Button(Content(words("Not now")), id="later", compact=True)

    def on_mount(self) -> None:
        self.query_one(OptionList).focus()
        self._allow()

    def _allow(self) -> None:
        """Nobody marked is no answer: that none is the person has a button of its own."""
        self.query_one("#me", Button).disabled = not self._marked

    @on(OptionList.OptionSelected)
    def _chosen(self, event: OptionList.OptionSelected) -> None:
        event.stop()
        self.mark(event.option_index)

    def action_mark(self) -> None:
        """Mark the name under the cursor, or take the mark away."""
        at = self.query_one(OptionList).highlighted
        if at is not None and isinstance(self.focused, OptionList):
            self.mark(at)

    def mark(self, number: int) -> None:
        """The same by its place."""
        self._marked ^= {number}
        self.query_one(OptionList).replace_option_prompt_at_index(number, self._row(number))
        self._allow()

    @on(Button.Pressed)
    def _pressed(self, event: Button.Pressed) -> None:
        event.stop()
        marked = [self.listed[number][1] for number in sorted(self._marked)]
        answers: dict[str | None, tuple[str, ...] | None] = {"me": tuple(dict.fromkeys(marked)), "none": ()}
        self.dismiss(answers.get(event.button.id))

    def _row(self, number: int) -> Content:
        source, name, count = self.listed[number]
        said = self._words.count(count, "{n} message", "{n} messages")
        mark = "[x] " if number in self._marked else "[ ] "
        return Content.assemble((mark, "$text-primary"), (one_line(name)[:40] or "?", "bold"),
                                (f"  {said}, {one_line(source)}", "$text-muted"))


def listed(people: Mapping[str, Mapping[str, int]]) -> list[tuple[str, str, int]]:
    """(kind of source, author, messages), by kind, those who wrote most first."""
    return [(source, name, count) for source, met in sorted(people.items())
            for name, count in sorted(met.items(), key=lambda item: (-item[1], item[0]))[:SHOWN]]
