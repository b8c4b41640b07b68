"""Lessons: what a role is to learn, gathered from what there is, in the core's tokens, with what learning it costs.

Knows the archive, the roles and, when it is asked for, the core; knows no torch, which is twin.training's.
"""
from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, get_args

from twin import prompt, roles, text
from twin.adapters import Kept
from twin.archive import Archive
from twin.asking import Asking
from twin.errors import ModelMissing, UsageError
from twin.home import sha256_of
from twin.memory.passages import tags
from twin.person import Profile
from twin.roles import Role
from twin.types import Engine, Message, Progress, Prompt, digest, never

if TYPE_CHECKING:
    from twin.training import Plan
    from twin.training.examples import Sample, Split
    from twin.training.lora import Shape
    from twin.training.steps import Settings
    from twin.training.tokens import Encoded

Source = Literal["messages", "scope", "claims", "stance", "role"]
"""What is learned: all own messages, or those the role may see; approved claims; the core's answers as this role with
the approved claims in front, or as this role alone."""

# Own words below which nothing is learned; whether an adapter of few words is like the person, the gate says.
FEW_WORDS = 1000
FEW_ANSWERS, FEW_HELD = 20, 5  # pairs of claims, or answers of the core: priors as well
LOOKED_AT = 3  # each so-manyth held-out sample tells when to stop; the others stay unseen, for likeness
ENOUGH_HELD = 30  # held-out messages, so that likeness finds its 20 unseen (samples.TO_HOLD)


