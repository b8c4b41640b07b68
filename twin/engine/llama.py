"""LlamaEngine: one GGUF core in process, the common prefix read once, each role's tail in a copied sequence.

The only module that imports llama_cpp, and only its low-level functions: the high-level class reads adapters
unsafely and re-reads prompts (engine.md has the measurements). Knows token ids and logits; knows no roles, no
people and no files but the GGUF. One thread at a time: a lock makes a second caller wait.

Sequence 0 holds the prefix, read by the base weights alone. A tail is decoded in sequence 1, a copy by reference
of sequence 0, and thrown away after the answer. KV is reused only for an equal run of token ids of the same model;
no adapter ever touches sequence 0, so (model, tokens) is the whole cache key here.
"""
from __future__ import annotations

import codecs
import ctypes
import hashlib
import json
import math
import os
import random
import subprocess
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

from twin import machine
from twin.errors import ModelBroken, ModelError, ModelMissing, PromptTooLong, UsageError
from twin.fetch import refuse_if_wrong
from twin.types import Piece, Prompt, Sampling, Segment, Usage, never

PREFIX, TAIL = 0, 1  # sequence ids
# Tokens per llama_decode while reading. Cancelling is possible between two batches: at 58-76 tokens a second on
# 2 cores 128 tokens are about 2 s; larger batches read no faster there.
BATCH = 128

_log: deque[str] = deque(maxlen=40)
_log_callback: Any = None


def _llama() -> Any:
    """Import llama_cpp (0.4 s) on first use and send its log to a ring buffer: stdout and stderr belong to faces."""
    global _log_callback
    try:
        import llama_cpp  # deferred: 0.4 s and a compiled library that may not be built yet
    except (ImportError, OSError) as error:
        raise ModelMissing(f"The engine (llama-cpp-python) is not installed or not compiled ({error}).",
                           "Run `pip install llama-cpp-python` with a C++ compiler and cmake present.") from error
    if _log_callback is None:
        def collect(_level: int, text: bytes, _data: object) -> None:
            _log.append(text.decode("utf-8", "replace").strip())

        _log_callback = llama_cpp.llama_log_callback(collect)  # kept: a callback that is collected crashes the process
        llama_cpp.llama_log_set(_log_callback, ctypes.c_void_p(0))
    return llama_cpp


def preflight(path: Path, timeout_s: float = 120.0) -> None:
    """Load the file once in a child: about one in a hundred damaged headers aborts the process that reads it."""
    child = [sys.executable, "-c", _TRIAL, str(path)]
    try:
        done = subprocess.run(child, capture_output=True, timeout=timeout_s, check=False)  # noqa: S603 - our own code
    except subprocess.TimeoutExpired as error:
        raise ModelBroken(f"{path.name} did not load within {timeout_s:.0f} s in a trial process.",
                          "Fetch it again, or choose another model.") from error
    if done.returncode:
        told = done.stdout.decode("utf-8", "replace").strip()
        reason = told or f"its header makes the loader fail (exit {done.returncode})."
        what = reason if path.name in reason else f"{path.name} cannot be loaded: {reason}"
        raise ModelBroken(what, "It may be damaged: fetch it again.")


_TRIAL = """
import sys
from pathlib import Path
from twin.engine.llama import LlamaEngine
from twin.errors import TwinError
try:
    LlamaEngine(Path(sys.argv[1]), n_ctx=64, trusted=True).close()
except TwinError as error:
    print(error.what)
    sys.exit(1)
"""


