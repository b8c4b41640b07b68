"""The one template set (*.jinja), bound to a profile: every text form is a template filled here.

Knows no budget of any form; `fit` finds how many claims a budget has room for. The templates get words that are escaped
already (escape.py), and never a message.
"""
from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from importlib import resources
from typing import TYPE_CHECKING, Any, Literal

from twin import roles
from twin.errors import UsageError
from twin.exporters import Material
from twin.exporters.escape import ESCAPES, Escape, lines, name, one_line, utf16
from twin.person import Claim, Profile

if TYPE_CHECKING:
    from jinja2 import Environment

LANGUAGES = ("en", "ru")
QUOTE = 160  # characters of a quote: a sentence; longer ones crowd out other claims
NAME = 80    # characters of a name

Style = Literal["markdown", "plain", "xml"]
Size = Callable[[str], int]


def mark(material: Material) -> str:
    """The line by which an export says what it was made of."""
    core = material.firmware
    return (f"twin-core id={core.id} profile={core.profile} roles={core.role_map[:12]} level={material.level} "
            f"language={spoken(material)}")


def spoken(material: Material) -> str:
    """The language an export is written in: the material's, or English where there are no words in that."""
    return material.language if material.language in LANGUAGES else "en"


def called(material: Material) -> str:
    """The core's name on one line; '' where nobody gave it one."""
    given = one_line(material.name[:NAME])
    return "" if given == "twin" else given


def slug(material: Material) -> str:
    """The core's name as 1 to 64 characters of a-z, 0-9 and single hyphens between them; 'twin' where it has none of
    these, and without the two names that the makers of Agent Skills keep for themselves."""
    letters = re.sub(r"[\u0300-\u036f]", "", unicodedata.normalize("NFKD", material.name.casefold()))
    parts = re.split(r"[^a-z0-9]+", re.sub("anthropic|claude", " ", letters))
    return "-".join(filter(None, parts))[:64].strip("-") or "twin"


class Sheet:
    """A template bound to everything but the claims. `quotes`: how many stand below each."""

    def __init__(self, template: str, style: Style, frame: Mapping[str, Any], quotes: int | None = 1) -> None:
        self._template = _environment().get_template(template)
        self._style: Style = style
        self._quotes = quotes
        self._frame = dict(frame, style=style)

    @classmethod
    def of(cls, material: Material, template: str, style: Style, *, quotes: int | None = 1, role: bool = True,
           **more: Any) -> Sheet:
        """Bound to a core, with ids and marker; `role`: with the instructions of its role, if it is to speak in one."""
        escape = ESCAPES[style]
        spoken_in = material.role_map.role(material.role) if material.role and role else None
        frame = {**frame_of(material.profile, material.levels, spoken(material), escape), "ids": True,
                 "name": escape(called(material)), "constitution": lines(material.constitution, escape),
                 "role": spoken_in and role_of(spoken_in, spoken(material), escape), "marker": mark(material)}
        return cls(template, style, {**frame, **more}, quotes)

    def __call__(self, claims: Sequence[Claim] = (), left: int = 0, **more: Any) -> str:
        """The text with these claims; `left`: how many others had no room."""
        shown = [_shown(claim, ESCAPES[self._style], self._quotes) for claim in claims]
        return self._template.render({**self._frame, "claims": shown, "left": left, **more})


