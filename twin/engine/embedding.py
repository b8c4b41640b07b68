"""GGUFEmbedder: texts to unit vectors by any GGUF that pools, through llama.cpp.

BERT-like encoders (mean of all tokens, or the first one's state) and decoders trained to embed (the last token's state:
Qwen3-Embedding) alike; what is put around a text (`[CLS]`, `[SEP]`, an end token) is what the file's own vocabulary
says, and the words before it ("query: ") are the caller's. Knows nothing of messages, stores or roles.
"""
from __future__ import annotations

import hashlib
import os
import unicodedata
import weakref
from collections.abc import Callable, Iterator, Sequence
from functools import cached_property
from pathlib import Path
from threading import RLock
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from twin import machine
from twin.engine import devices, library
from twin.errors import CannotDo, ModelBroken, ModelError, ModelMissing
from twin.fetch import refuse_if_wrong
from twin.placement import Placement, fit

if TYPE_CHECKING:
    from numpy.typing import NDArray

Pooling = Literal["mean", "cls", "last"]

_POOLINGS: dict[int, Pooling] = {1: "mean", 2: "cls", 3: "last"}  # llama.h: enum llama_pooling_type
_RERANKER = 4
_MAX_TOKENS = 512  # of one text; a passage of memory has at most 900 characters
# Texts share a llama_decode until it holds so many tokens. E5 in 4 bits on one thread, texts of 32 tokens: 42 a second
# by ones, 72 by twos and more (flash attention has a slow way for less than 64 tokens); 150 texts of 38 tokens on
# average by 64, 128, 256 and 512 tokens: 32, 51, 52, 48. And each token costs memory: llama.cpp keeps logits for all of
# them, also where a network has none (E5's 250,002 words: 1 MB).
_TOGETHER = 128
_SEQUENCES = 16  # texts in one llama_decode
_SAMPLE = 1 << 20  # bytes hashed at each end of a file
# What SentencePiece's nmt_nfkc does besides NFKC, read out of E5's table: 119 of its characters differ from NFKC, these
# are all of them but the fullwidth tilde and characters younger than the table.
_SPACES = "\t\n\f\r\u1680\u200b\u200c\u200d\u200e\u200f\u2028\u2029\u2581\ufeff\ufffd"
_NOTHING = [*range(1, 9), 0x0b, *range(0x0e, 0x20), 0x7f, 0x8f, 0x9f]
_NMT = str.maketrans(dict.fromkeys(_SPACES, " ") | dict.fromkeys(_NOTHING, ""))


def nmt_nfkc(text: str) -> str:
    """What SentencePiece's unigram vocabularies were trained on (XLM-RoBERTa, T5 and theirs). A GGUF can hold the rules
    too; done here, they also serve the files that have none, and doing it twice changes nothing."""
    return unicodedata.normalize("NFKC", text.translate(_NMT))


