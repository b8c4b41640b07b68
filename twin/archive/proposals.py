"""Proposals as rows, with what became of each and its proofs; how often a proof window served; genomes of evolution.

Knows the tables and how a proposal and a proof are written as JSON, not what either means. Steps of a proposal are
lines of the audit in the same transaction, under the home's key. Functions that take `db` work in the open transaction
of their caller.
"""
from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable, Collection, Mapping
from contextlib import suppress
from dataclasses import dataclass, field, fields
from datetime import UTC, datetime
from typing import Any, get_args

from twin import operations
from twin.archive import hash_chain
from twin.archive.file import File
from twin.archive.ready import utf8
from twin.archive.tombstones import keyed
from twin.archive.traces import Sieve, redacted, redacted_in, strings
from twin.errors import UsageError
from twin.proposals import Gain, Proof, Proposal, Sample, State
from twin.types import to_plain

WINDOW = 10  # proposals that a proof window serves
SHOWN = "reflection.shown"  # setting: the day on which each was first shown, by id
FORGOTTEN = "a proposal that was forgotten"  # what the log of the role map says of it then
SIGNS = 8    # of an id or hash, at least, that name a proposal
_ROW = "SELECT number, id, state, note, body FROM proposals"
_NAMES = {"op", "role", "to", "into", "id", "field", "language", "section", "sha256", "kind", "device", "members", "on",
          "version", "parent", "origin", "way", "scorer"}
"""Keys of operations and genomes under which no words stand."""


@dataclass(frozen=True)
class Step:
    """From `made` (UTC) on the proposal was in this state; `note` is what was said with it."""

    state: State
    made: datetime
    note: str = field(default="", repr=False)


@dataclass(frozen=True)
class Stored:
    """A kept proposal: its state, its proofs and its steps, each oldest first, and the newest note."""

    proposal: Proposal
    state: State
    proofs: tuple[Proof, ...]
    number: int
    note: str = field(default="", repr=False)
    history: tuple[Step, ...] = ()

    @property
    def changed(self) -> datetime:
        """Since when it is in its state."""
        return self.history[-1].made


