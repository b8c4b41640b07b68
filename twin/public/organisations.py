"""Employers, firms, schools, clinics, churches: names that their surroundings tell. Works on folded text.

The generic word stays (clinic, ООО), the name goes. A tool is no employer: "работаю в Docker", "it works for React".
"""
from __future__ import annotations

import re
from collections.abc import Iterator

from twin.public.gazetteer import bases, words
from twin.public.hit import Hit

_NAME = r"[A-ZÀ-ÖØ-ÞА-ЯЁ][\w'-]*"
_RUN = rf"(?P<it>{_NAME}(?: (?:(?:&|of) )?{_NAME}){{0,4}})"
_RUNS = rf"(?P<it>{_NAME}(?: (?:(?:&|of|and|и) )?{_NAME}){{0,4}})"  # more than one employer
_QUOTED = r"[«\"“„](?P<it>[^«»\"“”„\n\[\]]{1,60})[»\"”“]"
_WHO = r"(?i:\b(?:I|we|you|he|she|they|who|wife|husband|mother|father|brother|sister|friend|dad|mom|mum)\b)"
_ADVERB = r"(?: (?:am|was|is|are|were|have|has|had|been|also|still|now|once|used|to|'ve|will)){0,3}"
_AT = (r"(?i:\b(?:work(?:s|ed|ing)?|jobs?|position|role|intern(?:s|ed|ing|ship)?|colleagues?|boss|manager|engineer|"
       r"developer|analyst|nurse|teacher|studied|study|student|interview(?:s|ed)?|shifts?|career|contract(?:or)?|CEO|CTO|"
       r"employee|teach(?:es)?|taught) at (?:the )?|"
       r"\b(?:hired|employed|fired|poached|sacked) (?:by|from|at) (?:the )?|"
       r"\b(?:laid off|resigned|graduated|job offer|offer|retired) (?:from|by) (?:the )?|"
       r"\b(?:founder|co-founder|CEO|CTO|director|employee|employer) (?:of|is|was) (?:the )?|"
       r"\bmy (?:employer|company),? )")
_AT_RU = (r"(?i:\b(?:работ(?:аю|ает|аем|ают|ал|ала|али|ать|аешь)|устро(?:ил\w+|юсь)|взяли|берут|уволил\w+|уволен\w*|"
          r"собеседовани\w+|стажиру\w+|стажировал\w+|стажировк\w+|сотрудни\w+|должност\w+|оффер\w*|служу|служит|"
          r"преподаю|преподаёт)(?: [а-яё]{2,}){0,2} (?:в|во|на|из) |\bсотрудни\w+ |\bработодател\w+ )")
_PLACES_EN = (r"(?:clinic|hospital|surgery|school|college|university|academy|kindergarten|nursery|church|chapel|parish|"
              r"cathedral|mosque|synagogue|bakery|pub|restaurant|hotel|pharmacy|museum|theatre|theater|choir|orchestra|"
              r"institute|hospice|charity|orphanage|abbey|monastery)")
_CARE_RU = r"клиник|поликлиник|больниц|госпитал|роддом|школ|гимнази|лице[йяюе]|училищ|церк|храм|собор|монастыр|приход"
_FIRM_RU = (r"университет|институт|академи|колледж|детск\w+ сад|детсад|компани|фирм|завод|фабрик|кафе|ресторан|отел|"
            r"гостиниц|магазин|аптек|театр|клуб|студи|издательств|агентств|холдинг|корпораци|стартап|санатори|"
            r"предприяти|концерн|банк|центр|фонд")
_LEGAL_RU = r"\b(?:ООО|ЗАО|ОАО|ПАО|АО|НКО|АНО|ТОО|ФГУП|МУП|ГУП|НПО|ЧОП|ГБУЗ|ФГБУ|МБОУ|ГБОУ|МАОУ|ГК|ИП)\s+"
_LEGAL_EN = r"(?:Ltd|Limited|LLC|LLP|PLC|plc|Inc|Corp(?:oration)?|Incorporated|GmbH|AG|KG|SARL|Pty|Oy|& Co|& Sons)\b"
# Each with whether a tool's name (words.toml: terms) may stand there as an employer.
_SHAPES: tuple[tuple[str, bool], ...] = (
    (rf"{_RUN},? {_LEGAL_EN}", True),
    (_LEGAL_RU + _QUOTED, True),
    (_LEGAL_RU + _RUN, True),
    (rf"{_AT}{_RUNS}", True),
    (rf"{_WHO}{_ADVERB} work(?:s|ed|ing)? for {_RUNS}", False),
    (_AT_RU + _RUNS, False),
    (_AT_RU + _QUOTED, True),
    (rf"(?i:\b(?:{_CARE_RU}|{_FIRM_RU})\w*(?: имени)?)\s+{_QUOTED}", True),
    (rf"(?i:\b(?:{_CARE_RU})\w*(?: имени)?)\s+{_RUN}", False),
    (rf"(?i:\b(?:{_CARE_RU}|детск\w+ сад|детсад)\w*)\s+(?:№ ?|номер )(?P<it>\d{{1,4}})\b", True),
    (rf"{_RUN} (?i:{_PLACES_EN})\b", False),
    (rf"\b(?i:{_PLACES_EN}) of {_RUN}", False),
    (rf"(?P<it>\b(?:St\.?|Saint) {_NAME}'s\b)", True),
)
_COMPILED = tuple((re.compile(shape), tools) for shape, tools in _SHAPES)
_PART = re.compile(r"[^\W_]+(?:['-][^\W_]+)*")
_LINKS = ("of", "and", "и", "the", "for")
_SPEED = re.compile(r" (?:scale|speed|level|docs?|cloud|maps|sheets|drive|api)\b", re.I)


def organisations(text: str) -> Iterator[Hit]:
    """Everything of that kind; hits may overlap."""
    for shape, tools in _COMPILED:
        for match in shape.finditer(text):
            span = _trimmed(text, *match.span("it"))
            if span and not _SPEED.match(text, span[1]) and (tools or _no_tool(text[slice(*span)])):
                yield Hit("organisation", *span)


def _trimmed(text: str, start: int, end: int) -> tuple[int, int] | None:
    """Without what no name begins with (My, High, Every), and up to the first word that belongs to none (I, Monday)."""
    parts = [(one.group().casefold().replace("ё", "е"), start + one.start(), start + one.end())
             for one in _PART.finditer(text[start:end])]
    while parts and (_generic(parts[0][0]) or parts[0][0] in _LINKS) and text[start:end][:1].isupper():
        parts.pop(0)
    for place, (low, _, _) in enumerate(parts):
        if low in words("never") and low not in _LINKS:
            parts = parts[:place]
            break
    while parts and parts[-1][0] in _LINKS:
        parts.pop()
    return (parts[0][1], parts[-1][2]) if parts else None


def _generic(low: str) -> bool:
    return low in words("never") or low in words("articles") or low in words("generic")


def _no_tool(name: str) -> bool:
    """Of its words one at least is no tool; firms that make tools are firms."""
    parts = [part.casefold() for part in _PART.findall(name) if part.casefold() not in _LINKS]
    return not all(bases(part) & words("terms") and not bases(part) & words("employers") for part in parts)
