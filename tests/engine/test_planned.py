"""A core that lies as planned: on workers of loopback as cards, read back, and planned anew when one is lost."""
from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import core_path
from tests.engine.rpc import Worker, four, workers  # noqa: F401 - fixtures
from tests.engine.test_devices import ASKED, LONG, alone, text  # noqa: F401 - a fixture
from twin import layouts, planning, shape
from twin.cards import processor
from twin.chat import Twin
from twin.engine import planned
from twin.engine.isolated import IsolatedEngine
from twin.errors import CannotDo, DeviceLost
from twin.home import Home
from twin.layouts import Want
from twin.types import Answered, Event, Failed, Interrupted, Token

WANT = Want(1024, 4)


def opened(workers: list[Worker], kind: str = "layers", want: Want = WANT) -> IsolatedEngine:  # noqa: F811
    return IsolatedEngine(core_path("smollm2-135m"), factory=planned.engine, want=want, kind=kind, n_threads=1,
                          servers=tuple(worker.server for worker in workers), trusted=True)


def where(engine: Any) -> tuple[str, ...]:
    """Runs in the child: the device of each layer, as the loader told."""
    layers: tuple[str, ...] = engine.weights.layers
    return layers


def expected(n: int, want: Want = WANT) -> list[int]:
    """Layers a device gets by the plan for n equal cards."""
    core = shape.read(core_path("smollm2-135m"))
    card = replace(processor(), processor=False, server="x:1")
    made = layouts.plan(core, want, (card,) * n).layouts
    return [part.layers for part in next(one for one in made if one.kind == "layers").parts]


@pytest.mark.parametrize("n", [2, 4])
def test_what_is_loaded_on_workers_is_what_was_planned_and_answers_as_one_device_does(
        n: int, four: list[Worker], alone: str) -> None:  # noqa: F811
    engine = opened(four[:n])
    try:
        found = engine.within(where)
        assert [found.count(name) for name in dict.fromkeys(found)] == expected(n)
        assert list(found) == sorted(found)  # in one piece each
        assert text(engine) == alone
        assert any(note.startswith("Planned: layers, on RPC0") for note in engine.notes)
    finally:
        engine.close()


def test_a_lost_worker_ends_the_turn_by_name_and_the_next_runs_as_planned_anew(
        four: list[Worker], alone: str) -> None:  # noqa: F811
    engine = opened(four[:3])
    try:
        pieces = engine.stream(ASKED, LONG)
        next(pieces)
        four[1].kill()
        with pytest.raises(DeviceLost, match=four[1].server):
            list(pieces)
        assert text(engine) == alone
        found = engine.within(where)
        assert [found.count(name) for name in dict.fromkeys(found)] == expected(2)
    finally:
        engine.close()


def test_a_turn_that_loses_a_worker_fails_by_name_and_the_next_one_is_answered(
        workers: list[Worker], own_home: Path) -> None:  # noqa: F811
    """Through the twin itself, with the plan that its home keeps."""
    servers = tuple(worker.server for worker in workers)
    planning.keep(Home(own_home), planning.Kept("smollm2-135m", Want(2048, 4), "layers", servers))

    def turn(twin: Twin, when_it_writes: Callable[[], object]) -> list[Event]:
        events: list[Event] = []
        seen = False
        for event in twin.stream("How do I dry tomato seeds?", cancel=lambda: sum(
                isinstance(one, Token) for one in events) > 4):
            events.append(event)
            if isinstance(event, Token) and not seen:
                seen = True
                when_it_writes()
        return events

    with Twin.open() as twin:
        lost = turn(twin, workers[1].kill)[-1]
        after = turn(twin, lambda: None)
        assert isinstance(lost, Failed)
        assert isinstance(lost.error, DeviceLost)
        assert servers[1] in str(lost.error)
        assert isinstance(after[-1], Interrupted | Answered)
        assert any(f"The worker {servers[1]} does not answer; the core was planned without it" in note
                   for note in twin.notes)


def test_without_any_worker_left_the_core_runs_on_the_processor(workers: list[Worker], alone: str) -> None:  # noqa: F811
    engine = opened(workers)
    for worker in workers:
        worker.kill()
    try:
        with pytest.raises(DeviceLost):
            text(engine)
        assert text(engine) == alone
        assert any("on the processor" in note for note in engine.notes)
    finally:
        engine.close()


def test_what_fits_nowhere_is_refused_by_name(monkeypatch: pytest.MonkeyPatch) -> None:
    tiny = replace(processor(), bytes=1 << 20)
    monkeypatch.setattr(planned, "alive", lambda _: (tiny,))
    with pytest.raises(CannotDo, match="fits on none of the devices"):
        planned.choose(core_path("smollm2-135m"), WANT)

