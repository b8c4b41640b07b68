"""The table of a likeness, and the gate: whether an adapter may be on, with the reason in words.

A cell that was not measured and one that came out undefined (NaN) are told apart everywhere.
"""
from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, field

from twin.likeness.intervals import Estimate

NOT_MEASURED, UNDEFINED = "not measured", "nan"
COST = 0.02  # bits a character that an adapter may cost on general text

Cell = Estimate | float | int | str | None


@dataclass(frozen=True)
class Table:
    """Conditions by measures. `put` gives a new table with the cell in it; what was never put was not measured."""

    title: str
    notes: tuple[str, ...] = ()
    cells: Mapping[str, Mapping[str, Cell]] = field(default_factory=dict)
    columns: tuple[str, ...] = ()

    def put(self, row: str, column: str, cell: Cell) -> Table:
        """With this cell. Rows and columns stand in the order in which they first came."""
        columns = self.columns if column in self.columns else (*self.columns, column)
        cells = {**self.cells, row: {**self.cells.get(row, {}), column: cell}}
        return Table(self.title, self.notes, cells, columns)

    def note(self, line: str) -> Table:
        """With a line below it."""
        return Table(self.title, (*self.notes, line), self.cells, self.columns)

    def text(self) -> str:
        """For a terminal: columns in line."""
        rows = [["", *self.columns], *self._rows()]
        widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
        lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]
        return "\n".join([self.title, *lines, *self.notes]) + "\n"

    def markdown(self) -> str:
        """As a Markdown table."""
        rows = [["", *self.columns], ["-"] * (len(self.columns) + 1), *self._rows()]
        lines = ["| " + " | ".join(cell.replace("|", r"\|") for cell in row) + " |" for row in rows]
        return "\n".join([f"**{self.title}**", "", *lines, "", *self.notes]).rstrip() + "\n"

    def plain(self) -> dict[str, object]:
        """As JSON holds it: null was not measured; an undefined figure is an object whose value is null."""
        rows = {row: {column: _plain(cells.get(column)) for column in self.columns}
                for row, cells in self.cells.items()}
        return {"title": self.title, "columns": list(self.columns), "rows": rows, "notes": list(self.notes)}

    def json(self) -> str:
        """`plain` as text."""
        return json.dumps(self.plain(), ensure_ascii=False, indent=1, allow_nan=False)

    def _rows(self) -> list[list[str]]:
        return [[row, *(_said(cells.get(column)) for column in self.columns)] for row, cells in self.cells.items()]

    def _repr_markdown_(self) -> str:
        return self.markdown()


def _said(cell: Cell) -> str:
    if cell is None:
        return NOT_MEASURED
    if isinstance(cell, float):
        return UNDEFINED if math.isnan(cell) else f"{cell:.3f}"
    return str(cell)


def _plain(cell: Cell) -> object:
    if isinstance(cell, Estimate):
        return {name: _number(value) for name, value in cell._asdict().items()}
    return {"value": _number(cell)} if isinstance(cell, float) else cell


def _number(value: float) -> float | None:
    return None if math.isnan(value) else round(value, 6)


# ---- the gate -------------------------------------------------------------------------------------------------------

@dataclass(frozen=True)
class Gate:
    """Whether an adapter may be on, which of the tests it failed ('own', 'bar', 'general'), and why, in both languages.
    """

    on: bool
    failed: tuple[str, ...]
    reason: Mapping[str, str]

    def __str__(self) -> str:
        return self.reason["en"]


_WORDS: Mapping[str, Mapping[str, str]] = {
    "en": {
        "on": "On: it foresees these words better than another person's adapter by {gain} bits a character, where "
              "compression gains {bar}, and on general text it costs {cost}.",
        "off": "Off: {reasons}.",
        "own": "it does not reliably beat another person's adapter ({gain} bits a character; the lower bound must be "
               "above 0)",
        "bar": "it beats another person's adapter by {gain} bits a character, less than the {bar} that plain text "
               "compression gains from the same words",
        "general": "on general text it costs {cost} bits a character, more than the {most} allowed",
        "own?": "it was not measured against another person's adapter, or on too few conversations to tell",
        "bar?": "what plain text compression gains from these words was not measured",
        "general?": "what it costs on general text was not measured"},
    "ru": {
        "on": "Включён: эти слова он предсказывает лучше чужого адаптера на {gain} бит на знак, простое сжатие "
              "выигрывает {bar}, на общем тексте он стоит {cost}.",
        "off": "Выключен: {reasons}.",
        "own": "он не лучше чужого адаптера с уверенностью ({gain} бит на знак; нижняя граница должна быть выше 0)",
        "bar": "он лучше чужого адаптера на {gain} бит на знак, а простое сжатие выигрывает на тех же словах {bar}",
        "general": "на общем тексте он стоит {cost} бит на знак, больше допустимых {most}",
        "own?": "он не измерен против чужого адаптера или измерен на слишком малом числе разговоров",
        "bar?": "не измерено, сколько на этих словах выигрывает простое сжатие",
        "general?": "не измерено, сколько он стоит на общем тексте"},
}


def gate(gain: Estimate | None, lzma_gain: float | None, general_cost: float | None, *, most: float = COST) -> Gate:
    """On only where all three hold: `gain`, the bits a character that the own adapter saves against another person's on
    the same held-out words, has its lower bound above 0; it is at least `lzma_gain` (compression.gain on the same
    words); `general_cost`, bits a character on general text with the adapter less without, is at most `most`.

    What was not measured (None), or is undefined (NaN), does not pass.
    """
    value, low = (gain.value, gain.low) if gain else (math.nan, math.nan)
    bar, cost = _known(lzma_gain), _known(general_cost)
    failed = {"own": _fault(low, low > 0), "bar": _fault(bar, not value < bar), "general": _fault(cost, cost <= most)}
    names = [name + mark for name, mark in failed.items() if mark != "passed"]
    figures = {"gain": str(gain), "bar": f"{bar:.3f}", "cost": f"{cost:.3f}", "most": f"{most:.2f}"}
    reason = {}
    for tongue, words in _WORDS.items():
        why = "; ".join(words[name].format(**figures) for name in names)
        reason[tongue] = words["off"].format(reasons=why) if names else words["on"].format(**figures)
    return Gate(not names, tuple(name.rstrip("?") for name in names), reason)


def _known(value: float | None) -> float:
    return math.nan if value is None else value


def _fault(measured: float, passed: bool) -> str:
    """'passed', '' for a test that failed, '?' for one that was not measured."""
    return "?" if math.isnan(measured) else "passed" if passed else ""
