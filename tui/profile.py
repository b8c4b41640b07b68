"""The profile on a screen: the position, the seven levels, months, topics, and every claim, to be approved, rejected,
pinned or reworded."""
from __future__ import annotations

from typing import ClassVar, cast

from textual.binding import Binding, BindingType
from textual.content import Content

from twin.errors import UsageError
from twin.person import Action, Profile
from twin.reader import Cost
from twin.report.content import content
from twin.text import one_line
from twin.types import Progress
from twin.verification import Verification

from .background import Cancel, number
from .dialogs import OneLine, Sure
from .doors import door
from .profile_view import Part, claim, claim_row, parts
from .quotes import Quotes
from .shelf import Shelf, both
from .versions import Versions

READ = 40  # messages that the core reads at once


class ProfileScreen(Shelf[Part]):
    """What the messages show of the person. Its parts first, then the claims, in the order of the report."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding(both("a"), "decide('approve')", "Approve", id="profile.approve"),
        Binding(both("r"), "decide('reject')", "Reject", id="profile.reject"),
        Binding(both("p"), "decide('pin')", "Pin", id="profile.pin"),
        Binding(both("e"), "edit", "Reword", id="profile.edit"),
        Binding(both("u"), "undo", "Undo", id="profile.undo"),
        Binding(both("w"), "why", "Quotes", id="profile.why"),
        Binding(both("v"), "versions", "Versions", id="profile.versions"),
        Binding(both("c"), "check", "Check quotes", id="profile.check"),
        Binding(both("k"), "read", "Let the core read", id="profile.read"),
        Binding(both("i"), "import", "Import", id="profile.import"),
    ]

    def __init__(self) -> None:
        super().__init__()
        self.profile: Profile | None = None
        self._decided = ""  # the claim that was decided about last

    def heading(self) -> str:
        return self.words("What your messages show")

    def nothing(self) -> str:
        return self.words("Nothing of yours is here yet, so there is nothing to say about you. Press i to import what "
                          "you wrote.") if self.profile is not None else ""

    def on_mount(self) -> None:
        self.note("")
        self.build()

    def redraw(self) -> None:
        super().redraw()
        self.build()

    # ---- what is shown -----------------------------------------------------------------------------------------

    def build(self, said: str = "") -> None:
        """The profile as it is now; `said` stands below when it is there."""
        def done(made: Profile) -> None:
            self._show(made)
            self.tell(said)

        self.run_job(lambda progress, cancel: self.twin.profile(language=self.words.language, progress=progress,
                                                                cancel=cancel), done)

    def _show(self, made: Profile) -> None:
        self.profile = made
        if not made.own_messages:
            self.fill([])
            return
        said = content(made)
        known = {one.id: one for one in made.claims}
        claims = [Part(one.text, claim(one, said), one, known[one.id].confidence, known[one.id].decided)
                  for group in (said.shown, said.stated, said.topical) for one in group if one.id in known]
        self.fill([*parts(said), *claims])

    def row(self, thing: Part) -> Content:
        if thing.claim is None:
            return Content.assemble(("◆   ", "$primary"), (one_line(thing.title), "bold"))
        return claim_row(thing)

    def about(self, thing: Part) -> Content:
        return thing.about

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        on_claim = self.chosen is not None and self.chosen.claim is not None
        if action in ("decide", "edit", "why"):
            return on_claim
        if action == "undo":
            return bool(self._decided or (on_claim and self.chosen and self.chosen.decided))
        if action in ("versions", "check", "read"):
            return bool(self.things)
        if action == "import":
            return self.profile is not None and not self.things
        return super().check_action(action, parameters)

    # ---- what the person decides -------------------------------------------------------------------------------

    def _claim(self) -> str:
        if self.chosen is None or self.chosen.claim is None:
            raise UsageError("No claim is chosen.", "Go to one first.")
        return self.chosen.claim.id

    def action_decide(self, action: str) -> None:
        """Approve, reject or pin the chosen claim."""
        self._decide(self._claim(), cast(Action, action))

    def action_edit(self) -> None:
        """Say the chosen claim in other words."""
        name = self._claim()
        assert self.profile is not None  # noqa: S101 - for the type checker
        found = self.profile.claim(name)

        def said(text: str | None) -> None:
            if text and text.strip() and found and text.strip() != found.text:
                self._decide(name, "edit", text)

        self.app.push_screen(OneLine(self.words("In your words"), self.words(
            "Enter keeps it: the claim has your words from now on. Esc leaves it."),
            one_line(found.text) if found else ""), said)

    def action_undo(self) -> None:
        """Take the last decision on the chosen claim back; where there is none on it, the last one made here."""
        here = self.chosen
        name = here.claim.id if here and here.claim and here.decided else self._decided
        self._decide(name, "undo")

    def _decide(self, name: str, action: Action, text: str = "") -> None:
        words = self.words
        said = {"approve": words("Approved: it counts as your own word. u takes that back."),
                "reject": words("Rejected: no profile shows it again. u takes that back."),
                "pin": words("Pinned: it comes first. u takes that back."),
                "edit": words("It has your words now. u takes that back."),
                "undo": words("The last decision on it is taken back.")}[action]

        def job(progress: Progress, _: Cancel) -> Profile:
            self.twin.decide(name, action, text)
            return self.twin.profile(language=words.language, progress=progress)

        def done(made: Profile) -> None:
            self._decided = "" if action == "undo" else name
            self._show(made)
            self.tell(said)

        self.run_job(job, done)

    # ---- what it rests on --------------------------------------------------------------------------------------

    def open(self) -> None:
        if self.chosen is not None and self.chosen.claim is not None:
            self.action_why()

    def action_why(self) -> None:
        """The quotes of the chosen claim in their context."""
        self.app.push_screen(Quotes(self._claim()))

    def action_versions(self) -> None:
        """How the profile came to be."""
        self.app.push_screen(Versions())

    def action_check(self) -> None:
        """Whether every quote still stands where it was taken from."""
        self.run_job(lambda *_: self.twin.verify(), self._checked)

    def _checked(self, found: Verification) -> None:
        self.tell(str(found), error=not found.ok)

    def action_import(self) -> None:
        """Bring something first."""
        self.app.push_screen(door("import"), lambda _: self.build())

    def action_read(self) -> None:
        """Let the core read some more messages; what that costs is told first."""
        if not self.twin.has("core"):
            self.tell(self.words("No core is here yet that could read: esc, then /cores fetches one."), error=True)
            return
        self.run_job(lambda *_: self.twin.cost(READ), self._costs,
                     said=self.words("Loading the core and timing it …"))

    def _costs(self, cost: Cost) -> None:
        words = self.words
        if not cost.messages:
            self.tell(words("The core has read everything that could show more."))
            return
        takes = words("an unknown time") if cost.seconds is None else words(
            "about {n} s", n=round(cost.seconds)) if cost.seconds < 90 else words(
            "about {n} min", n=round(cost.seconds / 60))
        about = words("{n} messages, {tokens} tokens, {time}. Esc stops it; what it has read by then is kept.",
                      n=cost.messages, tokens=number(words, cost.tokens), time=takes)
        self.app.push_screen(Sure(words("Let the core read?"), about, words("Read them"), words("Not now")),
                             self._reads)

    def _reads(self, yes: bool | None) -> None:
        if yes:
            self.run_job(lambda progress, cancel: self.twin.profile(
                read=READ, language=self.words.language, progress=progress, cancel=cancel), self._show)
