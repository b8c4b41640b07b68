"""The command line of the role map: its files, what is wrong with them, and what they were before."""
from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from twin.cli import brief, handed_down, home_option, json_option, note, plain, show, verb
from twin.errors import InputError, RoleError, UsageError
from twin.home import Home, write_atomically
from twin.text import one_line, printable

if TYPE_CHECKING:  # and where they are used: `twin --help` reads this file, and answers at once
    from twin.role_book import RoleBook
    from twin.roles import CouncilPolicy, Role, RoleMap

_LANGUAGE = click.option("--language", type=click.Choice(["en", "ru"]), default="en", show_default=True,
                         help="Of the words that say what changed.")


def _book(home: Path | None) -> RoleBook:
    from twin.archive.role_maps import Maps
    from twin.role_book import RoleBook

    place = Home(home)
    return RoleBook(place, Maps(place))


def _now(book: RoleBook) -> RoleMap:
    """The map in force; where the folder holds a broken edit, a note says so."""
    found = book.current()
    if book.refusal is not None:
        note(f"{book.refusal.what} Until that line is corrected the roles stay as they were before the edit.")
    return found


@click.group(invoke_without_command=True)
@home_option
@json_option
@click.pass_context
@verb
def roles(context: click.Context, home: Path | None, as_json: bool) -> None:
    """The roles that answer: Markdown files in your home, yours to edit, with every version kept."""
    if not handed_down(context, home=home, as_json=as_json):
        _list(home, as_json)


# ---- now -------------------------------------------------------------------------------------------------------------

@roles.command("list")
@home_option
@json_option
@verb
def list_(home: Path | None, as_json: bool) -> None:
    """Who may answer, and when a council is called."""
    _list(home, as_json)


def _list(home: Path | None, as_json: bool) -> None:
    book = _book(home)
    found = _now(book)
    if as_json:
        show({"version": found.version, "roles": [_facts(role) for role in found.roles],
              "council": plain(found.council.content), "refusal": book.refusal.what if book.refusal else None})
        return
    for role in found.roles:
        adapter = f", adapter {role.adapter.path or role.adapter.sha256}" if role.adapter else ""
        thinking = "" if role.thinking == "auto" else f", thinking {role.thinking}"
        click.echo(f"{role.id:14} {one_line(role.title.of('en'))} / {one_line(role.title.of('ru'))}: "
                   f"{len(role.examples)} examples{one_line(adapter)}{thinking}\n"
                   f"               {brief(role.purpose.of('en'), 100)}")
    click.echo(f"council        {_council(found.council)}")
    note(f"Version {found.version[:12]}, files in {book.home.roles}.")


def _facts(role: Role) -> dict[str, Any]:
    return {**role.content, "thinking": role.thinking, "version": role.content_hash}


def _council(policy: CouncilPolicy) -> str:
    members = ", ".join(policy.members) or "all roles"
    by_itself = [f"{word} {value}" for word, value in (
        ("from depth", policy.depth), ("from an entropy of", policy.entropy)) if value is not None]
    when = f"by itself {' and '.join(by_itself)}" if policy.on == "policy" else "only when asked for"
    return f"{members}, {policy.max_n} at most, {when}"


@roles.command("show")
@click.argument("id")
@home_option
@json_option
@verb
def show_(id: str, home: Path | None, as_json: bool) -> None:
    """A role's file as it stands; `council` for the council's policy."""
    book = _book(home)
    found = _now(book)
    if id == "council" and id not in found.ids:
        show(found.council.content) if as_json else click.echo(printable(found.council.to_yaml()), nl=False)
        return
    role = found.role(id)
    show(_facts(role)) if as_json else click.echo(printable(role.to_markdown()), nl=False)


@roles.command("edit")
@click.argument("id")
@_LANGUAGE
@home_option
@json_option
@verb
def edit(id: str, language: str, home: Path | None, as_json: bool) -> None:
    """Open a role's file (or `council`) in $VISUAL or $EDITOR, then say what changed, or what is wrong with it."""
    from twin.role_changes import changes

    book = _book(home)
    before, broken = _in_force(book.ensure)
    broken = broken or book.refusal
    file = _file(book, id)
    try:
        click.edit(filename=str(file))
    except click.ClickException as error:
        raise UsageError(f"No editor could be used ({error.format_message()}).",
                         f"Set EDITOR, or edit {file} with any program: it is read at the next question.") from error
    after = book.current()
    if book.refusal is not None:
        raise RoleError(book.refusal.what, f"The roles stay as they were before the edit. Correct it with `twin roles "
                        f"edit {id}`, or take back a version of `twin roles history`.")
    said = changes(before, after, language) if before else []
    if as_json:
        show({"version": after.version, "changes": said, "mended": broken is not None})
        return
    if broken is not None:
        meanwhile = "This is the first map that can be read" if before is None else (
            "Other than what was in force meanwhile" if said else "It says what was in force meanwhile")
        note(f"{broken.what} That is mended now. {meanwhile}{':' if said else '.'}")
    _draw(said, "" if broken else "The content is as it was.")


