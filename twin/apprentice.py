"""Apprentice: a lesson learned, its adapter taken in, switched on and off.

Training frees the core, learns, and keeps the adapter with its manifest. It stays off until it was measured and the
gate let it on, or the person says so; a role that speaks through it is a change of the role map like any other. Knows
no torch: that is twin.training's, loaded when something is learned.
"""
from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from twin import gguf_file, roles
from twin.adapters import Adapters, Kept, refuse_control
from twin.archive import Archive
from twin.asking import Asking
from twin.catalog import Catalog
from twin.errors import RoleError, StaleAdapter, UsageError
from twin.home import Home, sha256_of
from twin.lessons import Lesson, Lessons, hash_of_key
from twin.role_changes import changes
from twin.role_file import with_line
from twin.roles import Role, RoleAdapter
from twin.types import Progress, digest, never, to_plain

if TYPE_CHECKING:
    from twin.training import Step, Trained


@dataclass(frozen=True)
class Switched:
    """A role whose adapter was switched: what changed in the role map, in words, and its version."""

    role: str
    adapter: str
    changes: tuple[str, ...]
    version: str


class Apprentice:
    """Training for one twin. `lessons` gathers what is learned, `release` frees the core where it is ours to free."""

    def __init__(self, home: Home, archive: Archive, asking: Asking, lessons: Lessons,
                 release: Callable[[], None]) -> None:
        self.home, self.archive, self.asking, self.lessons = home, archive, asking, lessons
        self.adapters = Adapters(home)
        self._release = release

    def train(self, lesson: Lesson, *, fresh: bool = False, progress: Progress | None = None,
              watch: Callable[[Step], None] | None = None, cancel: Callable[[], bool] = never,
              control_of: str = "") -> Kept:
        """Learn a lesson: minutes to hours. The core that answers is freed first, unless it was lent.

        `cancel` stops after the present step and keeps the best so far; a run that was killed goes on from its last
        checkpoint, unless `fresh`. The adapter is noted with the messages it was made of before it is taken in, so
        that what is forgotten makes it stale whatever happens. Raises what twin.training raises.
        """
        from twin import training

        self._release()
        self.home.create().training.mkdir(exist_ok=True, mode=0o700)
        folder = self.home.training / self._named(lesson, control_of)
        trained = training.train(
            lesson.plan, folder, fresh=fresh, progress=progress, watch=watch, cancel=cancel,
            invocation=lesson.opening,
            description={"name": f"twin {lesson.role.id}", "license": _licence(lesson.core)})
        if control_of and cancel():  # half of a training is no fair comparison, today or later
            raise UsageError("Stopped before the other person's adapter was trained.", "The same goes on there.")
        place = self.adapters.folder / f"{sha256_of(trained.adapter)}.gguf"
        self.archive.register("adapter", place, sha256=place.stem, keys=() if control_of else lesson.keys)
        kept = self.adapters.keep(
            trained.adapter, trained.peft, base=lesson.base, base_name=lesson.core.stem, role=lesson.role.id,
            kind=lesson.shape.kind, compiled=lesson.compiled, source=lesson.source, data=lesson.data,
            licence=_licence(lesson.core), samples=len(lesson.learn), steps=trained.steps,
            before=trained.before, after=trained.after, control_of=control_of,
            made=datetime.now(UTC).isoformat(timespec="seconds"), facts=_facts(lesson, trained))
        if not cancel():  # else the same lesson goes on from its checkpoint
            shutil.rmtree(folder, ignore_errors=True)
        return kept

    @staticmethod
    def _named(lesson: Lesson, control_of: str) -> str:
        """A folder for each run, so that only an equal one is gone on with."""
        from twin.training import COMFORT

        settings = {name: value for name, value in vars(lesson.settings).items() if name not in COMFORT}
        how = [lesson.base, lesson.data, str(lesson.shape), settings, control_of]
        return f"{lesson.role.id}-{digest(json.dumps(how))[:16]}"

    # ---- on and off --------------------------------------------------------------------------------------------

    def switch(self, role: str, adapter: str = "", *, on: bool = True, anyway: bool = False,
               language: str = "en") -> Switched:
        """Let a role speak through a trained adapter (its sha256, or how that begins; default: the role's newest), or
        with `on=False` without any. A version of the role map, which can be rolled back byte for byte.

        Raises UsageError with the reason where the adapter was not measured, or the measurement speaks against it,
        unless `anyway`; StaleAdapter; UsageError for an unknown role or adapter.
        """
        before = self.asking.book.ensure()
        chosen = before.role(role)
        kept = self._wanted(role, adapter, anyway) if on else None
        lora = RoleAdapter(sha256=kept.sha256, kind=_kind(kept), compiled=kept.compiled) if kept else None
        new = [_with_adapter(one, lora) if one is chosen else one for one in before.roles]
        after = self.asking.book.apply(replace(before, roles=tuple(new)), "owner",
                                       f"adapter of {role} {'on' if kept else 'off'}")
        return Switched(role, kept.sha256 if kept else "", tuple(changes(before, after, language)), after.version)

    def _wanted(self, role: str, name: str, anyway: bool) -> Kept:
        kept = self.adapters.get(name, role=role)
        refuse_control(kept)
        if self.stale(kept):
            raise StaleAdapter(f"The adapter {kept.sha256[:12]} was trained on messages that you have taken back "
                               "since.", f"Train it again, or allow it with `twin allow {kept.path.name}`.")
        if kept.role != role and not anyway:
            raise UsageError(f"The adapter {kept.sha256[:12]} was trained for the role {kept.role}, not for {role}.",
                             "Switch it on all the same with --anyway.")
        if not kept.on and not anyway:
            raise UsageError(why_off(kept), "Switch it on all the same with --anyway.")
        return kept

    def stale(self, kept: Kept) -> bool:
        """Whether it was trained on what was forgotten since."""
        return any(one.path == kept.path or one.sha256 == kept.sha256 for one in self.archive.stale_adapters())

    def acting(self, kept: Kept) -> list[str]:
        """The roles that speak through it."""
        return [role.id for role in self.asking.role_map.roles if role.adapter is not None and
                kept.sha256 in (role.adapter.sha256, Path(role.adapter.path or "").stem)]


