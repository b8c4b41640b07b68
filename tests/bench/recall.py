"""How well the memory recalls, beside its baselines: python -m tests.bench.recall FOLDER [MODEL_FOLDER].

FOLDER holds what is there of locomo-dev.json, prefeval-dev.json and ru-first-person-dev.txt (public sets with licences
of their own, not in this repository). @k counts the first k distinct message ids in rank order.

- LoCoMo, questions of categories 1-4: recall@10 of messages; by day (a session; a day's rank is that of its best
  message) hit@1 and recall@5. The weight of words and letters is chosen on two dialogues and reported on the third, in
  turn; the mean of the three.
- PrefEval: all preferences one pool, hit@10.
- Russian first-person facts: all of the file one pool; questions that begin with an interrogative and have three words
  or more, hit@1.

Beside each: BM25 over stems, BM25 over runs of 3 and 4 letters, the embedder alone, and the memory without each of its
parts. Intervals (95 %) are bootstrapped over questions.
"""
from __future__ import annotations

import json
import math
import sys
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

import numpy as np

from twin.embedder import MiniLM
from twin.home import cache_dir
from twin.memory import Memory
from twin.memory.ranking import Weights
from twin.text import stems, words
from twin.types import Embedder, Message

ASKING = frozenset(words("""кто что чего чему чем где куда откуда когда как какой какая какие какое каких какого каком
    какую кого кому кем чей сколько почему зачем"""))
GRID = (1.0, 2.0, 4.0, 6.0, 8.0)  # weights of words and letters to choose from
WITHOUT = {"words": Weights(words=0), "letters": Weights(letters=0), "meaning": Weights(meaning=0),
           "neighbours": Weights(beside=()), "times": Weights(in_time=0)}

Ranker = Callable[[str], Sequence[str]]
Scores = dict[str, list[float]]  # measure -> one value for each question


@dataclass(frozen=True)
class Pool:
    """Messages that are searched together, and questions with the ids that answer them."""

    items: list[tuple[str, Message]]
    questions: list[tuple[str, frozenset[str]]]
    measure: Callable[[Pool, Sequence[str], frozenset[str]], dict[str, float]]
    length: int = 10  # messages of a ranking


class Remembering:
    """An embedder that embeds each text once: most of the time of this bench is one network."""

    def __init__(self, embedder: Embedder) -> None:
        self.embedder, self.id, self.dim = embedder, embedder.id, embedder.dim
        self._known: dict[str, list[float]] = {}

    def embed(self, texts: Sequence[str]) -> list[list[float]]:
        new = [text for text in dict.fromkeys(texts) if text not in self._known]
        self._known |= zip(new, self.embedder.embed(new), strict=True)
        return [self._known[text] for text in texts]


# ---- the sets ------------------------------------------------------------------------------------------------------

def locomo(path: Path) -> list[Pool]:
    """One pool a dialogue; a session is a conversation and a day."""
    pools = []
    for dialogue in json.loads(path.read_text("utf-8")):
        talk, items, session = dialogue["conversation"], [], 1
        while f"session_{session}" in talk:
            when = datetime.strptime(talk[f"session_{session}_date_time"], "%I:%M %p on %d %B, %Y").replace(tzinfo=UTC)
            items += [(f"session {session}", Message(said["dia_id"], "user", said["text"], said["speaker"], when))
                      for said in talk[f"session_{session}"]]
            session += 1
        pools.append(Pool(items, [(qa["question"], frozenset(qa["evidence"])) for qa in dialogue["qa"]
                                  if qa["category"] in (1, 2, 3, 4) and qa["evidence"]], by_day, length=100))
    return pools


def prefeval(path: Path) -> list[Pool]:
    pairs = [(pair["preference"], pair["question"]) for topic in json.loads(path.read_text("utf-8")).values()
             for pair in topic]
    return [Pool([(f"c{i}", Message(str(i), "user", said)) for i, (said, _) in enumerate(pairs)],
                 [(asked, frozenset([str(i)])) for i, (_, asked) in enumerate(pairs)],
                 lambda _, found, gold: {"hit@10": share(found, gold, 10)})]


def russian_facts(path: Path) -> list[Pool]:
    """Every distinct fact, and every question about each of them that qualifies."""
    facts, questions = dict[str, int](), dict[tuple[str, int], None]()
    for block in path.read_text("utf-8").split("\n\n"):
        lines = {line[0]: line[3:].strip() for line in block.splitlines() if line[1:2] == ":"}
        if "T" in lines:
            number = facts.setdefault(lines["T"], len(facts))
            asked = words(lines.get("Q", ""))
            if len(asked) >= 3 and asked[0] in ASKING:
                questions[lines["Q"], number] = None
    return [Pool([(f"c{i}", Message(str(i), "user", fact)) for fact, i in facts.items()],
                 [(asked, frozenset([str(i)])) for asked, i in questions],
                 lambda _, found, gold: {"hit@1": share(found, gold, 1), "hit@5": share(found, gold, 5)})]


def share(found: Sequence[str], gold: frozenset[str], k: int) -> float:
    return len(gold & set(found[:k])) / len(gold)


def by_day(pool: Pool, found: Sequence[str], gold: frozenset[str]) -> dict[str, float]:
    day = {message.id: session for session, message in pool.items}
    days = list(dict.fromkeys(day[id_] for id_ in found))
    meant = frozenset(day[id_] for id_ in gold if id_ in day)
    return {"recall@10": share(found, gold, 10), "day hit@1": float(bool(days) and days[0] in meant),
            "day recall@5": share(days, meant, 5) if meant else 0.0}


