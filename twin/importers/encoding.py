"""Bytes to text, and the repair of text whose UTF-8 was once read as another codec (mojibake).

The rule is decided for a whole file, never for a word: French `l’école`, read back as Mac Roman, is a valid
Armenian letter, so one line proves nothing. Knows nothing of formats; lines end with '\\n' only, because
latin-1 mojibake holds U+0085, which str.splitlines takes for a line end.
"""
from __future__ import annotations

import codecs
import re
import unicodedata
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from functools import cache
from typing import cast

from twin.errors import BrokenFile, UnknownFormat
from twin.text import clean
from twin.types import Repair

CODECS = ("mac_roman", "cp1252", "cp1251", "latin_1", "cp437", "cp866", "koi8_r", "mac_cyrillic")
_CYRILLIC_CODECS = ("cp1251", "cp866", "koi8_r", "mac_cyrillic")
_LEGACY = ["cp1251", "koi8_r", "cp866", "mac_cyrillic", "cp1252", "mac_roman", "cp1250", "iso8859_5"]
_DEPTH = 3  # times one file may have been damaged; more was never seen

_RUN = re.compile(r"[^\x00-\x7f]+")
_EXPECTED = re.compile(
    "[\u00a0-\u017f\u0300-\u036f\u0400-\u045f\u0490\u0491\u1e00-\u1eff\u2000-\u27bf\u2900-\u2bff\u3000-\u30ff\u4e00-\u9fff"
    "\ufe0f\U0001f000-\U0001faff]")
# Two-byte scripts that a lone pair of Latin characters can imitate; in words of two letters and more they are real.
_ODD = "\u0180-\u02ff\u0500-\u07ff"
# Of the words that Cyrillic codecs write, `сад` in CP866 is valid UTF-8 too: what is all Russian letters is no damage.
_NOT_RUSSIAN = re.compile("[^\x00-\x7fА-Яа-яЁё«»№]")
_TWO_CYRILLIC = re.compile("[\u0400-\u045f]{2}")
_ALONE = re.compile(f"(?<![^\\x00-\\x7f])[{_ODD}](?![^\\x00-\\x7f])|[\u0080-\u009f]")
_SEQUENCE = re.compile(rb"[\xf0-\xf4][\x80-\xbf]{3}|[\xe0-\xef][\x80-\xbf]{2}|[\xc2-\xdf][\x80-\xbf]"
                       rb"|\x9f[\x80-\xbf]{2}|.", re.DOTALL)


@dataclass(frozen=True)
class Decoded:
    """Text of a file after repair, and `original` before it: same lines, so each message finds what it was."""

    text: str
    original: str
    repair: Repair | None = None

    @property
    def lines(self) -> list[tuple[str, str]]:
        """Pairs (original line, repaired line)."""
        return list(zip(self.original.split("\n"), self.text.split("\n"), strict=True))


def decode(data: bytes, file: str) -> Decoded:
    """The text of a file, repaired where the whole file says so. Raises UnknownFormat for bytes that are no text."""
    return mended(to_text(data, file), file)


def mended(text: str, file: str) -> Decoded:
    """The same for text that is decoded already."""
    original = text.replace("\r\n", "\n").replace("\r", "\n")
    lines = original.split("\n")
    found = find_codecs(lambda: lines)
    mending = Mended(file, found)
    return Decoded("\n".join(map(mending.line, lines)) if found else original, original, mending.report())


def to_text(data: bytes, file: str) -> str:
    """Bytes to text: UTF-8, else UTF-16 or UTF-32 by their mark, else what charset-normalizer finds."""
    codec = codec_of(data, file)
    try:
        return data.decode(codec, "replace" if codec == "utf-8-sig" or codec in _LEGACY else "strict")
    except UnicodeDecodeError as error:
        raise BrokenFile(f"{file} begins as {codec.upper()} but breaks off at byte {error.start}.",
                         "Save or export it again as UTF-8.") from error


def codec_of(sample: bytes, file: str) -> str:
    """The codec of a file that begins with (or is) these bytes. Raises UnknownFormat when there is none."""
    for mark, codec in ((codecs.BOM_UTF32_LE, "utf-32"), (codecs.BOM_UTF32_BE, "utf-32"),
                        (codecs.BOM_UTF16_LE, "utf-16"), (codecs.BOM_UTF16_BE, "utf-16")):
        if sample.startswith(mark):
            return codec
    try:
        codecs.getincrementaldecoder("utf-8-sig")().decode(sample)  # a letter cut in two at the end is no fault
        return "utf-8-sig"
    except UnicodeDecodeError:
        torn = sample.decode("utf-8-sig", "replace")
    bad = torn.count("\ufffd")
    # UTF-8 cut or bitten in a few places still shows 20 good characters for each bad one; a legacy codec shows none.
    if 20 * bad <= sum(map(len, _RUN.findall(torn))) - bad:
        return "utf-8-sig"
    from charset_normalizer import from_bytes  # deferred: its tables cost 30 ms and few files need them

    best = from_bytes(sample[:1_000_000], cp_isolation=_LEGACY).best()
    if best is None:
        raise UnknownFormat(f"{file} is no text in any known encoding.", "Save it as UTF-8 and import it again.")
    return str(best.encoding)


def is_binary(head: bytes) -> bool:
    """True when the first bytes cannot be text: control bytes in more than one place of a hundred."""
    if head.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return False
    controls = sum(byte < 32 and byte not in b"\t\n\r\f\x1b" for byte in head)
    return controls * 100 > len(head)


# ---- the rule ---------------------------------------------------------------------------------------------------

