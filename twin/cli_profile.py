"""The command line of the self-profile: the report, depth, one claim, versions, lifts, portraits."""
from __future__ import annotations

import re
import sys
from collections import Counter
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from twin.cli import Bar, brief, home_option, json_option, model_option, note, opened, plain, show, verb
from twin.errors import InputError, UsageError
from twin.text import one_line, printable

if TYPE_CHECKING:
    from twin.chat import Twin
    from twin.person import Depth, Profile, SubQuestion
    from twin.self_profile import Shown, Why

_LANGUAGE = click.option("--language", type=click.Choice(["en", "ru"]), help="Default: the language you write most.")


# ---- the report ------------------------------------------------------------------------------------------------------

@click.command()
@click.option("--read", default=0, show_default=True, metavar="N", type=click.IntRange(min=0),
              help="Let the core read up to N more of your messages first.")
@_LANGUAGE
@click.option("--md", is_flag=True, help="As Markdown.")
@click.option("--html", is_flag=True, help="As a page with pictures, in one file.")
@click.option("--public", is_flag=True,
              help="Without names, places and addresses; writes nothing when a second look sees one.")
@click.option("--keep", multiple=True, metavar="WORD", help="With --public: a name that may stay.")
@click.option("--out", type=click.Path(path_type=Path, dir_okay=False), help="Write it there.")
@model_option
@home_option
@json_option
@verb
def profile(read: int, language: str | None, md: bool, html: bool, public: bool, keep: tuple[str, ...],
            out: Path | None, model: str | None, home: Path | None, as_json: bool) -> None:
    """How you think and at what level you ask, each claim with its quotes."""
    forms = [name for name, wanted in (("md", md), ("html", html), ("json", as_json)) if wanted]
    if len(forms) > 1:
        raise UsageError("The report comes in one form at a time.", f"Keep one of --{', --'.join(forms)}.")
    form = forms[0] if forms else "text"
    with opened(home, model) as twin:
        if read:
            _tell_cost(twin, read)
        began = datetime.now(UTC)
        made = twin.profile(read=read, language=language, progress=Bar())
        if read:
            _tell_failures(twin, began)
        text = _rendered(made, form, twin.records.me if public else None, keep)
        if out:
            from twin.home import write_atomically

            write_atomically(out, text)
            note(f"Written to {out}.")
        else:
            click.echo(text)
        if form == "text":
            _say_whats_next(twin, made)


def _rendered(made: Profile, form: str, me: tuple[str, ...] | None, keep: tuple[str, ...]) -> str:
    """The report in a form; for the public where `me` gives the person's own names, which go too."""
    from twin import report
    from twin.public import check, owner_names
    from twin.public import public as published

    owner = owner_names(me or ())
    if me is not None:
        made = published(made, keep=keep, owner=owner)
    if form == "json":
        import json

        text = json.dumps({**plain(made), "levels": made.levels, **report.numbers(made)}, ensure_ascii=False, indent=1)
        text = text.encode("utf-8", "replace").decode("utf-8")
    elif form == "html":
        text = report.html(made)
    else:
        text = report.markdown(made) if form == "md" else report.render(made)
    if me is not None:
        check(text, keep=keep, owner=owner)
    return text


def _tell_cost(twin: Twin, read: int) -> None:
    """What reading costs, before it starts."""
    cost = twin.cost(read)
    if cost.messages:
        time = f"about {_duration(cost.seconds)}" if cost.seconds is not None else "an unknown time"
        note(f"The core will read {cost.messages} messages ({cost.tokens:,} tokens) in {time}. Ctrl-C stops it; what "
             "it has read by then is kept.")


def _tell_failures(twin: Twin, since: datetime) -> None:
    kinds = Counter(one.kind for one in twin.failures() if one.time >= since)
    if kinds:
        note("Not all that the core read gave claims: " + ", ".join(f"{kind} {n}" for kind, n in sorted(kinds.items()))
             + ". `twin failures` shows what it wrote.")


def _duration(seconds: float) -> str:
    return f"{seconds:.0f} s" if seconds < 90 else f"{seconds / 60:.0f} min"