def _in_force(read: Callable[[], RoleMap]) -> tuple[RoleMap | None, RoleError | None]:
    """The map before the command; None and the reason where a broken file is the only one there ever was."""
    try:
        return read(), None
    except RoleError as error:
        return None, error


def _file(book: RoleBook, id: str) -> Path:
    """The file to edit. The policy's is put there first: nobody edits what is not there."""
    from twin import roles as role_map

    file, policy = book.home.roles / f"{id}.md", book.home.roles / role_map.COUNCIL
    if file.is_file():
        return file
    if id != "council":
        known = ", ".join(Path(name).stem for name in role_map.on_disk(book.home.roles))
        raise UsageError(f"There is no file {file}.", f"Choose one of: {known}.")
    if not policy.exists():
        write_atomically(policy, role_map.ASKED.to_yaml())
    return policy


def _draw(lines: list[str], nothing: str) -> None:
    for line in lines:
        click.echo(printable(line))
    if not lines and nothing:
        note(nothing)


@roles.command("check")
@click.argument("files", nargs=-1, type=click.Path(path_type=Path))
@home_option
@json_option
@verb
def check(files: tuple[Path, ...], home: Path | None, as_json: bool) -> int:
    """Look for mistakes in FILES, or in all role files of the home, and change nothing; exit status 1 names them."""
    from twin import roles as role_map

    folder = Home(home).roles
    there = role_map.on_disk(folder)
    chosen = [(file.name, _bytes(file)) for file in files] if files else list(there.items())
    known = {Path(name).stem for name in (*there, *dict(chosen)) if name != role_map.COUNCIL}
    known |= set() if there.keys() - {role_map.COUNCIL} else set(role_map.seed().ids)
    refused = [error.what for name, data in chosen if (error := role_map.refusal(name, data, tuple(sorted(known))))]
    if as_json:
        show({"ok": not refused, "checked": [name for name, _ in chosen], "refused": refused})
        return 1 if refused else 0
    for what in refused:
        click.echo(printable(what))
    note(f"{len(chosen)} files checked, {len(refused)} refused." if chosen else
         f"There are no role files in {folder} yet: the seed roles answer.")
    return 1 if refused else 0


def _bytes(file: Path) -> bytes:
    from twin.roles import read_bytes

    try:
        return read_bytes(file)
    except OSError as error:
        raise InputError(f"{file} cannot be read ({error.strerror}).", "Name a role file.") from error


# ---- then ------------------------------------------------------------------------------------------------------------

@roles.command("diff")
@click.argument("before", required=False)
@click.argument("after", required=False)
@_LANGUAGE
@home_option
@json_option
@verb
def diff(before: str | None, after: str | None, language: str, home: Path | None, as_json: bool) -> None:
    """What is different between two versions, in words (default: the last two; of one: since then).

    BEFORE and AFTER: a number of `twin roles history`, or how a version begins.
    """
    book = _book(home)
    _now(book)
    said = book.diff(before, after, language)
    show({"changes": said}) if as_json else _draw(said, "They are equal in content.")


@roles.command("history")
@click.option("--limit", type=click.IntRange(min=1), default=20, show_default=True, help="Only the newest so many.")
@_LANGUAGE
@home_option
@json_option
@verb
def history(limit: int, language: str, home: Path | None, as_json: bool) -> None:
    """Every version of the role map, the newest first, with what changed in it."""
    book = _book(home)
    _now(book)
    steps = book.history(language, limit)
    if as_json:
        show(steps)
        return
    for step in steps:
        said = f"  {one_line(step.note)}" if step.note else ""
        click.echo(f"#{step.number}  {step.version[:12]}  {step.made:%Y-%m-%d %H:%M}  {step.author}{said}")
        for line in step.changes:
            click.echo(f"    {printable(line)}")
    if len(steps) > 1:
        note(f"`twin roles rollback {steps[1].number}` takes #{steps[1].number} back, byte for byte.")
    elif not steps:
        note("There is no history yet: it begins with the first question or the first edit.")


@roles.command("rollback")
@click.argument("which")
@_LANGUAGE
@home_option
@json_option
@verb
def rollback(which: str, language: str, home: Path | None, as_json: bool) -> None:
    """Put an earlier version back, byte for byte. WHICH: its number in the history, or how its version begins."""
    from twin.role_changes import changes

    book = _book(home)
    before, broken = _in_force(book.current)
    made = book.rollback(which)
    number = book.history(limit=1)[0].number
    said = changes(before, made, language) if before else []
    if as_json:
        show({"version": made.version, "number": number, "changes": said, "aside": book.aside})
        return
    if broken is not None:
        note(broken.what)
    _draw(said, "" if broken else "The content is as it was.")
    kept = "; what stood there before is kept in the history." if not book.aside else (
        ". What stood there before could not be read, so no history holds it; it is renamed:")
    note(f"Version {made.version[:12]} is in force as #{number}{kept}")
    for name, now in book.aside.items():
        note(f"  {name} -> {book.home.roles / now}")
