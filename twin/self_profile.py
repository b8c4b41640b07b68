"""What is known of the person, as one: built from the archive, read by the core, decided about, checked, compared.

Knows the archive and, when it is asked for, a core; the thinking is done in profile.py and its neighbours.
"""
from __future__ import annotations

import json
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import get_args

from twin import free_claims, importers, portrait, position, profile, reader
from twin import lift as lifting
from twin.archive import Archive
from twin.depth import rate
from twin.depth_core import CoreRater
from twin.errors import HomeBusy, UsageError
from twin.lift import Lift
from twin.person import Action, Decision, Depth, DepthOf, Profile
from twin.portrait import Audit
from twin.reader import Cost
from twin.types import Embedder, Engine, Message, Progress, never
from twin.verification import Difference, Kept, Mark, Snapshot, Verification, diff, snapshot, verify

_DIGEST, _BARS, _OWN = "profile.digest", "reader.bars", "own.twin"  # settings in the archive
LONGEST_PORTRAIT = 100_000  # characters: more is an export, not a text about somebody


@dataclass(frozen=True, repr=False)
class Shown:
    """A quote where it stands: its message, and what was said before and after. `quote` is '' where it no longer
    stands; None is the end of a conversation, or a message that is gone."""

    mark: Mark
    quote: str
    message: Message | None
    before: Message | None
    after: Message | None


@dataclass(frozen=True, repr=False)
class Why:
    """A claim of the last version of the profile and the quotes it rests on, in their context."""

    claim: Kept
    shown: tuple[Shown, ...] = field(default=())


