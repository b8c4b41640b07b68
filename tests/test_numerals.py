"""A number is the same number in digits and in words, in both languages."""
from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from twin.numerals import numbers, split

EN = dict(enumerate(re.findall(r"\w+", "zero one two three four five six seven eight nine ten eleven twelve thirteen "
                               "fourteen fifteen sixteen seventeen eighteen nineteen")))
EN_TENS = ["twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety"]
RU = dict(enumerate(re.findall(r"\w+", "ноль один два три четыре пять шесть семь восемь девять десять одиннадцать "
                               "двенадцать тринадцать четырнадцать пятнадцать шестнадцать семнадцать восемнадцать "
                               "девятнадцать")))
RU_TENS = ["двадцать", "тридцать", "сорок", "пятьдесят", "шестьдесят", "семьдесят", "восемьдесят", "девяносто"]
RU_HUNDREDS = ["сто", "двести", "триста", "четыреста", "пятьсот", "шестьсот", "семьсот", "восемьсот", "девятьсот"]


def below(n: int, ones: dict[int, str], tens: list[str], join: str) -> str:
    return ones[n] if n < 20 else tens[n // 10 - 2] + (join + ones[n % 10] if n % 10 else "")


def english(n: int) -> str:
    if n >= 1000:
        return f"{english(n // 1000)} thousand" + (f" {english(n % 1000)}" if n % 1000 else "")
    if n >= 100:
        return f"{EN[n // 100]} hundred" + (f" and {below(n % 100, EN, EN_TENS, '-')}" if n % 100 else "")
    return below(n, EN, EN_TENS, "-")


def russian(n: int) -> str:
    if n >= 1000:
        return f"{russian(n // 1000)} тысяч" + (f" {russian(n % 1000)}" if n % 1000 else "")
    if n >= 100:
        return RU_HUNDREDS[n // 100 - 1] + (f" {below(n % 100, RU, RU_TENS, ' ')}" if n % 100 else "")
    return below(n, RU, RU_TENS, " ")


@given(st.integers(0, 999_999))
def test_a_number_in_words_is_the_number_in_digits(n: int) -> None:
    assert numbers(f"{english(n)} apples") == {n} == numbers(f"{n} apples")
    assert numbers(f"{russian(n)} яблок") == {n} == numbers(f"{n} яблок")


@pytest.mark.parametrize(("said", "meant"), [
    ("1,500 apples", {1500}), ("1 500 рублей", {1500}), ("1,5 км", {1.5}), ("1.5 km", {1.5}), ("1,234.56", {1234.56}),
    ("two dozen eggs", {24}), ("a dozen", {12}), ("полторы тысячи", {1500}), ("3 million", {3_000_000}),
    ("2 тыс.", {2000}), ("минус пять градусов", {-5}), ("it is -5", {-5}), ("3-4 weeks", {3, 4}),
    ("12.05.2024", {12, 5, 2024}), ("in 2024, 100 people", {2024, 100}), ("five and six", {5, 6}), ("трёх пятых", {3}),
    ("half an hour", {0.5})])
def test_numbers_are_read_as_they_are_written(said: str, meant: set[float]) -> None:
    assert numbers(said) == meant


@pytest.mark.parametrize("said", ["one of them", "no one knows", "the only one", "один из нас", "ни один", "second",
                                  "вторая семья", "без чисел", ""])
def test_words_that_count_nothing_are_no_numbers(said: str) -> None:
    assert numbers(said) == set()


@given(st.text(st.sampled_from("0123456789.,- \u00a0¹²½٣Ⅷ−%ёa'x"), max_size=30))
def test_no_text_is_too_strange_to_be_read(said: str) -> None:
    assert all(isinstance(number, float) for number in numbers(said))


def test_what_is_left_are_the_other_words() -> None:
    found, rest = split("Anna has twenty-one apples and 7 %")

    assert (set(found), rest) == ({21, 7}, ["anna", "has", "apples", "and"])
