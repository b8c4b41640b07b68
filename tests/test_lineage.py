"""The lineage of a run: a line for each map with its gain and why it died, drawn and told without raw markup."""
from __future__ import annotations

import xml.etree.ElementTree as ET
from pathlib import Path

import numpy as np
import pytest

from tests.test_evolution import GOOD, Drawer, Torn, op, search
from twin import lineage, plots
from twin.errors import UsageError
from twin.genome import Genome, Plan, Run, recalled
from twin.lineage import STATES, Lineage


@pytest.fixture(scope="module")
def run() -> Run:
    return search(3000, moves=GOOD, score=Torn(), way="evolution", plan=Plan(patience=0, alive=4))


def hostile() -> Run:
    """A root and a child whose operation holds what could be taken for markup or a formula."""
    root = Genome("a" * 64, 0, "", "root", (), (0.0, 0.0), 10)
    operation = op(op="add_routing_example", role="critic", text="is a < b & c, or $x_1$ & 'quoted'")
    child = Genome("b" * 64, 1, root.version, "<img src=x>", (operation,), (1.0, 0.0), 10)
    return Run("r", "evolution", 0, Plan(), "router", (root, child))


def test_every_map_has_a_line_with_its_gain_and_what_became_of_it(run: Run) -> None:
    lines = Lineage(run).lines

    assert [one.number for one in lines] == list(range(len(run.genomes)))
    assert [one.gain for one in lines] == [run.gain(one) for one in run.genomes]
    assert all(one.parent is not None and one.parent < one.number for one in lines[1:])
    assert lines[0].parent is None
    assert [one.state for one in lines].count("best") == 1
    assert all("died" in one.fate for one in lines if one.state not in ("best", "front"))


def test_a_death_names_who_is_better(run: Run) -> None:
    by = {one.version: place for place, one in enumerate(run.genomes)}
    dominated = [(one, run.fates[genome.version]) for one, genome in zip(Lineage(run).lines, run.genomes, strict=True)
                 if one.state == "dominated"]

    assert dominated
    for line, fate in dominated:
        assert f"died: {by[fate.other]} is nowhere worse" in line.fate


def test_the_way_to_the_best_is_marked(run: Run) -> None:
    leading = [one for one in Lineage(run).lines if one.leads]

    assert leading[0].number == 0
    assert {one.state for one in leading} >= {"best"}
    assert all(one.parent in {other.number for other in leading} for one in leading[1:])


def test_it_is_told_in_both_languages(run: Run) -> None:
    english, russian = str(Lineage(run)), str(Lineage(run, "ru"))

    assert "What counts is the proof" in english
    assert "Считается только доказательство" in russian
    assert len(english.splitlines()) == len(russian.splitlines()) == len(run.genomes) + 2


def test_it_is_drawn_with_a_mark_a_map_coloured_by_its_end(run: Run) -> None:
    figure = Lineage(run).figure()
    axes = figure.axes[0]
    marks = {mark.get_label(): len(np.asarray(mark.get_offsets())) for mark in axes.collections}

    assert sum(marks.values()) == len(run.genomes)
    assert len(marks) == len({fate.state for fate in run.fates.values()})
    assert len({tuple(mark.get_facecolor()[0]) for mark in axes.collections}) == len(marks)
    assert len(axes.lines) == len(run.genomes) - 1 + 1  # and the root's height


def test_the_picture_is_a_file_svg_or_png(tmp_path: Path) -> None:
    run = hostile()
    svg = Lineage(run).save(tmp_path / "tree.svg").read_bytes()
    png = Lineage(run).save(tmp_path / "tree.png").read_bytes()

    assert ET.fromstring(svg).tag.endswith("svg")  # noqa: S314 - our own picture
    assert png.startswith(b"\x89PNG")
    assert Lineage(run).save(tmp_path / "again.svg").read_bytes() == svg
    for job in (Lineage(run).save, lineage.suffix):  # the second before anything is searched
        with pytest.raises(UsageError, match=r"\.svg or \.png"):
            job(tmp_path / "tree.gif")


def test_a_notebook_gets_no_raw_text_as_markup() -> None:
    shown = Lineage(hostile())._repr_html_()

    assert "<img src=x>" not in shown
    assert "&lt;img src=x&gt;" in shown
    assert "a < b" not in shown
    assert Lineage(hostile())._repr_png_().startswith(b"\x89PNG")


def test_a_long_run_tells_the_first_and_counts_the_rest() -> None:
    nodes = [plots.Node(n, (n - 1,) if n else (), n / 10, 0, f"number {n}") for n in range(130)]
    figure = plots.tree(nodes, [("all", "#000000")], "title", "gain", "order", "and {n} more")
    texts = [text.get_text() for text in figure.axes[1].texts]

    assert len(texts) == 81
    assert texts[-1] == "and 50 more"


def test_a_kept_run_is_drawn_like_the_run_itself(run: Run) -> None:
    drawer = Drawer()
    for one in run.genomes:
        drawer.save_genome(run.id, run.row(one))

    assert str(Lineage(recalled(drawer, run.id))) == str(Lineage(run))


def test_every_state_has_its_words_and_its_colour() -> None:
    assert len(STATES) == len(lineage._COLOURS) == len(set(lineage._COLOURS))
    for words in lineage._WORDS.values():
        assert {*STATES, *(f"why {state}" for state in STATES)} <= words.keys()
    assert lineage._WORDS["en"].keys() == lineage._WORDS["ru"].keys()
