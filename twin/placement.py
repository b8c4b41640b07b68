"""Placement: on which devices a core runs, planned once and fitted to what is alive. Pure arithmetic and words.

Knows no llama.cpp, no files and no network; `twin.engine.devices` says what is alive and carries a placement out.
"""
from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

from twin.errors import UsageError

QUANTISED = ("q8_0", "q4_0")


@dataclass(frozen=True)
class Placement:
    """Where layers and cache of a core go, in llama.cpp's terms. Raises UsageError for parts that contradict.

    n_gpu_layers: layers on devices, the last ones of the core; -1 is all. devices: their names, () for whatever is
    found (workers first, then cards). tensor_split: parts of the layers, one a device, in their order; () goes by free
    memory. main_gpu: index of the one device that is used with split_mode 'none'.
    servers: RPC workers as host:port; the first device of the n-th is named RPCn (from 0), its others RPCn.1, RPCn.2.
    Whoever reaches a worker's port can read and write its memory, and what is sent to it is not encrypted: loopback
    or a trusted private network only. A worker serves one process at a time.
    """

    n_gpu_layers: int = -1
    split_mode: Literal["none", "layer", "row"] = "layer"
    tensor_split: tuple[float, ...] = ()
    main_gpu: int = 0
    devices: tuple[str, ...] = ()
    servers: tuple[str, ...] = ()
    flash_attention: Literal["off", "on", "auto"] = "off"
    kv_type: Literal["f16", "q8_0", "q4_0", "f32"] = "f16"

    def __post_init__(self) -> None:
        split, devices = self.tensor_split, self.devices
        wrong = {
            f"n_gpu_layers is {self.n_gpu_layers}.": self.n_gpu_layers < -1,
            f"tensor_split is {split}.": bool(split) and not (min(split) >= 0 and 0 < sum(split) < float("inf")),
            f"tensor_split has {len(split)} parts for {len(devices)} devices.":
                bool(split and devices) and len(split) != len(devices),
            f"main_gpu is {self.main_gpu} of {len(devices)} devices.":
                self.main_gpu < 0 or (bool(devices) and self.main_gpu >= len(devices)),
            "A device is named twice.": len(set(devices)) < len(devices),
            f"A server among {list(self.servers)} is not host:port.":
                not all(host and port.isdigit() for host, _, port in (s.partition(":") for s in self.servers)),
        }
        for what in (what for what, is_so in wrong.items() if is_so):
            raise UsageError(f"This placement cannot be: {what}", "See twin.placement.Placement.")


@dataclass(frozen=True)
class Device:
    """One device that is alive now. `server`: the worker it belongs to, '' for one of this machine."""

    name: str
    description: str
    kind: Literal["cpu", "gpu", "igpu", "accel", "meta"]
    free_bytes: int
    total_bytes: int
    server: str = ""


def fit(plan: Placement, live: Sequence[Device]) -> tuple[Placement, tuple[str, ...]]:
    """The plan on what is alive, with its devices named, and a note in words for each change.

    Missing devices are dropped, `tensor_split` renormalised over those left, `main_gpu` moved; with none left all
    layers stay on the processor (n_gpu_layers 0, no devices). A quantised cache turns flash attention on: llama.cpp
    has no other way to read a quantised V.
    """
    plan, notes = _with_flash_attention(plan)
    if plan.n_gpu_layers == 0:
        return _on_processor(plan), notes
    planned, names = _planned(plan, live), {device.name for device in live}
    left = [i for i, name in enumerate(planned) if name in names]
    if len(left) < len(planned):
        notes = (*notes, _lost(plan, planned, left))
    if not left:
        return _on_processor(plan), notes
    split, said = _split(plan.tensor_split, len(planned), left)
    main = left.index(plan.main_gpu) if plan.main_gpu in left else 0
    if plan.split_mode == "none" and planned[left[main]] != dict(enumerate(planned)).get(plan.main_gpu):
        said = (*said, f"The device planned for the whole core is missing; it runs on {planned[left[main]]}.")
    devices = tuple(planned[i] for i in left)
    return replace(plan, devices=devices, tensor_split=split, main_gpu=main), (*notes, *said)


def _with_flash_attention(plan: Placement) -> tuple[Placement, tuple[str, ...]]:
    if plan.kv_type not in QUANTISED or plan.flash_attention == "on":
        return plan, ()
    return replace(plan, flash_attention="on"), (f"A {plan.kv_type} cache needs flash attention, so it is on.",)


def _on_processor(plan: Placement) -> Placement:
    return replace(plan, n_gpu_layers=0, devices=(), tensor_split=(), main_gpu=0)


def _planned(plan: Placement, live: Sequence[Device]) -> tuple[str, ...]:
    """Names in the plan's order; without names: workers, then cards, then integrated ones where there is no card."""
    if plan.devices:
        return plan.devices
    workers = []
    for i, server in enumerate(plan.servers):
        workers += [device.name for device in live if device.server == server and device.kind != "cpu"] or [f"RPC{i}"]
    own = {kind: [device.name for device in live if device.kind == kind and not device.server]
           for kind in ("gpu", "igpu")}
    return (*workers, *(own["gpu"] or own["igpu"]))


def _split(split: tuple[float, ...], planned: int, left: list[int]) -> tuple[tuple[float, ...], tuple[str, ...]]:
    """The parts of the devices that are left, with sum 1 when some are missing; () goes by free memory."""
    if not split or len(left) == planned == len(split):
        return split, ()
    if len(split) != planned:
        parts = ":".join(f"{part:g}" for part in split)
        return (), (f"The split {parts} does not fit {planned} devices; the layers are split by free memory.",)
    total = sum(split[i] for i in left)
    return (tuple(split[i] / total for i in left) if total > 0 else ()), ()


def _lost(plan: Placement, planned: tuple[str, ...], left: list[int]) -> str:
    def called(i: int) -> str:
        name = planned[i]
        worker = name.removeprefix("RPC").partition(".")[0]
        known = name.startswith("RPC") and worker.isdigit() and int(worker) < len(plan.servers)
        return f"{name} ({plan.servers[int(worker)]})" if known else name

    many = "1 device was" if len(planned) == 1 else f"{len(planned)} devices were"
    missing = ", ".join(called(i) for i in range(len(planned)) if i not in left)
    if not left:
        return f"{many} planned, none is there; layers that were on {missing} go to the processor."
    there = f"{len(left)} {'is' if len(left) == 1 else 'are'} there: {', '.join(planned[i] for i in left)}"
    return f"{many} planned, {there}; layers that were on {missing} go there."
