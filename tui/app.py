"""TwinApp: the terminal chat. Drains the events of Twin.stream in a thread and draws them [only here: textual].

What it draws of a turn is in exchange.py beside it.
"""
from __future__ import annotations

import re
import uuid
from collections.abc import Callable, Iterable
from threading import Event as Flag
from typing import TYPE_CHECKING, ClassVar

from textual import on, work
from textual.app import App, ComposeResult, SystemCommand
from textual.binding import Binding, BindingType
from textual.containers import VerticalScroll
from textual.content import Content
from textual.events import Key
from textual.message import Message
from textual.screen import ModalScreen, Screen
from textual.widgets import Markdown, Static, TextArea
from textual.worker import get_current_worker

from twin import text as plain_text
from twin.errors import TwinError, UsageError
from twin.text import printable
from twin.types import Answered, Event, Failed, Interrupted, Thinking, Token

from .exchange import Exchange, Note, why

if TYPE_CHECKING:
    from twin.chat import Twin

HELP = """\
### Keys
- `enter` sends; `ctrl+j` or `shift+enter` starts a new line
- `esc` stops the answer; what was written is kept
- `ctrl+n` starts a new conversation
- `ctrl+p` opens the palette: themes, keys, commands
- `ctrl+q` quits

### Commands
- `/role NAME` answers in that role from now on; `/role auto` lets the router choose; `/role` lists them
- `/why` tells why the last answer came from that role, and which memories it saw
- `/export` writes your profile as a system prompt
- `/help` shows this page

A question that begins with a slash is sent when a space stands before it.
"""
_COMMAND = re.compile(r"/(\w+)(?:\s+(.*))?", re.DOTALL)


class Composer(TextArea):
    """Where the person writes: Enter sends, Ctrl+J, Shift+Enter and Alt+Enter break the line."""

    class Sent(Message):
        """The person pressed Enter."""

        def __init__(self, text: str) -> None:
            super().__init__()
            self.text = text

    def _on_key(self, event: Key) -> None:  # type: ignore[override]  # textual awaits what is awaitable
        if event.key == "enter":
            self.post_message(self.Sent(self.text))
        elif event.key in ("ctrl+j", "shift+enter", "alt+enter"):
            self.insert("\n")
        else:
            return
        event.stop()
        event.prevent_default()


class Help(ModalScreen[None]):
    """The keys and commands on one page."""

    BINDINGS: ClassVar[list[BindingType]] = [Binding("escape,f1,q,enter", "dismiss", "Close")]

    def compose(self) -> ComposeResult:
        with VerticalScroll():
            yield Markdown(HELP)

    def on_mount(self) -> None:
        self.query_one(VerticalScroll).focus()


