"""The order of messages in a conversation: where those go that come later. Knows positions, no texts.

Positions leave gaps, so that a part costs its own length, however long the conversation is; only where a gap is used
up all of them are numbered anew.
"""
from __future__ import annotations

import json
import sqlite3
from collections.abc import Mapping, Sequence
from typing import Any

ROOM = 1 << 20  # between the positions of neighbours
_END = 1 << 62

Span = tuple[str, str]
"""First and last time of a part, ISO UTC."""
Gap = tuple[int | None, int | None]
"""The positions between which something goes, None where there is no neighbour."""


class Order:
    """The orders of one import. Remembers where each conversation's last part ended: the next one goes on there."""

    def __init__(self, db: sqlite3.Connection) -> None:
        self.db = db
        self._ended: dict[str, str] = {}

    def ended(self, conversation: str, message: str) -> None:
        """This message was the last of a part."""
        self._ended[conversation] = message

    def places(self, conversation: str, known: Mapping[str, int], incoming: Sequence[str],
               span: Span | None = None) -> dict[str, int]:
        """Positions of the messages that are new; `known` are those of the others, `span` their first and last time.

        What is stored keeps its order. What is new follows the neighbour it came after, or stands before the first
        that is known. Where none is known it follows the last part or the end, if that fits its time; else it stands
        before what was said later.
        """
        groups: dict[str, dict[str, None]] = {}  # by the neighbour; ids are never empty: "" is none
        anchor = first = ""
        for name in incoming:
            if name in known:
                anchor, first = name, first or name
            else:
                groups.setdefault(anchor, {})[name] = None
        place: dict[str, int] = {}
        for anchor, names in groups.items():
            low: int | None
            high: int | None
            if anchor:
                low, high = known[anchor], self._next(conversation, known[anchor])
            elif first:
                low, high = self._previous(conversation, known[first]), known[first]
            else:
                low, high = self._beside(conversation, span)
            if low is None:
                low = 0 if high is None else high - ROOM * (len(names) + 1)
            step = ROOM if high is None else min(ROOM, (high - low) // (len(names) + 1))
            if not step:
                self._spread(conversation, len(names) + 1)
                return self.places(conversation, self._positions(conversation, list(known)), incoming, span)
            place |= {name: low + step * number for number, name in enumerate(names, 1)}
        return place

    def _beside(self, conversation: str, span: Span | None) -> Gap:
        """The positions between which a part goes that shares no message with what is stored. Reads the conversation
        only where neither place that is likely fits its time."""
        ended = self._ended.get(conversation, "")
        after = self._positions(conversation, [ended]).get(ended)
        end = self._previous(conversation, _END), None
        likely = [end] if after is None else [(after, self._next(conversation, after)), end]
        if span is None:
            return likely[0]
        for gap in likely:
            if self._fits(conversation, gap, span):
                return gap
        before = self._one("SELECT min(position) FROM messages WHERE conversation = ? AND time > ?",
                           conversation, span[1])
        return end if before is None else (self._previous(conversation, before), before)

    def _fits(self, conversation: str, gap: Gap, span: Span) -> bool:
        """Whether what was said then lies between these neighbours."""
        low, high = (self._one("SELECT max(time) FROM messages WHERE conversation = ? AND position = ?",
                               conversation, place) for place in gap)
        return (low is None or low <= span[0]) and (high is None or high >= span[1])

    def _next(self, conversation: str, position: int) -> int | None:
        found: int | None = self._one("SELECT min(position) FROM messages WHERE conversation = ? AND position > ?",
                                      conversation, position)
        return found

    def _previous(self, conversation: str, position: int) -> int | None:
        found: int | None = self._one("SELECT max(position) FROM messages WHERE conversation = ? AND position < ?",
                                      conversation, position)
        return found

    def _one(self, query: str, *values: object) -> Any:
        return self.db.execute(query, values).fetchone()[0]

    def _positions(self, conversation: str, messages: Sequence[str]) -> dict[str, int]:
        return dict(self.db.execute("SELECT id, position FROM messages WHERE conversation = ? "
                                    "AND id IN (SELECT value FROM json_each(?))", (conversation, json.dumps(messages))))

    def _spread(self, conversation: str, room: int) -> None:
        """Number a conversation anew, with room for so many between any two."""
        rows = self.db.execute("SELECT rowid FROM messages WHERE conversation = ? ORDER BY position, rowid",
                               (conversation,)).fetchall()
        self.db.executemany("UPDATE messages SET position = ? WHERE rowid = ?",
                            [(number * max(ROOM, room), row[0]) for number, row in enumerate(rows)])
