"""Operations on the role map: a closed schema, limits, one sentence each, and files that keep their layout."""
from __future__ import annotations

import difflib
import json
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.test_change import ADAPTER
from twin import operations, roles, text
from twin.errors import UsageError
from twin.operation_schema import EXAMPLES, INSTRUCTIONS, ROLES, RULES, SECTION
from twin.operation_text import refusal
from twin.operations import OPERATIONS
from twin.role_parts import Instructions, MemoryScope, Sections
from twin.roles import COUNCIL, RoleMap

SEED = roles.seed()
NEW: dict[str, Any] = {"id": "helper", "title": {"en": "Helper", "ru": "Помощник"},
                       "purpose": {"en": "To help in the garden.", "ru": "Помогать в саду."},
                       "sections": {"en": {"stance": "You help."}, "ru": {"stance": "Ты помогаешь."}}}
FIRST = SEED.role("mentor").examples
GOOD: dict[str, dict[str, Any]] = {
    "add_routing_example": {"role": "mentor", "text": "How do I prune a pear tree?"},
    "remove_routing_example": {"role": "mentor", "text": FIRST[0]},
    "relabel_routing_example": {"role": "mentor", "to": "critic", "text": FIRST[1]},
    "edit_prompt_section": {"role": "mentor", "language": "ru", "section": "format", "text": "Список из трёх шагов."},
    "add_prompt_rule": {"role": "mentor", "language": "en", "section": "do", "text": "End with one question."},
    "remove_prompt_rule": {"role": "architect", "language": "en", "section": "dont", "text": "Do not write code."},
    "set_sampling": {"role": "mentor", "field": "temperature", "value": 0.35},
    "set_adapter": {"role": "mentor", "sha256": ADAPTER, "scale": 0.5, "kind": "lora"},
    "narrow_memory_scope": {"role": "scribe", "tags": ["work", "дом"]},
    "widen_memory_scope": {"role": "critic", "tags": ["work"]},
    "add_role": {**NEW, "examples": ["how do I water ferns", "which pot for a fig", "как поливать фикус"]},
    "split_role": {**NEW, "role": "mentor", "examples": list(FIRST[:4])},
    "merge_roles": {"role": "mentor", "into": "critic"},
    "retire_role": {"role": "mentor"},
    "set_placement": {"role": "mentor", "device": "CUDA0", "n_ctx": 4096, "n_gpu_layers": -1},
    "set_council_policy": {"members": ["critic", "mentor"], "max_n": 2, "depth": 5, "entropy": 1.2, "on": "policy"},
    "open_hypothesis": {"claim": "Questions of the morning are shorter."},
}


def made(op: str, **fields: Any) -> operations.Operation:
    return operations.parse({"op": op, **GOOD[op], **fields})


def hiding(role_map: RoleMap, name: str = "critic", tag: str = "work") -> RoleMap:
    return operations.apply(made("narrow_memory_scope", role=name, tags=[tag]), role_map)


def applied(op: str, role_map: RoleMap = SEED, **fields: Any) -> RoleMap:
    return operations.apply(made(op, **fields), role_map, adapters={ADAPTER})


def refused(what: Callable[[], object]) -> str:
    with pytest.raises(UsageError) as caught:
        what()
    assert caught.value.next_step
    return caught.value.what


def test_the_schema_is_these_operations_and_no_others() -> None:
    assert set(OPERATIONS) == set(GOOD)
    for name, kind in OPERATIONS.items():
        assert kind.model_config["extra"] == "forbid" and kind.model_config["frozen"]
        assert type(made(name)) is kind


@pytest.mark.parametrize("name", GOOD)
def test_an_operation_says_what_it_is_in_both_languages(name: str) -> None:
    op = made(name)
    english, russian = operations.say(op), operations.say(op, "ru")
    for said in (english, russian):
        assert said.endswith(".") and "{" not in said and "\n" not in said and "  " not in said
    assert text.language(english.replace(FIRST[0], "").replace("дом", "")) == "en"
    assert text.language(russian.replace(FIRST[0], "").replace(FIRST[1], "")) == "ru"
    assert operations.say(op, "und") == english


