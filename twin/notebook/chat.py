"""Chat: the twin in a notebook cell. Drains the events of Twin.stream and draws them."""
from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import ipywidgets as widgets

from twin import feedback
from twin.archive import NOBODY, Correction
from twin.errors import TwinError, UsageError
from twin.lines import Line
from twin.notebook.base import Face, button, failure, gone, line, row
from twin.notebook.composer import Composer
from twin.notebook.exchange import Exchange
from twin.notebook.html import FAINT, escaped
from twin.notebook.log import Log
from twin.notebook.places import Places
from twin.notebook.telling import telling
from twin.notebook.tools import COUNCIL
from twin.notebook.voice import Voice
from twin.types import Answered, Failed, Interrupted, Turn

if TYPE_CHECKING:
    from twin.chat import Twin

AUTO = "auto"


class Chat(Face):
    """A chat with one twin; the last line of a cell shows it. Every button has a method that does it without clicking:
    `send`, `stop`, `council`, `correct`, `rate`, `edit`, `again`, `fork`, `line`, `tune`, `rollback`, `open`, `new`.

    `turns` holds those of the conversation that is open, oldest first. Without widgets the notebook shows the repr,
    which tells nothing of what was said.
    """

    def __init__(self, twin: Twin) -> None:
        super().__init__(twin)
        self.telling = telling(twin)
        self.turns: list[Turn] = []
        self._told: Exception | None = None  # the error that was drawn last
        self._log = Log(self.words, lambda turn: Exchange.past(turn, self))
        self._places = Places(self, self._picked_talk, self._moved)
        self._composer = Composer(self.words, self.gate, self._typed, self._failed)
        self._voice = Voice(self)
        self._role = widgets.Dropdown(options=[(self.words("auto"), AUTO), *self.roles()], value=AUTO,
                                      description=self.words("Role"), style={"description_width": "initial"},
                                      layout=widgets.Layout(width="16em"))
        self._role.observe(lambda _: self._voice.show(self._role.value), "value")
        self._together = widgets.ToggleButton(description=self.words("Council"), icon="users",
                                              tooltip=self.words("Several roles answer; what they say is weighed"),
                                              layout=widgets.Layout(width="auto"))
        self._news = widgets.VBox()  # of proposals, above everything that is asked
        self._status = line()
        self._lay()
        self._go_on(twin.conversation, twin.lines.history(twin.conversation))
        self._draw_news()

    def __repr__(self) -> str:
        return f"Chat({len(self.turns)} turns; .send('...') asks without clicking)"

    def _lay(self) -> None:
        new = button(self.words("New"), lambda: self._behind(self.new), icon="plus",
                     tooltip=self.words("Begin a new conversation"))
        self._composer.buttons.children += (self._together, self._role, self._voice.view)
        self.view = widgets.VBox(
            [row([self._places.view, new]), self._news, self._log.view, self._composer.view, self._composer.buttons,
             self._status], layout=widgets.Layout(max_width="56em", padding="4px"))

    # ---- without clicking: a question ----------------------------------------------------------------------------

    def send(self, text: str, role: str | None = None) -> Turn:
        """Ask, draw the answer as it comes, wait for it. `role`: instead of the one picked on the screen.

        Raises the error of a turn that failed, and UsageError while the twin is at work.
        """
        with self._answering():
            return self._turn(text, role or self._picked(), council=self._together.value or None)

    def council(self, question: str, members: Iterable[str] = (), *, n: int | None = None,
                control: bool = False) -> Turn:
        """Let several roles answer, as `Twin.council` does, and draw what each said and what it weighed."""
        with self._answering():
            return self._turn(question, self._picked(), council=True, members=members, n=n, control=control)

    def stop(self) -> None:
        """End the answer that is being written; what was written is kept."""
        self.gate.stop()

    def again(self, turn: Turn | None = None) -> Turn:
        """Ask a turn's question once more, of the same role, on a new line of thinking, which the chat then goes on
        with; the last turn without `turn`."""
        with self._answering():
            asked = turn or self._last()
            on, said = feedback.again(self.twin, asked)
            self._tell(asked, said)
            self._places.show(on.id)
            return self._turn(asked.question, feedback.in_role(self.twin, asked) or self._picked(),
                              council=asked.verdict is not None)

    def fork(self, role: str, turn: Turn | None = None, *, instruction: str = "", name: str = "") -> Turn:
        """Ask a turn's question again in another role, or by a 'council', on a new line of thinking, which the chat
        then goes on with; the last turn without `turn`."""
        with self._answering():
            on, asked = self.twin.fork(turn or self._last(), role=None if role == COUNCIL else role,
                                       council=role == COUNCIL, instruction=instruction, name=name)
            self._places.show(on.id)
            self._role.value = AUTO  # a line has a role of its own
            return self._turn(asked.question, None)

    # ---- without clicking: an answer -----------------------------------------------------------------------------

    def correct(self, role: str, turn: Turn | None = None) -> Correction:
        """Say whom a turn's question was for ('none': for nobody); the last turn without `turn`. The router learns it
        at once."""
        asked = turn or self._last()
        with self.gate.alone():
            said = self.twin.correct(asked, role)
            again = self.twin.route(said.text)
        words, nobody = self.words, self.words("nobody")
        goes = nobody if again.abstained else f"{self.telling.title(again.role)} ({again.probability:.0%})"
        self._tell(asked, words("Learned: it was for {role}. Such a message goes to {now} now.",
                                role=nobody if role == NOBODY else self.telling.title(role), now=goes))
        return said

    def rate(self, good: bool, turn: Turn | None = None) -> None:
        """Say that an answer was good, or that it was not; the last one without `turn`. The last word counts."""
        asked = turn or self._last()
        with self.gate.alone():
            self._tell(asked, feedback.rate(self.twin, asked, good=good))

    def edit(self, text: str, turn: Turn | None = None) -> None:
        """Give your own version of an answer; the last one without `turn`. The answer stays what was said."""
        asked = turn or self._last()
        with self.gate.alone():
            self._tell(asked, feedback.edit(self.twin, asked, text))

    # ---- without clicking: where and how -------------------------------------------------------------------------

    def open(self, conversation: str) -> None:
        """Go on with a conversation of `Twin.talks`, or a line of one: its id or the beginning of it."""
        with self.gate.alone():
            turns = self.twin.resume(conversation)
            self._go_on(self.twin.conversation, turns)

    def new(self) -> None:
        """Begin a new conversation; the one before stays in the list."""
        with self.gate.alone():
            self._go_on(self.twin.new(), [])

    def line(self, name: str) -> Line:
        """Go on with another line of thinking: its name, its id, or 'trunk'."""
        lines = self.twin.lines.all(self._places.here)
        found = next((one for one in reversed(lines) if name == one.title), None)
        if found is None:
            found = self.twin.lines.get(name)
        self._places.show(found.id)
        self._role.value = AUTO  # a line has a role of its own
        return found

    def tune(self, scale: float, role: str = "") -> None:
        """How strongly the adapter of a role acts, 0 to 1.5; of the picked one, or of the one that answered last."""
        meant = role or self._picked() or self._last().route.role
        with self.gate.alone():
            self.twin.tune(meant, scale=scale)
        self._voice.show(meant)

    def rollback(self, proposal: str = "") -> None:
        """End the trial that runs, or take the proposal of this id back."""
        with self.gate.alone():
            self._draw_news(feedback.take_back(self.twin, proposal))

    # ---- what the parts ask for ----------------------------------------------------------------------------------

    def roles(self) -> list[tuple[str, str]]:
        """What the roles are called, with their ids."""
        return [(self.telling.title(one.id), one.id) for one in self.twin.role_map.roles]

    def tell(self, text: str) -> None:
        """A line of the program's own below the field; '' takes it away."""
        self._status.value = escaped(text, FAINT) if text else ""

    def below(self, exchange: Exchange, error: TwinError) -> None:
        """Say an error below an exchange, unless a turn has drawn it."""
        if error is not self._told:
            exchange.say(self.said(error))

    # ---- how it is done ------------------------------------------------------------------------------------------

    @contextmanager
    def _answering(self) -> Iterator[None]:
        with self.gate.alone(stoppable=True):
            self.tell("")
            self._composer.working(True)
            try:
                self._voice.settle()
                yield
            finally:
                self._composer.working(False)
        self.gate.idle(self.twin, self._places.here, self._draw_news)

    def _turn(self, text: str, role: str | None, **how: Any) -> Turn:
        chat = self._places.here
        exchange = Exchange(text, self, self._places.line)
        self._log.add(exchange)
        for event in self.twin.stream(text, role, conversation=chat, cancel=self.gate.stopping, **how):
            exchange.take(event)
            if isinstance(event, Failed):
                self._told = event.error
                raise event.error
            if isinstance(event, Answered | Interrupted):
                self._answered(event.turn, chat)
                return event.turn
        raise TwinError("The turn ended without an answer.", "Ask again.")

    def _answered(self, turn: Turn, chat: str) -> None:
        self.turns.append(turn)
        if len(self.turns) == 1:
            self._places.show(chat)  # by now it has a title
        if self._picked() is None:
            self._voice.show(turn.route.role)

    def _go_on(self, conversation: str, turns: list[Turn]) -> None:
        """Show a conversation and go on with it."""
        self.turns = list(turns)
        self._places.show(conversation)
        self._log.show(turns)
        self._role.value = AUTO
        self._voice.show(turns[-1].route.role if turns else "")

    def _draw_news(self, *said: str) -> None:
        """What there is to tell of proposals, and a button that ends a trial."""
        ends = self.words("End the trial")
        drawn: list[widgets.Widget] = [line(one, FAINT) for one in [*said, *feedback.news(self.twin, ends)]]
        if self.twin.trial():
            drawn.append(button(ends, lambda: self._behind(self.rollback), icon="undo"))
        old, self._news.children = self._news.children, tuple(drawn)
        gone(*old)

    def _tell(self, turn: Turn, text: str) -> None:
        """A line below what was asked here."""
        if found := self._log.of(turn):
            found.say(text)

    def _last(self) -> Turn:
        if not self.turns:
            raise UsageError("Nothing was answered here yet.", "Ask first.")
        return self.turns[-1]

    def _picked(self) -> str | None:
        return None if self._role.value == AUTO else str(self._role.value)

    def _picked_talk(self, conversation: str) -> None:
        def failed(error: TwinError) -> None:
            self._places.show(self._places.here)  # the picker says where one is
            self._failed(error)

        self.tell("")
        self.gate.behind(lambda: self.open(conversation), failed)

    def _moved(self, _: str) -> None:
        self._role.value = AUTO  # a line has a role of its own

    def _typed(self) -> None:
        """Ask what was typed. The field is empty at once, so that nobody loses what they type next; where the twin is
        at work the text goes back."""
        text, entered = self._composer.take(), False
        if not text.strip():
            return
        try:
            with self._answering():
                entered = True
                self._turn(text, self._picked(), council=self._together.value or None)
        finally:
            if not entered:
                self._composer.back(text)

    def _behind(self, job: Callable[[], object]) -> None:
        """Do what a click asks in a thread; its error is said below the field."""
        self.tell("")
        self.gate.behind(job, self._failed)

    def _failed(self, error: TwinError) -> None:
        if error is not self._told:
            self._status.value = failure(self.said(error))
