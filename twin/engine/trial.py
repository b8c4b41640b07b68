"""Trial: a model file that nobody vouches for is loaded in a child process before this one touches it.

About one damaged header in a hundred aborts the process that reads it, and a GGUF's chat template is a program: the
child takes the blow, under a limit of memory and time. One child works through many files; a new one follows when it
dies. What passed is remembered by the sha256 of its content. Knows no engine, no role and no device but the processor.
The limits hold what is damaged or greedy; a file written to take over the child has the rights of the person.
"""
from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from functools import lru_cache
from importlib.metadata import version
from pathlib import Path
from typing import Any

from twin import fetch, prompt, text
from twin.engine import frame
from twin.engine.facts import Facts as Facts
from twin.engine.facts import facts as facts
from twin.engine.trial_child import Desk, Died, Late
from twin.errors import ModelBroken, ModelMissing, TwinError
from twin.home import cache_dir, write_atomically
from twin.types import Family

FORM = 1  # to be raised when what a trial tries or learns changes: older verdicts are then forgotten
MEMORY = 3 << 30  # bytes for a load besides twice the file; a template gets TEMPLATE_MEMORY
TEMPLATE_MEMORY, TEMPLATE_S = 512 << 20, 10.0
PER_SECOND = 100 << 20  # bytes a slow disk reads: a large file gets that much longer than `timeout_s`
WORTH_NOTING = 64 << 20  # bytes: smaller files are hashed again in each process


@dataclass(frozen=True)
class Verdict:
    """Whether a file can be loaded and used, and if not, why. `facts` and `family` are those of a core.

    A core that is ok may still have no family: then `reason` says why its chat template cannot be used.
    """

    ok: bool
    reason: str = ""
    facts: Facts | None = None
    family: Family | None = None


# ---- verdicts ----------------------------------------------------------------------------------------------------

def trial(path: Path, *, adapter_of: Path | None = None, timeout_s: float = 60.0, cache: bool | Path = True) -> Verdict:
    """The verdict on one core, or on an adapter (LoRA or control vector) over the base `adapter_of`; see `trials`."""
    return next(trials([path], adapter_of=adapter_of, timeout_s=timeout_s, cache=cache))


def trials(paths: Iterable[Path], *, adapter_of: Path | None = None, timeout_s: float = 60.0,
           cache: bool | Path = True) -> Iterator[Verdict]:
    """A verdict for each file, in order, given by one child as long as it lives.

    timeout_s: seconds for a file, and one more for each 100 MB. cache: where what passed is remembered; True: the
    user's cache, False: nowhere. A refusal is not remembered: the machine may have been its reason.
    Raises ModelMissing where there is no such base, ModelError where no process can be started.
    """
    if adapter_of is not None and not adapter_of.is_file():
        raise ModelMissing(f"There is no model file at {adapter_of}.", "Name the core that the adapter was made for.")
    notes = None if cache is False else _Notes(cache_dir() / "verdicts.json" if cache is True else cache)
    base = "" if adapter_of is None or notes is None else sha256_of(adapter_of)
    with Desk() as desk:
        for path in paths:
            if wrong := _wrong(path):
                yield Verdict(False, wrong)
                continue
            key = f"{FORM} {version('llama-cpp-python')} {sha256_of(path)} {base}" if notes else ""
            verdict = _read(notes.get(key)) if notes else None
            if verdict is None:
                verdict, lasting = _try(desk, path, adapter_of, timeout_s)
                if notes and verdict.ok and lasting:
                    notes.put(key, asdict(verdict))
            yield _with_our_family(verdict)


def refuse(path: Path, verdict: Verdict) -> None:
    """ModelBroken with the reason, unless the verdict is ok."""
    if not verdict.ok:
        reason = verdict.reason.rstrip(".")
        what = f"{reason}." if path.name in reason else f"{path.name} cannot be loaded: {reason}."
        raise ModelBroken(what, "It may be damaged, or made for another core: fetch it again.")


def _wrong(path: Path) -> str | None:
    """What keeps a file from being tried at all. A pipe or a device would keep the reader waiting for ever."""
    if path.exists() and not path.is_file():
        return f"{path} is not a file"
    try:
        fetch.refuse_if_wrong(path, must_be_gguf=True)
    except ModelBroken as error:
        return error.what
    return None


