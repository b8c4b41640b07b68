"""Agents beside a core: the file, and a twin that goes on while they die; a scripted core, real workers."""
from __future__ import annotations

import json
import os
import signal
import stat
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests import tiny
from tests.engine.rpc import Worker, workers  # noqa: F401 - a fixture
from twin.agents import FILE, Agent, load, save
from twin.chat import Twin
from twin.deliberating import Asked
from twin.engine.embedding import GGUFEmbedder
from twin.engine.scripted import ScriptedEngine
from twin.engine.supervised import SupervisedEmbedder, SupervisedEngine
from twin.errors import DeviceLost, InputError, UsageError
from twin.home import Home
from twin.loading import core, engine
from twin.placement import Placement
from twin.roles import Role
from twin.types import Answered, Conversation, Message, Prompt, Turn

SAID = Conversation("c1", (Message("m1", "user", "I never buy tomato seeds, I keep my own."),), "garden", "messages")

FORM = ("{% for m in messages %}<<{{ m.role }}>> {{ m.content }}<|im_end|>\n{% endfor %}"
        "{% if add_generation_prompt %}<<assistant>> {% endif %}")


def answers(asked: Prompt) -> str:
    if "JSON" not in "".join(segment.text for segment in asked.tail):
        return "A plain answer."
    return json.dumps({"evidence": [], "claim": f"You keep your own seeds, says {asked.role}.", "prediction": "",
                       "falsifier": "", "unit": ""})


def until(so: Callable[[], bool], timeout_s: float = 60.0) -> None:
    end = time.monotonic() + timeout_s
    while not so():
        assert time.monotonic() < end, "it did not come to that"
        time.sleep(0.02)


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("agents")
    return {"embedder": tiny.embedder(folder / "embedder.gguf"),
            "llama": tiny.core(folder / "llama.gguf", "llama", n_ctx_train=8192),
            "qwen3": tiny.core(folder / "qwen3.gguf", "qwen3", seed=1, n_ctx_train=8192, template=FORM)}


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return Home(tmp_path / "home").create()


@pytest.fixture
def opened(home: Home) -> Iterator[Callable[..., Twin]]:
    twins: list[Twin] = []

    def make(*agents: Agent, engine: ScriptedEngine | None = None) -> Twin:
        save(home, agents)
        twins.append(Twin.open(home, engine=engine or ScriptedEngine(answers)))
        return twins[-1]

    yield make
    for twin in twins:
        twin.close()


def kill(agent: SupervisedEngine | SupervisedEmbedder | None, how: signal.Signals = signal.SIGKILL) -> int:
    assert agent is not None
    assert agent.usable()
    pid = agent.health.pid
    os.kill(pid, how)
    return pid


# ---- the file ----------------------------------------------------------------------------------------------------

def test_what_is_saved_is_read_back_by_its_owner_alone(home: Home) -> None:
    made = (Agent("embedder", "minilm", device="CUDA1"), Agent("router", "http://127.0.0.1:8080/v1#e5"),
            Agent("second", 'a "name" with \\ and й', server="10.0.0.2:50052", roles=("critic", "mentor")),
            Agent("scorer", "smollm2-135m", apart=False))
    assert load(home) == ()
    save(home, made)

    assert set(load(home)) == set(made)
    assert [one.kind for one in load(home)] == ["embedder", "router", "scorer", "second"]
    assert stat.S_IMODE((home.root / FILE).stat().st_mode) == 0o600


@pytest.mark.parametrize(("text", "line"), [
    ('[embedder]\nmodel = "minilm"\n\n[gardener]\nmodel = "x"\n', 4), ('[embedder]\nmodel = minilm\n', 2),
    ('\n\n[second]\nmodel = "x"\nspeed = 3\n', 3), ('[second]\nmodel = "x"\nroles = "critic"\n', 1),
    ('[scorer]\ndevice = "CUDA0"\n', 1), ('[embedder]\nmodel = "x"\n[embedder]\n', 3), ('embedder = "minilm"\n', 1),
    ('[second]\nmodel = "x"\nserver = "nowhere"\n', 1), ('[second]\nmodel = "x"\nroles = [1]\n', 1)])
