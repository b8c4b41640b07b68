"""Moves of evolution: random valid operations of a closed generator, and what the miners suggest.

The generator invents no words: routing examples come from given texts and from other roles of the map. So no move can
say what nobody wrote.
"""
from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from random import Random
from typing import Any

from twin import operations
from twin.errors import UsageError
from twin.genome import Move, Moves
from twin.operation_schema import EXAMPLE
from twin.operations import Operation
from twin.roles import RoleMap

Draw = Callable[[RoleMap, Sequence[str], Random], Mapping[str, Any] | None]


def _add(role_map: RoleMap, texts: Sequence[str], rng: Random) -> Mapping[str, Any] | None:
    return {"role": rng.choice(role_map.ids), "text": rng.choice(texts)} if texts else None


def _example(role_map: RoleMap, rng: Random) -> tuple[str, str] | None:
    """A routing example of the map, each as likely, and its role."""
    found = [(role.id, text) for role in role_map.roles for text in role.examples]
    return rng.choice(found) if found else None


def _remove(role_map: RoleMap, _: Sequence[str], rng: Random) -> Mapping[str, Any] | None:
    found = _example(role_map, rng)
    return {"role": found[0], "text": found[1]} if found else None


def _relabel(role_map: RoleMap, _: Sequence[str], rng: Random) -> Mapping[str, Any] | None:
    found = _example(role_map, rng)
    others = [name for name in role_map.ids if found and name != found[0]]
    return {"role": found[0], "text": found[1], "to": rng.choice(others)} if found and others else None


_DRAWN: Mapping[str, Draw] = {
    "add_routing_example": _add, "remove_routing_example": _remove, "relabel_routing_example": _relabel}
ROUTER = tuple(_DRAWN)
"""What is drawn. Roles are not merged or retired at random: on some 30 messages a role of which few are there looks
dispensable, and that cost 7 points of right routes in the proof for random search (three generated persons)."""


def randomly(texts: Sequence[str], kinds: Collection[str] = ROUTER) -> Moves:
    """Draws one of these kinds of operation, each as likely, and fills it at random. `texts`: what may become a routing
    example (longer ones may not). Raises UsageError for a kind that is not drawn here."""
    unknown = set(kinds) - _DRAWN.keys()
    if unknown or not kinds:
        raise UsageError(f"No such operations are drawn at random: {', '.join(sorted(unknown)) or 'none'}.",
                         f"Choose from: {', '.join(_DRAWN)}.")
    short = [text for text in texts if len(text) <= EXAMPLE]
    names = sorted(kinds)

    def draw(role_map: RoleMap, rng: Random) -> Move | None:
        name = rng.choice(names)
        filled = _DRAWN[name](role_map, short, rng)
        try:
            return Move(operations.parse({"op": name, **filled}), "random") if filled else None
        except UsageError:  # a text that a filter refuses
            return None

    return draw


def suggested(mine: Callable[[RoleMap], Sequence[tuple[Operation, str]]], otherwise: Moves, share: float = 0.5,
              kinds: Collection[str] | None = None) -> Moves:
    """With probability `share` one of what `mine` says of the map as (operation, origin), each as likely, only those of
    these kinds; else, and where it says nothing, a move of `otherwise`. A map is mined once."""
    kept: dict[str, list[tuple[Operation, str]]] = {}

    def draw(role_map: RoleMap, rng: Random) -> Move | None:
        if rng.random() < share:
            if role_map.version not in kept:
                kept[role_map.version] = [pair for pair in mine(role_map) if kinds is None or pair[0].op in kinds]
            if found := kept[role_map.version]:
                return Move(*rng.choice(found))
        return otherwise(role_map, rng)

    return draw
