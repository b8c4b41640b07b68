"""What everything shared is measured against: the same tokens read by the same weights in a context of their own."""
from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from twin.engine.lanes import Row
from twin.engine.llama import LlamaEngine
from twin.placement import Placement
from twin.prompt import plain
from twin.types import Piece, Prompt, Sampling

GREEDY = Sampling(temperature=0.0, max_tokens=12, repeat_penalty=1.0)
HISTORY = [("system", "You help with gardens. " * 6), ("user", "When do I sow beans?")]


def asked(last: str = "Answer as the critic.", history: Sequence[tuple[str, str]] = HISTORY) -> Prompt:
    """A prompt whose prefix is the history and whose tail is an instruction."""
    return plain("chatml", history, last)


def said(engine: LlamaEngine, prompt: Prompt, sampling: Sampling = GREEDY) -> tuple[list[int], Piece]:
    """The token ids of an answer, and its last piece."""
    last = list(engine.stream(prompt, sampling))[-1]
    return list(last.written.ids if last.written else ()), last


@contextmanager
def opened(path: Path, **settings: Any) -> Iterator[LlamaEngine]:
    """An engine for a while; with a cache in F32 unless told otherwise, for F16 rounds the differences that count."""
    settings = {"n_ctx": 1024, "placement": Placement(kv_type="f32"), **settings}
    engine = LlamaEngine(path, trusted=True, **settings)
    try:
        yield engine
    finally:
        engine.close()


def logits(engine: LlamaEngine, prompt: Prompt) -> NDArray[np.float32]:
    """Logits (n_vocab,) after a prompt, the way the engine reads it now."""
    return engine._logits(prompt, [])[0]


def cold_logits(engine: LlamaEngine, prompt: Prompt, cuts: Sequence[int] = ()) -> NDArray[np.float32]:
    """The same from an empty context, read in batches that end at `cuts`; by default where the engine ends them."""
    lanes = engine.lanes
    lanes.forget()
    plan = engine.plan(prompt, 1)
    lane = lanes._new(plan.first)
    tokens = [*plan.prefix, *plan.head, *plan.tail]
    edges = sorted({*(cuts or (len(plan.prefix), len(plan.prefix) + len(plan.head))), len(tokens)} - {0})
    for start, end in zip([0, *edges], edges, strict=False):
        under = plan.first if end <= len(plan.prefix) + len(plan.head) else plan.then
        if end < len(tokens):
            lanes.read(lane, tokens[start:end], under)
    last = tokens[start:]
    lanes.decode([Row(lane, token, i == len(last) - 1) for i, token in enumerate(last)], under)
    found = engine.logits(len(last) - 1).copy()
    lanes.drop(lane)
    return found


def distance(one: NDArray[np.float32], other: NDArray[np.float32]) -> float:
    """The largest difference of any logit."""
    return float(np.abs(one - other).max())
