"""Twin: one person's twin, wired from its parts; one turn from message to events.

Synchronous and silent: faces drain `stream` and bring threads. The core is loaded at the first question, never at
opening, so that imports and the profile work before any model is there.
"""
from __future__ import annotations

import os
import sys
import uuid
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from twin import loading, portrait, prompt, text
from twin.asking import Asking
from twin.backup import finish
from twin.catalog import Catalog
from twin.company import Accompanied, Company
from twin.deliberating import Asked
from twin.desk import Desk
from twin.errors import DeviceLost, TwinError, UsageError
from twin.home import Home
from twin.learning import Learning
from twin.leaving import Leaving
from twin.ledger import Ledger
from twin.lines import Line, Lines, Settings
from twin.person import Profile
from twin.placement import Placement
from twin.records import Records
from twin.reflecting import Reflecting
from twin.replying import Replying
from twin.self_profile import SelfProfile
from twin.types import (
    Answered,
    Conversation,
    Embedder,
    Engine,
    Event,
    Failed,
    ImportReport,
    Interrupted,
    Progress,
    Recalled,
    Route,
    Scope,
    Turn,
    never,
)

if TYPE_CHECKING:
    from twin.archive import Correction, Failure, Source
    from twin.calibration import Calibration
    from twin.forgetting import Forgotten
    from twin.lift import Lift
    from twin.person import Decision
    from twin.portrait import Audit
    from twin.prompt_view import PromptView
    from twin.reader import Cost
    from twin.role_book import RoleBook
    from twin.roles import RoleMap
    from twin.self_profile import Why
    from twin.verification import Difference, Snapshot, Verification

_DIGEST = "profile.digest"  # a setting in the archive


