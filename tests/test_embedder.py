"""MiniLM: vectors that mean something, quickly, and faults that are named."""
from __future__ import annotations

import shutil
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from twin.embedder import FILES, MiniLM
from twin.errors import ModelBroken, ModelMissing
from twin.home import cache_dir
from twin.types import Embedder

FOLDER = cache_dir() / "models" / "minilm"


@pytest.fixture(scope="module")
def minilm() -> MiniLM:
    return MiniLM(FOLDER)


def test_it_is_an_embedder_of_unit_vectors(minilm: MiniLM) -> None:
    assert isinstance(minilm, Embedder)
    vectors = np.array(minilm.embed(["Hello.", "Привет, мир!", "", "x " * 5000]))
    assert vectors.shape == (4, minilm.dim)
    assert np.allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-5)


def test_no_texts_give_no_vectors(minilm: MiniLM) -> None:
    assert minilm.embed([]) == []


def test_near_in_meaning_is_near_in_vectors(minilm: MiniLM) -> None:
    asked, same, other = np.array(minilm.embed([
        "My dog needs a walk every morning.", "Each day at dawn I take the puppy out.", "The bill is due on Friday."]))
    assert asked @ same > asked @ other + 0.3


def test_a_vector_does_not_depend_on_its_company_or_order(minilm: MiniLM) -> None:
    """Rows added one by one and rows added in bulk are compared with the same queries."""
    texts = ["short", "a somewhat longer text about bread and butter", "Нечто по-русски.", "one more " * 60] * 12
    together, reverse = minilm.embed(texts), minilm.embed(texts[::-1])[::-1]
    alone = [minilm.embed([text])[0] for text in texts[:4]]
    assert np.allclose(together, reverse, atol=1e-4)
    assert np.allclose(together[:4], alone, atol=1e-4)


def test_only_the_first_256_tokens_count(minilm: MiniLM) -> None:
    first, second = minilm.embed(["word " * 300 + "alpha", "word " * 300 + "omega"])
    assert np.allclose(first, second, atol=1e-5)


@pytest.mark.parametrize("name", FILES)
def test_a_missing_file_says_how_to_fetch_it(tmp_path: Path, name: str) -> None:
    for other in FILES:
        if other != name:
            shutil.copy(FOLDER / other, tmp_path)
    with pytest.raises(ModelMissing, match=f"{name}.*twin models pull minilm"):
        MiniLM(tmp_path)


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize("content", [b"", b"<html>Not found</html>", b"{}", None])
def test_a_broken_file_is_named_not_a_traceback_of_its_reader(tmp_path: Path, name: str, content: bytes | None) -> None:
    for each in FILES:
        shutil.copy(FOLDER / each, tmp_path)
    whole = (FOLDER / name).read_bytes()
    (tmp_path / name).write_bytes(whole[:len(whole) // 2] if content is None else content)
    with pytest.raises(ModelBroken, match=name):
        MiniLM(tmp_path).embed(["text"])


def test_import_and_construction_load_nothing_heavy() -> None:
    code = (f"import sys; from pathlib import Path; from twin.embedder import MiniLM; MiniLM(Path({str(FOLDER)!r})); "
            "sys.exit(bool({'onnxruntime', 'tokenizers', 'torch'} & set(sys.modules)))")
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_hundreds_of_short_texts_take_seconds(minilm: MiniLM) -> None:
    """Measured: 190-230 texts a second on 2 quiet cores; the bound leaves room for a busy machine."""
    texts = [f"In week {i} I moved the shelf to the other wall and painted it." for i in range(300)]
    start = time.perf_counter()
    minilm.embed(texts)
    assert time.perf_counter() - start < 20
