"""The ledger: hypothesis -> prediction -> measurement -> verdict.

A prediction is frozen when it is entered; a verdict is arithmetic over an interval and a threshold, never an opinion of
a core. What other people report stays `reported` until it is measured here. Knows no engine: who measures brings
numbers. Starter rows stand in ledger.toml.
"""
from __future__ import annotations

import json
import math
import re
import tomllib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime
from functools import lru_cache
from importlib.resources import files
from pathlib import Path
from typing import Any, Literal, get_args

from twin.archive.ledger import Ledgers, NewRow, Row, frozen
from twin.archive.ready import utf8
from twin.cues import any_of, plain
from twin.errors import UsageError
from twin.reported import Reading, Report, better, read_report
from twin.text import clean, language
from twin.types import Progress, digest

Direction = Literal["up", "down"]
Verdict = Literal["open", "supported", "refuted", "inconclusive", "not_measurable", "reported"]
OWNER = "owner"
HALF_LIFE = 90.0            # days after which an outcome counts half in a role's record
_SLUG = re.compile(r"[a-z0-9][a-z0-9-]{0,39}")


@dataclass(frozen=True)
class Prediction:
    """`metric` in `unit` will lie at or above (`up`), at or below (`down`) the threshold."""

    metric: str
    direction: Direction
    threshold: float
    unit: str = ""

    def judge(self, low: float, high: float) -> Verdict:
        """What an interval says: supported when all of it is where it was predicted, refuted when none of it is."""
        if self.direction == "down":
            low, high = -high, -low
        threshold = self.threshold if self.direction == "up" else -self.threshold
        return "supported" if low >= threshold else "refuted" if high < threshold else "inconclusive"


@dataclass(frozen=True)
class Plan:
    """How it is measured: command or procedure, how many of what, when to stop, what it costs."""

    command: str = ""
    n: int | None = None
    stop: str = ""
    cost: str = ""


@dataclass(frozen=True)
class Measurement:
    """A value with its 95 % interval, on how many, where (`environment`: core, build, machine) and when."""

    value: float
    low: float
    high: float
    n: int
    environment: str = ""
    time: datetime | None = None

    @property
    def hash(self) -> str:
        """sha256 of the environment."""
        return digest(self.environment)


@dataclass(frozen=True)
class Credit:
    """A role's stake: `weight` (0..1) is how likely it holds its own side to be true."""

    role: str
    weight: float
    side: Literal["for", "against"] = "for"

    @property
    def probability(self) -> float:
        """That the hypothesis is true, as this role says."""
        return self.weight if self.side == "for" else 1 - self.weight


@dataclass(frozen=True)
class Entry:
    """A hypothesis. `claim` is language -> text; `frozen` the hash of claim, prediction and plan as they were entered;
    `links` are ids of other entries; `source` a turn's id, 'owner' or a file's name. `made` is None for a starter row
    the home does not hold yet."""

    id: str
    claim: Mapping[str, str] = field(repr=False)
    prediction: Prediction | None = None
    plan: Plan = field(default_factory=Plan, repr=False)
    source: str = field(default=OWNER, repr=False)
    prior: float = 0.5
    links: tuple[str, ...] = ()
    reports: tuple[Report, ...] = ()
    frozen: str = ""
    measurements: tuple[Measurement, ...] = ()
    credits: tuple[Credit, ...] = ()
    made: datetime | None = None

    @property
    def verdict(self) -> Verdict:
        """Of all measurements that decide; where they contradict each other, nothing is decided."""
        if self.prediction is None or not self.measurements:
            return "reported" if self.reports else "not_measurable" if self.prediction is None else "open"
        found = {self.prediction.judge(one.low, one.high) for one in self.measurements} - {"inconclusive"}
        return found.pop() if len(found) == 1 else "inconclusive"

    @property
    def intact(self) -> bool:
        """Whether claim, prediction and plan are still those that were frozen."""
        return self.frozen == freeze(self.claim, self.prediction, self.plan)

    def say(self, spoken: str = "en") -> str:
        """The claim in this language, or in the one it has."""
        return self.claim.get(spoken) or next(iter(self.claim.values()))


def freeze(claim: Mapping[str, str], prediction: Prediction | None, plan: Plan) -> str:
    """sha256 over claim, prediction and plan as JSON with sorted keys."""
    predicted = prediction and {**asdict(prediction), "threshold": float(prediction.threshold)}
    body = {"claim": dict(claim), "prediction": predicted, "plan": asdict(plan)}
    return digest(utf8(json.dumps(body, ensure_ascii=False, sort_keys=True)))


# ---- the record of roles --------------------------------------------------------------------------------------------

