"""What a role map is worth, item by item: bits of what the person said and kept, routes right and wrong, header tokens.

A map is read with the router that use would give it. Bits are those of `prompt.example`: the text where chat would
write it, under the header, the adapter and (for a kept answer) the temperature of the role that would have answered.
Both maps are asked about one item before the next: what their prompts share is then read once. Knows no verdict.
"""
from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from twin import roles, text
from twin.evidence import Labelled, Said
from twin.prompt import CONSTITUTION, example
from twin.role_parts import RoleAdapter
from twin.roles import Role, RoleMap
from twin.router import NONE, Router
from twin.training.samples import runs
from twin.types import Adapter, Embedder, Engine, Prompt, Score, Segment

COLD = 0.05  # stands for a temperature of 0, at which a text that is not the greedy one would have infinite bits
SPELLED = 24  # tokens around header and answer that `price` allows for


@dataclass(frozen=True)
class Asked:
    """A text to foresee: the prompt it follows, at which temperature, and whose turn it is."""

    prompt: Prompt = field(repr=False)
    text: str = field(repr=False)
    temperature: float = 1.0
    role: str = ""


@dataclass(frozen=True)
class Pair:
    """An item under two maps: bits a token before and after. Where nothing of the prompt differs it was scored once and
    is not `touched`."""

    item: Said
    before: Score
    after: Score
    touched: bool
    roles: tuple[str, str]

    @property
    def gain(self) -> float:
        """Bits a token that the second map saves; above 0 is better."""
        return self.before.bits_per_token - self.after.bits_per_token if self.touched else 0.0


@dataclass(frozen=True)
class Choice:
    """A labelled message under two maps: where it goes, whether that is right; `moved`: it is routed otherwise."""

    item: Labelled
    routes: tuple[str, str]
    right: tuple[bool, bool]
    moved: bool

    @property
    def gain(self) -> int:
        """1 right now, -1 right no more, 0 as it was."""
        return int(self.right[1]) - int(self.right[0])


class Remembering:
    """An embedder that embeds no text twice: two maps share most of their examples, and all messages."""

    def __init__(self, embedder: Embedder) -> None:
        self.embedder, self.id, self.dim = embedder, embedder.id, embedder.dim
        self._known: dict[str, list[float]] = {}

    def embed(self, texts: Sequence[str]) -> list[list[float]]:
        """One unit vector of length `dim` for each text."""
        new = [one for one in dict.fromkeys(texts) if one not in self._known]
        if new:
            self._known.update(zip(new, self.embedder.embed(new), strict=True))
        return [self._known[one] for one in texts]


class Under:
    """A map as it would act: who answers what, under which prompt. `corrections`: (text, role) pairs that the router
    knows besides, those of the training part; labels of roles the map does not have are left out.

    `adapter` finds the weights of a role; None: roles speak without theirs.
    """

    def __init__(self, role_map: RoleMap, embedder: Embedder | None = None, *,
                 corrections: Iterable[tuple[str, str]] = (), constitution: str = CONSTITUTION,
                 adapter: Callable[[RoleAdapter], Adapter | None] | None = None) -> None:
        self.role_map, self.constitution, self._adapter = role_map, constitution, adapter
        known = [(said, label) for said, label in corrections if label in role_map.ids or label == NONE]
        self.router = Router(role_map, embedder, corrections=known)
        self._routes: dict[str, tuple[str, bool]] = {}

    def route(self, message: str) -> tuple[str, bool]:
        """The role for a message, and whether it is so only because nobody claims it."""
        if message not in self._routes:
            found = self.router.route(message)
            self._routes[message] = found.role, found.abstained
        return self._routes[message]

    def role(self, item: Said) -> Role:
        """Who answers: the role that gave a kept answer while it is there, else whom the message before it goes to."""
        name = item.role if item.role in self.role_map.ids else self.route(item.asked or item.context)[0]
        return self.role_map.role(name or self.router.default)

    def asked(self, engine: Engine, item: Said, *, header: str | None = None, bare: bool = False) -> Asked:
        """The item as it is scored; `header` stands in for the role's own, `bare` leaves its adapter out."""
        role = self.role(item)
        compiled = role.adapter is not None and role.adapter.instead_of_header and self._adapter is not None
        own = "" if compiled else roles.header(role, tongue(item))
        weights = self._adapter(role.adapter) if self._adapter and role.adapter and not bare else None
        made = example(engine.family, context=item.context, answer="", header=own if header is None else header,
                       role=role.id, constitution=self.constitution, adapters=(weights,) if weights else ())
        temperature = max(role.sampling.temperature, COLD) if item.kind == "kept" else 1.0
        return Asked(made, item.text, temperature, role.id)


def tongue(item: Said) -> str:
    """The language in which a role is told what to do: that of what it answers."""
    return text.language(item.asked or item.context or item.text)


