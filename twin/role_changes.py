"""What is different between two role maps, in words, Russian or English.

A reworded text shows the words that changed, as `[-gone-]` and `{+new+}`, with a few around them.
"""
from __future__ import annotations

from collections.abc import Iterable, Iterator
from difflib import SequenceMatcher
from typing import Any

from twin.roles import SECTIONS, Placement, Role, RoleAdapter, RoleMap
from twin.types import Sampling

_AROUND = 4  # words shown beside a change

_WORDS = {
    "en": {"role added": "role added", "role removed": "role removed", "council": "council",
           "title": "title", "purpose": "purpose", "stance": "stance", "method": "method", "do": "do",
           "dont": "don't", "format": "format", "example": "example", "examples": "examples",
           "added": "added", "removed": "removed", "reworded": "reworded", "reordered": "in another order",
           "spacing": "spacing changed", "adapter": "adapter", "set": "set", "path": "path", "sha256": "sha256",
           "scale": "scale", "kind": "kind", "include": "memory it sees", "exclude": "memory it does not see",
           "thinking": "thinking", "members": "members", "max_n": "roles at most", "depth": "by itself from level",
           "entropy": "by itself from entropy", "on": "called", "none": "none", "all": "all roles",
           "asked": "when asked for", "policy": "when asked for and by itself", "gone": "removed",
           "schema_version": "schema version", "open": "\"", "close": "\""},
    "ru": {"role added": "роль добавлена", "role removed": "роль убрана", "council": "совет",
           "title": "название", "purpose": "назначение", "stance": "позиция", "method": "метод", "do": "делай",
           "dont": "не делай", "format": "формат", "example": "пример", "examples": "примеры",
           "added": "добавлено", "removed": "убрано", "reworded": "изложено иначе", "reordered": "в другом порядке",
           "spacing": "изменены пробелы", "adapter": "адаптер", "set": "задан", "path": "путь", "sha256": "sha256",
           "scale": "сила", "kind": "вид", "include": "видимая память", "exclude": "скрытая память",
           "thinking": "размышление", "members": "участники", "max_n": "ролей не больше", "depth": "сам с уровня",
           "entropy": "сам с энтропии", "on": "созывается", "none": "нет", "all": "все роли",
           "asked": "по просьбе", "policy": "по просьбе и сам", "gone": "убран",
           "schema_version": "версия схемы", "open": "«", "close": "»"},
}


def changes(before: RoleMap, after: RoleMap, language: str = "en") -> list[str]:
    """One line a change, roles in order of their ids, in 'en' or 'ru'. Maps of equal content: [], and only they."""
    say = _Say(_WORDS["ru" if language == "ru" else "en"], "ru" if language == "ru" else "en")
    old, new = ({role.id: role for role in one.roles} for one in (before, after))
    lines = []
    for name in sorted({*old, *new}):
        if name not in new:
            lines.append(f"{name}: {say('role removed')}: {say.quoted(old[name].title.of(say.language))}")
        elif name not in old:
            lines.append(f"{name}: {say('role added')}: {say.quoted(new[name].title.of(say.language))}")
        else:
            lines += [f"{name}: {line}" for line in _of_role(old[name], new[name], say)]
    lines += [f"{say('council')}: {line}" for line in _of_council(before, after, say)]
    if before.schema_version != after.schema_version:
        lines.append(say.moved("schema_version", before.schema_version, after.schema_version))
    return lines


