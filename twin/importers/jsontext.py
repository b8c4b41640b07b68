"""JSON of a file to its conversations, one at a time: an export may have hundreds of megabytes, its objects ten times
that. Reads arrays, one object, {"conversations": [...]} and JSON Lines. Knows no provider.

What exporters write and the standard does not allow is mended on the way in: a byte order mark, UTF-16, Telegram's
`\\x1F`, lone surrogates, raw control characters. Built on ijson (yajl): 130 MB/s.
"""
from __future__ import annotations

import io
import json
import math
import re
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass
from functools import cached_property
from itertools import islice
from typing import IO, Any, Literal

from twin.errors import BrokenFile, EmptyFile
from twin.importers.encoding import codec_of

Event = tuple[str, str, Any]
"""(prefix, event, value) as ijson.parse gives them; a complete item has the event 'value'."""

Shape = Literal["array", "wrapped", "object", "lines"]

LENIENT = 64 * 1024**2  # characters of a file that the standard library may read whole, when it is no strict JSON
_LINE = 32 * 1024**2    # characters of one line of JSON Lines
_SAMPLE = 4 * 1024**2  # bytes by which the encoding is told
_BUFFER = 64 * 1024
_DEEPEST = 500  # levels of nesting; exports have about ten
_DIGITS = 400  # of an integer that is taken for a number at all
_OPENS, _CLOSES = frozenset({"start_map", "start_array"}), frozenset({"end_map", "end_array"})

_LOOKS_LIKE = re.compile(r"\s*(?:\{\s*\"|\[\s*\{|\[\s*null\s*,|(?:\{\s*\}|\[\s*\])\s*$)")
_RAW = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f]")
_LONE = re.compile(r"\\u[dD][89abAB]..(?!\\u[dD][c-fC-F])|(?<!\\u[dD][89abAB]..)\\u[dD][c-fC-F]", re.DOTALL)
_ESCAPE = re.compile(r"\\(?:x(?P<hex>[0-9A-Fa-f]{2})|u[dD][89abAB][0-9A-Fa-f]{2}\\u[dD][c-fC-F][0-9A-Fa-f]{2}"
                     r"|(?P<lone>u[dD][89a-fA-F][0-9A-Fa-f]{2})|.)|(?P<raw>[\x00-\x08\x0b\x0c\x0e-\x1f])", re.DOTALL)
# An escape that the end of a buffer cuts in two; a pair of backslashes before it is none.
_PENDING = re.compile(r"(?<!\\)(?:\\\\)*(\\(?:x[0-9A-Fa-f]?|u[0-9A-Fa-f]{0,3}"
                      r"|u[dD][89abAB][0-9A-Fa-f]{2}(?:\\(?:u[0-9A-Fa-f]{0,3})?)?)?)\Z")


def _float(digits: str) -> float | None:
    """None for what is not finite: strict JSON has no word for it."""
    value = float(digits)
    return value if math.isfinite(value) else None


def _integer(digits: str) -> int | float | None:
    """An integer that yajl takes, else the float next to it; ValueError beyond _DIGITS."""
    if len(digits) > _DIGITS:
        raise ValueError("an integer beyond all bounds")
    value = int(digits)
    return value if abs(value) < 2**63 else _float(digits)


# Reads what yajl refuses, and gives what yajl takes. The constants are NaN and Infinity.
_DECODER = json.JSONDecoder(strict=False, parse_constant=lambda _: None, parse_int=_integer, parse_float=_float)


@dataclass(frozen=True)
class BrokenLine:
    """One line of JSON Lines that does not parse."""

    number: int
    why: str


def looks_like_json(text: str) -> bool:
    """True when the text begins as JSON; a note that begins with [[a link]], [ ] or [1] does not."""
    return _LOOKS_LIKE.match(text) is not None


