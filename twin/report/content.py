"""Profile -> what the report says, as plain sentences and rows; the forms (text, Markdown, page) only arrange them.

Claims nothing of its own: each sentence comes from a count, a printed rule or a quote.
"""
from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime

from twin import claims as claims_of
from twin import comparison, position, timeline
from twin.depth import RULES
from twin.facets import facets
from twin.lift import contrast
from twin.person import Claim, Evidence, Profile
from twin.report.words import WORDS
from twin.text import one_line

STANDS_OUT = 0.8                 # of the reference people: it clearly shows more often than with that many
QUOTE, IN_TABLE = 300, 120       # characters of a quote; quotes of claims are never longer
TEXT = 300                       # characters of a claim's own words: what a person wrote over it has no end
MOST = 60                        # stated claims that are shown
_INFERRED, _STATED, _TOPICAL = range(3)  # Claim.part
_IDS = 8                         # claim ids in one sentence


@dataclass(frozen=True, repr=False)
class ClaimPart:
    """A claim as shown: its sentences, its contrast pair if it has one, quotes for and against."""

    number: int
    id: str
    text: str
    lines: tuple[str, ...]
    contrast: str
    quotes: tuple[str, ...]
    counter: tuple[str, ...]
    conflict: str
    same: str = ""


@dataclass(frozen=True, repr=False)
class Content:
    """The whole report. All strings are plain text, one line each, whatever a person wrote."""

    words: Mapping[str, str]
    language: str
    size: str
    standing: tuple[str, ...]
    rule: str
    levels: Mapping[int, int]
    deepest: tuple[tuple[str, str, str], ...]    # shown level, quote, why
    rows: tuple[Mapping[str, str], ...]          # level, asked, you, count, when, yours
    table_rule: str
    shown: tuple[ClaimPart, ...]
    topical: tuple[ClaimPart, ...]
    stated: tuple[ClaimPart, ...]
    more: str                                    # how many stated claims are not shown, or ''
    asks: tuple[str, ...]                        # what only the person can say
    others: tuple[str, ...]
    months: tuple[tuple[str, str, str, str], ...]  # month, n, mean, share of deep ones
    changes: tuple[str, ...]
    topics: tuple[tuple[str, str, str, str], ...]  # topic, conversations, messages, when
    conclusion: tuple[str, ...]
    notes: tuple[str, ...] = field(default=())


def content(profile: Profile) -> Content:
    """Everything the report says, in the profile's language."""
    words = WORDS[profile.language]
    shown, stated, topical = _claims(profile)
    placed = position.headline(profile) is not None  # else there is nothing to read a level from
    hidden = max(0, sum(claim.part == _STATED for claim in _different(profile)) - MOST)
    return Content(
        words, profile.language,
        words["size"].format(own=profile.own_messages, all=profile.messages, talks=profile.conversations),
        tuple(_standing(profile)), rule(profile), levels(profile) if placed else {},
        tuple(_deepest(profile)) if placed else (), tuple(_rows(profile)) if placed else (), _table_rule(profile),
        shown, topical, stated, words["more"].format(n=hidden) if hidden else "", asks(profile),
        tuple(_others(profile)), tuple(_months(profile)) if placed else (), tuple(_changes(profile)),
        tuple(_topics(profile)), conclusion(profile), tuple(map(one_line, profile.notes)))


def quoted(evidence: Evidence, language: str, limit: int = QUOTE) -> str:
    """The quote on one line between quote marks, its date behind; what was cut is an ellipsis outside the marks."""
    text, cut = _cut(one_line(evidence.quote), limit)
    date = f" ({evidence.time:%Y-%m-%d})" if evidence.time else ""
    return f"{WORDS[language]['left']}{text}{WORDS[language]['right']}{cut}{date}"


def _cut(text: str, limit: int) -> tuple[str, str]:
    """At most so many characters of a text in whole words, and the ellipsis that then stands behind it."""
    if len(text) <= limit:
        return text, ""
    head, _, broken = text[:limit].rpartition(" ")
    return head or broken, " …"


def _text(claim: Claim) -> str:
    return "".join(_cut(one_line(claim.text), TEXT))


def _sentence(claim: Claim) -> str:
    """The same to go on after: without the mark it ends with, unless it was cut."""
    text = _text(claim)
    return text if text.endswith(" …") else text.rstrip(".!?… ")


