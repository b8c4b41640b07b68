"""A stored turn without what was forgotten: its memories, and what was quoted of them. Knows no table, no engine."""
from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from typing import Any

from twin.archive.traces import MARK, Sieve, redacted

_PLAIN = ("question", "answer", "thinking", "header")
_JSON = ("route", "memories", "dropped", "verdict")
COLUMNS = (*_PLAIN, *_JSON, "cited", "written")
"""Columns of a turn in which something may have to go."""
_TEXTS = {*_PLAIN, "dropped", "text", "reason", "why", "prediction", "falsifier", "missing"}
_CITED = re.compile(r"\[(\d{1,2})\]")

Columns = dict[str, Any]
"""The columns of one turn by name, JSON as it is stored."""


def decoded(columns: Columns) -> Columns:
    """The columns with their JSON read."""
    return {name: value if name in _PLAIN else json.loads(value or "null") for name, value in columns.items()}


def encoded(columns: Columns) -> Columns:
    """The columns as they are stored."""
    return {name: value if name in _PLAIN or value is None else json.dumps(value, ensure_ascii=False)
            for name, value in columns.items()}


def strings(value: Any, key: str = "") -> Iterator[str]:
    """Every text in columns of a turn; names of roles and ids are none."""
    if isinstance(value, str):
        if key in _TEXTS:
            yield value
    elif isinstance(value, dict):
        for name, one in value.items():
            yield from strings(one, name)
    elif isinstance(value, list):
        for one in value:
            yield from strings(one, key)


def without_memories(turn: Columns, gone: Callable[[str, str], bool]) -> tuple[Columns, list[str]]:
    """The turn without the memories that show a message that is gone, and their texts. The others count anew, in the
    answer too: a number that names another record would be a false witness."""
    kept, texts, numbers = [], [], {}
    for number, memory in enumerate(turn["memories"], 1):
        if any(gone(memory["conversation"], message) for message in memory["message_ids"]):
            texts.append(memory["text"])
        else:
            kept.append(memory)
            numbers[number] = len(kept)
    if not texts:
        return turn, []

    def named(match: re.Match[str]) -> str:
        number = int(match.group(1))
        if not 1 <= number <= len(turn["memories"]):
            return match.group()
        return f"[{numbers[number]}]" if number in numbers else MARK

    return {**turn, "memories": kept, "cited": [numbers[one] for one in turn["cited"] if one in numbers],
            "answer": _CITED.sub(named, turn["answer"]), "thinking": _CITED.sub(named, turn["thinking"]),
            "written": None}, texts


def without_runs(turn: Columns, runs: Sieve) -> Columns:
    """The turn with every run of these as MARK; the ids of an answer go with it, they spell the same words."""
    changed: Columns = _mapped(turn, runs)
    return turn if changed == turn else {**changed, "written": None}


def _mapped(value: Any, runs: Sieve, key: str = "") -> Any:
    if isinstance(value, str):
        return redacted(value, runs) if key in _TEXTS else value
    if isinstance(value, dict):
        return {name: _mapped(one, runs, name) for name, one in value.items()}
    if isinstance(value, list):
        return [_mapped(one, runs, key) for one in value]
    return value
