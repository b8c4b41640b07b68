"""Does a role guide as well when its header comes last? python tests/bench/layout.py [MODEL] [--limit N] [--save PATH].

Role last: constitution, history and question first, the header as last system message, so that roles share what was
read. Role first: the header in the first system message, the usual layout. Turns back: the header stands in the
history, k answers ago, and the k answers between obey it; with a reminder last, with the whole header last, or without.
Returning: its role answered, then another one did, and now it is asked again, with its whole header or with a reminder
of it. The same items go through all, greedily. Prints adherence by kind, accuracy on questions with one right result,
paired differences, tokens read and seconds.
Data and checks of answers: layout.toml and the functions below. Knows the text of an answer, not whether it is good.
"""
from __future__ import annotations

import argparse
import json
import re
import sys
import tomllib
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from twin.prompt import CONSTITUTION, plain
from twin.text import language as language_of
from twin.text import sentences as sentence_spans
from twin.types import Engine, Family, Prompt, Sampling

MARGIN = 2.0  # points by which role last may be worse and still count as no worse
ADHERENCE, ACCURACY = 60, 32  # most tokens of an answer: enough to check it
LETTERS = 60  # after so many the language or the case of an answer is clear

Messages = list[tuple[str, str]]
# What a check says of (answer so far, whether it has ended, its arguments in layout.toml); None: more is needed.
Verdict = bool | None


def language(said: str, ended: bool, of: str) -> Verdict:
    """Nearly all letters are of one script; in Russian three in ten may be Latin: names and terms stay as they are."""
    cyrillic, latin = (len(re.findall(letters, said.casefold())) for letters in ("[а-яё]", "[a-z]"))
    if not ended and cyrillic + latin < LETTERS:
        return None
    return cyrillic + latin > 0 and (cyrillic >= 2.3 * latin if of == "ru" else latin >= 9 * cyrillic)


def sentences(said: str, ended: bool, most: int, least: int = 1) -> Verdict:
    n = len(sentence_spans(said.strip()))
    return False if n > most else n >= least if ended else None


def words(said: str, ended: bool, most: int) -> Verdict:
    return False if len(re.findall(r"\w+(?:[-'’.,]\w+)*", said)) > most else True if ended else None


def bullets(said: str, ended: bool, count: int) -> Verdict:
    """Every line is a bullet, and there are `count` of them."""
    lines = [line.strip() for line in said.splitlines() if line.strip()]
    if len(lines) > count or not all(re.match(r"[-*•\u2013\u2014](\s|$)", line) for line in lines):
        return False
    return len(lines) == count if ended else None


def json_object(said: str, ended: bool, key: str) -> Verdict:
    """Begins with a JSON object that has the key; a code fence around it and text after it are let pass."""
    body = re.sub(r"^```\w*\s*", "", said.strip())
    if body and body[0] not in "{`":
        return False
    try:
        found, _ = json.JSONDecoder().raw_decode(body)
    except ValueError:
        return False if ended else None
    return isinstance(found, dict) and key in found


def numbered(said: str, ended: bool, least: int) -> Verdict:
    if not any(start.startswith(said.lstrip()[:2]) for start in ("1.", "1)")):
        return False
    return True if re.search(rf"^\s*{least}[.)]\s", said, re.MULTILINE) else False if ended else None


def begins(said: str, ended: bool, text: str) -> Verdict:
    """Emphasis and quotation marks around the label are let pass."""
    start, label = re.sub("[*#\"'«`]", "", said).lstrip().casefold(), text.casefold()
    return True if start.startswith(label) else False if ended or not label.startswith(start) else None


def ends(said: str, ended: bool, pattern: str) -> Verdict:
    if not ended:
        return None
    return bool(re.search(f"(?:{pattern})$", said.rstrip(" \n.!*\"'»”)`"), re.IGNORECASE))


def upper(said: str, ended: bool) -> Verdict:
    letters = [letter for letter in said if letter.isalpha()]
    if any(letter.islower() for letter in letters):
        return False
    return True if len(letters) >= LETTERS else bool(letters) if ended else None


