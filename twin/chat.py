"""Twin: one person's twin, wired from its parts; one turn from message to events.

Synchronous and silent: faces drain `stream` and bring threads. The core is loaded at the first question, never at
opening, so that imports and the profile work before any model is there.
"""
from __future__ import annotations

import os
import uuid
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from twin import exporters, loading, portrait, prompt, roles, text
from twin.answer import cited, drain
from twin.archive import typed_in
from twin.catalog import Catalog
from twin.errors import InputError, StaleAdapter, TwinError, UsageError
from twin.home import Home, sha256_of, write_atomically
from twin.person import Profile
from twin.placement import Placement
from twin.records import Records
from twin.router import Router
from twin.self_profile import SelfProfile
from twin.types import (
    Adapter,
    Answered,
    Conversation,
    Embedder,
    Engine,
    Event,
    Failed,
    ImportReport,
    Interrupted,
    Progress,
    Prompt,
    Recalled,
    Routed,
    Scope,
    Turn,
    Usage,
    digest,
    never,
)

if TYPE_CHECKING:
    from twin.archive import Failure, Source
    from twin.exporters import Exported
    from twin.forgetting import Forgotten
    from twin.lift import Lift
    from twin.person import Decision
    from twin.portrait import Audit
    from twin.reader import Cost
    from twin.roles import RoleMap
    from twin.self_profile import Why
    from twin.verification import Difference, Snapshot, Verification

_DIGEST = "profile.digest"  # a setting in the archive
ANSWER_WAITS_S = 60.0  # for a lock: an answer that took a minute to write must not be lost to an import
MEMORIES = 4          # records offered to a question; each costs 30-200 tokens of reading
MIN_SCORE = 0.15  # recall's right answers lie at .17 to .48 (tests/bench/recall.py); below this is chance