class TwinApp(App[None]):
    """The chat of one twin. Opens at once; a missing core is said in the status line and again when asked."""

    TITLE = "twin"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "stop", "Stop the answer", id="stop"),
        Binding("ctrl+n", "new", "New conversation", id="new"),
        Binding("f1", "help", "Help", id="help"),
    ]
    CSS = """
    Screen { layout: vertical; }
    #log {
        height: 1fr; padding: 1 0 0 0; scrollbar-size-vertical: 1;
        scrollbar-background: $background; scrollbar-color: $foreground 20%;
    }
    #log > * { max-width: 104; margin: 0 2; }
    #log > Note { height: auto; margin: 0 2 1 2; color: $text-muted; }
    Note.error { color: $text-error; border-left: outer $error; padding-left: 1; }
    Exchange { height: auto; }
    Exchange.-noted .after { margin: 0 0 1 2; }
    Exchange > * { height: auto; margin-left: 2; }
    Exchange .question { margin: 0 0 1 0; padding-left: 1; border-left: outer $primary; text-style: bold; }
    Exchange .route, Exchange .memory, Exchange .remark {
        height: 1; text-wrap: nowrap; text-overflow: ellipsis; color: $text-muted;
    }
    Exchange .memory.cited { color: $text; }
    Exchange .remark { text-style: italic; }
    Exchange .waiting { color: $text-muted; margin-top: 1; }
    Exchange .answer { margin: 1 0 0 2; padding: 0; background: transparent; }
    Exchange Collapsible { background: transparent; border: none; padding: 0; }
    Exchange .thought { color: $text-muted; }
    Composer {
        height: auto; min-height: 3; max-height: 8; margin: 0 1; padding: 0 1;
        background: $background; border: round $foreground 30%;
    }
    Composer:focus { border: round $primary; }
    #status { height: 1; padding: 0 2; color: $text-muted; text-wrap: nowrap; text-overflow: ellipsis; }
    Help { align: center middle; }
    Help > VerticalScroll {
        width: 72; max-width: 95%; height: auto; max-height: 90%; padding: 1 2;
        background: $surface; border: round $primary;
    }
    Help Markdown { background: transparent; padding: 0; margin-bottom: -1; }
    """

    class Came(Message):
        """An event of a turn, from the thread that drains it."""

        def __init__(self, exchange: Exchange, event: Event) -> None:
            super().__init__()
            self.exchange = exchange
            self.event = event

    class Done(Message):
        """A line from a thread. `core`: it names the core; `free`: the twin has nothing left to do."""

        def __init__(self, text: str, *, error: bool = False, core: bool = False, free: bool = False) -> None:
            super().__init__()
            self.text, self.error, self.core, self.free = text, error, core, free

    def __init__(self, twin: Twin) -> None:
        super().__init__()
        self.twin = twin
        self.conversation = twin.conversation
        self.role: str | None = None
        self._busy = False
        self._stop = Flag()
        self._core = "…"
        self._noted: tuple[str, ...] = ()
        self._last: Exchange | None = None
        self._commands: dict[str, Callable[[str], object]] = {
            "role": self._switch, "why": self._why, "export": self._export, "help": lambda _: self.action_help()}

    def compose(self) -> ComposeResult:
        yield VerticalScroll(id="log", can_focus=False)
        yield Composer(placeholder="Ask in any language")
        yield Static(id="status")

    def on_mount(self) -> None:
        self.query_one("#log", VerticalScroll).anchor()
        self.query_one(Composer).focus()
        self._draw_status()
        self._look_around()

    def on_unmount(self) -> None:
        self._stop.set()  # the thread of an unfinished answer must not outlive the screen

    # ---- what the person does ----------------------------------------------------------------------------------

    @on(Composer.Sent)
    async def _send(self, sent: Composer.Sent) -> None:
        if not sent.text.strip():
            return
        command = _COMMAND.fullmatch(sent.text.rstrip())
        if self._busy and (command is None or command[1] == "export"):
            self.notify("The twin is still busy; esc stops an answer.", markup=False)
            return
        self.query_one(Composer).clear()
        try:
            if command:
                self._obey(command[1].lower(), (command[2] or "").strip())
            else:
                await self._ask(sent.text.strip())
        except TwinError as error:
            self._say(str(error), error=True)

    def _obey(self, name: str, argument: str) -> None:
        if name not in self._commands:
            known = ", ".join(f"/{each}" for each in self._commands)
            raise UsageError(f"There is no command /{name}.",
                             f"Known: {known}. To send it as a question, put a space before the slash.")
        self._commands[name](argument)

    async def _ask(self, question: str) -> None:
        log = self.query_one("#log", VerticalScroll)
        exchange = self._last = Exchange(question)
        await log.mount(exchange)
        log.anchor()
        self._busy = True
        self._stop.clear()
        self._draw_status()
        self._drain(exchange, self.role, self.conversation)

    def _switch(self, name: str) -> None:
        roles = self.twin.role_map.roles
        known = {word.casefold(): role.id for role in roles for word in (role.title.en, role.title.ru, role.id)}
        if not name:
            listed = "\n".join(f"  {role.id:14} {role.purpose.of(_language(self._last))}" for role in roles)
            self._say(f"{listed}\n  {'auto':14} the router chooses for each question (now: {self.role or 'auto'})")
        elif name.casefold() == "auto":
            self.role = None
        elif name.casefold() in known:
            self.role = known[name.casefold()]
        else:
            raise UsageError(f"There is no role {name!r}.", f"Known: {', '.join(role.id for role in roles)}, auto.")
        self._draw_status()

    def _why(self, _: str) -> None:
        self._say(why(self._last) if self._last else "Nothing was asked in this conversation yet.")

    def _export(self, _: str) -> None:
        self._busy = True
        self._draw_status()
        self._write_export()

    def action_stop(self) -> None:
        """Stop the answer that is being written; what is there stays."""
        self._stop.set()
        self._draw_status()

    async def action_new(self) -> None:
        """Clear the screen and begin a conversation that knows nothing of the one before."""
        if self._busy:
            self.notify("The twin is still busy; esc stops an answer.", markup=False)
            return
        self.conversation = str(uuid.uuid4())
        self._last = None
        await self.query_one("#log").remove_children()
        self._draw_status()

    def action_help(self) -> None:
        """Show the keys and commands."""
        self.push_screen(Help())

    def get_system_commands(self, screen: Screen[object]) -> Iterable[SystemCommand]:
        """Ours first, then Textual's."""
        yield SystemCommand("New conversation", "Clear the screen and begin anew (ctrl+n)", self.action_new)
        yield SystemCommand("Why", "Why the last answer came from its role (/why)", lambda: self._why(""))
        yield SystemCommand("Help", "Keys and commands (f1)", self.action_help)
        yield from super().get_system_commands(screen)

    def on_markdown_link_clicked(self, event: Markdown.LinkClicked) -> None:
        """A link a core wrote is shown and copied, never opened: its text can promise another place."""
        event.stop()
        self.copy_to_clipboard(event.href)
        self.notify(printable(event.href), title="Address copied", markup=False)

    # ---- threads: Twin is synchronous, one at a time ---------------------------------------------------------------

    @work(thread=True, exclusive=True, group="twin")
    def _drain(self, exchange: Exchange, role: str | None, conversation: str) -> None:
        for event in self.twin.stream(exchange.question, role, conversation=conversation, cancel=self._stop.is_set):
            self.post_message(self.Came(exchange, event))
        # Idle until the next question, which ends this worker: what the answer left unread is read now.
        worker = get_current_worker()
        try:
            self.twin.settle(conversation=conversation, cancel=lambda: worker.is_cancelled)
        except TwinError as error:
            self.post_message(self.Done(str(error), error=True))

    @work(thread=True, exclusive=True, group="twin")
    def _write_export(self) -> None:
        try:
            made = self.twin.export("prompt")
        except TwinError as error:
            self.post_message(self.Done(str(error), error=True, free=True))
            return
        cut = "".join(f"\nCut to fit: {name}" for name in made.cut)
        self.post_message(self.Done(f"{made.path}\n{made.characters:,} characters.{cut}", free=True))

    @work(thread=True, group="look")
    def _look_around(self) -> None:
        """What is here already; counting cards and messages takes longer than a first paint should."""
        try:
            missing = "" if self.twin.has("core") else self.twin.catalog.recommend().model.name
            counts = self.twin.archive.counts()
        except TwinError as error:
            self.post_message(self.Done(str(error), error=True))
            return
        self.post_message(self.Done(f"no core: twin models pull {missing}" if missing else "", core=True))
        own = counts["own_messages"]
        self.post_message(self.Done(
            f"Your own messages here: {own:,}. Press F1 for keys and commands."
            if own else "Nothing of yours is here yet: `twin import FILE` brings it. Press F1 for keys and commands."))

    # ---- what comes back ---------------------------------------------------------------------------------------

    async def on_twin_app_came(self, came: Came) -> None:
        await came.exchange.take(came.event)
        if isinstance(came.event, Answered | Interrupted | Failed):
            self._busy = False
            if isinstance(came.event, Answered | Interrupted):
                self._core = came.event.turn.model
                if self.twin.notes != self._noted:  # once, and again when a card is lost
                    self._noted = self.twin.notes
                    self._say("\n".join(self._noted))
        if not isinstance(came.event, Token | Thinking):
            self._draw_status()

    def on_twin_app_done(self, done: Done) -> None:
        if done.free:
            self._busy = False
        if done.core:
            self._core = done.text
        else:
            self._say(done.text, error=done.error)
        self._draw_status()

    def _say(self, text: str, *, error: bool = False) -> None:
        log = self.query_one("#log", VerticalScroll)
        log.mount(Note(text, error=error))
        log.anchor()

    def _draw_status(self) -> None:
        parts = [self.role or "auto"]
        if self._last and self._last.route and not self._last.route.asked:
            parts[0] += f" → {self._last.route.role} {self._last.route.probability:.0%}"
        if self._core:
            parts.append(self._core)
        if self._last and self._last.turn:
            usage = self._last.turn.usage
            parts.append(f"{usage.prompt_tokens:,} read, {usage.generated:,} written")
        if self._busy:
            parts.append("stopping …" if self._stop.is_set() else "esc stops")
        else:
            parts.append("f1 help")
        self.query_one("#status", Static).update(Content(printable(" · ".join(parts))))


def _language(exchange: Exchange | None) -> str:
    return plain_text.language(exchange.question) if exchange else "en"