def mentions(said: str, ended: bool, pattern: str) -> Verdict:
    return True if re.search(pattern, said, re.IGNORECASE) else False if ended else None


def lacks(said: str, ended: bool, pattern: str) -> Verdict:
    """While the answer grows its last word may be half a word: not looked at yet."""
    whole = said if ended else re.sub(r"[\w'’]+$", "", said)
    return False if re.search(pattern, whole, re.IGNORECASE) else True if ended else None


def number(said: str, ended: bool, value: float) -> Verdict:
    """The last number of the answer, so that a sum may be written out before its result."""
    if not ended:
        return None
    found = re.findall(r"-?\d+(?:[.,]\d+)?", said)
    return bool(found) and float(found[-1].replace(",", ".")) == value


def says(said: str, ended: bool, pattern: str) -> Verdict:
    """Whole words, in any case."""
    return bool(re.search(rf"(?<!\w)(?:{pattern})(?!\w)", said, re.IGNORECASE)) if ended else None


CHECKS: dict[str, Callable[..., Verdict]] = {check.__name__: check for check in (
    language, sentences, words, bullets, json_object, numbered, begins, ends, upper, mentions, lacks, number, says)}


def judge(check: Mapping[str, Any], said: str, ended: bool = True) -> Verdict:
    """Whether an answer passes a check of layout.toml. An empty one never does."""
    if not said.strip():
        return False if ended else None
    return CHECKS[check["name"]](said, ended, **{key: value for key, value in check.items() if key != "name"})


REMINDER = {"en": "Do exactly as you were instructed above.", "ru": "Делай в точности так, как сказано тебе выше."}


def reminder(header: str) -> str:
    """The first sentence of a header, and words that point back to the rest."""
    start, end = sentence_spans(header)[0]
    return f"{header[start:end]} {REMINDER[language_of(header)]}"


@dataclass(frozen=True)
class Item:
    """One question under one header. `group`: items of one header are not independent of each other."""

    id: str
    kind: str
    group: str
    header: str
    history: Messages
    question: str
    check: Mapping[str, Any]
    between: Sequence[tuple[str, str]] = ()


def items_of(data: Mapping[str, Any], limit: int | None = None) -> list[Item]:
    """Items of layout.toml, those with equal beginnings side by side; at most `limit` of each kind."""
    histories = {name: [(speaker, said) for speaker, said in lines] for name, lines in data["history"].items()}
    kept = [Item(f"{role['id']}.{n}", role["kind"], role["id"], role["header"], histories[role["history"]], question,
                 role["check"], [(asked, said) for asked, said in role.get("between", ())])
            for role in data["role"] for n, question in enumerate(role["ask"], 1)]
    for row in data["question"]:
        tongue = language_of(row["ask"])
        kept.append(Item(row["id"], "accuracy", row["id"], data["neutral"][tongue], histories[tongue], row["ask"],
                         row["check"]))
    by_kind = [[item for item in kept if item.kind == kind][:limit] for kind in dict.fromkeys(i.kind for i in kept)]
    return sorted((item for items in by_kind for item in items), key=lambda item: (item.history, item.header))


def last(item: Item, family: str | Family) -> Prompt:
    """What all roles share, then the header: our layout."""
    return plain(family, [("system", CONSTITUTION), *item.history, ("user", item.question)], item.header)


def first(item: Item, family: str | Family) -> Prompt:
    """The header in the first system message, after the constitution."""
    return plain(family, [("system", f"{CONSTITUTION}\n\n{item.header}"), *item.history, ("user", item.question)])


def turns_back(item: Item, family: str | Family, k: int, told: str = "") -> Prompt:
    """The header before the answer k exchanges ago; the k answers since obey it. `told`: what stands last besides."""
    (asked, said), *more = item.between[:k]
    since: Messages = [pair for ask, answer in more for pair in (("user", ask), ("assistant", answer))]
    return plain(family, [("system", CONSTITUTION), *item.history, ("user", asked), ("system", item.header),
                          ("assistant", said), *since, ("user", item.question)], told)


