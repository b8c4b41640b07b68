"""What people say of themselves: facts and preferences, by rules over single sentences of their own (stated.toml).

One plain sentence is enough (authority 'said'), so the rules would rather miss one than take what is no statement:
quotes, reported speech, conditions that do not hold, jokes, played roles, letters to be written, the past, wishes and
questions. Russian and English alike; a statement made in both languages stays two claims. Knows nothing of cores.
"""
from __future__ import annotations

import re
import tomllib
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from importlib.resources import files
from typing import Any, Literal

from twin.cues import any_of, cue, plain
from twin.person import Claim, Evidence
from twin.russian import forms, inflected
from twin.text import language as language_of
from twin.text import own_sentences, stems
from twin.types import Message, digest

SHORTEST, LONGEST = 6, 300  # characters of a sentence that can be a quote
MAX_QUOTES = 5              # quotes a claim keeps; its counts are of all of them
CAP = 0.95
_FOREIGN = {"forwarded", "attachment", "hidden", "fiction", "memory"}  # never the person's word, whoever is named
_SAYS = {"en": "You say: “{}”", "ru": "Ты говоришь: «{}»"}


@dataclass(frozen=True)
class Statement:
    """One thing said: its slot ('place'), whether it is affirmed, and the stems of its value."""

    slot: str
    kind: Literal["fact", "preference"]
    affirmed: bool
    value: tuple[str, ...] = field(repr=False)

    @property
    def id(self) -> str:
        """kind.<8 hex> of slot, sign and value: stable through rebuilds, the same for every wording with this value."""
        words = f"{self.slot} {'+' if self.affirmed else '-'} {' '.join(self.value)}"
        return f"{self.kind}.{digest(words)[:8]}"


# ---- the lists of stated.toml --------------------------------------------------------------------------------------

@lru_cache(maxsize=1)
def _table() -> Mapping[str, Any]:
    return tomllib.loads((files("twin") / "stated.toml").read_text(encoding="utf-8"))


def single(slot: str) -> bool:
    """Whether a slot holds one value at a time: place, work, workplace, age."""
    return bool(_table()["slot"].get(slot, {}).get("single", False))


@lru_cache(maxsize=64)
def _list(tongue: str, name: str, part: str = "") -> re.Pattern[str]:
    table = _table()[name]
    return any_of((table[part] if part else table)[tongue])


@lru_cache(maxsize=2)
def _slots(tongue: str) -> tuple[tuple[str, bool, re.Pattern[str]], ...]:
    """(slot, whether the cue affirms, pattern), in the order of the file."""
    return tuple((name, affirmed, any_of(slot[key])) for name, slot in _table()["slot"].items()
                 for affirmed, key in ((False, f"not_{tongue}"), (True, tongue)) if key in slot)


@lru_cache(maxsize=2)
def _loose(tongue: str) -> tuple[tuple[str, bool, bool, re.Pattern[str]], ...]:
    """(slot, whether the cue affirms, whether it wants a word for the speaker beside it, pattern): for anywhere."""
    keys = ((False, False, f"any_not_{tongue}"), (True, False, f"any_{tongue}"), (True, True, f"near_{tongue}"))
    return tuple((name, affirmed, near, re.compile(r"\b(?:" + "|".join(map(cue, slot[key])) + ")"))
                 for name, slot in _table()["slot"].items() for affirmed, near, key in keys if key in slot)


@lru_cache(maxsize=2)
def _any_loose(tongue: str) -> re.Pattern[str]:
    """All of them at once: one search tells that a clause has none."""
    return re.compile(r"\b(?:" + "|".join(pattern.pattern[2:] for *_, pattern in _loose(tongue)) + ")")


@lru_cache(maxsize=64)
def _until(slot: str, tongue: str) -> re.Pattern[str]:
    return any_of(_table()["slot"][slot].get(f"until_{tongue}", ()))


@lru_cache(maxsize=1)
def _idle() -> frozenset[str]:
    return frozenset(stems(_table()["idle"]["words"]))


