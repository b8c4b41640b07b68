"""Evolution of the role map: a population of maps, each one valid operation (or a merge) away from its parents.

Moves, scorer and shelf come in by argument; what is scored is a selection set, never the proof set. The budget is in
the scorer's tokens. Every step has random numbers of its own (seed, step), and all else follows from the genomes so
far: the same seed gives the same run, and a run that was killed goes on where it stood. Random search and greedy are
the same loop with another way to choose the parent. Nothing here changes the person's map: `offer` names one operation.
"""
from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import datetime
from random import Random

import numpy as np

from twin import operations, population
from twin.errors import UsageError
from twin.genome import Ended, Genome, Moves, Plan, Run, Scorer, Shelf, Way, best_of, matrix, whole_of
from twin.merge import merged
from twin.operations import Operation
from twin.population import Scores
from twin.proposals import Proposal
from twin.roles import RoleMap
from twin.types import Progress, digest, never

_TRIES = 20  # moves drawn in one step until one makes a map that is new; and steps without any that end a run


def evolve(root: RoleMap, *, moves: Moves, score: Scorer, budget: int, seed: int = 0, way: Way = "evolution",
           plan: Plan | None = None, adapters: Sequence[str] = (), shelf: Shelf | None = None,
           progress: Progress | None = None, cancel: Callable[[], bool] = never) -> Run:
    """Search from `root` until the budget (scorer tokens, the root's own scoring among them) would be exceeded.

    `way`: how the parent of the next genome is chosen - by wins on the front, with merges; 'greedy': always the best so
    far; 'random': any. `adapters`: sha256 of adapters an operation may set. What `shelf` keeps of this very run is not
    scored again; a larger budget goes on with it. Raises UsageError where not even the root can be scored.
    """
    if score.items < 1:
        raise UsageError("There is nothing to score a role map on.", "Evolution needs labelled turns; go on talking.")
    if (price := score.price(root, range(score.items))) > budget:
        raise UsageError(f"A budget of {budget} tokens does not score one map, which takes {price}.",
                         f"Give {20 * price} for about twenty.")
    search = _Search(root, moves, score, seed, way, plan or Plan(), tuple(adapters), shelf)
    ended = search.run(budget, progress or (lambda *_: None), cancel)
    return replace(search.so_far(), budget=budget, ended=ended, refused=search.refused, known=search.known)


def run_id(root: RoleMap, score: Scorer, seed: int, way: Way, plan: Plan) -> str:
    """The name of a run: what it depends on, but for moves and budget."""
    return digest(json.dumps([root.version, score.id, seed, way, asdict(plan)], sort_keys=True))[:16]


