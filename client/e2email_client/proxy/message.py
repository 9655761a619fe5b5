"""One message as the proxy serves it: prepared text from its summary, octets of the opened view."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime

from e2email_client.local.mails import Summary
from e2email_protocol.imap.session import Section
from e2email_protocol.mime.scan import scan
from e2email_protocol.mime.section import Kind
from e2email_protocol.mime.section import section as mime_section
from e2email_protocol.mime.structure import structure


@dataclass(frozen=True, slots=True)
class ServedMessage:
    """`summary` and `view` are None where the command does not need them."""

    uid: int
    received: int
    email_id: str
    summary: Summary | None
    view: bytes | None

    def __repr__(self) -> str:
        return f"ServedMessage({self.uid})"

    @property
    def internal_date(self) -> datetime:
        return datetime.fromtimestamp(self.received, UTC)

    @property
    def size(self) -> int:
        return self._summary.size

    async def envelope(self) -> bytes:
        return self._summary.envelope

    async def structure(self, extended: bool) -> bytes:
        if extended:
            return self._summary.structure
        # BODY without its extension data is asked for by nobody in particular: not kept
        octets = self._octets
        return structure(octets, scan(octets), extended=False)

    async def section(self, section: Section, partial: tuple[int, int] | None) -> bytes | None:
        octets = self._octets
        if section.path or section.what:
            kind = Kind(section.what) if section.what else None
            found = mime_section(octets, scan(octets), section.path, kind, section.fields)
            if found is None:
                return None
            octets = bytes(found)
        if partial is None:
            return octets
        first, count = partial
        return octets[first : first + count]

    @property
    def _summary(self) -> Summary:
        assert self.summary is not None
        return self.summary

    @property
    def _octets(self) -> bytes:
        assert self.view is not None
        return self.view
