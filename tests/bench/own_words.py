"""Adapters of people's words, for the benches of training and likeness: trained once, found again, gone on with.

An adapter lies in a folder named after all that it follows from (core, samples, shape, settings); one that a kill left
half trained goes on from its last checkpoint. People are persona.py's; a long diary entry is cut into pieces of a
message's length, each after the one before, and RUSSIAN is the sentences of many writers in the same form: the only
other Russian at hand, simple made sentences and no person. Nothing of anybody's words is printed or kept in results.
"""
from __future__ import annotations

import json
import math
import statistics
import tempfile
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from tests.bench import persona
from tests.bench.council import Results
from twin import prompt, training
from twin.catalog import Catalog
from twin.errors import UsageError
from twin.home import cache_dir, sha256_of
from twin.text import sentences
from twin.training import checkpoint, examples, steps, tokens
from twin.training.base import Base
from twin.training.examples import Sample, Split
from twin.training.lora import Shape, put_in, take_out
from twin.training.steps import Settings
from twin.training.tokens import Encoded
from twin.types import Adapter, Message, digest

RUSSIAN, DIARIST = "russian text", "diarist"
PIECE = 200    # characters of a piece of a diary
ROOM = 300     # tokens of a sample beside the constitution
LOOKED_AT = 3  # each so-manyth held-out sample tells a training when to stop (as twin.lessons); the others measure
TOGETHER = 300  # learned tokens a step, about; at most 8 samples, so that pieces of a diary cost no more than chat
FACTS = ("before", "after", "best_step", "taken", "samples", "learned_tokens", "characters", "seconds", "dtype",
         "skipped", "peak_bytes", "peak_cuda_bytes", "planned", "a_step")
Pairs = Sequence[tuple[str, Message]]
Say = Callable[[str], None]


# ---- people --------------------------------------------------------------------------------------------------------

@dataclass(frozen=True, repr=False)
class Person:
    """Somebody's words: what is learned, and what is held out to choose by (`looked`) and to measure by (`measured`).
    `said`: the messages behind what is learned, for a profile and for memories."""

    name: str
    tongue: str
    split: Split
    said: Pairs

    @property
    def looked(self) -> tuple[Sample, ...]:
        return self.split.held[::1 if self.name == RUSSIAN else LOOKED_AT]  # that text itself is not measured

    @property
    def measured(self) -> tuple[Sample, ...]:
        return tuple(one for place, one in enumerate(self.split.held) if place % LOOKED_AT)


def people(data: Path) -> dict[str, Person]:
    """All that `data` has: chat people, the diarist, and RUSSIAN where its file is there."""
    found = persona.people(data)
    made = {name: _person(name, "en", said) for name, said in found.items() if name != DIARIST}
    if found.get(DIARIST):
        made[DIARIST] = _person(DIARIST, "ru", cut(found[DIARIST]))
    if (file := data / "ru-first-person-dev.txt").is_file():
        made[RUSSIAN] = _person(RUSSIAN, "ru", cut(_sentences(file)), share=0.9)
    return made


def cut(said: Pairs, size: int = PIECE) -> list[tuple[str, Message]]:
    """Messages in pieces of whole sentences, of at most `size` characters unless one sentence is longer."""
    made = []
    for conversation, message in said:
        pieces: list[str] = []
        for start, end in sentences(message.text):
            one = message.text[start:end].strip()
            if pieces and len(pieces[-1]) + len(one) < size:
                pieces[-1] += f" {one}"
            else:
                pieces.append(one)
        made += [(conversation, replace(message, id=f"{message.id}-{place}", text=one,
                                        time=message.time and message.time + timedelta(seconds=place)))
                 for place, one in enumerate(pieces)]
    return made


