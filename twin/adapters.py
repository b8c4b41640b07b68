"""Adapters that were trained here: a manifest beside each, the core it fits, and what was measured of it.

An adapter is `<sha256>.gguf` in the home's folder `adapters`; beside it lie `<sha256>.json`, which this file writes and
reads, and the folder `<sha256>`, the same weights for PEFT. The GGUF comes last and whole, so that one that is there
is complete; the name tells whether its bytes are still those that were measured. An adapter without a manifest is
somebody else's: it is taken as it is. Knows no training, no engine and no role.
"""
from __future__ import annotations

import json
import re
import shutil
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields, replace
from functools import lru_cache
from pathlib import Path
from typing import Any

from twin.catalog import load_models
from twin.errors import ModelBroken, ModelError, UsageError
from twin.home import Home, full_disk_is_named, sha256_of, write_atomically

VERSION = 1  # of the manifest
_HASH = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True)
class Kept:
    """An adapter and its manifest. `base`: sha256 of the core it was trained on; `compiled`: it carries its role's
    header. `source`: what it learned from (messages, claims, scope, role), `data`: sha256 of that.

    `before`, `after`: held-out bits a character. `on`: what the gate said of it, None before it was measured, with
    the `reason` in words; `likeness`: the figures. `control_of`: sha256 of the adapter that this one, of another
    person's words, was made to be compared with; such a one is offered to nobody. `facts`: what else the training
    tells.
    """

    path: Path
    sha256: str
    base: str
    role: str
    kind: str = "alora"
    base_name: str = ""
    licence: str = ""
    compiled: bool = False
    source: str = ""
    data: str = ""
    made: str = ""
    samples: int = 0
    steps: int = 0
    before: float = 0.0
    after: float = 0.0
    on: bool | None = None
    reason: str = ""
    likeness: Mapping[str, Any] = field(default_factory=dict)
    control_of: str = ""
    facts: Mapping[str, Any] = field(default_factory=dict)

    @property
    def manifest(self) -> dict[str, Any]:
        """The manifest as JSON can hold it; where the file lies is not in it, so a home can be moved."""
        return {"version": VERSION, **{name: value for name, value in asdict(self).items() if name != "path"}}

    @property
    def peft(self) -> Path:
        """The folder with the same weights for PEFT."""
        return self.path.with_suffix("")


class Adapters:
    """The trained adapters of one home. Errors: HomeFull, HomeError when writing; UsageError for an unknown name."""

    def __init__(self, home: Home) -> None:
        self.folder = home.adapters

    def keep(self, gguf: Path, peft: Path | None, **manifest: Any) -> Kept:
        """Take in a GGUF under the sha256 of its bytes, with its PEFT folder and the fields of `Kept`.

        Order: PEFT, manifest, GGUF. Killed at any moment, what is there without the GGUF is nothing to anybody. The
        same bytes once more (equal data, settings and seed) keep what was measured of them.
        """
        sha256 = sha256_of(gguf)
        made = Kept(self.folder / f"{sha256}.gguf", sha256, **manifest)
        known = _readable(made.path) if made.path.is_file() and sha256_of(made.path) == sha256 else None
        if known is not None:
            return known
        if peft is not None and peft.is_dir():
            _copied(peft, made.peft)
        self._write(made)
        write_atomically(made.path, gguf.read_bytes())
        return made

    def judge(self, kept: Kept, *, on: bool, reason: str, likeness: Mapping[str, Any]) -> Kept:
        """Note what was measured of an adapter, and whether that speaks for it."""
        judged = replace(kept, on=on, reason=reason, likeness=dict(likeness))
        self._write(judged)
        return judged

    def all(self, *, role: str | None = None, controls: bool = False) -> list[Kept]:
        """Those whose file and manifest are there, in the order in which they were made; of one role, if named."""
        found = [kept for path in sorted(self.folder.glob("*.gguf"))
                 if _HASH.fullmatch(path.stem) and (kept := _readable(path)) is not None]
        return sorted((one for one in found if role in (None, one.role) and (controls or not one.control_of)),
                      key=lambda one: (one.made, one.sha256))

    def damaged(self) -> list[str]:
        """What is wrong with those whose manifest cannot be read; trained again they get a new one."""
        found = []
        for path in sorted(self.folder.glob("*.gguf")):
            try:
                of(path)
            except ModelBroken as error:
                found.append(str(error))
        return found

    def get(self, name: str, *, role: str | None = None) -> Kept:
        """The one whose sha256 begins so; with '' the newest of that role. UsageError for none and for several."""
        known = self.all(role=None if name else role)
        found = [one for one in known if one.sha256.startswith(name.lower().removesuffix(".gguf"))]
        if found and not name:
            return found[-1]
        if len(found) == 1:
            return found[0]
        if not name:
            raise UsageError(f"No adapter was trained for the role {role} yet.", f"Train one with `twin train {role}`.")
        listed = ", ".join(f"{one.sha256[:12]} ({one.role})" for one in (found or known)[-6:])
        what = f"{len(found)} adapters begin" if found else "There is no trained adapter that begins"
        raise UsageError(f"{what} with {name!r}.", f"Name one of: {listed}." if listed else
                         "Train one with `twin train ROLE`.")

    def intact(self, kept: Kept) -> bool:
        """Whether its bytes are still those it was named after."""
        return kept.path.is_file() and sha256_of(kept.path) == kept.sha256

    def control(self, kept: Kept, data: str) -> Kept | None:
        """The adapter made of another person's words (their sha256 is `data`), on the same core with equal settings."""
        how = [kept.facts.get(name) for name in ("shape", "settings")]
        return next((one for one in self.all(controls=True) if one.control_of and one.data == data
                     and one.base == kept.base and [one.facts.get(name) for name in ("shape", "settings")] == how
                     and self.intact(one)), None)

    def refuse_unfit(self, path: Path, core: str) -> None:
        """Refuse an adapter for the core `core` (an Engine's id: its name, '@', the beginning of its sha256; where
        there is no '@' nothing is compared). It may lie anywhere and have any name: its bytes tell which it is.

        Raises ModelBroken where the file or its manifest is damaged, ModelError that names both cores where it was
        trained on another one. No file is read again while its time and size stay.
        """
        if not path.is_file():
            return  # the engine says so
        sha256 = sha256_of(path)
        if _HASH.fullmatch(path.stem) and path.stem != sha256:
            raise ModelBroken(f"The adapter {path.stem[:12]} is damaged: its bytes are not those it was named after.",
                              "Train it again, or put the file back from a copy.")
        kept = of(self.folder / f"{sha256}.gguf")
        name, found, begins = core.rpartition("@")
        if kept is None or not found or kept.base.startswith(begins):
            return
        raise ModelError(
            f"The adapter {sha256[:12]} was trained on {_named(kept.base, kept.base_name)}, not on the core that runs, "
            f"{_named(begins, name)}.", "Open the twin with the core it was trained on (--model), switch it off "
            f"(`twin adapter off {kept.role}`), or train one for this core (`twin train {kept.role}`).")

    def _write(self, kept: Kept) -> None:
        text = json.dumps(kept.manifest, ensure_ascii=False, indent=1, sort_keys=True, default=str)
        write_atomically(kept.path.with_suffix(".json"), text + "\n")


