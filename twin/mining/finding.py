"""What a miner brings: an operation, how much it would help, the turns it rests on, and why in words."""
from __future__ import annotations

import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from importlib import resources
from typing import Any

from pydantic import ValidationError

from twin.errors import UsageError
from twin.mining.seen import SeenTurn
from twin.operations import Operation, parse

LEAST = 3  # turns that a proposal has to rest on


@dataclass(frozen=True)
class Finding:
    """`weight`: turns of those seen that would go better, as far as the miner can tell; the measure all are ranked by.
    `metric` is what should gain, by `delta` in its own unit."""

    miner: str
    weight: float
    operation: Operation
    turns: tuple[SeenTurn, ...] = field(repr=False)
    why: Mapping[str, str] = field(repr=False)
    metric: str = "router"
    delta: float = 0.0


def operation(name: str, **fields: Any) -> Operation | None:
    """An operation, or None where the schema does not admit it: a text that is too long is no finding."""
    try:
        return parse({"op": name, **fields})
    except (UsageError, ValidationError):
        return None


def because(key: str, **slots: Any) -> dict[str, str]:
    """Why, in both languages. Numbers are rounded; a slot with a value by language takes that of the sentence."""
    def shown(value: Any, language: str) -> Any:
        value = value[language] if isinstance(value, Mapping) else value
        return f"{value:.2g}" if isinstance(value, float) and not value.is_integer() else (
            int(value) if isinstance(value, float) else value)
    return {language: text.format(**{name: shown(value, language) for name, value in slots.items()})
            for language, text in words()["why"][key].items()}


def newest(turns: Iterable[SeenTurn], most: int = 12) -> tuple[SeenTurn, ...]:
    """The newest few of the turns, oldest first."""
    return tuple(turns)[-most:]


@lru_cache(maxsize=1)
def words() -> dict[str, Any]:
    """miners.toml."""
    found: dict[str, Any] = tomllib.loads(resources.files("twin.mining").joinpath("miners.toml").read_text("utf-8"))
    return found
