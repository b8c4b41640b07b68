"""Composer: where a question is typed. One line, which Enter sends; or several, which the button sends.

A browser tells two things of Enter, in this order: that it was pressed, and, where something was typed since the last
time, what stands in the field now. So a press waits a moment for the text that belongs to it.
"""
from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import ipywidgets as widgets

from twin.errors import TwinError
from twin.notebook.base import button, row
from twin.notebook.gate import Gate
from twin.words import Words

TEXT_COMES_S = 0.4


class Composer:
    """The field and its buttons. `send` is called, in whatever thread, when there is something to send."""

    def __init__(self, words: Words, gate: Gate, send: Callable[[], object],
                 failed: Callable[[TwinError], None]) -> None:
        self._words, self._gate, self._send, self._failed = words, gate, send, failed
        self._pressed, self._lock = False, threading.Lock()
        wide = widgets.Layout(width="auto")  # 100% would be more than there is, by the margins
        # Text goes over when the field is left or Enter is pressed: one message, and before that of a click on Send.
        self._line = widgets.Text(placeholder=words("Ask in any language; Enter sends"), continuous_update=False,
                                  layout=wide)
        self._lines = widgets.Textarea(placeholder=words("Ask in any language; the button sends"), rows=5,
                                       continuous_update=False, layout=wide)
        self._line.on_msg(self._told)
        self._line.observe(self._typed, "value")
        self.send = button(words("Send"), self._clicked, icon="paper-plane", primary=True)
        self.stop = button(words("Stop"), gate.stop, icon="stop")
        self.stop.disabled = True
        self._more = widgets.ToggleButton(description="", icon="align-left", tooltip=words("Several lines"),
                                          layout=widgets.Layout(width="3em"))
        self._more.observe(self._switched, "value")
        self._field = widgets.VBox([self._line], layout=wide)
        self.view = widgets.VBox([self._field], layout=wide)
        self.buttons = row([self.send, self.stop, self._more])

    @property
    def field(self) -> widgets.Text | widgets.Textarea:
        """What is typed into now."""
        return self._lines if self._more.value else self._line

    def take(self) -> str:
        """What was typed; the field is empty after it."""
        text = str(self.field.value)
        self.field.value = ""
        return text

    def back(self, text: str) -> None:
        """Put a text that could not be sent back where it was typed, unless something else is typed there by now."""
        if not self.field.value:
            self.field.value = text

    def working(self, on: bool) -> None:
        """Whether an answer is being written: then it can be stopped, and nothing sent."""
        self.send.disabled, self.stop.disabled = on, not on

    def _switched(self, change: Any) -> None:
        old, new = (self._line, self._lines) if change.new else (self._lines, self._line)
        new.value = old.value if change.new else " ".join(old.value.split())
        old.value = ""
        self._field.children = (new,)

    def _clicked(self) -> None:
        self._gate.behind(self._send, self._failed)

    def _told(self, _: Any, content: Any, __: Any) -> None:
        if content.get("event") == "submit":
            self._pressed = True
            self._gate.soon(self._key, self._due, self._failed, seconds=TEXT_COMES_S)

    def _typed(self, change: Any) -> None:
        if self._pressed and change.new:
            self._gate.hold(self._key)
            self._gate.behind(self._due, self._failed)

    def _due(self) -> None:
        with self._lock:
            pressed, self._pressed = self._pressed, False
        if pressed:
            self._send()

    @property
    def _key(self) -> str:
        return f"enter {id(self)}"
