"""One message as the proxy serves it: prepared text from its summary, octets of the opened view."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import UTC, datetime

from e2email_client.local.mails import Known
from e2email_protocol.imap.errors import Refused
from e2email_protocol.imap.session import Section
from e2email_protocol.mime.header import fields as header_fields
from e2email_protocol.mime.scan import scan
from e2email_protocol.mime.section import Kind
from e2email_protocol.mime.section import section as mime_section
from e2email_protocol.mime.structure import structure


class ServedMessage:
    """`known.octets` are the whole view or only its header; `load` fetches a view by uid."""

    __slots__ = ("known", "load", "whole")

    def __init__(self, known: Known, whole: bool, load: Callable[[int], Awaitable[bytes]]) -> None:
        self.known = known
        self.whole = whole
        self.load = load

    def __repr__(self) -> str:
        return f"ServedMessage({self.known.uid})"

    @property
    def uid(self) -> int:
        return self.known.uid

    @property
    def email_id(self) -> str:
        return self.known.email_id

    @property
    def internal_date(self) -> datetime:
        return datetime.fromtimestamp(self.known.received, UTC)

    @property
    def size(self) -> int:
        assert self.known.size is not None
        return self.known.size

    async def envelope(self) -> bytes:
        assert self.known.envelope is not None
        return self.known.envelope

    async def structure(self, extended: bool) -> bytes:
        if extended:
            assert self.known.structure is not None
            return self.known.structure
        # BODY without its extension data is asked for by hardly anybody: not kept
        octets = await self.load(self.uid)
        return structure(octets, scan(octets), extended=False)

    async def section(self, section: Section, partial: tuple[int, int] | None) -> bytes | None:
        octets = await self._octets(section)
        if not section.path and section.what.startswith("HEADER."):
            octets = _chosen(octets, section)
        elif section.path or section.what:
            kind = Kind(section.what) if section.what else None
            found = mime_section(octets, scan(octets), section.path, kind, section.fields)
            if found is None:
                return None
            octets = bytes(found)
        if partial is None:
            return octets
        first, count = partial
        return octets[first : first + count]

    async def _octets(self, section: Section) -> bytes:
        header = not section.path and section.what.startswith("HEADER")
        if self.known.octets is not None and (self.whole or header):
            return self.known.octets
        return await self.load(self.uid)


def _chosen(octets: bytes, section: Section) -> bytes:
    """HEADER.FIELDS(.NOT) of the message itself: no part has to be found, so nothing is scanned."""
    names = {name.lower() for name in section.fields}
    keep = section.what == "HEADER.FIELDS"
    chosen = [
        octets[one.start : one.end]
        for one in header_fields(octets)
        if (one.name.lower() in names) is keep
    ]
    return b"".join(chosen) + b"\r\n"


@dataclass(frozen=True, slots=True)
class MissingMessage:
    """A message that something is asked of which is not here: all of that is refused."""

    known: Known
    trouble: Refused

    @property
    def uid(self) -> int:
        return self.known.uid

    @property
    def email_id(self) -> str:
        return self.known.email_id

    @property
    def internal_date(self) -> datetime:
        return datetime.fromtimestamp(self.known.received, UTC)

    @property
    def size(self) -> int:
        raise self.trouble

    async def envelope(self) -> bytes:
        raise self.trouble

    async def structure(self, extended: bool) -> bytes:
        raise self.trouble

    async def section(self, section: Section, partial: tuple[int, int] | None) -> bytes | None:
        raise self.trouble