class Json:
    """The JSON of one file, opened anew for each pass. Each pass raises BrokenFile where the JSON breaks off."""

    def __init__(self, opened: Callable[[], IO[bytes]], file: str) -> None:
        self.file = file
        self.broken: list[BrokenLine] = []
        self._open = opened

    @cached_property
    def _codec(self) -> str:
        with self._open() as stream:
            return codec_of(stream.read(_SAMPLE), self.file)

    def _text(self) -> io.TextIOWrapper:
        return io.TextIOWrapper(self._open(), encoding=self._codec, errors="replace", newline="\n")

    # ---- what it is --------------------------------------------------------------------------------------------

    @cached_property
    def shape(self) -> Shape:
        """How conversations are laid out in the file."""
        if self.starts_as_array:
            return "array"
        if self._is_lines:
            return "lines"
        if "conversations" in self.keys and "mapping" not in self.keys:
            # ShareGPT uses the same key for its messages: then the whole object is the conversation.
            head = self.first("conversations.item")
            if not (isinstance(head, dict) and "from" in head):
                return "wrapped"
        return "object"

    @cached_property
    def keys(self) -> tuple[str, ...]:
        """Keys of the object that the file is, in their order; () for an array and for JSON Lines."""
        if self.starts_as_array or self._is_lines:
            return ()
        return tuple(value for depth, event, value in self._walked() if event == "map_key" and depth == 1)

    @cached_property
    def _is_lines(self) -> bool:
        """JSON Lines: the first line is complete and another follows, or it is broken and another holds a chat."""
        with self._text() as text:
            lines = iter(lambda: text.readline(_LINE), "")
            complete = _is_object(next((line for line in lines if line.strip()), ""))
            return any(line.strip() if complete else _is_chat(line) for line in islice(lines, 100))

    @cached_property
    def starts_as_array(self) -> bool:
        """Whether the file is an array."""
        with self._text() as text:
            return text.read(4096).lstrip().startswith("[")

    # ---- passes ------------------------------------------------------------------------------------------------

    def values(self) -> Iterator[object]:
        """Each conversation-to-be. Lines that do not parse are left out and collected in `broken`."""
        if self.shape == "lines":
            return self._lines()
        return self._items({"array": "item", "wrapped": "conversations.item", "object": ""}[self.shape])

    def first(self, prefix: str) -> object:
        """The first value at an ijson prefix, None when there is none."""
        return next(self._items(prefix), None)

    def events(self, whole: Collection[str]) -> Iterator[Event]:
        """All events of the file; an object at a prefix of `whole` comes as one (prefix, 'value', object)."""
        from ijson.common import ObjectBuilder

        builder, at = ObjectBuilder(), ""
        for prefix, event, value in self._parsed():
            if at:
                builder.event(event, value)
                if event == "end_map" and prefix == at:
                    yield at, "value", builder.value
                    at = ""
            elif event == "start_map" and prefix in whole:
                builder, at = ObjectBuilder(), prefix
                builder.event(event, value)
            else:
                yield prefix, event, value

    def string_lines(self) -> Iterator[str]:
        """Every line of every string in the file, keys left out."""
        if self.shape == "lines":
            for value in self._lines(note=False):
                yield from string_lines(value)
            return
        for _, event, value in self._walked():
            if event == "string":
                yield from value.split("\n")

    def _lines(self, *, note: bool = True) -> Iterator[object]:
        with self._text() as text:
            for number, line in enumerate(text, 1):
                if line.strip():
                    try:
                        yield _DECODER.decode(_strict(line.rstrip("\r\n")))
                    except (json.JSONDecodeError, RecursionError, ValueError) as error:
                        why = f"{error.msg} (column {error.colno})" if isinstance(error, json.JSONDecodeError) else (
                            "numbers or nesting beyond all bounds")
                        if note:
                            self.broken.append(BrokenLine(number, why))

    def _walked(self) -> Iterator[tuple[int, str, Any]]:
        """(depth, event, value) of the whole file; the first pass, which also finds all that is broken."""
        return self._guarded(self._with_depth)

    def _with_depth(self, stream: Any) -> Iterator[tuple[int, str, Any]]:
        import ijson

        depth = 0
        for event, value in ijson.basic_parse(stream, use_float=True, buf_size=_BUFFER):
            if event in _OPENS:
                depth += 1
                if depth > _DEEPEST:  # ijson's prefixes would take memory by the square of the depth
                    raise _beyond(self.file)
            elif event in _CLOSES:
                depth -= 1
            yield depth, event, value

    def _parsed(self) -> Iterator[Event]:
        import ijson

        return self._guarded(lambda stream: ijson.parse(stream, use_float=True, buf_size=_BUFFER))

    def _items(self, prefix: str) -> Iterator[object]:
        import ijson

        return self._guarded(lambda stream: ijson.items(stream, prefix, use_float=True, buf_size=_BUFFER))

    def _guarded(self, parse: Callable[[Any], Iterator[Any]]) -> Iterator[Any]:
        import ijson

        try:
            with self._text() as text:
                yield from parse(_Strict(text))
            return
        except (ijson.JSONError, UnicodeDecodeError) as error:
            self._become_strict(error)
        try:
            with self._text() as text:
                # Nothing went out before the error but what was only looked at: the first pass goes over the whole.
                yield from parse(_Strict(text))
        except (ijson.JSONError, ValueError) as error:
            raise _broken(self.file, str(error).splitlines()[0]) from error

    def _become_strict(self, error: Exception) -> None:
        """Let the standard library read what is no strict JSON (NaN, raw line ends in strings), once, and go on from
        its result; it also names the line of what is broken."""
        with self._text() as text:
            content = text.read(LENIENT + 1)
        if len(content) > LENIENT:
            raise _broken(self.file, str(error).splitlines()[0]) from error
        try:
            plain = json.dumps(_DECODER.decode(_strict(content)), allow_nan=False).encode()
        except json.JSONDecodeError as fault:
            raise _broken(self.file, f"{fault.msg} (line {fault.lineno}, column {fault.colno})") from fault
        except (ValueError, RecursionError) as fault:
            raise _beyond(self.file) from fault
        self._open = lambda: io.BytesIO(plain)
        self.__dict__["_codec"] = "utf-8"


