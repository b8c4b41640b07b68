"""The lineage of a run of evolution: a line for each map that was tried - what it gained, and why it died - and a tree.

For the notebook (`Lineage` shows itself), as SVG or PNG, and as text. The words of operations may be the person's: in
HTML they stand escaped, in pictures they are outlines.
"""
from __future__ import annotations

import base64
import html
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from twin import operations, plots
from twin.errors import UsageError
from twin.genome import Genome, Run
from twin.home import write_atomically

if TYPE_CHECKING:
    from twin.plots import Figure

STATES = ("best", "front", "dominated", "same", "crowded")
_COLOURS = ("#b5502a", "#2a78b5", "#555555", "#8c8c8c", "#6b5b95")
_WORDS: Mapping[str, Mapping[str, str]] = {
    "en": {
        "best": "the best", "front": "alive: best at something", "dominated": "dominated", "same": "changes nothing",
        "crowded": "crowded out",
        "why best": "the best on the selection items", "why front": "alive: nobody is better at some of the items",
        "why dominated": "died: {other} is nowhere worse and somewhere better",
        "why same": "died: scores as {other} on every item",
        "why crowded": "died: others win more items, and there is no more room",
        "root": "the map as it was", "by": "{said} ({origin})",
        "title": "{way}, seed {seed}: maps {n}, selection items {items}, words read {tokens}; best {best:+.3f}",
        "evolution": "Evolution", "greedy": "Greedy search", "random": "Random search",
        "ended": "How it ended: {how}.", "budget": "the budget is used up",
        "no moves": "no move makes a map that is new",
        "no better": "{patience} maps in a row were no better than the best", "genomes": "{most} maps were tried",
        "cancelled": "it was stopped; the same command goes on from there",
        "gain": "gain over the root, selection items", "order": "maps in the order in which they were tried",
        "more": "... and {n} more", "number": "no.", "parent": "from", "change": "change", "fate": "what became of it",
        "warning": "The gain is that of the selection items, on which the best was chosen: it is too good. "
                   "What counts is the proof."},
    "ru": {
        "best": "лучшая", "front": "живы: лучшие в чём-то", "dominated": "превзойдены", "same": "ничего не меняют",
        "crowded": "вытеснены",
        "why best": "лучшая на примерах отбора", "why front": "жива: на части примеров никто не лучше",
        "why dominated": "умерла: {other} нигде не хуже и где-то лучше",
        "why same": "умерла: на каждом примере как {other}",
        "why crowded": "умерла: другие выигрывают больше примеров, а места больше нет",
        "root": "карта, какой она была", "by": "{said} ({origin})",
        "title": "{way}, зерно {seed}: карт {n}, примеров отбора {items}, слов прочитано {tokens}; лучшая {best:+.3f}",
        "evolution": "Эволюция", "greedy": "Жадный поиск", "random": "Случайный поиск",
        "ended": "Чем кончилось: {how}.", "budget": "бюджет израсходован",
        "no moves": "новых карт больше не получается",
        "no better": "карт подряд, которые не лучше лучшей: {patience}", "genomes": "испробовано карт: {most}",
        "cancelled": "поиск остановлен; та же команда продолжит с этого места",
        "gain": "выигрыш у исходной карты, примеры отбора", "order": "карты в том порядке, в каком их пробовали",
        "more": "... и ещё {n}", "number": "№", "parent": "от", "change": "изменение", "fate": "что с ней стало",
        "warning": "Выигрыш измерен на примерах отбора, по которым лучшая и выбрана: он завышен. "
                   "Считается только доказательство."}}


@dataclass(frozen=True)
class Ancestry:
    """One map that was tried: its number in order of birth (the root is 0), its parent's, what it changes and what
    became of it in words, its gain over the root an item."""

    number: int
    parent: int | None
    said: str = field(repr=False)
    gain: float
    state: str
    fate: str
    tokens: int
    leads: bool
    """Whether the best map comes from it, or is it."""


