"""Chat: the twin in a notebook cell [only here: ipywidgets]. Drains the events of Twin.stream and draws them.

`widgets.HTML` puts its value into the page as it is, so every text that a person, a core or a file wrote goes through
`_text`, which escapes all of it; the only tags on the page are the ones in this file.
"""
from __future__ import annotations

import html
import threading
import time
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import ipywidgets as widgets

from twin.errors import TwinError, UsageError
from twin.text import clean, printable
from twin.types import Answered, Event, Failed, Interrupted, Recalled, Route, Routed, Thinking, Token, Turn

if TYPE_CHECKING:
    from twin.chat import Twin

AUTO = "auto"
REDRAW_S = 0.15  # between two updates of an answer: a notebook that gets more than about 10 a second falls behind


class Chat:
    """A chat with one twin; the last line of a cell shows it. `send` does what the Send button does, without clicking.

    `turns` holds what was answered here, oldest first. Without widgets the notebook shows the repr, which tells nothing
    of what was said.
    """

    def __init__(self, twin: Twin) -> None:
        self.twin = twin
        self.turns: list[Turn] = []
        self._stop = threading.Event()
        self._free = threading.Lock()
        self._log = widgets.VBox(layout=widgets.Layout(flex="0 0 auto", width="100%"))
        self._role = widgets.Dropdown(options=[AUTO, *twin.role_map.ids], value=AUTO, description="Role",
                                      layout=widgets.Layout(width="auto"))
        self._input = widgets.Textarea(placeholder="Ask in any language", rows=3, layout=widgets.Layout(width="auto"))
        self._send = widgets.Button(description="Send", button_style="primary")
        self._halt = widgets.Button(description="Stop", disabled=True)
        self._send.on_click(self._clicked)
        self._halt.on_click(lambda _: self._stop.set())
        # column-reverse keeps the newest line in sight while the answer grows, without JavaScript
        frame = widgets.Box([self._log], layout=widgets.Layout(
            display="flex", flex_flow="column-reverse", max_height="36em", overflow="auto"))
        self.view = widgets.VBox([frame, self._input, widgets.HBox([self._send, self._halt, self._role])],
                                 layout=widgets.Layout(max_width="52em", padding="4px"))

    def __repr__(self) -> str:
        return f"Chat({len(self.turns)} turns; .send('...') asks without clicking)"

    def _repr_mimebundle_(self, **kwargs: Any) -> dict[str, Any]:
        """The widget for notebooks that can show it, the repr for all others."""
        bundle: dict[str, Any] = self.view._repr_mimebundle_(**kwargs)
        return {**bundle, "text/plain": repr(self)}  # that of ipywidgets would spell out the values

    def send(self, text: str, role: str | None = None) -> Turn:
        """Ask, draw the answer as it comes, wait for it. `role`: instead of the one picked on the screen.

        Raises the error of a turn that failed, and UsageError while another answer is being written.
        """
        if not self._free.acquire(blocking=False):
            raise UsageError("The twin is still answering.", "Wait for it, or press Stop.")
        try:
            return self._turn(text, role or (None if self._role.value == AUTO else self._role.value))
        finally:
            self._free.release()
            threading.Thread(target=self._settle, name="twin-idle", daemon=True).start()

    def _settle(self) -> None:
        """What the answer left unread is read while nobody asks; the next question ends it."""
        with suppress(TwinError):  # the same work, and its fault if it has one, comes with the next question
            self.twin.settle(cancel=self._free.locked)

    def _clicked(self, _: Any) -> None:
        text = self._input.value
        if text.strip() and not self._free.locked():
            self._input.value = ""
            threading.Thread(target=self._send_from_screen, args=(text,), name="twin-chat", daemon=True).start()

    def _send_from_screen(self, text: str) -> None:
        try:
            self.send(text)
        except TwinError:  # drawn already, with its next step
            return

    def _turn(self, text: str, role: str | None) -> Turn:
        self._stop.clear()
        exchange = _Exchange(text, self.twin)
        self._log.children = (*self._log.children, exchange.view)
        self._send.disabled, self._halt.disabled = True, False
        try:
            for event in self.twin.stream(text, role, cancel=self._stop.is_set):
                exchange.take(event)
                if isinstance(event, Failed):
                    raise event.error
                if isinstance(event, Answered | Interrupted):
                    self.turns.append(event.turn)
                    return event.turn
        finally:
            self._send.disabled, self._halt.disabled = False, True
        raise TwinError("The turn ended without an answer.", "Ask again.")


