"""The field a question is typed into."""
from __future__ import annotations

from textual.events import Key
from textual.message import Message
from textual.widgets import TextArea

_KEPT = 200  # questions that can be fetched back


class Composer(TextArea):
    """Where the person writes: Enter sends, Ctrl+J, Shift+Enter and Alt+Enter break the line. In an empty field Up
    brings back what was sent before; Tab asks to complete a command."""

    class Sent(Message):
        """The person pressed Enter."""

        def __init__(self, text: str) -> None:
            super().__init__()
            self.text = text

    class Completes(Message):
        """The person pressed Tab behind a slash and a few letters."""

    def __init__(self, text: str = "", *, placeholder: str = "") -> None:
        super().__init__(text, placeholder=placeholder)
        self._sent: list[str] = []
        self._at = 0  # how far back one is in what was sent; 0 is what is being written

    def remember(self, text: str) -> None:
        """A text was sent."""
        self._sent = [*(one for one in self._sent if one != text), text][-_KEPT:]
        self._at = 0

    def _on_key(self, event: Key) -> None:  # type: ignore[override]  # textual awaits what is awaitable
        if event.key == "enter":
            self.post_message(self.Sent(self.text))
        elif event.key in ("ctrl+j", "shift+enter", "alt+enter"):
            self.insert("\n")
        elif event.key == "tab" and self.text.startswith("/"):
            self.post_message(self.Completes())
        elif not (event.key in ("up", "down") and self._leafs(back=event.key == "up")):
            if event.is_printable or event.key == "backspace":
                self._at = 0
            return
        event.stop()
        event.prevent_default()

    def _leafs(self, *, back: bool) -> bool:
        """Go through what was sent, where nothing of one's own stands in the field; whether it did."""
        at = self._at + (1 if back else -1)
        if (self.text and not self._at) or not 0 <= at <= len(self._sent):
            return False
        self._at = at
        self.text = self._sent[-at] if at else ""
        self.move_cursor(self.document.end)
        return True
