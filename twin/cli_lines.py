"""The command line of routing and of lines of thinking: whom a message is for, and a turn asked again another way."""
from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from twin.cli import (
    brief,
    drawn,
    handed_down,
    home_option,
    json_option,
    model_option,
    note,
    opened,
    plain,
    show,
    verb,
)
from twin.errors import UsageError
from twin.text import clean, printable

if TYPE_CHECKING:
    from twin.lines import Line


# ---- the router ----------------------------------------------------------------------------------------------------

@click.command()
@click.argument("message")
@home_option
@json_option
@verb
def route(message: str, home: Path | None, as_json: bool) -> None:
    """Whom a message would go to: a probability for each role, the nearest examples, and why."""
    with opened(home) as twin:
        found = twin.route(message)
    if as_json:
        show(found)
        return
    if found.abstained:
        click.echo(printable(found.reason))
    for name, probability in sorted(found.probabilities.items(), key=lambda one: -one[1]):
        chosen = "*" if name == found.role else " "
        click.echo(f"{chosen} {name:14} {probability:4.0%}")
    if not found.abstained:
        click.echo(printable(found.reason))
    for example in found.nearest:
        click.echo(f"  {example.similarity:.2f} {example.role}: {brief(example.text, 100)}")


@click.command()
@click.argument("role")
@click.option("--turn", default="", help="Id of a turn, or its beginning (default: the last one).")
@home_option
@json_option
@verb
def correct(role: str, turn: str, home: Path | None, as_json: bool) -> None:
    """Say whom a message was for: `twin correct critic`. 'none' or 'nobody': no role should have claimed it.

    The router learns it. What you do not correct teaches it nothing.
    """
    from twin.archive import NOBODY, NOBODYS_NAMES  # here: `twin --help` reads this file

    with opened(home) as twin:
        label = NOBODY if role.casefold() in NOBODYS_NAMES and role not in twin.role_map.ids else role
        said = twin.correct(twin.lines.turn(turn), label)
        again = twin.route(said.text)
    if as_json:
        show({**plain(said), "now": again.role, "abstained": again.abstained})
        return
    click.echo(f"{'nobody' if said.label == NOBODY else said.label}: {brief(said.text, 100)}")
    note("Such a message goes to nobody in particular now." if again.abstained
         else f"Such a message goes to {again.role} now ({again.probability:.0%}).")


# ---- lines ---------------------------------------------------------------------------------------------------------

def _settings(pairs: tuple[str, ...]) -> dict[str, float]:
    found = {}
    for pair in pairs:
        name, _, value = pair.partition("=")
        try:
            found[name.strip()] = int(value) if value.strip().isdigit() else float(value)
        except ValueError as error:
            raise UsageError(f"{pair!r} is no setting.", "Write it as temperature=0.2.") from error
    return found


@click.command()
@click.argument("turn", default="")
@click.option("--role", help="Ask this role.")
@click.option("--instruction", default="", help="One more instruction on this line, after the role's own.")
@click.option("--set", "sampling", multiple=True, metavar="NAME=VALUE", help="Sampling: temperature=0.2.")
@click.option("--council", is_flag=True, help="Let a council answer on this line.")
@click.option("--ask", "question", help="Go on after the turn with another question.")
@click.option("--name", default="", help="What to call the line.")
@model_option
@home_option
@json_option
@verb
def fork(turn: str, role: str | None, instruction: str, sampling: tuple[str, ...], council: bool, question: str | None,
         name: str, model: str | None, home: Path | None, as_json: bool) -> None:
    """Ask a turn's question again in another way, on a line of its own; what stands stays.

    TURN is an id or its beginning; without it the last turn. With --ask the line goes on after the turn instead.
    """
    if question is not None and not clean(question).strip():
        raise UsageError("The question is empty.", "Write what to ask, or leave --ask out to ask the same again.")
    with opened(home, model) as twin:
        line, asked = twin.fork(turn, role=role, instruction=instruction, sampling=_settings(sampling), council=council,
                                after=question is not None, name=name)
        note(f"line {line.id[:8]}{f' ({printable(name)})' if name else ''} of {line.parent[:8]}")
        try:
            said = drawn(twin, question or asked.question, quiet=as_json, conversation=line.id)
        except BaseException:
            if twin.lines.take_back(line):
                note("Nothing was answered on it: the line is taken back.")
            raise
        if as_json:
            show({"line": plain(line), "turn": plain(said)})


