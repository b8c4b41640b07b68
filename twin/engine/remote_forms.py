"""Forms of remote servers: how a prompt, a schema and a wish for probabilities are written for each of them, and how
their answers are read.

Text of people is data: where a server would read control tokens in it, they are broken up by a space. Knows what vLLM,
llama-server, llama_cpp.server, Ollama and OpenAI write; knows no network.
"""
from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from twin.prompt import opening
from twin.types import Family, Prompt, Sampling, Segment

Way = Literal["ids", "text", "chat"]
Tokenizer = Literal["", "llama-server", "vllm", "llama_cpp"]
SchemaForm = Literal["", "response_format",
                     "json_schema", "structured_outputs", "guided_json", "json_object", "grammar"]
Systems = Literal["any", "first", "none"]

# What chat templates in use write as control tokens, whatever the family: ChatML and Llama 3, DeepSeek, Llama 2 and
# Mistral, Gemma, BERT-like ends.
_CONTROL = (r"<\|[^<>|\s]{1,60}\|>|<｜[^<>｜\s]{1,60}｜>|</?s>|<(?:bos|eos|unk|pad|mask)>|<(?:start|end)_of_turn>"
            r"|\[/?(?:INST|SYSTEM_PROMPT|AVAILABLE_TOOLS|TOOL_RESULTS|TOOL_CALLS|TOOL_CONTENT)\]|<</?SYS>>|</?think>")
_MARKER = re.compile(r"<[^<>\s]{1,60}>|\[[^\[\]\s]{1,40}\]")


@dataclass(frozen=True)
class Capabilities:
    """What a server was found to be able to do; nothing here is assumed.

    way: prompts go as token ids, as one text, or as messages that its own template renders. tokenizer: whose form of
    /tokenize it answers; head: the ids that one puts before each text; plain_data: it can keep `<|im_end|>` in data as
    text. logprobs: how many of the likeliest tokens it tells; prompt_logprobs: how it tells those of a prompt. schema:
    the field that forces JSON. adapters: chosen by the field `lora`, or as a model. systems: where messages of the
    system may stand. extras: it takes top_k, min_p and a penalty. n_ctx and parameters are 0 where it does not tell.
    """

    way: Way = "chat"
    tokenizer: Tokenizer = ""
    head: tuple[int, ...] = ()
    plain_data: bool = False
    logprobs: int = 0
    prompt_logprobs: Literal["", "echo", "prompt_logprobs"] = ""
    schema: SchemaForm = ""
    adapters: Literal["", "lora", "model"] = ""
    systems: Systems = "any"
    extras: bool = False
    models: tuple[str, ...] = field(default=(), repr=False)  # as the server spells them: it may spell a key
    loras: Mapping[str, int] = field(default_factory=dict, repr=False)
    n_ctx: int = 0
    parameters: int = 0


# ---- prompts -----------------------------------------------------------------------------------------------------

def markers(family: Family) -> tuple[str, ...]:
    """The control tokens that a chat form writes, longest first."""
    texts = (family.start, family.opening, *(family.system or ()), *family.user, *family.assistant)
    return tuple(sorted({found for text in texts for found in _MARKER.findall(text)}, key=lambda one: (-len(one), one)))


def broken_up(text: str, family: Family) -> str:
    """Data in which no control token is left: a space follows the first sign of each."""
    pattern = "|".join([*map(re.escape, markers(family)), _CONTROL])
    return re.sub(pattern, lambda found: f"{found[0][0]} {found[0][1:]}", text)


def flat(prompt: Prompt, family: Family, *, start: bool = True) -> str:
    """A prompt as one text. `start`: with what opens every prompt of the family, where no server adds it."""
    return "".join(segment.text if segment.special else broken_up(segment.text, family)
                   for segment in (*prompt.prefix, *prompt.tail) if start or segment.part != "start")


def messages(prompt: Prompt, family: Family, systems: Systems) -> list[dict[str, str]]:
    """A prompt as messages, control tokens left out. Where the system may not speak, the user says it.

    A late system message joins the user's message before it, as a paragraph of its own; two of one speaker in a row
    are joined.
    """
    made: list[tuple[str, str]] = []
    for speaker, text in _said((*prompt.prefix, *prompt.tail), family):
        folded = speaker == "system" and (systems == "none" or (systems == "first" and made))
        speaker = "user" if folded else speaker
        if made and made[-1][0] == speaker:
            made[-1] = (speaker, f"{made[-1][1]}\n\n{text}")
        else:
            made.append((speaker, text))
    if made and all(speaker == "system" for speaker, _ in made):
        made = [("user", text) for _, text in made]
    return [{"role": speaker, "content": broken_up(text, family)} for speaker, text in made]


def _said(segments: Sequence[Segment], family: Family) -> Iterator[tuple[str, str]]:
    """(speaker, text) of each message, as the writer of prompts put them together."""
    openers = {family.user[0]: "user", family.assistant[0]: "assistant"}
    openers |= {opening(family, mode): "assistant" for mode in ("auto", "on", "off")}
    openers |= {family.system[0]: "system"} if family.system else {}
    speaker, text = "", ""
    for segment in segments:
        if segment.special and segment.text in openers:
            if text:
                yield speaker, text
            speaker, text = openers[segment.text], ""
        elif not segment.special:
            text += segment.text
        elif segment.text == "\n\n" and text:
            text += segment.text  # a form without system messages: the next paragraph of the user's message
    if text.strip():
        yield speaker or "user", text


