"""A core over several devices, and one that loses them: real workers on loopback, the real SmolLM2 in a real child."""
from __future__ import annotations

import copy
import ctypes
import os
import pickle
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import core_path
from tests.engine.rpc import Worker, workers  # noqa: F401 - a fixture
from twin import errors
from twin.engine import devices, library
from twin.engine.isolated import IsolatedEngine
from twin.engine.llama import LlamaEngine
from twin.engine.scripted import ScriptedEngine
from twin.errors import DeviceLost, ModelError, PromptTooLong, TwinError, UsageError
from twin.placement import Placement
from twin.prompt import plain
from twin.types import Engine, Piece, Prompt, Sampling, never

GREEDY = Sampling(temperature=0.0, max_tokens=12, repeat_penalty=1.0)
LONG = Sampling(temperature=0.0, max_tokens=200, repeat_penalty=1.0)
ASKED = plain("chatml", [("user", "When do I sow beans?")], "Answer briefly.")


def over(workers: Sequence[Worker], **more: Any) -> Placement:  # noqa: F811
    """All layers on these workers and on no card that the machine may have."""
    return Placement(servers=tuple(worker.server for worker in workers),
                     devices=tuple(f"RPC{i}" for i in range(len(workers))), **more)


def found(placement: Placement) -> dict[str, str]:
    """Names and servers of the workers' devices that are alive."""
    return {device.name: device.server for device in devices.live(placement) if device.server}


def text(engine: Engine, sampling: Sampling = GREEDY) -> str:
    return "".join(piece.text for piece in engine.stream(ASKED, sampling))


def placed(placement: Placement) -> IsolatedEngine:
    return IsolatedEngine(core_path("smollm2-135m"), n_ctx=1024, n_threads=1, trusted=True, placement=placement)


@pytest.fixture(scope="module")
def alone() -> str:
    """What SmolLM2 answers on the processor of this process."""
    engine = LlamaEngine(core_path("smollm2-135m"), n_ctx=1024, n_threads=1, trusted=True,
                         placement=Placement(n_gpu_layers=0))
    try:
        return text(engine)
    finally:
        engine.close()


# ---- placements carried out --------------------------------------------------------------------------------------

def test_two_workers_answer_as_one_processor_does(workers: list[Worker], alone: str) -> None:  # noqa: F811
    engine = placed(over(workers))
    try:
        assert text(engine) == alone
        assert engine.notes == ()
    finally:
        engine.close()


def layers(placement: Placement) -> list[str]:
    """The device of each layer, from the loader's own log. Runs in a child: see below."""
    import re

    lib, log_lines = library.llama(), []
    log = lib.llama_log_callback(lambda _level, line, _data: log_lines.append(line.decode()))
    lib.llama_log_set(log, ctypes.c_void_p(0))
    params = lib.llama_model_default_params()
    alive = devices.apply(placement, params, None)
    model = lib.llama_model_load_from_file(os.fsencode(core_path("smollm2-135m")), params)
    lib.llama_model_free(model)
    del alive
    return re.findall(r"layer +\d+ assigned to device (\w+)", "".join(log_lines))


class Layers(ScriptedEngine):
    """Loads with a placement and tells which device got which layer."""

    def __init__(self, placement: Placement) -> None:
        super().__init__([" ".join(layers(placement))])


def test_an_uneven_split_gives_a_quarter_of_the_layers_to_one_worker(workers: list[Worker]) -> None:  # noqa: F811
    """A small card next to a large one: 31 of SmolLM2's layers (30 and the output) at 1:3, as the loader tells."""
    plan = over(workers, tensor_split=(1, 3))
    engine = IsolatedEngine(plan, factory=Layers)
    try:
        where = text(engine, LONG).split()
    finally:
        engine.close()

    assert len(where) == 31
    assert where == sorted(where)
    assert where.count("RPC0") == 8


