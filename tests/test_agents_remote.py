"""Agents and cores behind a URL: no secret is in one, a key goes where it was named for, and a server that never
answers holds nobody up. Real sockets on loopback."""
# ruff: noqa: F811 - fixtures of the file beside this one
from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable

import pytest

from tests.engine.fake_server import Fake, dripping, faking
from tests.test_agents import home, opened  # noqa: F401
from twin.agents import FILE, Agent, load, shown, split_url, url_options
from twin.catalog import Catalog
from twin.chat import Twin
from twin.errors import InputError, UsageError
from twin.home import Home
from twin.loading import agent, engine


def test_a_url_may_tell_the_chat_form_and_the_context_of_its_core() -> None:
    model = "http://127.0.0.1:8000/v1#qwen?family=qwen3&context=32768&key=MY_KEY_2"

    assert split_url(model) == ("http://127.0.0.1:8000/v1", "qwen")
    assert url_options(model) == {"family": "qwen3", "n_ctx": 32768, "key_env": "MY_KEY_2"}
    assert url_options("http://127.0.0.1:8000/v1#qwen") == {}
    for wrong in ("context=lots", "key=secret", "secret", "KEY=secret", "key=", "family=", "context=1"):
        with pytest.raises(UsageError) as caught:
            url_options(f"http://127.0.0.1:8000/v1#qwen?{wrong}")
        assert "secret" not in str(caught.value)


@pytest.mark.parametrize("url", [
    "http://user:sk-SECRET@127.0.0.1:9/v1#m", "http://127.0.0.1:9/v1?api_key=sk-SECRET", "HTTPS://sk-SECRET@host/v1",
    "http://user:a/sk-SECRET@host/v1", "http://127.0.0.1:9/v1#m?key=sk-SECRET", "http://127.0.0.1:9/v1#m?sk-SECRET"])
def test_a_url_with_a_secret_is_refused_kept_nowhere_and_shown_nowhere(home: Home, url: str) -> None:
    for made in (lambda: Agent("second", url), lambda: engine(Catalog(), home, url, 512, None)):
        with pytest.raises(UsageError) as caught:
            made()
        assert "SECRET" not in str(caught.value)
    (home.root / FILE).write_text(f"[second]\nmodel = {json.dumps(url)}\n")
    with pytest.raises(InputError, match="line 1: ") as damaged:
        load(home)
    assert "SECRET" not in str(damaged.value)
    (home.root / FILE).unlink()
    with Twin.open(home, model=url) as twin:
        told = twin.status(devices=False)
    assert "SECRET" not in repr(told)
    assert told.parts[0].where == shown(url).partition("#")[0]


@pytest.mark.parametrize("kind", ["router", "second"])
def test_a_server_gets_the_key_that_is_named_for_it_and_no_other(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TWIN_REMOTE_KEY", "sk-of-the-core")
    monkeypatch.setenv("MY_KEY", "sk-of-the-agent")
    with faking(Fake(embed=lambda texts: {"data": [{"embedding": [1.0, 0.0]} for _ in texts]})) as fake:
        for model, key in ((fake.url, None), (f"{fake.url}#m?key=MY_KEY", "Bearer sk-of-the-agent")):
            fake.asked.clear()
            made = agent(Catalog(), Agent(kind, model), 512)
            assert made.usable()
            made.close()
            assert {headers.get("Authorization") for _, _, headers in fake.asked} == {key}
        fake.key = "another"
        made = agent(Catalog(), Agent(kind, fake.url), 512)
        assert not made.usable()
        assert "wants a key" in made.health.last_error
        made.close()


@pytest.mark.parametrize(("head", "drop"), [
    (b"", b""), (b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n\r\n", b" ")], ids=["silent", "dripping"])
def test_a_server_that_never_answers_delays_no_turn_for_long_and_no_close(
        opened: Callable[..., Twin], monkeypatch: pytest.MonkeyPatch, head: bytes, drop: bytes) -> None:
    monkeypatch.setattr("twin.loading.REACHED_S", 0.5)
    with dripping(head, drop) as url:
        twin, began = opened(Agent("router", f"{url}#m")), time.monotonic()
        assert twin.ask("Which seeds?").answer == "A plain answer."
        assert "It did not start within 0.5 s" in str(twin.company.notes)
        threads = [one for one in threading.enumerate() if one.name == "twin-start-router"]
        twin.close()
        for one in threads:
            one.join(3)
        assert time.monotonic() - began < 15
        assert not any(one.is_alive() for one in threads), "its connection was cut"
