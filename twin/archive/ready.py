"""Messages made ready for the archive: checked, cleaned, told apart, hashed. Knows no table and no file."""
from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import UTC
from typing import NamedTuple, get_args

from twin.text import clean
from twin.types import Message, Speaker, digest

_SPEAKERS = get_args(Speaker)
_json = json.JSONEncoder(ensure_ascii=False).encode  # json.dumps makes a new encoder each time: 2 s of 100,000


class Ready(NamedTuple):
    """A message as it is stored, and the hash of its content."""

    message: Message
    hash: str


def readable(messages: Sequence[Message]) -> Iterator[Ready | str | None]:
    """For each message in its order: the message as it is stored, the reason why it cannot be, or None where it is
    empty."""
    for number, message in enumerate(messages, 1):
        try:
            stored = _storable(message)
        except (AttributeError, TypeError, ValueError, OverflowError) as error:
            yield f"message {number}: {error}"
            continue
        yield Ready(stored, _content_hash(stored)) if stored.text.strip() else None


def _storable(message: Message) -> Message:
    """Check the values; clean the texts, keep the original bytes where that changed them, bring the time to UTC."""
    if not isinstance(message.text, str):
        raise TypeError(f"its text is of type {type(message.text).__name__}")
    if message.role not in _SPEAKERS:
        raise ValueError(f"its role is {message.role!r}")
    name, text = cleaned(message.id, "id"), cleaned(message.text, "text") or ""
    if not name:
        raise ValueError("it has no id")
    if not isinstance(message.raw, bytes | None):
        raise TypeError(f"its raw is of type {type(message.raw).__name__}")
    raw = message.raw
    if raw is None and text != message.text:
        raw = message.text.encode("utf-8", "surrogatepass")
    flags = tuple(cleaned(flag, "flag") or "" for flag in message.flags)
    if message.time is not None and message.time.tzinfo is None and "local_time" not in flags:
        flags += ("local_time",)  # a time without a zone is taken as this machine's, and says so
    time = message.time and message.time.astimezone(UTC)
    author = cleaned(message.author, "author")
    if (name, text, author, flags, raw) == (message.id, message.text, message.author, message.flags, message.raw) \
            and time is message.time and isinstance(message.own, bool):
        return message
    return replace(message, id=name, text=text, author=author, time=time, own=bool(message.own), flags=flags, raw=raw)


def distinct(messages: Sequence[Ready]) -> list[Ready]:
    """Give different messages under one id the ids x, x#2, x#3 in their order, so that none is lost."""
    taken = {ready.message.id for ready in messages}
    if len(taken) == len(messages):
        return list(messages)
    names: dict[str, dict[str, str]] = {}  # id -> content hash -> id in the archive
    result = []
    for message, hash_ in messages:
        known = names.setdefault(message.id, {})
        if hash_ not in known:
            name = f"{message.id}#{len(known) + 1}" if known else message.id
            while known and name in taken:
                name += "#"
            known[hash_] = name
        result.append(Ready(replace(message, id=known[hash_]), hash_))
    return result


def _content_hash(message: Message) -> str:
    """What makes a message another one: who said what, and in which standing. Not the time and the author's name:
    a note read in another time zone, a contact that was renamed, say nothing new."""
    return digest(_json([message.role, message.own, message.flags, message.text]))


def cleaned(value: str | None, what: str) -> str | None:
    """text.clean, and NUL as U+FFFD: C code below (llama.cpp, SQL functions) would end the text there."""
    if value is None:
        return None
    if not isinstance(value, str):
        raise TypeError(f"its {what} is of type {type(value).__name__}")
    return clean(value).replace("\0", "\ufffd")


def utf8(value: str) -> str:
    """A text SQLite accepts: lone surrogates as U+FFFD, otherwise untouched. For JSON, where NFC could join the n of
    a newline's escape with an accent."""
    return value.encode("utf-8", "surrogatepass").decode("utf-8", "replace")
