"""Magics: `%load_ext twin`, then `%twin` for what one does beside the turns and `%%twin` for a cell that is a message.

They only wrap what Twin offers. An error is two sentences without a traceback, and the cell counts as failed.
"""
from __future__ import annotations

import shlex
import sys
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from twin import feedback, words
from twin.chat import Twin
from twin.errors import TwinError, UsageError, WhoIsMe
from twin.exporters import FORMATS
from twin.home import expanded
from twin.notebook import cell
from twin.notebook.gate import gate
from twin.text import one_line, printable
from twin.types import ImportReport, Turn
from twin.words import Words, sentence

NAME = "twin"  # of the twin among the names of the notebook
AUTO = "auto"
_PUBLIC = {"public", "публично"}


class Said(TwinError):
    """An error as a notebook shows it: what happened and what to do next."""

    def __init__(self, error: TwinError, language: str) -> None:
        super().__init__(words.sentence(error.what, language), words.sentence(error.next_step, language))

    def _render_traceback_(self) -> list[str]:
        return [str(self)]


class Magics:
    """What the magics of one shell remember: the twin they talk to and the role that was chosen."""

    def __init__(self, shell: Any) -> None:
        self._shell = shell
        self._twin: Twin | None = None
        self._opened: Twin | None = None  # here, and so to be closed here
        self._role = ""

    @property
    def twin(self) -> Twin:
        """The notebook's `twin`, else one that is opened now and gets that name where it is free."""
        named = self._shell.user_ns.get(NAME)
        if isinstance(named, Twin):
            self._twin = named
        if self._twin is None:
            self._open(None)
        assert self._twin is not None  # noqa: S101 - `_open` sets it
        return self._twin

    def line(self, text: str) -> object:
        """%twin: the first word says what, the rest is its matter; without words, how things are."""
        return self._said(lambda: self._line(text))

    def cell(self, text: str, message: str) -> Turn | None:
        """%%twin [role]: the cell is the message."""
        turn: Turn | None = self._said(lambda: self._ask(message, text.strip()))
        return turn

    def _line(self, text: str) -> object:
        verb, _, rest = text.strip().partition(" ")
        verb, rest = verb or "status", rest.strip()
        doing = _VERBS.get(verb)
        if doing is None:
            raise UsageError(f"There is no `%twin {one_line(verb)}`.", "`%twin help` lists what there is.")
        return doing(self, rest)

    def _ask(self, message: str, role: str) -> Turn:
        twin, chosen = self.twin, role or self._role
        wanted = None if chosen in ("", AUTO) else chosen
        if cell.here():
            return twin.ask(message, wanted)
        with gate(twin).alone(stoppable=True):
            return cell.spoken(twin.stream(message, wanted, cancel=gate(twin).stopping), sys.stdout.write)

    # ---- %twin ---------------------------------------------------------------------------------------------------

    def _status(self, _: str) -> None:
        """how things are"""
        twin, words = self.twin, self.words
        start, core = twin.start(), next((one.name for one in twin.cores() if one.in_use), "")
        lines = [words("home: {path}", path=twin.home.root),
                 words("core: {name}", name=(core or words("your own")) if start.core else words("none yet")),
                 words("role: {name}", name=self._role or words("auto, by the router")),
                 words.count(start.own, "{n} message of yours", "{n} messages of yours"),
                 words.count(start.turns, "{n} exchange", "{n} exchanges")]
        if waiting := twin.proposals_waiting():
            lines.append(words.count(waiting, "{n} proposal waits: %twin proposals",
                                   "{n} proposals wait: %twin proposals"))
        if start.next:
            lines.append({
                "import": words("Next: `%twin import PATH` brings in what you wrote; `%twin panel import` too."),
                "core": words("Next: `%twin panel start` fetches a core to answer with."),
                "ask": words("Next: ask, in a cell that begins with `%%twin`.")}[start.next])
        self._tell(*lines)

    def _choose(self, role: str) -> None:
        """which role answers cells from now on: `role critic`, `role auto`"""
        if not role:
            roles = self.twin.role_map.roles
            language = self.words.language
            self._tell(*(f"{'*' if one.id == self._role else ' '} {one.id}  {one.title.of(language)}: "
                         f"{one.purpose.of(language)}" for one in roles))
            return
        self._role = "" if role == AUTO else self.twin.role_map.role(role).id
        self._tell(self.words("role: {name}", name=self._role or self.words("auto, by the router")))

    def _model(self, name: str) -> None:
        """the cores there are, or which one answers: `model NAME`"""
        if name:
            with gate(self.twin).alone():
                self.twin.use("" if name == AUTO else name)
        for one in self.twin.cores():
            state = (self.words("in use") if one.in_use else self.words("here") if one.present
                     else self.words("not here"))
            self._tell(f"{'*' if one.in_use else ' '} {one.name}  {state}, {one.model.memory_gb:g} GB")

    def _home(self, path: str) -> None:
        """where the twin lives, or another one: `home PATH`"""
        if path:
            self._open(_path(path))
        self._tell(self.words("home: {path}", path=self.twin.home.root))

    def _speak(self, language: str) -> None:
        """what the faces speak: `language ru`, `language en`, `language auto`"""
        if language:
            self.twin.language = None if language == AUTO else language  # checked there
        self._tell(self.words("language: {name}", name=self.twin.language))

    def _export(self, rest: str) -> None:
        """carry the twin away: `export`, `export FORMAT PATH`, `export FORMAT public PATH`, `export ?`"""
        words = self.words
        if rest.strip() == "?":
            self._tell(*(f"{one.name:10} {sentence(one.about, words.language)}" for one in FORMATS.values()))
            return
        format_, _, path = rest.partition(" ")
        head, _, after = path.strip().partition(" ")
        public = head.casefold() in _PUBLIC
        place = after if public else path
        with gate(self.twin).alone():
            made = self.twin.export(format_ or "prompt", path=_path(place) if place.strip() else None,
                                    level="public" if public else "private")
        self._tell(words("written: {path}", path=made.path), *(sentence(one, words.language) for one in made.notes))

    def _form(self, name: str) -> None:
        """form the core of what is there now: `form NAME`"""
        core = self.twin.form(name)
        self._tell(self.words("core {id}, {name}: profile {profile}, roles {roles}", id=core.id, name=core.name,
                              profile=core.profile, roles=core.role_map[:12]))

    def _claims(self, rest: str) -> None:
        """claims from outside that wait: `claims`, `claims accept 3`, `claims refuse 3`"""
        answer, _, number = rest.partition(" ")
        if answer:
            if answer not in ("accept", "refuse") or not number.strip().isdecimal():
                raise UsageError(f"{rest!r} is no answer.", "`%twin claims accept 3` or `%twin claims refuse 3`.")
            with gate(self.twin).alone():
                (self.twin.accept_claim if answer == "accept" else self.twin.refuse_claim)(int(number))
        waiting = self.twin.waiting_claims()
        self._tell(*(f"{one.number:4} {printable(one_line(one.claim.text))}" for one in waiting),
                   self.words.count(len(waiting), "{n} claim waits for your yes", "{n} claims wait for your yes"))

    def _import(self, path: str) -> None:
        """bring in what you wrote: `import PATH`"""
        if not path:
            raise UsageError("No path was given.", "`%twin import PATH`, or `%twin panel import` with buttons.")
        try:
            with gate(self.twin).alone():
                report = self.twin.import_path(_path(path))
        except WhoIsMe as error:
            raise UsageError(error.what, "Say it with buttons: `%twin panel import`; or in Python: "
                             "twin.import_path(PATH, me=[NAME]).") from error
        self._report(report)

    def _report(self, report: ImportReport) -> None:
        words = self.words
        self._tell(words.count(report.imported, "{n} message came in", "{n} messages came in"),
                   words.count(report.own, "{n} of them is yours", "{n} of them are yours"))
        if report.failed:
            self._tell(words.count(report.failed, "{n} item could not be read", "{n} items could not be read"))
        self._tell(words("Next: `%twin profile`."))

    def _profile(self, _: str) -> Any:
        """what your messages say about how you think"""
        return self.twin.profile(language=self._language)

    def _proposals(self, _: str) -> None:
        """changes of the roles that wait for you"""
        self._tell(feedback.proposals(self.twin, "twin.rollback()"))

    def _chat(self, _: str) -> Any:
        """a chat to click in"""
        return self.twin.chat()

    def _panel(self, name: str) -> Any:
        """everything else to click in: `panel`, `panel profile`"""
        return self.twin.panel(name)

    def _help(self, _: str) -> None:
        """this list"""
        words = self.words
        told = {"status": words("how things are"), "role": words("which role answers cells: role critic, role auto"),
                "model": words("the cores there are, or which one answers: model NAME"),
                "home": words("where the twin lives, or another one: home PATH"),
                "language": words("what is spoken here: language ru, language en, language auto"),
                "import": words("bring in what you wrote: import PATH"),
                "export": words("carry the twin away: export, export FORMAT PATH, export FORMAT public, export ?"),
                "form": words("form the core of what is there now: form NAME"),
                "claims": words("claims from outside that wait: claims, claims accept 3, claims refuse 3"),
                "profile": words("what your messages say about how you think"),
                "proposals": words("changes of the roles that wait for you"), "chat": words("a chat to click in"),
                "panel": words("everything else to click in: panel, panel profile"), "help": words("this list")}
        self._tell(*(f"%twin {verb:<10} {about}" for verb, about in told.items()),
                   f"%%twin [role]    {words('the cell is a message to your twin')}")

    # ---- how it is done ------------------------------------------------------------------------------------------

    @property
    def _language(self) -> str:
        return self._twin.language if self._twin else words.preferred()

    @property
    def words(self) -> Words:
        """What is said here, in the language of the twin."""
        return Words("twin.notebook", self._language)

    def _open(self, path: str | None) -> None:
        opened = Twin.open(path)
        old, self._opened = self._opened, opened
        self._twin = opened
        named = self._shell.user_ns.get(NAME)
        if named is None or isinstance(named, Twin):
            self._shell.user_ns[NAME] = opened
        if old is not None:
            old.close()

    def _said(self, job: Callable[[], Any]) -> Any:
        try:
            return job()
        except TwinError as error:
            raise Said(error, self._language) from None

    def _tell(self, *lines: str) -> None:
        sys.stdout.write("".join(f"{line}\n" for line in lines))


_VERBS: dict[str, Callable[[Magics, str], object]] = {
    "status": Magics._status, "role": Magics._choose, "model": Magics._model, "home": Magics._home,
    "language": Magics._speak, "import": Magics._import, "export": Magics._export,
    "form": Magics._form, "claims": Magics._claims, "profile": Magics._profile,
    "proposals": Magics._proposals, "chat": Magics._chat, "panel": Magics._panel, "help": Magics._help,
}


def load(ipython: Any) -> None:
    """`%load_ext twin` calls this through the package."""
    made = Magics(ipython)
    ipython.register_magic_function(made.line, "line", "twin")
    ipython.register_magic_function(made.cell, "cell", "twin")
    cell.register()


def _path(said: str) -> str:
    """A path as people write one: with or without quotes, with ~ for their home."""
    said = said.strip()
    if said[:1] in ("'", '"'):
        with suppress(ValueError):  # a quote that is not closed belongs to the name
            said = " ".join(shlex.split(said))
    return str(expanded(said)) if said else ""