def test_without_devices_nothing_but_the_processor_computes(workers: list[Worker]) -> None:  # noqa: F811
    """A worker that another core of this process uses must not be used by one that was not placed there."""
    assert found(over(workers)) == {"RPC0": workers[0].server, "RPC1": workers[1].server}

    assert not any(device.name.startswith("RPC") for device in devices.live(Placement()))
    assert list(devices.pointers(Placement(n_gpu_layers=0))) == [None]
    assert devices.pointers(Placement()) is None


def test_devices_keep_their_names_when_one_before_them_is_lost(workers: list[Worker]) -> None:  # noqa: F811
    plan = over(workers)
    before = found(plan)
    workers[0].kill()

    assert before == {"RPC0": plan.servers[0], "RPC1": plan.servers[1]}
    assert found(plan) == {"RPC1": plan.servers[1]}


def test_a_device_that_is_not_there_is_refused_by_name() -> None:
    with pytest.raises(UsageError, match="no device Abacus"):
        devices.pointers(Placement(devices=("Abacus",)))


def test_a_busy_worker_is_left_out_instead_of_waiting_for_ever(
        workers: list[Worker], monkeypatch: pytest.MonkeyPatch) -> None:  # noqa: F811
    """It serves one process at a time and lets the next one wait without a word."""
    monkeypatch.setattr(devices, "HELLO_S", 0.5)
    engine = placed(over(workers[:1]))
    try:
        free = found(over(workers))
    finally:
        engine.close()

    assert free == {"RPC1": workers[1].server}


def test_a_quantised_cache_turns_flash_attention_on_and_still_answers() -> None:
    engine = placed(Placement(kv_type="q8_0"))
    try:
        assert text(engine).strip()
        assert any("flash attention" in note for note in engine.notes)
    finally:
        engine.close()


# ---- devices lost --------------------------------------------------------------------------------------------------

def test_a_worker_lost_between_turns_is_an_error_once_and_a_note_after(
        workers: list[Worker], alone: str) -> None:  # noqa: F811
    engine = placed(over(workers, tensor_split=(1, 3)))
    try:
        assert text(engine) == alone
        workers[0].kill()

        with pytest.raises(DeviceLost, match=workers[0].server):
            text(engine)
        assert text(engine) == alone
        assert any("1 is there: RPC1" in note for note in engine.notes)
        assert any(workers[0].server in note and "loaded anew" in note for note in engine.notes)
    finally:
        engine.close()


def test_a_worker_lost_in_the_middle_of_an_answer_ends_that_answer_alone(
        workers: list[Worker], alone: str) -> None:  # noqa: F811
    engine = placed(over(workers))
    try:
        stream = engine.stream(ASKED, LONG)
        assert next(stream).text
        workers[1].kill()

        with pytest.raises(DeviceLost, match=workers[1].server):
            list(stream)
        assert list(stream) == []
        assert text(engine) == alone
        assert any("1 is there: RPC0" in note for note in engine.notes)
    finally:
        engine.close()


def test_with_both_workers_lost_the_processor_answers(workers: list[Worker], alone: str) -> None:  # noqa: F811
    engine = placed(over(workers))
    try:
        for worker in workers:
            worker.kill()
        with pytest.raises(DeviceLost):
            text(engine)

        assert text(engine) == alone
        assert any("none is there" in note for note in engine.notes)
    finally:
        engine.close()


def test_a_core_opened_after_its_workers_are_gone_opens_on_the_processor(
        workers: list[Worker], alone: str) -> None:  # noqa: F811
    for worker in workers:
        worker.kill()
    engine = placed(over(workers))
    try:
        assert text(engine) == alone
        assert any("none is there" in note for note in engine.notes)
    finally:
        engine.close()


# ---- the child -----------------------------------------------------------------------------------------------------

