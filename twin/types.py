"""The nouns of the product: frozen values, equal by content; ids belong to storage. Standard library only.

Knows nothing of files, stores, models or faces. Reprs are short and never show what a person wrote.
"""
from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields, is_dataclass
from datetime import datetime
from hashlib import sha256
from typing import Any, Literal, Protocol, runtime_checkable

Speaker = Literal["user", "assistant", "system", "tool", "other"]
Language = Literal["ru", "en", "und"]


def digest(text: str) -> str:
    """sha256 of the UTF-8 of a text, in hex: the hash of every quote and content here."""
    return sha256(text.encode("utf-8")).hexdigest()


# ---- what was said ---------------------------------------------------------------------------------------------

@dataclass(frozen=True, repr=False)
class Message:
    """One thing that was said. `text` is repaired and in NFC; `raw` keeps the original UTF-8 bytes when they differ.

    `own` says whether the person themselves wrote it; when not given it follows from `role`.
    `flags`: repaired, edited, forwarded, attachment, hidden, note, custom_instructions, memory (what a provider noted
    about the person), fiction (a played role), inactive (a branch left behind), local_time (the file named no zone),
    file_time (only the file's own), code, quoted, copied, pasted (parts of the text are not the writer's own).
    `source` is the kind of file it came from; the archive fills it in.
    """

    id: str
    role: Speaker
    text: str
    author: str | None = None
    time: datetime | None = None
    own: bool | None = None
    flags: tuple[str, ...] = ()
    raw: bytes | None = None
    source: str | None = field(default=None, compare=False)

    def __post_init__(self) -> None:
        if self.own is None:
            foreign = {"forwarded", "attachment", "hidden", "fiction", "memory"}
            own = self.role == "user" and not foreign & set(self.flags)
            object.__setattr__(self, "own", own)

    def __repr__(self) -> str:
        return f"Message({self.id!r}, {self.role}, {len(self.text)} characters)"


@dataclass(frozen=True, repr=False)
class Conversation:
    """Messages in order. `source` names the kind of file it came from (chatgpt, nexus, markdown, messages, ...)."""

    id: str
    messages: tuple[Message, ...]
    title: str | None = None
    source: str | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "messages", tuple(self.messages))

    def __repr__(self) -> str:
        return f"Conversation({self.id!r}, {len(self.messages)} messages, {self.source})"


@dataclass(frozen=True)
class Repair:
    """What the mojibake rule changed in one file: codec it was wrongly read as, a line before and after."""

    file: str
    codec: str
    lines: int
    before: str = field(repr=False)
    after: str = field(repr=False)


@dataclass(frozen=True)
class ImportReport:
    """What became of everything an import saw, counted in messages; `reconciles` is checked, not hoped for.

    A conversation that cannot be read counts as one failed item; the reasons stand in `failures`. `carried` counts the
    claims that exports of a twin hold, `waiting` those of them that now wait for the person's yes.
    """

    seen: int = 0
    imported: int = 0
    updated: int = 0
    unchanged: int = 0
    skipped: Mapping[str, int] = field(default_factory=dict)
    failed: int = 0
    conversations: int = 0
    roles: Mapping[str, int] = field(default_factory=dict)
    own: int = 0
    files: tuple[str, ...] = ()
    repairs: tuple[Repair, ...] = ()
    failures: tuple[str, ...] = ()
    dry_run: bool = False
    carried: int = 0
    waiting: int = 0

    @property
    def reconciles(self) -> bool:
        """True when seen = imported + updated + unchanged + skipped + failed."""
        return self.seen == self.imported + self.updated + self.unchanged + sum(self.skipped.values()) + self.failed


@dataclass(frozen=True)
class Scope:
    """Which memories may be recalled; an empty part leaves all of them in.

    Tags of a message are the kind of its source, its flags and its language: `tags` keeps messages with one of them,
    `without` leaves out those with any. `people` keeps what these authors said; `since` and `until` are inclusive, and
    leave out what has no time. `exclude` leaves out whole conversations.
    """

    own: bool | None = None
    tags: tuple[str, ...] = ()
    without: tuple[str, ...] = ()
    people: tuple[str, ...] = ()
    since: datetime | None = None
    until: datetime | None = None
    exclude: tuple[str, ...] = ()


# ---- how a turn flows ------------------------------------------------------------------------------------------

@dataclass(frozen=True)
class Sampling:
    """How the next token is drawn. temperature 0 is greedy; seed None draws a new one each time."""

    temperature: float = 0.7
    top_p: float = 0.9
    top_k: int = 40
    min_p: float = 0.05
    repeat_penalty: float = 1.05
    max_tokens: int = 400
    seed: int | None = None


