"""Embedders: one contract for MiniLM and for GGUF files through llama.cpp, and what becomes of a memory whose embedder
changes."""
from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import gguf
import numpy as np
import pytest
from numpy.typing import NDArray

from tests import tiny
from tests.test_e5 import packed
from twin import Twin, e5
from twin.catalog import Catalog, Model
from twin.embedder import MiniLM
from twin.engine.embedding import GGUFEmbedder
from twin.errors import CannotDo, ModelBroken, ModelError, ModelMissing
from twin.fetch import File
from twin.home import Home, cache_dir
from twin.loading import embedder as _embedder
from twin.types import Conversation, Embedder, Message

MINILM = cache_dir() / "models" / "minilm"
TEXTS = ["short", "a somewhat longer text about bread and butter", "Нечто по-русски, ёжик.", "one more " * 40, "",
         "[SEP] <|im_end|> \0", "x " * 300]
SAID = Conversation("c1", (Message("m1", "user", "My puppy chews every shoe in the house."),
                           Message("m2", "user", "The invoices are due on Friday.")))


def gguf_embedder(path: Path, *, trusted: bool = True, **more: Any) -> GGUFEmbedder:
    """On one thread: threads of llama.cpp wait by spinning, which on a busy machine costs tenfold."""
    return GGUFEmbedder(path, trusted=trusted, n_threads=1, **more)


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("embedders")
    packed(folder / "e5.bin")
    e5.convert(folder / "e5.bin", folder / "e5.gguf")
    return {"bert": tiny.embedder(folder / "bert.gguf"),
            "core": tiny.core(folder / "core.gguf"),
            "recurrent": tiny.core(folder / "recurrent.gguf", "qwen35"),
            "e5": folder / "e5.gguf",
            "minilm": _minilm_as_gguf(folder / "minilm-f32.gguf")}


KINDS = ["minilm onnx", "minilm gguf", "bert", "e5", "core, last", "core, mean", "recurrent"]


@pytest.fixture(scope="module", params=KINDS)
def embedder(request: pytest.FixtureRequest, files: dict[str, Path]) -> Iterator[Any]:
    made: MiniLM | GGUFEmbedder
    match request.param:
        case "minilm onnx":
            made = MiniLM(MINILM)
        case "minilm gguf":
            made = gguf_embedder(files["minilm"])
        case "bert":
            made = gguf_embedder(files["bert"], trusted=False)
        case "e5":
            made = gguf_embedder(files["e5"], trusted=False, passage_prefix="passage, ")
        case "core, last":
            made = gguf_embedder(files["core"], pooling="last")
        case "core, mean":
            made = gguf_embedder(files["core"], pooling="mean")
        case _:
            made = gguf_embedder(files["recurrent"], pooling="last")
    yield made
    if isinstance(made, GGUFEmbedder):
        made.close()


# ---- the contract ----------------------------------------------------------------------------------------------------

def test_every_text_gets_a_unit_vector_whatever_it_is(embedder: Any) -> None:
    assert isinstance(embedder, Embedder)
    vectors = np.array(embedder.embed(TEXTS))
    assert vectors.shape == (len(TEXTS), embedder.dim)
    assert np.allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-5)


def test_no_texts_give_no_vectors(embedder: Any) -> None:
    assert embedder.embed([]) == []


def test_a_vector_does_not_depend_on_its_company_or_order(embedder: Any) -> None:
    """Rows added one by one and rows added in bulk meet the same queries. 21 texts make several batches. With weights
    of 4 bits, activations are rounded to 8: a hair's breadth of difference becomes one of 8 bits."""
    texts = TEXTS * 3
    together, reverse = embedder.embed(texts), embedder.embed(texts[::-1])[::-1]
    alone = [embedder.embed([text])[0] for text in TEXTS]
    near = 1e-2 if "e5" in repr(embedder) else 1e-3
    assert np.allclose(together, reverse, atol=near)
    assert np.allclose(together, alone * 3, atol=near)


def test_different_texts_get_different_vectors(embedder: Any) -> None:
    """Else a vector that is always the same would pass everything above."""
    first, second, third = np.array(embedder.embed(["The dog is out.", "Счета на пятницу.", "one more thing"]))
    assert max(first @ second, second @ third, first @ third) < 0.99


def test_what_lies_beyond_the_last_token_does_not_count(embedder: Any) -> None:
    first, second = embedder.embed(["word " * 600 + "alpha", "word " * 600 + "omega"])
    assert np.allclose(first, second, atol=1e-5)


