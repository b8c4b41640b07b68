"""Rows of the archive as nouns, and back. Knows the columns, not where they stand."""
from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import datetime
from typing import Any

from twin.types import (
    Control,
    Example,
    Hypothesis,
    Message,
    Opinion,
    Recalled,
    Route,
    Turn,
    Usage,
    Verdict,
    Written,
    to_plain,
)

MESSAGE = "m.id, m.role, m.text, m.author, m.time, m.own, m.flags, m.raw"
"""Columns of a message `m`; the kind of its source comes after them."""
TURN = ("id", "conversation", "question", "answer", "route", "status", "model", "role_map", "memories", "cited",
        "dropped", "thinking", "usage", "time", "header", "adapted", "written", "verdict")


def message(row: Sequence[Any]) -> Message:
    """A row of MESSAGE and the kind of its source."""
    name, role, text, author, time, own, flags, raw, source = row
    return Message(name, role, text, author, _time(time), bool(own), tuple(json.loads(flags)), raw, source)


def columns(turn: Turn) -> dict[str, str | None]:
    """A turn by column; what is no plain string in Turn is JSON."""
    plain = to_plain(turn)
    return {name: plain[name] if isinstance(plain[name], str | None) else json.dumps(plain[name], ensure_ascii=False)
            for name in TURN}


def turn(row: Sequence[Any]) -> Turn:
    """A row of TURN."""
    columns = dict(zip(TURN, row, strict=True))
    for name in ("route", "memories", "cited", "dropped", "usage", "adapted", "written", "verdict"):
        columns[name] = json.loads(columns[name] or "null")
    route, memories, written = columns["route"], columns["memories"], columns["written"]
    return Turn(**{
        **columns, "cited": tuple(columns["cited"]), "dropped": tuple(columns["dropped"]),
        "route": Route(**{**route, "nearest": tuple(Example(**example) for example in route["nearest"])}),
        "memories": tuple(Recalled(**{**one, "message_ids": tuple(one["message_ids"]), "time": _time(one["time"])})
                          for one in memories),
        "usage": Usage(**columns["usage"]), "time": _time(columns["time"]),
        "written": written and Written(written["core"], tuple(written["ids"])),
        "verdict": columns["verdict"] and _verdict(columns["verdict"])})


def _verdict(stored: dict[str, Any]) -> Verdict:
    hypotheses = (Hypothesis(**{**one, "evidence": tuple(one["evidence"])}) for one in stored["hypotheses"])
    opinions = (Opinion(**{**one, "held_by": tuple(one["held_by"]),
                           "interval": one["interval"] and tuple(one["interval"])}) for one in stored["opinions"])
    return Verdict(**{**stored, "hypotheses": tuple(hypotheses), "opinions": tuple(opinions),
                      "dissent": tuple(stored["dissent"]), "missing": tuple(stored["missing"]),
                      "control": stored["control"] and Control(**stored["control"])})


def _time(iso: str | None) -> datetime | None:
    return None if iso is None else datetime.fromisoformat(iso)
