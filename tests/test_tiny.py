"""The tiny files other tests stand on are what they claim to be, seen through llama.cpp's own functions."""
from __future__ import annotations

import ctypes
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import gguf
import numpy as np
import pytest

from tests import tiny
from twin.engine import library

FAMILIES = ["qwen2", "llama", "qwen3", "qwen3moe", "qwen35"]
PROMPT = b"Hello there, how are you?"


class Core:
    """A loaded file with one context of two sequences."""

    def __init__(self, path: Path, embeddings: bool = False) -> None:
        self.api: Any = library.llama()
        library.forget_log()
        self.model = self.api.llama_model_load_from_file(str(path).encode(), self.api.llama_model_default_params())
        assert self.model, library.reason()
        params = self.api.llama_context_default_params()
        params.n_ctx, params.n_seq_max, params.kv_unified = 256, 2, True
        params.n_threads = params.n_threads_batch = 1
        params.embeddings = embeddings
        self.context = self.api.llama_init_from_model(self.model, params)
        self.memory = self.api.llama_get_memory(self.context)
        self.vocab = self.api.llama_model_get_vocab(self.model)

    def close(self) -> None:
        self.api.llama_free(self.context)
        self.api.llama_model_free(self.model)

    def tokens(self, text: str, special: bool = False) -> list[int]:
        data, room = text.encode(), (self.api.llama_token * 256)()
        return list(room[:self.api.llama_tokenize(self.vocab, data, len(data), room, 256, special, special)])

    def decode(self, tokens: Sequence[int]) -> None:
        array = (self.api.llama_token * len(tokens))(*tokens)
        assert self.api.llama_decode(self.context, self.api.llama_batch_get_one(array, len(tokens))) == 0

    def logits(self, tokens: Sequence[int]) -> tiny.Tensor:
        self.decode(tokens)
        values: tiny.Tensor = np.ctypeslib.as_array(self.api.llama_get_logits_ith(self.context, -1), (260,))
        return values.copy()

    def greedy(self, prompt: bytes = PROMPT, length: int = 40) -> bytes:
        """What it writes after `prompt`, read cold."""
        self.api.llama_memory_clear(self.memory, True)
        written = [int(self.logits(list(prompt)).argmax())]
        while len(written) < length:
            written.append(int(self.logits(written[-1:]).argmax()))
        return bytes(written)

    def cold(self, prompt: bytes = PROMPT) -> tiny.Tensor:
        self.api.llama_memory_clear(self.memory, True)
        return self.logits(list(prompt))

    def adapter(self, path: Path) -> Any:
        library.forget_log()
        found = self.api.llama_adapter_lora_init(self.model, str(path).encode())
        assert found, library.reason()
        return found

    def wear(self, adapter: Any = None, scale: float = 1.0) -> None:
        """Put an adapter on; without one, take all off."""
        array = (self.api.llama_adapter_lora_p_ctypes * 1)(adapter) if adapter else None
        scales = (ctypes.c_float * 1)(scale) if adapter else None
        assert self.api.llama_set_adapters_lora(self.context, array, int(bool(adapter)), scales) == 0

    def metadata(self, key: str) -> str:
        room = ctypes.create_string_buffer(512)
        length = self.api.llama_model_meta_val_str(self.model, key.encode(), room, 512)
        return room.value.decode() if length >= 0 else ""


@contextmanager
def loaded(path: Path, embeddings: bool = False) -> Iterator[Core]:
    assert path.stat().st_size < 1_000_000, "a tiny file is tiny"
    opened = Core(path, embeddings)
    try:
        yield opened
    finally:
        opened.close()


@pytest.mark.parametrize("arch", FAMILIES)
def test_the_same_seed_makes_the_same_file_and_another_seed_another_core(tmp_path: Path, arch: str) -> None:
    """A test that fails on a random core must fail again tomorrow."""
    first, again = tiny.core(tmp_path / "1.gguf", arch, seed=1), tiny.core(tmp_path / "2.gguf", arch, seed=1)
    other = tiny.core(tmp_path / "3.gguf", arch, seed=2)
    assert first.read_bytes() == again.read_bytes()
    with loaded(first) as one, loaded(again) as two, loaded(other) as three:
        assert np.array_equal(one.cold(), two.cold())
        assert not np.allclose(one.cold(), three.cold(), atol=0.5)


