"""Workers that die, hang and come back: real processes, killed and stopped under load; waits by our own clock."""
from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Callable, Iterator, Sequence

import pytest

from twin.engine import supervised
from twin.engine.scripted import ScriptedEngine
from twin.engine.supervised import SupervisedEmbedder, SupervisedEngine
from twin.errors import CannotDo, DeviceLost, ModelError, ModelMissing
from twin.prompt import plain
from twin.types import Prompt, Sampling

GREEDY = Sampling(temperature=0.0, max_tokens=8)
ASKED = plain("chatml", [("user", "hello")])


class Vectors:
    """An embedder of two numbers; "sleep" takes long, "refuse" is refused, "die" ends the process."""

    id, dim = "vectors", 2

    def embed(self, texts: Sequence[str]) -> list[list[float]]:
        if texts[0] == "sleep":
            time.sleep(60)
        if texts[0] == "refuse":
            raise CannotDo("Not this one.")
        if texts[0] == "die":
            os.abort()
        return [[1.0, 0.0] for _ in texts]

    def embed_query(self, texts: Sequence[str]) -> list[list[float]]:
        return [[0.0, 1.0] for _ in texts]

    def close(self) -> None:
        """Nothing to free."""


class Talker(ScriptedEngine):
    """Says the same again and again."""

    def __init__(self) -> None:
        super().__init__(_said)


def _said(_: Prompt) -> str:
    return "one two three four"


def never_there() -> None:
    raise ModelMissing("There is no such model.")


class Clock:
    """Seconds that pass when they are told to."""

    now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def embedder(clock: Clock) -> Iterator[SupervisedEmbedder]:
    made = SupervisedEmbedder("embedder", Vectors, silent_s=3.0, clock=clock)
    yield made
    made.close()


def until(so: Callable[[], bool], timeout_s: float = 60.0) -> None:
    end = time.monotonic() + timeout_s
    while not so():
        assert time.monotonic() < end, "it did not come to that"
        time.sleep(0.02)