class SelfProfile:
    """The profile of one person. `engine` gives the core, loaded when it is first asked for."""

    def __init__(self, archive: Archive, embedder: Embedder | None, engine: Callable[[], Engine]) -> None:
        self.archive = archive
        self.embedder = embedder
        self._engine = engine

    # ---- building ----------------------------------------------------------------------------------------------

    def build(self, *, read: int = 0, language: str | None = None, progress: Progress | None = None,
              cancel: Callable[[], bool] = never) -> Profile:
        """The profile as it is now, kept as a version. See Twin.profile."""
        if read > 0:
            self.read(read, progress, cancel)
        made = self.now(language)
        if made.own_messages:
            with suppress(HomeBusy):  # an import is running: what is shown now is kept the next time
                self.archive.save_snapshot(self.version_of(made))
        return made

    def version(self) -> tuple[Profile, Snapshot]:
        """The profile as it is now and the version it is kept as; one without any own message is not kept. HomeBusy
        while somebody else writes."""
        made = self.now()
        kept = self.version_of(made)
        if made.own_messages:
            self.archive.save_snapshot(kept)
        return made, kept

    def version_of(self, made: Profile) -> Snapshot:
        """The version that a profile as it is now would be kept as."""
        return snapshot(made, datetime.now(UTC), _asked(made))

    def now(self, language: str | None = None) -> Profile:
        """The profile as it is now, in 'en' or 'ru' (default: the language of most messages); not kept as a version."""
        archive = self.archive
        return profile.build(archive.messages(), points=archive.points(), free=archive.free(),
                             accepted=archive.accepted(), decisions=archive.decisions(), language=language,
                             read_by_core=archive.read_by_core(), forgotten=archive.forgotten_claims)

    def unread(self, limit: int) -> tuple[list[tuple[str, Message]], list[tuple[str, Message]]]:
        """Up to `limit` own messages that this core has not judged by the catalogue, and as many that it has not read
        for claims of its own; those that can show most first."""
        core, own = self._engine().id, list(self.archive.messages(own=True))

        def left(known: set[tuple[str, str]]) -> list[tuple[str, Message]]:
            return profile.candidates([pair for pair in own if (pair[0], pair[1].id) not in known], limit)

        return left(self.archive.read_keys(core)), left(self.archive.free_read_keys(core))

    def _bars(self) -> dict[str, float]:
        """What this core has earned on the shipped examples."""
        earned: dict[str, float] = json.loads(self.archive.setting(f"{_BARS}.{self._engine().id}") or "{}")
        return earned

    def cost(self, limit: int) -> Cost:
        """What reading so many more messages takes. Loads the core and times it for some seconds."""
        judged, free = self.unread(limit)
        parts = [reader.cost(self._engine(), judged, profile.facets(), embedder=self.embedder, bars=self._bars()),
                 free_claims.cost(self._engine(), free, bars=self._bars())]
        seconds = [part.seconds for part in parts if part.seconds is not None]
        return Cost(max(len(judged), len(free)), sum(part.batches for part in parts),
                    sum(part.tokens for part in parts), sum(seconds) if len(seconds) == 2 else None)

    def read(self, limit: int, progress: Progress | None = None, cancel: Callable[[], bool] = never) -> None:
        """Let the core read so many more messages: judge them by the catalogue, then look for claims of its own.

        Kept batch by batch: it can be stopped and taken up again. What failed is kept too (`Archive.failures`).
        """
        engine, (judged, free), bars = self._engine(), self.unread(limit), self._bars()
        for keys, points in reader.read(engine, judged, profile.facets(), embedder=self.embedder, bars=bars,
                                        progress=progress, cancel=cancel):
            self.archive.save_points(engine.id, points, keys)
            self._keep(bars)
        for keys, claims, failures in free_claims.read(engine, free, known=(one.text for one in self.archive.free()),
                                                       bars=bars, progress=progress, cancel=cancel):
            self.archive.save_free(engine.id, claims, keys)
            for failure in failures:
                self.archive.save_failure(engine.id, failure.kind, failure.keys, failure.raw or failure.reason)
            self._keep(bars)
        self.archive.set_setting(_DIGEST, "")

    def _keep(self, bars: dict[str, float]) -> None:
        self.archive.set_setting(f"{_BARS}.{self._engine().id}", json.dumps(bars))

    # ---- decisions, versions, checks ---------------------------------------------------------------------------

    def latest(self) -> Snapshot:
        """The last version; built now when there is none. Raises UsageError where there is nothing to build from."""
        if not self.archive.snapshots(1):
            self.build()
        for kept in self.archive.snapshots(1):
            return kept
        raise UsageError("There is no profile yet: no message here is your own.",
                         "Import what you wrote with `twin import PATH`.")

    def claim(self, name: str) -> Kept:
        """A claim of the last version by its id, the beginning of one, or its number in the report."""
        claims = self.latest().claims
        if name.isdecimal() and 1 <= int(name) <= len(claims):
            return claims[int(name) - 1]
        found = [one for one in claims if one.id == name] or [one for one in claims if one.id.startswith(name)]
        if len(found) != 1 or not name:
            known = ", ".join(one.id for one in (found or claims)) or "none"
            raise UsageError(f"{'Several claims begin' if found else 'No claim of the profile begins'} with {name!r}.",
                             f"Known: {known}.")
        return found[0]

    def why(self, name: str) -> Why:
        """The quotes of a claim in their context."""
        claim = self.claim(name)
        return Why(claim, tuple(map(self._shown, claim.quotes)))

    def _shown(self, mark: Mark) -> Shown:
        try:
            messages = self.archive.conversation(mark.conversation).messages
        except UsageError:
            return Shown(mark, "", None, None, None)
        places = [place for place, message in enumerate(messages) if message.id == mark.message]
        if not places:
            return Shown(mark, "", None, None, None)
        place = places[0]
        message = messages[place]
        return Shown(mark, message.text[mark.start:mark.end] if mark.stands_in(message.text) else "", message,
                     messages[place - 1] if place else None, messages[place + 1] if place + 1 < len(messages) else None)

    def decide(self, name: str, action: str, text: str = "") -> Decision:
        """Approve, reject, pin, edit or undo a claim: one of the last version, or one that was decided about before. A
        rejected one stays rejected, whatever is read later; `undo` takes back the last decision that stands.

        Raises UsageError for another action, an edit without words, an unknown claim and where nothing is to be undone.
        """
        if action not in get_args(Action):
            raise UsageError(f"There is no decision {action!r}.", f"Known: {', '.join(get_args(Action))}.")
        if (action == "edit") != bool(text.strip()):
            raise UsageError("An edit needs the words the claim should have; nothing else takes words.",
                             'Say: twin decide edit CLAIM "your words".')
        name, words = self._meant(name)
        if action == "undo":
            words = self._undone(name)
        # The words go along: a core may say the same again in other words, under another id.
        decision = Decision(name, action, text.strip() or words, datetime.now(UTC))  # type: ignore[arg-type]
        self.archive.save_decision(decision)
        self.archive.set_setting(_DIGEST, "")
        return decision

    def decided(self, claim: str) -> list[Decision]:
        """The decisions on this id that stand, the oldest first: what was undone is not among them."""
        stack: list[Decision] = []
        for one in self.archive.decisions():
            if one.claim == claim and one.action != "undo":
                stack.append(one)
            elif one.claim == claim and stack:
                stack.pop()
        return stack

    def _meant(self, name: str) -> tuple[str, str]:
        """Id and words of the claim that is named: one of the last version, else one that was decided about."""
        decided = {one.claim: "" if one.action == "edit" else one.text for one in self.archive.decisions()}
        try:
            kept = self.claim(name)
            if kept.id == name or name not in decided:
                return kept.id, kept.text
            return name, decided[name]
        except UsageError as error:
            found = [one for one in decided if one == name] or [one for one in decided if one.startswith(name)]
            if len(found) == 1 and name:
                return found[0], decided[found[0]]
            if not decided:
                raise
            ids = ", ".join(decided)
            raise UsageError(error.what, f"{error.next_step} Decided about: {ids}; `twin decide undo CLAIM` takes the "
                             "last decision on one back.") from error

    def _undone(self, name: str) -> str:
        """The words of the decision that an undo takes back; '' of an edit, whose words name nothing."""
        if stack := self.decided(name):
            return "" if stack[-1].action == "edit" else stack[-1].text
        now = self.now().claim(name)  # decided under another id of the same claim?
        if now is None or not now.decided:
            raise UsageError(f"There is no decision on {name} to undo.", "Nothing was changed.")
        return ""

    def verify(self) -> Verification:
        """Check every quote of the last version, and the questions its report shows, against the archive."""
        kept = self.latest()
        return verify(kept, self.archive.messages(keys=kept.keys))

    def diff(self, before: str | None = None, after: str | None = None) -> Difference:
        """What is different between two versions; by default the last one and the one before it."""
        kept = self.archive.snapshots()
        if (not before or not after) and len(kept) < (1 if before else 2):
            raise UsageError(f"There are {len(kept)} versions of the profile, so nothing to compare.",
                             "Build another one after the next import: `twin profile`.")
        return diff(self.archive.snapshot(before) if before else kept[-2],
                    self.archive.snapshot(after) if after else kept[-1])

    # ---- own words, portraits, questions -----------------------------------------------------------------------

    @property
    def keeps_typed(self) -> bool:
        """Whether what the person types to the twin counts as their own words."""
        return self.archive.setting(_OWN) != "off"

    @keeps_typed.setter
    def keeps_typed(self, on: bool) -> None:
        self.archive.set_setting(_OWN, "on" if on else "off")

    def rate(self, question: str) -> tuple[Depth, bool]:
        """Depth of a question with the core's opinion, and whether this core's opinion counts in its language. It is
        tried once on questions of known depth (a minute or two); the verdict is kept."""
        gate = self._bars()
        known = dict(gate)
        rater = CoreRater(self._engine(), gate)
        found = rate(question)
        adjusted = rater.adjust(question, found)
        if gate != known:
            self._keep(gate)
        return adjusted, rater.counts(question)

    def lift(self, flat: str, *, core: bool = False) -> Lift:
        """How this person would have asked a flat question."""
        return lifting.lift(flat, self.build(), self._engine() if core else None)

    def audit(self, text: str, *, core: bool = False) -> Audit:
        """Each sentence of a text about the person: supported, contradicted or no evidence."""
        return portrait.audit(text, list(self.archive.messages(own=True)), self.build(),
                              engine=self._engine() if core else None, embedder=self.embedder)


def _asked(made: Profile) -> list[DepthOf]:
    """The questions a report shows: the three deepest, and the examples of its table."""
    return [*position.deepest(made), *(row.example for row in position.table(made) if row.example)]


def portrait_text(path: Path) -> str:
    """The text about a person in a file: what the assistant says in an imported chat, else all of it.

    Raises InputError for what cannot be read, and UsageError for an export: answers of several conversations, or a text
    longer than LONGEST_PORTRAIT.
    """
    found = [one.conversation for one in importers.read(path) if one.conversation is not None]
    said = [message for conversation in found for message in conversation.messages]
    answers = [message.text for message in said if message.role == "assistant"]
    if len(found) > 1 and len(answers) > 1:
        raise UsageError(f"{path.name} holds {len(found)} conversations with {len(answers):,} answers: an export, not "
                         "a text about one person.", "Put the one answer into a file of its own.")
    text = "\n\n".join(answers or [message.text for message in said])
    if len(text) > LONGEST_PORTRAIT:
        raise UsageError(f"{path.name} holds {len(text):,} characters: an export, not a text about one person.",
                         "Put the one answer into a file of its own.")
    return text
