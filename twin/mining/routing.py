"""Miners of the routing: M1 confusion and wrong examples, M2 what belongs to no role, M3 twins, M4 the dead.

All sums are over the examples of the map and the messages whose role the person showed, one language at a time.
"""
from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from twin import text as plain
from twin.examples import NOISE
from twin.linear import Floats, Linear
from twin.mining.finding import LEAST, Finding, because, newest, operation, words
from twin.mining.likeness import Singles, Sorting, Stopped, among, auc, clusters, silhouette
from twin.mining.seen import Seen, SeenTurn
from twin.operation_schema import EXAMPLE
from twin.roles import SECTIONS, Role, RoleMap
from twin.router import NONE
from twin.topics import subjects
from twin.types import Message, never

CLUSTER, SILHOUETTE, ALIKE = 8, 0.15, 0.12  # messages of a new role, how apart they stand, mean likeness inside
SAME = 0.75   # share of the words two roles are told in common, from which they are twins
DEAD = 200    # turns in which a role must have been chosen once
SMOOTH, PORTRAIT = 0.5, 3.0  # ridge of the margins, and the share of what the roles say of themselves: at 1, 2, 3, 4 a
                             # planted example was among the first three of 10, 12, 12, 13 of 14 maps
STRAYS = 0.15                # margin from which an example strays
STRAY, PAIR = 6.0, 2.0       # weights of the margin, and of all that strays between the same two roles
TRIED = 8     # messages of each label tried as its example
APART = 0.7   # AUC, left out, from which what a role gets differs in words from what was for it


@dataclass(frozen=True)
class _Shelf:
    """Examples and messages of one language, how alike they are (`kernel`: examples, all turns, then what each role
    says of itself), and what sorting those `turns` whose role the person showed by the examples comes to."""

    ids: tuple[str, ...]
    language: str
    examples: tuple[tuple[str, str], ...]  # (role, text)
    all: tuple[SeenTurn, ...]
    kernel: Singles

    @classmethod
    def of(cls, seen: Seen, role_map: RoleMap, language: str, stop: Callable[[], bool]) -> _Shelf:
        examples = tuple((role.id, text) for role in role_map.roles for text in role.examples
                         if (plain.language(text) == "ru") == (language == "ru"))
        turns = tuple(turn for turn in seen.turns if turn.language == language)
        portraits = [" ".join([role.title.of(language), role.purpose.of(language),
                               *getattr(role.sections, language).texts]) for role in role_map.roles]
        kernel = among([*(text for _, text in examples), *(turn.question for turn in turns), *portraits], stop)
        return cls(role_map.ids, language, examples, turns, kernel)

    @cached_property
    def shown(self) -> list[int]:
        """Places of the turns whose role the person showed."""
        return [i for i, turn in enumerate(self.all) if turn.whose in self.ids]

    @cached_property
    def turns(self) -> list[SeenTurn]:
        return [self.all[i] for i in self.shown]

    @cached_property
    def sorting(self) -> Sorting:
        n = len(self.examples)
        rows = [*range(n), *(n + i for i in self.shown)]
        return Sorting(self.kernel[np.ix_(rows, rows)], [self.ids.index(role) for role, _ in self.examples],
                       [self.ids.index(str(turn.whose)) for turn in self.turns], len(self.ids))

    def margins(self) -> Floats:
        """(examples, roles): how much more each role suits an example than its own: by all other examples and the
        messages that were for it, and by what the roles say of themselves."""
        n, own = len(self.examples), [self.ids.index(role) for role, _ in self.examples]
        column = np.array([*own, *(self.ids.index(str(turn.whose)) for turn in self.turns)])
        kernel = self.part(range(n), self.shown).astype(np.float64)
        suits = Linear.fit(kernel, np.eye(len(self.ids))[column], SMOOTH).left_out()[:n]
        suits = suits + PORTRAIT * self.kernel[:n, -len(self.ids):]
        found = suits - suits[np.arange(n), own][:, None]
        found[np.arange(n), own] = -np.inf
        return np.asarray(found)

    def part(self, examples: Sequence[int], turns: Sequence[int]) -> Singles:
        """How alike some examples and then some of all turns are."""
        rows = [*examples, *(len(self.examples) + i for i in turns)]
        return self.kernel[np.ix_(rows, rows)]

    def like(self, example: int, label: str, most: int = 6) -> tuple[SeenTurn, ...]:
        """The messages for a label that are most like an example."""
        near = self.sorting.near[:, example]
        mine = [i for i, turn in enumerate(self.turns) if turn.whose == label and near[i] > 0]
        return tuple(self.turns[i] for i in sorted(sorted(mine, key=lambda i: -near[i])[:most]))


def mine(seen: Seen, role_map: RoleMap, stop: Callable[[], bool] = never) -> Iterator[Finding]:
    """M1 to M4, which can be stopped in between: then it raises Stopped."""
    for language in ("en", "ru"):
        shelf = _Shelf.of(seen, role_map, language, stop)
        if len(shelf.examples) > 1 and len(shelf.turns) >= LEAST:
            yield from _wrong(shelf, stop)
            yield from _confused(shelf, stop)
        yield from _orphans(shelf, role_map, stop)
        for role in role_map.roles:
            yield from _halves(shelf, role)
    yield from _vanished(seen, role_map)
    yield from _twins(seen, role_map)
    yield from _dead(seen, role_map)


