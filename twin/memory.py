"""Memory: what was said, cut into passages, found again by words and by meaning. Built on LanceDB.

Everything here can be rebuilt from the archive, which is the truth. Knows nothing of the archive; writers hold
`Home.writing`, memory takes no lock itself.
"""
from __future__ import annotations

import json
import math
import secrets
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence, Sized
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from twin.errors import HomeError, HomeFull, UsageError
from twin.home import write_atomically
from twin.text import clean, language, sentences, stem, stems, words
from twin.types import Embedder, Message, Progress, Recalled, digest

if TYPE_CHECKING:
    from numpy.typing import NDArray

# Measured by tests/bench/recall.py, and beside it on the same public sets: message recall at 10 on LoCoMo (English,
# three dialogues) / hit at 10 on PrefEval (English) / hit at 5 on first-person facts (Russian).
#   words only (BM25)                    .55 / .17 / .82        meaning only (MiniLM)      .43 / .44 / .67
#   words only, without function words   .61 / .19 / .82        ranks fused (RRF)          .56 / .35 / .83
#   z-scores, half and half              .64 / .34 / .90        shares fused, 3 to 1       .63 / .43 / .90
#   words only, hits spread              .71 / .19 / .82        shares, hits spread        .75 / .43 / .90  <- this file
# Shares beat z-scores where a question has few words in common with anything: a z-score makes its best chance match
# look as strong as a real one. MiniLM was trained on English and still lifts Russian, and weights of 1 to 3 make no
# difference there, so both languages share one. 95 % intervals: +-.03 (LoCoMo, 540 questions), +-.04, +-.02.
_WORDS_TO_MEANING = 3.0
_PULL = (0.7, 0.5)  # how far a hit draws the message next to it, and the one after that, towards its own score
_K1 = 1.2  # Lance's BM25 has k1 = 1.2, b = 0.75 and idf = ln(1 + (N - n + 0.5) / (n + 0.5)); checked to 6 digits
_MOST_STEMS = 16  # one index look-up each, 3 ms at 10,000 passages
_WINDOW = 900  # characters; about 200 word pieces of English, MiniLM reads 256
_BATCH = 512  # passages in one commit
_UNINDEXED = 1000  # rows outside the index are found too, by a scan of 3 ms a thousand for each stem
_FRAGMENTS = 20  # LanceDB's own advice: optimise every 20 writes
_KEPT = timedelta(hours=1)  # old versions stay that long for readers of other processes
_MESSAGE, _WINDOWS = 24, 16  # bits: a place is conversation << 40 | message << 16 | window, so neighbours are +-1

# Function words say nothing about what a question is after. Without them LoCoMo gains .06 (words only) and Russian .04
# (fused). A question made of nothing else keeps them.
_FUNCTION_WORDS = frozenset(map(stem, words("""
    a an the i you he she it we they me my your his her its our us them their is am are was were be been being do does
    did have has had will would can could should may might to of in on at for from with by about and or but not no what
    when where who whom which whose why how that this these those there as if so
    я ты он она оно мы вы они меня тебя его ее нас вас их мне тебе ему ей нам вам им мой моя мое мои твой твоя твое
    твои наш ваш свой а но и или не ни что кто где куда когда как какой какая какое какие зачем почему сколько чей чем
    кем кого чего кому чему в во на с со к ко у о об от до по за из для бы же ли это этот эта эти то тот та те быть
    есть был была было были""")))


