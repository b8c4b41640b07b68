"""Memory on a real LanceDB in a temporary folder: what goes in is found, by words in two languages and by meaning."""
from __future__ import annotations

import os
import resource
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from twin.embedder import MiniLM
from twin.errors import HomeError, HomeFull, UsageError
from twin.home import cache_dir
from twin.memory import Memory, windows
from twin.types import Message, Recalled

TALK = [
    ("c1", Message("m1", "user", "Я починил старую машину в гараже.", time=datetime(2024, 3, 5, tzinfo=UTC))),
    ("c1", Message("m2", "assistant", "Отличная работа, что дальше?")),
    ("c1", Message("m3", "user", "Дальше хочу покрасить забор.")),
    ("c2", Message("m1", "user", "My puppy chews every shoe in the house.", author="Nora")),
    ("c2", Message("m2", "assistant", "Give it a toy.")),
    ("c3", Message("m9", "user", "The invoices are due on Friday.")),
]


class Axes:
    """A tiny embedder with known vectors: one axis for animals, one for money, one for all else."""

    def __init__(self, name: str = "axes", dim: int = 3) -> None:
        self.id, self.dim, self.texts = name, dim, list[str]()

    def embed(self, texts: Sequence[str]) -> list[list[float]]:
        self.texts += texts
        return [[float(axis == (0 if any(w in text for w in ("puppy", "dog", "animal")) else
                                1 if any(w in text for w in ("invoice", "money", "pay")) else 2))
                 for axis in range(self.dim)] for text in texts]


@pytest.fixture
def memory(tmp_path: Path) -> Memory:
    made = Memory(tmp_path / "memory", None)
    made.add(TALK)
    return made


def keys(found: list[Recalled]) -> list[tuple[str, str]]:
    return [(hit.conversation, hit.message_ids[0]) for hit in found]


# ---- finding ---------------------------------------------------------------------------------------------------------

def test_words_are_found_in_any_form_in_both_languages(memory: Memory) -> None:
    assert keys(memory.recall("о машине"))[0] == ("c1", "m1")
    assert keys(memory.recall("покраска заборов? заборы"))[0] == ("c1", "m3")
    assert keys(memory.recall("an invoice"))[0] == ("c3", "m9")
    assert keys(memory.recall("what did Nora say?"))[0] == ("c2", "m1")


def test_ids_text_role_time_and_reason_come_back_as_given(memory: Memory) -> None:
    best = memory.recall("старая машина")[0]
    assert best.message_ids == ("m1",)
    assert best.text == "Я починил старую машину в гараже."
    assert (best.role, best.time) == ("user", datetime(2024, 3, 5, tzinfo=UTC))
    assert best.why == "words: старая, машина; by words only: no embedder; 2024-03-05"
    assert 0.4 < best.score <= 1


def test_yo_is_ye(memory: Memory) -> None:
    memory.add([("c4", Message("m1", "user", "Ёлка стоит в углу."))])
    assert keys(memory.recall("елка"))[0] == ("c4", "m1")


def test_nothing_found_is_an_empty_list_and_an_empty_store_too(memory: Memory, tmp_path: Path) -> None:
    assert memory.recall("квантовая хромодинамика") == []
    assert memory.recall("?! 🙂") == []
    assert Memory(tmp_path / "none", None).recall("anything") == []
    assert Memory(tmp_path / "none", None).count() == 0
    assert not (tmp_path / "none").exists()


def test_a_question_of_function_words_alone_still_looks_for_them(memory: Memory) -> None:
    assert ("c1", "m2") in keys(memory.recall("что?"))


def test_meaning_finds_what_shares_no_word(tmp_path: Path) -> None:
    memory = Memory(tmp_path, Axes())
    memory.add(TALK)
    best = memory.recall("any animals around?")[0]
    assert (best.conversation, best.message_ids) == ("c2", ("m1",))
    assert best.why.startswith("no word in common; meaning 1.00")


def test_a_match_lifts_its_neighbours_but_never_above_itself(memory: Memory) -> None:
    found = memory.recall("puppy")
    assert keys(found) == [("c2", "m1"), ("c2", "m2")]
    assert found[0].score > found[1].score
    assert "next to a message that matches better" in found[1].why


def test_neighbours_are_of_the_same_conversation(memory: Memory) -> None:
    """c3 was stored right after c2 and must not profit from it."""
    assert all(conversation == "c2" for conversation, _ in keys(memory.recall("toy")))


