"""Traces of texts: the runs of RUN characters they share with others, in strings and in raw bytes. Knows no store.

Runs are compared as 64-bit hashes, polynomials of their code points. A million runs searched in a gigabyte meet an
equal hash by chance once in 20,000 times. Bytes are read as UTF-8, whatever they are: text begins with no byte that
could continue what stands before it, so it is read whole even among others.
"""
from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

RUN = 12  # characters of a run that counts as a trace
MARK = "[...]"  # stands where a trace was
_DISTINCT = 5  # characters of a run that differ: twelve blanks or dashes are nobody's words
_CHUNK = 1 << 16  # bytes or characters at a time: what fits the processor's cache is three times as fast
_BASE, _BASE_2, _BASE_4 = (np.uint64(pow(0x9E3779B97F4A7C15, power, 1 << 64)) for power in (1, 2, 4))
_MIX = np.uint64(0xD6E8FEB86659FD93)
_MOST = 1 << 18  # runs of a sample: 2 MB of hashes and as much of bits

Hashes = NDArray[np.uint64]


class Sieve:
    """A set of 64-bit hashes that is asked about millions: a table of bits first, then the values."""

    def __init__(self, hashes: Hashes) -> None:
        self.hashes = np.unique(hashes)
        self._shift = np.uint64(64 - min(26, max(16, (8 * len(self.hashes)).bit_length())))
        self._table = np.zeros(1 << (64 - int(self._shift)), dtype=bool)
        self._table[self._slots(self.hashes)] = True

    def __len__(self) -> int:
        return len(self.hashes)

    def hits(self, hashes: Hashes) -> NDArray[np.intp]:
        """Where in `hashes` one of the set stands."""
        return self._find(hashes)[0]

    def within(self, texts: Iterable[str]) -> Sieve:
        """Those of the set that are runs of the texts."""
        seen = np.zeros(len(self), dtype=bool)
        for text in _joined(texts) if len(self) else ():
            seen[self._find(grams(text))[1]] = True
        return Sieve(self.hashes[seen])

    def _find(self, hashes: Hashes) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
        """Where in `hashes` one of the set stands, and which."""
        at = np.flatnonzero(self._table.take(self._slots(hashes)))
        if not len(at) or not len(self):
            return at[:0], at[:0]
        which = np.minimum(np.searchsorted(self.hashes, hashes[at]), len(self) - 1)
        equal = self.hashes[which] == hashes[at]
        return at[equal], which[equal]

    def within_file(self, path: Path) -> Sieve:
        """Those of the set that are runs of a file's bytes."""
        with path.open("rb") as file:
            return self.within(_read(file))

    def plus(self, other: Sieve) -> Sieve:
        """This set and another."""
        return Sieve(np.union1d(self.hashes, other.hashes))

    def without(self, other: Sieve) -> Sieve:
        """This set less another."""
        return Sieve(np.setdiff1d(self.hashes, other.hashes, assume_unique=True))

    def _slots(self, hashes: Hashes) -> NDArray[np.int64]:
        return ((hashes * _MIX) >> self._shift).view(np.int64)


def grams(text: str) -> Hashes:
    """The hash of every run of RUN characters, by where it begins: of 1, 2, 4, 8 and then 12 characters."""
    points = np.frombuffer(text.encode("utf-32-le", "surrogatepass"), dtype="<u4").astype(np.uint64)
    if len(points) < RUN:
        return points[:0]
    two = points[:-1] * _BASE + points[1:]
    four = two[:-2] * _BASE_2 + two[2:]
    eight = four[:-4] * _BASE_4 + four[4:]
    return eight[:-4] * _BASE_4 + four[8:]


def runs_of(texts: Iterable[str]) -> Sieve:
    """All runs of a few texts."""
    return Sieve(np.concatenate([np.zeros(0, np.uint64), *map(grams, _joined(texts))]))


def sieve(hashes: Iterable[int]) -> Sieve:
    """A set of these hashes."""
    return Sieve(np.fromiter(hashes, dtype=np.uint64))


def redacted(text: str, runs: Sieve) -> str:
    """The text with each stretch of these runs as MARK; the blanks round it stay."""
    stretches: list[list[int]] = []
    for start in runs.hits(grams(text)).tolist() if len(runs) else ():
        if stretches and start <= stretches[-1][1]:
            stretches[-1][1] = start + RUN
        else:
            stretches.append([start, start + RUN])
    parts, kept = list[str](), 0
    for start, end in stretches:
        stretch = text[start:end]
        start += len(stretch) - len(stretch.lstrip())
        parts += [text[kept:start], MARK]
        kept = start + len(stretch.strip())
    return "".join([*parts, text[kept:]])


def strings(value: Any, names: Collection[str] = ()) -> Iterator[str]:
    """Every text in what JSON holds, but what stands under a key of `names`."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for key, part in value.items():
            yield from strings(part, names) if key not in names else ()
    elif isinstance(value, list):
        for part in value:
            yield from strings(part, names)


def redacted_in(value: Any, runs: Sieve, names: Collection[str] = ()) -> Any:
    """What JSON holds with each of its `strings` redacted."""
    if isinstance(value, str):
        return redacted(value, runs)
    if isinstance(value, dict):
        return {key: part if key in names else redacted_in(part, runs, names) for key, part in value.items()}
    return [redacted_in(part, runs, names) for part in value] if isinstance(value, list) else value


def _joined(texts: Iterable[str]) -> Iterator[str]:
    """Many short texts as few long ones. NUL stands in none of them, so no run goes over two."""
    waiting, size = list[str](), 0
    for text in texts:
        waiting.append(text)
        size += len(text)
        if size >= _CHUNK:
            yield "\0".join(waiting)
            waiting, size = [], 0
    if waiting:
        yield "\0".join(waiting)


def sample(texts: Sequence[str]) -> Sieve:
    """Runs of many texts, all of them or spread evenly."""
    long = [text for text in texts if len(text) >= RUN]
    long = long[::-(-len(long) // _MOST) or 1]
    share = min(1.0, _MOST / max(sum(map(len, long)), 1))
    found: list[str] = []
    for text in long:
        last = len(text) - RUN
        wanted = min(last + 1, max(1, round(share * len(text))))
        found += (text[at:at + RUN] for at in (number * last // max(wanted - 1, 1) for number in range(wanted)))
    return Sieve(grams("".join(run for run in found if len(set(run)) >= _DISTINCT))[::RUN])


def _read(file: BinaryIO) -> Iterator[str]:
    """The bytes as text, some of them twice so that no run is cut; one letter has four at most."""
    tail = b""
    while data := file.read(_CHUNK):
        yield (tail + data).decode("utf-8", "replace")
        tail = data[-4 * RUN:]
