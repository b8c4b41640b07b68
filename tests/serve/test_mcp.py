"""The official MCP client, in memory and over real standard streams: what it lists, calls and reads, and what no level
lets out."""
from __future__ import annotations

import asyncio
import json
import os
import shlex
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from mcp import Client, MCPError, StdioServerParameters, stdio_client

from tests.serve.conftest import made
from twin import replying
from twin.chat import Twin
from twin.errors import HomeBusy
from twin.public import Copy
from twin.serve import mcp_server, window
from twin.serve.worker import Worker

ROOT = Path(__file__).parents[2]
SECRETS = ("Galina", "Petrovna", "912", "345-67", "Alsu", "Karimova", "Novosibirsk")


@pytest.fixture(scope="module")
def twin(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Twin]:
    one = made(tmp_path_factory.mktemp("mcp"))
    yield one
    one.close()


@asynccontextmanager
async def client(twin: Twin, level: Any = "public") -> AsyncIterator[Client]:
    """A client of a server in this process."""
    worker = Worker()
    try:
        async with Client(mcp_server.server(twin, worker, level)) as one:
            yield one
    finally:
        worker.close()


async def called(one: Client, tool: str, **arguments: Any) -> Any:
    told = await one.call_tool(tool, arguments)
    assert not told.is_error, told.content
    return told.structured_content


async def refused(one: Client, tool: str, **arguments: Any) -> str:
    told = await one.call_tool(tool, arguments)
    assert told.is_error
    return str(told.content[0].text)  # type: ignore[union-attr]


async def everything(one: Client) -> str:
    """All that a client can read, as one text."""
    told = [await called(one, "get_profile", section=section, level="private") for section in window.SECTIONS]
    told += [await called(one, "explain_claim", claim_id=claim["id"]) for claim in told[0]["claims"]]
    told += [await called(one, "search_memory", query=query, k=20) for query in ("kiln", "sister", "печь", "phone")]
    told += [(await one.read_resource(f"twin://evidence/{claim['id']}")).contents[0].text  # type: ignore[union-attr]
             for claim in told[0]["claims"]]
    told += [(await one.get_prompt("speak_as_me", {"level": "private"})).messages[0].content.text]  # type: ignore[union-attr]
    return json.dumps(told, ensure_ascii=False)


# ---- what there is -------------------------------------------------------------------------------------------------

async def test_four_tools_two_templates_and_a_prompt_say_what_they_do(twin: Twin) -> None:
    async with client(twin) as one:
        tools = {tool.name: tool for tool in (await one.list_tools()).tools}
        assert set(tools) == {"search_memory", "get_profile", "explain_claim", "propose_claim"}
        for name, tool in tools.items():
            assert tool.description and tool.annotations
            assert tool.annotations.read_only_hint is (name != "propose_claim")
            assert tool.annotations.destructive_hint is False and tool.annotations.open_world_hint is False
        templates = {each.uri_template for each in (await one.list_resource_templates()).resource_templates}
        assert templates == {"twin://profile/{section}", "twin://evidence/{id}"}
        assert [str(each.uri) for each in (await one.list_resources()).resources] == ["twin://profile/all"]
        assert [each.name for each in (await one.list_prompts()).prompts] == ["speak_as_me"]


async def test_memory_is_searched_with_time_and_source(twin: Twin) -> None:
    async with client(twin, "private") as one:
        found = (await called(one, "search_memory", query="kiln temperature"))["found"]
        assert "thermocouple" in found[0]["text"] and found[0]["messages"]
        assert "Galina" in found[0]["text"]
        assert (await called(one, "search_memory", query="kiln", source="telegram"))["found"] == []
        assert (await called(one, "search_memory", query="kiln", since="2099-01-01"))["found"] == []
        assert len((await called(one, "search_memory", query="kiln", k=1))["found"]) == 1


async def test_a_claim_of_the_profile_is_explained_by_its_quotes(twin: Twin) -> None:
    async with client(twin, "private") as one:
        claims = (await called(one, "get_profile"))["claims"]
        assert claims and all(claim["text"] and 0 <= claim["confidence"] <= 1 for claim in claims)
        told = await called(one, "explain_claim", claim_id=claims[0]["id"])
        assert told["text"] == claims[0]["text"] and told["evidence"][0]["quote"]
        read = await one.read_resource(f"twin://evidence/{claims[0]['id']}")
        assert json.loads(read.contents[0].text) == told  # type: ignore[union-attr]
        whole = await one.read_resource("twin://profile/all")
        assert json.loads(whole.contents[0].text)["claims"] == claims  # type: ignore[union-attr]
        depth = json.loads((await one.read_resource("twin://profile/depth")).contents[0].text)  # type: ignore[union-attr]
        assert sum(depth["depth"].values()) > 0 and "claims" not in depth
        spoken = (await one.get_prompt("speak_as_me")).messages[0].content.text  # type: ignore[union-attr]
        assert claims[0]["text"] in spoken


