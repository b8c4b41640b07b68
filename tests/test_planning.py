"""`twin plan` and Twin.plan: from words to layouts, kept for a home, in the forms people and programs read."""
from __future__ import annotations

import json
import stat
from datetime import date
from pathlib import Path

import pytest
from click.testing import CliRunner

from twin import planning
from twin.bench.report import Core, Figure, Method, Report, Where
from twin.bench.shelf import Shelf
from twin.catalog import Catalog
from twin.chat import Twin
from twin.cli import main
from twin.engine.scripted import ScriptedEngine
from twin.errors import InputError, ModelMissing, UsageError
from twin.home import Home
from twin.layouts import Want
from twin.planning import Kept

BIG = ("plan", "--model", "qwen3-30b-a3b", "--devices", "8x24", "--context", "300k", "--roles", "16")


def run(*args: str, code: int = 0) -> str:
    result = CliRunner().invoke(main, args)
    assert result.exit_code == code, result.output
    return result.output


def test_plan_answers_in_lines_a_table_and_a_picture() -> None:
    said = run(*BIG)

    assert "48 layers, 30.5 B parameters (3.0 B active, 8 of 128 experts)" in said
    assert "29.5 GB, shared by 16 roles; 471.9 GB" in said
    assert "flash attention" in said
    assert "of 25.2 GB" in said
    assert "Первый выбор" in run(*BIG, "--language", "ru")
    assert run(*BIG, "--all").count("█ weights") == 4


def test_json_holds_every_byte_and_speed_of_every_layout() -> None:
    told = json.loads(run(*BIG, "--adapters", "--json"))

    assert told["kv_bytes"] == {"shared": 29494345728, "apart": 471909531648}
    assert {one["layout"] for one in told["layouts"]} == {"one", "layers", "utility", "replicas"}
    assert told["layouts"][told["best"]]["instead"]["fits"]
    for one in told["layouts"]:
        assert one["missing_bytes"] == sum(part["missing"] for part in one["parts"])
        assert all(part["bytes"] == part["weights"] + part["kv"] + part["compute"] + part["adapters"]
                   for part in one["parts"])
        assert one["speed"]["decode"]["low"] <= one["speed"]["decode"]["value"] <= one["speed"]["decode"]["high"]


def test_this_machine_is_planned_for_without_a_word() -> None:
    told = json.loads(run("plan", "--model", "smollm2-135m", "--json"))

    assert told["core"]["exact"]
    assert told["devices"][-1]["processor"]
    assert told["layouts"][told["best"]]["fits"]


@pytest.mark.parametrize(("args", "words"), [
    (("--devices", "banana"), "No card is known"), (("--context", "lots"), "is no context"),
    (("--model", "nobody"), "nobody"), (("--model", "minilm", "--devices", "24"), ""),
    (("--context", "300000000000"), "is no context"), (("--model", "/nowhere/x.gguf"), "no model file")])
def test_what_cannot_be_planned_is_refused_in_two_sentences(args: tuple[str, ...], words: str) -> None:
    result = CliRunner().invoke(main, ["plan", *args])

    assert result.exit_code != 0
    assert words in result.output
    assert "Traceback" not in result.output


def test_tokens_are_read_as_people_write_them() -> None:
    assert [planning.tokens(said) for said in ("8192", "300k", "1m", "32_768", "1.5k", "300к")] == \
        [8192, 300_000, 1_000_000, 32_768, 1500, 300_000]
    for said in ("", "k", "-3", "1e5", "12", "nan"):
        with pytest.raises(UsageError):
            planning.tokens(said)


def test_an_unknown_core_is_missing_and_an_embedder_is_none() -> None:
    with pytest.raises((ModelMissing, UsageError)):
        planning.shape_of(Catalog(), "nobody")
    with pytest.raises(ModelMissing, match="not known here"):
        planning.shape_of(Catalog(), "qwen3.6-35b-a3b")


def test_a_plan_shows_itself_in_a_notebook(own_home: Path) -> None:
    with Twin.open(engine=ScriptedEngine(["yes"])) as twin:
        made = twin.plan("qwen3-8b", devices="2x24", context="32k")

    assert "| layout |" in made._repr_markdown_()
    assert len(made.plot().axes) == 1
    assert made.plan.want.roles == 6


