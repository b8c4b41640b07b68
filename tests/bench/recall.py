"""How well the memory recalls, beside its baselines: python tests/bench/recall.py FOLDER [MODEL_FOLDER].

FOLDER holds what is there of locomo-dev.json, prefeval-dev.json and ru-first-person-dev.txt (public sets with licences
of their own, not in this repository). Prints message recall at 5 and 10 on LoCoMo (questions of categories 1-4), hit at
10 on PrefEval (all preferences in one pool), hit at 1, 5 and 10 on first-person facts in Russian (questions that begin
with an interrogative), and milliseconds of a query at 10,000 passages. Intervals are bootstrapped over questions.
"""
from __future__ import annotations

import json
import math
import random
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import numpy as np

from twin.embedder import MiniLM
from twin.home import cache_dir
from twin.memory import Memory
from twin.text import stems, words
from twin.types import Message

ASKING = frozenset(words("""кто что чего чему чем где куда откуда когда как какой какая какие какое каких какого каком
    какую кого кому кем чей сколько почему зачем"""))


@dataclass(frozen=True)
class Pool:
    """Messages that are searched together, and questions with the ids that answer them."""

    items: list[tuple[str, Message]]
    questions: list[tuple[str, frozenset[str]]]


def locomo(path: Path) -> list[Pool]:
    """One pool a dialogue; a session is a conversation."""
    pools = []
    for dialogue in json.loads(path.read_text("utf-8")):
        talk, items, session = dialogue["conversation"], [], 1
        while f"session_{session}" in talk:
            when = datetime.strptime(talk[f"session_{session}_date_time"], "%I:%M %p on %d %B, %Y").replace(tzinfo=UTC)
            items += [(f"session {session}", Message(said["dia_id"], "user", said["text"], said["speaker"], when))
                      for said in talk[f"session_{session}"]]
            session += 1
        pools.append(Pool(items, [(qa["question"], frozenset(qa["evidence"])) for qa in dialogue["qa"]
                                  if qa["category"] in (1, 2, 3, 4) and qa["evidence"]]))
    return pools


def prefeval(path: Path) -> list[Pool]:
    pairs = [(pair["preference"], pair["question"]) for topic in json.loads(path.read_text("utf-8")).values()
             for pair in topic]
    return [Pool([(f"c{i}", Message(str(i), "user", said)) for i, (said, _) in enumerate(pairs)],
                 [(asked, frozenset([str(i)])) for i, (_, asked) in enumerate(pairs)])]


def russian_facts(path: Path) -> list[Pool]:
    """Up to 2,000 facts, each with its first question that begins with an interrogative."""
    facts: dict[str, str] = {}
    for block in path.read_text("utf-8").split("\n\n"):
        lines = {line[0]: line[3:].strip() for line in block.splitlines() if line[1:2] == ":"}
        if "T" in lines and "Q" in lines and words(lines["Q"])[:1] and words(lines["Q"])[0] in ASKING:
            facts.setdefault(lines["T"], lines["Q"])
    chosen = random.Random(0).sample(sorted(facts), min(2000, len(facts)))  # noqa: S311 a sample, not a secret
    return [Pool([(f"c{i}", Message(str(i), "user", fact)) for i, fact in enumerate(chosen)],
                 [(facts[fact], frozenset([str(i)])) for i, fact in enumerate(chosen)])]


Ranker = Callable[[str], list[str]]


def bm25(pool: Pool) -> Callable[[str], np.ndarray]:
    """Textbook BM25 over stems of every word, speaker's name included (k1 1.2, b 0.75)."""
    texts = [Counter(stems(f"{message.author or ''} {message.text}")) for _, message in pool.items]
    lengths = np.array([text.total() for text in texts], float)
    norm = 1.2 * (0.25 + 0.75 * lengths / lengths.mean())

    def scores(query: str) -> np.ndarray:
        total = np.zeros(len(texts))
        for word in set(stems(query)):
            tf = np.array([text[word] for text in texts], float)
            df = int((tf > 0).sum())
            total += math.log(1 + (len(texts) - df + 0.5) / (df + 0.5)) * tf * 2.2 / (tf + norm)
        return total
    return scores


