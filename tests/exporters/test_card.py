"""Cards and personas: what the specifications demand is there, Pillow reads the picture, and nothing was invented."""
from __future__ import annotations

import io
import json
from base64 import b64decode
from datetime import timedelta
from pathlib import Path
from typing import Any

import jsonschema  # type: ignore[import-untyped]
import pytest
from PIL import Image
from PIL.PngImagePlugin import PngImageFile

from tests.exporters import parsers
from tests.exporters.material import HOSTILE, MADE, claim, material
from twin.exporters import FORMATS, Material
from twin.exporters.escape import plain, utf16
from twin.exporters.png import drawn
from twin.exporters.sheet import ranked

TONGUES = ("en", "ru")
SCHEMAS = {name: json.loads((Path(__file__).parent / "schemas" / f"{name}.json").read_text("utf-8"))
           for name in ("card-v2", "card-v3")}


def card(format: str, whole: Material) -> dict[str, Any]:
    read: dict[str, Any] = json.loads(FORMATS[format](whole).text)
    jsonschema.validate(read, SCHEMAS[format])
    return read


@pytest.mark.parametrize("language", TONGUES)
@pytest.mark.parametrize("format", ["card-v2", "card-v3"])
def test_a_card_is_one_by_its_specification(format: str, language: str) -> None:
    whole = material(language=language, name="Bee", role="critic", constitution="Ask first.")
    data = card(format, whole)["data"]
    core = whole.firmware

    assert data["name"] == "Bee"
    assert data["character_version"] == core.id
    assert data["system_prompt"] == FORMATS["plain"](whole).text
    assert (data["mes_example"], data["first_mes"], data["post_history_instructions"]) == ("", "", "")
    assert data["extensions"]["twin/core"] == {"id": core.id, "profile": "0123456789ab", "roles": "abababababab",
                                               "level": "private", "language": language}
    assert [one["id"] for one in data["extensions"]["twin/claims"]] == [one.id for one in ranked(whole.profile)]
    assert core.id in data["description"]
    assert core.id in data["creator_notes"]


@pytest.mark.parametrize("wrong", [{"spec": "chara_card_v9"}, {"data": {}}, {"spec_version": 3}])
def test_the_schemas_refuse_what_is_no_card(wrong: dict[str, Any]) -> None:
    good = card("card-v3", material())

    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate({**good, **wrong}, SCHEMAS["card-v3"])
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate({**good, "spec": "chara_card_v2", "spec_version": "2.0"}, SCHEMAS["card-v2"])


@pytest.mark.parametrize("language", TONGUES)
def test_the_book_has_an_entry_a_claim_called_by_its_own_words(language: str) -> None:
    whole = material(language=language)
    entries = card("card-v3", whole)["data"]["character_book"]["entries"]
    of = {one["extensions"]["twin/claim"]: one for one in entries}

    assert of.keys() == {one.id for one in whole.profile.claims}
    assert {"en": "hives", "ru": "улья"}[language] in of["fact.0f0f0f"]["keys"]
    assert not {"you", "ты", "тебя"} & set(of["fact.0f0f0f"]["keys"])
    assert {"en": "“I keep three hives behind the shed.”", "ru": "«Держу три улья за сараем.»"}[language] in of[
        "fact.0f0f0f"]["content"]
    assert all(one["keys"] and one["use_regex"] is False for one in entries)


@pytest.mark.parametrize("text", HOSTILE)
def test_no_macro_comes_out_of_a_persons_words(text: str) -> None:
    whole = material([claim("calm", text, 0.5, text)], name=text, constitution=text, notes=(text,))
    data = card("card-v3", whole)["data"]
    for read in (data, json.loads(FORMATS["persona"](whole).text)):
        strings = [*said(read)]

        assert strings
        assert not [one for one in strings if "{{" in one or "}}" in one or "<|" in one or "<USER>" in one.upper()]
    assert data["name"] == (plain(text[:80]) or "Twin")
    assert data["extensions"]["twin/claims"][0]["text"] == plain(text)


def said(value: Any) -> list[str]:
    if isinstance(value, dict):
        return [one for pair in value.items() for part in pair for one in said(part)]
    return [one for part in value for one in said(part)] if isinstance(value, list) else (
        [value] if isinstance(value, str) else [])


