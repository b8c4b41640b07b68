"""Labelled examples as a model: what a message is most like, how sure that is, and whether it is like anything.

The likeness of two texts is lexical (stems, word pairs, character n-grams) and, where a reader embeds them, their
cosine as well; a linear model over the likenesses scores the labels. Knows nothing of roles.
"""
from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from twin import text as plain
from twin.linear import Confidence, Floats, Lexicon, Linear, sharpness, softmax, spread_around
from twin.types import Embedder, Example

# Share of the embedder in the likeness, chosen by leave-one-out.
_SHARES = (0.0, 0.15, 0.3, 0.5, 0.7, 0.85)
# exp(2 (cosine - 1)): with 10 examples of each of 77 intents 0.6 points better than the bare cosine; 1 to 4 are alike.
_WIDTH = 2.0
NOISE = 0.15  # ridge: 0.1 to 0.6 are alike in what is right, the smaller the better to tell what is strange
_FEW = 12  # examples below which nothing is fitted
# A message is strange when less speaks for it than for this share of the examples themselves, left out; where examples
# of 'none' say what is strange and an embedder reads them, than for any of them.
_STRANGE = 0.05
# How far the score of the last label, 'none', must lead the best other one (scores are about 0..1). On the even half of
# the labelled messages 0.1, 0.2 and 0.3 make 73, 77 and 76 % right.
_LEAD = 0.2
# The embedder's share where it reads Russian through English: even half of the labelled messages, 0.3 to 0.5 alike.
_GLOSSED = 0.3
# Share from which an embedder counts as one that reads a language: MiniLM gets up to 0.3 of Russian, by chance.
_HEARS = 0.5
# With too few examples to be calibrated: what a message must exceed to be like any of them, by words and by cosine. An
# ending in common makes .11 by words; an emoji has .32 to 'hello' by MiniLM, 'good morning' .54.
_LEAST, _APART = 0.12, 0.4
_SAME = 0.9  # likeness from which a message counts as the text of an example
_SHOWN = 60  # nearest examples that are looked at for the reason
_NAMED = 0.25  # share of the examples nearest to their own label's name from which names count as examples


@dataclass(frozen=True)
class Labelled:
    """A text as it was given, what of it is compared, its label; `own`: in the language of the messages to come."""

    text: str
    request: str
    label: str
    own: bool = True


class Reader:
    """Embeds what a text reads like (itself, or a gloss of it); an example is embedded once."""

    def __init__(self, embedder: Embedder, kept: dict[str, Floats], gloss: Callable[[str], str] | None = None) -> None:
        self.embedder, self.kept, self.reading, self.glossing = embedder, kept, gloss or str, gloss is not None

    def examples(self, texts: Sequence[str]) -> Floats:
        """(n, dim)"""
        said = [self.reading(text) for text in texts]
        new = [text for text in dict.fromkeys(said) if text not in self.kept]
        if new:
            self.kept.update(zip(new, np.array(self.embedder.embed(new), dtype=np.float64), strict=True))
        return np.array([self.kept[text] for text in said])

    def message(self, text: str) -> Floats:
        """(dim,)"""
        return np.array(self.embedder.embed([self.reading(text)])[0], dtype=np.float64)


@dataclass(frozen=True, eq=False)
class Found:
    """The share of each label (n,), the examples nearest first; `known`: near enough to something but 'none'."""

    shares: Floats
    nearest: tuple[Example, ...]
    known: bool