@dataclass(frozen=True)
class MemoryStatus:
    """Passages stored, how many carry a vector of the embedder in use, and the embedders present ('' is none).

    `fits` is False when vectors of this embedder have another length than the store's: then only a rebuild helps.
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

    Every method raises HomeError when the store is damaged and HomeFull when the disk is.
    """

    def __init__(self, folder: Path, embedder: Embedder | None) -> None:
        self.folder = folder
        self.embedder = embedder

    def __repr__(self) -> str:
        return f"Memory({str(self.folder)!r}, {self.embedder.id if self.embedder else 'words only'})"

    # ---- writing -----------------------------------------------------------------------------------------------

    def add(self, items: Iterable[tuple[str, Message]], progress: Progress | None = None) -> int:
        """Store (conversation id, message) pairs in the order they were said; returns how many passages were written.

        Adding again changes nothing; a changed message replaces its passages; hidden and blank ones are not kept.
        Rows can be recalled at once. With an embedder the vectors are made here: 200 short messages a second, 20 long
        ones; without one, `embed_missing` makes them later.
        """
        return self._write(self._name() or "passages", items, progress)

    def rebuild(self, items: Iterable[tuple[str, Message]], progress: Progress | None = None) -> int:
        """Make the store anew from all messages. Until the last moment readers, and a crash, have the old one."""
        name = f"passages-{secrets.token_hex(4)}"
        written = self._write(name, items, progress)
        write_atomically(self.folder / "CURRENT", name)
        with _lance(self.folder):
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
        with _lance(self.folder):
            shelf = _Shelf.read(table)
            gone = [id_ for key in set(keys) for id_ in shelf.rows.get(key, ())]
            for start in range(0, len(gone), _BATCH):
                table.delete(_one_of(gone[start:start + _BATCH]))
        return len(gone)

    def embed_missing(self, progress: Progress | None = None) -> int:
        """Give passages without a vector of this embedder one; returns how many. Can be stopped and called again."""
        table = self._open()
        if table is None or self.embedder is None:
            return 0
        if not self._fits(table):
            raise HomeError(f"The memory in {self.folder} holds vectors of another length than those of "
                            f"{self.embedder.id}.", "Run `twin memory rebuild`.")
        with _lance(self.folder):
            have = _columns(table, "id", "embedder")
        missing = [id_ for id_, made_by in zip(have["id"].to_pylist(), have["embedder"].to_pylist(), strict=True)
                   if made_by != self.embedder.id]
        for start in range(0, len(missing), _BATCH):
            with _lance(self.folder):
                rows = table.search().where(_one_of(missing[start:start + _BATCH])).limit(_BATCH).to_list()
            self._commit(table, rows, ())
            if progress:
                progress("reading for meaning", start + len(rows), len(missing))
        self._tidy(table)
        return len(missing)

    def _write(self, name: str, items: Iterable[tuple[str, Message]], progress: Progress | None) -> int:
        with _lance(self.folder):
            table = self._create(name)
            shelf = _Shelf.read(table)
        total = len(items) if isinstance(items, Sized) else None
        batch: dict[str, dict[str, Any]] = {}
        stale: set[str] = set()
        written = done = 0
        for done, (conversation, message) in enumerate(items, 1):
            shelf.put(conversation, message, batch, stale)
            if len(batch) + len(stale) >= _BATCH:
                written += len(batch)
                self._commit(table, list(batch.values()), stale)
                batch, stale = {}, set()
                if progress:
                    progress("remembering", done, total)
        self._commit(table, list(batch.values()), stale)
        self._tidy(table)
        if progress:
            progress("remembering", done, total)
        return written + len(batch)

    def _commit(self, table: Any, rows: list[dict[str, Any]], stale: Collection[str]) -> None:
        """One commit: rows in (by id, with vectors where the embedder fits), rows with stale ids out."""
        if self.embedder and rows and self._fits(table):
            texts = [f"{row['author']}: {row['text']}" if row["author"] else row["text"] for row in rows]
            for row, vector in zip(rows, self.embedder.embed(texts), strict=True):
                row["vector"], row["embedder"] = vector, self.embedder.id
        with _lance(self.folder):
            import pyarrow

            if rows:
                # use_index(False): with an index on the key, two upserts of one key at once leave it there twice.
                merge = table.merge_insert("id").use_index(False)
                merge = merge.when_matched_update_all().when_not_matched_insert_all()
                if stale:
                    merge = merge.when_not_matched_by_source_delete(_one_of(stale))
                merge.execute(pyarrow.Table.from_pylist(rows, schema=table.schema), on_bad_vectors="null")
            elif stale:
                table.delete(_one_of(stale))

    def _tidy(self, table: Any) -> None:
        """Index the new rows and join small files when there are many: a matter of speed, not of what is found."""
        with _lance(self.folder):
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
        wanted = _wanted(query)
        table = self._open()
        if table is None or not wanted:
            return []
        embedder = self.embedder if self._fits(table) else None
        vector = embedder.embed([clean(query)])[0] if embedder else None
        with _lance(self.folder):
            hits = _Hits.of(table, own, exclude)
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
        with _lance(self.folder):
            return 0 if table is None else int(table.count_rows())

    def status(self) -> MemoryStatus:
        """What is stored, and whether the vectors are those of the embedder in use."""
        table, name = self._open(), self.embedder.id if self.embedder else ""
        if table is None:
            return MemoryStatus(0, 0, name, {}, True)
        with _lance(self.folder):
            counts = _columns(table, "embedder")["embedder"].value_counts().to_pylist()
        embedders = {item["values"]: item["counts"] for item in counts}
        return MemoryStatus(sum(embedders.values()), embedders.get(name, 0) if name else 0, name, embedders,
                            self.embedder is None or self._fits(table))

    # ---- the store ---------------------------------------------------------------------------------------------

    def _connect(self) -> Any:
        import lancedb  # 1.3 s; only here

        # A read_consistency_interval of zero: what another process wrote is seen by the next call.
        return lancedb.connect(self.folder, read_consistency_interval=timedelta(0))

    def _name(self) -> str | None:
        """The table in use: `passages`, or since the first rebuild the one that CURRENT names. None: nothing yet."""
        with _lance(self.folder):
            pointer, tables = self.folder / "CURRENT", [path.stem for path in self.folder.glob("*.lance")]
            name = pointer.read_text("utf-8").strip() if pointer.exists() else "passages"
        if name in tables:
            return name
        if tables or pointer.exists():
            raise _damaged(self.folder, f"the table {name} is not there")
        return None

    def _open(self) -> Any | None:
        """The table as it is now (opened anew each time: 0.5 ms, and a rebuild by another process is followed)."""
        name = self._name()
        if name is None:
            return None
        with _lance(self.folder):
            return self._connect().open_table(name)

    def _create(self, name: str) -> Any:
        """The table of that name, made with its index when it is not there."""
        from lancedb.index import FTS

        self.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        db, path = self._connect(), self.folder / f"{name}.lance"
        if any(path.glob("_versions/*")) or any(path.glob("data/*")):
            table = db.open_table(name)
        else:  # not there, or its making was killed before its first commit
            table = db.create_table(name, schema=_schema(self.embedder.dim if self.embedder else 384))
        if not table.list_indices():  # the stems are ours, for both languages; Lance only splits them at blanks
            table.create_index("stems", config=FTS(
                base_tokenizer="whitespace", stem=False, remove_stop_words=False, ascii_folding=False))
        return table

    def _fits(self, table: Any) -> bool:
        """Whether vectors of the embedder have the table's length."""
        return self.embedder is not None and table.schema.field("vector").type.list_size == self.embedder.dim


