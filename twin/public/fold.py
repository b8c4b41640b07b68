"""Text as an eye reads it: hidden characters gone, digits as ASCII, the letters of a word of one script.

What is found there is pointed at in the text as it stands. Knows nothing of what is looked for.
"""
from __future__ import annotations

import html
import re
import unicodedata
from dataclasses import dataclass

_CYRILLIC = "авекмнорстухѕіјАВЕКМНОРСТУХЅІЈ"
_LATIN = "abekmhopctyxsijABEKMHOPCTYXSIJ"
_TO_LATIN, _TO_CYRILLIC = str.maketrans(_CYRILLIC, _LATIN), str.maketrans(_LATIN, _CYRILLIC)
_MIXED = re.compile(r"[A-Za-z\u0400-\u04ff]*(?:[A-Za-z][\u0400-\u04ff]|[\u0400-\u04ff][A-Za-z])[A-Za-z\u0400-\u04ff]*")
_DIGIT_LIKE = str.maketrans("OoОоlIЗз", "00001133")
_AMONG_DIGITS = re.compile(r"(?:(?<=\d)|(?<=\d[ ()-])|(?<=\d\) ))[OoОоlIЗз](?=[\d\s()-]*\d)")
_SAME = {"‐": "-", "‑": "-", "‒": "-", "−": "-", "﹣": "-", "－": "-", "’": "'", "№": "№"}  # NFKC would make "No" of №
_ESCAPE = re.compile(r"&(?:#x?[0-9a-fA-F]+|[A-Za-z]+);|\\u[0-9a-fA-F]{4}|\\[nrt\"\\/]")
_STRESS = {"\u0300", "\u0301"}


@dataclass(frozen=True, repr=False)
class Folded:
    """Folded text and, for each of its characters, where that one starts and ends in the original."""

    text: str
    spans: tuple[tuple[int, int], ...]

    def original(self, start: int, end: int) -> tuple[int, int]:
        """Where text[start:end] stands in the original; end > start."""
        return self.spans[start][0], self.spans[end - 1][1]


def fold(text: str, *, escapes: bool = False) -> Folded:
    """The text folded; with `escapes`, HTML entities and JSON escapes count as the character they stand for."""
    letters: list[str] = []
    spans: list[tuple[int, int]] = []
    position = 0
    for match in [*(_ESCAPE.finditer(text) if escapes else ()), None]:
        stop = len(text) if match is None else match.start()
        for index in range(position, stop):
            _take(text[index], (index, index + 1), letters, spans)
        if match is not None:
            position = match.end()
            _take(_meant(match.group()), match.span(), letters, spans)
    folded = _MIXED.sub(_one_script, "".join(letters))
    return Folded(_AMONG_DIGITS.sub(lambda found: found.group().translate(_DIGIT_LIKE), folded), tuple(spans))


def _take(shown: str, span: tuple[int, int], letters: list[str], spans: list[tuple[int, int]]) -> None:
    for letter in shown:
        for plain in _SAME.get(letter) or unicodedata.normalize("NFKC", letter):
            if unicodedata.category(plain) != "Cf" and plain not in _STRESS:
                digit = unicodedata.decimal(plain, None)
                letters.append(plain if digit is None else str(digit))
                spans.append(span)


def _meant(escape: str) -> str:
    if escape.startswith("&"):
        return html.unescape(escape)
    if escape.startswith("\\u"):
        return chr(int(escape[2:], 16))
    return {"n": "\n", "r": "\n", "t": "\t"}.get(escape[1], escape[1])


def _one_script(match: re.Match[str]) -> str:
    """A word of two scripts in the one it is meant in: all lookalikes of the other give way, or it stays as it is."""
    word = match.group()
    latin = sum(letter.isascii() for letter in word)
    tables = (_TO_LATIN, _TO_CYRILLIC) if latin * 2 >= len(word) else (_TO_CYRILLIC, _TO_LATIN)
    tries = (word.translate(table) for table in tables)
    return next((one for one in tries if one.isascii() or not re.search("[A-Za-z]", one)), word)
