"""Devices in words."""
from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from twin import cards
from twin.cards import GIB, Card, Range
from twin.errors import UsageError
from twin.placement import Device

CPU = Card("cpu", 64 * GIB, Range(2e10, 4e10, 6e10), Range(1e11, 2e11, 3e11), True)
OWN = Card("RTX 3060", 12 * GIB, Range(3.6e11, 3.6e11, 3.6e11), Range(2.5e13, 2.5e13, 2.5e13))


def parse(said: str) -> tuple[Card, ...]:
    return cards.parse(said, lambda: (OWN, CPU))


def test_the_forms_of_the_issue_are_understood() -> None:
    assert [card.bytes for card in parse("8x24")] == [24 * GIB] * 8
    assert [card.bytes // GIB for card in parse("24,24,12,cpu")] == [24, 24, 12, 64]
    assert parse("24,24,12,cpu")[-1].processor
    assert parse("auto") == (OWN, CPU)
    assert [card.name for card in parse("2xRTX 4090, cpu64")] == ["0: RTX 4090", "1: RTX 4090", "cpu"]
    assert parse("cpu, 24")[-1].processor  # the processor comes last
    assert parse("2х16 ГБ") == parse("2x16")
    assert [card.bytes // GIB for card in parse("2x4090,rtx3060")] == [24, 24, 12]


@pytest.mark.parametrize("said", ["", "0", "cpu,cpu", "banana", "99x99", "24,", "24,,12", "-8", "1e9", "0x24",
                                  "cpufoo", "cpu0"])
def test_what_names_no_devices_is_refused(said: str) -> None:
    with pytest.raises(UsageError):
        parse(said)


@given(st.text(max_size=30))
def test_no_words_do_more_than_be_refused(said: str) -> None:
    try:
        found = parse(said)
    except UsageError:
        return
    assert found
    assert sum(card.processor for card in found) <= 1
    assert all(card.bytes > 0 for card in found)


def test_a_card_of_which_only_its_size_is_known_is_a_range_over_such_cards() -> None:
    card = cards.of_size(24)

    assert card.bandwidth.low == 300e9
    assert card.bandwidth.high == 1008e9
    assert card.bandwidth.low < card.bandwidth.value < card.bandwidth.high
    assert card.room < card.bytes


def test_a_live_device_is_known_by_what_its_driver_says() -> None:
    card = cards.card(Device("CUDA0", "NVIDIA GeForce RTX 4090", "gpu", 20 * GIB, 24 * GIB))

    assert card.bandwidth.value == 1008e9
    assert card.device == "CUDA0"
    assert cards.card(Device("CUDA0", "NVIDIA L40S", "gpu", 1, 48 * GIB)).bandwidth.value == 864e9
    assert cards.card(Device("CUDA2", "NVIDIA A100-SXM4-80GB", "gpu", 1, 80 * GIB)).bandwidth.value == 2039e9
    assert cards.card(Device("CUDA2", "NVIDIA A100-SXM4-40GB", "gpu", 1, 40 * GIB)).bandwidth.value == 1555e9
    assert parse("A100 80GB")[0].bytes == 80 * GIB
    assert parse("RTX 3080 12GB")[0].bytes == 12 * GIB
    assert cards.card(Device("CUDA1", "NVIDIA H100 80GB HBM3", "gpu", 1, 80 * GIB)).bandwidth.value == 3350e9
    assert cards.card(Device("X0", "Some Card", "gpu", 1, 24 * GIB)).bandwidth == cards.of_size(24).bandwidth


def test_this_machine_tells_what_its_processor_does() -> None:
    card = cards.processor()

    assert card.processor
    assert card.bandwidth.value > 1e8
    assert card.flops.value > 1e8
