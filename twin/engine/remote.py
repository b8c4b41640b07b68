"""RemoteEngine: any OpenAI-compatible server as a core - vLLM, llama-server, llama_cpp.server, Ollama, `twin serve`.

What the server can do is asked at opening (`capabilities`); what it cannot stands in `notes` and is CannotDo when it is
called. Text of people never becomes control tokens there. Knows prompts and their forms on the wire; knows no roles and
no people.
"""
from __future__ import annotations

import hashlib
import math
from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from twin.engine import asked_together, refuse_cold
from twin.engine import remote_forms as forms
from twin.engine.remote_answer import Answer, Asked, Call
from twin.engine.remote_probe import ASSUMED_N_CTX, Probe, read_prompt, reading, tokenized
from twin.engine.remote_wire import KEY_ENV, Link, Timeouts
from twin.errors import CannotDo, ModelError, PromptTooLong, UsageError
from twin.prompt import spell
from twin.types import Adapter, Family, Piece, Prompt, Sampling, Score, never

_REMEMBERED = 4096      # texts whose token ids are kept: each would cost a request
_PREPARED = 64          # prefixes that were read ahead
_BYTES_A_TOKEN = 2      # where nobody counts: more tokens than any vocabulary in use needs for running text
_DEFAULT = Timeouts()