def track(entries: Iterable[Entry], now: datetime | None = None,
          half_life: float = HALF_LIFE) -> dict[str, tuple[float, float]]:
    """role -> (hits, misses): a hit is a side that the verdict bore out. Each counts 2 ** (-age / half_life) with the
    age of the verdict in days. Only what is supported or refuted counts, and only while it is as it was frozen."""
    record: dict[str, tuple[float, float]] = {}
    now = now or datetime.now(UTC)
    for credit, true, time in _outcomes(entries):
        age = max((now - time).total_seconds() / 86_400, 0.0) if time else 0.0
        share = 0.5 ** (age / half_life)
        hits, misses = record.get(credit.role, (0.0, 0.0))
        hit = (credit.side == "for") == true
        record[credit.role] = (hits + share, misses) if hit else (hits, misses + share)
    return record


def brier(entries: Iterable[Entry]) -> dict[str, float]:
    """role -> mean squared difference between what it said and what came out (Brier 1950): 0 is best, .25 a coin."""
    losses: dict[str, list[float]] = {}
    for credit, true, _ in _outcomes(entries):
        losses.setdefault(credit.role, []).append((credit.probability - true) ** 2)
    return {role: sum(some) / len(some) for role, some in losses.items()}


def _outcomes(entries: Iterable[Entry]) -> Iterator[tuple[Credit, bool, datetime | None]]:
    for entry in entries:
        if entry.verdict not in ("supported", "refuted") or entry.prediction is None or not entry.intact:
            continue
        decided = [one.time for one in entry.measurements
                   if entry.prediction.judge(one.low, one.high) == entry.verdict and one.time]
        for credit in {credit.role: credit for credit in entry.credits}.values():  # the last word of a role
            yield credit, entry.verdict == "supported", max(decided, default=None)


# ---- the ledger of one home -----------------------------------------------------------------------------------------

class Ledger:
    """Starter rows and what the home adds to them, over the part of the archive that keeps it."""

    def __init__(self, store: Ledgers) -> None:
        self.store = store

    def entries(self) -> list[Entry]:
        """All entries: the starter rows, then those of this home in the order in which they came."""
        kept = {row.id: _entry(row) for row in self.store.ledger_rows()}
        return [kept.pop(name, entry) for name, entry in starters().items()] + list(kept.values())

    def entry(self, id: str) -> Entry:
        """The entry of this id. UsageError when there is none."""
        found = next((entry for entry in self.entries() if entry.id == id), None)
        if found is None:
            raise UsageError(f"The ledger has no entry {id!r}.", "`twin ledger` lists them.")
        return found

    def add(self, claim: str | Mapping[str, str], prediction: Prediction | None = None, plan: Plan | None = None, *,
            id: str = "", source: str = OWNER, prior: float = 0.5, links: Sequence[str] = (),
            credits: Sequence[Credit] = (), reports: Sequence[Report] = ()) -> tuple[Entry, bool]:
        """Enter a hypothesis, which freezes it; also says whether it is new. The same claim, prediction and plan are
        the same entry. `reports`: what others say of it. UsageError for an id that holds something else, and for what
        cannot be entered."""
        said = {language(claim): clean(claim).strip()} if isinstance(claim, str) else dict(claim)
        made = Entry(id, said, prediction, plan or Plan(), source, prior, tuple(links), tuple(reports))
        _check(made, credits)
        row = _row(made)
        here = {entry.id: entry.frozen for entry in self.entries()}
        if here.get(id, row.frozen) != row.frozen:
            raise frozen(id)
        known, new = next((name for name, hash_ in here.items() if hash_ == row.frozen), ""), False
        if not known:
            [(known, new)] = self.store.add_ledger([row])
        if credits:
            self.credit(known, credits)
        return self.entry(known), new

    def measure(self, id: str, measurement: Measurement) -> Entry:
        """Enter what was measured; the entry then has its verdict. UsageError where there is nothing to judge it by."""
        entry = self.entry(id)
        if entry.prediction is None:
            raise UsageError(f"{id} predicts nothing that could be measured.",
                             "Enter what it means as a hypothesis of its own, with metric, direction and threshold.")
        one = measurement
        if not (all(map(math.isfinite, (one.low, one.value, one.high))) and one.low <= one.value <= one.high):
            raise UsageError("A measurement is a value inside an interval: low <= value <= high.",
                             "Give all three in the unit of the prediction.")
        if one.n < 1:
            raise UsageError("A measurement is made on one thing at least.", "Give --n as a number from 1 up.")
        body = {key: value for key, value in asdict(one).items() if key != "time"}
        self.store.add_ledger_event(_row(entry), "measured", body, made=one.time)
        return self.entry(id)

    def credit(self, id: str, credits: Sequence[Credit]) -> Entry:
        """Note which roles hold a hypothesis; a role's last word counts. UsageError once it was measured."""
        entry = self.entry(id)
        _check(entry, credits)
        for one in credits:
            self.store.add_ledger_event(_row(entry), "credit", asdict(one), unless="measured")
        return self.entry(id)

    def report(self, path: Path, *, progress: Progress | None = None) -> list[tuple[Entry, bool]]:
        """Results that other people report in a saved thread or article, as entries, each with whether it is new.
        Raises InputError for what cannot be read."""
        rows = [_row(_reported(one)) for one in read_report(path, progress=progress)]
        added: dict[str, bool] = {}
        for name, new in self.store.add_ledger(rows) if rows else ():
            added[name] = added.get(name, False) or new  # a sentence that stands there twice is one entry
        return [(entry, added[entry.id]) for entry in self.entries() if entry.id in added]


