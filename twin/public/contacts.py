"""Ways to reach or identify a person that have a shape: mail, links, accounts, phones, ids, birth dates, coordinates,
street addresses. Works on folded text. Phones by the phonenumbers library (Google's rules of each country).
"""
from __future__ import annotations

import re
from collections.abc import Iterator

from twin.public.gazetteer import words
from twin.public.hit import Hit

# Where national numbers (without +) are tried. Plain US and Russian ones need no leading 0.
_REGIONS = ("RU", "US", "GB", "DE", "UA", "KZ", "BY")
_TOP = ("com|org|net|edu|gov|info|biz|io|dev|app|ai|me|co|us|uk|de|fr|it|es|nl|pl|ch|at|eu|ca|au|in|cn|jp|ru|su|рф|ua|"
        "by|il|xyz|site|online|shop|blog|club|top|pro|tv|ly|gg|to|im|kz|ge|am")
_MONTH = (r"(?:jan|feb|mar|apr|may|jun|jul|aug|sep|oct|nov|dec|янв|фев|мар|апр|ма[йя]|июн|июл|авг|сен|окт|ноя|дек)"
          r"[^\W\d_]*\.?")
_DAY = r"\d{1,2}(?:st|nd|rd|th)?"
_DATE = (rf"(?:\d{{1,4}}[./-]\d{{1,2}}[./-]\d{{1,4}}|{_DAY}(?: of)? {_MONTH},? \d{{4}}|{_MONTH} {_DAY},? \d{{4}})")
_BORN = (r"(?:\bborn\b|\bbirth\w*|\bDOB\b|\bродил(?:ся|ась|ись|и)\b|\bрожд\w+|\bд\. ?р\.)")
_ID = (r"(?:passport|ssn|social security|driver'?s licen[cs]e|licen[cs]e plate|account|iban|card|policy|insurance|"
       r"паспорт\w*|снилс|инн|полис\w*|удостоверени\w+|счет\w*|счёт\w*|карт[аыеуой]+|договор\w*|гос\.?номер\w*)")
_CALL = (r"(?:phone|tel|telephone|call|mobile|cell|whatsapp|viber|text|dial|ring|fax|reach|number is|"
         r"тел|телефон\w*|звон\w+|позвон\w+|набер\w+|моб\w*|номер\w*|ватсап\w*|вотсап\w*|вацап\w*|смс|факс\w*|трубк\w+)")
_STREET_EN = (r"(?:(?i:street|avenue|road|lane|drive|boulevard|square|terrace|crescent|gardens|parkway|highway)|"
              r"St|Ave|Rd|Ln|Dr|Blvd|Court|Ct|Sq|Way|Close|Grove|Hill|Alley|Mews)")
_STREET_RU = (r"(?:ул\.|улиц[аеуыой]+|пр-т\w*|пр-кт\w*|просп\.|проспект\w*|пер\.|переул\w+|\bш\.|бул\.|алл\.|\bпр\.|"
              r"туп\.|бульвар\w*|б-р|наб\.|набережн\w+|шоссе|пл\.|площад\w+|проезд\w*|тупик\w*|аллея|аллее|мкр\.?|"
              r"микрорайон\w*)")
_HOUSE = (r"(?:,? ?(?:д\.|дом\w*|корп\.|к\.|корпус\w*|стр\.|кв\.|квартир\w+|оф\.|офис\w*|подъезд\w*)?"
          r" ?\d+\s?[а-гА-Г]?(?![\w])(?:[/-]\d+)?)")
_DIGIT_WORD = (r"(?:zero|oh|nought|nil|one|two|three|four|five|six|seven|eight|nine|double|triple|treble|ten|eleven|"
               r"twelve|(?:thir|four|fif|six|seven|eigh|nine)teen|(?:twen|thir|for|fif|six|seven|eigh|nine)ty|"
               r"ноль|нуль|один|одна|раз|два|две|три|четыре|пять|шесть|семь|восемь|девять|десять|(?:один|две|три|четыр|"
               r"пят|шест|сем|восем|девят)надцать|двадцать|тридцать|сорок|(?:пять|шесть|семь|восемь)десят|девяносто|"
               r"сто|двести|триста|четыреста|(?:пять|шесть|семь|восемь|девять)сот)")
