"""Router: which role should answer a message - nearest neighbours over the roles' own routing examples.

The likeness of two texts is lexical (stems, word pairs, character n-grams; needs no model) and, where an embedder is
given, its cosine as well. How much the embedder counts, how sharp the votes are and when nothing is near enough is
fitted for each language by leaving out one example at a time, so it follows the role map and the embedder at hand.
Knows nothing of prompts, memory or engines.
"""
from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from twin import text as plain
from twin.roles import RoleMap
from twin.types import Embedder, Example, Route

Floats = NDArray[np.float64]

# Grids of the leave-one-out fit.
_WEIGHTS = (0.0, 0.15, 0.3, 0.5, 0.7, 1.0)
_TAUS = (0.02, 0.03, 0.04, 0.05, 0.06, 0.08, 0.1, 0.13, 0.16, 0.2)
_FEW = 12  # examples of a language below which nothing is fitted
# A message is strange when its nearest example is farther than that of this share of the examples themselves.
_STRANGE = 0.1
# Messages come nearer to the examples than the examples, chosen to differ, come to one another: left-out votes are too
# cautious: p^2 is shown. Mean -log p on the tuning half for powers 1, 1.5, 2, 2.5: 0.73, 0.62, 0.59, 0.60. The labels
# were written by the author of the examples, so a stranger may find it too sure.
_SHARPER = 2.0
_ENDS = 1000  # characters read from each end of a long message: the request stands at one of them


class Router:
    """Routes messages to the roles of one map. Slow parts (embedding the examples, the fit) run at the first message
    of each language; afterwards a message costs one embedding and about a millisecond.

    `default` answers what no role claims; when the map has no such role, its first one does.
    """

    def __init__(self, role_map: RoleMap, embedder: Embedder | None = None, *, default: str = "mentor") -> None:
        self.role_map = role_map
        self.embedder = embedder
        self.default = default if default in role_map.ids else role_map.ids[0]
        self._neighbours: dict[str, _Neighbours] = {}

    def __repr__(self) -> str:
        return f"Router({len(self.role_map.ids)} roles, {self.embedder.id if self.embedder else 'no embedder'})"

    def route(self, text: str, *, asked: str | None = None) -> Route:
        """The role for a message. `asked`, the role the person named, wins; UsageError when there is no such role."""
        language = "ru" if plain.language(text) == "ru" else "en"
        if asked is not None:
            title = self.role_map.role(asked).title.of(language)
            reason = f"Роль «{title}» выбрали вы сами." if language == "ru" else f"You asked for {title}."
            return Route(asked, {name: float(name == asked) for name in self.role_map.ids}, reason, asked=True)
        known, shares, nearest = self._read(text, language)
        role = max(shares, key=lambda name: shares[name]) if known else self.default
        return Route(role, shares, self._reason(role, shares, nearest, known, language), tuple(nearest[:3]),
                     abstained=not known)

    def _read(self, text: str, language: str) -> tuple[bool, dict[str, float], list[Example]]:
        """Whether the message is near enough to anything; the probability of each role; examples, nearest first."""
        if language not in self._neighbours:
            self._neighbours[language] = self._learn(language)
        neighbours = self._neighbours[language]
        likeness = neighbours.likeness(_request(text))
        order = sorted(range(len(likeness)), key=lambda i: -likeness[i])
        nearest = [Example(neighbours.labels[i], neighbours.texts[i], round(max(float(likeness[i]), 0.0), 4))
                   for i in order]
        shares = dict.fromkeys(self.role_map.ids, 1.0 / len(self.role_map.ids))
        if not nearest:
            return False, shares, nearest
        votes = _votes(likeness[None, :], neighbours.membership, neighbours.tau)[0]
        votes = votes**_SHARPER / (votes**_SHARPER).sum()
        shares = dict.fromkeys(self.role_map.ids, 0.0) | dict(zip(neighbours.names, votes.tolist(), strict=True))
        return bool(likeness.max() > neighbours.near_enough), shares, nearest

    def _learn(self, language: str) -> _Neighbours:
        pairs = [(text, role.id) for role in self.role_map.roles for text in role.examples]
        own = [pair for pair in pairs if plain.language(pair[0]) in (language, "und")]
        return _Neighbours(own or pairs, self.embedder)

    def _reason(self, role: str, shares: dict[str, float], nearest: Sequence[Example], known: bool,
                language: str) -> str:
        russian = language == "ru"
        titles = {each.id: each.title.of(language) for each in self.role_map.roles}

        def quoted(examples: Sequence[Example]) -> str:
            return ", ".join(f"«{each.text}»" if russian else f'"{each.text}"' for each in examples)

        if not known:
            said = nearest[:1] if nearest and nearest[0].similarity > 0 else []
            if russian:
                closest = f" (ближайший - {quoted(said)}, роль «{titles[said[0].role]}»)" if said else ""
                return f"Ни один пример не близок к сообщению{closest}. Отвечает роль по умолчанию: «{titles[role]}»."
            closest = f" (the nearest is {quoted(said)}, of {titles[said[0].role]})" if said else ""
            return f"No example is near this message{closest}. The default role answers: {titles[role]}."
        mine = [each for each in nearest if each.role == role][:2]
        others = [name for name in shares if name != role]
        if russian:
            first = f"Ближе всего примеры роли «{titles[role]}» ({shares[role]:.0%}): {quoted(mine)}."
        else:
            first = f"Nearest are examples of {titles[role]} ({shares[role]:.0%}): {quoted(mine)}."
        if not others:
            return first
        second = max(others, key=lambda name: shares[name])
        return f"{first} " + (f"Следующая роль - «{titles[second]}» ({shares[second]:.0%})." if russian
                              else f"Next would be {titles[second]} ({shares[second]:.0%}).")