def _check(entry: Entry, credits: Sequence[Credit]) -> None:
    if entry.id and not _SLUG.fullmatch(entry.id):
        raise UsageError(f"{entry.id!r} is no id.", "Use small letters, digits and hyphens, 40 at most.")
    if not all(text.strip() for text in entry.claim.values()) or not entry.claim:
        raise UsageError("A hypothesis has to say something.", "Give the claim as a sentence.")
    prediction = entry.prediction
    if prediction and not (prediction.metric.strip() and math.isfinite(prediction.threshold)
                           and prediction.direction in get_args(Direction)):
        raise UsageError("A prediction needs a metric, a direction (up or down) and a threshold.", "Give all three.")
    if not all(one.role.strip() for one in credits):
        raise UsageError("A weight needs the role that holds it.", "Say ROLE=WEIGHT, such as critic=0.7.")
    if not all(0 <= share <= 1 for share in (entry.prior, *(one.weight for one in credits))):
        raise UsageError("Weights and priors lie between 0 and 1.", "0.8 says: true four times of five.")


def _row(entry: Entry) -> NewRow:
    """An entry as it is kept. One that is kept already keeps its hash."""
    body = {"claim": dict(entry.claim), "prediction": entry.prediction and asdict(entry.prediction),
            "plan": asdict(entry.plan), "source": entry.source, "prior": entry.prior, "links": list(entry.links),
            "reports": [asdict(one) for one in entry.reports]}
    return NewRow(entry.id, entry.frozen or freeze(entry.claim, entry.prediction, entry.plan), body)


def _entry(row: Row) -> Entry:
    body = row.body
    return Entry(
        row.id, body["claim"], Prediction(**body["prediction"]) if body["prediction"] else None, Plan(**body["plan"]),
        body["source"], body["prior"], tuple(body["links"]), tuple(map(_report, body["reports"])), row.frozen,
        tuple(Measurement(**one.body, time=one.made) for one in row.events if one.kind == "measured"),
        tuple(Credit(**one.body) for one in row.events if one.kind == "credit"), row.made)


def _report(body: Mapping[str, Any]) -> Report:
    readings = tuple(Reading(**{**one, "numbers": tuple(one["numbers"])}) for one in body["readings"])
    return Report(**{**body, "readings": readings, "about": tuple(body["about"])})


# ---- the catalogue --------------------------------------------------------------------------------------------------

@lru_cache(maxsize=1)
def _shipped() -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = tomllib.loads(files("twin").joinpath("ledger.toml").read_text("utf-8"))["entry"]
    return rows


@lru_cache(maxsize=1)
def starters() -> dict[str, Entry]:
    """The entries every ledger starts with: the owner's own questions, and how others ran Qwen at second hand."""
    made = [Entry(one["id"], one["claim"], Prediction(**one["prediction"]), Plan(**one.get("plan", {})),
                  one.get("source", OWNER),
                  reports=(_report({"readings": one["readings"], "about": ()}),) if "readings" in one else ())
            for one in _shipped()]
    return {entry.id: replace(entry, frozen=_row(entry).frozen) for entry in made}


@lru_cache(maxsize=1)
def _topics() -> dict[str, re.Pattern[str]]:
    return {one["id"]: any_of(one["topics"]) for one in _shipped()}


def _reported(one: Report) -> Entry:
    """The entry of a report: its quote is the claim. It predicts the same here where the result is plain."""
    leading = [reading for reading in one.readings if reading.metric == one.readings[0].metric]
    way, value = better(leading[0].metric), leading[0].value if len(leading) == 1 else None
    prediction = Prediction(leading[0].metric, way, value, leading[0].unit) if way and value is not None else None
    said = plain(one.quote)
    links = tuple(name for name, topic in _topics().items() if topic.search(said))
    return Entry("", {language(one.quote): one.quote}, prediction, source=one.file, links=links, reports=(one,))
