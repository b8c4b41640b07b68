"""Snapshots: read once, restored after a restart, and refused when they are not exactly what is asked for."""
from __future__ import annotations

import stat
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests import tiny
from tests.engine.cold import asked, cold_logits, distance, logits, opened, said
from twin.engine.snapshots import Snapshots
from twin.placement import Placement
from twin.prompt import plain
from twin.types import Adapter


def reused(path: Path, prompt: Any, shelf: Snapshots, **settings: Any) -> int:
    """Tokens an engine that was just opened need not read."""
    with opened(path, snapshots=shelf, **settings) as engine:
        last = said(engine, prompt)[1]
        assert last.usage is not None
        return last.usage.reused


def test_what_was_read_is_there_after_a_restart(tiny_core: Path, tmp_path: Path) -> None:
    shelf = Snapshots(tmp_path / "shelf")
    with opened(tiny_core, snapshots=shelf) as engine:
        read, length = engine.prepare(asked(), keep=True), len(engine.plan(asked(), 1).prefix)
        expected = said(engine, asked("Answer as the mentor."))[0]
        right = cold_logits(engine, asked())
    with opened(tiny_core, snapshots=shelf) as engine:
        assert distance(logits(engine, asked()), right) < 1e-3
        assert engine.lanes.read_tokens == len(engine.plan(asked(), 1).tail)
        assert said(engine, asked("Answer as the mentor."))[0] == expected

    assert read == length
    assert stat.S_IMODE(shelf.files()[0].stat().st_mode) == 0o600


def test_the_constant_beginning_is_kept_for_the_next_conversation(tiny_core: Path, tmp_path: Path) -> None:
    shelf = Snapshots(tmp_path / "shelf")

    def about(question: str) -> Any:
        made = plain("chatml", [("system", "You help with gardens. " * 6), ("user", question)], "Brief.")
        return replace(made, prefix=(*(replace(one, part="constitution") for one in made.prefix[:3]), *made.prefix[3:]))

    with opened(tiny_core, snapshots=shelf) as engine:
        engine.prepare(about("When do I sow beans?"), keep=True)
        constant = engine.plan(about(""), 1).constant

    assert constant > 100
    assert reused(tiny_core, about("How deep?"), shelf) == constant


def test_a_snapshot_of_other_weights_or_another_cache_is_never_used(attention_core: Path, tmp_path: Path) -> None:
    shelf = Snapshots(tmp_path / "shelf")
    lora = Adapter(str(tiny.adapter(tmp_path / "lora.gguf", attention_core)))
    other = tiny.core(tmp_path / "other.gguf", "qwen2", seed=8, n_embd=64)
    with opened(attention_core, snapshots=shelf) as engine:
        engine.prepare(asked(), keep=True)
        length = len(engine.plan(asked(), 1).prefix)

    assert reused(attention_core, asked(), shelf) == length
    assert reused(attention_core, replace(asked(), adapters=(lora,)), shelf) == 0
    assert reused(attention_core, asked(), shelf, placement=Placement(kv_type="f16")) == 0
    assert reused(attention_core, asked(), shelf, yarn=2.0) == 0
    assert reused(other, asked(), shelf) == 0
    with opened(attention_core, snapshots=shelf) as engine:  # a plain LoRA's own prefix has a snapshot of its own
        engine.prepare(replace(asked(), adapters=(lora,)), keep=True)
    assert reused(attention_core, replace(asked(), adapters=(lora,)), shelf) == length


@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_a_damaged_snapshot_is_refused(tmp_path_factory: pytest.TempPathFactory, data: st.DataObject) -> None:
    shelf = Snapshots(tmp_path_factory.mktemp("shelf"))
    file = shelf.save("context", list(range(40)), bytes(range(256)) * 20)
    assert file is not None
    whole = bytearray(file.read_bytes())
    if data.draw(st.booleans()):
        at = data.draw(st.integers(0, len(whole) - 1))
        whole[at] ^= 1 << data.draw(st.integers(0, 7))
    else:
        del whole[data.draw(st.integers(0, len(whole) - 1)):]
    file.write_bytes(whole)

    found = shelf.best("context", list(range(50)))
    assert found is None or shelf.load(found) is None


def test_a_state_that_the_context_does_not_take_is_read_instead(attention_core: Path, tmp_path: Path) -> None:
    """Whole by its hash and still not a state: written by another build, say."""
    shelf = Snapshots(tmp_path / "shelf")
    with opened(attention_core, snapshots=shelf) as engine:
        plan = engine.plan(asked(), 1)
        shelf.save(engine._key_text(()), plan.prefix, b"not a state at all" * 50)
        told = said(engine, asked())
        expected = cold_logits(engine, asked())
        engine.lanes.forget()

        assert told[1].usage is not None
        assert told[1].usage.reused == 0
        assert distance(logits(engine, asked()), expected) < 1e-3


def test_the_longest_beginning_is_found(tmp_path: Path) -> None:
    shelf = Snapshots(tmp_path)
    for length in (10, 30, 20):
        shelf.save("context", list(range(length)), b"state")
    shelf.save("context", [5, 6, 7], b"another beginning")

    found = shelf.best("context", list(range(25)))
    assert found is not None
    assert found.tokens == list(range(20))
    assert shelf.best("context", list(range(25)), longer_than=20) is None
    assert shelf.best("another context", list(range(25))) is None


def test_a_conversation_that_grew_replaces_its_beginnings_but_not_what_all_begin_with(tmp_path: Path) -> None:
    shelf = Snapshots(tmp_path)
    for length in (10, 15, 20, 30):
        shelf.save("context", list(range(length)), b"state", forget_over=10)

    assert len(shelf.files()) == 2
    kept = [shelf.best("context", list(range(length))) for length in (12, 29, 40)]
    assert [len(found.tokens) for found in kept if found] == [10, 10, 30]


def test_the_longest_unused_goes_when_the_budget_is_spent(tmp_path: Path) -> None:
    shelf = Snapshots(tmp_path, budget_bytes=3500)
    for first in range(3):
        shelf.save("context", [first], bytes(1000))
    used = shelf.best("context", [0])
    assert used is not None
    shelf.load(used)
    shelf.save("context", [3], bytes(1000))

    assert [shelf.best("context", [first]) is not None for first in range(4)] == [True, False, True, True]
    assert shelf.save("context", [4], bytes(4000)) is None, "one that is too large leaves the others alone"
    assert len(shelf.files()) == 3
    assert shelf.clear() == 3
