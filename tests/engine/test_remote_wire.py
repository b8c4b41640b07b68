"""The wire of a remote core: answers that break off, hang or lie are named errors; connections and threads are freed;
what may be tried again is, and nothing else; the key goes to one address and is shown nowhere."""
# ruff: noqa: F811 - fixtures of the file beside this one
from __future__ import annotations

import threading
import time
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.engine.fake_server import Fake, dripping, event, faking, text, until
from tests.engine.test_remote import GREEDY, QUICK, asked, engine, fake, said  # noqa: F401
from twin.engine import remote_wire
from twin.engine.remote import RemoteEngine
from twin.engine.remote_embedding import RemoteEmbedder
from twin.engine.remote_events import ALIVE, DONE, events
from twin.engine.remote_wire import Link, Timeouts
from twin.errors import DeviceLost, ModelError, ModelMissing, PromptTooLong, UsageError

SECRET = "sk-a-key-that-nobody-may-read"  # noqa: S105 - opens nothing


def threads() -> list[threading.Thread]:
    return [one for one in threading.enumerate() if one.name == "twin-remote"]


# ---- streams that misbehave --------------------------------------------------------------------------------------

WHOLE = "Голубое 🌊 небо"


@pytest.mark.parametrize("cut", [1, 3, 7])
def test_pieces_come_whole_however_they_were_cut(fake: Fake, engine: RemoteEngine, cut: int) -> None:
    data = b": ping\r\n\r\n" + text("Голубое 🌊").replace(b"\n", b"\r\n") + b": ping\n" + text(" небо", "stop")
    fake.raw = [data[at:at + cut] for at in range(0, len(data), cut)]
    pieces = list(engine.stream(asked(), GREEDY))

    assert "".join(piece.text for piece in pieces) == WHOLE
    assert pieces[-1].finish == "stop" and pieces[-1].usage and pieces[-1].usage.generated == 2


@pytest.mark.parametrize(("raw", "error", "named"), [
    ([text("Blu")], DeviceLost, "lost before"),
    ([], DeviceLost, "lost before"),
    ([text("Blu"), event({"error": {"message": "out of memory", "code": 500}})], ModelError, "out of memory"),
    ([event({"error": {"message": "the request exceeds the available context size", "code": 400}})], PromptTooLong,
     "context"),
    ([event({"object": "error", "message": "maximum context length is 9 tokens", "code": 400})], PromptTooLong,
     "context"),
    ([b"data: {oops\n\n"], ModelError, "no answer"), ([event([1, 2])], ModelError, "no answer"),
    ([event({"choices": [{"text": 7}]})], ModelError, "no answer"),
    ([event({"choices": "x"})], ModelError, "no answer"),
    ([b"data: " + b"[" * 100_000 + b"\n\n"], ModelError, "no answer"),
    ([text("x")] * 200, ModelError, "no answer"),
    ([text("Blu"), text("", "content_filter")], ModelError, "content_filter"),
    ([text("Blu"), 3.0], DeviceLost, "silent"),
], ids=str)
def test_an_answer_that_breaks_is_a_named_error_never_a_short_answer(fake: Fake, raw: list[bytes | float],
                                                                     error: type[Exception], named: str) -> None:
    engine = RemoteEngine(fake.url, family="chatml", timeouts=replace(QUICK, between_s=0.3))
    fake.raw, before = raw, len(fake.asked)
    with pytest.raises(error, match=named):
        list(engine.stream(asked(), GREEDY))
    assert len([path for path, _, _ in fake.asked[before:] if path.endswith("/completions")]) == 1  # not asked again
    fake.raw = None
    assert said(engine) == "Blue."
    engine.close()


@pytest.mark.parametrize("raw", [
    [text("Blue."), b"data: [DONE]\n\n"], [text("Blue.", "stop")],
    [text("Blue.", "stop"), event({"choices": [], "usage": {"completion_tokens": 1}}), 30.0],
    [b"data:" + text("Blue.", "stop")[6:].rstrip()]], ids=["done", "finish", "open", "end"])
