"""A core opened as a plan says, planned anew each time its process starts: on what is alive by then."""
from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

from twin import cards, layouts, shape
from twin.cards import Card
from twin.engine import devices
from twin.engine.llama import LlamaEngine
from twin.errors import CannotDo
from twin.layouts import Layout, Want
from twin.placement import Placement


def alive(servers: tuple[str, ...]) -> tuple[Card, ...]:
    """The devices that answer now, with the memory that is free on them, and this machine's processor last."""
    found = [replace(cards.card(one), bytes=one.free_bytes or one.total_bytes)
             for one in devices.live(Placement(servers=servers)) if one.kind in ("gpu", "accel")]
    return (*found, cards.processor())


def choose(path: Path, want: Want, servers: tuple[str, ...] = (), kind: str | None = None) -> Layout:
    """The layout for a core on what is alive: the first that fits, of this kind where one is named and possible. Rows
    and replicas are never chosen: they are one core's process no more. Raises CannotDo where nothing fits."""
    made = layouts.plan(shape.read(path), want, alive(servers)).layouts
    usable = [one if one.fits else one.instead for one in made if one.kind in layouts.OF_ONE_PROCESS]
    fitting = [one for one in usable if one is not None]
    if not fitting:
        raise CannotDo(f"{path.name} fits on none of the devices that answer now.",
                       "See `twin plan` for what would fit.")
    chosen = next((one for one in fitting if one.kind == kind), fitting[0])
    # Devices have the number of their server among all that were named, the dead ones too.
    return replace(chosen, placement=replace(chosen.placement, servers=servers)) if chosen.placement.devices else chosen


def engine(path: Path, *, want: Want, servers: tuple[str, ...] = (), kind: str | None = None,
           **rest: Any) -> LlamaEngine:
    """The core on the layout that `choose` gives now. `rest` goes to LlamaEngine. Run in a process of its own
    (IsolatedEngine), a lost device means a new process and so a new plan."""
    layout = choose(path, want, servers, kind)
    made = LlamaEngine(path, placement=layout.placement, **{**rest, "n_ctx": min(want.context, layout.want.context)})
    silent = [one for one in servers if not devices.answers(one)]
    lost = tuple(f"The worker {one} does not answer; the core was planned without it." for one in silent)
    made.notes = (*made.notes, *lost, f"Planned: {layout.kind}, on {', '.join(_named(layout)) or 'the processor'}.")
    return made


def _named(layout: Layout) -> list[str]:
    return [f"{part.card.device or part.card.name} ({part.layers} layers)" for part in layout.parts
            if not part.card.processor and part.layers]
