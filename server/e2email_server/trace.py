"""The two fields that the server writes in front of a mail: Return-Path, then Received.

RFC 5321 §4.4. Received is last of ours, so that a mail that begins with white space can spoil
that field only. No Authentication-Results: verdicts live in the signed envelope.
"""

import re

from e2email_protocol.sealed.policy import date
from e2email_server.smtp.delivery import Mail

_LABELS = r"[A-Za-z0-9_\u0080-\ud7ff-]+"
_DOMAIN = re.compile(rf"{_LABELS}(?:\.{_LABELS})*\.?|\[[0-9A-Za-z:.]+\]")


def trace(mail: Mail, hostname: str, time: int) -> bytes:
    """Both fields with their CRLFs; `time` in Unix seconds.

    `for` only where the transaction has one recipient: the others were perhaps in Bcc.
    """
    came = mail.arrival
    helo = came.helo if _DOMAIN.fullmatch(came.helo) else "unknown"
    tls = f" ({' '.join(came.tls)})" if came.tls else ""
    one = f"\r\n\tfor <{mail.recipients[0]}>" if len(mail.recipients) == 1 else ""
    sender = "" if mail.sender is None else str(mail.sender)
    text = (
        f"Return-Path: <{sender}>\r\n"
        f"Received: from {helo} ({_literal(came.peer)})\r\n"
        f"\tby {hostname} with {came.protocol}{tls}\r\n"
        f"\tid {mail.id}{one};\r\n\t"
    )
    return text.encode() + date(time) + b"\r\n"


def _literal(peer: str) -> str:
    """RFC 5321 §4.1.3."""
    peer = peer.partition("%")[0]  # the zone of a link-local address
    return f"[IPv6:{peer}]" if ":" in peer else f"[{peer}]"
