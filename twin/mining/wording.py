"""Miners of what roles are told: M5 instructions that do not fit what is kept, M6 edits, M8 refuted rules."""
from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from functools import lru_cache
from itertools import pairwise, permutations
from typing import Any

import numpy as np

from twin import text as plain
from twin.cues import any_of
from twin.cues import plain as folded
from twin.examples import stems_of
from twin.linear import Lexicon
from twin.mining.finding import LEAST, Finding, because, newest, operation, words
from twin.mining.seen import Seen, SeenTurn
from twin.roles import SECTIONS, Role, RoleMap

FITS = 0.012   # likeness by which another role's text must fit a role better than its own, on average: with swapped
               # texts it is .01 to .05, with sound ones under .008
SWAP = 50.0    # weight of such a gain: at .02 it is as if every answer were better
SHOWING = tuple(key for key in SECTIONS if key != "dont")  # an answer does not show what it was not to do
HEADED = 0.8   # share of the kept answers that have a line with the same beginning; by chance three in five do
SHORTER = 0.8  # length of an edited answer, by that of the answer, from which on it was made shorter
RESTS = 0.6    # share of a rule's words that stand in a refuted claim
_HEAD = re.compile(r"^\W*([^\W\d_][\w '’-]{2,28}):", re.MULTILINE)
_ITEM = re.compile(r"^\s*(?:[-*•]|\d+[.)])\s", re.MULTILINE)
_ROW = re.compile(r"^\s*\|.*\|\s*$", re.MULTILINE)


def mine(seen: Seen, role_map: RoleMap) -> Iterator[Finding]:
    """M5, M6, M8."""
    for language in ("en", "ru"):
        yield from _swapped(seen, role_map, language)
        for role in role_map.roles:
            yield from _headed(seen, role, language)
            yield from _forms(seen, role, language)
    yield from _refuted(seen, role_map)


# ---- M5 ----------------------------------------------------------------------------------------------------------

def _swapped(seen: Seen, role_map: RoleMap, language: str) -> Iterator[Finding]:
    """M5: a role is told what would suit another one, and the other way round. Judged by how alike a section is to the
    answers that were kept of each role, and to what the role says of itself (title, purpose, examples)."""
    roles, n = role_map.roles, len(role_map.roles)
    kept = [[turn for turn in seen.of(role.id) if turn.kept and turn.role == role.id
             and plain.language(turn.kept) == language] for role in roles]
    told = [_told(role, language, section) for section in SHOWING for role in roles]
    drawn = [" ".join([role.title.of(language), role.purpose.of(language), *(
        text for text in role.examples if plain.language(text) == language)]) for role in roles]
    lexicon = Lexicon([stems_of(text) for text in [*told, *drawn, *(str(turn.kept) for some in kept for turn in some)]])
    alike, at = lexicon.among(), np.cumsum([len(told) + n, *map(len, kept)])
    for place, section in enumerate(SHOWING):
        column = slice(place * n, (place + 1) * n)
        answers = [alike[start:end, column] for start, end in pairwise(at.tolist())]  # by role: (answers, roles)
        fit = alike[len(told):len(told) + n, column] + np.array(
            [one.mean(axis=0) if len(one) else np.zeros(n) for one in answers])
        for one, other in permutations(range(n), 2):
            better = float(fit[one, other] - fit[one, one] + fit[other, one] - fit[other, other]) / 4
            own, text, turns = told[place * n + one], told[place * n + other], kept[one]
            gain = int((answers[one][:, other] > answers[one][:, one]).sum())
            if better < FITS or len(turns) < LEAST or not own or not text or 2 * gain < len(turns):
                continue
            asked = operation("edit_prompt_section", role=roles[one].id, language=language, section=section, text=text)
            if asked:
                yield Finding("M5", len(turns) * min(SWAP * better, 1.0), asked, newest(turns), because(
                    "swapped", role=roles[one].id, to=roles[other].id, n=len(turns), gain=gain,
                    other=len(turns) - gain), "bits", better)


def _told(role: Role, language: str, section: str) -> str:
    return str(getattr(getattr(role.sections, language), section))


