"""Twin: one person's twin, wired from its parts; one turn from message to events.

Synchronous and silent: faces drain `stream` and bring threads. The core is loaded at the first question, never at
opening, so that imports and the profile work before any model is there.
"""
from __future__ import annotations

import json
import os
import uuid
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime
from functools import cached_property
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from twin import exporters, importers, profile, prompt, reader, roles, text
from twin.answer import cited, drain
from twin.archive import Archive
from twin.catalog import Catalog
from twin.errors import HomeBusy, InputError, ModelMissing, TwinError, UsageError
from twin.home import Home, write_atomically
from twin.memory import Memory
from twin.placement import Placement
from twin.router import Router
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
    Profile,
    Progress,
    Prompt,
    Recalled,
    Routed,
    Turn,
    Usage,
    never,
)

if TYPE_CHECKING:
    from twin.exporters import Exported
    from twin.roles import RoleMap

_INDEXED, _DIGEST, _BARS = "memory.indexed", "profile.digest", "reader.bars"  # settings in the archive
MOST_RESULTS = 10_000
ANSWER_WAITS_S = 60.0  # for a lock: an answer that took a minute to write must not be lost to an import
_PIECE = 512  # passages embedded under one lock, some seconds
MEMORIES = 4          # records offered to a question; each costs 30-200 tokens of reading
MIN_SCORE = 0.06  # recall's right answers lie at .10 to .35 (tests/bench/recall.py); below this is chance


