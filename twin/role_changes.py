"""What is different between two role maps, in words, Russian or English.

A reworded text shows the words that changed, as `[-gone-]` and `{+new+}`, with a few around them; of what is long the
beginning is shown and the rest counted.
"""
from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from difflib import SequenceMatcher
from itertools import accumulate
from typing import Any

from twin.roles import SECTIONS, Placement, Role, RoleAdapter, RoleMap
from twin.types import Sampling

_AROUND = 4      # words shown beside a change
_SHOWN = 40      # words of a change
_LETTERS = 80    # of a word
_MANY = 20       # changes of one text, entries of one list
# Words, or sentences, of a side that are compared one by one, and equal pairs among them: the time of SequenceMatcher
# grows with the cube where they repeat (8 s for 1000 words "a b a b ..." against "b a c b a c ...", .3 s for 400).
_COMPARED, _PAIRS, _WITHIN = 2000, 160_000, 100
Step = tuple[str, int, int, int, int]  # as SequenceMatcher.get_opcodes gives them

_WORDS = {
    "en": {"role added": "role added", "role removed": "role removed", "council": "council",
           "title": "title", "purpose": "purpose", "stance": "stance", "method": "method", "do": "do",
           "dont": "don't", "format": "format", "example": "example", "examples": "examples",
           "added": "added", "removed": "removed", "reworded": "reworded", "reordered": "in another order",
           "spacing": "spacing changed", "adapter": "adapter", "set": "set", "path": "path", "sha256": "sha256",
           "scale": "scale", "kind": "kind", "compiled": "stands for the header",
           "carried": "the adapter stands for the instructions: the new ones act once it is trained again or off",
           "include": "memory it sees", "exclude": "memory it does not see",
           "thinking": "thinking", "members": "members", "max_n": "roles at most", "depth": "by itself from level",
           "entropy": "by itself from entropy", "on": "called", "none": "none", "all": "all roles",
           "asked": "when asked for", "policy": "when asked for and by itself", "gone": "removed",
           "schema_version": "schema version", "open": "\"", "close": "\"", "words more": "... and {} words more",
           "changes more": "... and {} changes more", "more": "... and {} more"},
    "ru": {"role added": "роль добавлена", "role removed": "роль убрана", "council": "совет",
           "title": "название", "purpose": "назначение", "stance": "позиция", "method": "метод", "do": "делай",
           "dont": "не делай", "format": "формат", "example": "пример", "examples": "примеры",
           "added": "добавлено", "removed": "убрано", "reworded": "изложено иначе", "reordered": "в другом порядке",
           "spacing": "изменены пробелы", "adapter": "адаптер", "set": "задан", "path": "путь", "sha256": "sha256",
           "scale": "сила", "kind": "вид", "compiled": "вместо заголовка",
           "carried": "инструкции заменяет адаптер: новые подействуют, когда он обучен заново или выключен",
           "include": "видимая память", "exclude": "скрытая память",
           "thinking": "размышление", "members": "участники", "max_n": "ролей не больше", "depth": "сам с уровня",
           "entropy": "сам с энтропии", "on": "созывается", "none": "нет", "all": "все роли",
           "asked": "по просьбе", "policy": "по просьбе и сам", "gone": "убран",
           "schema_version": "версия схемы", "open": "«", "close": "»", "words more": "... и ещё слов: {}",
           "changes more": "... и ещё изменений: {}", "more": "... и ещё {}"},
}


def changes(before: RoleMap, after: RoleMap, language: str = "en") -> list[str]:
    """One line a change, roles in order of their ids, in 'en' or 'ru'. Maps of equal content: [], and only they."""
    say = _Say(language)
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

    def __init__(self, language: str) -> None:
        self.language = "ru" if language == "ru" else "en"
        self._words = _WORDS[self.language]

    def __call__(self, word: str) -> str:
        return self._words.get(word, word)

    def quoted(self, text: str) -> str:
        return f"{self('open')}{self.words(text.split())}{self('close')}"

    def words(self, words: Sequence[str]) -> str:
        """The first of some words, and how many there are more."""
        shown = [word if len(word) <= _LETTERS else word[:_LETTERS - 1] + "…" for word in words[:_SHOWN]]
        return " ".join([*shown, self.more("words more", len(words) - _SHOWN)]).rstrip()

    def more(self, word: str, count: int) -> str:
        """How many there are more; '' for none."""
        return self(word).format(count) if count > 0 else ""

    def moved(self, name: str, before: Any, after: Any) -> str:
        old, new = (self("none") if value is None else str(value) for value in (before, after))
        return f"{self(name)} {old} -> {new}"

    def text(self, label: str, before: str, after: str) -> str:
        """A text that is new, gone or reworded."""
        if not before or not after:
            return f"{label}: {self('added' if after else 'removed')}: {self.quoted(after or before)}"
        worded = reworded(before, after, self.language)
        return f"{label}: {self('reworded')}: {worded}" if worded else f"{label}: {self('spacing')}"

    def listed(self, name: str, before: tuple[str, ...], after: tuple[str, ...], many: str) -> Iterator[str]:
        """Entries of a list that came and went."""
        for entries, others, word in ((after, before, "added"), (before, after, "removed")):
            known = set(others)
            came = [entry for entry in dict.fromkeys(entries) if entry not in known]
            for entry in came[:_MANY]:
                yield f"{self(name)}: {self(word)}: {self.quoted(entry)}"
            if len(came) > _MANY:
                yield f"{self(name)}: {self(word)}: {self.more('more', len(came) - _MANY)}"
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
    acts = before.adapter == after.adapter and after.adapter is not None and after.adapter.instead_of_header
    if acts and before.sections != after.sections:
        yield say("carried")


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


