"""What other people report: found by rules, quoted to the letter, in both languages."""
from __future__ import annotations

import hashlib
import os
import re
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from twin import reported
from twin.archive.ledger import Ledgers
from twin.errors import EmptyFile, InputError, UnknownFormat
from twin.home import Home
from twin.ledger import Ledger
from twin.reported import MAX_REPORT, MAX_RESULTS, QUOTE, Report, find_results, read_report

THREAD = """# Qwen3-30B-A3B on the old workstation

**first** · 2 days ago

I ran Qwen3-30B-A3B Q4_K_M on my 3090 with 24 GB and got 41.5 t/s. It should be 60 t/s on the next card.
Did anyone reach 80 tok/s with it?

> I ran Qwen3-30B-A3B Q4_K_M on my 3090 with 24 GB and got 41.5 t/s.

With half the experts mine went from 41.5 to 52.3 tokens per second.

---

У меня Qwen3-8B в q8_0 выдаёт 1 200 токенов/с на чтении. Если бы вышло 2 000 токенов/с, я бы не жаловался.
Занимает 11,5 ГБ и работает стабильно.

Our numbers:

| core | perplexity |
|---|---|
| Qwen3-8B Q6_K | PPL 9.1250 |
"""


def values(text: str) -> list[tuple[str, str, float | None]]:
    return [(one.metric, one.unit, one.value) for report in find_results(text) for one in report.readings]


def test_a_thread_in_two_languages_gives_its_results_and_nothing_else() -> None:
    assert values(THREAD) == [("speed", "tok/s", 41.5), ("speed", "tok/s", 41.5), ("speed", "tok/s", 52.3),
                              ("speed", "tok/s", 1200.0), ("memory", "GB", 11.5), ("perplexity", "", 9.125)]


def test_every_quote_stands_in_the_text_where_it_says_and_names_what_it_is_about() -> None:
    found = find_results(THREAD)

    assert all(THREAD[one.start:one.end] == one.quote for one in found)
    assert found[0].about == ("Qwen3-30B-A3B", "Q4_K_M")
    assert found[3].about == ("Qwen3-8B", "q8_0")


@pytest.mark.parametrize(("text", "expected"), [
    ("I got 33.6 t/s with Qwen3.", ("speed", "tok/s", 33.6)),
    ("Qwen3 ended up at ~18 tokens a second.", ("speed", "tok/s", 18.0)),
    ("On my box Q4_K_M hits 1,250 tok/s reading.", ("speed", "tok/s", 1250.0)),
    ("Ended up with 30-35 t/s on Q8_0.", ("speed", "tok/s", None)),
    ("We went from 20 t/s to 25 t/s with IQ4_XS.", ("speed", "tok/s", 25.0)),
    ("Measured it on gemma-3: 20 -> 25 t/s.", ("speed", "tok/s", 25.0)),
    ("Speed ranges from 20 to 25 t/s with my Q4_0.", ("speed", "tok/s", None)),
    ("PPL (Q8_0, n_ctx = 512) came out at 9.0644.", ("perplexity", "", 9.0644)),
    ("My perplexity with Q4_K_M is 9.31 now.", ("perplexity", "", 9.31)),
    ("I saw +.40% with q4_0.", ("share", "%", 0.4)),
    ("Loading qwen2.5 took 12 s for me.", ("time", "s", 12.0)),
    ("With AWQ it took 9.5 GB of VRAM.", ("memory", "GB", 9.5)),
    ("Llama 3 was 2x faster when I ran it in FP8.", ("ratio", "x", 2.0)),
    ("У меня получилось 33,6 т/с на квене.", ("speed", "tok/s", 33.6)),
    ("Вышло 12 токенов в секунду на Q5_K_M.", ("speed", "tok/s", 12.0)),
    ("Скорость выросла с 20 до 25 ток/с на Q4_0.", ("speed", "tok/s", 25.0)),
    ("Вышло от 20 до 25 токенов/с на Q4_0.", ("speed", "tok/s", None)),
    ("Перплексия у Q4_K_M вышла 5,882.", ("perplexity", "", 5.882)),
    ("Прогнал qwen2.5: 45 секунд на ответ.", ("time", "s", 45.0)),
    ("Qwen3 занял 14 гигов.", ("memory", "GB", 14.0)),
    ("У нас q8_0 быстрее на 15%.", ("share", "%", 15.0)),
])
def test_a_result_is_read_with_its_unit(text: str, expected: tuple[str, str, float | None]) -> None:
    assert values(text) == [expected]