class LlamaEngine:
    """A GGUF core. `trusted` skips the trial load in a child, for files whose sha256 was verified.

    n_ctx: tokens of context, capped by what the model was trained for. Raises ModelMissing, ModelBroken, ModelError.
    """

    def __init__(self, path: Path, *, family: str = "chatml", n_ctx: int = 8192, n_threads: int | None = None,
                 n_gpu_layers: int = -1, trusted: bool = False) -> None:
        self._model: Any = None
        self._ctx: Any = None
        self.path = Path(path)
        self.family = family
        if not self.path.is_file():
            raise ModelMissing(f"There is no model file at {self.path}.", "Fetch one with `twin models pull NAME`.")
        refuse_if_wrong(self.path, must_be_gguf=True)
        if not trusted:
            preflight(self.path)
        self._l = _llama()
        self._lock = threading.Lock()
        self._prefix: list[int] = []
        with self.path.open("rb") as file:
            head = hashlib.sha256(file.read(1 << 20))
        self.id = f"{self.path.stem}@{head.hexdigest()[:12]}-{self.path.stat().st_size}"
        self._load(n_ctx, n_threads or machine.processors(), n_gpu_layers)

    def __repr__(self) -> str:
        return f"LlamaEngine({self.id}, n_ctx={self.n_ctx})"

    def _load(self, n_ctx: int, n_threads: int, n_gpu_layers: int) -> None:
        lib = self._l
        _log.clear()
        params = lib.llama_model_default_params()
        params.n_gpu_layers = n_gpu_layers
        self._model = lib.llama_model_load_from_file(os.fsencode(self.path), params)
        if not self._model:
            reason = next((line for line in _log if "error" in line.casefold()), "the loader gave no reason")
            raise ModelBroken(f"{self.path.name} cannot be loaded: {reason}.",
                              "It may be truncated: run `twin models check`, then fetch it again.")
        self._vocab = lib.llama_model_get_vocab(self._model)
        self._n_vocab = lib.llama_vocab_n_tokens(self._vocab)
        native = lib.llama_model_n_ctx_train(self._model)
        context = lib.llama_context_default_params()
        context.n_ctx = min(n_ctx, native) if native > 0 else n_ctx
        context.n_batch = context.n_ubatch = BATCH
        context.n_threads = context.n_threads_batch = n_threads
        context.n_seq_max = 2
        context.kv_unified = True  # a copied sequence shares its cells instead of halving the context
        context.flash_attn_type = 0  # off: with equal batches a copied sequence gives exactly the cold logits
        self._ctx = lib.llama_init_from_model(self._model, context)
        if not self._ctx:
            raise ModelError(f"No context of {n_ctx} tokens could be made for {self.path.name}.",
                             "Ask for a smaller context, or free memory.")
        self.n_ctx = int(lib.llama_n_ctx(self._ctx))
        self._memory = lib.llama_get_memory(self._ctx)
        self._batch = lib.llama_batch_init(BATCH, 0, 1)

    def close(self) -> None:
        """Free context and weights; a second call does nothing."""
        if self._ctx:
            self._l.llama_batch_free(self._batch)
            self._l.llama_free(self._ctx)
            self._ctx = None
        if self._model:
            self._l.llama_model_free(self._model)
            self._model = None

    # ---- tokens ------------------------------------------------------------------------------------------------

    def tokenize(self, text: str, *, special: bool = False) -> list[int]:
        """Token ids of a text; with special=False `<|im_end|>` inside it stays seven ordinary pieces of text."""
        data = text.encode("utf-8", "replace")
        room = len(data) + 8
        ids = (self._l.llama_token * room)()
        n = self._l.llama_tokenize(self._vocab, data, len(data), ids, room, False, special)
        if n < 0:
            raise ModelError(f"The tokenizer of {self.path.name} refused a text of {len(data)} bytes.", "Shorten it.")
        return list(ids[:n])

    def _ids(self, segments: Sequence[Segment]) -> list[int]:
        return [token for segment in segments for token in self.tokenize(segment.text, special=segment.special)]

    def _piece(self, token: int) -> bytes:
        buffer = ctypes.create_string_buffer(64)
        n = self._l.llama_token_to_piece(self._vocab, token, buffer, 64, 0, False)
        if n < 0:
            buffer = ctypes.create_string_buffer(-n)
            n = self._l.llama_token_to_piece(self._vocab, token, buffer, -n, 0, False)
        return buffer.raw[:n]

    # ---- reading -----------------------------------------------------------------------------------------------

    def _decode(self, tokens: Sequence[int], start: int, sequence: int) -> None:
        """One batch of at most BATCH tokens into a sequence; logits for the last one only."""
        batch = self._batch
        batch.n_tokens = len(tokens)
        for i, token in enumerate(tokens):
            batch.token[i] = token
            batch.pos[i] = start + i
            batch.n_seq_id[i] = 1
            batch.seq_id[i][0] = sequence
            batch.logits[i] = i == len(tokens) - 1
        status = self._l.llama_decode(self._ctx, batch)
        if status:
            self._forget()
            raise ModelError(f"Decoding failed (llama_decode gave {status}).",
                             "Ask again; if it repeats, use a smaller context.")

    def _read(self, tokens: Sequence[int], start: int, sequence: int, cancel: Callable[[], bool]) -> int:
        """Read tokens in batches; returns how many were read (fewer when cancelled)."""
        for offset in range(0, len(tokens), BATCH):
            if cancel():
                return offset
            self._decode(tokens[offset:offset + BATCH], start + offset, sequence)
        return len(tokens)

    def _forget(self) -> None:
        self._l.llama_memory_clear(self._memory, True)
        self._prefix = []

    def _share_prefix(self, tokens: list[int], cancel: Callable[[], bool]) -> tuple[int, bool]:
        """Bring sequence 0 to these tokens, reading only what differs. Returns (tokens reused, finished)."""
        common = 0
        for mine, theirs in zip(self._prefix, tokens, strict=False):
            if mine != theirs:
                break
            common += 1
        if common < len(self._prefix) and not self._l.llama_memory_seq_rm(self._memory, PREFIX, common, -1):
            self._forget()  # a recurrent state cannot be cut, only read anew
            common = 0
        self._prefix = self._prefix[:common]
        read = self._read(tokens[common:], common, PREFIX, cancel)
        self._prefix = tokens[:common + read]
        return common, common + read == len(tokens)

    def _open(self, prompt: Prompt, room: int, cancel: Callable[[], bool]) -> tuple[int, int, bool]:
        """Read a prompt up to its last token. Returns (prompt tokens, reused, finished)."""
        prefix, tail = self._ids(prompt.prefix), self._ids(prompt.tail)
        if not tail:
            raise UsageError("A prompt without a tail cannot be continued.", "Render it with twin.prompt.")
        n = len(prefix) + len(tail)
        if n + room > self.n_ctx:
            raise PromptTooLong(f"The prompt has {n} tokens and the answer {room}; the context holds {self.n_ctx}.",
                                "Ask something shorter, or open the twin with a larger context.")
        reused, finished = self._share_prefix(prefix, cancel)
        if finished:
            self._l.llama_memory_seq_rm(self._memory, TAIL, -1, -1)
            self._l.llama_memory_seq_cp(self._memory, PREFIX, TAIL, -1, -1)
            finished = self._read(tail, len(prefix), TAIL, cancel) == len(tail)
        return n, reused, finished

    # ---- answering ---------------------------------------------------------------------------------------------

    def stream(self, prompt: Prompt, sampling: Sampling, *, schema: Mapping[str, Any] | None = None,
               cancel: Callable[[], bool] = never) -> Iterator[Piece]:
        """Continue a prompt, see types.Engine; `cancel` is asked between tokens, and between batches while reading."""
        with self._lock:
            if not self._ctx:
                raise ModelError("The engine is closed.", "Open the twin again.")
            began = time.perf_counter()
            sampler = self._sampler(sampling, schema)
            try:
                yield from self._generate(prompt, sampling, sampler, cancel, began)
            finally:
                self._l.llama_sampler_free(sampler)
                if self._ctx:
                    self._l.llama_memory_seq_rm(self._memory, TAIL, -1, -1)

    def _generate(self, prompt: Prompt, sampling: Sampling, sampler: Any, cancel: Callable[[], bool],
                  began: float) -> Iterator[Piece]:
        n, reused, finished = self._open(prompt, sampling.max_tokens, cancel)
        decoder = codecs.getincrementaldecoder("utf-8")("replace")
        first, made = 0.0, 0
        finish: Literal["stop", "length", "cancelled"] = "length"
        if not finished:
            finish = "cancelled"
        while finished and made < sampling.max_tokens:
            if cancel():
                finish = "cancelled"
                break
            token = self._l.llama_sampler_sample(sampler, self._ctx, -1)
            first = first or time.perf_counter() - began
            if self._l.llama_vocab_is_eog(self._vocab, token):
                finish = "stop"
                break
            made += 1
            text = decoder.decode(self._piece(token))
            if text:
                yield Piece(text)
            if made < sampling.max_tokens:
                self._decode([token], n + made - 1, TAIL)
        rest = decoder.decode(b"", final=True)
        yield Piece(rest, finish, Usage(n, reused, made, first, time.perf_counter() - began, finish))

    def choose(self, prompt: Prompt, options: Sequence[str]) -> list[float]:
        """Probabilities of the options, by the logits of their first tokens. UsageError when two begin alike."""
        first = [self.tokenize(option)[:1] for option in options]
        tokens = [ids[0] for ids in first if ids]
        if len(options) < 2 or len(set(tokens)) != len(options):
            raise UsageError(f"The options {list(options)} do not begin with different tokens.", "Reword them.")
        with self._lock:
            self._open(prompt, 1, never)
            logits = self._l.llama_get_logits_ith(self._ctx, -1)
            values = [float(logits[token]) for token in tokens]
            self._l.llama_memory_seq_rm(self._memory, TAIL, -1, -1)
        top = max(values)
        weights = [math.exp(value - top) for value in values]
        return [weight / sum(weights) for weight in weights]

    def _sampler(self, sampling: Sampling, schema: Mapping[str, Any] | None) -> Any:
        lib = self._l
        chain = lib.llama_sampler_chain_init(lib.llama_sampler_chain_default_params())
        add = lib.llama_sampler_chain_add
        if schema is not None:
            grammar = lib.llama_sampler_init_grammar(self._vocab, _grammar(schema), b"root")
            if not grammar:
                lib.llama_sampler_free(chain)
                raise UsageError("The schema gives no grammar this engine can follow.", "Simplify the schema.")
            add(chain, grammar)
        if sampling.repeat_penalty != 1.0 and schema is None:  # inside JSON, braces and quotes must repeat
            add(chain, lib.llama_sampler_init_penalties(self._n_vocab, 64, sampling.repeat_penalty, 0.0, 0.0))
            # DRY: a run of tokens the answer already has costs more with each token, so lists cannot loop (seen on a
            # 1.5B core at temperature 0.3: one line nine times). No breakers: a repeated line is a repeated run.
            add(chain, lib.llama_sampler_init_dry(self._vocab, 0.8, 1.75, 5, 1024, (ctypes.c_char_p * 1)(), 0))
        if sampling.temperature <= 0:
            add(chain, lib.llama_sampler_init_greedy())
            return chain
        if sampling.top_k > 0:
            add(chain, lib.llama_sampler_init_top_k(sampling.top_k))
        add(chain, lib.llama_sampler_init_top_p(sampling.top_p, 1))
        add(chain, lib.llama_sampler_init_min_p(sampling.min_p, 1))
        add(chain, lib.llama_sampler_init_temp(sampling.temperature))
        seed = sampling.seed if sampling.seed is not None else random.SystemRandom().randrange(1 << 31)
        add(chain, lib.llama_sampler_init_dist(seed))
        return chain


def _grammar(schema: Mapping[str, Any]) -> bytes:
    """GBNF of a JSON schema, by llama.cpp's own converter."""
    from llama_cpp import llama_grammar  # deferred with its package

    return str(llama_grammar.json_schema_to_gbnf(json.dumps(dict(schema)))).encode()
