"""The loop: a batch, a step, now and then a look at what is held out; it can be stopped, killed and gone on with.

Which batch a step learns from follows from seed and step alone, so going on gives what an uninterrupted run gives. The
weights that foresee the held-out words best are kept, not the last ones. Knows nothing of people, files of models or
adapters' formats.
"""
from __future__ import annotations

import math
import re
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from twin.errors import ModelError, UsageError
from twin.training import batches, checkpoint
from twin.types import Progress, never

if TYPE_CHECKING:
    from twin.training.lora import Shape
    from twin.training.tokens import Encoded

_WARMUP, _FLOOR = 0.05, 0.1  # shares: of the steps at a rising rate; of the rate that is left at the end
_CLIP = 1.0  # norm of all gradients together
_UNUSABLE = 3  # steps in a row without a finite loss: then the rate is too high, not the batch odd


@dataclass(frozen=True)
class Settings:
    """How to train. `rate` is AdamW's after the warm-up; `patience` counts evaluations without a new best; 0 means
    never for `evaluate_every` and `checkpoint_every`, and "as torch has it" for `threads`. Raises UsageError."""

    steps: int = 300
    rate: float = 5e-4
    batch: int = 8
    seed: int = 0
    evaluate_every: int = 25
    evaluate_on: int = 64
    patience: int = 4
    max_tokens: int = 512
    checkpoint_every: int = 50
    dtype: str = "auto"
    device: str = "auto"
    threads: int = 0

    def __post_init__(self) -> None:
        least = {"steps": 1, "batch": 1, "evaluate_on": 1, "patience": 1, "max_tokens": 2, "evaluate_every": 0,
                 "checkpoint_every": 0, "threads": 0}
        wrong = [f"--{name.replace('_', '-')} {getattr(self, name)} (at least {value})" for name, value in least.items()
                 if getattr(self, name) < value]
        if not 0 < self.rate < math.inf:
            wrong.append(f"--rate {self.rate} (above 0)")
        if not 0 <= self.seed < 1 << 63:
            wrong.append(f"--seed {self.seed} (from 0 to 2^63 - 1)")
        if not re.fullmatch(r"auto|cpu|cuda(:\d+)?", self.device):
            wrong.append(f"--device {self.device!r} (auto, cpu or cuda)")
        if wrong:
            raise UsageError(f"These settings cannot be trained with: {', '.join(wrong)}.", "Name others.")


@dataclass(frozen=True)
class Step:
    """What one step did. `loss`: nats a learned token of its batch, before the step; None where only a look was taken,
    as at step 0, and where it was not finite, so that nothing was learned. `held_bits`: bits a character of the
    held-out words after it, where they were looked at. `left`: seconds still needed at most, as far as can be told."""

    step: int
    loss: float | None
    held_bits: float | None
    seconds: float
    left: float | None = None


def rate_at(step: int, settings: Settings) -> float:
    """Rate of a step, counted from 0: a straight rise, then half a cosine down to a tenth."""
    warm = max(1, round(settings.steps * _WARMUP))
    if step < warm:
        return settings.rate * (step + 1) / warm
    done = (step - warm) / max(1, settings.steps - warm)
    return settings.rate * (_FLOOR + (1 - _FLOOR) * (1 + math.cos(math.pi * done)) / 2)


def chosen(learn: Sequence[Encoded], held: Sequence[Encoded],
           settings: Settings) -> tuple[list[Encoded], list[Encoded]]:
    """What is learned and what it is measured by: those that are no longer than `max_tokens`, as a cut one would teach
    that answers break off; of the held-out ones at most `evaluate_on`, evenly through time. Raises UsageError where
    nothing is left."""
    fitting, measured = ([one for one in side if len(one.prefix) + len(one.tail) <= settings.max_tokens]
                         for side in (learn, held))
    if not fitting or not measured:
        raise UsageError(f"No sample to {'measure by' if fitting else 'learn from'} fits {settings.max_tokens} tokens.",
                         "Raise --max-tokens, or bring more own words.")
    return fitting, measured[::math.ceil(len(measured) / settings.evaluate_on)]


