"""Bits a character under conditions: what a core foresees of a person's words with nothing, with a profile, recall, an
adapter; and of general text, to see what an adapter costs.

Words are scored where chat would write them, in the prompt they are learned in (`prompt.example`). A core that was told
or trained to write like somebody foresees that person's words better, in fewer bits. The claim is always own against
other: any chat adapter foresees chat better than a core that never saw one.
"""
from __future__ import annotations

import tomllib
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache
from importlib.resources import files

from twin.errors import UsageError
from twin.likeness.intervals import Estimate, clusters, paired, pooled
from twin.prompt import ALONE, CONSTITUTION, example, plain, with_memories
from twin.text import language
from twin.training.samples import Sample
from twin.types import Adapter, Engine, Progress, Prompt, Recalled, never

Recall = Callable[[str], Sequence[Recalled]]
"""What was said before -> memories. It must not know what is measured: only what is older than the held-out words."""

LONGEST = 600  # characters of an answer that are scored: one long diary entry is no fifty messages
_ASKED = "Write the next message of this person, as they would write it."
# Anybody: what a prompt gains by saying that a person writes, in their language, and nothing of who it is.
PERSONA = {"en": "You write as an ordinary person chatting online: informally, briefly, about whatever they are doing. "
                 "Answer as that person would.",
           "ru": "Ты пишешь как обычный человек в переписке: просто, коротко, о том, чем он сейчас занят. "
                 "Отвечай так, как ответил бы этот человек."}


@dataclass(frozen=True)
class Condition:
    """What a core is given: a text about the person, an adapter, memories for what was said before."""

    name: str
    about: str = field(default="", repr=False)
    adapter: Adapter | None = None
    recall: Recall | None = field(default=None, repr=False)
    constitution: str = field(default=CONSTITUTION, repr=False)


@dataclass(frozen=True)
class Scored:
    """Bits and characters of each sample under a condition, in the order of the samples."""

    condition: str
    bits: tuple[float, ...] = field(repr=False)
    characters: tuple[int, ...] = field(repr=False)
    clusters: tuple[str, ...] = field(repr=False)

    @property
    def per_character(self) -> Estimate:
        """Bits a character over all samples, with the interval over conversations."""
        return pooled(self.bits, self.clusters, self.characters)

    def saves(self, other: Scored) -> Estimate:
        """Bits a character that this condition needs less than the other one on the same samples: above 0 is better.
        Raises UsageError where the samples are not the same."""
        if self.characters != other.characters:
            raise UsageError(f"{self.condition} and {other.condition} were measured on other samples.",
                             "Measure both conditions on the same samples, to the end.")
        return paired(other.bits, self.bits, self.clusters, self.characters)


def standard(*, about: str = "", recall: Recall | None = None, own: Adapter | None = None,
             other: Adapter | None = None, tongue: str = "en",
             constitution: str = CONSTITUTION) -> tuple[Condition, ...]:
    """The conditions of the table; those whose part is not there are left out. `about` is the profile prompt, `tongue`
    that of the generic persona, 'ru' or 'en'.

    A name with "+" adds to the row before it (adapters both to profile and recall); an adapter also stands alone, since
    it is learned without them. The last row of the table, the own adapter on another's words, is "base" and "own
    adapter" measured again on that person's samples.
    """
    made = [Condition("base"), Condition("generic persona", PERSONA.get(tongue, PERSONA["en"]))]
    if about:
        made.append(Condition("profile prompt", about))
    if recall:
        made.append(Condition("+ recall", about, recall=recall))
    adapters = [(name, adapter) for name, adapter in (("own adapter", own), ("another's adapter", other)) if adapter]
    if about or recall:
        made += [Condition(f"+ {name}", about, adapter, recall) for name, adapter in adapters]
    made += [Condition(name, adapter=adapter) for name, adapter in adapters]
    return tuple(replace(one, constitution=constitution) for one in made)


def asked(engine: Engine, condition: Condition, sample: Sample) -> Prompt:
    """The prompt whose answer is scored: as in chat and in training, with the condition's parts."""
    before = sample.context
    if condition.recall and (memories := condition.recall(before)):
        before = with_memories(before or ALONE, memories, language(before or sample.answer))
    return example(engine.family, context=before, answer="", header=sample.header, about=condition.about,
                   constitution=condition.constitution, adapters=(condition.adapter,) if condition.adapter else ())


def measure(engine: Engine, condition: Condition, samples: Sequence[Sample], *, progress: Progress | None = None,
            cancel: Callable[[], bool] = never, longest: int = LONGEST) -> Scored:
    """Bits and characters of each answer after its context; of a long answer the first `longest` characters count.

    Cancelled, it returns what was scored so far. Raises UsageError for an empty answer, PromptTooLong where the
    condition does not fit the core's context: a sample left out would make two conditions incomparable.
    """
    bits: list[float] = []
    characters: list[int] = []
    for number, sample in enumerate(samples):
        if cancel():
            break
        score = engine.score(asked(engine, condition, sample), sample.answer[:longest])
        bits.append(sum(score.bits))
        characters.append(score.characters)
        if progress:
            progress(f"scored under {condition.name}", number + 1, len(samples))
    return Scored(condition.name, tuple(bits), tuple(characters), tuple(clusters(samples)[:len(bits)]))


@lru_cache(maxsize=1)
def general() -> tuple[Sample, ...]:
    """General text, English and Russian: prose, facts, instructions, dialogue, code; each a sample of its own. What an
    adapter costs is bits a character on it with the adapter, less those without: `-own.saves(base).value`."""
    table = tomllib.loads((files("twin") / "seed" / "general.toml").read_text(encoding="utf-8"))
    return tuple(Sample(one.get("asked", ""), one["text"].strip(), conversation=f"general {tongue} {number}")
                 for tongue in ("en", "ru") for number, one in enumerate(table[tongue]))


def bits(engine: Engine, about: str, messages: Iterable[str]) -> list[float]:
    """Bits a character of each message, as the next thing the person of this profile (`about`) writes.

    The core reads the profile once; the messages share it. Raises UsageError for an empty message.
    """
    prompt = plain(engine.family, [("system", about), ("user", _ASKED)])
    return [engine.score(prompt, message).bits_per_character for message in messages]
