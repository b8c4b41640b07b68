"""A prefix carried from one run of a core to another: read into a file of the form of snapshots, and put back.

Only an engine with the same core, opened the same way, takes it: a state means nothing to any other. Every function
here is to be called through `within`, which goes to the process that holds the core. Whoever wrote the file decides
what the core believes to have read: its tokens say so, but no check can tell from the state.
"""
from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from twin.engine.isolated import IsolatedEngine
from twin.engine.llama import LlamaEngine
from twin.engine.snapshots import Packed, key_text, pack, unpack
from twin.engine.weights import BASE
from twin.errors import BrokenFile, CannotDo
from twin.types import Engine

AGAIN = "Export it again: `twin export tokens`."


@dataclass(frozen=True)
class Core:
    """What tokens and states are good for: one GGUF, `file`, and how it was opened (`LlamaEngine.settings`)."""

    id: str
    file: str
    sha256: str
    architecture: str
    n_vocab: int
    family: str
    settings: Mapping[str, str] = field(repr=False)


def within(engine: Engine, function: Callable[..., Any], *args: Any) -> Any:
    """What `function(engine, *args)` gives where the core is: here, or in its own process. Raises CannotDo for an
    engine that has no GGUF core of this machine."""
    if isinstance(engine, IsolatedEngine):
        return engine.within(within, function, *args)
    if isinstance(engine, LlamaEngine):
        return function(engine, *args)
    raise CannotDo(f"{type(engine).__name__} has no GGUF core on this machine, so it has no token ids and no state.",
                   "Open the twin with one: `twin models list`.")


def core(engine: LlamaEngine) -> Core:
    """The core of an engine."""
    return Core(engine.id, engine.path.name, engine.sha256, engine.weights.facts.arch, engine.weights.n_vocab,
                engine.family.name, dict(engine.settings))


def read(engine: LlamaEngine, tokens: Sequence[int]) -> tuple[bytes, int]:
    """The content of a file that holds these tokens as the core reads them, from the first one on and without any
    adapter, and where in it the state begins. What else the engine has read stays. Raises ContextFull, ModelError."""
    with engine.lock:
        engine.sweep()
        state = engine.lanes.state_anew(BASE, tokens)
    content = pack(key_text(engine.settings, BASE), tokens, state)
    return content, len(content) - len(state)


def opened(path: Path, sha256: str, size: int) -> Packed:
    """Such a file with the sha256 and the size (bytes) that it should have. Raises BrokenFile."""
    try:
        packed = unpack(path) if path.is_file() and path.stat().st_size == size else None
    except OSError as error:
        raise BrokenFile(f"{path} cannot be read ({error}).", AGAIN) from error
    if packed is None or packed.sha256 != sha256:
        raise BrokenFile(f"{path} is missing, or its bytes are not those that were written.", AGAIN)
    return packed


def adopt(engine: LlamaEngine, path: Path, sha256: str, size: int, tokens: Sequence[int]) -> None:
    """Put what such a file holds into the engine, where prompts that begin with these tokens find it read, until other
    things take its room. The caller has compared `core`. Raises BrokenFile."""
    packed = opened(path, sha256, size)
    refuse_other(packed, path, engine.settings, tokens)
    with engine.lock:
        engine.sweep()
        if engine.lanes.nearest(BASE, packed.tokens)[1] < len(packed.tokens) \
                and engine.lanes.restore(BASE, packed.tokens, packed.state) is None:
            raise BrokenFile(f"{path} holds no state that this core takes.", AGAIN)


def refuse_other(packed: Packed, path: Path, settings: Mapping[str, str], tokens: Sequence[int]) -> None:
    """Raise BrokenFile where a file holds other tokens, or was read by other settings, than it is said to."""
    if packed.context != key_text(settings, BASE) or packed.tokens != list(tokens):
        raise BrokenFile(f"{path} does not hold what the file beside it says.", AGAIN)
