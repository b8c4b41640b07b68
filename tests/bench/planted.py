"""Planted defects: does reflection find what is wrong, and leave alone what is not? python -m tests.bench.planted run

40 generated persons live with the map that serves them best; then it is broken in one of five ways: wrong examples,
swapped prompts, a bad temperature, two roles merged into one, one role doubled. 40 others keep theirs.
`run` does what is still missing in the results (JSON lines; a killed run goes on):
1. mined: miners alone, no model. Is the true fix among the first five proposals? `run --mine` stops here;
2. proven: the first five by the proof itself, with SmolLM2 as scorer for prompts and sampling, the router for the rest.
`report` counts from the file: the true fix among the first five, what was accepted on sound maps, and what the rule
"better on a small batch" would have accepted there.
The miners' thresholds were set on seeds from 1000 up, which are not used here.
"""
from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from random import Random

from tests import generated
from tests.bench.council import Results, open_engine, read
from tests.bench.council_figures import Line
from twin import evidence, miners, operations, proof
from twin.archive import Archive
from twin.catalog import Catalog
from twin.evidence import Labelled, Split
from twin.home import Home
from twin.operations import Operation
from twin.proof import Core
from twin.proof.metrics import Bits, Under, pairs, touched
from twin.proposals import Proposal
from twin.role_parts import Bilingual
from twin.roles import SECTIONS, Role, RoleMap, to_files
from twin.router import NONE, Router
from twin.types import Engine, digest, to_plain

Say = Callable[[str], None]
RESULTS = Path(__file__).parent / "results" / "planted.jsonl"
KINDS = ("examples", "prompts", "temperature", "merged", "doubled")
EACH, SOUND, FIRST = 8, 40, 5
MOVED = 4  # examples of each language that stand with the wrong role
BATCH = 5  # items of the rule it is compared with
SEED, SOUND_SEED = 100, 200


@dataclass(frozen=True)
class Case:
    """One map: how it was broken ('sound': not at all), and whose it is."""

    kind: str
    number: int
    seed: int

    @property
    def name(self) -> str:
        return f"{self.kind}-{self.number}"


@dataclass(frozen=True)
class Broken:
    """A map, what was done to it, whether an operation puts that right, and the map its person lived with."""

    role_map: RoleMap
    what: str
    fixes: Callable[[Operation], bool]
    lived: RoleMap


def cases(each: int = EACH, sound: int = SOUND, seed: int = SEED, sound_seed: int = SOUND_SEED) -> list[Case]:
    """All of them: each kind in turn, then the sound ones."""
    broken = [Case(kind, n, seed + len(KINDS) * n + k) for n in range(each) for k, kind in enumerate(KINDS)]
    return broken + [Case("sound", n, sound_seed + n) for n in range(sound)]


def broken(case: Case) -> Broken:
    """The map of a case."""
    who, draw = generated.person(case.seed), Random(f"{case.kind} {case.seed}")  # noqa: S311 - no secret
    if case.kind == "sound":
        return Broken(who.sound, "nothing", lambda _: False, who.sound)
    one, other = draw.sample(who.sound.ids, 2)
    return _BREAKS[case.kind](case, who, draw, one, other)


Way = Callable[[Case, generated.Person, Random, str, str], Broken]


def _with(role_map: RoleMap, *changed: Role) -> RoleMap:
    by = {role.id: role for role in changed}
    return replace(role_map, roles=tuple(by.pop(role.id, role) for role in role_map.roles) + tuple(by.values()))


def _examples(case: Case, who: generated.Person, draw: Random, one: str, other: str) -> Broken:
    """Some examples of a role stand with another one."""
    theirs, others = who.sound.role(one), who.sound.role(other)
    english = draw.sample([text for text in theirs.examples if text.isascii()], MOVED)
    russian = draw.sample([text for text in theirs.examples if not text.isascii()], MOVED)
    moved = {*english, *russian}
    made = _with(who.sound, theirs.model_copy(update={"examples": tuple(t for t in theirs.examples if t not in moved)}),
                 others.model_copy(update={"examples": (*others.examples, *english, *russian)}))
    return Broken(made, f"{len(moved)} examples of {one} with {other}", lambda op: isinstance(
        op, operations.RelabelRoutingExample | operations.RemoveRoutingExample) and op.role == other
        and op.text in moved and getattr(op, "to", one) == one, who.sound)


