"""TwinApp: the terminal chat. Drains the events of Twin.stream in a thread and draws them [only here: textual].

Beside it: what it draws of a turn (exchange.py), what its commands do (commands.py), what opens over it (pages.py).
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
from textual.message import Message
from textual.screen import Screen
from textual.widgets import Markdown, Static
from textual.worker import get_current_worker

from twin import feedback
from twin.errors import TwinError, UsageError
from twin.lines import Line
from twin.prompt_view import PromptView
from twin.text import printable
from twin.types import Answered, Event, Failed, Interrupted, Thinking, Token, Turn

from .commands import ENDS, MEANWHILE, Commands
from .composer import Composer
from .exchange import Exchange, Note
from .pages import Help, PromptPage
from .style import CSS

if TYPE_CHECKING:
    from twin.chat import Twin

_COMMAND = re.compile(r"/(\w+)(?:\s+(.*))?", re.DOTALL)


class TwinApp(App[None]):
    """The chat of one twin. Opens at once; a missing core is said in the status line and again when asked."""

    TITLE = "twin"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "stop", "Stop the answer", id="stop"),
        Binding("ctrl+r", "obey('for')", "Whom it was for", id="correct", priority=True),
        Binding("ctrl+f", "obey('fork')", "Ask again as", id="fork", priority=True),
        Binding("ctrl+n", "new", "New conversation", id="new"),
        Binding("f2", "obey('good')", "Good answer", id="good"),
        Binding("f3", "obey('bad')", "Bad answer", id="bad"),
        Binding("f4", "obey('again')", "Ask again", id="again"),
        Binding("ctrl+o", "obey('edit')", "Own version", id="edit"),
        Binding("f8", "obey('rollback')", "End the trial", id="rollback"),
        Binding("f1", "help", "Help", id="help"),
    ]
    CSS = CSS

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

    class Opened(Message):
        """A prompt was taken apart and can be looked at."""

        def __init__(self, view: PromptView) -> None:
            super().__init__()
            self.view = view

    def __init__(self, twin: Twin) -> None:
        super().__init__()
        self.twin = twin
        self.conversation = twin.conversation
        self.role: str | None = None
        self._busy = False
        self._stop = Flag()
        self._core = "…"
        self._noted: tuple[str, ...] = ()
        self._refused = ""
        self.last: Exchange | None = None
        self.line: Line | None = None  # None: the trunk
        self._commands = Commands(self)

    def compose(self) -> ComposeResult:
        yield VerticalScroll(id="log", can_focus=False)
        yield Composer(placeholder="Ask in any language")
        yield Static(id="status")

    def on_mount(self) -> None:
        self.query_one("#log", VerticalScroll).anchor()
        self.query_one(Composer).focus()
        self.draw_status()
        self._look_around()

    def on_unmount(self) -> None:
        self._stop.set()  # the thread of an unfinished answer must not outlive the screen

    # ---- what the person does ----------------------------------------------------------------------------------

    @on(Composer.Sent)
    async def _send(self, sent: Composer.Sent) -> None:
        if not sent.text.strip():
            return
        command = _COMMAND.fullmatch(sent.text.rstrip())
        if self._waits(command[1].lower() if command else ""):
            return
        self.query_one(Composer).clear()
        if command:
            await self.action_obey(command[1].lower(), (command[2] or "").strip())
        else:
            await self.ask(sent.text.strip())

    def _waits(self, name: str = "") -> bool:
        """Whether a command or a question ('') has to wait; says so."""
        waits = self._busy and (not name or name in self._commands.table.keys() - MEANWHILE)
        if waits:
            self.notify("The twin is still busy; esc stops an answer.", markup=False)
        return waits

    async def action_obey(self, name: str, argument: str = "") -> None:
        """Do what a slash command says; what it may not is a line with the next step."""
        if self._waits(name):
            return
        try:
            await self._commands.do(name, argument)
        except TwinError as error:
            self.say(str(error), error=True)

    async def ask(self, question: str, role: str | None = None, *, council: bool | None = None) -> None:
        """Ask on the line one is on, `role` instead of the one picked here; `council` None leaves it to the line and
        the policy."""
        exchange = await self.shown(question)
        self._begin()
        self._drain(exchange, role or self.role, self.conversation, council)

    def carry_out(self, job: Callable[[], str | PromptView]) -> None:
        """Do something that takes a while; its line is said, its prompt opened."""
        self._begin()
        self._work(job)

    async def shown(self, question: str) -> Exchange:
        """A question in the log, ready for the events of its turn."""
        log = self.query_one("#log", VerticalScroll)
        exchange = self.last = Exchange(question)
        await log.mount(exchange)
        log.anchor()
        return exchange

    def _begin(self) -> None:
        self._busy = True
        self._stop.clear()
        self.draw_status()

    def answered(self) -> Turn:
        """The last turn on the screen."""
        for exchange in reversed(self.query(Exchange)):
            if exchange.turn:
                return exchange.turn
        raise UsageError("Nothing was answered in this conversation yet.", "Ask first.")

    def answers(self) -> str:
        """Who answers the next question: the role picked here, or that of the line one is on."""
        settings = self.line.settings if self.line else None
        of_line = settings and (settings.role or ("council" if settings.council else None))
        return self.role or of_line or "auto"

    # ---- keys --------------------------------------------------------------------------------------------------

    def action_stop(self) -> None:
        """Stop the answer that is being written; what is there stays."""
        self._stop.set()
        self.draw_status()

    async def action_new(self) -> None:
        """Clear the screen and begin a conversation that knows nothing of the one before."""
        if self._waits():
            return
        self.conversation = str(uuid.uuid4())
        self.last = self.line = None
        await self.query_one("#log").remove_children()
        self.draw_status()

    def action_help(self) -> None:
        """Show the keys and commands."""
        self.push_screen(Help())

    def get_system_commands(self, screen: Screen[object]) -> Iterable[SystemCommand]:
        """Ours first, then Textual's."""
        yield SystemCommand("New conversation", "Clear the screen and begin anew (ctrl+n)", self.action_new)
        yield SystemCommand("Why", "Why the last answer came from its role (/why)", lambda: self.action_obey("why"))
        yield SystemCommand("This was for ...", "Tell the router whom the last question was for (ctrl+r)",
                            lambda: self.action_obey("for"))
        yield SystemCommand("Ask again as ...", "The same question on a new line of thinking (ctrl+f)",
                            lambda: self.action_obey("fork"))
        yield SystemCommand("Good answer", "Say that the last answer was good (f2)", lambda: self.action_obey("good"))
        yield SystemCommand("Bad answer", "Say that it was not (f3)", lambda: self.action_obey("bad"))
        yield SystemCommand("Ask again", "The same question once more, in the same role (f4)",
                            lambda: self.action_obey("again"))
        yield SystemCommand("Own version", "Write the last answer as you would have wanted it (ctrl+o)",
                            lambda: self.action_obey("edit"))
        yield SystemCommand("Proposals", "What waits for your yes or no, and what is on trial (/proposals)",
                            lambda: self.action_obey("proposals"))
        yield SystemCommand("End the trial", "Take back what is on trial (f8)", lambda: self.action_obey("rollback"))
        yield SystemCommand("Lines of thinking", "The lines of this conversation (/lines)",
                            lambda: self.action_obey("lines"))
        yield SystemCommand("Help", "Keys and commands (f1)", self.action_help)
        yield from super().get_system_commands(screen)

    def on_markdown_link_clicked(self, event: Markdown.LinkClicked) -> None:
        """A link a core wrote is shown and copied, never opened: its text can promise another place."""
        event.stop()
        self.copy_to_clipboard(event.href)
        self.notify(printable(event.href), title="Address copied", markup=False)

    # ---- threads: Twin is synchronous, one at a time ---------------------------------------------------------------

    @work(thread=True, exclusive=True, group="twin")
    def _drain(self, exchange: Exchange, role: str | None, conversation: str, council: bool | None) -> None:
        for event in self.twin.stream(exchange.question, role, conversation=conversation, council=council,
                                      cancel=self._stop.is_set):
            self.post_message(self.Came(exchange, event))
        self._settle(conversation)

    @work(thread=True, exclusive=True, group="twin")
    def _work(self, job: Callable[[], str | PromptView]) -> None:
        conversation = self.conversation
        try:
            made = job()
        except TwinError as error:
            self.post_message(self.Done(str(error), error=True, free=True))
            return
        self.post_message(self.Done(made, free=True) if isinstance(made, str) else self.Opened(made))
        self._settle(conversation)

    def _settle(self, conversation: str) -> None:
        """Idle until the next question, which ends this worker: what the answer left unread is read now, and the twin
        reflects when that is due."""
        worker = get_current_worker()
        try:
            self.twin.settle(conversation=conversation, cancel=lambda: worker.is_cancelled)
            before = self.twin.proposals_waiting()
            if self.twin.idle(cancel=lambda: worker.is_cancelled) and self.twin.proposals_waiting() > before:
                self.post_message(self.Done("\n".join(feedback.news(self.twin, ENDS))))
        except TwinError as error:
            self.post_message(self.Done(str(error), error=True))

    @work(thread=True, group="look")
    def _look_around(self) -> None:
        """What is here already; counting cards and messages takes longer than a first paint should."""
        try:
            missing = "" if self.twin.has("core") else self.twin.catalog.recommend().model.name
            counts = self.twin.archive.counts()
            _ = self.twin.role_map  # reads the folder, so that a broken hand edit is known
            news = feedback.news(self.twin, ENDS)
        except TwinError as error:
            self.post_message(self.Done(str(error), error=True))
            return
        self.post_message(self.Done(f"no core: twin models pull {missing}" if missing else "", core=True))
        own = counts["own_messages"]
        self.post_message(self.Done(
            f"Your own messages here: {own:,}. Press F1 for keys and commands."
            if own else "Nothing of yours is here yet: `twin import FILE` brings it. Press F1 for keys and commands."))
        if news:
            self.post_message(self.Done("\n".join(news)))

    # ---- what comes back ---------------------------------------------------------------------------------------

    async def on_twin_app_came(self, came: Came) -> None:
        await came.exchange.take(came.event)
        if isinstance(came.event, Answered | Interrupted | Failed):
            self._busy = False
            if isinstance(came.event, Answered | Interrupted):
                self._core = came.event.turn.model
                if self.twin.notes != self._noted:  # once, and again when a card is lost
                    self._noted = self.twin.notes
                    self.say("\n".join(self._noted))
            self._tell_refusal()
        if not isinstance(came.event, Token | Thinking):
            self.draw_status()

    def on_twin_app_done(self, done: Done) -> None:
        if done.free:
            self._busy = False
        if done.core:
            self._core = done.text
        else:
            self.say(done.text, error=done.error)
        self._tell_refusal()
        self.draw_status()

    def on_twin_app_opened(self, opened: Opened) -> None:
        self._busy = False
        self.push_screen(PromptPage(opened.view))
        self.draw_status()

    def _tell_refusal(self) -> None:
        """A hand edit of the roles that cannot be read, once."""
        refusal = self.twin.role_book.refusal
        said, self._refused = self._refused, refusal.what if refusal else ""
        if self._refused and self._refused != said:
            self.say(f"{self._refused} Correct it; until then the roles before that edit stay active.", error=True)

    def say(self, text: str, *, error: bool = False) -> None:
        """Lines of the program's own in the log."""
        log = self.query_one("#log", VerticalScroll)
        log.mount(Note(text, error=error))
        log.anchor()

    def draw_status(self) -> None:
        """The line below: where one is, who answers, the core, and what to press."""
        parts = [*([f"line {self.line.title}"] if self.line else []), self.answers()]
        if self.last and self.last.route and not self.last.route.asked:
            parts[-1] += f" → {self.last.route.role} {self.last.route.sure}"
        if self._core:
            parts.append(self._core)
        if self.last and self.last.turn:
            usage = self.last.turn.usage
            read = f"{usage.prompt_tokens:,} read, " if usage.prompt_tokens else ""
            parts.append(f"{read}{usage.generated:,} written")
        if self._busy:
            parts.append("stopping …" if self._stop.is_set() else "esc stops")
        else:
            parts.append("f1 help")
        self.query_one("#status", Static).update(Content(printable(" · ".join(parts))))
