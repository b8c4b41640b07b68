"""What is read of a core's header, and what is known of a core that is not here."""
from __future__ import annotations

from pathlib import Path

import gguf
import pytest

from tests import headers, tiny
from twin import shape
from twin.catalog import Catalog
from twin.errors import ModelBroken, ModelMissing


def test_block_sizes_are_ggmls() -> None:
    known = {int(kind): size for kind, size in gguf.GGML_QUANT_SIZES.items()}

    assert {kind: known[kind] for kind in shape.BLOCKS if kind in known and kind != 9} == \
        {kind: size for kind, size in shape.BLOCKS.items() if kind in known and kind != 9}


def test_experts_are_read_in_part_and_kept_whole(tmp_path: Path) -> None:
    core = shape.read(headers.write(tmp_path / "core.gguf", headers.QWEN3["30B-A3B"]))

    assert core.bytes == headers.weights(headers.QWEN3["30B-A3B"])
    assert (core.n_expert, core.n_used, core.n_ff) == (128, 8, 8 * 768)
    assert round(core.parameters / 1e9, 1) == 30.5
    assert round(core.active / 1e9, 1) == 3.0
    assert core.active_bytes < 0.12 * core.bytes


def test_a_tied_output_layer_is_the_embedding_once_more() -> None:
    core = shape.read(Catalog().path("smollm2-135m"))

    assert core.tied
    assert core.output_bytes >= core.input_bytes
    assert core.bytes == sum(layer.bytes for layer in core.layers) + core.output_bytes


@pytest.mark.parametrize("name", ["qwen3-4b", "qwen3-8b", "qwen3-14b", "qwen3-32b", "qwen3-30b-a3b"])
def test_a_core_that_is_not_here_is_known_within_one_percent_of_its_header(name: str, tmp_path: Path) -> None:
    size = name.removeprefix("qwen3-").upper()
    read = shape.read(headers.write(tmp_path / "core.gguf", headers.QWEN3[size]))
    known = shape.of_known(name, Catalog().model(name).bytes)

    assert not known.exact
    assert abs(known.bytes / read.bytes - 1) < 0.01
    assert abs(known.active / read.active - 1) < 0.01
    assert [layer.k_width for layer in known.layers] == [layer.k_width for layer in read.layers]


@pytest.mark.parametrize("name", list(shape.known()))
def test_known_shapes_agree_with_the_catalogue(name: str) -> None:
    model = Catalog().model(name)
    core = shape.of_known(name, model.bytes)

    assert sum(layer.k_width + layer.v_width for layer in core.layers) * 2 == model.kv_per_token
    assert core.n_ctx == model.n_ctx
    assert abs(core.parameters / 1e9 / model.params - 1) < 0.04
    assert abs(core.bytes / model.bytes - 1) < 0.08


def test_a_split_file_is_read_whole_and_a_missing_piece_is_named(tmp_path: Path) -> None:
    whole = tiny.core(tmp_path / "whole.gguf")
    first = tmp_path / "core-00001-of-00002.gguf"
    first.write_bytes(whole.read_bytes())
    with pytest.raises(ModelMissing, match="core-00002-of-00002"):
        shape.read(first)

    second = tmp_path / "core-00002-of-00002.gguf"
    second.write_bytes(whole.read_bytes())
    assert shape.read(first).layers[0].bytes == 2 * shape.read(whole).layers[0].bytes


def test_what_is_no_core_is_refused_by_name(tmp_path: Path) -> None:
    with pytest.raises(ModelMissing):
        shape.read(tmp_path / "none.gguf")
    (tmp_path / "text.gguf").write_text("not a model, but long enough to hold a header")
    with pytest.raises(ModelBroken):
        shape.read(tmp_path / "text.gguf")
    adapter = tiny.adapter(tmp_path / "adapter.gguf", tiny.core(tmp_path / "core.gguf"), seed=1)
    with pytest.raises(ModelBroken, match="does not say what shape"):
        shape.read(adapter)
    with pytest.raises(ModelMissing, match="not known here"):
        shape.of_known("nobody", 1)


def test_recurrent_layers_have_a_state_and_no_keys(tmp_path: Path) -> None:
    core = shape.read(tiny.core(tmp_path / "core.gguf", "qwen35", n_layer=4))

    assert [bool(layer.state) for layer in core.layers] == [True, False, True, False]
    assert [layer.k_width > 0 for layer in core.layers] == [False, True, False, True]
