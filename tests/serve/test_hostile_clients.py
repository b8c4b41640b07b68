"""Clients that mean harm, or are broken: refused with a clear error, in bounded time and memory; then the next request
works, and no thread, socket or file is left behind."""
from __future__ import annotations

import asyncio
import json
import resource
import socket
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import closing
from typing import Any

import pytest

from tests.serve.conftest import KEY, Core, answers, asking, chat, files, serving, until
from twin.chat import Twin
from twin.serve.server import Serving

PATIENCE_S = 0.5
BODY = 1 << 20


@pytest.fixture(scope="module")
def server(twin: Twin) -> Iterator[Serving]:
    """One with little patience; after all that is done to it nothing is left behind."""
    threads = threading.active_count()
    with serving(twin, patience_s=PATIENCE_S, body=BODY, waiting=8) as one:
        assert answers(one)
        before = files()
        yield one
        assert answers(one)
        assert until(lambda: files() <= before), "a file or socket was left open"
    assert until(lambda: threading.active_count() <= threads), "a thread was left behind"


@pytest.fixture(autouse=True)
def the_next_request_works(server: Serving) -> Iterator[None]:
    yield
    assert answers(server)


def head(server: Serving, *lines: str, path: str = "/v1/chat/completions", method: str = "POST", key: str = KEY,
         host: str = "") -> bytes:
    """The head of a request."""
    told = [f"{method} {path} HTTP/1.1", f"Host: {host or f'127.0.0.1:{server.port}'}", f"Authorization: Bearer {key}",
            "Content-Type: application/json", *lines]
    return "\r\n".join([*told, "", ""]).encode()


def talk(server: Serving, *sent: bytes, rest: float = 0.0, patience: float = 20.0) -> tuple[int, dict[str, Any], float]:
    """Send pieces; the status and the JSON of the answer (0 and {} for none) and how long it took to be closed or
    answered."""
    began = time.monotonic()
    got = b""
    with closing(socket.create_connection(("127.0.0.1", server.port), timeout=patience)) as one:
        try:
            for piece in sent:
                one.sendall(piece)
                time.sleep(rest)
        except OSError:
            pass  # refused while we were sending
        try:
            while not _whole(got) and (more := one.recv(65536)):
                got += more
        except ConnectionResetError:
            pass
    status, body = _parsed(got)
    return status, body, time.monotonic() - began