class Slow(ScriptedEngine):
    """Reads for a long time unless cancelled; with "die" in the prompt it aborts as ggml does; it also prints."""

    def __init__(self) -> None:
        super().__init__(["one two three four"] * 1000)
        self.notes = (f"made in {os.getpid()}",)

    def stream(self, prompt: Prompt, sampling: Sampling, *, schema: Any = None,
               cancel: Callable[[], bool] = never) -> Iterator[Piece]:
        print("a line of the loader")  # noqa: T201
        os.write(2, b"/somewhere/ggml.c:1: the card is gone\n")
        if "die" in prompt.text:
            os.abort()
        until = time.monotonic() + (30 if "slow" in prompt.text else 0)
        while time.monotonic() < until and not cancel():
            time.sleep(0.005)
        return super().stream(prompt, sampling, schema=schema, cancel=cancel)

    def prepare(self, prompt: Prompt, *, keep: bool = False, cancel: Callable[[], bool] = never) -> int:
        assert not keep
        return sum(1 for _ in self.stream(prompt, GREEDY, cancel=cancel))

    def stream_many(self, prompts: Sequence[Prompt], samplings: Sequence[Sampling], *,
                    schemas: Sequence[Any] = (), cancel: Callable[[], bool] = never) -> list[Iterator[Piece]]:
        assert not schemas
        return [self.stream(prompt, sampling, cancel=cancel)
                for prompt, sampling in zip(prompts, samplings, strict=True)]


def asked(words: str) -> Prompt:
    return plain("chatml", [("user", words)], "Brief.")


def words(pieces: Iterator[Piece]) -> str:
    return "".join(piece.text for piece in pieces)


@pytest.fixture
def slow() -> Iterator[IsolatedEngine]:
    engine = IsolatedEngine(factory=Slow)
    yield engine
    engine.close()


def child_of(engine: IsolatedEngine) -> int:
    return int(engine.notes[0].split()[-1])


def ended(pid: int, timeout_s: float = 10.0) -> bool:
    """Whether no such process is left, not even a zombie of ours."""
    until = time.monotonic() + timeout_s
    while time.monotonic() < until:
        try:
            os.kill(pid, 0)
        except ProcessLookupError:
            return True
        time.sleep(0.02)
    return False


def test_it_is_an_engine_in_another_process(slow: IsolatedEngine) -> None:
    assert isinstance(slow, Engine)
    assert child_of(slow) != os.getpid()
    assert words(slow.stream(asked("hello"), GREEDY)) == "one two three four"


def test_cancel_is_asked_here_between_pieces_and_nothing_is_written_ahead(slow: IsolatedEngine) -> None:
    """Pieces made ahead and thrown away would leave tokens in the cache that nobody has seen."""
    seen: list[str] = []
    for piece in slow.stream(asked("hello"), GREEDY, cancel=lambda: len(seen) >= 2):
        seen.append(piece.text)
        last = piece

    assert seen == ["one", " two", ""]
    assert last.finish == "cancelled"
    assert last.usage is not None
    assert last.usage.generated == 2


@pytest.mark.parametrize("read", [lambda engine, cancel: list(engine.stream(asked("slow"), GREEDY, cancel=cancel)),
                                  lambda engine, cancel: engine.prepare(asked("slow"), cancel=cancel)])
def test_cancel_reaches_the_child_while_it_reads(slow: IsolatedEngine, read: Callable[..., Any]) -> None:
    began = time.monotonic()
    read(slow, lambda: time.monotonic() - began > 0.3)

    assert time.monotonic() - began < 5
    assert words(slow.stream(asked("hello"), GREEDY)) == "one two three four"


def test_an_interrupt_in_the_middle_leaves_the_pipe_usable(slow: IsolatedEngine) -> None:
    """Ctrl-C in a notebook cell: the reply that comes too late must not be taken for the next one."""
    def interrupt() -> bool:
        raise KeyboardInterrupt

    asks = iter([never, never, interrupt])
    with pytest.raises(KeyboardInterrupt):
        list(slow.stream(asked("slow"), GREEDY, cancel=lambda: next(asks)()))

    assert slow.tokenize("one two") == slow.tokenize("one two")
    assert words(slow.stream(asked("hello"), GREEDY)) == "one two three four"


def test_answers_left_half_way_and_several_at_once_share_the_pipe(slow: IsolatedEngine) -> None:
    left = slow.stream(asked("hello"), GREEDY)
    next(left)
    first, second, never_pulled = slow.stream_many([asked("a"), asked("b"), asked("c")], [GREEDY] * 3)
    mixed = [piece.text for pair in zip(first, second, strict=True) for piece in pair]
    del never_pulled

    assert mixed[:4] == ["one", "one", " two", " two"]
    assert words(left) == " two three four"
    assert words(slow.stream(asked("hello"), GREEDY)) == "one two three four"


