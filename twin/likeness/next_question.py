"""The next question: is the one the person really asked likelier than nine others, after what was said before it?

Three of the nine are other people's on the same topic, three other people's of like length, three are made by the core
from the same context. So a voice is not enough, nor the topic: it tests which question a person asks there.

Two scores, lower is likelier. `plain`: bits a character. `pmi`, the headline: the same less the bits a character of the
question after nothing, under the same adapter and profile. What the core made is likely by its making, and short common
questions are likely anywhere; so is anything in a voice the adapter has learned. The difference leaves what the context
adds (domain conditional PMI: Holtzman et al. 2021, "Surface form competition").
"""
from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from twin import text as texts
from twin.errors import UsageError
from twin.likeness.conditions import LONGEST, Condition, asked
from twin.likeness.intervals import Estimate, clusters, pooled
from twin.likeness.style import Floats
from twin.prompt import plain
from twin.question import asks, is_question
from twin.training.samples import Sample
from twin.types import Embedder, Engine, Progress, Sampling, never

Make = Callable[[str], Sequence[str]]
"""What was said before -> questions a core would ask next."""

EACH = 3        # others of each kind
LEAST = 4       # words of a question that can be told from others
LIKE = 1.5      # how many times longer or shorter a question of like length is
TRIES = 8       # answers a core gets to ask EACH different questions
_WRITE = {"en": "Write the next question this person asks. Only the question, in their language.",
          "ru": "Напиши следующий вопрос этого человека. Только вопрос, на его языке."}


@dataclass(frozen=True, repr=False)
class Item:
    """A real question after its context, and nine others with their kinds ('topic', 'random', 'core')."""

    sample: Sample
    others: tuple[str, ...]
    kinds: tuple[str, ...]
    cluster: str

    def __repr__(self) -> str:
        return f"Item({self.sample.key}, {', '.join(f'{n} {kind}' for kind, n in Counter(self.kinds).items())})"


@dataclass(frozen=True)
class Picks:
    """Of each item the chance of a hit (1, 0, or a share in a tie) and the reciprocal rank of the real question."""

    condition: str
    hit: tuple[float, ...] = field(repr=False)
    reciprocal: tuple[float, ...] = field(repr=False)
    plain_hit: tuple[float, ...] = field(repr=False)
    plain_reciprocal: tuple[float, ...] = field(repr=False)
    clusters: tuple[str, ...] = field(repr=False)

    def summary(self) -> dict[str, Estimate]:
        """Hit rate at 1 and mean reciprocal rank by both scores, with intervals over conversations. By chance .10 and
        .29."""
        return {name: pooled(values, self.clusters) for name, values in (
            ("hit", self.hit), ("mrr", self.reciprocal), ("plain hit", self.plain_hit),
            ("plain mrr", self.plain_reciprocal))}


# ---- which questions ------------------------------------------------------------------------------------------------

def fits(sample: Sample) -> bool:
    """Whether a sample is a question of LEAST words or more with something before it."""
    return bool(sample.context.strip()) and is_question(sample.answer) and len(sample.answer.split()) >= LEAST


def items(samples: Sequence[Sample], others: Sequence[str], *, make: Make | None = None,
          embedder: Embedder | None = None, seed: int = 0, progress: Progress | None = None,
          cancel: Callable[[], bool] = never) -> tuple[list[Item], Mapping[str, int]]:
    """The items of the person's held-out samples against `others`, messages of other people, cleaned as the samples are
    (`examples.own_text`), of which those that ask are used; and counts: 'no question with a context', 'too few others'
    (left out), 'made by the core', 'replaced' (by random ones, where the core made none).

    Only questions in the language of the real one stand against it. Nearest in topic is by the embedder, else by common
    stems. Cancelled, it returns the items so far.
    """
    pool = _Pool([one for one in dict.fromkeys(others) if is_question(one) and len(one.split()) >= LEAST], embedder)
    dice, counts = random.Random(seed), Counter[str]()  # noqa: S311 - a draw, no secret
    found: list[Item] = []
    for number, (sample, cluster) in enumerate(zip(samples, clusters(samples), strict=True)):
        if cancel():
            break
        if progress:
            progress("questions looked for", number + 1, len(samples))
        if not fits(sample):
            counts["no question with a context"] += 1
        elif (item := _item(sample, cluster, pool, make, dice)) is None:
            counts["too few others"] += 1
        else:
            found.append(item)
            made = item.kinds.count("core")
            counts.update({"made by the core": made, "replaced": EACH - made})
    return found, dict(counts)


class _Pool:
    """Other people's questions, and how near each is to a given one."""

    def __init__(self, questions: Sequence[str], embedder: Embedder | None) -> None:
        self.questions, self.embedder = list(questions), embedder
        self.tongues = [texts.language(one) for one in questions]
        self._vectors = np.asarray(embedder.embed(self.questions), float) if embedder and questions else None
        self._stems = [] if embedder else [frozenset(texts.stems(one)) for one in questions]

    def near(self, question: str) -> Floats:
        """(n,): cosine of the embeddings, or of the sets of stems."""
        if self.embedder and self._vectors is not None:
            return np.asarray(self._vectors @ np.asarray(self.embedder.embed([question])[0], float), float)
        mine = frozenset(texts.stems(question))
        return np.array([len(mine & one) / max(len(mine) * len(one), 1) ** 0.5 for one in self._stems])


