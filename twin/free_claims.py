"""Claims outside the catalogue: facts and preferences a core points at, and claims in its own words.

Statements: the core says Yes or No to one sentence ("does this tell a lasting fact of the writer?"), code quotes it.
Own words: the core writes a claim and points at numbered sentences. The grammar admits only numbers that stand in the
batch, so a quote is verbatim by construction, and only letters of the person's language. Then it looks again, at one
sentence at a time. Both count only above a bar the core earned on shipped examples (free_claims.toml); what it cannot
tell apart it does not claim, and that is said. Qwen2.5-Coder-1.5B passes for statements, not for its own words.
"""
from __future__ import annotations

import json
import re
import time
import tomllib
from collections.abc import Callable, Iterable, Iterator, Mapping, MutableMapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from importlib.resources import files
from typing import Any, Literal, get_args

from twin import text
from twin.cues import cue, plain
from twin.own_word import Sentence, own_word
from twin.person import ClaimKind, FreeClaim
from twin.prompt import plain as prompt_of
from twin.reader import OFF, Key
from twin.reader import Cost as Cost
from twin.russian import forms
from twin.types import Engine, Message, Progress, Prompt, Sampling, never

BATCH = 12            # messages of one language in a prompt: a stop or a broken answer loses no more
CHARACTERS = 2400     # of their sentences: about 700 tokens of English, 1,000 of Russian
MOST = 4              # claims of a batch
TOKENS = 360          # of an answer: four claims with all their braces take 200 to 300
WRITTEN = 5           # a token written takes as long as so many read: 14 against 58 to 76 a second on 2 processors
LONGEST = 110         # characters of a claim
COPIED = 6            # words in a row that a claim may share with the message it rests on
# Precision and recall that a look must reach on the shipped examples to count. With .8 and .5 for own words as well,
# Qwen2.5-Coder-1.5B passed in English, and the three claims that it made of 40 labelled messages were all wrong.
GATE = {"stated": (0.8, 0.5), "free": (0.9, 0.8)}
LEAST = {"fact": 0.7, "preference": 0.85, "en": 0.7, "ru": 0.7}  # no bar lies lower; odd half of the labelled set
STATED: tuple[Literal["fact", "preference"], ...] = ("fact", "preference")

Fault = Literal["NoClaims", "InvalidOutput", "Truncated", "NotPassed"]


@dataclass(frozen=True)
class Failure:
    """What a reading failed at. NoClaims: `keys` were read and no claim of the answer held; InvalidOutput: the answer
    is not what the grammar should force; Truncated: it did not end; NotPassed: the core cannot tell the shipped
    examples apart, so nothing was read. `raw` is the answer as it came, `reason` says more in words."""

    kind: Fault
    keys: tuple[Key, ...]
    raw: str = field(repr=False)
    reason: str = ""


Read = tuple[list[Key], list[FreeClaim], list[Failure]]


def read(engine: Engine, messages: Sequence[tuple[str, Message]], *, known: Iterable[str] = (),
         bars: MutableMapping[str, float] | None = None, progress: Progress | None = None,
         cancel: Callable[[], bool] = never) -> Iterator[Read]:
    """Yield, batch by batch: the keys of messages that were read, the claims found, and what failed.

    `known` are texts of claims that need not be found again. `bars` keeps what the core earned, 'stated.kind' and
    'free.language' -> least probability; keep it for the next reading. A batch that was cancelled half-way is not
    yielded, and no keys are where the core passes for nothing: an abler core may read them.
    """
    bars = {} if bars is None else bars
    seen = {plain(one).rstrip(".") for one in known}
    batches = _batches(messages)
    said: set[str] = set()
    for done, (language, batch, sentences) in enumerate(batches):
        if progress:
            progress("the core looks for facts, preferences and more", done + 1, len(batches))
        failures = [] if cancel() else list(_earn(engine, language, bars, said))
        keys = [(conversation, message.id) for conversation, message in batch]
        claims = [] if cancel() else _statements(engine, sentences, bars, seen, cancel)
        if bars.get(f"free.{language}", OFF) < OFF and not cancel():
            written, failed = _written(engine, language, keys, sentences, bars[f"free.{language}"], seen, cancel)
            claims, failures = claims + written, failures + failed
        if cancel():
            return
        if not claims and not any(one.kind in ("Truncated", "InvalidOutput", "NoClaims") for one in failures):
            failures.append(Failure("NoClaims", tuple(keys), "", f"No claim from {len(keys)} messages."))
        if any(bars[name] < OFF for name in _names(language)):
            yield keys, claims, failures
        elif failures:
            yield [], [], failures


