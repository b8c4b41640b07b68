"""One thing at a time for one twin; idle work gives way and is over before the twin closes; interrupts are stops."""
from __future__ import annotations

import gc
import os
import signal
import threading
import weakref
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.notebook.on_screen import opened, until
from twin.chat import Twin
from twin.errors import TwinError, UsageError
from twin.notebook.gate import Gate, gate


@pytest.fixture
def twin(own_home: Path) -> Iterator[Twin]:
    with opened(own_home) as made:
        yield made


class Idle:
    """Idle work that runs until it is asked to stop, as `Twin.settle` and `Twin.idle` do."""

    def __init__(self, twin: Twin, monkeypatch: pytest.MonkeyPatch) -> None:
        self.begun, self.over, self.reflected = threading.Event(), threading.Event(), False
        monkeypatch.setattr(twin, "settle", self.settle)
        monkeypatch.setattr(twin, "idle", self.idle)

    def settle(self, *, cancel: Callable[[], bool], keep: bool = False, **_: object) -> int:
        if not keep:
            self.begun.set()
            until(cancel)
            self.over.set()
        return 0

    def idle(self, **_: object) -> bool:
        self.reflected = True
        return True


def test_a_twin_has_one_gate_and_a_gate_keeps_no_twin_alive(own_home: Path) -> None:
    made = opened(own_home)
    assert gate(made) is gate(made)
    there = weakref.ref(made)
    made.close()
    del made
    gc.collect()
    assert there() is None


def test_who_comes_second_is_told_so_and_may_enter_afterwards(twin: Twin) -> None:
    with gate(twin).alone():
        assert gate(twin).locked()
        with pytest.raises(UsageError, match="still at work"), gate(twin).alone():
            pass
        assert gate(twin).locked(), "being refused opens nothing"
    assert not gate(twin).locked()
    with gate(twin).alone():
        pass


def test_a_stop_is_for_who_is_at_work_and_not_for_the_next(twin: Twin) -> None:
    with gate(twin).alone():
        gate(twin).stop()
        assert gate(twin).stopping()
    with gate(twin).alone():
        assert not gate(twin).stopping()


def test_an_error_behind_a_click_goes_to_the_face_and_kills_no_thread(twin: Twin) -> None:
    said: list[TwinError] = []

    def job() -> None:
        raise UsageError("It cannot be.", "Do not.")

    gate(twin).behind(job, said.append).join()
    assert [one.what for one in said] == ["It cannot be."]


def test_only_the_last_of_several_moves_is_done() -> None:
    door, done = Gate(), list[int]()
    for number in range(5):
        door.soon("move", lambda number=number: done.append(number), lambda _: None, seconds=0.2)
    until(lambda: done)
    door.soon("other", lambda: done.append(9), lambda _: None, seconds=0.0)
    until(lambda: 9 in done)
    assert done == [4, 9]
    door.soon("move", lambda: done.append(7), lambda _: None, seconds=30)
    assert door.hold("move") and not door.hold("move")


def test_idle_work_gives_way_to_who_enters(twin: Twin, monkeypatch: pytest.MonkeyPatch) -> None:
    idle = Idle(twin, monkeypatch)
    gate(twin).idle(twin, "c", lambda: None)
    until(idle.begun.is_set)
    with gate(twin).alone():
        assert idle.over.is_set(), "it is over by the time one is in"
    assert not idle.reflected


def test_idle_work_is_over_before_the_twin_closes_and_nothing_begins_after(
        twin: Twin, monkeypatch: pytest.MonkeyPatch) -> None:
    idle, drawn = Idle(twin, monkeypatch), list[bool]()
    gate(twin).idle(twin, "c", lambda: drawn.append(True))
    until(idle.begun.is_set)
    twin.close()
    assert idle.over.is_set() and not idle.reflected and not drawn
    gate(twin).idle(twin, "c", lambda: drawn.append(True))
    gate(twin).soon("later", lambda: drawn.append(True), lambda _: None, seconds=0.0)
    assert not [one for one in threading.enumerate() if one.name in ("twin-idle", "twin-behind")] and not drawn


def test_who_is_at_work_leaves_before_the_twin_closes(twin: Twin) -> None:
    inside, left = threading.Event(), threading.Event()

    def job() -> None:
        with gate(twin).alone():
            inside.set()
            until(gate(twin).stopping)
            left.set()

    gate(twin).behind(job, lambda _: None)
    until(inside.is_set)
    twin.close()
    assert left.is_set()


def test_the_first_interrupt_is_a_stop_and_the_second_an_interrupt(twin: Twin) -> None:
    before = signal.getsignal(signal.SIGINT)
    with gate(twin).alone(stoppable=True):
        os.kill(os.getpid(), signal.SIGINT)
        until(gate(twin).stopping)
        with pytest.raises(KeyboardInterrupt):
            os.kill(os.getpid(), signal.SIGINT)
            until(lambda: False)
    assert signal.getsignal(signal.SIGINT) is before
    with pytest.raises(KeyboardInterrupt), gate(twin).alone():
        os.kill(os.getpid(), signal.SIGINT)
        until(lambda: False)
    assert not gate(twin).locked()


def test_what_a_face_only_draws_is_waited_for_and_never_refuses_a_call(twin: Twin) -> None:
    door, begun, leave = gate(twin), threading.Event(), threading.Event()

    def draws() -> None:
        with door.alone(brief=True):
            begun.set()
            leave.wait(60)

    thread = door.behind(draws, pytest.fail)
    assert begun.wait(60)
    threading.Timer(0.2, leave.set).start()
    with door.alone():
        assert leave.is_set()
    thread.join()
    with door.alone(), pytest.raises(UsageError), door.alone():
        pytest.fail("what was asked for is not waited for")
