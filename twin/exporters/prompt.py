"""A profile as a system prompt, for any assistant that takes one: Markdown, plain text, or in XML tags.

Reads the profile only, never messages. Whatever a person wrote is data here (escape.py).
"""
from __future__ import annotations

from collections.abc import Sequence

from twin.errors import UsageError
from twin.exporters import FORMATS, Exported, Material
from twin.exporters.escape import neutral, utf16
from twin.exporters.sheet import LANGUAGES, NAME, QUOTE, Sheet, Style, fit, frame_of, ranked
from twin.person import Claim, Profile

__all__ = ["LANGUAGES", "QUOTE", "markdown", "neutral", "one_file", "plain", "prompt", "utf16", "xml"]


def prompt(profile: Profile, *, language: str | None = None, budget: int = 8000, name: str | None = None) -> Exported:
    """A system prompt in Markdown of a profile that belongs to no core: without ids, and without a core's mark.

    `language` is en or ru (default: the profile's own). `budget` counts UTF-16 code units; the claims of lowest
    confidence are cut first (of equal ones the later, pinned ones last) and named in `cut`. Raises UsageError, with
    the minimum, when the frame without claims does not fit. Equal input gives equal text.
    """
    if language is None:
        language = profile.language if profile.language in LANGUAGES else "en"
    if language not in LANGUAGES:
        raise UsageError(f"There is no prompt in the language {language!r}.", f"Choose {' or '.join(LANGUAGES)}.")
    frame = frame_of(profile, profile.levels, language, neutral) | {"name": neutral((name or "")[:NAME])}
    sheet = Sheet("prompt.jinja", "markdown", frame)

    def silent(claims: Sequence[Claim], _: int) -> str:
        return sheet(claims)

    text, cut = fit(silent, ranked(profile), budget)
    return Exported(text, cut, utf16(text))


def markdown(material: Material, budget: int) -> Exported:
    """A system prompt of a core in Markdown. Raises UsageError when its frame does not fit; so do the next two."""
    return _prompt(material, budget, "markdown", "prompt")


def plain(material: Material, budget: int) -> Exported:
    """The same as plain text."""
    return _prompt(material, budget, "plain", "plain")


def xml(material: Material, budget: int) -> Exported:
    """The same in XML tags."""
    return _prompt(material, budget, "xml", "xml")


def one_file(text: str, cut: tuple[str, ...], format: str, notes: Sequence[str] = ()) -> Exported:
    """A text as the one file of its format."""
    return Exported(text, cut, utf16(text), files={FORMATS[format].file: text}, notes=tuple(notes))


def _prompt(material: Material, budget: int, style: Style, format: str) -> Exported:
    return one_file(*fit(Sheet.of(material, "prompt.jinja", style), ranked(material.profile), budget), format)
