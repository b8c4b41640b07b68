"""Bare: llama.cpp without the engine, the limit that benches print beside it.

A context of its own over the same weights, with the same batch size, threads and cells; a prefix in sequence 0, copied
by reference for every answer; a greedy sampler; arrays filled by a plain loop. Knows token ids only.
"""
from __future__ import annotations

import ctypes
import time
from collections.abc import Sequence

from twin.engine import devices, library
from twin.engine.llama import LlamaEngine
from twin.engine.weights import BASE
from twin.types import never


class Bare:
    """The loop beside an engine; it holds no weights, so it is closed before the engine."""

    def __init__(self, engine: LlamaEngine) -> None:
        self.lib, like = library.llama(), engine.lanes.ctx
        params = self.lib.llama_context_default_params()
        devices.apply(engine.placement, None, params)
        params.n_ctx, params.n_seq_max = self.lib.llama_n_ctx(like), self.lib.llama_n_seq_max(like)
        params.n_batch, params.n_ubatch = self.lib.llama_n_batch(like), self.lib.llama_n_ubatch(like)
        params.n_threads = params.n_threads_batch = self.threads = self.lib.llama_n_threads(like)
        params.kv_unified = params.swa_full = True
        self.ctx = self.lib.llama_init_from_model(engine.weights.model, params)
        self.memory, self.n_batch = self.lib.llama_get_memory(self.ctx), engine.lanes.n_batch
        self.batch = self.lib.llama_batch_init(self.n_batch, 0, 1)
        self.sampler = self.lib.llama_sampler_chain_init(self.lib.llama_sampler_chain_default_params())
        self.lib.llama_sampler_chain_add(self.sampler, self.lib.llama_sampler_init_greedy())
        self.shared = 0

    def share(self, engine: LlamaEngine, shared: Sequence[int]) -> None:
        """Put a prefix that the engine has read into sequence 0: the same cells, without reading them again."""
        lane, _, _ = engine.lanes.open(BASE, shared, never)
        state = engine.lanes.state(lane)
        data = (ctypes.c_uint8 * len(state)).from_buffer(state)
        self.lib.llama_memory_clear(self.memory, True)
        assert self.lib.llama_state_seq_set_data(self.ctx, data, len(state), 0)
        self.shared = len(shared)

    def first_token(self, own: Sequence[int]) -> float:
        """Seconds to the first token after a tail."""
        return self._answer(own, 1, 1)[0]

    def writing(self, own: Sequence[int], n: int, together: int = 1) -> float:
        """Seconds of the n - 1 steps after the first token of `together` answers to the same tail."""
        return self._answer(own, n, together)[1]

    def _answer(self, own: Sequence[int], n: int, together: int) -> tuple[float, float]:
        began = time.perf_counter()
        sequences, end = range(1, together + 1), self.shared + len(own)
        for sequence in sequences:
            self.lib.llama_memory_seq_cp(self.memory, 0, sequence, -1, -1)
        rows = [(token, self.shared + i, s, i == len(own) - 1) for s in sequences for i, token in enumerate(own)]
        for start in range(0, len(rows), self.n_batch):
            self._decode(rows[start:start + self.n_batch])
        drawn = [self.lib.llama_sampler_sample(self.sampler, self.ctx, -1)] * together
        first = time.perf_counter()
        for i in range(n - 1):
            self._decode([(token, end + i, s, True) for s, token in zip(sequences, drawn, strict=True)])
            drawn = [self.lib.llama_sampler_sample(self.sampler, self.ctx, row) for row in range(together)]
        done = time.perf_counter()
        for sequence in sequences:
            self.lib.llama_memory_seq_rm(self.memory, sequence, -1, -1)
        return first - began, done - first

    def _decode(self, rows: Sequence[tuple[int, int, int, bool]]) -> None:
        """One llama_decode of rows (token, position, sequence, logits wanted)."""
        batch = self.batch
        for i, (token, place, sequence, wanted) in enumerate(rows):
            batch.token[i], batch.pos[i], batch.seq_id[i][0] = token, place, sequence
            batch.n_seq_id[i], batch.logits[i] = 1, wanted
        batch.n_tokens = len(rows)
        assert self.lib.llama_decode(self.ctx, batch) == 0

    def close(self) -> None:
        """Free what is this loop's own."""
        self.lib.llama_sampler_free(self.sampler)
        self.lib.llama_batch_free(self.batch)
        self.lib.llama_free(self.ctx)


def cells(engine: LlamaEngine) -> int:
    """Distinct KV cells in use, from the state of the whole context: architecture (length, name), streams, cells."""
    lib, ctx = library.llama(), engine.lanes.ctx
    size = lib.llama_state_get_size(ctx)
    state = (ctypes.c_uint8 * size)()
    lib.llama_state_get_data(ctx, state, size)
    at = 4 + int.from_bytes(state[:4], "little") + 4
    return int.from_bytes(state[at:at + 4], "little")
