"""Change: what becomes of the files of a role map, byte for byte, and how it is taken back.

Knows names and bytes, not what a role is.
"""
from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from twin.errors import UsageError
from twin.roles import COUNCIL, Files

_NAME = re.compile(r"[a-z0-9][a-z0-9-]{0,39}\.md")


@dataclass(frozen=True)
class Change:
    """Files that differ, by name: the bytes before and after, None where there is no such file.

    Raises UsageError for a name that is not one of a map's files, and for a file that stays as it was."""

    files: Mapping[str, tuple[bytes | None, bytes | None]] = field(repr=False)

    def __post_init__(self) -> None:
        for name, (before, after) in self.files.items():
            if name != COUNCIL and not _NAME.fullmatch(name):
                raise UsageError(f"A role map has no file named {name[:60]!r}.", "Name role files and the council's.")
            if before == after:
                raise UsageError(f"The file {name} would stay as it is.", "Leave it out of the change.")

    def __repr__(self) -> str:
        return f"Change({', '.join(sorted(self.files))})"

    @classmethod
    def of(cls, before: Mapping[str, bytes], after: Mapping[str, bytes]) -> Change:
        """What makes the second set of files out of the first."""
        return cls({name: (before.get(name), after.get(name)) for name in sorted({*before, *after})
                    if before.get(name) != after.get(name)})

    def onto(self, files: Mapping[str, bytes]) -> Files:
        """The files after the change. Raises UsageError where one of them is not, byte for byte, as it was before."""
        other = [name for name, (before, _) in self.files.items() if files.get(name) != before]
        if other:
            raise UsageError(f"The file {other[0]} is not what this change was made for.",
                             "Make the change again for the map as it is now.")
        made = {name: data for name, data in files.items() if name not in self.files}
        return made | {name: after for name, (_, after) in self.files.items() if after is not None}

    def inverse(self) -> Change:
        """The change that takes this one back."""
        return Change({name: (after, before) for name, (before, after) in self.files.items()})
