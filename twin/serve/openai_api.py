"""The OpenAI-compatible API: models are roles, chat completions are replies that nobody stores, embeddings.

An answer begins to stream once its first words are there: whatever fails before that is an HTTP error.
"""
from __future__ import annotations

import asyncio
import base64
import json
import struct
import time
import uuid
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import aclosing, suppress
from dataclasses import dataclass, replace
from typing import Any

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp, Receive, Scope, Send

from twin.chat import Twin
from twin.errors import TwinError
from twin.exporters import Level
from twin.public import hidden, owner_names
from twin.replying import AUTO
from twin.role_book import RoleBook
from twin.roles import RoleMap
from twin.serve import wire
from twin.serve.guard import HEALTH, Door, Gone, Guard, body, told
from twin.serve.refusal import Refused, busy, closing, failed, of, unsupported
from twin.serve.worker import Closing, Full, Worker
from twin.types import Answered, Event, Failed, Interrupted, Routed, Thinking, Token, Turn

COUNCIL = "council"  # as a model: several roles, weighed
_ABOUT = {AUTO: "the role your message is routed to", COUNCIL: "several roles answer, one answer is weighed from them"}
_KEPT_S = 1.0        # for which the list of roles is not read again
Handler = Callable[[Request, bytes, Send], Coroutine[Any, Any, None]]


def application(twin: Twin, worker: Worker, door: Door, level: Level = "private") -> ASGIApp:
    """The application, behind its guard."""
    api = Api(twin, worker, door, level)
    routes = [Route(HEALTH, _Plain(api, api.health), methods=["GET"]),
              Route("/v1/models", _Plain(api, api.models), methods=["GET"]),
              Route("/v1/models/{model:path}", _Plain(api, api.model), methods=["GET"]),
              Route("/v1/chat/completions", _Placed(api, api.chat), methods=["POST"]),
              Route("/v1/embeddings", _Placed(api, api.embeddings), methods=["POST"])]
    made = Starlette(routes=routes, exception_handlers={HTTPException: _no_such})
    made.router.redirect_slashes = False
    return Guard(made, door)


async def _no_such(_: Request, error: Exception) -> Response:
    status = error.status_code if isinstance(error, HTTPException) else 500
    said = "This path takes another method." if status == 405 else "There is no such path."
    headers = error.headers if isinstance(error, HTTPException) else None
    return Refused(status, said, code="not_found" if status == 404 else "wrong_method", headers=headers).response


class _Plain:
    """A path that is answered at once."""

    def __init__(self, api: Api, handle: Callable[[Request], Response]) -> None:
        self.api, self.handle = api, handle

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            response = self.handle(Request(scope))
        except Exception as error:
            response = self.api.refused(error).response
        await response(scope, receive, send)


class _Placed:
    """A path whose requests wait for the worker: each has a place, from before its body is read until it is answered
    or its caller has left."""

    def __init__(self, api: Api, handle: Handler) -> None:
        self.api, self.handle = api, handle

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        begun = False

        async def noted(message: Any) -> None:
            nonlocal begun
            begun = True
            await send(message)

        try:
            with self.api.worker.place():
                request = Request(scope, receive)
                content = await body(receive, request.headers.get("content-length"), self.api.door)
                await _attended(receive, self.handle(request, content, noted))
        except Gone:
            return
        except Exception as error:
            refused = self.api.refused(error)
            if begun:  # the status is out: an error is one more event
                await send({"type": "http.response.body", "body": _event(refused.body), "more_body": False})
            else:
                await refused.response(scope, receive, send)


async def _attended(receive: Receive, doing: Coroutine[Any, Any, None]) -> None:
    """Do it for as long as the caller is there."""
    task, gone = asyncio.create_task(doing), asyncio.create_task(_left(receive))
    try:
        await asyncio.wait((task, gone), return_when=asyncio.FIRST_COMPLETED)
        if not task.done():
            raise Gone
        await task
    finally:
        for one in (task, gone):
            one.cancel()
            with suppress(asyncio.CancelledError, Exception):
                await one


