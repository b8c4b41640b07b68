"""Edits of a role file that leave everything else as it is, byte for byte: a section, a value of the front matter.

None of them is sure of what it does, for a file can be laid out in ways that nobody foresaw: whoever edits reads the
file again and compares. Knows lines and YAML, not what a role is.
"""
from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from difflib import SequenceMatcher
from typing import Any

import yaml

from twin import text as plain
from twin.role_file import COMMENT, FENCE, HEADINGS, SECTIONS, PlainWords, Writer, escaped, place_of, write_plain

_LINES = re.compile(r"[^\r\n]*(?:\r\n|\r|\n)|[^\r\n]+")
_LINE_END = re.compile(r"\r\n|\r|\n")
_LAST_END = re.compile(r"(?:\r\n|\r|\n)\Z")


def with_section(text: str, language: str, key: str, new: str) -> str:
    """The file with another text in a section; '' takes the section out, one that is not there is put in its order.

    Lines that stay the same stay byte for byte, comments too. Where a comment stands in a line that changes, the
    comments of that section move behind its text."""
    lines = _LINES.findall(text)
    fences = [at for at, line in enumerate(lines) if _is_fence(line)]
    if len(fences) < 2:
        return text
    begin, ending, ended = fences[1] + 1, _ending(lines[fences[0]]), text.endswith(("\r", "\n"))
    bare = _without_comments(lines[begin:])
    places = {place: begin + at for at, line in enumerate(bare) if (place := place_of(line)) is not None}
    lines[-1] += "" if ended else ending
    if (language, key) in places:
        heading = places[language, key]
        end = min((at for at in places.values() if at > heading), default=len(lines))
        lines[heading:end] = _section(lines[heading:end], bare[heading - begin:end - begin], new, ending)
    elif new:
        at = _gap(places, (language, key), len(lines))
        added = [f"## {HEADINGS[language][SECTIONS.index(key)]}", "", *escaped(new).split("\n")]
        if at < len(lines):
            added = [*added, ""]
        elif lines[-1].strip():
            added = ["", *added]
        lines[at:at] = [line + ending for line in added]
    made = "".join(lines)
    return made if ended else _LAST_END.sub("", made)


def with_value(text: str, where: Sequence[str], value: Any, *, fenced: bool = True) -> str:
    """The file with this value (plain data; None: without it) at a path of one or two keys of its front matter, or of
    the whole where it is not `fenced`. Comments and layout of all that stays the same stay, of single entries too."""
    begin, end = _span(text) if fenced else (len(text) - len(text.removeprefix("\ufeff")), len(text))
    source = text[begin:end]
    try:
        return text[:begin] + _Front(source).put(where, value) + text[end:]
    except (yaml.YAMLError, LookupError, AttributeError, RecursionError):
        return text


def _is_fence(line: str) -> bool:
    return FENCE.fullmatch(line.removeprefix("\ufeff").rstrip("\r\n")) is not None


def _without_comments(lines: Sequence[str]) -> list[str]:
    """As many lines, clean and without their ends, blank where a comment stood."""
    blank = COMMENT.sub(lambda comment: "".join(_LINE_END.findall(comment.group())), "".join(lines))
    return [plain.clean(line.rstrip("\r\n")) for line in _LINES.findall(blank)]


def _ending(line: str) -> str:
    found = _LINE_END.search(line)
    return found.group() if found else "\n"


def _gap(places: Mapping[tuple[str, str], int], place: tuple[str, str], last: int) -> int:
    """The line before which a section that is new belongs."""
    order = [(language, key) for language in HEADINGS for key in SECTIONS]
    before = [places[one] for one in order[:order.index(place)] if one in places]
    return min((at for at in places.values() if not before or at > max(before)), default=last)


def _section(lines: list[str], bare: list[str], new: str, ending: str) -> list[str]:
    """The lines of a section, its heading the first, with another text; `bare` are they without comments."""
    if not new:
        return [comment + ending for comment in COMMENT.findall("".join(lines))]
    said = [at for at, line in enumerate(bare) if at and line.strip()]
    wanted = escaped(new).split("\n")
    if not said:
        return [lines[0], ending, *(line + ending for line in wanted), *(lines[1:] or [ending])]
    first, last = said[0], said[-1] + 1
    old = bare[first:last]
    old[0], old[-1] = old[0].lstrip(), old[-1].rstrip() if len(old) > 1 else old[0].strip()
    made, moved = list[str](), False
    for kind, start, end, there, until in SequenceMatcher(None, old, wanted, autojunk=False).get_opcodes():
        here = lines[first + start:first + end]
        made += here if kind == "equal" else [line + ending for line in wanted[there:until]]
        moved = moved or (kind != "equal" and any("<!--" in line or "-->" in line for line in here))
    if not moved:
        return [*lines[:first], *made, *lines[last:]]
    return [lines[0], ending, *(line + ending for line in wanted), ending,
            *(comment + ending for comment in COMMENT.findall("".join(lines[1:]))), ending]


def _span(text: str) -> tuple[int, int]:
    """Where the front matter begins and ends."""
    at, found = 0, list[tuple[int, int]]()
    for line in _LINES.findall(text):
        if _is_fence(line):
            found.append((at, at + len(line)))
        at += len(line)
    return (found[0][1], found[1][0]) if len(found) > 1 else (0, 0)


