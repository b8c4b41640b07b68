"""The palette: everything that can be done by name, in the person's language."""
from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from typing import TYPE_CHECKING, Any

from textual.app import SystemCommand
from textual.command import CommandList, CommandPalette, ProviderSource
from textual.content import Content
from textual.screen import Screen
from textual.widgets.option_list import Option

if TYPE_CHECKING:
    from .app import TwinApp


class Palette(CommandPalette):
    """Textual's palette with our words."""

    def __init__(self, placeholder: str, nothing: str, *, providers: ProviderSource | None = None,
                 id: str | None = None) -> None:
        super().__init__(providers, placeholder=placeholder, id=id)
        self._nothing = nothing

    def _start_no_matches_countdown(self, search_value: str) -> None:
        """As the base class does it, which says it in English."""
        self._stop_no_matches_countdown()

        def nothing() -> None:
            if search_value:
                self.query_one(CommandList).add_option(
                    Option(Content(self._nothing), disabled=True, id=self._NO_MATCHES))
            self._list_visible = bool(search_value)

        self._no_matches_timer = self.set_timer(self._NO_MATCHES_COUNTDOWN, nothing)


def commands(app: TwinApp, screen: Screen[Any]) -> Iterator[SystemCommand]:
    """What is offered on a screen: the commands of the chat only on the chat."""
    words = app.words

    def opening(name: str) -> Callable[[], None]:
        return lambda: app.open(name)

    yield SystemCommand(words("Conversations"), words("Search, go on with one, or begin a new one"), opening("chats"))
    yield SystemCommand(words("Profile"), words("How you think, with the evidence"), opening("profile"))
    yield SystemCommand(words("Roles"), words("See, edit and undo them"), opening("roles"))
    yield SystemCommand(words("Proposals"), words("What waits for your yes or no, and what is on trial"),
                        opening("proposals"))
    yield SystemCommand(words("Import"), words("Bring what you wrote: chats, exports, notes"), opening("import"))
    yield SystemCommand(words("Cores"), words("Choose and fetch the model that answers"), opening("cores"))
    yield SystemCommand(words("First steps"), words("From nothing to a first answer"), opening("first"))
    yield SystemCommand(words("Settings"), words("Language, theme, keys, what is kept"), opening("settings"))
    yield SystemCommand(words("Theme"), words("Try colours on"), app.search_themes)
    yield SystemCommand(words("Help"), words("Keys and commands"), app.action_help)
    yield SystemCommand(words("Save a picture of the screen"), words("As SVG, in your downloads"),
                        lambda: app.set_timer(0.1, app.deliver_screenshot))
    yield SystemCommand(words("Quit"), words("What was written is kept"), app.action_quit)
    if screen is app.chat:
        yield from _of_the_chat(app)


def _of_the_chat(app: TwinApp) -> Iterator[SystemCommand]:
    words = app.words

    def obeying(name: str, argument: str = "") -> Callable[[], Any]:
        return partial(app.obey, name, argument)

    yield SystemCommand(words("New conversation"), words("Clear the screen and begin anew"), app.chat.action_new)
    yield SystemCommand(words("Why"), words("Why the last answer came from its role"), obeying("why"))
    yield SystemCommand(words("Evidence"), words("The memories the last answer saw, whole"), obeying("evidence"))
    yield SystemCommand(words("Copy the answer"), words("The last one, as Markdown"), obeying("copy"))
    yield SystemCommand(words("This was for …"), words("Tell the router whom the last question was for"),
                        obeying("for"))
    yield SystemCommand(words("Ask again as …"), words("The same question on a new line of thinking"), obeying("fork"))
    yield SystemCommand(words("Good answer"), words("Say that the last answer was good"), obeying("good"))
    yield SystemCommand(words("Bad answer"), words("Say that it was not"), obeying("bad"))
    yield SystemCommand(words("Ask again"), words("The same question once more, in the same role"), obeying("again"))
    yield SystemCommand(words("Own version"), words("Write the last answer as you would have wanted it"),
                        obeying("edit"))
    yield SystemCommand(words("End the trial"), words("Take back what is on trial"), obeying("rollback"))
    yield SystemCommand(words("Lines of thinking"), words("The lines of this conversation"), obeying("lines"))
    yield SystemCommand(words("Export"), words("Your twin as a prompt, card, skill, pack and more"),
                        obeying("export", "?"))
    yield SystemCommand(words("Claims"), words("Claims from outside that wait for your yes"), obeying("claims"))
