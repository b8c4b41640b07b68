"""A change of a map's files and its inverse, byte for byte, whatever the files look like."""
from __future__ import annotations

import re
from typing import Any

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from tests.test_roles import any_map
from twin import operations, roles
from twin import text as plain
from twin.change import Change
from twin.errors import RoleError, UsageError
from twin.operations import OPERATIONS, Operation
from twin.roles import COUNCIL, SECTIONS, Files, RoleMap

ADAPTER = "ab" * 32
LAYOUTS = [
    """---
# first note
id: one   # note of the id
title: {en: One, ru: 'Один'}
purpose:
    en: >
      To be the first
      of all.
    ru: "Быть первым."
sampling:   # note of sampling
    # note within
    temperature: 0.4   # cool
    max_tokens:   120

examples:
    # note before the list
    - say one   # note of an entry

    - "two: or more"
    # note between
    - 'three'
    - скажи четыре
    - five words
      over two lines
    - six
    - семь
memory:
  exclude: [secret, 'other']   # note of memory
# last note
---
<!-- note before all -->

##   STANCE

You are one. <!-- note in a line -->
Be it.

<!-- note of
two lines
## Not a heading -->
## Do
- Count.
- Count again.
<!-- note between -->
- Count on.

## Позиция
Ты один.""",
    """---
{id: two, title: {en: Two}, purpose: {ru: Быть вторым.}, examples: [a b, "c, d", 'e'], sampling: {top_p: 0.8}}
---
## Format


\\## This is text.


## Stance
<!-- note -->You are two.<!-- note -->

## Метод
Считай. Затем считай снова! И ещё раз…
""",
    """

---
id: three
title:
  en: Three
purpose: {en: "To be three."}
examples:
- |
  a block
  of lines
- plain
-   spaced out
adapter: {path: me.gguf, scale: 0.5}
placement:
  n_ctx: 2048
thinking: off
---

## Don’t
Do not stop.

## Stance
You are three.
""",
]
COUNCILS = ["# note\nmembers: [one, three]\nmax_n: 2", "members:\n  # note\n  - one # note\n  - two\non: asked\n", ""]


@st.composite
def odd_files(draw: st.DrawFn) -> Files:
    """Files of a map as people lay them out: written by hand or by us, with notes, blank lines, any line ends."""
    names = draw(st.sets(st.sampled_from(range(len(LAYOUTS))), min_size=1))
    ids = ("one", "two", "three")
    files = {f"{ids[number]}.md": LAYOUTS[number] for number in names}
    council = draw(st.sampled_from(COUNCILS))
    files |= {COUNCIL: council} if council and len(files) == len(LAYOUTS) else {}
    if draw(st.sampled_from([False, False, True])):
        files |= {name: data.decode("utf-8") for name, data in roles.to_files(draw(any_map())).items()
                  if name != COUNCIL}
    made = {}
    for name, text in files.items():
        ending = draw(st.sampled_from(["\n", "\r\n", "\r"]))
        mark, last = draw(st.sampled_from(["", "\ufeff"])), draw(st.sampled_from(["keep", "none", "more"]))
        lines = (text.rstrip("\n") if last == "none" else text + "\n\n" * (last == "more")).split("\n")
        if name != COUNCIL and draw(st.booleans()):
            at = draw(st.integers(lines.index("---", lines.index("---") + 1) + 1, len(lines)))
            lines.insert(at, draw(st.sampled_from(["<!-- note -->", "", "  ", "<!-- a\nnote -->"])))
        made[name] = (mark + ending.join(lines)).encode("utf-8", "surrogatepass")
    return made


@st.composite
def odd_map(draw: st.DrawFn) -> RoleMap:
    try:
        return roles.from_files(draw(odd_files()))
    except RoleError:
        assume(False)
        raise


WORDS = st.sampled_from(["how do I begin", "как мне начать", "- a: b", "yes", "2024-01-01", "# no comment", "'quoted'",
                         "tell me, {please}", "a\nb", "«цитата»", "---", "~"])
RULES = st.sampled_from(["Be brief.", "Говори коротко.", "## Do", "Ask first", "Count: one, two."])
SECTION_TEXTS = st.sampled_from(["Be brief.", "Be brief.\n\n## Do\n---\nBe kind.", "", "Говори.\nКоротко.",
                                 "- Count.\n- Go."])


