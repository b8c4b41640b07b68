"""Chat: the twin in a notebook cell [only here: ipywidgets]. Drains the events of Twin.stream and draws them.

`widgets.HTML` puts its value into the page as it is, so it holds nothing but what widget_text.py made.
"""
from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any

import ipywidgets as widgets

from twin import feedback
from twin.archive import NOBODY, Correction
from twin.errors import TwinError, UsageError
from twin.lines import TRUNK, Line
from twin.types import (
    Answered,
    Event,
    Failed,
    Hypothesis,
    Interrupted,
    Recalled,
    Routed,
    Thinking,
    Token,
    Turn,
    Verdict,
    Weighed,
)
from twin.widget_text import claims, escaped, memory, weighing, why

if TYPE_CHECKING:
    from twin.chat import Twin

AUTO, COUNCIL = "auto", "council"
_ICONS: dict[feedback.Kind, str] = {"good": "thumbs-up", "bad": "thumbs-down", "again": "refresh", "edited": "pencil"}
ENDS = {"en": "End the trial", "ru": "Закончить пробу"}  # a button
REDRAW_S = 0.15  # between two updates of an answer: a notebook that gets more than about 10 a second falls behind


class Chat:
    """A chat with one twin; the last line of a cell shows it. Every button has a method that does it without clicking:
    `send`, `council`, `correct`, `rate`, `edit`, `again`, `fork`, `line`, `rollback`.

    `turns` holds what was answered here, oldest first. Without widgets the notebook shows the repr, which tells nothing
    of what was said.
    """

    def __init__(self, twin: Twin) -> None:
        self.twin = twin
        self.turns: list[Turn] = []
        self._stop = threading.Event()
        self._free = threading.Lock()
        self._exchanges: dict[str, _Exchange] = {}  # by the id of their turn
        self._told: Exception | None = None  # the error that was drawn last
        self._log = widgets.VBox(layout=widgets.Layout(flex="0 0 auto", width="100%"))
        self._role = widgets.Dropdown(options=[AUTO, *twin.role_map.ids], value=AUTO, description="Role",
                                      layout=widgets.Layout(width="auto"))
        self._where = widgets.Dropdown(options=[(TRUNK, twin.conversation)], description="Line",
                                       layout=widgets.Layout(width="auto", display="none"))
        self._input = widgets.Textarea(placeholder="Ask in any language", rows=3, layout=widgets.Layout(width="auto"))
        self._send = widgets.Button(description="Send", button_style="primary")
        self._halt = widgets.Button(description="Stop", disabled=True)
        self._together = widgets.ToggleButton(description="Council",
                                              tooltip="Several roles answer; what they say is weighed")
        self._news = widgets.VBox()  # of proposals, above everything that is asked
        self._log.children = (self._news,)
        self._draw_news()
        self._send.on_click(self._clicked)
        self._halt.on_click(lambda _: self._stop.set())
        self._where.observe(self._moved, "value")
        # column-reverse keeps the newest line in sight while the answer grows, without JavaScript
        frame = widgets.Box([self._log], layout=widgets.Layout(
            display="flex", flex_flow="column-reverse", max_height="36em", overflow="auto"))
        buttons = widgets.HBox([self._send, self._together, self._halt, self._role, self._where],
                               layout=widgets.Layout(flex_flow="row wrap"))
        self.view = widgets.VBox([frame, self._input, buttons], layout=widgets.Layout(max_width="52em", padding="4px"))

    def __repr__(self) -> str:
        return f"Chat({len(self.turns)} turns; .send('...') asks without clicking)"

    def _repr_mimebundle_(self, **kwargs: Any) -> dict[str, Any]:
        """The widget for notebooks that can show it, the repr for all others."""
        bundle: dict[str, Any] = self.view._repr_mimebundle_(**kwargs)
        return {**bundle, "text/plain": repr(self)}  # that of ipywidgets would spell out the values

    # ---- without clicking --------------------------------------------------------------------------------------

    def send(self, text: str, role: str | None = None) -> Turn:
        """Ask, draw the answer as it comes, wait for it. `role`: instead of the one picked on the screen.

        Raises the error of a turn that failed, and UsageError while another answer is being written.
        """
        with self._answering():
            return self._turn(text, role or self._picked(), council=self._together.value or None)

    def council(self, question: str, members: Iterable[str] = (), *, n: int | None = None,
                control: bool = False) -> Turn:
        """Let several roles answer, as `Twin.council` does, and draw what each said and what it weighed."""
        with self._answering():
            return self._turn(question, self._picked(), council=True, members=members, n=n, control=control)

    def correct(self, role: str, turn: Turn | None = None) -> Correction:
        """Say whom a turn's question was for ('none': for nobody); the last turn without `turn`. The router learns it
        at once."""
        asked = turn or self._last()
        with self._alone():
            said = self.twin.correct(asked, role)
            again = self.twin.route(said.text)
        goes = "nobody in particular" if again.abstained else f"{again.role} ({again.probability:.0%})"
        self._tell(asked, f"Learned: it was for {'nobody' if role == NOBODY else role}. "
                          f"Such a message goes to {goes} now.")
        return said

    def rate(self, good: bool, turn: Turn | None = None) -> None:
        """Say that an answer was good, or that it was not; the last one without `turn`. The last word counts."""
        asked = turn or self._last()
        with self._alone():
            self._tell(asked, feedback.rate(self.twin, asked, good=good))

    def edit(self, text: str, turn: Turn | None = None) -> None:
        """Give your own version of an answer; the last one without `turn`. The answer stays what was said."""
        asked = turn or self._last()
        with self._alone():
            self._tell(asked, feedback.edit(self.twin, asked, text))

    def again(self, turn: Turn | None = None) -> Turn:
        """Ask a turn's question once more, of the same role, on a new line of thinking, which the chat then goes on
        with; the last turn without `turn`."""
        with self._answering():
            asked = turn or self._last()
            line, said = feedback.again(self.twin, asked)
            self._tell(asked, said)
            picked = self._role.value
            self._list_lines(line.id)
            self._role.value = picked
            return self._turn(asked.question, feedback.in_role(self.twin, asked) or self._picked(),
                              council=asked.verdict is not None)

    def rollback(self, proposal: str = "") -> None:
        """End the trial that runs, or take the proposal of this id back."""
        with self._alone():
            self._draw_news(feedback.take_back(self.twin, proposal))

    def fork(self, role: str, turn: Turn | None = None, *, instruction: str = "", name: str = "") -> Turn:
        """Ask a turn's question again in another role, or by a 'council', on a new line of thinking, which the chat
        then goes on with; the last turn without `turn`."""
        with self._answering():
            line, asked = self.twin.fork(turn or self._last(), role=None if role == COUNCIL else role,
                                         council=role == COUNCIL, instruction=instruction, name=name)
            self._list_lines(line.id)
            return self._turn(asked.question, None)

    def line(self, name: str) -> Line:
        """Go on with another line of thinking: its name, its id, or 'trunk'."""
        lines = self.twin.lines.all(self._where.value)
        found = next((line for line in reversed(lines) if name == line.title), None) or self.twin.lines.get(name)
        self._list_lines(found.id)
        return found

    def _draw_news(self, *said: str) -> None:
        """What there is to tell of proposals, and a button that ends a trial."""
        lines = [*said, *feedback.news(self.twin, ENDS[feedback.spoken(self.twin)])]
        drawn = [widgets.HTML(escaped(line, "opacity:.7;font-size:90%")) for line in lines]
        if self.twin.trial():
            button = widgets.Button(description=ENDS[feedback.spoken(self.twin)], icon="undo",
                                    layout=widgets.Layout(width="auto"))
            button.on_click(lambda _: self._behind(self.rollback))
            drawn.append(button)
        self._news.children = tuple(drawn)

    # ---- how it is done ----------------------------------------------------------------------------------------

    @contextmanager
    def _alone(self) -> Iterator[None]:
        if not self._free.acquire(blocking=False):
            raise UsageError("The twin is still answering.", "Wait for it, or press Stop.")
        try:
            yield
        finally:
            self._free.release()

    @contextmanager
    def _answering(self) -> Iterator[None]:
        with self._alone():
            yield
        threading.Thread(target=self._settle, args=(self._where.value,), name="twin-idle", daemon=True).start()

    def _settle(self, conversation: str) -> None:
        """What the answer left unread is read while nobody asks, and the twin reflects when that is due; the next
        question ends it."""
        with suppress(TwinError):  # the same work, and its fault if it has one, comes with the next question
            self.twin.settle(conversation=conversation, cancel=self._free.locked)
            if self.twin.idle(cancel=self._free.locked):
                self._draw_news()

    def _tell(self, turn: Turn, text: str) -> None:
        """A line below what was asked here."""
        if turn.id in self._exchanges:
            self._exchanges[turn.id].say(text)

    def _last(self) -> Turn:
        if not self.turns:
            raise UsageError("Nothing was answered here yet.", "Ask first.")
        return self.turns[-1]

    def _picked(self) -> str | None:
        return None if self._role.value == AUTO else self._role.value

    def _list_lines(self, here: str) -> None:
        """The lines that can be gone on with, `here` chosen; the picker shows when there are any."""
        lines = [line for line in self.twin.lines.all(here) if line.state != "dropped" or line.id == here]
        self._where.options = [(line.title, line.id) for line in lines]
        self._where.value = here
        self._where.layout.display = "" if len(lines) > 1 else "none"

    def _moved(self, _: Any) -> None:
        self._role.value = AUTO  # a line has a role of its own

    def _clicked(self, _: Any) -> None:
        text = self._input.value
        if text.strip() and not self._free.locked():
            self._input.value = ""
            self._behind(lambda: self.send(text))

    def _behind(self, job: Callable[[], object], exchange: _Exchange | None = None) -> None:
        """Do what a click asks in a thread; an error that no turn has drawn is said below the exchange."""
        def work() -> None:
            try:
                job()
            except TwinError as error:
                if exchange and error is not self._told:
                    exchange.say(str(error))

        threading.Thread(target=work, name="twin-chat", daemon=True).start()

    def _turn(self, text: str, role: str | None, **how: Any) -> Turn:
        self._stop.clear()
        chat = self._where.value
        exchange = _Exchange(text, self, "" if self._where.label == TRUNK else self._where.label)
        self._log.children = (*self._log.children, exchange.view)
        self._send.disabled, self._halt.disabled = True, False
        try:
            for event in self.twin.stream(text, role, conversation=chat, cancel=self._stop.is_set, **how):
                if isinstance(event, Answered | Interrupted):
                    self.turns.append(event.turn)
                    self._exchanges[event.turn.id] = exchange
                exchange.take(event)
                if isinstance(event, Failed):
                    self._told = event.error
                    raise event.error
                if isinstance(event, Answered | Interrupted):
                    return event.turn
        finally:
            self._send.disabled, self._halt.disabled = False, True
        raise TwinError("The turn ended without an answer.", "Ask again.")


