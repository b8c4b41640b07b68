"""What a council answers: the opinion nearest to all, a synthesis of them, or that none deserves trust.

A weak core writes nothing new: the medoid answers. A strong one rewrites the heaviest opinion and every dissent that is
not negligible; code then checks the language, and that each number stands in some hypothesis; else the medoid answers,
and that is said. Where "none of these" is heaviest, the answer names the measurements that would decide. All in the
language of the question.
"""
from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

from twin import text as texts
from twin.answer import drain
from twin.numerals import numbers
from twin.prompt import plain
from twin.types import Engine, Hypothesis, Piece, Prompt, Sampling, Usage, Verdict, never
from twin.weighing import medoid

HEARD = 0.15   # weight from which an opinion beside the answer is dissent, and enters a synthesis
MISSING = 4    # measurements named
SYNTHESIS = "(synthesis)"  # its name in Verdict.failed; no role can have it
SAMPLING = Sampling(temperature=0.2, max_tokens=400)

# No figures in what is asked: a core repeats them, and they stand in no hypothesis.
_WORDS: Mapping[str, Mapping[str, str]] = {
    "en": {"ask": "Several advisers answered a question, each alone. Write the one answer that follows from what they "
                  "said: first the weightiest opinion, then what speaks against it, in a few sentences. Use no number "
                  "and no fact that is in none of the opinions. Do not speak of the advisers.",
           "question": "Question: {0}", "first": "The weightiest opinion: {0}", "other": "Another opinion: {0}",
           "last": "Answer in English.",
           "none": "None of the answers that were heard deserves trust. The weightiest was: {0}",
           "silent": "No answer was heard.", "missing": "What would decide it:",
           "numbers": "It held numbers that no hypothesis has: {0}.", "empty": "It was empty.",
           "language": "It was in another language than the question.", "cut": "It did not end within its tokens."},
    "ru": {"ask": "Несколько советников ответили на вопрос, каждый отдельно. Напиши один ответ, который следует из "
                  "сказанного: сначала самое весомое мнение, затем то, что говорит против него, в нескольких фразах. "
                  "Не используй чисел и фактов, которых нет ни в одном из мнений. О самих советниках не говори.",
           "question": "Вопрос: {0}", "first": "Самое весомое мнение: {0}", "other": "Другое мнение: {0}",
           "last": "Отвечай по-русски.",
           "none": "Ни один из услышанных ответов не заслуживает доверия. Самый весомый был: {0}",
           "silent": "Ни одного ответа не прозвучало.", "missing": "Что решило бы вопрос:",
           "numbers": "В нём были числа, которых нет ни в одной гипотезе: {0}.", "empty": "Он был пуст.",
           "language": "Он был не на языке вопроса.", "cut": "Он не уместился в отведённые токены."},
}


def settled(verdict: Verdict) -> Verdict:
    """The verdict with what follows from its weights: whether an opinion answers at all, the dissent, what is missing.

    The heaviest opinion answers, unless "none of these" weighs more.
    """
    none = not verdict.opinions or verdict.none > verdict.opinions[0].weight
    dissent = tuple(place for place, one in enumerate(verdict.opinions) if one.weight >= HEARD and (none or place > 0))
    return replace(verdict, how="none" if none else "medoid", dissent=dissent,
                   missing=missing(verdict.hypotheses) if none else ())


def missing(hypotheses: Sequence[Hypothesis]) -> tuple[str, ...]:
    """What would tell the hypotheses apart, heaviest first: what each predicts, then what would refute it."""
    order = sorted(hypotheses, key=lambda one: one.opinion)
    named = [one.prediction for one in order] + [one.falsifier for one in order]
    return tuple(dict.fromkeys(one for one in named if one))[:MISSING]


def answer(verdict: Verdict, question: str) -> str:
    """The answer without a core: the hypothesis of the heaviest opinion that is nearest to all that were heard, each by
    its share of the weight; or, in words, that none deserves trust and what would decide."""
    words = _words(question)
    if verdict.how != "none":
        mine = [place for place, one in enumerate(verdict.hypotheses) if one.opinion == 0]
        sizes = [sum(other.opinion == one.opinion for other in verdict.hypotheses) for one in verdict.hypotheses]
        shares = [one.weight / size for one, size in zip(verdict.hypotheses, sizes, strict=True)]
        return verdict.hypotheses[medoid(verdict.hypotheses, shares, mine)].text
    said = words["none"].format(verdict.opinions[0].text) if verdict.opinions else words["silent"]
    return "\n".join([said, *([words["missing"]] if verdict.missing else []), *(f"- {one}" for one in verdict.missing)])


def synthesise(engine: Engine, verdict: Verdict, question: str, *, sampling: Sampling = SAMPLING,
               cancel: Callable[[], bool] = never) -> tuple[str, Verdict, Usage]:
    """Let the core write the answer of a settled verdict: (answer, verdict, usage); the answer is '' when cancelled.

    Nothing is shown before it is checked, so nothing is yielded. What cannot be taken is named in `failed` under
    SYNTHESIS, and the medoid answers.
    """
    said, last = _written(engine, _asked(engine, verdict, question), sampling, cancel)
    usage = last.usage or Usage()
    if last.finish == "cancelled":
        return "", verdict, usage
    if why := _refusal(said, last, verdict, question):
        return answer(verdict, question), replace(verdict, failed={**verdict.failed, SYNTHESIS: why}), usage
    return said, replace(verdict, how="synthesis"), usage


def strange(synthesis: str, hypotheses: Sequence[Hypothesis]) -> list[float]:
    """Numbers of a synthesis, in digits or words, that stand in no hypothesis."""
    known = [numbers(part) for one in hypotheses for part in (one.text, one.prediction, one.falsifier)]
    return sorted(numbers(synthesis) - frozenset[float]().union(*known))


def _asked(engine: Engine, verdict: Verdict, question: str) -> Prompt:
    words = _words(question)
    heard = [words["first"].format(verdict.opinions[0].text)]
    heard += [words["other"].format(verdict.opinions[place].text) for place in verdict.dissent if place]
    return plain(engine.family, [("system", words["ask"]),
                                 ("user", "\n".join([words["question"].format(question), *heard]))], words["last"])


def _written(engine: Engine, asked: Prompt, sampling: Sampling, cancel: Callable[[], bool]) -> tuple[str, Piece]:
    """All that the core says, without its thoughts, and how it ended."""
    parts = drain(asked, engine.stream(asked, sampling, cancel=cancel))
    while True:
        try:
            next(parts)
        except StopIteration as done:
            said, _, last = done.value
            return said, last


def _refusal(said: str, last: Piece, verdict: Verdict, question: str) -> str:
    """Why a synthesis may not answer, in the language of the question, or ''."""
    words = _words(question)
    if not said:
        return words["empty"]
    if last.finish == "length":
        return words["cut"]
    if texts.language(question) in ("ru", "en") and texts.language(said) not in (texts.language(question), "und"):
        return words["language"]
    found = strange(said, verdict.hypotheses)
    return words["numbers"].format(", ".join(f"{number:g}" for number in found)) if found else ""


def _words(question: str) -> Mapping[str, str]:
    return _WORDS["ru" if texts.language(question) == "ru" else "en"]
