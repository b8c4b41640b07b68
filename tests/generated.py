"""A generated person: a home with messages in conversations over months, made by code, so that the truth is known.

For whom each message is, which style the person keeps, at which temperature answers were kept: all of it is drawn from
the seed before a word is written. The home is written through the archive's own API. Texts are frames of generated.toml
filled with things and circumstances; a router has to generalise from them, since hardly any comes twice.
"""
from __future__ import annotations

import tomllib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from pathlib import Path
from random import Random
from typing import Any, Literal

from twin import roles
from twin.archive import Archive
from twin.home import Home
from twin.role_parts import RoleSampling, Sections
from twin.roles import Role, RoleMap
from twin.router import NONE, Router
from twin.types import Embedder, Route, Turn, Usage

Kind = Literal["correction", "thumb", "regenerated", "edited"]

BEGAN = datetime(2026, 1, 5, 9, tzinfo=UTC)
SIZES = (3, 5, 7, 4, 6)                # messages of the conversations in turn: 5 on average
EPOCHS = 5                             # of the history; each has temperatures of its own
STYLES = ("short", "list")
TEMPERATURES = (0.2, 0.4, 0.6, 0.8)    # at which a person's answers are kept, one a role
OFF = 0.5                              # a temperature so far from that spoils as much as any
CORRECTS, CONFIRMS, SLIPS = 0.65, 0.15, 0.03  # how often the person says whom a message was for, and says it wrong
AGAIN, EDITS, LIKES, DISLIKES, ASKS = 0.5, 0.35, 0.6, 0.3, 0.06


@dataclass(frozen=True)
class Person:
    """What is true of the person of a seed. `sound` is the map they are served best by."""

    seed: int
    style: str
    temperatures: Mapping[str, float]
    sound: RoleMap


@dataclass(frozen=True)
class Truth:
    """What is true of a home: by turn, whom its message was for (NONE: for nobody), the text that was kept, and the
    temperature its answer was written at. `said` are the signals by turn: (kind, body) as the archive takes them, and
    ('correction', label). `maps` were lived with, the last is the one in force."""

    person: Person
    maps: tuple[RoleMap, ...]
    labels: Mapping[str, str]
    kept: Mapping[str, str] = field(repr=False)
    temperatures: Mapping[str, float]
    turns: tuple[Turn, ...] = field(repr=False)
    said: Mapping[str, Sequence[tuple[Kind, int | str]]] = field(repr=False)


def person(seed: int) -> Person:
    """The person of a seed: the seed roles at temperatures of their own, with the style as a rule of each format."""
    draw = Random(f"person {seed}")  # noqa: S311 - no secret
    style = draw.choice(STYLES)
    temperatures = {role.id: draw.choice(TEMPERATURES) for role in roles.seed().roles}
    made = tuple(_ruled(at(role, temperatures[role.id]), style) for role in roles.seed().roles)
    return Person(seed, style, temperatures, RoleMap(made))


def at(role: Role, temperature: float) -> Role:
    """The role at another temperature."""
    asked = {**role.sampling.__dict__, "temperature": temperature}
    return role.model_copy(update={"sampling": RoleSampling(**asked)})


def _ruled(role: Role, style: str) -> Role:
    rule = words()["rules"][style]
    parts = {language: getattr(role.sections, language) for language in ("en", "ru")}
    told = {language: one.model_copy(update={"format": f"{one.format} {rule[language]}"})
            for language, one in parts.items()}
    return role.model_copy(update={"sections": Sections(**told)})


