"""What one prompt is made of: its parts and their tokens, what all roles share, and what is left of the budget.

Drawn as lines of styled spans for terminals and as HTML for notebooks. The words of a prompt are data: they come out
printable, never as markup, and each line has a margin, so that no text can pass for a control token or another part.
Knows no engine and no home: token counts come in as functions.
"""
from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from html import escape
from pathlib import PurePath
from textwrap import TextWrapper
from typing import Literal
from unicodedata import east_asian_width

from twin.prompt import Count, split_digest, split_memories
from twin.text import one_line, printable
from twin.types import Adapter, Prompt, Segment
from twin.words import Words, sentence

Section = Literal["shared", "memories", "tail", "room", "free"]


@dataclass(frozen=True)
class Look:
    """How a section looks: its sign in a bar without colours, its colour in a terminal (as click names it) and in CSS,
    and what it is called."""

    sign: str
    terminal: str
    css: str
    label: str


STYLES: dict[str, Look] = {
    "shared": Look("█", "blue", "#4c78a8", "shared prefix"),
    "memories": Look("▓", "yellow", "#e0903a", "memories"),
    "tail": Look("▒", "green", "#54a24b", "role tail"),
    "room": Look("░", "magenta", "#b279a2", "room for the answer"),
    "free": Look("·", "bright_black", "#9a9a9a", "free"),
}
NOTE = "note"  # the style of everything that is no section: margins, numbers, remarks

_KINDS = {"answer": "opening"}  # the part "answer" holds what opens the answer; here an answer is what is to come


@dataclass(frozen=True)
class Span:
    """A piece of a line. `style` is a key of STYLES or NOTE; `special` text is control tokens."""

    text: str = field(repr=False)
    style: str = NOTE
    special: bool = False


@dataclass(frozen=True)
class Part:
    """A piece of the prompt. `kind` tells what it is: start, constitution, about (the profile digest), history,
    memories, question, role, opening, errand; `section` who reads it; `special` text is control tokens."""

    kind: str
    text: str = field(repr=False)
    tokens: int
    section: Section
    special: bool = False


@dataclass(frozen=True)
class Acting:
    """An adapter of the prompt and where it acts, in words. `whole`: it reads the prefix too; None: its file tells."""

    name: str
    scale: float
    kind: str
    where: str
    whole: bool | None


