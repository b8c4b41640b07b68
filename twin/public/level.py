"""The public level of a profile: the same claims, counts and quotes, with marks where people and places stood."""
from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import cache
from itertools import chain

from twin.person import Claim, DepthOf, Evidence, Profile, SubQuestion, Topic
from twin.public.contacts import contacts
from twin.public.fold import fold
from twin.public.gazetteer import bases, words
from twin.public.hit import Hit
from twin.public.names import may_name, names
from twin.public.organisations import organisations
from twin.public.owner import Owner
from twin.public.relatives import relatives
from twin.public.scanning import Kept, scan, unfolded
from twin.text import language

_MARKS: Mapping[str, Mapping[str, str]] = {
    "en": {"name": "[name]", "place": "[place]", "organisation": "[organisation]", "address": "[address]",
           "mail": "[mail]", "phone": "[phone]", "link": "[link]", "account": "[account]",
           "number": "[number]", "birth": "[date]", "ip": "[ip]",
           "coordinates": "[coordinates]"},
    "ru": {"name": "[имя]", "place": "[место]", "organisation": "[организация]", "address": "[адрес]",
           "mail": "[почта]", "phone": "[телефон]", "link": "[ссылка]", "account": "[аккаунт]",
           "number": "[номер]", "birth": "[дата]", "ip": "[ip]",
           "coordinates": "[координаты]"},
}
_ALL_MARKS = frozenset(mark for marks in _MARKS.values() for mark in marks.values())
_CHANGED = {"en": "(names and numbers in its quotes are taken out)", "ru": "(имена и номера в цитатах убраны)"}
_NOTE = {"en": "This is a public copy: names of people, places and organisations, addresses and numbers are "
               "replaced by marks like [name]; quotes with a mark are not verbatim, and ids of messages are numbers.",
         "ru": "Это публичная копия: имена людей, места, организации, адреса и номера заменены пометками вроде [имя]; "
               "цитаты с пометкой не дословны, вместо id сообщений стоят номера."}
_WORD = re.compile(r"[^\W\d_]+(?:-[^\W\d_]+)*")
_NAME = r"[\s*_\"«“'(:—–-]{1,6}([^\W\d_]+(?:['-][^\W\d_]+)*(?: [^\W\d_]+(?:['-][^\W\d_]+)*){0,2})"
_CALLED = re.compile(r"(?i:\bmy (?:full |real |first |last )?name(?: is|'s)|\bменя зовут|\bмо[её] имя)" + _NAME)
_BEING = re.compile(r"\bI(?: am|'m)" + _NAME)
_PLAIN = ("common", "common_russian", "given_common", "never", "terms", "kin")  # words that context makes nobody's name
_HASHED = re.compile(r"(?:fact|preference|free|domain)\.")


def public(profile: Profile, *, keep: Iterable[str] = (), owner: Iterable[str] = ()) -> Profile:
    """A copy in which no text names another person, a place, an address or a number, nor the owner (`owner`: their
    names). Words and phrases of `keep` stay, in any form.

    Evidence keeps offsets and time and loses words only: a quote with a mark is not what stands at the offsets, and its
    claim says so. Conversations and messages are numbered anew, as are claims whose id is a hash of words. Doing it
    twice changes nothing more.
    """
    return copied(profile, keep=keep, owner=owner).profile


@dataclass(frozen=True)
class Copy:
    """A public profile, and how the same names are used beside it: `place` gives what (conversation id, message id) are
    called in it, `hide` takes out of a text what went from the profile; `names`: whether a text has a name that only
    the texts themselves told, which the second look has on no list."""

    profile: Profile
    place: Callable[[str, str], tuple[str, str]]
    hide: Callable[[str], str]
    names: Callable[[str], bool] = lambda _: False


def copied(profile: Profile, *, keep: Iterable[str] = (), owner: Iterable[str] = (), texts: Iterable[str] = ()) -> Copy:
    """`public`, for those who publish more than the profile. `texts` tell names too (each is read
    once, 1 ms of it): whom one of them names by context goes from all."""
    made = _Public(profile, _Hiding.of(profile.language, keep, owner), texts)
    return Copy(made.made(), lambda conversation, message: (made.conversations.of(conversation),
                                                            made.messages.of(message)), made.hide, made.hiding.tells)


