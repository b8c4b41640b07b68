"""Catalogue: which models exist, which are here, and how to fetch, find, verify and choose one.

Knows models and their folders, not what runs them; twin.fetch brings the files.
"""
from __future__ import annotations

import contextlib
import importlib.resources
import json
import math
import os
import re
import tomllib
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from difflib import get_close_matches
from pathlib import Path
from typing import Any, Literal

from twin import machine
from twin.errors import HomeError, ModelMissing, UsageError
from twin.fetch import File, Hub, Say, Wheel, fetch, gigabytes, head_of, refuse_if_wrong, sha256_of, size_of
from twin.home import Home, cache_dir, full_disk_is_named
from twin.types import Progress

State = Literal["ok", "wrong hash", "wrong size", "missing", "no hash known"]

CONTEXT = 8192  # tokens for which the memory need is told
# Measured with llama.cpp on qwen2.5-coder-1.5b at 8k: 2.15 GB resident = 1.12 file + 0.23 keys and values + 0.79 for
# compute buffers, repacked weights and Python. The rest of 1.0 is the memory store and the embedder.
OVERHEAD = 1.0e9


@dataclass(frozen=True)
class Model:
    """A model of the catalogue. `params`, `active` (read for one token): billions. `kv_per_token`: bytes in f16.

    query_prefix, passage_prefix: what an embedder was trained to see before a question and before any other text.
    """

    name: str
    purpose: str
    kind: Literal["core", "embedder"]
    family: Literal["chatml", "qwen3", "none"]
    params: float
    active: float
    hybrid: bool
    licence: str
    commercial: bool
    n_ctx: int
    kv_per_token: int
    files: tuple[File, ...]
    query_prefix: str = ""
    passage_prefix: str = ""

    @property
    def bytes(self) -> int:
        """Bytes of all files."""
        return sum(file.bytes for file in self.files)

    @property
    def memory_gb(self) -> float:
        """Memory needed at 8192 tokens, in GB (1e9): files + keys and values + 1.0 for everything around them.

        An embedder runs beside a core, so it is told without the overhead and without a long context.
        """
        if self.kind == "embedder":
            return self.bytes / 1e9
        return (self.bytes + CONTEXT * self.kv_per_token + OVERHEAD) / 1e9

    @property
    def sources(self) -> tuple[str, ...]:
        """Where the files come from, in words and in the order in which they are tried."""
        files = [file.made_from or file for file in self.files]
        hubs = [f"hub {file.hub.repo}@{file.hub.revision[:12]}" for file in files if file.hub]
        wheels = [f"{len(file.wheels)} package-index wheel(s) from {file.wheels[0].package}=={file.wheels[0].version}"
                  for file in files if file.wheels]
        return tuple(hubs + wheels)


@dataclass(frozen=True)
class Entry:
    """A model of the catalogue and whether all its files are here, with their right sizes."""

    model: Model
    present: bool
    folder: Path


@dataclass(frozen=True)
class Verdict:
    """What a check found of one file."""

    model: str
    path: Path
    state: State
    detail: str


@dataclass(frozen=True)
class Found:
    """A GGUF already on this machine. `model`: the catalogue's, by sha256 when `certain`, else by exact size."""

    path: Path
    bytes: int
    where: str
    label: str
    model: str | None
    certain: bool


@dataclass(frozen=True)
class Recommendation:
    """The chosen core and the reason in words."""

    model: Model
    reason: str


def load_models() -> tuple[Model, ...]:
    """Read the catalogue that ships beside the code (twin/models/catalog.toml)."""
    text = importlib.resources.files("twin.models").joinpath("catalog.toml").read_text("utf-8")
    return tuple(_model(row) for row in tomllib.loads(text)["model"])


def _model(row: dict[str, Any]) -> Model:
    files = tuple(_file(item) for item in row.pop("files"))
    return Model(**{"active": row["params"], "hybrid": False, **row}, files=files)


def _file(row: dict[str, Any]) -> File:
    hub = Hub(*row["hub"].split("@")) if "hub" in row else None
    specs = [spec.format(n=n) for spec in row.get("wheels", ()) for n in range(1, row.get("parts", 1) + 1)]
    wheels = tuple(Wheel(package, version, member, row.get("platform"))
                   for package, version, member in (re.split("==|:", spec) for spec in specs))
    made_from = _file(row["made_from"]) if "made_from" in row else None
    return File(row["name"], row["bytes"], row.get("sha256"), hub, wheels, made_from)