@pytest.mark.parametrize("text", [
    "Did you get 40 t/s with Qwen3?", "Кто-нибудь получил 40 т/с на Qwen3?",
    "Qwen3 should do 40 t/s on my card.", "По идее Qwen3 у меня должен выдать 40 т/с.",
    "I would have got 40 t/s with Qwen3.", "Я бы получил 40 т/с на Qwen3.",
    "Qwen3 runs at 40 t/s.", "Qwen3 работал бы на 40 т/с.",
    "I got a card with 24 GB for Qwen3.", "Купил карту на 24 ГБ под Qwen3.",
    "I got the bread out after 45 minutes.", "У меня тесто поднялось за 45 минут.",
    "I ran Qwen3-30B and was happy.", "Qwen3 у меня работает отлично.",
    "I use Qwen3 with 32k of context.", ""])
def test_hopes_questions_machines_and_other_matters_are_no_result(text: str) -> None:
    assert find_results(text) == []


def test_a_table_is_read_by_the_units_above_its_columns() -> None:
    text = ("Вот мои замеры:\n\n| Ядро | Скорость (токенов/сек) | Память |\n|---|---|---|\n"
            "| Qwen3-8B Q6_K | 33,6 | 7,5 ГБ |\n"
            "| Qwen3-4B | 60-65 | 4 ГБ |\n\n"
            "| core | test | t/s |\n| --- | --- | ---: |\n| qwen3 8B | pp512 | 2045.19 ± 10.70 |\n")

    assert values(text) == [("speed", "tok/s", 33.6), ("memory", "GB", 7.5), ("speed", "tok/s", None),
                            ("memory", "GB", 4.0), ("speed", "tok/s", 2045.19)]
    assert [text[one.start:one.end] for one in find_results(text)] == [one.quote for one in find_results(text)]


def test_what_a_result_is_followed_by_is_told_too_and_fences_do_not_part_it() -> None:
    text = "With Q8_0 I get\n```\nPPL(Q8_0, n_ctx = 512) = 9.0644\n```\nIt is slower (133 t/s vs 211 t/s)."

    assert values(text) == [("perplexity", "", 9.0644), ("speed", "tok/s", None)]
    assert values("I got 221 t/s in the perplexity run of Q6_K, and 10.5 t/s for 128 tokens, at 448 GB/s.") == [
        ("speed", "tok/s", 221.0), ("speed", "tok/s", 10.5)]


def test_words_of_experience_may_stand_in_the_sentence_before_but_not_across_a_paragraph() -> None:
    assert values("I ran Qwen3 overnight. Speed: 33 t/s.") == [("speed", "tok/s", 33.0)]
    assert values("I ran Qwen3 overnight.\n\nSpeed: 33 t/s.") == []


def test_the_name_of_the_model_may_stand_before_or_in_the_headline_but_not_far_away() -> None:
    far = "The weather was fine. " * 60

    assert find_results(f"Qwen3 again.\n\n{far}\n\nI got 33 t/s.")[0].about == ("Qwen3",)
    assert find_results(f"Hello.\nQwen3 again. {far}\n\nI got 33 t/s.") == []


def test_of_a_wall_of_text_only_what_stands_round_the_number_is_quoted() -> None:
    wall = "and so on " * 100 + "I got 33 t/s with Qwen3 " + "and so on " * 100
    found, = find_results(wall)

    assert "I got 33 t/s with Qwen3" in found.quote
    assert len(found.quote) <= QUOTE
    assert wall[found.start:found.end] == found.quote
    assert find_results(wall * 10) == []


