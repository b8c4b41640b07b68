"""Asking: one turn from message to events. Routes, recalls, renders, lets the core answer, stores what was said.

A turn runs on a chat or on one of its lines (lines.py), whose settings stand in for what is routed; one role answers,
or a council of them. Silent and synchronous; the core comes in as a function, since it is loaded at the first question.
"""
from __future__ import annotations

import uuid
from collections.abc import Callable, Generator, Iterator, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial

from twin import prompt, roles, text
from twin.adapters import Adapters
from twin.answer import cited, drain
from twin.archive import NOBODY, Correction, typed_in
from twin.calibration import Calibration
from twin.deliberating import ABLE as ABLE
from twin.deliberating import Asked as Asked
from twin.deliberating import Deliberating, Ready, Second, alone
from twin.errors import DeviceLost, InputError, StaleAdapter, TwinError, UsageError
from twin.home import Home, sha256_of
from twin.lines import Lines
from twin.prompt_view import PromptView, view
from twin.records import Records
from twin.role_book import RoleBook
from twin.roles import Role, RoleMap
from twin.router import Router, cleaned, shipped_texts
from twin.shipped import Shipped
from twin.types import (
    Adapter,
    Answered,
    Embedder,
    Engine,
    Event,
    Failed,
    Interrupted,
    Piece,
    Prompt,
    Recalled,
    Route,
    Routed,
    Sampling,
    Scope,
    Turn,
    Usage,
    never,
)

ANSWER_WAITS_S = 60.0  # for a lock: an answer that took a minute to write must not be lost to an import
MEMORIES = 4          # records offered to a question; each costs 30-200 tokens of reading
MIN_SCORE = 0.15  # recall's right answers lie at .17 to .48 (tests/bench/recall.py); below this is chance