def _names(language: str) -> list[str]:
    return [*(f"stated.{kind}" for kind in STATED), f"free.{language}"]


def _earn(engine: Engine, language: str, bars: MutableMapping[str, float], said: set[str]) -> Iterator[Failure]:
    """Measure the bars that are missing; say once what the core does not pass for."""
    for name in _names(language):
        if name not in bars:
            bars[name] = bar(engine, name)
        if bars[name] >= OFF and name not in said:
            said.add(name)
            yield Failure("NotPassed", (), "", f"{engine.id} does not pass for {name}: it looks for none of these.")


# ---- batches -------------------------------------------------------------------------------------------------------

_Batch = tuple[str, list[tuple[str, Message]], list[Sentence]]


def _batches(messages: Sequence[tuple[str, Message]]) -> list[_Batch]:
    """(language, messages, their sentences that are the person's own word), one language a batch."""
    made: list[_Batch] = []
    for language in ("en", "ru"):
        mine: list[tuple[str, Message]] = []
        found: list[Sentence] = []
        for key in messages:
            if ("ru" if text.language(key[1].text) == "ru" else "en") != language:
                continue
            new = [one for one in own_word(*key) if not one.supposed]
            size = sum(len(one.text) for one in (*found, *new))
            if mine and (len(mine) == BATCH or size > CHARACTERS):
                made.append((language, mine, found))
                mine, found = [], []
            mine.append(key)
            found += new
        if mine:
            made.append((language, mine, found))
    return made


# ---- statements ----------------------------------------------------------------------------------------------------

_SAYS = {"en": "You say: “{}”", "ru": "Ты говоришь: «{}»"}  # as stated.py puts what a person said
_ENDS_AS_I = re.compile(r"\b[а-я]{2,}(?:у|ю|усь|юсь|м|мся)\b")
_ADDRESSED = re.compile(r"\W*(?:you|your|ты|вы|твой|твоя|твои|тебе|тебя|ваш\w*)\b", re.IGNORECASE)


def _statements(engine: Engine, sentences: Sequence[Sentence], bars: Mapping[str, float], seen: set[str],
                cancel: Callable[[], bool]) -> list[FreeClaim]:
    """Facts and preferences; what is both is the one the core is surer of."""
    best: dict[int, tuple[float, Literal["fact", "preference"]]] = {}
    mine = _stating(sentences)
    for kind in STATED:
        for place, one in enumerate(mine):
            if cancel() or bars[f"stated.{kind}"] >= OFF:
                break
            p = _look(engine, "stated", kind, one.text)
            if p >= bars[f"stated.{kind}"] and p > best.get(place, (0.0, kind))[0]:
                best[place] = p, kind
    claims = []
    for place, (p, kind) in sorted(best.items()):
        one = mine[place]
        claim = _SAYS[one.language].format(one.text)
        if plain(claim).rstrip(".") not in seen:
            seen.add(plain(claim).rstrip("."))
            span = (one.conversation, one.message, one.start, one.end)
            claims.append(FreeClaim(kind, claim, one.language, (span,), round(p, 3)))
    return claims