def test_a_kept_plan_is_read_back_and_a_damaged_one_is_named(own_home: Path) -> None:
    home, mine = Home(own_home), Kept("smollm2-135m", Want(2048, kv="q8_0", flash=True), "processor", ("a:1", "b:2"))
    assert planning.kept(home) is None
    path = planning.keep(home, mine)

    assert planning.kept(home) == mine
    with pytest.raises(UsageError, match="host:port"):
        planning.keep(home, Kept("smollm2-135m", Want(2048), "layers", ("garbage",)))
    assert planning.kept(home) == mine
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    lots = 'model = "x"\nlayout = "one"\ncontext = "lots"\nkv = "f16"\nflash = 1\n'
    good = path.read_text()
    broken = [good.replace('["a:1", "b:2"]', '"a:1"'), good.replace("a:1", "garbage"), good.replace("processor", "foo"),
              good.replace("roles = 6", "roles = 0"), "servers = " + "[" * 3000]
    for text in ("", "model = 3\n", "not toml", lots, *broken):
        path.write_text(text)
        with pytest.raises(InputError, match=r"plan\.toml"):
            planning.kept(home)


def test_use_by_path_is_use_by_name_and_outdoes_an_earlier_choice(own_home: Path) -> None:
    path = Catalog().path("smollm2-135m")
    with Twin.open() as twin:
        twin.use(str(path))
    run("plan", "--model", str(path), "--devices", "cpu", "--context", "2048", "--use", "--adapters", "--roles", "3")
    kept = planning.kept(Home(own_home))

    assert kept is not None
    assert (kept.model, kept.want.roles, kept.want.adapters) == ("smollm2-135m", 3, True)
    for model in (None, "smollm2-135m", str(path)):
        with Twin.open(model=model) as twin:
            assert any("Planned: processor" in note for note in twin.engine.notes), model


def test_a_worker_that_is_no_address_is_refused_before_anything_is_kept(own_home: Path) -> None:
    assert "host:port" in run("plan", "--model", "smollm2-135m", "--server", "garbage", "--use", code=2)
    assert planning.kept(Home(own_home)) is None


def test_use_keeps_the_first_choice_and_the_core_is_loaded_so(own_home: Path) -> None:
    run("plan", "--model", "smollm2-135m", "--devices", "cpu", "--context", "2048", "--use")
    with Twin.open() as twin:
        engine = twin.engine
        assert engine.n_ctx == 2048
        assert any("Planned: processor" in note for note in engine.notes)


def test_what_was_measured_of_the_same_core_stands_beside_what_is_expected(own_home: Path, tmp_path: Path) -> None:
    core = planning.shape_of(Catalog(), "smollm2-135m")

    def report(size: int) -> Report:
        figures = (Figure(metric="prefill", unit="tok/s", value=155.0, low=150.0, high=160.0, n=3, at=128),
                   Figure(metric="decode", unit="tok/s", value=45.5, low=40.0, high=50.0, n=3, at=128))
        return Report(when=date(2026, 11, 27), core=Core(name="small", bytes=size), placement=Where(), build={},
                      method=Method(shared=128, decode=16, roles=2, council=2, repeats=3), figures=figures)

    shelf = Shelf(Home(own_home))
    shelf.keep(report(core.bytes))
    shelf.keep(report(2 * core.bytes))
    (tmp_path / "theirs.json").write_text(report(core.bytes + 1).to_json())
    shelf.enter(tmp_path / "theirs.json")
    said = run("plan", "--model", "smollm2-135m")

    assert "Measured here (bench-0001, 2026-11-27): writes 45.5, reads 155 tok/s." in said
    assert "Others report (report-0003, 2026-11-27)" in said
    assert "bench-0002" not in said


def test_a_prediction_of_a_running_core_has_its_memory_and_speeds(smollm: ScriptedEngine) -> None:
    told = planning.predict(smollm)

    assert set(told) == {"prefill", "decode", "memory"}
    assert all(low <= value <= high for low, value, high in told.values())
    assert told["memory"][1] > 96e6 + 23_040 * smollm.n_ctx
    assert planning.predict(ScriptedEngine([])) == {}
