"""A life of chats: python -m tests.bench.scale [MESSAGES ...] (1,000, 10,000 and 100,000 when none are named).

For each size, in a process of its own: reading + archive + text index of a ChatGPT export, the same import again, and
the most memory that took; the disk it lies on; then one `forget` of a conversation, with its proof. Beside it the cost
of only parsing the JSON by the standard library, the least that any importer pays.
"""
from __future__ import annotations

import json
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from tests.bench import people


def one(size: int, folder: Path) -> dict[str, float]:
    """Seconds and megabytes of one size; alone in its process, because the high-water mark of memory never falls."""
    from twin.chat import Twin
    from twin.home import Home

    export, figures = folder / "conversations.json", dict[str, float]()
    people.chatgpt(export, size)
    figures["MB in"] = export.stat().st_size / 1e6
    base = _rss()
    with Twin(Home(folder / "home")) as twin:  # no embedder: vectors are a pass of their own, see recall_speed.py
        for name in ("import", "again"):
            start = time.perf_counter()
            report = twin.import_path(export)
            figures[f"{name} s"] = time.perf_counter() - start
            assert report.reconciles and report.seen == size, report
            assert (report.imported if name == "import" else report.unchanged) == size, report
        figures["RSS MB"], figures["before"] = _rss(), base
        figures["disk MB"] = sum(file.stat().st_size for file in (folder / "home").rglob("*") if file.is_file()) / 1e6
        start = time.perf_counter()
        gone = twin.forget("c00000001")
        figures["forget s"] = time.perf_counter() - start
        assert gone.clean and gone.messages == 50, gone
    start = time.perf_counter()
    json.loads(export.read_bytes())
    figures["json.loads s"] = time.perf_counter() - start
    return figures


def _rss() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def main(sizes: list[int]) -> None:
    for size in sizes:
        with tempfile.TemporaryDirectory() as folder:
            done = subprocess.run([sys.executable, "-m", "tests.bench.scale", "--one", str(size), folder],
                                  capture_output=True, text=True, check=True)
        print(f"{size:>8,} messages: " + "  ".join(f"{name} {value:.1f}" for name, value in
                                                   json.loads(done.stdout).items()), flush=True)


if __name__ == "__main__":
    if sys.argv[1:2] == ["--one"]:
        print(json.dumps(one(int(sys.argv[2]), Path(sys.argv[3]))))
    else:
        main([int(size) for size in sys.argv[1:]] or [1_000, 10_000, 100_000])
