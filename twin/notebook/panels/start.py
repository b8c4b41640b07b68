"""Start: from nothing to a first answer - a core for this machine, own words, the profile, a question.

Each step can be opened at any time; the one that is next stands open. A step is made when it is first opened.
"""
from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import ClassVar

import ipywidgets as widgets

from twin.catalog import Model
from twin.cores import Choice
from twin.errors import UsageError
from twin.notebook.base import button, foldable, row
from twin.notebook.html import Html, joined, piece
from twin.notebook.panels.frame import Panel, between, page, put
from twin.notebook.panels.imports import Import
from twin.notebook.panels.pieces import faint, mark, note, title
from twin.notebook.panels.profile import ProfilePanel

STEPS = ("core", "import", "profile", "ask")
_GB = 1e9


class Start(Panel):
    """The first five minutes. `imports`, `profile` and `chat` are the parts behind the later steps, once opened."""

    name = "start"
    does: ClassVar[tuple[str, ...]] = ("fetch", "use", "open")

    def title(self) -> tuple[str, str]:
        """What it is called, and what it is for."""
        return self.words("First steps"), self.words("from nothing to a first answer, all of it on this machine")

    def build(self) -> None:
        """Four steps, one below the other."""
        self.imports: Import | None = None
        self.profile: ProfilePanel | None = None
        self._boxes = {step: widgets.VBox() for step in STEPS}
        self._fold = widgets.Accordion([self._boxes[step] for step in STEPS])
        self._fold.observe(self._opened, "selected_index")
        self.body.children = (self._fold,)
        self._next = self._shown = ""

    def draw(self) -> None:
        """Mark what is done, and show the cores."""
        words, now = self.words, self.twin.start()
        done = {"core": now.core, "import": now.own > 0, "profile": bool(self.twin.archive.snapshots(1)),
                "ask": now.turns > 0}
        names = (words("Choose a core"), words("Bring your words"), words("See what they show"), words("Ask"))
        self._fold.titles = tuple(f"{'✓' if done[step] else number}  {name}"
                                  for number, (step, name) in enumerate(zip(STEPS, names, strict=True), 1))
        put(self._boxes["core"], self._cores())
        if self.profile is None:  # there may be something to see by now
            put(self._boxes["profile"], [])
        self._next = next((step for step in STEPS if not done[step]), "ask")

    def refresh(self) -> None:
        """Look again, and open what is next where that is another step than before."""
        super().refresh()
        self._advance()

    def _advance(self) -> None:
        """Outside of the gate: what opens here goes through it."""
        if self._next != self._shown:
            self._shown = self._next
            self._fold.selected_index = STEPS.index(self._next)
        self._opened()

    # ---- without clicking ----------------------------------------------------------------------------------------

    def fetch(self, name: str) -> None:
        """Download a model and answer with it, if it is a core. It can be stopped and goes on from there."""
        model = self.twin.catalog.model(name)
        with self.working(name) as busy:
            self.twin.fetch(name, progress=self.stoppable(busy), say=lambda said: self.tell(self.sentence(said)))
            if model.kind == "core":
                self.twin.use(name)
            self.tell(self.words("{name} is here, checked, and answers from now on.", name=name)
                      if model.kind == "core" else
                      self.words("{name} is here. The twin recalls by meaning when it is opened next.", name=name),
                      "good")
            self.draw()
        self._advance()

    def use(self, name: str) -> None:
        """Answer with a core that is here."""
        with self.working(name):
            self.twin.use(name)
            self.tell(self.words("{name} answers from the next question on.", name=name), "good")
            self.draw()
        self._advance()

    def open(self, step: str) -> None:
        """Open a step: core, import, profile or ask. UsageError for another one."""
        if step not in STEPS:
            raise UsageError(f"There is no step {step!r}.", f"Known: {', '.join(STEPS)}.")
        self._fold.selected_index = STEPS.index(step)

    # ---- the steps -----------------------------------------------------------------------------------------------

    def _opened(self, _: object = None) -> None:
        """Make what a step shows when somebody comes there."""
        at = self._fold.selected_index
        step = STEPS[at] if at is not None else "core"
        if step != "core" and not self._boxes[step].children:
            self._boxes[step].children = (page(faint("…")),)
            make: dict[str, Callable[[], widgets.Widget]] = {
                "import": self._imports, "profile": self._profile, "ask": self._chat}
            self.gate.behind(lambda: put(self._boxes[step], [make[step]()]), self.failed)

    def _imports(self) -> widgets.Widget:
        self.imports = Import(self.twin)
        self.imports.then(lambda: self.click(self.refresh))
        return self.imports.view

    def _profile(self) -> widgets.Widget:
        if not self.twin.start().own:
            return page(note(self.words("Nothing of yours is here yet: bring your words first.")))
        self.profile = ProfilePanel(self.twin)
        return self.profile.view

    def _chat(self) -> widgets.Widget:
        from twin.notebook.chat import Chat  # here: the chat is the last step

        shown: widgets.Widget = Chat(self.twin).view
        return shown

    # ---- cores ---------------------------------------------------------------------------------------------------

    def _cores(self) -> list[widgets.Widget]:
        """The one for this machine with the reason, the others folded, what recalls by meaning."""
        words, choices = self.words, self.twin.cores()
        advice = self.twin.catalog.recommend()
        first, others = choices[0], choices[1:]
        parts: list[widgets.Widget] = [page(faint(words(
            "The core is the model that answers. It runs here; what you ask stays on this machine."))),
            self._choice(first, primary=not any(one.in_use and one.present for one in choices)),
            page(faint(self.sentence(advice.reason)))]
        parts += [self._choice(one) for one in others if one.in_use and one.present]
        rest = [one for one in others if not (one.in_use and one.present)]
        if rest:
            parts.append(foldable(words.count(len(rest), "{n} other core", "{n} other cores"),
                                  lambda: [self._choice(one) for one in rest]))
        return [*parts, *self._embedder()]

    def _choice(self, one: Choice, *, primary: bool = False) -> widgets.Widget:
        """A core: its name, what it needs, what it is for; and the button that brings or takes it."""
        words, model = self.words, one.model
        marks = [mark(words("recommended here"), "good")] if one.recommended else []
        if one.in_use and one.present:
            marks.append(mark(words("in use"), "now"))
        elif one.present:
            marks.append(mark(words("here"), "now"))
        fits = {"fits": ("", "quiet"), "tight": (words("tight"), "quiet"), "too large": (words("too large"), "bad")}
        said, tone = fits[one.fit]
        marks += [mark(said, tone)] if said else []  # type: ignore[arg-type]
        told = words("{size} GB on disk, {memory} GB of memory, {licence}", size=f"{model.bytes / _GB:.1f}",
                     memory=f"{model.memory_gb:.1f}", licence=model.licence)
        shown = page(joined([piece(model.name, "font-weight:600"), Html(" "),
                             joined(part for each in marks for part in (each, Html(" ")))]),
                     faint(f"{told}\n{self.sentence(model.purpose)}"))
        if one.in_use and one.present:
            return between(shown, [])
        label = words("Use") if one.present else self._download(model)
        do = partial(self.use if one.present else self.fetch, one.name)
        return between(shown, [button(label, lambda: self.click(do), icon="check" if one.present else "download",
                                      primary=primary)])

    def _download(self, model: Model) -> str:
        if model.bytes < _GB / 10:
            return self.words("Download {size} MB", size=f"{model.bytes / 1e6:.0f}")
        return self.words("Download {size} GB", size=f"{model.bytes / _GB:.1f}")

    def _embedder(self) -> list[widgets.Widget]:
        """Recall by meaning, offered where nothing for it is here."""
        if self.twin.has("embedder") or self.twin.catalog.best_embedder():
            return []
        words, model = self.words, next(one for one in self.twin.catalog.models if one.kind == "embedder")
        shown = page(title(words("Recall by meaning")), faint(words(
            "Without it the twin finds what you wrote by its words.")))
        return [between(shown, [button(self._download(model),
                                       lambda: self.click(partial(self.fetch, model.name)), icon="download")]), row([])]
