"""What a training will cost, told before anything is loaded: time, memory, room on the disk.

Reads the header of the core and the lengths of the samples; how fast this machine multiplies is measured for a moment.
Knows no loop and no weights.
"""
from __future__ import annotations

import math
import shutil
import statistics
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from twin import gguf_file, machine
from twin.errors import HomeFull, ModelError
from twin.training import base, batches, steps

if TYPE_CHECKING:
    from twin.training.lora import Shape
    from twin.training.tokens import Encoded

# A loop reaches this share of the speed of one large multiplication: norms, attention and the optimiser take time too.
# SmolLM2 in bfloat16, batch 8, one thread: 0.62, in processor seconds (3.3 a step).
_REACHED = 0.6
_GB = 1e9


class Task:
    """What is to be trained: the core, what is learned and held out, and how. Not a value: a plan that is shown or
    stored does not carry the person's words, not even as tokens."""

    def __init__(self, path: Path, learn: Sequence[Encoded], held: Sequence[Encoded], shape: Shape,
                 settings: steps.Settings) -> None:
        self.path, self.shape, self.settings = Path(path), shape, settings
        self.learn, self.held = steps.chosen(learn, held, settings)

    def __repr__(self) -> str:
        return f"Task({self.path.name}, {len(self.learn)} to learn, {len(self.held)} to measure by)"


@dataclass(frozen=True)
class Plan:
    """`seconds` for all steps and measurements, if none is saved by stopping early; an estimate within a factor of two,
    better ones come with each Step. `memory_bytes` at the peak, an estimate from above; `free_bytes` of that kind now.
    `disk_bytes` while it runs."""

    task: Task
    steps: int
    seconds_a_step: float
    seconds: float
    memory_bytes: int
    free_bytes: int
    disk_bytes: int

    def __str__(self) -> str:
        minutes = self.seconds / 60
        lasts = f"{self.seconds:.0f} s" if minutes < 2 else f"{minutes:.0f} min" if minutes < 90 else \
            f"{minutes / 60:.1f} h"
        return (f"About {lasts} for all {self.steps} steps ({self.seconds_a_step:.1f} s each), at most "
                f"{self.memory_bytes / _GB:.1f} GB of memory ({self.free_bytes / _GB:.1f} free now), "
                f"{self.disk_bytes / 1e6:.0f} MB on the disk.")


@dataclass(frozen=True)
class _Sizes:
    """Tokens of all batches: read without gradient, with gradient through them (padding included), learned; and the
    most of one batch: in the cache before its tails (the common beginning counts here), through, learned."""

    read: int
    through: int
    learned: int
    most: tuple[int, int, int]

    @classmethod
    def of(cls, groups: Sequence[Sequence[Encoded]], common: int, shared: bool) -> _Sizes:
        read = [sum(len(one.prefix) - common for one in group) if shared else 0 for group in groups]
        through = [len(group) * max(len(one.tail) + (0 if shared else len(one.prefix)) for one in group)
                   for group in groups]
        learned = [sum(sum(one.learned) for one in group) for group in groups]
        cached = [len(group) * max(len(one.prefix) for one in group) if shared else 0 for group in groups]
        return cls(sum(read), sum(through), sum(learned), (max(cached), max(through), max(learned)))


def plan(path: Path, learn: Sequence[Encoded], held: Sequence[Encoded], *, shape: Shape, settings: steps.Settings,
         folder: Path | None = None) -> Plan:
    """What training this would cost, from the header of the core alone. Raises UsageError for nothing to learn, what
    `Base.load` raises for the core, ModelError for more memory than this machine has, HomeFull for less room than
    `folder` needs."""
    task = Task(path, learn, held, shape, settings)
    shared = shape.kind == "alora"
    common = len(batches.beginning([*task.learn, *task.held])) if shared else 0
    order = batches.order(task.learn, settings.batch, settings.seed, 0)
    drawn = [group for epoch in range(math.ceil(settings.steps / len(order)))
             for group in batches.order(task.learn, settings.batch, settings.seed, epoch)]
    all_epochs, learning = (_Sizes.of([[task.learn[place] for place in group] for group in groups], common, shared)
                            for groups in (drawn[:settings.steps], order))
    learning = replace(learning, most=all_epochs.most)  # each epoch makes other batches, one of them the dearest
    looking = _Sizes.of(batches.by_length(task.held, settings.batch), common, shared)
    head = gguf_file.header(task.path)
    blocks = sum(math.prod(place.shape) for place in head.tensors if place.name.startswith("blk."))
    vocabulary = next(math.prod(place.shape) for place in head.tensors if place.name == "token_embd.weight")
    epochs = settings.steps / len(order)
    looks = 1 + math.ceil(settings.steps / settings.evaluate_every) if settings.evaluate_every else 2
    a_token = _kept_bytes(task, head)
    kept = min(1.0, batches.KEPT / max(1, (learning.read + looking.read) * a_token))
    # A multiply and an add for each weight and token; the way back is one more of it, as the weights are frozen. What
    # is read without gradient is kept after the first time, as far as there is room.
    stepping = 2 * (blocks * learning.read * (min(epochs, 1) + max(0, epochs - 1) * (1 - kept))
                    + epochs * 2 * (blocks * learning.through + vocabulary * learning.learned))
    gazing = 2 * (blocks * looking.read * (1 + (looks - 1) * (1 - kept))
                  + looks * (blocks * looking.through + vocabulary * looking.learned))
    speed = _speed(settings, int(head.values[f"{head.values['general.architecture']}.embedding_length"])) * _REACHED
    # 60 steps of the sample on SmolLM2 held 1.04 of the sum, 40 of a chat person 0.99.
    memory = int(1.1 * (_memory(task, head, learning, looking) + kept * (learning.read + looking.read) * a_token))
    planned = Plan(task, settings.steps, stepping / settings.steps / speed, (stepping + gazing) / speed, memory,
                   free_bytes(settings.device), _disk(head, shape))
    whole = _card(0) if _on_card(settings.device) else machine.memory_bytes()
    if memory > whole:
        raise _too_much(planned, f"this machine has {whole / _GB:.1f}")
    if folder is not None:
        must_have_room(planned, folder)
    return planned


