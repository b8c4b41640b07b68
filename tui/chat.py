"""ChatScreen: the chat itself. A question goes in, its turn is drawn as it comes; the twin idles until the next."""
from __future__ import annotations

import re
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, ClassVar, cast

from textual import on
from textual._callback import invoke
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.screen import Screen
from textual.widgets import TextArea

from twin.errors import TwinError, UsageError
from twin.types import Answered, Event, Failed, Interrupted, Progress, Turn
from twin.words import Words, error, sentence

from . import names
from .background import Cancel, number, under_way
from .composer import Composer
from .exchange import Exchange
from .inbox import Inbox
from .log import Log
from .status import Status

if TYPE_CHECKING:
    from twin.chat import Twin
    from twin.lines import Line

    from .app import TwinApp
    from .commands import Commands

_COMMAND = re.compile(r"/(\w+)(?:\s+(.*))?", re.DOTALL)


class ChatScreen(Screen[None]):
    """The first screen. `conversation` is the chat or line that is gone on with, `role` the role picked here, `line`
    the line of thinking (None: the trunk), `last` the last exchange."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "stop", "Stop the answer", id="stop"),
        Binding("ctrl+n", "new", "New conversation", id="new"),
        Binding("ctrl+s", "obey('chats')", "Conversations", id="chats", priority=True),
        Binding("ctrl+r", "obey('for')", "Whom it was for", id="correct", priority=True),
        Binding("ctrl+f", "obey('fork')", "Ask again as", id="fork", priority=True),
        Binding("f2", "obey('good')", "Good answer", id="good"),
        Binding("f3", "obey('bad')", "Bad answer", id="bad"),
        Binding("f4", "obey('again')", "Ask again", id="again"),
        Binding("f5", "obey('copy')", "Copy the answer", id="copy"),
        Binding("f6", "obey('evidence')", "Evidence", id="evidence", priority=True),
        Binding("ctrl+o", "obey('edit')", "Own version", id="edit"),
        Binding("f8", "obey('rollback')", "End the trial", id="rollback"),
        Binding("f9", "obey('settings')", "Settings", id="settings"),
        Binding("pageup", "page(-1)", "Scroll up", id="up", priority=True),
        Binding("pagedown", "page(1)", "Scroll down", id="down", priority=True),
        Binding("ctrl+end", "newest", "To the newest", id="newest", priority=True),
    ]

    def __init__(self) -> None:
        super().__init__()
        self.conversation = ""
        self.role: str | None = None
        self.line: Line | None = None
        self.last: Exchange | None = None
        self.titles: dict[str, str] = {}  # of the roles, in the person's language
        self.core, self.doing = "…", ""  # what answers, and what is under way
        self._noted: tuple[str, ...] = ()
        self._refused = ""
        self.waiting = ""  # what was sent before the twin was open
        self._commands: Commands | None = None

    @property
    def face(self) -> TwinApp:
        """The app, with its services."""
        return cast("TwinApp", self.app)

    @property
    def words(self) -> Words:
        """The sentences of the terminal in the person's language."""
        return self.face.words

    @property
    def ready(self) -> bool:
        """Whether the twin is open and can be asked."""
        return self._commands is not None

    @property
    def twin(self) -> Twin:
        """Whose chat it is."""
        return self.face.twin

    @property
    def log_(self) -> Log:
        """What was said."""
        return self.query_one(Log)

    def compose(self) -> ComposeResult:
        yield Log()
        yield Composer(placeholder=self.words("Ask in any language"))
        yield Status(id="status")

    def on_mount(self) -> None:
        self.query_one(Composer).focus()
        self.draw_status()
        self.call_after_refresh(self.face.painted)

    async def opened(self) -> None:
        """The twin is there: what is here already, and what was typed too early."""
        from .commands import Commands  # here: after the first paint

        self.conversation = self.twin.conversation
        self._commands = Commands(self)
        self.query_one(Composer).placeholder = self.words("Ask in any language")
        self.draw_status()
        self.face.background.idle(self._look_around, self.face.fail)
        if early := self.waiting:
            self.waiting = ""
            await self._send(Composer.Sent(early))

    # ---- what the person does ----------------------------------------------------------------------------------

    @on(Composer.Sent)
    async def _send(self, sent: Composer.Sent) -> None:
        if not sent.text.strip():
            return
        if not self.ready:
            self.waiting = sent.text
            self.draw_status()
            return
        command = _COMMAND.fullmatch(sent.text.rstrip())
        if self._waits(names.canonical(command[1]) if command else ""):
            return
        composer = self.query_one(Composer)
        composer.remember(sent.text.rstrip())
        composer.clear()
        if command:
            await self.action_obey(command[1], (command[2] or "").strip())
        else:
            await self.ask(sent.text.strip())

    def _waits(self, name: str = "") -> bool:
        """Whether a command or a question ('') has to wait; says so."""
        waits = self.face.background.busy and (not name or self.commands.waits(name))
        if waits:
            self.face.still_busy()
        return waits

    @property
    def commands(self) -> Commands:
        """What the slash commands do. UsageError before the twin is open."""
        if self._commands is None:
            raise UsageError(self.words("The twin is still being opened."), self.words("Wait a moment."))
        return self._commands

    async def action_obey(self, name: str, argument: str = "") -> None:
        """Do what a slash command says; what it may not is a line with the next step."""
        try:
            if not self._waits(names.canonical(name)):
                await self.commands.do(names.canonical(name), argument)
        except TwinError as raised:
            self.face.fail(raised)

    async def action_marked(self, name: str) -> None:
        """A mark below an answer was clicked: that answer is meant, not the last one."""
        spot = self.face.mouse_position
        widget = self.get_widget_at(*spot)[0]
        exchange = next((one for one in widget.ancestors_with_self if isinstance(one, Exchange)), None)
        if exchange is not None and self._commands is not None:
            self._commands.about = exchange
            await self.action_obey(name)
            self._commands.about = None

    async def ask(self, question: str, role: str | None = None, *, council: bool | None = None) -> None:
        """Ask on the line one is on, `role` instead of the one picked here; `council` None leaves it to the line and
        the policy."""
        if self._waits():
            return
        exchange = self.last = await self.log_.ask(question)
        who, conversation, inbox = role or self.role, self.conversation, Inbox(self.face, self._taking(exchange))

        def drain(_: Progress, cancel: Cancel) -> None:
            for event in self.twin.stream(question, who, conversation=conversation, council=council, cancel=cancel):
                inbox.put(event)
            self.learn_titles()

        async def done(_: None) -> None:
            await inbox.empty()
            self.rest(conversation)

        self.face.background.run(drain, done, self.face.fail)

    def carry_out(self, job: Callable[[Progress, Cancel], Any], done: Callable[[Any], Any] | None = None, *,
                  reflect: bool = True) -> None:
        """Do something that takes a while; `done` gets what comes of it, else its line is said. Then the twin idles,
        and reflects unless told not to."""
        async def ended(made: Any) -> None:
            await invoke(done or self.say, made)
            self._tell_refusal()
            self.rest(self.conversation, reflect=reflect)

        def failed(raised: TwinError) -> None:
            self.face.fail(raised)
            self._tell_refusal()

        self.face.background.run(job, ended, failed, self._told)

    def answered(self) -> Turn:
        """The last turn on the screen, or the one that was clicked."""
        about = self.commands.about
        for exchange in [about] if about else reversed(self.log_.exchanges):
            if exchange.turn:
                return exchange.turn
        raise UsageError(self.words("Nothing was answered in this conversation yet."), self.words("Ask first."))

    def answers(self) -> str:
        """Who answers the next question: the role picked here, or that of the line one is on."""
        settings = self.line.settings if self.line else None
        of_line = settings and (settings.role or ("council" if settings.council else None))
        return self.role or of_line or "auto"

    # ---- keys --------------------------------------------------------------------------------------------------

    def action_stop(self) -> None:
        """Stop what is under way; what was written stays."""
        self.face.background.stop()
        self.draw_status()

    async def action_new(self) -> None:
        """Clear the screen and begin a conversation that knows nothing of the one before."""
        if not self._waits():
            await self.stand(self.twin.new(), None)

    def action_page(self, by: int) -> None:
        """Scroll what was said by a page."""
        self.log_.page(by)

    async def action_newest(self) -> None:
        """To what was said last."""
        await self.log_.end()

    # ---- conversations -------------------------------------------------------------------------------------------

    async def stand(self, conversation: str, line: Line | None, turns: list[Turn] | None = None) -> None:
        """Go on with this conversation; its turns are drawn anew."""
        self.conversation, self.line, self.role, self.last = conversation, line, None, None
        await self.log_.show(turns or [])
        self.last = next(reversed(self.log_.exchanges), None)
        self.draw_status()

    def resume(self, conversation: str) -> None:
        """Go on with a conversation or line that is stored."""
        def read(_: Progress, __: Cancel) -> tuple[Line, list[Turn]]:
            turns = self.twin.resume(conversation)
            self.learn_titles()
            return self.twin.lines.of(self.twin.conversation), turns

        def drawn(found: tuple[Line, list[Turn]]) -> Any:
            line, turns = found
            return self.stand(line.id, line if line.parent else None, turns)

        self.carry_out(read, drawn, reflect=False)

    # ---- in a thread ---------------------------------------------------------------------------------------------

    def rest(self, conversation: str, *, reflect: bool = True) -> None:
        """Idle until the next question: what the answer left unread is read now, and the twin reflects when that is
        due."""
        def work(cancel: Cancel) -> Callable[[], None] | None:
            self.twin.settle(conversation=conversation, cancel=cancel)
            if not reflect or self.twin.face("idle") == "off":
                return None
            before = self.twin.proposals_waiting()
            if self.twin.idle(cancel=cancel) and self.twin.proposals_waiting() > before:
                news = self.commands.news()
                return lambda: self.say("\n".join(news))
            return None

        self.face.background.idle(work, self.face.fail)

    def _look_around(self, _: Cancel) -> Callable[[], None]:
        """What is here already; counting cards and messages takes longer than a first paint should."""
        twin, words = self.twin, self.words
        missing = "" if twin.has("core") else twin.catalog.recommend().model.name
        start = twin.start()
        self.learn_titles()  # reads the folder, so that a broken hand edit is known
        news = self.commands.news()
        first = not (start.own or start.turns or twin.face("first"))

        def tell() -> None:
            self.core = words("no core: /cores fetches {name}", name=missing) if missing else ""
            help_ = self.face.key_of("help")
            self.say(words("Your own messages here: {n}. {key} shows keys and commands.", n=number(words, start.own),
                           key=help_) if start.own else
                     words("Nothing of yours is here yet: /import brings it. {key} shows keys and commands.",
                           key=help_))
            if missing:
                self.say(words("No core is here yet, so nobody can answer: /cores lists what fits this machine and "
                               "fetches it."))
            if news:
                self.say("\n".join(news))
            self._tell_refusal()
            self.draw_status()
            if first and self.face.screen is self:
                self.face.open("first")

        return tell

    def learn_titles(self) -> None:
        """What roles are called in the language that is spoken now."""
        language = self.words.language
        self.titles = {role.id: role.title.of(language) or role.id for role in self.twin.role_map.roles}

    # ---- what comes back ---------------------------------------------------------------------------------------

    def _taking(self, exchange: Exchange) -> Callable[[list[Event]], Any]:
        async def take(events: list[Event]) -> None:
            if exchange.is_attached:
                await exchange.take(events)
            self._ended(exchange, events[-1])

        return take

    def _ended(self, exchange: Exchange, event: Event) -> None:
        if isinstance(event, Answered | Interrupted):
            if exchange.turn and exchange.is_attached:
                self.log_.answered(event.turn)
            self.core = event.turn.model
            if self.twin.notes != self._noted:  # once, and again when a card is lost
                self._noted = self.twin.notes
                self.say("\n".join(sentence(note, self.words.language) for note in self._noted))
        if isinstance(event, Answered | Interrupted | Failed):
            self._tell_refusal()
        self.draw_status()

    def _told(self, stage: str, done: int, total: int | None) -> None:
        self.doing = under_way(self.words, stage, done, total)
        self.draw_status()

    def _tell_refusal(self) -> None:
        """A hand edit of the roles that cannot be read, once."""
        refusal = self.twin.role_book.refusal
        said, self._refused = self._refused, error(refusal, self.words.language) if refusal else ""
        if self._refused and self._refused != said:
            self.say(self.words("{refusal} Until then the roles before that edit stay active.", refusal=self._refused),
                     error=True)

    def say(self, text: str, *, error: bool = False) -> None:
        """Lines of the program's own in the log."""
        self.log_.say(text, error=error)

    # ---- drawing -------------------------------------------------------------------------------------------------

    def draw(self) -> None:
        """Everything that has words, in the person's language; what was said stays as it was said."""
        self.query_one(Composer).placeholder = self.words("Ask in any language")
        self.call_later(self.log_.redraw)
        self.draw_status()

    def draw_status(self) -> None:
        """The line below: where one is, who answers, the core, and what to press; or the commands one may mean."""
        if (status := self.query_one_optional(Status)) is not None:
            status.draw(self, self.query_one(Composer).text)

    @on(TextArea.Changed)
    def _typing(self) -> None:
        self.draw_status()

    @on(Composer.Completes)
    def _complete(self) -> None:
        composer = self.query_one(Composer)
        found = names.beginning(composer.text, self.words.language)
        if found:
            common = _common(found)
            composer.text = f"/{common}" + (" " if len(found) == 1 else "")
            composer.move_cursor(composer.document.end)


def _common(found: list[str]) -> str:
    """What all of them begin with."""
    first, last = min(found), max(found)
    return first[:next((at for at, letter in enumerate(first) if last[at:at + 1] != letter), len(first))]
