"""The audit as a chain: each line holds the hash of the line before, so none can be changed, removed or put in between
without being noticed. Lines hold ids and hashes, never text: what is forgotten has nothing to look for here.

How far the chain goes (its head) stands in the settings too, and in a file beside the archive: lines that are missing
at the end show. Whoever may write the home can write all three anew; this guards against accidents, half measures and
our own code, not against its owner. Knows the table; every function works in the open transaction of its caller.
"""
from __future__ import annotations

import json
import re
import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal, NamedTuple

from twin.errors import HomeError, UsageError
from twin.home import write_atomically
from twin.types import digest

FILE = "audit.head"
_SETTING = "audit.head"
_KIND = re.compile(r"[a-z][a-z ]{0,39}")
_ID = re.compile(r"[\w.:#/@+-]{0,80}", re.ASCII)  # no blank and no other letters: no sentence gets in by mistake
_ROWS = "SELECT number, kind, body, prev, hash, made FROM audit ORDER BY number"

Reason = Literal["", "changed", "removed", "inserted", "rewritten", "truncated", "head"]
_SAID: dict[str, dict[Reason, str]] = {
    "en": {"": "The audit is whole: {entries} lines.",
           "changed": "Line {at} of the audit is not what it was when it was written.",
           "removed": "Line {at} of the audit is missing.",
           "inserted": "Line {at} of the audit does not follow the line before it: lines were put in or moved.",
           "rewritten": "Line {at} of the audit is another one than when its end was last noted.",
           "truncated": "The audit ends before line {at}, which was written; so does an older copy of the archive.",
           "head": "What was noted of the end of the audit cannot be read, so lines may be missing there."},
    "ru": {"": "Журнал цел, строк: {entries}.",
           "changed": "Строка {at} журнала не та, что была записана.",
           "removed": "Строки {at} в журнале нет.",
           "inserted": "Строка {at} журнала не продолжает предыдущую: строки вставлены или переставлены.",
           "rewritten": "Строка {at} журнала не та, что была, когда его конец отмечали в последний раз.",
           "truncated": "Журнал кончается до строки {at}, а она была записана. Так бывает и со старой копией архива.",
           "head": "Отметку о конце журнала нельзя прочесть: там могут недоставать строки."},
}


class Head(NamedTuple):
    """How far the chain goes: how many lines, and the last one's hash."""

    lines: int
    hash: str


_NONE, _UNREADABLE = Head(0, ""), Head(-1, "")


@dataclass(frozen=True)
class Entry:
    """One line: what happened (`kind`), to what (`ids`), the hash of the line before and its own, when (UTC)."""

    number: int
    kind: str
    ids: Mapping[str, Any]
    prev: str
    hash: str
    made: datetime


@dataclass(frozen=True)
class Verified:
    """What a look at the whole chain found: how many lines there are, the first that is wrong, and why ('': none)."""

    ok: bool
    entries: int
    broken_at: int | None = None
    reason: Reason = ""

    def say(self, language: str = "en") -> str:
        """The finding in one sentence, 'en' or 'ru'."""
        return _SAID.get(language, _SAID["en"])[self.reason].format(entries=self.entries, at=self.broken_at)


def add(db: sqlite3.Connection, kind: str, **ids: Any) -> Entry:
    """Add a line. `ids`: ids, hashes, numbers, or lists of them; UsageError for anything that could be text."""
    if not _KIND.fullmatch(kind) or not all(map(_is_id, ids.values())):
        raise UsageError(f"The audit takes no such line ({kind[:40]!r}).", "Give ids, hashes and numbers, never text.")
    last = Head(*(db.execute("SELECT number, hash FROM audit ORDER BY number DESC LIMIT 1").fetchone() or _NONE))
    made, body = datetime.now(UTC), json.dumps(ids, sort_keys=True)
    number = last.lines + 1
    name = _hash(number, kind, body, last.hash, made.isoformat())
    db.execute("INSERT INTO audit VALUES (?, ?, ?, ?, ?, ?)", (number, kind, body, last.hash, name, made.isoformat()))
    if (_kept(db) or _NONE) == last:  # a head that is another line's stays as it is: it tells that lines are gone
        db.execute("INSERT OR REPLACE INTO settings VALUES (?, ?)", (_SETTING, json.dumps([number, name])))
    return Entry(number, kind, json.loads(body), last.hash, name, made)


