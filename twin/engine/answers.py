"""Answers being written: those that share adapters move on together, one llama_decode a step for all of them.

A step fills one batch with whatever each answer has to read next - the rest of its tail, or the token it drew last -
and draws for those that have read everything. Knows an engine's lanes and samplers; knows no roles.
"""
from __future__ import annotations

import codecs
import time
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Literal

from twin.engine import library, sampler
from twin.engine.lanes import Lane, Row
from twin.engine.weights import BASE
from twin.errors import ContextFull, ModelError, TwinError
from twin.types import Piece, Prompt, Sampling, Usage, Written

if TYPE_CHECKING:
    from twin.engine.llama import LlamaEngine, Plan

Finish = Literal["stop", "length", "cancelled"]


class Answer:
    """One continuation: what is asked, what was written, and the pieces nobody has pulled yet."""

    def __init__(self, asked: Prompt, sampling: Sampling, schema: Mapping[str, Any] | None) -> None:
        self.asked, self.sampling, self.schema = asked, sampling, schema
        self.pieces: deque[Piece] = deque()
        self.error: TwinError | None = None
        self.done = False
        self.plan: Plan | None = None
        self.lane: Lane | None = None
        self.chain: Any = None
        self.unread: list[int] = []
        self.ids: list[int] = []
        self.reused = self.reread = 0
        self.began = self.first = 0.0
        self.decoder = codecs.getincrementaldecoder("utf-8")("replace")

    def usage(self, finish: Finish) -> Usage:
        """What it took until now."""
        return Usage(prompt_tokens=self.plan.length if self.plan else 0, header=self.plan.header if self.plan else 0,
                     reused=self.reused, reread=self.reread, generated=len(self.ids), first_token_s=self.first,
                     total_s=time.perf_counter() - self.began if self.began else 0.0, finish=finish)


class Stream:
    """The pieces of one answer. Pulling moves the whole group on; closing ends this answer alone."""

    def __init__(self, group: Group, answer: Answer) -> None:
        self._group, self._answer = group, answer

    def __iter__(self) -> Stream:
        return self

    def __next__(self) -> Piece:
        answer = self._answer
        while not answer.pieces:
            if answer.error is not None:
                error, answer.error = answer.error, None
                raise error
            if answer.done:
                raise StopIteration
            self._group.step(answer)
        return answer.pieces.popleft()

    def close(self) -> None:
        """End the answer, without a last piece, and give its lane back."""
        self._answer.pieces.clear()
        self._group.release(self._answer)

    def __del__(self) -> None:
        # The collector can come in the middle of a step, in any thread: the lane is given back at the next look.
        if not self._answer.done:
            self._group.engine.abandoned.append(self.close)


