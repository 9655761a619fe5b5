"""What the QR code of a secret says: what it is, whose, and the words. docs/specs/recovery.md.

e2email-recovery:1:ACCOUNT:SERVER NAME:WORDS
e2email-share:1:ACCOUNT:SERVER NAME:WORDS
e2email-pair:1:ACCOUNT:SERVER NAME:WORDS:SERVER URL
"""

import re
from dataclasses import dataclass, field
from enum import StrEnum
from urllib.parse import quote, unquote

from . import _wire
from .errors import BadCode

VERSION = "1"
TEXT_MAX = 2900  # what the largest QR code holds
_SAFE = "@"  # beside letters, digits and -._~
_WORDS = re.compile(r"[a-z]+(-[a-z]+)*")


class Kind(StrEnum):
    RECOVERY = "e2email-recovery"
    SHARE = "e2email-share"
    PAIR = "e2email-pair"


@dataclass(frozen=True, slots=True)
class CodeText:
    """One code. `server_url` is for pairing: the new device knows nothing yet."""

    kind: Kind
    account: str
    server_name: str
    words: tuple[str, ...] = field(repr=False)
    server_url: str = ""

    def encode(self) -> str:
        """Raises ValueError where `decode` would refuse it."""
        fields = [self.account, self.server_name, "-".join(self.words)]
        if self.kind is Kind.PAIR:
            fields.append(self.server_url)
        text = ":".join([self.kind, VERSION, *(quote(one, safe=_SAFE) for one in fields)])
        try:
            same = decode(text) == self
        except BadCode:
            same = False
        if not same:
            raise ValueError("not to be written as a code")
        return text


def decode(text: str) -> CodeText:
    """Raises BadCode. That the words are right is for whoever takes them (words, shares)."""
    kind, _, rest = text.strip().partition(":")
    version, _, rest = rest.partition(":")
    if kind.lower() not in set(Kind) or len(text) > TEXT_MAX:
        raise BadCode("not a code of this program")
    if version != VERSION:
        raise BadCode("a code for another version of this program")
    found = Kind(kind.lower())
    count = 4 if found is Kind.PAIR else 3
    try:
        fields = [unquote(one, errors="strict") for one in rest.split(":")]
        names = [_wire.name(one).decode() for one in fields[:2]]
    except ValueError:
        fields, names = [], []
    if len(fields) != count or not _WORDS.fullmatch(fields[2]) or not all(fields):
        raise BadCode("a damaged code")
    if not all(one.isprintable() for one in fields):
        raise BadCode("a damaged code")
    url = fields[3] if found is Kind.PAIR else ""
    return CodeText(found, names[0], names[1], tuple(fields[2].split("-")), url)