def rankers(pool: Pool, embedder: MiniLM, folder: Path) -> Iterator[tuple[str, Ranker]]:
    ids = [message.id for _, message in pool.items]
    said = [f"{message.author}: {message.text}" if message.author else message.text for _, message in pool.items]
    vectors, by_words = np.array(embedder.embed(said)), bm25(pool)

    def first(scores: np.ndarray) -> list[str]:
        return [ids[i] for i in np.argsort(-scores, kind="stable")[:10]]

    def near(query: str) -> np.ndarray:
        return vectors @ np.array(embedder.embed([query])[0])

    def rrf(query: str) -> list[str]:
        ranks = [np.argsort(np.argsort(-scores, kind="stable")) for scores in (by_words(query), near(query))]
        return first(sum(1 / (61 + rank) for rank in ranks))

    yield "BM25", lambda query: first(by_words(query))
    yield "MiniLM", lambda query: first(near(query))
    yield "RRF of both", rrf
    for name, part in (("memory, words", None), ("memory", embedder)):
        memory = Memory(folder / name.replace(", ", "-"), part)
        memory.add(pool.items)
        yield name, lambda query, memory=memory: [id_ for hit in memory.recall(query) for id_ in hit.message_ids]


def share(found: Sequence[str], gold: frozenset[str], k: int) -> float:
    return len(gold & set(found[:k])) / len(gold)


def interval(values: list[float]) -> str:
    """Mean and its 95 % bootstrap interval."""
    draws = np.random.default_rng(0).choice(values, (1000, len(values))).mean(axis=1)
    low, high = np.quantile(draws, (0.025, 0.975))
    return f"{np.mean(values):.3f} [{low:.3f}, {high:.3f}]"


def measure(title: str, pools: list[Pool], embedder: MiniLM, at: tuple[int, ...]) -> None:
    results: dict[str, dict[int, list[float]]] = {}
    for pool in pools:
        with tempfile.TemporaryDirectory() as folder:
            for name, rank in rankers(pool, embedder, Path(folder)):
                kept = results.setdefault(name, {k: [] for k in at})
                for question, gold in pool.questions:
                    found = rank(question)
                    for k in at:
                        kept[k].append(share(found, gold, k))
    print(f"\n{title}: {sum(len(p.items) for p in pools)} messages, {sum(len(p.questions) for p in pools)} questions")
    for name, kept in results.items():
        print(f"  {name:14}", "   ".join(f"at {k}: {interval(values)}" for k, values in kept.items()))


def latency(pool: Pool, embedder: MiniLM) -> None:
    """Pairs of messages joined at random make 10,000 passages: long enough, and with words of real frequencies."""
    draw = random.Random(0)  # noqa: S311 a sample, not a secret
    texts = [message.text for _, message in pool.items]
    items = [(f"c{i // 50}", Message(str(i), "user", f"{draw.choice(texts)} {draw.choice(texts)}"[:200]))
             for i in range(10_000)]
    with tempfile.TemporaryDirectory() as folder:
        memory, start = Memory(Path(folder), embedder), time.perf_counter()
        memory.add(items)
        print(f"\n10,000 passages stored in {time.perf_counter() - start:.1f} s")
        took = []
        for question, _ in pool.questions[:100]:
            start = time.perf_counter()
            memory.recall(question)
            took.append(1000 * (time.perf_counter() - start))
        print(f"a query: median {np.median(took):.0f} ms, 95 % within {np.quantile(took, 0.95):.0f} ms")


if __name__ == "__main__":
    data = Path(sys.argv[1])
    minilm = MiniLM(Path(sys.argv[2]) if len(sys.argv) > 2 else cache_dir() / "models" / "minilm")
    for title, name, read, at in (("LoCoMo, message recall", "locomo-dev.json", locomo, (5, 10)),
                                  ("PrefEval, hit", "prefeval-dev.json", prefeval, (10,)),
                                  ("Russian facts, hit", "ru-first-person-dev.txt", russian_facts, (1, 5, 10))):
        if (data / name).exists():
            measure(title, read(data / name), minilm, at)
    if (data / "locomo-dev.json").exists():
        latency(locomo(data / "locomo-dev.json")[0], minilm)
