"""First run: from nothing to a first answer by four steps. A core, what one wrote, the profile, the first question;
each can be done, done again or skipped, in any order."""
from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Literal

from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal
from textual.content import Content
from textual.widgets import Button

from twin.cores import Choice
from twin.desk import Start
from twin.errors import TwinError
from twin.text import one_line
from twin.types import Progress
from twin.words import sentence

from .background import Cancel
from .cores import fetching, gigabytes
from .dialogs import OneLine
from .doors import door
from .gauge import ending
from .shelf import Shelf, both

Name = Literal["core", "import", "profile", "ask"]
STEPS: tuple[Name, ...] = ("core", "import", "profile", "ask")


@dataclass(frozen=True)
class Step:
    """One of the four, and whether it is done or was skipped."""

    name: Name
    done: bool
    skipped: bool


class FirstRun(Shelf[Step]):
    """The four steps. The cursor stands on the first that is left."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("enter", "open", "Do it", id="first.do"),
        Binding(both("o"), "other", "Other cores", id="first.other"),
        Binding(both("s"), "skip", "Skip", id="first.skip"),
    ]
    DEFAULT_CSS = """
    FirstRun .buttons { height: 1; margin: 1 0 0 0; }
    FirstRun Button { margin-right: 2; min-width: 0; }
    """

    def __init__(self) -> None:
        super().__init__()
        self.start = Start(core=False, embedder=False, own=0, turns=0)
        self.best: Choice | None = None
        self.reason = ""
        self._skipped: set[Name] = set()
        self._seen = False  # the profile was looked at

    def heading(self) -> str:
        return self.words("Welcome to your twin")

    def body(self) -> ComposeResult:
        yield from super().body()
        with Horizontal(classes="buttons"):
            yield Button("", id="do", variant="primary", compact=True)
            yield Button(Content(self.words("Other cores")), id="other", compact=True)
            yield Button(Content(self.words("Skip")), id="skip", compact=True)

    def on_mount(self) -> None:
        self._welcome()
        self.look()

    def _welcome(self) -> None:
        self.note(self.words("Four steps to a first answer. Everything stays on this machine; esc leaves them at any "
                             "time, /first brings them back."))

    def on_screen_resume(self) -> None:
        """Back from another screen: something may be done by now."""
        if self.things and not self.working:
            self.look()

    def redraw(self) -> None:
        super().redraw()
        self.query_one("#other", Button).label = Content(self.words("Other cores"))
        self.query_one("#skip", Button).label = Content(self.words("Skip"))
        self._welcome()

    # ---- what is done, and what is left ------------------------------------------------------------------------

    def look(self, said: str = "") -> None:
        """See what is here by now and go to the first step that is left."""
        try:
            self.start = self.twin.start()
            found = self.twin.cores()
            reason = self.twin.catalog.recommend().reason
        except TwinError as error:
            self.fail(error)
            return
        self.best = next((one for one in found if one.recommended), None)
        self.reason = one_line(sentence(reason, self.words.language))
        done = {"core": self.start.core, "import": self.start.own > 0, "profile": self._seen,
                "ask": self.start.turns > 0}
        steps = [Step(name, done[name], name in self._skipped) for name in STEPS]
        left = [at for at, step in enumerate(steps) if not (step.done or step.skipped)]
        self.fill(steps, left[0] if left else len(steps) - 1)
        self.tell(said)

    def row(self, thing: Step) -> Content:
        sign, tint = ("✓", "$text-success") if thing.done else ("–", "$text-muted") if thing.skipped else (
            "○", "$text-primary")
        return Content.assemble((f"{sign} {STEPS.index(thing.name) + 1}  ", tint),
                                (f"{self._title(thing.name)}  ", "bold"), (self._state(thing), "$text-muted"))

    def _title(self, name: Name) -> str:
        words = self.words
        return {"core": words("A core that answers"), "import": words("What you wrote"),
                "profile": words("Your profile"), "ask": words("The first question")}[name]

    def _state(self, step: Step) -> str:
        words, start = self.words, self.start
        if step.name == "import" and start.own:
            return words.count(start.own, "{n} message of your own is here", "{n} messages of your own are here")
        if step.done:
            return words("done")
        return words("skipped") if step.skipped else ""

    def about(self, thing: Step) -> Content:
        words = self.words
        lines: dict[Name, Callable[[], list[str]]] = {"core": self._about_core, "import": lambda: [words(
            "Bring what you wrote: exports of ChatGPT, Claude, Gemini, Telegram, WhatsApp and others, mail, notes. "
            "It is how the twin gets to know you. First you see what would be read; nothing is written before you "
            "say so.")],
            "profile": lambda: [words(
                "See what your messages show: at which level you ask, how you think, each claim with its quotes. You "
                "have the last word on every one.") if self.start.own else words(
                "There is nothing to show before something of yours is imported.")],
            "ask": lambda: [words("Ask something. The message goes to the role it fits, with the memories it needs.")
                            if self.start.core else words("Without a core nobody can answer: the first step fetches "
                                                          "one.")]}
        return Content("\n\n").join(Content(line) for line in lines[thing.name]())

    def _about_core(self) -> list[str]:
        words = self.words
        if self.start.core:
            return [words("A core is here and answers. You can choose another one at any time.")]
        if self.best is None:
            return [words("The catalogue recommends no core for this machine. Other cores lists what there is.")]
        return [words("The core is the model that answers, on this machine, without a network."), self.reason,
                words("{name} is downloaded once ({size}), can be stopped, and is checked by its sha256.",
                      name=self.best.name, size=gigabytes(self.best.model.bytes, words))]

    def draw(self) -> None:
        super().draw()
        one, words = self.chosen, self.words
        if one is None:
            return
        label = {"core": words("Choose another core") if self.start.core or self.best is None else words(
            "Fetch {name}", name=self.best.name), "import": words("Bring my messages"),
            "profile": words("See my profile"), "ask": words("Ask")}[one.name]
        self.query_one("#do", Button).label = Content(label)
        self.query_one("#do", Button).refresh(layout=True)  # a new label is as wide as it is
        self.query_one("#other").display = self._offers_others()

    def _offers_others(self) -> bool:
        return self.chosen is not None and self.chosen.name == "core" and not self.start.core

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        return self._offers_others() if action == "other" else super().check_action(action, parameters)

    # ---- doing it ----------------------------------------------------------------------------------------------

    @on(Button.Pressed)
    def _pressed(self, event: Button.Pressed) -> None:
        event.stop()
        {"do": self.open, "other": self.action_other, "skip": self.action_skip}[event.button.id or ""]()

    def open(self) -> None:
        if self.chosen is None:
            return
        if self.chosen.name == "core":
            self._fetch()
        elif self.chosen.name == "import":
            self.app.push_screen(door("import"))
        elif self.chosen.name == "profile":
            self._seen = self.start.own > 0
            self.app.push_screen(door("profile"))
        else:
            self._ask()

    def action_other(self) -> None:
        """All cores there are."""
        self.app.push_screen(door("cores"))

    def action_skip(self) -> None:
        """Leave the chosen step out for now; after the last one, go to the chat."""
        if self.chosen is None:
            return
        self._skipped.add(self.chosen.name)
        if all(step.done or step.name in self._skipped for step in self.things):
            self._leave()
        else:
            self.look()

    def action_back(self) -> None:
        """Stop a download; else go to the chat. Who left once is not asked in again."""
        if self.working:
            super().action_back()
        else:
            self._leave()

    def _leave(self) -> None:
        with suppress(TwinError):  # another process writes: then it opens once more
            self.twin.set_face("first", "seen")
        self.dismiss()

    def _fetch(self) -> None:
        best = self.best
        if self.start.core or best is None:
            self.action_other()
            return

        def sure(yes: bool | None) -> None:
            if yes:
                self.run_job(job, done, said=self.words("Asking where {name} can be had …", name=best.name))

        def job(progress: Progress, cancel: Cancel) -> Path:
            return self.twin.fetch(best.name, progress=ending(progress, cancel))

        def done(_: Path) -> None:
            self.look(self.words("{name} is here, checked by its sha256.", name=best.name))

        self.app.push_screen(fetching(best, self.words), sure)

    def _ask(self) -> None:
        words = self.words
        if not self.start.core:
            self.tell(words("Without a core nobody can answer: the first step fetches one."), error=True)
            return

        def given(question: str | None) -> None:
            if question and question.strip():
                self.dismiss()
                self.face.call_later(self.face.chat.ask, question.strip())

        self.app.push_screen(OneLine(words("The first question"), words("In any language; enter sends it."),
                                     hint=words("How do I ...?")), given)
