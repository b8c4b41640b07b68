"""Learning: what Twin offers of training and likeness, for Python, notebooks and the command line alike."""
from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from twin.adapters import Kept
from twin.apprentice import Apprentice, Switched
from twin.asking import Asking
from twin.company import Company
from twin.errors import DeviceLost, UsageError
from twin.lessons import Lesson, Lessons, Source
from twin.likening import Likeness, Likening
from twin.person import Profile
from twin.records import Records
from twin.types import Embedder, Engine, Progress, never

if TYPE_CHECKING:
    from twin.training import Step


class Learning:
    """A part of Twin."""

    apprentice: Apprentice
    company: Company
    likening: Likening

    def _learns(self, records: Records, asking: Asking, embedder: Embedder | None, engine: Callable[[], Engine],
                release: Callable[[], None], profile: Callable[[], Profile]) -> None:
        lessons = Lessons(records.archive, asking, engine, profile)
        self.apprentice = Apprentice(records.home, records.archive, asking, lessons, release)
        self.likening = Likening(self.apprentice, records, embedder, engine)

    def lesson(self, role: str, *, source: Source = "messages", compiled: bool = False,
               progress: Progress | None = None, cancel: Callable[[], bool] = never, **how: Any) -> Lesson:
        """What a role would learn, and what that costs; nothing is learned yet. See Lessons.of."""
        return self.apprentice.lessons.of(role, source=source, compiled=compiled, progress=progress, cancel=cancel,
                                          **how)

    def train(self, lesson: Lesson | str, *, fresh: bool = False, progress: Progress | None = None,
              watch: Callable[[Step], None] | None = None, cancel: Callable[[], bool] = never, **how: Any) -> Kept:
        """Train an adapter for a role: `twin.train("critic", steps=200)`; `how` is what `lesson` takes. It stays off
        until `likeness` or `switch` lets the role speak through it. See Apprentice.train."""
        if isinstance(lesson, str):
            lesson = self.lesson(lesson, progress=progress, cancel=cancel, **how)
        elif how:
            raise UsageError(f"The lesson is ready; {', '.join(how)} cannot be set any more.", "Give it to `lesson`.")
        return self.apprentice.train(lesson, fresh=fresh, progress=progress, watch=watch, cancel=cancel)

    def adapters(self, role: str | None = None) -> list[Kept]:
        """The trained adapters, each with what was measured of it, the newest last."""
        return self.apprentice.adapters.all(role=role)

    def allow_adapter(self, name: str) -> None:
        """Let an adapter load although it was trained on what was forgotten since."""
        archive, home = self.apprentice.archive, self.apprentice.home
        if not (archive.allow_adapter(name) or archive.allow_adapter(home.adapter(name))):
            raise UsageError(f"There is no stale adapter {name!r}.", "Take its name or sha256 from the error.")

    def switch(self, role: str, adapter: str = "", *, on: bool = True, anyway: bool = False) -> Switched:
        """Let a role speak through a trained adapter, or with `on=False` without. See Apprentice.switch."""
        return self.apprentice.switch(role, adapter, on=on, anyway=anyway)

    def likeness(self, role: str = "", *, adapter: str = "", other: str | os.PathLike[str] | None = None,
                 me: Iterable[str] = (), held: int = 0, quick: bool = False, progress: Progress | None = None,
                 cancel: Callable[[], bool] = never) -> Likeness:
        """Whether a role's adapter is more like you than another person's, and what it costs; what the gate lets on is
        switched on. `other`: their export, folder or home. The scorer measures, where there is one: its core has to be
        the one the adapter was trained on. See Likening.measure."""
        names = tuple(me)

        def measured(by: Likening) -> Likeness:
            return by.measure(role, adapter=adapter, other=Path(other) if other else None, me=names, held=held,
                              quick=quick, progress=progress, cancel=cancel)

        scorer = self.company.engine("scorer")
        if scorer is not None:
            with suppress(DeviceLost):  # a measurement is of one core from its beginning to its end
                return measured(self.likening.on(scorer))
        return measured(self.likening)
