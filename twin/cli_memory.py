"""The command line of what is stored: import, sources, recall, forget, memory. Draws what Twin does."""
from __future__ import annotations

import sys
from collections.abc import Mapping
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from twin.cli import Bar, brief, home_option, json_option, note, opened, plain, show, verb
from twin.errors import UsageError, WhoIsMe
from twin.text import one_line

if TYPE_CHECKING:
    from twin.chat import Twin
    from twin.forgetting import Forgotten
    from twin.types import ImportReport, Scope


@click.command("import")
@click.argument("path", type=click.Path(path_type=Path))
@click.option("--me", multiple=True, help="Your name, id or address in chats of several people; '' if none is you.")
@click.option("--zone", help="Time zone of times that name none, e.g. Europe/Moscow (default: this machine's).")
@click.option("--dry-run", is_flag=True, help="Report what would happen; write nothing.")
@click.option("--no-embed", is_flag=True, help="Leave recall by meaning to `twin memory embed`.")
@home_option
@json_option
@verb
def import_(path: Path, me: tuple[str, ...], zone: str | None, dry_run: bool, no_embed: bool, home: Path | None,
            as_json: bool) -> int:
    """Import a file, zip or folder: chats with AI, messengers, mail, notes."""
    options: dict[str, Any] = {"zone": zone, "dry_run": dry_run, "embed": False, "progress": Bar()}
    with opened(home) as twin:
        names = tuple(filter(None, me)) if me else None
        try:
            report = twin.import_path(path, me=names, **options)
        except WhoIsMe as asked:
            if as_json or not (sys.stdin.isatty() and sys.stderr.isatty()):
                raise
            report = twin.import_path(path, me=_ask(asked.people), **options)
        if as_json:
            show({**plain(report), "reconciles": report.reconciles})
        else:
            _draw_report(report)
        if not dry_run:
            if not no_embed:
                _embed(twin)
            _say_whats_next(twin)
    return 2 if report.failed and report.failed == report.seen else 0  # nothing could be read: bad input


def _ask(people: Mapping[str, Mapping[str, int]]) -> list[str]:
    """Which of the authors is the person, asked once on the terminal; [] when none is."""
    listed = [(source, name, count) for source, met in sorted(people.items())
              for name, count in sorted(met.items(), key=lambda item: -item[1])[:30]]
    note("Who of these is you?")
    for number, (source, name, count) in enumerate(listed, 1):
        note(f"  {number:3}  {one_line(name)}  ({count} messages, {source})")
    def chosen(answer: str) -> list[str]:
        names = {name for _, name, _ in listed}
        if answer.strip() in names:
            return [answer.strip()]
        parts = answer.replace(",", " ").split()
        if not parts or not all(part.isdecimal() and int(part) <= len(listed) for part in parts):
            raise click.BadParameter(f"numbers from 0 to {len(listed)}, or a name as it stands above")
        return [listed[int(part) - 1][1] for part in parts if int(part)]

    names: list[str] = click.prompt("Numbers, separated by commas; 0 when none of them is", err=True,
                                    value_proc=chosen)
    return names


def _embed(twin: Twin) -> None:
    """The vectors, stoppable: everything is stored and found by words already."""
    try:
        twin.embed(progress=Bar())
    except KeyboardInterrupt:
        note("\nStopped. All is stored and found by words; `twin memory embed` goes on with recall by meaning.")


def _draw_report(report: ImportReport) -> None:
    skipped = sum(report.skipped.values())
    click.echo(f"{'Would import' if report.dry_run else 'Imported'} from {len(report.files)} files, "
               f"{report.conversations} conversations:")
    click.echo(f"  {report.seen} messages seen = {report.imported} imported + {report.updated} updated + "
               f"{report.unchanged} unchanged + {skipped} skipped + {report.failed} failed")
    roles = ", ".join(f"{count} {role}" for role, count in sorted(report.roles.items()))
    click.echo(f"  {report.own} of them your own words ({roles})")
    for reason, count in sorted(report.skipped.items()):
        click.echo(f"  skipped {count}: {reason}")
    if report.carried:
        waiting = f"{report.waiting} wait for your yes: `twin claims`" if report.waiting else "none is new"
        click.echo(f"  {report.carried} claims of a twin in it, {'not queued' if report.dry_run else waiting}")
    for repair in report.repairs:
        click.echo(f"  repaired {one_line(repair.file)}: {repair.lines} lines had been read as {repair.codec}")
        click.echo(f"    before: {one_line(repair.before)[:100]}")
        click.echo(f"    after:  {one_line(repair.after)[:100]}")
    for failure in report.failures:
        click.echo(f"  failed: {one_line(failure)}")


