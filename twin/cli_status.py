"""`twin status` and `twin agents`: what runs of a twin and how it does, and which models it has beside its core."""
from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from twin.cli import handed_down, home_option, json_option, model_option, note, opened, show, verb
from twin.errors import UsageError
from twin.text import printable

if TYPE_CHECKING:
    from twin.agents import Agent


@click.command()
@click.option("--check", is_flag=True, help="Start each agent here and ask it something; status 1 if one fails.")
@model_option
@home_option
@json_option
@verb
def status(check: bool, model: str | None, home: Path | None, as_json: bool) -> int:
    """What a twin runs on: devices, its core and agents, their state, memory and speed."""
    from twin import status as reports
    from twin.home import Home

    found = [] if check else reports.running(Home(home))
    with opened(home, model) as twin:
        here = twin.status(check=check)
    if as_json:
        show({"here": here, "running": found})
    else:
        for line in reports.lines(reports.of((), here.devices) if found else here):
            click.echo(printable(line))
        for one in found:
            click.echo(f"process {one.pid} ({printable(one.program)}), {one.time}")
            for line in reports.lines(one):
                click.echo(printable(line))
        if not found and not check:
            note("Nothing of this twin runs now.")
    return int(check and any(part.kind != "core" and part.state != "up" for part in here.parts))


@click.group(invoke_without_command=True)
@home_option
@json_option
@click.pass_context
@verb
def agents(context: click.Context, home: Path | None, as_json: bool) -> None:
    """Models beside the core, each for one kind of work and where it runs."""
    if not handed_down(context, home=home, as_json=as_json):
        _shown(_load(home), as_json)


def _load(home: Path | None) -> tuple[Agent, ...]:
    from twin.agents import load
    from twin.home import Home

    return load(Home(home))


def _shown(found: tuple[Agent, ...], as_json: bool) -> None:
    if as_json:
        show(found)
        return
    for one in found:
        roles = f", speaks {', '.join(one.roles)}" if one.roles else ""
        apart = "" if one.remote else ", a process of its own" if one.apart else ", in the process of the twin"
        click.echo(printable(f"{one.kind:10} {one.model}  on {one.where}{apart}{roles}"))
    if not found:
        note("There are no agents: the core and the embedder do everything. `twin agents set KIND MODEL` adds one.")


@agents.command("set")
@click.argument("kind")
@click.argument("model")
@click.option("--device", default="", help="A device of `twin status`; without it the processor.")
@click.option("--server", default="", help="An RPC worker of llama.cpp, as host:port, on a network you trust.")
@click.option("--here", is_flag=True, help="In the process of the twin instead of one of its own.")
@click.option("--role", "roles", multiple=True, help="A role that the second core speaks; may be given again.")
@home_option
@json_option
@verb
def set_(kind: str, model: str, device: str, server: str, here: bool, roles: tuple[str, ...], home: Path | None,
         as_json: bool) -> None:
    """Let a MODEL (a name, a path or http://host:port/v1#name) do one KIND of work: embedder, router, scorer,
    reflection or second."""
    from twin.agents import EMBEDDERS, Agent, load, save
    from twin.catalog import Catalog
    from twin.home import Home

    wanted = Agent(kind, model, device, server, not here, roles)
    catalog = Catalog()
    if not wanted.remote:
        catalog.path(model)
        known = next((one.kind for one in catalog.models if one.name == model), None)
        needed = "embedder" if kind in EMBEDDERS else "core"
        if known not in (None, needed):
            raise UsageError(f"{model} is of the kind {known}; this agent needs one of the kind {needed}.",
                             "Choose another one: `twin models list`.")
        if known is None:
            wanted = Agent(kind, str(Path(model).expanduser().absolute()), device, server, not here, roles)
    place = Home(home)
    save(place, [*(one for one in load(place) if one.kind != kind), wanted])
    _shown(load(place), as_json)


@agents.command()
@click.argument("kind")
@home_option
@json_option
@verb
def drop(kind: str, home: Path | None, as_json: bool) -> None:
    """Take an agent away; the core and the embedder do its work again."""
    from twin.agents import load, save
    from twin.home import Home

    place = Home(home)
    found = load(place)
    if kind not in {one.kind for one in found}:
        raise UsageError(f"There is no agent {kind!r} here.", "See `twin agents`.")
    save(place, [one for one in found if one.kind != kind])
    _shown(load(place), as_json)
