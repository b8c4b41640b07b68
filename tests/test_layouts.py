"""What fits where, and what would make it fit."""
from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from twin import buffers, cards, layouts, plan_text, shape, speed
from twin.buffers import PROCESSOR, Context
from twin.cards import GIB, Card, Range
from twin.catalog import Catalog
from twin.layouts import Layout, Plan, Want
from twin.shape import Shape

CPU = Card("cpu", 64 * GIB, Range(2e10, 4e10, 6e10), Range(1e11, 2e11, 3e11), True)


def core(name: str) -> Shape:
    return shape.of_known(name, Catalog().model(name).bytes)


def plan(name: str, devices: str, want: Want) -> Plan:
    return layouts.plan(core(name), want, cards.parse(devices, lambda: (CPU,)))


def kinds(made: Plan) -> dict[str, Layout]:
    return {one.kind: one for one in made.layouts}


def test_sixteen_experts_at_300k_on_eight_cards_of_24_gb() -> None:
    """The owner's question: it fits with flash attention, and without it the scores alone are too large."""
    made = plan("qwen3-30b-a3b", "8x24", Want(300_000, 16))
    found = kinds(made)

    assert round(made.shared / 1e9, 1) == 29.5
    assert set(found) == {"one", "layers", "utility", "replicas"}
    assert not any(one.fits for one in made.layouts)
    assert found["layers"].change == {"flash": True}
    assert found["layers"].instead is not None
    assert found["layers"].instead.fits
    assert made.best is not None
    assert made.best.fits
    assert found["one"].change.keys() == {"flash", "context"}


def test_one_core_and_helpers_takes_as_few_cards_as_hold_it() -> None:
    made = kinds(plan("qwen3-8b", "8x24", Want(32_768, 16)))["utility"]
    cards_of = [part for part in made.parts if not part.others]

    assert made.fits
    assert len(cards_of) == 1
    assert [part.others[0] for part in made.parts if part.others] == ["embedder", "router", *["spare"] * 5]


def test_replicas_share_out_the_roles_and_answer_side_by_side() -> None:
    found = kinds(plan("qwen3-8b", "4x24", Want(16_384, 16)))

    assert found["replicas"].fits
    assert found["replicas"].replicas == 4
    assert found["replicas"].speed.council.value > 1.2 * found["one"].speed.council.value


@pytest.mark.parametrize(("devices", "roles"), [("3x24", 1), ("8x24", 8), ("3x24", 4), ("4x24", 2)])
def test_replicas_are_as_many_as_there_are_roles_and_no_slower_than_one_core(devices: str, roles: int) -> None:
    found = kinds(plan("qwen2.5-coder-1.5b", devices, Want(8192, roles)))

    assert ("replicas" in found) == (roles > 1)
    if roles > 1:
        assert found["replicas"].replicas <= roles
        assert found["replicas"].speed.council.value >= found["one"].speed.council.value


def test_cards_with_less_memory_than_their_driver_takes_are_planned_as_useless() -> None:
    made = plan("smollm2-135m", "40x0.5", Want(8192)) if "smollm2-135m" in shape.known() else \
        plan("qwen3-0.6b", "40x0.5", Want(8192))

    assert made.best is None


def test_a_change_names_nothing_that_is_so_already() -> None:
    for want in (Want(300_000, 16, kv="q8_0"), Want(300_000, 16, flash=True)):
        for one in plan("qwen3-30b-a3b", "24", want).layouts:
            assert "flash" not in one.change
            assert one.change.get("kv") != want.kv


def test_where_adapters_are_too_many_fewer_roles_are_offered() -> None:
    made = kinds(plan("qwen2.5-coder-1.5b", "24", Want(8192, 1000, adapters=True)))["one"]

    assert not made.fits
    assert made.instead is not None
    assert 0 < made.change["roles"] < 1000
    assert made.instead.fits


def test_helpers_take_their_room_with_the_ablest_core_that_fits() -> None:
    able = [core("qwen3-32b"), core("qwen3-8b"), core("qwen3-0.6b")]
    made = layouts.plan(core("qwen3-8b"), Want(8192), cards.parse("5x24", lambda: ()), able)
    parts = kinds(made)["utility"].parts

    assert [part.others for part in parts] == [(), ("embedder",), ("router",), ("scorer qwen3-32b",),
                                               ("reflection qwen3-32b",)]
    assert all(part.bytes > 0.5e9 and not part.missing for part in parts)


def test_experts_are_not_split_by_rows() -> None:
    assert "rows" in kinds(plan("qwen3-32b", "2x24", Want(8192)))
    assert "rows" not in kinds(plan("qwen3-30b-a3b", "2x24", Want(8192)))


def test_what_does_not_fit_on_cards_begins_on_the_processor() -> None:
    made = kinds(plan("qwen3-32b", "12,cpu", Want(8192)))
    both = made["both"]

    assert not made["one"].fits
    assert both.fits
    assert 0 < both.placement.n_gpu_layers < 64
    assert sum(part.layers for part in both.parts) == 65
    assert both.speed.decode.value < made["one"].speed.decode.value