@pytest.mark.parametrize("piece", ["1,", "1 ", "111 ", "from 1 ", "ppl (", "qwen3 ", "1-", "q4_", "| 1 | ", "12 gb "])
def test_no_text_makes_the_search_slow(piece: str) -> None:
    """8 MiB of a file may come from anybody."""
    began = time.process_time()
    find_results(("my qwen3 got " + piece * 300 + "\n") * 10)

    assert time.process_time() - began < 5


# ---- files -----------------------------------------------------------------------------------------------------------

@pytest.mark.parametrize("codec", ["utf-8", "utf-8-sig", "utf-16", "cp1251", "koi8-r"])
def test_any_encoding_gives_the_same_quotes(tmp_path: Path, codec: str) -> None:
    text = ("Qwen3 вечером\r\n\r\n"
            "Прогнал ещё раз на своей машине, и у меня получилось 33,6 токена/с, что меня удивило.\r\n")
    path = tmp_path / "thread.txt"
    path.write_bytes(text.encode(codec))
    found, = read_report(path)

    assert found.quote == "Прогнал ещё раз на своей машине, и у меня получилось 33,6 токена/с, что меня удивило."
    assert (found.file, found.sha256) == ("thread.txt", hashlib.sha256(path.read_bytes()).hexdigest())
    assert (found.start, found.end) == (15, 15 + len(found.quote))


def test_a_page_is_read_without_its_tags_and_scripts(tmp_path: Path) -> None:
    path = tmp_path / "saved"
    path.write_text("<!DOCTYPE html><html><head><script>var x = 'I got 99 t/s with Qwen3';</script></head><body>"
                    "<h1>Qwen3</h1><p>I <b>got</b> 33.6&nbsp;t/s &amp; was happy.</p></body></html>", "utf-8")

    assert [one.quote for one in read_report(path)] == ["I got 33.6\u00a0t/s & was happy."]


def test_what_is_no_text_says_so(tmp_path: Path) -> None:
    empty, binary, long = tmp_path / "empty.txt", tmp_path / "binary.txt", tmp_path / "long.txt"
    empty.write_text(" \n", "utf-8")
    binary.write_bytes(bytes(range(32)) * 20)
    long.write_bytes(b"a" * (MAX_REPORT + 1))
    for path, error in ((empty, EmptyFile), (binary, UnknownFormat), (long, InputError), (tmp_path, InputError),
                        (tmp_path / "none.txt", InputError)):
        with pytest.raises(error):
            read_report(path)


# ---- in the ledger ---------------------------------------------------------------------------------------------------

@pytest.fixture
def ledger(tmp_path: Path) -> Ledger:
    return Ledger(Ledgers(Home(tmp_path / "home")))


def saved(tmp_path: Path, text: str = THREAD) -> Path:
    path = tmp_path / "thread.md"
    path.write_text(text, "utf-8")
    return path


def test_reports_enter_as_reported_with_their_quotes_and_belong_to_starter_rows(ledger: Ledger, tmp_path: Path) -> None:
    found = ledger.report(saved(tmp_path))
    entries = [entry for entry, _ in found]

    assert [new for _, new in found] == [True] * 5  # of six results one stands there twice
    assert {entry.verdict for entry in entries} == {"reported"}
    assert {entry.source for entry in entries} == {"thread.md"}
    assert all(entry.claim == {"ru" if "ё" in entry.say() or "Зан" in entry.say() else "en": entry.reports[0].quote}
               for entry in entries)
    assert "experts-16-perplexity" in entries[1].links
    assert ledger.entry(entries[1].id) == entries[1]


def test_the_same_file_adds_nothing_nor_does_its_copy(ledger: Ledger, tmp_path: Path) -> None:
    first = ledger.report(saved(tmp_path))
    copy = tmp_path / "copy.txt"
    copy.write_text("Found this:\n\n" + THREAD, "utf-8")

    for path in (saved(tmp_path), copy):
        assert [(entry.id, new) for entry, new in ledger.report(path)] == [(entry.id, False) for entry, _ in first]
    assert len(ledger.store.ledger_rows()) == 5