def hidden(text: str, tongue: str = "en", *, keep: Iterable[str] = (), owner: Iterable[str] = ()) -> str:
    """One text with marks; in `tongue` ('ru', 'en') when it does not say its language itself."""
    return _Hiding.of(tongue, keep, owner).hide(text)


@dataclass(frozen=True)
class _Hiding:
    """What goes from every text: names of the `owner`, and `met` (names only their context gave away) with a capital;
    and what stays."""

    tongue: str
    keep: tuple[str, ...]
    kept: Kept
    owner: Owner
    met: frozenset[str] = frozenset()

    @classmethod
    def of(cls, tongue: str, keep: Iterable[str], owner: Iterable[str]) -> _Hiding:
        keep = tuple(keep)
        return cls(tongue, keep, Kept(keep), Owner(owner))

    def hide(self, text: str) -> str:
        own = language(text)
        marks = _MARKS[own if own in _MARKS else self.tongue if self.tongue in _MARKS else "en"]
        folded = fold(text)
        found = [*contacts(folded.text), *names(folded.text), *relatives(folded.text), *organisations(folded.text),
                 *self.owner.hits(folded.text)]
        found += [Hit("name", start, end) for start, end, _ in _introduced(folded.text)]
        found += [Hit("name", *match.span()) for match in _WORD.finditer(folded.text) if self._named(match.group())]
        text = _replaced(text, unfolded(folded, found, self.kept), marks)
        for _ in range(3):  # a mark changes what its neighbours stand beside; more than one round was never needed
            left = scan(text, keep=self.keep)
            if not left:
                break
            text = _replaced(text, left, marks)
        return text

    def learned(self, texts: Iterable[str]) -> _Hiding:
        """The same, knowing the names that these texts tell by context, and as the owner's those by which they say who
        speaks. A word that they also write small is none, but after `my name is`."""
        small, met, mine = set[str](), set[str](), set[str]()
        for text in texts:
            folded = fold(text).text
            small.update(word for word in _WORD.findall(text) if word.islower())
            for hit in [*names(folded), *relatives(folded), *organisations(folded)]:
                if hit.kind in ("name", "organisation"):
                    met.update(_WORD.findall(folded[hit.start:hit.end]))
            for start, end, sure in _introduced(folded):
                (mine if sure else met).update(_WORD.findall(folded[start:end]))
        plain = frozenset[str]().union(*map(words, _PLAIN))
        told = {one.casefold() for one in met if len(one) > 2 and one.casefold() not in small} - plain
        mine = {one for one in mine if len(one) > 1 and one.casefold() not in plain - words("given_common")}
        return replace(self, met=frozenset(base for one in told for base in bases(one)) - small,
                       owner=Owner([*self.owner.words, *mine]) if mine else self.owner)

    def tells(self, text: str) -> bool:
        """Is a word of the text one of the names that were learned?"""
        folded = fold(text).text
        hits = [Hit("name", *match.span()) for match in _WORD.finditer(folded) if self._named(match.group())]
        hits += self.owner.hits(folded, opening=False)
        return any(not self.kept.allows(folded[hit.start:hit.end]) for hit in hits)

    def _named(self, word: str) -> bool:
        low = word.casefold()
        return word[0].isupper() and bool((bases(low) | set(low.split("-"))) & self.met)


def _introduced(text: str) -> Iterator[tuple[int, int, bool]]:
    """Where folded text says who speaks: my name is X Y (True), I am X Y (False: `I am Head of` is no name)."""
    for match in _CALLED.finditer(text):
        if length := _capitals(match.group(1), 1):
            yield match.start(1), match.start(1) + length, True
    for match in _BEING.finditer(text):
        if length := _capitals(match.group(1), 2):
            yield match.start(1), match.start(1) + length, False


def _capitals(run: str, least: int) -> int:
    """The length of the names that a run of words begins with; 0 for fewer than `least`. One alone may be a common
    word that is a name too."""
    found = list[str]()
    for word in run.split(" "):
        low = word.casefold()
        plain = any(low in words(name) for name in _PLAIN) and not (least == 1 and low in words("given_common"))
        if not word[0].isupper() or (word.isupper() and len(word) < 4) or plain:
            break
        found.append(word)
    return len(" ".join(found)) if len(found) >= least else 0