@dataclass(frozen=True)
class Example:
    """A routing example that spoke for a role, and how near it was (0..1)."""

    role: str
    text: str = field(repr=False)
    similarity: float = 0.0


@dataclass(frozen=True)
class Route:
    """The chosen role, the probability of each, and the reason in words. `asked`: the person named the role;
    `abstained`: no example was near, so it is the default role."""

    role: str
    probabilities: Mapping[str, float]
    reason: str = field(repr=False)
    nearest: tuple[Example, ...] = field(default=(), repr=False)
    asked: bool = False
    abstained: bool = False

    @property
    def probability(self) -> float:
        """Probability of the chosen role."""
        return self.probabilities.get(self.role, 0.0)

    @property
    def sure(self) -> str:
        """How it was chosen, in a word: asked for, by default, or its probability."""
        return "asked for" if self.asked else "by default" if self.abstained else f"{self.probability:.0%}"


@dataclass(frozen=True)
class Written:
    """The token ids an answer was written with, and the core that wrote it (`Engine.id`).

    The same text can be spelled with other tokens, so only these ids continue the cache of that answer.
    """

    core: str
    ids: tuple[int, ...] = field(repr=False)


@dataclass(frozen=True)
class Segment:
    """A piece of a prompt. Only `special` text may hold control tokens; `learned` marks the training mask.

    `written` keeps the ids of an answer: the core that wrote it reads these instead of spelling the text anew.
    """

    text: str = field(repr=False)
    part: str
    special: bool = False
    learned: bool = False
    written: Written | None = field(default=None, repr=False)


@dataclass(frozen=True)
class Adapter:
    """A GGUF that changes the weights while a role speaks, and how strongly: a LoRA or a control vector.

    kind 'lora' acts on the whole prompt, which then has a cache of its own. 'alora' (activated LoRA, Greenewald et
    al. 2025) acts from its invocation tokens on, or from the role's tail on when the file names none; all before is
    shared. 'auto' takes what the file says of itself.
    """

    path: str = field(repr=False)
    scale: float = 1.0
    kind: Literal["auto", "lora", "alora", "control"] = "auto"


@dataclass(frozen=True)
class Family:
    """The chat form of a family of cores: what stands before and after what each speaker says.

    `start` opens every prompt; `opening` is what an answer follows. `system` None: the form has no system message,
    so that text joins the next user message.
    """

    name: str
    system: tuple[str, str] | None
    user: tuple[str, str]
    assistant: tuple[str, str]
    opening: str
    start: str = ""

    @property
    def thinks(self) -> bool:
        """Whether an answer begins inside the thoughts, because the opening has opened them."""
        return self.opening.rstrip().endswith("<think>")


@dataclass(frozen=True)
class Prompt:
    """`prefix` is common to all roles and shared between sequences; `tail` is the role's own, just before the answer.

    `role` names whose tail it is, `memories` those that fit, `dropped` says in words what did not fit the budget.
    `adapters` change the weights that read the tail and write the answer (a plain LoRA: all of it).
    """

    prefix: tuple[Segment, ...]
    tail: tuple[Segment, ...]
    role: str = ""
    memories: tuple[Recalled, ...] = ()
    dropped: tuple[str, ...] = ()
    adapters: tuple[Adapter, ...] = ()

    @property
    def text(self) -> str:
        """The prompt as one string, control tokens spelled out. For eyes; token ids come from the segments."""
        return "".join(segment.text for segment in self.prefix + self.tail)


@dataclass(frozen=True)
class Usage:
    """Tokens and seconds of one answer, and how it ended. `reused` prompt tokens were not read again.

    `header` counts the tokens of the role's instructions that were read for this answer; `reread` those of past
    exchanges, which other weights had read or written, or another run. Both are the price of changing roles.
    """

    prompt_tokens: int = 0
    reused: int = 0
    header: int = 0
    reread: int = 0
    generated: int = 0
    first_token_s: float = 0.0
    total_s: float = 0.0
    finish: Literal["stop", "length", "cancelled"] = "stop"


@dataclass(frozen=True)
class Piece:
    """What an engine yields: text as it comes; the last piece carries `finish`, usage and the ids of the answer."""

    text: str = field(repr=False)
    finish: Literal["stop", "length", "cancelled"] | None = None
    usage: Usage | None = None
    written: Written | None = field(default=None, repr=False)


