"""The program speaks the person's language, and whatever a lower room says in English has its Russian: templates are
read from the sources (tests/sentences.py) and held against the table."""
from __future__ import annotations

import ast
import locale
import re
import tomllib
from dataclasses import replace
from functools import lru_cache
from pathlib import Path
from string import Formatter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.sentences import HOLE, ROOT, collected, reasons, sources
from twin import words
from twin.catalog import load_models
from twin.errors import FetchError, RoleError, UsageError
from twin.likeness import report
from twin.placement import Device, Placement, fit
from twin.prompt_view import Part, PromptView, Section, _acting
from twin.proof.words import _MORE, WORDS
from twin.types import Adapter
from twin.words import Words, error, holes, preferred, sentence

TABLE: dict[str, str] = tomllib.loads((ROOT / "twin" / "russian.toml").read_text("utf-8"))["sentences"]
# What is collected and stands in no table, each with its reason.
SPARED = {
    "{}": "passes on what another error said, which has its own sentence",
    "{}.": "as above; what a trial of a file found is a sentence by then",
    "{} {}.": "the table has what the second hole can be",
    "{} ({})": "a device and its address",
    "": "no reason",
}
# Values that are not shown in Russian, each with its reason.
DROPPED = {"{} is of high risk: {}": "the operation in English words; every face shows it in Russian beside the button",
           "This machine has": "'s' of a plural", "String should have at least {} character": "one",
           "Input should be a valid dictionary or instance of {}": "a class of ours"}
# Names that stay in Latin letters wherever they stand, and what is typed as it is.
LATIN = re.compile(r"""
    `[^`]*` | '[^']*' | «[^»]*» | "[^"]*" | --[\w-]+ | \*?\.\w+\b | \b[\w.+-]*[\d_.=\[\](]+[\w.=\[\]()+-]* |
    \b[A-Z][A-Za-z+]*\b | \b(?: twin | zip | torch | dropout | alpha | cmake | flash | attention | gradient | str |
    auto | lora | checkpointing | alora | host | port | pip | install | mbox | device | out | in | llama-cpp-python |
    decide | show | reflect | approve | reject | pin | edit | undo | keep | critic | messages | low | value | high |
    claim | proposals )\b
    """, re.VERBOSE)

# The parts of a prompt, by who reads them.
PARTS: dict[Section, tuple[str, ...]] = {
    "shared": ("start", "constitution", "about", "history", "question"), "memories": ("memories",),
    "tail": ("role", "opening", "errand"), "room": (), "free": ()}


def filled(template: str, *values: str) -> str:
    """The template with its holes filled, in order."""
    parts = template.split(HOLE)
    return "".join(part + value for part, value in zip(parts, (*values, ""), strict=True))


def sample(template: str) -> list[str]:
    return [f"ж{number}" for number in range(template.count(HOLE))]


def taken_by(said: str) -> str | None:
    """The template of the table that a sentence goes by."""
    exact, templates = words._templates()
    return said if said in exact else next((one for one, _ in templates if holes(one, said) is not None), None)


# ---- the table is whole, and holds nothing else -------------------------------------------------------------------

def test_everything_that_is_said_was_collected() -> None:
    found = collected()
    assert len(found) > 700
    for known in ("There is no role {}.", "{} is being written by another process.", "recall by meaning",
                  "{}, line {}: {}.", "Fetch one with `twin models pull {}`.", "no word in common"):
        assert known in found, known


def test_every_sentence_has_its_russian() -> None:
    for template in sorted(collected().keys() - SPARED.keys()):
        said = sentence(filled(template, *sample(template)), "ru")
        sayable = re.search("[a-z]{3}", LATIN.sub("", template))

        assert re.search("[а-яё]{2}", said.replace("ж", "")) or not sayable, f"no Russian: {said}"
        assert not re.findall("[a-z]{3,}", LATIN.sub("", said)), f"half English: {said}"


def test_every_reason_to_leave_something_out_has_its_russian() -> None:
    assert [reason for reason in sorted(reasons()) if not re.search("[а-яё]", sentence(reason, "ru"))] == []


