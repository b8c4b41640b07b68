"""What was found that must not leave."""
from __future__ import annotations

from dataclasses import dataclass

KINDS = ("mail", "link", "account", "ip", "coordinates", "number", "birth", "phone", "address", "place",
         "organisation", "name")


@dataclass(frozen=True)
class Hit:
    """text[start:end] (code points) is of one of KINDS. The words themselves are not kept."""

    kind: str
    start: int
    end: int


def apart(hits: list[Hit]) -> list[Hit]:
    """The same in order of place, without overlaps: those that touch become one, of the kind that stands first in
    KINDS."""
    found: list[Hit] = []
    for hit in sorted(hits, key=lambda hit: (hit.start, -hit.end)):
        if found and hit.start < found[-1].end:
            last = found.pop()
            kind = min(last.kind, hit.kind, key=KINDS.index)
            hit = Hit(kind, last.start, max(last.end, hit.end))
        found.append(hit)
    return found