# ---- one sentence --------------------------------------------------------------------------------------------------

_QUOTED = re.compile(r"«[^«»]{1,1000}»|“[^“”]{1,1000}”|„[^„“”]{1,1000}[“”]|(?<!\w)\"[^\"\n]{1,1000}\"(?!\w)|"
                     r"(?<!\w)'[^'\n]{12,300}'(?!\w)")
_SAYS_I = re.compile(r"\W*(?:i|i'm|my|we|я|мне|меня|мой|моя|мы|у меня)\b", re.IGNORECASE)
_CONTRACTIONS = tuple((re.compile(old), new) for old, new in (
    (r"\b(i|we)'?m\b", r"\1 am"), (r"\b(i|we)'ve\b", r"\1 have"), (r"\bwe're\b", "we are"), (r"\bi'd\b", "i would"),
    (r"\b(do|have|am|are)n'?t\b", r"\1 not"), (r"\b(?:can't|cannot|cant)\b", "can not"),
    (r"\bi have (?:got|gotten) ", "i have ")))
_CONTRACTED = re.compile(r"'|nt\b|\bcannot\b|\b(?:im|ive) |got")
_MARKS = frozenset("«»“”„\"'")
_SPEAKER = frozenset({"i", "me", "my", "mine", "we", "our", "us"})
_RUSSIAN_DASH = re.compile(r"^((?:я|мо[йяеи](?: [\w-]+){1,3}|по (?:профессии|специальности)(?: я)?)) - ")
_SPLIT = re.compile(r"[;()\[\]]+| - |,(?! (?:than|чем|а не|нежели)\b)| (?:but|although|because|но|потому что|поэтому) |"
                    r" (?:and|so) (?=(?:i|my|we)\b)| а (?=я |мне |у меня )|"
                    r" и (?=(?:я|мне|у меня|не)\b|[\w-]+[ую](?:сь)?\b)")
_SHARED = re.compile(r" and (?=(?:work|live|love|hate|like|prefer|enjoy|own|have|am|teach|study|speak|drive|play)\b)")
_OBJECT_FIRST = re.compile(r"^(?!не |никогда |мне )((?:[\w-]+ ){1,3}?)((?:не )?(?:люблю|обожаю|ненавижу|переношу|"
                           r"выношу|терпеть не могу|ем|пью|предпочитаю)|мне (?:не )?нрав[яи]тся)$")
# The negation that is taken off; with the verbs after (?!...) it belongs to the cue.
_NEGATED = {
    "en": re.compile(r"^(i|we) (?:do not|no longer) (?!wear|use|watch|consume|buy|read|listen|fly|celebrate|want|need)|"
                     r"^(i am|we are|i can) (?:not|no longer|no) (?!stand|bear|eat|drink|have|tolerate|digest|sure|"
                     r"comfortable|able|going|here|there)"),
    "ru": re.compile(r"^(мне |меня |)не (?!то|только|просто|сразу|знаю|понимаю|ношу|пользуюсь|смотрю|покупаю|читаю|"
                     r"слушаю|праздную|летаю|терплю|переношу|выношу)")}
_SUBJECT = re.compile(r"^(?:я|мы) |^((?!не )[\w-]+) (?:я|мы) ")


def statements(sentence: str, tongue: str) -> list[Statement]:
    """What a sentence says of the one who speaks, in 'ru' or 'en'; words between quotation marks are not theirs."""
    return _statements(plain(_masked(sentence)), tongue)


def _statements(scope: str, tongue: str) -> list[Statement]:
    scope = _expanded(scope, tongue)
    parts = [part for part in _SPLIT.split(scope) if part and part.strip()]
    asks = scope.rstrip().endswith("?")
    if asks:
        parts.pop()  # what asks states nothing; what stands before its comma does
    found: list[Statement] = []
    for number, part in enumerate(parts):
        following = parts[number + 1].strip(" .!") if number + 1 < len(parts) else ""
        pieces = _SHARED.split(part)
        for place, piece in enumerate(pieces):
            one = _statement(f"i {piece}" if place else piece, following, tongue)
            if one is None and not place and not asks:
                one = _told_freely(piece, tongue)
            if one is None:
                break  # "used to live in York and work as a baker": the second verb goes with the first
            found.append(one)
    return list(dict.fromkeys(found))