_RU_PLATE = "[АВЕКМНОРСТУХABEKMHOPCTYX]"
_PLATE = (r"(?:licen[cs]e plates?|number plates?|(?:my|his|her|our|their|car|van)(?:'s)? plates?|"
          r"registration(?: number)?|гос\.? ?номер\w*|номер\w* (?:машин\w+|авто\w*|тачк\w+|мотоцикл\w*)|"
          r"машин\w+ с номер\w+)")
_BYTE = r"(?:25[0-5]|2[0-4]\d|1?\d?\d)"
_STATE = ("(?:A[LKZR]|C[AOT]|D[EC]|FL|GA|HI|I[DLNA]|K[SY]|LA|M[EDAINSOT]|N[EVHJMYCD]|O[HKR]|PA|RI|S[CD]|T[NX]|UT|"
          "V[TA]|W[AVIY])")
_PROPER = r"[А-ЯЁ][а-яё]+(?:-[А-ЯЁ]?[а-яё]+)*"
_SHAPES: tuple[tuple[str, str], ...] = (
    ("mail", r"[\w.+%-]+@[\w-]+(?:\.[\w-]+)+"),
    ("mail", r"\b[\w.+-]+\s*[\[({]\s*(?:at|собака|эт)\s*[\])}]\s*[\w-]+\s*"
             r"(?:[\[({]?\s*(?:dot|точка)\s*[\])}]?|\.)\s*\w+"),
    ("mail", r"\b[\w.+-]+ (?:at|собака) [\w-]+ (?:dot|точка) (?:com|org|net|ru|ком|ру)\b"),
    ("link", r"\b[a-zA-Z][\w+.-]*://[^\s<>\"'`»”)\]]*[\w/=&#]|\bwww\.[^\s<>\"'`»”)\]]*[\w/=&#]"),
    ("link", rf"(?<![\w@./\\-])(?:[\w-]+\.)+(?:{_TOP})(?::\d+)?(?:/(?:[^\s<>\"'`»”)\]]*[\w/=&#])?)?(?![\w(-]|\.\w)"),
    ("account", r"(?<![\w@./])@[A-Za-z_][\w.-]*\w(?![/\w(])"),
    ("account", r"(?<=[/\\]home[/\\])[\w.-]+|(?<=[/\\]Users[/\\])[\w.-]+"),
    ("account", r"(?i:\b(?:skype|telegram|discord|instagram|twitter|icq|телеграм\w*|скайп\w*|инстаграм\w*|дискорд\w*)"
                r" ?(?:id|handle|ник)?(?: is|:| -| —) ?)(?P<it>[A-Za-z_][\w.#]{3,})"),
    ("ip", rf"(?<![\w.])(?<!v )(?<!ersion )(?<!рсия )(?<!рсии )(?:{_BYTE}\.){{3}}{_BYTE}(?![\w.]?\d)"),
    ("ip", r"(?<![\w:])(?:[0-9a-fA-F]{1,4}:){7}[0-9a-fA-F]{1,4}(?![\w:])|"
           r"(?<![\w:])(?:[0-9a-fA-F]{1,4}:){1,6}:(?:[0-9a-fA-F]{1,4}:){0,5}[0-9a-fA-F]{1,4}(?![\w:])"),
    ("ip", r"(?<![\w:])(?:[0-9a-fA-F]{2}[:-]){5}[0-9a-fA-F]{2}(?![\w:])"),
    ("coordinates", r"(?<![\w.])[-+]?\d{1,2}\.\d{4,}°?[NS]?\s?[,;]\s?[-+]?\d{1,3}\.\d{4,}°?[EW]?(?![\w.])"),
    ("coordinates", r"\d{1,3}° ?\d{1,2}(?:[′'] ?(?:\d{1,2}(?:\.\d+)?[″\"])?)? ?[NSEWСЮВЗ]\b"),
    ("number", rf"(?i:\b{_ID}(?:'?s)?(?: (?:no|number|serial|id|номер|серия|№)\.?)?(?: is| was|:| -| —| №| #)?)"
               r"[ :№#]{1,3}(?P<it>(?=[\w-]*\d)[A-ZА-Я]{0,3}\d[\dA-Z]*(?:[ -]?\d{2,})*)(?![\w.]?\d)"),
    ("number", r"(?<![\w.-])\d{3}-\d{3}-\d{3}[ -]\d\d(?![\w-])|(?<![\w.-])\d{3}-\d{2}-\d{4}(?![\w-])"),
    ("number", r"(?<![\w.])\d{2} ?\d{2} №? ?\d{6}(?![\w.]?\d)"),
    ("birth", rf"(?i:{_BORN}[^.\n]{{0,25}}?)(?P<it>(?i:{_DATE}))"),
    ("birth", rf"(?P<it>(?i:{_DATE}))(?i:\s?(?:г(?:ода|\.)?)?,? ?(?:{_BORN}|г\. ?р\.))"),
    ("phone", r"(?<![\w.+])\+\d[\d ()-]{7,18}\d(?![\w.]?\d)"),
    ("phone", r"(?<![\w.-])[78][ (-]{0,2}9\d\d[ )-]{0,2}\d{3}[ -]?\d\d[ -]?\d\d(?![\w-])"),
    ("phone", r"(?<![\w.-])\(\d{3,5}\) ?\d{2,3}[ -]\d\d[ -]?\d{2,3}(?![\w-])"),
    ("phone", r"(?<![\w.+-])(?:(?:00)?1[ -])?(?:\(\d{3}\) ?|\d{3}[ .-])\d{3}[ .-]\d{4}(?:x\d+)?"
              r"(?![\w.-]?\d)"),
    ("phone", r"(?<![\w.+-])[08](?:[ ()-]{0,2}\d){8,11}(?![\w.-]?\d)|(?<![\w.+-])\(0\d{2,5}\) ?\d{4,8}(?![\w.-])"),
    ("phone", r"(?<![\w.+-])\d{3}-\d\d-\d\d(?![\w.-]?\d)"),
    ("phone", rf"(?i:\b{_CALL}\b[^\d\n.?!]{{0,25}}?)(?P<it>[+(]?\d[\d ()-]{{5,18}}\d)(?![\w.]?\d)"),
    ("spoken", rf"(?i:\b(?:(?:plus|плюс) )?{_DIGIT_WORD}(?:(?:,? |-){_DIGIT_WORD}){{5,}}\b)"),
    ("plate", rf"(?i:(?<![\w-]){_RU_PLATE}\d{{3}}{_RU_PLATE}{{2}}[ -]?\d{{2,3}}(?:[ -]?(?:rus|ру[сc]))?(?![\w-]))"),
    ("plate", r"\b[A-Z]{2}\d{2} ?[A-Z]{3}\b"),
    ("plate", rf"(?i:\b{_PLATE})(?: is| was|:| -| —)? (?P<it>(?=[\w -]{{0,6}}\d)[A-ZА-ЯЁ\d]{{1,4}}"
              r"(?:[ -]?[A-ZА-ЯЁ\d]{2,4}){1,2})\b"),
    ("address", rf"\b\d{{1,5}}[A-Za-z]? (?:[NSEW]\.? )?(?:[A-Z][a-z']+ ){{1,3}}{_STREET_EN}\b\.?"
                r"(?:,? (?:apt|apartment|flat|unit|suite|#)\.? ?\w+)?"),
    ("address", r"\b(?:[A-Z][a-z']+ ){1,2}(?:Street|Avenue|Road|Boulevard)\b(?: \d{1,5})?"),
    ("address", r"\b(?:\d{1,4},? )?(?:Rue|Calle|Avenida|Piazza|Viale)"
                r" (?:(?:de|la|del|di|des|du|della|le) )*[A-Z]\w+(?:,? \d+)?"),
    ("address", r"\b[A-ZÄÖÜ][\w.-]*(?:[Ss]tra(?:ß|ss)e|[Ss]tr\.|[Ww]eg|[Gg]asse|[Pp]latz|[Aa]llee|straat|gatan)"
                r" \d+\w?"),
    ("address", r"(?i:\b(?:apt|apartment|flat|suite)\b\.? )#?\d{1,4}[A-Za-z]?\b|\bP\.? ?O\.? Box \d+"),
    ("address", r"\b[A-Z]{1,2}\d[A-Z\d]? \d[A-Z]{2}\b|(?i:\bzip(?: code)?:? )\d{5}\b"),
    ("address", rf"\b{_STATE} \d{{5}}(?:-\d{{4}})?\b"),
    ("address", rf"(?i:\b{_STREET_RU}) ?(?:\d+[-\w]* )?{_PROPER}(?: {_PROPER}){{0,2}}(?:{_HOUSE})*"),
    ("address", rf"\b{_PROPER}(?: {_PROPER})? (?i:{_STREET_RU})(?:{_HOUSE})*"),
    ("address", rf"\bна {_PROPER}(?:,? (?:д\.|дом\w*) ?\d+\w?)(?:{_HOUSE})*"),
    ("address", r"(?i:\b(?:индекс\w*|почтовый индекс):? )\d{6}\b|\b\d{6},? (?=г\.|город|Москва|Санкт)"),
)
_COMPILED = tuple((kind, re.compile(shape)) for kind, shape in _SHAPES)
_RUN = re.compile(r"\d(?:[ ().-]{0,3}\d){6,}")
_LONG = re.compile(r"(?<![\w.-])\d(?:[ -]?\d){12,18}(?![\w.-])")
_IBAN = re.compile(r"\b[A-Z]{2}\d{2}(?: ?[A-Z0-9]{4}){2,7}(?: ?[A-Z0-9]{1,3})?\b")
_SHORT = re.compile(r"\d\d-\d\d-\d\d|\d{3}-\d{3}")  # six digits, as a town writes them
_DIGITS = re.compile(r"\D")
_DATED = re.compile(r"(?:19|20)\d\d[-./]?(?:0\d|1[0-2])[-./]?[0-3]\d|[0-3]\d[./-][01]\d[./-](?:19|20)\d\d")


