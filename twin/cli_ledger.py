"""`twin ledger`: hypotheses, what they predict, what was measured, and the verdict. Draws what twin.ledger knows."""
from __future__ import annotations

import platform
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from twin import __version__
from twin.cli import Bar, brief, handed_down, home_option, json_option, note, plain, show, verb
from twin.errors import UsageError
from twin.text import one_line

if TYPE_CHECKING:
    from twin.ledger import Credit, Entry, Ledger, Measurement, Prediction

_LANGUAGE = click.option("--language", type=click.Choice(["en", "ru"]), default="en", show_default=True,
                         help="Of claims that stand in both.")


def _store(home: Path | None) -> Ledger:
    from twin.archive.ledger import Ledgers
    from twin.home import Home
    from twin.ledger import Ledger

    return Ledger(Ledgers(Home(home)))


@click.group(invoke_without_command=True)
@_LANGUAGE
@home_option
@json_option
@click.pass_context
@verb
def ledger(context: click.Context, language: str, home: Path | None, as_json: bool) -> None:
    """Hypotheses: what each predicts, what was measured, and the verdict by arithmetic."""
    if handed_down(context, language=language, home=home, as_json=as_json):
        return
    found = _store(home).entries()
    if as_json:
        show([_document(entry, language) for entry in found])
        return
    for entry in found:
        click.echo(f"{entry.id:26} {entry.verdict:14} {brief(entry.say(language), 200)}")
        click.echo(f"{'':26} {_predicts(entry.prediction)}; {_measured(entry)}")
    note("`twin ledger show ID` shows all of one; `add`, `measure` and `report FILE` bring in what is new.")


@ledger.command("show")
@click.argument("id")
@_LANGUAGE
@home_option
@json_option
@verb
def show_(id: str, language: str, home: Path | None, as_json: bool) -> None:
    """All of one hypothesis: prediction, plan, reports, measurements, the roles that hold it."""
    entry = _store(home).entry(id)
    if as_json:
        show(_document(entry, language))
    else:
        _draw(entry, language)


@ledger.command()
@click.argument("claim")
@click.option("--metric", help="What will be measured.")
@click.option("--up", "direction", flag_value="up", help="It will lie at the threshold or above.")
@click.option("--down", "direction", flag_value="down", help="It will lie at the threshold or below.")
@click.option("--threshold", type=float)
@click.option("--unit", default="", help="Of the threshold: %, tok/s, GB ...")
@click.option("--plan", "command", default="", help="How it is measured: a command or a procedure.")
@click.option("--n", type=click.IntRange(min=1), help="On how many.")
@click.option("--stop", default="", help="When to stop.")
@click.option("--cost", default="", help="What it costs.")
@click.option("--by", multiple=True, metavar="ROLE=WEIGHT", help="A role that holds it, and how surely (0 to 1).")
@click.option("--against", multiple=True, metavar="ROLE=WEIGHT", help="A role that holds the opposite.")
@click.option("--prior", type=float, default=0.5, show_default=True, help="How likely it is before measuring.")
@click.option("--source", default="owner", show_default=True, help="Where it is from: a turn, a file, a person.")
@click.option("--id", "name", default="", help="A name of your own instead of h-0001.")
@home_option
@json_option
@verb
def add(claim: str, metric: str | None, direction: str | None, threshold: float | None, unit: str, command: str,
        n: int | None, stop: str, cost: str, by: tuple[str, ...], against: tuple[str, ...], prior: float, source: str,
        name: str, home: Path | None, as_json: bool) -> None:
    """Enter a hypothesis. Its claim, prediction and plan are frozen from then on."""
    from twin.ledger import Plan

    made, new = _store(home).add(
        claim, _prediction(metric, direction, threshold, unit), Plan(command, n, stop, cost), id=name, source=source,
        prior=prior, credits=[_credit(one, "for") for one in by] + [_credit(one, "against") for one in against])
    if as_json:
        show({**_document(made, "en"), "added": new})
        return
    _draw(made, "en")
    if not new:
        note("It was there already.")
    elif made.prediction is None:
        note("Without --metric, --threshold and --up or --down nothing can decide it.")
    else:
        note(f"It is frozen. `twin ledger measure {made.id} --value .. --low .. --high .. --n ..` decides it.")


@ledger.command()
@click.argument("id")
@click.option("--value", type=float, required=True, help="What came out, in the unit of the prediction.")
@click.option("--low", type=float, required=True, help="Lower end of its 95 % interval.")
@click.option("--high", type=float, required=True, help="Upper end.")
@click.option("--n", type=int, required=True, help="On how many it was measured.")
@click.option("--environment", help="Core, build and machine (default: this version and machine).")
@home_option
@json_option
@verb
def measure(id: str, value: float, low: float, high: float, n: int, environment: str | None, home: Path | None,
            as_json: bool) -> None:
    """Enter what was measured; the interval and the threshold give the verdict."""
    from twin.ledger import Measurement

    where = environment if environment is not None else (
        f"twin {__version__}, Python {platform.python_version()}, {platform.system()} {platform.machine()}")
    made = _store(home).measure(id, Measurement(value, low, high, n, where))
    if as_json:
        show(_document(made, "en"))
        return
    _draw(made, "en")
    if made.plan.n and n < made.plan.n:
        note(f"The plan was to measure {made.plan.n}, this is {n}: a look before the end can mislead.")


