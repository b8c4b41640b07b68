"""The router among close intents and on the six roles: DATA=folder python -m tests.bench.router [roles | intents].

DATA holds banking77-train.csv and banking77-test.csv (columns text, category). For each of the seeds 0 to 4 ten texts
of each intent are drawn, `random.Random(seed).sample` over each intent's texts in file order, intents as they first
appear; everything is fitted on those 770 and judged on the whole test file. Parameters of the router were tuned on rows
of the training file that were not drawn. Logistic regression and nearest neighbours read the same vectors. Out of
scope: 15 intents (drawn by the seed) are left out of the examples, and their test rows should be told from the others.
The roles: twin/seed/labelled.toml; even positions are the cold start, odd ones the report.
Embeddings are kept in the system's temporary folder.
"""
from __future__ import annotations

import csv
import hashlib
import os
import random
import sys
import tempfile
import time
import tomllib
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from twin import roles
from twin.catalog import Catalog
from twin.linear import Floats, softmax
from twin.loading import embedder
from twin.router import Router
from twin.types import Embedder

LABELS = Path(roles.__file__).parent / "seed" / "labelled.toml"
SEEDS, SHOTS, HELD_OUT, CORRECTIONS = range(5), 10, 15, 100


class Kept:
    """An embedder whose vectors are kept on disk; counts the seconds spent inside."""

    def __init__(self, inner: Embedder) -> None:
        self.inner, self.id, self.dim, self.seconds = inner, inner.id, inner.dim, 0.0
        self.path = Path(tempfile.gettempdir()) / f"router-bench-{inner.id}.npz"
        stored = dict(np.load(self.path)) if self.path.exists() else {}
        self.vectors: dict[str, Floats] = stored

    @staticmethod
    def key(text: str) -> str:
        return hashlib.sha256(text.encode()).hexdigest()

    def embed(self, texts: Sequence[str]) -> list[list[float]]:
        began = time.perf_counter()
        new = [text for text in dict.fromkeys(texts) if self.key(text) not in self.vectors]
        if new:
            vectors = np.array(self.inner.embed(new), dtype=np.float32)
            self.vectors.update((self.key(text), row) for text, row in zip(new, vectors, strict=True))
        found = [self.vectors[self.key(text)].tolist() for text in texts]
        self.seconds += time.perf_counter() - began
        return found

    def save(self) -> None:
        np.savez(self.path, allow_pickle=False, **self.vectors)


def rows(path: Path) -> list[tuple[str, str]]:
    with path.open(encoding="utf-8", newline="") as file:
        return [(row["text"], row["category"]) for row in csv.DictReader(file)]


def drawn(train: Sequence[tuple[str, str]], seed: int) -> list[tuple[str, str]]:
    rng, intents = random.Random(seed), dict.fromkeys(label for _, label in train)  # noqa: S311 as asked for
    return [(text, label) for label in intents
            for text in rng.sample([said for said, each in train if each == label], SHOTS)]


def logistic(x: Floats, y: NDArray[np.int64], classes: int, l2: float = 0.1, steps: int = 400) -> Floats:
    """(dim + 1, classes): multinomial logistic regression, sum of losses + l2 / 2 |w|^2, by accelerated gradient."""
    inputs, targets = np.c_[x, np.ones(len(x))], np.eye(classes)[y]
    weights = ahead = np.zeros((inputs.shape[1], classes))
    step = 1 / (0.5 * float(np.linalg.norm(inputs.T @ inputs, 2)) + l2)
    shrunk = l2 * (np.arange(inputs.shape[1]) < x.shape[1])[:, None]  # all but the constant
    for k in range(steps):
        slope = inputs.T @ (softmax(inputs @ ahead) - targets) + shrunk * ahead
        before, weights = weights, ahead - step * slope
        ahead = weights + k / (k + 3) * (weights - before)
    return weights


