"""The Date field (RFC 5322 sections 3.3 and 4.3), read leniently."""

import re
from calendar import timegm
from datetime import UTC, datetime

_MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
_ZONES = {
    "ut": 0, "gmt": 0, "utc": 0, "z": 0,
    "est": -300, "edt": -240, "cst": -360, "cdt": -300,
    "mst": -420, "mdt": -360, "pst": -480, "pdt": -420,
}  # fmt: skip
# no date is longer; a header may be
_MAX_LENGTH = 200
_COMMENT = re.compile(r"\([^()]*\)")
_COLON = re.compile(r" ?: ?")
_DATE = re.compile(
    r"(?:[a-z]{3,9}\.?,?\s*)?(\d{1,2})[\s-]+([a-z]{3})[a-z]*\.?[\s,-]+(\d{2,4})[\s,]+"
    r"(\d{1,2})[:.](\d{2})(?:[:.](\d{2})(?:[.,]\d+)?)?\s*(am|pm)?\s*([+-]\d{4}|[a-z]{1,5})?"
)
# asctime, as mailboxes of old have it: Tue Nov  3 10:20:30 1998
_ASCTIME = re.compile(
    r"(?:[a-z]{3,9},?\s+)?([a-z]{3})[a-z]*\s+(\d{1,2}),?\s+(\d{1,2}):(\d{2})(?::(\d{2}))?\s+(\d{4})"
)


def parse_date(value: bytes) -> tuple[int, int] | None:
    """(seconds since 1970, zone offset in minutes) of a Date field's value, or None.

    Two- and three-digit years as RFC 5322 section 4.3 reads them; an unknown zone is UTC.
    """
    text = value[:_MAX_LENGTH].decode("latin-1").lower()
    text = _COLON.sub(":", " ".join(_COMMENT.sub(" ", text).split()))
    match = _DATE.match(text)
    if match is not None:
        day, month, year, hour, minute, second, half, zone = match.groups()
    else:
        match = _ASCTIME.match(text)
        if match is None:
            return None
        month, day, hour, minute, second, year = match.groups()
        half, zone = None, None
    hours = int(hour) % 12 + (12 if half == "pm" else 0) if half else int(hour)
    return _seconds(_year(year), month, int(day), hours, int(minute), int(second or 0), zone or "z")


def _year(text: str) -> int:
    year = int(text)
    if len(text) == 2:
        return year + (2000 if year < 50 else 1900)
    return year + 1900 if len(text) == 3 else year


def _zone(text: str) -> int:
    """Minutes east of UTC; the military letters and unknown names are UTC (RFC 5322 4.3)."""
    if text[0] not in "+-":
        return _ZONES.get(text, 0)
    minutes = int(text[1:3]) * 60 + int(text[3:5])
    # no place is further; datetime allows no whole day
    return 0 if minutes >= 24 * 60 else minutes if text[0] == "+" else -minutes


def _seconds(
    year: int, month: str, day: int, hour: int, minute: int, second: int, zone: str
) -> tuple[int, int] | None:
    if month not in _MONTHS or hour > 24 or minute > 59 or second > 60 or year < 1900:
        return None
    try:
        datetime(year, _MONTHS.index(month) + 1, day, tzinfo=UTC)
    except ValueError:
        return None
    offset = _zone(zone)
    moment = timegm((year, _MONTHS.index(month) + 1, day, hour, minute, second))
    return moment - offset * 60, offset
