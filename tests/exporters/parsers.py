"""Strict readers of the forms that no library here reads: what they do not know they refuse."""
from __future__ import annotations

import re
import struct
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import yaml

INSTRUCTIONS = {"FROM", "PARAMETER", "TEMPLATE", "SYSTEM", "ADAPTER", "LICENSE", "MESSAGE", "REQUIRES"}
NUMBERS = {"num_ctx": int, "repeat_last_n": int, "repeat_penalty": float, "temperature": float, "seed": int,
           "num_predict": int, "draft_num_predict": int, "top_k": int, "top_p": float, "min_p": float}


@dataclass(frozen=True)
class Modelfile:
    base: str
    system: str
    parameters: Mapping[str, int | float]
    adapter: str = ""
    licence: str = ""


def modelfile(text: str) -> Modelfile:
    """By the grammar of Ollama's documents: `INSTRUCTION arguments`, comments with `#`, strings over several lines
    between three quotes. ValueError for anything else, for a second FROM, ADAPTER or SYSTEM, and for none of FROM."""
    found: dict[str, str] = {}
    parameters: dict[str, int | float] = {}
    place = 0
    string = r'"{3}(?:(?!"{3}).)*"{3}|(?!"{3})[^\n]+'
    line = re.compile(rf"[ \t]*(?:(#[^\n]*)|([A-Za-z]+)[ \t]+({string}))?[ \t]*(?:\n|$)", re.DOTALL)
    while place < len(text):
        match = line.match(text, place)
        if match is None or match.end() == place:
            raise ValueError(f"no instruction: {text[place:place + 40]!r}")
        place, name, value = match.end(), (match[2] or "").upper(), match[3] or ""
        if not name:
            continue
        if name not in INSTRUCTIONS or (name != "PARAMETER" and name in found):
            raise ValueError(f"{name} is unknown or stands there twice")
        if name == "PARAMETER":
            key, _, number = value.partition(" ")
            parameters[key] = NUMBERS[key](number)
        elif value.startswith('"""'):
            found[name] = value[3:-3]
        else:
            found[name] = value
    return Modelfile(found["FROM"], found.get("SYSTEM", ""), parameters, found.get("ADAPTER", ""),
                     found.get("LICENSE", ""))


class _Strict(yaml.SafeLoader):
    """Strings stay strings only where they are quoted, and no key stands twice."""

    def construct_mapping(self, node: Any, deep: bool = False) -> dict[Any, Any]:
        keys = [self.construct_object(key, deep=True) for key, _ in node.value]
        if len(keys) != len(set(keys)):
            raise ValueError(f"a key stands twice: {keys}")
        return super().construct_mapping(node, deep)


def skill(text: str, folder: str) -> tuple[dict[str, Any], str]:
    """Front matter and body of a SKILL.md in this folder; ValueError where a rule of Agent Skills is broken."""
    match = re.match(r"---\n(.*?)\n---\n(.*)\Z", text, re.DOTALL)
    if match is None:
        raise ValueError("no front matter")
    front = yaml.load(match[1], Loader=_Strict)  # noqa: S506 - a SafeLoader
    name, about, more = front.get("name"), front.get("description"), front.get("metadata", {})
    rules = {
        "keys": front.keys() <= {"name", "description", "license", "compatibility", "metadata", "allowed-tools"},
        "name": isinstance(name, str) and re.fullmatch(r"[a-z0-9]+(-[a-z0-9]+)*", name) and len(name) <= 64,
        "folder": name == folder, "reserved": not re.search("claude|anthropic", str(name)),
        "description": isinstance(about, str) and 1 <= len(about) <= 1024 and not re.search("[<>]", about),
        "metadata": all(isinstance(one, str) for pair in more.items() for one in pair)}
    broken = [rule for rule, kept in rules.items() if not kept]
    if broken:
        raise ValueError(f"broken: {broken}")
    return front, match[2]


def fields(text: str) -> list[tuple[int, str]]:
    """The blocks to copy, with the count that stands above each."""
    return [(int(count), block) for count, block in re.findall(
        r"^## [^\n]*?(\d+)(?: of| из) \d+[^\n]*\n\n~~~text\n(.*?)\n~~~$", text, re.MULTILINE | re.DOTALL)]


def chunks(data: bytes) -> list[tuple[str, bytes]]:
    """Every chunk of a PNG; ValueError for a wrong checksum, and for anything behind IEND."""
    if data[:8] != b"\x89PNG\r\n\x1a\n":
        raise ValueError("no PNG")
    found, place = list[tuple[str, bytes]](), 8
    while place < len(data):
        length, kind = struct.unpack_from(">I4s", data, place)
        body = data[place + 8:place + 8 + length]
        if zlib.crc32(kind + body) != struct.unpack_from(">I", data, place + 8 + length)[0]:
            raise ValueError(f"the checksum of {kind!r} is wrong")
        found.append((kind.decode(), body))
        place += 12 + length
    if [kind for kind, _ in found].index("IEND") != len(found) - 1:
        raise ValueError("chunks behind IEND")
    return found
