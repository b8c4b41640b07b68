"""Leaving: what Twin offers to those who carry their twin away - exports, written and registered - and what comes back
of them: claims that wait for a yes."""
from __future__ import annotations

import json
import os
import re
import secrets
import shutil
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from os import PathLike
from pathlib import Path, PurePosixPath
from typing import Any

from twin import text
from twin.archive import Waiting
from twin.archive.derived import PART
from twin.backup import Backup, backup
from twin.claims import free_id
from twin.errors import HomeError, NotPublic, UsageError
from twin.exporters import FORMATS, Exported, Format, Level, Material
from twin.facets import facets
from twin.forming import Forming
from twin.home import fault, full_disk_is_named, sha256_of
from twin.person import Carried, ClaimKind, Decision
from twin.profile import CONFIRMED
from twin.types import Conversation, ImportReport, Message, Progress, digest

DIGEST = "profile.digest"  # a setting in the archive
LONGEST_CLAIM = 500  # characters of a claim that a program proposes
_TEXT = (".md", ".txt", ".jsonl", "")  # files scanned as they stand; JSON by its strings, all else by what it tells
_SLUG = re.compile(r"(?=.{1,64}$)[a-z0-9]+(?:-[a-z0-9]+)*")
_SLASHES = ("/", os.sep)
_HASH = re.compile(r"\b(?=[0-9]*[a-f])[0-9a-f]{64}\b")  # in data: a hash has the shape of a number, but for its letters
_NUMBERED = re.compile(r"\.\d{1,6}$")  # a claim of a public copy whose id was a hash of words: it names nothing here


@dataclass(frozen=True)
class Loaded:
    """What came of loading a tokenised role map: the core it was made of, how many tokens need not be read now, and
    whether conversations here begin with them (`used`): not if profile or constitution changed since."""

    core: str
    tokens: int
    used: bool


