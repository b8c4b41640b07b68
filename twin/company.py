"""Company: the agents of one twin as it uses them, each with a way to go on without it.

An agent that is down is no agent: recall and router go by words, the core itself scores and reflects, a council goes on
with the others. What is missing stands in `notes`. Knows the agents and the core's figures; decides nothing of roles.
"""
from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING, TypeVar, cast

from twin import agents, loading, machine
from twin import status as reports
from twin.agents import Agent, is_url
from twin.catalog import Catalog
from twin.errors import TwinError
from twin.home import Home
from twin.placement import Device, Placement
from twin.prompt import plain
from twin.status import Part, Publisher, Status
from twin.types import Answered, Embedder, Engine, Interrupted, Sampling, Usage

if TYPE_CHECKING:
    from twin.engine.supervised import Supervised, SupervisedEmbedder, SupervisedEngine
    from twin.proof import Core

T = TypeVar("T")
_ASKED = "Say one word."


class Company:
    """The agents of one home; nothing starts before it is used. Raises InputError for a damaged file of theirs."""

    def __init__(self, home: Home, catalog: Catalog, n_ctx: int = 8192, members: Iterable[Agent] | None = None) -> None:
        self.members = {one.kind: one for one in (agents.load(home) if members is None else members)}
        self._catalog, self._n_ctx = catalog, n_ctx
        self._made: dict[str, SupervisedEngine | SupervisedEmbedder] = {}
        self._unfit: dict[str, str] = {}  # why an agent cannot even be tried

    def __repr__(self) -> str:
        return f"Company({', '.join(self.members) or 'nobody'})"

    def agent(self, kind: str) -> SupervisedEngine | SupervisedEmbedder | None:
        """The agent of a kind, whether it is up or not; None where none is configured, or its model is not here."""
        wanted = self.members.get(kind)
        if wanted is not None and kind not in self._made and kind not in self._unfit:
            try:
                self._made[kind] = loading.agent(self._catalog, wanted, self._n_ctx)
            except TwinError as error:
                self._unfit[kind] = str(error)
        return self._made.get(kind)

    def embedder(self, kind: str) -> Embedder | None:
        """The embedder of a kind; its calls raise DeviceLost at once while it is down."""
        return cast("SupervisedEmbedder | None", self.agent(kind))

    def engine(self, kind: str) -> Engine | None:
        """The core of a kind where it is up (a first start is waited for); None: the core of the twin does it."""
        found = cast("SupervisedEngine | None", self.agent(kind))
        return found if found is not None and found.usable() else None

    def scorer(self) -> Core | None:
        """The file that proofs score with, where a scorer has one."""
        wanted = self.members.get("scorer")
        if wanted is None or wanted.remote:
            return None
        with suppress(TwinError):
            return loading.core(self._catalog, wanted.model, None)
        return None

    def elsewhere(self, names: Sequence[str]) -> tuple[SupervisedEngine | None, tuple[str, ...], str]:
        """Who of a council is asked of the second core: that core, starting now, their names, and why it is not there.
        The first core always has a member."""
        wanted = self.members.get("second")
        if wanted is None or len(names) < 2:
            return None, (), ""
        chosen = [name for name in names if name in wanted.roles] if wanted.roles else [names[-1]]
        found = cast("SupervisedEngine | None", self.agent("second"))
        if found is not None:
            found.start()
        return found, tuple(chosen[:len(names) - 1]), self._unfit.get("second", "")

    @property
    def notes(self) -> tuple[str, ...]:
        """Which agents the twin does without, in words, and what they do otherwise than asked."""
        without = [f"The agent {kind} cannot be used: {why}" for kind, why in self._unfit.items()]
        return (*without, *(note for one in self._made.values() for note in one.notes))

    def release(self) -> None:
        """End the agents that keep what they have read; they start anew when they are asked."""
        for kind in [kind for kind in self._made if kind not in agents.EMBEDDERS]:
            self._made.pop(kind).close()

    def close(self) -> None:
        """End every agent and wait for it."""
        made, self._made = self._made, {}
        for one in made.values():
            one.close()

    # ---- figures -------------------------------------------------------------------------------------------------

    def parts(self) -> tuple[Part, ...]:
        """How each agent does, in the order of the file."""
        return tuple(self._part(one) for one in self.members.values())

    @property
    def free_servers(self) -> tuple[str, ...]:
        """RPC workers of agents that do not run now."""
        return tuple(one.server for one in self.members.values() if one.server
                     and (one.kind not in self._made or self._made[one.kind].health.state in ("idle", "down")))

    def _part(self, member: Agent) -> Part:
        made = self._made.get(member.kind)
        if made is None:
            why = self._unfit.get(member.kind, "")
            return Part(member.kind, member.model, member.where, member.model if member.remote else "",
                        "down" if why else "idle", last_error=why)
        health = made.health
        where = agents.split_url(member.model)[0] if member.remote else f"worker {health.pid}" if health.pid else "here"
        return Part(member.kind, member.model, member.where, where, health.state, health.memory_bytes,
                    health.tokens_per_s, health.texts_per_s, health.queue, health.calls, health.restarts,
                    health.next_try_s, health.last_error, made.notes if health.state == "up" else ())

    def check(self) -> dict[str, str]:
        """Start each agent and ask it something: kind -> what is wrong, '' for what answers."""
        return {kind: _tried(self.agent(kind), self._unfit.get(kind, "")) for kind in self.members}