class _Say:
    """The words of one language."""

    def __init__(self, words: dict[str, str], language: str) -> None:
        self._words, self.language = words, language

    def __call__(self, word: str) -> str:
        return self._words.get(word, word)

    def quoted(self, text: str) -> str:
        return f"{self('open')}{' '.join(text.split())}{self('close')}"

    def moved(self, name: str, before: Any, after: Any) -> str:
        old, new = (self("none") if value is None else str(value) for value in (before, after))
        return f"{self(name)} {old} -> {new}"

    def text(self, label: str, before: str, after: str) -> str:
        """A text that is new, gone or reworded."""
        if not before or not after:
            return f"{label}: {self('added' if after else 'removed')}: {self.quoted(after or before)}"
        worded = reworded(before, after)
        return f"{label}: {self('reworded')}: {worded}" if worded else f"{label}: {self('spacing')}"

    def listed(self, name: str, before: tuple[str, ...], after: tuple[str, ...], many: str) -> Iterator[str]:
        """Entries of a list that came and went."""
        for entries, others, word in ((after, before, "added"), (before, after, "removed")):
            for entry in dict.fromkeys(entries):
                if entry not in others:
                    yield f"{self(name)}: {self(word)}: {self.quoted(entry)}"
        if before != after and set(before) == set(after):
            yield f"{self(many)}: {self('reordered')}"


def _of_role(before: Role, after: Role, say: _Say) -> Iterator[str]:
    old, new = _texts(before), _texts(after)
    yield from (say.text(f"{say(name)} ({language})", old[name, language], new[name, language])
                for name, language in old if old[name, language] != new[name, language])
    yield from _fields(before.sampling, after.sampling, tuple(Sampling().__dict__), say)
    yield from _of_adapter(before.adapter, after.adapter, say)
    yield from _fields(before, after, ("thinking",), say)
    yield from _fields(before.placement, after.placement, tuple(Placement.model_fields), say)
    for name in ("include", "exclude"):
        yield from say.listed(name, getattr(before.memory, name), getattr(after.memory, name), name)
    yield from say.listed("example", before.examples, after.examples, "examples")


def _texts(role: Role) -> dict[tuple[str, str], str]:
    """Every text of a role by name and language."""
    found = {(name, language): getattr(getattr(role, name), language)
             for name in ("title", "purpose") for language in ("en", "ru")}
    return found | {(name, language): getattr(getattr(role.sections, language), name)
                    for language in ("en", "ru") for name in SECTIONS}


def _fields(before: Any, after: Any, names: Iterable[str], say: _Say) -> Iterator[str]:
    for name in names:
        old, new = getattr(before, name), getattr(after, name)
        if old != new:
            yield say.moved(name, old, new)


def _of_adapter(before: RoleAdapter | None, after: RoleAdapter | None, say: _Say) -> Iterator[str]:
    if before and after:
        yield from (f"{say('adapter')}: {line}" for line in _fields(before, after, RoleAdapter.model_fields, say))
    elif one := before or after:
        what = ", ".join(f"{say(name)} {value}" for name, value in one.model_dump(exclude_none=True).items())
        yield f"{say('adapter')}: {say('set' if after else 'gone')}: {what}"


def _of_council(before: RoleMap, after: RoleMap, say: _Say) -> Iterator[str]:
    old, new = before.council, after.council
    if old.members != new.members:
        yield say.moved("members", *(", ".join(one.members) or say("all") for one in (old, new)))
    if old.on != new.on:
        yield say.moved("on", say(old.on), say(new.on))
    yield from _fields(old, new, ("max_n", "depth", "entropy"), say)


def reworded(before: str, after: str) -> str:
    """The changed words of a text, `[-gone-] {+new+}`, with up to 4 unchanged ones on each side; '' where only white
    space differs."""
    old, new = before.split(), after.split()
    shown = []
    steps = SequenceMatcher(None, old, new, autojunk=False).get_opcodes()
    for number, (kind, start, end, there, until) in enumerate(steps):
        if kind == "equal":
            shown += _shortened(old[start:end], left=number > 0, right=number < len(steps) - 1)
            continue
        shown += [f"[-{' '.join(old[start:end])}-]"] if start < end else []
        shown += [f"{{+{' '.join(new[there:until])}+}}"] if there < until else []
    return " ".join(shown) if any(kind != "equal" for kind, *_ in steps) else ""


def _shortened(words: list[str], *, left: bool, right: bool) -> list[str]:
    """Unchanged words, the middle left out; `left` and `right`: whether a change stands on that side."""
    head, tail = words[:_AROUND] if left else [], words[-_AROUND:] if right else []
    return words if len(words) <= len(head) + len(tail) else [*head, "...", *tail]
