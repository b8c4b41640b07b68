"""`twin bench`: what this machine does with a core, beside what was predicted; reports for others and of others. Draws
what twin.bench knows."""
from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from twin.cli import (
    Bar,
    brief,
    handed_down,
    home_option,
    json_option,
    model_option,
    note,
    opened,
    show,
    stoppable,
    verb,
)

if TYPE_CHECKING:
    from twin.bench import Kept, Shelf
    from twin.ledger import Entry
    from twin.types import Engine


def _shelf(home: Path | None) -> Shelf:
    from twin.bench import Shelf
    from twin.home import Home

    return Shelf(Home(home))


@click.group(invoke_without_command=True)
@home_option
@json_option
@click.pass_context
@verb
def bench(context: click.Context, home: Path | None, as_json: bool) -> None:
    """What this machine does with a core: measured, stored, compared, exchanged as field reports."""
    if not handed_down(context, home=home, as_json=as_json):
        _list(home, as_json)


@bench.command()
@click.option("--quick", is_flag=True, help="Shorter prompts, fewer roles: under a minute with a small core.")
@click.option("--note", "said", default="", help="A line of your own for the report; it goes along when you export.")
@model_option
@home_option
@json_option
@verb
def run(quick: bool, said: str, model: str | None, home: Path | None, as_json: bool) -> None:
    """Measure reading, writing, changing roles, a council and memory. Let nothing else run beside it."""
    from twin import bench as room

    with opened(home, model) as twin, stoppable() as stopped:
        engine = twin.engine
        kept, entries = room.bench(engine, twin.home, room.QUICK if quick else room.FULL,
                                   prediction=_prediction(engine), note=said, progress=Bar(), cancel=stopped)
    if as_json:
        show({**_document(kept), "ledger": [_row(entry) for entry in entries]})
        return
    _draw(kept)
    for entry in entries:
        note(f"{entry.id}: {entry.verdict}, {brief(entry.say(), 200)}")
    note(f"Kept as {kept.id}. `twin bench export {kept.id} FILE` writes it for others: no name, no path, no words but "
         "your --note.")


@bench.command("list")
@home_option
@json_option
@verb
def list_(home: Path | None, as_json: bool) -> None:
    """All reports, the newest last."""
    _list(home, as_json)


@bench.command("show")
@click.argument("id", default="")
@home_option
@json_option
@verb
def show_(id: str, home: Path | None, as_json: bool) -> None:
    """One report (default: the newest), measured beside predicted."""
    kept = _shelf(home).get(id)
    if as_json:
        show(_document(kept))
    else:
        _draw(kept)


@bench.command()
@click.argument("id")
@click.argument("file", type=click.Path(path_type=Path, dir_okay=False))
@home_option
@json_option
@verb
def export(id: str, file: Path, home: Path | None, as_json: bool) -> None:
    """Write a report as a file that others can import."""
    kept = _shelf(home).export(id, file)
    if as_json:
        show({**_document(kept), "file": str(file)})
    else:
        click.echo(f"{kept.id} is in {file}")


@bench.command("import")
@click.argument("file", type=click.Path(path_type=Path, dir_okay=False))
@home_option
@json_option
@verb
def import_(file: Path, home: Path | None, as_json: bool) -> None:
    """Take in a report of another machine; it enters the ledger as reported, never as measured."""
    kept, entry, new = _shelf(home).enter(file)
    if as_json:
        show({**_document(kept), "added": new, "ledger": [_row(entry)] if entry else []})
        return
    _draw(kept)
    if entry is None:
        note(f"This is {kept.id}, which was measured here; nothing was changed.")
    elif not new:
        note(f"It was there already as {kept.id} ({entry.id} in the ledger); nothing was changed.")
    else:
        note(f"Kept as {kept.id}, and in the ledger as {entry.id}: {entry.verdict}.")


def _prediction(engine: Engine) -> Mapping[str, tuple[float, float, float]] | None:
    """What the plan expects of this core here; None where nothing plans."""
    if find_spec("twin.planning") is None:
        return None
    expected: Mapping[str, tuple[float, float, float]] | None = import_module("twin.planning").predict(engine)
    return expected


# ---- drawing ---------------------------------------------------------------------------------------------------------

def _list(home: Path | None, as_json: bool) -> None:
    kept, broken = _shelf(home).all()
    if as_json:
        show([_document(one) for one in kept])
    for one in () if as_json else kept:
        fast = (one.report.headline("prefill"), one.report.headline("decode"))
        rates = ", ".join(f"{figure.metric} {figure.value:.4g} tok/s" for figure in fast if figure)
        click.echo(f"{one.id:12} {one.report.when} {brief(one.report.core.name, 40):24} {rates}")
    if not kept:
        note("Nothing was measured yet: `twin bench run`.")
    for name in broken:
        note(f"{name} is damaged and left out.")


def _document(kept: Kept) -> dict[str, Any]:
    """A report for --json, with what came of its predictions."""
    report = kept.report
    compared = [{**one.model_dump(), "at": figure.at if figure else None, "measured": figure.value if figure else None,
                 "holds": holds} for one, figure, holds in report.compared()]
    return {"id": kept.id, "own": kept.own, "sha256": kept.sha256, "compared": compared,
            "report": report.model_dump(mode="json")}


def _row(entry: Entry) -> dict[str, Any]:
    return {"id": entry.id, "verdict": entry.verdict, "claim": entry.say()}


def _draw(kept: Kept) -> None:
    report, where = kept.report, kept.report.placement
    core = " ".join(filter(None, (report.core.name, report.core.quantisation, report.core.sha256[:16])))
    click.echo(f"{kept.id} {report.when}, {'measured here' if kept.own else 'reported by others'}: {brief(core)}")
    click.echo(f"   on {', '.join(_device(one) for one in where.devices) or 'an unknown machine'}; {where.threads} "
               f"threads, context {where.n_ctx}, cache {where.kv_type or 'unknown'}")
    click.echo(f"   {brief(', '.join(f'{name} {version}' for name, version in report.build.items()), 400)}")
    told = {(figure.metric, figure.at): (one, holds) for one, figure, holds in report.compared() if figure}
    for figure in report.figures:
        row = f"   {figure.metric:12} at {figure.at:>6} {_amount(figure.value, figure.unit):>16}"
        if figure.n > 1:
            row += f" ({_amount(figure.low, figure.unit)} to {_amount(figure.high, figure.unit)}), n = {figure.n}"
        one, holds = told.get((figure.metric, figure.at), (None, None))
        if one is not None:
            row += (f"; predicted {_amount(one.value, figure.unit)} ({_amount(one.low, figure.unit)} to "
                    f"{_amount(one.high, figure.unit)}): {'holds' if holds else 'does NOT hold'} what was measured")
        click.echo(row)
    for expected in (one for one, figure, _ in report.compared() if figure is None):
        click.echo(f"   {expected.metric:12} predicted, not measured")
    for left in report.left_out:
        click.echo(f"   left out: {brief(left, 200)}")
    if report.note:
        click.echo(f"   note: {brief(report.note, 200)}")


def _device(one: Any) -> str:
    size = f" {one.memory_bytes / 1e9:.1f} GB" if one.memory_bytes else ""
    return brief(f"{one.name} {one.description}{size}{' (elsewhere)' if one.remote else ''}", 160)


def _amount(value: float, unit: str) -> str:
    return f"{value / 1e9:.3f} GB" if unit == "bytes" else f"{value:.4g} {unit}"
