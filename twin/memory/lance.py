"""LanceDB's side of memory: the columns of a passage, and its errors in our words. Knows no message."""
from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from twin.errors import HomeError, HomeFull


def schema(dim: int) -> Any:
    """Columns of a passage; `dim` is the length of its vector."""
    import pyarrow as pa

    text = pa.string()
    return pa.schema([
        # The key must be declared in the schema: without it two writers can each insert the same id.
        pa.field("id", text, nullable=False, metadata={"lance-schema:unenforced-primary-key": "true"}),
        ("place", pa.int64()), ("conversation", text), ("message_ids", pa.list_(text)), ("role", text),
        ("author", text), ("own", pa.bool_()), ("time", pa.timestamp("us", tz="UTC")), ("lang", text), ("text", text),
        ("stems", text), ("row_hash", text), ("embedder", text), ("vector", pa.list_(pa.float32(), dim))])


def columns(table: Any, *names: str) -> Any:
    """These columns of all rows, as an Arrow table."""
    return table.search().select(list(names)).limit(max(table.count_rows(), 1)).to_arrow()


def one_of(ids: Iterable[str]) -> str:
    """A condition on `id`. Ids are hex digests, so there is nothing to escape."""
    return f"id IN ({', '.join(f'{chr(39)}{id_}{chr(39)}' for id_ in ids)})"


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
