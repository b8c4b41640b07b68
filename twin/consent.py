"""Consent: nothing changes the role map but what the person says yes to - approved, tried for a while, taken back.

A yes is bound to one proposal (by the hash of its operation and of the map it was made for), to a proof of just that by
the evaluator that is pinned, and to the map that is in force. What it changes, the proposal's state, the end of a trial
and the line of the audit are one transaction. Knows nothing of how a proposal is made or proven.
"""
from __future__ import annotations

import json
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Any

from twin import operations, roles
from twin.adapters import Adapters
from twin.archive import Archive
from twin.archive.proposals import Stored, word
from twin.archive.role_maps import TRIAL, MapEntry, MapLog, tried
from twin.change import Change
from twin.errors import EvaluatorChanged, HomeBusy, ProposalStale, RoleError, UsageError
from twin.home import Home
from twin.ledger import Ledger
from twin.operations import OpenHypothesis
from twin.proof import pin
from twin.proposals import Proof, Proposal, State
from twin.role_book import RoleBook
from twin.roles import RoleMap

TURNS, DAYS = 50, 14  # whichever comes first
OPEN: tuple[State, ...] = ("open", "accepted", "unproven", "rejected", "stale")  # what can still be declined


@dataclass(frozen=True)
class Trial:
    """A proposal that is in force without a proof, for so many turns from `made` (UTC) or until a day. `since`: the
    last turn there was by then, so that no clock decides which came after it."""

    proposal: str
    version: str
    turns: int
    made: datetime
    until: datetime
    since: int = 0

    def say(self, language: str = "en") -> str:
        """Until when, in words."""
        day = f"{self.until:%Y-%m-%d}"
        return (f"{self.proposal} на пробе: до {day} или {self.turns} сообщений с {self.made:%Y-%m-%d}."
                if language == "ru" else
                f"{self.proposal} is on trial until {day} or for {self.turns} messages from {self.made:%Y-%m-%d} on.")