def sampled(sampling: Sampling, caps: Capabilities) -> dict[str, Any]:
    """The fields of a Sampling."""
    made: dict[str, Any] = {"temperature": sampling.temperature, "top_p": sampling.top_p,
                            "max_tokens": sampling.max_tokens}
    made |= {} if sampling.seed is None else {"seed": sampling.seed % 2**32}
    if caps.extras:
        made |= extras(caps.tokenizer, sampling)
    return made


def extras(tokenizer: Tokenizer, sampling: Sampling) -> dict[str, Any]:
    """What OpenAI's own API does not have; vLLM calls the penalty by another name than llama.cpp."""
    penalty = "repetition_penalty" if tokenizer == "vllm" else "repeat_penalty"
    return {"top_k": sampling.top_k, "min_p": sampling.min_p, penalty: sampling.repeat_penalty}


def forced(form: SchemaForm, schema: Mapping[str, Any]) -> dict[str, Any]:
    """The fields that force JSON. OpenAI, vLLM, Ollama and `twin serve` take `response_format`; llama-server's
    completions `json_schema`; vLLM also `structured_outputs`, before 0.12 `guided_json`; llama_cpp.server's chat a
    `json_object` with its schema, its completions only GBNF."""
    plain = dict(schema)
    if form == "response_format":
        return {"response_format": {"type": "json_schema", "json_schema": {"name": "answer", "schema": plain,
                                                                            "strict": True}}}
    if form == "json_object":
        return {"response_format": {"type": "json_object", "schema": plain}}
    if form == "structured_outputs":
        return {"structured_outputs": {"json": plain}}
    if form == "grammar":
        from twin.engine import library  # deferred: loads llama.cpp, whose converter is used

        return {"grammar": library.grammar(schema).decode()}
    return {form: plain}


def wanted(way: Way, n: int) -> dict[str, Any]:
    """The fields that ask for the n likeliest tokens."""
    return {"logprobs": True, "top_logprobs": n} if way == "chat" else {"logprobs": n}


# ---- answers -----------------------------------------------------------------------------------------------------

@dataclass(frozen=True)
class Told:
    """A token of an answer: its text, its id where that was told, its log probability (natural), and those that were
    likeliest in its place as (text, id, log probability)."""

    text: str = field(repr=False)
    id: int | None
    logprob: float
    top: tuple[tuple[str, int | None, float], ...] = field(default=(), repr=False)


def told(choice: Mapping[str, Any]) -> list[Told]:
    """The tokens of a choice with their log probabilities, [] where it has none. Two forms are in use: OpenAI's chat
    (`content`, also llama-server's completions, there with ids) and its old completions (`tokens`, `token_logprobs`,
    `top_logprobs`). Raises ValueError for anything else."""
    found = choice.get("logprobs")
    if not found:
        return []
    try:
        if isinstance(found.get("content"), list):
            return [Told(*_one(token), tuple(_one(other) for other in token.get("top_logprobs") or ()))
                    for token in found["content"]]
        tops = found.get("top_logprobs") or [None] * len(found["tokens"])
        return [Told(text, None, -math.inf if logprob is None else float(logprob),
                     tuple((other, None, float(value)) for other, value in (top or {}).items()))
                for text, logprob, top in zip(found["tokens"], found["token_logprobs"], tops, strict=True)]
    except (AttributeError, KeyError, TypeError) as error:
        raise ValueError("no log probabilities") from error


def _one(token: Mapping[str, Any]) -> tuple[str, int | None, float]:
    number = token.get("id")
    return str(token["token"]), number if isinstance(number, int) else None, float(token["logprob"])


def prompt_told(choice: Mapping[str, Any], ids: Sequence[int] | None = None) -> list[float]:
    """vLLM's `prompt_logprobs` of a choice: the log probability of each token of the prompt, -inf for the first, which
    follows nothing. Each entry maps ids to {logprob, rank, decoded_token}; without `ids` the first is taken, which is
    the prompt's own token. Raises ValueError for anything else."""
    found = choice.get("prompt_logprobs") or []
    own = [str(one) for one in ids] if ids is not None else [next(iter(entry or {}), "") for entry in found]
    try:
        return [float(entry[key]["logprob"]) if entry else -math.inf for key, entry in zip(own, found, strict=True)]
    except (AttributeError, KeyError, TypeError) as error:
        raise ValueError("no log probabilities") from error


def answered(choice: Mapping[str, Any]) -> str:
    """The text of a whole choice, of either form; "" where there is none."""
    message = choice.get("message")
    text = message.get("content") if isinstance(message, dict) else choice.get("text")
    return text if isinstance(text, str) else ""


def only_choice(document: Mapping[str, Any]) -> dict[str, Any]:
    """The first choice of an answer. Raises ValueError where it has none."""
    choices = document.get("choices")
    if not isinstance(choices, list) or not choices or not isinstance(choices[0], dict):
        raise ValueError("no choice")
    return dict(choices[0])


def counted(document: Mapping[str, Any], name: str) -> int:
    """A number of `usage`; -1 where it is not told."""
    usage = document.get("usage")
    value = usage.get(name) if isinstance(usage, dict) else None
    return value if isinstance(value, int) and not isinstance(value, bool) and value >= 0 else -1


def reused(document: Mapping[str, Any]) -> int:
    """Tokens of the prompt that were not read again, as OpenAI and vLLM tell them (`usage`) or llama-server
    (`timings`)."""
    usage, timings = document.get("usage"), document.get("timings")
    details = usage.get("prompt_tokens_details") if isinstance(usage, dict) else None
    value = details.get("cached_tokens") if isinstance(details, dict) else None
    if value is None and isinstance(timings, dict):
        value = timings.get("cache_n")
    return value if isinstance(value, int) and value >= 0 else 0
