"""People: who wrote in what is imported, and which of them is the person.

A chat export of two people does not say on whose machine it lay. Names are compared without regard to case.
"""
from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

from twin.text import clean


class People:
    """Answers "is it me?" and counts everyone it is asked about, by kind of source."""

    def __init__(self, me: Iterable[str] = ()) -> None:
        """`me`: names, ids (Telegram's user123) or mail addresses of the person."""
        self.me = frozenset(filter(None, map(_plain, me)))
        self.met: dict[str, Counter[str]] = {}
        self.settled: set[str] = set()  # kinds of source in which the person was found

    def own(self, source: str, *names: str, messages: int = 1) -> bool:
        """Whether one of these names of one author is the person's; the author is counted under the first name."""
        names = tuple(filter(None, names))
        if names:
            self.met.setdefault(source, Counter())[names[0]] += messages
        mine = any(_plain(name) in self.me for name in names)
        if mine:
            self.settled.add(source)
        return mine

    def known(self, source: str, *names: str) -> None:
        """The export itself says who the person is: nobody need be asked about this kind."""
        self.me |= set(filter(None, map(_plain, names)))
        self.settled.add(source)

    @property
    def strangers(self) -> dict[str, Counter[str]]:
        """Kinds of source in which nobody was the person: source -> author -> messages."""
        return {source: met for source, met in self.met.items() if source not in self.settled}


def _plain(name: str) -> str:
    return " ".join(clean(name).casefold().split())
