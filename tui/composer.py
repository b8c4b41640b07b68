"""The field a question is typed into."""
from __future__ import annotations

from textual.events import Key
from textual.message import Message
from textual.widgets import TextArea


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
