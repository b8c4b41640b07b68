"""Own words into an adapter: what to learn, the core as a torch model, LoRA put in, trained, and written as GGUF.

    planned = plan(core, learn, held, shape=Shape(), settings=Settings())    # told before: time, memory, disk
    trained = train(planned, folder)                                         # stopped or killed, the same call goes on

torch, transformers, peft and safetensors are this room's alone, and load only when something is planned or trained.
"""
from __future__ import annotations

import gc
import hashlib
import json
from array import array
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from twin import machine
from twin.errors import UsageError
from twin.training import adapter_file, checkpoint, cost, lora
from twin.training.base import Base, memory_is_named
from twin.training.cost import Plan, plan
from twin.training.steps import Run, Settings, Step, own_torch, silent
from twin.types import Progress, never

if TYPE_CHECKING:
    from twin.training.tokens import Encoded

__all__ = ["COMFORT", "Plan", "Settings", "Step", "Trained", "peak_bytes", "plan", "train"]

COMFORT = ("threads", "device", "checkpoint_every")  # settings that change how a run goes, not what it is


@dataclass(frozen=True)
class Trained:
    """What came of a training. `adapter`: GGUF, `peft`: folder, both beside their manifest. `before`, `after`: bits a
    character of the held-out words without it and with the best weights; `curve` has (step, bits) of every look.
    `seconds` over all goes, `peak_bytes` resident in this one."""

    adapter: Path
    sha256: str
    peft: Path
    steps: int
    before: float
    after: float
    curve: tuple[tuple[int, float], ...]
    seconds: float
    peak_bytes: int
    manifest: Mapping[str, Any] = field(repr=False)

    @property
    def useful(self) -> bool:
        """Whether it foresees the held-out words better than the core alone; it is written even if not."""
        return self.after < self.before


def train(planned: Plan, folder: Path, *, fresh: bool = False, progress: Progress | None = None,
          watch: Callable[[Step], None] | None = None, cancel: Callable[[], bool] = never,
          invocation: Sequence[int] = (), description: Mapping[str, str] | None = None) -> Trained:
    """Train what was planned, in `folder`, and write the adapter to `folder`/adapter.

    Goes on from the last checkpoint there, unless `fresh`; one of another base, data, shape or settings is refused.
    Checkpoints stay, so that a finished run can be asked again for its adapter; the folder can be removed once that was
    taken in. `watch` sees every step; `cancel` is asked before each, and keeps the best so far. `invocation`: token ids
    from which an alora acts, for programs other than this one; `description`: texts for the GGUF. torch's threads,
    random numbers and defaults are afterwards as they were, and the memory is free again; the same plan and seed give
    the same bytes.

    Raises ModelMissing, CannotDo, ModelBroken (the base), ModelError (memory, a loss that is no number), UsageError
    (another run's checkpoint; stopped before anything was known), HomeFull.
    """
    cost.must_have_room(planned, folder)
    cost.must_fit(planned)
    try:
        return _trained(planned.task, folder, fresh, progress or silent, watch, cancel, invocation, description or {})
    finally:
        _let_go()


def _trained(task: cost.Task, folder: Path, fresh: bool, progress: Progress, watch: Callable[[Step], None] | None,
             cancel: Callable[[], bool], invocation: Sequence[int], description: Mapping[str, str]) -> Trained:
    settings = task.settings
    told = {"--batch": settings.batch, "--max-tokens": settings.max_tokens, "--rank": task.shape.rank}
    with memory_is_named(told):
        with own_torch(settings.threads, settings.seed):
            progress("loading the core", 0, None)
            base = Base.load(task.path, dtype=settings.dtype, device=settings.device)  # type: ignore[arg-type]
            model = lora.put_in(base, task.shape, settings.seed)
        run = Run(model, task.shape, task.learn, task.held, settings, folder, fresh=fresh, cancel=cancel,
                  progress=progress, identity=_identity(task, base))
        for step in run:
            if watch:
                watch(step)
    if not run.curve:
        raise UsageError("The training was stopped before its first step; nothing was learned.", "Start it again.")
    return _written(run, task, base, folder / "adapter", invocation, description)


def _let_go() -> None:
    """Give the memory of a model back: its modules refer to each other, and torch keeps what was a card's."""
    import torch

    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()


def peak_bytes() -> tuple[int, int]:
    """Most memory this process has held so far, in bytes: resident (0 where the system does not tell), and on CUDA."""
    import torch

    return machine.peak_bytes(), int(torch.cuda.max_memory_allocated()) if torch.cuda.is_available() else 0


def _identity(task: cost.Task, base: Base) -> dict[str, Any]:
    """Of what a run is one: all that its result follows from, as JSON gives it back."""
    how = {name: value for name, value in asdict(task.settings).items() if name not in COMFORT}
    made = {"base": base.sha256, "data": _hash_of(task.learn, task.held), **asdict(task.shape), **how,
            "dtype": base.dtype}
    return dict(json.loads(json.dumps(made)))


def _hash_of(*sides: Sequence[Encoded]) -> str:
    """sha256 of the samples in their order."""
    made = hashlib.sha256()
    for side in sides:
        made.update(array("q", [len(side)]).tobytes())
        for one in side:
            made.update(array("q", [len(one.prefix), len(one.tail), one.characters, *one.prefix, *one.tail,
                                    *one.learned]).tobytes())
    return made.hexdigest()


def _written(run: Run, task: cost.Task, base: Base, place: Path, invocation: Sequence[int],
             description: Mapping[str, str]) -> Trained:
    """The best weights as GGUF and as PEFT folder, with a manifest: all there at once, or nothing of it."""
    best, after = run.best
    run.keep_best()
    resident, card = peak_bytes()
    useful = after < run.before
    about = {
        "base": base.sha256, "base_name": base.path.name, "architecture": base.arch, "licence": base.licence,
        **{key: value for key, value in run.identity.items() if key != "base"}, "settings": asdict(task.settings),
        "samples": len(run.learn), "held": len(run.held), "characters": sum(one.characters for one in run.learn),
        "learned_tokens": sum(sum(one.learned) for one in run.learn), "taken": run.step, "best_step": best,
        "skipped": run.skipped, "before": run.before, "after": after, "useful": useful,
        "note": "" if useful else "Nothing foresaw the held-out words better than the core alone: it is of no use.",
        "curve": run.curve, "seconds": run.seconds, "peak_bytes": resident, "peak_cuda_bytes": card,
        "versions": {name: version(name) for name in ("torch", "transformers", "peft")},
        "made": datetime.now(UTC).isoformat(timespec="seconds")}
    with checkpoint.whole(place, about) as made:
        sha256 = adapter_file.write_gguf(made / "adapter.gguf", arch=base.arch, alpha=task.shape.gguf_alpha,
                                         rank=task.shape.rank, matrices=lora.matrices(run.model),
                                         invocation=invocation, description=description)
        (made / "peft").mkdir(mode=0o700)
        adapter_file.write_peft(made / "peft", base_name=base.path.stem, shape=task.shape,
                                matrices=lora.torch_matrices(run.model), invocation=invocation)
    return Trained(place / "adapter.gguf", sha256, place / "peft", run.step, run.before, after, tuple(run.curve),
                   run.seconds, resident, checkpoint.manifest(place) or about)
