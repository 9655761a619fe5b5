"""What FETCH asks for: how each item's value is had from a message."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from ..mime import quote
from .dates import render_date_time
from .errors import Cannot, NoSuchPart
from .extensions import BinaryMessage, PreviewMessage, SavedMessage
from .limits import PREVIEW
from .session import Message, Need, Section, Stream


@dataclass(frozen=True, slots=True)
class Item:
    """An item that needs the message; UID, FLAGS and MODSEQ come from the view."""

    label: bytes
    need: Need
    section: Section | None = None
    partial: tuple[int, int] | None = None
    sets_seen: bool = False
    requires: bytes = b""  # the capability that a backend must have

    async def value(self, message: Message) -> bytes | Stream:
        """What stands behind the label; a Stream is sent as a literal by the caller."""
        if self.section is not None:
            octets = await message.section(self.section, self.partial)
            if octets is None:
                return b"NIL"
            return octets if isinstance(octets, Stream) else literal(octets)
        if self.need is Need.ENVELOPE:
            return await message.envelope()
        if self.need is Need.STRUCTURE:
            return await message.structure(self.label == b"BODYSTRUCTURE")
        return _META[self.need](message)

    def opening(self, size: int) -> bytes:
        """What announces a Stream."""
        return b"{%d}\r\n" % size


class BinaryItem(Item):
    """BINARY[...]: literal8 where it is needed (RFC 3516 §4.2)."""

    __slots__ = ()

    async def value(self, message: Message) -> bytes | Stream:
        assert self.section is not None
        assert isinstance(message, BinaryMessage)
        octets = await message.binary(self.section.path, self.partial)
        if octets is None:
            return b"NIL"
        if isinstance(octets, Stream):
            return octets
        return (b"~" if b"\0" in octets else b"") + literal(octets)

    def opening(self, size: int) -> bytes:
        return b"~{%d}\r\n" % size


class BinarySizeItem(Item):
    __slots__ = ()

    async def value(self, message: Message) -> bytes:
        assert self.section is not None
        assert isinstance(message, BinaryMessage)
        size = await message.binary_size(self.section.path)
        if size is None:
            raise NoSuchPart
        return b"%d" % size


class PreviewItem(Item):
    __slots__ = ()

    async def value(self, message: Message) -> bytes:
        assert isinstance(message, PreviewMessage)
        return _preview(await message.preview(lazy=False))


class LazyPreviewItem(Item):
    __slots__ = ()

    async def value(self, message: Message) -> bytes:
        assert isinstance(message, PreviewMessage)
        return _preview(await message.preview(lazy=True))


class SaveDateItem(Item):
    __slots__ = ()

    async def value(self, message: Message) -> bytes:
        assert isinstance(message, SavedMessage)
        when = message.save_date
        return b"NIL" if when is None else render_date_time(when)


def _preview(text: str | None) -> bytes:
    return b"NIL" if text is None else quote.string(text[:PREVIEW].encode())


def _email_id(message: Message) -> bytes:
    """`(objectid)`; unlike THREADID it has no NIL (RFC 8474 §7)."""
    if message.email_id is None:
        raise Cannot
    return b"(%b)" % message.email_id.encode()


_META: dict[Need, Callable[[Message], bytes]] = {
    Need.SIZE: lambda message: b"%d" % message.size,
    Need.DATE: lambda message: render_date_time(message.internal_date),
    Need.ID: _email_id,
    Need(0): lambda message: b"NIL",  # THREADID
}


def literal(octets: bytes) -> bytes:
    return b"{%d}\r\n%b" % (len(octets), octets)


@dataclass(frozen=True, slots=True)
class Items:
    uid: bool
    flags: bool
    modseq: bool
    others: tuple[Item, ...]

    @property
    def requires(self) -> set[bytes]:
        found = {item.requires for item in self.others if item.requires}
        return found | {b"CONDSTORE"} if self.modseq else found

    @property
    def need(self) -> Need:
        need = Need(0)
        for item in self.others:
            need |= item.need
        return need

    @property
    def sets_seen(self) -> bool:
        return any(item.sets_seen for item in self.others)