@dataclass(frozen=True)
class Lineage:
    """A run to be looked at, in 'en' or 'ru'."""

    run: Run
    language: str = "en"

    @cached_property
    def lines(self) -> tuple[Ancestry, ...]:
        """A line a map, in order of birth."""
        number = {one.version: place for place, one in enumerate(self.run.genomes)}
        leading = self._leading()
        return tuple(Ancestry(number[one.version], number.get(one.parent),
                              self._said(one), self.run.gain(one), self.run.fates[one.version].state,
                              self._fate(one, number), one.tokens, one.version in leading)
                     for one in self.run.genomes)

    @cached_property
    def title(self) -> str:
        """The run in one line."""
        run, words = self.run, _WORDS[self.language]
        return words["title"].format(way=words[run.way], seed=run.seed, n=len(run.genomes), items=len(run.root.scores),
                                     tokens=run.spent, best=run.gain(run.best))

    @property
    def ended(self) -> str:
        """How the run ended, in words; '' for one that is only recalled."""
        words, plan = _WORDS[self.language], self.run.plan
        how = words[self.run.ended].format(patience=plan.patience, most=plan.most) if self.run.ended else ""
        return words["ended"].format(how=how) if how else ""

    def _said(self, one: Genome) -> str:
        words = _WORDS[self.language]
        if not one.parent:
            return words["root"]
        return words["by"].format(said=operations.say(one.steps[-1], self.language), origin=one.origin)

    def _fate(self, one: Genome, number: Mapping[str, int]) -> str:
        fate = self.run.fates[one.version]
        return _WORDS[self.language][f"why {fate.state}"].format(other=number.get(fate.other, ""))

    def _leading(self) -> set[str]:
        by = {one.version: one for one in self.run.genomes}
        found, version = set[str](), self.run.best.version
        while version:
            found.add(version)
            version = by[version].parent
        return found

    # ---- to look at --------------------------------------------------------------------------------------------------

    def figure(self) -> Figure:
        """The tree: gains by order of birth, coloured by what became of each, the way to the best one thick."""
        words = _WORDS[self.language]
        nodes = [plots.Node(one.number, _above(one), one.gain, STATES.index(one.state),
                            f"{one.gain:+.3f}  {one.fate}; {one.said}", one.leads) for one in self.lines]
        kinds = [(words[state], colour) for state, colour in zip(STATES, _COLOURS, strict=True)]
        return plots.tree(nodes, kinds, f"{self.title}\n{words['warning']}", words["gain"], words["order"],
                          words["more"])

    def save(self, path: Path) -> Path:
        """Write the picture as .svg or .png, by the name. Raises UsageError for another one."""
        write = plots.svg if suffix(path) == ".svg" else plots.png
        write_atomically(path, write(self.figure()))
        return path

    def __str__(self) -> str:
        lines = [f"{one.number:4} {_from(one):>4} {one.gain:+.3f}  {one.fate}; {one.said}"
                 for one in self.lines]
        return "\n".join([self.title, _WORDS[self.language]["warning"], *lines])

    def __repr__(self) -> str:
        return f"Lineage({self.run!r})"

    def _repr_png_(self) -> bytes:
        return plots.png(self.figure())

    def _repr_html_(self) -> str:
        words = _WORDS[self.language]
        picture = base64.b64encode(plots.svg(self.figure())).decode("ascii")
        columns = ("number", "parent", "gain", "change", "fate")
        head = "".join(f"<th>{html.escape(words[name])}</th>" for name in columns)
        rows = "".join("<tr>" + "".join(f"<td>{html.escape(cell)}</td>" for cell in (
            str(one.number), _from(one), f"{one.gain:+.3f}", one.said, one.fate)) + "</tr>"
            for one in self.lines)
        return (f'<figure><img alt="{html.escape(self.title)}" style="max-width:100%" '
                f'src="data:image/svg+xml;base64,{picture}">'
                f"<figcaption>{html.escape(self.ended)}</figcaption></figure>"
                f"<details><summary>{html.escape(self.title)}</summary><table><tr>{head}</tr>{rows}</table></details>")


def _above(one: Ancestry) -> tuple[int, ...]:
    return () if one.parent is None else (one.parent,)


def _from(one: Ancestry) -> str:
    return "" if one.parent is None else str(one.parent)


def suffix(path: Path) -> str:
    """'.svg' or '.png', by the name of a picture. Raises UsageError for another one."""
    if (kind := path.suffix.lower()) not in (".svg", ".png"):
        raise UsageError(f"{path.name} is no picture of a lineage.", "Name it .svg or .png.")
    return kind