def test_a_damaged_file_is_refused_by_its_line_and_stays(home: Home, text: str, line: int) -> None:
    (home.root / FILE).write_text(text)
    with pytest.raises(InputError, match=f"line {line}: "):
        Twin.open(home, engine=ScriptedEngine([]))

    assert (home.root / FILE).read_text() == text


@pytest.mark.parametrize("data", [b'[embedder]\nmodel = "\xff"\n', b"#" * 70_000])
def test_bytes_that_are_no_such_file_are_refused(home: Home, data: bytes) -> None:
    (home.root / FILE).write_bytes(data)
    with pytest.raises(InputError):
        load(home)


@pytest.mark.parametrize("wrong", [
    {"kind": "gardener"}, {"model": " "}, {"model": "http://x/v1", "device": "CUDA0"}, {"roles": ("critic",)},
    {"server": "10.0.0.2:50052", "apart": False}, {"model": "a\nb"}])
def test_an_agent_that_contradicts_itself_cannot_be(wrong: dict[str, object]) -> None:
    with pytest.raises(UsageError):
        Agent(**{"kind": "scorer", "model": "smollm2-135m", **wrong})  # type: ignore[arg-type]


def test_two_agents_may_share_a_device_but_not_a_kind(home: Home) -> None:
    save(home, [Agent("scorer", "a", device="CUDA0"), Agent("second", "b", device="CUDA0")])
    with pytest.raises(UsageError, match="Two agents"):
        save(home, [Agent("scorer", "a"), Agent("scorer", "b")])

    assert [one.model for one in load(home)] == ["a", "b"]


# ---- a twin with agents ------------------------------------------------------------------------------------------

def test_a_turn_goes_on_by_words_while_the_embedder_is_down_and_says_so(
        opened: Callable[..., Twin], models: dict[str, Path]) -> None:
    twin = opened(Agent("embedder", str(models["embedder"])))
    twin.add([SAID])
    twin.memory.embed_missing()
    agent = twin.company.agent("embedder")
    assert isinstance(agent, SupervisedEmbedder)
    assert twin.embedder is agent
    assert all("by words only" not in one.why for one in twin.recall("tomato seeds"))
    agent._clock = lambda: 0.0  # it stays down
    pid = kill(agent)
    until(lambda: agent.health.state == "down")
    turn = twin.ask("Which tomato seeds do I buy?")

    assert turn.answer == "A plain answer."
    assert [one.text for one in turn.memories] == ["I never buy tomato seeds, I keep my own."]
    assert "by words only" in turn.memories[0].why
    assert any("The agent embedder is down" in note for note in twin.notes)
    assert agent.health.pid == pid, "nobody waited for another one to start"
    assert twin.add([Conversation("c2", (Message("m2", "user", "The kiln drifts by nine degrees."),))]).imported == 1
    assert "kiln" in twin.recall("how far does the kiln drift")[0].text
    agent._clock = time.monotonic
    until(lambda: agent.health.state == "up")
    assert all("by words only" not in one.why for one in twin.recall("tomato seeds"))


def test_the_router_reads_with_its_own_embedder_and_by_words_without(
        opened: Callable[..., Twin], models: dict[str, Path]) -> None:
    twin = opened(Agent("router", str(models["embedder"])))
    agent = twin.company.agent("router")
    assert isinstance(agent, SupervisedEmbedder)
    assert twin.embedder is not agent
    twin.route("What did I overlook in this plan?")
    assert agent.health.calls > 0
    agent._clock = lambda: 0.0
    kill(agent)
    until(lambda: agent.health.state == "down")

    assert twin.route("What did I overlook in this plan?").role in twin.role_map.ids
    assert twin.correct(twin.ask("What did I overlook?"), "critic").label == "critic"
    assert twin.route("What did I overlook?").role == "critic", "what was corrected meanwhile is known by words as well"


