"""Replying: what Twin offers to programs that call it: an answer over a conversation they keep themselves, and what is
known of the person at a level.

Nothing is stored: no turn, no own words, no version of the profile, no entry of the role map.
"""
from __future__ import annotations

from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from contextlib import closing, suppress
from dataclasses import dataclass, field, fields, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any

from pydantic import ConfigDict, Field, ValidationError
from pydantic.dataclasses import dataclass as validated

from twin import prompt, text
from twin.archive import Archive
from twin.asking import Asking
from twin.company import Accompanied
from twin.deliberating import Asked, Ready
from twin.errors import TwinError, UsageError
from twin.exporters import Level
from twin.home import Home
from twin.lines import Settings
from twin.person import Claim, Evidence, Profile
from twin.public import copied, owner_names, scan
from twin.records import Records
from twin.roles import Instructions, RoleMap
from twin.self_profile import SelfProfile
from twin.types import Answered, Event, Failed, Interrupted, Route, Sampling, Token, Turn, never

AUTO = "auto"  # as a role: the one a message is routed to
_DIGEST = "profile.digest"  # a setting in the archive: see Twin._about


@validated(frozen=True, config=ConfigDict(extra="forbid", allow_inf_nan=False))
class _Drawn(Sampling):
    """`types.Sampling` within the ranges a caller may ask for: wider than a role's."""

    temperature: Annotated[float, Field(strict=True, ge=0, le=2)] = Sampling.temperature
    top_p: Annotated[float, Field(strict=True, ge=0, le=1)] = Sampling.top_p
    top_k: Annotated[int, Field(strict=True, ge=0, le=1000)] = Sampling.top_k
    min_p: Annotated[float, Field(strict=True, ge=0, le=1)] = Sampling.min_p
    repeat_penalty: Annotated[float, Field(strict=True, ge=1, le=2)] = Sampling.repeat_penalty
    max_tokens: Annotated[int, Field(strict=True, ge=1)] = Sampling.max_tokens
    seed: Annotated[int, Field(strict=True, ge=0, lt=2**32)] | None = Sampling.seed


@dataclass(frozen=True, repr=False)
class Seen:
    """The profile as a caller at a level sees it.

    `levels`: depth 1..7 -> questions, whose words are not shown. `withheld` counts claims and quotes that are left out,
    since a second look still saw somebody in them. `published` gives any other text as it may leave, None where it may
    not.
    """

    level: Level
    profile: Profile
    levels: Mapping[int, int]
    withheld: int = 0
    published: Callable[[str], str | None] = lambda said: said