def _headed(seen: Seen, role: Role, language: str) -> Iterator[Finding]:
    """M5: lines that begin alike in what is kept, and that no instruction asks for."""
    turns = [turn for turn in seen.of(role.id) if turn.kept and plain.language(turn.kept) == language]
    if len(turns) < 2 * LEAST:
        return
    told = folded(" ".join(getattr(role.sections, language).texts))
    heads = [{folded(head): head for head in _HEAD.findall(str(turn.kept))} for turn in turns]
    counted = Counter(head for one in heads for head in one)
    for head, count in sorted(counted.items()):
        if count >= max(LEAST, HEADED * len(turns)) and head not in told:
            shown = next(one[head] for one in heads if head in one)
            asked = operation("add_prompt_rule", role=role.id, language=language, section="format",
                              text=words()["head"][language].format(head=shown))
            with_it = [turn for turn, one in zip(turns, heads, strict=True) if head in one]
            if asked:
                yield Finding("M5", count / 2, asked, newest(with_it),
                              because("head", role=role.id, n=len(turns), gain=count), "bits", 0.05)


# ---- M6 ----------------------------------------------------------------------------------------------------------

def _forms(seen: Seen, role: Role, language: str) -> Iterator[Finding]:
    """M6: what the person makes of answers, or says of them, in one way again and again."""
    turns = [turn for turn in seen.by(role.id) if turn.language == language
             and (turn.edited is not None or _complaint(turn.then))]
    made = [_form(turn) for turn in turns]
    for form in words()["forms"]:
        of_it = [turn for turn, found in zip(turns, made, strict=True) if form in found]
        frame = words()["forms"][form]
        rule = {one: frame[f"seen_{one}"] for one in ("en", "ru")}
        asked = operation("add_prompt_rule", role=role.id, language=language, section="format", text=frame[language])
        if len(of_it) >= LEAST and 2 * len(of_it) >= len(turns) and asked:
            yield Finding("M6", float(len(of_it)), asked, newest(of_it), because(
                "form", n=len(of_it), m=len(turns), role=role.id, form=rule), "bits", 0.05)


def _form(turn: SeenTurn) -> set[str]:
    """The forms that an answer was given afterwards, by the edit or in words."""
    found, before, after = _complaint(turn.then), turn.answer, turn.edited
    if after is None:
        return found
    if len(after) <= SHORTER * len(before):
        found.add("shorter")
    if len(_ITEM.findall(after)) >= 2 and len(_ITEM.findall(after)) > len(_ITEM.findall(before)) + 1:
        found.add("list")
    if len(_ROW.findall(after)) >= 2 > len(_ROW.findall(before)):
        found.add("table")
    if {plain.language(after), plain.language(before)} == {"en", "ru"}:
        found.add("language")
    return found


def _complaint(message: str) -> set[str]:
    """The forms that a short message asks for: a long one is about something else."""
    if not message or len(message) > 60:
        return set()
    return {form for form, cues in _cues().items() if cues.search(folded(message))}


@lru_cache(maxsize=1)
def _cues() -> dict[str, re.Pattern[str]]:
    return {form: any_of(frame["cues"]) for form, frame in words()["forms"].items()}


# ---- M8 ----------------------------------------------------------------------------------------------------------

def _refuted(seen: Seen, role_map: RoleMap) -> Iterator[Finding]:
    """M8: sentences of the instructions that rest on what the ledger refuted."""
    claims = [set(_content(claim)) for claim in seen.refuted]
    for role in role_map.roles:
        turns = seen.by(role.id)
        for language, section, rule in _rules(role):
            said = set(_content(rule))
            if len(turns) < LEAST or len(said) < LEAST or not any(
                    len(said & claim) >= RESTS * len(said) for claim in claims):
                continue
            asked: Any = operation("remove_prompt_rule", role=role.id, language=language, section=section, text=rule)
            if asked:
                yield Finding("M8", float(LEAST), asked, newest(turns), because("refuted", role=role.id, n=len(turns)),
                              "bits", 0.0)


def _content(text: str) -> Sequence[str]:
    """Stems of the longer words."""
    return [plain.stem(word) for word in plain.words(text) if len(word) > 3]


def _rules(role: Role) -> Iterator[tuple[str, str, str]]:
    for language in ("en", "ru"):
        for section in SECTIONS:
            text = _told(role, language, section)
            yield from ((language, section, text[start:end]) for start, end in plain.sentences(text))