def _wrong(shelf: _Shelf, stop: Callable[[], bool]) -> Iterator[Finding]:
    """M1: examples that all others and the person contradict."""
    margins = shelf.margins()
    between: dict[tuple[str, int], float] = defaultdict(float)  # a mix-up of two roles is more likely than one of many
    for (role, _), row in zip(shelf.examples, margins, strict=True):
        between[role, int(row.argmax())] += max(float(row.max()), 0.0)
    for example, (role, text) in enumerate(shelf.examples):
        _go_on(stop)
        to = int(margins[example].argmax())
        margin, gain = float(margins[example, to]), shelf.sorting.moved(example, to)
        like = shelf.like(example, shelf.ids[to])
        if margin < STRAYS or gain < 1 or len(like) < LEAST:
            continue
        asked = operation("relabel_routing_example", role=role, to=shelf.ids[to], text=text)
        if asked:
            yield Finding("M1", STRAY * margin + PAIR * between[role, to] + gain / 2, asked, like,
                          because("wrong", role=role, to=shelf.ids[to], n=len(like), gain=gain, m=len(shelf.turns)),
                          "router", gain / len(shelf.turns))


def _confused(shelf: _Shelf, stop: Callable[[], bool]) -> Iterator[Finding]:
    """M1: messages that would go wrong, one of which as an example would turn most of them."""
    sorting = shelf.sorting
    missed = sorting.scores.argmax(axis=1) != sorting.wanted
    for label, name in enumerate(shelf.ids):
        wrong = [i for i in range(len(shelf.turns)) if missed[i] and sorting.wanted[i] == label]
        if len(wrong) < LEAST:
            continue
        inside = shelf.part([], [shelf.shown[i] for i in wrong]).sum(axis=1)
        order = [wrong[i] for i in np.argsort(-inside, kind="stable")[:TRIED]]
        best: tuple[int, int, Any] = (0, 0, None)
        for i in order:
            _go_on(stop)
            turn = shelf.turns[i]
            asked = operation("add_routing_example", role=name, text=turn.question) if (
                turn.mine and turn.label is not None and len(turn.question) <= EXAMPLE) else None
            gain = _added(shelf, i, label) if asked else 0
            if gain > best[0]:
                best = (gain, i, asked)
        gain, i, asked = best
        if asked and gain >= 2:
            rest = [shelf.turns[j] for j in wrong if j != i]
            yield Finding("M1", gain / 2, asked, (shelf.turns[i], *newest(rest, 5)),
                          because("confusion", to=name, n=len(wrong), gain=gain, m=len(shelf.turns)), "router",
                          gain / len(shelf.turns))


def _added(shelf: _Shelf, i: int, label: int) -> int:
    """How many of the other messages go right with message i as an example of a label, by blockwise inversion."""
    sorting = shelf.sorting
    column = shelf.part([], shelf.shown)[:, i]
    rest = 1 + NOISE - float(sorting.pull[i] @ sorting.near[i])
    grown = column - sorting.pull @ sorting.near[i]
    missing = np.eye(sorting.labels)[label] - sorting.linear.base - (sorting.near[i] @ sorting.linear.weights)
    changed = sorting.scores + np.outer(grown, missing) / max(float(rest), 1e-6)
    others = np.arange(len(shelf.turns)) != i
    before = (sorting.scores.argmax(axis=1) == sorting.wanted) & others
    return int(((changed.argmax(axis=1) == sorting.wanted) & others).sum()) - int(before.sum())


def _go_on(stop: Callable[[], bool]) -> None:
    if stop():
        raise Stopped


# ---- M2 ----------------------------------------------------------------------------------------------------------

def _vanished(seen: Seen, role_map: RoleMap) -> Iterator[Finding]:
    """Messages for a role that is no more."""
    for name, past in sorted(seen.past.items()):
        theirs = seen.of(name)
        if len(theirs) < LEAST:
            continue
        holder, shared = max(((role, [text for text in past.examples if text in role.examples])
                              for role in role_map.roles), key=lambda found: len(found[1]))
        told: dict[str, Any] = {"id": name, "title": past.title.model_dump(), "purpose": past.purpose.model_dump(),
                                "sections": past.sections.model_dump()}
        if len(shared) >= LEAST:
            asked = operation("split_role", role=holder.id, examples=shared, **told)
        else:
            free = [text for text in past.examples if all(text not in role.examples for role in role_map.roles)]
            asked = operation("add_role", examples=free, **told)
        if asked:
            yield Finding("M2", float(len(theirs)), asked, newest(theirs),
                          because("vanished", n=len(theirs), to=name, role=holder.id), "router",
                          len(theirs) / len(seen.turns))