def _masked(text: str) -> str:
    """The text with quoted words as `_`, at equal length; a name of one or two words is no quote."""
    def mask(match: re.Match[str]) -> str:
        words = match.group()
        return "_" * len(words) if len(words.split()) > 2 or _SAYS_I.match(words) else words

    return _QUOTED.sub(mask, text)


def _expanded(scope: str, tongue: str) -> str:
    """Plain form without a list mark, with contractions spelled out, and cut at a colon that opens other words."""
    scope = re.sub(r"^(?:[-•*] |\d{1,2}[.)] )+", "", scope)
    heading = _list(tongue, "intro").match(scope)
    scope = scope[heading.end():].strip() if heading else scope
    scope = re.split(r":(?= |$)", scope, maxsplit=1)[0]
    if tongue == "ru":
        return _RUSSIAN_DASH.sub(r"\1 ", scope)
    if _CONTRACTED.search(scope):
        for old, new in _CONTRACTIONS:
            scope = old.sub(new, scope)
    return scope


def _statement(clause: str, following: str, tongue: str) -> Statement | None:
    if _list(tongue, "void", "clause").search(clause):
        return None
    clause, affirmed, named = _bare(clause.strip(" .!…"), tongue)
    for slot, says, pattern in _slots(tongue):
        match = pattern.match(clause) or (pattern.match(clause, 2) if named else None)
        if match is None or (slot == "always" and not affirmed):  # "not always" is no habit and no aversion
            continue
        value = clause[match.end():].strip(" ,.!?…") or following
        return _valued(slot, affirmed == says, value, tongue)
    return None


def _told_freely(clause: str, tongue: str) -> Statement | None:
    """What a clause says of the speaker in no stock form; its value is all of it."""
    clause = clause.strip(" .!…")
    if (tongue == "en" and _SPEAKER.isdisjoint(clause.split())) or not _any_loose(tongue).search(clause):
        return None
    for slot, affirmed, near, pattern in _loose(tongue):
        match = pattern.search(clause)
        if match is None or (near and not _list(tongue, "near", "self").search(clause)):
            continue
        table = _table()["slot"][slot]
        if (_list(tongue, "void", "clause").search(clause) or _list(tongue, "void", "loose").search(clause)
                or (near and _list(tongue, "near", "other").search(clause))
                or (table["kind"] == "preference" and slot != "form" and any(
                    map(_list(tongue, "deictic").match, (clause, clause[match.end():].lstrip()))))):
            return None
        kept = sorted(set(stems(clause)) - _idle())
        return Statement(slot, table["kind"], affirmed, tuple(kept)) if len(kept) > 1 else None
    return None


def _bare(clause: str, tongue: str) -> tuple[str, bool, bool]:
    """The clause from its subject or cue on, without fillers; whether it affirms; whether a Russian "я" begins it."""
    clause = " ".join(_list(tongue, "filler").sub(" ", clause).split())
    lead = _list(tongue, "lead")
    while (match := lead.match(clause)) and match.end():
        clause = clause[match.end():].lstrip(" ,")
    if tongue == "ru":
        named = _SUBJECT.search(clause) is not None
        clause = _SUBJECT.sub(lambda found: f"{found[1]} " if found[1] else "", clause, count=1)
        if (turned := _OBJECT_FIRST.match(clause)) is not None:
            clause = f"{turned[2]} {turned[1]}".strip()
    else:
        named = False
    bare = _NEGATED[tongue].sub(lambda found: next((f"{one} " for one in found.groups() if one), "").replace("  ", " "),
                                clause, count=1)
    return ("я " if named else "") + bare, bare == clause, named