def _say_whats_next(twin: Twin) -> None:
    missing = [name for name in ("core", "embedder") if not twin.has(name)]
    note("`twin profile` shows what your messages say about how you think; `twin sources` what is in.")
    if "embedder" in missing:
        note("Recall works by words; `twin models pull minilm` adds recall by meaning.")
    if "core" in missing:
        name = twin.catalog.recommend().model.name
        note(f"`twin models pull {name}` adds a core: answers, and claims it reads in your messages.")


# ---- recall ----------------------------------------------------------------------------------------------------------

@click.command()
@click.argument("query")
@click.option("-k", default=10, show_default=True, help="How many passages.")
@click.option("--own", is_flag=True, help="Only your own words.")
@click.option("--source", multiple=True, help="Only this kind of source or tag: telegram, note, ru ... (repeatable).")
@click.option("--without", multiple=True, help="Leave out this source or tag: fiction, pasted ... (repeatable).")
@click.option("--person", multiple=True, help="Only what this author said (repeatable).")
@click.option("--since", help="From this day or time on: 2024, 2024-03, 2024-03-15, 2024-03-15T10:00.")
@click.option("--until", help="Up to and including this day or time.")
@click.option("--role", help="Only what this role may remember.")
@home_option
@json_option
@verb
def recall(query: str, k: int, own: bool, role: str | None, home: Path | None, as_json: bool, **where: Any) -> None:
    """Find passages of what was written, with the reason each was found."""
    with opened(home) as twin:
        found = twin.recall(query, k, own=own or None, scope=_scope(twin, role, **where), progress=Bar())
        lacking = 0 if as_json else twin.memory.status().missing
    if as_json:
        show(found)
        return
    for item in found:
        day = f"{item.time:%Y-%m-%d} " if item.time else ""
        click.echo(f"{item.score:.2f}  {day}{item.role}  {', '.join(item.message_ids)}\n      {brief(item.text)}\n"
                   f"      {item.why}")
    if not found:
        note("Nothing was found.")
    if lacking:
        note(f"{lacking:,} passages are found by words only so far; `twin memory embed` adds meaning.")


def _scope(twin: Twin, role: str | None, *, source: tuple[str, ...], without: tuple[str, ...],
           person: tuple[str, ...], since: str | None, until: str | None) -> Scope:
    from twin.types import Scope

    if role is not None:
        memory = twin.role_map.role(role).memory
        source, without = source or memory.include, (*without, *memory.exclude)
    return Scope(tags=source, without=without, people=person, since=_time(since) if since else None,
                 until=_time(until, end=True) if until else None)


def _time(text: str, *, end: bool = False) -> datetime:
    """The first moment (or with `end` the last) of a year, month, day or time as the person wrote it."""
    try:
        for form, step in (("%Y", 366), ("%Y-%m", 31), ("%Y-%m-%d", 1)):
            with suppress(ValueError):
                start = datetime.strptime(text, form)
                if end:
                    after = datetime.strptime((start + timedelta(days=step)).strftime(form), form)
                    start = after - timedelta(microseconds=1)
                return start.astimezone(UTC)
        return datetime.fromisoformat(text).astimezone(UTC)
    except (ValueError, OverflowError) as error:  # the calendar ends with the year 9999
        raise UsageError(f"{text!r} is no day or time.", "Write it as 2024-03-15 or 2024-03-15T10:00.") from error


@click.group()
def memory() -> None:
    """The recall engine; everything in it can be rebuilt from the archive."""


