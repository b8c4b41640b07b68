"""A GGUF file written from values and tensors: version 3, little-endian; the same input gives the same bytes.

Format: ggml's docs/gguf.md. Knows nothing of models: what keys one needs is its converter's business.
"""
from __future__ import annotations

import struct
from array import array
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import BinaryIO, TypeAlias

Value: TypeAlias = "str | bool | int | float | Sequence[bytes] | array[int] | array[float]"

F32, Q4_0 = 0, 2  # ggml.h: enum ggml_type
_UINT32, _INT32, _FLOAT32, _BOOL, _STRING, _ARRAY = 4, 5, 6, 7, 8, 9  # gguf.h: enum gguf_type
_ALIGNMENT = 32


@dataclass(frozen=True)
class Tensor:
    """`shape` in ggml's order: a row's length first. `data`: F32 numbers, or Q4_0 blocks of 18 bytes for 32 numbers (an
    f16 scale, then 16 bytes with number j in the low and number j + 16 in the high half of byte j)."""

    name: str
    type: int
    shape: tuple[int, ...]
    data: bytes | memoryview


def write(file: BinaryIO, values: Mapping[str, Value], tensors: Sequence[Tensor]) -> None:
    """Write all in the order given: an int as uint32, a float as float32, arrays of C ints ("i") or floats ("f") as
    they are, other sequences as strings."""
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
        kind = {"i": _INT32, "f": _FLOAT32}[value.typecode]
        return struct.pack("<IIQ", _ARRAY, kind, len(value)) + struct.pack(f"<{len(value)}{value.typecode}", *value)
    return struct.pack("<IIQ", _ARRAY, _STRING, len(value)) + b"".join(map(_string, value))
