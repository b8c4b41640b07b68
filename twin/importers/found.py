"""What every importer yields, and the way a message is made from what stood in a file.

Knows no format. Conversation and message ids come from the provider where there are any, else from content.
"""
from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, tzinfo
from typing import TYPE_CHECKING

from twin.importers.people import People
from twin.person import Carried
from twin.text import clean
from twin.types import Conversation, Message, Repair, Speaker, digest

if TYPE_CHECKING:
    from twin.importers.encoding import Mended


@dataclass(frozen=True)
class Found:
    """One conversation of a file, or only what was skipped, failed or repaired there.

    `skipped`: reason -> messages, or 1 for a whole file that holds none of the person's talk. `claims` are those that
    an export of a twin carries.
    """

    file: str
    conversation: Conversation | None = None
    skipped: Mapping[str, int] = field(default_factory=dict)
    failure: str | None = None
    repair: Repair | None = None
    claims: tuple[Carried, ...] = ()


@dataclass(frozen=True)
class Context:
    """What an importer is given beside the content: the file's label for people, the repair of its strings, who is the
    person, and the zone of times that name none (None: this machine's)."""

    file: str
    mended: Mended
    people: People = field(default_factory=People)
    zone: tzinfo | None = None


def one_newline(text: str) -> str:
    """Line ends as '\\n', so that they alone never count as a repair."""
    return text.replace("\r\n", "\n").replace("\r", "\n")


def message(message_id: str, role: Speaker, original: str, mended: str, text: str | None = None, *,
            author: str | None = None, time: datetime | None = None, own: bool | None = None,
            flags: Iterable[str] = ()) -> Message:
    """`original` as it stood, `mended` after repair and NFC, `text` after the format's own marks were taken off.

    `raw` is kept when the text differs from the original; the flag 'repaired' when the repair or NFC did it.
    """
    text = mended if text is None else text
    flags = tuple(flags) + (("repaired",) if mended != original else ())
    raw = original.encode("utf-8", "surrogatepass") if text != original else None
    return Message(clean(message_id), role, text, author=author, time=time, own=own, flags=flags, raw=raw)


def trim(text: str) -> str:
    """Without white space around. ASCII only: before the repair, U+0085 and U+00A0 are halves of letters."""
    return text.strip(" \t\n")


def id_from(parts: Iterable[str], prefix: str) -> str:
    """An id by content: prefix and the first 32 hex digits of the sha256 over the parts joined by newlines."""
    return f"{prefix}-{digest(chr(10).join(parts))[:32]}"


def found(file: str, conversation: Conversation, skipped: Counter[str]) -> Found:
    """The result for one conversation; without any message left it only carries what was skipped."""
    messages, repeated = _distinct(conversation.messages)
    if repeated:
        skipped["repeated message"] += repeated
    if messages:
        return Found(file, replace(conversation, messages=messages), dict(skipped))
    return Found(file, None, dict(skipped) or {"empty conversation": 1})


def _distinct(messages: tuple[Message, ...]) -> tuple[tuple[Message, ...], int]:
    """Messages with distinct ids: an exact repetition goes, another text under the same id gets a number."""
    kept: dict[str, Message] = {}
    for said in messages:
        number, key = 1, said.id
        while key in kept and (kept[key].role, kept[key].text) != (said.role, said.text):
            number += 1
            key = f"{said.id}#{number}"
        kept.setdefault(key, replace(said, id=key))
    return tuple(kept.values()), len(messages) - len(kept)