def _orphans(shelf: _Shelf, role_map: RoleMap, stop: Callable[[], bool]) -> Iterator[Finding]:
    """Messages that no role claims and that are alike."""
    places = [i for i, turn in enumerate(shelf.all) if turn.mine
              and (turn.label == NONE or (turn.label is None and turn.now.abstained))]
    kernel = shelf.part([], places)
    for group in clusters(kernel, ALIKE, stop):
        apart = silhouette(kernel, group, [i for i in range(len(places)) if i not in group])
        if len(group) < CLUSTER or apart <= SILHOUETTE:
            continue
        turns = [shelf.all[places[i]] for i in group]
        made = _new_role(turns, role_map, shelf.language)
        if made and (found := operation("add_role", **made)):
            yield Finding("M2", len(group) / 2, found, newest(turns), because("orphans", n=len(group), gain=apart))


def _new_role(turns: Sequence[SeenTurn], role_map: RoleMap, language: str) -> dict[str, Any] | None:
    """Slots of a role that is made of messages: named by what they have in common."""
    found = subjects((turn.id, Message(turn.id, "user", turn.question)) for turn in turns)
    named = ", ".join(one.topic.name for one in found[:2])
    if not named:
        return None
    frame = words()["orphan"]
    number = next(n for n in range(1, 99) if f"new-{n}" not in role_map.ids)
    texts = {name: frame[name][language].format(words=named) for name in frame}
    sections = {language: {key: texts[key] for key in SECTIONS if key in texts}}
    examples = list(dict.fromkeys(turn.question for turn in turns if len(turn.question) <= EXAMPLE))[-20:]
    return {"id": f"new-{number}", "title": {language: texts["title"]}, "purpose": {language: texts["purpose"]},
            "sections": sections, "examples": examples}


def _halves(shelf: _Shelf, role: Role) -> Iterator[Finding]:
    """One role for two kinds of message: what it gets and what was for it differ in words, so that the examples which
    bring the former can be told from the rest."""
    texts = [i for i, (name, _) in enumerate(shelf.examples) if name == role.id]
    stray = [i for i, turn in enumerate(shelf.all) if turn.now.role == role.id and not turn.now.abstained
             and turn.mine and turn.label == NONE]
    own = [i for i, turn in enumerate(shelf.all) if turn.whose == role.id]
    if len(texts) < 2 * LEAST or len(stray) < CLUSTER or len(own) < LEAST:
        return
    kernel = shelf.part(texts, [*stray, *own]).astype(np.float64)
    n, side = len(texts), np.array([1.0] * len(stray) + [0.0] * len(own))[:, None]
    model = Linear.fit(kernel[n:, n:], side, SMOOTH)
    told = auc(model.left_out()[:, 0], side[:, 0])
    taken = [shelf.examples[texts[i]][1] for i in np.flatnonzero(model.scores(kernel[:n, n:])[:, 0] > side.mean())]
    asked = operation("split_role", role=role.id, id=f"{role.id[:36]}-2", title=role.title.model_dump(),
                      purpose=role.purpose.model_dump(), sections=role.sections.model_dump(), examples=taken)
    if asked and told >= APART:
        yield Finding("M2", len(stray) / 2, asked, newest(shelf.all[i] for i in stray),
                      because("halves", role=role.id, n=len(stray), m=len(own), gain=told))


# ---- M3, M4 ------------------------------------------------------------------------------------------------------

def _twins(seen: Seen, role_map: RoleMap) -> Iterator[Finding]:
    """Two roles that are told the same: the one with fewer messages of its own goes into the other."""
    own = Counter(turn.whose for turn in seen.turns)
    told = {role.id: Counter(plain.stems(" ".join(role.sections.en.texts + role.sections.ru.texts)))
            for role in role_map.roles}
    for one in role_map.roles:
        for other in role_map.roles:
            if (own[one.id], one.id) >= (own[other.id], other.id):
                continue
            both = sum((told[one.id] & told[other.id]).values())
            same = 2 * both / max(sum(told[one.id].values()) + sum(told[other.id].values()), 1)
            turns = [turn for turn in seen.turns if turn.now.role in (one.id, other.id)]
            wrong = sum(turn.now.role == one.id and turn.whose == other.id for turn in turns)
            asked = operation("merge_roles", role=one.id, into=other.id)
            if same >= SAME and len(turns) >= LEAST and asked:
                yield Finding("M3", wrong + 4 * same, asked, newest(turns),
                              because("twins", role=one.id, to=other.id, gain=same, n=wrong), "router",
                              wrong / len(seen.turns))


def _dead(seen: Seen, role_map: RoleMap) -> Iterator[Finding]:
    """A role that nothing goes to and nothing was for."""
    if len(seen.turns) < DEAD:
        return
    alive = {name for turn in seen.turns for name in (turn.role, turn.now.role, turn.label)}
    for name in role_map.ids:
        asked = operation("retire_role", role=name)
        if name not in alive and asked:
            yield Finding("M4", 1.0, asked, newest(seen.turns, LEAST), because("dead", role=name, n=len(seen.turns)))
