"""Words, sentences and languages of plain text, Russian and English alike. Knows nothing of messages.

All offsets count code points of the NFC text they are given.
"""
from __future__ import annotations

import re
import unicodedata
from functools import lru_cache

import snowballstemmer

from twin.foreign import foreign_kinds as foreign_kinds
from twin.foreign import foreign_spans as foreign_spans

_RUSSIAN = snowballstemmer.stemmer("russian")
_ENGLISH = snowballstemmer.stemmer("english")

_HIDDEN = {"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"}  # no-break spaces (Zs) are Russian typography and stay
_JOINERS = "\n\t\u200c\u200d\u00ad"

_WORD = re.compile(r"\w+(?:[-‑'’]\w+)*", re.UNICODE)
_CYRILLIC = re.compile(r"[\u0400-\u04ff]")
_LATIN = re.compile(r"[A-Za-z\u00c0-\u024f]")
# A sentence ends at .!?… followed by space or line end, or at a line break. Abbreviations may split too early:
# a short quote is a smaller fault than one that runs over two thoughts.
# A match begins where a run of marks does: else "......" without a space behind it costs its length squared.
_SENTENCE_END = re.compile(r"(?<![.!?…])[.!?…]+[\"'»”)\]]*(?=\s|$)|\n+")
# Letters that Russian has not: Ukrainian, Belarusian, Serbian, Kazakh ... One word of them may be a name. Ukrainian
# in its turn has none of the second line.
_OTHER_CYRILLIC = re.compile(r"[\u0400\u0402-\u040f\u0450\u0452-\u04ff]")
_NOT_UKRAINIAN = re.compile(r"[ыэъёЫЭЪЁ]")
# The commonest short words of English, and of German, French, Spanish and Italian that no English sentence has.
_SHORT = "the and is are to of you it that this for with what how why my be have can do not i"
_SHORT_OTHER = ("der das und ist nicht ich ein eine einen mit auf für wie auch wir sie dass zu bei von vom aus nach "
                "kann le les des est et une que qui je nous vous dans pour avec sur suis mais ne ce c'est el los las y "
                "es una por con para del como pero muy está mi il che di per sono non della anche perché gli")
_ENGLISH_WORDS, _OTHER_WORDS = frozenset(_SHORT.split()), frozenset(_SHORT_OTHER.split())
_MARKED = re.compile(r"[\u00c0-\u024f]")

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
    """'ru', 'en' or 'und'. A quarter of Cyrillic letters makes a text Russian: Russian engineers write half of their
    nouns in Latin letters, English speakers write none in Cyrillic. Letters that Russian lacks (2 of 100, 4 beside
    those only Russian has) or short words that English lacks make it neither; what shows none passes for ru or en."""
    cyrillic, latin = len(_CYRILLIC.findall(text)), len(_LATIN.findall(text))
    if cyrillic + latin == 0:
        return "und"
    if cyrillic >= 0.25 * (cyrillic + latin):
        most = 0.04 if _NOT_UKRAINIAN.search(text) else 0.02
        return "und" if len(_OTHER_CYRILLIC.findall(text)) > most * cyrillic else "ru"
    return "und" if _is_foreign_latin(text[:2000].casefold()) else "en"


def _is_foreign_latin(text: str) -> bool:
    words = text.split()
    other = sum(map(_OTHER_WORDS.__contains__, words))
    enough = 2 if _MARKED.search(text) is None else 1
    return other >= enough and other > sum(map(_ENGLISH_WORDS.__contains__, words))


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
    """Spans that are the writer's own words: what twin.foreign does not find to be another's."""
    spans: list[tuple[int, int]] = []
    start = 0
    for left, right in [*((left, right) for left, right, _ in foreign_spans(text)), (len(text), len(text))]:
        if text[start:left].strip():
            spans.append((start, left))
        start = right
    return spans


def own_sentences(text: str) -> list[tuple[int, int]]:
    """Sentence spans inside the writer's own words."""
    return [(left + a, left + b) for left, right in own_spans(text) for a, b in sentences(text[left:right])]