def _valued(slot: str, affirmed: bool, value: str, tongue: str) -> Statement | None:
    """None for a value that tells nothing, that points at what lies on the table, or that is told as past."""
    stop = _until(slot, tongue).search(value)
    value = value[:stop.start()].rstrip(" ,") if stop and stop.start() else value
    table = _table()["slot"][slot]
    if table["kind"] == "preference" and slot != "form" and _list(tongue, "deictic").match(value):
        return None
    if tongue == "ru" and slot in ("always", "habit") and _told(value):
        return None
    kept = [stem for stem in stems(value) if stem not in _idle()]
    if not kept:
        return None
    return Statement(slot, table["kind"], affirmed, tuple(kept if table.get("ordered") else sorted(set(kept))))


def _told(value: str) -> bool:
    """Whether the first verb among the first words is not in the first person of the present."""
    for word in value.split()[:4]:
        read = forms(word.strip(",.!"))
        if any({"VERB", "1per", "pres"} <= one.tags for one in read):
            return False
        if "VERB" in read[0].tags:
            return True
    return True


# ---- messages ------------------------------------------------------------------------------------------------------

def stated(messages: Iterable[tuple[str, Message]], language: str) -> list[Claim]:
    """Claims of kind 'fact' and 'preference' from (conversation id, message) pairs, the surest first.

    `language` ('ru' or 'en') reads sentences that are neither. Equal statements are one claim: `messages`, `talks`,
    `first`, `last` and `months` count all of them, five quotes are kept, one of each conversation before others.
    """
    found: dict[str, list[tuple[Evidence, Statement]]] = defaultdict(list)
    for conversation, message in messages:
        if message.own and not _FOREIGN & set(message.flags):
            for start, end, one in _of_message(message.text, language):
                evidence = Evidence(message.text[start:end], conversation, message.id, start, end, message.time)
                found[one.id].append((evidence, one))
    claims = [_claim(pairs, language) for pairs in found.values()]
    return sorted(claims, key=lambda claim: (-claim.confidence, -claim.talks, claim.facet))


def _of_message(text: str, language: str) -> Iterator[tuple[int, int, Statement]]:
    """(start, end of the sentence, statement), none where the message plays, quotes or works on a text."""
    masked = _masked(text)
    lines = [(start, end, tongue, plain(masked[start:end])) for start, end in own_sentences(text)
             for tongue in (_tongue(text[start:end], language),)]
    found = [[] if not SHORTEST <= end - start <= LONGEST or masked[start] in "—–_" else
             _statements(scope if _MARKS.isdisjoint(masked[start:end]) else plain(_masked(masked[start:end])), tongue)
             for start, end, tongue, scope in lines]
    if not any(found) or any(_list(tongue, "void", part).search(scope) for _, _, tongue, scope in lines
                             for part in ("message", "text")):
        return
    for number, (start, end, tongue, scope) in enumerate(lines):
        if _list(tongue, "void", "rest").search(scope) or (
                scope.endswith(":") and not _list(tongue, "intro").match(scope)):
            return
        if found[number] and not _void(lines[number:number + 2]):
            yield from ((start, end, one) for one in found[number])


def _void(lines: Sequence[tuple[int, int, str, str]]) -> bool:
    """Whether the first of these sentences is another's word or a joke; the second may say it was one."""
    tongue, scope = lines[0][2:]
    after = lines[1][3] if len(lines) > 1 and len(lines[1][3]) <= 40 else ""
    joke = _list(tongue, "void", "joke")
    return bool(_list(tongue, "void", "sentence").search(scope) or joke.search(scope) or joke.search(after))


def _tongue(sentence: str, language: str) -> str:
    found = language_of(sentence)
    return found if found in _SAYS else language


