"""Whether an adapter of own words is more like the person: DATA=FOLDER python -m tests.bench.likeness run | report.

DATA holds persona-dev.json (public chat of four people and a Russian diary; measured, never quoted). For each person
the first 70 % in time make the profile, the memories and the adapter, the last 30 % are held out (a third of it only
tells the training when to stop). Adapters of one language are trained with equal steps on equally many learned tokens,
the newest. The diary is cut into pieces of a message's length; its other is a file of simple Russian sentences by many
writers: no person, and easy to tell from one. The chat people's adapters stand beside it as well.

`run` keeps every figure as a JSON line and goes on where it was stopped; adapters and the questions that the core makes
lie in --cache. `report` prints the table of each person and what follows, and puts it beside the lines as JSON
(likeness_figures.py says how). Sizes by default (SmolLM2, 2 cores, about 45 minutes for three chat people and the
diarist): 150 steps an adapter; 60 held-out messages (30 pieces of the diary); 20 questions among ten; 30 replies of at
most 48 tokens at temperature 0.7; all 80 general texts.
"""
from __future__ import annotations

import argparse
import json
import os
import tempfile
import time
from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from tests.bench import likeness_figures, own_words
from tests.bench.council import RESULTS, read
from tests.bench.elsewhere import Elsewhere
from tests.bench.own_words import RUSSIAN, Lines, Made, Person, Words, numbered, said_now, spread
from twin import machine, profile
from twin.asking import MEMORIES, MIN_SCORE
from twin.errors import UsageError
from twin.exporters.prompt import prompt
from twin.home import Home, sha256_of, write_atomically
from twin.likeness import (
    Condition,
    Corpus,
    Item,
    Reply,
    attribute,
    clusters,
    compression_gain,
    copies,
    delta,
    general,
    hits,
    items,
    made_by,
    measure,
    pick,
    profiles,
    usage,
)
from twin.likeness.conditions import PERSONA, asked
from twin.likeness.next_question import fits
from twin.records import Records
from twin.training.lora import Shape
from twin.types import Conversation, Engine, Recalled, Sampling, digest

PROFILE = 2000  # characters of a profile prompt, as twin.likening
REPLY = Sampling(temperature=0.7, max_tokens=48)
BESIDE = 6      # replies written in one batch
TRIES = 4       # answers in which the core may find three questions
N_CTX = 8192
STYLED = 20     # characters of a held-out message that is attributed


@dataclass(frozen=True)
class Sizes:
    """How much is measured."""

    held: int = 60
    questions: int = 20
    replies: int = 30
    general: int = 80


