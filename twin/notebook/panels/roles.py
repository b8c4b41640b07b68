"""Roles: the role map as files - read, written anew with what that changes said first, its history, adapters.

The text in the field is checked while it is written. Nothing is in force before `save`, `drop`, `rollback` or `scale`.
"""
from __future__ import annotations

from contextlib import suppress
from functools import partial
from typing import ClassVar

import ipywidgets as widgets

from twin.desk import STRONGEST, Draft
from twin.errors import TwinError, UsageError
from twin.notebook.base import button, foldable, line, row
from twin.notebook.html import Html, joined, piece
from twin.notebook.panels.frame import Panel, between, page, put
from twin.notebook.panels.pieces import changed, faint, mark, note, title
from twin.role_book import Step
from twin.roles import Role, RoleMap

STEPS = 20      # of the history
CHECKS_S = 0.4  # after the last letter
_NEW = """---
id: {id}
title: {{en: {title}, ru: {title}}}
purpose:
  en: What this role is for, in one sentence.
  ru: Для чего эта роль, одним предложением.
examples:
  - A question that this role should get.
  - Вопрос, который должен достаться этой роли.
---

## Stance

You are {title}. Say who you are, and how you speak.

## Позиция

Ты {title}. Скажи, кто ты и как говоришь.
"""