@dataclass(frozen=True)
class Score:
    """How well a core foresees a text: -log2 p of each token, and how many characters they spell."""

    bits: tuple[float, ...]
    characters: int

    @property
    def bits_per_token(self) -> float:
        """Mean bits a token."""
        return sum(self.bits) / max(len(self.bits), 1)

    @property
    def bits_per_character(self) -> float:
        """Bits a character (code point): comparable between cores with other vocabularies."""
        return sum(self.bits) / max(self.characters, 1)


# ---- a council ---------------------------------------------------------------------------------------------------

@dataclass(frozen=True)
class Hypothesis:
    """A council member's typed answer. As an event: one that was just written; `weight` is 0 until it is weighed.

    `evidence` holds numbers of the turn's memories, from 1, that exist; `opinion` is the place of its opinion in
    `Verdict.opinions`.
    """

    role: str
    text: str = field(repr=False)
    prediction: str = field(default="", repr=False)
    falsifier: str = field(default="", repr=False)
    unit: str = ""
    evidence: tuple[int, ...] = ()
    opinion: int = 0
    weight: float = 0.0


@dataclass(frozen=True)
class Opinion:
    """Hypotheses that say the same: the one nearest to all of them, its weight (0..1), and what gave it.

    `interval` is that of the weight, None where nothing was calibrated; `features` are the contributions by name
    (evidence, agreement, track, ...), `off` tells why a feature carries none. `held_by` names roles.
    """

    text: str = field(repr=False)
    weight: float
    held_by: tuple[str, ...]
    interval: tuple[float, float] | None = None
    features: Mapping[str, float] = field(default_factory=dict)
    off: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Control:
    """What the best single role says when it is sampled to the same number of tokens: the council must be worth it."""

    role: str
    answer: str = field(repr=False)
    samples: int = 0
    tokens: int = 0
    seconds: float = 0.0


@dataclass(frozen=True)
class Verdict:
    """What a council came to. `opinions` are those heard, heaviest first; `none` is the weight of "none of these".

    `votes` is the effective number of independent votes, N / (1 + (N - 1) rho). `calibrated` counts the labelled
    questions behind the weights; at 0 they are an uncalibrated prior and carry no % sign. `how` tells where the answer
    is from: the opinion nearest to all (medoid), a synthesis of them, or 'none' where none deserves trust. `dissent`
    holds places of opinions that differ from the answer and were not negligible. `missing` names measurements that
    would decide. `failed` tells why a role, the synthesis or the control gave nothing. `tokens` were written, by the
    members and the synthesis; `prompt_tokens` are those of all their prompts, `reused` those that were not read again;
    the first hypothesis came after `first_s`.
    """

    hypotheses: tuple[Hypothesis, ...] = field(repr=False)
    opinions: tuple[Opinion, ...] = field(repr=False)
    none: float
    votes: float
    calibrated: int = 0
    how: Literal["medoid", "synthesis", "none"] = "medoid"
    dissent: tuple[int, ...] = ()
    missing: tuple[str, ...] = field(default=(), repr=False)
    failed: Mapping[str, str] = field(default_factory=dict)
    tokens: int = 0
    seconds: float = 0.0
    control: Control | None = None
    prompt_tokens: int = 0
    reused: int = 0
    first_s: float = 0.0


@dataclass(frozen=True)
class Turn:
    """One exchange with everything that produced it. `str(turn)` is the answer; `cited` counts its memories from 1.

    `header` is the role's instruction the answer was given under, whether it was read for this turn or stood in the
    history already; `adapted` says that an adapter wrote the answer, so that other weights have to read it again.
    `verdict` is there when a council answered.
    """

    id: str
    conversation: str
    question: str = field(repr=False)
    answer: str = field(repr=False)
    route: Route
    status: Literal["answered", "interrupted"]
    model: str
    role_map: str
    memories: tuple[Recalled, ...] = field(default=(), repr=False)
    cited: tuple[int, ...] = ()
    dropped: tuple[str, ...] = ()
    thinking: str = field(default="", repr=False)
    usage: Usage = Usage()
    time: datetime | None = None
    header: str = field(default="", repr=False)
    adapted: bool = False
    written: Written | None = field(default=None, repr=False)
    verdict: Verdict | None = None

    @property
    def who(self) -> str:
        """Who answered: a role, or a council."""
        return "council" if self.verdict else self.route.role

    def __str__(self) -> str:
        return self.answer


# ---- events of a turn, in the order in which they can come -------------------------------------------------------

@dataclass(frozen=True)
class Routed:
    """The message has a role."""

    route: Route


