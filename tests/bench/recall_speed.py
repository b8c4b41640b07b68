"""How fast the memory is as it grows: python -m tests.bench.recall_speed [PASSAGES ...] (1,000, 10,000 and 100,000).

For each size, in a process of its own: storing passages with their text index, the same ones again, their vectors (made
by a stand-in at once: what is timed is the store), the disk they take, and a query with all its legs (words, meaning,
neighbours, the filter on own words), its vector known. Then the first query of a fresh process, and what that process
weighs. At last how much of the bare embedder's speed is left when the memory calls it.

Passages are synthetic: words with Zipf's frequencies, 20 of them in the middle of a wide spread; vectors stand around
200 topics.
"""
from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
import tempfile
import time
import zlib
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path

import numpy as np

from twin.embedder import MiniLM
from twin.home import cache_dir
from twin.memory import Memory
from twin.types import Message, Scope

QUERIES = 200
DIM = 384
_LETTERS = ("bcdfghklmnprstvz", "aeiou", "бвгдзклмнпрст", "аеиоу")


class Topics:
    """A stand-in embedder: a text's vector is its topic's, and some noise; both follow from the text alone."""

    id, dim = "topics", DIM

    def __init__(self) -> None:
        self.centres = np.random.default_rng(5).standard_normal((200, DIM)).astype(np.float32)

    def embed(self, texts: Sequence[str]) -> list[list[float]]:
        found = np.empty((len(texts), DIM), np.float32)
        for row, text in enumerate(texts):
            seed = zlib.crc32(text.encode())
            found[row] = 0.8 * self.centres[seed % 200] + 0.6 * np.random.default_rng(seed).standard_normal(DIM)
        unit: list[list[float]] = (found / np.linalg.norm(found, axis=1, keepdims=True)).tolist()
        return unit


@cache
def vocabulary(size: int = 50_000) -> list[str]:
    """Made-up words, two of three in Latin letters, the rest in Cyrillic."""
    random, found = np.random.default_rng(1), dict[str, None]()
    while len(found) < size:
        hard, soft = _LETTERS[:2] if random.random() < 2 / 3 else _LETTERS[2:]
        found["".join(random.choice(list(kind)) for _ in range(random.integers(2, 5)) for kind in (hard, soft))] = None
    return list(found)


def texts(number: int, seed: int, middle: float, spread: float) -> Iterator[str]:
    random, known = np.random.default_rng(seed), np.array(vocabulary())
    chance = 1 / (np.arange(len(known)) + 2.7)
    lengths = np.clip(random.lognormal(np.log(middle), spread, number).astype(int), 2, 140)
    drawn = random.choice(len(known), lengths.sum(), p=chance / chance.sum())
    for part in np.split(drawn, np.cumsum(lengths)[:-1]):
        yield " ".join(known[part])


def messages(number: int) -> Iterator[tuple[str, Message]]:
    start = datetime(2015, 1, 1, tzinfo=UTC)
    for i, text in enumerate(texts(number, 2, 20, 0.7)):
        yield f"c{i // 50}", Message(f"m{i}", "user" if i % 2 else "assistant", text, None,
                                     start + timedelta(minutes=50 * i), source="chatgpt" if i % 3 else "telegram")


def timed(act: Callable[[], object]) -> float:
    start = time.perf_counter()
    act()
    return time.perf_counter() - start


def one(size: int, folder: Path) -> dict[str, float]:
    vocabulary()
    items = list(messages(size))
    memory, figures = Memory(folder, Topics()), dict[str, float]()
    before = _rss()
    figures["add s"] = timed(lambda: memory.add(items, vectors=False))
    figures["again s"] = timed(lambda: memory.add(items, vectors=False))
    figures["RSS MB"], figures["of it before"] = _rss(), before
    figures["vectors s"] = timed(memory.embed_missing)
    figures["disk MB"] = sum(file.stat().st_size for file in folder.rglob("*") if file.is_file()) / 1e6
    asked = list(texts(QUERIES, 3, 5, 0.5))
    known = dict(zip(asked, Topics().embed(asked), strict=True))
    memory.embedder = Known(known)
    for name, scope in (("own", Scope(own=True)), ("everything", Scope()),
                        ("tags and time", Scope(tags=("telegram",), since=datetime(2015, 2, 1, tzinfo=UTC)))):
        memory.recall(asked[0], scope=scope)
        took = [1000 * timed(lambda query=query, scope=scope: memory.recall(query, scope=scope)) for query in asked]
        figures[f"{name}: median ms"], figures["p95"] = np.median(took), np.quantile(took, 0.95)
        figures[f"{name}: p95 ms"] = figures.pop("p95")
    figures["forget s"] = timed(lambda: memory.forget([("c0", "m0")]))
    return figures


class Known(Topics):
    """Gives the vectors of queries that were made before."""

    def __init__(self, vectors: dict[str, list[float]]) -> None:
        self.vectors = vectors

    def embed(self, texts: Sequence[str]) -> list[list[float]]:
        return [self.vectors[text] for text in texts]


def cold(folder: Path) -> dict[str, float]:
    """The first query of a process, with what must be loaded for it."""
    query = next(texts(1, 4, 5, 0.5))
    memory, before = Memory(folder, Known({query: Topics().embed([query])[0]})), _rss()
    return {"first query s": timed(lambda: memory.recall(query, own=True)), "RSS MB": _rss(), "of it before": before}


def throughput(number: int = 1500) -> None:
    """Passages a second that get a vector through the memory, beside the network alone on the same texts."""
    embedder = MiniLM(cache_dir() / "models" / "minilm")
    items = [(conversation, message) for conversation, message in messages(number)]
    said = [message.text for _, message in items]
    embedder.embed(said[:64])
    with tempfile.TemporaryDirectory() as folder:
        memory = Memory(Path(folder), embedder)
        memory.add(items, vectors=False)
        bare: list[float] = []
        through: list[float] = []
        third = number // 3
        for start in range(0, 3 * third, third):  # in turns, because a machine's speed drifts
            bare.append(timed(lambda start=start: embedder.embed(said[start:start + third])))
            through.append(timed(lambda: memory.embed_missing(limit=third)))
    print(f"embedding: bare {number / sum(bare):.0f} passages/s, through the memory {number / sum(through):.0f}, "
          f"ratio {sum(bare) / sum(through):.3f}", flush=True)


def _rss() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def _apart(*arguments: str) -> dict[str, float]:
    done = subprocess.run([sys.executable, "-m", "tests.bench.recall_speed", *arguments], capture_output=True,
                          text=True, check=True)
    found: dict[str, float] = json.loads(done.stdout)
    return found


def main(sizes: list[int]) -> None:
    for size in sizes:
        with tempfile.TemporaryDirectory() as folder:
            for title, arguments in ((f"{size:,} passages", ("--one", str(size), folder)), ("  fresh process",
                                                                                              ("--cold", folder))):
                figures = _apart(*arguments)
                print(f"{title}: " + "  ".join(f"{name} {value:.1f}" for name, value in figures.items()), flush=True)
    throughput()


if __name__ == "__main__":
    os.environ.setdefault("LANCEDB_LOG", "error")
    if sys.argv[1:2] == ["--one"]:
        print(json.dumps(one(int(sys.argv[2]), Path(sys.argv[3]))))
    elif sys.argv[1:2] == ["--cold"]:
        print(json.dumps(cold(Path(sys.argv[2]))))
    else:
        main([int(size) for size in sys.argv[1:]] or [1_000, 10_000, 100_000])