class Consent:
    """Approve, try, reject, take back: the only door to the role map for a proposal."""

    def __init__(self, home: Home, archive: Archive, book: RoleBook) -> None:
        self.home, self.archive, self.book = home, archive, book

    # ---- yes -------------------------------------------------------------------------------------------------------

    def approve(self, name: str, *, high_risk: bool = False) -> RoleMap:
        """Put a proven proposal into force, or one of which nothing can be measured; returns the map. A trial of it
        becomes lasting. `high_risk`: the person has seen that it lets a role see more, or makes and unmakes roles, and
        says yes to that.

        Raises UsageError for what is not proven, ProposalStale where the map is another one by now, EvaluatorChanged
        where the proof is by another evaluator than the one pinned.
        """
        self.settle()
        stored = self.archive.proposal(name)
        proposal, trial = stored.proposal, self.trial()
        if operations.risk(proposal.operation) == "high" and not high_risk:
            raise UsageError(f"{proposal.id} is of high risk: {proposal.say()}", "See `twin proposals show "
                             f"{proposal.id}`; if that is what you want, approve it with --high-risk.")
        if isinstance(proposal.operation, OpenHypothesis):
            return self._note_down(proposal)
        measurable = operations.measurable(proposal.operation)
        by = self._audited(_proven(stored)).hash if measurable else ""
        if trial is not None:
            return self._lasting(stored, by, trial)
        if stored.state != "accepted" and (measurable or stored.state not in OPEN):
            raise UsageError(f"{proposal.id} is {stored.state}.", "Only a proposal whose proof was accepted can be "
                             "approved; `twin proposals try` tries one that needs more turns for a proof.")
        return self._put(proposal, "applied", expected=stored.state, note=f"proposal {proposal.id}", by=by)

    def _audited(self, proof: Proof) -> Proof:
        if not self.archive.is_audited(proof):
            raise UsageError("The audit knows nothing of this proof.", "Prove the proposal again; `twin audit verify` "
                             "looks at the whole chain.")
        return proof

    def attempt(self, name: str, turns: int = TURNS) -> RoleMap:
        """Put a proposal that is still unproven into force for so many turns, or two weeks; then, or with `rollback`,
        the files come back byte for byte."""
        self.settle()
        stored = self.archive.proposal(name)
        proposal = stored.proposal
        if not 1 <= turns <= 500:
            raise UsageError("A trial has 1 to 500 turns.", "Say for how many.")
        if (running := self.trial()) is not None:
            raise UsageError(running.say(), "One trial at a time: end it with `twin proposals rollback` first.")
        if stored.state != "unproven":
            raise UsageError(f"{proposal.id} is {stored.state}.", "Only what a proof found too little data for can be "
                             f"tried: `twin proposals prove {proposal.id}`.")
        if operations.risk(proposal.operation) == "high":
            raise UsageError(f"{proposal.id} is of high risk: {proposal.say()}", "It needs a proof before it is used.")
        return self._put(proposal, "on trial", expected="unproven", note=f"trial of {proposal.id}", turns=turns)

    def _put(self, proposal: Proposal, state: State, *, expected: State, note: str, turns: int = 0,
             by: str = "") -> RoleMap:
        before, since = self.book.ensure(), self.archive.last_turn()
        self._refuse_stale(proposal, before)
        after = operations.apply(proposal.operation, before, adapters=self.registered())

        def also(log: MapLog) -> None:
            log.decide(proposal.id, state, expected=expected)
            log.audit(did=word(state), proposal=proposal.id, before=before.version, after=after.version, proof=by)
            if turns:
                now = datetime.now(UTC)
                log.set(TRIAL, _written(Trial(proposal.id, after.version, turns, now, now + timedelta(days=DAYS),
                                              since)))

        return self.book.apply(after, "proposal", note, expected=proposal.base, also=also)

    def _refuse_stale(self, proposal: Proposal, now: RoleMap) -> None:
        if proposal.base != now.version:
            raise ProposalStale(f"{proposal.id} was made for the map {proposal.base[:12]}, and now {now.version[:12]} "
                                "is in force.", f"`twin proposals prove {proposal.id}` proves it again on that.")

    def _lasting(self, stored: Stored, by: str, trial: Trial) -> RoleMap:
        """A trial that was proven meanwhile stays."""
        proposal, now = stored.proposal, self.book.ensure()
        if trial.proposal != proposal.id:
            raise UsageError(trial.say(), "Approve that, or end it with `twin proposals rollback`, then this one.")
        with self.archive.map_log() as log:
            active = log.active()
            if active is None or active.version != trial.version or now.version != trial.version:
                raise ProposalStale(f"{proposal.id} is on trial, but the role map was changed since it began.",
                                    "`twin roles diff` says how; end the trial with `twin proposals rollback`.")
            log.decide(proposal.id, "applied", expected="on trial")
            log.audit(did="applied", proposal=proposal.id, before=proposal.base, after=now.version, proof=by)
            log.set(TRIAL, None)
        return now

    def _note_down(self, proposal: Proposal) -> RoleMap:
        """A hypothesis changes no map: it is opened in the ledger."""
        assert isinstance(proposal.operation, OpenHypothesis)  # noqa: S101 - for the type checker
        if self.archive.proposal(proposal.id).state != "applied":
            self.archive.set_state(proposal.id, "applied", expected=OPEN)
        # Killed between the two, a second yes enters it; twice adds once.
        Ledger(self.archive).add(proposal.operation.claim, source=f"proposal {proposal.id}")
        return self.book.current()

    # ---- no, and back --------------------------------------------------------------------------------------------

    def reject(self, name: str, note: str = "") -> None:
        """The person does not want it. Two refusals of the same kind of change of a role keep it away for a while."""
        self.settle()
        self.archive.set_state(self.archive.proposal(name).proposal.id, "declined", expected=OPEN, note=note or None)

    def rollback(self, name: str = "") -> RoleMap:
        """Take an applied or tried proposal back (default: the last one): its files are again as they were, byte for
        byte; what else was changed since stays.

        Raises ProposalStale where one of its files was changed since: that stays as the person left it, and a trial is
        over all the same.
        """
        self.settle()
        before, entry = self._entry(name)
        trial = self._running()
        of = trial.proposal if trial is not None and entry.version == trial.version else proposal_of(entry)
        return self._take_back(of, before, entry, "rolled back")

    def tick(self, now: datetime | None = None) -> Trial | None:
        """End the trial whose time has come; returns it. What it tried is unproven again, and what the person rated
        meanwhile can prove it now. Called between turns."""
        self.settle()
        trial = self._running()
        if trial is None or not self._is_over(trial, now or datetime.now(UTC)):
            return None
        before, entry = self._entry(trial.proposal)
        with suppress(ProposalStale):  # the person went on from there by hand: their file stays, the trial is over
            self._take_back(trial.proposal, before, entry, "unproven")
        return trial

    def trial(self) -> Trial | None:
        """The trial that runs. It is kept apart from the proposal, whose words may be forgotten meanwhile."""
        if self._running() is not None:
            self.settle()
        return self._running()

    def _running(self) -> Trial | None:
        found = self.archive.setting(TRIAL)
        if not found:
            return None
        read = json.loads(found)
        return Trial(**{**read, "made": datetime.fromisoformat(read["made"]),
                        "until": datetime.fromisoformat(read["until"])})

    def _is_over(self, trial: Trial, now: datetime) -> bool:
        return self.archive.turns_since(trial.since) >= trial.turns or now >= trial.until

    def settle(self) -> None:
        """Close what the person took back in another way, by hand or with `twin roles rollback`. Where somebody writes
        just now, the next call does it."""
        for name in self._in_force():
            with suppress(UsageError, RoleError, HomeBusy):
                self.book.current()  # an edit by hand is logged
                before, entry = self._entry(name)
                if self._is_undone(before, entry):
                    with self.archive.map_log() as log:
                        self._end(log, name, "rolled back", "undone")

    def _is_undone(self, before: MapEntry, entry: MapEntry) -> bool:
        """Whether all files that a change touched are as they were before it, or all of the map is one from before."""
        entries = self.archive.map_entries()
        if entries[-1].number <= entry.number:
            return False
        was, then, now = map(self.archive.map_files, (before, entry, entries[-1]))
        if all(now.get(name) == was.get(name) for name in {*was, *then} if was.get(name) != then.get(name)):
            return True
        same = [one.number for one in entries[:-1] if one.hash == entries[-1].hash]
        return bool(same) and same[-1] < entry.number

    def _in_force(self) -> list[str]:
        """Ids of what is applied or on trial, without hypotheses, which change no map."""
        found = [one.proposal.id for one in self.archive.proposals()
                 if one.state in ("applied", "on trial") and one.proposal.target != "ledger"]
        trial = self._running()
        return [*found, *({trial.proposal} - {*found} if trial else ())]

    def _entry(self, name: str) -> tuple[MapEntry, MapEntry]:
        """The entry of the log that put a proposal into force, and the one before it."""
        entries, trial, in_force = self.archive.map_entries(), self._running(), self._in_force()
        wanted = [name] if name in in_force else [self.archive.proposal(name).proposal.id] if name else in_force
        if trial is not None and wanted == [trial.proposal] and (found := tried(entries, trial.version)):
            return found
        for before, entry in reversed(list(pairwise(entries))):
            of = proposal_of(entry)
            if entry.author == "proposal" and of in in_force and of in wanted:
                return before, entry
        raise UsageError(f"{name} is not in force." if name else "No proposal is in force.",
                         "`twin proposals list --all` shows what became of each.")

    def _take_back(self, name: str, before: MapEntry, entry: MapEntry, state: State) -> RoleMap:
        now, there = self.book.ensure(), roles.on_disk(self.home.roles)
        active = self.archive.map_entries()[-1]
        broken = self.book.refusal is not None  # what cannot be read is set aside; the map that acts counts
        if broken:
            there = self.archive.map_files(active)
        change = Change.of(self.archive.map_files(before), self.archive.map_files(entry))
        try:
            files = change.inverse().onto(there)
        except UsageError as error:
            edited = ", ".join(file for file, (_, then) in change.files.items() if there.get(file) != then)
            raise self._left(name, edited, before) from error

        def also(log: MapLog) -> None:
            if broken and (last := log.active()) is not None and last.parent != active.version:
                raise ProposalStale("The role map was changed meanwhile.", "Take it back once more.")
            did = "ended" if state == "unproven" else word(state)
            self._end(log, name, state, did, before=now.version, after=roles.from_files(files).version)

        return self.book.put(files, "owner", f"{name} taken back", expected=None if broken else now.version,
                             also=also)

    def _left(self, name: str, edited: str, before: MapEntry) -> ProposalStale:
        """The error for files that were edited since a proposal changed them; a trial of it is over."""
        trial = self._running()
        over = trial is not None and trial.proposal == name
        if over:
            with self.archive.map_log() as log:
                self._end(log, name, "stale", "left", note=f"edited since: {edited}")
        return ProposalStale(
            f"{edited} was changed again since {name} changed it, and stays as you left it"
            f"{'; the trial is over' if over else ''}.",
            f"`twin roles rollback {before.number}` brings the whole map of before {name} back.")

    def _end(self, log: MapLog, name: str, state: State, did: str, *, note: str | None = None, **versions: str) -> None:
        """A proposal is no longer in force, nor its trial running, where it was the one. Forgotten words took the
        proposal itself along."""
        if any(one.proposal.id == name for one in self.archive.proposals()):
            log.decide(name, state, expected=("applied", "on trial"), note=note)
        log.audit(did=did, proposal=name, **versions)
        trial = self._running()
        if trial is not None and trial.proposal == name:
            log.set(TRIAL, None)

    def registered(self) -> tuple[str, ...]:
        """sha256 of the adapters that an operation may name."""
        return tuple(one.sha256 for one in Adapters(self.home).all())


def _proven(stored: Stored) -> Proof:
    """The accepted proof of exactly this proposal by the evaluator that is pinned."""
    proposal = stored.proposal
    made = stored.proofs[-1] if stored.proofs else None
    if made is None or (made.proposal, made.base) != (proposal.hash, proposal.base):
        raise UsageError(f"{proposal.id} has no proof.", f"`twin proposals prove {proposal.id}` makes one.")
    if made.verdict != "accepted":
        raise UsageError(f"The proof of {proposal.id} says: {made.reason.get('en', made.verdict)}",
                         f"`twin proposals try {proposal.id}` tries it for a while."
                         if made.verdict == "unproven" else "What a proof rejected is not put into force.")
    if made.evaluator != pin.check():
        raise EvaluatorChanged(f"The proof of {proposal.id} is by another evaluator than the one here.",
                               f"`twin proposals prove {proposal.id}` proves it again.")
    return made


def proposal_of(entry: MapEntry) -> str:
    """The id of the proposal that an entry by one put into force."""
    return entry.note.rpartition(" ")[2]


def _written(trial: Trial) -> str:
    made: dict[str, Any] = {**trial.__dict__, "made": trial.made.isoformat(), "until": trial.until.isoformat()}
    return json.dumps(made)
