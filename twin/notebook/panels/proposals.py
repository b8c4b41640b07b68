"""Proposals: what the twin would change about its own roles - looked for, proven, reviewed, decided by the person.

What is of high risk takes a second click; one thing is decided at a time, and everything can be taken back.
"""
from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, ClassVar

import ipywidgets as widgets

from twin import operations
from twin.archive import Stored
from twin.notebook.base import button, line, row
from twin.notebook.html import Html, joined, piece
from twin.notebook.panels.frame import Panel, between, page, put
from twin.notebook.panels.pieces import Tone, changed, mark, note
from twin.notebook.panels.reviewed import drawn
from twin.review import Review, state
from twin.role_changes import changes

if TYPE_CHECKING:
    from twin.proposals import Proof, State
    from twin.roles import RoleMap

LOOKS_S = 60.0  # seconds that a click looks for changes
TURNS = 50      # of a trial
_TONES: dict[State, Tone] = {"accepted": "good", "applied": "good", "rejected": "bad", "on trial": "now",
                             "unproven": "now", "open": "now"}
_LIVE: tuple[State, ...] = ("on trial", "applied")


class Proposals(Panel):
    """What waits for a yes or a no. `shown` is the review below the list."""

    name = "proposals"
    does: ClassVar[tuple[str, ...]] = ("open", "reflect", "prove", "approve", "attempt", "reject", "rollback")
    shown: Review | None = None

    def title(self) -> tuple[str, str]:
        """What it is called, and what it is for."""
        return self.words("Proposals"), self.words("changes of the roles; nothing is in force without your yes")

    def build(self) -> None:
        """What can be asked for, the list, the review."""
        words = self.words
        self._sure = ""  # whose high risk was looked at
        self._news, self._list, self._review = (widgets.VBox() for _ in range(3))
        self._every = widgets.Checkbox(description=words("also what is decided"), indent=False,
                                       layout=widgets.Layout(width="auto"))
        self._every.observe(lambda _: self.click(self.refresh), "value")
        self._core = widgets.Checkbox(description=words("let the core propose too"), indent=False,
                                      layout=widgets.Layout(width="auto"))
        for box in (self._core, self._every):
            box.layout.margin = "2px 0 2px 1.2em"
        look = self.act(words("Look for changes now"), lambda: self.reflect(core=self._core.value), icon="search")
        self.body.children = (row([look, self._core, self._every]), self._news, self._list, self._review)

    def draw(self) -> None:
        """The list as it is now, and the review of what was open."""
        twin, spoken = self.twin, self.words.language
        found = twin.proposals(every=self._every.value)
        trial, alarms = twin.trial(), twin.watch()
        news: list[widgets.Widget] = [between(page(note(trial.say(spoken), "now")), [
            self.act(self.words("End the trial"), self.rollback, icon="undo")])] if trial else []
        news += [between(page(note(one.say(spoken), "bad")), [self.act(
            self.words("Take it back"), partial(self.rollback, one.proposal), icon="undo")]) for one in alarms]
        put(self._news, news)
        self._show(self.shown.id if self.shown else found[0].proposal.id if found and not self._every.value else "")
        put(self._list, [self._row(one) for one in reversed(found)] if found else [
            line(self.words("Nothing waits for you. {due}", due=twin.due().say(spoken)), "opacity:.65")])

    # ---- without clicking ----------------------------------------------------------------------------------------

    def open(self, proposal: str) -> Review:
        """`Twin.review`, drawn below the list."""
        with self.gate.alone():
            self.shown = self.twin.review(proposal)
            self.draw()
        return self.shown

    def reflect(self, budget: float = LOOKS_S, *, core: bool = False) -> list[Stored]:
        """`Twin.reflect`: look for changes, for at most so many seconds. Nothing is changed."""
        found: list[Stored] = []
        with self.working(self.words("looking for changes")) as busy:
            found = self.twin.reflect(budget, core=core, progress=busy, cancel=self.gate.stopping)
            self.draw()
            self.tell(self.words.count(len(found), "{n} proposal waits for you.", "{n} proposals wait for you."))
        return found

    def prove(self, proposal: str) -> Proof:
        """`Twin.prove`: measure it on conversations it was not made from. Minutes; it can be stopped."""
        with self.working(self.words("proving")):
            made = self.twin.prove(proposal, cancel=self.gate.stopping)
            self.shown = self.twin.review(f"p-{made.proposal[:10]}")
            self.draw()
        return made

    def approve(self, proposal: str, *, high_risk: bool = False) -> RoleMap:
        """`Twin.approve`: put a proven proposal into force."""
        with self.gate.alone():
            return self._done(self.twin.role_map, self.twin.approve(proposal, high_risk=high_risk))

    def attempt(self, proposal: str, turns: int = TURNS) -> RoleMap:
        """`Twin.attempt`: try an unproven one for so many turns; it ends by itself."""
        with self.gate.alone():
            return self._done(self.twin.role_map, self.twin.attempt(proposal, turns))

    def reject(self, proposal: str, note: str = "") -> None:
        """`Twin.reject`: say no."""
        with self.gate.alone():
            self.twin.reject(proposal, note)
            self.shown = self.twin.review(proposal)
            self.draw()
            self.tell(self.words("Noted: no. After two refusals of the same kind it is not proposed for two weeks."))

    def rollback(self, proposal: str = "") -> RoleMap:
        """`Twin.rollback`: take it back, byte for byte; by default the last one in force or on trial."""
        with self.gate.alone():
            return self._done(self.twin.role_map, self.twin.rollback(proposal))

    def _done(self, before: RoleMap, after: RoleMap) -> RoleMap:
        """The map is another one: say how, and draw anew."""
        if self.shown:
            self.shown = self.twin.review(self.shown.id)
        self.draw()
        said = changes(before, after, self.words.language)
        head = (self.words("Version {version} is in force.", version=after.version[:12])
                if before.version != after.version else self.words("The role map stays as it is."))
        self.tell(head, "good", changed(said))
        return after

    # ---- what is shown -------------------------------------------------------------------------------------------

    def _row(self, one: Stored) -> widgets.Widget:
        spoken, opened = self.words.language, self.shown is not None and self.shown.id == one.proposal.id
        told = page(joined([mark(state(one.state, spoken), _TONES.get(one.state, "quiet")), Html(" "),
                            piece(one.proposal.say(spoken), "font-weight:600" if opened else "")]))
        look = button(self.words("Open"), lambda: self.click(partial(self.open, one.proposal.id)))
        return between(told, [] if opened else [look])

    def _show(self, proposal: str) -> None:
        """The review, and what can be decided now."""
        self._sure = ""
        if not proposal:
            put(self._review, [])
            return
        self.shown = self.twin.review(proposal)
        box = widgets.VBox([page(*drawn(self.shown, self.words)), *self._decisions(self.shown)],
                           layout=widgets.Layout(border="1px solid rgba(128,128,128,.3)", padding="6px 10px",
                                                 margin="6px 0 0 0"))
        put(self._review, [box])

    def _decisions(self, one: Review) -> list[widgets.Widget]:
        """Buttons for what its state allows; the likeliest is the primary one."""
        words, made = self.words, list[widgets.Widget]()
        if one.broken:
            return [row([self._no(one)])]
        if one.state in _LIVE:
            made.append(self.act(words("Take it back"), partial(self.rollback, one.id), icon="undo"))
        measurable = operations.measurable(self.twin.archive.proposal(one.id).proposal.operation)
        decided = one.state in (*_LIVE, "declined", "rolled back")
        stale = not one.fits or one.state == "stale"
        if one.state == "on trial" or (measurable and not decided):
            made.append(self.act(words("Prove it") if not one.proof or stale else words("Prove it again"),
                                 partial(self.prove, one.id), icon="balance-scale",
                                 primary=one.state == "open" or stale))
        if not decided and not stale and (one.state == "accepted" or not measurable):
            made.append(self._yes(one))
        if one.state == "unproven" and one.risk == "low" and not stale:
            made.append(self.act(words.count(TURNS, "Try it for {n} message", "Try it for {n} messages"),
                                 partial(self.attempt, one.id), icon="flask", primary=True))
        return [row(made)] + ([] if decided else [row([self._no(one)])])

    def _yes(self, one: Review) -> widgets.Button:
        """Approve; what is of high risk asks once more."""
        words = self.words
        made = button(words("Approve"), icon="check", primary=True)

        def clicked() -> None:
            if one.risk == "high" and self._sure != one.id:
                self._sure, made.button_style = one.id, "danger"
                made.description = words("High risk: approve it by a second click")
                return
            self.click(lambda: self.approve(one.id, high_risk=one.risk == "high"))

        made.on_click(lambda _: clicked())
        return made

    def _no(self, one: Review) -> widgets.Widget:
        why = widgets.Text(placeholder=self.words("why not, for yourself"), layout=widgets.Layout(width="16em"))
        return row([self.act(self.words("Reject"), lambda: self.reject(one.id, why.value.strip()), icon="times"), why])