class _Exchange:
    """A question and what comes of it, as one column of widgets."""

    def __init__(self, question: str, twin: Twin) -> None:
        self._twin = twin
        self._route = widgets.HTML()
        self._answer = widgets.HTML(_text("reading …", "opacity:.6"))
        self._after = widgets.VBox()
        self._said = ""
        self._drawn = 0.0
        self._memories: list[Recalled] = []
        asked = widgets.HTML(_text(question, "font-weight:600;border-left:3px solid #4a90d9;padding-left:.6em"))
        self.view = widgets.VBox([asked, self._route, self._answer, self._after],
                                 layout=widgets.Layout(margin="0 0 1em 0"))

    def take(self, event: Event) -> None:
        """Draw one event of the turn."""
        match event:
            case Routed(route):
                self._route.value = _text(_why(route), "opacity:.7;font-size:90%")
            case Recalled():
                self._memories.append(event)
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
                self._answer.value = _text(self._said) if self._said else ""
                said = _text(str(error), "border-left:3px solid #d9534f;padding-left:.6em")
                self._after.children = (widgets.HTML(said),)

    def _write(self, text: str, style: str = "") -> None:
        """One trait, a few times a second; the last state always arrives, for `_drawn` is reset before it."""
        if time.monotonic() - self._drawn >= REDRAW_S:
            self._answer.value = _text(text, style)
            self._drawn = time.monotonic()

    def _finish(self, turn: Turn) -> None:
        notes = [f"left out, the context is full: {dropped}" for dropped in turn.dropped]
        if turn.status == "interrupted":
            notes.append("stopped; what was written is kept")
        elif not turn.answer:
            notes.append("The core ended without a word. Ask again, or in other words.")
        notes.append(f"{turn.model} · {turn.usage.prompt_tokens:,} tokens read, {turn.usage.generated:,} written, "
                     f"{turn.usage.total_s:.1f} s")
        notes += self._twin.notes
        after = [widgets.HTML(_text("\n".join(notes), "opacity:.6;font-size:85%"))]
        if self._memories:
            lines = widgets.VBox([widgets.HTML(_text(_memory(number, each, number in turn.cited)))
                                  for number, each in enumerate(self._memories, 1)])
            after.append(widgets.Accordion([lines], selected_index=None,
                                           titles=(f"Memories it saw: {len(self._memories)}",)))
        self._after.children = tuple(after)


def _text(text: str, style: str = "") -> str:
    """HTML of a text from outside: all of it escaped, lines kept, its direction of writing shut in."""
    return (f'<div dir="auto" style="white-space:pre-wrap;overflow-wrap:anywhere;unicode-bidi:isolate;line-height:1.5;'
            f'{style}">{html.escape(printable(clean(text)))}</div>')


def _why(route: Route) -> str:
    sure = "asked for" if route.asked else f"{route.probability:.0%}"
    return f"{route.role} · {sure} · {route.reason}"


def _memory(number: int, memory: Recalled, cited: bool) -> str:
    day = f"{memory.time:%Y-%m-%d} " if memory.time else ""
    origin = f"{memory.why}; message {', '.join(memory.message_ids)}"
    return f"[{number}] {day}{'(used) ' if cited else ''}{memory.text}\n{origin}"