class RemoteEngine:
    """A core behind `url`, http(s)://host:port/v1 (or .../v1#model); see types.Engine.

    model: which one, where the server has several. family: the chat form it was trained with; without it the server's
    own template is used (as messages), unless llama-server tells it. n_ctx: tokens of a prompt with its answer, where
    the server does not tell. key_env: the variable that holds the key, if one is needed. clear_key: let that key travel
    over plain http to another machine. adapters: what the server calls an adapter, by the path, name, stem or sha256 of
    its file here; else by its stem. transport: an httpx transport, in place of the network. opened: gets the
    link before the first request; closing it ends the opening.
    Raises UsageError, DeviceLost (not reached), ModelMissing (no such model), ModelError.
    """

    def __init__(self, url: str, model: str | None = None, *, family: str | Family | None = None,
                 n_ctx: int | None = None, key_env: str = KEY_ENV, timeouts: Timeouts = _DEFAULT,
                 adapters: Mapping[str, str | int] | None = None, clear_key: bool = False,
                 transport: Any = None, opened: Callable[[Link], object] | None = None) -> None:
        self.link = Link(url, key_env=key_env, timeouts=timeouts, transport=transport, clear_key=clear_key)
        if opened is not None:
            opened(self.link)
        try:
            probe = Probe(self.link, model or self.link.fragment or None, family)
        except BaseException:
            self.link.close()
            raise
        self.capabilities, self.model, self.family = probe.found, probe.model, probe.family
        self.id = f"{self.link.clean(self.model)}@{self.link.where}"
        self.n_ctx = n_ctx or self.capabilities.n_ctx or ASSUMED_N_CTX
        self.parameters = self.capabilities.parameters
        self.notes = _notes(self, assumed=not (n_ctx or self.capabilities.n_ctx))
        self._named = dict(adapters or {})
        self._ids: OrderedDict[tuple[str, bool], list[int]] = OrderedDict()
        self._prepared: OrderedDict[Any, None] = OrderedDict()

    def __repr__(self) -> str:
        return f"RemoteEngine({self.id}, n_ctx={self.n_ctx})"

    def close(self) -> None:
        """Leave the server; a second call does nothing."""
        self.link.close()

    # ---- tokens ----------------------------------------------------------------------------------------------------

    def tokenize(self, text: str, *, special: bool = False) -> list[int]:
        """Token ids, see types.Engine. Where the server reads control tokens in any text, those in data are broken up
        by a space first; where it has no tokenizer, one number stands for two bytes."""
        caps = self.capabilities
        if not caps.tokenizer:
            data = text.encode("utf-8", "replace")
            return [int.from_bytes(data[at:at + _BYTES_A_TOKEN], "big") for at in range(0, len(data), _BYTES_A_TOKEN)]
        if not text:
            return []
        if (text, special) not in self._ids:
            sent = text if special or caps.plain_data else forms.broken_up(text, self.family)
            with suppress(ValueError):
                self._ids[text, special] = tokenized(self.link, caps.tokenizer, self.model, sent,
                                                     special=special)[len(caps.head):]
            if (text, special) not in self._ids:
                raise self.link.broken()
            if len(self._ids) > _REMEMBERED:
                self._ids.popitem(last=False)
        return list(self._ids[text, special])

    def _spelt(self, prompt: Prompt) -> dict[str, Any]:
        """The prompt as the server takes it."""
        caps = self.capabilities
        if caps.way == "chat":
            return {"messages": forms.messages(prompt, self.family, caps.systems)} | self._quick(prompt)
        if caps.way == "text":
            return {"prompt": forms.flat(prompt, self.family, start=not caps.head)}
        segments = (*prompt.prefix, *prompt.tail)
        return {"prompt": [one for segment in segments for one in spell(segment, self.tokenize, self.id)]}

    def _quick(self, prompt: Prompt) -> dict[str, Any]:
        """Templates of cores that may think take a switch: off where the prompt opens and closes an empty block."""
        shut = prompt.tail and prompt.tail[-1].text.rstrip().endswith("</think>")
        return {"chat_template_kwargs": {"enable_thinking": False}} if shut else {}

    def _count(self, spelt: Mapping[str, Any]) -> int:
        """Tokens of a prompt; of messages those of their texts, 0 where nobody counts."""
        if isinstance(spelt.get("prompt"), list):
            return len(spelt["prompt"])
        if not self.capabilities.tokenizer:
            return 0
        texts = [spelt["prompt"]] if "prompt" in spelt else [said["content"] for said in spelt["messages"]]
        return sum(len(self.tokenize(text, special=True)) for text in texts)

    # ---- answering ---------------------------------------------------------------------------------------------------

    def stream(self, prompt: Prompt, sampling: Sampling, *, schema: Mapping[str, Any] | None = None,
               cancel: Callable[[], bool] = never) -> Iterator[Piece]:
        """Continue a prompt, see types.Engine; `cancel` closes the connection. Raises DeviceLost for an answer that
        breaks off, PromptTooLong, CannotDo for a schema or an adapter the server has no way for, ModelError."""
        return self.stream_many([prompt], [sampling], schemas=[schema], cancel=cancel)[0]

    def stream_many(self, prompts: Sequence[Prompt], samplings: Sequence[Sampling], *,
                    schemas: Sequence[Mapping[str, Any] | None] = (),
                    cancel: Callable[[], bool] = never) -> list[Iterator[Piece]]:
        """Several continuations at once, see types.Engine: the first pull sends all requests, the server batches."""
        group = [Call(self.link, partial(self._asked, *asked))
                 for asked in asked_together(prompts, samplings, schemas)]
        return [Answer(self.id, call, group, cancel) for call in group]

    def _asked(self, prompt: Prompt, sampling: Sampling, schema: Mapping[str, Any] | None) -> Asked:
        """What is sent for an answer, and what was counted of it."""
        caps = self.capabilities
        if schema is not None and not caps.schema:
            raise CannotDo(f"{self.link.where} cannot be held to a schema.", "Use another server for this.")
        spelt = self._spelt(prompt)
        count = self._count(spelt)
        self._refuse_longer(count + sampling.max_tokens)
        body = self._with_adapters(prompt.adapters) | spelt | forms.sampled(sampling, caps)
        body |= {"stream": True, "stream_options": {"include_usage": True}}
        body |= forms.forced(caps.schema, schema) if schema is not None else {}
        end, last = self.family.assistant[1].strip(), []
        if caps.way != "chat":
            body["stop"] = [end] if end else []
        if caps.way == "ids":  # the ids of the answer: vLLM's own field; llama-server tells them beside probabilities
            body |= {"return_token_ids": True} if caps.tokenizer == "vllm" else {"logprobs": 1} if caps.logprobs else {}
            last = self.tokenize(end, special=True)
        header = sum(len(self.tokenize(one.text, special=one.special)) for one in prompt.tail if one.part == "role") \
            if caps.tokenizer else 0
        return Asked(self._path, body, self.model, caps.models, count, header, sampling.max_tokens,
                     last[0] if len(last) == 1 else None)

    @property
    def _path(self) -> str:
        return "/chat/completions" if self.capabilities.way == "chat" else "/completions"

    def _refuse_longer(self, count: int) -> None:
        if count > self.n_ctx:
            raise PromptTooLong(f"Prompt and answer need {count} tokens; the context holds {self.n_ctx}.",
                                "Ask something shorter.")

    def prepare(self, prompt: Prompt, *, keep: bool = False,  # noqa: ARG002 - what a server keeps is its own affair
                cancel: Callable[[], bool] = never) -> int:
        """Let the server read the shared prefix, for its prefix cache; returns the tokens it read. Nothing for
        messages: their template would end the prefix otherwise than the prompt goes on."""
        if self.capabilities.way == "chat" or not prompt.prefix or cancel():
            return 0
        spelt = self._spelt(Prompt(prompt.prefix, ()))
        key = (str(spelt["prompt"]), prompt.adapters)
        if key in self._prepared:
            return 0
        self._refuse_longer(self._count(spelt) + 1)
        document = self._one(self._with_adapters(prompt.adapters) | spelt, cancel)
        self._prepared[key] = None
        if len(self._prepared) > _PREPARED:
            self._prepared.popitem(last=False)
        read = forms.counted(document, "prompt_tokens")
        return max(0, (self._count(spelt) if read < 0 else read) - forms.reused(document))

    def _one(self, body: dict[str, Any], cancel: Callable[[], bool] = never) -> dict[str, Any]:
        """The document of an answer of one token."""
        return self.link.must(self._path, {"max_tokens": 1, "temperature": 0.0} | body, model=self.model,
                              known=self.capabilities.models, cancel=cancel)

    # ---- probabilities -----------------------------------------------------------------------------------------------

    def choose(self, prompt: Prompt, options: Sequence[str]) -> list[float]:
        """Probabilities of the options, by their first tokens among the likeliest that the server tells; one that is
        not among them is scored, or, where that cannot be, counts as the least of those, which is more than it has.
        Raises CannotDo where the server tells none, or nothing of any option; UsageError when two begin alike."""
        top = self.capabilities.logprobs
        if not top:
            raise CannotDo(f"{self.link.where} tells no probabilities.", "Use another server for this.")
        spelt = self._spelt(prompt)
        self._refuse_longer(self._count(spelt) + 1)
        document = self._one(self._with_adapters(prompt.adapters) | spelt | forms.wanted(self.capabilities.way, top))
        try:
            likeliest = forms.told(forms.only_choice(document))[0].top
        except (ValueError, IndexError):
            raise self.link.broken() from None
        found = [self._first(option, likeliest) for option in options]
        there = [at for at in found if at is not None]
        if len(options) < 2 or len(set(there)) != len(there):
            raise UsageError(f"The options {list(options)} do not begin with different tokens.", "Reword them.")
        least = min(value for _, _, value in likeliest)
        exact = bool(self.capabilities.prompt_logprobs and self.capabilities.tokenizer)
        if not there and not exact:
            raise CannotDo(f"None of the options is among the {top} likeliest words.", "Use another server for this.")
        worth = [likeliest[at][2] if at is not None else self._unlisted(prompt, option, least) if exact else least
                 for at, option in zip(found, options, strict=True)]
        weights = [math.exp(one - max(worth)) for one in worth]
        return [weight / sum(weights) for weight in weights]

    def _unlisted(self, prompt: Prompt, option: str, least: float) -> float:
        """What an option that is not among the likeliest is worth by its first token, as a text that is read."""
        with suppress(CannotDo):
            return -self.score(prompt, option).bits[0] * math.log(2)
        return least

    def _first(self, option: str, likeliest: Sequence[tuple[str, int | None, float]]) -> int | None:
        """Where the first token of an option stands: by its id, or as the longest text that the option begins with."""
        if any(number is not None for _, number, _ in likeliest):
            first = self.tokenize(option)[:1]
            return next((at for at, (_, number, _) in enumerate(likeliest) if [number] == first), None)
        fitting = [at for at, (text, _, _) in enumerate(likeliest) if text and option.startswith(text)]
        return max(fitting, key=lambda at: len(likeliest[at][0]), default=None)

    def score(self, prompt: Prompt, continuation: str, *, temperature: float = 1.0) -> Score:
        """Bits of a text as the continuation of a prompt, from the server's log probabilities of what it reads. Raises
        CannotDo where it tells none of those, for another temperature than 1, and where prompt and text share a token;
        UsageError as types.Engine."""
        refuse_cold(temperature)
        if not continuation:
            raise UsageError("An empty text has no bits.", "Score a text of at least one character.")
        caps = self.capabilities
        if not caps.prompt_logprobs or not caps.tokenizer:
            raise CannotDo(f"{self.link.where} tells no probabilities of what it reads.",
                           "Use another server for this.")
        if temperature != 1.0:
            raise CannotDo(f"{self.link.where} tells probabilities at a temperature of 1 only.",
                           "Score at 1, or on a core of this machine.")
        ids = self.tokenize(continuation)
        whole = self._continued(self._spelt(prompt)["prompt"], continuation, ids)
        self._refuse_longer(self._count({"prompt": whole}) + 1)
        document = self._one(self._with_adapters(prompt.adapters) | {"prompt": whole} | reading(caps.prompt_logprobs))
        try:
            told = read_prompt(document, caps.prompt_logprobs, whole if isinstance(whole, list) else None)[-len(ids):]
        except ValueError:
            raise self.link.broken() from None
        if len(told) != len(ids) or not all(math.isfinite(one) for one in told):
            raise self.link.broken()
        return Score(tuple(max(0.0, -one / math.log(2)) for one in told), len(continuation))

    def _continued(self, prompt: Any, continuation: str, ids: list[int]) -> Any:
        """Prompt and continuation as one. As a text, only where its tokens are those of both."""
        if isinstance(prompt, list):
            return prompt + ids
        data = continuation if self.capabilities.plain_data else forms.broken_up(continuation, self.family)
        whole = str(prompt) + data
        if self.tokenize(whole, special=True) != self.tokenize(str(prompt), special=True) + ids:
            raise CannotDo(f"{self.link.where} reads the beginning of this text as one token with what stands before.",
                           "Score it on a core of this machine.")
        return whole

    # ---- adapters ----------------------------------------------------------------------------------------------------

    def load_adapter(self, name: str, path: str) -> None:
        """Let vLLM load an adapter from a folder of that machine, to be used by `name`: its /v1/load_lora_adapter,
        which VLLM_ALLOW_RUNTIME_LORA_UPDATING allows there. Raises CannotDo, and as other calls do."""
        reply = self.link.ask("/load_lora_adapter", {"lora_name": name, "lora_path": path})
        if reply.status == 404:
            raise CannotDo(f"{self.link.where} loads no adapters while it runs.", "Start it with the adapter.")
        if reply.status != 200:
            raise self.link.refusal(reply)
        probe = self.link.must("/models")
        models = tuple(str(one.get("id")) for one in probe.get("data") or [] if isinstance(one, dict))
        self.capabilities = replace(self.capabilities, models=models, adapters="model")

    def _with_adapters(self, adapters: Sequence[Adapter]) -> dict[str, Any]:
        """The fields that name the model and its adapters; llama-server applies those it was started with unless told
        otherwise."""
        caps, wanted = self.capabilities, [one for one in adapters if one.scale != 0.0]
        if caps.adapters == "lora":
            scales = dict.fromkeys(caps.loras.values(), 0.0)
            scales |= {self._lora(one): one.scale for one in wanted}
            return {"model": self.model, "lora": [{"id": key, "scale": value} for key, value in scales.items()]}
        if not wanted:
            return {"model": self.model}
        name = self._remote_name(wanted[0])
        if len(wanted) > 1 or wanted[0].scale != 1.0 or wanted[0].kind == "control":
            raise CannotDo(f"{self.link.where} applies one whole LoRA at a time.",
                           "Ask with that one alone, at scale 1.")
        if name not in caps.models:
            raise self._without(wanted[0])
        return {"model": name}

    def _lora(self, adapter: Adapter) -> int:
        name = self._remote_name(adapter)
        number = self.capabilities.loras.get(name) if isinstance(name, str) else name
        if number is None or adapter.kind == "control" or number not in self.capabilities.loras.values():
            raise self._without(adapter)
        return number

    def _remote_name(self, adapter: Adapter) -> str | int:
        path = Path(adapter.path)
        for key in (adapter.path, path.name, path.stem):
            if key in self._named:
                return self._named[key]
        if any(len(key) == 64 for key in self._named) and path.is_file():
            with path.open("rb") as file:
                return self._named.get(hashlib.file_digest(file, "sha256").hexdigest(), path.stem)
        return path.stem

    def _without(self, adapter: Adapter) -> ModelError:
        return CannotDo(f"{self.link.where} does not have the adapter {Path(adapter.path).stem}.",
                        "Load it there, or name it in `adapters`.")


def _notes(engine: RemoteEngine, *, assumed: bool) -> tuple[str, ...]:
    """What the server lacks, in words."""
    caps, where = engine.capabilities, engine.link.where
    chat = caps.way == "chat"
    lacks = (
        (assumed, f"{where} does not tell its context; {engine.n_ctx} tokens are assumed."),
        (not caps.tokenizer, f"{where} counts no tokens; they are estimated from above, two bytes each."),
        (chat, f"{where} gets messages; its own template writes the prompt."),
        (chat and caps.systems != "any",
         f"{where} takes no late system message; the user's message carries the role."),
        (not caps.plain_data, f"{where} would read control tokens in data; they are broken up by a space."),
        (caps.way != "ids", f"{where} takes no token ids; answers are continued by their text."),
        (not caps.logprobs, f"{where} tells no probabilities; options cannot be weighed."),
        (not (caps.prompt_logprobs and caps.tokenizer),
         f"{where} tells no probabilities of what it reads; texts cannot be scored."),
        (not caps.schema, f"{where} cannot be held to a schema."),
        (not caps.extras, f"{where} takes neither top_k, min_p nor a penalty of repetition."))
    return tuple(note for lacking, note in lacks if lacking)