class _Exchange:
    """A question and what comes of it, as one column of widgets."""

    def __init__(self, question: str, chat: Chat, line: str) -> None:
        self._chat = chat
        self._route = widgets.HTML()
        self._council = widgets.VBox()
        self._answer = widgets.HTML(escaped("reading …", "opacity:.6"))
        self._after = widgets.VBox()
        self._remark = widgets.HTML()
        self._line = f"line {line} · " if line else ""
        self._said = ""
        self._drawn = 0.0
        self._memories: list[Recalled] = []
        self._heard: list[Hypothesis] = []
        asked = widgets.HTML(escaped(question, "font-weight:600;border-left:3px solid #4a90d9;padding-left:.6em"))
        self.view = widgets.VBox([asked, self._route, self._council, self._answer, self._after, self._remark],
                                 layout=widgets.Layout(margin="0 0 1em 0"))

    def take(self, event: Event) -> None:
        """Draw one event of the turn."""
        match event:
            case Routed(route):
                self._route.value = escaped(f"{self._line}{why(route)}", "opacity:.7;font-size:90%")
            case Recalled():
                self._memories.append(event)
            case Hypothesis():
                self._heard.append(event)
                self._council.children = (widgets.HTML(claims(self._heard)),)
            case Weighed(verdict):
                self._weigh(verdict)
            case Thinking() if not self._said:
                self._write("thinking …", "opacity:.6")
            case Token(text):
                self._said += text
                self._write(self._said)
            case Answered(turn) | Interrupted(turn):
                self._drawn = 0.0
                self._write(turn.answer)
                self._finish(turn)
            case Failed(error):
                self._answer.value = escaped(self._said) if self._said else ""
                said = escaped(str(error), "border-left:3px solid #d9534f;padding-left:.6em")
                self._after.children = (widgets.HTML(said),)

    def say(self, text: str) -> None:
        """A line of the program's own below everything else."""
        self._remark.value = escaped(text, "font-style:italic;font-size:90%")

    def _did(self, job: Callable[[], object]) -> None:
        """Do what a click asks, at once; an error is said."""
        try:
            job()
        except TwinError as error:
            self.say(str(error))

    def _weigh(self, verdict: Verdict) -> None:
        """The opinions stand for the hypotheses now, which are folded away."""
        folded = widgets.Accordion([widgets.HTML(claims(verdict.hypotheses))], selected_index=None,
                                   titles=(f"Hypotheses: {len(verdict.hypotheses)}",))
        self._council.children = (widgets.HTML(weighing(verdict)), folded)

    def _signals(self, turn: Turn) -> widgets.Widget:
        """Good, bad, again, and one's own version of the answer."""
        labels = feedback.LABELS[feedback.language(turn)]
        small = widgets.Layout(width="auto")
        good, bad, again, edit = (widgets.Button(description=labels[kind], icon=icon, layout=small)
                                  for kind, icon in _ICONS.items())
        field = widgets.VBox()

        def opened(_: Any) -> None:
            field.children = () if field.children else self._field(turn)

        good.on_click(lambda _: self._did(lambda: self._chat.rate(True, turn)))
        bad.on_click(lambda _: self._did(lambda: self._chat.rate(False, turn)))
        again.on_click(lambda _: self._chat._behind(lambda: self._chat.again(turn), self))
        edit.on_click(opened)
        return widgets.VBox([widgets.HBox([good, bad, again, edit]), field])

    def _field(self, turn: Turn) -> tuple[widgets.Widget, ...]:
        """Where an answer is rewritten."""
        own = widgets.Textarea(turn.answer, rows=6, layout=widgets.Layout(width="auto"))
        keep = widgets.Button(description="OK", layout=widgets.Layout(width="auto"))
        keep.on_click(lambda _: self._did(lambda: self._chat.edit(own.value, turn)))
        return own, keep

    def _offers(self, turn: Turn) -> widgets.Widget:
        """Whom it was for, and the same question again: each is done when it is chosen."""
        ids = self._chat.twin.role_map.ids
        layout = widgets.Layout(width="11em")
        was = widgets.Dropdown(options=[("This was for …", ""), *((name, name) for name in ids), ("nobody", NOBODY)],
                               layout=layout)
        again = widgets.Dropdown(options=[("Fork as …", ""), *((name, name) for name in ids), (COUNCIL, COUNCIL)],
                                 layout=layout)

        def corrected(change: Any) -> None:
            if change.new:
                self._did(lambda: self._chat.correct(change.new, turn))

        def forked(change: Any) -> None:
            if change.new:
                again.value = ""
                self._chat._behind(lambda: self._chat.fork(change.new, turn), self)

        was.observe(corrected, "value")
        again.observe(forked, "value")
        return widgets.HBox([was, again])

    def _write(self, text: str, style: str = "") -> None:
        """One trait, a few times a second; the last state always arrives, for `_drawn` is reset before it."""
        if time.monotonic() - self._drawn >= REDRAW_S:
            self._answer.value = escaped(text, style)
            self._drawn = time.monotonic()

    def _finish(self, turn: Turn) -> None:
        notes = [f"left out, the context is full: {dropped}" for dropped in turn.dropped]
        if turn.status == "interrupted":
            notes.append("stopped; what was written is kept")
        elif not turn.answer:
            notes.append("The core ended without a word. Ask again, or in other words.")
        notes.append(f"{turn.model} · {turn.usage.prompt_tokens:,} tokens read, {turn.usage.generated:,} written, "
                     f"{turn.usage.total_s:.1f} s")
        notes += self._chat.twin.notes
        if refusal := self._chat.twin.role_book.refusal:
            notes.append(f"{refusal.what} Correct it; until then the roles before that edit stay active.")
        if turn.verdict and turn.verdict.opinions:
            self._weigh(turn.verdict)  # with all its tokens and seconds, and the control where one was asked
        after = [widgets.HTML(escaped("\n".join(notes), "opacity:.6;font-size:85%")), self._signals(turn),
                 self._offers(turn)]
        if self._memories:
            lines = widgets.VBox([widgets.HTML(escaped(memory(number, each, number in turn.cited)))
                                  for number, each in enumerate(self._memories, 1)])
            after.append(widgets.Accordion([lines], selected_index=None,
                                           titles=(f"Memories it saw: {len(self._memories)}",)))
        self._after.children = tuple(after)