def test_filters_leave_out_what_is_not_own_and_whole_conversations(memory: Memory) -> None:
    assert keys(memory.recall("puppy toy", own=True)) == [("c2", "m1")]
    assert keys(memory.recall("puppy toy", own=False)) == [("c2", "m2")]
    assert memory.recall("puppy toy", exclude={"c2"}) == []
    assert memory.recall("puppy toy", exclude={"x' OR 1=1 --"}) != []


def test_fewer_than_one_memory_cannot_be_asked_for(memory: Memory) -> None:
    with pytest.raises(UsageError):
        memory.recall("puppy", 0)


def test_queries_are_data_not_syntax(memory: Memory) -> None:
    for query in ('"puppy" AND (', "puppy*", "stems:puppy", "puppy' OR '1'='1", "puppy\0", "puppy \ud800",
                  "puppy " * 9000):
        assert keys(memory.recall(query))[0] == ("c2", "m1")


# ---- storing ---------------------------------------------------------------------------------------------------------

def test_adding_again_changes_nothing(memory: Memory) -> None:
    before = memory.recall("машина")
    assert memory.add(TALK) == 0
    assert memory.count() == len(TALK)
    assert memory.recall("машина") == before


def test_a_changed_message_replaces_all_its_passages(tmp_path: Path) -> None:
    memory = Memory(tmp_path, None)
    long = " ".join(f"Sentence number {i} speaks of walnuts." for i in range(80))
    memory.add([("c", Message("m", "user", long))])
    assert memory.count() > 2
    memory.add([("c", Message("m", "user", "Now it is about plums."))])
    assert memory.count() == 1
    assert memory.recall("walnuts") == []
    assert keys(memory.recall("plums")) == [("c", "m")]


def test_the_last_of_two_messages_with_one_id_stays(tmp_path: Path) -> None:
    memory = Memory(tmp_path, None)
    memory.add([("c", Message("m", "user", "walnuts. " * 200)), ("c", Message("m", "user", "plums"))])
    assert memory.count() == 1
    assert memory.recall("walnuts") == []


def test_a_long_message_comes_once_with_its_best_passage(tmp_path: Path) -> None:
    memory = Memory(tmp_path, None)
    filler = " ".join(f"Line {i} is about the weather." for i in range(60))
    memory.add([("c", Message("m", "user", f"{filler} The spare key hangs behind the clock. {filler}"))])
    found = memory.recall("where is the spare key?")
    assert len(found) == 1
    assert "behind the clock" in found[0].text
    assert len(found[0].text) <= 900


def test_hidden_and_blank_messages_are_never_stored(memory: Memory) -> None:
    memory.add([("c5", Message("h", "system", "secret puppy instructions", flags=("hidden",))),
                ("c5", Message("b", "user", " \n "))])
    assert memory.count() == len(TALK)
    memory.add([("c2", replace(TALK[3][1], flags=("hidden",)))])
    assert memory.recall("puppy") == []


def test_removed_messages_are_gone_and_only_they(memory: Memory) -> None:
    assert memory.remove([("c2", "m1"), ("c2", "nobody"), ("x' OR 1=1 --", "m1")]) == 1
    assert memory.count() == len(TALK) - 1
    assert memory.recall("puppy") == []
    assert keys(memory.recall("машина"))[0] == ("c1", "m1")


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(ids=st.lists(st.text(st.characters(exclude_categories=["Cs"]), min_size=1), min_size=2, max_size=4, unique=True))
def test_any_id_is_stored_excluded_and_removed_as_itself(
        tmp_path_factory: pytest.TempPathFactory, ids: list[str]) -> None:
    memory = Memory(tmp_path_factory.mktemp("any"), None)
    ids += ["x' OR 1=1", 'quote"', "back\\slash", "%"]
    ids = list(dict.fromkeys(ids))
    items = [(id_, Message(id_, "user", "walnut")) for id_ in ids]
    memory.add(items)
    memory.add(items)
    assert sorted(keys(memory.recall("walnut", 20))) == sorted((id_, id_) for id_ in ids)
    assert (ids[0], ids[0]) not in keys(memory.recall("walnut", 20, exclude={ids[0]}))
    assert memory.remove([(ids[0], ids[0])]) == 1
    assert memory.count() == len(ids) - 1


