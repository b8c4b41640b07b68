"""The command line of councils: ask several roles at once, see what was weighed, and whether it was worth it."""
from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from twin.cli import (
    Bar,
    brief,
    drawn,
    events_option,
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
from twin.text import printable
from twin.verdict_text import remarks, rows

if TYPE_CHECKING:
    from twin.chat import Twin
    from twin.types import Verdict


@click.command()
@click.argument("question", default="")
@click.option("--members", help="Roles that sit, with commas: critic,empiricist.")
@click.option("-n", "n", type=click.IntRange(1, 16), help="How many at most (default: the role map's policy).")
@click.option("--control", is_flag=True, help="Let the best single role answer too, sampled to as many tokens.")
@click.option("--line", help="Ask on this line of thinking, or in this conversation (`twin lines`).")
@click.option("--probe", is_flag=True, help="Calibrate the weights: let this core answer the bundled questions.")
@events_option
@model_option
@home_option
@json_option
@verb
def council(question: str, members: str | None, n: int | None, control: bool, line: str | None, probe: bool,
            events: bool, model: str | None, home: Path | None, as_json: bool) -> None:
    """Ask several roles at once: each answers alone, what they say is weighed, dissent is kept.

    Roles of one core are no independent votes. --control shows what one role, sampled to as many tokens, says instead.
    With --probe the core first answers 200 questions whose answers are known; once per core, it can be stopped and
    goes on from there.
    """
    if not (question or probe):
        raise UsageError("The question is empty.", "Write what you want to ask.")
    with opened(home, model) as twin:
        if probe and not _probed(twin):
            return
        if not question:
            return
        chosen = tuple(name.strip() for name in members.split(",") if name.strip()) if members else ()
        chat = twin.lines.get(line).id if line else None
        turn = drawn(twin, question, quiet=as_json, events=events, conversation=chat, council=True, members=chosen, n=n,
                     control=control)
    if events:
        return
    if as_json:
        show(turn)
    elif turn.verdict:
        _draw(turn.verdict)


def _probed(twin: Twin) -> bool:
    import signal

    stopped: list[int] = []
    previous = signal.signal(signal.SIGINT, lambda number, _: stopped.append(number))
    try:
        made = twin.probe(progress=Bar(), cancel=lambda: bool(stopped))
    finally:
        signal.signal(signal.SIGINT, previous)
    if made is None:
        note("Stopped. What was answered is kept; the same command goes on from there.")
        return False
    for language, gates in plain(made)["gates"].items():
        for name, gate in gates.items():
            note(f"{language} {name}: AUROC {gate['auroc']:.2f}, from {gate['low']:.2f}"
                 f"{'' if gate['passed'] else ' - carries no weight'}")
    note(f"Weights are calibrated on {made.n} questions; votes of roles on this core correlate by {made.rho:.2f}.")
    return True


def _draw(verdict: Verdict) -> None:
    """Opinions, heaviest first, and what the numbers are worth."""
    click.echo()
    for row in rows(verdict):
        click.echo(f"  {row.weight:>5}  {printable(row.who)}{f': {brief(row.what, 200)}' if row.what else ''}")
    for remark in remarks(verdict):
        note(f"  {brief(remark, 300)}")