class Asking(Deliberating):
    """How one twin answers. `engine` gives the core, `about` the profile in a few lines, `keeps_typed` whether what is
    typed counts as the person's own words; `reads` is the router's embedder where it has one of its own, `second` tells
    who of a council another core speaks."""

    def __init__(self, home: Home, records: Records, embedder: Embedder | None, engine: Callable[[], Engine],
                 about: Callable[[], str], keeps_typed: Callable[[], bool], *, reads: Embedder | None = None,
                 second: Second = alone) -> None:
        self.home = home
        self.records, self.archive = records, records.archive
        self.lines = Lines(self.archive)
        self.embedder, self.reads, self.second = embedder, reads, second
        self._engine = engine
        self._about = about
        self._keeps_typed = keeps_typed
        self.book = RoleBook(home, self.archive)
        self._router: tuple[Router, dict[str, str]] | None = None  # and the corrections it knows: texts, labels
        self._by_words: tuple[Router, dict[str, str]] | None = None  # the same while its embedder is down
        self._calibrated: tuple[tuple[str, str], Calibration | None] | None = None

    # ---- what stands before any question -----------------------------------------------------------------------

    @property
    def role_map(self) -> RoleMap:
        """The roles as they stand on disk now; the six seed roles before they are first used and written there. Where
        a hand edit cannot be read the map before it, and `book.refusal` says why."""
        return self.book.current()

    @property
    def constitution(self) -> str:
        """The invariant part of the system prompt: constitution.md in the home when the person wrote one."""
        own = self.home.root / "constitution.md"
        try:
            return own.read_text("utf-8").strip() if own.exists() else prompt.CONSTITUTION
        except (OSError, UnicodeDecodeError) as error:
            raise InputError(f"{own} cannot be read ({error}).", "Save it as UTF-8 text, or remove it.") from error

    def router(self, role_map: RoleMap) -> Router:
        """The router of a map, with what the person corrected by now, here or in another process. It learns what is
        new; where a text was taken back it is made anew, so that nothing of it is left."""
        self._router = self._knowing(role_map, self.reads or self.embedder, self._router)
        return self._router[0]

    def _knowing(self, role_map: RoleMap, embedder: Embedder | None,
                 kept: tuple[Router, dict[str, str]] | None) -> tuple[Router, dict[str, str]]:
        said = {one.text: one.label for one in self.archive.corrections()
                if one.label in role_map.ids or one.label == NOBODY}
        router, known = kept or (None, {})
        if router is None or router.role_map.version != role_map.version or not known.keys() <= said.keys():
            reads = Shipped(embedder, shipped_texts) if embedder else None
            return Router(role_map, reads, corrections=list(said.items())), said
        for question, label in said.items():
            if known.get(question) != label:
                router.learn(question, label)
        return router, said

    def routed(self, role_map: RoleMap, question: str, asked: str | None = None) -> Route:
        """Whom a message goes to; by words alone while the router's embedder is down."""
        try:
            return self.router(role_map).route(question, asked=asked)
        except DeviceLost:
            self._by_words = self._knowing(role_map, None, self._by_words)
            return self._by_words[0].route(question, asked=asked)

    def route(self, question: str) -> Route:
        """Whom a message would go to."""
        return self.routed(self.role_map, _clean(question))

    # ---- one turn ----------------------------------------------------------------------------------------------

    def stream(self, asked: Asked, cancel: Callable[[], bool] = never) -> Iterator[Event]:
        """The events of one turn; a TwinError becomes the last of them."""
        return self._told(lambda: self._ready(asked), cancel)

    def side_by_side(self, question: str, lines: Sequence[str],
                     cancel: Callable[[], bool] = never) -> Iterator[tuple[str, Event]]:
        """Ask several lines the same, written at once over what they share; a line with a council comes after them."""
        ready = {line: self._ready(Asked(question, line)) for line in dict.fromkeys(lines)}
        alone = {line: self._rendered(one) for line, one in ready.items() if not self._council_called(one)}
        streams = self._engine().stream_many([rendered for rendered, _ in alone.values()],
                                             [sampling for _, sampling in alone.values()], cancel=cancel)
        pieces = dict(zip(alone, streams, strict=True))
        running = {line: self._told(partial(ready.__getitem__, line), cancel, (alone[line][0], pieces[line]))
                   for line in alone}
        while running:
            for line, events in list(running.items()):
                event = next(events, None)
                if event is None:
                    del running[line]
                else:
                    yield line, event
        for line in ready:
            if line not in alone:
                yield from ((line, event) for event in self._told(partial(ready.__getitem__, line), cancel))

    def _told(self, read: Callable[[], Ready], cancel: Callable[[], bool],
              writing: tuple[Prompt, Iterator[Piece]] | None = None) -> Iterator[Event]:
        """A turn, stored at its end. `writing`: its prompt, and the answer that is written to it already."""
        try:
            turn = yield from self.turn(read(), cancel, writing)
            self.archive.save_turn(turn, own=self._keeps_typed(), wait_s=ANSWER_WAITS_S)
            yield Interrupted(turn) if turn.status == "interrupted" else Answered(turn)
        except TwinError as error:
            yield Failed(error)

    def turn(self, ready: Ready, cancel: Callable[[], bool],
             writing: tuple[Prompt, Iterator[Piece]] | None = None) -> Generator[Event, None, Turn]:
        """The events of a turn up to its answer, and the turn; nothing is stored. Raises TwinError."""
        yield Routed(ready.route)
        if writing is None and self._council_called(ready):
            return (yield from self._deliberate(ready, cancel))
        return (yield from self._answer(ready, cancel, writing))

    def _answer(self, ready: Ready, cancel: Callable[[], bool],
                writing: tuple[Prompt, Iterator[Piece]] | None) -> Generator[Event, None, Turn]:
        """One role answers."""
        if writing is None:
            rendered, sampling = self._rendered(ready)
            writing = rendered, self._engine().stream(rendered, sampling, schema=ready.schema, cancel=cancel)
        rendered, pieces = writing
        yield from rendered.memories
        answer, thinking, last = yield from drain(rendered, pieces)
        turn = self._made(ready, rendered, answer, last.usage or Usage(finish=last.finish or "stop"))
        return replace(turn, header=self._header(ready, ready.role), adapted=bool(rendered.adapters),
                       thinking=thinking, written=last.written)

    def _ready(self, asked: Asked) -> Ready:
        asked = replace(asked, question=_clean(asked.question))
        settings = self.lines.of(asked.conversation).settings
        role_map = self.role_map
        route = self.routed(role_map, asked.question, asked.role or settings.role)
        self.book.ensure(ANSWER_WAITS_S)
        return Ready(asked, settings, role_map, route, self.lines.history(asked.conversation), datetime.now(UTC))

    def _recall(self, ready: Ready, members: Sequence[Role]) -> list[Recalled]:
        """Records that serve the question and that each of the roles may see. What was asked in this tree is in its
        history already."""
        included = [set(role.memory.include) for role in members if role.memory.include]
        tags = sorted(set.intersection(*included)) if included else []
        if not ready.remembers or (included and not tags):
            return []
        here = tuple(typed_in(line.id) for line in self.lines.all(ready.asked.conversation))
        without = tuple(dict.fromkeys(tag for role in members for tag in role.memory.exclude))
        scope = Scope(tags=tuple(tags), without=without, exclude=here)
        found = self.records.recall(ready.asked.question, MEMORIES, own=True, scope=scope)
        return [one for one in found if one.score >= MIN_SCORE and one.text != ready.asked.question]

    def _made(self, ready: Ready, rendered: Prompt, answer: str, usage: Usage) -> Turn:
        asked = ready.asked
        return Turn(
            id=str(uuid.uuid4()), conversation=asked.conversation, question=asked.question, answer=answer,
            route=ready.route, status="interrupted" if usage.finish == "cancelled" else "answered",
            model=self._engine().id, role_map=ready.role_map.version, memories=rendered.memories, usage=usage,
            time=ready.started, dropped=rendered.dropped, cited=cited(answer, asked.question, rendered.memories))

    # ---- the prompt --------------------------------------------------------------------------------------------

    def show(self, asked: Asked) -> PromptView:
        """The prompt that a question would be answered with, taken apart; nothing is answered and nothing stored."""
        ready, engine = self._ready(asked), self._engine()
        rendered, sampling = self._rendered(ready)
        return view(rendered, lambda piece: len(engine.tokenize(piece)), engine.n_ctx, max_tokens=sampling.max_tokens,
                    control=lambda piece: len(engine.tokenize(piece, special=True)))

    def _header(self, ready: Ready, role: Role, *, whole: bool = False) -> str:
        """The role's instruction, and the line's. An adapter that the role was compiled into says the first itself,
        unless a core without it is asked (`whole`)."""
        compiled = role.adapter is not None and role.adapter.instead_of_header and not whole
        header = "" if compiled else roles.header(role, text.language(ready.asked.question))
        return "\n".join(part for part in (header, ready.settings.instruction) if part)

    def _sampling(self, ready: Ready, role: Role) -> Sampling:
        return replace(Sampling(**role.sampling.__dict__), **{**ready.settings.sampling, **ready.sampling})

    def _rendered(self, ready: Ready) -> tuple[Prompt, Sampling]:
        """The prompt of the routed role, and how its answer is drawn."""
        role, sampling = ready.role, self._sampling(ready, ready.role)
        return self._render(ready.history, ready.asked.question, self._header(ready, role), sampling.max_tokens,
                            role=role.id, adapters=self._adapters(role), memories=self._recall(ready, [role]),
                            thinking="off" if ready.schema else role.thinking, about=ready.about,
                            constitution=ready.constitution), sampling

    def _render(self, history: Sequence[Turn], question: str, header: str, room: int, *, role: str = "",
                adapters: tuple[Adapter, ...] = (), memories: Sequence[Recalled] = (),
                thinking: prompt.Mode = "auto", about: str | None = None, constitution: str | None = None,
                engine: Engine | None = None) -> Prompt:
        engine = engine or self._engine()
        return prompt.render(
            family=engine.family, question=question, header=header, count=lambda piece: len(engine.tokenize(piece)),
            budget=engine.n_ctx - room - 16, role=role, history=history, memories=memories, adapters=adapters,
            constitution=self.constitution if constitution is None else constitution,
            about=self._about() if about is None else about, thinking=thinking)

    def _adapters(self, role: Role) -> tuple[Adapter, ...]:
        """The adapter of a role, where it lies. Raises StaleAdapter for one trained on what was forgotten since, and
        what `Adapters.refuse_unfit` raises for a damaged one or one of another core."""
        named = role.adapter
        if named is None:
            return ()
        path = self.home.adapter(named.path, named.sha256)
        stale = self.archive.stale_adapters()
        if stale and any(one.path == path or one.sha256 == sha256_of(path) for one in stale):
            raise StaleAdapter(f"The adapter {path.name} of role {role.id} was trained on messages that you have taken "
                               "back since.", f"Train it again, or allow it with `twin allow {path.name}`.")
        Adapters(self.home).refuse_unfit(path, self._engine().id)
        return (Adapter(str(path), named.scale, named.kind),)

    # ---- between turns -----------------------------------------------------------------------------------------

    def settle(self, engine: Engine | None, conversation: str, *, keep: bool, cancel: Callable[[], bool]) -> int:
        """Idle work: read what the last turn left unread; returns the tokens that were read. See Twin.settle."""
        turns = self.lines.history(conversation) if engine else []
        if engine is None or not turns:
            return 0
        made = self._render(turns, "", "", self.role_map.roles[0].sampling.max_tokens)
        # A single question is seldom taken up again: of that only what all conversations begin with is kept.
        left_out = ("question", "history", "end") if keep and len(turns) == 1 else ("question",)
        past = tuple(segment for segment in made.prefix if segment.part not in left_out)
        return engine.prepare(replace(made, prefix=past), keep=keep, cancel=cancel)

    def correct(self, turn: str, label: str) -> Correction:
        """This turn's message was for that role ('none': for nobody); the next route knows it."""
        if label != NOBODY:
            self.role_map.role(label)
        return self.archive.correct(turn, label)


def _clean(question: str) -> str:
    question = cleaned(question).strip()
    if not question:
        raise UsageError("The question is empty.", "Write what you want to ask.")
    return question
