"""LlamaEngine: one GGUF core in process, many roles on one context, each prefix read once.

Prompts come as shared prefix and role tail. The prefix lies in a lane that everyone copies by reference; a tail and
its answer are written into such a copy. A prompt-only answer stays as a lane, so that the conversation goes on where
it stopped. An activated LoRA reads only its tail; a plain LoRA reads all in lanes of its own.

Several answers can be written at once, from several threads: every step takes the lock, and every answer owns its
lane. Knows token ids and logits; knows no roles, no people and no files but GGUF and snapshots.
"""
from __future__ import annotations

import math
import threading
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from twin import machine, prompt
from twin.engine import asked_together, devices, library, refuse_cold, trial
from twin.engine.answers import Answer, Group
from twin.engine.lanes import Lane, Lanes, Row
from twin.engine.snapshots import Snapshots, key_text
from twin.engine.weights import Key, Weights
from twin.errors import CannotDo, ModelError, ModelMissing, PromptTooLong, UsageError
from twin.fetch import refuse_if_wrong
from twin.placement import Placement, fit
from twin.types import Adapter, Family, Piece, Prompt, Sampling, Score, Segment, never

# Tokens a llama_decode. Cancelling is possible between two: at 58-76 tokens a second on 2 cores 128 tokens are about
# 2 s, and larger batches read no faster there. A card reads 512 at once several times faster than 128.
BATCH, BATCH_ON_CARDS = 128, 512
WORTH_RESTORING = 64  # tokens: below that, reading them costs about what looking them up and loading them does
SEQUENCES, SEQUENCES_RECURRENT = 40, 20  # each recurrent sequence costs a whole state, an attention one almost nothing


@dataclass(frozen=True)
class Plan:
    """A prompt as token ids: `prefix` and `head` are read under `first`, `tail` under `then`."""

    prefix: list[int] = field(repr=False)
    head: list[int] = field(repr=False)
    tail: list[int] = field(repr=False)
    first: Key
    then: Key
    header: int
    constant: int  # tokens of the prefix that every conversation begins with
    past: tuple[tuple[int, int], ...]  # spans of the prefix that hold past exchanges

    @property
    def length(self) -> int:
        """Tokens of the whole prompt."""
        return len(self.prefix) + len(self.head) + len(self.tail)