def reworded(before: str, after: str, language: str = "en") -> str:
    """The changed words of a text, `[-gone-] {+new+}`, with up to 4 unchanged ones on each side; '' where only white
    space differs. Of a change 40 words at most, of a text 20 changes, the rest counted in that language."""
    say, old, new, shown, seen = _Say(language), before.split(), after.split(), list[str](), 0
    steps = _steps(old, new)
    for number, (kind, start, end, there, until) in enumerate(steps):
        if kind == "equal":
            shown += _shortened(old[start:end], left=number > 0, right=number < len(steps) - 1 and seen < _MANY)
            continue
        seen += 1
        if seen <= _MANY:
            shown += [f"[-{say.words(old[start:end])}-]"] if start < end else []
            shown += [f"{{+{say.words(new[there:until])}+}}"] if there < until else []
        elif seen == _MANY + 1:
            rest = sum(step[0] != "equal" for step in steps) - _MANY
            return " ".join([*shown, say.more("changes more", rest)])
    return " ".join(shown) if seen else ""


def _steps(old: Sequence[str], new: Sequence[str]) -> list[Step]:
    """How the words of one text become those of another. What both begin and end with is set aside first; of what is
    left, long texts are compared by their sentences, and what is too long for that counts as replaced."""
    most = min(len(old), len(new))
    head = next((n for n in range(most) if old[n] != new[n]), most)
    tail = next((n for n in range(most - head) if old[-1 - n] != new[-1 - n]), most - head)
    one, other = old[head:len(old) - tail], new[head:len(new) - tail]
    middle = list(_by_sentences(one, other) if _too_long(one, other) else _compared(one, other))
    found: list[Step] = [("equal", 0, head, 0, head)] if head else []
    found += _moved(middle, head, head)
    found += [("equal", len(old) - tail, len(old), len(new) - tail, len(new))] if tail else []
    return found


def _too_long(old: Sequence[Any], new: Sequence[Any]) -> bool:
    there = Counter(new)
    return max(len(old), len(new)) > _COMPARED or sum(
        count * there[one] for one, count in Counter(old).items()) > _PAIRS


def _compared(old: Sequence[Any], new: Sequence[Any]) -> list[Step]:
    return list[Step](SequenceMatcher(None, old, new, autojunk=False).get_opcodes())


def _moved(steps: Iterable[Step], old: int, new: int) -> list[Step]:
    return [(kind, start + old, end + old, there + new, until + new) for kind, start, end, there, until in steps]


def _by_sentences(old: Sequence[str], new: Sequence[str]) -> Iterator[Step]:
    one, other = _sentences(old), _sentences(new)
    if _too_long(one, other):
        yield "replace", 0, len(old), 0, len(new)
        return
    left, right = ([0, *accumulate(map(len, sentences))] for sentences in (one, other))
    for kind, start, end, there, until in _compared(one, other):
        a, b, c, d = left[start], left[end], right[there], right[until]
        if kind == "replace" and max(b - a, d - c) <= _WITHIN:
            yield from _moved(_compared(old[a:b], new[c:d]), a, c)
        else:
            yield kind, a, b, c, d


def _sentences(words: Sequence[str]) -> list[tuple[str, ...]]:
    """Words grouped up to each one that ends with . ! ? or …"""
    found, begin = [], 0
    for number, word in enumerate(words, 1):
        if word.endswith((".", "!", "?", "…")) or number == len(words):
            found.append(tuple(words[begin:number]))
            begin = number
    return found


def _shortened(words: list[str], *, left: bool, right: bool) -> list[str]:
    """Unchanged words, the middle left out; `left` and `right`: whether a change stands on that side."""
    head, tail = words[:_AROUND] if left else [], words[-_AROUND:] if right else []
    return words if len(words) <= len(head) + len(tail) else [*head, "...", *tail]
