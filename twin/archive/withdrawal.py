"""What was concluded from messages leaves with them: marks, claims, decisions, what a core wrote. Knows the tables.

The messages that go stand in the table `gone` of the open transaction. A claim in the person's words goes with any of
its quotes, one in the catalogue's words with the last of them; and whatever else repeats words that nothing that
stays says, goes too.
"""
from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable, Collection, Iterable, Iterator

from twin.archive import carried, cores
from twin.archive.traces import Sieve, grams, runs_of
from twin.facets import facets

_WORDED = ("fact.", "preference.", "free.")  # claims whose text one message can be told from; a topic is of many
_GONE = "(conversation, message) IN (SELECT conversation, id FROM gone)"
_STAYS = "NOT EXISTS (SELECT 1 FROM gone g WHERE g.conversation = m.conversation AND g.id = m.message)"
_RESTS = f"""
SELECT DISTINCT claim, text, authority FROM kept JOIN marks USING (snapshot, claim) WHERE side = 'for' AND {_GONE}"""  # noqa: S608
_FREE = f"""
SELECT number, claim, text, EXISTS (SELECT 1 FROM free_spans WHERE free = number AND {_GONE}) FROM free_claims"""  # noqa: S608
_LEFT = f"SELECT DISTINCT claim FROM marks m WHERE side = 'for' AND {_STAYS}"  # noqa: S608 - constants, like those above
_PLACE = 'conversation, message, "start", "end"'
_TEXTS = """
SELECT text FROM (SELECT claim, text FROM kept UNION SELECT claim, text FROM decisions UNION
SELECT claim, text FROM free_claims UNION SELECT claim, text FROM carried UNION
SELECT claim, quote FROM carried) WHERE (claim IN (SELECT value FROM json_each(?))) != ? AND text != '' """


def rests_on_words(claim: str, authority: str) -> bool:
    """Whether a claim's text holds words of the person, so that it goes with any of its quotes."""
    return authority == "said" or claim.startswith(_WORDED)


def texts_of(db: sqlite3.Connection, claims: Collection[str], *, rest: bool = False) -> list[str]:
    """Every text that is kept of these claims (`rest`: of all others): in versions, decisions, a core's words."""
    return [row[0] for row in db.execute(_TEXTS, (json.dumps([*claims]), rest))]


def known(db: sqlite3.Connection) -> set[str]:
    """Ids of all claims that were ever kept, decided about or written by a core."""
    return {row[0] for row in db.execute(
        "SELECT claim FROM kept UNION SELECT claim FROM decisions UNION SELECT claim FROM free_claims "
        "UNION SELECT claim FROM carried")}


def forget_claim(db: sqlite3.Connection, claim: str) -> None:
    """Delete a claim from every version, also where it speaks against another one, with the decisions about it and the
    failures that repeat it."""
    traces = _Traces(runs_of(texts_of(db, [claim])))
    _failures(db, traces, set())
    cores.withdraw(db, {claim}, traces)
    db.execute(f"DELETE FROM marks WHERE side = 'against' AND ({_PLACE}) IN "  # noqa: S608 - constants
               f"(SELECT {_PLACE} FROM marks WHERE side = 'for' AND claim = ?)", (claim,))
    for table in ("kept", "decisions", "free_claims", "carried"):
        db.execute(f"DELETE FROM {table} WHERE claim = ?", (claim,))  # noqa: S608 - constants


def withdraw(db: sqlite3.Connection, secret: Callable[[Iterable[str]], Sieve]) -> set[str]:
    """Delete what rests on the messages of `gone`; returns the claims in no catalogue's words of which nothing is left.
    `secret` gives the runs of some texts that stand in what goes and in nothing that stays."""
    texts = _Traces(secret(_texts(db)))
    quoting = db.execute(_RESTS).fetchall()
    kept = [(claim, text) for claim, text, authority in quoting if rests_on_words(claim, authority)]
    kept += [(claim, text) for claim, text in _worded(db) if text in texts]
    free = {number: claim for number, claim, text, rests in db.execute(_FREE) if rests or text in texts}
    left = {row[0] for row in db.execute(_LEFT)} - {*free.values()}
    lost = {claim for claim, *_ in [*quoting, *kept] if claim not in facets()} - left | {*free.values()}
    went = {claim for claim, _ in kept if claim not in facets()} | lost
    db.executemany("DELETE FROM kept WHERE claim = ? AND text = ?", kept)
    for table in ("marks", "asked", "free_reads"):
        db.execute(f"DELETE FROM {table} WHERE {_GONE}")  # noqa: S608 - constants
    db.execute("DELETE FROM kept WHERE NOT EXISTS (SELECT 1 FROM marks m WHERE m.snapshot = kept.snapshot "
               "AND m.claim = kept.claim AND side = 'for')")
    db.executemany("DELETE FROM free_claims WHERE number = ?", [(number,) for number in free])
    db.execute(f"DELETE FROM carried WHERE {_GONE}")  # noqa: S608 - constants
    db.executemany("DELETE FROM carried WHERE number = ?",
                   [(number,) for number, text in carried.texts(db) if text in texts])
    cores.withdraw(db, went, texts)
    _decisions(db, went, texts)
    _failures(db, texts, set(db.execute("SELECT conversation, id FROM gone")))
    return lost


class _Traces:
    """The texts that hold one of these runs."""

    def __init__(self, runs: Sieve) -> None:
        self.runs = runs

    def __contains__(self, text: object) -> bool:
        return isinstance(text, str) and len(self.runs) > 0 and len(self.runs.hits(grams(text))) > 0


def _texts(db: sqlite3.Connection) -> Iterator[str]:
    """Every text here that no catalogue holds."""
    yield from (text for _, text in _worded(db))
    yield from (row[0] for row in db.execute(
        "SELECT text FROM decisions UNION SELECT text FROM free_claims UNION SELECT raw FROM failures"))
    yield from (text for _, text in carried.texts(db))
    yield from cores.texts(db)


def _worded(db: sqlite3.Connection) -> Iterator[tuple[str, str]]:
    """(claim, text) of kept claims in other words than the catalogue's, which are nobody's secret."""
    for claim, text in db.execute("SELECT DISTINCT claim, text FROM kept"):
        if claim not in facets() or text not in facets()[claim].text.values():
            yield claim, text


def _decisions(db: sqlite3.Connection, went: Collection[str], texts: _Traces) -> None:
    """Of claims that went only a rejection that still holds stays, by its id: what is said elsewhere too must not bring
    the claim back. Elsewhere a text that is a trace goes."""
    rows = db.execute("SELECT number, claim, action, text FROM decisions ORDER BY number").fetchall()
    last = {claim: (number, action) for number, claim, action, _ in rows}
    for number, claim, _, text in rows:
        if claim in went and last[claim] == (number, "reject"):
            db.execute("UPDATE decisions SET text = '' WHERE number = ?", (number,))
        elif claim in went or text in texts:
            db.execute("DELETE FROM decisions WHERE number = ?", (number,))


def _failures(db: sqlite3.Connection, texts: _Traces, gone: Collection[tuple[str, str]]) -> None:
    for number, keys, raw in db.execute("SELECT number, keys, raw FROM failures").fetchall():
        if raw in texts or any((conversation, message) in gone for conversation, message in json.loads(keys)):
            db.execute("DELETE FROM failures WHERE number = ?", (number,))