@dataclass(frozen=True)
class PromptView:
    """A prompt in parts. `budget` is what prompt and answer may take together, `room` the answer alone: tokens.
    `language`: what is said of it, 'en' or 'ru'; the prompt itself is data."""

    parts: tuple[Part, ...]
    budget: int
    room: int
    role: str = ""
    dropped: tuple[str, ...] = ()
    adapters: tuple[Acting, ...] = ()
    language: str = "en"

    @property
    def used(self) -> int:
        """Tokens of the prompt."""
        return sum(part.tokens for part in self.parts)

    @property
    def totals(self) -> dict[Section, int]:
        """Tokens of each section, in the order of the bar. The memories stand in the prefix and are shared as well."""
        totals: dict[Section, int] = {"shared": 0, "memories": 0, "tail": 0,
                                      "room": self.room, "free": max(0, self.budget - self.used - self.room)}
        for part in self.parts:
            totals[part.section] += part.tokens
        return totals

    def bar(self, width: int = 100) -> tuple[Span, ...]:
        """One line of `width` signs in proportion; what is there at all has at least one."""
        totals = {name: tokens for name, tokens in self.totals.items() if tokens}
        whole = max(1, sum(totals.values()))
        cells = {name: max(1, tokens * width // whole) for name, tokens in totals.items()}
        if cells:
            cells[max(cells, key=lambda name: cells[name])] += width - sum(cells.values())
        return tuple(Span(STYLES[name].sign * cells[name], name) for name in cells)

    def legend(self) -> tuple[tuple[Section, str], ...]:
        """What each section is called, with its tokens."""
        return tuple((name, f"{self._label(name)} {tokens:,}") for name, tokens in self.totals.items())

    def notes(self) -> tuple[str, ...]:
        """The budget, the adapters and what did not fit, a line each."""
        words, over = self._words, self.used + self.room - self.budget
        figures = {"used": f"{self.used:,}", "room": f"{self.room:,}", "budget": f"{self.budget:,}"}
        notes = [words("Prompt {used} and answer {room} of {budget} tokens: {over} too many.", over=f"{over:,}",
                       **figures) if over > 0 else
                 words("Prompt {used} and answer {room} of {budget} tokens.", **figures)]
        notes += [words("Adapter {name} ({kind}, scale {scale}) acts on {where}.", name=one.name, kind=one.kind,
                        scale=f"{one.scale:g}", where=words(one.where)) for one in self.adapters]
        notes += [words("Left out: {what}", what=one_line(sentence(what, self.language))) for what in self.dropped]
        return tuple(notes)

    def lines(self, width: int = 100) -> tuple[tuple[Span, ...], ...]:
        """The bar, the legend, the notes, and the prompt: kind and tokens in the margin, then ◆ before control tokens,
        │ before words. The prompt is wrapped: where a terminal breaks a line there would be no margin."""
        legend = tuple(Span(f"{STYLES[name].sign} {words}  ", name) for name, words in self.legend())
        head = [self.bar(width), legend, *((Span(note),) for note in self.notes()), ()]
        return (*head, *(row for part in self.parts for row in _rows(part, width, self._words(part.kind))))

    def __str__(self) -> str:
        return "\n".join("".join(span.text for span in line).rstrip() for line in self.lines())

    @property
    def _words(self) -> Words:
        return Words("twin", self.language)

    def _label(self, name: Section) -> str:
        alone = name == "shared" and self._alone()
        return self._words("prefix of this role") if alone else self._words(STYLES[name].label)

    def _alone(self) -> bool:
        """A LoRA that reads the whole prompt has a prefix of its own."""
        return any(one.whole for one in self.adapters)

    def _repr_html_(self) -> str:
        bar = "".join(f'<span style="flex:{tokens};background:{STYLES[name].css}"></span>'
                      for name, tokens in self.totals.items() if tokens)
        legend = "".join(f'<span style="margin-right:1.2em"><span style="color:{STYLES[name].css}">■</span> '
                         f"{escape(words)}</span>" for name, words in self.legend())
        notes = "".join(f'<div style="opacity:.75">{escape(note)}</div>' for note in self.notes())
        parts = "".join(_block(part, self._words) for part in self.parts)
        return ('<div style="font:13px/1.5 system-ui,sans-serif;max-width:60em">'
                f'<div style="display:flex;height:12px;border-radius:3px;overflow:hidden">{bar}</div>'
                f'<div style="margin:.3em 0">{legend}</div>{notes}<div style="margin-top:.5em;max-height:32em;'
                f'overflow:auto;font-family:monospace">{parts}</div></div>')


def view(prompt: Prompt, count: Count, budget: int, *, max_tokens: int, control: Count | None = None) -> PromptView:
    """Take a rendered prompt apart. `count` as `prompt.render` had it; `budget` is the whole context, in which
    `max_tokens` are the answer's room.

    `control` counts the tokens of control text (the engine's tokenize with special=True), where `count` sees words.
    """
    parts: list[Part] = []
    for part in filter(lambda part: part.text, _parts(prompt, count, control or count)):
        before = parts[-1] if parts else None
        if before and part.special and before.special and (part.kind, part.section) == (before.kind, before.section):
            parts[-1] = Part(part.kind, before.text + part.text, before.tokens + part.tokens, part.section, True)
        else:
            parts.append(part)
    acting = tuple(map(_acting, prompt.adapters))
    return PromptView(tuple(parts), budget, max_tokens, prompt.role, prompt.dropped, acting)


def _parts(prompt: Prompt, count: Count, control: Count) -> Iterator[Part]:
    kind = "start"
    sections: tuple[tuple[Section, tuple[Segment, ...]], ...] = (("shared", prompt.prefix), ("tail", prompt.tail))
    for section, segments in sections:
        for segment in segments:
            kind = kind if segment.part == "end" else _KINDS.get(segment.part, segment.part)  # an end is its answer's
            if segment.special:
                yield Part(kind, segment.text, control(segment.text), section, True)
            else:
                yield from _words(prompt, segment, kind, section, count)


def _words(prompt: Prompt, segment: Segment, kind: str, section: Section, count: Count) -> Iterator[Part]:
    """The words of a segment: records apart from the question, digest apart from the constitution.

    A tokeniser may join what meets there; so the first of the two is counted as what it adds to the other.
    """
    tokens = len(segment.written.ids) if segment.written else count(segment.text)
    if kind == "question" and prompt.memories:
        records, rest = split_memories(segment.text)
        if records:
            yield Part("memories", records, tokens - count(rest), "memories")
            tokens = count(rest)
        yield Part(kind, rest, tokens, section)
    elif kind == "constitution" and (found := split_digest(segment.text))[1]:
        first, digest = found
        yield Part(kind, first, count(first), section)
        yield Part("about", digest, tokens - count(first), section)
    else:
        yield Part(kind, segment.text, tokens, section)


def _acting(adapter: Adapter) -> Acting:
    whole: bool | None = adapter.kind != "alora"
    where = "the whole prompt" if whole else "the role's tail"
    if adapter.kind == "auto":
        whole, where = None, "the whole prompt, or on the role's tail if its file is an activated LoRA"
    if adapter.scale == 0:
        whole, where = False, "nothing at this scale"
    return Acting(one_line(PurePath(adapter.path).name), adapter.scale, adapter.kind, where, whole)


# ---- drawing -----------------------------------------------------------------------------------------------------

def _shown(part: Part) -> str:
    """The text as it may be seen; the line breaks of control text as signs, those that end other text left out."""
    text = printable(part.text)
    return text.replace("\n", "↵") if part.special else text.rstrip("\n")


def _rows(part: Part, width: int, kind: str) -> Iterator[tuple[Span, ...]]:
    mark = "◆" if part.special else "│"
    margin = f"{kind:<12} {part.tokens:>6,} "
    text, room = _shown(part), max(20, width - len(margin) - 2)
    if any(east_asian_width(letter) in "WF" for letter in text):
        room //= 2  # such letters, emoji among them, take two columns
    wrap = TextWrapper(room, replace_whitespace=False, drop_whitespace=False)
    for line in text.split("\n"):
        for row in wrap.wrap(line) or [""]:
            yield Span(f"{margin}{mark} "), Span(row, part.section, part.special)
            margin = " " * len(margin)


def _block(part: Part, words: Words) -> str:
    css = STYLES[part.section].css
    look = "border:1px dashed;border-radius:3px;padding:0 .3em;opacity:.7" if part.special else "white-space:pre-wrap"
    title = f"{words('control tokens')}, " if part.special else ""
    return (f'<div style="border-left:4px solid {css};padding:.1em .6em;overflow-wrap:anywhere">'
            f'<span style="opacity:.6;font-size:85%">{escape(words(part.kind))}, {title}{part.tokens:,}</span><br>'
            f'<span style="{look}">{escape(_shown(part))}</span></div>')
