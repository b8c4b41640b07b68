"""ChatGPT exports: the tree, its branches, and what is no speech."""
from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from twin.errors import BrokenFile, EmptyFile, InputError, UnknownFormat
from twin.importers import Found, chatgpt, read
from twin.importers.encoding import Mended
from twin.importers.found import Context


def node(key: str, parent: str | None, role: str | None, text: Any = None, **more: Any) -> dict[str, Any]:
    """A node of the tree; `text` may be a content object."""
    content = text if isinstance(text, dict) else {"content_type": "text", "parts": [text]}
    said = {"id": key, "author": {"role": role}, "content": content, "create_time": None, **more}
    return {"id": key, "parent": parent, "children": [], "message": said if role else None}


def chat(*nodes: dict[str, Any], current: str | None = None, **more: Any) -> dict[str, Any]:
    return {"conversation_id": "c1", "title": None, "mapping": {one["id"]: one for one in nodes},
            "current_node": current or nodes[-1]["id"], **more}


def found(tmp_path: Path, value: Any, **kwargs: Any) -> list[Found]:
    (tmp_path / "conversations.json").write_text(json.dumps(value, **kwargs), encoding="utf-8")
    return list(read(tmp_path / "conversations.json"))


PLAIN = chat(node("n0", None, None),
             node("n1", "n0", "user", "Как спланировать неделю?", create_time=1751277001.5),
             node("n2", "n1", "assistant", "Начни с воскресенья.", metadata={"model_slug": "gpt-x"}))


@pytest.mark.parametrize("value", [[PLAIN], {"conversations": [PLAIN]}, PLAIN], ids=["array", "object", "single"])
def test_array_object_and_single_conversation_read_the_same(tmp_path: Path, value: Any) -> None:
    (one,) = found(tmp_path, value)
    assert one.conversation is not None
    user, assistant = one.conversation.messages
    assert (one.conversation.id, one.conversation.source, one.conversation.title) == ("c1", "chatgpt", None)
    assert (user.id, user.text, user.own) == ("n1", "Как спланировать неделю?", True)
    assert user.time == datetime(2025, 6, 30, 9, 50, 1, 500000, tzinfo=UTC)
    assert (assistant.id, assistant.author, assistant.time) == ("n2", "gpt-x", user.time)  # null time: the parent's


def test_what_was_said_on_another_branch_is_kept_and_the_answers_there_are_not(tmp_path: Path) -> None:
    (one,) = found(tmp_path, [chat(
        node("r", None, None), node("old", "r", "user", "First try"), node("a1", "old", "assistant", "Old answer"),
        node("q2", "a1", "user", "Follow-up"), node("new", "r", "user", "Second try"),
        node("a2", "new", "assistant", "Draft"), node("a3", "new", "assistant", "Answer"), current="a3")])
    assert one.conversation is not None
    assert [(said.id, "inactive" in said.flags) for said in one.conversation.messages] == [
        ("old", True), ("q2", True), ("new", False), ("a3", False)]
    assert one.skipped == {"inactive branch": 2}
    assert all(said.own for said in one.conversation.messages if said.role == "user")


def test_without_a_current_node_the_latest_leaf_counts(tmp_path: Path) -> None:
    value = chat(node("r", None, None), node("q", "r", "user", "Q"),
                 node("late", "q", "assistant", "B", create_time=20.0),
                 node("early", "q", "assistant", "A", create_time=10.0))
    value["current_node"] = None
    (one,) = found(tmp_path, value)
    assert one.conversation is not None
    assert [said.id for said in one.conversation.messages] == ["q", "late"]