def test_what_is_spared_is_still_said() -> None:
    assert SPARED.keys() <= collected().keys()


def test_a_template_is_reached_by_what_it_stands_for() -> None:
    """No other one takes its sentences, or they would be said otherwise."""
    assert [english for english in TABLE if taken_by(filled(english, *sample(english))) != english] == []


def test_the_russian_uses_every_hole_and_no_other() -> None:
    for english, russian in TABLE.items():
        there = set(range(english.count(HOLE)))
        parts = [(name, spec or "") for _, name, spec, _ in Formatter().parse(russian) if name is not None]
        used = {int(name) if name else place for place, (name, _) in enumerate(parts)}

        assert len({bool(name) for name, _ in parts}) < 2, f"in order or by number, not both: {english}"
        assert used <= there, english
        assert used == there or any(english.startswith(one) for one in DROPPED), english
        assert all(spec in ("", "said", "list") or spec.count("|") == 2 for _, spec in parts), english


def test_the_table_holds_nothing_that_nobody_says() -> None:
    """Each word of a sentence stands in the texts of one file, or of what we ship beside the code."""
    shelf = [_vocabulary(path) for path in (*(source.path for source in sources()), ROOT / "models" / "catalog.toml",
                                            ROOT / "twin" / "operation_text.toml")]
    said = {one for template in collected() if (one := taken_by(filled(template, *sample(template))))}
    validated = ("Input should", "String should", "Field required", "Extra inputs")  # pydantic's own words
    stray = [english for english in TABLE if english not in said and not english.startswith(validated)
             and not any(_words_of(english) <= known for known in shelf)]

    assert stray == []


@lru_cache(maxsize=512)
def _vocabulary(path: Path) -> frozenset[str]:
    text = path.read_text("utf-8")
    if path.suffix == ".py":
        text = "\n".join(node.value for node in ast.walk(ast.parse(text))
                         if isinstance(node, ast.Constant) and isinstance(node.value, str))
    return _words_of(text)


def _words_of(text: str) -> frozenset[str]:
    return frozenset(re.findall("[a-zA-Z]{2,}", text))


# ---- what knows both languages itself says the same here ----------------------------------------------------------

BILINGUAL = [*((WORDS["en"][name], WORDS["ru"][name]) for name in WORDS["en"]), (_MORE["en"], _MORE["ru"]),
             *((report._WORDS["en"][name], report._WORDS["ru"][name]) for name in report._WORDS["en"])]


@pytest.mark.parametrize(("english", "russian"), BILINGUAL, ids=str)
def test_a_reason_is_said_as_its_own_room_says_it_in_russian(english: str, russian: str) -> None:
    figures = {name: f"ж{place}" for place, name in enumerate(dict.fromkeys(_named(english)))}

    assert sentence(_plain(english, figures), "ru") == _plain(russian, figures)


def _named(text: str) -> list[str]:
    return [name for _, name, _, _ in Formatter().parse(text) if name]


def _plain(text: str, figures: dict[str, str]) -> str:
    return "".join(literal + (figures[name] if name else "") for literal, name, _, _ in Formatter().parse(text))


def test_every_model_of_the_catalogue_says_in_russian_what_it_is_for() -> None:
    assert [model.name for model in load_models() if sentence(model.purpose, "ru") == model.purpose] == []


# ---- how a sentence is found --------------------------------------------------------------------------------------

def test_a_value_keeps_its_place_and_the_sentence_its_language() -> None:
    raised = UsageError("There is no role 'critik'.", "Choose one of: critic, scribe.")

    assert error(raised, "ru") == "Роли 'critik' нет. Выберите одно из: critic, scribe."
    assert error(raised, "en") == str(raised)


