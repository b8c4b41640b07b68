"""Store: the tables of one memory, in generations. A generation is a table of passages, its count of terms, and for
each embedder a table of vectors; `CURRENT` names the one in use, whatever else lies there is left over.

What must leave no trace, or changes everything at once, is written into a new generation and becomes true by one
rename. Knows tables and files, no messages.
"""
from __future__ import annotations

import json
import re
import secrets
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from twin.errors import HomeError
from twin.home import write_atomically
from twin.memory.lance import EMBEDDER, batches, connect, damaged, vectors_schema, words_schema
from twin.memory.terms import Terms
from twin.types import Embedder, digest

_FIRST = "first"  # the generation that is there before CURRENT is
_PREFIXES = ("words-", "vectors-", "terms-", "passages")  # of all that a generation, or an earlier version, leaves
_UNINDEXED = 1000  # rows outside the index are found too, by a scan of 3 ms a thousand
_FRAGMENTS = 20  # LanceDB's own advice: optimise every 20 writes
_KEPT = timedelta(hours=1)  # old versions stay that long for readers of other processes
_GROWN = 1.05  # terms and centres are counted anew when a table has grown so much
_VECTOR_INDEX = 10_000  # rows; below it a scan takes 10 ms
_VECTORS_UNINDEXED = 10_000
_SAMPLE = 2000  # vectors whose mean is the centre


@dataclass(frozen=True)
class Centre:
    """The mean of the vectors of a table when it had `rows`; `indexed` rows were there when its index was made."""

    rows: int = 0
    indexed: int = 0
    mean: tuple[float, ...] = ()


