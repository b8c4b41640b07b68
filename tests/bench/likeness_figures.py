"""The figures of tests/bench/likeness.py from its lines: a table for each person, what follows from it, and the gate.

own against others: bits a character that the own adapter saves against the mean of the other adapters of the same
language, on the same held-out words, with the interval over conversations (days). The gate takes that, what LZMA gains
from the very words that the adapters learned, and the cost on general text.
"""
from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tests.bench.own_words import RUSSIAN
from twin.likeness import Estimate, Gate, Scored, Table, gate, paired, pooled
from twin.likeness.report import COST

Line = Mapping[str, Any]
OWN, BASE = "own adapter", "base"


@dataclass(frozen=True)
class Figures:
    """`tables`: by person; `summary`: everybody in one; `gates`: by person, `verdict`: in a sentence."""

    made: Mapping[str, Any]
    tables: Mapping[str, Table]
    summary: Table
    gates: Mapping[str, Gate]
    verdict: str

    def text(self) -> str:
        return "\n".join([*(table.text() for table in self.tables.values()), self.summary.text(), self.verdict])

    def plain(self) -> dict[str, Any]:
        """As JSON holds it."""
        return {"made": self.made, "people": {name: {**table.plain(), "on": self.gates[name].on,
                                                     "failed": list(self.gates[name].failed),
                                                     "reason": self.gates[name].reason["en"]}
                                              for name, table in self.tables.items()},
                "summary": self.summary.plain(), "verdict": self.verdict}


class _Found:
    """Lines by part, person and condition."""

    def __init__(self, lines: Sequence[Line]) -> None:
        self.made = lines[0]
        self.lines = {(one["part"], one["of"], one.get("condition", "")): one for one in lines[1:]}

    def of(self, part: str, name: str) -> dict[str, Line]:
        return {condition: one for (kind, whose, condition), one in self.lines.items() if (kind, whose) == (part, name)}

    def scored(self, name: str) -> dict[str, Scored]:
        return {condition: Scored(condition, tuple(one["bits"]), tuple(one["characters"]), tuple(one["clusters"]))
                for condition, one in self.of("bits", name).items()}

    def cost(self, adapter: str) -> float | None:
        """Bits a character that an adapter costs on general text."""
        base, with_it = (self.lines.get(("general", one, "general")) for one in (BASE, adapter))
        if not (base and with_it):
            return None
        return float((sum(with_it["bits"]) - sum(base["bits"])) / sum(base["characters"]))

    def gain(self, name: str, kind: str) -> Estimate | None:
        line = self.lines.get(("lzma", name, kind))
        return Estimate(*line["gain"]) if line else None

    def others(self, name: str) -> list[str]:
        line = self.lines.get(("lzma", name, "learned"))
        return list(line["others"]) if line else []


def figures(lines: Sequence[Line]) -> Figures:
    """Everything that follows from the lines; what is not there yet was not measured."""
    found = _Found(lines)
    made, names = found.made, found.made["people"]
    gains = {name: _against(found, name) for name in names}
    gates = {name: _gate(gains[name], found, name) for name in names}
    tables = {name: _table(found, name, gains[name], gates[name]) for name in names}
    summary = Table(f"Own adapter against others' ({made['core'].partition('@')[0]}, {made['kind']}, {made['steps']} "
                    "steps)")
    for name in names:
        summary = (summary.put(name, "own against others", gains[name]).put(name, "LZMA, same words", found.gain(
            name, "learned")).put(name, "LZMA, all words", found.gain(name, "all")).put(
            name, "cost on general text", found.cost(name)).put(name, "gate", "on" if gates[name].on else "off")
            .put(name, "failed", ", ".join(gates[name].failed) or "-"))
    return Figures(made, tables, summary, gates, _verdict(gains, gates))


def _against(found: _Found, name: str) -> Estimate | None:
    """Own against the mean of the others."""
    scored = found.scored(name)
    others = [scored[key] for other in found.others(name) if (key := f"adapter of {other}") in scored]
    if OWN not in scored or not others:
        return None
    mean = [sum(each) / len(others) for each in zip(*(one.bits for one in others), strict=True)]
    own = scored[OWN]
    return paired(mean, own.bits, own.clusters, own.characters)


def _gate(gain: Estimate | None, found: _Found, name: str) -> Gate:
    bar = found.gain(name, "learned")
    return gate(gain, bar.value if bar else None, found.cost(name))


def _verdict(gains: Mapping[str, Estimate | None], gates: Mapping[str, Gate]) -> str:
    on = [name for name, one in gates.items() if one.on]
    beats = [name for name, one in gains.items() if one is not None and one.low > 0]
    said = f"The own adapter beats others' with the interval above 0 for {len(beats)} of {len(gates)}" + (
        f" ({', '.join(beats)}). " if beats else ". ")
    if on:
        return said + f"The gate lets on: {', '.join(on)}."
    return said + ("Null result: no adapter gains as much from own words as text compression does, at a cost of "
                   f"{COST:.2f} or less on general text. All stay off.")


