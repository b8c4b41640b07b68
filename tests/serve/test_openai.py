"""The `openai` client against a real server: what it lists, asks, streams, embeds, and what errors it raises."""
from __future__ import annotations

import base64
import json
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import openai
import pytest

from tests.serve.conftest import KEY, QUESTION, Core, asking, chat, serving
from twin.catalog import Catalog
from twin.chat import Twin
from twin.errors import HomeBusy, ModelMissing, StaleAdapter
from twin.home import Home
from twin.serve.server import Serving


@pytest.fixture(scope="module")
def server(twin: Twin) -> Iterator[Serving]:
    with serving(twin) as one:
        yield one


@pytest.fixture(scope="module")
def client(server: Serving) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(base_url=f"{server.url}/v1", api_key=KEY, max_retries=0) as one:
        yield one


def asked(question: str = QUESTION) -> Any:
    return [{"role": "user", "content": question}]


# ---- what works ----------------------------------------------------------------------------------------------------

def test_models_are_auto_council_and_the_roles_each_with_what_it_is_for(client: openai.OpenAI, twin: Twin) -> None:
    listed = list(client.models.list())
    assert [one.id for one in listed] == ["auto", "council", *twin.role_map.ids]
    assert all(one.description for one in listed)  # type: ignore[attr-defined]
    assert client.models.retrieve("critic").owned_by == "twin"
    with pytest.raises(openai.NotFoundError):
        client.models.retrieve("nobody")


def test_a_role_answers_whole_with_counts(client: openai.OpenAI) -> None:
    told = client.chat.completions.create(model="critic", messages=asked())
    assert told.choices[0].message.content == "critic says so."
    assert (told.choices[0].finish_reason, told.model) == ("stop", "critic")
    assert told.usage and told.usage.completion_tokens == 3
    assert told.usage.total_tokens == told.usage.prompt_tokens + 3


def test_a_role_streams_and_tells_its_usage_in_the_last_chunk(client: openai.OpenAI) -> None:
    chunks = list(client.chat.completions.create(model="critic", messages=asked(), stream=True,
                                                 stream_options={"include_usage": True}))
    assert "".join(one.choices[0].delta.content or "" for one in chunks[:-1]) == "critic says so."
    assert len(chunks) > 4
    assert [one.choices[0].finish_reason for one in chunks[:-1]] == [None] * (len(chunks) - 2) + ["stop"]
    assert {one.id for one in chunks} == {chunks[0].id}
    assert not chunks[-1].choices and chunks[-1].usage and chunks[-1].usage.completion_tokens == 3
    assert all(one.usage is None for one in chunks[:-1])


def test_auto_tells_which_role_it_was_and_a_council_answers(client: openai.OpenAI, twin: Twin) -> None:
    assert client.chat.completions.create(model="auto", messages=asked()).model in twin.role_map.ids
    told = client.chat.completions.create(model="council", messages=asked("Which seeds do I keep?"), max_tokens=2)
    assert told.model == "council" and told.choices[0].message.content