class _Neighbours:
    """The examples of one language, ready to be compared with a message."""

    def __init__(self, pairs: Sequence[tuple[str, str]], embedder: Embedder | None) -> None:
        self.texts = [text for text, _ in pairs]
        self.labels = [label for _, label in pairs]
        self.names = sorted(set(self.labels))
        self.membership = np.array([[label == name for name in self.names] for label in self.labels], dtype=np.float64)
        self.membership = self.membership.reshape(len(pairs), len(self.names))
        self.embedder = embedder if pairs else None
        self.vectors = np.array(self.embedder.embed(self.texts), dtype=np.float64) if self.embedder else None
        self.by_words = _Lexicon([_words(text) for text in self.texts], self.membership)
        self.by_pieces = _Lexicon([_pieces(text) for text in self.texts], self.membership)
        self.weight, self.tau, self.near_enough = 0.5 if self.embedder else 0.0, 0.06, 0.05
        if len(pairs) >= _FEW and len(self.names) > 1:
            self._fit()

    def likeness(self, message: str) -> Floats:
        """Likeness of the message to each example, about 0..1."""
        lexical = (self.by_words.cosines(_words(message)) + self.by_pieces.cosines(_pieces(message))) / 2
        if self.embedder is None or self.vectors is None or self.weight == 0:
            return lexical
        vector = np.array(self.embedder.embed([message])[0], dtype=np.float64)
        return (1 - self.weight) * lexical + self.weight * (self.vectors @ vector)

    def _fit(self) -> None:
        """Choose the embedder's weight and tau by the log-likelihood of each example's role given the others, and the
        distance of the strange ones by the same left-out neighbours."""
        lexical = (self.by_words.left_out() + self.by_pieces.left_out()) / 2
        dense = np.zeros_like(lexical) if self.vectors is None else self.vectors @ self.vectors.T
        tried = []
        for weight in _WEIGHTS if self.vectors is not None else (0.0,):
            mixed = (1 - weight) * lexical + weight * dense
            np.fill_diagonal(mixed, -np.inf)
            for tau in _TAUS:
                right = (_votes(mixed, self.membership, tau) * self.membership).sum(axis=1)
                far = np.quantile(mixed.max(axis=1), _STRANGE)
                tried.append((float(np.log(right + 1e-6).mean()), weight, tau, float(far)))
        _, self.weight, self.tau, self.near_enough = max(tried)


