"""Role and RoleMap: who may answer, in which words; loaded from and saved to one Markdown file a role.

Knows nothing of routing, prompts, models or the archive; the form of the files is role_file's.
"""
from __future__ import annotations

import json
import re
from collections import Counter
from dataclasses import dataclass
from functools import cached_property
from importlib import resources
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PrivateAttr,
    ValidationError,
    field_serializer,
    field_validator,
    model_validator,
)
from pydantic.dataclasses import dataclass as validated

from twin import role_file
from twin import text as plain
from twin.errors import RoleError, UsageError
from twin.home import full_disk_is_named, write_atomically
from twin.role_file import SECTIONS
from twin.types import Sampling, digest

_RARE_LINE_END = re.compile("[\x85\u2028\u2029]")


def _tidy(value: Any) -> Any:
    """NFC, trimmed, with the rare line ends as plain ones: PyYAML 6.0.3 does not read back what it writes of them."""
    return _RARE_LINE_END.sub("\n", plain.clean(value)).strip() if isinstance(value, str) else value


Text = Annotated[str, BeforeValidator(_tidy)]


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class Bilingual(_Frozen):
    """A short text in English and Russian; one of the two may be missing."""

    en: Text = ""
    ru: Text = ""

    @model_validator(mode="after")
    def _says_something(self) -> Bilingual:
        if not (self.en or self.ru):
            raise ValueError("give the text in 'en' or 'ru'")
        return self

    def of(self, language: str) -> str:
        """The text in 'ru' or 'en' ('und' counts as English), or in the other language where that is missing."""
        return (self.ru or self.en) if language == "ru" else (self.en or self.ru)


class Instructions(_Frozen):
    """The five sections of a role in one language, in the order in which the core reads them."""

    stance: Text = ""
    method: Text = ""
    do: Text = ""
    dont: Text = ""
    format: Text = ""

    @model_validator(mode="after")
    def _holds_no_comment(self) -> Instructions:
        if any("<!--" in section for section in self.texts):
            raise ValueError("a section cannot hold '<!--': it opens a comment that hides the rest")
        return self

    @property
    def texts(self) -> list[str]:
        """The sections that say something, in order."""
        return [text for key in SECTIONS if (text := getattr(self, key))]


class Sections(_Frozen):
    """Instructions by language; at least one section says something."""

    en: Instructions = Instructions()
    ru: Instructions = Instructions()

    @model_validator(mode="after")
    def _says_something(self) -> Sections:
        if not (self.en.texts or self.ru.texts):
            raise ValueError("no section has any text; write at least '## Stance' or '## Позиция'")
        return self


class RoleAdapter(_Frozen):
    """The LoRA of a role: a GGUF file by path or by sha256 (64 hex digits), and how strongly it acts (0..1.5).

    A path is absolute, or relative to the home or its folder `adapters`. `kind` is what types.Adapter says.
    """

    path: Text | None = None
    sha256: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")] | None = None
    scale: Annotated[float, Field(ge=0, le=1.5)] = 1.0
    kind: Literal["auto", "lora", "alora", "control"] = "auto"

    @model_validator(mode="after")
    def _names_a_file(self) -> RoleAdapter:
        if not (self.path or self.sha256):
            raise ValueError("an adapter needs 'path' or 'sha256'")
        return self


@validated(frozen=True, config=ConfigDict(extra="forbid", allow_inf_nan=False))
class RoleSampling(Sampling):
    """`types.Sampling` within the ranges a role may ask for."""

    temperature: Annotated[float, Field(strict=True, ge=0, le=1.3)] = Sampling.temperature
    top_p: Annotated[float, Field(strict=True, ge=0.5, le=1)] = Sampling.top_p
    top_k: Annotated[int, Field(strict=True, ge=0, le=1000)] = Sampling.top_k
    min_p: Annotated[float, Field(strict=True, ge=0, le=0.2)] = Sampling.min_p
    repeat_penalty: Annotated[float, Field(strict=True, ge=1, le=1.2)] = Sampling.repeat_penalty
    max_tokens: Annotated[int, Field(strict=True, ge=1, le=4096)] = Sampling.max_tokens
    seed: Annotated[int, Field(strict=True, ge=0, lt=2**32)] | None = Sampling.seed


