"""The chain that draws the next token: grammar, penalties, then temperature or the likeliest. One a stream."""
from __future__ import annotations

import ctypes
import random
from collections.abc import Mapping
from typing import Any

from twin.engine import library
from twin.engine.weights import Weights
from twin.errors import UsageError
from twin.types import Sampling


def chain(weights: Weights, sampling: Sampling, schema: Mapping[str, Any] | None) -> Any:
    """A llama.cpp sampler chain, to be freed by the caller. Raises UsageError for a schema without a grammar."""
    lib = library.llama()
    made = lib.llama_sampler_chain_init(lib.llama_sampler_chain_default_params())
    add = lib.llama_sampler_chain_add
    if schema is not None:
        grammar = lib.llama_sampler_init_grammar(weights.vocab, library.grammar(schema), b"root")
        if not grammar:
            lib.llama_sampler_free(made)
            raise UsageError("The schema gives no grammar this engine can follow.", "Simplify the schema.")
        add(made, grammar)
    if sampling.repeat_penalty != 1.0 and schema is None:  # inside JSON, braces and quotes must repeat
        add(made, lib.llama_sampler_init_penalties(weights.n_vocab, 64, sampling.repeat_penalty, 0.0, 0.0))
        # DRY: a run of tokens the answer already has costs more with each token, so lists cannot loop (seen on a
        # 1.5B core at temperature 0.3: one line nine times). No breakers: a repeated line is a repeated run.
        add(made, lib.llama_sampler_init_dry(weights.vocab, 0.8, 1.75, 5, 1024, (ctypes.c_char_p * 1)(), 0))
    if sampling.temperature <= 0:
        add(made, lib.llama_sampler_init_greedy())
        return made
    if sampling.top_k > 0:
        add(made, lib.llama_sampler_init_top_k(sampling.top_k))
    add(made, lib.llama_sampler_init_top_p(sampling.top_p, 1))
    add(made, lib.llama_sampler_init_min_p(sampling.min_p, 1))
    add(made, lib.llama_sampler_init_temp(sampling.temperature))
    seed = sampling.seed if sampling.seed is not None else random.SystemRandom().randrange(1 << 31)
    add(made, lib.llama_sampler_init_dist(seed))
    return made
