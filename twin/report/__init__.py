"""Profile -> a plain text report in its own language. It shows and claims nothing of its own."""
from __future__ import annotations

import textwrap
from collections.abc import Mapping

from twin.facets import facets
from twin.person import Evidence, Profile
from twin.profile import alone
from twin.text import one_line

_REPORT = {
    "en": {"title": "What your messages show", "size": "own messages: {own} of {all}, conversations: {talks}",
           "levels": "How deep you ask (1 how do I install it ... 7 how does a system design itself); questions: {n}",
           "deepest": "The deepest questions", "claims": "What can be claimed", "notes": "How much this proves",
           "confidence": "confidence {c:.2f}, {origin}{marks}",
           "alone": ", one conversation only", "common": ", fits many",
           "rule": "by rules", "core": "by the core", "rule+core": "by rules and the core", "no": "Nothing yet."},
    "ru": {"title": "Что показывают твои сообщения", "size": "своих сообщений: {own} из {all}, бесед: {talks}",
           "levels": "Как глубоко ты спрашиваешь (1 как установить ... 7 как система проектирует себя); вопросов: {n}",
           "deepest": "Самые глубокие вопросы", "claims": "Что можно утверждать", "notes": "Насколько это доказано",
           "confidence": "уверенность {c:.2f}, {origin}{marks}",
           "alone": ", только одна беседа", "common": ", подходит многим",
           "rule": "по правилам", "core": "по чтению модели", "rule+core": "по правилам и чтению модели",
           "no": "Пока ничего."},
}
_BAR = 30  # characters of the longest bar


def render(profile: Profile, *, width: int = 100) -> str:
    """The profile as a plain text report in its own language, lines of at most `width` characters (from 40)."""
    width, words = max(40, width), _REPORT[profile.language]
    size = words["size"].format(own=profile.own_messages, all=profile.messages, talks=profile.conversations)
    lines = [words["title"], *_wrapped(size, width), ""]
    if profile.questions:
        lines += [*_wrapped(words["levels"].format(n=len(profile.questions)), width), *_bars(profile.levels), ""]
        lines += [words["deepest"], *_deepest(profile, width), ""]
    lines.append(words["claims"])
    for number, claim in enumerate(profile.claims, 1):
        marks = words["alone"] * alone(claim) + words["common"] * facets()[claim.facet].common
        lines += _wrapped(f"{number}. {claim.text}", width)
        origin = words["confidence"].format(c=claim.confidence, origin=words[claim.origin], marks=marks)
        lines += _wrapped(origin, width, "   ")
        lines += [line for evidence in claim.evidence for line in _quoted(evidence, profile.language, width)]
    lines += [words["no"]] * (not profile.claims)
    lines += ["", words["notes"], *(line for note in profile.notes for line in _wrapped(f"- {note}", width))]
    return "\n".join(lines)


def markdown(profile: Profile) -> str:
    """The profile as Markdown."""
    return render(profile)


def _bars(levels: Mapping[int, int]) -> list[str]:
    most = max(1, *levels.values())
    return [f"  {level}  {'█' * round(_BAR * count / most) or ('▏' if count else '')} {count}"
            for level, count in sorted(levels.items(), reverse=True)]


def _deepest(profile: Profile, width: int) -> list[str]:
    """Three questions of the highest levels; of equal ones the shorter, which hides less behind words."""
    order = sorted(profile.questions, key=lambda q: (-q.depth.level, len(q.evidence.quote)))
    lines: list[str] = []
    for question in order[:3]:
        lines += _quoted(question.evidence, profile.language, width, f"  [{question.depth.shown}] ")
        lines += _wrapped(question.depth.rule, width, "      ")
    return lines


def _quoted(evidence: Evidence, language: str, width: int, lead: str = "     ") -> list[str]:
    left, right = ("«", "»") if language == "ru" else ("“", "”")
    date = f" ({evidence.time:%Y-%m-%d})" if evidence.time else ""
    return textwrap.wrap(f"{left}{one_line(evidence.quote)}{right}{date}", width, initial_indent=lead,
                         subsequent_indent=" " * len(lead))


def _wrapped(sentence: str, width: int, lead: str = "") -> list[str]:
    return textwrap.wrap(sentence, width, initial_indent=lead, subsequent_indent=lead + "  ")
