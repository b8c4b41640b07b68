"""The command line of what leaves: cores, exports, claims that come back, backup and restore."""
from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from twin.cli import Bar, brief, home_option, json_option, model_option, note, opened, plain, show, verb

if TYPE_CHECKING:
    from twin.archive import Waiting
    from twin.chat import Twin
    from twin.firmware import Comparison, Firmware
    from twin.forming import Restored


# ---- cores -----------------------------------------------------------------------------------------------------------

@click.command()
@click.argument("name", default="")
@click.option("--list", "listed", is_flag=True, help="List the cores that were formed.")
@click.option("--compare", metavar="CORE", help="What is different since that core (name or id).")
@click.option("--with", "other", metavar="CORE", default="", help="With --compare: another core than what is now.")
@click.option("--constitution", is_flag=True, help="Print a constitution that could be yours; nothing is written.")
@click.option("--accept", is_flag=True, help="With --constitution: take it as it is.")
@click.option("--lang", "language", type=click.Choice(["en", "ru"]), help="Of the constitution.")
@click.option("--drop", metavar="CORE", help="Take that core back.")
@click.option("--restore", metavar="CORE", help="Put roles and constitution of that core back.")
@home_option
@json_option
@verb
def form(name: str, listed: bool, compare: str | None, other: str, constitution: bool, accept: bool,
         language: str | None, drop: str | None, restore: str | None, home: Path | None, as_json: bool) -> None:
    """Form the core of your twin: profile, roles, adapters, constitution and passages, frozen under a NAME and an id
    that every export carries."""
    with opened(home) as twin:
        if listed:
            _list(twin.formed(), as_json)
        elif compare:
            made = twin.compare_cores(compare, other)
            show({**plain(made), "same": made.same}) if as_json else _draw(made)
        elif drop:
            gone = twin.drop_core(drop)
            show(_told(gone)) if as_json else note(f"Dropped: {gone.id} ({brief(gone.name, 40)}).")
        elif constitution:
            _constitution(twin, language, accept, as_json)
        elif restore:
            _restored(twin.restore_core(restore), as_json)
        else:
            before = {one.id: one.name for one in twin.formed()}
            core = twin.form(name)
            if before.get(core.id, core.name) != core.name:
                note(f"This state was called {brief(before[core.id], 40)} until now.")
            show(_told(core)) if as_json else click.echo(_line(core))


def _list(cores: list[Firmware], as_json: bool) -> None:
    if as_json:
        show([_told(core) for core in cores])
    for core in () if as_json else cores:
        click.echo(_line(core))


def _constitution(twin: Twin, language: str | None, accept: bool, as_json: bool) -> None:
    said = twin.proposed_constitution(language)
    place = twin.take_constitution(said) if accept else None
    if as_json:
        show({"text": said, "path": str(place) if place else None})
        return
    click.echo(said)
    note(f"Written to {place}." if place else "Nothing is written: --accept takes it, or edit it first.")


def _restored(back: Restored, as_json: bool) -> None:
    if as_json:
        show({"now": _told(back.now), "aside": _told(back.aside), "left": back.left})
        return
    click.echo(_line(back.now))
    note(f"What was in force is kept: `twin form --restore {back.aside.id}` brings it back.")
    for line in back.left:
        note(line)


def _told(core: Firmware) -> dict[str, Any]:
    return {"id": core.id, **plain(core)}


def _line(core: Firmware) -> str:
    adapters = f", adapters: {', '.join(sorted(core.adapters))}" if core.adapters else ""
    own = ", a constitution of your own" if core.constitution else ""
    return (f"{core.id}  {brief(core.name, 40)}  {core.made:%Y-%m-%d %H:%M}  profile {core.profile}, roles "
            f"{core.role_map[:12]}, {core.passages} passages{adapters}{own}")


def _draw(made: Comparison) -> None:
    if made.same:
        click.echo(f"{made.before.id} and {made.after.id}: one core.")
        return
    click.echo(f"{made.before.id} -> {made.after.id}")
    parts = [("Roles", made.roles), ("Adapters", made.adapters), ("Constitution", made.constitution)]
    if made.profile:
        click.echo(made.profile)
    for title, lines in parts:
        if lines:
            click.echo(f"{title}:")
            for line in lines:
                click.echo(f"- {brief(line, 300)}")
    click.echo(f"Passages: {made.passages:+d}")


# ---- exports ---------------------------------------------------------------------------------------------------------

@click.command()
@click.argument("format", default="prompt")
@click.option("-o", "--out", type=click.Path(), help="Where to write it; into it, if it is a folder or ends with /.")
@click.option("--level", type=click.Choice(["private", "public"]), default="private", show_default=True,
              help="public: without names of people and places, and looked through once more.")
@click.option("--keep", multiple=True, metavar="WORD", help="With --level public: a name that may stay.")
@click.option("--budget", type=int, help="Characters (UTF-16 units) at most, of the text that has a limit (--list).")
@click.option("--role", help="Let it speak in this role.")
@click.option("--lang", "--language", "language", type=click.Choice(["en", "ru"]),
              help="Default: the language you write most.")
