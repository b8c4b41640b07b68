"""JSON as a stream: every layout of an export, what exporters write against the standard, how much memory it takes."""
from __future__ import annotations

import io
import json
import math
import tracemalloc
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from twin.errors import BrokenFile
from twin.importers.jsontext import Json, _Strict


def of(content: str | bytes) -> Json:
    data = content.encode("utf-8") if isinstance(content, str) else content
    return Json(lambda: io.BytesIO(data), "f.json")


@pytest.mark.parametrize(("content", "shape", "values"), [
    ('[{"a": 1}, {"b": 2}]', "array", [{"a": 1}, {"b": 2}]),
    ('{"conversations": [{"mapping": {}}]}', "wrapped", [{"mapping": {}}]),
    ('{"conversations": [{"from": "human"}]}', "object", [{"conversations": [{"from": "human"}]}]),
    ('{"a": {"b": [1, 2.5, null, true]}}', "object", [{"a": {"b": [1, 2.5, None, True]}}]),
    ('{"a": 1}\n\n{"a": 2}\r\n', "lines", [{"a": 1}, {"a": 2}]),
    ("[]", "array", []),
])
def test_each_layout_gives_its_conversations(content: str, shape: str, values: list[Any]) -> None:
    assert (of(content).shape, list(of(content).values())) == (shape, values)


@pytest.mark.parametrize(("content", "value"), [
    ('\ufeff[{"a": "ж"}]', "ж"), ('[{"a": "ж"}]'.encode("utf-16"), "ж"), (r'[{"a": "x\x1Fy"}]', "x\x1fy"),
    (r'[{"a": "not \\x1F"}]', r"not \x1F"), (r'[{"a": "\ud83d\ude00 \ud83d"}]', "\U0001f600 \ufffd"),
    ('[{"a": "two\nlines"}]', "two\nlines"), ('[{"a": "bell\x07"}]', "bell\x07"),
    ('[{"a": "NaN", "b": NaN, "c": -Infinity}]', "NaN"),
])
def test_what_exporters_write_against_the_standard_is_read(content: str | bytes, value: str) -> None:
    """Telegram writes \\x1F, browsers a byte order mark, scripts NaN and raw line ends: a person cannot mend those."""
    assert [row["a"] for row in of(content).values()] == [value]  # type: ignore[index]


@pytest.mark.parametrize("content", ['{"mapping": {', "[1, 2] x", '[{"a":' * 100_000, f"[{'9' * 5000}]", '[{"a": 1}'])
def test_what_is_broken_says_so_before_anything_is_used(content: str) -> None:
    with pytest.raises(BrokenFile, match=r"f\.json"):
        list(of(content).string_lines())


@pytest.mark.parametrize(("number", "value"), [
    ("1000000000000000000000000", 1e24), ("-9223372036854775809", -(2.0**63)), ("1e400", None), ("-1e400", None),
    ("9" * 400, None), ("9223372036854775807", 2**63 - 1), ("-9223372036854775808", -2**63), ("1e-400", 0.0),
])
@pytest.mark.parametrize("layout", ["[{}]", "{}", "{}\n{{}}"])
def test_a_number_beyond_64_bits_beside_a_chat_is_read(number: str, value: object, layout: str) -> None:
    """Some exporter's counter or hash must not cost the person a chat; a number that fits stays exact beside it."""
    source = of(layout.format(f'{{"b": {{"n": {number}}}, "id": 9223372036854775807, "messages": ["ж"]}}'))
    assert "messages" in source.keys or layout != "{}"
    assert next(iter(source.values())) == {"b": {"n": value}, "id": 2**63 - 1, "messages": ["ж"]}


NUMBERS = st.from_regex(r"-?(0|[1-9][0-9]{0,30})(\.[0-9]{1,20})?([eE][+-]?[0-9]{1,5})?", fullmatch=True)


