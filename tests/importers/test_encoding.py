"""The mojibake rule: what was damaged comes back exactly, and honest text is never touched."""
from __future__ import annotations

import time
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from twin.errors import BrokenFile, UnknownFormat
from twin.importers.encoding import CODECS, decode, to_text

RUSSIAN = "абвгдеёжзийклмнопрстуфхцчшщъыьэюя"
words = st.text(RUSSIAN, min_size=2, max_size=9)
tokens = st.one_of(words, words.map(str.title),
                   st.sampled_from(["GPU", "LoRA", "—", "…", "«да»", "№ 5", "🧠", "👩‍💻", "7B", "2+2"]))
lines = st.builds(lambda first, rest: " ".join([first, *rest]), words, st.lists(tokens, max_size=8))
russian_texts = st.lists(lines, min_size=1, max_size=6).map("\n".join)

ENGLISH = "The router’s job — as far as I can tell — is “to choose”, isn’t it?\nIt costs 5 € per naïve café."
FRENCH = "l’été\nC’est l’école d’à côté.\nl’école\nÀ l’Élysée, on a « tout » vu : l’équipe, l’œuvre, l’île."
HONEST = [
    ENGLISH, FRENCH, "l’école", "—è", "(–∞, +∞)\nlim f(x), x→–∞", "√π", "“ß” is a letter",
    "Grüße aus Köln – schön", "сад", "рад\nсад", "тада\nвыпад", "—Я\n—О\n—У\n—Ю", "её»",
    "Как устроен роутер? — спросил я. Ещё «ёлка» и БЕРЁТ", "ЕЁ", "ВСЁ", "БЕРЁТ", "Чё?", "Україна їсть",
    "日本語のテキスト", "שלום", "Ünïcödé ÄÖÜ", "├── src\n│   └── main\n└── docs", "╔══╗\n║  ║\n╚══╝",
    "🧠 только эмодзи 👩‍💻",
    "naïve café\nSÃO PAULO\nMAÇÃ", "½ × ¾ ≈ 0,375 ± 0,001", "©®™ §¶†", "Ωμέγα και άλφα", "ÀÉÎÕÜ ÿ Œ œ Ÿ",
]


def damaged(text: str, codec: str = "mac_roman") -> str:
    """Text whose UTF-8 was read as another codec; bytes without a character stay what they are, as browsers do it."""
    return "".join(chr(byte) if (char := bytes([byte]).decode(codec, "replace")) == "\ufffd" else char
                   for byte in text.encode("utf-8"))


@given(russian_texts)
def test_russian_read_as_mac_roman_comes_back_exactly(text: str) -> None:
    decoded = decode(damaged(text).encode(), "note.md")
    assert decoded.text == text
    assert decoded.original == damaged(text)
    assert decoded.repair is not None
    assert decoded.repair.codec == "mac_roman"
    assert 1 <= decoded.repair.lines <= text.count("\n") + 1


@pytest.mark.parametrize("codec", CODECS)
def test_each_codec_is_undone(codec: str) -> None:
    text = "Как мне соединить две части, чтобы они думали вместе?\nХочу понять — почему роутер выбрал Харьков."
    decoded = decode(damaged(text, codec).encode(), "x")
    assert decoded.text == text
    assert decoded.repair is not None
    assert decoded.repair.codec == codec


@given(russian_texts)
def test_correct_russian_is_never_changed(text: str) -> None:
    decoded = decode(text.encode(), "x")
    assert (decoded.text, decoded.repair) == (text, None)


@given(st.lists(st.sampled_from(HONEST), min_size=1, max_size=5).map("\n".join))
def test_honest_text_of_any_language_is_never_changed(text: str) -> None:
    """French `l’été` is why the rule looks at files: two of its bytes are a valid Armenian letter."""
    decoded = decode(text.encode(), "x")
    assert (decoded.text, decoded.repair) == (text, None)


@pytest.mark.parametrize("text", HONEST)
def test_each_honest_text_alone_is_never_changed(text: str) -> None:
    assert decode(text.encode(), "x").repair is None


