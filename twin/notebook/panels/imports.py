"""Import: own words by upload or by path - looked at first if wanted, who one is answered by clicks, what came in."""
from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from functools import partial
from typing import Any, ClassVar

import ipywidgets as widgets

from twin.archive import Source
from twin.errors import UsageError, WhoIsMe
from twin.notebook.base import row
from twin.notebook.html import Html, folded, joined, piece
from twin.notebook.panels.frame import Panel, page, put
from twin.notebook.panels.pieces import Tone, bullets, faint, grid, mark, number, title
from twin.types import ImportReport

Bring = Callable[..., ImportReport]
_PEOPLE = 12  # of one kind of source that are offered: the person is among those who say most


class Import(Panel):
    """What somebody wrote, into their twin."""

    name = "import"
    does: ClassVar[tuple[str, ...]] = ("import_path", "upload", "answer")

    def title(self) -> tuple[str, str]:
        """What it is called, and what it is for."""
        return self.words("Bring your words"), self.words("chats, mail and notes; nothing leaves this machine")

    def build(self) -> None:
        """The fields, what is asked back, the report, what is in."""
        words = self.words
        self._asked: Bring | None = None
        self._changed: Callable[[], None] | None = None
        self._files = widgets.FileUpload(multiple=True, description=words("Choose files"),
                                         layout=widgets.Layout(width="auto"))
        self._path = widgets.Text(placeholder=words("or a path: a file, a zip or a folder"),
                                  layout=widgets.Layout(flex="1 1 16em", width="auto"))
        self._out, self._in = widgets.VBox(), widgets.VBox()
        bring = self.act(words("Import"), lambda: self._given(dry_run=False), icon="download", primary=True)
        check = self.act(words("Look first"), lambda: self._given(dry_run=True), icon="eye")
        hint = page(faint(words("Exports of ChatGPT, Claude, Gemini, Telegram, WhatsApp and others, mail, notes, a zip "
                                "of them. What is over 10 MB goes by its path: a browser may not hand it over.")))
        self.body.children = (row([self._files, self._path, bring, check]), hint, self._out, self._in)

    def draw(self) -> None:
        """What is in by now."""
        found = self.twin.sources()
        put(self._in, [page(title(self.words("What is in")), self._sources(found))] if found else [])

    def then(self, changed: Callable[[], None]) -> None:
        """Tell another panel, after each import, that something came in."""
        self._changed = changed

    # ---- without clicking ----------------------------------------------------------------------------------------

    def import_path(self, path: str | os.PathLike[str], *, me: Iterable[str] | None = None, zone: str | None = None,
                    dry_run: bool = False) -> ImportReport | None:
        """`Twin.import_path`, drawn here; None where it was stopped. Raises WhoIsMe, which `answer` answers."""
        return self._bring(partial(self.twin.import_path, path, zone=zone, dry_run=dry_run), me)

    def upload(self, files: Mapping[str, bytes], *, me: Iterable[str] | None = None, zone: str | None = None,
               dry_run: bool = False) -> ImportReport | None:
        """`Twin.upload`, drawn here; None where it was stopped. Raises WhoIsMe, which `answer` answers."""
        return self._bring(partial(self.twin.upload, files, zone=zone, dry_run=dry_run), me)

    def answer(self, *names: str) -> ImportReport | None:
        """Say which of the people you are (without a name: none of them); what was asked for then goes on."""
        if self._asked is None:
            raise UsageError("Nobody was asked who they are.", "Import something first.")
        return self._bring(self._asked, names)

    # ---- how it is done ------------------------------------------------------------------------------------------

    def _given(self, *, dry_run: bool) -> None:
        """What the fields hold. Who somebody is was asked on the page by then: it is no fault."""
        with suppress(WhoIsMe):
            if path := self._path.value.strip():
                self.import_path(path, dry_run=dry_run)
            elif files := {str(one["name"]): bytes(one["content"]) for one in self._files.value}:
                self.upload(files, dry_run=dry_run)
            else:
                raise UsageError("No file was given.", "Choose one or several.")

    def _bring(self, job: Bring, me: Iterable[str] | None) -> ImportReport | None:
        """Read and store, then the vectors, which are left for another time where it is stopped."""
        me, report = None if me is None else tuple(me), None
        dry = bool(getattr(job, "keywords", {}).get("dry_run"))
        with self.working() as busy:
            try:
                report = job(me=me, embed=False, progress=self.stoppable(busy))
            except WhoIsMe as error:
                self._asked = job
                put(self._out, self._question(error, me or ()))
                raise
            finally:
                self.draw()
            self._asked = None
            put(self._out, [page(*self._report(report))])
            if not dry:
                self._files.value, self._path.value = (), ""
                self._embed(busy)
        if report and not dry and self._changed:
            self._changed()
        return report

    def _embed(self, busy: Any) -> None:
        self.twin.embed(progress=busy, cancel=self.gate.stopping)
        if self.gate.stopping():
            self.tell(self.words("Stopped. Everything is in and is found by its words; what is left for recall by "
                                 "meaning goes on with the next import."))

    # ---- what is shown -------------------------------------------------------------------------------------------

    def _question(self, error: WhoIsMe, given: tuple[str, ...]) -> list[widgets.Widget]:
        """A box to tick for each person, by kind of source."""
        words, ticks = self.words, dict[str, widgets.Checkbox]()
        parts: list[widgets.Widget] = [page(title(words("Which of them are you?")), faint(words(
            "These chats do not say it. You can be called several ways; the answer is kept.")))]
        for kind, people in sorted(error.people.items()):
            some = sorted(people.items(), key=lambda one: -one[1])[:_PEOPLE]
            for name, _ in some:
                ticks.setdefault(name, widgets.Checkbox(value=name in given, indent=False,
                                                        layout=widgets.Layout(width="1.6em")))
            parts += [page(faint(kind)), *(row([ticks[name], page(self._person(name, n))]) for name, n in some)]
        mine = self.act(words("This is me"), lambda: self._answered(
            [name for name, tick in ticks.items() if tick.value]), primary=True)
        nobody = self.act(words("None of them is me"), lambda: self._answered([]))
        return [*parts, row([mine, nobody])]

    def _person(self, name: str, n: int) -> Html:
        return joined([piece(name), Html(" "), piece(self.words.count(n, "{n} message", "{n} messages"),
                                                     "opacity:.65;font-size:88%")])

    def _answered(self, names: list[str]) -> None:
        with suppress(WhoIsMe):
            self.answer(*names)

    def _report(self, report: ImportReport) -> list[Html]:
        """What became of everything that was seen."""
        words = self.words
        head = (words("This would come in") if report.dry_run else words("This came in"))
        marks = [mark(words.count(report.imported, "{n} new message", "{n} new messages"),
                      "good" if report.imported else "quiet"), mark(words("of them yours: {n}", n=report.own))]
        skipped = sum(report.skipped.values())
        more: list[tuple[int, str, Tone]] = [
            (report.updated, words("changed: {n}", n=report.updated), "now"),
            (report.unchanged, words("known already: {n}", n=report.unchanged), "quiet"),
            (skipped, words("left out: {n}", n=skipped), "quiet"),
            (report.failed, words("failed: {n}", n=report.failed), "bad"),
            (report.carried, words("claims of a twin: {n}", n=report.carried), "quiet"),
            (report.waiting, words("claims that wait for your yes: {n} (%twin claims)", n=report.waiting), "now")]
        marks += [mark(said, tone) for count, said, tone in more if count]
        left = bullets(f"{self.sentence(reason)}: {n}" for reason, n in sorted(report.skipped.items()))
        return [title(head), joined(one for each in marks for one in (each, Html(" "))),
                folded(words("What was left out"), left) if left else Html(""),
                folded(words("What could not be read"), bullets(map(self.sentence, report.failures)))
                if report.failures else Html("")]

    def _sources(self, found: list[Source]) -> Html:
        words = self.words
        head = [words("Source"), words("Kind"), words("Messages"), words("Yours"), words("Since"), words("Until")]
        return grid(head, [(one.name, ", ".join(one.kinds), number(f"{one.messages:,}"), number(f"{one.own:,}"),
                             f"{one.since:%Y-%m-%d}" if one.since else "", f"{one.until:%Y-%m-%d}" if one.until else "")
                            for one in found], ready=(2, 3))
