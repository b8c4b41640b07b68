"""The command line of what the twin thinks of its own role map: look for changes, prove them, say yes, no or try it."""
from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from twin.cli import Bar, brief, home_option, json_option, model_option, note, opened, plain, show, stoppable, verb
from twin.errors import TwinError
from twin.text import one_line, printable

if TYPE_CHECKING:
    from collections.abc import Callable

    from twin.archive import Stored
    from twin.chat import Twin
    from twin.lineage import Lineage
    from twin.roles import RoleMap

_STOP, _STOPPED = 130, "Stopped; what was found by then is kept."
language_option = click.option("--language", type=click.Choice(["en", "ru"]), default="en", show_default=True,
                               help="Of what is said about proposals.")


@click.command()
@click.option("--budget", type=click.FloatRange(min=1), default=60.0, show_default=True, help="Seconds at most.")
@click.option("--core", is_flag=True, help="Let the core propose some too; it reads answers you did not like.")
@click.option("--prove", is_flag=True, help="Prove what is shown at once.")
@click.option("--due", is_flag=True, help="Only tell whether enough is new; exit status 1 when not.")
@language_option
@model_option
@home_option
@json_option
@verb
def reflect(budget: float, core: bool, prove: bool, due: bool, language: str, model: str | None, home: Path | None,
            as_json: bool) -> int:
    """Look for what could be better about the roles, in what you corrected, praised, blamed and edited.

    Nothing is changed: what it finds waits for `twin proposals`, three new ones a day at most.
    """
    with opened(home, model) as twin, stoppable() as stopped:
        news = twin.due()
        if due:
            show({**plain(news), "due": bool(news)}) if as_json else click.echo(news.say(language))
            return 0 if news else 1
        if core and not twin.has("core"):
            _ = twin.engine  # says how to get one, before anything is looked for
        note(news.say(language))
        found = twin.reflect(budget, core=core, progress=Bar(), cancel=stopped)
        failed = _prove_all(twin, found, stopped) if prove else 0
        _draw_list(twin, twin.proposals() if prove else found, language, as_json, stopped=stopped())
        if stopped():
            note(_STOPPED)
        return _STOP if stopped() else failed


def _prove_all(twin: Twin, found: list[Stored], stopped: Callable[[], bool]) -> int:
    """Prove what is not proven yet; returns the exit status. What goes wrong with one is said and keeps none back."""
    from twin import operations

    status = 0
    for one in found:
        if stopped() or one.state != "open" or not operations.measurable(one.proposal.operation):
            continue
        note(f"Proving {one.proposal.id} ...")
        try:
            twin.prove(one.proposal.id, cancel=stopped)
        except TwinError as error:
            note(f"twin: {one.proposal.id}: {error}")
            status = error.exit_status
    return status


# ---- proposals -------------------------------------------------------------------------------------------------------

@click.group()
def proposals() -> None:
    """Changes of the roles that wait for your yes or no, and what became of earlier ones."""


@proposals.command("list")
@click.option("--all", "every", is_flag=True, help="Also what is decided, and what is not shown yet.")
@language_option
@home_option
@json_option
@verb
def list_(every: bool, language: str, home: Path | None, as_json: bool) -> None:
    """What is proposed, each in one sentence; what runs on trial; what should be taken back."""
    with opened(home) as twin:
        _draw_list(twin, twin.proposals(every=every), language, as_json)


def _draw_list(twin: Twin, found: list[Stored], language: str, as_json: bool, **more: bool) -> None:
    from twin.review import state

    trial, alarms = twin.trial(), twin.watch()
    if as_json:
        show(_finite({"proposals": [_row(one) for one in found], "trial": plain(trial) if trial else None,
                      "alarms": [plain(one) for one in alarms], **more}))
        return
    for one in found:
        click.echo(f"{one.proposal.id}  {state(one.state, language):20} {brief(one.proposal.say(language), 200)}")
    if trial is not None:
        note(trial.say(language))
    for alarm in alarms:
        click.echo(alarm.say(language))
    if found:
        note("`twin proposals show ID` has the numbers.")
    else:
        note("Nothing waits. `twin reflect` looks for something; `--all` lists what was decided.")


