"""Servers that speak as vLLM, llama-server and Ollama document it, as far as an engine asks; and ones that misbehave.

One token is one byte; control tokens are one id each. What a token is worth follows from its id, so that a text has the
same bits wherever it is read. Real sockets on loopback.
"""
from __future__ import annotations

import json
import re
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

CONTROL = {"<|im_start|>": 256, "<|im_end|>": 257}
END = CONTROL["<|im_end|>"]
TEMPLATE = ("{% for message in messages %}{{ '<|im_start|>' + message['role'] + '\n' + message['content'] "
            "+ '<|im_end|>' + '\n' }}{% endfor %}"
            "{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}")


def ids(text: str, *, special: bool) -> list[int]:
    """Token ids of a text."""
    parts = re.split(f"({'|'.join(map(re.escape, CONTROL))})", text) if special else [text]
    return [one for part in parts for one in ([CONTROL[part]] if special and part in CONTROL else part.encode())]


def logprob(token: int) -> float:
    """What a token is worth, wherever it stands."""
    return -0.5 - token % 5


@dataclass
class Fake:
    """A server's traits. `raw`: what it streams instead of an answer: bytes, and floats for seconds of waiting; then it
    hangs up. `answers`: statuses and headers of the next answers, before any is given. `shifted`: tells the
    probabilities of the token beside."""

    kind: str = "vllm"
    answer: str = "Blue."
    models: list[dict[str, Any]] = field(default_factory=lambda: [{"id": "m"}])
    loras: list[dict[str, Any]] = field(default_factory=list)
    schema: str = ""
    key: str = ""
    late_systems: bool = True
    shifted: bool = False
    raw: list[bytes | float] | None = None
    answers: list[tuple[int, dict[str, str]]] = field(default_factory=list)
    asked: list[tuple[str, Any, dict[str, str]]] = field(default_factory=list)
    before: Callable[[], object] = lambda: None
    embed: Callable[[list[str]], Any] | None = None
    hung_up: threading.Event = field(default_factory=threading.Event)
    url: str = ""

    @property
    def last(self) -> Any:
        """The body that came last."""
        return self.asked[-1][1]

    def get(self, path: str) -> Any:
        if path == "/v1/models":
            return {"object": "list", "data": self.models}
        if self.kind == "llama-server":
            return {"/props": {"default_generation_settings": {"n_ctx": 777}, "chat_template": TEMPLATE},
                    "/lora-adapters": self.loras}.get(path)
        return None

    def post(self, path: str, body: dict[str, Any]) -> Any:
        if path == "/tokenize" and self.kind == "vllm" and "prompt" in body:
            return {"tokens": ids(body["prompt"], special=True)}
        if path == "/tokenize" and self.kind == "llama-server" and "content" in body:
            return {"tokens": ids(body["content"], special=body["parse_special"])}
        if path == "/v1/load_lora_adapter" and self.kind == "vllm":
            self.models.append({"id": body["lora_name"], "parent": "m"})
            return "Success"
        if path == "/v1/embeddings" and self.embed:
            return self.embed(body["input"])
        if path == "/v1/chat/completions":
            roles = [one["role"] for one in body["messages"]]
            late = "system" in roles[1:]
            return None if late and not self.late_systems else self.complete(body, 9)
        if path == "/v1/completions" and self.kind != "chat":
            prompt = body["prompt"]
            if self.kind == "ollama":
                return self.complete(body, 40) if isinstance(prompt, str) else None
            return self.complete(body, len(prompt), prompt if isinstance(prompt, list) else ids(prompt, special=True))
        return None

    def complete(self, body: dict[str, Any], read: int, prompt: list[int] | None = None) -> dict[str, Any]:
        """A whole answer."""
        text = '{"word": "qzxv"}' if self.schema and self.schema in body else self.answer
        made = list(text.encode())[:body["max_tokens"]]
        choice: dict[str, Any] = {"index": 0, "finish_reason": "stop" if len(made) < body["max_tokens"] else "length"}
        said = bytes(made).decode("utf-8", "ignore")
        choice |= {"message": {"content": said}} if prompt is None else {"text": said}
        if body.get("logprobs") and self.kind != "ollama":
            choice["logprobs"] = self.told(made, int(body.get("top_logprobs") or body["logprobs"]))
        if body.get("prompt_logprobs") and prompt and self.kind == "vllm":
            worth = [logprob(one) for one in prompt]
            worth = [*worth[1:], 0.0] if self.shifted else worth
            choice["prompt_logprobs"] = [None, *({str(one): {"logprob": value, "rank": 1}, "0": {"logprob": -0.1}}
                                                 for one, value in zip(prompt[1:], worth[1:], strict=True))]
        if body.get("return_token_ids") and self.kind == "vllm":
            choice["token_ids"] = made
        return {"choices": [choice], "usage": {"prompt_tokens": read, "completion_tokens": len(made),
                                               "prompt_tokens_details": {"cached_tokens": 2}}}

    def told(self, made: list[int], n: int) -> dict[str, Any]:
        near = [int(one) for one in b"BYNabcdefghijklmnopqrstuvwxyz"[:n]]
        if self.kind == "vllm":
            return {"tokens": [chr(one) for one in made], "token_logprobs": [logprob(one) for one in made],
                    "top_logprobs": [{chr(other): logprob(other) for other in near} for _ in made]}
        return {"content": [self.one(token) | {"top_logprobs": [self.one(other) for other in near]} for token in made]}

    def one(self, token: int) -> dict[str, Any]:
        return {"id": token, "token": chr(token), "logprob": logprob(token)}

    def streamed(self, whole: dict[str, Any]) -> Iterator[bytes]:
        """The same answer, a token an event."""
        choice = whole["choices"][0]
        text = choice["message"]["content"] if "message" in choice else choice["text"]
        for at, letter in enumerate(text):
            part: dict[str, Any] = {"index": 0, "finish_reason": None}
            part |= {"delta": {"content": letter}} if "message" in choice else {"text": letter}
            if "content" in (choice.get("logprobs") or {}):
                part["logprobs"] = {"content": choice["logprobs"]["content"][at:at + 1]}
            if "token_ids" in choice:
                part["token_ids"] = choice["token_ids"][at:at + 1]
            yield event({"choices": [part]})
        last = {"index": 0, "text": "", "finish_reason": choice["finish_reason"]}
        if choice["finish_reason"] == "stop":  # both tell the token that ends the answer among those it wrote
            if "token_ids" in choice:
                last["token_ids"] = [END]
            elif self.kind == "llama-server" and choice.get("logprobs"):
                silent = {"id": END, "token": "", "bytes": [], "logprob": -0.1}
                yield event({"choices": [{"index": 0, "text": "", "finish_reason": None,
                                          "logprobs": {"content": [silent | {"top_logprobs": [silent]}]}}]})
        yield event({"choices": [last]})
        yield event({"choices": [], "usage": whole["usage"]}) + b"data: [DONE]\n\n"