class MemoryScope(_Frozen):
    """Tags of the memories a role may see (none named: all) and may not see."""

    include: tuple[Text, ...] = ()
    exclude: tuple[Text, ...] = ()


class Placement(_Frozen):
    """Where a role wants to run. What is not said is decided by the engine."""

    device: Text | None = None
    n_ctx: Annotated[int, Field(ge=64)] | None = None
    n_gpu_layers: Annotated[int, Field(ge=-1)] | None = None


class Role(_Frozen):
    """One way of answering. Equal and hashed by content; the source text of its file is kept beside the content."""

    id: Annotated[str, Field(pattern=r"^[a-z][a-z0-9]*(-[a-z0-9]+)*$", max_length=40)]
    title: Bilingual
    purpose: Bilingual
    sections: Sections
    adapter: RoleAdapter | None = None
    sampling: RoleSampling = RoleSampling()
    examples: tuple[Text, ...] = ()
    memory: MemoryScope = MemoryScope()
    placement: Placement = Placement()
    _source: tuple[str, str] | None = PrivateAttr(default=None)  # (source text, content hash it was read as)

    @field_serializer("sampling")
    def _plain_sampling(self, value: RoleSampling) -> dict[str, Any]:
        return dict(value.__dict__)

    @field_validator("examples")
    @classmethod
    def _differ(cls, examples: tuple[str, ...]) -> tuple[str, ...]:
        twice = [text for text, count in Counter(examples).items() if count > 1]
        if "" in examples:
            raise ValueError("an example is empty")
        if twice:
            raise ValueError(f"an example stands there twice: {twice[0][:40]!r}")
        return examples

    @property
    def content_hash(self) -> str:
        """sha256 of the content as canonical JSON: the same however the file is laid out."""
        return digest(_canonical(self.model_dump(mode="json")))

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Role) and self.model_dump() == other.model_dump()

    def __hash__(self) -> int:
        return hash(self.content_hash)

    def __repr__(self) -> str:
        return f"Role({self.id!r}, {len(self.examples)} examples)"

    def to_markdown(self) -> str:
        """The role's file: byte for byte what was read, or the canonical form where the content has changed since."""
        if self._source is not None and self._source[1] == self.content_hash:
            return self._source[0]
        content = self.model_dump(mode="json", exclude_defaults=True, exclude={"sections", "sampling"})
        asked = {key: value for key, value in self.sampling.__dict__.items() if value != getattr(Sampling(), key)}
        front = {"id": self.id, "title": content.pop("title"), "purpose": content.pop("purpose")}
        front |= {"sampling": asked} if asked else {}
        front |= content
        return role_file.write(front, self.sections.model_dump())


@dataclass(frozen=True, repr=False)
class RoleMap:
    """The roles in order of their ids. Equal by content. Raises RoleError for no roles or an id that stands twice."""

    roles: tuple[Role, ...]
    schema_version: int = 1

    def __post_init__(self) -> None:
        object.__setattr__(self, "roles", tuple(sorted(self.roles, key=lambda role: role.id)))
        if not self.roles:
            raise RoleError("A role map needs at least one role.", "Add a role file, or start from the seed roles.")
        twice = [name for name, count in Counter(role.id for role in self.roles).items() if count > 1]
        if twice:
            raise RoleError(f"The role id {twice[0]!r} is used by {len(self.roles) - len(set(self.ids)) + 1} roles.",
                            "Give each role an id of its own.")

    def __repr__(self) -> str:
        return f"RoleMap({', '.join(self.ids)}; {self.version[:8]})"

    @property
    def ids(self) -> tuple[str, ...]:
        """Ids of the roles, sorted."""
        return tuple(role.id for role in self.roles)

    @cached_property
    def version(self) -> str:
        """sha256 over canonical JSON of the content; layout, comments and order of the files do not count."""
        content = [role.model_dump(mode="json") for role in self.roles]
        return digest(_canonical({"schema_version": self.schema_version, "roles": content}))

    def role(self, name: str) -> Role:
        """The role with this id. Raises UsageError that names the known ones."""
        for role in self.roles:
            if role.id == name:
                return role
        raise UsageError(f"There is no role {name!r}.", f"Choose one of: {', '.join(self.ids)}.")