def test_an_agent_whose_model_is_not_here_is_told_of_and_done_without(
        opened: Callable[..., Twin], tmp_path: Path) -> None:
    gone = str(tmp_path / "gone.gguf")
    twin = opened(*(Agent(kind, gone) for kind in ("embedder", "router", "scorer", "reflection", "second")))
    twin.add([SAID])
    turn = twin.council("Which tomato seeds do I buy?", ["mentor", "critic"])

    assert turn.verdict is not None
    assert [one.role for one in turn.verdict.hypotheses] == ["mentor"]
    assert "gone.gguf" in turn.verdict.failed["critic"]
    assert twin.company.engine("reflection") is None
    assert twin.company.scorer() is None
    assert sum("cannot be used" in note for note in twin.notes) >= 2
    assert {part.state for part in twin.status(devices=False).parts if part.kind != "core"} <= {"down", "idle"}


def test_a_core_of_another_family_speaks_the_last_member_in_its_own_form(
        opened: Callable[..., Twin], models: dict[str, Path]) -> None:
    """A tiny core writes no usable JSON sentence, but what it wrote is heard as its member's."""
    twin = opened(Agent("second", str(models["qwen3"])))
    turn = twin.council("Which tomato seeds do I buy?", ["mentor", "scribe", "critic"])
    second = twin.company.agent("second")

    assert isinstance(second, SupervisedEngine)
    assert second.health.calls > 0
    assert {asked.role for asked in twin.engine.prompts if asked.role} == {"mentor", "scribe"}  # type: ignore[attr-defined]
    assert turn.verdict is not None
    heard = {one.role for one in turn.verdict.hypotheses}
    assert {"mentor", "scribe"} <= heard
    assert heard | turn.verdict.failed.keys() == {"mentor", "scribe", "critic"}
    ready = twin.asking._ready(Asked("Which seeds?", "c"))
    seats = twin.asking._seats(ready, [_role(twin, name) for name in ("critic", "mentor")])
    assert list(seats.second) == ["mentor"]
    assert "<<system>>" in seats.prompts["mentor"].text, "in the form of the second core's own file"
    assert "<<" not in seats.prompts["critic"].text
    assert seats.shared is seats.prompts["critic"]


def test_the_roles_of_the_second_core_are_those_it_was_given_but_never_all(
        opened: Callable[..., Twin], models: dict[str, Path]) -> None:
    twin = opened(Agent("second", str(models["qwen3"]), roles=("critic", "mentor")))

    assert twin.company.elsewhere(["mentor", "scribe"])[1] == ("mentor",)
    assert twin.company.elsewhere(["scribe", "critic", "mentor"])[1] == ("critic", "mentor")
    assert twin.company.elsewhere(["critic", "mentor"])[1] == ("critic",)
    assert twin.company.elsewhere(["critic"])[1] == ()


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGSTOP])
def test_a_second_core_that_dies_or_hangs_is_named_and_the_others_go_on(
        opened: Callable[..., Twin], models: dict[str, Path], how: signal.Signals) -> None:
    twin = opened(Agent("second", str(models["llama"])))
    second = twin.company.agent("second")
    assert isinstance(second, SupervisedEngine)
    second._silent_s = 2.5
    second._clock = lambda: 0.0
    kill(second, how)
    turn = twin.council("Which tomato seeds do I buy?", ["mentor", "critic"])

    assert turn.verdict is not None
    assert [one.role for one in turn.verdict.hypotheses] == ["mentor"]
    assert turn.verdict.failed["critic"].startswith("DeviceLost: The agent second is down")
    assert turn.status == "answered"
    starts = second.health.restarts
    again = twin.council("And which beans?", ["mentor", "critic"])
    assert again.verdict is not None
    assert "critic" in again.verdict.failed
    assert second.health.restarts == starts, "while it is down nothing is tried, so nothing is waited for"


