"""Passages: a message cut into pieces that can be recalled, and the shelf that knows which are stored."""
from __future__ import annotations

import json
from dataclasses import dataclass, field
from datetime import UTC
from typing import Any

from twin.memory.lance import batches
from twin.text import clean, language, sentences, stems
from twin.types import Message, digest

_WINDOW = 900  # characters; about 200 word pieces of English, MiniLM reads 256
_MESSAGE, WINDOWS = 24, 16  # bits: a place is conversation << 40 | message << 16 | window, so neighbours are +-1


def windows(text: str) -> list[str]:
    """Text cut at sentence ends into pieces of at most 900 characters; a longer sentence is cut at blanks."""
    cuts: list[tuple[int, int]] = []
    for left, right in sentences(text):
        if cuts and right - cuts[-1][0] <= _WINDOW:
            cuts[-1] = (cuts[-1][0], right)
            continue
        while right - left > _WINDOW:
            blank = text.rfind(" ", left + 1, left + _WINDOW + 1)
            cut = blank if blank > left else left + _WINDOW
            cuts.append((left, cut))
            left = cut
        cuts.append((left, right))
    return [text[left:right].strip() for left, right in cuts]


def tags(message: Message) -> list[str]:
    """What a Scope may ask for: the kind of source, the flags and the language of a message."""
    return [clean(tag) for tag in dict.fromkeys((*filter(None, [message.source]), *message.flags,
                                                 language(clean(message.text))))]


def passages(conversation: str, message: Message, number: int) -> list[dict[str, Any]]:
    """Rows of one message, without their stems (a third of the work, and most messages come again unchanged).
    `row_hash` covers all that was given, so that a change and damage can be found."""
    if "hidden" in message.flags:
        return []
    time = message.time.replace(tzinfo=UTC) if message.time and message.time.tzinfo is None else message.time
    author = clean(message.author) if message.author else None
    kinds, rows = tags(message), []
    for window, text in enumerate(windows(clean(message.text))):
        given = [conversation, message.id, window, message.role, author, message.own, time and time.isoformat(), text,
                 kinds]
        rows.append({
            "id": digest(json.dumps(given[:3])), "place": (number << WINDOWS) | window, "message": message.id,
            "role": message.role, "text": text, "row_hash": digest(json.dumps(given)),
            "own": message.own, "author": author, "conversation": conversation, "time": time, "tags": kinds})
    return rows


@dataclass
class Shelf:
    """What a table holds: for each message its number and the hash of each of its passages, in order. New messages get
    the next number of their conversation. 45 MB and 1 s for 100,000 messages."""

    stored: dict[tuple[str, str], tuple[int, tuple[str, ...]]] = field(default_factory=dict)
    last: dict[str, int] = field(default_factory=dict)  # the highest number in each conversation
    highest: int = -1

    @classmethod
    def read(cls, table: Any) -> Shelf:
        shelf, names = cls(), dict[str, str]()
        found: dict[tuple[str, str], tuple[int, dict[int, str]]] = {}
        for batch in batches(table, "conversation", "message", "place", "row_hash"):
            given = (batch[name].to_pylist() for name in ("conversation", "message", "place", "row_hash"))
            for conversation, message, place, hash_ in zip(*given, strict=True):
                conversation = names.setdefault(conversation, conversation)
                number, window = place >> WINDOWS, place & (1 << WINDOWS) - 1
                found.setdefault((conversation, message), (number, {}))[1][window] = hash_
                shelf._note(conversation, number)
        shelf.stored = {key: (number, tuple(hashes.get(i, "") for i in range(max(hashes) + 1)))
                        for key, (number, hashes) in found.items()}
        return shelf

    def _note(self, conversation: str, number: int) -> None:
        self.last[conversation] = max(number, self.last.get(conversation, 0))
        self.highest = max(self.highest, number)

    def _number(self, conversation: str) -> int:
        after = self.last.get(conversation)
        return (self.highest >> _MESSAGE) + 1 << _MESSAGE if after is None else after + 1

    def put(self, conversation: str, message: Message, batch: dict[int, dict[str, Any]], stale: set[int]) -> None:
        """Note one message: changed passages go into the batch by place, places that held another text or are no
        longer wanted among the stale."""
        key = conversation, message.id
        number, old = self.stored.get(key) or (self._number(conversation), ())
        rows = passages(conversation, message, number)
        for window, row in enumerate(rows):
            place = row["place"]
            if window >= len(old) or old[window] != row["row_hash"]:
                # "What did Anna say about ...": the speaker's name is a word too, and is embedded.
                row["stems"] = " ".join(stems(f"{row['author'] or ''} {row['text']}"))
                batch[place] = row
                if window < len(old):
                    stale.add(place)
        for window in range(len(rows), len(old)):
            place = number << WINDOWS | window
            batch.pop(place, None)
            stale.add(place)
        if rows or old:
            self.stored[key] = number, tuple(row["row_hash"] for row in rows)
            self._note(conversation, number)