class Group:
    """Answers with the same adapters. Those for which there is no room wait until others are done."""

    def __init__(self, engine: LlamaEngine, cancel: Callable[[], bool]) -> None:
        self.engine, self.cancel = engine, cancel
        self.waiting: deque[Answer] = deque()
        self.writing: list[Answer] = []
        self.size = 0

    def add(self, answer: Answer) -> Stream:
        """Put an answer in line; nothing is read yet."""
        self.waiting.append(answer)
        self.size += 1
        return Stream(self, answer)

    def step(self, wanted: Answer) -> None:
        """One batch, for the answer that is waited for and all that are written beside it."""
        with self.engine.lock:
            self.engine.sweep()
            wanted.began = wanted.began or time.perf_counter()
            if self.cancel():
                for answer in [*self.writing, *self.waiting]:
                    self._finish(answer, "cancelled")
                return
            try:
                self._admit()
                if self.writing:
                    self._decode()
            except TwinError as error:  # the context is one: what fails for the batch fails for each answer in it
                for answer in list(self.writing) or [wanted]:
                    self._fail(answer, error)

    def release(self, answer: Answer, *, keep: bool = False) -> None:
        """Give back what an answer holds. One that was written alone, by one set of weights, stays to be continued."""
        with self.engine.lock:
            answer.done = True
            if answer in self.writing:
                self.writing.remove(answer)
            if answer in self.waiting:
                self.waiting.remove(answer)
            if answer.chain is not None:
                library.llama().llama_sampler_free(answer.chain)
                answer.chain = None
            lane, answer.lane = answer.lane, None
            if lane is not None and not self.engine.closed:
                if keep and self.size == 1 and lane.key is not None:
                    self.engine.lanes.keep(lane)
                else:
                    self.engine.lanes.drop(lane)

    def _fail(self, answer: Answer, error: TwinError) -> None:
        answer.error = error
        self.release(answer)

    def _admit(self) -> None:
        """Begin waiting answers while sequences and cells last."""
        while self.waiting:
            answer = self.waiting[0]
            answer.began = answer.began or time.perf_counter()
            try:
                plan = answer.plan = answer.plan or self.engine.plan(answer.asked, answer.sampling.max_tokens)
                if self.writing and not self._fits(plan, answer.sampling):
                    answer.plan = None  # its adapters may be unloaded until there is room
                    return
                answer.chain = answer.chain or sampler.chain(self.engine.weights, answer.sampling, answer.schema)
                answer.lane, answer.reused, answer.reread = self.engine.begin(plan, self.cancel)
            except ContextFull as error:
                if self.writing:
                    answer.plan = None
                    return  # room comes when another answer is done
                self._fail(answer, error)
                continue
            except TwinError as error:
                self._fail(answer, error)
                continue
            if answer.lane is None:
                self._finish(answer, "cancelled")
                continue
            answer.unread = list(plan.tail)
            self.waiting.popleft()
            self.writing.append(answer)

    def _fits(self, plan: Plan, sampling: Sampling) -> bool:
        """Whether sequences and cells hold this answer beside those being written. A shared prefix counts once."""
        plans = [(plan, sampling.max_tokens)]
        plans += [(one.plan, one.sampling.max_tokens) for one in self.writing if one.plan]
        own = sum(one.length - len(one.prefix) + room for one, room in plans)
        lanes, mine = self.engine.lanes, [answer.lane for answer in self.writing]
        others = sum(len(lane.tokens) for lane in lanes.lanes if lane.busy and lane not in mine)  # at most: some share
        shared = max(len(one.prefix) for one, _ in plans)
        return lanes.free_seqs >= 2 and shared + own + others <= lanes.cells

    def _decode(self) -> None:
        """One batch for all; then every answer that has read everything draws its next token."""
        lanes, ready = self.engine.lanes, []
        rows: list[Row] = []
        for answer in self.writing:
            part, answer.unread = answer.unread[:lanes.n_batch - len(rows)], answer.unread[lanes.n_batch - len(rows):]
            rows += [Row(answer.lane, token) for token in part if answer.lane]
            if part and not answer.unread:
                rows[-1] = replace(rows[-1], wanted=True)
                ready.append((answer, len(rows) - 1))
        if not rows:
            raise ModelError("An answer has nothing to read and is not done.", "Ask again.")
        plan = self.writing[0].plan
        lanes.decode(rows, plan.then if plan else BASE)
        for answer, row in ready:
            self._draw(answer, row)

    def _draw(self, answer: Answer, row: int) -> None:
        weights = self.engine.weights
        token = int(library.llama().llama_sampler_sample(answer.chain, self.engine.lanes.ctx, row))
        answer.first = answer.first or time.perf_counter() - answer.began
        if weights.ends(token):
            self._finish(answer, "stop")
            return
        answer.ids.append(token)
        text = answer.decoder.decode(weights.piece(token))
        if text:
            answer.pieces.append(Piece(text))
        if len(answer.ids) >= answer.sampling.max_tokens:
            self._finish(answer, "length")
        else:
            answer.unread = [token]

    def _finish(self, answer: Answer, finish: Finish) -> None:
        rest = answer.decoder.decode(b"", final=True)
        # A control token among them would open a speaker when they are read again: such an answer is spelled anew.
        plain = answer.ids and not any(map(self.engine.weights.is_control, answer.ids))
        written = Written(self.engine.id, tuple(answer.ids)) if plain else None
        answer.pieces.append(Piece(rest, finish, answer.usage(finish), written))
        self.release(answer, keep=True)
