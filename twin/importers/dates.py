"""Times as people and programs write them, to UTC. A time without a zone is taken in this machine's zone and said so.

Order of day and month is decided once for a file: `03.04` alone cannot tell.
"""
from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta, tzinfo

_STAMP = re.compile(r"(\d{1,4})([./-])(\d{1,2})[./-](\d{1,4})(?:\D{1,6}(\d{1,2}):(\d{2})(?::(\d{2}))?"
                    r"[\s\u00a0\u202f]*([AaPp])?)?")
_ORDERS = ("DMY", "MDY", "YMD")


@dataclass(frozen=True)
class Moment:
    """A time in UTC; `local` when no zone was written."""

    time: datetime
    local: bool


def from_epoch(value: object) -> datetime | None:
    """Seconds (or milliseconds, when above 1e11) since 1970 to UTC; None when it is no such number."""
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return None
    try:
        return datetime.fromtimestamp(value / 1000 if value > 1e11 else value, UTC)
    except (ValueError, OverflowError, OSError):
        return None


def to_utc(moment: datetime, zone: tzinfo | None = None) -> Moment | None:
    """A datetime to UTC; one without a zone is in `zone` (None: this machine's). None outside the calendar."""
    try:
        local = moment.tzinfo is None
        return Moment((moment.replace(tzinfo=zone) if local and zone else moment).astimezone(UTC), local)
    except (ValueError, OverflowError, OSError):
        return None


def parse(value: object, order: str = "DMY", zone: tzinfo | None = None) -> Moment | None:
    """A time from front matter or a header: datetime, date, ISO 8601, or numbers in this order; None if unreadable."""
    if isinstance(value, datetime):
        return to_utc(value, zone)
    if isinstance(value, date):
        return to_utc(datetime(value.year, value.month, value.day), zone)
    text = str(value).strip()
    try:
        return to_utc(datetime.fromisoformat(text), zone)
    except ValueError:
        return _parse_numbers(text, order, zone)


def _parse_numbers(text: str, order: str, zone: tzinfo | None) -> Moment | None:
    match = _STAMP.search(text)
    if match is None:
        return None
    first, second, third = (int(match.group(i)) for i in (1, 3, 4))
    day, month, year = {"DMY": (first, second, third), "MDY": (second, first, third),
                        "YMD": (third, second, first)}["YMD" if first > 31 else order]
    hour = int(match.group(5) or 0)
    if match.group(8):
        hour = hour % 12 + (12 if match.group(8) in "Pp" else 0)
    try:
        return to_utc(datetime(year + 2000 if year < 100 else year, month, day, hour, int(match.group(6) or 0),
                               int(match.group(7) or 0)), zone)
    except ValueError:
        return None


def day_order(stamps: Iterable[object], bounds: tuple[Moment | None, Moment | None] = (None, None)) -> str:
    """'DMY', 'MDY' or 'YMD' for all stamps of one file: by a number that can only be a day, else by the bounds
    between which they must lie, else by the habit of the separator."""
    texts = [str(stamp) for stamp in stamps if stamp is not None]
    found = [match for text in texts if (match := _STAMP.search(text))]
    firsts, seconds = [int(m.group(1)) for m in found], [int(m.group(3)) for m in found]
    for order, numbers, limit in (("YMD", firsts, 31), ("DMY", firsts, 12), ("MDY", seconds, 12)):
        if any(number > limit for number in numbers):
            return order
    inside = {order: _inside(texts, order, bounds) for order in _ORDERS[:2]}
    if inside["DMY"] != inside["MDY"]:
        return max(inside, key=lambda order: inside[order])
    if any(m.group(8) for m in found) and not any(m.group(2) == "." for m in found):
        return "MDY"
    return "DMY"


def _inside(texts: list[str], order: str, bounds: tuple[Moment | None, Moment | None]) -> int:
    """How many stamps lie between the bounds, a day of zone difference forgiven."""
    low, high = bounds
    if low is None or high is None:
        return 0
    slack = timedelta(days=1)
    times = [moment.time for text in texts if (moment := parse(text, order))]
    return sum(low.time - slack <= time <= high.time + slack for time in times)
