"""Layouts: the ways a core, its roles and its helpers can lie on given devices; what fits, and what would.

Arithmetic alone, from a shape (shape.py), what llama.cpp reserves (buffers.py) and devices (cards.py). A layout that
does not fit says how much is missing and names the smallest change that makes it fit.
"""
from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal

from twin import buffers, speed
from twin.buffers import PROCESSOR, Context, Load
from twin.cards import Card
from twin.placement import QUANTISED, Placement
from twin.shape import Shape

Kind = Literal["one", "layers", "rows", "utility", "replicas", "processor", "both"]
OF_ONE_PROCESS = ("one", "layers", "utility", "processor", "both")  # that an engine of ours can be opened on
RANK = 16            # of a role's adapter that is planned before it is trained
MEMBERS = 16         # of the council whose speed is told, or as many as there are roles
TOKENS_AT = 2048     # context at which speed is told, or less where the plan's is shorter
EMBEDDER = 640_000_000  # bytes of the largest embedder of the catalogue
HELPER_CONTEXT = 8192   # tokens of a helper that is a core
UTILITY = ("embedder", "router", "scorer", "reflection", "second", "trainer", "spare")
_SHORTEST = 2048     # tokens: below that no plan offers a shorter context
_BATCH_ON_CARDS = 512
NOTHING = Load()
_LESS = {"f32": 3, "f16": 2, "q8_0": 1, "q4_0": 0}


@dataclass(frozen=True)
class Want:
    """What a plan is asked for. `context`: tokens of all prefixes and answers together; `roles` share it; `adapters`:
    each role has a LoRA of its own; `adapter_bytes`: of one, where that is known."""

    context: int
    roles: int = 6
    adapters: bool = False
    adapter_bytes: int = 0
    kv: buffers.Kv = "f16"
    flash: bool = False

    @property
    def has_flash(self) -> bool:
        """Whether flash attention is on: a quantised cache has no other way (placement.fit)."""
        return self.flash or self.kv in QUANTISED


@dataclass(frozen=True)
class Part:
    """What lies on one device: the core's bytes, adapters, and who else works there. `layers` of the core, the output
    layer among them."""

    card: Card
    load: Load = NOTHING
    adapters: int = 0
    layers: int = 0
    others: tuple[str, ...] = ()

    @property
    def bytes(self) -> int:
        """All that lies there."""
        return self.load.total + self.adapters

    @property
    def missing(self) -> int:
        """Bytes more than the device has room for; 0 where it fits."""
        return max(0, self.bytes - self.card.room)


@dataclass(frozen=True)
class Layout:
    """A core on devices. `want` is what it was computed for; `change`: the smallest one of it that makes it fit,
    `instead` the layout with that change; `placement` is what the engine is opened with; `replicas`: cores of the same
    kind, each with its share of the roles."""

    kind: Kind
    want: Want
    parts: tuple[Part, ...]
    speed: speed.Speed
    placement: Placement
    replicas: int = 1
    change: Mapping[str, Any] = field(default_factory=dict)
    instead: Layout | None = None

    @property
    def fits(self) -> bool:
        """Whether every device has room."""
        return not any(part.missing for part in self.parts)

    @property
    def missing(self) -> int:
        """Bytes that do not fit, over all devices."""
        return sum(part.missing for part in self.parts)


@dataclass(frozen=True)
class Plan:
    """Layouts of one core on given devices, those that fit first, the quickest of them at their head. `shared` and
    `apart`: bytes of keys and values when all roles share them, and when each has its own (roles whose plain LoRA reads
    the prompt with other weights)."""

    shape: Shape
    want: Want
    cards: tuple[Card, ...]
    layouts: tuple[Layout, ...]
    shared: int
    apart: int
    adapter_bytes: int

    @property
    def best(self) -> Layout | None:
        """The first that fits; where none does, the first that fits with its change; None where nothing does."""
        return next((one for one in self.layouts if one.fits), None) or next(
            (one.instead for one in self.layouts if one.instead), None)


