"""Trials: whatever a model file holds, this process lives and the person gets a reason. Real files, real children."""
from __future__ import annotations

import os
import re
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

from tests import tiny
from tests.conftest import core_path
from tests.engine import mutants
from tests.engine.test_frame import EXPECTED, PHI
from twin.engine import trial, trial_child
from twin.errors import ModelBroken, ModelMissing
from twin.prompt import FAMILIES

N_MODELS, N_ADAPTERS = (5000, 5000) if os.environ.get("TWIN_FUZZ") else (1000, 500)


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A verdict of an earlier run would answer for the trial that is under test."""
    monkeypatch.setattr(trial, "cache_dir", lambda: tmp_path / "cache")


@pytest.fixture
def core(tmp_path: Path) -> Path:
    return tiny.core(tmp_path / "core.gguf")


def written(folder: Path, files: Iterator[bytes]) -> Iterator[Path]:
    """Each content in turn in the same small folder, removed when the next is asked for."""
    for number, data in enumerate(files):
        path = folder / f"mutant-{number}.gguf"
        path.write_bytes(data)
        yield path
        path.unlink()


def count(verdicts: Iterator[trial.Verdict], record: Callable[[str, object], None]) -> tuple[int, int, list[str]]:
    """How many loaded, how many were refused, and the reasons of those that killed or hung the child."""
    found = list(verdicts)
    assert all(verdict.ok or verdict.reason for verdict in found)
    deaths = [verdict.reason for verdict in found if "kills" in verdict.reason or "did not load" in verdict.reason]
    record("child deaths", f"{len(deaths)} of {len(found)}: {sorted(set(deaths))}")
    loaded = sum(verdict.ok for verdict in found)
    return loaded, len(found) - loaded, deaths


_USES = """
import sys
from pathlib import Path
from twin.engine.llama import LlamaEngine
from twin.errors import TwinError
from twin.prompt import plain
from twin.types import Sampling
for path in sys.argv[1:]:
    try:
        engine = LlamaEngine(Path(path), family="chatml", n_ctx=512, trusted=True)
        try:
            list(engine.stream(plain("chatml", [("user", "hi")], "Brief."), Sampling(temperature=0.0, max_tokens=3)))
        finally:
            engine.close()
    except TwinError:
        pass
"""  # what a twin does with a file that passed: it may refuse it still, and must not die of it


@pytest.mark.timeout(1800)
def test_damaged_cores_are_refused_or_load_and_this_process_lives(
        core: Path, tmp_path: Path, record_property: Callable[[str, object], None]) -> None:
    """About one damaged header in a hundred aborts the process that reads it; that must never be the twin's."""
    damaged = list(mutants.mutated_models(core.read_bytes(), N_MODELS, seed=1))
    verdicts = list(trial.trials(written(tmp_path, iter(damaged)), cache=False, timeout_s=20))
    loaded, refused, deaths = count(iter(verdicts), record_property)

    assert loaded + refused == N_MODELS
    passed = [tmp_path / f"passed-{n}.gguf" for n, verdict in enumerate(verdicts) if verdict.ok]
    for path, data in zip(passed, (data for data, one in zip(damaged, verdicts, strict=True) if one.ok), strict=True):
        path.write_bytes(data)
    subprocess.run([sys.executable, "-c", _USES, *map(str, passed)], check=True, timeout=600)
    assert loaded > N_MODELS // 100  # else the mutants damage too much to prove anything
    assert len(deaths) < N_MODELS // 20, deaths


@pytest.mark.timeout(1800)
def test_damaged_adapters_are_refused_or_load_and_this_process_lives(
        core: Path, tmp_path: Path, record_property: Callable[[str, object], None]) -> None:
    """Weights that are no numbers count as damage: a sampler that meets them may do anything."""
    sound = tiny.adapter(tmp_path / "sound.gguf", core).read_bytes()
    files = written(tmp_path, mutants.mutated_adapters(sound, N_ADAPTERS, seed=1))
    loaded, refused, deaths = count(trial.trials(files, adapter_of=core, cache=False, timeout_s=20), record_property)

    assert loaded + refused == N_ADAPTERS
    assert loaded > 0
    assert len(deaths) < N_ADAPTERS // 20, deaths


