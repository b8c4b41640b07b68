"""A checkpoint is whole or nothing: killed, cut, flipped, or written to a full disk, none is ever read that was not
written to its end."""
from __future__ import annotations

import multiprocessing
import stat
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
import torch

from twin.errors import HomeError, ModelBroken
from twin.training import checkpoint
from twin.training.checkpoint import Saved


def saved(step: int = 3) -> Saved:
    return Saved(step, {"now.a": torch.full((3, 2), float(step)), "step.a": torch.tensor(1.0)}, {"curve": [[0, 2.5]]})


def files(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*") if path.is_file())


def test_what_is_saved_comes_back_to_the_bit(tmp_path: Path) -> None:
    numbers = torch.tensor([float("inf"), -0.0, 1e-45, 3.3])
    checkpoint.save(tmp_path, Saved(7, {"odd": numbers, "turned": torch.arange(6).reshape(2, 3).T}, {"a": [1, "ж"]}))
    back = checkpoint.last(tmp_path)

    assert back is not None
    assert (back.step, back.state) == (7, {"a": [1, "ж"]})
    assert back.tensors["odd"].numpy().tobytes() == numbers.numpy().tobytes()
    assert back.tensors["turned"].tolist() == [[0, 3], [1, 4], [2, 5]]


def test_a_new_checkpoint_replaces_the_old_one(tmp_path: Path) -> None:
    for step in (9, 10, 11):
        checkpoint.save(tmp_path, saved(step))

    assert [place.name for place in tmp_path.iterdir()] == ["step-00000011"]


def test_the_same_step_can_be_saved_again(tmp_path: Path) -> None:
    checkpoint.save(tmp_path, saved(3))
    checkpoint.save(tmp_path, Saved(3, {"now.a": torch.zeros(1)}, {"second": True}))
    back = checkpoint.last(tmp_path)

    assert back is not None and back.state == {"second": True}
    assert [place.name for place in tmp_path.iterdir()] == ["step-00000003"]


def test_nobody_else_may_read_them_and_nothing_in_them_could_run(tmp_path: Path) -> None:
    place = checkpoint.save(tmp_path / "run", saved())

    assert stat.S_IMODE(place.stat().st_mode) == stat.S_IMODE(place.parent.stat().st_mode) == 0o700
    assert {stat.S_IMODE(path.stat().st_mode) for path in files(place)} == {0o600}
    assert {path.suffix for path in files(place)} == {".json", ".safetensors"}


@pytest.mark.parametrize("name", ["manifest.json", "state.json", "state.safetensors"])
@pytest.mark.parametrize("damage", ["removed", "cut", "flipped", "empty"])
def test_a_damaged_checkpoint_is_passed_over_for_the_whole_one_before_it(tmp_path: Path, name: str,
                                                                         damage: str) -> None:
    older = checkpoint.save(tmp_path / "run", saved(1))
    kept = tmp_path / older.name
    older.rename(kept)
    file = checkpoint.save(tmp_path / "run", saved(2)) / name
    kept.rename(older)
    content = file.read_bytes()
    if damage == "removed":
        file.unlink()
    else:
        file.write_bytes({"cut": content[:-1], "empty": b"",
                          "flipped": bytes([content[0] ^ 1]) + content[1:]}[damage])
    back = checkpoint.last(tmp_path / "run")

    assert back is not None and back.step == 1


def test_a_folder_without_a_manifest_is_nothing(tmp_path: Path) -> None:
    (tmp_path / "step-00000005").mkdir()
    (tmp_path / "step-00000006").write_text("not even a folder")

    assert checkpoint.last(tmp_path) is None
    assert checkpoint.manifest(tmp_path / "step-00000005") is None
    assert checkpoint.last(tmp_path / "nowhere") is None


def test_a_manifest_that_matches_files_of_another_form_says_what_to_do(tmp_path: Path) -> None:
    with checkpoint.whole(tmp_path / "step-00000001", {"step": 1}) as made:
        (made / "state.safetensors").write_bytes(b"something else")
        (made / "state.json").write_text("{}")

    with pytest.raises(ModelBroken, match="--fresh"):
        checkpoint.last(tmp_path)


def test_a_block_that_fails_leaves_what_was_there(tmp_path: Path) -> None:
    with checkpoint.whole(tmp_path / "adapter", {"try": 1}) as made:
        (made / "a").write_text("first")
    with pytest.raises(ZeroDivisionError), checkpoint.whole(tmp_path / "adapter", {"try": 2}) as made:
        (made / "a").write_text("second")
        _ = 1 / 0
    said = checkpoint.manifest(tmp_path / "adapter")

    assert said is not None and said["try"] == 1
    assert [path.name for path in tmp_path.iterdir()] == ["adapter"]


def test_a_place_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")

    with pytest.raises(HomeError, match="Name another place"):
        checkpoint.save(tmp_path / "file" / "run", saved())


def test_clearing_removes_checkpoints_and_sweeping_what_a_killed_process_left(tmp_path: Path) -> None:
    place = checkpoint.save(tmp_path, saved())
    (tmp_path / ".step-00000009.abc").mkdir()
    (tmp_path / "adapter").mkdir()
    checkpoint.sweep(tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["adapter", place.name]

    checkpoint.clear(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["adapter"]


FULL = """
import resource, signal, sys, torch
from pathlib import Path
from twin.errors import HomeFull
from twin.training import checkpoint
folder = Path(sys.argv[1])
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
checkpoint.save(folder, checkpoint.Saved(1, {"a": torch.zeros(10)}, {}))
resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000))
try:
    checkpoint.save(folder, checkpoint.Saved(2, {"a": torch.zeros(100_000)}, {}))
except HomeFull as error:
    print(error.what)
print(checkpoint.last(folder).step, *[path.name for path in folder.iterdir()])
"""


def test_a_full_disk_is_named_and_the_last_checkpoint_stays(tmp_path: Path) -> None:
    done = subprocess.run([sys.executable, "-c", FULL, str(tmp_path)], capture_output=True, text=True, check=True)

    assert done.stdout.splitlines() == [f"No space is left on the device that holds {tmp_path}.", "1 step-00000001"]


def keep_saving(folder: Path, told: Any) -> None:
    torch.set_num_threads(1)
    for step in range(1, 100_000):
        tensors = {f"now.{n}": torch.full((400, 50), float(step)) for n in range(20)}
        checkpoint.save(folder, Saved(step, tensors, {"step": step}))
        told.value = step


def test_killed_while_saving_the_last_one_told_of_or_the_next_is_there_and_whole(tmp_path: Path) -> None:
    context = multiprocessing.get_context("fork")  # importing torch anew takes seconds
    for wait in (0.0, 0.003, 0.011, 0.017, 0.029):
        folder, told = tmp_path / f"run-{wait}", context.Value("q", 0, lock=False)
        child = context.Process(target=keep_saving, args=(folder, told))
        child.start()
        while not told.value and child.is_alive():
            time.sleep(0.001)
        time.sleep(wait)
        child.kill()
        child.join()
        back = checkpoint.last(folder)

        assert back is not None and 0 < told.value <= back.step == back.state["step"] <= told.value + 1
        assert all(bool((numbers == back.step).all()) for numbers in back.tensors.values())
        checkpoint.sweep(folder)
        checkpoint.clear(folder)
        assert list(folder.iterdir()) == []


def test_an_older_checkpoint_is_gone_at_once_also_when_the_process_dies_while_its_files_are_removed(
        tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("twin.training.checkpoint.shutil.rmtree", lambda *_, **__: None)
    for step in (1, 2):
        checkpoint.save(tmp_path, Saved(step, {}, {}))
    assert [place.name for place in tmp_path.glob("step-*")] == ["step-00000002"]
    checkpoint.clear(tmp_path)
    assert list(tmp_path.glob("step-*")) == []
