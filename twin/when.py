"""When: the time that a question speaks of ("last summer", "в мае 2023", "3 июля 2024"), as a range of moments.

Rules for English and Russian, no models. A cue that names no year means the latest such time that is not in the future.
Seasons are those of the northern half of the earth; what is called winter begins in December of the year before.
Knows no messages.
"""
from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta

_MONTHS = ("jan(?:uary)?|январ[ьяе]", "feb(?:ruary)?|феврал[ьяе]", "mar(?:ch)?|март[ае]?", "apr(?:il)?|апрел[ьяе]",
           "may|ма[йяе]", "june?|июн[ьяе]", "july?|июл[ьяе]", "aug(?:ust)?|август[ае]?", "sept?(?:ember)?|сентябр[ьяе]",
           "oct(?:ober)?|октябр[ьяе]", "nov(?:ember)?|ноябр[ьяе]", "dec(?:ember)?|декабр[ьяе]")
_SEASONS = ("winter|зим(?:а|у|ой|ы|е)", "spring|весн(?:а|у|ой|ы|е)", "summer|лет(?:о|ом|а)",
            "autumn|fall|осен(?:ь|ью|и)")
_DAYS_IN = {"day": 1, "дн": 1, "ден": 1, "week": 7, "недел": 7}
_NUMBERS = {"a": 1, "an": 1, "one": 1, "two": 2, "three": 3, "four": 4, "five": 5, "six": 6, "seven": 7, "один": 1,
            "одну": 1, "два": 2, "две": 2, "три": 3, "четыре": 4, "пять": 5, "шесть": 6, "семь": 7, "пару": 2}


@dataclass(frozen=True)
class When:
    """From `since` to `until`, both inclusive, in UTC. `cue` is what the text says; `relative` is the cue again where
    it counts from now ("yesterday"), so that its words say nothing about the messages meant."""

    since: datetime
    until: datetime
    cue: str
    relative: str = ""

    def covers(self, moment: datetime) -> bool:
        """A moment without a zone is taken for UTC."""
        return self.since <= (moment if moment.tzinfo else moment.replace(tzinfo=UTC)) <= self.until


Span = tuple[date, date]
"""First and last day."""


def parse(text: str, now: datetime | None = None) -> When | None:
    """The first time that a text names, None where it names none. `now` (default: the clock) is what "yesterday" counts
    from; its zone is that of the days."""
    now = now or datetime.now().astimezone()
    zone = now.tzinfo or UTC
    for pattern, relative, read in _RULES:
        for match in pattern.finditer(text):
            try:
                span = read({name: value.casefold() for name, value in match.groupdict().items() if value}, now.date())
            except (ValueError, OverflowError):  # 31 June, 99999 years ago
                continue
            if span is not None and span[0] <= span[1]:
                since, until = (datetime.combine(day, at, zone) for day, at in zip(span, (time.min, time.max),
                                                                                   strict=True))
                return When(since.astimezone(UTC), until.astimezone(UTC), match.group(),
                            match.group() if relative else "")
    return None


# ---- spans -----------------------------------------------------------------------------------------------------