def test_an_answer_that_is_complete_ends_however_the_server_says_so(fake: Fake, engine: RemoteEngine,
                                                                    raw: list[bytes | float]) -> None:
    fake.raw = raw
    pieces = list(engine.stream(asked(), GREEDY))
    assert [piece.finish for piece in pieces] == [None, "stop"] and pieces[0].text == "Blue."


def test_thoughts_in_a_field_of_their_own_come_in_their_tags(fake: Fake, engine: RemoteEngine) -> None:
    fake.raw = [event({"choices": [{"delta": delta}]}) for delta in (
        {"role": "assistant", "content": ""}, {"reasoning_content": "a"}, {"reasoning_content": "b"}, {"content": "c"})]
    fake.raw.append(text("", "stop"))
    assert said(engine) == "<think>\nab\n</think>\n\nc"


@pytest.mark.parametrize("raw", [[30.0], [text("a"), 30.0]], ids=["before", "between"])
def test_cancel_cuts_the_connection_even_while_the_server_is_silent(fake: Fake, engine: RemoteEngine,
                                                                    raw: list[bytes | float]) -> None:
    fake.raw = raw
    asks = iter([False] * 4 + [True] * 9)
    last = list(engine.stream(asked(), GREEDY, cancel=lambda: next(asks)))[-1]

    assert last.finish == "cancelled" and fake.hung_up.wait(5)
    assert until(lambda: not threads())


def test_an_answer_that_is_dropped_frees_its_connection_and_leaves_the_others(fake: Fake, engine: RemoteEngine) -> None:
    meet = threading.Barrier(3)
    fake.before = lambda: meet.wait(5)  # all three are under way at once
    fake.raw = [text("a"), 0.2, text("b", "stop")]
    first, second, third = engine.stream_many([asked()] * 3, [GREEDY] * 3)
    assert next(first).text == "a"
    del first
    second.close()  # type: ignore[attr-defined]
    assert "".join(piece.text for piece in third) == "ab"
    assert fake.hung_up.wait(5) and until(lambda: not threads())


def test_closing_the_engine_ends_what_streams(fake: Fake, engine: RemoteEngine) -> None:
    fake.raw = [text("a"), 30.0]
    stream = engine.stream(asked(), GREEDY)
    next(stream)
    engine.close()
    assert until(lambda: not threads()) and fake.hung_up.wait(5)
    with pytest.raises(ModelError, match="closed"):
        said(engine)


# ---- servers that never end --------------------------------------------------------------------------------------

HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"
SHORT = Timeouts(first_s=0.4, whole_s=0.4, look_s=0.4)


@pytest.mark.parametrize(("head", "drop", "named"), [
    (b"", b"", r"silent for 0\.4"), (HEAD + b"\r\n", b" ", r"did not complete its answer within 0\.4"),
    (HEAD, b"X-More: 1\r\n", "did not complete its answer within"), (HEAD + b"\r\n{", b"", r"silent for 0\.4")],
    ids=["silent", "body", "headers", "half"])
@pytest.mark.parametrize("body", [None, {}], ids=["get", "post"])
def test_a_whole_answer_that_never_ends_is_named_in_time(head: bytes, drop: bytes, named: str, body: object) -> None:
    with dripping(head, drop) as url:
        link = Link(url, key_env="", timeouts=replace(SHORT, connect_s=0.5))
        began = time.monotonic()
        with pytest.raises(DeviceLost, match=named):
            link.ask("/models", body)
        assert time.monotonic() - began < 10
        link.close()


def test_closing_wakes_whoever_reads_an_answer_that_never_ends() -> None:
    errors: list[BaseException] = []

    def ask() -> None:
        try:
            link.ask("/embeddings", {})
        except DeviceLost as error:
            errors.append(error)

    with dripping(HEAD, b"X-More: 1\r\n") as url:
        link = Link(url, key_env="", timeouts=Timeouts())
        asking = threading.Thread(target=ask, daemon=True)
        asking.start()
        assert until(lambda: bool(link._sockets))
        link.close()
        asking.join(10)
        assert errors and not asking.is_alive()