# ---- passages ------------------------------------------------------------------------------------------------------

_SHOWN = ("place", "message_ids", "text", "conversation", "role", "time")


def windows(text: str) -> list[str]:
    """Text cut at sentence ends into pieces of at most 900 characters; a longer sentence is cut at blanks."""
    cuts: list[tuple[int, int]] = []
    for left, right in sentences(text):
        if cuts and right - cuts[-1][0] <= _WINDOW:
            cuts[-1] = (cuts[-1][0], right)
            continue
        while right - left > _WINDOW:
            blank = text.rfind(" ", left + 1, left + _WINDOW + 1)
            cut = blank if blank > left else left + _WINDOW
            cuts.append((left, cut))
            left = cut
        cuts.append((left, right))
    return [text[left:right].strip() for left, right in cuts]


def _passages(conversation: str, message: Message, number: int) -> list[dict[str, Any]]:
    """Rows of one message, without vectors. `row_hash` covers all that was given, so that damage can be found."""
    if "hidden" in message.flags:
        return []
    time = message.time.replace(tzinfo=UTC) if message.time and message.time.tzinfo is None else message.time
    author = clean(message.author) if message.author else None
    rows = []
    for window, text in enumerate(windows(clean(message.text))):
        given = [conversation, message.id, window, message.role, author, message.own, time and time.isoformat(), text]
        rows.append({
            "id": digest(json.dumps(given[:3])), "place": (number << _WINDOWS) | window, "conversation": conversation,
            "message_ids": [message.id], "role": message.role, "author": author, "own": message.own, "time": time,
            # "What did Anna say about ...": the speaker's name is a word and is embedded: .63 against .49 on LoCoMo.
            "lang": language(text), "text": text, "stems": " ".join(stems(f"{author or ''} {text}")),
            "row_hash": digest(json.dumps(given)), "embedder": "", "vector": None})
    return rows


