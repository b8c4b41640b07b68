"""What opens over the chat: the help, a prompt taken apart, the picker of a role, and an answer to be rewritten."""
from __future__ import annotations

from collections.abc import Sequence
from importlib.resources import files
from typing import TYPE_CHECKING, ClassVar, cast

from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical, VerticalScroll
from textual.content import Content
from textual.events import Click, Key
from textual.screen import ModalScreen
from textual.widgets import OptionList, Static
from textual.widgets.option_list import Option

from twin.prompt_view import STYLES, PromptView, Span
from twin.text import one_line, printable
from twin.words import Words

from .composer import Composer

if TYPE_CHECKING:
    from .app import TwinApp

_FRAME = 12  # columns of a page that are not its text: a twentieth outside, border, padding, scrollbar


class Page(ModalScreen[None]):
    """Something to read; esc goes back."""

    BINDINGS: ClassVar[list[BindingType]] = [Binding("escape,f1,q,enter,й", "dismiss", "Close")]

    def on_mount(self) -> None:
        self.query_one(VerticalScroll).focus()

    def on_click(self, event: Click) -> None:
        """A click beside the page closes it."""
        if event.widget is self:
            self.dismiss()


class Help(Page):
    """The keys and commands on one page, in the person's language (help.en.md, help.ru.md)."""

    def compose(self) -> ComposeResult:
        with VerticalScroll():
            yield Static(drawn(help_text(cast("TwinApp", self.app))))


def drawn(text: str) -> Content:
    """Our own page as one text: Markdown widgets, one for each line of it, would take a second to open."""
    lines = []
    for line in text.splitlines():
        if line.startswith("### "):
            lines.append(Content.styled(line[4:], "bold $text-primary"))
        else:
            pieces = line.replace("- ", "• ", 1).split("`") if line.startswith("- ") else line.split("`")
            lines.append(Content.assemble(*((piece, "bold $text-accent" if place % 2 else "")
                                            for place, piece in enumerate(pieces))))
    return Content("\n").join(lines)


def help_text(app: TwinApp) -> str:
    """The page; `{id}` in it stands for the key that an action has by now."""
    text = files("twin.tui").joinpath(f"help.{app.words.language}.md").read_text("utf-8")
    for action in app.mappable:
        text = text.replace(f"{{{action}}}", app.key_of(action))
    return text


class PromptPage(Page):
    """A prompt taken apart: what all roles share, memories, the role's tail, and what is left of the budget."""

    def __init__(self, view: PromptView) -> None:
        super().__init__(classes="-wide")
        self.view = view

    def compose(self) -> ComposeResult:
        with VerticalScroll():
            yield Static(coloured(self.view, max(40, self.app.size.width * 19 // 20 - _FRAME)))


class Picker(ModalScreen[str | None]):
    """One of a few: its digit, or arrows and Enter. Esc chooses nothing."""

    BINDINGS: ClassVar[list[BindingType]] = [Binding("escape,q,й", "dismiss", "Close")]

    def __init__(self, title: str, choices: Sequence[tuple[str, str]]) -> None:
        """`choices` are ids, each with what it is for."""
        super().__init__()
        self._title = title
        self.choices = choices

    def compose(self) -> ComposeResult:
        with Vertical():
            yield Static(Content(one_line(self._title)))
            yield OptionList(*(Option(_choice(*numbered), id=numbered[1][0])
                               for numbered in enumerate(self.choices, 1)), markup=False)

    def on_mount(self) -> None:
        self.query_one(OptionList).focus()

    def on_key(self, event: Key) -> None:
        """Digits choose at once."""
        if event.character in set("123456789"[:len(self.choices)]):
            event.stop()
            self.dismiss(self.choices[int(event.character or 0) - 1][0])

    def on_option_list_option_selected(self, event: OptionList.OptionSelected) -> None:
        """Enter or a click."""
        self.dismiss(event.option_id)


class Rewrite(ModalScreen[str | None]):
    """A text to be changed: Enter keeps what is written then, Esc leaves it."""

    BINDINGS: ClassVar[list[BindingType]] = [Binding("escape", "dismiss", "Close")]

    def __init__(self, title: str, text: str, words: Words) -> None:
        super().__init__()
        self._title, self._text, self._words = title, text, words

    def compose(self) -> ComposeResult:
        with Vertical():
            yield Static(Content(one_line(self._title)))
            yield Composer(printable(self._text))
            yield Static(Content(self._words("enter keeps it · ctrl+j new line · esc leaves it")))

    def on_mount(self) -> None:
        composer = self.query_one(Composer)
        composer.focus()
        composer.move_cursor(composer.document.end)

    @on(Composer.Sent)
    def _kept(self, sent: Composer.Sent) -> None:
        sent.stop()  # it is no question
        self.dismiss(sent.text)


def _choice(number: int, choice: tuple[str, str]) -> Content:
    name, purpose = choice
    return Content.assemble((f"{number if number < 10 else ' '} ", "bold $primary"), (f"{name:14} ", "bold"),
                            one_line(purpose))


def coloured(view: PromptView, width: int) -> Content:
    """The lines of a prompt view in the colours of its sections; control tokens are dim."""
    return Content("\n").join(Content.assemble(*map(_span, line)) for line in view.lines(width))


def _span(span: Span) -> tuple[str, str]:
    look = STYLES.get(span.style)
    return span.text, f"{look.css if look else '$text-muted'}{' dim' if span.special else ''}"
