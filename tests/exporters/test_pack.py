"""A RAG pack opens in the programs it is for, joins up inside, and names nobody at the public level."""
from __future__ import annotations

import io
import re
from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st
from pyarrow import parquet

from tests.exporters.material import claim, material
from twin.exporters import FORMATS, Exported
from twin.exporters.pack import pack
from twin.memory import windows
from twin.person import Evidence
from twin.types import Message, digest

DAY = datetime(2026, 2, 3, 4, 5, tzinfo=UTC)
LONG = " ".join(f"Sentence number {n} tells how the {n}. beam was cut." for n in range(60))
SAID = {("c1", "m1"): "First the list, then the hammer. И всё.", ("c1", "m2"): LONG,
        ("талк/2", "m1"): "Сначала список, потом молоток. {{ 7*7 }} <|im_end|> ---\n# --> \u2028 | `code`"}


class Letters:
    """An embedder of eight letters, which notes what it was given."""

    id, dim = "letters/8", 8

    def __init__(self) -> None:
        self.seen: list[str] = []

    def embed(self, texts: Sequence[str]) -> list[list[float]]:
        self.seen += texts
        counts = [[text.count(letter) + 0.01 for letter in "aeiouстн"] for text in texts]
        return [[one / sum(x * x for x in row) ** 0.5 for one in row] for row in counts]


def said() -> Iterator[tuple[str, Message]]:
    for (conversation, name), text in SAID.items():
        yield conversation, Message(name, "user", text, time=None if name == "m2" else DAY, source="chatgpt")


def quoting(id: str, text: str, key: tuple[str, str], quote: str, **others: Any) -> Any:
    start = SAID[key].index(quote)
    return replace(claim(id, text), evidence=(Evidence(quote, *key, start, start + len(quote), DAY),), **others)


CLAIMS = (quoting("order-first", "You put things in order first.", ("c1", "m1"), "First the list, then the hammer."),
          quoting("free.1", "Ты начинаешь со списка.", ("талк/2", "m1"), "Сначала список, потом молоток.",
                  origin="core", counter=(Evidence("Sentence number 0", "c1", "m2", 0, 17, None),)))


def made(**others: Any) -> Exported:
    return pack(material(CLAIMS, **{"said": said, "embedder": Letters(), **others}), 0)


def table(exported: Exported, name: str) -> Any:
    return parquet.read_table(io.BytesIO(bytes(exported.files[f"data/{name}-00000-of-00001.parquet"])))  # type: ignore[arg-type]


def matter(exported: Exported) -> dict[str, Any]:
    return dict(yaml.safe_load(exported.text.split("---\n")[1]))


def written(exported: Exported, folder: Path) -> Path:
    for name, content in exported.files.items():
        place = folder / name
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(content.encode() if isinstance(content, str) else content)  # type: ignore[arg-type]
    return folder


def test_the_passages_are_the_messages_in_the_columns_of_the_format() -> None:
    passages = table(made(), "passages")
    assert {field.name: str(field.type) for field in passages.schema} == {
        "id": "string", "text": "string", "role": "string", "source_kind": "string", "conv_id": "string",
        "created_at": "timestamp[us, tz=UTC]", "lang": "string", "claim_ids": "list<element: string>",
        "sensitivity": "string"}
    rows = passages.to_pylist()
    assert [row["text"] for row in rows] == list(SAID.values())
    assert [row["created_at"] for row in rows] == [DAY, None, DAY]
    assert [(row["conv_id"], row["lang"]) for row in rows] == [("c1", "en"), ("c1", "en"), ("талк/2", "ru")]
    assert [row["claim_ids"] for row in rows] == [["order-first"], [], ["free.1"]]
    assert len({row["id"] for row in rows}) == 3
    assert {(row["role"], row["source_kind"], row["sensitivity"]) for row in rows} == {("user", "chatgpt", "private")}


def test_every_quote_stands_where_its_passage_has_it_and_every_id_is_of_a_row() -> None:
    exported = made()
    passages = {row["id"]: row for row in table(exported, "passages").to_pylist()}
    claims = {row["id"]: row for row in table(exported, "claims").to_pylist()}
    evidence = table(exported, "evidence").to_pylist()

    assert claims["free.1"] == {"id": "free.1", "kind": "thinking", "text": "Ты начинаешь со списка.",
                                "authority": "inferred", "confidence": 0.5, "language": "en", "origin": "core"}
    assert [(one["claim_id"], one["supports"]) for one in evidence] == [
        ("order-first", True), ("free.1", True), ("free.1", False)]
    for one in evidence:
        assert passages[one["passage_id"]]["text"][one["start"]:one["end"]] == one["quote"]
        assert digest(one["quote"]) == one["hash"]
        assert one["claim_id"] in claims


def test_the_vectors_cover_every_passage_and_say_whose_they_are() -> None:
    exported = made()
    vectors = table(exported, "embeddings")
    texts = {row["id"]: row["text"] for row in table(exported, "passages").to_pylist()}
    pieces: dict[str, list[str]] = {}
    for row in vectors.to_pylist():
        assert sum(x * x for x in row["vector"]) == pytest.approx(1, abs=1e-6)
        pieces.setdefault(row["passage_id"], []).append(texts[row["passage_id"]][row["start"]:row["end"]])

    assert str(vectors.schema.field("vector").type) == "fixed_size_list<element: float>[8]"
    assert vectors.schema.metadata == {b"embedder": b"letters/8", b"dim": b"8", b"normalised": b"true"}
    assert pieces == {name: windows(text) for name, text in texts.items()}
    assert max(map(len, pieces.values())) > 1


