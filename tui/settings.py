"""Settings: language, theme, the core, what is kept, what is done while nobody asks, keys."""
from __future__ import annotations

from collections.abc import Callable
from typing import ClassVar

from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.content import Content
from textual.events import Key
from textual.screen import ModalScreen
from textual.widgets import OptionList, Static
from textual.widgets.option_list import Option

from twin.errors import TwinError
from twin.text import one_line
from twin.words import LANGUAGES, Words

from .fullscreen import FullScreen

_WIDTH = 30  # columns of what a setting is called
_CALLED = {"en": "English", "ru": "Русский"}  # a language is called in itself


class SettingsScreen(FullScreen):
    """A list: Enter or a click changes what is marked."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("enter", "change", "Change", priority=True),
        Binding("delete", "reset", "Own key again"),
    ]
    DEFAULT_CSS = """
    SettingsScreen OptionList, SettingsScreen OptionList:focus {
        height: 1fr; border: none; padding: 0; background: transparent;
    }
    """

    def __init__(self) -> None:
        super().__init__()
        self._spoken = ""  # the language when it was opened

    def heading(self) -> str:
        return self.words("Settings")

    def body(self) -> ComposeResult:
        yield OptionList(markup=False)

    def on_mount(self) -> None:
        self._spoken = self.words.language
        self._list()
        self.query_one(OptionList).focus()

    def on_screen_resume(self) -> None:
        """Back from the cores or the themes."""
        self._list()

    def redraw(self) -> None:
        super().redraw()
        self._list()

    def action_back(self) -> None:
        """Screens below speak the language they were opened in: they go too when it is another one now."""
        if self._spoken != self.words.language:
            for _ in self.face.screen_stack[2:]:
                self.face.pop_screen()
        super().action_back()

    # ---- what there is -----------------------------------------------------------------------------------------

    def _rows(self) -> list[tuple[str, str, str]]:
        """Ids, what each is called, and how it stands."""
        words, twin = self.words, self.twin
        used = next((one.name for one in twin.cores() if one.in_use), "") or words("none is here yet")
        rows = [("language", words("Language"), _CALLED[words.language]),
                ("theme", words("Theme"), self.face.theme),
                ("core", words("Core"), used),
                ("typed", words("Keep what I type"), self._switch(twin.keeps_typed)),
                ("idle", words("Reflect while nobody asks"), self._switch(twin.face("idle") != "off"))]
        return rows + [(f"key {name}", words("Key: {what}", what=words(binding.description)), self.face.key_of(name))
                       for name, binding in self.face.mappable.items()]

    def _switch(self, on: bool) -> str:
        return self.words("on") if on else self.words("off")

    def _list(self) -> None:
        listed = self.query_one(OptionList)
        marked = listed.highlighted
        listed.clear_options()
        listed.add_options([Option(Content.assemble(f"{called:{_WIDTH}}  ", (one_line(stands), "bold")), id=name)
                            for name, called, stands in self._rows()])
        listed.highlighted = marked or 0

    # ---- what can be changed -------------------------------------------------------------------------------------

    @on(OptionList.OptionSelected)
    def _clicked(self, event: OptionList.OptionSelected) -> None:
        event.stop()
        self.action_change()

    def _marked(self) -> str:
        listed = self.query_one(OptionList)
        return "" if listed.highlighted is None else listed.get_option_at_index(listed.highlighted).id or ""

    def action_change(self) -> None:
        """Change what is marked."""
        name = self._marked()
        changes: dict[str, Callable[[], object]] = {
            "language": self._next_language, "theme": self.face.search_themes,
            "core": lambda: self.face.open("cores"), "typed": self._typed, "idle": self._idle}
        if name.startswith("key "):
            self.face.push_screen(NewKey(self.words), lambda key: self._map(name[4:], key))
        elif name:
            self._try(changes[name])

    def action_reset(self) -> None:
        """The key it has from the start."""
        if (name := self._marked()).startswith("key "):
            self._map(name[4:], "")

    def _next_language(self) -> None:
        place = LANGUAGES.index(self.words.language)
        self.face.speak(LANGUAGES[(place + 1) % len(LANGUAGES)])

    def _typed(self) -> None:
        self.twin.keeps_typed = not self.twin.keeps_typed

    def _idle(self) -> None:
        self.twin.set_face("idle", "" if self.twin.face("idle") == "off" else "off")

    def _map(self, action: str, key: str | None) -> None:
        if key is not None:
            self._try(lambda: self.face.map_key(action, key))

    def _try(self, change: Callable[[], object]) -> None:
        try:
            change()
        except TwinError as refused:
            self.fail(refused)
        else:
            self.tell("")
        self._list()


class NewKey(ModalScreen[str | None]):
    """The next key that is pressed; esc leaves it as it is."""

    DEFAULT_CSS = """
    NewKey { align: center middle; }
    NewKey > Vertical {
        width: 50; max-width: 95%; height: auto; padding: 1 2; background: $surface; border: round $primary;
    }
    NewKey Static { height: auto; }
    """

    def __init__(self, words: Words) -> None:
        super().__init__()
        self._words = words

    def compose(self) -> ComposeResult:
        with Vertical():
            yield Static(Content(self._words("Press the new key. Esc leaves it as it is.")))

    def on_key(self, event: Key) -> None:
        event.stop()
        self.dismiss(None if event.key == "escape" else event.key)
