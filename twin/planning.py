"""Planning: what fits on which devices, for Python, notebooks and the command line; and which plan a home keeps to."""
from __future__ import annotations

import json
import re
import tomllib
from dataclasses import asdict, dataclass
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Any

from twin import cards, layouts, plan_text, shape
from twin.buffers import PER_32
from twin.catalog import Catalog
from twin.errors import InputError, UsageError
from twin.home import Home, write_atomically
from twin.layouts import OF_ONE_PROCESS, Plan, Want
from twin.placement import Placement
from twin.shape import Shape

if TYPE_CHECKING:
    from twin.plots import Figure
    from twin.speed import Speed
    from twin.types import Engine

KEPT = "plan.toml"
PROCESS = 0.35e9  # bytes of Python and the stores around a core; .3 to .5 GB were seen with SmolLM2
_TOKENS = re.compile(r"(\d{1,9}(?:[.,]\d{1,3})?)\s*([kкmм]?)", re.IGNORECASE)


@dataclass(frozen=True)
class Planned:
    """A plan as a notebook shows it: a page, and a picture on demand."""

    plan: Plan
    language: str = "en"

    def _repr_markdown_(self) -> str:
        return plan_text.markdown(self.plan, self.language)

    def plot(self) -> Figure:
        """What lies where, a bar for each device of each layout."""
        from twin import plots  # here: loads matplotlib

        rows, kinds, axis = plan_text.bars(self.plan, self.language)
        return plots.stacked(rows, kinds, plan_text.lines(self.plan, self.language)[0], axis)


@dataclass(frozen=True)
class Known:
    """What a report says of a core, in tokens a second; `own`: measured here."""

    report: str
    own: bool
    when: date
    prefill: float | None
    decode: float | None


@dataclass(frozen=True)
class Kept:
    """The plan a home keeps to: its core lies where this says, planned anew whenever its process starts."""

    model: str
    want: Want
    kind: str
    servers: tuple[str, ...] = ()


def compare(catalog: Catalog, model: str | None, said: str, want: Want, *, servers: tuple[str, ...] = ()) -> Plan:
    """The plan of a core (None: the one this machine would use, else the one it should have) on devices in words."""
    found = cards.parse(said, lambda: _with_workers(servers) if servers else cards.here())
    return layouts.plan(shape_of(catalog, model), want, found, _able(catalog))


def _able(catalog: Catalog) -> list[Shape]:
    """Cores of the catalogue whose shapes are known, the ablest first (by the rule of `catalog.choose`)."""
    names = set(shape.known())
    cores = sorted((one for one in catalog.models if one.name in names and one.commercial),
                   key=lambda one: -one.params * one.active)
    return [shape.of_known(one.name, one.bytes) for one in cores]


def _with_workers(servers: tuple[str, ...]) -> tuple[cards.Card, ...]:
    from twin.engine import planned  # here: loads llama_cpp

    return planned.alive(servers)


def shape_of(catalog: Catalog, model: str | None) -> Shape:
    """The shape of a core by its name or path; None: the ablest here, else the recommended one. Raises ModelMissing,
    ModelBroken."""
    name = model or catalog.best_core() or catalog.recommend().model.name
    known = next((one for one in catalog.models if one.name == name), None)
    if known is None or catalog.present(known):
        return shape.read(catalog.path(name))
    if known.kind != "core":
        raise UsageError(f"{name} is no core.", "Name a core of `twin models list`.")
    return shape.of_known(name, known.bytes)


def tokens(said: str) -> int:
    """A number of tokens in words: 8192, 300k, 1m. Raises UsageError."""
    found = _TOKENS.fullmatch(said.strip().replace("_", ""))
    factor = {"": 1, "k": 1000, "к": 1000, "m": 10**6, "м": 10**6}[found[2].casefold()] if found else 1
    n = round(float(found[1].replace(",", ".")) * factor) if found else 0
    if not 256 <= n <= 100_000_000:
        raise UsageError(f"{said!r} is no context.", "Give tokens, such as 8192 or 300k.")
    return n


def cache(said: str) -> Any:
    """The form of keys and values that this names. Raises UsageError."""
    if said not in PER_32:
        raise UsageError(f"{said!r} is no kind of cache.", "Choose f16, q8_0 or q4_0.")
    return said


def predict(engine: Engine) -> dict[str, tuple[float, float, float]]:
    """What the plan expects of a core that runs here: metric -> (low, value, high) of prefill and decode in tokens a
    second and memory in bytes; {} for one that has no file of its own."""
    path, placement = getattr(engine, "path", None), getattr(engine, "placement", None)
    if not isinstance(path, Path) or placement is None:
        return {}
    want = Want(engine.n_ctx, 4, kv=placement.kv_type, flash=placement.flash_attention == "on")
    own = cards.here() if placement.n_gpu_layers and not placement.servers else (cards.processor(),)
    made = layouts.plan(shape.read(path), want, own).layouts
    kind = "processor" if not placement.devices else "layers" if len(placement.devices) > 1 else "one"
    layout = next((one for one in made if one.kind == kind), made[0])
    if placement.devices:  # what a process holds says nothing of the memory of cards
        return _rates(layout.speed)
    used, weights = sum(part.bytes for part in layout.parts), sum(part.load.weights for part in layout.parts)
    # The process holds more than the core; and where weights are repacked, pages of the file as well, while there is
    # room for them.
    return {**_rates(layout.speed), "memory": (float(used), used + PROCESS, used + weights + 2 * PROCESS)}