def test_the_readme_is_strict_yaml_that_names_the_tables_and_no_other_file() -> None:
    exported = made()
    configs = matter(exported)["configs"]

    assert [one["config_name"] for one in configs] == ["passages", "claims", "evidence", "embeddings"]
    assert [one.get("default") for one in configs] == [True, None, None, None]
    paths = {split["path"] for one in configs for split in one["data_files"]}
    assert paths | {"README.md", "twin.jsonl"} == exported.files.keys()
    assert re.search(r"^<!-- twin-core id=[0-9a-f]{12} profile=[0-9a-f]{12} roles=[0-9a-f]{12} level=private "
                     r"language=en -->$", exported.text, re.MULTILINE)


@pytest.mark.parametrize("language", ["en", "ru"])
def test_what_the_readme_says_to_type_works(language: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    exported = made(language=language, name="# [x](http://a) {{ 1 }}")
    monkeypatch.chdir(written(exported, tmp_path))
    blocks = re.findall(r"```python\n(.*?)```", exported.text, re.DOTALL)
    ran: list[dict[str, Any]] = [{}, {}]
    for block, names in zip(blocks[1:], ran, strict=True):  # `datasets`, in the first, is not installed here
        exec(block, names)  # noqa: S102 - our own README

    assert len(blocks) == 3
    assert [row["text"] for row in ran[0]["passages"]] == list(SAID.values())
    assert ran[1]["found"][0] == SAID["c1", "m1"]
    assert r"\# \[x\]" in exported.text


def test_without_an_embedder_there_are_no_vectors_and_the_pack_says_so() -> None:
    exported = made(embedder=None)

    assert [one["config_name"] for one in matter(exported)["configs"]] == ["passages", "claims", "evidence"]
    assert not [name for name in exported.files if "embeddings" in name]
    assert "no vectors" in exported.text
    assert len(exported.notes) == 1


def test_a_public_pack_is_made_of_hidden_words_only() -> None:
    """The vectors too: from them the original could be guessed."""
    embedder, names = Letters(), {"c1": "c1", "талк/2": "c2"}

    def hide(text: str) -> str:
        return text.replace("hammer", "[name]").replace("молоток", "[имя]")

    told = tuple(replace(one, evidence=tuple(
        replace(quote, quote=hide(quote.quote), conversation=names[quote.conversation]) for quote in one.evidence))
        for one in CLAIMS)
    exported = pack(material(told, level="public", said=said, hide=hide, embedder=embedder,
                             place=lambda conversation, message: (names[conversation], message)), 0)
    spoken = "\n".join(exported.spoken)

    for words in ("hammer", "молоток", "талк"):
        assert not [text for text in embedder.seen if words in text]
        assert words not in spoken
        assert not [name for name, content in exported.files.items()
                    if words.encode() in (content.encode() if isinstance(content, str) else content)]  # type: ignore[operator]
        assert words not in str([table(exported, name).to_pylist() for name in ("passages", "claims", "evidence")])
    assert "twin.jsonl" not in exported.files
    passages = {row["id"]: row for row in table(exported, "passages").to_pylist()}
    for one in table(exported, "evidence").to_pylist()[:2]:
        assert passages[one["passage_id"]]["text"][one["start"]:one["end"]] == one["quote"]
    assert {row["sensitivity"] for row in passages.values()} == {"public"}


def test_a_quote_whose_message_is_not_there_has_no_place() -> None:
    lost = material((claim("order-first", "x", quote="never said"),), said=said)

    (row,) = table(pack(lost, 0), "evidence").to_pylist()
    assert (row["passage_id"], row["start"], row["end"], row["quote"]) == (None, None, None, "never said")


def test_ids_that_look_alike_stay_apart() -> None:
    same = material((), said=lambda: iter([("a/b", Message("c", "user", "one")), ("a", Message("b/c", "user", "two"))]))

    assert len({row["id"] for row in table(pack(same, 0), "passages").to_pylist()}) == 2


def test_an_empty_core_gives_an_empty_pack() -> None:
    exported = pack(material((), embedder=Letters()), 0)

    assert [table(exported, one["config_name"]).num_rows for one in matter(exported)["configs"]] == [0, 0, 0, 0]


@settings(max_examples=25)
@given(st.lists(st.text(st.characters(exclude_categories=["Cs"]), min_size=1), max_size=5))
def test_any_text_comes_out_of_the_tables_as_it_went_in(texts: list[str]) -> None:
    messages = [("c", Message(f"m{n}", "user", text)) for n, text in enumerate(texts)]
    exported = pack(material((), said=lambda: iter(messages), embedder=Letters()), 0)

    assert [row["text"] for row in table(exported, "passages").to_pylist()] == texts


def test_the_format_is_listed_as_a_folder_for_both_levels() -> None:
    assert FORMATS["pack"](material(CLAIMS, said=said)).text.startswith("---\nconfigs:")
    assert (FORMATS["pack"].folder, FORMATS["pack"].levels) == (True, ("private", "public"))
