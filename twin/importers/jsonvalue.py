"""A JSON value of unsure shape: itself when it is what one hopes for, else an empty one. No export keeps a contract.

Knows no format.
"""
from __future__ import annotations

from collections.abc import Mapping
from typing import Any

Node = Mapping[str, Any]


def as_dict(value: object) -> Node:
    """The object, or an empty one."""
    return value if isinstance(value, dict) else {}


def as_list(value: object) -> list[Any]:
    """The array, or an empty one."""
    return value if isinstance(value, list) else []


def as_text(value: object) -> str:
    """The string, or ''."""
    return value if isinstance(value, str) else ""