def test_what_is_no_speech_is_counted_by_its_reason(tmp_path: Path) -> None:
    nodes = [node("r", None, None), node("s", "r", "system", "rules"), node("q", "s", "user", "Почему?"),
             node("th", "q", "assistant", {"content_type": "thoughts", "thoughts": []}),
             node("co", "th", "assistant", {"content_type": "code", "text": "1+1"}, recipient="python"),
             node("to", "co", "tool", {"content_type": "execution_output", "text": "2"}),
             node("we", "to", "assistant", "looks up", recipient="web.run"),
             node("hi", "we", "user", "hidden", metadata={"is_visually_hidden_from_conversation": True}),
             node("im", "hi", "user", {"content_type": "multimodal_text",
                                       "parts": [{"content_type": "image_asset_pointer"}]}),
             node("em", "im", "assistant", ""), node("nu", "em", "assistant", {"content_type": "text", "parts": None}),
             node("a", "nu", "assistant", "Потому", recipient="all")]
    (one,) = found(tmp_path, [chat(*nodes)])
    assert one.conversation is not None
    assert [said.id for said in one.conversation.messages] == ["q", "a"]
    assert one.skipped == {"system": 1, "thinking": 1, "code": 1, "tool": 1, "sent to a tool": 1, "hidden": 1,
                           "attachment only": 1, "empty": 2}
    assert len(one.conversation.messages) + sum(one.skipped.values()) == len(nodes) - 1


def test_custom_instructions_are_the_persons_words_without_the_providers_wrapping(tmp_path: Path) -> None:
    wrapped = {"content_type": "user_editable_context",
               "user_profile": "The user gave this about themselves:\n```Я инженер ролей```",
               "user_instructions": "Follow this:\n```Отвечай кратко```"}
    clean = {"user_context_message_data": {"about_user_message": "I build routers", "about_model_message": None},
             "is_visually_hidden_from_conversation": True}
    (one,) = found(tmp_path, [chat(node("r", None, None), node("c1", "r", "user", wrapped),
                                   node("c2", "c1", "user", wrapped, metadata=clean))])
    assert one.conversation is not None
    first, second = one.conversation.messages
    assert (first.text, first.own, first.flags) == ("Я инженер ролей\n\nОтвечай кратко", True, ("custom_instructions",))
    assert second.text == "I build routers"


def test_what_chatgpt_noted_about_the_person_is_kept_as_a_claim_of_its_own(tmp_path: Path) -> None:
    """A memory says what the provider believes. It may be asked about, but proves nothing, so it is never own."""
    (one,) = found(tmp_path, [chat(
        node("q", None, "user", "Запомни, я левша"),
        node("m1", "q", "assistant", "User is left-handed.", recipient="bio", metadata={"model_slug": "gpt-x"}),
        node("m2", "m1", "assistant", {"content_type": "code", "text": "User writes in Russian."}, recipient="bio"),
        node("t", "m2", "tool", "Model set context updated."), node("a", "t", "assistant", "Запомнил."),
        node("m3", "q", "assistant", "User likes tea.", recipient="bio"), current="a")])
    assert one.conversation is not None
    memories = [said for said in one.conversation.messages if "memory" in said.flags]
    assert [(said.id, said.role, said.text, said.author, said.own, said.flags) for said in memories] == [
        ("m3", "assistant", "User likes tea.", None, False, ("inactive", "memory")),
        ("m1", "assistant", "User is left-handed.", "gpt-x", False, ("memory",)),
        ("m2", "assistant", "User writes in Russian.", None, False, ("memory",))]
    assert one.skipped == {"tool": 1}


def test_voice_keeps_its_words_and_a_picture_leaves_a_flag(tmp_path: Path) -> None:
    parts = [{"content_type": "audio_transcription", "text": "сказано вслух"},
             {"content_type": "image_asset_pointer"}, "и письмом"]
    (one,) = found(tmp_path, [chat(node("q", None, "user", {"content_type": "multimodal_text", "parts": parts}))])
    assert one.conversation is not None
    (said,) = one.conversation.messages
    assert (said.text, said.own, said.flags) == ("сказано вслух\nи письмом", True, ("attachment",))


def test_citation_tokens_leave_the_answer_and_the_original_stays(tmp_path: Path) -> None:
    text = "Вода кипит \ue200cite\ue202turn0search3\ue201при ста градусах【12†L1-L9】."
    (one,) = found(tmp_path, [chat(node("a", None, "assistant", text))])
    assert one.conversation is not None
    (said,) = one.conversation.messages
    assert said.text == "Вода кипит при ста градусах."
    assert said.raw == text.encode()
    assert said.flags == ()


def test_a_chat_that_must_not_be_remembered_is_skipped(tmp_path: Path) -> None:
    assert [one.skipped for one in found(tmp_path, [PLAIN | {"is_do_not_remember": True}])] == [
        {"asked not to be remembered": 2}]


