"""A rough English reading of a Russian text, word by word, for embedders that were trained on English.

Not a translation: no syntax, one sense a word, unknown words in Latin letters. It puts Russian messages near English
ones of the same matter, which is all that a comparison of vectors needs.
"""
from __future__ import annotations

import tomllib
from functools import lru_cache
from importlib import resources

from twin import russian, text

_LATIN = dict(zip("абвгдежзийклмнопрстуфхцчшщъыьэюя",
                  [*"abvgde", "zh", *"ziyklmnoprstufh", "ts", "ch", "sh", "sch", "", "y", "", "e", "yu", "ya"],
                  strict=True))


def gloss(message: str) -> str:
    """The words of a message in English, in their order; a message without Russian words as it is."""
    if not any(letter in _LATIN for letter in message.casefold()):
        return message
    return " ".join(_word(word) for word in text.words(message))


@lru_cache(maxsize=16384)
def _word(word: str) -> str:
    if not any(letter in _LATIN for letter in word):
        return word
    exact, by_stem = _dictionary()
    readings = russian.forms(word)
    normal = readings[0].normal.replace("ё", "е") if readings else word
    known = exact.get(word) or exact.get(normal) or by_stem.get(text.stem(normal)) or by_stem.get(text.stem(word))
    return known or "".join(_LATIN.get(letter, letter) for letter in normal)


@lru_cache(maxsize=1)
def _dictionary() -> tuple[dict[str, str], dict[str, str]]:
    """English by Russian word, and by its stem; of words with one stem the first counts."""
    table = tomllib.loads(resources.files("twin").joinpath("gloss.toml").read_text("utf-8"))["words"]
    exact = {word: english for english, words in table.items() for word in words.split()}
    by_stem: dict[str, str] = {}
    for word, english in exact.items():
        by_stem.setdefault(text.stem(word), english)
    return exact, by_stem
