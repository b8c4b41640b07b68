"""Probe: finds out what a server can do by asking it, in a dozen requests of a few tokens each.

A field that a server does not know it mostly ignores, so that a kind answer proves nothing: what is asked for is looked
for in the answer. Knows no prompts of people.
"""
from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import PurePosixPath
from typing import Any

from twin.engine import remote_forms as forms
from twin.engine.remote_forms import Capabilities, SchemaForm, Tokenizer
from twin.engine.remote_wire import Link, Reply
from twin.errors import ModelBroken, ModelMissing, TwinError, UsageError
from twin.prompt import family_of, plain
from twin.types import Family, Sampling

ASSUMED_N_CTX = 4096
_MANY = 1000  # llama-server sets no limit; of 20 a seldom answer is not among them, and seemed too likely
_TOPS = (20, 5, 1)       # of the likeliest tokens: vLLM's limit, that of OpenAI's completions, the least
# Four letters that nobody writes by himself: an answer that holds them was forced.
_FORCED = {"type": "object", "properties": {"word": {"enum": ["qzxv"]}}, "required": ["word"],
           "additionalProperties": False}
_CHAT_SCHEMAS: tuple[SchemaForm, ...] = ("response_format", "json_object", "structured_outputs", "guided_json")
_TEXT_SCHEMAS: tuple[SchemaForm, ...] = ("json_schema", "response_format", "structured_outputs", "guided_json",
                                         "grammar")
_SAME = 0.05             # nats by which a token's log probability may differ when it is read in another batch
_GREEDY = Sampling(temperature=0.0, max_tokens=1)


def tokenized(link: Link, form: Tokenizer, model: str, text: str, *, special: bool) -> list[int]:
    """Token ids of a text from a server's tokenizer, what it puts before each text included. Raises as `Link.must`;
    ValueError for an answer without ids."""
    path, body = {
        "llama-server": ("/tokenize", {"content": text, "add_special": False, "parse_special": special}),
        "vllm": ("/tokenize", {"model": model, "prompt": text, "add_special_tokens": False}),
        "llama_cpp": ("/extras/tokenize", {"model": model, "input": text})}[form]
    reply = link.ask(path, body, root=True)
    ids = reply.document.get("tokens") if reply.ok and isinstance(reply.document, dict) else None
    if reply.status != 200:
        raise link.refusal(reply, model=model)
    if not isinstance(ids, list) or not all(isinstance(one, int) for one in ids):
        raise ValueError("no ids")
    return ids


