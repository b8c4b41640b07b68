"""What the miners look at: the turns of a home with everything the person did about them, and earlier maps.

Only what the person typed and did is in here as a sign; answers are looked at, never taken as evidence.
"""
from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from twin import roles
from twin import text as plain
from twin.archive import Archive
from twin.errors import RoleError
from twin.ledger import Entry
from twin.roles import Role, RoleMap
from twin.router import NONE, Router
from twin.types import Route, Turn, never

LOOKED = 2000  # turns of each language, the newest: what miners do grows with their square
Said = Mapping[str, Sequence[tuple[str, int | str]]]  # turn -> (kind, body) of its signals, as archive.signals has them


@dataclass(frozen=True)
class SeenTurn:
    """A turn. `role` answered it, at `temperature` (None: not known); `now` is where the map alone would send it, as it
    stands. `label`: whom the person said it was for (NONE: nobody); `liked` by thumb, None where there is none;
    `again`: another answer was asked for; `edited`: the answer as the person wrote it; `then`: what they typed next.
    `speed` is in tokens a second, 0 where it is not known. `mine`: the question is wholly the person's own words."""

    id: str
    conversation: str
    time: datetime | None
    question: str = field(repr=False)
    answer: str = field(repr=False)
    language: str
    role: str
    now: Route
    asked: bool = False
    by_default: bool = False
    temperature: float | None = None
    label: str | None = None
    liked: bool | None = None
    again: bool = False
    edited: str | None = field(default=None, repr=False)
    then: str = field(default="", repr=False)
    speed: float = 0.0
    dropped: bool = False
    together: tuple[tuple[str, ...], ...] = ()
    """Of a council: which roles held each opinion."""
    mine: bool = True

    @property
    def kept(self) -> str | None:
        """The text the person let stand by a sign: their own version, or the answer they praised."""
        return self.edited if self.edited is not None else self.answer if self.liked else None

    @property
    def whose(self) -> str | None:
        """Whom it was for: as the person said, or who gave a kept answer (nobody, where that was by default)."""
        if self.label is not None or self.kept is None:
            return self.label
        return NONE if self.by_default else self.role

    @property
    def bad(self) -> bool:
        """Whether the answer was not what was wanted, for another reason than whom it came from."""
        return self.again or self.liked is False


@dataclass(frozen=True)
class Seen:
    """The turns, oldest first; roles of earlier maps that are no more, as they last were; claims the ledger refuted."""

    turns: tuple[SeenTurn, ...] = field(repr=False)
    past: Mapping[str, Role] = field(default_factory=dict)
    refuted: tuple[str, ...] = field(default=(), repr=False)

    def by(self, role: str) -> list[SeenTurn]:
        """The turns a role answered."""
        return [turn for turn in self.turns if turn.role == role]

    def of(self, role: str) -> list[SeenTurn]:
        """The turns that were for a role, as far as the person showed it."""
        return [turn for turn in self.turns if turn.whose == role]


def seen_of(archive: Archive, router: Router, *, may_see: Callable[[str], bool] = lambda _: True,
            ledger: Iterable[Entry] = (), stop: Callable[[], bool] = never) -> Seen:
    """What the archive holds of the conversations that `may_see` lets through: of those that a proof looks at, nothing.
    `router`: of the map in force, without the person's corrections, so that it shows what the map itself does. Earlier
    maps that cannot be read, since words in them were forgotten, are left out."""
    turns = [turn for turn in archive.turns() if may_see(turn.conversation)]
    entries = {one.version: one for one in archive.map_entries()}
    maps = {}
    for version, entry in entries.items():
        with suppress(RoleError):
            maps[version] = roles.from_files(archive.map_files(entry))
    said = defaultdict[str, list[tuple[str, int | str]]](list)
    for one in archive.signals():
        said[one.turn].append((one.kind, one.body))
    for correction in archive.corrections():
        said[correction.turn].append(("correction", correction.label))
    refuted = tuple(text for entry in ledger if entry.verdict == "refuted" for text in entry.claim.values())
    return look(turns, said, maps, router, refuted, stop)


def look(turns: Sequence[Turn], said: Said, maps: Mapping[str, RoleMap], router: Router,
         refuted: tuple[str, ...] = (), stop: Callable[[], bool] = never) -> Seen:
    """The same of what is given; `maps` by version, `turns` oldest first: the newest LOOKED of each language, or as
    many of them as were routed until it was to `stop`."""
    then = {one.id: after.question for one, after in _pairs(turns)}
    left, newest = {"en": LOOKED, "ru": LOOKED}, list[SeenTurn]()
    for one in reversed(turns):
        language = _language(one.question)
        left[language] -= 1
        if left[language] >= 0:
            newest.append(_turn(one, dict(said.get(one.id, ())), maps.get(one.role_map), router, then.get(one.id, "")))
        if stop() or max(left.values()) <= 0:
            break
    seen = tuple(reversed(newest))
    past = {role.id: role for one in maps.values() for role in one.roles}
    return Seen(seen, {name: role for name, role in past.items() if name not in router.role_map.ids}, refuted)


def _language(question: str) -> str:
    return "ru" if plain.language(question) == "ru" else "en"


def _pairs(turns: Sequence[Turn]) -> Iterable[tuple[Turn, Turn]]:
    last: dict[str, Turn] = {}
    for turn in turns:
        if turn.conversation in last:
            yield last[turn.conversation], turn
        last[turn.conversation] = turn


def _turn(turn: Turn, said: Mapping[str, Any], then: RoleMap | None, router: Router, after: str) -> SeenTurn:
    usage, role = turn.usage, turn.route.role
    knew = then is not None and role in then.ids
    writing = usage.total_s - usage.first_token_s
    verdict = turn.verdict
    held: dict[str, list[str]] = defaultdict(list)
    for one in verdict.hypotheses if verdict else ():
        held[str(one.opinion)].append(one.role)
    return SeenTurn(
        turn.id, turn.conversation, turn.time, turn.question, turn.answer,
        _language(turn.question), role, router.route(turn.question), turn.route.asked,
        turn.route.abstained,
        then.role(role).sampling.temperature if then is not None and knew else None, said.get("correction"),
        {1: True, -1: False}.get(said.get("thumb", 0)), "regenerated" in said, said.get("edited"), after,
        usage.generated / writing if writing > 0 and usage.generated else 0.0, bool(turn.dropped),
        tuple(tuple(sorted(set(some))) for some in held.values()), plain.own_spans(turn.question) == [
            (0, len(turn.question))])
