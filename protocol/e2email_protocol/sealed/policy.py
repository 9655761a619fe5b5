"""The clear header around a sealed message, as the account's policy has it."""

import re
from datetime import UTC, datetime
from functools import lru_cache

from e2email_protocol.mime.header import Field, fields
from e2email_protocol.sealed.mail import Mail
from e2email_protocol.sealed.record import Form, Policy

# No mail can be sent to a name under .invalid (RFC 2606 §2), and nobody can register it;
# submission refuses this one with a text that says what it stands for.
NEUTRAL_ADDRESS = "sealed@e2email.invalid"
SUBJECT = b"Subject: [...]\r\n"  # RFC 9788 §3.2.1
MAX_SHOWN = 3 << 10  # octets; repeated in HP-Outer, which the envelope must hold
MAX_COPIES = 1 << 10  # octets; the same for copies in a wrapper or preamble
_MAX_LINE = 998  # RFC 5322 §2.1.1
_NEUTRAL = b"From: Sealed mail <%(a)b>\r\nTo: Sealed mail <%(a)b>\r\n" % {
    b"a": NEUTRAL_ADDRESS.encode()
}
_SEALED_OUTER = re.compile(
    re.escape(_NEUTRAL + SUBJECT) + rb"Date: [A-Z][a-z]{2}, [0-9]{2} [A-Z][a-z]{2} [0-9]{4} "
    rb"[0-9]{2}:[0-9]{2}:[0-9]{2} \+0000\r\n"
)
# In the order in which they are chosen while there is room: the first are what a reply needs.
_BASELINE = {
    b"from": b"From",
    b"date": b"Date",
    b"message-id": b"Message-ID",
    b"reply-to": b"Reply-To",
    b"in-reply-to": b"In-Reply-To",
    b"to": b"To",
    b"cc": b"Cc",
    b"references": b"References",
}
_COPIED = {b"subject": b"Subject", b"date": b"Date", b"from": b"From", b"to": b"To"}
_FIELD_START = re.compile(rb"^(?=[!-~])", re.MULTILINE)
_LINE_END = re.compile(rb"\r?\n")
_NOT_SHOWN = re.compile(rb"[^\t -~]")
_DAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
_MONTHS = "Jan Feb Mar Apr May Jun Jul Aug Sep Oct Nov Dec"


def outer_header(policy: Policy, mail: Mail, time: int) -> bytes:
    """The clear fields: neutral ones with the time of arrival, or what a reply needs."""
    if policy is Policy.SEALED:
        return _NEUTRAL + SUBJECT + b"Date: %b\r\n" % date(time)
    return SUBJECT + _choose(mail, _BASELINE, MAX_SHOWN)


def copies(mail: Mail) -> bytes:
    """Subject, Date, From and To for a place inside the seal where the originals are not seen."""
    chosen = _choose(mail, _COPIED, MAX_COPIES)
    return chosen if chosen.startswith(b"Subject:") else b"Subject:\r\n" + chosen


def _choose(mail: Mail, names: dict[bytes, bytes], room: int) -> bytes:
    chosen = []
    for name, written in names.items():
        field = mail.first(name)
        shown = b"" if field is None else clean(written, field)
        if shown and len(shown) <= room:
            room -= len(shown)
            chosen.append(shown)
    return b"".join(chosen)


def clean(name: bytes, field: Field) -> bytes:
    """The field in 7-bit CRLF lines, `?` for every other octet; empty where that can't be done."""
    lines = [_NOT_SHOWN.sub(b"?", line) for line in _LINE_END.split(field.value)]
    lines = [line for line in lines if line.strip(b" \t")]
    if not lines:
        return b""
    lines[0] = b"%b: %b" % (name, lines[0].strip(b" \t"))
    return b"" if max(map(len, lines)) > _MAX_LINE else b"\r\n".join(lines) + b"\r\n"


def hp_outer(outer: bytes) -> bytes:
    """One HP-Outer (RFC 9788 §2.2.1) for each field of the clear header."""
    return _FIELD_START.sub(b"HP-Outer: ", outer)


def is_outer(outer: bytes, policy: Policy, form: Form) -> bool:
    """Whether outer_header() could have made this."""
    if form is Form.VERBATIM:
        return policy is Policy.BASELINE and not outer
    if policy is Policy.SEALED:
        return _SEALED_OUTER.fullmatch(outer) is not None
    found = list(fields(outer))
    names = [field.name for field in found]
    return (
        outer.startswith(SUBJECT)
        and outer.endswith(b"\r\n")
        and found[-1].end == len(outer) <= len(SUBJECT) + MAX_SHOWN
        and len(set(names)) == len(names)
        and set(names) <= {b"Subject", *_BASELINE.values()}
        and all(clean(f.name, f) == outer[f.start : f.end] for f in found)
    )


@lru_cache(maxsize=4)  # all mail of a second has the same, in several places
def date(time: int) -> bytes:
    """RFC 5322 §3.3 date-time in UTC of a Unix time."""
    t = datetime.fromtimestamp(time, UTC)
    day, month = _DAYS[t.weekday()], _MONTHS[t.month * 4 - 4 :][:3]
    return (
        f"{day}, {t.day:02} {month} {t.year:04} {t.hour:02}:{t.minute:02}:{t.second:02} +0000"
    ).encode()