# ---- where the questions stand -------------------------------------------------------------------------------------

def _standing(profile: Profile) -> Iterable[str]:
    words, head = WORDS[profile.language], position.headline(profile)
    if head is None:
        yield words["illegible"] if profile.questions else words["nothing"]
        return
    settled = head.n >= position.LEAST
    yield words["position" if settled else "glance"].format(
        position=head.position, level=_one(head.level), low=_one(head.low), high=_one(head.high), n=head.n)
    if settled:
        yield words["half"].format(half=_one(head.half))
    if settled and head.also:
        yield words["also"].format(also=", ".join(head.also))
    if head.confirmed:
        yield words["head_confirmed"].format(n=head.confirmed, of=head.n)
    yield words["worth"]


def rule(profile: Profile) -> str:
    """The rule behind the headline, or ''."""
    head = position.headline(profile)
    return head.rule if head else ""


def levels(profile: Profile) -> dict[int, int]:
    """Number of different questions at each depth 1..7, as in the table."""
    return {row.level: row.n for row in position.table(profile)}


def _deepest(profile: Profile) -> Iterable[tuple[str, str, str]]:
    for question in position.deepest(profile):
        yield question.depth.shown, quoted(question.evidence, profile.language), _why(question.depth.rule, profile)


def _why(rule: str, profile: Profile) -> str:
    """The rule of a question in the language of the profile: depth words it in that of the question."""
    known = (row[1:] for row in RULES.values() if rule in row[1:])
    return next(known, (rule, rule))[profile.language == "ru"]


def _table_rule(profile: Profile) -> str:
    dated = bool(position.split(profile)[0])
    return position.table_rule(profile.language) + ("" if dated else " " + WORDS[profile.language]["undated"])


def _rows(profile: Profile) -> Iterable[Mapping[str, str]]:
    words, (before, _) = WORDS[profile.language], position.split(profile)
    for row in position.table(profile):
        count = words["recent"].format(n=row.n, recent=row.recent) if before and row.n else str(row.n)
        yield {"level": str(row.level), "asked": row.typical, "you": words[row.status], "count": count,
               "when": _span(row.first, row.last),
               "yours": quoted(row.example.evidence, profile.language, IN_TABLE) if row.example else ""}


# ---- claims --------------------------------------------------------------------------------------------------------

def _claims(profile: Profile) -> tuple[tuple[ClaimPart, ...], tuple[ClaimPart, ...], tuple[ClaimPart, ...]]:
    """Facets, what the person states (MOST at most), and claims about topics. A claim's number is its place in the
    profile. Only facets get a contrast pair, and each pair goes to the first facet it serves."""
    numbers = {claim.id: number for number, claim in enumerate(profile.claims, 1)}
    used: set[Evidence] = set()
    shown, stated, topical = (
        tuple(_claim(numbers[claim.id], claim, profile, used if part == _INFERRED else None)
              for claim in [one for one in _different(profile) if one.part == part][:MOST if part == _STATED else None])
        for part in (_INFERRED, _STATED, _TOPICAL))
    return shown, stated, topical


def _different(profile: Profile) -> Sequence[Claim]:
    """The claims, those of equal text once: the first of them."""
    first: dict[str, Claim] = {}
    for claim in profile.claims:
        first.setdefault(one_line(claim.text), claim)
    return list(first.values())


def asks(profile: Profile) -> tuple[str, ...]:
    """A question to the person for each pair of claims that do not go together, with the verb that answers it."""
    words = WORDS[profile.language]
    short = [replace(claim, text=_text(claim)) for claim in profile.claims]
    return tuple(one_line(words["ask"].format(question=question))
                 for question in claims_of.questions(short, profile.language))


def _claim(number: int, claim: Claim, profile: Profile, used: set[Evidence] | None) -> ClaimPart:
    words, language = WORDS[profile.language], profile.language
    conflict = words["conflict"].format(ids=", ".join(claim.conflicts)) if claim.conflicts else ""
    pair, text = contrast(profile, claim) if used is not None else None, ""
    quotes = tuple(quote for quote in claim.evidence if one_line(quote.quote) not in one_line(claim.text))
    if used is not None and pair and pair.own not in used:
        used.add(pair.own)
        quotes = tuple(quote for quote in quotes if quote != pair.own)
        text = words["contrast"].format(flat=f"{words['left']}{one_line(pair.flat)}{words['right']}",
                                        own=quoted(pair.own, language))
    twins = [one.id for one in profile.claims if one is not claim and one_line(one.text) == one_line(claim.text)]
    return ClaimPart(number, one_line(claim.id), _text(claim), tuple(_lines(claim, words)), text,
                     tuple(quoted(e, language) for e in quotes), tuple(quoted(e, language) for e in claim.counter),
                     conflict, words["same"].format(ids=", ".join(twins)) if twins else "")


