"""Five real people for measuring, never quoted: persona-dev.json as (conversation, message) pairs in order of time."""
from __future__ import annotations

import json
from datetime import datetime
from pathlib import Path

from twin.types import Message


def people(data: Path) -> dict[str, list[tuple[str, Message]]]:
    """person-1 .. person-4 of a public help channel (a day is a conversation) and a Russian diary (an entry is one)."""
    table = json.loads((data / "persona-dev.json").read_text("utf-8"))
    found = {}
    for name, said in table["chat"].items():
        found[name] = [(f"{name} {one['day']}", Message(f"{name}-{number}", "user", one["text"], time=_time(
            f"{one['day']} {one['time']}"))) for number, one in enumerate(said)]
    found["diarist"] = [(f"diary {one['date']}", Message(f"diary-{number}", "user", one["text"], time=_time(
        one["date"]))) for number, one in enumerate(table["diary_ru"])]
    return {name: sorted(said, key=lambda pair: (pair[1].time is not None, str(pair[1].time)))
            for name, said in found.items()}


def _time(written: str) -> datetime | None:
    try:
        return datetime.fromisoformat(f"{written}+00:00" if ":" in written else f"{written}T12:00+00:00")
    except ValueError:
        return None
