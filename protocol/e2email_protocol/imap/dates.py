"""Dates of IMAP: date-time with zone (INTERNALDATE, APPEND) and bare date (SEARCH)."""

from __future__ import annotations

import re
from datetime import UTC, date, datetime, timedelta, timezone

from .errors import BadCommand

_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
_NAMES = {number: name.encode() for number, name in enumerate(_MONTHS, 1)}
_NUMBER = {name.encode().lower(): number for number, name in enumerate(_MONTHS, 1)}
_DATE = re.compile(rb"([0-9]{1,2})-([A-Za-z]{3})-([0-9]{4})")
_DATE_TIME = re.compile(
    rb"([ 0-9][0-9]-[A-Za-z]{3}-[0-9]{4}) "
    rb"([0-9]{2}):([0-9]{2}):([0-9]{2}) ([+-])([0-9]{2})([0-9]{2})"
)


def parse_date(wire: bytes) -> date:
    match = _DATE.fullmatch(wire)
    if match is None or match[2].lower() not in _NUMBER:
        raise BadCommand(b"not a date")
    try:
        return date(int(match[3]), _NUMBER[match[2].lower()], int(match[1]))
    except ValueError as error:
        raise BadCommand(b"no such day") from error


def parse_date_time(wire: bytes) -> datetime:
    match = _DATE_TIME.fullmatch(wire)
    if match is None:
        raise BadCommand(b"not a date-time")
    day = parse_date(match[1].strip())
    offset = timedelta(hours=int(match[6]), minutes=int(match[7]))
    zone = -offset if match[5] == b"-" else offset
    try:
        when = (int(match[2]), int(match[3]), min(int(match[4]), 59))  # 60 is a leap second
        result = datetime(day.year, day.month, day.day, *when, tzinfo=timezone(zone))
        result.astimezone(UTC)  # year 1 and year 9999 have no UTC
    except (ValueError, OverflowError) as error:
        raise BadCommand(b"no such time") from error
    return result


def render_date_time(when: datetime) -> bytes:
    """date-time with its quotes, e.g. `" 7-Feb-1994 21:52:25 -0800"`; strftime knows locales."""
    offset = when.utcoffset()
    minutes = 0 if not offset else int(offset.total_seconds()) // 60
    sign, minutes = (b"-", -minutes) if minutes < 0 else (b"+", minutes)
    return b'"%2d-%b-%04d %02d:%02d:%02d %b%02d%02d"' % (
        *(when.day, _NAMES[when.month], when.year),
        *(when.hour, when.minute, when.second),
        *(sign, minutes // 60, minutes % 60),
    )
