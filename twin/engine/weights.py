"""Weights: one GGUF in memory with its vocabulary, and the adapters that are loaded over it.

Adapters load on first use and stay until `unload`; they are known by the sha256 of their file, so a renamed file is
the same adapter and a changed one is another. Knows no context, no prompt and no role.
"""
from __future__ import annotations

import ctypes
import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from twin.engine import control, devices, library
from twin.engine.facts import facts
from twin.engine.trial import refuse, sha256_of, trial
from twin.errors import CannotDo, ModelBroken, ModelError, ModelMissing, UsageError
from twin.placement import Placement
from twin.types import Adapter

Key = tuple[tuple[str, float], ...]
"""Which weights read a run of tokens: (sha256, scale) of each adapter, sorted; () is the base alone."""

BASE: Key = ()


@dataclass(frozen=True)
class Loaded:
    """An adapter in memory. `invocation`: the tokens from which an activated LoRA acts."""

    sha256: str
    kind: Literal["lora", "alora", "control"]
    invocation: tuple[int, ...] = ()
    handle: Any = field(default=None, repr=False)
    directions: NDArray[np.float32] | None = field(default=None, repr=False)


class Weights:
    """A loaded GGUF. Raises ModelMissing, ModelBroken, CannotDo for a file that is no core that can answer.

    experts: active experts a token of a mixture, None for what the file says.
    """

    def __init__(self, path: Path, placement: Placement, *, experts: int | None = None) -> None:
        self._l = library.llama()
        self.path = path
        self.model: Any = None
        params = self._l.llama_model_default_params()
        self._alive = devices.apply(placement, params, None)
        if experts is not None:
            self._alive.append(self._override_experts(params, experts))
        self.model = self._load(params)
        self.layers = library.assigned()  # the device of each layer, as the loader told
        self.facts = facts(self.model)
        if self.facts.encoder or self.facts.diffusion:
            self.close()
            kind = "a diffusion model" if self.facts.diffusion else "an encoder, without a decoder that answers"
            raise CannotDo(f"{path.name} is {kind}.", "Choose a core: `twin models list`.")
        self.vocab = self._l.llama_model_get_vocab(self.model)
        self.n_vocab = int(self._l.llama_vocab_n_tokens(self.vocab))
        self._loaded: dict[str, Loaded] = {}
        self._known: dict[str, str] = {}  # path as it was given -> sha256 at the last look

    def _load(self, params: Any) -> Any:
        library.forget_log()
        model = self._l.llama_model_load_from_file(os.fsencode(self.path), params)
        if not model:
            raise ModelBroken(f"{self.path.name} cannot be loaded: {library.reason()}.",
                              "It may be truncated: run `twin models check`, then fetch it again.")
        return model

    def _override_experts(self, params: Any, experts: int) -> Any:
        """Set `<arch>.expert_used_count`; the header alone is read first, to know the architecture and the limit."""
        look = self._l.llama_model_default_params()
        look.vocab_only = True
        model = self._load(look)
        says = facts(model)
        self._l.llama_model_free(model)
        if not says.experts:
            raise CannotDo(f"{self.path.name} is no mixture of experts.", "Leave `experts` unset for this core.")
        if not 1 <= experts <= says.experts:
            raise UsageError(f"{experts} active experts were asked for; {self.path.name} has {says.experts}.",
                             f"Choose from 1 to {says.experts}; it was trained with {says.experts_used}.")
        override = (self._l.llama_model_kv_override * 2)()
        override[0].tag = self._l.LLAMA_KV_OVERRIDE_TYPE_INT
        override[0].key = f"{says.arch}.expert_used_count".encode()
        override[0].value.val_i64 = experts
        params.kv_overrides = override
        return override

    @property
    def native_context(self) -> int:
        """Tokens the core was first trained for, before any stretching its header asks for."""
        buffer = ctypes.create_string_buffer(64)
        key = f"{self.facts.arch}.rope.scaling.original_context_length".encode()
        n = self._l.llama_model_meta_val_str(self.model, key, buffer, 64)
        return int(buffer.value) if n > 0 and buffer.value.isdigit() else self.facts.n_ctx_train

    def close(self) -> None:
        """Free the weights and all adapters over them."""
        if self.model:
            self._l.llama_model_free(self.model)
            self.model, self._loaded = None, {}

    # ---- tokens ------------------------------------------------------------------------------------------------

    def tokenize(self, text: str, *, special: bool = False) -> list[int]:
        """Token ids of a text; with special=False `<|im_end|>` inside it stays ordinary pieces of text."""
        if not self.model:
            raise ModelError("The engine is closed.", "Open the twin again.")
        data = text.encode("utf-8", "replace")
        room = len(data) + 8
        ids = (self._l.llama_token * room)()
        n = self._l.llama_tokenize(self.vocab, data, len(data), ids, room, False, special)
        if n < 0:
            raise ModelError(f"The tokenizer of {self.path.name} refused a text of {len(data)} bytes.", "Shorten it.")
        return list(ids[:n])

    def piece(self, token: int) -> bytes:
        """The bytes a token spells; a control token spells nothing."""
        size = 64
        while True:
            buffer = ctypes.create_string_buffer(size)
            n = self._l.llama_token_to_piece(self.vocab, token, buffer, size, 0, False)
            if n >= 0:
                return buffer.raw[:n]
            size = -n

    def ends(self, token: int) -> bool:
        """Whether a token ends an answer."""
        return bool(self._l.llama_vocab_is_eog(self.vocab, token))

    def is_control(self, token: int) -> bool:
        """Whether a token is no text but a control token."""
        return bool(self._l.llama_vocab_is_control(self.vocab, token))

    # ---- adapters ----------------------------------------------------------------------------------------------

    def adapter(self, wanted: Adapter) -> Loaded:
        """The adapter in memory, loaded now if it was not. Raises ModelMissing, ModelBroken with the loader's reason.

        An unknown file is first tried in a child process. A file that was loaded and then renamed stays loaded.
        """
        path = Path(wanted.path)
        if path.is_file():
            self._known[wanted.path] = sha256_of(path)
        sha256 = self._known.get(wanted.path, "")
        if sha256 not in self._loaded:
            if not path.is_file():
                raise ModelMissing(f"There is no adapter at {path}.", "Name the file it was moved to.")
            loaded = self._load_adapter(path, sha256, wanted.kind)
            self._loaded[sha256] = loaded
        loaded = self._loaded[sha256]
        if "auto" != wanted.kind != loaded.kind and (wanted.kind == "control" or loaded.kind == "control"):
            raise UsageError(f"{path.name} is a {loaded.kind} adapter, not a {wanted.kind}.", "Use kind='auto'.")
        return loaded

    def _load_adapter(self, path: Path, sha256: str, kind: str) -> Loaded:
        refuse(path, trial(path, adapter_of=self.path))
        if kind == "control" or control.is_control(path):
            return Loaded(sha256, "control", directions=control.read(path, self.facts.n_embd, self.facts.n_layer))
        library.forget_log()
        handle = self._l.llama_adapter_lora_init(self.model, os.fsencode(path))
        if not handle:  # a NULL pointer object is not None
            raise ModelBroken(f"{path.name} cannot be used with {self.path.name}: {library.reason()}.",
                              "An adapter fits only the core it was trained on.")
        n = int(self._l.llama_adapter_get_alora_n_invocation_tokens(handle))
        invocation = self._l.llama_adapter_get_alora_invocation_tokens(handle) if n else ()
        return Loaded(sha256, "alora" if n else "lora", tuple(int(invocation[i]) for i in range(n)), handle)

    def unload(self, sha256: str) -> None:
        """Free one adapter; the base stays. The caller has dropped what was read with it."""
        loaded = self._loaded.pop(sha256, None)
        if loaded is not None and loaded.handle:
            self._l.llama_adapter_lora_free(loaded.handle)

    @property
    def loaded(self) -> tuple[str, ...]:
        """sha256 of each adapter in memory."""
        return tuple(self._loaded)

    def apply(self, context: Any, key: Key) -> None:
        """Switch a context to the weights of a key. Scales are part of the call: nothing is reloaded."""
        if gone := [sha256 for sha256, _ in key if sha256 not in self._loaded]:
            raise ModelError(f"The adapter {gone[0][:12]} was unloaded meanwhile.", "Ask again.")
        chosen = [(self._loaded[sha256], scale) for sha256, scale in key]
        loras = [(one.handle, scale) for one, scale in chosen if one.handle]
        handles = (self._l.llama_adapter_lora_p_ctypes * max(len(loras), 1))(*(handle for handle, _ in loras))
        scales = (ctypes.c_float * max(len(loras), 1))(*(scale for _, scale in loras))
        failed = self._l.llama_set_adapters_lora(context, handles, len(loras), scales)
        vectors: Sequence[NDArray[np.float32]] = [one.directions * scale for one, scale in chosen
                                                  if one.directions is not None]
        if vectors:
            data = np.ascontiguousarray(sum(vectors), dtype=np.float32)
            pointer = data.ctypes.data_as(ctypes.POINTER(ctypes.c_float))
            failed = failed or self._l.llama_set_adapter_cvec(context, pointer, data.size, self.facts.n_embd, 1,
                                                              self.facts.n_layer)
        else:
            failed = failed or self._l.llama_set_adapter_cvec(context, None, 0, 0, 0, 0)
        if failed:
            raise ModelError(f"The adapters could not be switched on ({library.reason()}).", "Ask without them.")
