"""LanceDB's side of memory: columns, conditions, and its errors in our words. Knows no message and no ranking."""
from __future__ import annotations

import os
from collections.abc import Collection, Iterable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from twin.errors import HomeError, HomeFull
from twin.text import clean
from twin.types import Scope

_SCOPE = ("own", "author", "conversation", "time", "tags")  # columns that a Scope speaks of; vectors carry them too
EMBEDDER = b"embedder"  # in the metadata of a vector table: whose vectors these are


def connect(folder: Path) -> Any:
    """A connection whose tables are as the disk is: what another process wrote is seen by the next call."""
    os.environ.setdefault("LANCEDB_LOG", "error")  # its warnings about small clusters would end up in a terminal
    import lancedb  # 1.3 s; only here

    return lancedb.connect(folder, read_consistency_interval=timedelta(0))


def words_schema() -> Any:
    """Columns of a passage."""
    import pyarrow as pa

    text = pa.string()
    return pa.schema([
        # The key must be declared in the schema: without it two writers can each insert the same id.
        pa.field("id", text, nullable=False, metadata={"lance-schema:unenforced-primary-key": "true"}),
        pa.field("place", pa.int64(), nullable=False), ("message", text), ("role", text), ("text", text),
        ("stems", text), ("row_hash", text), *_scope_fields()])


def vectors_schema(embedder: str, dim: int) -> Any:
    """Columns of a vector: its place, what a search may be restricted to, and `dim` floats."""
    import pyarrow as pa

    return pa.schema([pa.field("place", pa.int64(), nullable=False), *_scope_fields(),
                      ("vector", pa.list_(pa.float32(), dim))], metadata={EMBEDDER: embedder.encode()})


def _scope_fields() -> list[Any]:
    import pyarrow as pa

    types = (pa.bool_(), pa.string(), pa.string(), pa.timestamp("us", tz="UTC"), pa.list_(pa.string()))
    return [pa.field(name, type_) for name, type_ in zip(_SCOPE, types, strict=True)]


SCOPE_COLUMNS = _SCOPE


# ---- conditions ------------------------------------------------------------------------------------------------

def quoted(value: str) -> str:
    """A text as an SQL literal: only the quote ends one, and a doubled quote stands for itself."""
    return "'" + value.encode("utf-8", "replace").decode().replace("'", "''") + "'"


def among(column: str, values: Iterable[str]) -> str:
    return f"{column} IN ({', '.join(map(quoted, values))})"


def at(places: Iterable[int]) -> str:
    """A condition on `place`."""
    return f"place IN ({', '.join(str(int(place)) for place in places)})"


def within(scope: Scope) -> str:
    """A scope as a condition; '' when it leaves everything in. Columns without a value never fulfil a demand."""
    demands = []
    if scope.own is not None:
        demands.append(f"own = {'true' if scope.own else 'false'}")
    if scope.tags:
        demands.append(f"array_has_any(tags, [{', '.join(map(quoted, map(clean, scope.tags)))}])")
    if scope.without:
        demands.append(f"NOT array_has_any(tags, [{', '.join(map(quoted, map(clean, scope.without)))}])")
    if scope.people:
        demands.append(among("author", map(clean, scope.people)))
    if scope.since is not None:
        demands.append(f"time >= {_instant(scope.since)}")
    if scope.until is not None:
        demands.append(f"time <= {_instant(scope.until)}")
    if scope.exclude:
        demands.append(f"NOT {among('conversation', sorted(scope.exclude))}")
    return " AND ".join(demands)


def both(*conditions: str) -> str:
    return " AND ".join(f"({condition})" for condition in conditions if condition)


def _instant(time: datetime) -> str:
    time = time.replace(tzinfo=UTC) if time.tzinfo is None else time.astimezone(UTC)
    return f"timestamp '{time:%Y-%m-%d %H:%M:%S.%f}'"


# ---- reading ---------------------------------------------------------------------------------------------------

def columns(table: Any, *names: str, where: str = "") -> Any:
    """These columns of all rows, or of those that meet a condition, as an Arrow table."""
    query = table.search().select(list(names)).limit(max(table.count_rows(), 1))
    return (query.where(where) if where else query).to_arrow()


def batches(table: Any, *names: str, where: str = "", rows: int = 8192) -> Iterator[Any]:
    """The same, piece by piece: no table has to fit into memory."""
    query = table.search().limit(max(table.count_rows(), 1))
    query = query.select(list(names)) if names else query
    yield from (query.where(where) if where else query).to_batches(rows)


def rows_at(table: Any, places: Collection[int], names: Iterable[str], condition: str = "") -> Any:
    """Rows at these places, by the index on `place`: 9 ms for 500 of 100,000."""
    query = table.search().where(both(at(places), condition)).select([*names])
    return query.limit(max(4 * len(places), 1)).to_arrow()


# ---- errors ----------------------------------------------------------------------------------------------------

def damaged(folder: Path, reason: str) -> HomeError:
    return HomeError(f"The memory in {folder} cannot be used ({reason}).",
                     "Run `twin memory rebuild`: everything in it comes from the archive.")


@contextmanager
def lance(folder: Path) -> Iterator[None]:
    """Translate what Lance, Arrow and the file system raise: they use RuntimeError, ValueError and OSError for all."""
    try:
        yield
    except (RuntimeError, ValueError, LookupError, OSError) as error:
        reason = str(error)
        if any(sign in reason for sign in ("No space left", "File too large", "quota exceeded")):
            raise HomeFull(f"No space is left on the device that holds {folder}.",
                           "Free some space and do the same again.") from error
        raise damaged(folder, reason.splitlines()[0][:200] if reason else type(error).__name__) from error
