"""OpenAI messages: {"messages": [{"role", "content"}, ...]}, one object, an array, or one object a line.

The format has no ids and no times, so both ids are hashes of content with a counter for repetitions.
"""
from __future__ import annotations

from collections import Counter

from twin.importers.encoding import Mended
from twin.importers.found import Found, found, id_from, message, one_newline, trim
from twin.types import Conversation, Message

SOURCE = "messages"

_SKIPPED_ROLES = {"system": "system", "developer": "system", "tool": "tool", "function": "tool"}


def recognises(value: object) -> bool:
    """True for an object whose `messages` have roles; Telegram's have none."""
    said = value.get("messages") if isinstance(value, dict) else None
    return isinstance(said, list) and any(isinstance(one, dict) and "role" in one for one in said)


def is_message(value: object) -> bool:
    """True for one bare message, as in a file that holds a single conversation as an array."""
    return isinstance(value, dict) and isinstance(value.get("role"), str) and "content" in value


class Reader:
    """Conversations of one file; equal ones are told apart by their number."""

    def __init__(self, file: str, mended: Mended) -> None:
        self.file = file
        self.mended = mended
        self._seen: Counter[str] = Counter()

    def read(self, value: object, number: int) -> Found:
        """One conversation. What cannot be read comes back as a failure that names it; it never raises."""
        said = value.get("messages") if isinstance(value, dict) else None
        if not isinstance(said, list):
            return Found(self.file, failure=f"conversation {number}: there is no list of 'messages' in it. "
                                            "Mend that line, or go on without it.")
        skipped: Counter[str] = Counter()
        spoken: list[Message] = []
        for one in said:
            read = self._message(one)
            if isinstance(read, str):
                skipped[read] += 1
            else:
                spoken.append(read)
        ident = id_from((f"{one.role}\n{one.text}" for one in spoken), "messages")
        self._seen[ident] += 1
        if self._seen[ident] > 1:
            ident = f"{ident}-{self._seen[ident]}"
        return found(self.file, Conversation(ident, _with_ids(ident, spoken), None, SOURCE), skipped)

    def _message(self, one: object) -> Message | str:
        """A message without its id yet, or the reason to skip it."""
        role = one.get("role") if isinstance(one, dict) else None
        if not isinstance(one, dict) or not isinstance(role, str):
            return "malformed message"
        if role in _SKIPPED_ROLES:
            return _SKIPPED_ROLES[role]
        if role not in ("user", "assistant"):
            return "unknown speaker"
        original, attached = _speech(one.get("content"))
        if not original.strip():
            return "attachment only" if attached else "tool call" if one.get("tool_calls") else "empty"
        name = one.get("name")
        return message("", "user" if role == "user" else "assistant", original, self.mended.text(original),
                       author=self.mended.text(name) if isinstance(name, str) else None, own=role == "user",
                       flags=("attachment",) if attached else ())


def _with_ids(conversation: str, spoken: list[Message]) -> tuple[Message, ...]:
    counted: Counter[tuple[str, str]] = Counter()
    named: list[Message] = []
    for one in spoken:
        counted[one.role, one.text] += 1
        ident = id_from((conversation, one.role, one.text, str(counted[one.role, one.text])), "message")
        named.append(Message(ident, one.role, one.text, one.author, one.time, one.own, one.flags, one.raw))
    return tuple(named)


def _speech(content: object) -> tuple[str, bool]:
    """Text of a content, which is a string or a list of typed parts, and whether something was attached."""
    parts = content if isinstance(content, list) else [content]
    texts, attached = [], False
    for part in parts:
        text = part.get("text") if isinstance(part, dict) else part
        if isinstance(text, str):
            texts.append(text)
        elif part is not None:
            attached = True
    return trim(one_newline("\n".join(texts))), attached