def _prompts(case: Case, who: generated.Person, draw: Random, one: str, other: str) -> Broken:
    """Two roles have each other's instructions: all of them, or two sections."""
    keys = SECTIONS if case.number % 2 == 0 else ("do", "format")
    roles = {name: who.sound.role(name) for name in (one, other)}
    made = []
    for name, theirs in ((one, roles[other]), (other, roles[one])):
        sections = {language: getattr(roles[name].sections, language).model_copy(update={
            key: getattr(getattr(theirs.sections, language), key) for key in keys}) for language in ("en", "ru")}
        made.append(roles[name].model_copy(update={"sections": roles[name].sections.model_copy(update=sections)}))
    return Broken(_with(who.sound, *made), f"{', '.join(keys)} of {one} and {other} swapped", lambda op: isinstance(
        op, operations.EditPromptSection) and op.role in roles and op.section in keys
        and op.text == getattr(getattr(roles[op.role].sections, op.language), op.section), who.sound)


def _temperature(case: Case, who: generated.Person, draw: Random, one: str, other: str) -> Broken:
    """A role at a temperature far from that at which its answers are kept."""
    right = who.temperatures[one]
    wrong = draw.choice((1.2, 1.3)) if right < 0.5 else draw.choice((0.0, 0.1))
    return Broken(_with(who.sound, generated.at(who.sound.role(one), wrong)), f"{one} at {wrong}, not {right}",
                  lambda op: isinstance(op, operations.SetSampling) and op.role == one and op.field == "temperature"
                  and abs(op.value - right) <= 0.2, who.sound)


def _merged(case: Case, who: generated.Person, draw: Random, one: str, other: str) -> Broken:
    """A role gone into another one; every second person never knew it, and says that nobody was meant."""
    made = operations.apply(operations.MergeRoles(role=one, into=other), who.sound)
    theirs = set(who.sound.role(one).examples)
    lived = who.sound if case.number % 2 == 0 else made
    when = "lately" if lived is who.sound else "always"
    return Broken(made, f"{one} merged into {other}, {when}", lambda op: isinstance(
        op, operations.SplitRole | operations.AddRole) and len(theirs & set(op.examples)) > 0.6 * len(op.examples),
        lived)


