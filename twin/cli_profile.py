"""The command line of the self-profile: the report, depth, one claim, versions, lifts, portraits."""
from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from twin.cli import Bar, brief, home_option, json_option, model_option, note, opened, plain, show, verb
from twin.errors import InputError, UsageError
from twin.text import one_line, printable

if TYPE_CHECKING:
    from twin.chat import Twin
    from twin.person import Depth, Evidence, Profile, SubQuestion
    from twin.portrait import Audit
    from twin.self_profile import Shown, Why

_LANGUAGE = click.option("--language", type=click.Choice(["en", "ru"]), help="Default: the language you write most.")


# ---- the report ------------------------------------------------------------------------------------------------------

@click.command()
@click.option("--read", default=0, show_default=True, metavar="N", type=click.IntRange(min=0),
              help="Let the core read up to N more of your messages first.")
@_LANGUAGE
@click.option("--md", "form", flag_value="md", help="As Markdown.")
@click.option("--html", "form", flag_value="html", help="As a page with pictures, in one file.")
@click.option("--public", is_flag=True, help="Without other people, places and addresses; fails when one is left.")
@click.option("--keep", multiple=True, metavar="WORD", help="With --public: a name that may stay.")
@click.option("--out", type=click.Path(path_type=Path, dir_okay=False), help="Write it there.")
@model_option
@home_option
@json_option
@verb
def profile(read: int, language: str | None, form: str | None, public: bool, keep: tuple[str, ...], out: Path | None,
            model: str | None, home: Path | None, as_json: bool) -> None:
    """How you think and at what level you ask, each claim with its quotes."""
    if form and as_json:
        raise UsageError("--json is a form of its own.", f"Leave out --{form} or --json.")
    with opened(home, model) as twin:
        if read:
            _tell_cost(twin, read)
        made = twin.profile(read=read, language=language, progress=Bar())
        text = _rendered(made, "json" if as_json else form or "text", public, keep)
        if out:
            from twin.home import write_atomically

            write_atomically(out, text)
            note(f"Written to {out}.")
        else:
            click.echo(text)
        if form is None and not as_json:
            _say_whats_next(twin, made)


def _rendered(made: Profile, form: str, public: bool, keep: tuple[str, ...]) -> str:
    from twin import report
    from twin.public import check
    from twin.public import public as published

    if public:
        made = published(made, keep=keep)
    if form == "json":
        import json

        text = json.dumps({**plain(made), "levels": made.levels, **report.numbers(made)}, ensure_ascii=False, indent=1)
        text = text.encode("utf-8", "replace").decode("utf-8")
    elif form == "html":
        text = report.html(made)
    else:
        text = report.markdown(made) if form == "md" else report.render(made)
    if public:
        check(text, keep=keep)
    return text


def _tell_cost(twin: Twin, read: int) -> None:
    """What reading costs, before it starts."""
    cost = twin.cost(read)
    if cost.messages:
        time = f"about {_duration(cost.seconds)}" if cost.seconds is not None else "an unknown time"
        note(f"The core will read {cost.messages} messages ({cost.tokens:,} tokens) in {time}. Ctrl-C stops it; what "
             "it has read by then is kept.")


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
@json_option
@verb
def depth(question: str | None, source: Path | None, as_json: bool) -> None:
    """How deep a question asks, 1 to 7, with its signals and its tree."""
    from twin.depth import rate

    if (question is None) == (source is None):
        raise UsageError("Give one question, or --file with one question per line.", 'Say: twin depth "question".')
    asked = [question] if question is not None else [line for line in _lines(source) if line.strip()]
    if question is not None or not as_json:
        for one in asked:
            found = rate(str(one))
            if as_json:
                show(_depth(str(one), found))
            else:
                _draw_depth(str(one), found, whole=question is not None)
        return
    rated: list[dict[str, Any]] = []
    for one in asked:
        try:
            rated.append(_depth(str(one), rate(str(one))))
        except UsageError as error:  # a line without words keeps its place
            rated.append({"text": one, "level": None, "error": error.what})
    show(rated)


def _lines(source: Path | None) -> list[str]:
    if source is None or str(source) == "-":
        return sys.stdin.read().splitlines()
    try:
        return source.read_bytes().decode("utf-8-sig").splitlines()
    except OSError as error:
        raise InputError(f"{source} cannot be read ({error.strerror}).", "Name a text file.") from error
    except UnicodeDecodeError as error:
        raise InputError(f"{source} is not UTF-8 text ({error.reason}).", "Save it as UTF-8.") from error


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
    if as_json:
        show(made)
    else:
        note(f"{made.claim}: {made.action}. `twin profile` shows it; `twin decide undo {made.claim}` takes it back.")


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


# ---- asking your way, and what others say of you ---------------------------------------------------------------------

@click.command()
@click.argument("question")
@click.option("--core", is_flag=True, help="Let the core write it, checked by the same rules.")
@model_option
@home_option
@json_option
@verb
def lift(question: str, core: bool, model: str | None, home: Path | None, as_json: bool) -> None:
    """How you would have asked a flat question."""
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
    click.echo("\nWords that the text says are yours:")
    asking = sys.stdin.isatty() and sys.stdout.isatty()
    chosen = []
    for number, one in enumerate(found.attributed):
        known = "  (stands in your messages already)" if one.found else ""
        click.echo(f"{number + 1:3}. {one_line(one.text)}{known}")
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
