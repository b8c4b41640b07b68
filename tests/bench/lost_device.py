"""How long the next turn waits after a worker was lost: python -m tests.bench.lost_device [REPEATS]

SmolLM2 over three RPC workers on loopback, one of them killed while an answer is written; from the error of that answer
to the first word of the next, which runs on the layout that is planned anew. Run it alone.
"""
from __future__ import annotations

import sys
import time
from contextlib import closing

from tests.conftest import core_path
from tests.engine import rpc
from twin.engine import planned
from twin.engine.isolated import IsolatedEngine
from twin.errors import DeviceLost
from twin.layouts import Want
from twin.prompt import plain
from twin.types import Sampling

ASKED = plain("chatml", [("user", "When do I sow beans?")], "Answer briefly.")


def main(repeats: int = 3) -> None:
    for _ in range(repeats):
        workers = [rpc.start() for _ in range(3)]
        for worker in workers:
            rpc.wait(worker)
        with closing(IsolatedEngine(core_path("smollm2-135m"), factory=planned.engine, want=Want(1024, 4),
                                    kind="layers", servers=tuple(one.server for one in workers), trusted=True)) as core:
            pieces = core.stream(ASKED, Sampling(temperature=0.0, max_tokens=200))
            next(pieces)
            workers[1].kill()
            try:
                list(pieces)
            except DeviceLost as error:
                began = time.monotonic()
                print(error.what)
            next(core.stream(ASKED, Sampling(temperature=0.0, max_tokens=12)))
            print(f"next word after {time.monotonic() - began:.2f} s: {core.notes}")
        for worker in workers:
            worker.kill()


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