class Proposals(File):
    """The part of the archive that keeps proposals and their proofs."""

    def save_proposal(self, proposal: Proposal, state: State = "open", note: str = "") -> Stored:
        """Keep a proposal. One that asks the same of the same map is kept already: it comes back as it stands."""
        with self._writing("proposal") as db:
            return save(db, proposal, state, note)

    def proposal(self, name: str) -> Stored:
        """The proposal of this id or hash, or whose id or hash begins with these signs, SIGNS at least: what is decided
        by it is not decided about another one by a slip. UsageError for none and for several."""
        with self._reading() as db:
            return _stored(db, db.execute(f"{_ROW} WHERE id = ?", (_id(db, name),)).fetchone())

    def proposals(self, state: State | None = None) -> list[Stored]:
        """Kept proposals (in one state), oldest first; without those whose operation the schema no longer takes."""
        found = []
        with self._reading() as db:
            for row in db.execute(f"{_ROW} WHERE ?1 IS NULL OR state = ?1 ORDER BY number", (state,)).fetchall():
                with suppress(UsageError):
                    found.append(_stored(db, row))
        return found

    def set_state(self, id: str, state: State, *, expected: State | Collection[State] | None = None,
                  note: str | None = None) -> None:
        """What became of a proposal. UsageError, and nothing changes, where it is in none of the `expected` states."""
        with self._writing("proposal") as db:
            set_state(db, id, state, expected=expected, note=note)

    def add_proof(self, proof: Proof) -> None:
        """Keep a proof with its proposal, which is kept already (UsageError otherwise)."""
        with self._writing("proof") as db:
            add_proof(db, proof)

    def keep_proof(self, proof: Proof, *, expected: Collection[State], wait_s: float = 2.0) -> None:
        """Keep a proof, count the use of its window where it opened that (S3), and give its proposal the verdict where
        it is in one of the `expected` states: all of it or nothing. What was decided meanwhile stays decided."""
        with self._writing("proof", wait_s) as db:
            if proof.stage == "S3" and proof.window:  # ratings of a trial open none
                use_window(db, proof.window)
            name, state = add_proof(db, proof)
            if state in expected:
                set_state(db, name, proof.verdict)

    def audited(self, id: str) -> list[hash_chain.Entry]:
        """The lines of the audit about a proposal, oldest first."""
        with self._reading() as db:
            lines = [one for one in hash_chain.entries(db) if "proposal" in one.ids]
            name = keyed(db, id) if lines else ""
            return [one for one in lines if one.ids["proposal"] == name]

    def is_audited(self, proof: Proof) -> bool:
        """Whether the audit has a line for exactly this proof and its verdict."""
        with self._reading() as db:
            ids = {"proof": keyed(db, proof.hash), "verdict": proof.verdict}
            return any(one.kind == "proof" and ids.items() <= one.ids.items() for one in hash_chain.entries(db))

    def audit_about(self, id: str, kind: str, **ids: int) -> None:
        """Add a line about a proposal to the audit."""
        with self._writing("audit") as db:
            hash_chain.add(db, kind, proposal=keyed(db, id), **ids)

    # ---- proof windows -----------------------------------------------------------------------------------------

    def window(self, id: str) -> int:
        """How many proposals this window of proof data has served."""
        with self._reading() as db:
            row = db.execute("SELECT uses FROM proof_windows WHERE id = ?", (id,)).fetchone()
            return 0 if row is None else int(row[0])

    def use_window(self, id: str) -> int:
        """Count one use; returns which one it is. UsageError where WINDOW were."""
        with self._writing("proof window") as db:
            return use_window(db, id)

    # ---- genomes -----------------------------------------------------------------------------------------------

    def save_genome(self, run: str, row: Mapping[str, Any]) -> None:
        """Keep a genome of a run of evolution, as JSON can hold it; one of the same row["step"] is replaced."""
        with self._writing("genome", wait_s=60.0) as db:  # its scores took minutes
            db.execute("INSERT OR REPLACE INTO genomes VALUES (?, ?, ?, ?)",
                       (run, int(row["step"]), _json(dict(row)), datetime.now(UTC).isoformat()))

    def genomes(self, run: str) -> list[Mapping[str, Any]]:
        """What was kept of a run, in the order of steps."""
        with self._reading() as db:
            return [json.loads(body) for (body,) in
                    db.execute("SELECT body FROM genomes WHERE run = ? ORDER BY step", (run,))]

    def genome_runs(self) -> list[str]:
        """Runs of which something is kept, the one that was last added to at the end."""
        with self._reading() as db:
            return [run for (run,) in db.execute("SELECT run FROM genomes GROUP BY run ORDER BY max(made), run")]


# ---- inside a transaction --------------------------------------------------------------------------------------------

def save(db: sqlite3.Connection, proposal: Proposal, state: State = "open", note: str = "") -> Stored:
    """See Proposals.save_proposal."""
    _known(state)
    if db.execute("SELECT 1 FROM proposals WHERE hash = ?", (proposal.hash,)).fetchone() is None:
        db.execute("INSERT INTO proposals (id, hash, state, note, body) VALUES (?, ?, ?, ?, ?)",
                   (proposal.id, proposal.hash, state, utf8(note), _json(_written(proposal))))
        _step(db, proposal.id, state, note)
        hash_chain.add(db, "proposed", proposal=keyed(db, proposal.id), base=keyed(db, proposal.base),
                       op=proposal.operation.op, origin=proposal.origin, state=word(state))
    return _stored(db, db.execute(f"{_ROW} WHERE hash = ?", (proposal.hash,)).fetchone())


def set_state(db: sqlite3.Connection, id: str, state: State, *, expected: State | Collection[State] | None = None,
              note: str | None = None) -> None:
    """See Proposals.set_state."""
    _known(state)
    row = db.execute("SELECT state FROM proposals WHERE id = ?", (id,)).fetchone()
    if row is None:
        raise _unknown(db, id)
    allowed = (expected,) if isinstance(expected, str) else expected
    if allowed is not None and row[0] not in allowed:
        raise UsageError(f"{id} is {row[0]!r} meanwhile, not {' or '.join(map(repr, allowed))}; nothing was changed.",
                         f"Look at it again: twin proposals show {id}.")
    db.execute("UPDATE proposals SET state = ?, note = coalesce(?, note) WHERE id = ?",
               (state, None if note is None else utf8(note), id))
    _step(db, id, state, note or "")
    hash_chain.add(db, "state", proposal=keyed(db, id), before=word(row[0]), after=word(state))


