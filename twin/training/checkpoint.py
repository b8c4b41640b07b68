"""Folders that are there whole or not at all: what a run of training needs to go on, and the adapter it came to.

A folder is written beside its place, every file flushed to the disk, `manifest.json` with their sha256 last; then it is
renamed. A folder without a manifest, or with one that its files do not match, is nothing to anybody here. Numbers are
kept as safetensors and JSON: nothing that could run when it is read. Knows no model and no loop.
"""
from __future__ import annotations

import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from twin.errors import HomeError, ModelBroken
from twin.home import full_disk_is_named

MANIFEST = "manifest.json"
_TENSORS, _STATE = "state.safetensors", "state.json"


@contextmanager
def whole(target: Path, about: Mapping[str, Any]) -> Iterator[Path]:
    """A new folder to write into, which becomes `target` when the block ends well, for its owner only (0700, files
    0600); a folder that was there is replaced. `about` is written into its manifest, beside `files`. Raises HomeFull,
    HomeError."""
    try:
        with full_disk_is_named(target.parent):
            target.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            made = Path(tempfile.mkdtemp(dir=target.parent, prefix=f".{target.name}."))  # 0700
            try:
                yield made
                _seal(made, about)
                _replace(made, target)
            finally:
                shutil.rmtree(made, ignore_errors=True)
    except OSError as error:
        raise HomeError(f"{target} cannot be written ({error.strerror}).", "Name another place.") from error


def manifest(folder: Path) -> Mapping[str, Any] | None:
    """What the manifest says; None when there is none, or when a file is missing, short or another than was written."""
    try:
        said = json.loads((folder / MANIFEST).read_text("utf-8"))
        files = said["files"]
        if all(_sha256(folder / name) == expected for name, expected in files.items()):
            return dict(said)
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None
    return None


@dataclass(frozen=True, repr=False)
class Saved:
    """A checkpoint: tensors by name, and what JSON can hold."""

    step: int
    tensors: Mapping[str, Any]
    state: Mapping[str, Any]


def save(folder: Path, saved: Saved) -> Path:
    """Write a checkpoint into `folder`, then remove the older ones: it carries the best weights along, so that the last
    is enough. Raises HomeFull, HomeError; what was there before is then untouched."""
    import safetensors.torch

    place = folder / f"step-{saved.step:08d}"
    with whole(place, {"step": saved.step}) as made:
        # save_file reports a full disk as an error of its own; bytes written by us fail like any other write.
        (made / _TENSORS).write_bytes(safetensors.torch.save({key: value.contiguous().cpu()
                                                              for key, value in saved.tensors.items()}))
        (made / _STATE).write_text(json.dumps(saved.state), "utf-8")
    for other in folder.glob("step-*"):
        if other != place:
            _remove(other)
    return place


def last(folder: Path) -> Saved | None:
    """The newest whole checkpoint; broken ones are passed over. Raises ModelBroken for one whose files are those that
    were written and still cannot be read."""
    import safetensors.torch

    for place in sorted(folder.glob("step-*"), reverse=True):
        said = manifest(place)
        if said is None:
            continue
        try:
            return Saved(int(said["step"]), safetensors.torch.load((place / _TENSORS).read_bytes()),
                         json.loads((place / _STATE).read_text("utf-8")))
        except (OSError, ValueError, KeyError, safetensors.SafetensorError) as error:
            raise ModelBroken(f"{place} is not a checkpoint this version can read ({error}).",
                              "Start anew with --fresh.") from error
    return None


def clear(folder: Path) -> None:
    """Remove all checkpoints."""
    for place in folder.glob("step-*"):
        _remove(place)


def sweep(folder: Path) -> None:
    """Remove what a killed process left half-written. For the one process that writes there."""
    for place in folder.glob(".*.*"):
        if place.is_dir():
            shutil.rmtree(place, ignore_errors=True)


def _seal(made: Path, about: Mapping[str, Any]) -> None:
    """Flush all files, then write what they are into the manifest."""
    files = {}
    for path in sorted(made.rglob("*")):
        path.chmod(0o700 if path.is_dir() else 0o600)
        _flush(path)
        if path.is_file():
            files[path.relative_to(made).as_posix()] = _sha256(path)
    (made / MANIFEST).write_text(json.dumps({**about, "files": files}, ensure_ascii=False, indent=1), "utf-8")
    (made / MANIFEST).chmod(0o600)
    _flush(made / MANIFEST)
    _flush(made)


def _replace(made: Path, target: Path) -> None:
    """Put the folder into place. A folder cannot be renamed over a full one, so the old one steps aside first: killed
    in between, there is none, never half of one."""
    aside = _aside(target) if target.exists() else None
    made.replace(target)
    if aside:
        shutil.rmtree(aside, ignore_errors=True)
    _flush(target.parent)


def _remove(place: Path) -> None:
    """Gone under its name at once: killed in between, there is no half of it."""
    shutil.rmtree(_aside(place), ignore_errors=True)


def _aside(place: Path) -> Path:
    """A hidden folder beside it, into which it is moved."""
    made = Path(tempfile.mkdtemp(dir=place.parent, prefix=f".{place.name}."))
    place.replace(made / "old")
    return made


def _flush(path: Path) -> None:
    """fsync a file or folder. Windows cannot open folders: its rename is flushed with the volume's journal."""
    if path.is_dir() and os.name == "nt":
        return
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _sha256(path: Path) -> str:
    with path.open("rb") as content:
        return hashlib.file_digest(content, "sha256").hexdigest()
