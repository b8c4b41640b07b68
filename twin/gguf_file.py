"""GGUF files, little-endian: written (version 3) from values and tensors, the same input giving the same bytes; and
their headers read.

Format: ggml's docs/gguf.md. Knows nothing of models: what keys one needs is its converter's business.
"""
from __future__ import annotations

import mmap
import struct
from array import array
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO, TypeAlias

from twin.errors import ModelBroken

Value: TypeAlias = "str | bool | int | float | Sequence[bytes] | array[int] | array[float]"

F32, F16, Q4_0 = 0, 1, 2  # ggml.h: enum ggml_type
# gguf.h: enum gguf_type; the numbers of 1 to 8 bytes as struct and array spell them
_UINT32, _INT32, _FLOAT32, _BOOL, _STRING, _ARRAY = 4, 5, 6, 7, 8, 9
_NUMBERS = {0: "B", 1: "b", 2: "H", 3: "h", _UINT32: "I", _INT32: "i", _FLOAT32: "f", _BOOL: "?", 10: "Q", 11: "q",
            12: "d"}
_ALIGNMENT = 32


@dataclass(frozen=True)
class Tensor:
    """`shape` in ggml's order: a row's length first. `data`: F32 numbers, or Q4_0 blocks of 18 bytes for 32 numbers (an
    f16 scale, then 16 bytes with number j in the low and number j + 16 in the high half of byte j)."""

    name: str
    type: int
    shape: tuple[int, ...]
    data: bytes | memoryview


@dataclass(frozen=True)
class Place:
    """Where a tensor lies: `offset` in bytes from the beginning of the file; `shape` in ggml's order."""

    name: str
    type: int
    shape: tuple[int, ...]
    offset: int


@dataclass(frozen=True)
class Header:
    """What a file says of itself, and where its tensors are. Texts come as str, arrays of texts as lists of bytes."""

    values: Mapping[str, Any] = field(repr=False)
    tensors: tuple[Place, ...] = field(repr=False)


# ---- writing -------------------------------------------------------------------------------------------------------

def write(file: BinaryIO, values: Mapping[str, Value], tensors: Sequence[Tensor]) -> None:
    """Write all in the order given: an int as uint32, a float as float32, arrays of C ints ("i", "I") or floats ("f")
    as they are, other sequences as strings."""
    file.write(b"GGUF" + struct.pack("<IQQ", 3, len(tensors), len(values)))
    for key, value in values.items():
        file.write(_string(key.encode()) + _value(value))
    offset = 0
    for tensor in tensors:
        dimensions = len(tensor.shape)
        file.write(_string(tensor.name.encode()) + struct.pack(f"<I{dimensions}QIQ", dimensions, *tensor.shape,
                                                               tensor.type, offset))
        offset += len(tensor.data) + -len(tensor.data) % _ALIGNMENT
    for data in (b"", *(tensor.data for tensor in tensors)):
        file.write(data)
        file.write(bytes(-file.tell() % _ALIGNMENT))


def _string(text: bytes) -> bytes:
    return struct.pack("<Q", len(text)) + text


def _value(value: Value) -> bytes:
    """The type's number, then the value."""
    if isinstance(value, str):
        return struct.pack("<I", _STRING) + _string(value.encode())
    if isinstance(value, bool):  # before int: a bool is one
        return struct.pack("<I?", _BOOL, value)
    if isinstance(value, int):
        return struct.pack("<II", _UINT32, value)
    if isinstance(value, float):
        return struct.pack("<If", _FLOAT32, value)
    if isinstance(value, array):
        kind = {"I": _UINT32, "i": _INT32, "f": _FLOAT32}[value.typecode]
        return struct.pack("<IIQ", _ARRAY, kind, len(value)) + struct.pack(f"<{len(value)}{value.typecode}", *value)
    return struct.pack("<IIQ", _ARRAY, _STRING, len(value)) + b"".join(map(_string, value))


# ---- reading -------------------------------------------------------------------------------------------------------

def header(path: Path) -> Header:
    """The header of a file; its tensors are not read (0.2 s for a vocabulary of 150,000). Raises ModelBroken for what
    is no such file or ends before its header does, OSError."""
    with path.open("rb") as file:
        if path.stat().st_size < 24:
            raise ModelBroken(f"{path.name} is no GGUF file.", "Fetch it again.")
        with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
            try:
                return _Reader(data).header()
            except (struct.error, ValueError, KeyError, OverflowError, MemoryError) as error:
                raise ModelBroken(f"The header of {path.name} is damaged ({error}).", "Fetch it again.") from error


class _Reader:
    def __init__(self, data: mmap.mmap) -> None:
        self.data, self.at = data, 0

    def header(self) -> Header:
        if self.data[:4] != b"GGUF" or self.one("I", skip=4) not in (2, 3):
            raise ValueError("it does not begin with GGUF and a version known here")
        n_tensors, n_values = self.one("Q"), self.one("Q")
        values = {self.text().decode("utf-8", "replace"): self.value(self.one("I")) for _ in range(n_values)}
        tensors = [(self.text().decode("utf-8", "replace"), tuple(self.one("Q") for _ in range(self.one("I"))),
                    self.one("I"), self.one("Q")) for _ in range(n_tensors)]
        start = self.at + -self.at % int(values.get("general.alignment", _ALIGNMENT))
        return Header(values, tuple(Place(name, kind, shape, start + offset) for name, shape, kind, offset in tensors))

    def one(self, code: str, skip: int = 0) -> Any:
        found, = struct.unpack_from(f"<{code}", self.data, self.at + skip)
        self.at += skip + struct.calcsize(f"<{code}")
        return found

    def text(self) -> bytes:
        return self.take(self.one("Q"))

    def take(self, length: int) -> bytes:
        if length > len(self.data) - self.at:
            raise ValueError("it ends too early")
        self.at += length
        return self.data[self.at - length:self.at]

    def value(self, kind: int) -> Any:
        if kind == _STRING:
            return self.text().decode("utf-8", "replace")
        if kind != _ARRAY:
            return self.one(_NUMBERS[kind])
        of, length = self.one("I"), self.one("Q")
        if of == _STRING:
            return [self.text() for _ in range(length)]
        code = _NUMBERS[of]  # an array of arrays is a KeyError: no such key is in use
        numbers = array("B" if code == "?" else code)
        numbers.frombytes(self.take(length * numbers.itemsize))
        return numbers
