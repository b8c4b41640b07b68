"""What is different between two role maps, in the words of both languages."""
from __future__ import annotations

import time
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.test_roles import SMALL, any_policy, any_role
from twin.role_changes import changes, reworded
from twin.roles import CouncilPolicy, Role, RoleAdapter, RoleMap, parse_role

TINY = parse_role(SMALL)


def with_(**content: Any) -> RoleMap:
    """The map of the small role with some of its content replaced."""
    return RoleMap((Role.model_validate(TINY.model_dump(mode="json") | content),))


def says(after: RoleMap, language: str = "en") -> list[str]:
    return changes(RoleMap((TINY,)), after, language)


@given(role=any_role(), other=any_role(), part=st.sampled_from(sorted({*Role.model_fields} - {"id"})))
def test_no_part_of_a_role_changes_in_silence(role: Role, other: Role, part: str) -> None:
    changed = role.model_copy(update={part: getattr(other, part)})
    for language in ("en", "ru"):
        said = changes(RoleMap((role,)), RoleMap((changed,)), language)
        assert bool(said) == (role != changed)
        assert all(line.startswith(f"{role.id}: ") and "\n" not in line for line in said)
    assert changes(RoleMap((changed,)), RoleMap((parse_role(changed.to_markdown()),))) == []


@given(before=any_policy(("tiny",)), after=any_policy(("tiny",)), language=st.sampled_from(["en", "ru"]))
def test_no_part_of_a_policy_changes_in_silence(before: CouncilPolicy, after: CouncilPolicy, language: str) -> None:
    one, other = (RoleMap((TINY,), council=policy) for policy in (before, after))
    assert bool(changes(one, other, language)) == (before != after) == (one.version != other.version)


@pytest.mark.parametrize(("content", "english", "russian"), [
    ({"title": {"en": "Small"}},
     "title (en): reworded: [-Tiny-] {+Small+}", "название (en): изложено иначе: [-Tiny-] {+Small+}"),
    ({"purpose": {"en": "To be small.", "ru": "Быть малым."}},
     'purpose (ru): added: "Быть малым."', "назначение (ru): добавлено: «Быть малым.»"),
    ({"sections": {"en": {"stance": "You are tiny.", "do": "Little.\nVery little."}}},
     'do (en): added: "Little. Very little."', "делай (en): добавлено: «Little. Very little.»"),
    ({"sections": {"en": {"stance": "You are\ntiny."}}},
     "stance (en): spacing changed", "позиция (en): изменены пробелы"),
    ({"sampling": {"temperature": 0.7}}, "temperature 0.2 -> 0.7", "temperature 0.2 -> 0.7"),
    ({"sampling": {"temperature": 0.2, "seed": 4}}, "seed none -> 4", "seed нет -> 4"),
    ({"examples": ["say something small", "скажи мало"]},
     'example: added: "скажи мало"', "пример: добавлено: «скажи мало»"),
    ({"examples": []}, 'example: removed: "say something small"', "пример: убрано: «say something small»"),
    ({"adapter": {"path": "me.gguf", "scale": 0.8}},
     "adapter: set: path me.gguf, scale 0.8, kind auto", "адаптер: задан: путь me.gguf, сила 0.8, вид auto"),
    ({"memory": {"exclude": ["work"]}},
     'memory it does not see: added: "work"', "скрытая память: добавлено: «work»"),
    ({"thinking": "on"}, "thinking auto -> on", "размышление auto -> on"),
    ({"placement": {"n_ctx": 4096}}, "n_ctx none -> 4096", "n_ctx нет -> 4096"),
])
def test_a_change_is_said_in_both_languages(content: dict[str, Any], english: str, russian: str) -> None:
    assert says(with_(**content)) == [f"tiny: {english}"]
    assert says(with_(**content), "ru") == [f"tiny: {russian}"]


def test_an_adapter_that_changes_says_what_of_it() -> None:
    one, other = (with_(adapter={"path": "me.gguf", "scale": scale}) for scale in (1.0, 0.5))
    assert changes(one, other) == ["tiny: adapter: scale 1.0 -> 0.5"]
    assert changes(other, RoleMap((TINY,)), "ru") == ["tiny: адаптер: убран: путь me.gguf, сила 0.5, вид auto"]


def test_examples_in_another_order_are_a_change_of_their_own() -> None:
    one, other = with_(examples=["a", "b"]), with_(examples=["b", "a"])
    assert changes(one, other) == ["tiny: examples: in another order"]
    assert changes(one, other, "ru") == ["tiny: примеры: в другом порядке"]