def _try(desk: Desk, path: Path, adapter_of: Path | None, timeout_s: float) -> tuple[Verdict, bool]:
    """A verdict, and whether it would be the same another time."""
    sizes = path.stat().st_size + (adapter_of.stat().st_size if adapter_of else 0)
    ask = {"do": "core", "path": str(path)}
    if adapter_of is not None:
        ask = {"do": "adapter", "path": str(path), "base": str(adapter_of)}
    try:
        told = desk.ask({**ask, "memory": MEMORY + 2 * sizes}, timeout_s + sizes / PER_SECOND)
    except Late as late:
        return Verdict(False, f"it did not load within {late} in a trial process"), False
    except Died as died:
        return Verdict(False, f"its header kills the loader ({died})"), False
    verdict = _read(told) or Verdict(False, "the trial process gave no clear answer")
    if not verdict.ok or not verdict.facts or not verdict.facts.template or _ours(verdict.facts):
        return verdict, True
    own = {"template": verdict.facts.template, "name": verdict.facts.name or path.stem, "bos": verdict.facts.bos,
           "eos": verdict.facts.eos}
    try:
        told = desk.ask({"do": "template", **own, "memory": TEMPLATE_MEMORY}, min(TEMPLATE_S, timeout_s))
    except Late as late:
        return replace(verdict, reason=f"its chat template did not end within {late}"), False
    except Died as died:
        return replace(verdict, reason=f"its chat template kills what runs it ({died})"), False
    learned = _read(told) or Verdict(False, "its chat template gave no clear answer")
    return replace(verdict, reason=learned.reason, family=learned.family), True


def _ours(told: Facts) -> str | None:
    return None if told.encoder else frame.known(told.template, told.arch)


def _with_our_family(verdict: Verdict) -> Verdict:
    """Our own families are looked up anew each time; only a learned one is remembered."""
    name = _ours(verdict.facts) if verdict.facts else None
    return replace(verdict, family=prompt.FAMILIES[name]) if name else verdict


def _read(told: Any) -> Verdict | None:
    """A verdict as JSON holds it; None for anything else."""
    try:
        said, form = told.get("facts"), told.get("family")
        if form:
            form = {key: tuple(value) if isinstance(value, list) else value for key, value in form.items()}
        return Verdict(bool(told["ok"]), text.one_line(str(told["reason"]))[:400].rstrip(". "),
                       Facts(**said) if said else None, Family(**form) if form else None)
    except (AttributeError, KeyError, TypeError):
        return None


# ---- what is remembered ------------------------------------------------------------------------------------------

class _Notes:
    """A small JSON file of key and value; the oldest keys are forgotten first. A broken file is an empty one."""

    def __init__(self, file: Path, most: int = 200) -> None:
        self.file, self.most = file, most

    def _all(self) -> dict[str, Any]:
        with suppress(OSError, ValueError, RecursionError):
            found = json.loads(self.file.read_text("utf-8"))
            return found if isinstance(found, dict) else {}
        return {}

    def get(self, key: str) -> Any:
        return self._all().get(key)

    def put(self, key: str, value: Any) -> None:
        kept = {**self._all(), key: value}
        with suppress(TwinError):  # a full disk or a cache that is not ours costs time, not the answer
            write_atomically(self.file, json.dumps(dict(list(kept.items())[-self.most:])))


def sha256_of(path: Path) -> str:
    """sha256 of a file in hex; a large one is read again only after its size, time or inode have changed."""
    seen = path.stat()
    return _sha256(path.absolute(), seen.st_size, seen.st_mtime_ns, seen.st_ino)


@lru_cache(maxsize=256)
def _sha256(path: Path, size: int, *identity: int) -> str:
    notes, now = _Notes(cache_dir() / "hashes.json"), [size, *identity]
    match notes.get(str(path)) if size >= WORTH_NOTING else None:
        case [found, str(known)] if found == now:
            return known
    known = fetch.sha256_of(path)
    if size >= WORTH_NOTING:
        notes.put(str(path), [now, known])
    return known