async def _left(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


def _event(document: Any) -> bytes:
    return f"data: {json.dumps(document)}\n\n".encode()


@dataclass(frozen=True)
class _Chunks:
    """The parts of one answer on the wire."""

    id: str
    created: int
    model: str
    counted: bool = False  # the last chunk tells the usage, the others that they do not

    def part(self, delta: dict[str, Any], finish: str | None = None) -> bytes:
        choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish}
        return _event(self._frame("chat.completion.chunk", [choice]) | ({"usage": None} if self.counted else {}))

    def last(self, turn: Turn) -> bytes:
        return _event(self._frame("chat.completion.chunk", []) | {"usage": _usage(turn)})

    def whole(self, turn: Turn) -> dict[str, Any]:
        message = {"role": "assistant", "content": turn.answer, "refusal": None}
        message |= {"reasoning_content": turn.thinking} if turn.thinking else {}
        choice = {"index": 0, "message": message, "logprobs": None, "finish_reason": turn.usage.finish}
        return self._frame("chat.completion", [choice]) | {"usage": _usage(turn)}

    def _frame(self, kind: str, choices: list[dict[str, Any]]) -> dict[str, Any]:
        return {"id": self.id, "object": kind, "created": self.created, "model": self.model, "choices": choices}


def _begun(model: str, *, counted: bool = False) -> _Chunks:
    return _Chunks(f"chatcmpl-{uuid.uuid4().hex}", int(time.time()), model, counted)


def _usage(turn: Turn) -> dict[str, Any]:
    used = turn.usage
    return {"prompt_tokens": used.prompt_tokens, "completion_tokens": used.generated,
            "total_tokens": used.prompt_tokens + used.generated,
            "prompt_tokens_details": {"cached_tokens": min(used.reused, used.prompt_tokens)}}