def test_a_broken_conversation_never_aborts_the_file(tmp_path: Path) -> None:
    broken = [{"conversation_id": "c7", "mapping": None}, None, "text", {"conversation_id": "c8"}]
    results = found(tmp_path, [*broken, PLAIN])
    assert [one.failure is not None for one in results] == [True, True, True, True, False]
    assert "conversation c7" in str(results[0].failure)
    assert results[4].conversation is not None


def test_an_export_read_as_mac_roman_is_repaired_string_by_string(tmp_path: Path) -> None:
    text = json.dumps([PLAIN], ensure_ascii=False).encode().decode("mac_roman")
    for escaped in (False, True):
        results = found(tmp_path, json.loads(text), ensure_ascii=escaped)
        (repair,) = [one.repair for one in results if one.repair]
        (said, _) = next(one.conversation for one in results if one.conversation).messages
        assert repair.codec == "mac_roman"
        assert (said.text, "repaired" in said.flags) == ("Как спланировать неделю?", True)
        assert said.raw == "Как спланировать неделю?".encode().decode("mac_roman").encode()


def test_a_lone_surrogate_becomes_a_replacement_character(tmp_path: Path) -> None:
    """Exports cut emoji in halves; SQLite, LanceDB and llama.cpp all refuse such a string."""
    value = chat(node("q", None, "user", "half \ud83e"))
    (one,) = found(tmp_path, [value])
    (alone,) = chatgpt.read([value], Context("f", Mended("f", ())))
    assert one.conversation is not None
    assert alone.conversation is not None
    assert one.conversation.messages[0].text == alone.conversation.messages[0].text == "half \ufffd"
    assert alone.conversation.messages[0].raw == b"half \xed\xa0\xbe"


def test_truncated_json_is_a_broken_file_before_anything_goes_out(tmp_path: Path) -> None:
    whole = json.dumps([PLAIN, PLAIN | {"conversation_id": "c2"}])
    path = tmp_path / "conversations.json"
    for cut in (len(whole) - 1, len(whole) // 2, len(whole) - 40):
        path.write_text(whole[:cut], encoding="utf-8")
        with pytest.raises(BrokenFile, match="export or unpack it again"):
            next(read(path))


@pytest.mark.parametrize(("text", "error"), [
    ("[]", EmptyFile), ('[{"a":' * 100_000, BrokenFile), ('[{"mapping": {}}, ' + "9" * 5000 + "]", BrokenFile),
    ('[{"diary": [], "uuid": "u"}]', UnknownFormat),
], ids=["nothing", "nesting", "number", "unknown"])
def test_what_is_no_export_is_named(tmp_path: Path, text: str, error: type[InputError]) -> None:
    (tmp_path / "x.json").write_text(text, encoding="utf-8")
    with pytest.raises(error) as caught:
        list(read(tmp_path / "x.json"))
    assert caught.value.next_step


def test_unknown_json_names_the_keys_it_has(tmp_path: Path) -> None:
    (tmp_path / "x.json").write_text('[{"diary": [], "uuid": "u"}]', encoding="utf-8")
    with pytest.raises(UnknownFormat, match=r"diary, uuid"):
        list(read(tmp_path / "x.json"))


keys = st.sampled_from(["id", "parent", "message", "author", "role", "content", "parts", "metadata", "create_time",
                        "recipient", "content_type", "text"])
junk = st.recursive(st.none() | st.booleans() | st.floats() | st.text(max_size=5),
                    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(keys, inner), max_leaves=12)


@settings(max_examples=150)
@given(mapping=st.dictionaries(st.sampled_from("abcd"), junk), current=junk)
def test_no_shape_of_a_conversation_raises(mapping: dict[str, Any], current: Any) -> None:
    value = {"id": "c", "mapping": mapping, "current_node": current}
    (result,) = chatgpt.read([value], Context("f", Mended("f", ())))
    assert result.conversation or result.skipped or result.failure


def test_a_tree_that_runs_in_a_circle_ends(tmp_path: Path) -> None:
    (one,) = found(tmp_path, [chat(node("a", "b", "user", "A"), node("b", "a", "assistant", "B"))])
    assert one.conversation is not None
    assert {said.id for said in one.conversation.messages} == {"a", "b"}
