"""Proposal and Proof: a typed change of the role map that somebody asks for, and what a trial of it on data the asker
never saw came to. Knows nothing of how either is made.
"""
from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from datetime import datetime
from functools import cached_property
from typing import Literal

from twin import operations
from twin.operations import Operation
from twin.types import digest, to_plain

Verdict = Literal["accepted", "rejected", "unproven"]
State = Literal["open", "accepted", "rejected", "unproven", "declined", "on trial", "applied", "rolled back", "stale"]
"""What became of a proposal: not proven yet, its proof's verdict, the person's no, tried, in use, taken back, or made
for a map that is no longer the one."""


@dataclass(frozen=True)
class Proposal:
    """One operation on the map with version `base`. `origin`: 'miner:M1'.. , 'core', 'owner', 'evolution', 'watchdog'.

    `evidence`: ids of the turns or messages it was made from. `predicted`: what its maker expects of a metric, by name.
    """

    operation: Operation
    base: str
    origin: str
    made: datetime
    evidence: tuple[str, ...] = ()
    predicted: Mapping[str, float] = field(default_factory=dict)
    why: Mapping[str, str] = field(default_factory=dict, repr=False)
    """Why it was made, by language ('en', 'ru'): what was seen, in numbers."""

    @cached_property
    def hash(self) -> str:
        """sha256 of what is asked for and for which map: who asked, when and why does not count."""
        return digest(json.dumps([self.operation.model_dump(mode="json"), self.base], sort_keys=True))

    @property
    def id(self) -> str:
        """How it is called."""
        return f"p-{self.hash[:10]}"

    @property
    def target(self) -> str:
        """What it changes: 'role:NAME' or 'council'."""
        return operations.target(self.operation)

    def say(self, language: str = "en") -> str:
        """What it would change, in one plain sentence."""
        return operations.say(self.operation, language)

    def __repr__(self) -> str:
        return f"Proposal({self.id}, {self.operation.op} of {self.target} by {self.origin})"


@dataclass(frozen=True)
class Gain:
    """What a metric gains, paired, over `n` items in `clusters` conversations; above 0 is better, in the metric's unit.
    `low`: one-sided lower bound at `level`, NaN where there is too little to tell."""

    metric: str
    value: float
    low: float
    level: float
    n: int
    clusters: int


@dataclass(frozen=True)
class Sample:
    """One item of the proof before and after: a message and the role it went to, or a text and its bits a character."""

    about: str = field(repr=False)
    before: str = field(repr=False)
    after: str = field(repr=False)


@dataclass(frozen=True)
class Proof:
    """The verdict on a proposal (by hash), by an evaluator and a scorer that are named by hash.

    `gain` is what the operation is for; `others` must not be worse. `controls`: what the same measure says of the map
    as it was, the default prompt, a placebo as long, an n-gram model. `window` served `use` proposals with this one.
    `needed`: how many more turns it would take where it is unproven; `stage`: how far it came, S0 to S3; `reason`: the
    verdict in words by language; `cost`: tokens of the map's headers before and after, seconds and tokens scored.
    """

    proposal: str
    base: str
    evaluator: str
    scorer: Mapping[str, str]
    verdict: Verdict
    stage: str
    reason: Mapping[str, str]
    made: datetime
    gain: Gain | None = None
    others: tuple[Gain, ...] = ()
    controls: Mapping[str, float] = field(default_factory=dict)
    window: str = ""
    use: int = 0
    needed: int = 0
    samples: tuple[Sample, ...] = field(default=(), repr=False)
    cost: Mapping[str, float] = field(default_factory=dict)

    @cached_property
    def hash(self) -> str:
        """sha256 of all of it."""
        return digest(json.dumps({one.name: to_plain(getattr(self, one.name)) for one in fields(self)}, sort_keys=True))