def test_an_opening_is_told_nothing_for_seconds_not_minutes() -> None:
    assert Timeouts().look_s <= 5


@pytest.mark.parametrize("raw", [[b": ping\n\n", 0.05] * 200, [text("Blu"), *[b": ping\n\n", 0.05] * 200]],
                         ids=["before", "between"])
def test_a_stream_that_only_says_that_it_is_alive_ends_by_name(fake: Fake, raw: list[bytes | float]) -> None:
    times = Timeouts(connect_s=0.05, first_s=0.2, between_s=0.4)
    engine = RemoteEngine(fake.url, family="chatml", timeouts=QUICK)
    said(engine)  # it knows the tokens of the prompt now
    engine.link.timeouts, fake.raw = times, raw
    with pytest.raises(DeviceLost, match=r"did not complete its answer within 0\.8 seconds"):
        list(engine.stream(asked(), GREEDY))
    assert until(lambda: not threads())
    engine.close()


def test_a_stream_of_events_without_a_word_ends_by_name(fake: Fake, engine: RemoteEngine) -> None:
    fake.raw = [event({"choices": [{"delta": {"content": ""}}]}), event({"choices": []})] * 300
    with pytest.raises(ModelError, match="no answer"):
        list(engine.stream(asked(), GREEDY))


# ---- tries -------------------------------------------------------------------------------------------------------

@pytest.mark.parametrize("status", [429, 503])
def test_a_busy_server_is_asked_again_a_few_times(fake: Fake, engine: RemoteEngine, status: int) -> None:
    fake.answers = [(status, {"Retry-After": "0"})] * 3
    assert said(engine) == "Blue."
    fake.answers = [(status, {"Retry-After": "0"})] * remote_wire.TRIES
    with pytest.raises(ModelError, match="is busy"):
        said(engine)
    assert fake.answers == []
    fake.answers = [(status, {"Retry-After": "3600"})]  # not worth waiting for
    with pytest.raises(ModelError, match="is busy"):
        said(engine)


def test_another_failure_is_not_tried_again(fake: Fake, engine: RemoteEngine) -> None:
    fake.answers = [(500, {}), (500, {})]
    with pytest.raises(ModelError, match="answered 500: 'not now'"):
        said(engine)
    assert len(fake.answers) == 1


