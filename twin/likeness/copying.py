"""Copy rate: how many replies hold eight words in a row of what the person once wrote, without having been shown them.

A run that stands in the memories of the turn, or in its question, is recall or an echo and no copy.
"""
from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field

from twin import text as texts
from twin.types import Turn

RUN = 8  # words


@dataclass(frozen=True, repr=False)
class Reply:
    """A reply, and what its writer was shown: the question and the memories."""

    text: str
    shown: tuple[str, ...] = ()

    @classmethod
    def of(cls, turn: Turn) -> Reply:
        """The answer of a turn, with its question and the memories its core read."""
        return cls(turn.answer, (turn.question, *(memory.text for memory in turn.memories)))

    def __repr__(self) -> str:
        return f"Reply({len(self.text)} characters)"


@dataclass(frozen=True)
class Corpus:
    """Hashes of all runs of eight words of a corpus: 36 MB for a million words, built and asked in linear time."""

    runs: frozenset[int] = field(repr=False)

    @classmethod
    def of(cls, messages: Iterable[str]) -> Corpus:
        """No run goes from one message into the next."""
        return cls(frozenset(run for message in messages for run in _runs(message)))


def copied(corpus: Corpus, reply: Reply) -> int:
    """How many runs of the reply stand in the corpus and in nothing that was shown."""
    found = [run for run in _runs(reply.text) if run in corpus.runs]
    if not found:
        return 0
    shown = {run for one in reply.shown for run in _runs(one)}
    return sum(run not in shown for run in found)


def copies(corpus: Corpus, replies: Sequence[Reply]) -> list[float]:
    """1 for each reply with a copied run, else 0: their mean is the copy rate, `intervals.pooled` gives its interval.
    Two runs of other words have one hash once in 2**64: no reply is accused by that."""
    return [float(copied(corpus, reply) > 0) for reply in replies]


def _runs(said: str) -> Iterator[int]:
    words = texts.words(said)
    return (hash(tuple(words[start:start + RUN])) for start in range(len(words) - RUN + 1))