@dataclass
class Bench:
    """One run under way. `crowd`: everybody in DATA; `names`: whose likeness is measured; `words`: what each adapter
    learns, by name."""

    engine: Engine
    crowd: Mapping[str, Person]
    names: Sequence[str]
    words: Mapping[str, Words]
    adapters: Mapping[str, Made]
    results: Lines
    sizes: Sizes
    cache: Path

    def held(self, name: str) -> list[Any]:
        """The samples that are measured of a person: half as many of a diary, whose pieces are long."""
        half = 2 if self.crowd[name].tongue == "ru" else 1
        return spread(self.crowd[name].measured, max(1, self.sizes.held // half))

    def others(self, name: str) -> list[str]:
        """Whose adapters an own one stands against: of the same language."""
        return [one for one in self.adapters if one != name and self.crowd[one].tongue == self.crowd[name].tongue]

    def missing(self, part: str, of: str, condition: str) -> bool:
        return self.results.found(part=part, of=of, condition=condition) is None

    def add(self, part: str, of: str, condition: str, began: float, **figures: Any) -> None:
        took = time.monotonic() - began
        self.results.add({"part": part, "of": of, "condition": condition, **figures, "seconds": round(took, 1)})
        said_now(f"{part}: {of}, {condition}, {took:.0f} s")


def run(bench: Bench) -> None:
    """Everything that is still missing in the results. All of one condition before the next: what its prompts begin
    with is read once."""
    for name in bench.names:
        compression(bench, name)
    for name, made in {"base": None, **bench.adapters}.items():
        if bench.missing("general", name, "general"):
            began, some = time.monotonic(), spread(general(), bench.sizes.general)
            scored = measure(bench.engine, Condition(name, adapter=made.adapter if made else None), some)
            bench.add("general", name, "general", began, bits=scored.bits, characters=scored.characters)
    for name in bench.names:
        with tempfile.TemporaryDirectory() as folder:
            told = conditions(bench, name, Path(folder))
            bits(bench, name, told)
            questions(bench, name, told)
            replies(bench, name, told)


def conditions(bench: Bench, name: str, folder: Path) -> dict[str, Condition]:
    """By name, in the order of the table."""
    person = bench.crowd[name]
    about, own = _about(person), bench.adapters[name].adapter
    made = [Condition("base"), Condition("generic persona", PERSONA[person.tongue]),
            Condition("profile prompt", about), Condition("+ recall", about, recall=_recall(person, folder)),
            Condition("own adapter", adapter=own), Condition("own adapter + profile prompt", about, own)]
    made += [Condition(f"adapter of {other}", adapter=one.adapter) for other, one in bench.adapters.items()
             if other != name]
    return {one.name: one for one in made}


def _about(person: Person) -> str:
    made = profile.build(person.said, language=person.tongue)
    return prompt(made, language=made.language, budget=PROFILE).text


def _recall(person: Person, folder: Path) -> Any:
    """By words, among what is learned alone: nothing that is measured, and nothing later. Indexed when first asked."""
    records = Records(Home(folder), None)
    talks: dict[str, list[Any]] = {}
    for talk, message in person.said:
        talks.setdefault(talk, []).append(message)

    def recall(before: str) -> list[Recalled]:
        if talks:
            records.add(Conversation(talk, tuple(said)) for talk, said in talks.items())
            talks.clear()
        found = records.recall(before, MEMORIES, own=True) if before.strip() else []
        return [one for one in found if one.score >= MIN_SCORE]

    return recall


# ---- the measures --------------------------------------------------------------------------------------------------

def compression(bench: Bench, name: str) -> None:
    """What LZMA gains from own words: from those that the adapters learn, and from all there are."""
    others, held = bench.others(name), [one.answer for one in bench.crowd[name].measured]
    sides = {"learned": {one: words.samples for one, words in bench.words.items()},
             "all": {one: person.split.learn for one, person in bench.crowd.items()}}
    for condition, side in sides.items():
        if others and bench.missing("lzma", name, condition):
            began = time.monotonic()
            gain = compression_gain([one.answer for one in side[name]],
                                    [[one.answer for one in side[other]] for other in others], held)
            bench.add("lzma", name, condition, began, gain=list(gain), others=others)


def bits(bench: Bench, name: str, told: Mapping[str, Condition]) -> None:
    """(a) bits and characters of each held-out message; an own adapter on another's words is that person's own row."""
    held = bench.held(name)
    for condition in told.values():
        if bench.missing("bits", name, condition.name):
            began = time.monotonic()
            scored = measure(bench.engine, condition, held)
            bench.add("bits", name, condition.name, began, bits=scored.bits, characters=scored.characters,
                      clusters=numbered(scored.clusters))


def _compared(bench: Bench, name: str, told: Mapping[str, Condition]) -> list[Condition]:
    """The conditions of what is dear to measure: one other's adapter stands for all."""
    others = [f"adapter of {other}" for other in bench.others(name)[:1]]
    return [told[one] for one in ("base", "profile prompt", "own adapter", *others)]


def questions(bench: Bench, name: str, told: Mapping[str, Condition]) -> None:
    """(c) the next question among ten. None of the diary: nobody else asks in its language."""
    wanted = [one for one in _compared(bench, name, told) if bench.missing("question", name, one.name)]
    if not wanted or bench.crowd[name].tongue != "en":
        return
    began = time.monotonic()
    found = _items(bench.engine, bench.crowd, name, bench.sizes, bench.cache)
    said_now(f"questions: {name}, {len(found)} items, {time.monotonic() - began:.0f} s")
    for condition in wanted if found else ():
        began = time.monotonic()
        picks = pick(bench.engine, condition, found)
        bench.add("question", name, condition.name, began, hit=picks.hit, mrr=picks.reciprocal,
                  plain_hit=picks.plain_hit, clusters=numbered(picks.clusters),
                  core=sum(one.kinds.count("core") for one in found))


def _items(engine: Engine, crowd: Mapping[str, Person], name: str, sizes: Sizes, cache: Path) -> list[Item]:
    """Made once and kept in the cache: they hold people's words."""
    some = spread([one for one in crowd[name].measured if fits(one)], sizes.questions)
    theirs = [one.answer for other, person in crowd.items() if other not in (name, RUSSIAN)
              for one in (*person.split.learn, *person.split.held)]
    file = cache / f"questions-{digest(json.dumps([engine.id, name, [s.answer for s in some], theirs]))}"
    if not file.is_file():
        made, _ = items(some, theirs, make=made_by(engine, tries=TRIES))
        write_atomically(file, json.dumps([[some.index(one.sample), one.others, one.kinds] for one in made]))
    groups = clusters(some)
    return [Item(some[place], tuple(others), tuple(kinds), groups[place])
            for place, others, kinds in json.loads(file.read_text("utf-8"))]


def replies(bench: Bench, name: str, told: Mapping[str, Condition]) -> None:
    """(b) whose style replies to held-out contexts have, (d) how many copy; beside them the person's own words."""
    tongue = bench.crowd[name].tongue
    crowd = {one: [sample.answer for sample in person.split.learn] for one, person in bench.crowd.items()
             if person.tongue == tongue}
    if len(crowd) < 2:
        return
    corpus = Corpus.of(one.text for _, one in bench.crowd[name].said)
    some = spread([one for one in bench.crowd[name].measured if one.context], bench.sizes.replies)
    profiled, used, own = profiles(crowd), usage(crowd), list(crowd).index(name)

    def styled(condition: str, began: float, said: Sequence[str], samples: Sequence[Any]) -> None:
        shown = [Reply(one, (sample.context,)) for one, sample in zip(said, samples, strict=True)]
        bench.add("replies", name, condition, began, style=hits(attribute(profiled, said), own),
                  delta=[float(one) for one in delta(used, ["\n".join(said)])[0]], copied=copies(corpus, shown),
                  people=list(crowd), lengths=list(map(len, said)), clusters=numbered(clusters(samples)))

    for condition in [*_compared(bench, name, told), told["own adapter + profile prompt"]]:
        if bench.missing("replies", name, condition.name) and some:
            began = time.monotonic()
            styled(condition.name, began, _written(bench.engine, condition, some), some)
    real = [one for one in bench.held(name) if len(one.answer) >= STYLED]
    if bench.missing("replies", name, "their own words") and real:
        styled("their own words", time.monotonic(), [one.answer for one in real], real)


def _written(engine: Engine, condition: Condition, samples: Sequence[Any]) -> list[str]:
    said: list[str] = []
    for start in range(0, len(samples), BESIDE):
        prompts = [asked(engine, condition, one) for one in samples[start:start + BESIDE]]
        drawn = [replace(REPLY, seed=start + place) for place in range(len(prompts))]
        said += ["".join(piece.text for piece in stream).strip() for stream in engine.stream_many(prompts, drawn)]
    return said


# ---- from the command line -----------------------------------------------------------------------------------------

def learned(core: Path, crowd: Mapping[str, Person], names: Sequence[str]) -> dict[str, Words]:
    """The words of these people and of those they stand against."""
    chat = [one for one in crowd if crowd[one].tongue == "en"]
    wanted = dict.fromkeys(names)
    if sum(one in chat for one in wanted) == 1 or not any(one in chat for one in wanted):
        wanted |= dict.fromkeys([one for one in chat if one not in wanted][:1])
    if RUSSIAN in crowd and any(crowd[one].tongue == "ru" for one in names):
        wanted |= {RUSSIAN: None}
    return own_words.words(core, {name: crowd[name] for name in wanted})


def main(*words: str) -> None:
    """See the module."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench.likeness")
    parser.add_argument("mode", choices=("run", "questions", "report"))
    parser.add_argument("file", nargs="?", type=Path, help="of report")
    parser.add_argument("--model", default="smollm2-135m")
    parser.add_argument("--people", default="person-1,person-2,person-3,diarist")
    parser.add_argument("--kind", choices=("alora", "lora"), default="alora")
    for name, default in (("steps", 150), ("seed", 0), ("threads", 0), *vars(Sizes()).items()):
        parser.add_argument(f"--{name}", type=int, default=default)
    parser.add_argument("--cache", type=Path, default=own_words.default_cache())
    parser.add_argument("--elsewhere", type=Path, help="folder of what another machine computes (elsewhere.py)")
    parser.add_argument("--out", type=Path)
    given = parser.parse_args(words)
    out = given.file or given.out or RESULTS / f"likeness-{Path(given.model).stem}.jsonl"
    if given.mode != "report":
        _run(given, out)
    if given.mode != "questions" and out.is_file():
        report(out)


def _run(given: argparse.Namespace, out: Path) -> None:
    from twin.engine.llama import LlamaEngine

    if "DATA" not in os.environ:
        raise UsageError("DATA does not name the folder with persona-dev.json.", "Set it: DATA=FOLDER python -m ...")
    core, shape = own_words.core_of(given.model), Shape(kind=given.kind)
    crowd, sizes = own_words.people(Path(os.environ["DATA"])), Sizes(**{one: getattr(given, one) for one in vars(
        Sizes())})
    names = own_words.chosen(given.people, crowd)
    n_ctx = 256 if given.elsewhere else N_CTX
    with closing(LlamaEngine(core, n_ctx=n_ctx, trusted=True, n_threads=given.threads or None)) as engine:
        if given.mode == "questions":
            for name in names:
                found = _items(engine, crowd, name, sizes, given.cache) if crowd[name].tongue == "en" else []
                said_now(f"{name}: {len(found)} questions")
            return
        words = learned(core, crowd, names)
        how = {name: own_words.settings(own, given.steps, given.seed, given.threads) for name, own in words.items()}
        asked: Any = Elsewhere(engine, given.elsewhere) if given.elsewhere else engine
        asks = given.elsewhere and not asked.answers
        results = Lines(given.elsewhere / "unanswered.jsonl" if asks else out, {
            "core": f"{core.stem}@{sha256_of(core)[:16]}", "people": names, "sizes": vars(sizes), "kind": given.kind,
            "shape": {**vars(shape), "targets": list(shape.targets)}, "steps": given.steps, "seed": given.seed,
            "reply": {"temperature": REPLY.temperature, "tokens": REPLY.max_tokens},
            "processors": machine.processors(), **({"on": asked.answers.get("device")} if given.elsewhere else {}),
            "date": datetime.now(UTC).isoformat(timespec="seconds")})
        adapters = {name: asked.made(name, how[name]) if given.elsewhere else own_words.adapter(
            core, own, shape, how[name], given.cache, said_now, name) for name, own in words.items()}
        for name, made in adapters.items():
            if results.found(part="adapter", of=name) is None:
                results.add({"part": "adapter", "of": name, **made.facts, "tokens": words[name].tokens})
        run(Bench(asked, crowd, names, words, adapters, results, sizes, given.cache))
        if asks:
            results.path.unlink()
            asked.write(words, how, shape)
            said_now(f"{given.elsewhere}: {len(asked.scores)} scores and {len(asked.replies)} replies to be computed")


def report(path: Path) -> None:
    """Print the figures of a results file and put them beside it as JSON."""
    found = likeness_figures.figures(read(path))
    path.with_suffix(".json").write_text(json.dumps(found.plain(), ensure_ascii=False, indent=1, allow_nan=False)
                                         + "\n", "utf-8")
    print(found.text())


if __name__ == "__main__":
    import sys

    main(*sys.argv[1:])
