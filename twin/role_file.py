"""The form of a role file: YAML front matter, then a body with one `## heading` a section.

Headings are Stance, Method, Do, Don't, Format in English, Позиция, Метод, Делай, Не делай, Формат in Russian. Comments
(`#` in the front matter, `<!-- -->` in the body) and spacing are free. The council's file is front matter alone. Knows
lines and text, not what a role is.
"""
from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import yaml

from twin import text as plain
from twin.errors import RoleError

SECTIONS = ("stance", "method", "do", "dont", "format")
HEADINGS = {
    "en": ("Stance", "Method", "Do", "Don't", "Format"),
    "ru": ("Позиция", "Метод", "Делай", "Не делай", "Формат"),
}
_PLACE_OF = {name.casefold(): (language, key) for language, names in HEADINGS.items()
             for name, key in zip(names, SECTIONS, strict=True)}
FENCE = re.compile(r"---[ \t]*")
_HEADING = re.compile(r"##[ \t]+(.*?)[ \t]*")
_HEADING_AS_TEXT = re.compile(r"^(\\*)(?=##[ \t])", re.MULTILINE)
COMMENT = re.compile(r"<!--.*?-->", re.DOTALL)
_TAGS = {"map", "seq", "str", "int", "float", "bool", "null"}

Where = tuple[int | str, ...]  # a path into the content, as pydantic gives it


def refused(file: str, line: int, reason: str) -> RoleError:
    """The error for a line of a role file (1-based)."""
    return RoleError(f"{file}, line {line}: {reason}.", "Correct that line and do the same again; nothing was changed.")


def read(text: str, file: str) -> tuple[dict[str, Any], Callable[[Where], int]]:
    """The content as plain data, sections under 'sections' by language, and a function from a path into it to the line
    of the file. Raises RoleError for what cannot be read; whether the content is a role is not asked here."""
    lines = plain.clean(text).removeprefix("\ufeff").split("\n")
    fences = [number for number, line in enumerate(lines) if FENCE.fullmatch(line)]
    if len(fences) < 2 or any(line.strip() for line in lines[:fences[0]]):
        raise refused(file, 1, "front matter between two lines '---' is missing")
    opening, closing = fences[0], fences[1]
    node = _front_matter("\n".join(lines[opening + 1:closing]), opening + 1, file)
    content = _values(node, opening + 1, file)
    if "sections" in content:
        at = opening + 1 + _line_of(node, ("sections",))
        raise refused(file, at, "sections belong into the body, under headings such as '## Stance'")
    content["sections"], places = _body(lines[closing + 1:], closing + 1, file)

    def line_of(where: Where) -> int:
        if where[:1] != ("sections",):
            return opening + 1 + _line_of(node, where)
        return places.get(where[1:3]) or places.get(where[1:2]) or min(places.values(), default=closing + 1)

    return content, line_of


def read_plain(text: str, file: str) -> tuple[dict[str, Any], Callable[[Where], int]]:
    """The same of a file that is 'key: value' lines throughout."""
    node = _front_matter(plain.clean(text).removeprefix("\ufeff"), 0, file)
    return _values(node, 0, file), lambda where: _line_of(node, where)


def write_plain(content: Mapping[str, Any]) -> str:
    """The canonical form of 'key: value' lines, in the order given."""
    return yaml.dump(dict(content), Dumper=Writer, allow_unicode=True, sort_keys=False, width=10**9)


def write(front: Mapping[str, Any], sections: Mapping[str, Mapping[str, str]]) -> str:
    """The canonical file: keys in the order given, sections without text left out."""
    body = "".join(f"\n## {heading}\n\n{escaped(sections[language][key])}\n"
                   for language, headings in HEADINGS.items() for key, heading in zip(SECTIONS, headings, strict=True)
                   if sections[language][key])
    return f"---\n{write_plain(front)}---\n{body}"


def with_line(text: str, key: str, line: str) -> str:
    """The file with this key of its front matter on one line (of whatever it was before), or without it where `line` is
    ''; everything else stays byte for byte. A file that is laid out in another way comes back as something else than it
    was meant to be: read it and see."""
    lines = text.split("\n")
    fences = [number for number, found in enumerate(lines) if FENCE.fullmatch(found.rstrip("\r"))]
    if len(fences) < 2:
        return text
    opening, closing = fences[:2]
    start = next((at for at in range(opening + 1, closing) if re.match(rf"{key}[ \t]*:", lines[at])), closing)
    end = start if start == closing else start + 1
    while start < end < closing and lines[end][:1] in (" ", "\t"):
        end += 1
    ending = "\r" if lines[opening].endswith("\r") else ""
    lines[start:end] = [line + ending] if line else []
    return "\n".join(lines)


def place_of(line: str) -> tuple[str, str] | None:
    """The language and the key of the section that a line is the heading of."""
    heading = _HEADING.fullmatch(line)
    return _PLACE_OF.get(heading[1].replace("’", "'").casefold()) if heading else None