@dataclass(frozen=True, repr=False)
class Recalled:
    """A passage that was found, the ids of its messages, and why it was found. As an event: one a memory used."""

    message_ids: tuple[str, ...]
    text: str
    score: float
    why: str
    conversation: str = ""
    role: str = "user"
    time: datetime | None = None

    def __repr__(self) -> str:
        return f"Recalled({', '.join(self.message_ids)}, {self.score:.3f})"


@dataclass(frozen=True)
class Thinking:
    """Reasoning text of a core that thinks aloud; not part of the answer."""

    text: str = field(repr=False)


@dataclass(frozen=True)
class Token:
    """A piece of the answer, as it comes."""

    text: str = field(repr=False)


@dataclass(frozen=True)
class Weighed:
    """The council has weighed what it heard; the answer follows."""

    verdict: Verdict


@dataclass(frozen=True)
class Answered:
    """The turn is complete and stored."""

    turn: Turn


@dataclass(frozen=True)
class Interrupted:
    """The person stopped the answer; the part that was written is stored with status 'interrupted'."""

    turn: Turn


@dataclass(frozen=True)
class Failed:
    """The turn cannot go on. `error` is one of twin.errors; nothing of the turn is stored."""

    error: Exception


Event = Routed | Recalled | Thinking | Token | Hypothesis | Weighed | Answered | Interrupted | Failed


# ---- parts that come in by argument ----------------------------------------------------------------------------

Progress = Callable[[str, int, int | None], None]
"""Called with (what is done now, done so far, total or None). Faces draw it; the core never prints."""


def never() -> bool:
    """The cancel function of those who never cancel."""
    return False


@runtime_checkable
class Engine(Protocol):
    """A core that continues prompts, one thread at a time. Real engines and the scripted one enter by this door."""

    id: str
    family: Family
    n_ctx: int
    parameters: int
    """How many weights it has; 0 where that is not known."""

    @property
    def notes(self) -> tuple[str, ...]:
        """What differs from what was asked for, in words."""
        ...

    def tokenize(self, text: str, *, special: bool = False) -> list[int]:
        """Token ids from the core's own vocabulary; with special=False control tokens in the text stay text."""
        ...

    def stream(self, prompt: Prompt, sampling: Sampling, *, schema: Mapping[str, Any] | None = None,
               cancel: Callable[[], bool] = never) -> Iterator[Piece]:
        """Continue the prompt. With a JSON schema the output is forced by grammar. Always ends with a finish piece."""
        ...

    def stream_many(self, prompts: Sequence[Prompt], samplings: Sequence[Sampling], *,
                    schemas: Sequence[Mapping[str, Any] | None] = (),
                    cancel: Callable[[], bool] = never) -> list[Iterator[Piece]]:
        """Several continuations at once, one iterator each, in the order of the prompts.

        Prompts with the same adapters decode in one batch; pulling any iterator moves the others of its batch on.
        """
        ...

    def score(self, prompt: Prompt, continuation: str, *, temperature: float = 1.0) -> Score:
        """Bits of a text as the continuation of the prompt, drawn at this temperature (logits / temperature before the
        softmax). Raises UsageError for an empty one, and for a temperature that is not above 0."""
        ...

    def prepare(self, prompt: Prompt, *, keep: bool = False, cancel: Callable[[], bool] = never) -> int:
        """Read what the prompt shares with others now, in idle time; returns the tokens that were read. `keep` saves
        what is read by then for another run."""
        ...

    def choose(self, prompt: Prompt, options: Sequence[str]) -> list[float]:
        """Probabilities of the options as the next text, by the logits of each option's first token; they sum to 1."""
        ...

    def close(self) -> None:
        """Free the weights."""
        ...


@runtime_checkable
class Embedder(Protocol):
    """Texts to unit vectors. `id` is stored beside every vector, so that vectors of two embedders never mix."""

    id: str
    dim: int

    def embed(self, texts: Sequence[str]) -> list[list[float]]:
        """One unit vector of length `dim` for each text."""
        ...


def to_plain(value: Any) -> Any:
    """Nouns to what JSON can hold: dataclasses to dicts, tuples to lists, times to ISO 8601, bytes to hex."""
    if is_dataclass(value) and not isinstance(value, type):
        plain = {f.name: to_plain(getattr(value, f.name)) for f in fields(value)}
        if hasattr(value, "hash"):
            plain["hash"] = value.hash
        return plain
    if isinstance(value, Mapping):
        return {str(key): to_plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple, set, frozenset)):
        return [to_plain(item) for item in value]
    if isinstance(value, datetime):
        return value.isoformat()
    if isinstance(value, bytes):
        return value.hex()
    return value if isinstance(value, (str, int, float, bool, type(None))) else str(value)
