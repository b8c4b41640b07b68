"""The command line of signals: a thumb up or down on an answer."""
from __future__ import annotations

from pathlib import Path

import click

from twin.cli import brief, home_option, json_option, note, opened, show, verb

LAST = "last"


@click.command()
@click.argument("turn")
@click.argument("thumb", type=click.Choice(["up", "down"]))
@home_option
@json_option
@verb
def rate(turn: str, thumb: str, home: Path | None, as_json: bool) -> None:
    """Say whether an answer was good: `twin rate last up`. TURN is an id or its beginning; the last thumb counts.

    Reflection learns from it; nothing changes by itself.
    """
    with opened(home) as twin:
        found = twin.lines.turn("" if turn == LAST else turn)
        said = twin.rate(found, thumb == "up")
    if as_json:
        show(said)
        return
    click.echo(f"{thumb}: {brief(found.question, 100)}")
    note("`twin reflect` looks at thumbs, and proposes; nothing changes without your yes.")