class Catalog:
    """The models in one folder (default: `models` in the user's cache), a folder for each, named after it."""

    def __init__(self, models_dir: Path | None = None, models: Sequence[Model] | None = None) -> None:
        self.folder = models_dir or cache_dir() / "models"
        self.models = tuple(load_models() if models is None else models)

    def __repr__(self) -> str:
        return f"Catalog({str(self.folder)!r}, {len(self.models)} models)"

    def model(self, name: str) -> Model:
        """The catalogue's model of that name; UsageError names the nearest ones otherwise."""
        for model in self.models:
            if model.name == name:
                return model
        near = get_close_matches(name.lower(), [model.name for model in self.models], n=3, cutoff=0.4)
        raise UsageError(f"The catalogue has no model {name!r}.",
                         (f"Did you mean {', '.join(near)}? " if near else "") + "`twin models list` shows all.")

    def list(self) -> tuple[Entry, ...]:
        """Every model of the catalogue, in its order."""
        return tuple(Entry(model, self.present(model), self.folder / model.name) for model in self.models)

    def present(self, model: Model) -> bool:
        """True when every file is in place with its right size; files being fetched have other names."""
        return all(size_of(self.folder / model.name / file.name) == file.bytes for file in model.files)

    def path(self, name: str) -> Path:
        """First file of a model that is here. Instead of a name, the path of any GGUF is accepted.

        ModelMissing when it is not here, ModelBroken when the file is no GGUF, UsageError for an unknown name.
        """
        if name not in {model.name for model in self.models} and _looks_like_path(name):
            given = Path(name).expanduser()
            if not given.is_file():
                raise ModelMissing(f"There is no model file at {given}.",
                                   "Give the path of a GGUF, or a name from `twin models list`.")
            refuse_if_wrong(given, must_be_gguf=True)
            return given
        model = self.model(name)
        if not self.present(model):
            raise ModelMissing(f"The model {name} is not on this machine yet.",
                               f"Fetch it with `twin models pull {name}` ({gigabytes(model.bytes)}).")
        return self.folder / name / model.files[0].name

    def check(self, name: str | None = None) -> tuple[Verdict, ...]:
        """Read every file of one model, or of all that are here even in part, and compare sizes and hashes."""
        models = self.models if name is None else (self.model(name),)
        return tuple(_verdict(model.name, self.folder / model.name / file.name, file)
                     for model in models
                     if name or any((self.folder / model.name / file.name).exists() for file in model.files)
                     for file in model.files)

    def pull(self, name: str, *, source: Path | None = None, progress: Progress | None = None,
             say: Say | None = None) -> Path:
        """Fetch what is missing or damaged of a model and return its first file. A killed pull goes on where it was.

        `source`: a file or folder of the person's; what it holds is taken from there and nowhere else.
        HomeBusy while another process pulls the same model, HomeFull before the disk is, ModelBroken when the bytes are
        not the model, FetchError when no source answers.
        """
        model = self.model(name)
        folder = self.folder / model.name
        say, progress = say or _silent, progress or _silent
        given = _given(model, source) if source else {}
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise HomeError(f"Models cannot be kept in {folder} ({error.strerror}).",
                            "Name another folder with TWIN_CACHE.") from error
        with Home(folder).writing(f"pulling {model.name}", wait_s=0.5), full_disk_is_named(folder):
            for file in model.files:
                verdict = _verdict(model.name, folder / file.name, file)
                if verdict.state in ("ok", "no hash known"):
                    continue
                if verdict.state != "missing":
                    say(f"{file.name}: {verdict.detail}; fetching it again.")
                fetch(file, folder, given.get(file.name), progress, say)
        return folder / model.files[0].name

    def found(self, folders: Iterable[Path] = ()) -> tuple[Found, ...]:
        """GGUFs of Ollama, LM Studio, the hub's cache and the given folders; UsageError for a folder that is not there.

        Linked folders are not followed; one file reached by two ways is told once.
        """
        shelf, seen = [], set()
        for where, label, path in _places(folders):
            try:
                stat, named = path.stat(), path.resolve().name.removeprefix("sha256-")
                if (key := (stat.st_dev, stat.st_ino)) in seen or head_of(path)[:4] != b"GGUF":
                    continue
            except OSError:  # a dangling link, a link to itself, or a file of another user: not one we could offer
                continue
            seen.add(key)
            # Ollama and the hub's cache name a blob by its sha256, so certainty costs nothing there.
            certain = re.fullmatch("[0-9a-f]{64}", named) is not None
            match = next((m.name for m in self.models for f in m.files
                          if (f.sha256 == named if certain else f.bytes == stat.st_size)), None)
            shelf.append(Found(path, stat.st_size, where, label, match, certain and match is not None))
        return tuple(shelf)

    def recommend(self, memory_bytes: int | None = None, cards: Sequence[machine.Card] | None = None,
                  cores: int | None = None) -> Recommendation:
        """Choose a core for this machine, or for the numbers given instead of its own."""
        return choose(self.models, memory_bytes or machine.memory_bytes(),
                      cores or machine.processors(),
                      machine.nvidia_cards() if cards is None else cards,
                      {model.name for model in self.models if self.present(model)})

    def best_core(self) -> str | None:
        """Name of the ablest core here that suits this machine; the smallest if none suits, None if none is here.

        What the person fetched they chose, so hybrid cores and every licence count here.
        """
        here = [model for model in self.models if model.kind == "core" and self.present(model)]
        if len(here) < 2:
            return here[0].name if here else None
        chosen = Catalog(self.folder, [replace(model, hybrid=False, commercial=True) for model in here])
        return chosen.recommend().model.name

    def best_embedder(self) -> str | None:
        """Name of the ablest embedder here, by its parameters: the large ones know many languages. None: none here."""
        here = [model for model in self.models if model.kind == "embedder" and self.present(model)]
        return max(here, key=lambda model: model.params).name if here else None

    def by_path(self, path: Path) -> Model | None:
        """The model whose file this is: in its place here, with its size, so its hash was checked when it came."""
        for model in self.models:
            for file in model.files:
                place = self.folder / model.name / file.name
                if place == path and size_of(place) == file.bytes:
                    return model
        return None


