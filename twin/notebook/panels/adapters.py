"""The trained adapters as rows - what was measured of each, through which roles speak, on and off - and how like the
person one is, as a table."""
from __future__ import annotations

import math
from functools import partial
from typing import TYPE_CHECKING, Any

import ipywidgets as widgets

from twin.adapters import Kept
from twin.notebook.base import button, foldable, line, row
from twin.notebook.html import Html, joined, piece
from twin.notebook.panels.frame import between, page, put
from twin.notebook.panels.pieces import bullets, faint, grid, mark, note, number, title
from twin.words import Words

if TYPE_CHECKING:
    from twin.likening import Likeness
    from twin.notebook.panels.training import Training


class AdapterList:
    """The adapters of a twin, the newest first."""

    def __init__(self, panel: Training) -> None:
        self._panel, self.words = panel, panel.words
        self.view = widgets.VBox()

    def draw(self) -> None:
        """All of them, as they are now."""
        words, twin = self.words, self._panel.twin
        found = twin.adapters()[::-1]
        broken = [page(note(self._panel.sentence(one), "bad")) for one in twin.apprentice.adapters.damaged()]
        rows = [self._row(one) for one in found] or [
            line(words("No adapter was trained here yet."), "opacity:.65")]
        put(self.view, [page(title(words("Adapters"))), *broken, *rows])

    def _row(self, one: Kept) -> widgets.Widget:
        """What it is, what speaks for and against it, what can be done with it."""
        words, apprentice = self.words, self._panel.twin.apprentice
        acting = apprentice.acting(one)
        state = mark(words("on: {roles}", roles=", ".join(acting)), "good") if acting else mark(words("off"))
        about = words("{kind} for {core}, {before} → {after} bits a character, {day}", kind=one.kind,
                      core=one.base_name, before=f"{one.before:.3f}", after=f"{one.after:.3f}", day=one.made[:10])
        told = page(joined([piece(f"{one.role}  {one.sha256[:12]}", "font-weight:500"), Html(" "), state]),
                    faint(f"{about}\n{self._verdict(one)}"))
        if acting:
            switch = self._panel.act(words("Switch it off"), partial(self._panel.switch, acting[0], on=False),
                                     icon="power-off")
        else:
            switch = self._on(one)
        below = [foldable(words("Is it like you?"), lambda: self._measure(one))]
        return widgets.VBox([between(told, [switch]), *below], layout=widgets.Layout(
            border_top="1px solid rgba(128,128,128,.2)", padding="4px 0"))

    def _verdict(self, one: Kept) -> str:
        words = self.words
        if self._panel.twin.apprentice.stale(one):
            return words("Trained on messages you have taken back since; train it again.")
        if one.on is None:
            return words("Not measured yet: whether it is like you is not known.")
        reasons = one.likeness.get("reason", {})
        return str(reasons.get(words.language, one.reason))

    def _on(self, one: Kept) -> widgets.Button:
        """On at a click where it was measured and found like the person; else a second click says it all the same."""
        words = self.words
        made = button(words("Switch it on"), icon="power-off")
        sure = [one.on is True]

        def clicked() -> None:
            if not sure[0]:
                sure[0], made.description, made.button_style = True, words("Not measured; on all the same?"), "warning"
                return
            self._panel.click(partial(self._panel.switch, one.role, one.sha256, anyway=one.on is not True))

        made.on_click(lambda _: clicked())
        return made

    def _measure(self, one: Kept) -> list[widgets.Widget]:
        """Whom to compare with."""
        words = self.words
        other = widgets.Text(placeholder=words("path of another person's export, folder or home"),
                             layout=widgets.Layout(flex="1 1 18em", width="auto"))
        quick = widgets.Checkbox(description=words("quick"), indent=False, layout=widgets.Layout(width="auto"))

        def go() -> Any:
            return self._panel.likeness(one.role, adapter=one.sha256, other=other.value.strip() or None,
                                        quick=quick.value)

        return [page(faint(words("An adapter counts as yours when it foresees your words better than one of another "
                                 "person's words. That one is trained first."))),
                row([other, quick, self._panel.act(words("Measure"), go, icon="balance-scale")])]


def likeness_page(found: Likeness, words: Words) -> list[Html]:
    """Conditions by measures, the verdict, what was not measured."""
    names = {"base": words("the core alone"), "generic persona": words("a general persona"),
             "profile prompt": words("your profile"), "+ recall": words("+ memories"),
             "+ own adapter": words("+ your adapter"), "+ another's adapter": words("+ another's adapter"),
             "own adapter": words("your adapter"), "another's adapter": words("another's adapter"),
             "own adapter on another's words": words("your adapter on another's words")}
    measures = {"bits/char": words("bits a character"), "saved": words("saved"),
                "general": words("bits on general text"), "copied": words("copied"),
                "own style": words("your style"), "Delta own - other": words("distance to you less to the other")}
    columns = found.table.columns
    rows = [(names.get(name, name), *(number(_cell(cells.get(column))) for column in columns))
            for name, cells in found.table.cells.items()]
    head = [measures.get(name, words("next question") if name.startswith("next question") else name)
            for name in columns]
    said = [note(found.gate.reason[words.language], "good" if found.gate.on else "bad")] if found.gate else []
    return [title(words("How like you")), *said, grid(["", *head], rows, ready=range(1, len(columns) + 1)),
            bullets(found.missing)]


def _cell(cell: Any) -> str:
    if cell is None or (isinstance(cell, float) and math.isnan(cell)):
        return "–"
    return f"{cell:.3f}" if isinstance(cell, float) else str(cell)
