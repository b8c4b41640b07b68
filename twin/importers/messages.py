"""OpenAI messages: {"messages": [{"role", "content"}, ...]}, one object, an array, or one object a line.

The format has no ids and no times, so both ids are hashes of content with a counter for repetitions.
"""
from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import replace

from twin.importers.found import Context, Found, found, id_from, message, one_newline, trim
from twin.types import Conversation, Message

SOURCE = "messages"

_SKIPPED_ROLES = {"system": "system", "developer": "system", "tool": "tool", "function": "tool"}


def recognises(value: object) -> bool:
    """True for an object whose `messages` have roles (Telegram's have none), and for one bare message: such a file
    holds a single conversation. Open WebUI's older chats look alike but keep a history too."""
    if not isinstance(value, dict) or isinstance(value.get("history"), dict):
        return False
    said = value.get("messages")
    return is_message(value) or (isinstance(said, list) and any(isinstance(one, dict) and "role" in one
                                                                 for one in said))


def is_message(value: object) -> bool:
    """True for one bare message, as in a file that holds a single conversation as an array."""
    return isinstance(value, dict) and isinstance(value.get("role"), str) and "content" in value


def read(values: Iterable[object], context: Context) -> Iterator[Found]:
    """Each conversation, or the one that bare messages make up. What cannot be read comes back as a failure."""
    rest = iter(values)
    reader = _Reader(context)
    for number, value in enumerate(rest, 1):
        yield reader.read({"messages": [value, *rest]} if is_message(value) else value, number)


class _Reader:
    """Conversations of one file; equal ones are told apart by their number."""

    def __init__(self, context: Context) -> None:
        self.file = context.file
        self.mended = context.mended
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
        return found(self.file, conversation_of(spoken, SOURCE, self._seen), skipped)

    def _message(self, one: object) -> Message | str:
        """A message without its id yet, or the reason to skip it."""
        role = one.get("role") if isinstance(one, dict) else None
        if not isinstance(one, dict) or not isinstance(role, str):
            return "malformed message"
        if role in _SKIPPED_ROLES:
            return _SKIPPED_ROLES[role]
        if role not in ("user", "assistant"):
            return "unknown speaker"
        original, attached = speech(one.get("content"))
        if not original.strip():
            return "attachment only" if attached else "tool call" if one.get("tool_calls") else "empty"
        name = one.get("name")
        return message("", "user" if role == "user" else "assistant", original, self.mended.text(original),
                       author=self.mended.text(name) if isinstance(name, str) else None, own=role == "user",
                       flags=("attachment",) if attached else ())


def conversation_of(spoken: list[Message], source: str, seen: Counter[str]) -> Conversation:
    """Messages without ids as a conversation whose ids are hashes of content; `seen` counts equal conversations."""
    ident = id_from((f"{one.role}\n{one.text}" for one in spoken), source)
    seen[ident] += 1
    if seen[ident] > 1:
        ident = f"{ident}-{seen[ident]}"
    counted: Counter[tuple[str, str]] = Counter()
    named: list[Message] = []
    for one in spoken:
        counted[one.role, one.text] += 1
        own_id = id_from((ident, one.role, one.text, str(counted[one.role, one.text])), "message")
        named.append(replace(one, id=own_id))
    return Conversation(ident, tuple(named), None, source)


def speech(content: object) -> tuple[str, bool]:
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
