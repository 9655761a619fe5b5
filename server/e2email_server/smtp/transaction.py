"""MAIL and RCPT as values: what a transaction has promised so far (RFC 5321 §4.1.1.2, §4.1.1.3)."""

import re
from dataclasses import dataclass, field

from e2email_protocol.address import Address, BadAddress, parse_parameters, parse_path

SIZE = re.compile(r"[0-9]{1,20}")  # RFC 1870 §4
XTEXT = re.compile(r"(?:[!-*,-<>-~]|\+[0-9A-F]{2})+")  # RFC 3461 §4
NOTIFY = re.compile(r"NEVER|(?:SUCCESS|FAILURE|DELAY)(?:,(?:SUCCESS|FAILURE|DELAY)){0,2}", re.I)
ORCPT = re.compile(r"[A-Za-z0-9-]+;.+")


class BadCommand(Exception):
    """The peer broke the rules; `reply` is what it hears."""

    def __init__(self, reply: bytes) -> None:
        super().__init__("bad command")
        self.reply = reply


NO_PATH = b"501 5.5.4 Syntax: one path in angle brackets, then parameters"
NO_PARAMETER = b"555 5.5.4 Parameter not known"
BAD_PARAMETER = b"501 5.5.4 Parameter with a wrong value"
NEEDS_SMTPUTF8 = b"553 5.6.7 Address needs SMTPUTF8"


@dataclass(slots=True)
class Transaction:
    """From MAIL on. `size` is what the peer declared, 0 for nothing."""

    sender: Address | None
    size: int
    utf8: bool
    started: float
    recipients: list[Address] = field(default_factory=list)
    received: int = 0

    def __repr__(self) -> str:
        return f"Transaction({len(self.recipients)} recipients, {self.received} octets)"


def parse_mail(argument: str, now: float) -> Transaction:
    """`FROM:<path> parameters`. Raises BadCommand."""
    sender, parameters = _parse(argument, "FROM:")
    if sender is not None and not sender.domain:
        raise BadCommand(NO_PATH)  # <postmaster> has its meaning in RCPT only
    utf8 = parameters.pop("SMTPUTF8", None)
    size = parameters.pop("SIZE", "0")
    body = parameters.pop("BODY", "7BIT")
    # DSN (RFC 3461) is not offered; many senders send its parameters all the same
    wanted = parameters.pop("RET", "HDRS")
    envelope_id = parameters.pop("ENVID", "x")
    if parameters:
        raise BadCommand(NO_PARAMETER)
    if (
        utf8
        or not SIZE.fullmatch(size)
        or body.upper() not in ("7BIT", "8BITMIME")
        or wanted.upper() not in ("FULL", "HDRS")
        or not XTEXT.fullmatch(envelope_id)
    ):
        raise BadCommand(BAD_PARAMETER)
    if sender is not None and not sender.ascii and utf8 is None:
        raise BadCommand(NEEDS_SMTPUTF8)
    return Transaction(sender, int(size), utf8 is not None, now)


def parse_rcpt(argument: str, utf8: bool) -> Address:
    """`TO:<path> parameters`. Raises BadCommand."""
    recipient, parameters = _parse(argument, "TO:")
    if recipient is None:
        raise BadCommand(NO_PATH)
    notify = parameters.pop("NOTIFY", "NEVER")
    original = parameters.pop("ORCPT", "rfc822;x")
    if parameters:
        raise BadCommand(NO_PARAMETER)
    if not NOTIFY.fullmatch(notify) or not ORCPT.fullmatch(original):
        raise BadCommand(BAD_PARAMETER)
    if not recipient.ascii and not utf8:
        raise BadCommand(NEEDS_SMTPUTF8)
    return recipient


def _parse(argument: str, keyword: str) -> tuple[Address | None, dict[str, str]]:
    if argument[: len(keyword)].upper() != keyword:
        raise BadCommand(NO_PATH)
    try:
        # a space after the colon is wrong and common
        path, rest = parse_path(argument[len(keyword) :].lstrip(" "))
        return path, parse_parameters(rest)
    except BadAddress:
        raise BadCommand(NO_PATH) from None
