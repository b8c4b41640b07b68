"""The report as plain text for a terminal."""
from __future__ import annotations

import textwrap
from collections.abc import Iterable, Mapping

from twin.person import Profile
from twin.report.content import ClaimPart, Content, content

_BAR = 30  # characters of the longest bar


def render(profile: Profile, *, width: int = 100) -> str:
    """The profile as a plain text report in its own language, lines of at most `width` characters (from 40)."""
    width, said = max(40, width), content(profile)
    words = said.words
    lines = [words["title"], *_wrapped(said.size, width), ""]
    for title, body in (
        (words["standing"], _standing(said, width)),
        (words["table"], _table(said, width)),
        (words["claims"], _claims(said.shown, words, width) or [words["nothing"]]),
        (words["said"], [*_claims(said.stated, words, width), *_wrapped(said.more, width)]),
        (words["asked_of_you"], _items(said.asks, width)),
        (words["others"], _sentences(said.others, width)),
        (words["time"], _time(said, width)),
        (words["topics"], [*_topics(said, width), *[""] * bool(said.topical), *_claims(said.topical, words, width)]),
        (words["conclusion"], _items(said.conclusion, width)),
        (words["notes"], _items(said.notes, width)),
    ):
        lines += [title, *body, ""] if body else []
    return "\n".join(lines[:-1])


def _standing(said: Content, width: int) -> list[str]:
    lines = [*_sentences(said.standing, width), *_wrapped(said.rule, width)]
    if any(said.levels.values()):
        lines += ["", *_wrapped(said.words["levels"].format(n=sum(said.levels.values())), width), *_bars(said.levels)]
        lines += ["", said.words["deepest"]]
    for shown, quote, why in said.deepest:
        lines += [*_wrapped(quote, width, f"  [{shown}] "), *_wrapped(why, width, "      ")]
    return lines


def _bars(levels: Mapping[int, int]) -> list[str]:
    most = max(1, *levels.values())
    return [f"  {level}  {'█' * round(_BAR * count / most) or ('▏' if count else '')} {count}"
            for level, count in sorted(levels.items(), reverse=True)]


def _table(said: Content, width: int) -> list[str]:
    lines: list[str] = []
    if not any(said.levels.values()):
        return lines
    for row in said.rows:
        when = f" ({row['when']})" if row["when"] else ""
        lines += _wrapped(f"{row['asked']} - {row['you']}; {said.words['count']} = {row['count']}{when}", width,
                          f"  {row['level']}  ")
        lines += _wrapped(row["yours"], width, "     ") if row["yours"] else []
    return [*lines, *_wrapped(said.table_rule, width)]


def _claims(parts: Iterable[ClaimPart], words: Mapping[str, str], width: int) -> list[str]:
    lines: list[str] = []
    for part in parts:
        lines += _wrapped(f"{part.text} [{part.id}]", width, f"{part.number}. ")
        for line in (*part.lines, part.contrast):
            lines += _wrapped(line, width, "   ")
        for quote in part.quotes:
            lines += _wrapped(quote, width, "     ")
        if part.counter:
            lines += _wrapped(words["against"], width, "   ")
        for quote in part.counter:
            lines += _wrapped(quote, width, "     ")
        lines += [*_wrapped(part.conflict, width, "   "), *_wrapped(part.same, width, "   ")]
    if any(part.contrast for part in parts):
        lines += _wrapped(words["flat"], width)
    return lines


def _time(said: Content, width: int) -> list[str]:
    words, lines = said.words, list[str]()
    if said.months:
        lines += _wrapped(f"{words['month']}; n; {words['mean']}; {words['deep']}", width)
    for month, n, mean, deep in said.months:
        lines += _wrapped(f"{month}  {n:>4}  {mean:<13}  {deep}", width, "  ")
    return [*lines, *_sentences(said.changes, width)]


def _topics(said: Content, width: int) -> list[str]:
    words, lines = said.words, list[str]()
    for name, talks, messages, when in said.topics:
        counts = f"{words['talks'].lower()}: {talks}" + f", {words['messages'].lower()}: {messages}" * bool(messages)
        lines += _wrapped(f"{name} ({counts}{', ' + when if when else ''})", width, "  ")
    return lines


def _sentences(sentences: Iterable[str], width: int) -> list[str]:
    return [line for sentence in sentences for line in _wrapped(sentence, width)]


def _items(sentences: Iterable[str], width: int) -> list[str]:
    return [line for sentence in sentences for line in _wrapped(f"- {sentence}", width)]


def _wrapped(sentence: str, width: int, lead: str = "") -> list[str]:
    """Lines of one sentence; the further ones of an item stand under its text."""
    hang = " " * (len(lead) + 2 * sentence.startswith("- "))
    return textwrap.wrap(sentence, width, initial_indent=lead, subsequent_indent=hang)
