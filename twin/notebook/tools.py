"""Tools: what a person does with an answer: good or not, again, their own version, whom it was for, another role."""
from __future__ import annotations

from typing import TYPE_CHECKING, Any

import ipywidgets as widgets

from twin.archive import NOBODY
from twin.notebook.base import button, row
from twin.types import Turn

if TYPE_CHECKING:
    from twin.notebook.chat import Chat
    from twin.notebook.exchange import Exchange

COUNCIL = "council"


class Tools:
    """The row below an answer; each click does what a method of the chat does."""

    def __init__(self, chat: Chat, exchange: Exchange, turn: Turn) -> None:
        self._chat, self._exchange, self._turn = chat, exchange, turn
        self._own: widgets.Textarea | None = None
        words = chat.words
        self._field = widgets.VBox()
        self.view = widgets.VBox([row([
            button(words("Good"), lambda: self._do(lambda: chat.rate(True, turn)), icon="thumbs-up"),
            button(words("Bad"), lambda: self._do(lambda: chat.rate(False, turn)), icon="thumbs-down"),
            button(words("Again"), lambda: self._do(lambda: chat.again(turn)), icon="refresh"),
            button(words("Edit"), self._edit, icon="pencil"),
            self._choice(words("This was for …"), (words("nobody"), NOBODY), self._corrected),
            self._choice(words("Fork as …"), (words("Council"), COUNCIL), self._forked),
        ]), self._field])

    @property
    def writing(self) -> bool:
        """Whether the person's own version of the answer is being written here."""
        return bool(self._field.children)

    def _choice(self, label: str, last: tuple[str, str], do: Any) -> widgets.Dropdown:
        """All roles to choose from; each choice is done when it is made."""
        made = widgets.Dropdown(options=[(label, ""), *self._chat.roles(), last], layout=widgets.Layout(width="12em"))
        made.observe(lambda change: do(made, change.new) if change.new else None, "value")
        return made

    def _corrected(self, _: widgets.Dropdown, role: str) -> None:
        self._do(lambda: self._chat.correct(role, self._turn))

    def _forked(self, offer: widgets.Dropdown, role: str) -> None:
        offer.value = ""
        self._do(lambda: self._chat.fork(role, self._turn))

    def _edit(self) -> None:
        """Open the field where an answer is rewritten, or put it away."""
        if self._field.children:
            self._field.children = ()
            return
        if self._own is None:
            self._own = widgets.Textarea(self._turn.answer, rows=6, layout=widgets.Layout(width="100%"))
            own = self._own
            self._keep = button(self._chat.words("Keep"), lambda: self._do(
                lambda: self._chat.edit(str(own.value), self._turn)), icon="check")
        self._field.children = (self._own, self._keep)

    def _do(self, job: Any) -> None:
        """Do what a click asks in a thread; an error that no turn has drawn is said below the exchange."""
        self._chat.gate.behind(job, lambda error: self._chat.below(self._exchange, error))
