"""Mail as commands print it: lines for people, plain values for --json (docs/specs/cli.md)."""

from __future__ import annotations

from dataclasses import asdict
from datetime import datetime
from typing import Any

from e2email_client import clean
from e2email_client.columns import fit, fit_end, pad
from e2email_client.local.browse import Row
from e2email_client.local.mails import Security, State, Summary
from e2email_protocol.mime.address import MISSING_DOMAIN, SYNTAX_ERROR, Address, addresses
from e2email_protocol.mime.header import fields
from e2email_protocol.mime.words import decode_words

# the three words of docs/specs/threat-model.md, as one sign each in a list
_MARKS = {
    "encrypted by the sender": "E",
    "sealed on arrival": "s",
    "sealed when it was stored": "s",
}
_ORIGINS = {
    "smtp": "received by your server",
    "device": "stored by your device",
    "unproven": "origin unproven",
}
_SENDER_COLUMNS = 32
_PLACEHOLDERS = {MISSING_DOMAIN, SYNTAX_ERROR}
# more senders than this are counted, not named
_SENDERS = 20


def as_json(row: Row, summary: Summary) -> dict[str, Any]:
    """One message; strings are as the sender wrote them (JSON escapes what a terminal obeys)."""
    return {
        "mailbox": row.mailbox,
        "uid": row.uid,
        "flags": list(row.flags),
        "received": row.received,
        "date": summary.date or None,
        "from": summary.sender,
        "to": summary.recipients,
        "subject": summary.subject,
        "size": summary.size,
        "attachments": summary.attachments,
        "preview": summary.preview,
        "readable": summary.state is not State.UNREADABLE,
        "security": asdict(summary.security),
    }


def as_line(row: Row, summary: Summary, width: int | None) -> str:
    """One line: uid, marks, date, sender, subject; cut to `width` columns where there is one."""
    seen = " " if "\\Seen" in row.flags else "*"
    paper = "@" if summary.attachments else " "
    day = moment(summary.date or row.received)
    head = f"{row.uid:>6} {seen}{mark(summary.security)}{paper} {day}  "
    line = head + _sender_column(summary) + "  " + clean.line(summary.subject or "(no subject)")
    return line if width is None else fit(line, width)


def moment(seconds: int) -> str:
    """Local time; a date that no calendar of this machine holds is shown as none."""
    try:
        return datetime.fromtimestamp(seconds).astimezone().strftime("%Y-%m-%d %H:%M")
    except (ValueError, OverflowError, OSError):
        return "????-??-?? ??:??"


def _sender_column(summary: Summary) -> str:
    """The address is never left out for a display name, which its sender chose."""
    found = senders(summary)
    if not found:
        return pad(clean.line(summary.sender), _SENDER_COLUMNS)
    address = clean.line(address_of(found[0]))
    others = f" +{len(found) - 1}" if len(found) > 1 else ""
    shown = fit_end(address, _SENDER_COLUMNS - len(others)) + others
    name = clean.line(_name(found[0]))
    return pad(f"{shown} {name}" if name and not others else shown, _SENDER_COLUMNS)


def sender(summary: Summary) -> str:
    """The From field for reading: every address, and behind it the name it gives itself."""
    shown = [_one_sender(one) for one in senders(summary)]
    return ", ".join(shown) or clean.line(summary.sender)


def _one_sender(one: Address) -> str:
    name = clean.line(_name(one))
    return clean.line(address_of(one)) + (f" ({name})" if name else "")


def senders(summary: Summary) -> list[Address]:
    """The addresses of all From fields; what is only a name or cannot be read is none."""
    found: list[Address] = []
    for field in fields(summary.fields):
        if field.name.lower() == b"from":
            found += addresses(field.value, _SENDERS)
    return [one for one in found if one.mailbox and one.host and one.host not in _PLACEHOLDERS]


def address_of(one: Address) -> str:
    """Its octets as they are: an encoded word in an address is not decoded, for it may hold an @
    that belongs to nobody."""
    return b"@".join((one.mailbox or b"", one.host or b"")).decode("utf-8", "replace")


def _name(one: Address) -> str:
    return decode_words(one.name or b"")


def mark(security: Security) -> str:
    """`E` encrypted by the sender, `s` sealed, `?` origin unproven, `!` an alarm."""
    if security.alarms:
        return "!"
    if security.origin == "unproven":
        return "?"
    return _MARKS.get(security.encryption, "?")


def protection(security: Security) -> list[str]:
    """What is to be said about a mail's protection, a sentence each; alarms first."""
    said = [f"ALARM: {alarm}" for alarm in security.alarms]
    said.append(f"{security.encryption}; {origin(security)}")
    if security.signature != "none":
        who = f" by key {security.signer}" if security.signer else ""
        said.append(f"signature inside the encryption: {security.signature}{who}")
    said += [f"{name}: {verdict}" for name, verdict in sorted(security.verdicts.items())]
    return [clean.line(one) for one in said]


def origin(security: Security) -> str:
    known = _ORIGINS.get(security.origin)
    # the program chose its name, which could be one of ours
    return known or f'stored by a program that calls itself "{security.origin[len("append:") :]}"'