def test_reflection_and_scorer_are_asked_where_they_are_up_and_the_core_elsewhere(
        opened: Callable[..., Twin], models: dict[str, Path]) -> None:
    twin = opened(Agent("reflection", str(models["qwen3"])), Agent("scorer", str(models["llama"])))
    proposes = twin.reflection._engine

    assert proposes() is twin.company.agent("reflection")
    scorer = twin.company.scorer()
    assert scorer is not None
    assert scorer.path == models["llama"]
    assert twin.reflection._core() == scorer
    agent = twin.company.agent("reflection")
    assert isinstance(agent, SupervisedEngine)
    agent._clock = lambda: 0.0
    kill(agent)
    until(lambda: agent.health.state == "down")
    assert proposes() is twin.engine


def test_nothing_of_the_agents_is_left_when_the_twin_closes(home: Home, models: dict[str, Path]) -> None:
    save(home, [Agent("embedder", str(models["embedder"])), Agent("second", str(models["llama"]))])
    with Twin.open(home, engine=ScriptedEngine(answers)) as twin:
        twin.add([SAID])
        turns = [event.turn for event in twin.stream("Which seeds?", council=True, members=["mentor", "critic"])
                 if isinstance(event, Answered)]
        assert isinstance(turns[0], Turn)
        pids = [twin.company.agent(kind).health.pid for kind in ("embedder", "second")]  # type: ignore[union-attr]
        assert all(pids)

    for pid in pids:
        with pytest.raises(ProcessLookupError):
            os.kill(pid, 0)
    assert not (home.root / "run").exists()


def test_what_is_taken_back_is_gone_from_the_second_core_as_well(
        opened: Callable[..., Twin], models: dict[str, Path]) -> None:
    twin = opened(Agent("second", str(models["llama"])))
    twin.add([SAID])
    twin.council("Which seeds?", ["mentor", "critic"])
    pid = twin.company.agent("second").health.pid  # type: ignore[union-attr]
    twin.forget(SAID.id)

    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)
    twin.council("Which seeds?", ["mentor", "critic"])
    assert twin.company.agent("second").health.pid not in (0, pid)  # type: ignore[union-attr]


def test_a_core_behind_a_url_is_asked_for_late_and_proofs_do_without_it(home: Home) -> None:
    from twin.catalog import Catalog

    with Twin.open(home, model="http://127.0.0.1:9/v1#some") as twin:
        assert twin.has("core")
        assert core(twin.catalog, "http://127.0.0.1:9/v1", None) is None
        with pytest.raises(DeviceLost):
            twin.engine.tokenize("one")
    with pytest.raises(DeviceLost):
        engine(Catalog(), home, "http://127.0.0.1:9/v1", 512, None)


# ---- on devices --------------------------------------------------------------------------------------------------

def test_an_embedder_and_a_second_core_on_workers_beside_the_core(
        opened: Callable[..., Twin], models: dict[str, Path], workers: list[Worker]) -> None:  # noqa: F811
    """Real RPC workers on loopback; the one of the embedder is lost, and it comes back on the processor."""
    alone = GGUFEmbedder(models["embedder"], trusted=True, placement=Placement(n_gpu_layers=0))
    try:
        wanted = alone.embed(["the kiln drifts"])[0]
    finally:
        alone.close()
    twin = opened(Agent("embedder", str(models["embedder"]), server=workers[0].server),
                  Agent("second", str(models["llama"]), server=workers[1].server))
    agent, second = twin.company.agent("embedder"), twin.company.agent("second")
    assert isinstance(agent, SupervisedEmbedder)
    assert isinstance(second, SupervisedEngine)
    assert agent.embed(["the kiln drifts"])[0] == pytest.approx(wanted, abs=1e-3)
    assert second.usable()
    assert not any("there" in note for note in (*agent.notes, *second.notes)), "no device is missing"
    workers[0].kill()

    with pytest.raises(DeviceLost):
        for _ in range(100):
            agent.embed(["the kiln drifts"])
    until(lambda: agent.health.state == "up")
    assert agent.embed(["the kiln drifts"])[0] == pytest.approx(wanted, abs=1e-3)
    assert any("none is there" in note for note in agent.notes)


def _role(twin: Twin, name: str) -> Role:
    return twin.role_map.role(name)