def _replaced(text: str, hits: Iterable[Hit], marks: Mapping[str, str]) -> str:
    for hit in reversed(list(hits)):
        text = text[:hit.start] + marks[hit.kind] + text[hit.end:]
    return text


@dataclass
class _Numbers:
    """Old ids -> short numbers, in the order of their first use."""

    lead: str
    given: dict[str, str] = field(default_factory=dict)

    def of(self, name: str) -> str:
        return self.given.setdefault(name, f"{self.lead}{len(self.given) + 1}")


def _texts(profile: Profile) -> Iterator[str]:
    """The words of the person in it."""
    for claim in profile.claims:
        yield claim.text
        yield from (one.quote for one in claim.evidence + claim.counter)
    yield from (one.evidence.quote for one in profile.questions)


class _Public:
    """One profile on its way out."""

    def __init__(self, profile: Profile, hiding: _Hiding, texts: Iterable[str] = ()) -> None:
        self.profile, self.tongue = profile, profile.language
        self.hiding = hiding.learned(chain(_texts(profile), texts))
        self.hide = cache(self.hiding.hide)  # a quote stands in several places
        self.kept, self.left = hiding.kept, frozenset[str]()
        self.conversations, self.messages = _Numbers("c"), _Numbers("m")
        self.claims = {kind: _Numbers(f"{kind}.") for kind in ("fact", "preference", "free", "domain")}

    def made(self) -> Profile:
        profile = self.profile
        note = _NOTE.get(self.tongue, _NOTE["en"])
        notes = tuple(self.hide(one) for one in profile.notes if one != note)
        told = [claim for claim in profile.claims if not self._names_somebody(claim)]
        self.left = frozenset(claim.facet for claim in told)
        return replace(profile, claims=tuple(map(self.claim, told)),
                       questions=tuple(map(self.question, profile.questions)), notes=(*notes, note),
                       topics=tuple(self.topic(one) for one in profile.topics if not self._is_name(one.name)))

    def claim(self, claim: Claim) -> Claim:
        evidence, counter = tuple(map(self.evidence, claim.evidence)), tuple(map(self.evidence, claim.counter))
        changed = any(new.quote != old.quote for new, old in zip(evidence + counter, claim.evidence + claim.counter,
                                                                 strict=True))
        say = _CHANGED.get(self.tongue, _CHANGED["en"])
        text = self.hide(claim.text)
        return replace(claim, facet=self.name(claim.facet), text=f"{text} {say}" if changed else text,
                       evidence=evidence, counter=counter,
                       conflicts=tuple(self.name(one) for one in claim.conflicts if one in self.left))

    def name(self, facet: str) -> str:
        """The catalogue's ids stay. The hash of a fact can be guessed back to the fact, so it becomes a number."""
        kind = facet.split(".")[0]
        return self.claims[kind].of(facet) if _HASHED.match(facet) else facet

    def evidence(self, evidence: Evidence) -> Evidence:
        return replace(evidence, quote=self.hide(evidence.quote), message=self.messages.of(evidence.message),
                       conversation=self.conversations.of(evidence.conversation))

    def question(self, question: DepthOf) -> DepthOf:
        depth = question.depth
        return replace(question, evidence=self.evidence(question.evidence),
                       depth=replace(depth, rule=self.hide(depth.rule), tree=self.tree(depth.tree)))

    def tree(self, node: SubQuestion) -> SubQuestion:
        return replace(node, text=self.hide(node.text), parts=tuple(map(self.tree, node.parts)))

    def topic(self, topic: Topic) -> Topic:
        return replace(topic, name=self.hide(topic.name))

    def _names_somebody(self, claim: Claim) -> bool:
        """A claim about a topic that is a name goes: neither a mark nor the hash of a name says anything."""
        return claim.facet.startswith("domain.") and any(map(self._is_name, claim.text.split(": ", 1)[-1:]))

    def _is_name(self, topic: str) -> bool:
        """In any case of letters, standing alone: names, places, what a keep list does not let through."""
        if any(mark in self.hide(shown) for shown in (topic, topic.title()) for mark in _ALL_MARKS):
            return True
        found = _WORD.findall(topic.casefold())
        return any(may_name(word) and not self.kept.allows(word) for word in found)
