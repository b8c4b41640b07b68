"""`twin plan`: what fits before you buy. Draws what twin.planning knows."""
from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Literal

import click

from twin.cli import home_option, json_option, note, opened, show, verb
from twin.errors import UsageError

if TYPE_CHECKING:
    from twin.layouts import Plan


@click.command()
@click.option("--model", help="A name of `twin models list`, here or not yet, or a GGUF path (default: your core).")
@click.option("--devices", default="auto", show_default=True, metavar="DEVICES",
              help="8x24, 24,24,12,cpu, 2xRTX 4090, cpu64; auto: this machine's.")
@click.option("--server", "servers", multiple=True, metavar="HOST:PORT", help="An RPC worker, among what `auto` finds.")
@click.option("--context", default="8192", show_default=True, help="Tokens of all roles together: 8192, 300k.")
@click.option("--roles", type=click.IntRange(1, 1000), default=6, show_default=True)
@click.option("--adapters", is_flag=True, help="Each role has a LoRA of its own.")
@click.option("--kv", type=click.Choice(["f16", "q8_0", "q4_0"]), default="f16", show_default=True,
              help="Form of keys and values.")
@click.option("--flash", is_flag=True, help="Flash attention.")
@click.option("--all", "every", is_flag=True, help="Draw every layout, not the first choice alone.")
@click.option("--use", is_flag=True, help="Let your core lie as the first choice says from now on.")
@click.option("--language", type=click.Choice(["en", "ru"]), default="en", show_default=True)
@home_option
@json_option
@verb
def plan(model: str | None, devices: str, servers: tuple[str, ...], context: str, roles: int, adapters: bool,
         kv: Literal["f16", "q8_0", "q4_0"], flash: bool, every: bool, use: bool, language: str, home: Path | None,
         as_json: bool) -> None:
    """Which layouts of a core, its roles and helpers fit on which cards, and how quick they would be."""
    from twin import plan_text, planning
    from twin.catalog import Catalog
    from twin.home import Home
    from twin.layouts import Want
    from twin.placement import Placement

    want = Want(planning.tokens(context), roles, adapters, kv=kv, flash=flash)
    Placement(servers=servers)  # refuses what is no host:port
    made = planning.compare(Catalog(), model or _chosen(home), devices, want, servers=servers)
    if use:
        _use(made, model, servers, home)
    known = planning.measured(Home(home), made.shape)
    if as_json:
        show({**planning.document(made), "measured": known})
        return
    for line in plan_text.lines(made, language):
        click.echo(line)
    for told in known:
        click.echo(plan_text.known(told.report, told.own, str(told.when), told.decode, told.prefill, language))
    click.echo()
    _table(plan_text.table(made, language))
    best = made.best
    for one in made.layouts if every else [best] if best else []:
        click.echo()
        click.echo("\n".join(plan_text.picture(one.instead or one if every else one, language)))


def _table(rows: list[list[str]]) -> None:
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    for row in rows:
        click.echo("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())


def _chosen(home: Path | None) -> str | None:
    """The core this home would ask; None leaves it to the machine. A server's has no file to plan."""
    from twin.agents import is_url

    with opened(home) as twin:
        name = twin.core
    return None if name and is_url(name) else name


def _use(made: Plan, model: str | None, servers: tuple[str, ...], home: Path | None) -> None:
    from twin import layouts, planning
    from twin.home import Home

    usable = [one if one.fits else one.instead for one in made.layouts if one.kind in layouts.OF_ONE_PROCESS]
    best = next((one for one in usable if one), None)
    if best is None:
        raise UsageError("No layout fits, so none can be used.", "Choose a smaller core, or more devices.")
    with opened(home) as twin:
        name = model or twin.core or twin.catalog.best_core()
        if name is None:
            raise UsageError("No core is on this machine yet.", "Fetch one with `twin models pull NAME`.")
        path = twin.catalog.path(name)
        known = twin.catalog.by_path(path)
        name = known.name if known else str(path.resolve())
        place = planning.keep(Home(home), planning.Kept(name, best.want, best.kind, servers))
        if model:
            twin.use(name)  # else a core that was chosen before would go on answering
    note(f"Kept in {place}: from now on your core lies as planned, planned anew whenever it is loaded.")