class Twin(Learning, Reflecting, Leaving, Replying, Desk, Accompanied):
    """The twin of one person. Made by `open`; a context manager; one thread at a time.

    Everything a face can do is a method here. Errors are those of twin.errors.
    """

    def __init__(self, home: Home, *, engine: Engine | None = None, embedder: Embedder | None = None,
                 model: str | None = None, n_ctx: int = 8192, placement: Placement | None = None,
                 catalog: Catalog | None = None, company: Company | None = None) -> None:
        self.home = home
        self.records = Records(home, embedder)
        self.archive, self.memory = self.records.archive, self.records.memory
        self.embedder = embedder
        self.catalog = catalog or Catalog()
        self.conversation = str(uuid.uuid4())
        self._engine, self._lent = engine, engine is not None
        self._closing: list[Callable[[], None]] = []
        self._model = model
        self._n_ctx = n_ctx
        self._placement = placement
        self._is_accompanied(company or Company(home, self.catalog, members=()), self._chosen, placement)
        self.person = SelfProfile(self.archive, embedder, lambda: self.engine)
        self.asking = Asking(home, self.records, embedder, lambda: self.engine, self._about, lambda: self.keeps_typed,
                             reads=self.company.embedder("router"), second=self.company.elsewhere)
        self._learns(self.records, self.asking, embedder, lambda: self.engine, self._release, self.profile)
        self._reflects(lambda: self.engine, lambda: self.company.scorer() or loading.core(
            self.catalog, self._chosen(), self._engine),
                       lambda experts: loading.engine(self.catalog, home, self._chosen(), n_ctx, placement,
                                                      experts=experts))

    @classmethod
    def open(cls, home: str | os.PathLike[str] | Home | None = None, *, engine: Engine | None = None,
             model: str | None = None, n_ctx: int = 8192, placement: Placement | None = None) -> Twin:
        """Open the twin that lives in `home` (default: TWIN_HOME or the platform's data folder).

        `engine` takes any Engine; otherwise `model` (a catalogue name or a GGUF path; default TWIN_MODEL or the best
        core on this machine, or the URL of a server: http://host:port/v1#name) is loaded at the first question, where
        `placement` says (default: as the engine finds). Nothing is written before the first import or question. Raises
        InputError where the home's agents.toml cannot be read.
        """
        if "ipykernel" in sys.modules:
            from twin.notebook import cell  # a face above; here only so that turns show themselves in cells

            cell.register()
        place = home if isinstance(home, Home) else Home(home)
        finish(place)  # a restore that was killed at its end
        catalog = Catalog()
        company = Company(place, catalog, n_ctx)
        embedder = company.embedder("embedder") or loading.embedder(catalog)
        return cls(place, engine=engine, embedder=embedder, n_ctx=n_ctx, placement=placement,
                   model=model or os.environ.get("TWIN_MODEL"), catalog=catalog, company=company)

    def __enter__(self) -> Twin:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"Twin({str(self.home.root)!r})"

    def close(self) -> None:
        """Keep what the core has read, then free it, the embedder and the agents; the stores hold nothing open."""
        try:
            for job in self._closing:
                job()
            with suppress(TwinError):  # a full disk costs the next run some reading, nothing else
                self.settle(keep=True, cancel=lambda: True)
        finally:
            engine, self._engine = self._engine, None
            for part in (engine, self.embedder):
                if part is not None and hasattr(part, "close"):
                    part.close()
            self._leaves()

    def at_close(self, job: Callable[[], None]) -> None:
        """Have something done each time the twin closes, while its core is still there."""
        self._closing.append(job)

    # ---- what the person wrote ---------------------------------------------------------------------------------

    def add(self, conversations: Iterable[Conversation], *, progress: Progress | None = None) -> ImportReport:
        """Store conversations and make them recallable at once. The same ones again change nothing."""
        report = self.records.add(conversations, progress=progress)
        self.embed(progress=progress)
        return report

    def import_path(self, path: str | os.PathLike[str], *, me: Iterable[str] | None = None, zone: str | None = None,
                    dry_run: bool = False, embed: bool = True, progress: Progress | None = None) -> ImportReport:
        """Read a file, zip or folder of exports and notes. `dry_run` reports what would happen and writes nothing.

        `me`: your names, ids and mail addresses, for chats that do not say who you are (WhoIsMe lists who speaks there;
        the answer is kept). `zone` (Europe/Moscow) is that of times that name none, default this machine's. With
        `embed=False` the vectors are left to `embed`, which takes minutes where the import takes seconds.
        """
        if not os.fspath(path).strip():  # Path("") is the current folder, which nobody named
            raise UsageError("No path was given.", "Name a file, a zip or a folder.")
        report = self.records.import_path(Path(path), me=me, zone=zone, dry_run=dry_run, progress=progress,
                                          take=self.take_claims)
        if embed and not dry_run:
            self.embed(progress=progress)
        return report

    def embed(self, *, progress: Progress | None = None, cancel: Callable[[], bool] = never) -> int:
        """Make the vectors that recall by meaning still lacks; returns how many, 0 where an embedder of its own is
        down. Recall by words does not wait for them, and a pass that was stopped goes on from where it was."""
        with suppress(DeviceLost):
            return self.records.embed(progress, cancel) if self.embedder else 0
        return 0

    def rebuild_memory(self, *, progress: Progress | None = None) -> int:
        """Build recall anew from the archive; returns the number of passages."""
        return self.records.rebuild(progress)

    def recall(self, query: str, k: int = 10, *, own: bool | None = None, scope: Scope | None = None,
               progress: Progress | None = None) -> list[Recalled]:
        """The passages that fit a query, best first. `own=True` keeps to the person's own words; `scope` says which
        sources, people and times count."""
        return self.records.recall(query, k, own=own, scope=scope, progress=progress)

    def sources(self) -> list[Source]:
        """What is in: everything that was imported, with counts."""
        return self.archive.sources()

    def forget(self, target: str, *, progress: Progress | None = None) -> Forgotten:
        """Take back a source, a conversation, a message or a claim: gone from both stores, turns, exports, snapshots.

        What was forgotten does not come back with the next import. The result is a proof: what was searched for, where,
        and what was found before and after. Raises UsageError when nothing or more than one thing has that name.
        """
        gone = self.records.forget(target, progress=progress)
        self._release()  # what it has read is in its cache; the next question loads it
        return gone

    # ---- who the person is ----------------------------------------------------------------------------------------

    def profile(self, *, read: int = 0, language: str | None = None, progress: Progress | None = None,
                cancel: Callable[[], bool] = never) -> Profile:
        """The profile with evidence. By rules at once; `read` lets the core read up to so many more own messages first.
        `language` ('en', 'ru') is that of most own messages when not given.

        What the core read is kept, batch by batch, so reading can be stopped and taken up again. What is shown is kept
        as a version (marks, no words) for `why`, `verify` and `diff`.
        """
        return self.person.build(read=read, language=language, progress=progress, cancel=cancel)

    def cost(self, read: int) -> Cost:
        """What letting the core read up to so many more messages costs: messages, tokens, seconds."""
        return self.person.cost(read)

    def failures(self) -> list[Failure]:
        """Where the core's reading gave nothing that could be used, with what it wrote; the newest last."""
        return self.archive.failures()

    def why(self, claim: str) -> Why:
        """The quotes a claim rests on, in their context; `claim` is its id or its number in the report."""
        return self.person.why(claim)

    def verify(self) -> Verification:
        """Check every quote of the last version of the profile against the archive."""
        return self.person.verify()

    def versions(self) -> list[Snapshot]:
        """The versions of the profile, the newest last."""
        return self.archive.snapshots()

    def diff(self, before: str | None = None, after: str | None = None) -> Difference:
        """What is different between two versions of the profile; by default the last two."""
        return self.person.diff(before, after)

    def decide(self, claim: str, action: str, text: str = "") -> Decision:
        """Have the last word on a claim: approve, reject (it stays rejected), pin, edit (with `text`), undo."""
        return self.person.decide(claim, action, text)

    def lift(self, question: str, *, core: bool = False) -> Lift:
        """How this person would have asked a flat question."""
        return self.person.lift(question, core=core)

    def audit(self, portrait: str, *, core: bool = False) -> Audit:
        """Check a text about the person sentence by sentence; words it attributes to them wait for `confirm`."""
        return self.person.audit(portrait, core=core)

    def confirm(self, audit: Audit, chosen: Iterable[int], *, origin: str = "") -> ImportReport:
        """Take words of an audited portrait (numbers of `audit.attributed` from 0) as said by the person."""
        return self.add([portrait.confirmed(audit, chosen, None, origin)])

    @property
    def keeps_typed(self) -> bool:
        """Whether what is typed to the twin counts as the person's own words; can be set."""
        return self.person.keeps_typed

    @keeps_typed.setter
    def keeps_typed(self, on: bool) -> None:
        self.person.keeps_typed = on

    # ---- roles -------------------------------------------------------------------------------------------------

    @property
    def role_map(self) -> RoleMap:
        """The roles as they stand on disk now; the six seed roles before they are first used and written there. Where a
        hand edit cannot be read the map before it, and `role_book.refusal` says why."""
        return self.asking.role_map

    @property
    def role_book(self) -> RoleBook:
        """The role map with its history: diff, rollback."""
        return self.asking.book

    @property
    def ledger(self) -> Ledger:
        """Hypotheses, what was predicted, what was measured, and the verdicts."""
        return Ledger(self.archive)

    def route(self, message: str) -> Route:
        """Whom a message would go to: a probability for each role, and why."""
        return self.asking.route(message)

    def correct(self, turn: Turn | str, role: str) -> Correction:
        """This turn's message was for that role ('none': for nobody). The router knows it at once; silence teaches it
        nothing."""
        return self.asking.correct(turn if isinstance(turn, str) else turn.id, role)

    # ---- a turn -----------------------------------------------------------------------------------------------------

    @property
    def engine(self) -> Engine:
        """The core, loaded now if it was not yet. Raises ModelMissing with the command that fetches one."""
        if self._engine is None:
            self._engine = loading.engine(self.catalog, self.home, self._chosen(), self._n_ctx, self._placement)
        return self._engine

    def ask(self, question: str, role: str | None = None, *, conversation: str | None = None) -> Turn:
        """Ask and wait for the whole turn; a notebook cell shows it as it comes. Raises the error of a failed one."""
        return self._shown(question, lambda cancel: self.stream(question, role, conversation=conversation,
                                                                cancel=cancel))

    def council(self, question: str, members: Iterable[str] = (), *, n: int | None = None, control: bool = False,
                conversation: str | None = None) -> Turn:
        """Ask several roles at once and wait; `turn.verdict` holds what each said and what it weighed.

        `members` names them; else the routed role and the likeliest others, `n` at most (default: the policy's). With
        `control` the best single role answers too, sampled to as many tokens: see whether the council was worth them.
        """
        return self._shown(question, lambda cancel: self.stream(
            question, conversation=conversation, council=True, members=members, n=n, control=control, cancel=cancel))

    def show_prompt(self, question: str, role: str | None = None, *, conversation: str | None = None) -> PromptView:
        """The prompt a question would be answered with, taken apart; nothing is answered or stored."""
        shown = self.asking.show(Asked(question, conversation or self.conversation, role))
        return replace(shown, language=self.language)

    def stream(self, question: str, role: str | None = None, *, conversation: str | None = None,
               council: bool | None = None, members: Iterable[str] = (), n: int | None = None, control: bool = False,
               cancel: Callable[[], bool] = never) -> Iterator[Event]:
        """One turn as events: Routed, Recalled..., Thinking/Token..., then Answered, Interrupted or Failed; in a
        council Hypothesis... and Weighed stand before the answer.

        `conversation` is a chat or a line of one. `council` None leaves it to the line and the policy; see `council`
        for the rest. `cancel` is asked between tokens. A turn that ends with Failed stores nothing.
        """
        asked = Asked(question, conversation or self.conversation, role, council, tuple(members), n, control)
        yield from self._observed(self._turn(self.asking.stream(asked, cancel)))

    def probe(self, *, progress: Progress | None = None, cancel: Callable[[], bool] = never) -> Calibration | None:
        """Let this core answer the bundled questions once, so that a council's weights are calibrated. Minutes to
        hours; it can be stopped (None) and goes on from there."""
        return self.asking.run_probe(progress, cancel)

    # ---- lines of thinking -----------------------------------------------------------------------------------------

    @property
    def lines(self) -> Lines:
        """The lines of all conversations: list, get, compare, keep, drop, name them."""
        return self.asking.lines

    def fork(self, turn: Turn | str = "", *, role: str | None = None, instruction: str = "",
             sampling: Mapping[str, float] | None = None, council: bool = False, after: bool = False,
             name: str = "") -> tuple[Line, Turn]:
        """A new line at a turn (default: the last one), and that turn. Ask on it: `ask(..., conversation=line.id)`.

        It leaves before the turn, so that the same question can be asked again in another way, or `after` it.
        """
        if role is not None:
            self.role_map.role(role)
        settings = Settings(role, text.clean(instruction).strip(), sampling or {}, council)
        return self.lines.fork(turn if isinstance(turn, str) else turn.id, settings, after=after, name=name)

    def side_by_side(self, question: str, lines: Iterable[str], *,
                     cancel: Callable[[], bool] = never) -> Iterator[tuple[str, Event]]:
        """Ask several lines the same at once, over what they share: (id of the line, event) as they come."""
        events = self.asking.side_by_side(question, [self.lines.get(name).id for name in lines], cancel)
        return self._observed(self._turn(events))

    def settle(self, *, conversation: str | None = None, keep: bool = False,
               cancel: Callable[[], bool] = never) -> int:
        """Idle work: read what the last turn left unread; returns the tokens that were read.

        After a role with an adapter the base weights read its answer here, so that the next turn need not wait.
        Faces call it between turns; without it the same work happens at the next question. `keep` saves what is read
        by then, so that another run goes on from there; `close` does that too.
        """
        return self.asking.settle(self._engine, conversation or self.conversation, keep=keep, cancel=cancel)

    def _about(self) -> str:
        """The profile in a few lines, kept until an import or a reading changes it: building it reads every message."""
        stored = self.archive.setting(_DIGEST)
        if not stored:
            stored = prompt.digest(self.profile()) or "-"
            self.archive.set_setting(_DIGEST, stored)
        return "" if stored == "-" else stored

    def _shown(self, question: str, begin: Callable[[Callable[[], bool]], Iterator[Event]]) -> Turn:
        """The whole turn; in a cell of a notebook it is drawn there as it comes."""
        if "ipykernel" in sys.modules:
            from twin.notebook import cell  # as in `open`

            if cell.here():
                return cell.ask(self, question, begin)
        return _last(begin(never))


def _last(events: Iterable[Event]) -> Turn:
    for event in events:
        if isinstance(event, Failed):
            raise event.error
        if isinstance(event, Answered | Interrupted):
            return event.turn
    raise TwinError("The turn ended without an answer.", "Ask again.")
