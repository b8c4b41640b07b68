"""What evolution makes: genomes, which are scored maps with their parents, and the run that holds all of them.

A genome's fate follows from the scores of all of them. Knows nothing of how the next one is chosen.
"""
from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from functools import cached_property
from random import Random
from typing import Any, Literal, Protocol

import numpy as np

from twin import operations, population
from twin.errors import UsageError
from twin.operations import Operation
from twin.population import Scores
from twin.roles import RoleMap

Way = Literal["random", "evolution", "greedy"]
Ended = Literal["budget", "no better", "no moves", "cancelled", "genomes", ""]


@dataclass(frozen=True)
class Move:
    """An operation and who had the idea: 'miner:M1', 'random'."""

    operation: Operation
    origin: str


Moves = Callable[[RoleMap, Random], Move | None]
"""Draws a move for a map; None where none comes to mind. It may be refused by `operations.apply`."""


class Scorer(Protocol):
    """Scores a map on items of the selection set. `id` names items and metric: another id is another run."""

    id: str
    items: int
    unit: str  # of what it reads, as it is said: 'words'

    def price(self, role_map: RoleMap, places: Sequence[int]) -> int:
        """How much it reads, in its unit, to score these items (from 0); known before."""
        ...

    def __call__(self, role_map: RoleMap, places: Sequence[int]) -> Sequence[float]:
        """One number an item, higher is better."""
        ...


class Shelf(Protocol):
    """Where genomes are kept between runs of the program; the archive is one."""

    def genomes(self, run: str) -> Sequence[Mapping[str, Any]]:
        """What was kept of a run, in order of 'step'."""
        ...

    def save_genome(self, run: str, row: Mapping[str, Any]) -> None:
        """Keep a row; one of the same 'step' is replaced."""
        ...


@dataclass(frozen=True)
class Plan:
    """`alive`: genomes of the front at most; `patience`: genomes without a better best that end a run (0: the budget
    alone does); `most`: genomes."""

    alive: int = 24
    patience: int = 30
    most: int = 500


@dataclass(frozen=True)
class Genome:
    """A map that was scored, by its version; `parent` is '' for the root. `steps`: the operations that lead to it from
    the root. `tokens`: what scoring it read, in the scorer's unit."""

    version: str
    step: int
    parent: str
    origin: str
    steps: tuple[Operation, ...] = field(repr=False)
    scores: tuple[float, ...] = field(default=(), repr=False)
    tokens: int = 0

    @property
    def mean(self) -> float:
        """Mean score."""
        return sum(self.scores) / max(len(self.scores), 1)

    def row(self) -> dict[str, Any]:
        """As JSON can hold it."""
        return {**asdict(self), "scores": list(self.scores),
                "steps": [each.model_dump(mode="json") for each in self.steps]}

    @classmethod
    def read(cls, row: Mapping[str, Any]) -> Genome:
        """Raises UsageError where an operation is none any more: words of it were forgotten."""
        steps = tuple(operations.parse(each) for each in row["steps"])
        return cls(row["version"], row["step"], row["parent"], row["origin"], steps, tuple(row["scores"]),
                   row["tokens"])


@dataclass(frozen=True)
class Fate:
    """What became of a genome: 'best', 'front' (alive), or dead and why: 'same' (as `other` on every item), 'dominated'
    (`other` is nowhere worse and somewhere better), 'crowded' (others win more)."""

    state: Literal["best", "front", "same", "dominated", "crowded"]
    other: str = ""

    @property
    def alive(self) -> bool:
        """Whether it is on the front."""
        return self.state in ("best", "front")


@dataclass(frozen=True)
class Run:
    """All genomes of a run in the order of their birth, the root first; `maps` holds their maps by version (none where
    it was only recalled). `refused` counts moves that were no valid operation, `known` those that made a map there was
    already; both since the program was started."""

    id: str
    way: Way
    seed: int
    plan: Plan
    scorer: str
    genomes: tuple[Genome, ...]
    budget: int = 0
    ended: Ended = ""
    refused: int = 0
    known: int = 0
    maps: Mapping[str, RoleMap] = field(default_factory=dict, repr=False, compare=False)

    @property
    def spent(self) -> int:
        """How much the scorer read, in its unit."""
        return sum(one.tokens for one in self.genomes)

    @property
    def root(self) -> Genome:
        """The map it began with."""
        return self.genomes[0]

    @cached_property
    def best(self) -> Genome:
        """The best on the selection set by mean; of equals the one with the fewest steps."""
        return best_of(self.genomes)

    def gain(self, genome: Genome) -> float:
        """Mean difference to the root."""
        return float(np.mean(np.subtract(genome.scores, self.root.scores)))

    @cached_property
    def fates(self) -> Mapping[str, Fate]:
        """What became of each genome, by version; follows from the scores alone."""
        scores = matrix(self.genomes)
        alive = set(population.living(scores, self.plan.alive))
        found: dict[str, Fate] = {}
        for place, (one, other) in enumerate(zip(self.genomes, population.dominated_by(scores), strict=True)):
            if place in alive:
                found[one.version] = Fate("front")
            elif other is None:
                found[one.version] = Fate("crowded")
            else:
                same = self.genomes[other].scores == one.scores
                found[one.version] = Fate("same" if same else "dominated", self.genomes[other].version)
        return found | {self.best.version: Fate("best")}

    def row(self, genome: Genome) -> dict[str, Any]:
        """A genome as it is kept, with what the run is beside it."""
        return {**genome.row(), "way": self.way, "seed": self.seed, "scorer": self.scorer, "plan": asdict(self.plan)}

    def __repr__(self) -> str:
        return f"Run({self.id}, {self.way}, {len(self.genomes)} genomes, {self.spent} read)"


def recalled(shelf: Shelf, run: str) -> Run:
    """A run as it is kept, to be looked at. Raises UsageError where nothing of it is kept."""
    genomes, first = [], None
    for row in shelf.genomes(run):
        try:
            genomes.append(Genome.read(row))
        except UsageError:  # of what was forgotten nothing is shown, nor what came of it
            continue
        first = first or row
    there = {one.version for one in genomes}
    while lost := {one.version for one in genomes if one.parent and one.parent not in there}:
        there -= lost
        genomes = [one for one in genomes if one.version in there]
    if first is None or not genomes:
        raise UsageError(f"No run {run!r} of evolution is kept.", "`twin evolve` makes one.")
    return Run(run, first["way"], first["seed"], Plan(**first["plan"]), first["scorer"], tuple(genomes))


def matrix(genomes: Sequence[Genome]) -> Scores:
    """Their scores, (genomes, items)."""
    return np.array([one.scores for one in genomes], dtype=np.float64)


def best_of(genomes: Sequence[Genome]) -> Genome:
    """The best by mean; of equals the one with the fewest steps, then the eldest."""
    return genomes[population.champion(matrix(genomes), [len(one.steps) for one in genomes])]
