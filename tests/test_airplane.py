"""No network at run time: `make test` runs all tests, and here the whole demo, while every connect() that leaves the
machine is made to fail.

The shim is native code, preloaded, so compiled libraries are held to it as well as Python.
"""
from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent


@pytest.fixture
def airplane(tmp_path: Path) -> dict[str, str]:
    """An environment in which the network is gone; AIRPLANE_LOG names who tried."""
    library = tmp_path / "airplane.so"
    source = Path(__file__).with_name("airplane.c")
    subprocess.run(["gcc", "-shared", "-fPIC", "-O1", "-o", str(library), str(source), "-ldl"], check=True)
    return {**os.environ, "LD_PRELOAD": str(library), "AIRPLANE_LOG": str(tmp_path / "tried.log"),
            "DEMO_HOME": str(tmp_path / "demo-home"), "TWIN_BIN": str(Path(sys.executable).with_name("twin"))}


def demo(environment: dict[str, str]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(["bash", str(ROOT / ".ci" / "demo")], env=environment, capture_output=True, text=True,
                          check=False)


def test_the_shim_really_cuts_the_network(airplane: dict[str, str]) -> None:
    """A guard that guards nothing would make the next tests worthless. 192.0.2.1 is reserved for documentation."""
    script = "import socket; s = socket.socket(); s.settimeout(3); print(s.connect_ex(('192.0.2.1', 80)))"
    done = subprocess.run([sys.executable, "-c", script], env=airplane, capture_output=True, text=True, check=True)

    assert done.stdout.strip() == "101"  # ENETUNREACH
    assert Path(airplane["AIRPLANE_LOG"]).read_text() == "192.0.2.1\n"


@pytest.mark.qwen
@pytest.mark.timeout(900)
def test_the_demo_runs_without_a_network_on_the_real_core(airplane: dict[str, str]) -> None:
    """The main job as a person sees it: claims with quotes, an answer in each language, a prompt to carry away."""
    done = demo({**airplane, "TWIN_MODEL": "qwen2.5-coder-1.5b"})
    import_, again, profile, russian, english, export = re.split(r"\n== \d\. [^\n]*\n", "\n" + done.stdout)[1:]

    assert done.returncode == 0, done.stderr
    assert not Path(airplane["AIRPLANE_LOG"]).exists()
    assert re.search(r"messages seen = [1-9]\d* imported .* 0 failed", import_)
    assert " 0 imported" in again
    claims = re.split(r"\n\d+\. ", profile.split("\nНасколько")[0])[1:]
    assert len(claims) >= 5
    assert all(re.search("[«“].+?[»”]", claim, re.DOTALL) for claim in claims)
    assert len(re.findall(r"[а-яё]", russian.split("\n  [1]")[0])) > 40
    assert len(re.findall(r"[a-z]", english.split("\n  [1]")[0])) > 40
    assert not re.search(r"[а-яё]{4}", english.split("\n  [1]")[0])
    assert "prompt.md" in export