class Run:
    """One training; iterate it to train. `model` is the base with an adapter in it, of which only the adapter's weights
    require gradients; they are float32. `identity` says of what the run is one (base, data, settings): a checkpoint in
    `folder` with another one is refused, unless `fresh`. Cancelling ends the iteration after a checkpoint; `keep_best`
    then puts the best weights so far into the model. Raises UsageError, ModelError, HomeFull.
    """

    def __init__(self, model: Any, shape: Shape, learn: Sequence[Encoded], held: Sequence[Encoded],
                 settings: Settings, folder: Path, *, identity: Mapping[str, Any], cancel: Callable[[], bool] = never,
                 progress: Progress | None = None, fresh: bool = False) -> None:
        import torch

        self.settings, self.folder, self.identity = settings, folder, dict(identity)
        self.model, self._cancel, self._progress = model, cancel, progress or silent
        self.learn, self.held = chosen(learn, held, settings)
        self._losses = batches.Losses(model, shape.kind, [*self.learn, *self.held])
        self._weights = {name: weight for name, weight in model.named_parameters() if weight.requires_grad}
        self._adam = torch.optim.AdamW(self._weights.values(), lr=settings.rate)
        self._best = self._copy()
        self.step, self.curve, self.skipped, self._unusable = 0, list[tuple[int, float]](), 0, 0
        self._saved = 0
        self.seconds, self._timed = 0.0, [0, 0.0, 0, 0.0]  # steps and evaluations of this process, and their seconds
        checkpoint.sweep(folder)
        if fresh:
            checkpoint.clear(folder)
        elif saved := checkpoint.last(folder):
            self._go_on(saved)

    @property
    def before(self) -> float:
        """Bits a character of the held-out words without the adapter."""
        return self.curve[0][1]

    @property
    def best(self) -> tuple[int, float]:
        """The step with the fewest bits a character, and these; the first of several."""
        return min(self.curve, key=lambda point: (point[1], point[0]))

    @property
    def finished(self) -> bool:
        """All steps are done, or no evaluation brought a new best for as long as patience lasts."""
        if self._owes_a_look():
            return False
        waited = len(self.curve) - 1 - self.curve.index(self.best)
        return self.step >= self.settings.steps or waited >= self.settings.patience

    def __iter__(self) -> Iterator[Step]:
        try:
            if self._owes_a_look():
                bits, seconds = self._evaluated()
                if bits is not None:
                    yield Step(self.step, None, bits, seconds)
            while not (self._owes_a_look() or self.finished or self._cancel()):
                loss, seconds = self._learned()
                bits = self._evaluated()[0] if self._due(self.settings.evaluate_every) else None
                if self._due(self.settings.checkpoint_every):
                    self._save()
                self._progress("training", self.step, self.settings.steps)
                yield Step(self.step, loss, bits, seconds, self._left())
        except GeneratorExit:  # whoever iterates has seen enough; after any other error the weights are in doubt
            self._save()
            raise
        self._save()

    def keep_best(self) -> int:
        """Put the best weights so far into the model; the step they are from."""
        import torch

        with torch.no_grad():
            for name, weight in self._weights.items():
                weight.copy_(self._best[name])
        return self.best[0]

    def _due(self, every: int) -> bool:
        return self.step == self.settings.steps or (every > 0 and self.step % every == 0)

    def _owes_a_look(self) -> bool:
        """Whether this step's look at the held-out words is still to come: at first, or after it was cancelled."""
        return not self.curve or (self._due(self.settings.evaluate_every) and self.curve[-1][0] != self.step)

    def _learned(self) -> tuple[float | None, float]:
        """One step on the next batch."""
        import torch

        start = time.perf_counter()
        per_epoch = math.ceil(len(self.learn) / self.settings.batch)
        epoch, place = divmod(self.step, per_epoch)
        drawn = batches.order(self.learn, self.settings.batch, self.settings.seed, epoch)[place]
        with own_torch(self.settings.threads, hash((self.settings.seed, self.step))):
            self.model.train()
            self._adam.param_groups[0]["lr"] = rate_at(self.step, self.settings)
            nats, tokens = self._losses([self.learn[number] for number in drawn])
            loss = nats / tokens
            loss.backward()
            norm = torch.nn.utils.clip_grad_norm_(self._weights.values(), _CLIP)
            usable = bool(torch.isfinite(loss) and torch.isfinite(norm))
            if usable:
                self._adam.step()
            self._adam.zero_grad(set_to_none=True)
        self.step += 1
        self._count_unusable(usable)
        seconds = time.perf_counter() - start
        self._time(0, seconds)
        return float(loss.detach()) if usable else None, seconds

    def _count_unusable(self, usable: bool) -> None:
        self.skipped += not usable
        self._unusable = 0 if usable else self._unusable + 1
        if self._unusable >= _UNUSABLE:
            raise ModelError(f"The loss was no number {_UNUSABLE} steps in a row, at step {self.step}.",
                             f"Lower --rate ({self.settings.rate:g} now) and start anew with --fresh.")

    def _evaluated(self) -> tuple[float | None, float]:
        """Bits a character of the held-out words and the seconds it took; the weights are kept if they are the best.
        None when it was cancelled."""
        import torch

        start, nats = time.perf_counter(), 0.0
        groups = batches.by_length(self.held, self.settings.batch)
        with own_torch(self.settings.threads, 0), torch.no_grad():
            self.model.eval()
            for number, group in enumerate(groups):
                self._progress("held-out words", number, len(groups))
                if self._cancel():
                    return None, time.perf_counter() - start
                nats += float(self._losses(group)[0])
        bits = nats / math.log(2) / max(1, sum(sample.characters for sample in self.held))
        bits = bits if math.isfinite(bits) else math.inf
        self.curve.append((self.step, bits))
        if self.best[0] == self.step:
            self._best = self._copy()
        self._time(2, time.perf_counter() - start)
        return bits, time.perf_counter() - start

    def _time(self, place: int, seconds: float) -> None:
        self.seconds += seconds
        self._timed[place] += 1
        self._timed[place + 1] += seconds

    def _left(self) -> float | None:
        """Seconds that the steps and evaluations to come will need, by those of this process; None before two steps."""
        steps, stepping, looks, looking = self._timed
        if steps < 2:
            return None
        ahead = self.settings.steps - self.step
        evaluations = ahead / self.settings.evaluate_every if self.settings.evaluate_every else 1
        return ahead * stepping / steps + evaluations * looking / max(1, looks)

    def _copy(self) -> dict[str, Any]:
        return {name: weight.detach().clone() for name, weight in self._weights.items()}

    def _save(self) -> None:
        """Everything that going on needs, in one checkpoint; nothing when it is there."""
        if self._saved == self.step:
            return
        tensors: dict[str, Any] = {}
        for name, weight in self._weights.items():
            tensors |= {f"now.{name}": weight.detach(), f"best.{name}": self._best[name]}
            tensors |= {f"{key}.{name}": value for key, value in self._adam.state[weight].items()}
        checkpoint.save(self.folder, checkpoint.Saved(self.step, tensors, {
            "identity": self.identity, "curve": self.curve, "skipped": self.skipped, "unusable": self._unusable,
            "seconds": self.seconds}))
        self._saved = self.step

    def _go_on(self, saved: checkpoint.Saved) -> None:
        """Take up a checkpoint, or refuse it."""
        import torch

        theirs = saved.state["identity"]
        other = [key for key in {**theirs, **self.identity} if theirs.get(key) != self.identity.get(key)]
        if other:
            raise UsageError(f"{self.folder} holds a training of something else: " + "; ".join(
                f"{key} {_short(theirs.get(key))} there, {_short(self.identity.get(key))} here" for key in other) + ".",
                "Ask for the same to go on with it, name another folder, or start anew with --fresh.")
        self.step = self._saved = saved.step
        self.skipped, self._unusable = saved.state["skipped"], saved.state["unusable"]
        self.curve = [(step, bits) for step, bits in saved.state["curve"]]
        self.seconds = saved.state["seconds"]
        with torch.no_grad():
            for name, weight in self._weights.items():
                weight.copy_(saved.tensors[f"now.{name}"])
                self._best[name].copy_(saved.tensors[f"best.{name}"])
                kept = {key: saved.tensors[f"{key}.{name}"] for key in ("step", "exp_avg", "exp_avg_sq")
                        if f"{key}.{name}" in saved.tensors}  # none where all steps so far were skipped
                if kept:
                    self._adam.state[weight] = {key: value if key == "step" else value.to(weight.device)
                                                for key, value in kept.items()}


@contextmanager
def own_torch(threads: int, seed: int) -> Iterator[None]:
    """torch as a run needs it (gradients, float32 by default, its threads, its random numbers), and then as it was."""
    import torch

    kept = torch.get_num_threads(), torch.get_default_dtype(), torch.get_rng_state()
    cuda = torch.cuda.get_rng_state_all() if torch.cuda.is_available() else []
    try:
        torch.set_num_threads(threads or kept[0])
        torch.set_default_dtype(torch.float32)
        torch.manual_seed(seed)
        with torch.enable_grad():
            yield
    finally:
        torch.set_num_threads(kept[0])
        torch.set_default_dtype(kept[1])
        torch.set_rng_state(kept[2])
        if cuda:
            torch.cuda.set_rng_state_all(cuda)


def _short(value: object) -> str:
    return "-" if value is None else str(value)[:12]


def silent(_what: str, _done: int, _total: int | None) -> None:
    """The progress of those who watch none."""