def why_off(kept: Kept) -> str:
    """Why an adapter stays off, in words."""
    if kept.on is None:
        return (f"Whether the adapter {kept.sha256[:12]} is like you was not measured yet: "
                f"`twin likeness {kept.role}` does that, and switches it on if it is.")
    return f"The adapter {kept.sha256[:12]} stays off: {kept.reason}"


def _facts(lesson: Lesson, trained: Trained) -> dict[str, Any]:
    """What else the manifest tells: how it was trained, and by hashes which messages it has seen."""
    seen = [sample.key for sample in (*lesson.split.learn, *lesson.split.held) if sample.key]
    return {**trained.manifest, "curve": [list(point) for point in trained.curve], "words": lesson.words,
            "seconds": trained.seconds, "peak_bytes": trained.peak_bytes, "dropped": dict(lesson.split.dropped),
            "shape": to_plain(lesson.shape), "settings": to_plain(lesson.settings),
            "learned": [hash_of_key(key) for key in seen]}


def _licence(core: Path) -> str:
    """Of the base: its adapter is made from it."""
    known = Catalog().by_path(core)
    if known is not None:
        return known.licence
    return str(gguf_file.header(core).values.get("general.license", "unknown"))


def _kind(kept: Kept) -> Literal["lora", "alora"]:
    return "lora" if kept.kind == "lora" else "alora"


def _with_adapter(role: Role, adapter: RoleAdapter | None) -> Role:
    """The role with another adapter. Its file keeps its layout and comments, unless one line cannot be told from the
    rest: then it takes the canonical form."""
    wanted = role.model_copy(update={"adapter": adapter})
    shown = ", ".join(f"{name}: {str(value).lower()}" for name, value in
                      (adapter.model_dump(exclude_defaults=True) if adapter else {}).items())
    try:
        edited = roles.parse_role(with_line(role.to_markdown(), "adapter", f"adapter: {{{shown}}}" if shown else ""))
    except RoleError:
        return wanted
    return edited if edited == wanted else wanted