def _row(one: Stored) -> dict[str, Any]:
    said = one.proposal
    return {"id": said.id, "state": one.state, "op": said.operation.op, "target": said.target, "origin": said.origin,
            "says": {spoken: said.say(spoken) for spoken in ("en", "ru")}, "made": said.made.isoformat(),
            "verdict": one.proofs[-1].verdict if one.proofs else None}


@proposals.command("show")
@click.argument("id")
@language_option
@home_option
@json_option
@verb
def show_(id: str, language: str, home: Path | None, as_json: bool) -> None:
    """Everything a decision needs: the change in words, the gain with its interval, what got worse, three items before
    and after, the cost."""
    with opened(home) as twin:
        _draw(twin, id, language, as_json)


def _draw(twin: Twin, id: str, language: str, as_json: bool) -> None:
    found = twin.review(id)
    if as_json:
        show(_finite({**plain(found), "worse": [plain(one) for one in found.worse],
                      "text": {spoken: found.text(spoken) for spoken in ("en", "ru")}}))
        return
    for line in found.text(language).split("\n"):
        click.echo(printable(line))


def _finite(value: Any) -> Any:
    """JSON has no NaN: what is not known is null."""
    if isinstance(value, dict):
        return {name: _finite(item) for name, item in value.items()}
    if isinstance(value, list):
        return [_finite(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


@proposals.command("prove")
@click.argument("id")
@language_option
@model_option
@home_option
@json_option
@verb
def prove(id: str, language: str, model: str | None, home: Path | None, as_json: bool) -> int:
    """Measure a proposal on conversations it was not made from; exit status 1 where that does not speak for it."""
    with opened(home, model) as twin, stoppable() as stopped:
        note("Proving; Ctrl-C stops ...")
        try:
            made = twin.prove(id, cancel=stopped)
        except TwinError as error:
            if not stopped():
                raise
            note(f"twin: {error}")
            return _STOP
        _draw(twin, f"p-{made.proposal[:10]}", language, as_json)
    return 0 if made.verdict == "accepted" else 1


@proposals.command("approve")
@click.argument("id")
@click.option("--high-risk", is_flag=True, help="For what lets a role see more, or makes and unmakes roles.")
@language_option
@home_option
@json_option
@verb
def approve(id: str, high_risk: bool, language: str, home: Path | None, as_json: bool) -> None:
    """Put a proven proposal into force, one at a time."""
    with opened(home) as twin:
        before = twin.role_map
        _changed(twin, before, twin.approve(id, high_risk=high_risk), language, as_json)


@proposals.command("try")
@click.argument("id")
@click.option("--turns", type=click.IntRange(1, 500), default=50, show_default=True, help="For so many messages.")
@language_option
@home_option
@json_option
@verb
def try_(id: str, turns: int, language: str, home: Path | None, as_json: bool) -> None:
    """Try a proposal that is not proven for a while; it ends by itself, or with `rollback`."""
    with opened(home) as twin:
        before = twin.role_map
        _changed(twin, before, twin.attempt(id, turns), language, as_json)


@proposals.command("rollback")
@click.argument("id", default="")
@language_option
@home_option
@json_option
@verb
def rollback(id: str, language: str, home: Path | None, as_json: bool) -> None:
    """Take a proposal back that is in force or on trial (default: the last one): the files come back byte for byte."""
    with opened(home) as twin:
        before = twin.role_map
        _changed(twin, before, twin.rollback(id), language, as_json)


def _changed(twin: Twin, before: RoleMap, after: RoleMap, language: str, as_json: bool) -> None:
    from twin.role_changes import changes

    said, trial = changes(before, after, language), twin.trial()
    if as_json:
        show({"version": after.version, "changes": said, "trial": plain(trial) if trial else None})
        return
    for line in said:
        click.echo(one_line(line))
    if before.version == after.version and trial is None:
        note("The role map stays as it is.")
        return
    note(f"Version {after.version[:12]} is in force. " + (
        trial.say(language) if trial else "`twin proposals rollback` takes the last proposal back."))


@proposals.command("reject")
@click.argument("id")
@click.option("--note", "why", default="", help="Why, for yourself.")
@home_option
@json_option
@verb
def reject(id: str, why: str, home: Path | None, as_json: bool) -> None:
    """Say no to a proposal; after two refusals of the same kind there are two weeks of quiet."""
    with opened(home) as twin:
        twin.reject(id, why)
    show({"rejected": id}) if as_json else note("Noted.")


# ---- searching, and only measuring -----------------------------------------------------------------------------------

@click.command()
@click.option("--budget", type=click.IntRange(min=1), default=200_000, show_default=True,
              help="Words that routers may read, at most.")
@click.option("--seed", type=int, default=0, show_default=True, help="Equal seeds and words give equal searches.")
@click.option("--way", type=click.Choice(["random", "evolution", "greedy"]), default="random", show_default=True,
              help="How the map to change next is chosen: any; by wins at single messages; the best so far.")
@click.option("--picture", type=click.Path(path_type=Path, dir_okay=False), help="Draw the lineage as .svg or .png.")
@language_option
@home_option
@json_option
@verb
def evolve(budget: int, seed: int, way: str, picture: Path | None, language: str, home: Path | None,
           as_json: bool) -> int:
    """Search among many role maps for one that routes your messages better; one proposal a day at most comes of it.

    It can be stopped at any moment and goes on from there; with a larger budget as well.
    """
    from twin.lineage import suffix

    if picture is not None:
        suffix(picture)  # before the search
    with opened(home) as twin, stoppable() as stopped:
        lineage, made = twin.evolve(budget, seed=seed, way=way, progress=Bar(), cancel=stopped)  # type: ignore[arg-type]
        nothing = {} if made else twin.why_nothing(lineage)
    lineage = replace(lineage, language=language)
    if as_json:
        show(_finite({"run": lineage.run.id, "ended": lineage.run.ended, "lines": [plain(one) for one in lineage.lines],
                      "proposal": _row(made) if made else None, "nothing": nothing}))
    else:
        _draw_lineage(lineage, made, nothing)
    if picture is not None:
        note(f"The lineage is drawn in {lineage.save(picture)}.")
    return _STOP if lineage.run.ended == "cancelled" else 0


def _draw_lineage(lineage: Lineage, made: Stored | None, nothing: dict[str, str]) -> None:
    click.echo(printable(str(lineage)))
    click.echo(lineage.ended)
    if made is not None:
        click.echo(f"{made.proposal.id}  {brief(made.proposal.say(lineage.language), 200)}")
    note("`twin proposals prove` has the last word." if made else nothing[lineage.language])


@click.command()
@click.argument("what")
@language_option
@model_option
@home_option
@json_option
@verb
def whatif(what: str, language: str, model: str | None, home: Path | None, as_json: bool) -> int:
    """Measure a change that is never applied: "16 roles", "8 experts", "temperature 0.3 for critic", or an operation as
    JSON. Its prediction and what came out stand in the ledger."""
    with opened(home, model) as twin, stoppable() as stopped:
        found = twin.whatif(what, progress=Bar(), cancel=stopped)
    if as_json:
        show(_finite({**plain(found), "text": {spoken: found.say(spoken) for spoken in ("en", "ru")}}))
    else:
        for line in found.say(language).split("\n"):
            click.echo(printable(line))
    if found.stopped:
        note(_STOPPED)
    return _STOP if found.stopped else 0


# ---- the audit -------------------------------------------------------------------------------------------------------

@click.group()
def audit() -> None:
    """The log of every step of proposals and of the role map: ids and hashes, each line chained to the one before."""


@audit.command("verify")
@language_option
@home_option
@json_option
@verb
def verify(language: str, home: Path | None, as_json: bool) -> int:
    """Check that no line of the audit was changed, removed or put in between; exit status 1 where one was."""
    with opened(home) as twin:
        found = twin.verify_audit()
    show(found) if as_json else click.echo(found.say(language))
    return 0 if found.ok else 1
