"""Deliberating: a question with all that is known before a core reads it, and how a council answers one.

The roles share one context on the core of the twin; a second core of another family, where there is one, speaks some of
them, with prompts in its own form. Silent; the part of Asking that needs several roles.
"""
from __future__ import annotations

from collections.abc import Callable, Generator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

from twin import council, probe, text
from twin.archive import Archive
from twin.calibration import Calibration
from twin.depth import rate
from twin.errors import DeviceLost, TwinError
from twin.ledger import Ledger, track
from twin.lines import Settings
from twin.roles import Role, RoleMap
from twin.types import (
    Adapter,
    Control,
    Embedder,
    Engine,
    Event,
    Progress,
    Prompt,
    Recalled,
    Route,
    Sampling,
    Token,
    Turn,
    Usage,
    Verdict,
)

ABLE = 3e9  # parameters from which a core's synthesis is worth having; below it loses to the medoid (thinking.md 2b)
CONTROL = "(control)"  # its name in Verdict.failed; no role can have it


@dataclass(frozen=True)
class Asked:
    """A question and how it is to be answered; what is None is decided by the line, the policy or the router.

    A council of `members`, or of `n` by the policy; `control`: one role answers too, sampled to as many tokens.
    """

    question: str = field(repr=False)
    conversation: str
    role: str | None = None
    council: bool | None = None
    members: tuple[str, ...] = ()
    n: int | None = None
    control: bool = False


@dataclass(frozen=True)
class Ready:
    """A question with everything that is known before the core reads it. `about`: what is told of the person (None: the
    profile in a few lines), `constitution` what stands before that (None: the home's); `remembers`: whether records are
    recalled; `sampling` goes before that of role and line; `schema`: the JSON schema one role's answer keeps to."""

    asked: Asked
    settings: Settings
    role_map: RoleMap
    route: Route
    history: list[Turn]
    started: datetime
    about: str | None = None
    constitution: str | None = field(default=None, repr=False)
    remembers: bool = True
    sampling: Mapping[str, Any] = field(default_factory=dict)
    schema: Mapping[str, Any] | None = field(default=None, repr=False)

    @property
    def role(self) -> Role:
        """The role it was routed to."""
        return self.role_map.role(self.route.role)


Second = Callable[[Sequence[str]], tuple[Engine | None, tuple[str, ...], str]]
"""Ids of those who sit -> another core (its calls raise DeviceLost while it is down), who of them it speaks, and why it
is not there."""


def alone(_names: Sequence[str]) -> tuple[Engine | None, tuple[str, ...], str]:
    """There is no second core."""
    return None, (), ""


@dataclass(frozen=True)
class Seats:
    """The prompts of those who sit, by role, in their order; which of them the second core answers, and who cannot sit
    and why."""

    prompts: Mapping[str, Prompt]
    second: Mapping[str, Engine]
    failed: Mapping[str, str]

    @property
    def shared(self) -> Prompt:
        """The prompt of the first role on the core itself."""
        return next(prompt for role, prompt in self.prompts.items() if role not in self.second)


