"""What leaves the home: one core of the twin in the forms that other programs read. One file per foreign format.

An exporter is a function of a `Material` and a budget; it reads no store and writes no file. Who calls it writes what
it made, scans it where it is for the public, and registers it, so that it is forgotten with the messages.
"""
from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Literal, Protocol, cast

from twin.firmware import Firmware
from twin.person import Profile
from twin.types import Embedder, Engine, Message

if TYPE_CHECKING:
    from twin.adapters import Kept
    from twin.roles import RoleMap

__all__ = ["FORMATS", "Exported", "Exporter", "Format", "Level", "Material"]

Level = Literal["private", "public"]
Content = str | bytes | Path
"""A file's content, or a file to be copied as it is."""


@dataclass(frozen=True, repr=False)
class Material:
    """All that an exporter may use of one core, at one level: at 'public' every text here has lost its names already.

    `levels`: depth 1..7 -> questions. `constitution` is '' where the person wrote none. `role` is the one the export is
    to speak in (None: no particular one). `adapters`: role -> its trained adapter; empty at the public level, since
    what an adapter learned cannot be taken out of it. `said` gives the person's own messages (conversation id,
    message), `place` the names by which an export calls (conversation id, message id), `hide` is what a text
    loses at this level. `engine` loads the core when it is called.
    """

    firmware: Firmware
    profile: Profile
    levels: Mapping[int, int]
    role_map: RoleMap
    level: Level = "private"
    language: str = "en"
    constitution: str = ""
    name: str = ""
    role: str | None = None
    adapters: Mapping[str, Kept] = field(default_factory=dict)
    said: Callable[[], Iterator[tuple[str, Message]]] = lambda: iter(())
    place: Callable[[str, str], tuple[str, str]] = lambda conversation, message: (conversation, message)
    hide: Callable[[str], str] = lambda text: text
    embedder: Embedder | None = None
    engine: Callable[[], Engine] | None = None

    def __repr__(self) -> str:
        return f"Material({self.firmware.id}, {self.level}, {self.language})"


@dataclass(frozen=True)
class Exported:
    """An export: its text (of several files the one that is read first), the length in UTF-16 code units (web forms
    count so) of the longest part that keeps to the budget, and what was cut, weakest first.

    `files`: name inside the export -> content; a format of one file has one. `notes` say in words what the person has
    to know or do. `spoken` repeats the words that stand in files which are not text, for the scan. `path`, `core`:
    where it was written and the id of the core it was made of, when it was.
    """

    text: str = field(repr=False)
    cut: tuple[str, ...] = ()
    characters: int = 0
    path: Path | None = None
    files: Mapping[str, Content] = field(default_factory=dict, repr=False)
    notes: tuple[str, ...] = ()
    spoken: tuple[str, ...] = field(default=(), repr=False)
    core: str = ""


class Exporter(Protocol):
    """Material to files, of which the text that has a limit keeps to `budget` UTF-16 code units. Raises UsageError
    when even the frame does not fit, or when the core lacks what the format is made of."""

    def __call__(self, material: Material, budget: int) -> Exported: ...


@dataclass(frozen=True)
class Format:
    """A format: `file` names the file or (`folder`) the folder that is written. `budget`: UTF-16 code units at most, if
    nothing else is said (0: the format has none). `about`: what it is for, in words. `levels` it can be had at."""

    name: str
    file: str
    about: str
    where: str = field(repr=False)
    budget: int = 8000
    folder: bool = False
    levels: tuple[Level, ...] = ("private", "public")

    def __call__(self, material: Material, budget: int | None = None) -> Exported:
        """Make it; the exporter's file is loaded now."""
        module, function = self.where.split(":")
        make = cast(Exporter, getattr(import_module(f"twin.exporters.{module}"), function))
        return make(material, self.budget if budget is None else budget)


def _table(formats: Iterable[Format]) -> Mapping[str, Format]:
    return {one.name: one for one in formats}


FORMATS: Mapping[str, Format] = _table([
    Format("prompt", "prompt.md", "a system prompt in Markdown, for any assistant", "prompt:markdown"),
    Format("plain", "prompt.txt", "the same as plain text", "prompt:plain"),
    Format("xml", "prompt.xml.txt", "the same in XML tags", "prompt:xml"),
    Format("chatgpt", "chatgpt.md", "ChatGPT's two fields of custom instructions", "fields:chatgpt", budget=1500),
    Format("claude", "claude.md", "instructions of a Claude project", "fields:claude"),
    Format("agents", "AGENTS.md", "for coding agents", "agents:agents"),
    Format("skill", "twin", "an Agent Skill: a folder with SKILL.md", "skill:skill", budget=16000, folder=True),
    Format("modelfile", "modelfile", "for Ollama: a folder with Modelfile and adapter", "modelfile:modelfile",
           folder=True),
    Format("card", "card.png", "a character card, V2 and V3 in one picture", "card:png"),
    Format("card-v2", "card-v2.json", "a character card, V2", "card:v2"),
    Format("card-v3", "card-v3.json", "a character card, V3", "card:v3"),
    Format("persona", "personas.json", "yourself as a persona of SillyTavern", "persona:persona", budget=4000),
    Format("pack", "pack", "a RAG pack: a dataset folder of passages, claims, evidence and vectors", "pack:pack",
           budget=0, folder=True),
    Format("adapter", "adapter", "a role's adapter: GGUF for llama.cpp, folder for PEFT", "adapter:adapter", budget=0,
           folder=True, levels=("private",)),
    Format("tokens", "tokens", "a tokenised role map: ids of every role's tail and the read prefix", "tokens:tokens",
           budget=0, folder=True),
])
"""Format name -> format."""
