"""A profile as a system prompt in Markdown, for any assistant that takes one.

Reads the profile only, never messages. Whatever a person wrote is data here: one line each, its markup escaped.
"""
from __future__ import annotations

import re
import unicodedata
from bisect import bisect_right
from collections.abc import Callable, Sequence
from importlib import resources
from typing import Any

from twin.errors import UsageError
from twin.exporters import Exported
from twin.person import Claim, Profile
from twin.text import clean

LANGUAGES = ("en", "ru")
QUOTE = 160  # characters of a quote: a sentence; longer ones crowd out other claims
NAME = 80    # characters of a name

_MARKUP = re.compile(r"([\\`*_{}\[\]<>#|~]|%(?=\})|(?<=\{)%)")
_FIRST = re.compile(r"^(\d*)([-+=.)])")  # what would open a list or underline a heading
_JOINERS = "\u200c\u200d"  # format characters that Persian and emoji need


def prompt(profile: Profile, *, language: str | None = None, budget: int = 8000, name: str | None = None) -> Exported:
    """A system prompt that makes another assistant work as this person's twin.

    `language` is en or ru (default: the profile's own). `budget` counts UTF-16 code units; the claims of lowest
    confidence are cut first (of equal ones the later, pinned ones last) and named in `cut`. Raises UsageError, with
    the minimum, when the frame without claims does not fit. Equal input gives equal text.
    """
    if language is None:
        language = profile.language if profile.language in LANGUAGES else "en"
    if language not in LANGUAGES:
        raise UsageError(f"There is no prompt in the language {language!r}.", f"Choose {' or '.join(LANGUAGES)}.")
    ranked = sorted(profile.claims, key=lambda claim: ("pin" not in claim.decided, -claim.confidence))
    render = _renderer(profile, language, name)

    def characters(kept: int) -> int:
        return utf16(render(ranked[:kept]))

    # Every claim adds lines, so the length grows with the number kept.
    kept = bisect_right(range(len(ranked) + 1), budget, key=characters) - 1
    if kept < 0:
        raise UsageError(f"A prompt for this profile needs at least {characters(0)} characters; {budget} were given.",
                         f"Use a budget of {characters(0)} or more.")
    text = render(ranked[:kept])
    return Exported(text, tuple(f"{_one_line(claim.text)} ({claim.confidence:.2f})" for claim in ranked[kept:][::-1]),
                    utf16(text))


def utf16(text: str) -> int:
    """Length in UTF-16 code units: an emoji counts two."""
    return len(text.encode("utf-16-le")) // 2


def neutral(text: str) -> str:
    """A foreign text as plain words on one line: white space folded, invisible controls gone, Markdown, template and
    chat marks escaped, so that it neither ends its block nor opens another one."""
    return _FIRST.sub(r"\1\\\2", _MARKUP.sub(r"\\\1", _one_line(text)))


def _one_line(text: str) -> str:
    visible = (" " if unicodedata.category(c) == "Cc" else c for c in clean(text)
               if c in _JOINERS or unicodedata.category(c) != "Cf")
    return " ".join("".join(visible).split())


def _renderer(profile: Profile, language: str, name: str | None) -> Callable[[Sequence[Claim]], str]:
    """Bind the template to everything but the claims. Everything it gets is neutral already."""
    from jinja2 import StrictUndefined  # only exporters need jinja2; `import twin` must stay light
    from jinja2.sandbox import SandboxedEnvironment

    environment = SandboxedEnvironment(undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True,
                                       keep_trailing_newline=True)
    template = environment.from_string(resources.files("twin.exporters").joinpath("prompt.jinja").read_text("utf-8"))
    depths = sorted(question.depth.step for question in profile.questions)
    levels = {level: count for level, count in profile.levels.items() if count}
    frame: dict[str, Any] = {
        "language": language, "name": neutral((name or "")[:NAME]), "own": profile.own_messages,
        "messages": profile.messages, "conversations": profile.conversations, "read": profile.read_by_core,
        "levels": levels, "typical": depths[(len(depths) - 1) // 2] if depths else None,
        "notes": [neutral(note) for note in profile.notes], "nothing_known": not profile.claims}
    return lambda claims: template.render(**frame, claims=[_plain(claim) for claim in claims])


def _plain(claim: Claim) -> dict[str, str | bool]:
    """What the template shows of a claim: its quote only where the claim's own text does not say it."""
    quotes = [_one_line(evidence.quote) for evidence in claim.evidence]
    quote = next((quote for quote in quotes if len(quote) <= QUOTE), "") or _shortened(quotes[0])
    told = claim.kind in ("fact", "preference") and any(quote in _one_line(claim.text) for quote in quotes)
    return {"text": neutral(claim.text), "authority": claim.authority, "confidence": f"{claim.confidence:.2f}",
            "disputed": bool(claim.conflicts), "quoted": not told, "quote": neutral(quote)}


def _shortened(quote: str) -> str:
    """The beginning of a long quote, up to a word's end."""
    if len(quote) <= QUOTE:
        return quote
    head, _, broken = quote[:QUOTE].rpartition(" ")
    return (head or broken) + "…"
