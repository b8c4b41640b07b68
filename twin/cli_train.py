"""The command line of training: own words into a role's adapter, and the adapters on and off."""
from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from twin.cli import Bar, brief, home_option, json_option, model_option, note, opened, plain, show, stoppable, verb
from twin.text import one_line

if TYPE_CHECKING:
    from twin.adapters import Kept
    from twin.apprentice import Switched
    from twin.chat import Twin
    from twin.lessons import Lesson, Source
    from twin.training import Step

_BARS = "▁▂▃▄▅▆▇█"
_GB = 1e9


@click.command()
@click.argument("role")
@click.option("--from", "source", type=click.Choice(["messages", "scope", "claims", "stance", "role"]),
              default="messages", show_default=True,
              help="Your messages; those this role may see; approved claims; the core's answers as this role with your "
                   "claims in front; as this role alone.")
@click.option("--compile", "compiled", is_flag=True, help="Learn without the role's header: the adapter stands for it.")
@click.option("--kind", type=click.Choice(["alora", "lora"]), help="alora shares the conversation with other roles.")
@click.option("--targets", help="Parts that learn, with commas: q,k,v,o,gate,up,down.")
@click.option("--rank", type=int, help="Rows of each matrix.")
@click.option("--alpha", type=float, help="Strength: alpha / rank.")
@click.option("--steps", type=int, help="Steps at most; it stops before when held-out words gain no more.")
@click.option("--batch", type=int, help="Samples a step; fewer need less memory.")
@click.option("--max-tokens", type=int, help="Tokens of a sample; fewer need less memory.")
@click.option("--rate", type=float, help="Learning rate.")
@click.option("--seed", type=int, help="Equal seeds and words give equal adapters.")
@click.option("--dtype", type=click.Choice(["auto", "float32", "bfloat16"]), help="Of the core's weights.")
@click.option("--device", help="auto, cpu or cuda.")
@click.option("--resume/--fresh", default=True, help="Go on with a run that was stopped (default), or begin anew.")
@click.option("--show", "n", type=click.IntRange(min=1), help="Show samples and what is learned of them.")
@click.option("--dry-run", is_flag=True, help="Tell what it would cost.")
@model_option
@home_option
@json_option
@verb
def train(role: str, source: Source, compiled: bool, n: int | None, dry_run: bool, resume: bool, targets: str | None,
          model: str | None, home: Path | None, as_json: bool, **how: Any) -> None:
    """Train an adapter for ROLE on your own words; stop at any moment and keep the best so far.

    It is off until `twin likeness ROLE` finds it more like you than another person's, or `twin adapter on` says so.
    With --show or --dry-run nothing is learned.
    """
    how = {name: value for name, value in how.items() if value is not None}
    if targets is not None:
        how["targets"] = tuple(word.strip() for word in targets.split(",") if word.strip())
    with opened(home, model) as twin, stoppable() as stopped:
        lesson = twin.lesson(role, source=source, compiled=compiled, progress=Bar(), cancel=stopped, **how)
        if n is not None:
            _draw_samples(lesson, n, as_json)
            return
        if dry_run:
            show(_facts(lesson)) if as_json else _draw_plan(lesson)
            return
        _draw_plan(lesson, err=True)
        note("Training; Ctrl-C keeps the best so far ...")
        kept = twin.train(lesson, fresh=not resume, watch=Curve(lesson.settings.steps), cancel=stopped)
        if as_json:
            show(_row(twin, kept))
        else:
            _draw_trained(kept, stopped())


# ---- before --------------------------------------------------------------------------------------------------------

def _draw_samples(lesson: Lesson, n: int, as_json: bool) -> None:
    """What is learned in colour on a terminal, in [[ ]] elsewhere. All of it is printable text by then."""
    from twin.training import tokens

    prompts = lesson.samples(n)
    if as_json:
        show([[{"text": text, "learned": learned} for text, learned in tokens.show(one)] for one in prompts])
        return
    for number, one in enumerate(prompts, 1):
        click.secho(f"-- {number} of {len(prompts)}", dim=True)
        if sys.stdout.isatty():
            click.echo("".join(click.style(text, fg="green", bold=True) if learned else click.style(text, dim=True)
                               for text, learned in tokens.show(one)))
        else:
            click.echo(tokens.plain(one))


def _facts(lesson: Lesson) -> dict[str, Any]:
    return {"role": lesson.role.id, "source": lesson.source, "compiled": lesson.compiled, "words": lesson.words,
            "samples": len(lesson.learn), "held_out": len(lesson.held), "dropped": dict(lesson.split.dropped),
            "shape": plain(lesson.shape), "settings": plain(lesson.settings), "core": lesson.core.name,
            "plan": plain(lesson.plan)}


def _draw_plan(lesson: Lesson, *, err: bool = False) -> None:
    shape, settings = lesson.shape, lesson.settings
    lines = [f"{lesson.words:,} words in {len(lesson.learn):,} samples to learn; {len(lesson.held):,} later ones tell "
             "when to stop.",
             *(f"  left out: {count:,} ({reason})" for reason, count in sorted(lesson.split.dropped.items()) if count),
             f"{shape.kind}, rank {shape.rank}, on {' '.join(shape.targets)}; at most {settings.steps} steps of "
             f"{settings.batch} samples.",
             str(lesson.plan)]
    for line in lines:
        click.echo(one_line(line), err=err)


