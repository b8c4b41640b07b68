"""A RAG pack of a twin, read back: the file twin.jsonl beside its tables, one message or claim a line.

The same messages give the same profile, so what rules find there is not carried; the other claims wait for the person.
A public copy is not anybody's own words, and is left out. Tables are never opened.
"""
from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from itertools import groupby
from typing import Any, get_args

from twin.errors import InputError
from twin.importers.containers import Entry
from twin.importers.encoding import to_text
from twin.importers.found import Context, Found, found
from twin.importers.frontmatter import front_matter
from twin.person import Carried, ClaimKind
from twin.text import clean
from twin.types import Conversation, Message, Speaker

README, BACK, TAG = "README.md", "twin.jsonl", "twin-pack"
_KINDS = ("pack", "message", "claim")
_PUBLIC = re.compile(r"^<!-- twin-core .*\blevel=public\b.*-->\s*$", re.MULTILINE)
_Said = tuple[str, str | None, Message]  # conversation id, kind of source
_CORE = re.compile(r"[0-9a-f]{12}")


# ---- a pack among files ----------------------------------------------------------------------------------------------

def describes(text: str) -> bool:
    """Whether a text is the README of a pack."""
    tags = front_matter(text.split("\n"))[0].get("tags") if text.startswith("---") else None
    return isinstance(tags, list) and TAG in tags


def whole(entries: Iterable[Entry | Found]) -> Iterator[Entry | Found]:
    """Files with each pack among them as one thing: of all below its README only the file that is read back is left.
    Files come in the order of their names, a folder's own before those below it."""
    root: str | None = None
    missing: list[Found] = []
    for one in entries:
        label = one.file if isinstance(one, Found) else one.label
        if root is not None and label.startswith(root):
            if label == root + BACK and isinstance(one, Entry):
                missing = []
                yield one
            continue
        yield from missing
        root, missing = None, []
        if isinstance(one, Entry) and label.rpartition("/")[2] == README and (text := _read(one)) is not None:
            root, missing = label.removesuffix(README), [_without(label, text)]
        else:
            yield one
    yield from missing


def _read(entry: Entry) -> str | None:
    """The text of a README that describes a pack. What cannot be read is for others to tell."""
    try:
        text = to_text(entry.read(), entry.label)
    except (InputError, OSError):
        return None
    return text if describes(text) else None


def _without(label: str, text: str) -> Found:
    """What a pack comes to whose file to be read back is not there."""
    if _PUBLIC.search(text):
        return Found(label, skipped={"public copy": 1})
    return Found(label, failure=f"{label} describes a pack, but {BACK} is not beside it. Export the pack again.")


# ---- the file that is read back --------------------------------------------------------------------------------------

def recognises(value: object) -> bool:
    """True for a line of ours."""
    return isinstance(value, dict) and value.get("twin") in _KINDS


def read(values: Iterable[object], context: Context) -> Iterator[Found]:
    """Conversations with the person's own messages, then the claims. Texts are verbatim: they were repaired when they
    first came. What is damaged comes back as a failure that names its entry; it never raises."""
    return _Reader(context.file).read(values)


@dataclass
class _Reader:
    """One file: what stands in its head, and what was met so far."""

    file: str
    core: str = "?"
    public: bool = False
    claims: list[Carried] = field(default_factory=list)
    entries: int = 0

    def read(self, values: Iterable[object]) -> Iterator[Found]:
        for key, group in groupby(self._messages(values), key=lambda one: one if isinstance(one, str) else one[:2]):
            if isinstance(key, str):
                yield Found(self.file, failure=key)
            else:
                spoken = tuple(one[2] for one in group if not isinstance(one, str))
                yield found(self.file, Conversation(key[0], spoken, source=key[1]), Counter())
        if self.claims:
            yield Found(self.file, claims=tuple(self.claims))
        if self.public or not self.entries:
            yield Found(self.file, skipped={"public copy" if self.public else "empty pack": max(self.entries, 1)})

    def _messages(self, values: Iterable[object]) -> Iterator[_Said | str]:
        """Messages, and what is wrong with an entry, in words."""
        for number, value in enumerate(values, 1):
            try:
                if (read := self._entry(value if isinstance(value, dict) else {})) is not None:
                    yield read
            except (KeyError, TypeError, ValueError, OverflowError) as error:
                yield (f"{self.file}, entry {number} cannot be read ({error}). "
                       "Export the pack again, or go on without it.")

    def _entry(self, value: Mapping[str, Any]) -> _Said | None:
        kind = value.get("twin")
        if kind == "pack":
            self.public = value["level"] != "private"
            self.core = core if _CORE.fullmatch(core := str(value["core"])) else "?"
            return None
        self.entries += 1
        if kind not in _KINDS:
            raise ValueError("its kind is unknown")
        if kind == "message" and not self.public:
            return _message(value)
        if kind == "claim" and not self.public:
            self.claims.append(_claim(value, self.core))
        return None


def _message(value: Mapping[str, Any]) -> _Said:
    conversation, source, role = _text(value, "conversation"), value.get("source"), value["role"]
    time = None if value.get("time") is None else datetime.fromisoformat(_text(value, "time"))
    flags, author = value.get("flags", []), value.get("author")
    if role not in get_args(Speaker):
        raise ValueError("its role is unknown")
    if not isinstance(flags, list) or not all(isinstance(flag, str) for flag in flags):
        raise ValueError("its flags are no list of texts")
    if not all(one is None or isinstance(one, str) for one in (source, author)):
        raise ValueError("its source or author is no text")
    return conversation, source, Message(_text(value, "id"), role, _text(value, "text"), author=author, time=time,
                                         own=True, flags=tuple(flags))


def _claim(value: Mapping[str, Any], core: str) -> Carried:
    if value.get("kind") not in get_args(ClaimKind) or value.get("language") not in ("en", "ru"):
        raise ValueError("its kind or language is unknown")
    return Carried(_text(value, "id"), value["kind"], _text(value, "text"), value["language"], _text(value, "quote"),
                   f"RAG pack of core {core}")


def _text(value: Mapping[str, Any], key: str) -> str:
    if not isinstance(said := value[key], str) or not said.strip():
        raise ValueError(f"its {key} is no text")
    return clean(said)
