"""What only some backends have: the Protocol that must be there where `capabilities` names it."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import NamedTuple, Protocol, runtime_checkable

from .session import AppendResult, Stream


@runtime_checkable
class IdentifiedMailbox(Protocol):
    """OBJECTID (RFC 8474), beside Status.mailbox_id and Message.email_id: a Mailbox."""

    @property
    def mailbox_id(self) -> str:
        """1 to 255 of A-Z a-z 0-9 _ -; RENAME keeps it, a mailbox made anew has another."""
        ...


@runtime_checkable
class BinaryMessage(Protocol):
    """BINARY (RFC 3516): a Message whose parts can be had without their transfer encoding."""

    async def binary(
        self, path: tuple[int, ...], partial: tuple[int, int] | None
    ) -> bytes | Stream | None:
        """Like section(), decoded. UnknownEncoding where the encoding is not known."""
        ...

    async def binary_size(self, path: tuple[int, ...]) -> int | None:
        """The length of binary(); None: there is no such part."""
        ...


@runtime_checkable
class PreviewMessage(Protocol):
    """PREVIEW (RFC 8970): a Message."""

    async def preview(self, lazy: bool) -> str | None:
        """At most 200 characters on one line; None: not at hand, which `lazy` allows, or never."""
        ...


@runtime_checkable
class SavedMessage(Protocol):
    """SAVEDATE (RFC 8514): a Message, in every mailbox."""

    @property
    def save_date(self) -> datetime | None:
        """When it came into this mailbox, by whatever way; aware. None: that was not noted."""
        ...


@dataclass(frozen=True, slots=True)
class NewMessage:
    """One of several that are appended together."""

    octets: bytes = field(repr=False)
    flags: frozenset[str]
    when: datetime | None


@runtime_checkable
class MultiAppendSession(Protocol):
    """MULTIAPPEND (RFC 3502): a Session."""

    async def append_many(
        self, name: str, messages: Sequence[NewMessage]
    ) -> Sequence[AppendResult]:
        """append() of two or more, in this order, all or none; durable before it returns.

        The results are parallel to `messages`. TooBig is about any one of them.
        """
        ...


@runtime_checkable
class ReplacingMailbox(Protocol):
    """REPLACE (RFC 8508): a Mailbox."""

    async def replace(
        self,
        uid: int,
        name: str,
        octets: bytes,
        flags: frozenset[str],
        when: datetime | None,
    ) -> AppendResult:
        """append() to `name` and expunge `uid` of this mailbox in one step, all or nothing.

        Vanished where `uid` is gone; else as append().
        """
        ...


class Outline(NamedTuple):
    """What SORT and THREAD compare of one message; outline.py makes it of a header. A tuple, for
    there are many.

    Times are seconds since 1970. Texts are decoded; of address fields, the first address's local
    part. `references`: the message ids it names, the oldest first, "<" and ">" not included.
    """

    uid: int
    arrived: int  # INTERNALDATE
    sent: int  # the Date field; `arrived` where it cannot be read (RFC 5256 §2.2)
    size: int
    subject: str
    sender: str
    to: str
    cc: str
    message_id: str
    references: tuple[str, ...]

    def __repr__(self) -> str:
        return f"Outline({self.uid})"


@runtime_checkable
class OutlinedMailbox(Protocol):
    """SORT, THREAD=REFERENCES, THREAD=ORDEREDSUBJECT (RFC 5256): a Mailbox."""

    async def outlines(self, uids: Sequence[int], fields: Collection[str]) -> Sequence[Outline]:
        """Of those of `uids` that are still there, in any order.

        `fields`: names of Outline's that are looked at beside `uid`; the others may be anything.
        Headers are some 50 µs each to parse: not on the event loop. Unavailable where one that is
        there cannot be had: a short list would look like the truth.
        """
        ...