def _is_id(value: Any) -> bool:
    if isinstance(value, (list, tuple)):
        return all(map(_is_id, value))
    return bool(_ID.fullmatch(value)) if isinstance(value, str) else isinstance(value, int | float | None)


def _hash(number: int, kind: str, body: str, prev: str, made: str) -> str:
    return digest(json.dumps([number, kind, body, prev, made], default=repr))  # whatever was put there by hand


def entries(db: sqlite3.Connection) -> Iterator[Entry]:
    """All lines, oldest first."""
    for number, kind, body, prev, name, made in db.execute(_ROWS):
        yield Entry(number, kind, json.loads(body), prev, name, datetime.fromisoformat(made))


# ---- the head --------------------------------------------------------------------------------------------------------

def in_file(folder: Path) -> Head | None:
    """The head beside the archive; None for none."""
    try:
        return _read((folder / FILE).read_text("utf-8"))
    except FileNotFoundError:
        return None
    except (OSError, UnicodeDecodeError):
        return _UNREADABLE


def keep(db: sqlite3.Connection, folder: Path) -> None:
    """Bring the file to the head, after a commit and under the home's lock. It only goes forward, and only along the
    chain it knows. What cannot be written now is written after the next commit: the commit stands in any case."""
    head, known = _kept(db), in_file(folder)
    if head is None or head == known:
        return
    if known is None or (known.lines < head.lines and _stands(db, known)):
        with suppress(HomeError):
            write_atomically(folder / FILE, json.dumps(head))


def _stands(db: sqlite3.Connection, head: Head) -> bool:
    row = db.execute("SELECT hash FROM audit WHERE number = ?", (head.lines,)).fetchone()
    return row is not None and row[0] == head.hash


def _kept(db: sqlite3.Connection) -> Head | None:
    row = db.execute("SELECT value FROM settings WHERE key = ?", (_SETTING,)).fetchone()
    return None if row is None else _read(row[0])


def _read(stored: str) -> Head:
    try:
        count, name = json.loads(stored)
        return Head(int(count), str(name))
    except (ValueError, TypeError):
        return _UNREADABLE


# ---- the look at all of it -------------------------------------------------------------------------------------------

def verify(db: sqlite3.Connection, noted: Head | None) -> Verified:
    """Follow the chain from its first line to both heads. `noted`: the file's, read before this transaction began."""
    db.execute("BEGIN")  # lines and head of one moment
    try:
        total = db.execute("SELECT count(*) FROM audit").fetchone()[0]
        heads = [head for head in (_kept(db) or _NONE, noted) if head is not None]
        at, reason = _broken(db.execute(_ROWS), heads)
        if not total and not reason and db.execute("SELECT 1 FROM proposals LIMIT 1").fetchone():
            at, reason = 1, "truncated"  # each began with a line
        return Verified(not reason, total, at, reason)
    finally:
        db.rollback()


def _broken(rows: Iterator[Any], heads: list[Head]) -> tuple[int | None, Reason]:
    last = _NONE
    for number, kind, body, prev, name, made in rows:
        if number != last.lines + 1:
            return (last.lines + 1, "removed") if number > last.lines else (number, "inserted")
        if name != _hash(number, kind, body, prev, made):
            return number, "changed"
        if prev != last.hash:
            return number, "inserted"
        if any(head.lines == number and head.hash != name for head in heads):
            return number, "rewritten"
        last = Head(number, name)
    if _UNREADABLE in heads:
        return None, "head"
    if any(head.lines > last.lines for head in heads):
        return last.lines + 1, "truncated"
    return (heads[0].lines + 1, "inserted") if heads[0].lines < last.lines else (None, "")
