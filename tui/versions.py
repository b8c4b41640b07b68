"""Versions of the profile, the newest first, each with what became different."""
from __future__ import annotations

from dataclasses import dataclass

from textual.content import Content

from twin.verification import Snapshot, diff
from twin.words import Words

from .profile_view import difference
from .shelf import Shelf


@dataclass(frozen=True)
class Version:
    """A version and the one before it."""

    now: Snapshot
    before: Snapshot | None


class Versions(Shelf[Version]):
    """How the profile came to be what it is."""

    def heading(self) -> str:
        return self.words("Versions of your profile")

    def nothing(self) -> str:
        return self.words("There is no version yet: the profile keeps one each time it is built.")

    def on_mount(self) -> None:
        self.note("")
        self.run_job(lambda *_: self.twin.versions(), self._done)

    def _done(self, kept: list[Snapshot]) -> None:
        self.fill([Version(now, before) for before, now in zip([None, *kept], kept, strict=False)][::-1])

    def row(self, thing: Version) -> Content:
        return row(thing.now, self.words)

    def about(self, thing: Version) -> Content:
        if thing.before is None:
            return Content(self.words("The first one that was kept."))
        return difference(diff(thing.before, thing.now), self.words)


def row(one: Snapshot, words: Words) -> Content:
    """A version on one line."""
    said = ", ".join([words.count(len(one.claims), "{n} claim", "{n} claims"),
                      words.count(one.own_messages, "{n} message of your own", "{n} messages of your own")])
    return Content.assemble((f"{one.made.astimezone():%Y-%m-%d %H:%M}  ", "bold"), said,
                            (f"  {one.version}", "$text-muted"))
