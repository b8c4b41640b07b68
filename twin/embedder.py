"""MiniLM: texts to unit vectors on the processor, without torch.

The model is all-MiniLM-L6-v2 as int8 ONNX; it was trained on English. Knows nothing of messages or stores.
"""
from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING, Any

import numpy as np

from twin.errors import ModelBroken, ModelMissing

if TYPE_CHECKING:
    from numpy.typing import NDArray

FILES = ("model.onnx", "tokenizer.json")
_INPUTS = ("input_ids", "attention_mask", "token_type_ids")
_MAX_TOKENS = 256  # what sentence-transformers uses for this model; it was trained on at most 128
# Small batches waste less padding. 1,000 chat messages on 2 cores: batches of 4, 16, 32 and 128 gave 211, 227, 211 and
# 150 texts/s; texts of 256 tokens each run at 17/s.
_BATCH = 16


class MiniLM:
    """Implements `types.Embedder`. The files are read at the first `embed`; `load` reads them sooner."""

    id = "minilm-l6-v2-int8"
    dim = 384

    def __init__(self, folder: Path, *, threads: int | None = None) -> None:
        """`folder` holds model.onnx and tokenizer.json; raises ModelMissing when one of them is not there."""
        for name in FILES:
            if not (folder / name).is_file():
                raise ModelMissing(f"{folder} has no {name}.", "Fetch the embedder with `twin models pull minilm`.")
        self.folder = folder
        self.threads = threads or os.cpu_count() or 1
        self._lock = Lock()
        self._loaded: tuple[Any, Any] | None = None

    def __repr__(self) -> str:
        return f"MiniLM({str(self.folder)!r})"

    def load(self) -> tuple[Any, Any]:
        """The tokenizer and the session, read once (0.4 s). Raises ModelBroken, with the loader's reason."""
        with self._lock:
            if self._loaded is None:
                self._loaded = self._tokenizer(), self._session()
            return self._loaded

    def embed(self, texts: Sequence[str]) -> list[list[float]]:
        """One unit vector of `dim` floats for each text, in their order; only its first 256 tokens count.

        Mean of the last hidden states under the attention mask, then length 1 (Reimers and Gurevych 2019, SBERT).
        A text's vector does not depend on its company in the call (cosine 1 within 2e-8). Raises ModelBroken.
        """
        tokenizer, session = self.load()
        encoded = tokenizer.encode_batch_fast(list(texts))
        vectors = np.empty((len(encoded), self.dim), dtype=np.float32)
        by_length = sorted(range(len(encoded)), key=lambda i: len(encoded[i].ids))
        for start in range(0, len(by_length), _BATCH):
            batch = by_length[start:start + _BATCH]
            vectors[batch] = self._run(session, [encoded[i].ids for i in batch])
        rows: list[list[float]] = vectors.tolist()
        return rows

    def _run(self, session: Any, ids: list[list[int]]) -> NDArray[np.float32]:
        """Unit vectors (texts, dim) of token ids, padded to the longest of the batch."""
        longest = max(map(len, ids))
        tokens = np.zeros((len(ids), longest), dtype=np.int64)
        mask = np.zeros_like(tokens)
        for row, text in enumerate(ids):
            tokens[row, :len(text)] = text
            mask[row, :len(text)] = 1
        hidden = session.run(None, dict(zip(_INPUTS, (tokens, mask, np.zeros_like(tokens)), strict=True)))[0]
        pooled = (hidden * mask[:, :, None]).sum(axis=1) / mask.sum(axis=1, keepdims=True)
        unit: NDArray[np.float32] = pooled / np.linalg.norm(pooled, axis=1, keepdims=True)
        return unit

    def _tokenizer(self) -> Any:
        import tokenizers  # Rust library, only here

        try:
            tokenizer = tokenizers.Tokenizer.from_file(str(self.folder / "tokenizer.json"))
        except Exception as error:  # tokenizers raises bare Exception for any fault of the file
            if type(error) is not Exception:
                raise
            raise self._broken("tokenizer.json", error) from error
        tokenizer.no_padding()
        tokenizer.enable_truncation(_MAX_TOKENS)
        return tokenizer

    def _session(self) -> Any:
        import onnxruntime  # 15 MB of native code, only here
        from onnxruntime.capi import onnxruntime_pybind11_state as faults

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = self.threads
        options.log_severity_level = 4  # faults come as exceptions; the library would also print them
        path = self.folder / "model.onnx"
        try:
            session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
        except (faults.Fail, faults.InvalidArgument, faults.InvalidGraph, faults.InvalidProtobuf, faults.NoSuchFile,
                faults.NotImplemented, faults.RuntimeException) as error:
            raise self._broken("model.onnx", error) from error
        inputs, outputs = [i.name for i in session.get_inputs()], [o.shape for o in session.get_outputs()]
        if sorted(inputs) != sorted(_INPUTS) or not outputs or outputs[0][-1] != self.dim:
            raise self._broken("model.onnx", ValueError(f"another network: inputs {inputs}, outputs {outputs}"))
        return session

    def _broken(self, name: str, error: Exception) -> ModelBroken:
        reason = str(error).splitlines()[0][:200] if str(error) else type(error).__name__
        return ModelBroken(f"{self.folder / name} cannot be loaded ({reason}).",
                           "Fetch it again with `twin models pull minilm`.")