@click.group(invoke_without_command=True)
@click.option("--all", "everything", is_flag=True, help="Dropped lines too.")
@home_option
@json_option
@click.pass_context
@verb
def lines(context: click.Context, everything: bool, home: Path | None, as_json: bool) -> None:
    """Lines of thinking: list them, compare what they came to, name, keep or drop them.

    Dropped lines are left out, with --json too, unless you say --all.
    """
    if handed_down(context, home=home, as_json=as_json):
        return
    from twin.lines import nested  # here: `twin --help` reads this file

    with opened(home) as twin:
        tree = [(depth, line, twin.archive.turns(line.id)) for chat in twin.lines.trunks()
                for depth, line in nested(twin.lines.all(chat))]
    shown = [one for one in tree if everything or one[1].state != "dropped"]
    if as_json:
        show([{**plain(line), "turns": [turn.id for turn in turns]} for _, line, turns in shown])
        return
    for depth, line, turns in shown:
        indent = "  " * depth
        state = f" [{line.state}]" if line.state != "open" else ""
        click.echo(f"{indent}{line.id[:8]} {printable(line.title)}{state}")
        for turn in turns:
            click.echo(f"{indent}    {turn.id[:8]} {turn.who}: {brief(turn.question, 80)}")
    if not tree:
        note("Nothing was asked yet.")
    elif len(shown) < len(tree):
        note(f"{len(tree) - len(shown)} dropped; --all shows them too.")


@lines.command()
@click.argument("names", nargs=-1, required=True)
@home_option
@json_option
@verb
def compare(names: tuple[str, ...], home: Path | None, as_json: bool) -> None:
    """What each line came to, side by side; a conversation's id is its trunk."""
    with opened(home) as twin:
        found = twin.lines.compare(names)
    if as_json:
        show(found)
        return
    for number, one in enumerate(found):
        if one.turn is None:
            click.echo(f"{printable(one.line.title)}: nothing was asked on it yet\n")
            continue
        same = f", {one.shared:.0%} of its words as in the first" if number else ""
        click.echo(f"{printable(one.line.title)} - {one.turn.who}, {one.turn.usage.generated} tokens{same}")
        click.echo(f"{printable(one.turn.answer)}\n")


def _changed(change: Line, as_json: bool) -> None:
    if as_json:
        show(change)
    else:
        click.echo(f"{change.id[:8]} {printable(change.title)} [{change.state}]")


@lines.command()
@click.argument("name")
@home_option
@json_option
@verb
def keep(name: str, home: Path | None, as_json: bool) -> None:
    """Keep a line: it is the way you go on."""
    with opened(home) as twin:
        _changed(twin.lines.change(name, state="kept"), as_json)


@lines.command()
@click.argument("name")
@home_option
@json_option
@verb
def drop(name: str, home: Path | None, as_json: bool) -> None:
    """Drop a line: it is listed with --all only, and nothing of it is deleted. `keep` brings it back."""
    with opened(home) as twin:
        _changed(twin.lines.change(name, state="dropped"), as_json)


@lines.command("name")
@click.argument("line")
@click.argument("title")
@home_option
@json_option
@verb
def name_(line: str, title: str, home: Path | None, as_json: bool) -> None:
    """Call a line by a name."""
    with opened(home) as twin:
        _changed(twin.lines.change(line, title=title), as_json)