def plan(shape: Shape, want: Want, cards: Sequence[Card], helpers: Sequence[Shape] = ()) -> Plan:
    """Compare the layouts of a core on devices. `helpers`: cores that a card which is left may hold beside it, the
    ablest first."""
    want = replace(want, adapter_bytes=want.adapter_bytes or adapter_bytes(shape)) if want.adapters else want
    made = [_mended(make, want) for make in _ways(shape, want, tuple(cards), helpers)]
    kept = buffers.kv(shape, _contexts(shape, want, ()))
    ordered = sorted(made, key=lambda one: (_cost(one), -(one.instead or one).speed.council.value))
    return Plan(shape, want, tuple(cards), tuple(ordered), kept, kept * want.roles,
                want.adapter_bytes * want.roles if want.adapters else 0)


def adapter_bytes(shape: Shape, rank: int = RANK) -> int:
    """Bytes of a LoRA over attention and, in a core without experts, the feed-forward layers; f16."""
    n, total = shape.n_embd, 0
    for layer in shape.layers:
        pairs = [(n, shape.q_width), (n, layer.k_width), (n, layer.v_width), (shape.q_width, n)]
        if not shape.n_expert:
            pairs += [(n, shape.n_ff)] * 3
        total += sum(rank * (a + b) * 2 for a, b in pairs if a and b)
    return total


# ---- the ways --------------------------------------------------------------------------------------------------------

Make = Callable[[Want], Layout]


def _ways(shape: Shape, asked: Want, cards: tuple[Card, ...], helpers: Sequence[Shape]) -> Iterator[Make]:
    own = [card for card in cards if not card.processor]
    processor = next((card for card in cards if card.processor), None)
    if own:
        largest = max(range(len(own)), key=lambda i: own[i].room)
        yield lambda want: _laid("one", shape, want, cards, [largest])
    if len(own) > 1:
        yield lambda want: _laid("layers", shape, want, cards, range(len(own)))
        if not any(card.server for card in own) and not shape.n_expert:  # experts of a row split stay on one card
            yield lambda want: _rows(shape, want, cards)
        yield lambda want: _utility(shape, want, cards, helpers)
        if _group_sizes(len(own), asked.roles):
            yield lambda want: _replicas(shape, want, cards)
    if own and processor:
        yield lambda want: _both(shape, want, cards)
    if processor:
        yield lambda want: _laid("processor", shape, want, cards, [])


def _context(want: Want, *, on_cards: bool) -> Context:
    return Context(want.context, _BATCH_ON_CARDS if on_cards else 128, kv=want.kv, flash=want.has_flash)


def _laid(kind: Kind, shape: Shape, want: Want, cards: tuple[Card, ...], on: Sequence[int],
          n_gpu_layers: int = -1, members: int = 0) -> Layout:
    """The core on the devices with these numbers, layer by layer in parts of their room."""
    used = [cards[i] for i in on]
    context = _contexts(shape, want, used)
    split = _split(shape, context, used)
    where = buffers.spread(len(shape.layers), split, n_gpu_layers) if used else (PROCESSOR,) * (len(shape.layers) + 1)
    found = buffers.loads(shape, context, where)
    parts = [_part(card, number, found, where, want) for number, card in enumerate(used)]
    host = next((card for card in cards if card.processor), None)
    if host is not None:
        parts.append(_part(host, PROCESSOR, found, where, want))
    expected = speed.expect(shape, context, (*used, *([host] if host else [])) or cards, where,
                            at=min(TOKENS_AT, want.context), members=members or min(MEMBERS, want.roles))
    made = _placement(used, split, want, n_gpu_layers)
    if len(used) == 1 and not made.devices:
        made = replace(made, main_gpu=on[0])
    return Layout(kind, want, tuple(parts), expected, made)


def _contexts(shape: Shape, want: Want, used: Sequence[Card]) -> Context:
    """As the engine makes its context: larger batches where a card computes, fewer sequences where states are kept."""
    context = _context(want, on_cards=bool(used) and not any(card.server for card in used))
    return replace(context, n_seq=20) if shape.recurrent else context


def _part(card: Card, number: int, found: Mapping[int, Load], where: Sequence[int], want: Want) -> Part:
    layers = sum(place == number for place in where)
    share = layers / len(where)
    adapters = round(want.roles * want.adapter_bytes * share) if want.adapters else 0
    return Part(card, found.get(number, Load()), adapters, layers)