# ---- what is in a file, what a person gives ------------------------------------------------------------------------

def _verdict(model: str, path: Path, file: File) -> Verdict:
    here = size_of(path)
    if here is None:
        return Verdict(model, path, "missing", "not here")
    if here != file.bytes:
        return Verdict(model, path, "wrong size", f"{here:,} bytes where {file.bytes:,} were expected")
    if file.sha256 is None:
        return Verdict(model, path, "no hash known", f"{here:,} bytes, as expected; no hash is known for this file")
    got = sha256_of(path)
    if got != file.sha256:
        return Verdict(model, path, "wrong hash", f"sha256 begins {got[:12]} where {file.sha256[:12]} was expected")
    return Verdict(model, path, "ok", f"sha256 {got}")


def _given(model: Model, source: Path) -> dict[str, Path]:
    """Which of the model's files the person's path holds. A lone file may have any name if the model has one file."""
    source = source.expanduser()
    if source.is_dir():
        held = {file.name: source / form.name for file in model.files for form in (file.made_from, file)
                if form and (source / form.name).is_file()}
    elif source.is_file():
        names = [file.name for file in model.files if file.name == source.name or len(model.files) == 1]
        held = dict.fromkeys(names, source)
    else:
        raise ModelMissing(f"There is nothing at {source}.", "Give the path of a model file or of its folder.")
    if not held:
        raise ModelMissing(f"{source} holds no file of {model.name}.",
                           f"It should be or hold {', '.join(file.name for file in model.files)}.")
    return held


def _silent(*_told: object) -> None:
    """For those who want to hear nothing."""


def _looks_like_path(name: str) -> bool:
    return "/" in name or os.sep in name or name.lower().endswith(".gguf") or Path(name).is_file()


# ---- models that other programs keep -----------------------------------------------------------------------------

def _places(folders: Iterable[Path]) -> Iterator[tuple[str, str, Path]]:
    """(where, label, path) of every file that may be a GGUF."""
    home = Path.home()
    own = os.environ.get("OLLAMA_MODELS")
    for root in [Path(own)] if own else [home / ".ollama/models", Path("/usr/share/ollama/.ollama/models")]:
        yield from _ollama(root)
    for root in (home / ".lmstudio/models", home / ".cache/lm-studio/models"):
        yield from _ggufs("LM Studio", root)
    cache = Path(os.environ.get("XDG_CACHE_HOME") or home / ".cache")
    hub = os.environ.get("HF_HUB_CACHE") or Path(os.environ.get("HF_HOME") or cache / "huggingface") / "hub"
    yield from _ggufs("hub cache", Path(hub))
    for folder in folders:
        folder = folder.expanduser()
        if not folder.exists():
            raise UsageError(f"There is no folder {folder}.", "Name folders that exist.")
        yield from _ggufs("folder", folder) if folder.is_dir() else [("file", folder.name, folder)]