def calibration_error(sure: Floats, right: NDArray[np.bool_], bins: int = 15) -> float:
    """Expected calibration error over equally wide bins (Guo 2017)."""
    bin_of: Floats = np.minimum(np.floor(sure * bins), bins - 1)
    return float(sum((bin_of == b).mean() * abs(right[bin_of == b].mean() - sure[bin_of == b].mean())
                     for b in set(bin_of.tolist())))


def auc(inside: Floats, outside: Floats) -> float:
    both: Floats = np.concatenate([inside, outside])
    ordered = np.sort(both)
    ranks: Floats = np.asarray(np.searchsorted(ordered, both, "left") + np.searchsorted(ordered, both, "right") + 1) / 2
    return float((ranks[:len(inside)].sum() - len(inside) * (len(inside) + 1) / 2) / (len(inside) * len(outside)))


def intents(folder: Path, embeds: Kept) -> None:
    train, test = rows(folder / "banking77-train.csv"), rows(folder / "banking77-test.csv")
    embeds.embed([text for text, _ in train + test])
    names = sorted({label for _, label in train})
    truth = np.array([names.index(label) for _, label in test])
    asked = np.array(embeds.embed([text for text, _ in test]))
    print("seed  majority  tf-idf   1-NN soft-NN  logreg  router | ECE   AUC p  fit s  ms a message  corrected")
    table = []
    for seed in SEEDS:
        pairs = drawn(train, seed)
        x, y = np.array(embeds.embed([text for text, _ in pairs])), np.array([names.index(label) for _, label in pairs])
        line = [float(np.bincount(truth).max() / len(truth)), words_alone(pairs, test)]
        near = asked @ x.T
        line += [float((y[near.argmax(axis=1)] == truth).mean()),
                 float(((softmax(near / 0.05) @ np.eye(len(names))[y]).argmax(axis=1) == truth).mean())]
        weights = logistic(x, y, len(names))
        line.append(float(((asked @ weights[:-1] + weights[-1]).argmax(axis=1) == truth).mean()))
        began = time.perf_counter()
        router = Router.fit(pairs, embeds)
        router.route("card")
        fitted, embeds.seconds, began = time.perf_counter() - began, 0.0, time.perf_counter()
        routes = [router.route(text) for text, _ in test]
        took = (time.perf_counter() - began - embeds.seconds) / len(test) * 1000
        correct = np.array([route.role == label for route, (_, label) in zip(routes, test, strict=True)])
        line += [float(correct.mean()), calibration_error(np.array([route.probability for route in routes]), correct),
                 out_of_scope(pairs, test, names, seed, embeds), fitted, took]
        line.append(corrected(router, pairs, train, test))
        table.append(line)
        print(f"{seed:4}" + "".join(f"{value:8.4f}" for value in line), flush=True)
    print("mean" + "".join(f"{value:8.4f}" for value in np.mean(table, axis=0)))
    gain = np.array(table)[:, 5] - np.array(table)[:, 4]
    print(f"router - logistic regression, paired: {gain.mean():+.4f}, each {np.round(gain, 4).tolist()}")


def corrected(router: Router, pairs: Sequence[tuple[str, str]], train: Sequence[tuple[str, str]],
              test: Sequence[tuple[str, str]]) -> float:
    """Share right of the test file after 100 wrong routes of undrawn training rows were corrected."""
    known = {text for text, _ in pairs}
    rest = [(text, label) for text, label in train if text not in known]
    taught: list[tuple[str, str]] = []
    for text, label in random.Random(0).sample(rest, len(rest)):  # noqa: S311
        if len(taught) == CORRECTIONS:
            break
        if router.route(text).role != label:
            taught.append((text, label))
    for text, label in taught:
        router.learn(text, label)
    return float(np.mean([router.route(text).role == label for text, label in test]))


def words_alone(pairs: Sequence[tuple[str, str]], test: Sequence[tuple[str, str]]) -> float:
    """TF-IDF of words, nearest neighbour by cosine."""
    from twin import text as plain
    from twin.linear import Lexicon

    lexicon = Lexicon([plain.stems(text) for text, _ in pairs])
    return float(np.mean([pairs[int(lexicon.cosines(plain.stems(text)).argmax())][1] == label for text, label in test]))


