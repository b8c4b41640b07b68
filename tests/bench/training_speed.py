"""Our loop against the plain peft loop: python -m tests.bench.training_speed [MODEL] [--steps N] [--batch N] ...

Both learn from the same batches of the same synthetic samples with the same adapter, optimiser and clipping, each in a
child process of its own, for its peak memory; they take turns step by step, so that what else the machine does hits
both. The plain loop reads the whole prompt with gradient, right-padded, and projects every token on the vocabulary.
What is compared is the loop: both begin with the same weights, loaded the same way.
"""
from __future__ import annotations

import argparse
import json
import random
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from twin.catalog import Catalog
from twin.training import batches, peak_bytes, steps
from twin.training.base import Base, head
from twin.training.lora import Shape, put_in
from twin.training.tokens import Encoded

COMMON, CONTEXT, HEADER, ANSWER = 60, (10, 70), 24, (8, 60)  # tokens: constitution, what was said before, role, answer
WARM = 2  # first steps of each, which also make their buffers (and ours its first look at what is held out)


def samples(n: int, vocabulary: int) -> list[Encoded]:
    """Random tokens in the form of a chat: it is time and memory that are measured here."""
    chance = random.Random(0)  # noqa: S311  # reproducible, not secret

    def draw(k: int) -> tuple[int, ...]:
        return tuple(chance.randrange(vocabulary) for _ in range(k))

    common = draw(COMMON)
    made = []
    for _ in range(n):
        answer = draw(chance.randint(*ANSWER))
        made.append(Encoded(common + draw(chance.randint(*CONTEXT)), draw(HEADER) + answer,
                            (False,) * HEADER + (True,) * len(answer), 4 * len(answer)))
    return made


def ours(model: Any, shape: Shape, learn: list[Encoded], settings: steps.Settings, folder: Path) -> Iterator[int]:
    """The product's loop, as it is. Yields the learned tokens of each step, counted at the projection."""
    seen: list[int] = []
    head(model).register_forward_hook(lambda _module, given, _out: seen.append(given[0].shape[0]))
    for step in steps.Run(model, shape, learn, learn[:settings.batch], settings, folder, identity={}):
        if step.step:
            yield seen[-1]


def plain(model: Any, shape: Shape, learn: list[Encoded], settings: steps.Settings, _folder: Path) -> Iterator[int]:
    """What a tutorial writes."""
    import torch

    weights = [weight for weight in model.parameters() if weight.requires_grad]
    adam, device = torch.optim.AdamW(weights, lr=settings.rate), weights[0].device
    model.train()
    for chosen in batches.order(learn, settings.batch, settings.seed, 0):
        rows = [(learn[place].prefix + learn[place].tail, learn[place]) for place in chosen]
        width = max(len(row) for row, _ in rows)
        tokens = torch.tensor([[*row, *[0] * (width - len(row))] for row, _ in rows], device=device)
        mask = torch.tensor([[1] * len(row) + [0] * (width - len(row)) for row, _ in rows], device=device)
        labels = torch.tensor([[*[-100] * len(sample.prefix), *(token if yes else -100 for token, yes in zip(
            sample.tail, sample.learned, strict=True)), *[-100] * (width - len(row))] for row, sample in rows],
            device=device)
        model(input_ids=tokens, attention_mask=mask, labels=labels).loss.backward()
        torch.nn.utils.clip_grad_norm_(weights, 1.0)
        adam.step()
        adam.zero_grad(set_to_none=True)
        yield int((labels[:, 1:] != -100).sum())


LOOPS: dict[str, Callable[..., Iterator[int]]] = {"ours": ours, "plain": plain}


def child(name: str, asked: argparse.Namespace) -> None:
    """Make a step for every line that comes in, and print what it took."""
    import torch

    torch.set_num_threads(asked.threads or torch.get_num_threads())
    base = Base.load(Catalog().path(asked.model), dtype=asked.dtype, device=asked.device)
    shape = Shape(kind="lora" if name == "plain" else "alora", rank=asked.rank)
    loaded = peak_bytes()
    # One more than is asked for: after its last step a run measures and saves.
    settings = steps.Settings(steps=asked.steps + WARM + 1, batch=asked.batch, evaluate_every=0, checkpoint_every=0)
    learn = samples(settings.steps * asked.batch, base.model.config.vocab_size)
    with tempfile.TemporaryDirectory() as folder:
        loop = LOOPS[name](put_in(base, shape, 0), shape, learn, settings, Path(folder))
        for _ in sys.stdin:
            start = time.perf_counter()
            learned = next(loop)
            if base.device != "cpu":
                torch.cuda.synchronize()
            print(json.dumps({"seconds": time.perf_counter() - start, "learned": learned, "loaded": loaded,
                              "peak": peak_bytes(), "dtype": base.dtype, "device": base.device}), flush=True)


def main(*words: str) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", nargs="?", default="smollm2-135m")
    for name, default in (("steps", 20), ("batch", 8), ("rank", 8), ("threads", 0)):
        parser.add_argument(f"--{name}", type=int, default=default)
    parser.add_argument("--dtype", default="auto")
    parser.add_argument("--device", default="auto")
    parser.add_argument("--child", choices=sorted(LOOPS), help=argparse.SUPPRESS)
    asked = parser.parse_args(words)
    if asked.child:
        child(asked.child, asked)
        return
    running = {name: subprocess.Popen([sys.executable, "-m", "tests.bench.training_speed", *words, "--child", name],
                                      stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) for name in LOOPS}
    said: dict[str, list[dict[str, Any]]] = {name: [] for name in LOOPS}
    for turn in range(WARM + asked.steps):
        for name, process in running.items():
            assert process.stdin and process.stdout
            process.stdin.write("\n")
            process.stdin.flush()
            step = json.loads(process.stdout.readline())
            if turn >= WARM:
                said[name].append(step)
    for process in running.values():
        process.communicate()
    _print(asked, said)


def _print(asked: argparse.Namespace, said: dict[str, list[dict[str, Any]]]) -> None:
    first = said["ours"][0]
    assert [step["learned"] for step in said["ours"]] == [step["learned"] for step in said["plain"]]
    print(f"{asked.model}, {first['dtype']} on {first['device']}, batch {asked.batch}, rank {asked.rank}, "
          f"{asked.steps} steps, {statistics.mean(step['learned'] for step in said['ours']):.0f} learned tokens a step")
    for name, each in said.items():
        seconds, peak = [step["seconds"] for step in each], each[-1]["peak"]
        print(f"  {name:5}  {1 / statistics.mean(seconds):7.3f} steps/s  median {statistics.median(seconds):.3f} s"
              f"  peak {peak[0] / 1e9:.2f} GB (loaded {each[0]['loaded'][0] / 1e9:.2f}), CUDA {peak[1] / 1e9:.2f} GB")
    ratios = [theirs["seconds"] / own["seconds"] for own, theirs in zip(said["ours"], said["plain"], strict=True)]
    total = sum(step["seconds"] for step in said["plain"]) / sum(step["seconds"] for step in said["ours"])
    print(f"  ours is {total:.2f} times as fast as the plain peft loop ({min(ratios):.2f}-{max(ratios):.2f} by step)")


if __name__ == "__main__":
    main(*sys.argv[1:])