def _whole(got: bytes) -> bool:
    head, found, body = got.partition(b"\r\n\r\n")
    sizes = [line.split(b":")[1] for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:")]
    return bool(found and sizes) and len(body) >= int(sizes[0])


def _parsed(got: bytes) -> tuple[int, dict[str, Any]]:
    if not got:
        return 0, {}
    head, _, body = got.partition(b"\r\n\r\n")
    assert b"access-control" not in head.lower()
    return int(head.split()[1]), json.loads(body) if body.startswith(b"{") else {}


# ---- the door ------------------------------------------------------------------------------------------------------

@pytest.mark.parametrize("host", [
    "evil.example", "127.0.0.1", "127.0.0.1:1", "evil.example:{port}", "localhost.evil:{port}", "10.0.0.1:{port}",
    "127.0.0.1.nip.io:{port}", "a@127.0.0.1:{port}", "[::2]:{port}", "[::", "0.0.0.0:{port}", "{port}",
    "127.0.0.1:{port}/x"])
def test_a_host_that_is_not_this_servers_is_misdirected(server: Serving, host: str) -> None:
    status, told, _ = talk(server, head(server, path="/health", method="GET", host=host.format(port=server.port)))
    assert status in (400, 421)
    assert told["error"]["code"] in ("wrong_host", "invalid_http")


@pytest.mark.parametrize("host", [
    "127.0.0.1:{port}", "localhost:{port}", "LOCALHOST:{port}", "[::1]:{port}", "127.1.2.3:{port}"])
def test_every_name_of_this_machine_for_itself_is_right(server: Serving, host: str) -> None:
    assert talk(server, head(server, path="/health", method="GET", host=host.format(port=server.port)))[0] == 200


@pytest.mark.parametrize("origin", [
    "https://evil.example", "null", "http://localhost.evil.example", "file://", "", "http://[",
    "chrome-extension://localhost"])
def test_a_page_of_another_origin_is_refused(server: Serving, origin: str) -> None:
    for path in ("/health", "/v1/models"):
        status, told, _ = talk(server, head(server, f"Origin: {origin}", path=path, method="GET"))
        assert (status, told["error"]["code"]) == (403, "wrong_origin")
    assert talk(server, head(server, "Origin: http://localhost:3000", path="/health", method="GET"))[0] == 200


@pytest.mark.parametrize("key", ["", "wrong", KEY[:-1], KEY + "a", KEY.upper(), "ключ", "\x01"])
def test_a_wrong_token_is_refused_before_anything_is_read(server: Serving, key: str) -> None:
    status, told, _ = talk(server, head(server, "Content-Length: 1000", key=key))
    assert status in (400, 401)
    assert told["error"]["code"] in ("invalid_api_key", "invalid_http")


def test_two_hosts_another_path_and_another_method_are_refused(server: Serving) -> None:
    assert talk(server, head(server, "Host: evil.example", path="/health", method="GET"))[0] == 400
    for method, path, status in (("GET", "/v2", 404), ("GET", "/../serve.token", 404), ("GET", "/v1/models/", 404),
                                 ("GET", "/v1/chat/completions", 405), ("OPTIONS", "/v1/models", 405),
                                 ("DELETE", "/v1/models/critic", 405), ("GET", "http://evil.example/health", 401)):
        found, told, _ = talk(server, head(server, path=path, method=method,
                                           key="" if status == 401 else KEY))
        assert found == status and told["error"]["message"], path


# ---- bodies --------------------------------------------------------------------------------------------------------

def test_a_hundred_megabytes_are_refused_and_never_held(server: Serving) -> None:
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    block = b" " * (1 << 20)
    declared = talk(server, head(server, f"Content-Length: {100 << 20}"), *[block] * 100)
    chunk = b"100000\r\n" + block + b"\r\n"
    chunked = talk(server, head(server, "Transfer-Encoding: chunked"), *[chunk] * 100, b"0\r\n\r\n")
    small = talk(server, head(server, f"Content-Length: {BODY + 1}"))  # announced, and nothing sent
    for status, told, took in (declared, chunked, small):
        assert (status, told["error"]["code"]) == (413, "body_too_large")
        assert took < 10
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 40 << 10  # KiB


@pytest.mark.parametrize("body", [
    b"", b"{", b"[]", b"null", b"\xff\xfe{}", b'{"model": "critic"}', b"[" * 100_000, b'{"a":' * 50_000,
    b'{"model": "critic", "messages": ' + b"[" * 5000 + b"]" * 5000 + b"}",
    b'{"model": 1, "messages": "hello"}', b'{"model": "critic", "messages": [1]}',
    b'{"model": "critic", "messages": [{"role": "user"}]}', b'{"model": null, "messages": null}',
    b'{"model": "critic", "messages": [{"role": "user", "content": {"a": 1}}]}',
    b'{"model": "critic", "messages": [{"role": "user", "content": [1, null, {}]}]}',
    b'{"model": "critic", "messages": [{"role": "user", "content": "a"}], "temperature": NaN}',
    b'{"model": "critic", "messages": [{"role": "user", "content": "a"}], "temperature": true}',
    b'{"model": "critic", "messages": [{"role": "user", "content": "a"}], "max_tokens": 1e99}',
    b'{"model": "critic", "messages": [{"role": "user", "content": "a"}], "stop": [[]]}',
    b'{"model": "critic", "messages": [{"role": "user", "content": "\\ud800"}]}',
    b'{"model": "critic", "messages": [{"role": "user", "content": "secret"}], "stream": "secret"}',
    b'{"model": "critic", "messages": [{"role": "user", "content": "a"}], "secret word\\n": 1}',
])
def test_what_is_no_request_is_a_bad_request_that_repeats_no_word_of_it(server: Serving, body: bytes) -> None:
    for path in ("/v1/chat/completions", "/v1/embeddings"):
        with asking(server) as client:
            told = client.post(path, content=body)
        assert told.status_code == 400, told.text
        assert told.json()["error"]["type"] == "invalid_request_error" and "secret" not in told.text


@pytest.mark.parametrize("raw", [
    b"hello\r\n\r\n", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"\x00" * 64, b"GET / HTTP/9.9\r\n\r\n",
    b"GET / HTTP/1.1\r\nHost: " + b"a" * 200_000, b"GET /" + b"\x00" * 10 + b" HTTP/1.1\r\n\r\n",
    b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: -5\r\n\r\n",
    b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\n"])
def test_what_is_no_http_is_closed_with_an_error(server: Serving, raw: bytes) -> None:
    status, told, took = talk(server, raw)
    assert told["error"]["code"] == ("wrong_host" if status == 421 else "invalid_http") and took < 5


def test_a_broken_chunk_ends_the_connection(server: Serving) -> None:
    status, told, took = talk(server, head(server, "Transfer-Encoding: chunked"), b"nonsense\r\n\r\n")
    assert (status, told["error"]["code"]) == (400, "invalid_http") and took < 5


# ---- slow ones -----------------------------------------------------------------------------------------------------

def test_headers_that_drip_are_closed_when_patience_ends(server: Serving) -> None:
    drops = [b"POST /v1/chat/completions HTTP/1.1\r\n", *[f"X-{n}: a\r\n".encode() for n in range(12)]]
    status, told, took = talk(server, *drops, rest=0.1)
    assert (status, told["error"]["code"]) == (408, "timeout") and took < 4 * PATIENCE_S + 2
    assert talk(server)[0] == 408  # who says nothing at all


def test_a_body_that_drips_is_closed_when_patience_ends_and_holds_no_place(server: Serving) -> None:
    drops = [head(server, "Content-Length: 500"), *[b" "] * 12]
    status, told, took = talk(server, *drops, rest=0.1)
    assert (status, told["error"]["code"]) == (408, "timeout") and took < 4 * PATIENCE_S + 2
    with asking(server) as client:
        assert all(client.post("/v1/chat/completions", json=chat()).status_code == 200 for _ in range(3))


# ---- gone ones -----------------------------------------------------------------------------------------------------

def test_who_leaves_in_the_middle_of_a_stream_stops_the_core_within_a_word(server: Serving, core: Core) -> None:
    core.says, core.slow = "word " * 400, 0.02
    body = json.dumps(chat(stream=True)).encode()
    with closing(socket.create_connection(("127.0.0.1", server.port), timeout=10)) as one:
        one.sendall(head(server, f"Content-Length: {len(body)}") + body)
        got = b""
        while got.count(b"word") < 3:
            got += one.recv(4096)
    told = core.told
    assert core.cancelled.wait(5)
    assert core.told - told < 20
    core.says, core.slow = "", 0.0


def test_who_leaves_while_waiting_is_never_asked_for(server: Serving, core: Core) -> None:
    core.says, core.slow = "word " * 30, 0.02
    asked = len(core.prompts)
    body = json.dumps(chat()).encode()
    request = head(server, f"Content-Length: {len(body)}") + body
    first = socket.create_connection(("127.0.0.1", server.port), timeout=10)
    first.sendall(request)
    assert until(lambda: len(core.prompts) == asked + 1)
    waiting = [socket.create_connection(("127.0.0.1", server.port), timeout=10) for _ in range(5)]
    for one in waiting:
        one.sendall(request)
    time.sleep(0.2)
    for one in waiting:
        one.close()
    while not first.recv(65536).startswith(b"HTTP/1.1 200"):
        pass
    first.close()
    core.says, core.slow = "", 0.0
    assert answers(server)
    assert len(core.prompts) == asked + 2


# ---- many ----------------------------------------------------------------------------------------------------------

async def _storm(server: Serving, requests: int, together: int) -> Counter[str]:
    """Raw requests, so many at once; what became of each: its status, or how the connection ended."""
    body = json.dumps(chat()).encode()
    request = head(server, f"Content-Length: {len(body)}", "Connection: close") + body
    gate, seen = asyncio.Semaphore(together), Counter[str]()

    async def one() -> None:
        async with gate:
            try:
                reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
                writer.write(request)
                got = await asyncio.wait_for(reader.read(), 30)
                writer.close()
                seen[got.split()[1].decode() if got else "closed"] += 1
                if got and b" 503 " in got[:20]:
                    assert b"retry-after" in got.lower() and b'"overloaded"' in got
            except (ConnectionError, TimeoutError) as error:
                seen[type(error).__name__] += 1

    await asyncio.gather(*(one() for _ in range(requests)))
    return seen


def stormed(twin: Twin, core: Core, requests: int, together: int) -> Counter[str]:
    """What became of each, on a server of usual patience."""
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with serving(twin, waiting=8) as server:
        core.slow, began = 0.005, time.monotonic()
        seen = asyncio.run(_storm(server, requests, together))
        took, core.slow = time.monotonic() - began, 0.0
        assert answers(server)
    assert sum(seen.values()) == requests
    assert seen["200"] >= 5
    assert took < 5 + requests / 100
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 200 << 10  # KiB, both ends
    return seen


def test_hundreds_of_requests_at_once_are_answered_or_refused_at_once(twin: Twin, core: Core) -> None:
    """More than the server has sockets for: 512 of them are told in peace."""
    seen = stormed(twin, core, 600, 600)
    assert set(seen) <= {"200", "503", "ConnectionResetError", "BrokenPipeError"}
    assert seen["200"] + seen["503"] >= 500, seen


@pytest.mark.slow
def test_ten_thousand_requests_are_answered_or_refused_in_bounded_time(twin: Twin, core: Core) -> None:
    seen = stormed(twin, core, 10_000, 500)
    assert set(seen) <= {"200", "503", "ConnectionResetError", "BrokenPipeError"}
    assert seen["200"] + seen["503"] > 9_500, seen


def test_idle_connections_beyond_the_number_are_refused_and_free_again(server: Serving) -> None:
    """Each is let in for as long as patience lasts; nobody holds the door shut for longer."""
    held = [socket.create_connection(("127.0.0.1", server.port), timeout=10) for _ in range(300)]
    assert talk(server, head(server, path="/health", method="GET"))[0] == 503
    time.sleep(PATIENCE_S + 0.3)
    assert talk(server, head(server, path="/health", method="GET"))[0] == 200
    for one in held:
        one.close()


# ---- the end -------------------------------------------------------------------------------------------------------

def test_a_server_ends_while_callers_hold_what_was_refused_to_them(twin: Twin) -> None:
    with serving(twin) as server:
        held = [socket.create_connection(("127.0.0.1", server.port), timeout=10) for _ in range(3)]
        for one, raw in zip(held, (b"hello\r\n\r\n", head(server, path="/health", method="GET"), b"POST"), strict=True):
            one.sendall(raw)
        assert held[0].recv(100).startswith(b"HTTP/1.1 400") and held[1].recv(100).startswith(b"HTTP/1.1 200")
        began = time.monotonic()
    assert time.monotonic() - began < 5
    for one in held:
        one.close()


def test_a_server_that_ends_cuts_the_answer_and_refuses_who_waits(twin: Twin, core: Core) -> None:
    core.says, core.slow = "word " * 2000, 0.02
    told = list[tuple[int, str]]()

    def ask() -> None:
        with asking(server) as client:
            got = client.post("/v1/chat/completions", json=chat())
            told.append((got.status_code, got.json()["error"]["code"]))

    asked = len(core.prompts)
    with serving(twin) as server:
        threads = [threading.Thread(target=ask) for _ in range(3)]
        for one in threads:
            one.start()
        assert until(lambda: len(core.prompts) > asked)
        time.sleep(0.2)
        began = time.monotonic()
    assert time.monotonic() - began < 5
    for one in threads:
        one.join(10)
    assert told == [(503, "shutting_down")] * 3
    assert len(core.prompts) == asked + 1
