"""The command line of own ways to ask, of portraits by others, and of what is typed to the twin."""
from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from twin.cli import brief, home_option, json_option, model_option, note, opened, plain, show, verb
from twin.errors import UsageError
from twin.text import one_line, printable

if TYPE_CHECKING:
    from twin.person import Evidence
    from twin.portrait import Attributed, Audit


@click.command()
@click.argument("question")
@click.option("--core", is_flag=True, help="Let the core write it, checked by the same rules.")
@model_option
@home_option
@json_option
@verb
def lift(question: str, core: bool, model: str | None, home: Path | None, as_json: bool) -> None:
    """How you would have asked a flat question.

    By rule it puts what the question names into fixed frames of your own deep ways to ask: first those you used for the
    same things, then your commonest ones. With --core a core words it.
    """
    with opened(home, model) as twin:
        found = twin.lift(question, core=core)
    if as_json:
        show(found)
        return
    click.echo(f"{found.depth_before.shown}  {brief(question)}")
    for text, after in zip(found.lifted, found.depth_after, strict=True):
        click.echo(f"{after.shown}  {one_line(text)}")
    if not found.lifted:
        note("No way of yours to ask deeper fits this one.")
    for quote in found.because:
        note(f"   as in: {_quoted(quote)}")


@click.command("audit-portrait")
@click.argument("file", type=click.Path(path_type=Path, dir_okay=False))
@click.option("--confirm", metavar="N,N,..", help="Words under these numbers are yours ('all': every one of them).")
@click.option("--core", is_flag=True, help="Let the core judge what rules leave open.")
@model_option
@home_option
@json_option
@verb
def audit_portrait(file: Path, confirm: str | None, core: bool, model: str | None, home: Path | None,
                   as_json: bool) -> None:
    """Check a text about you, sentence by sentence, against your own words."""
    from twin.self_profile import portrait_text

    with opened(home, model) as twin:
        found = twin.audit(portrait_text(file), core=core)
        if not as_json:
            _draw_audit(found)
        chosen = _chosen(found, confirm, as_json)
        added = twin.confirm(found, chosen, origin=file.name).imported if chosen else 0
        if as_json:
            show({**plain(found), "confirmed": chosen, "added": added})
        elif chosen:
            note(f"{added} confirmed as your own words. `twin profile` counts them now.")


def _draw_audit(found: Audit) -> None:
    for one in found.sentences:
        click.echo(f"{one.verdict:13} {brief(one.sentence, 140)}")
        for quote in one.quotes[:2]:
            click.echo(f"              {_quoted(quote)}")
    counts = {verdict: sum(one.verdict == verdict for one in found.sentences)
              for verdict in ("supported", "contradicted", "no evidence")}
    note(", ".join(f"{count} {verdict}" for verdict, count in counts.items()))


def _chosen(found: Audit, confirm: str | None, as_json: bool) -> list[int]:
    """Numbers (from 0) of the attributed words that the person takes as theirs: by --confirm, or one key for each."""
    offered = [number for number, one in enumerate(found.attributed) if one.found is None]
    if confirm is not None:
        if confirm.strip() == "all":
            return offered
        parts = confirm.replace(",", " ").split()
        if not all(part.isdecimal() and 1 <= int(part) <= len(found.attributed) for part in parts):
            raise UsageError(f"{confirm!r} are not numbers from 1 to {len(found.attributed)}.",
                             "Give them as 1,3,4 or say all.")
        return [int(part) - 1 for part in parts]
    if as_json or not found.attributed:
        return []
    click.echo("\nWords that the text puts in your mouth:")
    asking = sys.stdin.isatty() and sys.stdout.isatty()
    chosen = []
    for number, one in enumerate(found.attributed):
        known = "  (stands in your messages already)" if one.found else ""
        click.echo(f"{number + 1:3}. {one_line(one.text)}{known}{_marked(one)}")
        if asking and not known:
            click.echo("     Did you say that? [y/n/q] ", nl=False)
            key = click.getchar().lower()
            click.echo(printable(key))
            if key in "qй":
                break
            chosen += [number] * (key in "yдн" and key != "н")
    if not asking and offered:
        note("Nothing of it counts until you confirm it: --confirm 1,2 or --confirm all.")
    return chosen


def _marked(one: Attributed) -> str:
    """What the text itself says of a question in one of its tables."""
    if one.denied:
        return f"  (the text says you did not ask this: {brief(one.mark, 40)})"
    return f"  (marked there: {brief(one.mark, 40)})" if one.mark else ""


@click.command()
@click.argument("switch", type=click.Choice(["on", "off"]))
@home_option
@verb
def remember(switch: str, home: Path | None) -> None:
    """Whether what you type to your twin counts as your own words (on from the start)."""
    with opened(home) as twin:
        twin.keeps_typed = switch == "on"
    note("What you type to your twin is kept as your own words." if switch == "on" else
         "What you type to your twin is no longer kept as your own words; `twin forget twin` takes back what was.")


def _quoted(quote: Evidence) -> str:
    day = f" ({quote.time:%Y-%m-%d})" if quote.time else ""
    return f"“{brief(quote.quote, 140)}”{day}"