@pytest.mark.parametrize("arch", FAMILIES)
def test_a_core_writes_printable_text_that_depends_on_what_it_read(tmp_path: Path, arch: str) -> None:
    """A core that repeats one letter, or looks at its last token only, would let a lost prefix pass unseen."""
    with loaded(tiny.core(tmp_path / "core.gguf", arch)) as core:
        logits = core.cold()
        assert np.isfinite(logits).all() and logits.std() > 1
        text = core.greedy()
        assert text.isascii() and text.decode().isprintable() and len(set(text)) > 8
        assert text != core.greedy(b"Hallo" + PROMPT[5:]), "one letter, 24 tokens back"


def test_a_token_is_its_byte_and_control_tokens_are_found_only_on_request(tmp_path: Path) -> None:
    """Tests may write prompts as bytes; a person's `<|im_end|>` stays text, as with a real core."""
    with loaded(tiny.core(tmp_path / "core.gguf", template="{{ messages }}", n_ctx_train=512)) as core:
        text = "Привет<|im_end|>\n"
        assert core.tokens(text) == list(text.encode())
        assert core.tokens(text, special=True) == [*"Привет".encode(), tiny.IM_END, 10]
        assert core.api.llama_vocab_is_eog(core.vocab, tiny.IM_END)
        assert core.api.llama_vocab_is_control(core.vocab, tiny.IM_START)
        assert core.metadata("tokenizer.chat_template") == "{{ messages }}"
        assert core.api.llama_model_n_ctx_train(core.model) == 512


def test_a_core_that_ends_writes_its_end_token_sooner_or_later(tmp_path: Path) -> None:
    """Both ways an answer can end, by itself and at its limit, can be tested."""
    def written(ends: bool) -> set[int]:
        with loaded(tiny.core(tmp_path / "core.gguf", ends=ends)) as core:
            return {int(core.cold(PROMPT + bytes([letter])).argmax()) for letter in range(256)}

    assert tiny.IM_END in written(ends=True)
    assert tiny.IM_END not in written(ends=False)


def test_only_the_hybrid_says_hybrid_and_cannot_forget_its_last_tokens(tmp_path: Path) -> None:
    """A recurrent state has no cells to drop: the engine must know before it rewinds."""
    for arch in FAMILIES:
        with loaded(tiny.core(tmp_path / f"{arch}.gguf", arch)) as core:
            core.cold()
            hybrid = arch == "qwen35"
            assert bool(core.api.llama_model_is_hybrid(core.model)) is hybrid
            assert bool(core.api.llama_memory_seq_rm(core.memory, 0, len(PROMPT) - 1, -1)) is not hybrid


def test_a_hybrid_remembers_in_its_recurrent_layer_too(tmp_path: Path) -> None:
    """With a dead recurrent layer the hybrid would be an ordinary core under another name."""
    with loaded(tiny.core(tmp_path / "core.gguf", "qwen35")) as core:
        core.cold(b"A" * 24)
        recurrent_only = core.api.LLAMA_STATE_SEQ_FLAGS_PARTIAL_ONLY
        size = core.api.llama_state_seq_get_size_ext(core.context, 0, recurrent_only)
        state = (ctypes.c_uint8 * size)()
        assert core.api.llama_state_seq_get_data_ext(core.context, state, size, 0, recurrent_only) == size
        core.cold(b"B" * 24)
        after_b = core.logits(b"?")
        core.cold(b"B" * 24)
        assert core.api.llama_state_seq_set_data_ext(core.context, state, size, 0, recurrent_only) == size
        assert np.abs(core.logits(b"?") - after_b).mean() > 0.1, "attention saw B, the recurrent layer A"


def test_a_mixture_of_experts_counts_its_experts(tmp_path: Path) -> None:
    with loaded(tiny.core(tmp_path / "core.gguf", "qwen3moe", n_expert=6)) as core:
        assert core.metadata("qwen3moe.expert_count") == "6"
        assert core.metadata("qwen3moe.expert_used_count") == "2"