def test_parts_of_text_system_messages_and_stops_are_taken(client: openai.OpenAI, core: Core) -> None:
    told = client.chat.completions.create(model="critic", stop=["so"], messages=[
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": [{"type": "text", "text": "Is it"}, {"type": "text", "text": "hot?"}]}])
    assert told.choices[0].message.content == "critic says"
    assert "Be brief." in core.prompts[-1].text and "Is it\nhot?" in core.prompts[-1].text


def test_thoughts_are_no_part_of_the_answer(client: openai.OpenAI, core: Core) -> None:
    core.says = "<think>It drifted.</think>Twice."
    told = client.chat.completions.create(model="critic", messages=asked())
    assert told.choices[0].message.content == "Twice."
    assert told.choices[0].message.reasoning_content == "It drifted."  # type: ignore[attr-defined]
    chunks = list(client.chat.completions.create(model="critic", messages=asked(), stream=True))
    assert "".join(one.choices[0].delta.content or "" for one in chunks) == "Twice."


def test_json_comes_by_the_schema(client: openai.OpenAI, core: Core) -> None:
    core.says = '{"drifts": 2}'
    schema = {"type": "object", "properties": {"drifts": {"type": "integer"}}, "required": ["drifts"]}
    told = client.chat.completions.create(model="critic", messages=asked(), response_format={
        "type": "json_schema", "json_schema": {"name": "drift", "schema": schema}})
    assert json.loads(told.choices[0].message.content or "") == {"drifts": 2}
    assert client.chat.completions.create(model="critic", messages=asked(),
                                          response_format={"type": "json_object"}).choices[0].message.content


def test_embeddings_come_as_floats_and_packed(client: openai.OpenAI, server: Serving) -> None:
    told = client.embeddings.create(model="letters", input=["abba", "cab"], encoding_format="float")
    assert [one.embedding for one in told.data] == [[2, 2, 0], [1, 1, 1]]
    assert client.embeddings.create(model="auto", input="abba").data[0].embedding == [2, 2, 0]  # packed, by default
    with asking(server) as plain:
        packed = plain.post("/v1/embeddings", json={"model": "auto", "input": "cc", "encoding_format": "base64"}).json()
    assert struct.unpack("<3f", base64.b64decode(packed["data"][0]["embedding"])) == (0, 0, 2)


def test_health_needs_no_token_and_tells_nothing(server: Serving) -> None:
    with asking(server, Authorization="") as plain:
        told = plain.get("/health")
        assert (told.status_code, told.json()) == (200, {"status": "ok"})
        assert plain.get("/v1/models").status_code == 401


def test_requests_leave_the_home_as_it_was(client: openai.OpenAI, twin: Twin) -> None:
    def held() -> dict[str, bytes]:
        return {str(one): one.read_bytes() for one in twin.home.root.rglob("*")
                if one.is_file() and not one.name.startswith(".")}

    before = held()
    for name in ("critic", "auto", "council"):
        client.chat.completions.create(model=name, messages=asked("Which seeds do I keep?"))
    list(client.models.list())
    client.embeddings.create(model="auto", input="abba")
    assert held() == before and twin.archive.counts()["turns"] == 0


def test_the_real_small_core_streams_words_by_its_own_tokens(smollm: Any, tmp_path: Path) -> None:
    one = Twin(Home(tmp_path / "home"), engine=smollm, catalog=Catalog(tmp_path / "no models"), n_ctx=2048)
    with serving(one) as server, openai.OpenAI(base_url=f"{server.url}/v1", api_key=KEY, max_retries=0) as client:
        chunks = list(client.chat.completions.create(
            model="critic", messages=asked("Name a colour."), max_tokens=12, temperature=0, seed=1, stream=True,
            stream_options={"include_usage": True}))
        told = client.chat.completions.create(
            model="critic", messages=asked("Name a colour."), max_tokens=40, temperature=0, response_format={
                "type": "json_schema", "json_schema": {"name": "it", "schema": {
                    "type": "object", "properties": {"warm": {"type": "boolean"}}, "required": ["warm"],
                    "additionalProperties": False}}})
    assert "".join(one.choices[0].delta.content or "" for one in chunks[:-1]).strip()
    assert chunks[-1].usage and 1 <= chunks[-1].usage.completion_tokens <= 12
    assert set(json.loads(told.choices[0].message.content or "")) == {"warm"}  # the twin stays open: the core is lent


# ---- what does not -------------------------------------------------------------------------------------------------

@pytest.mark.parametrize(("how", "param"), [
    ({"n": 2}, "n"), ({"tools": [{"type": "function", "function": {"name": "f"}}]}, "tools"),
    ({"logprobs": True}, "logprobs"),
    ({"modalities": ["text", "audio"]}, "modalities"), ({"audio": {"voice": "x", "format": "wav"}}, "audio"),
    ({"frequency_penalty": 1.5}, "frequency_penalty"), ({"temperature": 3}, "temperature"),
    ({"stop": ["a"] * 5}, "stop"), ({"max_tokens": 0}, "max_tokens"), ({"seed": -1}, "seed"),
    ({"extra_body": {"best_guess": 1}}, "best_guess"), ({"response_format": {"type": "yaml"}}, "response_format"),
    ({"messages": []}, "messages"),
    ({"messages": [{"role": "tool", "content": "4", "tool_call_id": "1"}]}, "messages.0.role"),
])
def test_what_is_not_supported_is_refused_by_name(client: openai.OpenAI, how: Any, param: str) -> None:
    with pytest.raises(openai.BadRequestError) as raised:
        client.chat.completions.create(**({"model": "critic", "messages": asked()} | how))
    assert raised.value.param == param and param in raised.value.message
    assert raised.value.type == "invalid_request_error"


def test_pictures_are_refused_and_what_asks_for_nothing_is_let_through(client: openai.OpenAI) -> None:
    with pytest.raises(openai.BadRequestError, match="image_url"):
        client.chat.completions.create(model="critic", messages=[{"role": "user", "content": [
            {"type": "image_url", "image_url": {"url": "data:image/png;base64,AA=="}}]}])
    assert client.chat.completions.create(model="critic", messages=asked(), n=1, user="me", logprobs=False, store=False,
                                          presence_penalty=0, tool_choice="none", metadata={"a": "b"}).choices


@pytest.mark.parametrize("schema", [
    {"type": "object", "properties": {"a": {"$ref": "https://example.com/x.json"}}},
    {"type": "array", "items": {"type": "string"}, "maxItems": 10**9},
    {"type": "string", "pattern": "^(a+)+$"}, {"type": "string", "pattern": "^[" }, {"type": "nonsense"},
    {"type": "object", "properties": {"a": {"$ref": "#/nowhere"}}},
    {"enum": ["x" * 70_000]},
])
def test_a_schema_that_no_engine_should_try_is_a_bad_request(client: openai.OpenAI, schema: Any) -> None:
    with pytest.raises(openai.BadRequestError, match="schema"):
        client.chat.completions.create(model="critic", messages=asked(), response_format={
            "type": "json_schema", "json_schema": {"name": "it", "schema": schema}})


def test_an_unknown_model_and_a_wrong_token_are_what_the_client_calls_them(client: openai.OpenAI) -> None:
    with pytest.raises(openai.NotFoundError) as missing:
        client.chat.completions.create(model="gpt-4o", messages=asked())
    assert missing.value.code == "model_not_found" and "critic" in missing.value.message
    with pytest.raises(openai.AuthenticationError):
        client.with_options(api_key="wrong").models.list()


@pytest.mark.parametrize(("error", "kind", "code"), [
    (ModelMissing("It is not here.", "Fetch it."), openai.InternalServerError, "model_missing"),
    (HomeBusy("Somebody writes.", "Wait."), openai.InternalServerError, "home_busy"),
    (StaleAdapter("It is stale.", "Train it again."), openai.InternalServerError, "stale_adapter"),
    (RuntimeError("Galina's secret"), openai.InternalServerError, "internal_error"),
])
@pytest.mark.parametrize("stream", [False, True])
def test_an_error_of_the_twin_is_an_http_error_before_the_first_word(
        client: openai.OpenAI, core: Core, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str],
        error: Exception, kind: Any, code: str, stream: bool) -> None:
    def fail(*_: Any, **__: Any) -> Any:
        raise error

    monkeypatch.setattr(core, "stream", fail)
    with pytest.raises(kind) as raised:
        list(client.chat.completions.create(model="critic", messages=asked(), stream=stream))
    assert raised.value.code == code and "Galina" not in str(raised.value)
    told = capfd.readouterr()
    assert "Galina" not in told.err + told.out and "Traceback" not in told.err


def test_an_error_in_the_middle_of_a_stream_is_its_last_event(
        client: openai.OpenAI, core: Core, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = core.stream

    def broken(*args: Any, **how: Any) -> Any:
        for number, piece in enumerate(whole(*args, **how)):
            if number == 2:
                raise ModelMissing("It broke.", "Ask again.")
            yield piece

    monkeypatch.setattr(core, "stream", broken)
    said = list[str]()
    with pytest.raises(openai.APIError, match="It broke"):
        for one in client.chat.completions.create(model="critic", messages=asked(), stream=True):
            said.append(one.choices[0].delta.content or "")
    assert "".join(said) == "critic says"


def test_a_question_that_is_too_long_says_so(client: openai.OpenAI) -> None:
    with pytest.raises(openai.BadRequestError) as raised:
        client.chat.completions.create(model="critic", messages=asked("clay " * 9000))
    assert raised.value.code == "context_length_exceeded"


def test_without_an_embedder_or_with_what_is_no_text_there_are_no_embeddings(
        client: openai.OpenAI, twin: Twin, monkeypatch: pytest.MonkeyPatch) -> None:
    for how in ({"input": [1, 2, 3]}, {"input": ""}, {"input": []}, {"input": "a", "dimensions": 2}):
        with pytest.raises(openai.BadRequestError):
            client.embeddings.create(model="auto", **how)  # type: ignore[arg-type]
    with pytest.raises(openai.NotFoundError):
        client.embeddings.create(model="text-embedding-3-small", input="a")
    monkeypatch.setattr(twin, "embedder", None)
    with pytest.raises(openai.InternalServerError, match="embedder"):
        client.embeddings.create(model="auto", input="a")


def test_the_public_level_names_nobody_and_recalls_nothing(twin: Twin, core: Core) -> None:
    question = "What about the kiln temperature and my sister?"
    for level, recalled in (("private", True), ("public", False)):
        with serving(twin, level=level) as server, asking(server) as client:
            told = client.post("/v1/chat/completions", json=chat(question))
        assert told.status_code == 200
        assert ("Galina" in core.prompts[-1].text) is recalled
