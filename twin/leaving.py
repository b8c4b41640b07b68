"""Leaving: what Twin offers to those who carry their twin away - exports, written and registered - and what comes back
of them: claims that wait for a yes."""
from __future__ import annotations

import json
import os
import re
import shutil
import tempfile
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from os import PathLike
from pathlib import Path, PurePosixPath
from typing import Any

from twin import text
from twin.archive import Waiting
from twin.backup import Backup, backup
from twin.claims import free_id
from twin.errors import HomeError, UsageError
from twin.exporters import FORMATS, Exported, Format, Level, Material
from twin.facets import facets
from twin.firmware import CONFIRMED
from twin.forming import Forming
from twin.home import full_disk_is_named, sha256_of, write_atomically
from twin.person import Carried, ClaimKind, Decision
from twin.types import Conversation, ImportReport, Message, Progress, digest

DIGEST = "profile.digest"  # a setting in the archive
LONGEST_CLAIM = 500  # characters of a claim that a program proposes
_TEXT = (".md", ".txt", ".jsonl", "")  # files scanned as they stand; JSON by its strings, all else by what it tells
_SLASHES = ("/", os.sep)
_HASH = re.compile(r"\b[0-9a-f]{12,64}\b")  # ids and hashes of ours: they have the shape of numbers

@dataclass(frozen=True)
class Loaded:
    """What came of loading a tokenised role map: the core it was made of, how many tokens need not be read now, and
    whether conversations here begin with them (`used`): not if profile or constitution changed since."""

    core: str
    tokens: int
    used: bool


_NUMBERED = re.compile(r"\.\d{1,6}$")  # a claim of a public copy whose id was a hash of words: it names nothing here


