"""The seam between the SMTP session and what becomes of a mail."""

from dataclasses import dataclass
from enum import Enum
from typing import Protocol

from e2email_protocol.address import Address


class Refusal(Enum):
    """Why a recipient or a whole mail is not taken. The value is the reply (DESIGN §8).

    The peer learns code and a bland sentence; the cause goes to the operator's log.
    """

    UNKNOWN_USER = b"550 5.1.1 No such mailbox here"
    NOT_HERE = b"550 5.7.1 Mail for that domain is not taken here"
    REVOKED = b"550 5.7.1 The recipient's key is revoked, mail cannot be sealed"
    NO_KEY = b"450 4.7.5 The recipient has no usable key yet, mail cannot be sealed"
    EXPIRED = b"450 4.7.5 The recipient's key has expired, mail cannot be sealed"
    BAD_KEY = b"450 4.7.5 The recipient's key cannot be used, mail cannot be sealed"
    BAD_STATEMENT = b"450 4.7.5 The recipient's account statement does not verify"
    FAILED = b"451 4.3.0 The mail could not be stored, try again later"
    STORAGE_FULL = b"452 4.3.1 Not enough storage, try again later"
    TOO_MUCH = b"452 4.5.3 Too many recipients for a mail of this size"
    DISABLED = b"550 5.2.1 The mailbox is disabled"
    LOOP = b"554 5.4.6 Too many hops, this mail is in a loop"

    @property
    def reply(self) -> bytes:
        return self.value

    @property
    def temporary(self) -> bool:
        """Whether the sender keeps the mail and comes again."""
        return self.value.startswith(b"4")


@dataclass(frozen=True, slots=True)
class Arrival:
    """How a mail came: what the trace field and the signed envelope tell of it."""

    peer: str  # IP address, without port
    helo: str
    protocol: str  # RFC 3848, RFC 6531 §4.3: SMTP, ESMTP, ESMTPS, UTF8SMTP, UTF8SMTPS
    tls: tuple[str, str] | None  # version and cipher

    def __repr__(self) -> str:
        return f"Arrival({self.protocol})"


@dataclass(frozen=True, slots=True)
class Mail:
    """One finished transaction: clear mail, in memory only.

    `recipients` are the accepted forward-paths in order, with duplicates; `content` is what was
    received, dots unstuffed, nothing else changed.
    """

    id: str
    sender: Address | None
    recipients: tuple[Address, ...]
    content: bytes
    arrival: Arrival

    def __repr__(self) -> str:
        return f"Mail({self.id}, {len(self.content)} octets, {len(self.recipients)} recipients)"


class Delivery(Protocol):
    """What a session hands its mail to."""

    async def judge(self, recipient: Address) -> Refusal | None:
        """Whether mail for `recipient` would be taken now; None for yes (RCPT)."""

    async def deliver(self, mail: Mail) -> Refusal | None:
        """Seal and store `mail` for all its recipients, or for none.

        None means: durable for every recipient, 250 may leave. Judges every recipient again.
        """
