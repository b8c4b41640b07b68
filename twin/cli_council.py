"""The command line of councils: ask several roles at once, see what was weighed, and whether it was worth it."""
from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

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
    stoppable,
    verb,
)
from twin.errors import UsageError
from twin.text import printable
from twin.verdict_text import remarks, rows

if TYPE_CHECKING:
    from twin.calibration import Calibration
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
            events: bool, model: str | None, home: Path | None, as_json: bool) -> int:
    """Ask several roles at once: each answers alone, what they say is weighed, dissent is kept.

    Roles of one core are no independent votes. --control shows what one role, sampled to as many tokens, says instead.
    With --probe the core first answers 200 questions whose answers are known, in minutes to hours; once per core and
    for the roles' instructions and sampling as they are. It can be stopped (exit status 130) and goes on from there.
    """
    question = question.strip()
    if not (question or probe):
        raise UsageError("The question is empty.", "Write what you want to ask.")
    chosen = _members(members)
    with opened(home, model) as twin:
        probed = _probed(twin) if probe else None
        if probed and events:
            show({"event": "Probed", **probed}, indent=None)
        if probed and not (question and probed["finished"]):
            if as_json and not events:
                show(probed)
            return 0 if probed["finished"] else 130
        chat = twin.lines.get(line).id if line else None
        turn = drawn(twin, question, quiet=as_json, events=events, conversation=chat, council=True, members=chosen, n=n,
                     control=control)
    if as_json and not events:
        show({**plain(turn), "probe": probed} if probed else turn)
    elif turn.verdict and not events:
        _draw(turn.verdict)
    return 0


def _members(said: str | None) -> tuple[str, ...]:
    chosen = tuple(name.strip() for name in (said or "").split(",") if name.strip())
    if said is not None and not chosen:
        raise UsageError("--members names no role.", "Name some of `twin roles list`, with commas, or leave it out.")
    return chosen


def _probed(twin: Twin) -> dict[str, Any]:
    """Run the probe; how far it came and, where it is finished, what it made of the weights."""
    bar = Bar(every=10)
    with stoppable() as stopped:
        made = twin.probe(progress=bar, cancel=stopped)
    probed = {"finished": made is not None, "answered": bar.done, "questions": bar.total,
              "calibration": _calibration(made) if made else None}
    if made is None:
        newline = "\n" if sys.stderr.isatty() else ""  # the progress stands on a line that has not ended
        note(f"{newline}Stopped after {bar.done} of {bar.total} questions. "
             "They are kept; the same command goes on from there.")
        return probed
    for language, gates in made.gates.items():
        for name, gate in gates.items():
            note(f"{language} {name}: {gate}{'' if gate.passed else ' - carries no weight'}")
    for role, (hits, misses) in made.track.items():
        note(f"{printable(role)}: right on {hits:g} of {hits + misses:g}")
    note(f"Weights are calibrated on {made.n} questions; votes of roles on this core correlate by {made.rho:.2f}.")
    return probed


def _calibration(made: Calibration) -> dict[str, Any]:
    """What a person can use of a calibration: how many questions, how often each role was right, the gates."""
    roles = {role: {"right": hits, "answered": hits + misses, "accuracy": hits / (hits + misses)}
             for role, (hits, misses) in made.track.items() if hits + misses}
    gates = {language: {name: {**plain(gate), "passed": gate.passed} for name, gate in some.items()}
             for language, some in made.gates.items()}
    return {"n": made.n, "core": made.core, "rho": made.rho, "roles": roles, "gates": gates}


def _draw(verdict: Verdict) -> None:
    """Opinions, heaviest first, and what the numbers are worth."""
    click.echo()
    for row in rows(verdict):
        click.echo(f"  {row.weight:>5}  {printable(row.who)}{f': {brief(row.what, 200)}' if row.what else ''}")
    for remark in remarks(verdict):
        note(f"  {brief(remark, 300)}")