def returning(item: Item, other: Item, family: str | Family, reminded: bool) -> Prompt:
    """The header, an answer that obeys it, two exchanges of another role; then the header again, or its first sentence
    with the words that point back to it."""
    began, *_ = item.between
    others: Messages = [pair for asked, said in other.between[:2] for pair in (("user", asked), ("assistant", said))]
    others.insert(1, ("system", other.header))
    return plain(family, [("system", CONSTITUTION), *item.history, ("user", began[0]), ("system", item.header),
                          ("assistant", began[1]), *others, ("user", item.question)],
                 reminder(item.header) if reminded else item.header)


@dataclass(frozen=True)
class Outcome:
    """What a layout made of an item. `read`: prompt tokens that were not in the cache."""

    layout: str
    id: str
    kind: str
    passed: bool
    answer: str
    read: int
    written: int
    seconds: float


def ask(engine: Engine, layout: str, item: Item, prompt: Prompt) -> Outcome:
    """One greedy answer, stopped as soon as its check is decided."""
    sampling = Sampling(temperature=0.0, repeat_penalty=1.0,
                        max_tokens=ACCURACY if item.kind == "accuracy" else ADHERENCE)
    said, usage, verdicts = "", None, list[bool]()
    for piece in engine.stream(prompt, sampling, cancel=lambda: bool(verdicts)):
        said, usage = said + piece.text, piece.usage
        if (verdict := judge(item.check, said, ended=False)) is not None:
            verdicts.append(verdict)
    assert usage
    passed, read = verdicts[0] if verdicts else bool(judge(item.check, said)), usage.prompt_tokens - usage.reused
    return Outcome(layout, item.id, item.kind, passed, said, read, usage.generated, usage.total_s)


def prompts(items: Sequence[Item], family: str | Family, distances: Iterable[int]) -> list[tuple[str, Item, Prompt]]:
    """What is asked, layout by layout: prompts with equal beginnings follow each other and share them.

    That spares role first most of its reading, as no conversation that changes roles would (engine.py measures those).
    """
    asked = [(name, item, place(item, family)) for name, place in (("last", last), ("first", first)) for item in items]
    for header in dict.fromkeys(item.header for item in items if item.between):
        asked += [(f"{k} back{name}", item, turns_back(item, family, k, told))
                  for k in sorted(set(distances)) for item in items if item.header == header
                  for name, told in (("", ""), (", remind", reminder(header)), (", again", header))]
    roles = [item for item in items if item.between]
    for name, reminded in (("returning", False), ("reminded", True)):
        for n, item in enumerate(roles):
            others = [one for one in roles if one.kind != item.kind and one.history == item.history]
            asked.append((name, item, returning(item, others[n % len(others)], family, reminded)))
    return asked


@dataclass(frozen=True)
class Difference:
    """Paired difference in points with its 95 % interval, and how many items only the one or the other passed."""

    points: float
    low: float
    high: float
    only_one: int
    only_other: int

    @property
    def verdict(self) -> str:
        """Whether the one is no worse than the other by more than MARGIN."""
        return "no worse" if self.low > -MARGIN else "worse" if self.high < -MARGIN else "open"


def compare(one: Sequence[bool], other: Sequence[bool], groups: Sequence[str], draws: int = 5000) -> Difference:
    """Paired bootstrap (Efron 1979); items of one header are drawn together, else the interval would be too narrow."""
    steps = np.array(one, float) - np.array(other, float)
    _, member = np.unique(groups, return_inverse=True)
    sums, sizes = np.bincount(member, steps), np.bincount(member)
    drawn = np.random.default_rng(0).integers(len(sums), size=(draws, len(sums)))
    low, high = np.quantile(100 * sums[drawn].sum(1) / sizes[drawn].sum(1), (0.025, 0.975))
    mean, more, less = 100 * float(steps.mean()), int((steps > 0).sum()), int((steps < 0).sum())
    return Difference(mean, float(low), float(high), more, less)


