"""Evolution: a search among role maps within a budget, its lineage as a picture and a table, and what came of it."""
from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, ClassVar

import ipywidgets as widgets

from twin import plots
from twin.archive import Stored
from twin.notebook.base import button, row
from twin.notebook.html import Html, folded
from twin.notebook.panels.frame import Panel, page, put
from twin.notebook.panels.pieces import faint, grid, note, number, title

if TYPE_CHECKING:
    from twin.lineage import Lineage

BUDGET = 200_000  # words that routers read


class Evolution(Panel):
    """A search that proposes at most one change a day. `lineage` and `made` are those of the last run."""

    name = "evolution"
    does: ClassVar[tuple[str, ...]] = ("evolve",)
    lineage: Lineage | None = None
    made: Stored | None = None

    def title(self) -> tuple[str, str]:
        """What it is called, and what it is for."""
        return self.words("Evolution"), self.words("a search for a role map that routes your messages better")

    def build(self) -> None:
        """The budget, the way, what came of it."""
        words = self.words
        self._budget = widgets.BoundedIntText(BUDGET, min=1, max=10**9, step=50_000, description=words("Budget"),
                                              tooltip=words("words that routers may read"),
                                              layout=widgets.Layout(width="12em"))
        self._seed = widgets.BoundedIntText(0, min=0, max=2**31, description=words("Seed"),
                                            layout=widgets.Layout(width="8em"))
        self._way = widgets.Dropdown(description=words("Way"), layout=widgets.Layout(width="24em"), options=[
            (words("random: any map is changed"), "random"),
            (words("evolution: by wins at single messages"), "evolution"),
            (words("greedy: the best so far"), "greedy")])
        for field in (self._budget, self._seed, self._way):
            field.style.description_width, field.layout.margin = "initial", "2px 1em 2px 2px"
        go = self.act(words("Search"), self._clicked, icon="sitemap", primary=True)
        hint = page(faint(words("It reads your corrected and praised messages, changes nothing, and can be stopped: "
                                "the same search goes on from there.")))
        self._out = widgets.VBox()
        self.body.children = (row([self._budget, self._seed, self._way, go]), hint, self._out)

    def draw(self) -> None:
        """The last run, if there was one."""
        if self.lineage is not None:
            put(self._out, self._drawn(self.lineage))

    def evolve(self, budget: int = BUDGET, *, seed: int = 0, way: Any = "random") -> Lineage | None:
        """`Twin.evolve`: search, and draw the lineage; None where it was stopped before there was one."""
        with self.working(self.words("searching")) as busy:
            found, self.made = self.twin.evolve(budget, seed=seed, way=way, progress=busy, cancel=self.gate.stopping)
            self.lineage = replace(found, language=self.words.language)
            self.draw()
        return self.lineage

    def _clicked(self) -> None:
        self.evolve(self._budget.value, seed=self._seed.value, way=self._way.value)

    def _drawn(self, found: Lineage) -> list[widgets.Widget]:
        """What came of it, the tree, a line a map."""
        words = self.words
        said = (words("It proposes: {what}", what=self.made.proposal.say(words.language)) if self.made else
                self.twin.why_nothing(found)[words.language])
        parts: list[widgets.Widget] = [page(title(found.title), note(said, "good" if self.made else "quiet"),
                                            faint(found.ended))]
        self._below = widgets.VBox()
        if self.made:
            parts.append(row([button(words("Look at the proposal"), self._look, icon="arrow-right")]))
        image = widgets.Image(value=plots.svg(found.figure()), format="svg+xml",
                              layout=widgets.Layout(max_width="100%", margin=".5em 0", object_fit="contain"))
        return [*parts, self._below, image, page(folded(words("Every map"), self._table(found)))]

    def _table(self, found: Lineage) -> Html:
        words = self.words
        head = [words("no."), words("from"), words("gain"), words("change"), words("what became of it")]
        return grid(head, [(number(str(one.number)), number("" if one.parent is None else str(one.parent)),
                             number(f"{one.gain:+.3f}"), one.said, one.fate) for one in found.lines], ready=(0, 1, 2))

    def _look(self) -> None:
        """The proposals' panel, below."""
        from twin.notebook.panels.proposals import Proposals  # here: only where something is proposed

        def opened() -> None:
            shown = Proposals(self.twin)
            put(self._below, [shown.view])
            if self.made:
                shown.open(self.made.proposal.id)

        self.click(opened)