def _tried(agent: Supervised | None, unfit: str) -> str:
    """Why an agent does not answer."""
    if agent is None:
        return unfit
    try:
        if hasattr(type(agent), "stream"):  # an engine; asked of its class, since asking it would start it
            engine = cast("SupervisedEngine", agent)
            pieces = engine.stream(plain(engine.family, [("user", _ASKED)]), Sampling(temperature=0.0, max_tokens=8))
            return "" if any(piece.finish for piece in pieces) else "It gave no answer."
        return "" if cast("SupervisedEmbedder", agent).embed([_ASKED]) else "It gave no vector."
    except TwinError as error:
        return str(error)


class Accompanied:
    """What Twin offers of its agents and of how everything does."""

    home: Home
    catalog: Catalog
    company: Company
    _engine: Engine | None
    _turns_under_way: int

    def _is_accompanied(self, company: Company, chosen: Callable[[], str | None], placement: Placement | None) -> None:
        self.company, self._core_named, self._core_placed = company, chosen, placement
        self._publisher = Publisher(self.home)
        self._turns, self._used = 0, Usage()

    def status(self, *, devices: bool = True, check: bool = False) -> Status:
        """The devices, the core and the agents: where each is, its state, memory and speed. With `check` each agent is
        started and asked something first; without `devices` llama.cpp need not be loaded."""
        wrong = self.company.check() if check else {}
        parts = [self._core_part(), *self.company.parts()]
        made = tuple(part if not wrong.get(part.kind) else _with_error(part, wrong[part.kind]) for part in parts)
        placed = self._core_placed if self._engine is None else None  # a worker serves one process: it would not answer
        return reports.of(made, _devices(self.company, placed) if devices else ())

    def _core_part(self) -> Part:
        engine, placement = self._engine, self._core_placed
        named = agents.shown(self._core_named() or self.catalog.best_core() or "")
        places = ", ".join((*placement.devices, *placement.servers)) if placement else ""
        if engine is None:
            return Part("core", named, places, agents.split_url(named)[0] if is_url(named) else "",
                        "idle" if named else "down",
                        last_error="" if named else "No core is on this machine yet.")
        pid = getattr(engine, "pid", None)
        remote = is_url(named) and hasattr(engine, "link")
        where = agents.split_url(named)[0] if remote else f"worker {pid}" if pid else "here"
        return Part(
            "core", engine.id, places, where, "up",
            0 if remote else machine.resident_bytes(pid or os.getpid()), _speed(self._used), 0.0,
            self._turns_under_way, self._turns, notes=tuple(engine.notes))

    def _observed(self, events: Iterator[T], *, told: bool = True) -> Iterator[T]:
        """The same events; the figures are published meanwhile, at most once a second, unless nothing may be written
        in the home (`told`)."""
        def made() -> Status:
            return self.status(devices=False)

        for event in events:
            said = event[1] if isinstance(event, tuple) else event
            if isinstance(said, Answered | Interrupted):
                self._turns, self._used = self._turns + 1, said.turn.usage
            if told:
                self._publisher.publish(made)
            yield event

    def _leaves(self) -> None:
        """End the agents; nothing is told of this process any more."""
        self._publisher.close()
        self.company.close()


def _with_error(part: Part, why: str) -> Part:
    return replace(part, last_error=why, state="down")


def _speed(used: Usage) -> float:
    """Tokens a second after the first one."""
    took = used.total_s - used.first_token_s
    return used.generated / took if used.generated and took > 0 else 0.0


def _devices(company: Company, placement: Placement | None) -> tuple[Device, ...]:
    """This machine's devices; those of workers as well, where they answer and serve nobody else."""
    from twin.engine import devices  # here: loads llama.cpp

    servers = dict.fromkeys((*(placement.servers if placement else ()), *company.free_servers))
    return tuple(devices.live(Placement(servers=tuple(servers))))