def out_of_scope(pairs: Sequence[tuple[str, str]], test: Sequence[tuple[str, str]], names: Sequence[str], seed: int,
                 embeds: Kept) -> float:
    """Area under the curve of the router's probability, rows of known intents against rows of those left out."""
    out = set(random.Random(seed).sample(names, HELD_OUT))  # noqa: S311
    router = Router.fit([pair for pair in pairs if pair[1] not in out], embeds)
    sure = np.array([router.route(text).probability for text, _ in test])
    strange = np.array([label in out for _, label in test])
    return auc(sure[~strange], sure[strange])


def corrections(embeds: Embedder | None) -> None:
    """Corrections by odd labelled messages, five draws: what the others of them gain."""
    said, gains, slowest = [each for each in labelled() if each[3]], [], 0.0
    for seed in SEEDS:
        router = Router(roles.seed(), embeds)
        mixed = random.Random(seed).sample(said, len(said))  # noqa: S311
        taught, asked = mixed[:CORRECTIONS], mixed[CORRECTIONS:]
        before = right(router, asked)
        for i, (text, label, _, _) in enumerate(taught):
            router.learn(text, label)
            if i % 10 == 0:
                began = time.perf_counter()
                router.route("hello")
                slowest = max(slowest, time.perf_counter() - began)
        gains.append((before, right(router, asked)))
    shown = f"{np.round(gains, 3).tolist()}, mean {np.round(np.mean(gains, axis=0), 3).tolist()}"
    print(f"\n{CORRECTIONS} corrections, {len(asked)} held back, right before and after: {shown}; "
          f"the slowest route after one: {slowest:.2f} s")


def right(router: Router, asked: Sequence[tuple[str, str, str, bool]]) -> float:
    """Share of messages that reach their role, or nobody where nobody's they are."""
    routes = [(router.route(text), label) for text, label, _, _ in asked]
    return float(np.mean([route.abstained if label == "none" else not route.abstained and route.role == label
                          for route, label in routes]))


def labelled() -> list[tuple[str, str, str, bool]]:
    """(text, label, language, odd) of the labelled messages."""
    table = tomllib.loads(LABELS.read_text("utf-8"))
    return [(text, label, language, bool(i % 2)) for label, by_language in table.items()
            for language, texts in by_language.items() for i, text in enumerate(texts)]


def six_roles(embeds: Embedder | None) -> None:
    router = Router(roles.seed(), embeds)
    print(f"\nsix roles, {embeds.id if embeds else 'words alone'}: likeliest right | chosen right | none seen | "
          "wrongly abstained | ECE | n")
    for language in ("en", "ru"):
        mine = [(router.route(text), label) for text, label, spoken, odd in labelled()
                if spoken == language and odd]
        meant = [(route, label) for route, label in mine if label != "none"]
        likeliest = np.array([max(route.probabilities, key=route.probabilities.__getitem__) == label
                              for route, label in meant])
        sure = np.array([max(route.probabilities.values()) for route, _ in meant])
        print(f"odd {language}: {likeliest.mean():.3f} | "
              f"{np.mean([route.role == label for route, label in meant]):.3f} | "
              f"{np.mean([route.abstained for route, label in mine if label == 'none']):.3f} | "
              f"{np.mean([route.abstained for route, _ in meant]):.3f} | "
              f"{calibration_error(sure, likeliest, 10):.3f} | {len(meant)} + {len(mine) - len(meant)}")


def main() -> None:
    chosen = embedder(Catalog())
    if chosen is None:
        sys.exit("No embedder is on this machine; fetch one with `twin models pull minilm`.")
    embeds, wanted = Kept(chosen), set(sys.argv[1:]) or {"roles", "intents"}
    if "roles" in wanted:
        six_roles(embeds)
        six_roles(None)
        corrections(embeds)
    if "intents" in wanted:
        intents(Path(os.environ["DATA"]), embeds)
    embeds.save()


if __name__ == "__main__":
    main()
