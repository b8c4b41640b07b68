"""Memory: what was said, cut into passages, found again by words and by meaning. Built on LanceDB.

Everything here can be rebuilt from the archive, which is the truth. Knows nothing of the archive; writers hold
`Home.writing`, memory takes no lock itself.
"""
from __future__ import annotations

import secrets
from collections.abc import Collection, Iterable, Mapping, Sized
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

from twin.errors import HomeError, UsageError
from twin.home import write_atomically
from twin.memory.lance import columns, damaged, lance, one_of, schema
from twin.memory.passages import Shelf, windows
from twin.memory.ranking import Hits, wanted_stems
from twin.text import clean
from twin.types import Embedder, Message, Progress, Recalled

__all__ = ["Memory", "MemoryStatus", "windows"]

_BATCH = 512  # passages in one commit
_UNINDEXED = 1000  # rows outside the index are found too, by a scan of 3 ms a thousand for each stem
_FRAGMENTS = 20  # LanceDB's own advice: optimise every 20 writes
_KEPT = timedelta(hours=1)  # old versions stay that long for readers of other processes
_SHOWN = ("place", "message_ids", "text", "conversation", "role", "time")


@dataclass(frozen=True)
class MemoryStatus:
    """Passages stored, how many carry a vector of the embedder in use, and the embedders present ('' is none).

    `fits` is False when the store holds vectors of another embedder, or is made for another length: then only a
    rebuild helps.
    """

    rows: int
    embedded: int
    embedder: str
    embedders: Mapping[str, int]
    fits: bool

    @property
    def missing(self) -> int:
        """Passages that `embed_missing` (or, where `fits` is False, `rebuild`) would give a vector."""
        return self.rows - self.embedded if self.embedder else 0