def row(title: str, one: Sequence[Outcome], other: Sequence[Outcome], groups: Mapping[str, str]) -> None:
    """Print one line of a table: shares in percent, difference, discordant pairs (McNemar 1947)."""
    before = {outcome.id: outcome.passed for outcome in other}
    pairs = [(outcome.passed, before[outcome.id], groups[outcome.id]) for outcome in one]
    mine, theirs, group = zip(*pairs, strict=True)
    found = compare(mine, theirs, group)
    print(f"  {title:14}{len(pairs):4}{100 * np.mean(mine):8.1f}{100 * np.mean(theirs):8.1f}{found.points:+9.1f} "
          f"[{found.low:+6.1f}, {found.high:+6.1f}]{found.only_one:6} /{found.only_other:3}   {found.verdict}")


def report(model: str, items: Sequence[Item], found: Mapping[str, Sequence[Outcome]]) -> None:
    groups = {item.id: item.group for item in items}
    kinds = sorted({item.kind for item in items} - {"accuracy"})
    head = "  {:14}{:>4}{:>8}{:>8}{:>9} {:18}{:>10}   no worse by more than {:g} points?"
    print(f"{model}, greedy\n\n" + head.format("", "n", "last", "first", "diff", "95 %", "only", MARGIN))
    for title, chosen in [*((kind, [kind]) for kind in kinds), ("adherence", kinds), ("accuracy", ["accuracy"])]:
        mine, theirs = ([o for o in found[name] if o.kind in chosen] for name in ("last", "first"))
        row(title, mine, theirs, groups)
    print("\n" + head.format("header stands", "n", "there", "last", "diff", "95 %", "only", MARGIN))
    for name in (name for name in found if "back" in name):
        row(name, found[name], found["last"], groups)
    row("reminded", found["reminded"], found["returning"], groups)  # the whole header again is what it would save
    print(f"\n  {'header':14}{'items':>6}{'read':>8}{'written':>9}{'seconds':>9}   tokens read an item")
    for name, outcomes in found.items():
        read, written = sum(o.read for o in outcomes), sum(o.written for o in outcomes)
        print(f"  {name:14}{len(outcomes):6}{read:8}{written:9}{sum(o.seconds for o in outcomes):9.0f}"
              f"{read / len(outcomes):12.0f}")


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("model", nargs="?", default="qwen2.5-coder-1.5b")
    parser.add_argument("--limit", type=int, help="at most so many items of each kind")
    parser.add_argument("--distance", type=int, nargs="*", default=[1, 3, 6], choices=range(1, 7), metavar="K")
    parser.add_argument("--save", type=Path, help="a JSON file for all answers")
    told = parser.parse_args()
    from twin.catalog import Catalog  # deferred, as is the engine: checks and layouts need no compiled library
    from twin.engine.llama import LlamaEngine

    data = tomllib.loads(Path(__file__).with_suffix(".toml").read_text("utf-8"))
    items, found = items_of(data, told.limit), dict[str, list[Outcome]]()
    engine = LlamaEngine(Catalog().path(told.model), n_ctx=2048, trusted=True)
    asked = prompts(items, engine.family, told.distance)
    list(engine.stream(plain(engine.family, [("user", "Hello")]), Sampling(max_tokens=1)))  # pages the weights in
    for n, (layout, item, prompt) in enumerate(asked, 1):
        found.setdefault(layout, []).append(ask(engine, layout, item, prompt))
        print(f"{n} of {len(asked)}", end="\r", file=sys.stderr)
        if told.save:  # each time: a bench that is stopped after a quarter of an hour keeps what it has
            rows = [asdict(outcome) for outcomes in found.values() for outcome in outcomes]
            told.save.write_text(json.dumps({"model": told.model, "outcomes": rows}, ensure_ascii=False), "utf-8")
    engine.close()
    report(told.model, items, found)


if __name__ == "__main__":
    main()