def _say_whats_next(twin: Twin, made: Profile) -> None:
    if made.claims:
        note(f"`twin why {made.claims[0].id}` shows the quotes in their context; `twin verify` checks all of them.")
    if not twin.has("core"):
        note("All of this is by rules. A core would add claims it reads between the lines: "
             f"`twin models pull {twin.catalog.recommend().model.name}`, then `twin profile --read 40`.")
    elif made.read_by_core < made.own_messages:
        note(f"The core has read {made.read_by_core} of {made.own_messages} own messages; "
             "`twin profile --read 40` lets it read more.")


# ---- the depth of one question ---------------------------------------------------------------------------------------

@click.command()
@click.argument("question", required=False)
@click.option("--file", "source", type=click.Path(path_type=Path, dir_okay=False),
              help="A text file with one question per line; - reads standard input.")
@click.option("--core", is_flag=True, help="Hear the core too, as far as it earned a say on questions of known depth.")
@model_option
@home_option
@json_option
@verb
def depth(question: str | None, source: Path | None, core: bool, model: str | None, home: Path | None,
          as_json: bool) -> None:
    """How deep a question asks, 1 to 7, with its signals and its tree."""
    from twin.depth import rate

    if core and question is not None:
        with opened(home, model) as twin:
            found, counts = twin.person.rate(question)
        if not counts:
            note("This core is no help with depth in this language: the rules alone rate.")
        show(_depth(question, found)) if as_json else _draw_depth(question, found, whole=True)
        return
    if core:
        raise UsageError("--core rates one question at a time.", "Leave out --file, or --core.")
    if (question is None) == (source is None):
        raise UsageError("Give one question, or --file with one question per line.", 'Say: twin depth "question".')
    if question is not None:
        found = rate(question)
        show(_depth(question, found)) if as_json else _draw_depth(question, found, whole=True)
    else:
        _rate_lines(_lines(source), as_json=as_json)


def _rate_lines(lines: list[str], *, as_json: bool) -> None:
    from twin.depth import rate

    rated: list[dict[str, Any]] = []
    for one in lines:
        try:
            found = rate(one)
        except UsageError as error:  # a line without words keeps its place
            rated.append({"text": one, "level": None, "error": error.what})
            if not as_json:
                click.echo(f" - ({error.what})  {brief(one)}")
        else:
            rated.append(_depth(one, found))
            if not as_json:
                _draw_depth(one, found, whole=False)
    if as_json:
        show(rated)


def _lines(source: Path | None) -> list[str]:
    """The lines with something in them; U+2028 and kin end none."""
    named = "Standard input" if source is None or str(source) == "-" else str(source)
    try:
        data = sys.stdin.buffer.read() if source is None or str(source) == "-" else source.read_bytes()
        return [line for line in re.split(r"\r?\n", data.decode("utf-8-sig")) if line.strip()]
    except OSError as error:
        raise InputError(f"{named} cannot be read ({error.strerror}).", "Name a text file.") from error
    except UnicodeDecodeError as error:
        raise InputError(f"{named} is not UTF-8 text ({error.reason}).", "Save it as UTF-8.") from error


def _depth(text: str, found: Depth) -> dict[str, Any]:
    return {"text": text, **plain(found), "step": found.step, "shown": found.shown}


def _draw_depth(text: str, found: Depth, *, whole: bool) -> None:
    if not whole:
        click.echo(f"{found.shown:>2} ({found.level:.1f})  {brief(text)}")
        return
    thesis = ", a thesis" if found.thesis else ""
    click.echo(f"{found.shown}  (level {found.level:.1f}, between {found.low:.1f} and {found.high:.1f}{thesis})")
    click.echo(f"   {found.rule}")
    signals = ", ".join(f"{name} {value}" for name, value in found.signals.items() if value)
    click.echo(f"   signals: {signals or 'none'}")
    _draw_tree(found.tree, "   ")


def _draw_tree(node: SubQuestion, lead: str) -> None:
    click.echo(f"{lead}{node.kind}: {brief(node.text, 100)}")
    for part in node.parts:
        _draw_tree(part, lead + "   ")


# ---- one claim -------------------------------------------------------------------------------------------------------

@click.command()
@click.argument("claim")
@home_option
@json_option
@verb
def why(claim: str, home: Path | None, as_json: bool) -> None:
    """The quotes a claim rests on, in their context. CLAIM: its id or its number in the report."""
    with opened(home) as twin:
        found = twin.why(claim)
    if as_json:
        show(found)
        return
    _draw_why(found)