def _lines(claim: Claim, words: Mapping[str, str]) -> Iterable[str]:
    marks = words["alone"] * alone(claim) + words["common"] * fits_many(claim) + words.get(claim.decided, "")
    origin = words[claim.origin] if claim.authority == "inferred" else words[f"by_{claim.authority}"]
    yield words["confidence"].format(c=claim.confidence, origin=origin, marks=marks)
    if claim.messages:
        span = ""
        if claim.first and claim.last:
            first, last = f"{claim.first:%Y-%m-%d}", f"{claim.last:%Y-%m-%d}"
            span = f", {first}" if first == last else words["span"].format(first=first, last=last)
        yield words["showed"].format(messages=claim.messages, talks=claim.talks) + span
    if claim.confirmed:
        yield words["quotes_confirmed"].format(n=claim.confirmed, of=len(claim.evidence))
    if beside := claim.comparison:
        facet = facets().get(claim.facet)
        what = words[f"of_{facet.unit}"] if facet else words["of_sentence"]
        yield words["rate" if beside.more_than else "rate_none"].format(
            what=what, rate=_percent(beside.rate), low=_percent(beside.low), high=_percent(beside.high),
            more=beside.more_than, of=beside.of, where=words.get(f"where_{beside.language}", ""))


def alone(claim: Claim) -> bool:
    """True for a claim that shows in one conversation only."""
    return max(claim.talks, len({evidence.conversation for evidence in claim.evidence})) < 2


def fits_many(claim: Claim) -> bool:
    """True for what fits most people: it does not show clearly more often than with half of the reference set; where
    there is no comparison, the catalogue says so."""
    if claim.comparison:
        return comparison.ordinary(claim.comparison)
    facet = facets().get(claim.facet)
    return bool(facet and facet.common)


def stands_out(claim: Claim) -> bool:
    """True where it shows more often than with four of five people of the reference set, beyond chance."""
    beside = claim.comparison
    return bool(beside and beside.of and beside.more_than >= STANDS_OUT * beside.of)


# ---- beside others, over time --------------------------------------------------------------------------------------

def _others(profile: Profile) -> Iterable[str]:
    words = WORDS[profile.language]
    compared = [claim for claim in profile.claims if claim.comparison]
    asked = position.distinct(profile.questions)
    deeper = comparison.deeper_than([question.depth.level for question in asked], profile.language)
    if deeper and position.legible(asked):
        yield words["deeper" if deeper.more_than else "deeper_none"].format(
            mean=_one(deeper.mean), low=_one(deeper.low), high=_one(deeper.high), n=deeper.n, more=deeper.more_than,
            of=deeper.of)
    if not compared:
        yield words["uncompared"]
        return
    out, fits = list(filter(stands_out, compared)), list(filter(fits_many, compared))
    yield words["compared"].format(k=len(compared), out=len(out), fits=len(fits))
    yield words["apart"].format(ids=_listed(out)) if out else words["anyone"]
    if fits:
        yield words["alike"].format(ids=_listed(fits))


def _months(profile: Profile) -> Iterable[tuple[str, str, str, str]]:
    for month in timeline.months(profile):
        deep = f"{_percent(month.deep)}\u00a0% ({_percent(month.deep_low)}-{_percent(month.deep_high)}\u00a0%)"
        yield month.month, str(month.n), f"{_one(month.mean)} ({_one(month.low)}-{_one(month.high)})", deep


