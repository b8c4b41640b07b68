"""Forming: what Twin offers of cores - form one of what is there now, name it, compare two, put one back - and what
exporters get of one, at a level and in a language."""
from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from itertools import count
from pathlib import Path
from typing import Any

from twin import firmware, text
from twin.adapters import Adapters, Kept
from twin.archive import Archive
from twin.asking import Asking
from twin.errors import UsageError
from twin.exporters import Level, Material
from twin.firmware import Comparison, Firmware
from twin.home import Home, sha256_of, write_atomically
from twin.person import Profile
from twin.records import Records
from twin.roles import Role, RoleMap
from twin.self_profile import SelfProfile
from twin.types import Embedder, Engine
from twin.verification import Snapshot

NAME = "twin"     # of a core that nobody named
LONGEST = 80      # characters of a name
_WORDED = ("title", "purpose", "sections", "examples")  # of a role: what holds words, for people and for the core


@dataclass(frozen=True)
class Restored:
    """What came of putting a core back: `core` is what was asked for, `now` what is in force, `aside` the core that was
    in force before. `left` says in words what cannot be put back."""

    core: Firmware
    now: Firmware
    aside: Firmware
    left: tuple[str, ...] = field(default=(), repr=False)


class Forming:
    """A part of Twin."""

    home: Home
    archive: Archive
    asking: Asking
    records: Records
    person: SelfProfile
    embedder: Embedder | None

    # ---- one core ----------------------------------------------------------------------------------------------

    def form(self, name: str = "") -> Firmware:
        """Form the core of what is there now: profile, roles, adapters, constitution, passages. The same state is the
        same core, by id; with another `name` it gets that name. UsageError where no message is one's own."""
        return self._formed(name)[0]

    def _formed(self, name: str = "") -> tuple[Firmware, Snapshot]:
        """The core of what is there now and its version of the profile."""
        chosen = text.one_line(text.clean(name))
        if len(chosen) > LONGEST:
            raise UsageError(f"The name of a core has at most {LONGEST} characters.", "Give a shorter one.")
        profile, kept = self.person.version()
        if not kept.own_messages:
            raise UsageError("There is nothing to form a core of: no message here is your own.",
                             "Import what you wrote with `twin import PATH`.")
        self.asking.book.ensure()
        made = self.core_of(profile)
        known = next((one for one in self.archive.cores() if one.id == made.id), None)
        chosen = chosen or (known.name if known else "") or NAME
        if known is None or known.name != chosen:
            self.archive.save_core(replace(made, name=chosen))
        return replace(known or made, name=chosen), kept

    def core_of(self, profile: Profile) -> Firmware:
        """The core that this profile, as it is now, makes with all else that is there; without a name, stored
        nowhere."""
        role_map = self.asking.role_map
        pack, passages = self.archive.own_words()
        return Firmware(
            "", datetime.now(UTC), self.person.version_of(profile).version, role_map.version, pack, passages,
            self._invariants(), {role.id: sha256 for role in role_map.roles if (sha256 := self._adapter(role))},
            profile.language, {"messages": profile.messages, "own_messages": profile.own_messages,
                               "conversations": profile.conversations, "read_by_core": profile.read_by_core},
            tuple(sorted(claim.id for claim in profile.claims if "pin" in claim.decided)),
            {claim.id: claim.conflicts for claim in profile.claims if claim.conflicts}, profile.notes)

    def drop_core(self, which: str) -> Firmware:
        """Take back a core, by name or id; exports that were made of it stay where they are."""
        return self.archive.drop_core(which)

    def formed(self) -> list[Firmware]:
        """The cores that were formed, the oldest first."""
        return self.archive.cores()

    def compare_cores(self, before: str, after: str = "") -> Comparison:
        """What is different between two cores, by name or id; `after` '' is what is there now."""
        old = self.archive.core(before)
        new = self.archive.core(after) if after else self.form()
        snapshots = self.archive.snapshot(old.profile), self.archive.snapshot(new.profile)
        return firmware.compare(old, new, snapshots, (self._roles_of(old), self._roles_of(new)),
                                "ru" if new.language == "ru" else "en")

    def restore_core(self, which: str) -> Restored:
        """Put roles and constitution of a core back, byte for byte; what is in force is formed first, so that it can be
        put back in turn. The profile and the passages follow from the messages and are not put back."""
        core, aside = self.archive.core(which), self.form()
        if core.role_map != aside.role_map:
            self.asking.book.rollback(core.role_map)
        if core.constitution != aside.constitution:
            place = self.home.root / "constitution.md"
            if core.constitution:
                write_atomically(place, core.constitution)
            else:
                place.unlink(missing_ok=True)
        now = self.form(aside.name if core.id == aside.id else "")
        return Restored(core, now, aside, tuple(self._left(core, now)))

    def _left(self, core: Firmware, now: Firmware) -> Iterable[str]:
        if core.profile != now.profile:
            yield (f"The profile is {now.profile}, not {core.profile}: it follows from your messages and decisions. "
                   "`twin form --compare` shows what is different.")
        if core.pack != now.pack:
            yield f"There are {now.passages} own messages, not the {core.passages} of that core."
        for role, sha256 in core.adapters.items():
            if now.adapters.get(role) != sha256:
                yield f"The adapter {sha256[:12]} of the role {role} is not there any more."

    def _adapter(self, role: Role) -> str:
        """sha256 of the adapter a role speaks through; '' where it has none, or its file is not there."""
        if role.adapter is None:
            return ""
        path = self.home.adapter(role.adapter.path, role.adapter.sha256)
        return sha256_of(path) if path.is_file() else ""

    def _invariants(self) -> str:
        """The constitution the person wrote, as its bytes say; '' where that is the program's own."""
        place = self.home.root / "constitution.md"
        if not place.exists() or not self.asking.constitution:  # which raises for what is no text
            return ""
        return place.read_bytes().decode("utf-8")

    def _roles_of(self, core: Firmware) -> RoleMap:
        now = self.asking.role_map
        return now if now.version == core.role_map else self.asking.book.map_of(core.role_map)

    def proposed_constitution(self, language: str | None = None) -> str:
        """A constitution to read, change and take: nothing is written. Default language: that of most messages."""
        profile = self.person.now(language)
        return firmware.constitution(profile, "ru" if profile.language == "ru" else "en")

    def take_constitution(self, said: str) -> Path:
        """Make this the invariant part of every system prompt. UsageError for no words, and where one stands already:
        that is edited by hand, or put back by `restore_core`."""
        place = self.home.root / "constitution.md"
        if not said.strip():
            raise UsageError("A constitution needs words.", "See one with `twin form --constitution`.")
        if place.exists():
            raise UsageError(f"{place} stands already.", "Edit it, or remove it first.")
        write_atomically(place, text.clean(said).strip() + "\n")
        return place

    # ---- what exporters get ------------------------------------------------------------------------------------

    def material(self, which: str = "", *, level: Level = "private", language: str | None = None,
                 role: str | None = None, keep: Iterable[str] = ()) -> Material:
        """A core as exporters take it, by name or id; '' is what is there now, which alone can be told in another
        language whole. At the public level every text has lost its names already, but those of `keep`."""
        if which:
            core = self.archive.core(which)
            kept = self.archive.snapshot(core.profile)
        else:
            core, kept = self._formed()
        language = language or core.language
        if language not in ("en", "ru"):
            raise UsageError(f"There is no export in the language {language!r}.", "Choose en or ru.")
        there = {(one, message.id): message for one, message in self.archive.messages(keys=kept.keys)}
        profile = firmware.profile_of(core, kept, lambda one, message: there.get((one, message)))
        role_map = self._roles_of(core)
        if role is not None:
            role_map.role(role)
        if language != core.language:
            profile = self._translated(profile, language, now=not which)
        made = Material(core, profile, firmware.levels(kept), role_map, level, language,
                        core.constitution.strip(), core.name, role, self._trained(role_map),
                        lambda: self.archive.messages(own=True), embedder=self.embedder, engine=lambda: self.engine)
        return made if level == "private" else _published(made, keep, self.records.me)

    @property
    def engine(self) -> Engine:
        """See Twin."""
        raise NotImplementedError

    def _translated(self, profile: Profile, language: str, *, now: bool) -> Profile:
        told = firmware.in_language(profile, language)
        if not now:
            return replace(told, notes=())
        other = self.person.now(language)
        texts = {claim.id: claim.text for claim in other.claims}
        return replace(told, notes=other.notes, claims=tuple(
            replace(claim, text=texts.get(claim.id, claim.text)) for claim in told.claims))

    def _trained(self, role_map: RoleMap) -> Mapping[str, Kept]:
        """The trained adapters that roles speak through; what cannot be read, or was trained on what is forgotten, is
        no part of an export."""
        stale = {one.sha256 for one in self.archive.stale_adapters()}
        known = {one.sha256: one for one in Adapters(self.home).all()}
        named = {role.id: self._adapter(role) for role in role_map.roles}
        return {role: known[sha256] for role, sha256 in named.items() if sha256 in known and sha256 not in stale}