def _month(year: int, month: int) -> Span:
    after = date(year + month // 12, month % 12 + 1, 1)
    return date(year, month, 1), after - timedelta(days=1)


def _season(year: int, season: int) -> Span:
    """0 is winter: December of the year before to February."""
    if season == 0:
        return date(year - 1, 12, 1), _month(year, 2)[1]
    return date(year, 3 * season, 1), _month(year, 3 * season + 2)[1]


def _latest(of_year: Callable[[int], Span], today: date) -> Span:
    """This year's, or the last one's where this year's has not begun."""
    span = of_year(today.year + 1)
    for year in (today.year + 1, today.year, today.year - 1):
        span = of_year(year)
        if span[0] <= today:
            break
    return span


def _number(found: dict[str, str], names: tuple[str, ...], key: str) -> int:
    return next(number for number, name in enumerate(names) if re.fullmatch(name, found[key]))


# ---- rules: what a match means ---------------------------------------------------------------------------------

def _numeric_day(found: dict[str, str], _: date) -> Span:
    day = date(int(found["y"]), int(found["m"]), int(found["d"]))
    return day, day


def _named_day(found: dict[str, str], today: date) -> Span:
    month, day = _number(found, _MONTHS, "month") + 1, int(found["d"])
    if "y" in found:
        return (date(int(found["y"]), month, day),) * 2
    return _latest(lambda year: (date(year, month, day),) * 2, today)


def _named_month(found: dict[str, str], today: date) -> Span:
    month = _number(found, _MONTHS, "month") + 1
    if "y" in found:
        return _month(int(found["y"]), month)
    span = _latest(lambda year: _month(year, month), today)
    return span if span[1] < today or "last" not in found else _month(span[0].year - 1, month)


def _named_season(found: dict[str, str], today: date) -> Span:
    season = _number(found, _SEASONS, "season")
    if "y" in found:
        return _season(int(found["y"]), season)
    span = _latest(lambda year: _season(year, season), today)
    return span if span[1] < today or "last" not in found else _season(span[1].year - 1, season)


def _years(found: dict[str, str], _: date) -> Span:
    first = int(found["y"])
    return date(first, 1, 1), date(int(found.get("y2", first)), 12, 31)


def _days_back(found: dict[str, str], today: date) -> Span:
    word = found["day"]
    back = 2 if word.startswith(("позав", "the day")) else 1 if word in ("yesterday", "вчера", "last night") else 0
    return (today - timedelta(days=back),) * 2


def _unit(found: dict[str, str], today: date) -> Span:
    """This or last week (from Monday), month or year."""
    back = 0 if found["which"].startswith(("this", "эт")) else 1
    if found["unit"].startswith(("week", "недел")):
        monday = today - timedelta(days=today.weekday() + 7 * back)
        return monday, monday + timedelta(days=6)
    if found["unit"].startswith(("month", "месяц")):
        months = today.year * 12 + today.month - 1 - back
        return _month(months // 12, months % 12 + 1)
    return date(today.year - back, 1, 1), date(today.year - back, 12, 31)


def _ago(found: dict[str, str], today: date) -> Span:
    """A day that many days ago; for longer units, half a unit to both sides of it."""
    number, unit = found.get("n", "a"), found["unit"]
    count = int(number) if number.isdigit() else _NUMBERS[number]
    days = next((days for name, days in _DAYS_IN.items() if unit.startswith(name)), None)
    if days is None:
        days = 30 if unit.startswith(("month", "месяц")) else 365
    middle, slack = today - timedelta(days=round(days * count * (365.25 / 365 if days == 365 else 1))), days // 2
    return middle - timedelta(days=slack), min(middle + timedelta(days=slack), today)


def _rule(pattern: str, relative: bool, read: Callable[[dict[str, str], date], Span | None]) -> tuple[
        re.Pattern[str], bool, Callable[[dict[str, str], date], Span | None]]:
    names = {"MONTH": f"(?P<month>{'|'.join(_MONTHS)})", "SEASON": f"(?P<season>{'|'.join(_SEASONS)})",
             "YEAR": r"(?P<y>(?:19|20)\d\d)", "LAST": r"(?P<last>last|прошл\w+)"}
    for name, value in names.items():
        pattern = pattern.replace(name, value)
    return re.compile(rf"(?<!\w)(?:{pattern})(?!\w)", re.IGNORECASE), relative, read


_OF_YEAR = r"(?:,?\s+(?:of\s+|in\s+)?YEAR(?:\s*(?:г\.|года|году|год))?)"
_RULES = (
    _rule(r"(?P<y>(?:19|20)\d\d)-(?P<m>\d\d)-(?P<d>\d\d)", False, _numeric_day),
    _rule(r"(?P<d>\d\d?)\.(?P<m>\d\d?)\.(?P<y>(?:19|20)\d\d)", False, _numeric_day),
    _rule(rf"MONTH\.?\s+(?P<d>\d\d?)(?:st|nd|rd|th)?{_OF_YEAR}?", False, _named_day),
    _rule(rf"(?P<d>\d\d?)(?:st|nd|rd|th)?\s+(?:of\s+)?MONTH\.?{_OF_YEAR}?", False, _named_day),
    _rule(rf"MONTH\.?{_OF_YEAR}", False, _named_month),
    _rule(rf"SEASON{_OF_YEAR}", False, _named_season),
    _rule(r"(?:from|between|с)\s+YEAR\s+(?:to|and|till|until|по|до)\s+(?P<y2>(?:19|20)\d\d)(?:\s+год\w*)?", False,
          _years),
    _rule(r"(?:since|с)\s+YEAR(?:\s*(?:г\.|года))?", False,
          lambda found, today: (date(int(found["y"]), 1, 1), today)),
    _rule(r"(?:in|during|of|в|за)\s+YEAR(?:\s*(?:г\.|году|год))?", False, _years),
    _rule(r"(?P<day>the day before yesterday|yesterday|last night|today|позавчера|вчера|сегодня)", True, _days_back),
    _rule(r"(?P<n>\d{1,4}|an?|one|two|three|four|five|six|seven)\s+(?P<unit>days?|weeks?|months?|years?)\s+ago", True,
          _ago),
    _rule(r"(?<!\d\s)(?:(?P<n>\d{1,4}|одну?|пару|дв[ае]|три|четыре|пять|шесть|семь)\s+)?"
          r"(?P<unit>день|дня|дней|недел[юиь]|месяц(?:а|ев)?|год(?:а)?|лет)\s+назад", True,
          lambda found, today: _ago({"n": "a"} | found | {"unit": found["unit"].replace("лет", "год")}, today)),
    _rule(r"(?P<which>this|last)\s+(?P<unit>week|month|year)", True, _unit),
    _rule(r"(?:в|на)\s+(?P<which>прошл\w+|эт\w+)\s+(?P<unit>неделе|месяце|году)", True, _unit),
    _rule(r"(?:LAST|this|эт\w+)\s+SEASON", True, _named_season),
    _rule(r"(?:в\s+)?(?:LAST|this|этом)\s+MONTH", True, _named_month),
    _rule(r"(?:in|during|в|за)\s+(?:the\s+)?MONTH", True, _named_month),
    _rule(r"(?:in|during)\s+(?:the\s+)?SEASON", True, _named_season),
)