def _split(shape: Shape, context: Context, used: Sequence[Card]) -> tuple[float, ...]:
    """Parts of the layers, one a device, by what is free after scratch space; whole layers, so that what is planned is
    what llama.cpp loads. On equal devices each has as many, the last one at most one more."""
    if len(used) < 2:
        return (1.0,) * len(used)
    n = len(shape.layers) + 1
    scratch = buffers.loads(shape, context, buffers.spread(n - 1, [1.0] * len(used)))
    free = [max(card.room - (scratch[i].compute if i in scratch else 0), 1) for i, card in enumerate(used)]
    parts = [round(n * one / sum(free)) for one in free]
    while sum(parts) != n:
        i = (max if sum(parts) > n else min)(range(len(parts)), key=lambda i: parts[i] / free[i])
        parts[i] += 1 if sum(parts) < n else -1
    return tuple(float(max(one, 0)) for one in parts)


def _placement(used: Sequence[Card], split: tuple[float, ...], want: Want, n_gpu_layers: int) -> Placement:
    flash: Literal["on", "off"] = "on" if want.has_flash else "off"
    if not used:
        return Placement(0, flash_attention=flash, kv_type=want.kv)
    servers = tuple(dict.fromkeys(card.server for card in used if card.server))
    names = tuple(card.device for card in used) if all(card.device for card in used) else ()
    return Placement(n_gpu_layers, "layer" if len(used) > 1 else "none", split if len(used) > 1 else (), devices=names,
                     servers=servers, flash_attention=flash, kv_type=want.kv)


def _rows(shape: Shape, want: Want, cards: tuple[Card, ...]) -> Layout:
    """Each matrix in parts on all cards; keys, values and scratch space on the first (llama.cpp: split mode row)."""
    own = [card for card in cards if not card.processor]
    context, n = _contexts(shape, want, own), len(own)
    found = buffers.loads(shape, context, (0,) * (len(shape.layers) + 1))
    whole = found[0]
    free = [max(card.room - (whole.kv + whole.compute if i == 0 else 0), 0) for i, card in enumerate(own)]
    shares = [one / sum(free) if sum(free) else 1 / n for one in free]
    adapters = want.roles * want.adapter_bytes if want.adapters else 0
    parts = [Part(card, Load(round(whole.weights * share), *((whole.kv, whole.compute) if i == 0 else (0, 0))),
                  adapters if i == 0 else 0, len(shape.layers) + 1) for i, (card, share) in
             enumerate(zip(own, shares, strict=True))]
    host = next((card for card in cards if card.processor), None)
    if host is not None:
        parts.append(Part(host, found[PROCESSOR]))
    where = tuple(i % n for i in range(len(shape.layers) + 1))
    expected = speed.expect(shape, context, own, where, at=min(TOKENS_AT, want.context),
                            members=min(MEMBERS, want.roles), rows=True)
    made = replace(_placement(own, tuple(shares), want, -1), split_mode="row")
    return Layout("rows", want, tuple(parts), expected, made)


def _utility(shape: Shape, want: Want, cards: tuple[Card, ...], able: Sequence[Shape]) -> Layout:
    """The core on as few cards as hold it, the largest first; each card that is left works for one helper, with the
    ablest core that fits there, or the embedder."""
    own = sorted((i for i, card in enumerate(cards) if not card.processor), key=lambda i: (-cards[i].room, i))
    for n in range(1, len(own)):
        laid = _laid("utility", shape, want, cards, sorted(own[:n]))
        if laid.fits or n == len(own) - 1:
            break
    helpers = [_helper(cards[i], UTILITY[min(at, len(UTILITY) - 1)], able) for at, i in enumerate(sorted(own[n:]))]
    on_cards = [part for part in laid.parts if not part.card.processor]
    return replace(laid, parts=(*on_cards, *helpers, *(part for part in laid.parts if part.card.processor)))


def _helper(card: Card, kind: str, able: Sequence[Shape]) -> Part:
    """A helper on a card of its own."""
    if kind in ("embedder", "router"):
        return Part(card, Load(EMBEDDER), others=(kind,))
    if kind == "spare":
        return Part(card, others=(kind,))
    for one in able:
        load = buffers.loads(one, Context(HELPER_CONTEXT, _BATCH_ON_CARDS), (0,) * (len(one.layers) + 1))[0]
        if load.total <= card.room:
            return Part(card, load, others=(f"{kind} {one.name}",))
    return Part(card, others=("spare",))


