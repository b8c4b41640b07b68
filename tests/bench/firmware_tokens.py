"""How soon a core is ready to answer when its constant prefix is loaded instead of read.

    python -m tests.bench.firmware_tokens [MODEL] [--repeats N]

Every measurement is made in a context that was just opened (one token read, so that llama.cpp has its buffers), of the
same files in the system's cache, in turn with the others. ready: until the first token of an answer can be drawn, with
all that stands after the prefix read too; `read` reads the prefix, `load` loads the exported state (`tokens.load`: the
JSON, sha256 over all bytes, the cells). alone: the state without what follows, beside llama.cpp's own
`llama_state_seq_load_file`, which checks nothing, and beside the limit: to read the bytes, and to hash them. Nothing
else may run beside it.
"""
from __future__ import annotations

import argparse
import ctypes
import hashlib
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from statistics import median
from typing import Any

from tests.exporters.material import material
from twin import prompt, roles
from twin.catalog import Catalog
from twin.engine import library
from twin.engine.llama import LlamaEngine
from twin.engine.weights import BASE
from twin.exporters import FORMATS, Material, tokens
from twin.types import Prompt, Sampling, Segment

PREFIXES, N_CTX, AIM = (500, 2000), 4096, 20.0
QUESTION = "What do I do first?"
DAY = "On day {} the bed by the wall got {} litres at dawn, and the {} row stayed dry until it rained. "

Measure = Callable[[], float]


# ---- what is measured ----------------------------------------------------------------------------------------------

@contextmanager
def fresh(path: Path, sha256: str) -> Iterator[LlamaEngine]:
    """A core in a context in which nothing was read but one token."""
    engine = LlamaEngine(path, n_ctx=N_CTX, trusted=True, sha256=sha256)
    try:
        engine.prepare(Prompt((Segment("a", "question"),), (Segment("a", "answer"),)))
        engine.forget()
        yield engine
    finally:
        engine.close()


def core_of(engine: LlamaEngine, length: int) -> Material:
    """A core whose constant part has at most `length` tokens, and hardly fewer."""
    words: list[str] = []
    some = material(engine=lambda: engine)
    about = prompt.digest(some.profile)
    while len(tokens.constant(engine, "".join(words), about)) <= length:
        i = len(words)
        words.append(DAY.format(i, i * 7 % 31, ("first", "second", "third")[i % 3]))
    return replace(some, constitution="".join(words[:-1]).strip())


def asked(engine: LlamaEngine, core: Material, header: str) -> Prompt:
    """A short question under a header, as chat renders it."""
    return prompt.render(family=engine.family, question=QUESTION, header=header, budget=engine.n_ctx - 16,
                         count=lambda piece: len(engine.tokenize(piece)), constitution=core.constitution,
                         about=prompt.digest(core.profile))


def first_token(engine: LlamaEngine, wanted: Prompt) -> int:
    """The likeliest first token of the answer, and everything before it read."""
    last = list(engine.stream(wanted, Sampling(temperature=0.0, repeat_penalty=1.0, max_tokens=1)))[-1]
    return last.written.ids[0] if last.written else -1


def by_llama_cpp(engine: LlamaEngine, file: Path, length: int) -> None:
    """The obvious alternative: llama.cpp's own file of a sequence."""
    lib, lane = library.llama(), engine.lanes._new(BASE)
    ids, found = (lib.llama_token * length)(), ctypes.c_size_t()
    assert lib.llama_state_seq_load_file(engine.lanes.ctx, str(file).encode(), lane.seq, ids, length,
                                         ctypes.byref(found))
    lane.tokens = list(ids[:found.value])


def saved_by_llama_cpp(engine: LlamaEngine, folder: Path, ids: Sequence[int]) -> Path:
    """The same cells as the export, as llama.cpp writes them."""
    lib, file = library.llama(), folder / "llama.state"
    tokens.load(folder, engine)
    lane, _ = engine.lanes.nearest(BASE, ids)
    assert lane is not None
    assert lib.llama_state_seq_save_file(engine.lanes.ctx, str(file).encode(), lane.seq,
                                         (lib.llama_token * len(ids))(*ids), len(ids))
    return file


# ---- measuring -----------------------------------------------------------------------------------------------------

def timed(work: Callable[[], Any]) -> float:
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


def in_turn(repeats: int, measures: dict[str, Measure]) -> dict[str, list[float]]:
    """Seconds by name, taken A, B, A, B ...; a first round only warms caches."""
    rounds = [{name: measure() for name, measure in measures.items()} for _ in range(repeats + 1)][1:]
    return {name: [one[name] for one in rounds] for name in measures}