class Model:
    """Fitted on examples. `labels` share the probability; a label of an example that is none of them is 'none'.

    With `named`, the names of the labels count as examples too, where the examples bear out that they speak: seven of
    ten of banking77's do, 'class 7' would not (0.5 points more right).
    """

    def __init__(self, rows: Sequence[Labelled], labels: Sequence[str], readers: Sequence[Reader] = (), *,
                 named: bool = False) -> None:
        self.rows, self.labels = rows, tuple(labels)
        self.own = np.array([row.own for row in rows], dtype=bool)
        # Column of each row's label; one more column for 'none'.
        column = {name: i for i, name in enumerate(labels)}
        self.column = np.array([column.get(row.label, len(labels)) for row in rows], dtype=int)
        self.claimed = self.column < len(labels)
        self.reader: Reader | None = None
        self.vectors, self.share = np.zeros((0, 0)), 0.0
        self.sure, self.power, self.near_enough = Confidence(), 12.0, 0.05
        self.least, self.apart = 0.02, -1.0  # by words, by cosine: no nearer than that to any example is strange
        self.shared = _shared(rows, self.column)
        texts = [row.request for row in rows]
        if named:
            texts += [plain.clean(name).replace("_", " ").replace("-", " ") for name in labels]
        self.words, self.pieces = (Lexicon([read(text) for text in texts]) for read in (stems_of, pieces_of))
        kernel = self._mix(texts, readers)
        if named and not self._names_speak(kernel):
            kernel = kernel[:len(rows), :len(rows)]
        self.used = len(kernel)
        columns = np.concatenate([self.column, np.arange(self.used - len(rows))])
        targets = np.eye(len(labels) + 1)[columns]
        self.linear = Linear.fit(kernel, targets, NOISE)
        if (self.own & self.claimed).sum() >= _FEW and len(labels) > 1:
            self._calibrate(kernel, targets)
        else:
            self.least, self.apart = _LEAST, self._apart()

    def _mix(self, texts: Sequence[str], readers: Sequence[Reader]) -> Floats:
        """The likeness (n, n) of all texts, with the first reader that leave-one-out over the own examples finds of
        use, and the share it gives. Others stay out of this: a translation of an example would tell its label."""
        lexical = (self.words.among() + self.pieces.among()) / 2
        np.fill_diagonal(lexical, 1)  # a text is like itself, of signs alone too
        own = np.flatnonzero(self.own)
        targets = np.eye(len(self.labels) + 1)[self.column[own]]
        for reader in readers:
            vectors = reader.examples(texts)
            dense = np.exp(_WIDTH * (vectors @ vectors.T - 1))
            if reader.glossing:  # what it is good for, examples of another language, leave-one-out must not see
                self.share = _GLOSSED
            else:
                self.share = self._fitted(lexical[np.ix_(own, own)], dense[np.ix_(own, own)], targets)
            if self.share >= (_HEARS if reader is not readers[-1] else 0.01):
                self.reader, self.vectors = reader, vectors
                return np.asarray((1 - self.share) * lexical + self.share * dense)
        self.share = 0.0
        return lexical

    @staticmethod
    def _fitted(lexical: Floats, dense: Floats, targets: Floats) -> float:
        """The share with the least squared error over the left-out examples of labels. Not over those of 'none': to
        tell them apart by a language it does not read an embedder can do by length."""
        if len(targets) < _FEW:
            return 0.5
        asked, errors = targets[:, -1] == 0, []
        for share in _SHARES:
            missed = targets - Linear.fit((1 - share) * lexical + share * dense, targets, NOISE).left_out()
            errors.append(float((missed[asked]**2).sum()))
        return _SHARES[int(np.argmin(errors))]

    def _names_speak(self, kernel: Floats) -> bool:
        rows, labels = len(self.rows), len(self.labels)
        right = float((kernel[:rows, rows:].argmax(axis=1) == self.column).mean())
        return labels > 2 and right > max(_NAMED, 3 / labels)

    def _calibrate(self, kernel: Floats, targets: Floats) -> None:
        """How sure a score makes and from where on a message is strange, by the own examples, left out."""
        own = np.concatenate([self.own, np.ones(self.used - len(self.rows), dtype=bool)])
        inside = kernel[np.ix_(own, own)]
        scores = Linear.fit(inside, targets[own], NOISE).left_out()
        np.fill_diagonal(inside, -1)
        asked = np.flatnonzero(self.claimed[self.own])  # rows that are examples of a label
        inside[:, len(self.claimed[self.own]):] = -1  # names are no neighbours
        inside[:, np.flatnonzero(~self.claimed[self.own])] = -1
        best, column = scores[asked, :-1], self.column[self.own][asked]
        evidence = _evidence(best, inside[asked].max(axis=1))
        self.power = sharpness(best, targets[own][asked, :-1])
        self.sure = Confidence.fit(evidence, best.argmax(axis=1) == column)
        self.near_enough = float(np.quantile(evidence, _STRANGE if self.claimed.all() or not self.share else 0))

    def _apart(self) -> float:
        """The cosine that examples of different labels have, on average, but no less than _APART: unlike texts have .1
        with one embedder and .7 with another."""
        differ = self.column[:, None] != self.column
        if self.reader is None or not differ.any():
            return _APART
        vectors = self.vectors[:len(self.rows)]
        return max(_APART, float((vectors @ vectors.T)[differ].mean()))

    def likeness(self, request: str) -> tuple[Floats, bool]:
        """(n,): likeness of a message to each example (and name), about 0..1; and whether anything at all is known of
        it: words, or parts of words, that an example of a label has, or an embedder that finds it near one."""
        lexical = (self.words.cosines(stems_of(request)) + self.pieces.cosines(pieces_of(request))) / 2
        lexical[[i for i, row in enumerate(self.rows) if row.request == request]] = 1
        claimed = np.flatnonzero(self.claimed)
        spoken = bool((lexical[claimed] > self.least).any())
        if self.reader is None:
            return lexical[:self.used], spoken
        cosines = self.vectors @ self.reader.message(request)
        likeness = (1 - self.share) * lexical + self.share * np.exp(_WIDTH * (cosines - 1))
        return np.asarray(likeness)[:self.used], spoken or bool((cosines[claimed] > self.apart).any())

    def read(self, request: str) -> Found:
        """What a message is most like. Examples of other languages are shown only where there are no own ones."""
        likeness, spoken = self.likeness(request)
        scores = self.linear.scores(likeness[None, :])[0]
        near = np.where(self.claimed, likeness[:len(self.rows)], 0)
        nearest = float(near.max()) if len(near) else 0.0
        top = int(scores[:-1].argmax())
        evidence = float(_evidence(scores[None, :-1], np.array([nearest]))[0])
        shares = softmax(self.power * scores[None, :-1])[0]
        known = spoken and bool(request.strip()) and evidence >= self.near_enough and scores[-1] - scores[top] < _LEAD
        order = np.argsort(np.where(self.own & self.claimed, -near, np.inf), kind="stable")
        order = order[:min(_SHOWN, int((self.own & self.claimed).sum()))]
        shown = tuple(Example(self.rows[i].label, self.rows[i].text, round(max(float(likeness[i]), 0.0), 4))
                      for i in order.tolist())
        sure = self.sure.of(evidence)
        same = np.flatnonzero(likeness[:len(self.rows)] > _SAME)
        split = self.shared.get(self.rows[int(same[likeness[same].argmax()])].request, []) if len(same) else []
        if top in split:  # the very text was given several labels: it is no surer than they agree
            sure = min(sure, 1 / len(split))
        return Found(spread_around(top, sure, shares), shown, known)