def test_every_part_that_changes_stands_in_the_sentence() -> None:
    assert operations.say(made("set_sampling")) == "For the role mentor, set temperature to 0.35."
    assert operations.say(made("set_sampling"), "ru") == "Для роли mentor поставить температуру на 0.35."
    assert operations.say(made("edit_prompt_section"), "ru") == (
        "В русских указаниях роли mentor, в разделе «Формат», написать: «Список из трёх шагов».")
    assert "take" in operations.say(made("edit_prompt_section", text="")).lower()
    assert "without an adapter" in operations.say(made("set_adapter", sha256=None))
    assert "control vector" in operations.say(made("set_adapter", kind="control"))
    assert "“work”, “дом”" in operations.say(made("narrow_memory_scope"))
    assert "from depth 5 up" in operations.say(made("set_council_policy"))
    assert "all roles" in operations.say(made("set_council_policy", members=[], on="asked"))
    assert "по вашей просьбе" in operations.say(made("set_council_policy"), "ru")
    for name in ("add_routing_example", "remove_routing_example", "relabel_routing_example"):
        assert "маршрутизатор тому, что это сообщение" in operations.say(made(name), "ru")
    long = operations.say(made("edit_prompt_section", text="word " * 100))
    assert long.endswith("…”.") and len(long) < 320


@pytest.mark.parametrize(("name", "target", "risk", "metric"), [
    ("add_routing_example", "role:mentor", "low", "router"),
    ("relabel_routing_example", "role:mentor", "low", "router"),
    ("edit_prompt_section", "role:mentor", "low", "bits"), ("set_sampling", "role:mentor", "low", "bits"),
    ("set_adapter", "role:mentor", "high", "bits"), ("narrow_memory_scope", "role:scribe", "low", "none"),
    ("widen_memory_scope", "role:critic", "high", "none"), ("add_role", "role:helper", "high", "router"),
    ("split_role", "role:mentor", "high", "router"), ("merge_roles", "role:mentor", "high", "router"),
    ("set_placement", "role:mentor", "high", "placement"), ("set_council_policy", "council", "low", "council"),
    ("open_hypothesis", "ledger", "low", "none")])
def test_an_operation_has_a_target_a_risk_and_a_metric(name: str, target: str, risk: str, metric: str) -> None:
    op = made(name)
    assert (operations.target(op), operations.risk(op), operations.metric(op)) == (target, risk, metric)


def test_only_the_temperature_of_sampling_shows_in_bits() -> None:
    assert operations.metric(made("set_sampling", field="top_p", value=0.8)) == "feedback"
    assert operations.risk(made("set_adapter", sha256=None)) == "low"


@pytest.mark.parametrize("name", GOOD)
def test_an_operation_goes_through_json_and_keeps_its_text_out_of_its_repr(name: str) -> None:
    op = made(name)
    assert operations.parse(op.model_dump_json()) == op
    assert operations.parse(json.loads(json.dumps(op.model_dump(mode="json")))) == op
    for value in op.model_dump().values():
        assert not isinstance(value, str) or len(value) < 12 or value == op.op or value not in f"{op!r} {op}"


# ---- limits ----------------------------------------------------------------------------------------------------

def test_a_role_takes_forty_examples_in_a_language_and_the_seed_has_room() -> None:
    """The seed roles hold 20 and 20: forty in all would refuse every new one."""
    role_map = SEED
    for number in range(EXAMPLES - 20):
        role_map = applied("add_routing_example", role_map, text=f"how do I prune tree number {number}")
    assert len(role_map.role("mentor").examples) == 60
    assert "more than 40 examples" in refused(lambda: applied("add_routing_example", role_map,
                                                               text="how about one more"))
    more = applied("add_routing_example", role_map, text="как обрезать грушу")
    assert len(more.role("mentor").examples) == 61


def test_an_example_stands_in_one_role_only_and_one_has_to_stay() -> None:
    assert "mentor has such an example" in refused(lambda: applied("add_routing_example", role="critic",
                                                                   text=FIRST[0]))
    one = RoleMap((SEED.role("critic"), SEED.role("mentor").model_copy(update={"examples": FIRST[:1]})))
    assert "no example left" in refused(lambda: applied("remove_routing_example", one))
    assert "no such example" in refused(lambda: applied("remove_routing_example", text="never said"))
    moved = applied("relabel_routing_example")
    assert FIRST[1] in moved.role("critic").examples and FIRST[1] not in moved.role("mentor").examples