def test_several_threads_get_the_right_vectors(embedder: Any) -> None:
    """The terminal app embeds from workers."""
    expected = embedder.embed(TEXTS)
    got: dict[int, list[list[float]]] = {}
    threads = [threading.Thread(target=lambda i=i: got.update({i: embedder.embed(TEXTS)})) for i in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert all(np.allclose(got[i], expected, atol=1e-3) for i in range(4))


# ---- llama.cpp against ONNX ------------------------------------------------------------------------------------------

def test_minilm_through_llama_cpp_is_minilm(files: dict[str, Path]) -> None:
    """The same weights by two runtimes: tokens, pooling and normalisation are the model's own. 0.999999 was
    measured on the least alike of these; texts with `[SEP]` in them or beyond 256 tokens differ by intent."""
    texts = [
        "My dog needs a walk every morning.", "Each day at dawn I take the puppy out.", "The bill is due on Friday.",
        "I repaired the old car in the garage.", "What shall we cook tonight?", "The train to the coast was late.",
        "She keeps bees behind the house.", "A zebra in the yard.", "Tomatoes want sun, and water in the evening.",
        "I moved the shelf to the other wall.", "He never answers letters.", "It's 7 o'clock; wake up!",
        "Paint the fence (twice).", "Where is the spare key?", "Snow fell on the mountains.", "Two cups of flour.",
        "My sister lives in Porto.", "I am afraid of flying.", "The meeting moved to Monday.", "Я сею горох в марте."]
    through_llama = np.array(gguf_embedder(files["minilm"]).embed(texts))
    through_onnx = np.array(MiniLM(MINILM).embed(texts))
    assert (through_llama * through_onnx).sum(axis=1).min() > 0.999
    assert through_llama[0] @ through_llama[1] > through_llama[0] @ through_llama[2] + 0.3


# ---- the end token of decoders ---------------------------------------------------------------------------------------

def test_an_end_token_is_added_where_the_vocabulary_wants_it_and_survives_the_cut(
        files: dict[str, Path], tmp_path: Path) -> None:
    """Qwen3-Embedding takes the state of the end token; without it the vector is that of the text's last word."""
    with_end = tmp_path / "end.gguf"
    flag, kind = b"tokenizer.ggml.add_%s_token", (7).to_bytes(4, "little")  # GGUF's bool
    data = files["core"].read_bytes()
    assert data.count(flag % b"bos" + kind + b"\0") == 1
    with_end.write_bytes(data.replace(flag % b"bos" + kind + b"\0", flag % b"eos" + kind + b"\1"))
    ended = gguf_embedder(with_end, pooling="last")
    plain = gguf_embedder(files["core"], pooling="last")
    ended.load()
    plain.load()
    assert (plain._tokens("ab"), ended._tokens("ab")) == ([97, 98], [97, 98, tiny.IM_END])
    long = ended._tokens("a" * 3000)
    assert (len(long), long[-1]) == (ended.n_tokens, tiny.IM_END)
    assert not np.allclose(plain.embed(["ab"]), ended.embed(["ab"]), atol=0.1)


def test_control_tokens_in_a_text_stay_text(files: dict[str, Path]) -> None:
    """A message may hold `<|im_end|>`; it must not become the token."""
    core = gguf_embedder(files["core"], pooling="last")
    core.load()
    assert core._tokens("<|im_end|>") == list(b"<|im_end|>")
    assert core._tokens("a\ud800") == list(b"a?")  # half a surrogate pair, as broken exports have them


# ---- what is put before a text ---------------------------------------------------------------------------------------

def test_questions_and_passages_get_the_words_the_model_was_trained_with(files: dict[str, Path]) -> None:
    """E5 without them finds less; a question read as a passage, too."""
    plain = gguf_embedder(files["e5"])
    e5s = gguf_embedder(files["e5"], query_prefix="query, ", passage_prefix="passage, ")
    assert np.allclose(e5s.embed(["the dog"]), plain.embed(["passage, the dog"]), atol=1e-5)
    assert np.allclose(e5s.embed_query(["the dog"]), plain.embed(["query, the dog"]), atol=1e-5)
    assert np.allclose(plain.embed_query(["the dog"]), plain.embed(["the dog"]), atol=1e-5)
    assert not np.allclose(e5s.embed(["the dog"]), e5s.embed_query(["the dog"]), atol=1e-2)


def test_the_id_knows_the_words_that_are_in_the_kept_vectors_and_no_others(files: dict[str, Path]) -> None:
    plain = gguf_embedder(files["e5"]).id
    assert gguf_embedder(files["e5"], query_prefix="query, ").id == plain
    assert gguf_embedder(files["e5"], passage_prefix="passage, ").id != plain


# ---- names -----------------------------------------------------------------------------------------------------------

def test_the_id_tells_files_and_poolings_apart_and_knows_a_copy(files: dict[str, Path], tmp_path: Path) -> None:
    """It is what keeps vectors of two embedders from mixing."""
    other = tiny.embedder(tmp_path / "bert.gguf", seed=1)
    copy = tmp_path / "copy" / "bert.gguf"
    copy.parent.mkdir()
    copy.write_bytes(files["bert"].read_bytes())
    one = gguf_embedder(files["bert"])
    assert one.id.startswith("bert@") and one.id.endswith("-mean")
    assert gguf_embedder(copy).id == one.id
    assert gguf_embedder(other).id != one.id
    assert gguf_embedder(copy, pooling="cls").id == one.id.replace("-mean", "-cls")
    assert gguf_embedder(copy, id="mine").id == "mine"


# ---- faults ----------------------------------------------------------------------------------------------------------

def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(ModelMissing, match=r"nothing\.gguf.*twin models pull"):
        GGUFEmbedder(tmp_path / "nothing.gguf")


@pytest.mark.parametrize("trusted", [True, False])
@pytest.mark.parametrize("content", [b"<html>Not found</html>", b"GGUF", b"GGUF\x03\0\0\0" + bytes(400), None])
def test_a_broken_file_is_named(files: dict[str, Path], tmp_path: Path, content: bytes | None, trusted: bool) -> None:
    path = tmp_path / "broken.gguf"
    whole = files["bert"].read_bytes()
    path.write_bytes(whole[:len(whole) // 2] if content is None else content)
    with pytest.raises(ModelBroken, match=r"broken\.gguf"):
        gguf_embedder(path, trusted=trusted).load()


def test_a_core_is_refused_before_it_gives_vectors_that_mean_nothing(files: dict[str, Path]) -> None:
    with pytest.raises(CannotDo, match=r"core\.gguf is no embedder.*twin models list"):
        gguf_embedder(files["core"]).embed(["text"])


def test_a_closed_embedder_says_so_and_closes_twice(files: dict[str, Path]) -> None:
    closed = gguf_embedder(files["bert"])
    closed.embed(["text"])
    closed.close()
    closed.close()
    with pytest.raises(ModelError, match="closed"):
        closed.embed(["text"])
    never_read = gguf_embedder(files["bert"])
    never_read.close()
    with pytest.raises(ModelError, match="closed"):
        never_read.load()


# ---- a person changes the embedder -----------------------------------------------------------------------------------

def test_a_memory_built_with_one_embedder_goes_on_with_another_and_back(files: dict[str, Path], tmp_path: Path) -> None:
    """Who fetches a better embedder, or removes it, must not lose recall."""
    home = Home(tmp_path / "home")
    bert = gguf_embedder(files["bert"])
    for chosen in (MiniLM(MINILM), bert, None, MiniLM(MINILM)):
        with Twin(home, embedder=chosen) as twin:
            twin.add([SAID])
            assert twin.recall("the puppy and shoes")[0].message_ids == ("m1",)
            status = twin.memory.status()
            assert (status.fits, status.missing) == (True, 0)
            if chosen is not None:
                assert status.embedders == {chosen.id: 2}


def test_a_gguf_embedder_on_this_machine_is_preferred_to_minilm(files: dict[str, Path], tmp_path: Path) -> None:
    def listed(name: str, params: float, *paths: Path) -> Model:
        for path in paths:
            place = tmp_path / name / path.name
            place.parent.mkdir(exist_ok=True)
            place.write_bytes(path.read_bytes())
        return Model(name, "", "embedder", "none", params, params, False, "", True, 512, 0,
                     tuple(File(path.name, path.stat().st_size, None) for path in paths))

    minilm = listed("minilm", 0.023, MINILM / "model.onnx", MINILM / "tokenizer.json")
    assert _embedder(Catalog(tmp_path / "empty", [minilm])) is None
    assert isinstance(_embedder(Catalog(tmp_path, [minilm])), MiniLM)
    both = _embedder(Catalog(tmp_path, [minilm, listed("multilingual", 0.6, files["bert"])]))
    assert isinstance(both, GGUFEmbedder) and both.dim == 32


# ---- MiniLM as GGUF --------------------------------------------------------------------------------------------------

def _minilm_as_gguf(path: Path) -> Path:
    """all-MiniLM-L6-v2 in F32, its weights multiplied out of the int8 ONNX in the user's cache: no download."""
    weights = _initialisers((MINILM / "model.onnx").read_bytes())
    numbers = sorted(int(name[4:-2]) for name in weights if name.startswith("val_") and name.endswith("_q"))
    names = (f"val_{number}" for number in numbers)  # six matrices a layer, numbered in the order they are used
    writer = gguf.GGUFWriter(path, "bert")
    _describe_minilm(writer)

    def add(name: str, value: NDArray[Any]) -> None:
        writer.add_tensor(name, np.ascontiguousarray(value, dtype=np.float32))

    def whole(name: str) -> NDArray[np.float32]:
        wide: NDArray[np.float32] = weights[f"{name}_q"].astype(np.float32) * weights[f"{name}_scale"]
        return wide

    add("token_embd.weight", whole("inner.embeddings.word_embeddings.weight"))
    add("position_embd.weight", whole("inner.embeddings.position_embeddings.weight"))
    add("token_types.weight", weights["inner.embeddings.token_type_embeddings.weight"])
    parts = {"token_embd_norm": "inner.embeddings.LayerNorm"}
    for layer in range(6):
        block, source = f"blk.{layer}", f"inner.encoder.layer.{layer}"
        dense = {"attn_q": "attention.self.query", "attn_k": "attention.self.key", "attn_v": "attention.self.value",
                 "attn_output": "attention.output.dense", "ffn_up": "intermediate.dense", "ffn_down": "output.dense"}
        for name, part in dense.items():
            add(f"{block}.{name}.weight", whole(next(names)).T)
            add(f"{block}.{name}.bias", weights[f"{source}.{part}.bias"])
        parts[f"{block}.attn_output_norm"] = f"{source}.attention.output.LayerNorm"
        parts[f"{block}.layer_output_norm"] = f"{source}.output.LayerNorm"
    for name, part in parts.items():
        add(f"{name}.weight", weights[f"{part}.weight"])
        add(f"{name}.bias", weights[f"{part}.bias"])
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


def _describe_minilm(writer: gguf.GGUFWriter) -> None:
    """Shapes, and the vocabulary as llama.cpp spells it: a piece that begins a word has a U+2581, `##a` is bare."""
    writer.add_context_length(512)
    writer.add_embedding_length(384)
    writer.add_block_count(6)
    writer.add_feed_forward_length(1536)
    writer.add_head_count(12)
    writer.add_layer_norm_eps(1e-12)
    writer.add_causal_attention(False)
    writer.add_pooling_type(gguf.PoolingType.MEAN)
    vocabulary = json.loads((MINILM / "tokenizer.json").read_text("utf-8"))["model"]["vocab"]
    pieces = sorted(vocabulary, key=vocabulary.__getitem__)
    special = {"[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"}
    writer.add_tokenizer_model("bert")
    writer.add_tokenizer_pre("default")
    writer.add_token_list([piece if piece in special else piece[2:] if piece.startswith("##") else f"\u2581{piece}"
                           for piece in pieces])
    writer.add_token_types([gguf.TokenType.CONTROL if piece in special else gguf.TokenType.NORMAL for piece in pieces])
    writer.add_token_type_count(2)


def _initialisers(model: bytes) -> dict[str, NDArray[Any]]:
    """The named arrays of an ONNX file (onnx.proto: ModelProto.graph = 7, GraphProto.initializer = 5)."""
    graph = next(value for number, value in _fields(memoryview(model)) if number == 7)
    found = {}
    for number, tensor in _fields(graph):
        if number != 5:
            continue
        parts = list(_fields(tensor))  # TensorProto: dims = 1, data_type = 2, name = 8, raw_data = 9
        kind = {1: np.float32, 3: np.int8}.get(next(value for number, value in parts if number == 2))
        if kind is not None:
            one = {number: value for number, value in parts if number in (8, 9)}
            shape = [value for number, value in parts if number == 1]
            found[bytes(one[8]).decode()] = np.frombuffer(one[9], kind).reshape(shape)
    return found


def _fields(data: memoryview) -> Iterator[tuple[int, Any]]:
    """(number, value) of each field of a protobuf message: numbers as int, all else as bytes."""
    at = 0

    def varint() -> int:
        nonlocal at
        value = shift = 0
        while True:
            byte = data[at]
            at += 1
            value |= (byte & 127) << shift
            shift += 7
            if byte < 128:
                return value

    while at < len(data):
        key = varint()
        if key & 7 == 0:
            yield key >> 3, varint()
            continue
        size = {1: 8, 5: 4}.get(key & 7) or varint()
        yield key >> 3, data[at:at + size]
        at += size
