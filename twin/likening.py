"""Likening: whether an adapter is more like the person, and at what price; gathers what twin.likeness measures.

What is held out was never learned: the messages that were, or by which the training chose, are known by the hashes of
their keys in the manifest. The profile that a condition may use is made of those; memories are older than all that is
measured. The claim is always own
against other: an adapter of another person's words, trained with the same settings, foresees chat better too. What the
gate says is noted in the manifest; an adapter it lets on is switched on.
"""
from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from itertools import filterfalse
from pathlib import Path
from typing import TYPE_CHECKING, Any

from twin import importers, profile, text
from twin.adapters import Kept, refuse_control
from twin.apprentice import Apprentice
from twin.archive import Archive
from twin.asking import MEMORIES, MIN_SCORE
from twin.errors import StaleAdapter, UsageError
from twin.exporters.prompt import prompt
from twin.home import Home, write_atomically
from twin.lessons import FEW_WORDS, hash_of_key, headed, may_see
from twin.records import Records
from twin.types import Adapter, Embedder, Engine, Message, Progress, Recalled, Sampling, Scope, never

if TYPE_CHECKING:
    from twin.likeness import Condition, Gate, Scored, Table
    from twin.training.examples import Sample, Split

Pairs = Sequence[tuple[str, Message]]

HELD, QUICK = 100, 30  # messages that are measured
REPLIES = 24           # answers that are written to see whose style they have and what they copy
SHORT = 64             # tokens of such an answer
PROFILE = 2000         # characters of the profile prompt: each condition reads it once
_BASE, _OWN, _OTHER = "base", "own adapter", "another's adapter"  # as twin.likeness.standard calls them
FEWEST = 0.5           # of the words of one side that the other must have to be compared


@dataclass(frozen=True)
class Likeness:
    """The table, what the gate says of the adapter (None: none was measured), whether a role speaks through it now, and
    where the figures lie. `missing`: what was not measured, and what would be needed."""

    table: Table
    gate: Gate | None
    adapter: str
    role: str
    on: bool
    path: Path
    missing: tuple[str, ...] = ()

    def _repr_markdown_(self) -> str:
        said = f"\n**{self.gate}**\n" if self.gate else ""
        return self.table.markdown() + said + "".join(f"\n- {line}" for line in self.missing)


@dataclass
class _Run:
    """One measurement under way: `own` is what was learned and what is held out, `other` the same of the other one."""

    engine: Callable[[], Engine]
    own: Split
    held: tuple[Sample, ...]
    kept: Kept | None
    other: Split | None
    control: Kept | None
    progress: Progress | None
    cancel: Callable[[], bool]
    table: Table
    missing: list[str] = field(default_factory=list)
    conditions: dict[str, Condition] = field(default_factory=dict)
    scored: dict[str, Scored] = field(default_factory=dict)

    @property
    def alone(self) -> list[Condition]:
        """The core by itself, and with each adapter."""
        return [self.conditions[name] for name in (_BASE, _OWN, _OTHER) if name in self.conditions]