# ---- the baselines -------------------------------------------------------------------------------------------------

def grams(text: str) -> list[str]:
    whole = f" {' '.join(words(text))} "
    return [whole[i:i + n] for n in (3, 4) for i in range(len(whole) - n + 1)]


def bm25(said: Sequence[str], tokens: Callable[[str], list[str]]) -> Callable[[str], np.ndarray]:
    """Textbook BM25 (k1 1.2, b 0.75), speaker's name included."""
    texts = [Counter(tokens(text)) for text in said]
    lengths = np.array([text.total() for text in texts], float)
    norm = 1.2 * (0.25 + 0.75 * lengths / lengths.mean())
    where: dict[str, list[tuple[int, int]]] = {}
    for number, text in enumerate(texts):
        for token, count in text.items():
            where.setdefault(token, []).append((number, count))

    def scores(query: str) -> np.ndarray:
        total = np.zeros(len(texts))
        for token in set(tokens(query)) & where.keys():
            at, tf = (np.array(column) for column in zip(*where[token], strict=True))
            total[at] += math.log(1 + (len(texts) - len(at) + 0.5) / (len(at) + 0.5)) * tf * 2.2 / (tf + norm[at])
        return total
    return scores


def rankers(pool: Pool, embedder: Embedder, folder: Path) -> Iterator[tuple[str, Ranker]]:
    ids = [message.id for _, message in pool.items]
    said = [f"{message.author}: {message.text}" if message.author else message.text for _, message in pool.items]
    vectors = np.array(embedder.embed(said))

    def by(scores: Callable[[str], np.ndarray]) -> Ranker:
        return lambda query: [ids[i] for i in np.argsort(-scores(query), kind="stable")[:pool.length]]

    yield "BM25, stems", by(bm25(said, stems))
    yield "BM25, letters", by(bm25(said, grams))
    yield embedder.id, by(lambda query: vectors @ np.array(embedder.embed([query])[0]))
    memory, by_words = Memory(folder, embedder), Memory(folder, None)
    memory.add(pool.items)

    def recalled(used: Memory, weights: Weights) -> Ranker:
        def rank(query: str) -> list[str]:
            used.weights = weights
            return list(dict.fromkeys(id_ for hit in used.recall(query, pool.length) for id_ in hit.message_ids))
        return rank

    yield "memory, no embedder", recalled(by_words, Weights())
    for name, weights in WITHOUT.items():
        yield f"memory without {name}", recalled(memory, weights)
    yield "memory", recalled(memory, Weights())
    if pool.measure is by_day:
        for weight in GRID:
            yield f"  weight {weight:.0f}", recalled(memory, replace(Weights(), words=weight, letters=weight))


# ---- the figures ---------------------------------------------------------------------------------------------------

def evaluate(pools: list[Pool], embedder: Embedder) -> dict[str, list[Scores]]:
    """Ranker -> for each pool the values of each measure."""
    results: dict[str, list[Scores]] = {}
    for pool in pools:
        with tempfile.TemporaryDirectory() as folder:
            for name, rank in rankers(pool, embedder, Path(folder)):
                scores: Scores = {}
                for question, gold in pool.questions:
                    for measure, value in pool.measure(pool, rank(question), gold).items():
                        scores.setdefault(measure, []).append(value)
                results.setdefault(name, []).append(scores)
    return results


def interval(parts: list[list[float]]) -> str:
    """Mean of the pools' means and its 95 % bootstrap interval, over questions of each pool."""
    random = np.random.default_rng(0)
    draws = np.mean([random.choice(values, (2000, len(values))).mean(axis=1) for values in parts], axis=0)
    low, high = np.quantile(draws, (0.025, 0.975))
    return f"{np.mean([np.mean(values) for values in parts]):.3f} [{low:.3f}, {high:.3f}]"


def tell(title: str, pools: list[Pool], results: dict[str, list[Scores]]) -> None:
    print(f"\n{title}: {sum(len(p.items) for p in pools)} messages, {sum(len(p.questions) for p in pools)} questions")
    for name, scores in results.items():
        if not name.startswith(" "):
            print(f"  {name:26}", "   ".join(f"{measure} {interval([part[measure] for part in scores])}"
                                              for measure in scores[0]), flush=True)
    grid = [name for name in results if name.startswith(" ")]
    if grid:
        held: list[Scores] = []
        for out in range(len(pools)):
            best = max(grid, key=lambda name: sum(np.mean(part["recall@10"]) for number, part in
                                                  enumerate(results[name]) if number != out))
            print(f"    dialogue {out + 1}, with {best.strip()} chosen on the others:",
                  "   ".join(f"{measure} {np.mean(values):.3f}" for measure, values in results[best][out].items()))
            held.append(results[best][out])
        print(f"  {'memory, rotated':26}", "   ".join(f"{measure} {interval([part[measure] for part in held])}"
                                                       for measure in held[0]), flush=True)


if __name__ == "__main__":
    data = Path(sys.argv[1])
    minilm = Remembering(MiniLM(Path(sys.argv[2]) if len(sys.argv) > 2 else cache_dir() / "models" / "minilm"))
    for title, name, read in (("LoCoMo", "locomo-dev.json", locomo), ("PrefEval", "prefeval-dev.json", prefeval),
                              ("Russian facts", "ru-first-person-dev.txt", russian_facts)):
        if (data / name).exists():
            pools = read(data / name)
            tell(title, pools, evaluate(pools, minilm))