def _shared(rows: Sequence[Labelled], column: NDArray[np.int_]) -> dict[str, list[int]]:
    """The columns of texts that were given several labels."""
    found: dict[str, list[int]] = {}
    for row, label in zip(rows, column.tolist(), strict=True):
        found.setdefault(row.request, []).append(label)
    return {request: labels for request, labels in found.items() if len(labels) > 1}


def _evidence(scores: Floats, nearest: Floats) -> Floats:
    """(m,) of the scores (m, C) and the likeness of the nearest example (m,): what speaks for the best label, less what
    speaks for the others. Tells intents that were left out from the rest better than the best score: AUC 0.852 against
    0.828, on undrawn rows of the training file (the nearest example once: 0.848; three times: 0.851)."""
    best = scores.max(axis=1)
    return np.asarray(best + 2 * nearest - np.sqrt(np.maximum((scores**2).sum(axis=1) - best**2, 0)))


def stems_of(text: str) -> list[str]:
    """Stems, pairs of neighbouring stems, and the first stem marked: requests open with their verb."""
    stems = ["^", *plain.stems(text)]
    return stems[1:] + [f"{left} {right}" for left, right in pairwise(stems)]


def pieces_of(text: str) -> list[str]:
    """Character 3- to 5-grams inside words: they bridge forms and spellings that stems keep apart."""
    padded = [f" {word} " for word in plain.words(text)]
    return [word[i:i + n] for word in padded for n in (3, 4, 5) for i in range(len(word) - n + 1)]
