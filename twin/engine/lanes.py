"""Lanes: the sequences of one context, and which weights read what lies in them.

A lane is a run of token ids in one sequence of llama.cpp's memory, together with the key of the weights that read
it. The cache key is (model, adapters with scales, control vector, tokens): the model is this object's, the rest is the
lane's, and no lane is ever continued or copied for another key. A copy costs no cells: it refers to the same ones.

Where sequences cannot be cut (recurrent state), a lane is only appended to, or copied whole; so a lane is left behind
where others will want to begin. Knows token ids; knows no text, no prompt and no sampling.
"""
from __future__ import annotations

import ctypes
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from twin.engine import library
from twin.engine.weights import BASE, Key, Weights
from twin.errors import ContextFull, ModelError
from twin.types import never

# Idle lanes that the base keeps. Attention runs over all cells in use, so old ones cost: at 500 shared tokens a switch
# took 0.059 s, and 0.104 s beside 20 finished answers. Three: this conversation, its last answer, one to return to;
# where lanes cannot be cut, the constitution, the question and its answer.
IDLE = 3


@dataclass(eq=False)
class Lane:
    """One sequence. `busy` while somebody writes to it; `used` orders lanes by last use.

    key None: several weights read it, one after the other, so that nobody but its owner can use it.
    """

    seq: int
    key: Key | None
    tokens: list[int] = field(default_factory=list, repr=False)
    busy: bool = False
    used: int = 0


@dataclass(frozen=True)
class Row:
    """One token of a batch: where it stands, and whether its logits are wanted."""

    lane: Lane
    token: int = field(repr=False)
    wanted: bool = False


