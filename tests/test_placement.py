"""A plan for eight cards must still answer on seven, on one, and on none, and say what it changed."""
from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from twin.errors import UsageError
from twin.placement import Device, Placement, fit

NAMES = [f"CUDA{i}" for i in range(8)]
CPU = Device("CPU", "processor", "cpu", 1 << 30, 1 << 31)
SERVERS = ("127.0.0.1:5001", "127.0.0.1:5002")


def card(name: str, server: str = "") -> Device:
    return Device(name, "card", "gpu", 1 << 33, 1 << 34, server)


@st.composite
def plans(draw: st.DrawFn) -> Placement:
    devices = tuple(draw(st.lists(st.sampled_from(NAMES), unique=True, min_size=1)))
    parts = st.lists(st.floats(0.01, 100), min_size=len(devices), max_size=len(devices))
    return Placement(
        n_gpu_layers=draw(st.integers(-1, 80)), devices=devices, main_gpu=draw(st.integers(0, len(devices) - 1)),
        split_mode=draw(st.sampled_from(["none", "layer", "row"])), tensor_split=tuple(draw(st.just([]) | parts)),
        flash_attention=draw(st.sampled_from(["off", "on", "auto"])),
        kv_type=draw(st.sampled_from(["f16", "q8_0", "q4_0", "f32"])))


machines = st.lists(st.sampled_from(NAMES), unique=True).map(lambda names: [CPU, *map(card, names)])


@given(plans(), machines)
def test_a_fitted_plan_names_only_what_is_alive_in_the_order_of_the_plan(plan: Placement, live: list[Device]) -> None:
    fitted, _ = fit(plan, live)

    alive = [name for name in plan.devices if name in {device.name for device in live}]
    assert fitted.devices == (tuple(alive) if plan.n_gpu_layers else ())
    assert (fitted.n_gpu_layers == 0) == (not fitted.devices)
    assert fitted.n_gpu_layers in (0, plan.n_gpu_layers)


@given(plans(), machines)
def test_the_parts_of_those_left_keep_their_proportions(plan: Placement, live: list[Device]) -> None:
    fitted, _ = fit(plan, live)

    if not plan.tensor_split or not fitted.devices:
        assert fitted.tensor_split == ()
        return
    planned = dict(zip(plan.devices, plan.tensor_split, strict=True))
    whole = sum(planned[name] for name in fitted.devices)
    assert [part / sum(fitted.tensor_split) for part in fitted.tensor_split] == pytest.approx(
        [planned[name] / whole for name in fitted.devices])
    assert len(fitted.devices) == len(plan.devices) or sum(fitted.tensor_split) == pytest.approx(1)


@given(plans(), machines)
def test_the_main_card_stays_the_main_card_while_it_is_alive(plan: Placement, live: list[Device]) -> None:
    fitted, _ = fit(plan, live)

    main = plan.devices[plan.main_gpu]
    if main in fitted.devices:
        assert fitted.devices[fitted.main_gpu] == main
    else:
        assert fitted.main_gpu == 0


@given(plans(), machines)
def test_nothing_is_changed_without_a_word_and_a_fitted_plan_fits(plan: Placement, live: list[Device]) -> None:
    fitted, notes = fit(plan, live)

    assert fit(fitted, live) == (fitted, ())
    if plan.n_gpu_layers and set(plan.devices) - set(fitted.devices):
        assert any("planned" in note for note in notes)
    assert (fitted.flash_attention != plan.flash_attention) == any("flash attention" in note for note in notes)


@given(plans(), machines)
def test_a_quantised_cache_never_comes_without_flash_attention(plan: Placement, live: list[Device]) -> None:
    """llama.cpp refuses that context, long after the weights were loaded."""
    fitted, _ = fit(plan, live)

    assert fitted.kv_type == plan.kv_type
    assert fitted.flash_attention == "on" or fitted.kv_type in ("f16", "f32")


def test_one_of_two_cards_is_there_and_the_note_says_which_and_what_goes_where() -> None:
    plan = Placement(servers=SERVERS, tensor_split=(1, 3))
    fitted, notes = fit(plan, [CPU, card("RPC0", SERVERS[0])])

    assert (fitted.devices, fitted.tensor_split) == (("RPC0",), (1.0,))
    assert notes == ("2 devices were planned, 1 is there: RPC0; layers that were on RPC1 (127.0.0.1:5002) go there.",)


def test_a_worker_keeps_its_name_and_its_part_when_the_one_before_it_is_lost() -> None:
    fitted, notes = fit(Placement(servers=SERVERS, tensor_split=(1, 3)), [CPU, card("RPC1", SERVERS[1])])

    assert (fitted.devices, fitted.tensor_split) == (("RPC1",), (1.0,))
    assert "RPC0 (127.0.0.1:5001)" in notes[0]


def test_none_left_is_the_processor_and_a_machine_that_never_had_a_card_is_no_news() -> None:
    lost, notes = fit(Placement(servers=SERVERS), [CPU])
    plain, silence = fit(Placement(), [CPU])

    assert lost.n_gpu_layers == plain.n_gpu_layers == 0
    assert "none is there" in notes[0]
    assert "processor" in notes[0]
    assert silence == ()


def test_without_names_workers_come_first_and_an_integrated_card_only_where_there_is_no_other() -> None:
    own, shared = card("CUDA0"), Device("Vulkan0", "in the processor", "igpu", 1, 1)
    worker = card("RPC0", SERVERS[0])

    assert fit(Placement(servers=SERVERS[:1]), [CPU, shared, own, worker])[0].devices == ("RPC0", "CUDA0")
    assert fit(Placement(), [CPU, shared])[0].devices == ("Vulkan0",)


def test_a_split_for_another_number_of_cards_is_given_up_by_name() -> None:
    fitted, notes = fit(Placement(tensor_split=(1, 3)), [CPU, card("CUDA0")])

    assert fitted.tensor_split == ()
    assert "1:3" in notes[0]


def test_a_core_pinned_to_a_lost_card_says_where_it_went() -> None:
    plan = Placement(split_mode="none", main_gpu=1, devices=("CUDA0", "CUDA1"))
    fitted, notes = fit(plan, [CPU, card("CUDA0")])

    assert fitted.main_gpu == 0
    assert any("runs on CUDA0" in note for note in notes)


@pytest.mark.parametrize("wrong", [
    {"n_gpu_layers": -2}, {"main_gpu": -1}, {"main_gpu": 2, "devices": ("A", "B")}, {"devices": ("A", "A")},
    {"tensor_split": (1.0,), "devices": ("A", "B")}, {"tensor_split": (0.0, 0.0)}, {"tensor_split": (-1.0, 2.0)},
    {"tensor_split": (float("nan"), 1.0)}, {"servers": ("127.0.0.1",)}, {"servers": ("host:port",)}])
def test_a_plan_that_contradicts_itself_is_refused_by_name(wrong: dict[str, Any]) -> None:
    with pytest.raises(UsageError, match=r"cannot be"):
        Placement(**wrong)
