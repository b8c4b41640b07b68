"""Memory: what was said, cut into passages, found again by words and by meaning. Built on LanceDB.

Everything here can be rebuilt from the archive, which is the truth. Knows nothing of the archive; writers hold
`Home.writing`, memory takes no lock itself.
"""
from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence, Sized
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np

from twin.errors import HomeError, UsageError
from twin.memory.contents import contents
from twin.memory.lance import SCOPE_COLUMNS, at, batches, columns, lance, rows_at
from twin.memory.passages import Shelf, windows
from twin.memory.query import Query
from twin.memory.ranking import Weights
from twin.memory.search import Near, search
from twin.memory.store import Store, index_words
from twin.memory.terms import Terms
from twin.text import clean
from twin.types import Embedder, Message, Progress, Recalled, Scope, never
from twin.when import parse

__all__ = ["Memory", "MemoryStatus", "windows"]

_BATCH = 4096  # passages in one commit: each one compares all keys, 15 ms at 100,000
_EMBEDDED = 512  # passages whose vectors are made, and stored, together
_CENTRED = 0.2  # how much of what all vectors have in common is taken from a query's


@dataclass(frozen=True)
class MemoryStatus:
    """Passages stored, how many carry a vector of the embedder in use, and the vectors there are by embedder.

    `fits` is False when the store was made by an earlier version: then only a rebuild helps.
    """

    rows: int
    embedded: int
    embedder: str
    embedders: Mapping[str, int]
    fits: bool = True

    @property
    def missing(self) -> int:
        """Passages that `embed_missing` would give a vector."""
        return max(self.rows - self.embedded, 0) if self.embedder else 0