class Probe:
    """One round of questions; `found` is what came out, `model` and `family` whom it is about."""

    def __init__(self, link: Link, model: str | None, family: str | Family | None) -> None:
        self.link = link
        self.found = Capabilities()
        listed = self._listed()
        self.model = model or self._only(listed)
        self._refuse_unknown(listed)
        told = self._props()
        known = family_of(family) if family else told
        self.family = known or family_of("chatml")
        self._adapters(listed)
        self._tokenizer()
        if known is None or not any(self._raw(way) for way in ("ids", "text")):
            self._chat()
        self._logprobs()
        if self.found.way != "chat":
            self._prompt_logprobs()
        self._schema()

    def _set(self, **changes: Any) -> None:
        self.found = replace(self.found, **changes)

    # ---- what it tells of itself -----------------------------------------------------------------------------------

    def _listed(self) -> list[dict[str, Any]]:
        reply = self.link.ask("/models")
        if reply.status in (404, 405, 501):
            return []
        if reply.status != 200:
            raise self.link.refusal(reply)
        data = reply.document.get("data") if isinstance(reply.document, dict) else None
        if not isinstance(data, list) or not all(isinstance(one, dict) and isinstance(one.get("id"), str)
                                                 for one in data):
            raise self.link.broken()
        self._set(models=tuple(one["id"] for one in data[:1000]))
        return data

    def _only(self, listed: list[dict[str, Any]]) -> str:
        """The one model that is no adapter (vLLM names the parent of those)."""
        names = [one["id"] for one in listed if not one.get("parent")]
        if len(names) != 1:
            raise UsageError(f"{self.link.where} has {len(names)} models.",
                             f"Choose one of: {self.link.listed(names)}.")
        return str(names[0])

    def _refuse_unknown(self, listed: list[dict[str, Any]]) -> None:
        entry = next((one for one in listed if one["id"] in (self.model, f"{self.model}:latest")), None)
        if listed and entry is None:
            raise ModelMissing(f"{self.link.where} has no model {self.link.clean(self.model)!r}.",
                               f"Choose one of: {self.link.listed(self.found.models)}.")
        facts = entry or {}
        meta = facts.get("meta")
        self._set(n_ctx=_number(facts.get("max_model_len")),
                  parameters=_number(meta.get("n_params")) if isinstance(meta, dict) else 0)

    def _props(self) -> Family | None:
        """llama-server's /props: the context of a slot, and the chat template, which tells the family."""
        document = self._root("/props")
        settings = document.get("default_generation_settings") if isinstance(document, dict) else None
        if not isinstance(document, dict) or not isinstance(settings, dict):
            return None
        self._set(n_ctx=_number(settings.get("n_ctx")) or self.found.n_ctx)
        template = document.get("chat_template")
        if not isinstance(template, str) or not template:
            return None
        from twin.engine import frame  # deferred: brings jinja2

        name = frame.known(template, "")
        if name:
            return family_of(name)
        with suppress(ModelBroken):
            return frame.learn(template, name=self.link.clean(self.model), bos=str(document.get("bos_token") or ""),
                               eos=str(document.get("eos_token") or ""))
        return None

    def _adapters(self, listed: list[dict[str, Any]]) -> None:
        document = self._root("/lora-adapters")
        if isinstance(document, list) and all(isinstance(one, dict) for one in document):
            self._set(adapters="lora" if document else "",
                      loras={PurePosixPath(str(one.get("path"))).stem: int(one["id"]) for one in document
                             if isinstance(one.get("id"), int)})
        elif any(one.get("parent") for one in listed):
            self._set(adapters="model")

    def _root(self, path: str) -> Any:
        reply = self.link.ask(path, root=True)
        return reply.document if reply.ok else None

    # ---- tokens and prompts ------------------------------------------------------------------------------------------

    def _tokenizer(self) -> None:
        names: tuple[Tokenizer, ...] = ("llama-server", "vllm", "llama_cpp")
        for form in names:
            with suppress(TwinError, ValueError):
                if len(tokenized(self.link, form, self.model, "one two", special=False)) < 2:
                    continue
                self._set(tokenizer=form, head=self._head(form), plain_data=self._plain_data(form))
                return

    def _head(self, form: Tokenizer) -> tuple[int, ...]:
        """What two texts that share no letter begin with alike."""
        first, second = (tokenized(self.link, form, self.model, text, special=False) for text in ("one", "7"))
        same = 0
        while same < min(len(first), len(second)) - 1 and first[same] == second[same]:
            same += 1
        return tuple(first[:same])

    def _plain_data(self, form: Tokenizer) -> bool:
        control = next(iter(forms.markers(self.family)), "<|im_end|>")
        as_text, as_control = (len(tokenized(self.link, form, self.model, control, special=special))
                               for special in (False, True))
        return as_text > as_control

    def _raw(self, way: forms.Way) -> bool:
        """Whether completions go on from exactly what is sent. Ollama puts its template around it: then the prompt has
        more tokens than were sent."""
        if way == "ids" and not self.found.tokenizer:
            return False
        sent: Any = "one two"
        if way == "ids":
            sent = tokenized(self.link, self.found.tokenizer, self.model, "one two", special=False)
            sent = sent[len(self.found.head):]
        self._set(way=way)
        reply = self._tried({"prompt": sent})
        many = forms.counted(reply.document, "prompt_tokens") if reply.ok else -1
        return reply.ok and _has_choice(reply) and (many == len(sent) if way == "ids" and many >= 0 else many <= 6)

    def _chat(self) -> None:
        """Where a system message may stand: templates differ, and `twin serve` wants the user's message last."""
        self._set(way="chat")
        user, system = {"role": "user", "content": "Hello."}, {"role": "system", "content": "Answer briefly."}
        tried: list[tuple[forms.Systems, list[dict[str, str]]]] = [
            ("any", [user, system]), ("first", [system, user]), ("none", [user])]
        for systems, said in tried:
            reply = self._tried({"messages": said})
            if reply.ok and _has_choice(reply):
                self._set(systems=systems)
                return
        raise self.link.refusal(reply, model=self.model, known=self.found.models) if not reply.ok else \
            self.link.broken()

    def _tried(self, asked: dict[str, Any]) -> Reply:
        """One token after something, with the fields of llama.cpp and vLLM if the server takes them."""
        more = forms.extras(self.found.tokenizer, _GREEDY)
        reply = self._ask(asked | more)
        if reply.status in (400, 422, 500):
            plainly = self._ask(asked)
            self._set(extras=False)
            return plainly
        self._set(extras=reply.ok)
        return reply

    # ---- what it tells of tokens, what it can be forced to -----------------------------------------------------------

    def _asked(self) -> dict[str, Any]:
        """A question, as this server is asked."""
        prompt = plain(self.family, [("user", "Name a colour.")])
        if self.found.way == "chat":
            return {"messages": forms.messages(prompt, self.family, self.found.systems)}
        text = forms.flat(prompt, self.family, start=not self.found.head)
        if self.found.way == "text":
            return {"prompt": text}
        return {"prompt": tokenized(self.link, self.found.tokenizer, self.model, text,
                                    special=True)[len(self.found.head):]}

    def _ask(self, body: Mapping[str, Any], *, max_tokens: int = 1) -> Reply:
        path = "/chat/completions" if self.found.way == "chat" else "/completions"
        return self.link.ask(path, {"model": self.model, "max_tokens": max_tokens, "temperature": 0.0, **body})

    def _logprobs(self) -> None:
        for top in (_MANY, *_TOPS) if self.found.tokenizer == "llama-server" else _TOPS:
            reply = self._ask(self._asked() | forms.wanted(self.found.way, top))
            with suppress(ValueError):
                if _has_choice(reply) and any(token.top for token in forms.told(forms.only_choice(reply.document))):
                    self._set(logprobs=top)
                    return

    def _prompt_logprobs(self) -> None:
        """A token that was written must have the same probability once it is read: llama_cpp.server tells those of the
        place beside it where no start token opens the prompt."""
        asked = self._asked()["prompt"]
        with suppress(ValueError, TwinError):
            reply = self._ask({"prompt": asked, **forms.wanted(self.found.way, 1)})
            first = forms.told(forms.only_choice(reply.document))[0] if _has_choice(reply) else None
            if first is None or not first.text:
                return
            ids = asked if isinstance(asked, str) else tokenized(
                self.link, self.found.tokenizer, self.model, first.text, special=False)[len(self.found.head):]
            longer = asked + first.text if isinstance(asked, str) else asked + ids
            for name in ("prompt_logprobs", "echo"):
                if abs(self._last(longer, name) - first.logprob) < _SAME:
                    self._set(prompt_logprobs=name)
                    return

    def _last(self, prompt: Any, name: str) -> float:
        """Log probability of a prompt's last token; infinity where it is not told."""
        reply = self._ask({"prompt": prompt, **reading(name)})
        ids = None if isinstance(prompt, str) else prompt
        read = read_prompt(reply.document, name, ids) if _has_choice(reply) else []
        return read[-1] if read else math.inf

    def _schema(self) -> None:
        for form in _CHAT_SCHEMAS if self.found.way == "chat" else _TEXT_SCHEMAS:
            asked = self._asked() | forms.forced(form, _FORCED)
            with suppress(ValueError, AttributeError):  # one token tells most of those that do not know the field
                if self._answer(asked, 1).lstrip()[:1] in ("", "{") and \
                        json.loads(self._answer(asked, 24)).get("word") == "qzxv":
                    self._set(schema=form)
                    return

    def _answer(self, asked: Mapping[str, Any], max_tokens: int) -> str:
        reply = self._ask(asked, max_tokens=max_tokens)
        return forms.answered(forms.only_choice(reply.document)) if _has_choice(reply) else "none"


def reading(name: str) -> dict[str, Any]:
    """The fields that ask for the log probabilities of a prompt. One token is written as well: llama_cpp.server takes 0
    for as many as fit."""
    return {"prompt_logprobs": 1} if name == "prompt_logprobs" else {"echo": True, "logprobs": 1}


def read_prompt(document: Mapping[str, Any], name: str, ids: Sequence[int] | None = None) -> list[float]:
    """Log probabilities of the tokens of a prompt, of which the ids may be known; what was written after it is left
    out. Raises ValueError where they are not told."""
    choice = forms.only_choice(document)
    if name == "prompt_logprobs":
        return forms.prompt_told(choice, ids)
    made = forms.counted(document, "completion_tokens")
    tokens = forms.told(choice)
    return [token.logprob for token in tokens[:len(tokens) - (1 if made < 0 else made)]]


def _has_choice(reply: Reply) -> bool:
    with suppress(ValueError, AttributeError):
        return reply.ok and bool(forms.only_choice(reply.document))
    return False


def _number(value: Any) -> int:
    return value if isinstance(value, int) and not isinstance(value, bool) and 0 < value < 2**63 else 0