@memory.command("rebuild")
@home_option
@json_option
@verb
def memory_rebuild(home: Path | None, as_json: bool) -> None:
    """Build recall anew from the archive."""
    with opened(home) as twin:
        count = twin.rebuild_memory(progress=Bar())
    show({"passages": count}) if as_json else click.echo(f"{count} passages.")


@memory.command("embed")
@home_option
@json_option
@verb
def memory_embed(home: Path | None, as_json: bool) -> None:
    """Make the vectors that recall by meaning still lacks; Ctrl-C stops, the next call goes on."""
    with opened(home) as twin:
        made = twin.embed(progress=Bar())
        status = twin.memory.status()
    if as_json:
        show({"embedded": made, "missing": status.missing, "embedder": status.embedder})
    else:
        click.echo(f"{made} passages embedded, {status.missing} left.")


# ---- what is in, and what goes out -----------------------------------------------------------------------------------

@click.command()
@home_option
@json_option
@verb
def sources(home: Path | None, as_json: bool) -> None:
    """What is in: everything that was imported, with counts."""
    with opened(home) as twin:
        listed = twin.sources()
    if as_json:
        show(listed)
        return
    for one in listed:
        days = f"{one.since:%Y-%m-%d} - {one.until:%Y-%m-%d}" if one.since and one.until else "no dates"
        spoken = ", ".join(f"{count} {name}" for name, count in sorted(one.languages.items()))
        click.echo(f"{one_line(one.name)}\n      {', '.join(one.kinds)}: {one.conversations} conversations, "
                   f"{one.messages} messages, {one.own} your own ({spoken}); {days}")
    if not listed:
        note("Nothing is in yet; `twin import PATH` brings the first.")


@click.command()
@click.argument("target")
@click.option("--yes", is_flag=True, help="Do not ask.")
@home_option
@json_option
@verb
def forget(target: str, yes: bool, home: Path | None, as_json: bool) -> int:
    """Take back a source, conversation, message or claim: gone everywhere, with a proof.

    TARGET is a name of `twin sources`, a conversation or message id of `twin recall`, claim:NAME of `twin profile`, or
    what was typed here: turn:ID, twin:CHAT, or twin for all of it.
    On a terminal it asks first; with --yes, --json or in a script it does not.
    """
    with opened(home) as twin:
        if not (yes or as_json) and sys.stdin.isatty():
            click.confirm(f"Forget {brief(target)} for good?", abort=True, err=True)
        gone = twin.forget(target, progress=Bar())
    show({**plain(gone), "clean": gone.clean}) if as_json else _draw_forgotten(gone)
    return 0 if gone.clean else 1


def _draw_forgotten(gone: Forgotten) -> None:
    click.echo(f"Forgotten: {gone.messages} messages of {gone.conversations} conversations, {gone.passages} passages, "
               f"{len(gone.claims)} claims; {gone.turns} turns deleted or redacted.")
    for source, count in gone.also.items():
        click.echo(f"  {count} of these messages had also come from {one_line(source)}")
    for what, names in (("lost its last evidence", gone.claims), ("removed", gone.removed),
                        ("stale until trained again or allowed", gone.adapters),
                        ("changed or moved since it was written, delete it yourself", gone.carried_away)):
        for name in names:
            click.echo(f"  {what}: {one_line(name)}")
    for check in gone.proof:
        click.echo(f"  searched {check.where}, {check.searched:,} {check.unit}: {check.before} traces before, "
                   f"{check.after} after")
    if not gone.clean:
        click.echo("SOMETHING IS LEFT: see the places above.")
    elif gone.runs:
        click.echo(f"Nothing of it is left: {gone.runs:,} runs of its text were searched for.")
    else:
        click.echo("It is deleted. Its text is too short, or stands too often in what remains, to be searched for.")


@click.command()
@click.argument("adapter")
@home_option
@verb
def allow(adapter: str, home: Path | None) -> None:
    """Let an adapter load although it was trained on what was forgotten since."""
    with opened(home) as twin:
        twin.allow_adapter(adapter)
    note(f"{adapter} loads again.")