class _Search:
    """One run while it runs."""

    def __init__(self, root: RoleMap, moves: Moves, score: Scorer, seed: int, way: Way, plan: Plan,
                 adapters: tuple[str, ...], shelf: Shelf | None) -> None:
        self.moves, self.score, self.seed, self.way, self.plan = moves, score, seed, way, plan
        self.adapters, self.shelf, self.root = adapters, shelf, root
        self.id = run_id(root, score, seed, way, plan)
        self.genomes: list[Genome] = []
        self.maps: dict[str, RoleMap] = {}
        self.refused = self.known = 0

    def so_far(self) -> Run:
        return Run(self.id, self.way, self.seed, self.plan, self.score.id, tuple(self.genomes), maps=dict(self.maps))

    def run(self, budget: int, progress: Progress, cancel: Callable[[], bool]) -> Ended:
        self._recall()
        if not self.genomes:
            self._keep(Genome(self.root.version, 0, (), "root", ()), self.root)
        everything, idle = range(self.score.items), 0
        while idle < _TRIES:
            spent = sum(one.tokens for one in self.genomes)
            progress("evolution", min(spent, budget), budget)
            if cancel():
                return "cancelled"
            if enough := self._enough():
                return enough
            found = self._child(self.genomes[-1].step + 1 + idle)
            if found is None:
                idle += 1
            elif spent + self.score.price(found[1], everything) > budget:
                return "budget"
            else:
                self._keep(*found)
                idle = 0
        return "no moves"

    def _enough(self) -> Ended:
        """Why the run is over whatever the budget; '' where it is not."""
        means = [-math.inf if one.screened else one.mean for one in self.genomes]
        waited = len(means) - 1 - means.index(max(means))
        if self.plan.patience and waited >= self.plan.patience:
            return "no better"
        return "genomes" if len(means) >= self.plan.most else ""

    # ---- a child -----------------------------------------------------------------------------------------------------

    def _child(self, step: int) -> tuple[Genome, RoleMap] | None:
        """A map there was not yet, not scored yet; None where no move of this step made one."""
        rng = Random(f"{self.seed} {step}")  # noqa: S311 - a seed has to give the same run
        whole = whole_of(self.genomes)
        scores = matrix(whole)
        alive = population.living(scores, self.plan.alive, self.plan.tie)
        merging = self.way == "evolution" and len(alive) > 1 and rng.random() < self.plan.merge
        for attempt in range(2 * _TRIES):
            if merging and attempt < _TRIES:
                one, other = (whole[population.draw(scores, alive, rng, self.plan.tie)] for _ in range(2))
                found = self._merge(one, other, step)
            else:
                found = self._mutate(self._parent(whole, scores, alive, rng), rng, step)
            if found and found[0].version not in self.maps:
                return found
            self.known += found is not None
        return None

    def _parent(self, whole: Sequence[Genome], scores: Scores, alive: list[int], rng: Random) -> Genome:
        if self.way == "random":
            return rng.choice(whole)
        if self.way == "greedy":
            return best_of(whole)
        return whole[population.draw(scores, alive, rng, self.plan.tie)]

    def _mutate(self, parent: Genome, rng: Random, step: int) -> tuple[Genome, RoleMap] | None:
        move = self.moves(self.maps[parent.version], rng)
        if move is None:
            return None
        try:
            made = operations.apply(move.operation, self.maps[parent.version], adapters=self.adapters)
        except UsageError:
            self.refused += 1
            return None
        return Genome(made.version, step, (parent.version,), move.origin, (*parent.steps, move.operation)), made

    def _merge(self, one: Genome, other: Genome, step: int) -> tuple[Genome, RoleMap] | None:
        """Both sides of the latest ancestor they share; the better one has what both changed."""
        one, other = sorted((one, other), key=lambda each: (-each.mean, each.step))
        mine, theirs = self._ancestors(one), self._ancestors(other)
        if one.version in theirs or other.version in mine:
            return None  # one is the other's forefather: nothing to merge
        base = max((self._of(version) for version in mine & theirs), key=lambda each: each.step)
        made = merged(*(self.maps[each.version] for each in (base, one, other)))
        if made is None:
            return None
        steps = (*one.steps, *(each for each in other.steps if each not in one.steps))
        return Genome(made.version, step, (one.version, other.version), "merge", steps), made

    def _of(self, version: str) -> Genome:
        return next(one for one in self.genomes if one.version == version)

    def _ancestors(self, genome: Genome) -> set[str]:
        """Versions of a genome and all it comes from."""
        found, left = set[str](), [genome.version]
        while left:
            version = left.pop()
            if version not in found:
                found.add(version)
                left += self._of(version).parents
        return found

    # ---- scoring and keeping -----------------------------------------------------------------------------------------

    def _scored(self, child: Genome, role_map: RoleMap) -> Genome:
        """With its scores: of all items, or of the first few where those say enough."""
        first = min(self.plan.screen, self.score.items) if child.parents else 0
        scores: tuple[float, ...] = ()
        tokens = 0
        for places in (range(first), range(first, self.score.items)):
            if places:
                tokens += self.score.price(role_map, places)
                scores = (*scores, *map(float, self.score(role_map, places)))
            if places and len(scores) == first and _clearly_worse(scores, self._of(child.parents[0]).scores[:first]):
                return replace(child, scores=scores, tokens=tokens, screened=True)
        return replace(child, scores=scores, tokens=tokens)

    def _keep(self, child: Genome, role_map: RoleMap) -> None:
        made = self._scored(child, role_map)
        self.genomes.append(made)
        self.maps[made.version] = role_map
        if self.shelf is not None:
            self.shelf.save_genome(self.id, self.so_far().row(made))

    def _recall(self) -> None:
        """What is kept of this run, up to the first that cannot be built any more: words of it were forgotten."""
        for row in self.shelf.genomes(self.id) if self.shelf is not None else ():
            try:
                genome = Genome.read(row)
                made = self._rebuilt(genome)
            except UsageError:
                break
            self.genomes.append(genome)
            self.maps[genome.version] = made

    def _rebuilt(self, genome: Genome) -> RoleMap:
        if not set(genome.parents) <= self.maps.keys():
            raise UsageError("A parent is not kept.", "The run goes on without it.")
        parents = [self._of(version) for version in genome.parents]
        if not parents:
            made = self.root
        elif genome.origin == "merge":
            found = self._merge(parents[0], parents[1], genome.step)
            made = found[1] if found else self.root
        else:
            made = operations.apply(genome.steps[-1], self.maps[parents[0].version], adapters=self.adapters)
        if made.version != genome.version:
            raise UsageError("A genome cannot be built any more.", "The run goes on without it.")
        return made


