"""Wire: requests of OpenAI's API as this server takes them. What it cannot do is refused by name, never left out
silently; what changes no answer (user, metadata ...) is let through.
"""
from __future__ import annotations

import json
import re
from typing import Annotated, Any, Literal, TypeVar

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from twin.errors import UsageError
from twin.serve.refusal import Refused, unsupported

# What asks for nothing that an answer here would show.
_HARMLESS = {"user", "metadata", "store", "service_tier", "safety_identifier", "prompt_cache_key", "verbosity",
             "prompt_cache_retention", "reasoning_effort", "parallel_tool_calls"}
# What may stand there with a value that asks for nothing.
_NOTHING: dict[str, tuple[Any, ...]] = {
    "n": (1,), "best_of": (1,), "logprobs": (False,), "echo": (False,), "tools": ([],), "functions": ([],),
    "tool_choice": ("none", "auto"), "function_call": ("none", "auto"), "modalities": (["text"],), "logit_bias": ({},),
    "frequency_penalty": (0,), "presence_penalty": (0,), "top_logprobs": (0,)}
_LONGEST_SCHEMA, _LONGEST_GRAMMAR, _MOST_REPEATS = 65_536, 262_144, 1000
_REPEATS = ("minItems", "maxItems", "minLength", "maxLength")
_QUANTIFIED_GROUP = re.compile(r"\)[*+{]|\{[^}]*\d{4}")  # what a grammar can be made to explode with


def _text(value: Any) -> Any:
    """The words of a message: a string, or parts that are all text."""
    if not isinstance(value, list):
        return value
    said = []
    for part in value:
        kind = part.get("type") if isinstance(part, dict) else None
        if kind not in ("text", "input_text"):
            raise unsupported(f"messages with a part of type {kind}" if isinstance(kind, str) and kind.isidentifier()
                              else "messages with parts that are no text")
        if not isinstance(part.get("text"), str):
            raise ValueError("a part of type text needs its text")
        said.append(part["text"])
    return "\n".join(said)


class Message(BaseModel):
    """One message of a conversation."""

    model_config = ConfigDict(extra="allow")

    role: Literal["system", "developer", "user", "assistant"]
    content: Annotated[str, BeforeValidator(_text)]


class StreamOptions(BaseModel):
    """`include_usage`: one more chunk with the counts of tokens."""

    include_usage: bool = False


class ChatRequest(BaseModel):
    """POST /v1/chat/completions."""

    model_config = ConfigDict(extra="allow", allow_inf_nan=False)

    model: Annotated[str, Field(min_length=1, max_length=200)]
    messages: Annotated[list[Message], Field(min_length=1, max_length=2000)]
    stream: Annotated[bool, Field(strict=True)] | None = None
    stream_options: StreamOptions | None = None
    temperature: Annotated[float, Field(strict=True, ge=0, le=2)] | None = None
    top_p: Annotated[float, Field(strict=True, ge=0, le=1)] | None = None
    top_k: Annotated[int, Field(strict=True, ge=0, le=1000)] | None = None
    min_p: Annotated[float, Field(strict=True, ge=0, le=1)] | None = None
    repeat_penalty: Annotated[float, Field(strict=True, ge=1, le=2)] | None = None
    seed: Annotated[int, Field(strict=True, ge=0, lt=2**32)] | None = None
    max_tokens: Annotated[int, Field(strict=True, ge=1)] | None = None
    max_completion_tokens: Annotated[int, Field(strict=True, ge=1)] | None = None
    stop: Annotated[str, Field(max_length=500)] | Annotated[
        list[Annotated[str, Field(max_length=500)]], Field(max_length=4)] | None = None
    response_format: dict[str, Any] | None = None

    @property
    def said(self) -> list[tuple[str, str]]:
        """(speaker, text) of each message."""
        return [(one.role, one.content) for one in self.messages]

    @property
    def stops(self) -> list[str]:
        """Where the answer is to end."""
        return [self.stop] if isinstance(self.stop, str) else self.stop or []

    @property
    def sampling(self) -> dict[str, Any]:
        """What it sets of types.Sampling."""
        named = ("temperature", "top_p", "top_k", "min_p", "repeat_penalty", "seed")
        found = {name: value for name in named if (value := getattr(self, name)) is not None}
        longest = self.max_completion_tokens or self.max_tokens
        return found | ({"max_tokens": longest} if longest else {})

    @property
    def schema_asked(self) -> dict[str, Any] | None:
        """The JSON schema the answer is to keep to; None for plain text."""
        form = self.response_format or {"type": "text"}
        if form.get("type") == "text":
            return None
        if form.get("type") == "json_object":
            return {"type": "object"}
        inner = form.get("json_schema") if form.get("type") == "json_schema" else None
        if not isinstance(inner, dict) or not isinstance(inner.get("schema"), dict):
            raise Refused(400, "response_format is none of text, json_object, and json_schema with its schema.",
                          code="invalid_value", param="response_format")
        return dict(inner["schema"])


