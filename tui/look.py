"""How the terminal looked last: language and theme in a small file of the home, so that the first paint is right before
the archive, which holds them, is open."""
from __future__ import annotations

import json
from contextlib import suppress
from pathlib import Path

from twin.errors import TwinError
from twin.home import write_atomically

NAME = "terminal.json"


def last(root: Path) -> dict[str, str]:
    """Language and theme by name; empty where nothing is known."""
    try:
        found = json.loads((root / NAME).read_text("utf-8"))
    except (OSError, ValueError):
        return {}
    return {name: value for name, value in found.items() if isinstance(value, str)} if isinstance(found, dict) else {}


def keep(root: Path, look: dict[str, str]) -> None:
    """Remember it for the next start; a home that is not there yet is not made for this."""
    if root.is_dir() and last(root) != look:
        with suppress(TwinError):
            write_atomically(root / NAME, json.dumps(look), durable=False)
