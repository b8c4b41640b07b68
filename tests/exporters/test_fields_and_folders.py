"""Web fields, AGENTS.md, skills and Modelfiles keep the rules of the programs that read them."""
from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.exporters import parsers
from tests.exporters.material import HOSTILE, claim, material
from twin.adapters import Kept
from twin.errors import UsageError
from twin.exporters import FORMATS
from twin.exporters.agents import BYTES, LINES
from twin.exporters.escape import utf16
from twin.exporters.modelfile import base_of
from twin.exporters.sheet import mark, ranked
from twin.exporters.skill import slug

TONGUES = ("en", "ru")
MANY = [claim(f"free.{n:06x}", f"You count the {n}th thing twice, and write it down.", 0.9 - n / 1000,
              "Counted twice, so that it holds.") for n in range(180)]


# ---- ChatGPT's two fields ------------------------------------------------------------------------------------------

@pytest.mark.parametrize("language", TONGUES)
def test_both_fields_fit_and_say_how_long_they_are(language: str) -> None:
    whole = material([*MANY[:40], claim("smile", "You smile 🙂 at that.", 1.0)], language=language,
                     constitution="Ask first.")
    export = FORMATS["chatgpt"](whole)
    fields = parsers.fields(export.text)

    assert [count for count, _ in fields] == [utf16(text) for _, text in fields]
    assert all(count <= 1500 for count, _ in fields)
    assert fields[0][0] > 1400, "there was room for one more"
    assert "🙂" in fields[0][1]
    assert f"{len(export.cut)}." in fields[0][1].splitlines()[-1]
    assert fields[1][1].endswith(f"[{mark(whole)}]")
    assert "Ask first." in fields[1][1]
    assert "[smile]" not in export.text, "an id is no use there"
    assert export.files == {"chatgpt.md": export.text}


@pytest.mark.parametrize("language", TONGUES)
@pytest.mark.parametrize("role", [None, "architect", "critic", "empiricist", "evolutionist", "mentor", "scribe"])
def test_every_seed_role_fits_the_second_field(language: str, role: str | None) -> None:
    assert len(parsers.fields(FORMATS["chatgpt"](material(language=language, role=role)).text)) == 2


@pytest.mark.parametrize("text", HOSTILE)
def test_a_block_to_copy_is_ended_by_nothing_inside_it(text: str) -> None:
    whole = material([claim("calm", text, 0.5, text)], constitution=text[:80], name=text)

    assert [count for count, _ in parsers.fields(FORMATS["chatgpt"](whole).text)] == [
        utf16(text) for _, text in parsers.fields(FORMATS["chatgpt"](whole).text)]
    assert FORMATS["chatgpt"](whole).text.count("\n~~~") == 4


@pytest.mark.parametrize("language", TONGUES)
def test_of_an_unknown_person_the_field_asks_to_ask(language: str) -> None:
    said = {"en": "Little is known about me", "ru": "Обо мне пока известно мало"}[language]

    assert said in FORMATS["chatgpt"](material([], levels=(), language=language)).text
    assert said not in FORMATS["chatgpt"](material(language=language)).text


# ---- AGENTS.md -----------------------------------------------------------------------------------------------------

@pytest.mark.parametrize("language", TONGUES)
def test_agents_md_stays_below_150_lines_and_32_kib_whatever_the_budget(language: str) -> None:
    export = FORMATS["agents"](material(MANY, language=language), 10**6)
    long = [claim(f"free.{n:06x}", "й" * 900, 0.5, "ё" * 150) for n in range(40)]

    assert export.text.count("\n") <= LINES < 150
    assert export.text.count("\n") > LINES - 3, "it could say more"
    assert len(FORMATS["agents"](material(long, language=language), 10**6).text.encode()) <= BYTES
    assert export.files == {"AGENTS.md": export.text}


def test_an_agent_is_told_what_comes_first_and_what_it_is_not() -> None:
    text = FORMATS["agents"](material()).text

    assert "What they say now comes first, then the rules of the repository, then this." in text
    assert "sign nothing and send nothing in their name" in text


# ---- an Agent Skill ------------------------------------------------------------------------------------------------

@pytest.mark.parametrize("language", TONGUES)
@pytest.mark.parametrize("level", ["private", "public"])
def test_a_skill_keeps_the_rules_of_agent_skills(language: str, level: Any) -> None:
    whole = material(MANY, language=language, level=level, name="My Bees", role="critic")
    export = FORMATS["skill"](whole)
    front, body = parsers.skill(export.text, slug(whole))

    assert front["metadata"] == {"twin-core": whole.firmware.id, "profile": "0123456789ab", "roles": "abababababab",
                                 "level": level, "language": language}
    assert body.count("\n") <= 500
    assert export.characters <= 16000
    assert export.cut
    assert slug(whole) == "my-bees"
    assert any("my-bees" in note for note in export.notes)


