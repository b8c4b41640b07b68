"""A turn's answer: the engine's pieces as events, thoughts told from answer, and which memories it took up.

Knows no home and no role but its sampling.
"""
from __future__ import annotations

import re
from collections.abc import Generator, Iterable, Iterator, Sequence
from dataclasses import replace

from twin import text
from twin.types import Event, Piece, Prompt, Recalled, Thinking, Token

_LONG = 5  # letters of a stem that says something
_CITED = re.compile(r"\[(\d{1,2})\]")


def cited(answer: str, question: str, memories: Sequence[Recalled]) -> tuple[int, ...]:
    """Numbers of the memories an answer rests on: those it names and that exist, and those of whose own words it takes
    up two longer ones that were not in the question. Small cores use a record more often than they name it."""
    named = {int(number) for number in _CITED.findall(answer)}
    asked, told = set(text.stems(question)), set(text.stems(answer))

    def taken(memory: Recalled) -> bool:
        return len({stem for stem in text.stems(memory.text) if len(stem) >= _LONG} & told - asked) >= 2

    return tuple(n for n, memory in enumerate(memories, 1) if n in named or taken(memory))


def drain(rendered: Prompt, pieces: Iterable[Piece]) -> Generator[Event, None, tuple[str, str, Piece]]:
    """Drain what an engine writes to a prompt into Token and Thinking events; the value is (answer, thinking, last
    piece).

    Whether the answer begins inside the thoughts, the prompt tells: a role may ask for another opening than its core's.
    """
    said: dict[type[Token] | type[Thinking], str] = {Token: "", Thinking: ""}
    last, splitter = Piece("", "stop"), _Thoughts(opens_thoughts(rendered))
    for last in pieces:
        for kind, part in splitter.feed(last.text, last=last.finish is not None):
            said[kind] += part
            yield kind(part)
    answer, thinking = said[Token].strip(), said[Thinking].strip()
    if splitter.tagged and not thinking:
        last = replace(last, written=None)  # an empty block: history opens one itself, and these ids hold it again
    return answer, thinking, last


def opens_thoughts(rendered: Prompt) -> bool:
    """Whether what is written after this prompt begins inside the thoughts, because its opening has opened them."""
    return bool(rendered.tail) and rendered.tail[-1].special and rendered.tail[-1].text.rstrip().endswith("<think>")


class _Thoughts:
    """Tells the text between <think> and </think> from the answer, with tags split over pieces. `tagged`: one came."""

    def __init__(self, thinks: bool = False) -> None:
        self.tagged = False
        self._held = ""
        self._kind: type[Token] | type[Thinking] = Thinking if thinks else Token

    def feed(self, piece: str, *, last: bool) -> Iterator[tuple[type[Token] | type[Thinking], str]]:
        self._held += piece
        while self._held:
            tag = "</think>" if self._kind is Thinking else "<think>"
            before, found, after = self._held.partition(tag)
            if found:
                self.tagged = True
                if before:
                    yield self._kind, before
                self._held, self._kind = after, Token if self._kind is Thinking else Thinking
                continue
            keep = 0 if last else next((n for n in range(len(tag) - 1, 0, -1) if self._held.endswith(tag[:n])), 0)
            ready, self._held = self._held[:len(self._held) - keep], self._held[len(self._held) - keep:]
            if ready:
                yield self._kind, ready
            return