def contacts(text: str) -> Iterator[Hit]:
    """Everything of that kind in folded text; hits may overlap."""
    for kind, shape in _COMPILED:
        for match in shape.finditer(text):
            span = match.span("it") if "it" in shape.groupindex else match.span()
            if _means_it(kind, text[slice(*span)], text):
                yield Hit({"spoken": "phone", "plate": "number"}.get(kind, kind), *span)
    for match in _LONG.finditer(text):
        if _luhn(_DIGITS.sub("", match.group())):
            yield Hit("number", *match.span())
    for match in _IBAN.finditer(text):
        if _iban(match.group().replace(" ", "")):
            yield Hit("number", *match.span())
    if _RUN.search(text):
        yield from _phones(text)


def _means_it(kind: str, found: str, text: str) -> bool:
    """What has the shape but is no one's: loopback, decorators, file names, versions, a count of too few digits."""
    if kind in ("link", "ip"):
        host = re.sub(r"^\w+://", "", found).split("/")[0].split(":")[0].casefold()
        return host not in words("hosts") and not found.startswith(("file:///usr", "::1"))
    if kind == "account":
        return found.lstrip("@").split(".")[0].casefold() not in words("decorators")
    if kind == "phone":
        digits = _DIGITS.sub("", found)
        return (7 <= len(digits) <= 15 or _SHORT.fullmatch(found) is not None) and not _DATED.fullmatch(found.strip())
    if kind == "number":
        return len(_DIGITS.sub("", found)) >= 4
    return bool(text)