def _rates(expected: Speed) -> dict[str, tuple[float, float, float]]:
    return {name: (one.low, one.value, one.high) for name, one in
            (("prefill", expected.prefill), ("decode", expected.decode))}


def measured(home: Home, core: Shape) -> list[Known]:
    """What is known of this core from runs here and from reports of others, the newest last: the same weights within a
    hundredth, whatever their name."""
    from twin.bench.shelf import Shelf  # here: pydantic and the ledger

    found = []
    for one in Shelf(home).all()[0]:
        if abs(one.report.core.bytes - core.bytes) <= core.bytes / 100:
            decode, prefill = one.report.headline("decode"), one.report.headline("prefill")
            found.append(Known(one.id, one.own, one.report.when, prefill.value if prefill else None,
                               decode.value if decode else None))
    return found


def document(made: Plan) -> dict[str, Any]:
    """A plan as plain data: bytes and tokens a second, the layouts in their order."""
    best = made.best
    return {"core": {"name": made.shape.name, "layers": len(made.shape.layers), "parameters": made.shape.parameters,
                     "active": made.shape.active, "weights_bytes": made.shape.bytes, "exact": made.shape.exact},
            "want": asdict(made.want), "kv_bytes": {"shared": made.shared, "apart": made.apart},
            "adapter_bytes": made.adapter_bytes, "devices": [_device(card) for card in made.cards],
            "best": next((i for i, one in enumerate(made.layouts) if best in (one, one.instead)), None),
            "layouts": [_layout(one) for one in made.layouts]}


def _device(card: cards.Card) -> dict[str, Any]:
    return {"name": card.name, "bytes": card.bytes, "room_bytes": card.room, "processor": card.processor,
            "bandwidth": asdict(card.bandwidth), "flops": asdict(card.flops)}


def _layout(one: layouts.Layout) -> dict[str, Any]:
    parts = [{"device": part.card.name, "layers": part.layers, "helpers": part.others, "weights": part.load.weights,
              "kv": part.load.kv, "compute": part.load.compute, "adapters": part.adapters, "bytes": part.bytes,
              "missing": part.missing} for part in one.parts]
    return {"layout": one.kind, "fits": one.fits, "missing_bytes": one.missing, "change": dict(one.change),
            "replicas": one.replicas, "parts": parts, "placement": asdict(one.placement), "speed": asdict(one.speed),
            "instead": _layout(one.instead) if one.instead else None}


# ---- the plan a home keeps to ----------------------------------------------------------------------------------------

def keep(home: Home, kept: Kept) -> Path:
    """Have this home's core lie as planned from now on."""
    path = home.root / KEPT
    want = kept.want
    Placement(servers=kept.servers)  # raises for what is no host:port
    said = ["# Written by `twin plan --use`; delete this file to let the engine choose again.",
            f"model = {_quoted(kept.model)}", f"layout = {_quoted(kept.kind)}", f"context = {want.context}",
            f"roles = {want.roles}", f"adapters = {str(want.adapters).lower()}",
            f"kv = {_quoted(want.kv)}", f"flash = {str(want.flash).lower()}",
            f"servers = [{', '.join(map(_quoted, kept.servers))}]"]
    with home.writing("keeping a plan"):
        write_atomically(path, "\n".join(said).encode() + b"\n")
    return path


def kept(home: Home) -> Kept | None:
    """The plan this home keeps to; None where it keeps to none. Raises InputError for a file that cannot be read."""
    path = home.root / KEPT
    try:
        return _kept(tomllib.loads(path.read_text("utf-8")))
    except FileNotFoundError:
        return None
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError, RecursionError, KeyError, TypeError, ValueError,
            UsageError) as error:
        raise InputError(f"{path.name} in the home cannot be read ({error}).",
                         "Mend it, write it anew with `twin plan --use`, or delete it.") from error


def _kept(found: dict[str, Any]) -> Kept:
    servers, kind, roles = found["servers"], found["layout"], found["roles"]
    if not isinstance(servers, list) or kind not in OF_ONE_PROCESS or not isinstance(roles, int) or roles < 1:
        raise ValueError("servers, layout or roles")
    Placement(servers=tuple(map(str, servers)))
    want = Want(tokens(str(found["context"])), roles, found["adapters"] is True, kv=cache(found["kv"]),
                flash=found["flash"] is True)
    return Kept(str(found["model"]), want, kind, tuple(map(str, servers)))


def _quoted(said: str) -> str:
    return json.dumps(said, ensure_ascii=False)  # a TOML basic string is a JSON one
