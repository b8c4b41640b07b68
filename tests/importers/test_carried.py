"""What an export of a twin carries comes back: the same claims under the same ids, whatever was cut off or changed."""
from __future__ import annotations

import json
import re
import struct
import zlib
from base64 import b64encode
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.exporters.material import CLAIMS, HOSTILE, claim, material
from twin import importers
from twin.errors import InputError, UnknownFormat
from twin.exporters import FORMATS, Material
from twin.exporters.escape import one_line
from twin.exporters.sheet import quote_of
from twin.importers import Found, carried
from twin.person import Carried, Claim
from twin.text import one_line as printable

FORMS = ("prompt", "plain", "xml", "claude", "agents", "skill", "modelfile", "card", "card-v2", "card-v3", "persona")
TEXTS = ("prompt", "plain", "xml", "agents")
TONGUES = ("en", "ru")


def file_of(form: str, whole: Material, folder: Path, budget: int = 10**6) -> Path:
    """The file that is read first, as an export writes it."""
    export = FORMATS[form](whole, budget)
    name, content = next(iter(export.files.items()))
    path = folder / name
    path.write_bytes(content if isinstance(content, bytes) else str(content).encode())
    return path


def back(path: Path) -> list[Carried]:
    found = list(importers.read(path))
    assert all(one.conversation is None and one.failure is None for one in found), "an export is no talk"
    return [claim for one in found for claim in one.claims]


def folded(text: str) -> str:
    """A text as it can come back: without white space and what nobody sees."""
    return "".join(printable(one_line(text)).split())


@pytest.mark.parametrize("language", TONGUES)
@pytest.mark.parametrize("form", FORMS)
def test_every_form_brings_its_claims_back(form: str, language: str, tmp_path: Path) -> None:
    whole = material(language=language, constitution="Ask first.", role="critic", notes=("Little data.",), name="Bee")
    found = {one.claim: one for one in back(file_of(form, whole, tmp_path))}

    assert found.keys() == {one.id for one in CLAIMS[language]}
    for one in CLAIMS[language]:
        kept = found[one.id]
        assert (kept.text, kept.language, kept.quote) == (one.text, language, one.evidence[0].quote)
        assert kept.kind == one.kind
        assert kept.origin == f"core {whole.firmware.id}"


@pytest.mark.parametrize("form", FORMS)
def test_a_public_copy_says_so(form: str, tmp_path: Path) -> None:
    whole = material(level="public")
    found = back(file_of(form, whole, tmp_path))

    assert {one.origin for one in found} == {f"core {whole.firmware.id} (public)"}
    assert len(found) == 5


_NAMES = st.from_regex(r"\A[A-Za-z0-9_.-]{1,20}\Z") | st.from_regex(r"\A(fact|free)\.[0-9a-f]{8}\Z")
_IDS = st.lists(_NAMES, unique=True, max_size=6)
_WORDS = (st.text(min_size=1, max_size=60) | st.sampled_from(HOSTILE)).filter(lambda text: one_line(text) != "")


@st.composite
def claims_of(draw: st.DrawFn) -> list[Claim]:
    return [claim(name, draw(_WORDS), draw(st.integers(0, 100)) / 100, draw(_WORDS),
                  authority=draw(st.sampled_from(["said", "inferred", "approved"]))) for name in draw(_IDS)]


@pytest.mark.parametrize("form", [*TEXTS, "modelfile", "card-v3", "persona"])
@settings(max_examples=12, deadline=None)
@given(claims=claims_of(), language=st.sampled_from(TONGUES), words=st.sampled_from(HOSTILE))
def test_ids_and_texts_are_those_that_left(form: str, claims: list[Claim], language: str, words: str,
                                           tmp_path_factory: pytest.TempPathFactory) -> None:
    whole = material(claims, language=language, constitution=words, notes=(words,), name=words)
    found = {one.claim: one for one in back(file_of(form, whole, tmp_path_factory.mktemp("back")))}
    left = {one.id: one for one in claims}

    assert found.keys() == left.keys()
    for name, one in found.items():
        assert folded(one.text) == folded(left[name].text)
        assert folded(one.quote) == folded(quote_of(left[name]))


def test_an_id_of_any_letters_comes_back(tmp_path: Path) -> None:
    names = ["a] (said, 0.99) [b", "имя", "<x>", "{{user}}", "50%"]
    strange = [claim(name, f"Claim {n}.") for n, name in enumerate(names)]

    for form in TEXTS:
        assert [one.claim for one in back(file_of(form, material(strange), tmp_path))] == [one.id for one in strange]