def test_a_new_role_brings_examples_that_nobody_has_and_each_once() -> None:
    assert "mentor has such" in refused(lambda: applied("add_role", examples=["one", "two", FIRST[0]]))
    assert "twice" in refused(lambda: applied("add_role", examples=["one", "two", "one"]))


def test_a_role_keeps_some_instructions() -> None:
    bare = RoleMap((SEED.role("mentor").model_copy(update={"sections": Sections(en=Instructions(stance="You."))}),))
    assert "no section has any text" in refused(lambda: applied("edit_prompt_section", bare, language="en",
                                                                section="stance", text=""))


def test_rules_come_and_go_sentence_by_sentence() -> None:
    do = SEED.role("mentor").sections.en.do
    after = applied("add_prompt_rule")
    assert after.role("mentor").sections.en.do == f"{do} End with one question."
    back = operations.apply(operations.parse({"op": "remove_prompt_rule", **GOOD["add_prompt_rule"]}), after)
    assert back == SEED
    assert "already" in refused(lambda: applied("add_prompt_rule", after))
    less = applied("remove_prompt_rule").role("architect").sections.en.dont
    assert less == "Do not go into the details of one part."
    assert "no such sentence" in refused(lambda: applied("remove_prompt_rule", text="Do not"))


@pytest.mark.parametrize(("there", "then"), [
    ("", "Be kind."), ("Be short.", "Be short. Be kind."), ("Be short", "Be short\nBe kind."),
    ("- Be short.\n- Be warm.", "- Be short.\n- Be warm.\nBe kind."), ("Будь краток!", "Будь краток! Be kind.")])
def test_a_rule_is_put_so_that_it_stays_a_sentence_of_its_own(there: str, then: str) -> None:
    sections = Sections(en=Instructions(stance="You.", do=there))
    role_map = RoleMap((SEED.role("mentor").model_copy(update={"sections": sections}),))
    after = applied("add_prompt_rule", role_map, text="Be kind.").role("mentor").sections.en.do
    assert after == then
    assert [after[start:end] for start, end in text.sentences(after)][-1] == "Be kind."


def test_a_section_has_so_many_sentences_and_letters() -> None:
    full = Sections(en=Instructions(stance="You.", do=" ".join(f"Say {n}." for n in range(RULES))))
    role_map = RoleMap((SEED.role("mentor").model_copy(update={"sections": full}),))
    assert "12 sentences" in refused(lambda: applied("add_prompt_rule", role_map))
    assert "606 characters; from 0 to 600" in refused(lambda: made("edit_prompt_section", text="word " * 121 + "x"))


def test_instructions_move_by_a_little_at_a_time_but_what_is_empty_may_be_filled() -> None:
    """A map that is reworded bit by bit stays readable; one that is rewritten whole loses what it knew."""
    long = "Say what you see in the garden. " * 18
    assert "at once" in refused(lambda: applied("edit_prompt_section", text=long, language="en", section="do"))
    assert "at once" in refused(lambda: applied("edit_prompt_section", text="", role="critic", language="en",
                                                section="do"))
    empty = SEED.role("mentor").model_copy(update={"sections": Sections(en=Instructions(stance="You teach."))})
    filled = applied("edit_prompt_section", RoleMap((empty,)), language="en", section="do", text=long)
    assert len(filled.role("mentor").sections.en.do) > SECTION - 40
    role_map = filled
    for section in ("method", "dont", "format"):
        role_map = applied("edit_prompt_section", role_map, language="en", section=section, text=long)
    assert "more than 2400" in refused(lambda: applied("edit_prompt_section", role_map, language="ru", section="do",
                                                       text=long))


def test_a_file_over_the_limits_may_shrink_but_not_grow() -> None:
    """Limits bind proposals, not the person: their own long role can still be mended."""
    far = Sections(en=Instructions(**dict.fromkeys(("stance", "method", "do", "dont"), "Go on and on. " * 60)))
    role_map = RoleMap((SEED.role("mentor").model_copy(update={"sections": far}),))
    assert sum(map(len, far.en.texts)) > INSTRUCTIONS
    less = applied("remove_prompt_rule", role_map, role="mentor", section="do", text="Go on and on.")
    assert len(less.role("mentor").sections.en.do) < len(far.en.do)
    assert "characters" in refused(lambda: applied("add_prompt_rule", role_map, section="format", text="And on."))


