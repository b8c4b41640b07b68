"""What the program says, in the person's language. English is the source and stands in the code; a room that speaks has
a table `russian.toml` beside it, from the English sentence to the Russian one.

What lower rooms say in English only (errors, stages of work) is found by its template: "There is no role {}." stands
for every role. What has no Russian stays English at run time; the tests let nothing be without.
"""
from __future__ import annotations

import importlib.resources
import locale
import os
import re
import tomllib
from collections.abc import Mapping, Sequence
from functools import lru_cache
from itertools import islice
from typing import Literal, Self, get_args

from twin.errors import TwinError

Language = Literal["en", "ru"]
LANGUAGES: tuple[Language, ...] = get_args(Language)
_HOLE = re.compile(r"\{\d*\}")
_VAGUE = 8  # letters
_MOST = 8   # sentences in a row, or one in the hole of another: what has more is no message of ours
_PARTS = 32  # lines, or reasons in a line


def preferred(chosen: str | None = None) -> Language:
    """The language to speak: the chosen one, else TWIN_LANG, else that of the locale, else English."""
    for said in (chosen, os.environ.get("TWIN_LANG"), *map(os.environ.get, ("LC_ALL", "LC_MESSAGES", "LANG")),
                 locale.getlocale()[0]):
        if said and said not in ("C", "POSIX") and not said.startswith("C."):
            return "ru" if said.lower().startswith("ru") else "en"
    return "en"


class Words:
    """The sentences of one room (a package with a `russian.toml`) in one language."""

    def __init__(self, room: str, language: str) -> None:
        self.language: Language = "ru" if language == "ru" else "en"
        self._table = table(room) if self.language == "ru" else {}

    def __call__(self, english: str, /, **values: object) -> str:
        """The sentence, its {holes} filled. Values are data: braces in them mean nothing."""
        found = self._table.get(english, english)
        said = found if isinstance(found, str) else found[-1]
        return said.format(**values) if values else said

    def count(self, n: int, one: str, many: str, /, **values: object) -> str:
        """'{n} message' or '{n} messages' by number; Russian has three forms, which stand in the table under `many`."""
        found = self._table.get(many)
        if isinstance(found, Sequence) and not isinstance(found, str):
            said = found[_form(n)]
        else:
            said = one if n == 1 else many
        return said.format(n=f"{n:,}".replace(",", " ") if self.language == "ru" else f"{n:,}", **values)


def _form(n: int) -> int:
    """Which of the three Russian forms a number takes (CLDR: one, few, many)."""
    n = abs(n)
    if n % 10 == 1 and n % 100 != 11:
        return 0
    return 1 if n % 10 in (2, 3, 4) and n % 100 not in (12, 13, 14) else 2


@lru_cache(maxsize=8)
def table(room: str) -> Mapping[str, str | list[str]]:
    """English to Russian, of the room's own sentences."""
    return dict(_read(room).get("words", {}))


def sentence(said: str, language: str) -> str:
    """A sentence of a lower room (several, lines, reasons between semicolons), by its template; as it is without one.

    In the Russian of a template {} stands for the value of a hole, in order or by number; {0:said} for what is itself
    said by a lower room, {0:list} for several of those between commas, {0:час|часа|часов} for the form that follows a
    number."""
    return _russian(said) if language == "ru" and said else said


def error(raised: TwinError, language: str) -> str:
    """What happened and what to do next."""
    return f"{sentence(raised.what, language)} {sentence(raised.next_step, language)}".strip()


def holes(template: str, said: str) -> tuple[str, ...] | None:
    """What stands in the holes of a template, None where it does not fit: each takes as little as it can. In one pass,
    whatever is in them: a quote may be long."""
    first, *rest = _HOLE.split(template)
    if not rest:
        return () if said == template else None
    if not said.startswith(first) or not said.endswith(rest[-1]):
        return None
    found, at, end = [], len(first), len(said) - len(rest[-1])
    for piece in rest[:-1]:
        place = said.find(piece, at, end)
        if place < 0:
            return None
        found.append(said[at:place])
        at = place + len(piece)
    return (*found, said[at:end]) if at <= end else None


@lru_cache(maxsize=512)
def _russian(said: str, deep: int = 0) -> str:
    """`deep`: in the hole of how many others it stands."""
    if (known := _known(said, deep)) is not None:
        return known
    lines = said.split("\n")
    return "\n".join([*(_line(line, deep) for line in lines[:_PARTS]), *lines[_PARTS:]])


def _line(said: str, deep: int) -> str:
    bare = said.lstrip(" ")
    if (known := _known(bare, deep)) is None:
        *parts, rest = bare.split("; ", _PARTS)
        known = "; ".join(part if (one := _one(part, deep)) is None else one for part in (*parts, rest))
    return " " * (len(said) - len(bare)) + known


def _known(said: str, deep: int) -> str | None:
    """One sentence, or several one after the other, each of which is known."""
    if (whole := _one(said, deep)) is not None:
        return whole
    parts = []
    for _ in range(_MOST):
        for stop in islice(re.finditer(r"\. ", said), _MOST):
            if (first := _one(said[:stop.start() + 1], deep)) is not None:
                parts.append(first)
                said = said[stop.end():]
                break
        else:
            return None
        if (last := _one(said, deep)) is not None:
            return " ".join([*parts, last])
    return None


def _one(said: str, deep: int = 0) -> str | None:
    exact, templates = _templates()
    if said in exact:
        return exact[said]
    for english, russian in templates:
        found = holes(english, said)
        if found is not None and not (_is_vague(english) and any(
                stop in one for one in found for stop in ("\n", ". ", "; "))):
            return russian.format(*(_Value(one, deep + 1) for one in found))
    return None


def _is_vague(template: str) -> bool:
    """Whether it has so few letters of its own ('{} is {}.') that it fits what is several sentences."""
    return sum(map(str.isalpha, template)) < _VAGUE


class _Value(str):
    """What stood in a hole, and the ways in which the Russian of its template asks for it."""

    _deep: int

    def __new__(cls, text: str, deep: int) -> Self:
        """Text that stands `deep` holes deep."""
        made = super().__new__(cls, text)
        made._deep = deep
        return made

    def __format__(self, way: str) -> str:
        if "|" in way:
            return way.split("|")[_form(int("".join(filter(str.isdecimal, self)) or "0"))]
        if way not in ("said", "list") or self._deep > _MOST:
            return str(self)
        return ", ".join(_russian(one, self._deep) for one in (self.split(", ") if way == "list" else [str(self)]))


@lru_cache(maxsize=1)
def _templates() -> tuple[dict[str, str], list[tuple[str, str]]]:
    """Those without holes, and those with, the longest first: 'There is no role {}.' must not take what a longer one
    says more exactly."""
    said = _read("twin").get("sentences", {})
    exact = {english: russian for english, russian in said.items() if not _HOLE.search(english)}
    holed = sorted(said.keys() - exact.keys(), key=lambda one: -len(_HOLE.sub("", one)))
    return exact, [(one, said[one]) for one in holed]


@lru_cache(maxsize=8)
def _read(room: str) -> dict[str, dict[str, str]]:
    return tomllib.loads(importlib.resources.files(room).joinpath("russian.toml").read_text("utf-8"))
