"""What this machine does with a core: figures that are right by a known clock, on real engines, and reports that are
kept, exchanged, entered in the ledger and read without trust."""
from __future__ import annotations

import json
import os
import socket
import stat
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import cycle
from pathlib import Path
from random import Random
from statistics import median
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests import tiny
from tests.engine.rpc import Worker, start, wait
from twin.archive.ledger import Ledgers
from twin.bench import Report, Shelf, Sizes, bench, run
from twin.bench.measuring import interval
from twin.bench.report import HIGHEST, LARGEST, UNITS, load, parse
from twin.engine.isolated import IsolatedEngine
from twin.engine.llama import LlamaEngine
from twin.engine.scripted import ScriptedEngine
from twin.errors import BrokenFile, InputError, UnknownFormat, UsageError
from twin.home import Home
from twin.ledger import Ledger, Measurement
from twin.placement import Placement
from twin.types import Piece, Prompt, Sampling, Segment, never

READS, WRITES = 400.0, 20.0  # tokens a second of the engine with a clock
SMALL = Sizes((128, 256), 16, 3, 3, 3, 256)
PREDICTED = {"prefill": (350.0, 390.0, 430.0), "decode": (25.0, 30.0, 35.0), "memory": (1e9, 2e9, 3e9)}


class Timed(ScriptedEngine):
    """Reads and writes at known speeds on a clock of its own; a prefix it has read is reused, a batch costs one."""

    def __init__(self, words: int = 200, *, n_ctx: int = 4096) -> None:
        super().__init__(lambda _: self.asked(), n_ctx=n_ctx)
        self.now, self.words, self.seen = 0.0, words, set[tuple[Segment, ...]]()
        self.hook: Callable[[], None] = lambda: None

    def clock(self) -> float:
        return self.now

    def asked(self) -> str:
        self.hook()
        return " ".join(map(str, range(self.words)))

    def stream(self, prompt: Prompt, sampling: Sampling, *, schema: Mapping[str, Any] | None = None,
               cancel: Callable[[], bool] = never) -> Iterator[Piece]:
        assert schema is None
        return self._timed(prompt, sampling, cancel, 1.0)

    def stream_many(self, prompts: Sequence[Prompt], samplings: Sequence[Sampling], *,
                    schemas: Sequence[Mapping[str, Any] | None] = (),
                    cancel: Callable[[], bool] = never) -> list[Iterator[Piece]]:
        assert not schemas
        return [self._timed(*one, cancel, 0.0 if place else 1.0)
                for place, one in enumerate(zip(prompts, samplings, strict=True))]

    def _timed(self, prompt: Prompt, sampling: Sampling, cancel: Callable[[], bool], cost: float) -> Iterator[Piece]:
        reused = len(self.tokenize("".join(one.text for one in prompt.prefix))) if prompt.prefix in self.seen else 0
        self.seen.add(prompt.prefix)
        for place, piece in enumerate(super().stream(prompt, sampling, cancel=cancel)):
            if not place:
                self.now += (len(self.tokenize(prompt.text)) - reused) / READS
            elif not piece.usage:
                self.now += cost / WRITES
            yield piece if not piece.usage else Piece(
                "", piece.finish, type(piece.usage)(**{**vars(piece.usage), "reused": reused}), piece.written)


def timed(engine: Timed, sizes: Sizes = SMALL, **rest: Any) -> Report:
    return run(engine, sizes, clock=engine.clock, seed=len(engine.prompts), **rest)


def values(report: Report) -> dict[tuple[str, int], float]:
    return {(one.metric, one.at): one.value for one in report.figures}


@pytest.fixture(scope="module")
def report() -> Report:
    return timed(Timed(), prediction=PREDICTED, note="by the window")


