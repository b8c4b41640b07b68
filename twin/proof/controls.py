"""Controls: what the same measure says where nothing was learned of the person, or nothing but letters.

A gain that a neutral text as long brings too is one of length. The n-gram model knows what the person wrote before and
no language: what a core gains over it is more than repetition.
"""
from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable

# Neutral sentences of the kind a header holds, in both languages; they ask for nothing.
_NEUTRAL = {
    "en": ("Water boils at a lower temperature in the mountains.", "A year has twelve months of unequal length.",
           "Paper is made of wood or of rags.", "Rivers run from the hills to the sea.",
           "The wheel is older than most cities.", "Salt dissolves in water and sugar does too.",
           "A bridge rests on both banks.", "Wool is warmer than linen.", "Bees live in hives and ants in hills."),
    "ru": ("В горах вода кипит при меньшей температуре.", "В году двенадцать месяцев разной длины.",
           "Бумагу делают из дерева или из тряпья.", "Реки текут с холмов к морю.",
           "Колесо старше большинства городов.", "Соль растворяется в воде, и сахар тоже.",
           "Мост стоит на обоих берегах.", "Шерсть теплее льна.", "Пчёлы живут в ульях, а муравьи в кучах.")}
ORDER = 3  # characters before the one that is foreseen
SIGNS = 1 << 16  # the base of all: any of so many characters, equally likely


def placebo(header: str, language: str, count: Callable[[str], int]) -> str:
    """Neutral sentences, as many as make about as many tokens (`count`) as the header; its last line, which names the
    language of the answer, stays."""
    told, _, last = header.rpartition("\n")
    wanted, made, place = count(told), "", 0
    shelf = _NEUTRAL["ru" if language == "ru" else "en"]
    while wanted > 0 and count(made) < wanted:
        more = f"{made} {shelf[place % len(shelf)]}".strip()
        if count(more) - wanted > wanted - count(made):
            break  # one more would miss by more than it misses now
        made, place = more, place + 1
    return f"{made}\n{last}" if made else last


class NGram:
    """A cache model over characters: Witten-Bell interpolation of the contexts of ORDER to 0 characters (Witten and
    Bell 1991), over equally likely signs. It learns from what it foresees."""

    def __init__(self, known: Iterable[str] = ()) -> None:
        self._after: defaultdict[str, Counter[str]] = defaultdict(Counter)
        self._sum: Counter[str] = Counter()
        for one in known:
            self.learn(one)

    def learn(self, said: str) -> None:
        """Takes a text in."""
        for context, sign in self._steps(said):
            self._note(context, sign)

    def bits(self, said: str) -> float:
        """-log2 p of a text, each character known to the next."""
        found = 0.0
        for context, sign in self._steps(said):
            found -= math.log2(self._share(context, sign))
            self._note(context, sign)
        return found

    @staticmethod
    def _steps(said: str) -> Iterable[tuple[str, str]]:
        line = "\n" + said + "\n"
        return ((line[max(0, at - ORDER):at], line[at]) for at in range(1, len(line)))

    def _note(self, context: str, sign: str) -> None:
        for start in range(len(context) + 1):
            self._after[context[start:]][sign] += 1
            self._sum[context[start:]] += 1

    def _share(self, context: str, sign: str) -> float:
        share = 1 / SIGNS
        for start in range(len(context), -1, -1):
            known = context[start:]
            if total := self._sum[known]:
                kinds = len(self._after[known])
                share = (self._after[known][sign] + kinds * share) / (total + kinds)
        return share