# ---- levels --------------------------------------------------------------------------------------------------------

async def test_the_public_level_lets_no_name_or_number_out_whatever_is_asked_for(twin: Twin) -> None:
    async with client(twin, "private") as one:
        assert [secret for secret in SECRETS if secret not in await everything(one)] == []
    async with client(twin) as one:
        told = await everything(one)
    assert [secret for secret in SECRETS if secret in told] == []
    assert '"private"' not in told and "talk-0" not in told and '"a0"' not in told
    assert "[name]" in told


async def test_what_the_second_look_still_sees_is_withheld_and_counted(
        twin: Twin, monkeypatch: pytest.MonkeyPatch) -> None:
    """The copy lets everything through here: the scan alone stands between."""
    monkeypatch.setattr(replying, "copied", lambda profile, **_: Copy(profile, lambda *place: place, lambda said: said))
    monkeypatch.setattr(twin, "_seen", None)
    async with client(twin) as one:
        told = await called(one, "get_profile")
        assert told["withheld"] > 0
        found = await called(one, "search_memory", query="sister kiln")
        assert found["withheld"] == 1
        assert [secret for secret in SECRETS if secret in json.dumps([told, found])] == []
    twin._seen = None


@pytest.mark.parametrize("query", ["Galina", "galina petrovna", "Alsu, Karimova?", "+7 912 345-67-89"])
async def test_the_public_search_looks_for_no_name_and_tells_no_score(twin: Twin, query: str) -> None:
    async with client(twin) as one:
        assert "no name is looked for" in await refused(one, "search_memory", query=query)
        plain = await called(one, "search_memory", query="kiln tea")
        assert plain["found"] and not any("score" in each for each in plain["found"])
        assert await called(one, "search_memory", query=f"kiln {query} tea") == plain


async def test_a_private_server_shows_less_to_who_asks_for_less(twin: Twin) -> None:
    async with client(twin, "private") as one:
        assert (await called(one, "get_profile", level="public"))["level"] == "public"
        assert (await called(one, "get_profile"))["level"] == "private"


# ---- what it cannot do ---------------------------------------------------------------------------------------------

async def test_a_claim_is_only_put_before_the_person_and_fifty_are_enough(
        twin: Twin, monkeypatch: pytest.MonkeyPatch) -> None:
    queued = list[tuple[str, str, str]]()

    def propose(_: Twin, text: str, *, quote: str, origin: str) -> int:
        queued.append((text, quote, origin))
        return len(queued)

    monkeypatch.setattr(Twin, "propose_claim", propose)
    async with client(twin) as one:
        before = await called(one, "get_profile")
        assert (await called(one, "propose_claim", text="Tests glazes twice.", quote="I test twice"))["queued"] == 1
        assert queued == [("Tests glazes twice.", "I test twice", "mcp")]
        assert await called(one, "get_profile") == before
        for number in range(window.MOST_PROPOSED - 1):
            await called(one, "propose_claim", text=f"Claim {number}.")
        assert "50 claims were proposed" in await refused(one, "propose_claim", text="One more.")


async def test_a_claim_that_was_proposed_waits_and_nothing_counts_it(twin: Twin) -> None:
    async with client(twin) as one:
        told = await called(one, "propose_claim", text="Keeps a notebook of every firing.")
        assert told["queued"]
        assert (await called(one, "propose_claim", text="Keeps a notebook of every firing."))["queued"] is None
        assert "notebook" not in json.dumps((await called(one, "get_profile"))["claims"])


@pytest.mark.parametrize(("tool", "arguments", "said"), [
    ("search_memory", {"query": " "}, "Give a query."), ("search_memory", {"query": "k" * 3000}, "2000"),
    ("search_memory", {"query": "kiln", "since": "soon"}, "Write it as"), ("search_memory", {}, "required"),
    ("search_memory", {"query": "kiln", "k": 0}, "equal"), ("search_memory", {"query": "kiln", "k": 1000}, "20"),
    ("get_profile", {"section": "passwords"}, "section"), ("explain_claim", {"claim_id": "nothing"}, "No claim"),
    ("explain_claim", {"claim_id": ""}, "No claim"), ("propose_claim", {"text": ""}, "1 to 500"),
    ("propose_claim", {"text": "a" * 600}, "500"), ("forget", {"target": "all"}, "forget")])