class Twin:
    """The twin of one person. Made by `open`; a context manager; one thread at a time.

    Everything a face can do is a method here. Errors are those of twin.errors.
    """

    def __init__(self, home: Home, *, engine: Engine | None = None, embedder: Embedder | None = None,
                 model: str | None = None, n_ctx: int = 8192, placement: Placement | None = None,
                 catalog: Catalog | None = None) -> None:
        self.home = home
        self.records = Records(home, embedder)
        self.archive, self.memory = self.records.archive, self.records.memory
        self.embedder = embedder
        self.catalog = catalog or Catalog()
        self.conversation = str(uuid.uuid4())
        self._engine, self._lent = engine, engine is not None
        self._model = model
        self._n_ctx = n_ctx
        self._placement = placement
        self._router: Router | None = None
        self.person = SelfProfile(self.archive, embedder, lambda: self.engine)

    @classmethod
    def open(cls, home: str | os.PathLike[str] | Home | None = None, *, engine: Engine | None = None,
             model: str | None = None, n_ctx: int = 8192, placement: Placement | None = None) -> Twin:
        """Open the twin that lives in `home` (default: TWIN_HOME or the platform's data folder).

        `engine` takes any Engine; otherwise `model` (a catalogue name or a GGUF path; default TWIN_MODEL or the best
        core on this machine) is loaded at the first question, where `placement` says (default: as the engine finds).
        Nothing is written before the first import or question.
        """
        place = home if isinstance(home, Home) else Home(home)
        catalog = Catalog()
        return cls(place, engine=engine, embedder=loading.embedder(catalog), n_ctx=n_ctx, placement=placement,
                   model=model or os.environ.get("TWIN_MODEL"), catalog=catalog)

    def __enter__(self) -> Twin:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"Twin({str(self.home.root)!r})"

    def close(self) -> None:
        """Keep what the core has read, then free it and the embedder; the stores hold nothing open."""
        try:
            with suppress(TwinError):  # a full disk costs the next run some reading, nothing else
                self.settle(keep=True, cancel=lambda: True)
        finally:
            engine, self._engine = self._engine, None
            for part in (engine, self.embedder):
                if part is not None and hasattr(part, "close"):
                    part.close()

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
        report = self.records.import_path(Path(path), me=me, zone=zone, dry_run=dry_run, progress=progress)
        if embed and not dry_run:
            self.embed(progress=progress)
        return report

    def embed(self, *, progress: Progress | None = None, cancel: Callable[[], bool] = never) -> int:
        """Make the vectors that recall by meaning still lacks; returns how many. Recall by words does not wait for
        them, and a pass that was stopped goes on from where it was."""
        return self.records.embed(progress, cancel) if self.embedder else 0

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
        if self._engine is not None and not self._lent:  # what it has read is in its cache; the next question loads it
            self._engine.close()
            self._engine = None
        return gone

    def allow_adapter(self, name: str) -> None:
        """Let an adapter load although it was trained on what was forgotten since."""
        if not (self.archive.allow_adapter(name) or self.archive.allow_adapter(self.home.adapter(name))):
            raise UsageError(f"There is no stale adapter {name!r}.", "Take its name or sha256 from the error.")

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

    @property
    def role_map(self) -> RoleMap:
        """The roles as they stand on disk now; the six seed roles before they are first used and written there."""
        return roles.load(self.home.roles) if self.home.roles.is_dir() else roles.seed()

    # ---- a turn -----------------------------------------------------------------------------------------------------

    @cached_property
    def constitution(self) -> str:
        """The invariant part of the system prompt: constitution.md in the home when the person wrote one."""
        own = self.home.root / "constitution.md"
        try:
            return own.read_text("utf-8").strip() if own.exists() else prompt.CONSTITUTION
        except (OSError, UnicodeDecodeError) as error:
            raise InputError(f"{own} cannot be read ({error}).", "Save it as UTF-8 text, or remove it.") from error

    @property
    def engine(self) -> Engine:
        """The core, loaded now if it was not yet. Raises ModelMissing with the command that fetches one."""
        if self._engine is None:
            self._engine = loading.engine(self.catalog, self.home, self._model, self._n_ctx, self._placement)
        return self._engine

    @property
    def notes(self) -> tuple[str, ...]:
        """What the core does otherwise than asked, in words: fewer cards, a shorter context. () until it loads."""
        return self._engine.notes if self._engine else ()

    def ask(self, question: str, role: str | None = None) -> Turn:
        """Ask and wait for the whole turn. Raises the error of a turn that failed."""
        for event in self.stream(question, role=role):
            if isinstance(event, Failed):
                raise event.error
            if isinstance(event, Answered | Interrupted):
                return event.turn
        raise TwinError("The turn ended without an answer.", "Ask again.")

    def stream(self, question: str, role: str | None = None, *, conversation: str | None = None,
               cancel: Callable[[], bool] = never) -> Iterator[Event]:
        """One turn as events: Routed, Recalled..., Thinking/Token..., then Answered, Interrupted or Failed.

        `cancel` is asked between tokens. A turn that ends with Failed stores nothing.
        """
        try:
            yield from self._turn(question, role, conversation or self.conversation, cancel)
        except TwinError as error:
            yield Failed(error)

    def _turn(self, question: str, role: str | None, conversation: str, cancel: Callable[[], bool]) -> Iterator[Event]:
        question = text.clean(question).strip()
        if not question:
            raise UsageError("The question is empty.", "Write what you want to ask.")
        role_map = self.role_map
        if self._router is None or self._router.role_map.version != role_map.version:
            self._router = Router(role_map, self.embedder)
        route = self._router.route(question, asked=role)
        if not self.home.roles.is_dir():
            with self.home.writing("seed roles", wait_s=ANSWER_WAITS_S):
                roles.ensure(self.home.roles)
        yield Routed(route)
        chosen = role_map.role(route.role)
        scope = Scope(tags=chosen.memory.include, without=chosen.memory.exclude, exclude=(typed_in(conversation),))
        found = self.recall(question, MEMORIES, own=True, scope=scope)
        adapters = self._adapters(chosen)
        header = roles.header(chosen, text.language(question))
        rendered = self._render(conversation, question, chosen, header, adapters,
                                [memory for memory in found if memory.score >= MIN_SCORE and memory.text != question])
        yield from rendered.memories
        started = datetime.now(UTC)
        answer, thinking, last = yield from drain(self.engine, rendered, chosen.sampling, cancel)
        usage = last.usage or Usage(finish=last.finish or "stop")
        turn = Turn(
            id=str(uuid.uuid4()), conversation=conversation, question=question, answer=answer, route=route,
            status="interrupted" if usage.finish == "cancelled" else "answered", model=self.engine.id,
            role_map=role_map.version, header=header, adapted=bool(adapters), written=last.written,
            memories=rendered.memories, thinking=thinking, usage=usage, time=started, dropped=rendered.dropped,
            cited=cited(answer, question, rendered.memories))
        self.archive.save_turn(turn, own=self.keeps_typed, wait_s=ANSWER_WAITS_S)
        yield Interrupted(turn) if turn.status == "interrupted" else Answered(turn)

    def _adapters(self, role: roles.Role) -> tuple[Adapter, ...]:
        """The adapter of a role, where it lies. Raises StaleAdapter for one trained on what was forgotten since."""
        named = role.adapter
        if named is None:
            return ()
        path = self.home.adapter(named.path, named.sha256)
        stale = self.archive.stale_adapters()
        if stale and any(one.path == path or one.sha256 == sha256_of(path) for one in stale):
            raise StaleAdapter(f"The adapter {path.name} of role {role.id} was trained on messages that you have taken "
                               "back since.", f"Train it again, or allow it with `twin allow {path.name}`.")
        return (Adapter(str(path), named.scale, named.kind),)

    def _render(self, conversation: str, question: str, role: roles.Role, header: str, adapters: Sequence[Adapter],
                memories: Sequence[Recalled]) -> Prompt:
        engine = self.engine
        return prompt.render(
            family=engine.family, question=question, header=header, count=lambda piece: len(engine.tokenize(piece)),
            budget=engine.n_ctx - role.sampling.max_tokens - 16, role=role.id, constitution=self.constitution,
            about=self._about(), history=self.archive.turns(conversation), memories=memories, adapters=adapters)

    def settle(self, *, conversation: str | None = None, keep: bool = False,
               cancel: Callable[[], bool] = never) -> int:
        """Idle work: read what the last turn left unread; returns the tokens that were read.

        After a role with an adapter the base weights read its answer here, so that the next turn need not wait.
        Faces call it between turns; without it the same work happens at the next question. `keep` saves what is read
        by then, so that another run goes on from there; `close` does that too.
        """
        conversation = conversation or self.conversation
        engine, turns = self._engine, self.archive.turns(conversation, limit=2)
        if engine is None or not turns:
            return 0
        made = self._render(conversation, "", self.role_map.roles[0], "", (), ())
        # A single question is seldom taken up again: of that only what all conversations begin with is kept.
        left_out = ("question", "history", "end") if keep and len(turns) == 1 else ("question",)
        past = tuple(segment for segment in made.prefix if segment.part not in left_out)
        return engine.prepare(replace(made, prefix=past), keep=keep, cancel=cancel)

    def _about(self) -> str:
        """The profile in a few lines, kept until an import or a reading changes it: building it reads every message."""
        stored = self.archive.setting(_DIGEST)
        if not stored:
            stored = prompt.digest(self.profile()) or "-"
            self.archive.set_setting(_DIGEST, stored)
        return "" if stored == "-" else stored

    def has(self, part: Literal["core", "embedder"]) -> bool:
        """Whether a core to answer with, or an embedder to recall by meaning, is on this machine."""
        if part == "embedder":
            return self.embedder is not None
        if self._engine is not None:
            return True
        if self._model is None:
            return self.catalog.best_core() is not None
        try:
            return self.catalog.path(self._model).is_file()
        except TwinError:
            return False

    # ---- what leaves -----------------------------------------------------------------------------------------------

    def export(self, format: str = "prompt", *, path: str | os.PathLike[str] | None = None, budget: int = 8000,
               language: str | None = None) -> Exported:
        """Write the profile as an export; it tells its path, its text and what was cut. Formats: prompt."""
        if format not in exporters.FORMATS:
            raise UsageError(f"There is no export format {format!r}.", f"Known: {', '.join(exporters.FORMATS)}.")
        made = exporters.FORMATS[format](self.profile(language=language), language=language, budget=budget)
        target = Path(path) if path else self.home.create().exports / f"{format}.md"
        write_atomically(target, made.text)
        self.archive.register("export", target, sha256=digest(made.text))
        return replace(made, path=target)

    def chat(self) -> Any:
        """A chat widget for Jupyter."""
        from twin.widget import Chat  # a face above; here only as the method's convenience, loaded when asked for

        return Chat(self)