def _ggufs(where: str, root: Path) -> Iterator[tuple[str, str, Path]]:
    """Files that end in .gguf, but no image projectors and of a split model only the first piece."""
    for folder, names, files in os.walk(root):  # links to folders are listed, not entered
        names.sort()
        for name in sorted(files):
            low = name.lower()
            if low.endswith(".gguf") and "mmproj" not in low and not re.search(r"-(?!00001)\d{5}-of-\d{5}\.gguf$", low):
                path = Path(folder) / name
                yield where, path.relative_to(root).as_posix(), path


def _ollama(root: Path) -> Iterator[tuple[str, str, Path]]:
    """Ollama keeps a JSON manifest at manifests/HOST/NAMESPACE/MODEL/TAG and the weights at blobs/sha256-HEX."""
    for folder, names, files in os.walk(root / "manifests"):
        names.sort()
        for tag in sorted(files):
            parts = (Path(folder) / tag).relative_to(root / "manifests").parts
            with contextlib.suppress(OSError, ValueError, KeyError, TypeError):  # not ours to mend
                layers = json.loads((Path(folder) / tag).read_text("utf-8"))["layers"]
                digests = [layer["digest"] for layer in layers if layer["mediaType"].endswith(".image.model")]
                label = "/".join(part for part in parts[1:-1] if part != "library") + ":" + tag
                yield from [("Ollama", label, root / "blobs" / digest.replace(":", "-")) for digest in digests]


# ---- which core for this machine ---------------------------------------------------------------------------------

def choose(models: Sequence[Model], memory_bytes: int, cores: int, cards: Sequence[machine.Card],
           present: Collection[str] = ()) -> Recommendation:
    """The ablest core that fits, from numbers alone; the smallest when none does, and the reason says so.

    Ability is guessed as sqrt(params * active), the usual rule of thumb for mixtures; equals go to what is here, then
    to the catalogue's order. A core must fit into 3/4 of the memory or 9/10 of the cards' together. Without a card
    it must also be quick: 58-76 tokens/s of prompt were measured for 1.5B on 2 cores, so 2.1B active per core reads a
    1,500-token conversation in a minute; and above 9B active (5 GB for each token) a desktop's memory gives fewer than
    about 8 tokens a second. Hybrid cores and licences that forbid commercial use are never chosen unasked.
    """
    room, on_cards = 0.75 * memory_bytes, 0.9 * sum(card.memory_bytes for card in cards)
    quick = min(2.1 * cores, 9.0)
    may = [model for model in models if model.kind == "core" and model.commercial and not model.hybrid]
    if not may:
        raise UsageError("The catalogue has no core to recommend.", "`twin models list` shows what it has.")
    fits = {model.name: "cards" if model.memory_gb * 1e9 <= on_cards else "memory" for model in may
            if model.memory_gb * 1e9 <= on_cards or (model.memory_gb * 1e9 <= room and model.active <= quick)}
    here = f"This machine has {gigabytes(memory_bytes)} of memory, {cores} processor core{'s' * (cores != 1)} and " + (
        " + ".join(f"{card.name} ({gigabytes(card.memory_bytes)})" for card in cards) or "no NVIDIA card")
    if not fits:
        least = min(may, key=lambda model: model.memory_gb)
        return Recommendation(least, f"{here}; no core fits well. {least.name} is the smallest and needs about "
                                     f"{least.memory_gb:.1f} GB.")
    order = {model.name: -place for place, model in enumerate(models)}
    best = max((model for model in may if model.name in fits),
               key=lambda m: (math.sqrt(m.params * m.active), m.name in present, order[m.name]))
    reason = f"{here}; {best.name} needs about {best.memory_gb:.1f} GB and is the ablest core that fits"
    if fits[best.name] == "cards":
        return Recommendation(best, f"{reason} on the card, if the engine was built for it.")
    return Recommendation(best, f"{reason} and still answers without long waits.")
