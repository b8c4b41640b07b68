"""Which core and which embedder of this machine a twin gets. The packages that run them load here, when asked for."""
from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any
from weakref import WeakSet

from twin import planning
from twin.agents import EMBEDDERS, Agent, is_url, split_url, url_options
from twin.catalog import Catalog, Model
from twin.errors import CannotDo, ModelMissing
from twin.home import Home
from twin.placement import Placement
from twin.types import Embedder, Engine

if TYPE_CHECKING:
    from twin.engine.supervised import SupervisedEmbedder, SupervisedEngine
    from twin.proof import Core

REACHED_S = 15.0  # that a turn waits for an agent behind a URL: nothing loads here


def core(catalog: Catalog, model: str | None, engine: Engine | None) -> Core | None:
    """The core a proof scores with: the one that runs, else the one that would be loaded; None where none is here."""
    from twin.proof import Core

    name = model or catalog.best_core()
    if engine is not None or name is None:
        return Core.of(engine)
    if is_url(name):
        return None  # a proof connects to nothing
    path = catalog.path(name)
    known = catalog.by_path(path)
    return Core(path, known.family if known else None, _sha256(known, path), trusted=known is not None) \
        if path.is_file() else None


def engine(catalog: Catalog, home: Home, model: str | None, n_ctx: int, placement: Placement | None, *,
           experts: int | None = None) -> Engine:
    """The core of this name or path, or behind this URL (`http://host:port/v1#name`), else the ablest on this machine;
    `experts`: so many active ones. Raises ModelMissing with the command that fetches one, and what a server raises."""
    if model and is_url(model):
        return _remote(model, experts)
    from twin.engine.isolated import IsolatedEngine  # here: these load llama_cpp, which an import never needs
    from twin.engine.llama import LlamaEngine
    from twin.engine.snapshots import Snapshots

    name = model or catalog.best_core()
    if name is None:
        wanted = catalog.recommend().model.name
        raise ModelMissing("No core is on this machine yet.", f"Fetch one with `twin models pull {wanted}`.")
    path = catalog.path(name)
    known = catalog.by_path(path)
    kept = planning.kept(home) if placement is None and experts is None else None
    rest: dict[str, Any] = {
        "family": known.family if known else None, "n_ctx": n_ctx, "trusted": known is not None,
        "sha256": _sha256(known, path) or None,
        "placement": placement, "experts": experts, "snapshots": Snapshots(home.snapshots)}
    if kept is not None and (name == kept.model or path == catalog.path(kept.model)):
        return _planned(path, kept, rest)
    if placement is not None and (placement.servers or len(placement.devices) > 1):
        return IsolatedEngine(path, **rest)  # a card or worker that dies takes its process along
    return LlamaEngine(path, **rest)


def _planned(path: Path, kept: planning.Kept, rest: dict[str, Any]) -> Engine:
    """The core as the home's plan says, in a process of its own where a device can be lost."""
    from twin.engine import planned  # here: loads llama_cpp
    from twin.engine.isolated import IsolatedEngine

    rest = {key: value for key, value in rest.items() if key not in ("placement", "n_ctx")}
    how: dict[str, Any] = {**rest, "want": kept.want, "servers": kept.servers, "kind": kept.kind}
    if kept.servers or kept.kind in ("layers", "both", "utility"):
        return IsolatedEngine(path, factory=planned.engine, **how)
    return planned.engine(path, **how)


def _remote(model: str, experts: int | None, **how: Any) -> Engine:
    from twin.engine.remote import RemoteEngine  # here: loads httpx

    if experts is not None:
        raise CannotDo("A server sets its active experts itself.", "Ask it, or use a core of this machine.")
    return RemoteEngine(*split_url(model), **{**how, **url_options(model)})


def _sha256(known: Model | None, path: Path) -> str:
    return next((file.sha256 or "" for file in known.files if file.name == path.name), "") if known else ""


def embedder(catalog: Catalog) -> Embedder | None:
    """The ablest embedder on this machine, read when it is first asked; recall works without one, by words alone."""
    name = catalog.best_embedder()
    if name is None:
        return None
    made, args, rest = _embedder(catalog, name)
    found: Embedder = made(*args, **rest)
    return found


def _embedder(catalog: Catalog, name: str, placement: Placement | None = None) -> tuple[
        Callable[..., Any], tuple[Any, ...], dict[str, Any]]:
    """The class of an embedder and what it is made with."""
    path = catalog.path(name)
    known = catalog.by_path(path)
    if path.suffix == ".gguf":
        from twin.engine.embedding import GGUFEmbedder  # here: for those who fetched one

        prefixes = {"query_prefix": known.query_prefix, "passage_prefix": known.passage_prefix} if known else {}
        return GGUFEmbedder, (path,), {"trusted": known is not None, **prefixes, "placement": placement}
    from twin.embedder import MiniLM  # here: loads onnxruntime

    return MiniLM, (path.parent,), {}


# ---- agents ----------------------------------------------------------------------------------------------------------

def agent(catalog: Catalog, wanted: Agent, n_ctx: int) -> SupervisedEngine | SupervisedEmbedder:
    """An agent, watched and not started yet. Raises ModelMissing, ModelBroken and UsageError for its model."""
    from twin.engine.supervised import SupervisedEmbedder, SupervisedEngine  # here: most twins have no agents

    kind: type[SupervisedEngine | SupervisedEmbedder]
    kind = SupervisedEmbedder if wanted.kind in EMBEDDERS else SupervisedEngine
    if wanted.remote:
        return kind(wanted.kind, _Behind(wanted.model, wanted.kind in EMBEDDERS), apart=False, start_s=REACHED_S)
    placement = _placement(wanted)
    if kind is SupervisedEmbedder:
        return kind(wanted.kind, *_embedder(catalog, wanted.model, placement), apart=wanted.apart)
    from twin.engine.llama import LlamaEngine  # as in `engine`

    path = catalog.path(wanted.model)
    known = catalog.by_path(path)
    rest = {"family": known.family if known else None, "n_ctx": n_ctx, "trusted": known is not None,
            "sha256": _sha256(known, path) or None, "placement": placement}
    return kind(wanted.kind, LlamaEngine, (path,), rest, apart=wanted.apart)


class _Behind:
    """Makes an agent that is behind a URL; it gets a key only by `?key=VARIABLE`: that of the core's server is not for
    others."""

    def __init__(self, model: str, embeds: bool) -> None:
        self._model, self._embeds = model, embeds
        self._links: WeakSet[Any] = WeakSet()

    def __call__(self) -> Any:
        how: dict[str, Any] = {"key_env": "", "opened": self._links.add}
        if not self._embeds:
            return _remote(self._model, None, **how)
        from twin.engine.remote_embedding import RemoteEmbedder  # here: loads httpx
        from twin.engine.remote_wire import Timeouts

        how["timeouts"] = Timeouts(first_s=REACHED_S, between_s=REACHED_S, whole_s=2 * REACHED_S)  # a turn waits for it
        key = {name: value for name, value in url_options(self._model).items() if name == "key_env"}
        return RemoteEmbedder(*split_url(self._model), **{**how, **key})

    def cut(self) -> None:
        """End every connection: who waits for one gets an error at once."""
        for link in list(self._links):
            link.close()


def _placement(wanted: Agent) -> Placement:
    """Its device alone: an agent without one leaves the cards to the core."""
    if wanted.server:
        return Placement(servers=(wanted.server,), devices=(wanted.device or "RPC0",))
    return Placement(devices=(wanted.device,)) if wanted.device else Placement(n_gpu_layers=0)
