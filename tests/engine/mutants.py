"""Damaged GGUF files from a sound one, seeded: bits, lengths, counts, types, values, keys and ends of the header.

A small reader finds where each field of the header lies; a mutant has one to three of its fields changed. Knows the
format (GGUF version 3, little-endian) and nothing of what a loader checks.
"""
from __future__ import annotations

import random
import struct
from collections.abc import Callable, Iterator
from dataclasses import dataclass

SIZES = {0: 1, 1: 1, 2: 2, 3: 2, 4: 4, 5: 4, 6: 4, 7: 1, 10: 8, 11: 8, 12: 8}  # of value types; 8 string, 9 array
STRING, ARRAY = 8, 9
EDGES = (0, 1, 2, 3, 7, 255, 65_535, 2**20, 2**28, 2**31 - 1, 2**31, 2**32 - 1, 2**32, 2**40, 2**60, 2**62, 2**63 - 1,
         2**63, 2**64 - 2, 2**64 - 1)


@dataclass(frozen=True)
class Field:
    """Bytes start:end of a header, and what they are: count, length, type, number or name."""

    start: int
    end: int
    kind: str


@dataclass(frozen=True)
class Header:
    """Fields in order, where whole key-value pairs and tensor entries lie, and where the header ends."""

    fields: tuple[Field, ...]
    pairs: tuple[tuple[int, int], ...]
    tensors: tuple[tuple[int, int], ...]
    end: int


class _Reader:
    def __init__(self, data: bytes) -> None:
        self.data, self.at = data, 0
        self.fields: list[Field] = []

    def number(self, kind: str, width: int) -> int:
        start, self.at = self.at, self.at + width
        self.fields.append(Field(start, self.at, kind))
        return int.from_bytes(self.data[start:self.at], "little")

    def string(self) -> None:
        length = self.number("length", 8)
        self.fields.append(Field(self.at, self.at + length, "name"))
        self.at += length

    def value(self, kind: int) -> None:
        if kind == STRING:
            self.string()
        elif kind == ARRAY:
            inner, count = self.number("type", 4), self.number("count", 8)
            if inner == STRING:
                for _ in range(count):
                    self.string()
            else:
                self.at += SIZES[inner] * count
        else:
            self.number("number", SIZES[kind])


def header(data: bytes) -> Header:
    """Where the fields of a sound GGUF's header lie."""
    reader = _Reader(data)
    reader.number("number", 4)  # GGUF
    reader.number("number", 4)  # version
    n_tensors, n_pairs = reader.number("count", 8), reader.number("count", 8)
    pairs, tensors = [], []
    for _ in range(n_pairs):
        start = reader.at
        reader.string()
        reader.value(reader.number("type", 4))
        pairs.append((start, reader.at))
    for _ in range(n_tensors):
        start = reader.at
        reader.string()
        for _ in range(reader.number("count", 4)):
            reader.number("length", 8)
        reader.number("type", 4)
        reader.number("number", 8)
        tensors.append((start, reader.at))
    return Header(tuple(reader.fields), tuple(pairs), tuple(tensors), reader.at)


def mutated_models(data: bytes, n: int, seed: int) -> Iterator[bytes]:
    """n damaged copies of a core; equal arguments give equal files."""
    return _mutants(data, n, random.Random(f"model {seed}"))  # noqa: S311 - not secret, but the same each time


def mutated_adapters(data: bytes, n: int, seed: int) -> Iterator[bytes]:
    """n damaged copies of an adapter; a quarter of them also has numbers spoiled in its tensors."""
    rng = random.Random(f"adapter {seed}")  # noqa: S311 - not secret, but the same each time
    end = header(data).end
    for mutant in _mutants(data, n, rng):
        spoiled = bytearray(mutant)
        if rng.random() < 0.25 and len(spoiled) > end + 8:
            for _ in range(rng.randint(1, 8)):
                at = rng.randrange(end, len(spoiled) - 4) // 4 * 4
                spoiled[at:at + 4] = struct.pack("<f", rng.choice([float("nan"), float("inf"), 3e38, -3e38, 1e-40]))
        yield bytes(spoiled)