class Twin:
    """The twin of one person. Made by `open`; a context manager; one thread at a time.

    Everything a face can do is a method here. Errors are those of twin.errors.
    """

    def __init__(self, home: Home, *, engine: Engine | None = None, embedder: Embedder | None = None,
                 model: str | None = None, n_ctx: int = 8192, placement: Placement | None = None,
                 catalog: Catalog | None = None) -> None:
        self.home = home
        self.archive = Archive(home)
        self.memory = Memory(home.memory, embedder)
        self.embedder = embedder
        self.catalog = catalog or Catalog()
        self.conversation = str(uuid.uuid4())
        self._engine = engine
        self._model = model
        self._n_ctx = n_ctx
        self._placement = placement
        self._router: Router | None = None

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
        return cls(place, engine=engine, embedder=_embedder(catalog), model=model or os.environ.get("TWIN_MODEL"),
                   n_ctx=n_ctx, placement=placement, catalog=catalog)

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
        return self._store(conversations, progress=progress)

    def import_path(self, path: str | os.PathLike[str], *, dry_run: bool = False,
                    progress: Progress | None = None) -> ImportReport:
        """Read a file, zip or folder of exports and notes. `dry_run` reports what would happen and writes nothing."""
        return self._store(importers.read(Path(path), progress=progress), dry_run=dry_run, progress=progress)

    def _store(self, found: Iterable[Any], *, dry_run: bool = False, progress: Progress | None = None) -> ImportReport:
        if dry_run:
            return self.archive.add(found, dry_run=True)[0]
        items, head = iter(found), []
        for item in items:  # what cannot be read fails here, before anything is written
            head.append(item)
            if isinstance(item, Conversation) or item.conversation is not None:
                break
        self._mend_memory(progress)
        # Two stores cannot change in one transaction: this mark stays behind when the process dies between them.
        self.archive.set_setting(_INDEXED, "no")
        report, changed = self.archive.add(chain(head, items))
        if changed:
            wanted = set(changed)
            with self.home.writing("index of new messages"):
                # By words first, in seconds: ten thousand long messages take minutes to embed.
                self.memory.add(((conversation, message) for conversation, message in self.archive.messages()
                                 if (conversation, message.id) in wanted), progress=progress, vectors=False)
            self.archive.set_setting(_DIGEST, "")
        self.archive.set_setting(_INDEXED, "yes")
        self._mend_memory(progress)
        return report

    def _mend_memory(self, progress: Progress | None = None) -> None:
        """After an import that died half-way, or once an embedder came, bring recall up to the archive."""
        status = self.memory.status()
        if self.archive.setting(_INDEXED) == "no" or not status.fits:
            self._rebuild(progress, vectors=False)  # recall by words is back at once; vectors follow, piece by piece
            status = self.memory.status()
        left = total = status.missing
        while left > 0:  # a lock for each piece, so that other processes can write in between
            if progress:
                progress("recall by meaning", total - left, total)
            with self.home.writing("vectors of stored messages"):
                left -= self.memory.embed_missing(limit=_PIECE) or left

    def rebuild_memory(self, *, progress: Progress | None = None) -> int:
        """Build recall anew from the archive; returns the number of passages."""
        self._rebuild(progress, vectors=True)
        return self.memory.count()

    def _rebuild(self, progress: Progress | None, *, vectors: bool) -> None:
        with self.home.writing("memory rebuild"):
            self.memory.rebuild(self.archive.messages(), progress=progress, vectors=vectors)
        self.archive.set_setting(_INDEXED, "yes")

    def recall(self, query: str, k: int = 10, *, own: bool | None = None,
               progress: Progress | None = None) -> list[Recalled]:
        """The passages that fit a query, best first. `own=True` keeps to the person's own words."""
        if not 1 <= k <= MOST_RESULTS:
            raise UsageError(f"k is {k}; from 1 to {MOST_RESULTS} results can be asked for.", "Use k=10.")
        memory = self.memory
        try:
            self._mend_memory(progress)
        except HomeBusy:  # another process is importing: it also mends
            if not memory.status().fits:  # and makes the vectors of a new embedder: words still find
                memory = Memory(self.home.memory, None)
        return memory.recall(query, k, own=own)

    # ---- who the person is ----------------------------------------------------------------------------------------

    def profile(self, *, read: int = 0, language: str | None = None, progress: Progress | None = None,
                cancel: Callable[[], bool] = never) -> Profile:
        """The profile with evidence. By rules at once; `read` lets the core read up to so many more own messages first.
        `language` ('en', 'ru') is that of most own messages when not given.

        What the core read is kept, batch by batch, so reading can be stopped and taken up again.
        """
        if read > 0:
            self._read(read, progress, cancel)
        return profile.build(self.archive.messages(), points=self.archive.points(), language=language,
                             read_by_core=self.archive.read_by_core())

    def _read(self, limit: int, progress: Progress | None, cancel: Callable[[], bool]) -> None:
        engine = self.engine
        known = self.archive.read_keys(engine.id)
        unread = [(conversation, message) for conversation, message in self.archive.messages(own=True)
                  if (conversation, message.id) not in known]
        chosen = profile.candidates(unread, limit)
        earned = f"{_BARS}.{engine.id}"
        bars: dict[str, float] = json.loads(self.archive.setting(earned) or "{}")
        for keys, points in reader.read(engine, chosen, profile.facets(), embedder=self.embedder, bars=bars,
                                        progress=progress, cancel=cancel):
            self.archive.save_points(engine.id, points, keys)
            self.archive.set_setting(earned, json.dumps(bars))
        self.archive.set_setting(_DIGEST, "")

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
            self._engine = self._load()
        return self._engine

    @property
    def notes(self) -> tuple[str, ...]:
        """What the core does otherwise than asked, in words: fewer cards, a shorter context. () until it loads."""
        return self._engine.notes if self._engine else ()

    def _load(self) -> Engine:
        from twin.engine.isolated import IsolatedEngine  # here: these load llama_cpp, which an import never needs
        from twin.engine.llama import LlamaEngine
        from twin.engine.snapshots import Snapshots

        name = self._model or self.catalog.best_core()
        if name is None:
            wanted = self.catalog.recommend().model.name
            raise ModelMissing("No core is on this machine yet.", f"Fetch one with `twin models pull {wanted}`.")
        path = self.catalog.path(name)
        model = self.catalog.by_path(path)
        rest: dict[str, Any] = {
            "family": model.family if model else None, "n_ctx": self._n_ctx, "trusted": model is not None,
            "sha256": next((file.sha256 for file in model.files if file.name == path.name), None) if model else None,
            "placement": self._placement, "snapshots": Snapshots(self.home.snapshots)}
        if self._placement is not None and (self._placement.servers or len(self._placement.devices) > 1):
            return IsolatedEngine(path, **rest)  # a card or worker that dies takes its process along
        return LlamaEngine(path, **rest)

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
        found = self.recall(question, MEMORIES, own=True)
        chosen = role_map.role(route.role)
        named = chosen.adapter
        adapters = () if named is None else (
            Adapter(str(self.home.adapter(named.path, named.sha256)), named.scale, named.kind),)
        header = roles.header(chosen, text.language(question))
        rendered = self._render(conversation, question, chosen, header, adapters,
                                [memory for memory in found if memory.score >= MIN_SCORE])
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
        self.archive.save_turn(turn, wait_s=ANSWER_WAITS_S)
        yield Interrupted(turn) if turn.status == "interrupted" else Answered(turn)

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
        return replace(made, path=target)

    def chat(self) -> Any:
        """A chat widget for Jupyter."""
        from twin.widget import Chat  # a face above; here only as the method's convenience, loaded when asked for

        return Chat(self)


def _embedder(catalog: Catalog) -> Embedder | None:
    """The ablest embedder on this machine, read when it is first asked; recall works without one, by words alone."""
    name = catalog.best_embedder()
    if name is None:
        return None
    path = catalog.path(name)
    if path.suffix == ".gguf":
        from twin.engine.embedding import GGUFEmbedder  # here: for those who fetched one

        return GGUFEmbedder(path, trusted=True)
    from twin.embedder import MiniLM  # here: loads onnxruntime

    return MiniLM(path.parent)
