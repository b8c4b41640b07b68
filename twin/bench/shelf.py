"""The reports of one home: own runs and those of others, each a file; and what both leave in the ledger.

A run's prediction is frozen in the ledger before anything is measured. What others report enters as reported, with the
sha256 of their file as its source, and predicts nothing here: another machine's figure cannot be measured on this one.
"""
from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from typing import Literal

from twin.archive.ledger import Ledgers
from twin.bench.machine_told import Told, told
from twin.bench.measuring import FULL, Sizes, headline_length, run
from twin.bench.report import UNITS, Figure, Metric, Predicted, Report, load, parse, predicted
from twin.errors import BrokenFile, HomeError, InputError, UsageError
from twin.home import Home, write_atomically
from twin.ledger import Entry, Ledger, Measurement, Plan, Prediction
from twin.reported import Reading
from twin.reported import Report as Told_by_others
from twin.types import Engine, Progress, never

_FILE = re.compile(r"(bench|report)-(\d{4,9})\.json")
SOURCE = "twin bench"


@dataclass(frozen=True)
class Kept:
    """A report that is kept: own runs are bench-0001 and so on, those of others report-0002, in one count."""

    id: str
    report: Report = field(repr=False)
    sha256: str = ""

    @property
    def own(self) -> bool:
        """Whether it was measured here."""
        return self.id.startswith("bench")


class Shelf:
    """The folder `bench` of a home. Methods raise HomeError, HomeBusy, HomeFull as all writing does."""

    def __init__(self, home: Home) -> None:
        self.home, self.folder = home, home.root / "bench"

    def _files(self) -> list[Path]:
        """In the order in which they came."""
        found = [(int(match[2]), path) for path in self.folder.glob("*.json") if (match := _FILE.fullmatch(path.name))]
        return [path for _, path in sorted(found)]

    def all(self) -> tuple[list[Kept], list[str]]:
        """What is kept, the newest last, and the names of files that cannot be read any more."""
        kept, broken = [], []
        for path in self._files():
            try:
                kept.append(self._read(path))
            except InputError:
                broken.append(path.name)
        return kept, broken

    def get(self, id: str = "") -> Kept:
        """The report of this id, or the newest one. Raises UsageError where there is none, InputError for a damaged
        file."""
        found = [path for path in self._files() if path.stem == id or not id]
        if not found:
            what = f"There is no report {id!r}." if id else "Nothing was measured yet."
            raise UsageError(what, "`twin bench list` shows what there is; `twin bench run` measures.")
        return self._read(found[-1])

    def _read(self, path: Path) -> Kept:
        try:
            data, report = load(path)
        except InputError as error:
            raise BrokenFile(f"{path.name} in {self.folder} is damaged: {error.what}",
                             "Remove that file; the other reports stay.") from error
        return Kept(path.stem, report, sha256(data).hexdigest())

    def keep(self, report: Report) -> Kept:
        """Keep an own run."""
        return self._put("bench", report.to_json().encode("utf-8"))[0]

    def take(self, path: Path) -> tuple[Kept, bool]:
        """Keep the report in a file as it is, byte for byte; also says whether it is new. Raises InputError."""
        return self._put("report", load(path)[0])

    def _put(self, kind: Literal["bench", "report"], data: bytes) -> tuple[Kept, bool]:
        with self.home.writing("bench"):
            files, hash_ = self._files(), sha256(data).hexdigest()
            same = next((path for path in files if kind == "report" and _hash(path) == hash_), None)
            number = int(files[-1].stem.partition("-")[2]) + 1 if files else 1
            path = same or self.folder / f"{kind}-{number:04d}.json"
            if same is None:
                write_atomically(path, data)
        return Kept(path.stem, parse(data, path.name), hash_), same is None

    def export(self, id: str, path: Path) -> Kept:
        """Write a report where others can take it from; a file that is there already stays. Raises UsageError for
        one, and for a folder that is not there."""
        kept = self.get(id)
        if path.exists():
            raise UsageError(f"{path} is there already.", "Name another file, or remove it first.")
        if not path.parent.is_dir():
            raise UsageError(f"There is no folder {path.parent}.", "Make it first, or name another file.")
        write_atomically(path, (self.folder / f"{kept.id}.json").read_bytes())
        return kept

    def enter(self, path: Path) -> tuple[Kept, Entry | None, bool]:
        """Import a field report: kept, and entered in the ledger as reported. The same file twice changes nothing, and
        one's own run is not a report of others (None). Also says whether it is new. Raises InputError."""
        kept, new = self.take(path)
        if kept.own:
            return kept, None, False
        entry, entered = Ledger(Ledgers(self.home)).add(
            _said_elsewhere(kept), source=kept.sha256, reports=(_as_reported(kept, path.name),))
        return kept, entry, new or entered


