"""What a plan says a core takes, beside what llama.cpp itself says it would take."""
from __future__ import annotations

from pathlib import Path

import pytest

from tests import headers, tiny
from tests.breakdown import accounts
from tests.conftest import core_path
from tests.engine.rpc import Worker, four, workers  # noqa: F401 - fixtures
from twin import buffers, layouts, shape
from twin.buffers import PROCESSOR, Context
from twin.engine import devices
from twin.placement import Placement, fit

CONTEXTS = (Context(8192), Context(8192, kv="q8_0", flash=True), Context(131072, flash=True), Context(32768, 512))


def near(said: int, measured: int, share: float) -> bool:
    return abs(said - measured) <= share * measured


def compare(path: Path, contexts: tuple[Context, ...] = CONTEXTS) -> None:
    core = shape.read(path)
    where = (PROCESSOR,) * (len(core.layers) + 1)
    for context, account in zip(contexts, accounts(path, contexts), strict=True):
        said, measured = buffers.loads(core, context, where)[PROCESSOR], account.loads["CPU"]
        assert near(said.weights, measured.weights, 0.01), context
        assert said.kv == measured.kv, context
        assert near(said.total, measured.total, 0.05), context
        assert near(said.compute, measured.compute, 0.10), context


@pytest.mark.parametrize("size", headers.QWEN3)
def test_a_plan_agrees_with_llama_cpp_on_shapes_of_qwen3(size: str, tmp_path: Path) -> None:
    compare(headers.write(tmp_path / "core.gguf", headers.QWEN3[size]))


def test_a_plan_agrees_with_llama_cpp_on_smollm2() -> None:
    compare(core_path("smollm2-135m"))


@pytest.mark.qwen
def test_a_plan_agrees_with_llama_cpp_on_qwen() -> None:
    compare(core_path("qwen2.5-coder-1.5b"))


def test_windows_are_planned_whole_as_the_engine_keeps_them_and_short_where_asked(tmp_path: Path) -> None:
    path = headers.write(tmp_path / "core.gguf", headers.GEMMA3)
    compare(path, (Context(8192), Context(131072, flash=True), Context(131072, windows=True)))
    core = shape.read(path)

    assert sum(layer.window == 1024 for layer in core.layers) == 29
    assert buffers.kv(core, Context(131072, windows=True)) < 0.5 * buffers.kv(core, Context(131072))


def test_a_recurrent_core_is_planned_with_a_state_for_each_sequence(tmp_path: Path) -> None:
    path = tiny.core(tmp_path / "core.gguf", "qwen35", n_layer=4)
    core, context = shape.read(path), Context(1024, n_seq=20)
    measured = accounts(path, [context])[0].loads["CPU"]

    assert core.recurrent
    assert buffers.kv(core, context) == measured.kv


def test_sixteen_roles_share_29_5_gb_of_300k_tokens_on_30b_a3b(tmp_path: Path) -> None:
    core = shape.read(headers.write(tmp_path / "core.gguf", headers.QWEN3["30B-A3B"]))
    made = layouts.plan(core, layouts.Want(300_000, 16), ())

    assert round(made.shared / 1e9, 1) == 29.5
    assert round(made.apart / 1e9) == 472


def test_the_rule_that_spreads_layers_is_llama_cpps(tmp_path: Path) -> None:
    assert buffers.spread(28, (1, 3)).count(0) == 8
    assert buffers.spread(28, (1.0,)) == (0,) * 29
    assert buffers.spread(4, (1, 1), 3) == (PROCESSOR, PROCESSOR, 0, 0, 1)


@pytest.mark.parametrize("split", [(1.0, 3.0), (13.0, 12.0, 12.0, 12.0)], ids=["two", "four"])
def test_each_of_several_devices_takes_what_was_planned(split: tuple[float, ...], four: list[Worker],  # noqa: F811
                                                        tmp_path: Path) -> None:
    """Layers, weights, keys and values, and scratch space, read back from llama.cpp, device by device."""
    size = "0.6B" if len(split) == 2 else "30B-A3B"
    path = headers.write(tmp_path / "core.gguf", headers.QWEN3[size])
    core = shape.read(path)
    wanted = Placement(servers=tuple(worker.server for worker in four[:len(split)]), tensor_split=split)
    placement, _ = fit(wanted, devices.live(wanted))
    where = buffers.spread(len(core.layers), split)
    contexts = (Context(8192), Context(131072, 512, flash=True))
    for context, account in zip(contexts, accounts(path, contexts, placement), strict=True):
        said = buffers.loads(core, context, where)
        names = {f"RPC{i}": _of(account.loads, server) for i, server in enumerate(wanted.servers)}
        order = {name: i for i, name in enumerate(dict.fromkeys(account.layers))}  # llama.cpp counts all it has met
        assert tuple(order[name] for name in account.layers) == where
        for i, measured in enumerate(names.values()):
            assert said[i].weights == measured.weights
            assert said[i].kv == measured.kv
            assert near(said[i].compute, measured.compute, 0.10)
        assert near(sum(load.total for load in said.values()), account.total, 0.05)


def _of(loads: dict[str, buffers.Load], server: str) -> buffers.Load:
    return next(load for name, load in loads.items() if server in name)
