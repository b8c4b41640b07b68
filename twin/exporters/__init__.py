"""What leaves the home: a profile in a form that other programs read. One file per foreign format."""
from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from twin.person import Profile

__all__ = ["FORMATS", "Exported", "Exporter"]


@dataclass(frozen=True)
class Exported:
    """An export as text, its length in UTF-16 code units (web forms count so), what was cut, weakest first, and the
    file it was written to, if it was."""

    text: str = field(repr=False)
    cut: tuple[str, ...] = ()
    characters: int = 0
    path: Path | None = None


class Exporter(Protocol):
    """Profile to text of at most `budget` UTF-16 code units. Raises UsageError when even the frame does not fit."""

    def __call__(self, profile: Profile, *, language: str | None = None, budget: int = 8000,
                 name: str | None = None) -> Exported: ...


def _prompt(profile: Profile, *, language: str | None = None, budget: int = 8000, name: str | None = None) -> Exported:
    from twin.exporters.prompt import prompt  # here: the format's own file, which uses Exported from this one

    return prompt(profile, language=language, budget=budget, name=name)


FORMATS: Mapping[str, Exporter] = {"prompt": _prompt}
"""Format name -> exporter."""
