"""Does the error bar of a plan hold what is measured? python -m tests.bench.plan_speed [NAME...]

Cores of several sizes and forms of keys and values on this machine's processor: real ones, and shapes of Qwen3 without
weights (zeros cost the same time). Predicted first, then measured by the code of `twin bench`. Run it alone: any other
program falsifies it.
"""
from __future__ import annotations

import json
import sys
import tempfile
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path

from tests import headers
from twin import cards, machine, planning
from twin.bench.measuring import Sizes, run
from twin.buffers import Kv
from twin.catalog import Catalog
from twin.engine.llama import LlamaEngine
from twin.placement import Placement

SIZES = Sizes((128,), 16, 2, 2, 3, 128)
MIXTURE = replace(headers.QWEN3["30B-A3B"], n_layer=8)


@dataclass(frozen=True)
class Config:
    """One core as it is opened."""

    name: str
    path: Path
    kv: Kv = "f16"


def configs(folder: Path) -> Iterator[Config]:
    """All of them, the quick ones first."""
    catalog = Catalog()
    small, real = catalog.path("smollm2-135m"), catalog.path("qwen2.5-coder-1.5b")
    yield Config("smollm2", small)
    yield Config("smollm2-q8_0", small, "q8_0")
    yield Config("qwen2.5-1.5b", real)
    yield Config("qwen2.5-1.5b-q8_0", real, "q8_0")
    for size in ("0.6B", "1.7B", "4B"):
        yield Config(f"qwen3-{size}", headers.write(folder / f"{size}.gguf", headers.QWEN3[size]))
    yield Config("mixture-8-layers", headers.write(folder / "mixture.gguf", MIXTURE))


def main(*names: str) -> None:
    print(f"processors {machine.processors()}; reads {cards.processor().bandwidth.value / 1e9:.1f} GB/s, "
          f"computes {cards.processor().flops.value / 1e9:.0f} GFLOPS in f32")
    held = {"prefill": 0, "decode": 0}
    with tempfile.TemporaryDirectory() as folder:
        for config in configs(Path(folder)):
            if names and config.name not in names:
                continue
            row, holds = _one(config)
            for metric, ok in holds.items():
                held[metric] += ok
            print(json.dumps(row), flush=True)
    print(f"held: {held}")


def _one(config: Config) -> tuple[dict[str, object], dict[str, bool]]:
    placement = Placement(0, kv_type=config.kv, flash_attention="on" if config.kv != "f16" else "off")
    with closing(LlamaEngine(config.path, n_ctx=1024, trusted=True, placement=placement,
                             sha256="0" * 64, family="chatml")) as engine:
        told = planning.predict(engine)
        report = run(engine, SIZES, seed=1)
    measured: dict[str, float] = {figure.metric: figure.value for figure in report.figures
                                  if figure.metric in ("prefill", "decode")}
    row: dict[str, object] = {"core": config.name}
    holds = {metric: told[metric][0] <= value <= told[metric][2] for metric, value in measured.items()}
    for metric, value in measured.items():
        low, middle, high = told[metric]
        row[metric] = {"predicted": [round(low, 1), round(middle, 1), round(high, 1)], "measured": round(value, 1),
                       "ratio": round(value / middle, 2), "holds": holds[metric]}
    return row, holds


if __name__ == "__main__":
    main(*sys.argv[1:])