def test_nobody_there_is_named_and_tried_a_few_times(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(remote_wire, "BACKOFF_S", 0.01)
    with faking(Fake()) as fake:
        engine = RemoteEngine(fake.url, family="chatml")
    with pytest.raises(DeviceLost, match=r"Nobody answers at 127\.0\.0\.1"):
        said(engine)
    with pytest.raises(DeviceLost, match="Nobody answers"):
        RemoteEngine(fake.url)


# ---- keys and addresses ------------------------------------------------------------------------------------------

def test_the_key_is_sent_and_shown_nowhere(fake: Fake, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TWIN_REMOTE_KEY", SECRET)
    fake.key = SECRET
    engine = RemoteEngine(fake.url, family="chatml")
    assert said(engine) == "Blue."
    assert fake.asked[-1][2]["Authorization"] == f"Bearer {SECRET}"
    shown = [repr(engine), repr(engine.link), str(engine.notes), engine.id, repr(engine.capabilities)]
    fake.key = "another"
    for call in (said, lambda one: one.tokenize("new")):
        with pytest.raises(UsageError, match="refuses the key") as caught:
            call(engine)
        shown += [str(caught.value), repr(caught.value)]
    assert SECRET not in "".join(shown)


def test_a_key_a_server_repeats_is_left_out_of_the_error(fake: Fake, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TWIN_REMOTE_KEY", SECRET)
    engine = RemoteEngine(fake.url, family="chatml")
    fake.raw = [event({"error": {"message": f"bad\x1b[2J key {SECRET} " + "x" * 900, "code": 500}})]
    with pytest.raises(ModelError) as caught:
        said(engine)
    assert SECRET not in str(caught.value) and "\x1b" not in str(caught.value) and len(str(caught.value)) < 400


def test_a_model_that_is_named_like_the_key_is_shown_without_it(fake: Fake, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TWIN_REMOTE_KEY", SECRET)
    fake.models = [{"id": f"m-{SECRET}"}]
    fake.embed = lambda texts: {"data": [{"embedding": [1.0, 0.0]} for _ in texts]}
    engine, embedder = RemoteEngine(fake.url), RemoteEmbedder(fake.url)
    shown = [repr(engine), engine.id, str(engine.notes), repr(engine.capabilities), repr(engine.family), embedder.id]
    fake.answers = [(404, {})]
    with pytest.raises(ModelMissing, match=r"has no model 'm-\.\.\.'") as caught:
        said(engine)
    shown.append(str(caught.value))
    fake.models *= 2
    for make in (RemoteEngine, RemoteEmbedder):
        with pytest.raises(UsageError, match=r"has 2 models") as several:
            make(fake.url)
        shown.append(str(several.value))
    with pytest.raises(ModelMissing, match=r"has no model 'zz'.*m-\.\.\.") as unknown:
        RemoteEngine(fake.url, "zz")
    shown.append(str(unknown.value))
    fake.raw = [text("Blue.", f"reason-{SECRET}")]
    with pytest.raises(ModelError, match="ended the answer") as ended:
        said(engine)

    assert SECRET not in "".join([*shown, str(ended.value)])
    engine.close()
    embedder.close()


def test_a_redirect_is_not_followed(fake: Fake, engine: RemoteEngine) -> None:
    with faking(Fake()) as other:
        fake.answers = [(307, {"Location": f"{other.url}/completions"})]
        with pytest.raises(ModelError, match="another address"):
            said(engine)
        assert other.asked == []


def test_a_key_does_not_travel_in_the_clear(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TWIN_REMOTE_KEY", SECRET)
    with pytest.raises(UsageError, match="in the clear") as caught:
        RemoteEngine("http://192.0.2.7:8000/v1")
    assert SECRET not in str(caught.value)
    with pytest.raises(DeviceLost):  # allowed: tests are offline, so nobody answers
        RemoteEngine("http://192.0.2.7:8000/v1", clear_key=True, timeouts=Timeouts(0.01))
    monkeypatch.setenv("TWIN_REMOTE_KEY", "two\nlines")
    with pytest.raises(UsageError, match="holds no key"):
        RemoteEngine("http://localhost:1/v1")


@pytest.mark.parametrize("url", ["", "localhost:8080", "ftp://host/v1", "http://", "http://host:99999/v1",
                                 "http://me:secret@localhost:1/v1", "http://host/v1?key=secret", "http://[::1/v1"])
def test_an_address_that_is_none_is_refused_without_repeating_it(url: str) -> None:
    with pytest.raises(UsageError, match="address") as caught:
        RemoteEngine(url)
    assert "secret" not in str(caught.value)


def test_no_openai_server_is_named(fake: Fake) -> None:
    fake.models = [{"name": "x"}]
    with pytest.raises(ModelError, match="no answer"):
        RemoteEngine(fake.url)


# ---- events ----------------------------------------------------------------------------------------------------

@given(st.lists(st.integers(1, 40), max_size=12))
def test_events_are_the_same_wherever_they_are_cut(cuts: list[int]) -> None:
    data = ": a\n\nevent: x\r\ndata: {\"a\":\r\ndata: \"жё\"}\r\n\r\ndata:[1]\n\n\n\ndata: [DONE]\n\n".encode()
    parts, at = [], 0
    for cut in cuts:
        parts.append(data[at:at + cut])
        at += cut

    assert list(events([*parts, data[at:]])) == [ALIVE, {"a": "жё"}, [1], DONE]