def _group_sizes(n: int, roles: int) -> list[int]:
    """Cards of one replica, where n cards hold two or more and each has a role to speak."""
    return [size for size in range(1, n // 2 + 1) if n % size == 0 and n // size <= roles]


def _replicas(shape: Shape, want: Want, cards: tuple[Card, ...]) -> Layout:
    """The same core on every card, or on every group of cards that holds one, each with its share of the roles."""
    own = [i for i, card in enumerate(cards) if not card.processor]
    sizes, members = _group_sizes(len(own), want.roles) or [len(own)], min(MEMBERS, want.roles)
    for size in sizes:
        groups = [own[at:at + size] for at in range(0, len(own), size)]
        each, sitting = replace(want, roles=-(-want.roles // len(groups))), -(-members // len(groups))
        laid = [_laid("replicas", shape, each, cards, group, members=sitting) for group in groups]
        if all(one.fits for one in laid) or size == sizes[-1]:
            break
    parts = [part for one in laid for part in one.parts if not part.card.processor]
    hosts = [part for one in laid for part in one.parts if part.card.processor]
    if hosts:
        whole = Load(hosts[0].load.weights, 0, sum(part.load.compute for part in hosts))
        parts.append(replace(hosts[0], load=whole))  # the file is mapped once
    slowest = min((one.speed for one in laid), key=lambda one: one.decode.value)
    together = replace(slowest, council=slowest.council.times(members / sitting))
    return Layout("replicas", want, tuple(parts), together, laid[0].placement, len(laid))


def _both(shape: Shape, want: Want, cards: tuple[Card, ...]) -> Layout:
    """As many of the last layers on the cards as fit, the first ones on the processor."""
    own = [i for i, card in enumerate(cards) if not card.processor]
    low, high = 0, len(shape.layers)
    while low < high:
        middle = (low + high + 1) // 2
        laid = _laid("both", shape, want, cards, own, middle)
        if any(part.missing for part in laid.parts if not part.card.processor):
            high = middle - 1
        else:
            low = middle
    return _laid("both", shape, want, cards, own, low)


# ---- what would fit --------------------------------------------------------------------------------------------------

def _mended(make: Make, want: Want) -> Layout:
    """The layout, and where it does not fit the smallest change that makes it."""
    made = make(want)
    change = {} if made.fits else _change(make, want)
    return replace(made, change=change, instead=make(replace(want, **change))) if change else made


def _cost(made: Layout) -> int:
    """How much of what was wanted has to be given up for it: nothing, nothing that shows, exactness, length, all."""
    if made.fits:
        return 0
    return 4 if not made.change else 3 if made.change.keys() & {"context", "roles"} else 2 if "kv" in made.change else 1


def _change(make: Make, want: Want) -> dict[str, Any]:
    """The first that makes it fit: what changes no answer (flash attention), what changes it least (a cache of 8, then
    4 bits), less context, fewer roles with adapters. {} where nothing does."""
    flash: dict[str, Any] = {} if want.has_flash else {"flash": True}
    tried: list[dict[str, Any]] = [flash, {"kv": "q8_0"}, {"kv": "q4_0"}]
    for keys in (keys for keys in tried if keys and keys.get("kv") != want.kv):
        if _LESS[keys.get("kv", want.kv)] <= _LESS[want.kv] and make(replace(want, **keys)).fits:
            return keys
    most = _most(want.context // 1024, _SHORTEST // 1024,
                 lambda n: make(replace(want, **flash, context=n * 1024)).fits)
    if most:
        return {**flash, "context": most * 1024}
    most = _most(want.roles, 1, lambda n: make(replace(want, **flash, roles=n)).fits) if want.adapters else 0
    return {**flash, "roles": most} if most else {}


def _most(high: int, low: int, fits: Callable[[int], bool]) -> int:
    """The largest number that fits; 0 when not even `low` does."""
    if high < low or not fits(low):
        return 0
    while low < high:
        middle = (low + high + 1) // 2
        if fits(middle):
            low = middle
        else:
            high = middle - 1
    return low
