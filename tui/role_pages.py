"""The pages of a role: its file to be edited, checked as one writes, and the history of the map, to go back in."""
from __future__ import annotations

import re
from typing import ClassVar

from rich.text import Text
from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.content import Content
from textual.timer import Timer
from textual.widgets import Static, TextArea

from twin.desk import Draft
from twin.errors import TwinError
from twin.role_book import Step
from twin.roles import RoleMap
from twin.text import one_line, printable
from twin.words import Words
from twin.words import error as spoken

from . import role_view
from .dialogs import Sure
from .fullscreen import FullScreen
from .shelf import Shelf, both

CHECKED_S = 0.3  # after the last key the file is read


_NOTES = re.compile(r"(?P<seed>seed roles)|rollback to #(?P<back>\d+)|adapter of (?P<role>\S+) (?P<on>on|off)|"
                    r"(?P<kind>proposal|trial of) (?P<id>\S+)|(?P<taken>\S+) taken back")


class Editor(TextArea):
    """A text to be edited, as it is: what no terminal should see is only drawn otherwise."""

    def get_line(self, line_index: int) -> Text:
        """A line as it can be drawn."""
        return Text(printable(self.document.get_line(line_index)), end="", no_wrap=True)


class RoleEdit(FullScreen):
    """The file of a role. What is wrong with it is said as one writes; what would change is said before it is kept."""

    BINDINGS: ClassVar[list[BindingType]] = [Binding("f5", "keep", "See what changes, keep it", id="role.keep")]
    DEFAULT_CSS = """
    RoleEdit > .body { padding: 0 2; }
    RoleEdit TextArea, RoleEdit TextArea:focus { height: 1fr; border: none; padding: 0; }
    RoleEdit .verdict { height: auto; max-height: 4; margin-top: 1; }
    """

    def __init__(self, role: str, text: str, *, new: bool = False) -> None:
        super().__init__()
        self.role, self.before = role, "" if new else text
        self._text = text
        self.said = ""  # what the screen below says afterwards
        self.draft: Draft | None = None
        self._later: Timer | None = None

    def heading(self) -> str:
        return self.words("The role {name}", name=self.role)

    def body(self) -> ComposeResult:
        yield Editor(self._text, show_line_numbers=True, tab_behavior="focus")
        yield Static(classes="verdict")

    def on_mount(self) -> None:
        if self.before == self._text:
            self.before = self.text  # mixed ends of lines are one kind in the editor
        self._text = self.text
        self.query_one(TextArea).focus()
        self.check()

    @property
    def text(self) -> str:
        """The file as it stands in the editor."""
        return self.query_one(TextArea).text

    @on(TextArea.Changed)
    def _changed(self) -> None:
        if self._later is not None:
            self._later.stop()
        self._later = self.set_timer(CHECKED_S, self.check)

    def check(self) -> None:
        """Read what is there by now; say what is wrong with it, or how much would change."""
        words, verdict = self.words, self.query_one(".verdict", Static)
        try:
            self.draft = self.twin.draft_role(self.role, self.text)
        except TwinError as error:
            self.draft = None
            verdict.update(Content.styled(one_line(spoken(error, words.language)), "$text-error"))
            return
        same = self.text == self.before
        said = words("As it stands in the folder.") if same else words.count(
            len(self.draft.changes), "It reads well. {n} change; f5 shows it and keeps it.",
            "It reads well. {n} changes; f5 shows them and keeps them.")
        verdict.update(Content.styled(said, "$text-muted" if same else "$text-success"))

    def action_keep(self) -> None:
        """Show what would change, and keep it if that is what is wanted."""
        self.check()
        if (draft := self.draft) is None:  # the verdict says why
            self.app.bell()
            return
        words = self.words
        if self.text == self.before:
            self.tell(words("Nothing is different from the folder."))
            return
        self.tell("")
        self.app.push_screen(Sure(words("Keep these changes?"), role_view.changes(draft.changes, words),
                                  words("Keep them"), words("Go on editing")),
                             lambda yes: self._keep(draft) if yes else None)

    def _keep(self, draft: Draft) -> None:
        def done(_: RoleMap) -> None:
            self.said = self.words("{name} is kept. h has the version before it.", name=self.role)
            self.dismiss()

        self.run_job(lambda *_: self.twin.save_role(draft), done)

    def action_back(self) -> None:
        """Leave; what was written and is not kept is asked about first."""
        words = self.words

        def sure(yes: bool | None) -> None:
            if yes:
                self.dismiss()

        if self.text == self._text or self._mine:
            super().action_back()
            return
        self.app.push_screen(Sure(words("Leave without keeping it?"), words("What you wrote here is lost then."),
                                  words("Leave"), words("Go on editing"), danger=True),
                             sure)


