"""Own words into a role's adapter, end to end on a tiny random core, with real training; and what is refused."""
from __future__ import annotations

import random
import sys
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from tests import tiny
from twin import roles, training
from twin.chat import Twin
from twin.engine.scripted import ScriptedEngine
from twin.errors import ModelMissing, StaleAdapter, UsageError
from twin.home import Home, sha256_of
from twin.lessons import hash_of_key
from twin.role_file import with_line
from twin.training import Trained, base
from twin.training.steps import Step
from twin.types import Conversation, Message

FEW: dict[str, Any] = {"steps": 2, "batch": 4, "max_tokens": 900, "rank": 2, "targets": ("q", "v"), "evaluate_every": 1,
       "evaluate_on": 4, "dtype": "float32", "threads": 1}
BEGAN = datetime(2025, 1, 1, tzinfo=UTC)
MINE = ("greenhouse", "sensor", "ledger", "harbour", "solder", "oven", "queue", "peas", "frost", "kettle", "window",
        "battery")
THEIRS = ("regatta", "violin", "cellar", "tariff", "saddle", "lantern", "orchard", "mortar", "ribbon", "anvil",
          "compass", "parade")
RUSSIAN = ("теплица", "датчик", "тетрадь", "гавань", "печь", "очередь", "горох", "мороз", "чайник", "окно", "паяльник",
           "провод")


def talk(words: Sequence[str], n: int, seed: int = 0) -> list[Conversation]:
    """n days of six own messages of ten words, each after an answer, English and Russian in turn."""
    dice, made = random.Random(seed), []  # noqa: S311 - a draw, no secret
    for day in range(n):
        said: list[Message] = []
        for turn in range(6):
            time = BEGAN + timedelta(days=day, minutes=turn)
            own = " ".join(dice.sample(RUSSIAN if turn % 2 else words, 10))
            own = f"почему {own}?" if turn % 2 else f"the {own}"
            said += [Message(f"a{turn}", "assistant", f"And number {dice.random():.6f}?", time=time),
                     Message(f"m{turn}", "user", own, time=time + timedelta(seconds=5))]
        made.append(Conversation(f"{words[0]}{day}", tuple(said), source="messages"))
    return made