# ---- a person's table ----------------------------------------------------------------------------------------------

def _table(found: _Found, name: str, gain: Estimate | None, verdict: Gate) -> Table:
    scored = found.scored(name)
    count = len(next(iter(scored.values())).bits) if scored else 0
    table = Table(f"{name}: {count} held-out messages")
    for condition, one in scored.items():
        table = table.put(condition, "bits/char", one.per_character)
        if condition != BASE and BASE in scored:
            table = table.put(condition, "saved", one.saves(scored[BASE]))
    for other in found.made["people"]:
        theirs = found.scored(other)
        if other != name and {BASE, f"adapter of {name}"} <= set(theirs):
            row, one = f"own adapter on {other}'s words", theirs[f"adapter of {name}"]
            table = table.put(row, "bits/char", one.per_character).put(row, "saved", one.saves(theirs[BASE]))
    for measure in (_questions, _replies, _general):
        table = measure(table, found, name)
    return _notes(table, found, name, gain, verdict)


def _questions(table: Table, found: _Found, name: str) -> Table:
    for condition, one in found.of("question", name).items():
        title = f"next of {len(one['hit'])}"
        table = table.put(condition, title, pooled(one["hit"], one["clusters"])).put(
            condition, "plain", pooled(one["plain_hit"], one["clusters"]))
    return table


def _replies(table: Table, found: _Found, name: str) -> Table:
    for condition, one in found.of("replies", name).items():
        place = one["people"].index(name)
        nearest = min(distance for other, distance in enumerate(one["delta"]) if other != place)
        table = table.put(condition, f"style, 1 of {len(one['people'])}", pooled(one["style"], one["clusters"])).put(
            condition, "Delta own - nearest", float(one["delta"][place] - nearest)).put(
            condition, "copied", pooled(one["copied"], one["clusters"]))
    return table


def _general(table: Table, found: _Found, name: str) -> Table:
    rows = {BASE: BASE, OWN: name, **{f"adapter of {other}": other for _, other, _ in found.lines}}
    for row, adapter in rows.items():
        if row in table.cells and (cost := found.cost(adapter)) is not None:
            table = table.put(row, "general cost", cost)
    return table


def _notes(table: Table, found: _Found, name: str, gain: Estimate | None, verdict: Gate) -> Table:
    scored = found.scored(name)
    made = found.lines.get(("adapter", name, ""))
    if made:
        drawn = made["taken"] * made["batch"] * made["tokens"] // made["samples"]
        table = table.note(f"Adapter: {made['samples']} samples, {made['tokens']} learned tokens, {made['taken']} "
                           f"steps of {made['batch']} that drew about {drawn} tokens (best at {made['best_step']}), "
                           f"{made['seconds']:.0f} s; {made['before']:.3f} -> {made['after']:.3f} on what it was "
                           "chosen by.")
    each = {key: str(scored[OWN].saves(one)) for key, one in scored.items() if key.startswith("adapter of")
            and OWN in scored}
    same = [f"{other} {each.pop(key)}" for other in found.others(name) if (key := f"adapter of {other}") in each]
    table = table.note(f"Own against others: {gain or 'not measured'} bits a character ({'; '.join(same) or 'none'}). "
                       f"Of another language: {'; '.join(f'{key} {one}' for key, one in each.items()) or 'none'}.")
    if RUSSIAN in found.others(name):
        table = table.note(f"The {RUSSIAN} is no person: simple made sentences of many writers, easily told from one.")
    pairs = (("profile prompt", "generic persona"), ("+ recall", "profile prompt"),
             ("own adapter + profile prompt", OWN))
    more = [f"{one} over {other} {scored[one].saves(scored[other])}" for one, other in pairs if {one, other} <= set(
        scored)]
    table = table.note(f"Saved: {'; '.join(more) or 'not measured'}.")
    table = _asked(table, found.of("question", name))
    lzma = {kind: found.gain(name, kind) for kind in ("learned", "all")}
    table = table.note(f"LZMA, own against others: {lzma['learned'] or 'not measured'} from the words that the "
                       f"adapters learn, {lzma['all'] or 'not measured'} from all there are.")
    return table.note(f"Gate: {verdict}")


def _asked(table: Table, found: Mapping[str, Line]) -> Table:
    other = next((one for one in found if one.startswith("adapter of")), "")
    if OWN not in found or BASE not in found:
        return table.note("Next question: not measured.")
    own = found[OWN]
    gains = [f"over {one} {paired(own['hit'], found[one]['hit'], own['clusters'])}" for one in (BASE, other) if one]
    return table.note(f"Next question (chance .10), own adapter: {'; '.join(gains)}.")