def test_roles_that_came_and_went_are_named_by_id_and_title() -> None:
    other = TINY.model_copy(update={"id": "other"})
    assert says(RoleMap((other,))) == ['other: role added: "Tiny"', 'tiny: role removed: "Tiny"']
    assert says(RoleMap((TINY, other)), "ru") == ["other: роль добавлена: «Tiny»"]


def test_the_council_says_who_sits_and_when_it_comes() -> None:
    after = replace(RoleMap((TINY,)), council=CouncilPolicy(members=("tiny",), max_n=2, entropy=1.2, on="policy"))
    assert says(after) == [
        "council: members all roles -> tiny", "council: called when asked for -> when asked for and by itself",
        "council: roles at most 4 -> 2", "council: by itself from entropy none -> 1.2"]
    assert says(after, "ru") == [
        "совет: участники все роли -> tiny", "совет: созывается по просьбе -> по просьбе и сам",
        "совет: ролей не больше 4 -> 2", "совет: сам с энтропии нет -> 1.2"]


def test_a_reworded_text_shows_the_words_that_changed_and_a_few_beside_them() -> None:
    before = "one two three four five six seven eight nine ten eleven twelve"
    assert reworded(before, before.replace("six", "6 or so")) == (
        "... two three four five [-six-] {+6 or so+} seven eight nine ten ...")
    assert reworded(before, before.replace("one", "1").replace("twelve", "12")) == (
        "[-one-] {+1+} two three four five ... eight nine ten eleven [-twelve-] {+12+}")
    assert reworded("ты критик", "ты  строгий\nкритик") == "ты {+строгий+} критик"
    assert reworded("a  b", "a\nb") == ""


def test_a_long_text_is_compared_in_time_and_the_change_alone_is_shown() -> None:
    """20,000 repeated words took over a minute."""
    before = "word and " * 10_000
    words = before.split()
    began = time.process_time()
    assert reworded(before, " ".join([*words[:9000], "new", *words[9001:]])) == (
        "... word and word and [-word-] {+new+} and word and word ...")
    far = reworded(before, " ".join(["first", *words[1:-1], "last"]))
    assert time.process_time() - began < 5
    assert far.startswith("[-") and len(far) < 2000


def test_long_texts_changed_in_two_places_are_compared_by_sentences() -> None:
    sentences = [f"Sentence {n} says this and that." for n in range(500)]
    after = [*sentences[:5], "Changed here.", *sentences[6:490], "Changed there.", *sentences[491:]]
    said = reworded(" ".join(sentences), " ".join(after))
    assert "{+Changed here.+}" in said and "{+Changed there.+}" in said and "Sentence 300" not in said


@pytest.mark.parametrize(("language", "rest"), [("en", "... and 960 words more"), ("ru", "... и ещё слов: 960")])
def test_a_change_shows_so_many_words_and_counts_the_rest(language: str, rest: str) -> None:
    long = " ".join(f"w{n}" for n in range(1000))
    added = says(with_(sections={"en": {"stance": "You are tiny.", "do": long}}), language)[0]
    assert rest in added and "w39 " in added and "w40" not in added
    assert f"w39 {rest}-] {{+short+}}" in reworded(long, "short", language)
    assert len(reworded("a", "b" * 100_000)) < 200


def test_many_changes_of_one_text_and_many_entries_of_one_list_are_counted_not_all_shown() -> None:
    before = " ".join(f"a{n} same{n} is{n}" for n in range(300))
    said = reworded(before, before.replace("a", "b").replace("sbme", "same"))
    assert said.count("{+") <= 20 and said.endswith("... and 280 changes more")
    entries = says(with_(examples=[f"example {n}" for n in range(5000)]))
    assert len(entries) <= 45 and "example: added: ... and 4980 more" in " ".join(entries)


def test_instructions_that_an_adapter_stands_for_are_said_not_to_act_yet() -> None:
    before, after = with_().roles[0], with_(sections={"en": {"do": "Other."}}).roles[0]

    def said(language: str = "en", **adapter: Any) -> str:
        made = (role.model_copy(update={"adapter": RoleAdapter(**adapter) if adapter else None})
                for role in (before, after))
        return "\n".join(changes(*(RoleMap((role,)) for role in made), language))

    assert "trained again" in said(path="me.gguf", compiled=True)
    assert "обучен заново" in said("ru", path="me.gguf", compiled=True)
    assert all("trained again" not in one for one in (
        said(), said(path="me.gguf"), said(path="me.gguf", compiled=True, scale=0)))
