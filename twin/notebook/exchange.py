"""Exchange: a question and what comes of it, as one column of widgets."""
from __future__ import annotations

from typing import TYPE_CHECKING

import ipywidgets as widgets

from twin.notebook.base import button, failure, gone
from twin.notebook.html import ACCENT, Html, escaped, joined
from twin.notebook.markdown import markdown
from twin.notebook.pace import Pace
from twin.notebook.telling import state
from twin.notebook.tools import Tools
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
    Weighed,
)

if TYPE_CHECKING:
    from twin.notebook.chat import Chat

_ASKED = f"font-weight:600;border-left:3px solid {ACCENT};padding-left:.6em"


class Exchange:
    """`turn` is there when it is over. While an answer is written only one trait changes, the HTML of the answer."""

    def __init__(self, question: str, chat: Chat, line: str = "") -> None:
        self.turn: Turn | None = None
        self._chat, self._line, self._told = chat, line, chat.telling
        self._asked = escaped(question, _ASKED)
        self._said = self._thought = ""
        self._memories: list[Recalled] = []
        self._heard: list[Hypothesis] = []
        self._head = widgets.HTML(self._asked)
        self._council = widgets.HTML()
        self._answer = widgets.HTML(self._told.waiting(self._told.words("reading")))
        self._foot = widgets.HTML()
        self._below = widgets.VBox()
        self._remark = widgets.HTML()
        self._tools: Tools | None = None
        self.view = widgets.VBox([self._head, self._answer, self._foot, self._below],
                                 layout=widgets.Layout(margin="0 0 1em 0", width="100%"))
        self._pace = Pace(lambda value: setattr(self._answer, "value", value))

    @classmethod
    def past(cls, turn: Turn, chat: Chat, line: str = "") -> Exchange:
        """A turn that is over, as it was drawn when it came."""
        made = cls(turn.question, chat, line)
        made._end(turn)
        made.rest()
        return made

    def take(self, event: Event) -> None:
        """Draw one event of the turn."""
        match event:
            case Routed(route):
                self._head.value = joined([self._asked, self._told.head(route, line=self._line)])
            case Recalled():
                self._memories.append(event)
            case Hypothesis():
                self._heard.append(event)
                self._weighed(self._told.claims(self._heard))
            case Weighed(verdict):
                self._weighed(self._told.weighing(verdict))
            case Thinking(text):
                self._thought += text
                if not self._said:
                    self._pace(lambda: self._told.waiting(self._told.words("thinking")))
            case Token(text):
                self._said += text
                self._pace(lambda: markdown(self._said))
            case Answered(turn) | Interrupted(turn):
                self._end(turn)
                self.open()
            case Failed(error):
                self._pace.last(markdown(self._said) if self._said else Html(""))
                self._foot.value = joined([failure(self._chat.said(error)), self._told.memories(self._memories),
                                           self._told.thoughts(self._thought)])

    def say(self, text: str) -> None:
        """A line of the program's own below everything else."""
        self._remark.value = escaped(text, "font-style:italic;font-size:90%")
        self._lay()

    def open(self) -> None:
        """Show what can be done with the answer."""
        if self.turn and self._tools is None:
            self._tools = Tools(self._chat, self, self.turn)
            self._lay()

    def rest(self) -> None:
        """Put that away behind one small button, unless something is being written there."""
        if self._tools is None or not self._tools.writing:
            self._tools = None
            self._lay()

    def _weighed(self, drawn: Html) -> None:
        self._council.value = drawn
        if self._council not in self.view.children:
            self.view.children = (self._head, self._council, *self.view.children[1:])

    def _end(self, turn: Turn) -> None:
        self.turn = turn
        council = turn.verdict is not None
        self._head.value = joined([self._asked, self._told.head(turn.route, council=council, line=self._line)])
        if turn.verdict and turn.verdict.opinions:
            self._weighed(self._told.weighing(turn.verdict))  # with all its tokens, and the control where one was asked
        self._pace.last(markdown(turn.answer) if turn.answer else Html(""))
        self._foot.value = self._told.foot(turn, state(self._chat.twin, self._told.words.language))

    def _lay(self) -> None:
        """Tools or the button that brings them, and the remark."""
        old = [one for one in self._below.children if one is not self._remark]
        new: list[widgets.Widget] = []
        if self._tools is not None:
            new.append(self._tools.view)
        elif self.turn:
            tooltip = self._told.words("What to do with this answer")
            more = button("", self.open, icon="ellipsis-h", tooltip=tooltip)
            more.layout.align_self = "flex-start"  # a column makes its children as wide as itself
            new.append(more)
        self._below.children = (*new, *([self._remark] if self._remark.value else []))
        gone(*(one for one in old if one not in new))


