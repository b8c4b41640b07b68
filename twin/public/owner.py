"""The names a person goes by: which words of a text are theirs."""
from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

from twin.public.gazetteer import bases, words
from twin.public.hit import Hit
from twin.public.names import read

_WORD = re.compile(r"[^\W\d_]+")
_ROLES = "me user human you assistant myself self admin guest unknown author я вы ты автор пользователь человек гость"


def owner_names(me: Iterable[str]) -> tuple[str, ...]:
    """What to hand over as `owner`, of the names an archive knows its person by (`--me`): without roles (user, me),
    the host of a mail address, and single letters; each once, in order."""
    found: dict[str, None] = {}
    for name in me:
        for word in _WORD.findall(name.strip().lstrip("@").split("@")[0]):
            if len(word) > 1 and word.casefold() not in _ROLES.split():
                found.setdefault(word)
    return tuple(found)


class Owner:
    """Words of the owner's names, in every form. A name that is also a word of every day (Will, Вера) counts with a
    capital only."""

    def __init__(self, names: Iterable[str]) -> None:
        self.words = frozenset(base for name in names for word in _WORD.findall(name) for base in bases(word))

    def hits(self, text: str, *, opening: bool = True) -> Iterator[Hit]:
        """Where they stand in folded text; without `opening`, a word of every day at the start of a sentence counts as
        that word: the fixed texts of a report begin so."""
        for word in read(text) if self.words else ():
            mine = (bases(word.low) | set(re.split("['-]", word.low))) & self.words
            if mine and (not _everyday(mine) or (word.text[0].isupper() and (opening or not word.opens))):
                yield Hit("name", word.start, word.end)


def _everyday(mine: Iterable[str]) -> bool:
    lists = ("common", "given_common", "common_russian", "never", "things", "kin", "generic")
    return any(one in words(name) for one in mine for name in lists)