class Deliberating:
    """A part of Asking, which has what is declared here."""

    archive: Archive
    embedder: Embedder | None
    second: Second
    role_map: Any
    _engine: Callable[[], Engine]
    _calibrated: tuple[tuple[str, str], Calibration | None] | None
    _recall: Callable[[Ready, Sequence[Role]], list[Recalled]]
    _made: Callable[[Ready, Prompt, str, Usage], Turn]
    _header: Callable[..., str]
    _sampling: Callable[[Ready, Role], Sampling]
    _render: Callable[..., Prompt]
    _adapters: Callable[[Role], tuple[Adapter, ...]]

    def _council_called(self, ready: Ready) -> bool:
        asked = ready.asked
        if asked.council is not None:
            return asked.council
        policy = ready.role_map.council
        level = rate(asked.question).level if policy.on == "policy" and policy.depth is not None else None
        return ready.settings.council or council.called_for(policy, ready.route, level)

    def _deliberate(self, ready: Ready, cancel: Callable[[], bool]) -> Generator[Event, None, Turn]:
        """Several roles answer over one context; what they say is weighed, and one answer given."""
        asked, role_map, engine = ready.asked, ready.role_map, self._engine()
        names = list(dict.fromkeys(asked.members)) or council.members(role_map, role_map.council, ready.route, asked.n)
        members = [role_map.role(name) for name in names]
        seats = self._seats(ready, members)
        samplings = {role.id: self._sampling(ready, role) for role in members}
        shared = seats.shared
        yield from shared.memories
        said: list[str] = []
        calibration = self.calibration(role_map)
        verdict = yield from _collected(council.deliberate(
            engine, seats.prompts, samplings, question=asked.question, memories=shared.memories,
            calibration=calibration, track=track(Ledger(self.archive).entries()), embedder=self.embedder,
            strong=engine.parameters >= ABLE, second=seats.second, failed=seats.failed, cancel=cancel), said)
        if asked.control and not cancel():
            best = council.best([name for name in seats.prompts if name not in seats.second], calibration)
            verdict = _controlled(verdict, lambda: council.control(
                engine, seats.prompts[best], samplings[best], verdict.tokens, role=best, question=asked.question,
                memories=shared.memories, embedder=self.embedder, cancel=cancel))
        usage = Usage(verdict.prompt_tokens, verdict.reused, generated=verdict.tokens, first_token_s=verdict.first_s,
                      total_s=verdict.seconds, finish="cancelled" if cancel() else "stop")
        return replace(self._made(ready, shared, "".join(said), usage), verdict=verdict)

    def _seats(self, ready: Ready, members: Sequence[Role]) -> Seats:
        """One prompt for each role, all with the same history and memories, so that those of one core share their
        beginning: each may have what the longest header leaves."""
        second, chosen, why = self.second([role.id for role in members])
        memories = self._recall(ready, members)
        told = council.instruction(text.language(ready.asked.question))
        made = self._side_by_side(ready, [role for role in members if role.id not in chosen], memories, told)
        failed: dict[str, str] = {}
        apart = [role for role in members if role.id in chosen]
        try:
            if second is None and apart:
                raise DeviceLost(f"The second core cannot be used: {why}")
            made |= self._side_by_side(ready, apart, memories, told, second) if apart else {}
        except TwinError as error:
            failed = dict.fromkeys((role.id for role in apart), council.named(error))
        prompts = {role.id: made[role.id] for role in members if role.id in made}
        return Seats(prompts, {role.id: second for role in apart if second and role.id in made}, failed)

    def _side_by_side(self, ready: Ready, members: Sequence[Role], memories: Sequence[Recalled], told: str,
                      second: Engine | None = None) -> dict[str, Prompt]:
        """The prompts of roles on one core. What an adapter says for a role has to be told to a second core."""
        engine = second or self._engine()
        headers = {role.id: f"{self._header(ready, role, whole=second is not None)}\n{told}".lstrip("\n")
                   for role in members}
        costs = {name: len(engine.tokenize(header)) for name, header in headers.items()}
        most = max(costs.values())
        room = max(self._sampling(ready, role).max_tokens for role in members)
        return {role.id: self._render(
            ready.history, ready.asked.question, headers[role.id], room + most - costs[role.id], role=role.id,
            adapters=() if second else self._adapters(role), memories=memories, thinking="off", about=ready.about,
            constitution=ready.constitution, engine=engine) for role in members}

    def calibration(self, role_map: RoleMap) -> Calibration | None:
        """What the probe made of the council's weights on this core and map; None until it was run to its end."""
        key = self._engine().id, probe.version(role_map)
        if self._calibrated is None or self._calibrated[0] != key:
            self._calibrated = key, probe.calibration(self.archive, *key, probe.questions())
        return self._calibrated[1]

    def run_probe(self, progress: Progress | None, cancel: Callable[[], bool]) -> Calibration | None:
        """Ask this core the bundled questions, so that weights of a council mean something. It can be stopped (None)
        and goes on from there."""
        role_map, engine = self.role_map, self._engine()
        self._calibrated = None
        return probe.run(engine, self.archive, role_map, probe.asker(engine, role_map), probe.questions(),
                         progress=progress, cancel=cancel)


def _controlled(verdict: Verdict, control: Callable[[], Control]) -> Verdict:
    """The verdict with its control; a control that fails is named and costs nothing of what the council said."""
    try:
        return replace(verdict, control=control())
    except TwinError as error:
        return council.without(verdict, CONTROL, error)


def _collected(events: Generator[Event, None, Verdict], said: list[str]) -> Generator[Event, None, Verdict]:
    """The same events; the text of the answer goes to `said`."""
    while True:
        try:
            event = next(events)
        except StopIteration as end:
            verdict: Verdict = end.value
            return verdict
        if isinstance(event, Token):
            said.append(event.text)
        yield event