class Api:
    """What the paths do."""

    def __init__(self, twin: Twin, worker: Worker, door: Door, level: Level) -> None:
        self.twin, self.worker, self.door, self.level = twin, worker, door, level
        self.began = int(time.time())
        self._book = RoleBook(twin.home, twin.archive)  # its own: the twin's is the worker's
        self._roles: tuple[float, RoleMap] | None = None

    # ---- what is answered at once ----------------------------------------------------------------------------------

    def health(self, _: Request) -> Response:
        """That it runs, and nothing else: nobody needs a token for it."""
        return JSONResponse({"status": "ok"})

    def models(self, _: Request) -> Response:
        """The roles, with auto and council, each with what it is for."""
        return JSONResponse({"object": "list", "data": [self._shown(name) for name in (AUTO, COUNCIL, *self._ids)]})

    def model(self, request: Request) -> Response:
        """One of them."""
        return JSONResponse(self._shown(self._known(request.path_params["model"])))

    @property
    def _ids(self) -> tuple[str, ...]:
        return tuple(name for name in self._role_map.ids if name not in _ABOUT)

    @property
    def _role_map(self) -> RoleMap:
        if self._roles is None or time.monotonic() - self._roles[0] > _KEPT_S:
            self._roles = time.monotonic(), self._book.current()
        return self._roles[1]

    def _known(self, name: str) -> str:
        if name not in (AUTO, COUNCIL, *self._ids):
            raise Refused(404, f"There is no such model. Known: {', '.join((AUTO, COUNCIL, *self._ids))}.",
                          code="model_not_found", param="model")
        return name

    def _shown(self, name: str) -> dict[str, Any]:
        about = _ABOUT.get(name) or self.said(self._role_map.role(name).purpose.of("en"))
        return {"id": name, "object": "model", "created": self.began, "owned_by": "twin", "description": about}

    # ---- what waits for the worker ---------------------------------------------------------------------------------

    async def chat(self, request: Request, content: bytes, send: Send) -> None:
        """POST /v1/chat/completions."""
        asked = wire.read(wire.ChatRequest, content)
        name, schema = self._known(asked.model), asked.schema_asked
        role = None if name in (AUTO, COUNCIL) else name

        def work(cancel: Callable[[], bool]) -> Any:
            return self.twin.reply(
                asked.said, role, council=name == COUNCIL, sampling=asked.sampling, stop=asked.stops, level=self.level,
                schema=None if schema is None else wire.checked(schema), cancel=cancel)

        async with aclosing(self.worker.stream(work)) as events:
            if asked.stream:
                usage = asked.stream_options is not None and asked.stream_options.include_usage
                await self._stream(events, send, name, usage)
            else:
                await self._whole(events, request, send, name)

    async def _whole(self, events: AsyncIterator[Event], request: Request, send: Send, name: str) -> None:
        chunks = _begun(name)
        async for event in events:
            if isinstance(event, Routed) and name == AUTO:
                chunks = replace(chunks, model=event.route.role)
            if (turn := _turn(event)) is not None:
                await JSONResponse(chunks.whole(turn))(request.scope, request.receive, send)
                return
        raise Closing

    async def _stream(self, events: AsyncIterator[Event], send: Send, name: str, usage: bool) -> None:
        chunks, begun = _begun(name, counted=usage), False

        async def say(data: bytes, *, more: bool = True) -> None:
            nonlocal begun
            if not begun:
                begun = True
                await send({"type": "http.response.start", "status": 200, "headers": [
                    (b"content-type", b"text/event-stream; charset=utf-8"), (b"cache-control", b"no-store")]})
                await send({"type": "http.response.body", "more_body": True,
                            "body": chunks.part({"role": "assistant", "content": ""})})
            await send({"type": "http.response.body", "body": data, "more_body": more})

        async for event in events:
            if isinstance(event, Routed) and name == AUTO:
                chunks = replace(chunks, model=event.route.role)
            elif isinstance(event, Token | Thinking):
                kind = "content" if isinstance(event, Token) else "reasoning_content"
                await say(chunks.part({kind: event.text}))
            elif (turn := _turn(event)) is not None:
                await say(chunks.part({}, turn.usage.finish))
                if usage:
                    await say(chunks.last(turn))
                await say(b"data: [DONE]\n\n", more=False)
                return
        raise Closing

    async def embeddings(self, request: Request, content: bytes, send: Send) -> None:
        """POST /v1/embeddings."""
        asked = wire.read(wire.EmbeddingsRequest, content)
        embedder = self.twin.embedder
        if embedder is None:
            raise Refused(503, "There is no embedder on this machine. Fetch one with `twin models pull`.",
                          code="model_missing", param="model")
        if asked.model not in (AUTO, embedder.id):
            raise Refused(404, f"There is no such embedder. Known: {AUTO}, {embedder.id}.", code="model_not_found",
                          param="model")
        if asked.dimensions not in (None, embedder.dim):
            raise unsupported("dimensions")
        vectors = await self.worker.run(lambda: embedder.embed(asked.texts))
        packed = asked.encoding_format == "base64"
        data = [{"object": "embedding", "index": number, "embedding": _packed(vector) if packed else list(vector)}
                for number, vector in enumerate(vectors)]
        # What an embedder reads is not counted in tokens here.
        made = {"object": "list", "data": data, "model": embedder.id, "usage": {"prompt_tokens": 0, "total_tokens": 0}}
        await JSONResponse(made)(request.scope, request.receive, send)

    # ---- what goes wrong -------------------------------------------------------------------------------------------

    def refused(self, error: Exception) -> Refused:
        """What an error becomes for the caller."""
        if isinstance(error, Refused):
            return error
        if isinstance(error, Full):
            return busy()
        if isinstance(error, Closing):
            return closing()
        if isinstance(error, TwinError):
            return of(error, self.said)
        told(error)
        return failed()

    def said(self, words: str) -> str:
        """A text of the twin's as it may leave at this level."""
        return hidden(words, owner=owner_names(self.twin.records.me)) if self.level == "public" else words


def _turn(event: Event) -> Turn | None:
    """The turn that an event ends; raises the error of one that failed."""
    if isinstance(event, Failed):
        raise event.error
    if isinstance(event, Interrupted):
        raise Closing
    return event.turn if isinstance(event, Answered) else None


def _packed(vector: list[float]) -> str:
    return base64.b64encode(struct.pack(f"<{len(vector)}f", *vector)).decode("ascii")


