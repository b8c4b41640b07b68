"""The command line of likeness: is an adapter more like you than another person's, and what does it cost?"""
from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from twin.cli import Bar, home_option, json_option, model_option, note, opened, show, stoppable, verb
from twin.text import one_line, printable

if TYPE_CHECKING:
    from twin.likening import Likeness


@click.command()
@click.argument("role", default="")
@click.option("--adapter", default="", help="How its sha256 begins (default: the newest of ROLE, or of all).")
@click.option("--other", type=click.Path(path_type=Path), help="Another person's export, folder or home.")
@click.option("--other-me", "me", multiple=True, help="The other person's name in chats of several people.")
@click.option("--held", type=click.IntRange(min=1), help="Measure on at most so many messages.")
@click.option("--quick", is_flag=True, help="Fewer messages, no questions, no answers.")
@model_option
@home_option
@json_option
@verb
def likeness(role: str, adapter: str, other: Path | None, me: tuple[str, ...], held: int | None, quick: bool,
             model: str | None, home: Path | None, as_json: bool) -> int:
    """Measure on your own later messages whether the adapter of ROLE is like you; let it on if it is.

    The claim is own against other: an adapter of another person's words (--other) is trained with the same settings,
    and yours has to beat it. Without --other the table is there, and the gate says no. Exit status 1: the gate says no,
    or there is no adapter to measure.
    """
    with opened(home, model) as twin, stoppable() as stopped:
        found = twin.likeness(role, adapter=adapter, other=other, me=me, held=held or 0, quick=quick, progress=Bar(),
                              cancel=stopped)
    if as_json:
        show({"table": found.table.plain(), "adapter": found.adapter, "role": found.role, "on": found.on,
              "gate": found.gate, "missing": found.missing, "path": str(found.path)})
    else:
        _draw(found)
    return 0 if found.gate is not None and found.gate.on else 1


def _draw(found: Likeness) -> None:
    click.echo(printable(found.table.text()), nl=False)
    for line in found.missing:
        note(line)
    if found.gate is None:
        note("No adapter was measured: train one with `twin train ROLE`." if not found.adapter else
             "The adapter was not measured to the end, so nothing is said of it.")
        return
    click.echo(one_line(f"{found.adapter[:12]}: {found.gate}"))
    if found.gate.on:
        note(f"The role {found.role} speaks through it from now on; `twin adapter off {found.role}` takes it away.")
    elif found.on:
        note(f"The role {found.role} speaks through it all the same, as you said; `twin adapter off {found.role}` "
             "takes it away.")
    else:
        note(f"The role {found.role} goes on without it; `twin adapter on {found.role} --anyway` has the last word.")
    note(f"The figures are kept in {found.path}.")