def spread(samples: Sequence[Any], n: int) -> list[Any]:
    """At most n of them, evenly through time."""
    n = min(n, len(samples))
    return [samples[place * len(samples) // n] for place in range(n)]


def _person(name: str, tongue: str, said: Pairs, share: float = 0.7) -> Person:
    split = examples.from_messages(said, examples.before(said), share=share)
    keys = {sample.key for sample in split.learn}
    return Person(name, tongue, split, [(talk, one) for talk, one in said if (talk, one.id) in keys])


def _sentences(file: Path) -> list[tuple[str, Message]]:
    """The first-person statements of the file, each once, forty to a made-up day."""
    lines = dict.fromkeys(line[2:].strip() for line in file.read_text("utf-8").splitlines() if line.startswith("T:"))
    said = [line if line.endswith((".", "!", "?")) else f"{line}." for line in lines if line]
    day = datetime(2000, 1, 1, 12, tzinfo=UTC)
    return [(f"text {place}", Message(f"text-{place}", "user", " ".join(said[start:start + 40]),
                                      time=day + timedelta(days=place)))
            for place, start in enumerate(range(0, len(said), 40))]


# ---- in tokens -----------------------------------------------------------------------------------------------------

@dataclass(frozen=True, repr=False)
class Words:
    """What an adapter learns, in words and in tokens, and what it is chosen by."""

    samples: tuple[Sample, ...]
    learn: tuple[Encoded, ...]
    look: tuple[Encoded, ...]

    @property
    def tokens(self) -> int:
        """Learned tokens, all samples once."""
        return sum(sum(one.learned) for one in self.learn)


def core_of(model: str) -> Path:
    """The GGUF of a model of the catalogue, or of a path."""
    return Catalog().path(model)


def words(core: Path, some: Mapping[str, Person], header: str = "") -> dict[str, Words]:
    """Of each person; those of one language get as many learned tokens as the one with fewest has, the newest. Loads
    the core for its vocabulary alone."""
    from twin.engine.llama import LlamaEngine

    with closing(LlamaEngine(core, n_ctx=256, trusted=True)) as engine:
        family, tokenize = engine.family, engine.tokenize
        bare = tokens.encode(prompt.example(family, context="", answer="", header=header), tokenize)
        most = len(bare.prefix) + len(bare.tail) + ROOM

        def encoded(sample: Sample) -> Encoded:
            asked = prompt.example(family, context=sample.context, answer=sample.answer, header=header)
            return tokens.encode(asked, tokenize, max_tokens=most)

        every = {name: [encoded(sample) for sample in one.split.learn] for name, one in some.items()}
        looks = {name: tuple(map(encoded, one.looked)) for name, one in some.items()}
    whole = {name: sum(sum(one.learned) for one in each) for name, each in every.items()}
    least = {tongue: min(whole[name] for name, one in some.items() if one.tongue == tongue)
             for tongue in {one.tongue for one in some.values()}}
    made = {}
    for name, one in some.items():
        learn = newest(every[name], least[one.tongue])
        made[name] = Words(one.split.learn[len(every[name]) - len(learn):], tuple(learn), looks[name])
    return made


def newest(samples: Sequence[Encoded], most: int) -> Sequence[Encoded]:
    """The last of them that hold at most so many learned tokens together."""
    first = len(samples)
    while first and (most := most - sum(samples[first - 1].learned)) >= 0:
        first -= 1
    return samples[first:]


def settings(own: Words, count: int, seed: int, threads: int = 0) -> Settings:
    """Of a training on these words: `count` steps on about TOGETHER learned tokens each, seven looks."""
    batch = max(1, min(8, round(TOGETHER * len(own.learn) / max(1, own.tokens))))
    longest = max(len(one.prefix) + len(one.tail) for one in (*own.learn, *own.look))
    return Settings(steps=count, batch=batch, seed=seed, evaluate_every=max(1, count // 6), evaluate_on=8 * batch,
                    max_tokens=longest, threads=threads)


# ---- adapters ------------------------------------------------------------------------------------------------------

@dataclass(frozen=True)
class Made:
    """A trained adapter and what its training tells."""

    path: Path = field(repr=False)
    kind: str
    facts: Mapping[str, Any]

    @property
    def adapter(self) -> Adapter:
        return Adapter(str(self.path), kind="lora" if self.kind == "lora" else "alora")


def default_cache() -> Path:
    """Where adapters are kept when nothing else is said; it can be removed at any time."""
    return cache_dir() / "bench-adapters"


def adapter(core: Path, own: Words, shape: Shape, how: Settings, cache: Path, say: Say, title: str) -> Made:
    """Trained now, gone on with, or found in `cache`. `facts`: what the manifest tells, and `a_step`: mean seconds of
    the steps of this process (absent for one that was found)."""
    planned = training.plan(core, own.learn, own.look, shape=shape, settings=how)
    folder = cache / _identity(core, own, shape, how)
    facts: Mapping[str, Any] | None = checkpoint.manifest(folder / "adapter")
    if facts is None:
        say(f"{title}: {planned}")
        taken: list[float] = []

        def watch(step: steps.Step) -> None:
            if step.loss is not None:
                taken.append(step.seconds)
            if step.held_bits is not None:
                say(f"{title}: step {step.step}, {step.held_bits:.3f} bits a character")

        made = training.train(planned, folder, watch=watch)
        checkpoint.clear(folder)
        facts = {**made.manifest, **({"a_step": statistics.mean(taken)} if taken else {})}
    return Made(folder / "adapter" / "adapter.gguf", shape.kind, told(facts, how))


def told(facts: Mapping[str, Any], how: Settings) -> dict[str, Any]:
    """What results keep of a training."""
    return {**{name: facts[name] for name in FACTS if name in facts}, "steps": how.steps, "batch": how.batch}


def pace(core: Path, own: Words, shapes: Sequence[Shape], how: Settings, count: int) -> list[float]:
    """Mean seconds of about `count` steps of each shape, over one load of the core; they take turns, so that what
    else the machine does hits all."""
    base = Base.load(core, dtype=how.dtype, device=how.device)  # type: ignore[arg-type]
    taken: list[list[float]] = [[] for _ in shapes]
    turns = max(1, count // 4)
    for _turn in range(turns):
        for place, shape in enumerate(shapes):
            model = put_in(base, shape, how.seed)
            with tempfile.TemporaryDirectory() as folder:
                few = replace(how, steps=1 + math.ceil(count / turns), evaluate_every=0, evaluate_on=1)
                run = steps.Run(model, shape, own.learn, own.look[:1], few, Path(folder), identity={})
                taken[place] += [step.seconds for step in run if step.loss is not None][1:]
            take_out(model)
    return [statistics.fmean(each) for each in taken]


def _identity(core: Path, own: Words, shape: Shape, how: Settings) -> str:
    same = [sha256_of(core), [asdict(one) for side in (own.learn, own.look) for one in side], asdict(shape),
            {name: value for name, value in asdict(how).items() if name not in ("threads", "checkpoint_every")}]
    return digest(json.dumps(same))[:24]


# ---- results -------------------------------------------------------------------------------------------------------

class Lines(Results):
    """council.Results with lines that are found by what they are about."""

    def found(self, **about: Any) -> dict[str, Any] | None:
        """The first line of which all this is true."""
        return next((one for one in self.lines[1:] if all(one.get(key) == value for key, value in about.items())),
                    None)


def numbered(clusters: Sequence[str]) -> list[int]:
    """Conversations as numbers: whose and when stays out of the results."""
    place = {one: number for number, one in enumerate(dict.fromkeys(clusters))}
    return [place[one] for one in clusters]


def chosen(names: str, known: Mapping[str, Any]) -> list[str]:
    """Names from a list with commas. Raises UsageError for one that is not known."""
    asked = [name.strip() for name in names.split(",") if name.strip()]
    if unknown := [name for name in asked if name not in known]:
        raise UsageError(f"There is nobody called {unknown[0]!r}.", f"Known: {', '.join(known)}.")
    return asked


def said_now(what: str) -> None:
    """A line with the time."""
    print(f"{datetime.now(UTC):%H:%M:%S} {what}", flush=True)