def _phones(text: str) -> Iterator[Hit]:
    import phonenumbers  # here: 0.1 s, and most texts have no number of seven digits

    for region in _REGIONS:
        for match in phonenumbers.PhoneNumberMatcher(text, region, leniency=phonenumbers.Leniency.VALID):
            if _stands_alone(text, match.start, match.end) and _as_dialled(match.raw_string, region):
                yield Hit("phone", match.start, match.end)


def _stands_alone(text: str, start: int, end: int) -> bool:
    """Not a part of a longer number, a name, a path, a hash, an amount."""
    before, after = text[max(0, start - 1):start], text[end:end + 2]
    return not re.match(r"[\w./\\#$€£₽=:_-]", before) and not re.match(r"[\w%$€£₽]|[.:/-]\d| ?°", after)


def _as_dialled(raw: str, region: str) -> bool:
    """National numbers are valid by chance too often: a plain run of digits counts in Russia and the US only, elsewhere
    it starts with 0 or 8 and is written in groups."""
    digits = _DIGITS.sub("", raw)
    if raw.startswith("+"):
        return True
    if _DATED.match(raw) or len(digits) < 10 or len(set(digits)) < 3 or ("." in raw and raw.count(".") < 2):
        return False
    return region in ("RU", "US") or (raw.lstrip("(")[0] in "08" and not raw.isdigit())


def _luhn(digits: str) -> bool:
    """ISO/IEC 7812: every card number has this check digit; one run of digits in ten has it by chance."""
    doubled = "".join(str(int(digit) * (1 + place % 2)) for place, digit in enumerate(reversed(digits)))
    return len(set(digits)) > 1 and sum(map(int, doubled)) % 10 == 0


def _iban(code: str) -> bool:
    """ISO 13616: mod 97 of the rotated code, letters as 10..35, is 1."""
    return 15 <= len(code) <= 34 and int("".join(str(int(sign, 36)) for sign in code[4:] + code[:4])) % 97 == 1
