"""Reflecting: what Twin offers of signals, proposals and evolution, for Python, notebooks and the command line."""
from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from contextlib import suppress
from datetime import UTC, datetime
from functools import cached_property
from typing import TYPE_CHECKING, TypeVar

from twin.archive.role_maps import TRIAL
from twin.errors import DeviceLost, ModelMissing, TwinError
from twin.types import Embedder, Engine, Progress, Turn, never

if TYPE_CHECKING:
    from twin.archive import Archive, Signal, Stored, Verified
    from twin.asking import Asking
    from twin.company import Company
    from twin.consent import Trial
    from twin.genome import Way
    from twin.lineage import Lineage
    from twin.operations import Operation
    from twin.proof import Core
    from twin.proposals import Proof
    from twin.reflection import Due, Reflection
    from twin.review import Review
    from twin.roles import RoleMap
    from twin.watchdog import Alarm
    from twin.whatif import WhatIf

T = TypeVar("T")
IDLE_S = 20.0  # of a reflection that nobody asked for
_LOG = logging.getLogger(__name__)


class Reflecting:
    """A part of Twin."""

    archive: Archive
    asking: Asking
    company: Company
    embedder: Embedder | None

    def _reflects(self, engine: Callable[[], Engine], core: Callable[[], Core | None],
                  reopen: Callable[[int], Engine]) -> None:
        self._turns_under_way = 0
        self._with = engine, core
        self._reopen = reopen  # the same core once more, with so many active experts

    @cached_property
    def reflection(self) -> Reflection:
        """Everything about proposals: see its methods for what is not offered here."""
        from twin.reflection import Reflection  # here: a twin opens without the miners

        asking, (engine, core) = self.asking, self._with

        def proposes() -> Engine:
            return self.company.engine("reflection") or engine()

        return Reflection(asking.home, self.archive, asking.book, proposes, self.embedder, core=core,
                          constitution=lambda: asking.constitution, busy=lambda: self._turns_under_way > 0)

    def _turn(self, events: Iterator[T]) -> Iterator[T]:
        """The events of a turn: nobody reflects meanwhile, and a trial whose time has come ends before or after it."""
        self._end_trial()  # by the calendar: nobody may have asked for weeks
        self._turns_under_way += 1
        try:
            yield from events
        finally:
            self._turns_under_way -= 1
            self._end_trial()

    def _end_trial(self) -> None:
        with suppress(TwinError):  # the next turn tries again
            if not self._turns_under_way and self.archive.setting(TRIAL):
                self.reflection.tick()

    # ---- what the person does with answers -----------------------------------------------------------------------

    def rate(self, turn: Turn | str, good: bool) -> Signal:
        """A thumb up or down on an answer; the last one counts."""
        return self.archive.signal(_id(turn), "thumb", 1 if good else -1)

    def edited(self, turn: Turn | str, text: str) -> Signal:
        """The answer as the person would have it; the answer itself stays what was said."""
        return self.archive.signal(_id(turn), "edited", text)

    def again(self, turn: Turn | str) -> Signal:
        """Another answer was asked for."""
        return self.archive.signal(_id(turn), "regenerated", "")

    # ---- proposals -------------------------------------------------------------------------------------------------

    def due(self) -> Due:
        """Whether enough is new for another reflection, and what."""
        return self.reflection.due()

    def reflect(self, budget: float = 60.0, *, core: bool = False, progress: Progress | None = None,
                cancel: Callable[[], bool] = never) -> list[Stored]:
        """Look for changes of the role map that would help, for at most so many seconds; returns those to look at
        today. Nothing is changed. See Reflection.reflect."""
        try:
            return self.reflection.reflect(budget, core=core, progress=progress, cancel=cancel)
        except DeviceLost:
            if "reflection" not in self.company.members:
                raise
            return self.reflection.reflect(budget, core=core, progress=progress, cancel=cancel)  # by the core itself

    def idle(self, *, cancel: Callable[[], bool] = never) -> bool:
        """Reflect by rules for a few seconds, where enough is new and no turn is under way; whether it did. Faces call
        it between turns. The person asked for nothing, so a fault is no matter of theirs: its kind goes to the log."""
        def stop() -> bool:
            return cancel() or self._turns_under_way > 0

        try:
            if stop() or not self.due():
                return False
            self.reflection.reflect(IDLE_S, cancel=stop)
        except TwinError as error:
            _LOG.info("no reflection at idle: %s", type(error).__name__)
            return False
        return True

    def proposals(self, *, every: bool = False) -> list[Stored]:
        """Proposals that wait for a decision and are shown by today; with `every` all there ever were."""
        return self.archive.proposals() if every else self.reflection.shown()

    def proposals_waiting(self) -> int:
        """How many shown proposals wait for a decision."""
        return self.reflection.waiting()

    def review(self, proposal: str) -> Review:
        """Everything a decision needs: what would change, what a proof found, what got worse, what it costs."""
        from twin import review

        return review.of(self.reflection, proposal)

    def propose(self, operation: Operation) -> Stored:
        """Ask for a change yourself; it is proven and approved like any other."""
        return self.reflection.propose(operation)

    def prove(self, proposal: str, *, cancel: Callable[[], bool] = never) -> Proof:
        """Measure a proposal on data its maker never saw. See Reflection.prove."""
        return self.reflection.prove(proposal, cancel=cancel)

    def approve(self, proposal: str, *, high_risk: bool = False) -> RoleMap:
        """Put a proven proposal into force. See Consent.approve."""
        return self.reflection.approve(proposal, high_risk=high_risk)

    def reject(self, proposal: str, note: str = "") -> None:
        """Say no to a proposal."""
        self.reflection.reject(proposal, note)

    def attempt(self, proposal: str, turns: int = 50) -> RoleMap:
        """Try an unproven proposal for so many turns; it ends by itself. See Consent.attempt."""
        return self.reflection.attempt(proposal, turns)

    def rollback(self, proposal: str = "") -> RoleMap:
        """Take an applied or tried proposal back, byte for byte (default: the last one)."""
        return self.reflection.rollback(proposal)

    def evolve(self, budget: int, *, seed: int = 0, way: Way = "random", progress: Progress | None = None,
               cancel: Callable[[], bool] = never) -> tuple[Lineage, Stored | None]:
        """Search among many maps within a budget of words that routers read; returns the lineage, which shows itself,
        and the proposal that came of it, if any. See Reflection.evolve."""
        from twin.lineage import Lineage  # here: it draws

        run, made = self.reflection.evolve(budget, seed=seed, way=way, progress=progress, cancel=cancel)
        return Lineage(run), made

    def why_nothing(self, lineage: Lineage) -> dict[str, str]:
        """Why nothing was proposed from a run of `evolve`, by language."""
        from twin.evolution import silence  # here: as above

        return silence(lineage.run, datetime.now(UTC), [one.proposal for one in self.archive.proposals()])

    def whatif(self, said: str, *, progress: Progress | None = None, cancel: Callable[[], bool] = never) -> WhatIf:
        """Measure "16 roles", "temperature 0.3 for critic" or an operation as JSON; nothing is ever applied."""
        engine = None
        if not said.lstrip().startswith("{"):  # an operation is proven in a process of its own
            with suppress(ModelMissing):
                engine = self._with[0]()
        return self.reflection.what_if(said, engine, self._reopen, progress=progress, cancel=cancel)

    def trial(self) -> Trial | None:
        """The trial that runs."""
        return self.reflection.trial()

    def watch(self) -> list[Alarm]:
        """Changes in force that do worse than their proof let expect. See Reflection.watch."""
        return self.reflection.watch()

    def verify_audit(self) -> Verified:
        """Whether the audit of proposals and role maps is whole."""
        return self.archive.audit_verify()


def _id(turn: Turn | str) -> str:
    return turn if isinstance(turn, str) else turn.id