class Memory:
    """Passages of one twin in `folder`. Without an embedder it recalls by words alone and says so in each `why`.

    Every method raises HomeError when the store is damaged and HomeFull when the disk is. Vectors of two embedders say
    nothing about each other: `add`, `embed_missing` and `recall` raise HomeError where the store holds another's.
    """

    def __init__(self, folder: Path, embedder: Embedder | None) -> None:
        self.folder = folder
        self.embedder = embedder

    def __repr__(self) -> str:
        return f"Memory({str(self.folder)!r}, {self.embedder.id if self.embedder else 'words only'})"

    # ---- writing -----------------------------------------------------------------------------------------------

    def add(self, items: Iterable[tuple[str, Message]], progress: Progress | None = None, *,
            vectors: bool = True) -> int:
        """Store (conversation id, message) pairs in the order they were said; returns how many passages were written.

        Adding again changes nothing; a changed message replaces its passages; hidden and blank ones are not kept.
        Rows can be recalled at once. With an embedder the vectors are made here: 200 short messages a second, 20 long
        ones; without one, or with vectors=False, `embed_missing` makes them later.
        """
        return self._write(self._name() or "passages", items, progress, vectors)

    def rebuild(self, items: Iterable[tuple[str, Message]], progress: Progress | None = None, *,
                vectors: bool = True) -> int:
        """Make the store anew from all messages. Until the last moment readers, and a crash, have the old one."""
        name = f"passages-{secrets.token_hex(4)}"
        written = self._write(name, items, progress, vectors)
        write_atomically(self.folder / "CURRENT", name)
        with lance(self.folder):
            db = self._connect()
            for old in self.folder.glob("*.lance"):
                if old.stem != name:
                    db.drop_table(old.stem, ignore_missing=True)
        return written

    def remove(self, keys: Iterable[tuple[str, str]]) -> int:
        """Forget the messages with these (conversation id, message id); returns how many passages went."""
        table = self._open()
        if table is None:
            return 0
        with lance(self.folder):
            shelf = Shelf.read(table)
            gone = [id_ for key in set(keys) for id_ in shelf.rows.get(key, ())]
            for start in range(0, len(gone), _BATCH):
                table.delete(one_of(gone[start:start + _BATCH]))
        return len(gone)

    def embed_missing(self, progress: Progress | None = None, *, limit: int | None = None) -> int:
        """Give passages without a vector of this embedder one, `limit` at most; returns how many got one. Can be
        stopped and called again."""
        table = self._open()
        if table is None or self.embedder is None:
            return 0
        self._refuse_to_mix(table)
        if not self._fits(table):
            raise HomeError(f"The memory in {self.folder} is made for vectors of another length than those of "
                            f"{self.embedder.id}.", "Run `twin memory rebuild`.")
        with lance(self.folder):
            have = columns(table, "id", "embedder")
        missing = [id_ for id_, made_by in zip(have["id"].to_pylist(), have["embedder"].to_pylist(), strict=True)
                   if made_by != self.embedder.id][:limit]
        for start in range(0, len(missing), _BATCH):
            with lance(self.folder):
                rows = table.search().where(one_of(missing[start:start + _BATCH])).limit(_BATCH).to_list()
            self._commit(table, rows, ())
            if progress:
                progress("reading for meaning", start + len(rows), len(missing))
        self._tidy(table)
        return len(missing)

    def _write(self, name: str, items: Iterable[tuple[str, Message]], progress: Progress | None,
               vectors: bool) -> int:
        with lance(self.folder):
            table = self._create(name)
            shelf = Shelf.read(table)
        self._refuse_to_mix(table)
        total = len(items) if isinstance(items, Sized) else None
        batch: dict[str, dict[str, Any]] = {}
        stale: set[str] = set()
        written = done = 0
        for done, (conversation, message) in enumerate(items, 1):
            shelf.put(conversation, message, batch, stale)
            if len(batch) + len(stale) >= _BATCH:
                written += len(batch)
                self._commit(table, list(batch.values()), stale, vectors)
                batch, stale = {}, set()
                if progress:
                    progress("remembering", done, total)
        self._commit(table, list(batch.values()), stale, vectors)
        self._tidy(table)
        if progress:
            progress("remembering", done, total)
        return written + len(batch)

    def _commit(self, table: Any, rows: list[dict[str, Any]], stale: Collection[str], vectors: bool = True) -> None:
        """One commit: rows in (by id, with vectors where the embedder fits), rows with stale ids out."""
        if vectors and self.embedder and rows and self._fits(table):
            texts = [f"{row['author']}: {row['text']}" if row["author"] else row["text"] for row in rows]
            for row, vector in zip(rows, self.embedder.embed(texts), strict=True):
                row["vector"], row["embedder"] = vector, self.embedder.id
        with lance(self.folder):
            import pyarrow

            if rows:
                # use_index(False): with an index on the key, two upserts of one key at once leave it there twice.
                merge = table.merge_insert("id").use_index(False)
                merge = merge.when_matched_update_all().when_not_matched_insert_all()
                if stale:
                    merge = merge.when_not_matched_by_source_delete(one_of(stale))
                merge.execute(pyarrow.Table.from_pylist(rows, schema=table.schema), on_bad_vectors="null")
            elif stale:
                table.delete(one_of(stale))

    def _tidy(self, table: Any) -> None:
        """Index the new rows and join small files when there are many: a matter of speed, not of what is found."""
        with lance(self.folder):
            unindexed = table.index_stats(table.list_indices()[0].name).num_unindexed_rows
            if unindexed > _UNINDEXED or table.stats()["fragment_stats"]["num_fragments"] >= _FRAGMENTS:
                table.optimize(cleanup_older_than=_KEPT)

    # ---- reading -----------------------------------------------------------------------------------------------

    def recall(self, query: str, k: int = 10, *, own: bool | None = None,
               exclude: Collection[str] = ()) -> list[Recalled]:
        """The k messages that serve a query best, best first, each shown by its best passage.

        `own` keeps messages (not) written by the person; `exclude` leaves out whole conversations. `score` is 0..1:
        3/4 of it the share of the query's information that the passage has in its words (its BM25 over that of an
        endless passage of all the query's words), 1/4 the cosine of the two vectors (0 where negative); by words alone
        the share is all. A message beside a better one is lifted towards it, never above. UsageError when k < 1.
        """
        if k < 1:
            raise UsageError(f"{k} memories were asked for.", "Ask for one at least.")
        wanted = wanted_stems(query)
        table = self._open()
        if table is None or not wanted:
            return []
        self._refuse_to_mix(table)
        embedder = self.embedder if self._fits(table) else None
        vector = embedder.embed([clean(query)])[0] if embedder else None
        with lance(self.folder):
            hits = Hits.of(table, own, exclude)
            hits.by_words(table, wanted)
            if embedder and vector:
                hits.by_meaning(table, vector, embedder.id)
            best = hits.best(k)
            if not best:
                return []
            rows = table.search().where(f"place IN ({', '.join(str(hit.place) for hit in best)})").limit(k)
            shown = {row["place"]: row for row in rows.select([*_SHOWN]).to_list()}
        return [Recalled(tuple(row["message_ids"]), row["text"], hit.score, hit.why(wanted, row["time"]),
                         row["conversation"], row["role"], row["time"])
                for hit in best if (row := shown.get(hit.place))]

    def count(self) -> int:
        """Number of passages."""
        table = self._open()
        with lance(self.folder):
            return 0 if table is None else int(table.count_rows())

    def status(self) -> MemoryStatus:
        """What is stored, and whether the vectors are those of the embedder in use."""
        table, name = self._open(), self.embedder.id if self.embedder else ""
        if table is None:
            return MemoryStatus(0, 0, name, {}, True)
        with lance(self.folder):
            counts = columns(table, "embedder")["embedder"].value_counts().to_pylist()
        embedders = {item["values"]: item["counts"] for item in counts}
        fits = self.embedder is None or (self._fits(table) and not self._others(table))
        return MemoryStatus(sum(embedders.values()), embedders.get(name, 0) if name else 0, name, embedders, fits)

    # ---- the store ---------------------------------------------------------------------------------------------

    def _connect(self) -> Any:
        import lancedb  # 1.3 s; only here

        # A read_consistency_interval of zero: what another process wrote is seen by the next call.
        return lancedb.connect(self.folder, read_consistency_interval=timedelta(0))

    def _name(self) -> str | None:
        """The table in use: `passages`, or since the first rebuild the one that CURRENT names. None: nothing yet."""
        with lance(self.folder):
            pointer, tables = self.folder / "CURRENT", [path.stem for path in self.folder.glob("*.lance")]
            name = pointer.read_text("utf-8").strip() if pointer.exists() else "passages"
        if name in tables:
            return name
        if tables or pointer.exists():
            raise damaged(self.folder, f"the table {name} is not there")
        return None

    def _open(self) -> Any | None:
        """The table as it is now (opened anew each time: 0.5 ms, and a rebuild by another process is followed)."""
        name = self._name()
        if name is None:
            return None
        with lance(self.folder):
            return self._connect().open_table(name)

    def _create(self, name: str) -> Any:
        """The table of that name, made with its index when it is not there."""
        from lancedb.index import FTS

        self.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        db, path = self._connect(), self.folder / f"{name}.lance"
        if any(path.glob("_versions/*")) or any(path.glob("data/*")):
            table = db.open_table(name)
        else:  # not there, or its making was killed before its first commit
            table = db.create_table(name, schema=schema(self.embedder.dim if self.embedder else 384))
        if not table.list_indices():  # the stems are ours, for both languages; Lance only splits them at blanks
            table.create_index("stems", config=FTS(
                base_tokenizer="whitespace", stem=False, remove_stop_words=False, ascii_folding=False))
        return table

    def _fits(self, table: Any) -> bool:
        """Whether vectors of the embedder have the table's length."""
        return self.embedder is not None and table.schema.field("vector").type.list_size == self.embedder.dim

    def _others(self, table: Any) -> list[str]:
        """Embedders but this one whose vectors the table holds."""
        with lance(self.folder):
            found = columns(table, "embedder")["embedder"].unique().to_pylist()
        return sorted({*found} - {"", self.embedder.id if self.embedder else ""})

    def _refuse_to_mix(self, table: Any) -> None:
        if self.embedder is not None and (others := self._others(table)):
            raise HomeError(f"The memory in {self.folder} holds vectors of {', '.join(others)}; those of "
                            f"{self.embedder.id} cannot be compared with them.", "Run `twin memory rebuild`.")