class LlamaEngine:
    """A GGUF core. `trusted` skips the trial load in a child, for files whose sha256 was verified.

    family: chat form, by name or as learned by the trial. n_ctx: tokens of a prompt with its answer, capped by what
    the core was trained for; `yarn` (a factor over 1) stretches that (YaRN, Peng et al. 2023). cells: tokens that all
    prefixes and answers may hold together, n_ctx when None; plain LoRA roles and councils want more. n_seq: answers
    and prefixes alive at once. experts: active experts a token of a mixture. warm: share of the cells that prefixes
    of plain LoRA roles may keep. snapshots: where constant prefixes and conversations are kept between runs.
    Raises ModelMissing, ModelBroken, CannotDo, ModelError.
    """

    def __init__(self, path: Path, *, family: str | Family | None = None, n_ctx: int = 8192,
                 n_threads: int | None = None, placement: Placement | None = None, trusted: bool = False,
                 sha256: str | None = None, yarn: float | None = None, experts: int | None = None,
                 cells: int | None = None, n_seq: int | None = None, warm: float = 0.5,
                 snapshots: Snapshots | None = None) -> None:
        self._lanes: Lanes | None = None
        self.lock = threading.RLock()
        self.abandoned: deque[Callable[[], None]] = deque()  # answers that were dropped half-way, to be closed
        self.path = Path(path)
        self.id, self.n_ctx, self.parameters = self.path.stem, 0, 0
        if not self.path.is_file():
            raise ModelMissing(f"There is no model file at {self.path}.", "Fetch one with `twin models pull NAME`.")
        refuse_if_wrong(self.path, must_be_gguf=True)
        learned, notes = None, []
        if not trusted:
            verdict = trial.trial(self.path)
            trial.refuse(self.path, verdict)
            learned = verdict.family
            if not learned and not family:
                notes.append(f"The chat form is ChatML: {verdict.reason or 'the file names none'}.")
        self.placement, changes = fit(placement or Placement(), devices.live(placement or Placement()))
        self.weights = Weights(self.path, self.placement, experts=experts)
        self.family = prompt.family_of(family or learned or "chatml")
        self.sha256 = sha256 or trial.sha256_of(self.path)
        self.id = f"{self.path.stem}@{self.sha256[:16]}"
        self.parameters = self.weights.facts.n_params
        self.snapshots = snapshots
        try:
            self.n_ctx = self._longest(n_ctx, yarn)
            # llama.cpp asserts as many cells as sequences; a file may say that it was trained for three tokens.
            context = self._context(max(cells or 0, self.n_ctx, 256), n_threads or machine.processors(), yarn, n_seq)
        except BaseException:
            self.weights.close()
            raise
        lib = library.llama()
        self._lanes = Lanes(self.weights, context, n_batch=int(lib.llama_n_batch(context)),
                            warm=int(lib.llama_n_ctx(context) * warm), remote=bool(self.placement.servers))
        if n_ctx > self.n_ctx or yarn:
            after = f"; YaRN stretches them to {self.n_ctx}." if yarn else ", so the context is that long."
            notes.append(f"{self.path.stem} was trained for {self.weights.native_context} tokens{after}")
        self.notes = (*notes, *changes)
        # What makes states of one run useless to another: all that changes the numbers, or how they are laid out.
        self.settings = {
            "sha256": self.sha256, "kv_type": self.placement.kv_type, "flash_attention": self.placement.flash_attention,
            "yarn": str(yarn), "experts": str(experts), "n_ctx": str(lib.llama_n_ctx(context)),
            "llama-cpp-python": str(lib.__version__)}

    def __repr__(self) -> str:
        return f"LlamaEngine({self.id}, n_ctx={self.n_ctx})"

    def _longest(self, n_ctx: int, yarn: float | None) -> int:
        """Tokens of the longest prompt with its answer: what is asked, at most what the core was trained for."""
        if yarn is None:
            trained = self.weights.facts.n_ctx_train
            return min(n_ctx, trained) if trained > 0 else n_ctx
        if not 1.0 < yarn <= 32.0:
            raise UsageError(f"A YaRN factor of {yarn} makes no sense.", "Give a factor over 1, such as 4.")
        lib = library.llama()
        if lib.llama_model_rope_type(self.weights.model) == lib.LLAMA_ROPE_TYPE_NONE:
            raise CannotDo(f"{self.path.name} has no rotary positions to stretch.", "Leave `yarn` unset.")
        return min(n_ctx, int(self.weights.native_context * yarn))

    def _context(self, cells: int, n_threads: int, yarn: float | None, n_seq: int | None) -> Any:
        lib, facts = library.llama(), self.weights.facts
        params = lib.llama_context_default_params()
        self._alive = devices.apply(self.placement, None, params)
        if yarn is not None:
            params.rope_scaling_type = lib.LLAMA_ROPE_SCALING_TYPE_YARN
            params.rope_freq_scale = 1.0 / yarn
            params.yarn_orig_ctx = self.weights.native_context
        params.n_ctx = cells
        on_cards = self.placement.n_gpu_layers != 0 and not self.placement.servers and lib.llama_supports_gpu_offload()
        params.n_batch = params.n_ubatch = BATCH_ON_CARDS if on_cards else BATCH
        params.n_threads = params.n_threads_batch = n_threads
        recurrent = facts.recurrent or facts.hybrid
        params.n_seq_max = min(n_seq or (SEQUENCES_RECURRENT if recurrent else SEQUENCES),
                               lib.llama_max_parallel_sequences())
        params.kv_unified = True  # a copied sequence shares its cells instead of halving the context
        params.swa_full = True  # a sliding window forgets what a copy or a cut still needs
        library.forget_log()
        context = lib.llama_init_from_model(self.weights.model, params)
        if not context:
            raise ModelError(f"No context of {cells} tokens could be made for {self.path.name} ({library.reason()}).",
                             "Ask for a smaller context, or free memory.")
        return context

    def close(self) -> None:
        """Free context and weights; a second call does nothing."""
        with self.lock:
            if self._lanes is not None:
                self._lanes.close()
                self._lanes = None
            self.weights.close()

    @property
    def closed(self) -> bool:
        """Whether the weights were freed."""
        return self._lanes is None

    @property
    def lanes(self) -> Lanes:
        """The sequences of the context. Raises ModelError when the engine was closed."""
        if self._lanes is None:
            raise ModelError("The engine is closed.", "Open the twin again.")
        return self._lanes

    def sweep(self) -> None:
        """Close what was dropped half-way. Called where nothing is being changed, with the lock held."""
        while self.abandoned:
            self.abandoned.popleft()()
        _ = self.lanes  # raises when the engine is closed

    # ---- tokens ------------------------------------------------------------------------------------------------

    def tokenize(self, text: str, *, special: bool = False) -> list[int]:
        """Token ids of a text; with special=False `<|im_end|>` inside it stays ordinary pieces of text."""
        with self.lock:  # another thread may be closing
            return self.weights.tokenize(text, special=special)

    def _ids(self, segment: Segment) -> list[int]:
        return prompt.spell(segment, self.tokenize, self.id)

    def plan(self, asked: Prompt, room: int) -> Plan:
        """Token ids of a prompt and the weights that read each part. Raises PromptTooLong, UsageError, ModelBroken."""
        prefix: list[int] = []
        past, constant = [], 0
        for segment in asked.prefix:
            ids = self._ids(segment)
            if segment.part == "history":
                past.append((len(prefix), len(prefix) + len(ids)))
            prefix += ids
            if segment.part in ("start", "constitution"):
                constant = len(prefix)
        tail = [(segment.part, token) for segment in asked.tail for token in self._ids(segment)]
        if not tail:
            raise UsageError("A prompt without a tail cannot be continued.", "Render it with twin.prompt.")
        n = len(prefix) + len(tail)
        if n + room > self.n_ctx:
            raise PromptTooLong(f"The prompt has {n} tokens and the answer {room}; the context holds {self.n_ctx}.",
                                "Ask something shorter, or open the twin with a larger context.")
        ids = [token for _, token in tail]
        first, then, start = self._keys(asked.adapters, ids)
        header = sum(part == "role" for part, _ in tail)
        return Plan(prefix, ids[:start], ids[start:], first, then, header, constant, tuple(past))

    def _keys(self, adapters: Sequence[Adapter], tail: list[int]) -> tuple[Key, Key, int]:
        """The weights of the prefix, those of the answer, and where in the tail the second begin."""
        keys: dict[str, set[tuple[str, float]]] = {"first": set(), "then": set()}
        start = len(tail)
        for wanted in adapters:
            loaded = self.weights.adapter(wanted)
            if wanted.scale == 0.0:
                continue
            keys["then"].add((loaded.sha256, wanted.scale))
            kind = loaded.kind if wanted.kind == "auto" else wanted.kind
            if kind != "alora":
                keys["first"].add((loaded.sha256, wanted.scale))
            else:
                start = min(start, _invoked(tail, loaded.invocation, wanted))
        first, then = tuple(sorted(keys["first"])), tuple(sorted(keys["then"]))
        # Without an activated LoRA the weights do not change inside the prompt.
        return first, then, start if first != then else 0

    # ---- answering ---------------------------------------------------------------------------------------------

    def stream(self, asked: Prompt, sampling: Sampling, *, schema: Mapping[str, Any] | None = None,
               cancel: Callable[[], bool] = never) -> Iterator[Piece]:
        """Continue a prompt, see types.Engine; `cancel` is asked between tokens, and between batches while reading."""
        return self.stream_many([asked], [sampling], schemas=[schema], cancel=cancel)[0]

    def stream_many(self, prompts: Sequence[Prompt], samplings: Sequence[Sampling], *,
                    schemas: Sequence[Mapping[str, Any] | None] = (),
                    cancel: Callable[[], bool] = never) -> list[Iterator[Piece]]:
        """Several continuations at once, see types.Engine. Nothing is read before an iterator is first pulled."""
        groups: dict[tuple[Adapter, ...], Group] = {}
        return [groups.setdefault(asked.adapters, Group(self, cancel)).add(Answer(asked, sampling, schema))
                for asked, sampling, schema in asked_together(prompts, samplings, schemas)]

    def choose(self, asked: Prompt, options: Sequence[str]) -> list[float]:
        """Probabilities of the options, by the logits of their first tokens. UsageError when two begin alike."""
        first = [self.tokenize(option)[:1] for option in options]
        tokens = [ids[0] for ids in first if ids]
        if len(options) < 2 or len(set(tokens)) != len(options):
            raise UsageError(f"The options {list(options)} do not begin with different tokens.", "Reword them.")
        values = self._logits(asked, [])[0][tokens]
        weights = [math.exp(value - max(values)) for value in values]
        return [weight / sum(weights) for weight in weights]

    def score(self, asked: Prompt, continuation: str, *, temperature: float = 1.0) -> Score:
        """Bits of a text as the continuation of a prompt; logits are kept for its own tokens only, a batch at a time.

        The text is tokenised as data. -log2 of the softmax of the logits / `temperature`, in float64. Raises UsageError
        for an empty text and for a temperature that is not above 0.
        """
        refuse_cold(temperature)
        ids = self.tokenize(continuation)
        if not ids:
            raise UsageError("An empty text has no bits.", "Score a text of at least one character.")
        rows = self._logits(asked, ids[:-1])
        if temperature != 1.0:  # left alone at 1, where the figures of every bench so far come from
            rows = [row / np.float32(temperature) for row in rows]
        bits = [(np.logaddexp.reduce(row, dtype=np.float64) - float(row[token])) / math.log(2)
                for row, token in zip(rows, ids, strict=True)]
        return Score(tuple(float(one) for one in bits), len(continuation))

    def _logits(self, asked: Prompt, more: Sequence[int]) -> list[NDArray[np.float32]]:
        """Logits (n_vocab,) after the prompt and after each of `more` tokens."""
        with self.lock:
            self.sweep()
            plan = self.plan(asked, len(more) + 1)
            lane, _, _ = self.begin(plan, never)
            assert lane is not None  # noqa: S101 - nobody cancels
            try:
                last = plan.length - 1
                tokens = [*plan.tail, *more]
                found: list[NDArray[np.float32]] = []
                for start in range(0, len(tokens), self.lanes.n_batch):
                    rows = [Row(lane, token, len(lane.tokens) + i >= last)
                            for i, token in enumerate(tokens[start:start + self.lanes.n_batch])]
                    self.lanes.decode(rows, plan.then)
                    found += [self.logits(i).copy() for i, row in enumerate(rows) if row.wanted]
                return found
            finally:
                self.lanes.drop(lane)

    def logits(self, row: int) -> NDArray[np.float32]:
        """Logits (n_vocab,) of a wanted row of the last decode; a view until the next one."""
        pointer = library.llama().llama_get_logits_ith(self.lanes.ctx, row)
        if not pointer:
            raise ModelError("The core gave no logits.", "Ask again; if it repeats, use a smaller context.")
        return np.ctypeslib.as_array(pointer, (self.weights.n_vocab,))

    # ---- reading -----------------------------------------------------------------------------------------------

    def begin(self, plan: Plan, cancel: Callable[[], bool]) -> tuple[Lane | None, int, int]:
        """A lane of its own for an answer, read up to where the tail begins: (lane, tokens reused, past re-read).

        None instead of the lane when it was cancelled; what was read until then is kept for the next time.
        """
        lane, reused, finished = self._share(plan, cancel)
        reread = sum(max(0, min(end, len(lane.tokens)) - max(start, reused)) for start, end in plan.past)
        if not finished:
            return None, reused, reread
        own = self.lanes.copy(lane, len(lane.tokens))
        own.busy = True
        if plan.first != plan.then:
            own.key = None
            try:
                self.lanes.read(own, plan.head, plan.first)
            except BaseException:
                self.lanes.drop(own)
                raise
        return own, reused, reread

    def _share(self, plan: Plan, cancel: Callable[[], bool]) -> tuple[Lane, int, bool]:
        """The prefix lane, from what is in the context or on the disk, the rest read now."""
        if self.snapshots is not None:
            worth = self.lanes.nearest(plan.first, plan.prefix)[1] + WORTH_RESTORING
            found = self.snapshots.best(self._key_text(plan.first), plan.prefix, longer_than=worth)
            state = self.snapshots.load(found) if found else None
            if found and state:
                self.lanes.restore(plan.first, found.tokens, state)
        return self.lanes.open(plan.first, plan.prefix, cancel, stops=[plan.constant] if plan.constant else [])

    def prepare(self, asked: Prompt, *, keep: bool = False, cancel: Callable[[], bool] = never) -> int:
        """Read the shared prefix of a prompt now, in idle time; returns the tokens that were read.

        After an adapter's answer this is the re-reading by the base weights, so that the next turn need not wait.
        `keep` saves what is read by then as snapshots: what every conversation begins with, and this one.
        """
        with self.lock:
            self.sweep()
            plan = self.plan(asked, 1)
            before = self.lanes.read_tokens
            lane, _, _ = self._share(plan, cancel)
            if keep and self.snapshots is not None:
                self._save(self.snapshots, plan, lane)
            return self.lanes.read_tokens - before

    def forget(self) -> None:
        """Drop all that was read and is not being continued: the next prompt is read from its first token, in batches
        that no earlier prompt has shifted, and scores to the last bit as it did before."""
        with self.lock:
            self.sweep()
            self.lanes.forget()

    def _save(self, shelf: Snapshots, plan: Plan, whole: Lane) -> None:
        context = self._key_text(plan.first)
        wanted = [whole.tokens]
        if 0 < plan.constant < len(whole.tokens):
            wanted.append(plan.prefix[:plan.constant])
        for tokens in wanted:
            here = self.lanes.nearest(plan.first, tokens)[1] == len(tokens)  # else it would have to be read for this
            if here and len(tokens) >= WORTH_RESTORING and not shelf.best(context, tokens, longer_than=len(tokens) - 1):
                lane, _, _ = self.lanes.open(plan.first, tokens, never)
                shelf.save(context, lane.tokens, self.lanes.state(lane), forget_over=plan.constant)

    def _key_text(self, key: Key) -> str:
        return key_text(self.settings, key)

    # ---- adapters ----------------------------------------------------------------------------------------------

    def unload(self, adapter: Adapter) -> None:
        """Free an adapter and all that was read with it; the base and its prefixes stay."""
        with self.lock:
            self.sweep()
            if any(lane.busy for lane in self.lanes.lanes):
                raise UsageError("An answer is being written.", "Finish or stop it first.")
            self.lanes.unload(self.weights.adapter(adapter).sha256)


def _invoked(tail: list[int], invocation: Sequence[int], adapter: Adapter) -> int:
    """Where in the tail an activated LoRA begins: at the last occurrence of its invocation; at the start when its file
    names none (it was trained with the whole tail)."""
    if not invocation:
        return 0
    n = len(invocation)
    for start in range(len(tail) - n, -1, -1):
        if tail[start:start + n] == list(invocation):
            return start
    raise UsageError(f"The prompt does not hold the invocation of the adapter {Path(adapter.path).name}.",
                     "Use it with the chat form it was trained for.")
