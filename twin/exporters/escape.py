"""Foreign words as data of the form they go to: one line each, and nothing in them that a program takes for its own.

Whatever a person, a core or a file wrote passes here before it stands in an export. In Markdown and XML the form's own
escapes do it. Plain text and JSON have none that a chat program would undo, so there a space parts what opens a control
mark: `< |im_end|>`, `< think>`, `[ INST]`, `{ {user}}`. All of it can be read back but for white space
(twin/importers/carried.py).
"""
from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable
from urllib.parse import quote
from xml.sax import saxutils  # writes escapes only, parses nothing

from twin.text import clean

_MARKUP = re.compile(r"([\\`*_{}\[\]<>#|~]|%(?=\})|(?<=\{)%)")
_FIRST = re.compile(r"^(\d*)([-+=.)])")  # what would open a list or underline a heading
# Tags and tokens of every family, macros and templates, Mistral's and GLM's marks, and what ends a Modelfile's string.
_CONTROL = re.compile(r"<(?=[^\s=])|\{(?=[{%#])|[}%#](?=\})|\[(?=/?[A-Za-z_]*[A-Z_]{3,}[A-Za-z_]*\])|\"(?=\"\")")
_LISTED = re.compile(r"^(?:[-*+•]|\d{1,3}[.)])\s+")
_JOINERS = "\u200c\u200d"  # format characters that Persian and emoji need

Escape = Callable[[str], str]


def utf16(text: str) -> int:
    """Length in UTF-16 code units: an emoji counts two."""
    return len(text.encode("utf-16-le")) // 2


def one_line(text: str) -> str:
    """White space folded, invisible controls and noncharacters gone."""
    visible = (" " if unicodedata.category(c) == "Cc" else c for c in clean(text)
               if c in _JOINERS or not (unicodedata.category(c) == "Cf" or _is_no_character(c)))
    return " ".join("".join(visible).split())


def neutral(text: str) -> str:
    """A foreign text as plain words on one line of Markdown: its markup, template and chat marks are escaped, so that
    it neither ends its block nor opens another one."""
    return _FIRST.sub(r"\1\\\2", _MARKUP.sub(r"\\\1", one_line(text)))


def plain(text: str) -> str:
    """The same for plain text and for JSON: the marks that chat programs obey are parted by a space."""
    return _CONTROL.sub(r"\g<0> ", one_line(text))


def xml(text: str) -> str:
    """The same between XML tags: it can close none and open none."""
    return _CONTROL.sub(r"\g<0> ", saxutils.escape(one_line(text)))


ESCAPES: dict[str, Escape] = {"markdown": neutral, "plain": plain, "xml": xml}
"""Style -> how foreign words are written in it."""


def lines(text: str, escape: Escape) -> list[str]:
    """The lines of an instruction that say something, each for an item of a list: without a list mark of its own."""
    return [line for one in clean(text).split("\n") if (line := escape(_LISTED.sub("", one_line(one))))]


def name(id: str) -> str:
    """A claim's id in brackets: letters, digits, `.`, `_`, `-`; anything else as in a web address."""
    return quote(one_line(id), safe="").replace("~", "%7E")


def _is_no_character(letter: str) -> bool:
    return ord(letter) & 0xFFFE == 0xFFFE or 0xFDD0 <= ord(letter) <= 0xFDEF
