"""Machine: how much memory and how many processors and cards this computer has. Knows no model."""
from __future__ import annotations

import os
import shutil
import subprocess
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