def ratio(over: Sequence[float], under: Sequence[float]) -> str:
    """Median, smallest and largest of the ratios of pairs."""
    pairs = [one / other for one, other in zip(over, under, strict=True)]
    return f"{median(pairs):6.1f} [{min(pairs):.1f}..{max(pairs):.1f}]"


def measure(path: Path, sha256: str, length: int, repeats: int) -> None:
    """The lines of one length of the constant part."""
    with tempfile.TemporaryDirectory() as name, fresh(path, sha256) as engine:
        folder, core = Path(name), core_of(engine, length)
        for file, content in FORMATS["tokens"](core).files.items():
            assert not isinstance(content, Path)
            (folder / file).write_bytes(content.encode() if isinstance(content, str) else content)
        ids = tokens.constant(engine, core.constitution, prompt.digest(core.profile))
        theirs, state = saved_by_llama_cpp(engine, folder, ids), folder / "constant.kv"
        headers = {"opening alone": "", "critic": roles.header(core.role_map.role("critic"), "en")}
        prompts = {how: asked(engine, core, header) for how, header in headers.items()}
        for how, wanted in prompts.items():
            rest = engine.plan(wanted, 1).length - len(ids)
            ready(path, sha256, folder, theirs, wanted, f"{len(ids):6} {how:>14} {rest:6}", len(ids), repeats)

        def inside(work: Callable[[LlamaEngine], Any]) -> float:
            with fresh(path, sha256) as engine:
                return timed(lambda: work(engine))

        content, room = state.read_bytes(), bytearray(state.stat().st_size)

        def copied() -> None:
            with state.open("rb") as file:
                file.readinto(room)

        found = in_turn(repeats, {
            "load": lambda: inside(lambda engine: tokens.load(folder, engine)),
            "theirs": lambda: inside(lambda engine: by_llama_cpp(engine, theirs, len(ids))),
            "bytes": lambda: timed(copied), "sha256": lambda: timed(lambda: hashlib.sha256(content).digest())})
    load, other, copy, hashed = (median(found[name]) for name in ("load", "theirs", "bytes", "sha256"))
    print(f"{len(ids):6}          alone        {len(content) / 1e6:9.1f} MB   load {load:.4f} s   "
          f"llama_state_seq_load_file {other:.4f} s   limit {copy:.4f} s to read, {hashed:.4f} s to hash; "
          f"load/limit {load / (copy + hashed):.2f}", flush=True)


def ready(path: Path, sha256: str, folder: Path, theirs: Path, wanted: Prompt, head: str, length: int,
          repeats: int) -> None:
    """One line: until the first token can be drawn, read and loaded."""
    drawn: list[int] = []

    def way(load: Callable[[LlamaEngine], Any]) -> float:
        with fresh(path, sha256) as engine:
            began = time.perf_counter()
            load(engine)
            drawn.append(first_token(engine, wanted))
            return time.perf_counter() - began

    found = in_turn(repeats, {"read": lambda: way(lambda _: None),
                              "load": lambda: way(lambda engine: tokens.load(folder, engine)),
                              "theirs": lambda: way(lambda engine: by_llama_cpp(engine, theirs, length))})
    assert len(set(drawn)) == 1, "whatever the way, the first token is the same"
    read, load, other = (median(found[name]) for name in ("read", "load", "theirs"))
    print(f"{head} {read:9.3f} s {load:9.4f} s {ratio(found['read'], found['load']):24} {other:9.4f} s "
          f"{ratio(found['read'], found['theirs']):24}", flush=True)


def main() -> None:
    """Print the table for one core."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0] if __doc__ else "")
    parser.add_argument("model", nargs="?", default="smollm2-135m")
    parser.add_argument("--repeats", type=int, default=5)
    told = parser.parse_args()
    path = Catalog().path(told.model)
    with path.open("rb") as file:
        sha256 = hashlib.file_digest(file, "sha256").hexdigest()
    print(f"{path.name}, context {N_CTX}; median of {told.repeats}; ratios of pairs, smallest and largest in brackets; "
          f"aim: read/load >= {AIM:.0f} at {PREFIXES[-1]}\n"
          f"{'prefix':>6} {'then':>14} {'tokens':>6} {'read':>11} {'load':>11} {'read/load':24} {'llama.cpp':>11} "
          f"read/llama.cpp")
    for length in PREFIXES:
        measure(path, sha256, length, told.repeats)


if __name__ == "__main__":
    main()