def add_proof(db: sqlite3.Connection, proof: Proof) -> tuple[str, State]:
    """See Proposals.add_proof; returns the id and the state of its proposal."""
    row = db.execute("SELECT id, state FROM proposals WHERE hash = ?", (proof.proposal,)).fetchone()
    if row is None:
        raise UsageError(f"The archive holds no proposal with the hash {proof.proposal[:12]}.",
                         "Keep the proposal first, then its proof.")
    db.execute("INSERT INTO proofs (proposal, body) VALUES (?, ?)", (row[0], _json(_written(proof))))
    hash_chain.add(db, "proof", proposal=keyed(db, row[0]), proof=keyed(db, proof.hash), evaluator=proof.evaluator,
                   base=keyed(db, proof.base), verdict=proof.verdict, use=proof.use)
    return row[0], row[1]


def use_window(db: sqlite3.Connection, id: str) -> int:
    """See Proposals.use_window."""
    row = db.execute("INSERT INTO proof_windows VALUES (?, 1) ON CONFLICT (id) DO UPDATE SET uses = uses + 1 "
                     "WHERE uses < ? RETURNING uses", (id, WINDOW)).fetchone()
    if row is None:
        raise UsageError(f"The data of this proof has served {WINDOW} proposals: chance would pass the next.",
                         "It counts as known now. A proof needs new conversations.")
    return int(row[0])


def _step(db: sqlite3.Connection, id: str, state: State, note: str) -> None:
    db.execute("INSERT INTO proposal_states (proposal, state, note, made) VALUES (?, ?, ?, ?)",
               (id, state, utf8(note), datetime.now(UTC).isoformat()))


def _known(state: str) -> None:
    if state not in get_args(State):
        raise UsageError(f"A proposal cannot be {state!r}.", f"Use one of: {', '.join(get_args(State))}.")


def word(state: str) -> str:
    """A state as the audit names it."""
    return state.replace(" ", "_")


def _id(db: sqlite3.Connection, name: str) -> str:
    begins = name.removeprefix("p-")
    if 0 < len(begins) < SIGNS:
        raise UsageError(f"{name!r} is too short for the name of a proposal.",
                         f"Give at least {SIGNS} signs of it after 'p-', or all of it.")
    every = db.execute("SELECT id, hash FROM proposals ORDER BY number").fetchall()
    found = [known for known, of in every if begins and of.startswith(begins)]
    if len(found) != 1:
        raise _unknown(db, name, found)
    return str(found[0])


def _unknown(db: sqlite3.Connection, name: str, several: Collection[str] = ()) -> UsageError:
    near = [*several] or [row[0] for row in db.execute("SELECT id FROM proposals ORDER BY number DESC LIMIT 5")]
    return UsageError(f"{'Several proposals begin with' if several else 'There is no proposal'} {name!r}.",
                      f"Name one of: {', '.join(near)}." if near else "None was made yet: twin reflect looks for some.")


# ---- nouns -----------------------------------------------------------------------------------------------------------

def _written(noun: Proposal | Proof) -> dict[str, Any]:
    plain = {one.name: to_plain(getattr(noun, one.name)) for one in fields(noun) if one.name != "operation"}
    return plain | ({"operation": noun.operation.model_dump(mode="json")} if isinstance(noun, Proposal) else {})


def _stored(db: sqlite3.Connection, row: tuple[int, str, State, str, str]) -> Stored:
    number, name, state, note, body = row
    proofs = db.execute("SELECT body FROM proofs WHERE proposal = ? ORDER BY number", (name,))
    steps = db.execute("SELECT state, made, note FROM proposal_states WHERE proposal = ? ORDER BY number", (name,))
    return Stored(_proposal(body), state, tuple(_proof(json.loads(one)) for (one,) in proofs), number, note,
                  tuple(Step(was, datetime.fromisoformat(made), said) for was, made, said in steps))


