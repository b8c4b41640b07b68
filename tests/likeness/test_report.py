"""The table keeps apart what was not measured and what is undefined; the gate says no in words, with the numbers."""
from __future__ import annotations

import json
import math

import pytest

from twin.likeness import Estimate, Table, gate

GOOD = Estimate(0.31, 0.12, 0.5)


def table() -> Table:
    return (Table("Likeness").put("base", "bits", Estimate(2.5, 2.4, 2.6)).put("own", "bits", Estimate(math.nan))
            .put("own", "copy rate", 0.0).note("20 conversations"))


def test_not_measured_and_undefined_differ_in_every_form() -> None:
    for written in (table().text(), table().markdown()):
        assert written.count("not measured") == 1
        assert written.count("nan") == 1
    rows = json.loads(table().json())["rows"]
    assert rows["base"]["copy rate"] is None
    assert rows["own"]["bits"] == {"value": None, "low": None, "high": None}
    assert rows["own"]["copy rate"] == {"value": 0.0}


def test_a_table_stands_in_line_and_puts_make_new_ones() -> None:
    lines = table().text().splitlines()

    assert lines[0] == "Likeness"
    assert lines[2].index("2.500 [2.400, 2.600]") == lines[1].index("bits")
    assert lines[2].index("not measured") == lines[1].index("copy rate")
    assert lines[-1] == "20 conversations"
    assert Table("empty").text() == "empty\n\n"
    first = Table("t")
    first.put("a", "b", 1)
    assert first.columns == ()


def test_an_adapter_that_passes_all_three_is_on() -> None:
    passed = gate(GOOD, 0.17, 0.02)

    assert passed.on
    assert passed.failed == ()
    assert "0.310 [0.120, 0.500]" in str(passed)
    assert passed.reason["ru"].startswith("Включён")


@pytest.mark.parametrize(("given", "failed", "numbers"), [
    ((Estimate(0.31, -0.01, 0.6), 0.17, 0.0), ("own",), ["0.310 [-0.010, 0.600]"]),
    ((Estimate(0.31, 0.0, 0.6), 0.17, 0.0), ("own",), ["0.310 [0.000, 0.600]"]),
    ((Estimate(0.10, 0.05, 0.15), 0.17, 0.0), ("bar",), ["0.100", "0.170"]),
    ((GOOD, 0.17, 0.021), ("general",), ["0.021", "0.02"]),
    ((Estimate(-0.2, -0.4, 0.1), 0.17, 0.5), ("own", "bar", "general"), ["-0.200", "0.170", "0.500"])])
def test_each_test_can_fail_alone_and_the_reason_has_the_numbers(
        given: tuple[Estimate, float, float], failed: tuple[str, ...], numbers: list[str]) -> None:
    refused = gate(*given)

    assert not refused.on
    assert refused.failed == failed
    assert all(number in reason for number in numbers for reason in refused.reason.values())
    assert refused.reason["en"].startswith("Off")
    assert refused.reason["ru"].startswith("Выключен")


@pytest.mark.parametrize(("given", "failed"), [
    ((None, 0.17, 0.0), ("own",)), ((Estimate(0.4), 0.17, 0.0), ("own",)), ((GOOD, None, 0.0), ("bar",)),
    ((GOOD, math.nan, 0.0), ("bar",)), ((GOOD, 0.17, None), ("general",)), ((GOOD, 0.17, math.nan), ("general",)),
    ((None, None, None), ("own", "bar", "general"))])
def test_what_was_not_measured_does_not_pass(given: tuple[Estimate | None, float | None, float | None],
                                             failed: tuple[str, ...]) -> None:
    refused = gate(*given)

    assert not refused.on
    assert refused.failed == failed
    assert "nan" not in "".join(refused.reason.values())
    assert "measured" in refused.reason["en"]


def test_a_gain_equal_to_the_bar_and_a_cost_equal_to_the_bound_pass() -> None:
    assert gate(Estimate(0.17, 0.1, 0.2), 0.17, 0.02).on
