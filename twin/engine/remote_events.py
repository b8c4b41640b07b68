"""Server-sent events of an answer: bytes, cut anywhere, to the JSON of each event. Knows no network."""
from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from typing import Any

_LONGEST = 4 << 20                   # bytes of one event
ALIVE, DONE = object(), object()     # a comment came; the server said that it has said all


def events(parts: Iterable[bytes]) -> Iterator[Any]:
    """Server-sent events (WHATWG HTML, 9.2.6) of bytes that are cut anywhere: the JSON of each, ALIVE for a comment,
    DONE for [DONE]. Raises ValueError for what is no JSON, and for an event over 4 MiB."""
    data: list[bytes] = []
    held = 0
    for line in _lines(parts):
        if line.startswith(b":"):
            yield ALIVE
        elif line.startswith(b"data:"):
            data.append(line[5:].removeprefix(b" "))
            held += len(line)
            if held > _LONGEST:
                raise ValueError("an event is too long")
        elif not line and data:
            yield _event(b"\n".join(data))
            data, held = [], 0
    if data:
        yield _event(b"\n".join(data))  # a server that ends without the last empty line


def _lines(parts: Iterable[bytes]) -> Iterator[bytes]:
    rest = b""
    for part in parts:
        *whole, rest = (rest + part).split(b"\n")
        for line in whole:
            yield line.removesuffix(b"\r")
        if len(rest) > _LONGEST:
            raise ValueError("a line is too long")
    if rest:
        yield rest.removesuffix(b"\r")


def _event(data: bytes) -> Any:
    return DONE if data.strip() == b"[DONE]" else json.loads(data)
