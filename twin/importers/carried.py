"""What an export of a twin carries back: its claims, from a prompt, a skill, a card or a persona.

They are no messages, and nobody's evidence: each waits for the person (person.Carried). A text is known by the line
that names its core, or, where that was cut off, by its claims; so no export is ever taken for a note of the person's.
Foreign words were escaped when they left (exporters/escape.py); what can be undone of that is undone here.
"""
from __future__ import annotations

import json
import re
import struct
from base64 import b64decode
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import IO, Literal, get_args
from urllib.parse import unquote
from xml.sax.saxutils import unescape  # replaces three names, parses nothing

from twin.claims import free_id
from twin.errors import UnknownFormat
from twin.facets import facets
from twin.importers.found import Context, Found
from twin.importers.jsonvalue import as_dict, as_list, as_text
from twin.person import Carried, ClaimKind
from twin.text import clean, one_line

SOURCE = "twin"

LONGEST = 4000          # characters of a claim or a quote that is taken for one
CHUNK = 16 * 1024**2    # bytes of a text in a picture
_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_FEW = 3                # claims by which a text without its mark is known
_END = 8                # lines that are near the end
_KINDS: tuple[ClaimKind, ...] = get_args(ClaimKind)

_MARK = re.compile(r"^(?P<opens><!-- |\[)twin-core id=(?P<id>[0-9a-f]{12}) profile=\S+ roles=\S+ "
                   r"level=(?P<level>private|public) language=(?P<language>en|ru)(?: -->|\])[ \t]*$", re.MULTILINE)
_CLAIM = re.compile(r"- (?P<text>.*) \((?P<ground>said|inferred|approved|сказано|выведено|подтверждено), "
                    r"[01]\.\d\d(?:, (?:disputed|спорно))?\) \[(?P<id>[\w.%-]+)\]\s*")
_QUOTE = re.compile(r"  (?:> )?[“«](?P<quote>.*)[”»]\s*")
_INSIDE = re.compile(r"[“«](.*)[”»]")
_BOLD = re.compile(r"\*\*(.*)\*\*")


_XML = re.compile(r"^<(?:twin|how_they_think)>[ \t]*$", re.MULTILINE)
_ESCAPED = re.compile(r"\\(.)")
_CARDS = ("chara_card_v2", "chara_card_v3")

Style = Literal["markdown", "plain", "xml"]


@dataclass(frozen=True)
class _Core:
    """The core an export was made of, as far as it says so."""

    id: str = ""
    level: str = "private"
    language: str = ""

    @property
    def origin(self) -> str:
        return f"core {self.id or 'unknown'}{' (public)' if self.level == 'public' else ''}"

    def claim(self, id: str, text: str, quote: str, kind: str = "") -> Carried | None:
        """A claim of this core, on one line; None for what can be none."""
        name, said, words = (one_line(clean(one)) for one in (id, text, quote))
        if not name or not said or max(map(len, (name, said, words))) > LONGEST:
            return None
        known = next((one for one in _KINDS if one == kind), None)
        return Carried(name, known or _kind(name, said), said, self.language, words, self.origin)


# ---- texts ---------------------------------------------------------------------------------------------------------

def recognises_text(text: str) -> bool:
    """True for a text that names the core it was made of near its end, and for one that has lost that line but holds
    claims as exports write them: three, and one in ten lines. A chat or a diary that an export was pasted into is none.
    """
    lines = [line for line in text.split("\n") if line.strip()]
    if any(map(_MARK.match, lines[-_END:])):
        return True
    claims = sum(_CLAIM.fullmatch(line) is not None for line in lines if line.startswith("- "))
    return claims >= max(_FEW, len(lines) / 10)


def read_text(file: str, text: str) -> Iterator[Found]:
    """The claims of a prompt, a skill or an AGENTS.md. Nothing raises."""
    yield _found(file, *_of_text(text))


def _of_text(text: str) -> tuple[list[Carried], int]:
    """Claims of a text, and how many are too long to be any."""
    mark, style, found, malformed = _MARK.search(text), _style(text), list[Carried](), 0
    lines = text.split("\n")
    for line, below in zip(lines, [*lines[1:], ""], strict=True):
        if not line.startswith("- ") or (claim := _CLAIM.fullmatch(line)) is None:
            continue
        said, quote = _plain(claim["text"], style, bold=True), _QUOTE.fullmatch(below)
        inside = _INSIDE.search(said)
        core = _Core(mark["id"], mark["level"], mark["language"]) if mark else _Core(
            language="en" if claim["ground"].isascii() else "ru")
        one = core.claim(unquote(claim["id"]), said, _plain(quote["quote"], style) if quote else inside[1]
                         if inside else "")
        found += [one] if one else []
        malformed += one is None
    return found, malformed


def _style(text: str) -> Style:
    mark = _MARK.search(text)
    if mark and mark["opens"] == "[":
        return "plain"
    if _XML.search(text):
        return "xml"
    return "markdown" if mark or re.search(r"^- \*\*.*\*\* \(", text, re.MULTILINE) else "plain"


