"""The probe: questions whose answers code can check, asked of a council once on a core, so that its weights can mean
something there.

Word problems and invented records, Russian and English, made from `probe.toml` by seeds: nothing of the person is in
them. Some records do not hold what is asked; the right answer is then that it is not known.
"""
from __future__ import annotations

import re
import tomllib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from functools import cache
from importlib.resources import files
from random import Random
from typing import Any, Literal, Protocol

from twin import council, cues, hypotheses, prompt, roles, text, weighing
from twin.numerals import numbers
from twin.roles import Role, RoleMap
from twin.types import Engine, Hypothesis, Progress, Prompt, Recalled, Sampling, Verdict, digest, never, to_plain
from twin.weighing import Calibration, Outcome

Kind = Literal["arithmetic", "planted", "unanswerable"]

# Of ten questions in a row; each comes in both languages. So any even share of the questions holds all kinds.
KINDS: tuple[Kind, ...] = ("arithmetic", "planted", "arithmetic", "unanswerable", "planted",
                           "arithmetic", "planted", "arithmetic", "unanswerable", "planted")
LANGUAGES = ("en", "ru")
TOKENS = 32  # an answer has at most so many
_HARDER = {"newest": "moved", "both": "both", "link": "through"}  # forms of a fact, and what a record needs for each
_DAY = datetime(2025, 3, 1, tzinfo=UTC)


@dataclass(frozen=True)
class ProbeQuestion:
    """A question with what is right: a number in digits, a value, or '' where nothing is known.

    `others` are values that stand in the records for something else; `form` names the story or how the fact lies in
    the records (single, newest, both, link).
    """

    id: str
    kind: Kind
    language: str
    text: str = field(repr=False)
    answer: str = field(repr=False)
    memories: tuple[Recalled, ...] = field(default=(), repr=False)
    others: tuple[str, ...] = field(default=(), repr=False)
    form: str = ""