@dataclass(frozen=True, repr=False)
class Lesson:
    """What a role is to learn, ready: `split` in words, with those held-out samples that the training looks at; `learn`
    and `held` are the same in the core's tokens; and what it costs. `base`: sha256 of the core; `data`: of the words.
    `opening`: token ids from which an activated adapter acts; () where it acts from the role's header on.
    """

    role: Role
    source: Source
    compiled: bool
    split: Split
    render: Callable[[Sample], Prompt]
    learn: tuple[Encoded, ...]
    held: tuple[Encoded, ...]
    shape: Shape
    settings: Settings
    core: Path
    base: str
    data: str
    opening: tuple[int, ...]
    plan: Plan

    def __repr__(self) -> str:
        return f"Lesson({self.role.id!r}, {len(self.learn)} to learn, {len(self.held)} held out)"

    @property
    def words(self) -> int:
        """Words that are learned."""
        return sum(len(sample.answer.split()) for sample in self.split.learn)

    def samples(self, n: int) -> list[Prompt]:
        """So many of the prompts, spread over what is learned, each with its answer marked (twin.training.tokens)."""
        n = min(n, len(self.split.learn))
        return [self.render(self.split.learn[place * len(self.split.learn) // n]) for place in range(n)]

    @property
    def keys(self) -> list[tuple[str, str]] | None:
        """Messages it rests on: those learned, and those they were said after. None where nobody can tell which, as
        with claims, which rest on more than they quote: then it rests on all."""
        if self.source == "role":
            return [sample.key for sample in (*self.split.learn, *self.split.held) if sample.key is not None]
        every = [(sample.key, sample.after) for sample in (*self.split.learn, *self.split.held)]
        if self.source not in ("messages", "scope") or any(key is None for key, _ in every):
            return None
        return list(dict.fromkeys(key for pair in every for key in pair if key is not None))


class Lessons:
    """What one person's roles can learn. `engine` gives the core, `profile` what is known of the person."""

    def __init__(self, archive: Archive, asking: Asking, engine: Callable[[], Engine],
                 profile: Callable[[], Profile]) -> None:
        self.archive, self.asking = archive, asking
        self._engine, self._profile = engine, profile

    def of(self, role: str, *, source: Source = "messages", compiled: bool = False,
               progress: Progress | None = None, cancel: Callable[[], bool] = never, **how: Any) -> Lesson:
        """Gather what `role` is to learn from `source`. `compiled`: learned without the role's header, for which the
        adapter then stands; always so for 'role'. `how`: fields of Shape and Settings (kind, rank, targets, steps...).

        Loads the core for its tokens; for 'stance' and 'role' it also answers questions, which takes minutes to hours.
        Raises UsageError for an unknown role or setting and for too few own words, ModelMissing without torch or core.
        """
        from twin import training
        from twin.training.base import needs_torch

        chosen = self.asking.role_map.role(role)
        if source not in (known := get_args(Source)):
            raise UsageError(f"Nothing can be learned from {source!r}.", f"Choose one of: {', '.join(known)}.")
        shape, settings = _settings(how)
        needs_torch()  # before the core answers for an hour
        compiled = compiled or source == "role"
        split = self._gathered(chosen, source, compiled, progress, cancel)
        return self._encoded(chosen, source, compiled, split, shape, settings, training.plan)

    def _gathered(self, role: Role, source: Source, compiled: bool, progress: Progress | None,
                  cancel: Callable[[], bool]) -> Split:
        from twin.training import examples

        if source in ("messages", "scope"):
            said = list(self.archive.messages())
            own = [pair for pair in said if pair[1].own and (source == "messages" or may_see(role, pair[1]))]
            split = examples.from_messages(own, examples.before(said))
            examples.need(split, words=FEW_WORDS, held=ENOUGH_HELD)
            return _after(split, said)
        if source == "claims":
            split = examples.from_claims(self._profile(), None, self._profile().language)
        else:
            split = examples.together(*self._answered(role, source, compiled, progress, cancel))
        if len(split.learn) < FEW_ANSWERS or len(split.held) < FEW_HELD:
            raise UsageError(f"Too little to learn from: {FEW_ANSWERS} answers are needed, and {FEW_HELD} to measure "
                             f"by; there are {len(split.learn)} and {len(split.held)}.",
                             "Approve more claims (`twin decide approve CLAIM`), or give the role more examples.")
        return split

    def _answered(self, role: Role, source: Source, compiled: bool, progress: Progress | None,
                  cancel: Callable[[], bool]) -> Iterator[Split]:
        """The core's answers to questions of both languages."""
        from twin.training import examples

        own = list(self.archive.messages(own=True))
        for language in ("en", "ru"):
            asked = examples.questions(role, own, language)
            if asked and source == "role":
                yield examples.compiled(self._engine(), role, asked, language, progress=progress, cancel=cancel)
            elif asked:
                yield examples.stance(self._engine(), role, self._profile(), asked, language,
                                      keep_header=not compiled, progress=progress, cancel=cancel)

    def _encoded(self, role: Role, source: Source, compiled: bool, split: Split, shape: Shape, settings: Settings,
                 plan: Callable[..., Plan]) -> Lesson:
        from twin.training import tokens

        split = headed(split, role, compiled)
        split = replace(split, held=split.held[::LOOKED_AT])
        engine = self._engine()
        core = the_file_of(engine)
        constitution = self.asking.constitution

        def render(sample: Sample) -> Prompt:
            made = prompt.example(engine.family, context=sample.context, answer=sample.answer, header=sample.header,
                                  role=role.id, constitution=constitution)
            return tokens.fit(made, engine.tokenize, settings.max_tokens)

        written = prompt.opening(engine.family, "off")
        as_asked = written == prompt.opening(engine.family, role.thinking)  # else chat never writes it: no invocation
        opening = tuple(engine.tokenize(written, special=True)) if as_asked and shape.kind == "alora" else ()

        def encoded(sample: Sample) -> Encoded:
            made = tokens.encode(render(sample), engine.tokenize)
            return tokens.opened(made, opening) if opening else made

        learn, held = ([encoded(sample) for sample in side] for side in (split.learn, split.held))
        return Lesson(role, source, compiled, split, render, tuple(learn), tuple(held), shape, settings, core,
                      base=sha256_of(core), data=_data(split),
                      opening=opening,
                      plan=plan(core, learn, held, shape=shape, settings=settings))

    def control(self, kept: Kept, theirs: Split) -> Lesson:
        """The lesson of an adapter with another person's words: equal settings, and no more samples than it learned
        from, the newest of them."""
        from twin import training
        from twin.training.lora import Shape
        from twin.training.steps import Settings

        shape, settings = dict(kept.facts["shape"]), dict(kept.facts["settings"])
        return self._encoded(
            self.asking.role_map.role(kept.role), "messages", kept.compiled,
            replace(theirs, learn=theirs.learn[-kept.samples:]),
            Shape(**{**shape, "targets": tuple(shape["targets"])}), Settings(**settings), training.plan)


def _after(split: Split, said: Sequence[tuple[str, Message]]) -> Split:
    """With the key of the message before each sample, which is its context."""
    keys = [(conversation, message.id) for conversation, message in said]
    before = {key: last for last, key in pairwise(keys) if last[0] == key[0]}

    def of(sample: Sample) -> Sample:
        return replace(sample, after=before.get(sample.key) if sample.key and sample.context else None)

    return replace(split, learn=tuple(map(of, split.learn)), held=tuple(map(of, split.held)))


def may_see(role: Role, message: Message) -> bool:
    """Whether a message is in the memory scope of a role."""
    own = set(tags(message))
    include, exclude = role.memory.include, role.memory.exclude
    return (not include or not own.isdisjoint(include)) and own.isdisjoint(exclude)


def headed(split: Split, role: Role, compiled: bool) -> Split:
    """With the header that chat would write before each answer: in the language of what is answered; none where the
    adapter stands for it."""
    def of(sample: Sample) -> Sample:
        language = text.language(sample.context or sample.answer)
        return replace(sample, header="" if compiled else roles.header(role, language))

    return replace(split, learn=tuple(map(of, split.learn)), held=tuple(map(of, split.held)))


def hash_of_key(key: tuple[str, str]) -> str:
    """What a manifest keeps of a message that was learned: enough to know it again, nothing to read."""
    return digest("\n".join(key))[:12]


def the_file_of(engine: Engine) -> Path:
    """The GGUF a core runs. Raises ModelMissing for a core that is no file."""
    path = getattr(engine, "path", None)
    if path is None:
        raise ModelMissing(f"The core {engine.id} is no file that could be trained.",
                           "Open the twin with a GGUF: --model NAME or PATH.")
    return Path(path)


def _settings(how: Mapping[str, Any]) -> tuple[Shape, Settings]:
    from twin.training.lora import Shape
    from twin.training.steps import Settings

    names = {kind: {one.name for one in fields(kind)} for kind in (Shape, Settings)}
    unknown = [name for name in how if not any(name in known for known in names.values())]
    if unknown:
        raise UsageError(f"Training has no setting {unknown[0]!r}.",
                         f"Known: {', '.join(sorted(name for known in names.values() for name in known))}.")
    shape, settings = ({name: how[name] for name in how if name in names[kind]} for kind in (Shape, Settings))
    return Shape(**shape), Settings(**settings)


def _data(split: Split) -> str:
    sides = [[(one.context, one.answer, one.header) for one in side] for side in (split.learn, split.held)]
    return digest(json.dumps(sides))