class Bits:
    """A core that scores, and remembers what it scored. `tokens` counts what it was asked to read, shared or not.

    Prompts share what they have in common only where all of their prefix is: a prefix that continues another one is
    read in batches of other sizes, and the same 28 tokens after it then cost SmolLM2 (Q4_1) 189.2 or 190.6 bits.
    """

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self.tokens = 0
        self._known: dict[Asked, Score] = {}
        self._read: tuple[Segment, ...] | None = None

    def __call__(self, asked: Asked) -> Score:
        """Raises what Engine.score raises."""
        if asked not in self._known:
            self._known[asked] = self._score(asked)
            self.tokens += self.price(asked)
        return self._known[asked]

    def price(self, asked: Asked) -> int:
        """Tokens of prompt and text."""
        parts = (segment.text for segment in (*asked.prompt.prefix, *asked.prompt.tail) if not segment.special)
        return sum(len(self.engine.tokenize(part)) for part in (*parts, asked.text)) + SPELLED

    def drift(self) -> float:
        """By how many bits the first text it scored differs when it is scored once more; 0 where nothing was."""
        self._read = None  # answers may have been written since
        for asked, score in self._known.items():
            return abs(sum(self._score(asked).bits) - sum(score.bits))
        return 0.0

    def _score(self, asked: Asked) -> Score:
        forget = getattr(self.engine, "forget", None)  # of an engine that keeps what it has read
        if forget is not None and asked.prompt.prefix != self._read:
            forget()
        self._read = asked.prompt.prefix
        return self.engine.score(asked.prompt, asked.text, temperature=asked.temperature)


def pairs(bits: Bits, before: Under, after: Under, items: Sequence[Said]) -> list[Pair]:
    """Items under both maps, in their order; scored are those whose prompt, temperature or weights differ, of the
    others nothing is known but that nothing changes (scores without bits)."""
    made: dict[int, Pair] = {}
    unread = Score((), 0)
    for place, item in _near(items):
        old, new = before.asked(bits.engine, item), after.asked(bits.engine, item)
        told = (old.role, new.role)
        if _same(old, new):
            made[place] = Pair(item, unread, unread, False, told)
        else:
            first, then = (_read_once(old), _read_once(new)) if old.prompt == new.prompt else (old, new)
            made[place] = Pair(item, bits(first), bits(then), True, told)
    return [made[place] for place in range(len(items))]


def _read_once(asked: Asked) -> Asked:
    """The same with all but the end of the prompt as its prefix: a core reads it once for two temperatures. Where
    adapters would read the parts differently it stays as it is."""
    made = asked.prompt
    if made.adapters:
        return asked
    return replace(asked, prompt=replace(made, prefix=(*made.prefix, *made.tail[:-1]), tail=made.tail[-1:]))


def touched(engine: Engine, before: Under, after: Under, items: Sequence[Said]) -> list[Said]:
    """The items of which the maps would make different prompts; nothing is scored."""
    return [item for item in items if not _same(before.asked(engine, item), after.asked(engine, item))]


def _same(old: Asked, new: Asked) -> bool:
    """Equal to the core: the name of the role is nothing it reads."""
    return (old.prompt.prefix, old.prompt.tail, old.prompt.adapters, old.temperature) == (
        new.prompt.prefix, new.prompt.tail, new.prompt.adapters, new.temperature)


def _near(items: Sequence[Said]) -> list[tuple[int, Said]]:
    """(place, item), those with the same context together: it is read once for them."""
    return sorted(enumerate(items), key=lambda one: (one[1].context, one[0]))


def unlearned(items: Iterable[Said], *maps: RoleMap) -> list[Said]:
    """Those that repeat no eight words in a row of what the maps' headers say: to have copied is not to foresee."""
    told = dict.fromkeys(header for one in maps for header in _headers(one))
    known = set[tuple[str, ...]]().union(*map(runs, told))
    return [item for item in items if known.isdisjoint(runs(item.text))]


# ---- routes ----------------------------------------------------------------------------------------------------------

def choices(before: Under, after: Under, items: Iterable[Labelled],
            same: Mapping[str, Collection[str]] | None = None) -> list[Choice]:
    """Labelled messages under both maps. `same`: what a label means in the second map, where it merged or split roles.
    A label that neither map has is left out: nobody could be right."""
    meant = {name: set(new) for name, new in (same or {}).items()}
    found = []
    for item in items:
        if item.label == NONE or item.label in before.role_map.ids or item.label in after.role_map.ids:
            old, new = before.route(item.text), after.route(item.text)
            right = _right(old, {item.label}), _right(new, meant.get(item.label, {item.label}))
            found.append(Choice(item, (old[0], new[0]), right, old != new))
    return found


def _right(route: tuple[str, bool], labels: set[str]) -> bool:
    """For nobody: the router abstained. For a role: it answers, if only by default."""
    role, abstained = route
    return abstained if labels == {NONE} else role in labels


def rerouted(before: Under, after: Under, messages: Iterable[str]) -> float:
    """The share of messages that another role would answer."""
    told = [before.route(one)[0] != after.route(one)[0] for one in messages]
    return sum(told) / len(told) if told else 0.0


# ---- what a map costs ------------------------------------------------------------------------------------------------

def header_lengths(under: Under, items: Sequence[Said], count: Callable[[str], int]) -> list[int]:
    """Tokens of the header that each of these items is answered under; of all headers where there are no items."""
    told = [roles.header(under.role(item), tongue(item)) for item in items] or _headers(under.role_map)
    known = {one: count(one) for one in dict.fromkeys(told)}
    return [known[one] for one in told]


def _headers(role_map: RoleMap) -> list[str]:
    return [roles.header(role, language) for role in role_map.roles for language in ("en", "ru")]
