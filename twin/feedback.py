"""Feedback: what a person does with an answer - praise, blame, ask again, write it themselves - and what the twin says
of its roles meanwhile - proposals that wait, a trial that runs, alarms - as every face says it.

All of it is stored by Twin (reflecting.py); here is what the faces share: how the same question is asked once more, and
the words they answer with, in the language of the face (`Twin.language`).
"""
from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from twin import text
from twin.errors import UsageError
from twin.lines import Line
from twin.review import state
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


def rate(twin: Twin, turn: Turn, *, good: bool) -> str:
    """Note a thumb; returns what to tell the person."""
    twin.rate(turn, good)
    return _SAID[twin.language]["good" if good else "bad"]


def edit(twin: Twin, turn: Turn, own: str) -> str:
    """Note the person's own version of an answer; returns what to tell them. UsageError where nothing is different."""
    own = text.clean(own).strip()
    if not own or _shown(own) == _shown(turn.answer):
        raise UsageError("Your version is empty." if not own else "Your version says the same as the answer.",
                         "Change the answer to what you would have wanted.")
    twin.edited(turn, own)
    return _SAID[twin.language]["edited"]


def again(twin: Twin, turn: Turn) -> tuple[Line, str]:
    """A new line that leaves before a turn, set as the line it was on, so that its question can be asked once more; and
    what to tell the person. Ask on it as the turn was asked: `in_role`, and by a council if it was one."""
    on = twin.lines.of(turn.conversation).settings
    line, _ = twin.fork(turn, role=on.role, instruction=on.instruction, sampling=on.sampling, council=on.council)
    twin.again(turn)
    return line, _SAID[twin.language]["again"]


def in_role(twin: Twin, turn: Turn) -> str | None:
    """The role to ask a turn's question in once more: the one that answered. None for a council, which has its own, and
    where that role is no more."""
    return turn.route.role if turn.verdict is None and turn.route.role in twin.role_map.ids else None


def _shown(answer: str) -> str:
    """An answer as a face shows it to be rewritten: an unchanged one is no edit, whatever control characters it has."""
    return text.printable(text.clean(answer)).strip()


# ---- what the twin thinks of its roles -------------------------------------------------------------------------------

_ROLES: dict[str, dict[str, str]] = {
    "en": {"waits": "Proposals that wait for you: {n}. See {see}.",
           "trial": "{said} Take it back: {how}.", "none": "Nothing waits for you. {look} looks for something.",
           "decide": "{decide} has the numbers and how to decide.",
           "back": "{id} is taken back; the role files are as they were before it.",
           "no trial": "Nothing is on trial."},
    "ru": {"waits": "Предложений ждут вас: {n}. Посмотреть: {see}.",
           "trial": "{said} Вернуть как было: {how}.", "none": "Ничего не ждёт вас. {look} поищет.",
           "decide": "Числа и как решить - {decide}.",
           "back": "{id} возвращено; файлы ролей такие, какими были до него.",
           "no trial": "Сейчас ничего не на пробе."},
}
SEE, DECIDE, LOOK = "`twin proposals list`", "`twin proposals show ID`", "`twin reflect`"  # where a face has no other


def news(twin: Twin, how: str, *, see: str = SEE) -> list[str]:
    """A few quiet lines: how many proposals wait and how to `see` them here, the trial that runs and `how` it is ended
    here, alarms. Or none."""
    count = twin.proposals_waiting()
    waits = [_ROLES[twin.language]["waits"].format(n=count, see=see)] if count else []
    return [*waits, *on_trial(twin, how), *_alarms(twin)]


def on_trial(twin: Twin, how: str) -> list[str]:
    """The trial that runs and `how` it is ended here, as a line; none for none."""
    trial, said = twin.trial(), twin.language
    return [_ROLES[said]["trial"].format(said=trial.say(said), how=how)] if trial else []


def no_trial(twin: Twin) -> str:
    """That none runs."""
    return _ROLES[twin.language]["no trial"]


def proposals(twin: Twin, how: str, *, decide: str = DECIDE, look: str = LOOK) -> str:
    """What waits for a decision, a line each, and how to `decide` here, or how to `look` for something; the trial that
    runs and `how` it is ended here, alarms."""
    said = twin.language
    words, found = _ROLES[said], twin.proposals()
    lines = [f"{one.proposal.id}  {state(one.state, said)}: {text.one_line(one.proposal.say(said))}" for one in found]
    last = words["decide"].format(decide=decide) if found else words["none"].format(look=look)
    return "\n".join([*lines, last, *on_trial(twin, how), *_alarms(twin)])


def take_back(twin: Twin, proposal: str = "") -> str:
    """End the trial that runs, or take the proposal of this id back; returns what to tell the person. UsageError where
    none runs."""
    trial = twin.trial()
    if not proposal and trial is None:
        raise UsageError("Nothing is on trial.", "`twin proposals list --all` shows what became of each.")
    name = proposal or (trial.proposal if trial else "")
    twin.rollback(name)
    return _ROLES[twin.language]["back"].format(id=text.one_line(name))


def _alarms(twin: Twin) -> list[str]:
    return [alarm.say(twin.language) for alarm in twin.watch()]
