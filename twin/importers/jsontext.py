"""JSON text to its conversations, one at a time: an export may have hundreds of megabytes, its objects ten times that.

Reads arrays, one object, {"conversations": [...]} and JSON Lines. Knows no provider.
"""
from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass

from twin.errors import BrokenFile

_LOOKS_LIKE = re.compile(r"\s*(?:\{\s*\"|\[\s*\{|\[\s*null\s*,|(?:\{\s*\}|\[\s*\])\s*$)")
_BLANK = re.compile(r"[ \t\n\r]*")
_DECODER = json.JSONDecoder(strict=False)


@dataclass(frozen=True)
class BrokenLine:
    """One line of JSON Lines that does not parse."""

    number: int
    why: str


def looks_like_json(text: str) -> bool:
    """True when the text begins as JSON; a note that begins with [[a link]], [ ] or [1] does not."""
    return _LOOKS_LIKE.match(text) is not None


def values(text: str, file: str) -> Iterator[object]:
    """Each conversation-to-be of the text. Raises BrokenFile where the JSON breaks off."""
    try:
        yield from _values(text)
    except json.JSONDecodeError as error:
        raise BrokenFile(f"{file} is broken JSON: {error.msg} (line {error.lineno}, column {error.colno}).",
                         "The download may have been cut off: export or unpack it again.") from error
    except (ValueError, RecursionError) as error:
        raise BrokenFile(f"{file} is JSON that no export writes (numbers or nesting beyond all bounds).",
                         "Export it again.") from error


def _values(text: str) -> Iterator[object]:
    start = _after_blank(text, 0)
    if text[start] == "[":
        yield from _elements(text, start)
        return
    try:
        value, end = _DECODER.raw_decode(text, start)
    except json.JSONDecodeError:
        if not _has_other_lines(text):
            raise
        end = start
    if _after_blank(text, end) < len(text):
        yield from _lines(text)
    elif isinstance(value, dict) and isinstance(value.get("conversations"), list) and "mapping" not in value:
        # ShareGPT uses the same key for its messages: then the whole object is the conversation.
        chats = value["conversations"]
        yield from [value] if any(isinstance(chat, dict) and "from" in chat for chat in chats) else chats
    else:
        yield value


def _elements(text: str, start: int) -> Iterator[object]:
    at = _after_blank(text, start + 1)
    while text[at:at + 1] != "]":
        value, at = _DECODER.raw_decode(text, at)
        yield value
        at = _after_blank(text, at)
        if text[at:at + 1] == ",":
            at = _after_blank(text, at + 1)
        elif text[at:at + 1] != "]":
            raise json.JSONDecodeError("the array does not end", text, at)
    if _after_blank(text, at + 1) < len(text):
        raise json.JSONDecodeError("more text after the array", text, at + 1)


def _lines(text: str) -> Iterator[object]:
    for number, line in enumerate(text.split("\n"), 1):
        if line.strip():
            try:
                yield _DECODER.decode(line)
            except json.JSONDecodeError as error:
                yield BrokenLine(number, f"{error.msg} (column {error.colno})")


def _has_other_lines(text: str) -> bool:
    """True when the first line is broken but another holds a conversation: JSON Lines with one bad line."""
    for line in text.split("\n", 100)[1:100]:
        try:
            value = _DECODER.decode(line)
        except json.JSONDecodeError:
            continue
        if isinstance(value, dict) and {"messages", "mapping"} & value.keys():
            return True
    return False


def _after_blank(text: str, at: int) -> int:
    match = _BLANK.match(text, at)
    return at if match is None else match.end()


def string_lines(value: object) -> Iterator[str]:
    """Every line of every string inside a JSON value, keys left out."""
    waiting = [value]
    while waiting:
        inner = waiting.pop()
        if isinstance(inner, str):
            yield from inner.split("\n")
        elif isinstance(inner, dict):
            waiting.extend(inner.values())
        elif isinstance(inner, list):
            waiting.extend(inner)