def _clearly_worse(scores: Sequence[float], others: Sequence[float]) -> bool:
    """Whether the mean paired gain is below zero by more than two of its standard errors."""
    gains = np.subtract(scores, others)
    error = gains.std(ddof=1) / math.sqrt(len(gains)) if len(gains) > 1 else 0.0
    return bool(gains.mean() + 2 * error < 0)


# ---- what reaches the person -------------------------------------------------------------------------------------

@dataclass(frozen=True)
class Offer:
    """The one operation a run would propose, what it alone gains on the selection set, and the steps left after it."""

    operation: Operation
    gain: float
    rest: tuple[Operation, ...]


def offer(run: Run, score: Scorer, adapters: Sequence[str] = ()) -> Offer | None:
    """A proposal is one operation, a genome mostly several: of the best one's steps the one that gains most when it is
    done to the root alone. The next run begins from the map with it, and offers the next. None where the root is the
    best, and where its steps gain only together. Steps that were not scored alone yet are scored now."""
    root, alone = run.maps[run.root.version], {one.version: one for one in whole_of(run.genomes)}
    found: list[tuple[float, Operation]] = []
    for step in run.best.steps:
        try:
            made = operations.apply(step, root, adapters=tuple(adapters))
        except UsageError:  # it stands on an earlier step
            continue
        scores = alone[made.version].scores if made.version in alone else score(made, range(score.items))
        found.append((float(np.mean(np.subtract(scores, run.root.scores))), step))
    gain, chosen = max(found, key=lambda pair: pair[0], default=(0.0, None))
    if chosen is None or gain <= 0:
        return None
    return Offer(chosen, gain, tuple(step for step in run.best.steps if step != chosen))


def propose(run: Run, score: Scorer, metric: str, now: datetime, earlier: Iterable[Proposal] = (),
            adapters: Sequence[str] = ()) -> Proposal | None:
    """What a run offers as an ordinary proposal, still to be proven like any other; None where it offers nothing, where
    the same was proposed `earlier`, and where evolution proposed something that day already. `metric`: the scorer's."""
    known = list(earlier)
    if any(one.origin == "evolution" and one.made.date() == now.date() for one in known):
        return None
    found = offer(run, score, adapters)
    if found is None:
        return None
    tried, best, steps = len(run.genomes) - 1, run.gain(run.best), len(run.best.steps)
    why = {"en": f"The best of {tried} maps that were tried gains {best:+.3f} an item ({metric}) on {score.items} "
                 f"selection items (operations in it: {steps}); this one alone gains {found.gain:+.3f}. The best of "
                 "many looks better than it is: only the proof counts.",
           "ru": f"Лучшая из испробованных карт (всего {tried}) выигрывает {best:+.3f} на пример отбора ({metric}; "
                 f"примеров: {score.items}, операций в ней: {steps}); одна эта операция даёт {found.gain:+.3f}. Лучшая "
                 "из многих кажется лучше, чем она есть: считается только доказательство."}
    made = Proposal(found.operation, run.root.version, "evolution", now, (), {metric: found.gain}, why)
    return None if any(one.hash == made.hash for one in known) else made
