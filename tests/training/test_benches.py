"""The benches of training and likeness run from end to end, on a tiny core and made-up people."""
from __future__ import annotations

import json
import math
import random
from dataclasses import replace
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import pytest
import torch

from tests import tiny
from tests.bench import alora, likeness, likeness_figures, own_words
from tests.bench.council import read
from twin.likeness import Scored
from twin.training.lora import Shape

NOUNS = {"person-1": "kernel driver module patch socket cable switch router laptop battery",
         "person-2": "garden tomato compost spade bean hedge rain frost apple ladder",
         "person-3": "violin chorus tempo bridge string sonata pianist quartet stage bow",
         "diarist": "дорога вокзал поезд письмо брат окно вечер снег чайник лампа"}


@pytest.fixture(autouse=True)
def one_thread() -> None:
    torch.set_num_threads(1)


@pytest.fixture(scope="module")
def core(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny.core(tmp_path_factory.mktemp("core") / "tiny.gguf", n_layer=1, n_ctx_train=8192)  # tokens are bytes


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three people in a chat, a diarist, and sentences of nobody: twelve days each."""
    folder, dice = tmp_path_factory.mktemp("data"), random.Random(0)  # noqa: S311 - made up, not secret
    days = [str(date(2020, 1, 1) + timedelta(days=place)) for place in range(12)]

    def said(name: str) -> str:
        some = dice.sample(NOUNS[name].split(), 3)
        return dice.choice(["Why does the {} need a {} near the {}?", "I moved the {} to the {} and the {}",
                            "the {}, a {} and one {} again..."]).format(*some)

    chat = {name: [{"day": day, "time": f"{hour + 8:02}:00", "text": said(name)} for day in days for hour in range(5)]
            for name in NOUNS if name != "diarist"}
    diary = [{"date": day, "text": " ".join(f"Сегодня {' и '.join(dice.sample(NOUNS['diarist'].split(), 4))}."
                                            for _ in range(8))} for day in days]
    (folder / "persona-dev.json").write_text(json.dumps({"chat": chat, "diary_ru": diary}), "utf-8")
    lines = [f"T: Я вижу {' и '.join(dice.sample(NOUNS['diarist'].split(), 3))}\nQ: кто?\nA: я\n" for _ in range(200)]
    (folder / "ru-first-person-dev.txt").write_text("\n".join(lines), "utf-8")
    return folder


SMALL = ("--people", "person-1,person-2,diarist", "--steps", "4", "--held", "6", "--questions", "2", "--replies", "2",
         "--general", "3", "--threads", "1")


@pytest.mark.slow
def test_likeness_measures_everybody_and_a_second_run_measures_nothing_again(
        core: Path, data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
        capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setenv("DATA", str(data))
    out, cache = tmp_path / "out.jsonl", tmp_path / "cache"
    words = ("--model", str(core), *SMALL, "--cache", str(cache), "--out", str(out))

    likeness.main("run", *words)
    lines, told = read(out), capsys.readouterr().out

    assert {(one["part"], one["of"]) for one in lines[1:]} >= {
        ("bits", "diarist"), ("question", "person-1"), ("replies", "person-2"), ("lzma", "diarist"),
        ("general", own_words.RUSSIAN)}
    assert "Own adapter against others'" in told and "Null result" in told
    found = json.loads(out.with_suffix(".json").read_text("utf-8"))
    assert set(found["people"]["person-1"]["rows"]) >= {"base", "+ recall", "own adapter", "adapter of person-2",
                                                        "own adapter on person-2's words", "their own words"}
    assert NOUNS["person-1"].split()[0] not in out.read_text("utf-8")

    whole = out.read_bytes()
    out.write_bytes(b"\n".join(whole.split(b"\n")[:-6]) + b"\n{\"part\"")  # killed while it wrote
    likeness.main("run", *words)
    again = read(out)

    def figures(some: list[Any]) -> list[Any]:
        return sorted(([one["part"], one["of"], one.get("condition"), one.get("bits"), one.get("style")]
                       for one in some[1:]), key=str)
    assert figures(again) == figures(lines)


def test_a_report_of_a_run_that_has_just_begun_says_that_nothing_was_measured() -> None:
    made = {"core": "tiny@0", "people": ["person-1"], "kind": "alora", "steps": 4}

    found = likeness_figures.figures([made])

    assert found.gates["person-1"].failed == ("own", "bar", "general") and "Null result" in found.verdict
    assert json.loads(json.dumps(found.plain(), allow_nan=False))["people"]["person-1"]["on"] is False
    assert "not measured" in found.text()


@pytest.mark.slow
def test_alora_compares_both_kinds_at_equal_time_and_a_second_run_trains_nothing_again(
        core: Path, data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
        capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setenv("DATA", str(data))
    out = tmp_path / "out.jsonl"
    words = ("--model", str(core), "--minutes", "0.002", "--sets", "q,v", "--ranks", "2", "--held", "6", "--trial", "1",
             "--conversation", "300", "--threads", "1", "--cache", str(tmp_path / "cache"), "--out", str(out))

    alora.main("run", *words)
    lines, told = read(out), capsys.readouterr().out

    assert "Default that follows: alora on" in told
    switch = {one["shape"]: one for one in lines if one.get("part") == "switch"}
    shared, own = (switch[f"q,v r8 {kind}"] for kind in ("alora", "lora"))
    assert own["cells"] > 4 * 300 > 2 * 300 > shared["cells"] > 300  # a conversation for each role, and one for all

    alora.main("run", *words)
    assert read(out) == lines


def test_the_share_that_an_activated_adapter_keeps_is_of_the_plain_one_s_gain() -> None:
    def scored(bits: float) -> Scored:
        return Scored("", (bits, bits), (10, 10), ("a", "b"))

    assert alora.kept(scored(30), scored(22), scored(20)) == pytest.approx(0.8)
    assert math.isnan(alora.kept(scored(20), scored(22), scored(30)))


def test_adapters_of_one_language_learn_equally_many_tokens_and_the_newest(core: Path, data: Path) -> None:
    crowd = own_words.people(data)
    chat = {name: crowd[name] for name in ("person-1", "person-2")}
    few = replace(chat["person-2"], split=replace(chat["person-2"].split, learn=chat["person-2"].split.learn[:9]))

    made = own_words.words(core, {**chat, "person-2": few})

    longest = max(sum(one.learned) for one in made["person-1"].learn)
    assert 0 <= made["person-2"].tokens - made["person-1"].tokens < longest
    assert len(made["person-2"].samples) == 9 and made["person-1"].samples[-1] == chat["person-1"].split.learn[-1]


def test_a_diary_is_cut_into_pieces_each_after_the_one_before(data: Path) -> None:
    diarist = own_words.people(data)["diarist"]

    entry = [one for one in diarist.split.learn if one.conversation == diarist.split.learn[0].conversation]
    assert len(entry) > 1 and all(len(one.answer) <= own_words.PIECE for one in entry)
    assert [one.context for one in entry] == ["", *(one.answer for one in entry[:-1])]


def test_an_adapter_of_the_same_words_is_found_again_and_one_of_others_is_not(
        core: Path, data: Path, tmp_path: Path) -> None:
    words = own_words.words(core, {name: one for name, one in own_words.people(data).items() if name == "person-1"})
    own = words["person-1"]
    said: list[str] = []

    def made(some: own_words.Words) -> Path:
        how = own_words.settings(some, 2, 0, threads=1)
        return own_words.adapter(core, some, Shape(targets=("q",)), how, tmp_path, said.append, "x").path

    first = made(own)
    told = len(said)
    assert made(own) == first and len(said) == told
    assert made(replace(own, learn=own.learn[1:])) != first
