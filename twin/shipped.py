"""The vectors of the examples that ship with twin: made once on a machine, then read (3 s of every first answer).

Only of texts that everybody has: what a person wrote, their corrections among it, leaves no vector outside the home.
The file holds no text: for each one its sha256 and its vector, and at the end the sha256 of all of that.
"""
from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from contextlib import suppress
from hashlib import sha256
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from twin.errors import HomeError
from twin.home import cache_dir, write_atomically
from twin.types import Embedder

_DIGEST = 32  # bytes of a sha256
_MANY = 4  # one of so many new: the file lacks a language, or all
_SAME = 0.999  # cosine from which the embedder counts as the one that made the file


class Shipped:
    """An embedder that remembers the vectors of `texts()`, which ship with twin; others are embedded anew each time.

    The file is trusted once the first vector asked of it is what the embedder makes now: another model under the same
    name, or another build of it, makes the file anew. One that cannot be read or written costs the time only.
    """

    def __init__(self, embedder: Embedder, texts: Callable[[], Collection[str]], folder: Path | None = None) -> None:
        self.embedder, self._texts = embedder, texts
        self._folder = folder or cache_dir() / "examples"
        self._kept: dict[bytes, NDArray[np.float32]] = {}  # what this embedder made, or makes the same

    # Asked when they are needed: to tell its name an embedder may have to be loaded, or started.
    id: str = property(lambda self: self.embedder.id)  # type: ignore[assignment]
    dim: int = property(lambda self: self.embedder.dim)  # type: ignore[assignment]

    def __repr__(self) -> str:
        return f"Shipped({self.embedder!r})"

    def embed(self, texts: Sequence[str]) -> list[list[float]]:
        """One unit vector of `dim` floats for each text, in their order. Raises what the embedder raises."""
        if len(texts) == 1:  # a message, or one correction: nothing of it ships, so nothing is read or compared
            return self.embedder.embed(texts)
        names = [_name(text) for text in texts]
        if not self._kept:
            self._kept = self._trusted(dict(zip(names, texts, strict=True)))
        kept = self._kept
        new = {name: text for name, text in zip(names, texts, strict=True) if name not in kept}
        made = dict(zip(new, self.embedder.embed(list(new.values())), strict=True)) if new else {}
        if _MANY * len(new) > len(texts):  # few are the person's own: to ask what ships takes .75 s, to embed them less
            ships = {_name(text) for text in self._texts()} & new.keys()
            if ships:
                self._kept = kept = kept | {name: np.array(made[name], np.float32) for name in ships}
                self._write(kept)
        return [made[name] if name in made else kept[name].tolist() for name in names]

    def _trusted(self, asked: dict[bytes, str]) -> dict[bytes, NDArray[np.float32]]:
        """What the file holds, where the embedder still makes the same of one text that is asked for."""
        kept = self._read()
        known = next((name for name in asked if name in kept), None)
        if known is None:
            return {}
        again = np.array(self.embedder.embed([asked[known]])[0], np.float32)
        return kept if float(again @ kept[known]) > _SAME else {}

    @property
    def _path(self) -> Path:
        return self._folder / f"{sha256(self.id.encode()).hexdigest()[:16]}.bin"

    @property
    def _row(self) -> np.dtype[np.void]:
        return np.dtype([("text", np.uint8, (_DIGEST,)), ("vector", np.float32, (self.dim,))])

    def _read(self) -> dict[bytes, NDArray[np.float32]]:
        try:
            data = self._path.read_bytes()
        except OSError:
            return {}
        body, end, row = data[:-_DIGEST], data[-_DIGEST:], self._row
        if sha256(body).digest() != end or len(body) % row.itemsize:
            return {}
        rows = np.frombuffer(body, row)
        return {row["text"].tobytes(): row["vector"].copy() for row in rows}

    def _write(self, kept: dict[bytes, NDArray[np.float32]]) -> None:
        rows = np.zeros(len(kept), self._row)
        rows["text"] = np.array([list(name) for name in kept], np.uint8)
        rows["vector"] = np.array(list(kept.values()))
        body = rows.tobytes()
        with suppress(HomeError):
            write_atomically(self._path, body + sha256(body).digest(), durable=False)


def _name(text: str) -> bytes:
    return sha256(text.encode("utf-8", "surrogatepass")).digest()