class RoleHistory(Shelf[Step]):
    """Every role map there was, the newest first, and the way back to one."""

    BINDINGS: ClassVar[list[BindingType]] = [Binding(both("b"), "back_to", "Back to this one", id="roles.rollback")]

    def heading(self) -> str:
        return self.words("History of the roles")

    def nothing(self) -> str:
        return self.words("The roles are as they came: nothing was changed yet.")

    def on_mount(self) -> None:
        self.note("")
        self.look()

    def look(self, said: str = "") -> None:
        """Read the history anew."""
        def done(steps: list[Step]) -> None:
            self.fill(steps)
            self.tell(said)

        self.run_job(lambda *_: self.twin.role_book.history(self.words.language), done)

    def row(self, thing: Step) -> Content:
        return Content.assemble((f"#{thing.number:<4} ", "bold"), f"{thing.made.astimezone():%Y-%m-%d %H:%M}  ",
                                (f"{self._author(thing)}  ", "$text-primary"),
                                (note(thing.note, self.words), "$text-muted"))

    def about(self, thing: Step) -> Content:
        if thing.parent is None and not thing.changes:
            return Content(self.words("The first map that was kept."))
        return role_view.changes(thing.changes, self.words)

    def _author(self, step: Step) -> str:
        words = self.words
        return {"owner": words("you"), "proposal": words("a proposal")}.get(step.author, one_line(step.author))

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        if action == "back_to":
            return self.chosen is not None and self.chosen is not self.things[0]
        return super().check_action(action, parameters)

    def action_back_to(self) -> None:
        """Make the chosen map the one in force again."""
        if (step := self.chosen) is None:
            return
        words = self.words
        try:
            lines = self.twin.role_book.diff(str(step.number), None, words.language)
        except TwinError as error:
            self.fail(error)
            return
        about = Content("\n").join([Content(words("What is different now from #{n}:", n=step.number)), Content(""),
                                    role_view.changes(lines, words)])
        self.app.push_screen(Sure(words("Back to #{n}?", n=step.number), about, words("Go back"),
                                  words("Stay")), lambda yes: self._back_to(step) if yes else None)

    def _back_to(self, step: Step) -> None:
        words = self.words

        def done(_: RoleMap) -> None:
            aside = "; ".join(f"{old} -> {new}" for old, new in self.twin.role_book.aside.items())
            self.look(words("The roles are those of #{n} again, byte for byte.", n=step.number) + (
                " " + words("Set aside: {files}.", files=one_line(aside)) if aside else ""))

        self.run_job(lambda *_: self.twin.role_book.rollback(str(step.number)), done)


def note(said: str, words: Words) -> str:
    """What the history says of a map: the program's own notes in the person's language, theirs as they are."""
    found = _NOTES.fullmatch(said)
    if found is None:
        return one_line(said)
    if found["seed"]:
        return words("the roles that came along")
    if found["back"]:
        return words("back to #{n}", n=found["back"])
    if found["role"]:
        return words("adapter of {role} on", role=found["role"]) if found["on"] == "on" else words(
            "adapter of {role} off", role=found["role"])
    if found["taken"]:
        return words("{id} taken back", id=found["taken"])
    return words("proposal {id}", id=found["id"]) if found["kind"] == "proposal" else words(
        "trial of {id}", id=found["id"])