def of(path: Path) -> Kept | None:
    """The manifest beside an adapter, None where there is none. Raises ModelBroken for one that cannot be read."""
    beside = path.with_suffix(".json")
    try:
        seen = beside.stat()
    except OSError:
        return None
    return _read(beside, seen.st_mtime_ns, seen.st_size, seen.st_ino)


def refuse_control(kept: Kept) -> None:
    """Raise UsageError for an adapter that another person's words made."""
    if kept.control_of:
        raise UsageError(f"The adapter {kept.sha256[:12]} is made of another person's words, to be compared with "
                         f"{kept.control_of[:12]}.", "Choose one of `twin adapter list`.")


def _named(sha256: str, name: str) -> str:
    """A core in words: its name in the catalogue where the hash stands there, else that of its file."""
    known = next((model.name for model in load_models() for file in model.files
                  if file.sha256 and sha256 and file.sha256.startswith(sha256)), name)
    return f"{known or 'a core without a name'} (sha256 {sha256[:16]})"


def _readable(path: Path) -> Kept | None:
    """The manifest for a list: what cannot be read is refused when it is to act, and only then."""
    try:
        return of(path)
    except ModelBroken:
        return None


def _must_be_sound(kept: Kept) -> None:
    """Raise TypeError or ValueError for fields of another kind than written, or another adapter's manifest."""
    kinds: dict[str, type | tuple[type, ...]] = {
        "str": str, "bool": bool, "int": int, "float": (int, float), "bool | None": (bool, type(None)),
        "Mapping[str, Any]": dict, "Path": Path}
    for one in fields(kept):
        value = getattr(kept, one.name)
        if not isinstance(value, kinds[str(one.type)]) or (str(one.type) in ("int", "float") and value is True):
            raise TypeError(f"{one.name} is of the kind {type(value).__name__}")
    if _HASH.fullmatch(kept.path.stem) and kept.sha256 != kept.path.stem:
        raise ValueError("another adapter's")


@lru_cache(maxsize=64)
def _read(beside: Path, *_identity: int) -> Kept:
    try:
        row = json.loads(beside.read_text("utf-8"))
        version = row.pop("version")
        known = {one.name for one in fields(Kept)}
        if version == VERSION:
            kept = Kept(beside.with_suffix(".gguf"), **{name: value for name, value in row.items() if name in known})
            _must_be_sound(kept)
            return kept
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise ModelBroken(f"The manifest {beside.name[:12]}... of an adapter cannot be read ({type(error).__name__}).",
                          f"Train it again, or remove {beside}: then nothing is known of the adapter.") from error
    raise ModelBroken(f"The manifest {beside.name[:12]}... of an adapter has another form (version {version!r}).",
                      f"Use the version of twin that wrote it, or remove {beside}.")


def _copied(source: Path, target: Path) -> None:
    """A folder, copied beside its place and moved there whole."""
    beside = target.with_name(f".{target.name}.new")
    with full_disk_is_named(target.parent):
        target.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        for old in (beside, target):
            shutil.rmtree(old, ignore_errors=True)
        shutil.copytree(source, beside)
        beside.replace(target)
