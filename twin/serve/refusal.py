"""Refusals: errors in the form OpenAI's clients read, and what an error of the twin becomes there.

Sentences are English and name parameters, never values: what a caller sent may be somebody's words.
"""
from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

from starlette.responses import JSONResponse

from twin.errors import (
    HomeBusy,
    InputError,
    ModelMissing,
    PromptTooLong,
    TwinError,
    UsageError,
)

_KINDS = {400: "invalid_request_error", 401: "authentication_error", 403: "permission_error", 503: "overloaded_error"}


class Refused(Exception):
    """A request that is not answered, with its HTTP status."""

    def __init__(self, status: int, message: str, *, code: str | None = None, param: str | None = None,
                 headers: Mapping[str, str] | None = None) -> None:
        super().__init__(message)
        self.status, self.message, self.code, self.param = status, message, code, param
        self.headers = dict(headers or {})

    @property
    def body(self) -> dict[str, Any]:
        """As JSON."""
        kind = _KINDS.get(self.status, "invalid_request_error" if self.status < 500 else "server_error")
        return {"error": {"message": self.message, "type": kind, "param": self.param, "code": self.code}}

    @property
    def response(self) -> JSONResponse:
        """As a response."""
        return JSONResponse(self.body, self.status, self.headers)


def unsupported(param: str) -> Refused:
    """A parameter that asks for what this server does not do."""
    return Refused(400, f"This server does not support {param}. Leave it out.", code="unsupported_parameter",
                   param=param)


def busy() -> Refused:
    """As many wait as may."""
    return Refused(503, "Too many requests wait already. Try again in a moment.", code="overloaded",
                   headers={"Retry-After": "2"})


def closing() -> Refused:
    """The server ends."""
    return Refused(503, "The server is shutting down.", code="shutting_down", headers={"Retry-After": "10"})


def failed() -> Refused:
    """A fault of ours; what it was is told on standard error, without anybody's words."""
    return Refused(500, "The server failed at this request. Its standard error says where.", code="internal_error")


def of(error: TwinError, shown: Callable[[str], str] = str) -> Refused:
    """The refusal that an error of the twin becomes; `shown` takes out of its words what may not leave."""
    message = shown(str(error))
    if isinstance(error, PromptTooLong):
        return Refused(400, message, code="context_length_exceeded", param="messages")
    if isinstance(error, UsageError | InputError):
        return Refused(400, message, code=_named(error))
    if isinstance(error, ModelMissing | HomeBusy):
        return Refused(503, message, code=_named(error), headers={"Retry-After": "10"})
    return Refused(500, message, code=_named(error))


def _named(error: TwinError) -> str:
    return re.sub(r"(?<=[a-z])(?=[A-Z])", "_", type(error).__name__).lower()
