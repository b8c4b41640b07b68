"""Feedback: what a person does with an answer - praise, blame, ask again, write it themselves - as every face says it.

The signals are stored by Twin (reflecting.py); here is what the faces share: how the same question is asked once more,
and the words they answer with, in the language of the question.
"""
from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from twin import text
from twin.errors import UsageError
from twin.lines import Line
from twin.types import Turn

if TYPE_CHECKING:
    from twin.chat import Twin

Kind = Literal["good", "bad", "again", "edited"]
LABELS: dict[str, dict[Kind, str]] = {
    "en": {"good": "Good", "bad": "Bad", "again": "Again", "edited": "Edit"},
    "ru": {"good": "Хорошо", "bad": "Плохо", "again": "Снова", "edited": "Правка"},
}
"""What the four are called on a button; in lower case, what they are called as commands beside the English ones."""
_SAID: dict[str, dict[Kind, str]] = {
    "en": {"good": "Noted: a good answer.", "bad": "Noted: not a good answer.",
           "again": "Asked again on a new line of thinking; the answer before stays on its own.",
           "edited": "Your version is kept beside the answer; the answer stays what was said."},
    "ru": {"good": "Отмечено: хороший ответ.", "bad": "Отмечено: неудачный ответ.",
           "again": "Вопрос задан снова, на новой линии мысли; прежний ответ остался на своей.",
           "edited": "Ваш вариант сохранён рядом с ответом; сам ответ остаётся таким, каким был сказан."},
}


def language(turn: Turn) -> str:
    """The language to speak of a turn in: that of its question, 'en' or 'ru'."""
    found = text.language(turn.question)
    return found if found in _SAID else "en"


def rate(twin: Twin, turn: Turn, *, good: bool) -> str:
    """Note a thumb; returns what to tell the person."""
    twin.rate(turn, good)
    return _SAID[language(turn)]["good" if good else "bad"]


def edit(twin: Twin, turn: Turn, own: str) -> str:
    """Note the person's own version of an answer; returns what to tell them. UsageError where nothing is different."""
    own = text.clean(own).strip()
    if not own or own == turn.answer.strip():
        raise UsageError("Your version is empty." if not own else "Your version says the same as the answer.",
                         "Change the answer to what you would have wanted.")
    twin.edited(turn, own)
    return _SAID[language(turn)]["edited"]


def again(twin: Twin, turn: Turn) -> tuple[Line, str]:
    """A new line that leaves before a turn, set as the line it was on, so that its question can be asked once more; and
    what to tell the person. Ask on it as the turn was asked: `in_role`, and by a council if it was one."""
    on = twin.lines.of(turn.conversation).settings
    line, _ = twin.fork(turn, role=on.role, instruction=on.instruction, sampling=on.sampling, council=on.council)
    twin.again(turn)
    return line, _SAID[language(turn)]["again"]


def in_role(turn: Turn) -> str | None:
    """The role that a turn's question was asked of by name; None where the router chose."""
    return turn.route.role if turn.route.asked else None


def waiting(twin: Twin) -> str:
    """One quiet line about proposals that wait for a yes or no; '' for none."""
    count = twin.proposals_waiting()
    return f"{count} proposal{' waits' if count == 1 else 's wait'}: twin proposals list" if count else ""