@ledger.command()
@click.argument("file", type=click.Path(path_type=Path, dir_okay=False))
@home_option
@json_option
@verb
def report(file: Path, home: Path | None, as_json: bool) -> None:
    """Read a saved thread or article (text, Markdown, HTML): results that others report, as verbatim quotes."""
    found = _store(home).report(file, progress=Bar())
    if as_json:
        show([{**_document(entry, "en"), "added": new} for entry, new in found])
        return
    for entry, new in found:
        click.echo(f"{entry.id:8} {'new' if new else 'known':6} {_read(entry):24} {brief(entry.say(), 200)}")
        if entry.links:
            click.echo(f"{'':15} belongs to {', '.join(entry.links)}")
    added = sum(new for _, new in found)
    if not found:
        click.echo(f"{one_line(file.name)} reports no result: no sentence has a number with a unit, words of "
                   "experience and a model or quantisation near. Nothing was entered.")
    else:
        note(f"{added} new, {len(found) - added} known. They are reported, not shown: only a measurement here counts.")


# ---- from words ------------------------------------------------------------------------------------------------------

def _prediction(metric: str | None, direction: str | None, threshold: float | None, unit: str) -> Prediction | None:
    from twin.ledger import Prediction

    if metric is None and direction is None and threshold is None and not unit:
        return None
    if metric is None or direction is None or threshold is None:
        raise UsageError("A prediction has a metric, a direction and a threshold.",
                         "Give --metric, --up or --down, and --threshold together.")
    return Prediction(metric, "up" if direction == "up" else "down", threshold, unit)


def _credit(said: str, side: str) -> Credit:
    from twin.ledger import Credit

    role, _, weight = said.rpartition("=")
    try:
        return Credit(role.strip(), float(weight), "for" if side == "for" else "against")
    except ValueError:
        raise UsageError(f"{said!r} names no weight.", "Say ROLE=WEIGHT, such as critic=0.7.") from None


# ---- drawing ---------------------------------------------------------------------------------------------------------

def _document(entry: Entry, language: str) -> dict[str, Any]:
    """An entry for --json: the claim in one language and in all, the last measurement beside all of them."""
    measured = [{**plain(one), "verdict": entry.prediction.judge(one.low, one.high)}
                for one in entry.measurements if entry.prediction]
    return {**plain(entry), "claim": entry.say(language), "claims": dict(entry.claim), "verdict": entry.verdict,
            "measurements": measured, "measured": measured[-1] if measured else None, "intact": entry.intact}


def _predicts(prediction: Prediction | None) -> str:
    if prediction is None:
        return "predicts nothing that could be measured"
    side = "at least" if prediction.direction == "up" else "at most"
    metric, unit = one_line(prediction.metric), one_line(prediction.unit)
    return f"predicts {metric} {side} {prediction.threshold:g} {unit}".rstrip()


def _measured(entry: Entry) -> str:
    if entry.measurements:
        more = f", the last of {len(entry.measurements)}" if len(entry.measurements) > 1 else ""
        return f"measured {_interval(entry.measurements[-1])}{more}"
    return f"reported {_read(entry)}; not measured here" if entry.reports else "not measured yet"


def _interval(one: Measurement) -> str:
    return f"{one.value:g} ({one.low:g} to {one.high:g}), n = {one.n}"


def _read(entry: Entry) -> str:
    """Numbers that others report: the plain value, or all numbers there are."""
    return ", ".join(
        f"{one.metric} {f'{one.value:g}' if one.value is not None else '-'.join(f'{n:g}' for n in one.numbers)} "
        f"{one.unit}".rstrip() for report in entry.reports for one in report.readings)


def _draw(entry: Entry, language: str) -> None:
    click.echo(f"{entry.id}: {entry.verdict}\n   {one_line(entry.say(language))}")
    click.echo(f"   {_predicts(entry.prediction)}, prior {entry.prior:g}, from {brief(entry.source, 100)}")
    plan = [one_line(entry.plan.command), f"n = {entry.plan.n}" if entry.plan.n else "", one_line(entry.plan.stop),
            one_line(entry.plan.cost)]
    if any(plan):
        click.echo(f"   plan: {'; '.join(filter(None, plan))}")
    state = "" if entry.intact else "  (its words are no longer those that were frozen)"
    click.echo(f"   frozen {entry.frozen[:16]}{f', {entry.made:%Y-%m-%d %H:%M}' if entry.made else ''}{state}")
    for one in entry.measurements:
        verdict = entry.prediction.judge(one.low, one.high) if entry.prediction else ""
        click.echo(f"   measured {_interval(one)}: {verdict}{f', {one.time:%Y-%m-%d}' if one.time else ''}, "
                   f"{brief(one.environment, 120)} ({one.hash[:8]})")
    for said in entry.reports:
        if said.quote:
            click.echo(f"   {brief(said.file, 60)} {said.start}:{said.end}, sha256 {said.sha256[:16]}, about "
                       f"{one_line(', '.join(said.about))}: {_read(entry)}")
        else:
            click.echo(f"   reported {_read(entry)}")
    for credit in entry.credits:
        click.echo(f"   {brief(credit.role, 40)} {credit.side}, {credit.weight:g}")
    if entry.links:
        click.echo(f"   belongs to {', '.join(entry.links)}")