@given(st.text())
def test_any_text_keeps_its_lines_and_its_original(text: str) -> None:
    text = text.encode("utf-8", "replace").decode("utf-8")
    decoded = decode(b"\xef\xbb\xbf" + text.encode(), "x")
    assert decoded.original == text.replace("\r\n", "\n").replace("\r", "\n")
    assert len(decoded.lines) == decoded.original.count("\n") + 1


def test_text_damaged_twice_is_repaired_twice() -> None:
    decoded = decode(damaged(damaged("Где граница между ролью и ядром?")).encode(), "x")
    assert decoded.text == "Где граница между ролью и ядром?"
    assert decoded.repair is not None
    assert decoded.repair.codec == "mac_roman+mac_roman"


def test_lines_added_later_by_hand_survive_the_repair() -> None:
    """A person goes on writing in a damaged note; a line that holds both kinds is repaired run by run."""
    broken = damaged("Первая мысль о памяти\nВторая мысль о ролях\nТретья мысль")
    decoded = decode(f"{broken}\nЭто я дописал сам\nсам: {damaged('старое')}".encode(), "x")
    assert decoded.text.split("\n")[3:] == ["Это я дописал сам", "сам: старое"]
    assert decoded.text.startswith("Первая мысль о памяти\n")


def test_an_emoji_that_lost_its_first_byte_comes_back() -> None:
    """Mac Roman shows byte 0xF0 as U+F8FF, which many programs drop; ftfy repairs neither form alone."""
    broken = damaged("Мысль первая\nМысль вторая\nДумаю 🧠 вслух 😴").replace("\uf8ff", "")
    assert decode(broken.encode(), "x").text == "Мысль первая\nМысль вторая\nДумаю 🧠 вслух 😴"


def test_a_quoted_piece_of_mojibake_in_a_good_file_stays() -> None:
    text = f"Вот так выглядела строка:\n{damaged('привет')}\nСтранно, правда?\nБольше не буду."
    assert decode(text.encode(), "x").repair is None


def test_the_repair_shows_a_line_before_and_after() -> None:
    repair = decode(damaged("plain\nО чём я думаю?").encode(), "n.md").repair
    assert repair is not None
    assert (repair.file, repair.before, repair.after) == ("n.md", damaged("О чём я думаю?"), "О чём я думаю?")


def test_letters_written_as_two_marks_are_still_recognised() -> None:
    """macOS file names and some editors decompose: the damage itself may be stored in NFD."""
    decoded = decode(unicodedata.normalize("NFD", damaged("Ещё одна мысль о том, как всё устроено")).encode(), "x")
    assert decoded.text == "Ещё одна мысль о том, как всё устроено"


@pytest.mark.parametrize("codec", ["utf-16", "utf-8-sig", "cp1251", "utf-32"])
def test_other_encodings_are_read(codec: str) -> None:
    text = "Как роутер выбирает роль, если сигналы спорят между собой? Хочу разобраться до конца."
    assert to_text(text.encode(codec), "x") == text


def test_a_utf8_file_cut_inside_a_letter_stays_utf8() -> None:
    assert to_text("Мысль, которую оборвали на середине слова".encode()[:-1], "x") == (
        "Мысль, которую оборвали на середине слов\ufffd")


def test_half_a_utf16_file_is_a_broken_file() -> None:
    with pytest.raises(BrokenFile, match="breaks off"):
        to_text("мысль".encode("utf-16")[:-1], "x")


def test_bytes_that_are_no_text_are_an_unknown_format() -> None:
    with pytest.raises(UnknownFormat):
        to_text(b"\x81\x8d\x00\xff" * 200 + bytes(range(256)) * 3, "x")


def test_five_megabytes_are_decided_in_seconds() -> None:
    line = damaged("Архитектура мысли держится на вопросах, а не на ответах.\n")
    data = (line * 25_000).encode()
    assert len(data) > 5_000_000
    start = time.perf_counter()
    assert decode(data, "x").repair is not None
    assert time.perf_counter() - start < 5  # 0.7 s alone on 2 cores; helpers may share them
