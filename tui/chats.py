"""Chats: the conversations with the twin, the newest first; search, go on with one, begin a new one, forget one."""
from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import TYPE_CHECKING, ClassVar

from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.content import Content
from textual.widgets import Input, OptionList, Static
from textual.widgets.option_list import Option

from twin.archive import typed_in
from twin.text import one_line
from twin.text import words as words_of

from .fullscreen import FullScreen

if TYPE_CHECKING:
    from twin.archive import Talk

_LISTED = 2_000
_WIDTH = 12  # columns of how many questions


class Chats(FullScreen):
    """The list. Letters go to the search, arrows to the list, Enter goes on with what is marked."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("enter", "resume", "Go on", priority=True),
        Binding("ctrl+n", "new", "New conversation"),
        Binding("ctrl+d", "forget", "Forget", priority=True),
        Binding("up", "move(-1)", show=False, priority=True),
        Binding("down", "move(1)", show=False, priority=True),
        Binding("pageup", "move(-10)", show=False, priority=True),
        Binding("pagedown", "move(10)", show=False, priority=True),
    ]
    DEFAULT_CSS = """
    Chats Input { margin-bottom: 1; }
    Chats OptionList, Chats OptionList:focus {
        height: 1fr; border: none; padding: 0; background: transparent; text-wrap: nowrap; text-overflow: ellipsis;
    }
    Chats #none { color: $text-muted; display: none; }
    Chats #none.-there { display: block; }
    """

    def __init__(self) -> None:
        super().__init__()
        self._talks: Sequence[Talk] = ()

    def heading(self) -> str:
        return self.words("Conversations")

    def body(self) -> ComposeResult:
        yield Input(placeholder=self.words("Search in what was asked"), compact=True)
        yield OptionList(markup=False)
        yield Static(id="none")

    def on_mount(self) -> None:
        self._talks = self.twin.talks(_LISTED)
        self._list("")
        self.query_one(Input).focus()

    @on(Input.Changed)
    def _search(self, event: Input.Changed) -> None:
        self._list(event.value)

    def _list(self, query: str) -> None:
        wanted = words_of(query)
        found = [talk for talk in self._talks if all(any(word in one for one in words_of(talk.title))
                                                     for word in wanted)]
        listed = self.query_one(OptionList)
        listed.clear_options()
        listed.add_options([Option(self._row(talk), id=talk.id) for talk in found])
        listed.highlighted = 0 if found else None
        none = self.query_one("#none", Static)
        none.set_class(not found, "-there")
        none.update(Content(self.words("Nothing was asked yet: esc goes back, and the first question begins a "
                                       "conversation.") if not self._talks else
                            self.words("No conversation has these words.")))

    def _row(self, talk: Talk) -> Content:
        here = talk.id == self.face.chat.conversation
        asked = self.words.count(talk.turns, "{n} question", "{n} questions")
        lines = "  " + self.words.count(talk.lines, "{n} line", "{n} lines") if talk.lines else ""
        return Content.assemble((f"{day(talk.last)}  {asked:{_WIDTH}} ", "$text-muted"),
                                (one_line(talk.title), "bold" if here else ""), (lines, "$text-muted"))

    # ---- keys --------------------------------------------------------------------------------------------------

    def action_move(self, by: int) -> None:
        """Mark another one."""
        listed = self.query_one(OptionList)
        if listed.option_count:
            listed.highlighted = max(0, min(listed.option_count - 1, (listed.highlighted or 0) + by))

    def _marked(self) -> str:
        listed = self.query_one(OptionList)
        return "" if listed.highlighted is None else listed.get_option_at_index(listed.highlighted).id or ""

    @on(OptionList.OptionSelected)
    def _clicked(self, event: OptionList.OptionSelected) -> None:
        event.stop()
        self.action_resume()

    def action_resume(self) -> None:
        """Go on with the marked conversation."""
        if self.face.background.busy:
            self.face.still_busy()
        elif marked := self._marked():
            self.dismiss()
            self.face.chat.resume(marked)

    async def action_new(self) -> None:
        """Begin a new one."""
        if self.face.background.busy:
            self.face.still_busy()
        else:
            self.dismiss()
            await self.face.chat.action_new()

    async def action_forget(self) -> None:
        """Forget the marked one: what was asked and answered there."""
        if marked := self._marked():
            self.dismiss()
            await self.face.obey("forget", typed_in(marked))


def day(time: datetime | None) -> str:
    """A day and a minute of this machine's clock, always as wide."""
    return f"{time.astimezone():%Y-%m-%d %H:%M}" if time else " " * 16