def test_many_rows_are_found_at_once_and_after_indexing(tmp_path: Path) -> None:
    """1,300 rows cross the batch size and the index threshold; what comes later is found beside the index."""
    memory, seen = Memory(tmp_path, None), list[tuple[str, int, int | None]]()
    memory.add([(f"c{i % 7}", Message(str(i), "user", f"item w{i}")) for i in range(1300)],
               progress=lambda *told: seen.append(told))
    assert seen[-1] == ("remembering", 1300, 1300)
    memory.add([("late", Message("late", "user", "item w9999"))])
    for i in (0, 511, 512, 1299):
        assert memory.recall(f"w{i}")[0].message_ids == (str(i),)
    assert keys(memory.recall("w9999")) == [("late", "late")]
    assert len(memory.recall("item", 1400)) == 1301


def test_many_small_adds_do_not_pile_up_files(tmp_path: Path) -> None:
    memory = Memory(tmp_path, None)
    for i in range(45):
        memory.add([("c", Message(str(i), "user", f"turn w{i}"))])
    assert memory.recall("w3", 1)[0].message_ids == ("3",)
    assert memory.recall("w44", 1)[0].message_ids == ("44",)
    table = memory._open()
    assert table is not None
    assert table.stats()["fragment_stats"]["num_fragments"] <= 21


def test_a_few_hundred_messages_are_stored_within_seconds(tmp_path: Path) -> None:
    """The first import of a person must not wait: 10 s, with LanceDB's own import (1.3 s) and MiniLM's vectors."""
    code = textwrap.dedent(f"""
        from pathlib import Path
        from twin.embedder import MiniLM
        from twin.memory import Memory
        from twin.types import Message
        texts = [f"On day {{i}} I moved shelf {{i % 7}} away. На день {{i}} стало светлее." for i in range(300)]
        memory = Memory(Path({str(tmp_path)!r}), MiniLM(Path({str(cache_dir() / "models" / "minilm")!r})))
        memory.add([("c", Message(str(i), "user", text)) for i, text in enumerate(texts)])
        assert memory.status().embedded == 300
        """)
    start = time.perf_counter()
    subprocess.run([sys.executable, "-c", code], check=True)
    assert time.perf_counter() - start < 30  # 5 s alone on 2 cores; the bound leaves room for a busy machine


def test_another_process_is_seen_by_a_reader_already_open(memory: Memory) -> None:
    assert memory.recall("zebra") == []
    other = Memory(memory.folder, None)
    other.add([("c9", Message("z", "user", "A zebra in the yard."))])
    assert keys(memory.recall("zebra")) == [("c9", "z")]
    other.rebuild(TALK)
    assert memory.recall("zebra") == []
    assert memory.count() == len(TALK)


# ---- vectors ---------------------------------------------------------------------------------------------------------

def test_status_tells_missing_vectors_and_embed_missing_makes_them(memory: Memory) -> None:
    assert (memory.status().rows, memory.status().missing) == (6, 0)
    with_vectors = Memory(memory.folder, MiniLM(cache_dir() / "models" / "minilm"))
    status = with_vectors.status()
    assert (status.embedded, status.missing, status.embedders, status.fits) == (0, 6, {"": 6}, True)
    assert "no vector yet" in with_vectors.recall("puppy")[0].why
    assert with_vectors.embed_missing() == 6
    assert with_vectors.status().missing == 0
    assert with_vectors.embed_missing() == 0
    best = with_vectors.recall("an animal that ruins footwear")[0]
    assert (best.conversation, best.message_ids) == ("c2", ("m1",))


def test_vectors_of_two_embedders_never_mix(tmp_path: Path) -> None:
    """Cosines between two embedders' vectors are numbers without meaning, and nothing in them would show it."""
    Memory(tmp_path, Axes("first")).add(TALK)
    second = Memory(tmp_path, Axes("second"))
    assert second.status().fits is False
    for refused in (lambda: second.recall("puppy"), lambda: second.embed_missing(),
                    lambda: second.add([("c7", Message("m", "user", "A dog barked."))])):
        with pytest.raises(HomeError, match=r"vectors of first; those of second.*twin memory rebuild"):
            refused()
    assert Memory(tmp_path, Axes("first")).status().embedders == {"first": len(TALK)}

    second.rebuild(TALK)
    assert (second.status().fits, second.status().embedders) == (True, {"second": len(TALK)})
    assert keys(second.recall("animal"))[0] == ("c2", "m1")