def test_a_map_has_at_most_so_many_roles() -> None:
    many = RoleMap(tuple(SEED.role("mentor").model_copy(update={"id": f"r{n}"}) for n in range(ROLES)))
    assert f"{ROLES} roles" in refused(lambda: applied("add_role", many))
    assert len(applied("merge_roles", many, role="r1", into="r2").roles) == ROLES - 1


def test_numbers_keep_to_their_ranges_and_their_kind() -> None:
    for field, low, high in (("temperature", 0, 1.3), ("top_p", 0.5, 1), ("min_p", 0, 0.2), ("repeat_penalty", 1, 1.2),
                             ("max_tokens", 16, 4096)):
        for value in (low, high):
            assert getattr(applied("set_sampling", field=field, value=value).role("mentor").sampling, field) == value
        for value in (low - 0.01, high + 0.01):
            assert field in refused(lambda field=field, value=value: made(  # type: ignore[misc]
                "set_sampling", field=field, value=value))
    assert isinstance(applied("set_sampling", field="max_tokens", value=300.0).role("mentor").sampling.max_tokens, int)
    assert "whole number" in refused(lambda: made("set_sampling", field="max_tokens", value=300.5))


# ---- what the larger ones do -----------------------------------------------------------------------------------

def test_an_adapter_has_to_be_registered_and_leaves_without_a_trace() -> None:
    assert "registered" in refused(lambda: operations.apply(made("set_adapter"), SEED))
    on = applied("set_adapter")
    adapter = on.role("mentor").adapter
    assert adapter is not None and (adapter.sha256, adapter.scale, adapter.kind) == (ADAPTER, 0.5, "lora")
    off = applied("set_adapter", on, sha256=None)
    assert roles.to_files(off) == roles.to_files(SEED)
    assert "as it is" in refused(lambda: applied("set_adapter", sha256=None))
    assert "at most 1" in refused(lambda: made("set_adapter", kind="control", scale=1.2))


def test_what_stands_for_the_header_stays_so_while_the_adapter_stays() -> None:
    on = applied("set_adapter")
    adapter = on.role("mentor").adapter
    assert adapter is not None
    compiled = on.role("mentor").model_copy(update={"adapter": adapter.model_copy(update={"compiled": True})})
    after = applied("set_adapter", RoleMap((compiled,)), scale=0.8).role("mentor").adapter
    assert after is not None and after.compiled and after.scale == 0.8


def test_a_scope_is_narrowed_by_hiding_and_widened_by_showing() -> None:
    hidden = hiding(SEED)
    assert hidden.role("critic").memory.exclude == ("work",)
    assert roles.to_files(applied("widen_memory_scope", hidden)) == roles.to_files(SEED)
    assert "as it is" in refused(lambda: applied("widen_memory_scope"))
    only = SEED.role("critic").model_copy(update={"memory": MemoryScope(include=("home",))})
    wide = applied("widen_memory_scope", RoleMap((only,)))
    assert wide.role("critic").memory.include == ("home", "work")


def test_a_split_takes_examples_and_scope_along_and_a_merge_brings_them_back() -> None:
    """A role that is split off must not see more memory than the one it came from."""
    hidden = hiding(SEED, "mentor")
    after = applied("split_role", hidden)
    assert after.role("helper").examples == FIRST[:4] and after.role("mentor").examples == FIRST[4:]
    assert after.role("helper").memory == hidden.role("mentor").memory
    assert after.role("helper").sampling == SEED.role("mentor").sampling
    merged = applied("merge_roles", after, role="helper", into="mentor")
    assert set(merged.role("mentor").examples) == set(FIRST) and merged.ids == SEED.ids
    assert "fewer than 3" in refused(lambda: applied("split_role", examples=list(FIRST[:38])))
    assert "no such example" in refused(lambda: applied("split_role", examples=["one", "two", "three"]))
    assert "already" in refused(lambda: applied("split_role", id="critic"))


def test_a_merge_takes_as_many_examples_as_there_is_room_for() -> None:
    many = tuple(f"what is wrong with number {n}" for n in range(39))
    full = SEED.role("critic").model_copy(update={"examples": many})
    after = applied("merge_roles", RoleMap((full, SEED.role("mentor")))).role("critic").examples
    english = [one for one in after if text.language(one) != "ru"]
    assert len(english) == EXAMPLES and len(after) - len(english) == 20


