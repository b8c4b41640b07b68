"""Passages: a message cut into pieces that can be recalled, and the shelf that knows which are stored."""
from __future__ import annotations

import json
from dataclasses import dataclass, field
from datetime import UTC
from typing import Any

from twin.memory.lance import columns
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


def passages(conversation: str, message: Message, number: int) -> list[dict[str, Any]]:
    """Rows of one message, without vectors. `row_hash` covers all that was given, so that damage can be found."""
    if "hidden" in message.flags:
        return []
    time = message.time.replace(tzinfo=UTC) if message.time and message.time.tzinfo is None else message.time
    author = clean(message.author) if message.author else None
    rows = []
    for window, text in enumerate(windows(clean(message.text))):
        given = [conversation, message.id, window, message.role, author, message.own, time and time.isoformat(), text]
        rows.append({
            "id": digest(json.dumps(given[:3])), "place": (number << WINDOWS) | window, "conversation": conversation,
            "message_ids": [message.id], "role": message.role, "author": author, "own": message.own, "time": time,
            # "What did Anna say about ...": the speaker's name is a word and is embedded: .63 against .49 on LoCoMo.
            "lang": language(text), "text": text, "stems": " ".join(stems(f"{author or ''} {text}")),
            "row_hash": digest(json.dumps(given)), "embedder": "", "vector": None})
    return rows


@dataclass
class Shelf:
    """What a table holds: for each message its number, and hashes by passage id. New messages get the next number."""

    rows: dict[tuple[str, str], dict[str, str]] = field(default_factory=dict)
    numbers: dict[tuple[str, str], int] = field(default_factory=dict)
    last: dict[str, int] = field(default_factory=dict)  # the highest number in each conversation

    @classmethod
    def read(cls, table: Any) -> Shelf:
        shelf = cls()
        for row in columns(table, "conversation", "message_ids", "place", "id", "row_hash").to_pylist():
            conversation, number = row["conversation"], row["place"] >> WINDOWS
            key = conversation, row["message_ids"][0]
            shelf.rows.setdefault(key, {})[row["id"]] = row["row_hash"]
            shelf.numbers[key] = number
            shelf.last[conversation] = max(number, shelf.last.get(conversation, 0))
        return shelf

    def put(self, conversation: str, message: Message, batch: dict[str, dict[str, Any]], stale: set[str]) -> None:
        """Note one message: changed passages go into the batch, ids that are no longer wanted among the stale."""
        key = conversation, message.id
        number = self.numbers.get(key)
        if number is None:
            after = self.last.get(conversation)
            number = (max(self.last.values(), default=-1) >> _MESSAGE) + 1 << _MESSAGE if after is None else after + 1
        rows, old = passages(conversation, message, number), self.rows.get(key, {})
        if not rows and not old:
            return
        for row in rows:
            stale.discard(row["id"])
            if old.get(row["id"]) != row["row_hash"]:
                batch[row["id"]] = row
        for id_ in old.keys() - {row["id"] for row in rows}:
            batch.pop(id_, None)
            stale.add(id_)
        self.rows[key] = {row["id"]: row["row_hash"] for row in rows}
        self.numbers[key] = number
        self.last[conversation] = max(number, self.last.get(conversation, 0))
