"""Profile: what the person's messages show - where their questions stand, what can be claimed of them with the words it
rests on, how that changed, and whether every quote still stands. They have the last word on each claim."""
from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, ClassVar

import ipywidgets as widgets

from twin import plots
from twin.notebook.base import button, line, row
from twin.notebook.html import Html, folded, joined, piece
from twin.notebook.markdown import markdown
from twin.notebook.panels.claims import Claims, context
from twin.notebook.panels.frame import Panel, page, put
from twin.notebook.panels.pieces import bullets, faint, grid, note, number, quote, still
from twin.report.content import Content, content
from twin.verification import Snapshot

if TYPE_CHECKING:
    from twin.person import Decision, Profile
    from twin.plots import Figure
    from twin.self_profile import Why
    from twin.verification import Difference, Verification

READ = 200  # messages that the core reads at a click: minutes


class ProfilePanel(Panel):
    """What is known of the person. `made` is the profile that is shown."""

    name = "profile"
    does: ClassVar[tuple[str, ...]] = ("approve", "reject", "pin", "edit", "undo", "why", "verify", "diff", "read")
    made: Profile

    def title(self) -> tuple[str, str]:
        """What it is called, and what it is for."""
        return self.words("Profile"), self.words("what your own messages show, each with the words it rests on")

    def build(self) -> None:
        """The headline and four tabs; pictures are drawn when their tab is opened."""
        words = self.words
        self._top, self._levels, self._time, self._versions = (widgets.VBox() for _ in range(4))
        self.claims = Claims(self)
        self._tabs = widgets.Tab([self._levels, self.claims.view, self._time, self._versions], titles=(
            words("Levels"), words("Claims"), words("Over time"), words("Versions")))
        self._tabs.observe(lambda _: self._picture(), "selected_index")
        self.body.children = (self._top, self._tabs)

    def draw(self) -> None:
        """Build the profile anew: seconds for a hundred thousand messages."""
        self.made = self.twin.profile(language=self.words.language)
        said = content(self.made)
        put(self._top, [page(*self._standing(said))])
        put(self._levels, [page(*self._table(said))])
        put(self._time, [page(*self._changes(said))])
        self.claims.draw(self.made, said)
        self._draw_versions()
        self._drawn: set[int] = set()
        self._picture()

    # ---- without clicking ----------------------------------------------------------------------------------------

    def approve(self, claim: str) -> Decision:
        """`Twin.decide`: yes, this is so. `claim` is an id, or a number of the report."""
        return self._decide(claim, "approve")

    def reject(self, claim: str) -> Decision:
        """`Twin.decide`: no; it stays rejected, whatever is read later."""
        return self._decide(claim, "reject")

    def pin(self, claim: str) -> Decision:
        """`Twin.decide`: always in what leaves."""
        return self._decide(claim, "pin")

    def edit(self, claim: str, text: str) -> Decision:
        """`Twin.decide`: in your own words."""
        return self._decide(claim, "edit", text)

    def undo(self, claim: str) -> Decision:
        """`Twin.decide`: take the last decision on a claim back."""
        return self._decide(claim, "undo")

    def _decide(self, claim: str, action: str, text: str = "") -> Decision:
        with self.gate.alone():
            made = self.twin.decide(claim, action, text)
            self.draw()
        return made

    def why(self, claim: str) -> Why:
        """`Twin.why`, its quotes drawn in their context below the claim."""
        with self.gate.alone():
            found = self.twin.why(claim)
        self.claims.unfold(found.claim.id, context(found, self.words))
        return found

    def verify(self) -> Verification:
        """`Twin.verify`: whether every quote still stands where it was found."""
        with self.working(self.words("checking every quote")):
            found = self.twin.verify()
            put(self._checked, [page(note(str(found), "good" if found.ok else "bad"))])
        return found

    def diff(self, before: str | None = None, after: str | None = None) -> Difference:
        """`Twin.diff`: what is different between two versions; by default the last two."""
        with self.gate.alone():
            found = self.twin.diff(before, after)
        put(self._different, [page(markdown(found.markdown(self.words.language)))])
        return found

    def read(self, messages: int = READ) -> Profile:
        """Let the core read so many more messages first; what it read is kept, so it can be stopped."""
        with self.working(self.words("the core reads")) as busy:
            self.twin.profile(read=messages, progress=busy, cancel=self.gate.stopping)
            self.draw()
        return self.made

    # ---- what is shown -------------------------------------------------------------------------------------------

    def _standing(self, said: Content) -> list[Html]:
        first, *rest = said.standing or ("",)
        return [piece(first, "font-weight:600;line-height:1.5"), faint("\n".join([*rest, said.size]))]

    def _table(self, said: Content) -> list[Html]:
        """The ladder, and the deepest questions."""
        own = said.words
        head = [own["level"], own["asked"], own["you"], own["count"], own["when"], own["yours"]]
        rows = [(number(one["level"]), one["asked"], still(one["you"]), still(one["count"]), still(one["when"]),
                 one["yours"]) for one in said.rows]
        deep = joined(quote(text, f"{level}: {why}") for level, text, why in said.deepest)
        return [grid(head, rows, ready=(0, 2, 3, 4)),
                folded(own["deepest"], deep) if deep else Html(""),
                folded(self.words("The rules"), faint("\n".join(filter(None, [said.rule, said.table_rule]))))
                if said.rule else Html("")]

    def _changes(self, said: Content) -> list[Html]:
        """What changed, month by month, and what is written about."""
        own = said.words
        months = grid([own["month"], "n", own["mean"], own["deep"]],
                      [(still(a), number(b), c, d) for a, b, c, d in said.months], ready=(0, 1))
        topics = grid([own["topic"], own["talks"], own["messages"], own["when"]],
                      [(a, number(b), number(c), still(d)) for a, b, c, d in said.topics], ready=(1, 2, 3))
        return [bullets(said.changes), folded(own["time"], months) if said.months else Html(""),
                folded(own["topics"], topics) if said.topics else Html("")]

    def _picture(self) -> None:
        """Draw the picture of the tab that is open, once."""
        at = self._tabs.selected_index
        pictures: dict[int, tuple[widgets.VBox, Callable[[Profile], Figure]]] = {
            0: (self._levels, plots.levels), 1: (self.claims.picture, plots.facets), 2: (self._time, plots.timeline)}
        if not hasattr(self, "made") or at is None or at not in pictures or at in self._drawn:
            return
        self._drawn.add(at)
        box, draw = pictures[at]
        image = widgets.Image(value=plots.svg(draw(self.made)), format="svg+xml",
                              layout=widgets.Layout(max_width="100%", margin=".5em 0", object_fit="contain"))
        box.children = (*box.children, image)

    def _draw_versions(self) -> None:
        words, kept = self.words, self.twin.versions()[::-1]
        check = self.act(words("Check every quote"), self.verify, icon="check-square-o")
        read = self.act(words("Let the core read {n} messages", n=READ), self.read, icon="book")
        self._checked, self._different = widgets.VBox(), widgets.VBox()
        parts: list[widgets.Widget] = [row([check, read]), self._checked]
        if len(kept) > 1:
            parts += [row(self._chooser(kept)), self._different]
        else:
            parts.append(line(words("There is one version so far; the next import makes another to compare with.")))
        put(self._versions, parts)

    def _chooser(self, kept: list[Snapshot]) -> list[widgets.Widget]:
        names = [(f"{one.made:%Y-%m-%d %H:%M}  {one.version}", one.version) for one in kept]
        layout = widgets.Layout(width="16em")
        before = widgets.Dropdown(options=names, value=kept[1].version, layout=layout)
        after = widgets.Dropdown(options=names, value=kept[0].version, layout=layout)
        return [before, page(piece("→")), after,
                button(self.words("Compare"), lambda: self.click(partial(self.diff, before.value, after.value)))]