def _changes(profile: Profile) -> Iterable[str]:
    words = WORDS[profile.language]
    topical = {claim.id for claim in profile.claims if claim.part == _TOPICAL}  # topics have months of their own
    lives = [life for life in timeline.facet_life(profile) if life.claim not in topical]
    if not profile.months and not timeline.months(profile):
        yield words["timeless"]
        return
    for trend in ("appearing", "fading"):
        found = [words["life"].format(id=life.claim, early=life.early, early_of=life.early_of, late=life.late,
                                      late_of=life.late_of) for life in lives if life.trend == trend]
        if found:
            yield words[trend].format(ids="; ".join(found))
    steady = [life.claim for life in lives if life.trend == "steady"]
    if steady:
        yield words["steady"].format(ids=", ".join(steady))
    unclear = sum(life.trend == "unclear" for life in lives)
    if unclear:
        yield words["unclear"].format(n=unclear)
    if lives:
        yield words["life_rule"]


def _topics(profile: Profile) -> Iterable[tuple[str, str, str, str]]:
    for topic in profile.topics:
        months = sorted(month for month, n in topic.months.items() if n)
        when = months[0] if len(set(months)) == 1 else f"{months[0]} - {months[-1]}" if months else ""
        total = topic.messages or sum(topic.months.values())
        yield one_line(topic.name), str(topic.talks), str(total) if total else "", when


# ---- the conclusion ------------------------------------------------------------------------------------------------

def conclusion(profile: Profile) -> tuple[str, ...]:
    """At most six sentences, each with the ids of its claims or the number of its questions in brackets.

    By rule: the headline; the two most certain facets that neither rest on one conversation nor fit many; how many
    stand out among other people, or that none does; then, while there is room, what fits many, what changed, what has
    words against it.
    """
    words, head = WORDS[profile.language], position.headline(profile)
    said: list[str] = []
    if head and head.n < position.LEAST:
        said.append(words["c_glance"].format(n=head.n))
    elif head:
        which = words["c_which"] if position.split(profile)[0] else ""
        said.append(words["c_position"].format(which=which, n=head.n, level=_one(head.level), low=_one(head.low),
                                               high=_one(head.high), position=head.position))
    shown = [claim for claim in profile.claims if claim.part == _INFERRED]
    firm = [claim for claim in shown if not alone(claim) and not fits_many(claim)]
    said += [words["c_claim"].format(text=_sentence(claim), ids=claim.id, **_counts(claim))
             for claim in sorted(firm, key=lambda claim: -claim.confidence)[:2]]
    said += [words[key].format(k=sum(claim.comparison is not None for claim in shown), n=len(claims),
                               ids=_listed(claims)) for key, claims in _groups(profile, shown) if claims]
    none = words["c_none"].format(own=profile.own_messages, n=len(profile.questions))
    return tuple(said[:6]) or (none,)


def _groups(profile: Profile, shown: Sequence[Claim]) -> Iterable[tuple[str, Sequence[Claim]]]:
    compared = [claim for claim in shown if claim.comparison]
    apart = list(filter(stands_out, compared))
    trends = {life.claim: life.trend for life in timeline.facet_life(profile)}
    yield ("c_apart", apart) if apart else ("c_anyone", compared)
    yield "c_alike", [claim for claim in shown if fits_many(claim)] if apart or not compared else []
    yield "c_appearing", [claim for claim in shown if trends.get(claim.id) == "appearing"]
    yield "c_fading", [claim for claim in shown if trends.get(claim.id) == "fading"]
    yield "c_against", [claim for claim in profile.claims if claim.counter or claim.conflicts]


def _counts(claim: Claim) -> dict[str, int]:
    """How often it showed; where the profile does not say, what its quotes prove."""
    if claim.messages:
        return {"messages": claim.messages, "talks": claim.talks}
    return {"messages": len({(e.conversation, e.message) for e in claim.evidence}),
            "talks": len({e.conversation for e in claim.evidence})}


# ---- small words ---------------------------------------------------------------------------------------------------

def _listed(claims: Sequence[Claim]) -> str:
    more = f" +{len(claims) - _IDS}" if len(claims) > _IDS else ""
    return ", ".join(claim.id for claim in claims[:_IDS]) + more


def _span(first: datetime | None, last: datetime | None) -> str:
    if first is None or last is None:
        return ""
    return f"{first:%Y-%m}" if f"{first:%Y-%m}" == f"{last:%Y-%m}" else f"{first:%Y-%m} - {last:%Y-%m}"


def _one(number: float) -> str:
    return f"{number:.1f}".removesuffix(".0")


def _percent(share: float) -> str:
    return f"{100 * share:.0f}" if share >= 0.0995 else _one(100 * share)