def header(role: Role, language: str) -> str:
    """The role's instructions as they stand just before the answer, in 'ru' or 'en' ('und' counts as English).

    Sections missing in that language are read in the other one; the last line always asks for the language itself.
    Not shortened here: what a role costs is its author's choice. The seed roles take 98-113 tokens of Qwen2.5 in
    English, 115-155 in Russian.
    """
    chosen, other = role.sections.en, role.sections.ru
    if language == "ru":
        chosen, other = other, chosen
    closing = "Отвечай по-русски." if language == "ru" else "Answer in English."
    return "\n".join([*(chosen.texts or other.texts), closing])


def parse_role(text: str, file: str = "the role file") -> Role:
    """Read a role file. Raises RoleError with file, line and reason."""
    content, line_of = role_file.read(text, file)
    try:
        role = Role.model_validate(content)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        name = ".".join(str(part) for part in first["loc"])
        reason = str(first["msg"]).removeprefix("Value error, ")
        raise role_file.refused(file, line_of(first["loc"]), f"{name}: {reason}") from error
    role._source = (text, role.content_hash)
    return role


def _canonical(content: Any) -> str:
    return json.dumps(content, ensure_ascii=False, sort_keys=True, separators=(",", ":"), allow_nan=False)


# ---- on disk ---------------------------------------------------------------------------------------------------

def load(folder: Path) -> RoleMap:
    """Read all role files (*.md) of a folder. Raises RoleError for a broken file and where there is none."""
    files = _files(folder)
    if not files:
        raise RoleError(f"There are no role files (*.md) in {folder}.",
                        "Remove the folder: the seed roles come back with the next question.")
    return RoleMap(tuple(_read(file.name, file.read_bytes(), file.stem) for file in files))


def save(role_map: RoleMap, folder: Path) -> None:
    """Write one file a role, each whole or not at all; unchanged files stay untouched.

    Files of roles that are not in the map are renamed to NAME.md.old: nothing a person wrote is lost.
    """
    for role in role_map.roles:
        file, data = folder / f"{role.id}.md", role.to_markdown().encode("utf-8", "surrogatepass")
        if not file.exists() or file.read_bytes() != data:
            write_atomically(file, data)
    for file in _files(folder):
        if file.stem not in role_map.ids:
            with full_disk_is_named(folder):
                file.replace(file.with_name(f"{file.name}.old"))


def seed() -> RoleMap:
    """The six roles that ship with the package."""
    return RoleMap(tuple(_read(name, data, name.removesuffix(".md")) for name, data in _seed_files()))


def ensure(folder: Path) -> RoleMap:
    """Read the roles of a folder; where it holds none yet, put the seed roles there first."""
    if not _files(folder):
        for name, data in _seed_files():
            write_atomically(folder / name, data)
    return load(folder)


def _files(folder: Path) -> list[Path]:
    return sorted(file for file in folder.glob("*.md") if file.is_file() and not file.name.startswith("."))


def _seed_files() -> list[tuple[str, bytes]]:
    shelf = resources.files("twin").joinpath("seed")
    return sorted((item.name, item.read_bytes()) for item in shelf.iterdir() if item.name.endswith(".md"))


def _read(name: str, data: bytes, stem: str) -> Role:
    try:
        role = parse_role(data.decode("utf-8"), name)
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise role_file.refused(name, line, "the file is not UTF-8 text") from error
    if role.id != stem:
        raise RoleError(f"{name}: the role in it has the id {role.id!r}.",
                        f"Rename the file to {role.id}.md, or change the id.")
    return role