def live(*, seed: int = 0, conversations: int = 80, language_share: float = 0.5, role_map: RoleMap | None = None,
         embedder: Embedder | None = None) -> Truth:
    """What the person of a seed wrote, and what was answered, without a home. They live with `role_map` (the seed roles
    when None) at changing temperatures; the share `language_share` of the conversations is in English. 80 conversations
    are 400 messages."""
    base = role_map or roles.seed()
    life = _Life(person(seed), base, language_share, Router(base, embedder))
    for number in range(conversations):
        life.conversation(number, number * EPOCHS // conversations)
    return life.truth()


def build(home: Home | Path, *, seed: int = 0, conversations: int = 80, language_share: float = 0.5,
          role_map: RoleMap | None = None, embedder: Embedder | None = None) -> Truth:
    """`live`, written into an empty home; at the end the map stands in its folder as it is. 400 messages take some
    10 s: each turn and each signal is safe on the disk before the next."""
    home = home if isinstance(home, Home) else Home(home)
    truth = live(seed=seed, conversations=conversations, language_share=language_share, role_map=role_map,
                 embedder=embedder)
    archive = Archive(home.create())
    by_version = {one.version: one for one in truth.maps}
    now = ""
    for turn in truth.turns:
        if turn.role_map != now:
            now = turn.role_map
            with archive.map_log() as log:
                log.add(roles.to_files(by_version[now]), now, "owner")
        archive.save_turn(turn)
        for kind, body in truth.said.get(turn.id, ()):
            if kind == "correction":
                archive.correct(turn.id, str(body))
            else:
                archive.signal(turn.id, kind, body)
    put(home, archive, truth.maps[-1])
    return truth


def put(home: Home, archive: Archive, role_map: RoleMap) -> None:
    """Make this the map of the home: in its folder and its log."""
    roles.save(role_map, home.roles)
    with archive.map_log() as log:
        log.add(roles.on_disk(home.roles), role_map.version, "owner")


@lru_cache(maxsize=1)
def words() -> dict[str, Any]:
    """What the person is made of."""
    found: dict[str, Any] = tomllib.loads(Path(__file__).with_suffix(".toml").read_text("utf-8"))
    return found


class _Life:
    """The months of one person; every draw comes from the seed."""

    def __init__(self, who: Person, base: RoleMap, english: float, router: Router) -> None:
        self.who, self.base, self.english, self.router = who, base, english, router
        self.draw = Random(f"life {who.seed}")  # noqa: S311 - no secret
        self.for_whom = [name for name in who.sound.ids for _ in range(4)]
        self.labels: dict[str, str] = {}
        self.kept: dict[str, str] = {}
        self.temperatures: dict[str, float] = {}
        self.said: dict[str, list[tuple[Kind, int | str]]] = {}
        self.turns: list[Turn] = []
        orders = {name: self.draw.sample(range(3), 3) for name in who.sound.ids}
        self.plan = {name: [(max(right - 0.4, 0.0), right, min(right + 0.5, 1.3))[place] for place in orders[name]]
                     for name, right in who.temperatures.items()}
        self.maps = [self._epoch(number) for number in range(EPOCHS)]

    def truth(self) -> Truth:
        return Truth(self.who, (*self.maps, self.base), self.labels, self.kept, self.temperatures, tuple(self.turns),
                     self.said)

    def _epoch(self, number: int) -> RoleMap:
        """The map of an epoch: three temperatures a role are tried, then the one that was right stays."""
        def then(role: Role) -> Role:
            right = self.who.temperatures.get(role.id)
            return role if right is None else at(role, round([*self.plan[role.id], right, right][number], 2))
        return replace(self.base, roles=tuple(then(role) for role in self.base.roles))

    def conversation(self, number: int, epoch: int) -> None:
        """Its turns, each noted with what the person said of it."""
        now = self.maps[epoch]
        if not number % len(self.for_whom):
            self.draw.shuffle(self.for_whom)
        main, second = self.for_whom[number % len(self.for_whom)], self.draw.choice(self.who.sound.ids)
        language = "en" if self.draw.random() < self.english else "ru"
        thing, time = self.draw.choice(words()["things"]), BEGAN + timedelta(days=2 * number, hours=number % 7)
        before: Turn | None = None
        for place in range(SIZES[number % len(SIZES)]):
            label, question = self._asked(main, second, language, thing, before)
            name = f"g{self.who.seed}-{number:03d}-{place}"
            before = self._turn(Turn(name, f"g{self.who.seed}-{number:03d}", question, "", Route("", {}, ""),
                                     "answered", "generated", now.version, time=time + timedelta(minutes=4 * place)),
                                label, language, thing, now)

    def _asked(self, main: str, second: str, language: str, thing: Mapping[str, Any],
               before: Turn | None) -> tuple[str, str]:
        if before is not None and before.answer != self.kept.get(before.id) and self.draw.random() < ASKS:
            return self.labels[before.id], self.draw.choice(words()["asks"][self.who.style][language])
        label = self.draw.choices([main, second, self.draw.choice(self.who.sound.ids), NONE], (60, 25, 9, 6))[0]
        opener = self.draw.choice(words()["openers"][language]) if label != NONE else ""
        said = opener + self._filled(self.draw.choice(words()["messages"][label][language]), language, thing)
        return label, said[:1].upper() + said[1:]

    def _turn(self, turn: Turn, label: str, language: str, thing: Mapping[str, Any], now: RoleMap) -> Turn:
        """The turn with its route and answer."""
        route = self.router.route(turn.question)
        role = now.role(route.role)
        heat = role.sampling.temperature
        body = self._body(role.id, language, thing, heat)
        answer = self._styled(body, language, obeys=words()["rules"][self.who.style][language] in
                              getattr(role.sections, language).format)
        self.labels[turn.id], self.temperatures[turn.id] = label, heat
        spent = len(answer) // 4
        turn = replace(turn, route=route, answer=answer, header=roles.header(role, language), usage=Usage(
            300, 200, 110, 0, spent, 0.8, round(0.8 + spent / 12, 2)))
        self.turns.append(turn)
        self.said[turn.id] = list(self._signals(turn, label, body, heat))
        return turn

    def _signals(self, turn: Turn, label: str, body: str, heat: float) -> Iterator[tuple[Kind, int | str]]:
        """What the person does with an answer."""
        draw = self.draw
        right = turn.route.abstained if label == NONE else turn.route.role == label
        if draw.random() < (CONFIRMS if right else CORRECTS):
            slip = draw.random() < SLIPS
            said = draw.choice(self.who.sound.ids) if slip else label
            yield "correction", said if said in self.base.ids else NONE
        if not right or label == NONE:
            if draw.random() < DISLIKES:
                yield "thumb", -1
            return
        spoiled = min(1.0, abs(heat - self.who.temperatures[label]) / OFF)
        wanted = self._wanted(body)
        if draw.random() < 0.03 + AGAIN * spoiled:
            yield "regenerated", ""
        elif turn.answer != wanted and draw.random() < EDITS:
            self.kept[turn.id] = wanted
            yield "edited", wanted
        elif draw.random() < LIKES * (1 - spoiled / 2):
            self.kept[turn.id] = turn.answer
            yield "thumb", 1

    # ---- texts -----------------------------------------------------------------------------------------------------

    def _filled(self, frame: str, language: str, thing: Mapping[str, Any]) -> str:
        name = thing["ru"] if language == "ru" else [thing["en"]] * 4
        return str(frame.format(t=name[0], tg=name[1], ta=name[2], tp=name[3], n=self.draw.randint(2, 4),
                                d=self.draw.choice(words()["details"][language])))

    def _body(self, role: str, language: str, thing: Mapping[str, Any], heat: float) -> str:
        """An answer in the role's form; the hotter, the more words that do not belong."""
        frames: Sequence[str] = words()["answers"].get(role, words()["answers"]["mentor"])[language]
        said = self._filled(self.draw.choice(frames), language, thing).replace("|", "\n").split(" ")
        for _ in range(round(4 * heat)):
            said.insert(self.draw.randrange(1, len(said)), self.draw.choice(words()["odd"][language]))
        return " ".join(said)

    def _styled(self, body: str, language: str, *, obeys: bool) -> str:
        if obeys:
            return self._wanted(body)
        if self.who.style == "list":
            return body.replace("\n", " ")
        first, last = self.draw.sample(words()["padding"][language], 2)
        return f"{first} {body}\n{last}"

    def _wanted(self, body: str) -> str:
        """The form that is kept."""
        return body if self.who.style == "short" else "\n".join(f"- {line.removeprefix('- ')}"
                                                                for line in body.split("\n"))