def _front_matter(source: str, before: int, file: str) -> yaml.Node | None:
    """The node tree of the front matter, None when it is empty; `before` lines of the file stand above it."""
    try:
        node = yaml.compose(source, Loader=PlainWords)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        # What misses its end is found after the last line.
        at = min(mark.line, source.rstrip().count("\n")) if mark else 0
        raise refused(file, before + 1 + at, f"not YAML: {error.problem}") from error
    except (yaml.YAMLError, RecursionError) as error:
        raise refused(file, before + 1, f"not YAML: {str(error).splitlines()[0]}") from error
    if node is not None and not isinstance(node, yaml.MappingNode):
        raise refused(file, before + 1, "front matter must be 'key: value' lines")
    for mark, reason in _unreadable(node):
        raise refused(file, before + 1 + mark.line, reason)
    return node


def _is_word(first: str, tag: str) -> bool:
    return tag == "tag:yaml.org,2002:timestamp" or (tag == "tag:yaml.org,2002:bool" and first not in "tTfF")


_RESOLVERS = {first: [(tag, pattern) for tag, pattern in resolvers if not _is_word(first, tag)]
              for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()}


class PlainWords(yaml.SafeLoader):
    """YAML that reads 2024-01-01, on, off, yes and no as the words they are: an example may be one, a key is one."""

    yaml_implicit_resolvers = _RESOLVERS


class Writer(yaml.SafeDumper):
    """The same for writing: what is read as a word needs no quotes."""

    yaml_implicit_resolvers = _RESOLVERS


def _values(node: yaml.Node | None, before: int, file: str) -> dict[str, Any]:
    try:
        return {} if node is None else yaml.SafeLoader("").construct_document(node)
    except (yaml.YAMLError, ValueError) as error:  # a number that only looks like one: 0x_
        raise refused(file, before + 1, f"a value cannot be read ({str(error).splitlines()[0]})") from error


def _unreadable(node: yaml.Node | None) -> Iterator[tuple[yaml.Mark, str]]:
    """What PyYAML would take without a word or fail on later: keys twice, keys that are no text, tags, references."""
    pending, seen = [node] if node is not None else [], set()
    while pending:
        at = pending.pop()
        if id(at) in seen or at.tag.removeprefix("tag:yaml.org,2002:") not in _TAGS:
            yield at.start_mark, "tags (!x) and references (*x) are not used in role files"
            return
        seen.add(id(at))
        if isinstance(at, yaml.MappingNode):
            keys = set()
            for key, value in at.value:
                if not isinstance(key, yaml.ScalarNode) or key.tag != "tag:yaml.org,2002:str":
                    yield key.start_mark, "a key must be a plain word"
                    return
                if key.value in keys:
                    yield key.start_mark, f"the key {key.value!r} stands there twice"
                keys.add(key.value)
                pending.append(value)
        elif isinstance(at, yaml.SequenceNode):
            pending.extend(at.value)


def _line_of(node: yaml.Node | None, where: Where) -> int:
    """1-based line, within the front matter, of the deepest part of `where` that stands in it."""
    line = 1
    for part in where:
        if isinstance(node, yaml.MappingNode):
            found = next(((key, value) for key, value in node.value if key.value == part), None)
            if found is None:
                break
            line, node = found[0].start_mark.line + 1, found[1]
        elif isinstance(node, yaml.SequenceNode) and isinstance(part, int) and part < len(node.value):
            node = node.value[part]
            line = node.start_mark.line + 1
    return line


def _body(lines: list[str], before: int, file: str) -> tuple[dict[str, dict[str, str]], dict[Where, int]]:
    """Sections by language and the line of each heading. Comments `<!-- -->` are left out."""
    bare = COMMENT.sub(lambda comment: "\n" * comment.group().count("\n"), "\n".join(lines)).split("\n")
    found: dict[str, dict[str, list[str]]] = {"en": {}, "ru": {}}
    places: dict[Where, int] = {}
    current: list[str] | None = None
    for number, line in enumerate(bare, before + 1):
        heading = _HEADING.fullmatch(line)
        if heading:
            place = place_of(line)
            if place is None:
                known = ", ".join(name for names in HEADINGS.values() for name in names)
                raise refused(file, number, f"unknown section {heading[1]!r} (known: {known})")
            if place in places:
                raise refused(file, number, f"the section {heading[1]!r} stands there twice")
            places[place], places[place[:1]] = number, places.get(place[:1], number)
            current = found[place[0]][place[1]] = []
        elif current is not None:
            current.append(re.sub(r"^\\(?=\\*##[ \t])", "", line))
        elif line.strip():
            raise refused(file, number, "text stands before the first section")
    sections = {language: {key: "\n".join(part) for key, part in parts.items()} for language, parts in found.items()}
    return sections, places


def escaped(text: str) -> str:
    """Text for the body: lines that look like a heading get the backslash that Markdown uses for it, which
    reading takes off again."""
    return _HEADING_AS_TEXT.sub(r"\1\\", text)
