"""The command line: every verb is a method of Twin or Catalog, and this file only draws.

Results go to stdout (with --json exactly one document), progress and notes to stderr.
Exit status: 0 done, 1 a check failed, 2 bad use or bad input.
"""
from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import wraps
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from twin import __version__
from twin.errors import TwinError, UsageError
from twin.text import one_line, printable

if TYPE_CHECKING:
    from twin.chat import Twin
    from twin.prompt_view import PromptView
    from twin.types import Event, Recalled, Turn

home_option = click.option("--home", type=click.Path(path_type=Path, file_okay=False),
                           help="Where this twin lives (default: TWIN_HOME or your data folder).")
events_option = click.option("--events", is_flag=True,
                             help="One JSON document a line for each event; the last one tells how it ended.")
json_option = click.option("--json", "as_json", is_flag=True, help="One JSON document on stdout, nothing else there.")
model_option = click.option("--model", help="Core to use: a name of `twin models list` or a GGUF path.")


def note(text: str) -> None:
    """A line for the person, away from the results."""
    click.echo(printable(text), err=True)


def show(document: Any, *, indent: int | None = 1) -> None:
    """The one JSON document of a --json run, or with indent=None one line of several."""
    from twin.types import to_plain

    text = json.dumps(to_plain(document), ensure_ascii=False, indent=indent)
    click.echo(text.encode("utf-8", "replace").decode("utf-8"))  # a lone half of an emoji has no UTF-8


def plain(value: Any) -> dict[str, Any]:
    """A noun as what JSON can hold, to be shown with more beside it."""
    from twin.types import to_plain

    shown: dict[str, Any] = to_plain(value)
    return shown


def verb(function: Callable[..., Any]) -> Callable[..., Any]:
    """A command whose TwinErrors become two sentences on stderr and the exit status of the error."""
    @wraps(function)
    def run(*args: Any, **kwargs: Any) -> None:
        try:
            status = function(*args, **kwargs)
        except TwinError as error:
            said = {"error": type(error).__name__, "what": error.what, "next_step": error.next_step}
            if kwargs.get("events"):
                show({"event": "Failed", **said}, indent=None)
            elif kwargs.get("as_json"):
                show(said)
            note(f"twin: {error}")
            sys.exit(error.exit_status)
        except BrokenPipeError:
            sys.exit(0)
        except KeyboardInterrupt:
            note("\nStopped.")
            sys.exit(130)
        if status:
            sys.exit(status)
    return run


def handed_down(context: click.Context, **options: Any) -> bool:
    """Whether a verb of a group follows; what was said before that verb then holds for it."""
    if context.invoked_subcommand is None:
        return False
    context.default_map = {context.invoked_subcommand: options}
    return True


@contextmanager
def opened(home: Path | None, model: str | None = None) -> Iterator[Twin]:
    """The twin, closed at the end whatever happens."""
    from twin.chat import Twin

    with Twin.open(home, model=model) as twin:
        yield twin


def brief(text: str, width: int = 160) -> str:
    """One printable line of a text that came from outside: control characters out, long tails cut."""
    flat = one_line(text)
    return flat if len(flat) <= width else flat[:width - 1] + "…"


class Bar:
    """Progress on stderr: on a terminal one line that overwrites itself, elsewhere one line a stage or, with `every`,
    one for so many done. `done` and `total` are those of the last call."""

    def __init__(self, every: int = 0) -> None:
        self.done, self.total = 0, 0
        self._stage, self._every = "", every

    def __call__(self, stage: str, done: int, total: int | None) -> None:
        count = f"{done:,}" + (f" of {total:,}" if total else "")
        if sys.stderr.isatty():
            click.echo(f"\r\x1b[K{stage}: {count}", nl=bool(total and done >= total), err=True)
        elif self._every:
            if stage != self._stage or (done != self.done and (not done % self._every or done == total)):
                note(f"{stage}: {count}")
        elif stage != self._stage:
            note(f"{stage} ...")
        self._stage, self.done, self.total = stage, done, total or 0


_ELSEWHERE = {"models": "twin.cli_models", **dict.fromkeys(
    ("import", "recall", "sources", "forget", "allow", "memory"), "twin.cli_memory"), **dict.fromkeys(
    ("profile", "depth", "why", "verify", "failures", "decide", "history"), "twin.cli_profile"), **dict.fromkeys(
    ("lift", "audit-portrait", "remember"), "twin.cli_portrait"), **dict.fromkeys(
    ("route", "correct", "fork", "lines"), "twin.cli_lines"), "council": "twin.cli_council", "roles": "twin.cli_roles",
    "ledger": "twin.cli_ledger", **dict.fromkeys(("train", "adapter"), "twin.cli_train"),
    "likeness": "twin.cli_likeness", "rate": "twin.cli_signals",
    **dict.fromkeys(("reflect", "proposals", "audit", "evolve", "whatif"), "twin.cli_reflect"),
    **dict.fromkeys(("form", "export", "tokens", "claims", "backup", "restore"), "twin.cli_leaving"),
    **dict.fromkeys(("serve", "mcp"), "twin.cli_serve"), "plan": "twin.cli_plan", "bench": "twin.cli_bench",
    **dict.fromkeys(("status", "agents"), "twin.cli_status")}