_FIRST = re.compile(r"\b(?:i|i'(?:m|d|ve|ll)|my|me|mine|myself|we|we'(?:re|d|ve|ll)|our|us|я|мне|меня|мной|мо[йяеию]|"
                    r"моего|моей|моему|моим|моими|моих|мы|нас|нам|нами|наш\w{0,3})\b")


def _stating(sentences: Sequence[Sentence]) -> list[Sentence]:
    return [one for one in sentences if _may_state(one.text)]


def _may_state(sentence: str) -> bool:
    """Whether somebody speaks of themselves here: a first person, no question. Without this the core affirms "Soup can
    be thin or thick" as a fact of a life (.94), above "As a beekeeper I get up before the sun does" (.86)."""
    scope = plain(sentence)
    return not scope.endswith("?") and not _ADDRESSED.match(sentence) and (
        bool(_FIRST.search(scope)) or any("1per" in forms(word)[0].tags for word in _ENDS_AS_I.findall(scope)))


# ---- own words: the core writes and points -------------------------------------------------------------------------

def _written(engine: Engine, language: str, keys: Sequence[Key], sentences: Sequence[Sentence], least: float,
             seen: set[str], cancel: Callable[[], bool]) -> tuple[list[FreeClaim], list[Failure]]:
    """What the core writes of a batch and affirms at its second look."""
    if not sentences:
        return [], []
    raw, finish = "", None
    for piece in engine.stream(_question(engine, language, sentences), Sampling(temperature=0.0, max_tokens=TOKENS),
                               schema=_schema(language, len(sentences)), cancel=cancel):
        raw, finish = raw + piece.text, piece.finish or finish
    if finish == "length":
        return [], [Failure("Truncated", tuple(keys), raw, f"The answer did not end within {TOKENS} tokens.")]
    if finish == "cancelled":
        return [], []
    try:
        drafts = _drafts(raw, sentences)
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        return [], [Failure("InvalidOutput", tuple(keys), raw, f"{type(error).__name__} in the answer.")]
    claims: list[FreeClaim] = []
    reasons: list[str] = []
    for draft in drafts:
        why = refusal(draft.text, language, draft.sentences, seen)
        probability, shown = (0.0, []) if why or cancel() else _proved(engine, language, draft, least)
        if not shown:
            reasons.append(why or "second look")
            continue
        seen.add(plain(draft.text).rstrip("."))
        spans = tuple((one.conversation, one.message, one.start, one.end) for one in shown)
        claims.append(FreeClaim(draft.kind, draft.text, language, spans, round(probability, 3)))
    if claims:
        return claims, []
    reason = ", ".join(sorted(set(reasons))) or "empty list"
    return [], [Failure("NoClaims", tuple(keys), raw, f"No claim in own words from {len(keys)} messages: {reason}.")]


@dataclass(frozen=True, repr=False)
class _Draft:
    kind: ClaimKind
    text: str
    sentences: tuple[Sentence, ...]


@lru_cache(maxsize=1)
def _table() -> Mapping[str, Any]:
    return tomllib.loads((files("twin") / "free_claims.toml").read_text(encoding="utf-8"))


def _question(engine: Engine, language: str, sentences: Sequence[Sentence]) -> Prompt:
    words = _table()[language]
    numbered = "\n".join(f"{number}. {one.text}" for number, one in enumerate(sentences, 1))
    return prompt_of(engine.family, [("system", words["ask"].format(most=MOST)), ("user", words["said"]),
                                     ("assistant", words["answered"]), ("user", numbered)])