class _Strict:
    """A text stream as the UTF-8 bytes of strict JSON, for ijson."""

    def __init__(self, text: IO[str]) -> None:
        self._text = text
        self._pending = ""

    def read(self, size: int = -1) -> bytes:
        if size == 0:
            return b""
        while chunk := self._text.read(size):
            chunk = self._pending + chunk
            cut = _PENDING.search(chunk, max(0, len(chunk) - 64))
            at = cut.start(1) if cut else len(chunk)
            chunk, self._pending = chunk[:at], chunk[at:]
            if chunk:
                return _strict(chunk).encode("utf-8", "replace")
        rest, self._pending = self._pending, ""
        return _strict(rest).encode("utf-8", "replace")


def _strict(text: str) -> str:
    # Most text needs nothing: plain searches first, ten times faster than one pattern for all.
    wrong = "\\x" in text or _RAW.search(text) or (("\\ud" in text or "\\uD" in text) and _LONE.search(text))
    return _ESCAPE.sub(_mended, text) if wrong else text


def _mended(match: re.Match[str]) -> str:
    if match["hex"]:
        return f"\\u00{match['hex']}"
    if match["raw"]:
        return f"\\u{ord(match['raw']):04x}"
    return "\\ufffd" if match["lone"] else match.group()


def _is_object(line: str) -> bool:
    try:
        return isinstance(_DECODER.decode(_strict(line.strip())), dict)
    except (ValueError, RecursionError):
        return False


def _is_chat(line: str) -> bool:
    try:
        value = _DECODER.decode(_strict(line.strip()))
    except (ValueError, RecursionError):
        return False
    return isinstance(value, dict) and bool({"messages", "mapping", "conversations", "mes", "twin"} & value.keys())


def _broken(file: str, why: str) -> BrokenFile:
    return BrokenFile(f"{file} is broken JSON: {why}.",
                      "The download may have been cut off: export or unpack it again.")


def _beyond(file: str) -> BrokenFile:
    return BrokenFile(f"{file} is JSON that no export writes (numbers or nesting beyond all bounds).",
                      "Export it again.")


def nothing(file: str) -> EmptyFile:
    """The error for JSON without a conversation in it."""
    return EmptyFile(f"{file} holds no conversations.", "Export it again, or choose another file.")


def string_lines(value: object) -> Iterator[str]:
    """Every line of every string inside a JSON value, keys left out."""
    waiting = [value]
    while waiting:
        inner = waiting.pop()
        if isinstance(inner, str):
            yield from inner.split("\n")
        elif isinstance(inner, dict):
            waiting.extend(inner.values())
        elif isinstance(inner, list):
            waiting.extend(inner)