class Lanes:
    """The context over some weights. Not safe for threads: the engine holds a lock around every call.

    n_batch: tokens a llama_decode; warm: cells that lanes of other keys than the base may keep. remote: workers
    compute, and llama_decode returns before they have: a batch is then waited for, or a cancel would come late.
    """

    def __init__(self, weights: Weights, context: Any, *, n_batch: int, warm: int, remote: bool = False) -> None:
        self._l = library.llama()
        self.weights = weights
        self.ctx = context
        self.cells = int(self._l.llama_n_ctx(context))
        self.n_batch = n_batch
        self.warm = warm
        self.remote = remote
        self.can_cut = not (weights.facts.recurrent or weights.facts.hybrid)
        self.lanes: list[Lane] = []
        self.read_tokens = 0  # all tokens ever decoded, for benches and tests
        self._memory = self._l.llama_get_memory(context)
        self._batch = self._l.llama_batch_init(n_batch, 0, 1)
        self._seqs = list(range(int(self._l.llama_n_seq_max(context))))[::-1]
        self._active: Key = BASE
        self._clock = 0

    def close(self) -> None:
        """Free the batch and the context."""
        self._l.llama_batch_free(self._batch)
        self._l.llama_free(self.ctx)
        self.lanes = []

    # ---- opening -----------------------------------------------------------------------------------------------

    def nearest(self, key: Key, tokens: Sequence[int]) -> tuple[Lane | None, int]:
        """The lane of this key that shares most with these tokens, and how many of its tokens can be used."""
        best, most = None, 0
        for lane in self.lanes:
            if lane.key == key:
                shared = _common(lane.tokens, tokens)
                if not self.can_cut and shared < len(lane.tokens):
                    continue  # a state cannot be taken from the middle of a recurrent lane
                if shared > most or (best is not None and shared == most and len(lane.tokens) < len(best.tokens)):
                    best, most = lane, shared
        return best, most

    def open(self, key: Key, tokens: Sequence[int], cancel: Callable[[], bool],
             stops: Iterable[int] = ()) -> tuple[Lane, int, bool]:
        """A lane that holds these tokens, read by the weights of this key: (lane, tokens reused, finished).

        Reads only what no lane of the key has. `stops` are lengths at which a lane is left behind where lanes cannot
        be cut. When cancelled the lane holds what was read so far.
        """
        found, reused = self.nearest(key, tokens)
        lane: Lane
        if found is None:
            lane = self._new(key)
        elif reused == len(found.tokens) and not found.busy:
            lane = found
        elif key and not found.busy:
            lane = found  # a role's own lane: what it wrote under its header is not what it reads now
            self._cut(lane, reused)
        else:
            lane = self.copy(found, reused)
        self._touch(lane)
        lane.busy = True
        at = [] if self.can_cut else sorted(stops)
        for begin in [one for one in self.lanes if one.key == key and len(one.tokens) in at]:
            if begin.tokens == list(tokens[:len(begin.tokens)]):
                self._touch(begin)  # in use by all that begin with it
        try:
            for stop in [*at, len(tokens)]:
                if not self.read(lane, tokens[len(lane.tokens):stop], key, cancel):
                    return lane, reused, False
                if len(lane.tokens) < len(tokens) and len(lane.tokens) == stop:
                    lane.busy = False
                    lane = self.copy(lane, stop)
                    lane.busy = True
        finally:
            lane.busy = False
        self._bound(lane)
        return lane, reused, True

    def _cut(self, lane: Lane, length: int) -> None:
        """Forget the end of a lane. Only where `nearest` may use the middle of one."""
        self._l.llama_memory_seq_rm(self._memory, lane.seq, length, -1)
        del lane.tokens[length:]

    def copy(self, lane: Lane, length: int) -> Lane:
        """A new lane with the first `length` tokens of another; where cuts cannot be, only whole lanes are copied."""
        whole = length == len(lane.tokens)
        was, lane.busy = lane.busy, True  # it must not be the one that makes room
        try:
            made = self._new(lane.key)
        finally:
            lane.busy = was
        self._l.llama_memory_seq_cp(self._memory, lane.seq, made.seq, *((-1, -1) if whole else (0, length)))
        made.tokens = lane.tokens[:length]
        return made

    def keep(self, lane: Lane) -> None:
        """Leave a finished lane to whoever continues it; lanes that are its beginning hold nothing more."""
        lane.busy = False
        self._touch(lane)
        if self.can_cut:
            for other in [one for one in self.lanes if one is not lane and one.key == lane.key and not one.busy]:
                if len(other.tokens) <= len(lane.tokens) and other.tokens == lane.tokens[:len(other.tokens)]:
                    self.drop(other)
        self._bound(lane)

    def drop(self, lane: Lane) -> None:
        """Give a lane's sequence back."""
        if lane in self.lanes:
            self._l.llama_memory_seq_rm(self._memory, lane.seq, -1, -1)
            self.lanes.remove(lane)
            self._seqs.append(lane.seq)

    def forget(self) -> None:
        """Drop every lane that nobody writes to."""
        for lane in [one for one in self.lanes if not one.busy]:
            self.drop(lane)

    def unload(self, sha256: str) -> None:
        """Free an adapter with all that was read under it. Nobody may be writing with it."""
        for lane in [one for one in self.lanes if any(name == sha256 for name, _ in one.key or ())]:
            self.drop(lane)
        self._use(BASE)
        self.weights.unload(sha256)

    @property
    def free_seqs(self) -> int:
        """Sequences that can be had now, idle lanes given up."""
        return len(self._seqs) + sum(not lane.busy for lane in self.lanes)

    def _new(self, key: Key | None) -> Lane:
        if not self._seqs and not self._give_up_oldest():
            raise ContextFull("Every sequence of the context is in use.",
                              "Finish or close other answers, or open the engine with a larger n_seq.")
        lane = Lane(self._seqs.pop(), key)
        self.lanes.append(lane)
        self._touch(lane)
        return lane

    def _touch(self, lane: Lane) -> None:
        self._clock += 1
        lane.used = self._clock

    def _give_up_oldest(self) -> bool:
        idle = [lane for lane in self.lanes if not lane.busy]
        if not idle:
            return False
        self.drop(min(idle, key=lambda lane: lane.used))
        return True

    def _bound(self, keep: Lane) -> None:
        """Let go what was not used for longest: base lanes beyond IDLE, and lanes of plain LoRA roles, which have
        prefixes of their own, beyond their share of cells."""
        oldest = sorted((lane for lane in self.lanes if lane.key is not None), key=lambda lane: lane.used)
        idle = sum(not lane.busy for lane in oldest if not lane.key)
        held = sum(len(lane.tokens) for lane in oldest if lane.key)
        for lane in oldest:
            if lane.busy or lane is keep:
                continue
            if lane.key and held > self.warm:
                held -= len(lane.tokens)
                self.drop(lane)
            elif not lane.key and idle > IDLE:
                idle -= 1
                self.drop(lane)

    # ---- reading -----------------------------------------------------------------------------------------------

    def read(self, lane: Lane, tokens: Sequence[int], key: Key, cancel: Callable[[], bool] = never) -> bool:
        """Read tokens into a lane in batches; False when it was cancelled between two."""
        for start in range(0, len(tokens), self.n_batch):
            if cancel():
                return False
            part = tokens[start:start + self.n_batch]
            self.decode([Row(lane, token, self.remote and i == len(part) - 1) for i, token in enumerate(part)], key)
            if self.remote:
                self._l.llama_get_logits_ith(self.ctx, -1)
        return True

    def decode(self, rows: Sequence[Row], key: Key) -> None:
        """One llama_decode of at most n_batch rows, with the weights of `key`; each lane grows by its rows.

        Logits of a wanted row are read by its index until the next call. Idle lanes are given up, oldest first, while
        no cells are free. Raises ContextFull when none is left to give up, ModelError for any other failure.
        """
        if any(row.lane not in self.lanes for row in rows):
            raise ModelError("What this answer rested on was lost when another one failed.", "Ask again.")
        self._use(key)
        batch = self._batch
        at: dict[int, int] = {}
        for i, row in enumerate(rows):
            place = at.setdefault(row.lane.seq, len(row.lane.tokens))
            batch.token[i], batch.pos[i], batch.n_seq_id[i], batch.logits[i] = row.token, place, 1, row.wanted
            batch.seq_id[i][0] = row.lane.seq
            at[row.lane.seq] = place + 1
        batch.n_tokens = len(rows)
        busy = {id(row.lane): (row.lane, row.lane.busy) for row in rows}
        for lane, _ in busy.values():
            lane.busy = True
        try:
            while status := self._l.llama_decode(self.ctx, batch):
                if status != 1 or not self._give_up_oldest():
                    self._failed(status)
        finally:
            for lane, was in busy.values():
                lane.busy = was
        for row in rows:
            row.lane.tokens.append(row.token)
        self.read_tokens += len(rows)

    def _failed(self, status: int) -> None:
        if status == 1:
            raise ContextFull(f"The {self.cells} cells of the context do not hold all that is thought at once.",
                              "Ask fewer roles at once, shorten the answers, or open a larger context.")
        self._l.llama_memory_clear(self._memory, True)
        for lane in list(self.lanes):
            lane.tokens.clear()
            self.drop(lane)
        raise ModelError(f"Decoding failed (llama_decode gave {status}).",
                         "Ask again; if it repeats, use a smaller context.")

    def _use(self, key: Key) -> None:
        if key != self._active:
            self._active = (("?", 0.0),)  # half-set when loading an adapter fails
            self.weights.apply(self.ctx, key)
            self._active = key

    # ---- states ------------------------------------------------------------------------------------------------

    def state(self, lane: Lane) -> bytearray:
        """The cells of a lane as bytes."""
        size = self._l.llama_state_seq_get_size(self.ctx, lane.seq)
        data = bytearray(size)
        view = (ctypes.c_uint8 * size).from_buffer(data)
        wrote = self._l.llama_state_seq_get_data(self.ctx, view, size, lane.seq)
        if wrote == 0:
            raise ModelError("The state of a conversation could not be read.", "Go on without a snapshot.")
        del view
        return data[:wrote] if wrote < size else data

    def state_anew(self, key: Key, tokens: Sequence[int]) -> bytearray:
        """The cells of these tokens, read from the first one: whatever was read before, in batches that begin there."""
        lane = self._new(key)
        try:
            self.read(lane, tokens, key)
            return self.state(lane)
        finally:
            self.drop(lane)

    def restore(self, key: Key, tokens: Sequence[int], data: bytearray | memoryview) -> Lane | None:
        """A lane with these cells; None when this context does not take them."""
        lane = self._new(key)
        buffer = (ctypes.c_uint8 * len(data)).from_buffer(data)
        lane.busy = True
        try:
            while not self._l.llama_state_seq_set_data(self.ctx, buffer, len(data), lane.seq):
                if not self._give_up_oldest():
                    lane.busy = False
                    self.drop(lane)
                    return None
        finally:
            lane.busy = False
        if self._l.llama_memory_seq_pos_max(self._memory, lane.seq) != len(tokens) - 1:
            self.drop(lane)  # cells of other places than these tokens: the next decoding would fail
            return None
        lane.tokens = list(tokens)
        return lane


def _common(mine: Sequence[int], theirs: Sequence[int]) -> int:
    """How many tokens two runs share from the start."""
    length = min(len(mine), len(theirs))
    if mine[:length] == theirs[:length]:
        return length
    return next(i for i in range(length) if mine[i] != theirs[i])
