"""RemoteEmbedder: texts to unit vectors by any server with OpenAI's /v1/embeddings. Knows no messages and no stores."""
from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from twin.engine.remote_wire import KEY_ENV, Link, Timeouts
from twin.errors import CannotDo, UsageError

_TOGETHER = 32  # texts a request
_DEFAULT = Timeouts()


class RemoteEmbedder:
    """Implements `types.Embedder`; the server is asked for one vector at opening.

    url, model, key_env, clear_key, transport, opened: as for RemoteEngine. id: what is stored with the vectors, instead
    of model@host:port. query_prefix, passage_prefix: what the model wants before a question and before other texts.
    Raises UsageError, DeviceLost (not reached), CannotDo for a server that does not embed, ModelError.
    """

    def __init__(self, url: str, model: str | None = None, *, id: str | None = None, key_env: str = KEY_ENV,
                 timeouts: Timeouts = _DEFAULT, query_prefix: str = "", passage_prefix: str = "",
                 clear_key: bool = False, transport: Any = None,
                 opened: Callable[[Link], object] | None = None) -> None:
        self.link = Link(url, key_env=key_env, timeouts=timeouts, transport=transport, clear_key=clear_key)
        if opened is not None:
            opened(self.link)
        self._query_prefix, self._passage_prefix = query_prefix, passage_prefix
        self.dim = 0
        try:
            self.model = model or self.link.fragment or self._only()
            self.id = id or f"{self.link.clean(self.model)}@{self.link.where}"
            self.dim = len(self.embed(["a"])[0])
        except BaseException:
            self.link.close()
            raise

    def __repr__(self) -> str:
        return f"RemoteEmbedder({self.id}, dim={self.dim})"

    def embed(self, texts: Sequence[str]) -> list[list[float]]:
        """One unit vector of `dim` floats for each text, in their order. Raises DeviceLost, ModelError."""
        return self._embed(self._passage_prefix, texts)

    def embed_query(self, texts: Sequence[str]) -> list[list[float]]:
        """As `embed`, for questions put to what `embed` gave."""
        return self._embed(self._query_prefix, texts)

    def close(self) -> None:
        """Leave the server; a second call does nothing."""
        self.link.close()

    def _only(self) -> str:
        data = self.link.must("/models").get("data")
        names = [str(one.get("id")) for one in data if isinstance(one, dict)] if isinstance(data, list) else []
        if len(names) != 1:
            raise UsageError(f"{self.link.where} has {len(names)} models.",
                             f"Choose one of: {self.link.listed(names)}.")
        return names[0]

    def _embed(self, prefix: str, texts: Sequence[str]) -> list[list[float]]:
        rows: list[list[float]] = []
        for start in range(0, len(texts), _TOGETHER):
            rows += self._some([prefix + text for text in texts[start:start + _TOGETHER]])
        return rows

    def _some(self, texts: list[str]) -> list[list[float]]:
        reply = self.link.ask("/embeddings", {"model": self.model, "input": texts, "encoding_format": "float"})
        if reply.status in (404, 405, 501):
            raise CannotDo(f"{self.link.where} does not embed with {self.link.clean(self.model)!r}.",
                           "Choose another model there.")
        if reply.status != 200:
            raise self.link.refusal(reply, model=self.model)
        data = reply.document.get("data") if isinstance(reply.document, dict) else None
        if not isinstance(data, list) or not all(isinstance(one, dict) for one in data):
            raise self.link.broken()
        rows = {one.get("index", place): self._unit(one) for place, one in enumerate(data)}
        if sorted(rows) != list(range(len(texts))) or len({len(row) for row in rows.values()} | {self.dim} - {0}) != 1:
            raise self.link.broken()
        return [rows[place] for place in range(len(texts))]

    def _unit(self, entry: Mapping[str, Any]) -> list[float]:
        """A vector of length 1."""
        values = entry.get("embedding")
        if not isinstance(values, list) or not all(type(one) in (int, float) for one in values):
            raise self.link.broken()
        length = math.hypot(*values)
        if not math.isfinite(length) or length <= 0.0:
            raise self.link.broken()
        return [one / length for one in values]
