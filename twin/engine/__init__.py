"""Engines: what continues a prompt. `llama` runs a GGUF in process, `isolated` in one of its own; `scripted` plays
written answers."""
from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from twin.errors import UsageError
from twin.types import Prompt, Sampling

Schema = Mapping[str, Any] | None


def asked_together(prompts: Sequence[Prompt], samplings: Sequence[Sampling],
                   schemas: Sequence[Schema]) -> Iterator[tuple[Prompt, Sampling, Schema]]:
    """What `stream_many` is asked, prompt by prompt. Raises UsageError when the numbers do not match."""
    if len(samplings) != len(prompts) or len(schemas) not in (0, len(prompts)):
        raise UsageError(f"{len(prompts)} prompts came with {len(samplings)} samplings and {len(schemas)} schemas.",
                         "Give one sampling, and one schema or none at all, for each prompt.")
    return zip(prompts, samplings, schemas or [None] * len(prompts), strict=True)


def refuse_cold(temperature: float) -> None:
    """Raises UsageError for a temperature at which a text has no bits."""
    if not temperature > 0:
        raise UsageError(f"At a temperature of {temperature:g} a text has no bits: one continuation has all of it.",
                         "Score at a small one, such as 0.05.")