def test_without_its_embedder_a_memory_recalls_by_words_and_takes_new_messages(tmp_path: Path) -> None:
    """A person who removed the model file has lost meaning, not memory; with the file back nothing must be redone."""
    Memory(tmp_path, Axes()).add(TALK)
    words = Memory(tmp_path, None)
    words.add([("c7", Message("m", "user", "A dog barked."))])
    assert keys(words.recall("barking"))[0] == ("c7", "m")
    again = Memory(tmp_path, Axes())
    assert (again.status().fits, again.status().missing, again.embed_missing()) == (True, 1, 1)


def test_an_embedder_of_another_length_works_by_words_until_the_rebuild(tmp_path: Path) -> None:
    Memory(tmp_path, None).add(TALK)
    longer = Memory(tmp_path, Axes("longer", 5))
    longer.add([("c7", Message("m", "user", "A dog barked."))])
    assert longer.status().fits is False
    assert keys(longer.recall("barking"))[0] == ("c7", "m")
    with pytest.raises(HomeError, match="twin memory rebuild"):
        longer.embed_missing()
    longer.rebuild(TALK)
    assert (longer.status().fits, longer.status().embedded) == (True, len(TALK))


def test_unchanged_messages_are_not_embedded_again(tmp_path: Path) -> None:
    axes = Axes()
    memory = Memory(tmp_path, axes)
    memory.add(TALK)
    axes.texts.clear()
    memory.add([*TALK, ("c3", Message("m10", "user", "Pay them."))])
    assert axes.texts == ["Pay them."]


# ---- damage ----------------------------------------------------------------------------------------------------------

def test_a_rebuild_that_fails_leaves_the_old_store(memory: Memory) -> None:
    def broken() -> Iterator[tuple[str, Message]]:
        yield from TALK[:2]
        raise InterruptedError("the archive went away")

    with pytest.raises(InterruptedError):
        memory.rebuild(broken())
    assert memory.count() == len(TALK)
    assert memory.rebuild(TALK[:3]) == 3
    assert memory.count() == 3
    assert len(list(memory.folder.glob("*.lance"))) == 1


@pytest.mark.parametrize("part", ["data/*.lance", "_versions/*.manifest"])
@pytest.mark.parametrize("damage", ["cut", "zero", "gone"])
def test_damage_is_an_error_that_names_the_cure_and_the_cure_works(memory: Memory, part: str, damage: str) -> None:
    """Failed must not look like empty: a person would believe that nothing was ever said."""
    for path in memory.folder.glob(f"*.lance/{part}"):
        size = path.stat().st_size
        if damage == "gone":
            path.unlink()
        else:
            path.write_bytes(bytes(size) if damage == "zero" else path.read_bytes()[:size // 2])
    with pytest.raises(HomeError, match="twin memory rebuild"):
        memory.recall("машина")
    memory.rebuild(TALK)
    assert keys(memory.recall("машина"))[0] == ("c1", "m1")


def test_a_lost_pointer_is_damage_not_emptiness(memory: Memory) -> None:
    memory.rebuild(TALK)
    (memory.folder / "CURRENT").unlink()
    with pytest.raises(HomeError, match="twin memory rebuild"):
        memory.recall("машина")
    with pytest.raises(HomeError, match="twin memory rebuild"):
        memory.add(TALK)


def test_a_full_disk_is_named_and_what_was_stored_stays(memory: Memory) -> None:
    """A limit on file size stands for the full disk: Lance reports both in the same way."""
    old = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, old[1]))
    try:
        with pytest.raises(HomeFull):
            memory.add([("big", Message(str(i), "user", f"{i} {os.urandom(400).hex()}")) for i in range(400)])
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, old)
        signal.signal(signal.SIGXFSZ, handler)
    assert memory.count() == len(TALK)
    memory.add([("big", Message("1", "user", "fits now"))])
    assert keys(memory.recall("fits"))[0] == ("big", "1")


# ---- windows ---------------------------------------------------------------------------------------------------------

@given(st.text(st.sampled_from("ab .!?\nя"), max_size=4000) | st.text(max_size=300))
def test_windows_keep_every_word_and_their_length(text: str) -> None:
    pieces = windows(text)
    assert all(0 < len(piece) <= 900 for piece in pieces)
    assert "".join("".join(pieces).split()) == "".join(text.split())


def test_windows_end_where_sentences_end() -> None:
    pieces = windows("Это предложение про лодку. " * 100)
    assert len(pieces) == 4  # 33 of 27 characters fill a window
    assert all(piece.startswith("Это") and piece.endswith("лодку.") for piece in pieces)
