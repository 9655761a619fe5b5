"""Mail as commands print it: lines for people, plain values for --json (docs/specs/cli.md)."""

from __future__ import annotations

from dataclasses import asdict
from datetime import datetime
from typing import Any

from e2email_client import clean
from e2email_client.local.mails import Security, State, Summary

# the three words of docs/specs/threat-model.md, as one sign each in a list
_MARKS = {
    "encrypted by the sender": "E",
    "sealed on arrival": "s",
    "sealed when it was stored": "s",
}


def as_json(mailbox: str, uid: int, flags: str, received: int, summary: Summary) -> dict[str, Any]:
    """One message; strings are as the sender wrote them (JSON escapes what a terminal obeys)."""
    return {
        "mailbox": mailbox,
        "uid": uid,
        "flags": flags.split(),
        "received": received,
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


def as_line(uid: int, flags: str, received: int, summary: Summary, width: int) -> str:
    """One line: uid, marks, date, sender, subject; cut to `width` columns."""
    seen = " " if "\\Seen" in flags.split() else "*"
    paper = "@" if summary.attachments else " "
    day = datetime.fromtimestamp(summary.date or received).astimezone().strftime("%Y-%m-%d %H:%M")
    head = f"{uid:>6} {seen}{mark(summary.security)}{paper} {day}  "
    # the address is never left out for a display name that its sender chose
    sender = f"{clean.line(summary.sender)[:32]:<32}  "
    return (head + sender + clean.line(summary.subject or "(no subject)"))[:width]


def mark(security: Security) -> str:
    """`E` encrypted by the sender, `s` sealed, `?` origin unproven, `!` an alarm."""
    if security.alarms:
        return "!"
    if security.origin == "unproven":
        return "?"
    return _MARKS.get(security.encryption, "?")


def protection(security: Security) -> list[str]:
    """What is to be said about a mail's protection, a sentence each."""
    said = [f"{security.encryption}; {origin(security)}"]
    if security.signature != "none":
        who = f" by key {security.signer}" if security.signer else ""
        said.append(f"signature inside the encryption: {security.signature}{who}")
    said += [f"{name}: {verdict}" for name, verdict in sorted(security.verdicts.items())]
    said += [f"ALARM: {alarm}" for alarm in security.alarms]
    return [clean.line(one) for one in said]


def origin(security: Security) -> str:
    if security.origin == "smtp":
        return "received by your server"
    if security.origin == "device":
        return "stored by your device"
    if security.origin == "unproven":
        return "origin unproven"
    program = security.origin.removeprefix("append:")
    return f"stored by {program}"