@pytest.fixture(scope="module")
def core(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny.core(tmp_path_factory.mktemp("secretplace") / "tiny.gguf")


@pytest.fixture
def clocked(monkeypatch: pytest.MonkeyPatch) -> Timed:
    """An engine with a clock that `bench`, which takes none, goes by too."""
    engine = Timed()
    monkeypatch.setattr("twin.bench.shelf.run", lambda _, sizes, **rest: timed(engine, sizes, **rest))
    return engine


@pytest.fixture
def far(core: Path) -> Iterator[IsolatedEngine]:
    worker: Worker = start()
    try:
        wait(worker)
        engine = IsolatedEngine(core, n_ctx=1024, trusted=True, placement=Placement(servers=(worker.server,)))
        yield engine
        engine.close()
    finally:
        worker.kill()


# ---- figures -------------------------------------------------------------------------------------------------------

def test_figures_are_those_of_the_clock(report: Report) -> None:
    found = values(report)

    assert found["prefill", 128] == pytest.approx(READS, rel=1e-6)
    assert found["prefill", 256] == pytest.approx(READS, rel=1e-6)
    assert found["decode", 128] == found["decode", 256] == pytest.approx(WRITES, rel=0.01)
    assert found["anew", 256] == pytest.approx(256 / READS, rel=0.2)
    assert found["switch", 256] == pytest.approx(48 / READS, rel=0.3)
    assert found["council", 3] > 2 * found["serial", 3]
    assert found["serial time", 3] > 2 * found["council time", 3]
    assert [one.n for one in report.figures if one.metric == "switch"] == [6]
    assert [(one.unit, one.low <= one.value <= one.high) for one in report.figures] == [
        (UNITS[one.metric], True) for one in report.figures]


def test_every_prompt_begins_anew_and_holds_only_invented_words() -> None:
    engine = Timed()
    timed(engine, Sizes((128,), 16, 2, 2, 2, 128))
    openings = [prompt.text.split()[1] for prompt in engine.prompts]

    assert len(set(openings)) >= 8
    assert {len(engine.tokenize(prompt.text)) for prompt in engine.prompts} <= set(range(80, 200))


def test_what_does_not_fit_or_ends_early_is_left_out_and_named() -> None:
    short = timed(Timed(n_ctx=480), Sizes((128, 2048), 16, 2, 16, 2, 256))
    silent = timed(Timed(words=3))

    assert {one.metric for one in short.figures} == {"prefill", "decode", "switch", "anew"}
    assert any(one.startswith("prefill at 2048") for one in short.left_out)
    assert any(one.startswith("council of 16") for one in short.left_out)
    assert "decode" not in {one.metric for one in silent.figures}
    assert "decode: 6 answers ended by themselves within 8 tokens" in silent.left_out


def test_a_machine_that_was_busy_in_between_gets_a_wide_interval() -> None:
    """Of two readings that differ the interval reached beyond what a report takes, and nothing came of the run."""
    engine, slept = Timed(), cycle((0.0, 500.0))

    def sleep() -> None:
        engine.now += next(slept)

    engine.hook = sleep
    made = timed(engine, Sizes((128,), 16, 2, 2, 2, 128))

    wide = [one for one in made.figures if one.metric == "prefill"]
    assert [one.n for one in wide] == [2] and wide[0].low < 1 and wide[0].high == HIGHEST["tok/s"]
    assert parse(made.to_json().encode(), "r.json") == made


def test_what_is_stopped_keeps_what_is_complete() -> None:
    engine = Timed()
    half = timed(engine, cancel=lambda: len(engine.prompts) > 9)

    assert {one.metric for one in half.figures} == {"prefill", "decode"}
    assert {"the rest: it was stopped", "anew at 256: read 1 times, which gives no interval"} <= set(half.left_out)
    with pytest.raises(UsageError, match="Nothing could be measured"):
        timed(Timed(), cancel=lambda: True)


@pytest.mark.parametrize("wrong", [{"prefill": ()}, {"prefill": (10,)}, {"decode": 4}, {"roles": 1}, {"repeats": 1}])
def test_sizes_that_give_no_figure_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(UsageError, match="give no figure"):
        Sizes(**wrong)


@given(st.lists(st.floats(1e-3, 1e6), min_size=2, max_size=60))
def test_an_interval_holds_its_median(readings: list[float]) -> None:
    low, centre, high = interval(readings)

    assert low <= centre <= high
    assert centre == median(readings)


@pytest.mark.parametrize("n", [2, 3, 5, 6, 9, 20])
def test_an_interval_holds_the_true_median_19_times_of_20(n: int) -> None:
    random = Random(n)  # noqa: S311 - readings, no secret
    held = sum(low <= 100.0 <= high for low, _, high in (
        interval([100.0 * random.lognormvariate(0, 0.2) for _ in range(n)]) for _ in range(1500)))

    assert held / 1500 >= 0.93


# ---- real engines --------------------------------------------------------------------------------------------------

def test_a_core_in_process_is_described_and_no_place_or_person_is(core: Path) -> None:
    engine = LlamaEngine(core, n_ctx=1024, trusted=True)
    made = run(engine, SMALL)
    engine.close()
    text = made.to_json()

    assert (made.core.name, made.core.architecture, len(made.core.sha256)) == ("tiny", "qwen2", 64)
    assert made.core.parameters > 1000
    assert made.core.quantisation == "all F32"
    assert (made.placement.n_ctx, made.placement.kv_type) == (1024, "f16")
    assert made.placement.threads >= 1
    assert [one.kind for one in made.placement.devices] == ["cpu"]
    assert {"prefill", "switch", "council", "memory"} <= {one.metric for one in made.figures}
    assert values(made)["memory", 1024] > 20e6
    for private in (socket.gethostname(), str(Path.home()), "secretplace", str(os.getpid())):
        assert private not in text


def test_a_core_in_a_child_on_a_worker_tells_no_address(far: IsolatedEngine) -> None:
    made = run(far, Sizes((128,), 9, 2, 2, 2, 128))

    assert [(one.name, one.remote) for one in made.placement.devices] == [("RPC0", True)]
    assert "127.0.0.1" not in made.to_json()
    assert values(made)["memory", 1024] > 20e6  # of the child


def test_a_core_behind_a_server_tells_its_model_and_nothing_of_where_it_is() -> None:
    class Far(Timed):
        id = "x"
        model = "/srv/owner/models/Qwen3-8B-Q4_K_M.gguf"

    engine = Far()
    engine.id = f"{engine.model}@gpu7.lab.example:8000"
    made = timed(engine)

    assert made.core.name == "Qwen3-8B-Q4_K_M"
    assert [one.kind for one in made.placement.devices] == ["server"]
    assert not {"gpu7", "owner", "8000"} & set(made.to_json().replace("/", " ").replace(":", " ").split())
    assert any(one.startswith("memory") for one in made.left_out)


def test_smollm_changes_roles_faster_than_it_reads_anew(smollm: Any) -> None:
    made = run(smollm, Sizes((128,), 12, 2, 50, 2, 256))
    found = values(made)

    assert found["switch", 256] < 0.7 * found["anew", 256]
    assert made.left_out == ("council of 50: the context holds 2048 tokens",)
    assert 1 < found["decode", 128] < found["prefill", 128] < 1e5
    assert made.core.parameters == 134_515_008


# ---- the ledger ----------------------------------------------------------------------------------------------------

def test_a_prediction_is_frozen_before_it_is_measured(clocked: Timed, tmp_path: Path) -> None:
    home = Home(tmp_path / "h")
    seen: list[list[tuple[str, int]]] = []
    book = Ledger(Ledgers(home))
    clocked.hook = lambda: seen.append([(one.prediction.metric, len(one.measurements)) for one in book.entries()
                                        if one.source == "twin bench" and one.prediction]) if not seen else None
    kept, entries = bench(clocked, home, SMALL, prediction=PREDICTED)

    assert seen == [[("prefill", 0), ("decode", 0), ("memory", 0)]]
    assert [one.verdict for one in entries] == ["supported", "refuted", "open"]
    assert [(one.prediction.threshold, one.prediction.direction) for one in entries if one.prediction] == [
        (350.0, "up"), (25.0, "up"), (3e9, "down")]
    assert entries[0].measurements[0].value == pytest.approx(READS)
    assert "tok/s" in entries[0].say("ru") and "читает" in entries[0].say("ru")
    assert [holds for _, _, holds in kept.report.compared()] == [True, False, None]


def test_the_same_prediction_again_is_the_same_entry_with_two_measurements(clocked: Timed, tmp_path: Path) -> None:
    home = Home(tmp_path / "h")
    first, again = (bench(clocked, home, SMALL, prediction=PREDICTED)[1] for _ in range(2))

    assert [one.id for one in first] == [one.id for one in again]
    assert [len(one.measurements) for one in again] == [2, 2, 0]
    assert all(one.intact for one in again)
    assert bench(clocked, home, SMALL)[1] == []


def test_a_prediction_that_is_none_is_refused_before_anything_is_entered(clocked: Timed, tmp_path: Path) -> None:
    for wrong in ({"decode": (3.0, 2.0, 1.0)}, {"joy": (1.0, 2.0, 3.0)}, {"decode": (1.0, float("nan"), 2.0)}):
        with pytest.raises(UsageError, match="This is no prediction"):
            bench(clocked, Home(tmp_path / "h"), SMALL, prediction=wrong)
    assert clocked.prompts == []
    assert Shelf(Home(tmp_path / "h")).all() == ([], [])


# ---- the shelf, and reports of others --------------------------------------------------------------------------------

def test_reports_are_kept_for_their_owner_alone_the_newest_last(report: Report, tmp_path: Path) -> None:
    shelf = Shelf(Home(tmp_path / "h"))
    first, second = shelf.keep(report), shelf.keep(report)
    file = shelf.folder / f"{first.id}.json"

    assert [one.id for one in shelf.all()[0]] == ["bench-0001", "bench-0002"] == [first.id, second.id]
    assert shelf.get() == second and shelf.get("bench-0001").report == report
    assert (stat.S_IMODE(file.stat().st_mode), stat.S_IMODE(shelf.folder.stat().st_mode)) == (0o600, 0o700)
    assert "window" not in repr(first) + repr(report)
    file.write_text("{}")
    assert (len(shelf.all()[0]), shelf.all()[1]) == (1, ["bench-0001.json"])
    with pytest.raises(BrokenFile, match=r"bench-0001\.json in .* is damaged"):
        shelf.get("bench-0001")
    with pytest.raises(UsageError, match="There is no report 'bench-0009'"):
        shelf.get("bench-0009")


def test_a_report_of_others_is_reported_once_and_never_measured(report: Report, tmp_path: Path) -> None:
    theirs, ours = Shelf(Home(tmp_path / "theirs")), Shelf(Home(tmp_path / "ours"))
    file = tmp_path / "field.json"
    sha = theirs.export(theirs.keep(report).id, file).sha256
    kept, entry, new = ours.enter(file)
    again = ours.enter(file)
    book = Ledger(Ledgers(ours.home))

    assert entry is not None
    assert (kept.id, kept.own, new, entry.verdict, entry.source, entry.reports[0].sha256) == (
        "report-0001", False, True, "reported", sha, sha)
    assert again == (kept, entry, False)
    assert len([one for one in book.entries() if one.source == sha]) == 1
    assert not any(one.measurements for one in book.entries())
    assert "prefill at 128 400 tok/s" in entry.say()
    assert kept.report == report
    with pytest.raises(UsageError, match="predicts nothing"):
        book.measure(entry.id, Measurement(1, 1, 1, 1))
    assert theirs.enter(file) == (theirs.get("bench-0001"), None, False)  # one's own, come back
    assert len(theirs.all()[0]) == 1
    with pytest.raises(UsageError, match="is there already"):
        theirs.export("bench-0001", file)


def test_a_kill_between_file_and_ledger_is_made_good_by_the_same_import(report: Report, tmp_path: Path) -> None:
    shelf, file = Shelf(Home(tmp_path / "h")), tmp_path / "field.json"
    file.write_text(report.to_json(), "utf-8")
    shelf.take(file)

    assert shelf.enter(file)[2] is True
    assert shelf.enter(file)[2] is False


# ---- reading without trust -------------------------------------------------------------------------------------------

FIGURE: dict[str, Any] = {"metric": "decode", "unit": "tok/s", "value": 2.0, "low": 1.0, "high": 3.0, "n": 3, "at": 128}
WRONG: dict[str, dict[str, Any]] = {
    "none": {"figures": []},
    "not finite": {"figures": [FIGURE | {"value": float("nan")}]},
    "infinite": {"figures": [FIGURE | {"high": float("inf")}]},
    "negative": {"figures": [FIGURE | {"low": -1.0}]},
    "outside": {"figures": [FIGURE | {"value": 9.0}]},
    "absurd": {"figures": [FIGURE | {"high": 1e9}]},
    "huge": {"figures": [FIGURE | {"n": 10**30}]},
    "unit": {"figures": [FIGURE | {"unit": "s"}]},
    "metric": {"figures": [FIGURE | {"metric": "joy"}]},
    "text": {"figures": [FIGURE | {"value": "2.0"}]},
    "true": {"figures": [FIGURE | {"n": True}]},
    "twice": {"figures": [FIGURE, FIGURE]},
    "many": {"figures": [FIGURE | {"at": at} for at in range(65)]},
    "extra": {"home": "/somewhere"},
    "future": {"when": "2999-01-01"},
    "past": {"when": "1999-01-01"},
    "time": {"when": "2026-01-01T10:00:00"},
    "long": {"note": "x" * 201},
    "lines": {"note": "a\nb"},
    "escape": {"note": "\x1b[31mred"},
    "override": {"build": {"twin": "a\u202eb"}},
    "prediction": {"prediction": [{"metric": "decode", "value": 5, "low": 6, "high": 7}]},
    "missing": {"core": {}},
    "list": {"core": []},
    "hash": {"core": {"name": "x", "sha256": "0" * 64 + "\n"}},
}


@pytest.mark.parametrize("wrong", WRONG.values(), ids=WRONG)
def test_what_is_wrong_is_named_and_stored_nowhere(wrong: dict[str, Any], report: Report, tmp_path: Path) -> None:
    file, shelf = tmp_path / "f.json", Shelf(Home(tmp_path / "h"))
    file.write_text(json.dumps(json.loads(report.to_json()) | wrong), "utf-8")

    with pytest.raises(BrokenFile, match=r"f\.json is no field report: .*\.") as found:
        shelf.enter(file)
    assert "\x1b" not in str(found.value)
    assert not shelf.home.root.exists()


@pytest.mark.parametrize(("data", "kind"), [
    (b"", BrokenFile), (b"[]", UnknownFormat), (b"{}", UnknownFormat), (b'{"format": 3}', UnknownFormat),
    (b'{"format": "twin-field-report/2"}', UnknownFormat), (b'{"format": "\\u001b[1m"}', UnknownFormat),
    (b"\xff\xfe", BrokenFile), (b"[" * 100_000, BrokenFile), (b"1" * 50_000, BrokenFile),
    (b'{"format": "twin-field-report/1", "format": "twin-field-report/1"}', BrokenFile),
    (b" " * (LARGEST + 1), InputError)], ids=range(11))
def test_what_is_no_report_is_an_error_in_words(data: bytes, kind: type[InputError], tmp_path: Path) -> None:
    file = tmp_path / "f.json"
    file.write_bytes(data)

    with pytest.raises(kind, match=r"f\.json") as found:
        load(file)
    assert "\x1b" not in str(found.value)


def test_a_pipe_a_folder_and_nothing_are_errors_in_words(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    for name in ("pipe", "", "none.json"):
        with pytest.raises(InputError):
            load(tmp_path / name)


@given(st.recursive(st.none() | st.booleans() | st.floats() | st.text(max_size=5),
                    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(
                        st.sampled_from(["figures", "core", "format", "when"]), inner, max_size=4), max_leaves=8))
def test_no_json_whatever_is_more_than_an_input_error(document: Any) -> None:
    told = {"format": "twin-field-report/1"} | (document if isinstance(document, dict) else {"figures": document})

    with pytest.raises(InputError):
        parse(json.dumps(told).encode(), "f.json")