def _schema(language: str, sentences: int) -> dict[str, Any]:
    """JSON schema of an answer: numbers 1..`sentences`, a kind, and a text that begins as a claim does and holds
    letters of the language alone. The sentences come first: the core points before it writes."""
    words = _table()[language]
    pattern = f"^({'|'.join(words['begins'])}) [{words['letters']}]{{6,{LONGEST - 10}}}[.]$"
    item = {"type": "object", "additionalProperties": False, "required": ["sentences", "kind", "text"], "properties": {
        "sentences": {"type": "array", "items": {"enum": list(range(1, sentences + 1))}, "minItems": 1, "maxItems": 2},
        "kind": {"enum": list(get_args(ClaimKind))}, "text": {"type": "string", "pattern": pattern}}}
    return {"type": "object", "additionalProperties": False, "required": ["claims"],
            "properties": {"claims": {"type": "array", "items": item, "maxItems": MOST}}}


def _drafts(raw: str, sentences: Sequence[Sentence]) -> list[_Draft]:
    """The claims of an answer. Raises ValueError, KeyError, TypeError or AttributeError for another shape."""
    made = []
    for one in json.loads(raw)["claims"]:
        numbers = list(dict.fromkeys(one["sentences"]))
        if one["kind"] not in get_args(ClaimKind) or not numbers:
            raise ValueError("an unknown kind, or no evidence")
        if any(not isinstance(number, int) or not 1 <= number <= len(sentences) for number in numbers):
            raise ValueError("a number that no sentence has")
        made.append(_Draft(one["kind"], " ".join(one["text"].split()), tuple(sentences[n - 1] for n in numbers)))
    return made


# ---- what code refuses ---------------------------------------------------------------------------------------------

def refusal(claim: str, language: str, sentences: Sequence[Sentence], seen: Iterable[str] = ()) -> str:
    """Why a claim may not stand, or ''. Code decides this, not a core: another language, praise, a copy, a repeat."""
    scope = plain(claim)
    if text.language(claim) != language:
        return "another language"
    if len(claim) > LONGEST or len(scope.split()) < 3:
        return "no short sentence"
    if _praise(language).search(scope):
        return "praise"
    if scope.rstrip(".") in seen:
        return "known"
    if any(_copies(scope, plain(one.text)) for one in sentences):
        return "copied"
    return ""


@lru_cache(maxsize=2)
def _praise(language: str) -> re.Pattern[str]:
    return re.compile("|".join(map(cue, _table()[language]["praise"])))


def _copies(claim: str, sentence: str) -> bool:
    """Whether more than COPIED words in a row of the claim stand in the sentence."""
    mine, theirs = (" ".join(re.findall(r"\w+", one)) for one in (claim, sentence))
    words = mine.split()
    runs = (" ".join(words[n:n + COPIED + 1]) for n in range(len(words) - COPIED))
    return any(f" {run} " in f" {theirs} " for run in runs)


# ---- the second look -----------------------------------------------------------------------------------------------

def _proved(engine: Engine, language: str, draft: _Draft, least: float) -> tuple[float, list[Sentence]]:
    """The sentences of a draft that prove it, each asked alone, and the surest probability."""
    odds = [(one, _look(engine, "free", language, _pair(one.text, draft.text))) for one in draft.sentences]
    shown = [one for one, p in odds if p >= least]
    return max((p for _, p in odds), default=0.0), shown


def _look(engine: Engine, kind: str, which: str, sentence: str) -> float:
    """Probability of Yes: `kind` 'stated' asks of a sentence whether it is a fact or preference (`which`), 'free' of a
    pair whether the sentence proves the claim, in the language `which`."""
    return engine.choose(_asked(engine, kind, which, sentence), ["Yes", "No"])[0]


def _asked(engine: Engine, kind: str, which: str, sentence: str) -> Prompt:
    """The question after solved examples, of which none is measured."""
    if kind == "stated":
        ask, solved = _table()["statement"][which]["ask"], _table()["statement"][which]["solved"]
    else:
        ask = _table()[which]["second"]
        solved = [(_pair(one["sentence"], one["claim"]), one["holds"]) for tongue in ("en", "ru")
                  for one in _table()[tongue]["solved"]]
    said = [("system", ask)]
    for example, holds in solved:
        said += [("user", example), ("assistant", "Yes" if holds else "No")]
    return prompt_of(engine.family, [*said, ("user", sentence)])