@pytest.mark.parametrize("kind", ["thinking", "style", "values", "domain", "language", "fact", "preference"])
def test_the_kind_of_a_claim_is_found_by_its_id(kind: Any, tmp_path: Path) -> None:
    from twin.claims import free_id
    from twin.facets import facets

    facet = next((one for one in facets().values() if one.kind == kind), None)
    free = claim(free_id(kind, "You like the sound of rain."), "You like the sound of rain.", kind=kind)
    known = [claim(facet.id, facet.text["en"], kind=kind)] if facet else []
    stated = [claim(f"{kind}.0a0b0c", "You say so.", kind=kind)] if kind in ("fact", "preference") else []

    assert {one.kind for one in back(file_of("prompt", material([free, *known, *stated]), tmp_path))} == {kind}


# ---- whole folders -------------------------------------------------------------------------------------------------

def test_a_skill_is_read_as_a_folder_and_nothing_in_it_is_a_note_of_the_person(tmp_path: Path) -> None:
    for name, text in FORMATS["skill"](material()).files.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(str(text), "utf-8")
    found = list(importers.read(tmp_path))

    assert len(found) == 9
    assert not [one for one in found if one.conversation or one.failure]
    assert {claim.claim for one in found for claim in one.claims} == {one.id for one in CLAIMS["en"]}


def test_a_form_without_claims_says_so(tmp_path: Path) -> None:
    (found,) = importers.read(file_of("chatgpt", material(), tmp_path))

    assert (found.claims, dict(found.skipped)) == ((), {"export without claims": 1})


def test_who_speaks_in_an_export_is_asked_of_nobody(tmp_path: Path) -> None:
    for form in FORMS:
        assert not importers.people(file_of(form, material(), tmp_path)).strangers


# ---- cut, edited, hostile ------------------------------------------------------------------------------------------

