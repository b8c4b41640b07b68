"""Samples to learn, and the cut in time between what is learned and what is held out to measure it by.

Nothing that is held out stands in what is learned, whole or in runs of words. Knows no source of samples.
"""
from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from twin.errors import UsageError

Key = tuple[str, str]  # conversation id, message id

SHARE = 0.7   # of the samples that are learned: the first in time
LEAST = 0.25  # of its due share a side must get, or the cut goes through a conversation
RUN = 8       # words in a row that make one text a copy of another
# Least amounts, priors until measured: the one trial so far had 400 messages of a chat person (engine.md), and over
# fewer than 20 held out the interval of a gain is likely wider than the gain that is asked for, 0.17 bits a character.
OWN_WORDS, TO_LEARN, TO_HOLD = 3000, 60, 20


@dataclass(frozen=True, repr=False)
class Sample:
    """One thing to learn: `answer` follows `context` (what was said before; "" for none) under `header` (the role's
    instruction; "" when compiled away). `key` names the message in the archive that it rests on, `after` the one that
    is its context."""

    context: str
    answer: str
    header: str = ""
    time: datetime | None = None
    conversation: str = ""
    key: Key | None = None
    after: Key | None = None

    def __repr__(self) -> str:
        return f"Sample({self.key}, {len(self.context)} + {len(self.answer)} characters)"


@dataclass(frozen=True)
class Split:
    """What is learned, and what is held out to measure it by; `dropped`: reason -> how many."""

    learn: tuple[Sample, ...] = field(repr=False)
    held: tuple[Sample, ...] = field(repr=False)
    dropped: Mapping[str, int]


# ---- the cut -----------------------------------------------------------------------------------------------------

def split(samples: Iterable[Sample], share: float = SHARE, dropped: Mapping[str, int] | None = None) -> Split:
    """The first `share` is learned, the rest held out. Conversations come in order of time (by their first sample;
    those without time first, as given) and stay whole: the cut goes between two of them, where it is nearest to the
    share. Only where that leaves one side under LEAST of its due, as with a single conversation, it goes inside one.

    What stands twice is learned once; what is held out and repeats a learned answer, or RUN words of one, goes out.
    Samples without a conversation are one each. Raises UsageError for a share outside 0..1.
    """
    if not 0 < share < 1:
        raise UsageError(f"A share of {share:g} leaves nothing to learn from, or nothing to measure by.",
                         "Give one between 0 and 1, such as 0.7.")
    talks = _talks(samples)
    ordered = [sample for talk in talks for sample in talk]
    at, inside = _place([len(talk) for talk in talks], share)
    return _apart(ordered[:at], ordered[at:],
                  Counter(dropped or {}) + Counter({"not dropped, but cut inside a conversation": int(inside)}))


def together(*splits: Split) -> Split:
    """Several as one: learned with learned, held out with held out, and nothing repeated across."""
    dropped = sum((Counter(one.dropped) for one in splits), Counter[str]())
    return _apart([sample for one in splits for sample in one.learn], [sample for one in splits for sample in one.held],
                  dropped)


def need(made: Split, *, words: int = OWN_WORDS, learn: int = TO_LEARN, held: int = TO_HOLD) -> None:
    """Raises UsageError where there is too little to learn from or to measure by; it says what is needed and there."""
    there = (sum(len(sample.answer.split()) for sample in made.learn), len(made.learn), len(made.held))
    if any(one < least for one, least in zip(there, (words, learn, held), strict=True)):
        raise UsageError(
            f"Too few own words: {words:,} in {learn:,} messages are needed to learn from and {held:,} messages to "
            f"measure by; there are {there[0]:,} in {there[1]:,}, and {there[2]:,}.",
            "Import more of what you wrote with `twin import PATH`.")


def runs(said: str, length: int = RUN) -> set[tuple[str, ...]]:
    """All runs of so many words in a text, in lower case."""
    words = re.findall(r"\w+", said.casefold())
    return {tuple(words[start:start + length]) for start in range(len(words) - length + 1)}


def _talks(samples: Iterable[Sample]) -> list[list[Sample]]:
    """Samples by conversation, both in order of time."""
    talks: dict[str | int, list[Sample]] = {}
    for number, sample in enumerate(samples):
        talks.setdefault(sample.conversation or number, []).append(sample)

    def when(sample: Sample) -> float:
        return sample.time.timestamp() if sample.time else -math.inf

    def begins(talk: list[Sample]) -> float:
        return min((when(sample) for sample in talk if sample.time), default=-math.inf)

    return sorted((sorted(talk, key=when) for talk in talks.values()), key=begins)


def _place(sizes: Sequence[int], share: float) -> tuple[int, bool]:
    """How many samples come before the cut, and whether it goes inside a conversation."""
    n = sum(sizes)
    due = share * n
    ends = [sum(sizes[:number]) for number in range(1, len(sizes))]
    best = min(ends, key=lambda end: abs(end - due), default=0)
    if best >= LEAST * due and n - best >= LEAST * (n - due):
        return best, False
    return (min(max(round(due), 1), n - 1), True) if n > 1 else (n, False)


def _apart(learn: Iterable[Sample], held: Iterable[Sample], dropped: Counter[str]) -> Split:
    every, rest = list(learn), list(held)
    once = {(sample.context, sample.answer): sample for sample in reversed(every)}
    kept = [sample for sample in every if once[sample.context, sample.answer] is sample]
    mine = [runs(sample.answer) for sample in rest]
    asked = set[tuple[str, ...]]().union(*mine)  # the smaller side is kept in mind
    met = {run for sample in kept for run in runs(sample.answer) if run in asked}
    known = {bare(sample.answer) for sample in kept}
    new = [sample for sample, said in zip(rest, mine, strict=True)
           if bare(sample.answer) not in known and met.isdisjoint(said)]
    dropped = dropped + Counter({"said twice": len(every) - len(kept),
                                 "held out, but it repeats what is learned": len(rest) - len(new)})
    return Split(tuple(kept), tuple(new), dict(dropped))


def bare(said: str) -> str:
    """A text as it is compared: in lower case, blanks alike."""
    return " ".join(said.casefold().split())