class Verbs(click.Group):
    """The verbs of this file, and those of other files, loaded when they are asked for."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return sorted([*super().list_commands(ctx), *_ELSEWHERE])

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in _ELSEWHERE:
            return super().get_command(ctx, cmd_name)
        module = import_module(_ELSEWHERE[cmd_name])  # here: those files build on this one
        command: click.Command = getattr(module, {"import": "import_"}.get(cmd_name, cmd_name.replace("-", "_")))
        return command


@click.group(cls=Verbs, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__)
def main() -> None:
    """Your own AI twin, on your own machine: import what you wrote, see how you think, ask, export."""


# ---- asking ----------------------------------------------------------------------------------------------------------

@main.command()
@click.argument("question")
@click.option("--role", help="Ask this role instead of the routed one.")
@click.option("--line", help="Ask on this line of thinking, or in this conversation (`twin lines`).")
@click.option("--show-prompt", is_flag=True, help="Show what the core would read, and ask nothing.")
@events_option
@model_option
@home_option
@json_option
@verb
def ask(question: str, role: str | None, line: str | None, show_prompt: bool, events: bool, model: str | None,
        home: Path | None, as_json: bool) -> None:
    """Ask your twin; the answer streams to stdout, in the language of the question."""
    with opened(home, model) as twin:
        chat = twin.lines.get(line).id if line else None
        if show_prompt:
            _draw_prompt(twin.show_prompt(question, role, conversation=chat), as_json)
            return
        turn = drawn(twin, question, role, quiet=as_json, events=events, conversation=chat)
        if as_json and not events:
            show(turn)


def _draw_prompt(view: PromptView, as_json: bool) -> None:
    """The prompt in colours on a terminal; `click` takes them out elsewhere."""
    if as_json:
        show({**plain(view), "totals": view.totals})
        return
    from twin.prompt_view import STYLES  # here: the command line opens without it

    for line in view.lines():
        click.echo("".join(click.style(span.text, fg=STYLES[span.style].terminal, reverse=span.special)
                           if span.style in STYLES else click.style(span.text, dim=True) for span in line))


@contextmanager
def stoppable() -> Iterator[Callable[[], bool]]:
    """Whether Ctrl-C was pressed meanwhile, to be asked at any moment: what was made by then is kept."""
    import signal

    stopped: list[int] = []
    previous = signal.signal(signal.SIGINT, lambda number, _: stopped.append(number))
    try:
        yield lambda: bool(stopped)
    finally:
        signal.signal(signal.SIGINT, previous)


def drawn(twin: Twin, question: str, role: str | None = None, *, quiet: bool = False, events: bool = False,
          conversation: str | None = None, **how: Any) -> Turn:
    """Draw one turn as it comes (`quiet`: nothing of it; `events`: each as a line of JSON); Ctrl-C keeps what was
    written. `how`: see Twin.stream."""
    from twin.types import Answered, Failed, Interrupted

    recalled: list[Recalled] = []
    with stoppable() as stopped:
        for event in twin.stream(question, role, conversation=conversation, cancel=stopped, **how):
            if isinstance(event, Failed):
                raise event.error
            if events:
                show({"event": type(event).__name__, **plain(event)}, indent=None)
            elif not quiet:
                _draw(event, recalled)
            if isinstance(event, Answered | Interrupted):
                for line in () if quiet else twin.notes:
                    note(line)
                if event.turn.status == "interrupted" and not quiet:
                    note("Stopped; the part that was written is kept.")
                return event.turn
    raise TwinError("The turn ended without an answer.", "Ask again.")


def _draw(event: Event, recalled: list[Recalled]) -> None:
    from twin.types import Answered, Hypothesis, Interrupted, Recalled, Routed, Token

    if isinstance(event, Routed):
        note(f"[{event.route.role} {event.route.sure}] {brief(event.route.reason, 300)}")
    elif isinstance(event, Recalled):
        recalled.append(event)
    elif isinstance(event, Hypothesis):
        note(f"{event.role}: {brief(event.text, 240)}")
    elif isinstance(event, Token):
        click.echo(printable(event.text), nl=False)
    elif isinstance(event, Answered | Interrupted):
        click.echo()
        _draw_memories(recalled, event.turn)


def _draw_memories(recalled: list[Any], turn: Turn) -> None:
    for number, item in enumerate(recalled, 1):
        day = f"{item.time:%Y-%m-%d} " if item.time else ""
        cited = " (used)" if number in turn.cited else ""
        click.echo(f"  [{number}] {day}{item.message_ids[0]}{cited}: {brief(item.text, 100)}")
    for dropped in turn.dropped:
        note(f"Left out, the context is full: {dropped}")
    if turn.usage.finish == "length":
        note(f"The answer was cut at {turn.usage.generated} tokens; the role's max_tokens allows no more.")
    note(f"{turn.usage.prompt_tokens} tokens read, {turn.usage.generated} written, "
         f"first after {turn.usage.first_token_s:.1f} s, {turn.usage.total_s:.1f} s in all")


@main.command()
@model_option
@home_option
@verb
def chat(model: str | None, home: Path | None) -> None:
    """Open the terminal chat."""
    if not (sys.stdin.isatty() and sys.stdout.isatty()):
        raise UsageError("The terminal chat needs a terminal.", "Use `twin ask` in scripts and pipes.")
    from twin.tui.app import run  # here: loads textual

    run(home, model)


# ---- where -----------------------------------------------------------------------------------------------------------

@main.command()
@home_option
@json_option
@verb
def where(home: Path | None, as_json: bool) -> None:
    """Where everything of this twin lies."""
    from twin.home import Home, cache_dir

    place = Home(home)
    paths = {"home": place.root, "archive": place.archive, "memory": place.memory, "roles": place.roles,
             "exports": place.exports, "adapters": place.adapters, "snapshots": place.snapshots,
             "models": cache_dir() / "models"}
    if as_json:
        show({name: str(path) for name, path in paths.items()})
    else:
        click.echo("\n".join(f"{name:9} {path}" for name, path in paths.items()))
