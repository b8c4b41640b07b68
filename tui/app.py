"""TwinApp: the terminal. It opens at once; the twin is opened in a thread after the first paint [only here: textual].

It holds what all screens share: the twin, the person's words, the one gate for what takes a while, themes, keys, the
palette. The chat is the first screen (chat.py); the others come through doors (doors.py).
"""
from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar, cast

from textual.app import App, SystemCommand
from textual.binding import Binding, BindingType
from textual.screen import Screen
from textual.widgets import Markdown

from twin.errors import TwinError, UsageError
from twin.text import printable
from twin.words import Language, Words, error, preferred, sentence

from . import keys, look
from .background import Background
from .chat import ChatScreen
from .doors import door
from .fullscreen import FullScreen
from .style import CSS

if TYPE_CHECKING:
    from pathlib import Path

    from twin.chat import Twin
    from twin.home import Home

ROOM = "twin.tui"


class TwinApp(App[None]):
    """The terminal of one twin, given open or as a function that opens it. A missing core is said, not fatal."""

    TITLE = "twin"
    CSS = CSS
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("ctrl+q", "quit", "Quit", id="quit", show=False, priority=True),
        Binding("f1", "help", "Help", id="help"),
    ]

    def __init__(self, twin: Twin | Callable[[], Twin], home: Home | None = None) -> None:
        """`home` is where the twin will be opened: its last theme and language are there from the first paint on."""
        super().__init__()
        self._twin: Twin | None = None
        self._opens: Callable[[], Twin] | None = None
        self.refused: TwinError | None = None  # why the twin could not be opened
        self._look = look.last(home.root) if home else {}
        self.words = Words(ROOM, self._look.get("language") or preferred())
        self.background = Background(self)
        self.chat = ChatScreen()
        if callable(twin):
            self._opens = twin
        else:
            self._take(twin)

    def get_default_screen(self) -> Screen[Any]:
        """The chat."""
        return self.chat

    # ---- the twin ----------------------------------------------------------------------------------------------

    @property
    def ready(self) -> bool:
        """Whether the twin is open by now."""
        return self._twin is not None

    @property
    def twin(self) -> Twin:
        """Whose terminal it is. UsageError before it is open."""
        if self._twin is None:
            raise UsageError(self.words("The twin is still being opened."), self.words("Wait a moment."))
        return self._twin

    def _take(self, twin: Twin) -> None:
        self._twin = twin
        self._look = {"language": twin.language, "theme": twin.face("theme")}
        self.words = Words(ROOM, twin.language)

    def on_mount(self) -> None:
        self._wear(self._look.get("theme", ""))

    async def painted(self) -> None:
        """The chat stands on the screen: now the twin, half a second of imports, may come."""
        if self._opens is None:
            await self._opened()
        else:
            self.run_worker(partial(self._open_twin, self._opens), thread=True, group="open", exit_on_error=True)

    def _open_twin(self, opens: Callable[[], Twin]) -> None:
        """In a thread."""
        try:
            twin = opens()
            twin.language  # noqa: B018 - opens the archive, so that the screen need not wait for it
        except TwinError as refused:
            self.call_later(self._refuse, refused)
        else:
            self._twin = twin  # here: whoever closes it must know it even when the app is gone
            self.call_later(self._arrived, twin)

    def _refuse(self, refused: TwinError) -> None:
        self.refused = refused
        self.exit()

    async def _arrived(self, twin: Twin) -> None:
        self._take(twin)
        self._wear(twin.face("theme"))
        await self._opened()

    async def _opened(self) -> None:
        self._map_keys()
        look.keep(self.twin.home.root, self._look)
        await self.chat.opened()

    def on_unmount(self) -> None:
        self.background.close()  # the thread of an unfinished answer must not outlive the screen

    # ---- what all screens use ----------------------------------------------------------------------------------

    def open(self, name: str, *given: object) -> None:
        """Open a screen by its name (doors.py), unless it is the one that is open."""
        screen = door(name, *given)
        if type(self.screen) is not type(screen):
            self.push_screen(screen)

    def say(self, text: str, *, error: bool = False) -> None:
        """Lines of the program's own in the log of the chat."""
        self.chat.say(text, error=error)

    def fail(self, raised: TwinError) -> None:
        """Say in the chat what cannot be done and what to do next."""
        self.say(error(raised, self.words.language), error=True)

    async def obey(self, name: str, argument: str = "") -> None:
        """Do what a slash command says."""
        await self.chat.action_obey(name, argument)

    def still_busy(self) -> None:
        """Say that something else is under way."""
        self.notify(self.words("The twin is still busy; esc stops what it does."), markup=False)

    def work_changed(self) -> None:
        """A job began or ended."""
        self.chat.doing = ""
        self.chat.draw_status()

    # ---- language, theme, keys ---------------------------------------------------------------------------------

    def speak(self, language: Language) -> None:
        """Speak this language from now on, on every screen."""
        self.twin.language = language
        self.words = Words(ROOM, language)
        self._remember("language", language)
        self.chat.learn_titles()
        self.chat.draw()
        for screen in self.screen_stack:
            if isinstance(screen, FullScreen):
                screen.redraw()

    def watch_theme(self, theme: str) -> None:
        """A theme that was chosen is there the next time too."""
        if self._twin is not None and self.is_running and theme != self._look.get("theme"):
            with suppress(TwinError):  # another process holds the home: then it is for this time only
                self._twin.set_face("theme", theme)
            self._remember("theme", theme)

    def _wear(self, theme: str) -> None:
        if theme in self.available_themes and theme != self.theme:
            self._look["theme"] = theme
            self.theme = theme

    def _remember(self, name: str, value: str) -> None:
        self._look[name] = value
        look.keep(self.twin.home.root, self._look)

    @property
    def mappable(self) -> dict[str, Binding]:
        """Bindings that can have another key, by id."""
        return keys.named([*FullScreen.BINDINGS, *self.BINDINGS, *ChatScreen.BINDINGS])

    def _map_keys(self) -> None:
        try:
            self.set_keymap(keys.read(self.twin.face("keys"), self.mappable, self.words))
        except TwinError as wrong:
            self.fail(wrong)

    def map_key(self, action: str, key: str) -> None:
        """Give an action another key ('': its own again), now and later. UsageError for one that cannot be."""
        others = {name: value for name, value in self._keymap.items() if name != action}
        mapped = others | ({action: key} if key else {})
        taken = [mapped.get(name, binding.key) for name, binding in self.mappable.items() if name != action]
        if key in taken:
            raise UsageError(self.words("The key {key} has another use.", key=key),
                             self.words("Choose one that is free, or change the other one first."))
        stored = json.dumps(mapped) if mapped else ""
        self.set_keymap(keys.read(stored, self.mappable, self.words))
        self.twin.set_face("keys", stored)

    def key_of(self, action: str) -> str:
        """The key an action has by now, as one says it."""
        binding = self.mappable[action]
        key = self._keymap.get(action, binding.key).split(",")[0]
        return self.get_key_display(binding.with_key(key))

    def get_key_display(self, binding: Binding) -> str:
        """Keys as the help writes them: ctrl+n and enter, not ^n and a sign; punctuation as itself."""
        key = binding.key
        if "+" in key or (len(key) > 1 and key.isalnum()):
            return {"escape": "esc", "delete": "del"}.get(key, key)
        return super().get_key_display(binding)

    # ---- the palette -------------------------------------------------------------------------------------------

    def action_help(self) -> None:
        """Show the keys and commands."""
        self.open("help")

    def action_command_palette(self) -> None:
        """Everything that can be done, by name."""
        from .palette import Palette  # here: the chat opens without it

        if self.ready and not isinstance(self.screen, Palette):
            self.push_screen(Palette(self.words("Search for commands …"), self.words("Nothing is called so."),
                                     id="--command-palette"))

    def search_themes(self) -> None:
        """The themes, tried on as one goes through them."""
        from textual.theme import ThemeProvider

        from .palette import Palette

        self.push_screen(Palette(self.words("Search for themes …"), self.words("Nothing is called so."),
                                 providers=[ThemeProvider]))

    def get_system_commands(self, screen: Screen[Any]) -> Iterable[SystemCommand]:
        """What the palette offers."""
        from .palette import commands

        yield from commands(self, screen)

    def on_markdown_link_clicked(self, event: Markdown.LinkClicked) -> None:
        """A link a core wrote is shown and copied, never opened: its text can promise another place."""
        event.stop()
        self.copy(event.href, self.words("Address copied"))

    def copy(self, text: str, title: str) -> None:
        """Put a text on the clipboard and say so."""
        self.copy_to_clipboard(text)
        shown = printable(text)
        self.notify(shown if len(shown) < 100 else f"{shown[:99]}…", title=title, markup=False)

    def action_help_quit(self) -> None:
        """Ctrl+C copies in a terminal's sense; somebody who means to leave is told how."""
        self.notify(self.words("{key} quits.", key=self.key_of("quit")), markup=False)


def run(home: Path | None, model: str | None) -> None:
    """Open the terminal on the twin of a home and close it at the end. Raises the TwinError of one that cannot be
    opened."""
    from twin.home import Home

    place = Home(home)

    def opened() -> Twin:
        from twin.chat import Twin  # here: in the thread, after the first paint

        return Twin.open(place, model=model)

    app = TwinApp(opened, place)
    try:
        app.run()
    finally:
        if app.ready:
            cast("Twin", app._twin).close()
    if app.refused:  # in the language of the screen that was seen
        spoken, refused = app.words.language, app.refused
        refused.what, refused.next_step = sentence(refused.what, spoken), sentence(refused.next_step, spoken)
        refused.args = (f"{refused.what} {refused.next_step}".strip(),)
        raise refused