def test_two_threads_answer_without_mixing_their_pieces(slow: IsolatedEngine) -> None:
    answers: list[str] = []
    threads = [threading.Thread(target=lambda: answers.extend(words(slow.stream(asked("hello"), GREEDY))
                                                              for _ in range(20))) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert answers == ["one two three four"] * 40


def test_errors_arrive_as_they_were_raised(slow: IsolatedEngine) -> None:
    with pytest.raises(PromptTooLong) as caught:
        list(slow.stream(asked("hello"), Sampling(max_tokens=100_000)))

    assert caught.value.next_step == "Ask something shorter."
    with pytest.raises(UsageError, match="script has 0"):
        IsolatedEngine([], factory=ScriptedEngine).choose(asked("hello"), ["a", "b"])


@pytest.mark.parametrize("name", [name for name, kind in vars(errors).items()
                                  if isinstance(kind, type) and issubclass(kind, TwinError)])
def test_every_error_survives_the_pipe(name: str) -> None:
    more = {"FetchError": {"tried": ("one", "two")}, "WhoIsMe": {"people": {"whatsapp": {"Ann": 2}}}}.get(name, {})
    error = getattr(errors, name)("It broke.", "Mend it.", **more)
    same = pickle.loads(pickle.dumps(error))  # noqa: S301 - our own

    assert (type(same), str(same), vars(same)) == (type(error), str(error), vars(error))
    assert vars(copy.copy(error)) == vars(error)


def test_a_dead_child_says_its_last_words_and_the_next_call_has_a_new_one(slow: IsolatedEngine) -> None:
    before = child_of(slow)
    with pytest.raises(DeviceLost, match=r"SIGABRT: ggml.c:1: the card is gone"):
        list(slow.stream(asked("die"), GREEDY))

    assert words(slow.stream(asked("hello"), GREEDY)) == "one two three four"
    assert child_of(slow) != before
    assert ended(before)
    assert "loaded anew" in slow.notes[-1]


def test_a_core_that_kills_its_process_while_loading_is_a_broken_one() -> None:
    with pytest.raises(ModelError, match="SIGABRT"):
        IsolatedEngine(factory=os.abort)  # type: ignore[arg-type]


def test_closing_ends_the_child_even_while_it_reads_and_later_calls_are_refused(slow: IsolatedEngine) -> None:
    pid = child_of(slow)
    stream = slow.stream(asked("hello"), GREEDY)
    next(stream)
    slow.close()
    slow.close()

    assert ended(pid)
    with pytest.raises(ModelError, match="closed"):
        slow.tokenize("one")
    with pytest.raises(ModelError, match="closed"):
        list(stream)


_PARENT = """
import sys
from tests.engine.test_devices import GREEDY, Slow, asked
from twin.engine.isolated import IsolatedEngine
engine = IsolatedEngine(factory=Slow)
list(engine.stream(asked("hello"), GREEDY))
sys.stderr.write(engine.notes[0].split()[-1] + " ")
sys.stderr.flush()
engine.prepare(asked("slow"))
"""


def test_the_child_prints_nothing_and_ends_with_its_parent_even_in_the_middle_of_reading() -> None:
    """Stdout and stderr belong to faces; and nobody wants gigabytes of weights to outlive the twin."""
    parent = subprocess.Popen([sys.executable, "-c", _PARENT], cwd=Path(__file__).parents[2], stdout=subprocess.PIPE,
                              stderr=subprocess.PIPE)
    assert parent.stderr is not None
    pid = b""
    while not pid.endswith(b" "):
        byte = parent.stderr.read(1)
        assert byte, "the parent ended early"
        pid += byte
    parent.send_signal(signal.SIGKILL)
    out, rest = parent.communicate(timeout=10)

    assert (out, rest) == (b"", b"")
    assert ended(int(pid))
