"""A whole home in one zip, and back: what cannot be made again, and no secret of a machine.

Nothing in a zip is trusted: not its names, its sizes, nor what its files are. A restored home is made whole beside its
place and becomes the home by one rename; from there `finish` does the rest, at this call or at the next one's start.
What was forgotten after a backup was made is in it still, so whoever makes one registers it as an export.
"""
from __future__ import annotations

import hashlib
import io
import json
import os
import re
import shutil
import stat
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import count
from pathlib import Path
from typing import IO, Any

from twin import __version__
from twin.archive import copying
from twin.backup_zip import ARCHIVE, CHUNK, FILES, FOLDERS, FORMAT, MANIFEST, VERSION, belongs, unpack
from twin.errors import HomeBusy, HomeError, UsageError
from twin.home import Home, fault, full_disk_is_named, sha256_of
from twin.types import Progress

_DENSE = (".gguf", ".safetensors")  # weights: deflate takes minutes for 5 % of them
_LOCK = re.compile(r"\.[a-z]+\.(?:lock|json)")


@dataclass(frozen=True)
class Backup:
    """A backup that was made: how many files of how many bytes went into how many (`size`), and what was `left_out`:
    links, and files with names that no other system takes."""

    path: Path
    sha256: str
    size: int
    files: int
    content: int
    made: datetime
    core: str = ""
    left_out: tuple[str, ...] = ()


@dataclass(frozen=True)
class Restored:
    """A home that came back. `moved`: where the one is that was in its place. Its memory is made at the next look."""

    root: Path
    files: int
    content: int
    made: datetime
    core: str = ""
    moved: Path | None = None


# ---- out -------------------------------------------------------------------------------------------------------------

def backup(home: Home, target: Path, *, core: str = "", progress: Progress | None = None) -> Backup:
    """Write all of a home that cannot be made again into a zip at `target` (a folder gets one named by the time).

    Others may go on writing: the archive, the roles and the constitution are those of one moment. `core` is noted.
    `progress` counts bytes. Raises UsageError where there is nothing to back up, for a target that exists or lies in
    the home outside its exports.
    """
    made = datetime.now(UTC)
    target = _target(home, target, made)
    if not copying.ready(home):
        raise UsageError(f"There is no twin in {home.root} to back up.", "Import something first, or name its home.")
    spare, part = home.exports / ".backup.sqlite", target.with_name(f".{target.name}.part")
    try:
        with home.alone("backup"), full_disk_is_named(target.parent):
            for folder in (spare.parent, part.parent):
                folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            try:
                with home.writing("backup"):
                    copying.copy(home, spare)
                    contents, left_out = _contents(home, spare)
                copying.check(spare)
                fault("copied")
                listed = _write(part, contents, {"made": made.isoformat(), "core": core}, progress)
                fault("packed")
                part.replace(target)
            finally:
                spare.unlink(missing_ok=True)
                part.unlink(missing_ok=True)
    except OSError as error:
        raise HomeError(f"{error.filename or target} cannot be used ({error.strerror}).",
                        "Check it, or name another place, then do the same again.") from error
    return Backup(target, sha256_of(target), target.stat().st_size, len(listed), sum(one["size"] for one in listed),
                  made, core, tuple(left_out))


def _target(home: Home, target: Path, made: datetime) -> Path:
    target = Path(target).expanduser().absolute()
    if target.is_dir():
        target /= f"twin-{made:%Y-%m-%d-%H%M%S}.zip"
    if target.exists() or target.is_symlink():
        raise UsageError(f"{target} is there already.", "Name a new file: a backup replaces nothing.")
    place, root = target.resolve(), home.root.resolve()
    if place.is_relative_to(root) and not place.is_relative_to(root / home.exports.name):
        raise UsageError(f"{target} lies in the home it is to save.",
                         f"Name a place outside, or one in {home.exports}.")
    return target


def _contents(home: Home, archive: Path) -> tuple[dict[str, Path | bytes], list[str]]:
    """Name in the backup -> a file that stays as it is, or the bytes of one that may change; and what is left out."""
    found: dict[str, Path | bytes] = {ARCHIVE: archive}
    left_out = []
    for name in FILES[1:]:
        if (path := home.root / name).is_file():
            found[name] = path.read_bytes()
    for folder in FOLDERS:
        for top, _, names in os.walk(home.root / folder):
            for path in (Path(top, name) for name in sorted(names) if not name.startswith(".")):
                name = path.relative_to(home.root).as_posix()
                if path.is_symlink() or not path.is_file() or not belongs(name):
                    left_out.append(name)
                else:
                    found[name] = path.read_bytes() if folder == "roles" else path
    return found, left_out