# ---- while ---------------------------------------------------------------------------------------------------------

def sparkline(values: list[float]) -> str:
    """A curve in one line of text, at most 24 points of it; the highest value stands highest."""
    shown = values[::max(1, -(-len(values) // 24))]
    low, high = min(shown, default=0.0), max(shown, default=0.0)
    heights = [(value - low) / (high - low) if high > low else 0.0 for value in shown]
    return "".join(_BARS[round(height * (len(_BARS) - 1))] for height in heights)


class Curve:
    """Draws steps on stderr: one line that overwrites itself on a terminal, one line a measurement elsewhere."""

    def __init__(self, steps: int) -> None:
        self.steps, self.bits = steps, list[float]()

    def __call__(self, step: Step) -> None:
        if step.held_bits is not None:
            self.bits.append(step.held_bits)
        loss = f"loss {step.loss:.2f}  " if step.loss is not None else ""
        held = f"held out {self.bits[-1]:.3f} bits a character {sparkline(self.bits)}  " if self.bits else ""
        left = f"{duration(step.left)} left at most" if step.left is not None else ""
        line = f"step {step.step} of {self.steps}  {loss}{held}{left}".rstrip()
        if sys.stderr.isatty():
            click.echo(f"\r\x1b[K{line}", nl=step.step >= self.steps, err=True)
        elif step.held_bits is not None:
            note(line)


def duration(seconds: float) -> str:
    """12 s, 5 min, 2.5 h."""
    if seconds < 100:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 6000 else f"{seconds / 3600:.1f} h"


# ---- after ---------------------------------------------------------------------------------------------------------

def _draw_trained(kept: Kept, stopped: bool) -> None:
    if sys.stderr.isatty():
        click.echo(err=True)
    if stopped:
        note("Stopped; the best so far is kept. The same command goes on from here.")
    click.echo(f"{kept.sha256[:12]}  {kept.path}")
    gained = kept.before - kept.after
    click.echo(f"held-out words: {kept.before:.3f} -> {kept.after:.3f} bits a character ({gained:+.3f} saved)")
    facts = kept.facts
    note(f"{kept.steps} steps in {duration(float(facts.get('seconds', 0)))}, "
         f"{float(facts.get('peak_bytes', 0)) / _GB:.1f} GB of memory at the peak.")
    if gained <= 0:
        note("It learned nothing that helps with words it had not seen: more words or fewer steps may.")
    note(f"The role {kept.role} answers without it until you know whether it is like you: `twin likeness {kept.role}`.")


@click.group()
def adapter() -> None:
    """The trained adapters: what was measured of each, and through which of them the roles speak."""


def _row(twin: Twin, kept: Kept) -> dict[str, Any]:
    apprentice = twin.apprentice
    return {**kept.manifest, "path": str(kept.path), "peft": str(kept.peft), "stale": apprentice.stale(kept),
            "acting": apprentice.acting(kept)}


@adapter.command("list")
@home_option
@json_option
@verb
def list_(home: Path | None, as_json: bool) -> None:
    """Each adapter with its verdict and the reason."""
    from twin.apprentice import why_off

    with opened(home) as twin:
        found = twin.adapters()
        for line in twin.apprentice.adapters.damaged():
            note(line)
        if as_json:
            show([_row(twin, kept) for kept in found])
            return
        for kept in found:
            acting = twin.apprentice.acting(kept)
            state = f"on ({', '.join(acting)})" if acting else "off"
            click.echo(one_line(
                f"{kept.sha256[:12]}  {kept.role:14} {state:12} {kept.kind}{', compiled' if kept.compiled else ''}, "
                f"{kept.base_name}, from {kept.source}, {kept.before:.3f} -> {kept.after:.3f} bits, {kept.made[:10]}"))
            why = f"Measured: {kept.reason}" if kept.on else why_off(kept)
            click.echo("              " + brief("Trained on messages you have taken back since." if
                                                twin.apprentice.stale(kept) else why, 300))
    if not found:
        note("No adapter was trained here yet: `twin train ROLE`.")


@adapter.command("on")
@click.argument("role")
@click.argument("sha256", default="")
@click.option("--anyway", is_flag=True, help="Although it was not measured, or the measurement speaks against it.")
@home_option
@json_option
@verb
def on(role: str, sha256: str, anyway: bool, home: Path | None, as_json: bool) -> None:
    """Let ROLE speak through an adapter: SHA256 is how it begins (default: the newest of this role)."""
    with opened(home) as twin:
        _draw_switched(twin.switch(role, sha256, anyway=anyway), as_json)


@adapter.command("off")
@click.argument("role")
@home_option
@json_option
@verb
def off(role: str, home: Path | None, as_json: bool) -> None:
    """Let ROLE speak without an adapter."""
    with opened(home) as twin:
        _draw_switched(twin.switch(role, on=False), as_json)


def _draw_switched(done: Switched, as_json: bool) -> None:
    if as_json:
        show(done)
        return
    for line in done.changes:
        click.echo(one_line(line))
    note("`twin roles history` has the version before, `twin roles rollback` brings it back." if done.changes else
         "The role map is as it was.")