def _doubled(case: Case, who: generated.Person, draw: Random, one: str, other: str) -> Broken:
    """A role twice under two names, with half of the examples each."""
    role = who.sound.role(one)
    half = tuple(draw.sample(role.examples, len(role.examples) // 2))
    twin = role.model_copy(update={"id": f"{one}-b", "examples": half,
                                   "title": Bilingual(en=f"{role.title.en} B", ru=f"{role.title.ru} Б")})
    rest = role.model_copy(update={"examples": tuple(text for text in role.examples if text not in half)})
    return Broken(_with(who.sound, rest, twin), f"{one} doubled", lambda op: isinstance(op, operations.MergeRoles)
                  and {op.role, op.into} == {one, f"{one}-b"}, who.sound)


_BREAKS: dict[str, Way] = {"examples": _examples, "prompts": _prompts, "temperature": _temperature, "merged": _merged,
                           "doubled": _doubled}


# ---- mining ------------------------------------------------------------------------------------------------------

def mined(case: Case) -> tuple[Broken, list[Proposal]]:
    """What the miners propose for a case, of which they see the oldest three fifths (see evidence.split)."""
    it = broken(case)
    truth = generated.live(seed=case.seed, role_map=it.lived)
    names = list(dict.fromkeys(turn.conversation for turn in truth.turns))
    early = set(names[:len(names) - 2 * round(evidence.SHARE * len(names))])
    maps = {one.version: one for one in (*truth.maps, it.role_map)}
    seen = miners.look([turn for turn in truth.turns if turn.conversation in early], truth.said, maps,
                       Router(it.role_map))
    return it, miners.mine(seen, it.role_map, made=generated.BEGAN)


def mine(results: Results, some: Sequence[Case], say: Say) -> None:
    """The lines of part 'mined' that are missing."""
    for case in some:
        if case.name in results.of("mined"):
            continue
        began = time.process_time()
        it, proposals = mined(case)
        rank = next((n for n, one in enumerate(proposals, 1) if it.fixes(one.operation)), None)
        first = [{"origin": one.origin, "fix": it.fixes(one.operation),
                  "operation": one.operation.model_dump(mode="json")} for one in proposals[:FIRST]]
        results.add({"part": "mined", "question": case.name, "kind": case.kind, "seed": case.seed, "what": it.what,
                     "rank": rank, "seconds": round(time.process_time() - began, 2), "proposals": first})
        say(f"{case.name}: {it.what}; rank {rank} of {len(proposals)}")


# ---- proving -----------------------------------------------------------------------------------------------------

def prove(results: Results, some: Sequence[Case], engine: Engine, core: Core, say: Say) -> None:
    """The lines of part 'proven' that are missing: the first proposals of each case, by the proof and by the rule it is
    compared with."""
    for case in some:
        first = results.of("mined")[case.name]["proposals"]
        left = [n for n in range(len(first)) if f"{case.name}/{n}" not in results.of("proven")]
        if not left:
            continue
        it = broken(case)
        with tempfile.TemporaryDirectory() as folder:
            home = Home(Path(folder) / "home")
            generated.build(home, seed=case.seed, role_map=it.lived)
            archive = Archive(home)
            generated.put(home, archive, it.role_map)
            split = evidence.split(evidence.gather(archive))
        for n in left:
            began, asked = time.monotonic(), operations.parse(first[n]["operation"])
            after = operations.apply(asked, it.role_map)
            proposal = Proposal(asked, it.role_map.version, first[n]["origin"], generated.BEGAN)
            found = proof.prove(proposal, to_files(it.role_map), to_files(after), split, core=core, embedder=False)
            batch = small_batch(asked, it.role_map, after, split, engine, case.seed)
            results.add({"part": "proven", "question": f"{case.name}/{n}", "kind": case.kind, "op": asked.op,
                         "fix": first[n]["fix"], "verdict": found.verdict, "stage": found.stage,
                         "reason": found.reason["en"], "gain": to_plain(found.gain), "needed": found.needed,
                         "batch": batch, "evaluator": found.evaluator, "seconds": round(time.monotonic() - began, 1)})
            say(f"{case.name}/{n}: {asked.op}: {found.verdict} at {found.stage}; small batch {batch:+.3f}")


def small_batch(asked: Operation, before: RoleMap, after: RoleMap, split: Split, engine: Engine,
                seed: int) -> float:
    """What the rule 'better on a small batch' looks at: the summed gain over BATCH items of the selection set, in right
    routes or in bits a character of texts that the change touches. It accepts what is above 0."""
    known = [(one.text, one.label) for one in split.train.labelled if one.kind == "correction"]
    old, new = (Under(one, corrections=known) for one in (before, after))
    draw = Random(f"batch {seed}")  # noqa: S311 - no secret
    if operations.metric(asked) == "bits":
        items = touched(engine, old, new, split.select.said)
        some = draw.sample(items, min(BATCH, len(items)))
        return sum(pair.gain for pair in pairs(Bits(engine), old, new, some))
    some_labelled = draw.sample(split.select.labelled, min(BATCH, len(split.select.labelled)))
    return float(sum(right(new, one) - right(old, one) for one in some_labelled))


def right(under: Under, one: Labelled) -> bool:
    """Whether a map sends a message where it should go."""
    role, nobody = under.route(one.text)
    return (NONE if nobody else role) == one.label


# ---- telling -----------------------------------------------------------------------------------------------------

def report(lines: Sequence[Line]) -> str:
    """The table of a results file."""
    found = [one for one in lines[1:] if one["part"] == "mined"]
    proven = [one for one in lines[1:] if one["part"] == "proven"]
    out = [f"{'':14}{'maps':>6}{'first 5':>9}{'first':>7}{'accepted':>10}{'its fix':>9}{'small batch':>13}"
           f"{'unproven':>10}{'rejected':>10}"]
    for kind in (*KINDS, "sound"):
        some = [one for one in found if one["kind"] == kind]
        ranks = [one["rank"] for one in some if one["rank"]]
        tried = [one for one in proven if one["kind"] == kind]
        fixed = [one for one in tried if one["fix"]]
        batch = {_map(one) for one in tried if one["batch"] > 0}
        out.append(f"{kind:14}{len(some):6}{sum(rank <= FIRST for rank in ranks):9}{ranks.count(1):7}"
                   f"{_maps(tried, 'accepted'):10}{_maps(fixed, 'accepted'):9}{len(batch):13}"
                   f"{sum(one['verdict'] == 'unproven' for one in tried):10}"
                   f"{sum(one['verdict'] == 'rejected' for one in tried):10}")
    broke = [one for one in found if one["kind"] != "sound"]
    hits = sum((one["rank"] or FIRST + 1) <= FIRST for one in broke)
    sound = [one for one in proven if one["kind"] == "sound"]
    out += ["", "accepted, its fix, small batch: maps with such a proposal; unproven, rejected: proposals",
            f"true fix among the first {FIRST}: {hits} of {len(broke)} broken maps ({hits / max(len(broke), 1):.0%})",
            f"sound maps with an accepted change: {_maps(sound, 'accepted')} of {len({_map(one) for one in sound})}; "
            f"by 'better on a small batch' ({BATCH} items): {len({_map(one) for one in sound if one['batch'] > 0})}",
            f"mining: {sum(one['seconds'] for one in found) / max(len(found), 1):.1f} s of processor time a map"]
    out += [f"  {one['question']}: {one['op']} accepted" for one in sound if one["verdict"] == "accepted"]
    return "\n".join(out)


def _map(line: Line) -> str:
    return str(line["question"]).split("/")[0]


def _maps(some: Sequence[Line], verdict: str) -> int:
    return len({_map(one) for one in some if one["verdict"] == verdict})


# ---- from the command line -----------------------------------------------------------------------------------------

def making(core: str, each: int, sound: int) -> Line:
    """What makes the results: two runs that differ in any of it are not one."""
    maps = [broken(case).role_map.version for case in cases(1, 1)]
    return {"core": core, "each": each, "sound": sound, "seeds": [SEED, SOUND_SEED], "first": FIRST, "batch": BATCH,
            "maps": digest(" ".join(maps))[:16], "miners": _sources(),
            "date": datetime.now(UTC).isoformat(timespec="seconds")}


def _sources() -> str:
    """A hash of the miners and of the person."""
    root = Path(miners.__file__).parent
    files = [root / "miners.py", *sorted((root / "mining").glob("*.*")), Path(generated.__file__),
             Path(generated.__file__).with_suffix(".toml")]
    return digest("".join(one.read_text("utf-8") for one in files))[:16]


def main(*words: str) -> None:
    """See the module."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench.planted")
    parser.add_argument("mode", choices=("run", "report"))
    parser.add_argument("file", nargs="?", type=Path, default=RESULTS)
    parser.add_argument("--mine", action="store_true", help="miners alone")
    parser.add_argument("--each", type=int, default=EACH)
    parser.add_argument("--sound", type=int, default=SOUND)
    parser.add_argument("--model", default="smollm2-135m")
    asked = parser.parse_args(words)
    if asked.mode == "run":
        _run(asked.file, asked.each, asked.sound, asked.model, miners_alone=asked.mine)
    print(report(read(asked.file)))


def _run(path: Path, each: int, sound: int, model: str, *, miners_alone: bool) -> None:
    def say(text: str) -> None:
        print(f"{datetime.now(UTC):%H:%M:%S} {text}", flush=True)

    results, some = Results(path, making(model, each, sound)), cases(each, sound)
    mine(results, some, say)
    if not miners_alone:
        with closing(open_engine(model, proof.N_CTX)) as engine:
            first = sorted(some, key=lambda case: case.kind != "sound")
            prove(results, first, engine, Core.of(engine) or Core(Catalog().path(model)), say)


if __name__ == "__main__":
    main(*sys.argv[1:])
