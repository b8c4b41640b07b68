"""Reflection: what could be better about the role map is looked for, proposed, proven - and left to the person.

Runs when it is called, never in the middle of a turn, within a budget; of what it finds a few are shown a day. Nothing
here changes the map: that is consent.py's, which this builds on.
"""
from __future__ import annotations

import json
import time
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from itertools import takewhile

from twin import evidence, evolution, miners, moves, operations, proof, proposer, roles, watchdog, whatif
from twin.archive import Archive, Stored
from twin.archive.proposals import SHOWN
from twin.consent import Consent, proposal_of
from twin.errors import HomeBusy, RoleError, UsageError
from twin.evidence import Evidence, Split
from twin.fitness import Routes
from twin.genome import Run, Way
from twin.home import Home
from twin.ledger import Entry, Ledger
from twin.operations import Operation
from twin.prompt import CONSTITUTION
from twin.proof import Core
from twin.proposals import Proof, Proposal, State
from twin.role_book import RoleBook
from twin.roles import RoleMap
from twin.router import Router
from twin.types import Embedder, Engine, Progress, never
from twin.watchdog import Alarm
from twin.whatif import WhatIf

CANDIDATES = 20       # of one run
A_DAY = 3             # shown
REFUSALS, QUIET_DAYS = 2, 14  # of the same operation on the same target, and for how long it is not proposed then
TURNS, CORRECTIONS = 30, 5    # new ones that make a reflection due
EVIDENCE = 3          # things the person typed that a proposal rests on
_FREE = ("owner", "evolution", "watchdog")  # origins that need none
_WAITING: tuple[State, ...] = ("open", "accepted", "unproven")
_PROVABLE: tuple[State, ...] = (*_WAITING, "rejected", "stale")
_STALE: tuple[State, ...] = ("stale",)
_CLOSED: tuple[State, ...] = ("declined", "rolled back", *_STALE)  # what the owner may ask for again
_MOVES = (*moves.ROUTER, "add_role", "split_role")  # of evolution: what routes show, and miners have a reason for
_LAST, _CORES = "reflection.last", "reflection.cores"  # settings
_WAITS_S, _TRIES = 60.0, 10  # for another writer: a proof takes minutes


@dataclass(frozen=True)
class Due:
    """What is new since the last reflection; true where that is enough for another one."""

    turns: int
    corrections: int
    verdicts: tuple[str, ...] = ()

    def __bool__(self) -> bool:
        return self.turns >= TURNS or self.corrections >= CORRECTIONS or bool(self.verdicts)

    def say(self, language: str = "en") -> str:
        """The same in words."""
        if language == "ru":
            return (f"Нового: сообщений {self.turns} (нужно {TURNS}), поправок {self.corrections} (нужно "
                    f"{CORRECTIONS}), вердиктов против роли {len(self.verdicts)} (нужен один).")
        return (f"New: {self.turns} messages (of {TURNS}), {self.corrections} corrections (of {CORRECTIONS}), "
                f"{len(self.verdicts)} verdicts against a role (of 1).")


