"""Tiny random F32 cores, one of each kind of memory, and adapters for them."""
from __future__ import annotations

from pathlib import Path

import pytest

from tests import tiny
from twin.types import Adapter

ARCHITECTURES = ("qwen2", "qwen3moe", "qwen35")  # attention, a mixture of experts, recurrent state beside attention


@pytest.fixture(scope="session", params=ARCHITECTURES)
def tiny_core(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A random core of each architecture."""
    folder = tmp_path_factory.mktemp(request.param)
    return tiny.core(folder / f"{request.param}.gguf", request.param, n_embd=64)


@pytest.fixture(scope="session")
def attention_core(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A random core whose sequences can be cut."""
    return tiny.core(tmp_path_factory.mktemp("attention") / "core.gguf", "qwen2", n_embd=64)


@pytest.fixture(scope="session")
def hybrid_core(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A random core with recurrent state, whose sequences cannot be cut."""
    return tiny.core(tmp_path_factory.mktemp("hybrid") / "core.gguf", "qwen35", n_embd=64)


@pytest.fixture
def lora(tiny_core: Path, tmp_path: Path) -> Adapter:
    """A plain LoRA for the tiny core."""
    return Adapter(str(tiny.adapter(tmp_path / "lora.gguf", tiny_core, seed=1)))


@pytest.fixture
def alora(tiny_core: Path, tmp_path: Path) -> Adapter:
    """An activated LoRA: it acts from the line that opens the answer."""
    invocation = [tiny.IM_START, *b"assistant"]
    return Adapter(str(tiny.adapter(tmp_path / "alora.gguf", tiny_core, kind="alora", seed=2, invocation=invocation)))