class Store:
    """The files of a memory in `folder`. Raises Lance's own errors and damaged ones; callers translate."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    @cached_property
    def _db(self) -> Any:
        return connect(self.folder)

    # ---- generations -------------------------------------------------------------------------------------------

    def current(self) -> str | None:
        """The generation in use; None where nothing is stored. Raises HomeError where it is not there."""
        pointer = self.folder / "CURRENT"
        name = pointer.read_text("utf-8").strip() if pointer.exists() else _FIRST
        if re.fullmatch(r"\w+", name) and (self.folder / f"words-{name}.lance").is_dir():
            return name
        if self.outdated:
            raise HomeError(f"The memory in {self.folder} was made by an earlier version.",
                            "Run `twin memory rebuild`.")
        if pointer.exists() or any(self.folder.glob("*.lance")):
            raise damaged(self.folder, f"the table words-{name} is not there")
        return None

    @property
    def outdated(self) -> bool:
        """Whether only tables of an earlier version of this program are there."""
        return any(self.folder.glob("passages*.lance")) and not any(self.folder.glob("words-*.lance"))

    def new(self) -> str:
        return secrets.token_hex(4)

    def switch(self, generation: str) -> None:
        """Make a generation the one in use, and remove the others."""
        write_atomically(self.folder / "CURRENT", generation)
        self.sweep(generation)

    def sweep(self, generation: str | None) -> None:
        """Remove what belongs to no generation or to another one: leftovers of what died half-way."""
        for path in self.folder.iterdir() if self.folder.is_dir() else ():
            name = path.name.lstrip(".")
            if name.startswith(_PREFIXES) and not (generation and re.match(rf"\w+-{generation}\b", name)):
                if path.is_dir():
                    shutil.rmtree(path)
                else:
                    path.unlink(missing_ok=True)

    # ---- tables ------------------------------------------------------------------------------------------------

    def words(self, generation: str) -> Any:
        """The passages (opened anew each time: 0.5 ms)."""
        return self._db.open_table(f"words-{generation}")

    def create(self, generation: str) -> Any:
        """The passages of that generation, made with their index when they are not there."""
        table = self._table(f"words-{generation}", words_schema)
        if not table.list_indices():
            index_words(table)
        return table

    def vectors(self, generation: str, embedder: Embedder, *, create: bool = False) -> Any | None:
        """The vectors of an embedder."""
        name = f"vectors-{generation}-{digest(embedder.id)[:12]}"
        if create:
            return self._table(name, lambda: vectors_schema(embedder.id, embedder.dim))
        return self._db.open_table(name) if begun(self.folder / f"{name}.lance") else None

    def all_vectors(self, generation: str) -> dict[str, Any]:
        """Embedder -> its vectors."""
        paths = [path for path in self.folder.glob(f"vectors-{generation}-*.lance") if begun(path)]
        tables = [self._db.open_table(path.stem) for path in paths]
        return {(table.schema.metadata or {}).get(EMBEDDER, b"?").decode(): table for table in tables}

    def drop(self, table: Any) -> None:
        self._db.drop_table(table.name, ignore_missing=True)
        self._centre(table).unlink(missing_ok=True)

    def _table(self, name: str, schema: Callable[[], Any]) -> Any:
        self.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        if begun(self.folder / f"{name}.lance"):  # else it is not there, or its making was killed before a commit
            return self._db.open_table(name)
        return self._db.create_table(name, schema=schema())

    def copy(self, table: Any, name: str, keep: Callable[[Any], Any]) -> Any:
        """A new table with the rows that `keep` leaves of each batch, in one commit: nothing of the old one's indexes,
        files and versions."""
        import pyarrow as pa

        copied = self._table(name, lambda: table.schema)
        copied.add(pa.RecordBatchReader.from_batches(table.schema, map(keep, batches(table))))
        return copied

    # ---- what is counted ---------------------------------------------------------------------------------------

    def terms_path(self, generation: str) -> Path:
        return self.folder / f"terms-{generation}.arrow"

    def terms(self, generation: str) -> Terms:
        """As they were last counted; before that, all words are equally rare."""
        return Terms.read(self.terms_path(generation)) or Terms(1, 20.0)

    def centre(self, table: Any) -> Centre:
        path = self._centre(table)
        if not path.exists():
            return Centre()
        found = json.loads(path.read_text("utf-8"))
        return Centre(found["rows"], found["indexed"], tuple(found["mean"]))

    def _centre(self, table: Any) -> Path:
        return self.folder / f"{table.name}.json"

    # ---- tidying -----------------------------------------------------------------------------------------------

    def tidy_words(self, generation: str, table: Any) -> None:
        """Index new rows and join small files when there are many; count terms when the table has grown."""
        if _untidy(table, "stems_idx", _UNINDEXED):
            table.optimize(cleanup_older_than=_KEPT)
        rows, terms = table.count_rows(), Terms.read(self.terms_path(generation))
        if terms is None or not terms.rows <= rows <= terms.rows * _GROWN:
            Terms.count(table).write(self.terms_path(generation))

    def tidy_vectors(self, table: Any, *, complete: bool) -> None:
        """The same for vectors. Their index is made when all are there, or when a scan would take long; and anew when
        the table is twice what it was."""
        rows, old = table.count_rows(), self.centre(table)
        indexed = old.indexed
        loose = rows - indexed if not indexed else table.index_stats("vector_idx").num_unindexed_rows
        due = rows >= _VECTOR_INDEX and loose > (_UNINDEXED if complete else _VECTORS_UNINDEXED)
        if due and rows > 2 * indexed:
            index_vectors(table)
            indexed = rows
        elif due or _untidy(table, "place_idx", _VECTORS_UNINDEXED):
            table.optimize(cleanup_older_than=_KEPT)
        if rows > old.rows * _GROWN or rows < old.rows or indexed != old.indexed:
            sample = table.take_offsets(np.unique(np.linspace(0, rows - 1, min(rows, _SAMPLE), dtype=int)).tolist())
            vectors = sample.select(["vector"]).to_arrow()["vector"].combine_chunks().flatten()
            mean = vectors.to_numpy(zero_copy_only=False).reshape(-1, table.schema.field("vector").type.list_size)
            found = {"rows": rows, "indexed": indexed, "mean": [round(x, 6) for x in mean.mean(axis=0).tolist()]}
            write_atomically(self._centre(table), json.dumps(found), durable=False)


def index_words(table: Any) -> None:
    """The stems are ours, for both languages; Lance only splits them at blanks. `id` must never get an index: two
    upserts of one key at once would leave it there twice."""
    from lancedb.index import FTS

    table.create_index("stems", config=FTS(base_tokenizer="whitespace", stem=False, remove_stop_words=False,
                                           ascii_folding=False, with_position=False))
    _index_scope(table)


def index_vectors(table: Any) -> None:
    """Search among the nearest groups of some 500 vectors: 5 ms for 100,000 of 384 numbers, made in 5 s. Given the
    number of groups instead of their size, `optimize` would join them to groups of 8,192: 40 ms."""
    from lancedb.index import IvfFlat

    table.optimize(cleanup_older_than=_KEPT)
    table.create_index("vector", config=IvfFlat(distance_type="dot", target_partition_size=512), replace=True)
    _index_scope(table)


def _index_scope(table: Any) -> None:
    """Places, and what searches are most often restricted to: without these a restriction reads all rows, 2-7 ms."""
    from lancedb.index import Bitmap, BTree, LabelList

    for column, index in (("place", BTree()), ("time", BTree()), ("own", Bitmap()), ("tags", LabelList())):
        table.create_index(column, config=index, replace=True)


def begun(path: Path) -> bool:
    """Whether anything of a table was written; its folder alone is what a crash leaves."""
    return any(path.glob("_versions/*")) or any(path.glob("data/*"))


def _untidy(table: Any, index: str, unindexed: int) -> bool:
    stats = table.index_stats(index)
    loose = stats is not None and stats.num_unindexed_rows > unindexed
    return bool(loose or table.stats()["fragment_stats"]["num_fragments"] >= _FRAGMENTS)