@dataclass
class _Shelf:
    """What a table holds: for each message its number, and hashes by passage id. New messages get the next number."""

    rows: dict[tuple[str, str], dict[str, str]] = field(default_factory=dict)
    numbers: dict[tuple[str, str], int] = field(default_factory=dict)
    last: dict[str, int] = field(default_factory=dict)  # the highest number in each conversation

    @classmethod
    def read(cls, table: Any) -> _Shelf:
        shelf = cls()
        for row in _columns(table, "conversation", "message_ids", "place", "id", "row_hash").to_pylist():
            conversation, number = row["conversation"], row["place"] >> _WINDOWS
            key = conversation, row["message_ids"][0]
            shelf.rows.setdefault(key, {})[row["id"]] = row["row_hash"]
            shelf.numbers[key] = number
            shelf.last[conversation] = max(number, shelf.last.get(conversation, 0))
        return shelf

    def put(self, conversation: str, message: Message, batch: dict[str, dict[str, Any]], stale: set[str]) -> None:
        """Note one message: changed passages go into the batch, ids that are no longer wanted among the stale."""
        key = conversation, message.id
        number = self.numbers.get(key)
        if number is None:
            after = self.last.get(conversation)
            number = (max(self.last.values(), default=-1) >> _MESSAGE) + 1 << _MESSAGE if after is None else after + 1
        rows, old = _passages(conversation, message, number), self.rows.get(key, {})
        if not rows and not old:
            return
        for row in rows:
            stale.discard(row["id"])
            if old.get(row["id"]) != row["row_hash"]:
                batch[row["id"]] = row
        for id_ in old.keys() - {row["id"] for row in rows}:
            batch.pop(id_, None)
            stale.add(id_)
        self.rows[key] = {row["id"]: row["row_hash"] for row in rows}
        self.numbers[key] = number
        self.last[conversation] = max(number, self.last.get(conversation, 0))


# ---- ranking -------------------------------------------------------------------------------------------------------

def _wanted(query: str) -> dict[str, str]:
    """Stems to look for, each with its word as the query has it: function words only where there is nothing else."""
    found = {stem(word): word for word in reversed(words(clean(query)))}
    content = {s: w for s, w in found.items() if s not in _FUNCTION_WORDS} or found
    # Of a pasted page the longest words are looked up: long words are rare ones (Zipf's law of abbreviation).
    longest = sorted(content, key=len, reverse=True)[:_MOST_STEMS]
    return {s: content[s] for s in reversed(content) if s in longest}


@dataclass(frozen=True)
class _Hit:
    place: int
    score: float
    matched: tuple[str, ...]
    meaning: float | None
    lifted: bool
    embedder: bool

    def why(self, wanted: Mapping[str, str], time: datetime | None) -> str:
        """Words in common, nearness in meaning, whether a neighbour brought it, and the date."""
        common = ", ".join(wanted[s] for s in self.matched)
        if self.meaning is not None:
            meaning = f"meaning {self.meaning:.2f}"
        else:
            meaning = "by words only: no vector yet" if self.embedder else "by words only: no embedder"
        return "; ".join(filter(None, (
            f"words: {common}" if common else "no word in common", meaning,
            "next to a message that matches better" if self.lifted else "", f"{time:%Y-%m-%d}" if time else "")))