@cache
def _table(codec: str) -> str:
    """256 characters; bytes the codec leaves undefined stand for themselves, as browsers do it ('sloppy')."""
    return "".join(chr(i) if (char := bytes([i]).decode(codec, "replace")) == "\ufffd" else char for i in range(256))


@cache
def _bytes_of(codec: str) -> dict[int, int]:
    # An EncodingMap, whose type has no public name: ten times faster here than the dict it stands for.
    return cast("dict[int, int]", codecs.charmap_build(_table(codec)))


@cache
def _runs(codec: str) -> re.Pattern[str]:
    return re.compile(f"[{re.escape(_table(codec)[128:])}]+")


def _encode(text: str, codec: str) -> bytes:
    return codecs.charmap_encode(unicodedata.normalize("NFC", text), "strict", _bytes_of(codec))[0]


def _whole(text: str, codec: str) -> str | None:
    """The strict round trip of a whole text; None when it fails or leaves a lone letter of a strange script."""
    if codec in _CYRILLIC_CODECS and not _NOT_RUSSIAN.search(text):
        return None
    try:
        fixed = _encode(text, codec).decode("utf-8")
    except UnicodeError:
        return None
    return None if _ALONE.search(fixed) else fixed


@dataclass
class _Evidence:
    lines: int = 0
    expected: int = 0
    characters: int = 0
    strong: bool = False
    weak: set[str] = field(default_factory=set)

    def add(self, fixed: str, codec: str) -> None:
        self.lines += 1
        self.expected += len(_EXPECTED.findall(fixed))
        self.characters += sum(map(len, _RUN.findall(fixed)))
        if codec in _CYRILLIC_CODECS:
            self.strong = self.strong or _TWO_CYRILLIC.search(fixed) is not None
            return
        for run in _RUN.findall(fixed):
            # One pair alone may be honest text: `–∞` is minus infinity, `√π` a root. Two letters in a row, three bytes,
            # or the `Ã©` of cp1252 are not.
            if len(run) > 1 or run >= "\u0800" or (codec in ("cp1252", "latin_1") and "\u00c0" <= run <= "\u00ff"):
                self.strong = True
            elif len(self.weak) < 3:
                self.weak.add(run)

    def convinces(self, lines: int) -> bool:
        return (2 * self.lines >= lines and (self.strong or len(self.weak) >= 3)
                and 5 * self.expected >= 4 * self.characters)


def _find_codec(lines: Iterable[str]) -> str | None:
    """The codec for which half of the non-ASCII lines and more make the strict round trip, or None."""
    seen = 0
    evidence = {codec: _Evidence() for codec in CODECS}
    for line in lines:
        if line.isascii():
            continue
        seen += 1
        for codec, found in evidence.items():
            fixed = _whole(line, codec)
            if fixed is not None:
                found.add(fixed, codec)
    convincing = [codec for codec in CODECS if evidence[codec].lines and evidence[codec].convinces(seen)]
    return max(convincing, key=lambda codec: evidence[codec].lines, default=None)


def find_codecs(lines: Callable[[], Iterable[str]]) -> tuple[str, ...]:
    """Codecs to undo, outermost first; empty for honest text. `lines` is called again for each further round."""
    found: tuple[str, ...] = ()
    while len(found) < _DEPTH:
        codec = _find_codec(repaired_line(line, found) for line in lines())
        if codec is None:
            break
        found += (codec,)
    return found


def repaired_line(line: str, found: tuple[str, ...]) -> str:
    """One line with the codecs undone: whole where it can be, else run by run."""
    for codec in found:
        if line.isascii():
            break
        whole = _whole(line, codec)
        line = _fixed_runs(line, codec) if whole is None else whole
    return line


def _fixed_runs(line: str, codec: str) -> str:
    return _runs(codec).sub(lambda match: _fixed_run(match.group(), codec), line)


def _fixed_run(run: str, codec: str) -> str:
    whole = _whole(run, codec)
    if whole is not None or codec in _CYRILLIC_CODECS:  # there honest capitals (`БЕРЁТ`) hold valid pairs too
        return run if whole is None else whole
    return "".join(_character(match.group(), codec) for match in _SEQUENCE.finditer(_encode(run, codec)))


def _character(sequence: bytes, codec: str) -> str:
    """One UTF-8 sequence, or the same characters as before. 0x9F first: an emoji whose 0xF0 (U+F8FF) was dropped."""
    as_read = "".join(_table(codec)[byte] for byte in sequence)
    emoji = sequence[0] == 0x9F and len(sequence) == 3
    try:
        fixed = (b"\xf0" + sequence if emoji else sequence).decode("utf-8")
    except UnicodeDecodeError:
        return as_read
    return as_read if _ALONE.search(fixed) or unicodedata.category(fixed) == "Cn" else fixed


class Mended:
    """Repairs the strings of one file by codecs found before, and remembers a line before and after."""

    def __init__(self, file: str, found: tuple[str, ...]) -> None:
        self.file = file
        self.codecs = found
        self._changed = 0
        self._sample: tuple[str, str] | None = None

    def line(self, line: str) -> str:
        """One line repaired."""
        fixed = repaired_line(line, self.codecs)
        if fixed != line:
            self._changed += 1
            self._sample = self._sample or (line, fixed)
        return fixed

    def text(self, text: str) -> str:
        """A text of several lines repaired, in NFC and without lone surrogates."""
        if self.codecs and not text.isascii():
            text = "\n".join(map(self.line, text.split("\n")))
        return clean(text)

    def report(self) -> Repair | None:
        """What was changed so far; None when nothing was."""
        if self._sample is None:
            return None
        before, after = self._sample
        return Repair(self.file, "+".join(self.codecs), self._changed, before[:200], after[:200])
