"""Which core answers: what is offered, in which order, and whether it suits the machine. Numbers stand for machines."""
from __future__ import annotations

from pathlib import Path

import pytest

from tests.test_catalog import GGUF, model
from twin import cores, machine
from twin.catalog import Catalog, Model
from twin.cores import Choice, choices
from twin.machine import Card

SMALL = model(name="small", params=0.5, active=0.5)
MIDDLE = model(name="middle", params=1.5, active=1.5)
LARGE = model(name="large", params=40.0, active=40.0, kv_per_token=2_000_000)  # 17.4 GB at 8192 tokens
EMBEDDER = model(name="vectors", kind="embedder")


@pytest.fixture(autouse=True)
def modest(monkeypatch: pytest.MonkeyPatch) -> None:
    machine_of(monkeypatch, gb=16)


def machine_of(monkeypatch: pytest.MonkeyPatch, gb: int, *cards: Card) -> None:
    for module in (cores, machine):
        monkeypatch.setattr(module, "memory_bytes", lambda: gb * 10**9)
        monkeypatch.setattr(module, "nvidia_cards", lambda: cards)
    monkeypatch.setattr(machine, "processors", lambda: 4)


def shelf(tmp_path: Path, *present: Model) -> Catalog:
    for one in present:
        place = tmp_path / one.name / one.files[0].name
        place.parent.mkdir()
        place.write_bytes(GGUF)
    return Catalog(tmp_path, (SMALL, MIDDLE, LARGE, EMBEDDER))


def named(catalog: Catalog, chosen: str | None = None) -> dict[str, Choice]:
    return {one.name: one for one in choices(catalog, chosen)}


def test_the_recommended_core_comes_first_then_what_is_here_then_the_smaller_ones(tmp_path: Path) -> None:
    assert [one.name for one in choices(shelf(tmp_path, LARGE), None)] == ["middle", "large", "small"]


def test_exactly_one_is_recommended_and_it_is_the_catalogues_own_choice(tmp_path: Path) -> None:
    catalog = shelf(tmp_path)

    assert [one.name for one in choices(catalog, None) if one.recommended] == [catalog.recommend().model.name]


def test_an_embedder_is_no_core_to_choose(tmp_path: Path) -> None:
    assert "vectors" not in named(shelf(tmp_path, EMBEDDER))


def test_without_a_choice_the_best_that_is_here_is_in_use(tmp_path: Path) -> None:
    catalog = shelf(tmp_path, SMALL)

    assert [one.name for one in choices(catalog, None) if one.in_use] == ["small"]
    assert not any(one.in_use for one in choices(Catalog(tmp_path / "none", catalog.models), None))


def test_the_chosen_one_is_in_use_by_its_name_or_by_the_path_of_its_file(tmp_path: Path) -> None:
    catalog = shelf(tmp_path, SMALL, MIDDLE)

    assert named(catalog, "small")["small"].in_use
    assert named(catalog, str(tmp_path / "small" / "tiny.gguf"))["small"].in_use
    assert not any(one.in_use for one in choices(catalog, str(tmp_path / "other.gguf")))


def test_a_core_fits_is_tight_or_too_large_by_the_memory_there_is(tmp_path: Path,
                                                                 monkeypatch: pytest.MonkeyPatch) -> None:
    catalog, needed = shelf(tmp_path), LARGE.memory_gb
    for gb, fit in ((int(needed / 0.6) + 1, "fits"), (int(needed) + 1, "tight"), (int(needed) - 1, "too large")):
        machine_of(monkeypatch, gb)
        assert named(catalog)["large"].fit == fit


def test_what_fits_on_the_cards_fits_whatever_the_machines_own_memory(tmp_path: Path,
                                                                     monkeypatch: pytest.MonkeyPatch) -> None:
    machine_of(monkeypatch, 8, Card("card", 12 * 10**9), Card("card", 12 * 10**9))

    assert named(shelf(tmp_path))["large"].fit == "fits"