class Leaving(Forming):
    """A part of Twin."""

    # ---- out ---------------------------------------------------------------------------------------------------

    def export(self, format: str = "prompt", *, path: str | PathLike[str] | None = None, budget: int | None = None,
               language: str | None = None, level: Level = "private", role: str | None = None, core: str = "",
               keep: Iterable[str] = ()) -> Exported:
        """Write a core as an export; it tells its path, its text and what was cut. Formats: `twin.exporters.FORMATS`.

        `core` names one that was formed; '' is what is there now. `level` 'public' takes names out and then looks for
        them once more: NotPublic, and nothing is written, where it finds one (`keep`: names that may stay). `budget`
        counts UTF-16 code units. A `path` that is a folder, or ends with a slash, gets the export into it, under its
        own name.
        """
        made = self._form_of(format)
        if level not in made.levels:
            raise UsageError(f"There is no {level} export of the format {made.name}: what an adapter learned cannot be "
                             "taken out of it.", "Export it with `--level private`, for yourself.")
        keep = tuple(keep)
        material = self.material(core, level=level, language=language, role=role, keep=keep)
        target = self._target(made, material, path)
        if made.name == "skill" and target.name != material.name:
            material = replace(material, name=target.name)
        exported = made(material, budget)
        if level == "public":
            self._must_name_nobody(exported, keep)
        self._write(made, exported, target)
        return replace(exported, path=target, core=material.firmware.id)

    def backup(self, path: str | PathLike[str], *, progress: Progress | None = None) -> Backup:
        """Write all of this home that cannot be made again into one zip at `path`, or into a folder there. `restore` of
        twin.backup brings it back. It goes with whatever is forgotten later, as every export does."""
        core = self.form().id if self.archive.counts()["own_messages"] else ""
        made = backup(self.home, Path(path), core=core, progress=progress)
        self.archive.register("export", made.path, sha256=made.sha256)
        return made

    def _form_of(self, format: str) -> Format:
        if format not in FORMATS:
            raise UsageError(f"There is no export format {format!r}.", f"Known: {', '.join(FORMATS)}.")
        return FORMATS[format]

    def _target(self, made: Format, material: Material, path: str | PathLike[str] | None) -> Path:
        name = made.file
        if made.name == "skill":
            from twin.exporters.skill import slug  # here: the name of a skill is that of its folder

            name = slug(material)
        place = Path(path) if path else self.home.create().exports / name
        if path and (str(path).endswith(_SLASHES) or (place.is_dir() and not (made.folder and self._ours(place)))):
            place = place / name
        if made.folder and place.exists() and not self._ours(place):
            raise UsageError(f"{place} is there already and no export of this twin.", "Name another place.")
        return place.absolute()

    def _ours(self, folder: Path) -> bool:
        """Whether a folder holds nothing but what was exported there before."""
        known = {one.path for one in self.archive.derived("export")}
        return folder.is_dir() and all(one.absolute() in known for one in folder.rglob("*") if not one.is_dir())

    def _write(self, made: Format, exported: Exported, target: Path) -> None:
        """One file, whole or not at all; a folder is written beside its place and moved there."""
        if not made.folder:
            for content in exported.files.values():
                write_atomically(target, content.read_bytes() if isinstance(content, Path) else content)
            self.archive.register("export", target, sha256=sha256_of(target))
            return
        try:
            with full_disk_is_named(target.parent):
                target.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
                beside = Path(tempfile.mkdtemp(dir=target.parent, prefix=f".{target.name}."))
                try:
                    for name, content in exported.files.items():
                        _put(beside / PurePosixPath(name), content)
                    _swap(beside, target)
                finally:
                    shutil.rmtree(beside, ignore_errors=True)
        except OSError as error:
            raise HomeError(f"{target} cannot be written ({error.strerror}).", "Name another place.") from error
        gone = [one for one in self.archive.derived("export")
                if one.path.is_relative_to(target) and not one.path.exists()]
        self.archive.drop_derived(gone)
        for name in exported.files:
            self.archive.register("export", target / name, sha256=sha256_of(target / name))

    def _must_name_nobody(self, exported: Exported, keep: tuple[str, ...]) -> None:
        from twin.public import check, owner_names  # here: opens lists of names

        owner = owner_names(self.records.me)
        for said in (*exported.spoken, *_texts(exported)):
            check(_HASH.sub("", said), keep=keep, owner=owner)

    # ---- back --------------------------------------------------------------------------------------------------

    def load_tokens(self, folder: str | PathLike[str]) -> Loaded:
        """Give the core what an export `tokens` has read, here and in later runs, instead of reading it again. Load
        none but your own: what a state holds cannot be checked. Raises BrokenFile for a damaged one, UsageError that
        names what differs for one of another core."""
        from twin.engine.snapshots import Snapshots  # here: with the engine
        from twin.exporters import tokens  # here: loads numpy and pydantic

        made = tokens.load(Path(folder), self.engine)
        tokens.install(Path(folder), Snapshots(self.home.snapshots))
        wanted = tokens.constant(self.engine, self.asking.constitution, self._about())
        return Loaded(made.core.id, made.constant.count, list(made.constant.ids) == wanted)

    def _about(self) -> str:
        """See Twin."""
        raise NotImplementedError

    def propose_claim(self, said: str, *, kind: ClaimKind = "thinking", quote: str = "", origin: str = "") -> int:
        """Put a claim about the person before them; nothing more: it counts once they accept it. Returns its number, 0
        for one that was known, waits or was answered already. UsageError for no words, or too many."""
        said, quote = (text.one_line(text.clean(one)) for one in (said, quote))
        if not any(map(str.isalnum, said)) or len(said) > LONGEST_CLAIM or len(quote) > 4 * LONGEST_CLAIM:
            raise UsageError("A claim is a sentence about the person.",
                             f"Give one of 1 to {LONGEST_CLAIM} characters.")
        new, _ = self._queue([Carried(free_id(kind, said), kind, said, text.language(said), quote, origin)])
        return new[0] if new else 0

    def waiting_claims(self) -> list[Waiting]:
        """Claims from outside that wait for a yes, oldest first."""
        return self.archive.carried("waiting")

    def accept_claim(self, number: int) -> ImportReport:
        """Say yes to a claim that waits: its quote, or where it has none its words, become the person's own, and it
        stands in the profile under its id as approved. UsageError where none waits so, or its words are a quotation."""
        one = next((one for one in self.waiting_claims() if one.number == number), None)
        if one is None:
            raise UsageError(f"No claim waits under the number {number}.", "See `twin claims` for those that do.")
        said = one.claim.quote or one.claim.text
        if not text.own_spans(said):
            said = one.claim.text
        if not text.own_spans(said):
            raise UsageError("These words are a quotation or code: they cannot stand as yours.",
                             "Say it in your own words with `twin remember`.")
        message = Message(f"accepted-{digest(one.claim.claim + said)[:24]}", "user", said, time=datetime.now(UTC),
                          own=True, flags=(CONFIRMED,))
        talk = Conversation(f"accepted-{digest(one.claim.claim)[:24]}", (message,), title=one.claim.origin,
                            source=CONFIRMED)
        report = self.records.add([talk])
        self.archive.answer_carried(number, (talk.id, message.id))
        self.archive.save_decision(Decision(one.claim.claim, "approve", one.claim.text, message.time))
        self.archive.set_setting(DIGEST, "")
        return report

    def refuse_claim(self, number: int) -> None:
        """Say no to a claim that waits; it is not asked about again."""
        self.archive.answer_carried(number, None)

    def take_claims(self, claims: Iterable[Carried]) -> tuple[int, int]:
        """Claims of an export that was read: how many there were, and how many now wait; the others are known."""
        claims = list({one.claim: one for one in claims}.values())
        named = [one for one in claims if not _NUMBERED.search(one.claim)]
        return len(claims), len(self._queue(named)[0]) if named else 0

    def _queue(self, claims: Iterable[Carried]) -> tuple[list[int], int]:
        known = {claim.id for claim in self.person.now("en").claims}
        told = [replace(one, kind=facets()[one.claim].kind) if one.claim in facets() else one for one in claims]
        return self.archive.queue(told, known)


def _put(place: Path, content: str | bytes | Path) -> None:
    place.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    if isinstance(content, Path):
        shutil.copyfile(content, place)
        place.chmod(0o600)
    else:
        write_atomically(place, content)


def _swap(beside: Path, target: Path) -> None:
    """Put a folder in its place; what was there is there until then."""
    beside.chmod(0o700)
    if not target.exists():
        beside.replace(target)
        return
    old = Path(tempfile.mkdtemp(dir=target.parent, prefix=f".{target.name}.old."))
    target.replace(old / "old")
    beside.replace(target)
    shutil.rmtree(old, ignore_errors=True)


def _texts(exported: Exported) -> Iterator[str]:
    """Every text in the files of an export."""
    for name, content in exported.files.items():
        ending = PurePosixPath(name).suffix
        if isinstance(content, Path) or (isinstance(content, bytes) and ending not in (*_TEXT, ".json")):
            continue
        said = content.decode("utf-8") if isinstance(content, bytes) else content
        if ending == ".json":
            yield from _strings(json.loads(said))
        elif ending == ".jsonl":
            for line in filter(str.strip, said.split("\n")):  # str.splitlines also ends lines inside strings
                yield from _strings(json.loads(line))
        else:
            yield said


def _strings(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict | list):
        for one in value.values() if isinstance(value, dict) else value:
            yield from _strings(one)
