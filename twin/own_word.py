"""Whose word a sentence is: the person's own about what is so, or a part they play, quote, suppose, or joke with.

By the lists `void` of stated.toml, Russian and English. What is foreign in a text (pasted, quoted lines, code) is
foreign.py's business and left out before.
"""
from __future__ import annotations

import re
import tomllib
from dataclasses import dataclass
from functools import lru_cache
from importlib.resources import files

from twin import text
from twin.cues import any_of, plain
from twin.types import Message

MIN_CHARACTERS = 12  # "Thanks!" shows nothing
_QUOTED = re.compile(r"«[^«»]{12,1000}»|“[^“”]{12,1000}”|(?<!\w)\"[^\"\n]{12,1000}\"(?!\w)")


@dataclass(frozen=True, repr=False)
class Sentence:
    """A sentence, text[start:end] of a message, on one line. `supposed`: the case it speaks of is thought up."""

    conversation: str
    message: str
    start: int
    end: int
    text: str
    language: str
    supposed: bool = False


def own_word(conversation: str, message: Message) -> list[Sentence]:
    """The sentences of a message that are the person's own word about what is so: none where it plays a role or works
    on a text, none that is quoted or a joke; after "imagine", and where somebody else is reported, all are supposed,
    and so is all that stands beside a request to summarize, shorten or judge a text.
    """
    words = message.text
    masked = _QUOTED.sub(lambda found: "_" * len(found.group()), words)
    found: list[Sentence] = []
    spans = [(start, end, _tongue(words[start:end]), plain(masked[start:end]))
             for start, end in text.own_sentences(words)]
    if any(_void(tongue, "message").search(scope) for _, _, tongue, scope in spans):
        return []
    asks = [len(spans) > 1 and bool(_void(tongue, "text").search(scope)) for _, _, tongue, scope in spans]
    supposed = False
    for place, (start, end, tongue, scope) in enumerate(spans):
        after = spans[place + 1][3] if place + 1 < len(spans) and len(spans[place + 1][3]) <= 40 else ""
        supposed = supposed or bool(_void(tongue, "rest").search(scope))
        joke = _void(tongue, "joke")
        if (end - start < MIN_CHARACTERS or masked[start:end].count("_") * 3 > end - start
                or joke.search(scope) or joke.search(after)):
            continue
        unsure = supposed or (any(asks) and not asks[place]) or bool(_void(tongue, "sentence").search(scope))
        found.append(Sentence(conversation, message.id, start, end, text.one_line(words[start:end]), tongue, unsure))
    return found


def _tongue(sentence: str) -> str:
    return "ru" if text.language(sentence) == "ru" else "en"


@lru_cache(maxsize=16)
def _void(tongue: str, part: str) -> re.Pattern[str]:
    table = tomllib.loads((files("twin") / "stated.toml").read_text(encoding="utf-8"))["void"][part]
    return any_of(table[tongue])