class GGUFEmbedder:
    """Implements `types.Embedder`. The file is read at the first use of `id`, `dim` or `embed`; `load` reads it sooner.

    pooling: for a file that names none. id: what is stored with the vectors, instead of the name the file gets here.
    query_prefix, passage_prefix: what the model wants before a question and before all other texts. trusted: skip the
    trial load in a child, for files whose sha256 was verified. placement: where it runs, fitted to what is alive (None:
    as the engine finds); `notes` says what differs. One thread at a time: a lock makes a second caller wait.
    Raises ModelMissing and, for what is no GGUF, ModelBroken.
    """

    def __init__(self, path: Path, *, id: str | None = None, pooling: Pooling | None = None, query_prefix: str = "",
                 passage_prefix: str = "", n_threads: int | None = None, trusted: bool = False,
                 placement: Placement | None = None) -> None:
        self.path = Path(path)
        if not self.path.is_file():
            raise ModelMissing(f"There is no model file at {self.path}.", "Fetch one with `twin models pull NAME`.")
        refuse_if_wrong(self.path, must_be_gguf=True)
        self.n_threads = n_threads or machine.processors()
        self._name = id
        self._pooling = pooling
        self._query_prefix, self._passage_prefix = query_prefix, passage_prefix
        self._trusted = trusted
        self._placement = placement
        self.notes: tuple[str, ...] = ()
        self._lock = RLock()
        self._free: Callable[[], object] | None = None
        self._closed = False

    def __repr__(self) -> str:
        return f"GGUFEmbedder({str(self.path)!r})"

    def _find_id(self) -> str:
        """Name of the file, 12 digits of the sha256 of its size, its first and last MiB and the passages' prefix (which
        is in every vector that is kept), and the pooling."""
        self.load()
        if self._name is not None:
            return self._name
        size = self.path.stat().st_size
        found = hashlib.sha256(str(size).encode())
        with self.path.open("rb") as file:
            found.update(file.read(_SAMPLE))
            file.seek(max(size - _SAMPLE, 0))  # the head holds words and shapes; weights begin after megabytes of them
            found.update(file.read(_SAMPLE))
        found.update(self._passage_prefix.encode())
        return f"{self.path.stem}@{found.hexdigest()[:12]}-{_POOLINGS[self._l.llama_pooling_type(self._ctx)]}"

    def _find_dim(self) -> int:
        """Length of a vector."""
        self.load()
        return int(self._l.llama_model_n_embd_out(self._model))

    # Found at first use: opening a twin must not read a model. The protocol wants plain attributes.
    id: str = cached_property(_find_id)  # type: ignore[assignment]
    dim: int = cached_property(_find_dim)  # type: ignore[assignment]

    def embed(self, texts: Sequence[str]) -> list[list[float]]:
        """One unit vector of `dim` floats for each text, in their order; only its first `n_tokens` tokens count (512,
        or what the model was trained for when that is less), the prefix and the closing token included.

        A text's vector does not depend on its company in the call (1e-3 in F32; less exact where weights are
        quantised). Raises ModelBroken, CannotDo as `load` does; ModelError after `close` or when decoding fails.
        """
        return self._embed(self._passage_prefix, texts)

    def embed_query(self, texts: Sequence[str]) -> list[list[float]]:
        """As `embed`, for questions put to what `embed` gave: another prefix, for models that were trained so."""
        return self._embed(self._query_prefix, texts)

    def _embed(self, prefix: str, texts: Sequence[str]) -> list[list[float]]:
        with self._lock:
            self.load()
            tokens = [self._tokens(prefix + text) for text in texts]
            vectors = np.empty((len(tokens), self.dim), dtype=np.float32)
            by_length = sorted(range(len(tokens)), key=lambda i: len(tokens[i]))
            for batch in self._batches(by_length, tokens):
                vectors[batch] = self._vectors([tokens[i] for i in batch])
        rows: list[list[float]] = vectors.tolist()
        return rows

    def close(self) -> None:
        """Free the model; a second call does nothing."""
        with self._lock:
            self._closed = True
            if self._free:
                self._free()

    # ---- loading -----------------------------------------------------------------------------------------------

    def load(self) -> None:
        """Read the file now. Raises ModelBroken with the loader's reason, CannotDo where it is no embedder."""
        with self._lock:
            if self._closed:
                raise ModelError(f"The embedder {self.path.name} is closed.", "Open the twin again.")
            if self._free:
                return
            if not self._trusted:
                from twin.engine import trial  # deferred: only for files that nobody vouches for

                trial.refuse(self.path, trial.trial(self.path))
            self._l = library.llama()
            held: list[tuple[Callable[[Any], None], Any]] = []
            free = weakref.finalize(self, _release, held)
            free.atexit = False  # another thread may still be embedding then
            try:
                self._open(held)
            except BaseException:
                free()
                raise
            self._free = free

    def _open(self, held: list[tuple[Callable[[Any], None], Any]]) -> None:
        """Model, context and batch; each is put into `held` with what frees it."""
        lib = self._l
        library.forget_log()
        params = lib.llama_model_default_params()
        if self._placement is not None:
            placement, self.notes = fit(self._placement, devices.live(self._placement))
            alive = devices.apply(placement, params, None)
            held.append((lambda _: None, alive))  # the parameters point at it
        self._model = lib.llama_model_load_from_file(os.fsencode(self.path), params)
        if not self._model:
            raise ModelBroken(f"{self.path.name} cannot be loaded: {library.reason()}.",
                              "It may be truncated: run `twin models check`, then fetch it again.")
        held.append((lib.llama_model_free, self._model))
        self._vocab = lib.llama_model_get_vocab(self._model)
        if lib.llama_vocab_type(self._vocab) == lib.LLAMA_VOCAB_TYPE_NONE:  # tokenising with it aborts the process
            raise CannotDo(f"{self.path.name} has no vocabulary to read texts with.", "Choose a text embedder.")
        if lib.llama_model_has_encoder(self._model) and lib.llama_model_has_decoder(self._model):
            raise CannotDo(f"{self.path.name} has an encoder and a decoder; llama.cpp does not embed with such models.",
                           "Choose an embedder: `twin models list`.")
        trained = int(lib.llama_model_n_ctx_train(self._model))
        self.n_tokens = min(_MAX_TOKENS, trained) if trained > 0 else _MAX_TOKENS
        self._ctx = lib.llama_init_from_model(self._model, self._params())
        if not self._ctx:
            raise ModelError(f"No context could be made for {self.path.name}: {library.reason()}.", "Free memory.")
        held.append((lib.llama_free, self._ctx))
        self._refuse_if_it_cannot_pool(int(lib.llama_pooling_type(self._ctx)))
        self._memory = lib.llama_get_memory(self._ctx)  # NULL in encoders
        self._batch = lib.llama_batch_init(_MAX_TOKENS, 0, 1)
        held.append((lib.llama_batch_free, self._batch))

    def _params(self) -> Any:
        params = self._l.llama_context_default_params()
        params.embeddings = True
        if self._pooling:
            params.pooling_type = next(number for number, name in _POOLINGS.items() if name == self._pooling)
        # A batch must be read in one piece: tokens see those after them, and pooling sees one piece at a time.
        params.n_ctx = params.n_batch = params.n_ubatch = _MAX_TOKENS
        params.n_threads = params.n_threads_batch = self.n_threads
        params.n_seq_max = _SEQUENCES
        params.kv_unified = True  # texts share the cells instead of getting a sixteenth each
        # It skips what is masked. E5, texts of 16, 100 and 250 tokens: 142, 21, 7 a second; off: 112, 13, 3. Keys
        # and values become f16, so a vector depends on its company by up to 6e-4 in F32, 3e-3 in Q4_0 (off: 2e-3).
        params.flash_attn_type = self._l.LLAMA_FLASH_ATTN_TYPE_AUTO  # where the device has it
        return params

    def _refuse_if_it_cannot_pool(self, pooling: int) -> None:
        if pooling == _RERANKER:
            raise CannotDo(f"{self.path.name} is a reranker: it scores pairs of texts.",
                           "Choose an embedder: `twin models list`.")
        if pooling not in _POOLINGS:
            raise CannotDo(f"{self.path.name} is no embedder: it does not say how the states of its tokens become one "
                           "vector.", "Choose an embedder (`twin models list`), or name its pooling.")

    # ---- reading -----------------------------------------------------------------------------------------------

    def _tokens(self, text: str) -> list[int]:
        """Token ids with what the vocabulary puts around them; `[SEP]` or `<|endoftext|>` in a text stays text."""
        if self._l.llama_vocab_type(self._vocab) == self._l.LLAMA_VOCAB_TYPE_UGM:
            text = nmt_nfkc(text)
        data = text.encode("utf-8", "replace")
        room = len(data) + 8
        while True:
            ids = (self._l.llama_token * room)()
            n = self._l.llama_tokenize(self._vocab, data, len(data), ids, room, True, False)
            if n >= 0:
                break
            room = -n  # a vocabulary that normalises can spell one character with many tokens
        lib, limit = self._l, self.n_tokens
        ends = (lib.llama_vocab_sep(self._vocab), lib.llama_vocab_eos(self._vocab))
        if n > limit and ids[n - 1] in ends:
            return [*ids[:limit - 1], ids[n - 1]]
        # A vocabulary that adds nothing gives no token for an empty text; it is read as an end token, or as token 0.
        return ids[:min(n, limit)] or [max(ends[1], 0)]

    def _batches(self, order: Sequence[int], tokens: Sequence[list[int]]) -> Iterator[list[int]]:
        """Numbers of texts, as many as fit into one llama_decode."""
        batch: list[int] = []
        together = 0
        for i in order:
            if len(batch) == _SEQUENCES or (batch and together + len(tokens[i]) > _TOGETHER):
                yield batch
                batch, together = [], 0
            batch.append(i)
            together += len(tokens[i])
        if batch:
            yield batch

    def _vectors(self, texts: list[list[int]]) -> NDArray[np.float32]:
        """Unit vectors (texts, dim); each text is a sequence of its own."""
        batch, at = self._batch, 0
        for sequence, ids in enumerate(texts):
            for position, token in enumerate(ids):
                batch.token[at], batch.pos[at], batch.logits[at] = token, position, True
                batch.n_seq_id[at], batch.seq_id[at][0] = 1, sequence
                at += 1
        batch.n_tokens = at
        if self._memory:
            self._l.llama_memory_clear(self._memory, True)
        status = self._l.llama_decode(self._ctx, batch)  # without a memory this is llama_encode
        if status:
            raise ModelError(f"Embedding failed (llama_decode gave {status}: {library.reason()}).",
                             "Ask again; if it repeats, choose another embedder.")
        pooled = np.array([self._l.llama_get_embeddings_seq(self._ctx, i)[:self.dim] for i in range(len(texts))],
                          dtype=np.float32)
        length = np.linalg.norm(pooled, axis=1, keepdims=True)
        if not (np.isfinite(length) & (length > 0)).all():
            raise ModelBroken(f"{self.path.name} gave a vector without a direction.", "Choose another embedder.")
        unit: NDArray[np.float32] = pooled / length
        return unit


def _release(held: list[tuple[Callable[[Any], None], Any]]) -> None:
    """Free what was opened last first."""
    while held:
        free, what = held.pop()
        free(what)
