"""Pictures by the object interface: every number with its n, both languages, nothing global, words never a formula."""
from __future__ import annotations

import io
import re
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from tests.test_report import LANGUAGES, claim, rich
from tests.test_timeline import asked
from twin import plots
from twin.person import Profile

DRAWN: list[Callable[[Profile], Any]] = [plots.levels, plots.timeline, plots.facets]


def texts(figure: Any) -> str:
    """Every text of a figure that is shown."""
    from matplotlib.text import Text

    figure.canvas.draw()
    return "\n".join(text.get_text() for text in figure.findobj(Text) if text.get_visible() and text.get_text())


@pytest.mark.parametrize("draw", DRAWN)
@pytest.mark.parametrize("language", LANGUAGES)
def test_every_picture_names_its_n_in_its_language(draw: Callable[[Profile], Any], language: str) -> None:
    shown = texts(draw(rich(language)))

    assert re.search(r"\bn=\d", shown)
    assert bool(re.search("[а-я]{4}", shown)) == (language == "ru")


@pytest.mark.parametrize("draw", DRAWN)
@pytest.mark.parametrize("language", LANGUAGES)
def test_an_empty_profile_gives_a_picture_that_says_so(draw: Callable[[Profile], Any], language: str) -> None:
    shown = " ".join(texts(draw(Profile((), (), 9, 4, 2, language=language))).split())

    says = {"en": "Nothing to draw yet; own messages: 4", "ru": "Рисовать пока нечего; твоих сообщений: 4"}
    assert shown.startswith(says[language])


@pytest.mark.parametrize("draw", DRAWN)
def test_no_text_leaves_the_picture_or_lies_on_another_of_its_kind(draw: Callable[[Profile], Any]) -> None:
    """Labels are measured as drawn, in the language with the longer words."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    figure = draw(rich("ru"))
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    drawn = figure.get_tightbbox(canvas.get_renderer())
    width, height = figure.get_size_inches()
    assert min(drawn.x0, drawn.y0) >= -0.01 and drawn.x1 <= width + 0.01 and drawn.y1 <= height + 0.01
    for axes in figure.axes:
        boxes = [label.get_window_extent() for label in axes.get_yticklabels()]
        assert boxes and not [n for n, one in enumerate(boxes) if any(one.overlaps(box) for box in boxes[n + 1:])]


def test_the_facets_carry_rate_interval_and_the_people_compared_with() -> None:
    figure: Any = plots.facets(rich("en"))
    (axes,) = figure.axes
    intervals = [tuple(line.get_xdata()) for line in axes.lines if len(line.get_xdata()) == 2]

    assert intervals == [(7.000000000000001, 20.0)] * 2
    assert all(f"n=9; low end above {more} of 20 others" in texts(figure) for more in (19, 3))


def test_without_comparison_the_rate_is_of_messages_and_says_so() -> None:
    made = replace(rich("en"), claims=(claim("looks_for_core", "en", 0),))

    assert "% of your own messages" in texts(plots.facets(made)) and "others" not in texts(plots.facets(made))


def test_the_months_are_a_scale_and_many_of_them_stay_readable() -> None:
    """A year without a question is a gap, not a step; sixteen years do not print 192 names."""
    gap = replace(rich("en"), questions=(asked(3, "2023-01"), asked(5, "2025-01", 1)), claims=())
    figure: Any = plots.timeline(gap)
    (axes,) = figure.axes
    places = axes.lines[0].get_xdata()
    assert places[1] - places[0] == 24

    long = [asked(1 + n % 7, f"20{10 + n % 16}-{1 + n % 12:02}", n) for n in range(500)]
    (axes,) = plots.timeline(replace(gap, questions=tuple(long))).axes
    assert len(axes.get_xticks()) <= 12 and not axes.texts


@pytest.mark.filterwarnings("error")
def test_dollars_and_letters_without_a_glyph_are_words() -> None:
    text = "It costs $x^2$ or $y_1$ 漢字 \x07."
    made = replace(rich("en"), claims=(replace(claim("looks_for_core", "en", 0), text=text),))
    for draw in DRAWN:
        plots.svg(draw(made))

    (label,) = plots.facets(made).axes[0].get_yticklabels()
    assert label.get_text() == "It costs \\$x^2\\$ or \\$y_1\\$ 漢字 \ufffd."


def test_equal_profiles_give_equal_bytes_and_svg_loads_nothing() -> None:
    first, second = (plots.svg(plots.levels(rich("ru"))) for _ in range(2))

    assert first == second and first.lstrip().startswith(b"<?xml")
    assert not re.search(rb"<image|<script|href=\"(?!#)", first)


def test_a_figure_is_of_matplotlib_and_shows_itself_in_a_notebook() -> None:
    out = io.BytesIO()
    plots.levels(rich("en")).savefig(out, format="png")

    assert out.getvalue().startswith(b"\x89PNG")


def test_no_window_and_no_global_state() -> None:
    script = ("import sys; from twin import plots; from twin.person import Profile; "
              "plots.svg(plots.levels(Profile((), (), 0, 0, 0))); print('matplotlib.pyplot' in sys.modules)")
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)

    assert done.stdout.strip() == "False"