class Memory:
    """Passages of one twin in `folder`. Without an embedder it recalls by words alone and says so in each `why`.

    Every method raises HomeError when the store is damaged and HomeFull when the disk is. Each embedder has vectors of
    its own; those of another one stay until the vectors of this one are complete.
    """

    def __init__(self, folder: Path, embedder: Embedder | None) -> None:
        self.folder = folder
        self.embedder = embedder
        self.weights = Weights()
        self._store = Store(folder)

    def __repr__(self) -> str:
        return f"Memory({str(self.folder)!r}, {self.embedder.id if self.embedder else 'words only'})"

    # ---- writing -----------------------------------------------------------------------------------------------

    def add(self, items: Iterable[tuple[str, Message]], progress: Progress | None = None, *,
            vectors: bool = True) -> int:
        """Store (conversation id, message) pairs in the order they were said; returns how many passages were written.

        Adding again changes nothing; a changed message replaces its passages; hidden and blank ones are not kept.
        Rows can be recalled at once, by words; with an embedder and vectors=True all vectors that are missing are then
        made here.
        """
        with lance(self.folder):
            generation = self._store.current() or "first"
            self._store.sweep(generation)
        written = self._write(generation, items, progress)
        if vectors:
            self.embed_missing(progress)
        return written

    def rebuild(self, items: Iterable[tuple[str, Message]], progress: Progress | None = None, *,
                vectors: bool = True) -> int:
        """Make the store anew from all messages. Until the last moment readers, and a crash, have the old one."""
        generation = self._store.new()
        written = self._write(generation, items, progress)
        with lance(self.folder):
            self._store.switch(generation)
        if vectors:
            self.embed_missing(progress)
        return written

    def _write(self, generation: str, items: Iterable[tuple[str, Message]], progress: Progress | None) -> int:
        with lance(self.folder):
            table = self._store.create(generation)
            shelf = Shelf.read(table)
        total = len(items) if isinstance(items, Sized) else None
        batch: dict[int, dict[str, Any]] = {}
        stale: set[int] = set()
        written = done = 0
        for done, (conversation, message) in enumerate(items, 1):
            shelf.put(conversation, message, batch, stale)
            if len(batch) + len(stale) >= _BATCH:
                written += self._commit(generation, table, batch, stale)
                batch, stale = {}, set()
                if progress:
                    progress("remembering", done, total)
        written += self._commit(generation, table, batch, stale)
        with lance(self.folder):
            self._store.tidy_words(generation, table)
        if progress:
            progress("remembering", done, total)
        return written

    def _commit(self, generation: str, table: Any, batch: Mapping[int, dict[str, Any]], stale: Collection[int]) -> int:
        """Rows in, stale places out. Vectors go first: one without its text is made again, the other way round it
        would speak for another text."""
        with lance(self.folder):
            import pyarrow

            if stale:
                for vectors in self._store.all_vectors(generation).values():
                    vectors.delete(at(sorted(stale)))
            gone = sorted(set(stale) - batch.keys())
            if batch:
                # use_index(False): with an index on the key, two upserts of one key at once leave it there twice.
                merge = table.merge_insert("id").use_index(False)
                merge = merge.when_matched_update_all().when_not_matched_insert_all()
                if gone:
                    merge = merge.when_not_matched_by_source_delete(at(gone))
                merge.execute(pyarrow.Table.from_pylist(list(batch.values()), schema=table.schema))
            elif gone:
                table.delete(at(gone))
        return len(batch)

    def embed_missing(self, progress: Progress | None = None, *, limit: int | None = None,
                      cancel: Callable[[], bool] = never) -> int:
        """Give passages without a vector of this embedder one, `limit` at most; returns how many got one. Can be
        stopped and called again; once all are there, the vectors of other embedders go."""
        with lance(self.folder):
            generation = self._store.current()
        if generation is None or self.embedder is None:
            return 0
        with lance(self.folder):
            self._store.sweep(generation)
            words = self._store.words(generation)
            vectors = self._store.vectors(generation, self.embedder, create=True)
            have = [columns(table, "place")["place"].to_numpy() for table in (words, vectors)]
        missing = np.setdiff1d(*have)
        wanted, done = missing[:limit].tolist(), 0
        while done < len(wanted) and not cancel():
            self._embed(self.embedder, words, vectors, wanted[done:done + _EMBEDDED])
            done = min(done + _EMBEDDED, len(wanted))
            if progress:
                progress("reading for meaning", done, len(wanted))
        with lance(self.folder):
            complete = done == len(missing)
            if done:
                self._store.tidy_vectors(vectors, complete=complete)
            for embedder, table in self._store.all_vectors(generation).items() if complete else ():
                if embedder != self.embedder.id:
                    self._store.drop(table)
        return done

    def _embed(self, embedder: Embedder, words: Any, vectors: Any, places: Sequence[int]) -> None:
        with lance(self.folder):
            import pyarrow as pa

            rows = rows_at(words, places, ("place", "text", *SCOPE_COLUMNS))
        texts = [f"{author}: {text}" if author else text
                 for author, text in zip(rows["author"].to_pylist(), rows["text"].to_pylist(), strict=True)]
        made = np.nan_to_num(np.asarray(embedder.embed(texts), np.float32), posinf=0, neginf=0)
        with lance(self.folder):
            column = pa.FixedSizeListArray.from_arrays(pa.array(made.ravel()), embedder.dim)
            rows = rows.drop_columns(["text"]).append_column("vector", column)
            vectors.add(rows.cast(vectors.schema))

    def forget(self, keys: Collection[tuple[str, str]]) -> int:
        """Remove the messages with these (conversation id, message id) so that nothing of them remains in any file;
        returns how many passages went.

        All that is kept moves into new tables with new indexes and counts, vectors included, and the old files are
        removed: no file from before the call is left. A crash leaves the old or the new; the next write, or the same
        call again, removes what is left over.
        """
        import pyarrow as pa
        from pyarrow import compute

        with lance(self.folder):
            old = self._store.current()
            self._store.sweep(old)
            if old is None:
                return 0
            words, generation = self._store.words(old), self._store.new()
            wanted = set(keys)
            gone = [row["place"] for batch in batches(words, "conversation", "message", "place")
                    for row in batch.to_pylist() if (row["conversation"], row["message"]) in wanted]
            values = pa.array(gone, pa.int64())

            def kept(batch: Any) -> Any:
                return batch.filter(compute.invert(compute.is_in(batch["place"], values)))

            new = self._store.copy(words, f"words-{generation}", kept)
            index_words(new)
            Terms.count(new).write(self._store.terms_path(generation))
            for table in self._store.all_vectors(old).values():
                vectors = self._store.copy(table, table.name.replace(old, generation, 1), kept)
                self._store.tidy_vectors(vectors, complete=True)
            self._store.switch(generation)
        return len(gone)

    # ---- reading -----------------------------------------------------------------------------------------------

    def recall(self, query: str, k: int = 10, *, own: bool | None = None, scope: Scope | None = None,
               exclude: Collection[str] = (), now: datetime | None = None) -> list[Recalled]:
        """The k messages that serve a query best, best first, each shown by its best passage.

        `scope` says where to look; `own` and `exclude` add to it. A time in the query ("last summer", "3 июля 2024";
        counted from `now`) lifts what was said then, a name what its bearer said. `score` is 0..1: the root of the
        squared shares of the query's information that the passage has in words and in letters, and of its nearness in
        meaning. A message beside a better one is lifted towards it, never above. UsageError when k < 1.
        """
        if k < 1:
            raise UsageError(f"{k} memories were asked for.", "Ask for one at least.")
        scope = scope or Scope()
        scope = replace(scope, own=scope.own if own is None else own, exclude=(*scope.exclude, *exclude))
        tried: str | None = None
        while True:
            with lance(self.folder):
                generation = self._store.current()
            if generation is None:
                return []
            try:
                return self._recall(generation, query, k, scope, now)
            except HomeError:  # perhaps another process forgot, rebuilt or changed the embedder meanwhile
                if generation == tried:
                    raise
                tried = generation

    def _recall(self, generation: str, query: str, k: int, scope: Scope, now: datetime | None) -> list[Recalled]:
        when = parse(query, now)
        asked = Query.of(query, when.relative if when else "")
        if not asked.terms:
            return []
        # Some embedders read a question otherwise than a passage; the rest have one way for both.
        embed = getattr(self.embedder, "embed_query", None) or (self.embedder.embed if self.embedder else None)
        vector = embed([clean(query)])[0] if embed else None
        with lance(self.folder):
            table = self._store.words(generation)
            terms = self._store.terms(generation)
            found = search(table, asked, terms, self._near(generation, vector), scope, k, when)
            if found is None:
                return []
            rows, candidates = found
            best = candidates.best(asked, terms, k, when, self.weights)
            shown = rows.take(np.array([hit.row for hit in best], np.int64)).to_pylist()
        no_meaning = f"by words only: {'no vector yet' if self.embedder else 'no embedder'}"
        return [Recalled((row["message"],), row["text"], hit.score, hit.why(row, no_meaning), row["conversation"],
                         row["role"], row["time"]) for hit, row in zip(best, shown, strict=True)]

    def _near(self, generation: str, vector: Sequence[float] | None) -> Near | None:
        table = self._store.vectors(generation, self.embedder) if self.embedder else None
        if table is None or vector is None:
            return None
        unit, mean = np.asarray(vector, np.float32), self._store.centre(table).mean
        return Near(table, unit - _CENTRED * np.asarray(mean, np.float32) if mean else unit)

    @property
    def outdated(self) -> bool:
        """Whether the store was made by an earlier version, so that only a rebuild helps; asks no embedder."""
        with lance(self.folder):
            return bool(self._store.outdated)

    def count(self) -> int:
        """Number of passages."""
        with lance(self.folder):
            generation = self._store.current()
            return 0 if generation is None else int(self._store.words(generation).count_rows())

    def status(self) -> MemoryStatus:
        """What is stored, and whose vectors."""
        name = self.embedder.id if self.embedder else ""
        with lance(self.folder):
            if self._store.outdated:
                return MemoryStatus(0, 0, name, {}, False)
            generation = self._store.current()
            if generation is None:
                return MemoryStatus(0, 0, name, {})
            rows = int(self._store.words(generation).count_rows())
            embedders = {id_: int(table.count_rows()) for id_, table in self._store.all_vectors(generation).items()}
        return MemoryStatus(rows, embedders.get(name, 0), name, embedders)

    def contents(self) -> Iterator[tuple[str, str]]:
        """(where, text) of everything that is stored in words: each text column of each version of each table, and
        what was counted. The terms inside an index are packed; a search for a word tells whether it is there."""
        with lance(self.folder):
            yield from contents(self.folder)