def _plain(text: str, style: Style, *, bold: bool = False) -> str:
    """A foreign text without the escapes of its style."""
    if style == "xml":
        return unescape(text)
    if style == "plain":
        return text
    inner = _BOLD.fullmatch(text) if bold else None
    return _ESCAPED.sub(r"\1", inner[1] if inner else text)


# ---- JSON ----------------------------------------------------------------------------------------------------------

def recognises(value: object) -> bool:
    """True for a character card that a twin made, and for personas of which one was."""
    return _card(value) is not None or any(map(recognises_text, _personas(value)))


def read(values: Iterable[object], context: Context) -> Iterator[Found]:
    """The claims of a card or of personas. Nothing raises."""
    for value in values:
        if (core := _card(value)) is not None:
            yield _found(context.file, *_of_card(core, value, context))
        for text in filter(recognises_text, _personas(value)):
            yield _found(context.file, *_of_text(context.mended.text(text)))


def _extensions(value: object) -> Mapping[str, object]:
    return as_dict(as_dict(as_dict(value).get("data")).get("extensions"))


def _card(value: object) -> _Core | None:
    """The core that a card was made of, None for another's card."""
    core = _extensions(value).get("twin/core")
    if as_dict(value).get("spec") not in _CARDS or not isinstance(core, dict):
        return None
    name = as_text(core.get("id"))
    level, language = core.get("level"), core.get("language")
    return _Core(name if re.fullmatch("[0-9a-f]{12}", name) else "", "public" if level == "public" else "private",
                 "ru" if language == "ru" else "en")


def _personas(value: object) -> list[str]:
    """The descriptions of SillyTavern's personas."""
    described = as_dict(as_dict(value).get("persona_descriptions"))
    return [as_text(as_dict(one).get("description")) for one in described.values()]


def _of_card(core: _Core, value: object, context: Context | None = None) -> tuple[list[Carried], int]:
    """Claims of a card, and how many of them are none."""
    rows = [as_dict(row) for row in as_list(_extensions(value).get("twin/claims"))]
    mend = context.mended.text if context else clean
    cells = [[mend(as_text(row.get(name))) for name in ("id", "text", "quote", "kind")] for row in rows]
    found = [core.claim(name, text, quote, kind) for name, text, quote, kind in cells]
    return [one for one in found if one], found.count(None)


# ---- pictures ------------------------------------------------------------------------------------------------------

def is_picture(head: bytes) -> bool:
    """True for the first bytes of a PNG."""
    return head.startswith(_SIGNATURE)


def read_picture(file: str, stream: IO[bytes]) -> Iterator[Found]:
    """The claims of a card in a PNG. Raises UnknownFormat for a picture that carries no card of a twin."""
    texts = dict(_texts(stream))
    for keyword in ("ccv3", "chara"):
        value = _decoded(texts.get(keyword, b""))
        if (core := _card(value)) is not None:
            yield _found(file, *_of_card(core, value))
            return
    raise UnknownFormat(f"{file} is a picture that carries no card of a twin.",
                        "Choose the picture that `twin export card` wrote, or an export of your chats.")


def _texts(stream: IO[bytes]) -> Iterator[tuple[str, bytes]]:
    """(keyword, value) of the chunks that hold a card. A chunk is read only where it may be one; the others, and what
    is compressed, are passed over block by block, so a false length costs nothing. Breaks off where the file does."""
    stream.read(len(_SIGNATURE))
    while len(head := stream.read(8)) == 8:
        length, kind = struct.unpack(">I4s", head)
        if kind == b"tEXt" and length <= CHUNK:
            keyword, _, value = stream.read(length).partition(b"\0")
            if (name := keyword.lower()) in (b"ccv3", b"chara"):
                yield name.decode(), value
            length = 0
        elif kind == b"IEND":
            return
        left = length + 4  # of the checksum
        while left and (block := stream.read(min(left, 1024**2))):
            left -= len(block)


def _decoded(value: bytes) -> object:
    """The JSON of a chunk; None where it is none."""
    try:
        return json.loads(b64decode(value).decode())
    except (ValueError, RecursionError):
        return None


# ---- claims --------------------------------------------------------------------------------------------------------

def _kind(id: str, text: str) -> ClaimKind:
    """The kind of a claim whose export does not say it: by its id, which the kind is part of."""
    if id in facets():
        return facets()[id].kind
    begins = id.partition(".")[0]
    return next((kind for kind in _KINDS if kind == begins or free_id(kind, text) == id), "thinking")


def _found(file: str, claims: Iterable[Carried], malformed: int) -> Found:
    distinct = tuple({claim.claim: claim for claim in reversed(list(claims))}.values())[::-1]
    skipped = {"malformed claim": malformed} if malformed else {"export without claims": 1} if not distinct else {}
    return Found(file, skipped=skipped, claims=distinct)