class Replying(Accompanied):
    """A part of Twin."""

    home: Home
    archive: Archive
    asking: Asking
    records: Records
    person: SelfProfile
    _seen: tuple[tuple[Any, ...], dict[Level, Seen]] | None = None  # of the archive as it was then

    def reply(self, messages: Iterable[tuple[str, str]], role: str | None = None, *, council: bool = False,
              sampling: Mapping[str, Any] | None = None, schema: Mapping[str, Any] | None = None,
              stop: Sequence[str] = (), level: Level = "private",
              cancel: Callable[[], bool] = never) -> Iterator[Event]:
        """The next answer of a conversation that the caller brings, as (system, developer, user or assistant; text);
        the last one is what is asked. Events as those of `stream`; nothing is stored.

        `role` None or 'auto' is routed. What a system message says stands after the role's own instructions. `sampling`
        goes before the role's; its max_tokens is at most half of the context, and a council keeps to its members' own.
        `stop`: texts at the first of which the answer ends, itself left out. `schema`: the answer is JSON of it. At the
        public level no memory is recalled, what is told of the person is the digest of the public copy, constitution
        and roles have lost their names (what still has one is left out), and no adapter acts: what it has learned
        cannot be taken out.
        """
        events = self._replied(lambda: self._brought(messages, role, council, sampling or {}, schema, level),
                               _Ends(stop), cancel)
        yield from self._observed(events, told=False)

    def _replied(self, brought: Callable[[], Ready], ends: _Ends, cancel: Callable[[], bool]) -> Iterator[Event]:
        try:
            ready = brought()
            events = self.asking.turn(ready, lambda: ends.found or cancel())
            with closing(events):
                turn = yield from _cut(events, ends)
            yield Interrupted(turn) if turn.status == "interrupted" else Answered(turn)
        except TwinError as error:
            yield Failed(error)

    def seen(self, level: Level = "private") -> Seen:
        """What is known of the person, for a caller at this level; kept until the archive changes, no version of it is
        stored."""
        now = _state(self.home.archive)
        if self._seen is None or self._seen[0] != now:
            self._seen = now, {}
        made = self._seen[1]
        if "private" not in made:
            whole = self.person.now()
            made["private"] = Seen("private", whole, whole.levels)
        if level not in made:
            texts = (one.text for _, one in self.archive.messages(own=True))
            made[level] = _published(made["private"].profile, owner_names(self.records.me), texts)
        return made[level]

    def _brought(self, messages: Iterable[tuple[str, str]], role: str | None, council: bool,
                 sampling: Mapping[str, Any], schema: Mapping[str, Any] | None, level: Level) -> Ready:
        """The turn that these messages ask for."""
        if council and schema is not None:
            raise UsageError("A council answers in a form of its own.", "Name a role, or leave the schema out.")
        system, past, question = _exchanges(messages)
        role_map = self.asking.role_map
        route = self.asking.routed(role_map, question, None if role == AUTO else role)
        constitution = None
        if level == "public":
            seen = self.seen(level).published
            role_map, constitution = _bare(role_map, seen), self.asking.constitution
            if constitution != prompt.CONSTITUTION:
                constitution = seen(constitution) or prompt.CONSTITUTION
        return Ready(
            Asked(question, "", None if role == AUTO else role, council), Settings(instruction=system),
            role_map, route, [_turn(*one, route) for one in past],
            datetime.now(UTC), about=self._told(level), constitution=constitution, remembers=level == "private",
            sampling=self._asked_for(sampling, council), schema=schema)

    def _asked_for(self, sampling: Mapping[str, Any], council: bool) -> Mapping[str, Any]:
        try:
            _Drawn(**sampling)
        except ValidationError as error:
            first = error.errors(include_url=False)[0]
            raise UsageError(f"The sampling cannot be {'.'.join(map(str, first['loc']))}: {first['msg']}.",
                             f"Known: {', '.join(one.name for one in fields(Sampling))}.") from error
        asked = dict(sampling)
        if "max_tokens" in asked:
            asked["max_tokens"] = min(asked["max_tokens"], self.asking._engine().n_ctx // 2)
            if council:
                del asked["max_tokens"]  # a member's JSON that is cut is no hypothesis
        return asked

    def _told(self, level: Level) -> str:
        """The profile in a few lines. Twin._about keeps them in the archive; a reply writes nothing."""
        stored = self.archive.setting(_DIGEST) if level == "private" else None
        if stored:
            return "" if stored == "-" else stored
        return prompt.digest(self.seen(level).profile)


# ---- what a caller brings ------------------------------------------------------------------------------------------

def _exchanges(messages: Iterable[tuple[str, str]]) -> tuple[str, list[tuple[str, str]], str]:
    """What system messages say, the exchanges before the last question, and that question. Several messages of one
    speaker in a row are one."""
    system, past, asked = list[str](), list[tuple[str, str]](), None
    for speaker, given in messages:
        said = text.clean(given).strip()
        if speaker in ("system", "developer"):
            system += [said] if said else []
        elif speaker == "user":
            asked = said if asked is None else f"{asked}\n\n{said}"
        elif speaker == "assistant":
            if asked is None and past:
                past[-1] = past[-1][0], f"{past[-1][1]}\n\n{said}"
            else:
                past.append((asked or prompt.ALONE, said))
            asked = None
        else:
            raise UsageError(f"A message cannot be from {speaker!r}.", "Use system, developer, user or assistant.")
    if asked is None:
        raise UsageError("The last message is not the user's.", "End the conversation with what is asked.")
    if not asked.strip():
        raise UsageError("The question is empty.", "Write what you want to ask.")
    return "\n\n".join(system), past, asked.strip()


def _turn(question: str, answer: str, route: Route) -> Turn:
    return Turn("", "", question, answer, Route(route.role, {}, ""), "answered", "", "")


def _bare(role_map: RoleMap, published: Callable[[str], str | None]) -> RoleMap:
    """The map without adapters, in what it tells a core without names; a role that was compiled into an adapter says
    its header again."""
    def told(said: Instructions) -> Instructions:
        return said.model_copy(update={name: published(words) or "" for name, words in said if words})

    return replace(role_map, roles=tuple(role.model_copy(update={"adapter": None, "sections": role.sections.model_copy(
        update={"en": told(role.sections.en), "ru": told(role.sections.ru)})}) for role in role_map.roles))


# ---- where an answer ends ------------------------------------------------------------------------------------------

@dataclass
class _Ends:
    """Looks for the first of some texts to be written out, in what comes piece by piece. `found`: it came."""

    stop: Sequence[str]
    found: bool = False
    said: list[str] = field(default_factory=list)
    _held: str = ""

    def feed(self, piece: str, *, last: bool = False) -> str:
        """What may be shown by now."""
        if self.found:
            return ""
        self._held += piece
        places = [(place + len(one), place) for one in self.stop if one and (place := self._held.find(one)) >= 0]
        keep = 0 if last else max((n for one in self.stop for n in range(1, len(one)) if self._held.endswith(one[:n])),
                                  default=0)
        self.found = bool(places)
        end = min(places)[1] if places else len(self._held) - keep
        shown, self._held = self._held[:end], self._held[end:]
        self.said.append(shown)
        return shown


def _cut(events: Generator[Event, None, Turn], ends: _Ends) -> Generator[Event, None, Turn]:
    """The same events and turn, up to where the answer is to end."""
    while True:
        try:
            event = next(events)
        except StopIteration as end:
            turn: Turn = end.value
            break
        if not isinstance(event, Token):
            yield event
        elif shown := ends.feed(event.text):
            yield Token(shown)
    if rest := ends.feed("", last=True):
        yield Token(rest)
    if not ends.found:
        return turn
    return replace(turn, answer="".join(ends.said).strip(), status="answered", written=None,
                   usage=replace(turn.usage, finish="stop"))


# ---- what a caller sees --------------------------------------------------------------------------------------------

def _published(profile: Profile, owner: tuple[str, ...], texts: Iterable[str]) -> Seen:
    """The public copy without what a second look still sees somebody in; `texts` tell names too."""
    copy = copied(profile, owner=owner, texts=texts)
    left = [0]

    def clean(said: str) -> bool:
        seen = bool(scan(said, owner=owner)) or copy.names(said)
        left[0] += seen
        return not seen

    def stands(claim: Claim) -> Claim | None:
        quotes = _clean(claim.evidence, clean) if clean(claim.text) else ()
        return replace(claim, evidence=quotes, counter=_clean(claim.counter, clean)) if quotes else None

    def published(said: str) -> str | None:
        hidden = copy.hide(said)
        return None if scan(hidden, owner=owner) or copy.names(hidden) else hidden

    claims = tuple(claim for one in copy.profile.claims if (claim := stands(one)) is not None)
    known = {claim.id for claim in claims}
    claims = tuple(replace(one, conflicts=tuple(other for other in one.conflicts if other in known)) for one in claims)
    topics = tuple(topic for topic in copy.profile.topics if clean(topic.name))
    notes = tuple(note for note in copy.profile.notes if clean(note))
    return Seen("public", replace(copy.profile, claims=claims, questions=(), topics=topics, notes=notes),
                profile.levels, left[0], published)


def _clean(quotes: Iterable[Evidence], clean: Callable[[str], bool]) -> tuple[Evidence, ...]:
    return tuple(quote for quote in quotes if clean(quote.quote))


def _state(path: Path) -> tuple[Any, ...]:
    """What tells that a SQLite file has changed."""
    found = []
    for name in (path, path.with_name(f"{path.name}-wal")):
        with suppress(OSError):
            seen = name.stat()
            found.append((name.suffix, seen.st_mtime_ns, seen.st_size, seen.st_ino))
    return tuple(found)
