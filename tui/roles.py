"""Roles: who may answer. The list, one of them whole, and what can be done with it: edit, add, drop, its adapter, the
history."""
from __future__ import annotations

from collections.abc import Callable
from typing import ClassVar

from textual.binding import Binding, BindingType
from textual.content import Content

from twin.adapters import Kept
from twin.apprentice import Switched
from twin.desk import STRONGEST
from twin.errors import TwinError, UsageError
from twin.roles import Role, RoleMap
from twin.text import one_line
from twin.words import error as spoken
from twin.words import sentence

from . import role_view
from .dialogs import OneLine, Sure
from .role_pages import RoleEdit, RoleHistory
from .shelf import Shelf, both


class Roles(Shelf[Role]):
    """The role map in force."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding(both("e"), "edit", "Edit", id="roles.edit"),
        Binding(both("n"), "new", "New role", id="roles.new"),
        Binding(both("d"), "drop", "Drop", id="roles.drop"),
        Binding(both("o"), "adapter", "Adapter on/off", id="roles.adapter"),
        Binding(both("s"), "strength", "Strength", id="roles.strength"),
        Binding(both("h"), "history", "History", id="roles.history"),
    ]

    def __init__(self) -> None:
        super().__init__()
        self.trained: dict[str, list[Kept]] = {}

    def heading(self) -> str:
        return self.words("Roles")

    def on_mount(self) -> None:
        self.note("")
        self.look()

    def look(self, said: str = "", name: str = "") -> None:
        """Read the roles anew; the cursor goes to the role that is named, `said` stands below when they are there."""
        def job(*_: object) -> tuple[RoleMap, list[Kept]]:
            return self.twin.role_map, self.twin.adapters()

        def done(read: tuple[RoleMap, list[Kept]]) -> None:
            role_map, kept = read
            self.trained = {role.id: [one for one in kept if one.role == role.id] for role in role_map.roles}
            self._refusal()
            self.fill(role_map.roles, role_map.ids.index(name) if name in role_map.ids else None)
            self.tell(said)

        self.run_job(job, done)

    def _refusal(self) -> None:
        """A hand edit that cannot be read, said over the list."""
        refusal = self.twin.role_book.refusal
        self.note(Content.styled(one_line(" ".join([
            sentence(refusal.what, self.words.language),
            self.words("Correct it; until then the roles before that edit stay active.")])), "$text-error")
            if refusal else "")

    def row(self, thing: Role) -> Content:
        return role_view.row(thing, self.words)

    def about(self, thing: Role) -> Content:
        return role_view.about(thing, self.trained.get(thing.id, []), self.words)

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        one = self.chosen
        if action in ("edit", "drop"):
            return one is not None
        if action == "adapter":
            return one is not None and bool(one.adapter or self.trained.get(one.id))
        if action == "strength":
            return one is not None and one.adapter is not None
        return super().check_action(action, parameters)

    # ---- editing -----------------------------------------------------------------------------------------------

    def open(self) -> None:
        self.action_edit()

    def action_edit(self) -> None:
        """The file of the chosen role."""
        if (one := self.chosen) is None:
            return
        try:
            text = self.twin.role_text(one.id)
        except TwinError as error:
            self.fail(error)
            return
        self._write(one.id, text)

    def action_new(self) -> None:
        """A role that is not there yet."""
        def named(name: str | None) -> None:
            if not name or not name.strip():
                return
            name = name.strip()
            if name in self.twin.role_map.ids:
                self.tell(self.words("There is a role {name} already; e edits it.", name=name), error=True)
                return
            self._write(name, role_view.blank(name, self.words), new=True)

        self.app.push_screen(OneLine(
            self.words("A new role"), self.words("Its id: small Latin letters, digits and dashes, such as cook. The "
                                                 "name of its file, and how it is called in commands.")), named)

    def _write(self, name: str, text: str, *, new: bool = False) -> None:
        def closed(_: None) -> None:
            self.look(editor.said, name)

        editor = RoleEdit(name, text, new=new)
        self.app.push_screen(editor, closed)

    def action_drop(self) -> None:
        """Take the chosen role out of the map."""
        if (one := self.chosen) is None:
            return
        words = self.words
        try:
            draft = self.twin.draft_role(one.id, None)
        except TwinError as error:
            self.fail(error)
            return

        def sure(yes: bool | None) -> None:
            if yes:
                self._change(lambda: self.twin.save_role(draft), words("{name} is dropped. h has it in the history.",
                                                                       name=one.id))

        self.app.push_screen(Sure(words("Drop the role {name}?", name=one.id), role_view.changes(draft.changes, words),
                                  words("Drop it"), words("Keep it"), danger=True), sure)

    def action_history(self) -> None:
        """Every map there was."""
        self.app.push_screen(RoleHistory(), lambda _: self.look())

    def _change(self, job: Callable[[], object], said: str, failed: Callable[[TwinError], None] | None = None) -> None:
        """Change the map, then show it."""
        name = self.chosen.id if self.chosen else ""
        self.run_job(lambda *_: job(), lambda _: self.look(said, name), failed)

    # ---- its adapter -------------------------------------------------------------------------------------------

    def action_adapter(self) -> None:
        """Let the role speak through its newest adapter, or without."""
        if (one := self.chosen) is None:
            return
        words, on = self.words, one.adapter is None
        said = words("{name} speaks through its adapter.", name=one.id) if on else words(
            "{name} speaks without its adapter.", name=one.id)

        def switch(*, anyway: bool = False) -> Switched:
            return self.twin.switch(one.id, on=on, anyway=anyway)

        def failed(error: TwinError) -> None:
            if on and isinstance(error, UsageError):
                self.app.push_screen(Sure(words("Switch it on all the same?"), spoken(error, words.language),
                                          words("Switch it on"), words("Leave it off"), danger=True), sure)
            else:
                self.fail(error)

        def sure(yes: bool | None) -> None:
            if yes:
                self._change(lambda: switch(anyway=True), said)

        self._change(switch, said, failed)

    def action_strength(self) -> None:
        """How strongly the adapter acts."""
        if (one := self.chosen) is None or one.adapter is None:
            return
        words = self.words

        def given(text: str | None) -> None:
            if not text or not text.strip():
                return
            try:
                scale = float(text.strip().replace(",", "."))
            except ValueError:
                scale = -1.0
            if not 0 <= scale <= STRONGEST:
                self.tell(words("The strength is a number from 0 to {most}.", most=f"{STRONGEST:g}"), error=True)
                return
            self._change(lambda: self.twin.tune(one.id, scale=scale), words(
                "{name}: its adapter acts with strength {n}.", name=one.id, n=f"{scale:g}"))

        self.app.push_screen(OneLine(words("How strongly the adapter acts"), words(
            "0 is not at all, 1 as it was trained, {most} the most.", most=f"{STRONGEST:g}"), f"{one.adapter.scale:g}"),
            given)
