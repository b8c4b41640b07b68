"""Proof: a proposal tried on evidence its maker never saw, in a process of its own that knows the maps as bytes only.

    split = evidence.parts(archive)
    proof = prove(proposal, files_before, files_after, split, core=Core.of(engine))

The evaluator is pinned by hash: sources that differ are refused, before and after. No operation can name any of it.
"""
from __future__ import annotations

import base64
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from twin import errors, machine, operations, roles
from twin.errors import ModelError, TwinError
from twin.evidence import Split, plain
from twin.prompt import CONSTITUTION
from twin.proof.judge import level_of
from twin.proposals import Gain, Proof, Proposal, Sample
from twin.role_parts import RoleAdapter
from twin.roles import Files
from twin.types import Engine, Family, never

SECONDS = 1800.0  # that a proof may take
N_CTX = 2048      # constitution, 400 characters, a header, 600 characters: under 1,200 tokens of any tokenizer so far
POLL_S = 0.05


@dataclass(frozen=True)
class Core:
    """The file that scores. `trusted`: it was loaded before, or its sha256 was verified."""

    path: Path
    family: Family | str | None = None
    sha256: str = ""
    trusted: bool = True
    n_ctx: int = N_CTX
    threads: int = field(default_factory=machine.processors)

    @classmethod
    def of(cls, engine: Engine | None) -> Core | None:
        """The core an engine runs; None for one that has no file of its own."""
        path = getattr(engine, "path", None)
        return cls(path, engine.family, getattr(engine, "sha256", "")) if engine and isinstance(path, Path) else None


def prove(proposal: Proposal, before: Files, after: Files, split: Split, *, core: Core | None = None,
          embedder: bool = True, adapter: Callable[[RoleAdapter], Path] | None = None,
          constitution: str = CONSTITUTION, corrections: Sequence[tuple[str, str]] | None = None,
          looks: int = 0, timeout_s: float = SECONDS, cancel: Callable[[], bool] = never) -> Proof:
    """Try a proposal: the files of the map as it is, as the operation makes it, on the parts of the evidence.

    `embedder`: whether the router reads by meaning, with this machine's one. `adapter` finds the file of a role's
    adapter; None: roles speak without. `corrections` are what the router learned besides the map, those of the training
    part where none are given: a change then has to add to what corrections do already. `looks`: how many proofs of this
    operation, on whatever map, opened a proof set before; each halves the chance of a false yes that is left. A proof
    of stage S3 has used the window once more. Raises EvaluatorChanged, ModelError (the time was over, it was stopped,
    the process died), and what a core raises.
    """
    from twin.proof import pin  # here: `python -m twin.proof.pin` would find itself imported already

    pinned = pin.check()
    if corrections is None:
        corrections = [(one.text, one.label) for one in split.train.labelled if one.kind == "correction"]
    job: dict[str, Any] = {
        "before": _coded(before), "after": _coded(after),
        "operation": proposal.operation.model_dump(mode="json"), "metric": operations.metric(proposal.operation),
        "level": level_of(proposal.operation.op, looks), **plain(split),
        "embedder": embedder, "constitution": constitution, "corrections": corrections,
        "core": None if core is None else {**asdict(core), "path": str(core.path)}}
    found = _run(job, _weights(before, after, adapter), timeout_s, cancel)
    if found["evaluator"] != pin.check() or found["evaluator"] != pinned:
        raise errors.EvaluatorChanged("The evaluator was changed while it worked.", "Prove again.")
    return Proof(
        proposal=proposal.hash, base=proposal.base, evaluator=pinned, scorer=found["scorer"],
        verdict=found["verdict"], stage=found["stage"], reason=found["reason"], made=datetime.now(UTC),
        gain=found["gain"] and Gain(**found["gain"]), others=tuple(Gain(**one) for one in found["others"]),
        controls=found["controls"], window=split.window,
        use=split.used + (found["stage"] == "S3" and split.window != ""),
        needed=found["needed"], samples=tuple(Sample(**one) for one in found["samples"]), cost=found["cost"])


def _coded(files: Files) -> dict[str, str]:
    return {name: base64.b64encode(data).decode("ascii") for name, data in files.items()}


def _weights(before: Files, after: Files, find: Callable[[RoleAdapter], Path] | None) -> dict[str, Path]:
    """Files of the adapters by what roles call them. A map that cannot be read has none; the child says why."""
    named: list[RoleAdapter] = []
    for files in (before, after) if find else ():
        with suppress(TwinError):
            named += [role.adapter for role in roles.from_files(files).roles if role.adapter]
    return {str(one.sha256 or one.path): find(one) for one in named if find}


# ---- the child -------------------------------------------------------------------------------------------------------

def _run(job: Mapping[str, Any], weights: Mapping[str, Path], timeout_s: float,
         cancel: Callable[[], bool]) -> dict[str, Any]:
    """The child's answer. Its folder is the owner's alone and gone afterwards, whatever happens."""
    folder = Path(tempfile.mkdtemp(prefix="twin-proof-"))  # mode 0700
    try:
        names = dict(_lent(weights, folder))
        _write(folder / "job.json", json.dumps({**job, "adapters": names}, ensure_ascii=False))
        how = _wait(folder, timeout_s, cancel)
        out = folder / "out.json"
        if not out.is_file():
            raise ModelError(f"The process of the proof ended without a word ({how}).",
                             "Prove again; if it repeats, use a smaller core.")
        found: dict[str, Any] = json.loads(out.read_text("utf-8"))
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    if "error" in found:
        raise getattr(errors, found["error"], ModelError)(found["what"], found["next_step"])
    return found


def _write(path: Path, said: str) -> None:
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as file:
        file.write(said)


def _lent(weights: Mapping[str, Path], folder: Path) -> Iterable[tuple[str, str]]:
    """Adapters under names of their own in the folder: linked where that goes, else copied."""
    for number, (name, path) in enumerate(weights.items()):
        file = folder / f"{number}.gguf"
        try:
            os.link(path, file)
        except OSError:
            shutil.copyfile(path, file)
        yield name, file.name


def _wait(folder: Path, timeout_s: float, cancel: Callable[[], bool]) -> str:
    """Run the child to its end; returns how it ended. It is killed when its time is over, when it is stopped, or this
    process leaves; should this process die, the child ends with its input."""
    hidden = {key: value for key, value in os.environ.items() if key != "TWIN_HOME"}
    hidden |= {"PYTHONPATH": os.pathsep.join(filter(None, sys.path)), "HF_HUB_OFFLINE": "1", "GGML_NO_BACKTRACE": "1"}
    with (folder / "said").open("wb") as said:
        child = subprocess.Popen(  # noqa: S603 - our own code
            [sys.executable, "-P", "-m", "twin.proof.child", str(folder / "job.json"), str(folder / "out.json")],
            stdin=subprocess.PIPE, stdout=said, stderr=said, cwd=folder, env=hidden, start_new_session=True)
        until = time.monotonic() + timeout_s
        try:
            while True:
                with suppress(subprocess.TimeoutExpired):
                    code = child.wait(POLL_S)
                    break
                if cancel():
                    raise ModelError("The proof was stopped.", "Prove again when there is time.")
                if time.monotonic() > until:
                    raise ModelError(f"The proof took longer than {timeout_s:.0f} s and was ended.",
                                     "Give it more time, or prove with a smaller core.")
        finally:
            _end(child)
    return signal.Signals(-code).name if code < 0 else f"exit {code}"


def _end(child: subprocess.Popen[bytes]) -> None:
    if child.poll() is None:
        child.kill()
    if child.stdin:
        with suppress(OSError):
            child.stdin.close()
    child.wait()
