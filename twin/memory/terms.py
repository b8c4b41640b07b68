"""Terms: in how many passages each stem stands, and how long passages are. BM25's idea of what is rare.

Kept in a file beside the tables and counted anew when these have grown: asking the index for the frequencies of a
query's stems would fetch the postings of every one of them. Knows no query.
"""
from __future__ import annotations

import math
from bisect import bisect_left
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from twin.home import write_atomically
from twin.memory.lance import batches


@dataclass(frozen=True)
class Terms:
    """`rows` passages of `length` stems on average. Reading is lazy: a look-up touches a few pages of the file."""

    rows: int
    length: float
    stems: Any = ()
    counts: Any = ()

    @classmethod
    def count(cls, table: Any) -> Terms:
        """From all rows: 1.5 s for 100,000."""
        import pyarrow as pa

        found, rows, length = Counter[str](), 0, 0
        for batch in batches(table, "stems"):
            for text in batch["stems"].to_pylist():
                stems = text.split()
                found.update(set(stems))
                rows, length = rows + 1, length + len(stems)
        names = sorted(found)
        return cls(rows, length / max(rows, 1), pa.array(names, pa.string()),
                   pa.array([found[name] for name in names], pa.int32()))

    @classmethod
    def read(cls, path: Path) -> Terms | None:
        """None where nothing was counted yet. Raises pyarrow's ValueError or OSError for a damaged file."""
        import pyarrow as pa

        if not path.exists():
            return None
        with pa.memory_map(str(path)) as file, pa.ipc.open_file(file) as reader:
            table = reader.read_all()
            head = reader.schema.metadata
            return cls(int(head[b"rows"]), float(head[b"length"]), table["stem"].combine_chunks(),
                       table["count"].combine_chunks())

    def write(self, path: Path) -> None:
        import pyarrow as pa

        table = pa.table({"stem": self.stems, "count": self.counts}).replace_schema_metadata(
            {"rows": str(self.rows), "length": repr(self.length)})
        sink = pa.BufferOutputStream()
        with pa.ipc.new_file(sink, table.schema) as writer:
            writer.write_table(table)
        write_atomically(path, sink.getvalue().to_pybytes(), durable=False)

    def contents(self) -> Iterator[str]:
        return (stem.as_py() for stem in self.stems)

    def idf(self, stems: Iterable[str]) -> float:
        """ln(1 + (N - n + 0.5) / (n + 0.5)) of a group of stems that count as one."""
        n = min(sum(map(self._count, stems)), self.rows)
        return math.log(1 + (self.rows - n + 0.5) / (n + 0.5))

    def _count(self, stem: str) -> int:
        at = bisect_left(self.stems, stem, key=lambda item: item.as_py())
        return int(self.counts[at].as_py()) if at < len(self.stems) and self.stems[at].as_py() == stem else 0