def _proposal(body: str) -> Proposal:
    try:
        plain = json.loads(body)
        return Proposal(**{**plain, "operation": operations.parse(plain["operation"]),
                           "evidence": tuple(plain["evidence"]), "made": datetime.fromisoformat(plain["made"])})
    except (ValueError, TypeError, KeyError) as error:
        raise UsageError(f"A proposal in the archive cannot be read ({type(error).__name__}).",
                         "Restore the archive from a backup; nothing of the role map depends on it.") from error


def _proof(plain: dict[str, Any]) -> Proof:
    return Proof(**{**plain, "made": datetime.fromisoformat(plain["made"]),
                    "gain": plain["gain"] and Gain(**plain["gain"]),
                    "others": tuple(Gain(**one) for one in plain["others"]),
                    "samples": tuple(Sample(**one) for one in plain["samples"])})


def _json(body: Mapping[str, Any]) -> str:
    return utf8(json.dumps(body, ensure_ascii=False))


# ---- forgetting ------------------------------------------------------------------------------------------------------

def texts(db: sqlite3.Connection) -> list[str]:
    """Every text that proposals, their proofs and genomes hold."""
    found = [text for table in ("proposals", "proposal_states") for (text,) in db.execute(f"SELECT note FROM {table}")]  # noqa: S608
    for (body,) in db.execute("SELECT body FROM proposals"):
        plain = json.loads(body)
        found += [*strings(plain["operation"], _NAMES), *strings(plain["why"])]
    for (body,) in db.execute("SELECT body FROM proofs"):
        plain = json.loads(body)
        found += [*strings(plain["samples"]), *strings(plain["reason"])]
    return found + [text for (body,) in db.execute("SELECT body FROM genomes")
                    for text in strings(json.loads(body), _NAMES)]


def follow(db: sqlite3.Connection, runs: Sieve, gone: Callable[[str], bool]) -> None:
    """Words that went leave proposals, proofs and genomes too, and ids of evidence that is `gone`.

    A proposal whose operation held some goes with its proofs, in whatever state: it would ask for something else under
    the same hash. What it made of the role map stays in the map's own history, that it was there in the audit.
    """
    for number, name, body in db.execute("SELECT number, id, body FROM proposals").fetchall():
        read = json.loads(body)
        if redacted_in(read["operation"], runs, _NAMES) != read["operation"]:
            for table in ("proofs", "proposal_states"):
                db.execute(f"DELETE FROM {table} WHERE proposal = ?", (name,))  # noqa: S608 - constants
            db.execute("DELETE FROM proposals WHERE number = ?", (number,))
            _unnamed(db, name)
            continue
        _replace(db, "proposals", number, body, read | {
            "why": redacted_in(read["why"], runs), "evidence": [one for one in read["evidence"] if not gone(one)]})
    for number, body in db.execute("SELECT number, body FROM proofs").fetchall():
        read = json.loads(body)
        _replace(db, "proofs", number, body, read | {
            "samples": redacted_in(read["samples"], runs), "reason": redacted_in(read["reason"], runs)})
    for number, body in db.execute("SELECT rowid, body FROM genomes").fetchall():
        _replace(db, "genomes", number, body, redacted_in(json.loads(body), runs, _NAMES))
    for table in ("proposals", "proposal_states"):
        for number, note in db.execute(f"SELECT number, note FROM {table} WHERE note != ''").fetchall():  # noqa: S608
            db.execute(f"UPDATE {table} SET note = ? WHERE number = ?", (redacted(note, runs), number))  # noqa: S608


def _unnamed(db: sqlite3.Connection, name: str) -> None:
    """An id is a hash of the words: who guesses them would know it again. The audit has it under the home's key."""
    db.execute("UPDATE role_map_log SET note = ? WHERE instr(note, ?)", (FORGOTTEN, name))
    for (days,) in db.execute("SELECT value FROM settings WHERE key = ?", (SHOWN,)).fetchall():
        left = {one: day for one, day in json.loads(days).items() if one != name}
        db.execute("UPDATE settings SET value = ? WHERE key = ?", (json.dumps(left), SHOWN))


def _replace(db: sqlite3.Connection, table: str, number: int, before: str, now: dict[str, Any]) -> None:
    if (body := _json(now)) != before:
        db.execute(f"UPDATE {table} SET body = ? WHERE rowid = ?", (body, number))  # noqa: S608 - constants