def test_a_file_without_results_adds_nothing(ledger: Ledger, tmp_path: Path) -> None:
    assert ledger.report(saved(tmp_path, "Nothing to see, the dough is fine.\n")) == []
    assert not (tmp_path / "home").exists()


@pytest.mark.parametrize(("text", "predicted"), [
    ("I got 33 t/s with Qwen3.", ("speed", "up", 33.0, "tok/s")),
    ("Qwen3 took 11 GB for me and got 33 t/s.", ("speed", "up", 33.0, "tok/s")),
    ("У меня Qwen3 занял 11 ГБ.", ("memory", "down", 11.0, "GB")),
    ("Ended up with 30-35 t/s on Q8_0.", None),
    ("I got 33 t/s with Q4_0 and 21 t/s with Q8_0.", None),
    ("I saw +.40% with q4_0.", None)])
def test_a_report_predicts_the_same_here_only_where_it_is_plain(ledger: Ledger, tmp_path: Path, text: str,
                                                                predicted: tuple[str, str, float, str] | None) -> None:
    (entry, _), = ledger.report(saved(tmp_path, text))
    made = entry.prediction

    assert (made and (made.metric, made.direction, made.threshold, made.unit)) == predicted


def test_reprs_hold_no_quote() -> None:
    assert "secret" not in repr(Report((), "secret", "secret"))


# ---- files of any size -----------------------------------------------------------------------------------------------

_PIECES = ["33 t/s", "9.5", "123 456 789", "12 s", "10 GB", "-", " to ", "from ", "perplexity", "ppl (n_ctx = 512)",
           "1,250", "tok/s", "%", "x faster", "минут", "с", "до", " ", "it", "speeds", "3s4", "12x", "±2", ".40%", "и"]


@given(st.lists(st.sampled_from(_PIECES), max_size=60), st.sampled_from(["", " "]), st.integers(0, 300))
def test_looking_near_units_alone_finds_what_looking_everywhere_finds(pieces: list[str], gap: str, far: int) -> None:
    text = gap.join([*pieces[:30], "." * far, *pieces[30:]])
    for (unit, pattern), near in zip(reported._patterns().units, reported._patterns().near, strict=True):
        everywhere = [match.span() for match in pattern.finditer(text)]
        assert [match.span() for match in reported._numbers(pattern, near, text)] == everywhere, unit


class Looked:
    """A pattern that finds nothing and notes how many characters it was let look at."""

    def __init__(self) -> None:
        self.characters = 0

    def finditer(self, _: str, left: int, right: int) -> Iterator[re.Match[str]]:
        self.characters += right - left
        return iter(())


def test_numbers_are_read_near_units_alone_however_many_digits_there_are() -> None:
    """At every number a pattern tries a dozen readings, once for each unit: digits cost nine times what they do now."""
    text = "123 456 " * 1000 + "33 t/s" + " 123 456" * 1000
    looked = Looked()
    for near in reported._patterns().near:
        list(reported._numbers(looked, near, text))  # type: ignore[arg-type]
    assert 0 < looked.characters < 2000


def test_sentences_without_a_digit_are_not_looked_into_and_the_search_says_how_far_it_is(
        monkeypatch: pytest.MonkeyPatch) -> None:
    text, seen, looked = "The dough was fine and we ate it all. " * 26_000, list[tuple[int, int | None]](), list[str]()
    monkeypatch.setattr(reported, "_lived", looked.append)
    assert find_results(text, progress=lambda _, done, total: seen.append((done, total))) == []
    assert looked == []
    assert len(seen) > 10
    assert [done for done, _ in seen] == sorted(done for done, _ in seen)
    assert seen[-1] == (len(text), len(text))


def test_a_pipe_is_refused_and_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(InputError, match="no regular file"):
        read_report(tmp_path / "pipe")


def test_a_file_of_thousands_of_results_is_data_and_no_thread(tmp_path: Path) -> None:
    path = tmp_path / "log.txt"
    path.write_text("".join(f"I got {n} t/s with Qwen3.\n" for n in range(MAX_RESULTS + 1)), "utf-8")
    with pytest.raises(InputError, match=f"more than {MAX_RESULTS}"):
        read_report(path)
