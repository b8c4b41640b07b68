"""`python -m twin.proof.child JOB OUT`: the process in which a proof happens.

It reads the job, which it then removes, and writes one file. It knows the two maps as bytes and the items; it opens no
home, connects to nothing, and ends when its parent does.
"""
from __future__ import annotations

import base64
import json
import os
import shutil
import socket
import sys
import threading
import time
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, NoReturn

from twin import operations, roles
from twin.errors import RoleError, TwinError, UsageError
from twin.evidence import read
from twin.operations import MergeRoles, Operation, SetAdapter, SplitRole
from twin.proof import pin
from twin.proof.case import rejected, unproven
from twin.proof.judge import Case, Ruling, judge
from twin.proof.metrics import Bits, Remembering, Under
from twin.role_parts import RoleAdapter
from twin.roles import RoleMap
from twin.types import Adapter, Embedder, Engine, Family, to_plain

UNSTEADY = 1e-6  # bits: a core that says another figure for the same text proves nothing


def main(job: Path, out: Path) -> None:
    """Carry out a job. What goes wrong is written too, by the name of its error."""
    told = json.loads(job.read_text("utf-8"))
    job.unlink()
    began = time.perf_counter()
    try:
        answer = run(told, job.parent)
        answer["cost"]["seconds"] = round(time.perf_counter() - began, 1)
    except TwinError as error:
        answer = {"error": type(error).__name__, "what": error.what, "next_step": error.next_step}
    part = out.with_suffix(".part")
    part.write_text(json.dumps(answer, ensure_ascii=False), encoding="utf-8")
    part.replace(out)


def run(job: Mapping[str, Any], folder: Path) -> dict[str, Any]:
    """The ruling on a job as plain data, with the evaluator's hash and the scorer. Raises what a core raises."""
    embedder = _embedder() if job["embedder"] else None
    scorer = {"embedder": embedder.id if embedder else "none", "core": "none"}
    made = _unfit(job)
    if made is None:
        engine = _engine(job["core"]) if job["core"] else None
        try:
            if engine is not None:
                scorer |= _named(engine, job["core"])
            made = _judged(job, folder, engine, embedder)
        finally:
            if engine is not None:
                engine.close()
    return {**to_plain(made), "evaluator": pin.current(), "scorer": scorer}


def _judged(job: Mapping[str, Any], folder: Path, engine: Engine | None, embedder: Embedder | None) -> Ruling:
    def weights(named: RoleAdapter) -> Adapter | None:
        file = job["adapters"].get(named.sha256 or named.path)
        return Adapter(str(folder / file), named.scale, named.kind) if file else None

    before, after = (Under(_map(job[name]), embedder, corrections=[tuple(one) for one in job["corrections"]],
                           constitution=job["constitution"], adapter=weights) for name in ("before", "after"))
    op, bits = operations.parse(job["operation"]), Bits(engine) if engine is not None else None
    train, select, proof = (read(job[part]) for part in ("train", "select", "proof"))
    made = judge(Case(job["metric"], job["level"], before, after, train, select, proof, bits,
                      _same(op), operations.target(op)))
    drift = bits.drift() if bits else 0.0
    if drift > UNSTEADY:
        made = unproven(made.stage, "unsteady", drift=drift)
    return replace(made, cost={**made.cost, "drift": drift})


def _unfit(job: Mapping[str, Any]) -> Ruling | None:
    """S0: both maps can be read, and the second is what the operation makes of the first."""
    try:
        op = operations.parse(job["operation"])
        known = (op.sha256,) if isinstance(op, SetAdapter) and op.sha256 else ()
        wanted = operations.apply(op, _map(job["before"]), adapters=known)
        after = _map(job["after"])
    except (RoleError, UsageError) as error:
        return rejected("S0", "broken", why=error.what)
    return None if wanted.version == after.version else rejected("S0", "other map")


def _map(files: Mapping[str, str]) -> RoleMap:
    return roles.from_files({name: base64.b64decode(data) for name, data in files.items()})


def _same(op: Operation) -> dict[str, set[str]]:
    """What a label means in the new map: of a merged role its heir, of a split one either of the two."""
    if isinstance(op, MergeRoles):
        return {op.role: {op.into}}
    return {op.role: {op.role, op.id}} if isinstance(op, SplitRole) else {}


# ---- the parts -------------------------------------------------------------------------------------------------------

def _engine(core: Mapping[str, Any]) -> Engine:
    from twin.engine.llama import LlamaEngine  # here: a proof of routes needs none

    form, told = core["family"], core["family"]
    if isinstance(told, dict):
        parts: dict[str, Any] = {key: tuple(one) if isinstance(one, list) else one for key, one in told.items()}
        form = Family(**parts)
    return LlamaEngine(Path(core["path"]), family=form, n_ctx=core["n_ctx"], n_threads=core["threads"],
                       trusted=core["trusted"], sha256=core["sha256"] or None)


def _named(engine: Engine, core: Mapping[str, Any]) -> dict[str, str]:
    """By what figures can be told apart: the file, the build that ran it, the chat form, context and threads."""
    from twin.engine import library

    return {"core": engine.id, "build": str(library.llama().__version__), "template": engine.family.name,
            "n_ctx": str(engine.n_ctx), "threads": str(core["threads"])}


def _embedder() -> Embedder | None:
    from twin import loading  # here: most of a proof by bits needs none
    from twin.catalog import Catalog

    found = loading.embedder(Catalog())
    return Remembering(found) if found else None


# ---- the process -----------------------------------------------------------------------------------------------------

def _alone(folder: Path) -> None:
    """No connections, no core dump; the end of the parent, whose pipe is our input, is the end of this process and of
    its folder."""
    def refuse(*_: object, **__: object) -> NoReturn:
        raise OSError("a proof connects to nothing")

    for name in ("connect", "connect_ex", "bind", "sendto"):
        setattr(socket.socket, name, refuse)
    if sys.platform != "win32":
        import resource  # there is none on Windows

        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))

    def wait() -> None:
        os.read(0, 1)
        shutil.rmtree(folder, ignore_errors=True)
        os._exit(1)

    threading.Thread(target=wait, daemon=True).start()


if __name__ == "__main__":
    _alone(Path(sys.argv[1]).parent)
    main(Path(sys.argv[1]), Path(sys.argv[2]))