def _hash(path: Path) -> str:
    try:
        return sha256(path.read_bytes()).hexdigest()
    except OSError as error:
        raise HomeError(f"{path} cannot be read ({error.strerror}).", "Remove it, or make it readable.") from error


# ---- an own run ----------------------------------------------------------------------------------------------------

def bench(engine: Engine, home: Home, sizes: Sizes = FULL, *,
          prediction: Mapping[str, tuple[float, float, float]] | None = None, note: str = "",
          progress: Progress | None = None, cancel: Callable[[], bool] = never) -> tuple[Kept, list[Entry]]:
    """Freeze the prediction, measure, keep the report, and enter what was measured; see `run`. The entries are those of
    the ledger that the prediction became, with their verdicts where their figure could be measured."""
    known, book = told(engine), Ledger(Ledgers(home))
    frozen = [(one.metric, at, _freeze(book, known, one, at, sizes)) for one in predicted(prediction)
              if (at := headline_length(sizes, engine.n_ctx, one.metric))]
    report = run(engine, sizes, prediction=prediction, note=note, progress=progress, cancel=cancel, known=known)
    kept = Shelf(home).keep(report)
    entries = []
    for metric, at, name in frozen:
        figure = next((found for found in report.figures if (found.metric, found.at) == (metric, at)), None)
        entries.append(book.entry(name) if figure is None else book.measure(name, _measured(figure, report)))
    return kept, entries


def _freeze(book: Ledger, known: Told, one: Predicted, at: int, sizes: Sizes) -> str:
    """Enter one prediction; the same one again is the same entry."""
    down = one.metric == "memory"
    threshold, unit = (one.high if down else one.low), UNITS[one.metric]
    core, where = f"{known.core.name} {known.core.quantisation}".strip(), _where(known)
    amount, thing = _shown(threshold, unit), {"prefill": "reads", "decode": "writes"}.get(one.metric, "")
    said = {"en": f"{core} needs {amount} at most with a context of {at} tokens, on {where}." if down else
                  f"{core} {thing} {amount} at least at {at} tokens, on {where}.",
            "ru": f"{core} занимает не больше {amount} при контексте в {at} токенов, на {where}." if down else
                  f"{core} {'читает' if one.metric == 'prefill' else 'пишет'} не меньше {amount} при {at} токенах, "
                  f"на {where}."}
    plan = Plan(command="twin bench run", n=1 if down else sizes.repeats)
    return book.add(said, Prediction(one.metric, "down" if down else "up", threshold, unit), plan, source=SOURCE)[0].id


def _measured(figure: Figure, report: Report) -> Measurement:
    return Measurement(figure.value, figure.low, figure.high, figure.n, environment(report))


def environment(report: Report) -> str:
    """Core, build and machine in one line, as the ledger keeps them."""
    build = ", ".join(f"{name} {version}" for name, version in report.build.items())
    core = f"{report.core.name} {report.core.quantisation} {report.core.sha256[:16]}".strip()
    return f"{core}; {_where(report)}; context {report.placement.n_ctx}; {build}"


def _where(one: Told | Report) -> str:
    where = one.where if isinstance(one, Told) else one.placement
    names = Counter(device.description or device.name for device in where.devices)
    devices = " + ".join(f"{n} x {name}" if n > 1 else name for name, n in names.items()) or "an unknown machine"
    return ", ".join([devices, *([f"{where.threads} threads"] if where.threads else []),
                      *([f"cache {where.kv_type}"] if where.kv_type else [])])


def _shown(value: float, unit: str) -> str:
    return f"{value / 1e9:.3g} GB" if unit == "bytes" else f"{value:.4g} {unit}"


# ---- a report of others --------------------------------------------------------------------------------------------

def _said_elsewhere(kept: Kept) -> dict[str, str]:
    report = kept.report
    told_figures = ", ".join(f"{_named(one.metric, one.at)} {_shown(one.value, one.unit)}" for one in report.figures)
    who = f"{report.core.name} {report.core.quantisation}".strip()
    return {"en": f"Field report {kept.sha256[:12]}: {who} on {_where(report)}: {told_figures}.",
            "ru": f"Отчёт с другой машины {kept.sha256[:12]}: {who} на {_where(report)}: {told_figures}."}


def _named(metric: Metric, at: int) -> str:
    return f"{metric} at {at}"


def _as_reported(kept: Kept, file: str) -> Told_by_others:
    about = tuple(filter(None, (kept.report.core.name, kept.report.core.quantisation)))
    return Told_by_others(tuple(Reading(_named(one.metric, one.at), one.unit, (one.low, one.value, one.high), one.value)
                                for one in kept.report.figures), file=file, sha256=kept.sha256, about=about)