def _published(made: Material, keep: Iterable[str], me: Iterable[str]) -> Material:
    """The same without names, in profile, roles and constitution; without adapters, which cannot lose any. All that the
    person wrote tells names: 1 s for a thousand messages, and no list of them is kept."""
    from twin.public import copied, owner_names  # here: opens lists of names

    copy = copied(made.profile, keep=keep, owner=owner_names(me), texts=(one.text for _, one in made.said()))
    role_map, ids = nameless(made.role_map, copy.hide)
    return replace(made, profile=copy.profile, role_map=role_map, role=made.role and ids[made.role], level="public",
                   constitution=copy.hide(made.constitution), name=NAME, adapters={}, place=copy.place, hide=copy.hide)


def nameless(role_map: RoleMap, hide: Callable[[str], str]) -> tuple[RoleMap, dict[str, str]]:
    """The map without names, and what each role is called in it: one whose id or title names somebody is role-1,
    role-2 ..."""
    free = (one for one in map("role-{}".format, count(1)) if one not in role_map.ids)
    ids = {role.id: next(free) if _names_somebody(role, hide) else role.id for role in role_map.roles}
    roles = tuple(_nameless(role, hide).model_copy(update={"id": ids[role.id]}) for role in role_map.roles)
    council = role_map.council.model_copy(update={"members": tuple(ids[one] for one in role_map.council.members)})
    return replace(role_map, roles=roles, council=council), ids


def _names_somebody(role: Role, hide: Callable[[str], str]) -> bool:
    return any(hide(one) != one for one in (role.title.en, role.title.ru, role.id.replace("-", " ").title()) if one)


def _nameless(role: Role, hide: Callable[[str], str]) -> Role:
    def walked(value: Any) -> Any:
        if isinstance(value, str):
            return hide(value)
        if isinstance(value, dict):
            return {name: walked(one) for name, one in value.items()}
        return list(dict.fromkeys(map(walked, value))) if isinstance(value, list | tuple) else value

    content = role.content
    return Role.model_validate({**content, **{name: walked(content[name]) for name in _WORDED}, "adapter": None})