class Leaving(Forming):
    """A part of Twin."""

    _about: Callable[[], str]

    # ---- out ---------------------------------------------------------------------------------------------------

    def export(self, format: str = "prompt", *, path: str | PathLike[str] | None = None, budget: int | None = None,
               language: str | None = None, level: Level = "private", role: str | None = None, core: str = "",
               keep: Iterable[str] = ()) -> Exported:
        """Write a core as an export; it tells its path, its text and what was cut. Formats: `twin.exporters.FORMATS`.

        `core` names one that was formed; '' is what is there now. `level` 'public' takes names out and then looks for
        them once more: NotPublic, and nothing is written, where it finds one (`keep`: names that may stay). `budget`
        counts UTF-16 code units. A `path` that is a folder, or ends with a slash, gets the export into it, under its
        own name. UsageError where something is that is no export of this twin, and inside the home but in its exports.
        """
        made = self._form_of(format)
        if level not in made.levels:
            raise UsageError(f"There is no {level} export of the format {made.name}: what an adapter learned cannot be "
                             "taken out of it.", "Export it with `--level private`, for yourself.")
        if budget is not None and not made.budget:
            raise UsageError(f"The format {made.name} has no budget.", "Leave it out.")
        keep = tuple(keep)
        material = self.material(core, level=level, language=language, role=role, keep=keep)
        target = self._target(made, material, path)
        if made.name == "skill" and target.name != material.name:
            if not _SLUG.fullmatch(target.name):
                raise UsageError(f"The folder of a skill cannot be called {target.name!r}.",
                                 "Use a-z, 0-9 and single hyphens, 64 at most.")
            material = replace(material, name=target.name)
        exported = made(material, budget)
        if level == "public":
            self._must_name_nobody(exported, material, keep)
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
        place = place.resolve() if ".." in place.parts else place.absolute()
        real, exports = place.resolve(), self.home.exports.resolve()
        if real.is_relative_to(self.home.root.resolve()) and exports not in real.parents:
            raise UsageError(f"{place} lies in the home of this twin, outside its exports.",
                             f"Name a place outside, or one in {self.home.exports}.")
        if place.is_symlink() or (place.exists() and not (self._ours(place) if made.folder else self._known(place))):
            raise UsageError(f"{place} is there already and no export of this twin.",
                             "Name another place, or remove it first.")
        return place

    def _known(self, *places: Path) -> bool:
        """Whether each of these is a file that was exported there before."""
        known = {one.path.resolve() for one in self.archive.derived("export")}
        return all(place.is_file() and not place.is_symlink() and place.resolve() in known for place in places)

    def _ours(self, folder: Path) -> bool:
        """Whether a folder was made by an export and holds nothing else, or nothing at all; that of all exports is
        none."""
        held = [one for one in folder.rglob("*") if one.is_symlink() or not one.is_dir()] if folder.is_dir() else []
        known = {one.path.resolve() for one in self.archive.derived("export")}
        mine = folder.resolve() in known if held else folder.resolve() != self.home.exports.resolve()
        return folder.is_dir() and mine and self._known(*held)

    def _write(self, made: Format, exported: Exported, target: Path) -> None:
        """Made whole in a folder beside its place, then moved there. Killed at any point, all that lies anywhere is
        registered, so that a forgetting finds it; a file is the old one or the new one, and so is a folder, but between
        two renames, where the old one stands beside."""
        beside = target.with_name(f"{PART}{secrets.token_hex(8)}")
        new = beside / "new"
        places = {target / name if made.folder else target: new / name if made.folder else new
                  for name in exported.files}
        try:
            with full_disk_is_named(target.parent):
                target.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
                self.archive.register("cache", beside)
                fault("registered beside")
                try:
                    beside.mkdir(mode=0o700)
                    for place, content in zip(places.values(), exported.files.values(), strict=True):
                        _put(place, content)
                        fault("written beside")
                    self._swap(new, target, {place: sha256_of(made_) for place, made_ in places.items()})
                finally:
                    shutil.rmtree(beside, ignore_errors=True)
                    if not beside.exists():
                        self.archive.drop_derived(one for one in self.archive.derived("cache") if one.path == beside)
        except OSError as error:
            raise HomeError(f"{target} cannot be written ({error.strerror}).", "Name another place.") from error
        if made.folder:
            self.archive.register("export", target)
        self.archive.drop_derived([one for one in self.archive.derived("export")
                                   if target in one.path.parents and not one.path.exists()])

    def _swap(self, new: Path, target: Path, sums: Mapping[Path, str]) -> None:
        """Put what was made in its place, its files registered before; over an old one they count as either until it is
        gone."""
        old = {one.path: one.sha256.split() for one in self.archive.derived("export") if one.path in sums}
        for place, sum_ in sums.items():
            self.archive.register("export", place, sha256=" ".join(dict.fromkeys([sum_, *old.get(place, ())])))
            fault("registered")
        if target.is_dir():
            target.replace(new.with_name("old"))
            fault("old one aside")
        new.replace(target)
        fault("in its place")
        for place in old:
            self.archive.register("export", place, sha256=sums[place])

    def _must_name_nobody(self, exported: Exported, material: Material, keep: tuple[str, ...]) -> None:
        """NotPublic where the second look finds somebody, in what leaves or in the name of a skill's folder. The ids of
        this core have the shape of numbers, and are none."""
        from twin.public import check, owner_names, scan  # here: opens lists of names

        owner = owner_names(self.records.me)
        called = material.name.replace("-", " ").title()
        if material.hide(called) != called or scan(called, keep=keep, owner=owner):
            raise NotPublic("The name of the folder names somebody or something; nothing was written.",
                            "Name another place.")
        core = material.firmware
        hashes = (core.id, core.profile, core.role_map, core.pack, *core.adapters.values())
        ids = re.compile(rf"\b(?:{'|'.join(f'{one}|{one[:12]}' for one in hashes if one)})\b")
        for said, data in (*((one, True) for one in exported.spoken), *_texts(exported)):
            said = ids.sub("", said)
            check(_HASH.sub("", said) if data else said, keep=keep, owner=owner)

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

    def propose_claim(self, said: str, *, kind: ClaimKind = "thinking", quote: str = "", origin: str = "") -> int:
        """Put a claim about the person before them; nothing more: it counts once they accept it. Returns its number, 0
        for one that was known, waits or was answered already. A `quote` is kept only where it stands in a message of
        their own. UsageError for no words, or too many."""
        said = text.one_line(text.clean(said))
        if not any(map(str.isalnum, said)) or len(said) > LONGEST_CLAIM:
            raise UsageError("A claim is a sentence about the person.",
                             f"Give one of 1 to {LONGEST_CLAIM} characters.")
        quote = text.clean(quote).strip()
        quote = quote if self._stands(quote) else ""  # who proposes is not told: it would be a search of one's words
        new, _ = self._queue([Carried(free_id(kind, said), kind, said, text.language(said), quote, origin)])
        return new[0] if new else 0

    def waiting_claims(self) -> list[Waiting]:
        """Claims from outside that wait for a yes, oldest first."""
        return self.archive.carried("waiting")

    def accept_claim(self, number: int) -> ImportReport:
        """Say yes to a claim that waits: it stands in the profile under its id as approved, on the own message its
        quote is from; where no message has it, the quote, or the claim itself, becomes the person's own word.
        UsageError where none waits so, or its words are a quotation."""
        one = next((one for one in self.waiting_claims() if one.number == number), None)
        if one is None:
            raise UsageError(f"No claim waits under the number {number}.", "See `twin claims` for those that do.")
        if found := self._stands(one.claim.quote):
            self._answer(one, found)
            return ImportReport()
        said = next((said for said in (one.claim.quote, one.claim.text) if said and text.own_spans(said)), "")
        if not said:
            raise UsageError("These words are a quotation or code: they cannot stand as yours.",
                             "Say it in your own words with `twin remember`.")
        message = Message(f"accepted-{digest(one.claim.claim + said)[:24]}", "user", said, time=datetime.now(UTC),
                          own=True, flags=(CONFIRMED,))
        talk = Conversation(f"accepted-{digest(one.claim.claim)[:24]}", (message,), title=one.claim.origin,
                            source=CONFIRMED)
        report = self.records.add([talk])
        self._answer(one, (talk.id, message.id))
        return report

    def _answer(self, one: Waiting, place: tuple[str, str]) -> None:
        self.archive.answer_carried(one.number, place)
        self.archive.save_decision(Decision(one.claim.claim, "approve", one.claim.text, datetime.now(UTC)))
        self.archive.set_setting(DIGEST, "")

    def _stands(self, quote: str) -> tuple[str, str] | None:
        """The own message in which a quote stands as one's own words."""
        for talk, message in self.archive.messages(own=True) if quote else ():
            at = message.text.find(quote)
            if at >= 0 and any(start <= at and at + len(quote) <= end for start, end in text.own_spans(message.text)):
                return talk, message.id
        return None

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
        return self.archive.queue(map(_told, claims), known)