@st.composite
def any_operation(draw: st.DrawFn, name: str, role_map: RoleMap) -> tuple[Operation, RoleMap]:
    """An operation of this name that fits the map, and the map after it."""
    role = role_map.role(draw(st.sampled_from(role_map.ids)))
    other = draw(st.sampled_from(role_map.ids))
    language, section = draw(st.sampled_from(["en", "ru"])), draw(st.sampled_from(SECTIONS))
    said = getattr(getattr(role.sections, language), section)
    sentences = [said[start:end] for start, end in plain.sentences(said)]
    new = {"id": "brand-new", "title": {"en": "New"}, "purpose": {"ru": "Быть новой."},
           "sections": {"en": {"stance": draw(SECTION_TEXTS.filter(bool))}}}
    in_section: dict[str, Any] = {"role": role.id, "language": language, "section": section}
    one_of = st.sampled_from(role.examples or ("none",))
    fields: dict[str, Any] = {
        "add_routing_example": {"role": role.id, "text": draw(WORDS)},
        "remove_routing_example": {"role": role.id, "text": draw(one_of)},
        "relabel_routing_example": {"role": role.id, "to": other, "text": draw(one_of)},
        "edit_prompt_section": {**in_section, "text": draw(SECTION_TEXTS)},
        "add_prompt_rule": {**in_section, "text": draw(RULES)},
        "remove_prompt_rule": {**in_section, "text": draw(st.sampled_from(sentences or ["none"]))},
        "set_sampling": {"role": role.id, **draw(st.sampled_from([
            {"field": "temperature", "value": 0.55}, {"field": "max_tokens", "value": 77},
            {"field": "min_p", "value": 0.11}]))},
        "set_adapter": {"role": role.id, "sha256": draw(st.sampled_from([ADAPTER, None])), "scale": 0.7,
                        "kind": "alora"},
        "narrow_memory_scope": {"role": role.id, "tags": draw(st.sampled_from([["дом"], ["a: b", "yes"]]))},
        "widen_memory_scope": {"role": role.id, "tags": list(role.memory.exclude) or ["new"]},
        "add_role": {**new, "examples": ["one thing", "вторая вещь", "yes: no"]},
        "split_role": {**new, "role": role.id, "examples": list(role.examples[:-3])},
        "merge_roles": {"role": role.id, "into": other}, "retire_role": {"role": role.id},
        "set_placement": {"role": role.id, "device": "CUDA1", "n_ctx": draw(st.sampled_from([None, 4096]))},
        "set_council_policy": {"members": [role.id], "max_n": 3, "depth": 6, "entropy": None, "on": "policy"},
        "open_hypothesis": {"claim": draw(WORDS)},
    }[name]
    try:
        op = operations.parse({"op": name, **fields})
        return op, operations.apply(op, role_map, adapters={ADAPTER})
    except UsageError:
        assume(False)
        raise