def test_a_role_that_goes_leaves_the_council_but_the_last_member_stays() -> None:
    sitting = applied("set_council_policy")
    assert applied("retire_role", sitting).council.members == ("critic",)
    assert applied("merge_roles", sitting).council.members == ("critic",)
    assert applied("merge_roles", sitting, into="scribe").council.members == ("critic", "scribe")
    alone = applied("set_council_policy", members=["mentor"])
    assert "no member but mentor" in refused(lambda: applied("retire_role", alone))
    assert "only role" in refused(lambda: applied("retire_role", RoleMap((SEED.role("mentor"),))))
    assert "no role 'poet'" in refused(lambda: applied("set_council_policy", members=["poet"]))


def test_a_placement_changes_what_is_named_and_a_claim_changes_nothing() -> None:
    placed = applied("set_placement", device=None, n_gpu_layers=None)
    assert placed.role("mentor").placement.model_dump() == {"device": None, "n_ctx": 4096, "n_gpu_layers": None}
    again = applied("set_placement", placed, n_ctx=None, n_gpu_layers=8).role("mentor").placement
    assert (again.device, again.n_ctx, again.n_gpu_layers) == ("CUDA0", 4096, 8)
    assert applied("open_hypothesis") == SEED
    assert "names no device" in refused(lambda: made("set_placement", device=None, n_ctx=None, n_gpu_layers=None))


# ---- the files -------------------------------------------------------------------------------------------------

@pytest.mark.parametrize(("name", "most"), [
    ("add_routing_example", 1), ("remove_routing_example", 1), ("edit_prompt_section", 2), ("add_prompt_rule", 2),
    ("remove_prompt_rule", 2), ("set_sampling", 2), ("set_adapter", 1), ("narrow_memory_scope", 1),
    ("set_placement", 1), ("relabel_routing_example", 2)])
def test_an_operation_touches_no_line_that_it_does_not_mean(name: str, most: int) -> None:
    before, after = roles.to_files(SEED), roles.to_files(applied(name))
    lines = [line for file in before for line in difflib.unified_diff(
        before[file].decode().splitlines(), after[file].decode().splitlines(), n=0, lineterm="")
        if line[:1] in "+-" and line[:3] not in ("+++", "---")]
    assert 1 <= len(lines) <= most


def test_the_council_keeps_its_comments() -> None:
    there = b"# who sits\r\nmembers:\r\n  - critic # first\r\n  - scribe\r\nmax_n: 2 # two\r\n"
    role_map = roles.from_files(roles.seed_files() | {COUNCIL: there})
    after = roles.to_files(applied("set_council_policy", role_map, members=["critic", "mentor"], max_n=3, depth=None,
                                   entropy=None, on="asked"))[COUNCIL]
    assert after == b"# who sits\r\nmembers:\r\n  - critic # first\r\n  - mentor\r\nmax_n: 3 # two\r\n"


# ---- texts -----------------------------------------------------------------------------------------------------

def test_the_filter_lets_the_words_of_ordinary_messages_pass() -> None:
    """Of the 240 examples and 60 sections of the seed none, of the 176 labelled messages none is taken for an order."""
    labels = tomllib.loads((Path(__file__).parent / "router_labels.toml").read_text("utf-8"))
    ordinary = [message for languages in labels.values() for said in languages.values() for message in said]
    for role in SEED.roles:
        ordinary += [*role.examples, *role.sections.en.texts, *role.sections.ru.texts, role.purpose.en, role.purpose.ru]
    ordinary += ["My card was used without my permission.", "What does ASP.NET do?", "Where is the road to the north?",
                 "Из-за чего LoRA-адаптер и TCP/IP не дружат?", "Ignore the noise, what is the trend?", "👍🏽 ok ❤️"]
    assert len(ordinary) > 480
    assert [(refusal(one), one) for one in ordinary if refusal(one)] == []


def test_what_the_map_holds_already_can_be_taken_out_whatever_it_says() -> None:
    """The filter guards what comes in; a person's own example with a link must not be stuck."""
    link = "look at https://example.org and tell me"
    role = SEED.role("mentor").model_copy(update={"examples": (*FIRST, link)})
    role_map = RoleMap((role, SEED.role("critic")))
    assert applied("remove_routing_example", role_map, text=link).role("mentor").examples == FIRST
    assert link in applied("relabel_routing_example", role_map, text=link).role("critic").examples
