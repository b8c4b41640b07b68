"""What a text may not hold that an operation brings into the role map: hidden characters, addresses, paths, secrets,
marks of pages and chats, names of tools, commands to the system.

Hygiene, not the defence: whoever words it otherwise gets by. The defence is the closed schema, the proof and the
person's yes. Knows nothing of roles.
"""
from __future__ import annotations

import re
import tomllib
import unicodedata
from functools import cache
from importlib import resources

from twin import cues

HIDDEN = "it holds characters that cannot be seen"
# Blank letters and selectors that categories do not tell: fillers of Hangul, the blank of Braille, selectors of
# variants (FE0F, which makes an emoji of a sign, is common and harmless).
_UNSEEN = re.compile("[\u034f\u115f\u1160\u17b4\u17b5\u2800\u3164\uffa0\ufe00-\ufe0e\U000e0100-\U000e01ef]")
_HIDDEN = {"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"}
_STACKED = re.compile(r"[\u0300-\u036f]{3,}")
_SPELT = re.compile(r"\b(?:\w[ ._*-]){4,}\w\b")
_CYRILLIC = re.compile(r"[\u0400-\u04ff]")
_LATIN = re.compile(r"[a-z]")
_ALIKE = ("аеорсухіјѕһкмтнвԁԛԝ", "aeopcyxijshkmthbdqw")
_TO_LATIN = str.maketrans(*_ALIKE)
_TO_CYRILLIC = str.maketrans("aeopcyxkmthb", "аеорсухкмтнв")


def refusal(text: str) -> str | None:
    """Why a text is not taken, in English; None when nothing is found. Never holds words of the text."""
    if _UNSEEN.search(text) or _STACKED.search(text) or any(
            letter not in "\n\t" and unicodedata.category(letter) in _HIDDEN for letter in text):
        return HIDDEN
    wide = unicodedata.normalize("NFKC", text)
    for variant in dict.fromkeys(_variants(wide)):
        for why, pattern in _patterns():
            if pattern.search(variant):
                return why
    return None


def _variants(text: str) -> list[str]:
    """The text as cues read it, as it stands but for case, and with the letters that look like another script's or are
    spelt one by one put right."""
    low = text.casefold()
    plain = cues.plain(text)
    spelt = _SPELT.sub(lambda run: re.sub(r"[ ._*-]", "", run.group()), plain)
    return [low, plain, spelt, _in_one_script(spelt, _TO_LATIN), _in_one_script(spelt, _TO_CYRILLIC)]


def _in_one_script(text: str, table: dict[int, int]) -> str:
    """The text with its words of two scripts in one."""
    return " ".join(word.translate(table) if _CYRILLIC.search(word) and _LATIN.search(word) else word
                    for word in text.split(" "))


@cache  # compiled once; nothing of it changes
def _patterns() -> tuple[tuple[str, re.Pattern[str]], ...]:
    kinds = tomllib.loads(resources.files("twin").joinpath("operation_text.toml").read_text("utf-8"))
    return tuple((str(kind["why"]), cues.any_of(kind["cues"])) for kind in kinds.values())
