"""Machine: how much memory and how many processors and cards this computer has. Knows no model."""
from __future__ import annotations

import os
import shutil
import subprocess
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import psutil


@dataclass(frozen=True)
class Card:
    """An accelerator and its whole memory."""

    name: str
    memory_bytes: int


def memory_bytes() -> int:
    """Memory of the whole machine."""
    return int(psutil.virtual_memory().total)


def free_bytes() -> int:
    """Memory that a program could have now without others being swapped out."""
    return int(psutil.virtual_memory().available)


def peak_bytes() -> int:
    """Most memory this process has held so far; 0 where the system does not tell."""
    try:  # Linux: what getrusage tells there begins with the memory of the process that started this one
        told = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text("ascii").splitlines())
        return int(told["VmHWM"].split()[0]) * 1024
    except (OSError, KeyError, ValueError):
        pass
    try:
        import resource
    except ImportError:  # Windows
        return 0
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss  # bytes on macOS: getrusage(2)


def processors() -> int:
    """Physical processor cores that this process may use; logical ones where the system does not tell.

    A container or `taskset` that leaves fewer is heeded: more threads than cores wait on each other at every layer.
    """
    cores = psutil.cpu_count(logical=False) or os.cpu_count() or 1
    return min(cores, len(os.sched_getaffinity(0))) if hasattr(os, "sched_getaffinity") else cores


def speed() -> tuple[float, float]:
    """What this machine's processors do now: bytes read from memory and f32 operations of matrix products, a second.
    Takes .2 s; another busy program makes it less."""
    import numpy as np  # here: most that asks for memory sizes never asks for this

    n = processors()
    data = np.ones(48 << 20, np.float32)  # 200 MB: more than any cache
    parts, matrix = np.array_split(data, n), np.ones((768, 768), np.float32)

    def quickest(work: Callable[[], object]) -> float:
        took = []
        for _ in range(4):
            began = time.perf_counter()
            work()
            took.append(time.perf_counter() - began)
        return min(took)

    with ThreadPoolExecutor(n) as pool:
        reading = quickest(lambda: list(pool.map(np.max, parts)))
    return data.nbytes / reading, 2 * 768**3 / quickest(lambda: matrix @ matrix)


def nvidia_cards() -> tuple[Card, ...]:
    """The NVIDIA cards that nvidia-smi tells of; none without it."""
    program = shutil.which("nvidia-smi")
    if not program:
        return ()
    try:
        ran = subprocess.run([program, "--query-gpu=name,memory.total", "--format=csv,noheader,nounits"],  # noqa: S603
                             capture_output=True, text=True, timeout=10, check=True)  # fixed words, no input
    except (OSError, subprocess.SubprocessError):  # a driver that does not answer is no card for us
        return ()
    return parse_cards(ran.stdout)


def parse_cards(text: str) -> tuple[Card, ...]:
    """Lines of `name, MiB`. Cards that share the machine's memory say [N/A] and are left out: they add none."""
    rows = (line.rsplit(",", 1) for line in text.splitlines() if "," in line)
    return tuple(Card(name.strip(), int(mib) << 20) for name, mib in rows if mib.strip().isdigit())


def resident_bytes(pid: int) -> int:
    """Memory that a process holds now; 0 where it has ended or may not be asked."""
    try:
        return int(psutil.Process(pid).memory_info().rss)
    except (psutil.Error, OSError):
        return 0


def runs(pid: int) -> bool:
    """Whether there is a process of this id."""
    return pid > 0 and psutil.pid_exists(pid)
