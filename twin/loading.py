"""Which core and which embedder of this machine a twin gets. The packages that run them load here, when asked for."""
from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from twin.catalog import Catalog, Model
from twin.errors import ModelMissing
from twin.home import Home
from twin.placement import Placement
from twin.types import Embedder, Engine

if TYPE_CHECKING:
    from twin.proof import Core


def core(catalog: Catalog, model: str | None, engine: Engine | None) -> Core | None:
    """The core a proof scores with: the one that runs, else the one that would be loaded; None where none is here."""
    from twin.proof import Core

    name = model or catalog.best_core()
    if engine is not None or name is None:
        return Core.of(engine)
    path = catalog.path(name)
    known = catalog.by_path(path)
    return Core(path, known.family if known else None, _sha256(known, path), trusted=known is not None) \
        if path.is_file() else None


def engine(catalog: Catalog, home: Home, model: str | None, n_ctx: int, placement: Placement | None, *,
           experts: int | None = None) -> Engine:
    """The core of this name or path, else the ablest on this machine; `experts`: so many active ones. Raises
    ModelMissing with the command that fetches one."""
    from twin.engine.isolated import IsolatedEngine  # here: these load llama_cpp, which an import never needs
    from twin.engine.llama import LlamaEngine
    from twin.engine.snapshots import Snapshots

    name = model or catalog.best_core()
    if name is None:
        wanted = catalog.recommend().model.name
        raise ModelMissing("No core is on this machine yet.", f"Fetch one with `twin models pull {wanted}`.")
    path = catalog.path(name)
    known = catalog.by_path(path)
    rest: dict[str, Any] = {
        "family": known.family if known else None, "n_ctx": n_ctx, "trusted": known is not None,
        "sha256": _sha256(known, path) or None,
        "placement": placement, "experts": experts, "snapshots": Snapshots(home.snapshots)}
    if placement is not None and (placement.servers or len(placement.devices) > 1):
        return IsolatedEngine(path, **rest)  # a card or worker that dies takes its process along
    return LlamaEngine(path, **rest)


def _sha256(known: Model | None, path: Path) -> str:
    return next((file.sha256 or "" for file in known.files if file.name == path.name), "") if known else ""


def embedder(catalog: Catalog) -> Embedder | None:
    """The ablest embedder on this machine, read when it is first asked; recall works without one, by words alone."""
    name = catalog.best_embedder()
    if name is None:
        return None
    path, model = catalog.path(name), catalog.model(name)
    if path.suffix == ".gguf":
        from twin.engine.embedding import GGUFEmbedder  # here: for those who fetched one

        return GGUFEmbedder(path, trusted=True, query_prefix=model.query_prefix, passage_prefix=model.passage_prefix)
    from twin.embedder import MiniLM  # here: loads onnxruntime

    return MiniLM(path.parent)
