"""The JSON half of a tokenised role map: what it holds, and how it is read back. Knows no engine.

    role_map.json   core (the ids every export carries), base (the GGUF), constant (what every prompt begins with),
                    message (what stands before and after the person's own), roles (tail and invocation), state
    constant.kv     the constant part as the base has read it: a snapshot (twin/engine/snapshots.py); from byte
                    `state.offset` on what llama.cpp's `llama_state_seq_set_data` takes

A prompt is: constant, message.before, the question's tokens, message.after, the role's tail. All are token ids.
"""
from __future__ import annotations

import hashlib
import re
from array import array
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Annotated, Literal

from pydantic import ConfigDict, Field, ValidationError, model_validator

from twin.errors import BrokenFile, UsageError
from twin.role_parts import Frozen

MAP, STATE = "role_map.json", "constant.kv"
AGAIN = "Export it again: `twin export tokens`."
_IDS = re.compile(r"\[\n[\d\s,]+\]")  # no string holds a bare line break
MAX_BYTES = 16 << 20  # of the JSON: six roles take 20 KB

Hash = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
Short = Annotated[str, Field(pattern=r"^[0-9a-f]{1,12}$")]
Token = Annotated[int, Field(ge=0, lt=1 << 31)]
Name = Annotated[str, Field(max_length=400)]


class _Part(Frozen):
    model_config = ConfigDict(strict=True)

    def __repr__(self) -> str:  # token ids are a person's words
        return f"{type(self).__name__}()"

    __str__ = __repr__


class Ids(_Part):
    """Token ids, and how many they are."""

    count: int
    ids: tuple[Token, ...]

    @model_validator(mode="after")
    def _are_as_many(self) -> Ids:
        if self.count != len(self.ids):
            raise ValueError("'count' is not the number of ids")
        return self

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.count} tokens)"

    __str__ = __repr__


class Constant(Ids):
    """What every prompt begins with. `sha256`: of the ids as little-endian int32."""

    sha256: Hash

    @model_validator(mode="after")
    def _are_those(self) -> Constant:
        if self.sha256 != hash_of(self.ids):
            raise ValueError("'sha256' is not that of the ids")
        return self


class Tail(Ids):
    """What stands last in a prompt: the role's header and the opening of the answer. `header_sha256`: of the header's
    UTF-8 (of no bytes where an adapter carries it)."""

    header_sha256: Hash


class Message(_Part):
    """What stands before and after the person's own words."""

    before: Ids
    after: Ids


class Tails(_Part):
    """A role's tails, by the language of the question."""

    en: Tail
    ru: Tail


class RoleTokens(_Part):
    """A role. `invocation`: the ids from which its adapter acts, or the opening
    of its answer; `adapter`: sha256 of the GGUF it speaks through on this core, if any."""

    id: Name
    tails: Tails
    invocation: Ids
    adapter: Hash | None


class Marker(_Part):
    """The core of the twin this was made of, as every export names it."""

    id: Short
    profile: Short
    roles: Short
    level: Literal["private", "public"]
    language: Literal["en", "ru"]


class Base(_Part):
    """The GGUF that the ids are of. `family`: its chat form."""

    id: Name
    file: Name
    sha256: Hash
    architecture: Name
    n_vocab: int
    family: Name


class State(_Part):
    """The file beside this one; `key`: how the base was opened that read it."""

    file: Literal["constant.kv"]
    sha256: Hash
    bytes: int
    offset: int
    key: dict[Name, Name]


class TokenisedMap(_Part):
    """A tokenised role map."""

    format: Literal["twin-tokens"]
    version: Literal[1]
    core: Marker
    base: Base
    constant: Constant
    message: Message
    roles: tuple[RoleTokens, ...]
    state: State

    def __repr__(self) -> str:
        return f"TokenisedMap({self.core.id}, {len(self.roles)} roles, {self.constant.count} tokens read)"

    __str__ = __repr__

    @model_validator(mode="after")
    def _fits_together(self) -> TokenisedMap:
        if len({role.id for role in self.roles}) < len(self.roles):
            raise ValueError("a role is named twice")
        if any(token >= self.base.n_vocab for ids in self._all() for token in ids.ids):
            raise ValueError("a token is not in the vocabulary")
        if self.state.key.get("sha256") != self.base.sha256:
            raise ValueError("the state is of another base")
        return self

    def _all(self) -> Iterable[Ids]:
        yield from (self.constant, self.message.before, self.message.after)
        for role in self.roles:
            yield from (role.tails.en, role.tails.ru, role.invocation)

    def to_json(self) -> str:
        """The content of role_map.json, the ids of one run of tokens on one line."""
        shown = self.model_dump_json(indent=1)
        return _IDS.sub(lambda found: f"[{' '.join(found.group()[1:-1].split())}]", shown) + "\n"

    def role(self, name: str) -> RoleTokens:
        """The role with this id. Raises UsageError that names the known ones."""
        found = next((role for role in self.roles if role.id == name), None)
        if found is None:
            raise UsageError(f"There is no role {name!r}.",
                             f"Choose one of: {', '.join(role.id for role in self.roles)}.")
        return found

    def prompt(self, role: str, language: str, question: Sequence[int]) -> list[int]:
        """Token ids of a whole prompt: `question` are those of the person's words, `language` is theirs ('ru'; all else
        counts as English). Raises UsageError for an unknown role."""
        tails = self.role(role).tails
        tail = tails.ru if language == "ru" else tails.en
        return [*self.constant.ids, *self.message.before.ids, *question, *self.message.after.ids, *tail.ids]


def hash_of(ids: Sequence[int]) -> str:
    """sha256 of token ids as little-endian int32."""
    packed = array("i", ids)
    return hashlib.sha256(packed.tobytes()).hexdigest()


def read(folder: Path) -> TokenisedMap:
    """The map in a folder; its state is not looked at. Raises UsageError where there is none, BrokenFile."""
    path = folder / MAP
    if not path.is_file():
        raise UsageError(f"There is no tokenised role map in {folder}.",
                         "Name the folder that `twin export tokens` has written.")
    try:
        if path.stat().st_size > MAX_BYTES:
            raise BrokenFile(f"{path} is damaged (JSON).", AGAIN)
        return TokenisedMap.model_validate_json(path.read_bytes())
    except OSError as error:
        raise BrokenFile(f"{path} cannot be read ({error}).", AGAIN) from error
    except ValidationError as error:
        where = ".".join(map(str, error.errors(include_url=False, include_input=False)[0]["loc"]))
        raise BrokenFile(f"{path} is damaged ({where[:80] or 'JSON'}).", AGAIN) from error
