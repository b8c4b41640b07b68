"""Facts: what a model file says of itself, read from the loaded model. Knows no context and no verdict."""
from __future__ import annotations

import ctypes
from dataclasses import dataclass, field
from typing import Any

from twin import text
from twin.engine import library


@dataclass(frozen=True)
class Facts:
    """What a model file says of itself. `size_bytes` counts its tensors; `encoder`: it cannot write, or not alone.

    `swa`: tokens of the sliding window, 0 without one. `pooling`: llama_pooling_type, None where the file names none.
    """

    arch: str
    name: str
    n_ctx_train: int
    n_layer: int
    n_embd: int
    n_params: int
    size_bytes: int
    recurrent: bool
    hybrid: bool
    encoder: bool
    diffusion: bool
    experts: int
    experts_used: int
    swa: int
    template: str = field(repr=False)
    pooling: int | None
    bos: str
    eos: str


def facts(model: Any) -> Facts:
    """Facts of a loaded llama_model, from its own functions."""
    lib = library.llama()
    vocab = lib.llama_model_get_vocab(model)
    arch = _meta(model, "general.architecture")

    # llama.cpp calls every model but T5 a decoder, BERT too.
    diffusion = bool(lib.llama_model_is_diffusion(model))
    looks_both_ways = not diffusion and ("bert" in arch or _meta(model, f"{arch}.attention.causal") == "false")

    def number(key: str) -> int | None:
        told = _meta(model, f"{arch}.{key}")
        return int(told) if told.isascii() and told.isdigit() else None

    def spelled(token: int) -> str:
        return lib.llama_vocab_get_text(vocab, token).decode("utf-8", "replace") if token >= 0 else ""

    return Facts(
        arch=arch, name=_meta(model, "general.name"), n_ctx_train=int(lib.llama_model_n_ctx_train(model)),
        n_layer=int(lib.llama_model_n_layer(model)), n_embd=int(lib.llama_model_n_embd(model)),
        n_params=int(lib.llama_model_n_params(model)), size_bytes=int(lib.llama_model_size(model)),
        recurrent=bool(lib.llama_model_is_recurrent(model)), hybrid=bool(lib.llama_model_is_hybrid(model)),
        encoder=bool(lib.llama_model_has_encoder(model)) or not lib.llama_model_has_decoder(model) or looks_both_ways,
        diffusion=diffusion, experts=number("expert_count") or 0,
        experts_used=number("expert_used_count") or 0, swa=int(lib.llama_model_n_swa(model)),
        template=(lib.llama_model_chat_template(model, None) or b"").decode("utf-8", "replace"),
        pooling=number("pooling_type"), bos=spelled(lib.llama_vocab_bos(vocab)),
        eos=spelled(lib.llama_vocab_eos(vocab)))


def _meta(model: Any, key: str) -> str:
    buffer = ctypes.create_string_buffer(1024)
    library.llama().llama_model_meta_val_str(model, key.encode(), buffer, 1024)
    return text.one_line(buffer.value.decode("utf-8", "replace"))
