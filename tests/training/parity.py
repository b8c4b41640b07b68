"""The same tokens read by torch and by llama.cpp, with and without an adapter."""
from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tests.engine import cold
from tests.engine.cold import asked, distance
from twin import gguf_file
from twin.engine.llama import LlamaEngine
from twin.gguf_file import Tensor, Value
from twin.training import lora
from twin.training.base import Base, causal
from twin.types import Adapter

Logits = NDArray[np.float32]
MORE = list(b"On the first warm day of May, or so.")


@contextmanager
def opened(path: Path) -> Iterator[LlamaEngine]:
    """One thread each: two that wait for each other on a busy machine take a hundred times as long."""
    import torch

    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        with cold.opened(path, n_threads=1) as engine:
            yield engine
    finally:
        torch.set_num_threads(threads)


def cut(engine: LlamaEngine) -> tuple[list[int], list[int]]:
    """The tokens of the prompt that `by_llama` reads: shared prefix, tail."""
    plan = engine.plan(asked(), 1)
    return plan.prefix, [*plan.head, *plan.tail]


def ids(engine: LlamaEngine) -> list[int]:
    """All tokens of that prompt."""
    prefix, tail = cut(engine)
    return [*prefix, *tail]


def by_llama(engine: LlamaEngine, *adapters: Adapter) -> Logits:
    """Logits (1 + len(MORE), vocabulary) after the prompt and after each token of MORE."""
    return np.stack(engine._logits(replace(asked(), adapters=adapters), MORE))


def by_torch(model: Any, prompt: Sequence[int], more: Sequence[int] = MORE) -> Logits:
    """The same, everything read with the adapter that is on."""
    import torch

    with torch.no_grad():
        logits = model(torch.tensor([[*prompt, *more]]), use_cache=False).logits
    found: Logits = logits[0, len(prompt) - 1:].float().numpy()
    return found


def tail_by_torch(model: Any, prefix: Sequence[int], tail: Sequence[int]) -> Logits:
    """The same, the prefix read with the adapter off and the tail with it on: how an activated one is used."""
    import torch
    from transformers import DynamicCache

    cache, net = DynamicCache(), causal(model)
    with torch.no_grad():
        with model.disable_adapter():
            net(torch.tensor([prefix]), past_key_values=cache)
        logits = net(torch.tensor([[*tail, *MORE]]), past_key_values=cache).logits
    found: Logits = logits[0, len(tail) - 1:].float().numpy()
    return found


def stir(model: Any, strength: float = 0.3, seed: int = 1) -> Any:
    """Give every B random numbers, so that the adapter does something."""
    import torch

    chance = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for _, module in lora._layers(model):
            module.lora_B["default"].weight.normal_(0, strength, generator=chance)
    return model


def difference(path: Path) -> float:
    """Largest difference of a logit between torch and llama.cpp over one file, without an adapter."""
    base = Base.load(path, dtype="float32")
    with opened(path) as engine:
        return distance(by_torch(base.model, ids(engine)), by_llama(engine))


def changed(path: Path, values: dict[str, Value], tensors: Sequence[Tensor] = (), without: str = "-") -> Path:
    """A core with more in its header and more tensors, or without those whose name begins so: what nobody writes."""
    head = gguf_file.header(path)
    content = path.read_bytes()
    places = [*head.tensors]
    ends = [place.offset for place in places[1:]] + [len(content)]
    kept = [Tensor(place.name, place.type, place.shape, content[place.offset:end])
            for place, end in zip(places, ends, strict=True) if not place.name.startswith(without)]
    other = path.with_name(f"{len([*path.parent.iterdir()])}-{path.name}")
    with other.open("wb") as file:
        gguf_file.write(file, {**head.values, **values}, [*kept, *tensors])
    return other