class EmbeddingsRequest(BaseModel):
    """POST /v1/embeddings."""

    model_config = ConfigDict(extra="allow")

    model: Annotated[str, Field(min_length=1, max_length=200)]
    input: Annotated[str, Field(min_length=1)] | Annotated[
        list[Annotated[str, Field(min_length=1)]], Field(min_length=1, max_length=256)]
    encoding_format: Literal["float", "base64"] | None = None
    dimensions: int | None = None

    @property
    def texts(self) -> list[str]:
        """What is to be embedded."""
        return [self.input] if isinstance(self.input, str) else self.input


R = TypeVar("R", ChatRequest, EmbeddingsRequest)


def read(kind: type[R], body: bytes) -> R:
    """The request in a body. Raises Refused, which names the parameter."""
    try:
        made = kind.model_validate_json(body)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False, include_context=False)[0]
        place = [str(part) for part in first["loc"]]
        named = ".".join(part for part in place if part.isdecimal() or part in _FIELDS) or None
        raise Refused(400, f"{named or 'The body'}: {first['msg']}.", code="invalid_value", param=named) from None
    for name, value in (made.model_extra or {}).items():
        if value is not None and name not in _HARMLESS and value not in _NOTHING.get(name, ()):
            raise unsupported(name if name.isidentifier() and len(name) <= 64 else "a parameter")
    for number, one in enumerate(made.messages if isinstance(made, ChatRequest) else ()):
        for name in ("tool_calls", "function_call", "audio"):
            if (one.model_extra or {}).get(name):
                raise unsupported(f"messages.{number}.{name}")
    return made


_FIELDS = {*ChatRequest.model_fields, *EmbeddingsRequest.model_fields, *Message.model_fields,
           *StreamOptions.model_fields}


def checked(schema: dict[str, Any]) -> dict[str, Any]:
    """The schema, if an engine can follow it without choking. Raises UsageError otherwise; loads the engine's
    library."""
    from twin.engine import library  # here: the library is heavy, and only schemas need it now

    try:
        if len(json.dumps(schema)) > _LONGEST_SCHEMA or not _bounded(schema):
            raise UsageError("The schema asks for too much.",
                             f"Repeat nothing more than {_MOST_REPEATS} times, and quantify no group of a pattern.")
        if len(library.grammar(json.loads(json.dumps(schema)))) <= _LONGEST_GRAMMAR:
            return schema
    except UsageError:
        raise
    except Exception as error:  # llama.cpp's converter raises what it likes on what it does not know
        raise UsageError("The schema gives no grammar this engine can follow.", "Simplify the schema.") from error
    raise UsageError("The schema gives no grammar this engine can follow.", "Simplify the schema.")


def _bounded(node: Any) -> bool:
    if isinstance(node, list):
        return all(map(_bounded, node))
    if not isinstance(node, dict):
        return True
    if isinstance(node.get("pattern"), str) and _QUANTIFIED_GROUP.search(node["pattern"]):
        return False
    counts = [node[name] for name in _REPEATS if isinstance(node.get(name), int | float)]
    return all(0 <= count <= _MOST_REPEATS for count in counts) and all(map(_bounded, node.values()))