@pytest.fixture(scope="module")
def core(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny.core(tmp_path_factory.mktemp("core") / "tiny.gguf", ends=True)


class Core(ScriptedEngine):
    """A script that says which file it is, so that something could be trained of it."""

    def __init__(self, path: Path) -> None:
        super().__init__(lambda _: f"Reply {len(self.prompts)} is about {len(self.prompts) * 7}.")
        self.path, self.closed = path, False
        self.id = f"tiny@{sha256_of(path)[:16]}"

    def close(self) -> None:
        self.closed = True


@pytest.fixture
def twin(tmp_path: Path, core: Path) -> Iterator[Twin]:
    """A twin of 276 own messages; its core is a script."""
    with Twin(Home(tmp_path / "home"), engine=Core(core)) as opened:
        opened.add(talk(MINE, 46))
        yield opened


def played(planned: Any, folder: Path, seed: int = 0) -> Trained:
    """What a training would leave, without any."""
    folder.mkdir(parents=True, exist_ok=True)
    peft = folder / "peft"
    peft.mkdir(exist_ok=True)
    (peft / "adapter_config.json").write_text("{}", "utf-8")
    gguf = tiny.adapter(folder / "adapter.gguf", planned.core, seed=seed)
    return Trained(gguf, sha256_of(gguf), peft, 4, 5.0, 4.5, ((0, 5.0), (4, 4.5)), 1.0, 10**9, {"note": ""})


@pytest.fixture
def play(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """No torch at work: plans cost nothing, trainings are played; what was asked of them."""
    asked: list[dict[str, Any]] = []

    def plan(path: Path, learn: Sequence[Any], held: Sequence[Any], **how: Any) -> Any:
        return SimpleNamespace(core=path, learn=learn, held=held, **how)

    def train(planned: Any, folder: Path, **how: Any) -> Trained:
        asked.append({"plan": planned, "folder": folder, **how})
        for step, bits in enumerate((5.0, 4.75, 4.5)):
            if how.get("watch"):
                how["watch"](Step(step, 3.0 if step else None, bits, 0.1, 60.0))
        return played(planned, folder, len(asked))

    monkeypatch.setattr(base, "needs_torch", lambda: None)
    monkeypatch.setattr(training, "plan", plan)
    monkeypatch.setattr(training, "train", train)
    return asked


# ---- the whole way -------------------------------------------------------------------------------------------------

def test_a_role_learns_speaks_and_is_taken_back_inside_one_running_chat(tmp_path: Path, core: Path) -> None:
    """Real training, real adapter, real cache; the core frees itself for the training and comes back."""
    with Twin(Home(tmp_path / "home"), model=str(core), n_ctx=2048) as twin:
        twin.add(talk(MINE, 46))
        file = twin.home.roles / "critic.md"
        twin.ask("Is this a good plan?", role="critic", conversation="c")
        before, freed, seen = file.read_bytes(), twin.engine, list[Step]()
        kept = twin.train("critic", watch=seen.append, **FEW)
        again = twin.train("critic", **FEW)

        assert freed.closed  # type: ignore[attr-defined]
        assert again == kept, "equal words, settings and seed"
        assert [step.step for step in seen] == [0, 1, 2]
        assert kept.base == sha256_of(core)
        assert (kept.on, kept.role, kept.kind, kept.source) == (None, "critic", "alora", "messages")
        assert file.read_bytes() == before, "it is off by itself"
        assert not any(twin.home.training.iterdir()), "its checkpoints are no longer needed"
        assert {path.stat().st_mode & 0o777 for path in twin.home.root.iterdir()} <= {0o600, 0o700}
        assert twin.switch("critic", anyway=True).changes == (
            f"critic: adapter: set: sha256 {kept.sha256}, scale 1.0, kind alora",)
        turn = twin.ask("And is this one?", role="critic", conversation="c")
        assert turn.adapted
        assert kept.sha256 in twin.engine.weights.loaded  # type: ignore[attr-defined]
        twin.switch("critic", on=False)
        assert file.read_bytes() == before
        assert not twin.ask("And this?", role="critic", conversation="c").adapted


# ---- what is learned -----------------------------------------------------------------------------------------------

def test_own_later_words_are_held_out_and_only_some_are_looked_at(twin: Twin, play: list[dict[str, Any]]) -> None:
    lesson = twin.lesson("critic", **FEW)
    learned, looked = ({sample.key for sample in side} for side in (lesson.split.learn, lesson.split.held))

    assert len(learned) == 192
    assert len(looked) == 28
    assert max(sample.time for sample in lesson.split.learn) < min(sample.time for sample in lesson.split.held)
    assert [len(lesson.learn), len(lesson.held)] == [192, 28]
    assert lesson.words == 192 * 11
    assert play == []


def test_a_header_is_in_the_language_of_what_is_answered_and_gone_when_compiled(twin: Twin,
                                                                              play: list[dict[str, Any]]) -> None:
    critic = twin.role_map.role("critic")
    headers = {sample.header for sample in twin.lesson("critic", **FEW).split.learn}
    assert headers <= {roles.header(critic, "en"), roles.header(critic, "ru")}
    assert roles.header(critic, "en") in headers
    compiled = twin.lesson("critic", compiled=True, **FEW)
    assert {sample.header for sample in compiled.split.learn} == {""}
    assert {segment.part for prompt in compiled.samples(5) for segment in prompt.tail} == {"answer", "reply", "end"}


def test_samples_are_shown_as_they_are_learned(twin: Twin, play: list[dict[str, Any]]) -> None:
    lesson = twin.lesson("critic", **FEW)
    prompts = lesson.samples(3)
    learned = ["".join(segment.text for segment in one.tail if segment.learned) for one in prompts]

    assert len(prompts) == 3
    assert all(text.endswith("<|im_end|>") for text in learned)
    assert {text.removesuffix("<|im_end|>") for text in learned} <= {one.answer for one in lesson.split.learn}
    assert len(lesson.samples(10**6)) == len(lesson.learn)


def test_a_scope_learns_what_the_role_may_see(twin: Twin, play: list[dict[str, Any]]) -> None:
    twin.role_book.ensure()
    file = twin.home.roles / "critic.md"
    file.write_text(with_line(file.read_text("utf-8"), "memory", "memory: {exclude: [ru]}"), "utf-8")
    everything, some = (twin.lesson("critic", source=source, **FEW) for source in ("messages", "scope"))
    answers = [sample.answer for sample in some.split.learn]

    assert len(some.learn) < len(everything.learn)
    assert not any(answer.startswith("почему") for answer in answers)
    assert some.data != everything.data


def test_a_role_is_compiled_from_the_cores_answers_under_its_header(twin: Twin, play: list[dict[str, Any]]) -> None:
    lesson = twin.lesson("critic", source="role", **FEW)
    asked = [one for one in twin.engine.prompts if one.role == "critic"]  # type: ignore[attr-defined]

    assert lesson.compiled
    assert all(sample.answer.startswith("Reply ") for sample in lesson.split.learn)
    assert all(roles.header(twin.role_map.role("critic"), "en") in one.text or
               roles.header(twin.role_map.role("critic"), "ru") in one.text for one in asked)
    assert {sample.header for sample in lesson.split.learn} == {""}
    kept = twin.train(lesson)
    assert kept.compiled
    assert play[0]["invocation"] == lesson.opening != ()
    assert twin.switch("critic", anyway=True).changes[0].endswith("stands for the header True")
    adapter = twin.role_map.role("critic").adapter
    assert adapter is not None
    assert adapter.instead_of_header


def test_approved_claims_are_learned_and_none_is_not(twin: Twin, play: list[dict[str, Any]]) -> None:
    with pytest.raises(UsageError, match="twin profile"):
        twin.lesson("critic", source="claims", **FEW)
    for claim in twin.profile().claims[:2]:
        twin.decide(claim.id, "approve")
    with pytest.raises(UsageError, match=r"20 answers are needed.*twin decide approve"):
        twin.lesson("critic", source="claims", **FEW)


# ---- the registry --------------------------------------------------------------------------------------------------

def test_what_it_learned_from_is_noted_so_that_forgetting_makes_it_stale(twin: Twin,
                                                                         play: list[dict[str, Any]]) -> None:
    kept = twin.train("critic", **FEW)
    twin.switch("critic", anyway=True)
    (twin.home.training / "critic-1").mkdir(parents=True)
    (twin.home.training / "critic-1" / "state.json").write_text("{}", "utf-8")
    gone = twin.forget(f"{MINE[0]}3/m1")

    assert gone.adapters == (str(kept.path),)
    assert not (twin.home.training / "critic-1" / "state.json").exists()
    assert twin.apprentice.stale(kept)
    with pytest.raises(StaleAdapter, match="twin allow"):
        twin.switch("critic", kept.sha256, anyway=True)
    with pytest.raises(StaleAdapter):
        twin.ask("Is this a good plan?", role="critic")
    twin.allow_adapter(kept.path.name)
    assert twin.ask("Is this a good plan?", role="critic").adapted
    assert MINE[0] not in kept.path.with_suffix(".json").read_text("utf-8")


def test_what_its_words_were_said_after_counts_as_learned_from(twin: Twin, play: list[dict[str, Any]]) -> None:
    kept = twin.train("critic", **FEW)
    assert twin.forget(f"{MINE[0]}3/a1").adapters == (str(kept.path),)


def test_an_adapter_of_another_role_needs_a_second_word(twin: Twin, play: list[dict[str, Any]]) -> None:
    kept = twin.train("critic", **FEW)
    twin.apprentice.adapters.judge(kept, on=True, reason="On: it is you.", likeness={})
    with pytest.raises(UsageError, match=r"for the role critic, not for mentor.*--anyway"):
        twin.switch("mentor", kept.sha256)
    assert twin.switch("mentor", kept.sha256, anyway=True).adapter == kept.sha256


def test_a_message_it_did_not_learn_from_leaves_it_as_it_is(twin: Twin, play: list[dict[str, Any]]) -> None:
    kept = twin.train("critic", **FEW)
    name = f"{MINE[0]}45"
    unseen = next(message.id for message in twin.archive.conversation(name).messages
                  if message.own and hash_of_key((name, message.id)) not in kept.facts["learned"])
    assert twin.forget(f"{name}/{unseen}").adapters == ()


def test_a_stopped_training_keeps_its_best_and_its_checkpoints(twin: Twin, play: list[dict[str, Any]]) -> None:
    kept = twin.train("critic", cancel=lambda: bool(play), **FEW)
    assert kept.path.is_file()
    assert play[0]["folder"].is_dir()
    twin.train("critic", **FEW)
    assert play[1]["folder"] == play[0]["folder"], "the same lesson goes on there"
    twin.train("critic", fresh=True, **{**FEW, "rank": 3})
    assert play[2]["folder"] != play[0]["folder"]
    assert [one["fresh"] for one in play] == [False, False, True]


def test_a_lent_core_is_not_closed(twin: Twin, play: list[dict[str, Any]]) -> None:
    twin.train("critic", **FEW)
    assert not twin.engine.closed  # type: ignore[attr-defined]


def test_a_switch_keeps_the_layout_and_comments_of_a_roles_file(twin: Twin, play: list[dict[str, Any]]) -> None:
    twin.role_book.ensure()
    file = twin.home.roles / "critic.md"
    plain = file.read_text("utf-8").replace("id: critic\n", "id: critic  # mine\n").replace("\n", "\r\n")
    file.write_bytes(plain.encode())
    kept = twin.train("critic", **FEW)
    twin.switch("critic", kept.sha256[:7], anyway=True)
    line = f"adapter: {{sha256: {kept.sha256}, kind: alora}}\r\n"
    assert file.read_bytes().decode().replace(line, "") == plain
    twin.switch("critic", on=False)
    assert file.read_bytes().decode() == plain
    file.write_bytes(plain.replace("id: critic", '"adapter": {path: a.gguf}\r\nid: critic').encode())
    twin.switch("critic", anyway=True)
    adapter = twin.role_map.role("critic").adapter
    assert adapter is not None
    assert adapter.sha256 == kept.sha256, "a file that one line cannot mend takes the canonical form"


# ---- what is refused -----------------------------------------------------------------------------------------------

def test_too_few_own_words_say_how_many_are_needed(tmp_path: Path, core: Path, play: list[dict[str, Any]]) -> None:
    with Twin(Home(tmp_path / "home"), engine=Core(core)) as twin:
        twin.add(talk(MINE, 3))
        with pytest.raises(UsageError, match=r"1,000 in 60 messages are needed.*there are \d+ in \d+"):
            twin.lesson("critic")


def test_unknown_roles_sources_settings_and_adapters_are_refused(twin: Twin, play: list[dict[str, Any]]) -> None:
    with pytest.raises(UsageError, match="wizard"):
        twin.lesson("wizard")
    with pytest.raises(UsageError, match=r"'dreams'.*messages, scope"):
        twin.lesson("critic", source="dreams")  # type: ignore[arg-type]
    with pytest.raises(UsageError, match=r"'depth'.*batch"):
        twin.lesson("critic", depth=3)
    for wrong, named in (({"seed": 10**20}, "--seed"), ({"alpha": float("inf")}, "alpha inf"),
                         ({"alpha": float("nan")}, "alpha nan"), ({"device": "abacus"}, "'abacus'"),
                         ({"targets": ()}, "name nothing")):
        with pytest.raises(UsageError, match=named):
            twin.lesson("critic", **wrong)  # type: ignore[arg-type]
    with pytest.raises(UsageError, match="twin train critic"):
        twin.switch("critic", anyway=True)
    with pytest.raises(UsageError, match="wizard"):
        twin.switch("wizard", on=False)
    with pytest.raises(UsageError, match="ready"):
        twin.train(twin.lesson("critic", **FEW), steps=3)
    assert play == []


def test_a_core_that_is_no_file_cannot_learn(tmp_path: Path, play: list[dict[str, Any]]) -> None:
    with Twin(Home(tmp_path / "home"), engine=ScriptedEngine([])) as twin:
        twin.add(talk(MINE, 46))
        with pytest.raises(ModelMissing, match="no file"):
            twin.lesson("critic")


def test_without_torch_the_install_line_is_given_before_anything_is_read(
        twin: Twin, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "torch", None)
    with pytest.raises(ModelMissing, match=r"pip install 'twin\[train\]'"):
        twin.lesson("critic", source="role")
    assert twin.engine.prompts == []  # type: ignore[attr-defined]


def test_an_adapter_that_was_measured_and_failed_needs_a_second_word(twin: Twin, play: list[dict[str, Any]]) -> None:
    kept = twin.train("critic", **FEW)
    twin.apprentice.adapters.judge(kept, on=False, reason="Off: another's does as well.", likeness={})
    with pytest.raises(UsageError, match=r"another's does as well.*--anyway"):
        twin.switch("critic")
    twin.apprentice.adapters.judge(kept, on=True, reason="On: it is you.", likeness={})
    assert twin.switch("critic").adapter == kept.sha256
