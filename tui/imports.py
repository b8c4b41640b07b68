"""Imports: bring what one wrote. A path, a look at what would come of it, who one is there, the import, the vectors."""
from __future__ import annotations

import shlex
from pathlib import Path
from typing import ClassVar
from urllib.parse import unquote

from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Container, Horizontal, VerticalScroll
from textual.content import Content
from textual.widgets import Button, DirectoryTree, Input, Static

from twin.errors import TwinError, WhoIsMe
from twin.types import ImportReport, Progress

from .background import Cancel, number
from .dialogs import Field
from .gauge import Gauged, ending
from .paths import Completion, Folders
from .report_view import told
from .shelf import BREAKPOINTS
from .who import Who


class Imports(Gauged):
    """One path at a time; nothing is written before `import` is said."""

    HORIZONTAL_BREAKPOINTS: ClassVar[list[tuple[int, str]]] = BREAKPOINTS  # type: ignore[misc]
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("f4", "folders", "Folders", id="import.folders"),
        Binding("f5", "look", "Look first", id="import.look"),
        Binding("f6", "bring", "Import", id="import.bring"),
        Binding("f7", "vectors", "Make the vectors", id="import.vectors"),
    ]
    DEFAULT_CSS = """
    Imports > .body { padding: 0 2; }
    Imports .here { height: auto; max-height: 4; color: $text-muted; margin-bottom: 1; }
    Imports .buttons { height: 1; margin: 0 0 1 0; }
    Imports Button { margin-right: 2; min-width: 0; }
    Imports .parts { height: 1fr; }
    Imports Folders { height: 1fr; background: transparent; padding: 0; scrollbar-size-vertical: 1; }
    Imports .report { height: 1fr; display: none; scrollbar-size-vertical: 1; }
    Imports .report > Static { height: auto; }
    Imports.-told .report { display: block; }
    Imports.-narrow.-told Folders { display: none; }
    Imports.-wide .parts { layout: horizontal; }
    Imports.-wide.-told Folders { width: 2fr; margin-right: 2; }
    Imports.-wide.-told .report { width: 3fr; border-left: solid $foreground 20%; padding-left: 1; }
    """

    def __init__(self) -> None:
        super().__init__()
        self.report: ImportReport | None = None
        self.missing = 0  # passages without a vector
        self._picked_path = "", Path()
        self._me: dict[Path, tuple[str, ...]] = {}  # what was answered at a look, for the import after it

    def heading(self) -> str:
        return self.words("Bring what you wrote")

    def body(self) -> ComposeResult:
        words = self.words
        yield Static(classes="here")
        yield Field(id="path", suggester=Completion(), placeholder=words("path of a file, zip or folder"))
        with Horizontal(classes="buttons"):
            yield Button(Content(words("Look first")), id="look", compact=True)
            yield Button(Content(words("Import")), id="bring", variant="primary", compact=True)
            yield Button(Content(words("Make the vectors")), id="vectors", compact=True)
        with Container(classes="parts"):
            yield Folders(Path.home())
            with VerticalScroll(classes="report"):
                yield Static(id="report")

    def on_mount(self) -> None:
        self.query_one("#path").focus()
        self._look_around()

    # ---- what is here ------------------------------------------------------------------------------------------

    def _look_around(self) -> None:
        """What is in already, and whether vectors are to be made."""
        words = self.words
        try:
            own = self.twin.start().own
            self.missing = self.twin.memory.status().missing if own and self.twin.has("embedder") else 0
        except TwinError as error:
            self.fail(error)
            return
        help_ = words("Exports of ChatGPT, Claude, Gemini, Telegram, WhatsApp and others, mail, notes: zip, file or "
                      "folder. All stays on this machine; the same once more changes nothing. → takes what is "
                      "completed.")
        there = words.count(own, "{n} message of your own is here.", "{n} messages of your own are here.")
        self.query_one(".here", Static).update(Content(
            there if own and self.report else f"{there} {help_}" if own else help_))
        self.query_one("#vectors").display = self.missing > 0
        self.refresh_bindings()

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        return self.missing > 0 if action == "vectors" else super().check_action(action, parameters)

    # ---- what the person does ----------------------------------------------------------------------------------

    @on(DirectoryTree.FileSelected)
    @on(DirectoryTree.DirectorySelected)
    def _picked(self, event: DirectoryTree.FileSelected | DirectoryTree.DirectorySelected) -> None:
        event.stop()
        field = self.query_one("#path", Input)
        field.value = str(event.path)
        self._picked_path = field.value, event.path
        field.cursor_position = len(field.value)  # the end of it tells more

    @on(Input.Submitted)
    def _entered(self, event: Input.Submitted) -> None:
        event.stop()
        self.action_look()

    @on(Button.Pressed)
    def _pressed(self, event: Button.Pressed) -> None:
        event.stop()
        {"look": self.action_look, "bring": self.action_bring, "vectors": self.action_vectors}[event.button.id or ""]()

    def action_folders(self) -> None:
        """The folders again, in place of the report where there is no room for both."""
        self.remove_class("-told")
        self.query_one(Folders).focus()

    def action_look(self) -> None:
        """Say what an import would bring; nothing is written."""
        self._read(dry_run=True)

    def action_bring(self) -> None:
        """Import."""
        self._read(dry_run=False)

    def _read(self, *, dry_run: bool) -> None:
        typed = self.query_one("#path", Input).value
        shown, picked = self._picked_path  # a name that cannot be shown as it is can still be meant
        try:
            path = picked if typed and typed == shown else given(typed)
        except ValueError:
            self.tell(self.words("No file and no folder can be called so."), error=True)
            return
        if path is None:
            self.tell(self.words("Name a file or a folder first."), error=True)
            return
        me = self._me.get(path)

        def job(progress: Progress, cancel: Cancel) -> ImportReport:
            return self.twin.import_path(path, me=me, dry_run=dry_run, embed=False, progress=ending(progress, cancel))

        def failed(error: TwinError) -> None:
            if isinstance(error, WhoIsMe) and error.people and me is None:
                self.app.push_screen(Who(error.people, self.words), answered)
            else:
                self._look_around()
                self.fail(error)

        def answered(names: tuple[str, ...] | None) -> None:
            if names is None:
                self.tell(self.words("Nothing was read: say who you are there, or that you are none of them."))
                return
            self._me[path] = names
            self._read(dry_run=dry_run)

        self.run_job(job, self._done, failed)

    def _done(self, report: ImportReport) -> None:
        self.report = report
        self._look_around()
        self.query_one("#report", Static).update(Content("\n").join([told(report, self.words), *self._next()]))
        self.query_one(".report", VerticalScroll).scroll_home(animate=False)
        self.add_class("-told")
        self.query_one("#bring" if report.dry_run else "#vectors" if self.missing else "#path").focus()

    def _next(self) -> list[Content]:
        """What to do after a look or an import."""
        words, report = self.words, self.report
        assert report is not None  # noqa: S101 - for the type checker
        if report.dry_run:
            said = words("Nothing was written. Import, if that is what you want.")
        elif self.missing:
            said = words("All of it is found by words. For recall by meaning {n} passages still need a vector; that "
                         "takes minutes, can be stopped and goes on from there.", n=number(words, self.missing))
        elif not self.twin.has("embedder"):
            said = words("All of it is found by words. For recall by meaning an embedder is missing: "
                         "`twin models pull minilm`.")
        else:
            said = words("All of it is found by words and by meaning. Your profile shows what it says of you.")
        return [Content(""), Content.styled(said, "$text-primary")]

    def action_vectors(self) -> None:
        """Make the vectors that are missing."""
        def done(_: int) -> None:
            self._look_around()
            self.tell(self.words("Recall by meaning is complete.") if not self.missing else self.words(
                "Stopped: {n} passages are left, and found by words meanwhile.", n=number(self.words, self.missing)))

        self.run_job(lambda progress, cancel: self.twin.embed(progress=progress, cancel=cancel), done)


def given(text: str) -> Path | None:
    """The path somebody typed, pasted or dropped: in quotes, with a `~`, as an address of a file, or escaped as a shell
    has it; None for nothing. ValueError for what no file system takes for a name."""
    said = text.strip()
    if len(said) > 1 and said[0] == said[-1] and said[0] in "'\"":
        said = said[1:-1]
    if said.startswith("file://"):
        said = unquote(said.removeprefix("file://"))
    if not said:
        return None
    try:
        path = Path(said).expanduser()
        if not path.exists() and "\\" in said and (parts := shlex.split(said)):
            path = Path(parts[0]).expanduser()
    except (OSError, RuntimeError) as error:  # too long, or the home of nobody
        raise ValueError("no file system takes it") from error
    if "\0" in said:
        raise ValueError("no file system takes it")
    return path