def test_each_part_of_a_card_that_enters_a_prompt_keeps_to_the_budget() -> None:
    many = [claim(f"free.{n:06x}", f"You like the number {n}.", 0.5) for n in range(60)]
    export = FORMATS["card-v2"](material(many), 2000)
    data = json.loads(export.text)["data"]

    assert 1900 < utf16(data["system_prompt"]) <= 2000
    assert utf16(data["description"]) <= 2000
    assert len(export.cut) + data["system_prompt"].count("\n- ") == 60
    assert len(data["extensions"]["twin/claims"]) == len(data["character_book"]["entries"]) == 60


# ---- the picture ---------------------------------------------------------------------------------------------------

@pytest.mark.parametrize("language", TONGUES)
def test_pillow_and_a_strict_reader_find_both_cards_in_the_picture(language: str) -> None:
    whole = material(language=language)
    export = FORMATS["card"](whole)
    data = export.files["card.png"]
    assert isinstance(data, bytes)
    with PngImageFile(io.BytesIO(data)) as picture:
        picture.load()
        texts = {name: json.loads(b64decode(value).decode()) for name, value in picture.text.items()}
        assert picture.size == (400, 600)
        assert not picture.getexif()
    kinds = [kind for kind, _ in parsers.chunks(data)]

    assert texts.keys() == {"chara", "ccv3"}
    jsonschema.validate(texts["chara"], SCHEMAS["card-v2"])
    jsonschema.validate(texts["ccv3"], SCHEMAS["card-v3"])
    assert texts["ccv3"] == card("card-v3", whole)
    repeats = {"en": "repeats the V3 card", "ru": "повторяет карточку V3"}[language]
    assert repeats in texts["chara"]["data"]["creator_notes"]
    assert "V3" not in card("card-v2", whole)["data"]["creator_notes"]
    assert set(kinds) == {"IHDR", "tEXt", "IDAT", "IEND"}, "no EXIF, no time, no compressed text"
    assert [json.loads(one)["spec"] for one in export.spoken] == ["chara_card_v3", "chara_card_v2"]
    assert export == FORMATS["card"](whole), "equal input gave another picture"


def test_the_picture_is_of_the_levels_and_of_nothing_else() -> None:
    deep, flat = drawn({1: 0, 7: 9}, {}), drawn({1: 9}, {})
    calm, other = (FORMATS["card"](material([claim("a", text)])).files["card.png"] for text in ("one", "another"))

    assert deep != flat
    assert pixels(deep) != pixels(flat)
    assert isinstance(calm, bytes)
    assert isinstance(other, bytes)
    assert pixels(calm) == pixels(other)
    assert drawn({}, {})[:4] == b"\x89PNG"


def pixels(data: bytes) -> bytes:
    with Image.open(io.BytesIO(data)) as picture:
        return picture.tobytes()


def test_for_the_public_a_card_does_not_say_when_it_was_made() -> None:
    assert card("card-v3", material(level="public"))["data"]["creation_date"] == 0
    assert card("card-v3", material())["data"]["creation_date"] == int(MADE.timestamp())


# ---- a persona -----------------------------------------------------------------------------------------------------

@pytest.mark.parametrize("language", TONGUES)
def test_a_persona_is_what_sillytavern_restores(language: str) -> None:
    whole = material(language=language, name="Bee")
    export = FORMATS["persona"](whole)
    read = json.loads(export.text)
    avatar = f"{whole.firmware.id}-bee.png"

    assert read["personas"] == {avatar: "Bee"}
    assert read["default_persona"] is None
    assert {name: type(value) for name, value in read["persona_descriptions"][avatar].items()} == {
        "description": str, "position": int, "depth": int, "role": int, "lorebook": str, "title": str,
        "connections": list}
    assert utf16(read["persona_descriptions"][avatar]["description"]) <= 4000
    assert export.files == {"personas.json": export.text}


def test_another_core_is_another_persona_and_the_same_core_the_same() -> None:
    """Restoring skips the ids that are there, so a changed core needs a new one, and an unchanged core none."""
    one, later, other = material(), material(), material(notes=("x",), constitution="Ask first.")
    object.__setattr__(later.firmware, "made", MADE + timedelta(days=9))

    assert FORMATS["persona"](one).text == FORMATS["persona"](later).text
    assert json.loads(FORMATS["persona"](one).text)["personas"].keys() != json.loads(
        FORMATS["persona"](other).text)["personas"].keys()