@pytest.mark.parametrize("arch", FAMILIES)
def test_an_adapter_changes_what_is_written_and_taking_it_off_restores_it_exactly(tmp_path: Path, arch: str) -> None:
    """An adapter test passes for the wrong reason if the adapter does nothing, or never comes off."""
    base = tiny.core(tmp_path / "core.gguf", arch)
    with loaded(base) as core:
        plain, text = core.cold(), core.greedy()
        adapter = core.adapter(tiny.adapter(tmp_path / "adapter.gguf", base))
        core.wear(adapter)
        assert np.abs(core.cold() - plain).mean() > 0.3 and core.greedy() != text
        core.wear(adapter, scale=0.5)
        assert not np.array_equal(core.cold(), plain)
        core.wear()
        assert np.array_equal(core.cold(), plain)


def test_adapters_of_two_seeds_differ_and_need_no_file_where_the_shapes_are_known(tmp_path: Path) -> None:
    """Reading a real core's header takes seconds (a large vocabulary), writing its shapes down takes none."""
    base = tiny.core(tmp_path / "core.gguf")
    known = tiny.attention("qwen2", n_layer=2, n_embd=32, n_q=32, n_v=16)
    one = tiny.adapter(tmp_path / "1.gguf", base, seed=1).read_bytes()
    assert tiny.adapter(tmp_path / "2.gguf", known, seed=1).read_bytes() == one
    assert tiny.adapter(tmp_path / "3.gguf", known, seed=2).read_bytes() != one


def test_an_activated_adapter_tells_its_invocation_tokens_and_a_plain_one_has_none(tmp_path: Path) -> None:
    base = tiny.core(tmp_path / "core.gguf")
    with loaded(base) as core:
        count, first = (getattr(core.api, f"llama_adapter_get_alora_{name}") for name in
                        ("n_invocation_tokens", "invocation_tokens"))
        activated = core.adapter(tiny.adapter(tmp_path / "a.gguf", base, "alora", invocation=[tiny.IM_START, 65, 10]))
        assert first(activated)[:count(activated)] == [tiny.IM_START, 65, 10]
        assert count(core.adapter(tiny.adapter(tmp_path / "b.gguf", base))) == 0


def test_a_control_vector_steers_and_letting_go_restores_exactly(tmp_path: Path) -> None:
    file = tiny.control_vector(tmp_path / "vector.gguf", n_layer=3, strength=2.0)
    reader = gguf.GGUFReader(file)
    assert reader.fields["general.architecture"].contents() == "controlvector"
    assert [tensor.name for tensor in reader.tensors] == ["direction.1", "direction.2"]
    data = np.concatenate([tensor.data for tensor in reader.tensors]).astype(np.float32)
    with loaded(tiny.core(tmp_path / "core.gguf", n_layer=3)) as core:
        plain = core.cold()
        steer = core.api.llama_set_adapter_cvec
        assert steer(core.context, data.ctypes.data_as(ctypes.POINTER(ctypes.c_float)), len(data), 32, 1, 2) == 0
        assert np.abs(core.cold() - plain).mean() > 0.3
        assert steer(core.context, None, 0, 32, 1, 2) == 0
        assert np.array_equal(core.cold(), plain)


def test_an_embedder_puts_like_words_near_and_unlike_words_far(tmp_path: Path) -> None:
    """Random weights still see letters: enough to test that a vector belongs to its text."""
    with loaded(tiny.embedder(tmp_path / "embedder.gguf"), embeddings=True) as core:
        assert core.metadata("bert.pooling_type") == "1"

        def embed(text: str) -> tiny.Tensor:
            tokens = core.tokens(text, special=True)
            assert 1 not in tokens, "no [UNK]"
            core.decode(tokens)
            pooled = core.api.llama_get_embeddings_seq(core.context, 0)
            vector: tiny.Tensor = np.ctypeslib.as_array(pooled, (32,)).copy()
            vector /= np.linalg.norm(vector)
            return vector

        hello, loud, russian = embed("Hello, world"), embed("HELLO, world!"), embed("Привет, как дела 12?")
        assert np.array_equal(hello, embed("Hello, world"))
        assert hello @ loud > 0.9 > 0.7 > hello @ russian