def _item(sample: Sample, cluster: str, pool: _Pool, make: Make | None, dice: random.Random) -> Item | None:
    tongue, real = texts.language(sample.answer), _bare(sample.answer)
    allowed = [place for place, one in enumerate(pool.questions)
               if pool.tongues[place] == tongue and _bare(one) != real]
    if len(allowed) < 3 * EACH:
        return None
    near = pool.near(sample.answer)
    allowed.sort(key=lambda place: -near[place])
    topic, rest = [pool.questions[place] for place in allowed[:EACH]], [pool.questions[i] for i in allowed[EACH:]]
    core = _different(make(sample.context), [sample.answer, *topic], tongue)[:EACH] if make else []
    rest = [one for one in rest if _bare(one) not in set(map(_bare, core))]
    drawn = _of_like_length(rest, len(sample.answer), 2 * EACH - len(core), dice)
    kinds = ("topic",) * EACH + ("core",) * len(core) + ("random",) * len(drawn)
    return Item(sample, (*topic, *core, *drawn), kinds, cluster) if len(kinds) == 3 * EACH else None


def _of_like_length(questions: Sequence[str], length: int, n: int, dice: random.Random) -> list[str]:
    """n at random of those at most LIKE times longer or shorter; of the nearest in length where these are too few."""
    def unlike(one: str) -> float:
        return max(len(one) / length, length / len(one))

    ordered = sorted(questions, key=unlike)
    return dice.sample(ordered[:max(n, sum(unlike(one) <= LIKE for one in ordered))], min(n, len(ordered)))


def _different(made: Sequence[str], known: Sequence[str], tongue: str) -> list[str]:
    met, kept = set(map(_bare, known)), list[str]()
    for one in made:
        if _bare(one) not in met and texts.language(one) == tongue:
            met.add(_bare(one))
            kept.append(one)
    return kept


def _bare(question: str) -> str:
    return " ".join(texts.words(question))


# ---- made by the core -----------------------------------------------------------------------------------------------

def made_by(engine: Engine, *, n: int = EACH, tries: int = TRIES, cancel: Callable[[], bool] = never) -> Make:
    """Up to n different questions that the core, without adapter or profile, would ask after a context: the first is
    greedy, the others are drawn at temperature 1 by fixed seeds. Fewer where it asks nothing, or the same."""
    def make(context: str) -> list[str]:
        prompt = plain(engine.family, [("user", context)], _WRITE.get(texts.language(context), _WRITE["en"]))
        found: dict[str, str] = {}
        for turn in range(tries):
            if len(found) == n or cancel():
                break
            drawn = Sampling(temperature=0.0 if turn == 0 else 1.0, max_tokens=48, seed=turn)
            said = "".join(piece.text for piece in engine.stream(prompt, drawn, cancel=cancel))
            for one in _questions(said):
                found.setdefault(_bare(one), one)
                break
        return list(found.values())
    return make


def _questions(said: str) -> Iterator[str]:
    """The sentences of an answer that ask and are long enough."""
    for start, end in texts.sentences(said):
        one = said[start:end].strip("\"“”«» \n")
        if len(one.split()) >= LEAST and asks(one):
            yield one


# ---- picked by a core -----------------------------------------------------------------------------------------------

def pick(engine: Engine, condition: Condition, asked_items: Sequence[Item], *, progress: Progress | None = None,
         cancel: Callable[[], bool] = never) -> Picks:
    """Where the real question stands among the ten under a condition. Cancelled, it returns the items so far; raises
    UsageError for none and what `measure` raises."""
    if not asked_items:
        raise UsageError("There is no question to pick.",
                         f"Questions need {LEAST} words and something said before them; import more conversations.")
    alone: dict[tuple[str, str], float] = {}  # others' questions come again; after nothing they cost the same
    found: tuple[list[float], ...] = ([], [], [], [])
    for number, item in enumerate(asked_items):
        if cancel():
            break
        candidates = (item.sample.answer, *item.others)
        after = [_cost(engine, condition, item.sample, one) for one in candidates]
        bare = replace(item.sample, context="")
        for one in candidates:
            key = (item.sample.header, one)
            if key not in alone:
                alone[key] = _cost(engine, replace(condition, recall=None), bare, one)
        pmi = [cost - alone[item.sample.header, one] for cost, one in zip(after, candidates, strict=True)]
        for column, figure in zip(found, (*_placed(pmi), *_placed(after)), strict=True):
            column.append(figure)
        if progress:
            progress(f"questions picked under {condition.name}", number + 1, len(asked_items))
    hit, reciprocal, plain_hit, plain_reciprocal = map(tuple, found)
    return Picks(condition.name, hit, reciprocal, plain_hit, plain_reciprocal,
                 tuple(item.cluster for item in asked_items[:len(hit)]))


def _cost(engine: Engine, condition: Condition, sample: Sample, question: str) -> float:
    return engine.score(asked(engine, condition, sample), question[:LONGEST]).bits_per_character


def _placed(costs: Sequence[float]) -> tuple[float, float]:
    """(hit, reciprocal rank) of the first of the costs, as expected when equal ones are put in order by chance."""
    better, equal = sum(one < costs[0] for one in costs[1:]), sum(one == costs[0] for one in costs[1:])
    reciprocal = sum(1 / (better + place) for place in range(1, equal + 2)) / (equal + 1)
    return (1 / (equal + 1) if better == 0 else 0.0), reciprocal
