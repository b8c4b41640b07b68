"""What a role map is scored by in a search: how sure its router is of the right role.

The data are a proof's selection set. The measure is finer than the proof's right and wrong: on some 30 messages nine of
ten single changes of examples turn no route (104 of 120 maps), so a search by that stands still. What it costs is
counted in the words a router reads: the map's examples, which it is fitted on, and the messages.
"""
from __future__ import annotations

from collections.abc import Iterable, Sequence

from twin.evidence import Labelled
from twin.proof.metrics import Remembering, Under
from twin.roles import RoleMap
from twin.router import NONE
from twin.types import Embedder, Route, digest


class Routes:
    """Brier score (1950) of the router's probabilities, negated: 0 where it is certain of whom a message was for, -2
    where it is certain of another. With `graded` False 1 for a message that goes to whom it was for, else 0. A message
    for nobody is worth 0 and -1 (or 1 and 0) by whether the router abstains.

    A label means the role of that name: a map that merges two roles is right for those of one only, or a single role
    would be the best map. `corrections`: (text, role) pairs that the router knows besides the map.
    """

    unit = "words"

    def __init__(self, items: Sequence[Labelled], embedder: Embedder | None = None, *,
                 corrections: Iterable[tuple[str, str]] = (), graded: bool = True) -> None:
        self._items, self._corrections, self._graded = tuple(items), tuple(corrections), graded
        self._embedder = Remembering(embedder) if embedder else None
        self.items = len(self._items)
        told = [(one.turn, one.text, one.label) for one in self._items]
        self.metric = "brier" if graded else "router"
        self.id = f"{self.metric} {digest(repr((told, self._corrections, embedder.id if embedder else '')))[:16]}"
        self._fitted: tuple[str, Under] | None = None  # of the last map

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