def test_the_smallest_change_is_named_and_makes_it_fit() -> None:
    for want, devices in ((Want(131_072, 4), "24"), (Want(262_144, 4), "2x24"), (Want(32_768, 4), "8,cpu32")):
        made = plan("qwen3-8b", devices, want)
        for one in made.layouts:
            if one.change:
                assert one.instead is not None
                assert one.instead.fits
                assert one.instead.want == replace(want, **one.change)


def test_nothing_helps_where_the_weights_alone_are_too_large() -> None:
    made = plan("qwen3-32b", "8", Want(8192))

    assert made.best is None
    assert made.layouts[0].change == {}
    assert plan_text.chosen(made).startswith("Nothing fits")


def test_adapters_take_their_room_and_plain_ones_would_take_the_context_again() -> None:
    bare, with_loras = (plan("qwen3-8b", "24", Want(8192, 16, adapters)) for adapters in (False, True))

    assert bare.adapter_bytes == 0
    assert with_loras.adapter_bytes > 16 * 50e6
    assert with_loras.layouts[0].parts[0].bytes > bare.layouts[0].parts[0].bytes
    assert with_loras.apart == 16 * with_loras.shared


@settings(max_examples=25)
@given(st.lists(st.sampled_from([6, 8, 12, 16, 24, 48, 80]), min_size=1, max_size=9),
       st.sampled_from(["qwen3-0.6b", "qwen3-14b", "qwen3-30b-a3b", "qwen2.5-3b"]),
       st.integers(1024, 400_000), st.integers(1, 40), st.booleans())
def test_every_layout_holds_the_whole_core_and_says_honestly_whether_it_fits(
        sizes: list[int], name: str, context: int, roles: int, processor: bool) -> None:
    whole = core(name)
    devices = ",".join(map(str, sizes)) + (",cpu" if processor else "")
    made = layouts.plan(whole, Want(context, roles), cards.parse(devices, lambda: (CPU,)))

    for one in made.layouts:
        weights = sum(part.load.weights for part in one.parts)
        host = 0 if processor else whole.input_bytes  # the embedding lies in memory that the plan was not told of
        assert weights >= (whole.bytes - host) * (one.replicas if one.kind == "replicas" else 1) * 0.8
        assert one.fits == all(part.bytes <= part.card.room for part in one.parts)
        assert one.speed.decode.low <= one.speed.decode.value <= one.speed.decode.high
        assert one.speed.prefill.low <= one.speed.prefill.value <= one.speed.prefill.high
        if one.kind in ("one", "layers", "processor", "both"):
            assert sum(part.layers for part in one.parts) == len(whole.layers) + 1 or not processor
    assert [one.fits for one in made.layouts] == sorted((one.fits for one in made.layouts), reverse=True)


def test_more_context_and_wider_caches_never_take_less() -> None:
    whole = core("qwen3-4b")
    where = (PROCESSOR,) * (len(whole.layers) + 1)
    totals = [buffers.loads(whole, Context(n, kv=kv, flash=True), where)[PROCESSOR].total
              for n in (4096, 32_768, 262_144) for kv in ("q4_0", "q8_0", "f16", "f32")]

    assert totals == sorted(totals)


# ---- speed -----------------------------------------------------------------------------------------------------------

def test_a_core_with_fewer_active_weights_writes_faster_and_a_longer_context_slower() -> None:
    card = cards.parse("RTX 4090", lambda: ())

    def decode(name: str, at: int = 2048) -> float:
        whole = core(name)
        return speed.expect(whole, Context(65_536, flash=True), card, (0,) * (len(whole.layers) + 1),
                            at=at).decode.value

    assert decode("qwen3-30b-a3b") > 2 * decode("qwen3-32b")
    assert decode("qwen3-8b", 65_536) < decode("qwen3-8b", 1024)


def test_no_prediction_exceeds_what_the_bandwidth_allows() -> None:
    whole, card = core("qwen3-8b"), cards.parse("RTX 4090", lambda: ())
    expected = speed.expect(whole, Context(8192), card, (0,) * (len(whole.layers) + 1))

    assert expected.decode.high < card[0].bandwidth.high / whole.active_bytes


# ---- words -----------------------------------------------------------------------------------------------------------

@pytest.mark.parametrize("language", ["en", "ru"])
def test_a_plan_is_told_in_both_languages_with_a_table_and_a_picture(language: str) -> None:
    made = plan("qwen3-30b-a3b", "24,24,12,cpu", Want(300_000, 16, True))
    rows = plan_text.table(made, language)
    page = plan_text.markdown(made, language)

    assert {len(row) for row in rows} == {7}
    assert len(rows) == 1 + len(made.layouts)
    assert "29.5" in page
    assert "█" in page
    assert "{" not in page
    for one in made.layouts:
        for line in plan_text.picture(one, language)[1:-1]:
            assert len(line) < 120