def _claim(pairs: Sequence[tuple[Evidence, Statement]], language: str) -> Claim:
    """Confidence 1 - .4 * 2^-(a - 1), a = conversations + a quarter for each further message, and .9 of it where every
    sentence says more than this: a prior (one .60 or .54, two conversations .80), not calibrated on people."""
    everything = list(dict.fromkeys(evidence for evidence, _ in pairs))
    where = {(evidence.conversation, evidence.message): evidence.time for evidence in everything}
    talks = len({conversation for conversation, _ in where})
    amount = talks + 0.25 * (len(where) - talks)
    shortest = min(everything, key=lambda one: (len(one.quote), one.quote, one.conversation, one.message, one.start))
    direct = len(_SPLIT.split(plain(shortest.quote))) <= 2
    confidence = min(CAP, (1 - 0.4 * 2 ** (1 - amount)) * (1.0 if direct else 0.9))
    times = sorted(time for time in where.values() if time is not None)
    months = Counter(f"{time:%Y-%m}" for time in times)
    one = pairs[0][1]
    return Claim(one.id, _SAYS[_tongue(shortest.quote, language)].format(shortest.quote.strip()), "said",
                 round(confidence, 3), _quotes(shortest, everything), kind=one.kind, messages=len(where), talks=talks,
                 first=times[0] if times else None, last=times[-1] if times else None,
                 months=dict(sorted(months.items())))


def _quotes(first: Evidence, everything: Sequence[Evidence]) -> tuple[Evidence, ...]:
    turn: Counter[str] = Counter({first.conversation: 1})
    ranked = [(0, first)]
    for evidence in everything:
        if evidence != first:
            ranked.append((turn[evidence.conversation], evidence))
            turn[evidence.conversation] += 1
    return tuple(evidence for _, evidence in sorted(ranked, key=lambda pair: pair[0])[:MAX_QUOTES])


# ---- claims read back ----------------------------------------------------------------------------------------------

_FRAME = re.compile(r"^(?:You say|Ты говоришь): ")
_YOU = {"you are": "i am", "you have": "i have", "you": "i", "your": "my",
        "ты": "я", "тебе": "мне", "тебя": "меня", "твой": "мой", "твоя": "моя", "твое": "мое", "твои": "мои"}
_SECOND = re.compile(r"\b(?:" + "|".join(_YOU) + r")\b")


@lru_cache(maxsize=8192)
def _read_back(facet: str, texts: tuple[str, ...]) -> Statement | None:
    for text in texts:
        found = statements(text, _tongue(text, "en"))
        if facet and (match := next((one for one in found if one.id == facet), None)):
            return match
        if not facet and len(found) == 1:
            return found[0]
    return None


def statement_of(claim: Claim) -> Statement | None:
    """The statement behind a claim: re-read from its quotes where rules found it, from its text ("You live in ...")
    where a core did; None when it names no slot, or when the person put other words in the core's place."""
    if claim.kind not in ("fact", "preference"):
        return None
    if "edit" in claim.decided and claim.facet.startswith("free."):
        return None  # the text is the person's own now
    if claim.facet.startswith(("fact.", "preference.")):
        return _read_back(claim.facet, tuple(evidence.quote for evidence in claim.evidence))
    return _read_back("", (_first_person(claim.text),))


def content(text: str) -> frozenset[str]:
    """The stems of a claim's text that tell it from others, without "You say" around it."""
    return frozenset(stems(_FRAME.sub("", text))) - _idle()


def slot_of(claim: Claim) -> str:
    """The slot of a claim ('place', 'likes', ...), or ''."""
    one = statement_of(claim)
    return one.slot if one else ""


def _first_person(text: str) -> str:
    """"You live in Porto" as its owner would say it."""
    text = _SECOND.sub(lambda found: _YOU[found.group()], plain(text))
    return re.sub(r"[а-я]{3,}", lambda found: _as_first(found.group()), text)


def _as_first(word: str) -> str:
    second = "2per" in forms(word)[0].tags
    return (inflected(word, "1per", "sing") if second else None) or word
