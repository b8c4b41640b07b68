"""What was talked about with the twin: conversations as a list shows them, without reading their answers."""
from __future__ import annotations

import sqlite3
from dataclasses import dataclass, field
from datetime import datetime

TITLE = 80  # characters of the first question


@dataclass(frozen=True)
class Talk:
    """A conversation with the twin. `title`: the beginning of its first question; `turns` and `last` count its lines of
    thinking too; `lines` how many of those leave it."""

    id: str
    title: str = field(repr=False)
    turns: int
    last: datetime | None
    lines: int = 0


_TALKS = """
WITH RECURSIVE tree (id, top) AS (
  SELECT id, id FROM (SELECT conversation AS id FROM turns UNION SELECT parent FROM lines)
  WHERE id != '' AND id NOT IN (SELECT id FROM lines)
  UNION SELECT l.id, t.top FROM lines l JOIN tree t ON l.parent = t.id)
SELECT tree.top, count(*), (SELECT count(*) - 1 FROM tree each WHERE each.top = tree.top), min(t.number), max(t.number)
FROM tree JOIN turns t ON t.conversation = tree.id GROUP BY tree.top ORDER BY max(t.number) DESC LIMIT ?"""


def talks(db: sqlite3.Connection, limit: int) -> list[Talk]:
    """The newest first. A conversation of which only lines are left (what they leave from was forgotten) is one too."""
    made = []
    for top, turns, lines, first, last in db.execute(_TALKS, (limit,)).fetchall():
        question = str(db.execute("SELECT question FROM turns WHERE number = ?", (first,)).fetchone()[0])
        time = db.execute("SELECT time FROM turns WHERE number = ?", (last,)).fetchone()[0]
        made.append(Talk(top, " ".join(question.split())[:TITLE], turns,
                         datetime.fromisoformat(time) if time else None, lines))
    return made
