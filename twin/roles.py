"""Role and RoleMap: who may answer, in which words, and when a council is called; one Markdown file a role on disk.

Knows nothing of routing, prompts, models or the archive; the form of the files is role_file's.
"""
from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property, lru_cache
from importlib import resources
from itertools import count
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar

from pydantic import Field, PrivateAttr, ValidationError, ValidationInfo, field_serializer, field_validator

from twin import role_file
from twin.errors import RoleError, UsageError
from twin.home import fault, full_disk_is_named, write_atomically
from twin.role_file import SECTIONS as SECTIONS
from twin.role_parts import Bilingual as Bilingual
from twin.role_parts import Frozen, Text
from twin.role_parts import Instructions as Instructions
from twin.role_parts import MemoryScope as MemoryScope
from twin.role_parts import Placement as Placement
from twin.role_parts import RoleAdapter as RoleAdapter
from twin.role_parts import RoleSampling as RoleSampling
from twin.role_parts import Sections as Sections
from twin.types import Sampling, digest

COUNCIL = "council.yaml"  # stands beside the role files
MAX_BYTES = 256 * 1024    # of one of these files: the seed roles have 4 to 5 KB, and every question reads them all


class _OfFile(Frozen):
    """What has a file of its own. Equal and hashed by content; the source text of the file is kept beside it."""

    _source: tuple[str, str] | None = PrivateAttr(default=None)  # (source text, content hash it was read as)

    @property
    def content(self) -> dict[str, Any]:
        """The content as JSON can hold it."""
        return self.model_dump(mode="json")

    @property
    def content_hash(self) -> str:
        """sha256 of the content as canonical JSON: the same however the file is laid out."""
        return digest(_canonical(self.content))

    def __eq__(self, other: object) -> bool:
        return isinstance(other, type(self)) and self.content == other.content

    def __hash__(self) -> int:
        return hash(self.content_hash)

    def _as_read(self) -> str | None:
        """The source text, unless the content has changed since."""
        return self._source[0] if self._source is not None and self._source[1] == self.content_hash else None


class CouncilPolicy(_OfFile):
    """Who sits in a council (no role named: all), how many of them at most, and when it is called.

    With `on` 'asked' only when the person asks for it; with 'policy' also by itself: for a question from level `depth`
    (1..7) up, and where the router's probabilities have an entropy (nats) of at least `entropy`; None: not for that.
    """

    members: tuple[Text, ...] = ()
    max_n: Annotated[int, Field(strict=True, ge=1, le=16)] = 4
    depth: Annotated[int, Field(strict=True, ge=1, le=7)] | None = None
    entropy: Annotated[float, Field(strict=True, ge=0)] | None = None
    on: Literal["asked", "policy"] = "asked"

    @field_validator("members")
    @classmethod
    def _sit_once(cls, members: tuple[str, ...]) -> tuple[str, ...]:
        if len(set(members)) < len(members):
            raise ValueError("a role is named twice")
        return members

    @field_validator("on")
    @classmethod
    def _has_a_trigger(cls, on: str, others: ValidationInfo) -> str:
        if on == "policy" and not any(others.data.get(name) is not None for name in ("depth", "entropy")):
            raise ValueError("a council that comes by itself needs 'depth' or 'entropy'")
        return on

    def to_yaml(self) -> str:
        """The policy's file: byte for byte what was read, or the canonical form where the content has changed since."""
        source = self._as_read()
        return role_file.write_plain(self.content) if source is None else source


ASKED = CouncilPolicy()  # the default: a council is held when it is asked for


class Role(_OfFile):
    """One way of answering. `thinking`: whether a core that can think aloud first does so for this role."""

    id: Annotated[str, Field(pattern=r"^[a-z][a-z0-9]*(-[a-z0-9]+)*$", max_length=40)]
    title: Bilingual
    purpose: Bilingual
    sections: Sections
    adapter: RoleAdapter | None = None
    sampling: RoleSampling = RoleSampling()
    examples: tuple[Text, ...] = ()
    memory: MemoryScope = MemoryScope()
    placement: Placement = Placement()
    thinking: Literal["auto", "on", "off"] = "auto"

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
    def content(self) -> dict[str, Any]:
        """The content as JSON can hold it; `thinking` only where it is set, so that earlier roles keep their hash."""
        return self.model_dump(mode="json", exclude={"thinking"} if self.thinking == "auto" else None)

    def __repr__(self) -> str:
        return f"Role({self.id!r}, {len(self.examples)} examples)"

    def to_markdown(self) -> str:
        """The role's file: byte for byte what was read, or the canonical form where the content has changed since."""
        source = self._as_read()
        if source is not None:
            return source
        content = self.model_dump(mode="json", exclude_defaults=True, exclude={"sections", "sampling"})
        asked = {key: value for key, value in self.sampling.__dict__.items() if value != getattr(Sampling(), key)}
        front = {"id": self.id, "title": content.pop("title"), "purpose": content.pop("purpose")}
        front |= {"sampling": asked} if asked else {}
        front |= content
        return role_file.write(front, self.sections.model_dump())


