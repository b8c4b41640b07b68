"""Contents: every text that the files of a memory hold, decoded. For the proof that something is gone."""
from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from twin.memory.lance import batches, connect
from twin.memory.store import begun
from twin.memory.terms import Terms


def contents(folder: Path) -> Iterator[tuple[str, str]]:
    """(where, text), tables of every generation and version, lists joined by blanks, then the counted terms."""
    for path in sorted(filter(begun, folder.glob("*.lance"))):
        table = connect(folder).open_table(path.stem)
        for version in [entry["version"] for entry in table.list_versions()]:
            table.checkout(version)
            yield from _texts(f"{path.stem}, version {version}", table)
    for path in sorted(folder.glob("terms-*.arrow")):
        terms = Terms.read(path)
        yield from ((path.name, stem) for stem in (terms.contents() if terms else ()))


def _texts(where: str, table: Any) -> Iterator[tuple[str, str]]:
    import pyarrow.types as kinds

    for batch in batches(table):
        for field in batch.schema:
            if kinds.is_string(field.type):
                yield from ((f"{where}, {field.name}", text) for text in batch[field.name].to_pylist() if text)
            elif kinds.is_list(field.type):
                yield from ((f"{where}, {field.name}", " ".join(texts)) for texts in batch[field.name].to_pylist()
                            if texts)
