"""What takes a while in the terminal: one job at a time, in a thread, stopped by a key, and idle work gives way."""
from __future__ import annotations

import threading
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from tests.tui.conftest import PATIENCE_S, WIDE, Make, begun, until
from twin.errors import TwinError, UsageError
from twin.tui.background import Cancel, under_way
from twin.tui.inbox import merged
from twin.types import Event, Progress, Thinking, Token
from twin.words import Words


async def test_a_job_runs_in_a_thread_and_all_it_says_comes_to_the_apps(make: Make) -> None:
    app = make()
    heard: list[tuple[str, object, bool]] = []

    def note(what: str, value: object) -> None:
        heard.append((what, value, threading.current_thread() is threading.main_thread()))

    def job(progress: Progress, _: Cancel) -> bool:
        progress("reading", 1, 2)
        progress("reading", 2, 2)
        return threading.current_thread() is threading.main_thread()

    async with app.run_test(size=WIDE) as pilot:
        await begun(pilot)
        assert app.background.run(job, lambda made: note("done", made), lambda error: note("failed", error),
                                  lambda *told: note("told", told))
        await begun(pilot)
        assert heard == [("told", ("reading", 1, 2), True), ("told", ("reading", 2, 2), True), ("done", False, True)]


async def test_a_twins_error_goes_to_failed(make: Make) -> None:
    app = make()
    failed: list[TwinError] = []

    def job(_: Progress, __: Cancel) -> None:
        raise UsageError("No.", "Do.")

    async with app.run_test(size=WIDE) as pilot:
        await begun(pilot)
        app.background.run(job, lambda _: None, failed.append)
        await begun(pilot)
        assert [str(one) for one in failed] == ["No. Do."]
        assert not app.background.busy


async def test_one_job_at_a_time_and_stop_reaches_it(make: Make) -> None:
    app = make()
    ended: list[bool] = []

    def job(_: Progress, cancel: Cancel) -> bool:
        waiting = threading.Event()
        return any(cancel() or waiting.wait(0.01) for _ in range(int(PATIENCE_S * 100)))

    async with app.run_test(size=WIDE) as pilot:
        await begun(pilot)
        assert app.background.run(job, ended.append, lambda _: None)
        assert app.background.busy
        assert not app.background.run(job, ended.append, lambda _: None), "another one has to wait"
        await pilot.press("escape")
        await begun(pilot)
        assert ended == [True]


async def test_idle_work_is_stopped_before_a_job_begins_and_never_runs_beside_it(make: Make) -> None:
    app = make()
    order: list[str] = []
    running = threading.Event()

    def idle(cancel: Cancel) -> None:
        order.append("idle begins")
        running.set()
        waiting = threading.Event()
        while not cancel():
            waiting.wait(0.01)
        order.append("idle ends")

    def job(_: Progress, __: Cancel) -> None:
        order.append("job")

    async with app.run_test(size=WIDE) as pilot:
        await begun(pilot)
        app.background.idle(idle, lambda _: None)
        await until(pilot, running.is_set)
        assert not app.background.busy, "nobody waits for idle work"
        assert app.background.run(job, lambda _: None, lambda _: None)
        await begun(pilot)
        assert order == ["idle begins", "idle ends", "job"]


async def test_after_the_app_is_closed_nothing_begins(make: Make) -> None:
    app = make()
    async with app.run_test(size=WIDE) as pilot:
        await begun(pilot)
    assert not app.background.run(lambda *_: None, lambda _: None, lambda _: None)


@given(st.lists(st.builds(Token, st.text(max_size=3)) | st.builds(Thinking, st.text(max_size=3))))
def test_merged_events_say_the_same_in_the_same_order(events: list[Event]) -> None:
    def said(some: object, kind: type[Token] | type[Thinking]) -> str:
        return "".join(one.text for one in some if isinstance(one, kind))  # type: ignore[attr-defined]

    made = list(merged(events))
    assert said(made, Token) == said(events, Token) and said(made, Thinking) == said(events, Thinking)
    assert all(type(one) is not type(other) for one, other in pairwise(made))


def test_progress_is_told_in_both_languages() -> None:
    assert under_way(Words("twin.tui", "en"), "reading", 1200, 3400) == "reading: 1,200 of 3,400"
    assert under_way(Words("twin.tui", "ru"), "???", 1200, 3400) == "???: 1\u00a0200 из 3\u00a0400"
    assert under_way(Words("twin.tui", "en"), "reading", 0, None) == "reading …"
