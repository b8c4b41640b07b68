"""`twin bench` as a person types it, on a tiny real core."""
from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from tests import tiny
from twin import cli_bench
from twin.home import Home
from twin.ledger import Ledger

PREDICTED = {"prefill": (1.0, 10.0, 999_999.0), "decode": (500_000.0, 600_000.0, 700_000.0)}


def typed(*words: str | Path, home: Path) -> Result:
    done = CliRunner().invoke(cli_bench.bench, list(map(str, words)), env={"TWIN_HOME": str(home)})
    assert done.exception is None or isinstance(done.exception, SystemExit), done.exception
    return done


def document(*words: str | Path, home: Path) -> Any:
    done = typed(*words, "--json", home=home)
    assert done.exit_code == 0, done.stderr
    return json.loads(done.stdout)


@pytest.fixture(scope="module")
def measured(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Any]]:
    """A home in which one core was measured, and what that run said."""
    place = tmp_path_factory.mktemp("bench")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(cli_bench, "_prediction", lambda _: PREDICTED)
        said = document("run", "--quick", "--note", "on the desk", "--model",
                        tiny.core(place / "tiny.gguf", n_ctx_train=1024), home=place / "home")
    return place / "home", said


def test_a_run_is_one_document_with_its_verdicts(measured: tuple[Path, dict[str, Any]]) -> None:
    home, said = measured

    assert (said["id"], said["own"], said["report"]["format"]) == ("bench-0001", True, "twin-field-report/1")
    assert {one["metric"] for one in said["report"]["figures"]} >= {"prefill", "decode", "switch", "council", "memory"}
    assert [one["verdict"] for one in said["ledger"]] == ["supported", "refuted"]
    assert [(one["metric"], one["holds"]) for one in said["compared"]] == [("prefill", True), ("decode", False)]
    assert document("show", home=home)["report"] == said["report"]


def test_a_table_shows_measured_beside_predicted(measured: tuple[Path, dict[str, Any]]) -> None:
    shown, listed = typed("show", "bench-0001", home=measured[0]), typed("list", home=measured[0])
    rows = {line.split()[0]: line for line in shown.stdout.splitlines() if line.startswith("   ")}

    assert "predicted 10 tok/s (1 tok/s to 1e+06 tok/s): holds what was measured" in shown.stdout
    assert "predicted 6e+05 tok/s (5e+05 tok/s to 7e+05 tok/s): does NOT hold what was measured" in shown.stdout
    assert "n = 3" in rows["switch"] or "n = 6" in rows["switch"]
    assert "n = " not in rows["memory"]
    assert "note: on the desk" in shown.stdout
    assert listed.stdout.startswith("bench-0001") and "prefill" in listed.stdout
    assert typed(home=measured[0]).stdout == listed.stdout


def test_a_report_goes_from_home_to_home(measured: tuple[Path, dict[str, Any]], tmp_path: Path) -> None:
    file, other = tmp_path / "field.json", tmp_path / "other"
    told = typed("export", "bench-0001", file, home=measured[0])
    first, again = (document("import", file, home=other) for _ in range(2))

    assert f"is in {file}" in told.stdout
    assert (first["id"], first["own"], first["added"], again["added"]) == ("report-0001", False, True, False)
    assert first["report"] == measured[1]["report"]
    assert [one["verdict"] for one in first["ledger"]] == ["reported"]
    assert "nothing was changed" in typed("import", file, home=other).stderr
    assert "which was measured here" in typed("import", file, home=measured[0]).stderr
    assert "reported by others" in typed("show", home=other).stdout


def test_mistakes_are_two_sentences_and_no_trace(measured: tuple[Path, dict[str, Any]], tmp_path: Path) -> None:
    (tmp_path / "f.json").write_text('{"format": "twin-field-report/9"}')
    empty = tmp_path / "empty"
    for words in (("show",), ("show", "bench-0404"), ("export", "bench-0404", tmp_path / "x"),
                  ("import", tmp_path / "f.json"), ("import", tmp_path / "none.json")):
        done = typed(*words, home=empty)
        assert done.exit_code == 2
        assert done.stderr.startswith("twin: ") and "Traceback" not in done.stderr
    nowhere = tmp_path / "nowhere"
    done = typed("export", "bench-0001", nowhere / "x.json", home=measured[0])
    assert done.exit_code == 2 and f"There is no folder {nowhere}" in done.stderr and not nowhere.exists()
    assert not empty.exists()
    assert "Nothing was measured yet" in typed("list", home=empty).stderr
    assert document("list", home=empty) == []
    (tmp_path / "x").write_text("mine")
    assert typed("export", "bench-0001", tmp_path / "x", home=measured[0]).exit_code == 2
    assert (tmp_path / "x").read_text() == "mine"


def test_without_a_plan_nothing_is_predicted_and_the_ledger_stays_as_it_is(tmp_path: Path,
                                                                           monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cli_bench, "find_spec", lambda _: None)
    said = document("run", "--quick", "--model", tiny.core(tmp_path / "t.gguf", n_ctx_train=512), home=tmp_path / "h")

    from twin.archive.ledger import Ledgers

    assert (said["compared"], said["ledger"]) == ([], [])
    assert "prefill at 512: the context holds 512 tokens" in said["report"]["left_out"]
    assert {entry.source for entry in Ledger(Ledgers(Home(tmp_path / "h"))).entries()}.isdisjoint({"twin bench"})