def _told(one: Carried) -> Carried:
    """As it is put before the person: a claim of the catalogue in its words, no quote that is too long to be read."""
    text_, quote = one.text[:LONGEST_CLAIM], one.quote if len(one.quote) <= LONGEST_CLAIM else ""
    if one.claim in facets():
        known = facets()[one.claim]
        return replace(one, kind=known.kind, text=known.text.get(one.language, known.text["en"]), quote=quote)
    return replace(one, text=text_, quote=quote)


def _put(place: Path, content: str | bytes | Path) -> None:
    """Write a new file, for its owner only, and flush it to the disk."""
    place.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    with os.fdopen(os.open(place, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600), "wb") as file:
        if isinstance(content, Path):
            with content.open("rb") as source:
                shutil.copyfileobj(source, file)
        else:
            file.write(content.encode("utf-8") if isinstance(content, str) else content)
        file.flush()
        os.fsync(file.fileno())


def _texts(exported: Exported) -> Iterator[tuple[str, bool]]:
    """Every text in the files of an export, and whether it is one of data, which may be a hash."""
    for name, content in exported.files.items():
        ending = PurePosixPath(name).suffix
        if isinstance(content, Path) or (isinstance(content, bytes) and ending not in (*_TEXT, ".json")):
            continue
        said = content.decode("utf-8") if isinstance(content, bytes) else content
        if ending == ".json":
            yield from ((one, True) for one in _strings(json.loads(said)))
        elif ending == ".jsonl":
            for line in filter(str.strip, said.split("\n")):  # str.splitlines also ends lines inside strings
                yield from ((one, True) for one in _strings(json.loads(line)))
        else:
            yield said, False


def _strings(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict | list):
        for one in (*value.keys(), *value.values()) if isinstance(value, dict) else value:
            yield from _strings(one)