def ended(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    return False


def test_a_worker_starts_at_the_first_call_and_ends_with_close(embedder: SupervisedEmbedder) -> None:
    assert embedder.health.state == "idle"
    assert embedder.embed(["a", "b"]) == [[1.0, 0.0], [1.0, 0.0]]
    assert embedder.embed_query(["a"]) == [[0.0, 1.0]]
    assert (embedder.id, embedder.dim) == ("vectors", 2)

    health = embedder.health
    assert (health.state, health.restarts, health.calls, health.queue) == ("up", 0, 2, 0)
    assert health.pid not in (0, os.getpid())
    assert health.memory_bytes > 1 << 20
    assert health.texts_per_s > 0
    embedder.close()
    embedder.close()
    assert ended(health.pid)
    assert not [one.name for one in threading.enumerate() if one.name.endswith("-embedder")]
    with pytest.raises(ModelError, match="closed"):
        embedder.embed(["a"])


def test_a_refusal_of_the_model_is_no_death(embedder: SupervisedEmbedder) -> None:
    with pytest.raises(CannotDo, match="Not this one"):
        embedder.embed(["refuse"])

    assert embedder.health.state == "up"


def test_one_killed_under_load_is_named_at_once_and_is_up_again_after_its_wait(
        embedder: SupervisedEmbedder, clock: Clock) -> None:
    embedder.embed(["a"])
    pid, errors = embedder.health.pid, list[BaseException]()

    def ask() -> None:
        try:
            embedder.embed(["sleep"])
        except DeviceLost as error:
            errors.append(error)

    asking = threading.Thread(target=ask)
    asking.start()
    until(lambda: embedder.health.queue == 1)
    os.kill(pid, signal.SIGKILL)
    asking.join(20)

    assert "SIGKILL" in str(errors[0])
    assert "tried again in 1 s" in str(errors[0])
    assert (embedder.health.state, embedder.health.next_try_s) == ("down", 1.0)
    for _ in range(100):  # the clock stands: no call waits for a start
        with pytest.raises(DeviceLost, match="embedder is down"):
            embedder.embed(["a"])
    assert embedder.health.pid == pid, "nothing was started before its time"
    assert embedder.id == "vectors", "what it is stays known"

    clock.now += 1
    until(lambda: embedder.health.state == "up")
    assert embedder.embed(["a"]) == [[1.0, 0.0]]
    assert embedder.health.restarts == 1
    assert embedder.health.pid != pid


def test_one_that_is_stopped_is_found_hanging_and_ended(embedder: SupervisedEmbedder, clock: Clock) -> None:
    """A request larger than a pipe holds: whoever writes it would wait for ever."""
    embedder.embed(["a"])
    pid = embedder.health.pid
    os.kill(pid, signal.SIGSTOP)

    with pytest.raises(DeviceLost, match="did not answer for 3 s"):
        embedder.embed(["long " * 100_000])
    until(lambda: ended(pid))
    clock.now += 1
    until(lambda: embedder.health.state == "up")


def test_one_that_dies_while_nobody_asks_is_noticed(embedder: SupervisedEmbedder, clock: Clock) -> None:
    embedder.embed(["a"])
    os.kill(embedder.health.pid, signal.SIGKILL)
    until(lambda: embedder.health.state == "down")
    clock.now += 1
    until(lambda: embedder.health.state == "up")

    assert embedder.embed(["a"]) == [[1.0, 0.0]], "the next call finds it up"


def test_a_call_over_its_deadline_ends_the_worker(clock: Clock) -> None:
    made = SupervisedEmbedder("embedder", Vectors, deadline_s=0.5, clock=clock)
    try:
        made.embed(["a"])
        with pytest.raises(DeviceLost, match=r"longer than 0\.5 s"):
            made.embed(["sleep"])
    finally:
        made.close()


def test_what_cannot_start_waits_twice_as_long_each_time_and_at_most_a_minute(clock: Clock) -> None:
    """In this process, so that the eight starts cost nothing; it is not tried again unless somebody asks."""
    made = SupervisedEmbedder("embedder", never_there, apart=False, clock=clock)
    waits = []
    try:
        for _ in range(8):
            with pytest.raises(DeviceLost, match="embedder is down"):
                made.embed(["a"])
            until(lambda: made.health.state == "down")
            waits.append(made.health.next_try_s)
            clock.now += waits[-1]
        assert "There is no such model" in made.health.last_error
    finally:
        made.close()

    assert waits == [1, 2, 4, 8, 16, 32, 60, 60]


class Stuck:
    """Makes nothing until it is released, as a server that never answers; cannot be cut."""

    def __init__(self) -> None:
        self.release, self.closed = threading.Event(), threading.Event()

    def __call__(self) -> Stuck:
        self.release.wait(60)
        return self

    def close(self) -> None:
        """What came too late is freed."""
        self.closed.set()


def test_a_start_that_hangs_is_waited_for_so_long_and_what_it_makes_too_late_is_closed(clock: Clock) -> None:
    stuck = Stuck()
    made = SupervisedEmbedder("router", stuck, apart=False, start_s=0.3, clock=clock)
    try:
        began = time.monotonic()
        with pytest.raises(DeviceLost, match=r"router is down and is tried again in 1 s: .* start within 0\.3 s"):
            made.embed(["a"])
        assert time.monotonic() - began < 10
        assert made.health.state == "down"
        stuck.release.set()
        assert stuck.closed.wait(10)
        assert made.health.state == "down", "it had been given up"
    finally:
        stuck.release.set()
        made.close()


def test_closing_does_not_wait_for_a_start_that_hangs(clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(supervised, "JOIN_S", 0.2)
    stuck = Stuck()
    made = SupervisedEmbedder("router", stuck, apart=False, clock=clock)
    made.start()
    closing = threading.Thread(target=made.close, daemon=True)
    closing.start()
    closing.join(10)
    left = closing.is_alive()
    stuck.release.set()

    assert not left
    assert stuck.closed.wait(10)


def test_a_first_start_that_is_waited_for_can_be_interrupted(clock: Clock) -> None:
    """Ctrl-C while a turn waits: it gets through at once, and closing ends what hangs."""
    def interrupt() -> None:
        time.sleep(0.3)
        os.kill(os.getpid(), signal.SIGINT)

    stuck = Stuck()
    stuck.cut = stuck.release.set  # type: ignore[attr-defined]
    made = SupervisedEmbedder("router", stuck, apart=False, clock=clock)
    threading.Thread(target=interrupt).start()
    began = time.monotonic()
    with pytest.raises(KeyboardInterrupt):
        made.embed(["a"])
    made.close()

    assert time.monotonic() - began < 10
    assert not [one.name for one in threading.enumerate() if one.name.endswith("-router")]
    assert stuck.closed.is_set()


def test_an_engine_that_dies_in_the_middle_of_an_answer_ends_that_answer_alone(clock: Clock) -> None:
    made = SupervisedEngine("second", Talker, clock=clock)
    try:
        assert made.family.name == "chatml"
        assert "".join(piece.text for piece in made.stream(ASKED, GREEDY)) == "one two three four"
        first, left = made.stream_many([ASKED, ASKED], [GREEDY, GREEDY])
        next(first)
        left.close()  # type: ignore[attr-defined]
        os.kill(made.health.pid, signal.SIGKILL)
        with pytest.raises(DeviceLost, match="second is down"):
            list(first)
        clock.now += 1
        until(lambda: made.health.state == "up")

        assert "".join(piece.text for piece in made.stream(ASKED, GREEDY)) == "one two three four"
        assert list(first) == [], "of a process that is gone nothing more is asked"
        assert made.health.state == "up"
    finally:
        made.close()
