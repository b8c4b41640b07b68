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
        _draw(turn.verdict, turn.answer)


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


def _draw(verdict: Verdict, answer: str) -> None:
    """Opinions, heaviest first. A % sign only where weights are calibrated."""
    def weight(value: float) -> str:
        return f"{value:4.0%}" if verdict.calibrated else f"{value:.2f}"

    click.echo()
    for place, opinion in enumerate(verdict.opinions):
        interval = f" [{weight(opinion.interval[0]).strip()}, {weight(opinion.interval[1]).strip()}]" \
            if opinion.interval else ""
        mark = "dissent " if place in verdict.dissent else ""
        click.echo(f"  {weight(opinion.weight)}{interval}  {mark}{', '.join(opinion.held_by)}: "
                   f"{brief(opinion.text, 200)}")
        features = " ".join(f"{name} {value:+.2f}" for name, value in opinion.features.items())
        if features:
            note(f"         {features}")
    click.echo(f"  {weight(verdict.none)}  none of these")
    for name, why in (verdict.opinions[0].off if verdict.opinions else {}).items():
        note(f"  {name} carries no weight: {why}")
    for role, why in verdict.failed.items():
        note(f"  {role} gave nothing that can be used: {brief(why)}")
    for missing in verdict.missing:
        click.echo(f"  to be measured: {brief(missing, 200)}")
    if not verdict.calibrated:
        note("Weights are an uncalibrated prior; `twin council --probe` calibrates them on this core.")
    note(f"{len(verdict.hypotheses)} hypotheses count as {verdict.votes:.1f} independent votes; "
         f"{verdict.tokens} tokens in {verdict.seconds:.1f} s.")
    if verdict.control:
        alone = verdict.control
        same = "the same" if alone.answer.casefold().strip() == answer.casefold().strip() else "otherwise"
        click.echo(f"\nOne role instead, {alone.role} ({alone.samples} samples, {alone.tokens} tokens, "
                   f"{alone.seconds:.1f} s), says {same}:\n{printable(alone.answer)}")
