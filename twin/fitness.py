"""What a role map is scored by in a search: how sure its router is of the right role, or bits of what was kept.

The data are a proof's selection set; the measures are a proof's, but for routes: on some 30 messages nine of ten single
changes of examples turn no route (104 of 120 maps), so a search by right and wrong stands still. Tokens: for routes the
words a router reads (the map's examples, which it is fitted on, and the messages); for bits the core's tokens of
prompts and texts, shared or not.
"""
from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from twin.evidence import Labelled, Said
from twin.proof.metrics import Bits, Remembering, Under
from twin.role_parts import RoleAdapter
from twin.roles import RoleMap
from twin.router import NONE
from twin.types import Adapter, Embedder, Engine, Route, digest


class Routes:
    """Brier score (1950) of the router's probabilities, negated: 0 where it is certain of whom a message was for, -2
    where it is certain of another. With `graded` False 1 for a message that goes to whom it was for, else 0. A message
    for nobody is worth 0 and -1 (or 1 and 0) by whether the router abstains.

    A label means the role of that name: a map that merges two roles is right for those of one only, or a single role
    would be the best map. `corrections`: (text, role) pairs that the router knows besides the map.
    """

    def __init__(self, items: Sequence[Labelled], embedder: Embedder | None = None, *,
                 corrections: Iterable[tuple[str, str]] = (), graded: bool = True) -> None:
        self._items, self._corrections, self._graded = tuple(items), tuple(corrections), graded
        self._embedder = Remembering(embedder) if embedder else None
        self.items = len(self._items)
        told = [(one.turn, one.text, one.label) for one in self._items]
        self.metric = "brier" if graded else "router"
        self.id = f"{self.metric} {digest(repr((told, self._corrections, embedder.id if embedder else '')))[:16]}"
        self._fitted: tuple[str, Under] | None = None  # of the last map: the rest of its items often comes next

    def price(self, role_map: RoleMap, places: Sequence[int]) -> int:
        """Words of the map's examples, the corrections and these messages."""
        read = [*(text for role in role_map.roles for text in role.examples), *(text for text, _ in self._corrections),
                *(self._items[place].text for place in places)]
        return sum(len(text.split()) for text in read)

    def __call__(self, role_map: RoleMap, places: Sequence[int]) -> list[float]:
        """One number an item; see the class."""
        if self._fitted is None or self._fitted[0] != role_map.version:
            self._fitted = role_map.version, Under(role_map, self._embedder, corrections=self._corrections)
        router = self._fitted[1].router
        return [self._scored(self._items[place].label, router.route(self._items[place].text)) for place in places]

    def _scored(self, label: str, route: Route) -> float:
        if label == NONE:
            return float(route.abstained) - self._graded
        if not self._graded:
            return float(route.role == label)
        misses = sum(share**2 for name, share in route.probabilities.items() if name != label)
        return -misses - (1 - route.probabilities.get(label, 0.0))**2


class Foreseen:
    """Bits a character of what the person said or kept, negated: the fewer the better. Who answers is up to the map."""

    def __init__(self, items: Sequence[Said], engine: Engine, embedder: Embedder | None = None, *,
                 corrections: Iterable[tuple[str, str]] = (),
                 adapter: Callable[[RoleAdapter], Adapter | None] | None = None) -> None:
        self._items, self._bits, self._adapter = tuple(items), Bits(engine), adapter
        self._corrections, self._embedder = tuple(corrections), Remembering(embedder) if embedder else None
        self.items = len(self._items)
        told = [(one.key, one.context, one.text, one.role) for one in self._items]
        known = (told, self._corrections, engine.id, embedder.id if embedder else "")
        self.metric = "bits"
        self.id = f"bits {digest(repr(known))[:16]}"
        self._under: tuple[str, Under] | None = None

    def _of(self, role_map: RoleMap) -> Under:
        if self._under is None or self._under[0] != role_map.version:
            made = Under(role_map, self._embedder, corrections=self._corrections, adapter=self._adapter)
            self._under = role_map.version, made
        return self._under[1]

    def price(self, role_map: RoleMap, places: Sequence[int]) -> int:
        """Tokens of the prompts and the texts."""
        under, engine = self._of(role_map), self._bits.engine
        return sum(self._bits.price(under.asked(engine, self._items[place])) for place in places)

    def __call__(self, role_map: RoleMap, places: Sequence[int]) -> list[float]:
        """Bits a character, below 0. Raises what Engine.score raises."""
        under, engine = self._of(role_map), self._bits.engine
        return [-self._bits(under.asked(engine, self._items[place])).bits_per_character for place in places]
