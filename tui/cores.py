"""Cores: which core answers. What there is, how large, what suits this machine; fetched with a bar, then used."""
from __future__ import annotations

from pathlib import Path
from typing import ClassVar

from textual.binding import Binding, BindingType
from textual.content import Content

from twin.cores import Choice
from twin.errors import HomeError, TwinError
from twin.home import expanded
from twin.text import one_line
from twin.types import Progress
from twin.words import Words, error, sentence

from .background import Cancel
from .dialogs import OneLine, Sure
from .gauge import ending
from .shelf import Shelf, both


class Cores(Shelf[Choice]):
    """The cores one can choose from, the recommended one first."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("enter", "open", "Use, or fetch", id="cores.use"),
        Binding(both("m"), "machine", "Let the machine choose", id="cores.machine"),
        Binding(both("g"), "path", "A file of yours", id="cores.path"),
    ]

    def heading(self) -> str:
        return self.words("Which core answers")

    def on_mount(self) -> None:
        self.look()

    def look(self, at: int | None = None) -> None:
        """Read anew what is here."""
        try:
            reason = sentence(self.twin.catalog.recommend().reason, self.words.language)
            found = self.twin.cores()
        except TwinError as error:
            self.fail(error)
            return
        self.note(one_line(reason))
        self.fill(found, at)

    def nothing(self) -> str:
        return self.words("The catalogue has no core. Press g to use a GGUF file of yours.")

    def row(self, thing: Choice) -> Content:
        return row(thing, self.words)

    def about(self, thing: Choice) -> Content:
        return about(thing, self.words)

    # ---- what can be done --------------------------------------------------------------------------------------

    def open(self) -> None:
        if (one := self.chosen) is None:
            return
        if one.present:
            self.use(one.name)
        else:
            self.app.push_screen(fetching(one, self.words), self._sure)

    def action_machine(self) -> None:
        self.use("")

    def action_path(self) -> None:
        """A GGUF that lies somewhere on this machine."""
        self.app.push_screen(OneLine(
            self.words("A GGUF file of yours"), self.words("Enter uses it where it lies; nothing is copied."),
            hint=self.words("path of a .gguf file")), self._given)

    def _given(self, path: str | None) -> None:
        if path and path.strip():
            try:
                self.use(str(expanded(path.strip())))
            except HomeError as wrong:
                self.tell(error(wrong, self.words.language), error=True)

    def use(self, name: str) -> None:
        """Answer with this core from the next question on."""
        def done(_: None) -> None:
            self.look()
            self.tell(self.words("{name} answers from the next question on.", name=name) if name else
                      self.words("The ablest core here answers from the next question on."))

        self.run_job(lambda *_: self.twin.use(name), done)

    def _sure(self, yes: bool | None) -> None:
        if yes and self.chosen is not None:
            self.fetch(self.chosen.name)

    def fetch(self, name: str) -> None:
        """Download a core and use it."""
        def job(progress: Progress, cancel: Cancel) -> Path:
            made = self.twin.fetch(name, progress=ending(progress, cancel))
            self.twin.use(name)
            return made

        def done(_: Path) -> None:
            self.look()
            self.tell(self.words("{name} is here, checked by its sha256, and answers from the next question on.",
                                 name=name))

        self.run_job(job, done, said=self.words("Asking where {name} can be had …", name=name))


def fetching(one: Choice, words: Words) -> Sure:
    """The question before a download: how much, and from where."""
    lines = [words("{size} are downloaded and checked by sha256. It can be stopped and goes on where it was.",
                   size=gigabytes(one.model.bytes, words)), "",
             *(words("from: {source}", source=sentence(source, words.language)) for source in one.model.sources)]
    return Sure(words("Fetch {name}?", name=one.name), "\n".join(lines), words("Fetch it"), words("Not now"))


def row(one: Choice, words: Words) -> Content:
    """A core on one line: whether it answers, name, size, memory, fit, marks."""
    marks = [*([words("in use")] if one.in_use else []), *([words("here")] if one.present else []),
             *([words("recommended")] if one.recommended else [])]
    tint = {"fits": "$text-success", "tight": "$text-warning", "too large": "$text-error"}[one.fit]
    return Content.assemble(
        ("● " if one.in_use else "○ ", "$text-primary"), (f"{one_line(one.name):<26} ", "bold"),
        f"{gigabytes(one.model.bytes, words):>8} ", (f" {fit(one, words):<10} ", tint),
        (", ".join(marks), "$text-muted"))


def about(one: Choice, words: Words) -> Content:
    """All that is to be known of a core before one fetches it."""
    model = one.model
    here = words("here, in use") if one.present and one.in_use else words("here") if one.present else words(
        "not here yet; enter fetches it")
    active = words("{n} billion weights, {active} of them for each token", n=decimal(f"{model.params:g}", words),
                   active=decimal(f"{model.active:g}", words)) if model.active != model.params else words(
        "{n} billion weights", n=decimal(f"{model.params:g}", words))
    facts = [(words("State"), here),
             (words("Size"), f"{gigabytes(model.bytes, words)}; {active}"),
             (words("Memory"), f"{gigabytes(round(model.memory_gb * 1e9), words)} - {fit(one, words)}"),
             (words("Context"), words.count(model.n_ctx, "{n} token", "{n} tokens")),
             (words("Licence"), one_line(model.licence) + ("" if model.commercial else "; " + words(
                 "not for commercial use"))),
             *((words("Source"), one_line(sentence(source, words.language))) for source in model.sources)]
    lines = [Content(one_line(sentence(model.purpose, words.language))), Content("")]
    return Content("\n").join([*lines, *(Content.assemble((f"{name:<10} ", "$text-muted"), said)
                                         for name, said in facts)])


def fit(one: Choice, words: Words) -> str:
    """Whether this machine has the memory for it."""
    return {"fits": words("fits"), "tight": words("tight"), "too large": words("too large")}[one.fit]


def gigabytes(size: int, words: Words) -> str:
    """'1.12 GB'."""
    return words("{n} GB", n=decimal(f"{size / 1e9:.2f}", words))


def decimal(said: str, words: Words) -> str:
    """A number with the point that its language has."""
    return said.replace(".", ",") if words.language == "ru" else said
