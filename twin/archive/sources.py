"""What the person imported: one line a source, with counts. Knows the tables, not the files behind them.

A source is what was named at an import: a file, a zip, a folder. Its files are the labels of an importer, each in one
line for each kind of export. A message belongs to every file that showed it, whichever stored it.
"""
from __future__ import annotations

import json
import sqlite3
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any


@dataclass(frozen=True)
class Source:
    """One thing that was imported, as it stands in the archive now. `languages`: ru, en, und -> messages; `since` and
    `until`: the first and last time of a message. Messages of which nobody noted where they came from (an older
    archive, `Twin.add`) stand under their kind: `files` is 0 there."""

    name: str
    kinds: tuple[str, ...]
    files: int
    conversations: int
    messages: int
    own: int
    languages: Mapping[str, int] = field(default_factory=dict)
    since: datetime | None = None
    until: datetime | None = None
    imported: datetime | None = None


_COUNTS = """
  count(DISTINCT c), count(*), sum(own), sum(lang = 'ru'), sum(lang = 'en'), sum(lang = 'und'), min(time), max(time)"""
_BY_ROOT = f"""
SELECT root, {_COUNTS} FROM (
  SELECT DISTINCT f.root, o.conversation AS c, m.own, m.lang, m.time, o.message
  FROM origins o JOIN files f ON f.number = o.file JOIN conversations c ON c.number = o.conversation
  JOIN messages m ON m.conversation = c.id AND m.id = o.message) GROUP BY root"""  # noqa: S608 - constants
_BY_KIND = f"""
SELECT coalesce(m.source, ''), {_COUNTS.replace('DISTINCT c', 'DISTINCT c.number')}
FROM messages m JOIN conversations c ON c.id = m.conversation
WHERE NOT EXISTS (SELECT 1 FROM origins o WHERE o.conversation = c.number AND o.message = m.id)
GROUP BY coalesce(m.source, '')"""  # noqa: S608 - constants


def sources(db: sqlite3.Connection) -> list[Source]:
    """The sources in the order in which they were last imported; what has none, by kind, before them."""
    counted = {row[0]: row[1:] for row in db.execute(_BY_ROOT)}
    kinds: dict[str, Counter[str]] = {}
    files: dict[str, set[str]] = {}
    imported: dict[str, str] = {}
    for root, file, kind, when in db.execute("SELECT root, file, kind, imported FROM files WHERE root != ''"):
        kinds.setdefault(root, Counter()).update([kind] if kind else [])
        files.setdefault(root, set()).add(file)
        imported[root] = max(when, imported.get(root, ""))
    found = [_source(kind, (kind,) if kind else (), 0, row, "") for kind, *row in db.execute(_BY_KIND)]
    for root in sorted(imported, key=lambda name: (imported[name], name)):
        row = list(counted.get(root, (0, 0, 0, 0, 0, 0, None, None)))
        found.append(_source(root, tuple(sorted(kinds[root])), len(files[root]), row, imported[root]))
    return found


def _source(name: str, kinds: tuple[str, ...], files: int, row: list[Any], imported: str) -> Source:
    conversations, messages, own, ru, en, und, since, until = row
    spoken = {language: count for language, count in (("ru", ru), ("en", en), ("und", und)) if count}
    return Source(name, kinds, files, conversations, messages, own, spoken, _time(since), _time(until),
                  _time(imported or None))


def files(db: sqlite3.Connection, root: str | None) -> list[dict[str, Any]]:
    """Files that came: {root, file, kind, sha256 ('' when not given), imported (ISO UTC), report (counts)}."""
    return [{"root": root, "file": file, "kind": kind, "sha256": sha256, "imported": when,
             "report": json.loads(report)} for root, file, kind, sha256, when, report in db.execute(
                 "SELECT root, file, kind, sha256, imported, report FROM files WHERE ?1 IS NULL OR root = ?1 "
                 "ORDER BY imported, root, file, kind", (root,))]


def _time(iso: str | None) -> datetime | None:
    return None if iso is None else datetime.fromisoformat(iso)