def questions(n: int = 200, seed: int = 0) -> tuple[ProbeQuestion, ...]:
    """n different questions, the same for the same seed; fewer of them are the beginning of more."""
    made: list[ProbeQuestion] = []
    seen: set[str] = set()
    for number in range(n):
        kind, language = KINDS[number // 2 % len(KINDS)], LANGUAGES[number % 2]
        for attempt in range(100):
            draw = Random(f"{seed} {number} {attempt}")  # noqa: S311 - the same again is the point
            one = _calculation(draw, language) if kind == "arithmetic" else _records(draw, language, kind)
            mark = digest("\n".join([one.text, *(memory.text for memory in one.memories)]))
            if mark not in seen:
                break
        seen.add(mark)
        made.append(ProbeQuestion(f"{seed}-{number:03}-{mark[:8]}", kind, language, one.text, one.answer, one.memories,
                                  one.others, one.form))
    return tuple(made)


@cache
def _table() -> dict[str, Any]:
    return tomllib.loads((files("twin") / "probe.toml").read_text(encoding="utf-8"))


# ---- word problems -------------------------------------------------------------------------------------------------

def _calculation(draw: Random, language: str) -> ProbeQuestion:
    story = draw.choice(_table()["story"])
    while True:
        known = {name: draw.randint(low, high) for name, (low, high) in story["draw"].items()}
        for name, formula in story.get("derived", {}).items():
            known[name] = _value(formula, known) or 0
        if result := _value(story["answer"], known):
            said = _counted(draw.choice(story[language]), known)
            return ProbeQuestion("", "arithmetic", language, said, str(result), form=story["answer"])


def _value(formula: str, known: Mapping[str, int]) -> int | None:
    """A formula in reverse Polish notation over whole numbers; None when a step gives a fraction or less than 1."""
    stack: list[int] = []
    for word in formula.split():
        if word not in ("+", "-", "*", "/"):
            stack.append(int(word) if word.isdecimal() else known[word])
            continue
        right, left = stack.pop(), stack.pop()
        if word == "/" and left % right:
            return None
        stack.append({"+": left + right, "-": left - right, "*": left * right, "/": left // right}[word])
        if stack[-1] < 1:
            return None
    return stack[0]


def _counted(template: str, known: Mapping[str, int]) -> str:
    def filled(match: re.Match[str]) -> str:
        number = known[match["name"]]
        words = (match["words"] or "").split("|")
        return f"{number} {words[_plural(number, len(words))]}".rstrip()
    return re.sub(r"\{(?P<name>\w+)(?::(?P<words>[^}]*))?\}", filled, template)


def _plural(number: int, forms: int) -> int:
    """Place of the form: one, many in English (2 forms); 1, 2-4, 5-20 in Russian (3); always 0 where there is one."""
    if forms < 3:
        return int(forms == 2 and number != 1)
    if number % 10 == 1 and number % 100 != 11:
        return 0
    return 1 if number % 10 in (2, 3, 4) and number % 100 not in (12, 13, 14) else 2


# ---- records -------------------------------------------------------------------------------------------------------

def _records(draw: Random, language: str, kind: Kind) -> ProbeQuestion:
    """3 to 5 records; one or two of them hold the fact, or none does."""
    table: list[dict[str, Any]] = _table()["record"]
    shape = draw.choice(table)
    words = shape[language]
    harder = [form for form, key in _HARDER.items() if key in words]
    form = draw.choice(["single", *harder, *harder])
    size = draw.randint(3, 5)
    things = draw.sample(words["things"], 5)
    values = _values(draw, words["values"], 5)
    asked, second = things[0], things[1]
    said, late = [words["says"].format(e=thing, v=value)
                  for thing, value in zip(things[1:], values[1:], strict=True)][:max(2, size - 2)], ""
    told = words["says"].format(e=asked, v=values[0])
    question, answer = words["asks"].format(e=asked), values[0]
    others = list(values[1:])
    if form == "both":
        question, answer = words["both"].format(e=asked, f=second), str(int(values[0]) + int(values[1]))
    elif form == "newest":
        late, answer = words["moved"].format(e=asked, v=values[4]), values[4]
        others = values[:4]
    elif form == "link":
        floors = _values(draw, [2, 19], 2)
        said = [*said[:2], words["link"].format(v=values[1], n=floors[1])]
        late, answer, others = words["link"].format(v=values[0], n=floors[0]), floors[0], [floors[1]]
        question = words["through"].format(e=asked)
    if kind == "unanswerable":
        told, late, answer, others = "", "", "", []
    rest = [one for one in table if one is not shape]
    while len(said) + bool(told) + bool(late) < size:
        other = rest.pop(draw.randrange(len(rest)))[language]
        said.append(other["says"].format(e=draw.choice(other["things"]), v=_values(draw, other["values"], 1)[0]))
    said += [told] if told else []
    said += [late] if late and form == "link" else []
    draw.shuffle(said)
    if late and form == "newest":  # after what it replaces
        said.insert(draw.randint(said.index(told) + 1, len(said)), late)
    return ProbeQuestion("", kind, language, question, answer, tuple(_dated(draw, said, dated=form == "newest")),
                         tuple(others), form)


def _values(draw: Random, values: Sequence[Any], n: int) -> list[str]:
    """n different values of a list of words, or of a range of numbers (low, high)."""
    some = range(values[0], values[1] + 1) if isinstance(values[0], int) else values
    return [str(value) for value in draw.sample(some, n)]


def _dated(draw: Random, said: Iterable[str], *, dated: bool) -> Iterator[Recalled]:
    day = _DAY
    for number, one in enumerate(said, 1):
        day += timedelta(days=draw.randint(1, 9))
        yield Recalled((f"record {number}",), one, 1.0, "made up for the probe", "probe", time=day if dated else None)


# ---- what is right -------------------------------------------------------------------------------------------------

def right(question: ProbeQuestion, said: str) -> bool:
    """Whether an answer of at most TOKENS is the right one, by rules alone.

    Numbers: the one behind the last '=', else behind 'answer' and the like, else the last one of the first sentence
    that has any; in digits or, where there are none, in words; units do not count. Words: all stems of the value and
    none of another value of the records. Nothing known: the answer says so; anything else is wrong there, and to say so
    is wrong elsewhere.
    """
    said = _CITED.sub(" ", said)
    silent = hypotheses.abstains(said) or _unknown().search(cues.plain(said)) is not None
    if silent or not question.answer:
        return silent and not question.answer
    if question.answer.isdecimal():
        return number_in(said) == int(question.answer)
    stems = set(text.stems(said))
    wanted = _stems(question.answer)
    return wanted <= stems and not any(other <= stems for other in map(_stems, question.others) if other - wanted)


def number_in(said: str) -> float | None:
    """The number an answer comes to; None when it names none, or breaks off at its '='."""
    if "=" in said:
        return _only(said.rsplit("=", 1)[1].split(), from_end=False)
    if (cue := _RESULT.search(said)) and numbers(said[cue.end():]):
        return _only(said[cue.end():].split(), from_end=False)
    for start, end in text.sentences(said):
        if numbers(said[start:end]):
            return _only(said[start:end].split(), from_end=True)
    return None


def _only(words: Sequence[str], *, from_end: bool) -> float | None:
    """The first number of some words, or the last: the one in the longest beginning, or end, that holds one alone."""
    for n in range(len(words), 0, -1):
        found = numbers(" ".join(words[-n:] if from_end else words[:n]))
        if len(found) == 1:
            return next(iter(found))
    return None


_CITED = re.compile(r"\[\d{1,2}\]|\((?:records?|запис\w+) \d{1,2}\)", re.IGNORECASE)
_RESULT = re.compile(r"\b(?:answer|result|total|ответ|итого|результат|всего)\b(?:\s*(?:is|are)\b)?", re.IGNORECASE)


def _stems(value: str) -> frozenset[str]:
    return frozenset(text.stems(value))


@cache
def _unknown() -> re.Pattern[str]:
    return cues.any_of(_table()["unknown"]["cues"])


# ---- asking it -----------------------------------------------------------------------------------------------------

class Store(Protocol):
    """Where answers to the probe are kept (archive.probes); `role_map` is what `version` says of it."""

    def save_probe(self, core: str, role_map: str, question: str, body: Mapping[str, Any]) -> None:
        """Keep what was answered to one question."""
        ...

    def probes(self, core: str, role_map: str) -> dict[str, dict[str, Any]]:
        """What was answered until now, by question."""
        ...


def version(role_map: RoleMap) -> str:
    """What the answers depend on of a map: its roles' instructions and sampling. Examples, scopes and the council's
    policy change nothing, so the probe need not be asked again for them."""
    return digest("\0".join(str(part) for role in role_map.roles for part in (
        role.id, *(roles.header(role, language) for language in LANGUAGES), sorted(vars(role.sampling).items()))))


Ask = Callable[[ProbeQuestion, Callable[[], bool]], Verdict]
"""Asks a council one question, brief; it may stop when the function it is given says so."""


def rendered(engine: Engine, role: Role | None, question: ProbeQuestion) -> Prompt:
    """The prompt of a council's member for a question: what all share, then the role (None: nothing of that kind) and
    how a council answers."""
    language = question.language
    told = [*([roles.header(role, language)] if role else []), council.instruction(language, brief=True)]
    return prompt.render(family=engine.family, question=question.text, header="\n".join(told),
                         role=role.id if role else "", count=lambda said: len(engine.tokenize(said)),
                         budget=engine.n_ctx - TOKENS, memories=question.memories)


def asker(engine: Engine, role_map: RoleMap, members: Sequence[str] = ()) -> Ask:
    """Asks these roles (default: all of the map), prompt only, each with its own sampling and a seed of the question.

    Without embedder: what counts as the same answer must not depend on what is installed.
    """
    chosen = [role_map.role(name) for name in members or role_map.ids]

    def ask(question: ProbeQuestion, cancel: Callable[[], bool]) -> Verdict:
        samplings = {role.id: sampling(role, f"{question.id} {role.id}") for role in chosen}
        steps = council.deliberate(engine, {role.id: rendered(engine, role, question) for role in chosen}, samplings,
                                   question=question.text, memories=question.memories, brief=True, cancel=cancel)
        while True:
            try:
                next(steps)
            except StopIteration as end:
                verdict: Verdict = end.value
                return verdict
            except hypotheses.Unusable as error:  # of nobody any answer can be used
                return Verdict((), (), 1.0, 0.0, how="none", failed={"": error.what})

    return ask


def sampling(role: Role | None, seed: str) -> Sampling:
    """The role's own sampling for an answer of TOKENS, the same again for the same seed."""
    return replace(Sampling(**vars(role.sampling)) if role else Sampling(), max_tokens=TOKENS,
                   seed=int(digest(seed)[:8], 16))


def run(engine: Engine, store: Store, role_map: RoleMap, ask: Ask, asked: Sequence[ProbeQuestion], *,
        progress: Progress | None = None, cancel: Callable[[], bool] = never) -> Calibration | None:
    """Ask what this core with this map has not answered yet, and keep each answer as it comes.

    The calibration when all are answered; None when it was stopped: the next run goes on from there.
    """
    made_of = version(role_map)
    known = store.probes(engine.id, made_of)
    done = sum(question.id in known for question in asked)
    for question in asked:
        if progress:
            progress("questions of the probe", done, len(asked))
        if question.id in known:
            continue
        verdict = ask(question, cancel)
        if cancel():
            return None
        store.save_probe(engine.id, made_of, question.id, {
            "hypotheses": to_plain(verdict.hypotheses), "failed": to_plain(verdict.failed),
            "tokens": verdict.tokens, "seconds": verdict.seconds})
        done += 1
    if progress:
        progress("questions of the probe", done, len(asked))
    return calibration(store, engine.id, made_of, asked)


def outcomes(store: Store, core: str, role_map: str, asked: Sequence[ProbeQuestion]) -> list[Outcome]:
    """What was answered until now by this core and `version` of a map, grouped and judged, for weighing.fit."""
    known = store.probes(core, role_map)
    return [outcome(question, [_hypothesis(one) for one in known[question.id]["hypotheses"]])
            for question in asked if question.id in known]


def outcome(question: ProbeQuestion, said: Sequence[Hypothesis]) -> Outcome:
    """One question's hypotheses, grouped and judged. A group is right when most of it is, its first one where halves
    stand against each other."""
    groups = hypotheses.cluster(said, question=question.text)
    rights = [right(question, one.text) for one in said]
    return Outcome(question.text, tuple(said), tuple(tuple(group) for group in groups), tuple(
        2 * sum(rights[i] for i in group) + rights[group[0]] > len(group) for group in groups), question.memories,
        question.id)


def calibration(store: Store, core: str, role_map: str, asked: Sequence[ProbeQuestion]) -> Calibration | None:
    """What the answers make of the council's weights on this core; None until all are there."""
    made = outcomes(store, core, role_map, asked)
    return weighing.fit(made, core=core, role_map=role_map) if len(made) == len(asked) > 0 else None


def _hypothesis(plain: Mapping[str, Any]) -> Hypothesis:
    return Hypothesis(**{**plain, "evidence": tuple(plain["evidence"])})