class _Front:
    """'key: value' lines under the knife."""

    def __init__(self, source: str) -> None:
        self.source = source
        self.root: Any = yaml.compose(source, Loader=PlainWords)
        self.ending = _ending(source)

    def put(self, where: Sequence[str], value: Any) -> str:
        """The lines with this value there."""
        key, *inner = where
        node = _child(self.root, key)
        if node is None:
            return self._added(self.root, key, {inner[0]: value} if inner else value)
        if not inner:
            return self._replaced(self.root, key, value)
        if _child(node, inner[0]) is None:
            return self._added(node, inner[0], value)
        if value is None and len(node.value) == 1:
            return self._replaced(self.root, key, None)
        return self._replaced(node, inner[0], value)

    def _replaced(self, parent: yaml.MappingNode, key: str, value: Any) -> str:
        name, node = next(pair for pair in parent.value if pair[0].value == key)
        if value is not None and isinstance(node, yaml.ScalarNode) and node.style not in ("|", ">"):
            return self._cut((node.start_mark.index, node.end_mark.index, _flow(value)))
        if value is not None and isinstance(node, yaml.CollectionNode) and node.flow_style:
            return self._cut((node.start_mark.index, node.end_mark.index, _flow(value)))
        if isinstance(value, list | tuple) and isinstance(node, yaml.SequenceNode):
            return self._cut(*self._listed(node, value))
        if parent.flow_style:
            rest = {one.value: yaml.SafeLoader("").construct_object(other, deep=True) for one, other in parent.value}
            rest[key] = value
            kept = {one: other for one, other in rest.items() if other is not None}
            return self._cut((parent.start_mark.index, parent.end_mark.index, _flow(kept)))
        start, end = self._line_start(name.start_mark.index), self._after(node)
        indent = " " * name.start_mark.column
        if value is None:
            return self._cut((start, end, ""))
        lines = write_plain({key: value}) if isinstance(value, list | tuple) else f"{key}: {_flow(value)}\n"
        new = "".join(f"{indent}{line}{self.ending}" for line in lines.rstrip("\n").split("\n"))
        return self._cut((start, end, new))

    def _added(self, parent: yaml.Node, key: str, value: Any) -> str:
        if value is None or not isinstance(parent, yaml.MappingNode):
            return self.source
        if parent.flow_style:
            at = _end(parent.value[-1][1]) if parent.value else parent.start_mark.index + 1
            return self._cut((at, at, f"{', ' if parent.value else ''}{key}: {_flow(value)}"))
        at, indent = self._after(parent), " " * parent.value[0][0].start_mark.column
        return self._cut((at, at, f"{self._break(at)}{indent}{key}: {_flow(value)}{self.ending}"))

    def _listed(self, node: yaml.SequenceNode, wanted: Sequence[str]) -> Iterator[tuple[int, int, str]]:
        """The cuts that make these the entries of a list with one a line."""
        old = [plain.clean(item.value).strip() for item in node.value]
        starts = [self._line_start(item.start_mark.index) for item in node.value]
        ends = [self._after(item) for item in node.value]
        dash = self.source[starts[-1]:node.value[-1].start_mark.index]
        if dash.strip() != "-":
            raise LookupError("entries that do not stand one a line")
        for kind, start, end, there, until in SequenceMatcher(None, old, wanted, autojunk=False).get_opcodes():
            if kind == "equal":
                continue
            at = starts[start] if start < len(old) else ends[-1]
            yield at, at, "".join(f"{self._break(at)}{dash}{_entry(one)}{self.ending}" for one in wanted[there:until])
            for number in range(start, end):
                yield starts[number], ends[number], ""

    def _cut(self, *cuts: tuple[int, int, str]) -> str:
        made = self.source
        for start, end, new in reversed(cuts):
            made = made[:start] + new + made[end:]
        return made

    def _line_start(self, at: int) -> int:
        return max(self.source.rfind("\n", 0, at), self.source.rfind("\r", 0, at)) + 1

    def _after(self, node: yaml.Node) -> int:
        """Where the next line begins after a node, whatever else stands behind it on its last line."""
        at = _end(node)
        if self._line_start(at) == at and at:
            return at
        found = _LINE_END.search(self.source, at)
        return found.end() if found else len(self.source)

    def _break(self, at: int) -> str:
        return "" if self._line_start(at) == at else self.ending


def _child(node: Any, key: str) -> Any:
    return next((value for name, value in node.value if name.value == key), None) if isinstance(
        node, yaml.MappingNode) else None


def _end(node: yaml.Node) -> int:
    """Where a node ends: PyYAML ends a block collection before the next token, behind the comments between."""
    if isinstance(node, yaml.CollectionNode) and not node.flow_style and node.value:
        last = node.value[-1]
        return _end(last[1] if isinstance(last, tuple) else last)
    return int(node.end_mark.index)


def _flow(value: Any) -> str:
    """A value on one line, as it may stand anywhere."""
    made = _dumped(value, True, None)
    return made if "\n" not in made else _dumped(value, True, '"')


def _entry(value: Any) -> str:
    """A value on one line, as it may stand behind a dash: a question mark needs no quotes there."""
    made = _dumped(value, False, None)
    return made if "\n" not in made else _dumped(value, False, '"')


def _dumped(value: Any, flow: bool, style: str | None) -> str:
    written = yaml.dump([value], Dumper=Writer, allow_unicode=True, sort_keys=False, width=10**9,
                        default_flow_style=flow, default_style=style)
    return str(written).strip()[1:-1 if flow else None].strip()