@dataclass
class _Hits:
    """Scores of all passages a query may find, as arrays over `places` (sorted, unique)."""

    places: NDArray[np.int64]
    total: int
    lexical: NDArray[np.float64]
    meaning: NDArray[np.float64]  # NaN where there is no vector
    matched: dict[str, NDArray[np.bool_]] = field(default_factory=dict)
    embedder: bool = False

    @classmethod
    def of(cls, table: Any, own: bool | None, exclude: Collection[str]) -> _Hits:
        """All passages that pass the filters. Ids are compared as values and never become part of an SQL text."""
        import pyarrow as pa
        from pyarrow import compute

        rows = _columns(table, "place", "own", "conversation")
        total = rows.num_rows
        if own is not None:
            rows = rows.filter(compute.equal(rows["own"], own))
        if exclude:
            left_out = pa.array(sorted(exclude), pa.string())
            rows = rows.filter(compute.invert(compute.is_in(rows["conversation"], left_out)))
        places = np.unique(rows["place"].to_numpy())
        return cls(places, total, np.zeros(len(places)), np.full(len(places), np.nan))

    def _at(self, found: Any, column: str) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
        """Where found rows stand in `places`, and their scores; those that did not pass the filters fall away."""
        places, scores = found["place"].to_numpy(), found[column].to_numpy().astype(np.float64)
        at = np.searchsorted(self.places, places)
        at[at == len(self.places)] = 0
        known = self.places[at] == places if len(self.places) else np.zeros(len(places), dtype=bool)
        return at[known], scores[known]

    def by_words(self, table: Any, wanted: Iterable[str]) -> None:
        """Share of the query's information: BM25 over its bound, the sum of idf x (k1 + 1) over the query's stems.

        Each stem is asked for by itself: that gives its document frequency, which the bound needs also for stems that
        nothing contains, and the words for `why`. The sum is the BM25 of all of them together.
        """
        from lancedb.query import MatchQuery

        bound = 0.0
        for asked in wanted:
            found = table.search(MatchQuery(asked, "stems"), query_type="fts")
            found = found.select(["place", "_score"]).limit(max(self.total, 1)).to_arrow()
            bound += (_K1 + 1) * math.log(1 + (self.total - found.num_rows + 0.5) / (found.num_rows + 0.5))
            at, scores = self._at(found, "_score")
            self.lexical[at] += scores
            self.matched[asked] = np.zeros(len(self.places), dtype=bool)
            self.matched[asked][at] = True
        self.lexical = np.minimum(self.lexical / bound, 1.0)

    def by_meaning(self, table: Any, vector: Sequence[float], embedder: str) -> None:
        """Cosine of the query's vector with every vector of the same embedder (exact: 30 ms at 10,000 passages)."""
        from pyarrow import compute

        found = table.search(vector, vector_column_name="vector").distance_type("dot")
        found = found.select(["place", "embedder", "_distance"]).limit(max(self.total, 1)).to_arrow()
        at, distance = self._at(found.filter(compute.equal(found["embedder"], embedder)), "_distance")
        self.meaning[at] = 1 - distance
        self.embedder = True

    def best(self, k: int) -> list[_Hit]:
        """The k best messages, each by its best passage; messages that nothing speaks for are left out."""
        score = self.lexical
        if self.embedder:
            near = np.maximum(np.nan_to_num(self.meaning), 0)
            score = (_WORDS_TO_MEANING * score + near) / (_WORDS_TO_MEANING + 1)
        # A maximum over passages beats a mean: one good paragraph makes a long message worth showing.
        order = np.lexsort((-score, self.places >> _WINDOWS))
        messages, first = np.unique((self.places >> _WINDOWS)[order], return_index=True)
        passage = order[first]
        alone = score[passage]
        lifted = alone.copy()
        for step, pull in enumerate(_PULL, 1):
            for beside in (messages - step, messages + step):
                at = np.minimum(np.searchsorted(messages, beside), len(messages) - 1)
                pulled = np.where(messages[at] == beside, (1 - pull) * alone + pull * alone[at], 0)
                np.maximum(lifted, pulled, out=lifted)
        top = np.argsort(-lifted, kind="stable")[:k]
        return [self._hit(int(passage[i]), float(lifted[i]), bool(lifted[i] > alone[i])) for i in top if lifted[i] > 0]

    def _hit(self, at: int, score: float, lifted: bool) -> _Hit:
        return _Hit(int(self.places[at]), score, tuple(s for s, where in self.matched.items() if where[at]),
                    None if np.isnan(self.meaning[at]) else float(self.meaning[at]), lifted, self.embedder)


# ---- Lance ---------------------------------------------------------------------------------------------------------

def _schema(dim: int) -> Any:
    """Columns of a passage; `dim` is the length of its vector."""
    import pyarrow as pa

    text = pa.string()
    return pa.schema([
        # The key must be declared in the schema: without it two writers can each insert the same id.
        pa.field("id", text, nullable=False, metadata={"lance-schema:unenforced-primary-key": "true"}),
        ("place", pa.int64()), ("conversation", text), ("message_ids", pa.list_(text)), ("role", text),
        ("author", text), ("own", pa.bool_()), ("time", pa.timestamp("us", tz="UTC")), ("lang", text), ("text", text),
        ("stems", text), ("row_hash", text), ("embedder", text), ("vector", pa.list_(pa.float32(), dim))])


def _columns(table: Any, *names: str) -> Any:
    """These columns of all rows, as an Arrow table."""
    return table.search().select(list(names)).limit(max(table.count_rows(), 1)).to_arrow()


def _one_of(ids: Iterable[str]) -> str:
    """A condition on `id`. Ids are hex digests, so there is nothing to escape."""
    return f"id IN ({', '.join(f'{chr(39)}{id_}{chr(39)}' for id_ in ids)})"


def _damaged(folder: Path, reason: str) -> HomeError:
    return HomeError(f"The memory in {folder} cannot be used ({reason}).",
                     "Run `twin memory rebuild`: everything in it comes from the archive.")


@contextmanager
def _lance(folder: Path) -> Iterator[None]:
    """Translate what Lance, Arrow and the file system raise: they use RuntimeError, ValueError and OSError for all."""
    try:
        yield
    except (RuntimeError, ValueError, LookupError, OSError) as error:
        reason = str(error)
        if any(sign in reason for sign in ("No space left", "File too large", "quota exceeded")):
            raise HomeFull(f"No space is left on the device that holds {folder}.",
                           "Free some space and do the same again.") from error
        raise _damaged(folder, reason.splitlines()[0][:200] if reason else type(error).__name__) from error