def test_mutants_are_the_same_each_time(core: Path) -> None:
    data = core.read_bytes()
    one, again = (list(mutants.mutated_models(data, 50, seed=3)) for _ in range(2))

    assert one == again
    assert sum(mutant != data for mutant in one) >= 45


# ---- reasons -----------------------------------------------------------------------------------------------------

@pytest.mark.parametrize("damage", ["truncated", "n_tensors", "version"])
def test_a_damaged_core_is_refused_with_the_reason_of_the_loader(core: Path, damage: str) -> None:
    data = bytearray(core.read_bytes())
    if damage == "truncated":
        del data[len(data) // 2:]
    elif damage == "n_tensors":
        data[8:16] = (1 << 60).to_bytes(8, "little")
    else:
        data[4:8] = (99).to_bytes(4, "little")
    bad = core.with_name("bad.gguf")
    bad.write_bytes(data)
    verdict = trial.trial(bad)

    assert not verdict.ok
    with pytest.raises(ModelBroken, match=r"bad\.gguf cannot be loaded: .*(failed|version|within)"):
        trial.refuse(bad, verdict)


def test_what_is_no_model_is_refused_before_any_process_starts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A pipe in the place of a file would keep the reader waiting for ever."""
    monkeypatch.setattr(trial_child, "_PROGRAM", "import os; os.abort()")
    page, pipe = tmp_path / "page.gguf", tmp_path / "pipe.gguf"
    page.write_bytes(b"<!DOCTYPE html><html>Sign in</html>")
    os.mkfifo(pipe)
    reasons = [verdict.reason for verdict in trial.trials([page, pipe, tmp_path, tmp_path / "none.gguf"])]

    assert [word in reason for word, reason in zip(("web page", "not a file", "not a file", "cannot be read"), reasons,
                                                   strict=True)] == [True] * 4


def test_an_adapter_of_another_core_is_refused(core: Path, tmp_path: Path) -> None:
    other = tiny.core(tmp_path / "other.gguf", "llama")
    wider = tiny.core(tmp_path / "wider.gguf", n_embd=64)
    made = [tiny.adapter(tmp_path / f"a{n}.gguf", base) for n, base in enumerate((core, other, wider))]
    verdicts = list(trial.trials([*made, core], adapter_of=core))

    assert [verdict.ok for verdict in verdicts] == [True, False, False, False]
    assert "mismatch" in verdicts[1].reason


def test_a_control_vector_is_tried_like_an_adapter(core: Path, tmp_path: Path) -> None:
    fits = tiny.control_vector(tmp_path / "fits.gguf")
    wide = tiny.control_vector(tmp_path / "wide.gguf", n_embd=64)
    verdicts = list(trial.trials([fits, wide], adapter_of=core))

    assert [verdict.ok for verdict in verdicts] == [True, False]
    assert "no direction of 32 values" in verdicts[1].reason


def test_an_adapter_without_its_core_is_a_fault_of_the_call(tmp_path: Path) -> None:
    with pytest.raises(ModelMissing, match=r"none\.gguf"):
        trial.trial(tmp_path / "a.gguf", adapter_of=tmp_path / "none.gguf")


# ---- the child ---------------------------------------------------------------------------------------------------

def test_a_file_that_hangs_the_loader_is_ended_in_time(core: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(trial_child, "_PROGRAM", "import time; time.sleep(60)")
    began = time.perf_counter()
    verdict = trial.trial(core, timeout_s=0.5)

    assert time.perf_counter() - began < 10
    assert verdict.reason == "it did not load within 1 s in a trial process"


def test_a_file_that_kills_the_loader_is_named_with_the_signal(core: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(trial_child, "_PROGRAM", "import os; os.abort()")
    verdict = trial.trial(core)

    with pytest.raises(ModelBroken, match=r"core\.gguf cannot be loaded: its header kills the loader \(SIGABRT\)"):
        trial.refuse(core, verdict)


def test_a_child_that_is_killed_from_outside_costs_no_file_its_verdict(core: Path) -> None:
    """The system may end any process that is short of memory; the file it was about to read is not to blame."""
    verdicts = trial.trials([core] * 3, cache=False)
    first = next(verdicts)
    for child in psutil.Process().children():
        if "trial_child" in " ".join(child.cmdline()):
            child.kill()
            while child.status() != psutil.STATUS_ZOMBIE:  # dead before the next request is written
                time.sleep(0.01)

    assert [first.ok, *(verdict.ok for verdict in verdicts)] == [True, True, True]


def test_no_child_outlives_its_trials(core: Path) -> None:
    verdicts = trial.trials([core, core], cache=False)
    next(verdicts)
    verdicts.close()  # type: ignore[attr-defined] - a generator

    assert not [child for child in psutil.Process().children() if "trial_child" in " ".join(child.cmdline())]


# ---- what is remembered ------------------------------------------------------------------------------------------

def test_what_passed_is_known_by_its_content_and_starts_no_child(core: Path, tmp_path: Path,
                                                                 monkeypatch: pytest.MonkeyPatch) -> None:
    cache = tmp_path / "verdicts.json"
    phi = tiny.core(tmp_path / "phi.gguf", "llama", template=PHI)
    adapter = tiny.adapter(tmp_path / "adapter.gguf", core)
    asked: list[tuple[Path, Path | None]] = [(core, None), (phi, None), (adapter, core)]
    first = [trial.trial(path, adapter_of=base, cache=cache) for path, base in asked]
    monkeypatch.setattr(trial_child, "_PROGRAM", "import os; os.abort()")
    renamed = phi.rename(tmp_path / "renamed.gguf")

    assert all(verdict.ok for verdict in first)
    assert cache.stat().st_mode & 0o777 == 0o600
    assert trial.trial(core, cache=cache) == first[0]
    assert trial.trial(renamed, cache=cache) == first[1]
    assert trial.trial(adapter, adapter_of=core, cache=cache) == first[2]
    assert not trial.trial(adapter, adapter_of=renamed, cache=cache).ok  # another base is another question


def test_a_refusal_is_not_remembered(core: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Memory may have been short, or the machine busy: the same file may pass tomorrow."""
    with monkeypatch.context() as patch:
        patch.setattr(trial_child, "_PROGRAM", "import os; os.abort()")
        assert not trial.trial(core, cache=tmp_path / "verdicts.json").ok

    assert trial.trial(core, cache=tmp_path / "verdicts.json").ok


@pytest.mark.parametrize("broken", ["", "{", "[1]", "\udcff", '{"x": 3}', "[" * 100_000])
def test_a_broken_cache_is_made_anew(core: Path, tmp_path: Path, broken: str) -> None:
    cache = tmp_path / "verdicts.json"
    cache.write_bytes(broken.encode("utf-8", "surrogateescape"))
    notes = trial._Notes(cache)
    notes.put("key", {"ok": True})

    assert notes.get("key") == {"ok": True}


@pytest.mark.parametrize("value", [3, [], {}, {"ok": True}, {"ok": True, "reason": "", "facts": {"arch": "x"}},
                                   {"ok": True, "reason": "", "family": [1]}])
def test_a_verdict_that_reads_oddly_is_no_verdict(value: object) -> None:
    assert trial._read(value) is None


def test_the_cache_stays_small(tmp_path: Path) -> None:
    notes = trial._Notes(tmp_path / "notes.json", most=3)
    for key in "abcd":
        notes.put(key, key)

    assert [notes.get(key) for key in "abcd"] == [None, "b", "c", "d"]


def test_a_file_that_changes_has_another_hash(core: Path) -> None:
    before = trial.sha256_of(core)
    core.write_bytes(core.read_bytes() + b"\0")

    assert trial.sha256_of(core) != before


# ---- facts and forms ---------------------------------------------------------------------------------------------

def test_the_facts_of_a_real_core_are_those_of_its_card() -> None:
    verdict = trial.trial(core_path("smollm2-135m"), cache=False)
    facts = verdict.facts

    assert facts is not None
    assert (facts.arch, facts.n_layer, facts.n_embd, facts.n_ctx_train) == ("llama", 30, 576, 8192)
    assert (facts.n_params, facts.experts, facts.swa, facts.pooling) == (134_515_008, 0, 0, None)
    assert not (facts.recurrent or facts.hybrid or facts.encoder or facts.diffusion)
    assert "<|im_start|>" in facts.template
    assert verdict.family == FAMILIES["chatml"]


def test_facts_tell_mixtures_hybrids_and_embedders_apart(tmp_path: Path) -> None:
    mixture, hybrid, embedder = (verdict.facts for verdict in trial.trials(
        [tiny.core(tmp_path / "m.gguf", "qwen3moe"), tiny.core(tmp_path / "h.gguf", "qwen35"),
         tiny.embedder(tmp_path / "e.gguf")], cache=False))

    assert mixture and hybrid and embedder
    assert (mixture.experts, mixture.experts_used, mixture.hybrid) == (4, 2, False)
    assert (hybrid.hybrid, hybrid.experts, hybrid.encoder) == (True, 0, False)
    assert (embedder.encoder, embedder.pooling) == (True, 1)


def test_forms_are_learned_in_the_child(tmp_path: Path) -> None:
    """With the file's own control tokens: here the beginning is `<|endoftext|>` and the end `<|im_end|>`."""
    files = [tiny.core(tmp_path / f"{shape}.gguf", "llama", template=template)
             for shape, (template, _family) in EXPECTED.items()]
    verdicts = list(trial.trials(files, cache=False))

    assert [verdict.reason for verdict in verdicts] == [""] * len(files)
    for (_template, family), verdict in zip(EXPECTED.values(), verdicts, strict=True):
        assert verdict.family
        assert verdict.family.opening == family.opening
        assert verdict.family.start == family.start.replace("<s>", "<|endoftext|>")
        assert (verdict.family.system is None) == (family.system is None)


@pytest.mark.parametrize(("template", "reason"), [
    ("{% for i in range(99999) %}{% for j in range(99999) %}{% endfor %}{% endfor %}", "did not end within 1 s"),
    ("{{ 'a' * 10 ** 10 }}", "MemoryError"),
    ("{% set x = namespace(s='a') %}{% for i in range(99) %}{% set x.s = x.s ~ x.s %}{% endfor %}", "MemoryError"),
    ("{{ 9 ** (9 ** 9) }}", "did not end within 1 s"),
    ("{{ ''.__class__.__mro__[1].__subclasses__() }}", "SecurityError"),
    ("{{ cycler.__init__.__globals__.os.popen('id').read() }}", "SecurityError"),
    ("{% for m in %}", "TemplateSyntaxError")])
def test_a_hostile_template_is_refused_in_bounded_time_and_its_core_is_not(
        tmp_path: Path, monkeypatch: pytest.MonkeyPatch, template: str, reason: str) -> None:
    """The weights may be good: the person can still name the family."""
    monkeypatch.setattr(trial, "TEMPLATE_S", 1.0)
    path = tiny.core(tmp_path / "core.gguf", "llama", template=template)
    began = time.perf_counter()
    verdict = trial.trial(path, cache=False)

    assert time.perf_counter() - began < 15
    assert verdict.ok
    assert verdict.facts
    assert verdict.family is None
    assert re.search(reason, verdict.reason)
