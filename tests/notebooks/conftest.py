"""Where kernels of these tests keep what they keep."""
from __future__ import annotations

from pathlib import Path

import pytest


@pytest.fixture(autouse=True)
def kernel_of_these_tests(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The kernel runs on this Python, speaks English, and keeps its files out of the person's folders."""
    for name in ("IPYTHONDIR", "JUPYTER_DATA_DIR", "JUPYTER_RUNTIME_DIR"):
        monkeypatch.setenv(name, str(tmp_path / name.lower()))
    monkeypatch.setenv("TWIN_LANG", "en")
    monkeypatch.delenv("TWIN_NOTEBOOK_REDACT", raising=False)
    monkeypatch.setenv("PYDEVD_DISABLE_FILE_VALIDATION", "1")
    monkeypatch.setenv("PYTHONDONTWRITEBYTECODE", "1")


@pytest.fixture
def smollm2(monkeypatch: pytest.MonkeyPatch) -> None:
    """The kernel's core is the small one."""
    monkeypatch.setenv("TWIN_MODEL", "smollm2-135m")


@pytest.fixture
def no_core(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The kernel finds no model of any kind."""
    monkeypatch.setenv("TWIN_CACHE", str(tmp_path / "empty cache"))
