"""What a backend gives the POP3 engine. Errors: errors.py; anything else raised is its fault.

One session serves one connection and is called by one command at a time.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Sequence
from typing import NamedTuple, Protocol


class Listed(NamedTuple):
    """A message as it was at login."""

    uid: int
    size: int  # octets that retrieve() gives


class Maildrop(Protocol):
    """An account's inbox, held by this session alone until close() (RFC 1939 §4).

    `messages` never change; they are numbered from 1 in this order, ascending by uid.
    """

    @property
    def uidvalidity(self) -> int: ...
    @property
    def messages(self) -> Sequence[Listed]: ...

    def retrieve(self, uid: int) -> AsyncGenerator[bytes, None]:
        """The octets of one message, in pieces. Vanished, Unavailable; closed when not needed."""
        ...

    async def delete(self, uids: Sequence[int]) -> None:
        """Durably remove these messages and no others; those that are gone already are no error.

        Unavailable: none was removed. NotRemoved: some were.
        """
        ...

    async def close(self) -> None:
        """Let go of the mailbox. Called once, whatever happened before."""
        ...


class Session(Protocol):
    """One connection's backend."""

    async def login(self, user: str, password: bytes) -> Maildrop:
        """Called again after a failure.

        AuthenticationFailed, LoginDelay; InUse; Unavailable where the size of any message is not
        known exactly. If it is cancelled, the mailbox is not held.
        """
        ...