def _mutants(data: bytes, n: int, rng: random.Random) -> Iterator[bytes]:
    """Pairs and tensors are told apart from the fields of long vocabularies, which would drown all others."""
    shape = header(data)
    few: dict[str, list[Field]] = {}
    for field in shape.fields:
        few.setdefault(field.kind, []).append(field)
    for _ in range(n):
        mutant = bytearray(data)
        for way in sorted(rng.choices(_WAYS, k=rng.choice([1, 1, 2, 3])), key=_WAYS.index):
            way(mutant, shape, few, rng)
        yield bytes(mutant)


Fields = dict[str, list[Field]]


def _pick(few: Fields, rng: random.Random, *kinds: str) -> Field:
    """A field of these kinds, one in two of them among the 40 first or the 200 last: keys and tensors."""
    found = [field for kind in kinds for field in few[kind]]
    return rng.choice(found[:40] + found[-200:] if rng.random() < 0.5 else found)


def _flip(mutant: bytearray, shape: Header, few: Fields, rng: random.Random) -> None:
    for _ in range(rng.choice([1, 1, 4, 32])):
        mutant[rng.randrange(min(shape.end, len(mutant)))] ^= 1 << rng.randrange(8)


def _number(mutant: bytearray, shape: Header, few: Fields, rng: random.Random) -> None:
    """A count, length, dimension or value at an edge, or beside what it was."""
    field = _pick(few, rng, rng.choice(["count", "length", "number"]))
    width = field.end - field.start
    was = int.from_bytes(mutant[field.start:field.end], "little")
    now = rng.choice([*EDGES, was - 1, was + 1, was * 2, was // 2, was ^ 1 << rng.randrange(8 * width)])
    mutant[field.start:field.end] = (now % (1 << 8 * width)).to_bytes(width, "little")


def _type(mutant: bytearray, shape: Header, few: Fields, rng: random.Random) -> None:
    field = _pick(few, rng, "type")
    mutant[field.start:field.end] = rng.choice([*range(45), 255, 2**31, 2**32 - 1]).to_bytes(4, "little")


def _name(mutant: bytearray, shape: Header, few: Fields, rng: random.Random) -> None:
    field = _pick(few, rng, "name")
    if field.end > field.start:
        mutant[rng.randrange(field.start, field.end)] = rng.choice([0, 10, 37, 45, 46, 48, 127, 192, 255])


def _swap(mutant: bytearray, shape: Header, few: Fields, rng: random.Random) -> None:
    """Two entries change places in part: the one's bytes stand in the other's place too."""
    entries = [*shape.pairs, *shape.tensors]
    one, other = rng.choice(entries), rng.choice(entries)
    n = min(one[1] - one[0], other[1] - other[0], 64)
    mutant[one[0]:one[0] + n], mutant[other[0]:other[0] + n] = mutant[other[0]:other[0] + n], mutant[one[0]:one[0] + n]


def _drop(mutant: bytearray, shape: Header, few: Fields, rng: random.Random) -> None:
    """An entry is gone, or is there twice; the count follows, so that the rest reads well."""
    kind, at = rng.choice([(shape.pairs, 16), (shape.tensors, 8)])
    start, end = rng.choice(kind)
    twice = rng.random() < 0.3
    mutant[start:end] = mutant[start:end] * 2 if twice else b""
    n = int.from_bytes(mutant[at:at + 8], "little") + (1 if twice else -1)
    mutant[at:at + 8] = (n % (1 << 64)).to_bytes(8, "little")


def _cut(mutant: bytearray, shape: Header, few: Fields, rng: random.Random) -> None:
    end = min(shape.end, len(mutant) - 1)
    del mutant[max(4, rng.choice([rng.randrange(end), rng.randrange(end, len(mutant)), len(mutant) - 1])):]


# In this order, so that what changes the length comes last. Numbers thrice: most known faults of loaders are there.
_WAYS: list[Callable[[bytearray, Header, Fields, random.Random], None]] = [
    _flip, _number, _number, _number, _type, _name, _swap, _drop, _cut]
