"""Common fixtures. Tests use real stores in tmp_path, real SmolLM2 and MiniLM from the user's cache, and no network."""
from __future__ import annotations

import ipaddress
import os
import shutil
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings

# `make test` tries the same examples each time, so that a red run is the doing of a change; `make fuzz` looks for more.
settings.register_profile("test", derandomize=True, deadline=None)
settings.load_profile("test")
if os.environ.get("TWIN_FUZZ"):
    settings.register_profile("fuzz", max_examples=int(os.environ["TWIN_FUZZ"]), derandomize=False, deadline=None)
    settings.load_profile("fuzz")

def pytest_configure() -> None:
    """Each worker of `pytest -n` stays on one processor, its children too: two cores of two threads each, on two
    processors, wait for each other at every layer (measured: 1.4 times the time)."""
    worker, workers = os.environ.get("PYTEST_XDIST_WORKER", ""), int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "0"))
    if worker and hasattr(os, "sched_getaffinity") and workers >= len(os.sched_getaffinity(0)):
        mine = sorted(os.sched_getaffinity(0))
        os.sched_setaffinity(0, {mine[int(worker.removeprefix("gw")) % len(mine)]})


SAMPLE = Path(__file__).parent.parent / "notebooks" / "sample"


@pytest.fixture(autouse=True)
def airplane_mode(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every test runs offline: a connect() to anything but this machine is an error, not a surprise in CI."""
    real = socket.socket.connect

    def connect(self: socket.socket, address: Any) -> None:
        if self.family in (socket.AF_INET, socket.AF_INET6):
            host = address[0]
            if host != "localhost" and not ipaddress.ip_address(host).is_loopback:
                raise OSError(f"tests are offline; something connected to {host}")
        real(self, address)

    monkeypatch.setattr(socket.socket, "connect", connect)


@pytest.fixture(scope="session")
def verdicts(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where this run remembers which files it has tried."""
    return tmp_path_factory.mktemp("verdicts")


@pytest.fixture(autouse=True)
def own_home(tmp_path: Path, verdicts: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """No test ever touches the home of the person who runs it, or what their machine has tried or embedded."""
    from twin import shipped
    from twin.engine import trial

    monkeypatch.setattr(trial, "cache_dir", lambda: verdicts)
    monkeypatch.setattr(shipped, "cache_dir", lambda: verdicts)
    home = tmp_path / "home"
    monkeypatch.setenv("TWIN_HOME", str(home))
    monkeypatch.delenv("TWIN_MODEL", raising=False)
    return home


def core_path(name: str) -> Path:
    """A core in the user's cache. A missing one fails the run: `make test` fetches it."""
    from twin.catalog import Catalog

    return Catalog().path(name)


@pytest.fixture(scope="session")
def smollm() -> Iterator[Any]:
    """The real SmolLM2-135M through llama.cpp, loaded once."""
    from twin.engine.llama import LlamaEngine

    engine = LlamaEngine(core_path("smollm2-135m"), n_ctx=2048, trusted=True)
    yield engine
    engine.close()


@pytest.fixture(scope="session")
def imported_sample(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Any]:
    """A home into which the command line imported the sample, and its report. Never to be changed: copy it."""
    from tests.test_cli import document

    home = tmp_path_factory.mktemp("imported")
    return home, document("import", SAMPLE, home=home)


@pytest.fixture
def sample_home(imported_sample: tuple[Path, Any], tmp_path: Path) -> Path:
    """A home of one's own with the sample in it: embedding that takes 20 s of one processor."""
    return shutil.copytree(imported_sample[0], tmp_path / "sampled", symlinks=True)
