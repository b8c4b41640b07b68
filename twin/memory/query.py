"""Query: what a question asks for, as stems with weights and as runs of letters. Knows no store.

A person asks their twin in the second person ("что ты любишь?") and wrote in the first ("я люблю"): the letters that
are looked for are those of the first person, and its stems count beside those of the question.
"""
from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

from twin.text import clean, stem, words

_MOST_TERMS = 24  # of a pasted page the longest words are looked up: long words are rare ones (Zipf)
_SMALL = 0.2  # what a function word counts: without them recall at 10 on LoCoMo loses .01, at full weight .04

# Function words say little about what a question is after; negations say much ("кто не курит?") and are not here.
_FUNCTION_WORDS = frozenset(map(stem, words("""
    a an the i you he she it we they me my your his her its our us them their is am are was were be been being do does
    did have has had will would can could should may might to of in on at for from with by about and or but what
    when where who whom which whose why how that this these those there as if so
    я ты он она оно мы вы они меня тебя его ее нас вас их мне тебе ему ей нам вам им мой моя мое мои твой твоя твое
    твои наш ваш свой а но и или ни что кто где куда когда как какой какая какое какие зачем почему сколько чей чем
    кем кого чего кому чему в во на с со к ко у о об от до по за из для бы же ли это этот эта эти то тот та те быть
    есть был была было были""")))

_PAIRS = words("""
    ты я тебя меня тебе мне тобой мной твой мой твоя моя твое мое твои мои твоего моего твоему моему твоей моей
    твою мою твоих моих твоим моим твоими моими you i your my yours mine yourself myself""")
_FIRST = dict(zip(_PAIRS[::2], _PAIRS[1::2], strict=True))  # what the twin is called, and what the person is
# Consonants that change before the ending of the first person: любишь - люблю, ходишь - хожу, носишь - ношу.
_SECOND_CONJUGATION = dict(zip("бпвмфтдсз", ("бл", "пл", "вл", "мл", "фл", "ч", "ж", "ш", "ж"), strict=True))
_FIRST_CONJUGATION = {"ж": "г", "ч": "к"}  # можешь - могу, печешь - пеку


@dataclass(frozen=True)
class Term:
    """One word of the query: the stems that count as it, its weight, and the words whose letters are looked for."""

    word: str
    stems: tuple[str, ...]
    weight: float
    forms: tuple[str, ...]


@dataclass(frozen=True)
class Query:
    """Terms in the order of the question, each once."""

    terms: tuple[Term, ...]

    @classmethod
    def of(cls, text: str, small: str = "") -> Query:
        """`small`: a part of the text whose words count as little as function words ("yesterday")."""
        little = frozenset(words(clean(small)))
        found: dict[str, Term] = {}
        for word in words(clean(text)):
            root, first = stem(word), _first_person(word)
            weight = _SMALL if root in _FUNCTION_WORDS or word in little else 1.0
            forms = first or (_FIRST.get(word, word),)
            found.setdefault(root, Term(word, tuple(dict.fromkeys((root, *map(stem, first)))), weight, forms))
        terms = list(found.values())
        if all(term.weight < 1 for term in terms):  # a question made of nothing else
            terms = [replace(term, weight=1.0) for term in terms]
        longest = sorted(terms, key=lambda term: (term.weight, len(term.word)), reverse=True)[:_MOST_TERMS]
        return cls(tuple(term for term in terms if term in longest))

    @property
    def wanted(self) -> tuple[Term, ...]:
        """The terms of full weight."""
        return tuple(term for term in self.terms if term.weight == 1)

    def grams(self, idf: Callable[[Term], float]) -> dict[str, float]:
        """Runs of 3 and 4 letters, over the ends of words too, each with its share of its word's information."""
        text, shares = " ", [0.0]
        for term in self.terms:
            information = term.weight * idf(term)
            for form in term.forms:
                text += f"{form} "
                shares += [information / (len(form) + 1)] * len(form) + [0.0]
        grams: dict[str, float] = {}
        for size in (3, 4):
            for start in range(len(text) - size + 1):
                gram = text[start:start + size]
                grams[gram] = max(grams.get(gram, 0.0), *shares[start:start + size])
        return grams


def _first_person(word: str) -> tuple[str, ...]:
    """Forms that the first person singular may have where the word is a second one in -ешь, -ишь, -ешься, -ишься;
    () for all other words. One of them is right, the others are no words and find nothing."""
    ending = "шься" if word.endswith("шься") else "шь"
    base, vowel = word[:-len(ending) - 1], word[-len(ending) - 1:-len(ending)]
    if not word.endswith(ending) or len(base) < 2 or vowel not in ("е", "и"):  # "лишь", "мышь"
        return ()
    roots = [base]
    if vowel == "и":
        roots += [base[:-2] + "щ"] if base.endswith("ст") else []
        roots += [base[:-1] + _SECOND_CONJUGATION[base[-1]]] if base[-1] in _SECOND_CONJUGATION else []
    elif base[-1] in _FIRST_CONJUGATION:
        roots.append(base[:-1] + _FIRST_CONJUGATION[base[-1]])
    return tuple(root + new + ("сь" if ending == "шься" else "") for root in roots for new in ("у", "ю"))