def _draw_why(found: Why) -> None:
    one = found.claim
    click.echo(f"{one.id}: {one_line(one.text)}")
    click.echo(f"  {one.authority}, confidence {one.confidence:.2f}, {one.origin}")
    for shown in found.shown:
        day = f"{shown.mark.time:%Y-%m-%d} " if shown.mark.time else ""
        click.echo(f"\n  {day}{one_line(shown.mark.conversation)}/{one_line(shown.mark.message)}, "
                   f"characters {shown.mark.start} to {shown.mark.end}")
        _draw_shown(shown)


def _draw_shown(shown: Shown) -> None:
    if not shown.quote:
        click.echo("    The quote no longer stands there; `twin verify` says what happened.")
        return
    for neighbour in (shown.before, shown.message, shown.after):
        if neighbour is None:
            continue
        if neighbour is shown.message:
            start, end, text = shown.mark.start, shown.mark.end, neighbour.text
            around = f"{text[max(0, start - 200):start]}»{text[start:end]}«{text[end:end + 200]}"
            click.echo(f"  > {one_line(around)}")
        else:
            click.echo(f"    {neighbour.role}: {brief(neighbour.text, 140)}")


@click.command()
@home_option
@json_option
@verb
def verify(home: Path | None, as_json: bool) -> int:
    """Check every quote of the profile against what is stored; exit status 1 names the claims that fail."""
    with opened(home) as twin:
        found = twin.verify()
    if as_json:
        show({**plain(found), "ok": found.ok})
    else:
        click.echo(str(found))
    return 0 if found.ok else 1


@click.command()
@home_option
@json_option
@verb
def failures(home: Path | None, as_json: bool) -> None:
    """Where the core read and nothing could be used of it, with what it wrote."""
    with opened(home) as twin:
        found = twin.failures()
    if as_json:
        show(found)
        return
    for one in found:
        click.echo(f"{one.time:%Y-%m-%d %H:%M}  {one.kind}, {len(one.keys)} messages, {one.model}")
        click.echo(f"    {brief(one.raw, 400)}")
    if not found:
        note("None.")


@click.command()
@click.argument("action", type=click.Choice(["approve", "reject", "pin", "edit", "undo"]))
@click.argument("claim")
@click.argument("text", required=False, default="")
@home_option
@json_option
@verb
def decide(action: str, claim: str, text: str, home: Path | None, as_json: bool) -> None:
    """Have the last word on a claim: approve, reject (for good), pin, edit with your TEXT, undo."""
    with opened(home) as twin:
        made = twin.decide(claim, action, text)
        stands = twin.person.decided(made.claim)
    if as_json:
        show(made)
        return
    if action != "undo":
        note(f"{made.claim} {_DONE[action]}. `twin decide undo {made.claim}` takes that back.")
        return
    back = f"what you decided before holds again: it {_DONE[stands[-1].action]}" if stands else (
        "it stands as it was found, wherever your messages still show it")
    note(f"{made.claim}: your last decision is taken back; {back}.")


_DONE = {"approve": "is approved: it counts as your own word", "reject": "is rejected: no profile shows it again",
         "pin": "is pinned: it comes first", "edit": "has your words now"}


@click.command()
@click.argument("before", required=False)
@click.argument("after", required=False)
@home_option
@json_option
@verb
def history(before: str | None, after: str | None, home: Path | None, as_json: bool) -> None:
    """Versions of your profile; with one or two of them, what is different (default AFTER: the last one)."""
    with opened(home) as twin:
        if before:
            found = twin.diff(before, after)
            show(found) if as_json else click.echo(printable(str(found)))
            return
        kept = twin.versions()
    if as_json:
        show(kept)
        return
    for one in kept:
        asked = sum(count for levels in one.levels.values() for count in levels.values())
        click.echo(f"{one.version}  {one.made:%Y-%m-%d %H:%M}  {len(one.claims)} claims, {asked} questions, "
                   f"{one.own_messages} own messages")
    if len(kept) > 1:
        note(f"`twin history {kept[-2].version} {kept[-1].version}` shows what is different.")
