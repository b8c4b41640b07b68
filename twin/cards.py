"""Cards: the devices a plan reckons with - memory, bandwidth and speed, from a few words or from this machine.

What is not known of a card is a range over the cards of its size (cards.toml). Knows no core.
"""
from __future__ import annotations

import re
import tomllib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from importlib.resources import files

from twin import machine
from twin.errors import UsageError
from twin.placement import Device

GIB = 1 << 30
_A_NAME = 1000            # a number from here on is a card's name, 4090, and no size
MOST = 64                 # devices of a plan; llama.cpp bears no more than some dozens
# A driver's own state and the pools of its kernels: some .3 to .6 GB a card were seen by others; not measured here.
RESERVED = 0.6e9
USABLE = 0.75             # of this machine's memory: the rest is the system's, the browser's and the stores'
_SIZE = re.compile(r"(?:(?P<n>\d{1,2})\s*[x×х*]\s*)?(?P<what>.+)", re.IGNORECASE)  # a Russian х is typed too
_GIB = re.compile(r"(\d{1,4}(?:\.\d+)?)\s*(?:gb|gib|g|гб)?", re.IGNORECASE)


_NAMED_GIB = re.compile(r"(?<!\w)(\d{1,3})\s*(?:gb|gib|гб)(?!\w)", re.IGNORECASE)


@dataclass(frozen=True)
class Range:
    """A value with its error bar."""

    low: float
    value: float
    high: float

    def holds(self, measured: float) -> bool:
        """Whether the error bar holds a measured value."""
        return self.low <= measured <= self.high

    def times(self, factor: float) -> Range:
        """The range, scaled."""
        return Range(self.low * factor, self.value * factor, self.high * factor)


@dataclass(frozen=True)
class Card:
    """One device of a plan. `bytes` of its memory, of which `room` can be planned with; `bandwidth` in bytes and
    `flops` a second. `processor`: this machine's own memory and cores. `device`: the name llama.cpp knows it by,
    where it is there; `server`: the worker it belongs to."""

    name: str
    bytes: int
    bandwidth: Range
    flops: Range
    processor: bool = False
    device: str = ""
    server: str = ""

    @property
    def room(self) -> int:
        """Bytes that can be planned with."""
        return round(self.bytes * USABLE if self.processor else max(self.bytes - RESERVED, 0))


@lru_cache(maxsize=1)
def _table() -> list[dict[str, float | str]]:
    rows: list[dict[str, float | str]] = tomllib.loads(files("twin").joinpath("cards.toml").read_text("utf-8"))["card"]
    return rows


def parse(said: str, here: Callable[[], Sequence[Card]]) -> tuple[Card, ...]:
    """Devices in words: `auto` (what `here` tells), `8x24`, `24,24,12,cpu`, `2x RTX 4090`, `cpu64`; sizes in GB as
    cards are sold (GiB). The processor comes last, once. Raises UsageError."""
    found: list[Card] = []
    for part in (piece.strip() for piece in said.split(",")):
        if part.casefold() == "auto":
            found += here()
            continue
        match = _SIZE.fullmatch(part)
        n, what = int(match["n"] or 1) if match else 1, match["what"].strip() if match else part
        card = _one(what, here)
        found += [card] * n
    cards = [card for card in found if not card.processor]
    processors = [card for card in found if card.processor]
    if not found or len(found) > MOST or len(processors) > 1 or any(card.bytes <= 0 for card in found):
        raise UsageError(f"{said!r} names no devices of a plan.",
                         "Say `auto`, `8x24`, `24,24,12,cpu` or `2xRTX 4090`: one processor and 64 cards at most.")
    return (*(_numbered(card, i, cards) for i, card in enumerate(cards)), *processors)


def _numbered(card: Card, i: int, cards: Sequence[Card]) -> Card:
    """Cards of one name are told apart by their place."""
    return replace(card, name=f"{i}: {card.name}") if len(cards) > 1 else card


def _one(what: str, here: Callable[[], Sequence[Card]]) -> Card:
    low = what.casefold()
    if low.startswith(("cpu", "проц")):
        own = next((card for card in here() if card.processor), None) or processor()
        rest = re.sub(r"^(?:cpu|процессор)[: ]*", "", low)
        size = _GIB.fullmatch(rest)
        if rest and not size:
            raise UsageError(f"No card is known as {what!r}.", "Give its memory in GB, such as 24.")
        return Card("cpu", round(float(size[1]) * GIB), own.bandwidth, own.flops, True) if size else own
    size = _GIB.fullmatch(what)
    if size and float(size[1]) < _A_NAME:
        return of_size(float(size[1]))
    row = _row(f"rtx {low}" if size else low)
    if row is None:
        raise UsageError(f"No card is known as {what!r}.", "Give its memory in GB, such as 24.")
    told = _NAMED_GIB.search(what)
    return _known(what, row, float(told[1] if told else row["gib"]) * GIB)


def _row(name: str) -> dict[str, float | str] | None:
    words = re.sub(r"\b(rtx|gtx|rx)(?=\d)", r"\1 ", name.casefold().replace("-", " "))
    return next((row for row in _table() if re.search(rf"(?<!\w){row['match']}(?!\w)", words)), None)


def _known(name: str, row: dict[str, float | str], size: float) -> Card:
    bandwidth, flops = float(row["bandwidth"]) * 1e9, float(row["tflops"]) * 1e12
    return Card(name, round(size), Range(bandwidth, bandwidth, bandwidth), Range(flops, flops, flops))


def of_size(gib: float, name: str = "") -> Card:
    """A card of which nothing is known but its memory: as slow and as quick as cards of about that size are."""
    rows = sorted(_table(), key=lambda row: abs(float(row["gib"]) - gib))
    near = [row for row in rows if abs(float(row["gib"]) - gib) <= abs(float(rows[0]["gib"]) - gib) + 0.01]
    bandwidth, flops = ([float(row[key]) for row in near] for key in ("bandwidth", "tflops"))
    return Card(name or f"{gib:g} GB", round(gib * GIB), _range(bandwidth, 1e9), _range(flops, 1e12))


def _range(values: Sequence[float], unit: float) -> Range:
    ordered = sorted(values)
    return Range(ordered[0], ordered[len(ordered) // 2], ordered[-1]).times(unit)


def card(device: Device) -> Card:
    """A live device; an RPC worker on a processor is as quick as this machine's, for want of better knowledge."""
    row = _row(f"{device.name} {device.description}")
    if row is not None:
        found = _known(device.description or device.name, row, device.total_bytes)
    elif device.server:
        found = replace(processor(), name=device.name, bytes=device.total_bytes, processor=False)
    else:
        found = of_size(device.total_bytes / GIB, device.description or device.name)
    return replace(found, device=device.name, server=device.server)


def here() -> tuple[Card, ...]:
    """This machine: its NVIDIA cards, as the driver tells, and its processor."""
    found = [_known(one.name, row, one.memory_bytes) if (row := _row(one.name)) else
             of_size(one.memory_bytes / GIB, one.name) for one in machine.nvidia_cards()]
    return (*found, processor())


@lru_cache(maxsize=1)
def processor() -> Card:
    """This machine's own memory and cores, tried for a fifth of a second. What the cores do of a core's arithmetic is
    guessed from matrix products in f32."""
    bandwidth, flops = machine.speed()
    return Card("cpu", machine.memory_bytes(), Range(0.7 * bandwidth, bandwidth, 1.3 * bandwidth),
                Range(0.7 * flops, flops, 1.3 * flops), True)
