"""Pace: how often something that grows is drawn anew."""
from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

REDRAW_S = 0.125  # between two updates: a notebook that gets more than about 10 a second falls behind


class Pace:
    """Draws a value that changes often: a few times a second, and the last one always by `last`."""

    def __init__(self, draw: Callable[[Any], None], seconds: float = REDRAW_S) -> None:
        self._draw, self._seconds = draw, seconds
        self._next = 0.0

    def __call__(self, make: Callable[[], Any]) -> None:
        """Draw what `make` gives, if it is time to; else it is not made."""
        if time.monotonic() >= self._next:
            self.last(make())

    def last(self, value: Any) -> None:
        """Draw at once."""
        self._draw(value)
        self._next = time.monotonic() + self._seconds
