"""The writer of GGUF files against the reader of the format's own package."""
from __future__ import annotations

import io
import tempfile
from array import array
from contextlib import suppress
from pathlib import Path
from typing import Any

import gguf
import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from twin import gguf_file
from twin.errors import ModelBroken
from twin.gguf_file import F32, Q4_0, Tensor, Value

NUMBERS = st.floats(width=32, allow_nan=False)
VALUES: st.SearchStrategy[Value] = st.one_of(
    st.text(), st.booleans(), st.integers(0, 2**32 - 1), NUMBERS,
    st.lists(st.text(max_size=9).map(str.encode), min_size=1, max_size=5),
    st.lists(st.integers(-2**31, 2**31 - 1), min_size=1, max_size=5).map(lambda numbers: array("i", numbers)),
    st.lists(st.integers(0, 2**32 - 1), min_size=1, max_size=5).map(lambda numbers: array("I", numbers)),
    st.lists(NUMBERS, min_size=1, max_size=5).map(lambda numbers: array("f", numbers)))


def plain(value: Value) -> Any:
    """As the reader tells it."""
    if isinstance(value, array):
        return list(value)
    return value if isinstance(value, str | bool | int | float) else [text.decode() for text in value]


@given(st.dictionaries(st.text("abc_.", min_size=1).map("x.".__add__), VALUES, max_size=6),
       st.lists(st.lists(NUMBERS, min_size=1, max_size=9), min_size=1, max_size=4))
def test_what_is_written_is_read_back_by_the_formats_own_reader(values: dict[str, Value],
                                                                rows: list[list[float]]) -> None:
    """A wrong length or offset anywhere would make llama.cpp refuse the file, or worse, read other weights."""
    vectors = [np.array(row, np.float32) for row in rows]
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "some.gguf"
        with path.open("wb") as file:
            gguf_file.write(file, {"general.architecture": "none", **values},
                            [Tensor(f"t{n}", F32, row.shape, row.tobytes()) for n, row in enumerate(vectors)])
        reader = gguf.GGUFReader(path)
        assert {key: reader.fields[key].contents() for key in values} == {key: plain(values[key]) for key in values}
        assert [tensor.name for tensor in reader.tensors] == [f"t{n}" for n in range(len(rows))]
        for tensor, row in zip(reader.tensors, vectors, strict=True):
            assert np.array_equal(tensor.data, row)
        ours = gguf_file.header(path)
        assert ours.values == {"general.architecture": "none", **values}
        assert [(place.name, place.shape, place.offset) for place in ours.tensors] == [
            (tensor.name, tuple(tensor.shape), tensor.data_offset) for tensor in reader.tensors]
        del reader, tensor  # they hold the file open, which on Windows keeps the folder


def test_four_bit_blocks_keep_their_shape_and_their_numbers(tmp_path: Path) -> None:
    """Row-first in ggml's order: 64 wide, 3 high, 18 bytes for 32 numbers."""
    blocks = np.random.default_rng(0).integers(0, 128, (3, 36), np.uint8)
    path = tmp_path / "some.gguf"
    with path.open("wb") as file:
        gguf_file.write(file, {"general.architecture": "none"}, [Tensor("m", Q4_0, (64, 3), blocks.tobytes())])
    tensor = gguf.GGUFReader(path).tensors[0]
    assert (tensor.tensor_type, tensor.shape.tolist()) == (gguf.GGMLQuantizationType.Q4_0, [64, 3])
    assert np.array_equal(tensor.data, blocks)


def test_one_input_gives_one_file() -> None:
    """The catalogue names the sha256 of a converted file."""
    first, second = io.BytesIO(), io.BytesIO()
    for file in (first, second):
        gguf_file.write(file, {"a": "text", "b": [b"x", b"y"]}, [Tensor("t", F32, (1,), bytes(4))])
    assert first.getvalue() == second.getvalue()
    assert len(first.getvalue()) % 32 == 0


def test_headers_of_others_are_read_and_damaged_ones_named(tmp_path: Path) -> None:
    """Kinds of numbers that are never written here, another alignment; and no byte that brings the reader down."""
    path = tmp_path / "other.gguf"
    writer = gguf.GGUFWriter(path, "none")
    writer.add_custom_alignment(64)
    writer.add_uint64("x.u64", 2**40)
    writer.add_int8("x.i8", -3)
    writer.add_float64("x.f64", 0.1)
    writer.add_array("x.flags", [True, False])
    writer.add_tensor("t", np.arange(5, dtype=np.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    told = gguf_file.header(path)
    assert [told.values[f"x.{name}"] for name in ("u64", "i8", "f64")] == [2**40, -3, 0.1]
    assert list(told.values["x.flags"]) == [1, 0]
    whole = path.read_bytes()
    assert np.frombuffer(whole, np.float32, 5, told.tensors[0].offset).tolist() == [0, 1, 2, 3, 4]
    end = told.tensors[0].offset
    for place in range(end):
        for broken in (whole[:place], whole[:place] + bytes([whole[place] ^ 0x81]) + whole[place + 1:]):
            path.write_bytes(broken)
            with suppress(ModelBroken):
                gguf_file.header(path)