def test_what_one_room_says_inside_another_is_russian_too() -> None:
    raised = RoleError("critic.md, line 7: sampling.temperature: Input should be less than or equal to 1.3.",
                       "Correct that line and do the same again; nothing was changed.")
    assert error(raised, "ru") == ("critic.md, строка 7: sampling.temperature: здесь должно быть не больше 1.3. "
                                   "Исправьте эту строку и повторите; ничего не изменено.")


def test_several_sentences_and_several_reasons_are_said_one_by_one() -> None:
    assert sentence("a.json is empty. Export it again, or choose another file.", "ru") == \
        "a.json пуст. Выгрузите снова или выберите другой файл."
    assert sentence("words: peas, soil; by words only: no embedder; 2025-03-02", "ru") == \
        "слова: peas, soil; только по словам: нет модели векторов; 2025-03-02"


def test_what_each_source_of_a_download_answered_is_said_line_by_line() -> None:
    raised = FetchError("tiny.gguf could not be fetched.", "Try again later, or give a copy of yours with --from PATH.",
                        tried=("hub a/b: no answer within 10 s", "package index c: the hub answered 404"))
    assert error(raised, "ru").split("\n") == [
        "tiny.gguf не удалось загрузить.", "  хаб a/b: нет ответа за 10 с",
        "  каталог пакетов, c: хаб ответил 404 Попробуйте позже или дайте свою копию: --from PATH."]


@pytest.mark.parametrize(("said", "russian"), [
    ("3 memories", "3 воспоминания"), ("21 memories", "21 воспоминание"), ("11 memories", "11 воспоминаний"),
    ("1,102 memories", "1,102 воспоминания")])
def test_a_number_takes_its_russian_form(said: str, russian: str) -> None:
    assert sentence(said, "ru") == russian


def test_notes_of_a_placement_are_said_in_russian() -> None:
    live = [Device("CUDA0", "a card", "gpu", 8 << 30, 8 << 30)]
    plans = [Placement(devices=("CUDA0", "CUDA1"), tensor_split=(1, 1)), Placement(devices=("CUDA1",)),
             Placement(devices=("CUDA1", "CUDA2")), Placement(tensor_split=(1, 1, 1)), Placement(kv_type="q8_0"),
             Placement(devices=("CUDA1", "CUDA0"), split_mode="none")]
    notes = [note for plan in plans for note in fit(plan, live)[1]]

    assert len(notes) >= len(plans)
    for note in notes:
        assert not re.findall("[a-z]{3,}", LATIN.sub("", sentence(note, "ru"))), note


def test_what_nobody_knows_stays_as_it_is() -> None:
    assert sentence("An unheard-of thing happened", "ru") == "An unheard-of thing happened"
    assert sentence("", "ru") == ""


# Values as they occur: names, paths, numbers; no sentence of ours within.
VALUES = st.text(st.sampled_from("abжщ0189/_-"), min_size=1, max_size=12)


@given(st.sampled_from(sorted(one for one, russian in TABLE.items() if HOLE in one and ":" not in russian)), st.data())
def test_any_value_comes_back_where_the_russian_puts_it(english: str, data: st.DataObject) -> None:
    values = [data.draw(VALUES) for _ in range(english.count(HOLE))]
    found = holes(english, filled(english, *values))

    assert found is not None
    assert filled(english, *found) == filled(english, *values)
    if taken_by(filled(english, *values)) == english:
        assert sentence(filled(english, *values), "ru") == TABLE[english].format(*found)


@given(st.text())
def test_no_text_whatever_breaks_a_sentence(text: str) -> None:
    assert sentence(text, "en") == text
    assert isinstance(sentence(text, "ru"), str)
    assert repr(text) in sentence(f"There is no role {text!r}.", "ru")


@pytest.mark.parametrize("piece", [", is (sha256 ", "a: ", "Ask again. ", "x\n", "a; ", "{} is {}. "])
def test_a_long_text_full_of_separators_is_said_as_well(piece: str) -> None:
    """Neither a pattern that tries all ways to split it, nor a step deeper for each."""
    said = "The adapter " + piece * 20_000
    assert len(sentence(said, "ru")) > len(piece) * 10_000


