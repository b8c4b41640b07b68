"""Words, sentences and languages of plain text, Russian and English alike. Knows nothing of messages.

All offsets count code points of the NFC text they are given.
"""
from __future__ import annotations

import re
import unicodedata
from functools import lru_cache

import snowballstemmer

_RUSSIAN = snowballstemmer.stemmer("russian")
_ENGLISH = snowballstemmer.stemmer("english")

_HIDDEN = {"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"}  # no-break spaces (Zs) are Russian typography and stay
_JOINERS = "\n\t\u200c\u200d\u00ad"

_WORD = re.compile(r"\w+(?:[-‑'’]\w+)*", re.UNICODE)
_CYRILLIC = re.compile(r"[\u0400-\u04ff]")
_LATIN = re.compile(r"[A-Za-z\u00c0-\u024f]")
# A sentence ends at .!?… followed by space or line end, or at a line break. Abbreviations may split too early:
# a short quote is a smaller fault than one that runs over two thoughts.
_SENTENCE_END = re.compile(r"[.!?…]+[\"'»”)\]]*(?=\s|$)|\n+")
_FENCE = re.compile(r"^[ \t]*(```|~~~).*?(?:^[ \t]*\1[ \t]*$|\Z)", re.MULTILINE | re.DOTALL)
# A chat copied from a messenger: "Anna, [30.06.2025 12:07]" or "Anna, 30.06.2025 12:07:" on a line of its own, then
# what Anna said. Nothing marks where it ends, so the rest is taken for hers: lost words are the smaller fault.
_COPIED = re.compile(r"^[^\n]{1,60}?(?:, \[?| \[)\d{1,2}[./]\d{1,2}[./]\d{2,4},? \d{1,2}:\d{2}(?::\d{2})?\]?:?[ \t]*$"
                     r".*", re.MULTILINE | re.DOTALL)
_QUOTED_LINE = re.compile(r"^[ \t]*>.*$", re.MULTILINE)


def clean(text: str) -> str:
    """NFC, with lone surrogates (which neither SQLite, LanceDB nor llama.cpp accept) as U+FFFD."""
    if not text.isascii():
        text = text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
        text = unicodedata.normalize("NFC", text)
    return text.replace("\r\n", "\n").replace("\r", "\n")


def printable(text: str) -> str:
    """The text with control, bidi-override and unassigned characters as U+FFFD: none may reach a terminal or a page."""
    return "".join(letter if letter in _JOINERS or unicodedata.category(letter) not in _HIDDEN else "\ufffd"
                   for letter in text.replace("\r", ""))


def one_line(text: str) -> str:
    """Printable, with every run of white space as one space."""
    return printable(" ".join(text.split()))


def words(text: str) -> list[str]:
    """Words in lower case with ё as е; hyphenated words also give their parts."""
    found: list[str] = []
    for match in _WORD.finditer(text.casefold().replace("ё", "е")):
        word = match.group()
        found.append(word)
        if not word.isalnum():
            found.extend(part for part in re.split(r"[-‑'’_]", word) if part)
    return found


@lru_cache(maxsize=65536)
def stem(word: str) -> str:
    """Snowball stem by script: Russian for Cyrillic words, English for the rest."""
    stemmer = _RUSSIAN if _CYRILLIC.search(word) else _ENGLISH
    return str(stemmer.stemWord(word))


def stems(text: str) -> list[str]:
    """Stems of all words, in order."""
    return [stem(word) for word in words(text)]


def language(text: str) -> str:
    """'ru', 'en' or 'und' by script. A quarter of Cyrillic letters makes a text Russian: Russian engineers
    write half of their nouns in Latin letters, English speakers write none in Cyrillic."""
    cyrillic, latin = len(_CYRILLIC.findall(text)), len(_LATIN.findall(text))
    if cyrillic + latin == 0:
        return "und"
    return "ru" if cyrillic >= 0.25 * (cyrillic + latin) else "en"


def sentences(text: str) -> list[tuple[int, int]]:
    """Spans (start, end) of the sentences, without surrounding white space."""
    spans: list[tuple[int, int]] = []
    start = 0
    for match in [*_SENTENCE_END.finditer(text), None]:
        end = len(text) if match is None else match.end()
        piece = text[start:end]
        left = start + len(piece) - len(piece.lstrip())
        right = start + len(piece.rstrip())
        if right > left:
            spans.append((left, right))
        start = end
    return spans


def own_spans(text: str) -> list[tuple[int, int]]:
    """Spans that are the writer's own words: all but code fences, lines quoted with `>` and copied chat messages."""
    foreign = sorted(match.span() for pattern in (_FENCE, _QUOTED_LINE, _COPIED) for match in pattern.finditer(text))
    spans: list[tuple[int, int]] = []
    start = 0
    for left, right in [*foreign, (len(text), len(text))]:
        if left > start and text[start:left].strip():
            spans.append((start, left))
        start = max(start, right)
    return spans


def own_sentences(text: str) -> list[tuple[int, int]]:
    """Sentence spans inside the writer's own words."""
    return [(left + a, left + b) for left, right in own_spans(text) for a, b in sentences(text[left:right])]