def event(document: Any) -> bytes:
    """One event as it travels."""
    return f"data: {json.dumps(document, ensure_ascii=False)}\n\n".encode()


def text(piece: str, finish: str | None = None) -> bytes:
    """An event with a piece of text."""
    return event({"choices": [{"index": 0, "text": piece, "delta": {"content": piece}, "finish_reason": finish}]})


class _Handler(BaseHTTPRequestHandler):
    fake: Fake
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True  # headers and body are two writes: each answer would wait 40 ms

    def log_message(self, *_: Any) -> None:
        """Say nothing."""

    def do_GET(self) -> None:
        self.answer(None, self.fake.get)

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.answer(body, lambda path: self.fake.post(path, body))

    def answer(self, body: Any, found: Callable[[str], Any]) -> None:
        fake = self.fake
        fake.asked.append((self.path, body, dict(self.headers)))
        if fake.key and self.headers.get("Authorization") != f"Bearer {fake.key}":
            return self.send(401, {"error": {"message": f"wrong key {self.headers.get('Authorization')}"}})
        if fake.answers:
            status, headers = fake.answers.pop(0)
            return self.send(status, {"error": {"message": "not now"}}, headers)
        streams = isinstance(body, dict) and body.get("stream")
        if streams:
            fake.before()
        document = fake.raw if streams and fake.raw is not None else found(self.path)
        if document is None:
            return self.send(404 if body is None else 400, {"error": {"message": "no such thing"}})
        if not streams:
            return self.send(200, document)
        return self.stream(fake.streamed(document) if isinstance(document, dict) else document)

    def send(self, status: int, document: Any, headers: dict[str, str] | None = None) -> None:
        data = json.dumps(document).encode()
        self.send_response(status)
        for name, value in {"Content-Type": "application/json", "Content-Length": str(len(data)),
                            **(headers or {})}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(data)

    def stream(self, parts: Any) -> None:
        self.close_connection = True
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream; charset=utf-8")
        self.send_header("Connection", "close")
        self.end_headers()
        try:
            for part in parts:
                if isinstance(part, float):
                    self.wait(part)
                else:
                    self.wfile.write(part)
        except OSError:
            self.fake.hung_up.set()

    def wait(self, seconds: float) -> None:
        """Until the time is over or the caller has left."""
        self.connection.settimeout(seconds)
        try:
            if self.connection.recv(1) == b"":
                self.fake.hung_up.set()
        except TimeoutError:
            pass
        finally:
            self.connection.settimeout(None)


@contextmanager
def faking(fake: Fake) -> Iterator[Fake]:
    """The server runs meanwhile, at `fake.url`."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), type("Handler", (_Handler,), {"fake": fake}))
    server.daemon_threads = True
    fake.url = f"http://127.0.0.1:{server.server_address[1]}/v1"
    thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    try:
        yield fake
    finally:
        server.shutdown()
        server.server_close()
        thread.join(5)


@contextmanager
def dripping(head: bytes, drop: bytes = b"", every_s: float = 0.05) -> Iterator[str]:
    """A server that answers whatever it is sent with `head`, and then a `drop` now and then for ever; nothing: it keeps
    silent. Its address."""
    over = threading.Event()

    def answer(caller: socket.socket) -> None:
        with caller, suppress(OSError):
            caller.recv(65_536)
            caller.sendall(head)
            while not over.wait(every_s):
                caller.sendall(drop)

    def serve() -> None:
        with suppress(OSError):
            while True:
                threading.Thread(target=answer, args=(listener.accept()[0],), daemon=True).start()

    with socket.create_server(("127.0.0.1", 0)) as listener:
        threading.Thread(target=serve, daemon=True).start()
        try:
            yield f"http://127.0.0.1:{listener.getsockname()[1]}/v1"
        finally:
            over.set()
            listener.shutdown(socket.SHUT_RDWR)


def until(met: Callable[[], bool], seconds: float = 5.0) -> bool:
    """Wait for it."""
    end = time.monotonic() + seconds
    while not met() and time.monotonic() < end:
        time.sleep(0.01)
    return met()