@dataclass(frozen=True, repr=False)
class RoleMap:
    """The roles in order of their ids, and the council's policy. Equal by content.

    Raises RoleError for no roles, an id that stands twice, and a member of the council that is no role."""

    roles: tuple[Role, ...]
    schema_version: int = 1
    council: CouncilPolicy = ASKED

    def __post_init__(self) -> None:
        object.__setattr__(self, "roles", tuple(sorted(self.roles, key=lambda role: role.id)))
        if not self.roles:
            raise RoleError("A role map needs at least one role.", "Add a role file, or start from the seed roles.")
        twice = [name for name, count in Counter(role.id for role in self.roles).items() if count > 1]
        if twice:
            raise RoleError(f"The role id {twice[0]!r} is used by {len(self.roles) - len(set(self.ids)) + 1} roles.",
                            "Give each role an id of its own.")
        for name in self.council.members:
            if name not in self.ids:
                raise RoleError(f"The council's member {name!r} is no role.", f"Choose from: {', '.join(self.ids)}.")

    def __repr__(self) -> str:
        return f"RoleMap({', '.join(self.ids)}; {self.version[:8]})"

    @property
    def ids(self) -> tuple[str, ...]:
        """Ids of the roles, sorted."""
        return tuple(role.id for role in self.roles)

    @cached_property
    def version(self) -> str:
        """sha256 over canonical JSON of the content; layout, comments and order of the files do not count, nor does a
        policy that is the default: maps had none before."""
        content = {"schema_version": self.schema_version, "roles": [role.content for role in self.roles]}
        council = {} if self.council == ASKED else {"council": self.council.content}
        return digest(_canonical(content | council))

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
    return _valid(Role, text, file, *role_file.read(text, file))


def parse_council(text: str, file: str = COUNCIL, known: tuple[str, ...] | None = None) -> CouncilPolicy:
    """Read a council's policy; `known`: the ids its members are to be among. Raises RoleError as `parse_role` does."""
    content, line_of = role_file.read_plain(text, file)
    policy = _valid(CouncilPolicy, text, file, content, line_of)
    for place, name in enumerate(policy.members):
        if known is not None and name not in known:
            raise role_file.refused(file, line_of(("members", place)), f"there is no role {name!r}")
    return policy


_Made = TypeVar("_Made", bound=_OfFile)


def _valid(kind: type[_Made], text: str, file: str, content: dict[str, Any],
           line_of: Callable[[role_file.Where], int]) -> _Made:
    try:
        made = kind.model_validate(content)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        name = ".".join(str(part) for part in first["loc"])
        reason = str(first["msg"]).removeprefix("Value error, ")
        raise role_file.refused(file, line_of(first["loc"]), f"{name}: {reason}") from error
    made._source = (text, made.content_hash)
    return made


def _canonical(content: Any) -> str:
    return json.dumps(content, ensure_ascii=False, sort_keys=True, separators=(",", ":"), allow_nan=False)


# ---- as files, by name and bytes -------------------------------------------------------------------------------

Files = dict[str, bytes]


def from_files(files: Mapping[str, bytes]) -> RoleMap:
    """The map that these files are. Raises RoleError for the first that is refused."""
    made = tuple(_read(name, data) for name, data in sorted(files.items()) if name != COUNCIL)
    policy = _policy(files[COUNCIL], tuple(role.id for role in made)) if COUNCIL in files else ASKED
    return RoleMap(made, council=policy)