def _write(part: Path, contents: Mapping[str, Path | bytes], about: Mapping[str, str],
           progress: Progress | None) -> list[dict[str, Any]]:
    """The zip, flushed to the disk; returns what its manifest lists."""
    sizes = {name: len(one) if isinstance(one, bytes) else one.stat().st_size for name, one in contents.items()}
    listed: list[dict[str, Any]] = []
    done, total = 0, sum(sizes.values())
    with os.fdopen(os.open(part, os.O_CREAT | os.O_TRUNC | os.O_RDWR, 0o600), "w+b") as file:
        with zipfile.ZipFile(file, "w") as packed:
            for name, content in contents.items():
                hashed, size = hashlib.sha256(), 0
                with _opened(content) as source, packed.open(_info(name), "w", force_zip64=sizes[name] > 2**31) as into:
                    while chunk := source.read(CHUNK):
                        into.write(chunk)
                        hashed.update(chunk)
                        size += len(chunk)
                        if progress:
                            progress("backup", done + size, total)
                done += size
                listed.append({"name": name, "size": size, "sha256": hashed.hexdigest()})
            packed.writestr(_info(MANIFEST), json.dumps(
                {"format": FORMAT, "version": VERSION, "twin": __version__, "schema": copying.SCHEMA, **about,
                 "files": listed}, ensure_ascii=False, indent=1))
        file.flush()
        os.fsync(file.fileno())
    return listed


def _opened(content: Path | bytes) -> IO[bytes]:
    return io.BytesIO(content) if isinstance(content, bytes) else content.open("rb")


def _info(name: str) -> zipfile.ZipInfo:
    info = zipfile.ZipInfo(name, datetime.now().timetuple()[:6])  # a zip knows local times only
    info.compress_type = zipfile.ZIP_STORED if name.endswith(_DENSE) else zipfile.ZIP_DEFLATED
    info.external_attr = (stat.S_IFREG | 0o600) << 16
    return info


# ---- back ------------------------------------------------------------------------------------------------------------

def restore(source: Path, home: Home, *, replace: bool = False, progress: Progress | None = None) -> Restored:
    """Make the home of a backup. All of it is checked before anything happens to the home; killed at any point, the
    next `finish` finds the old home or the new one.

    A home that holds something is left alone (UsageError); with `replace` it is moved aside, never deleted. What was
    forgotten there after the backup was made comes back. `progress` counts bytes. Raises InputError for a file that
    cannot be read, BrokenFile for one that is damaged or no backup, HomeTooNew for one of a newer twin, HomeFull.
    """
    finish(home)
    root = home.root.resolve()
    if _holds(root) and not replace:
        raise UsageError(f"{root} holds something already.",
                         "Name an empty home, or say --replace to move this one aside.")
    stage = Home(_beside(root, "restoring"))
    try:
        with stage.alone("restore"), full_disk_is_named(stage.root):
            try:
                _empty(stage.root)
                known = unpack(source, stage.root, progress)
                fault("unpacked")
                copying.adopt(stage)
                for folder in (path for path in stage.root.rglob("*") if path.is_dir()):
                    folder.chmod(0o700)
                fault("adopted")
                stage.root.replace(_beside(root, "restored"))
            except BaseException:
                shutil.rmtree(stage.root, ignore_errors=True)
                raise
        fault("restored")
        try:
            moved = finish(home)
        except HomeBusy:  # what failed must not come true later
            shutil.rmtree(_beside(root, "restored"))
            raise
    except OSError as error:
        raise HomeError(f"{error.filename or root} cannot be used ({error.strerror}).",
                        "Check it, or name another home, then do the same again.") from error
    return Restored(home.root, len(known.files), known.content, known.made, known.core, moved)


def finish(home: Home) -> Path | None:
    """Put a home that was restored in its place, where a restore did not come to it: costs a look at the disk. Returns
    where the old home is now, None where nothing was to be done or nothing was there."""
    root = home.root.resolve()
    restored, moved = _beside(root, "restored"), None
    if not restored.is_dir():
        return None
    for note in restored.glob(".*.json"):
        note.unlink(missing_ok=True)
    if root.exists():
        with Home(root).writing("restore"):
            if _holds(root):
                names = (root.with_name(f"{root.name}.old-{n}") for n in count(1))
                moved = next(name for name in names if not name.exists())
                root.replace(moved)
            else:
                _clear(root)
    fault("old home aside")
    restored.replace(root)
    return moved


def _beside(root: Path, state: str) -> Path:
    return root.with_name(f".{root.name}.{state}")


def _holds(root: Path) -> bool:
    """Whether there is anything but locks, empty folders and an archive that was never written."""
    return any(not _is_nothing(path) for path in root.rglob("*") if path.is_symlink() or not path.is_dir())


def _is_nothing(path: Path) -> bool:
    return bool(_LOCK.fullmatch(path.name)) or (path.name == ARCHIVE and path.lstat().st_size == 0)


def _clear(root: Path) -> None:
    """Remove a folder that holds nothing, and nothing else: what came since makes it fail."""
    for path in sorted(root.rglob("*"), reverse=True):
        if path.is_dir() and not path.is_symlink():
            path.rmdir()
        elif _is_nothing(path):
            path.unlink()
    root.rmdir()


def _empty(folder: Path) -> None:
    """Remove what a restore that was killed left; not the lock that is held."""
    for path in folder.iterdir():
        if path.is_dir():
            shutil.rmtree(path)
        elif not path.name.startswith(".restore."):
            path.unlink()
