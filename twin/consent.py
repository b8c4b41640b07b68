"""Consent: nothing changes the role map but what the person says yes to - approved, tried for a while, taken back.

A yes is bound to one proposal (by the hash of its operation and of the map it was made for), to a proof of just that by
the evaluator that is pinned, and to the map that is in force. What it changes, the proposal's state, the end of a trial
and the line of the audit are one transaction. Knows nothing of how a proposal is made or proven.
"""
from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Any

from twin import operations, roles
from twin.adapters import Adapters
from twin.archive import Archive
from twin.archive.proposals import Stored
from twin.archive.role_maps import TRIAL, MapEntry, MapLog
from twin.change import Change
from twin.errors import EvaluatorChanged, ProposalStale, UsageError
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
    """A proposal that is in force without a proof, for so many turns from `made` (UTC) or until a day."""

    proposal: str
    version: str
    turns: int
    made: datetime
    until: datetime

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
        """Put a proven proposal into force; returns the map. A trial of it becomes lasting. `high_risk`: the person has
        seen that it lets a role see more, or makes and unmakes roles, and says yes to that.

        Raises UsageError for what is not proven, ProposalStale where the map is another one by now, EvaluatorChanged
        where the proof is by another evaluator than the one pinned.
        """
        stored = self.archive.proposal(name)
        proposal, trial = stored.proposal, self.trial()
        if operations.risk(proposal.operation) == "high" and not high_risk:
            raise UsageError(f"{proposal.id} is of high risk: {proposal.say()}", "See `twin proposals show "
                             f"{proposal.id}`; if that is what you want, approve it with --high-risk.")
        if isinstance(proposal.operation, OpenHypothesis):
            return self._note_down(proposal)
        proven = _proven(stored)
        if trial is not None:
            return self._lasting(stored, proven, trial)
        if stored.state != "accepted":
            raise UsageError(f"{proposal.id} is {stored.state}.", "Only a proposal whose proof was accepted can be "
                             "approved; `twin proposals try` tries one that needs more turns for a proof.")
        return self._put(proposal, "applied", expected="accepted", note=f"proposal {proposal.id}", by=proven.hash)

    def attempt(self, name: str, turns: int = TURNS) -> RoleMap:
        """Put a proposal that is still unproven into force for so many turns, or two weeks; then, or with `rollback`,
        the files come back byte for byte."""
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
        before = self.book.ensure()
        self._refuse_stale(proposal, before)
        after = operations.apply(proposal.operation, before, adapters=self.registered())

        def also(log: MapLog) -> None:
            log.decide(proposal.id, state, expected=expected)
            log.audit(did=_word(state), proposal=proposal.hash, before=before.version, after=after.version, proof=by)
            if turns:
                now = datetime.now(UTC)
                log.set(TRIAL, _written(Trial(proposal.id, after.version, turns, now,
                                               now + timedelta(days=DAYS))))

        return self.book.apply(after, "proposal", note, expected=proposal.base, also=also)

    def _refuse_stale(self, proposal: Proposal, now: RoleMap) -> None:
        if proposal.base != now.version:
            raise ProposalStale(f"{proposal.id} was made for the map {proposal.base[:12]}, and now {now.version[:12]} "
                                "is in force.", f"`twin proposals prove {proposal.id}` proves it again on that.")

    def _lasting(self, stored: Stored, by: Proof, trial: Trial) -> RoleMap:
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
            log.audit(did="applied", proposal=proposal.hash, before=proposal.base, after=now.version, proof=by.hash)
            log.set(TRIAL, None)
        return now

    def _note_down(self, proposal: Proposal) -> RoleMap:
        """A hypothesis changes no map: it is opened in the ledger."""
        assert isinstance(proposal.operation, OpenHypothesis)  # noqa: S101 - for the type checker
        Ledger(self.archive).add(proposal.operation.claim, source=f"proposal {proposal.id}")  # twice adds once
        self.archive.set_state(proposal.id, "applied", expected=OPEN)
        return self.book.current()

    # ---- no, and back --------------------------------------------------------------------------------------------

    def reject(self, name: str, note: str = "") -> None:
        """The person does not want it. Two refusals of the same kind of change of a role keep it away for a while."""
        self.archive.set_state(self.archive.proposal(name).proposal.id, "declined", expected=OPEN, note=note or None)

    def rollback(self, name: str = "") -> RoleMap:
        """Take an applied or tried proposal back (default: the last one): its files are again as they were, byte for
        byte; what else was changed since stays. Raises ProposalStale where one of its files was changed since."""
        before, entry = self._entry(name)
        return self._take_back(_proposal_of(entry), before, entry, "rolled back")

    def tick(self, now: datetime | None = None) -> Trial | None:
        """End the trial whose time has come; returns it. Called between turns."""
        trial = self.trial()
        if trial is None or not self._is_over(trial, now or datetime.now(UTC)):
            return None
        before, entry = self._entry(trial.proposal)
        try:
            self._take_back(trial.proposal, before, entry, "rolled back")
        except ProposalStale:  # the person went on from there by hand: their file stays
            with self.archive.map_log() as log:
                self._note_state(log, trial.proposal, "stale")
                log.audit(did="left", proposal=trial.proposal)
                log.set(TRIAL, None)
        return trial

    def trial(self) -> Trial | None:
        """The trial that runs. It is kept apart from the proposal, whose words may be forgotten meanwhile."""
        found = self.archive.setting(TRIAL)
        if not found:
            return None
        read = json.loads(found)
        return Trial(read["proposal"], read["version"], read["turns"], datetime.fromisoformat(read["made"]),
                     datetime.fromisoformat(read["until"]))

    def _is_over(self, trial: Trial, now: datetime) -> bool:
        last = self.archive.turns(limit=trial.turns)
        used = len(last) == trial.turns and (last[0].time or now) >= trial.made
        return used or now >= trial.until

    def _entry(self, name: str) -> tuple[MapEntry, MapEntry]:
        """The entry of the log that put a proposal into force, and the one before it."""
        entries, trial = self.archive.map_entries(), self.trial()
        in_force = {one.proposal.id for one in self.archive.proposals() if one.state in ("applied", "on trial")}
        in_force |= {trial.proposal} if trial else set()
        wanted = {name} if name in in_force or not name else {self.archive.proposal(name).proposal.id}
        for before, entry in reversed(list(pairwise(entries))):
            of = _proposal_of(entry)
            if entry.author == "proposal" and of in in_force and (not name or of in wanted):
                return before, entry
        raise UsageError(f"{name or 'No proposal'} is not in force.", "`twin proposals list --all` shows what is.")

    def _take_back(self, name: str, before: MapEntry, entry: MapEntry, state: State) -> RoleMap:
        now = self.book.ensure()
        change = Change.of(self.archive.map_files(before), self.archive.map_files(entry))
        try:
            files = change.inverse().onto(roles.on_disk(self.home.roles))
        except UsageError as error:
            raise ProposalStale(f"A file that {name} changed was changed again since ({error.what}).", "`twin roles "
                                f"rollback {before.number}` brings the whole map of before back.") from error

        def also(log: MapLog) -> None:
            self._note_state(log, name, state)
            log.audit(did=_word(state), proposal=name, before=now.version, after=roles.from_files(files).version)
            log.set(TRIAL, None)

        return self.book.put(files, "owner", f"{name} taken back", expected=now.version, also=also)

    def _note_state(self, log: MapLog, name: str, state: State) -> None:
        if any(one.proposal.id == name for one in self.archive.proposals()):  # forgotten words take theirs along
            log.decide(name, state, expected=("applied", "on trial"))

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


def _word(state: State) -> str:
    return state.replace(" ", "_")


def _proposal_of(entry: MapEntry) -> str:
    return entry.note.rpartition(" ")[2]


def _written(trial: Trial) -> str:
    made: dict[str, Any] = {**trial.__dict__, "made": trial.made.isoformat(), "until": trial.until.isoformat()}
    return json.dumps(made)