class Roles(Panel):
    """The roles of one twin. `role` is the id of the one in the field."""

    name = "roles"
    does: ClassVar[tuple[str, ...]] = ("open", "check", "save", "add", "drop", "rollback", "scale", "off")

    def title(self) -> tuple[str, str]:
        """What it is called, and what it is for."""
        return self.words("Roles"), self.words("who answers, as files that you write")

    def build(self) -> None:
        """The list, the field, what a change would be, the history."""
        words = self.words
        self.role, self._base, self._sure = "", "", ""  # the one in the field, its file in force, what is to be dropped
        self._fill = False  # while the field is filled by the panel, nothing is checked
        self._list = widgets.Select(rows=12, layout=widgets.Layout(width="13em", flex="0 0 auto"))
        self._list.observe(self._chosen, "value")
        self._about, self._adapter, self._changes, self._history = (widgets.VBox() for _ in range(4))
        self._text = widgets.Textarea(rows=18, continuous_update=True,
                                      layout=widgets.Layout(width="auto", flex="1 1 auto"))
        self._text.observe(self._typed, "value")
        self._note = widgets.Text(placeholder=words("a note for the history"), layout=widgets.Layout(flex="1 1 10em"))
        self._save = self.act(words("Save"), self.save, icon="check", primary=True)
        self._back = button(words("Undo my changes"), lambda: self.click(lambda: self.open(self.role)), icon="undo")
        self._drop = self.act(words("Drop the role"), self._dropped, icon="trash")
        self._id = widgets.Text(placeholder=words("id of a new role"), layout=widgets.Layout(width="13em"))
        add = self.act(words("Add"), lambda: self.add(self._id.value.strip()), icon="plus")
        left = widgets.VBox([self._list, self._id, add])
        right = widgets.VBox([self._about, self._adapter, self._text, self._changes,
                              row([self._save, self._note, self._back, self._drop])],
                             layout=widgets.Layout(flex="1 1 24em", width="auto", padding="0 0 0 10px"))
        self.body.children = (widgets.HBox([left, right], layout=widgets.Layout(width="100%", flex_flow="row wrap")),
                              self._history)

    def draw(self) -> None:
        """The map in force; the field keeps what was written into it and not saved."""
        now = self.twin.role_map
        self._fill = True
        self._list.options = [(self._named(role), role.id) for role in now.roles]
        self._list.value = self.role if self.role in now.ids else None
        self._fill = False
        if self._text.value == self._base:
            self._show(self.role if self.role in now.ids else now.ids[0])
        unfolded = any(fold.selected_index is not None for fold in self._history.children)
        put(self._history, [foldable(self.words("History"), self._steps, opened=unfolded)])
        if refusal := self.twin.role_book.refusal:
            self.tell(self.said(refusal), "bad")

    # ---- without clicking ----------------------------------------------------------------------------------------

    def open(self, role: str) -> str:
        """Put a role's file into the field; what was not saved of another one is lost. Returns the text."""
        with self.gate.alone():
            self.twin.role_map.role(role)
            self._show(role)
        return str(self._text.value)

    def check(self, text: str | None = None) -> Draft:
        """What the text (default: that of the field) would change; nothing is written. Raises RoleError with line and
        reason for what cannot be read."""
        with self.gate.alone():
            return self._checked(self._text.value if text is None else text)

    def save(self, text: str | None = None, note: str = "") -> RoleMap:
        """Put the text (default: that of the field) into force, as a step of the history."""
        with self.gate.alone():
            draft = self._checked(self._text.value if text is None else text)
            return self._put(draft, note or self._note.value.strip())

    def add(self, role: str, text: str = "") -> str:
        """Put a new role into the field: this text, else one to begin with. `save` makes it a role."""
        with self.gate.alone():
            if role in self.twin.role_map.ids:
                raise UsageError(f"There is a role {role!r} already.", "Choose another id.")
            text = text or _NEW.format(id=role, title=role.replace("-", " ").capitalize())
            before, (self.role, self._base) = (self.role, self._base), (role, "")
            try:
                self._checked(text)
            except TwinError:
                self.role, self._base = before
                raise
            self._filled(text)
            self._id.value = ""
            self.tell(self.words("Write what the new role is; it is one when you save it."))
        return text

    def drop(self, role: str = "") -> RoleMap:
        """Take a role (default: the one in the field) out of the map. The history keeps it."""
        with self.gate.alone():
            return self._put(self.twin.draft_role(role or self.role, None), self._note.value.strip())

    def rollback(self, which: str) -> RoleMap:
        """`RoleBook.rollback`: an earlier map, byte for byte; `which` is its number, or how its version begins."""
        with self.gate.alone():
            made = self.twin.role_book.rollback(which)
            self._after()
        return made

    def scale(self, value: float, role: str = "") -> RoleMap:
        """`Twin.tune`: how strongly the role's adapter acts, 0 to 1.5."""
        with self.gate.alone():
            made = self.twin.tune(role or self.role, scale=value)
            self._after()
        return made

    def off(self, role: str = "") -> RoleMap:
        """Let a role speak without its adapter."""
        with self.gate.alone():
            self.twin.switch(role or self.role, on=False)
            self._after()
        return self.twin.role_map

    # ---- the field -----------------------------------------------------------------------------------------------

    def _chosen(self, change: dict[str, object]) -> None:
        if not self._fill and change["new"]:
            self.click(partial(self.open, str(change["new"])))

    def _typed(self, _: object) -> None:
        """Check when the hand rests; a check never waits for an answer that is being written."""
        if not self._fill:
            self.gate.soon("role", self._live, lambda _: None, seconds=CHECKS_S)

    def _live(self) -> None:
        with suppress(TwinError):  # what is wrong with the text is drawn
            self.check()

    def _checked(self, text: str) -> Draft:
        """The draft of a text, drawn: what it changes, or why it cannot be read."""
        self._sure, self._drop.description = "", self.words("Drop the role")
        try:
            draft = self.twin.draft_role(self.role, text)
        except TwinError as error:
            put(self._changes, [page(note(self.said(error), "bad"))])
            self._save.disabled = True
            raise
        same = draft.files == self._files
        self._save.disabled = same
        put(self._changes, [page(*self._told(draft, same))])
        return draft

    def _told(self, draft: Draft, same: bool) -> list[Html]:
        words = self.words
        if draft.changes:
            return [title(words("What saving would change")), changed(draft.changes)]
        return [faint(words("As it is in force.") if same else words("Only the layout and comments are different."))]

    def _show(self, role: str) -> None:
        """Fill everything for this role, as it is in force."""
        self.role = role
        text = self._base = self.twin.role_text(role)
        self._files = dict(self.twin.draft_role(role, text).files)
        found = self.twin.role_map.role(role)
        put(self._about, [page(joined([piece(found.title.of(self.words.language), "font-weight:600"), Html(" "),
                                       mark(role)]), faint(found.purpose.of(self.words.language)))])
        put(self._adapter, self._speaks(found))
        self._filled(text)
        self._checked(text)
        self._fill = True
        self._list.value = role
        self._fill = False

    def _filled(self, text: str) -> None:
        self._fill = True
        self._text.value = text
        self._fill = False

    def _put(self, draft: Draft, note: str) -> RoleMap:
        before = set(self.twin.role_map.ids)
        made = self.twin.save_role(draft, note)
        if new := set(made.ids) - before:
            self.role = min(new)
        self._after()
        put(self._changes, [page(changed(draft.changes))] if draft.changes else [])
        return made

    def _after(self) -> None:
        """Something is in force now: draw it, and forget what was not saved."""
        self._base, self._note.value = self._text.value, ""
        self.draw()
        self.tell(self.words("Version {version} is in force.", version=self.twin.role_map.version[:12]), "good")

    def _dropped(self) -> None:
        """The first click asks, the second one does it."""
        if self._sure != self.role:
            self._sure = self.role
            self._drop.description = self.words("Drop it: click once more")
            return
        self._sure, self._drop.description = "", self.words("Drop the role")
        self.drop()

    # ---- the adapter, the history --------------------------------------------------------------------------------

    def _named(self, role: Role) -> str:
        return f"{role.title.of(self.words.language)}{' ●' if role.adapter else ''}"

    def _speaks(self, role: Role) -> list[widgets.Widget]:
        """How strongly the adapter acts, where the role has one."""
        if role.adapter is None:
            return []
        slider = widgets.FloatSlider(role.adapter.scale, min=0, max=STRONGEST, step=.05,
                                     description=self.words("Adapter"), readout_format=".2f", continuous_update=False,
                                     layout=widgets.Layout(width="22em"))
        slider.observe(lambda change: self.click(partial(self.scale, change["new"], role.id)), "value")
        return [row([slider, self.act(self.words("Speak without it"), partial(self.off, role.id), icon="power-off")])]

    def _steps(self) -> list[widgets.Widget]:
        """The newest entries of the history, with the way back to each."""
        steps = self.twin.role_book.history(self.words.language, STEPS)
        return [self._step(one, newest=at == 0) for at, one in enumerate(steps)] or [
            line(self.words("Nothing was changed yet."))]

    def _step(self, one: Step, *, newest: bool) -> widgets.Widget:
        words = self.words
        by = {"owner": words("you"), "proposal": words("a proposal")}.get(str(one.author), str(one.author))
        told = page(joined([piece(f"#{one.number}  {one.made:%Y-%m-%d %H:%M}", "font-weight:500"), Html(" "), mark(by),
                            *([Html(" "), piece(one.note, "opacity:.75")] if one.note else [])]),
                    changed(one.changes))
        back = [] if newest else [self.act(words("Back to this"), partial(self.rollback, str(one.number)), icon="undo")]
        return between(told, back)
