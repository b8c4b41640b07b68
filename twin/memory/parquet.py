"""Tables for other programs: rows to the bytes of a Parquet file (zstd). Knows no message and no store."""
from __future__ import annotations

import io
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import chain, islice
from typing import Any, Literal, TypeVar

import numpy as np

Kind = Literal["text", "texts", "number", "share", "flag", "time"]
Row = Mapping[str, Any]
T = TypeVar("T")
_GROUP = 4096  # rows of one row group: what is unpacked together


def table(columns: Mapping[str, Kind], rows: Iterable[Row]) -> bytes:
    """Rows as a file with these columns. A number is an int64, a share a float64, a time a UTC timestamp of
    microseconds, texts a list; None is null. The rows are taken piece by piece, the file is held in memory."""
    import pyarrow as pa

    types = {"text": pa.string(), "texts": pa.list_(pa.string()), "number": pa.int64(), "share": pa.float64(),
             "flag": pa.bool_(), "time": pa.timestamp("us", tz="UTC")}
    schema = pa.schema([(name, types[kind]) for name, kind in columns.items()])
    return _file(schema, (pa.RecordBatch.from_pylist([dict(row) for row in group], schema=schema)
                          for group in _groups(rows)))


def vectors(columns: Mapping[str, Kind], rows: Iterable[tuple[Row, Sequence[float]]], dim: int,
            about: Mapping[str, str]) -> bytes:
    """The same with a column `vector` of `dim` float32 behind the others; what is not finite becomes 0. `about` goes
    into the file's metadata."""
    import pyarrow as pa

    types = {"text": pa.string(), "number": pa.int64()}
    plain = pa.schema([(name, types[kind]) for name, kind in columns.items()])
    schema = plain.append(pa.field("vector", pa.list_(pa.float32(), dim))).with_metadata(dict(about))

    def batches() -> Iterator[Any]:
        for group in _groups(rows):
            made = np.nan_to_num(np.asarray([vector for _, vector in group], np.float32), posinf=0, neginf=0)
            columns = pa.RecordBatch.from_pylist([dict(row) for row, _ in group], schema=plain).columns
            whole = pa.FixedSizeListArray.from_arrays(pa.array(made.reshape(-1)), dim)
            yield pa.RecordBatch.from_arrays([*columns, whole], schema=schema)

    return _file(schema, batches())


def _groups(rows: Iterable[T]) -> Iterator[list[T]]:
    left = iter(rows)
    for first in left:
        yield list(chain((first,), islice(left, _GROUP - 1)))


def _file(schema: Any, batches: Iterable[Any]) -> bytes:
    from pyarrow import parquet

    target = io.BytesIO()
    with parquet.ParquetWriter(target, schema, compression="zstd") as writer:
        for batch in batches:
            writer.write_batch(batch)
    return target.getvalue()