class Likening:
    """Measures for one twin. `engine` gives the core, loaded anew where training freed it."""

    def __init__(self, apprentice: Apprentice, records: Records, embedder: Embedder | None,
                 engine: Callable[[], Engine]) -> None:
        self.apprentice, self.records, self.embedder, self._engine = apprentice, records, embedder, engine

    def on(self, engine: Engine) -> Likening:
        """The same, with another core."""
        return Likening(self.apprentice, self.records, self.embedder, lambda: engine)

    def measure(self, role: str = "", *, adapter: str = "", other: Path | None = None, me: Iterable[str] = (),
                held: int = 0, quick: bool = False, progress: Progress | None = None,
                cancel: Callable[[], bool] = never) -> Likeness:
        """Measure the role's newest adapter (or the one named), on at most `held` messages that it never saw.

        `other`: another person's export, folder or home, `me` their names in chats of several people; an adapter of
        their words is trained first, with the same settings, and kept to be compared with. Without it the gate says
        no: nothing is known against another. `quick`: fewer messages, no questions and no answers.
        Raises UsageError for an unknown role or adapter and for too few words, StaleAdapter, what training raises.
        """
        from twin.likeness import Table

        kept = self._adapter(role, adapter)
        said = list(self.records.archive.messages())
        own = self._split(said, kept)
        theirs = self._other(other, tuple(me), said) if other else None
        if kept:
            self.apprentice.adapters.refuse_unfit(kept.path, self._engine().id)
        control = self._control(kept, theirs, progress, cancel) if kept and theirs else None
        chosen = _spread(own.held, held or (QUICK if quick else HELD))
        run = _Run(self._engine, own, chosen, kept, theirs, control, progress, cancel,
                   Table(f"Likeness on {len(chosen)} held-out messages ({self._engine().id.partition('@')[0]})"))
        self._bits(run)
        general = self._general(run)
        if not quick:
            self._questions(run)
            self._replies(run)
        return self._told(run, general)

    # ---- what is measured --------------------------------------------------------------------------------------

    def _adapter(self, role: str, name: str) -> Kept | None:
        if role:
            self.apprentice.asking.role_map.role(role)
        known = self.apprentice.adapters.all(role=role or None)
        if not (role or name or known):
            return None
        kept = self.apprentice.adapters.get(name, role=role) if role or name else known[-1]
        refuse_control(kept)
        if self.apprentice.stale(kept):
            raise StaleAdapter(f"The adapter {kept.sha256[:12]} was trained on messages that you have taken back "
                               "since.", f"Train it again: `twin train {kept.role}`.")
        return kept

    def _split(self, said: Pairs, kept: Kept | None) -> Split:
        """What the adapter learned from, and own messages it did not; without one, the cut it would have had."""
        from twin.training import examples
        from twin.training.samples import TO_HOLD

        role = self.apprentice.asking.role_map.role(kept.role) if kept else None
        scope = role if kept and kept.source == "scope" else None
        own = [pair for pair in said if pair[1].own and (scope is None or may_see(scope, pair[1]))]
        split = examples.from_messages(own, examples.before(said))
        seen = set(kept.facts.get("learned", ())) if kept else set()

        def known(sample: Sample) -> bool:
            return sample.key is not None and hash_of_key(sample.key) in seen

        if kept and kept.source in ("messages", "scope"):
            every = (*split.learn, *split.held)
            split = examples.together(examples.Split(tuple(filter(known, every)), tuple(filterfalse(known, every)), {}))
        split = replace(split, held=tuple(filterfalse(known, split.held)))
        if len(split.held) < TO_HOLD:
            raise UsageError(f"{TO_HOLD} own messages that were not learned are needed to measure by; there "
                             f"are {len(split.held)}.", "Import more of what you wrote with `twin import PATH`.")
        return headed(split, role, kept.compiled) if role and kept else split

    def _other(self, place: Path, me: tuple[str, ...], mine: Pairs) -> Split:
        from twin.training import examples

        said = words_of(place, me)
        own = [pair for pair in said if pair[1].own]
        known = {message.text for _, message in mine if message.own}
        if own and sum(message.text in known for _, message in own) * 2 > len(own):
            raise UsageError(f"What {place} holds is your own.", "Name an export or a home of another person.")
        split = examples.from_messages(own, examples.before(said))
        words = sum(len(sample.answer.split()) for sample in split.learn)
        if words < FEW_WORDS or not split.held:
            raise UsageError(f"Too few words of the other person: {FEW_WORDS:,} to learn from are needed, and some to "
                             f"measure by; there are {words:,}.", "Name a larger export, folder or home with --other.")
        return split

    def _control(self, kept: Kept, theirs: Split, progress: Progress | None, cancel: Callable[[], bool]) -> Kept:
        """The adapter of the other person's words: the one that was trained for this, or one trained now."""
        lesson = self.apprentice.lessons.control(kept, theirs)
        return self.apprentice.adapters.control(kept, lesson.data) or self.apprentice.train(
            lesson, progress=progress, cancel=cancel, control_of=kept.sha256)

    # ---- the measures ------------------------------------------------------------------------------------------

    def _bits(self, run: _Run) -> None:
        """(a) bits a character of held-out messages under each condition, and of another's under the own adapter."""
        from twin.likeness import measure, standard

        tongue = text.language(" ".join(sample.answer for sample in run.held[:20]))
        made = standard(about=self._about(run.own, tongue), recall=self._recall(run.own.held), own=_acting(run.kept),
                        other=_acting(run.control), tongue=tongue,
                        constitution=self.apprentice.asking.constitution)
        run.conditions = {one.name: one for one in made}
        for condition in made:
            self._put(run, condition.name, measure(run.engine(), condition, run.held, progress=run.progress,
                                                   cancel=run.cancel))
        if run.kept and run.other and not run.cancel():
            theirs = _spread(run.other.held, len(run.held))
            base, own = (measure(run.engine(), run.conditions[name], theirs, progress=run.progress, cancel=run.cancel)
                         for name in (_BASE, _OWN))
            name = f"{_OWN} on another's words"
            run.table = run.table.put(name, "bits/char", own.per_character)
            if not run.cancel():
                run.table = run.table.put(name, "saved", own.saves(base))

    @staticmethod
    def _put(run: _Run, name: str, scored: Scored) -> None:
        run.scored[name] = scored
        run.table = run.table.put(name, "bits/char", scored.per_character)
        if name != _BASE and not run.cancel():
            run.table = run.table.put(name, "saved", scored.saves(run.scored[_BASE]))

    def _about(self, own: Split, tongue: str) -> str:
        """The profile prompt of what the training saw: it must not know what is measured. (A third of the held-out
        part is among it, by which the training chose: later words than some that are measured, never the same.)"""
        keys = [sample.key for sample in own.learn if sample.key]
        said = list(self.records.archive.messages(keys=keys))
        made = profile.build(said, language=tongue if tongue == "ru" else "en")
        return prompt(made, language=made.language, budget=PROFILE).text if made.claims else ""

    def _recall(self, held: Sequence[Sample]) -> Callable[[str], Sequence[Recalled]] | None:
        """Memories older than everything that is measured; None where nothing says when it was written."""
        times = [sample.time for sample in held if sample.time]
        if len(times) < len(held) or not times:
            return None
        scope = Scope(until=min(times) - timedelta(microseconds=1))

        def recall(before: str) -> list[Recalled]:
            found = self.records.recall(before, MEMORIES, own=True, scope=scope) if before.strip() else []
            return [one for one in found if one.score >= MIN_SCORE]

        return recall

    def _general(self, run: _Run) -> float | None:
        """(e) bits a character that the adapter costs on general text."""
        from twin.likeness import general, measure

        found: dict[str, Scored] = {}
        for condition in run.alone:
            scored = measure(run.engine(), condition, general(), progress=run.progress, cancel=run.cancel)
            found[condition.name] = scored
            run.table = run.table.put(condition.name, "general", scored.per_character)
        return -found[_OWN].saves(found[_BASE]).value if _OWN in found and not run.cancel() else None

    def _questions(self, run: _Run) -> None:
        """(c) the person's next question among ten."""
        from twin.likeness import items, made_by, pick

        if run.other is None:
            run.missing.append("The next question was not measured: it needs questions of another person (--other).")
            return
        theirs = [sample.answer for sample in (*run.other.learn, *run.other.held)]
        found, _ = items(run.held, theirs, make=made_by(run.engine(), cancel=run.cancel), embedder=self.embedder,
                         progress=run.progress, cancel=run.cancel)
        if not found:
            run.missing.append("The next question was not measured: no held-out message is a question that could be "
                               "told from enough others.")
            return
        for condition in run.alone:
            if not run.cancel():
                picks = pick(run.engine(), condition, found, progress=run.progress, cancel=run.cancel).summary()
                run.table = run.table.put(condition.name, f"next question of {len(found)}", picks["hit"])

    def _replies(self, run: _Run) -> None:
        """(b) whose style the answers have, (d) what they copy."""
        from twin.likeness import (
            Corpus,
            Reply,
            attribute,
            clusters,
            copies,
            delta,
            hits,
            pooled,
            profiles,
            usage,
        )

        samples = [sample for sample in run.held if sample.context][:REPLIES]
        if not samples or run.cancel():
            return
        mine = [sample.answer for sample in run.own.learn]
        corpus, groups = Corpus.of(mine), clusters(samples)
        people = {"own": mine, "other": [sample.answer for sample in run.other.learn]} if run.other else {}
        for condition in run.alone:
            name, said = condition.name, self._written(run, condition, samples)
            if run.cancel():
                return
            shown = [Reply(reply, (sample.context,)) for reply, sample in zip(said, samples, strict=True)]
            run.table = run.table.put(name, "copied", pooled(copies(corpus, shown), groups))
            if people:
                style = hits(attribute(profiles(people), said), 0)
                distance = delta(usage(people), ["\n".join(said)])[0]
                run.table = run.table.put(name, "own style", pooled(style, groups)).put(
                    name, "Delta own - other", float(distance[0] - distance[1]))

    @staticmethod
    def _written(run: _Run, condition: Condition, samples: Sequence[Sample]) -> list[str]:
        """What a condition answers to what was said before each sample, greedily."""
        from twin.likeness.conditions import asked

        answers = []
        for number, sample in enumerate(samples):
            pieces = run.engine().stream(asked(run.engine(), condition, sample),
                                         Sampling(temperature=0.0, max_tokens=SHORT), cancel=run.cancel)
            answers.append("".join(piece.text for piece in pieces).strip())
            if run.progress:
                run.progress(f"answers of {condition.name}", number + 1, len(samples))
        return answers

    # ---- the verdict -------------------------------------------------------------------------------------------

    def _told(self, run: _Run, general: float | None) -> Likeness:
        from twin.likeness import compression_gain, gate

        verdict, bar, fair = None, None, False
        if run.other is None:
            run.missing.append("No words of another person: name their export, folder or home with --other. Nothing of "
                               "the kind ships: the sample's 2,400 words are too few to be compared with.")
        else:
            bar = compression_gain([one.answer for one in run.own.learn], [[one.answer for one in run.other.learn]],
                                   [one.answer for one in run.own.held], progress=run.progress, cancel=run.cancel)
            run.table = run.table.note(f"Plain text compression gains {bar} bits a character from own words.")
            mine, theirs = (sum(len(one.answer) for one in side.learn) for side in (run.own, run.other))
            fair = theirs >= FEWEST * mine
            if not fair:
                run.missing.append(f"The other person has {theirs / mine:.0%} of your words; with less than "
                                   f"{FEWEST:.0%} the comparison favours you and does not count.")
        if run.cancel():
            run.missing.append("Stopped before everything was measured.")
        if run.kept and not run.cancel():
            gain = run.scored[_OWN].saves(run.scored[_OTHER]) if run.control else None
            if gain:
                run.table = run.table.note(f"Own against another's adapter: {gain} bits a character saved.")
            verdict = gate(gain if fair else None, bar.value if bar else None, general)
        return self._kept(run, verdict)

    def _kept(self, run: _Run, verdict: Gate | None) -> Likeness:
        """Note the figures in the home and the manifest; let the role speak through what the gate lets on."""
        figures: dict[str, Any] = {**run.table.plain(), "made": f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC",
                                   "missing": run.missing}
        kept, on = run.kept, False
        if kept and verdict:
            figures |= {"reason": dict(verdict.reason), "failed": list(verdict.failed),
                        "control": run.control.sha256 if run.control else ""}
            kept = self.apprentice.adapters.judge(kept, on=verdict.on, reason=str(verdict), likeness=figures)
            if verdict.on:
                self.apprentice.switch(kept.role, kept.sha256)
        if kept:
            on = kept.role in self.apprentice.acting(kept)
        path = self.apprentice.home.create().root / "likeness" / f"{kept.sha256[:12] if kept else 'profile'}.json"
        write_atomically(path, json.dumps(figures, ensure_ascii=False, indent=1))
        return Likeness(run.table, verdict, kept.sha256 if kept else "", kept.role if kept else "", on, path,
                        tuple(run.missing))


def words_of(place: Path, me: Iterable[str] = ()) -> list[tuple[str, Message]]:
    """(conversation, message) of another person's home, or of an export, file or folder the importers know. Raises
    UsageError where a chat of several people does not say which of them it is, and what importers raise."""
    place = Path(place).expanduser()
    if (home := Home(place)).archive.is_file():
        return list(Archive(home).messages())
    if not place.exists():
        raise UsageError(f"There is nothing at {place}.", "Name another person's export, folder or home.")
    met = importers.people(place, me)
    if met.strangers:
        names = sorted({name for people in met.strangers.values() for name in people})[:8]
        raise UsageError(f"{place} holds chats of several people: {', '.join(names)}.",
                         "Say who of them is compared with --other-me NAME.")
    return [(found.conversation.id, message) for found in importers.read(place, me=met.me) if found.conversation
            for message in found.conversation.messages]


def _acting(kept: Kept | None) -> Adapter | None:
    return Adapter(str(kept.path), kind="lora" if kept.kind == "lora" else "alora") if kept else None


def _spread(samples: Sequence[Sample], n: int) -> tuple[Sample, ...]:
    """At most n of them, evenly through time."""
    n = min(n, len(samples))
    return tuple(samples[place * len(samples) // n] for place in range(n))