class Reflection(Consent):
    """What one twin thinks of its own role map. `engine` gives the core that proposes, `core` the file of the one that
    proofs score with (None: they do without bits), `constitution` what stands before every question, `busy` tells of a
    turn under way."""

    def __init__(self, home: Home, archive: Archive, book: RoleBook, engine: Callable[[], Engine],
                 embedder: Embedder | None = None, *, core: Callable[[], Core | None] = lambda: None,
                 constitution: Callable[[], str] = lambda: CONSTITUTION, busy: Callable[[], bool] = never) -> None:
        super().__init__(home, archive, book)
        self.embedder = embedder
        self._engine, self._core, self._constitution, self._busy = engine, core, constitution, busy

    # ---- when, and what ------------------------------------------------------------------------------------------

    def due(self) -> Due:
        """What is new since the last reflection."""
        kept = self.archive.setting(_LAST)
        last = datetime.fromisoformat(kept).timestamp() if kept else 0.0

        def new(made: datetime | None) -> bool:
            return made is not None and made.timestamp() > last

        turns = sum(new(turn.time) for turn in self.archive.turns(limit=TURNS))
        corrections = sum(new(one.made) for one in self.archive.corrections())
        against = tuple(entry.id for entry in Ledger(self.archive).entries()
                        if any(new(one.time) for one in entry.measurements) and _against_a_role(entry))
        return Due(turns, corrections, against)

    def reflect(self, budget: float = 60.0, *, core: bool = False, progress: Progress | None = None,
                cancel: Callable[[], bool] = never) -> list[Stored]:
        """Look for changes by rules, and with `core` let the core add some while the budget of seconds lasts; what is
        new is kept, and of all that waits those to be shown today come back.

        Raises UsageError in the middle of a turn, HomeBusy while another reflection runs.
        """
        self._between_turns()
        began = time.monotonic()
        self.tick()
        with self.home.alone("reflection"):
            role_map, split = self.book.ensure(), self._parts()
            typed, kept = self._typed(), 0
            if progress:
                progress("miners", 0, None)

            def over() -> bool:
                return cancel() or time.monotonic() - began > budget

            seen = miners.seen_of(self.archive, Router(role_map, self.embedder), may_see=split.may_see,
                                  ledger=Ledger(self.archive).entries())
            for made in miners.mine(seen, role_map, made=datetime.now(UTC), most=CANDIDATES, stop=over):
                kept += self._offer(made, typed) is not None
            if not (whole := not over()) and progress:
                progress("the time was over before everything was looked at", 0, None)
            if core:
                self._ask_core(role_map, split, CANDIDATES - kept, began + budget, typed, progress, cancel)
            if whole and not cancel():  # else it looks once more
                self.archive.set_setting(_LAST, datetime.now(UTC).isoformat())
        return self.shown()

    def propose(self, operation: Operation, *, origin: str = "owner", evidence: Collection[str] = (),
                why: Mapping[str, str] | None = None) -> Stored:
        """Keep a proposal for the map in force. What the owner asks for again, after a no or a way back, is open again.

        UsageError for what does not fit the map, rests on fewer than three things the person typed (not asked of the
        owner), or was refused twice of late.
        """
        self.settle()
        now = self.book.ensure()
        made = Proposal(operation, now.version, origin, datetime.now(UTC), tuple(dict.fromkeys(evidence)),
                        why=why or {})
        operations.apply(operation, now, adapters=self.registered())
        if reason := self._refusal(made, self._typed() if made.evidence else set()):
            raise UsageError(f"This is not proposed: {reason}.", "Nothing was kept.")
        return self._keep(made, _CLOSED if origin == "owner" else ())

    def shown(self, limit: int = A_DAY) -> list[Stored]:
        """The proposals of today: those that wait and were shown before, and new ones up to `limit` a day; those for
        the map in force first, then in the order in which they were made."""
        self.settle()
        today, now = f"{datetime.now(UTC):%Y-%m-%d}", self.book.current().version
        days: dict[str, str] = json.loads(self.archive.setting(SHOWN) or "{}")
        waiting = sorted((one for one in self.archive.proposals() if one.state in _WAITING),
                         key=lambda one: one.proposal.base != now)
        ids = {one.proposal.id for one in waiting}
        days = {name: day for name, day in days.items() if day == today or name in ids}
        left = limit - sum(day == today for day in days.values())
        new = [one.proposal.id for one in waiting if one.proposal.id not in days][:max(left, 0)]
        if new:
            self.archive.set_setting(SHOWN, json.dumps(days | dict.fromkeys(new, today)))
        return [one for one in waiting if one.proposal.id in days or one.proposal.id in new]

    def waiting(self) -> int:
        """How many shown proposals wait for a yes or a no."""
        days = json.loads(self.archive.setting(SHOWN) or "{}")
        return sum(one.state in _WAITING and one.proposal.id in days for one in self.archive.proposals())

    def _offer(self, made: Proposal, typed: Collection[str]) -> Stored | None:
        """Keep a proposal that is new for this map and may be made; None where it is not."""
        known = [one.state for one in self.archive.proposals() if one.proposal.hash == made.hash]
        if known not in ([], ["stale"]) or self._refusal(made, typed):
            return None
        return self._keep(made, _STALE)

    def _keep(self, made: Proposal, again: Collection[State]) -> Stored:
        """Keep it, open again where it was in one of these states. The same for other maps, which waited, waits no
        more: it is answered once."""
        stored = self.archive.save_proposal(made)
        if stored.state in again:
            self.archive.set_state(made.id, "open", expected=again)
            stored = self.archive.proposal(made.id)
        for one in self.archive.proposals() if stored.state in _WAITING else ():
            if one.proposal.operation == made.operation and one.proposal.id != made.id and one.state in _WAITING:
                self.archive.set_state(one.proposal.id, "stale", expected=_WAITING, note=made.id)
        return stored

    def _refusal(self, made: Proposal, typed: Collection[str]) -> str:
        """Why a proposal is not made; '' where it may be."""
        if made.origin not in _FREE and len(set(made.evidence) & set(typed)) < EVIDENCE:
            return f"it rests on fewer than {EVIDENCE} things you typed"
        if made.origin == "owner":
            return ""
        no = [one.changed for one in self.archive.proposals("declined")
              if (one.proposal.operation.op, one.proposal.target) == (made.operation.op, made.target)]
        if len(no) >= REFUSALS and datetime.now(UTC) - max(no) < timedelta(days=QUIET_DAYS):
            return f"the same was refused {len(no)} times, last on {max(no):%Y-%m-%d}"
        return ""

    def _typed(self) -> set[str]:
        """Ids of what the person typed: turns, and own messages."""
        own = {message.id for _, message in self.archive.messages(own=True)}
        return own | {turn.id for turn in self.archive.turns()}

    def _ask_core(self, role_map: RoleMap, split: Split, most: int, until: float, typed: Collection[str],
                  progress: Progress | None, cancel: Callable[[], bool]) -> None:
        """Let the core propose, role by role, while there is time; keep count of what of it could be used."""
        engine = self._engine()
        cores: dict[str, list[int]] = json.loads(self.archive.setting(_CORES) or "{}")
        asked, valid = cores.get(engine.id, [0, 0])
        turns = [turn for turn in self.archive.turns() if split.may_see(turn.conversation)]
        signals, corrections = self.archive.signals(), self.archive.corrections()
        praised = {one.turn for one in signals if one.kind == "thumb" and one.body == 1}
        failed = ({one.turn for one in signals} | {one.turn for one in corrections}) - praised
        found = [one for one in proposer.seen(turns, failed, praised) if one.role in role_map.ids]
        for done, one in enumerate(found[:max(most, 0)]):
            if cancel() or time.monotonic() > until or proposer.is_off(asked, valid):
                break
            if progress:
                progress("the core proposes", done, len(found))
            made = proposer.ask(engine, role_map, one, [kept.proposal for kept in self.archive.proposals()],
                                seed=asked, cancel=cancel).proposal
            asked, valid = asked + 1, valid + (made is not None)
            if made is not None:
                self._offer(made, typed)
        self.archive.set_setting(_CORES, json.dumps(cores | {engine.id: [asked, valid]}))

    def _between_turns(self) -> None:
        if self._busy():
            raise UsageError("A turn is under way.", "Let the answer end, then do the same again.")

    def evolve(self, budget: int, *, seed: int = 0, way: Way = "random", progress: Progress | None = None,
               cancel: Callable[[], bool] = never) -> tuple[Run, Stored | None]:
        """Search among maps for one that routes better, for so many scorer tokens, and keep what it offers, at most one
        proposal a day. What was searched before with the same seed and data is not searched again.

        Raises UsageError where there is too little to score, or the budget is too small for one map.
        """
        self._between_turns()
        with self.home.alone("evolution"):
            role_map, split = self.book.ensure(), self._parts()
            seen = miners.seen_of(self.archive, Router(role_map, self.embedder), may_see=split.may_see)
            mined = [(one.operation, one.origin) for one in miners.mine(seen, role_map, made=datetime.now(UTC),
                                                                           stop=cancel)]
            draw = moves.suggested(lambda _: mined, moves.randomly([one.text for one in split.train.labelled]),
                                   kinds=_MOVES)
            score = Routes(split.select.labelled, self.embedder, corrections=[
                (one.text, one.label) for one in split.train.labelled if one.kind == "correction"])
            run = evolution.evolve(role_map, moves=draw, score=score, budget=budget, seed=seed, way=way,
                                   shelf=self.archive, progress=progress, cancel=cancel)
            earlier = [one.proposal for one in self.archive.proposals()]
            made = evolution.propose(run, score, score.metric, datetime.now(UTC), earlier)
            return run, None if made is None else self._offer(made, ())

    # ---- proof -----------------------------------------------------------------------------------------------------

    def what_if(self, said: str, engine: Engine | None = None, reopen: Callable[[int], Engine] | None = None, *,
                progress: Progress | None = None, cancel: Callable[[], bool] = never) -> WhatIf:
        """Measure a change that is never applied: "16 roles", "8 experts", "temperature 0.3 for critic", an operation
        as JSON. `reopen` loads the engine's core with so many active experts. What is proven is proven on the selection
        part: the proof set is for proposals."""
        role_map, split = self.book.current(), evidence.parts(self.archive)
        asked = whatif.read(said, role_map)

        def prove(operation: Operation) -> Proof:
            made = Proposal(operation, role_map.version, "owner", datetime.now(UTC))
            after = operations.apply(operation, role_map, adapters=self.registered())
            return self._judged(made, role_map, after, Split(split.train, split.train, split.select, ""), 0, cancel)

        means = whatif.Means(Ledger(self.archive), engine, prove, reopen, split.select.said,
                             engine.id if engine else "")
        return whatif.what_if(asked, role_map, means, progress=progress, cancel=cancel)

    def prove(self, name: str, *, cancel: Callable[[], bool] = never) -> Proof:
        """Prove a proposal on data its maker never saw, in a process of its own, and keep what came out. One that was
        made for an earlier map is made again for the one in force, and that one is proven: see `Proof.proposal`.

        Raises UsageError for what nothing can be measured of, EvaluatorChanged where the evaluator is not as pinned.
        """
        self._between_turns()
        with self.home.alone("proof"):
            stored = self._on_the_map(self.archive.proposal(name))
            proposal = stored.proposal
            if not operations.measurable(proposal.operation):
                raise UsageError(f"Nothing of {proposal.id} can be measured: it changes no answer.",
                                 f"`twin proposals approve {proposal.id}`, if you want it.")
            before = self.base_of(stored)
            after = operations.apply(proposal.operation, before, adapters=self.registered())
            split = evidence.parts(self.archive)
            looks = sum(one.stage == "S3" for other in self.archive.proposals()
                        if other.proposal.operation == proposal.operation for one in other.proofs)
            made = self._judged(proposal, before, after, split, looks, cancel)
            _insist(lambda: self.archive.keep_proof(made, expected=_PROVABLE, wait_s=_WAITS_S), cancel)
            if made.stage == "S3":
                _insist(lambda: evidence.pin(self.archive, split), cancel)
        return made

    def _parts(self) -> Split:
        """The cut of the evidence, which stays where it is from now on: what makers of proposals saw is no proof."""
        split = evidence.parts(self.archive)
        evidence.pin(self.archive, split)
        return split

    def _judged(self, proposal: Proposal, before: RoleMap, after: RoleMap, split: Split, looks: int,
                cancel: Callable[[], bool]) -> Proof:
        """A proof without what the proposal was made from; what was praised while the change itself was in force, on
        trial, does not speak for it."""
        split, by_it = evidence.without(split, proposal.evidence), self._turns_of(proposal.operation)
        train, select, held = (_without(part, by_it) for part in (split.train, split.select, split.proof))
        return proof.prove(
            proposal, roles.to_files(before), roles.to_files(after),
            replace(split, train=train, select=select, proof=held), core=self._core(),
            embedder=self.embedder is not None, adapter=lambda named: self.home.adapter(named.path, named.sha256),
            constitution=self._constitution(), looks=looks, cancel=cancel)

    def _turns_of(self, operation: Operation) -> set[str]:
        """Ids of turns under a map that held this change: each from when it came in until it was taken back, or a map
        from before it came back."""
        ids = {one.proposal.id for one in self.archive.proposals() if one.proposal.operation == operation}
        entries, versions = self.archive.map_entries(), set[str]()
        for at, one in enumerate(entries):
            if one.author == "proposal" and (name := proposal_of(one)) in ids:
                before = {other.version for other in entries[:at]} - versions
                versions |= {other.version for other in takewhile(
                    lambda other, name=name, before=before:  # type: ignore[misc]
                    other.note != f"{name} taken back" and other.version not in before, entries[at:])}
        return {turn.id for turn in self.archive.turns() if turn.role_map in versions}

    def _on_the_map(self, stored: Stored) -> Stored:
        """The proposal, made for the map in force; one on trial stays with the map from before the trial."""
        proposal, now = stored.proposal, self.book.ensure()
        if stored.state == "on trial":
            return stored
        if stored.state not in _PROVABLE:
            raise UsageError(f"{proposal.id} is {stored.state}.", "Only what waits for a decision is proven; what was "
                             "declined or taken back can be asked for again.")
        if proposal.base == now.version:
            return stored
        operations.apply(proposal.operation, now, adapters=self.registered())
        again = self._keep(replace(proposal, base=now.version, made=datetime.now(UTC)), _STALE)
        if stored.state == "rejected":
            self.archive.set_state(proposal.id, "stale", expected="rejected", note=again.proposal.id)
        return self._on_the_map(again)

    def base_of(self, stored: Stored) -> RoleMap:
        """The map a proposal would change; of one in force the map before it."""
        if stored.state not in ("on trial", "applied") or stored.proposal.target == "ledger":
            return self.book.ensure()
        return roles.from_files(self.archive.map_files(self._entry(stored.proposal.id)[0]))

    # ---- afterwards ------------------------------------------------------------------------------------------------

    def watch(self) -> list[Alarm]:
        """Where what happened since a proposal is in force is worse than its proof let expect: what the person is
        advised to take back. Each is noted in the audit once."""
        self.settle()
        live = [(one, maps) for one in self.archive.proposals()
                if one.state in ("applied", "on trial") and (maps := self._maps(one)) is not None]
        data = evidence.gather(self.archive) if live else Evidence()
        learned = evidence.parts(self.archive).train.labelled if live else ()
        found = []
        for one, maps in live:
            by_it = self._turns_of(one.proposal.operation)
            found += watchdog.look(one, _without(data, by_it), maps, self.embedder, learned=learned,
                                   turns=(self.archive.counts()["turns"] - len(by_it), len(by_it)))
        for alarm in found:
            if not any(entry.kind == "alarm" for entry in self.archive.audited(alarm.proposal)):
                self.archive.audit_about(alarm.proposal, "alarm", n=alarm.n)
        return found

    def _maps(self, stored: Stored) -> tuple[RoleMap, RoleMap] | None:
        """The maps before and with a change in force; None for a hypothesis, and where one no longer reads."""
        if stored.proposal.target == "ledger":
            return None
        before, entry = self._entry(stored.proposal.id)
        try:
            return roles.from_files(self.archive.map_files(before)), roles.from_files(self.archive.map_files(entry))
        except RoleError:  # words of it were forgotten
            return None


def _insist(write: Callable[[], None], cancel: Callable[[], bool]) -> None:
    """Write, however long somebody else does: what it is took minutes, and its window was looked at."""
    for tries in range(1, _TRIES + 1):
        try:
            write()
            break
        except HomeBusy:
            if cancel() or tries == _TRIES:
                raise


def _without(part: Evidence, turns: Collection[str]) -> Evidence:
    """The evidence less the answers of these turns that were kept, and what that says of whom they were for."""
    return replace(part, labelled=tuple(one for one in part.labelled if one.kind != "kept" or one.turn not in turns),
                   said=tuple(one for one in part.said if one.kind != "kept" or one.key not in turns))


def _against_a_role(entry: Entry) -> bool:
    """Whether a verdict speaks against what a role held."""
    return ((entry.verdict == "refuted" and any(one.side == "for" for one in entry.credits))
            or (entry.verdict == "supported" and any(one.side == "against" for one in entry.credits)))
