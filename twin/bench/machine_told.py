"""What an engine tells of itself for a report: its core, where it lies, versions, memory.

An engine in a process of its own is asked there. Knows llama.cpp; tells no host, no user, no path and no address.
"""
from __future__ import annotations

import platform
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import PurePosixPath, PureWindowsPath
from typing import TYPE_CHECKING, Any

from twin import __version__, machine
from twin.bench.report import MOST, Core, Device, Where, line
from twin.types import Engine

if TYPE_CHECKING:
    from twin.engine.llama import LlamaEngine


@dataclass(frozen=True)
class Told:
    """`memory`: the most bytes its process has held, 0 where it runs elsewhere; `buffers`: bytes by kind, where the
    engine tells them."""

    core: Core
    where: Where
    build: dict[str, str]
    memory: int = 0
    buffers: Mapping[str, int] = field(default_factory=dict)


def told(engine: Engine) -> Told:
    """Asks the engine, in its own process where it has one."""
    within: Callable[..., Any] | None = getattr(engine, "within", None)
    found: Told = within(told) if within is not None else _told(engine)
    return found


def _told(engine: Engine) -> Told:
    from twin.engine.llama import LlamaEngine  # deferred: most of the command line needs no engine

    if isinstance(engine, LlamaEngine):
        return _of_llama(engine)
    core = Core(name=_model(str(getattr(engine, "model", "") or engine.id.partition("@")[0])),
                parameters=engine.parameters)
    away = isinstance(getattr(engine, "model", None), str)
    devices = (Device(name="server", kind="server", remote=True),) if away else ()
    return Told(core, Where(devices=devices, n_ctx=engine.n_ctx), _build())


def _model(said: str) -> str:
    """The name of a model as a server gives it; of a path, or of an address, its last part."""
    flat = line(said)
    if re.search(r"://|^[/\\~.]|^[A-Za-z]:[/\\]|\\", flat) or flat.endswith(".gguf"):
        flat = PurePosixPath(PureWindowsPath(flat).name).stem
    return flat or "unknown"


def _of_llama(engine: LlamaEngine) -> Told:
    from twin.engine import devices, library  # deferred: the compiled library

    lib, facts, plan = library.llama(), engine.weights.facts, engine.placement
    with engine.lock:
        context = engine.lanes.ctx
        threads = int(lib.llama_n_threads(context))
        kind = lib.llama_ftype_name(int(lib.llama_model_ftype(engine.weights.model))) or b""
        live = devices.live(plan)
    used = [one for one in live if one.name in plan.devices] or [one for one in live if one.kind == "cpu"]
    where = Where(
        devices=tuple(Device(name=line(one.name), kind=one.kind, memory_bytes=one.total_bytes,
                             remote=bool(one.server),  # a worker is described by its address
                             description="RPC worker" if one.server else line(one.description))
                      for one in used[:MOST]),
        layers=plan.n_gpu_layers, split_mode=plan.split_mode, tensor_split=plan.tensor_split, kv_type=plan.kv_type,
        flash_attention=plan.flash_attention, threads=threads, n_ctx=engine.n_ctx)
    core = Core(name=line(engine.path.stem), sha256=engine.sha256, architecture=line(facts.arch),
                parameters=facts.n_params, bytes=facts.size_bytes,
                quantisation=kind.decode("ascii", "replace").removeprefix("(guessed) "))
    features = re.findall(r"(\w+) = 1", lib.llama_print_system_info().decode("ascii", "replace"))
    build = _build() | {"llama-cpp-python": str(lib.__version__), "features": line(" ".join(features))}
    buffers: Mapping[str, int] | None = getattr(engine, "buffers", None)
    return Told(core, where, build, machine.peak_bytes(), dict(buffers or {}))


def _build() -> dict[str, str]:
    return {"twin": __version__, "python": platform.python_version(),
            "system": f"{platform.system()} {platform.machine()}"}