def must_fit(planned: Plan) -> None:
    """Raise ModelError where the memory that is free now is less than what the plan needs."""
    free = free_bytes(planned.task.settings.device)
    if planned.memory_bytes > free:
        raise _too_much(planned, f"{free / _GB:.1f} are free")


def must_have_room(planned: Plan, folder: Path) -> None:
    """Raise HomeFull where the disk of `folder` has less room than the plan needs."""
    place = next(parent for parent in (folder.absolute(), *folder.absolute().parents) if parent.exists())
    free = shutil.disk_usage(place).free
    if free < planned.disk_bytes:
        raise HomeFull(f"This training needs {planned.disk_bytes / 1e6:.0f} MB on the disk of {folder}; "
                       f"{free / 1e6:.0f} are free.", "Free some space, or lower --rank.")


def free_bytes(device: str) -> int:
    """Memory that can be had now: the card's where one is trained on, else the machine's."""
    if _on_card(device):
        return _card(1)
    return machine.free_bytes()


def _card(which: int) -> int:
    """Memory of the card: 0 all, 1 free."""
    import torch

    return int(torch.cuda.mem_get_info()[1 - which])


def _on_card(device: str) -> bool:
    return base.needs_torch().cuda.is_available() and device != "cpu"


def _too_much(planned: Plan, there: str) -> ModelError:
    settings, shape = planned.task.settings, planned.task.shape
    half = "" if settings.dtype == "bfloat16" else ", or train in half the numbers: --dtype bfloat16"
    return ModelError(f"This training needs up to {planned.memory_bytes / _GB:.1f} GB of memory; {there}.",
                      f"Lower --batch ({settings.batch} now), then --max-tokens ({settings.max_tokens}) or --rank "
                      f"({shape.rank}){half}; a smaller core needs less as well.")


def _memory(task: Task, head: gguf_file.Header, learning: _Sizes, looking: _Sizes) -> int:
    """The base, its adapter and the dearest batch; and keys and values of the prefixes, once as they were read and once
    repeated for each head, which each layer keeps for the way back."""
    needed = base.memory_needed(task.path, dtype=_computes(task.settings)[0], device=task.settings.device, batch=1,
                                tokens=learning.most[1], learned=max(learning.most[2], looking.most[2]),
                                rank=task.shape.rank, targets=task.shape.targets)
    of_kv = _kept_bytes(task, head)
    return int(needed + learning.most[0] * (2 * of_kv + of_kv / _share_of_kv(head)))


def _share_of_kv(head: gguf_file.Header) -> float:
    """Key-value heads over heads."""
    arch = head.values["general.architecture"]
    heads = int(head.values[f"{arch}.attention.head_count"])
    return int(head.values.get(f"{arch}.attention.head_count_kv", heads)) / heads


def _kept_bytes(task: Task, head: gguf_file.Header) -> float:
    """Keys and values of one token, in all layers."""
    arch = head.values["general.architecture"]
    hidden, layers = (int(head.values[f"{arch}.{key}"]) for key in ("embedding_length", "block_count"))
    return layers * 2 * hidden * _share_of_kv(head) * (2 if _computes(task.settings)[0] == "bfloat16" else 4)


def _disk(head: gguf_file.Header, shape: Shape) -> int:
    """A checkpoint (weights, the best ones, two moments) beside the one before, and the adapter in two forms, twice for
    the moment in which it is replaced."""
    names = {f"{base.GGUF_OF[word]}.weight" for word in shape.targets}
    trained = sum(shape.rank * sum(place.shape) for place in head.tensors if place.name.split(".", 2)[-1] in names)
    return 4 * trained * (2 * 4 + 2 * 2) + (1 << 20)


def _computes(settings: steps.Settings) -> tuple[Literal["float32", "bfloat16"], str]:
    """dtype and device that `Base.load` would choose."""
    torch = base.needs_torch()
    device = base.device_for(torch, settings.device)
    return base.dtype_for(torch, settings.dtype, device), device


def _speed(settings: steps.Settings, width: int) -> float:
    """Operations a second of one large multiplication, with the numbers and threads of the training."""
    import torch

    dtype, device = _computes(settings)
    with steps.own_torch(settings.threads, 0), torch.no_grad():
        a, b = (torch.ones(*shape, dtype=getattr(torch, dtype), device=device)
                for shape in ((256, width), (width, 4 * width)))
        times: list[float] = []
        for _ in range(6):
            start = time.perf_counter()
            _done(a @ b)
            times.append(time.perf_counter() - start)
    return 2 * 256 * width * 4 * width / statistics.median(times[1:])


def _done(made: Any) -> None:
    """Wait for a card: it answers before it has multiplied."""
    float(made[0, 0])