def test_a_skill_is_a_folder_whose_links_lead_somewhere() -> None:
    whole = material(MANY)
    export = FORMATS["skill"](whole)
    links = set(re.findall(r"\]\((references/[^)]+)\)", export.text))

    assert export.files.keys() == {"SKILL.md"} | links
    assert links >= {f"references/roles/{role}.md" for role in whole.role_map.ids}
    assert all(mark(whole) in str(text) for text in export.files.values())
    assert str(export.files["references/claims.md"]).count("] [") == 0
    assert all(f"[{one.id}]" in str(export.files["references/claims.md"]) for one in MANY), "nothing is cut there"
    assert "You attack the idea, never the person" in str(export.files["references/roles/critic.md"])


@settings(max_examples=60, deadline=None)
@given(name=st.text(max_size=90) | st.sampled_from([*HOSTILE, "Claude Anthropic", "a" * 90, "-a--b-", "Élan"]))
def test_any_name_becomes_a_legal_one(name: str) -> None:
    made = slug(material(name=name))

    assert re.fullmatch(r"[a-z0-9]+(-[a-z0-9]+)*", made)
    assert len(made) <= 64
    assert not re.search("claude|anthropic", made)


@pytest.mark.parametrize("text", HOSTILE)
def test_front_matter_holds_against_every_name(text: str) -> None:
    whole = material([claim("calm", text, 0.5, text)], name=text, constitution=text)

    front, body = parsers.skill(FORMATS["skill"](whole).text, slug(whole))
    assert front["metadata"]["twin-core"] == whole.firmware.id
    assert "\n---\n" not in body


# ---- a Modelfile ---------------------------------------------------------------------------------------------------

def adapter(**others: Any) -> Kept:
    return Kept(**{"path": Path("a") / f"{'e' * 64}.gguf", "sha256": "e" * 64, "base": "0" * 64, "role": "critic",
                   "base_name": "a-core.gguf", "licence": "Apache-2.0", **others})


@pytest.mark.parametrize(("text", "language"), [("calm words", "ru"), *((text, "en") for text in HOSTILE)])
def test_a_modelfile_reads_back_as_it_was_meant(text: str, language: str) -> None:
    whole = material([claim("calm", text, 0.5, text)], language=language, constitution=text, notes=(text,), name=text,
                     role="critic", adapters={"critic": adapter(licence=text)})
    read = parsers.modelfile(FORMATS["modelfile"](whole).text)

    assert read.system == FORMATS["plain"](whole, 10**6).text
    assert read.base == "./a-core.gguf"
    assert read.adapter == "./critic.gguf"
    assert '"""' not in read.licence
    assert read.licence.count("\n") == 1
    assert read.parameters == {"num_ctx": 8192, "temperature": 0.4, "top_p": 0.9, "top_k": 40, "min_p": 0.05,
                               "repeat_penalty": 1.05, "num_predict": 400}
    assert "TEMPLATE" not in FORMATS["modelfile"](material()).text


def test_the_adapter_comes_with_its_role_alone() -> None:
    kept = adapter()
    with_role = FORMATS["modelfile"](material(role="critic", adapters={"critic": kept}))
    without = FORMATS["modelfile"](material(adapters={"critic": kept}))

    assert with_role.files == {"Modelfile": with_role.text, "critic.gguf": kept.path}
    assert without.files.keys() == {"Modelfile"}
    assert any("name the role" in note for note in without.notes)
    assert parsers.modelfile(without.text).adapter == ""
    assert parsers.modelfile(without.text).base == "./qwen2.5-coder-1.5b-instruct-q4_k_m.gguf"
    assert any("beginning" in note for note in with_role.notes), "an activated adapter acts otherwise there"


def test_an_adapter_that_carries_its_header_stands_for_it() -> None:
    compiled = FORMATS["modelfile"](material(role="critic", adapters={"critic": adapter(compiled=True)}))
    plain = FORMATS["modelfile"](material(role="critic", adapters={"critic": adapter(kind="lora")}))

    assert "ROLE: CRITIC" not in compiled.text
    assert "ROLE: CRITIC" in plain.text
    assert not any("beginning" in note for note in plain.notes)


def test_the_core_is_called_as_the_catalogue_calls_it() -> None:
    known = "cc324af070c2ecbfd324a30884d2f951a7ff756aba85cb811a6ec436933bb046"

    assert base_of(adapter(base=known, base_name="x y")) == "qwen2.5-coder-1.5b-instruct-q4_k_m.gguf"
    with pytest.raises(UsageError, match="does not say"):
        base_of(adapter(base_name="../x\nFROM y"))


@pytest.mark.parametrize("broken", ["SYSTEM x", "FROM a\nFROM b", "FROM a\nEVIL b", 'FROM a\nSYSTEM """x\n',
                                    "FROM a\nPARAMETER nothing 1", "FROM a\nPARAMETER top_k x"])
def test_the_parser_of_modelfiles_refuses_what_is_none(broken: str) -> None:
    with pytest.raises((ValueError, KeyError)):
        parsers.modelfile(broken)


def test_the_strongest_claims_are_those_that_stay() -> None:
    whole = material(MANY)
    kept = re.findall(r"\) \[(free\.\w+)\]", FORMATS["modelfile"](whole).text)

    assert kept == [one.id for one in ranked(whole.profile)][:len(kept)]