@settings(max_examples=settings().max_examples // 4)  # 35 ms each, half a second on a busy machine
@given(st.data())
@pytest.mark.parametrize("name", OPERATIONS)
def test_every_operation_changes_what_it_names_and_can_be_taken_back_byte_for_byte(
        name: str, data: st.DataObject) -> None:
    role_map = data.draw(odd_map())
    files = roles.to_files(role_map)
    op, after = data.draw(any_operation(name, role_map))
    change = Change.of(files, roles.to_files(after))
    changed = change.onto(files)
    assert changed == roles.to_files(after)
    assert roles.from_files(changed) == after
    assert change.inverse().onto(changed) == files
    assert change.inverse().inverse() == change
    assert bool(change.files) == (name != "open_hypothesis")
    fields = op.model_dump()
    named = {f"{fields[key]}.md" for key in ("role", "to", "into", "id") if key in fields}
    council = {COUNCIL} if name in ("set_council_policy", "merge_roles", "retire_role") else set()
    assert change.files.keys() <= named | council


NOTED = [name for name in OPERATIONS if name not in ("retire_role", "merge_roles")]


@pytest.mark.parametrize("ending", ["\n", "\r\n"])
@pytest.mark.parametrize("name", NOTED)
def test_notes_and_line_ends_outlive_an_operation(name: str, ending: str) -> None:
    """Of a file by hand, only the lines that are meant change: what a person noted beside them is theirs."""
    files = {"one.md": LAYOUTS[0].replace("\n", ending).encode(), "two.md": LAYOUTS[1].encode()}
    role_map = roles.from_files(files)
    after = roles.to_files(operations.apply(operations.parse({"op": name, **FITTING[name]}), role_map,
                                            adapters={ADAPTER}))["one.md"].decode()
    notes = re.findall(r"(?:#|<!--)[^\n]*note[^\n]*", LAYOUTS[0])
    assert len(notes) == 13
    assert [note for note in notes if note not in after] == list(GOES.get(name, ()))
    assert ending == "\n" or after.count("\n") == after.count("\r\n")
    assert not after.endswith("\n")


IN_DO: dict[str, Any] = {"role": "one", "language": "en", "section": "do"}
FITTING: dict[str, dict[str, Any]] = {
    "add_routing_example": {"role": "one", "text": "say seven: or so"},
    "remove_routing_example": {"role": "one", "text": "two: or more"},
    "relabel_routing_example": {"role": "one", "to": "two", "text": "three"},
    "edit_prompt_section": {**IN_DO, "text": "- Count.\n- Count again.\n\n- Count down."},
    "add_prompt_rule": {**IN_DO, "text": "- Stop."},
    "remove_prompt_rule": {**IN_DO, "text": "- Count again."},
    "set_sampling": {"role": "one", "field": "temperature", "value": 0.9},
    "set_adapter": {"role": "one", "sha256": ADAPTER},
    "narrow_memory_scope": {"role": "one", "tags": ["work"]}, "widen_memory_scope": {"role": "one", "tags": ["other"]},
    "add_role": {"id": "new", "title": {"en": "New"}, "purpose": {"en": "To be new."},
                 "sections": {"en": {"do": "Be new."}}, "examples": ["a b c", "b c d", "c d e"]},
    "split_role": {"role": "one", "id": "new", "title": {"en": "New"}, "purpose": {"en": "To be new."},
                   "sections": {"en": {"do": "Be new."}}, "examples": ["say one", "two: or more", "скажи четыре"]},
    "set_placement": {"role": "one", "n_ctx": 4096},
    "set_council_policy": {"members": ["one"], "max_n": 2, "depth": None, "entropy": None, "on": "asked"},
    "open_hypothesis": {"claim": "Counting helps."},
}
GOES = {"split_role": ["# note of an entry"]}  # with its entry


def test_a_comment_within_what_changes_moves_behind_the_text() -> None:
    role_map = roles.from_files({"one.md": LAYOUTS[0].encode()})
    op = operations.parse({"op": "edit_prompt_section", "role": "one", "language": "en", "section": "stance",
                           "text": "You are the one.\nBe it."})
    after = roles.to_files(operations.apply(op, role_map))["one.md"].decode()
    assert "You are the one.\nBe it.\n\n<!-- note in a line -->\n" in after
    assert "<!-- note of\ntwo lines\n## Not a heading -->" in after


def test_a_section_that_is_new_stands_in_its_order() -> None:
    role_map = roles.from_files({"one.md": LAYOUTS[0].encode()})
    for language, section, said, before, behind in (
            ("en", "method", "Count.", "## Method\n\nCount.\n\n## Do\n", ""),
            ("ru", "format", "Числа.", "", "Ты один.\n\n## Формат\n\nЧисла.")):
        op = operations.parse({"op": "edit_prompt_section", "role": "one", "language": language, "section": section,
                               "text": said})
        after = roles.to_files(operations.apply(op, role_map))["one.md"].decode()
        assert before in after and after.endswith(behind)


def test_a_change_fits_the_files_it_was_made_for_and_no_others() -> None:
    change = Change.of({"a.md": b"1", "b.md": b"2"}, {"a.md": b"1", "b.md": b"3", "c.md": b"4"})
    assert change.onto({"a.md": b"other", "b.md": b"2"}) == {"a.md": b"other", "b.md": b"3", "c.md": b"4"}
    for other in ({"b.md": b"9"}, {}, {"b.md": b"2", "c.md": b"there"}):
        with pytest.raises(UsageError, match="is not what this change was made for"):
            change.onto(other)
    assert repr(change) == "Change(b.md, c.md)"


@pytest.mark.parametrize("name", ["../a.md", "a/b.md", "A.md", "a.toml", "", ".md", "a.md\n", "a\0.md", "council.yml"])
def test_a_change_names_files_of_a_map_only(name: str) -> None:
    with pytest.raises(UsageError, match="no file named"):
        Change({name: (None, b"x")})
    with pytest.raises(UsageError, match="would stay"):
        Change({"a.md": (b"x", b"x")})
