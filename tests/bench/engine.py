"""What sharing the prefix saves: python tests/bench/engine.py [MODEL]. Default: smollm2-135m.

Prints the seconds to the first token of a role switch, with the prefix shared and with everything read again (the
obvious alternative), reading and writing speed, and the start of the command line. One run, so the ratios compare.
"""
from __future__ import annotations

import statistics
import subprocess
import sys
import time

from twin.catalog import Catalog
from twin.engine.llama import LlamaEngine
from twin.prompt import plain
from twin.types import Prompt, Sampling, Usage

ROLES = ("You are the critic. Name the weakest assumption.", "You are the mentor. Teach one step.",
         "You are the scribe. Two sentences.")
HISTORY = [("user", "How do I keep the beds wet in July? " * 30),
           ("assistant", "Mulch, shade, water at dawn. " * 40)] * 2


def usage(engine: LlamaEngine, prompt: Prompt, tokens: int = 1) -> Usage:
    """Usage of one greedy answer."""
    last = list(engine.stream(prompt, Sampling(temperature=0.0, max_tokens=tokens)))[-1]
    assert last.usage
    return last.usage


def main(name: str = "smollm2-135m") -> None:
    """Measure one core."""
    engine = LlamaEngine(Catalog().path(name), n_ctx=4096, trusted=True)
    prompts = [plain("chatml", [*HISTORY, ("user", "And in August?")], role) for role in ROLES]
    cold = [usage(engine, prompts[0])]
    shared = [usage(engine, prompt) for prompt in prompts * 2][1:]
    for prompt in prompts:
        engine._forget()
        cold.append(usage(engine, prompt))
    read, switch = (statistics.median(u.first_token_s for u in many) for many in (cold, shared))
    written = usage(engine, prompts[0], 64)
    tail = shared[0].prompt_tokens - shared[0].reused
    print(f"{name}: a prompt of {cold[0].prompt_tokens} tokens, {tail} of them the role")
    print(f"  first token, all read again   {read:7.2f} s   ({cold[0].prompt_tokens / read:.0f} tokens/s)")
    print(f"  first token, prefix shared    {switch:7.2f} s   ({read / switch:.0f} times sooner)")
    speed = written.generated / (written.total_s - written.first_token_s)
    print(f"  writing                       {speed:7.1f} tokens/s")
    engine.close()
    times = []
    for _ in range(5):
        began = time.perf_counter()
        subprocess.run([sys.executable, "-m", "twin", "--help"], capture_output=True, check=True)
        times.append(time.perf_counter() - began)
    print(f"  twin --help                   {statistics.median(times):7.2f} s")


if __name__ == "__main__":
    main(*sys.argv[1:2])
