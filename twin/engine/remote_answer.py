"""One answer of a remote server, as pieces: sent at the first pull of any of its group, cut as soon as nobody wants it.

An answer that breaks off is an error, never a short answer. Knows events of completions and of chats; knows no prompts.
"""
from __future__ import annotations

import time
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from twin.engine import remote_forms as forms
from twin.engine.remote_events import DONE
from twin.engine.remote_wire import Link, Stream
from twin.errors import DeviceLost, ModelError, TwinError
from twin.types import Piece, Usage, Written

Finish = Literal["stop", "length", "cancelled"]
_ENDS: dict[str, Finish] = {"stop": "stop", "length": "length", "eos": "stop", "stop_sequence": "stop"}
_SPARE = 64  # events beyond max_tokens until a server is held to be out of its mind: it may cut characters in pieces


@dataclass(frozen=True)
class Asked:
    """A request, whom it is for, and what was counted: tokens of the prompt (0: nobody could), of the role's header,
    and the most that may be written. `end`: the token that closes an answer and is no part of it."""

    path: str
    body: Mapping[str, Any] = field(repr=False)
    model: str
    known: tuple[str, ...]
    count: int
    header: int
    max_tokens: int
    end: int | None = None


class Call:
    """A request that is sent when it is started, and what came of it."""

    def __init__(self, link: Link, ask: Callable[[], Asked]) -> None:
        self.link, self._ask = link, ask
        self.asked: Asked | None = None
        self.stream: Stream | None = None
        self.error: TwinError | None = None
        self.began = 0.0
        self._closed = False

    def start(self) -> None:
        """Send it, once; what goes wrong is raised where the answer is pulled."""
        if self.began or self._closed:
            return
        self.began = time.monotonic()
        try:
            asked = self.asked = self._ask()
            self.stream = self.link.stream(asked.path, asked.body, model=asked.model, known=asked.known)
        except TwinError as error:
            self.error = error

    def close(self) -> None:
        """Cut the connection, if there is one; a second call does nothing."""
        self._closed = True
        if self.stream is not None:
            self.stream.close()


class Answer(Iterator[Piece]):
    """The pieces of one answer to `call`. `group` holds the calls that are sent together, this one among them. Whoever
    drops it half-way frees its connection: nothing else refers to it."""

    def __init__(self, core: str, call: Call, group: Sequence[Call], cancel: Callable[[], bool]) -> None:
        self._call = call
        self._pieces = _pieces(core, call, group, cancel)

    def __next__(self) -> Piece:
        try:
            return next(self._pieces)
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """Cut the connection; a second call does nothing."""
        self._call.close()
        self._pieces.close()

    def __del__(self) -> None:
        self._call.close()


def _pieces(core: str, call: Call, group: Sequence[Call], cancel: Callable[[], bool]) -> Generator[Piece]:
    if cancel():
        yield Piece("", "cancelled", Usage(finish="cancelled"))
        return
    for one in group:
        one.start()
    if call.error is not None:
        raise call.error
    assert call.stream is not None and call.asked is not None  # noqa: S101 - start made both, or an error
    reader = _Reader(call.link, call.asked, call.began)
    while not reader.whole:
        try:
            event = call.stream.take(cancel)
        except DeviceLost:
            if reader.finish:
                break  # it was complete
            raise
        if event is DONE:
            break
        if event is None:
            reader.finish = "cancelled"
            break
        for text in reader.read(event):
            yield Piece(text)
    call.close()
    yield reader.last(core)


class _Reader:
    """Events to texts, and what the last piece says."""

    def __init__(self, link: Link, asked: Asked, began: float) -> None:
        self._link, self._asked, self._began = link, asked, began
        self.finish: Finish | None = None
        self.usage: Mapping[str, Any] = {}
        self._first_s, self._made, self._events, self._thinks = 0.0, 0, 0, False
        self._ids: list[int] = []
        self._told, self._text = "", ""  # what the tokens with ids spell, and what came

    @property
    def whole(self) -> bool:
        """Whether nothing more can come: servers may keep the connection open."""
        return bool(self.finish and self.usage)

    def read(self, event: Mapping[str, Any]) -> Iterator[str]:
        """The texts of an event. Raises ModelError for what is no part of an answer."""
        self._events += 1
        if self._events > self._asked.max_tokens + _SPARE:
            raise self._link.broken()
        if isinstance(event.get("usage"), dict):
            self.usage = event
        try:
            choice = forms.only_choice(event)
            tokens = forms.told(choice) if "token_ids" not in choice else []
        except ValueError:
            if event.get("choices") == [] or "usage" in event:
                return
            raise self._link.broken() from None
        for text in self._texts(choice):
            self._made += 1
            self._first_s = self._first_s or time.monotonic() - self._began
            yield text
        self._identify(choice, tokens)
        reason = choice.get("finish_reason")
        if reason is not None:
            if reason not in _ENDS:
                said = self._link.clean(str(reason))[:40]
                raise ModelError(f"{self._link.where} ended the answer: {said!r}.", "Ask otherwise.")
            self.finish = _ENDS[reason]

    def _texts(self, choice: Mapping[str, Any]) -> Iterator[str]:
        """Text of a completion or a chat. Thoughts that come in a field of their own (vLLM, llama-server: for servers
        that take them out) are put back into their tags."""
        delta = choice.get("delta")
        if not isinstance(delta, dict):
            delta = {"content": choice.get("text")}
        thought = delta.get("reasoning_content") or delta.get("reasoning") or ""
        text = delta.get("content") or ""
        if not isinstance(thought, str) or not isinstance(text, str):
            raise self._link.broken()
        if thought:
            yield thought if self._thinks else f"<think>\n{thought}"
            self._thinks = True
        if text:
            self._text += text
            yield f"\n</think>\n\n{text}" if self._thinks else text
            self._thinks = False

    def _identify(self, choice: Mapping[str, Any], tokens: Sequence[forms.Told]) -> None:
        ids = choice.get("token_ids")
        if isinstance(ids, list) and all(isinstance(one, int) for one in ids):
            self._ids += ids
            self._told = self._text
        for token in tokens:
            if token.id is not None:
                self._ids.append(token.id)
                self._told += token.text

    def last(self, core: str) -> Piece:
        """The piece with the finish. Where the ids do not spell what came, they are left out."""
        told = self.usage
        made, read = (forms.counted(told, name) for name in ("completion_tokens", "prompt_tokens"))
        read = self._asked.count if read < 0 else read
        finish = self.finish or "stop"
        usage = Usage(prompt_tokens=read, reused=min(forms.reused(told), read), header=self._asked.header,
                      generated=self._made if made < 0 else made, first_token_s=self._first_s,
                      total_s=time.monotonic() - self._began, finish=finish)
        ids = self._ids[:-1] if finish == "stop" and self._ids[-1:] == [self._asked.end] else self._ids
        whole = bool(ids) and self._told == self._text
        return Piece("", finish, usage, Written(core, tuple(ids)) if whole else None)
