"""Proposals: what the twin would change about its roles, and everything the person can say to it: prove, approve, try,
reject, take back. Nothing changes without their yes."""
from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar

from textual.binding import Binding, BindingType
from textual.containers import VerticalScroll
from textual.content import Content
from textual.events import Resize

from twin import operations
from twin.consent import OPEN, TURNS, Trial
from twin.proposals import Proof, State
from twin.text import one_line
from twin.types import Progress
from twin.watchdog import Alarm

from . import proposal_view, role_view
from .background import Cancel
from .dialogs import OneLine, Sure
from .proposal_view import Entry
from .shelf import Shelf, both

SECONDS = 60.0  # of a reflection that is asked for
MOST = 60       # of all there ever were
_PROVABLE: tuple[State, ...] = ("open", "accepted", "unproven", "rejected", "stale")
_IN_FORCE: tuple[State, ...] = ("applied", "on trial")


@dataclass(frozen=True)
class _Read:
    """What was read for the screen."""

    entries: list[Entry]
    trial: Trial | None
    alarms: list[Alarm]


class Proposals(Shelf[Entry]):
    """What waits for a yes or a no; with `x` all there ever was."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding(both("p"), "prove", "Prove", id="proposals.prove"),
        Binding(both("a"), "approve", "Approve it", id="proposals.approve"),
        Binding(both("t"), "try", "Try", id="proposals.try"),
        Binding(both("r"), "reject", "Reject", id="proposals.reject"),
        Binding(both("b"), "take_back", "Take back", id="proposals.rollback"),
        Binding(both("f"), "reflect(False)", "Look for more", id="proposals.reflect"),
        Binding(both("l"), "reflect(True)", "With the core", id="proposals.core"),
        Binding(both("x"), "every", "All or today's", id="proposals.all"),
    ]

    def __init__(self) -> None:
        super().__init__()
        self.every = False

    def heading(self) -> str:
        return self.words("Proposals")

    def nothing(self) -> str:
        return self.words("Nothing waits for you. The twin proposes changes of its roles from what you corrected, "
                          "praised, blamed and edited; f looks for some now, x shows what was decided before.")

    def on_mount(self) -> None:
        self.note("")
        self.look()

    # ---- what is shown -----------------------------------------------------------------------------------------

    def look(self, said: str = "", name: str = "") -> None:
        """Read anew; the cursor goes to the proposal that is named, `said` stands below when they are there."""
        every = self.every

        def job(*_: object) -> _Read:
            found = self.twin.proposals(every=every)
            found = found[::-1][:MOST] if every else found
            return _Read([Entry(one, self.twin.review(one.proposal.id)) for one in found], self.twin.trial(),
                         self.twin.watch())

        def done(read: _Read) -> None:
            self._show(read, name)
            self.tell(said)

        self.run_job(job, done)

    def _show(self, read: _Read, name: str) -> None:
        lines = [Content(read.trial.say(self.words.language))] if read.trial else []
        lines += [Content.styled(proposal_view.alarm(one, self.words), "$text-error") for one in read.alarms]
        self.note(Content("\n").join(lines) if lines else "")
        ids = [one.review.id for one in read.entries]
        self.fill(read.entries, ids.index(name) if name in ids else None)

    def row(self, thing: Entry) -> Content:
        return proposal_view.row(thing, self.words)

    def about(self, thing: Entry) -> Content:
        width = self.query_one(".detail", VerticalScroll).size.width - 3
        return proposal_view.about(thing, self.words, width)

    def on_resize(self, _: Resize) -> None:
        self.call_after_refresh(self.draw)

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        if action not in ("prove", "approve", "try", "reject", "take_back"):
            return super().check_action(action, parameters)
        if (one := self.chosen) is None:
            return False
        stored, measurable = one.stored, operations.measurable(one.stored.proposal.operation)
        may = {"prove": measurable and stored.state in (*_PROVABLE, "on trial"),
               "approve": stored.state in ("accepted", "on trial") or (not measurable and stored.state in OPEN),
               "try": stored.state == "unproven" and one.review.risk == "low",
               "reject": stored.state in OPEN,
               "take_back": stored.state in _IN_FORCE and stored.proposal.target != "ledger"}
        return may[action]

    # ---- what the person says to it ----------------------------------------------------------------------------

    def _change(self, job: Callable[[Progress, Cancel], object], said: Callable[[], str], name: str,
                waiting: str = "") -> None:
        self.run_job(job, lambda _: self.look(said(), name), said=waiting)

    def action_prove(self) -> None:
        """Measure the chosen one on data its maker never saw."""
        if (one := self.chosen) is None:
            return

        def done(made: Proof) -> None:
            told = made.reason.get(self.words.language, made.verdict)
            self.look(self.words("Proof: {verdict}", verdict=one_line(told)), f"p-{made.proposal[:10]}")

        self.run_job(lambda _, cancel: self.twin.prove(one.review.id, cancel=cancel), done, said=self.words(
            "Measuring it on conversations it was not made from; esc stops …"))

    def action_approve(self) -> None:
        """Put the chosen one into force; what is of high risk is asked about twice."""
        if (one := self.chosen) is None:
            return
        words, review = self.words, one.review
        high = review.risk == "high"
        diff = review.diff[words.language]
        lines = role_view.changes(diff, words) if diff else review.says[words.language]

        def twice(yes: bool | None) -> None:
            if yes and high:
                self.app.push_screen(Sure(words("Really?"), words(
                    "It is of high risk: it makes or unmakes roles, or lets one see more. {what}",
                    what=review.says[words.language]), words("Yes, approve it"), words("No"), danger=True), sure)
            else:
                sure(yes)

        def sure(yes: bool | None) -> None:
            if yes:
                self._change(lambda *_: self.twin.approve(review.id, high_risk=high), lambda: words(
                    "Approved: it is in force from the next question on. b takes it back."), review.id)

        self.app.push_screen(Sure(words("Approve this change?"), lines, words("Approve it"), words("Not now"),
                                  danger=high), twice)

    def action_try(self) -> None:
        """Try the chosen one for a while."""
        if (one := self.chosen) is None:
            return
        words = self.words

        def given(text: str | None) -> None:
            if text is None:
                return
            if not text.strip().isdecimal() or not 1 <= int(text.strip()) <= 500:
                self.tell(words("A trial has 1 to 500 messages."), error=True)
                return
            turns = int(text.strip())
            self._change(lambda *_: self.twin.attempt(one.review.id, turns), lambda: words(
                "On trial. It ends by itself; b takes it back before."), one.review.id)

        self.app.push_screen(OneLine(words("Try it for how many messages?"), words(
            "Or two weeks, whichever is first; then the roles are as before, byte for byte."), str(TURNS)), given)

    def action_reject(self) -> None:
        """Say no to the chosen one."""
        if (one := self.chosen) is None:
            return
        words = self.words

        def given(note: str | None) -> None:
            if note is not None:
                self._change(lambda *_: self.twin.reject(one.review.id, note.strip()), lambda: words(
                    "Noted. After two refusals of the same kind there are two weeks of quiet."), one.review.id)

        self.app.push_screen(OneLine(words("Reject it?"), words(
            "Why, for yourself, or nothing; enter rejects it, esc leaves it."), hint=words("a note")), given)

    def action_take_back(self) -> None:
        """End the trial of the chosen one, or take it out of force."""
        if (one := self.chosen) is None:
            return
        words = self.words

        def sure(yes: bool | None) -> None:
            if yes:
                self._change(lambda *_: self.twin.rollback(one.review.id), lambda: words(
                    "Taken back: the role files are as they were before it."), one.review.id)

        self.app.push_screen(Sure(words("Take it back?"), one.review.says[words.language], words("Take it back"),
                                  words("Leave it")), sure)

    # ---- looking for more --------------------------------------------------------------------------------------

    def action_every(self) -> None:
        """All there ever was, or what waits today."""
        self.every = not self.every
        self.look()

    def action_reflect(self, core: bool) -> None:
        """Look for changes that would help, for a minute at most."""
        words = self.words
        if core and not self.twin.has("core"):
            self.tell(words("No core is here yet that could propose: esc, then /cores fetches one."), error=True)
            return
        known = {one.review.id for one in self.things}

        def job(progress: Progress, cancel: Cancel) -> int:
            found = self.twin.reflect(SECONDS, core=core, progress=progress, cancel=cancel)
            return sum(one.proposal.id not in known for one in found)

        def done(new: int) -> None:
            self.every = False
            self.look(words.count(new, "{n} new proposal.", "{n} new proposals.") if new else words(
                "Nothing new. It needs more answers that you corrected, rated or edited; at most three proposals a "
                "day are shown."))

        self.run_job(job, done, said=words("Looking through what you corrected, rated and edited …"))