# ---- a room's own words -------------------------------------------------------------------------------------------

def test_words_are_filled_and_braces_in_values_mean_nothing() -> None:
    assert Words("twin", "ru")("Left out: {what}", what="{x}") == "Не вошло: {x}"
    assert Words("twin", "en")("Left out: {what}", what="{x}") == "Left out: {x}"
    assert Words("twin", "ru")("Never heard {of}", of="this") == "Never heard this"


@pytest.mark.parametrize(("n", "said"), [(1, "1 thing"), (2, "2 things"), (0, "0 things"), (1500, "1,500 things")])
def test_english_counts(n: int, said: str) -> None:
    assert Words("twin", "en").count(n, "{n} thing", "{n} things") == said


@pytest.mark.parametrize(("n", "form"), [(0, 2), (1, 0), (2, 1), (4, 1), (5, 2), (11, 2), (12, 2), (14, 2), (21, 0),
                                         (22, 1), (101, 0), (111, 2), (1003, 1), (-1, 0)])
def test_russian_has_three_forms(n: int, form: int) -> None:
    assert words._form(n) == form


# ---- which language -----------------------------------------------------------------------------------------------

VARIABLES = ("TWIN_LANG", "LC_ALL", "LC_MESSAGES", "LANG")


@pytest.mark.parametrize(("said", "chosen", "language"), [
    ({}, "ru", "ru"), ({"TWIN_LANG": "ru"}, "en", "en"), ({"TWIN_LANG": "ru", "LANG": "en_GB.UTF-8"}, None, "ru"),
    ({"TWIN_LANG": "en", "LANG": "ru_RU.UTF-8"}, "", "en"), ({"LANG": "ru_RU.UTF-8"}, None, "ru"),
    ({"LC_ALL": "C.UTF-8", "LANG": "ru_RU.UTF-8"}, None, "ru"), ({"LC_MESSAGES": "ru_RU", "LANG": "en_US"}, None, "ru"),
    ({"LC_ALL": "de_DE.UTF-8", "LANG": "ru_RU.UTF-8"}, None, "en"), ({"TWIN_LANG": "RU"}, None, "ru"),
    ({"LANG": "C"}, None, "en")])
def test_the_language_is_the_chosen_one_then_the_variables_then_the_locale(
        said: dict[str, str], chosen: str | None, language: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in VARIABLES:
        monkeypatch.delenv(name, raising=False)
    for name, value in said.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(locale, "getlocale", lambda: (None, None))

    assert preferred(chosen) == language


# ---- a prompt taken apart ------------------------------------------------------------------------------------------

def test_a_prompt_is_taken_apart_in_the_language_of_the_face_and_stays_what_it_is() -> None:
    parts = tuple(Part(kind, "in English", 3, section) for section, kinds in PARTS.items() for kind in kinds)
    acting = tuple(_acting(Adapter("a.gguf", scale, kind)) for kind in ("lora", "alora", "auto") for scale in (0, 1))
    english = PromptView(parts, 20, 30, "critic", ("3 memories", "the profile digest"), acting)
    russian = replace(english, language="ru")

    shown = str(russian).replace("in English", "")
    assert str(russian).count("in English") == len(parts)
    assert not re.findall("[a-z]{3,}", LATIN.sub("", shown.replace("a.gguf", ""))), shown
    assert "3 воспоминания" in shown and "лишних" in shown
    assert "shared" not in russian._repr_html_() and "общее начало" not in english._repr_html_()


def test_the_words_of_a_prompt_view_are_said_and_no_others() -> None:
    source = (ROOT / "twin" / "prompt_view.py").read_text("utf-8") + "".join(
        f'"{kind}"' for kinds in PARTS.values() for kind in kinds)
    assert [english for english in words.table("twin") if not {f'"{english}"', f"'{english}'"} & _texts(source)] == []


def _texts(source: str) -> set[str]:
    return {*re.findall("\"[^\"\\n]*\"|'[^'\\n]*'", source), *re.findall("'[^'\\n]*'", source)}