@click.option("--core", default="", help="A core that was formed (name or id); default: what is there now.")
@click.option("--list", "listed", is_flag=True, help="List the formats.")
@model_option
@home_option
@json_option
@verb
def export(format: str, out: str | None, level: str, keep: tuple[str, ...], budget: int | None, role: str | None,
           language: str | None, core: str, listed: bool, model: str | None, home: Path | None, as_json: bool) -> None:
    """Carry your twin away in a FORMAT that other programs read (see --list); default: a system prompt."""
    if listed:
        from twin.exporters import FORMATS  # here: the command line opens without it

        if as_json:
            show([plain(one) for one in FORMATS.values()])
        else:
            click.echo("\n".join(f"{one.name:10} {one.about}" + (f" ({one.budget:,} characters)" if one.budget else "")
                                 for one in FORMATS.values()))
        return
    with opened(home, model) as twin:
        made = twin.export(format, path=out, level=level, keep=keep, budget=budget,  # type: ignore[arg-type]
                           role=role, language=language, core=core)
    if as_json:
        show({"path": str(made.path), "core": made.core, "characters": made.characters, "cut": made.cut,
              "notes": made.notes, "files": sorted(made.files), "text": made.text})
        return
    click.echo(str(made.path))
    note(f"Core {made.core}, {level}" + (f", {made.characters} characters." if made.characters else "."))
    for name in made.cut:
        note(f"Cut to fit: {name}")
    for line in made.notes:
        note(line)


@click.command()
@click.argument("folder", type=click.Path(path_type=Path, exists=True, file_okay=False))
@model_option
@home_option
@json_option
@verb
def tokens(folder: Path, model: str | None, home: Path | None, as_json: bool) -> None:
    """Load a tokenised role map (`twin export tokens`): what it has read needs not be read again, now and later."""
    with opened(home, model) as twin:
        made = twin.load_tokens(folder)
    if as_json:
        show(made)
        return
    click.echo(f"{made.tokens} tokens of core {made.core} are loaded.")
    if not made.used:
        note("Conversations here begin with other words: profile or constitution changed since. Export it again.")


# ---- claims that come back -------------------------------------------------------------------------------------------

@click.command()
@click.argument("answer", type=click.Choice(["list", "accept", "refuse"]), default="list")
@click.argument("numbers", type=int, nargs=-1)
@click.option("--all", "everything", is_flag=True, help="All that wait.")
@home_option
@json_option
@verb
def claims(answer: str, numbers: tuple[int, ...], everything: bool, home: Path | None, as_json: bool) -> None:
    """Claims that wait for your yes: from exports you imported, and proposed by programs (`twin mcp`)."""
    with opened(home) as twin:
        waiting = twin.waiting_claims()
        if answer == "list":
            if as_json:
                show([_waiting(one) for one in waiting])
                return
            for one in waiting:
                whence = f" ({brief(one.claim.origin, 40)})" if one.claim.origin else ""
                click.echo(f"{one.number:4} [{one.claim.claim}] {brief(one.claim.text, 600)}{whence}")
                if one.claim.quote:  # whole: what is said yes to is read first
                    click.echo(f"       “{brief(one.claim.quote, 600)}”")
            note(f"{len(waiting)} wait. `twin claims accept NUMBER`, `twin claims refuse NUMBER`, or --all.")
            return
        chosen = [one.number for one in waiting] if everything else list(numbers)
        for number in chosen:
            twin.accept_claim(number) if answer == "accept" else twin.refuse_claim(number)
        if answer == "accept":
            twin.embed()
        done = {"accepted" if answer == "accept" else "refused": chosen}
        show(done) if as_json else note(f"{len(chosen)} {next(iter(done))}.")


def _waiting(one: Waiting) -> dict[str, Any]:
    return {"number": one.number, **plain(one.claim), "made": one.made.isoformat()}


# ---- the whole home --------------------------------------------------------------------------------------------------

@click.command()
@click.argument("target", type=click.Path(path_type=Path))
@home_option
@json_option
@verb
def backup(target: Path, home: Path | None, as_json: bool) -> None:
    """Write your whole home, but what can be made again, into one zip at TARGET (a folder is fine)."""
    with opened(home) as twin:
        made = twin.backup(target, progress=Bar())
    if as_json:
        show(made)
        return
    click.echo(str(made.path))
    note(f"{made.files} files, {made.content / 1e6:.1f} MB, in {made.size / 1e6:.1f} MB.")
    for name in made.left_out:
        note(f"Left out: {brief(name)}")
    note("It is not encrypted, and it goes when you forget something: then make a new one. Copies of it that lie "
         "elsewhere keep what you forget.")


@click.command()
@click.argument("source", type=click.Path(path_type=Path, exists=True, dir_okay=False))
@click.option("--replace", is_flag=True, help="Where a home lies already: move it aside first.")
@home_option
@json_option
@verb
def restore(source: Path, replace: bool, home: Path | None, as_json: bool) -> None:
    """Bring back the home of a backup; all of it is checked before anything happens."""
    from twin.backup import restore as bring_back  # here: the command line opens without it
    from twin.home import Home

    made = bring_back(source, Home(home), replace=replace, progress=Bar())
    with opened(home) as twin:
        twin.records.mend(Bar())
        waiting = twin.memory.status().missing
    if as_json:
        show(made)
        return
    click.echo(str(made.root))
    note(f"{made.files} files, as of {made.made:%Y-%m-%d %H:%M} UTC.")
    if made.moved:
        note(f"The home that lay there is {made.moved}: `twin forget` does not reach it.")
    if waiting:
        note(f"{waiting} passages are found by words only so far; `twin memory embed` brings recall by meaning.")