def to_files(role_map: RoleMap) -> Files:
    """The files of a map; a policy that is the default and has no file gets none."""
    made = {f"{role.id}.md": role.to_markdown() for role in role_map.roles}
    if role_map.council._source or role_map.council != ASKED:
        made[COUNCIL] = role_map.council.to_yaml()
    return {name: text.encode("utf-8", "surrogatepass") for name, text in made.items()}


def refusal(name: str, data: bytes, known: tuple[str, ...]) -> RoleError | None:
    """What is wrong with one file, a council's members looked for among `known`; None when nothing is."""
    try:
        _policy(data, known) if name == COUNCIL else _read(name, data)
    except RoleError as error:
        return error
    return None


def read_bytes(file: Path) -> bytes:
    """A file up to one byte over MAX_BYTES: enough to see that it is refused. Raises OSError."""
    with file.open("rb") as stream:
        return stream.read(MAX_BYTES + 1)


def on_disk(folder: Path) -> Files:
    """The role files (*.md) of a folder and its council.yaml, each as `read_bytes` reads it."""
    found = {}
    for file in [*sorted(folder.glob("*.md")), folder / COUNCIL]:
        try:
            if file.is_file() and not file.name.startswith("."):
                found[file.name] = read_bytes(file)
        except FileNotFoundError:  # an editor that moves files was faster
            continue
        except OSError as error:
            raise RoleError(f"{file.name} cannot be read ({error.strerror}).", f"Look at {file}.") from error
    return found


def put(files: Mapping[str, bytes], folder: Path) -> None:
    """Make a folder hold these files, each written whole or not at all; equal ones stay untouched.

    Others of the kind are renamed to NAME.old (NAME.old2 where that has another text): nothing a person wrote is lost.
    """
    for name, data in files.items():
        if not (folder / name).exists() or (folder / name).read_bytes() != data:
            write_atomically(folder / name, data)
            fault("a file in its place")
    for name in sorted(on_disk(folder).keys() - files.keys()):
        set_aside(folder / name)
        fault("a file set aside")


def set_aside(file: Path) -> Path:
    """Rename a file to NAME.old, or the first NAME.old2, NAME.old3 ... that is free or holds the same; returns that."""
    for number in count(1):
        target = file.with_name(f"{file.name}.old{number if number > 1 else ''}")
        if not target.exists() or target.read_bytes() == file.read_bytes():
            with full_disk_is_named(file.parent):
                file.replace(target)
            break
    return target


def load(folder: Path) -> RoleMap:
    """Read the files of a folder. Raises RoleError for a broken file and where there is no role."""
    files = on_disk(folder)
    if not files.keys() - {COUNCIL}:
        raise RoleError(f"There are no role files (*.md) in {folder}.",
                        "Remove the folder: the seed roles come back with the next question.")
    return from_files(files)


def save(role_map: RoleMap, folder: Path) -> None:
    """Write a map as `put` does."""
    put(to_files(role_map), folder)


def seed() -> RoleMap:
    """The six roles that ship with the package."""
    return from_files(seed_files())


def seed_files() -> Files:
    """The files of the seed roles."""
    shelf = resources.files("twin").joinpath("seed")
    return {item.name: item.read_bytes() for item in shelf.iterdir() if item.name.endswith(".md")}


def ensure(folder: Path) -> RoleMap:
    """Read the roles of a folder; where it holds none yet, put the seed roles there first."""
    there = on_disk(folder)
    if not there.keys() - {COUNCIL}:
        put(there | seed_files(), folder)
    return load(folder)


@lru_cache(maxsize=256)  # 4 ms a file; a folder is read at every question, and mostly nothing has changed
def _read(name: str, data: bytes) -> Role:
    role = parse_role(_text(name, data), name)
    if f"{role.id}.md" != name:
        raise RoleError(f"{name}: the role in it has the id {role.id!r}.",
                        f"Rename the file to {role.id}.md, or change the id.")
    return role


def _policy(data: bytes, known: tuple[str, ...]) -> CouncilPolicy:
    return parse_council(_text(COUNCIL, data), COUNCIL, known)


def _text(name: str, data: bytes) -> str:
    if len(data) > MAX_BYTES:
        raise role_file.refused(name, data.count(b"\n", 0, MAX_BYTES) + 1,
                                f"here the file has more than {MAX_BYTES // 1024} KiB")
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise role_file.refused(name, line, "the file is not UTF-8 text") from error