def _pair(sentence: str, claim: str) -> str:
    return f"Sentence: {sentence}\nClaim: {claim}"


def bar(engine: Engine, name: str) -> float:
    """The least probability that counts for this core: the lowest that keeps the precision of GATE on the held
    examples of 'stated.fact', 'stated.preference', 'free.en' or 'free.ru', or LEAST; OFF where less than its recall
    lies above. Fourteen examples make this a coarse gate, but a measured one."""
    kind, _, which = name.partition(".")
    precision, recall = GATE[kind]
    held = [(_look(engine, kind, which, asked) if kind == "free" or _may_state(asked) else 0.0, holds)
            for asked, holds in _held(name)]
    true = sum(holds for _, holds in held)
    for least in sorted({p for p, _ in held if p > 0.0}):
        taken = [holds for p, holds in held if p >= least]
        if sum(taken) / len(taken) >= precision:
            return max(LEAST[which], least) if sum(taken) / true >= recall else OFF
    return OFF


def _held(name: str) -> list[tuple[str, bool]]:
    """What is measured for a bar, as it is put to the core, and the right answer."""
    kind, _, which = name.partition(".")
    if kind == "free":
        return [(_pair(one["sentence"], one["claim"]), bool(one["holds"])) for one in _table()[which]["held"]]
    return [(sentence, bool(holds)) for sentence, holds in _table()["statement"][which]["held"]]


# ---- what it will cost ---------------------------------------------------------------------------------------------

def cost(engine: Engine, messages: Sequence[tuple[str, Message]], *,
         bars: Mapping[str, float] | None = None) -> Cost:
    """What `read` would take, told before: tokens counted by the core itself, seconds from questions timed now.

    What the core has not earned yet is measured first, which is counted; own words only where it has passed for them,
    with half the room of an answer and MOST second looks a batch. The probe reads one beginning and two sentences
    after it: some seconds on 2 processors.
    """
    bars = bars or {}
    shared = questions = asked = written = 0
    seen: set[str] = set()
    batches = [one for one in _batches(messages) if one[2]]
    for language, _, sentences in batches:
        for name in _names(language):
            if bars.get(name, 0.0) >= OFF:
                continue
            free = name.startswith("free.")
            writes = free and name in bars
            mine = [] if free else [one.text for one in _stating(sentences)]
            mine += [_pair(one.text, "You like short emails.") for one in sentences[:MOST]] if writes else []
            if name not in bars and name not in seen:
                mine += [one for one, _ in _held(name)]
            kind, _, which = name.partition(".")
            shared += _count(engine, _asked(engine, kind, which, "")) if mine and name not in seen else 0
            seen.add(name)
            questions += len(mine)
            asked += sum(len(engine.tokenize(one)) + 10 for one in mine)
            if writes:
                shared += _count(engine, _question(engine, language, sentences))
                written += TOKENS // 2
    if not questions:
        return Cost(len(messages), len(batches), 0, 0.0)
    a_token, a_question = _speeds(engine, batches[0][2])
    return Cost(len(messages), len(batches), shared + asked + written,
                (shared + WRITTEN * written) * a_token + questions * a_question)


def _count(engine: Engine, asked: Prompt) -> int:
    return len(engine.tokenize(asked.text))


def _speeds(engine: Engine, sentences: Sequence[Sentence]) -> tuple[float, float]:
    """Seconds to read a token of a long prompt, and to judge one more sentence after it."""
    times = [time.perf_counter()]
    for sentence in (sentences[0].text, _held("stated.fact")[0][0]):
        _look(engine, "stated", STATED[0], sentence)
        times.append(time.perf_counter())
    tokens = _count(engine, _asked(engine, "stated", STATED[0], sentences[0].text))
    return (times[1] - times[0]) / tokens, times[2] - times[1]