@pytest.mark.parametrize("form", TEXTS)
def test_what_is_left_of_a_cut_text_is_read(form: str, tmp_path: Path) -> None:
    """Cut anywhere: what can be read is a beginning of the claims, and never a note of the person's own."""
    path = file_of(form, material(), tmp_path)
    whole, ids = path.read_text("utf-8"), [one.claim for one in back(path)]
    third = [match.end() for match in re.finditer(r"\) \[[\w.-]+\]\n", whole)][2]
    for end in range(third, len(whole), 97):
        path.write_text(whole[:end], "utf-8")
        found = [one.claim for one in back(path)]

        assert found == ids[:len(found)]
        assert len(found) >= 3
    path.write_text(whole[len(whole) // 2:], "utf-8")
    assert {one.claim for one in back(path)} <= set(ids)


def test_edited_lines_lose_only_themselves(tmp_path: Path) -> None:
    path = file_of("prompt", material(), tmp_path)
    text = path.read_text("utf-8").replace("(inferred, 0.82) [order-first]", "(I think)").replace(
        "You keep three hives.", "You keep four hives.")
    path.write_text(text + "\nMy own line below.\n", "utf-8")
    found = {one.claim: one.text for one in back(path)}

    assert len(found) == 4
    assert found["fact.0f0f0f"] == "You keep four hives."


def test_a_diary_or_a_chat_that_holds_a_prompt_stays_what_it_is(tmp_path: Path) -> None:
    pasted = FORMATS["prompt"](material()).text
    diary = tmp_path / "2026-01-05.md"
    days = "".join(f"\nDay {n} was long.\n" for n in range(90))
    diary.write_text(f"I copied this today.\n\n{pasted}{days}", "utf-8")

    assert [one.conversation is not None for one in importers.read(diary)] == [True]


CARD: dict[str, Any] = json.loads(FORMATS["card-v3"](material()).text)


def _changed(change: Callable[[dict[str, Any]], Any]) -> dict[str, Any]:
    card: dict[str, Any] = json.loads(json.dumps(CARD))
    change(card["data"]["extensions"])
    return card


@pytest.mark.parametrize(("change", "left"), [
    (lambda e: e.pop("twin/claims"), 0), (lambda e: e.update({"twin/claims": "no list"}), 0),
    (lambda e: e["twin/claims"].append(7), 5), (lambda e: e["twin/claims"].append({"id": 7, "text": []}), 5),
    (lambda e: e["twin/claims"].append({"id": "x", "text": "y" * 5000}), 5),
    (lambda e: e["twin/claims"].append(e["twin/claims"][0]), 5), (lambda e: e.update({"twin/core": {}}), 5),
    (lambda e: e["twin/claims"][0].update(kind="no kind", quote=None), 5),
    (lambda e: e["twin/claims"].append({"id": "\x1b[2J", "text": "a\nb\u202ec", "kind": "style"}), 6)])
def test_a_changed_card_gives_what_is_sound(change: Callable[[dict[str, Any]], Any], left: int, tmp_path: Path) -> None:
    path = tmp_path / "card.json"
    path.write_text(json.dumps(_changed(change)), "utf-8")
    (found,) = importers.read(path)

    assert len(found.claims) == left
    assert not [one for one in found.claims if re.search(r"[\x00-\x1f\u202e]", one.claim + one.text + one.quote)]


def test_a_card_of_somebody_else_is_unknown(tmp_path: Path) -> None:
    path = tmp_path / "card.json"
    for card in (_changed(lambda e: e.pop("twin/core")), {**CARD, "spec": "other"}):
        path.write_text(json.dumps(card), "utf-8")
        with pytest.raises(UnknownFormat):
            list(importers.read(path))


def _chunk(kind: bytes, body: bytes, length: int | None = None) -> bytes:
    return struct.pack(">I", len(body) if length is None else length) + kind + body + struct.pack(
        ">I", zlib.crc32(kind + body))


_HEAD = b"\x89PNG\r\n\x1a\n" + _chunk(b"IHDR", bytes(13))
_GOOD = _chunk(b"tEXt", b"CCV3\0" + b64encode(json.dumps(CARD).encode()))
_BOMB = zlib.compress(bytes(10**7))


@pytest.mark.parametrize(("data", "left"), [
    (_HEAD + _GOOD + _chunk(b"IEND", b""), 5), (_HEAD + _GOOD, 5), (_HEAD + _GOOD + b"\0\0", 5),
    (_HEAD + _chunk(b"tEXt", b"chara\0" + b64encode(b"[1")) + _GOOD, 5),
    (_HEAD + _chunk(b"tEXt", b"chara\0!!!") + _GOOD + _chunk(b"tEXt", b"", 2**31 - 1), 5),
    (_HEAD + _chunk(b"zTXt", b"ccv3\0\0" + _BOMB) + _GOOD, 5),
    (_HEAD + _chunk(b"tEXt", b"ccv3\0" + b64encode(b"[" * 100_000)), None),
    (_HEAD + _chunk(b"tEXt", b"ccv3\0" + _GOOD, 2**32 - 1), None), (_HEAD + _GOOD[:-300], None),
    (_HEAD + _chunk(b"iTXt", b"ccv3\0\1\0\0\0" + _BOMB), None), (_HEAD, None), (_HEAD[:8], None),
    (_HEAD + _chunk(b"IEND", b"") + _GOOD, None)])
def test_broken_pictures_are_read_as_far_as_they_go(data: bytes, left: int | None, tmp_path: Path) -> None:
    path = tmp_path / "card.png"
    path.write_bytes(data)
    if left is None:
        with pytest.raises(InputError, match="carries no card"):
            list(importers.read(path))
    else:
        assert len(back(path)) == left


@settings(max_examples=100, deadline=None)
@given(cut=st.integers(0, 6000), at=st.integers(0, 6000), byte=st.integers(0, 255), form=st.sampled_from(FORMS))
def test_no_damage_raises_anything_but_an_input_error(cut: int, at: int, byte: int, form: str,
                                                      tmp_path_factory: pytest.TempPathFactory) -> None:
    name, data = _BYTES[form]
    damaged = bytearray(data[:max(1, len(data) - cut)])
    damaged[at % len(damaged)] = byte
    path = tmp_path_factory.mktemp("damaged") / name
    path.write_bytes(damaged)
    found: list[Found] = []
    with suppress(InputError):
        found.extend(importers.read(path))
    assert len({claim.claim for one in found for claim in one.claims}) <= 6


_BYTES = {form: (name, content if isinstance(content, bytes) else str(content).encode())
          for form in FORMS for name, content in list(FORMATS[form](material()).files.items())[:1]}


def test_a_long_claim_is_counted_and_left_out() -> None:
    long = claim("free.0a", "x" * (carried.LONGEST + 1))
    (found,) = carried.read_text("prompt.md", FORMATS["prompt"](material([long, *CLAIMS["en"]]), 10**6).text)

    assert dict(found.skipped) == {"malformed claim": 1}
    assert len(found.claims) == 5
