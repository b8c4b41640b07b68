"""What slash commands are called: each has an English name and a Russian one, and both work in either language."""
from __future__ import annotations

from typing import TYPE_CHECKING

from twin.words import Words

if TYPE_CHECKING:
    from twin.lines import Line

RUSSIAN = {
    "role": "роль", "for": "для", "why": "почему", "prompt": "промпт", "council": "совет", "fork": "ветка",
    "lines": "линии", "line": "линия", "compare": "сравнить", "name": "имя", "keep": "оставить", "drop": "убрать",
    "good": "хорошо", "bad": "плохо", "again": "снова", "edit": "правка", "copy": "копия", "evidence": "основания",
    "remember": "запомнить", "forget": "забыть", "proposals": "предложения", "trial": "проба", "rollback": "вернуть",
    "model": "модель", "cores": "ядра", "import": "импорт", "profile": "профиль", "roles": "роли",
    "export": "экспорт", "claims": "утверждения", "chats": "беседы", "new": "новая", "settings": "настройки",
    "first": "начало", "help": "помощь", "quit": "выход",
}
TRUNK_RU = "ствол"  # what a conversation begins as
ENGLISH = {russian: name for name, russian in RUSSIAN.items()}


def canonical(name: str) -> str:
    """The English name of a command; what is no command stays as it is."""
    lower = name.casefold()
    return ENGLISH.get(lower, lower)


def called(name: str, language: str) -> str:
    """What a command is called in a language."""
    return RUSSIAN.get(name, name) if language == "ru" else name


def beginning(text: str, language: str) -> list[str]:
    """The commands that a slash and a few letters can become, those of the person's language first."""
    start = text[1:].casefold()
    own, others = (ENGLISH, RUSSIAN) if language == "ru" else (RUSSIAN, ENGLISH)
    return ([name for name in own if name.startswith(start)]
            or [name for name in others if name.startswith(start)])


def titled(line: Line | None, words: Words) -> str:
    """What a line of thinking is called; None is the trunk."""
    if line is None or not line.parent:
        return words("trunk")
    return words("council") if line.settings.council and not line.name else line.title