def frame_of(profile: Profile, levels: Mapping[int, int], language: str, escape: Escape) -> dict[str, Any]:
    """What the templates say of a profile beside its claims."""
    depths = sorted(level for level, count in levels.items() for _ in range(count))
    return {"language": language, "name": "", "own": profile.own_messages, "messages": profile.messages,
            "conversations": profile.conversations, "read": profile.read_by_core,
            "levels": {level: count for level, count in levels.items() if count},
            "typical": depths[(len(depths) - 1) // 2] if depths else None,
            "notes": [escape(note) for note in profile.notes], "nothing_known": not profile.claims,
            "constitution": [], "role": None, "marker": "", "ids": False}


def role_of(role: roles.Role, language: str, escape: Escape) -> dict[str, Any]:
    """Title, purpose and instructions of a role. The last line of a header fixes the language of the answer to that of
    one question; an export says itself that it is the question's."""
    told = "\n".join(roles.header(role, language).split("\n")[:-1])
    return {"title": escape(role.title.of(language)), "purpose": escape(role.purpose.of(language)),
            "lines": lines(told, escape)}


def ranked(profile: Profile) -> list[Claim]:
    """The claims as they keep their place: pinned ones first, then by confidence, of equal ones the earlier."""
    return sorted(profile.claims, key=lambda claim: ("pin" not in claim.decided, -claim.confidence))


def fit(sheet: Callable[[Sequence[Claim], int], str], claims: Sequence[Claim], budget: int,
        size: Size = utf16, most: int | None = None) -> tuple[str, tuple[str, ...]]:
    """The longest text of these claims (the strongest first) whose `size` keeps to the budget, and the claims it lost,
    weakest first. `most`: what the form takes, whatever the budget. Raises UsageError, with the minimum, when the frame
    without claims does not fit."""
    room, everything = budget if most is None else min(budget, most), sheet(claims, 0)
    if size(everything) <= room:
        return everything, ()
    few, many = -1, len(claims)  # so many fit, so many do not; a claim adds more than a smaller number of others saves
    while many - few > 1:
        tried = (few + many) // 2
        few, many = (tried, many) if size(sheet(claims[:tried], len(claims) - tried)) <= room else (few, tried)
    if few < 0:
        least = min(size(sheet((), len(claims))), size(everything))
        raise UsageError(f"A prompt for this profile needs at least {least} characters; {budget} were given.",
                         f"Use a budget of {least} or more." if most is None or least <= most else
                         "Write a shorter constitution, or choose another role or form.")
    return (sheet(claims[:few], len(claims) - few),
            tuple(f"{one_line(claim.text)} ({claim.confidence:.2f})" for claim in claims[few:][::-1]))


def said(language: str) -> Mapping[str, Any]:
    """The words of the templates in a language, for what is filled in elsewhere."""
    words: Mapping[str, Mapping[str, Any]] = vars(_environment().get_template("words.jinja").module)["words"]
    return words[language]


def quote_of(claim: Claim) -> str:
    """One short quote that stands for a claim."""
    quotes = [one_line(evidence.quote) for evidence in claim.evidence]
    return next((quote for quote in quotes if len(quote) <= QUOTE), "") or _shortened(quotes[0])


@lru_cache(maxsize=1)
def _environment() -> Environment:
    from jinja2 import FunctionLoader, StrictUndefined  # only exporters need jinja2; `import twin` must stay light
    from jinja2.sandbox import SandboxedEnvironment

    def source(file: str) -> str:
        return resources.files("twin.exporters").joinpath(file).read_text("utf-8")

    return SandboxedEnvironment(loader=FunctionLoader(source), undefined=StrictUndefined, trim_blocks=True,
                                lstrip_blocks=True, auto_reload=False)


def _shown(claim: Claim, escape: Escape, most: int | None) -> dict[str, Any]:
    """What a template shows of a claim: its quote only where the claim's own text does not say it."""
    quotes = [one_line(evidence.quote) for evidence in claim.evidence]
    told = claim.kind in ("fact", "preference") and any(quote in one_line(claim.text) for quote in quotes)
    shown = [quote_of(claim)] if most == 1 else quotes[:most]
    return {"id": name(claim.id), "text": escape(claim.text), "authority": claim.authority,
            "confidence": f"{claim.confidence:.2f}", "disputed": bool(claim.conflicts),
            "quotes": [] if told else [escape(quote) for quote in shown]}


def _shortened(quote: str) -> str:
    """The beginning of a long quote, up to a word's end."""
    if len(quote) <= QUOTE:
        return quote
    head, _, broken = quote[:QUOTE].rpartition(" ")
    return (head or broken) + "…"
