"""The small language of cues in depth.toml and facets.toml: phrases matched against plain text.

`work* together`: `*` ends a stem, ` .. ` skips up to 60 characters inside the sentence, `re:` starts a raw expression.
"""
from __future__ import annotations

import re

_MARKS = re.compile(r"[*_`#«»“”„\"\u00ad\u200b-\u200d\ufeff]+")


def plain(text: str) -> str:
    """What cues are matched against: lower case, ё as е, one kind of hyphen and space, no quotes or Markdown marks."""
    text = text.casefold().replace("ё", "е").replace("\u2011", "-").replace("’", "'")
    text = _MARKS.sub(" ", re.sub(r"\s*[–—]\s*", " - ", text))
    return re.sub(r"\s+", " ", text).replace(" ,", ",").replace(" ?", "?").strip()


def cue(phrase: str) -> str:
    """One cue as a regular expression over plain text."""
    if phrase.startswith("re:"):
        return phrase[3:]
    words = " ".join(re.escape(word).replace(r"\*", r"\w*") for word in phrase.split())
    return r"\b" + words.replace(r" \.\. ", r"\b[^.?!]{0,60}?\b") + r"(?!\w)"
