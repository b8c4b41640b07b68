"""What a role is made of: its texts in two languages, sections, adapter, sampling, memory scope, placement.

Each part checks itself; knows nothing of files.
"""
from __future__ import annotations

import re
from typing import Annotated, Any, Literal

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    SerializerFunctionWrapHandler,
    model_serializer,
    model_validator,
)
from pydantic.dataclasses import dataclass as validated

from twin import text as plain
from twin.role_file import SECTIONS
from twin.types import Sampling

_RARE_LINE_END = re.compile("[\x85\u2028\u2029]")


def _tidy(value: Any) -> Any:
    """NFC, trimmed, with the rare line ends as plain ones: PyYAML 6.0.3 does not read back what it writes of them."""
    return _RARE_LINE_END.sub("\n", plain.clean(value)).strip() if isinstance(value, str) else value


Text = Annotated[str, BeforeValidator(_tidy)]


class Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class Bilingual(Frozen):
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


class Instructions(Frozen):
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


class Sections(Frozen):
    """Instructions by language; at least one section says something."""

    en: Instructions = Instructions()
    ru: Instructions = Instructions()

    @model_validator(mode="after")
    def _says_something(self) -> Sections:
        if not (self.en.texts or self.ru.texts):
            raise ValueError("no section has any text; write at least '## Stance' or '## Позиция'")
        return self


class RoleAdapter(Frozen):
    """The LoRA of a role: a GGUF file by path or by sha256 (64 hex digits), and how strongly it acts (0..1.5).

    A path is absolute, or relative to the home or its folder `adapters`. `kind` is what types.Adapter says. `compiled`:
    it was trained on the role's answers and carries its header, which is not written while it acts.
    """

    path: Text | None = None
    sha256: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")] | None = None
    scale: Annotated[float, Field(ge=0, le=1.5)] = 1.0
    kind: Literal["auto", "lora", "alora", "control"] = "auto"
    compiled: bool = False

    @model_serializer(mode="wrap")
    def _as_before(self, write: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """`compiled` only where it is set, so that earlier roles keep their hash."""
        made: dict[str, Any] = write(self)
        return made if self.compiled else {name: value for name, value in made.items() if name != "compiled"}

    @property
    def instead_of_header(self) -> bool:
        """Whether it acts, and says itself what the header says."""
        return self.compiled and self.scale > 0

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


class MemoryScope(Frozen):
    """Tags of the memories a role may see (none named: all) and may not see."""

    include: tuple[Text, ...] = ()
    exclude: tuple[Text, ...] = ()


class Placement(Frozen):
    """Where a role wants to run. What is not said is decided by the engine."""

    device: Text | None = None
    n_ctx: Annotated[int, Field(ge=64)] | None = None
    n_gpu_layers: Annotated[int, Field(ge=-1)] | None = None