class _Lexicon:
    """TF-IDF cosine over one kind of feature. A feature that speaks for one role weighs more than one that all share
    ('rewrite' against 'model'): idf x sqrt(1 - entropy of its roles / log of their number)."""

    def __init__(self, rows: Sequence[Sequence[str]], membership: Floats) -> None:
        self.column = {name: i for i, name in enumerate(dict.fromkeys(name for row in rows for name in row))}
        self.counts = np.zeros((len(rows), len(self.column)), order="F")
        for i, row in enumerate(rows):
            for name, count in Counter(row).items():
                self.counts[i, self.column[name]] = 1 + math.log(count)
        self.membership = membership
        self.by_role = membership.T @ (self.counts > 0)  # roles x features: examples of the role that hold it
        self.weights = _salience(self.by_role, len(rows))
        self.weighted = np.asfortranarray(self.counts * self.weights)
        self.norms = np.maximum(np.linalg.norm(self.weighted, axis=1), 1e-9)

    def cosines(self, features: Sequence[str]) -> Floats:
        """Cosine of a text's features with each row; features that no row holds do not count."""
        counted = {self.column[name]: count for name, count in Counter(features).items() if name in self.column}
        if not counted:
            return np.zeros(len(self.counts))
        at = np.array(list(counted))
        asked = (1 + np.log(np.array(list(counted.values())))) * self.weights[at]
        found: Floats = self.weighted[:, at] @ asked / (self.norms * max(float(np.linalg.norm(asked)), 1e-9))
        return found

    def left_out(self) -> Floats:
        """Cosine of each row with all others, its own features weighed as if the row had never been seen."""
        found = np.zeros((len(self.counts),) * 2)
        for i, row in enumerate(self.counts):
            at = np.nonzero(row)[0]
            without = self.by_role[:, at] - self.membership[i][:, None]
            seen = without.sum(axis=0) > 0
            at, weights = at[seen], _salience(without[:, seen], len(found) - 1)
            columns = self.counts[:, at] * weights
            norms = np.sqrt(np.maximum(
                self.norms**2 - (self.weighted[:, at]**2).sum(axis=1) + (columns**2).sum(axis=1), 1e-9))
            found[i] = columns @ columns[i] / (norms * max(float(np.linalg.norm(columns[i])), 1e-9))
        return found


def _salience(by_role: Floats, rows: int) -> Floats:
    """Weight of each feature; `by_role` counts the rows of each role that hold it. 0.5 is added to each count."""
    total = by_role.sum(axis=0)
    idf = np.log(1 + rows / np.maximum(total, 1))
    if len(by_role) < 2:
        return np.asarray(idf)
    share = (by_role + 0.5) / (total + 0.5 * len(by_role))
    entropy = -(share * np.log(share)).sum(axis=0) / math.log(len(by_role))
    return np.asarray(idf * np.sqrt(np.maximum(1 - entropy, 0)))


def _votes(likeness: Floats, membership: Floats, tau: float) -> Floats:
    """Probability of each role: every example votes exp(likeness / tau). Rows x examples -> rows x roles."""
    votes = np.exp((likeness - likeness.max(axis=1, keepdims=True)) / tau) @ membership
    return np.asarray(votes / votes.sum(axis=1, keepdims=True))


def _request(text: str) -> str:
    """What is routed: the writer's own words (or all, where there are none), the two ends of it where it is long."""
    own = " ".join(text[start:end] for start, end in plain.own_spans(text)) or text
    return own if len(own) <= 2 * _ENDS else f"{own[:_ENDS]} {own[-_ENDS:]}"


def _words(text: str) -> list[str]:
    """Stems, pairs of neighbouring stems, and the first stem marked: requests open with their verb."""
    stems = ["^", *plain.stems(text)]
    return stems[1:] + [f"{left} {right}" for left, right in pairwise(stems)]


def _pieces(text: str) -> list[str]:
    """Character 3- to 5-grams inside words: they bridge forms and spellings that stems keep apart."""
    padded = [f" {word} " for word in plain.words(text)]
    return [word[i:i + n] for word in padded for n in (3, 4, 5) for i in range(len(word) - n + 1)]