async def test_what_cannot_be_asked_is_a_tool_error_with_a_reason(
        twin: Twin, tool: str, arguments: Any, said: str) -> None:
    async with client(twin) as one:
        try:
            assert said in await refused(one, tool, **arguments)
        except MCPError as error:
            assert said in str(error)


async def test_a_fault_of_ours_tells_nobodys_words_and_the_next_call_works(
        twin: Twin, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> None:
    faults = (RuntimeError("Galina"), "failed at this call"), (HomeBusy("Galina writes.", "Wait."), "[name]")
    for error, said in faults:
        with monkeypatch.context() as patch:
            def fail(*_: Any, error: Exception = error, **__: Any) -> Any:
                raise error

            patch.setattr(Twin, "recall", fail)
            async with client(twin) as one:
                told = await refused(one, "search_memory", query="kiln")
                assert "Galina" not in told and said in told
        async with client(twin) as one:
            assert (await called(one, "search_memory", query="kiln"))["found"]
    assert "Galina" not in "".join(capfd.readouterr())


async def test_resources_that_are_not_there_and_paths_are_errors(twin: Twin) -> None:
    async with client(twin) as one:
        for uri in ("twin://profile/passwords", "twin://evidence/nothing", "twin://evidence/..%2F..%2Fserve.token",
                    "file:///etc/passwd", "twin://nothing"):
            with pytest.raises(MCPError):
                await one.read_resource(uri)


async def test_calls_at_once_are_done_one_after_the_other_in_one_thread(
        twin: Twin, monkeypatch: pytest.MonkeyPatch) -> None:
    inside, most, threads = [0], [0], set[int]()
    recall = Twin.recall

    def noted(self: Twin, *args: Any, **how: Any) -> Any:
        threads.add(threading.get_ident())
        inside[0] += 1
        most[0] = max(most[0], inside[0])
        try:
            return recall(self, *args, **how)
        finally:
            inside[0] -= 1

    monkeypatch.setattr(Twin, "recall", noted)
    async with client(twin) as one:
        await asyncio.gather(*(called(one, "search_memory", query="kiln") for _ in range(12)))
    assert most == [1] and len(threads) == 1 and threading.get_ident() not in threads


# ---- over standard streams -----------------------------------------------------------------------------------------

LOUD = """
import os
from twin.chat import Twin
from twin.cli import main
recall = Twin.recall
def loud(self, *args, **how):
    print("printed by Python", flush=True)
    os.write(1, b"written by C, ")
    os.system("echo said by a child")
    return recall(self, *args, **how)
Twin.recall = loud
main()
"""


async def test_over_real_standard_streams_nothing_but_the_protocol_is_on_standard_output(
        twin: Twin, tmp_path: Path) -> None:
    """The command a desktop program starts, of which everything prints; what it writes goes through `tee`."""
    told = json.loads(mcp_server.config("claude", "public", twin.home.root))["mcpServers"]["twin"]
    assert told["args"][:3] == ["-m", "twin", "mcp"]
    command = [told["command"], "-c", LOUD, *told["args"][2:]]
    out, errors = tmp_path / "out", (tmp_path / "errors").open("w+")
    params = StdioServerParameters(command="sh", args=["-c", f"{shlex.join(command)} | tee {shlex.quote(str(out))}"],
                                   cwd=ROOT, env={**os.environ, "TWIN_CACHE": str(tmp_path / "cache")})
    with errors:
        async with Client(stdio_client(params, errlog=errors)) as one:
            assert len((await one.list_tools()).tools) == 4
            assert (await called(one, "get_profile"))["claims"]
            found = await called(one, "search_memory", query="kiln temperature")
            assert found["found"] and "Galina" not in json.dumps(found)
            assert "No claim" in await refused(one, "explain_claim", claim_id="nothing")
        assert {json.loads(line)["jsonrpc"] for line in out.read_text("utf-8").splitlines()} == {"2.0"}
        errors.seek(0)
        said = errors.read()
    assert [one for one in ("printed by Python", "written by C, said by a child") if one not in said] == []
    assert "Galina" not in said