@given(st.lists(NUMBERS | st.sampled_from(["NaN", "Infinity", "9" * 401, "0." + "3" * 500]), max_size=5))
def test_random_numbers_are_read_or_refused_by_name(numbers: list[str]) -> None:
    source = of(f'{{"a": [{", ".join(numbers)}], "b": 1}}')
    if any(len(number) == 401 for number in numbers):
        with pytest.raises(BrokenFile, match=r"f\.json"):
            list(source.values())
        return
    (value,) = source.values()
    finite = [float(number) if math.isfinite(float(number)) else None for number in numbers]
    assert value == {"a": [pytest.approx(one, rel=1e-15, abs=0) if one else one for one in finite], "b": 1}


@given(st.text(st.sampled_from('{}[]:,"\\eE+-.0123456789ux\n \x00aNж'), max_size=30))
def test_no_text_lets_a_foreign_error_out(text: str) -> None:
    for content in (text, f"[{text}]", f'{{"a": {text}}}'):
        source = of(content)
        try:
            list(source.string_lines())
            list(source.values())
        except BrokenFile as error:
            assert "f.json" in str(error)


def test_a_broken_line_is_named_and_the_others_are_read() -> None:
    lines = of('{"a": 1}\n{"a": \n{"a": 3}\n')
    assert list(lines.values()) == [{"a": 1}, {"a": 3}]
    assert [line.number for line in lines.broken] == [2]


PIECES = st.lists(st.sampled_from(
    [r"\\", r"\x1F", r"\ud83d", r"\ude00", r"\u0431", r"\"", r"\n", "a", "ж", "\x01", "x1F"]))
LETTERS = st.characters(exclude_categories=["Cs"])


@given(PIECES, st.integers(1, 9))
def test_where_a_buffer_ends_does_not_matter(pieces: list[str], size: int) -> None:
    """An escape may be cut in two by the end of a buffer; it is mended the same as in one piece."""
    text = "".join(pieces)

    def read(size: int) -> bytes:
        stream, parts = _Strict(io.StringIO(text)), list[bytes]()
        while part := stream.read(size):
            parts.append(part)
        return b"".join(parts)

    assert read(size) == read(10_000)
    json.loads(b'"' + read(size).replace(b"\n", b"") + b'"')  # and it is strict JSON


@given(st.recursive(st.none() | st.booleans() | st.integers(-2**53, 2**53) | st.text(LETTERS), lambda inner: (
    st.lists(inner, max_size=4) | st.dictionaries(st.text(LETTERS), inner, max_size=4)), max_leaves=20), st.booleans())
def test_any_value_comes_back_as_it_was(value: object, ascii_only: bool) -> None:
    assert list(of(json.dumps([{"v": value}], ensure_ascii=ascii_only)).values()) == [{"v": value}]


def test_events_hand_over_whole_items_and_the_keys_around_them() -> None:
    chat = {"name": "Ann", "type": "personal_chat", "messages": [{"id": 1, "text": ["a", {"b": 2}]}, {"id": 2}]}
    events = list(of(json.dumps(chat)).events({"messages.item"}))
    assert [value for prefix, event, value in events if event == "value"] == chat["messages"]
    assert ("name", "string", "Ann") in events


def test_a_large_file_is_never_held_whole() -> None:
    """An export of hundreds of megabytes must not need gigabytes: the peak stays at a few conversations."""
    one = json.dumps({"mapping": {str(i): {"text": "слово " * 20} for i in range(200)}})

    class Endless(io.RawIOBase):
        def __init__(self) -> None:
            self.left, self.rest = 800, b"["

        def readable(self) -> bool:
            return True

        def readinto(self, buffer: Any) -> int:
            if not self.rest and self.left:
                self.left -= 1
                self.rest = one.encode() + (b"," if self.left else b"]")
            part, self.rest = self.rest[:len(buffer)], self.rest[len(buffer):]
            buffer[:len(part)] = part
            return len(part)

    tracemalloc.start()
    try:
        source = Json(lambda: io.BufferedReader(Endless()), "f.json")
        count = sum(1 for _ in source.values())
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert (count, peak < 20e6, len(one) * 800 > 50e6) == (800, True, True)
