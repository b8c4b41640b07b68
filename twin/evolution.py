"""Evolution of the role map: a population of maps, each one valid operation away from its parent.

Moves, scorer and shelf come in by argument; what is scored is a selection set, never the proof set. The budget is what
the scorer reads. Every step has random numbers of its own (seed, step), and all else follows from the genomes so far:
the same seed gives the same run, and a run that was killed goes on where it stood. The ways differ in nothing but how
the parent is chosen. Nothing here changes the person's map: `offer` names one operation.
"""
from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import datetime
from random import Random

import numpy as np

from twin import operations, population
from twin.errors import UsageError
from twin.genome import Ended, Genome, Moves, Plan, Run, Scorer, Shelf, Way, best_of, matrix
from twin.operations import Operation
from twin.proposals import Proposal
from twin.roles import RoleMap
from twin.types import Progress, digest, never

_TRIES = 20  # moves drawn in one step until one makes a map that is new; and steps without any that end a run


def evolve(root: RoleMap, *, moves: Moves, score: Scorer, budget: int, seed: int = 0, way: Way = "random",
           plan: Plan | None = None, adapters: Sequence[str] = (), shelf: Shelf | None = None,
           progress: Progress | None = None, cancel: Callable[[], bool] = never) -> Run:
    """Search from `root` until the budget (in the scorer's unit, the root's own scoring among it) would be exceeded.

    `way`: how the parent of the next genome is chosen - 'random': any; 'evolution': by wins on the front; 'greedy':
    always the best so far. Random is the default: the others have not been shown to beat it, but to lose to it
    (tests/bench/evolution.py).
    `adapters`: sha256 of adapters an operation may set. What `shelf` keeps of this very run is not
    scored again; a larger budget goes on with it. Raises UsageError where not even the root can be scored.
    """
    if score.items < 1:
        raise UsageError("There is nothing to score a role map on.", "Evolution needs labelled turns; go on talking.")
    if (price := score.price(root, range(score.items))) > budget:
        raise UsageError(f"A budget of {budget} {score.unit} does not score one map, which takes {price}.",
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
            self._keep(Genome(self.root.version, 0, "", "root", ()), self.root)
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
        means = [one.mean for one in self.genomes]
        waited = len(means) - 1 - means.index(max(means))
        if self.plan.patience and waited >= self.plan.patience:
            return "no better"
        return "genomes" if len(means) >= self.plan.most else ""

    # ---- a child -----------------------------------------------------------------------------------------------------

    def _child(self, step: int) -> tuple[Genome, RoleMap] | None:
        """A map there was not yet, not scored yet; None where no move of this step made one."""
        rng = Random(f"{self.seed} {step}")  # noqa: S311 - a seed has to give the same run
        for _ in range(2 * _TRIES):
            found = self._mutate(self._parent(rng), rng, step)
            if found and found[0].version not in self.maps:
                return found
            self.known += found is not None
        return None

    def _parent(self, rng: Random) -> Genome:
        if self.way == "random":
            return rng.choice(self.genomes)
        if self.way == "greedy":
            return best_of(self.genomes)
        scores = matrix(self.genomes)
        return self.genomes[population.draw(scores, population.living(scores, self.plan.alive), rng)]

    def _mutate(self, parent: Genome, rng: Random, step: int) -> tuple[Genome, RoleMap] | None:
        move = self.moves(self.maps[parent.version], rng)
        if move is None:
            return None
        try:
            made = operations.apply(move.operation, self.maps[parent.version], adapters=self.adapters)
        except UsageError:
            self.refused += 1
            return None
        return Genome(made.version, step, parent.version, move.origin, (*parent.steps, move.operation)), made

    # ---- scoring and keeping -----------------------------------------------------------------------------------------

    def _keep(self, child: Genome, role_map: RoleMap) -> None:
        everything = range(self.score.items)
        made = replace(child, scores=tuple(map(float, self.score(role_map, everything))),
                       tokens=self.score.price(role_map, everything))
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
        made = self.root
        if genome.parent:
            if genome.parent not in self.maps:
                raise UsageError("A parent is not kept.", "The run goes on without it.")
            made = operations.apply(genome.steps[-1], self.maps[genome.parent], adapters=self.adapters)
        if made.version != genome.version:
            raise UsageError("A genome cannot be built any more.", "The run goes on without it.")
        return made


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
    root, alone = run.maps[run.root.version], {one.version: one for one in run.genomes}
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
    why = {"en": f"The best of the maps that were tried ({tried}) gains {best:+.3f} an item ({metric}; selection "
                 f"items: {score.items}; operations in it: {steps}); this one alone gains {found.gain:+.3f}. The best "
                 "of many looks better than it is: only the proof counts.",
           "ru": f"Лучшая из испробованных карт (всего {tried}) выигрывает {best:+.3f} на пример отбора ({metric}; "
                 f"примеров: {score.items}, операций в ней: {steps}); одна эта операция даёт {found.gain:+.3f}. Лучшая "
                 "из многих кажется лучше, чем она есть: считается только доказательство."}
    made = Proposal(found.operation, run.root.version, "evolution", now, (), {metric: found.gain}, why)
    return None if any(one.hash == made.hash for one in known) else made


def silence(run: Run, now: datetime, earlier: Iterable[Proposal]) -> dict[str, str]:
    """Why nothing was proposed from a run, by language."""
    if any(one.origin == "evolution" and one.made.date() == now.date() for one in earlier):
        return {"en": "Nothing is proposed from it: a search has proposed something today, and one a day is enough.",
                "ru": "Из этого ничего не предложено: сегодня поиск уже предложил одно, в день хватит одного."}
    if run.best.version == run.root.version:
        return {"en": "Nothing is proposed from it: no map that was tried is better than the one in force.",
                "ru": "Из этого ничего не предложено: ни одна испробованная карта не лучше той, что действует."}
    return {"en": "Nothing is proposed from it: no step of the best map that was not proposed or refused before gains "
                  "anything alone.",
            "ru": "Из этого ничего не предложено: ни один шаг лучшей карты не даёт ничего в одиночку, или он уже был "
                  "предложен или отклонён."}
