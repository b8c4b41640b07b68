"""SillyTavern chats (JSON Lines): a header, then one message a line. Roleplay: everybody, the person too, plays a part.

So nothing here is evidence: every message is flagged 'fiction' and not own. Of several swipes only the one that was
chosen is read. There are no message ids; times are local ones of the machine that wrote them, unless they say more.
"""
from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator
from datetime import datetime

from twin.importers.dates import Moment, from_epoch, parse, to_utc
from twin.importers.found import Context, Found, found, id_from, message, one_newline, trim
from twin.importers.jsonvalue import Node, as_dict, as_text
from twin.text import clean
from twin.types import Conversation, Message

SOURCE = "sillytavern"

_PART = 5_000  # messages that are held at once; a chat of years is handed on in parts
_HUMANIZED = re.compile(r"(\d{4})-(\d{1,2})-(\d{1,2})\s*@\s*(\d{1,2})h\s*(\d{1,2})m\s*(\d{1,2})s(?:\s*(\d{1,3})ms)?")
_WORDED = re.compile(r"([^\W\d]+)\.? (\d{1,2}), (\d{4}) (\d{1,2}):(\d{2}) ?([ap])m", re.IGNORECASE)
# The month is written in the browser's language; three letters tell them apart.
_MONTHS = {name: number for names in ("jan feb mar apr may jun jul aug sep oct nov dec",
                                      "янв фев мар апр май июн июл авг сен окт ноя дек")
           for number, name in enumerate(names.split(), 1)} | {"мая": 5}


def recognises(value: object) -> bool:
    """True for the header line, and for a message line: old group chats have no header."""
    line = as_dict(value)
    return _is_header(line) or ("mes" in line and "is_user" in line)


def _is_header(line: Node) -> bool:
    return "mes" not in line and ("chat_metadata" in line or {"user_name", "character_name"} <= line.keys())


def read(values: Iterable[object], context: Context) -> Iterator[Found]:
    """The chat of a file, in parts when it is long. Nothing raises."""
    chat = _Chat({}, context)
    for value in values:
        line = as_dict(value)
        if _is_header(line):
            if chat.touched:
                yield chat.part()
            chat = _Chat(line, context)
        else:
            chat.take(value)
            if len(chat.messages) >= _PART:
                yield chat.part()
    if chat.touched:
        yield chat.part()


class _Chat:
    """One chat while its lines come in."""

    def __init__(self, header: Node, context: Context) -> None:
        self.context = context
        self.header = header
        self.touched = bool(header)
        self.ident = ""
        self.user, self.character = (self._name(header.get(key)) for key in ("user_name", "character_name"))
        self.messages: list[Message] = []
        self._skipped: Counter[str] = Counter()
        self._seen: Counter[str] = Counter()

    def part(self) -> Found:
        """What came since the last part."""
        conversation = Conversation(self.ident, tuple(self.messages), self.character, SOURCE)
        result = found(self.context.file, conversation, self._skipped)
        self.messages, self._skipped, self.touched = [], Counter(), False
        return result

    def take(self, value: object) -> None:
        """One message line."""
        self.touched = True
        read = self._message(as_dict(value)) if isinstance(value, dict) and "mes" in value else "malformed message"
        if isinstance(read, Message):
            self.messages.append(read)
        else:
            self._skipped[read] += 1

    def _message(self, line: Node) -> Message | str:
        """A message, or the reason to skip it."""
        if line.get("is_system"):
            return "hidden"
        original = trim(one_newline(as_text(line.get("mes"))))
        if not original.strip():
            return "empty"
        own_part = line.get("is_user") is True
        fixed = self.context.mended.text(original)
        name = self._name(line.get("name")) or (self.user if own_part else self.character)
        content = clean(f"{name}\n{line.get('send_date')}\n{fixed}")
        self.ident = self.ident or self._identity(content)
        self._seen[content] += 1
        moment = _moment(line.get("send_date"), self.context)
        flags = ("fiction", "local_time") if moment and moment.local else ("fiction",)
        return message(id_from((self.ident, content, str(self._seen[content])), "message"),
                       "user" if own_part else "assistant", original, fixed, author=name,
                       time=moment.time if moment else None, own=False, flags=flags)

    def _identity(self, first: str) -> str:
        """The chat's own id; older ones have their date and names, the oldest only their first message."""
        if integrity := as_text(as_dict(self.header.get("chat_metadata")).get("integrity")):
            return f"{SOURCE}-{clean(integrity)}"
        began = clean(as_text(self.header.get("create_date")))
        return id_from((began, self.user or "", self.character or "", "" if began else first), SOURCE)

    def _name(self, value: object) -> str | None:
        """A name as it is shown; newer headers say 'unused'."""
        name = self.context.mended.text(as_text(value)).strip()
        return None if name in ("", "unused") else name


def _moment(value: object, context: Context) -> Moment | None:
    """A send_date: milliseconds, ISO 8601, `2025-6-30 @12h 07m 01s 123ms` or `June 30, 2025 12:07pm`."""
    if isinstance(value, str) and not value.strip().isdecimal():
        return _local(value, context) or parse(value, zone=context.zone)
    time = from_epoch(int(value) if isinstance(value, str) and len(value) < 20 else value)
    return Moment(time, False) if time else None


def _local(text: str, context: Context) -> Moment | None:
    try:
        if match := _HUMANIZED.search(text):
            year, month, day, hour, minute, second = map(int, match.groups()[:6])
            moment = datetime(year, month, day, hour, minute, second, 1000 * int(match.group(7) or 0))
        elif match := _WORDED.search(text):
            hour = int(match.group(4)) % 12 + (12 if match.group(6) in "Pp" else 0)
            moment = datetime(int(match.group(3)), _MONTHS.get(match.group(1)[:3].casefold(), 0), int(match.group(2)),
                              hour, int(match.group(5)))
        else:
            return None
    except ValueError:
        return None
    return to_utc(moment, context.zone)
